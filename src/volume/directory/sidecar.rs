// SPDX-License-Identifier: GPL-3.0-or-later
//! `.transom-metadata`, the one file at the root of a tree for what the file system does not take:
//! attributes of symbolic links, streams too long for an extended attribute, everything where
//! there are no extended attributes.
//!
//! Header (little-endian):
//!
//! | offset | size | name | meaning |
//! |---|---|---|---|
//! | 0 | 16 | magic | `transom-metadata` |
//! | 16 | 4 | version | 1 |
//! | 20 | 8 | reserved | 0 |
//! | 28 | 4 | CRC | CRC-32 of the bytes before it |
//!
//! Then records, each at a multiple of 8, zeros between them:
//!
//! | offset | size | name | meaning |
//! |---|---|---|---|
//! | 0 | 4 | mark | `TMR1` |
//! | 4 | 1 | kind | see [`Kind`] |
//! | 5 | 1 | stream | of kind stream: 0 data, 2 the raw form of an encrypted file; else 0 |
//! | 6 | 2 | name length | in bytes |
//! | 8 | 4 | path length | in bytes |
//! | 12 | 4 | data sum | CRC-32 of the data |
//! | 16 | 8 | data length | in bytes |
//! | 24 | 4 | sum | CRC-32 of the bytes 0 to 24, the path and the name |
//! | 28 | 4 | reserved | 0 |
//! | 32 | | path | below the root, Linux names joined by `/` |
//! | | | name | see [`Kind`] |
//! | | | data | |
//!
//! A record takes the place of an earlier one of the same kind, path and name. The file is written
//! under another name and renamed once it is complete and flushed, so what is found is whole;
//! anything else is damage.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Mode, OFlags, Timespec, Timestamps};

use super::beneath::Root;
use super::escape::{SIDECAR, UNFINISHED};
use crate::base::{Code, Error, ErrorClass, Result, StreamKind};
use crate::digest::Crc32;
use crate::io::{FileReader, ReadAt, Window, read_vec};

const MAGIC: &[u8; 16] = b"transom-metadata";
const VERSION: u32 = 1;
const HEADER: u64 = 32;
const MARK: &[u8; 4] = b"TMR1";
const FIXED: usize = 32;
/// Longer paths are damage: Windows' are shorter than 32,768 units.
const LONGEST_PATH: u32 = 1 << 20;
/// Data up to here is checked and kept when the file is opened.
const SMALL: u64 = 1 << 16;

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Kind {
    /// The [node record](super::record).
    Node = 1,
    /// The security descriptor.
    Security = 2,
    /// Reparse data; the name is the target of the symbolic link that was made for it.
    Reparse = 3,
    /// A stream; the name is the stream's in UTF-16LE.
    Stream = 4,
    /// A directory entry: `u16 n`, n units of the long name, the units of the short name.
    Entry = 5,
    /// Nothing: what was said of the path before counts no more.
    Forget = 6,
    /// One more name of a file; the name is the path that the file's records have.
    Link = 7,
}

impl Kind {
    fn of(number: u8) -> Option<Self> {
        [Self::Node, Self::Security, Self::Reparse, Self::Stream, Self::Entry, Self::Forget, Self::Link]
            .into_iter()
            .find(|kind| *kind as u8 == number)
    }
}

/// What names a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Label<'a> {
    pub(super) kind: Kind,
    pub(super) stream: StreamKind,
    pub(super) path: &'a [u8],
    pub(super) name: &'a [u8],
}

impl<'a> Label<'a> {
    pub(super) fn new(kind: Kind, path: &'a [u8]) -> Self {
        Self { kind, stream: StreamKind::Data, path, name: &[] }
    }
}

fn stream_number(kind: StreamKind) -> u8 {
    match kind {
        StreamKind::Data => 0,
        StreamKind::Reparse => 1,
        StreamKind::Encrypted => 2,
    }
}

fn align(length: u64) -> Option<u64> {
    length.checked_add(7).map(|length| length & !7)
}

/// A sidecar that is being written, by several threads.
#[derive(Debug)]
pub(super) struct SidecarWriter {
    file: File,
    end: AtomicU64,
    /// Whether there was one already, which this one continues.
    continues: bool,
}

