// SPDX-License-Identifier: GPL-3.0-or-later
//! The `transom` command.

fn main() {}
