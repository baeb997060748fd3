// SPDX-License-Identifier: GPL-3.0-or-later
//! Resources: runs of bytes in the file, stored as they are or in separately encoded chunks.
//!
//! Ordinary compressed resource: a table of the offsets of chunks 1 to n-1, relative to the end of
//! the table, then the chunks. Entries are 4 bytes wide, 8 where the decoded size needs more than
//! 32 bits; one chunk alone has no table. A chunk as long as its decoded form is stored as it is.
//!
//! Solid resource (version 0xE00 only): `u64 decoded size | u32 chunk size | u32 codec` (0 none,
//! 1 XPRESS, 2 LZX, 3 LZMS), then the encoded *size* of every chunk in 4 bytes each, then the chunks.
//!
//! Pipable resource: each chunk follows its own size in 4 bytes; a table comes after the last.
//!
//! Sources: ebiggers/wimlib `src/resource.c`, `include/wimlib/resource.h`.

use std::sync::{Arc, OnceLock};

use super::chunk_cache::ChunkCache;
use super::error::WimError;
use super::header::{Compression, Layout, ResourceFlags, ResourceHeader};
use crate::base::{Error, ErrorClass, Result};
use crate::codec::{self, Codec};
use crate::io::{ReadAt, read_vec};

/// How a resource's bytes are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// As they are.
    Raw,
    /// In chunks.
    Chunked(Compression, ChunkLayout),
}

/// Where the sizes of the chunks are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChunkLayout {
    /// Offsets in front.
    Offsets,
    /// A header of 16 bytes and sizes in front.
    Solid,
    /// Before each chunk.
    Prefixed,
}

/// A resource that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Resource {
    /// Where it begins in the file.
    pub(super) offset: u64,
    /// Bytes in the file.
    pub(super) size: u64,
    /// Bytes when decoded.
    pub(super) original_size: u64,
    pub(super) encoding: Encoding,
}

impl Resource {
    /// What an ordinary (not solid) resource header describes.
    pub(super) fn ordinary(
        header: &ResourceHeader,
        compression: Option<Compression>,
        layout: Layout,
    ) -> Result<Self, WimError> {
        let encoding = if header.flags.contains(ResourceFlags::COMPRESSED) {
            let compression = compression.ok_or_else(|| WimError::Damaged {
                what: "resource flags",
                offset: header.offset,
                expected: "no compressed resource in a file without a codec".to_owned(),
                found: format!("0x{:x}", header.flags.bits()),
            })?;
            let layout = match layout {
                Layout::Ordinary => ChunkLayout::Offsets,
                Layout::Pipable => ChunkLayout::Prefixed,
            };
            Encoding::Chunked(compression, layout)
        } else {
            if header.size != header.original_size {
                return Err(WimError::Damaged {
                    what: "size of an uncompressed resource",
                    offset: header.offset,
                    expected: header.original_size.to_string(),
                    found: header.size.to_string(),
                });
            }
            Encoding::Raw
        };
        Ok(Self { offset: header.offset, size: header.size, original_size: header.original_size, encoding })
    }

    /// Reads the header of a solid resource.
    pub(super) fn solid(source: &dyn ReadAt, header: &ResourceHeader) -> Result<Self> {
        let fixed = read_vec(source, header.offset, 16)?;
        let damaged = |what, expected: &str, found: String| WimError::Damaged {
            what,
            offset: header.offset,
            expected: expected.to_owned(),
            found,
        };
        let field = |at: usize| {
            fixed.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
        };
        let original_size = u64::from(field(0)) | (u64::from(field(4)) << 32);
        let chunk_size = field(8);
        let codec = match field(12) {
            0 => None,
            1 => Some(Codec::Xpress),
            2 => Some(Codec::Lzx),
            3 => Some(Codec::Lzms),
            other => {
                let found = other.to_string();
                return Err(damaged("codec of a solid resource", "0 to 3", found).into());
            }
        };
        if !chunk_size.is_power_of_two() {
            let found = chunk_size.to_string();
            return Err(damaged("chunk size of a solid resource", "a power of two", found).into());
        }
        let table =
            original_size.div_ceil(u64::from(chunk_size)).checked_mul(4).and_then(|n| n.checked_add(16));
        let Some(table) = table.filter(|&table| table <= header.size) else {
            let found = format!("{original_size} bytes in chunks of {chunk_size}");
            return Err(
                damaged("header of a solid resource", "a chunk table inside the resource", found).into()
            );
        };
        let (offset, size, encoding) = match codec {
            Some(codec) => {
                let compression = Compression::new(codec, chunk_size, header.offset + 8)?;
                (header.offset, header.size, Encoding::Chunked(compression, ChunkLayout::Solid))
            }
            None => (header.offset.saturating_add(table), header.size - table, Encoding::Raw),
        };
        if encoding == Encoding::Raw && size != original_size {
            let found = size.to_string();
            return Err(
                damaged("size of an unencoded solid resource", &original_size.to_string(), found).into()
            );
        }
        Ok(Self { offset, size, original_size, encoding })
    }

