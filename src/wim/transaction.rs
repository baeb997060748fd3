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
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U32};

use super::blob_table::{EntryRaw, SOLID_RESOURCE};
use super::blob_writer::{BaseChunks, BlobWriter, Job, Outcome, Present, Setting};
use super::chunk_cache::CacheOptions;
use super::commit_file::{CommitFile, Recorded};
use super::edit::{ImageEdit, StreamSource};
use super::error::WimError;
use super::file::{ImageIndex, Wim, internal};
use super::gather::{SourceImage, gather};
use super::header::{HEADER_SIZE, HeaderFlags, ResourceFlags, ResourceHeader};
use super::image_text::{self, ImageText};
use super::integrity::IntegrityTable;
use super::metadata_writer::{Plan, ResolvedStreams};
use super::new_file::{encoded_length, write_blobs, write_metadata};
use super::new_image::{NewImage, NewPlan, WrittenImage, WrittenStream, empty_tree};
use super::resource::{ChunkLayout, ChunkTable, Encoding, Resource};
use super::space::{self, Stored};
use super::statistics::{Statistics, set_total_bytes, update_image};
use super::tree::Tree;
use crate::base::{BlobHash, Context, Error, FileTime, NodeId, Result};
use crate::codec::Level;
use crate::io::{Cancel, Event, FileReader, Pool, Progress, ReadAt, Task};
use crate::xml::{Document, Element, Encoding as XmlEncoding};

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
    edits: Vec<Request>,
    changes: ImageChanges,
    prepared: Option<Box<Prepared>>,
}

/// Told the hashes of the new metadata of edited images, in the order of the edits, just before the header is written.
type Prepared = dyn Fn(&[BlobHash]) -> Result<()> + Send + Sync;

/// One edit, and what becomes of it.
struct Request {
    index: Option<ImageIndex>,
    edit: ImageEdit,
    /// The texts of the new image that the edited one becomes; nothing when it takes the old one's place.
    appended: Option<ImageText>,
}

/// An image as it was found: its number and the hash of its metadata.
pub type ImageIdentity = (ImageIndex, BlobHash);

/// What becomes of the images as wholes.
#[derive(Default)]
struct ImageChanges {
    removed: Vec<ImageIdentity>,
    texts: Vec<(ImageIdentity, ImageText)>,
    added: Vec<(Wim, ImageIndex, ImageText)>,
    new: Vec<NewImage>,
    boot: Option<Boot>,
}

impl ImageChanges {
    fn is_empty(&self) -> bool {
        self.removed.is_empty()
            && self.texts.is_empty()
            && self.added.is_empty()
            && self.new.is_empty()
            && self.boot.is_none()
    }
}

/// Which image is to be booted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boot {
    /// None.
    None,
    /// One that the file has.
    Image(ImageIdentity),
    /// The one that is added last.
    LastAdded,
}

