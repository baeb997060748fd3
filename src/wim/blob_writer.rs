// SPDX-License-Identifier: GPL-3.0-or-later
//! New resources: read, hashed, compared with what is there, compressed on all cores, appended.
//!
//! The chunks of all streams form one sequence, taken in waves of a few megabytes: while one wave
//! is compressed and written, the next is read. So one large hive and thousands of small files keep
//! all cores busy alike, in bounded memory.
//!
//! A stream is compressed only once its hash is known to be new: small streams lie in one wave and
//! are hashed before it is compressed. Large ones are hashed in a pass of their own when something
//! else has their length; one whose length is its own is new, and is read once and hashed on the
//! way. A patched stream is as good as certain to be new; it is hashed on the way, and taken back
//! if it was not.
//!
//! A patched stream copies the encoded form of every chunk outside its changes. Its hash is made
//! from the decoded copies and the new bytes of the other chunks, so that resource and hash agree
//! whatever the source claims; the old blob's hash is checked on the way, so that damage is not
//! passed on under a new hash.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;

use super::commit_file::CommitFile;
use super::error::WimError;
use super::file::internal;
use super::header::{Compression, ResourceFlags, ResourceHeader};
use super::resource::{ChunkTable, Resource, decode_chunk, read_chunk};
use crate::base::{BlobHash, Error, Result};
use crate::codec::{self, Level, encoder_memory};
use crate::digest::Sha1;
use crate::io::{Cancel, Event, Pool, Progress, ReadAt, Task, read_vec};

/// Streams up to this length are never divided between waves.
const SMALL: u64 = 4 << 20;
/// Input of a wave for each worker, and its bounds.
const WAVE_PER_WORKER: u64 = 4 << 20;
const WAVE: std::ops::RangeInclusive<u64> = SMALL..=32 << 20;
/// Chunks of a solid resource that are compressed at once: each takes several times its size.
const SOLID_CHUNKS: usize = 4;
/// What stands before the chunk table of a solid resource: length, chunk size, codec.
const SOLID_HEADER: usize = 16;
/// In a file without compression, streams are read in pieces of this size.
const RAW_PIECE: u32 = 128 << 10;
/// Encoded bytes are gathered until there are so many.
const FLUSH: usize = 4 << 20;

/// An encoded resource that a new one is made from.
pub(super) struct BaseChunks {
    pub(super) resource: Resource,
    pub(super) table: Arc<ChunkTable>,
    /// What the decoded resource should hash to; nothing when that was checked already.
    pub(super) hash: Option<BlobHash>,
    /// Where the new content differs: sorted, disjoint.
    pub(super) changed: Vec<Range<u64>>,
}

impl BaseChunks {
    /// Whether chunk `index` of the new content (of `length` bytes, at `start`) is the same in the base.
    fn keeps(&self, index: u64, start: u64, length: u64) -> bool {
        let same_length = self.table.chunk(index).is_some_and(|chunk| u64::from(chunk.length) == length);
        let next = self.changed.partition_point(|range| range.end <= start);
        let touched = self.changed.get(next).is_some_and(|range| range.start < start + length);
        same_length && !touched
    }
}

/// A stream to be written.
pub(super) struct Job {
    pub(super) content: Arc<dyn ReadAt>,
    pub(super) base: Option<BaseChunks>,
    /// An image's metadata: always written, never shared with another blob.
    pub(super) metadata: bool,
    /// Stored as it is where that is possible (not in a solid resource).
    pub(super) plain: bool,
    /// For data of another WIM, what that says it hashes to: then it is read once only, and checked.
    pub(super) claim: Option<Claim>,
}

/// What a blob table says of the data that a job writes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) hash: BlobHash,
    /// Where the resource begins in its file, for messages.
    pub(super) offset: u64,
}

impl Job {
    fn length(&self) -> u64 {
        self.content.len()
    }

    /// New data.
    pub(super) fn new(content: Arc<dyn ReadAt>) -> Self {
        Self { content, base: None, metadata: false, plain: false, claim: None }
    }

    /// The metadata of an image.
    pub(super) fn metadata(content: Arc<dyn ReadAt>, base: Option<BaseChunks>) -> Self {
        Self { base, metadata: true, ..Self::new(content) }
    }

    /// New data that is too long to be hashed in memory before any of it is compressed.
    fn is_large(&self) -> bool {
        self.base.is_none() && self.claim.is_none() && !self.metadata && self.length() > SMALL
    }
}

