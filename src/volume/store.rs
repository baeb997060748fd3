// SPDX-License-Identifier: GPL-3.0-or-later
//! Where new data is staged: one sparse file per node.
//!
//! A data file is a row of slots of [`BLOCK`] bytes. A slot holds one block of one of the node's
//! streams; which one, only the extent maps say ([`super::extent`]). A byte of a slot that the
//! journal, a savepoint or a snapshot may refer to is never written again: an overwritten block
//! goes to a fresh slot. That makes rolling back a matter of the maps alone, lets readers keep
//! what they opened, and keeps every record of the journal true until the next one.
//!
//! Slots that nothing refers to any more are used again once they are many, and the file of a node
//! that is gone is deleted, unless [`Retention::Everything`] asks to keep them.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use quick_cache::sync::Cache;

use super::VolumeError;
use crate::base::{Error, ErrorClass, NodeId, Result};
use crate::io::Scratch;

/// The unit in which changes are staged.
pub(super) const BLOCK: u64 = 32 * 1024;

/// Unused slots of a file that are let be before any is used again.
const SPARE_SLOTS: u32 = 16;
const OPEN_FILES: usize = 128;
const PREFIX: &str = "data-";

/// What happens to staged bytes that the present state does not need any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retention {
    /// Their room is used again.
    #[default]
    Live,
    /// They stay, so that the journal can be cut back to any record and replayed.
    Everything,
}

struct Shared {
    scratch: Scratch,
    retention: Retention,
    handles: Cache<NodeId, Arc<File>>,
    // Only what is in use: a node that is not being read or written takes no memory here.
    open: Mutex<HashMap<NodeId, Weak<DataFile>>>,
    free: Mutex<HashMap<NodeId, FreeSlots>>,
}

#[derive(Default)]
struct FreeSlots {
    // The count of savepoint events at which the slots were found free. A rollback may bring one
    // back to life, so the list lasts until the next event only.
    era: u64,
    slots: Vec<u32>,
}

impl Shared {
    fn path(&self, node: NodeId) -> String {
        self.scratch.path().join(file_name(node)).display().to_string()
    }

    fn handle(&self, node: NodeId) -> Result<Arc<File>> {
        match self.handles.get(&node) {
            Some(file) => Ok(file),
            None => {
                let file = Arc::new(self.scratch.open(&file_name(node))?);
                self.handles.insert(node, Arc::clone(&file));
                Ok(file)
            }
        }
    }

    fn delete(&self, node: NodeId) {
        self.handles.remove(&node);
        // The scratch directory goes with its owner, so a file that stays behind is no loss; nor
        // is one that was never written.
        let _ = std::fs::remove_file(self.scratch.path().join(file_name(node)));
    }
}

fn file_name(node: NodeId) -> String {
    format!("{PREFIX}{:016x}", node.0)
}

/// The data files of an overlay.
pub(super) struct Store(Arc<Shared>);

impl Store {
    pub(super) fn new(scratch: Scratch, retention: Retention) -> Self {
        let handles = Cache::new(OPEN_FILES);
        Self(Arc::new(Shared { scratch, retention, handles, open: Mutex::default(), free: Mutex::default() }))
    }

    /// The data file of a node; nothing is created on disk before it is written.
    pub(super) fn file(&self, node: NodeId) -> Result<Arc<DataFile>> {
        let mut open = lock(&self.0.open);
        if let Some(file) = open.get(&node).and_then(Weak::upgrade) {
            return Ok(file);
        }
        let path = self.0.scratch.path().join(file_name(node));
        // Every slot that was ever written lies within the file, so its length tells what is free.
        let length = match std::fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
            Err(error) => return Err(Error::io(path.display(), &error)),
        };
        let allocated = u32::try_from(length.div_ceil(BLOCK))
            .map_err(|_| VolumeError::TooLarge { path: path.display().to_string(), length })?;
        let file = Arc::new(DataFile {
            shared: Arc::clone(&self.0),
            node,
            allocated: AtomicU32::new(allocated),
            doomed: AtomicBool::new(false),
        });
        open.insert(node, Arc::downgrade(&file));
        Ok(file)
    }

    /// Deletes the data file of a node that is gone, once the last snapshot of it is.
    pub(super) fn discard(&self, node: NodeId) {
        if self.0.retention == Retention::Everything {
            return;
        }
        lock(&self.0.free).remove(&node);
        let open = lock(&self.0.open).get(&node).and_then(Weak::upgrade);
        match open {
            Some(file) => file.doomed.store(true, Ordering::Release),
            None => self.0.delete(node),
        }
    }

    /// Makes the names of new files safe against loss of power.
    pub(super) fn sync_directory(&self) -> Result<()> {
        let directory = self.0.scratch.path();
        File::open(directory)
            .and_then(|opened| opened.sync_all())
            .map_err(|error| Error::io(directory.display(), &error))
    }

    /// Deletes the data files of all but these nodes: what a killed process left behind.
    pub(super) fn sweep(&self, keep: impl Fn(NodeId) -> bool) -> Result<()> {
        if self.0.retention == Retention::Everything {
            return Ok(());
        }
        let directory = self.0.scratch.path();
        let failed = |error: std::io::Error| Error::io(directory.display(), &error);
        for entry in std::fs::read_dir(directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let node = name.to_str().and_then(|name| name.strip_prefix(PREFIX)).and_then(|digits| {
                (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok()).flatten()
            });
            if node.is_some_and(|node| !keep(NodeId(node))) {
                std::fs::remove_file(entry.path()).map_err(failed)?;
            }
        }
        Ok(())
    }
}

