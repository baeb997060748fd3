// SPDX-License-Identifier: GPL-3.0-or-later
//! Files and directories with what NTFS keeps of them, made below a Linux directory.

use std::collections::HashSet;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;

use super::attributes::{self, Dialect, Outcome, Place};
use super::beneath::{LinuxPath, Root};
use super::escape::{LinuxName, escape};
use super::link_target::{self, LinkFixing};
use super::record::{NodeRecord, ShortName};
use super::sidecar::{Kind, Label, OpenRecord, SidecarWriter};
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
    sidecar: OnceLock<SidecarWriter>,
    making_sidecar: Mutex<()>,
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
        Ok(Self {
            root,
            dialect,
            bare: AtomicBool::new(false),
            sidecar: OnceLock::new(),
            making_sidecar: Mutex::default(),
            noted: Mutex::default(),
        })
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

    /// Makes a directory; one that is there is taken as it is.
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
                    rustix::fs::FileType::Directory => Ok(()),
                    _ => Err(failed(Errno::EXIST)),
                }
            }
            result => result.map_err(failed),
        }
    }

    /// Makes a file.
    ///
    /// # Errors
    /// When something stands there, or the system refuses.
    pub fn make_file(&self, at: &LinuxPath) -> Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let opened = self.root.open_at(&at.0, flags, Mode::from_raw_mode(0o666));
        opened.map(File::from).map_err(|error| self.error(at, error))
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
        rustix::fs::linkat(&source.directory, source.name, &target.directory, target.name, AtFlags::empty())
            .map_err(|error| self.error(to, error))?;
        // What the sidecar says of the file is said of all its names.
        let noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner).contains(from);
        if !noted {
            return Ok(());
        }
        self.sidecar()?.record(Label { name: &from.0, ..Label::new(Kind::Link, &to.0) }, &[])
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
        rustix::fs::symlinkat(target, &spot.directory, spot.name).map_err(failed)?;
        self.noting(at)?.record(Label { name: target, ..Label::new(Kind::Reparse, &at.0) }, data)
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
        self.noting(at)?.record(Label::new(kind, &at.0), data)
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
        self.sidecar()?.record(Label::new(Kind::Entry, &at.0), &data)
    }

    /// Begins a stream beside the data of a file or directory.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn begin_stream(
        &self,
        at: &LinuxPath,
        kind: StreamKind,
        name: &[u16],
        length: u64,
    ) -> Result<OpenStream> {
        let fits =
            length <= attributes::LONGEST && kind == StreamKind::Data && !self.bare.load(Ordering::Relaxed);
        if fits && self.dialect.stream_attribute(name).is_some() {
            let collected = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
            return Ok(OpenStream(StreamPlace::Attribute(at.clone(), kind, name.to_vec(), collected)));
        }
        let name = units_to_le(name);
        let label = Label { kind: Kind::Stream, stream: kind, path: &at.0, name: &name };
        Ok(OpenStream(StreamPlace::Sidecar(self.noting(at)?.begin(label, length)?)))
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
            StreamPlace::Sidecar(record) => self.sidecar()?.write(record, bytes),
        }
    }

    /// Ends a stream.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn end_stream(&self, stream: OpenStream) -> Result<()> {
        match stream.0 {
            StreamPlace::Sidecar(record) => self.sidecar()?.end(record),
            StreamPlace::Attribute(at, kind, name, bytes) => {
                let attribute = self.dialect.stream_attribute(&name).unwrap_or_default();
                let outcome =
                    self.set(&at, None, &attribute, &bytes).map_err(|error| self.error(&at, error))?;
                if outcome == Outcome::Kept {
                    return Ok(());
                }
                let name = units_to_le(&name);
                self.noting(&at)?
                    .record(Label { kind: Kind::Stream, stream: kind, path: &at.0, name: &name }, &bytes)
            }
        }
    }

    /// The sidecar, for saying something of a node.
    fn noting(&self, at: &LinuxPath) -> Result<&SidecarWriter> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).insert(at.clone());
        self.sidecar()
    }

    fn sidecar(&self) -> Result<&SidecarWriter> {
        if let Some(sidecar) = self.sidecar.get() {
            return Ok(sidecar);
        }
        let _one = self.making_sidecar.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sidecar) = self.sidecar.get() {
            return Ok(sidecar);
        }
        let made = SidecarWriter::create(&self.root)?;
        Ok(self.sidecar.get_or_init(|| made))
    }

    /// Puts the sidecar in place, where one was needed; without this call there is none.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn finish(self) -> Result<Sidecars> {
        let Self { root, sidecar, .. } = self;
        match sidecar.into_inner() {
            Some(sidecar) => sidecar.finish(&root).map(|()| Sidecars::Written),
            None => Ok(Sidecars::NotNeeded),
        }
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

/// Whether a tree got a sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sidecars {
    /// `.transom-metadata` stands at the root.
    Written,
    /// The file system took everything.
    NotNeeded,
}

fn timespec(time: FileTime) -> Timespec {
    let (seconds, nanoseconds) = time.to_unix();
    Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() }
}