/// A record whose data arrives in pieces.
#[derive(Debug)]
pub(super) struct OpenRecord {
    head: Vec<u8>,
    start: u64,
    position: u64,
    sum: Crc32,
}

impl SidecarWriter {
    /// Begins a sidecar, with what one that is there already says.
    pub(super) fn create(root: &Root) -> Result<Self> {
        let failed = |error: std::io::Error| Error::io(root.name(UNFINISHED.as_bytes()), &error);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC;
        let file = root
            .open_at(UNFINISHED.as_bytes(), flags, Mode::from_raw_mode(0o666))
            .map(File::from)
            .map_err(|error| root.error(UNFINISHED.as_bytes(), error))?;
        let (mut end, mut continues) = (HEADER, false);
        match root.read(SIDECAR.as_bytes()) {
            Ok(mut before) => {
                end = std::io::copy(&mut before, &mut &file).map_err(failed)?;
                continues = true;
            }
            Err(rustix::io::Errno::NOENT) => file.write_all_at(&header(), 0).map_err(failed)?,
            Err(error) => return Err(root.error(SIDECAR.as_bytes(), error)),
        }
        Ok(Self { file, end: AtomicU64::new(end), continues })
    }

    /// Whether there was one already, which this one continues.
    pub(super) fn continues(&self) -> bool {
        self.continues
    }

    /// Begins a record of a known length.
    pub(super) fn begin(&self, label: Label<'_>, length: u64) -> Result<OpenRecord> {
        let mut head = Vec::with_capacity(FIXED + label.path.len() + label.name.len());
        let lengths = u16::try_from(label.name.len()).ok().zip(u32::try_from(label.path.len()).ok());
        let (name_length, path_length) = lengths.ok_or_else(too_long)?;
        head.extend(MARK);
        head.push(label.kind as u8);
        head.push(stream_number(label.stream));
        head.extend(name_length.to_le_bytes());
        head.extend(path_length.to_le_bytes());
        head.extend([0; 4]);
        head.extend(length.to_le_bytes());
        head.extend([0; 8]);
        head.extend(label.path);
        head.extend(label.name);
        let whole = (head.len() as u64).checked_add(length).and_then(align).ok_or_else(too_long)?;
        let start = self.end.fetch_add(whole, Ordering::Relaxed);
        Ok(OpenRecord { position: start + head.len() as u64, head, start, sum: Crc32::default() })
    }

    /// Takes the next bytes of a record.
    pub(super) fn write(&self, record: &mut OpenRecord, bytes: &[u8]) -> Result<()> {
        self.put(bytes, record.position)?;
        record.position += bytes.len() as u64;
        record.sum.update(bytes);
        Ok(())
    }

    /// Closes a record.
    pub(super) fn end(&self, record: OpenRecord) -> Result<()> {
        let OpenRecord { mut head, start, sum, .. } = record;
        seal(&mut head, sum.finish());
        self.put(&head, start)
    }

    /// Writes a whole record.
    pub(super) fn record(&self, label: Label<'_>, data: &[u8]) -> Result<()> {
        let mut open = self.begin(label, data.len() as u64)?;
        open.sum.update(data);
        let mut head = std::mem::take(&mut open.head);
        seal(&mut head, open.sum.finish());
        head.extend(data);
        self.put(&head, open.start)
    }

    fn put(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.file.write_all_at(bytes, offset).map_err(|error| Error::io(SIDECAR, &error))
    }

