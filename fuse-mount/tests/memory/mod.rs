// SPDX-License-Identifier: GPL-3.0-or-later
//! A complete read-write tree in memory: what the tests and the example mount.
//!
//! It keeps to POSIX as far as the kernel leaves something to do, keeps sparse files in blocks, and can compare names
//! without case. A name that begins with `panic` makes `lookup` and `create` panic.

#![allow(dead_code)]

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{OnceLock, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::SystemTime;

use fuse_mount::{
    Attributes, Caller, Changes, DirectoryEntry, DirectorySink, Entry, Errno, Fallocate, FileSystemStatus,
    Handle, Kind, Node, Notifier, OpenMode, RenameMode, Result, SetTime, SetXattr, SyncScope, Tree,
};

const BLOCK: u64 = 64 * 1024;
const LARGEST: u64 = 1 << 44;
const SET_GID: u16 = 0o2000;

/// Whether names are compared with case.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Case {
    Sensitive,
    Insensitive,
}

pub(crate) struct Memory {
    case: Case,
    /// Bytes of data that fit, in blocks.
    capacity: u64,
    state: RwLock<State>,
    notifier: OnceLock<Notifier>,
    /// How often each method was called, for tests of what the kernel asks.
    calls: [AtomicU64; 6],
}

/// What is counted.
#[derive(Clone, Copy)]
pub(crate) enum Call {
    Lookup,
    Getattr,
    Read,
    Readdir,
    Open,
    Fsync,
}

struct State {
    nodes: HashMap<Node, Inode>,
    next_node: u64,
    next_place: u64,
    used: u64,
}

struct Inode {
    kind: Kind,
    mode: u16,
    uid: u32,
    gid: u32,
    links: u32,
    accessed: SystemTime,
    modified: SystemTime,
    changed: SystemTime,
    size: u64,
    blocks: BTreeMap<u64, Box<[u8]>>,
    target: OsString,
    /// Of a directory: by folded name.
    children: BTreeMap<OsString, Child>,
    /// Of a directory: folded names by place.
    places: BTreeMap<u64, OsString>,
    parent: Node,
    xattrs: BTreeMap<OsString, Vec<u8>>,
    references: AtomicU64,
    handles: u64,
}

struct Child {
    name: OsString,
    node: Node,
    place: u64,
}

impl Inode {
    fn new(kind: Kind, mode: u16, uid: u32, gid: u32, parent: Node) -> Self {
        let now = SystemTime::now();
        Self {
            kind,
            mode,
            uid,
            gid,
            links: if kind == Kind::Directory { 2 } else { 1 },
            accessed: now,
            modified: now,
            changed: now,
            size: 0,
            blocks: BTreeMap::new(),
            target: OsString::new(),
            children: BTreeMap::new(),
            places: BTreeMap::new(),
            parent,
            xattrs: BTreeMap::new(),
            references: AtomicU64::new(0),
            handles: 0,
        }
    }

    fn attributes(&self, node: Node) -> Attributes {
        Attributes {
            node,
            kind: self.kind,
            mode: self.mode,
            links: self.links,
            uid: self.uid,
            gid: self.gid,
            size: if self.kind == Kind::Symlink { self.target.len() as u64 } else { self.size },
            allocated: self.blocks.len() as u64 * BLOCK,
            accessed: self.accessed,
            modified: self.modified,
            changed: self.changed,
        }
    }

