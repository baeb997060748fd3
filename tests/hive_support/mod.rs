// SPDX-License-Identifier: GPL-3.0-or-later
//! What the hive tests share: the corpus, and peers that read hives.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

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
    if path.is_file() {
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

/// A small generator of pseudo-random numbers: the same seed, the same run.
#[derive(Debug)]
pub struct Random {
    state: u64,
    /// Whether names have units that not every peer can say.
    strange: bool,
}

impl Random {
    pub fn new(seed: u64) -> Self {
        Self { state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1, strange: true }
    }

    /// Names without control characters and half surrogate pairs.
    pub fn plain(mut self) -> Self {
        self.strange = false;
        self
    }

    pub fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 16) as usize % limit.max(1)
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        for chunk in bytes.chunks_mut(8) {
            let number = self.next().to_le_bytes();
            chunk.copy_from_slice(&number[..chunk.len()]);
        }
        bytes
    }

    fn unit(&mut self) -> u16 {
        match self.below(12) {
            0 => 0xC0 + self.below(0x40) as u16,
            1 => 0x100 + self.below(0x300) as u16,
            2 => 0xFF21 + self.below(0x60) as u16,
            _ => 0x30 + self.below(0x4A) as u16,
        }
    }

    /// A name that a key can have: Latin-1, other planes, pairs and now and then half a pair.
    pub fn name(&mut self) -> Vec<u16> {
        let length = if self.below(40) == 0 { 200 } else { 1 + self.below(12) };
        let mut name: Vec<u16> = (0..length)
            .map(|_| self.unit())
            .map(|unit| if unit == u16::from(b'\\') { u16::from(b'|') } else { unit })
            .collect();
        match self.below(if self.strange { 30 } else { 10 }) {
            0 => name.extend([0xD801, 0xDC10 + self.below(8) as u16]),
            1 if self.strange => name.push(0xD800 + self.below(0x800) as u16),
            2 if self.strange => name.push(self.below(32) as u16),
            _ => {}
        }
        name
    }

    pub fn value_name(&mut self) -> Vec<u16> {
        if self.below(15) == 0 { Vec::new() } else { self.name() }
    }
}

pub mod model;
pub mod peers;
