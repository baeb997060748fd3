// SPDX-License-Identifier: GPL-3.0-or-later
//! Extended attributes: which ones a file system takes, and their forms.
//!
//! On NTFS mounted by ntfs-3g, its own (ntfs-3g's page "Extended Attributes"):
//!
//! | attribute | content |
//! |---|---|
//! | `system.ntfs_attrib` | attributes, u32 |
//! | `system.ntfs_times` | creation, last write, last access, change: `FILETIME` each |
//! | `system.ntfs_acl` | self-relative security descriptor |
//! | `system.ntfs_reparse_data` | reparse data with its 8-byte header |
//! | `system.ntfs_dos_name` | short name |
//! | `system.ntfs_object_id` | object id |
//! | `system.ntfs_ea` | extended attributes as `FILE_FULL_EA_INFORMATION` |
//! | `user.`*name* | a named stream |
//!
//! On every other file system:
//!
//! | attribute | content |
//! |---|---|
//! | `user.transom.node` | the [node record](super::record) |
//! | `user.transom.security` | self-relative security descriptor |
//! | `user.transom.reparse` | reparse data without its header, of what has no Linux link |
//! | `user.transom.stream.`*name* | a named stream; the name [escaped](super::escape) |

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fsetxattr, lgetxattr, llistxattr, lsetxattr};
use rustix::io::Errno;

use super::beneath::{Spot, proc_path};
use super::escape::{escape, unescape};

pub(super) const NODE: &str = "user.transom.node";
pub(super) const SECURITY: &str = "user.transom.security";
pub(super) const REPARSE: &str = "user.transom.reparse";
const STREAM: &[u8] = b"user.transom.stream.";
const NTFS_STREAM: &[u8] = b"user.";

pub(super) const NTFS_ATTRIBUTES: &str = "system.ntfs_attrib";
pub(super) const NTFS_TIMES: &str = "system.ntfs_times";
pub(super) const NTFS_SECURITY: &str = "system.ntfs_acl";
pub(super) const NTFS_REPARSE: &str = "system.ntfs_reparse_data";
pub(super) const NTFS_SHORT_NAME: &str = "system.ntfs_dos_name";
pub(super) const NTFS_OBJECT_ID: &str = "system.ntfs_object_id";
pub(super) const NTFS_EXTENDED: &str = "system.ntfs_ea";

/// The most bytes of an attribute that Linux takes.
pub(super) const LONGEST: u64 = 1 << 16;
/// The most bytes of an attribute's name.
const LONGEST_NAME: usize = 255;

/// Whose attributes a tree has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// ntfs-3g's.
    Ntfs,
    /// Our own.
    User,
}

impl Dialect {
    /// That of the file system that a directory is on.
    pub(super) fn of(root: BorrowedFd<'_>) -> Self {
        match get(Place::Open(root), NTFS_ATTRIBUTES.as_bytes()) {
            Ok(Some(_)) => Self::Ntfs,
            _ => Self::User,
        }
    }

    /// The attribute that a named stream is in; nothing when its name is too long for one.
    pub(super) fn stream_attribute(self, name: &[u16]) -> Option<Vec<u8>> {
        let (prefix, name) = match self {
            Self::Ntfs => (NTFS_STREAM, String::from_utf16(name).ok()?.into_bytes()),
            Self::User => {
                let escaped = escape(name);
                if escaped.shortened {
                    return None;
                }
                (STREAM, escaped.bytes)
            }
        };
        let attribute = [prefix, &name].concat();
        (attribute.len() <= LONGEST_NAME && !attribute.contains(&0)).then_some(attribute)
    }

    /// The stream that an attribute holds; nothing when it holds none.
    pub(super) fn stream_of(self, attribute: &[u8]) -> Option<Vec<u16>> {
        match self {
            Self::Ntfs => attribute.strip_prefix(NTFS_STREAM).map(unescape_plain),
            Self::User => attribute.strip_prefix(STREAM).map(unescape),
        }
    }
}

fn unescape_plain(name: &[u8]) -> Vec<u16> {
    String::from_utf8_lossy(name).encode_utf16().collect()
}

/// A file whose attributes are meant.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// It is open, for more than its path.
    Open(BorrowedFd<'a>),
    /// It stands in a directory; it may be a symbolic link.
    Named(BorrowedFd<'a>, &'a [u8]),
}

impl<'a> Place<'a> {
    pub(super) fn of(spot: &'a Spot<'_>) -> Self {
        Self::Named(spot.directory.as_fd(), spot.name)
    }
}