    /// Makes it durable and puts it in place; removes it where nothing had to be written.
    pub(super) fn finish(self, root: &Root) -> Result<Sidecars> {
        let failed = |error: std::io::Error| Error::io(root.name(SIDECAR.as_bytes()), &error);
        // The root keeps the times that it was given.
        let before = rustix::fs::fstat(root.fd()).map_err(|error| failed(error.into()))?;
        let end = self.end.into_inner();
        let outcome = if end > HEADER {
            self.file.set_len(end).map_err(failed)?;
            self.file.sync_all().map_err(failed)?;
            rustix::fs::renameat(root.fd(), UNFINISHED, root.fd(), SIDECAR)
                .map_err(|error| failed(error.into()))?;
            Sidecars::Written
        } else {
            rustix::fs::unlinkat(root.fd(), UNFINISHED, rustix::fs::AtFlags::empty())
                .map_err(|error| failed(error.into()))?;
            Sidecars::NotNeeded
        };
        let times = Timestamps {
            last_access: Timespec { tv_sec: before.st_atime, tv_nsec: before.st_atime_nsec as _ },
            last_modification: Timespec { tv_sec: before.st_mtime, tv_nsec: before.st_mtime_nsec as _ },
        };
        rustix::fs::futimens(root.fd(), &times).map_err(|error| failed(error.into()))?;
        rustix::fs::fsync(root.fd()).map_err(|error| failed(error.into()))?;
        Ok(outcome)
    }
}

/// Whether a tree got a sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sidecars {
    /// `.transom-metadata` stands at the root.
    Written,
    /// The file system took everything.
    NotNeeded,
}

/// Fills in both sums.
fn seal(head: &mut [u8], data: u32) {
    if let Some(field) = head.get_mut(12..16) {
        field.copy_from_slice(&data.to_le_bytes());
    }
    let sum = sum_of(head).to_le_bytes();
    if let Some(field) = head.get_mut(24..28) {
        field.copy_from_slice(&sum);
    }
}

/// The sum over a record's head: the fields before it, the path and the name.
fn sum_of(head: &[u8]) -> u32 {
    let mut sum = Crc32::default();
    sum.update(head.get(..24).unwrap_or_default());
    sum.update(head.get(FIXED..).unwrap_or_default());
    sum.finish()
}

fn too_long() -> Error {
    Error::new(ErrorClass::Unsupported, "a path or stream is too long for the metadata file")
}

fn header() -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    header.extend(VERSION.to_le_bytes());
    header.extend([0; 8]);
    header.extend(crate::digest::crc32(&header).to_le_bytes());
    header
}

/// What the sidecar says of one path.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) kind: Kind,
    pub(super) stream: StreamKind,
    pub(super) name: Box<[u8]>,
    pub(super) length: u64,
    offset: u64,
    sum: u32,
}

/// A sidecar that is read. What it says is indexed; long data stays in the file.
pub(super) struct Sidecar {
    file: Arc<FileReader>,
    items: HashMap<Box<[u8]>, Vec<Item>>,
}

impl Sidecar {
    /// Reads the sidecar of a tree; nothing when there is none.
    pub(super) fn open(root: &Root) -> Result<Option<Self>> {
        if root.read(UNFINISHED.as_bytes()).is_ok() {
            return Err(Error::new(
                ErrorClass::Usage,
                format!("applying an image to {} was begun and not finished", root.name(&[])),
            )
            .with_code(Code::INVALID_DATA)
            .with_hint(format!(
                "apply the image again to an empty directory; to take this one as it is, remove {} first",
                root.name(UNFINISHED.as_bytes())
            )));
        }
        let file = match root.read(SIDECAR.as_bytes()) {
            Ok(file) => file,
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(error) => return Err(root.error(SIDECAR.as_bytes(), error)),
        };
        let name = root.name(SIDECAR.as_bytes());
        let file = Arc::new(FileReader::new(file, std::path::Path::new(&name))?);
        let items = index(&file, &name)?;
        Ok(Some(Self { file, items }))
    }

    /// Everything said of a path.
    fn of(&self, path: &[u8]) -> &[Item] {
        self.items.get(path).map_or(&[], Vec::as_slice)
    }

    /// What is said of the directory entry at a path.
    pub(super) fn entry(&self, path: &[u8]) -> Option<&Item> {
        self.of(path).iter().find(|item| item.kind == Kind::Entry)
    }

    /// What is said of the node at a path.
    pub(super) fn node(&self, path: &[u8]) -> impl Iterator<Item = &Item> {
        let items = self.of(path);
        let link = items.iter().find(|item| item.kind == Kind::Link);
        link.map_or(items, |link| self.of(&link.name)).iter()
    }

