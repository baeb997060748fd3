// SPDX-License-Identifier: GPL-3.0-or-later
//! The differences of an overlay in the terms of a WIM commit.

use std::sync::Arc;

use super::diff::changed_ranges;
use super::extent::{Content, Extents};
use super::record::StreamState;
use super::state::Found;
use super::{Overlay, VolumeError};
use crate::base::{BlobHash, Node, NodeId, Result};
use crate::io::ReadAt;
use crate::wim::{DirectoryEdit, NodeEdit, StreamSource, TreeEdit};

impl Overlay {
    /// What a WIM commit has to do so that the image becomes this tree (the base must be a
    /// [`super::WimVolume`]). The streams are snapshots: they can be read by several threads, and
    /// later changes of the overlay do not show in them.
    ///
    /// # Errors
    /// When base or staged data cannot be read.
    pub fn tree_edit(&self) -> Result<TreeEdit> {
        let _frozen = self.freeze()?;
        let mut edit = TreeEdit::default();
        let (nodes, directories) = {
            let state = self.read();
            (state.touched_nodes(), state.touched_directories())
        };
        for id in nodes {
            if self.differs(id)? {
                let node = self.settled_node(id)?;
                let streams = self.stream_sources(id, &node)?;
                edit.nodes.insert(id, NodeEdit { node, streams });
            }
        }
        for (id, removed, added) in directories {
            edit.directories.insert(id, DirectoryEdit { removed, added });
        }
        Ok(edit)
    }

    fn stream_sources(&self, id: NodeId, node: &Node) -> Result<Vec<StreamSource>> {
        let state = self.read();
        let Found::Changed(record) = state.find(id) else {
            return Err(VolumeError::NoNode { node: id }.into());
        };
        debug_assert_eq!(record.streams.len(), node.streams.len());
        record.streams.iter().map(|stream| self.stream_source(id, stream)).collect()
    }

    fn stream_source(&self, id: NodeId, stream: &StreamState) -> Result<StreamSource> {
        let hash_known = stream.content.unchanged(stream.length).and_then(|source| source.hash).is_some();
        match &stream.content {
            _ if hash_known => Ok(StreamSource::Unchanged),
            Content::Base(source) => Ok(StreamSource::New(source.open(&**self.base())?)),
            Content::Staged(extents) => {
                let content = self.snapshot(id, extents, stream.length)?;
                Ok(patched(extents, stream.length, content))
            }
        }
    }
}

/// A patch of the base's blob where that saves work, new bytes otherwise.
fn patched(extents: &Arc<Extents>, length: u64, content: Arc<dyn ReadAt>) -> StreamSource {
    let base: Option<BlobHash> =
        extents.source.as_ref().and_then(|source| source.hash).filter(|hash| !hash.is_zero());
    let Some(base) = base else { return StreamSource::New(content) };
    let changed = changed_ranges(extents, length);
    let count: u64 = changed.iter().map(|range| range.end - range.start).sum();
    if count > length / 4 * 3 {
        StreamSource::New(content)
    } else {
        StreamSource::Patched { base, changed, content }
    }
}