    /// Number of chunks; 0 for bytes stored as they are.
    pub(super) fn chunk_count(&self) -> u64 {
        match self.encoding {
            Encoding::Raw => 0,
            Encoding::Chunked(compression, _) => {
                self.original_size.div_ceil(u64::from(compression.chunk_size))
            }
        }
    }

    fn damaged(&self, what: &'static str, expected: String, found: String) -> WimError {
        WimError::Damaged { what, offset: self.offset, expected, found }
    }

    /// Fails when the resource reaches beyond the end of the file.
    pub(super) fn check_bounds(&self, source: &dyn ReadAt) -> Result<(), WimError> {
        match self.offset.checked_add(self.size) {
            Some(end) if end <= source.len() => Ok(()),
            _ => Err(self.damaged(
                "resource",
                format!("an end within the file of {} bytes", source.len()),
                format!("{} bytes from offset {}", self.size, self.offset),
            )),
        }
    }
}

/// Where one encoded chunk lies in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) offset: u64,
    pub(super) size: u32,
    /// Decoded.
    pub(super) length: u32,
}

impl Chunk {
    /// Whether it is stored as it is.
    pub(super) fn is_raw(self) -> bool {
        self.size == self.length
    }
}

/// The chunks of one resource.
#[derive(Debug)]
pub(super) struct ChunkTable {
    compression: Compression,
    /// Offset and encoded size.
    spans: Box<[(u64, u32)]>,
    original_size: u64,
}

impl ChunkTable {
    /// Reads and checks the table of a chunked resource.
    pub(super) fn read(source: &dyn ReadAt, resource: &Resource) -> Result<Self> {
        let Encoding::Chunked(compression, layout) = resource.encoding else {
            return Err(Error::new(
                ErrorClass::Internal,
                "a resource without chunks was asked for its chunks",
            ));
        };
        resource.check_bounds(source)?;
        let count = resource.chunk_count();
        let sizes = match layout {
            ChunkLayout::Offsets => Self::read_offsets(source, resource, count)?,
            ChunkLayout::Solid => Self::read_sizes(source, resource, count)?,
            ChunkLayout::Prefixed => Self::read_prefixes(source, resource, count, compression)?,
        };
        let table = Self { compression, spans: sizes.into(), original_size: resource.original_size };
        for (index, &(offset, size)) in table.spans.iter().enumerate() {
            let length = table.length(index as u64);
            let inside =
                offset.checked_add(size.into()).is_some_and(|end| end <= resource.offset + resource.size);
            if size == 0 || size > length || !inside {
                return Err(resource
                    .damaged(
                        "chunk table",
                        format!("chunk {index} of 1 to {length} bytes inside the resource"),
                        format!("{size} bytes at offset {offset}"),
                    )
                    .into());
            }
        }
        Ok(table)
    }

    fn length(&self, index: u64) -> u32 {
        let size = u64::from(self.compression.chunk_size);
        let rest = self.original_size.saturating_sub(index.saturating_mul(size));
        rest.min(size) as u32
    }

    fn read_table(
        source: &dyn ReadAt,
        resource: &Resource,
        skip: u64,
        entries: u64,
        width: u64,
    ) -> Result<Vec<u8>> {
        let bytes = entries
            .checked_mul(width)
            .filter(|bytes| bytes.checked_add(skip).is_some_and(|all| all <= resource.size));
        let Some(bytes) = bytes else {
            return Err(resource
                .damaged(
                    "chunk table",
                    format!("{entries} entries of {width} bytes"),
                    format!("a resource of {} bytes", resource.size),
                )
                .into());
        };
        read_vec(source, resource.offset + skip, bytes)
    }

