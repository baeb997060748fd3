// SPDX-License-Identifier: GPL-3.0-or-later
//! A Linux directory as a volume.
//!
//! Nothing is read before it is asked for. A node's number is its inode number, so that it is the
//! same in the next run; nodes on other file systems that are mounted inside get numbers as they
//! are met. Where a node stands is known from the listing or look-up that met it; a number that was
//! met in an earlier run only is looked for in the whole tree, once, and so are the other names of a
//! file with hard links.
//!
//! What was not written by [`DirectoryWriter`](super::DirectoryWriter) gets what Windows would give
//! it: the attribute `DIRECTORY` or `ARCHIVE`, no security descriptor, and the time of its last
//! change for all times, so that the same tree reads the same wherever it was copied to.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::attributes::{self, Dialect, Place};
use super::beneath::{LinuxPath, Root, Spot};
use super::escape::{SIDECAR, UNFINISHED, unescape};
use super::link_target::{self, LinkFixing};
use super::record::NodeRecord;
use super::sidecar::{Kind, Sidecar};
use crate::base::name::{compare, display, same, units_from_le};
use crate::base::{
    DirEntry, Error, ErrorClass, FileAttributes, FileTime, Node, NodeId, ReparseHeader, Result, Stream,
    StreamKind, TaggedItem, WinName,
};
use crate::io::{FileReader, ReadAt};
use crate::volume::{Volume, VolumeError};

/// Numbers of nodes that have no inode number of the tree's own file system.
const FOREIGN: u64 = 1 << 62;

/// A Linux directory as a volume.
pub struct DirectoryVolume {
    root: Root,
    root_id: NodeId,
    device: u64,
    /// The absolute path, for links that lead into the tree.
    absolute: Vec<u8>,
    dialect: Dialect,
    fixing: LinkFixing,
    sidecar: Option<Sidecar>,
    known: Mutex<Known>,
}

/// A directory and the name in it by which something was met.
type Spotted = (NodeId, Box<[u8]>);

#[derive(Default)]
struct Known {
    /// The first name by which each node was met.
    places: HashMap<NodeId, Spotted>,
    foreign: HashMap<(u64, u64), NodeId>,
    /// Whether the whole tree was walked, and then every further name of files with several.
    walked: Option<HashMap<NodeId, Vec<Spotted>>>,
    warnings: Vec<String>,
}

/// What is kept of a node beside its data.
#[derive(Default)]
struct Kept {
    record: Option<NodeRecord>,
    security: Option<Vec<u8>>,
    reparse: Option<Vec<u8>>,
    /// The link that the reparse data was written for.
    link: Option<Vec<u8>>,
    streams: Vec<(StreamKind, Vec<u16>, u64)>,
}

/// A directory entry as Linux has it.
struct Found {
    name: Box<[u8]>,
    stat: Stat,
}

