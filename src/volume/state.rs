// SPDX-License-Identifier: GPL-3.0-or-later
//! What an overlay remembers: the nodes and directory entries that differ from the base.
//!
//! The state changes by [`Change`]s only, the same when an operation makes them and when the
//! journal is replayed. Changes speak of node ids, never of paths. A set of changes is applied
//! wholly or not at all: every change notes what it replaced in the innermost [`Frame`], which is
//! how failed records and savepoints are undone.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::delta::{Delta, Entry, Rank, base_exact, rank, visible_instead};
use super::extent::{Content, DataChange, Extents, Source};
use super::names::{Exactly, Key, Probe, no_name};
use super::record::{Record, StreamState, Times};
use super::{Name, Volume, VolumeError};
use crate::base::{
    DirEntry, FileAttributes, FileTime, NodeId, ReparseHeader, StreamKind, TaggedItem, WinName,
};

type Result<T, E = VolumeError> = std::result::Result<T, E>;

/// One step. Several of them make one operation and one record of the journal.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) enum Change {
    /// The next number stands for this security descriptor.
    Descriptor(Box<[u8]>),
    /// A new node; a file has an empty unnamed stream.
    Create { node: NodeId, attributes: FileAttributes, times: Times, descriptor: Option<u32> },
    /// The entry of exactly this name from now on; nothing takes it away.
    Entry { directory: NodeId, name: Name, entry: Option<Entry> },
    /// The attribute bits.
    Attributes { node: NodeId, attributes: FileAttributes },
    /// The times that are given.
    Times { node: NodeId, creation: Option<FileTime>, access: Option<FileTime>, write: Option<FileTime> },
    /// The write time, because entries of the directory changed.
    Touch { directory: NodeId, write: FileTime },
    /// The number of the security descriptor.
    Security { node: NodeId, descriptor: Option<u32> },
    /// The header of the reparse point.
    Reparse { node: NodeId, header: Option<ReparseHeader> },
    /// All tagged items.
    Items { node: NodeId, items: Vec<TaggedItem> },
    /// A new, empty stream at this position among the node's streams.
    AddStream { node: NodeId, position: u16, kind: StreamKind, name: Name },
    /// The stream at this position goes.
    RemoveStream { node: NodeId, position: u16 },
    /// The stream at this position begins anew, as in the base or empty.
    Content { node: NodeId, position: u16, source: Option<Source> },
    /// Data of the stream at this position.
    Data { node: NodeId, position: u16, change: DataChange },
    /// The node outlives its last name until it is freed.
    Keep { node: NodeId },
    /// The node that outlived its names goes.
    Free { node: NodeId },
}

/// The names of a node, as (directory, exact name).
#[derive(Clone, Debug)]
enum Links {
    None,
    One(NodeId, Name),
    Many(Vec<(NodeId, Name)>),
}

impl Links {
    fn as_vec(&self) -> Vec<(NodeId, Name)> {
        match self {
            Self::None => Vec::new(),
            Self::One(directory, name) => vec![(*directory, Arc::clone(name))],
            Self::Many(links) => links.clone(),
        }
    }

