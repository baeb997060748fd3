// SPDX-License-Identifier: GPL-3.0-or-later
//! The blob table: which resource holds the bytes of which SHA-1.
//!
//! An array of 50-byte entries:
//!
//! | offset | size | name | meaning |
//! |---|---|---|---|
//! | 0x00 | 24 | resource header | where the bytes are |
//! | 0x18 | 2 | part number | of the split set; 1 otherwise |
//! | 0x1A | 4 | reference count | names that lead to it; too low in many real files, never trusted |
//! | 0x1E | 20 | hash | SHA-1 of the decoded bytes |
//!
//! The N-th entry flagged METADATA belongs to image N. In version 0xE00 consecutive entries
//! flagged SOLID form a run: those with original size 2^32 are solid resources, the others are
//! blobs, whose `offset` counts through the decoded bytes of all resources of the run in order and
//! whose `size` is their length. In version 0x10D00 the SOLID flag has no meaning.
//!
//! Source: ebiggers/wimlib `src/blob_table.c`.

use std::collections::HashSet;

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::error::WimError;
use super::header::{Header, ResourceFlags, ResourceHeader, ResourceHeaderRaw};
use super::resource::Resource;
use crate::base::{BlobHash, Result};
use crate::io::ReadAt;

/// Length of an entry.
pub(super) const ENTRY_SIZE: u64 = 50;
/// The original size that tells a solid resource from a blob in it.
pub(super) const SOLID_RESOURCE: u64 = 1 << 32;

/// An entry as stored.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub(super) struct EntryRaw {
    pub(super) resource: ResourceHeaderRaw,
    pub(super) part_number: U16,
    pub(super) references: U32,
    pub(super) hash: [u8; 20],
}

const _: () = assert!(size_of::<EntryRaw>() as u64 == ENTRY_SIZE);

impl EntryRaw {
    pub(super) fn header(&self) -> ResourceHeader {
        self.resource.into()
    }
}

/// A blob inside a solid resource.
#[derive(Clone, Copy, Debug)]
struct SolidBlob {
    entry: u32,
    resource: u32,
    start: u64,
}

/// Where the bytes of a blob are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Location {
    /// Number of the table entry.
    pub(super) entry: u32,
    pub(super) resource: Resource,
    /// Where the blob begins in the decoded resource; 0 unless that is solid.
    pub(super) start: u64,
    pub(super) length: u64,
    /// Whether other blobs are in the same resource.
    pub(super) solid: bool,
}

/// The checked table. Entries keep their stored form, so that it can be written again.
#[derive(Debug, Default)]
pub(super) struct BlobTable {
    pub(super) entries: Vec<EntryRaw>,
    /// Entry numbers of the images' metadata, in image order.
    pub(super) metadata: Vec<u32>,
    /// First bytes of the hash with the entry number, sorted.
    by_hash: Vec<(u64, u32)>,
    pub(super) solid: Vec<Resource>,
    solid_blobs: Vec<SolidBlob>,
    pub(super) warnings: Vec<String>,
}

fn prefix(hash: &[u8; 20]) -> u64 {
    hash.iter().take(8).fold(0, |value, &byte| (value << 8) | u64::from(byte))
}

impl BlobTable {
    /// Checks the table's bytes; `source` is read for the headers of solid resources.
    pub(super) fn parse(bytes: &[u8], header: &Header, source: &dyn ReadAt) -> Result<Self> {
        let count = bytes.len() / ENTRY_SIZE as usize;
        let mut table = Self::default();
        let entries = bytes
            .get(..count * ENTRY_SIZE as usize)
            .and_then(|bytes| <[EntryRaw]>::ref_from_bytes(bytes).ok())
            .unwrap_or_default();
        table.entries = entries.to_vec();
        let mut run = Vec::new();
        for (number, entry) in entries.iter().enumerate() {
            let number = number as u32;
            let resource = entry.header();
            if header.has_solid() && resource.flags.contains(ResourceFlags::SOLID) {
                run.push(number);
                continue;
            }
            table.solid_run(&run, source)?;
            run.clear();
            if resource.flags.contains(ResourceFlags::METADATA) {
                table.metadata.push(number);
            } else {
                table.add_blob(number);
            }
        }
        table.solid_run(&run, source)?;
        table.index();
        table.check_metadata(header)?;
        Ok(table)
    }

    fn check_metadata(&mut self, header: &Header) -> Result<(), WimError> {
        let found = self.metadata.len();
        let expected = header.image_count as usize;
        if found > expected && header.part_number == 1 {
            self.warnings.push(format!(
                "the blob table has {found} metadata entries for {expected} images; the last ones are ignored"
            ));
            self.metadata.truncate(expected);
        }
        if found < expected && header.part_number == 1 {
            return Err(WimError::Damaged {
                what: "blob table",
                offset: header.blob_table.offset,
                expected: format!("{expected} metadata entries"),
                found: found.to_string(),
            });
        }
        Ok(())
    }

