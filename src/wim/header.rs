// SPDX-License-Identifier: GPL-3.0-or-later
//! The header of a WIM file and the resource header that it is made of.
//!
//! | offset | size | name | meaning |
//! |---|---|---|---|
//! | 0x00 | 8 | magic | `MSWIM\0\0\0`; `WLPWM\0\0\0` for wimlib's pipable files |
//! | 0x08 | 4 | size | 208; other values are formats of Vista's betas |
//! | 0x0C | 4 | version | 0x10D00, or 0xE00 where solid or LZMS resources are allowed ("ESD") |
//! | 0x10 | 4 | flags | [`HeaderFlags`] |
//! | 0x14 | 4 | chunk size | power of two; 0 when nothing is compressed |
//! | 0x18 | 16 | GUID | the same in all parts of a split set |
//! | 0x28 | 2 | part number | from 1 |
//! | 0x2A | 2 | total parts | at least 1 |
//! | 0x2C | 4 | image count | |
//! | 0x30 | 24 | blob table | resource header; offset 0 means none |
//! | 0x48 | 24 | XML data | resource header |
//! | 0x60 | 24 | boot metadata | copy of the bootable image's metadata resource header, or zero |
//! | 0x78 | 4 | boot index | from 1; 0 means none |
//! | 0x7C | 24 | integrity table | resource header, not aligned |
//! | 0x94 | 60 | unused | zero |
//!
//! Resource header: `u56 size in file | u8 flags | u64 offset | u64 original size`.
//!
//! Sources: ebiggers/wimlib `include/wimlib/header.h`, ip7z/7zip `CPP/7zip/Archive/Wim/WimIn.h`.
//! The header of a pipable file is the last 208 bytes; the one in front lacks the table positions.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::error::WimError;
use crate::base::{Guid, Result};
use crate::codec::Codec;
use crate::io::ReadAt;

/// Length of the header.
pub(super) const HEADER_SIZE: u64 = 208;
const MAGIC: [u8; 8] = *b"MSWIM\0\0\0";
const MAGIC_PIPABLE: [u8; 8] = *b"WLPWM\0\0\0";
const VERSION_DEFAULT: u32 = 0x0001_0D00;
const VERSION_SOLID: u32 = 0x0000_0E00;

bitflags::bitflags! {
    /// Flags of the header. Unknown bits are kept.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(super) struct HeaderFlags: u32 {
        const COMPRESSION = 0x2;
        const READONLY = 0x4;
        const SPANNED = 0x8;
        const RESOURCE_ONLY = 0x10;
        const METADATA_ONLY = 0x20;
        const WRITE_IN_PROGRESS = 0x40;
        const RELATIVE_PATH_FIX = 0x80;
        const XPRESS = 0x2_0000;
        const LZX = 0x4_0000;
        const LZMS = 0x8_0000;
        const XPRESS_SMALL_CHUNKS = 0x20_0000;
        const _ = !0;
    }

    /// Flags of a resource header.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(super) struct ResourceFlags: u8 {
        const FREE = 0x01;
        const METADATA = 0x02;
        const COMPRESSED = 0x04;
        const SPANNED = 0x08;
        const SOLID = 0x10;
        const _ = !0;
    }
}

/// A resource header as stored.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub(super) struct ResourceHeaderRaw {
    /// The low 56 bits are the size in the file, the high 8 the flags.
    size_and_flags: U64,
    offset: U64,
    original_size: U64,
}

const _: () = assert!(size_of::<ResourceHeaderRaw>() == 24);

/// Where a resource lies and how long it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ResourceHeader {
    /// Bytes in the file.
    pub(super) size: u64,
    pub(super) flags: ResourceFlags,
    pub(super) offset: u64,
    /// Bytes when decoded.
    pub(super) original_size: u64,
}

impl ResourceHeader {
    /// One past the last byte in the file.
    pub(super) fn end(&self) -> Option<u64> {
        self.offset.checked_add(self.size)
    }

    /// Whether there is a resource at all.
    pub(super) fn is_present(&self) -> bool {
        self.offset != 0
    }
}

impl From<ResourceHeaderRaw> for ResourceHeader {
    fn from(raw: ResourceHeaderRaw) -> Self {
        let word = raw.size_and_flags.get();
        Self {
            size: word & 0x00FF_FFFF_FFFF_FFFF,
            flags: ResourceFlags::from_bits_retain((word >> 56) as u8),
            offset: raw.offset.get(),
            original_size: raw.original_size.get(),
        }
    }
}

impl From<ResourceHeader> for ResourceHeaderRaw {
    fn from(header: ResourceHeader) -> Self {
        let word = (header.size & 0x00FF_FFFF_FFFF_FFFF) | (u64::from(header.flags.bits()) << 56);
        Self {
            size_and_flags: U64::new(word),
            offset: U64::new(header.offset),
            original_size: U64::new(header.original_size),
        }
    }
}