    fn from_vec(mut links: Vec<(NodeId, Name)>) -> Self {
        match links.pop() {
            None => Self::None,
            Some((directory, name)) if links.is_empty() => Self::One(directory, name),
            Some(last) => {
                links.push(last);
                Self::Many(links)
            }
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }
}

/// What of a node differs from the base; each part is nothing as long as it does not.
#[derive(Clone, Debug, Default)]
struct NodeState {
    record: Option<Record>,
    links: Option<Links>,
    // Outlives its last name.
    kept: bool,
}

impl NodeState {
    fn is_freed(&self) -> bool {
        !self.kept && self.links.as_ref().is_some_and(Links::is_empty)
    }
}

/// What was replaced since a savepoint (or since the record being applied began).
#[derive(Default)]
struct Frame {
    /// Nothing for the frame of a single record.
    savepoint: Option<u64>,
    /// How many descriptors there were. A record that fails takes its own with it; those of a
    /// savepoint that is rolled back stay, as the journal goes on counting them.
    descriptors: usize,
    nodes: HashMap<NodeId, Option<Arc<NodeState>>>,
    deltas: Vec<Undo>,
}

enum Undo {
    Added { directory: NodeId, name: Name, entry: Option<Entry> },
    Hidden { directory: NodeId, name: Name, hidden: bool },
    Dropped { directory: NodeId, delta: Box<Delta> },
}

#[derive(Default)]
pub(super) struct State {
    nodes: HashMap<NodeId, Arc<NodeState>>,
    deltas: HashMap<NodeId, Box<Delta>>,
    descriptors: Vec<Arc<[u8]>>,
    descriptor_numbers: HashMap<Arc<[u8]>, u32>,
    frames: Vec<Frame>,
    // One for all base nodes that are gone.
    freed: Arc<NodeState>,
    next_node: u64,
    next_savepoint: u64,
}

/// What the state says of a node.
pub(super) enum Found<'a> {
    /// Differs from the base, or is new.
    Changed(&'a Record),
    /// As in the base.
    Base,
    /// Not there.
    Nowhere,
}

impl State {
    pub(super) fn new() -> Self {
        let freed = NodeState { links: Some(Links::None), ..NodeState::default() };
        Self { freed: Arc::new(freed), ..Self::default() }
    }

    pub(super) fn find(&self, id: NodeId) -> Found<'_> {
        match self.nodes.get(&id).map(|state| (state.is_freed(), &state.record)) {
            Some((true, _)) => Found::Nowhere,
            Some((_, Some(record))) => Found::Changed(record),
            _ if id.is_new() => Found::Nowhere,
            _ => Found::Base,
        }
    }

    /// The record of a node, from the base where it is unchanged.
    pub(super) fn record(&self, base: &dyn Volume, id: NodeId) -> Result<Record> {
        match self.find(id) {
            Found::Changed(record) => Ok(record.clone()),
            Found::Base => Ok(Record::of_base(id, base.node(id)?)),
            Found::Nowhere => Err(VolumeError::NoNode { node: id }),
        }
    }

    pub(super) fn lookup(
        &self,
        base: &dyn Volume,
        directory: NodeId,
        wanted: &[u16],
    ) -> Result<Option<DirEntry>> {
        let delta = self.deltas.get(&directory);
        let added = delta.and_then(|delta| delta.find(wanted));
        if directory.is_new() || matches!(added, Some((Rank::Exact, _))) {
            return Ok(added.map(|(_, entry)| entry));
        }
        let mut below = base.lookup(directory, wanted)?;
        if let Some((delta, entry)) = delta.zip(below.as_ref())
            && delta.hidden.contains(entry.name.units())
        {
            below = visible_instead(base, directory, delta, wanted)?;
        }
        Ok(match (added, below) {
            (Some((added_rank, added)), Some(entry)) => {
                Some(if added_rank <= rank(&entry, wanted) { added } else { entry })
            }
            (added, below) => added.map(|(_, entry)| entry).or(below),
        })
    }

    /// The entry of exactly this name.
    fn exact(&self, base: &dyn Volume, directory: NodeId, name: &[u16]) -> Result<Option<Entry>> {
        let delta = self.deltas.get(&directory);
        if let Some(entry) = delta.and_then(|delta| delta.added.get(&Exactly(name) as &dyn Probe)) {
            return Ok(Some(entry.clone()));
        }
        if delta.is_some_and(|delta| delta.hidden.contains(name)) {
            return Ok(None);
        }
        Ok(base_exact(base, directory, name)?.as_ref().map(Entry::of))
    }

    pub(super) fn entries(&self, base: &dyn Volume, directory: NodeId) -> Result<Vec<DirEntry>> {
        let below = if directory.is_new() { Vec::new() } else { base.entries(directory)? };
        let Some(delta) = self.deltas.get(&directory) else { return Ok(below) };
        let mut entries: Vec<DirEntry> =
            below.into_iter().filter(|entry| !delta.hidden.contains(entry.name.units())).collect();
        entries.extend(delta.added.iter().map(|(name, entry)| entry.to_dir_entry(&name.0)));
        entries.sort_by_cached_key(|entry| Key(Name::from(entry.name.units())));
        Ok(entries)
    }

