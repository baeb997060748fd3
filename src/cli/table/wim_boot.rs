// SPDX-License-Identifier: GPL-3.0-or-later
//! WIMBoot: images that Windows runs from; no longer used.

use super::{Command, imaging};

pub(super) static COMMANDS: &[Command] = &[imaging(&["Get-WIMBootEntry"]), imaging(&["Update-WIMBootEntry"])];
