// SPDX-License-Identifier: GPL-3.0-or-later
//! Our whole servicing command (parse, decide, edit hives, commit) against wimlib's bare file
//! update, which is handed the files that our command made.
//!
//! The peer is the `wimlib-imagex` that the bundled wimlib installs beside our codec: same
//! library, same compiler, same flags. The runs alternate; both results are verified.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use transom_sample::drivers::{self, DriverSpec};
use transom_sample::listing::{self, Listing};
use transom_sample::measure::{self, Run, median};
use transom_sample::{Sample, Spec, tool};

const USAGE: &str = "usage: ./x bench [--files N] [--runs N]";

struct Workload {
    title: &'static str,
    driver: DriverSpec<'static>,
}

fn main() -> Result<()> {
    let mut files = 20_000;
    let mut runs = 5;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || -> Result<u32> { arguments.next().and_then(|n| n.parse().ok()).context(USAGE) };
        match argument.as_str() {
            "--files" => files = number()?,
            "--runs" => runs = number()?.max(1),
            // What cargo adds.
            "--bench" => {}
            _ => bail!(USAGE),
        }
    }
    let peer = measure::bundled_wimlib()?;
    let version = tool::run(Command::new(&peer).arg("--version"))?;
    let version = version.lines().next().unwrap_or_default().to_owned();
    println!("peer: {version}\n      {}", peer.display());
    println!("making (or taking) the sample image of {files} files ...");
    let sample = Sample::of(&Spec { files, ..Spec::default() })?;
    let length = fs::metadata(&sample.wim)?.len();
    println!("{}: {:.1} MB\n", sample.spec, length as f64 / 1e6);

    let workloads = [
        Workload {
            title: "storage driver, 60 kB, needed to boot",
            driver: DriverSpec { name: "benchdisk", class: "SCSIAdapter", ..DriverSpec::default() },
        },
        Workload {
            title: "display driver, 40 MB",
            driver: DriverSpec {
                name: "benchview",
                class: "Display",
                length: 40_000_000,
                ..DriverSpec::default()
            },
        },
    ];
    let folder = measure::target_folder().join("bench");
    fs::create_dir_all(&folder)?;
    let mut results = Vec::new();
    for workload in &workloads {
        results.push(compare(workload, &sample, &peer, runs, &folder)?);
    }
    let report = json!({
        "files": files,
        "wim_bytes": length,
        "runs": runs,
        "peer": version,
        "cores": std::thread::available_parallelism()?.get(),
        "workloads": results,
    });
    let path = folder.join(format!("servicing-{files}.json"));
    fs::write(&path, serde_json::to_string_pretty(&report)? + "\n")?;
    println!("\n{}", path.display());
    Ok(())
}

/// A fresh copy of the sample, on the disk already, so that no run pays for another's writing.
fn fresh(sample: &Sample, path: &Path) -> Result<()> {
    sample.copy(path)?;
    fs::File::open(path)?.sync_all()?;
    Ok(())
}

