// SPDX-License-Identifier: GPL-3.0-or-later
//! The long loops. `./x soak` runs them all with the counts of the record; `--short` with small
//! ones, for every change. Names of loops run only these.

mod arguments;
mod catalogs;
mod concurrent;
mod hive;
mod hive_faults;
#[path = "../hive_support/mod.rs"]
mod hive_support;
mod journal;
mod kill;
mod kill_verbs;
mod large;
mod mounts;
mod mutation;
mod posix;
mod siblings;
mod spellings;
mod transom;

use std::fmt::Write;
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// How much is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    Short,
    Full,
}

impl Effort {
    /// One count or the other.
    pub(crate) fn choose<T>(self, short: T, full: T) -> T {
        match self {
            Self::Short => short,
            Self::Full => full,
        }
    }
}

type Loop = fn(Effort) -> Result<String>;

/// Name, what it shows, how it is run; the text that it gives is its line of the record.
const LOOPS: &[(&str, &str, Loop)] = &[
    ("kill", "a committing process is killed; the WIM is logically old or new", kill::run),
    ("verbs", "every verb that writes image files is killed; files are old or new", kill_verbs::run),
    ("concurrent", "two processes commit two images of one WIM at the same time", concurrent::run),
    ("journal", "every prefix of a random journal replays to the state at that point", journal::run),
    ("mutation", "no damaged input makes a parser panic, hang or take memory without bound", mutation::run),
    ("hive", "hives after random edits are what a model says, to every reader", hive::run),
    ("hive-faults", "a save that is killed or starved leaves the old hive or the new one", hive_faults::run),
    ("catalogs", "no byte of a trusted catalog can be changed without it being refused", catalogs::run),
    ("arguments", "random command lines are understood or refused, never a panic", arguments::run),
    ("siblings", "a key with very many subkeys is found whole, by others too", siblings::run),
    (
        "mount",
        "a serving process is killed under load; a remount shows every acknowledged write",
        mounts::run,
    ),
    (
        "spellings",
        "processes use the same paths in three spellings, with readers beside them",
        spellings::run,
    ),
    ("pjdfstest", "POSIX's rules on a mount, but for what NTFS keeps otherwise", posix::run),
    ("large", "an image of very many files", large::run),
];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|word| word == mutation::WORKER) {
        return mutation::work(&arguments[1..]);
    }
    if arguments.first().is_some_and(|word| word == spellings::WORKER) {
        return spellings::work(&arguments[1..]);
    }
    let mut effort = Effort::Full;
    let mut chosen = Vec::new();
    for argument in &arguments {
        match argument.as_str() {
            "--short" => effort = Effort::Short,
            name if LOOPS.iter().any(|(known, ..)| *known == name) => chosen.push(name),
            other => {
                let names: Vec<&str> = LOOPS.iter().map(|(name, ..)| *name).collect();
                bail!("no such loop: {other}; there are {}", names.join(", "));
            }
        }
    }
    let begin = Instant::now();
    let mut record = String::new();
    for (name, what, run) in LOOPS {
        if !chosen.is_empty() && !chosen.contains(name) {
            continue;
        }
        println!("-- {name}: {what}");
        let started = Instant::now();
        let line = run(effort).with_context(|| format!("in the loop {name}"))?;
        println!("   {line} ({:.1} s)", started.elapsed().as_secs_f64());
        writeln!(record, "{name}: {line}")?;
    }
    let cores = std::thread::available_parallelism()?;
    writeln!(record, "{effort:?}, {cores} cores, {:.0} s", begin.elapsed().as_secs_f64())?;
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("soak-record.txt");
    std::fs::write(&path, &record)?;
    println!("\n{record}\n{}", path.display());
    Ok(())
}
