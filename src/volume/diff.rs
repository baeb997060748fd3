// SPDX-License-Identifier: GPL-3.0-or-later
//! How an overlay differs from its base, file by file.
//!
//! Only what the overlay touched is looked at: the changed nodes, the directories with changed
//! entries, and the way down to them.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use super::extent::Content;
use super::state::Found;
use super::store::BLOCK;
use super::{Overlay, Volume};
use crate::base::{
    DirEntry, Node, NodeId, NodeKind, Result, Stream, StreamKind, TaggedItem, WinName, WinPath, name,
};
use crate::io::ReadAt;

/// Bytes compared at a time.
const PIECE: u64 = 1 << 20;

/// One difference of the overlay from its base. A named stream is written `file:stream`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum FileChange {
    /// There is nothing of this name in the base.
    Added {
        /// Where.
        path: WinPath,
        /// Whether it is a directory.
        directory: bool,
        /// Length of the data.
        size: u64,
    },
    /// The base has it, the overlay does not.
    Removed {
        /// Where.
        path: WinPath,
        /// Whether it is a directory.
        directory: bool,
    },
    /// Data of a stream differs.
    Modified {
        /// Where.
        path: WinPath,
        /// Length in the base.
        old_size: u64,
        /// Length in the overlay.
        new_size: u64,
        /// How many bytes differ; those that only one of the two has are among them.
        changed_bytes: u64,
    },
    /// Something else differs: `attributes`, `creation_time`, `access_time`, `write_time`,
    /// `security`, `reparse_point`, `object_id`, `extended_attributes`, `tagged_items`, `name`,
    /// `short_name`, `hard_links`.
    Metadata {
        /// Where.
        path: WinPath,
        /// What.
        what: Vec<String>,
    },
}

impl FileChange {
    /// Where.
    pub fn path(&self) -> &WinPath {
        match self {
            Self::Added { path, .. }
            | Self::Removed { path, .. }
            | Self::Modified { path, .. }
            | Self::Metadata { path, .. } => path,
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Removed { .. } => 0,
            Self::Added { .. } => 1,
            Self::Modified { .. } => 2,
            Self::Metadata { .. } => 3,
        }
    }

    fn order(&self, other: &Self) -> Ordering {
        compare_paths(self.path(), other.path()).then_with(|| self.rank().cmp(&other.rank()))
    }
}

fn compare_paths(left: &WinPath, right: &WinPath) -> Ordering {
    let mut pairs = left.components().iter().zip(right.components());
    pairs
        .find_map(|(left, right)| {
            let order = name::compare(left.units(), right.units()).then_with(|| left.cmp(right));
            order.is_ne().then_some(order)
        })
        .unwrap_or_else(|| left.components().len().cmp(&right.components().len()))
}

impl Overlay {
    /// Whether anything differs from the base. A base that cannot be read counts as a difference.
    pub fn is_changed(&self) -> bool {
        let touched = {
            let state = self.read();
            if !state.is_touched() {
                return false;
            }
            if state.has_deltas() {
                return true;
            }
            state.touched_nodes()
        };
        touched.into_iter().any(|id| self.differs(id).unwrap_or(true))
    }

    /// Every difference from the base, sorted by path.
    ///
    /// # Errors
    /// When base or staged data cannot be read.
    pub fn diff(&self) -> Result<Vec<FileChange>> {
        let _frozen = self.freeze()?;
        let mut walk = Walk {
            overlay: self,
            base: &**self.base(),
            touched: HashSet::new(),
            below: HashMap::new(),
            changes: Vec::new(),
        };
        let (nodes, directories) = {
            let state = self.read();
            let directories: Vec<NodeId> =
                state.touched_directories().into_iter().map(|(id, ..)| id).collect();
            (state.touched_nodes(), directories)
        };
        for id in nodes.into_iter().chain(directories) {
            walk.touched.insert(id);
            walk.mark(id)?;
        }
        let root = self.root();
        if walk.touched.contains(&root) {
            walk.nodes(&WinPath::root(), root, root, Vec::new())?;
        }
        walk.directories(&WinPath::root(), root, root)?;
        let mut changes = walk.changes;
        changes.sort_by(FileChange::order);
        Ok(changes)
    }

