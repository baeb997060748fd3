// SPDX-License-Identifier: GPL-3.0-or-later
//! From a directory into an image file.

use super::super::commands::{self, Action};
use super::{Argument, Command, IMAGE_FILE, Kind, Native, Occurs, Scope, flag, option};

const DIRECTORY: Argument = Argument {
    id: "directory",
    dism: &["CaptureDir"],
    native: Native::Position,
    value_name: "DIR",
    kind: Kind::Path,
    occurs: Occurs::Required,
    help: "The folder that is captured.",
};

const NAME: Argument = Argument {
    occurs: Occurs::Required,
    ..option("name", &["Name"], "name", (Kind::Text, "NAME"), "What the image is called.")
};

const DESCRIPTION: Argument =
    option("description", &["Description"], "description", (Kind::Text, "TEXT"), "Its description.");

const FLAGS: Argument =
    option("flags", &[], "flags", (Kind::Text, "EDITION"), "The edition as Setup knows it.");

const CONFIG: Argument = option(
    "config",
    &["ConfigFile"],
    "config",
    (Kind::Path, "FILE"),
    "What is left out and what is not compressed (WimScript.ini), instead of what Windows leaves out.",
);

const BOOTABLE: Argument = flag("bootable", &["Bootable"], "boot", "Makes the image the one to boot from.");

const VERIFY: Argument = flag("verify", &["Verify"], "verify", "Reads the whole file again afterwards.");

const NO_RPFIX: Argument = flag(
    "no_rpfix",
    &["NoRpFix"],
    "norpfix",
    "Leaves absolute links into the folder as they are, instead of counting them from the image's root.",
);

const WIM_BOOT: Argument =
    flag("wim_boot", &["WIMBoot"], "wimboot", "Refused: such images are no longer used.");

const EA: Argument =
    flag("ea", &["EA"], "ea", "Refused: extended attributes of a Linux folder are not those of Windows.");

pub(super) static COMMANDS: &[Command] = &[
    Command {
        dism: &["Capture-Image"],
        native: "image capture",
        scope: Scope::Imaging,
        shorthand: None,
        combines: false,
        arguments: &[
            DIRECTORY,
            Argument { value_name: "FILE", help: "The new image file.", ..IMAGE_FILE },
            NAME,
            DESCRIPTION,
            FLAGS,
            CONFIG,
            option(
                "compress",
                &["Compress"],
                "compress",
                (Kind::Choice(&["none", "fast", "max", "maximum", "lzms", "recovery"]), "HOW"),
                "How the file is compressed: fast (if nothing is said) is XPRESS, max is LZX, recovery a solid ESD.",
            ),
            BOOTABLE,
            flag("check", &["CheckIntegrity"], "check", "Gives the file an integrity table."),
            VERIFY,
            NO_RPFIX,
            WIM_BOOT,
            EA,
        ],
        summary: "Captures a folder into a new image file.",
        dism_example: "/Capture-Image /ImageFile:custom.wim /CaptureDir:tree /Name:Custom /Compress:max",
        native_example: "image capture tree custom.wim --name Custom --compress max",
        action: Action::Host(commands::image::capture),
    },
    Command {
        dism: &["Append-Image"],
        native: "image append",
        scope: Scope::Imaging,
        shorthand: None,
        combines: false,
        arguments: &[
            DIRECTORY,
            Argument { value_name: "FILE", help: "The image file; it keeps its compression.", ..IMAGE_FILE },
            NAME,
            DESCRIPTION,
            FLAGS,
            CONFIG,
            BOOTABLE,
            flag("check", &["CheckIntegrity"], "check", "Verifies the file first."),
            VERIFY,
            NO_RPFIX,
            WIM_BOOT,
            EA,
        ],
        summary: "Captures a folder as one more image of a file, with the data that the file lacks.",
        dism_example: "/Append-Image /ImageFile:custom.wim /CaptureDir:tree /Name:Second",
        native_example: "image append tree custom.wim --name Second",
        action: Action::Host(commands::image::append),
    },
];
