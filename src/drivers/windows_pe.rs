// SPDX-License-Identifier: GPL-3.0-or-later
//! What a driver does in Windows PE: nothing, for classes whose users are not there.
//!
//! Windows PE installs what its Plug and Play finds in the store at every start, but has no sound,
//! no printing, no Bluetooth and no cameras. Class GUIDs as Microsoft publishes them; which classes
//! are of use follows from the components that Windows PE is documented to have.

use crate::image::WindowsInfo;

use super::class::SetupClass;

/// Classes without use, and what is missing.
const WITHOUT_USE: &[(&str, &str)] = &[
    ("{4d36e96c-e325-11ce-bfc1-08002be10318}", "sound and video"),
    ("{c166523c-fe0c-4a94-a586-f1a80cfbbf3e}", "sound"),
    ("{5989fce8-9cd0-467d-8a6a-5419e31529d4}", "sound"),
    ("{4d36e979-e325-11ce-bfc1-08002be10318}", "printing"),
    ("{1ed2bbf9-11f0-4084-b21f-ad83a8e6dcdc}", "printing"),
    ("{e0cbf06c-cd8b-4647-bb8a-263b43f0f974}", "Bluetooth"),
    ("{ca3e7ab9-b4c3-4ae6-8251-579ef933890f}", "cameras"),
    ("{6bdd1fc6-810f-11d0-bec7-08002be2092f}", "cameras and scanners"),
    ("{53d29ef7-377c-4d14-864b-eb3a85769359}", "biometric logon"),
    ("{5175d334-c371-4806-b3ba-71fd53c9258d}", "sensors"),
    ("{4d36e96d-e325-11ce-bfc1-08002be10318}", "dialling"),
    ("{eec5ad98-8080-425f-922a-dabf3de3f69a}", "portable devices"),
    ("{5c4c3332-344d-483c-8739-259e934c9cc8}", "software components"),
];

/// Why a driver of the class does nothing in the image; nothing when it may do something.
pub(super) fn warning(windows: &WindowsInfo, class: &SetupClass) -> Option<String> {
    if !windows.is_winpe {
        return None;
    }
    let class_guid = class.guid.to_string();
    let (_, what) = WITHOUT_USE.iter().find(|(guid, _)| *guid == class_guid)?;
    let name = class.name.as_deref().unwrap_or(&class_guid);
    Some(format!(
        "the image is a Windows PE, which has no {what}: a driver of class {name} does nothing there"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Arch;
    use crate::drivers::destination::tests::windows;

    #[test]
    fn only_in_windows_pe_and_only_some_classes() {
        let class = |guid: &str| SetupClass {
            guid: guid.parse().unwrap(),
            name: Some("X".to_owned()),
            description: None,
            boot_critical: false,
        };
        let usual = windows(Arch::Amd64);
        let pe = WindowsInfo { is_winpe: true, ..usual.clone() };
        let printer = class("{4d36e979-e325-11ce-bfc1-08002be10318}");
        let net = class("{4d36e972-e325-11ce-bfc1-08002be10318}");
        assert_eq!((warning(&usual, &printer), warning(&pe, &net)), (None, None));
        let expected =
            "the image is a Windows PE, which has no printing: a driver of class X does nothing there";
        assert_eq!(warning(&pe, &printer).as_deref(), Some(expected));
        assert!(WITHOUT_USE.iter().all(|(guid, _)| guid.parse::<crate::base::Guid>().is_ok()));
    }
}
