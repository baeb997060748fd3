// SPDX-License-Identifier: GPL-3.0-or-later
//! Packages, and the image as a whole that they make up.

use super::{Command, servicing};

pub(super) static COMMANDS: &[Command] = &[
    servicing(&["Add-Package"]),
    servicing(&["Cleanup-Image"]),
    servicing(&["Get-PackageInfo"]),
    servicing(&["Get-Packages"]),
    servicing(&["Optimize-Image"]),
    servicing(&["Remove-Package"]),
    servicing(&["Get-ReservedStorageState"]),
    servicing(&["Set-ReservedStorageState"]),
];
