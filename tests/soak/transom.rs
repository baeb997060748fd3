// SPDX-License-Identifier: GPL-3.0-or-later
//! Our program, as the loops call it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Result;
use transom_sample::{drivers, tool};

/// `transom --image WIM:INDEX ...` in a folder, its log below that folder.
pub(crate) fn command(folder: &Path, image: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_transom"));
    command
        .args(["--image", image])
        .args(arguments)
        .current_dir(folder)
        .env("XDG_STATE_HOME", folder.join("state"))
        // Equal runs give equal bytes.
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// `driver add` of a package in the folder.
pub(crate) fn add(folder: &Path, image: &str, package: &str) -> Command {
    command(folder, image, &["driver", "add", package, "--force-unsigned"])
}

/// The third-party INFs that our program lists.
pub(crate) fn listed(folder: &Path, image: &str) -> Result<String> {
    tool::run(&mut command(folder, image, &["driver", "list"]))
}

/// Writes a package of the class that changes most: needed to boot.
pub(crate) fn package(folder: &Path, name: &str, length: u32) -> Result<PathBuf> {
    drivers::write_package(
        folder,
        &drivers::DriverSpec { name, class: "SCSIAdapter", length, ..drivers::DriverSpec::default() },
    )
}
