// SPDX-License-Identifier: GPL-3.0-or-later
//! Runs the command as a user does, in a directory of its own, with nothing of the user's
//! surroundings: no log of his, no time zone, no clock.

#![allow(dead_code)] // Each test file uses a part of it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A directory to run commands in.
pub(crate) struct Place {
    directory: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("state/transom/dism.log")).unwrap_or_default()
    }

    /// Writes a file, and the directories it lies in.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// A call of the program under its own name.
    pub(crate) fn transom(&self, line: &str) -> Test {
        self.called(Path::new(env!("CARGO_BIN_EXE_transom")), line)
    }

    /// A call under the name `dism`.
    pub(crate) fn dism(&self, line: &str) -> Test {
        self.linked("dism", line)
    }

    /// A call under any name.
    pub(crate) fn linked(&self, name: &str, line: &str) -> Test {
        let link = self.path(name);
        if !link.exists() {
            std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_transom"), &link).unwrap();
        }
        self.called(&link, line)
    }

    fn called(&self, program: &Path, line: &str) -> Test {
        let mut command = Command::new(program);
        command
            .args(line.split_whitespace())
            .current_dir(self.directory.path())
            .env_clear()
            .env("XDG_STATE_HOME", self.path("state"))
            .env("TZ", "UTC")
            .stdin(Stdio::null());
        Test { command, line: line.to_owned() }
    }

    /// A WIM with images of plain files, written by wimlib-imagex; nothing where that is missing.
    pub(crate) fn wim(&self, name: &str, images: &[&str]) -> Option<PathBuf> {
        let wim = self.path(name);
        for (position, image) in images.iter().enumerate() {
            let tree = format!("tree-{image}");
            self.write(&format!("{tree}/readme.txt"), format!("image {image}"));
            self.write(&format!("{tree}/data/noise.bin"), noise(100_000));
            let verb = if position == 0 { "capture" } else { "append" };
            let description = format!("{image} description");
            let mut imagex = Command::new("wimlib-imagex");
            imagex.arg(verb).arg(self.path(&tree)).arg(&wim).args([image, description.as_str(), "--check"]);
            match imagex.output() {
                Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
                Err(error) => {
                    eprintln!("NOTICE: wimlib-imagex: {error}: the command is not tried on a WIM");
                    return None;
                }
            }
        }
        Some(wim)
    }
}

/// Bytes that hardly compress, always the same.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    };
    (0..length).map(|_| next()).collect()
}

/// One call, to be completed and run.
pub(crate) struct Test {
    command: Command,
    line: String,
}

impl Test {
    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.line.push_str(&format!(" {:?}", argument.as_ref()));
        self.command.arg(argument);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn without_env(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    pub(crate) fn stdout(mut self, to: impl Into<Stdio>) -> Self {
        self.command.stdout(to);
        self
    }

    pub(crate) fn run(mut self) -> Ran {
        let output = self.command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran {
            line: self.line,
            status: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    pub(crate) fn into_command(self) -> Command {
        self.command
    }
}

/// What a call gave.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) line: String,
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    #[track_caller]
    pub(crate) fn status(self, expected: i32) -> Self {
        assert_eq!(self.status, Some(expected), "{self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn stdout(self, expected: &str) -> Self {
        assert_eq!(self.stdout, expected, "{self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn stderr(self, expected: &str) -> Self {
        assert_eq!(self.stderr, expected, "{self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

pub(crate) const BANNER: &str = concat!(
    "\nDeployment Image Servicing and Management tool\nVersion: ",
    env!("CARGO_PKG_VERSION"),
    ".0\n\n"
);

pub(crate) const SUCCESS: &str = "The operation completed successfully.\n";
