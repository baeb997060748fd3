// SPDX-License-Identifier: GPL-3.0-or-later
//! 1,000 real INFs parsed and judged: devices, files, services and registry for one Windows, and
//! the findings of `inf check`. The limit is half a second on one core; a run above it fails.
//!
//! The INFs are those of the corpus, the first of them once more up to the thousand.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use transom::base::{Arch, Version};
use transom::inf::{Inf, PackageOptions, Target};
use transom_sample::{measure, tool};

const COUNT: usize = 1_000;
const LIMIT: Duration = Duration::from_millis(500);
const USAGE: &str = "usage: ./x bench inf [--runs N]";

fn main() -> Result<()> {
    let mut runs = 9;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--runs" => runs = arguments.next().and_then(|n| n.parse().ok()).context(USAGE)?,
            // What cargo adds.
            "--bench" => {}
            _ => bail!(USAGE),
        }
    }
    let Some(corpus) = transom_sample::corpus() else {
        println!("notice: passed over, there is no corpus here");
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    let archive = corpus.join("drivers/inf/torture_infs.tar.xz");
    tool::run(Command::new("tar").arg("-xJf").arg(&archive).arg("-C").arg(folder.path()))?;
    let mut files = Vec::new();
    for entry in walkdir::WalkDir::new(folder.path()).sort_by_file_name() {
        let entry = entry?;
        if entry.file_type().is_file() {
            files.push(std::fs::read(entry.path())?);
        }
    }
    ensure!(files.len() > COUNT / 2, "only {} INFs in the corpus", files.len());
    let infs: Vec<&[u8]> = files.iter().map(Vec::as_slice).cycle().take(COUNT).collect();
    let bytes: usize = infs.iter().map(|inf| inf.len()).sum();
    println!("{COUNT} INFs ({} different ones), {:.1} MB", files.len(), bytes as f64 / 1e6);

    let target = Target {
        arch: Arch::Amd64,
        version: Version::new(10, 0, 26100, 0),
        product_type: 1,
        suite_mask: 0x100,
        language: 0x0409,
    };
    let options = PackageOptions::default();
    let (mut judged, mut checked) = (Vec::new(), Vec::new());
    for _ in 0..runs.max(1) {
        let begin = Instant::now();
        let read = infs.iter().filter_map(|inf| Inf::parse(inf).ok());
        let devices: usize =
            read.filter_map(|inf| inf.package(&target).ok()).map(|plan| plan.devices.len()).sum();
        judged.push(begin.elapsed());
        let begin = Instant::now();
        let read = infs.iter().filter_map(|inf| Inf::parse(inf).ok());
        let findings: usize = read.map(|inf| inf.check(&target, &options).len()).sum();
        checked.push(begin.elapsed());
        ensure!(devices > 0 && findings > 0, "nothing was found in them");
    }
    let (judged, checked) = (measure::median(judged)?, measure::median(checked)?);
    println!("parsed and judged: {judged:.0?}; with every check: {checked:.0?} (medians of {runs})");
    ensure!(judged <= LIMIT, "more than {LIMIT:?} for {COUNT} INFs");
    Ok(())
}
