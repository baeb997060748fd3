// SPDX-License-Identifier: GPL-3.0-or-later
//! Packages, the component store, and the image as a whole that they make up.

use super::{Argument, Command, Kind, Scope, flag, option, planned, repeated, required};

/// A package by its identity.
pub(super) const PACKAGE_NAME: Argument = option(
    "package_name",
    &["PackageName"],
    "name",
    (Kind::Text, "IDENTITY"),
    "The identity of a package in the image: name~token~architecture~language~version.",
);

/// A package by the file it comes in.
pub(super) const PACKAGE_PATH: Argument = option(
    "package_path",
    &["PackagePath"],
    "path",
    (Kind::Path, "PATH"),
    "A package file, or the folder of an expanded one.",
);

pub(super) const SOURCE: Argument = repeated(option(
    "source",
    &["Source"],
    "source",
    (Kind::Path, "PATH"),
    "Where missing files are taken from: a Windows folder or a component store; the first with the files wins.",
));

pub(super) const LIMIT_ACCESS: Argument = flag(
    "limit_access",
    &["LimitAccess"],
    "limit-access",
    "Accepted for scripts: Windows Update is never asked.",
);

pub(super) static COMMANDS: &[Command] = &[
    planned(&["Get-Packages"], "package list", Scope::Servicing, &[], "Lists the packages in an image."),
    planned(
        &["Get-PackageInfo"],
        "package show",
        Scope::Servicing,
        &[PACKAGE_NAME, PACKAGE_PATH],
        "Tells all about a package in an image, or in a file.",
    ),
    planned(
        &["Add-Package"],
        "package add",
        Scope::Servicing,
        &[
            Argument { occurs: super::Occurs::Repeated, ..PACKAGE_PATH },
            flag(
                "ignore_check",
                &["IgnoreCheck"],
                "ignore-check",
                "Does not check whether a package fits the image.",
            ),
            flag(
                "prevent_pending",
                &["PreventPending"],
                "prevent-pending",
                "Skips a package if it, or the image, has actions that wait for a boot.",
            ),
        ],
        "Adds packages (.cab, .msu, or folders with them) to an image.",
    ),
    planned(
        &["Remove-Package"],
        "package remove",
        Scope::Servicing,
        &[repeated(PACKAGE_NAME), repeated(PACKAGE_PATH)],
        "Removes packages from an image.",
    ),
    planned(
        &["Cleanup-Image"],
        "store cleanup",
        Scope::Servicing,
        &[
            flag(
                "revert_pending_actions",
                &["RevertPendingActions"],
                "revert-pending-actions",
                "Takes back what the last servicing left for the next boot.",
            ),
            flag(
                "sp_superseded",
                &["SPSuperseded"],
                "sp-superseded",
                "Removes the backup of a service pack.",
            ),
            flag(
                "hide_sp",
                &["HideSP"],
                "hide-sp",
                "With it the service pack is no longer listed as removable.",
            ),
            flag(
                "start_component_cleanup",
                &["StartComponentCleanup"],
                "start-component-cleanup",
                "Removes superseded components from the store.",
            ),
            flag("reset_base", &["ResetBase"], "reset-base", "With it installed updates become permanent."),
            flag(
                "defer",
                &["Defer"],
                "defer",
                "With it long work is left to the next maintenance of Windows.",
            ),
            flag(
                "analyze_component_store",
                &["AnalyzeComponentStore"],
                "analyze-component-store",
                "Reports the size of the component store.",
            ),
            flag(
                "check_health",
                &["CheckHealth"],
                "check-health",
                "Tells whether the store was marked as damaged.",
            ),
            flag("scan_health", &["ScanHealth"], "scan-health", "Checks every component of the store."),
            flag(
                "restore_health",
                &["RestoreHealth"],
                "restore-health",
                "Checks every component and repairs the store.",
            ),
            SOURCE,
            LIMIT_ACCESS,
        ],
        "Cleans, checks or repairs the component store; takes exactly one of its actions.",
    ),
    planned(
        &["Optimize-Image"],
        "store optimize",
        Scope::Servicing,
        &[
            flag(
                "wim_boot",
                &["WIMBoot"],
                "wimboot",
                "Prepares a Windows 8.1 image to be run from its file.",
            ),
            flag("boot", &["Boot"], "boot", "Does work beforehand that Windows would do at its first boot."),
        ],
        "Prepares an image for its first boot.",
    ),
    planned(
        &["Get-ReservedStorageState"],
        "storage show",
        Scope::Servicing,
        &[],
        "Tells whether Windows keeps storage in reserve for updates.",
    ),
    planned(
        &["Set-ReservedStorageState"],
        "storage set",
        Scope::Servicing,
        &[required(option(
            "state",
            &["State"],
            "state",
            (Kind::Choice(&["enabled", "disabled"]), "STATE"),
            "Whether storage is kept in reserve.",
        ))],
        "Sets whether Windows keeps storage in reserve for updates.",
    ),
    planned(
        &["Export-Source"],
        "store export",
        Scope::Servicing,
        &[
            required(Argument { occurs: super::Occurs::Optional, ..SOURCE }),
            required(option(
                "target",
                &["Target"],
                "target",
                (Kind::Path, "DIR"),
                "The folder that gets the repository.",
            )),
            repeated(super::capabilities::CAPABILITY_NAME),
        ],
        "Copies the packages of some capabilities into a smaller repository.",
    ),
];