    /// The data of an item, checked.
    pub(super) fn data(&self, item: &Item) -> Result<Arc<dyn ReadAt>> {
        let window = Window::new(self.file.clone(), item.offset, item.length)?;
        let mut sum = Crc32::default();
        let mut buffer = vec![0; usize::try_from(item.length.min(1 << 20)).unwrap_or(1 << 20)];
        let mut position = 0;
        while position < item.length {
            let count = (item.length - position).min(buffer.len() as u64);
            let Some(piece) = usize::try_from(count).ok().and_then(|count| buffer.get_mut(..count)) else {
                break;
            };
            window.read_exact_at(piece, position)?;
            sum.update(piece);
            position += count;
        }
        if sum.finish() != item.sum {
            return Err(damaged(
                &self.file.path().display().to_string(),
                item.offset,
                "the data of a record",
            ));
        }
        Ok(Arc::new(window))
    }

    /// The bytes of an item that is short by its nature.
    pub(super) fn bytes(&self, item: &Item) -> Result<Vec<u8>> {
        if item.length > SMALL {
            return Err(damaged(
                &self.file.path().display().to_string(),
                item.offset,
                "the length of a record",
            ));
        }
        let data = self.data(item)?;
        read_vec(&data, 0, data.len())
    }
}

fn damaged(file: &str, offset: u64, what: &str) -> Error {
    Error::new(ErrorClass::Corrupt, format!("{file}: {what} at offset {offset} is damaged")).with_hint(
        "apply the image again; without the file, what the file system holds itself can still be captured",
    )
}

