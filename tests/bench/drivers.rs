// SPDX-License-Identifier: GPL-3.0-or-later
//! The driver store: one package into an opened image, and many packages into an image of a WIM,
//! against the compression of their new data alone.
//!
//! Processor time is what the kernel counts for this process (`/proc/self/stat`); the peak of memory
//! is that of the program, run on the same packages.

use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rayon::prelude::*;
use serde_json::json;
use transom::base::{Arch, FileTime};
use transom::codec::{self, Codec, Level};
use transom::drivers::{self as store, AddRequest};
use transom::image::{Environment, Session};
use transom::io::{Cancel, FixedClock, NoProgress, Pool};
use transom::wim::ImageIndex;
use transom_sample::drivers::{self, DriverSpec};
use transom_sample::measure::{self, median};
use transom_sample::{Sample, Spec, listing};

const USAGE: &str = "usage: ./x bench drivers [--packages N] [--megabytes N] [--files N] [--runs N]";
const CHUNK: usize = 32 << 10;

struct Options {
    packages: u32,
    megabytes: u32,
    files: u32,
    runs: u32,
}

fn main() -> Result<()> {
    let mut options = Options { packages: 100, megabytes: 200, files: 20_000, runs: 5 };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || -> Result<u32> { arguments.next().and_then(|n| n.parse().ok()).context(USAGE) };
        match argument.as_str() {
            "--packages" => options.packages = number()?.max(1),
            "--megabytes" => options.megabytes = number()?.max(1),
            "--files" => options.files = number()?,
            "--runs" => options.runs = number()?.max(1),
            // What cargo adds.
            "--bench" => {}
            _ => bail!(USAGE),
        }
    }
    println!("making (or taking) the sample image of {} files ...", options.files);
    let sample = Sample::of(&Spec { files: options.files, ..Spec::default() })?;
    let folder = measure::target_folder().join("bench");
    fs::create_dir_all(&folder)?;
    let scratch = tempfile::tempdir_in(&folder)?;
    let one = one_package(&sample, scratch.path(), options.runs)?;
    let many = many_packages(&sample, scratch.path(), &options)?;
    println!("into a directory: not measured, a directory cannot be serviced yet");
    let report = json!({
        "files": options.files,
        "cores": std::thread::available_parallelism()?.get(),
        "one_package": one,
        "many_packages": many,
    });
    let path = folder.join(format!("drivers-{}-{}.json", options.files, options.packages));
    fs::write(&path, serde_json::to_string_pretty(&report)? + "\n")?;
    println!("{}", path.display());
    Ok(())
}

fn environment(scratch: &Path) -> Result<Environment> {
    Ok(Environment {
        clock: Arc::new(FixedClock(FileTime(133_536_816_000_000_000))),
        progress: Arc::new(NoProgress),
        cancel: Cancel::default(),
        pool: Pool::new(std::thread::available_parallelism()?.get())?,
        scratch_parent: scratch.to_owned(),
        ignore_dirty: false,
    })
}

fn request(folder: &Path) -> AddRequest {
    AddRequest {
        sources: vec![folder.to_owned()],
        recurse: true,
        force_unsigned: true,
        ..AddRequest::default()
    }
}

/// User and system time of this process.
fn processor_time() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The name in parentheses may hold blanks; times are the 14th and 15th field, in 1/100 s.
    let rest = stat.rsplit_once(')').context("/proc/self/stat has another form")?.1;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks: u64 = fields
        .get(11..13)
        .context("/proc/self/stat is short")?
        .iter()
        .map(|n| n.parse::<u64>().unwrap_or(0))
        .sum();
    Ok(Duration::from_millis(ticks * 10))
}

/// How long adding takes once the image is open, besides the commit.
fn one_package(sample: &Sample, scratch: &Path, runs: u32) -> Result<serde_json::Value> {
    let packages = scratch.join("one");
    drivers::write_package(&packages, &DriverSpec { name: "benchdisk", ..DriverSpec::default() })?;
    let image = scratch.join("one.wim");
    sample.copy(&image)?;
    let mut times = Vec::new();
    for _ in 0..runs {
        let index = ImageIndex(NonZeroU32::MIN);
        let mut session = Session::open_wim(&image, index, environment(scratch)?)?;
        let begin = Instant::now();
        let report = store::add(&mut session, &request(&packages))?;
        times.push(begin.elapsed());
        ensure!(report.error().is_none() && report.is_changed(), "{:?}", report.error());
    }
    let (first, middle) = (times.first().copied().unwrap_or_default(), median(times)?);
    println!(
        "one package into an opened image, besides commit: median {:.3} s, first {:.3} s (aim 0.15 s)",
        middle.as_secs_f64(),
        first.as_secs_f64()
    );
    Ok(json!({ "median_seconds": middle.as_secs_f64(), "first_seconds": first.as_secs_f64() }))
}

