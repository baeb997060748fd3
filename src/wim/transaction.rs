// SPDX-License-Identifier: GPL-3.0-or-later
//! Committing edits in place.
//!
//! Under the file's exclusive lock: the current header and tables are read; each edit finds its
//! image by the hash of the metadata it was made against, so edits of other images committed
//! meanwhile do not matter; new blobs, then new metadata, then blob table, XML and integrity table
//! are appended behind everything the current header names; after a sync the header is written,
//! and synced. The old tables stay where they are as dead space, so until the header is written the
//! file is the old one. On an error before that, what was appended is cut off again.
//!
//! The order of the tables and what each must say: ebiggers/wimlib `src/write.c`, and tests against
//! wimlib and 7-Zip.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U32};

use super::blob_table::{EntryRaw, SOLID_RESOURCE};
use super::blob_writer::{BaseChunks, BlobWriter, Job, Outcome, Setting};
use super::chunk_cache::CacheOptions;
use super::commit_file::{CommitFile, Recorded};
use super::edit::{ImageEdit, StreamSource};
use super::error::WimError;
use super::file::{ImageIndex, Wim, internal};
use super::header::{HEADER_SIZE, HeaderFlags, Layout, ResourceFlags, ResourceHeader};
use super::integrity::IntegrityTable;
use super::metadata_writer::{Plan, ResolvedStreams};
use super::resource::{ChunkLayout, ChunkTable, Encoding, Resource};
use super::statistics::{Statistics, set_total_bytes, update_image};
use super::tree::Tree;
use crate::base::{BlobHash, Context, Error, FileTime, NodeId, Result};
use crate::io::{Cancel, Event, FileReader, Pool, Progress, ReadAt, Task};
use crate::xml::Encoding as XmlEncoding;

/// How often a lock that somebody holds is tried again.
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// What a commit works with.
pub struct CommitOptions<'a> {
    /// Where compression and hashing run.
    pub pool: &'a Pool,
    /// Told how far it is.
    pub progress: &'a dyn Progress,
    /// Asked whether to stop. A commit that stops leaves the file as it was.
    pub cancel: &'a Cancel,
}

/// What a commit did.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct CommitReport {
    /// Images whose metadata is new.
    pub images: Vec<u32>,
    /// Blobs that the file did not have.
    pub new_blobs: u64,
    /// Their length.
    pub new_bytes: u64,
    /// What they take in the file.
    pub compressed_bytes: u64,
    /// Chunks taken over in their encoded form.
    pub copied_chunks: u64,
    /// Length of the file before.
    pub file_size_before: u64,
    /// Length of the file after.
    pub file_size_after: u64,
}

/// The only way to change a WIM in place. Nothing is opened, locked or read before
/// [`Transaction::commit`].
pub struct Transaction {
    path: PathBuf,
    edits: Vec<(Option<ImageIndex>, ImageEdit)>,
}

