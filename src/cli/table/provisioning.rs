// SPDX-License-Identifier: GPL-3.0-or-later
//! Provisioning packages.

use super::{Argument, Command, Kind, Scope, option, planned, required};

const PACKAGE_PATH: Argument = required(option(
    "package_path",
    &["PackagePath"],
    "path",
    (Kind::Path, "FILE"),
    "The provisioning package (.ppkg).",
));

const CATALOG_PATH: Argument =
    option("catalog", &["CatalogPath"], "catalog", (Kind::Path, "FILE"), "The catalog that signs it.");

pub(super) static COMMANDS: &[Command] = &[
    planned(
        &["Get-ProvisioningPackageInfo"],
        "provisioning show",
        Scope::Servicing,
        &[PACKAGE_PATH],
        "Tells what a provisioning package says about itself.",
    ),
    planned(
        &["Add-ProvisioningPackage"],
        "provisioning add",
        Scope::Servicing,
        &[PACKAGE_PATH, CATALOG_PATH],
        "Adds a provisioning package to an image.",
    ),
];
