// SPDX-License-Identifier: GPL-3.0-or-later
//! Default programs of file types.

use super::{Command, servicing};

pub(super) static COMMANDS: &[Command] = &[
    servicing(&["Export-DefaultAppAssociations"]),
    servicing(&["Get-DefaultAppAssociations"]),
    servicing(&["Import-DefaultAppAssociations"]),
    servicing(&["Remove-DefaultAppAssociations"]),
];
