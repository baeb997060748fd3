// SPDX-License-Identifier: GPL-3.0-or-later
//! The overlay against a simple model: random sequences of operations with savepoints; after each
//! one both trees are equal, and so is what any prefix of the journal gives when it is replayed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use transom::base::name::{same, units};
use transom::base::security::{Ownership, inherit};
use transom::base::{
    BlobHash, FileAttributes, FileTime, Node, NodeId, NodeKind, ReparseHeader, StreamKind, TaggedItem,
    WinName, WinPath,
};
use transom::io::{FixedClock, ReadAt, Scratch, read_vec};
use transom::volume::memory::MemoryVolume;
use transom::volume::{NewData, Overlay, OverlayOptions, Retention, Savepoint, Volume};
use transom::wim::{StreamSource, TreeEdit};

const NOW: FileTime = FileTime(132_000_000_000_000_000);

// --- The model ---

/// Name, short name, node.
type Entry = (WinName, Option<WinName>, NodeId);

#[derive(Clone, Debug, Default)]
struct ModelNode {
    node: Node,
    data: Vec<Vec<u8>>,
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Model {
    nodes: BTreeMap<NodeId, ModelNode>,
    root: NodeId,
}

/// What has a path, in a form that can be compared.
type Dump = BTreeMap<NodeId, ModelNode>;

#[derive(Debug)]
struct Refused;
type Outcome<T = ()> = Result<T, Refused>;

fn ensure(condition: bool) -> Outcome {
    if condition { Ok(()) } else { Err(Refused) }
}

impl Model {
    fn of(volume: &dyn Volume) -> Self {
        let mut nodes = BTreeMap::new();
        let mut todo = vec![volume.root()];
        while let Some(id) = todo.pop() {
            let mut found = ModelNode { node: volume.node(id).unwrap(), ..ModelNode::default() };
            for stream in &found.node.streams {
                let opened = volume.open(id, stream.kind, stream.name.units()).unwrap();
                assert_eq!(opened.len(), stream.length);
                found.data.push(read_vec(&opened, 0, opened.len()).unwrap());
            }
            for entry in volume.entries(id).unwrap() {
                todo.push(entry.node);
                found.entries.push((entry.name, entry.short_name, entry.node));
            }
            nodes.insert(id, found);
        }
        Self { nodes, root: volume.root() }
    }

    /// Hashes and the order of entries are left out.
    fn dump(&self) -> Dump {
        let mut seen = BTreeMap::new();
        let mut todo = vec![self.root];
        while let Some(id) = todo.pop() {
            if seen.contains_key(&id) {
                continue;
            }
            let mut node = self.nodes[&id].clone();
            node.entries.sort();
            for (stream, data) in node.node.streams.iter_mut().zip(&node.data) {
                stream.hash = None;
                stream.length = data.len() as u64;
            }
            todo.extend(node.entries.iter().map(|entry| entry.2));
            seen.insert(id, node);
        }
        seen
    }

    /// Ids of what has a path and is of one kind, or of either.
    fn ids(&self, kind: Option<NodeKind>) -> Vec<NodeId> {
        let mut seen = BTreeSet::new();
        let mut todo = vec![self.root];
        while let Some(id) = todo.pop() {
            if seen.insert(id) {
                todo.extend(self.nodes[&id].entries.iter().map(|entry| entry.2));
            }
        }
        seen.into_iter().filter(|id| kind.is_none_or(|kind| self.nodes[id].node.kind() == kind)).collect()
    }

    fn find(&self, directory: NodeId, wanted: &[u16]) -> Option<Entry> {
        let entries = &self.nodes[&directory].entries;
        let exact = entries.iter().find(|entry| entry.0.units() == wanted);
        let folded = || entries.iter().find(|entry| same(entry.0.units(), wanted));
        let short =
            || entries.iter().find(|entry| entry.1.as_ref().is_some_and(|short| same(short.units(), wanted)));
        exact.or_else(folded).or_else(short).cloned()
    }

    fn get(&mut self, id: NodeId) -> &mut ModelNode {
        self.nodes.get_mut(&id).unwrap()
    }

    fn is_directory(&self, id: NodeId) -> bool {
        self.nodes[&id].node.has_entries()
    }

    fn links(&self, id: NodeId) -> BTreeSet<(NodeId, WinName)> {
        let mut links = BTreeSet::new();
        for directory in self.ids(Some(NodeKind::Directory)) {
            for (name, _, node) in &self.nodes[&directory].entries {
                if *node == id {
                    links.insert((directory, name.clone()));
                }
            }
        }
        links
    }

    fn touch(&mut self, id: NodeId) {
        self.get(id).node.write_time = NOW;
    }

    fn modified(&mut self, id: NodeId) {
        let node = &mut self.get(id).node;
        node.write_time = NOW;
        if node.kind() == NodeKind::File {
            node.attributes.insert(FileAttributes::ARCHIVE);
            node.attributes.remove(FileAttributes::NORMAL);
        }
    }

