// SPDX-License-Identifier: GPL-3.0-or-later
//! One directory entry ("dentry") of an image's metadata, as stored.
//!
//! | offset | size | name | meaning |
//! |---|---|---|---|
//! | 0x00 | 8 | length | names and tagged items included, extra stream entries not; 8 or less ends a list |
//! | 0x08 | 4 | attributes | `FILE_ATTRIBUTE_*` |
//! | 0x0C | 4 | security id | number of the descriptor; -1 (or out of range) is none |
//! | 0x10 | 8 | subdir offset | where the list of children begins; 0 for what has none |
//! | 0x18 | 16 | reserved | zero |
//! | 0x28 | 8 | creation time | |
//! | 0x30 | 8 | last access time | |
//! | 0x38 | 8 | last write time | |
//! | 0x40 | 20 | main hash | of the only unnamed stream, else zero |
//! | 0x54 | 4 | unknown | kept |
//! | 0x58 | 8 | link | group id of hard links (0: one name); with a reparse point `u32 tag, u16 reserved, u16 flags` |
//! | 0x60 | 2 | extra streams | how many entries follow |
//! | 0x62 | 2 | short name length | bytes, without NUL |
//! | 0x64 | 2 | name length | bytes, without NUL |
//! | 0x66 | | names | name NUL, short name NUL (each only if not empty), padding to 8 |
//! | | | tagged items | `u32 tag, u32 length, data, padding to 8` up to the length |
//!
//! Extra stream entries follow the padded dentry: `u64 length | u64 reserved | hash[20] |
//! u16 name bytes | name NUL`, padded to 8 (the length is rounded up where a writer did not).
//!
//! Which hash goes where: an encrypted file has one unnamed stream. Otherwise the streams are the
//! reparse data, the unnamed data (not of a directory) and the named ones; one unnamed stream alone
//! goes into the main hash, else all go into extra entries in this order. wimlib 1.13 and older
//! also wrote an empty unnamed data entry for directories; it is read and left out.
//!
//! Sources: ebiggers/wimlib `src/dentry.c`, `src/tagged_items.c`, `include/wimlib/tagged_items.h`.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::base::{BlobHash, FileAttributes, StreamKind, TaggedItem};

/// Length of the fixed part.
pub(super) const FIXED_SIZE: usize = 102;
/// Length of the fixed part of an extra stream entry.
pub(super) const STREAM_SIZE: usize = 38;

/// The fixed part as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct DentryRaw {
    pub(super) length: U64,
    pub(super) attributes: U32,
    pub(super) security_id: U32,
    pub(super) subdir_offset: U64,
    pub(super) reserved: [u8; 16],
    pub(super) creation_time: U64,
    pub(super) access_time: U64,
    pub(super) write_time: U64,
    pub(super) hash: [u8; 20],
    pub(super) unknown: U32,
    pub(super) link: U64,
    pub(super) extra_streams: U16,
    pub(super) short_name_length: U16,
    pub(super) name_length: U16,
}

const _: () = assert!(size_of::<DentryRaw>() == FIXED_SIZE);
/// Where the subdir offset stands.
pub(super) const SUBDIR_OFFSET_AT: usize = 0x10;
/// Where the hard-link group or the reparse header stands.
pub(super) const LINK_AT: usize = 0x58;

/// The fixed part of an extra stream entry as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct StreamRaw {
    pub(super) length: U64,
    pub(super) reserved: U64,
    pub(super) hash: [u8; 20],
    pub(super) name_length: U16,
}

const _: () = assert!(size_of::<StreamRaw>() == STREAM_SIZE);

/// Rounds up to a multiple of 8.
pub(super) fn align8(value: usize) -> Option<usize> {
    Some(value.checked_add(7)? & !7)
}

/// A checked dentry with what belongs to it, in the metadata buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dentry<'a> {
    pub(super) raw: &'a DentryRaw,
    /// Names in little-endian UTF-16.
    pub(super) name: &'a [u8],
    pub(super) short_name: &'a [u8],
    /// Everything behind the names.
    pub(super) items: &'a [u8],
    /// The extra stream entries.
    pub(super) extra: &'a [u8],
    /// The whole: fixed part, names, items, extra stream entries.
    pub(super) bytes: &'a [u8],
}

/// One stream of a dentry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StreamRef<'a> {
    pub(super) kind: StreamKind,
    pub(super) name: &'a [u8],
    pub(super) hash: BlobHash,
}

