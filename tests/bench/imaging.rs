// SPDX-License-Identifier: GPL-3.0-or-later
//! Whole image files: capturing a folder against the bundled wimlib, exporting without compressing
//! anew against `cp`, and what a file of five gigabytes says of its images.
//!
//! The runs alternate. Every file that was written is verified by wimlib-imagex, and both captures
//! must hold the same data under the same names.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use transom_sample::listing::{self, Listing};
use transom_sample::measure::{self, Run, median};
use transom_sample::{Sample, Spec, tool};

const USAGE: &str = "usage: ./x bench imaging [--files N] [--runs N]";

/// Length of the large file whose images are asked for.
const LARGE: u64 = 5 << 30;

fn main() -> Result<()> {
    let mut files = 20_000;
    let mut runs = 3;
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
    let folder = measure::target_folder().join("bench");
    fs::create_dir_all(&folder)?;
    let scratch = tempfile::tempdir_in(&folder)?;
    let bench = Bench { peer, runs, place: scratch.path().to_owned() };
    let results = [bench.capture(&sample)?, bench.export(&sample)?, bench.info(&sample)?];
    let report = json!({
        "files": files,
        "wim_bytes": fs::metadata(&sample.wim)?.len(),
        "runs": runs,
        "peer": version,
        "cores": std::thread::available_parallelism()?.get(),
        "workloads": results,
    });
    let path = folder.join(format!("imaging-{files}.json"));
    fs::write(&path, serde_json::to_string_pretty(&report)? + "\n")?;
    println!("\n{}", path.display());
    Ok(())
}

struct Bench {
    peer: PathBuf,
    runs: u32,
    place: PathBuf,
}

/// Seconds of the middle run, and the most memory of any.
fn figures(runs: &[Run]) -> Result<(f64, u64)> {
    let wall = median(runs.iter().map(|run| run.wall))?.as_secs_f64();
    Ok((wall, runs.iter().map(|run| run.peak_memory).max().unwrap_or_default()))
}

fn shown(name: &str, (wall, memory): (f64, u64), bytes: u64) -> Value {
    println!(
        "  {name:22} {wall:>8.3} s {:>9.1} MB of memory {:>10.2} MB written",
        memory as f64 / 1e6,
        bytes as f64 / 1e6
    );
    json!({"median_seconds": wall, "peak_bytes": memory, "file_bytes": bytes})
}

impl Bench {
    fn ours(&self, line: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_transom"));
        command
            .arg("--quiet")
            .args(line)
            .env("XDG_STATE_HOME", self.place.join("state"))
            .env("SOURCE_DATE_EPOCH", "1700000000")
            .current_dir(&self.place);
        command
    }

    fn length(&self, name: &str) -> Result<u64> {
        Ok(fs::metadata(self.place.join(name))?.len())
    }

    /// Runs a command that writes `output`, which is not there before.
    fn once(&self, command: &Command, output: &str) -> Result<Run> {
        let path = self.place.join(output);
        if path.exists() {
            fs::remove_file(&path)?;
        }
        Ok(measure::run(command, b"")?.0)
    }

    fn capture(&self, sample: &Sample) -> Result<Value> {
        let tree = self.place.join("tree");
        tool::run(
            Command::new(&self.peer)
                .arg("apply")
                .arg(&sample.wim)
                .arg("1")
                .arg(&tree)
                .args(["--no-acls", "--no-attributes"]),
        )?;
        // Both capture everything: the peer compresses what Windows would not.
        fs::write(self.place.join("all.ini"), "[ExclusionList]\n")?;
        let line = [
            "image",
            "capture",
            "tree",
            "ours.wim",
            "--name",
            "x",
            "--compress",
            "max",
            "--config",
            "all.ini",
        ];
        let ours = self.ours(&line);
        let mut theirs = Command::new(&self.peer);
        theirs.args(["capture", "tree", "theirs.wim", "x", "--compress=LZX"]).current_dir(&self.place);
        let (mut our_runs, mut peer_runs) = (Vec::new(), Vec::new());
        for _ in 0..self.runs {
            our_runs.push(self.once(&ours, "ours.wim")?);
            peer_runs.push(self.once(&theirs, "theirs.wim")?);
        }
        let (left, right) = (self.place.join("ours.wim"), self.place.join("theirs.wim"));
        listing::verify(&left)?;
        listing::verify(&right)?;
        same_data(&Listing::of(&left, 1)?, &Listing::of(&right, 1)?)?;
        println!("capture, LZX");
        let (our_figures, peer_figures) = (figures(&our_runs)?, figures(&peer_runs)?);
        let (our_length, peer_length) = (self.length("ours.wim")?, self.length("theirs.wim")?);
        let transom = shown("transom", our_figures, our_length);
        let wimlib = shown("wimlib", peer_figures, peer_length);
        let ratio = peer_figures.0 / our_figures.0;
        let size = our_length as f64 / peer_length as f64;
        println!("  {ratio:.2} times its speed (>= 1.0), {size:.4} of its size (0.99 to 1.01)\n");
        ensure!((0.99..=1.01).contains(&size), "the files differ too much in size to be compared");
        Ok(json!({"title": "capture", "transom": transom, "wimlib": wimlib, "ratio": ratio, "size": size}))
    }

