// SPDX-License-Identifier: GPL-3.0-or-later
//! How long a program takes and how much memory it needs.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::tool;

/// One run of a program.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// From start to end.
    pub wall: Duration,
    /// The most memory it held at once, in bytes.
    pub peak_memory: u64,
}

/// Runs `command` to its end, with `input` on its standard input; fails when it fails. The figures
/// come from `/usr/bin/time`, which asks the kernel once the program has ended.
///
/// # Errors
/// When the program does not start or fails.
pub fn run(command: &Command, input: &[u8]) -> Result<(Run, Output)> {
    let figures = tempfile::NamedTempFile::new()?;
    let mut stdin = tempfile::tempfile()?;
    stdin.write_all(input)?;
    stdin.seek(SeekFrom::Start(0))?;
    let mut timed = tool::command("time")?;
    timed.args(["-f", "%M", "-o"]).arg(figures.path());
    timed.arg(command.get_program()).args(command.get_args()).stdin(stdin);
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => timed.env(name, value),
            None => timed.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        timed.current_dir(folder);
    }
    let begin = Instant::now();
    let output = timed.output().with_context(|| format!("cannot start {command:?}"))?;
    let wall = begin.elapsed();
    if !output.status.success() {
        bail!("{command:?} failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    let text = std::fs::read_to_string(figures.path())?;
    let kibibytes: u64 = text.trim().parse().with_context(|| format!("time printed {text:?}"))?;
    Ok((Run { wall, peak_memory: kibibytes << 10 }, output))
}

/// The middle of several figures; the lower one of two.
///
/// # Errors
/// When there is none.
pub fn median<T: Copy + Ord>(figures: impl IntoIterator<Item = T>) -> Result<T> {
    let mut figures: Vec<T> = figures.into_iter().collect();
    ensure!(!figures.is_empty(), "no figure to take the middle of");
    figures.sort_unstable();
    Ok(figures[(figures.len() - 1) / 2])
}

/// Below which cargo builds: this program is in `<target>/release/deps`.
pub fn target_folder() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    program.ancestors().nth(3).map_or_else(|| PathBuf::from("target"), Path::to_owned)
}

/// The `wimlib-imagex` that the bundled wimlib installs beside our codec, built by the same compiler.
///
/// # Errors
/// When there is none below the folder that cargo builds in.
pub fn bundled_wimlib() -> Result<PathBuf> {
    let build = target_folder().join("release/build");
    fs::read_dir(&build)
        .with_context(|| build.display().to_string())?
        .filter_map(|entry| Some(entry.ok()?.path().join("out/bin/wimlib-imagex")))
        .filter(|path| path.is_file())
        .max_by_key(|path| path.metadata().and_then(|metadata| metadata.modified()).ok())
        .with_context(|| format!("the bundled wimlib installed no wimlib-imagex below {}", build.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_an_element() {
        assert_eq!(median([3, 1, 2]).unwrap(), 2);
        assert_eq!(median([4, 1]).unwrap(), 1);
        assert!(median(Vec::<u8>::new()).is_err());
    }
}
