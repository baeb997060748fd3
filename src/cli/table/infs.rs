// SPDX-License-Identifier: GPL-3.0-or-later
//! INF files.

use super::super::commands::{self, Action};
use super::{Argument, Command, Kind, Native, Occurs, Scope, flag, option, own};

const FILES: Argument = Argument {
    id: "file",
    dism: &[],
    native: Native::Position,
    value_name: "FILE",
    kind: Kind::Path,
    occurs: Occurs::Repeated,
    help: "An INF file.",
};

const ARCHITECTURE: Argument = option(
    "architecture",
    &[],
    "architecture",
    (Kind::Choice(&["x86", "amd64", "arm", "arm64", "ia64"]), "ARCH"),
    "The architecture it is read for; amd64 if none is named.",
);

const WINDOWS: Argument = option(
    "windows",
    &[],
    "windows",
    (Kind::Text, "VERSION"),
    "The Windows it is read for: 6.1, 10.0, 10.0.19041; the newest if none is named.",
);

pub(super) static COMMANDS: &[Command] = &[
    own(
        "inf show",
        Scope::Imaging,
        &[FILES, ARCHITECTURE, WINDOWS],
        "Tells what INF files would install on a Windows: devices, files, services, registry.",
        "inf show viostor.inf --architecture arm64 --windows 10.0.22621",
        Action::Host(commands::inf::show),
    ),
    own(
        "inf check",
        Scope::Imaging,
        &[
            FILES,
            ARCHITECTURE,
            WINDOWS,
            flag(
                "universal",
                &[],
                "universal",
                "Takes what a universal driver must not do (1300 to 1399) as errors.",
            ),
        ],
        "Checks INF files; findings have the numbers of Microsoft's InfVerif.",
        "inf check viostor.inf netkvm.inf",
        Action::Host(commands::inf::check),
    ),
];
