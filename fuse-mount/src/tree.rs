// SPDX-License-Identifier: GPL-3.0-or-later
//! What a file system has to be for this crate to serve it: the trait [`Tree`] and the types it speaks.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::ops::ControlFlow;
use std::time::SystemTime;

use crate::errno::{Errno, Result};
use crate::notify::Notifier;

/// A file, directory or symbolic link of the tree. The number is also what `stat` shows as the inode number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node(pub u64);

impl Node {
    /// The directory that is mounted.
    pub const ROOT: Node = Node(1);
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// An open file: whatever the tree returned from `open` or `create`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(pub u64);

/// What a node is. Nothing else can be in a tree: device nodes, pipes and sockets are refused with `EPERM`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
}

/// What `stat` shows of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// The node.
    pub node: Node,
    /// What it is.
    pub kind: Kind,
    /// Permission bits, `0o7777` at most.
    pub mode: u16,
    /// Names the node has; for a directory two more than its subdirectories, or 1 if that is not known.
    pub links: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Size in bytes; of a symbolic link the length of its target.
    pub size: u64,
    /// Bytes that the node takes in storage.
    pub allocated: u64,
    /// Last access.
    pub accessed: SystemTime,
    /// Last change of the data.
    pub modified: SystemTime,
    /// Last change of anything.
    pub changed: SystemTime,
}

/// A name resolved to a node.
///
/// Each one that a tree returns, and each that is passed on from [`Tree::lookup`] while a directory is read, is one
/// reference of the kernel to the node, until [`Tree::forget`] gives it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The node behind the name.
    pub attributes: Attributes,
    /// Whether the name is spelt as the tree keeps it.
    pub spelling: Spelling,
}

impl Entry {
    /// An entry whose name is spelt as the tree keeps it.
    pub fn stored(attributes: Attributes) -> Self {
        Self { attributes, spelling: Spelling::Stored }
    }

    /// An entry found under another spelling than the one asked for.
    pub fn alias(attributes: Attributes, stored: impl Into<OsString>) -> Self {
        Self { attributes, spelling: Spelling::Alias { stored: stored.into() } }
    }
}

/// How the name that was looked up relates to the name that the tree keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// Exactly that name.
    Stored,
    /// The tree found it although it is spelt otherwise (in another case, as a short name).
    Alias {
        /// The name as the directory lists it.
        stored: OsString,
    },
}

/// An entry while a directory is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectoryEntry<'a> {
    /// The node behind the name.
    pub node: Node,
    /// What it is.
    pub kind: Kind,
    /// The name.
    pub name: &'a OsStr,
    /// Where [`Tree::readdir`] goes on after this entry.
    pub next: u64,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Effective user of the process.
    pub uid: u32,
    /// Effective group of the process.
    pub gid: u32,
    /// Its thread; 0 if the kernel asks on its own behalf.
    pub pid: u32,
}

/// A time to be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetTime {
    /// The time at which the tree carries the change out.
    Now,
    /// This time.
    At(SystemTime),
}

/// A change of attributes; what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Permission bits.
    pub mode: Option<u16>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Truncate or extend to this size.
    pub size: Option<u64>,
    /// Time of last access.
    pub accessed: Option<SetTime>,
    /// Time of last change of the data.
    pub modified: Option<SetTime>,
    /// Time of last change of anything: only with the write-back cache, where the kernel keeps it.
    pub changed: Option<SystemTime>,
}

/// For what a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenMode {
    /// Data will be read.
    pub read: bool,
    /// Data will be written. With the write-back cache a file opened for writing may be read as well.
    pub write: bool,
    /// The file is to be emptied (`O_TRUNC`) as part of opening it.
    pub truncate: bool,
    /// Writes go to the end (`O_APPEND`). The offsets of the writes say so already; this is for information.
    pub append: bool,
}

