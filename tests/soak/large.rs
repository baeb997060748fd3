// SPDX-License-Identifier: GPL-3.0-or-later
//! One driver into an image of very many files: what it takes, and that nothing else changed.

use std::process::Command;

use anyhow::{Result, ensure};
use transom_sample::listing::{self, Listing};
use transom_sample::{Sample, Spec, measure};

use crate::{Effort, transom};

/// What the issue allows.
const MEMORY: u64 = 200_000_000;

pub(crate) fn run(effort: Effort) -> Result<String> {
    let files = effort.choose(3_000, 100_000);
    let sample = Sample::of(&Spec { files, ..Spec::default() })?;
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let wim = folder.join("install.wim");
    sample.copy(&wim)?;
    transom::package(folder, "large", 60_000)?;
    let command: Command = transom::add(folder, "install.wim:1", "large");
    let (run, _) = measure::run(&command, b"")?;
    listing::verify(&wim)?;
    let comparison = Listing::of(&sample.wim, 1)?.compare(&Listing::of(&wim, 1)?);
    ensure!(comparison.removed.is_empty(), "gone: {:?}", comparison.removed);
    // Folders that got entries, and hives.
    ensure!(comparison.changed.len() < 20, "changed: {:?}", comparison.changed);
    ensure!(comparison.added.iter().any(|path| path.ends_with("/large.sys")), "not added");
    ensure!(run.peak_memory < MEMORY, "{} bytes of memory", run.peak_memory);
    Ok(format!(
        "{files} files: {:.2} s, {:.0} MB of memory; {} entries added, {} changed, all others as before",
        run.wall.as_secs_f64(),
        run.peak_memory as f64 / 1e6,
        comparison.added.len(),
        comparison.changed.len()
    ))
}
