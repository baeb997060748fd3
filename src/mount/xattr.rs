// SPDX-License-Identifier: GPL-3.0-or-later
//! What NTFS carries beyond Linux's own attributes, under the names that ntfs-3g gives it (ntfs-3g(8), "Extended
//! Attributes"; layout as ntfs-3g 2022.10.3 shows it):
//!
//! | name | value |
//! |---|---|
//! | `system.ntfs_acl` | security descriptor, self-relative |
//! | `system.ntfs_attrib`, `_be` | `FILE_ATTRIBUTE_*`, 32 bits, little or big endian |
//! | `system.ntfs_times`, `_be` | four times of 64 bits: creation, last write, last access, change |
//! | `system.ntfs_crtime`, `_be` | creation, 64 bits |
//! | `system.ntfs_reparse_data` | reparse buffer with its 8-byte header |
//! | `system.ntfs_dos_name` | 8.3 name, UTF-8 |
//! | `system.ntfs_object_id` | object id, 16 to 64 bytes |
//! | `system.ntfs_ea` | list of `FILE_FULL_EA_INFORMATION` |
//! | `user.NAME` | the named stream NAME |

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use fuse_mount::{Errno, Result, SetXattr};

use super::errno::errno;
use super::names;
use crate::base::{FileAttributes, FileTime, Node, NodeId, ReparseHeader, StreamKind, TaggedItem, WinName};
use crate::io::read_vec;
use crate::volume::{NewData, Overlay, Volume};

/// The largest value that Linux can carry.
pub(super) const LARGEST: u64 = 64 * 1024;

/// WIM's flag of a reparse point: an absolute target is to be left as it is.
const NOT_FIXED_UP: u16 = 1;

/// An attribute by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Acl,
    Attributes(Order),
    Times(Order),
    Creation(Order),
    Reparse,
    Dos,
    ObjectId,
    ExtendedAttributes,
    Stream(Vec<u16>),
}

/// Byte order of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

impl Name {
    /// Nothing for a name that means nothing here.
    pub(super) fn parse(name: &OsStr) -> Option<Self> {
        if let Some(stream) = name.as_bytes().strip_prefix(b"user.") {
            let units = names::from_host(OsStr::from_bytes(stream))?;
            return (!units.is_empty()).then_some(Self::Stream(units));
        }
        let known = name.to_str()?.strip_prefix("system.ntfs_")?;
        let (known, order) = match known.strip_suffix("_be") {
            Some(known @ ("attrib" | "times" | "crtime")) => (known, Order::Big),
            _ => (known, Order::Little),
        };
        Some(match known {
            "acl" => Self::Acl,
            "attrib" => Self::Attributes(order),
            "times" => Self::Times(order),
            "crtime" => Self::Creation(order),
            "reparse_data" => Self::Reparse,
            "dos_name" => Self::Dos,
            "object_id" => Self::ObjectId,
            "ea" => Self::ExtendedAttributes,
            _ => return None,
        })
    }
}

impl Order {
    fn u32(self, value: u32) -> [u8; 4] {
        match self {
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        }
    }

    fn u64(self, value: u64) -> [u8; 8] {
        match self {
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        }
    }

    fn time(self, bytes: [u8; 8]) -> FileTime {
        FileTime(match self {
            Self::Little => u64::from_le_bytes(bytes),
            Self::Big => u64::from_be_bytes(bytes),
        })
    }
}