    fn stream(&self, id: NodeId, name: &[u16]) -> Outcome<usize> {
        let streams = &self.nodes[&id].node.streams;
        streams
            .iter()
            .position(|stream| stream.kind == StreamKind::Data && same(stream.name.units(), name))
            .ok_or(Refused)
    }

    fn check_name(name: &WinName) -> Outcome {
        ensure(!name.is_empty() && !name.units().contains(&u16::from(b'/')))
    }

    fn check_free(&self, directory: NodeId, name: &WinName) -> Outcome {
        ensure(self.is_directory(directory))?;
        Self::check_name(name)?;
        ensure(self.find(directory, name.units()).is_none())
    }

    fn unlink(&mut self, directory: NodeId, name: &WinName) {
        self.get(directory).entries.retain(|entry| entry.0 != *name);
        self.touch(directory);
    }

    fn add(&mut self, directory: NodeId, name: WinName, short_name: Option<WinName>, id: NodeId) {
        self.get(directory).entries.push((name, short_name, id));
        self.touch(directory);
    }

    fn new_node(&self, directory: NodeId, kind: NodeKind) -> ModelNode {
        let parent = &self.nodes[&directory].node;
        let security = inherit(parent.security.as_deref(), kind, &Ownership::ADMINISTRATORS).unwrap();
        let inherited = parent.attributes & FileAttributes::COMPRESSED;
        let own = match kind {
            NodeKind::Directory => FileAttributes::DIRECTORY,
            NodeKind::File => FileAttributes::ARCHIVE,
        };
        let node = Node {
            attributes: own | inherited,
            creation_time: NOW,
            access_time: NOW,
            write_time: NOW,
            security: Some(security.into()),
            ..Node::default()
        };
        let mut found = ModelNode { node, ..ModelNode::default() };
        if kind == NodeKind::File {
            found.push_stream(StreamKind::Data, &[], Vec::new());
        }
        found
    }

    fn create(&mut self, directory: NodeId, name: &WinName, kind: NodeKind, id: NodeId) -> Outcome {
        self.check_free(directory, name)?;
        let found = self.new_node(directory, kind);
        self.nodes.insert(id, found);
        self.add(directory, name.clone(), None, id);
        Ok(())
    }

    fn rename(&mut self, from: NodeId, name: &[u16], to: NodeId, new: &WinName, over: bool) -> Outcome {
        let (old_name, short_name, id) = self.find(from, name).ok_or(Refused)?;
        ensure(self.is_directory(to))?;
        Self::check_name(new)?;
        let target = self.find(to, new.units()).filter(|target| from != to || target.0 != old_name);
        if let Some(target) = &target {
            ensure(over)?;
            if target.2 == id {
                return Ok(());
            }
            ensure(self.nodes[&target.2].node.kind() == self.nodes[&id].node.kind())?;
            ensure(self.nodes[&target.2].entries.is_empty())?;
        } else if from == to && old_name == *new {
            return Ok(());
        }
        self.check_not_below(id, to)?;
        let fits = |short: &WinName| {
            // `LongName.txt` is an 8.3 name itself: Windows makes no short name for it.
            let made_for = |name: &WinName| {
                name.to_string().to_lowercase().starts_with("longna") && name.units().len() > 12
            };
            same(old_name.units(), new.units())
                || (short.to_string() == "LONGNA~1.TXT" && made_for(new) && !new.to_string().contains('~'))
        };
        let free = |short: &WinName| {
            self.find(to, short.units()).is_none_or(|taken| from == to && taken.0 == old_name)
        };
        let short_name = short_name.filter(|short| fits(short) && free(short));
        if let Some(target) = target {
            self.unlink(to, &target.0);
        }
        self.unlink(from, &old_name);
        self.add(to, new.clone(), short_name, id);
        Ok(())
    }

    fn check_not_below(&self, id: NodeId, directory: NodeId) -> Outcome {
        let mut todo = vec![id];
        while let Some(at) = todo.pop() {
            ensure(at != directory)?;
            todo.extend(self.nodes[&at].entries.iter().map(|entry| entry.2));
        }
        Ok(())
    }

