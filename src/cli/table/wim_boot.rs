// SPDX-License-Identifier: GPL-3.0-or-later
//! WIMBoot: images that Windows runs from; no longer used.

use super::{Argument, Command, IMAGE_FILE, Kind, Native, Scope, option, planned, required};

pub(super) static COMMANDS: &[Command] = &[
    planned(
        &["Get-WIMBootEntry"],
        "wimboot list",
        Scope::Imaging,
        &[required(option("path", &["Path"], "path", (Kind::Path, "DIR"), "The volume."))],
        "Lists the WIM files that a volume runs from.",
    ),
    planned(
        &["Update-WIMBootEntry"],
        "wimboot update",
        Scope::Imaging,
        &[
            required(option("path", &["Path"], "path", (Kind::Path, "DIR"), "The volume.")),
            required(option(
                "source",
                &["DataSourceID"],
                "source",
                (Kind::Number, "N"),
                "The number of the entry.",
            )),
            Argument {
                native: Native::Option("file"),
                value_name: "FILE",
                help: "The WIM file.",
                ..IMAGE_FILE
            },
        ],
        "Lets a volume run from another WIM file.",
    ),
];
