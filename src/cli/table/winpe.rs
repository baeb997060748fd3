// SPDX-License-Identifier: GPL-3.0-or-later
//! Windows PE.

use super::{Command, servicing};

pub(super) static COMMANDS: &[Command] = &[
    servicing(&["Apply-Profiles"]),
    servicing(&["Disable-Profiling"]),
    servicing(&["Enable-Profiling"]),
    servicing(&["Get-PESettings"]),
    servicing(&["Get-Profiling"]),
    servicing(&["Get-ScratchSpace"]),
    servicing(&["Get-TargetPath"]),
    servicing(&["Set-ScratchSpace"]),
    servicing(&["Set-TargetPath"]),
];