impl DirectoryVolume {
    /// Opens a directory. Links into it are made absolute again.
    ///
    /// # Errors
    /// When it is no directory or cannot be read, or its metadata file is damaged.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_with(path, LinkFixing::Fixed)
    }

    /// Opens a directory and says what becomes of links into it.
    ///
    /// # Errors
    /// As [`DirectoryVolume::open`].
    pub fn open_with(path: &Path, fixing: LinkFixing) -> Result<Self> {
        use std::os::unix::ffi::OsStringExt;
        let root = Root::open(path)?;
        let stat = rustix::fs::fstat(root.fd()).map_err(|error| root.error(b"", error))?;
        let absolute = std::fs::canonicalize(path).map_err(|error| Error::io(path.display(), &error))?;
        let dialect = Dialect::of(root.fd());
        let sidecar = Sidecar::open(&root)?;
        let root_id = NodeId(stat.st_ino & !NodeId::NEW);
        Ok(Self {
            root,
            root_id,
            device: stat.st_dev,
            absolute: absolute.into_os_string().into_vec(),
            dialect,
            fixing,
            sidecar,
            known: Mutex::default(),
        })
    }

    /// What was met that a tree of Windows cannot hold, and is left out.
    pub fn warnings(&self) -> Vec<String> {
        self.known().warnings.clone()
    }

    /// Where a node stands, below the root; nothing for a number that was never met.
    ///
    /// # Errors
    /// When the tree cannot be read.
    pub fn linux_path(&self, id: NodeId) -> Result<LinuxPath> {
        if let Some(path) = self.path_if_known(id)? {
            return Ok(path);
        }
        self.walk()?;
        self.path_if_known(id)?.ok_or_else(|| VolumeError::NoNode { node: id }.into())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Each change of the tables is whole by itself.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path_if_known(&self, id: NodeId) -> Result<Option<LinuxPath>> {
        // As deep as a WIM may be.
        const DEEPEST: usize = 16_384;
        let known = self.known();
        let mut names: Vec<&[u8]> = Vec::new();
        let mut node = id;
        while node != self.root_id {
            let Some((parent, name)) = known.places.get(&node) else { return Ok(None) };
            names.push(name);
            node = *parent;
            if names.len() > DEEPEST {
                return Err(Error::new(ErrorClass::Corrupt, "directories form a circle"));
            }
        }
        names.reverse();
        Ok(Some(LinuxPath(names.join(&b'/'))))
    }

    /// The number of what was met under a name.
    fn meet(&self, parent: NodeId, found: &Found) -> NodeId {
        let (device, inode) = (found.stat.st_dev, found.stat.st_ino);
        let mut known = self.known();
        let id = if device == self.device && inode < FOREIGN {
            NodeId(inode)
        } else {
            let next = NodeId(FOREIGN + known.foreign.len() as u64);
            *known.foreign.entry((device, inode)).or_insert(next)
        };
        if let Entry::Vacant(place) = known.places.entry(id)
            && id != self.root_id
        {
            place.insert((parent, found.name.clone()));
        }
        id
    }

    /// What a directory holds, without what is ours and what Windows does not know.
    fn list(&self, path: &LinuxPath) -> Result<Vec<Found>> {
        let failed = |error| self.root.error(&path.0, error);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let directory = self.root.open_at(&path.0, flags, Mode::empty()).map_err(failed)?;
        let mut found = Vec::new();
        for entry in Dir::read_from(&directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            let own = path.0.is_empty() && (name == SIDECAR.as_bytes() || name == UNFINISHED.as_bytes());
            if own || matches!(name, b"." | b"..") {
                continue;
            }
            let stat = match rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                // Gone since it was listed.
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(self.root.error(&path.join(name).0, error)),
            };
            if self.is_known_kind(path, name, &stat) {
                found.push(Found { name: name.into(), stat });
            }
        }
        Ok(found)
    }

    fn is_known_kind(&self, directory: &LinuxPath, name: &[u8], stat: &Stat) -> bool {
        let what = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory | FileType::RegularFile | FileType::Symlink => return true,
            FileType::Fifo => "a pipe",
            FileType::Socket => "a socket",
            FileType::CharacterDevice | FileType::BlockDevice => "a device",
            _ => "of an unknown kind",
        };
        let warning = format!(
            "{} is {what}, which Windows does not have; it is left out",
            self.root.name(&directory.join(name).0)
        );
        let mut known = self.known();
        if !known.warnings.contains(&warning) {
            known.warnings.push(warning);
        }
        false
    }

    /// Meets everything.
    fn walk(&self) -> Result<()> {
        if self.known().walked.is_some() {
            return Ok(());
        }
        let mut links: HashMap<NodeId, Vec<Spotted>> = HashMap::new();
        let mut directories = vec![(self.root_id, LinuxPath::default())];
        while let Some((id, path)) = directories.pop() {
            for found in self.list(&path)? {
                let node = self.meet(id, &found);
                if is_directory(&found.stat) {
                    directories.push((node, path.join(&found.name)));
                } else if found.stat.st_nlink > 1 {
                    links.entry(node).or_default().push((id, found.name));
                }
            }
        }
        self.known().walked = Some(links);
        Ok(())
    }

    fn entry(&self, directory: NodeId, path: &LinuxPath, found: &Found) -> Result<DirEntry> {
        let at = path.join(&found.name);
        let node = self.meet(directory, found);
        let mut name = unescape(&found.name);
        let mut short_name = None;
        let mut said = false;
        if let Some(item) = self.sidecar.as_ref().and_then(|sidecar| sidecar.entry(&at.0)) {
            let bytes = self.sidecar_bytes(item)?;
            let (length, units) = bytes
                .split_first_chunk()
                .map_or((0, &[][..]), |(length, units)| (u16::from_le_bytes(*length), units));
            let units = units_from_le(units);
            if let Some((long, short)) = units.split_at_checked(usize::from(length)) {
                name = long.to_vec();
                short_name = (!short.is_empty()).then(|| WinName::new(short));
                said = true;
            }
        }
        if !said {
            let spot = self.root.spot(&at).map_err(|error| self.root.error(&at.0, error))?;
            short_name = match self.dialect {
                Dialect::Ntfs => self
                    .get(&at, &spot, attributes::NTFS_SHORT_NAME)?
                    .and_then(|short| String::from_utf8(short).ok())
                    .map(|short| WinName::from(short.as_str()))
                    .filter(|short| !short.is_empty() && short.units() != name),
                Dialect::User => self
                    .record(&at, &spot)?
                    .and_then(|record| record.short_name?.of(&name).map(WinName::from)),
            };
        }
        Ok(DirEntry { name: WinName::new(name), short_name, node })
    }

    fn sidecar_items(&self, at: &LinuxPath) -> impl Iterator<Item = &super::sidecar::Item> {
        self.sidecar.iter().flat_map(|sidecar| sidecar.node(&at.0))
    }

    fn sidecar_bytes(&self, item: &super::sidecar::Item) -> Result<Vec<u8>> {
        self.sidecar.as_ref().map_or_else(|| Ok(Vec::new()), |sidecar| sidecar.bytes(item))
    }

    fn get(&self, at: &LinuxPath, spot: &Spot<'_>, attribute: &str) -> Result<Option<Vec<u8>>> {
        attributes::get(Place::of(spot), attribute.as_bytes()).map_err(|error| self.root.error(&at.0, error))
    }

    /// The node record: the sidecar's, else the attribute.
    fn record(&self, at: &LinuxPath, spot: &Spot<'_>) -> Result<Option<NodeRecord>> {
        let said = self.sidecar_items(at).find(|item| item.kind == Kind::Node);
        let bytes = match said {
            Some(item) => Some(self.sidecar_bytes(item)?),
            None => self.get(at, spot, attributes::NODE)?,
        };
        bytes
            .map(|bytes| NodeRecord::decode(&bytes).ok_or_else(|| self.damaged(at, attributes::NODE)))
            .transpose()
    }

    fn damaged(&self, at: &LinuxPath, what: &str) -> Error {
        Error::new(ErrorClass::Corrupt, format!("{}: {what} is damaged", self.root.name(&at.0)))
            .with_hint(format!("remove it to go on without: setfattr -x {what} ..."))
    }

    /// What is kept of a node in attributes and sidecar, and how long its streams are.
    fn kept(&self, at: &LinuxPath, spot: &Spot<'_>) -> Result<Kept> {
        let failed = |error| self.root.error(&at.0, error);
        let mut kept = Kept::default();
        for attribute in attributes::list(Place::of(spot)).map_err(failed)? {
            let value = || attributes::get(Place::of(spot), &attribute).map_err(failed);
            if let Some(name) = self.dialect.stream_of(&attribute) {
                let length = value()?.map_or(0, |value| value.len() as u64);
                kept.streams.push((StreamKind::Data, name, length));
            } else if self.dialect == Dialect::User {
                if attribute == attributes::SECURITY.as_bytes() {
                    kept.security = value()?;
                } else if attribute == attributes::REPARSE.as_bytes() {
                    kept.reparse = value()?;
                }
            }
        }
        if self.dialect == Dialect::User {
            kept.record = self.record(at, spot)?;
        } else {
            self.ntfs(at, spot, &mut kept)?;
        }
        for item in self.sidecar_items(at) {
            match item.kind {
                Kind::Security => kept.security = Some(self.sidecar_bytes(item)?),
                Kind::Reparse => {
                    kept.reparse = Some(self.sidecar_bytes(item)?);
                    kept.link = Some(item.name.to_vec());
                }
                Kind::Stream => {
                    let name = units_from_le(&item.name);
                    kept.streams.retain(|(kind, other, _)| (*kind, other) != (item.stream, &name));
                    kept.streams.push((item.stream, name, item.length));
                }
                Kind::Node | Kind::Entry | Kind::Forget | Kind::Link => {}
            }
        }
        kept.streams.sort_by(|left, right| compare(&left.1, &right.1).then_with(|| left.1.cmp(&right.1)));
        Ok(kept)
    }

    fn ntfs(&self, at: &LinuxPath, spot: &Spot<'_>, kept: &mut Kept) -> Result<()> {
        let number = |bytes: &[u8]| bytes.try_into().map_or(0, u32::from_le_bytes);
        let mut record = NodeRecord::default();
        if let Some(bits) = self.get(at, spot, attributes::NTFS_ATTRIBUTES)? {
            record.attributes = FileAttributes::from_bits_retain(number(&bits));
        }
        if let Some(times) = self.get(at, spot, attributes::NTFS_TIMES)? {
            let time = |at: usize| {
                let bytes = times.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
                FileTime(bytes.map_or(0, u64::from_le_bytes))
            };
            (record.creation, record.write, record.access) = (time(0), time(8), time(16));
        }
        kept.security = self.get(at, spot, attributes::NTFS_SECURITY)?;
        if record.attributes.contains(FileAttributes::REPARSE_POINT)
            && let Some(whole) = self.get(at, spot, attributes::NTFS_REPARSE)?
            && let Some((header, data)) = whole.split_first_chunk::<8>()
        {
            let [a, b, c, d, _, _, low, high] = *header;
            record.reparse = Some(ReparseHeader {
                tag: u32::from_le_bytes([a, b, c, d]),
                reserved: u16::from_le_bytes([low, high]),
                flags: link_target::NOT_FIXED,
            });
            kept.reparse = Some(data.to_vec());
        }
        if let Some(id) = self.get(at, spot, attributes::NTFS_OBJECT_ID)?.filter(|id| id.len() >= 16) {
            record.items.push(TaggedItem { tag: TaggedItem::OBJECT_ID, data: id.into() });
        }
        if let Some(list) = self.get(at, spot, attributes::NTFS_EXTENDED)?.filter(|list| !list.is_empty()) {
            let list = attributes::wim_from_full(&list)
                .ok_or_else(|| self.damaged(at, attributes::NTFS_EXTENDED))?;
            record.items.push(TaggedItem { tag: TaggedItem::EXTENDED_ATTRIBUTES, data: list.into() });
        }
        kept.record = Some(record);
        Ok(())
    }

    /// The reparse header and data of a symbolic link.
    fn link(&self, at: &LinuxPath, spot: &Spot<'_>, kept: &Kept) -> Result<(ReparseHeader, Vec<u8>)> {
        let target = rustix::fs::readlinkat(&spot.directory, spot.name, Vec::new())
            .map_err(|error| self.root.error(&at.0, error))?;
        let header = kept.record.as_ref().and_then(|record| record.reparse);
        // A link that was changed since is what it is now.
        if let (Some(header), Some(data), Some(written)) = (header, &kept.reparse, &kept.link)
            && (written == target.to_bytes() || self.dialect == Dialect::Ntfs)
        {
            return Ok((header, data.clone()));
        }
        Ok(link_target::from_linux(target.to_bytes(), &self.absolute, self.fixing))
    }

    /// Reparse header and data of what carries them; nothing for everything else.
    fn reparse(
        &self,
        at: &LinuxPath,
        spot: &Spot<'_>,
        stat: &Stat,
        kept: &Kept,
    ) -> Result<Option<(ReparseHeader, Vec<u8>)>> {
        let header = kept.record.as_ref().and_then(|record| record.reparse);
        if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink && self.dialect == Dialect::User {
            return self.link(at, spot, kept).map(Some);
        }
        Ok(header.zip(kept.reparse.clone()))
    }

    fn opened(&self, id: NodeId) -> Result<(LinuxPath, Stat, Kept)> {
        let at = self.linux_path(id)?;
        let failed = |error| self.root.error(&at.0, error);
        let spot = self.root.spot(&at).map_err(failed)?;
        let stat = spot.stat().map_err(failed)?;
        let kept = self.kept(&at, &spot)?;
        drop(spot);
        Ok((at, stat, kept))
    }
}

fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

fn modified(stat: &Stat) -> FileTime {
    FileTime::from_unix(stat.st_mtime, stat.st_mtime_nsec as u32)
}

/// Whether a file has the time that was set when the record was made: what it was written at, as far
/// as the file system holds such times.
fn untouched(stat: &Stat, record: &NodeRecord) -> bool {
    // Outside of this every file system clamps somewhere else.
    const OLDEST: i64 = -(1 << 31);
    const YOUNGEST: i64 = 1 << 32;
    let (seconds, nanoseconds) = record.write.to_unix();
    !(OLDEST..YOUNGEST).contains(&seconds)
        || (stat.st_mtime == seconds
            && (stat.st_mtime_nsec == 0
                || i128::from(stat.st_mtime_nsec) / 100 == i128::from(nanoseconds / 100)))
}

impl Volume for DirectoryVolume {
    fn root(&self) -> NodeId {
        self.root_id
    }

    fn node(&self, id: NodeId) -> Result<Node> {
        let (at, stat, mut kept) = self.opened(id)?;
        let spot = self.root.spot(&at).map_err(|error| self.root.error(&at.0, error))?;
        let reparse = self.reparse(&at, &spot, &stat, &kept)?;
        let record = kept.record.take();
        let mut node = Node::default();
        match record {
            Some(record) => {
                node.attributes = record.attributes;
                (node.creation_time, node.access_time) = (record.creation, record.access);
                let same_time = self.dialect == Dialect::Ntfs || untouched(&stat, &record);
                node.write_time = if same_time { record.write } else { modified(&stat) };
                node.tagged_items = record.items;
                node.unknown_0x54 = record.unknown_0x54;
            }
            None => {
                let is_directory = match FileType::from_raw_mode(stat.st_mode) {
                    // Windows tells links to directories from links to files. Only the kind of what
                    // the link leads to is asked for.
                    FileType::Symlink => rustix::fs::statat(&spot.directory, spot.name, AtFlags::empty())
                        .is_ok_and(|stat| is_directory(&stat)),
                    _ => is_directory(&stat),
                };
                node.attributes =
                    if is_directory { FileAttributes::DIRECTORY } else { FileAttributes::ARCHIVE };
                let time = modified(&stat);
                (node.creation_time, node.access_time, node.write_time) = (time, time, time);
            }
        }
        match FileType::from_raw_mode(stat.st_mode) {
            // Whatever a record says: these have entries, and those have data.
            FileType::Directory => node.attributes |= FileAttributes::DIRECTORY,
            FileType::RegularFile => node.attributes -= FileAttributes::DIRECTORY,
            _ => {}
        }
        node.attributes.set(FileAttributes::REPARSE_POINT, reparse.is_some());
        if node.attributes != FileAttributes::NORMAL {
            node.attributes -= FileAttributes::NORMAL;
        }
        node.security = kept.security.map(Arc::from);
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        if let Some((header, data)) = reparse {
            node.reparse = Some(header);
            node.streams.push(stream(StreamKind::Reparse, Vec::new(), data.len() as u64));
        }
        let encrypted = kept.streams.iter().any(|(kind, ..)| *kind == StreamKind::Encrypted);
        if !node.attributes.contains(FileAttributes::DIRECTORY) && !encrypted {
            let length = if is_file { u64::try_from(stat.st_size).unwrap_or(0) } else { 0 };
            node.streams.push(stream(StreamKind::Data, Vec::new(), length));
        }
        node.streams.extend(kept.streams.into_iter().map(|(kind, name, length)| stream(kind, name, length)));
        Ok(node)
    }