    pub(super) fn links(&self, base: &dyn Volume, id: NodeId) -> Result<Vec<(NodeId, DirEntry)>> {
        let Some(links) = self.nodes.get(&id).and_then(|state| state.links.as_ref()) else {
            return Ok(base.links(id)?);
        };
        let mut found = Vec::new();
        for (directory, name) in links.as_vec() {
            if let Some(entry) = self.exact(base, directory, &name)? {
                found.push((directory, entry.to_dir_entry(&name)));
            }
        }
        found.sort_by(|left, right| {
            left.0.cmp(&right.0).then_with(|| left.1.name.units().cmp(right.1.name.units()))
        });
        Ok(found)
    }

    /// The number of a descriptor if it has one, and the number that the next new one will get.
    pub(super) fn descriptor_number(&self, bytes: &[u8]) -> (Option<u32>, u32) {
        (self.descriptor_numbers.get(bytes).copied(), self.descriptors.len() as u32)
    }

    /// The id that a new node will get, `ahead` others being made before it.
    pub(super) fn next_node(&self, ahead: u64) -> NodeId {
        NodeId(NodeId::NEW | (self.next_node + ahead))
    }

    pub(super) fn next_savepoint(&self) -> u64 {
        self.next_savepoint
    }

    /// Whether any node or entry may differ from the base.
    pub(super) fn is_touched(&self) -> bool {
        !self.nodes.is_empty() || !self.deltas.is_empty()
    }

    /// Ids of nodes that may differ from the base and are still there.
    pub(super) fn touched_nodes(&self) -> Vec<NodeId> {
        let mut nodes: Vec<NodeId> = self
            .nodes
            .iter()
            .filter(|(_, state)| !state.is_freed() && !state.links.as_ref().is_some_and(Links::is_empty))
            .map(|(id, _)| *id)
            .collect();
        nodes.sort_unstable();
        nodes
    }

    /// Whether entries of the directory differ from the base.
    pub(super) fn has_delta(&self, directory: NodeId) -> bool {
        self.deltas.contains_key(&directory)
    }

    /// Whether entries of any directory differ from the base.
    pub(super) fn has_deltas(&self) -> bool {
        !self.deltas.is_empty()
    }

    /// Directories whose entries differ from the base, with the names hidden and the entries added.
    pub(super) fn touched_directories(&self) -> Vec<(NodeId, Vec<WinName>, Vec<DirEntry>)> {
        // One that is open without a name left is no part of the tree.
        let has_path = |id: &NodeId| {
            let links = self.nodes.get(id).and_then(|state| state.links.as_ref());
            !links.is_some_and(Links::is_empty)
        };
        let mut directories: Vec<_> = self
            .deltas
            .iter()
            .filter(|(id, _)| has_path(id))
            .map(|(id, delta)| {
                let mut removed: Vec<WinName> =
                    delta.hidden.iter().map(|name| WinName::new(&**name)).collect();
                removed.sort_unstable();
                let added = delta.added.iter().map(|(name, entry)| entry.to_dir_entry(&name.0)).collect();
                (*id, removed, added)
            })
            .collect();
        directories.sort_unstable_by_key(|(id, ..)| *id);
        directories
    }

    /// Nodes that live without a name.
    pub(super) fn kept_nodes(&self) -> Vec<NodeId> {
        self.nodes
            .iter()
            .filter(|(_, state)| state.kept && state.links.as_ref().is_some_and(Links::is_empty))
            .map(|(id, _)| *id)
            .collect()
    }

    /// Whether the node is there only because it is open somewhere, or will be so after its last
    /// name.
    pub(super) fn is_kept(&self, id: NodeId) -> bool {
        self.nodes.get(&id).is_some_and(|state| state.kept)
    }

    /// Whether the node may have staged data.
    pub(super) fn has_record(&self, id: NodeId) -> bool {
        self.nodes.get(&id).is_some_and(|state| state.record.is_some() && !state.is_freed())
    }

    /// Every slot of the node's data file that the state refers to.
    pub(super) fn live_slots(&self, id: NodeId) -> HashSet<u32> {
        self.nodes
            .get(&id)
            .and_then(|state| state.record.as_ref())
            .map(|record| record.streams.iter().flat_map(|stream| stream.content.staged_slots()).collect())
            .unwrap_or_default()
    }

