// SPDX-License-Identifier: GPL-3.0-or-later
//! Copy-on-write over any volume: the operations.
//!
//! One writer at a time works out an operation against the present state, stages its data, and
//! then applies its changes and appends them to the journal in one step that readers see wholly or
//! not at all. Readers never wait for data being staged.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::delta::Entry;
use super::extent::{Content, Draft, Extents, Snapshot};
use super::journal::{Applied, Durability, Journal, Record as JournalRecord};
use super::names::{check_stream_name, short_name_fault};
use super::operation::{Existing, Operation, Pins, STRUCTURAL};
use super::state::{Change, Found, State};
use super::store::{DataFile, Retention, Store};
use super::{Name, NewData, Volume, VolumeError};
use crate::base::security::{Descriptor, Ownership};
use crate::base::{
    DirEntry, Error, FileAttributes, FileTime, Node, NodeId, NodeKind, ReparseHeader, Result, StreamKind,
    TaggedItem, WinName, WinPath, name,
};
use crate::io::{Clock, ReadAt, Scratch};

/// Most names that NTFS gives a file.
const MAX_LINKS: usize = 1024;

/// How an overlay works.
#[derive(Clone, Copy, Debug)]
pub struct OverlayOptions {
    /// What an acknowledged operation survives.
    pub durability: Durability,
    /// What happens to staged bytes that nothing needs any more.
    pub retention: Retention,
    /// Who owns new files and directories.
    pub ownership: Ownership,
}

impl Default for OverlayOptions {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            retention: Retention::default(),
            ownership: Ownership::ADMINISTRATORS,
        }
    }
}

/// Copy-on-write over any volume.
///
/// All methods take `&self` (locks are inside), so a mount can share it. Every operation is in the
/// journal when it returns; one that fails has changed nothing.
pub struct Overlay {
    pub(super) base: Arc<dyn Volume>,
    clock: Arc<dyn Clock>,
    pub(super) options: OverlayOptions,
    pub(super) store: Store,
    state: RwLock<State>,
    writer: Mutex<Writer>,
}

struct Writer {
    journal: Journal,
    // Set when it is unknown what the journal holds.
    failed: Option<String>,
    // Ends of rolled-back savepoints that the journal did not take yet.
    owed: Vec<JournalRecord>,
    // Counts the openings and closings of savepoints.
    era: u64,
    pins: HashMap<NodeId, u32>,
}

impl Writer {
    /// Appends a record, after those that are owed.
    fn append(&mut self, record: &JournalRecord) -> Result<()> {
        self.settle()?;
        self.journal.append(record)
    }

    fn settle(&mut self) -> Result<()> {
        while let Some(record) = self.owed.first() {
            self.journal.append(record)?;
            self.owed.remove(0);
        }
        Ok(())
    }
}

/// A state to go back to. Closed by [`Overlay::commit_savepoint`] or [`Overlay::rollback`]; closing
/// an outer one closes the inner ones alike. One that is dropped stays open until an outer one is
/// closed, or until the journal is replayed, which rolls it back.
#[must_use]
#[derive(Debug)]
pub struct Savepoint(u64);

impl Overlay {
    /// A layer that changes nothing yet. `scratch` receives journal and data; it may outlive the
    /// process (mounts).
    ///
    /// # Errors
    /// `Busy` when `scratch` holds a journal already; else when it cannot be written.
    pub fn new(base: Arc<dyn Volume>, scratch: Scratch, clock: Arc<dyn Clock>) -> Result<Self> {
        Self::with_options(base, scratch, clock, OverlayOptions::default())
    }

    /// As [`Overlay::new`], with options.
    ///
    /// # Errors
    /// As [`Overlay::new`].
    pub fn with_options(
        base: Arc<dyn Volume>,
        scratch: Scratch,
        clock: Arc<dyn Clock>,
        options: OverlayOptions,
    ) -> Result<Self> {
        let journal = Journal::create(&scratch, &base.identity())?;
        let overlay = Self::assemble(base, scratch, clock, options, State::new(), journal);
        if options.durability == Durability::Power {
            overlay.sync()?;
            overlay.store.sync_directory()?;
        }
        Ok(overlay)
    }

