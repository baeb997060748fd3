// SPDX-License-Identifier: GPL-3.0-or-later
//! How long a user waits for what needs no work: help, and what a large file says about itself.
//! The process is timed from its start to its end. The peer of the second row is `wimlib-imagex`.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

const RUNS: usize = 50;
const FILES: u64 = 3;
const FILE_LENGTH: u64 = 1 << 30;

fn main() -> Result<()> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let program = Path::new(env!("CARGO_BIN_EXE_transom"));
    let dism = folder.path().join("dism");
    std::os::unix::fs::symlink(program, &dism)?;

    let help = median(|| timed(Command::new(&dism).arg("/?")))?;
    row("dism /?", help, Some(Duration::from_millis(10)));
    let help = median(|| timed(Command::new(program).arg("--help")))?;
    row("transom --help", help, None);

    let wim = folder.path().join("large.wim");
    make(folder.path(), &wim)?;
    let length = fs::metadata(&wim)?.len();
    println!("{} of {:.1} GB, not compressed", wim.display(), length as f64 / 1e9);
    let file = format!("/ImageFile:{}", wim.display());
    let info = median(|| timed(Command::new(&dism).args(["/Get-ImageInfo", &file])))?;
    row("dism /Get-ImageInfo", info, Some(Duration::from_millis(30)));
    let info = median(|| timed(Command::new(&dism).args(["/Get-ImageInfo", &file, "/Index:1"])))?;
    row("dism /Get-ImageInfo /Index:1", info, Some(Duration::from_millis(30)));
    let peer = median(|| timed(Command::new("wimlib-imagex").arg("info").arg(&wim)))?;
    row("wimlib-imagex info", peer, None);
    Ok(())
}

fn row(what: &str, time: Duration, target: Option<Duration>) {
    let verdict = match target {
        Some(target) if time < target => format!("  below {} ms", target.as_millis()),
        Some(target) => format!("  MISSED: not below {} ms", target.as_millis()),
        None => String::new(),
    };
    println!("{what:32} {:7.2} ms{verdict}", time.as_secs_f64() * 1e3);
}

fn median(mut run: impl FnMut() -> Result<Duration>) -> Result<Duration> {
    run()?;
    let mut times = (0..RUNS).map(|_| run()).collect::<Result<Vec<_>>>()?;
    times.sort_unstable();
    times.get(RUNS / 2).copied().context("no run")
}

fn timed(command: &mut Command) -> Result<Duration> {
    let begin = Instant::now();
    let status = command
        .env("XDG_STATE_HOME", env!("CARGO_TARGET_TMPDIR"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    let time = begin.elapsed();
    ensure!(status.success(), "{command:?} failed");
    Ok(time)
}

/// Sparse files with different beginnings, stored uncompressed: quick to make, long to read.
fn make(folder: &Path, wim: &Path) -> Result<()> {
    let tree = folder.join("tree");
    fs::create_dir(&tree)?;
    for number in 0..FILES {
        let mut file = File::create(tree.join(format!("{number}.bin")))?;
        write!(file, "file {number}")?;
        file.set_len(FILE_LENGTH)?;
    }
    let captured = Command::new("wimlib-imagex")
        .args(["capture", "--compress=none"])
        .args([tree.as_path(), wim])
        .arg("large")
        .stdout(Stdio::null())
        .status()?;
    ensure!(captured.success(), "wimlib-imagex failed");
    Ok(())
}