    // --- Savepoints ---

    /// Opens the frame of a single record.
    pub(super) fn begin_record(&mut self) {
        self.frames.push(Frame { descriptors: self.descriptors.len(), ..Frame::default() });
    }

    pub(super) fn begin_savepoint(&mut self, id: u64) {
        self.next_savepoint = self.next_savepoint.max(id + 1);
        self.frames.push(Frame { savepoint: Some(id), ..Frame::default() });
    }

    pub(super) fn is_savepoint_open(&self) -> bool {
        !self.frames.is_empty()
    }

    /// The outermost open savepoint.
    pub(super) fn outermost_savepoint(&self) -> Option<u64> {
        self.frames.iter().find_map(|frame| frame.savepoint)
    }

    fn depth_of(&self, savepoint: u64) -> Result<usize> {
        self.frames
            .iter()
            .position(|frame| frame.savepoint == Some(savepoint))
            .ok_or(VolumeError::SavepointClosed)
    }

    /// Checks that the savepoint is open.
    pub(super) fn check_savepoint(&self, savepoint: u64) -> Result<()> {
        self.depth_of(savepoint).map(|_| ())
    }

    /// Keeps what was done since the savepoint. Gives the nodes that this settles for good.
    pub(super) fn commit_savepoint(&mut self, savepoint: u64) -> Result<Vec<NodeId>> {
        let depth = self.depth_of(savepoint)?;
        let mut settled = Vec::new();
        while self.frames.len() > depth {
            settled = self.commit_frame();
        }
        Ok(settled)
    }

    /// Undoes what was done since the savepoint. Gives the nodes that this settles for good.
    pub(super) fn rollback_savepoint(&mut self, savepoint: u64) -> Result<Vec<NodeId>> {
        let depth = self.depth_of(savepoint)?;
        let mut settled = Vec::new();
        while self.frames.len() > depth {
            settled.extend(self.rollback_frame());
        }
        if !self.frames.is_empty() {
            settled.clear();
        }
        Ok(settled)
    }

    /// Closes the innermost frame, keeping what was done. The outermost one gives its nodes.
    pub(super) fn commit_frame(&mut self) -> Vec<NodeId> {
        let Some(frame) = self.frames.pop() else { return Vec::new() };
        match self.frames.last_mut() {
            Some(outer) => {
                for (id, state) in frame.nodes {
                    outer.nodes.entry(id).or_insert(state);
                }
                outer.deltas.extend(frame.deltas);
                Vec::new()
            }
            None => frame.nodes.into_keys().collect(),
        }
    }

    /// Closes the innermost frame, undoing what was done. Gives its nodes.
    pub(super) fn rollback_frame(&mut self) -> Vec<NodeId> {
        let Some(frame) = self.frames.pop() else { return Vec::new() };
        if frame.savepoint.is_none() {
            for descriptor in self.descriptors.drain(frame.descriptors.min(self.descriptors.len())..) {
                self.descriptor_numbers.remove(&descriptor);
            }
        }
        for undo in frame.deltas.into_iter().rev() {
            match undo {
                Undo::Added { directory, name, entry } => {
                    self.delta_mut(directory).set_added(&name, entry);
                    self.tidy(directory);
                }
                Undo::Hidden { directory, name, hidden } => {
                    let delta = self.delta_mut(directory);
                    if hidden {
                        delta.hidden.insert(name);
                    } else {
                        delta.hidden.remove(&name);
                    }
                    self.tidy(directory);
                }
                Undo::Dropped { directory, delta } => {
                    self.deltas.insert(directory, delta);
                }
            }
        }
        let mut touched = Vec::with_capacity(frame.nodes.len());
        for (id, state) in frame.nodes {
            touched.push(id);
            match state {
                Some(mut state) => {
                    forget_tails(&mut state);
                    self.nodes.insert(id, state);
                }
                None => {
                    self.nodes.remove(&id);
                }
            }
        }
        touched
    }

    // --- Changes ---