    fn touch(&mut self) {
        self.modified = SystemTime::now();
        self.changed = self.modified;
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> usize {
        let length = self.size.saturating_sub(offset).min(buffer.len() as u64) as usize;
        let mut done = 0;
        while done < length {
            let at = offset + done as u64;
            let (index, within) = (at / BLOCK, (at % BLOCK) as usize);
            let count = (BLOCK as usize - within).min(length - done);
            let part = &mut buffer[done..done + count];
            match self.blocks.get(&index) {
                Some(block) => part.copy_from_slice(&block[within..within + count]),
                None => part.fill(0),
            }
            done += count;
        }
        length
    }

    /// Blocks that a write would add.
    fn missing(&self, offset: u64, length: u64) -> u64 {
        if length == 0 {
            return 0;
        }
        let (first, last) = (offset / BLOCK, (offset + length - 1) / BLOCK);
        (last - first + 1) - self.blocks.range(first..=last).count() as u64
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        let mut done = 0;
        while done < data.len() {
            let at = offset + done as u64;
            let (index, within) = (at / BLOCK, (at % BLOCK) as usize);
            let count = (BLOCK as usize - within).min(data.len() - done);
            let block =
                self.blocks.entry(index).or_insert_with(|| vec![0; BLOCK as usize].into_boxed_slice());
            block[within..within + count].copy_from_slice(&data[done..done + count]);
            done += count;
        }
        self.size = self.size.max(offset + data.len() as u64);
    }

    /// Zeroes a range, dropping the blocks that lie in it wholly. Returns how many were dropped.
    fn zero(&mut self, offset: u64, end: u64) -> u64 {
        let touched: Vec<u64> = if offset < end {
            self.blocks.range(offset / BLOCK..=(end - 1) / BLOCK).map(|(&i, _)| i).collect()
        } else {
            vec![]
        };
        let mut dropped = 0;
        for index in touched {
            let start = index * BLOCK;
            if offset <= start && start + BLOCK <= end {
                self.blocks.remove(&index);
                dropped += 1;
            } else if let Some(block) = self.blocks.get_mut(&index) {
                let from = offset.saturating_sub(start) as usize;
                let to = (end - start).min(BLOCK) as usize;
                block[from..to].fill(0);
            }
        }
        dropped
    }

    fn truncate(&mut self, size: u64) -> u64 {
        let dropped = if size < self.size { self.zero(size, self.size.div_ceil(BLOCK) * BLOCK) } else { 0 };
        self.size = size;
        dropped
    }
}

impl State {
    fn inode(&self, node: Node) -> Result<&Inode> {
        self.nodes.get(&node).ok_or(Errno::ESTALE)
    }

    fn inode_mut(&mut self, node: Node) -> Result<&mut Inode> {
        self.nodes.get_mut(&node).ok_or(Errno::ESTALE)
    }

    fn drop_if_unused(&mut self, node: Node) {
        if let Some(inode) = self.nodes.get(&node)
            && inode.links == 0
            && inode.handles == 0
            && inode.references.load(Ordering::Relaxed) == 0
        {
            self.used -= inode.blocks.len() as u64 * BLOCK;
            self.nodes.remove(&node);
        }
    }

    fn attach(&mut self, parent: Node, key: OsString, name: &OsStr, node: Node) -> Result<()> {
        let place = self.next_place;
        self.next_place += 1;
        let directory = self.inode_mut(parent)?;
        directory.places.insert(place, key.clone());
        directory.children.insert(key, Child { name: name.to_owned(), node, place });
        directory.touch();
        Ok(())
    }

    fn take(&mut self, parent: Node, key: &OsStr) -> Result<Child> {
        let directory = self.inode_mut(parent)?;
        let child = directory.children.remove(key).ok_or(Errno::ENOENT)?;
        directory.places.remove(&child.place);
        directory.touch();
        Ok(child)
    }

    /// A name of a node is gone: its only one if it is a directory.
    fn lose_name(&mut self, parent: Node, node: Node) -> Result<()> {
        let inode = self.inode_mut(node)?;
        inode.changed = SystemTime::now();
        if inode.kind == Kind::Directory {
            inode.links = 0;
            self.inode_mut(parent)?.links -= 1;
        } else {
            inode.links -= 1;
        }
        self.drop_if_unused(node);
        Ok(())
    }
}

impl Memory {
    pub(crate) fn new(case: Case) -> Self {
        Self::with_capacity(case, 4 << 30)
    }

    pub(crate) fn with_capacity(case: Case, capacity: u64) -> Self {
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let root = Inode::new(Kind::Directory, 0o755, uid, gid, Node::ROOT);
        Self {
            case,
            capacity,
            state: RwLock::new(State {
                nodes: HashMap::from([(Node::ROOT, root)]),
                next_node: 2,
                next_place: 1,
                used: 0,
            }),
            notifier: OnceLock::new(),
            calls: Default::default(),
        }
    }