impl<'a> Dentry<'a> {
    /// Reads the dentry at `offset`; nothing at the end of a list. The error says what is wrong.
    pub(super) fn parse(bytes: &'a [u8], offset: usize) -> Result<Option<Self>, &'static str> {
        let rest = bytes.get(offset..).ok_or("it begins beyond the end of the metadata")?;
        let length = rest.first_chunk::<8>().ok_or("the list of entries is not ended")?;
        let length = u64::from_le_bytes(*length);
        if length <= 8 {
            return Ok(None);
        }
        let length = usize::try_from(length).ok().filter(|&length| length <= rest.len());
        let own = length.and_then(|length| rest.get(..length)).ok_or("it is longer than the metadata")?;
        let (raw, variable) = DentryRaw::ref_from_prefix(own).map_err(|_| "it is shorter than 102 bytes")?;
        let (name, variable) =
            take_name(variable, raw.name_length.get()).ok_or("its name has an odd length or does not fit")?;
        let (short_name, items) = take_name(variable, raw.short_name_length.get())
            .ok_or("its short name has an odd length or does not fit")?;
        // Items begin at the next multiple of 8 counted from the dentry.
        let names_end = own.len() - items.len();
        let items = align8(names_end).and_then(|start| own.get(start..)).unwrap_or_default();
        let padded = align8(own.len()).ok_or("it is longer than the metadata")?;
        let mut end = padded;
        for _ in 0..raw.extra_streams.get() {
            let entry = rest.get(end..).ok_or("its streams are longer than the metadata")?;
            let (_, _, used) = take_stream(entry)?;
            end += used;
        }
        let bytes = rest.get(..end).ok_or("its streams are longer than the metadata")?;
        let extra = bytes.get(padded..).unwrap_or_default();
        Ok(Some(Self { raw, name, short_name, items, extra, bytes }))
    }

    pub(super) fn attributes(&self) -> FileAttributes {
        FileAttributes::from_bits_retain(self.raw.attributes.get())
    }

    pub(super) fn is_directory(&self) -> bool {
        self.attributes().contains(FileAttributes::DIRECTORY)
    }

    pub(super) fn is_reparse_point(&self) -> bool {
        self.attributes().contains(FileAttributes::REPARSE_POINT)
    }

    /// The hard-link group; 0 for what cannot have several names.
    pub(super) fn link_group(&self) -> u64 {
        if self.is_directory() || self.is_reparse_point() { 0 } else { self.raw.link.get() }
    }

    /// Extra stream entries: name and hash.
    fn extra_streams(&self) -> impl Iterator<Item = (&'a [u8], BlobHash)> {
        let mut rest = self.extra;
        std::iter::from_fn(move || {
            let (raw, name, used) = take_stream(rest).ok()?;
            rest = rest.get(used..)?;
            Some((name, BlobHash(raw.hash)))
        })
    }

    /// The streams by their meaning: reparse data, unnamed data (of files, also when empty),
    /// named ones in stored order.
    pub(super) fn streams(&self) -> impl Iterator<Item = StreamRef<'a>> {
        let (first, second) = self.unnamed_streams();
        let named = self.extra_streams().filter(|(name, _)| !name.is_empty()).map(|(name, hash)| StreamRef {
            kind: StreamKind::Data,
            name,
            hash,
        });
        [first, second].into_iter().flatten().chain(named)
    }

    fn unnamed_streams(&self) -> (Option<StreamRef<'a>>, Option<StreamRef<'a>>) {
        let stream = |kind, hash| StreamRef { kind, name: &[], hash };
        let main = BlobHash(self.raw.hash);
        // A zero main hash only fills the place when the streams are in extra entries.
        let mut unnamed = (!main.is_zero())
            .then_some(main)
            .into_iter()
            .chain(self.extra_streams().filter(|(name, _)| name.is_empty()).map(|(_, hash)| hash));
        let attributes = self.attributes();
        if attributes.contains(FileAttributes::ENCRYPTED) && !self.is_directory() {
            let hash = unnamed.find(|hash| !hash.is_zero()).unwrap_or(BlobHash::ZERO);
            return (Some(stream(StreamKind::Encrypted, hash)), None);
        }
        let reparse = self
            .is_reparse_point()
            .then(|| stream(StreamKind::Reparse, unnamed.next().unwrap_or(BlobHash::ZERO)));
        let data = unnamed.next().unwrap_or(BlobHash::ZERO);
        let data = (!self.is_directory() || !data.is_zero()).then(|| stream(StreamKind::Data, data));
        (reparse, data)
    }

    /// Hash of the unnamed data: what tells true hard links from equal ids.
    pub(super) fn data_hash(&self) -> BlobHash {
        let (first, second) = self.unnamed_streams();
        [first, second]
            .into_iter()
            .flatten()
            .find(|stream| stream.kind != StreamKind::Reparse)
            .map_or(BlobHash::ZERO, |stream| stream.hash)
    }

    /// The tagged items; what does not parse is left out.
    pub(super) fn tagged_items(&self) -> impl Iterator<Item = TaggedItem> {
        let mut rest = self.items;
        std::iter::from_fn(move || {
            let (tag, after) = rest.split_first_chunk::<4>()?;
            let (length, after) = after.split_first_chunk::<4>()?;
            let tag = u32::from_le_bytes(*tag);
            let length = u32::from_le_bytes(*length) as usize;
            if tag == 0 && length == 0 {
                return None;
            }
            let data = after.get(..length)?;
            rest = align8(length).and_then(|padded| after.get(padded..)).unwrap_or_default();
            Some(TaggedItem { tag, data: data.into() })
        })
    }
}

/// Splits off a name and, if it is not empty, its NUL.
fn take_name(bytes: &[u8], length: u16) -> Option<(&[u8], &[u8])> {
    if length == 0 {
        return Some((&[], bytes));
    }
    let (name, rest) = bytes.split_at_checked(length.into())?;
    length.is_multiple_of(2).then_some(())?;
    Some((name, rest.get(2..)?))
}

/// Reads an extra stream entry: fixed part, name, and how many bytes it takes.
fn take_stream(bytes: &[u8]) -> Result<(&StreamRaw, &[u8], usize), &'static str> {
    let (raw, rest) =
        StreamRaw::ref_from_prefix(bytes).map_err(|_| "its streams are longer than the metadata")?;
    let length = usize::try_from(raw.length.get()).ok().and_then(align8);
    let length = length.filter(|&length| length >= STREAM_SIZE && length <= bytes.len());
    let length = length.ok_or("the length of a stream entry is wrong")?;
    let name_length = usize::from(raw.name_length.get());
    let name =
        rest.get(..name_length).filter(|name| name.len() % 2 == 0 && STREAM_SIZE + name.len() <= length);
    Ok((raw, name.ok_or("a stream's name has an odd length or does not fit")?, length))
}