/// The header as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct HeaderRaw {
    pub(super) magic: [u8; 8],
    pub(super) size: U32,
    pub(super) version: U32,
    pub(super) flags: U32,
    pub(super) chunk_size: U32,
    pub(super) guid: [u8; 16],
    pub(super) part_number: U16,
    pub(super) total_parts: U16,
    pub(super) image_count: U32,
    pub(super) blob_table: ResourceHeaderRaw,
    pub(super) xml: ResourceHeaderRaw,
    pub(super) boot_metadata: ResourceHeaderRaw,
    pub(super) boot_index: U32,
    pub(super) integrity: ResourceHeaderRaw,
    pub(super) unused: [u8; 60],
}

const _: () = assert!(size_of::<HeaderRaw>() as u64 == HEADER_SIZE);

impl HeaderRaw {
    /// The header of a new file without tables and images.
    pub(super) fn new(flags: HeaderFlags, solid: bool, chunk_size: u32, guid: Guid) -> Self {
        let mut raw = Self::new_zeroed();
        raw.magic = MAGIC;
        raw.size = U32::new(HEADER_SIZE as u32);
        raw.version = U32::new(if solid { VERSION_SOLID } else { VERSION_DEFAULT });
        raw.flags = U32::new(flags.bits());
        raw.chunk_size = U32::new(chunk_size);
        raw.guid = guid.0;
        raw.part_number = U16::new(1);
        raw.total_parts = U16::new(1);
        raw
    }
}

/// Codec and chunk size of the compressed resources of a file or of one solid resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Compression {
    /// The codec.
    pub codec: Codec,
    /// Bytes of a decoded chunk, but for the last one.
    pub chunk_size: u32,
}

impl Compression {
    /// Checks a chunk size against what its codec allows.
    pub(super) fn new(codec: Codec, chunk_size: u32, offset: u64) -> Result<Self, WimError> {
        if !chunk_size.is_power_of_two() || !codec.block_sizes().contains(&chunk_size) {
            let sizes = codec.block_sizes();
            return Err(WimError::Damaged {
                what: "chunk size",
                offset,
                expected: format!("a power of two from {} to {} for {codec}", sizes.start(), sizes.end()),
                found: chunk_size.to_string(),
            });
        }
        Ok(Self { codec, chunk_size })
    }
}

/// Whether chunk tables stand before their chunks, or each chunk carries its own length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    Ordinary,
    Pipable,
}

/// A header that was checked.
#[derive(Clone, Debug)]
pub(super) struct Header {
    pub(super) raw: HeaderRaw,
    pub(super) flags: HeaderFlags,
    /// Nothing when the file's resources are stored as they are.
    pub(super) compression: Option<Compression>,
    pub(super) layout: Layout,
    pub(super) part_number: u16,
    pub(super) total_parts: u16,
    pub(super) image_count: u32,
    pub(super) boot_index: u32,
    pub(super) blob_table: ResourceHeader,
    pub(super) xml: ResourceHeader,
    pub(super) integrity: ResourceHeader,
}

impl Header {
    /// Reads and checks the header; `path` is for messages.
    pub(super) fn read(source: &dyn ReadAt, path: &str) -> Result<Self> {
        let mut raw = read_raw(source, 0, path)?;
        let layout = match raw.magic {
            MAGIC => Layout::Ordinary,
            MAGIC_PIPABLE => {
                let offset = source.len().saturating_sub(HEADER_SIZE);
                raw = read_raw(source, offset, path)?;
                if raw.magic != MAGIC_PIPABLE {
                    return Err(WimError::Damaged {
                        what: "trailing header of the pipable file",
                        offset,
                        expected: "WLPWM".to_owned(),
                        found: String::from_utf8_lossy(&raw.magic).into_owned(),
                    }
                    .into());
                }
                Layout::Pipable
            }
            _ => return Err(WimError::NotWim { path: path.to_owned() }.into()),
        };
        let version = raw.version.get();
        let known = version == VERSION_DEFAULT || version == VERSION_SOLID;
        if u64::from(raw.size.get()) != HEADER_SIZE || !known {
            return Err(WimError::Version { path: path.to_owned(), version }.into());
        }
        let flags = HeaderFlags::from_bits_retain(raw.flags.get());
        let compression = compression(flags, raw.chunk_size.get())?;
        let (part_number, total_parts) = (raw.part_number.get(), raw.total_parts.get());
        if part_number == 0 || part_number > total_parts {
            return Err(WimError::Damaged {
                what: "part number",
                offset: 0x28,
                expected: format!("1 to {total_parts}"),
                found: part_number.to_string(),
            }
            .into());
        }
        let image_count = raw.image_count.get();
        if image_count > 0xFFFF {
            return Err(WimError::Damaged {
                what: "image count",
                offset: 0x2C,
                expected: "at most 65535".to_owned(),
                found: image_count.to_string(),
            }
            .into());
        }
        Ok(Self {
            flags,
            compression,
            layout,
            part_number,
            total_parts,
            image_count,
            boot_index: raw.boot_index.get(),
            blob_table: raw.blob_table.into(),
            xml: raw.xml.into(),
            integrity: raw.integrity.into(),
            raw,
        })
    }

