// SPDX-License-Identifier: GPL-3.0-or-later
//! The kernel's requests as calls of a [`Tree`], and its answers as replies.

use std::cell::Cell;
use std::ffi::{OsStr, OsString};
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    FileAttr, FileHandle, FopenFlags, Generation, INodeNo, InitFlags, LockOwner, OpenAccMode, OpenFlags,
    ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry,
    ReplyIoctl, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow,
};
use rustix::fs::{FallocateFlags, FileType, OFlags, RenameFlags, XattrFlags};

use crate::aliases::Aliases;
use crate::directories::OpenDirectories;
use crate::errno::{Errno, Result};
use crate::notify::{Notifier, Serving};
use crate::options::{Options, Places};
use crate::tree::{
    Attributes, Caller, Changes, DirectorySink, Entry, Fallocate, Handle, Kind, Node, OpenMode, RenameMode,
    SetTime, SetXattr, Spelling, SyncScope, Tree,
};

/// The largest value of an extended attribute, and the largest list of names, that Linux can carry.
const XATTR_MAX: usize = 64 * 1024;

/// Entries looked up at a time when a directory is listed with attributes: about what fits into one reply.
const PLUS_BATCH: usize = 64;

/// Requests of the kernel's own (read-ahead) that may be under way at once.
const BACKGROUND_REQUESTS: u16 = 64;

