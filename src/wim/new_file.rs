// SPDX-License-Identifier: GPL-3.0-or-later
//! Writing a new WIM: images of existing files into one that appears whole or not at all.
//!
//! The file is written under a temporary name beside its target and renamed. Blobs are written
//! once each. One that lies in the source as the new file would encode it is copied in its encoded
//! form, unread; any other is decoded, checked against its hash and encoded anew on all cores. A
//! solid resource is copied when all of it is wanted and the new file is solid too.
//!
//! Order: header, blobs, metadata, blob table, XML, integrity table; the header is written last.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U32};

use super::blob_table::{EntryRaw, SOLID_RESOURCE};
use super::blob_writer::{BlobWriter, Job, Present, Setting};
use super::commit_file::CommitFile;
use super::file::{ImageIndex, Wim, internal};
use super::gather::{SourceImage, Wanted, gather, sort_for_solid};
use super::header::{Compression, HEADER_SIZE, HeaderFlags, HeaderRaw, ResourceFlags, ResourceHeader};
use super::image_text::{self, ImageText, image_element};
use super::integrity::IntegrityTable;
use super::new_image::{self, LinkTargets, NewBlobs, NewImage, NewPlan, empty_tree};
use super::resource::{Encoding, Resource};
use super::space;
use super::statistics::set_total_bytes;
use super::transaction::{CommitOptions, open_locked};
use crate::base::{BlobHash, Context, Error, FileTime, Guid, Result};
use crate::codec::{Codec, Level};
use crate::digest::Sha1;
use crate::io::{AtomicFile, Event, FileReader, ReadAt, Task};
use crate::xml::{Document, Element, Encoding as XmlEncoding};

/// How a new file stores its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Storage {
    /// Codec and chunk size of metadata, and of blobs that are not solid.
    pub compression: Option<Compression>,
    /// Codec and chunk size of the solid resource that holds all blobs, if they go into one.
    pub solid: Option<Compression>,
}

impl Storage {
    /// Everything as it is.
    pub const NONE: Self = Self { compression: None, solid: None };
    /// XPRESS in chunks of 32 KiB.
    pub const FAST: Self = Self::plain(Codec::Xpress, 1 << 15);
    /// LZX in chunks of 32 KiB.
    pub const MAXIMUM: Self = Self::plain(Codec::Lzx, 1 << 15);
    /// LZMS, all blobs together in chunks of 64 MiB: an ESD.
    pub const RECOVERY: Self = Self {
        compression: Some(Compression { codec: Codec::Lzms, chunk_size: 1 << 17 }),
        solid: Some(Compression { codec: Codec::Lzms, chunk_size: 1 << 26 }),
    };

    const fn plain(codec: Codec, chunk_size: u32) -> Self {
        Self { compression: Some(Compression { codec, chunk_size }), solid: None }
    }

    /// As an existing file stores its data.
    pub fn of(wim: &Wim) -> Self {
        let solid = wim.inner().table.solid.first().map(|resource| match resource.encoding {
            Encoding::Chunked(compression, _) => compression,
            Encoding::Raw => Compression { codec: Codec::Lzms, chunk_size: 1 << 26 },
        });
        Self { compression: wim.compression(), solid }
    }
}

/// Whether a file gets a table of its own checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Integrity {
    /// It gets one.
    Table,
    /// It gets none.
    Absent,
}

/// A new WIM, to be written with [`NewFile::write`].
pub struct NewFile {
    path: PathBuf,
    storage: Storage,
    integrity: Integrity,
    created: FileTime,
    images: Vec<(Wim, ImageIndex, ImageText)>,
    new_images: Vec<NewImage>,
    boot: Option<u32>,
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct NewFileReport {
    /// Images in the file.
    pub images: u32,
    /// Blobs in the file.
    pub blobs: u64,
    /// Their length.
    pub bytes: u64,
    /// Blobs that were taken over in their encoded form.
    pub copied_blobs: u64,
    /// Length of the file.
    pub file_size: u64,
}

impl NewFile {
    /// A file that will stand at `path`. `created` goes into its GUID, so that it is unique, and
    /// the same for the same images at the same time.
    pub fn new(path: &Path, storage: Storage, integrity: Integrity, created: FileTime) -> Self {
        Self {
            path: path.to_owned(),
            storage,
            integrity,
            created,
            images: Vec::new(),
            new_images: Vec::new(),
            boot: None,
        }
    }

