// SPDX-License-Identifier: GPL-3.0-or-later
//! One operation being worked out: what it needs is checked against the present state, new data is
//! staged, and what is to happen collects as changes for the journal.

use std::collections::HashMap;
use std::sync::Arc;

use super::delta::Entry;
use super::extent::{Content, Draft, Extents, Slots};
use super::names::{check_name, check_stream_name, no_name, short_name_fits};
use super::overlay::Overlay;
use super::record::{Record, StreamState, Times};
use super::state::{Change, State};
use super::store::DataFile;
use super::{Name, NewData, VolumeError};
use crate::base::security::inherit;
use crate::base::{
    DirEntry, FileAttributes, FileTime, NodeId, NodeKind, ReparseHeader, Result, StreamKind, WinName,
    WinPath, name,
};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    Refuse,
    Replace,
}

/// Most reparse data: 16 KiB with its header of 8 bytes.
const MAX_REPARSE_DATA: usize = 16 * 1024 - 8;
/// Attributes that say what a node is, and are not set at will.
pub(super) const STRUCTURAL: FileAttributes =
    FileAttributes::DIRECTORY.union(FileAttributes::REPARSE_POINT).union(FileAttributes::ENCRYPTED);

/// Which nodes are open somewhere.
pub(super) struct Pins<'a>(pub(super) &'a HashMap<NodeId, u32>);

/// One operation being worked out: checks read the state as it was before, and what is to happen
/// collects in `changes`.
pub(super) struct Operation<'a> {
    overlay: &'a Overlay,
    pub(super) state: &'a State,
    era: u64,
    now: FileTime,
    pub(super) changes: Vec<Change>,
    /// What was written to, for flushing.
    pub(super) files: Vec<Arc<DataFile>>,
    created: u64,
    // Descriptors that this operation introduces.
    descriptors: Vec<Box<[u8]>>,
}

struct Reuse<'a> {
    state: &'a State,
    era: u64,
}

impl Slots for Reuse<'_> {
    fn reuse(&self, file: &Arc<DataFile>, is_first: bool) -> Option<u32> {
        if self.state.is_savepoint_open() {
            return None;
        }
        file.reuse(self.era, is_first.then_some(|| self.state.live_slots(file.node())))
    }
}

impl<'a> Operation<'a> {
    pub(super) fn new(overlay: &'a Overlay, state: &'a State, era: u64, now: FileTime) -> Self {
        let (changes, files, descriptors) = (Vec::new(), Vec::new(), Vec::new());
        Self { overlay, state, era, now, changes, files, created: 0, descriptors }
    }

    pub(super) fn record(&self, node: NodeId) -> Result<Record> {
        Ok(self.state.record(&*self.overlay.base, node)?)
    }

    /// The record of a directory that can hold entries.
    pub(super) fn directory(&self, node: NodeId) -> Result<Record> {
        let record = self.record(node)?;
        if !record.holds_entries() {
            return Err(VolumeError::NotADirectory { path: self.path(node) }.into());
        }
        Ok(record)
    }

    pub(super) fn lookup(&self, directory: NodeId, name: &[u16]) -> Result<Option<DirEntry>> {
        Ok(self.state.lookup(&*self.overlay.base, directory, name)?)
    }

    pub(super) fn entries(&self, directory: NodeId) -> Result<Vec<DirEntry>> {
        Ok(self.state.entries(&*self.overlay.base, directory)?)
    }

    /// The entry of a name, which must be there.
    pub(super) fn entry(&self, directory: NodeId, name: &[u16]) -> Result<DirEntry> {
        self.directory(directory)?;
        match self.lookup(directory, name)? {
            Some(entry) => Ok(entry),
            None => Err(VolumeError::NotFound { path: self.path_in(directory, name) }.into()),
        }
    }

