// SPDX-License-Identifier: GPL-3.0-or-later
//! A WIM image as a volume.

use std::sync::Arc;

use super::{Volume, VolumeError};
use crate::base::{BlobHash, DirEntry, Node, NodeId, Result, StreamKind, name};
use crate::io::ReadAt;
use crate::wim::Image;

/// A WIM image as a volume.
#[derive(Clone)]
pub struct WimVolume(pub Image);

impl Volume for WimVolume {
    fn root(&self) -> NodeId {
        self.0.root()
    }

    fn node(&self, id: NodeId) -> Result<Node> {
        self.0.node(id)
    }

    fn entries(&self, directory: NodeId) -> Result<Vec<DirEntry>> {
        self.0.entries(directory)
    }

    fn lookup(&self, directory: NodeId, name: &[u16]) -> Result<Option<DirEntry>> {
        self.0.lookup(directory, name)
    }

    fn links(&self, id: NodeId) -> Result<Vec<(NodeId, DirEntry)>> {
        self.0.links(id)
    }

    fn open(&self, id: NodeId, kind: StreamKind, stream: &[u16]) -> Result<Arc<dyn ReadAt>> {
        let node = self.0.node(id)?;
        let found = node.stream(kind, stream).ok_or_else(|| VolumeError::NoStream {
            path: format!("the file {:#x}", id.0),
            stream: name::display(stream),
        })?;
        // A stream of a WIM always has a hash, be it the one of no bytes.
        self.0.wim().blob(found.hash.unwrap_or(BlobHash::ZERO))
    }

    fn identity(&self) -> Vec<u8> {
        self.0.metadata_hash().0.to_vec()
    }
}