    /// Resolves one run of solid entries. Resources first: their order fixes what offsets mean.
    fn solid_run(&mut self, run: &[u32], source: &dyn ReadAt) -> Result<()> {
        // Number and range, in the run's decoded bytes, of each resource.
        let mut resources: Vec<(u32, u64, u64)> = Vec::new();
        let mut end = 0u64;
        for &number in run {
            let Some(entry) = self.entries.get(number as usize) else { continue };
            let header = entry.header();
            if header.original_size == SOLID_RESOURCE {
                let resource = Resource::solid(source, &header)?;
                let start = end;
                end = end.checked_add(resource.original_size).ok_or_else(|| WimError::Damaged {
                    what: "solid resources",
                    offset: header.offset,
                    expected: "a total below 2^64".to_owned(),
                    found: resource.original_size.to_string(),
                })?;
                resources.push((self.solid.len() as u32, start, end));
                self.solid.push(resource);
            }
        }
        for &number in run {
            let Some(entry) = self.entries.get(number as usize) else { continue };
            let header = entry.header();
            if header.original_size == SOLID_RESOURCE {
                continue;
            }
            let blob_end = header.offset.checked_add(header.size);
            let position = resources.partition_point(|&(_, _, end)| end <= header.offset);
            let found = resources.get(position).filter(|&&(_, start, end)| {
                start <= header.offset && blob_end.is_some_and(|blob| blob <= end)
            });
            let Some(&(resource, start, _)) = found else {
                return Err(WimError::Damaged {
                    what: "solid blob",
                    offset: header.offset,
                    expected: "a range inside one solid resource".to_owned(),
                    found: format!("{} bytes of {end}", header.size),
                }
                .into());
            };
            self.solid_blobs.push(SolidBlob { entry: number, resource, start: header.offset - start });
            self.add_blob(number);
        }
        Ok(())
    }

    fn add_blob(&mut self, number: u32) {
        let Some(entry) = self.entries.get(number as usize) else { return };
        if entry.hash == [0; 20] {
            self.warnings.push(format!("entry {number} of the blob table has no hash and is ignored"));
        } else {
            self.by_hash.push((prefix(&entry.hash), number));
        }
    }

    /// The lengths of all blobs.
    pub(super) fn lengths(&self) -> HashSet<u64> {
        (0..self.entries.len() as u32).filter_map(|entry| self.length(entry)).collect()
    }

    /// Sorts the index; of several entries with one hash the first stays.
    fn index(&mut self) {
        self.by_hash.sort_unstable();
        let entries = &self.entries;
        let hash = |number: u32| entries.get(number as usize).map(|entry| entry.hash);
        let mut kept: Vec<(u64, u32)> = Vec::with_capacity(self.by_hash.len());
        for &(key, number) in &self.by_hash {
            let twin = kept
                .iter()
                .rev()
                .take_while(|(other, _)| *other == key)
                .any(|&(_, other)| hash(other) == hash(number));
            if !twin {
                kept.push((key, number));
            }
        }
        self.by_hash = kept;
        self.solid_blobs.sort_unstable_by_key(|blob| blob.entry);
    }

    /// The entry number of a blob.
    pub(super) fn find(&self, hash: BlobHash) -> Option<u32> {
        let key = prefix(&hash.0);
        let from = self.by_hash.partition_point(|&(other, _)| other < key);
        self.by_hash
            .get(from..)?
            .iter()
            .take_while(|&&(other, _)| other == key)
            .map(|&(_, number)| number)
            .find(|&number| self.entries.get(number as usize).is_some_and(|entry| entry.hash == hash.0))
    }

    /// Decoded length of a blob by its entry number.
    pub(super) fn length(&self, number: u32) -> Option<u64> {
        let header = self.entries.get(number as usize)?.header();
        Some(if self.solid_blob(number).is_some() { header.size } else { header.original_size })
    }

    fn solid_blob(&self, number: u32) -> Option<&SolidBlob> {
        let position = self.solid_blobs.binary_search_by_key(&number, |blob| blob.entry).ok()?;
        self.solid_blobs.get(position)
    }

    /// Where the bytes of an entry are.
    pub(super) fn locate(&self, number: u32, header: &Header) -> Result<Option<Location>, WimError> {
        let Some(entry) = self.entries.get(number as usize) else { return Ok(None) };
        let resource = entry.header();
        if let Some(blob) = self.solid_blob(number) {
            return Ok(self.solid.get(blob.resource as usize).map(|&solid| Location {
                entry: number,
                resource: solid,
                start: blob.start,
                length: resource.size,
                solid: true,
            }));
        }
        let resource = Resource::ordinary(&resource, header.compression, header.layout)?;
        Ok(Some(Location { entry: number, resource, start: 0, length: resource.original_size, solid: false }))
    }