/// The staged data of one node.
pub(super) struct DataFile {
    shared: Arc<Shared>,
    node: NodeId,
    allocated: AtomicU32,
    doomed: AtomicBool,
}

impl DataFile {
    /// Reads within one run of slots.
    pub(super) fn read(&self, buffer: &mut [u8], slot: u32, within: u64) -> Result<()> {
        let offset = u64::from(slot) * BLOCK + within;
        let file = self.shared.handle(self.node)?;
        file.read_exact_at(buffer, offset).map_err(|error| {
            if error.kind() == std::io::ErrorKind::UnexpectedEof {
                Error::new(
                    ErrorClass::Corrupt,
                    format!("{}: staged data is missing at offset {offset}", self.shared.path(self.node)),
                )
            } else {
                Error::io(self.shared.path(self.node), &error)
            }
        })
    }

    pub(super) fn write(&self, bytes: &[u8], slot: u32, within: u64) -> Result<()> {
        let offset = u64::from(slot) * BLOCK + within;
        let file = self.shared.handle(self.node)?;
        file.write_all_at(bytes, offset).map_err(|error| Error::io(self.shared.path(self.node), &error))
    }

    /// Makes what was written safe against loss of power.
    pub(super) fn sync(&self) -> Result<()> {
        let file = self.shared.handle(self.node)?;
        file.sync_data().map_err(|error| Error::io(self.shared.path(self.node), &error))
    }

    pub(super) fn node(&self) -> NodeId {
        self.node
    }

    /// How many slots were ever handed out.
    pub(super) fn allocated(&self) -> u32 {
        self.allocated.load(Ordering::Acquire)
    }

    /// Hands out `count` new slots at the end of the file.
    pub(super) fn allocate(&self, count: u32) -> Result<u32> {
        let first = self.allocated();
        let end = first.checked_add(count).ok_or_else(|| VolumeError::TooLarge {
            path: self.shared.path(self.node),
            length: u64::from(first) * BLOCK,
        })?;
        self.allocated.store(end, Ordering::Release);
        Ok(first)
    }

    /// A slot that nothing refers to, when there are so many that one may be used again.
    ///
    /// Only the overlay's one writer calls this, with no savepoint open; `live` are the slots of
    /// the state that the journal's last record describes. An operation gives them for its first
    /// slot only: those it took since are not among them.
    pub(super) fn reuse(
        self: &Arc<Self>,
        era: u64,
        live: Option<impl FnOnce() -> HashSet<u32>>,
    ) -> Option<u32> {
        let allocated = self.allocated();
        if self.shared.retention == Retention::Everything || allocated <= SPARE_SLOTS {
            return None;
        }
        let mut free = lock(&self.shared.free);
        let free = free.entry(self.node).or_default();
        if free.era != era {
            *free = FreeSlots { era, slots: Vec::new() };
        }
        // A second holder is a snapshot. It may refer to any slot but those that were found free
        // before it was taken.
        if free.slots.is_empty() && Arc::strong_count(self) == 1 {
            let live = live?();
            let dead = allocated.saturating_sub(u32::try_from(live.len()).unwrap_or(u32::MAX));
            if dead <= SPARE_SLOTS.max(allocated / 4) {
                return None;
            }
            free.slots = (0..allocated).rev().filter(|slot| !live.contains(slot)).collect();
        }
        free.slots.pop()
    }
}

impl Drop for DataFile {
    fn drop(&mut self) {
        if *self.doomed.get_mut() {
            self.shared.delete(self.node);
        }
        let mut open = lock(&self.shared.open);
        // Another one may have been opened meanwhile.
        if open.get(&self.node).is_some_and(|file| file.strong_count() == 0) {
            open.remove(&self.node);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