    /// Checks that a name is valid and free in a directory.
    pub(super) fn check_free(&self, directory: NodeId, name: &WinName) -> Result<Record> {
        let record = self.directory(directory)?;
        check_name(name.units())?;
        if self.lookup(directory, name.units())?.is_some() {
            return Err(VolumeError::Exists { path: self.path_in(directory, name.units()) }.into());
        }
        Ok(record)
    }

    /// The path of a node, for messages.
    pub(super) fn path(&self, node: NodeId) -> String {
        let mut names = Vec::new();
        let mut at = node;
        while at != self.overlay.base.root() && names.len() < 128 {
            match self.state.links(&*self.overlay.base, at).unwrap_or_default().into_iter().next() {
                Some((directory, entry)) => {
                    names.push(entry.name);
                    at = directory;
                }
                None => return format!("the file {:#x}", node.0),
            }
        }
        names.into_iter().rev().collect::<WinPath>().to_string()
    }

    pub(super) fn path_in(&self, directory: NodeId, name: &[u16]) -> String {
        if directory == self.overlay.base.root() {
            return name::display(name);
        }
        format!("{}\\{}", self.path(directory), name::display(name))
    }

    pub(super) fn set_entry(&mut self, directory: NodeId, name: &[u16], entry: Option<Entry>) {
        self.changes.push(Change::Entry { directory, name: Name::from(name), entry });
    }

    /// Takes a name away; a node that is open somewhere outlives its last one.
    pub(super) fn unlink(&mut self, directory: NodeId, entry: &DirEntry, pinned: &Pins<'_>) {
        if pinned.0.contains_key(&entry.node) && !self.state.is_kept(entry.node) {
            self.changes.push(Change::Keep { node: entry.node });
        }
        self.set_entry(directory, entry.name.units(), None);
    }

    /// A directory whose entries change gets a new write time, as on NTFS.
    pub(super) fn touch_directory(&mut self, directory: NodeId) {
        self.changes.push(Change::Touch { directory, write: self.now });
    }

    /// A node whose data changes gets a new write time, a file the archive bit too.
    pub(super) fn touch_data(&mut self, node: NodeId, record: &Record) {
        if record.kind() == NodeKind::File {
            self.set_attributes(node, record.attributes, record.attributes | FileAttributes::ARCHIVE);
        }
        self.changes.push(Change::Times { node, creation: None, access: None, write: Some(self.now) });
    }

    pub(super) fn set_attributes(&mut self, node: NodeId, old: FileAttributes, new: FileAttributes) {
        let attributes = if new == FileAttributes::NORMAL { new } else { new - FileAttributes::NORMAL };
        if attributes != old {
            self.changes.push(Change::Attributes { node, attributes });
        }
    }

    /// The number of a descriptor, introducing it when it is new.
    pub(super) fn descriptor(&mut self, bytes: &[u8]) -> u32 {
        let (known, next) = self.state.descriptor_number(bytes);
        if let Some(number) = known {
            return number;
        }
        let here = self.descriptors.iter().position(|descriptor| **descriptor == *bytes);
        let position = here.unwrap_or_else(|| {
            self.descriptors.push(bytes.into());
            self.changes.push(Change::Descriptor(bytes.into()));
            self.descriptors.len() - 1
        });
        next + position as u32
    }

    pub(super) fn new_node(
        &mut self,
        attributes: FileAttributes,
        times: Times,
        security: Option<&[u8]>,
    ) -> NodeId {
        let descriptor = security.map(|bytes| self.descriptor(bytes));
        let node = self.state.next_node(self.created);
        self.created += 1;
        self.changes.push(Change::Create { node, attributes, times, descriptor });
        node
    }

