// SPDX-License-Identifier: GPL-3.0-or-later
//! The overlay of an image as a file system: `impl Tree`.
//!
//! What Linux cannot say of a file and NTFS cannot keep is decided here:
//!
//! * Everything belongs to who mounted it. Directories have mode 0755, files 0755 or, with READONLY, 0555. `chmod` of a
//!   file sets or clears READONLY by the owner's write bit; all else of a mode, and `chown`, succeed and are not kept.
//! * The time of the last change of anything (ctime) is not in a WIM: it is kept as long as the mount is served, and is
//!   that of the last write before and after.
//! * `file:stream` names a named stream of a file or directory: it can be made, read, written and removed, but is not
//!   listed, and cannot be renamed or linked.
//! * A link's target is as [`links`](super::links) says.
//!
//! Locks, outermost first: `gate` (shared by whatever changes something; alone for a commit and for what takes several
//! steps of the overlay), `current` (shared by every request; alone while the tree is exchanged), then the small ones,
//! of which none but that of the handles is held while another is taken.

mod requests;

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::SystemTime;

use fuse_mount::{
    Attributes, Caller, Entry, Errno, Handle, Kind, Node as Number, Notifier, Result, Spelling,
};

use super::errno::{errno, stale};
use super::numbers::{Numbers, References, Streams, is_stream};
use super::{links, names, xattr};
use crate::base::{self, DirEntry, FileAttributes, Node, NodeId, NodeKind, StreamKind, WinName};
use crate::io::read_vec;
use crate::volume::{Overlay, Volume};

/// Most units of a name.
const NAME_LENGTH: usize = 255;
/// Bytes of zeros written at a time.
const ZEROS: usize = 1 << 20;

/// An overlay with the directory that holds its journal and data.
pub(super) struct Staged {
    pub(super) overlay: Overlay,
    pub(super) directory: PathBuf,
    /// Whether the directory goes with the last use of the overlay.
    pub(super) discard: std::sync::atomic::AtomicBool,
}

impl Drop for Staged {
    fn drop(&mut self) {
        if *self.discard.get_mut()
            && let Err(error) = std::fs::remove_dir_all(&self.directory)
        {
            tracing::warn!("{} stays: {error}", self.directory.display());
        }
    }
}

/// The overlay that is served, and how its nodes are numbered.
struct Current {
    staged: Arc<Staged>,
    numbers: Numbers,
}

/// Where a tree is served, and for whom.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) target: PathBuf,
    pub(super) writable: bool,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// A file that is open.
struct Open {
    number: Number,
    staged: Arc<Staged>,
    node: NodeId,
}

#[derive(Default)]
struct Handles {
    last: u64,
    open: HashMap<u64, Open>,
}

/// What a number stands for.
struct Place {
    staged: Arc<Staged>,
    node: NodeId,
    /// The stream of it that is meant, if not the file itself.
    stream: Option<Vec<u16>>,
}

impl Place {
    fn overlay(&self) -> &Overlay {
        &self.staged.overlay
    }

    fn stream_name(&self) -> &[u16] {
        self.stream.as_deref().unwrap_or_default()
    }
}

/// The image behind a mount.
pub(super) struct ImageTree {
    setting: Setting,
    gate: RwLock<()>,
    current: RwLock<Current>,
    references: References,
    streams: Streams,
    handles: Mutex<Handles>,
    /// Files without a name that were open when the tree was exchanged; they stay in the old one.
    orphans: Mutex<HashMap<Number, (Arc<Staged>, NodeId)>>,
    /// Directories that were removed while somebody stood in them.
    removed: Mutex<HashMap<Number, Attributes>>,
    changed: Mutex<HashMap<Number, SystemTime>>,
    /// Links whose target the kernel remembers.
    followed: Mutex<HashSet<Number>>,
    notifier: OnceLock<Notifier>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each of these is changed in one step.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failed(error: &base::Error) -> Errno {
    errno(error)
}

fn units(name: &OsStr) -> Result<Vec<u16>> {
    let units = names::from_host(name).ok_or(Errno::EILSEQ)?;
    let longest = match split_stream(&units) {
        Some((file, stream)) => file.len().max(stream.len()),
        None => units.len(),
    };
    if longest > NAME_LENGTH { Err(Errno::ENAMETOOLONG) } else { Ok(units) }
}

/// `file:stream`; no file has a colon in its name.
fn split_stream(name: &[u16]) -> Option<(&[u16], &[u16])> {
    let colon = name.iter().position(|&unit| unit == u16::from(b':'))?;
    let (file, stream) = name.split_at_checked(colon)?;
    let (_, stream) = stream.split_first()?;
    (!file.is_empty() && !stream.is_empty()).then_some((file, stream))
}

fn is_link(node: &Node) -> bool {
    node.reparse.is_some_and(|header| links::is_link(header.tag))
}

fn kind(node: &Node) -> Kind {
    match node.kind() {
        _ if is_link(node) => Kind::Symlink,
        NodeKind::Directory => Kind::Directory,
        NodeKind::File => Kind::File,
    }
}

impl ImageTree {
    pub(super) fn new(staged: Arc<Staged>, setting: Setting) -> Self {
        Self {
            setting,
            gate: RwLock::default(),
            current: RwLock::new(Current { staged, numbers: Numbers::default() }),
            references: References::default(),
            streams: Streams::default(),
            handles: Mutex::default(),
            orphans: Mutex::default(),
            removed: Mutex::default(),
            changed: Mutex::default(),
            followed: Mutex::default(),
            notifier: OnceLock::new(),
        }
    }

