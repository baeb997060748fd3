// SPDX-License-Identifier: GPL-3.0-or-later
//! Which Windows has which of DISM's commands.
//!
//! Source of the facts: Microsoft's DISM reference for Windows 7 to 11 and captured help of
//! several builds (sections 3 and 4 of the command-line contract). Where nothing was found, the
//! command is taken to be as old as DISM itself.

use crate::image::WindowsInfo;

/// A range of Windows builds, and the kinds of image in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Support {
    /// The first build with the command.
    pub(crate) since: u32,
    /// The first build without it again.
    pub(crate) until: u32,
    /// What kind of image it is for.
    pub(crate) target: Target,
}

/// What kind of image a command is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Any.
    Any,
    /// A full Windows, not Windows PE.
    Full,
    /// Windows PE only.
    WinPe,
    /// The running system only.
    Online,
}

const SEVEN: u32 = 7600;
const EIGHT: u32 = 9200;
const EIGHT_ONE: u32 = 9600;
const TEN: u32 = 10_240;

impl Support {
    /// Whether an image of this Windows has the command.
    pub(crate) fn has(&self, windows: &WindowsInfo) -> bool {
        let kind = match self.target {
            Target::Any => true,
            Target::Full => !windows.is_winpe,
            Target::WinPe => windows.is_winpe,
            Target::Online => false,
        };
        kind && (self.since..self.until).contains(&windows.version.build.into())
    }

    /// `Since Windows 8.`, or nothing for what DISM always had.
    pub(crate) fn sentence(&self) -> Option<String> {
        let since = (self.since > SEVEN).then(|| format!("Since {}.", windows_name(self.since)));
        let until = (self.until < u32::MAX).then(|| format!("Gone since {}.", windows_name(self.until)));
        let target = match self.target {
            Target::Any => None,
            Target::Full => Some("Not for Windows PE.".to_owned()),
            Target::WinPe => Some("For Windows PE only.".to_owned()),
            Target::Online => Some("For the running system only.".to_owned()),
        };
        let parts: Vec<String> = since.into_iter().chain(until).chain(target).collect();
        (!parts.is_empty()).then(|| parts.join(" "))
    }
}

fn windows_name(build: u32) -> String {
    let name = match build {
        SEVEN => "7",
        EIGHT => "8",
        EIGHT_ONE => "8.1",
        TEN => "10",
        14_393 => "10, version 1607",
        16_299 => "10, version 1709",
        17_134 => "10, version 1803",
        18_362 => "10, version 1903",
        19_041 => "10, version 2004",
        22_621 => "11, version 22H2",
        other => return format!("build {other}"),
    };
    format!("Windows {name}")
}