impl Transaction {
    /// A transaction on a file.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), edits: Vec::new(), changes: ImageChanges::default(), prepared: None }
    }

    /// Removes an image: its metadata and what the XML says of it. The numbers of those behind it
    /// fall by one. Data that no other image needs stays in the file as dead space.
    pub fn remove_image(&mut self, image: ImageIdentity) {
        self.changes.removed.push(image);
    }

    /// Sets texts of an image.
    pub fn describe_image(&mut self, image: ImageIdentity, text: ImageText) {
        self.changes.texts.push((image, text));
    }

    /// Adds an image of another file behind those that are there, with texts that replace its own.
    pub fn add_image(&mut self, wim: &Wim, index: ImageIndex, text: ImageText) {
        self.changes.added.push((wim.clone(), index, text));
    }

    /// Adds an image that is in no file yet. Such images come behind those of other files.
    pub fn new_image(&mut self, image: NewImage) {
        self.changes.new.push(image);
    }

    /// Sets the image to boot from.
    pub fn set_boot(&mut self, boot: Boot) {
        self.changes.boot = Some(boot);
    }

    /// Adds the edits of one image, which is found by its metadata.
    pub fn edit(&mut self, edit: ImageEdit) {
        self.edits.push(Request { index: None, edit, appended: None });
    }

    /// Adds the edits of one image. Where several images have the same metadata, `index` says which
    /// is meant.
    pub fn edit_image(&mut self, index: ImageIndex, edit: ImageEdit) {
        self.edits.push(Request { index: Some(index), edit, appended: None });
    }

    /// Adds what the edits of an image make of it as a new image behind those that are there; the old one stays.
    pub fn append_image(&mut self, index: ImageIndex, edit: ImageEdit, text: ImageText) {
        self.edits.push(Request { index: Some(index), edit, appended: Some(text) });
    }

    /// Has `prepared` told the hashes of the new metadata, in the order of the edits, when everything but the header is
    /// written: whoever is killed later can find out which header the file has. An edit that changes nothing keeps its
    /// old hash. When it fails, so does the commit.
    pub fn on_prepared(&mut self, prepared: impl Fn(&[BlobHash]) -> Result<()> + Send + Sync + 'static) {
        self.prepared = Some(Box::new(prepared));
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
        self.edits.retain(|request| !request.edit.tree.is_empty());
        let context = || format!("while committing to {}", self.path.display());
        if self.edits.is_empty() && self.changes.is_empty() {
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
        let commit = || {
            Commit::new(&wim, options, &self.edits, &self.changes, self.prepared.as_deref())?.run(&mut *file)
        };
        options.pool.run(commit).context(context)
    }
}

/// Opens for reading and writing under an exclusive lock, waiting for whoever holds it.
pub(super) fn open_locked(path: &Path, cancel: &Cancel) -> Result<File> {
    crate::io::open_locked(path, OpenOptions::new().read(true).write(true), cancel)
}

/// One image that is edited.
struct Target<'a> {
    index: ImageIndex,
    edit: &'a ImageEdit,
    appended: Option<&'a ImageText>,
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
    appended: Option<ImageText>,
}

