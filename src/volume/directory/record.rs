// SPDX-License-Identifier: GPL-3.0-or-later
//! The record of a node, as an extended attribute or the sidecar holds it.
//!
//! Little-endian, without gaps:
//!
//! | offset | size | name | meaning |
//! |---|---|---|---|
//! | 0 | 1 | version | 1 |
//! | 1 | 1 | parts | bit 0 short name, 1 reparse header, 2 unknown field, 3 tagged items |
//! | 2 | 2 | reserved | 0 |
//! | 4 | 4 | attributes | `FILE_ATTRIBUTE_*` |
//! | 8 | 8 | creation time | `FILETIME` |
//! | 16 | 8 | last access time | `FILETIME` |
//! | 24 | 8 | last write time | `FILETIME` |
//! | | 8 | reparse header | tag u32, reserved u16, WIM's flags u16 |
//! | | 4 | unknown field | the field at 0x54 of a WIM directory entry |
//! | | 5 + 2n | short name | CRC-32 of the UTF-16LE of the long name that it goes with, u8 n, n units |
//! | | | tagged items | to the end: each tag u32, length u32, data |
//!
//! The parts that are not there take no room. The short name counts only for a name with that sum:
//! a file that was renamed since has lost it, as on Windows.

use crate::base::name::{units_from_le, units_to_le};
use crate::base::{FileAttributes, FileTime, Node, ReparseHeader, TaggedItem};
use crate::digest::crc32;

const VERSION: u8 = 1;
const SHORT_NAME: u8 = 1;
const REPARSE: u8 = 2;
const UNKNOWN: u8 = 4;
const ITEMS: u8 = 8;

/// What a node record says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NodeRecord {
    pub(super) attributes: FileAttributes,
    pub(super) creation: FileTime,
    pub(super) access: FileTime,
    pub(super) write: FileTime,
    pub(super) reparse: Option<ReparseHeader>,
    pub(super) unknown_0x54: u32,
    pub(super) short_name: Option<ShortName>,
    pub(super) items: Vec<TaggedItem>,
}

/// An 8.3 name, and which long name it goes with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ShortName {
    sum: u32,
    name: Vec<u16>,
}

impl ShortName {
    pub(super) fn new(long: &[u16], short: &[u16]) -> Self {
        Self { sum: crc32(&units_to_le(long)), name: short.to_vec() }
    }

    /// The short name, if it goes with this long one.
    pub(super) fn of(&self, long: &[u16]) -> Option<&[u16]> {
        (self.sum == crc32(&units_to_le(long))).then_some(self.name.as_slice())
    }
}