    /// Rebuilds the state from the journal in `scratch`, stopping at the first bad record and
    /// cutting the journal there. Savepoints that are still open are rolled back.
    ///
    /// # Errors
    /// `NotFound` when there is no journal, `Busy` when it belongs to another tree, `Unsupported`
    /// when it has another version; else when journal or base cannot be read.
    pub fn replay(base: Arc<dyn Volume>, scratch: Scratch, clock: Arc<dyn Clock>) -> Result<Self> {
        Self::replay_with_options(base, scratch, clock, OverlayOptions::default())
    }

    /// As [`Overlay::replay`], with options.
    ///
    /// # Errors
    /// As [`Overlay::replay`].
    pub fn replay_with_options(
        base: Arc<dyn Volume>,
        scratch: Scratch,
        clock: Arc<dyn Clock>,
        options: OverlayOptions,
    ) -> Result<Self> {
        let mut state = State::new();
        let journal = Journal::replay(&scratch, &base.identity(), |record| {
            let applied = match record {
                JournalRecord::Begin(id) => {
                    state.begin_savepoint(*id);
                    Ok(())
                }
                JournalRecord::Commit(id) => state.commit_savepoint(*id).map(drop),
                JournalRecord::Abort(id) => state.rollback_savepoint(*id).map(drop),
                JournalRecord::Changes(changes) => {
                    state.begin_record();
                    match state.apply(&*base, changes) {
                        Ok(()) => {
                            state.commit_frame();
                            Ok(())
                        }
                        Err(error) => {
                            state.rollback_frame();
                            Err(error)
                        }
                    }
                }
            };
            match applied {
                Ok(()) => Ok(Applied::Fits),
                Err(VolumeError::Base(error)) => Err(error),
                Err(_) => Ok(Applied::DoesNotFit),
            }
        })?;
        let overlay = Self::assemble(base, scratch, clock, options, state, journal);
        overlay.settle()?;
        Ok(overlay)
    }

    fn assemble(
        base: Arc<dyn Volume>,
        scratch: Scratch,
        clock: Arc<dyn Clock>,
        options: OverlayOptions,
        state: State,
        journal: Journal,
    ) -> Self {
        let store = Store::new(scratch, options.retention);
        let writer = Writer { journal, failed: None, owed: Vec::new(), era: 0, pins: HashMap::new() };
        Self { base, clock, options, store, state: RwLock::new(state), writer: Mutex::new(writer) }
    }

    /// After a replay: nobody holds a savepoint or an unlinked file any more.
    fn settle(&self) -> Result<()> {
        let open = self.read().outermost_savepoint();
        if let Some(id) = open {
            self.rollback(Savepoint(id))?;
        }
        let mut writer = self.writer()?;
        let kept = self.read().kept_nodes();
        if !kept.is_empty() {
            let changes = kept.into_iter().map(|node| Change::Free { node }).collect();
            self.perform(&mut writer, changes, &[])?;
        }
        let state = self.read();
        self.store.sweep(|node| state.has_record(node))
    }

    /// The tree below.
    pub fn base(&self) -> &Arc<dyn Volume> {
        &self.base
    }

    /// Makes every acknowledged operation safe against loss of power: the data of the given node,
    /// and the journal.
    ///
    /// # Errors
    /// When the system fails to write.
    pub fn sync_node(&self, node: NodeId) -> Result<()> {
        if !self.read().live_slots(node).is_empty() {
            self.store.file(node)?.sync()?;
        }
        self.sync()
    }

    /// Makes the journal safe against loss of power.
    ///
    /// # Errors
    /// When the system fails to write.
    pub fn sync(&self) -> Result<()> {
        let mut writer = self.writer()?;
        writer.settle()?;
        writer.journal.sync()
    }

    // --- Names ---

    /// New file or directory: attributes, times, inherited security descriptor as Windows gives
    /// them.
    ///
    /// # Errors
    /// `Usage` when the name is taken (in whatever case) or not valid.
    pub fn create(&self, directory: NodeId, name: &WinName, kind: NodeKind) -> Result<NodeId> {
        self.operate(|operation| operation.create(directory, name, kind))
    }

