// SPDX-License-Identifier: GPL-3.0-or-later
//! New metadata from the old tree and its edits.
//!
//! Entries that no edit touches are copied as they stand, but for the offset of their children and,
//! when a file gained or lost names, the hard-link group. Security ids stay valid: new descriptors
//! go behind the old ones. Lists of directories whose entries changed are put in the order of
//! names; the lists follow each other as wimlib lays them out, so that metadata written by wimlib
//! and not edited comes out byte for byte.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromZeros, IntoBytes};

use super::dentry::{
    Dentry, DentryRaw, FIXED_SIZE, LINK_AT, STREAM_SIZE, SUBDIR_OFFSET_AT, StreamRaw, align8,
};
use super::edit::{NodeEdit, TreeEdit};
use super::error::WimError;
use super::file::TABLE_LIMIT;
use super::tree::{Tree, units};
use crate::base::{BlobHash, DirEntry, FileAttributes, Node, NodeId, StreamKind, TaggedItem, name};

/// No descriptor.
const NO_SECURITY: u32 = u32::MAX;

/// A name of the new tree.
#[derive(Clone, Copy)]
enum Item<'a> {
    /// An entry of the old tree under its old name.
    Base(u32),
    /// A name that the edit added.
    Added(&'a DirEntry),
}

/// One directory's list of children, in the order in which the lists are written.
struct List {
    directory: NodeId,
    first: usize,
    count: usize,
}

/// The shape of the new tree: everything but the hashes of new data.
pub(super) struct Plan<'a> {
    image: u32,
    base: &'a Tree,
    edit: &'a TreeEdit,
    lists: Vec<List>,
    items: Vec<Item<'a>>,
    /// Names of each base node.
    base_links: Vec<u32>,
    /// Names of each new node.
    new_links: HashMap<NodeId, u32>,
}

/// Hash of every stream of an edited node, in order.
pub(super) type ResolvedStreams = HashMap<NodeId, Vec<BlobHash>>;

impl<'a> Plan<'a> {
    /// Lays out the tree. `image` is for messages.
    pub(super) fn new(base: &'a Tree, edit: &'a TreeEdit, image: u32) -> Result<Self, WimError> {
        let mut plan = Self {
            image,
            base,
            edit,
            lists: Vec::new(),
            items: Vec::with_capacity(base.len() as usize),
            base_links: vec![0; base.len() as usize],
            new_links: HashMap::new(),
        };
        plan.count_link(NodeId(0));
        let mut listed = HashSet::new();
        let mut waiting = vec![NodeId(0)];
        while let Some(directory) = waiting.pop() {
            if !listed.insert(directory) {
                return Err(plan.error(format!("directory {} would have two places", directory.0)));
            }
            let first = plan.items.len();
            plan.add_children(directory)?;
            let count = plan.items.len() - first;
            plan.lists.push(List { directory, first, count });
            let from = waiting.len();
            for item in plan.items.get(first..).unwrap_or_default() {
                let node = plan.node_of(*item);
                if plan.has_list(node) {
                    waiting.push(node);
                }
            }
            // The last one pushed is written next, so the first child goes on top.
            if let Some(children) = waiting.get_mut(from..) {
                children.reverse();
            }
        }
        Ok(plan)
    }

    fn error(&self, message: impl Into<String>) -> WimError {
        WimError::Edit { image: self.image, message: message.into() }
    }

    fn base_entry(&self, node: NodeId) -> Option<u32> {
        u32::try_from(node.0).ok().filter(|&number| self.base.is_node(number))
    }

    fn node_of(&self, item: Item<'_>) -> NodeId {
        match item {
            Item::Base(entry) => NodeId(self.base.node_of(entry).into()),
            Item::Added(entry) => entry.node,
        }
    }

    fn attributes(&self, node: NodeId) -> FileAttributes {
        match self.edit.nodes.get(&node) {
            Some(edit) => edit.node.attributes,
            None => self
                .base_entry(node)
                .and_then(|entry| self.base.dentry(entry))
                .map_or(FileAttributes::empty(), |dentry| dentry.attributes()),
        }
    }

