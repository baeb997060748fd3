// SPDX-License-Identifier: GPL-3.0-or-later
//! Mounted images.

use super::{Command, imaging};

pub(super) static COMMANDS: &[Command] = &[
    imaging(&["Cleanup-Mountpoints", "Cleanup-Wim"]),
    imaging(&["Commit-Image", "Commit-Wim"]),
    imaging(&["Get-MountedImageInfo", "Get-MountedWimInfo"]),
    imaging(&["Mount-Image", "Mount-Wim"]),
    imaging(&["Remount-Image", "Remount-Wim"]),
    imaging(&["Unmount-Image", "Unmount-Wim"]),
];
