// SPDX-License-Identifier: GPL-3.0-or-later
//! The edition of Windows and its product key.

use super::{Command, Kind, Scope, flag, option, planned, planned_short, value};

pub(super) static COMMANDS: &[Command] = &[
    planned(&["Get-CurrentEdition"], "edition show", Scope::Servicing, &[], "Tells the edition of an image."),
    planned(
        &["Get-TargetEditions"],
        "edition targets",
        Scope::Servicing,
        &[],
        "Lists the editions that an image can be upgraded to.",
    ),
    planned_short(
        &["Set-Edition"],
        "edition set",
        "value",
        &[
            value("EDITION", Kind::Text, "The edition to upgrade to."),
            option(
                "product_key",
                &["ProductKey"],
                "key",
                (Kind::Text, "KEY"),
                "The product key of the new edition.",
            ),
            flag("accept_eula", &["AcceptEula"], "accept-eula", "Accepts the licence terms."),
            option(
                "get_eula",
                &["GetEula"],
                "get-eula",
                (Kind::Path, "FILE"),
                "Where the licence terms are written to.",
            ),
        ],
        "Upgrades an image to a higher edition.",
    ),
    planned_short(
        &["Set-ProductKey"],
        "edition set-key",
        "value",
        &[value("KEY", Kind::Text, "Five groups of five, with hyphens between.")],
        "Sets the product key of an image.",
    ),
];
