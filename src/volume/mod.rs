// SPDX-License-Identifier: GPL-3.0-or-later
//! The tree with Windows semantics: what can be read ([`Volume`]), and a copy-on-write layer over
//! it ([`Overlay`]) that every change goes to.
//!
//! A tree is nodes and entries. A [`NodeId`] names a node for as long as the volume lives; an entry
//! is a name in a directory, and several entries may lead to one file (hard links). Names are
//! looked up as Windows does: the exact spelling first, then any spelling, then the 8.3 name.
//!
//! The overlay journals what it is told ([`journal`]) and stages new data in sparse files
//! ([`store`], [`extent`]); its tables are in [`state`].

#![cfg_attr(
    not(test),
    warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod delta;
mod diff;
pub mod directory;
mod edit;
mod error;
mod extent;
mod journal;
pub mod memory;
mod names;
mod operation;
mod overlay;
mod record;
mod state;
mod store;
mod wim;

use std::sync::Arc;

use crate::base::{DirEntry, Error, ErrorClass, Node, NodeId, Result, StreamKind, WinPath};
use crate::io::{ReadAt, read_vec};

pub use diff::FileChange;
pub use directory::DirectoryVolume;
pub use error::VolumeError;
pub use journal::Durability;
pub use overlay::{Overlay, OverlayOptions, Savepoint};
pub use store::Retention;
pub use wim::WimVolume;

/// A name inside the room: shared by the tables that mention it.
type Name = Arc<[u16]>;

/// A tree that can be read, by several threads at once.
pub trait Volume: Send + Sync {
    /// The root directory.
    fn root(&self) -> NodeId;

    /// Everything about a node but its names.
    ///
    /// # Errors
    /// `NotFound` for an id that names nothing; `Corrupt` when its record cannot be read.
    fn node(&self, id: NodeId) -> Result<Node>;

    /// The entries of a directory, in Windows' order; none for a file or a junction.
    ///
    /// # Errors
    /// As [`Volume::node`].
    fn entries(&self, directory: NodeId) -> Result<Vec<DirEntry>>;

    /// The entry that a name means: exact match first, then Windows' case folding, then the short
    /// name.
    ///
    /// # Errors
    /// As [`Volume::node`].
    fn lookup(&self, directory: NodeId, name: &[u16]) -> Result<Option<DirEntry>>;

    /// Every directory entry that leads to the node, with the directory it stands in; none for the
    /// root.
    ///
    /// # Errors
    /// As [`Volume::node`].
    fn links(&self, id: NodeId) -> Result<Vec<(NodeId, DirEntry)>>;

    /// The bytes of a stream as they are now.
    ///
    /// # Errors
    /// `NotFound` when the node or the stream is not there.
    fn open(&self, id: NodeId, kind: StreamKind, name: &[u16]) -> Result<Arc<dyn ReadAt>>;

    /// What tells this tree from any other and from itself before a change; a journal made over a
    /// tree is replayed only over one that says the same.
    fn identity(&self) -> Vec<u8> {
        Vec::new()
    }
}

/// Follows a path from the root; nothing when a component is missing.
///
/// # Errors
/// When the volume cannot be read.
pub fn resolve(volume: &dyn Volume, path: &WinPath) -> Result<Option<NodeId>> {
    let mut node = volume.root();
    for name in path.components() {
        if !volume.node(node)?.has_entries() {
            return Ok(None);
        }
        match volume.lookup(node, name.units())? {
            Some(entry) => node = entry.node,
            None => return Ok(None),
        }
    }
    Ok(Some(node))
}

/// The unnamed data of the file at a path; nothing when there is no such file.
///
/// # Errors
/// When the volume cannot be read, or the file does not fit into memory.
pub fn read_file(volume: &dyn Volume, path: &WinPath) -> Result<Option<Vec<u8>>> {
    let Some(id) = resolve(volume, path)? else { return Ok(None) };
    if volume.node(id)?.data().is_none() {
        return Ok(None);
    }
    let data = volume.open(id, StreamKind::Data, &[])?;
    read_vec(&data, 0, data.len()).map(Some)
}

/// The path of a node by the first of its names; nothing when it has none left.
///
/// # Errors
/// When the volume cannot be read.
pub fn path_of(volume: &dyn Volume, id: NodeId) -> Result<Option<WinPath>> {
    // Deeper than any path that Windows or a WIM reader takes.
    const DEEPEST: usize = 16_384;
    let mut names = Vec::new();
    let mut node = id;
    while node != volume.root() {
        let Some((directory, entry)) = volume.links(node)?.into_iter().next() else { return Ok(None) };
        names.push(entry.name);
        node = directory;
        if names.len() > DEEPEST {
            return Err(Error::new(ErrorClass::Corrupt, "directories form a circle"));
        }
    }
    Ok(Some(names.into_iter().rev().collect()))
}

/// New content for a stream.
pub enum NewData {
    /// These bytes.
    Bytes(Vec<u8>),
    /// The old content but for these ranges and the length.
    Patch {
        /// The new length.
        length: u64,
        /// Offset and bytes of each range; later ones win.
        ranges: Vec<(u64, Vec<u8>)>,
    },
    /// All bytes of a source, copied into the overlay's store.
    Reader(Arc<dyn ReadAt>),
}
