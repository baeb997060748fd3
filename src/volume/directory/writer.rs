// SPDX-License-Identifier: GPL-3.0-or-later
//! Files and directories with what NTFS keeps of them, made below a Linux directory.

use std::collections::HashSet;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;

use super::attributes::{self, Dialect, Outcome, Place};
use super::beneath::{LinuxPath, Root};
use super::escape::{LinuxName, escape};
use super::link_target::{self, LinkFixing};
use super::record::{NodeRecord, ShortName};
use super::sidecar::{Kind, Label, OpenRecord, SidecarWriter, Sidecars};
use crate::base::name::units_to_le;
use crate::base::{
    Error, ErrorClass, FileAttributes, FileTime, Node, ReparseHeader, Result, StreamKind, TaggedItem,
};

/// Makes trees below a directory. Several threads may use it at once.
///
/// Nothing it does leaves the directory: no symbolic link on the way to a path is followed, be it
/// one that stood there before or one that the image holds.
#[derive(Debug)]
pub struct DirectoryWriter {
    root: Root,
    dialect: Dialect,
    /// Whether the file system was found to take no attributes at all.
    bare: AtomicBool,
    sidecar: SidecarWriter,
    /// The nodes that the sidecar says something of, by the path that it says it of.
    noted: Mutex<HashSet<LinuxPath>>,
}

/// A named stream, or the raw form of an encrypted file, that arrives in pieces.
#[derive(Debug)]
pub struct OpenStream(StreamPlace);

#[derive(Debug)]
enum StreamPlace {
    /// Collected until it can be set as an attribute.
    Attribute(LinuxPath, StreamKind, Vec<u16>, Vec<u8>),
    Sidecar(OpenRecord),
}

/// What a stream belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// A file or directory.
    File,
    /// A symbolic link, which takes no attributes.
    Link,
}

/// How a reparse point can stand on Linux.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReparseForm {
    /// As a symbolic link with this target.
    Link(Vec<u8>),
    /// As a file or directory that carries the reparse data.
    Carried,
}

impl DirectoryWriter {
    /// Writes below a directory that is there.
    ///
    /// # Errors
    /// When it is none, or cannot be read.
    pub fn open(path: &Path) -> Result<Self> {
        let root = Root::open(path)?;
        let dialect = Dialect::of(root.fd());
        let sidecar = SidecarWriter::create(&root)?;
        Ok(Self { root, dialect, bare: AtomicBool::new(false), sidecar, noted: Mutex::default() })
    }

    /// Whether the directory is on an NTFS volume that keeps everything itself.
    pub fn is_ntfs(&self) -> bool {
        self.dialect == Dialect::Ntfs
    }

