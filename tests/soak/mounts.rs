// SPDX-License-Identifier: GPL-3.0-or-later
//! Mounts of the loops' own, and the loop that kills the process which serves one.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use transom_sample::{Random, tool};

use crate::Effort;

/// A WIM of plain files, its first image mounted read-write; unmounted when it goes, whatever happens.
pub(crate) struct Mounted {
    folder: TempDir,
}

impl Mounted {
    pub(crate) fn plain(images: &[&str]) -> Result<Self> {
        let mounted = Self { folder: tempfile::tempdir()? };
        let tree = mounted.folder().join("tree");
        fs::create_dir_all(tree.join("folder"))?;
        fs::write(tree.join("folder/file"), "some text\n".repeat(10_000))?;
        for (position, image) in images.iter().enumerate() {
            let verb = if position == 0 { "capture" } else { "append" };
            tool::run(Command::new("wimlib-imagex").arg(verb).arg(&tree).arg(mounted.wim()).arg(image))?;
        }
        fs::create_dir(mounted.root())?;
        mounted.run(&["mount", "w.wim:1", "mnt"])?;
        Ok(mounted)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn wim(&self) -> PathBuf {
        self.folder().join("w.wim")
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder().join("mnt")
    }

    /// Runs our program, which must succeed.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_transom"));
        command
            .args(arguments)
            .current_dir(self.folder())
            .env("XDG_STATE_HOME", self.folder().join("state"))
            .stdin(Stdio::null());
        tool::run(&mut command)
    }

    /// Id and serving process of the mount.
    fn listed(&self) -> Result<(String, Option<u64>)> {
        let document: serde_json::Value = serde_json::from_str(&self.run(&["mounts", "--json"])?)?;
        let mount = &document["results"][0]["report"]["mounts"][0];
        let id = mount["id"].as_str().context("the mount is not listed")?;
        Ok((id.to_owned(), mount["pid"].as_u64()))
    }

    pub(crate) fn pid(&self) -> Result<u64> {
        self.listed()?.1.context("nobody serves the mount")
    }

    /// Kills the process that serves it, and waits until it is gone.
    pub(crate) fn kill(&self, pid: u64) -> Result<()> {
        let killed = Command::new("sh").args(["-c", &format!("kill -KILL {pid}")]).status()?;
        ensure!(killed.success(), "process {pid} cannot be killed");
        let began = Instant::now();
        while self.listed()?.1.is_some() {
            ensure!(began.elapsed() < Duration::from_secs(30), "process {pid} lives on");
        }
        Ok(())
    }

    /// Writes everything into the image, which must be sound then.
    pub(crate) fn end(self) -> Result<()> {
        self.run(&["unmount", "mnt", "--commit"])?;
        tool::run(Command::new("wimlib-imagex").arg("verify").arg(self.wim()).stdout(Stdio::piped()))?;
        Ok(())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Ok((id, _)) = self.listed() {
            let _ = self.run(&["cleanup", "--force", &id]);
        }
    }
}

/// What file `number` of a round holds.
fn content(round: u32, number: u32) -> Vec<u8> {
    let length = number as usize * 311 % 100_000;
    (0..length).map(|at| (at as u32 ^ round << 3 ^ number.wrapping_mul(97)) as u8).collect()
}

/// One change, acknowledged when it returns: a file is made, written in two steps, and given its name.
fn change(directory: &Path, round: u32, number: u32) -> std::io::Result<()> {
    let (unfinished, finished) = (directory.join("unfinished"), directory.join(number.to_string()));
    let data = content(round, number);
    let (first, second) = data.split_at(data.len() / 3);
    let mut file = File::create(&unfinished)?;
    file.write_all(first)?;
    file.write_all(second)?;
    drop(file);
    fs::rename(&unfinished, &finished)
}

pub(crate) fn run(effort: Effort) -> Result<String> {
    let kills = effort.choose(6, 100);
    let mounted = Mounted::plain(&["one"])?;
    let mut random = Random::new(5);
    let (mut written, mut in_commits) = (0_u64, 0);
    for round in 0..kills {
        let directory = mounted.root().join(format!("round {round}"));
        let directory = directory.as_path();
        fs::create_dir(directory)?;
        let pid = mounted.pid()?;
        let stop = AtomicBool::new(false);
        let committing = random.below(4) == 0;
        let pause = Duration::from_millis(random.below(if committing { 120 } else { 400 }));
        let (done, killed) = std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut number = 0;
                while !stop.load(Ordering::Relaxed) && change(directory, round, number).is_ok() {
                    number += 1;
                }
                number
            });
            let commit = committing.then(|| {
                std::thread::sleep(Duration::from_millis(60));
                // It is killed with its server, or done before.
                scope.spawn(|| mounted.run(&["commit", "mnt"]).is_ok())
            });
            std::thread::sleep(pause);
            let killed = mounted.kill(pid);
            stop.store(true, Ordering::Relaxed);
            let done = writer.join().unwrap_or(0);
            if let Some(commit) = commit {
                in_commits += u32::from(!commit.join().unwrap_or(true));
            }
            (done, killed)
        });
        killed?;
        tool::run(Command::new("wimlib-imagex").arg("verify").arg(mounted.wim()).stdout(Stdio::piped()))?;
        mounted.run(&["remount", "mnt"])?;
        for number in 0..done {
            let found = fs::read(directory.join(number.to_string()))
                .with_context(|| format!("round {round}: change {number} of {done} is lost"))?;
            ensure!(found == content(round, number), "round {round}: change {number} is damaged");
        }
        written += u64::from(done);
        // The rounds before are looked at once more at the end; until then only by number.
        let names = fs::read_dir(mounted.root())?.count();
        ensure!(names == round as usize + 2, "round {round}: {names} names");
    }
    ensure!(written > u64::from(kills), "only {written} changes were made between {kills} kills");
    let root = mounted.root();
    let files = fs::read_dir(&root)?.count();
    mounted.end()?;
    Ok(format!(
        "{kills} kills, {in_commits} of them in a commit, {written} changes, {files} folders: none lost"
    ))
}
