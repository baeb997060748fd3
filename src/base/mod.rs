// SPDX-License-Identifier: GPL-3.0-or-later
//! The words every other room speaks: identifiers, times, codes, names, security
//! descriptors and the record of what NTFS keeps about a file. No I/O happens here.

mod arch;
mod code;
mod error;
mod guid;
mod hash;
pub mod name;
mod node;
pub mod sddl;
pub mod security;
mod time;
mod version;

pub use arch::Arch;
pub use code::Code;
pub use error::{Context, Error, ErrorClass, Result};
pub use guid::Guid;
pub use hash::BlobHash;
pub use name::{WinName, WinPath};
pub use node::{
    DirEntry, FileAttributes, Node, NodeId, NodeKind, ReparseHeader, Stream, StreamKind, TaggedItem,
};
pub use time::FileTime;
pub use version::Version;
