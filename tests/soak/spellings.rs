// SPDX-License-Identifier: GPL-3.0-or-later
//! Three processes use the same paths in three spellings, with readers beside them: no answer is stale, nothing is lost,
//! nothing waits for ever, and the serving process stays small.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use transom_sample::Random;

use crate::Effort;
use crate::mounts::Mounted;

/// The word that makes this program one of the processes.
pub(crate) const WORKER: &str = "--spell";

/// Names that every process uses.
const NAMES: u64 = 12;
const MEMORY: u64 = 256 << 20;

fn spelt(name: &str, spelling: u32) -> String {
    match spelling {
        0 => name.to_lowercase(),
        1 => name.to_uppercase(),
        _ => name
            .char_indices()
            .map(
                |(at, letter)| {
                    if at % 2 == 0 { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() }
                },
            )
            .collect(),
    }
}

/// One process: `DIRECTORY SPELLING OPERATIONS`, a reader if the spelling is 3.
pub(crate) fn work(arguments: &[String]) -> Result<()> {
    let [directory, spelling, operations] = arguments else { bail!("three arguments are wanted") };
    let (directory, spelling) = (Path::new(directory), spelling.parse::<u32>()?);
    let operations = operations.parse::<u32>()?;
    let mut random = Random::new(u64::from(spelling) + 40);
    let path = |name: &str, spelling: u32| -> PathBuf { directory.join(spelt(name, spelling)) };
    let mut appended = 0_u32;
    for operation in 0..operations {
        let shared = format!("shared {}", random.below(NAMES));
        let wanted = if spelling == 3 { random.below(3) as u32 } else { spelling };
        let mut step = || -> io::Result<()> {
            match (spelling, random.below(6)) {
                (3, 0) => drop(fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()?),
                (3, _) => gone_or(fs::read(path(&shared, wanted)).map(drop))?,
                // Names that all of them make, take away and move: any of these may find it done.
                (_, 0) => gone_or(File::create(path(&shared, wanted)).map(drop))?,
                (_, 1) => gone_or(fs::remove_file(path(&shared, wanted)))?,
                (_, 2) => {
                    let other = format!("shared {}", random.below(NAMES));
                    gone_or(fs::rename(path(&shared, wanted), path(&other, wanted)))?;
                }
                // What one process alone changes, it must find as it left it, whatever the spelling.
                (_, 3) => {
                    let own = format!("own of {spelling}");
                    fs::write(path(&own, wanted), operation.to_le_bytes())?;
                    let found = fs::read(path(&own, (wanted + 1) % 3))?;
                    if found != operation.to_le_bytes() {
                        return Err(io::Error::other("a stale answer after a write"));
                    }
                    let moved = format!("moved of {spelling}");
                    fs::rename(path(&own, (wanted + 2) % 3), path(&moved, wanted))?;
                    if path(&own, wanted).exists() || path(&own, (wanted + 1) % 3).exists() {
                        return Err(io::Error::other("a name that was renamed is still there"));
                    }
                    fs::remove_file(path(&moved, (wanted + 1) % 3))?;
                    if path(&moved, wanted).exists() {
                        return Err(io::Error::other("a name that was removed is still there"));
                    }
                }
                // A line for each process, appended to one file by all.
                _ => {
                    let mut log = OpenOptions::new().append(true).open(path("the log", wanted))?;
                    log.write_all(format!("{spelling}:{appended:08}\n").as_bytes())?;
                    appended += 1;
                }
            }
            Ok(())
        };
        step().with_context(|| format!("process {spelling}, operation {operation}"))?;
    }
    println!("{appended}");
    Ok(())
}

/// Another process may have been there before: that is no error, a stale handle is.
fn gone_or(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn start(directory: &Path, spelling: u32, operations: u32) -> Result<Child> {
    let child = Command::new(std::env::current_exe()?)
        .arg(WORKER)
        .arg(directory)
        .args([spelling.to_string(), operations.to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    Ok(child)
}

/// The most memory that the process has had, without what it shares.
fn peak_memory(pid: u64) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kib << 10)
}

pub(crate) fn run(effort: Effort) -> Result<String> {
    let operations = effort.choose(400, 10_000);
    let mounted = Mounted::plain(&["one"])?;
    let directory = mounted.root().join("Folder");
    File::create(directory.join("The Log"))?;
    let limit = Duration::from_secs(effort.choose(120, 1800));
    let began = Instant::now();
    let mut children = Vec::new();
    for spelling in [0, 1, 2, 3, 3] {
        children.push((spelling, start(&directory, spelling, operations)?));
    }
    let mut counts = [0_u32; 3];
    for (spelling, mut child) in children {
        while child.try_wait()?.is_none() {
            if began.elapsed() > limit {
                let _ = child.kill();
                bail!("process {spelling} waits for ever");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "process {spelling}: {said}");
        if let Some(count) = counts.get_mut(spelling as usize) {
            *count = String::from_utf8_lossy(&output.stdout).trim().parse()?;
        }
    }
    let check = |log: &str| -> Result<()> {
        for (spelling, count) in counts.iter().enumerate() {
            let lines: Vec<&str> =
                log.lines().filter(|line| line.starts_with(&format!("{spelling}:"))).collect();
            let expected: Vec<String> = (0..*count).map(|number| format!("{spelling}:{number:08}")).collect();
            ensure!(
                lines == expected,
                "process {spelling} appended {count} lines; {} are there",
                lines.len()
            );
        }
        Ok(())
    };
    check(&fs::read_to_string(directory.join("the LOG"))?)?;
    let memory = peak_memory(mounted.pid()?)?;
    ensure!(memory < MEMORY, "the serving process took {} MiB", memory >> 20);
    mounted.end()?;
    let lines: u32 = counts.iter().sum();
    Ok(format!(
        "3 writers and 2 readers, {operations} operations each: no stale answer, {lines} appended lines all there, {} MiB",
        memory >> 20
    ))
}