thread_local! {
    /// What this thread reads into, kept so that it is neither allocated nor zeroed for each read.
    static READ_BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Serves one tree on one mount.
pub(crate) struct Server<T: Tree> {
    tree: Arc<T>,
    options: Options,
    missing_lifetime: Duration,
    aliases: Aliases,
    directories: OpenDirectories,
    notifier: Notifier,
}

impl<T: Tree> Server<T> {
    pub(crate) fn new(tree: Arc<T>, options: Options, notifier: Notifier) -> Self {
        Self {
            tree,
            missing_lifetime: options.effective_missing_lifetime(),
            options,
            aliases: Aliases::new(),
            directories: OpenDirectories::default(),
            notifier,
        }
    }

    /// Calls the tree. A panic fails this request and nothing else: the mount may hold unsaved work.
    fn ask<R>(&self, operation: &'static str, call: impl FnOnce(&T) -> Result<R>) -> Result<R> {
        catch_unwind(AssertUnwindSafe(|| call(&self.tree))).unwrap_or_else(|panic| {
            let message = panic
                .downcast_ref::<&str>()
                .copied()
                .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
                .unwrap_or("no message");
            tracing::error!(operation, message, "the tree panicked; the request fails with EIO");
            Err(Errno::EIO)
        })
    }

    /// Calls the tree for a change. The kernel refuses them itself on a read-only mount, unless somebody remounted it.
    fn change<R>(&self, operation: &'static str, call: impl FnOnce(&T) -> Result<R>) -> Result<R> {
        if self.options.writable() { self.ask(operation, call) } else { Err(Errno::EROFS) }
    }

    fn attributes(&self, attributes: &Attributes) -> FileAttr {
        let mask = if self.options.set_id_bits { 0o7777 } else { 0o1777 };
        FileAttr {
            ino: INodeNo(attributes.node.0),
            size: attributes.size,
            blocks: attributes.allocated.div_ceil(512),
            atime: attributes.accessed,
            mtime: attributes.modified,
            ctime: attributes.changed,
            crtime: UNIX_EPOCH,
            kind: file_type(attributes.kind),
            perm: attributes.mode & mask,
            nlink: attributes.links,
            uid: attributes.uid,
            gid: attributes.gid,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }

    /// How long the kernel may trust an entry, and its attributes.
    fn lifetimes(&self, parent: Node, name: &OsStr, entry: &Entry) -> (Duration, Duration) {
        let lifetime = self.options.entry_lifetime;
        let attributes = self.attribute_lifetime(&entry.attributes);
        if !self.options.writable() || entry.attributes.kind == Kind::Directory {
            return (lifetime, attributes);
        }
        match &entry.spelling {
            Spelling::Stored if self.aliases.is_contested(parent, name) => (Duration::ZERO, attributes),
            Spelling::Stored => (lifetime, attributes),
            Spelling::Alias { stored } => {
                if self.aliases.contest(parent, stored) {
                    // Until the kernel has dropped the stored name, what it remembers under it must be asked for:
                    // a node that has gone by then answers ESTALE, and the name is looked up again. That is a second
                    // line of defence behind `Notifier::fence`, which needs the kernel to check permissions.
                    self.notifier.entry(parent, stored);
                    (Duration::ZERO, Duration::ZERO)
                } else {
                    (Duration::ZERO, attributes)
                }
            }
        }
    }

    /// How long the kernel may trust attributes: not at all those of a directory behind a fence.
    fn attribute_lifetime(&self, attributes: &Attributes) -> Duration {
        if attributes.kind == Kind::Directory && self.notifier.entries_pending(attributes.node) {
            Duration::ZERO
        } else {
            self.options.attribute_lifetime
        }
    }

    fn reply_entry(&self, parent: INodeNo, name: &OsStr, entry: Result<Entry>, reply: ReplyEntry) {
        match entry {
            Ok(entry) => {
                let (lifetime, attributes) = self.lifetimes(Node(parent.0), name, &entry);
                let attr = self.attributes(&entry.attributes);
                reply.entry_with_ttls(&attributes, &lifetime, &attr, Generation(0));
            }
            Err(error) => reply.error(error.to_fuse()),
        }
    }

    fn reply_attributes(&self, attributes: Result<Attributes>, reply: ReplyAttr) {
        match attributes {
            Ok(attributes) => {
                reply.attr(&self.attribute_lifetime(&attributes), &self.attributes(&attributes));
            }
            Err(error) => reply.error(error.to_fuse()),
        }
    }

    /// After a rename the kernel keeps what it knew of the old name under the new one, lifetime included.
    fn forget_contested(&self, parent: INodeNo, name: &OsStr) {
        let parent = Node(parent.0);
        if !self.aliases.is_contested(parent, name) {
            return;
        }
        if let Ok(entry) = self.ask("lookup", |tree| tree.lookup(parent, name)) {
            if entry.attributes.kind != Kind::Directory {
                self.notifier.entry(parent, name);
            }
            self.forget_node(entry.attributes.node, 1);
        }
    }

    fn forget_node(&self, node: Node, references: u64) {
        // A panic is already reported, and there is nobody to answer to.
        let _ = self.ask("forget", |tree| {
            tree.forget(node, references);
            Ok(())
        });
    }

    fn list(&self, directory: Node, fh: FileHandle, from: u64, sink: &mut DirectorySink<'_>) -> Result<()> {
        self.ask("readdir", |tree| match self.options.places {
            Places::Stable => tree.readdir(directory, from, sink),
            Places::PerListing => {
                self.directories.list(fh.0, from, |all| tree.readdir(directory, 0, all), sink)
            }
        })
    }

    /// The number that `..` shows; it matters so little that a failure to find it is not worth failing for.
    fn parent_of(&self, directory: Node) -> Node {
        self.ask("parent", |tree| Ok(tree.parent(directory))).unwrap_or(directory)
    }

    fn open_mode(&self, flags: OpenFlags) -> OpenMode {
        let access = flags.acc_mode();
        let flags = OFlags::from_bits_retain(flags.0.cast_unsigned());
        let write = access != OpenAccMode::O_RDONLY;
        OpenMode {
            read: access != OpenAccMode::O_WRONLY || self.options.write_back,
            write,
            truncate: flags.contains(OFlags::TRUNC),
            append: flags.contains(OFlags::APPEND),
        }
    }

    fn create_file(
        &self,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        open: OpenMode,
        caller: Caller,
    ) -> Result<(Entry, Handle)> {
        let created =
            self.change("create", |tree| tree.create(Node(parent.0), name, permissions(mode), open, &caller));
        self.notifier.fence(Node(parent.0));
        created
    }
}

fn file_type(kind: Kind) -> fuser::FileType {
    match kind {
        Kind::File => fuser::FileType::RegularFile,
        Kind::Directory => fuser::FileType::Directory,
        Kind::Symlink => fuser::FileType::Symlink,
    }
}

/// Attributes of which only the number and the type mean anything.
fn bare(node: Node, kind: Kind) -> FileAttr {
    FileAttr {
        ino: INodeNo(node.0),
        size: 0,
        blocks: 0,
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind: file_type(kind),
        perm: 0,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

fn permissions(mode: u32) -> u16 {
    // The mask leaves 12 bits.
    (mode & 0o7777) as u16
}

fn caller(request: &Request) -> Caller {
    Caller { uid: request.uid(), gid: request.gid(), pid: request.pid() }
}

/// fuser 0.18 takes the nanoseconds of a time before 1970 as counting backwards; the kernel means them forwards.
fn kernel_time(time: SystemTime) -> SystemTime {
    match UNIX_EPOCH.duration_since(time) {
        Ok(before) => {
            let forwards = Duration::from_nanos(u64::from(before.subsec_nanos()));
            UNIX_EPOCH
                .checked_sub(Duration::from_secs(before.as_secs()))
                .and_then(|second| second.checked_add(forwards))
                .unwrap_or(time)
        }
        Err(_) => time,
    }
}

fn set_time(time: TimeOrNow) -> SetTime {
    match time {
        TimeOrNow::Now => SetTime::Now,
        TimeOrNow::SpecificTime(time) => SetTime::At(kernel_time(time)),
    }
}

fn rename_mode(flags: fuser::RenameFlags) -> Result<RenameMode> {
    let flags = RenameFlags::from_bits_retain(flags.bits());
    if flags == RenameFlags::empty() {
        Ok(RenameMode::Replace)
    } else if flags == RenameFlags::NOREPLACE {
        Ok(RenameMode::NoReplace)
    } else if flags == RenameFlags::EXCHANGE {
        Ok(RenameMode::Exchange)
    } else {
        Err(Errno::EINVAL)
    }
}

fn fallocate_mode(mode: i32) -> Result<Fallocate> {
    let mode = FallocateFlags::from_bits_retain(mode.cast_unsigned());
    let keep = FallocateFlags::KEEP_SIZE;
    if mode == FallocateFlags::empty() {
        Ok(Fallocate::Allocate)
    } else if mode == keep {
        Ok(Fallocate::AllocateKeepSize)
    } else if mode == FallocateFlags::PUNCH_HOLE | keep {
        Ok(Fallocate::PunchHole)
    } else if mode == FallocateFlags::ZERO_RANGE {
        Ok(Fallocate::ZeroRange)
    } else if mode == FallocateFlags::ZERO_RANGE | keep {
        Ok(Fallocate::ZeroRangeKeepSize)
    } else {
        Err(Errno::EOPNOTSUPP)
    }
}

fn set_xattr_mode(flags: i32) -> Result<SetXattr> {
    let flags = XattrFlags::from_bits_retain(flags.cast_unsigned());
    if flags == XattrFlags::empty() {
        Ok(SetXattr::Any)
    } else if flags == XattrFlags::CREATE {
        Ok(SetXattr::Create)
    } else if flags == XattrFlags::REPLACE {
        Ok(SetXattr::Replace)
    } else {
        Err(Errno::EINVAL)
    }
}

/// Attributes of Linux's own that no tree of ours has. `EOPNOTSUPP` is what makes coreutils stop asking for them.
fn foreign_xattr(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name.starts_with(b"security.") || name.starts_with(b"system.posix_acl_")
}

/// Answers for a value or list of names, as getxattr(2) and listxattr(2) want it.
fn reply_xattr(value: Result<Vec<u8>>, size: u32, reply: ReplyXattr) {
    let value = match value {
        Ok(value) if value.len() > XATTR_MAX => Err(Errno::E2BIG),
        Ok(value) if size != 0 && value.len() > size as usize => Err(Errno::ERANGE),
        other => other,
    };
    match value {
        // At most 64 KiB, so the length fits.
        Ok(value) if size == 0 => reply.size(value.len() as u32),
        Ok(value) => reply.data(&value),
        Err(error) => reply.error(error.to_fuse()),
    }
}

fn reply_empty(result: Result<()>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error.to_fuse()),
    }
}

impl<T: Tree> fuser::Filesystem for Server<T> {
    fn init(&mut self, _: &Request, config: &mut fuser::KernelConfig) -> std::io::Result<()> {
        let mut wanted = InitFlags::FUSE_ASYNC_READ
            | InitFlags::FUSE_ASYNC_DIO
            | InitFlags::FUSE_PARALLEL_DIROPS
            | InitFlags::FUSE_CACHE_SYMLINKS
            | InitFlags::FUSE_DO_READDIRPLUS
            | InitFlags::FUSE_READDIRPLUS_AUTO
            | InitFlags::FUSE_ATOMIC_O_TRUNC
            | InitFlags::FUSE_EXPLICIT_INVAL_DATA;
        if self.options.places == Places::Stable {
            wanted |= InitFlags::FUSE_NO_OPENDIR_SUPPORT;
        }
        if self.options.stateless_open && !self.options.writable() {
            wanted |= InitFlags::FUSE_NO_OPEN_SUPPORT;
        }
        if !self.options.set_id_bits {
            wanted |= InitFlags::FUSE_HANDLE_KILLPRIV_V2;
        }
        if self.options.write_back && self.options.writable() {
            wanted |= InitFlags::FUSE_WRITEBACK_CACHE;
        }
        let offered = wanted & config.capabilities();
        if let Err(refused) = config.add_capabilities(offered) {
            tracing::debug!(?refused, "capabilities the kernel does not have");
        }
        if !offered.contains(InitFlags::FUSE_NO_OPENDIR_SUPPORT) && self.options.places == Places::Stable {
            tracing::debug!("the kernel cannot do without opening directories");
        }
        // A number out of bounds comes back as the nearest one that is not.
        if let Err(nearest) = config.set_max_write(self.options.transfer_size.max(4096)) {
            let _ = config.set_max_write(nearest);
        }
        // Fails for 0 only.
        let _ = config.set_max_background(BACKGROUND_REQUESTS);
        Ok(())
    }

    fn destroy(&mut self) {
        // A panic is already reported, and the mount has ended anyway.
        let _ = self.ask("unmounted", |tree| {
            tree.unmounted();
            Ok(())
        });
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let _serving = Serving::begin();
        let entry = self.ask("lookup", |tree| tree.lookup(Node(parent.0), name));
        if entry == Err(Errno::ENOENT) && !self.missing_lifetime.is_zero() {
            // Number 0 says that there is nothing, and for how long that may be believed.
            let nothing = bare(Node(0), Kind::File);
            reply.entry_with_ttls(&Duration::ZERO, &self.missing_lifetime, &nothing, Generation(0));
            return;
        }
        self.reply_entry(parent, name, entry, reply);
    }

    fn forget(&self, _: &Request, node: INodeNo, references: u64) {
        let _serving = Serving::begin();
        self.forget_node(Node(node.0), references);
    }

    fn getattr(&self, _: &Request, node: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        let _serving = Serving::begin();
        let attributes = self.ask("getattr", |tree| tree.getattr(Node(node.0)));
        if attributes.as_ref().is_ok_and(|attributes| attributes.kind == Kind::Directory)
            && !self.notifier.settled(Node(node.0))
        {
            tracing::trace!(node = node.0, "entries out of date are still on their way");
        }
        self.reply_attributes(attributes, reply);
    }

    fn setattr(
        &self,
        request: &Request,
        node: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        accessed: Option<TimeOrNow>,
        modified: Option<TimeOrNow>,
        changed: Option<SystemTime>,
        handle: Option<FileHandle>,
        _created: Option<SystemTime>,
        _change_time: Option<SystemTime>,
        _backup_time: Option<SystemTime>,
        _flags: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let _serving = Serving::begin();
        let changes = Changes {
            mode: mode.map(permissions),
            uid,
            gid,
            size,
            accessed: accessed.map(set_time),
            modified: modified.map(set_time),
            changed: changed.map(kernel_time),
        };
        let handle = handle.map(|handle| Handle(handle.0));
        let attributes =
            self.change("setattr", |tree| tree.setattr(Node(node.0), handle, &changes, &caller(request)));
        self.reply_attributes(attributes, reply);
    }

    fn readlink(&self, _: &Request, node: INodeNo, reply: ReplyData) {
        let _serving = Serving::begin();
        match self.ask("readlink", |tree| tree.readlink(Node(node.0))) {
            Ok(target) => reply.data(target.as_bytes()),
            Err(error) => reply.error(error.to_fuse()),
        }
    }

    fn mknod(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        _device: u32,
        reply: ReplyEntry,
    ) {
        let _serving = Serving::begin();
        if FileType::from_raw_mode(mode) != FileType::RegularFile {
            reply.error(Errno::EPERM.to_fuse());
            return;
        }
        let open = OpenMode { read: false, write: true, truncate: false, append: false };
        let entry =
            self.create_file(parent, name, mode, open, caller(request)).and_then(|(entry, handle)| {
                self.ask("release", |tree| {
                    tree.release(entry.attributes.node, handle);
                    Ok(())
                })?;
                Ok(entry)
            });
        self.reply_entry(parent, name, entry, reply);
    }

    fn mkdir(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        let _serving = Serving::begin();
        let entry = self
            .change("mkdir", |tree| tree.mkdir(Node(parent.0), name, permissions(mode), &caller(request)));
        self.notifier.fence(Node(parent.0));
        self.reply_entry(parent, name, entry, reply);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let _serving = Serving::begin();
        let unlinked = self.change("unlink", |tree| tree.unlink(Node(parent.0), name));
        self.notifier.fence(Node(parent.0));
        reply_empty(unlinked, reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let _serving = Serving::begin();
        let removed = self.change("rmdir", |tree| tree.rmdir(Node(parent.0), name));
        self.notifier.fence(Node(parent.0));
        reply_empty(removed, reply);
    }

    fn symlink(&self, request: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        let _serving = Serving::begin();
        let entry = self.change("symlink", |tree| {
            tree.symlink(Node(parent.0), name, target.as_os_str(), &caller(request))
        });
        self.notifier.fence(Node(parent.0));
        self.reply_entry(parent, name, entry, reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: fuser::RenameFlags,
        reply: ReplyEmpty,
    ) {
        let _serving = Serving::begin();
        let renamed = rename_mode(flags).and_then(|mode| {
            self.change("rename", |tree| {
                tree.rename(Node(parent.0), name, Node(new_parent.0), new_name, mode)
            })?;
            Ok(mode)
        });
        if let Ok(mode) = renamed {
            self.forget_contested(new_parent, new_name);
            if mode == RenameMode::Exchange {
                self.forget_contested(parent, name);
            }
        }
        self.notifier.fence(Node(parent.0));
        self.notifier.fence(Node(new_parent.0));
        reply_empty(renamed.map(|_| ()), reply);
    }

    fn link(&self, _: &Request, node: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let _serving = Serving::begin();
        let entry = self.change("link", |tree| tree.link(Node(node.0), Node(parent.0), name));
        self.notifier.fence(Node(parent.0));
        self.reply_entry(parent, name, entry, reply);
    }

    fn open(&self, _: &Request, node: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let _serving = Serving::begin();
        let mode = self.open_mode(flags);
        if !self.options.writable() {
            if self.options.stateless_open {
                // The kernel opens files by itself from now on.
                reply.error(Errno::ENOSYS.to_fuse());
                return;
            }
            if mode.write {
                reply.error(Errno::EROFS.to_fuse());
                return;
            }
        }
        match self.ask("open", |tree| tree.open(Node(node.0), mode)) {
            Ok(handle) => reply.opened(FileHandle(handle.0), FopenFlags::FOPEN_KEEP_CACHE),
            Err(error) => reply.error(error.to_fuse()),
        }
    }

    fn read(
        &self,
        _: &Request,
        node: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let _serving = Serving::begin();
        let size = size as usize;
        let mut buffer = READ_BUFFER.take();
        if buffer.len() < size {
            buffer.resize(size, 0);
        }
        let read = self.ask("read", |tree| {
            let wanted = buffer.get_mut(..size).ok_or(Errno::EIO)?;
            tree.read(Node(node.0), Handle(handle.0), offset, wanted)
        });
        match read.map(|length| buffer.get(..length.min(size)).unwrap_or_default()) {
            Ok(data) => reply.data(data),
            Err(error) => reply.error(error.to_fuse()),
        }
        READ_BUFFER.set(buffer);
    }

    fn write(
        &self,
        _: &Request,
        node: INodeNo,
        handle: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: fuser::WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let _serving = Serving::begin();
        let written = self.change("write", |tree| tree.write(Node(node.0), Handle(handle.0), offset, data));
        match written {
            // No more than the data's length, which came as 32 bits.
            Ok(length) => reply.written(length.min(data.len()) as u32),
            Err(error) => reply.error(error.to_fuse()),
        }
    }

    /// Called when a descriptor is closed. Writes have been answered already, so the kernel is told never to ask.
    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS.to_fuse());
    }

    fn release(
        &self,
        _: &Request,
        node: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        let _serving = Serving::begin();
        let released = self.ask("release", |tree| {
            tree.release(Node(node.0), Handle(handle.0));
            Ok(())
        });
        reply_empty(released, reply);
    }

    fn fsync(&self, _: &Request, node: INodeNo, handle: FileHandle, data_only: bool, reply: ReplyEmpty) {
        let _serving = Serving::begin();
        let scope = if data_only { SyncScope::Data } else { SyncScope::Everything };
        reply_empty(self.ask("fsync", |tree| tree.fsync(Node(node.0), Some(Handle(handle.0)), scope)), reply);
    }

    fn opendir(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.options.places {
            Places::Stable => reply.error(Errno::ENOSYS.to_fuse()),
            Places::PerListing => reply.opened(FileHandle(self.directories.open()), FopenFlags::empty()),
        }
    }

    // Places as the kernel sees them: 0 before `.`, 1 before `..`, then the tree's, two further on.

    fn readdir(&self, _: &Request, node: INodeNo, fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let _serving = Serving::begin();
        let directory = Node(node.0);
        if offset == 0 && reply.add(node, 1, fuser::FileType::Directory, ".") {
            return reply.ok();
        }
        if offset <= 1 {
            let parent = INodeNo(self.parent_of(directory).0);
            if reply.add(parent, 2, fuser::FileType::Directory, "..") {
                return reply.ok();
            }
        }
        let listed = self.list(directory, fh, offset.saturating_sub(2), &mut |entry| {
            let next = entry.next.saturating_add(2);
            if reply.add(INodeNo(entry.node.0), next, file_type(entry.kind), entry.name) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        match listed {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(error.to_fuse()),
        }
    }

    fn readdirplus(
        &self,
        _: &Request,
        node: INodeNo,
        fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let _serving = Serving::begin();
        let directory = Node(node.0);
        let mut add = |node, next, name: &OsStr, lifetime: Duration, attr: &FileAttr| {
            reply.add(node, next, name, &lifetime, attr, Generation(0))
        };
        let dots =
            [(".", directory), ("..", if offset <= 1 { self.parent_of(directory) } else { directory })];
        for (place, (name, node)) in (1..).zip(dots) {
            if offset < place
                && add(INodeNo(node.0), place, OsStr::new(name), Duration::ZERO, &bare(node, Kind::Directory))
            {
                return reply.ok();
            }
        }
        let mut from = offset.saturating_sub(2);
        let mut added = false;
        let mut batch: Vec<(OsString, u64)> = Vec::with_capacity(PLUS_BATCH);
        let failed = 'listing: loop {
            batch.clear();
            let listed = self.list(directory, fh, from, &mut |entry| {
                batch.push((entry.name.to_owned(), entry.next));
                if batch.len() == PLUS_BATCH { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            if let Err(error) = listed {
                break Some(error);
            }
            let complete = batch.len() < PLUS_BATCH;
            for (name, next) in batch.drain(..) {
                match self.ask("lookup", |tree| tree.lookup(directory, &name)) {
                    Ok(entry) => {
                        let (lifetime, attributes) = self.lifetimes(directory, &name, &entry);
                        let attr = self.attributes(&entry.attributes);
                        // fuser takes one lifetime for both.
                        let lifetime = lifetime.min(attributes);
                        if add(attr.ino, next.saturating_add(2), &name, lifetime, &attr) {
                            self.forget_node(entry.attributes.node, 1);
                            break 'listing None;
                        }
                        added = true;
                    }
                    // Removed since it was listed.
                    Err(Errno::ENOENT | Errno::ESTALE) => {}
                    Err(error) => break 'listing Some(error),
                }
                from = next;
            }
            if complete {
                break None;
            }
        };
        match failed {
            // What was found before is given first; the failure comes back when the kernel asks for more.
            Some(error) if !added => reply.error(error.to_fuse()),
            _ => reply.ok(),
        }
    }

    fn releasedir(&self, _: &Request, _: INodeNo, fh: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.directories.close(fh.0);
        reply.ok();
    }

    fn fsyncdir(&self, _: &Request, node: INodeNo, _: FileHandle, data_only: bool, reply: ReplyEmpty) {
        let _serving = Serving::begin();
        let scope = if data_only { SyncScope::Data } else { SyncScope::Everything };
        reply_empty(self.ask("fsync", |tree| tree.fsync(Node(node.0), None, scope)), reply);
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let _serving = Serving::begin();
        match self.ask("statfs", |tree| tree.statfs()) {
            Ok(status) => reply.statfs(
                status.blocks,
                status.free_blocks,
                status.available_blocks,
                status.nodes,
                status.free_nodes,
                status.block_size,
                status.name_length,
                status.block_size,
            ),
            Err(error) => reply.error(error.to_fuse()),
        }
    }

    fn setxattr(
        &self,
        request: &Request,
        node: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        let _serving = Serving::begin();
        let set = if foreign_xattr(name) {
            Err(Errno::EOPNOTSUPP)
        } else {
            set_xattr_mode(flags).and_then(|mode| {
                self.change("setxattr", |tree| {
                    tree.setxattr(Node(node.0), name, value, mode, &caller(request))
                })
            })
        };
        reply_empty(set, reply);
    }

    fn getxattr(&self, _: &Request, node: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let _serving = Serving::begin();
        let value = if foreign_xattr(name) {
            Err(Errno::EOPNOTSUPP)
        } else {
            self.ask("getxattr", |tree| tree.getxattr(Node(node.0), name))
        };
        reply_xattr(value, size, reply);
    }

    fn listxattr(&self, _: &Request, node: INodeNo, size: u32, reply: ReplyXattr) {
        let _serving = Serving::begin();
        let names = self.ask("listxattr", |tree| tree.listxattr(Node(node.0)));
        let list = names.map(|names| {
            let mut list = Vec::new();
            for name in names.iter().filter(|name| !foreign_xattr(name)) {
                list.extend_from_slice(name.as_bytes());
                list.push(0);
            }
            list
        });
        reply_xattr(list, size, reply);
    }

    fn removexattr(&self, request: &Request, node: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let _serving = Serving::begin();
        let removed = if foreign_xattr(name) {
            Err(Errno::EOPNOTSUPP)
        } else {
            self.change("removexattr", |tree| tree.removexattr(Node(node.0), name, &caller(request)))
        };
        reply_empty(removed, reply);
    }

    /// Asked only where the kernel does not check permissions: then everything is allowed, and it need not ask.
    fn access(&self, _: &Request, _: INodeNo, _: fuser::AccessFlags, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS.to_fuse());
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let _serving = Serving::begin();
        let open = self.open_mode(OpenFlags(flags));
        match self.create_file(parent, name, mode, open, caller(request)) {
            Ok((entry, handle)) => {
                let (lifetime, attributes) = self.lifetimes(Node(parent.0), name, &entry);
                // fuser takes one lifetime for both.
                reply.created(
                    &lifetime.min(attributes),
                    &self.attributes(&entry.attributes),
                    Generation(0),
                    FileHandle(handle.0),
                    FopenFlags::FOPEN_KEEP_CACHE,
                );
            }
            Err(error) => reply.error(error.to_fuse()),
        }
    }

    fn ioctl(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: fuser::IoctlFlags,
        _: u32,
        _: &[u8],
        _: u32,
        reply: ReplyIoctl,
    ) {
        reply.error(Errno::ENOSYS.to_fuse());
    }

    fn fallocate(
        &self,
        _: &Request,
        node: INodeNo,
        handle: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let _serving = Serving::begin();
        let done = fallocate_mode(mode).and_then(|mode| {
            self.change("fallocate", |tree| {
                tree.fallocate(Node(node.0), Handle(handle.0), offset, length, mode)
            })
        });
        reply_empty(done, reply);
    }

    // The default of these logs a warning each time before it answers ENOSYS, with which the kernel does them itself.

    fn lseek(&self, _: &Request, _: INodeNo, _: FileHandle, _: i64, _: i32, reply: fuser::ReplyLseek) {
        reply.error(Errno::ENOSYS.to_fuse());
    }

    fn copy_file_range(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        _: u64,
        _: fuser::CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        reply.error(Errno::ENOSYS.to_fuse());
    }

    fn bmap(&self, _: &Request, _: INodeNo, _: u32, _: u64, reply: fuser::ReplyBmap) {
        reply.error(Errno::ENOSYS.to_fuse());
    }

    fn poll(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: fuser::PollNotifier,
        _: fuser::PollEvents,
        _: fuser::PollFlags,
        reply: fuser::ReplyPoll,
    ) {
        reply.error(Errno::ENOSYS.to_fuse());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970() {
        // -1.25 s is second -2 and 750,000,000 ns forwards; fuser hands out 2.75 s before.
        let from_fuser = UNIX_EPOCH - Duration::new(2, 750_000_000);
        assert_eq!(kernel_time(from_fuser), UNIX_EPOCH - Duration::new(1, 250_000_000));
        for same in [UNIX_EPOCH, UNIX_EPOCH - Duration::new(7, 0), UNIX_EPOCH + Duration::new(7, 1)] {
            assert_eq!(kernel_time(same), same);
        }
    }

    #[test]
    fn flags() {
        assert_eq!(
            [0, 1, 2, 3, 4].map(|bits| rename_mode(fuser::RenameFlags::from_bits_retain(bits))),
            [
                Ok(RenameMode::Replace),
                Ok(RenameMode::NoReplace),
                Ok(RenameMode::Exchange),
                Err(Errno::EINVAL),
                Err(Errno::EINVAL)
            ]
        );
        assert_eq!(
            [0, 1, 3, 0x10, 0x11, 8, 0x20].map(fallocate_mode),
            [
                Ok(Fallocate::Allocate),
                Ok(Fallocate::AllocateKeepSize),
                Ok(Fallocate::PunchHole),
                Ok(Fallocate::ZeroRange),
                Ok(Fallocate::ZeroRangeKeepSize),
                Err(Errno::EOPNOTSUPP),
                Err(Errno::EOPNOTSUPP)
            ]
        );
        assert_eq!(
            [0, 1, 2, 3].map(set_xattr_mode),
            [Ok(SetXattr::Any), Ok(SetXattr::Create), Ok(SetXattr::Replace), Err(Errno::EINVAL)]
        );
    }

    #[test]
    fn foreign_attributes() {
        for (name, expected) in [
            ("security.capability", true),
            ("system.posix_acl_access", true),
            ("system.posix_acl_default", true),
            ("system.ntfs_acl", false),
            ("user.security.x", false),
        ] {
            assert_eq!(foreign_xattr(OsStr::new(name)), expected, "{name}");
        }
    }
}