struct Commit<'a> {
    wim: &'a Wim,
    options: &'a CommitOptions<'a>,
    targets: Vec<Target<'a>>,
    removed: Vec<ImageIndex>,
    texts: Vec<(ImageIndex, &'a ImageText)>,
    added: Vec<(SourceImage, &'a ImageText)>,
    new: &'a [NewImage],
    boot: Option<Boot>,
    prepared: Option<&'a Prepared>,
    /// End of everything that the current header names.
    end: u64,
    before: u64,
}

impl<'a> Commit<'a> {
    /// Checks that the file may be changed and finds the edited images; nothing is written.
    fn new(
        wim: &'a Wim,
        options: &'a CommitOptions<'a>,
        edits: &'a [Request],
        changes: &'a ImageChanges,
        prepared: Option<&'a Prepared>,
    ) -> Result<Self> {
        let inner = wim.inner();
        wim.check_writable()?;
        let find = |&(index, metadata): &ImageIdentity| find_image(wim, metadata, Some(index));
        let mut removed = changes.removed.iter().map(find).collect::<Result<Vec<_>>>()?;
        removed.sort_unstable();
        removed.dedup();
        let texts =
            changes.texts.iter().map(|(image, text)| Ok((find(image)?, text))).collect::<Result<Vec<_>>>()?;
        let added = changes
            .added
            .iter()
            .map(|(source, index, text)| Ok((SourceImage::read(source, *index)?, text)))
            .collect::<Result<Vec<_>>>()?;
        let boot = match changes.boot {
            Some(Boot::Image(image)) => Some(Boot::Image((find(&image)?, image.1))),
            boot => boot,
        };
        let gained = added.len() as u64 + changes.new.len() as u64;
        if removed.len() as u64 >= u64::from(inner.header.image_count) + gained {
            return Err(WimError::LastImage { path: wim.path().display().to_string() }.into());
        }
        let mut targets: Vec<Target<'_>> = Vec::new();
        for Request { index: wanted, edit, appended } in edits {
            let index = find_image(wim, edit.metadata, *wanted)?;
            if targets.iter().any(|target| target.index == index) || removed.contains(&index) {
                return Err(internal(format!("image {index} was given to one transaction twice")));
            }
            let (_, bytes) = wim.metadata(index)?;
            let tree = Tree::parse(bytes, index.number())?;
            targets.push(Target { index, edit, appended: appended.as_ref(), tree });
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
        let new = &changes.new;
        Ok(Self { wim, options, targets, removed, texts, added, new, boot, prepared, end, before })
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
            level: Level::default(),
            pool: self.options.pool,
            task: Task::Commit,
            progress: self.options.progress,
            cancel: self.options.cancel,
        };
        let plans = self.plans()?;
        let (mut jobs, places) = self.jobs(&plans)?;
        let base = empty_tree()?;
        let first_new = self.image_count() - (self.new.len() + self.appended().count()) as u32 + 1;
        let new_plans = (first_new..)
            .zip(self.new)
            .map(|(number, image)| NewPlan::new(image, &base, number, &mut jobs))
            .collect::<Result<Vec<_>>>()?;
        let known = |hash: BlobHash| inner.table.find(hash).is_some();
        let lengths = inner.table.lengths();
        let present = Present { hash: &known, length: &|length| lengths.contains(&length) };
        let mut foreign = gather(self.added.iter().map(|(image, _)| image))?;
        foreign.retain(|blob| !known(blob.hash));
        let total = jobs.iter().map(|job| job.content.len()).sum::<u64>()
            + foreign.iter().map(|blob| blob.location.length).sum::<u64>();
        // Left-overs behind the end are written over.
        let reclaimed = self.before.saturating_sub(self.end);
        let certain = encoded_length(&foreign, setting.compression).saturating_sub(reclaimed);
        space::check(self.wim.path(), certain, &jobs, present, Stored::new(setting.compression, None))?;
        self.options.progress.event(&Event::Begin { task: Task::Commit, total });

        let mut writer = BlobWriter::new(&setting, file, self.end);
        let outcomes = writer.write(&jobs, present)?;
        drop(jobs);
        let new_blobs: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.written.is_some()).collect();
        let lengths: HashMap<BlobHash, u64> =
            new_blobs.iter().map(|outcome| (outcome.hash, outcome.length)).collect();
        let rewritten = self.write_metadata(&mut writer, &plans, &places, &outcomes, &lengths)?;
        foreign.retain(|blob| !lengths.contains_key(&blob.hash));
        let (foreign_entries, _) = write_blobs(&mut writer, &foreign, setting.compression, 1)?;
        let mut added_metadata =
            write_metadata(&mut writer, self.added.iter().map(|(image, _)| image), setting.compression)?;
        let written = |outcome: &Outcome| WrittenStream { hash: outcome.hash, length: outcome.length };
        let streams: Vec<WrittenStream> = outcomes.iter().map(written).collect();
        let mut new_images = Vec::new();
        for plan in &new_plans {
            let written = plan.write(&mut writer, &streams)?;
            added_metadata.push(written.entry);
            new_images.push(written);
        }
        let tables_change = !rewritten.is_empty()
            || !self.removed.is_empty()
            || !self.added.is_empty()
            || !self.new.is_empty();
        if !tables_change && self.texts.is_empty() && self.boot.is_none() {
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
        let content_end = end;
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
        let mut new_entries =
            new_blobs.iter().map(|outcome| new_entry(outcome, 0)).collect::<Result<Vec<_>>>()?;
        new_entries.extend(&foreign_entries);
        let mut header = inner.header.raw;
        if tables_change {
            let table = self.blob_table(&rewritten, &new_images, new_entries, &added_metadata)?;
            let place = append(table.as_bytes(), ResourceFlags::METADATA)?;
            header.blob_table = place.into();
            let boot_index = self.boot_index();
            let metadata = table
                .iter()
                .filter(|entry| entry.header().flags.contains(ResourceFlags::METADATA))
                .nth((boot_index as usize).wrapping_sub(1));
            header.boot_metadata = metadata.map(|entry| entry.resource).unwrap_or_default();
        } else if self.boot.is_some() {
            let entry =
                ImageIndex::new(self.boot_index()).map(|index| self.wim.metadata_entry(index)).transpose()?;
            let entry = entry.and_then(|entry| inner.table.entries.get(entry as usize));
            header.boot_metadata = entry.map(|entry| entry.resource).unwrap_or_default();
        }
        header.boot_index = U32::new(self.boot_index());
        header.image_count = U32::new(self.image_count());
        debug_assert_eq!(
            self.appended().count(),
            rewritten.iter().filter(|image| image.appended.is_some()).count()
        );
        if tables_change || !self.texts.is_empty() {
            let table_end = ResourceHeader::from(header.blob_table).end().unwrap_or(content_end);
            let place = if tables_change { table_end } else { content_end };
            let xml = match self.xml(&rewritten, &new_images, place)? {
                Some(bytes) => append(&bytes, ResourceFlags::METADATA)?,
                None => ResourceHeader::default(),
            };
            let integrity = match self.integrity(&*source, table_end)? {
                Some(table) => append(&table.to_bytes(), ResourceFlags::empty())?,
                None => ResourceHeader::default(),
            };
            header.xml = xml.into();
            header.integrity = integrity.into();
        }
        high = high.max(end);
        if (tables_change || !self.texts.is_empty()) && self.before.max(high) > end {
            file.set_len(end).map_err(|error| self.io(&error))?;
        }
        self.options.cancel.check()?;
        file.sync().map_err(|error| self.io(&error))?;

        if let Some(prepared) = self.prepared {
            let hash = |target: &Target<'_>| {
                let image = rewritten.iter().find(|image| image.index == target.index);
                image.map_or(target.edit.metadata, |image| image.outcome.hash)
            };
            prepared(&self.targets.iter().map(hash).collect::<Vec<_>>())?;
        }
        let mut flags = inner.header.flags;
        flags.remove(HeaderFlags::WRITE_IN_PROGRESS);
        header.flags = U32::new(flags.bits());
        *header_touched = true;
        file.write_all_at(header.as_bytes(), 0).map_err(|error| self.io(&error))?;
        file.sync().map_err(|error| self.io(&error))?;
        self.options.progress.event(&Event::End { task: Task::Commit });
        Ok(CommitReport {
            images: self.numbers(&rewritten),
            new_blobs: (new_blobs.len() + foreign.len()) as u64,
            new_bytes: new_blobs.iter().map(|outcome| outcome.length).sum::<u64>()
                + foreign.iter().map(|blob| blob.location.length).sum::<u64>(),
            compressed_bytes: new_blobs
                .iter()
                .filter_map(|outcome| outcome.written)
                .map(|written| written.size)
                .chain(foreign_entries.iter().map(|entry| entry.header().size))
                .sum(),
            copied_chunks,
            file_size_before: self.before,
            file_size_after: if tables_change || !self.texts.is_empty() { end } else { self.before },
        })
    }

    fn image_count(&self) -> u32 {
        let kept = self.wim.image_count() - self.removed.len() as u32;
        kept + (self.added.len() + self.new.len() + self.appended().count()) as u32
    }

    /// Edits that become images of their own.
    fn appended(&self) -> impl Iterator<Item = &Target<'a>> {
        self.targets.iter().filter(|target| target.appended.is_some())
    }

    /// The numbers of the images whose metadata is new.
    fn numbers(&self, rewritten: &[Rewritten]) -> Vec<u32> {
        let mut last = self.image_count() - self.appended().count() as u32;
        let number = |image: &Rewritten| {
            if image.appended.is_none() {
                return image.index.number();
            }
            last += 1;
            last
        };
        rewritten.iter().map(number).collect()
    }

    /// The number that an image will have; nothing for one that is removed.
    fn new_index(&self, index: ImageIndex) -> Option<u32> {
        let before = self.removed.iter().filter(|removed| **removed < index).count() as u32;
        (!self.removed.contains(&index)).then(|| index.number() - before)
    }

    /// The number of the image to boot from, as it will be.
    fn boot_index(&self) -> u32 {
        match self.boot {
            Some(Boot::None) => 0,
            Some(Boot::Image((index, _))) => self.new_index(index).unwrap_or(0),
            Some(Boot::LastAdded) => self.image_count(),
            None => {
                let old = ImageIndex::new(self.wim.boot_index());
                old.and_then(|index| self.new_index(index)).unwrap_or(0)
            }
        }
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
                            jobs.push(Job::new(content.clone()));
                            HashPlace::Job(jobs.len() - 1)
                        }
                        StreamSource::Stored(content) => {
                            jobs.push(Job { plain: true, ..Job::new(content.clone()) });
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
                            jobs.push(Job { base, ..Job::new(content.clone()) });
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
            if *bytes == target.tree.bytes() && target.appended.is_none() {
                continue;
            }
            let base = self.metadata_chunks(target, &bytes)?;
            let job = Job::metadata(bytes.clone(), base);
            let outcome = writer.write(std::slice::from_ref(&job), Present::NOTHING)?;
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
                appended: target.appended.cloned(),
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
    fn blob_table(
        &self,
        rewritten: &[Rewritten],
        new_images: &[WrittenImage],
        mut new_entries: Vec<EntryRaw>,
        added_metadata: &[EntryRaw],
    ) -> Result<Vec<EntryRaw>> {
        let inner = self.wim.inner();
        let mut new_numbers: HashMap<BlobHash, usize> = HashMap::new();
        for (number, entry) in new_entries.iter().enumerate() {
            new_numbers.insert(BlobHash(entry.hash), number);
        }
        let mut counts = vec![0u64; inner.table.entries.len()];
        let mut new_counts = vec![0u64; new_entries.len()];
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
        let mut removed = Vec::new();
        let added = self.added.iter().map(|(image, _)| &image.tree);
        for tree in added.chain(new_images.iter().map(|image| &image.tree)) {
            Statistics::count(tree, &mut add);
        }
        for image in rewritten.iter().filter(|image| image.appended.is_some()) {
            Statistics::count(&image.tree, &mut add);
        }
        let in_place = |image: &&Rewritten| image.appended.is_none();
        for number in 1..=inner.header.image_count {
            let Some(index) = ImageIndex::new(number) else { continue };
            if let Some(image) = rewritten.iter().filter(in_place).find(|image| image.index == index) {
                Statistics::count(&image.tree, &mut add);
            } else if let Some(target) = self.targets.iter().find(|target| target.index == index) {
                Statistics::count(&target.tree, &mut add);
            } else {
                self.options.cancel.check()?;
                let (_, bytes) = self.wim.metadata(index)?;
                let tree = Tree::parse(bytes, number)
                    .map_err(Error::from)
                    .context(|| format!("while counting what image {index} refers to"))?;
                if self.removed.contains(&index) {
                    removed.push(tree);
                } else {
                    Statistics::count(&tree, &mut add);
                }
            }
        }
        // What only the edited trees referred to, and no longer do, leaves the table. Other entries
        // without references were there before and are not ours to drop.
        for tree in self.targets.iter().map(|target| &target.tree).chain(&removed) {
            Statistics::count(tree, |hash| {
                released.extend(inner.table.find(hash));
                0
            });
        }
        released.retain(|&entry| counts.get(entry as usize) == Some(&0));
        let released: std::collections::HashSet<u32> = released.into_iter().collect();
        let mut entries = Vec::with_capacity(inner.table.entries.len() + new_entries.len());
        for (number, entry) in inner.table.entries.iter().enumerate() {
            let number = number as u32;
            // What follows a solid run keeps its place: without it two runs could become one, in
            // which offsets mean something else. It stays as data that nothing refers to.
            let ends_run = inner.header.has_solid()
                && entries
                    .last()
                    .is_some_and(|last: &EntryRaw| last.header().flags.contains(ResourceFlags::SOLID));
            if let Some(position) = inner.table.metadata.iter().position(|&other| other == number) {
                if self.removed.iter().any(|index| index.position() == position) {
                    if ends_run {
                        entries.push(unreferenced(entry));
                    }
                    continue;
                }
                let image =
                    rewritten.iter().filter(in_place).find(|image| image.index.position() == position);
                entries.push(match image {
                    Some(image) => new_entry(&image.outcome, 1)?,
                    None => *entry,
                });
                continue;
            }
            if released.contains(&number) {
                if ends_run && !entry.header().flags.contains(ResourceFlags::SOLID) {
                    entries.push(unreferenced(entry));
                }
                continue;
            }
            let more = !added_metadata.is_empty() || self.appended().next().is_some();
            if entry.header().flags.contains(ResourceFlags::METADATA) && more {
                // Metadata beyond the last image would come before that of the added ones.
                continue;
            }
            let mut entry = *entry;
            if inner.table.find(BlobHash(entry.hash)) == Some(number) {
                entry.references = reference_count(counts.get(number as usize).copied().unwrap_or(0));
            }
            entries.push(entry);
        }
        for (entry, count) in new_entries.iter_mut().zip(new_counts) {
            entry.references = reference_count(count);
        }
        entries.extend(added_metadata);
        for image in rewritten.iter().filter(|image| image.appended.is_some()) {
            entries.push(new_entry(&image.outcome, 1)?);
        }
        entries.extend(new_entries);
        Ok(entries)
    }

    /// The new XML, beginning at `offset`; nothing for a file without XML.
    fn xml(
        &self,
        rewritten: &[Rewritten],
        new_images: &[WrittenImage],
        offset: u64,
    ) -> Result<Option<Vec<u8>>> {
        let described = !self.texts.is_empty() || self.image_count() > self.wim.image_count();
        let mut document = match &self.wim.inner().xml {
            Some(document) => document.clone(),
            None if described => Document::new(Element::new("WIM")),
            None => return Ok(None),
        };
        let mut appended = Vec::new();
        for image in rewritten {
            let number = image.index.number();
            match &image.appended {
                None => update_image(&mut document, number, &image.old, &image.new, image.modified),
                // Made from what the file says of the old image before the others are changed or renumbered.
                Some(text) => appended.push((image, image_text::copied(&document, number, text))),
            }
        }
        let mut names = Vec::new();
        for (index, text) in &self.texts {
            image_text::set(&mut document, *index, text);
            names.extend(text.name.as_deref());
        }
        image_text::renumber(&mut document, |index| self.new_index(index));
        let kept = self.image_count() - (self.added.len() + new_images.len() + appended.len()) as u32;
        for (number, (image, text)) in (kept + 1..).zip(&self.added) {
            let element = image_text::image_element(image, number, text);
            image_text::push(&mut document, element);
        }
        for image in new_images {
            image_text::push(&mut document, image.element.clone());
        }
        let first = kept + 1 + (self.added.len() + new_images.len()) as u32;
        for (number, (image, mut element)) in (first..).zip(appended) {
            element.set_attribute("INDEX", &number.to_string());
            image_text::push(&mut document, element);
            update_image(&mut document, number, &image.old, &image.new, image.modified);
        }
        let added = image_text::names(&document, kept + 1);
        let all = image_text::names(&document, 1);
        let taken = names.into_iter().chain(added.iter().map(String::as_str)).find(|name| {
            !name.is_empty() && all.iter().filter(|other| image_text::same_name(other, name)).count() > 1
        });
        if let Some(name) = taken {
            let path = self.wim.path().display().to_string();
            return Err(WimError::NameTaken { path, name: name.to_owned() }.into());
        }
        set_total_bytes(&mut document, offset);
        document.encoding = XmlEncoding::Utf16Le;
        Ok(Some(document.to_bytes()))
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

/// An entry that stays for its place only.
fn unreferenced(entry: &EntryRaw) -> EntryRaw {
    let header = entry.header();
    let flags = header.flags - ResourceFlags::METADATA;
    EntryRaw { resource: ResourceHeader { flags, ..header }.into(), references: U32::new(0), ..*entry }
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