    fn read_offsets(source: &dyn ReadAt, resource: &Resource, count: u64) -> Result<Vec<(u64, u32)>> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let width = if resource.original_size > u64::from(u32::MAX) { 8 } else { 4 };
        let table = Self::read_table(source, resource, 0, count - 1, width)?;
        let first = resource.offset + table.len() as u64;
        let end = resource.offset + resource.size;
        let mut spans = Vec::with_capacity(table.len() / width as usize + 1);
        let mut begin = first;
        let entries = table
            .chunks_exact(width as usize)
            .map(|entry| entry.iter().rev().fold(0u64, |value, &byte| (value << 8) | u64::from(byte)));
        let ends = entries.map(|offset| first.checked_add(offset)).chain(std::iter::once(Some(end)));
        for (index, next) in ends.enumerate() {
            let size =
                next.and_then(|next| next.checked_sub(begin)).and_then(|size| u32::try_from(size).ok());
            let (Some(next), Some(size)) = (next, size) else {
                return Err(resource
                    .damaged(
                        "chunk table",
                        "rising offsets".to_owned(),
                        format!("a fall after chunk {index}"),
                    )
                    .into());
            };
            spans.push((begin, size));
            begin = next;
        }
        Ok(spans)
    }

    fn read_sizes(source: &dyn ReadAt, resource: &Resource, count: u64) -> Result<Vec<(u64, u32)>> {
        let table = Self::read_table(source, resource, 16, count, 4)?;
        let mut begin = resource.offset + 16 + table.len() as u64;
        let mut spans = Vec::with_capacity(table.len() / 4);
        for entry in table.chunks_exact(4) {
            let size = entry.try_into().map_or(0, u32::from_le_bytes);
            spans.push((begin, size));
            begin = begin.saturating_add(size.into());
        }
        Ok(spans)
    }

    fn read_prefixes(
        source: &dyn ReadAt,
        resource: &Resource,
        count: u64,
        compression: Compression,
    ) -> Result<Vec<(u64, u32)>> {
        let end = resource.offset + resource.size;
        let mut begin = resource.offset;
        let mut spans = Vec::new();
        for index in 0..count {
            let mut prefix = [0; 4];
            if begin.saturating_add(4) > end {
                return Err(resource
                    .damaged(
                        "pipable resource",
                        format!("{count} chunks"),
                        format!("an end after chunk {index}"),
                    )
                    .into());
            }
            source.read_exact_at(&mut prefix, begin)?;
            let size = u32::from_le_bytes(prefix);
            if size == 0 || size > compression.chunk_size {
                return Err(resource
                    .damaged(
                        "size of a pipable chunk",
                        format!("1 to {}", compression.chunk_size),
                        format!("{size} at offset {begin}"),
                    )
                    .into());
            }
            spans.push((begin + 4, size));
            begin = begin.saturating_add(4).saturating_add(size.into());
        }
        Ok(spans)
    }

    /// One chunk.
    pub(super) fn chunk(&self, index: u64) -> Option<Chunk> {
        let &(offset, size) = self.spans.get(usize::try_from(index).ok()?)?;
        Some(Chunk { offset, size, length: self.length(index) })
    }

    /// How the chunks are encoded.
    pub(super) fn compression(&self) -> Compression {
        self.compression
    }

    /// What the table costs in a cache.
    pub(super) fn weight(&self) -> u64 {
        (self.spans.len() * size_of::<(u64, u32)>()) as u64 + 64
    }
}

/// Decodes one chunk into `output`, whose length is the chunk's.
pub(super) fn read_chunk(
    source: &dyn ReadAt,
    resource: &Resource,
    table: &ChunkTable,
    index: u64,
    output: &mut [u8],
) -> Result<()> {
    let chunk = table.chunk(index).filter(|chunk| chunk.length as usize == output.len());
    let Some(chunk) = chunk else {
        return Err(Error::new(
            ErrorClass::Internal,
            format!("chunk {index} was asked for with a wrong length"),
        ));
    };
    if chunk.is_raw() {
        return source.read_exact_at(output, chunk.offset);
    }
    let packed = read_vec(source, chunk.offset, chunk.size.into())?;
    decode_chunk(resource.offset, table.compression, index, &packed, output)
}