    /// Whether a list of children is written: for every directory, and for a directory with a
    /// reparse point (which has none as a rule) when there are children.
    fn has_list(&self, node: NodeId) -> bool {
        let attributes = self.attributes(node);
        if !attributes.contains(FileAttributes::DIRECTORY) {
            return false;
        }
        if !attributes.contains(FileAttributes::REPARSE_POINT) {
            return true;
        }
        let old = self.base_entry(node).map_or(0, |entry| self.base.children(entry).len());
        let change = self.edit.directories.get(&node);
        old + change.map_or(0, |change| change.added.len()) > change.map_or(0, |change| change.removed.len())
    }

    fn count_link(&mut self, node: NodeId) {
        if node.is_new() {
            *self.new_links.entry(node).or_default() += 1;
        } else if let Some(count) =
            usize::try_from(node.0).ok().and_then(|number| self.base_links.get_mut(number))
        {
            *count += 1;
        }
    }

    fn links(&self, node: NodeId) -> u32 {
        if node.is_new() {
            return self.new_links.get(&node).copied().unwrap_or(0);
        }
        usize::try_from(node.0).ok().and_then(|number| self.base_links.get(number)).copied().unwrap_or(0)
    }

    fn add_children(&mut self, directory: NodeId) -> Result<(), WimError> {
        let children = match self.base_entry(directory) {
            Some(entry) => self.base.children(entry),
            None => 0..0,
        };
        let change = self.edit.directories.get(&directory);
        let change = change.filter(|change| !change.added.is_empty() || !change.removed.is_empty());
        let Some(change) = change else {
            for entry in children {
                self.count_link(NodeId(self.base.node_of(entry).into()));
                self.items.push(Item::Base(entry));
            }
            return Ok(());
        };
        let mut removed: HashSet<&[u16]> = change.removed.iter().map(|name| name.units()).collect();
        let mut items: Vec<(Vec<u16>, Item<'a>)> = Vec::new();
        for entry in children {
            let name: Vec<u16> =
                self.base.dentry(entry).map_or_else(Vec::new, |dentry| units(dentry.name).collect());
            if !removed.remove(name.as_slice()) {
                items.push((name, Item::Base(entry)));
            }
        }
        if let Some(name) = removed.into_iter().next() {
            let name = name::display(name);
            return Err(self.error(format!("the entry {name} of directory {} is not there", directory.0)));
        }
        for entry in &change.added {
            self.check_added(entry)?;
            items.push((entry.name.units().to_vec(), Item::Added(entry)));
        }
        items.sort_by(|(left, _), (right, _)| name::compare(left, right).then_with(|| left.cmp(right)));
        for pair in items.windows(2) {
            if let [(left, _), (right, _)] = pair
                && left == right
            {
                let name = name::display(left);
                return Err(self.error(format!("directory {} would hold {name} twice", directory.0)));
            }
        }
        for (_, item) in items {
            self.count_link(self.node_of(item));
            self.items.push(item);
        }
        Ok(())
    }

    fn check_added(&self, entry: &DirEntry) -> Result<(), WimError> {
        let shown = || name::display(entry.name.units());
        let bad = |name: &[u16]| {
            let dots = name == [u16::from(b'.')] || name == [u16::from(b'.'); 2];
            name.is_empty() || name.len() > 0x7FFF || dots || name.contains(&0)
        };
        if bad(entry.name.units()) || entry.short_name.as_ref().is_some_and(|short| bad(short.units())) {
            return Err(self.error(format!("{:?} cannot be a file name", shown())));
        }
        let known = if entry.node.is_new() {
            self.edit.nodes.contains_key(&entry.node)
        } else {
            self.base_entry(entry.node).is_some()
        };
        if known { Ok(()) } else { Err(self.error(format!("{} leads to nothing", shown()))) }
    }

    /// The edited nodes that the new tree reaches, in the order of their ids.
    pub(super) fn edited(&self) -> impl Iterator<Item = (NodeId, &'a NodeEdit)> {
        let edit = self.edit;
        edit.nodes.iter().map(|(&id, node)| (id, node)).filter(|&(id, _)| self.links(id) > 0)
    }

    /// Writes the metadata.
    pub(super) fn write(&self, resolved: &ResolvedStreams) -> Result<Vec<u8>, WimError> {
        Writer {
            plan: self,
            resolved,
            security: Security::collect(self),
            groups: Groups::new(self),
            waiting: HashMap::new(),
            output: Vec::with_capacity(self.base.bytes().len() + 4096),
        }
        .write()
    }
}

/// Old descriptors with the new ones behind them.
struct Security<'a> {
    base: &'a Tree,
    added: Vec<Arc<[u8]>>,
    ids: HashMap<Arc<[u8]>, u32>,
}

