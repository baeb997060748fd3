// SPDX-License-Identifier: GPL-3.0-or-later
//! Going back to the Windows before an upgrade; needs the running system.

use super::{Command, servicing};

pub(super) static COMMANDS: &[Command] = &[
    servicing(&["Get-OSUninstallWindow"]),
    servicing(&["Initiate-OSUninstall"]),
    servicing(&["Remove-OSUninstall"]),
    servicing(&["Set-OSUninstallWindow"]),
];
