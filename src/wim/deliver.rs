// SPDX-License-Identifier: GPL-3.0-or-later
//! Handing out many blobs: each is read and decoded once, on all cores, checked against its SHA-1,
//! and given to whoever asked.
//!
//! Blobs of their own are taken in the order of the file, several at once; a long one is decoded in
//! windows of chunks, the next window while the one before is hashed and taken. Solid resources are
//! decoded front to back, only the chunks that hold something wanted, and their blobs are taken as
//! they become whole.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::error::WimError;
use super::file::{Wim, internal};
use super::resource::{ChunkTable, Encoding, Resource, decode_chunk, read_chunk};
use crate::base::{BlobHash, Context, Result};
use crate::digest::{Sha1, sha1};
use crate::io::{Cancel, Pool, ReadAt, read_vec};

/// Blobs up to here are handed out in one piece.
const WHOLE: u64 = 4 << 20;
/// How much of a longer blob is decoded at once.
const WINDOW: u64 = 16 << 20;
/// Decoded chunks of solid resources that are held at once, unless two are more than that.
const SOLID_WINDOW: u64 = 64 << 20;

/// Takes blobs as they are decoded. Several are taken at once by several threads.
pub trait BlobSink: Sync {
    /// A blob that is taken in pieces.
    type Open: Send;

    /// Takes a blob that is whole and sound.
    ///
    /// # Errors
    /// What the taker says; the delivery ends with it.
    fn whole(&self, blob: usize, bytes: &[u8]) -> Result<()>;

    /// Begins to take a blob in pieces; it is known to be sound only at its end.
    ///
    /// # Errors
    /// As [`BlobSink::whole`].
    fn begin(&self, blob: usize, length: u64) -> Result<Self::Open>;

    /// Takes the next piece.
    ///
    /// # Errors
    /// As [`BlobSink::whole`].
    fn piece(&self, open: &mut Self::Open, bytes: &[u8]) -> Result<()>;

    /// All pieces were taken and the blob is sound.
    ///
    /// # Errors
    /// As [`BlobSink::whole`].
    fn end(&self, blob: usize, open: Self::Open) -> Result<()>;
}

/// A wanted blob that has a resource of its own.
struct Single {
    blob: usize,
    hash: BlobHash,
    resource: Resource,
}

/// A wanted blob in a solid resource.
struct Shared<O> {
    blob: usize,
    hash: BlobHash,
    start: u64,
    end: u64,
    digest: Sha1,
    open: Option<O>,
    done: bool,
}

/// The wanted blobs of one solid resource.
struct Group<O> {
    resource: Resource,
    blobs: Vec<Shared<O>>,
}

struct Delivery<'a, S> {
    wim: &'a Wim,
    sink: &'a S,
    cancel: &'a Cancel,
    threads: u64,
}

impl Wim {
    /// Decodes every one of these blobs once and gives it to the sink under its place in the list.
    /// Of a split set the parts are read one after the other.
    ///
    /// # Errors
    /// When a blob is missing or damaged, when the sink fails, or stopping was asked for. What the
    /// sink has taken by then is not undone.
    pub fn deliver<S: BlobSink>(
        &self,
        blobs: &[BlobHash],
        sink: &S,
        pool: &Pool,
        cancel: &Cancel,
    ) -> Result<()> {
        let parts: Vec<&Self> = std::iter::once(self).chain(self.other_parts()).collect();
        let mut wanted: Vec<Vec<(usize, BlobHash)>> = parts.iter().map(|_| Vec::new()).collect();
        for (blob, hash) in blobs.iter().enumerate().filter(|(_, hash)| !hash.is_zero()) {
            let holder = parts.iter().position(|part| part.holds(*hash));
            match holder.and_then(|part| wanted.get_mut(part)) {
                Some(list) => list.push((blob, *hash)),
                // Says in the words of the room what is missing and where it should be.
                None => drop(self.blob(*hash)?),
            }
        }
        for (part, list) in parts.into_iter().zip(wanted) {
            let delivery = Delivery { wim: part, sink, cancel, threads: pool.threads() as u64 };
            pool.run(|| delivery.run(&list))
                .context(|| format!("while reading {}", part.path().display()))?;
        }
        Ok(())
    }