    /// Applies the changes of one record; the caller has opened a frame and rolls it back when
    /// this fails.
    pub(super) fn apply(&mut self, base: &dyn Volume, changes: &[Change]) -> Result<()> {
        let mut unlinked = Vec::new();
        for change in changes {
            self.apply_one(base, change, &mut unlinked)?;
        }
        for change in changes {
            if let Change::Entry { directory, entry: Some(entry), .. } = change {
                self.check_place(base, *directory, entry.node)?;
            }
        }
        for id in unlinked {
            self.free_if_unlinked(id);
        }
        Ok(())
    }

    /// A directory has one name, and does not lie below itself. Operations see to that; a damaged
    /// journal might not, and walking the tree would then find no end.
    fn check_place(&self, base: &dyn Volume, directory: NodeId, node: NodeId) -> Result<()> {
        let attributes = match self.find(node) {
            Found::Changed(record) => record.attributes,
            Found::Base => base.node(node)?.attributes,
            Found::Nowhere => return Ok(()),
        };
        if !attributes.contains(FileAttributes::DIRECTORY) {
            return Ok(());
        }
        // A base that breaks the rule itself may be edited all the same.
        let in_base = if node.is_new() { 0 } else { base.links(node)?.len() };
        if self.links(base, node)?.len() > in_base.max(1) {
            return Err(VolumeError::BadRecord { what: "a directory has two names" });
        }
        let mut at = Some(directory);
        while let Some(id) = at {
            if id == node {
                return Err(VolumeError::BadRecord { what: "a directory lies below itself" });
            }
            at = self.links(base, id)?.first().map(|(parent, _)| *parent);
        }
        Ok(())
    }

    fn apply_one(&mut self, base: &dyn Volume, change: &Change, unlinked: &mut Vec<NodeId>) -> Result<()> {
        match change {
            Change::Descriptor(bytes) => {
                // Numbers count through rolled-back ones too, so that replay gives the same.
                let shared: Arc<[u8]> = Arc::from(&**bytes);
                let number = self.descriptors.len() as u32;
                self.descriptor_numbers.insert(Arc::clone(&shared), number);
                self.descriptors.push(shared);
            }
            Change::Create { node, attributes, times, descriptor } => {
                if !node.is_new() || self.nodes.contains_key(node) {
                    return Err(VolumeError::BadRecord { what: "a new node has a number in use" });
                }
                self.next_node = self.next_node.max((node.0 & !NodeId::NEW) + 1);
                let security = self.descriptor(*descriptor)?;
                let streams = if attributes.contains(FileAttributes::DIRECTORY) {
                    Vec::new()
                } else {
                    let (kind, name) = (StreamKind::Data, no_name());
                    vec![StreamState { kind, name, length: 0, content: Content::empty() }]
                };
                let record = Record {
                    attributes: *attributes,
                    times: *times,
                    security,
                    reparse: None,
                    items: None,
                    unknown_0x54: 0,
                    streams,
                    touched: false,
                };
                let state = NodeState { record: Some(record), links: Some(Links::None), kept: false };
                self.note_node(*node);
                self.nodes.insert(*node, Arc::new(state));
                unlinked.push(*node);
            }
            Change::Entry { directory, name, entry } => {
                self.set_entry(base, *directory, name, entry.clone(), unlinked)?;
            }
            Change::Attributes { node, attributes } => {
                let record = self.record_mut(base, *node)?;
                if (record.attributes ^ *attributes).contains(FileAttributes::DIRECTORY) {
                    return Err(VolumeError::BadRecord {
                        what: "a file becomes a directory, or the reverse",
                    });
                }
                record.attributes = *attributes;
            }
            Change::Times { node, creation, access, write } => {
                let record = self.record_mut(base, *node)?;
                record.touched &= write.is_none();
                let times = &mut record.times;
                times.creation = creation.unwrap_or(times.creation);
                times.access = access.unwrap_or(times.access);
                times.write = write.unwrap_or(times.write);
            }
            Change::Touch { directory, write } => {
                let record = self.record_mut(base, *directory)?;
                record.times.write = *write;
                record.touched = true;
            }
            Change::Security { node, descriptor } => {
                let security = self.descriptor(*descriptor)?;
                self.record_mut(base, *node)?.security = security;
            }
            Change::Reparse { node, header } => self.record_mut(base, *node)?.reparse = *header,
            Change::Items { node, items } => {
                self.record_mut(base, *node)?.items = (!items.is_empty()).then(|| Arc::new(items.clone()));
            }
            Change::AddStream { node, position, kind, name } => {
                let streams = &mut self.record_mut(base, *node)?.streams;
                let position = usize::from(*position);
                if position > streams.len() {
                    return Err(VolumeError::BadRecord { what: "a stream has no place" });
                }
                let stream =
                    StreamState { kind: *kind, name: Arc::clone(name), length: 0, content: Content::empty() };
                streams.insert(position, stream);
            }
            Change::RemoveStream { node, position } => {
                let record = self.record_mut(base, *node)?;
                stream_at(record, *position)?;
                record.streams.remove(usize::from(*position));
            }
            Change::Content { node, position, source } => {
                let stream = stream_at(self.record_mut(base, *node)?, *position)?;
                match source {
                    Some(source) => {
                        stream.length = source.length;
                        stream.content = Content::Base(Arc::new(source.clone()));
                    }
                    None => {
                        stream.length = 0;
                        stream.content = Content::empty();
                    }
                }
            }
            Change::Data { node, position, change } => {
                let stream = stream_at(self.record_mut(base, *node)?, *position)?;
                let extents: &mut Extents = match &mut stream.content {
                    Content::Staged(extents) => Arc::make_mut(extents),
                    content @ Content::Base(_) => {
                        *content = Content::Staged(Arc::new(content.extents()));
                        let Content::Staged(extents) = content else { return Ok(()) };
                        Arc::make_mut(extents)
                    }
                };
                stream.length = change.apply(extents)?;
            }
            Change::Keep { node } => {
                self.links_mut(base, *node)?;
                self.node_mut(*node).kept = true;
            }
            Change::Free { node } => {
                self.links_mut(base, *node)?;
                self.node_mut(*node).kept = false;
                unlinked.push(*node);
            }
        }
        Ok(())
    }