    /// Every missing directory of a path; gives the last one.
    ///
    /// # Errors
    /// `Usage` when a component is a file or not a valid name.
    pub fn create_directories(&self, path: &WinPath) -> Result<NodeId> {
        let mut directory = self.base.root();
        for name in path.components() {
            let found = self.lookup(directory, name.units())?;
            directory = match found {
                Some(entry) => entry.node,
                None => match self.create(directory, name, NodeKind::Directory) {
                    Ok(node) => node,
                    // Somebody else may have made it meanwhile.
                    Err(error) => match self.lookup(directory, name.units())? {
                        Some(entry) => entry.node,
                        None => return Err(error),
                    },
                },
            };
        }
        self.operate(|operation| operation.directory(directory).map(|_| ()))?;
        Ok(directory)
    }

    /// Takes a name away from a file, or an empty directory. The last name frees the node.
    ///
    /// # Errors
    /// `NotFound` when there is no such name, `Usage` when the directory is not empty.
    pub fn remove(&self, directory: NodeId, name: &[u16]) -> Result<()> {
        self.operate_with_pins(|operation, pinned| {
            let entry = operation.entry(directory, name)?;
            let record = operation.record(entry.node)?;
            if record.holds_entries() && !operation.entries(entry.node)?.is_empty() {
                return Err(VolumeError::NotEmpty { path: operation.path(entry.node) }.into());
            }
            operation.unlink(directory, &entry, pinned);
            operation.touch_directory(directory);
            Ok(())
        })
    }

    /// Takes a name away with everything below it.
    ///
    /// # Errors
    /// `NotFound` when there is no such name.
    pub fn remove_tree(&self, directory: NodeId, name: &[u16]) -> Result<()> {
        self.operate_with_pins(|operation, pinned| {
            let top = operation.entry(directory, name)?;
            // Parents before children; undone from the end, so that each directory is empty by then.
            let mut order = vec![(directory, top)];
            let mut position = 0;
            while let Some((_, entry)) = order.get(position) {
                let node = entry.node;
                if operation.record(node)?.holds_entries() {
                    order.extend(operation.entries(node)?.into_iter().map(|entry| (node, entry)));
                }
                position += 1;
            }
            for (parent, entry) in order.iter().rev() {
                operation.unlink(*parent, entry, pinned);
            }
            operation.touch_directory(directory);
            Ok(())
        })
    }

    /// Moves or renames; the new name must be free, or differ from the old one in case only.
    ///
    /// # Errors
    /// `Usage` when the new name is taken or not valid, or a directory would end below itself.
    pub fn rename(&self, from: NodeId, name: &[u16], to: NodeId, new_name: &WinName) -> Result<()> {
        self.operate_with_pins(|operation, pinned| {
            operation.rename(from, name, to, new_name, Existing::Refuse, pinned)
        })
    }

    /// Moves or renames over what has the new name: a file over a file, a directory over an empty
    /// directory. Two names of one file stay as they are.
    ///
    /// # Errors
    /// As [`Overlay::rename`], but for the name being taken; `Usage` when what is there is a
    /// directory with entries or of the other kind.
    pub fn rename_over(&self, from: NodeId, name: &[u16], to: NodeId, new_name: &WinName) -> Result<()> {
        self.operate_with_pins(|operation, pinned| {
            operation.rename(from, name, to, new_name, Existing::Replace, pinned)
        })
    }

    /// Gives a file one more name.
    ///
    /// # Errors
    /// `Usage` when the name is taken or not valid or the node is a directory; `Unsupported` for
    /// reparse points, which have one name in a WIM, and beyond 1024 names.
    pub fn link(&self, node: NodeId, directory: NodeId, name: &WinName) -> Result<()> {
        self.operate(|operation| {
            let record = operation.record(node)?;
            if record.kind() == NodeKind::Directory {
                return Err(VolumeError::IsADirectory { path: operation.path(node) }.into());
            }
            if record.attributes.contains(FileAttributes::REPARSE_POINT) {
                let why = "it can have one name only";
                return Err(VolumeError::ReparsePoint { path: operation.path(node), why }.into());
            }
            let links = operation.state.links(&*self.base, node)?.len();
            if links == 0 {
                return Err(VolumeError::NoNode { node }.into());
            }
            if links >= MAX_LINKS {
                let path = operation.path(node);
                return Err(VolumeError::TooManyLinks { path, limit: MAX_LINKS }.into());
            }
            operation.check_free(directory, name)?;
            operation.set_entry(directory, name.units(), Some(Entry { node, short_name: None }));
            operation.touch_directory(directory);
            Ok(())
        })
    }

