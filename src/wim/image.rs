// SPDX-License-Identifier: GPL-3.0-or-later
//! The tree of one image, as the rest of the program sees it.

use std::sync::Arc;

use super::tree::{Tree, units};
use super::{ImageIndex, Wim};
use crate::base::{
    BlobHash, DirEntry, Error, ErrorClass, FileTime, Node, NodeId, ReparseHeader, Result, Stream, WinName,
};

/// The tree of one image, read-only; cheap to clone.
#[derive(Clone)]
pub struct Image(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) wim: Wim,
    pub(super) index: ImageIndex,
    pub(super) hash: BlobHash,
    pub(super) tree: Tree,
}

impl Image {
    /// The file it is in.
    pub fn wim(&self) -> &Wim {
        &self.0.wim
    }

    /// Its number when the file was opened.
    pub fn index(&self) -> ImageIndex {
        self.0.index
    }

    /// SHA-1 of its metadata: its identity.
    pub fn metadata_hash(&self) -> BlobHash {
        self.0.hash
    }

    /// The root directory.
    pub fn root(&self) -> NodeId {
        NodeId(0)
    }

    /// How many names the image holds, the root included.
    pub fn entry_count(&self) -> u64 {
        self.0.tree.len().into()
    }

    /// What is known about a file or directory. A stream whose blob lies in another part of a split
    /// set, or is missing, has length 0.
    ///
    /// # Errors
    /// When the id names nothing.
    pub fn node(&self, id: NodeId) -> Result<Node> {
        let number = self.number(id)?;
        let dentry = self.0.tree.dentry(number).ok_or_else(|| unknown(id))?;
        let raw = dentry.raw;
        let link = raw.link.get();
        let security = usize::try_from(raw.security_id.get()).ok();
        Ok(Node {
            attributes: dentry.attributes(),
            creation_time: FileTime(raw.creation_time.get()),
            access_time: FileTime(raw.access_time.get()),
            write_time: FileTime(raw.write_time.get()),
            security: security.and_then(|number| self.0.tree.security().get(number)).cloned(),
            reparse: dentry.is_reparse_point().then_some(ReparseHeader {
                tag: link as u32,
                reserved: (link >> 32) as u16,
                flags: (link >> 48) as u16,
            }),
            streams: dentry
                .streams()
                .map(|stream| Stream {
                    kind: stream.kind,
                    name: win_name(stream.name),
                    length: self.0.wim.blob_length(stream.hash).unwrap_or(0),
                    hash: Some(stream.hash),
                })
                .collect(),
            tagged_items: dentry.tagged_items().collect(),
            unknown_0x54: raw.unknown.get(),
        })
    }

    /// The entries of a directory in stored order; a file has none.
    ///
    /// # Errors
    /// When the id names nothing.
    pub fn entries(&self, directory: NodeId) -> Result<Vec<DirEntry>> {
        let number = self.number(directory)?;
        Ok(self.0.tree.children(number).filter_map(|entry| self.dir_entry(entry)).collect())
    }

    /// The entry of a name: exact match first, then by upcase, then by short name.
    ///
    /// # Errors
    /// When the id names nothing.
    pub fn lookup(&self, directory: NodeId, name: &[u16]) -> Result<Option<DirEntry>> {
        let number = self.number(directory)?;
        Ok(self.0.tree.lookup(number, name).and_then(|entry| self.dir_entry(entry)))
    }

    /// Every (directory, entry) that leads to the node; the root has none.
    ///
    /// # Errors
    /// When the id names nothing.
    pub fn links(&self, id: NodeId) -> Result<Vec<(NodeId, DirEntry)>> {
        let number = self.number(id)?;
        if number == 0 {
            return Ok(Vec::new());
        }
        let tree = &self.0.tree;
        let found = tree.links(number).filter_map(|entry| {
            Some((NodeId(tree.node_of(tree.parent(entry)).into()), self.dir_entry(entry)?))
        });
        Ok(found.collect())
    }

    /// Names that were left out on reading (`..`, twins ...), for warnings.
    pub fn warnings(&self) -> &[String] {
        self.0.tree.warnings()
    }

    fn number(&self, id: NodeId) -> Result<u32> {
        u32::try_from(id.0).ok().filter(|&number| self.0.tree.is_node(number)).ok_or_else(|| unknown(id))
    }

    fn dir_entry(&self, entry: u32) -> Option<DirEntry> {
        let dentry = self.0.tree.dentry(entry)?;
        Some(DirEntry {
            name: win_name(dentry.name),
            short_name: (!dentry.short_name.is_empty()).then(|| win_name(dentry.short_name)),
            node: NodeId(self.0.tree.node_of(entry).into()),
        })
    }
}

fn unknown(id: NodeId) -> Error {
    Error::new(ErrorClass::Internal, format!("the image has no node {}", id.0))
}

pub(super) fn win_name(bytes: &[u8]) -> WinName {
    WinName::new(units(bytes).collect::<Box<[u16]>>())
}
