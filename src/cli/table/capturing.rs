// SPDX-License-Identifier: GPL-3.0-or-later
//! From a directory into an image file.

use super::{Command, imaging};

pub(super) static COMMANDS: &[Command] = &[imaging(&["Append-Image"]), imaging(&["Capture-Image"])];
