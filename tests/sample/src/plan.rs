// SPDX-License-Identifier: GPL-3.0-or-later
//! The tree of a sample before it is written: a list of entries, parents first.

use std::collections::HashMap;

use crate::content::Content;
use crate::security;

/// `FILE_ATTRIBUTE_*` bits that the samples use.
pub mod attribute {
    /// May not be written.
    pub const READONLY: u32 = 0x1;
    /// Not shown.
    pub const HIDDEN: u32 = 0x2;
    /// Belongs to the system.
    pub const SYSTEM: u32 = 0x4;
    /// Changed since the last backup.
    pub const ARCHIVE: u32 = 0x20;
    /// Left out by the indexer.
    pub const NOT_CONTENT_INDEXED: u32 = 0x2000;
}

/// What an entry is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A file with its data.
    File(Content),
    /// One more name of the file that the entry of this number names.
    Link(usize),
    /// A junction (`IO_REPARSE_TAG_MOUNT_POINT`) to a path on drive C.
    Junction(String),
    /// A symbolic link, to a directory or to a file.
    Symlink {
        /// The target as stored.
        target: String,
        /// Whether it leads to a directory.
        directory: bool,
    },
}

/// One name of the tree.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Path from the root, with `/`.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// `FILE_ATTRIBUTE_*`, without the bits that say what it is.
    pub attributes: u32,
    /// Creation, last write, last access and change, as FILETIME.
    pub times: [u64; 4],
    /// The descriptor as SDDL of [`security`].
    pub security: &'static str,
    /// The 8.3 name.
    pub short_name: Option<String>,
    /// Named streams.
    pub streams: Vec<(String, Vec<u8>)>,
    /// The first 16 bytes are the object's id, the others are left to zero.
    pub object_id: Option<[u8; 16]>,
}

/// A tree.
#[derive(Debug, Default)]
pub struct Plan {
    entries: Vec<Entry>,
    by_path: HashMap<String, usize>,
    clock: u64,
}

/// 2024-04-01 00:00 UTC, when most of the sample was made.
const MADE: u64 = 133_564_032_000_000_000;

impl Plan {
    /// An empty tree.
    pub fn new() -> Self {
        Self { clock: MADE, ..Self::default() }
    }

    /// The entries, parents before what is in them.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// How many names are no directories (junctions count as files, as wimlib counts them).
    pub fn files(&self) -> usize {
        self.entries.iter().filter(|entry| !matches!(entry.kind, Kind::Directory)).count()
    }

    /// The entry of a path, in any case.
    pub fn find(&self, path: &str) -> Option<usize> {
        self.by_path.get(&path.to_ascii_lowercase()).copied()
    }

    /// To change what an entry carries.
    pub fn entry(&mut self, number: usize) -> &mut Entry {
        &mut self.entries[number]
    }

    /// Adds a directory and those above it; an existing one is returned.
    pub fn directory(&mut self, path: &str) -> usize {
        if let Some(number) = self.find(path) {
            return number;
        }
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.directory(parent);
        }
        let security = match path.rsplit_once('/').and_then(|(parent, _)| self.find(parent)) {
            Some(parent) => self.entries[parent].security,
            None => security::SYSTEM_DIRECTORY,
        };
        self.add(path, Kind::Directory, 0, security)
    }

    /// Adds a file.
    ///
    /// # Panics
    /// When the path is taken.
    pub fn file(&mut self, path: &str, content: Content, security: &'static str) -> usize {
        self.leaf(path, Kind::File(content), attribute::ARCHIVE, security)
    }

    /// Adds one more name of a file.
    ///
    /// # Panics
    /// When the path is taken.
    pub fn link(&mut self, path: &str, file: usize) -> usize {
        let (attributes, security) = (self.entries[file].attributes, self.entries[file].security);
        self.leaf(path, Kind::Link(file), attributes, security)
    }

    /// Adds a junction or symbolic link.
    ///
    /// # Panics
    /// When the path is taken.
    pub fn reparse(&mut self, path: &str, kind: Kind) -> usize {
        self.leaf(path, kind, attribute::HIDDEN | attribute::SYSTEM, security::JUNCTION)
    }

    fn leaf(&mut self, path: &str, kind: Kind, attributes: u32, security: &'static str) -> usize {
        assert!(self.find(path).is_none(), "two entries at {path}");
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.directory(parent);
        }
        self.add(path, kind, attributes, security)
    }

    fn add(&mut self, path: &str, kind: Kind, attributes: u32, security: &'static str) -> usize {
        let number = self.entries.len();
        // Every entry has times of its own, with ticks below the second.
        self.clock += 10_000_013;
        let time = self.clock;
        self.by_path.insert(path.to_ascii_lowercase(), number);
        self.entries.push(Entry {
            path: path.to_owned(),
            kind,
            attributes,
            times: [time - 30_000_000_007, time, time + 70_000_001, time + 3],
            security,
            short_name: None,
            streams: Vec::new(),
            object_id: None,
        });
        number
    }
}