/// What the file has already.
#[derive(Clone, Copy)]
pub(super) struct Present<'a> {
    /// Whether it has these bytes.
    pub(super) hash: &'a (dyn Fn(BlobHash) -> bool + Sync),
    /// Whether it may have something of this length.
    pub(super) length: &'a (dyn Fn(u64) -> bool + Sync),
}

impl Present<'_> {
    /// Nothing at all.
    pub(super) const NOTHING: Self = Self { hash: &|_| false, length: &|_| false };
}

/// What became of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) hash: BlobHash,
    pub(super) length: u64,
    /// Where it was written; nothing for bytes that the file (or an earlier job) already has.
    pub(super) written: Option<ResourceHeader>,
}

/// What became of the jobs of a solid resource.
pub(super) struct SolidOutcome {
    /// The resource with its true original size; nothing when no job had anything new.
    pub(super) resource: Option<ResourceHeader>,
    /// For each job: hash, length, and where it begins in the decoded resource, if it is in it.
    pub(super) blobs: Vec<(BlobHash, u64, Option<u64>)>,
}

/// What the writer works with.
pub(super) struct Setting<'a> {
    /// For messages.
    pub(super) path: &'a Path,
    /// The file as it was when the commit began.
    pub(super) source: &'a dyn ReadAt,
    pub(super) compression: Option<Compression>,
    pub(super) level: Level,
    pub(super) pool: &'a Pool,
    /// What progress is reported as.
    pub(super) task: Task,
    pub(super) progress: &'a dyn Progress,
    pub(super) cancel: &'a Cancel,
}

/// Appends resources. Runs inside the thread pool.
pub(super) struct BlobWriter<'a> {
    setting: &'a Setting<'a>,
    output: Output<'a>,
    /// Decoded bytes that were reported as done.
    pub(super) done: u64,
    pub(super) copied_chunks: u64,
}

/// Gathers what is appended. Only a whole buffer is written.
struct Output<'a> {
    file: &'a mut dyn CommitFile,
    path: &'a Path,
    /// Where the buffer belongs.
    start: u64,
    buffer: Vec<u8>,
    /// The furthest byte ever written.
    high: u64,
}

impl Output<'_> {
    fn position(&self) -> u64 {
        self.start + self.buffer.len() as u64
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.buffer.extend(bytes);
        if self.buffer.len() >= FLUSH { self.flush() } else { Ok(()) }
    }

    /// Reads `length` bytes of a source, [`FLUSH`] at most, straight into the buffer.
    fn append_from(&mut self, source: &dyn ReadAt, offset: u64, length: usize) -> Result<()> {
        let old = self.buffer.len();
        self.buffer.resize(old + length, 0);
        let place = self.buffer.get_mut(old..).unwrap_or_default();
        if let Err(error) = source.read_exact_at(place, offset) {
            self.buffer.truncate(old);
            return Err(error);
        }
        if self.buffer.len() >= FLUSH { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        if !self.buffer.is_empty() {
            let mut buffer = std::mem::take(&mut self.buffer);
            self.write_at(self.start, &buffer)?;
            self.start += buffer.len() as u64;
            buffer.clear();
            self.buffer = buffer;
        }
        Ok(())
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.high = self.high.max(offset + bytes.len() as u64);
        self.file.write_all_at(bytes, offset).map_err(|error| Error::io(self.path.display(), &error))
    }

    /// Puts bytes where others (of the same resource) were appended before.
    fn patch(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        let inside = offset.checked_sub(self.start).and_then(|at| usize::try_from(at).ok());
        match inside.and_then(|at| self.buffer.get_mut(at..at.checked_add(bytes.len())?)) {
            Some(place) => {
                place.copy_from_slice(bytes);
                Ok(())
            }
            None => {
                // The buffer may begin in the middle of the place.
                self.flush()?;
                self.write_at(offset, bytes)
            }
        }
    }

    /// Forgets everything from `position` on.
    fn rewind(&mut self, position: u64) {
        match position.checked_sub(self.start).and_then(|length| usize::try_from(length).ok()) {
            Some(length) => self.buffer.truncate(length),
            None => {
                self.buffer.clear();
                self.start = position;
            }
        }
    }
}

/// One chunk of a job in a wave.
struct Piece {
    /// The new bytes; empty beyond the end, where only the base is read on.
    data: Vec<u8>,
    /// The encoded chunk of the base, if it is kept: nothing inside when it is stored as it is.
    copied: Option<Option<Vec<u8>>>,
    /// The decoded chunk of the base where it is not kept.
    base: Option<Vec<u8>>,
}

