// SPDX-License-Identifier: GPL-3.0-or-later
//! What the hive tests share: the corpus, and peers that read hives.
#![allow(dead_code, reason = "each test file uses a part")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use transom::base::FileTime;
use transom::hive::{Hive, OpenOptions};
use transom::io::ReadAt;

/// The time that edits are stamped with.
pub const NOW: FileTime = FileTime(0x01DC_0000_1234_5678);

/// A part of the corpus; nothing, with a notice, where it is not there.
pub fn corpus(part: &str) -> Option<PathBuf> {
    let root = match std::env::var_os("TRANSOM_CORPUS") {
        Some(root) => PathBuf::from(root),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"),
    };
    let found = Some(root.join(part)).filter(|path| path.exists());
    if found.is_none() {
        eprintln!("NOTICE: {part} of the corpus is not there; test passed over");
    }
    found
}

/// Whether a program is there; a notice where it is not.
pub fn have(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
    let found = found.is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("NOTICE: {program} is not installed; its judgement is passed over");
    }
    found
}

/// The bytes of a file of the corpus, unpacked.
pub fn unpack(path: &Path) -> Option<Vec<u8>> {
    let packed = PathBuf::from(format!("{}.xz", path.display()));
    if path.exists() {
        return Some(std::fs::read(path).unwrap());
    }
    if !packed.exists() || !have("xz") {
        return None;
    }
    let output = Command::new("xz").arg("-dc").arg(&packed).output().unwrap();
    assert!(output.status.success(), "xz -dc {}", packed.display());
    Some(output.stdout)
}

/// Opens bytes, a dirty hive as it is.
pub fn open(bytes: Vec<u8>) -> transom::base::Result<Hive> {
    open_with(bytes, Vec::new(), true)
}

/// Opens bytes with logs.
pub fn open_with(bytes: Vec<u8>, logs: Vec<Vec<u8>>, ignore_dirty: bool) -> transom::base::Result<Hive> {
    let logs = logs.into_iter().map(|log| Arc::new(log) as Arc<dyn ReadAt>).collect();
    Hive::open(Arc::new(bytes), OpenOptions { logs, ignore_dirty })
}
