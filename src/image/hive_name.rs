// SPDX-License-Identifier: GPL-3.0-or-later
//! Which hives an image has, where their files lie and what keys they are mounted at.

use std::fmt;

use crate::base::{WinPath, name};

/// A user of the image: a place in the list that [`Registry::users`](super::Registry::users) gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub struct UserNumber(pub(super) usize);

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
    /// `HKLM\SCHEMA`: the settings that Windows Setup knows.
    Schema,
    /// `HKCU`: the default user, whose settings every new user gets.
    DefaultUser,
    /// `HKCU\Software\Classes`: the default user's own.
    DefaultUserClasses,
    /// `HKU\SID`: NTUSER.DAT of a user in the image.
    User(UserNumber),
    /// `HKU\SID_Classes`: UsrClass.dat of a user in the image.
    UserClasses(UserNumber),
}

/// Where a user's classes lie below the profile.
const CLASSES: &str = "AppData\\Local\\Microsoft\\Windows\\UsrClass.dat";

impl HiveName {
    /// Every hive but those of single users.
    pub const ALL: [Self; 11] = [
        Self::System,
        Self::Software,
        Self::Drivers,
        Self::Components,
        Self::Default,
        Self::Sam,
        Self::Security,
        Self::Bcd,
        Self::Schema,
        Self::DefaultUser,
        Self::DefaultUserClasses,
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
            Self::Schema => "SCHEMA",
            Self::DefaultUser | Self::User(_) => "NTUSER.DAT",
            Self::DefaultUserClasses | Self::UserClasses(_) => "UsrClass.dat",
        }
    }

    /// The key that a running Windows mounts it at; nothing for a user's hive, whose key has the
    /// user's SID.
    pub(super) fn mount_point(self) -> Option<&'static str> {
        Some(match self {
            Self::System => "HKLM\\SYSTEM",
            Self::Software => "HKLM\\SOFTWARE",
            Self::Drivers => "HKLM\\DRIVERS",
            Self::Components => "HKLM\\COMPONENTS",
            Self::Default => "HKU\\.DEFAULT",
            Self::Sam => "HKLM\\SAM",
            Self::Security => "HKLM\\SECURITY",
            Self::Bcd => "HKLM\\BCD00000000",
            Self::Schema => "HKLM\\SCHEMA",
            Self::DefaultUser => "HKCU",
            Self::DefaultUserClasses => "HKCU\\Software\\Classes",
            Self::User(_) | Self::UserClasses(_) => return None,
        })
    }

    /// Where its file can lie, the first that exists counts. `profile` is that of the user whose
    /// hive it is.
    pub(super) fn files(self, windows: &WinPath, profile: Option<&WinPath>) -> Vec<WinPath> {
        let config = windows.join("System32").join("config");
        let default = || WinPath::root().join("Users").join("Default");
        let classes = |profile: &WinPath| match WinPath::parse(CLASSES) {
            Some(below) => vec![profile.join_path(&below)],
            None => Vec::new(),
        };
        match self {
            Self::Bcd => vec![
                WinPath::root().join("Boot").join("BCD"),
                WinPath::root().join("EFI").join("Microsoft").join("Boot").join("BCD"),
                config.join("BCD-Template"),
            ],
            Self::Schema => {
                let machine = windows.join("System32").join("SMI").join("Store").join("Machine");
                vec![machine.join("SCHEMA.DAT")]
            }
            Self::DefaultUser => vec![default().join(self.as_str())],
            Self::DefaultUserClasses => classes(&default()),
            Self::User(_) => profile.map(|profile| profile.join(self.as_str())).into_iter().collect(),
            Self::UserClasses(_) => profile.map(classes).unwrap_or_default(),
            other => vec![config.join(other.as_str())],
        }
    }

    /// Structure version of a new hive of this name (hive.md section 1.3).
    pub(super) fn minor_version(self) -> u32 {
        match self {
            Self::Sam
            | Self::Bcd
            | Self::DefaultUser
            | Self::DefaultUserClasses
            | Self::User(_)
            | Self::UserClasses(_) => 3,
            _ => 5,
        }
    }
}

impl fmt::Display for HiveName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A key of the registry's own, above all hives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopKey {
    /// `HKEY_LOCAL_MACHINE`.
    LocalMachine,
    /// `HKEY_USERS`.
    Users,
}

/// Which hive a path leads into, as far as its words tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A hive and the path below its root.
    Hive(HiveName, Vec<u16>),
    /// A user by SID, whether the user's classes are meant, and the path below the hive's root.
    User(Vec<u16>, bool, Vec<u16>),
    /// A key that has hives below it.
    Top(TopKey),
}