/// The pieces of one job in a wave.
struct Run {
    job: usize,
    pieces: Vec<Piece>,
    first: bool,
    last: bool,
}

/// A job between its first and its last wave.
#[derive(Default)]
struct Progressing {
    digest: Sha1,
    base_digest: Sha1,
    /// Where the resource begins in the file, and the encoded sizes so far.
    start: u64,
    sizes: Vec<u64>,
    copied: u64,
}

impl<'a> BlobWriter<'a> {
    /// Appends at `end`.
    pub(super) fn new(setting: &'a Setting<'a>, file: &'a mut dyn CommitFile, end: u64) -> Self {
        Self {
            setting,
            output: Output { file, path: setting.path, start: end, buffer: Vec::new(), high: end },
            done: 0,
            copied_chunks: 0,
        }
    }

    /// Writes what is gathered; gives the end of what was appended and the furthest byte written.
    pub(super) fn finish(mut self) -> Result<(u64, u64)> {
        self.output.flush()?;
        Ok((self.output.position(), self.output.high))
    }

    /// Appends the jobs' streams in order, but for what is there already.
    pub(super) fn write(&mut self, jobs: &[Job], present: Present<'_>) -> Result<Vec<Outcome>> {
        let mut outcomes: Vec<Option<Outcome>> = vec![None; jobs.len()];
        let mut seen: HashMap<BlobHash, usize> = HashMap::new();
        // Expected hashes of what was hashed first.
        let mut expected: HashMap<usize, BlobHash> = HashMap::new();
        let known = present.hash;
        for (number, hash) in self.hash_ambiguous(jobs, present)? {
            if known(hash) || seen.contains_key(&hash) {
                let length = jobs.get(number).map_or(0, Job::length);
                if let Some(outcome) = outcomes.get_mut(number) {
                    *outcome = Some(Outcome { hash, length, written: None });
                }
            } else {
                seen.insert(hash, number);
                expected.insert(number, hash);
            }
        }
        for (number, (outcome, job)) in outcomes.iter_mut().zip(jobs).enumerate() {
            if let Some(claim) = job.claim {
                if known(claim.hash) || seen.contains_key(&claim.hash) {
                    *outcome = Some(Outcome { hash: claim.hash, length: job.length(), written: None });
                } else {
                    seen.insert(claim.hash, number);
                    expected.insert(number, claim.hash);
                }
            }
            if job.length() == 0 {
                *outcome = Some(Outcome { hash: BlobHash::ZERO, length: 0, written: None });
            }
        }
        let wanted: Vec<usize> = outcomes
            .iter()
            .enumerate()
            .filter(|(_, outcome)| outcome.is_none())
            .map(|(number, _)| number)
            .collect();
        let mut loader = Loader { setting: self.setting, jobs, wanted, next: 0, piece: 0 };
        let mut state = WriteState { jobs, known, seen, expected, outcomes, open: HashMap::new() };
        let mut wave = loader.load()?;
        while !wave.is_empty() {
            self.setting.cancel.check()?;
            let (written, next) = rayon::join(|| self.process(wave, &mut state), || loader.load());
            written?;
            wave = next?;
        }
        state
            .outcomes
            .into_iter()
            .map(|outcome| outcome.ok_or_else(|| internal("a stream was left out")))
            .collect()
    }

    /// Hashes the large new streams whose length something else has too.
    fn hash_ambiguous(&self, jobs: &[Job], present: Present<'_>) -> Result<Vec<(usize, BlobHash)>> {
        let mut lengths: HashMap<u64, u32> = HashMap::new();
        for job in jobs.iter().filter(|job| !job.metadata && job.length() > SMALL) {
            *lengths.entry(job.length()).or_default() += 1;
        }
        let ambiguous = |job: &Job| {
            let length = job.length();
            job.is_large() && (lengths.get(&length) != Some(&1) || (present.length)(length))
        };
        let chosen: Vec<(usize, &Job)> = jobs.iter().enumerate().filter(|(_, job)| ambiguous(job)).collect();
        chosen.into_par_iter().map(|(number, job)| Ok((number, self.setting.hash(&*job.content)?))).collect()
    }