impl<'a> Security<'a> {
    fn collect(plan: &Plan<'a>) -> Self {
        let base = plan.base;
        let mut security = Self { base, added: Vec::new(), ids: HashMap::new() };
        for (number, descriptor) in base.security().iter().enumerate() {
            security.ids.entry(descriptor.clone()).or_insert(number as u32);
        }
        for descriptor in plan.edited().filter_map(|(_, edit)| edit.node.security.as_ref()) {
            if !security.ids.contains_key(descriptor) {
                let number = (base.security().len() + security.added.len()) as u32;
                security.ids.insert(descriptor.clone(), number);
                security.added.push(descriptor.clone());
            }
        }
        security
    }

    /// The id of a descriptor; `current` is kept when it already means the same bytes.
    fn id(&self, descriptor: Option<&Arc<[u8]>>, current: Option<u32>) -> u32 {
        let Some(descriptor) = descriptor else { return NO_SECURITY };
        let same = current.filter(|&id| self.base.security().get(id as usize) == Some(descriptor));
        same.or_else(|| self.ids.get(descriptor).copied()).unwrap_or(NO_SECURITY)
    }

    fn write(&self, output: &mut Vec<u8>) -> Result<(), &'static str> {
        if self.added.is_empty() {
            output.extend(self.base.security_bytes());
            return Ok(());
        }
        let all = || self.base.security().iter().chain(&self.added);
        let count = all().count();
        let length = 8 + 8 * count + all().map(|descriptor| descriptor.len()).sum::<usize>();
        let padded = align8(length).and_then(|length| u32::try_from(length).ok());
        let padded = padded.ok_or("there are too many security descriptors")?;
        output.extend(padded.to_le_bytes());
        output.extend((count as u32).to_le_bytes());
        for descriptor in all() {
            output.extend((descriptor.len() as u64).to_le_bytes());
        }
        for descriptor in all() {
            output.extend(&**descriptor);
        }
        output.resize(padded as usize, 0);
        Ok(())
    }
}

/// Hard-link group ids.
struct Groups {
    /// Ids that lead to different files (Windows 7 wrote such).
    shared: HashSet<u64>,
    next: u64,
    fresh: HashMap<NodeId, u64>,
}

impl Groups {
    fn new(plan: &Plan<'_>) -> Self {
        let mut first: HashMap<u64, u32> = HashMap::new();
        let mut shared = HashSet::new();
        let mut highest = 0;
        for entry in 0..plan.base.len() {
            let group = plan.base.dentry(entry).map_or(0, |dentry| dentry.link_group());
            if group != 0 {
                highest = highest.max(group);
                let node = plan.base.node_of(entry);
                if *first.entry(group).or_insert(node) != node {
                    shared.insert(group);
                }
            }
        }
        Self { shared, next: highest, fresh: HashMap::new() }
    }

