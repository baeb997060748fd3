// SPDX-License-Identifier: GPL-3.0-or-later
//! Answer files.

use super::{Command, Kind, planned_short, value};

pub(super) static COMMANDS: &[Command] = &[planned_short(
    &["Apply-Unattend"],
    "unattend apply",
    "value",
    &[value("FILE", Kind::Path, "The answer file.")],
    "Carries out the offlineServicing pass of an answer file.",
)];
