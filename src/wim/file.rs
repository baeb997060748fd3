// SPDX-License-Identifier: GPL-3.0-or-later
//! An opened WIM file.

use std::fmt;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::blob_table::BlobTable;
use super::chunk_cache::{CacheOptions, ChunkCache};
use super::error::WimError;
use super::header::{Compression, Header, HeaderFlags, Layout, ResourceHeader};
use super::image::{Image, Inner as ImageInner};
use super::info::{self, ImageInfo};
use super::resource::{Encoding, Resource, ResourceReader, Store, read_whole};
use super::tree::Tree;
use crate::base::{BlobHash, Context, Error, ErrorClass, Guid, Result};
use crate::digest;
use crate::io::{FileReader, ReadAt, Window};
use crate::xml::Document;

/// Larger tables and metadata are refused: images of a million files stay far below.
pub(super) const TABLE_LIMIT: u64 = 1 << 30;

/// 1-based number of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct ImageIndex(pub NonZeroU32);

impl ImageIndex {
    /// The number, if it is not 0.
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    /// The number.
    pub fn number(self) -> u32 {
        self.0.get()
    }

    /// Position in a list that counts from 0.
    pub(super) fn position(self) -> usize {
        self.0.get() as usize - 1
    }
}

impl fmt::Display for ImageIndex {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// An opened WIM; cheap to clone, shared by threads. Blobs are read through one bounded cache of
/// decoded chunks.
///
/// What was opened stays readable while other processes commit to the file: a commit only appends.
#[derive(Clone)]
pub struct Wim(Arc<Inner>);

pub(super) struct Inner {
    path: PathBuf,
    pub(super) header: Header,
    pub(super) table: BlobTable,
    pub(super) xml: Option<Document>,
    infos: Vec<ImageInfo>,
    pub(super) store: Arc<Store>,
    /// The other parts of a split set, as far as they were opened.
    parts: Vec<Wim>,
}

impl Wim {
    /// Opens a file and reads its tables; no image is loaded yet.
    ///
    /// # Errors
    /// When it cannot be read, is no WIM, is of an unsupported version or encrypted, or when its
    /// tables are damaged.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_with(path, &CacheOptions::default())
    }

    /// Opens a file with a cache of another size, or with scratch space for solid chunks.
    ///
    /// # Errors
    /// As [`Wim::open`].
    pub fn open_with(path: &Path, cache: &CacheOptions) -> Result<Self> {
        Self::from_reader(FileReader::open(path)?, cache)
    }

    /// Uses a file that is already open.
    pub(super) fn from_reader(file: FileReader, cache: &CacheOptions) -> Result<Self> {
        let path = file.path().to_owned();
        let context = || format!("while opening {}", path.display());
        let file: Arc<dyn ReadAt> = Arc::new(file);
        let header = Header::read(&*file, &path.display().to_string())?;
        let tables = [header.blob_table, header.xml, header.integrity];
        let needed = tables.iter().map(|table| table.offset.saturating_add(table.size)).max().unwrap_or(0);
        if needed > file.len() {
            let (path, length) = (path.display().to_string(), file.len());
            return Err(WimError::Truncated { path, length, needed }.into());
        }
        let store = Arc::new(Store { file, cache: ChunkCache::new(cache) });
        let xml = read_xml(&store, &header).context(context)?;
        if xml.as_ref().is_some_and(info::is_encrypted) {
            return Err(WimError::Encrypted { path: path.display().to_string() }.into());
        }
        let table = read_table(&store, &header).context(context)?;
        let infos = info::images(xml.as_ref(), header.image_count);
        Ok(Self(Arc::new(Inner { path, header, table, xml, infos, store, parts: Vec::new() })))
    }

    /// Opens a file, and with the first part of a split set the other parts beside it:
    /// `x.swm`, `x2.swm`, `x3.swm` ...
    ///
    /// # Errors
    /// As [`Wim::open`]; and when a part is missing, of another set, or not the first one named.
    pub fn open_set(path: &Path) -> Result<Self> {
        Self::open_set_with(path, &CacheOptions::default())
    }

    /// As [`Wim::open_set`], with a cache of another size (the parts share it), or with scratch space for solid chunks.
    ///
    /// # Errors
    /// As [`Wim::open_set`].
    pub fn open_set_with(path: &Path, cache: &CacheOptions) -> Result<Self> {
        let mut wim = Self::open_with(path, cache)?;
        let (number, total) = wim.part();
        let share = CacheOptions { bytes: cache.bytes / u64::from(total.max(1)), ..cache.clone() };
        if total == 1 {
            return Ok(wim);
        }
        if number != 1 {
            return Err(Error::new(
                ErrorClass::Usage,
                format!("{} is part {number} of {total} of a split set", path.display()),
            )
            .with_hint("name the first part; the others are found beside it"));
        }
        let mut parts = Vec::new();
        for number in 2..=total {
            let path = part_path(path, number);
            let part = Self::open_with(&path, &share)
                .map_err(|error| match error.class() {
                    ErrorClass::NotFound => error.with_hint("put all parts of the set into one folder"),
                    _ => error,
                })
                .context(|| format!("while looking for part {number} of {total}"))?;
            if part.guid() != wim.guid() || part.part() != (number, total) {
                return Err(Error::new(
                    ErrorClass::Usage,
                    format!(
                        "{} is not part {number} of the set that {} begins",
                        path.display(),
                        wim.path_text()
                    ),
                )
                .with_hint("put all parts of the set into one folder"));
            }
            parts.push(part);
        }
        if let Some(inner) = Arc::get_mut(&mut wim.0) {
            inner.parts = parts;
        }
        Ok(wim)
    }