    /// Sets or removes the short name of an entry.
    ///
    /// # Errors
    /// `Usage` when it is no 8.3 name or taken in the directory.
    pub fn set_short_name(
        &self,
        directory: NodeId,
        name: &[u16],
        short_name: Option<&WinName>,
    ) -> Result<()> {
        self.operate(|operation| {
            let entry = operation.entry(directory, name)?;
            if entry.short_name.as_ref() == short_name {
                return Ok(());
            }
            if let Some(short_name) = short_name {
                let taken = operation.lookup(directory, short_name.units())?;
                let fault = match short_name_fault(short_name.units()) {
                    Some(fault) => Some(fault),
                    None if name::same(short_name.units(), entry.name.units()) => {
                        Some("it is the long name itself")
                    }
                    None if taken.is_some_and(|taken| taken.name != entry.name) => {
                        Some("another entry has it")
                    }
                    None => None,
                };
                if let Some(why) = fault {
                    return Err(VolumeError::InvalidShortName {
                        path: operation.path_in(directory, entry.name.units()),
                        short_name: short_name.to_string(),
                        why,
                    }
                    .into());
                }
            }
            let short_name = short_name.map(|name| Name::from(name.units()));
            operation.set_entry(directory, entry.name.units(), Some(Entry { node: entry.node, short_name }));
            Ok(())
        })
    }

    // --- Data ---

