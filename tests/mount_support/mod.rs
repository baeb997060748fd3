// SPDX-License-Identifier: GPL-3.0-or-later
//! Mounts for tests: made by the program, and taken away again whatever becomes of the test. Only what a test itself
//! has mounted or started is ever touched.

#![allow(dead_code)] // Each test file uses a part of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// The moment that every change is stamped with: 2023-11-14 22:13:20 UTC.
pub(crate) const NOW: u64 = 1_700_000_000;

/// A folder with image files and mounts of its own.
pub(crate) struct Place {
    folder: TempDir,
    fixed_time: bool,
}

/// Says why nothing can be mounted on this machine; nothing where it can.
pub(crate) fn obstacle() -> Option<String> {
    let usable = fuse_mount::probe()
        .into_iter()
        .any(|prospect| prospect.is_usable() && prospect.way != fuse_mount::Way::UserNamespace);
    (!usable).then(|| "this machine allows no mounts".to_owned())
}

impl Place {
    /// Nothing, said on stderr, where nothing can be mounted.
    pub(crate) fn new() -> Option<Self> {
        if let Some(why) = obstacle() {
            eprintln!("NOTICE: {why}; the test is passed over");
            return None;
        }
        Some(Self { folder: tempfile::tempdir().unwrap(), fixed_time: true })
    }

    /// Lets changes be stamped with the time of the system.
    pub(crate) fn with_system_time(mut self) -> Self {
        self.fixed_time = false;
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A new, empty directory.
    pub(crate) fn directory(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_transom"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("XDG_STATE_HOME", self.path("state"))
            .env("TZ", "UTC")
            .stdin(Stdio::null());
        if self.fixed_time {
            command.env("SOURCE_DATE_EPOCH", NOW.to_string());
        }
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs the program, which must succeed; gives its standard output.
    #[track_caller]
    pub(crate) fn succeed(&self, line: &str) -> String {
        let output = self.run(&line.split(' ').collect::<Vec<_>>());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{line}: {text}{}{}",
            String::from_utf8_lossy(&output.stderr),
            self.logs()
        );
        text
    }

    /// Runs the program, which must fail; gives the error of its document.
    #[track_caller]
    pub(crate) fn refuse(&self, line: &str) -> serde_json::Value {
        let mut words: Vec<&str> = line.split(' ').collect();
        words.push("--json");
        let output = self.run(&words);
        assert!(!output.status.success(), "{line} was to fail");
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        document["error"].clone()
    }

    /// Mounts an image read-write on a new directory.
    #[track_caller]
    pub(crate) fn mount(&self, image: &str, name: &str) -> PathBuf {
        let directory = self.directory(name);
        self.succeed(&format!("mount {image} {name}"));
        directory
    }

    /// What `mounts` lists.
    pub(crate) fn mounts(&self) -> Vec<serde_json::Value> {
        let document: serde_json::Value = serde_json::from_str(&self.succeed("mounts --json")).unwrap();
        document["results"][0]["report"]["mounts"].as_array().unwrap().clone()
    }

    /// What `mounts` lists of one directory.
    #[track_caller]
    pub(crate) fn listed(&self, name: &str) -> serde_json::Value {
        let directory = self.path(name);
        let mounts = self.mounts();
        let found = mounts.iter().find(|mount| mount["mount_directory"] == directory.to_str().unwrap());
        found.unwrap_or_else(|| panic!("{name} is not listed in {mounts:?}")).clone()
    }

    /// Kills the process that serves a mount, and waits until it is gone.
    #[track_caller]
    pub(crate) fn kill(&self, name: &str) {
        let pid = self.listed(name)["pid"].as_u64().unwrap();
        signal(pid, "KILL");
        let began = std::time::Instant::now();
        while self.listed(name)["pid"].as_u64().is_some() {
            assert!(began.elapsed().as_secs() < 20, "process {pid} lives on");
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }

    /// What the serving processes had to say.
    pub(crate) fn logs(&self) -> String {
        let mut all = String::new();
        for state in fs::read_dir(self.path("state/transom/mounts")).into_iter().flatten().flatten() {
            all.push_str(&fs::read_to_string(state.path().join("log")).unwrap_or_default());
        }
        all
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.logs());
        }
        for state in fs::read_dir(self.path("state/transom/mounts")).into_iter().flatten().flatten() {
            let name = state.file_name();
            if state.path().is_dir()
                && let Some(id) = name.to_str()
            {
                let _ = self.run(&["cleanup", "--force", id]);
            }
        }
        // What even that could not take away.
        for entry in fuse_mount::mount_table().unwrap_or_default() {
            if entry.is_fuse("transom") && entry.mount_point.starts_with(self.folder.path()) {
                let _ = fuse_mount::detach_mount(&entry);
            }
        }
    }
}

/// Sends a signal by the shell's own kill: a bare system has no other.
pub(crate) fn signal(pid: u64, name: &str) {
    let sent = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().unwrap();
    assert!(sent.success(), "process {pid} cannot be sent {name}");
}

/// A WIM of plain files, written by wimlib-imagex: one image for each name, all alike but for `which`.
pub(crate) fn plain_wim(place: &Place, name: &str, images: &[&str], options: &[&str]) -> Option<PathBuf> {
    let wim = place.path(name);
    for (position, image) in images.iter().enumerate() {
        let tree = place.directory(&format!("tree-{name}-{image}"));
        fs::create_dir_all(tree.join("docs/deep")).unwrap();
        fs::write(tree.join("which"), image).unwrap();
        fs::write(tree.join("docs/readme.txt"), "read me\n").unwrap();
        fs::write(tree.join("docs/deep/noise.bin"), noise(150_000, 1)).unwrap();
        fs::write(tree.join("docs/deep/text.txt"), "some text that compresses well\n".repeat(9000)).unwrap();
        let _ = fs::hard_link(tree.join("docs/readme.txt"), tree.join("docs/deep/same.txt"));
        let mut imagex = Command::new("wimlib-imagex");
        imagex.arg(if position == 0 { "capture" } else { "append" }).arg(&tree).arg(&wim).arg(image);
        if position == 0 {
            imagex.args(options);
        }
        match imagex.output() {
            Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
            Err(error) => {
                eprintln!("NOTICE: wimlib-imagex: {error}; the test is passed over");
                return None;
            }
        }
    }
    Some(wim)
}

/// Bytes that hardly compress, the same for the same seed.
pub(crate) fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = 0x9E37_79B9_u32 ^ seed.wrapping_mul(0x85EB_CA6B) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    };
    (0..length).map(|_| next()).collect()
}

/// wimlib's whole check of a file.
#[track_caller]
pub(crate) fn verified(wim: &Path) {
    let output = Command::new("wimlib-imagex").arg("verify").arg(wim).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The bytes of a file of an image, as wimlib reads them.
#[track_caller]
pub(crate) fn extracted(wim: &Path, image: u32, path: &str) -> Vec<u8> {
    let output = Command::new("wimlib-imagex")
        .arg("extract")
        .arg(wim)
        .args([image.to_string().as_str(), path, "--to-stdout", "--quiet"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
