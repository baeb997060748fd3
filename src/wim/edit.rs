// SPDX-License-Identifier: GPL-3.0-or-later
//! What a transaction is given: the edits of images, in terms of their trees.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::base::{BlobHash, DirEntry, FileTime, Node, NodeId, WinName};
use crate::io::ReadAt;

/// The edits of one image, made against the metadata that `metadata` names.
pub struct ImageEdit {
    /// Identity of the image that was edited.
    pub metadata: BlobHash,
    /// What differs.
    pub tree: TreeEdit,
    /// Set as LASTMODIFICATIONTIME.
    pub modified: FileTime,
}

/// What differs from the image's tree. Ids without [`NodeId::NEW`] are those of [`super::Image`].
#[derive(Default)]
pub struct TreeEdit {
    /// New nodes, and base nodes whose record or streams changed: the complete new record.
    pub nodes: BTreeMap<NodeId, NodeEdit>,
    /// Directories whose entries changed (new directories: all their entries are `added`).
    pub directories: BTreeMap<NodeId, DirectoryEdit>,
}

impl TreeEdit {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
            && self.directories.values().all(|edit| edit.removed.is_empty() && edit.added.is_empty())
    }
}

/// The new record of a node.
pub struct NodeEdit {
    /// The record; hashes and lengths of its streams matter for [`StreamSource::Unchanged`] only.
    pub node: Node,
    /// One for each of `node.streams`, in the same order.
    pub streams: Vec<StreamSource>,
}

/// Where the bytes of a stream come from.
#[derive(Clone)]
pub enum StreamSource {
    /// As in the base: the stream's hash is in the WIM.
    Unchanged,
    /// New bytes.
    New(Arc<dyn ReadAt>),
    /// New bytes that are not to be compressed.
    Stored(Arc<dyn ReadAt>),
    /// The bytes of a blob of the WIM but for some ranges and the length. Chunks outside the
    /// ranges are copied compressed.
    Patched {
        /// The blob.
        base: BlobHash,
        /// What differs from it: sorted, disjoint. Bytes beyond the end of the base need not be listed.
        changed: Vec<Range<u64>>,
        /// Reads the new whole.
        content: Arc<dyn ReadAt>,
    },
}

/// What changed in the entries of a directory.
#[derive(Clone, Debug, Default)]
pub struct DirectoryEdit {
    /// Exact base names that are gone (a name may be in both lists: re-pointed or re-cased).
    pub removed: Vec<WinName>,
    /// Entries that were not there.
    pub added: Vec<DirEntry>,
}