    fn shared(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn exclusive(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn count(&self, call: Call) {
        self.calls[call as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn calls(&self, call: Call) -> u64 {
        self.calls[call as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn notifier(&self) -> &Notifier {
        self.notifier.get().expect("mounted")
    }

    /// Nodes alive, the root included.
    pub(crate) fn node_count(&self) -> usize {
        self.shared().nodes.len()
    }

    fn fold(&self, name: &OsStr) -> OsString {
        match (self.case, name.to_str()) {
            (Case::Insensitive, Some(name)) => name.to_lowercase().into(),
            _ => name.to_owned(),
        }
    }

    fn check_name(name: &OsStr) -> Result<()> {
        if name.len() > 255 { Err(Errno::ENAMETOOLONG) } else { Ok(()) }
    }

    fn refer(inode: &Inode, node: Node) -> Entry {
        inode.references.fetch_add(1, Ordering::Relaxed);
        Entry::stored(inode.attributes(node))
    }

    fn make(
        &self,
        parent: Node,
        name: &OsStr,
        kind: Kind,
        mode: u16,
        caller: &Caller,
    ) -> Result<(Entry, Node)> {
        if name.as_bytes().starts_with(b"panic") {
            panic!("asked to");
        }
        Self::check_name(name)?;
        let key = self.fold(name);
        let mut state = self.exclusive();
        let directory = state.inode(parent)?;
        if directory.kind != Kind::Directory {
            return Err(Errno::ENOTDIR);
        }
        if directory.links == 0 {
            return Err(Errno::ENOENT);
        }
        if directory.children.contains_key(&key) {
            return Err(Errno::EEXIST);
        }
        let inherits = directory.mode & SET_GID != 0;
        let gid = if inherits { directory.gid } else { caller.gid };
        let mode = if inherits && kind == Kind::Directory { mode | SET_GID } else { mode };
        let node = Node(state.next_node);
        state.next_node += 1;
        state.nodes.insert(node, Inode::new(kind, mode, caller.uid, gid, parent));
        if kind == Kind::Directory {
            state.inode_mut(parent)?.links += 1;
        }
        state.attach(parent, key, name, node)?;
        let entry = Self::refer(state.inode(node)?, node);
        Ok((entry, node))
    }

    fn remove(&self, parent: Node, name: &OsStr, directory: bool) -> Result<()> {
        let key = self.fold(name);
        let mut state = self.exclusive();
        let child = state.inode(parent)?.children.get(&key).ok_or(Errno::ENOENT)?.node;
        let inode = state.inode(child)?;
        match (directory, inode.kind == Kind::Directory) {
            (true, false) => return Err(Errno::ENOTDIR),
            (false, true) => return Err(Errno::EISDIR),
            (true, true) if !inode.children.is_empty() => return Err(Errno::ENOTEMPTY),
            _ => {}
        }
        state.take(parent, &key)?;
        state.lose_name(parent, child)
    }

    fn exchange(&self, from: (Node, OsString), to: (Node, OsString), names: [&OsStr; 2]) -> Result<()> {
        let mut state = self.exclusive();
        if !state.inode(to.0)?.children.contains_key(&to.1)
            || !state.inode(from.0)?.children.contains_key(&from.1)
        {
            return Err(Errno::ENOENT);
        }
        let one = state.take(from.0, &from.1)?.node;
        let other = state.take(to.0, &to.1)?.node;
        state.attach(from.0, from.1, names[0], other)?;
        state.attach(to.0, to.1, names[1], one)?;
        for (node, old, new) in [(one, from.0, to.0), (other, to.0, from.0)] {
            let inode = state.inode_mut(node)?;
            inode.changed = SystemTime::now();
            if inode.kind == Kind::Directory {
                inode.parent = new;
                state.inode_mut(old)?.links -= 1;
                state.inode_mut(new)?.links += 1;
            }
        }
        Ok(())
    }

    fn space(&self, state: &State, node: Node, offset: u64, length: u64) -> Result<u64> {
        if offset.checked_add(length).is_none_or(|end| end > LARGEST) {
            return Err(Errno::EFBIG);
        }
        let more = state.inode(node)?.missing(offset, length) * BLOCK;
        if state.used + more > self.capacity { Err(Errno::ENOSPC) } else { Ok(more) }
    }

    // Changes behind the kernel's back, of names in the root.

    pub(crate) fn behind_write(&self, name: &str, data: &[u8]) -> Node {
        let key = self.fold(OsStr::new(name));
        let mut state = self.exclusive();
        let node = state.inode(Node::ROOT).unwrap().children[&key].node;
        let inode = state.inode_mut(node).unwrap();
        let dropped = inode.truncate(0);
        let more = inode.missing(0, data.len() as u64);
        inode.write(0, data);
        inode.touch();
        state.used = state.used + more * BLOCK - dropped * BLOCK;
        node
    }

    pub(crate) fn behind_create(&self, name: &str, data: &[u8]) {
        let caller = Caller { uid: 0, gid: 0, pid: 0 };
        let (entry, _) = self.make(Node::ROOT, OsStr::new(name), Kind::File, 0o644, &caller).unwrap();
        self.forget(entry.attributes.node, 1);
        self.behind_write(name, data);
    }

    pub(crate) fn behind_remove(&self, name: &str) {
        self.remove(Node::ROOT, OsStr::new(name), false).unwrap();
    }
}

impl Tree for Memory {
    fn mounted(&self, notifier: Notifier) {
        self.notifier.set(notifier).expect("mounted once");
    }

    fn lookup(&self, parent: Node, name: &OsStr) -> Result<Entry> {
        self.count(Call::Lookup);
        if name.as_bytes().starts_with(b"panic") {
            panic!("asked to");
        }
        Self::check_name(name)?;
        let state = self.shared();
        let directory = state.inode(parent)?;
        if directory.kind != Kind::Directory {
            return Err(Errno::ENOTDIR);
        }
        let child = directory.children.get(&self.fold(name)).ok_or(Errno::ENOENT)?;
        let entry = Self::refer(state.inode(child.node)?, child.node);
        Ok(if child.name == name { entry } else { Entry::alias(entry.attributes, child.name.clone()) })
    }

    fn forget(&self, node: Node, references: u64) {
        let left = match self.shared().inode(node) {
            Ok(inode) => inode.references.fetch_sub(references, Ordering::Relaxed) - references,
            Err(_) => panic!("{node} is forgotten too often"),
        };
        if left == 0 {
            self.exclusive().drop_if_unused(node);
        }
    }

    fn getattr(&self, node: Node) -> Result<Attributes> {
        self.count(Call::Getattr);
        let state = self.shared();
        let inode = state.inode(node)?;
        if inode.links == 0 && inode.handles == 0 && inode.kind != Kind::Directory {
            return Err(Errno::ESTALE);
        }
        Ok(inode.attributes(node))
    }

    fn setattr(&self, node: Node, _: Option<Handle>, changes: &Changes, _: &Caller) -> Result<Attributes> {
        let mut state = self.exclusive();
        let now = SystemTime::now();
        let time = |time: SetTime| match time {
            SetTime::Now => now,
            SetTime::At(time) => time,
        };
        if changes.size.is_some_and(|size| size > LARGEST) {
            return Err(Errno::EFBIG);
        }
        let inode = state.inode_mut(node)?;
        let mut dropped = 0;
        if let Some(size) = changes.size {
            dropped = inode.truncate(size);
            inode.modified = now;
        }
        inode.mode = changes.mode.unwrap_or(inode.mode);
        inode.uid = changes.uid.unwrap_or(inode.uid);
        inode.gid = changes.gid.unwrap_or(inode.gid);
        inode.accessed = changes.accessed.map_or(inode.accessed, time);
        inode.modified = changes.modified.map_or(inode.modified, time);
        inode.changed = changes.changed.unwrap_or(now);
        let attributes = inode.attributes(node);
        state.used -= dropped * BLOCK;
        Ok(attributes)
    }

    fn readlink(&self, node: Node) -> Result<OsString> {
        Ok(self.shared().inode(node)?.target.clone())
    }

    fn readdir(&self, directory: Node, from: u64, sink: &mut DirectorySink<'_>) -> Result<()> {
        self.count(Call::Readdir);
        let state = self.shared();
        let directory = state.inode(directory)?;
        for (&place, key) in directory.places.range(from..) {
            let child = &directory.children[key];
            let kind = state.inode(child.node)?.kind;
            let entry = DirectoryEntry { node: child.node, kind, name: &child.name, next: place + 1 };
            if sink(entry) == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }

    fn parent(&self, directory: Node) -> Node {
        self.shared().inode(directory).map_or(directory, |inode| inode.parent)
    }

    fn open(&self, node: Node, mode: OpenMode) -> Result<Handle> {
        self.count(Call::Open);
        let mut state = self.exclusive();
        let inode = state.inode_mut(node)?;
        if inode.links == 0 && inode.handles == 0 {
            return Err(Errno::ESTALE);
        }
        inode.handles += 1;
        if mode.truncate {
            let dropped = inode.truncate(0);
            inode.touch();
            state.used -= dropped * BLOCK;
        }
        Ok(Handle(node.0))
    }

    fn read(&self, node: Node, _: Handle, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.count(Call::Read);
        Ok(self.shared().inode(node)?.read(offset, buffer))
    }

    fn write(&self, node: Node, _: Handle, offset: u64, data: &[u8]) -> Result<usize> {
        let mut state = self.exclusive();
        state.used += self.space(&state, node, offset, data.len() as u64)?;
        let inode = state.inode_mut(node)?;
        inode.write(offset, data);
        inode.touch();
        Ok(data.len())
    }

    fn release(&self, node: Node, _: Handle) {
        let mut state = self.exclusive();
        state.inode_mut(node).expect("open").handles -= 1;
        state.drop_if_unused(node);
    }

    fn fsync(&self, node: Node, _: Option<Handle>, _: SyncScope) -> Result<()> {
        self.count(Call::Fsync);
        self.shared().inode(node).map(|_| ())
    }

    fn create(
        &self,
        parent: Node,
        name: &OsStr,
        mode: u16,
        _: OpenMode,
        caller: &Caller,
    ) -> Result<(Entry, Handle)> {
        let (entry, node) = self.make(parent, name, Kind::File, mode, caller)?;
        self.exclusive().inode_mut(node)?.handles += 1;
        Ok((entry, Handle(node.0)))
    }

    fn mkdir(&self, parent: Node, name: &OsStr, mode: u16, caller: &Caller) -> Result<Entry> {
        self.make(parent, name, Kind::Directory, mode, caller).map(|(entry, _)| entry)
    }

    fn symlink(&self, parent: Node, name: &OsStr, target: &OsStr, caller: &Caller) -> Result<Entry> {
        let (_, node) = self.make(parent, name, Kind::Symlink, 0o777, caller)?;
        let mut state = self.exclusive();
        let inode = state.inode_mut(node)?;
        inode.target = target.to_owned();
        Ok(Entry::stored(inode.attributes(node)))
    }

    fn link(&self, node: Node, parent: Node, name: &OsStr) -> Result<Entry> {
        Self::check_name(name)?;
        let key = self.fold(name);
        let mut state = self.exclusive();
        if state.inode(parent)?.children.contains_key(&key) {
            return Err(Errno::EEXIST);
        }
        let inode = state.inode_mut(node)?;
        if inode.kind == Kind::Directory {
            return Err(Errno::EPERM);
        }
        if inode.links == 0 {
            return Err(Errno::ESTALE);
        }
        inode.links += 1;
        inode.changed = SystemTime::now();
        state.attach(parent, key, name, node)?;
        Ok(Self::refer(state.inode(node)?, node))
    }

    fn unlink(&self, parent: Node, name: &OsStr) -> Result<()> {
        self.remove(parent, name, false)
    }

    fn rmdir(&self, parent: Node, name: &OsStr) -> Result<()> {
        self.remove(parent, name, true)
    }

    fn rename(&self, parent: Node, name: &OsStr, to: Node, new_name: &OsStr, mode: RenameMode) -> Result<()> {
        Self::check_name(new_name)?;
        let (key, new_key) = (self.fold(name), self.fold(new_name));
        if mode == RenameMode::Exchange {
            return self.exchange((parent, key), (to, new_key), [name, new_name]);
        }
        let mut state = self.exclusive();
        let node = state.inode(parent)?.children.get(&key).ok_or(Errno::ENOENT)?.node;
        let moves_directory = state.inode(node)?.kind == Kind::Directory;
        let same_entry = parent == to && key == new_key;
        let target = state.inode(to)?;
        if target.links == 0 {
            return Err(Errno::ENOENT);
        }
        let replaced = target.children.get(&new_key).map(|child| child.node).filter(|_| !same_entry);
        if let Some(replaced) = replaced {
            let inode = state.inode(replaced)?;
            match (moves_directory, inode.kind == Kind::Directory) {
                _ if mode == RenameMode::NoReplace => return Err(Errno::EEXIST),
                (true, false) => return Err(Errno::ENOTDIR),
                (false, true) => return Err(Errno::EISDIR),
                (true, true) if !inode.children.is_empty() => return Err(Errno::ENOTEMPTY),
                _ if replaced == node => return Ok(()),
                _ => {}
            }
            state.take(to, &new_key)?;
            state.lose_name(to, replaced)?;
        }
        state.take(parent, &key)?;
        state.attach(to, new_key, new_name, node)?;
        let inode = state.inode_mut(node)?;
        inode.changed = SystemTime::now();
        if moves_directory && parent != to {
            inode.parent = to;
            state.inode_mut(parent)?.links -= 1;
            state.inode_mut(to)?.links += 1;
        }
        Ok(())
    }

    fn fallocate(&self, node: Node, _: Handle, offset: u64, length: u64, mode: Fallocate) -> Result<()> {
        let mut state = self.exclusive();
        let end = offset.checked_add(length).ok_or(Errno::EFBIG)?;
        match mode {
            Fallocate::Allocate | Fallocate::AllocateKeepSize => {
                self.space(&state, node, offset, length)?;
            }
            Fallocate::PunchHole | Fallocate::ZeroRange | Fallocate::ZeroRangeKeepSize => {
                let dropped = state.inode_mut(node)?.zero(offset, end);
                state.used -= dropped * BLOCK;
            }
        }
        let inode = state.inode_mut(node)?;
        if matches!(mode, Fallocate::Allocate | Fallocate::ZeroRange) {
            inode.size = inode.size.max(end);
        }
        inode.touch();
        Ok(())
    }

    fn statfs(&self) -> Result<FileSystemStatus> {
        let state = self.shared();
        let free = (self.capacity - state.used) / 4096;
        Ok(FileSystemStatus {
            block_size: 4096,
            blocks: self.capacity / 4096,
            free_blocks: free,
            available_blocks: free,
            nodes: 1 << 20,
            free_nodes: (1 << 20) - state.nodes.len() as u64,
            name_length: 255,
        })
    }

    fn getxattr(&self, node: Node, name: &OsStr) -> Result<Vec<u8>> {
        self.shared().inode(node)?.xattrs.get(name).cloned().ok_or(Errno::ENODATA)
    }

    fn setxattr(&self, node: Node, name: &OsStr, value: &[u8], mode: SetXattr, _: &Caller) -> Result<()> {
        let mut state = self.exclusive();
        let inode = state.inode_mut(node)?;
        match (mode, inode.xattrs.contains_key(name)) {
            (SetXattr::Create, true) => return Err(Errno::EEXIST),
            (SetXattr::Replace, false) => return Err(Errno::ENODATA),
            _ => {}
        }
        inode.xattrs.insert(name.to_owned(), value.to_owned());
        inode.changed = SystemTime::now();
        Ok(())
    }

    fn listxattr(&self, node: Node) -> Result<Vec<OsString>> {
        Ok(self.shared().inode(node)?.xattrs.keys().cloned().collect())
    }

    fn removexattr(&self, node: Node, name: &OsStr, _: &Caller) -> Result<()> {
        let mut state = self.exclusive();
        let inode = state.inode_mut(node)?;
        inode.xattrs.remove(name).ok_or(Errno::ENODATA)?;
        inode.changed = SystemTime::now();
        Ok(())
    }
}
