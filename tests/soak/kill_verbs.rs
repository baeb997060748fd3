// SPDX-License-Identifier: GPL-3.0-or-later
//! Kills every verb that writes image files with SIGKILL, at moments spread over its run. A new
//! file is there whole or not at all; a file that is changed in place is old (header and every byte
//! up to the old end unchanged) or new; one that is written anew is one or the other, byte for byte.
//! Both images must be sound for wimlib, and the same verb must then succeed.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use transom_sample::listing::{self, Listing};
use transom_sample::{Random, Sample, Spec, tool};

use crate::Effort;

const HEADER: usize = 208;

/// What a verb does to files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writes {
    /// This file appears.
    New(&'static str),
    /// These parts appear; the first of them last.
    Parts(&'static str),
    /// The file is appended to.
    InPlace,
    /// Another file takes its place.
    Anew,
}

const VERBS: &[(&str, Writes, &[&str])] = &[
    (
        "capture",
        Writes::New("new.wim"),
        &["image", "capture", "tree", "new.wim", "--name", "New", "--compress", "max"],
    ),
    ("append", Writes::InPlace, &["image", "append", "tree", "x.wim", "--name", "More"]),
    ("export", Writes::New("new.wim"), &["image", "export", "x.wim:all", "new.wim", "--compress", "fast"]),
    ("export to", Writes::InPlace, &["image", "export", "other.wim:1", "x.wim", "--name", "Other"]),
    ("split", Writes::Parts("part.swm"), &["image", "split", "x.wim", "part.swm", "--size", "1"]),
    ("delete", Writes::InPlace, &["image", "delete", "x.wim:1"]),
    ("set", Writes::InPlace, &["image", "set", "x.wim:1", "--description", "another"]),
    ("optimize", Writes::Anew, &["image", "optimize", "x.wim"]),
];

pub(crate) fn run(effort: Effort) -> Result<String> {
    let kills = effort.choose(5, 40);
    let files = effort.choose(400, 2000);
    let spec = |seed| Spec { files, seed, ..Spec::default() };
    let sample = Sample::of(&Spec { images: 2, integrity: true, ..spec(1) })?;
    let other = Sample::of(&spec(2))?;
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    other.copy(&folder.join("other.wim"))?;
    tool::run(
        tool::command("wimlib-imagex")?
            .arg("apply")
            .arg(&other.wim)
            .arg("1")
            .arg(folder.join("tree"))
            .args(["--no-acls", "--no-attributes"]),
    )?;
    let old = fs::read(&sample.wim)?;
    let mut random = Random::new(5);
    let mut record = Vec::new();
    for (name, writes, line) in VERBS {
        let verb = Verb { name, writes: *writes, line, folder, sample: &sample, old: &old };
        record.push(verb.run(kills, &mut random).with_context(|| format!("verb {name}"))?);
    }
    Ok(record.join("; "))
}

struct Verb<'a> {
    name: &'a str,
    writes: Writes,
    line: &'a [&'a str],
    folder: &'a Path,
    sample: &'a Sample,
    old: &'a [u8],
}

impl Verb<'_> {
    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_transom"));
        command
            .arg("--quiet")
            .args(self.line)
            .current_dir(self.folder)
            .env("XDG_STATE_HOME", self.folder.join("state"))
            .env("SOURCE_DATE_EPOCH", "1700000000")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }

    /// As it is before the verb runs.
    fn begin(&self) -> Result<()> {
        self.sample.copy(&self.folder.join("x.wim"))?;
        for entry in fs::read_dir(self.folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with("new.") || name.starts_with("part") || name.starts_with(".transom-") {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }

    /// Runs the verb to its end; gives what it should leave.
    fn whole(&self) -> Result<(Duration, Vec<u8>)> {
        self.begin()?;
        let begin = Instant::now();
        tool::run(&mut self.command())?;
        let took = begin.elapsed();
        let result = match self.writes {
            Writes::New(name) | Writes::Parts(name) => name,
            Writes::InPlace | Writes::Anew => "x.wim",
        };
        Ok((took, fs::read(self.folder.join(result))?))
    }

    fn run(&self, kills: u32, random: &mut Random) -> Result<String> {
        let (took, new) = self.whole()?;
        let (mut was_old, mut was_new, mut ended) = (0, 0, 0);
        let mut killed = 0;
        while killed < kills {
            ensure!(ended <= 4 * kills, "the process ends before it can be killed");
            self.begin()?;
            let mut child = self.command().spawn()?;
            std::thread::sleep(took.mul_f64(random.below(1000) as f64 / 1000.0));
            if child.try_wait()?.is_some() {
                ended += 1;
                continue;
            }
            child.kill()?;
            child.wait()?;
            killed += 1;
            match self.is_new(&new)? {
                true => was_new += 1,
                false => was_old += 1,
            }
        }
        // Left-overs hinder nothing: without removing them, from whatever state the last kill left.
        if !self.is_new(&new)? {
            // Parts without their first one belong to nobody, and are not written over.
            if matches!(self.writes, Writes::Parts(_)) {
                self.begin()?;
            }
            tool::run(&mut self.command())?;
            ensure!(self.is_new(&new)?, "the command after the kill did nothing");
        }
        Ok(format!("{}: {was_old} old, {was_new} new, {ended} ended first", self.name))
    }

    /// Whether the verb is done; fails when it is neither done nor undone.
    fn is_new(&self, new: &[u8]) -> Result<bool> {
        let wim = self.folder.join("x.wim");
        let bytes = fs::read(&wim)?;
        match self.writes {
            Writes::New(name) | Writes::Parts(name) => {
                ensure!(bytes == self.old, "the source changed");
                let path = self.folder.join(name);
                if !path.exists() {
                    return Ok(false);
                }
                ensure!(fs::read(&path)? == new, "the new file is not whole");
                match self.writes {
                    Writes::Parts(_) => self.check_set(&path)?,
                    _ => listing::verify(&path)?,
                }
                Ok(true)
            }
            Writes::Anew => {
                ensure!(bytes == self.old || bytes == new, "neither the old nor the new file");
                listing::verify(&wim)?;
                Ok(bytes == new)
            }
            Writes::InPlace => {
                listing::verify(&wim)?;
                if bytes[..HEADER] != self.old[..HEADER] {
                    ensure!(bytes == new, "the header is new, and the file is not");
                    return Ok(true);
                }
                ensure!(bytes.starts_with(self.old), "bytes before the old end changed");
                ensure!(
                    Listing::of(&wim, 1)? == Listing::of(&self.sample.wim, 1)?,
                    "the header is old, but the tree is not"
                );
                Ok(false)
            }
        }
    }

    fn check_set(&self, first: &Path) -> Result<()> {
        let parts = self.folder.join("part*.swm");
        tool::run(
            tool::command("wimlib-imagex")?
                .arg("verify")
                .arg(first)
                .arg(format!("--ref={}", parts.display())),
        )?;
        Ok(())
    }
}
