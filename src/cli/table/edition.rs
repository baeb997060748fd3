// SPDX-License-Identifier: GPL-3.0-or-later
//! The edition of Windows and its product key.

use super::{Command, servicing};

pub(super) static COMMANDS: &[Command] = &[
    servicing(&["Get-CurrentEdition"]),
    servicing(&["Get-TargetEditions"]),
    servicing(&["Set-Edition"]),
    servicing(&["Set-ProductKey"]),
];
