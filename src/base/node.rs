// SPDX-License-Identifier: GPL-3.0-or-later
//! What NTFS keeps about a file, as one record without I/O.
//!
//! Names are not part of it: a name (with its short name) belongs to the directory entry, and
//! several entries may lead to one node (hard links).

use std::sync::Arc;

use super::{BlobHash, FileTime, WinName};

/// Names one node of one tree. Hard links of a file share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub u64);

impl NodeId {
    /// Set in the ids of nodes that an overlay created; a base tree never uses it.
    pub const NEW: u64 = 1 << 63;

    /// Whether the node was created in an overlay.
    pub fn is_new(self) -> bool {
        self.0 & Self::NEW != 0
    }
}

/// A name in a directory and the node it leads to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct DirEntry {
    /// The name in its own case.
    pub name: WinName,
    /// The 8.3 name, where there is one beside the name.
    pub short_name: Option<WinName>,
    /// Where it leads.
    pub node: NodeId,
}

bitflags::bitflags! {
    /// `FILE_ATTRIBUTE_*` bits (winnt.h). Unknown bits are kept.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct FileAttributes: u32 {
        /// May not be written.
        const READONLY = 0x1;
        /// Not shown by default.
        const HIDDEN = 0x2;
        /// Belongs to the system.
        const SYSTEM = 0x4;
        /// A directory.
        const DIRECTORY = 0x10;
        /// Changed since the last backup.
        const ARCHIVE = 0x20;
        /// No other attribute; never stored together with others.
        const NORMAL = 0x80;
        /// Temporary storage.
        const TEMPORARY = 0x100;
        /// Has holes.
        const SPARSE_FILE = 0x200;
        /// Carries a reparse point.
        const REPARSE_POINT = 0x400;
        /// Compressed by the file system.
        const COMPRESSED = 0x800;
        /// Content is elsewhere.
        const OFFLINE = 0x1000;
        /// Left out by the indexer.
        const NOT_CONTENT_INDEXED = 0x2000;
        /// Encrypted by EFS.
        const ENCRYPTED = 0x4000;
        const _ = !0;
    }
}

impl serde::Serialize for FileAttributes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.bits())
    }
}

impl<'de> serde::Deserialize<'de> for FileAttributes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u32::deserialize(deserializer).map(Self::from_bits_retain)
    }
}

/// The part of a reparse point that a WIM keeps beside its data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct ReparseHeader {
    /// `IO_REPARSE_TAG_*`.
    pub tag: u32,
    /// The reserved field of the buffer's header.
    pub reserved: u16,
    /// WIM's own flags; bit 0 clear means "target is relative to the image's root".
    pub flags: u16,
}

/// An item of a WIM directory entry known by its tag only; kept byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct TaggedItem {
    /// What it is: 1 object id, 2 extended attributes, others by their writer.
    pub tag: u32,
    /// The data without padding.
    pub data: Box<[u8]>,
}

impl TaggedItem {
    /// Object id: 16 to 64 bytes.
    pub const OBJECT_ID: u32 = 1;
    /// Extended attributes.
    pub const EXTENDED_ATTRIBUTES: u32 = 2;
}

/// What the bytes of a stream are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum StreamKind {
    /// The data of a file, or a named stream (`file:name`) of a file or directory.
    Data,
    /// Reparse data without its 8-byte header.
    Reparse,
    /// The raw form of an encrypted file.
    Encrypted,
}

/// One stream of a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Stream {
    /// What the bytes are.
    pub kind: StreamKind,
    /// Empty for the unnamed data stream and for reparse data.
    pub name: WinName,
    /// Length in bytes.
    pub length: u64,
    /// SHA-1 of the bytes where the source knows it without reading them; zero when empty.
    pub hash: Option<BlobHash>,
}

/// Whether a node is a directory or a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NodeKind {
    /// Has entries.
    Directory,
    /// Has data.
    File,
}

/// What NTFS carries about a file or directory, but for its names and its data.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Node {
    /// Attribute bits.
    pub attributes: FileAttributes,
    /// Creation time.
    pub creation_time: FileTime,
    /// Last access time.
    pub access_time: FileTime,
    /// Last write time.
    pub write_time: FileTime,
    /// Self-relative security descriptor; nothing when the source has none.
    pub security: Option<Arc<[u8]>>,
    /// Present with [`FileAttributes::REPARSE_POINT`].
    pub reparse: Option<ReparseHeader>,
    /// Streams: reparse data first, then the unnamed data, then named ones. A directory has no
    /// unnamed data stream; a file always has one, be it empty (an encrypted file has its raw
    /// stream instead).
    pub streams: Vec<Stream>,
    /// Object id, extended attributes and items of unknown meaning.
    pub tagged_items: Vec<TaggedItem>,
    /// The field at offset 0x54 of a WIM directory entry, of unknown meaning; kept.
    pub unknown_0x54: u32,
}

impl Node {
    /// Whether this is a directory (a junction is one too).
    pub fn kind(&self) -> NodeKind {
        if self.attributes.contains(FileAttributes::DIRECTORY) { NodeKind::Directory } else { NodeKind::File }
    }

    /// Whether entries can be below it: a directory that is no reparse point.
    pub fn has_entries(&self) -> bool {
        self.kind() == NodeKind::Directory && !self.attributes.contains(FileAttributes::REPARSE_POINT)
    }

    /// The unnamed data stream.
    pub fn data(&self) -> Option<&Stream> {
        self.stream(StreamKind::Data, &[])
    }

    /// The stream of this kind and name; names compare as Windows does.
    pub fn stream(&self, kind: StreamKind, name: &[u16]) -> Option<&Stream> {
        self.streams.iter().find(|stream| stream.kind == kind && super::name::same(stream.name.units(), name))
    }
}
