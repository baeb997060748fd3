// SPDX-License-Identifier: GPL-3.0-or-later
//! What Setup captures and applies beside the image itself: customisations and siloed packages.

use super::{Argument, CHECK_INTEGRITY, Command, Kind, Occurs, Scope, flag, option, planned, required};

const IMAGE_PATH: Argument = required(option(
    "image_path",
    &["ImagePath"],
    "image-path",
    (Kind::Path, "DIR"),
    "The root of the applied image.",
));

pub(super) static COMMANDS: &[Command] = &[
    planned(
        &["Capture-CustomImage"],
        "custom capture",
        Scope::Imaging,
        &[
            required(option(
                "capture_dir",
                &["CaptureDir"],
                "from",
                (Kind::Path, "DIR"),
                "The volume of the system.",
            )),
            option("config_file", &["ConfigFile"], "config", (Kind::Path, "FILE"), "What is left out."),
            CHECK_INTEGRITY,
            flag("verify", &["Verify"], "verify", "Checks files while they are captured."),
            flag("trusted", &["ConfirmTrustedFile"], "confirm-trusted-file", "Accepts trusted files only."),
        ],
        "Captures customisations into a file beside the image that a volume runs from.",
    ),
    planned(
        &["Apply-CustomDataImage"],
        "custom apply",
        Scope::Imaging,
        &[
            required(option(
                "data",
                &["CustomDataImage"],
                "data",
                (Kind::Path, "FILE"),
                "The file with the customisations.",
            )),
            IMAGE_PATH,
            required(flag(
                "single_instance",
                &["SingleInstance"],
                "single-instance",
                "Replaces files by pointers.",
            )),
        ],
        "Replaces files of an applied image by pointers into a file.",
    ),
    planned(
        &["Apply-SiloedPackage"],
        "custom add-siloed",
        Scope::Imaging,
        &[
            Argument {
                occurs: Occurs::Repeated,
                ..option(
                    "package",
                    &["PackagePath"],
                    "path",
                    (Kind::Path, "FILE"),
                    "A siloed package (.spp).",
                )
            },
            IMAGE_PATH,
        ],
        "Adds siloed provisioning packages to an applied image.",
    ),
];