    /// Whether this file itself holds a blob.
    fn holds(&self, hash: BlobHash) -> bool {
        let inner = self.inner();
        let entry = inner.table.find(hash).and_then(|entry| inner.table.entries.get(entry as usize));
        entry.is_some_and(|entry| entry.part_number.get() == inner.header.part_number)
    }
}

impl<S: BlobSink> Delivery<'_, S> {
    fn file(&self) -> &dyn ReadAt {
        &*self.wim.inner().store.file
    }

    fn run(&self, wanted: &[(usize, BlobHash)]) -> Result<()> {
        let inner = self.wim.inner();
        let mut singles = Vec::new();
        let mut groups: BTreeMap<u64, Group<S::Open>> = BTreeMap::new();
        for &(blob, hash) in wanted {
            let entry = inner.table.find(hash).ok_or_else(|| internal("a lost entry"))?;
            let location =
                inner.table.locate(entry, &inner.header)?.ok_or_else(|| internal("a lost blob"))?;
            if location.solid {
                let group = groups
                    .entry(location.resource.offset)
                    .or_insert_with(|| Group { resource: location.resource, blobs: Vec::new() });
                group.blobs.push(Shared {
                    blob,
                    hash,
                    start: location.start,
                    end: location.start + location.length,
                    digest: Sha1::default(),
                    open: None,
                    done: false,
                });
            } else {
                singles.push(Single { blob, hash, resource: location.resource });
            }
        }
        for Group { resource, mut blobs } in groups.into_values() {
            blobs.sort_unstable_by_key(|blob| blob.start);
            self.solid(&resource, blobs)?;
        }
        singles.sort_unstable_by_key(|single| single.resource.offset);
        let (long, short): (Vec<_>, Vec<_>) =
            singles.into_iter().partition(|single| single.resource.original_size > WHOLE);
        long.iter().try_for_each(|single| self.long(single))?;
        short.par_iter().try_for_each_init(Buffers::default, |buffers, single| {
            self.cancel.check()?;
            self.short(single, buffers)
        })
    }

    fn compare(&self, expected: BlobHash, found: [u8; 20], resource: &Resource) -> Result<()> {
        if expected.0 == found {
            return Ok(());
        }
        let (what, found) = (format!("blob {expected}"), BlobHash(found));
        Err(WimError::Hash { what, offset: resource.offset, expected, found }.into())
    }

    /// Reads the resource at once and decodes it whole.
    fn short(&self, single: &Single, buffers: &mut Buffers) -> Result<()> {
        let Single { resource, hash, blob } = single;
        resource.check_bounds(self.file())?;
        let too_long = || internal("a short resource is long");
        let length = usize::try_from(resource.original_size).map_err(|_| too_long())?;
        // An encoded resource is never longer than what it holds and its chunk table.
        let stored = usize::try_from(resource.size).map_err(|_| too_long())?;
        if let Encoding::Raw = resource.encoding {
            let bytes = buffers.plain(length);
            self.file().read_exact_at(bytes, resource.offset)?;
            self.compare(*hash, sha1(bytes), resource)?;
            return self.sink.whole(*blob, bytes);
        }
        if stored > length.saturating_mul(2).saturating_add(4096) {
            return Err(WimError::Damaged {
                what: "resource",
                offset: resource.offset,
                expected: format!("at most about {length} bytes"),
                found: stored.to_string(),
            }
            .into());
        }
        buffers.packed.resize(stored.max(buffers.packed.len()), 0);
        let packed = buffers.packed.get_mut(..stored).ok_or_else(too_long)?;
        self.file().read_exact_at(packed, resource.offset)?;
        let held = Held { start: resource.offset, bytes: packed };
        let table = ChunkTable::read(&held, resource)?;
        buffers.plain.resize(length.max(buffers.plain.len()), 0);
        let plain = buffers.plain.get_mut(..length).ok_or_else(too_long)?;
        let chunk_size = table.compression().chunk_size as usize;
        for (index, output) in plain.chunks_mut(chunk_size).enumerate() {
            let index = index as u64;
            let chunk = table.chunk(index).ok_or_else(too_long)?;
            let input = held.range(chunk.offset, chunk.size as usize).ok_or_else(too_long)?;
            if chunk.is_raw() && input.len() == output.len() {
                output.copy_from_slice(input);
            } else {
                decode_chunk(resource.offset, table.compression(), index, input, output)?;
            }
        }
        self.compare(*hash, sha1(plain), resource)?;
        self.sink.whole(*blob, plain)
    }

    /// Decodes the next window while the one before is hashed and taken.
    fn long(&self, single: &Single) -> Result<()> {
        let Single { resource, hash, blob } = single;
        resource.check_bounds(self.file())?;
        let table = match resource.encoding {
            Encoding::Raw => None,
            Encoding::Chunked(..) => Some(ChunkTable::read(self.file(), resource)?),
        };
        let mut open = self.sink.begin(*blob, resource.original_size)?;
        let mut digest = Sha1::default();
        let mut window = self.window(resource, table.as_ref(), 0)?;
        let mut position = window.len() as u64;
        while !window.is_empty() {
            self.cancel.check()?;
            let (next, taken) = rayon::join(
                || self.window(resource, table.as_ref(), position),
                || {
                    digest.update(&window);
                    self.sink.piece(&mut open, &window)
                },
            );
            taken?;
            window = next?;
            position += window.len() as u64;
        }
        self.compare(*hash, digest.finish(), resource)?;
        self.sink.end(*blob, open)
    }

    fn window(&self, resource: &Resource, table: Option<&ChunkTable>, from: u64) -> Result<Vec<u8>> {
        let length = WINDOW.min(resource.original_size.saturating_sub(from));
        let Some(table) = table else {
            return read_vec(self.file(), resource.offset + from, length);
        };
        // Windows begin at chunks: chunk sizes are powers of two, at most 2 MiB outside of solid ones.
        let chunk_size = u64::from(table.compression().chunk_size);
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| internal("a window is too long"))?];
        bytes.par_chunks_mut(chunk_size as usize).enumerate().try_for_each(|(index, output)| {
            read_chunk(self.file(), resource, table, from / chunk_size + index as u64, output)
        })?;
        Ok(bytes)
    }

    fn solid(&self, resource: &Resource, mut blobs: Vec<Shared<S::Open>>) -> Result<()> {
        let (chunk_size, table) = match resource.encoding {
            Encoding::Raw => (1 << 20, None),
            Encoding::Chunked(compression, _) => {
                (u64::from(compression.chunk_size), Some(ChunkTable::read(self.file(), resource)?))
            }
        };
        resource.check_bounds(self.file())?;
        let per_window = self.threads.max(SOLID_WINDOW / chunk_size);
        for blob in blobs.iter_mut().filter(|blob| blob.start == blob.end) {
            self.compare(blob.hash, sha1(&[]), resource)?;
            blob.done = true;
            self.sink.whole(blob.blob, &[])?;
        }
        // Only the chunks that hold something wanted; blobs are sorted, and so are their chunks.
        let mut chunks: Vec<u64> = Vec::new();
        for blob in blobs.iter().filter(|blob| blob.start < blob.end) {
            let first = (blob.start / chunk_size).max(chunks.last().map_or(0, |last| last + 1));
            chunks.extend(first..blob.end.div_ceil(chunk_size));
        }
        let per_window = usize::try_from(per_window).unwrap_or(1).max(1);
        for indexes in chunks.chunks(per_window) {
            self.cancel.check()?;
            let window: Vec<(u64, Vec<u8>)> = indexes
                .par_iter()
                .map(|&index| {
                    self.solid_chunk(resource, table.as_ref(), chunk_size, index).map(|chunk| (index, chunk))
                })
                .collect::<Result<_>>()?;
            let begin = indexes.first().map_or(0, |first| first * chunk_size);
            let end = indexes.last().map_or(0, |last| (last + 1) * chunk_size);
            let touched = blobs.partition_point(|blob| blob.end <= begin);
            let beyond = blobs.partition_point(|blob| blob.start < end);
            blobs
                .get_mut(touched..beyond)
                .unwrap_or_default()
                .par_iter_mut()
                .try_for_each(|blob| self.share(resource, &window, chunk_size, blob))?;
        }
        // Blobs that lie in one another are found by no window.
        match blobs.iter().find(|blob| !blob.done) {
            None => Ok(()),
            Some(blob) => Err(WimError::Damaged {
                what: "solid resource",
                offset: resource.offset,
                expected: "blobs one behind the other".to_owned(),
                found: format!("blob {} across others", blob.hash),
            }
            .into()),
        }
    }

    fn solid_chunk(
        &self,
        resource: &Resource,
        table: Option<&ChunkTable>,
        chunk_size: u64,
        index: u64,
    ) -> Result<Vec<u8>> {
        let start = index * chunk_size;
        let length = chunk_size.min(resource.original_size.saturating_sub(start));
        match table {
            None => read_vec(self.file(), resource.offset + start, length),
            Some(table) => {
                let mut chunk =
                    vec![0; usize::try_from(length).map_err(|_| internal("a chunk is too long"))?];
                read_chunk(self.file(), resource, table, index, &mut chunk)?;
                Ok(chunk)
            }
        }
    }

    /// Gives a blob its part of a window of chunks.
    fn share(
        &self,
        resource: &Resource,
        window: &[(u64, Vec<u8>)],
        chunk_size: u64,
        blob: &mut Shared<S::Open>,
    ) -> Result<()> {
        self.cancel.check()?;
        let from = window.partition_point(|(index, _)| (index + 1) * chunk_size <= blob.start);
        for (index, chunk) in window.get(from..).unwrap_or_default() {
            let chunk_start = index * chunk_size;
            let (start, end) = (blob.start.max(chunk_start), blob.end.min(chunk_start + chunk_size));
            if start >= end {
                break;
            }
            // Both lie inside the chunk, which is in memory.
            let range = (start - chunk_start) as usize..(end - chunk_start) as usize;
            let bytes = chunk.get(range).ok_or_else(|| internal("a chunk is too short"))?;
            if (start, end) == (blob.start, blob.end) {
                self.compare(blob.hash, sha1(bytes), resource)?;
                blob.done = true;
                return self.sink.whole(blob.blob, bytes);
            }
            let mut open = match blob.open.take() {
                Some(open) => open,
                None => self.sink.begin(blob.blob, blob.end - blob.start)?,
            };
            blob.digest.update(bytes);
            self.sink.piece(&mut open, bytes)?;
            if end < blob.end {
                blob.open = Some(open);
            } else {
                self.compare(blob.hash, std::mem::take(&mut blob.digest).finish(), resource)?;
                blob.done = true;
                self.sink.end(blob.blob, open)?;
            }
        }
        Ok(())
    }
}

/// What a worker uses again for each short blob.
#[derive(Default)]
struct Buffers {
    packed: Vec<u8>,
    plain: Vec<u8>,
}

impl Buffers {
    fn plain(&mut self, length: usize) -> &mut [u8] {
        self.plain.resize(length.max(self.plain.len()), 0);
        self.plain.get_mut(..length).unwrap_or_default()
    }
}

/// A stretch of the file that is in memory.
struct Held<'a> {
    start: u64,
    bytes: &'a [u8],
}

impl Held<'_> {
    fn range(&self, offset: u64, length: usize) -> Option<&[u8]> {
        let from = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        self.bytes.get(from..from.checked_add(length)?)
    }
}

impl ReadAt for Held<'_> {
    fn len(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let bytes =
            self.range(offset, buffer.len()).ok_or_else(|| internal("a read outside of what is held"))?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }
}