/// What a rename does with something of the new name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RenameMode {
    /// It is replaced, as rename(2) says.
    Replace,
    /// The rename fails with `EEXIST`.
    NoReplace,
    /// The two change places; both must exist.
    Exchange,
}

/// Whether an extended attribute may or must exist before it is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SetXattr {
    /// It may.
    Any,
    /// It must not, else `EEXIST`.
    Create,
    /// It must, else `ENODATA`.
    Replace,
}

/// What fallocate(2) is to do with a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fallocate {
    /// Reserve space; a file that ends before the end of the range grows.
    Allocate,
    /// Reserve space; the size stays.
    AllocateKeepSize,
    /// Give the space back; the range reads as zeros; the size stays.
    PunchHole,
    /// The range reads as zeros; a file that ends before the end of the range grows.
    ZeroRange,
    /// The range reads as zeros; the size stays.
    ZeroRangeKeepSize,
}

/// How much must be in storage when fsync returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SyncScope {
    /// The data and what is needed to read it.
    Data,
    /// Everything about the node.
    Everything,
}

/// What statfs(2) shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSystemStatus {
    /// Size of a block in bytes, not 0.
    pub block_size: u32,
    /// Blocks in all.
    pub blocks: u64,
    /// Free blocks.
    pub free_blocks: u64,
    /// Free blocks for those who are not root.
    pub available_blocks: u64,
    /// Nodes in all.
    pub nodes: u64,
    /// Nodes that could still be made.
    pub free_nodes: u64,
    /// Longest name in bytes.
    pub name_length: u32,
}

/// Takes the entries of a directory, one after another; after `Break` no more are wanted.
pub type DirectorySink<'a> = dyn FnMut(DirectoryEntry<'_>) -> ControlFlow<()> + 'a;

