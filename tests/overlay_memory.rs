// SPDX-License-Identifier: GPL-3.0-or-later
//! What an overlay costs in memory. Alone in its process, so that the resident set tells.

use std::sync::Arc;

use transom::base::{
    DirEntry, FileAttributes, FileTime, Node, NodeId, NodeKind, Result, Stream, StreamKind, WinName,
};
use transom::digest::blob_hash;
use transom::io::{FixedClock, ReadAt, Scratch};
use transom::volume::{Overlay, Volume, VolumeError};

const FILES: u64 = 100_000;
const PER_DIRECTORY: u64 = 1_000;
const DIRECTORIES: u64 = FILES / PER_DIRECTORY;
const LIMIT: u64 = 60 << 20;
const CONTENT: &[u8] = b"the same in every file";

/// A root, a hundred directories, a thousand files in each, made up when asked for.
struct Wide;

impl Wide {
    fn name(id: u64) -> WinName {
        WinName::from(format!("some-file-name-{id:06}.dll").as_str())
    }

    fn is_directory(id: u64) -> bool {
        id <= DIRECTORIES
    }

    fn entry(id: u64) -> DirEntry {
        DirEntry { name: Self::name(id), short_name: None, node: NodeId(id) }
    }

    fn children(id: u64) -> std::ops::Range<u64> {
        match id {
            0 => 1..DIRECTORIES + 1,
            _ => {
                let first = 1 + DIRECTORIES + (id - 1) * PER_DIRECTORY;
                first..first + PER_DIRECTORY
            }
        }
    }
}

impl Volume for Wide {
    fn root(&self) -> NodeId {
        NodeId(0)
    }

    fn node(&self, id: NodeId) -> Result<Node> {
        if id.0 > DIRECTORIES + FILES {
            return Err(VolumeError::NoNode { node: id }.into());
        }
        if Self::is_directory(id.0) {
            return Ok(Node { attributes: FileAttributes::DIRECTORY, ..Node::default() });
        }
        let stream = Stream {
            kind: StreamKind::Data,
            name: WinName::default(),
            length: CONTENT.len() as u64,
            hash: Some(blob_hash(CONTENT)),
        };
        Ok(Node { attributes: FileAttributes::HIDDEN, streams: vec![stream], ..Node::default() })
    }

    fn entries(&self, directory: NodeId) -> Result<Vec<DirEntry>> {
        if !Self::is_directory(directory.0) {
            return Ok(Vec::new());
        }
        Ok(Self::children(directory.0).map(Self::entry).collect())
    }

    fn lookup(&self, directory: NodeId, name: &[u16]) -> Result<Option<DirEntry>> {
        let number = String::from_utf16_lossy(name);
        let number = number.strip_prefix("some-file-name-").and_then(|rest| rest.get(..6)?.parse().ok());
        Ok(number.filter(|id| Self::children(directory.0).contains(id)).map(Self::entry))
    }

    fn links(&self, id: NodeId) -> Result<Vec<(NodeId, DirEntry)>> {
        Ok(match id.0 {
            0 => Vec::new(),
            id if Self::is_directory(id) => vec![(NodeId(0), Self::entry(id))],
            id => vec![(NodeId(1 + (id - DIRECTORIES - 1) / PER_DIRECTORY), Self::entry(id))],
        })
    }

    fn open(&self, _id: NodeId, _kind: StreamKind, _name: &[u16]) -> Result<Arc<dyn ReadAt>> {
        Ok(Arc::new(CONTENT.to_vec()))
    }
}

/// Bytes of the resident set that are no file's.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

fn overlay(directory: &tempfile::TempDir) -> Overlay {
    let clock = Arc::new(FixedClock(FileTime(1)));
    Overlay::new(Arc::new(Wide), Scratch::at(directory.path()), clock).unwrap()
}

fn check(what: &str, before: u64, limit: u64) {
    let used = resident().saturating_sub(before);
    eprintln!("{what}: {used} bytes");
    assert!(used <= limit, "{what} takes {used} bytes, more than {limit}");
}

/// Runs one of the measurements below in a process of its own: memory that an earlier one gave back
/// would not be counted.
fn measure(name: &str) {
    let test = std::env::current_exe().unwrap();
    let status = std::process::Command::new(test)
        .args(["--exact", name, "--ignored", "--nocapture"])
        .status()
        .unwrap();
    assert!(status.success(), "{name}");
}

#[test]
fn memory_follows_the_changes() {
    ["nothing_changed", "nodes_changed", "files_created"].into_iter().for_each(measure);
}

#[test]
#[ignore = "run by memory_follows_the_changes"]
fn nothing_changed() {
    let directory = tempfile::tempdir().unwrap();
    let before = resident();
    let overlay = overlay(&directory);
    for parent in 1..=DIRECTORIES {
        for id in Wide::children(parent) {
            assert_eq!(overlay.lookup(NodeId(parent), Wide::name(id).units()).unwrap().unwrap().node.0, id);
            assert_eq!(overlay.node(NodeId(id)).unwrap().streams.len(), 1);
        }
    }
    assert!(!overlay.is_changed());
    check("an overlay of 100,000 nodes, all as in the base", before, 2 << 20);
}

#[test]
#[ignore = "run by memory_follows_the_changes"]
fn nodes_changed() {
    let directory = tempfile::tempdir().unwrap();
    let before = resident();
    let overlay = overlay(&directory);
    for id in DIRECTORIES + 1..=DIRECTORIES + FILES {
        overlay.set_attributes(NodeId(id), FileAttributes::SYSTEM).unwrap();
    }
    check("100,000 changed nodes", before, LIMIT);
}

#[test]
#[ignore = "run by memory_follows_the_changes"]
fn files_created() {
    let directory = tempfile::tempdir().unwrap();
    let before = resident();
    let overlay = overlay(&directory);
    for parent in 1..=DIRECTORIES {
        for number in 0..PER_DIRECTORY {
            let name = WinName::from(format!("a-new-file-of-mine-{number:04}.sys").as_str());
            let node = overlay.create(NodeId(parent), &name, NodeKind::File).unwrap();
            // Making files on the disk is what takes the time here.
            if number % 4 == 0 {
                overlay.write(node, StreamKind::Data, &[], 0, b"x").unwrap();
            }
        }
    }
    check("100,000 new files, a quarter with data", before, LIMIT);
}