    /// Keeps everybody else from changing anything.
    pub(super) fn alone(&self) -> RwLockWriteGuard<'_, ()> {
        self.gate.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockReadGuard<'_, ()> {
        self.gate.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn current(&self) -> RwLockReadGuard<'_, Current> {
        self.current.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The overlay that is served now.
    pub(super) fn staged(&self) -> Arc<Staged> {
        Arc::clone(&self.current().staged)
    }

    /// Puts another tree with the same names in place of the one that is served. What the kernel knows goes on under its
    /// numbers; files that are open without a name stay in the old tree. The caller holds the gate alone.
    ///
    /// # Errors
    /// When one of the trees cannot be read; then nothing has changed.
    pub(super) fn exchange(&self, staged: Arc<Staged>) -> base::Result<()> {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let old = Arc::clone(&current.staged);
        let mut follow = Follow { old: &old.overlay, new: &staged.overlay, directories: HashMap::new() };
        let mut kept = vec![(Number::ROOT, staged.overlay.root())];
        let mut handles = lock(&self.handles);
        let mut known = self.references.known();
        known.extend(handles.open.values().map(|open| open.number));
        known.sort_unstable();
        known.dedup();
        for number in known {
            if number == Number::ROOT || is_stream(number) {
                continue;
            }
            let Some(id) = current.numbers.node(number) else { continue };
            if let Some(new) = follow.node(id)? {
                kept.push((number, new));
            }
        }
        let numbers = current.numbers.next(kept.iter().copied());
        // Pins first: once the tables are exchanged nothing may fail.
        let mut pinned = Vec::new();
        for (handle, open) in &handles.open {
            if Arc::ptr_eq(&open.staged, &old)
                && let Some(new) = follow.node(open.node)?
            {
                staged.overlay.pin(new)?;
                pinned.push((*handle, new));
            }
        }
        let mut streams = Vec::new();
        self.streams.exchange(|id| match follow.node(id) {
            Ok(new) => new,
            Err(error) => {
                streams.push(error);
                None
            }
        });
        for error in streams {
            tracing::warn!("a stream is not followed: {error}");
        }
        for (handle, new) in pinned {
            if let Some(open) = handles.open.get_mut(&handle) {
                if let Err(error) = old.overlay.unpin(open.node) {
                    tracing::warn!("a file of the old tree stays open: {error}");
                }
                (open.staged, open.node) = (Arc::clone(&staged), new);
            }
        }
        let mut orphans = lock(&self.orphans);
        for open in handles.open.values().filter(|open| Arc::ptr_eq(&open.staged, &old)) {
            if !is_stream(open.number) {
                orphans.insert(open.number, (Arc::clone(&old), open.node));
            }
        }
        drop(orphans);
        *current = Current { staged, numbers };
        Ok(())
    }

    fn place_in(&self, current: &Current, number: Number) -> Result<Place> {
        let staged = Arc::clone(&current.staged);
        if is_stream(number) {
            let (node, stream) = self.streams.find(number).ok_or(Errno::ESTALE)?;
            return Ok(Place { staged, node, stream: Some(stream) });
        }
        if let Some(node) = current.numbers.node(number) {
            return Ok(Place { staged, node, stream: None });
        }
        let orphans = lock(&self.orphans);
        let (staged, node) = orphans.get(&number).ok_or(Errno::ESTALE)?;
        Ok(Place { staged: Arc::clone(staged), node: *node, stream: None })
    }