    /// Writes into a stream; all names of the file see it. The stream grows as needed.
    ///
    /// # Errors
    /// `NotFound` when there is no such stream; `Space` when the scratch directory is full.
    pub fn write(
        &self,
        node: NodeId,
        kind: StreamKind,
        stream: &[u16],
        offset: u64,
        bytes: &[u8],
    ) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.change_stream(node, kind, stream, |draft| draft.write(offset, bytes))
    }

    /// Cuts a stream, or lets it grow by zeros.
    ///
    /// # Errors
    /// As [`Overlay::write`].
    pub fn truncate(&self, node: NodeId, kind: StreamKind, stream: &[u16], length: u64) -> Result<()> {
        self.change_stream(node, kind, stream, |draft| draft.set_length(length))
    }

    fn change_stream(
        &self,
        node: NodeId,
        kind: StreamKind,
        stream: &[u16],
        change: impl FnOnce(&mut Draft<'_>) -> Result<()>,
    ) -> Result<()> {
        self.operate(|operation| {
            let record = operation.record(node)?;
            let (position, found) = operation.stream(node, &record, kind, stream)?;
            let (extents, length) = (found.content.extents(), found.length);
            operation.stage(node, position, kind, extents, length, change)?;
            operation.touch_data(node, &record);
            Ok(())
        })
    }

    /// New data for the node: metadata, short name and all names stay (hives). A named stream that
    /// is not there is made.
    ///
    /// # Errors
    /// As [`Overlay::write`].
    pub fn replace(&self, node: NodeId, kind: StreamKind, stream: &[u16], data: NewData) -> Result<()> {
        self.operate(|operation| {
            let record = operation.record(node)?;
            let found = record.find_stream(kind, stream);
            let position = match found {
                Some((position, _)) => position,
                None if kind == StreamKind::Data && !stream.is_empty() => {
                    operation.add_stream(node, &record, stream)?
                }
                None => operation.stream(node, &record, kind, stream)?.0,
            };
            match &data {
                NewData::Patch { .. } => {
                    let (extents, length) = match found {
                        Some((_, found)) => (found.content.extents(), found.length),
                        None => (Extents::default(), 0),
                    };
                    operation.stage_new(node, position, kind, extents, length, &data)?;
                }
                _ => {
                    operation.changes.push(Change::Content { node, position, source: None });
                    operation.stage_new(node, position, kind, Extents::default(), 0, &data)?;
                }
            }
            operation.touch_data(node, &record);
            Ok(())
        })
    }

    /// A new node under this name only; other names keep the old one. Created when absent.
    ///
    /// The new file takes attributes, creation time, security descriptor, name and short name from
    /// the old one; named streams, object id and extended attributes stay with the old one, as they
    /// speak of its content. A patch is a patch of the old content.
    ///
    /// # Errors
    /// `Usage` when the name is that of a directory or not valid.
    pub fn supersede(&self, directory: NodeId, name: &WinName, data: NewData) -> Result<NodeId> {
        self.operate_with_pins(|operation, pinned| operation.supersede(directory, name, &data, pinned))
    }

    // --- Streams and metadata ---

    /// Adds an empty named stream to a file or directory.
    ///
    /// # Errors
    /// `Usage` when the name is taken or not valid.
    pub fn add_stream(&self, node: NodeId, stream: &WinName) -> Result<()> {
        self.operate(|operation| {
            let record = operation.record(node)?;
            if record.find_stream(StreamKind::Data, stream.units()).is_some() {
                let path = format!("{}:{stream}", operation.path(node));
                return Err(VolumeError::Exists { path }.into());
            }
            operation.add_stream(node, &record, stream.units())?;
            operation.touch_data(node, &record);
            Ok(())
        })
    }

    /// Removes a named stream.
    ///
    /// # Errors
    /// `NotFound` when there is none of this name; `Usage` for the unnamed one.
    pub fn remove_stream(&self, node: NodeId, stream: &[u16]) -> Result<()> {
        self.operate(|operation| {
            check_stream_name(stream)?;
            let record = operation.record(node)?;
            let (position, _) = operation.stream(node, &record, StreamKind::Data, stream)?;
            operation.changes.push(Change::RemoveStream { node, position });
            operation.touch_data(node, &record);
            Ok(())
        })
    }

    /// Makes a node a reparse point (`data` without the 8-byte header), or an ordinary one again.
    ///
    /// # Errors
    /// `Usage` when a directory is not empty or the data is too long; `Unsupported` when the file
    /// has several names.
    pub fn set_reparse(&self, node: NodeId, reparse: Option<(ReparseHeader, &[u8])>) -> Result<()> {
        self.operate(|operation| operation.set_reparse(node, reparse))
    }

    /// Sets or removes the object id: 16 to 64 bytes.
    ///
    /// # Errors
    /// `Usage` when the length is wrong.
    pub fn set_object_id(&self, node: NodeId, object_id: Option<&[u8]>) -> Result<()> {
        self.operate(|operation| {
            let record = operation.record(node)?;
            if let Some(object_id) = object_id.filter(|id| !(16..=64).contains(&id.len())) {
                let (path, length) = (operation.path(node), object_id.len());
                return Err(VolumeError::BadLength { path, what: "an object id", length }.into());
            }
            let mut items = record.items.as_deref().cloned().unwrap_or_default();
            let position = items.iter().position(|item| item.tag == TaggedItem::OBJECT_ID);
            items.retain(|item| item.tag != TaggedItem::OBJECT_ID);
            if let Some(object_id) = object_id {
                let item = TaggedItem { tag: TaggedItem::OBJECT_ID, data: object_id.into() };
                items.insert(position.unwrap_or(0).min(items.len()), item);
            }
            operation.changes.push(Change::Items { node, items });
            Ok(())
        })
    }

    /// Replaces all tagged items: object id, extended attributes, and those of unknown meaning.
    ///
    /// # Errors
    /// When the node is not there.
    pub fn set_tagged_items(&self, node: NodeId, items: &[TaggedItem]) -> Result<()> {
        self.operate(|operation| {
            operation.record(node)?;
            operation.changes.push(Change::Items { node, items: items.to_vec() });
            Ok(())
        })
    }

    /// Sets the attributes. What makes a node a directory, a reparse point or encrypted stays as it
    /// is; `NORMAL` beside another attribute is dropped.
    ///
    /// # Errors
    /// When the node is not there.
    pub fn set_attributes(&self, node: NodeId, attributes: FileAttributes) -> Result<()> {
        self.operate(|operation| {
            let old = operation.record(node)?.attributes;
            operation.set_attributes(node, old, (attributes - STRUCTURAL) | (old & STRUCTURAL));
            Ok(())
        })
    }

    /// Sets the times that are given.
    ///
    /// # Errors
    /// When the node is not there.
    pub fn set_times(
        &self,
        node: NodeId,
        creation: Option<FileTime>,
        access: Option<FileTime>,
        write: Option<FileTime>,
    ) -> Result<()> {
        self.operate(|operation| {
            operation.record(node)?;
            if creation.or(access).or(write).is_some() {
                operation.changes.push(Change::Times { node, creation, access, write });
            }
            Ok(())
        })
    }

    /// Sets or removes the security descriptor (self-relative).
    ///
    /// # Errors
    /// `Corrupt` when it is none.
    pub fn set_security(&self, node: NodeId, descriptor: Option<&[u8]>) -> Result<()> {
        self.operate(|operation| {
            operation.record(node)?;
            if let Some(bytes) = descriptor {
                Descriptor::parse(bytes)?;
            }
            let descriptor = descriptor.map(|bytes| operation.descriptor(bytes));
            operation.changes.push(Change::Security { node, descriptor });
            Ok(())
        })
    }

    // --- Open files without a name ---

    /// Keeps a node alive when its last name is taken away, as long as it is pinned: the file is
    /// open somewhere. Counted.
    ///
    /// # Errors
    /// When the node is not there.
    pub fn pin(&self, node: NodeId) -> Result<()> {
        let mut writer = self.writer()?;
        match self.read().find(node) {
            Found::Changed(_) => {}
            Found::Base => {
                self.base.node(node)?;
            }
            Found::Nowhere => return Err(VolumeError::NoNode { node }.into()),
        }
        *writer.pins.entry(node).or_default() += 1;
        Ok(())
    }

    /// Takes one pin back; the last one frees a node that has no name any more.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn unpin(&self, node: NodeId) -> Result<()> {
        let mut writer = self.writer()?;
        let Some(count) = writer.pins.get_mut(&node) else { return Ok(()) };
        *count -= 1;
        if *count > 0 {
            return Ok(());
        }
        writer.pins.remove(&node);
        let kept = self.read().is_kept(node);
        if kept { self.perform(&mut writer, vec![Change::Free { node }], &[]) } else { Ok(()) }
    }

    // --- Savepoints ---

    /// Marks the present state to go back to. Savepoints nest.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn savepoint(&self) -> Result<Savepoint> {
        let mut writer = self.writer()?;
        let id = self.read().next_savepoint();
        writer.append(&JournalRecord::Begin(id))?;
        writer.era += 1;
        self.modify().begin_savepoint(id);
        self.flush(&mut writer)?;
        Ok(Savepoint(id))
    }

    /// Keeps what was done since the savepoint.
    ///
    /// # Errors
    /// When the savepoint is closed already, or the journal cannot be written; in the latter case
    /// everything done since stays to be seen, but a replay undoes it.
    pub fn commit_savepoint(&self, savepoint: Savepoint) -> Result<()> {
        let mut writer = self.writer()?;
        self.read().check_savepoint(savepoint.0)?;
        writer.append(&JournalRecord::Commit(savepoint.0))?;
        writer.era += 1;
        let settled = self.modify().commit_savepoint(savepoint.0)?;
        self.discard(&settled);
        self.flush(&mut writer)
    }

    /// Undoes what was done since the savepoint, file data included. This works on a full disk,
    /// too: a journal that ends inside the savepoint says the same, and the record of its end is
    /// written before any other.
    ///
    /// # Errors
    /// When the savepoint is closed already.
    pub fn rollback(&self, savepoint: Savepoint) -> Result<()> {
        let mut writer = self.writer()?;
        let settled = {
            let mut state = self.modify();
            state.rollback_savepoint(savepoint.0)?
        };
        writer.era += 1;
        writer.owed.push(JournalRecord::Abort(savepoint.0));
        self.discard(&settled);
        // Failing is no harm, as said above.
        match writer.settle() {
            Ok(()) => self.flush(&mut writer),
            Err(_) => Ok(()),
        }
    }

    // --- Inside ---

    pub(super) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn modify(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn writer(&self) -> Result<MutexGuard<'_, Writer>> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        match &writer.failed {
            Some(cause) => Err(VolumeError::Failed { cause: cause.clone() }.into()),
            None => Ok(writer),
        }
    }

    /// Lets nobody change anything as long as the guard lives.
    pub(super) fn freeze(&self) -> Result<Frozen<'_>> {
        self.writer().map(Frozen)
    }

    fn operate<R>(&self, plan: impl FnOnce(&mut Operation<'_>) -> Result<R>) -> Result<R> {
        self.operate_with_pins(|operation, _| plan(operation))
    }

    fn operate_with_pins<R>(
        &self,
        plan: impl FnOnce(&mut Operation<'_>, &Pins<'_>) -> Result<R>,
    ) -> Result<R> {
        let mut writer = self.writer()?;
        let (result, changes, files) = {
            // Only the holder of the writer's lock changes the state, so this lock may be held
            // while data is staged: readers share it and nobody else wants it.
            let state = self.read();
            let mut operation = Operation::new(self, &state, writer.era, self.clock.now());
            let result = plan(&mut operation, &Pins(&writer.pins))?;
            (result, operation.changes, operation.files)
        };
        if !changes.is_empty() {
            self.perform(&mut writer, changes, &files)?;
        }
        Ok(result)
    }

    /// Applies changes and journals them, both or neither.
    fn perform(&self, writer: &mut Writer, changes: Vec<Change>, files: &[Arc<DataFile>]) -> Result<()> {
        if self.options.durability == Durability::Power && !files.is_empty() {
            files.iter().try_for_each(|file| file.sync())?;
            self.store.sync_directory()?;
        }
        let record = JournalRecord::Changes(changes);
        let JournalRecord::Changes(changes) = &record else { return Ok(()) };
        let mut state = self.modify();
        state.begin_record();
        let done = state.apply(&*self.base, changes).map_err(Error::from);
        if let Err(error) = done.and_then(|()| writer.append(&record)) {
            state.rollback_frame();
            return Err(error);
        }
        let settled = state.commit_frame();
        drop(state);
        self.discard(&settled);
        self.flush(writer)
    }

    /// Under [`Durability::Power`], makes the journal safe before its record is acknowledged.
    fn flush(&self, writer: &mut Writer) -> Result<()> {
        if self.options.durability == Durability::Process {
            return Ok(());
        }
        writer.journal.sync().inspect_err(|error| {
            // After a failed flush nobody knows what is on the disk.
            writer.failed = Some(error.to_string());
        })
    }

    /// Deletes the staged data of those nodes that are gone for good.
    fn discard(&self, settled: &[NodeId]) {
        let state = self.read();
        for node in settled.iter().filter(|node| !state.has_record(**node)) {
            self.store.discard(*node);
        }
    }

    /// A stream of a changed node as it is now; the state stays locked meanwhile.
    pub(super) fn snapshot(
        &self,
        id: NodeId,
        extents: &Arc<Extents>,
        length: u64,
    ) -> Result<Arc<dyn ReadAt>> {
        let file = (!extents.runs.as_slice().is_empty()).then(|| self.store.file(id)).transpose()?;
        Ok(Arc::new(Snapshot::new(Arc::clone(extents), length, file, &*self.base)?))
    }
}

