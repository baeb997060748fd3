// SPDX-License-Identifier: GPL-3.0-or-later
//! The kernel's requests.

use std::ffi::{OsStr, OsString};
use std::sync::Arc;
use std::time::SystemTime;

use fuse_mount::{
    Attributes, Caller, Changes, DirectoryEntry, DirectorySink, Entry, Errno, Fallocate, FileSystemStatus,
    Handle, Kind, Node as Number, Notifier, OpenMode, RenameMode, Result, SetTime, SetXattr, SyncScope, Tree,
};

use super::super::errno::stale;
use super::super::numbers::is_stream;
use super::super::{links, names, xattr};
use super::{
    Current, ImageTree, NAME_LENGTH, Open, Place, failed, is_link, kind, link_target, lock, split_stream,
    units,
};
use crate::base::{FileAttributes, FileTime, NodeId, NodeKind, ReparseHeader, StreamKind, WinName};
use crate::volume::Volume;

impl Tree for ImageTree {
    fn mounted(&self, notifier: Notifier) {
        // Called once for each mount, and a tree is mounted once.
        let _ = self.notifier.set(notifier);
    }

    fn lookup(&self, parent: Number, name: &OsStr) -> Result<Entry> {
        let current = self.current();
        let directory = self.directory(&current, parent)?;
        let asked = match units(name) {
            Ok(asked) => asked,
            Err(Errno::EILSEQ) => return Err(Errno::ENOENT),
            Err(error) => return Err(error),
        };
        match current.staged.overlay.lookup(directory, &asked).map_err(|error| stale(&error))? {
            Some(found) => self.entry(&current, &found, &asked),
            None => self.stream_entry(&current, directory, &asked),
        }
    }

    fn forget(&self, node: Number, references: u64) {
        if self.references.take(node, references) {
            lock(&self.removed).remove(&node);
            lock(&self.followed).remove(&node);
            if is_stream(node) {
                self.streams.forget(node);
            }
        }
    }

    fn getattr(&self, node: Number) -> Result<Attributes> {
        let current = self.current();
        if let Some(attributes) = lock(&self.removed).get(&node) {
            return Ok(attributes.clone());
        }
        self.attributes_of(&self.place_in(&current, node)?, node)
    }

    fn setattr(
        &self,
        number: Number,
        _handle: Option<Handle>,
        changes: &Changes,
        _caller: &Caller,
    ) -> Result<Attributes> {
        let _change = self.change();
        let current = self.current();
        if let Some(attributes) = lock(&self.removed).get(&number) {
            return Ok(attributes.clone());
        }
        let place = self.place_in(&current, number)?;
        let overlay = place.overlay();
        if let Some(size) = changes.size {
            self.set_length(&place, size)?;
        }
        let node = overlay.node(place.node).map_err(|error| stale(&error))?;
        if let Some(mode) = changes.mode
            && kind(&node) == Kind::File
        {
            let mut attributes = node.attributes;
            attributes.set(FileAttributes::READONLY, mode & 0o200 == 0);
            if attributes != node.attributes {
                overlay.set_attributes(place.node, attributes).map_err(|error| failed(&error))?;
            }
        }
        let time = |time: Option<SetTime>| {
            time.map(|time| match time {
                SetTime::Now => FileTime::from(SystemTime::now()),
                SetTime::At(time) => FileTime::from(time),
            })
        };
        let (accessed, modified) = (time(changes.accessed), time(changes.modified));
        if accessed.or(modified).is_some() {
            overlay.set_times(place.node, None, accessed, modified).map_err(|error| failed(&error))?;
        }
        self.touch(&[number]);
        self.attributes_of(&place, number)
    }

    fn readlink(&self, number: Number) -> Result<OsString> {
        let current = self.current();
        let place = self.place_in(&current, number)?;
        let node = place.overlay().node(place.node).map_err(|error| stale(&error))?;
        if !is_link(&node) {
            return Err(Errno::EINVAL);
        }
        if self.setting.writable {
            lock(&self.followed).insert(number);
        }
        link_target(place.overlay(), place.node, &node)
    }