    /// Adds an image of another file, with texts that replace its own.
    pub fn image(&mut self, wim: &Wim, index: ImageIndex, text: ImageText) {
        self.images.push((wim.clone(), index, text));
    }

    /// Adds an image that is in no file yet. Such images come behind those of other files.
    pub fn new_image(&mut self, image: NewImage) {
        self.new_images.push(image);
    }

    /// Makes the image that was added last the one to boot from.
    pub fn boot_from_last(&mut self) {
        self.boot = u32::try_from(self.images.len() + self.new_images.len()).ok();
    }

    /// Writes the file and puts it in place.
    ///
    /// # Errors
    /// When a source is damaged or incomplete, or the system fails: then nothing has changed.
    pub fn write(self, options: &CommitOptions<'_>) -> Result<NewFileReport> {
        self.write_through(options, &mut |file| Box::new(file))
    }

    /// As [`NewFile::write`], with all writes going through what `wrap` makes of the file: for
    /// tests that let writes fail.
    ///
    /// # Errors
    /// As [`NewFile::write`].
    pub fn write_through(
        self,
        options: &CommitOptions<'_>,
        wrap: &mut dyn FnMut(File) -> Box<dyn CommitFile>,
    ) -> Result<NewFileReport> {
        let path = self.path.clone();
        let context = || format!("while writing {}", path.display());
        let (target, mut file) = begin(&path, wrap)?;
        let work = || {
            let images = self
                .images
                .iter()
                .map(|(wim, index, _)| SourceImage::read(wim, *index))
                .collect::<Result<Vec<_>>>()?;
            let mut elements = Vec::new();
            for (position, ((_, _, text), image)) in self.images.iter().zip(&images).enumerate() {
                elements.push(image_element(image, position as u32 + 1, text));
            }
            let relative = images
                .iter()
                .map(|image| image.wim.inner().header.flags.contains(HeaderFlags::RELATIVE_PATH_FIX))
                .chain(self.new_images.iter().map(|image| image.links == LinkTargets::RelativeToRoot))
                .all(|relative| relative);
            let task = if self.new_images.is_empty() { Task::Export } else { Task::Capture };
            let content = Content {
                guid: None,
                created: self.created,
                storage: self.storage,
                integrity: self.integrity,
                relative,
                boot_index: self.boot.unwrap_or(0),
                blobs: gather(&images)?,
                images: &images,
                new_images: &self.new_images,
                document: new_document(elements),
                task,
            };
            content.write(&mut *file, &reader(&target, &self.path)?, &self.path, options)
        };
        let report = options.pool.run(work).context(context)?;
        target.persist()?;
        Ok(report)
    }
}

/// What became of a file that was written anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct RebuildReport {
    /// The new file.
    #[serde(flatten)]
    pub file: NewFileReport,
    /// Length of the file before.
    pub file_size_before: u64,
}

/// Writes a file anew with what its images need and nothing else: same images, GUID, compression,
/// boot image and XML. The file is locked meanwhile, so that no commit is lost.
///
/// # Errors
/// When it may not be changed, is damaged or incomplete, or the system fails: then it is as it was.
pub fn rebuild(path: &Path, options: &CommitOptions<'_>) -> Result<RebuildReport> {
    rebuild_through(path, options, &mut |file| Box::new(file))
}

/// As [`rebuild`], with all writes going through what `wrap` makes of the new file.
///
/// # Errors
/// As [`rebuild`].
pub fn rebuild_through(
    path: &Path,
    options: &CommitOptions<'_>,
    wrap: &mut dyn FnMut(File) -> Box<dyn CommitFile>,
) -> Result<RebuildReport> {
    let lock = open_locked(path, options.cancel)?;
    let old = lock.try_clone().map_err(|error| Error::io(path.display(), &error))?;
    let wim = Wim::from_reader(FileReader::new(old, path)?, &super::CacheOptions::default())?;
    wim.check_writable()?;
    let before = wim.inner().store.file.len();
    let (target, mut file) = begin(path, wrap)?;
    let work = || {
        let images = every_image(&wim)?;
        let header = &wim.inner().header;
        let content = Content {
            guid: Some(wim.guid()),
            created: FileTime::default(),
            storage: Storage::of(&wim),
            integrity: if wim.has_integrity_table() { Integrity::Table } else { Integrity::Absent },
            relative: header.flags.contains(HeaderFlags::RELATIVE_PATH_FIX),
            boot_index: wim.boot_index(),
            blobs: gather(&images)?,
            images: &images,
            new_images: &[],
            document: wim.inner().xml.clone().unwrap_or_else(|| new_document(Vec::new())),
            task: Task::Optimize,
        };
        content.write(&mut *file, &reader(&target, path)?, path, options)
    };
    let report = options.pool.run(work).context(|| format!("while writing {} anew", path.display()))?;
    target.persist()?;
    drop(lock);
    Ok(RebuildReport { file: report, file_size_before: before })
}