    fn descriptor(&self, number: Option<u32>) -> Result<Option<Arc<[u8]>>> {
        let Some(number) = number else { return Ok(None) };
        usize::try_from(number)
            .ok()
            .and_then(|number| self.descriptors.get(number))
            .map(|bytes| Some(Arc::clone(bytes)))
            .ok_or(VolumeError::BadRecord { what: "a security descriptor has no such number" })
    }

    fn set_entry(
        &mut self,
        base: &dyn Volume,
        directory: NodeId,
        name: &Name,
        entry: Option<Entry>,
        unlinked: &mut Vec<NodeId>,
    ) -> Result<()> {
        if matches!(self.find(directory), Found::Nowhere) {
            return Err(VolumeError::NoNode { node: directory });
        }
        let old = self.exact(base, directory, name)?;
        let below = base_exact(base, directory, name)?;
        let hide = below.is_some();
        // An entry that is the base's again is no difference.
        let same_as_base = entry.is_some() && below.as_ref().map(Entry::of) == entry;
        if old.as_ref().map(|entry| entry.node) != entry.as_ref().map(|entry| entry.node) {
            if let Some(old) = &old {
                self.remove_link(base, old.node, directory, name)?;
                unlinked.push(old.node);
            }
            if let Some(new) = &entry {
                self.add_link(base, new.node, directory, name)?;
            }
        }
        self.set_added(directory, name, if same_as_base { None } else { entry });
        self.set_hidden(directory, name, hide && !same_as_base);
        self.tidy(directory);
        Ok(())
    }

    fn add_link(&mut self, base: &dyn Volume, id: NodeId, directory: NodeId, name: &Name) -> Result<()> {
        let links = self.links_mut(base, id)?;
        let mut list = links.as_vec();
        list.push((directory, Arc::clone(name)));
        *links = Links::from_vec(list);
        Ok(())
    }

    fn remove_link(&mut self, base: &dyn Volume, id: NodeId, directory: NodeId, name: &Name) -> Result<()> {
        let links = self.links_mut(base, id)?;
        let mut list = links.as_vec();
        list.retain(|(at, link)| *at != directory || link != name);
        *links = Links::from_vec(list);
        Ok(())
    }