/// Decodes the bytes of one encoded chunk.
pub(super) fn decode_chunk(
    offset: u64,
    compression: Compression,
    index: u64,
    packed: &[u8],
    output: &mut [u8],
) -> Result<()> {
    codec::decompress(compression.codec, compression.chunk_size, packed, output)
        .map_err(|source| WimError::Chunk { offset, chunk: index, source }.into())
}

/// An opened file with the cache of its decoded chunks.
pub(super) struct Store {
    pub(super) file: Arc<dyn ReadAt>,
    pub(super) cache: ChunkCache,
}

/// Random access to (a part of) a resource.
pub(super) struct ResourceReader {
    store: Arc<Store>,
    resource: Resource,
    /// The part: a blob inside a solid resource, else everything.
    start: u64,
    length: u64,
    table: OnceLock<Arc<ChunkTable>>,
}

impl ResourceReader {
    /// A reader of `length` bytes from `start`; the caller has checked that they are inside.
    pub(super) fn new(store: Arc<Store>, resource: Resource, start: u64, length: u64) -> Self {
        Self { store, resource, start, length, table: OnceLock::new() }
    }

    fn table(&self) -> Result<&Arc<ChunkTable>> {
        if let Some(table) = self.table.get() {
            return Ok(table);
        }
        let table = self.store.cache.table(self.resource.offset, || {
            ChunkTable::read(&*self.store.file, &self.resource).map(Arc::new)
        })?;
        Ok(self.table.get_or_init(|| table))
    }
}

/// What happens to chunks that are asked for whole.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WholeChunks {
    /// They are kept: somebody reads chunk by chunk, or a short blob again and again.
    Keep,
    /// They go straight to the reader, so that bulk reads do not push out what random reads need.
    Pass,
}

impl ResourceReader {
    /// Reads without leaving anything in the cache, for those who read everything once.
    pub(super) fn read_once(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.read(buffer, offset, WholeChunks::Pass)
    }

    fn read(&self, buffer: &mut [u8], offset: u64, whole: WholeChunks) -> Result<()> {
        let end = offset.checked_add(buffer.len() as u64).filter(|&end| end <= self.length);
        if end.is_none() {
            return Err(Error::new(
                ErrorClass::Corrupt,
                format!("{} bytes at offset {offset} reach beyond the end at {}", buffer.len(), self.length),
            ));
        }
        let mut position = self.start + offset;
        let Encoding::Chunked(compression, _) = self.resource.encoding else {
            self.resource.check_bounds(&*self.store.file)?;
            return self.store.file.read_exact_at(buffer, self.resource.offset + position);
        };
        if buffer.is_empty() {
            return Ok(());
        }
        let table = self.table()?;
        let file = &*self.store.file;
        let chunk_size = u64::from(compression.chunk_size);
        let mut rest = buffer;
        while !rest.is_empty() {
            let index = position / chunk_size;
            let inside = (position % chunk_size) as usize;
            let length = table.chunk(index).map_or(0, |chunk| chunk.length as usize);
            let count = length.saturating_sub(inside).min(rest.len());
            let Some((target, after)) = rest.split_at_mut_checked(count).filter(|_| count > 0) else {
                return Err(Error::new(ErrorClass::Internal, format!("no chunk {index} in the resource")));
            };
            let key = (self.resource.offset, index);
            if count == length && whole == WholeChunks::Pass && !self.store.cache.holds(key) {
                read_chunk(file, &self.resource, table, index, target)?;
            } else {
                self.store.cache.read(key, length, inside, target, |output| {
                    read_chunk(file, &self.resource, table, index, output)
                })?;
            }
            position += count as u64;
            rest = after;
        }
        Ok(())
    }
}

impl ReadAt for ResourceReader {
    fn len(&self) -> u64 {
        self.length
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let several = match self.resource.encoding {
            Encoding::Chunked(compression, _) => buffer.len() > compression.chunk_size as usize,
            Encoding::Raw => false,
        };
        self.read(buffer, offset, if several { WholeChunks::Pass } else { WholeChunks::Keep })
    }
}

