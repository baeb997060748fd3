// SPDX-License-Identifier: GPL-3.0-or-later
//! The `transom` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    transom::cli::main(std::env::args_os())
}
