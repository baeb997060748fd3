// SPDX-License-Identifier: GPL-3.0-or-later
//! Edits of an image in terms of paths: a small stand-in for the overlay.

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use transom::base::{DirEntry, FileAttributes, FileTime, Node, NodeId, Result, Stream, StreamKind, WinName};
use transom::io::{Cancel, NoProgress, Pool, ReadAt};
use transom::wim::{
    CommitFile, CommitOptions, CommitReport, DirectoryEdit, Image, ImageEdit, NodeEdit, StreamSource,
    Transaction, TreeEdit,
};

/// Stamped on everything that the tests make.
pub(crate) const NOW: FileTime = FileTime(133_500_000_000_000_000);

pub(crate) struct Edits {
    pub(crate) image: Image,
    pub(crate) tree: TreeEdit,
    next: u64,
}

impl Edits {
    pub(crate) fn new(image: Image) -> Self {
        Self { image, tree: TreeEdit::default(), next: NodeId::NEW }
    }

    /// The directory and the entry of a path of the base, or of a directory made here.
    pub(crate) fn find(&self, path: &str) -> (NodeId, DirEntry) {
        let mut directory = self.image.root();
        let mut found = None;
        for component in path.split('/').filter(|component| !component.is_empty()) {
            if let Some((_, entry)) = found {
                let entry: DirEntry = entry;
                directory = entry.node;
            }
            let name = WinName::from(component);
            let added = self
                .tree
                .directories
                .get(&directory)
                .and_then(|edit| edit.added.iter().find(|entry| entry.name == name).cloned());
            let entry = added.or_else(|| self.image.lookup(directory, name.units()).unwrap_or_default());
            found = Some((directory, entry.unwrap_or_else(|| panic!("{path} is not there"))));
        }
        found.unwrap()
    }

    pub(crate) fn directory(&self, path: &str) -> NodeId {
        if path == "/" { self.image.root() } else { self.find(path).1.node }
    }

    fn change(&mut self, directory: NodeId) -> &mut DirectoryEdit {
        self.tree.directories.entry(directory).or_default()
    }

    /// The record of a node as edited so far.
    fn record(&self, id: NodeId) -> NodeEdit {
        if let Some(edit) = self.tree.nodes.get(&id) {
            return NodeEdit { node: edit.node.clone(), streams: edit.streams.clone() };
        }
        let node = self.image.node(id).unwrap();
        let streams = node.streams.iter().map(|_| StreamSource::Unchanged).collect();
        NodeEdit { node, streams }
    }

    pub(crate) fn set_stream(&mut self, path: &str, source: StreamSource) {
        let id = self.find(path).1.node;
        let mut edit = self.record(id);
        let position = edit
            .node
            .streams
            .iter()
            .position(|stream| stream.kind == StreamKind::Data && stream.name.is_empty());
        edit.streams[position.unwrap()] = source;
        edit.node.write_time = NOW;
        self.tree.nodes.insert(id, edit);
    }

    pub(crate) fn replace(&mut self, path: &str, bytes: &[u8]) {
        self.set_stream(path, StreamSource::New(Arc::new(bytes.to_vec())));
    }

    pub(crate) fn patch(&mut self, path: &str, changed: Vec<Range<u64>>, content: Vec<u8>) {
        let id = self.find(path).1.node;
        let base = self.image.node(id).unwrap().data().unwrap().hash.unwrap();
        self.set_stream(path, StreamSource::Patched { base, changed, content: Arc::new(content) });
    }

    pub(crate) fn touch(&mut self, path: &str, change: impl FnOnce(&mut Node)) {
        let id = self.directory(path);
        let mut edit = self.record(id);
        change(&mut edit.node);
        self.tree.nodes.insert(id, edit);
    }

    /// A new file or directory with streams: (name, bytes).
    fn create(&mut self, parent: &str, name: &str, attributes: FileAttributes, streams: &[(&str, &[u8])]) {
        let directory = self.directory(parent);
        let id = NodeId(self.next);
        self.next += 1;
        let node = Node {
            attributes,
            creation_time: NOW,
            access_time: NOW,
            write_time: NOW,
            streams: streams
                .iter()
                .map(|(name, bytes)| Stream {
                    kind: StreamKind::Data,
                    name: WinName::from(*name),
                    length: bytes.len() as u64,
                    hash: None,
                })
                .collect(),
            ..Node::default()
        };
        let streams = streams.iter().map(|(_, bytes)| StreamSource::New(Arc::new(bytes.to_vec()))).collect();
        self.tree.nodes.insert(id, NodeEdit { node, streams });
        self.change(directory).added.push(DirEntry { name: WinName::from(name), short_name: None, node: id });
    }