    fn supersede(
        &mut self,
        directory: NodeId,
        name: &WinName,
        content: impl FnOnce(Vec<u8>) -> Vec<u8>,
        is_patch: bool,
        id: NodeId,
    ) -> Outcome {
        ensure(self.is_directory(directory))?;
        let Some((exact, short, old)) = self.find(directory, name.units()) else {
            self.create(directory, name, NodeKind::File, id)?;
            self.get(id).data[0] = content(Vec::new());
            return Ok(());
        };
        let old = self.nodes[&old].clone();
        ensure(old.node.kind() == NodeKind::File)?;
        let data = old
            .node
            .streams
            .iter()
            .position(|stream| stream.kind == StreamKind::Data && stream.name.is_empty());
        ensure(data.is_some() || !is_patch)?;
        let mut new = self.new_node(directory, NodeKind::File);
        let dropped = FileAttributes::REPARSE_POINT
            | FileAttributes::ENCRYPTED
            | FileAttributes::DIRECTORY
            | FileAttributes::SPARSE_FILE
            | FileAttributes::NORMAL;
        new.node.attributes = (old.node.attributes - dropped) | FileAttributes::ARCHIVE;
        new.node.creation_time = old.node.creation_time;
        new.node.security = old.node.security;
        new.data[0] = content(data.map(|position| old.data[position].clone()).unwrap_or_default());
        self.nodes.insert(id, new);
        self.unlink(directory, &exact);
        self.add(directory, exact, short, id);
        Ok(())
    }
}

impl ModelNode {
    fn push_stream(&mut self, kind: StreamKind, name: &[u16], data: Vec<u8>) {
        let name = WinName::new(name);
        self.node.streams.push(transom::base::Stream { kind, name, length: 0, hash: None });
        self.data.push(data);
    }
}

fn write_into(data: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if data.len() < offset + bytes.len() {
        data.resize(offset + bytes.len(), 0);
    }
    data[offset..offset + bytes.len()].copy_from_slice(bytes);
}

// --- Operations ---

/// Indices choose among what is there, so that every sequence makes sense.
#[derive(Clone, Debug)]
enum Op {
    Create { directory: usize, name: usize, is_directory: bool },
    Write { file: usize, stream: usize, offset: usize, length: usize, byte: u8 },
    Truncate { file: usize, stream: usize, length: usize },
    Replace { file: usize, stream: usize, length: usize, byte: u8, how: u8 },
    Supersede { directory: usize, name: usize, length: usize, byte: u8, patch: bool },
    Remove { entry: usize },
    RemoveTree { entry: usize },
    Rename { entry: usize, directory: usize, name: usize, over: bool },
    Link { file: usize, directory: usize, name: usize },
    Attributes { node: usize, bits: u32 },
    Times { node: usize, value: u64 },
    Security { node: usize, which: u8 },
    ShortName { entry: usize, which: usize },
    AddStream { node: usize, stream: usize },
    RemoveStream { node: usize, stream: usize },
    Reparse { node: usize, set: bool, length: usize },
    ObjectId { node: usize, length: usize },
    Savepoint,
    Commit { depth: usize },
    Rollback { depth: usize },
}

const NAMES: [&str; 12] = [
    "a",
    "A",
    "b",
    "Beta",
    "LongName.txt",
    "LONGNAME.TXT",
    "longname two.txt",
    "LONGNA~1.TXT",
    "dir",
    "DIR",
    "x/y",
    "",
];
const STREAMS: [&str; 4] = ["", "s1", "S1", "other"];
const SHORT_NAMES: [Option<&str>; 4] = [None, Some("LONGNA~1.TXT"), Some("SHORT"), Some("not short")];
const SIZES: [usize; 10] = [0, 1, 100, 4096, 32_767, 32_768, 32_769, 65_536, 100_000, 131_072];

fn op() -> impl Strategy<Value = Op> {
    let index = || 0usize..64;
    let name = || 0..NAMES.len();
    let stream = || prop_oneof![3 => Just(0usize), 1 => 0..STREAMS.len()];
    let size = || 0..SIZES.len();
    prop_oneof![
        5 => (index(), name(), any::<bool>())
            .prop_map(|(directory, name, is_directory)| Op::Create { directory, name, is_directory }),
        8 => (index(), stream(), size(), size(), any::<u8>()).prop_map(
            |(file, stream, offset, length, byte)| Op::Write { file, stream, offset, length, byte }
        ),
        3 => (index(), stream(), size())
            .prop_map(|(file, stream, length)| Op::Truncate { file, stream, length }),
        4 => (index(), stream(), size(), any::<u8>(), 0u8..3).prop_map(
            |(file, stream, length, byte, how)| Op::Replace { file, stream, length, byte, how }
        ),
        3 => (index(), name(), size(), any::<u8>(), any::<bool>()).prop_map(
            |(directory, name, length, byte, patch)| Op::Supersede { directory, name, length, byte, patch }
        ),
        3 => index().prop_map(|entry| Op::Remove { entry }),
        1 => index().prop_map(|entry| Op::RemoveTree { entry }),
        4 => (index(), index(), name(), any::<bool>())
            .prop_map(|(entry, directory, name, over)| Op::Rename { entry, directory, name, over }),
        3 => (index(), index(), name()).prop_map(|(file, directory, name)| Op::Link { file, directory, name }),
        1 => (index(), any::<u32>()).prop_map(|(node, bits)| Op::Attributes { node, bits }),
        1 => (index(), any::<u64>()).prop_map(|(node, value)| Op::Times { node, value }),
        1 => (index(), 0u8..3).prop_map(|(node, which)| Op::Security { node, which }),
        2 => (index(), 0..SHORT_NAMES.len()).prop_map(|(entry, which)| Op::ShortName { entry, which }),
        2 => (index(), stream()).prop_map(|(node, stream)| Op::AddStream { node, stream }),
        1 => (index(), stream()).prop_map(|(node, stream)| Op::RemoveStream { node, stream }),
        2 => (index(), any::<bool>(), 0usize..20_000)
            .prop_map(|(node, set, length)| Op::Reparse { node, set, length }),
        1 => (index(), 0usize..70).prop_map(|(node, length)| Op::ObjectId { node, length }),
        3 => Just(Op::Savepoint),
        1 => (0usize..4).prop_map(|depth| Op::Commit { depth }),
        2 => (0usize..4).prop_map(|depth| Op::Rollback { depth }),
    ]
}

fn base() -> MemoryVolume {
    let path = |text: &str| WinPath::parse(text).unwrap();
    let pattern = |length: usize| -> Vec<u8> { (0..length).map(|at| (at * 7 + at / 256) as u8).collect() };
    let mut volume = MemoryVolume::new();
    volume.set_identity(b"the base of the model");
    let root = volume.root();
    let dir = volume.add_directory(&path("dir"));
    let security = inherit(None, NodeKind::Directory, &Ownership::TRUSTED_INSTALLER).unwrap();
    volume.node_mut(dir).unwrap().security = Some(security.into());
    let big = volume.add_file(&path(r"dir\big"), pattern(100_000));
    volume.add_entry(root, "Beta".into(), None, big);
    volume.add_file(&path(r"dir\a"), pattern(32_768));
    volume.add_file(&path(r"dir\sub\deep"), pattern(10));
    volume.add_file(&path("LongName.txt"), pattern(5_000));
    let streamed = volume.add_file(&path(r"dir\sub\A"), pattern(3));
    volume.add_stream(streamed, StreamKind::Data, "s1".into(), pattern(70_000));
    // Two spellings in one directory, as POSIX subsystems leave them.
    let first = volume.add_file(&path(r"spellings\b"), pattern(1));
    let second = volume.add_file(&path(r"spellings\other"), pattern(2));
    let spellings = volume.add_directory(&path("spellings"));
    volume.add_entry(spellings, "B".into(), None, second);
    volume.add_entry(spellings, "LongName.txt".into(), Some("LONGNA~1.TXT".into()), first);
    let link = volume.add_file(&path("link"), pattern(0));
    let node = volume.node_mut(link).unwrap();
    node.attributes = FileAttributes::REPARSE_POINT;
    node.reparse = Some(ReparseHeader { tag: 0xA000_000C, reserved: 0, flags: 1 });
    volume.add_stream(link, StreamKind::Reparse, WinName::default(), pattern(30));
    volume
}

fn pattern(length: usize, byte: u8) -> Vec<u8> {
    (0..length).map(|at| byte.wrapping_add((at / 1000) as u8)).collect()
}

struct Bench {
    overlay: Overlay,
    model: Model,
    savepoints: Vec<(Savepoint, Model)>,
}

type Outcomes = (transom::base::Result<()>, Outcome);

impl Bench {
    fn directory(&self, index: usize) -> NodeId {
        let all = self.model.ids(Some(NodeKind::Directory));
        all[index % all.len()]
    }

