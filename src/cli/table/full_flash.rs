// SPDX-License-Identifier: GPL-3.0-or-later
//! Full Flash Update: images of whole disks.

use super::{Command, imaging};

pub(super) static COMMANDS: &[Command] = &[
    imaging(&["Apply-Ffu"]),
    imaging(&["Capture-Ffu"]),
    imaging(&["Optimize-Ffu"]),
    imaging(&["Split-Ffu"]),
];
