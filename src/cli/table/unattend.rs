// SPDX-License-Identifier: GPL-3.0-or-later
//! Answer files.

use super::{Command, servicing};

pub(super) static COMMANDS: &[Command] = &[servicing(&["Apply-Unattend"])];
