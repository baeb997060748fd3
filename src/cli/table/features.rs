// SPDX-License-Identifier: GPL-3.0-or-later
//! Features.

use super::packages::{LIMIT_ACCESS, PACKAGE_NAME, PACKAGE_PATH, SOURCE};
use super::{Argument, Command, Kind, Occurs, Scope, flag, option, planned, planned_short};

const FEATURE_NAME: Argument =
    option("feature", &["FeatureName"], "feature", (Kind::Text, "NAME"), "The name of a feature.");

pub(super) static COMMANDS: &[Command] = &[
    planned(
        &["Get-Features"],
        "feature list",
        Scope::Servicing,
        &[PACKAGE_NAME, PACKAGE_PATH],
        "Lists the features of a package, by itself of Windows.",
    ),
    planned_short(
        &["Get-FeatureInfo"],
        "feature show",
        "feature",
        &[Argument { occurs: Occurs::Required, ..FEATURE_NAME }, PACKAGE_NAME, PACKAGE_PATH],
        "Tells all about a feature.",
    ),
    planned_short(
        &["Enable-Feature"],
        "feature enable",
        "feature",
        &[
            Argument { occurs: Occurs::Repeated, ..FEATURE_NAME },
            PACKAGE_NAME,
            SOURCE,
            LIMIT_ACCESS,
            flag("all", &["All"], "all", "Enables the features above it too."),
        ],
        "Enables features of Windows.",
    ),
    planned_short(
        &["Disable-Feature"],
        "feature disable",
        "feature",
        &[
            Argument { occurs: Occurs::Repeated, ..FEATURE_NAME },
            PACKAGE_NAME,
            flag(
                "remove",
                &["Remove"],
                "remove",
                "Removes the files too; the feature can then be enabled from a source only.",
            ),
        ],
        "Disables features of Windows.",
    ),
];