    fn readdir(&self, directory: Number, from: u64, sink: &mut DirectorySink<'_>) -> Result<()> {
        let current = self.current();
        if lock(&self.removed).contains_key(&directory) {
            return Ok(());
        }
        let id = current.numbers.node(directory).ok_or(Errno::ESTALE)?;
        let overlay = &current.staged.overlay;
        let entries = overlay.entries(id).map_err(|error| stale(&error))?;
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        for (next, entry) in (1..).zip(&entries).skip(from) {
            if !names::can_be_listed(entry.name.units()) {
                continue;
            }
            let node = overlay.node(entry.node).map_err(|error| failed(&error))?;
            let shown = DirectoryEntry {
                node: current.numbers.number(entry.node),
                kind: kind(&node),
                name: &names::to_host(entry.name.units()),
                next,
            };
            if sink(shown).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn parent(&self, directory: Number) -> Number {
        let current = self.current();
        let Some(id) = current.numbers.node(directory) else { return directory };
        match current.staged.overlay.links(id) {
            Ok(links) => links.first().map_or(directory, |(parent, _)| current.numbers.number(*parent)),
            Err(_) => directory,
        }
    }

    fn open(&self, number: Number, mode: OpenMode) -> Result<Handle> {
        let _change = self.change();
        let current = self.current();
        let place = self.place_in(&current, number)?;
        let node = place.overlay().node(place.node).map_err(|error| stale(&error))?;
        if place.stream.is_none() && node.stream(StreamKind::Encrypted, &[]).is_some() {
            // Only its raw form is in the image.
            return Err(Errno::EACCES);
        }
        let handle = self.open_handle(number, &place)?;
        if mode.truncate {
            if let Err(error) = self.set_length(&place, 0) {
                drop(current);
                self.release(number, handle);
                return Err(error);
            }
            self.touch(&[number]);
        }
        Ok(handle)
    }

    fn read(&self, number: Number, _: Handle, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let place = self.place_in(&self.current(), number)?;
        let data = place
            .overlay()
            .open(place.node, StreamKind::Data, place.stream_name())
            .map_err(|error| stale(&error))?;
        let left = usize::try_from(data.len().saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = left.min(buffer.len());
        let wanted = buffer.get_mut(..count).ok_or(Errno::EIO)?;
        data.read_exact_at(wanted, offset).map_err(|error| failed(&error))?;
        Ok(count)
    }

    fn write(&self, number: Number, _: Handle, offset: u64, data: &[u8]) -> Result<usize> {
        let _change = self.change();
        let current = self.current();
        let place = self.place_in(&current, number)?;
        place
            .overlay()
            .write(place.node, StreamKind::Data, place.stream_name(), offset, data)
            .map_err(|error| stale(&error))?;
        self.touch(&[number]);
        Ok(data.len())
    }

    fn release(&self, _: Number, handle: Handle) {
        let open = lock(&self.handles).open.remove(&handle.0);
        let Some(Open { number, staged, node }) = open else { return };
        if let Err(error) = staged.overlay.unpin(node) {
            tracing::warn!("a closed file stays: {error}");
        }
        let still_open = lock(&self.handles).open.values().any(|open| open.number == number);
        if !still_open {
            lock(&self.orphans).remove(&number);
        }
    }

    fn fsync(&self, number: Number, _: Option<Handle>, _: SyncScope) -> Result<()> {
        let current = self.current();
        if !self.setting.writable || lock(&self.removed).contains_key(&number) {
            return Ok(());
        }
        let place = self.place_in(&current, number)?;
        place.overlay().sync_node(place.node).map_err(|error| failed(&error))
    }

    fn create(
        &self,
        parent: Number,
        name: &OsStr,
        mode: u16,
        _open: OpenMode,
        _caller: &Caller,
    ) -> Result<(Entry, Handle)> {
        let _change = self.change();
        let current = self.current();
        let overlay = &current.staged.overlay;
        if let Some((file, stream)) = split_stream(&units(name)?) {
            let directory = self.directory(&current, parent)?;
            let found =
                overlay.lookup(directory, file).map_err(|error| failed(&error))?.ok_or(Errno::ENOENT)?;
            overlay.add_stream(found.node, &WinName::new(stream)).map_err(|error| failed(&error))?;
            let entry = self.stream_entry(&current, directory, &units(name)?)?;
            let number = entry.attributes.node;
            let handle = self.open_handle(number, &self.place_in(&current, number)?)?;
            return Ok((entry, handle));
        }
        let id = self.make(&current, parent, name, NodeKind::File)?;
        if mode & 0o200 == 0 {
            let attributes = overlay.node(id).map_err(|error| failed(&error))?.attributes;
            overlay
                .set_attributes(id, attributes | FileAttributes::READONLY)
                .map_err(|error| failed(&error))?;
        }
        let entry = self.made(&current, id)?;
        let place = Place { staged: Arc::clone(&current.staged), node: id, stream: None };
        let handle = self.open_handle(entry.attributes.node, &place)?;
        Ok((entry, handle))
    }

    fn mkdir(&self, parent: Number, name: &OsStr, _mode: u16, _caller: &Caller) -> Result<Entry> {
        let _change = self.change();
        let current = self.current();
        let id = self.make(&current, parent, name, NodeKind::Directory)?;
        self.made(&current, id)
    }

    fn symlink(&self, parent: Number, name: &OsStr, target: &OsStr, _: &Caller) -> Result<Entry> {
        let data = links::link_data(target, &self.setting.target).ok_or(Errno::EILSEQ)?;
        let _alone = self.alone();
        let current = self.current();
        let overlay = &current.staged.overlay;
        let directory = self.directory(&current, parent)?;
        let kind = match Self::leads_to_directory(overlay, directory, &data) {
            true => NodeKind::Directory,
            false => NodeKind::File,
        };
        let header = ReparseHeader { tag: links::SYMLINK, reserved: 0, flags: 0 };
        let savepoint = overlay.savepoint().map_err(|error| failed(&error))?;
        let made = self.make(&current, parent, name, kind).and_then(|id| {
            overlay.set_reparse(id, Some((header, &data))).map_err(|error| match failed(&error) {
                Errno::EINVAL => Errno::ENAMETOOLONG,
                other => other,
            })?;
            Ok(id)
        });
        match made {
            Ok(id) => {
                overlay.commit_savepoint(savepoint).map_err(|error| failed(&error))?;
                self.made(&current, id)
            }
            Err(error) => {
                overlay.rollback(savepoint).map_err(|error| failed(&error))?;
                Err(error)
            }
        }
    }

    fn link(&self, number: Number, parent: Number, name: &OsStr) -> Result<Entry> {
        let _change = self.change();
        let current = self.current();
        let directory = self.directory(&current, parent)?;
        let place = self.place_in(&current, number)?;
        if place.stream.is_some() {
            return Err(Errno::EPERM);
        }
        let name = WinName::new(units(name)?);
        place.overlay().link(place.node, directory, &name).map_err(|error| match failed(&error) {
            // A reparse point has one name.
            Errno::EOPNOTSUPP | Errno::EISDIR => Errno::EPERM,
            other => other,
        })?;
        self.touch(&[parent, number]);
        self.made(&current, place.node)
    }

    fn unlink(&self, parent: Number, name: &OsStr) -> Result<()> {
        self.remove(parent, name)
    }

    fn rmdir(&self, parent: Number, name: &OsStr) -> Result<()> {
        self.remove(parent, name)
    }

    fn rename(
        &self,
        parent: Number,
        name: &OsStr,
        new_parent: Number,
        new_name: &OsStr,
        mode: RenameMode,
    ) -> Result<()> {
        let (name, new_name) = (units(name)?, units(new_name)?);
        if split_stream(&name).is_some() || split_stream(&new_name).is_some() {
            return Err(Errno::EXDEV);
        }
        let (_alone, _change);
        match mode {
            RenameMode::Exchange => _alone = self.alone(),
            RenameMode::Replace | RenameMode::NoReplace => _change = self.change(),
        }
        let current = self.current();
        let overlay = &current.staged.overlay;
        let from = self.directory(&current, parent)?;
        let to = self.directory(&current, new_parent)?;
        let find = |directory, name: &[u16]| overlay.lookup(directory, name).map_err(|error| failed(&error));
        let moved = find(from, &name)?.ok_or(Errno::ENOENT)?;
        let replaced = find(to, &new_name)?;
        let number = current.numbers.number(moved.node);
        let mut touched = vec![parent, new_parent, number];
        let over = match &replaced {
            Some(entry) => {
                let number = current.numbers.number(entry.node);
                let node = overlay.node(entry.node).map_err(|error| failed(&error))?;
                touched.push(number);
                Some((number, self.attributes(overlay, number, entry.node, &node)?))
            }
            None => None,
        };
        let new = WinName::new(new_name);
        match mode {
            RenameMode::Replace => overlay.rename_over(from, moved.name.units(), to, &new),
            RenameMode::NoReplace => overlay.rename(from, moved.name.units(), to, &new),
            RenameMode::Exchange => {
                let other = replaced.as_ref().ok_or(Errno::ENOENT)?;
                self.exchange_names(overlay, (from, &moved), (to, other))
            }
        }
        .map_err(|error| failed(&error))?;
        if let Some((over, attributes)) = over
            && mode == RenameMode::Replace
            && over != number
            && attributes.kind == Kind::Directory
        {
            self.note_removed(over, attributes);
        }
        self.touch(&touched);
        // Where links below a moved directory lead depends on how deep they lie.
        if from != to
            && let Some(notifier) = self.notifier.get()
        {
            for link in lock(&self.followed).iter() {
                notifier.node(*link);
            }
        }
        Ok(())
    }

    fn fallocate(&self, number: Number, _: Handle, offset: u64, length: u64, mode: Fallocate) -> Result<()> {
        let _change = self.change();
        let current = self.current();
        let place = self.place_in(&current, number)?;
        let present = self.length(&place)?;
        let end = offset.checked_add(length).ok_or(Errno::EFBIG)?;
        match mode {
            Fallocate::Allocate | Fallocate::AllocateKeepSize => {
                // Nothing can be reserved; but what cannot succeed should not seem to.
                let free = self.statfs()?;
                if end.saturating_sub(present) > free.available_blocks * u64::from(free.block_size) {
                    return Err(Errno::ENOSPC);
                }
                if mode == Fallocate::Allocate && end > present {
                    self.set_length(&place, end)?;
                }
            }
            Fallocate::PunchHole | Fallocate::ZeroRangeKeepSize => {
                self.write_zeros(&place, offset, end.min(present))?;
            }
            Fallocate::ZeroRange => {
                self.write_zeros(&place, offset, end.min(present))?;
                if end > present {
                    self.set_length(&place, end)?;
                }
            }
        }
        self.touch(&[number]);
        Ok(())
    }

    fn statfs(&self) -> Result<FileSystemStatus> {
        let staged = self.staged();
        let found = rustix::fs::statvfs(&staged.directory)?;
        let block = if found.f_frsize == 0 { 4096 } else { found.f_frsize };
        Ok(FileSystemStatus {
            block_size: u32::try_from(block).unwrap_or(4096),
            blocks: found.f_blocks,
            free_blocks: found.f_bfree,
            available_blocks: if self.setting.writable { found.f_bavail } else { 0 },
            nodes: found.f_files,
            free_nodes: found.f_ffree,
            name_length: NAME_LENGTH as u32,
        })
    }

    fn getxattr(&self, number: Number, name: &OsStr) -> Result<Vec<u8>> {
        let current = self.current();
        let (place, node, name) = self.attributed(&current, number, name)?;
        let changed = FileTime::from(self.changed(number, &node));
        xattr::get(place.overlay(), place.node, &node, changed, &name)
    }

    fn setxattr(
        &self,
        number: Number,
        name: &OsStr,
        value: &[u8],
        mode: SetXattr,
        caller: &Caller,
    ) -> Result<()> {
        let _change = self.change();
        let current = self.current();
        let (place, node, name) = self.attributed(&current, number, name)?;
        self.may_set(caller, &name)?;
        xattr::set(place.overlay(), place.node, &node, &name, value, mode)?;
        self.after_attribute(&current, number, place.node, &name)
    }

    fn listxattr(&self, number: Number) -> Result<Vec<OsString>> {
        let current = self.current();
        let place = self.place_in(&current, number)?;
        if place.stream.is_some() {
            return Ok(Vec::new());
        }
        Ok(xattr::list(&place.overlay().node(place.node).map_err(|error| stale(&error))?))
    }

    fn removexattr(&self, number: Number, name: &OsStr, caller: &Caller) -> Result<()> {
        let _change = self.change();
        let current = self.current();
        let (place, node, name) = self.attributed(&current, number, name)?;
        self.may_set(caller, &name)?;
        xattr::remove(place.overlay(), place.node, &node, &name)?;
        self.after_attribute(&current, number, place.node, &name)
    }
}

impl ImageTree {
    /// What the kernel must be told after an extended attribute changed.
    fn after_attribute(
        &self,
        current: &Current,
        number: Number,
        id: NodeId,
        name: &xattr::Name,
    ) -> Result<()> {
        self.touch(&[number]);
        let Some(notifier) = self.notifier.get() else { return Ok(()) };
        match name {
            xattr::Name::Reparse => {
                // It may be of another kind now, and then it is another file to the kernel.
                notifier.node(number);
                let links = current.staged.overlay.links(id).map_err(|error| failed(&error))?;
                for (directory, entry) in links {
                    notifier.entry(current.numbers.number(directory), &names::to_host(entry.name.units()));
                }
            }
            xattr::Name::Stream(stream) => {
                notifier.attributes(number);
                notifier.node(self.streams.number(id, stream));
            }
            _ => notifier.attributes(number),
        }
        Ok(())
    }
}