    pub(crate) fn add_file(&mut self, parent: &str, name: &str, bytes: &[u8]) {
        self.create(parent, name, FileAttributes::ARCHIVE, &[("", bytes)]);
    }

    pub(crate) fn add_file_with_stream(
        &mut self,
        parent: &str,
        name: &str,
        bytes: &[u8],
        stream: (&str, &[u8]),
    ) {
        self.create(parent, name, FileAttributes::ARCHIVE, &[("", bytes), stream]);
    }

    pub(crate) fn add_directory(&mut self, parent: &str, name: &str) {
        self.create(parent, name, FileAttributes::DIRECTORY, &[]);
    }

    pub(crate) fn remove(&mut self, path: &str) -> DirEntry {
        let (directory, entry) = self.find(path);
        self.change(directory).removed.push(entry.name.clone());
        entry
    }

    pub(crate) fn rename(&mut self, path: &str, parent: &str, name: &str) {
        let mut entry = self.remove(path);
        entry.name = WinName::from(name);
        let directory = self.directory(parent);
        self.change(directory).added.push(entry);
    }

    /// Puts a removed entry back as it was.
    pub(crate) fn rename_back(&mut self, entry: DirEntry) {
        let root = self.image.root();
        self.change(root).added.push(entry);
    }

    /// Sets the content of a file in the root, which may be new.
    pub(crate) fn replace_or_add(&mut self, name: &str, bytes: &[u8]) {
        let found = self.image.lookup(self.image.root(), WinName::from(name).units()).unwrap();
        match found {
            Some(_) => self.replace(&format!("/{name}"), bytes),
            None => self.add_file("/", name, bytes),
        }
    }

    pub(crate) fn link(&mut self, path: &str, parent: &str, name: &str) {
        let node = self.find(path).1.node;
        let directory = self.directory(parent);
        self.change(directory).added.push(DirEntry { name: WinName::from(name), short_name: None, node });
    }

    pub(crate) fn transaction(self) -> Transaction {
        let mut transaction = Transaction::new(self.image.wim().path());
        transaction.edit_image(self.image.index(), self.into_edit());
        transaction
    }

    pub(crate) fn into_edit(self) -> ImageEdit {
        ImageEdit { metadata: self.image.metadata_hash(), tree: self.tree, modified: NOW }
    }

    pub(crate) fn commit(self) -> Result<CommitReport> {
        commit(self.transaction(), &mut |file| Box::new(file))
    }
}

pub(crate) fn commit(
    transaction: Transaction,
    wrap: &mut dyn FnMut(File) -> Box<dyn CommitFile>,
) -> Result<CommitReport> {
    let pool = Pool::new(2).unwrap();
    let options = CommitOptions { pool: &pool, progress: &NoProgress, cancel: &Cancel::default() };
    transaction.commit_through(&options, wrap)
}

/// Everything in a blob.
pub(crate) fn read_all(content: &dyn ReadAt) -> Vec<u8> {
    transom::io::read_vec(content, 0, content.len()).unwrap()
}

/// The bytes of a file in an image.
pub(crate) fn read_file(image: &Image, path: &str) -> Vec<u8> {
    let edits = Edits::new(image.clone());
    let node = image.node(edits.find(path).1.node).unwrap();
    read_all(&*image.wim().blob(node.data().unwrap().hash.unwrap()).unwrap())
}

/// A copy of a file that may be changed.
pub(crate) fn copy(from: &Path, directory: &Path) -> std::path::PathBuf {
    let to = directory.join(from.file_name().unwrap());
    std::fs::write(&to, std::fs::read(from).unwrap()).unwrap();
    to
}

/// Text that compresses, different for each seed.
pub(crate) fn text(seed: u32, length: usize) -> Vec<u8> {
    let mut state = u64::from(seed) * 2 + 1;
    let mut bytes = Vec::with_capacity(length + 16);
    while bytes.len() < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend(format!("{} line {}\n", state >> 56, (state >> 40) & 0xFF).bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Bytes that do not compress.
pub(crate) fn noise(seed: u32, length: usize) -> Vec<u8> {
    let mut state = u64::from(seed) * 2 + 0x9E37_79B9_7F4A_7C15;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}