    /// The other parts of the set, as far as they were opened.
    pub(super) fn other_parts(&self) -> &[Self] {
        &self.0.parts
    }

    /// Whether both are one opened file.
    pub(super) fn same(left: &Self, right: &Self) -> bool {
        Arc::ptr_eq(&left.0, &right.0)
    }

    /// Fails for a file that must not or cannot be changed.
    pub(super) fn check_writable(&self) -> Result<(), WimError> {
        let header = &self.0.header;
        let refusal = if header.flags.contains(HeaderFlags::READONLY) {
            Some("it is marked read-only")
        } else if header.flags.contains(HeaderFlags::SPANNED) || header.total_parts > 1 {
            Some("it is a part of a split set")
        } else if header.layout == Layout::Pipable {
            Some("it is a pipable WIM")
        } else {
            None
        };
        refusal.map_or(Ok(()), |reason| Err(WimError::NotWritable { path: self.path_text(), reason }))
    }

    /// Whether the file may be changed in place by a [`super::Transaction`].
    ///
    /// # Errors
    /// Says why not: it is marked read-only, a part of a split set, or pipable.
    pub fn check_changeable(&self) -> Result<()> {
        Ok(self.check_writable()?)
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.0
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// The GUID that the parts of a set share.
    pub fn guid(&self) -> Guid {
        self.0.header.guid()
    }

    /// Codec and chunk size of its resources; nothing when they are stored as they are. (A solid
    /// resource has its own.)
    pub fn compression(&self) -> Option<Compression> {
        self.0.header.compression
    }

    /// Whether it holds solid resources.
    pub fn is_solid(&self) -> bool {
        !self.0.table.solid.is_empty()
    }

    /// Whether it has an integrity table.
    pub fn has_integrity_table(&self) -> bool {
        self.0.header.integrity.is_present()
    }

    /// Its place in a split set, and how many parts that has; (1, 1) for a whole file.
    pub fn part(&self) -> (u16, u16) {
        (self.0.header.part_number, self.0.header.total_parts)
    }

    /// How many images there are.
    pub fn image_count(&self) -> u32 {
        self.0.header.image_count
    }

    /// The bootable image; 0 = none.
    pub fn boot_index(&self) -> u32 {
        self.0.header.boot_index
    }

    /// What the XML says of each image, in index order.
    pub fn images(&self) -> &[ImageInfo] {
        &self.0.infos
    }

    /// What is odd about the file, though it can be read.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.0.table.warnings.clone();
        if self.0.header.flags.contains(HeaderFlags::WRITE_IN_PROGRESS) {
            warnings.push("the header says that a write was interrupted".to_owned());
        }
        warnings
    }

    fn path_text(&self) -> String {
        self.0.path.display().to_string()
    }

    /// The blob table entry of an image's metadata.
    pub(super) fn metadata_entry(&self, index: ImageIndex) -> Result<u32, WimError> {
        let inner = &self.0;
        if index.number() > inner.header.image_count {
            return Err(WimError::NoImage {
                path: self.path_text(),
                index: index.number(),
                count: inner.header.image_count,
            });
        }
        inner.table.metadata.get(index.position()).copied().ok_or_else(|| WimError::OtherPart {
            what: format!("the metadata of image {index}"),
            part: "part 1".to_owned(),
            path: self.path_text(),
            number: inner.header.part_number,
            total: inner.header.total_parts,
        })
    }

    /// SHA-1 of an image's metadata resource, without loading it: the identity of an image.
    ///
    /// # Errors
    /// When there is no such image.
    pub fn metadata_hash(&self, index: ImageIndex) -> Result<BlobHash> {
        let entry = self.metadata_entry(index)?;
        Ok(self.0.table.entries.get(entry as usize).map_or(BlobHash::ZERO, |entry| BlobHash(entry.hash)))
    }

    /// Loads the metadata of an image; the tree is kept compact.
    ///
    /// # Errors
    /// When there is no such image, or its metadata is damaged.
    pub fn image(&self, index: ImageIndex) -> Result<Image> {
        // An index that does not exist is an error that names file and index itself.
        self.metadata_entry(index)?;
        let context = || format!("while reading image {index} of {}", self.0.path.display());
        let (hash, bytes) = self.metadata(index).context(context)?;
        let tree = Tree::parse(bytes, index.number()).context(context)?;
        Ok(Image(Arc::new(ImageInner { wim: self.clone(), index, hash, tree })))
    }

