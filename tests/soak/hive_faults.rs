// SPDX-License-Identifier: GPL-3.0-or-later
//! Saves of a hive that do not come to their end: killed at any moment, killed in the middle of a
//! write, or refused by the system because the file may not grow. Afterwards the hive opens with the
//! old tree or the new one; where the primary is dirty, its logs are there to complete it.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use transom::base::FileTime;
use transom::hive::{Hive, OpenState, PrimaryFile, Value, default_root_security};
use transom_sample::{Random, hive_log, tool};

use crate::Effort;

const NOW: FileTime = FileTime(133_564_032_000_000_000);
const NAME: &str = "SOFTWARE";

#[derive(Debug, Default)]
struct Counts {
    killed: u32,
    killed_in_write: u32,
    refused: u32,
    finished: u32,
    old: u32,
    new: u32,
    /// New, and the logs were not emptied yet.
    new_with_logs: u32,
}

/// The hive before the save, in one of the ways that Windows may leave it.
struct Case {
    primary: Vec<u8>,
    logs: [Vec<u8>; 2],
    old: (u64, u64, String),
    new: (u64, u64, String),
}

pub(crate) fn run(effort: Effort) -> Result<String> {
    let faults = effort.choose(40, 500);
    let folder = tempfile::tempdir()?;
    let place = folder.path().join("config");
    fs::create_dir(&place)?;
    let cases = cases(effort.choose(150, 1000), folder.path(), &place)?;
    let timing = Timing::of_a_whole_run(&cases[0], folder.path(), &place)?;
    let mut random = Random::new(5);
    let mut counts = Counts::default();
    for number in 0..faults {
        let case = &cases[number as usize % cases.len()];
        lay(case, &place)?;
        let length = case.primary.len() as u64 + 8192;
        let status = match number % 4 {
            0 | 1 => {
                let mut child = command(folder.path(), &place, None).spawn()?;
                let part = random.below(1000) as f64 / 1000.0;
                if number % 8 == 0 {
                    std::thread::sleep(timing.whole.mul_f64(part));
                } else {
                    wait(&mut child, || Ok(temporary(&place)?.is_some()))?;
                    std::thread::sleep(timing.commit.mul_f64(part));
                }
                child.kill()?;
                child.wait()?
            }
            // The signal for a file that is too long kills in the middle of the write; ignored, it
            // lets the write fail.
            2 => command(folder.path(), &place, Some((random.below(length), Xfsz::Kills))).status()?,
            _ => command(folder.path(), &place, Some((random.below(length), Xfsz::Ignored))).status()?,
        };
        judge(case, &place, status, &mut counts)?;
        if number % 10 == 9 {
            // Whatever state it is in, the next command works.
            let status = command(folder.path(), &place, None).status()?;
            ensure!(status.success(), "the command after the fault: {status}");
            ensure!(digest(&place)? == (case.new.clone(), OpenState::Clean), "the command after the fault");
            ensure!(Hive::check_file(&fs::read(place.join(NAME))?)?.is_empty(), "breaks rules");
        }
    }
    ensure!(counts.old > 0 && counts.new > 0, "the faults came too early or too late: {counts:?}");
    ensure!(counts.killed_in_write > 0 && counts.refused > 0, "no write was hit: {counts:?}");
    Ok(format!(
        "{faults} faults: {} killed, {} killed within a write, {} refused by the system, {} ended first; \
         {} old trees, {} new ones, {} of these with logs",
        counts.killed,
        counts.killed_in_write,
        counts.refused,
        counts.finished,
        counts.old,
        counts.new,
        counts.new_with_logs
    ))
}

/// A clean hive, a dirty one with new logs, a dirty one with an old log.
fn cases(values: usize, folder: &Path, place: &Path) -> Result<Vec<Case>> {
    let mut hive = Hive::create("ROOT", 5, &default_root_security(), NOW)?;
    let key = hive.create_path(hive.root(), "Key", NOW)?;
    let mut random = Random::new(4);
    for number in 0..values {
        let mut data = vec![0; 8000];
        random.fill(&mut data);
        hive.set_value(key, &Value::binary(&format!("value {number}"), data), NOW)?;
    }
    let first = hive.to_bytes()?;
    let mut hive = Hive::open(std::sync::Arc::new(first.clone()), Default::default())?;
    hive.set_value(key, &Value::sz("from the log", "text"), NOW)?;
    hive.create_path(key, "From the log", NOW)?;
    let second = hive.to_bytes()?;
    let dirty = hive_log::made_dirty(&first);
    let states = [first.clone(), second];
    let mut cases = Vec::new();
    for (primary, logs) in [
        (first.clone(), [Vec::new(), Vec::new()]),
        (dirty.clone(), [hive_log::new_log(&states), Vec::new()]),
        (dirty, [Vec::new(), hive_log::old_log(&states[0], &states[1])]),
    ] {
        let mut case = Case { primary, logs, old: Default::default(), new: Default::default() };
        lay(&case, place)?;
        let state = if cases.is_empty() { OpenState::Clean } else { OpenState::Replayed };
        let (old, found) = digest(place)?;
        ensure!(found == state, "the case is {found:?}");
        case.old = old;
        let status = command(folder, place, None).status()?;
        ensure!(status.success(), "the command without a fault: {status}");
        case.new = digest(place)?.0;
        ensure!(case.new != case.old, "the command changed nothing");
        cases.push(case);
    }
    Ok(cases)
}