    pub(super) fn create(&mut self, directory: NodeId, name: &WinName, kind: NodeKind) -> Result<NodeId> {
        let parent = self.check_free(directory, name)?;
        let security = inherit(parent.security.as_deref(), kind, &self.overlay.options.ownership)?;
        // Below a compressed directory everything new is compressed.
        let attributes = parent.attributes & FileAttributes::COMPRESSED
            | match kind {
                NodeKind::Directory => FileAttributes::DIRECTORY,
                NodeKind::File => FileAttributes::ARCHIVE,
            };
        let times = Times { creation: self.now, access: self.now, write: self.now };
        let node = self.new_node(attributes, times, Some(&security));
        self.set_entry(directory, name.units(), Some(Entry { node, short_name: None }));
        self.touch_directory(directory);
        Ok(node)
    }

    pub(super) fn rename(
        &mut self,
        from: NodeId,
        name: &[u16],
        to: NodeId,
        new_name: &WinName,
        existing: Existing,
        pinned: &Pins<'_>,
    ) -> Result<()> {
        let entry = self.entry(from, name)?;
        self.directory(to)?;
        check_name(new_name.units())?;
        let record = self.record(entry.node)?;
        let target = self.lookup(to, new_name.units())?;
        let is_same_entry = |target: &DirEntry| from == to && target.name == entry.name;
        if let Some(target) = target.filter(|target| !is_same_entry(target)) {
            if existing == Existing::Refuse {
                return Err(VolumeError::Exists { path: self.path_in(to, new_name.units()) }.into());
            }
            if target.node == entry.node {
                return Ok(());
            }
            self.check_replaceable(&record, &target)?;
            self.unlink(to, &target, pinned);
        } else if from == to && entry.name == *new_name {
            return Ok(());
        }
        if record.kind() == NodeKind::Directory {
            self.check_not_below(entry.node, to)?;
        }
        let short_name = match &entry.short_name {
            // Another spelling of the same name.
            Some(short_name) if name::same(entry.name.units(), new_name.units()) => Some(short_name),
            Some(short_name) if short_name_fits(new_name.units(), short_name.units()) => Some(short_name),
            _ => None,
        };
        let short_name = match short_name {
            Some(short_name) => self
                .lookup(to, short_name.units())?
                .is_none_or(|taken| is_same_entry(&taken))
                .then(|| Name::from(short_name.units())),
            None => None,
        };
        self.set_entry(from, entry.name.units(), None);
        self.set_entry(to, new_name.units(), Some(Entry { node: entry.node, short_name }));
        self.touch_directory(from);
        if to != from {
            self.touch_directory(to);
        }
        Ok(())
    }

    pub(super) fn check_replaceable(&self, record: &Record, target: &DirEntry) -> Result<()> {
        let old = self.record(target.node)?;
        let path = || self.path(target.node);
        match (record.kind(), old.kind()) {
            (NodeKind::File, NodeKind::Directory) => Err(VolumeError::IsADirectory { path: path() }.into()),
            (NodeKind::Directory, NodeKind::File) => Err(VolumeError::NotADirectory { path: path() }.into()),
            _ if old.holds_entries() && !self.entries(target.node)?.is_empty() => {
                Err(VolumeError::NotEmpty { path: path() }.into())
            }
            _ => Ok(()),
        }
    }

    /// Checks that `directory` is neither `node` nor below it.
    pub(super) fn check_not_below(&self, node: NodeId, directory: NodeId) -> Result<()> {
        let mut at = directory;
        loop {
            if at == node {
                return Err(VolumeError::IntoItself { path: self.path(node) }.into());
            }
            match self.state.links(&*self.overlay.base, at)?.into_iter().next() {
                Some((parent, _)) => at = parent,
                None => return Ok(()),
            }
        }
    }