/// The value of an attribute; `ENODATA` where the node has none. `changed` is the time of the last change of anything.
pub(super) fn get(
    overlay: &Overlay,
    id: NodeId,
    node: &Node,
    changed: FileTime,
    name: &Name,
) -> Result<Vec<u8>> {
    let tagged = |tag| node.tagged_items.iter().find(|item| item.tag == tag).map(|item| item.data.to_vec());
    match name {
        Name::Acl => node.security.as_deref().map(<[u8]>::to_vec).ok_or(Errno::ENODATA),
        Name::Attributes(order) => Ok(order.u32(node.attributes.bits()).to_vec()),
        Name::Times(order) => Ok([node.creation_time, node.write_time, node.access_time, changed]
            .iter()
            .flat_map(|time| order.u64(time.0))
            .collect()),
        Name::Creation(order) => Ok(order.u64(node.creation_time.0).to_vec()),
        Name::Reparse => {
            let header = node.reparse.ok_or(Errno::ENODATA)?;
            let data = overlay.open(id, StreamKind::Reparse, &[]).map_err(|error| errno(&error))?;
            let length = u16::try_from(data.len()).map_err(|_| Errno::EIO)?;
            let mut value = header.tag.to_le_bytes().to_vec();
            value.extend(length.to_le_bytes());
            value.extend(header.reserved.to_le_bytes());
            value.extend(read_vec(&*data, 0, data.len()).map_err(|error| errno(&error))?);
            Ok(value)
        }
        Name::Dos => {
            let links = overlay.links(id).map_err(|error| errno(&error))?;
            let short = links.into_iter().find_map(|(_, entry)| entry.short_name).ok_or(Errno::ENODATA)?;
            Ok(names::to_host(short.units()).into_vec())
        }
        Name::ObjectId => tagged(TaggedItem::OBJECT_ID).ok_or(Errno::ENODATA),
        Name::ExtendedAttributes => tagged(TaggedItem::EXTENDED_ATTRIBUTES).ok_or(Errno::ENODATA),
        Name::Stream(stream) => {
            let found = node.stream(StreamKind::Data, stream).ok_or(Errno::ENODATA)?;
            if found.length > LARGEST {
                return Err(Errno::E2BIG);
            }
            let data = overlay.open(id, StreamKind::Data, stream).map_err(|error| errno(&error))?;
            read_vec(&*data, 0, data.len()).map_err(|error| errno(&error))
        }
    }
}

/// Whether the node has a value of this name.
fn is_present(overlay: &Overlay, id: NodeId, node: &Node, name: &Name) -> Result<bool> {
    Ok(match name {
        Name::Stream(stream) => node.stream(StreamKind::Data, stream).is_some(),
        Name::Reparse => node.reparse.is_some(),
        other => match get(overlay, id, node, FileTime::default(), other) {
            Ok(_) => true,
            Err(Errno::ENODATA) => false,
            Err(error) => return Err(error),
        },
    })
}

/// Sets an attribute.
pub(super) fn set(
    overlay: &Overlay,
    id: NodeId,
    node: &Node,
    name: &Name,
    value: &[u8],
    mode: SetXattr,
) -> Result<()> {
    match (mode, is_present(overlay, id, node, name)?) {
        (SetXattr::Create, true) => return Err(Errno::EEXIST),
        (SetXattr::Replace, false) => return Err(Errno::ENODATA),
        _ => {}
    }
    match name {
        Name::Acl => overlay.set_security(id, Some(value)).map_err(|_| Errno::EINVAL),
        Name::Attributes(order) => {
            let bytes = *value.as_array::<4>().ok_or(Errno::EINVAL)?;
            let bits = match order {
                Order::Little => u32::from_le_bytes(bytes),
                Order::Big => u32::from_be_bytes(bytes),
            };
            overlay.set_attributes(id, FileAttributes::from_bits_retain(bits)).map_err(|error| errno(&error))
        }
        Name::Times(order) => {
            // As many times as are given, at least one.
            let (times, rest) = value.as_chunks::<8>();
            if !rest.is_empty() || !(1..=4).contains(&times.len()) {
                return Err(Errno::EINVAL);
            }
            let mut times = times.iter().map(|bytes| order.time(*bytes));
            let (creation, write, access) = (times.next(), times.next(), times.next());
            overlay.set_times(id, creation, access, write).map_err(|error| errno(&error))
        }
        Name::Creation(order) => {
            let bytes = *value.as_array::<8>().ok_or(Errno::EINVAL)?;
            overlay.set_times(id, Some(order.time(bytes)), None, None).map_err(|error| errno(&error))
        }
        Name::Reparse => set_reparse(overlay, id, node, value),
        Name::Dos => {
            let units = names::from_host(OsStr::from_bytes(value)).ok_or(Errno::EILSEQ)?;
            set_short_name(overlay, id, Some(&WinName::new(units)))
        }
        Name::ObjectId => overlay.set_object_id(id, Some(value)).map_err(|error| errno(&error)),
        Name::ExtendedAttributes => set_tagged(overlay, id, node, Some(value)),
        Name::Stream(stream) => overlay
            .replace(id, StreamKind::Data, stream, NewData::Bytes(value.to_vec()))
            .map_err(|error| errno(&error)),
    }
}