    /// The id for a file. `stored` is that of its entry in the old tree.
    fn id(&mut self, plan: &Plan<'_>, node: NodeId, stored: u64) -> u64 {
        let links = plan.links(node);
        let old_links = plan.base_entry(node).map_or(0, |entry| plan.base.links(entry).take(2).count());
        // New data may become equal to that of another file of the same id: then they would be one.
        let unsafe_id = self.shared.contains(&stored) && plan.edit.nodes.contains_key(&node);
        match (links > 1, old_links > 1) {
            _ if unsafe_id && links <= 1 => 0,
            (false, true) => 0,
            (true, true) if !unsafe_id && stored != 0 => stored,
            (false, false) => stored,
            (true, _) => {
                let next = &mut self.next;
                *self.fresh.entry(node).or_insert_with(|| {
                    *next = next.checked_add(1).unwrap_or(1);
                    *next
                })
            }
        }
    }
}

struct Writer<'p, 'a> {
    plan: &'p Plan<'a>,
    resolved: &'p ResolvedStreams,
    security: Security<'a>,
    groups: Groups,
    /// Where the entry of each directory begins whose list is still to come.
    waiting: HashMap<NodeId, usize>,
    output: Vec<u8>,
}

impl Writer<'_, '_> {
    fn write(mut self) -> Result<Vec<u8>, WimError> {
        self.security.write(&mut self.output).map_err(|message| self.plan.error(message))?;
        self.waiting.insert(NodeId(0), self.output.len());
        self.base_entry(0, NodeId(0))?;
        self.output.extend([0; 8]);
        for list in &self.plan.lists {
            let position = self.output.len() as u64;
            if let Some(entry) = self.waiting.remove(&list.directory) {
                self.patch(entry + SUBDIR_OFFSET_AT, position);
            }
            let items = self.plan.items.get(list.first..list.first + list.count).unwrap_or_default();
            for &item in items {
                let node = self.plan.node_of(item);
                if self.plan.has_list(node) {
                    self.waiting.insert(node, self.output.len());
                }
                match item {
                    Item::Base(entry) => self.base_entry(entry, node)?,
                    Item::Added(entry) => self.added_entry(entry)?,
                }
            }
            self.output.extend([0; 8]);
            if self.output.len() as u64 > TABLE_LIMIT {
                return Err(self.plan.error(format!("its metadata would exceed {TABLE_LIMIT} bytes")));
            }
        }
        Ok(self.output)
    }

    fn patch(&mut self, at: usize, value: u64) {
        if let Some(field) = self.output.get_mut(at..at + 8) {
            field.copy_from_slice(&value.to_le_bytes());
        }
    }

    /// An entry under its old name.
    fn base_entry(&mut self, entry: u32, node: NodeId) -> Result<(), WimError> {
        let Some(dentry) = self.plan.base.dentry(entry) else {
            return Err(self.plan.error(format!("entry {entry} is lost")));
        };
        if let Some(edit) = self.plan.edit.nodes.get(&node) {
            return self.edited(dentry.name, dentry.short_name, node, edit);
        }
        let link = self.link(node, &dentry)?;
        let start = self.output.len();
        self.output.extend(dentry.bytes);
        self.patch(start + SUBDIR_OFFSET_AT, 0);
        self.patch(start + LINK_AT, link);
        Ok(())
    }

    /// An entry under a new name.
    fn added_entry(&mut self, entry: &DirEntry) -> Result<(), WimError> {
        let name = name::units_to_le(entry.name.units());
        let short_name =
            entry.short_name.as_ref().map_or_else(Vec::new, |short| name::units_to_le(short.units()));
        if let Some(edit) = self.plan.edit.nodes.get(&entry.node) {
            return self.edited(&name, &short_name, entry.node, edit);
        }
        let base = self.plan.base_entry(entry.node).and_then(|number| self.plan.base.dentry(number));
        let Some(dentry) = base else {
            return Err(self.plan.error(format!("{} leads to nothing", entry.name)));
        };
        let mut raw = *dentry.raw;
        raw.link = U64::new(self.link(entry.node, &dentry)?);
        self.append(raw, &name, &short_name, dentry.items, dentry.extra)
    }

    /// What an unedited entry keeps at the place of the link.
    fn link(&mut self, node: NodeId, dentry: &Dentry<'_>) -> Result<u64, WimError> {
        self.check_reparse_point(node, dentry.is_reparse_point())?;
        if dentry.is_directory() || dentry.is_reparse_point() {
            return Ok(dentry.raw.link.get());
        }
        Ok(self.groups.id(self.plan, node, dentry.raw.link.get()))
    }

