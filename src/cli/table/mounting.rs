// SPDX-License-Identifier: GPL-3.0-or-later
//! Mounted images.

use super::super::commands::{self, Action};
use super::{
    Argument, CHECK_INTEGRITY, Command, IMAGE_FILE, INDEX, Kind, NAME, Native, Occurs, Scope, flag, option,
};

const MOUNT_DIRECTORY: Argument = Argument {
    id: "directory",
    dism: &["MountDir"],
    native: Native::Position,
    value_name: "DIR|ID",
    kind: Kind::Path,
    occurs: Occurs::Required,
    help: "The directory of the mount, or its id from `transom mounts`.",
};

const APPEND: Argument = flag(
    "append",
    &["Append"],
    "append",
    "Writes the changes as a new image behind the others; the old one stays as it is.",
);

const CHECK: Argument =
    Argument { help: "Verifies the file first. Without an integrity table it gets none.", ..CHECK_INTEGRITY };

pub(super) static COMMANDS: &[Command] = &[
    Command {
        dism: &["Mount-Image", "Mount-Wim"],
        native: "mount",
        scope: Scope::Imaging,
        shorthand: None,
        combines: false,
        arguments: &[
            IMAGE_FILE,
            Argument {
                value_name: "DIR",
                help: "The directory to mount on; it must be there and empty.",
                ..MOUNT_DIRECTORY
            },
            INDEX,
            NAME,
            flag("read_only", &["ReadOnly"], "read-only", "Nothing in the mount can be changed."),
            flag(
                "optimize",
                &["Optimize"],
                "optimize",
                "Accepted for scripts: a mount is ready at once in any case.",
            ),
            flag(
                "extended_attributes",
                &["EA", "SupportEa"],
                "ea",
                "Accepted for scripts: extended attributes are there in any case.",
            ),
            CHECK,
        ],
        summary: "Mounts an image as a folder.",
        dism_example: "/Mount-Image /ImageFile:install.wim /Index:1 /MountDir:mnt",
        native_example: "mount install.wim:1 mnt",
        action: Action::Host(commands::mount::mount),
    },
    Command {
        dism: &["Unmount-Image", "Unmount-Wim"],
        native: "unmount",
        scope: Scope::Imaging,
        shorthand: None,
        combines: false,
        arguments: &[
            MOUNT_DIRECTORY,
            flag("commit", &["Commit"], "commit", "Writes the changes into the image."),
            flag("discard", &["Discard"], "discard", "Drops the changes."),
            APPEND,
            flag(
                "detach",
                &[],
                "detach",
                "Unmounts although processes use the mount; what they have open fails from then on.",
            ),
            CHECK,
        ],
        summary: "Ends a mount, with its changes written into the image or dropped.",
        dism_example: "/Unmount-Image /MountDir:mnt /Commit",
        native_example: "unmount mnt --commit",
        action: Action::Host(commands::mount::unmount),
    },
    Command {
        dism: &["Commit-Image", "Commit-Wim"],
        native: "commit",
        scope: Scope::Imaging,
        shorthand: None,
        combines: false,
        arguments: &[MOUNT_DIRECTORY, APPEND, CHECK],
        summary: "Writes the changes of a mount into its image, which stays mounted.",
        dism_example: "/Commit-Image /MountDir:mnt",
        native_example: "commit mnt",
        action: Action::Host(commands::mount::commit),
    },
    Command {
        dism: &["Remount-Image", "Remount-Wim"],
        native: "remount",
        scope: Scope::Imaging,
        shorthand: None,
        combines: false,
        arguments: &[MOUNT_DIRECTORY],
        summary: "Brings a mount back whose serving process is gone, with every change that was made.",
        dism_example: "/Remount-Image /MountDir:mnt",
        native_example: "remount mnt",
        action: Action::Host(commands::mount::remount),
    },
    Command {
        dism: &["Get-MountedImageInfo", "Get-MountedWimInfo"],
        native: "mounts",
        scope: Scope::Imaging,
        shorthand: None,
        combines: false,
        arguments: &[flag(
            "probe",
            &[],
            "probe",
            "Tells instead which ways of mounting this machine allows, and what to do about the others.",
        )],
        summary: "Lists the mounted images and their state.",
        dism_example: "/Get-MountedImageInfo",
        native_example: "mounts",
        action: Action::Host(commands::mount::mounts),
    },
    Command {
        dism: &["Cleanup-Mountpoints", "Cleanup-Wim"],
        native: "cleanup",
        scope: Scope::Imaging,
        shorthand: None,
        combines: false,
        arguments: &[Argument {
            occurs: Occurs::Optional,
            ..option(
                "force",
                &[],
                "force",
                (Kind::Text, "ID"),
                "Removes this mount too, whatever its state; its changes are lost.",
            )
        }],
        summary: "Removes what is left of mounts that cannot be used any more.",
        dism_example: "/Cleanup-Mountpoints",
        native_example: "cleanup",
        action: Action::Host(commands::mount::cleanup),
    },
];
