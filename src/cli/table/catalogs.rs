// SPDX-License-Identifier: GPL-3.0-or-later
//! Catalogs as files.

use super::super::commands::{self, Action};
use super::{Argument, Command, Kind, Native, Occurs, ROOT, Scope, option, own};

pub(super) static COMMANDS: &[Command] = &[
    own(
        "cat show",
        Scope::Imaging,
        &[Argument {
            id: "file",
            dism: &[],
            native: Native::Position,
            value_name: "FILE",
            kind: Kind::Path,
            occurs: Occurs::Repeated,
            help: "A catalog (.cat).",
        }],
        "Tells what catalogs list, and who signed them; nothing is verified.",
        "cat show viostor.cat",
        Action::Host(commands::cat::show),
    ),
    own(
        "cat verify",
        Scope::Imaging,
        &[
            Argument {
                id: "file",
                dism: &[],
                native: Native::Position,
                value_name: "CATALOG",
                kind: Kind::Path,
                occurs: Occurs::Required,
                help: "The catalog (.cat).",
            },
            Argument {
                id: "members",
                dism: &[],
                native: Native::Position,
                value_name: "MEMBER",
                kind: Kind::Path,
                occurs: Occurs::Any,
                help: "Files that must be in it.",
            },
            ROOT,
            option(
                "windows",
                &[],
                "windows",
                (Kind::Text, "VERSION"),
                "Files must be signed for this version of Windows, such as 10.0.",
            ),
        ],
        "Verifies a catalog's signatures, its signer's chain, and that files belong to it.",
        "cat verify viostor.cat viostor.sys viostor.inf",
        Action::Host(commands::cat::verify),
    ),
];