    fn entries(&self, directory: NodeId) -> Result<Vec<DirEntry>> {
        let path = self.linux_path(directory)?;
        if !self.is_listed(&path)? {
            return Ok(Vec::new());
        }
        let found = self.list(&path)?;
        let mut entries: Vec<DirEntry> =
            found.iter().map(|found| self.entry(directory, &path, found)).collect::<Result<_>>()?;
        entries.sort_by(|left, right| {
            compare(left.name.units(), right.name.units()).then_with(|| left.name.cmp(&right.name))
        });
        Ok(entries)
    }

    fn lookup(&self, directory: NodeId, name: &[u16]) -> Result<Option<DirEntry>> {
        let path = self.linux_path(directory)?;
        if !self.is_listed(&path)? {
            return Ok(None);
        }
        let escaped = super::escape::escape(name);
        let exact = path.join(&escaped.bytes);
        let own =
            path.0.is_empty() && [SIDECAR, UNFINISHED].iter().any(|own| own.as_bytes() == escaped.bytes);
        if !escaped.shortened && !own {
            let spot = self.root.spot(&exact).map_err(|error| self.root.error(&path.0, error))?;
            match spot.stat() {
                Ok(stat) if self.is_known_kind(&path, &escaped.bytes, &stat) => {
                    let found = Found { name: escaped.bytes.into(), stat };
                    return self.entry(directory, &path, &found).map(Some);
                }
                Ok(_) | Err(Errno::NOENT | Errno::NAMETOOLONG) => {}
                Err(error) => return Err(self.root.error(&exact.0, error)),
            }
        }
        let found = self.list(&path)?;
        // Names that stand shortened have to be asked for.
        let folded = found.iter().find(|found| {
            !found.name.windows(2).any(|pair| pair == b"%~") && same(&unescape(&found.name), name)
        });
        if let Some(found) = folded {
            return self.entry(directory, &path, found).map(Some);
        }
        let mut short = None;
        for found in &found {
            let entry = self.entry(directory, &path, found)?;
            if same(entry.name.units(), name) {
                return Ok(Some(entry));
            }
            if short.is_none() && entry.short_name.as_ref().is_some_and(|short| same(short.units(), name)) {
                short = Some(entry);
            }
        }
        Ok(short)
    }

