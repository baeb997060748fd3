// SPDX-License-Identifier: GPL-3.0-or-later
//! Which hives an image has, where their files lie and what keys they are mounted at.

use std::fmt;

use crate::base::{Result, WinPath};

use super::ImageError;

/// Hives by their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum HiveName {
    /// `HKLM\SYSTEM`.
    System,
    /// `HKLM\SOFTWARE`.
    Software,
    /// `HKLM\DRIVERS`: the driver database of packages that are not needed to boot (Windows 8+).
    Drivers,
    /// `HKLM\COMPONENTS`.
    Components,
    /// `HKU\.DEFAULT`.
    Default,
    /// `HKLM\SAM`.
    Sam,
    /// `HKLM\SECURITY`.
    Security,
    /// `HKLM\BCD00000000`.
    Bcd,
}

impl HiveName {
    /// Every hive.
    pub const ALL: [Self; 8] = [
        Self::System,
        Self::Software,
        Self::Drivers,
        Self::Components,
        Self::Default,
        Self::Sam,
        Self::Security,
        Self::Bcd,
    ];

    /// The name of the hive's file, and its name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "SYSTEM",
            Self::Software => "SOFTWARE",
            Self::Drivers => "DRIVERS",
            Self::Components => "COMPONENTS",
            Self::Default => "DEFAULT",
            Self::Sam => "SAM",
            Self::Security => "SECURITY",
            Self::Bcd => "BCD",
        }
    }

    /// The key that a running Windows mounts it at.
    pub fn mount_point(self) -> &'static str {
        match self {
            Self::System => "HKLM\\SYSTEM",
            Self::Software => "HKLM\\SOFTWARE",
            Self::Drivers => "HKLM\\DRIVERS",
            Self::Components => "HKLM\\COMPONENTS",
            Self::Default => "HKU\\.DEFAULT",
            Self::Sam => "HKLM\\SAM",
            Self::Security => "HKLM\\SECURITY",
            Self::Bcd => "HKLM\\BCD00000000",
        }
    }

    /// Where its file can lie, the first that exists counts.
    pub(super) fn files(self, windows: &WinPath) -> Vec<WinPath> {
        let config = windows.join("System32").join("config");
        match self {
            Self::Bcd => vec![
                WinPath::root().join("Boot").join("BCD"),
                WinPath::root().join("EFI").join("Microsoft").join("Boot").join("BCD"),
                config.join("BCD-Template"),
            ],
            other => vec![config.join(other.as_str())],
        }
    }

    /// Structure version of a new hive of this name (hive.md section 1.3).
    pub(super) fn minor_version(self) -> u32 {
        match self {
            Self::Sam | Self::Bcd => 3,
            _ => 5,
        }
    }
}

impl fmt::Display for HiveName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Splits `HKLM\SYSTEM\Select` into the hive and the path below its root.
pub(super) fn split(path: &str) -> Result<(HiveName, &str)> {
    let unknown = || ImageError::RegistryPath { path: path.to_owned() };
    let (root, rest) = path.trim_start_matches('\\').split_once('\\').ok_or_else(unknown)?;
    let (top, below) = rest.split_once('\\').unwrap_or((rest, ""));
    let is = |text: &str, word: &str| text.eq_ignore_ascii_case(word);
    let hive = if is(root, "HKLM") || is(root, "HKEY_LOCAL_MACHINE") {
        HiveName::ALL.into_iter().find(|hive| match hive {
            HiveName::Default => false,
            HiveName::Bcd => is(top, "BCD00000000") || is(top, "BCD"),
            other => is(top, other.as_str()),
        })
    } else if (is(root, "HKU") || is(root, "HKEY_USERS")) && is(top, ".DEFAULT") {
        Some(HiveName::Default)
    } else {
        None
    };
    Ok((hive.ok_or_else(unknown)?, below))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_hives() {
        let cases = [
            ("HKLM\\SYSTEM\\Select", Some((HiveName::System, "Select"))),
            ("hkey_local_machine\\software", Some((HiveName::Software, ""))),
            ("HKLM\\BCD00000000\\Objects\\{x}", Some((HiveName::Bcd, "Objects\\{x}"))),
            ("HKU\\.DEFAULT\\Control Panel", Some((HiveName::Default, "Control Panel"))),
            ("HKLM\\DEFAULT", None),
            ("HKCU\\Software", None),
            ("SYSTEM", None),
        ];
        for (path, expected) in cases {
            assert_eq!(split(path).ok(), expected, "{path}");
        }
    }
}