    /// A directory that still has its place in the tree.
    fn directory(&self, current: &Current, number: Number) -> Result<NodeId> {
        if lock(&self.removed).contains_key(&number) {
            return Err(Errno::ENOENT);
        }
        current.numbers.node(number).ok_or(Errno::ESTALE)
    }

    fn changed(&self, number: Number, node: &Node) -> SystemTime {
        if !self.setting.writable {
            return node.write_time.into();
        }
        lock(&self.changed).get(&number).copied().unwrap_or_else(|| node.write_time.into())
    }

    /// Notes that something about these nodes changed just now.
    fn touch(&self, numbers: &[Number]) {
        let now = SystemTime::now();
        let mut changed = lock(&self.changed);
        for number in numbers {
            changed.insert(*number, now);
        }
    }

    fn attributes(&self, overlay: &Overlay, number: Number, id: NodeId, node: &Node) -> Result<Attributes> {
        let kind = kind(node);
        let links = match kind {
            // How many directories are in it would have to be counted.
            Kind::Directory => 1,
            Kind::File | Kind::Symlink => overlay.links(id).map_err(|error| stale(&error))?.len(),
        };
        let size = match kind {
            Kind::Directory => 0,
            Kind::File => node.data().map_or(0, |data| data.length),
            Kind::Symlink => link_target(overlay, id, node)?.len() as u64,
        };
        Ok(self.described(number, node, kind, size, links))
    }

    fn described(&self, number: Number, node: &Node, kind: Kind, size: u64, links: usize) -> Attributes {
        let read_only = kind == Kind::File && node.attributes.contains(FileAttributes::READONLY);
        Attributes {
            node: number,
            kind,
            mode: match kind {
                Kind::Symlink => 0o777,
                _ if read_only => 0o555,
                _ => 0o755,
            },
            links: u32::try_from(links).unwrap_or(u32::MAX),
            uid: self.setting.uid,
            gid: self.setting.gid,
            size,
            allocated: size.next_multiple_of(512),
            accessed: node.access_time.into(),
            modified: node.write_time.into(),
            changed: self.changed(number, node),
        }
    }

    /// A stream looks like a file of its own.
    fn stream_attributes(&self, number: Number, node: &Node, stream: &[u16]) -> Result<Attributes> {
        let found = node.stream(StreamKind::Data, stream).ok_or(Errno::ESTALE)?;
        Ok(self.described(number, node, Kind::File, found.length, 1))
    }

    fn attributes_of(&self, place: &Place, number: Number) -> Result<Attributes> {
        let node = place.overlay().node(place.node).map_err(|error| stale(&error))?;
        match &place.stream {
            Some(stream) => self.stream_attributes(number, &node, stream),
            None => self.attributes(place.overlay(), number, place.node, &node),
        }
    }

    /// The entry for the kernel, which holds a reference to its node from then on.
    fn entry(&self, current: &Current, found: &DirEntry, asked: &[u16]) -> Result<Entry> {
        let overlay = &current.staged.overlay;
        let number = current.numbers.number(found.node);
        let node = overlay.node(found.node).map_err(|error| failed(&error))?;
        let attributes = self.attributes(overlay, number, found.node, &node)?;
        self.refer(number);
        let spelling = if found.name.units() == asked {
            Spelling::Stored
        } else {
            Spelling::Alias { stored: names::to_host(found.name.units()) }
        };
        Ok(Entry { attributes, spelling })
    }

    fn refer(&self, number: Number) {
        // The tree of a mount that cannot be changed is never exchanged.
        if self.setting.writable || is_stream(number) {
            self.references.add(number);
        }
    }

    /// The entry of `file:stream`, if there is one.
    fn stream_entry(&self, current: &Current, parent: NodeId, name: &[u16]) -> Result<Entry> {
        let (file, stream) = split_stream(name).ok_or(Errno::ENOENT)?;
        let overlay = &current.staged.overlay;
        let found = overlay.lookup(parent, file).map_err(|error| failed(&error))?.ok_or(Errno::ENOENT)?;
        let node = overlay.node(found.node).map_err(|error| failed(&error))?;
        let stored = node.stream(StreamKind::Data, stream).ok_or(Errno::ENOENT)?.name.clone();
        let number = self.streams.number(found.node, stored.units());
        let attributes = self.stream_attributes(number, &node, stored.units())?;
        self.refer(number);
        let full: Vec<u16> = [found.name.units(), &[u16::from(b':')], stored.units()].concat();
        let spelling =
            if full == name { Spelling::Stored } else { Spelling::Alias { stored: names::to_host(&full) } };
        Ok(Entry { attributes, spelling })
    }