    /// Bytes that can still be written, and the size of a block.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn free_space(&self) -> Result<(u64, u64)> {
        let found =
            rustix::fs::fstatvfs(self.root.fd()).map_err(|error| self.error(&LinuxPath::default(), error))?;
        Ok((found.f_bavail.saturating_mul(found.f_frsize), found.f_frsize))
    }

    /// Where an entry of this name stands in a directory; a name too long for Linux is remembered.
    ///
    /// # Errors
    /// When that cannot be written down.
    pub fn entry(&self, directory: &LinuxPath, name: &[u16]) -> Result<LinuxPath> {
        let LinuxName { bytes, shortened } = escape(name);
        let at = directory.join(&bytes);
        if shortened {
            self.keep_entry(&at, name, &[])?;
        }
        Ok(at)
    }

    /// Makes a directory; one that is there is used.
    ///
    /// # Errors
    /// When something else stands there, or the system refuses.
    pub fn make_directory(&self, at: &LinuxPath) -> Result<()> {
        let failed = |error| self.error(at, error);
        let spot = self.root.spot(at).map_err(failed)?;
        match rustix::fs::mkdirat(&spot.directory, spot.name, Mode::from_raw_mode(0o777)) {
            Err(Errno::EXIST) => {
                let found = spot.stat().map_err(failed)?;
                match rustix::fs::FileType::from_raw_mode(found.st_mode) {
                    rustix::fs::FileType::Directory => self.forget(at),
                    _ => Err(failed(Errno::EXIST)),
                }
            }
            result => result.map_err(failed),
        }
    }

    /// What an earlier run wrote down of a path counts no more.
    fn forget(&self, at: &LinuxPath) -> Result<()> {
        if !self.sidecar.continues() {
            return Ok(());
        }
        self.sidecar.record(Label::new(Kind::Forget, &at.0), &[])
    }

    /// Makes something that is no directory; what stands there and is none either goes first.
    fn make<T>(&self, at: &LinuxPath, make: impl Fn() -> Result<T, Errno>) -> Result<T> {
        match make() {
            Err(Errno::EXIST) => {}
            result => return result.map_err(|error| self.error(at, error)),
        }
        let spot = self.root.spot(at).map_err(|error| self.error(at, error))?;
        rustix::fs::unlinkat(&spot.directory, spot.name, AtFlags::empty())
            .map_err(|error| self.error(at, error))?;
        self.forget(at)?;
        make().map_err(|error| self.error(at, error))
    }

    /// Makes an empty file; a file that is there goes, with its other names untouched.
    ///
    /// # Errors
    /// When a directory stands there, or the system refuses.
    pub fn make_file(&self, at: &LinuxPath) -> Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        self.make(at, || self.root.open_at(&at.0, flags, Mode::from_raw_mode(0o666))).map(File::from)
    }

    /// Opens a file that this writer made.
    ///
    /// # Errors
    /// When it is not there any more, or became something else.
    pub fn open_file(&self, at: &LinuxPath) -> Result<File> {
        let flags = OFlags::WRONLY | OFlags::NONBLOCK;
        self.root.open_at(&at.0, flags, Mode::empty()).map(File::from).map_err(|error| self.error(at, error))
    }

    /// Gives a file one more name. Everything that is kept of it must have been kept before.
    ///
    /// # Errors
    /// When something stands there, or the file system has no hard links (or no more).
    pub fn link(&self, from: &LinuxPath, to: &LinuxPath) -> Result<()> {
        let source = self.root.spot(from).map_err(|error| self.error(from, error))?;
        let target = self.root.spot(to).map_err(|error| self.error(to, error))?;
        self.make(to, || {
            let (from, to) = (source.name, target.name);
            rustix::fs::linkat(&source.directory, from, &target.directory, to, AtFlags::empty())
        })?;
        // What the sidecar says of the file is said of all its names.
        let noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner).contains(from);
        if !noted {
            return Ok(());
        }
        self.sidecar.record(Label { name: &from.0, ..Label::new(Kind::Link, &to.0) }, &[])
    }

    /// Whether a reparse point may become a symbolic link here; its data then tells.
    pub fn may_be_link(&self, header: ReparseHeader) -> bool {
        !self.is_ntfs() && link_target::can_be_link(header.tag)
    }

    /// How a reparse point stands here.
    pub fn reparse_form(
        &self,
        at: &LinuxPath,
        header: ReparseHeader,
        data: &[u8],
        fixing: LinkFixing,
    ) -> ReparseForm {
        let target = match self.dialect {
            Dialect::Ntfs => None,
            Dialect::User => link_target::to_linux(header, data, at.depth(), fixing),
        };
        target.map_or(ReparseForm::Carried, ReparseForm::Link)
    }

    /// Makes a symbolic link for a reparse point, and keeps its data.
    ///
    /// # Errors
    /// When something stands there, or the system refuses.
    pub fn make_link(&self, at: &LinuxPath, target: &[u8], data: &[u8]) -> Result<()> {
        let failed = |error| self.error(at, error);
        let spot = self.root.spot(at).map_err(failed)?;
        self.make(at, || rustix::fs::symlinkat(target, &spot.directory, spot.name))?;
        self.noting(at).record(Label { name: target, ..Label::new(Kind::Reparse, &at.0) }, data)
    }

    /// Keeps the reparse data of a file or directory.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn keep_reparse(&self, at: &LinuxPath, header: ReparseHeader, data: &[u8]) -> Result<()> {
        match self.dialect {
            Dialect::Ntfs => {
                let mut whole = header.tag.to_le_bytes().to_vec();
                // Reparse data has at most 16 KiB.
                whole.extend((data.len() as u16).to_le_bytes());
                whole.extend(header.reserved.to_le_bytes());
                whole.extend(data);
                self.put(at, None, attributes::NTFS_REPARSE, &whole, Kind::Reparse, data)
            }
            Dialect::User => self.put(at, None, attributes::REPARSE, data, Kind::Reparse, data),
        }
    }

    /// Keeps what is known of a node beside its data: attributes, times, security descriptor, short
    /// name (of `name`, the long one) and tagged items. `file` is the node, where it is open. Times
    /// are set last: nothing may be written to the file or made in the directory after it.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn keep(
        &self,
        at: &LinuxPath,
        file: Option<&File>,
        node: &Node,
        name: &[u16],
        short_name: Option<&[u16]>,
    ) -> Result<()> {
        match self.dialect {
            Dialect::Ntfs => return self.keep_on_ntfs(at, file, node, short_name),
            Dialect::User => {}
        }
        let short_name = short_name.map(|short| ShortName::new(name, short));
        let record = NodeRecord::of(node, short_name).encode();
        self.put(at, file, attributes::NODE, &record, Kind::Node, &record)?;
        if let Some(security) = &node.security {
            self.put(at, file, attributes::SECURITY, security, Kind::Security, security)?;
        }
        self.set_times(at, file, node)
    }

    /// Sets the times that Linux shows.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn set_times(&self, at: &LinuxPath, file: Option<&File>, node: &Node) -> Result<()> {
        let times = Timestamps {
            last_access: timespec(node.access_time),
            last_modification: timespec(node.write_time),
        };
        let result = match file {
            Some(file) => rustix::fs::futimens(file, &times),
            None => self.root.spot(at).and_then(|spot| {
                rustix::fs::utimensat(&spot.directory, spot.name, &times, AtFlags::SYMLINK_NOFOLLOW)
            }),
        };
        result.map_err(|error| self.error(at, error))
    }

    fn keep_on_ntfs(
        &self,
        at: &LinuxPath,
        file: Option<&File>,
        node: &Node,
        short_name: Option<&[u16]>,
    ) -> Result<()> {
        if let Some(security) = &node.security {
            self.put(at, file, attributes::NTFS_SECURITY, security, Kind::Security, security)?;
        }
        if let Some(short) = short_name.and_then(|short| String::from_utf16(short).ok()) {
            // By its name: the short name goes with this one of its links.
            self.put_ntfs(at, None, attributes::NTFS_SHORT_NAME, short.as_bytes())?;
        }
        for item in &node.tagged_items {
            match item.tag {
                TaggedItem::OBJECT_ID => self.put_ntfs(at, file, attributes::NTFS_OBJECT_ID, &item.data)?,
                TaggedItem::EXTENDED_ATTRIBUTES => {
                    if let Some(full) = attributes::full_from_wim(&item.data) {
                        self.put_ntfs(at, file, attributes::NTFS_EXTENDED, &full)?;
                    }
                }
                // What only a WIM knows has no place on a volume.
                _ => {}
            }
        }
        let kept = node.attributes - FileAttributes::REPARSE_POINT - FileAttributes::DIRECTORY;
        self.put_ntfs(at, file, attributes::NTFS_ATTRIBUTES, &kept.bits().to_le_bytes())?;
        let mut times = Vec::with_capacity(32);
        for time in [node.creation_time, node.write_time, node.access_time, node.write_time] {
            times.extend(time.0.to_le_bytes());
        }
        self.put_ntfs(at, file, attributes::NTFS_TIMES, &times)
    }

    /// Sets an attribute of ntfs-3g that has no other place.
    fn put_ntfs(&self, at: &LinuxPath, file: Option<&File>, attribute: &str, value: &[u8]) -> Result<()> {
        match self.set(at, file, attribute.as_bytes(), value).map_err(|error| self.error(at, error))? {
            Outcome::Kept => Ok(()),
            Outcome::Refused | Outcome::Unknown => Err(Error::new(
                ErrorClass::Permission,
                format!("{}: the volume does not take {attribute}", self.root.name(&at.0)),
            )
            .with_hint("mount it with ntfs-3g as root, for reading and writing")),
        }
    }

    fn set(
        &self,
        at: &LinuxPath,
        file: Option<&File>,
        attribute: &[u8],
        value: &[u8],
    ) -> Result<Outcome, Errno> {
        if let Some(file) = file {
            return attributes::set(Place::Open(file.as_fd()), attribute, value);
        }
        let spot = self.root.spot(at)?;
        attributes::set(Place::of(&spot), attribute, value)
    }

    /// Sets an attribute, or writes it down in the sidecar.
    fn put(
        &self,
        at: &LinuxPath,
        file: Option<&File>,
        attribute: &str,
        value: &[u8],
        kind: Kind,
        data: &[u8],
    ) -> Result<()> {
        if !self.bare.load(Ordering::Relaxed) {
            match self.set(at, file, attribute.as_bytes(), value).map_err(|error| self.error(at, error))? {
                Outcome::Kept => return Ok(()),
                Outcome::Refused => {}
                Outcome::Unknown if self.dialect == Dialect::User => self.bare.store(true, Ordering::Relaxed),
                Outcome::Unknown => {}
            }
        }
        self.noting(at).record(Label::new(kind, &at.0), data)
    }

    /// Writes down the names of an entry: the long one where Linux does not take it, the short one
    /// where it belongs to this of several hard links.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn keep_entry(&self, at: &LinuxPath, name: &[u16], short_name: &[u16]) -> Result<()> {
        if self.is_ntfs() {
            return match short_name {
                [] => Ok(()),
                short => {
                    let short = String::from_utf16_lossy(short);
                    self.put_ntfs(at, None, attributes::NTFS_SHORT_NAME, short.as_bytes())
                }
            };
        }
        let mut data = u16::try_from(name.len()).unwrap_or(u16::MAX).to_le_bytes().to_vec();
        data.extend(units_to_le(name));
        data.extend(units_to_le(short_name));
        self.sidecar.record(Label::new(Kind::Entry, &at.0), &data)
    }

    /// Begins a stream beside the data of a node, which must stand already unless it is a link.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn begin_stream(
        &self,
        at: &LinuxPath,
        kind: StreamKind,
        name: &[u16],
        length: u64,
        carrier: Carrier,
    ) -> Result<OpenStream> {
        let fits = length <= attributes::LONGEST
            && kind == StreamKind::Data
            && carrier == Carrier::File
            && !self.bare.load(Ordering::Relaxed);
        if fits && self.dialect.stream_attribute(name).is_some() {
            let collected = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
            return Ok(OpenStream(StreamPlace::Attribute(at.clone(), kind, name.to_vec(), collected)));
        }
        let name = units_to_le(name);
        let label = Label { kind: Kind::Stream, stream: kind, path: &at.0, name: &name };
        Ok(OpenStream(StreamPlace::Sidecar(self.noting(at).begin(label, length)?)))
    }

    /// Takes the next bytes of a stream.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn write_stream(&self, stream: &mut OpenStream, bytes: &[u8]) -> Result<()> {
        match &mut stream.0 {
            StreamPlace::Attribute(.., collected) => {
                collected.extend(bytes);
                Ok(())
            }
            StreamPlace::Sidecar(record) => self.sidecar.write(record, bytes),
        }
    }

    /// Ends a stream.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn end_stream(&self, stream: OpenStream) -> Result<()> {
        match stream.0 {
            StreamPlace::Sidecar(record) => self.sidecar.end(record),
            StreamPlace::Attribute(at, kind, name, bytes) => {
                let attribute = self.dialect.stream_attribute(&name).unwrap_or_default();
                let outcome =
                    self.set(&at, None, &attribute, &bytes).map_err(|error| self.error(&at, error))?;
                if outcome == Outcome::Kept {
                    return Ok(());
                }
                let name = units_to_le(&name);
                self.noting(&at)
                    .record(Label { kind: Kind::Stream, stream: kind, path: &at.0, name: &name }, &bytes)
            }
        }
    }

    /// The sidecar, for saying something of a node.
    fn noting(&self, at: &LinuxPath) -> &SidecarWriter {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).insert(at.clone());
        &self.sidecar
    }

    /// Gives up before anything was made, and takes the mark away.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn abandon(self) -> Result<()> {
        rustix::fs::unlinkat(self.root.fd(), super::escape::UNFINISHED, AtFlags::empty())
            .map_err(|error| self.error(&LinuxPath::default(), error))
    }

    /// Opens a file that this writer made, to be read.
    ///
    /// # Errors
    /// When it is not there any more, or became something else.
    pub fn read_file(&self, at: &LinuxPath) -> Result<File> {
        self.root.read(&at.0).map_err(|error| self.error(at, error))
    }

    /// Puts the sidecar in place, where one was needed. Until this call the directory is marked as
    /// unfinished, and no [`DirectoryVolume`](super::DirectoryVolume) takes it.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn finish(self) -> Result<Sidecars> {
        self.sidecar.finish(&self.root)
    }

    /// What the system said of a file, as an error that names it.
    pub fn io_error(&self, at: &LinuxPath, error: &std::io::Error) -> Error {
        Error::io(self.root.name(&at.0), error)
    }

    fn error(&self, at: &LinuxPath, error: Errno) -> Error {
        let made = self.root.error(&at.0, error);
        match error {
            Errno::LOOP => made.with_hint("a symbolic link stands in the way; apply to an empty directory"),
            Errno::EXIST => made.with_hint("apply to an empty directory"),
            _ => made,
        }
    }
}

fn timespec(time: FileTime) -> Timespec {
    let (seconds, nanoseconds) = time.to_unix();
    Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() }
}