/// Splits `HKLM\SYSTEM\Select` into the hive and the path below its root; nothing for a path that
/// no hive can have.
pub(super) fn split(path: &[u16]) -> Option<Place> {
    let start = path.iter().position(|&unit| unit != SEPARATOR).unwrap_or(path.len());
    let (root, rest) = cut(path.get(start..).unwrap_or_default());
    let (top, below) = cut(rest);
    let is = |found: &[u16], word: &str| name::same(found, &name::units(word));
    let hive = |hive, below: &[u16]| Some(Place::Hive(hive, below.to_vec()));
    if is(root, "HKLM") || is(root, "HKEY_LOCAL_MACHINE") {
        if top.is_empty() {
            return Some(Place::Top(TopKey::LocalMachine));
        }
        let found = HiveName::ALL.into_iter().find(|hive| match hive {
            HiveName::Default | HiveName::DefaultUser | HiveName::DefaultUserClasses => false,
            HiveName::Bcd => is(top, "BCD00000000") || is(top, "BCD"),
            other => is(top, other.as_str()),
        });
        return hive(found?, below);
    }
    if is(root, "HKU") || is(root, "HKEY_USERS") {
        return match () {
            () if top.is_empty() => Some(Place::Top(TopKey::Users)),
            () if is(top, ".DEFAULT") => hive(HiveName::Default, below),
            () if is(top, "Default") => hive(HiveName::DefaultUser, below),
            () if is(top, "Default_Classes") => hive(HiveName::DefaultUserClasses, below),
            () => {
                let classes = name::units("_Classes");
                let head = top.len().checked_sub(classes.len()).unwrap_or(top.len());
                let (sid, tail) = top.split_at(head);
                let has_tail = name::same(tail, &classes);
                let sid = if has_tail { sid } else { top };
                is(sid.get(..2)?, "S-").then(|| Place::User(sid.to_vec(), has_tail, below.to_vec()))
            }
        };
    }
    if is(root, "HKCU") || is(root, "HKEY_CURRENT_USER") {
        return hive(HiveName::DefaultUser, rest);
    }
    if is(root, "HKCR") || is(root, "HKEY_CLASSES_ROOT") {
        return hive(HiveName::Software, &join(&name::units("Classes"), rest));
    }
    None
}

/// The part of a path below `Software\Classes`, if it leads there.
pub(super) fn below_classes(path: &[u16]) -> Option<&[u16]> {
    let (first, rest) = cut(path);
    let (second, below) = cut(rest);
    let is = |found: &[u16], word: &str| name::same(found, &name::units(word));
    (is(first, "Software") && is(second, "Classes")).then_some(below)
}

pub(super) const SEPARATOR: u16 = b'\\' as u16;

/// The first component and the rest.
pub(super) fn cut(path: &[u16]) -> (&[u16], &[u16]) {
    match path.iter().position(|&unit| unit == SEPARATOR) {
        Some(end) => (path.get(..end).unwrap_or_default(), path.get(end + 1..).unwrap_or_default()),
        None => (path, &[]),
    }
}

/// A path below another.
pub(super) fn join(path: &[u16], below: &[u16]) -> Vec<u16> {
    match (path.is_empty(), below.is_empty()) {
        (true, _) => below.to_vec(),
        (_, true) => path.to_vec(),
        _ => [path, &[SEPARATOR], below].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_hives() {
        let hive = |hive, below: &str| Some(Place::Hive(hive, name::units(below)));
        let user = |sid: &str, classes, below: &str| {
            Some(Place::User(name::units(sid), classes, name::units(below)))
        };
        let cases = [
            ("HKLM\\SYSTEM\\Select", hive(HiveName::System, "Select")),
            ("\\HKLM\\SYSTEM", hive(HiveName::System, "")),
            ("hkey_local_machine\\software", hive(HiveName::Software, "")),
            ("HKLM\\BCD00000000\\Objects\\{x}", hive(HiveName::Bcd, "Objects\\{x}")),
            ("HKLM\\Schema\\x", hive(HiveName::Schema, "x")),
            ("HKU\\.DEFAULT\\Control Panel", hive(HiveName::Default, "Control Panel")),
            ("HKLM\\DEFAULT", None),
            ("HKLM\\NTUSER.DAT", None),
            ("HKCU\\Software", hive(HiveName::DefaultUser, "Software")),
            ("HKEY_CURRENT_USER", hive(HiveName::DefaultUser, "")),
            ("HKU\\default\\Environment", hive(HiveName::DefaultUser, "Environment")),
            ("HKU\\Default_Classes\\.x", hive(HiveName::DefaultUserClasses, ".x")),
            ("HKU\\S-1-5-18\\Software", user("S-1-5-18", false, "Software")),
            ("HKU\\S-1-5-18_classes\\.x", user("S-1-5-18", true, ".x")),
            ("HKU\\Ann", None),
            ("HKCR\\.txt", hive(HiveName::Software, "Classes\\.txt")),
            ("HKCR", hive(HiveName::Software, "Classes")),
            ("HKLM", Some(Place::Top(TopKey::LocalMachine))),
            ("HKEY_USERS\\", Some(Place::Top(TopKey::Users))),
            ("SYSTEM", None),
        ];
        for (path, expected) in cases {
            assert_eq!(split(&name::units(path)), expected, "{path}");
        }
        assert_eq!(below_classes(&name::units("software\\CLASSES\\.x")), Some(name::units(".x").as_slice()));
        assert_eq!(below_classes(&name::units("Software\\Classes")), Some([].as_slice()));
        assert_eq!(below_classes(&name::units("Software")), None);
    }
}
