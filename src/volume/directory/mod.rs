// SPDX-License-Identifier: GPL-3.0-or-later
//! Trees in Linux directories with everything that NTFS keeps of a file.
//!
//! [`DirectoryWriter`] makes them, [`DirectoryVolume`] reads them: what one writes, the other reads
//! back the same. Where a thing is kept depends on what takes it:
//!
//! - on NTFS mounted by ntfs-3g, the volume itself, through ntfs-3g's attributes;
//! - elsewhere extended attributes of our own ([`attributes`]);
//! - what these do not take, one file at the root of the tree ([`sidecar`]).
//!
//! Hard links are hard links, symbolic links and junctions are symbolic links ([`link_target`]), and
//! names that Linux does not take are written otherwise ([`escape`]).

mod attributes;
mod beneath;
mod escape;
mod link_target;
mod reader;
mod record;
mod sidecar;
#[cfg(test)]
mod tests;
mod writer;

pub use beneath::LinuxPath;
pub use link_target::LinkFixing;
pub use reader::DirectoryVolume;
pub use sidecar::Sidecars;
pub use writer::{Carrier, DirectoryWriter, OpenStream, ReparseForm};