    fn process(&mut self, wave: Vec<Run>, state: &mut WriteState<'_>) -> Result<()> {
        let mut runs: Vec<(Run, Progressing)> = wave
            .into_iter()
            .map(|run| {
                let open = state.open.remove(&run.job).unwrap_or_default();
                (run, open)
            })
            .collect();
        let jobs = state.jobs;
        runs.par_iter_mut().for_each(|(run, progressing)| {
            let Progressing { digest, base_digest, .. } = progressing;
            let base = jobs.get(run.job).and_then(|job| job.base.as_ref());
            let checked = base.is_some_and(|base| base.hash.is_some());
            rayon::join(
                || run.pieces.iter().for_each(|piece| digest.update(&piece.data)),
                || {
                    for piece in run.pieces.iter().filter(|_| checked) {
                        base_digest.update(piece.base.as_deref().unwrap_or(&piece.data));
                    }
                },
            );
        });
        // Which of the streams that end here are new, before anything is compressed.
        let mut dropped = vec![false; runs.len()];
        for ((run, progressing), dropped) in runs.iter().zip(&mut dropped) {
            if run.last {
                *dropped = state.ended(run, progressing)?;
            }
        }
        let level = self.setting.level;
        let compression = self.setting.compression;
        let packed: Vec<Vec<Option<Vec<u8>>>> = runs
            .par_iter()
            .zip(&dropped)
            .map(|((run, _), &dropped)| {
                let plain = dropped || jobs.get(run.job).is_some_and(|job| job.plain);
                let compress = |piece: &Piece| match compression {
                    Some(compression) if !plain && piece.copied.is_none() && !piece.data.is_empty() => {
                        compress(compression, level, &piece.data)
                    }
                    _ => Ok(None),
                };
                run.pieces.par_iter().map(compress).collect::<Result<_>>()
            })
            .collect::<Result<_>>()?;
        for (((run, mut progressing), packed), dropped) in runs.into_iter().zip(packed).zip(dropped) {
            let metadata = state.jobs.get(run.job).is_some_and(|job| job.metadata);
            let bytes: u64 = run.pieces.iter().map(|piece| piece.data.len() as u64).sum();
            if run.first {
                progressing.start = self.output.position();
                if !dropped {
                    self.reserve_table(state, run.job)?;
                }
            }
            if dropped {
                self.output.rewind(progressing.start);
            } else {
                self.append(&run, &packed, &mut progressing)?;
                if run.last {
                    let header = self.close(state, &run, &progressing)?;
                    state.written(run.job, header);
                }
            }
            if !run.last {
                state.open.insert(run.job, progressing);
            }
            // Metadata is not in the total that was announced.
            self.done += if metadata { 0 } else { bytes };
        }
        self.advance(0);
        Ok(())
    }

    /// Counts decoded bytes that are done.
    fn advance(&mut self, bytes: u64) {
        self.done += bytes;
        self.setting.progress.event(&Event::Advance { task: self.setting.task, done: self.done });
    }

    /// Appends a resource of another file in its encoded form. The caller knows that both files
    /// encode alike.
    pub(super) fn copy(&mut self, source: &dyn ReadAt, resource: &ResourceHeader) -> Result<ResourceHeader> {
        let offset = self.copy_range(source, resource.offset, resource.size)?;
        Ok(ResourceHeader { offset, ..*resource })
    }

    /// Appends a range of another file as it is; gives where it begins here.
    pub(super) fn copy_range(&mut self, source: &dyn ReadAt, offset: u64, length: u64) -> Result<u64> {
        let start = self.output.position();
        let mut position = 0;
        while position < length {
            self.setting.cancel.check()?;
            let count = usize::try_from(length - position).map_or(FLUSH, |rest| rest.min(FLUSH));
            self.output.append_from(source, offset + position, count)?;
            position += count as u64;
        }
        Ok(start)
    }

    /// Counts data that was appended by [`BlobWriter::copy`].
    pub(super) fn copied(&mut self, bytes: u64) {
        self.advance(bytes);
    }