impl Transaction {
    /// A transaction on a file.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), edits: Vec::new() }
    }

    /// Adds the edits of one image, which is found by its metadata.
    pub fn edit(&mut self, edit: ImageEdit) {
        self.edits.push((None, edit));
    }

    /// Adds the edits of one image. Where several images have the same metadata, `index` says which
    /// is meant.
    pub fn edit_image(&mut self, index: ImageIndex, edit: ImageEdit) {
        self.edits.push((Some(index), edit));
    }

    /// Locks the file, appends what is new, writes the header last. Without edits nothing is done.
    ///
    /// # Errors
    /// The file is then byte for byte as it was (but for left-overs of an interrupted commit behind
    /// its end): [`crate::base::ErrorClass::Busy`] when an edited image was changed by somebody else;
    /// [`crate::base::ErrorClass::Unsupported`] for files that must not be changed; [`crate::base::ErrorClass::Space`] on a
    /// full disk; [`crate::base::ErrorClass::Corrupt`] when something needed is damaged.
    pub fn commit(self, options: &CommitOptions<'_>) -> Result<CommitReport> {
        self.commit_through(options, &mut |file| Box::new(file))
    }

    /// As [`Transaction::commit`], with all writes going through what `wrap` makes of the file: for
    /// tests that let writes fail.
    ///
    /// # Errors
    /// As [`Transaction::commit`].
    pub fn commit_through(
        mut self,
        options: &CommitOptions<'_>,
        wrap: &mut dyn FnMut(File) -> Box<dyn CommitFile>,
    ) -> Result<CommitReport> {
        self.edits.retain(|(_, edit)| !edit.tree.is_empty());
        let context = || format!("while committing to {}", self.path.display());
        if self.edits.is_empty() {
            let length =
                std::fs::metadata(&self.path).map_err(|error| Error::io(self.path.display(), &error))?.len();
            return Ok(CommitReport {
                file_size_before: length,
                file_size_after: length,
                ..CommitReport::default()
            });
        }
        let file = open_locked(&self.path, options.cancel)?;
        // The lock belongs to the open file that both handles share, and goes with the last of them.
        let reader = file.try_clone().map_err(|error| Error::io(self.path.display(), &error))?;
        let reader = FileReader::new(reader, &self.path)?;
        let wim = Wim::from_reader(reader, &CacheOptions::default())?;
        let mut file = wrap(file);
        options.pool.run(|| Commit::new(&wim, options, &self.edits)?.run(&mut *file)).context(context)
    }
}

/// Opens for reading and writing under an exclusive lock, waiting for whoever holds it.
fn open_locked(path: &Path, cancel: &Cancel) -> Result<File> {
    let io = |error: std::io::Error| Error::io(path.display(), &error);
    loop {
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(io)?;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {
                    cancel.check()?;
                    std::thread::sleep(LOCK_PAUSE);
                }
                Err(TryLockError::Error(error)) => {
                    return Err(Error::io(format!("{} cannot be locked", path.display()), &error)
                        .with_hint("copy the file to a file system that supports locks (flock)"));
                }
            }
        }
        // Whoever held the lock may have put another file in its place.
        let (ours, named) = (file.metadata().map_err(io)?, std::fs::metadata(path).map_err(io)?);
        if (ours.dev(), ours.ino()) == (named.dev(), named.ino()) {
            return Ok(file);
        }
    }
}

/// One image that is edited.
struct Target<'a> {
    index: ImageIndex,
    edit: &'a ImageEdit,
    tree: Tree,
}

/// An image whose metadata was written anew.
struct Rewritten {
    index: ImageIndex,
    tree: Tree,
    old: Statistics,
    new: Statistics,
    modified: FileTime,
    outcome: Outcome,
}

struct Commit<'a> {
    wim: &'a Wim,
    options: &'a CommitOptions<'a>,
    targets: Vec<Target<'a>>,
    /// End of everything that the current header names.
    end: u64,
    before: u64,
}

impl<'a> Commit<'a> {
    /// Checks that the file may be changed and finds the edited images; nothing is written.
    fn new(
        wim: &'a Wim,
        options: &'a CommitOptions<'a>,
        edits: &'a [(Option<ImageIndex>, ImageEdit)],
    ) -> Result<Self> {
        let inner = wim.inner();
        let header = &inner.header;
        let refusal = if header.flags.contains(HeaderFlags::READONLY) {
            Some("it is marked read-only")
        } else if header.flags.contains(HeaderFlags::SPANNED) || header.total_parts > 1 {
            Some("it is a part of a split set")
        } else if header.layout == Layout::Pipable {
            Some("it is a pipable WIM")
        } else {
            None
        };
        if let Some(reason) = refusal {
            return Err(WimError::NotWritable { path: wim.path().display().to_string(), reason }.into());
        }
        let mut targets: Vec<Target<'_>> = Vec::new();
        for (wanted, edit) in edits {
            let index = find_image(wim, edit.metadata, *wanted)?;
            if targets.iter().any(|target| target.index == index) {
                return Err(internal(format!("image {index} was given to one transaction twice")));
            }
            let (_, bytes) = wim.metadata(index)?;
            targets.push(Target { index, edit, tree: Tree::parse(bytes, index.number())? });
        }
        let before = inner.store.file.len();
        let end = end_of_content(wim)?;
        if end > before {
            return Err(WimError::Damaged {
                what: "file",
                offset: before,
                expected: format!("{end} bytes"),
                found: format!("{before} bytes: the file is cut off"),
            }
            .into());
        }
        Ok(Self { wim, options, targets, end, before })
    }

