// SPDX-License-Identifier: GPL-3.0-or-later
//! The record of a node, as an overlay keeps it.

use std::sync::Arc;

use super::Name;
use super::extent::{Content, Source};
use crate::base::name::same;
use crate::base::{
    FileAttributes, FileTime, Node, NodeId, NodeKind, ReparseHeader, Stream, StreamKind, TaggedItem, WinName,
};

/// The times of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Times {
    pub(super) creation: FileTime,
    pub(super) access: FileTime,
    pub(super) write: FileTime,
}

/// The record of a node, kept small.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) attributes: FileAttributes,
    pub(super) times: Times,
    pub(super) security: Option<Arc<[u8]>>,
    pub(super) reparse: Option<ReparseHeader>,
    // Boxed, as few nodes have any.
    pub(super) items: Option<Arc<Vec<TaggedItem>>>,
    pub(super) unknown_0x54: u32,
    pub(super) streams: Vec<StreamState>,
    /// The write time followed from entries that changed; once they are the base's again, so is
    /// the time.
    pub(super) touched: bool,
}

#[derive(Clone, Debug)]
pub(super) struct StreamState {
    pub(super) kind: StreamKind,
    pub(super) name: Name,
    pub(super) length: u64,
    pub(super) content: Content,
}

impl Record {
    pub(super) fn of_base(id: NodeId, node: Node) -> Self {
        let streams = node.streams.into_iter().map(|stream| {
            let name = Name::from(stream.name.units());
            let source = Source {
                node: id,
                kind: stream.kind,
                name: Arc::clone(&name),
                length: stream.length,
                hash: stream.hash,
            };
            StreamState {
                kind: stream.kind,
                name,
                length: stream.length,
                content: Content::Base(Arc::new(source)),
            }
        });
        Self {
            attributes: node.attributes,
            times: Times { creation: node.creation_time, access: node.access_time, write: node.write_time },
            security: node.security,
            reparse: node.reparse,
            items: (!node.tagged_items.is_empty()).then(|| Arc::new(node.tagged_items)),
            unknown_0x54: node.unknown_0x54,
            streams: streams.collect(),
            touched: false,
        }
    }

    pub(super) fn to_node(&self) -> Node {
        let streams = self.streams.iter().map(|stream| Stream {
            kind: stream.kind,
            name: WinName::new(&*stream.name),
            length: stream.length,
            hash: match stream.content.unchanged(stream.length) {
                Some(source) => source.hash,
                None => (stream.length == 0).then_some(crate::base::BlobHash::ZERO),
            },
        });
        Node {
            attributes: self.attributes,
            creation_time: self.times.creation,
            access_time: self.times.access,
            write_time: self.times.write,
            security: self.security.clone(),
            reparse: self.reparse,
            streams: streams.collect(),
            tagged_items: self.items.as_deref().cloned().unwrap_or_default(),
            unknown_0x54: self.unknown_0x54,
        }
    }

    pub(super) fn kind(&self) -> NodeKind {
        if self.attributes.contains(FileAttributes::DIRECTORY) { NodeKind::Directory } else { NodeKind::File }
    }

    /// Whether entries can be below it.
    pub(super) fn holds_entries(&self) -> bool {
        self.kind() == NodeKind::Directory && !self.attributes.contains(FileAttributes::REPARSE_POINT)
    }

    pub(super) fn find_stream(&self, kind: StreamKind, name: &[u16]) -> Option<(u16, &StreamState)> {
        let position =
            self.streams.iter().position(|stream| stream.kind == kind && same(&stream.name, name))?;
        Some((u16::try_from(position).ok()?, self.streams.get(position)?))
    }
}
