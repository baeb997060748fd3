// SPDX-License-Identifier: GPL-3.0-or-later
//! Full Flash Update: images of whole disks.

use super::{Argument, CHECK_INTEGRITY, Command, IMAGE_FILE, Kind, Scope, flag, option, planned, required};

const FILE: Argument = Argument { value_name: "FILE", help: "The FFU file.", ..IMAGE_FILE };

pub(super) static COMMANDS: &[Command] = &[
    planned(
        &["Capture-Ffu"],
        "ffu capture",
        Scope::Imaging,
        &[
            FILE,
            required(option("drive", &["CaptureDrive"], "drive", (Kind::Path, "DEVICE"), "The disk.")),
            required(option("name", &["Name"], "name", (Kind::Text, "NAME"), "The name of the image.")),
            option("description", &["Description"], "description", (Kind::Text, "TEXT"), "Its description."),
            option(
                "platforms",
                &["PlatformIds"],
                "platforms",
                (Kind::Text, "LIST"),
                "The platforms it is for; `*` by itself.",
            ),
            option(
                "compress",
                &["Compress"],
                "compress",
                (Kind::Choice(&["default", "none"]), "HOW"),
                "Whether it is compressed.",
            ),
        ],
        "Captures a disk into a new FFU file.",
    ),
    planned(
        &["Apply-Ffu"],
        "ffu apply",
        Scope::Imaging,
        &[
            FILE,
            required(option("drive", &["ApplyDrive"], "drive", (Kind::Path, "DEVICE"), "The disk.")),
            option("sfu_file", &["SFUFile"], "parts", (Kind::Text, "PATTERN"), "The parts of a split file."),
            flag(
                "skip_platform_check",
                &["SkipPlatformCheck"],
                "skip-platform-check",
                "Does not compare platforms.",
            ),
        ],
        "Writes an FFU file to a disk.",
    ),
    planned(
        &["Split-Ffu"],
        "ffu split",
        Scope::Imaging,
        &[
            FILE,
            required(option("sfu_file", &["SFUFile"], "first", (Kind::Path, "FIRST.sfu"), "The first part.")),
            required(option(
                "file_size",
                &["FileSize"],
                "size",
                (Kind::Number, "MB"),
                "The length of a part.",
            )),
            CHECK_INTEGRITY,
        ],
        "Divides an FFU file into parts.",
    ),
    planned(
        &["Optimize-Ffu"],
        "ffu optimize",
        Scope::Imaging,
        &[
            FILE,
            option(
                "partition",
                &["PartitionNumber"],
                "partition",
                (Kind::Number, "N"),
                "The partition that may grow.",
            ),
        ],
        "Prepares an FFU file for disks of other sizes.",
    ),
];
