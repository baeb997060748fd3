// SPDX-License-Identifier: GPL-3.0-or-later
//! Going back to the Windows before an upgrade; needs the running system.

use super::{Command, Kind, Scope, option, planned, required};

pub(super) static COMMANDS: &[Command] = &[
    planned(
        &["Get-OSUninstallWindow"],
        "uninstall show",
        Scope::Servicing,
        &[],
        "Tells for how many days one can go back to the Windows before.",
    ),
    planned(
        &["Set-OSUninstallWindow"],
        "uninstall set",
        Scope::Servicing,
        &[required(option("days", &["Value"], "days", (Kind::Number, "DAYS"), "How many days."))],
        "Sets for how many days one can go back to the Windows before.",
    ),
    planned(
        &["Initiate-OSUninstall"],
        "uninstall start",
        Scope::Servicing,
        &[],
        "Goes back to the Windows before.",
    ),
    planned(
        &["Remove-OSUninstall"],
        "uninstall remove",
        Scope::Servicing,
        &[],
        "Gives up going back to the Windows before.",
    ),
];