/// A file system, seen as nodes and names. Methods are called from several threads at once.
///
/// The methods are the kernel's questions, under the kernel's names for them; the [crate documentation](crate) says
/// what an implementation must guarantee. Every method that changes something has a default that answers `EROFS`, so
/// a read-only tree implements seven: `lookup`, `getattr`, `readdir`, `read`, `statfs`, and if it has them
/// `readlink` and `getxattr`/`listxattr`.
#[allow(unused_variables)]
pub trait Tree: Send + Sync + 'static {
    /// The tree has been mounted; no other method has been called yet. The notifier serves to tell the kernel of
    /// changes that did not come through the kernel.
    fn mounted(&self, notifier: Notifier) {}

    /// The mount has ended; no other method will be called.
    fn unmounted(&self) {}

    /// Resolves a name in a directory.
    fn lookup(&self, parent: Node, name: &OsStr) -> Result<Entry>;

    /// The kernel gives back `references` of those that entries gave it. A node that has no name any more may be
    /// dropped once all are given back and no handle is open. At the end of a mount not all are given back.
    fn forget(&self, node: Node, references: u64) {}

    /// The attributes of a node. `ESTALE` for a node that is gone.
    fn getattr(&self, node: Node) -> Result<Attributes>;

    /// Changes attributes, size included; returns all of them as they are then. `handle` is that of the open file
    /// if the change was asked through one.
    fn setattr(
        &self,
        node: Node,
        handle: Option<Handle>,
        changes: &Changes,
        caller: &Caller,
    ) -> Result<Attributes> {
        Err(Errno::EROFS)
    }

    /// The target of a symbolic link.
    fn readlink(&self, node: Node) -> Result<OsString> {
        Err(Errno::EINVAL)
    }

    /// Lists a directory from the place `from` on: 0 is the beginning, every other place is one that an entry gave as
    /// its `next`. `.` and `..` are not listed. The sink may be called while locks are held: it calls no tree method.
    fn readdir(&self, directory: Node, from: u64, sink: &mut DirectorySink<'_>) -> Result<()>;

    /// The directory that holds a directory, for the number that `..` shows; the root's is the root.
    fn parent(&self, directory: Node) -> Node {
        directory
    }

    /// Opens a file. Not called if [`Options::stateless_open`](crate::Options::stateless_open) is set.
    fn open(&self, node: Node, mode: OpenMode) -> Result<Handle> {
        if mode.write { Err(Errno::EROFS) } else { Ok(Handle(0)) }
    }

    /// Fills the buffer from the offset on and returns how much was filled: less than the buffer only at the end of
    /// the file.
    fn read(&self, node: Node, handle: Handle, offset: u64, buffer: &mut [u8]) -> Result<usize>;

    /// Writes all of the data at the offset, extending the file as needed, and returns how much was written: less
    /// only if what remained failed.
    fn write(&self, node: Node, handle: Handle, offset: u64, data: &[u8]) -> Result<usize> {
        Err(Errno::EROFS)
    }

    /// The last descriptor and mapping of an open file is gone. Called once for each success of `open` and `create`.
    fn release(&self, node: Node, handle: Handle) {}

    /// Puts a file or directory into storage. `handle` is `None` for a directory.
    fn fsync(&self, node: Node, handle: Option<Handle>, scope: SyncScope) -> Result<()> {
        Ok(())
    }

    /// Makes a file, which must not exist, and opens it.
    fn create(
        &self,
        parent: Node,
        name: &OsStr,
        mode: u16,
        open: OpenMode,
        caller: &Caller,
    ) -> Result<(Entry, Handle)> {
        Err(Errno::EROFS)
    }

    /// Makes a directory.
    fn mkdir(&self, parent: Node, name: &OsStr, mode: u16, caller: &Caller) -> Result<Entry> {
        Err(Errno::EROFS)
    }

    /// Makes a symbolic link.
    fn symlink(&self, parent: Node, name: &OsStr, target: &OsStr, caller: &Caller) -> Result<Entry> {
        Err(Errno::EROFS)
    }

    /// Gives a node one more name.
    fn link(&self, node: Node, parent: Node, name: &OsStr) -> Result<Entry> {
        Err(Errno::EROFS)
    }

    /// Removes a name of a file or symbolic link. The node lives on while it has other names, open handles or
    /// references.
    fn unlink(&self, parent: Node, name: &OsStr) -> Result<()> {
        Err(Errno::EROFS)
    }

    /// Removes an empty directory.
    fn rmdir(&self, parent: Node, name: &OsStr) -> Result<()> {
        Err(Errno::EROFS)
    }

    /// Moves a name. The kernel has checked already that a directory is not moved into itself.
    fn rename(
        &self,
        parent: Node,
        name: &OsStr,
        new_parent: Node,
        new_name: &OsStr,
        mode: RenameMode,
    ) -> Result<()> {
        Err(Errno::EROFS)
    }

    /// Reserves, frees or zeroes a range of a file.
    fn fallocate(&self, node: Node, handle: Handle, offset: u64, length: u64, mode: Fallocate) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }

    /// The state of the whole file system.
    fn statfs(&self) -> Result<FileSystemStatus>;

    /// The value of an extended attribute, of any name but `security.*` and `system.posix_acl_*`, which are answered
    /// before the tree is asked. A value above 64 KiB cannot be carried and becomes `E2BIG`.
    fn getxattr(&self, node: Node, name: &OsStr) -> Result<Vec<u8>> {
        Err(Errno::EOPNOTSUPP)
    }

    /// Sets an extended attribute. The kernel checks permissions for `user.*` only: whether the caller may set another
    /// is for the tree to say.
    fn setxattr(
        &self,
        node: Node,
        name: &OsStr,
        value: &[u8],
        mode: SetXattr,
        caller: &Caller,
    ) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }

    /// The names of the extended attributes that are to be listed; there may be others.
    fn listxattr(&self, node: Node) -> Result<Vec<OsString>> {
        Ok(Vec::new())
    }

    /// Removes an extended attribute. As for [`Tree::setxattr`].
    fn removexattr(&self, node: Node, name: &OsStr, caller: &Caller) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }
}
