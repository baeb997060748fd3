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
    /// `HKCU`: the default user, whose settings every new user gets.
    DefaultUser,
}

impl HiveName {
    /// Every hive.
    pub const ALL: [Self; 9] = [
        Self::System,
        Self::Software,
        Self::Drivers,
        Self::Components,
        Self::Default,
        Self::Sam,
        Self::Security,
        Self::Bcd,
        Self::DefaultUser,
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
            Self::DefaultUser => "NTUSER.DAT",
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
            Self::DefaultUser => "HKCU",
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
            Self::DefaultUser => {
                vec![WinPath::root().join("Users").join("Default").join(self.as_str())]
            }
            other => vec![config.join(other.as_str())],
        }
    }

    /// Structure version of a new hive of this name (hive.md section 1.3).
    pub(super) fn minor_version(self) -> u32 {
        match self {
            Self::Sam | Self::Bcd | Self::DefaultUser => 3,
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
pub(super) fn split(path: &str) -> Result<(HiveName, String)> {
    let unknown = || ImageError::RegistryPath { path: path.to_owned() };
    let (root, rest) = cut(path.trim_start_matches('\\'));
    let (top, below) = cut(rest);
    let is = |text: &str, word: &str| text.eq_ignore_ascii_case(word);
    let found = if is(root, "HKLM") || is(root, "HKEY_LOCAL_MACHINE") {
        HiveName::ALL.into_iter().find(|hive| match hive {
            HiveName::Default | HiveName::DefaultUser => false,
            HiveName::Bcd => is(top, "BCD00000000") || is(top, "BCD"),
            other => is(top, other.as_str()),
        })
    } else if is(root, "HKU") || is(root, "HKEY_USERS") {
        if is(top, ".DEFAULT") {
            Some(HiveName::Default)
        } else {
            is(top, "Default").then_some(HiveName::DefaultUser)
        }
    } else if is(root, "HKCU") || is(root, "HKEY_CURRENT_USER") {
        return Ok((HiveName::DefaultUser, rest.to_owned()));
    } else if is(root, "HKCR") || is(root, "HKEY_CLASSES_ROOT") {
        return Ok((HiveName::Software, format!("Classes\\{rest}")));
    } else {
        None
    };
    Ok((found.ok_or_else(unknown)?, below.to_owned()))
}

/// The first component and the rest.
fn cut(path: &str) -> (&str, &str) {
    path.split_once('\\').unwrap_or((path, ""))
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
            ("HKCU\\Software", Some((HiveName::DefaultUser, "Software"))),
            ("HKEY_CURRENT_USER", Some((HiveName::DefaultUser, ""))),
            ("HKU\\default\\Environment", Some((HiveName::DefaultUser, "Environment"))),
            ("HKU\\Ann", None),
            ("HKCR\\.txt", Some((HiveName::Software, "Classes\\.txt"))),
            ("HKLM", None),
            ("SYSTEM", None),
        ];
        for (path, expected) in cases {
            let expected = expected.map(|(hive, below)| (hive, below.to_owned()));
            assert_eq!(split(path).ok(), expected, "{path}");
        }
    }
}