    fn open_handle(&self, number: Number, place: &Place) -> Result<Handle> {
        if !self.setting.writable {
            return Ok(Handle(0));
        }
        place.overlay().pin(place.node).map_err(|error| stale(&error))?;
        let mut handles = lock(&self.handles);
        handles.last += 1;
        let handle = handles.last;
        handles.open.insert(handle, Open { number, staged: Arc::clone(&place.staged), node: place.node });
        Ok(Handle(handle))
    }

    fn set_length(&self, place: &Place, length: u64) -> Result<()> {
        place
            .overlay()
            .truncate(place.node, StreamKind::Data, place.stream_name(), length)
            .map_err(|error| stale(&error))
    }

    fn length(&self, place: &Place) -> Result<u64> {
        let node = place.overlay().node(place.node).map_err(|error| stale(&error))?;
        let stream = node.stream(StreamKind::Data, place.stream_name()).ok_or(Errno::EINVAL)?;
        Ok(stream.length)
    }

    fn write_zeros(&self, place: &Place, mut offset: u64, end: u64) -> Result<()> {
        let zeros = vec![0; ZEROS.min(usize::try_from(end.saturating_sub(offset)).unwrap_or(ZEROS))];
        while offset < end {
            let count = usize::try_from(end - offset).unwrap_or(ZEROS).min(ZEROS);
            place
                .overlay()
                .write(
                    place.node,
                    StreamKind::Data,
                    place.stream_name(),
                    offset,
                    zeros.get(..count).unwrap_or_default(),
                )
                .map_err(|error| stale(&error))?;
            offset += count as u64;
        }
        Ok(())
    }

    fn make(&self, current: &Current, parent: Number, name: &OsStr, kind: NodeKind) -> Result<NodeId> {
        let directory = self.directory(current, parent)?;
        let name = WinName::new(units(name)?);
        let overlay = &current.staged.overlay;
        let id = overlay.create(directory, &name, kind).map_err(|error| failed(&error))?;
        self.touch(&[parent, current.numbers.number(id)]);
        Ok(id)
    }

    fn made(&self, current: &Current, id: NodeId) -> Result<Entry> {
        let number = current.numbers.number(id);
        let overlay = &current.staged.overlay;
        let node = overlay.node(id).map_err(|error| failed(&error))?;
        let attributes = self.attributes(overlay, number, id, &node)?;
        self.refer(number);
        Ok(Entry::stored(attributes))
    }

    /// After a directory lost its name: what those who stand in it still see.
    fn note_removed(&self, number: Number, mut attributes: Attributes) {
        attributes.links = 0;
        attributes.changed = SystemTime::now();
        lock(&self.removed).insert(number, attributes);
    }

    fn remove(&self, parent: Number, name: &OsStr) -> Result<()> {
        let _change = self.change();
        let current = self.current();
        let directory = self.directory(&current, parent)?;
        let name = units(name)?;
        let overlay = &current.staged.overlay;
        let Some(found) = overlay.lookup(directory, &name).map_err(|error| failed(&error))? else {
            let (file, stream) = split_stream(&name).ok_or(Errno::ENOENT)?;
            let found =
                overlay.lookup(directory, file).map_err(|error| failed(&error))?.ok_or(Errno::ENOENT)?;
            overlay.remove_stream(found.node, stream).map_err(|error| failed(&error))?;
            self.touch(&[current.numbers.number(found.node)]);
            return Ok(());
        };
        let number = current.numbers.number(found.node);
        let node = overlay.node(found.node).map_err(|error| failed(&error))?;
        let attributes = self.attributes(overlay, number, found.node, &node)?;
        overlay.remove(directory, found.name.units()).map_err(|error| failed(&error))?;
        if attributes.kind == Kind::Directory {
            self.note_removed(number, attributes);
        }
        self.touch(&[parent, number]);
        Ok(())
    }