    /// The decoded metadata of an image, checked against its hash.
    pub(super) fn metadata(&self, index: ImageIndex) -> Result<(BlobHash, Vec<u8>)> {
        let entry = self.metadata_entry(index)?;
        let hash = self.metadata_hash(index)?;
        let header = self.0.table.entries.get(entry as usize).map(|entry| entry.header()).unwrap_or_default();
        let resource = Resource::ordinary(&header, self.0.header.compression, self.0.header.layout)?;
        let bytes = read_whole(&self.0.store, &resource, TABLE_LIMIT)?;
        let found = BlobHash(digest::sha1(&bytes));
        if found != hash {
            return Err(WimError::Hash {
                what: format!("the metadata of image {index}"),
                offset: resource.offset,
                expected: hash,
                found,
            }
            .into());
        }
        Ok((hash, bytes))
    }

    /// Decoded length of a blob; nothing when the file does not hold it.
    pub(super) fn blob_length(&self, hash: BlobHash) -> Option<u64> {
        if hash.is_zero() {
            return Some(0);
        }
        let own = self.0.table.find(hash).and_then(|entry| self.0.table.length(entry));
        own.or_else(|| self.0.parts.iter().find_map(|part| part.blob_length(hash)))
    }

    /// Random access to a blob; [`BlobHash::ZERO`] gives an empty reader.
    ///
    /// # Errors
    /// [`ErrorClass::NotFound`] for a hash that the file does not hold; an error naming the part
    /// when it is in another part of a split set.
    pub fn blob(&self, hash: BlobHash) -> Result<Arc<dyn ReadAt>> {
        if hash.is_zero() {
            return Ok(Arc::new(Vec::new()));
        }
        let inner = &self.0;
        let found = inner.table.find(hash);
        let location = match found {
            Some(entry) => inner.table.locate(entry, &inner.header)?,
            None => None,
        };
        let part = found
            .and_then(|entry| inner.table.entries.get(entry as usize))
            .map_or(inner.header.part_number, |entry| entry.part_number.get());
        if let Some(location) = location
            && part == inner.header.part_number
        {
            location.resource.check_bounds(&*inner.store.file)?;
            if location.resource.encoding == Encoding::Raw {
                let offset = location.resource.offset + location.start;
                return Ok(Arc::new(Window::new(inner.store.file.clone(), offset, location.length)?));
            }
            return Ok(Arc::new(ResourceReader::new(
                inner.store.clone(),
                location.resource,
                location.start,
                location.length,
            )));
        }
        if let Some(part) = inner.parts.iter().find(|part| part.0.table.find(hash).is_some()) {
            return part.blob(hash);
        }
        if inner.header.total_parts > 1 {
            return Err(WimError::OtherPart {
                what: format!("the data with SHA-1 {hash}"),
                part: match found {
                    Some(_) => format!("part {part}"),
                    None => "another part".to_owned(),
                },
                path: self.path_text(),
                number: inner.header.part_number,
                total: inner.header.total_parts,
            }
            .into());
        }
        Err(WimError::NoBlob { path: self.path_text(), hash }.into())
    }
}

/// Where a part of the set that begins at `first` lies: the number stands before the extension.
pub(super) fn part_path(first: &Path, number: u16) -> PathBuf {
    if number == 1 {
        return first.to_owned();
    }
    let mut name = first.file_stem().unwrap_or_default().to_owned();
    name.push(number.to_string());
    if let Some(extension) = first.extension() {
        name.push(".");
        name.push(extension);
    }
    first.with_file_name(name)
}

/// Table and XML may themselves be compressed; Microsoft's and wimlib's are not.
fn read_table_bytes(store: &Arc<Store>, header: &Header, resource: &ResourceHeader) -> Result<Vec<u8>> {
    let resource = Resource::ordinary(resource, header.compression, Layout::Ordinary)?;
    read_whole(store, &resource, TABLE_LIMIT)
}

fn read_table(store: &Arc<Store>, header: &Header) -> Result<BlobTable> {
    let bytes = if header.blob_table.is_present() {
        read_table_bytes(store, header, &header.blob_table)?
    } else {
        Vec::new()
    };
    BlobTable::parse(&bytes, header, &*store.file)
}

fn read_xml(store: &Arc<Store>, header: &Header) -> Result<Option<Document>> {
    if !header.xml.is_present() || header.xml.size == 0 {
        return Ok(None);
    }
    let bytes = read_table_bytes(store, header, &header.xml)?;
    Document::parse_bytes(&bytes)
        .map(Some)
        .map_err(|source| WimError::Xml { offset: header.xml.offset, source }.into())
}

/// A state that this program must not come into.
pub(super) fn internal(message: impl Into<String>) -> Error {
    Error::new(ErrorClass::Internal, message)
}