    fn file(&self, index: usize) -> Option<NodeId> {
        let all = self.model.ids(Some(NodeKind::File));
        (!all.is_empty()).then(|| all[index % all.len()])
    }

    fn any(&self, index: usize) -> NodeId {
        let all = self.model.ids(None);
        all[index % all.len()]
    }

    fn entry(&self, index: usize) -> Option<(NodeId, WinName)> {
        let all: Vec<(NodeId, WinName)> = self
            .model
            .ids(None)
            .into_iter()
            .flat_map(|id| self.model.nodes[&id].entries.iter().map(move |entry| (id, entry.0.clone())))
            .collect();
        (!all.is_empty()).then(|| all[index % all.len()].clone())
    }

    /// Does it to both; they must agree on whether it is possible.
    fn perform(&mut self, op: &Op) {
        let before = self.model.clone();
        let Some((real, expected)) = self
            .savepoint(op)
            .or_else(|| self.names(op))
            .or_else(|| self.data(op))
            .or_else(|| self.metadata(op))
        else {
            return;
        };
        assert_eq!(real.is_ok(), expected.is_ok(), "{op:?}: {real:?}");
        if expected.is_err() {
            self.model = before;
        }
    }

    fn savepoint(&mut self, op: &Op) -> Option<Outcomes> {
        match *op {
            Op::Savepoint => {
                let savepoint = self.overlay.savepoint().unwrap();
                self.savepoints.push((savepoint, self.model.clone()));
                Some((Ok(()), Ok(())))
            }
            Op::Commit { depth } if !self.savepoints.is_empty() => {
                let depth = depth % self.savepoints.len();
                let (savepoint, _) = self.savepoints.drain(depth..).next().unwrap();
                Some((self.overlay.commit_savepoint(savepoint), Ok(())))
            }
            Op::Rollback { depth } if !self.savepoints.is_empty() => {
                let depth = depth % self.savepoints.len();
                let (savepoint, model) = self.savepoints.drain(depth..).next().unwrap();
                self.model = model;
                Some((self.overlay.rollback(savepoint), Ok(())))
            }
            _ => None,
        }
    }