    /// Appends the jobs' streams, one after the other, as one solid resource: as many chunks at a
    /// time as there are workers, the next ones read meanwhile. A job with a claim is checked
    /// against it; of the others, what is there already is left out.
    ///
    /// The chunk table stands before the chunks, and how many there are is known last. So room is
    /// kept for as many as there would be if nothing were left out, and the resource begins as much
    /// later as there are fewer.
    pub(super) fn write_solid(
        &mut self,
        jobs: &[Job],
        compression: Compression,
        present: Present<'_>,
    ) -> Result<SolidOutcome> {
        let mut skipped: HashMap<usize, BlobHash> = HashMap::new();
        let mut expected: HashMap<usize, BlobHash> = HashMap::new();
        let mut seen: HashSet<BlobHash> = HashSet::new();
        for (number, hash) in self.hash_ambiguous(jobs, present)? {
            match (present.hash)(hash) || !seen.insert(hash) {
                true => skipped.insert(number, hash),
                false => expected.insert(number, hash),
            };
        }
        let wanted = jobs.iter().enumerate().filter(|(number, _)| !skipped.contains_key(number));
        let most = wanted.fold(0, |sum: u64, (_, job)| sum.saturating_add(job.length()));
        let chunk_size = u64::from(compression.chunk_size);
        let too_long = || internal("a solid resource is too long");
        let most = most.div_ceil(chunk_size).checked_mul(4).and_then(|size| usize::try_from(size).ok());
        let most = most.ok_or_else(too_long)?;
        let start = self.output.position();
        self.output.append(&vec![0; SOLID_HEADER + most])?;
        let mut stream = SolidStream {
            setting: self.setting,
            jobs,
            present,
            skipped,
            expected,
            seen,
            next: 0,
            position: 0,
            digest: Sha1::default(),
            loaded: None,
            total: 0,
            begin: 0,
            blobs: Vec::with_capacity(jobs.len()),
        };
        let level = self.setting.level;
        let encoder = encoder_memory(compression.codec, level, compression.chunk_size);
        // Each chunk stands in memory with its encoder, its result and the chunk read meanwhile.
        let memory = encoder.saturating_add(chunk_size.saturating_mul(3));
        let chunks = self.setting.pool.at_once(memory).min(SOLID_CHUNKS);
        let mut table: Vec<u8> = Vec::with_capacity(most);
        let mut window = stream.window(chunks, compression.chunk_size)?;
        while !window.is_empty() {
            self.setting.cancel.check()?;
            let (packed, next) = rayon::join(
                || {
                    window
                        .par_iter()
                        .map(|chunk| compress(compression, level, chunk))
                        .collect::<Result<Vec<_>>>()
                },
                || stream.window(chunks, compression.chunk_size),
            );
            for (chunk, packed) in window.iter().zip(packed?) {
                let bytes = packed.as_deref().unwrap_or(chunk);
                self.output.append(bytes)?;
                table.extend((bytes.len() as u32).to_le_bytes());
                self.advance(chunk.len() as u64);
            }
            window = next?;
        }
        let SolidStream { total, blobs, .. } = stream;
        if total == 0 {
            self.output.rewind(start);
            return Ok(SolidOutcome { resource: None, blobs });
        }
        let unused = most.checked_sub(table.len()).ok_or_else(too_long)?;
        let start = start + unused as u64;
        let mut front = Vec::with_capacity(SOLID_HEADER + table.len());
        front.extend(total.to_le_bytes());
        front.extend(compression.chunk_size.to_le_bytes());
        front.extend(compression.codec.solid_number().to_le_bytes());
        front.extend(table);
        self.output.patch(start, &front)?;
        let size = self.output.position() - start;
        let flags = ResourceFlags::SOLID;
        let resource = Some(ResourceHeader { size, flags, offset: start, original_size: total });
        Ok(SolidOutcome { resource, blobs })
    }

    /// Leaves room for the chunk table, whose content is known last.
    fn reserve_table(&mut self, state: &WriteState<'_>, job: usize) -> Result<()> {
        let length = state.jobs.get(job).filter(|job| !job.plain).map_or(0, Job::length);
        let size = self.setting.table_size(length)?;
        self.output.append(&vec![0; size])
    }

    fn append(&mut self, run: &Run, packed: &[Option<Vec<u8>>], progressing: &mut Progressing) -> Result<()> {
        for (piece, packed) in run.pieces.iter().zip(packed) {
            if piece.data.is_empty() {
                continue;
            }
            let bytes = match &piece.copied {
                Some(copied) => {
                    progressing.copied += 1;
                    copied.as_ref()
                }
                None => packed.as_ref(),
            };
            let bytes = bytes.unwrap_or(&piece.data);
            self.output.append(bytes)?;
            progressing.sizes.push(bytes.len() as u64);
        }
        Ok(())
    }

