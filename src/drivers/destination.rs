// SPDX-License-Identifier: GPL-3.0-or-later
//! Where directory identifiers (dirids) of INFs lie in an offline image.
//!
//! Sources: "Using Dirids" of MicrosoftDocs/windows-driver-docs; numbers from 16384 on are
//! CSIDL values plus 16384.

use crate::base::{Arch, WinPath};
use crate::image::WindowsInfo;

/// The package's own folder in the store (8.1 and later).
pub(super) const STORE_DIRID: u32 = 13;

/// A directory of the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Directory {
    /// From the image's root.
    pub(super) path: WinPath,
    /// Components below the Windows directory; nothing when it is elsewhere.
    pub(super) below_windows: Option<WinPath>,
}

/// The directory of a dirid; nothing for one that has no fixed place offline.
pub(super) fn directory(dirid: u32, windows: &WindowsInfo) -> Option<Directory> {
    let is_64_bit = matches!(windows.arch, Arch::Amd64 | Arch::Arm64 | Arch::Ia64);
    let below = match dirid {
        10 | 25 => "",
        11 => "System32",
        12 => "System32\\drivers",
        17 => "INF",
        18 => "Help",
        20 => "Fonts",
        21 => "System32\\viewers",
        23 => "System32\\spool\\drivers\\color",
        50 => "system",
        51 => "System32\\spool",
        52 => "System32\\spool\\drivers",
        55 => "System32\\spool\\prtprocs",
        16425 if is_64_bit => "SysWOW64",
        16425 => "System32",
        _ => return outside(dirid, is_64_bit),
    };
    let below = WinPath::parse(below)?;
    Some(Directory { path: windows.directory.join_path(&below), below_windows: Some(below) })
}

fn outside(dirid: u32, is_64_bit: bool) -> Option<Directory> {
    let path = match dirid {
        24 | 30 | 54 => "",
        16422 => "Program Files",
        16426 if is_64_bit => "Program Files (x86)",
        16426 => "Program Files",
        16427 => "Program Files\\Common Files",
        16428 if is_64_bit => "Program Files (x86)\\Common Files",
        16428 => "Program Files\\Common Files",
        _ => return None,
    };
    Some(Directory { path: WinPath::parse(path)?, below_windows: None })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::base::Version;

    /// Windows 10 of build 14393 in the usual directory, for the tests of this room.
    pub(in crate::drivers) fn windows(arch: Arch) -> WindowsInfo {
        WindowsInfo {
            directory: WinPath::root().join("Windows"),
            arch,
            version: Version::new(10, 0, 14393, 0),
            edition: None,
            installation_type: None,
            product_type: 1,
            suite_mask: 0,
            language: 0x409,
            is_winpe: false,
        }
    }

    #[test]
    fn places() {
        let place = |dirid, arch| directory(dirid, &windows(arch)).map(|found| found.path.to_string());
        let cases = [
            (12, Arch::Amd64, Some("Windows\\System32\\drivers")),
            (10, Arch::Amd64, Some("Windows")),
            (16425, Arch::Amd64, Some("Windows\\SysWOW64")),
            (16425, Arch::X86, Some("Windows\\System32")),
            (16422, Arch::X86, Some("Program Files")),
            (16426, Arch::Arm64, Some("Program Files (x86)")),
            (66000, Arch::Amd64, None),
            (STORE_DIRID, Arch::Amd64, None),
        ];
        for (dirid, arch, expected) in cases {
            assert_eq!(place(dirid, arch).as_deref(), expected, "{dirid} {arch}");
        }
    }
}