    fn run(&self, file: &mut dyn CommitFile) -> Result<CommitReport> {
        let mut file = Recorded { file, touched: false };
        let mut header_touched = false;
        self.append(&mut file, &mut header_touched).map_err(|error| {
            let restored = self.undo(&mut file, header_touched);
            match restored {
                Ok(()) => error,
                Err(failure) => error.with_context(format!(
                    "and what was appended could not be cut off again: {failure}; the images are unharmed"
                )),
            }
        })
    }

    /// Puts back what was changed.
    fn undo(&self, file: &mut Recorded<'_>, header_touched: bool) -> std::io::Result<()> {
        if header_touched {
            // The old header must be there for good before what the new one names goes away.
            file.write_all_at(self.wim.inner().header.raw.as_bytes(), 0)?;
            file.sync()?;
        }
        if file.touched {
            // Left-overs behind the end of the content may have been overwritten, so they go too.
            file.set_len(self.end)?;
            file.sync()?;
        }
        Ok(())
    }

    fn append(&self, file: &mut Recorded<'_>, header_touched: &mut bool) -> Result<CommitReport> {
        let inner = self.wim.inner();
        let source = inner.store.file.clone();
        let setting = Setting {
            path: self.wim.path(),
            source: &*source,
            compression: inner.header.compression,
            threads: self.options.pool.threads(),
            progress: self.options.progress,
            cancel: self.options.cancel,
        };
        let plans = self.plans()?;
        let (jobs, places) = self.jobs(&plans)?;
        let total = jobs.iter().map(|job| job.content.len()).sum();
        self.options.progress.event(&Event::Begin { task: Task::Commit, total });

        let mut writer = BlobWriter::new(&setting, file, self.end);
        let known = |hash: BlobHash| inner.table.find(hash).is_some();
        let outcomes = writer.write(&jobs, &known)?;
        drop(jobs);
        let new_blobs: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.written.is_some()).collect();
        let lengths: HashMap<BlobHash, u64> =
            new_blobs.iter().map(|outcome| (outcome.hash, outcome.length)).collect();
        let rewritten = self.write_metadata(&mut writer, &plans, &places, &outcomes, &lengths)?;
        if rewritten.is_empty() {
            // The edits say what was so already. A patched stream that turned out to be an old one
            // may have been appended and taken back.
            let (end, high) = writer.finish()?;
            if end != self.end {
                return Err(internal("new data that no metadata names"));
            }
            if high > end {
                file.set_len(end).map_err(|error| self.io(&error))?;
            }
            self.options.progress.event(&Event::End { task: Task::Commit });
            return Ok(CommitReport {
                file_size_before: self.before,
                file_size_after: if high > end { end } else { self.before },
                ..CommitReport::default()
            });
        }
        let copied_chunks = writer.copied_chunks;
        let (mut end, mut high) = writer.finish()?;
        let mut append = |bytes: &[u8], flags: ResourceFlags| -> Result<ResourceHeader> {
            let header = ResourceHeader {
                size: bytes.len() as u64,
                flags,
                offset: end,
                original_size: bytes.len() as u64,
            };
            file.write_all_at(bytes, end).map_err(|error| self.io(&error))?;
            end += bytes.len() as u64;
            Ok(header)
        };
        let table = self.blob_table(&rewritten, &new_blobs)?;
        let table = append(table.as_bytes(), ResourceFlags::METADATA)?;
        let xml = match self.xml(&rewritten, table.offset + table.size) {
            Some(bytes) => append(&bytes, ResourceFlags::METADATA)?,
            None => ResourceHeader::default(),
        };
        let integrity = match self.integrity(&*source, table.offset + table.size)? {
            Some(table) => append(&table.to_bytes(), ResourceFlags::empty())?,
            None => ResourceHeader::default(),
        };
        high = high.max(end);
        if self.before.max(high) > end {
            file.set_len(end).map_err(|error| self.io(&error))?;
        }
        self.options.cancel.check()?;
        file.sync().map_err(|error| self.io(&error))?;

