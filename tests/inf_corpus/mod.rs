// SPDX-License-Identifier: GPL-3.0-or-later
//! Where the test files of INFs and catalogs lie, and what the tests of both share.

#![allow(dead_code, reason = "each test program uses a part")]

use std::path::{Path, PathBuf};
use std::process::Command;

use transom::base::{Arch, Version};
use transom::inf::{Inf, Target};

/// A folder of the corpus; nothing, with a notice, where it is missing.
pub(crate) fn corpus(folder: &str) -> Option<PathBuf> {
    let root = std::env::var_os("TRANSOM_CORPUS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"), PathBuf::from);
    let path = root.join(folder);
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("NOTICE: skipped, no corpus at {}", path.display());
    None
}

/// What a tool prints; nothing, with a notice, where the tool is missing.
pub(crate) fn output_of(command: &mut Command) -> Option<std::process::Output> {
    match command.output() {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("NOTICE: skipped, {:?} does not run: {error}", command.get_program());
            None
        }
    }
}

/// A Windows of this architecture and build, English, workstation.
pub(crate) fn target(arch: Arch, version: &str) -> Target {
    let version: Version = version.parse().unwrap();
    Target { arch, version, product_type: 1, suite_mask: 0x100, language: 0x0409 }
}

/// Reads an INF of the corpus.
pub(crate) fn inf(path: &Path) -> Inf {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Inf::parse(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
