// SPDX-License-Identifier: GPL-3.0-or-later
//! Checking a whole file: every resource is decoded once and hashed, every tree is read, every
//! reference is looked up, the integrity table is compared.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use super::error::WimError;
use super::file::{ImageIndex, Inner, Wim, internal};
use super::integrity::IntegrityTable;
use super::resource::{ChunkTable, Encoding, Resource, ResourceReader, read_chunk};
use super::tree::Tree;
use crate::base::{BlobHash, Error, ErrorClass, Result};
use crate::digest::Sha1;
use crate::io::{Cancel, Event, Pool, Progress, Task};

/// Decoded chunks of solid resources that are held at once: as many as there are workers, more
/// where they are small, fewer where they are huge.
const SOLID_WINDOW: std::ops::RangeInclusive<u64> = 64 << 20..=512 << 20;
/// Pieces in which other resources are read.
const PIECE: u64 = 1 << 20;

/// What was checked and what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct VerifyReport {
    /// Images whose trees were read.
    pub images: u32,
    /// Blobs that were hashed.
    pub blobs: u64,
    /// Uncompressed bytes hashed.
    pub bytes: u64,
    /// Whether there is an integrity table; its faults are findings.
    pub integrity_table: bool,
    /// What is wrong; nothing in a sound file.
    pub findings: Vec<VerifyFinding>,
    /// What is odd but harmless.
    pub warnings: Vec<String>,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct VerifyFinding {
    /// The object: a blob, an image, a part of the file.
    pub what: String,
    /// Where in the file.
    pub offset: Option<u64>,
    /// What is wrong with it.
    pub message: String,
}

/// Shared by the workers.
struct Check<'a> {
    wim: &'a Wim,
    inner: &'a Inner,
    cancel: &'a Cancel,
    progress: &'a dyn Progress,
    done: AtomicU64,
}

impl Wim {
    /// Reads and hashes every blob and metadata resource and the integrity table, on all cores,
    /// each resource decoded once. Faults of the file are findings, not errors.
    ///
    /// # Errors
    /// When the file cannot be read at all, or stopping was asked for.
    pub fn verify(&self, pool: &Pool, progress: &dyn Progress, cancel: &Cancel) -> Result<VerifyReport> {
        let inner = self.inner();
        let total = inner
            .table
            .blobs()
            .filter_map(|(_, entry)| inner.table.length(entry))
            .fold(0, u64::saturating_add);
        progress.event(&Event::Begin { task: Task::Verify, total });
        let check = Check { wim: self, inner, cancel, progress, done: AtomicU64::new(0) };
        let report = pool.run(|| check.run(pool.threads()));
        progress.event(&Event::End { task: Task::Verify });
        report
    }
}

impl Wim {
    /// Compares the file with its integrity table; a file that has none passes.
    ///
    /// # Errors
    /// When a stretch does not have its SHA-1, or the file cannot be read.
    pub fn check_integrity(&self, cancel: &Cancel) -> Result<()> {
        if !self.has_integrity_table() {
            return Ok(());
        }
        let inner = self.inner();
        let table = IntegrityTable::read(&inner.store, &inner.header)?;
        let bad = table.check(&*inner.store.file, &inner.header, cancel)?;
        match bad.first() {
            None => Ok(()),
            Some((start, end)) => Err(Error::new(
                ErrorClass::Corrupt,
                format!(
                    "{}: bytes {start} to {end} do not have the SHA-1 of the integrity table",
                    self.path().display()
                ),
            )
            .with_hint("restore the file from its source")),
        }
    }
}

