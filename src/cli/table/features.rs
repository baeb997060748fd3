// SPDX-License-Identifier: GPL-3.0-or-later
//! Features.

use super::{Command, servicing};

pub(super) static COMMANDS: &[Command] = &[
    servicing(&["Disable-Feature"]),
    servicing(&["Enable-Feature"]),
    servicing(&["Get-FeatureInfo"]),
    servicing(&["Get-Features"]),
];
