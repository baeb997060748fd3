// SPDX-License-Identifier: GPL-3.0-or-later
//! Options that go with every command.

use super::{Argument, INDEX, Kind, NAME, Occurs, flag, option};

/// Options that go with every command.
pub(crate) static GLOBALS: &[Argument] = &[
    option(
        "image",
        &["Image"],
        "image",
        (Kind::Path, "FILE[:INDEX|:all]"),
        "The image to service: a WIM and one image of it, or all of them. No mount is needed.",
    ),
    INDEX,
    NAME,
    flag("online", &["Online"], "online", "The running system. Refused here: this system is no Windows."),
    flag("english", &["English"], "english", "Output in English, dates and numbers as in the United States."),
    option(
        "format",
        &["Format"],
        "format",
        (Kind::Choice(&["table", "list"]), "LAYOUT"),
        "How reports of several rows are laid out.",
    ),
    option("log_path", &["LogPath"], "log-path", (Kind::Path, "FILE"), "The log to write to."),
    option(
        "log_level",
        &["LogLevel"],
        "log-level",
        (Kind::Number, "1..4"),
        "What is logged: 1 errors, 2 warnings too, 3 information too, 4 everything.",
    ),
    flag("quiet", &["Quiet"], "quiet", "Prints nothing but errors (and the document of --json)."),
    flag(
        "no_restart",
        &["NoRestart"],
        "no-restart",
        "Accepted for scripts: an offline image never restarts.",
    ),
    option(
        "scratch_dir",
        &["ScratchDir"],
        "scratch-dir",
        (Kind::Path, "DIR"),
        "Where data is staged; a directory of its own below it is made and removed again.",
    ),
    option(
        "win_dir",
        &["WinDir"],
        "win-dir",
        (Kind::Text, "DIR"),
        "The Windows directory in the image. Only the usual one is supported so far.",
    ),
    option(
        "sys_drive_dir",
        &["SysDriveDir"],
        "sys-drive-dir",
        (Kind::Text, "DIR"),
        "Where the boot manager lies if not in the image. Not supported so far.",
    ),
    flag("json", &["Json"], "json", "Prints one JSON document instead of text."),
    flag(
        "dry_run",
        &["DryRun", "Dry-Run"],
        "dry-run",
        "Prints what would change in files and registry, and writes nothing.",
    ),
    option(
        "threads",
        &["Threads"],
        "threads",
        (Kind::Number, "N"),
        "How many threads do heavy work; 0, the default, means one per core.",
    ),
    option(
        "memory",
        &["Memory"],
        "memory",
        (Kind::Size, "SIZE"),
        "How much memory large buffers may take, such as 512M or 2G; by itself half of what there is.",
    ),
    flag(
        "ignore_dirty",
        &["IgnoreDirty", "Ignore-Dirty"],
        "ignore-dirty",
        "Opens a registry hive although its log is missing; the result is then not exact.",
    ),
    option(
        "progress",
        &["Progress"],
        "progress",
        (Kind::Progress, "HOW"),
        "How progress is shown: auto (a bar on a terminal, else a few lines), bar, lines, none, json (one \
         JSON object a line), or json=FD for these on an open file descriptor.",
    ),
    Argument {
        occurs: Occurs::Any,
        ..option(
            "map",
            &["Map"],
            "map",
            (Kind::Text, "DRIVE=DIR"),
            "Where a Windows drive or share lies here, such as C:=/mnt/c; paths are then found in any case.",
        )
    },
    flag(
        "reproducible",
        &["Reproducible"],
        "reproducible",
        "Stamps changes with SOURCE_DATE_EPOCH (1980-01-01 if unset), so that equal inputs give equal bytes.",
    ),
    flag(
        "lenient",
        &["Lenient"],
        "lenient",
        "In DISM's language: takes `/Option: value` for `/Option:value`.",
    ),
];