        let mut header = inner.header.raw;
        header.blob_table = table.into();
        header.xml = xml.into();
        header.integrity = integrity.into();
        let boot = rewritten.iter().find(|image| image.index.number() == inner.header.boot_index);
        if let Some(written) = boot.and_then(|image| image.outcome.written) {
            header.boot_metadata = written.into();
        }
        let mut flags = inner.header.flags;
        flags.remove(HeaderFlags::WRITE_IN_PROGRESS);
        header.flags = U32::new(flags.bits());
        *header_touched = true;
        file.write_all_at(header.as_bytes(), 0).map_err(|error| self.io(&error))?;
        file.sync().map_err(|error| self.io(&error))?;
        self.options.progress.event(&Event::End { task: Task::Commit });
        Ok(CommitReport {
            images: rewritten.iter().map(|image| image.index.number()).collect(),
            new_blobs: new_blobs.len() as u64,
            new_bytes: new_blobs.iter().map(|outcome| outcome.length).sum(),
            compressed_bytes: new_blobs
                .iter()
                .filter_map(|outcome| outcome.written)
                .map(|written| written.size)
                .sum(),
            copied_chunks,
            file_size_before: self.before,
            file_size_after: end,
        })
    }

    fn io(&self, error: &std::io::Error) -> Error {
        Error::io(self.wim.path().display(), error)
    }

    fn plans(&self) -> Result<Vec<Plan<'_>>> {
        self.targets
            .iter()
            .map(|target| Ok(Plan::new(&target.tree, &target.edit.tree, target.index.number())?))
            .collect()
    }

    /// The streams to be written, and for each edited node of each image where its hashes come from.
    fn jobs(&self, plans: &[Plan<'_>]) -> Result<(Vec<Job>, Vec<HashPlaces>)> {
        let mut jobs = Vec::new();
        let mut places = Vec::new();
        for (target, plan) in self.targets.iter().zip(plans) {
            let mut of_image = HashMap::new();
            for (id, edit) in plan.edited() {
                let wrong = |message: &str| {
                    Error::from(WimError::Edit {
                        image: target.index.number(),
                        message: format!("node {}: {message}", id.0),
                    })
                };
                if edit.streams.len() != edit.node.streams.len() {
                    return Err(wrong("streams and their sources do not agree in number"));
                }
                let mut of_node = Vec::with_capacity(edit.streams.len());
                for (stream, source) in edit.node.streams.iter().zip(&edit.streams) {
                    of_node.push(match source {
                        StreamSource::Unchanged => {
                            let hash = stream.hash.ok_or_else(|| wrong("an unchanged stream has no hash"))?;
                            if !hash.is_zero() && self.wim.inner().table.find(hash).is_none() {
                                return Err(self.missing(hash));
                            }
                            HashPlace::Known(hash)
                        }
                        StreamSource::New(content) => {
                            jobs.push(Job { content: content.clone(), base: None, metadata: false });
                            HashPlace::Job(jobs.len() - 1)
                        }
                        StreamSource::Patched { base, changed, content } => {
                            let ordered = changed.windows(2).all(|pair| match pair {
                                [left, right] => left.end <= right.start,
                                _ => true,
                            });
                            if !ordered || changed.iter().any(|range| range.start > range.end) {
                                return Err(wrong("changed ranges are not sorted"));
                            }
                            let base = self.base_chunks(*base, changed.clone())?;
                            jobs.push(Job { content: content.clone(), base, metadata: false });
                            HashPlace::Job(jobs.len() - 1)
                        }
                    });
                }
                of_image.insert(id, of_node);
            }
            places.push(of_image);
        }
        Ok((jobs, places))
    }

    fn missing(&self, hash: BlobHash) -> Error {
        WimError::NoBlob { path: self.wim.path().display().to_string(), hash }.into()
    }

    /// The chunks of a blob that can be copied; nothing where its encoding is another than that of
    /// new blobs.
    fn base_chunks(&self, hash: BlobHash, changed: Vec<std::ops::Range<u64>>) -> Result<Option<BaseChunks>> {
        if hash.is_zero() {
            return Ok(None);
        }
        let inner = self.wim.inner();
        let entry = inner.table.find(hash).ok_or_else(|| self.missing(hash))?;
        let location = inner.table.locate(entry, &inner.header)?.ok_or_else(|| self.missing(hash))?;
        self.chunks_of(location.resource, Some(hash), changed)
    }

    fn chunks_of(
        &self,
        resource: Resource,
        hash: Option<BlobHash>,
        changed: Vec<std::ops::Range<u64>>,
    ) -> Result<Option<BaseChunks>> {
        let Encoding::Chunked(compression, ChunkLayout::Offsets) = resource.encoding else { return Ok(None) };
        if Some(compression) != self.wim.compression() {
            return Ok(None);
        }
        let table = Arc::new(ChunkTable::read(&*self.wim.inner().store.file, &resource)?);
        Ok(Some(BaseChunks { resource, table, hash, changed }))
    }

    /// Writes the metadata of every image that really changes.
    fn write_metadata(
        &self,
        writer: &mut BlobWriter<'_>,
        plans: &[Plan<'_>],
        places: &[HashPlaces],
        outcomes: &[Outcome],
        lengths: &HashMap<BlobHash, u64>,
    ) -> Result<Vec<Rewritten>> {
        let length =
            |hash: BlobHash| self.wim.blob_length(hash).or_else(|| lengths.get(&hash).copied()).unwrap_or(0);
        let mut rewritten = Vec::new();
        for ((target, plan), places) in self.targets.iter().zip(plans).zip(places) {
            let resolved: ResolvedStreams = places
                .iter()
                .map(|(&id, places)| {
                    let hashes = places.iter().map(|place| match *place {
                        HashPlace::Known(hash) => Ok(hash),
                        HashPlace::Job(job) => outcomes
                            .get(job)
                            .map(|outcome| outcome.hash)
                            .ok_or_else(|| internal("a stream was left out")),
                    });
                    Ok((id, hashes.collect::<Result<_>>()?))
                })
                .collect::<Result<_>>()?;
            let bytes: Arc<Vec<u8>> = Arc::new(plan.write(&resolved)?);
            if *bytes == target.tree.bytes() {
                continue;
            }
            let base = self.metadata_chunks(target, &bytes)?;
            let job = Job { content: bytes.clone(), base, metadata: true };
            let outcome = writer.write(std::slice::from_ref(&job), &|_| false)?;
            drop(job);
            let outcome = outcome.into_iter().next().ok_or_else(|| internal("metadata was left out"))?;
            // What was written is read as any other metadata: that checks it, and counts it.
            let bytes = Arc::try_unwrap(bytes).unwrap_or_else(|shared| shared.to_vec());
            let tree = Tree::parse(bytes, target.index.number())
                .map_err(|error| internal(format!("the new metadata is wrong: {error}")))?;
            if !tree.warnings().is_empty() {
                return Err(internal(format!("the new metadata is wrong: {}", tree.warnings().join("; "))));
            }
            rewritten.push(Rewritten {
                index: target.index,
                old: Statistics::count(&target.tree, length),
                new: Statistics::count(&tree, length),
                tree,
                modified: target.edit.modified,
                outcome,
            });
        }
        Ok(rewritten)
    }

    /// The chunks of the old metadata that stay: edits that keep the length of everything before
    /// them (a changed hive) leave nearly all of them as they are.
    fn metadata_chunks(&self, target: &Target<'_>, bytes: &[u8]) -> Result<Option<BaseChunks>> {
        let inner = self.wim.inner();
        let entry = self.wim.metadata_entry(target.index)?;
        let header = inner.table.entries.get(entry as usize).map(EntryRaw::header).unwrap_or_default();
        let resource = Resource::ordinary(&header, inner.header.compression, inner.header.layout)?;
        let Some(compression) = self.wim.compression() else { return Ok(None) };
        let size = compression.chunk_size as usize;
        let old = target.tree.bytes();
        let changed = bytes
            .chunks(size)
            .enumerate()
            .map(|(number, chunk)| (number * size, chunk))
            .filter(|(start, chunk)| old.get(*start..start + chunk.len()) != Some(chunk))
            .map(|(start, chunk)| start as u64..(start + chunk.len()) as u64)
            .collect();
        self.chunks_of(resource, None, changed)
    }

    /// The new blob table: entries keep their order, metadata its rank; new blobs go to the end.
    fn blob_table(&self, rewritten: &[Rewritten], new_blobs: &[&Outcome]) -> Result<Vec<EntryRaw>> {
        let inner = self.wim.inner();
        let mut new_numbers: HashMap<BlobHash, usize> = HashMap::new();
        for (number, outcome) in new_blobs.iter().enumerate() {
            new_numbers.insert(outcome.hash, number);
        }
        let mut counts = vec![0u64; inner.table.entries.len()];
        let mut new_counts = vec![0u64; new_blobs.len()];
        let mut add = |hash: BlobHash| {
            let slot = match inner.table.find(hash) {
                Some(entry) => counts.get_mut(entry as usize),
                None => new_numbers.get(&hash).and_then(|&number| new_counts.get_mut(number)),
            };
            if let Some(count) = slot {
                *count += 1;
            }
            0
        };
        let mut released: Vec<u32> = Vec::new();
        for number in 1..=inner.header.image_count {
            let Some(index) = ImageIndex::new(number) else { continue };
            if let Some(image) = rewritten.iter().find(|image| image.index == index) {
                Statistics::count(&image.tree, &mut add);
            } else if let Some(target) = self.targets.iter().find(|target| target.index == index) {
                Statistics::count(&target.tree, &mut add);
            } else {
                self.options.cancel.check()?;
                let (_, bytes) = self.wim.metadata(index)?;
                let tree = Tree::parse(bytes, number)
                    .map_err(Error::from)
                    .context(|| format!("while counting what image {index} refers to"))?;
                Statistics::count(&tree, &mut add);
            }
        }
        // What only the edited trees referred to, and no longer do, leaves the table. Other entries
        // without references were there before and are not ours to drop.
        for target in &self.targets {
            Statistics::count(&target.tree, |hash| {
                released.extend(inner.table.find(hash));
                0
            });
        }
        released.retain(|&entry| counts.get(entry as usize) == Some(&0));
        let released: std::collections::HashSet<u32> = released.into_iter().collect();
        let mut entries = Vec::with_capacity(inner.table.entries.len() + new_blobs.len());
        for (number, entry) in inner.table.entries.iter().enumerate() {
            let number = number as u32;
            if let Some(position) = inner.table.metadata.iter().position(|&other| other == number) {
                let image = rewritten.iter().find(|image| image.index.position() == position);
                entries.push(match image {
                    Some(image) => new_entry(&image.outcome, 1)?,
                    None => *entry,
                });
                continue;
            }
            if released.contains(&number) {
                continue;
            }
            let mut entry = *entry;
            if inner.table.find(BlobHash(entry.hash)) == Some(number) {
                entry.references = reference_count(counts.get(number as usize).copied().unwrap_or(0));
            }
            entries.push(entry);
        }
        for (outcome, count) in new_blobs.iter().zip(new_counts) {
            entries.push(new_entry(outcome, count)?);
        }
        Ok(entries)
    }

    /// The new XML, beginning at `offset`; nothing for a file without XML.
    fn xml(&self, rewritten: &[Rewritten], offset: u64) -> Option<Vec<u8>> {
        let mut document = self.wim.inner().xml.clone()?;
        for image in rewritten {
            update_image(&mut document, image.index.number(), &image.old, &image.new, image.modified);
        }
        set_total_bytes(&mut document, offset);
        document.encoding = XmlEncoding::Utf16Le;
        Some(document.to_bytes())
    }

    /// The new integrity table, for a blob table that ends at `end`; nothing when there was none.
    fn integrity(&self, source: &dyn ReadAt, end: u64) -> Result<Option<IntegrityTable>> {
        let inner = self.wim.inner();
        if !inner.header.integrity.is_present() {
            return Ok(None);
        }
        // A table that cannot be read is made anew.
        let old = IntegrityTable::read(&inner.store, &inner.header).ok();
        let old = old.as_ref().map(|table| (table, &inner.header));
        IntegrityTable::updated(old, source, end, self.options.cancel).map(Some)
    }
}

/// For each edited node of one image, where the hashes of its streams come from.
type HashPlaces = HashMap<NodeId, Vec<HashPlace>>;

/// Where the hash of an edited node's stream comes from.
enum HashPlace {
    Known(BlobHash),
    Job(usize),
}

fn reference_count(count: u64) -> U32 {
    U32::new(u32::try_from(count).unwrap_or(u32::MAX))
}

fn new_entry(outcome: &Outcome, references: u64) -> Result<EntryRaw> {
    let written = outcome.written.ok_or_else(|| internal("a resource was not written"))?;
    Ok(EntryRaw {
        resource: written.into(),
        part_number: U16::new(1),
        references: reference_count(references),
        hash: outcome.hash.0,
    })
}

/// The image that has this metadata now.
fn find_image(wim: &Wim, metadata: BlobHash, wanted: Option<ImageIndex>) -> Result<ImageIndex> {
    let mut found = Vec::new();
    for index in (1..=wim.image_count()).filter_map(ImageIndex::new) {
        if wim.metadata_hash(index)? == metadata {
            found.push(index);
        }
    }
    let path = || wim.path().display().to_string();
    match (found.as_slice(), wanted) {
        ([], _) => Err(WimError::ImageGone { path: path(), metadata }.into()),
        ([only], _) => Ok(*only),
        (several, Some(wanted)) if several.contains(&wanted) => Ok(wanted),
        ([first, second, ..], _) => Err(WimError::Ambiguous {
            path: path(),
            metadata,
            first: first.number(),
            second: second.number(),
        }
        .into()),
    }
}

/// Where the last byte ends that the header, a table or a resource names.
fn end_of_content(wim: &Wim) -> Result<u64> {
    let inner = wim.inner();
    let header = &inner.header;
    let tables = [header.blob_table, header.xml, header.integrity];
    // The offset of a blob inside a solid resource is no place in the file; the resource's is.
    let in_solid = |resource: &ResourceHeader| {
        header.has_solid()
            && resource.flags.contains(ResourceFlags::SOLID)
            && resource.original_size != SOLID_RESOURCE
    };
    let plain = inner.table.entries.iter().map(EntryRaw::header).filter(|resource| !in_solid(resource));
    let mut end = HEADER_SIZE;
    for resource in tables.into_iter().filter(ResourceHeader::is_present).chain(plain) {
        let resource_end = resource.end().ok_or_else(|| WimError::Damaged {
            what: "resource header",
            offset: resource.offset,
            expected: "an end below 2^64".to_owned(),
            found: resource.size.to_string(),
        })?;
        end = end.max(resource_end);
    }
    Ok(end)
}
