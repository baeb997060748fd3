// SPDX-License-Identifier: GPL-3.0-or-later
//! App packages provisioned for every user, and the Edge browser.

use super::{Argument, Command, Kind, Scope, flag, option, planned, repeated, required};

const PACKAGE_NAME: Argument = required(option(
    "package_name",
    &["PackageName"],
    "name",
    (Kind::Text, "NAME"),
    "The full name of an app package.",
));

const CUSTOM_DATA: Argument = option(
    "custom_data",
    &["CustomDataPath"],
    "custom-data",
    (Kind::Path, "FILE"),
    "A file for the app's own use.",
);

const SUPPORT_PATH: Argument = required(option(
    "support_path",
    &["SupportPath"],
    "support-path",
    (Kind::Path, "DIR"),
    "The folder with Edge.wim.",
));

pub(super) static COMMANDS: &[Command] = &[
    planned(
        &["Get-ProvisionedAppxPackages"],
        "app list",
        Scope::Servicing,
        &[],
        "Lists the app packages that every new user gets.",
    ),
    planned(
        &["Add-ProvisionedAppxPackage"],
        "app add",
        Scope::Servicing,
        &[
            option(
                "folder_path",
                &["FolderPath"],
                "folder",
                (Kind::Path, "DIR"),
                "The folder of an unpacked app.",
            ),
            option(
                "package_path",
                &["PackagePath"],
                "path",
                (Kind::Path, "FILE"),
                "An app package or a bundle.",
            ),
            repeated(option(
                "dependency",
                &["DependencyPackagePath"],
                "dependency",
                (Kind::Path, "FILE"),
                "A package that the app needs.",
            )),
            repeated(option(
                "optional",
                &["OptionalPackagePath"],
                "optional",
                (Kind::Path, "FILE"),
                "A package that completes the app.",
            )),
            repeated(option(
                "license",
                &["LicensePath", "LicenseFile"],
                "license",
                (Kind::Path, "FILE"),
                "The licence of the app.",
            )),
            flag("skip_license", &["SkipLicense"], "skip-license", "Adds an app that needs no licence."),
            CUSTOM_DATA,
            option(
                "region",
                &["Region"],
                "region",
                (Kind::Text, "LIST"),
                "`all`, or countries separated by semicolons.",
            ),
            option(
                "stub",
                &["StubPackageOption"],
                "stub",
                (Kind::Choice(&["installfull", "installstub"]), "WHAT"),
                "Whether the whole app or its stub is installed.",
            ),
        ],
        "Provisions an app package for every new user.",
    ),
    planned(
        &["Remove-ProvisionedAppxPackage"],
        "app remove",
        Scope::Servicing,
        &[PACKAGE_NAME],
        "Withdraws an app package from new users.",
    ),
    planned(
        &["Set-ProvisionedAppxDataFile"],
        "app set-data",
        Scope::Servicing,
        &[required(CUSTOM_DATA), PACKAGE_NAME],
        "Gives a provisioned app a file for its own use.",
    ),
    planned(
        &["Optimize-ProvisionedAppxPackages"],
        "app optimize",
        Scope::Servicing,
        &[],
        "Stores equal files of provisioned apps once.",
    ),
    planned(
        &["Get-NonRemovableAppPolicy"],
        "app policy",
        Scope::Servicing,
        &[],
        "Lists the apps that users may not remove.",
    ),
    planned(
        &["Set-NonRemovableAppPolicy"],
        "app set-policy",
        Scope::Servicing,
        &[
            required(option(
                "family",
                &["PackageFamily"],
                "family",
                (Kind::Text, "NAME"),
                "The family name of an app package.",
            )),
            required(option(
                "non_removable",
                &["NonRemovable"],
                "non-removable",
                (Kind::Choice(&["0", "1"]), "0|1"),
                "Whether users may not remove it.",
            )),
        ],
        "Sets whether users may remove an app.",
    ),
    planned(
        &["Add-Edge"],
        "edge add",
        Scope::Servicing,
        &[SUPPORT_PATH],
        "Adds the Edge browser and WebView.",
    ),
    planned(
        &["Add-EdgeBrowser"],
        "edge add-browser",
        Scope::Servicing,
        &[SUPPORT_PATH],
        "Adds the Edge browser.",
    ),
    planned(
        &["Add-EdgeWebView"],
        "edge add-webview",
        Scope::Servicing,
        &[SUPPORT_PATH],
        "Adds Edge's WebView.",
    ),
];