    fn free_if_unlinked(&mut self, id: NodeId) {
        if !self.nodes.get(&id).is_some_and(|state| state.is_freed()) {
            return;
        }
        self.note_node(id);
        if id.is_new() {
            self.nodes.remove(&id);
        } else {
            self.nodes.insert(id, Arc::clone(&self.freed));
        }
        if let Some(delta) = self.deltas.remove(&id)
            && let Some(frame) = self.frames.last_mut()
        {
            frame.deltas.push(Undo::Dropped { directory: id, delta });
        }
    }

    /// Notes in the innermost frame what a node was before it changes.
    fn note_node(&mut self, id: NodeId) {
        if let Some(frame) = self.frames.last_mut() {
            frame.nodes.entry(id).or_insert_with(|| self.nodes.get(&id).cloned());
        }
    }

    fn node_mut(&mut self, id: NodeId) -> &mut NodeState {
        self.note_node(id);
        Arc::make_mut(self.nodes.entry(id).or_default())
    }

    fn record_mut(&mut self, base: &dyn Volume, id: NodeId) -> Result<&mut Record> {
        // A new node has no name before its entry is made.
        let has_record = self.nodes.get(&id).is_some_and(|state| state.record.is_some());
        let missing = match self.find(id) {
            _ if has_record => None,
            Found::Base => Some(Record::of_base(id, base.node(id)?)),
            Found::Changed(_) | Found::Nowhere => return Err(VolumeError::NoNode { node: id }),
        };
        let state = self.node_mut(id);
        if missing.is_some() {
            state.record = missing;
        }
        state.record.as_mut().ok_or(VolumeError::NoNode { node: id })
    }

    fn links_mut(&mut self, base: &dyn Volume, id: NodeId) -> Result<&mut Links> {
        let known = self.nodes.get(&id).is_some_and(|state| state.links.is_some());
        let missing = if known {
            None
        } else if id.is_new() {
            return Err(VolumeError::NoNode { node: id });
        } else {
            let links = base.links(id)?;
            Some(Links::from_vec(
                links.into_iter().map(|(at, entry)| (at, Name::from(entry.name.units()))).collect(),
            ))
        };
        let state = self.node_mut(id);
        if missing.is_some() {
            state.links = missing;
        }
        state.links.as_mut().ok_or(VolumeError::NoNode { node: id })
    }

    fn delta_mut(&mut self, directory: NodeId) -> &mut Delta {
        self.deltas.entry(directory).or_default()
    }

    fn set_added(&mut self, directory: NodeId, name: &Name, entry: Option<Entry>) {
        let previous = self.delta_mut(directory).set_added(name, entry.clone());
        if previous != entry
            && let Some(frame) = self.frames.last_mut()
        {
            frame.deltas.push(Undo::Added { directory, name: Arc::clone(name), entry: previous });
        }
    }

    fn set_hidden(&mut self, directory: NodeId, name: &Name, hide: bool) {
        let hidden = &mut self.delta_mut(directory).hidden;
        let changed = if hide { hidden.insert(Arc::clone(name)) } else { hidden.remove(name) };
        if changed && let Some(frame) = self.frames.last_mut() {
            frame.deltas.push(Undo::Hidden { directory, name: Arc::clone(name), hidden: !hide });
        }
    }

    fn tidy(&mut self, directory: NodeId) {
        if self.deltas.get(&directory).is_some_and(|delta| delta.is_empty()) {
            self.deltas.remove(&directory);
        }
    }
}

fn stream_at(record: &mut Record, position: u16) -> Result<&mut StreamState> {
    record
        .streams
        .get_mut(usize::from(position))
        .ok_or(VolumeError::BadRecord { what: "a stream has no such position" })
}

/// A slot may hold bytes behind the end that were written since, so nothing is added in place.
fn forget_tails(state: &mut Arc<NodeState>) {
    let has_tail =
        |stream: &StreamState| matches!(&stream.content, Content::Staged(extents) if extents.tail.is_some());
    if !state.record.as_ref().is_some_and(|record| record.streams.iter().any(has_tail)) {
        return;
    }
    let record = Arc::make_mut(state).record.as_mut();
    for stream in record.into_iter().flat_map(|record| &mut record.streams) {
        if let Content::Staged(extents) = &mut stream.content
            && extents.tail.is_some()
        {
            Arc::make_mut(extents).tail = None;
        }
    }
}