    /// Completes a resource: its chunk table, or the plain bytes when encoding did not pay.
    fn close(
        &mut self,
        state: &WriteState<'_>,
        run: &Run,
        progressing: &Progressing,
    ) -> Result<ResourceHeader> {
        let job = state.jobs.get(run.job).ok_or_else(|| internal("a stream was left out"))?;
        let length = job.length();
        let flags = if job.metadata { ResourceFlags::METADATA } else { ResourceFlags::empty() };
        let plain = ResourceHeader { size: length, flags, offset: progressing.start, original_size: length };
        if self.setting.compression.is_none() || job.plain {
            return Ok(plain);
        }
        let table_size = self.setting.table_size(length)?;
        let chunks: u64 = progressing.sizes.iter().sum();
        let size = table_size as u64 + chunks;
        if size >= length {
            self.output.rewind(progressing.start);
            if run.first {
                for piece in &run.pieces {
                    self.output.append(&piece.data)?;
                }
            } else {
                let hash = state.outcomes.get(run.job).copied().flatten().map(|outcome| outcome.hash);
                self.store_plain(job, hash.unwrap_or_default())?;
            }
            return Ok(plain);
        }
        let mut table = Vec::with_capacity(table_size);
        let wide = length > u64::from(u32::MAX);
        let mut offset = 0;
        for size in progressing.sizes.iter().take(progressing.sizes.len().saturating_sub(1)) {
            offset += size;
            if wide {
                table.extend(offset.to_le_bytes());
            } else {
                table.extend((offset as u32).to_le_bytes());
            }
        }
        if table.len() != table_size {
            return Err(internal("a chunk table has another length than was reserved"));
        }
        self.output.patch(progressing.start, &table)?;
        if !job.metadata {
            self.copied_chunks += progressing.copied;
        }
        Ok(ResourceHeader { size, flags: flags | ResourceFlags::COMPRESSED, ..plain })
    }

    /// Reads a stream again and appends it as it is.
    fn store_plain(&mut self, job: &Job, expected: BlobHash) -> Result<()> {
        let mut digest = Sha1::default();
        let mut position = 0;
        while position < job.length() {
            self.setting.cancel.check()?;
            let count = (FLUSH as u64).min(job.length() - position);
            let bytes = read_vec(&*job.content, position, count)?;
            digest.update(&bytes);
            self.output.append(&bytes)?;
            position += count;
        }
        let found = BlobHash(digest.finish());
        if found == expected { Ok(()) } else { Err(WimError::Unstable { expected, found }.into()) }
    }
}

impl Claim {
    fn broken(&self, found: BlobHash) -> Error {
        let what = format!("blob {}", self.hash);
        WimError::Hash { what, offset: self.offset, expected: self.hash, found }.into()
    }
}

/// The new bytes of all jobs one after the other, each job hashed on the way.
struct SolidStream<'a> {
    setting: &'a Setting<'a>,
    jobs: &'a [Job],
    present: Present<'a>,
    /// Jobs that are known not to be new.
    skipped: HashMap<usize, BlobHash>,
    /// What the jobs that were hashed first must hash to.
    expected: HashMap<usize, BlobHash>,
    seen: HashSet<BlobHash>,
    next: usize,
    position: u64,
    digest: Sha1,
    /// A small job that is known to be new.
    loaded: Option<Vec<u8>>,
    total: u64,
    /// Where the current job begins.
    begin: u64,
    blobs: Vec<(BlobHash, u64, Option<u64>)>,
}

