// SPDX-License-Identifier: GPL-3.0-or-later
//! The integrity table: SHA-1 of the file in pieces.
//!
//! `u32 total size | u32 entries | u32 chunk size (10,485,760) | entries * 20-byte SHA-1`. It covers
//! the bytes from the end of the header to the end of the blob table, whatever lies there; header,
//! XML and the table itself are left out. Sources: ebiggers/wimlib `src/integrity.c`; confirmed on
//! Microsoft's boot.wim and install.esd by Pandapip1/gowim `wim/README.md`.

use std::sync::Arc;

use rayon::prelude::*;

use super::error::WimError;
use super::file::TABLE_LIMIT;
use super::header::{HEADER_SIZE, Header, Layout};
use super::resource::{Resource, Store, read_whole};
use crate::base::Result;
use crate::digest::Sha1;
use crate::io::{Cancel, ReadAt};

/// What Microsoft and wimlib write.
const DEFAULT_CHUNK_SIZE: u32 = 10_485_760;
/// What wimlib takes over from an existing table.
const REUSABLE_CHUNK_SIZES: std::ops::RangeInclusive<u32> = 4096..=134_217_728;
const PIECE: u64 = 1 << 20;

/// A table that was read or made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IntegrityTable {
    pub(super) chunk_size: u32,
    pub(super) hashes: Vec<[u8; 20]>,
}

impl IntegrityTable {
    /// Reads the table that the header names.
    pub(super) fn read(store: &Arc<Store>, header: &Header) -> Result<Self> {
        let resource = Resource::ordinary(&header.integrity, header.compression, Layout::Ordinary)?;
        let bytes = read_whole(store, &resource, TABLE_LIMIT)?;
        let damaged = |found: String| WimError::Damaged {
            what: "integrity table",
            offset: header.integrity.offset,
            expected: "12 bytes and 20 for each entry".to_owned(),
            found,
        };
        let field =
            |at: usize| bytes.get(at..at + 4).and_then(|field| field.try_into().ok()).map(u32::from_le_bytes);
        let (Some(size), Some(count), Some(chunk_size)) = (field(0), field(4), field(8)) else {
            return Err(damaged(format!("{} bytes", bytes.len())).into());
        };
        let expected = u64::from(count) * 20 + 12;
        if u64::from(size) != expected || bytes.len() as u64 != expected || chunk_size == 0 {
            return Err(damaged(format!(
                "{count} entries of {chunk_size} bytes in {size} of {} bytes",
                bytes.len()
            ))
            .into());
        }
        let hashes = bytes.get(12..).unwrap_or_default().chunks_exact(20);
        Ok(Self { chunk_size, hashes: hashes.filter_map(|hash| hash.try_into().ok()).collect() })
    }

    /// The range that the table of a file covers.
    fn covered(header: &Header) -> (u64, u64) {
        let end = header.blob_table.end().unwrap_or(u64::MAX);
        (HEADER_SIZE, end.max(HEADER_SIZE))
    }

    /// The pieces whose hash differs: where they begin and end. A table of another length is one
    /// difference of the whole.
    pub(super) fn check(
        &self,
        source: &dyn ReadAt,
        header: &Header,
        cancel: &Cancel,
    ) -> Result<Vec<(u64, u64)>> {
        let (start, end) = Self::covered(header);
        if (end - start).div_ceil(self.chunk_size.into()) != self.hashes.len() as u64 {
            return Ok(vec![(start, end)]);
        }
        let pieces = pieces(start, end, self.chunk_size);
        let bad: Vec<Option<(u64, u64)>> = pieces
            .par_iter()
            .zip(&self.hashes)
            .map(|(&(from, to), expected)| {
                cancel.check()?;
                Ok((hash(source, from, to)? != *expected).then_some((from, to)))
            })
            .collect::<Result<_>>()?;
        Ok(bad.into_iter().flatten().collect())
    }

    /// The table for a file whose blob table ends at `end`. Hashes of pieces that end before the
    /// blob table of `old` did are taken over: those bytes have not changed. `source` must read what
    /// is in the file now, not what it held when it was opened.
    pub(super) fn updated(
        old: Option<(&Self, &Header)>,
        source: &dyn ReadAt,
        end: u64,
        cancel: &Cancel,
    ) -> Result<Self> {
        let old = old.filter(|(table, _)| REUSABLE_CHUNK_SIZES.contains(&table.chunk_size));
        let chunk_size = old.map_or(DEFAULT_CHUNK_SIZE, |(table, _)| table.chunk_size);
        let old_end = old.map_or(0, |(_, header)| Self::covered(header).1);
        let hashes = pieces(HEADER_SIZE, end, chunk_size)
            .into_par_iter()
            .enumerate()
            .map(|(number, (from, to))| {
                let full = to - from == u64::from(chunk_size);
                let known =
                    old.filter(|_| full && to <= old_end).and_then(|(table, _)| table.hashes.get(number));
                match known {
                    Some(hash) => Ok(*hash),
                    None => {
                        cancel.check()?;
                        hash(source, from, to)
                    }
                }
            })
            .collect::<Result<_>>()?;
        Ok(Self { chunk_size, hashes })
    }

    /// The table as stored.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let size = 12 + 20 * self.hashes.len();
        let mut bytes = Vec::with_capacity(size);
        for field in [size as u32, self.hashes.len() as u32, self.chunk_size] {
            bytes.extend(field.to_le_bytes());
        }
        bytes.extend(self.hashes.as_flattened());
        bytes
    }
}

fn pieces(start: u64, end: u64, chunk_size: u32) -> Vec<(u64, u64)> {
    let step = u64::from(chunk_size.max(1));
    let count = (end - start).div_ceil(step);
    (0..count).map(|number| (start + number * step, end.min(start + (number + 1) * step))).collect()
}

fn hash(source: &dyn ReadAt, from: u64, to: u64) -> Result<[u8; 20]> {
    let mut digest = Sha1::default();
    let mut buffer = Vec::new();
    let mut position = from;
    while position < to {
        let count = PIECE.min(to - position);
        buffer.resize(count as usize, 0);
        source.read_exact_at(&mut buffer, position)?;
        digest.update(&buffer);
        position += count;
    }
    Ok(digest.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_the_range() {
        assert_eq!(pieces(208, 208, 10), []);
        assert_eq!(pieces(208, 229, 10), [(208, 218), (218, 228), (228, 229)]);
        let table = IntegrityTable { chunk_size: 7, hashes: vec![[1; 20], [2; 20]] };
        let bytes = table.to_bytes();
        assert_eq!(bytes[..12], [52, 0, 0, 0, 2, 0, 0, 0, 7, 0, 0, 0]);
        assert_eq!(bytes.len(), 52);
    }
}