    fn names(&mut self, op: &Op) -> Option<Outcomes> {
        let no_id = NodeId(u64::MAX);
        Some(match *op {
            Op::Create { directory, name, is_directory } => {
                let (directory, name) = (self.directory(directory), WinName::from(NAMES[name]));
                let kind = if is_directory { NodeKind::Directory } else { NodeKind::File };
                let real = self.overlay.create(directory, &name, kind);
                let id = real.as_ref().copied().unwrap_or(no_id);
                (real.map(drop), self.model.create(directory, &name, kind, id))
            }
            Op::Supersede { directory, name, length, byte, patch } => {
                let (directory, name) = (self.directory(directory), WinName::from(NAMES[name]));
                let bytes = pattern(SIZES[length], byte);
                let data = if patch {
                    NewData::Patch { length: 50_000, ranges: vec![(40_000, vec![byte; 10])] }
                } else {
                    NewData::Bytes(bytes.clone())
                };
                let real = self.overlay.supersede(directory, &name, data);
                let id = real.as_ref().copied().unwrap_or(no_id);
                let content = |mut old: Vec<u8>| {
                    if !patch {
                        return bytes;
                    }
                    old.resize(50_000, 0);
                    old[40_000..40_010].fill(byte);
                    old
                };
                (real.map(drop), self.model.supersede(directory, &name, content, patch, id))
            }
            Op::Remove { entry } => {
                let (directory, name) = self.entry(entry)?;
                let real = self.overlay.remove(directory, name.units());
                let (exact, _, id) = self.model.find(directory, name.units())?;
                let empty = ensure(self.model.nodes[&id].entries.is_empty());
                (real, empty.map(|()| self.model.unlink(directory, &exact)))
            }
            Op::RemoveTree { entry } => {
                let (directory, name) = self.entry(entry)?;
                let real = self.overlay.remove_tree(directory, name.units());
                self.model.unlink(directory, &name);
                (real, Ok(()))
            }
            Op::Rename { entry, directory, name, over } => {
                let ((from, old), to) = (self.entry(entry)?, self.directory(directory));
                let name = WinName::from(NAMES[name]);
                let real = if over {
                    self.overlay.rename_over(from, old.units(), to, &name)
                } else {
                    self.overlay.rename(from, old.units(), to, &name)
                };
                (real, self.model.rename(from, old.units(), to, &name, over))
            }
            Op::Link { file, directory, name } => {
                let (file, directory) = (self.file(file)?, self.directory(directory));
                let name = WinName::from(NAMES[name]);
                let real = self.overlay.link(file, directory, &name);
                let node = &self.model.nodes[&file].node;
                let plain = ensure(!node.attributes.contains(FileAttributes::REPARSE_POINT));
                let possible = plain.and_then(|()| self.model.check_free(directory, &name));
                (real, possible.map(|()| self.model.add(directory, name, None, file)))
            }
            Op::ShortName { entry, which } => {
                let (directory, name) = self.entry(entry)?;
                let short = SHORT_NAMES[which].map(WinName::from);
                let real = self.overlay.set_short_name(directory, name.units(), short.as_ref());
                let entries = &self.model.nodes[&directory].entries;
                let position = entries.iter().position(|entry| entry.0 == name)?;
                let possible = entries[position].1 == short
                    || short.as_ref().is_none_or(|short| {
                        let taken = self.model.find(directory, short.units());
                        !short.units().contains(&u16::from(b' '))
                            && !same(short.units(), name.units())
                            && taken.is_none_or(|taken| taken.0 == name)
                    });
                let outcome = ensure(possible);
                (real, outcome.map(|()| self.model.get(directory).entries[position].1 = short))
            }
            _ => return None,
        })
    }

