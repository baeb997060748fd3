// SPDX-License-Identifier: GPL-3.0-or-later
//! The one cache of decoded chunks that all readers of a file share.
//!
//! Chunks are decoded once even when several threads ask at the same time. Chunks of solid
//! resources (64 MiB as a rule) would push everything else out, so they are kept apart: the most
//! recent ones in memory, and, where a directory for scratch files was given, each one that was
//! decoded in an unlinked file as well, so that it is never decoded twice.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use super::resource::ChunkTable;
use crate::base::Result;

/// Offset of the resource in the file, and number of the chunk.
pub(super) type ChunkKey = (u64, u64);

/// Chunks above this size are kept apart.
const LARGE: usize = 4 << 20;
/// Parts of the cache that are locked separately; each must be able to hold several chunks.
const SHARDS: usize = 4;

#[derive(Clone)]
struct ByLength;

impl Weighter<ChunkKey, Arc<[u8]>> for ByLength {
    fn weight(&self, _key: &ChunkKey, chunk: &Arc<[u8]>) -> u64 {
        chunk.len() as u64
    }
}

impl Weighter<u64, Arc<ChunkTable>> for ByLength {
    fn weight(&self, _key: &u64, table: &Arc<ChunkTable>) -> u64 {
        table.weight()
    }
}

/// How much is kept, and where.
#[derive(Clone, Debug)]
pub struct CacheOptions {
    /// Bytes of decoded chunks kept in memory. Of large chunks at least one is always kept.
    pub bytes: u64,
    /// Where decoded large chunks may be put, as unlinked files.
    pub scratch: Option<PathBuf>,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self { bytes: 64 << 20, scratch: None }
    }
}

pub(super) struct ChunkCache {
    chunks: Cache<ChunkKey, Arc<[u8]>, ByLength>,
    tables: Cache<u64, Arc<ChunkTable>, ByLength>,
    large: Mutex<LargeChunks>,
    spill: Option<Mutex<Spill>>,
}

/// A chunk that is being decoded by whoever holds the lock, or is there.
type Slot = Arc<Mutex<Option<Arc<[u8]>>>>;

struct LargeChunks {
    /// Most recent last, with the length.
    slots: Vec<(ChunkKey, usize, Slot)>,
    capacity: usize,
}

impl LargeChunks {
    /// The slot of a chunk, as the most recent one; the oldest ones leave.
    fn slot(&mut self, key: ChunkKey, length: usize) -> Slot {
        let found = self.slots.iter().position(|(other, ..)| *other == key);
        let slot = match found {
            Some(position) => self.slots.remove(position).2,
            None => Slot::default(),
        };
        self.slots.push((key, length, slot.clone()));
        let mut held: usize = self.slots.iter().map(|(_, length, _)| length).sum();
        while held > self.capacity && self.slots.len() > 1 {
            held -= self.slots.remove(0).1;
        }
        slot
    }
}

struct Spill {
    directory: PathBuf,
    file: Option<File>,
    end: u64,
    chunks: HashMap<ChunkKey, u64>,
}

impl Spill {
    /// Reads a part of a chunk that was put here; false when it is not here.
    fn read(&self, key: ChunkKey, inside: usize, target: &mut [u8]) -> bool {
        let Some((file, start)) = self.file.as_ref().zip(self.chunks.get(&key)) else {
            return false;
        };
        file.read_exact_at(target, start + inside as u64).is_ok()
    }

    /// Keeps a chunk. A failure (no room) only means that it will be decoded again.
    fn keep(&mut self, key: ChunkKey, chunk: &[u8]) {
        if self.file.is_none() {
            self.file = tempfile::tempfile_in(&self.directory).ok();
        }
        let Some(file) = &self.file else { return };
        if file.write_all_at(chunk, self.end).is_ok() {
            self.chunks.insert(key, self.end);
            self.end += chunk.len() as u64;
        }
    }
}

/// The data behind these locks is consistent at every moment: a panic of another thread does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn cache<K, V>(bytes: u64, items: usize) -> Cache<K, V, ByLength>
where
    K: Eq + std::hash::Hash,
    V: Clone,
    ByLength: Weighter<K, V>,
{
    let options =
        OptionsBuilder::new().shards(SHARDS).estimated_items_capacity(items).weight_capacity(bytes).build();
    match options {
        Ok(options) => {
            Cache::with_options(options, ByLength, DefaultHashBuilder::default(), DefaultLifecycle::default())
        }
        // Both figures are always given, which is all that can be missing.
        Err(_) => Cache::with_weighter(items, bytes, ByLength),
    }
}