impl Volume for Overlay {
    fn root(&self) -> NodeId {
        self.base.root()
    }

    fn node(&self, id: NodeId) -> Result<Node> {
        match self.read().find(id) {
            Found::Changed(record) => return Ok(record.to_node()),
            Found::Nowhere => return Err(VolumeError::NoNode { node: id }.into()),
            Found::Base => {}
        }
        self.base.node(id)
    }

    fn entries(&self, directory: NodeId) -> Result<Vec<DirEntry>> {
        let state = self.read();
        match state.find(directory) {
            Found::Changed(record) if !record.holds_entries() => Ok(Vec::new()),
            Found::Nowhere => Err(VolumeError::NoNode { node: directory }.into()),
            _ => Ok(state.entries(&*self.base, directory)?),
        }
    }

    fn lookup(&self, directory: NodeId, name: &[u16]) -> Result<Option<DirEntry>> {
        let state = self.read();
        match state.find(directory) {
            Found::Changed(record) if !record.holds_entries() => Ok(None),
            Found::Nowhere => Err(VolumeError::NoNode { node: directory }.into()),
            _ => Ok(state.lookup(&*self.base, directory, name)?),
        }
    }

    fn links(&self, id: NodeId) -> Result<Vec<(NodeId, DirEntry)>> {
        let state = self.read();
        if matches!(state.find(id), Found::Nowhere) {
            return Err(VolumeError::NoNode { node: id }.into());
        }
        Ok(state.links(&*self.base, id)?)
    }