    fn export(&self, sample: &Sample) -> Result<Value> {
        fs::copy(&sample.wim, self.place.join("source.wim"))?;
        let ours = self.ours(&["image", "export", "source.wim:1", "exported.wim"]);
        let mut copy = Command::new("sh");
        copy.args(["-c", "cp source.wim copied.wim"]).current_dir(&self.place);
        let mut durable = Command::new("sh");
        durable.args(["-c", "cp source.wim copied.wim && sync copied.wim"]).current_dir(&self.place);
        let (mut our_runs, mut copy_runs, mut durable_runs) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..self.runs {
            our_runs.push(self.once(&ours, "exported.wim")?);
            copy_runs.push(self.once(&copy, "copied.wim")?);
            durable_runs.push(self.once(&durable, "copied.wim")?);
        }
        let path = self.place.join("exported.wim");
        listing::verify(&path)?;
        same_data(&Listing::of(&path, 1)?, &Listing::of(&sample.wim, 1)?)?;
        println!("export without compressing anew");
        let (our_figures, copy_figures) = (figures(&our_runs)?, figures(&copy_runs)?);
        let durable_figures = figures(&durable_runs)?;
        let transom = shown("transom (durable)", our_figures, self.length("exported.wim")?);
        let cp = shown("cp", copy_figures, self.length("copied.wim")?);
        let durable_cp = shown("cp, then sync of it", durable_figures, self.length("copied.wim")?);
        let (ratio, durable_ratio) = (copy_figures.0 / our_figures.0, durable_figures.0 / our_figures.0);
        println!("  {durable_ratio:.2} times the speed of cp with sync (>= 0.7), {ratio:.2} of cp alone\n");
        Ok(json!({
            "title": "export", "transom": transom, "cp": cp, "cp_sync": durable_cp,
            "ratio": ratio, "ratio_durable": durable_ratio,
        }))
    }

    fn info(&self, sample: &Sample) -> Result<Value> {
        let path = self.place.join("large.wim");
        fs::copy(&sample.wim, &path)?;
        move_tables(&path, LARGE)?;
        listing::verify(&path)?;
        let mut runs = Vec::new();
        for _ in 0..self.runs.max(5) {
            let mut said = Command::new(env!("CARGO_BIN_EXE_transom"));
            said.args(["--json", "image", "info", "large.wim:1"])
                .env("XDG_STATE_HOME", self.place.join("state"))
                .current_dir(&self.place);
            let (run, output) = measure::run(&said, b"")?;
            let said: Value = serde_json::from_slice(&output.stdout)?;
            ensure!(said["results"][0]["report"]["image_count"] == 1, "info says {said}");
            runs.push(run);
        }
        println!("info on a file of {LARGE} bytes");
        let info = figures(&runs)?;
        let transom = shown("transom", info, 0);
        println!("  {:.1} ms (< 30)\n", info.0 * 1000.0);
        Ok(json!({"title": "info", "transom": transom, "milliseconds": info.0 * 1000.0}))
    }
}

/// Moves the tables of a WIM to `end`, with a hole before them: a sound file with much dead space.
fn move_tables(path: &Path, end: u64) -> Result<()> {
    let file = File::options().read(true).write(true).open(path)?;
    let mut header = [0; 208];
    file.read_exact_at(&mut header, 0)?;
    let mut end = end;
    // Blob table and XML; the sample has no integrity table.
    for at in [0x30, 0x48] {
        let size = u64::from_le_bytes(header[at..at + 8].try_into()?) & 0x00FF_FFFF_FFFF_FFFF;
        let offset = u64::from_le_bytes(header[at + 8..at + 16].try_into()?);
        let mut table = vec![0; usize::try_from(size)?];
        file.read_exact_at(&mut table, offset)?;
        file.write_all_at(&table, end)?;
        header[at + 8..at + 16].copy_from_slice(&end.to_le_bytes());
        end += size;
    }
    file.write_all_at(&header, 0)?;
    Ok(())
}

/// That both images have the same names, and the same data under them.
fn same_data(left: &Listing, right: &Listing) -> Result<()> {
    let hashes = |said: &str| -> Vec<String> {
        said.lines().filter(|line| line.starts_with("Hash")).map(str::to_owned).collect()
    };
    ensure!(left.0.keys().eq(right.0.keys()), "the images hold other names");
    for (path, said) in &left.0 {
        let other = right.0.get(path).map_or("", String::as_str);
        // Both make what Windows follows of a symbolic link, and not in the same words.
        if left.is_directory(path) || said.contains("Reparse Tag") {
            continue;
        }
        ensure!(hashes(said) == hashes(other), "{path} is not the same in both images: {said}\n{other}");
    }
    Ok(())
}