    /// Whether solid resources are understood in this version of the format.
    pub(super) fn has_solid(&self) -> bool {
        self.raw.version.get() == VERSION_SOLID
    }

    /// The GUID of the file or split set.
    pub(super) fn guid(&self) -> Guid {
        Guid(self.raw.guid)
    }
}

fn read_raw(source: &dyn ReadAt, offset: u64, path: &str) -> Result<HeaderRaw> {
    if source.len() < HEADER_SIZE {
        return Err(WimError::NotWim { path: path.to_owned() }.into());
    }
    let mut raw = HeaderRaw::new_zeroed();
    source.read_exact_at(raw.as_mut_bytes(), offset)?;
    Ok(raw)
}

/// The codec from the flags. A file of wimlib's with XPRESS chunks of 4 KiB carries the plain
/// XPRESS flag, so the chunk size field decides.
fn compression(flags: HeaderFlags, chunk_size: u32) -> Result<Option<Compression>, WimError> {
    if !flags.contains(HeaderFlags::COMPRESSION) {
        return Ok(None);
    }
    let codec = if flags.intersects(HeaderFlags::XPRESS | HeaderFlags::XPRESS_SMALL_CHUNKS) {
        Codec::Xpress
    } else if flags.contains(HeaderFlags::LZX) {
        Codec::Lzx
    } else if flags.contains(HeaderFlags::LZMS) {
        Codec::Lzms
    } else {
        return Err(WimError::Damaged {
            what: "header flags",
            offset: 0x10,
            expected: "the flag of a known codec".to_owned(),
            found: format!("0x{:x}", flags.bits()),
        });
    };
    let chunk_size = if chunk_size == 0 { 32768 } else { chunk_size };
    Compression::new(codec, chunk_size, 0x14).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> HeaderRaw {
        let mut raw = HeaderRaw::new_zeroed();
        raw.magic = MAGIC;
        raw.size = U32::new(208);
        raw.version = U32::new(VERSION_DEFAULT);
        raw.flags = U32::new(0x4_0082);
        raw.chunk_size = U32::new(32768);
        raw.part_number = U16::new(1);
        raw.total_parts = U16::new(1);
        raw
    }

    #[test]
    fn resource_headers_round_trip() {
        let header = ResourceHeader {
            size: 0x00AB_CDEF_0123_4567,
            flags: ResourceFlags::COMPRESSED | ResourceFlags::METADATA,
            offset: 208,
            original_size: u64::MAX,
        };
        assert_eq!(ResourceHeader::from(ResourceHeaderRaw::from(header)), header);
    }

    #[test]
    fn checks() {
        let good = Header::read(&sample().as_bytes().to_vec(), "x.wim").unwrap();
        assert_eq!(good.compression, Some(Compression { codec: Codec::Lzx, chunk_size: 32768 }));
        type Change = fn(&mut HeaderRaw);
        let cases: [(Change, &str); 8] = [
            (|raw| raw.magic[0] = b'X', "x.wim is not a WIM file"),
            (|raw| raw.version = U32::new(0x10900), "x.wim has WIM version 0x10900, which is not supported"),
            (|raw| raw.size = U32::new(96), "x.wim has WIM version 0x10d00, which is not supported"),
            (
                |raw| raw.flags = U32::new(2),
                "header flags at offset 16 is damaged: expected the flag of a known codec, found 0x2",
            ),
            (
                |raw| raw.chunk_size = U32::new(100),
                "chunk size at offset 20 is damaged: expected a power of two from 32768 to 2097152 for LZX, found 100",
            ),
            (
                |raw| raw.chunk_size = U32::new(4096),
                "chunk size at offset 20 is damaged: expected a power of two from 32768 to 2097152 for LZX, found 4096",
            ),
            (
                |raw| raw.part_number = U16::new(2),
                "part number at offset 40 is damaged: expected 1 to 1, found 2",
            ),
            (
                |raw| raw.image_count = U32::new(70000),
                "image count at offset 44 is damaged: expected at most 65535, found 70000",
            ),
        ];
        for (change, message) in cases {
            let mut raw = sample();
            change(&mut raw);
            assert_eq!(Header::read(&raw.as_bytes().to_vec(), "x.wim").unwrap_err().to_string(), message);
        }
        let short = Header::read(&sample().as_bytes()[..207].to_vec(), "x.wim").unwrap_err();
        assert_eq!(short.to_string(), "x.wim is not a WIM file");
    }
}
