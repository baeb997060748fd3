// SPDX-License-Identifier: GPL-3.0-or-later
//! Serves a tree of files through FUSE.
//!
//! This crate stands between the kernel and something that is a file system by nature but knows nothing of kernels.
//! What the files are is the business of the [`Tree`]; threads, caches, locks of the kernel, mounting and unmounting
//! are the business of this crate. It is the only one that names `fuser`.
//!
//! ```text
//!  process - system call -> kernel - /dev/fuse -> server threads -> Tree
//!                             ^                                       | a change that did
//!                             +---- invalidation thread <-- Notifier -+ not come that way
//! ```
//!
//! # What is cached
//!
//! The kernel keeps entries (which node a name means), attributes, data and link targets for a day, missing names too
//! where that is safe, and asks for nothing twice meanwhile. This is what makes it fast; it is right because
//!
//! * what changes **through the mount** the kernel knows by itself;
//! * what changes **otherwise** the tree tells it through the [`Notifier`]: [`entry`](Notifier::entry) for a name,
//!   [`attributes`](Notifier::attributes), [`node`](Notifier::node) or [`range`](Notifier::range) for a file. This may
//!   be done anywhere, also within a method: the message goes out after the reply, from a thread of its own, because the
//!   kernel may need a lock for it that the process being served holds. Whoever is answered by a changing method cannot
//!   see an entry any more that the method has put out of date by it (if the kernel checks permissions). Who needs
//!   to know otherwise that it has been acted on calls [`Notifier::sync`], outside methods;
//! * where **other spellings** mean the same entry ([`Spellings::Many`]), no name but the stored one is cached, and
//!   once a file was reached by another spelling its stored name is not either. The tree has to do no more than say
//!   [`Spelling::Alias`].
//!
//! # What the tree must guarantee
//!
//! 1. A node number is never given to another node during a mount, and [`Node::ROOT`] is the directory mounted.
//! 2. A node lives as long as the kernel may ask for it: while it has a name, an open handle, or references that
//!    [`Tree::forget`] has not given back. After that, `ESTALE` is the right answer for it, never another node's data.
//!    A node that has lost its last name goes on answering everything as long as a handle is open, with `links` 0.
//!    Without one, a directory does so still, for those who stand in it; a file answers `ESTALE`, by which a name
//!    that the kernel remembers wrongly for a moment is found out.
//! 3. Methods can be called from several threads at once, on the same node too. The kernel orders only changes of one
//!    directory among themselves, and writes to one file among themselves.
//! 4. A method never uses the mount that it serves, nor waits for another request of it.
//! 5. When a changing method returns, the change is made: nothing is reported later. The kernel is told not to ask
//!    when files are closed.
//! 6. A method that panics fails its one request with `EIO` and the mount goes on: locks it held must not make
//!    everything after it fail (std's are poisoned by a panic).
//! 7. After a change through the mount, what `getattr` and `lookup` say agrees with it at once, times included.
//!
//! # What is answered here
//!
//! Extended attributes `security.*` and `system.posix_acl_*` (`EOPNOTSUPP`), device nodes, pipes and sockets (`EPERM`),
//! `O_TMPFILE` (`EOPNOTSUPP`), whiteouts (`EINVAL`), changes of a read-only tree (`EROFS`). Locks (fcntl, flock) are
//! kept by the kernel. `SEEK_DATA`, `copy_file_range` and ioctls are left to the kernel's defaults. A birth time
//! cannot be carried.
//!
//! # Limits
//!
//! * A name cannot be renamed to another spelling of itself in one step: the kernel finds both to be one file and does
//!   nothing. Through a third name it can.
//! * fuser reserves 16 MiB per thread for requests; memory is only used up to [`Options::transfer_size`].
//! * With overflow checks (a debug build) a time of exactly -2^63 s, set by a caller, ends a thread in fuser 0.18.
//!
//! # Example
//!
//! ```no_run
//! # fn example<T: fuse_mount::Tree>(tree: std::sync::Arc<T>) -> Result<(), fuse_mount::Error> {
//! use fuse_mount::{Access, Mount, Options};
//!
//! let options = Options::new("install.wim:2", "transom", Access::ReadOnly);
//! let mount = Mount::spawn(tree, "/mnt/w".as_ref(), options)?;
//! mount.wait()
//! # }
//! ```

#![cfg_attr(
    not(test),
    warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod aliases;
mod attach;
mod directories;
mod errno;
mod error;
mod holders;
mod mount;
mod notify;
mod options;
mod probe;
mod serve;
mod table;
mod tree;

pub use attach::Way;
pub use errno::{Errno, Result};
pub use error::Error;
pub use holders::{Holder, Use, holders};
pub use mount::{Mount, detach_mount, unmount_mount};
pub use notify::Notifier;
pub use options::{Access, Options, Places, Spellings, Users};
pub use probe::{Prospect, Verdict, probe};
pub use table::{MountEntry, mount_table};
pub use tree::{
    Attributes, Caller, Changes, DirectoryEntry, DirectorySink, Entry, Fallocate, FileSystemStatus, Handle,
    Kind, Node, OpenMode, RenameMode, SetTime, SetXattr, Spelling, SyncScope, Tree,
};