fn compare(
    workload: &Workload,
    sample: &Sample,
    peer: &Path,
    runs: u32,
    folder: &Path,
) -> Result<serde_json::Value> {
    let scratch = tempfile::tempdir_in(folder)?;
    drivers::write_package(scratch.path(), &workload.driver)?;
    let (ours, theirs) = (scratch.path().join("ours.wim"), scratch.path().join("theirs.wim"));

    let mut our_command = Command::new(env!("CARGO_BIN_EXE_transom"));
    our_command
        .args(["--image", "ours.wim:1", "driver", "add", workload.driver.name, "--force-unsigned"])
        .env("XDG_STATE_HOME", scratch.path().join("state"))
        // Every run makes the same bytes.
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .current_dir(scratch.path());
    // What our command changes is what wimlib is asked to write.
    fresh(sample, &ours)?;
    measure::run(&our_command, b"")?;
    let (before, after) = (Listing::of(&sample.wim, 1)?, Listing::of(&ours, 1)?);
    let update = update_commands(&ours, &before, &after, &scratch.path().join("files"))?;
    let mut peer_command = Command::new(peer);
    peer_command.args(["update", "theirs.wim", "1"]).current_dir(scratch.path());

    let (mut our_runs, mut peer_runs): (Vec<Run>, Vec<Run>) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        fresh(sample, &ours)?;
        our_runs.push(measure::run(&our_command, b"")?.0);
        fresh(sample, &theirs)?;
        peer_runs.push(measure::run(&peer_command, update.text.as_bytes())?.0);
    }
    listing::verify(&ours)?;
    listing::verify(&theirs)?;
    same_data(&Listing::of(&ours, 1)?, &Listing::of(&theirs, 1)?, &update.paths)?;

    let wall = |runs: &[Run]| median(runs.iter().map(|run| run.wall));
    let memory = |runs: &[Run]| runs.iter().map(|run| run.peak_memory).max().unwrap_or_default();
    let (our_wall, peer_wall) = (wall(&our_runs)?.as_secs_f64(), wall(&peer_runs)?.as_secs_f64());
    let growth = |path: &Path| -> Result<u64> {
        Ok(fs::metadata(path)?.len().saturating_sub(fs::metadata(&sample.wim)?.len()))
    };
    println!("{} ({} files written)", workload.title, update.paths.len());
    println!("  {:10} {:>10} {:>12} {:>12}", "", "median", "peak memory", "file grows");
    for (name, wall, memory, growth) in [
        ("transom", our_wall, memory(&our_runs), growth(&ours)?),
        ("wimlib", peer_wall, memory(&peer_runs), growth(&theirs)?),
    ] {
        println!(
            "  {name:10} {:>8.2} s {:>9.1} MB {:>9.2} MB",
            wall,
            memory as f64 / 1e6,
            growth as f64 / 1e6
        );
    }
    println!("  wimlib takes {:.2} times as long\n", peer_wall / our_wall);
    let detail = |runs: &[Run]| -> Vec<serde_json::Value> {
        runs.iter()
            .map(|run| json!({"seconds": run.wall.as_secs_f64(), "peak_bytes": run.peak_memory}))
            .collect()
    };
    Ok(json!({
        "title": workload.title,
        "files_written": update.paths,
        "transom": {"median_seconds": our_wall, "runs": detail(&our_runs), "growth_bytes": growth(&ours)?},
        "wimlib": {"median_seconds": peer_wall, "runs": detail(&peer_runs), "growth_bytes": growth(&theirs)?},
        "ratio": peer_wall / our_wall,
    }))
}

struct Update {
    /// What `wimlib-imagex update` reads.
    text: String,
    /// The files that are added or replaced.
    paths: Vec<String>,
}

/// Extracts the files that our command made or changed, and writes the commands that put exactly
/// these into the image.
fn update_commands(wim: &Path, before: &Listing, after: &Listing, folder: &Path) -> Result<Update> {
    let comparison = before.compare(after);
    ensure!(comparison.removed.is_empty(), "adding a driver removed {:?}", comparison.removed);
    let paths: Vec<String> = comparison
        .added
        .iter()
        .chain(comparison.changed.iter().filter(|path| hashes(before, path) != hashes(after, path)))
        .filter(|path| !after.is_directory(path))
        .cloned()
        .collect();
    ensure!(!paths.is_empty(), "our command changed no file");
    fs::create_dir_all(folder)?;
    let mut text = String::new();
    for (number, path) in paths.iter().enumerate() {
        let place = folder.join(number.to_string());
        tool::run(
            tool::command("wimlib-imagex")?
                .arg("extract")
                .arg(wim)
                .args(["1", path, "--no-acls", "--no-attributes"])
                .arg(format!("--dest-dir={}", place.display())),
        )?;
        let name = path.rsplit('/').next().unwrap_or(path);
        text.push_str(&format!("add '{}' '{path}'\n", place.join(name).display()));
    }
    Ok(Update { text, paths })
}

/// The hashes of the streams at a path.
fn hashes<'a>(listing: &'a Listing, path: &str) -> Vec<&'a str> {
    let said = listing.0.get(path).map_or("", String::as_str);
    said.lines().filter(|line| line.starts_with("Hash")).collect()
}

/// That both images hold the same data at these paths.
fn same_data(ours: &Listing, theirs: &Listing, paths: &[String]) -> Result<()> {
    for path in paths {
        let (one, two) = (hashes(ours, path), hashes(theirs, path));
        ensure!(!one.is_empty() && one == two, "{path} is not the same in both images: {one:?}, {two:?}");
    }
    Ok(())
}
