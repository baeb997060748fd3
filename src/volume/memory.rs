// SPDX-License-Identifier: GPL-3.0-or-later
//! A tree held in memory, for tests and for trees made on the spot.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Volume, VolumeError};
use crate::base::{
    DirEntry, FileAttributes, Node, NodeId, NodeKind, Result, Stream, StreamKind, WinName, WinPath, name,
};
use crate::digest::blob_hash;
use crate::io::ReadAt;

/// A read-only volume in memory; filled before it is shared.
#[derive(Clone, Debug, Default)]
pub struct MemoryVolume {
    nodes: BTreeMap<NodeId, MemoryNode>,
    identity: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
struct MemoryNode {
    node: Node,
    // One for each stream of the node.
    data: Vec<Arc<Vec<u8>>>,
    entries: Vec<DirEntry>,
}

const ROOT: NodeId = NodeId(0);

impl MemoryVolume {
    /// A root directory and nothing else.
    pub fn new() -> Self {
        let mut volume = Self::default();
        volume.insert(NodeKind::Directory);
        volume
    }

    /// Sets what [`Volume::identity`] answers.
    pub fn set_identity(&mut self, identity: &[u8]) {
        self.identity = identity.to_vec();
    }

    /// Adds a directory and every missing one above it; gives the one that is there already.
    pub fn add_directory(&mut self, path: &WinPath) -> NodeId {
        path.components().iter().fold(ROOT, |directory, name| match self.find(directory, name.units()) {
            Some(entry) => entry.node,
            None => {
                let node = self.insert(NodeKind::Directory);
                self.add_entry(directory, name.clone(), None, node);
                node
            }
        })
    }

    /// Adds a file with its unnamed data, and every missing directory above it.
    pub fn add_file(&mut self, path: &WinPath, data: impl Into<Vec<u8>>) -> NodeId {
        let directory = self.add_directory(&path.parent().unwrap_or_default());
        let node = self.insert(NodeKind::File);
        self.add_stream(node, StreamKind::Data, WinName::default(), data);
        self.add_entry(directory, path.file_name().cloned().unwrap_or_default(), None, node);
        node
    }

    /// Adds one more name that leads to a node.
    pub fn add_entry(&mut self, directory: NodeId, name: WinName, short_name: Option<WinName>, node: NodeId) {
        if let Some(directory) = self.nodes.get_mut(&directory) {
            directory.entries.push(DirEntry { name, short_name, node });
            directory.entries.sort_by(|left, right| {
                name::compare(left.name.units(), right.name.units()).then_with(|| left.name.cmp(&right.name))
            });
        }
    }

    /// Adds a stream behind those that are there.
    pub fn add_stream(&mut self, node: NodeId, kind: StreamKind, name: WinName, data: impl Into<Vec<u8>>) {
        let data = data.into();
        if let Some(found) = self.nodes.get_mut(&node) {
            let hash = Some(blob_hash(&data));
            found.node.streams.push(Stream { kind, name, length: data.len() as u64, hash });
            found.data.push(Arc::new(data));
        }
    }

    /// The record of a node, to be filled in. Streams are added by [`MemoryVolume::add_stream`].
    pub fn node_mut(&mut self, node: NodeId) -> Option<&mut Node> {
        self.nodes.get_mut(&node).map(|found| &mut found.node)
    }

    fn insert(&mut self, kind: NodeKind) -> NodeId {
        let id = NodeId(self.nodes.len() as u64);
        let attributes = match kind {
            NodeKind::Directory => FileAttributes::DIRECTORY,
            NodeKind::File => FileAttributes::ARCHIVE,
        };
        let node = Node { attributes, ..Node::default() };
        self.nodes.insert(id, MemoryNode { node, ..MemoryNode::default() });
        id
    }

    fn find(&self, directory: NodeId, wanted: &[u16]) -> Option<DirEntry> {
        let entries = &self.nodes.get(&directory)?.entries;
        let exact = |entry: &&DirEntry| entry.name.units() == wanted;
        let folded = |entry: &&DirEntry| name::same(entry.name.units(), wanted);
        let short = |entry: &&DirEntry| {
            entry.short_name.as_ref().is_some_and(|short| name::same(short.units(), wanted))
        };
        entries
            .iter()
            .find(exact)
            .or_else(|| entries.iter().find(folded))
            .or_else(|| entries.iter().find(short))
            .cloned()
    }

    fn get(&self, id: NodeId) -> Result<&MemoryNode> {
        Ok(self.nodes.get(&id).ok_or(VolumeError::NoNode { node: id })?)
    }
}

impl Volume for MemoryVolume {
    fn root(&self) -> NodeId {
        ROOT
    }

    fn node(&self, id: NodeId) -> Result<Node> {
        Ok(self.get(id)?.node.clone())
    }

    fn entries(&self, directory: NodeId) -> Result<Vec<DirEntry>> {
        Ok(self.get(directory)?.entries.clone())
    }

    fn lookup(&self, directory: NodeId, name: &[u16]) -> Result<Option<DirEntry>> {
        self.get(directory)?;
        Ok(self.find(directory, name))
    }

    fn links(&self, id: NodeId) -> Result<Vec<(NodeId, DirEntry)>> {
        self.get(id)?;
        Ok(self
            .nodes
            .iter()
            .flat_map(|(directory, node)| node.entries.iter().map(|entry| (*directory, entry)))
            .filter(|(_, entry)| entry.node == id)
            .map(|(directory, entry)| (directory, entry.clone()))
            .collect())
    }

    fn open(&self, id: NodeId, kind: StreamKind, name: &[u16]) -> Result<Arc<dyn ReadAt>> {
        let found = self.get(id)?;
        found
            .node
            .streams
            .iter()
            .zip(&found.data)
            .find(|(stream, _)| stream.kind == kind && name::same(stream.name.units(), name))
            .map(|(_, data)| Arc::clone(data) as Arc<dyn ReadAt>)
            .ok_or_else(|| {
                VolumeError::NoStream { path: format!("the file {:#x}", id.0), stream: name::display(name) }
                    .into()
            })
    }

    fn identity(&self) -> Vec<u8> {
        self.identity.clone()
    }
}