/// The value of an attribute; nothing when the file does not have it or the file system has none.
pub(super) fn get(place: Place<'_>, name: &[u8]) -> Result<Option<Vec<u8>>, Errno> {
    let mut value = Vec::with_capacity(512);
    loop {
        let read = |value: &mut Vec<u8>| match place {
            Place::Open(fd) => fgetxattr(fd, name, rustix::buffer::spare_capacity(value)),
            Place::Named(directory, file) => {
                lgetxattr(proc_path(directory, file), name, rustix::buffer::spare_capacity(value))
            }
        };
        match read(&mut value) {
            Ok(_) => return Ok(Some(value)),
            Err(Errno::RANGE) if value.capacity() < LONGEST as usize => {
                value = Vec::with_capacity(LONGEST as usize);
            }
            Err(Errno::NODATA | Errno::NOTSUP | Errno::PERM) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

/// The names of all attributes.
pub(super) fn list(place: Place<'_>) -> Result<Vec<Vec<u8>>, Errno> {
    let mut names = Vec::with_capacity(1024);
    loop {
        let read = match place {
            Place::Open(fd) => flistxattr(fd, rustix::buffer::spare_capacity(&mut names)),
            Place::Named(directory, file) => {
                llistxattr(proc_path(directory, file), rustix::buffer::spare_capacity(&mut names))
            }
        };
        match read {
            Ok(_) => {
                return Ok(names
                    .split(|&byte| byte == 0)
                    .filter(|name| !name.is_empty())
                    .map(Vec::from)
                    .collect());
            }
            Err(Errno::RANGE) if names.capacity() < LONGEST as usize => {
                names = Vec::with_capacity(LONGEST as usize);
            }
            Err(Errno::NOTSUP) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        }
    }
}

/// Whether an attribute found its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is there.
    Kept,
    /// The file system does not take this one: too long, no room, not for this kind of file.
    Refused,
    /// The file system takes none at all.
    Unknown,
}

/// Sets an attribute.
pub(super) fn set(place: Place<'_>, name: &[u8], value: &[u8]) -> Result<Outcome, Errno> {
    if value.len() as u64 > LONGEST {
        return Ok(Outcome::Refused);
    }
    let result = match place {
        Place::Open(fd) => fsetxattr(fd, name, value, XattrFlags::empty()),
        Place::Named(directory, file) => {
            lsetxattr(proc_path(directory, file), name, value, XattrFlags::empty())
        }
    };
    match result {
        Ok(()) => Ok(Outcome::Kept),
        Err(Errno::NOTSUP) => Ok(Outcome::Unknown),
        // A full disk is among these; the sidecar then fails for want of room, and says so.
        Err(
            Errno::PERM
            | Errno::ACCESS
            | Errno::NOSPC
            | Errno::DQUOT
            | Errno::TOOBIG
            | Errno::RANGE
            | Errno::INVAL
            | Errno::NAMETOOLONG
            | Errno::EXIST,
        ) => Ok(Outcome::Refused),
        Err(error) => Err(error),
    }
}

/// WIM's list of extended attributes (`u16 value length | u8 name length | u8 flags | name, NUL |
/// value`) as `FILE_FULL_EA_INFORMATION` (MS-FSCC 2.4.15); nothing when it is cut short.
pub(super) fn full_from_wim(list: &[u8]) -> Option<Vec<u8>> {
    let mut full: Vec<u8> = Vec::new();
    let mut rest = list;
    let mut last = 0;
    while let [low, high, name_length, flags, after @ ..] = rest {
        let value_length = u16::from_le_bytes([*low, *high]);
        let length = usize::from(*name_length) + 1 + usize::from(value_length);
        let (texts, behind) = after.split_at_checked(length)?;
        rest = behind;
        if !full.is_empty() {
            full.resize(full.len().next_multiple_of(4), 0);
            let step = u32::try_from(full.len() - last).ok()?.to_le_bytes();
            full.get_mut(last..last + 4)?.copy_from_slice(&step);
        }
        last = full.len();
        full.extend([0, 0, 0, 0, *flags, *name_length, *low, *high]);
        full.extend(texts);
    }
    (rest.is_empty() && !full.is_empty()).then_some(full)
}

/// The way back of [`full_from_wim`].
pub(super) fn wim_from_full(full: &[u8]) -> Option<Vec<u8>> {
    let mut list = Vec::new();
    let mut rest = full;
    loop {
        let (fixed, texts) = rest.split_first_chunk::<8>()?;
        let [a, b, c, d, flags, name_length, low, high] = *fixed;
        let length = usize::from(name_length) + 1 + usize::from(u16::from_le_bytes([low, high]));
        list.extend([low, high, name_length, flags]);
        list.extend(texts.get(..length)?);
        match u32::from_le_bytes([a, b, c, d]) {
            0 => return Some(list),
            step => rest = rest.get(usize::try_from(step).ok().filter(|&step| step >= 8)?..)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::name::units;

    #[test]
    fn streams_have_attributes_of_their_own() {
        let name = units("Zone.Identifier");
        let own = Dialect::User.stream_attribute(&name).unwrap();
        assert_eq!(own, b"user.transom.stream.Zone.Identifier");
        assert_eq!(Dialect::User.stream_of(&own), Some(name.clone()));
        assert_eq!(Dialect::User.stream_of(b"user.transom.node"), None);
        assert_eq!(Dialect::User.stream_of(b"user.mime_type"), None);
        let ntfs = Dialect::Ntfs.stream_attribute(&name).unwrap();
        assert_eq!(Dialect::Ntfs.stream_of(&ntfs), Some(name));
        assert_eq!(Dialect::User.stream_attribute(&units(&"x".repeat(240))), None);
        assert_eq!(Dialect::Ntfs.stream_attribute(&[0xD800]), None);
    }

    #[test]
    fn extended_attributes_change_their_form() {
        let wim = [
            2, 0, 3, 0x80, b'O', b'N', b'E', 0, 7, 8, //
            0, 0, 1, 0, b'B', 0,
        ];
        let full = full_from_wim(&wim).unwrap();
        assert_eq!(full[..8], [16, 0, 0, 0, 0x80, 3, 2, 0]);
        assert_eq!(wim_from_full(&full).unwrap(), wim);
        assert_eq!(full_from_wim(&wim[..9]), None);
        assert_eq!(full_from_wim(&[]), None);
        assert_eq!(wim_from_full(&full[..17]), None);
        assert_eq!(wim_from_full(&[1, 0, 0, 0, 0, 0, 0, 0, 0]), None);
    }
}