impl ChunkCache {
    pub(super) fn new(options: &CacheOptions) -> Self {
        let items = usize::try_from(options.bytes / 32768).unwrap_or(usize::MAX).clamp(256, 1 << 20);
        Self {
            chunks: cache(options.bytes, items),
            tables: cache(8 << 20, 1024),
            large: Mutex::new(LargeChunks {
                slots: Vec::new(),
                capacity: usize::try_from(options.bytes).unwrap_or(usize::MAX),
            }),
            spill: options
                .scratch
                .clone()
                .map(|directory| Mutex::new(Spill { directory, file: None, end: 0, chunks: HashMap::new() })),
        }
    }

    /// The chunk table of a resource, read at most once at a time.
    pub(super) fn table(
        &self,
        offset: u64,
        read: impl FnOnce() -> Result<Arc<ChunkTable>>,
    ) -> Result<Arc<ChunkTable>> {
        self.tables.get_or_insert_with(&offset, read)
    }

    /// Whether reading the chunk from here costs no decoding.
    pub(super) fn holds(&self, key: ChunkKey) -> bool {
        self.chunks.contains_key(&key)
            || lock(&self.large).slots.iter().any(|(other, ..)| *other == key)
            || self.spill.as_ref().is_some_and(|spill| lock(spill).chunks.contains_key(&key))
    }

    /// Copies a part of a chunk of `length` bytes to `target`; `decode` fills a whole chunk.
    pub(super) fn read(
        &self,
        key: ChunkKey,
        length: usize,
        inside: usize,
        target: &mut [u8],
        decode: impl FnOnce(&mut [u8]) -> Result<()>,
    ) -> Result<()> {
        let decode = || -> Result<Arc<[u8]>> {
            let mut chunk = vec![0; length];
            decode(&mut chunk)?;
            Ok(chunk.into())
        };
        let chunk = if length <= LARGE {
            self.chunks.get_or_insert_with(&key, decode)?
        } else {
            let slot = lock(&self.large).slot(key, length);
            let mut content = lock(&slot);
            match &*content {
                Some(chunk) => chunk.clone(),
                None => {
                    if let Some(spill) = &self.spill
                        && lock(spill).read(key, inside, target)
                    {
                        return Ok(());
                    }
                    let chunk = decode()?;
                    if let Some(spill) = &self.spill {
                        lock(spill).keep(key, &chunk);
                    }
                    *content = Some(chunk.clone());
                    chunk
                }
            }
        };
        if let Some(bytes) = inside.checked_add(target.len()).and_then(|end| chunk.get(inside..end)) {
            target.copy_from_slice(bytes);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn read(cache: &ChunkCache, key: ChunkKey, length: usize, decoded: &AtomicUsize) -> u8 {
        let mut byte = [0];
        cache
            .read(key, length, length - 1, &mut byte, |output| {
                decoded.fetch_add(1, Ordering::Relaxed);
                output.fill(key.1 as u8 + 1);
                Ok(())
            })
            .unwrap();
        byte[0]
    }

    #[test]
    fn decodes_once_for_many_threads() {
        for length in [32768, LARGE + 1] {
            let cache = ChunkCache::new(&CacheOptions::default());
            let decoded = AtomicUsize::new(0);
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        for index in 0..4 {
                            assert_eq!(read(&cache, (7, index), length, &decoded), index as u8 + 1);
                        }
                    });
                }
            });
            assert_eq!(decoded.into_inner(), 4);
        }
    }

    #[test]
    fn a_chunk_above_the_capacity_is_kept_until_the_next() {
        let cache = ChunkCache::new(&CacheOptions { bytes: 1 << 20, scratch: None });
        let decoded = AtomicUsize::new(0);
        for index in [0, 0, 1, 1, 0] {
            read(&cache, (0, index), LARGE + 1, &decoded);
        }
        assert_eq!(decoded.into_inner(), 3);
    }

    #[test]
    fn with_scratch_space_nothing_large_is_decoded_twice() {
        let directory = tempfile::tempdir().unwrap();
        let options = CacheOptions { bytes: 1 << 20, scratch: Some(directory.path().to_owned()) };
        let cache = ChunkCache::new(&options);
        let decoded = AtomicUsize::new(0);
        for index in [0, 1, 2, 0, 1, 2] {
            assert_eq!(read(&cache, (0, index), LARGE + 1, &decoded), index as u8 + 1);
        }
        assert_eq!(decoded.into_inner(), 3);
    }
}