/// Packages that differ in name, version and ids, each with data of its own.
fn write_packages(parent: &Path, options: &Options) -> Result<Vec<PathBuf>> {
    let length = u64::from(options.megabytes) * 1_000_000 / u64::from(options.packages);
    let mut files = Vec::new();
    for number in 0..options.packages {
        let name = format!("bench{number:04}");
        let class = if number % 4 == 0 { "SCSIAdapter" } else { "Display" };
        // The length is the seed of the data, so each is another.
        let length = u32::try_from(length)? + number;
        let spec = DriverSpec { name: &name, class, arch: Arch::Amd64, length };
        let inf = drivers::write_package(parent, &spec)?;
        let text = fs::read_to_string(&inf)?;
        let text = text
            .replace("1.2.3.4", &format!("1.2.3.{number}"))
            .replace("DEV_1001", &format!("DEV_{:04X}", 0x2000 + number))
            .replace("DEV_1042", &format!("DEV_{:04X}", 0x8000 + number));
        fs::write(&inf, text)?;
        files.push(inf.with_extension("sys"));
        files.push(inf);
    }
    Ok(files)
}

/// Processor time of adding and committing, against that of compressing the same data alone.
fn many_packages(sample: &Sample, scratch: &Path, options: &Options) -> Result<serde_json::Value> {
    let packages = scratch.join("many");
    let files = write_packages(&packages, options)?;
    let image = scratch.join("many.wim");

    let alone = {
        let pool = Pool::new(std::thread::available_parallelism()?.get())?;
        let begin = processor_time()?;
        pool.run(|| files.par_iter().try_for_each(|file| compress(file)))?;
        processor_time()?.checked_sub(begin).unwrap_or_default()
    };

    sample.copy(&image)?;
    let begin = (processor_time()?, Instant::now());
    let mut session = Session::open_wim(&image, ImageIndex(NonZeroU32::MIN), environment(scratch)?)?;
    let opened = begin.1.elapsed();
    let report = store::add(&mut session, &request(&packages))?;
    ensure!(report.error().is_none(), "{:?}", report.error());
    let added = (processor_time()?, begin.1.elapsed());
    session.commit()?;
    let whole = begin.1.elapsed();
    let ours = processor_time()?.checked_sub(begin.0).unwrap_or_default();
    listing::verify(&image)?;

    // The program by itself: its memory.
    sample.copy(&image)?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_transom"));
    command
        .args(["--image", "many.wim:1", "--quiet", "driver", "add", "many", "--recurse", "--force-unsigned"])
        .env("XDG_STATE_HOME", scratch.join("state"))
        .current_dir(scratch);
    let (run, _) = measure::run(&command, b"")?;
    let ratio = ours.as_secs_f64() / alone.as_secs_f64().max(0.01);
    println!(
        "{} packages, {} MB, into a WIM: opened after {:.2} s, added after {:.2} s, committed after {:.2} s",
        options.packages,
        options.megabytes,
        opened.as_secs_f64(),
        added.1.as_secs_f64(),
        whole.as_secs_f64()
    );
    println!(
        "  processor time {:.2} s ({:.2} s of it before the commit), compression alone {:.2} s: {ratio:.2} times (aim 1.1)",
        ours.as_secs_f64(),
        added.0.checked_sub(begin.0).unwrap_or_default().as_secs_f64(),
        alone.as_secs_f64()
    );
    println!("  peak memory {:.0} MB (aim 200 MB)", run.peak_memory as f64 / 1e6);
    Ok(json!({
        "packages": options.packages,
        "megabytes": options.megabytes,
        "added_seconds": added.1.as_secs_f64(),
        "whole_seconds": whole.as_secs_f64(),
        "processor_seconds": ours.as_secs_f64(),
        "compression_seconds": alone.as_secs_f64(),
        "ratio": ratio,
        "peak_bytes": run.peak_memory,
    }))
}

/// Compresses a file as a commit does: chunk by chunk.
fn compress(file: &Path) -> Result<()> {
    let bytes = fs::read(file)?;
    let mut output = vec![0; CHUNK];
    for chunk in bytes.chunks(CHUNK) {
        let room = output.get_mut(..chunk.len().saturating_sub(1)).context("a chunk is too long")?;
        codec::compress(Codec::Lzx, Level::default(), CHUNK as u32, chunk, room)?;
    }
    Ok(())
}