    /// Whether a node that is there differs from the base by more than its names.
    pub(super) fn differs(&self, id: NodeId) -> Result<bool> {
        if id.is_new() {
            return Ok(true);
        }
        if !self.read().has_record(id) {
            return Ok(false);
        }
        let (old, new) = (self.base().node(id)?, self.settled_node(id)?);
        if !metadata_differences(&old, &new).is_empty() || old.streams.len() != new.streams.len() {
            return Ok(true);
        }
        for (before, after) in old.streams.iter().zip(&new.streams) {
            let same_place = before.kind == after.kind && before.name == after.name;
            if !same_place || self.changed_bytes(id, before, id, after)? > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The node as it will be written: a directory whose entries are the base's again keeps the
    /// base's write time, too.
    pub(super) fn settled_node(&self, id: NodeId) -> Result<Node> {
        let mut node = self.node(id)?;
        let restored = {
            let state = self.read();
            matches!(state.find(id), Found::Changed(record) if record.touched) && !state.has_delta(id)
        };
        if restored && !id.is_new() {
            node.write_time = self.base().node(id)?.write_time;
        }
        Ok(node)
    }

    /// How many bytes differ between a stream of the base and one of the overlay.
    fn changed_bytes(&self, old: NodeId, before: &Stream, new: NodeId, after: &Stream) -> Result<u64> {
        let common = before.length.min(after.length);
        let beyond = before.length.max(after.length) - common;
        if before.length == after.length && before.hash.is_some() && before.hash == after.hash {
            return Ok(0);
        }
        let mut differing = 0;
        let ranges = self.suspects(old, before, new, after, common);
        if ranges.is_empty() {
            return Ok(beyond);
        }
        let left = self.base().open(old, before.kind, before.name.units())?;
        let right = self.open(new, after.kind, after.name.units())?;
        for range in ranges {
            differing += differing_bytes(&*left, &*right, range)?;
        }
        Ok(differing + beyond)
    }

    /// Where the two streams may differ, below `common`.
    fn suspects(
        &self,
        old: NodeId,
        before: &Stream,
        new: NodeId,
        after: &Stream,
        common: u64,
    ) -> Vec<Range<u64>> {
        let state = self.read();
        let everything = || std::iter::once(0..common).filter(|range| !range.is_empty()).collect();
        let record = match state.find(new) {
            Found::Changed(record) => record,
            Found::Base if old == new => return Vec::new(),
            _ => return everything(),
        };
        let Some((_, stream)) = record.find_stream(after.kind, after.name.units()) else {
            return everything();
        };
        let source = match &stream.content {
            Content::Base(source) => Some(source),
            Content::Staged(extents) => extents.source.as_ref(),
        };
        let same_source = source.is_some_and(|source| {
            source.node == old && source.kind == before.kind && *source.name == *before.name.units()
        });
        match &stream.content {
            _ if !same_source => everything(),
            Content::Base(_) => Vec::new(),
            Content::Staged(extents) => changed_ranges(extents, common),
        }
    }
}

/// The ranges below `length` that may differ from the base stream: staged blocks, and what is cut
/// off from the base.
pub(super) fn changed_ranges(extents: &super::extent::Extents, length: u64) -> Vec<Range<u64>> {
    let staged = extents.runs.as_slice().iter().map(|run| {
        let start = u64::from(run.block) * BLOCK;
        start..start + u64::from(run.count) * BLOCK
    });
    let mut ranges: Vec<Range<u64>> = staged.chain(std::iter::once(extents.visible..length)).collect();
    ranges.sort_unstable_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        let range = range.start..range.end.min(length);
        match merged.last_mut() {
            _ if range.is_empty() => {}
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

fn differing_bytes(left: &dyn ReadAt, right: &dyn ReadAt, range: Range<u64>) -> Result<u64> {
    let mut position = range.start;
    let mut differing = 0;
    let size = usize::try_from(PIECE.min(range.end - range.start)).unwrap_or(0);
    let (mut old, mut new) = (vec![0; size], vec![0; size]);
    while position < range.end {
        let count = PIECE.min(range.end - position);
        let size = usize::try_from(count).unwrap_or(0);
        let (old, new) = (old.get_mut(..size).unwrap_or_default(), new.get_mut(..size).unwrap_or_default());
        left.read_exact_at(old, position)?;
        right.read_exact_at(new, position)?;
        if old != new {
            differing += old.iter().zip(new.iter()).filter(|(old, new)| old != new).count() as u64;
        }
        position += count;
    }
    Ok(differing)
}

/// Names of the metadata that differ; a directory's write time alone follows from its entries.
fn metadata_differences(old: &Node, new: &Node) -> Vec<&'static str> {
    let item = |node: &Node, tag| -> Vec<TaggedItem> {
        node.tagged_items.iter().filter(|item| item.tag == tag).cloned().collect()
    };
    let others = |node: &Node| -> Vec<TaggedItem> {
        let known = [TaggedItem::OBJECT_ID, TaggedItem::EXTENDED_ATTRIBUTES];
        node.tagged_items.iter().filter(|item| !known.contains(&item.tag)).cloned().collect()
    };
    [
        ("attributes", old.attributes != new.attributes),
        ("creation_time", old.creation_time != new.creation_time),
        ("access_time", old.access_time != new.access_time),
        ("write_time", old.write_time != new.write_time),
        ("security", old.security != new.security),
        ("reparse_point", old.reparse != new.reparse),
        ("object_id", item(old, TaggedItem::OBJECT_ID) != item(new, TaggedItem::OBJECT_ID)),
        (
            "extended_attributes",
            item(old, TaggedItem::EXTENDED_ATTRIBUTES) != item(new, TaggedItem::EXTENDED_ATTRIBUTES),
        ),
        ("tagged_items", others(old) != others(new)),
    ]
    .into_iter()
    .filter_map(|(what, differs)| differs.then_some(what))
    .collect()
}

struct Walk<'a> {
    overlay: &'a Overlay,
    base: &'a dyn Volume,
    touched: HashSet<NodeId>,
    /// Entries on the way down to what was touched, by directory.
    below: HashMap<NodeId, BTreeMap<WinName, DirEntry>>,
    changes: Vec<FileChange>,
}

impl Walk<'_> {
    fn mark(&mut self, id: NodeId) -> Result<()> {
        let mut todo = vec![id];
        while let Some(id) = todo.pop() {
            for (directory, entry) in self.overlay.links(id)? {
                let below = self.below.entry(directory).or_default();
                if below.is_empty() {
                    todo.push(directory);
                }
                below.insert(entry.name.clone(), entry);
            }
        }
        Ok(())
    }

    fn directories(&mut self, path: &WinPath, old: NodeId, new: NodeId) -> Result<()> {
        if old == new && !self.overlay.read().has_delta(new) {
            // The same entries on both sides; only some lead on to changes.
            let below: Vec<DirEntry> =
                self.below.get(&new).into_iter().flat_map(BTreeMap::values).cloned().collect();
            return below.iter().try_for_each(|entry| self.pair(path, entry, entry));
        }
        let before = self.base.entries(old)?;
        let mut after: Vec<Option<DirEntry>> = self.overlay.entries(new)?.into_iter().map(Some).collect();
        let mut exact: HashMap<WinName, usize> = HashMap::new();
        for (position, entry) in after.iter().flatten().enumerate() {
            exact.insert(entry.name.clone(), position);
        }
        let mut unmatched = Vec::new();
        for entry in before {
            let partner = exact.get(&entry.name).and_then(|&position| after.get_mut(position)?.take());
            match partner {
                Some(partner) => self.pair(path, &entry, &partner)?,
                None => unmatched.push(entry),
            }
        }
        let mut folded: HashMap<Vec<u16>, DirEntry> = HashMap::new();
        for entry in after.into_iter().flatten() {
            if let Some(other) = folded.insert(name::upcased(entry.name.units()), entry) {
                self.added(path, &other)?;
            }
        }
        for entry in unmatched {
            match folded.remove(&name::upcased(entry.name.units())) {
                Some(partner) => self.pair(path, &entry, &partner)?,
                None => self.removed(path, &entry)?,
            }
        }
        folded.into_values().try_for_each(|entry| self.added(path, &entry))
    }

    /// What has the same name on both sides.
    fn pair(&mut self, parent: &WinPath, old: &DirEntry, new: &DirEntry) -> Result<()> {
        let path = parent.join(new.name.clone());
        let mut what = Vec::new();
        if old.name != new.name {
            what.push("name");
        }
        if old.short_name != new.short_name {
            what.push("short_name");
        }
        if old.node == new.node && !self.touched.contains(&new.node) {
            if !what.is_empty() {
                self.metadata(path.clone(), what);
            }
            if self.below.contains_key(&new.node) {
                self.directories(&path, old.node, new.node)?;
            }
            return Ok(());
        }
        let (before, after) = (self.base.node(old.node)?, self.overlay.node(new.node)?);
        if before.kind() != after.kind() {
            self.removed(parent, old)?;
            return self.added(parent, new);
        }
        if old.node != new.node {
            let shared = |links: Vec<(NodeId, DirEntry)>| links.len() > 1;
            if shared(self.base.links(old.node)?) || shared(self.overlay.links(new.node)?) {
                what.push("hard_links");
            }
        }
        self.nodes(&path, old.node, new.node, what)?;
        match (before.has_entries(), after.has_entries()) {
            (true, true) => self.directories(&path, old.node, new.node),
            (true, false) => {
                self.base.entries(old.node)?.iter().try_for_each(|entry| self.removed(&path, entry))
            }
            (false, true) => {
                self.overlay.entries(new.node)?.iter().try_for_each(|entry| self.added(&path, entry))
            }
            (false, false) => Ok(()),
        }
    }

    fn nodes(&mut self, path: &WinPath, old: NodeId, new: NodeId, mut what: Vec<&'static str>) -> Result<()> {
        let (before, after) = (self.base.node(old)?, self.overlay.settled_node(new)?);
        let entries_changed = old != new || self.overlay.read().has_delta(new);
        let mut differences = metadata_differences(&before, &after);
        if before.kind() == NodeKind::Directory && entries_changed {
            // It says no more than that entries changed.
            differences.retain(|what| *what != "write_time");
        }
        for stream in &after.streams {
            let path = stream_path(path, stream);
            match before.stream(stream.kind, stream.name.units()) {
                Some(earlier) => {
                    let changed_bytes = self.overlay.changed_bytes(old, earlier, new, stream)?;
                    if changed_bytes == 0 {
                        continue;
                    }
                    if stream.kind == StreamKind::Reparse {
                        differences.push("reparse_point");
                        continue;
                    }
                    let (old_size, new_size) = (earlier.length, stream.length);
                    self.changes.push(FileChange::Modified { path, old_size, new_size, changed_bytes });
                }
                None if stream.kind == StreamKind::Reparse => differences.push("reparse_point"),
                None => {
                    self.changes.push(FileChange::Added { path, directory: false, size: stream.length });
                }
            }
        }
        for stream in &before.streams {
            if after.stream(stream.kind, stream.name.units()).is_none() {
                if stream.kind == StreamKind::Reparse {
                    differences.push("reparse_point");
                } else {
                    let path = stream_path(path, stream);
                    self.changes.push(FileChange::Removed { path, directory: false });
                }
            }
        }
        differences.dedup();
        what.extend(differences);
        if !what.is_empty() {
            self.metadata(path.clone(), what);
        }
        Ok(())
    }

    fn metadata(&mut self, path: WinPath, what: Vec<&'static str>) {
        let mut seen = HashSet::new();
        let what = what.into_iter().filter(|what| seen.insert(*what)).map(str::to_owned).collect();
        self.changes.push(FileChange::Metadata { path, what });
    }

    fn added(&mut self, parent: &WinPath, entry: &DirEntry) -> Result<()> {
        let overlay = self.overlay;
        each_below(overlay, parent, entry, &mut |path, node| {
            let directory = node.kind() == NodeKind::Directory;
            let size = node.data().map_or(0, |data| data.length);
            self.changes.push(FileChange::Added { path: path.clone(), directory, size });
            for stream in node.streams.iter().filter(|stream| !stream.name.is_empty()) {
                let path = stream_path(path, stream);
                self.changes.push(FileChange::Added { path, directory: false, size: stream.length });
            }
        })
    }

    fn removed(&mut self, parent: &WinPath, entry: &DirEntry) -> Result<()> {
        let base = self.base;
        each_below(base, parent, entry, &mut |path, node| {
            let directory = node.kind() == NodeKind::Directory;
            self.changes.push(FileChange::Removed { path: path.clone(), directory });
        })
    }
}

fn each_below(
    volume: &dyn Volume,
    parent: &WinPath,
    top: &DirEntry,
    visit: &mut dyn FnMut(&WinPath, &Node),
) -> Result<()> {
    let mut todo = vec![(parent.join(top.name.clone()), top.node)];
    while let Some((path, id)) = todo.pop() {
        let node = volume.node(id)?;
        visit(&path, &node);
        if node.has_entries() {
            todo.extend(volume.entries(id)?.into_iter().map(|entry| (path.join(entry.name), entry.node)));
        }
    }
    Ok(())
}

/// `file:stream`, or just the file for its unnamed stream.
fn stream_path(path: &WinPath, stream: &Stream) -> WinPath {
    if stream.name.is_empty() {
        return path.clone();
    }
    let mut units: Vec<u16> = path.file_name().map(|name| name.units().to_vec()).unwrap_or_default();
    units.push(u16::from(b':'));
    units.extend(stream.name.units());
    path.parent().unwrap_or_default().join(WinName::new(units))
}