/// Reads a whole resource into memory, growing as chunks prove sound, so that a false size in a
/// damaged file cannot make it allocate what the file does not hold.
pub(super) fn read_whole(store: &Arc<Store>, resource: &Resource, limit: u64) -> Result<Vec<u8>> {
    resource.check_bounds(&*store.file)?;
    if resource.original_size > limit {
        return Err(resource
            .damaged("resource", format!("at most {limit} bytes"), resource.original_size.to_string())
            .into());
    }
    let reader = ResourceReader::new(store.clone(), *resource, 0, resource.original_size);
    let step = match resource.encoding {
        Encoding::Raw => 1 << 20,
        Encoding::Chunked(compression, _) => u64::from(compression.chunk_size),
    };
    let mut bytes = Vec::new();
    let mut position = 0;
    while position < resource.original_size {
        let count = step.min(resource.original_size - position);
        let from = bytes.len();
        bytes.resize(from + count as usize, 0);
        if let Some(target) = bytes.get_mut(from..) {
            reader.read_once(target, position)?;
        }
        position += count;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LZX: Compression = Compression { codec: Codec::Lzx, chunk_size: 1 << 21 };

    fn table(file: &[u8], original_size: u64, layout: ChunkLayout) -> Result<Vec<Chunk>> {
        let resource = Resource {
            offset: 0,
            size: file.len() as u64,
            original_size,
            encoding: Encoding::Chunked(LZX, layout),
        };
        let table = ChunkTable::read(&file.to_vec(), &resource)?;
        Ok((0..resource.chunk_count()).map(|index| table.chunk(index).unwrap()).collect())
    }

    /// Above 4 GiB the offsets take 8 bytes.
    #[test]
    fn wide_offsets() {
        let chunks = 2050u64;
        let original_size = (chunks - 1) * (1 << 21) + 5;
        assert!(original_size > 1 << 32);
        let mut file: Vec<u8> = (1..chunks).flat_map(|index| (index * 3).to_le_bytes()).collect();
        let first = file.len() as u64;
        file.resize(file.len() + chunks as usize * 3, 0);
        let found = table(&file, original_size, ChunkLayout::Offsets).unwrap();
        assert_eq!(found.len() as u64, chunks);
        assert_eq!(found[1], Chunk { offset: first + 3, size: 3, length: 1 << 21 });
        assert_eq!(found[2049], Chunk { offset: first + 2049 * 3, size: 3, length: 5 });
    }

    #[test]
    fn one_chunk_has_no_table() {
        let found = table(&[1, 2, 3], 3, ChunkLayout::Offsets).unwrap();
        assert_eq!(found, [Chunk { offset: 0, size: 3, length: 3 }]);
        assert!(found[0].is_raw());
        assert_eq!(table(&[], 0, ChunkLayout::Offsets).unwrap(), []);
    }

    #[test]
    fn damaged_tables_are_errors() {
        let two = (1 << 21) + 10;
        let cases: [(&[u8], u64, ChunkLayout, &str); 7] = [
            (&[], 5, ChunkLayout::Offsets, "chunk 0 of 1 to 5 bytes inside the resource, found 0 bytes"),
            (&[0; 6], 5, ChunkLayout::Offsets, "chunk 0 of 1 to 5 bytes inside the resource, found 6 bytes"),
            (&[0; 3], two, ChunkLayout::Offsets, "1 entries of 4 bytes, found a resource of 3 bytes"),
            (&[9, 0, 0, 0, 1, 1], two, ChunkLayout::Offsets, "rising offsets, found a fall after chunk 1"),
            (&[2, 0, 0, 0, 1, 1], two, ChunkLayout::Offsets, "chunk 1 of 1 to 10 bytes inside the resource"),
            (&[0; 24], two, ChunkLayout::Solid, "chunk 0 of 1 to 2097152 bytes inside the resource"),
            (&[1, 0, 0, 0, 7], two, ChunkLayout::Prefixed, "2 chunks, found an end after chunk 1"),
        ];
        for (file, original_size, layout, message) in cases {
            let error = table(file, original_size, layout).unwrap_err();
            assert_eq!(error.class(), ErrorClass::Corrupt);
            assert!(error.message().contains(message), "{error}");
        }
        // A false size does not allocate what it asks for.
        let error = table(&[0; 100], u64::MAX, ChunkLayout::Offsets).unwrap_err();
        assert!(error.message().contains("entries of 8 bytes, found a resource of 100 bytes"), "{error}");
    }
}