    /// The reparse header stands where the hard-link group would.
    fn check_reparse_point(&self, node: NodeId, is_one: bool) -> Result<(), WimError> {
        if is_one && self.plan.links(node) > 1 {
            return Err(self.plan.error("a reparse point cannot have several names in a WIM"));
        }
        Ok(())
    }

    /// An entry whose record is new.
    fn edited(
        &mut self,
        name: &[u8],
        short_name: &[u8],
        id: NodeId,
        edit: &NodeEdit,
    ) -> Result<(), WimError> {
        let node = &edit.node;
        let base = self.plan.base_entry(id).and_then(|number| self.plan.base.dentry(number));
        let mut raw = DentryRaw::new_zeroed();
        raw.attributes = U32::new(node.attributes.bits());
        raw.security_id =
            U32::new(self.security.id(node.security.as_ref(), base.map(|base| base.raw.security_id.get())));
        raw.reserved = base.map_or([0; 16], |base| base.raw.reserved);
        raw.creation_time = U64::new(node.creation_time.0);
        raw.access_time = U64::new(node.access_time.0);
        raw.write_time = U64::new(node.write_time.0);
        raw.unknown = U32::new(node.unknown_0x54);
        let reparse_point = node.attributes.contains(FileAttributes::REPARSE_POINT);
        self.check_reparse_point(id, reparse_point)?;
        raw.link = U64::new(if reparse_point {
            let header = node.reparse.unwrap_or_default();
            u64::from(header.tag) | (u64::from(header.reserved) << 32) | (u64::from(header.flags) << 48)
        } else if node.attributes.contains(FileAttributes::DIRECTORY) {
            base.map_or(0, |base| base.raw.link.get())
        } else {
            self.groups.id(self.plan, id, base.map_or(0, |base| base.link_group()))
        });
        let hashes = self.resolved.get(&id).map(Vec::as_slice).unwrap_or_default();
        if hashes.len() != node.streams.len() {
            return Err(self.plan.error(format!("the streams of node {} were not resolved", id.0)));
        }
        let (main, extra, count) = self.streams(node, hashes)?;
        raw.hash = main.0;
        raw.extra_streams = U16::new(count);
        let items = tagged_items(&node.tagged_items);
        self.append(raw, name, short_name, &items, &extra)
    }

    /// Main hash, extra stream entries and their number, by the rules of the format.
    fn streams(&self, node: &Node, hashes: &[BlobHash]) -> Result<(BlobHash, Vec<u8>, u16), WimError> {
        let directory = node.attributes.contains(FileAttributes::DIRECTORY);
        let named = |kind| node.streams.iter().zip(hashes).find(move |(stream, _)| stream.kind == kind);
        if let Some((_, &hash)) = named(StreamKind::Encrypted) {
            return Ok((hash, Vec::new(), 0));
        }
        let mut streams: Vec<(&[u16], BlobHash)> = Vec::new();
        if node.attributes.contains(FileAttributes::REPARSE_POINT) {
            streams.push((&[], named(StreamKind::Reparse).map_or(BlobHash::ZERO, |(_, &hash)| hash)));
        }
        let data = node
            .streams
            .iter()
            .zip(hashes)
            .find(|(stream, _)| stream.kind == StreamKind::Data && stream.name.is_empty());
        if !directory {
            streams.push((&[], data.map_or(BlobHash::ZERO, |(_, &hash)| hash)));
        }
        for (stream, &hash) in node.streams.iter().zip(hashes) {
            if stream.kind == StreamKind::Data && !stream.name.is_empty() {
                streams.push((stream.name.units(), hash));
            }
        }
        match streams.as_slice() {
            [] => return Ok((BlobHash::ZERO, Vec::new(), 0)),
            [([], hash)] => return Ok((*hash, Vec::new(), 0)),
            _ => {}
        }
        let count =
            u16::try_from(streams.len()).map_err(|_| self.plan.error("a file has too many streams"))?;
        let mut extra = Vec::new();
        for (name, hash) in streams {
            let bytes = name::units_to_le(name);
            let used = STREAM_SIZE + if bytes.is_empty() { 0 } else { bytes.len() + 2 };
            let length = align8(used).unwrap_or(used);
            let mut raw = StreamRaw::new_zeroed();
            raw.length = U64::new(length as u64);
            raw.hash = hash.0;
            raw.name_length = U16::new(
                u16::try_from(bytes.len()).map_err(|_| self.plan.error("a stream's name is too long"))?,
            );
            let start = extra.len();
            extra.extend(raw.as_bytes());
            extra.extend(bytes);
            extra.resize(start + length, 0);
        }
        Ok((BlobHash::ZERO, extra, count))
    }