    pub(super) fn stream<'r>(
        &self,
        node: NodeId,
        record: &'r Record,
        kind: StreamKind,
        stream: &[u16],
    ) -> Result<(u16, &'r StreamState)> {
        match record.find_stream(kind, stream) {
            Some(found) => Ok(found),
            None if record.kind() == NodeKind::Directory && stream.is_empty() => {
                Err(VolumeError::IsADirectory { path: self.path(node) }.into())
            }
            None => {
                Err(VolumeError::NoStream { path: self.path(node), stream: name::display(stream) }.into())
            }
        }
    }

    pub(super) fn add_stream(&mut self, node: NodeId, record: &Record, stream: &[u16]) -> Result<u16> {
        check_stream_name(stream)?;
        let position = u16::try_from(record.streams.len())
            .map_err(|_| VolumeError::TooLarge { path: self.path(node), length: u64::from(u16::MAX) })?;
        let name = Name::from(stream);
        self.changes.push(Change::AddStream { node, position, kind: StreamKind::Data, name });
        Ok(position)
    }

    /// Stages data of one stream on top of `extents`.
    pub(super) fn stage(
        &mut self,
        node: NodeId,
        position: u16,
        kind: StreamKind,
        extents: Extents,
        length: u64,
        change: impl FnOnce(&mut Draft<'_>) -> Result<()>,
    ) -> Result<()> {
        let slots = Reuse { state: self.state, era: self.era };
        let file = self.overlay.store.file(node)?;
        let mut draft = Draft::new(file, &slots, &*self.overlay.base, extents, length);
        change(&mut draft)?;
        if kind == StreamKind::Reparse && draft.length() > MAX_REPARSE_DATA as u64 {
            return Err(VolumeError::TooLarge { path: self.path(node), length: draft.length() }.into());
        }
        let (change, file) = draft.finish();
        if !change.is_nothing(length) {
            self.changes.push(Change::Data { node, position, change });
            self.files.push(file);
        }
        Ok(())
    }

    fn check_patch(&self, node: NodeId, data: &NewData) -> Result<()> {
        let NewData::Patch { length: end, ranges } = data else { return Ok(()) };
        for (offset, bytes) in ranges {
            let length = bytes.len() as u64;
            if offset.checked_add(length).is_none_or(|reach| reach > *end) {
                let (path, offset, end) = (self.path(node), *offset, *end);
                return Err(VolumeError::PatchOutside { path, offset, length, end }.into());
            }
        }
        Ok(())
    }

    pub(super) fn stage_new(
        &mut self,
        node: NodeId,
        position: u16,
        kind: StreamKind,
        extents: Extents,
        length: u64,
        data: &NewData,
    ) -> Result<()> {
        self.check_patch(node, data)?;
        self.stage(node, position, kind, extents, length, |draft| apply_data(draft, data))
    }

    pub(super) fn supersede(
        &mut self,
        directory: NodeId,
        name: &WinName,
        data: &NewData,
        pinned: &Pins<'_>,
    ) -> Result<NodeId> {
        self.directory(directory)?;
        let Some(entry) = self.lookup(directory, name.units())? else {
            let node = self.create(directory, name, NodeKind::File)?;
            self.stage_new(node, 0, StreamKind::Data, Extents::default(), 0, data)?;
            return Ok(node);
        };
        let old = self.record(entry.node)?;
        if old.kind() == NodeKind::Directory {
            return Err(VolumeError::IsADirectory { path: self.path(entry.node) }.into());
        }
        let dropped = STRUCTURAL | FileAttributes::SPARSE_FILE | FileAttributes::NORMAL;
        let attributes = (old.attributes - dropped) | FileAttributes::ARCHIVE;
        let times = Times { creation: old.times.creation, access: self.now, write: self.now };
        let node = self.new_node(attributes, times, old.security.as_deref());
        if let NewData::Patch { .. } = data {
            let (_, found) = self.stream(entry.node, &old, StreamKind::Data, &[])?;
            self.stage_patch(node, entry.node, found, data)?;
        } else {
            self.stage_new(node, 0, StreamKind::Data, Extents::default(), 0, data)?;
        }
        self.unlink(directory, &entry, pinned);
        let entry_of_new = Entry { node, ..Entry::of(&entry) };
        self.set_entry(directory, entry.name.units(), Some(entry_of_new));
        self.touch_directory(directory);
        Ok(node)
    }

    /// Begins a new node's data as another node's, then patches it.
    pub(super) fn stage_patch(
        &mut self,
        node: NodeId,
        old: NodeId,
        found: &StreamState,
        data: &NewData,
    ) -> Result<()> {
        let staged = match &found.content {
            Content::Base(_) => None,
            Content::Staged(extents) => Some(extents),
        };
        let source = match (&found.content, staged) {
            (Content::Base(source), _) => Some(Arc::clone(source)),
            (_, Some(extents)) => extents.source.clone(),
            _ => None,
        };
        let length = source.as_ref().map_or(0, |source| source.length);
        let content = match source {
            Some(source) => {
                let content = Change::Content { node, position: 0, source: Some((*source).clone()) };
                self.changes.push(content);
                Content::Base(source)
            }
            None => Content::empty(),
        };
        self.check_patch(old, data)?;
        let old_file = staged.map(|_| self.overlay.store.file(old)).transpose()?;
        self.stage(node, 0, StreamKind::Data, content.extents(), length, |draft| {
            if let Some((extents, file)) = staged.zip(old_file.as_deref()) {
                draft.copy_staged(extents, file, found.length)?;
            }
            apply_data(draft, data)
        })
    }

    pub(super) fn set_reparse(
        &mut self,
        node: NodeId,
        reparse: Option<(ReparseHeader, &[u8])>,
    ) -> Result<()> {
        let record = self.record(node)?;
        let stream = record.find_stream(StreamKind::Reparse, &[]).map(|(position, _)| position);
        let Some((header, data)) = reparse else {
            if let Some(position) = stream {
                self.changes.push(Change::RemoveStream { node, position });
            }
            let plain = record.kind() == NodeKind::File
                && !record.streams.iter().any(|stream| {
                    stream.name.is_empty() && matches!(stream.kind, StreamKind::Data | StreamKind::Encrypted)
                });
            if plain {
                let (position, kind) = (0, StreamKind::Data);
                self.changes.push(Change::AddStream { node, position, kind, name: no_name() });
            }
            self.changes.push(Change::Reparse { node, header: None });
            let attributes = record.attributes - FileAttributes::REPARSE_POINT;
            self.set_attributes(node, record.attributes, attributes);
            return Ok(());
        };
        if data.len() > MAX_REPARSE_DATA {
            let path = self.path(node);
            return Err(VolumeError::BadLength { path, what: "reparse data", length: data.len() }.into());
        }
        if record.holds_entries() && !self.entries(node)?.is_empty() {
            return Err(VolumeError::NotEmpty { path: self.path(node) }.into());
        }
        if node == self.overlay.base.root() {
            return Err(VolumeError::Root.into());
        }
        if self.state.links(&*self.overlay.base, node)?.len() > 1 {
            let why = "a file with several names cannot become one";
            return Err(VolumeError::ReparsePoint { path: self.path(node), why }.into());
        }
        match stream {
            Some(position) => self.changes.push(Change::Content { node, position, source: None }),
            None => {
                let kind = StreamKind::Reparse;
                self.changes.push(Change::AddStream { node, position: 0, kind, name: no_name() });
            }
        }
        self.stage(node, stream.unwrap_or(0), StreamKind::Reparse, Extents::default(), 0, |draft| {
            draft.write(0, data)
        })?;
        self.changes.push(Change::Reparse { node, header: Some(header) });
        let attributes = record.attributes | FileAttributes::REPARSE_POINT;
        self.set_attributes(node, record.attributes, attributes);
        Ok(())
    }
}

fn apply_data(draft: &mut Draft<'_>, data: &NewData) -> Result<()> {
    match data {
        NewData::Bytes(bytes) => draft.write(0, bytes),
        NewData::Reader(source) => draft.copy(&**source),
        NewData::Patch { length, ranges } => {
            draft.set_length(*length)?;
            ranges.iter().try_for_each(|(offset, bytes)| draft.write(*offset, bytes))
        }
    }
}