/// Every image of a file.
pub(super) fn every_image(wim: &Wim) -> Result<Vec<SourceImage>> {
    (1..=wim.image_count()).filter_map(ImageIndex::new).map(|index| SourceImage::read(wim, index)).collect()
}

fn new_document(elements: Vec<Element>) -> Document {
    let mut root = Element::new("WIM");
    root.push(Element::with_text("TOTALBYTES", "0"));
    for element in elements {
        root.push(element);
    }
    Document::new(root)
}

/// A GUID made from what a file will hold and when: version 8 of RFC 9562.
pub(super) fn derived_guid(created: FileTime, images: &[SourceImage], storage: Storage) -> Guid {
    guid_of(created, images.iter().map(|image| (image.wim.guid(), image.hash)), storage)
}

fn guid_of(created: FileTime, images: impl Iterator<Item = (Guid, BlobHash)>, storage: Storage) -> Guid {
    let mut digest = Sha1::default();
    digest.update(&created.0.to_le_bytes());
    for compression in [storage.compression, storage.solid].into_iter().flatten() {
        digest.update(&compression.codec.solid_number().to_le_bytes());
        digest.update(&compression.chunk_size.to_le_bytes());
    }
    for (guid, metadata) in images {
        digest.update(&guid.0);
        digest.update(&metadata.0);
    }
    let hash = digest.finish();
    let mut bytes = [0; 16];
    for (byte, from) in bytes.iter_mut().zip(hash) {
        *byte = from;
    }
    Guid(uuid::Builder::from_custom_bytes(bytes).into_uuid().to_bytes_le())
}

/// All that a whole file is to hold.
struct Content<'a> {
    /// The one to be kept; nothing for a new one.
    guid: Option<Guid>,
    created: FileTime,
    storage: Storage,
    integrity: Integrity,
    relative: bool,
    boot_index: u32,
    images: &'a [SourceImage],
    new_images: &'a [NewImage],
    blobs: Vec<Wanted>,
    document: Document,
    task: Task,
}