/// Removes an attribute; those that every file has cannot be.
pub(super) fn remove(overlay: &Overlay, id: NodeId, node: &Node, name: &Name) -> Result<()> {
    if !is_present(overlay, id, node, name)? {
        return Err(Errno::ENODATA);
    }
    match name {
        Name::Acl | Name::Attributes(_) | Name::Times(_) | Name::Creation(_) => Err(Errno::EPERM),
        Name::Reparse => overlay.set_reparse(id, None).map_err(|error| errno(&error)),
        Name::Dos => set_short_name(overlay, id, None),
        Name::ObjectId => overlay.set_object_id(id, None).map_err(|error| errno(&error)),
        Name::ExtendedAttributes => set_tagged(overlay, id, node, None),
        Name::Stream(stream) => overlay.remove_stream(id, stream).map_err(|error| errno(&error)),
    }
}

/// The names to be listed: those of streams that fit into a value.
pub(super) fn list(node: &Node) -> Vec<OsString> {
    let streams = node.streams.iter().filter(|stream| {
        stream.kind == StreamKind::Data && !stream.name.is_empty() && stream.length <= LARGEST
    });
    streams
        .map(|stream| {
            let mut name = OsString::from("user.");
            name.push(names::to_host(stream.name.units()));
            name
        })
        .collect()
}

fn set_reparse(overlay: &Overlay, id: NodeId, node: &Node, value: &[u8]) -> Result<()> {
    let (&[t0, t1, t2, t3, l0, l1, r0, r1], data) = value.split_first_chunk::<8>().ok_or(Errno::EINVAL)?;
    let tag = u32::from_le_bytes([t0, t1, t2, t3]);
    if tag == 0 || usize::from(u16::from_le_bytes([l0, l1])) != data.len() {
        return Err(Errno::EINVAL);
    }
    // Written in Windows' own form, so the target is meant as it stands.
    let flags = node.reparse.filter(|old| old.tag == tag).map_or(NOT_FIXED_UP, |old| old.flags);
    let header = ReparseHeader { tag, reserved: u16::from_le_bytes([r0, r1]), flags };
    overlay.set_reparse(id, Some((header, data))).map_err(|error| errno(&error))
}

/// Of a file with several names, the one that has a short name is meant, else the first.
fn set_short_name(overlay: &Overlay, id: NodeId, short_name: Option<&WinName>) -> Result<()> {
    let links = overlay.links(id).map_err(|error| errno(&error))?;
    let link = links.iter().find(|(_, entry)| entry.short_name.is_some()).or_else(|| links.first());
    let (directory, entry) = link.ok_or(Errno::ENOENT)?;
    overlay.set_short_name(*directory, entry.name.units(), short_name).map_err(|error| errno(&error))
}

fn set_tagged(overlay: &Overlay, id: NodeId, node: &Node, value: Option<&[u8]>) -> Result<()> {
    let mut items = node.tagged_items.clone();
    items.retain(|item| item.tag != TaggedItem::EXTENDED_ATTRIBUTES);
    items.extend(value.map(|value| TaggedItem { tag: TaggedItem::EXTENDED_ATTRIBUTES, data: value.into() }));
    overlay.set_tagged_items(id, &items).map_err(|error| errno(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_ntfs_3g() {
        for (text, expected) in [
            ("system.ntfs_acl", Some(Name::Acl)),
            ("system.ntfs_attrib", Some(Name::Attributes(Order::Little))),
            ("system.ntfs_attrib_be", Some(Name::Attributes(Order::Big))),
            ("system.ntfs_times_be", Some(Name::Times(Order::Big))),
            ("system.ntfs_crtime", Some(Name::Creation(Order::Little))),
            ("system.ntfs_reparse_data", Some(Name::Reparse)),
            ("system.ntfs_acl_be", None),
            ("system.ntfs_dos_name", Some(Name::Dos)),
            ("user.Zone.Identifier", Some(Name::Stream("Zone.Identifier".encode_utf16().collect()))),
            ("user.", None),
            ("trusted.x", None),
        ] {
            assert_eq!(Name::parse(OsStr::new(text)), expected, "{text}");
        }
    }
}
