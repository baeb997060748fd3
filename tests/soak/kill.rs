// SPDX-License-Identifier: GPL-3.0-or-later
//! Kills a committing process with SIGKILL at many moments. Afterwards the WIM must be logically
//! old (header and every byte up to the old end unchanged) or new (the new header in place), for
//! wimlib and for us; and the next command must work on it.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use transom_sample::listing::{self, Listing};
use transom_sample::{Random, Sample, Spec, tool};

use crate::{Effort, transom};

const HEADER: usize = 208;

#[derive(Debug, Default)]
struct Counts {
    /// Killed before a byte of the WIM was written.
    untouched: u32,
    /// Killed while it was written: the old image stands.
    old: u32,
    /// The new header was in place.
    new: u32,
    /// Ended before the kill came.
    finished: u32,
}

pub(crate) fn run(effort: Effort) -> Result<String> {
    let kills = effort.choose(10, 100);
    let sample = Sample::of(&Spec { files: effort.choose(400, 4000), integrity: true, ..Spec::default() })?;
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    // Large enough that compressing and writing it takes a while.
    transom::package(folder, "victim", effort.choose(4_000_000, 24_000_000))?;
    transom::package(folder, "next", 20_000)?;
    let wim = folder.join("install.wim");
    let old = fs::read(&sample.wim)?;
    let old_listing = Listing::of(&sample.wim, 1)?;

    sample.copy(&wim)?;
    let timing = Timing::of_a_whole_run(folder, &wim, old.len() as u64)?;
    let new_listing = Listing::of(&wim, 1)?;

    let mut counts = Counts::default();
    let mut random = Random::new(2);
    let mut killed = 0;
    while killed < kills {
        ensure!(counts.finished <= 3 * kills, "the process ends before it can be killed: {counts:?}");
        sample.copy(&wim)?;
        let mut child = transom::add(folder, "install.wim:1", "victim").spawn()?;
        // Most kills fall into the commit: they wait until the file grows.
        let part = random.below(1000) as f64 / 1000.0;
        match random.below(6) {
            0 => std::thread::sleep(timing.before_commit.mul_f64(part)),
            1 => wait(&mut child, || Ok(header(&wim)? != old[..HEADER]))?,
            _ => {
                wait(&mut child, || Ok(fs::metadata(&wim)?.len() != old.len() as u64))?;
                std::thread::sleep(timing.commit.mul_f64(part));
            }
        }
        if child.try_wait()?.is_some() {
            counts.finished += 1;
            continue;
        }
        child.kill()?;
        child.wait()?;
        killed += 1;
        let new = judge(&wim, &old, &old_listing, &new_listing, &mut counts)?;
        // Whatever state it is in, the next command works and reclaims what lies behind the end.
        if killed % 5 == 0 {
            tool::run(&mut transom::add(folder, "install.wim:1", "next"))?;
            listing::verify(&wim)?;
            let listed = transom::listed(folder, "install.wim:1")?;
            ensure!(listed.contains("next.inf"), "the command after the kill did nothing");
            ensure!(listed.contains("victim.inf") == new, "the command after the kill changed the outcome");
        }
    }
    ensure!(
        counts.old + counts.new >= kills / 2 && counts.old > 0,
        "too few kills fell into the commit: {counts:?}"
    );
    Ok(format!(
        "{kills} kills: {} before the first write, {} during the commit (old), {} after the header (new); \
         {} ended first",
        counts.untouched, counts.old, counts.new, counts.finished
    ))
}

/// How long the parts of a run take that nobody kills.
struct Timing {
    before_commit: Duration,
    commit: Duration,
}

impl Timing {
    fn of_a_whole_run(folder: &Path, wim: &Path, length: u64) -> Result<Self> {
        let begin = Instant::now();
        let mut child = transom::add(folder, "install.wim:1", "victim").spawn()?;
        wait(&mut child, || Ok(fs::metadata(wim)?.len() != length))?;
        let before_commit = begin.elapsed();
        let output = child.wait_with_output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(Self { before_commit, commit: begin.elapsed() - before_commit })
    }
}

/// Waits until something is so, or the process ends.
fn wait(child: &mut Child, is_so: impl Fn() -> Result<bool>) -> Result<()> {
    let begin = Instant::now();
    while !is_so()? && child.try_wait()?.is_none() {
        ensure!(begin.elapsed() < Duration::from_secs(120), "the process neither writes nor ends");
        std::thread::sleep(Duration::from_micros(100));
    }
    Ok(())
}

fn header(wim: &Path) -> Result<[u8; HEADER]> {
    let mut header = [0; HEADER];
    File::open(wim)?.read_exact_at(&mut header, 0)?;
    Ok(header)
}

/// Whether the WIM is new; fails when it is neither old nor new.
fn judge(
    wim: &Path,
    old: &[u8],
    old_listing: &Listing,
    new_listing: &Listing,
    counts: &mut Counts,
) -> Result<bool> {
    listing::verify(wim)?;
    let found = Listing::of(wim, 1)?;
    if header(wim)? == old[..HEADER] {
        let file = File::open(wim)?;
        let mut body = vec![0; old.len() - HEADER];
        file.read_exact_at(&mut body, HEADER as u64)?;
        ensure!(body == old[HEADER..], "the header is old, but bytes before the old end changed");
        ensure!(found == *old_listing, "the header is old, but the tree is not");
        if file.metadata()?.len() == old.len() as u64 {
            counts.untouched += 1;
        } else {
            counts.old += 1;
        }
        return Ok(false);
    }
    ensure!(
        found == *new_listing,
        "the header is new, but the tree is not: {:?}",
        new_listing.compare(&found)
    );
    counts.new += 1;
    Ok(true)
}
