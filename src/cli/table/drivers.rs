// SPDX-License-Identifier: GPL-3.0-or-later
//! Driver packages.

use super::super::commands::{self, Action};
use super::{Argument, Command, Kind, Native, Occurs, ROOT, Scope, flag, servicing};

pub(super) static COMMANDS: &[Command] = &[
    Command {
        dism: &["Get-Drivers"],
        native: "driver list",
        scope: Scope::Servicing,
        shorthand: None,
        combines: false,
        arguments: &[flag("all", &["All"], "all", "Lists the packages that came with Windows too.")],
        summary: "Lists the driver packages in an image.",
        dism_example: "/Image:install.wim /Index:1 /Get-Drivers /Format:Table",
        native_example: "--image install.wim:1 driver list",
        action: Action::Read(commands::driver::list),
    },
    Command {
        dism: &["Get-DriverInfo"],
        native: "driver show",
        scope: Scope::Servicing,
        shorthand: Some("driver"),
        combines: false,
        arguments: &[Argument {
            id: "driver",
            dism: &["Driver"],
            native: Native::Position,
            value_name: "NAME|INF",
            kind: Kind::Path,
            occurs: Occurs::Repeated,
            help: "A published name such as oem1.inf, or the path of an INF that is not in the image.",
        }],
        summary: "Tells all about a driver package: its class, version, devices and services.",
        dism_example: "/Image:install.wim /Index:1 /Get-DriverInfo /Driver:oem0.inf",
        native_example: "--image install.wim:1 driver show oem0.inf",
        action: Action::Read(commands::driver::show),
    },
    Command {
        dism: &["Add-Driver"],
        native: "driver add",
        scope: Scope::Servicing,
        shorthand: None,
        combines: false,
        arguments: &[
            Argument {
                id: "driver",
                dism: &["Driver"],
                native: Native::Position,
                value_name: "PATH",
                kind: Kind::Path,
                occurs: Occurs::Repeated,
                help: "An INF, or a folder whose INFs are all added.",
            },
            flag("recurse", &["Recurse"], "recurse", "Looks into the folders below a folder too."),
            flag(
                "force_unsigned",
                &["ForceUnsigned"],
                "force-unsigned",
                "Adds packages whose catalog does not vouch for them; 64-bit Windows will not load such drivers.",
            ),
            flag(
                "all_or_nothing",
                &["AllOrNothing", "All-Or-Nothing"],
                "all-or-nothing",
                "Adds nothing if one package cannot be added; else the good ones are kept.",
            ),
            ROOT,
        ],
        summary: "Adds driver packages to an image.",
        dism_example: "/Image:install.wim /Index:1 /Add-Driver /Driver:/srv/drv /Recurse",
        native_example: "--image install.wim:1 driver add /srv/drv --recurse",
        action: Action::Change(commands::driver::add),
    },
    servicing(&["Export-Driver"]),
    servicing(&["Remove-Driver"]),
];
