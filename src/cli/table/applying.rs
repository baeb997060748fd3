// SPDX-License-Identifier: GPL-3.0-or-later
//! From an image file onto a directory or a disk.

use super::super::commands::{self, Action};
use super::{
    Argument, CHECK_INTEGRITY, Command, IMAGE_FILE, INDEX, Kind, NAME, Native, Occurs, Scope, flag, option,
};

pub(super) static COMMANDS: &[Command] = &[Command {
    dism: &["Apply-Image"],
    native: "image apply",
    scope: Scope::Imaging,
    shorthand: None,
    combines: false,
    arguments: &[
        IMAGE_FILE,
        Argument {
            id: "directory",
            dism: &["ApplyDir"],
            native: Native::Position,
            value_name: "DIR",
            kind: Kind::Path,
            occurs: Occurs::Optional,
            help: "The directory that gets the image, in any case; made if only itself is missing.",
        },
        INDEX,
        NAME,
        CHECK_INTEGRITY,
        flag("verify", &["Verify"], "verify", "Accepted: every byte is checked against its SHA-1 anyway."),
        flag("no_rp_fix", &["NoRpFix"], "no-rpfix", "Leaves the targets of links as they are."),
        option(
            "swm_file",
            &["SWMFile"],
            "swm-file",
            (Kind::Text, "PATTERN"),
            "Accepted for scripts: the parts of a split set are found beside the first.",
        ),
        flag(
            "confirm_trusted",
            &["ConfirmTrustedFile"],
            "confirm-trusted-file",
            "Refused: only Windows PE can tell.",
        ),
        option(
            "compact",
            &["Compact"],
            "compact",
            (Kind::Switch, ""),
            "Refused: files are not stored compressed.",
        ),
        flag("ea", &["EA"], "ea", "Refused: extended attributes are kept as metadata in any case."),
        flag("wim_boot", &["WIMBoot"], "wimboot", "Refused: such images are no longer used."),
        option(
            "drive",
            &["ApplyDrive"],
            "drive",
            (Kind::Text, "DEVICE"),
            "Refused: FFU files are not applied.",
        ),
        option("sfu_file", &["SFUFile"], "sfu-file", (Kind::Text, "PATTERN"), "Refused: as --drive."),
        flag("skip_platform_check", &["SkipPlatformCheck"], "skip-platform-check", "Refused: as --drive."),
    ],
    summary: "Writes an image to a directory, with everything that NTFS keeps of a file.",
    dism_example: "/Apply-Image /ImageFile:install.wim /Index:1 /ApplyDir:mnt",
    native_example: "image apply install.wim:1 mnt",
    action: Action::Host(commands::image::apply),
}];
