// SPDX-License-Identifier: GPL-3.0-or-later
//! Damaged inputs for every parser. Each parser is fed by a process of its own with limited
//! memory, so that a run-away allocation ends that process and not the machine; a case that takes
//! too long ends it too. What broke it is kept as a file, below `fuzz/artifacts/` if it may be.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use transom_sample::{mutation, parsers, tool};

use crate::Effort;

/// The first argument of a process that feeds one parser.
pub(crate) const WORKER: &str = "--feed-parser";
/// How long one case may take.
const CASE_LIMIT: Duration = Duration::from_secs(10);
/// How much address space a process may have.
const MEMORY_LIMIT: u64 = 4 << 30;
const SEED: u64 = 20_261_120;

pub(crate) fn run(effort: Effort) -> Result<String> {
    let cases: u64 = effort.choose(2_000, 200_000);
    let limit: u64 = effort.choose(12, 180);
    let program = std::env::current_exe()?;
    let mut done = Vec::new();
    for parser in parsers::ALL {
        let folder = tempfile::tempdir()?;
        // The number of the case at work stands in a file, for when the process dies.
        let at_work = folder.path().join("case");
        let mut command = match tool::find("prlimit") {
            Some(prlimit) => {
                let mut command = Command::new(prlimit);
                command.arg(format!("--as={MEMORY_LIMIT}")).arg(&program);
                command
            }
            None => Command::new(&program),
        };
        let output = command
            .args([WORKER, parser.name, &cases.to_string(), &limit.to_string()])
            .arg(folder.path())
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            let number: u64 = std::fs::read_to_string(&at_work)?.trim().parse()?;
            let path = keep(parser.name, number, folder.path())?;
            bail!(
                "{}: case {number} broke it ({}); kept as {}\n{text}{}",
                parser.name,
                output.status,
                path.display(),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        done.push(format!("{} {}", parser.name, text.trim()));
    }
    Ok(done.join(", "))
}

fn keep(parser: &str, number: u64, scratch: &Path) -> Result<PathBuf> {
    let seeds = mutation::seeds(parser, scratch)?;
    // Bytes of the corpus do not enter the repository.
    let folder = if seeds.is_made(number) {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/artifacts")
    } else {
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("artifacts-of-the-corpus")
    };
    let folder = folder.join(parser);
    std::fs::create_dir_all(&folder)?;
    let path = folder.join(format!("case-{SEED}-{number}"));
    std::fs::write(&path, mutation::case(parser, &seeds, SEED, number))?;
    Ok(path)
}

/// The process that feeds one parser: name, cases, seconds, scratch folder.
pub(crate) fn work(arguments: &[String]) -> Result<()> {
    let [name, cases, seconds, scratch] = arguments else { bail!("{WORKER} NAME CASES SECONDS FOLDER") };
    let parser = parsers::find(name).context("no such parser")?;
    let (cases, scratch) = (cases.parse::<u64>()?, Path::new(scratch));
    let limit = Duration::from_secs(seconds.parse()?);
    let seeds = mutation::seeds(name, scratch)?;
    if seeds.is_empty() {
        println!("has no inputs here");
        return Ok(());
    }
    let at_work = scratch.join("case");
    let begin = Instant::now();
    let started = Arc::new(AtomicU64::new(0));
    watch(Arc::clone(&started), begin);
    let mut done = 0;
    for number in 0..cases {
        if begin.elapsed() > limit {
            break;
        }
        std::fs::write(&at_work, number.to_string())?;
        let input = mutation::case(name, &seeds, SEED, number);
        started.store(begin.elapsed().as_millis() as u64, Ordering::Relaxed);
        if catch_unwind(AssertUnwindSafe(|| (parser.run)(&input, scratch))).is_err() {
            bail!("it panicked");
        }
        done += 1;
    }
    println!("{done} cases");
    Ok(())
}

/// Ends the process when a case takes too long.
fn watch(started: Arc<AtomicU64>, begin: Instant) {
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_millis(200));
            let now = begin.elapsed().as_millis() as u64;
            let since = now.saturating_sub(started.load(Ordering::Relaxed));
            if Duration::from_millis(since) > CASE_LIMIT {
                eprintln!("a case takes longer than {CASE_LIMIT:?}");
                std::process::exit(3);
            }
        }
    });
}