impl Content<'_> {
    fn write(
        mut self,
        file: &mut dyn CommitFile,
        reader: &dyn ReadAt,
        path: &Path,
        options: &CommitOptions<'_>,
    ) -> Result<NewFileReport> {
        let setting = Setting {
            path,
            source: reader,
            compression: self.storage.compression,
            level: Level::default(),
            pool: options.pool,
            task: self.task,
            progress: options.progress,
            cancel: options.cancel,
        };
        let base = empty_tree()?;
        let mut jobs = Vec::new();
        let mut plans = Vec::new();
        for (number, image) in (self.images.len() as u32 + 1..).zip(self.new_images) {
            plans.push(NewPlan::new(image, &base, number, &mut jobs)?);
        }
        let lengths = self.blobs.iter().map(|blob| blob.location.length);
        let total = lengths.chain(jobs.iter().map(|job| job.content.len())).fold(0, u64::saturating_add);
        let old: HashMap<BlobHash, u64> =
            self.blobs.iter().map(|blob| (blob.hash, blob.location.length)).collect();
        let old_lengths: HashSet<u64> = old.values().copied().collect();
        let present = Present {
            hash: &|hash| old.contains_key(&hash),
            length: &|length| old_lengths.contains(&length),
        };
        let certain = encoded_length(&self.blobs, self.storage.compression);
        let stored = space::Stored::new(self.storage.compression, self.storage.solid);
        space::check(path, certain, &jobs, present, stored)?;
        options.progress.event(&Event::Begin { task: self.task, total });
        let mut writer = BlobWriter::new(&setting, file, HEADER_SIZE);
        let (mut entries, copied_blobs, solid_bytes) = match self.storage.solid {
            Some(solid) => {
                sort_for_solid(&mut self.blobs);
                write_solid_blobs(&mut writer, &self.blobs, solid)?
            }
            None => {
                let (entries, copied) = write_blobs(&mut writer, &self.blobs, self.storage.compression, 1)?;
                (entries, copied, 0)
            }
        };
        let order = match self.storage.solid {
            Some(_) => new_image::solid_order(&plans, jobs.len()),
            None => (0..jobs.len()).collect(),
        };
        let new = NewBlobs::write(&mut writer, jobs, &order, self.storage.solid, solid_bytes, present)?;
        entries.extend(&new.entries);
        let mut table = write_metadata(&mut writer, self.images, self.storage.compression)?;
        let mut identities: Vec<(Guid, BlobHash)> =
            self.images.iter().map(|image| (image.wim.guid(), image.hash)).collect();
        let mut new_references: HashMap<BlobHash, u64> = HashMap::new();
        for plan in &plans {
            let written = plan.write(&mut writer, &new.streams)?;
            written.count(&mut new_references);
            image_text::push(&mut self.document, written.element);
            identities.push((Guid::NIL, BlobHash(written.entry.hash)));
            table.push(written.entry);
        }
        for entry in &mut entries {
            if let Some(count) = new_references.get(&BlobHash(entry.hash)) {
                let all = u64::from(entry.references.get()) + count;
                entry.references = U32::new(u32::try_from(all).unwrap_or(u32::MAX));
            }
        }
        let boot =
            (self.boot_index as usize).checked_sub(1).and_then(|position| table.get(position)).copied();
        let images = table.len() as u32;
        table.extend(entries);
        let (end, _) = writer.finish()?;
        let guid = self.guid.unwrap_or_else(|| guid_of(self.created, identities.into_iter(), self.storage));
        let mut header = new_header(guid, self.storage, self.relative);
        header.image_count = U32::new(images);
        header.boot_index = U32::new(if boot.is_some() { self.boot_index } else { 0 });
        header.boot_metadata = boot.map(|entry| entry.resource).unwrap_or_default();
        let tables =
            Tables { table: &table, document: self.document, total_bytes: None, integrity: self.integrity };
        let file_size = tables.write(file, reader, path, end, header, options)?;
        options.progress.event(&Event::End { task: self.task });
        Ok(NewFileReport {
            images,
            blobs: self.blobs.len() as u64 + new.blobs,
            bytes: old.values().sum::<u64>() + new.bytes,
            copied_blobs,
            file_size,
        })
    }
}

/// Starts a file beside its place, and gives what is written through.
pub(super) fn begin(
    path: &Path,
    wrap: &mut dyn FnMut(File) -> Box<dyn CommitFile>,
) -> Result<(AtomicFile, Box<dyn CommitFile>)> {
    let target = AtomicFile::create(path)?;
    let file = target.file().try_clone().map_err(|error| Error::io(path.display(), &error))?;
    Ok((target, wrap(file)))
}

/// Reads what has been written to a file so far.
pub(super) fn reader(target: &AtomicFile, path: &Path) -> Result<FileReader> {
    let file = target.file().try_clone().map_err(|error| Error::io(path.display(), &error))?;
    FileReader::new(file, path)
}

/// The header of a file that is not divided, without its tables.
pub(super) fn new_header(guid: Guid, storage: Storage, relative: bool) -> HeaderRaw {
    let mut flags = HeaderFlags::empty();
    flags.set(HeaderFlags::RELATIVE_PATH_FIX, relative);
    let mut lzms = storage.solid.is_some();
    if let Some(compression) = storage.compression {
        flags |= HeaderFlags::COMPRESSION
            | match compression.codec {
                Codec::Xpress => HeaderFlags::XPRESS,
                Codec::Lzx => HeaderFlags::LZX,
                Codec::Lzms => HeaderFlags::LZMS,
            };
        lzms |= compression.codec == Codec::Lzms;
    }
    let chunk_size = storage.compression.map_or(0, |compression| compression.chunk_size);
    HeaderRaw::new(flags, lzms, chunk_size, guid)
}

/// What comes behind the resources of a file.
pub(super) struct Tables<'a> {
    pub(super) table: &'a [EntryRaw],
    pub(super) document: Document,
    /// What the XML says of its own place; nothing for the truth.
    pub(super) total_bytes: Option<u64>,
    pub(super) integrity: Integrity,
}