fn log(place: &Path, number: usize) -> PathBuf {
    place.join(format!("{NAME}.LOG{}", number + 1))
}

fn lay(case: &Case, place: &Path) -> Result<()> {
    while let Some(left) = temporary(place)? {
        fs::remove_file(left)?;
    }
    fs::write(place.join(NAME), &case.primary)?;
    for (number, bytes) in case.logs.iter().enumerate() {
        fs::write(log(place, number), bytes)?;
    }
    Ok(())
}

/// A file that a save has not put in its place.
fn temporary(place: &Path) -> Result<Option<PathBuf>> {
    for entry in fs::read_dir(place)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(".transom-") {
            return Ok(Some(entry.path()));
        }
    }
    Ok(None)
}

#[derive(Clone, Copy)]
enum Xfsz {
    Kills,
    Ignored,
}

/// Our command, with a limit to the length of files where one is given.
fn command(folder: &Path, place: &Path, limit: Option<(u64, Xfsz)>) -> Command {
    let program = env!("CARGO_BIN_EXE_transom");
    let mut command = Command::new("sh");
    let ignored = matches!(limit, Some((_, Xfsz::Ignored)));
    let script = format!("{}exec \"$@\"", if ignored { "trap '' XFSZ; " } else { "" });
    command.args(["-c", &script, "sh"]);
    if let Some((bytes, _)) = limit {
        command.args(["prlimit", "--core=0", &format!("--fsize={bytes}")]);
    }
    command
        .arg(program)
        .args(["hive", "set"])
        .arg(place.join(NAME))
        .args(["Key", "--value", "new", "--type", "REG_SZ", "--data", "text"])
        .env("XDG_STATE_HOME", folder.join("state"))
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn digest(place: &Path) -> Result<((u64, u64, String), OpenState)> {
    let file = PrimaryFile::open(&place.join(NAME), false)?;
    Ok((file.hive.digest()?, file.hive.state()))
}

fn judge(case: &Case, place: &Path, status: ExitStatus, counts: &mut Counts) -> Result<()> {
    let (found, state) = digest(place).with_context(|| format!("after {status}"))?;
    let is_new = if found == case.new {
        true
    } else if found == case.old {
        false
    } else {
        bail!("after {status}: neither the old tree nor the new one: {found:?}");
    };
    let logs = (0..2).map(|number| Ok(fs::read(log(place, number))?)).collect::<Result<Vec<_>>>()?;
    if is_new {
        counts.new += 1;
        ensure!(state == OpenState::Clean, "the new primary is {state:?}");
        counts.new_with_logs += u32::from(logs.iter().any(|log| !log.is_empty()));
    } else {
        counts.old += 1;
        ensure!(fs::read(place.join(NAME))? == case.primary, "the old primary was written to");
        ensure!(logs == case.logs, "the logs of the old primary were written to");
    }
    match (status.signal(), status.code()) {
        (Some(9), _) => counts.killed += 1,
        (Some(_), _) => counts.killed_in_write += 1,
        (_, Some(0)) => {
            ensure!(is_new, "the command said that it was done");
            counts.finished += 1;
        }
        _ => {
            ensure!(!is_new, "the command said that it had failed ({status})");
            ensure!(temporary(place)?.is_none(), "a failed save left a file behind");
            counts.refused += 1;
        }
    }
    Ok(())
}

/// How long the parts of a run take that nobody kills.
struct Timing {
    whole: Duration,
    commit: Duration,
}

impl Timing {
    fn of_a_whole_run(case: &Case, folder: &Path, place: &Path) -> Result<Self> {
        tool::find("prlimit").context("prlimit is not installed")?;
        lay(case, place)?;
        let begin = Instant::now();
        let mut child = command(folder, place, None).spawn()?;
        wait(&mut child, || Ok(temporary(place)?.is_some()))?;
        let before = begin.elapsed();
        ensure!(child.wait()?.success(), "a run without a fault failed");
        Ok(Self { whole: begin.elapsed(), commit: begin.elapsed() - before })
    }
}

/// Waits until something is so, or the process ends.
fn wait(child: &mut Child, is_so: impl Fn() -> Result<bool>) -> Result<()> {
    let begin = Instant::now();
    while !is_so()? && child.try_wait()?.is_none() {
        ensure!(begin.elapsed() < Duration::from_secs(60), "the process neither writes nor ends");
        std::thread::sleep(Duration::from_micros(50));
    }
    Ok(())
}