impl NodeRecord {
    pub(super) fn of(node: &Node, short_name: Option<ShortName>) -> Self {
        Self {
            attributes: node.attributes,
            creation: node.creation_time,
            access: node.access_time,
            write: node.write_time,
            reparse: node.reparse,
            unknown_0x54: node.unknown_0x54,
            short_name,
            items: node.tagged_items.clone(),
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        // More units are no short name; the reader of a WIM takes any, so what is too long is left.
        let short_name =
            self.short_name.as_ref().and_then(|short| Some((short, u8::try_from(short.name.len()).ok()?)));
        let mut parts = 0;
        for (part, present) in [
            (SHORT_NAME, short_name.is_some()),
            (REPARSE, self.reparse.is_some()),
            (UNKNOWN, self.unknown_0x54 != 0),
            (ITEMS, !self.items.is_empty()),
        ] {
            if present {
                parts |= part;
            }
        }
        let mut bytes = vec![VERSION, parts, 0, 0];
        bytes.extend(self.attributes.bits().to_le_bytes());
        for time in [self.creation, self.access, self.write] {
            bytes.extend(time.0.to_le_bytes());
        }
        if let Some(reparse) = self.reparse {
            bytes.extend(reparse.tag.to_le_bytes());
            bytes.extend(reparse.reserved.to_le_bytes());
            bytes.extend(reparse.flags.to_le_bytes());
        }
        if self.unknown_0x54 != 0 {
            bytes.extend(self.unknown_0x54.to_le_bytes());
        }
        if let Some((short, length)) = short_name {
            bytes.extend(short.sum.to_le_bytes());
            bytes.push(length);
            bytes.extend(units_to_le(&short.name));
        }
        for item in &self.items {
            bytes.extend(item.tag.to_le_bytes());
            // Items come from a directory entry, whose length has 32 bits or fewer.
            bytes.extend((item.data.len() as u32).to_le_bytes());
            bytes.extend(&item.data);
        }
        bytes
    }

    /// Reads a record; nothing when it is of another version or cut short.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let [version, parts, _, _] = take(&mut rest)?;
        if version != VERSION || parts & !(SHORT_NAME | REPARSE | UNKNOWN | ITEMS) != 0 {
            return None;
        }
        let mut record = Self {
            attributes: FileAttributes::from_bits_retain(u32::from_le_bytes(take(&mut rest)?)),
            creation: FileTime(u64::from_le_bytes(take(&mut rest)?)),
            access: FileTime(u64::from_le_bytes(take(&mut rest)?)),
            write: FileTime(u64::from_le_bytes(take(&mut rest)?)),
            ..Self::default()
        };
        if parts & REPARSE != 0 {
            record.reparse = Some(ReparseHeader {
                tag: u32::from_le_bytes(take(&mut rest)?),
                reserved: u16::from_le_bytes(take(&mut rest)?),
                flags: u16::from_le_bytes(take(&mut rest)?),
            });
        }
        if parts & UNKNOWN != 0 {
            record.unknown_0x54 = u32::from_le_bytes(take(&mut rest)?);
        }
        if parts & SHORT_NAME != 0 {
            let sum = u32::from_le_bytes(take(&mut rest)?);
            let [length] = take(&mut rest)?;
            let (name, after) = rest.split_at_checked(usize::from(length) * 2)?;
            rest = after;
            record.short_name = Some(ShortName { sum, name: units_from_le(name) });
        }
        while parts & ITEMS != 0 && !rest.is_empty() {
            let tag = u32::from_le_bytes(take(&mut rest)?);
            let length = u32::from_le_bytes(take(&mut rest)?);
            let (data, after) = rest.split_at_checked(usize::try_from(length).ok()?)?;
            rest = after;
            record.items.push(TaggedItem { tag, data: data.into() });
        }
        rest.is_empty().then_some(record)
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::name::units;

    #[test]
    fn records_come_back_and_damaged_ones_do_not() {
        let plain = NodeRecord {
            attributes: FileAttributes::ARCHIVE,
            creation: FileTime(1),
            access: FileTime(2),
            write: FileTime(u64::MAX),
            ..NodeRecord::default()
        };
        let full = NodeRecord {
            reparse: Some(ReparseHeader { tag: 0xA000_000C, reserved: 1, flags: 2 }),
            unknown_0x54: 7,
            short_name: Some(ShortName::new(&units("Program Files"), &units("PROGRA~1"))),
            items: vec![
                TaggedItem { tag: 1, data: Box::new([5; 16]) },
                TaggedItem { tag: 9, data: Box::new([]) },
            ],
            ..plain.clone()
        };
        assert_eq!(plain.encode().len(), 32);
        for record in [plain, full] {
            let bytes = record.encode();
            assert_eq!(NodeRecord::decode(&bytes), Some(record.clone()));
            for end in 0..bytes.len() {
                assert_ne!(NodeRecord::decode(&bytes[..end]), Some(record.clone()));
            }
            let mut other = bytes.clone();
            other[0] = 2;
            assert_eq!(NodeRecord::decode(&other), None);
        }
    }

    #[test]
    fn a_short_name_goes_with_its_long_name_only() {
        let short = ShortName::new(&units("Program Files"), &units("PROGRA~1"));
        assert_eq!(short.of(&units("Program Files")), Some(units("PROGRA~1").as_slice()));
        assert_eq!(short.of(&units("Programs")), None);
    }
}