    /// Whether the target of a link is a directory now: Windows has two kinds of links.
    fn leads_to_directory(overlay: &Overlay, directory: NodeId, data: &[u8]) -> bool {
        let Some(target) = links::target(links::SYMLINK, data, 0, false) else { return false };
        let Some(target) = target.to_str() else { return false };
        // Absolute ones begin at the root; a relative one that climbs is not followed, as depth 0 was said.
        let absolute = data.get(12..14) == Some(&[b'\\', 0]);
        let mut at = if absolute { overlay.root() } else { directory };
        for part in target.split('/').filter(|part| *part != ".") {
            match overlay.lookup(at, &part.encode_utf16().collect::<Vec<_>>()) {
                Ok(Some(entry)) => at = entry.node,
                _ => return false,
            }
        }
        overlay.node(at).is_ok_and(|node| node.has_entries())
    }

    fn exchange_names(
        &self,
        overlay: &Overlay,
        (from, one): (NodeId, &DirEntry),
        (to, other): (NodeId, &DirEntry),
    ) -> base::Result<()> {
        // A name that no file has: spaces behind it would not survive Windows' own programs.
        let parking = WinName::from("transom is exchanging two names  ");
        let savepoint = overlay.savepoint()?;
        let steps = || -> base::Result<()> {
            overlay.rename(from, one.name.units(), overlay.root(), &parking)?;
            overlay.rename(to, other.name.units(), from, &one.name)?;
            overlay.rename(overlay.root(), parking.units(), to, &other.name)?;
            for (directory, name, short_name) in
                [(from, &one.name, &one.short_name), (to, &other.name, &other.short_name)]
            {
                overlay.set_short_name(directory, name.units(), short_name.as_ref())?;
            }
            Ok(())
        };
        match steps() {
            Ok(()) => overlay.commit_savepoint(savepoint),
            Err(error) => {
                overlay.rollback(savepoint)?;
                Err(error)
            }
        }
    }

    fn may_set(&self, caller: &Caller, name: &xattr::Name) -> Result<()> {
        let owner = caller.uid == 0 || caller.uid == self.setting.uid;
        // What is a stream the kernel has checked already.
        if owner || matches!(name, xattr::Name::Stream(_)) { Ok(()) } else { Err(Errno::EPERM) }
    }

    /// The node that an extended attribute belongs to.
    fn attributed(
        &self,
        current: &Current,
        number: Number,
        name: &OsStr,
    ) -> Result<(Place, Node, xattr::Name)> {
        let name = xattr::Name::parse(name).ok_or(Errno::EOPNOTSUPP)?;
        let place = self.place_in(current, number)?;
        if place.stream.is_some() {
            return Err(Errno::ENODATA);
        }
        let node = place.overlay().node(place.node).map_err(|error| stale(&error))?;
        Ok((place, node, name))
    }
}

/// What a link's target is to Linux.
fn link_target(overlay: &Overlay, id: NodeId, node: &Node) -> Result<OsString> {
    let header = node.reparse.ok_or(Errno::EINVAL)?;
    let data = overlay.open(id, StreamKind::Reparse, &[]).map_err(|error| stale(&error))?;
    let data = read_vec(&*data, 0, data.len()).map_err(|error| failed(&error))?;
    let mut depth = 0;
    let mut at = overlay.links(id).map_err(|error| stale(&error))?.first().map(|(parent, _)| *parent);
    while let Some(directory) = at.filter(|directory| *directory != overlay.root()) {
        depth += 1;
        at = overlay.links(directory).map_err(|error| failed(&error))?.first().map(|(parent, _)| *parent);
    }
    links::target(header.tag, &data, depth, header.flags & 1 == 0).ok_or(Errno::EIO)
}

/// Finds the nodes of one tree in another one that has the same names.
struct Follow<'a> {
    old: &'a Overlay,
    new: &'a Overlay,
    directories: HashMap<NodeId, Option<NodeId>>,
}

impl Follow<'_> {
    fn node(&mut self, id: NodeId) -> base::Result<Option<NodeId>> {
        // From the node up to the first directory that is known, then down again.
        let mut way = Vec::new();
        let mut at = id;
        let mut found = loop {
            if at == self.old.root() {
                break Some(self.new.root());
            }
            if let Some(known) = self.directories.get(&at) {
                break *known;
            }
            let link = match self.old.links(at) {
                Ok(links) => links.into_iter().next(),
                Err(error) if error.class() == base::ErrorClass::NotFound => None,
                Err(error) => return Err(error),
            };
            let Some((parent, entry)) = link else { break None };
            way.push((at, entry.name));
            at = parent;
        };
        while let Some((node, name)) = way.pop() {
            if let Some(directory) = found {
                found = self.new.lookup(directory, name.units())?.map(|entry| entry.node);
            }
            if !way.is_empty() {
                self.directories.insert(node, found);
            }
        }
        Ok(found)
    }
}