    fn open(&self, id: NodeId, kind: StreamKind, stream: &[u16]) -> Result<Arc<dyn ReadAt>> {
        let state = self.read();
        let record = match state.find(id) {
            Found::Changed(record) => record,
            Found::Base => {
                drop(state);
                return self.base.open(id, kind, stream);
            }
            Found::Nowhere => return Err(VolumeError::NoNode { node: id }.into()),
        };
        let Some((_, found)) = record.find_stream(kind, stream) else {
            let path = format!("the file {:#x}", id.0);
            return Err(VolumeError::NoStream { path, stream: name::display(stream) }.into());
        };
        match &found.content {
            Content::Base(source) => source.open(&*self.base),
            Content::Staged(extents) => self.snapshot(id, extents, found.length),
        }
    }

    fn identity(&self) -> Vec<u8> {
        self.base.identity()
    }
}

/// No change happens while this lives.
pub(super) struct Frozen<'a>(#[expect(dead_code, reason = "held, not read")] MutexGuard<'a, Writer>);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::FixedClock;
    use crate::volume::memory::MemoryVolume;

    fn replayed(directory: &tempfile::TempDir) -> Overlay {
        let clock = Arc::new(FixedClock(FileTime(1)));
        Overlay::replay(Arc::new(MemoryVolume::new()), Scratch::at(directory.path()), clock).unwrap()
    }

    fn names(overlay: &Overlay) -> Vec<String> {
        overlay.entries(overlay.root()).unwrap().iter().map(|entry| entry.name.to_string()).collect()
    }

    #[test]
    fn a_journal_that_takes_nothing_undoes_operations_and_lets_roll_back() {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(FixedClock(FileTime(1)));
        let scratch = Scratch::at(directory.path());
        let overlay = Overlay::new(Arc::new(MemoryVolume::new()), scratch, clock).unwrap();
        let create = |name: &str| overlay.create(overlay.root(), &name.into(), NodeKind::Directory);
        create("before").unwrap();
        let savepoint = overlay.savepoint().unwrap();
        let inside = create("inside").unwrap();
        overlay.writer().unwrap().journal.set_writable(false);
        assert!(create("refused").is_err());
        // The descriptor that came with it is not counted either.
        assert!(overlay.set_security(inside, None).is_err());
        assert_eq!(names(&overlay), ["before", "inside"]);
        overlay.rollback(savepoint).unwrap();
        assert_eq!(names(&overlay), ["before"]);
        assert!(create("refused").is_err());
        assert_eq!(names(&overlay), ["before"]);

        let copy = tempfile::tempdir().unwrap();
        std::fs::copy(directory.path().join("journal"), copy.path().join("journal")).unwrap();
        assert_eq!(names(&replayed(&copy)), ["before"]);

        overlay.writer().unwrap().journal.set_writable(true);
        create("after").unwrap();
        assert_eq!(names(&overlay), ["after", "before"]);
        drop(overlay);
        assert_eq!(names(&replayed(&directory)), ["after", "before"]);
    }
}