/// What is known about a DISM command, by its first name.
pub(crate) fn support(dism_name: &str) -> Support {
    use Target::{Any, Full, Online, WinPe};
    let (since, until, target) = match dism_name {
        "Apply-Image" | "Capture-Image" | "Append-Image" | "Export-Image" | "Delete-Image"
        | "Split-Image" | "List-Image" => (EIGHT, u32::MAX, Any),
        "Apply-Ffu" | "Split-Ffu" | "Apply-CustomDataImage" => (TEN, u32::MAX, Any),
        "Capture-Ffu" => (16_299, u32::MAX, Any),
        "Optimize-Ffu" => (18_362, u32::MAX, Any),
        "Apply-SiloedPackage" => (14_393, u32::MAX, Any),
        "Get-WIMBootEntry" | "Update-WIMBootEntry" | "Capture-CustomImage" => (EIGHT_ONE, u32::MAX, Any),
        "Optimize-Image" => (EIGHT_ONE, u32::MAX, Full),
        "Export-Source" => (18_362, u32::MAX, Full),
        "Get-Capabilities"
        | "Get-CapabilityInfo"
        | "Add-Capability"
        | "Remove-Capability"
        | "Get-ProvisioningPackageInfo"
        | "Add-ProvisioningPackage" => (TEN, u32::MAX, Full),
        "Get-ReservedStorageState" | "Set-ReservedStorageState" => (19_041, u32::MAX, Online),
        "Export-Driver" => (EIGHT_ONE, u32::MAX, Full),
        "Get-CurrentEdition" | "Get-TargetEditions" | "Set-Edition" | "Set-ProductKey" | "Apply-Unattend"
        | "Get-Apps" | "Get-AppInfo" | "Get-AppPatches" | "Get-AppPatchInfo" | "Check-AppPatch" => {
            (SEVEN, u32::MAX, Full)
        }
        "Get-ProvisionedAppxPackages"
        | "Add-ProvisionedAppxPackage"
        | "Remove-ProvisionedAppxPackage"
        | "Set-ProvisionedAppxDataFile"
        | "Import-DefaultAppAssociations"
        | "Get-DefaultAppAssociations"
        | "Remove-DefaultAppAssociations" => (EIGHT, u32::MAX, Full),
        "Export-DefaultAppAssociations" => (EIGHT, u32::MAX, Online),
        "Optimize-ProvisionedAppxPackages" | "Get-NonRemovableAppPolicy" | "Set-NonRemovableAppPolicy" => {
            (18_362, u32::MAX, Full)
        }
        "Add-Edge" | "Add-EdgeBrowser" | "Add-EdgeWebView" | "Set-SysUILang" => (22_621, u32::MAX, Full),
        "Get-PESettings" | "Get-ScratchSpace" | "Get-TargetPath" | "Set-ScratchSpace" | "Set-TargetPath" => {
            (SEVEN, u32::MAX, WinPe)
        }
        "Get-Profiling" | "Enable-Profiling" | "Disable-Profiling" | "Apply-Profiles" => {
            (SEVEN, EIGHT_ONE, WinPe)
        }
        "Get-OSUninstallWindow" | "Set-OSUninstallWindow" | "Initiate-OSUninstall" | "Remove-OSUninstall" => {
            (17_134, u32::MAX, Online)
        }
        _ => (SEVEN, u32::MAX, Any),
    };
    Support { since, until, target }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Arch, Version, WinPath};
    use crate::cli::table::commands;

    fn windows(build: u16, is_winpe: bool) -> WindowsInfo {
        WindowsInfo {
            directory: WinPath::default(),
            arch: Arch::Amd64,
            version: Version::new(10, 0, build, 1),
            edition: None,
            installation_type: None,
            product_type: 1,
            suite_mask: 0,
            language: 0x409,
            is_winpe,
        }
    }

    #[test]
    fn an_image_has_what_its_windows_has() {
        let cases = [
            ("Add-Driver", 7601, false, true),
            ("Add-Driver", 22_621, true, true),
            ("Get-Capabilities", 9600, false, false),
            ("Get-Capabilities", 10_240, false, true),
            ("Get-Capabilities", 26_100, true, false),
            ("Get-PESettings", 26_100, false, false),
            ("Get-PESettings", 26_100, true, true),
            ("Get-Profiling", 9200, true, true),
            ("Get-Profiling", 9600, true, false),
            ("Get-ReservedStorageState", 26_100, false, false),
        ];
        for (name, build, is_winpe, expected) in cases {
            assert_eq!(support(name).has(&windows(build, is_winpe)), expected, "{name} {build}");
        }
    }

    #[test]
    fn sentences() {
        let sentence = |name| support(name).sentence().unwrap_or_default();
        assert_eq!(sentence("Add-Driver"), "");
        assert_eq!(sentence("Get-Capabilities"), "Since Windows 10. Not for Windows PE.");
        assert_eq!(sentence("Get-Profiling"), "Gone since Windows 8.1. For Windows PE only.");
    }

    #[test]
    fn every_name_here_is_a_command() {
        let source = include_str!("support.rs");
        let table = source.split("fn support(").nth(1).unwrap().split("#[cfg(test)]").next().unwrap();
        let names: Vec<&str> = table.split('"').skip(1).step_by(2).collect();
        assert!(names.len() > 50);
        for name in names {
            assert!(commands().any(|command| command.dism.first() == Some(&name)), "{name}");
        }
    }
}
