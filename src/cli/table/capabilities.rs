// SPDX-License-Identifier: GPL-3.0-or-later
//! Capabilities (features on demand).

use super::{Command, servicing};

pub(super) static COMMANDS: &[Command] = &[
    servicing(&["Add-Capability"]),
    servicing(&["Export-Source"]),
    servicing(&["Get-Capabilities"]),
    servicing(&["Get-CapabilityInfo"]),
    servicing(&["Remove-Capability"]),
];