impl Tables<'_> {
    /// Appends the tables at `end`, then writes the header; gives the file's length.
    pub(super) fn write(
        mut self,
        file: &mut dyn CommitFile,
        reader: &dyn ReadAt,
        path: &Path,
        end: u64,
        mut header: HeaderRaw,
        options: &CommitOptions<'_>,
    ) -> Result<u64> {
        let mut end = end;
        let mut append =
            |file: &mut dyn CommitFile, bytes: &[u8], flags: ResourceFlags| -> Result<ResourceHeader> {
                let size = bytes.len() as u64;
                let resource = ResourceHeader { size, flags, offset: end, original_size: size };
                file.write_all_at(bytes, end).map_err(|error| Error::io(path.display(), &error))?;
                end += size;
                Ok(resource)
            };
        let table = append(file, self.table.as_bytes(), ResourceFlags::METADATA)?;
        let table_end = table.offset + table.size;
        set_total_bytes(&mut self.document, self.total_bytes.unwrap_or(table_end));
        self.document.encoding = XmlEncoding::Utf16Le;
        let xml = append(file, &self.document.to_bytes(), ResourceFlags::METADATA)?;
        let mut integrity = ResourceHeader::default();
        if self.integrity == Integrity::Table {
            let checks = IntegrityTable::updated(None, reader, table_end, options.cancel)?;
            integrity = append(file, &checks.to_bytes(), ResourceFlags::empty())?;
        }
        header.blob_table = table.into();
        header.xml = xml.into();
        header.integrity = integrity.into();
        options.cancel.check()?;
        let failed = |error: std::io::Error| Error::io(path.display(), &error);
        // What was taken back may have been longer than what came in its place.
        file.set_len(end).map_err(failed)?;
        file.write_all_at(header.as_bytes(), 0).map_err(failed)?;
        file.sync().map_err(failed)?;
        Ok(end)
    }
}

/// What blobs of other files take at the least in a file of this compression: those that are copied
/// or not compressed their length, and nothing is said of the others.
pub(super) fn encoded_length(blobs: &[Wanted], compression: Option<Compression>) -> u64 {
    let lengths = blobs.iter().map(|blob| match (blob.copyable(compression), compression) {
        (Some(resource), _) => resource.size,
        (None, None) => blob.location.length,
        (None, Some(_)) => 0,
    });
    lengths.fold(0, u64::saturating_add)
}

/// Writes every image's metadata; gives their table entries.
pub(super) fn write_metadata<'a>(
    writer: &mut BlobWriter<'_>,
    images: impl IntoIterator<Item = &'a SourceImage>,
    compression: Option<Compression>,
) -> Result<Vec<EntryRaw>> {
    let mut entries = Vec::new();
    for image in images {
        let header = image.metadata()?;
        let alike = image.wim.compression() == compression && image.wim.is_ordinary();
        let resource = if alike {
            writer.copy(
                &*image.wim.inner().store.file,
                &ResourceHeader { flags: header.flags | ResourceFlags::METADATA, ..header },
            )?
        } else {
            let content: Arc<dyn ReadAt> = Arc::new(image.tree.bytes().to_vec());
            let job = Job::metadata(content, None);
            let outcome = writer.write(std::slice::from_ref(&job), Present::NOTHING)?;
            let written = outcome.first().and_then(|outcome| outcome.written);
            written.ok_or_else(|| internal("metadata was left out"))?
        };
        entries.push(EntryRaw {
            resource: resource.into(),
            part_number: U16::new(1),
            references: U32::new(1),
            hash: image.hash.0,
        });
    }
    Ok(entries)
}

/// Writes blobs one by one, copied or encoded anew, in their order; gives their table entries and
/// how many were copied.
pub(super) fn write_blobs(
    writer: &mut BlobWriter<'_>,
    blobs: &[Wanted],
    compression: Option<Compression>,
    part: u16,
) -> Result<(Vec<EntryRaw>, u64)> {
    let mut entries = Vec::with_capacity(blobs.len());
    let mut copied = 0;
    let mut add = |blob: &Wanted, resource: ResourceHeader| {
        entries.push(EntryRaw {
            resource: resource.into(),
            part_number: U16::new(part),
            references: U32::new(u32::try_from(blob.references).unwrap_or(u32::MAX)),
            hash: blob.hash.0,
        });
    };
    for run in blobs
        .chunk_by(|left, right| left.copyable(compression).is_some() == right.copyable(compression).is_some())
    {
        if run.first().is_some_and(|blob| blob.copyable(compression).is_some()) {
            copied += copy_run(writer, run, compression, &mut add)?;
            continue;
        }
        let jobs = run.iter().map(Wanted::job).collect::<Result<Vec<_>>>()?;
        for (blob, outcome) in run.iter().zip(writer.write(&jobs, Present::NOTHING)?) {
            add(blob, outcome.written.ok_or_else(|| internal("a blob was left out"))?);
        }
    }
    Ok((entries, copied))
}