impl SolidStream<'_> {
    /// The next chunks; fewer, or none, at the end.
    fn window(&mut self, chunks: usize, chunk_size: u32) -> Result<Vec<Vec<u8>>> {
        let mut window = Vec::with_capacity(chunks);
        while window.len() < chunks {
            let chunk = self.chunk(chunk_size as usize)?;
            if chunk.is_empty() {
                break;
            }
            window.push(chunk);
        }
        Ok(window)
    }

    fn chunk(&mut self, size: usize) -> Result<Vec<u8>> {
        let mut chunk = Vec::new();
        while let Some(job) = self.jobs.get(self.next).filter(|_| chunk.len() < size) {
            self.setting.cancel.check()?;
            if self.position == 0 && self.loaded.is_none() && self.is_left_out(job)? {
                self.next += 1;
                continue;
            }
            let room = (size - chunk.len()) as u64;
            let count = room.min(SMALL).min(job.length() - self.position);
            match &self.loaded {
                Some(bytes) => {
                    let from = usize::try_from(self.position).unwrap_or(usize::MAX);
                    let part = bytes.get(from..from.saturating_add(count as usize));
                    chunk.extend(part.ok_or_else(|| internal("a small stream is too short"))?);
                }
                None => {
                    let bytes = read_vec(&*job.content, self.position, count)?;
                    self.digest.update(&bytes);
                    chunk.extend(bytes);
                }
            }
            self.position += count;
            if self.position == job.length() {
                self.ended(job)?;
            }
        }
        self.total += chunk.len() as u64;
        Ok(chunk)
    }

    /// Whether a job brings nothing new; a small one is read to find that out.
    fn is_left_out(&mut self, job: &Job) -> Result<bool> {
        let length = job.length();
        if length == 0 {
            self.blobs.push((BlobHash::ZERO, 0, None));
            return Ok(true);
        }
        if let Some(&hash) = self.skipped.get(&self.next) {
            self.blobs.push((hash, length, None));
            return Ok(true);
        }
        if job.claim.is_some() || length > SMALL {
            return Ok(false);
        }
        let bytes = read_vec(&*job.content, 0, length)?;
        let mut digest = Sha1::default();
        digest.update(&bytes);
        let hash = BlobHash(digest.clone().finish());
        if (self.present.hash)(hash) || self.seen.contains(&hash) {
            self.blobs.push((hash, length, None));
            return Ok(true);
        }
        self.digest = digest;
        self.loaded = Some(bytes);
        Ok(false)
    }

    /// Notes a job whose last byte was taken.
    fn ended(&mut self, job: &Job) -> Result<()> {
        let found = BlobHash(std::mem::take(&mut self.digest).finish());
        if let Some(claim) = job.claim.filter(|claim| claim.hash != found) {
            return Err(claim.broken(found));
        }
        if let Some(&expected) = self.expected.get(&self.next).filter(|&&expected| expected != found) {
            return Err(WimError::Unstable { expected, found }.into());
        }
        self.blobs.push((found, job.length(), Some(self.begin)));
        self.begin += job.length();
        self.seen.insert(found);
        self.next += 1;
        self.position = 0;
        self.loaded = None;
        Ok(())
    }
}

fn compress(compression: Compression, level: Level, data: &[u8]) -> Result<Option<Vec<u8>>> {
    // One byte less than the input, so that "as long as the input" can only mean "stored as it is".
    let mut output = vec![0; data.len().saturating_sub(1)];
    let used = codec::compress(compression.codec, level, compression.chunk_size, data, &mut output)?;
    Ok(used.map(|used| {
        output.truncate(used);
        output.shrink_to_fit();
        output
    }))
}

impl Setting<'_> {
    fn piece_size(&self) -> u64 {
        self.compression.map_or(RAW_PIECE, |compression| compression.chunk_size).into()
    }

    /// Length of the chunk table of a resource.
    fn table_size(&self, length: u64) -> Result<usize> {
        let Some(compression) = self.compression else { return Ok(0) };
        let entries = length.div_ceil(compression.chunk_size.into()).saturating_sub(1);
        let width = if length > u64::from(u32::MAX) { 8 } else { 4 };
        usize::try_from(entries * width).map_err(|_| internal("a stream is too long for this machine"))
    }

    /// Hash of a whole stream; the next part is read while one is hashed.
    fn hash(&self, content: &dyn ReadAt) -> Result<BlobHash> {
        let step = SMALL;
        let length = content.len();
        let part = |position: u64| -> Result<Vec<u8>> {
            self.cancel.check()?;
            read_vec(content, position, step.min(length.saturating_sub(position)))
        };
        let mut digest = Sha1::default();
        let mut current = part(0)?;
        let mut position = 0;
        while !current.is_empty() {
            position = (position + step).min(length);
            let ((), next) = rayon::join(|| digest.update(&current), || part(position));
            current = next?;
        }
        Ok(BlobHash(digest.finish()))
    }
}

/// What is known of the jobs while they are written.
struct WriteState<'a> {
    jobs: &'a [Job],
    known: &'a (dyn Fn(BlobHash) -> bool + Sync),
    seen: HashMap<BlobHash, usize>,
    expected: HashMap<usize, BlobHash>,
    outcomes: Vec<Option<Outcome>>,
    open: HashMap<usize, Progressing>,
}

impl WriteState<'_> {
    /// Notes the hash of a stream that was read to its end; true when it need not be written.
    fn ended(&mut self, run: &Run, progressing: &Progressing) -> Result<bool> {
        let job = self.jobs.get(run.job).ok_or_else(|| internal("a stream was left out"))?;
        let hash = BlobHash(progressing.digest.clone().finish());
        if let Some(base) = &job.base
            && let Some(expected) = base.hash
        {
            let found = BlobHash(progressing.base_digest.clone().finish());
            if found != expected {
                let (what, offset) = (format!("blob {expected}"), base.resource.offset);
                return Err(WimError::Hash { what, offset, expected, found }.into());
            }
        }
        let dropped = match self.expected.get(&run.job) {
            Some(&expected) if expected != hash => {
                if let Some(claim) = job.claim {
                    return Err(claim.broken(hash));
                }
                return Err(WimError::Unstable { expected, found: hash }.into());
            }
            Some(_) => false,
            None if job.metadata => false,
            None => (self.known)(hash) || self.seen.insert(hash, run.job).is_some(),
        };
        if let Some(outcome) = self.outcomes.get_mut(run.job) {
            *outcome = Some(Outcome { hash, length: job.length(), written: None });
        }
        Ok(dropped)
    }

    fn written(&mut self, job: usize, header: ResourceHeader) {
        if let Some(Some(outcome)) = self.outcomes.get_mut(job) {
            outcome.written = Some(header);
        }
    }
}

