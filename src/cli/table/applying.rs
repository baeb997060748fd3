// SPDX-License-Identifier: GPL-3.0-or-later
//! From an image file onto a directory or a disk.

use super::{Command, imaging};

pub(super) static COMMANDS: &[Command] = &[imaging(&["Apply-Image"])];