    /// Puts an entry together: fixed part, names, items, extra stream entries.
    fn append(
        &mut self,
        mut raw: DentryRaw,
        name: &[u8],
        short_name: &[u8],
        items: &[u8],
        extra: &[u8],
    ) -> Result<(), WimError> {
        let terminated = |name: &[u8]| if name.is_empty() { 0 } else { name.len() + 2 };
        let names = FIXED_SIZE + terminated(name) + terminated(short_name);
        let items_at = align8(names).unwrap_or(names);
        let length = align8(items_at + items.len()).unwrap_or(items_at);
        let too_long = |_| self.plan.error("a file name is too long");
        raw.name_length = U16::new(u16::try_from(name.len()).map_err(too_long)?);
        raw.short_name_length = U16::new(u16::try_from(short_name.len()).map_err(too_long)?);
        raw.length = U64::new(length as u64);
        raw.subdir_offset = U64::new(0);
        let start = self.output.len();
        self.output.extend(raw.as_bytes());
        for name in [name, short_name].into_iter().filter(|name| !name.is_empty()) {
            self.output.extend(name);
            self.output.extend([0; 2]);
        }
        self.output.resize(start + items_at, 0);
        self.output.extend(items);
        self.output.resize(start + length, 0);
        self.output.extend(extra);
        Ok(())
    }
}

fn tagged_items(items: &[TaggedItem]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for item in items {
        bytes.extend(item.tag.to_le_bytes());
        bytes.extend((item.data.len() as u32).to_le_bytes());
        bytes.extend(&*item.data);
        bytes.resize(align8(bytes.len()).unwrap_or(bytes.len()), 0);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wim::{ImageIndex, Wim};
    use std::path::Path;

    /// The old tree written with no edit.
    fn rewritten(tree: &Tree) -> Vec<u8> {
        let edit = TreeEdit::default();
        Plan::new(tree, &edit, 1).unwrap().write(&ResolvedStreams::new()).unwrap()
    }

    #[test]
    fn wimlib_metadata_without_an_edit_comes_out_byte_for_byte() {
        let root = std::env::var_os("TRANSOM_CORPUS")
            .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"), Into::into);
        let mut checked = 0;
        for folder in ["wim/managedwimlib", "wim/nt", "wim/wimlib-tests"] {
            let Ok(files) = std::fs::read_dir(root.join(folder)) else {
                eprintln!("NOTICE: {} is missing; this test checks nothing", root.join(folder).display());
                return;
            };
            for path in files.map(|file| file.unwrap().path()) {
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                // What is left out on reading cannot come out again; the others cannot be read.
                if ["dotdot.wim", "duplicate_names.wim", "cyclic.wim", "VerifyFail.wim"]
                    .contains(&name.as_str())
                {
                    continue;
                }
                let Ok(wim) = Wim::open(&path) else { continue };
                for number in 1..=wim.image_count() {
                    let image = wim.image(ImageIndex::new(number).unwrap()).unwrap();
                    assert!(rewritten(&image.0.tree) == image.0.tree.bytes(), "{name} image {number}");
                    checked += 1;
                }
            }
        }
        assert!(checked > 15, "{checked}");
    }
}