    fn links(&self, id: NodeId) -> Result<Vec<(NodeId, DirEntry)>> {
        if id == self.root_id {
            return Ok(Vec::new());
        }
        let at = self.linux_path(id)?;
        let failed = |error| self.root.error(&at.0, error);
        let stat = self.root.spot(&at).and_then(|spot| spot.stat()).map_err(failed)?;
        let mut places = Vec::new();
        if !is_directory(&stat) && stat.st_nlink > 1 {
            self.walk()?;
            places.extend(self.known().walked.iter().filter_map(|links| links.get(&id)).flatten().cloned());
        }
        if places.is_empty() {
            places.extend(self.known().places.get(&id).cloned());
        }
        places
            .into_iter()
            .map(|(parent, name)| {
                let path = self.linux_path(parent)?;
                Ok((parent, self.entry(parent, &path, &Found { name, stat })?))
            })
            .collect()
    }

    fn open(&self, id: NodeId, kind: StreamKind, name: &[u16]) -> Result<Arc<dyn ReadAt>> {
        let (at, stat, kept) = self.opened(id)?;
        let failed = |error| self.root.error(&at.0, error);
        let missing =
            || Err(VolumeError::NoStream { path: self.root.name(&at.0), stream: display(name) }.into());
        let spot = self.root.spot(&at).map_err(failed)?;
        if kind == StreamKind::Reparse {
            return match self.reparse(&at, &spot, &stat, &kept)? {
                Some((_, data)) if name.is_empty() => Ok(Arc::new(data)),
                _ => missing(),
            };
        }
        let file_type = FileType::from_raw_mode(stat.st_mode);
        let is_data = kind == StreamKind::Data && name.is_empty();
        if is_data {
            return match file_type {
                FileType::RegularFile => {
                    let file: File = self.root.read(&at.0).map_err(failed)?;
                    Ok(Arc::new(FileReader::new(file, Path::new(&self.root.name(&at.0)))?))
                }
                FileType::Symlink => Ok(Arc::new(Vec::new())),
                _ => missing(),
            };
        }
        let said = self.sidecar_items(&at).find(|item| {
            item.kind == Kind::Stream && item.stream == kind && same(&units_from_le(&item.name), name)
        });
        if let (Some(item), Some(sidecar)) = (said, &self.sidecar) {
            return sidecar.data(item);
        }
        let found = kept.streams.iter().find(|(other, stream, _)| *other == kind && same(stream, name));
        let attribute = found.and_then(|(_, stream, _)| self.dialect.stream_attribute(stream));
        match attribute {
            Some(attribute) => match attributes::get(Place::of(&spot), &attribute).map_err(failed)? {
                Some(value) => Ok(Arc::new(value)),
                None => missing(),
            },
            None => missing(),
        }
    }

    fn identity(&self) -> Vec<u8> {
        let mut identity = b"directory ".to_vec();
        identity.extend(self.device.to_le_bytes());
        identity.extend(self.root_id.0.to_le_bytes());
        identity
    }
}

impl DirectoryVolume {
    /// Whether a node's entries are those of the Linux directory: not of a file or link, nor of a
    /// directory that is a reparse point.
    fn is_listed(&self, path: &LinuxPath) -> Result<bool> {
        let failed = |error| self.root.error(&path.0, error);
        let spot = self.root.spot(path).map_err(failed)?;
        let stat = spot.stat().map_err(failed)?;
        if !is_directory(&stat) {
            return Ok(false);
        }
        let record = match self.dialect {
            Dialect::User => self.record(path, &spot)?,
            // There a reparse point is a link to Linux.
            Dialect::Ntfs => None,
        };
        Ok(record.is_none_or(|record| record.reparse.is_none()))
    }
}

fn stream(kind: StreamKind, name: Vec<u16>, length: u64) -> Stream {
    Stream { kind, name: WinName::new(name), length, hash: None }
}
