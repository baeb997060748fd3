// SPDX-License-Identifier: GPL-3.0-or-later
//! The other programs that make and judge samples.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Where a program is: in `PATH`, or where Debian keeps the administrator's.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// The program, ready to take arguments.
///
/// # Errors
/// When it is not installed.
pub fn command(name: &str) -> Result<Command> {
    let path = find(name).with_context(|| format!("{name} is not installed; ./x installs it"))?;
    let mut command = Command::new(path);
    command.stdin(std::process::Stdio::null());
    Ok(command)
}

/// Runs a program to its end and gives what it printed.
///
/// # Errors
/// When it does not start or fails; the error holds what it said.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?} failed ({}):\n{}{}", output.status, text, said.trim_end());
    }
    Ok(text)
}