fn index(file: &Arc<FileReader>, name: &str) -> Result<HashMap<Box<[u8]>, Vec<Item>>> {
    let length = file.len();
    let mut start = [0; HEADER as usize];
    let read = file.read_exact_at(&mut start, 0);
    if read.is_err() || start.as_slice() != header() {
        let version = start.get(16..20).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes);
        if read.is_ok() && start.starts_with(MAGIC) && version != VERSION {
            return Err(Error::new(
                ErrorClass::Unsupported,
                format!("{name} has version {version}; this program reads version {VERSION}"),
            ));
        }
        return Err(damaged(name, 0, "the header"));
    }
    let failed = |error: std::io::Error| Error::io(name, &error);
    let mut reader = BufReader::with_capacity(1 << 20, file.file());
    reader.seek(SeekFrom::Start(HEADER)).map_err(failed)?;
    let mut items: HashMap<Box<[u8]>, Vec<Item>> = HashMap::new();
    let mut position = HEADER;
    while position < length {
        let damage = || damaged(name, position, "the record");
        let mut head = vec![0; FIXED];
        reader.read_exact(&mut head).map_err(|_| damage())?;
        let field = |at: usize| {
            head.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
        };
        let (name_length, path_length) = (field(4) >> 16, field(8));
        let (data_sum, sum) = (field(12), field(24));
        let data_length = u64::from(field(16)) | (u64::from(field(20)) << 32);
        let kind = head.get(4).and_then(|&kind| Kind::of(kind));
        let stream = match head.get(5) {
            Some(0) => Some(StreamKind::Data),
            Some(2) => Some(StreamKind::Encrypted),
            _ => None,
        };
        let names = u64::from(name_length) + u64::from(path_length);
        let offset = position + FIXED as u64 + names;
        let end = offset.checked_add(data_length).filter(|&end| end <= length).and_then(align);
        let (Some(kind), Some(stream), Some(end), true) =
            (kind, stream, end, head.starts_with(MARK) && path_length <= LONGEST_PATH)
        else {
            return Err(damage());
        };
        head.resize(FIXED + names as usize, 0);
        reader.read_exact(head.get_mut(FIXED..).unwrap_or_default()).map_err(|_| damage())?;
        if sum_of(&head) != sum {
            return Err(damage());
        }
        let texts = head.get(FIXED..).unwrap_or_default();
        let (path, record_name) = texts.split_at_checked(path_length as usize).unwrap_or((texts, &[]));
        if kind == Kind::Forget {
            items.remove(path);
        } else {
            let found = items.entry(path.into()).or_default();
            found.retain(|item| (item.kind, item.stream, &*item.name) != (kind, stream, record_name));
            let name = record_name.into();
            found.push(Item { kind, stream, name, length: data_length, offset, sum: data_sum });
        }
        let skip = i64::try_from(end - offset).map_err(|_| damage())?;
        reader.seek_relative(skip).map_err(failed)?;
        position = end;
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> (tempfile::TempDir, Root) {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::open(folder.path()).unwrap();
        (folder, root)
    }

    fn texts(root: &Root, path: &[u8]) -> Vec<(Kind, Vec<u8>, Vec<u8>)> {
        let sidecar = Sidecar::open(root).unwrap().unwrap();
        let found = sidecar.of(path).iter();
        found.map(|item| (item.kind, item.name.to_vec(), sidecar.bytes(item).unwrap())).collect()
    }

    #[test]
    fn later_records_win_and_forgetting_forgets() {
        let (folder, root) = tree();
        let writer = SidecarWriter::create(&root).unwrap();
        let stream = |name| Label { kind: Kind::Stream, stream: StreamKind::Data, path: b"a/b", name };
        writer.record(Label::new(Kind::Node, b"gone"), b"1").unwrap();
        writer.record(stream(b"one"), b"old").unwrap();
        let mut long = writer.begin(stream(b"two"), 6).unwrap();
        writer.record(stream(b"one"), b"new").unwrap();
        for piece in [b"abc", b"def"] {
            writer.write(&mut long, piece).unwrap();
        }
        writer.end(long).unwrap();
        writer.record(Label::new(Kind::Forget, b"gone"), b"").unwrap();
        assert!(Sidecar::open(&root).is_err_and(|error| error.message().contains("not finished")));
        writer.finish(&root).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        let expected = [
            (Kind::Stream, b"two".to_vec(), b"abcdef".to_vec()),
            (Kind::Stream, b"one".to_vec(), b"new".to_vec()),
        ];
        assert_eq!(texts(&root, b"a/b"), expected);
        assert_eq!(texts(&root, b"gone"), []);

        // A second run keeps what the first said.
        let writer = SidecarWriter::create(&root).unwrap();
        writer.record(Label::new(Kind::Security, b""), b"sd").unwrap();
        writer.finish(&root).unwrap();
        assert_eq!(texts(&root, b"a/b"), expected);
        assert_eq!(texts(&root, b""), [(Kind::Security, Vec::new(), b"sd".to_vec())]);
    }

    #[test]
    fn every_damaged_byte_is_found_with_its_offset() {
        let (folder, root) = tree();
        let writer = SidecarWriter::create(&root).unwrap();
        writer.record(Label::new(Kind::Node, b"a"), b"12345").unwrap();
        writer.record(Label { name: b"x", ..Label::new(Kind::Stream, b"bb") }, b"6789").unwrap();
        writer.finish(&root).unwrap();
        let path = folder.path().join(SIDECAR);
        let whole = std::fs::read(&path).unwrap();
        let whole_reads = |bytes: &[u8]| -> Result<Vec<Vec<u8>>> {
            std::fs::write(&path, bytes).unwrap();
            let sidecar = Sidecar::open(&root)?.unwrap();
            let items = [b"a".as_slice(), b"bb"].into_iter().flat_map(|path| sidecar.of(path));
            items.map(|item| sidecar.bytes(item)).collect()
        };
        let sound = whole_reads(&whole).unwrap();
        assert_eq!(sound, [b"12345".to_vec(), b"6789".to_vec()]);
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            match whole_reads(&bytes) {
                Ok(found) => assert_eq!(found, sound, "byte {at} of no meaning"),
                Err(error) => {
                    assert!(
                        error.message().contains("offset") || error.message().contains("version"),
                        "{error}"
                    );
                }
            }
        }
        // 32, 70 to 72: cut between records, which cannot be seen.
        for end in (0..32).chain(33..70).chain(73..109) {
            let error = whole_reads(&whole[..end]).unwrap_err();
            assert_eq!(error.class(), ErrorClass::Corrupt, "{end}: {error}");
        }
    }
}