impl Check<'_> {
    fn run(&self, threads: usize) -> Result<VerifyReport> {
        let mut report = VerifyReport {
            images: self.inner.header.image_count,
            integrity_table: self.wim.has_integrity_table(),
            warnings: self.wim.warnings(),
            ..VerifyReport::default()
        };
        let mut findings = Vec::new();
        self.integrity(&mut findings)?;
        let images: Vec<_> = (1..=self.inner.header.image_count)
            .into_par_iter()
            .filter_map(ImageIndex::new)
            .map(|index| self.image(index))
            .collect::<Result<_>>()?;
        for (found, warnings) in images {
            findings.extend(found);
            report.warnings.extend(warnings);
        }
        self.blobs(threads, &mut findings)?;
        report.blobs = self.inner.table.blob_count();
        report.bytes = self.done.load(Ordering::Relaxed);
        report.findings = findings;
        Ok(report)
    }

    fn advance(&self, bytes: u64) -> Result<()> {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.progress.event(&Event::Advance { task: Task::Verify, done });
        self.cancel.check()
    }

    /// Turns a fault of the file into a finding; a request to stop stays an error.
    fn finding(error: Error, what: impl FnOnce() -> String, offset: Option<u64>) -> Result<VerifyFinding> {
        match error.class() {
            ErrorClass::Cancelled | ErrorClass::Internal | ErrorClass::Permission => Err(error),
            _ => Ok(VerifyFinding { what: what(), offset, message: error.to_string() }),
        }
    }

    fn integrity(&self, findings: &mut Vec<VerifyFinding>) -> Result<()> {
        if !self.wim.has_integrity_table() {
            return Ok(());
        }
        let header = &self.inner.header;
        let offset = Some(header.integrity.offset);
        let what = || "integrity table".to_owned();
        let table = match IntegrityTable::read(&self.inner.store, header) {
            Ok(table) => table,
            Err(error) => {
                findings.push(Self::finding(error, what, offset)?);
                return Ok(());
            }
        };
        match table.check(&*self.inner.store.file, header, self.cancel) {
            Ok(bad) => findings.extend(bad.into_iter().map(|(start, end)| VerifyFinding {
                what: what(),
                offset: Some(start),
                message: format!("bytes {start} to {end} do not have the SHA-1 of the integrity table"),
            })),
            Err(error) => findings.push(Self::finding(error, what, offset)?),
        }
        Ok(())
    }

    fn image(&self, index: ImageIndex) -> Result<(Vec<VerifyFinding>, Vec<String>)> {
        self.cancel.check()?;
        let what = || format!("image {index}");
        let offset = self
            .wim
            .metadata_entry(index)
            .ok()
            .and_then(|entry| self.inner.table.entries.get(entry as usize))
            .map(|entry| entry.header().offset);
        if offset.is_none() && self.inner.header.part_number > 1 {
            return Ok((Vec::new(), Vec::new()));
        }
        let tree = self.wim.metadata(index).and_then(|(_, bytes)| Ok(Tree::parse(bytes, index.number())?));
        let tree = match tree {
            Ok(tree) => tree,
            Err(error) => return Ok((vec![Self::finding(error, what, offset)?], Vec::new())),
        };
        let warnings = tree.warnings().iter().map(|warning| format!("image {index}: {warning}")).collect();
        if self.inner.header.total_parts > 1 {
            return Ok((Vec::new(), warnings));
        }
        // Each missing blob once, with the number of names that need it.
        let mut missing: BTreeMap<BlobHash, (u64, String)> = BTreeMap::new();
        for entry in 0..tree.len() {
            let Some(dentry) = tree.dentry(entry) else { continue };
            for stream in dentry.streams().filter(|stream| !stream.hash.is_zero()) {
                if self.inner.table.find(stream.hash).is_none() {
                    let counted = missing.entry(stream.hash).or_insert_with(|| (0, tree.path(entry)));
                    counted.0 += 1;
                }
            }
        }
        let findings = missing.into_iter().map(|(hash, (count, path))| VerifyFinding {
            what: what(),
            offset: None,
            message: format!(
                "the data with SHA-1 {hash} is missing, which {path} and {} others need",
                count - 1
            ),
        });
        Ok((findings.collect(), warnings))
    }

    fn blobs(&self, threads: usize, findings: &mut Vec<VerifyFinding>) -> Result<()> {
        for (number, resource) in self.inner.table.solid.iter().enumerate() {
            self.solid(number, resource, threads, findings)?;
        }
        let mut plain = Vec::new();
        for (hash, entry) in self.inner.table.blobs() {
            match self.inner.table.locate(entry, &self.inner.header) {
                Ok(Some(location)) if !location.solid => {
                    plain.push((location.length, hash, location.resource))
                }
                Ok(_) => {}
                Err(error) => {
                    let offset =
                        self.inner.table.entries.get(entry as usize).map(|entry| entry.header().offset);
                    findings.push(Self::finding(error.into(), || format!("blob {hash}"), offset)?);
                }
            }
        }
        // Longest first, so that no worker is left alone with a long one at the end.
        plain.sort_unstable_by_key(|&(length, hash, _)| (std::cmp::Reverse(length), hash));
        let found: Vec<Option<VerifyFinding>> = plain
            .par_iter()
            .map(|(_, hash, resource)| match self.plain(*hash, resource) {
                Ok(()) => Ok(None),
                Err(error) => {
                    Self::finding(error, || format!("blob {hash}"), Some(resource.offset)).map(Some)
                }
            })
            .collect::<Result<_>>()?;
        findings.extend(found.into_iter().flatten());
        Ok(())
    }

    fn plain(&self, hash: BlobHash, resource: &Resource) -> Result<()> {
        resource.check_bounds(&*self.inner.store.file)?;
        let reader = ResourceReader::new(self.inner.store.clone(), *resource, 0, resource.original_size);
        // Whole chunks, so that none is decoded twice or goes through the cache.
        let piece = match resource.encoding {
            Encoding::Raw => PIECE,
            Encoding::Chunked(compression, _) => u64::from(compression.chunk_size).max(PIECE),
        };
        let mut buffer = Vec::new();
        let mut digest = Sha1::default();
        let mut position = 0;
        while position < resource.original_size {
            let count = piece.min(resource.original_size - position);
            buffer.resize(count as usize, 0);
            reader.read_once(&mut buffer, position)?;
            digest.update(&buffer);
            position += count;
            self.advance(count)?;
        }
        self.compare(hash, BlobHash(digest.finish()), resource.offset)
    }

    fn compare(&self, expected: BlobHash, found: BlobHash, offset: u64) -> Result<()> {
        if expected == found {
            return Ok(());
        }
        Err(WimError::Hash { what: format!("blob {expected}"), offset, expected, found }.into())
    }

    /// Decodes windows of chunks in parallel, then lets every blob that touches the window take its
    /// share, also in parallel.
    fn solid(
        &self,
        number: usize,
        resource: &Resource,
        threads: usize,
        findings: &mut Vec<VerifyFinding>,
    ) -> Result<()> {
        struct Progressing {
            start: u64,
            end: u64,
            entry: u32,
            digest: Sha1,
            broken: bool,
        }
        let mut blobs: Vec<Progressing> = self
            .inner
            .table
            .blobs_of_solid(number)
            .into_iter()
            .map(|(start, length, entry)| Progressing {
                start,
                end: start + length,
                entry,
                digest: Sha1::default(),
                broken: false,
            })
            .collect();
        let chunk_size = match resource.encoding {
            Encoding::Chunked(compression, _) => u64::from(compression.chunk_size),
            Encoding::Raw => PIECE,
        };
        let what = || format!("solid resource {}", number + 1);
        let file = &*self.inner.store.file;
        let table = match resource.encoding {
            Encoding::Raw => None,
            Encoding::Chunked(..) => match ChunkTable::read(file, resource) {
                Ok(table) => Some(table),
                Err(error) => {
                    findings.push(Self::finding(error, what, Some(resource.offset))?);
                    return Ok(());
                }
            },
        };
        let per_window = (threads as u64)
            .max(SOLID_WINDOW.start() / chunk_size)
            .min(SOLID_WINDOW.end() / chunk_size)
            .max(1);
        let count = resource.original_size.div_ceil(chunk_size);
        let mut first = 0;
        while first < count {
            self.cancel.check()?;
            let indexes: Vec<u64> = (first..count.min(first + per_window)).collect();
            let chunks: Vec<Result<Vec<u8>>> = indexes
                .par_iter()
                .map(|&index| {
                    let start = index * chunk_size;
                    let mut chunk = vec![0; chunk_size.min(resource.original_size - start) as usize];
                    match &table {
                        Some(table) => read_chunk(file, resource, table, index, &mut chunk)?,
                        None => file.read_exact_at(&mut chunk, resource.offset + start)?,
                    }
                    Ok(chunk)
                })
                .collect();
            let mut window = Vec::with_capacity(chunks.len());
            for (chunk, index) in chunks.into_iter().zip(&indexes) {
                match chunk {
                    Ok(chunk) => window.push(Some(chunk)),
                    Err(error) => {
                        let context = || format!("{}, chunk {index}", what());
                        findings.push(Self::finding(error, context, Some(resource.offset))?);
                        window.push(None);
                    }
                }
            }
            let begin = first * chunk_size;
            let end = begin.saturating_add(per_window * chunk_size);
            let touched = blobs.partition_point(|blob| blob.end <= begin);
            let beyond = blobs.partition_point(|blob| blob.start < end);
            blobs.get_mut(touched..beyond).unwrap_or_default().par_iter_mut().try_for_each(|blob| {
                let mut taken = 0;
                for (chunk, index) in window.iter().zip(&indexes) {
                    let chunk_start = index * chunk_size;
                    let from = blob.start.max(chunk_start);
                    let to = blob.end.min(chunk_start + chunk_size);
                    if from >= to {
                        continue;
                    }
                    taken += to - from;
                    let range = (from - chunk_start) as usize..(to - chunk_start) as usize;
                    match chunk.as_ref().and_then(|chunk| chunk.get(range)) {
                        Some(bytes) => blob.digest.update(bytes),
                        None => blob.broken = true,
                    }
                }
                self.advance(taken)
            })?;
            first += per_window;
        }
        for blob in blobs {
            let entry = self.inner.table.entries.get(blob.entry as usize);
            let expected = entry.map(|entry| BlobHash(entry.hash)).ok_or_else(|| internal("a lost entry"))?;
            let outcome = if blob.broken {
                Err(Error::new(ErrorClass::Corrupt, "a chunk that holds a part of it is damaged"))
            } else {
                self.compare(expected, BlobHash(blob.digest.finish()), resource.offset)
            };
            if let Err(error) = outcome {
                findings.push(Self::finding(error, || format!("blob {expected}"), Some(resource.offset))?);
            }
        }
        Ok(())
    }
}