/// Copies blobs in their encoded form; those that lie one behind the other in their file in one go.
fn copy_run(
    writer: &mut BlobWriter<'_>,
    run: &[Wanted],
    compression: Option<Compression>,
    add: &mut impl FnMut(&Wanted, ResourceHeader),
) -> Result<u64> {
    let placed: Vec<(&Wanted, ResourceHeader)> =
        run.iter().filter_map(|blob| Some((blob, blob.copyable(compression)?))).collect();
    for neighbours in placed.chunk_by(|(left, before), (right, after)| {
        Wim::same(&left.wim, &right.wim) && before.offset.checked_add(before.size) == Some(after.offset)
    }) {
        let Some((first, begin)) = neighbours.first() else { continue };
        let length = neighbours.iter().map(|(_, resource)| resource.size).sum();
        let start = writer.copy_range(&*first.wim.inner().store.file, begin.offset, length)?;
        for (blob, resource) in neighbours {
            writer.copied(blob.location.length);
            add(blob, ResourceHeader { offset: start + (resource.offset - begin.offset), ..*resource });
        }
    }
    Ok(placed.len() as u64)
}

/// Writes all blobs into solid resources: those of a source that are wanted whole are copied, all
/// others go into a new one. Gives their table entries, how many were copied, and how many decoded
/// bytes the resources hold.
fn write_solid_blobs(
    writer: &mut BlobWriter<'_>,
    blobs: &[Wanted],
    compression: Compression,
) -> Result<(Vec<EntryRaw>, u64, u64)> {
    let mut entries = Vec::with_capacity(blobs.len() + 1);
    let mut copied = 0;
    // Where the resource begins in the decoded bytes of the run.
    let mut base = 0u64;
    let mut rest: Vec<&Wanted> = Vec::new();
    let blob_entry = |blob: &Wanted, start: u64| EntryRaw {
        resource: ResourceHeader {
            size: blob.location.length,
            flags: ResourceFlags::SOLID,
            offset: start,
            original_size: 0,
        }
        .into(),
        part_number: U16::new(1),
        references: U32::new(u32::try_from(blob.references).unwrap_or(u32::MAX)),
        hash: blob.hash.0,
    };
    for group in blobs.chunk_by(|left, right| {
        left.location.solid
            && right.location.solid
            && Wim::same(&left.wim, &right.wim)
            && left.location.resource == right.location.resource
    }) {
        let Some(first) = group.first() else { continue };
        if !is_whole_resource(first, group, compression) {
            rest.extend(group);
            continue;
        }
        let resource = &first.location.resource;
        let header = writer.copy(
            &*first.wim.inner().store.file,
            &ResourceHeader {
                size: resource.size,
                flags: ResourceFlags::SOLID,
                offset: resource.offset,
                original_size: SOLID_RESOURCE,
            },
        )?;
        entries.push(solid_entry(header));
        for blob in group {
            entries.push(blob_entry(blob, base + blob.location.start));
            writer.copied(blob.location.length);
            copied += 1;
        }
        base += resource.original_size;
    }
    if !rest.is_empty() {
        let jobs = rest.iter().map(|blob| blob.job()).collect::<Result<Vec<_>>>()?;
        let written = writer.write_solid(&jobs, compression, Present::NOTHING)?;
        let header = written.resource.ok_or_else(|| internal("solid data was left out"))?;
        entries.push(solid_entry(ResourceHeader { original_size: SOLID_RESOURCE, ..header }));
        for blob in rest {
            entries.push(blob_entry(blob, base));
            base += blob.location.length;
        }
    }
    Ok((entries, copied, base))
}

pub(super) fn solid_entry(header: ResourceHeader) -> EntryRaw {
    EntryRaw {
        resource: header.into(),
        part_number: U16::new(1),
        references: U32::new(1),
        hash: BlobHash::ZERO.0,
    }
}

/// Whether a group of blobs is all that a solid resource holds, and is encoded as wanted.
fn is_whole_resource(first: &Wanted, group: &[Wanted], compression: Compression) -> bool {
    let Resource { encoding: Encoding::Chunked(own, _), original_size, .. } = first.location.resource else {
        return false;
    };
    let held: u64 = group.iter().map(|blob| blob.location.length).fold(0, u64::saturating_add);
    first.location.solid && own == compression && held == original_size
}