    fn data(&mut self, op: &Op) -> Option<Outcomes> {
        let (overlay, data) = (&self.overlay, StreamKind::Data);
        Some(match *op {
            Op::Write { file, stream, offset, length, byte } => {
                let (file, stream) = (self.file(file)?, units(STREAMS[stream]));
                let (offset, bytes) = (SIZES[offset], pattern(SIZES[length].max(1), byte));
                let real = overlay.write(file, data, &stream, offset as u64, &bytes);
                let position = self.model.stream(file, &stream);
                let outcome = position.map(|position| {
                    write_into(&mut self.model.get(file).data[position], offset, &bytes);
                    self.model.modified(file);
                });
                (real, outcome)
            }
            Op::Truncate { file, stream, length } => {
                let (file, stream) = (self.file(file)?, units(STREAMS[stream]));
                let real = overlay.truncate(file, data, &stream, SIZES[length] as u64);
                let position = self.model.stream(file, &stream);
                let outcome = position.map(|position| {
                    self.model.get(file).data[position].resize(SIZES[length], 0);
                    self.model.modified(file);
                });
                (real, outcome)
            }
            Op::Replace { file, stream, length, byte, how } => {
                let (file, stream) = (self.file(file)?, units(STREAMS[stream]));
                let bytes = pattern(SIZES[length], byte);
                let end = bytes.len();
                let range = end / 3..(end / 3 + 5000).min(end);
                let new = match how {
                    0 => NewData::Bytes(bytes.clone()),
                    1 => NewData::Reader(Arc::new(bytes.clone())),
                    _ => NewData::Patch {
                        length: end as u64,
                        ranges: vec![(range.start as u64, bytes[range.clone()].to_vec())],
                    },
                };
                let real = overlay.replace(file, data, &stream, new);
                let model = &mut self.model;
                let position = match model.stream(file, &stream) {
                    Ok(position) => position,
                    Err(refused) if stream.is_empty() => return Some((real, Err(refused))),
                    Err(_) => {
                        model.get(file).push_stream(data, &stream, Vec::new());
                        model.nodes[&file].data.len() - 1
                    }
                };
                let content = &mut model.get(file).data[position];
                if how < 2 {
                    *content = bytes;
                } else {
                    content.resize(end, 0);
                    content[range.clone()].copy_from_slice(&bytes[range]);
                }
                model.modified(file);
                (real, Ok(()))
            }
            Op::AddStream { node, stream } => {
                let (node, stream) = (self.any(node), WinName::from(STREAMS[stream]));
                let real = overlay.add_stream(node, &stream);
                let free = ensure(!stream.is_empty() && self.model.stream(node, stream.units()).is_err());
                let outcome = free.map(|()| {
                    self.model.get(node).push_stream(data, stream.units(), Vec::new());
                    self.model.modified(node);
                });
                (real, outcome)
            }
            Op::RemoveStream { node, stream } => {
                let (node, stream) = (self.any(node), units(STREAMS[stream]));
                let real = overlay.remove_stream(node, &stream);
                let found = ensure(!stream.is_empty()).and_then(|()| self.model.stream(node, &stream));
                let outcome = found.map(|position| {
                    let found = self.model.get(node);
                    found.node.streams.remove(position);
                    found.data.remove(position);
                    self.model.modified(node);
                });
                (real, outcome)
            }
            _ => return None,
        })
    }

    fn metadata(&mut self, op: &Op) -> Option<Outcomes> {
        let overlay = &self.overlay;
        Some(match *op {
            Op::Attributes { node, bits } => {
                let node = self.any(node);
                let given = FileAttributes::from_bits_retain(bits);
                let real = overlay.set_attributes(node, given);
                let attributes = &mut self.model.get(node).node.attributes;
                let fixed =
                    FileAttributes::DIRECTORY | FileAttributes::REPARSE_POINT | FileAttributes::ENCRYPTED;
                *attributes = (given - fixed) | (*attributes & fixed);
                if *attributes != FileAttributes::NORMAL {
                    attributes.remove(FileAttributes::NORMAL);
                }
                (real, Ok(()))
            }
            Op::Times { node, value } => {
                let node = self.any(node);
                let (creation, write) = (FileTime(value), FileTime(value / 2));
                let real = overlay.set_times(node, Some(creation), None, Some(write));
                let found = &mut self.model.get(node).node;
                (found.creation_time, found.write_time) = (creation, write);
                (real, Ok(()))
            }
            Op::Security { node, which } => {
                let node = self.any(node);
                let kind = if which == 1 { NodeKind::File } else { NodeKind::Directory };
                let descriptor = inherit(None, kind, &Ownership::TRUSTED_INSTALLER).unwrap();
                let descriptor = (which > 0).then_some(descriptor);
                let real = overlay.set_security(node, descriptor.as_deref());
                self.model.get(node).node.security = descriptor.map(Into::into);
                (real, Ok(()))
            }
            Op::Reparse { node, set, length } => {
                let id = self.any(node);
                let header = ReparseHeader { tag: 0x8000_0017, reserved: 0, flags: 0 };
                let bytes = pattern(length, 3);
                let real = overlay.set_reparse(id, set.then_some((header, &bytes)));
                let one_name = self.model.links(id).len() == 1;
                let empty = self.model.nodes[&id].entries.is_empty();
                let possible = !set || (length <= 16_376 && one_name && empty);
                let outcome = ensure(possible).map(|()| {
                    let found = self.model.get(id);
                    let streams = &mut found.node.streams;
                    let position = streams.iter().position(|stream| stream.kind == StreamKind::Reparse);
                    if let Some(position) = position {
                        streams.remove(position);
                        found.data.remove(position);
                    }
                    found.node.attributes.set(FileAttributes::REPARSE_POINT, set);
                    if found.node.attributes != FileAttributes::NORMAL {
                        found.node.attributes.remove(FileAttributes::NORMAL);
                    }
                    found.node.reparse = set.then_some(header);
                    if set {
                        found.push_stream(StreamKind::Reparse, &[], bytes);
                        let position = position.unwrap_or(0);
                        found.node.streams[position..].rotate_right(1);
                        found.data[position..].rotate_right(1);
                    }
                });
                (real, outcome)
            }
            Op::ObjectId { node, length } => {
                let node = self.any(node);
                let bytes = pattern(length, 9);
                let real = overlay.set_object_id(node, Some(&bytes));
                let outcome = ensure((16..=64).contains(&length)).map(|()| {
                    let item = TaggedItem { tag: TaggedItem::OBJECT_ID, data: bytes.into() };
                    self.model.get(node).node.tagged_items = vec![item];
                });
                (real, outcome)
            }
            _ => return None,
        })
    }

