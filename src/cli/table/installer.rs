// SPDX-License-Identifier: GPL-3.0-or-later
//! Applications of Windows Installer, and their patches.

use super::{Argument, Command, Kind, Occurs, Scope, option, planned, planned_short};

const PRODUCT_CODE: Argument = option(
    "product",
    &["ProductCode"],
    "product",
    (Kind::Text, "{GUID}"),
    "The product code of an application.",
);

const PATCH_CODE: Argument =
    option("patch", &["PatchCode"], "patch", (Kind::Text, "{GUID}"), "The code of a patch.");

pub(super) static COMMANDS: &[Command] = &[
    planned(&["Get-Apps"], "msi list", Scope::Servicing, &[], "Lists the applications in an image."),
    planned(
        &["Get-AppInfo"],
        "msi show",
        Scope::Servicing,
        &[PRODUCT_CODE],
        "Tells all about one application, or all of them.",
    ),
    planned(
        &["Get-AppPatches"],
        "msi patches",
        Scope::Servicing,
        &[PRODUCT_CODE],
        "Lists the patches of one application, or of all.",
    ),
    planned(
        &["Get-AppPatchInfo"],
        "msi patch",
        Scope::Servicing,
        &[PATCH_CODE, PRODUCT_CODE],
        "Tells all about patches of applications.",
    ),
    planned_short(
        &["Check-AppPatch"],
        "msi check",
        "location",
        &[Argument {
            occurs: Occurs::Repeated,
            ..option("location", &["PatchLocation"], "location", (Kind::Path, "FILE"), "A patch file (.msp).")
        }],
        "Tells whether patches fit the applications in an image.",
    ),
];