/// Takes the jobs' chunks in order, a wave at a time.
struct Loader<'a> {
    setting: &'a Setting<'a>,
    jobs: &'a [Job],
    /// Numbers of the jobs that are to be read.
    wanted: Vec<usize>,
    /// Position in `wanted`, and the next chunk of that job.
    next: usize,
    piece: u64,
}

impl Loader<'_> {
    /// Chunks of a job: those of the new content, and those that only the base has.
    fn pieces(&self, job: &Job) -> u64 {
        let new = job.length().div_ceil(self.setting.piece_size());
        let checked = job.base.as_ref().filter(|base| base.hash.is_some());
        new.max(checked.map_or(0, |base| base.resource.chunk_count()))
    }

    fn load(&mut self) -> Result<Vec<Run>> {
        let size = self.setting.piece_size();
        let budget = (WAVE_PER_WORKER * self.setting.pool.threads() as u64).clamp(*WAVE.start(), *WAVE.end());
        let mut selected: Vec<(usize, Range<u64>, u64)> = Vec::new();
        let mut used = 0;
        while let Some((&number, job)) =
            self.wanted.get(self.next).and_then(|number| Some((number, self.jobs.get(*number)?)))
        {
            let all = self.pieces(job);
            // Small files count as what they are, not as the whole chunk that they are read as.
            let whole = if job.base.is_none() { job.length() } else { all.saturating_mul(size) };
            if used > 0 && (used >= budget || (whole <= SMALL && used + whole > budget)) {
                break;
            }
            let room = (budget.saturating_sub(used) / size).max(1);
            let until = if whole <= SMALL { all } else { all.min(self.piece.saturating_add(room)) };
            selected.push((number, self.piece..until, all));
            used += whole.min((until - self.piece) * size).max(256);
            if until == all {
                self.next += 1;
                self.piece = 0;
            } else {
                // The rest comes with the next wave: a job has one run in a wave.
                self.piece = until;
                break;
            }
        }
        selected
            .into_par_iter()
            .filter_map(|(number, range, all)| Some((number, self.jobs.get(number)?, range, all)))
            .map(|(number, job, range, all)| {
                let (first, last) = (range.start == 0, range.end == all);
                let pieces =
                    range.into_par_iter().map(|index| self.piece(job, index)).collect::<Result<_>>()?;
                Ok(Run { job: number, pieces, first, last })
            })
            .collect()
    }

    fn piece(&self, job: &Job, index: u64) -> Result<Piece> {
        let size = self.setting.piece_size();
        let start = index * size;
        let length = size.min(job.length().saturating_sub(start));
        let Some(base) = &job.base else {
            return Ok(Piece { data: read_vec(&*job.content, start, length)?, copied: None, base: None });
        };
        let old = base.table.chunk(index);
        if let Some(chunk) = old.filter(|_| length > 0 && base.keeps(index, start, length)) {
            let packed = read_vec(self.setting.source, chunk.offset, chunk.size.into())?;
            if chunk.is_raw() {
                return Ok(Piece { data: packed, copied: Some(None), base: None });
            }
            let mut data = vec![0; chunk.length as usize];
            decode_chunk(base.resource.offset, base.table.compression(), index, &packed, &mut data)?;
            return Ok(Piece { data, copied: Some(Some(packed)), base: None });
        }
        let data = if length > 0 { read_vec(&*job.content, start, length)? } else { Vec::new() };
        let base = match old.filter(|_| base.hash.is_some()) {
            Some(chunk) => {
                let mut decoded = vec![0; chunk.length as usize];
                read_chunk(self.setting.source, &base.resource, &base.table, index, &mut decoded)?;
                Some(decoded)
            }
            // Beyond the end of the base: nothing of this piece belongs to it.
            None => Some(Vec::new()),
        };
        Ok(Piece { data, copied: None, base })
    }
}