    fn check(&self) {
        let dump = self.model.dump();
        assert_same(&Model::of(&self.overlay).dump(), &dump);
        for id in dump.keys() {
            let links: BTreeSet<(NodeId, WinName)> =
                self.overlay.links(*id).unwrap().into_iter().map(|(at, entry)| (at, entry.name)).collect();
            assert_eq!(links, self.model.links(*id));
        }
        for (id, node) in &dump {
            for name in NAMES {
                let wanted = units(name);
                let found = self.overlay.lookup(*id, &wanted).unwrap();
                let found = found.map(|entry| (entry.name, entry.short_name, entry.node));
                let expected = node.node.has_entries().then(|| self.model.find(*id, &wanted)).flatten();
                let rank = |entry: &Entry| (entry.0.units() != wanted, !same(entry.0.units(), &wanted));
                // Several spellings may answer equally well, but none better.
                assert_eq!(
                    found.as_ref().map(rank),
                    expected.as_ref().map(rank),
                    "{name} in {id:?}: {found:?}, not {expected:?}"
                );
                assert!(found.is_none_or(|found| node.entries.contains(&found)));
            }
        }
    }
}

fn assert_same(found: &Dump, expected: &Dump) {
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (id, expected) in expected {
        let found = &found[id];
        assert_eq!(found.node, expected.node, "{id:?}");
        assert_eq!(found.entries, expected.entries, "{id:?}");
        for (position, (found, expected)) in found.data.iter().zip(&expected.data).enumerate() {
            let first = found.iter().zip(expected).position(|(found, expected)| found != expected);
            assert!(found == expected, "{id:?} stream {position} differs at {first:?}");
        }
    }
}

// --- What is checked of a sequence ---

fn journal_length(directory: &Path) -> u64 {
    std::fs::metadata(directory.join("journal")).unwrap().len()
}

fn clock() -> Arc<FixedClock> {
    Arc::new(FixedClock(NOW))
}

fn keep_everything() -> OverlayOptions {
    OverlayOptions { retention: Retention::Everything, ..OverlayOptions::default() }
}

/// What the edit makes of the base must be the overlay's tree.
fn check_edit(base: &MemoryVolume, overlay: &Overlay) {
    let edit: TreeEdit = overlay.tree_edit().unwrap();
    assert_eq!(overlay.is_changed(), !edit.nodes.is_empty() || !edit.directories.is_empty());
    let mut model = Model::of(base);
    let untouched = model.dump();
    let blobs: BTreeMap<BlobHash, Vec<u8>> = model
        .nodes
        .values()
        .flat_map(|node| node.node.streams.iter().map(|stream| stream.hash.unwrap()).zip(node.data.clone()))
        .collect();
    for (id, node) in edit.nodes {
        assert_eq!(node.node.streams.len(), node.streams.len());
        let entries = model.nodes.remove(&id).map(|old| old.entries).unwrap_or_default();
        let mut new = ModelNode { node: node.node, data: Vec::new(), entries };
        for (stream, source) in new.node.streams.iter().zip(node.streams) {
            let data = content_of(stream.hash, source, &blobs);
            assert_eq!(data.len() as u64, stream.length);
            new.data.push(data);
        }
        model.nodes.insert(id, new);
    }
    for (id, directory) in edit.directories {
        let node = model.nodes.get_mut(&id).expect("a directory is in the base or among the nodes");
        for name in directory.removed {
            let count = node.entries.len();
            node.entries.retain(|entry| entry.0 != name);
            assert_eq!(node.entries.len(), count - 1, "{name} is no entry of the base");
        }
        node.entries
            .extend(directory.added.into_iter().map(|entry| (entry.name, entry.short_name, entry.node)));
    }
    let mut expected = Model::of(overlay).dump();
    for (id, node) in &mut expected {
        // Entries that are the base's again take the write time along.
        let restored = |old: &&ModelNode| {
            node.node.kind() == NodeKind::Directory && old.node.write_time == model.nodes[id].node.write_time
        };
        if let Some(old) = untouched.get(id).filter(restored) {
            node.node.write_time = old.node.write_time;
        }
    }
    assert_same(&model.dump(), &expected);
    if !overlay.is_changed() {
        assert_same(&untouched, &expected);
        assert_eq!(overlay.diff().unwrap(), []);
    }
}

fn content_of(hash: Option<BlobHash>, source: StreamSource, blobs: &BTreeMap<BlobHash, Vec<u8>>) -> Vec<u8> {
    match source {
        StreamSource::Unchanged => match hash.unwrap() {
            BlobHash::ZERO => Vec::new(),
            hash => blobs[&hash].clone(),
        },
        StreamSource::New(content) | StreamSource::Stored(content) => {
            read_vec(&content, 0, content.len()).unwrap()
        }
        StreamSource::Patched { base, changed, content } => {
            let data = read_vec(&content, 0, content.len()).unwrap();
            let mut rebuilt = blobs[&base].clone();
            rebuilt.resize(data.len(), 0);
            let mut end = 0;
            for range in changed {
                assert!(range.start >= end && range.start < range.end && range.end <= data.len() as u64);
                end = range.end;
                let range = range.start as usize..range.end as usize;
                rebuilt[range.clone()].copy_from_slice(&data[range]);
            }
            assert!(rebuilt == data, "a patch leaves out a change");
            data
        }
    }
}

fn check_prefix(base: &Arc<MemoryVolume>, directory: &Path, length: u64, expected: &Dump) {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != "journal" {
            std::os::unix::fs::symlink(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
    }
    let bytes = std::fs::read(directory.join("journal")).unwrap();
    std::fs::write(copy.path().join("journal"), &bytes[..length as usize]).unwrap();
    // Twice: what the first replay writes (the end of open savepoints) is replayed by the second.
    for _ in 0..2 {
        let replayed = Overlay::replay_with_options(
            Arc::clone(base) as Arc<dyn Volume>,
            Scratch::at(copy.path()),
            clock(),
            keep_everything(),
        )
        .unwrap();
        assert_same(&Model::of(&replayed).dump(), expected);
    }
}

fn run(ops: &[Op]) {
    let base = Arc::new(base());
    let directory = tempfile::tempdir().unwrap();
    let overlay = Overlay::with_options(
        Arc::clone(&base) as Arc<dyn Volume>,
        Scratch::at(directory.path()),
        clock(),
        keep_everything(),
    )
    .unwrap();
    let model = Model::of(&*base);
    let mut history = vec![(journal_length(directory.path()), model.dump())];
    let mut bench = Bench { overlay, model, savepoints: Vec::new() };
    for op in ops {
        bench.perform(op);
        bench.check();
        // A replay undoes what is under a savepoint that never was closed.
        let settled = bench.savepoints.first().map_or(&bench.model, |(_, model)| model);
        history.push((journal_length(directory.path()), settled.dump()));
    }
    check_edit(&base, &bench.overlay);
    drop(bench);
    for pair in history.windows(2) {
        let ((length, dump), (next, _)) = (&pair[0], &pair[1]);
        let torn: BTreeSet<u64> =
            [*length, length + 1, length + 7, (length + next) / 2, next.saturating_sub(1)].into();
        for cut in torn.into_iter().filter(|cut| (length..next).contains(&cut)) {
            check_prefix(&base, directory.path(), cut, dump);
        }
    }
    let (length, dump) = history.last().unwrap();
    check_prefix(&base, directory.path(), *length, dump);
}

/// A few in a test run; `PROPTEST_CASES` asks for more, as `./x soak` does.
fn cases() -> u32 {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default().cases,
        None => 32,
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(),
        max_shrink_iters: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn random_sequences_equal_the_model_and_every_prefix_replays(
        ops in proptest::collection::vec(op(), 1..40)
    ) {
        run(&ops);
    }
}

/// A name that is an 8.3 name already keeps no short name of another when it takes its place.
#[test]
fn a_short_name_does_not_follow_to_a_name_that_needs_none() {
    run(&[
        Op::Create { directory: 0, name: 6, is_directory: false },
        Op::ShortName { entry: 45, which: 1 },
        Op::Link { file: 0, directory: 1, name: 6 },
        Op::Rename { entry: 48, directory: 4, name: 4, over: true },
    ]);
}
