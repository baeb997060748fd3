// SPDX-License-Identifier: GPL-3.0-or-later
//! Applications of Windows Installer, and their patches.

use super::{Command, servicing};

pub(super) static COMMANDS: &[Command] = &[
    servicing(&["Check-AppPatch"]),
    servicing(&["Get-AppInfo"]),
    servicing(&["Get-AppPatches"]),
    servicing(&["Get-AppPatchInfo"]),
    servicing(&["Get-Apps"]),
];