    /// The blobs, each hash once: (hash, entry number), in the order of the hashes.
    pub(super) fn blobs(&self) -> impl Iterator<Item = (BlobHash, u32)> {
        self.by_hash
            .iter()
            .filter_map(|&(_, number)| Some((BlobHash(self.entries.get(number as usize)?.hash), number)))
    }

    /// Blobs of a solid resource: (start, length, entry number), by start.
    pub(super) fn blobs_of_solid(&self, resource: usize) -> Vec<(u64, u64, u32)> {
        let mut blobs: Vec<_> = self
            .solid_blobs
            .iter()
            .filter(|blob| blob.resource as usize == resource)
            .filter_map(|blob| {
                let header = self.entries.get(blob.entry as usize)?.header();
                Some((blob.start, header.size, blob.entry))
            })
            .collect();
        blobs.sort_unstable();
        blobs
    }

    /// How many blobs there are.
    pub(super) fn blob_count(&self) -> u64 {
        self.by_hash.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Codec;
    use crate::wim::header::{Compression, HeaderRaw};
    use crate::wim::resource::{ChunkLayout, Encoding};
    use zerocopy::FromZeros;

    fn header(version: u32) -> Header {
        let mut raw = HeaderRaw::new_zeroed();
        raw.magic = *b"MSWIM\0\0\0";
        raw.size = U32::new(208);
        raw.version = U32::new(version);
        raw.flags = U32::new(0x8_0002);
        raw.chunk_size = U32::new(32768);
        raw.part_number = U16::new(1);
        raw.total_parts = U16::new(1);
        Header::read(&raw.as_bytes().to_vec(), "x").unwrap()
    }

    fn entry(size: u64, flags: ResourceFlags, offset: u64, original_size: u64, hash: u8) -> EntryRaw {
        EntryRaw {
            resource: ResourceHeader { size, flags, offset, original_size }.into(),
            part_number: U16::new(1),
            references: U32::new(1),
            hash: [hash; 20],
        }
    }

    /// Two solid resources in one run, the second behind the blobs of the first.
    #[test]
    fn a_run_goes_on_after_an_append() {
        let solid = ResourceFlags::SOLID;
        let mut file = vec![0; 200];
        for (at, size) in [(10usize, 1000u64), (100, 500)] {
            file[at..at + 8].copy_from_slice(&size.to_le_bytes());
            file[at + 8..at + 12].copy_from_slice(&32768u32.to_le_bytes());
            file[at + 12..at + 16].copy_from_slice(&3u32.to_le_bytes());
        }
        let entries = [
            entry(50, solid, 10, SOLID_RESOURCE, 0),
            entry(600, solid, 0, 0, 1),
            entry(400, solid, 600, 0, 2),
            entry(40, solid, 100, SOLID_RESOURCE, 0),
            entry(500, solid, 1000, 0, 3),
            entry(7, ResourceFlags::empty(), 150, 7, 4),
            entry(7, ResourceFlags::empty(), 160, 7, 4),
        ];
        let table = BlobTable::parse(entries.as_bytes(), &header(0xE00), &file).unwrap();
        let locate = |hash: u8| {
            let number = table.find(BlobHash([hash; 20])).unwrap();
            let location = table.locate(number, &header(0xE00)).unwrap().unwrap();
            (location.entry, location.resource.offset, location.start, location.length)
        };
        assert_eq!(locate(1), (1, 10, 0, 600));
        assert_eq!(locate(2), (2, 10, 600, 400));
        assert_eq!(locate(3), (4, 100, 0, 500));
        assert_eq!(locate(4), (5, 150, 0, 7));
        assert_eq!(table.find(BlobHash([9; 20])), None);
        assert_eq!(table.blob_count(), 4);
        assert!(table.warnings.is_empty());
        let compression = Compression { codec: Codec::Lzms, chunk_size: 32768 };
        assert_eq!(table.solid[1].encoding, Encoding::Chunked(compression, ChunkLayout::Solid));

        let straddling = [entries[0], entry(401, solid, 600, 0, 2)];
        let error = BlobTable::parse(straddling.as_bytes(), &header(0xE00), &file).unwrap_err();
        assert_eq!(
            error.to_string(),
            "solid blob at offset 600 is damaged: expected a range inside one solid resource, \
             found 401 bytes of 1000"
        );
        let ignored = BlobTable::parse(straddling.as_bytes(), &header(0x10D00), &file).unwrap();
        assert_eq!(ignored.blob_count(), 1);
        assert_eq!(ignored.warnings.len(), 1);
    }
}
