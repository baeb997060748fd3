// SPDX-License-Identifier: GPL-3.0-or-later
//! The users that an image has profiles of, from `ProfileList` in its SOFTWARE hive.

use crate::base::{Result, WinName, WinPath, name};
use crate::hive::Hive;

/// A profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserProfile {
    /// The user's SID, as it is written there.
    pub sid: WinName,
    /// Its folder in the image.
    pub path: WinPath,
}

const PROFILE_LIST: &str = "Microsoft\\Windows NT\\CurrentVersion\\ProfileList";

/// Every profile whose folder is said, by SID.
pub(super) fn read(software: &Hive, windows: &WinPath) -> Result<Vec<UserProfile>> {
    let Some(list) = software.find(software.root(), PROFILE_LIST)? else { return Ok(Vec::new()) };
    let mut users = Vec::new();
    for key in software.subkeys(list)? {
        let value = software.value(key, &name::units("ProfileImagePath"))?;
        if let Some(path) = value.and_then(|value| value.as_text()).and_then(|text| folder(&text, windows)) {
            users.push(UserProfile { sid: software.name(key)?, path });
        }
    }
    Ok(users)
}

/// `%SystemDrive%\Users\Ann`, `C:\Users\Ann` and `%systemroot%\ServiceProfiles\X` as paths in the
/// image, whose one volume has whatever letter the text says.
fn folder(text: &str, windows: &WinPath) -> Option<WinPath> {
    let (first, rest) = text.split_once('\\').unwrap_or((text, ""));
    let below = WinPath::parse(rest)?;
    match first.to_ascii_lowercase().as_str() {
        "%systemroot%" | "%windir%" => Some(windows.join_path(&below)),
        "%systemdrive%" => Some(below),
        drive => matches!(drive.as_bytes(), [letter, b':'] if letter.is_ascii_alphabetic()).then_some(below),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_profiles() {
        let windows = WinPath::parse("Windows").unwrap();
        let cases = [
            ("%SystemDrive%\\Users\\Ann", Some("Users\\Ann")),
            ("C:\\Users\\Ann", Some("Users\\Ann")),
            (
                "%systemroot%\\system32\\config\\systemprofile",
                Some("Windows\\system32\\config\\systemprofile"),
            ),
            ("%ProgramData%\\x", None),
            ("\\\\server\\share", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|path| WinPath::parse(path).unwrap());
            assert_eq!(folder(text, &windows), expected, "{text}");
        }
    }
}
