// SPDX-License-Identifier: GPL-3.0-or-later
//! Default programs of file types.

use super::{Command, Kind, Scope, planned, planned_short, value};

pub(super) static COMMANDS: &[Command] = &[
    planned(
        &["Get-DefaultAppAssociations"],
        "assoc list",
        Scope::Servicing,
        &[],
        "Lists the default programs of new users.",
    ),
    planned_short(
        &["Import-DefaultAppAssociations"],
        "assoc import",
        "value",
        &[value("FILE", Kind::Path, "The XML file.")],
        "Sets the default programs of new users.",
    ),
    planned_short(
        &["Export-DefaultAppAssociations"],
        "assoc export",
        "value",
        &[value("FILE", Kind::Path, "The XML file to write.")],
        "Writes the default programs of the running Windows to a file.",
    ),
    planned(
        &["Remove-DefaultAppAssociations"],
        "assoc remove",
        Scope::Servicing,
        &[],
        "Removes the default programs of new users.",
    ),
];
