// SPDX-License-Identifier: GPL-3.0-or-later
//! The records inside cells: key nodes, values, security, big data.
//!
//! Source: M. Suhanov, "Windows registry file format specification"; the rules for lengths,
//! inline data and segments were measured on real hives.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Key flag: the root of a hive.
pub(super) const KEY_HIVE_ENTRY: u16 = 0x0004;
/// Key flag: cannot be deleted.
pub(super) const KEY_NO_DELETE: u16 = 0x0008;
/// Key flag: a symbolic link, whose target is its value `SymbolicLinkValue`.
pub(super) const KEY_SYMBOLIC_LINK: u16 = 0x0010;
/// Key flag: the name is stored as Latin-1.
pub(super) const KEY_COMPRESSED_NAME: u16 = 0x0020;
/// Value flag: the name is stored as Latin-1.
pub(super) const VALUE_COMPRESSED_NAME: u16 = 0x0001;
/// Value flag: hides a value of a lower layer.
pub(super) const VALUE_TOMBSTONE: u16 = 0x0002;
/// Bit of a value's length: the data stand in the offset field.
pub(super) const INLINE: u32 = 0x8000_0000;
/// The most that one cell or segment of data holds from minor version 4 on.
pub(super) const SEGMENT: usize = 16_344;
/// A segment's record, of which the last 4 bytes stay unused.
pub(super) const SEGMENT_RECORD: usize = SEGMENT + 4;
/// The first minor version that splits long data.
pub(super) const FIRST_MINOR_WITH_BIG_DATA: u32 = 4;
/// The first minor version that writes hashed subkey lists.
pub(super) const FIRST_MINOR_WITH_HASH_LEAF: u32 = 5;
/// How deep keys may lie below the root.
pub(super) const MAX_DEPTH: usize = 512;
/// The longest name of a key, in code units.
pub(super) const MAX_KEY_NAME: usize = 255;
/// The longest name of a value, in code units.
pub(super) const MAX_VALUE_NAME: usize = 16_383;

/// `nk`, a key; its name follows.
///
/// | offset | size | name | meaning |
/// |---|---|---|---|
/// | 0 | 2 | signature | `nk` |
/// | 2 | 2 | flags | `KEY_*` |
/// | 4 | 8 | last written | FILETIME |
/// | 12 | 1 | access | access history |
/// | 13 | 1 | layered | semantics of a layered key |
/// | 14 | 2 | spare | 0 |
/// | 16 | 4 | parent | cell of the parent; anything in the root |
/// | 20, 24 | 4, 4 | subkeys | stable, volatile count |
/// | 28, 32 | 4, 4 | subkey lists | stable, volatile |
/// | 36, 40 | 4, 4 | values | count, list |
/// | 44 | 4 | security | `sk` cell |
/// | 48 | 4 | class | cell of the class name |
/// | 52 | 2 | longest subkey name | bytes as UTF-16 |
/// | 54 | 1 | virtualisation | low nibble; user flags in the high one |
/// | 55 | 1 | debug | |
/// | 56 | 4 | longest subkey class | bytes |
/// | 60, 64 | 4, 4 | longest value name, data | bytes, names as UTF-16 |
/// | 68 | 4 | work | meaningless on disk |
/// | 72, 74 | 2, 2 | name length, class length | bytes as stored |
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct KeyNodeRaw {
    pub(super) signature: [u8; 2],
    pub(super) flags: U16,
    pub(super) last_written: U64,
    pub(super) access: u8,
    pub(super) layered: u8,
    pub(super) spare: U16,
    pub(super) parent: U32,
    pub(super) subkeys: U32,
    pub(super) volatile_subkeys: U32,
    pub(super) subkey_list: U32,
    pub(super) volatile_list: U32,
    pub(super) values: U32,
    pub(super) value_list: U32,
    pub(super) security: U32,
    pub(super) class: U32,
    pub(super) max_subkey_name: U16,
    pub(super) virtualization: u8,
    pub(super) debug: u8,
    pub(super) max_subkey_class: U32,
    pub(super) max_value_name: U32,
    pub(super) max_value_data: U32,
    pub(super) work: U32,
    pub(super) name_length: U16,
    pub(super) class_length: U16,
}

const _: () = assert!(size_of::<KeyNodeRaw>() == 76);

/// A record that begins with two letters.
pub(super) trait Signed: FromBytes + KnownLayout + Immutable + Unaligned {
    /// What errors call the letters.
    const SIGNATURE_NAME: &'static str;

    /// The letters.
    fn signature(&self) -> [u8; 2];
}

impl Signed for KeyNodeRaw {
    const SIGNATURE_NAME: &'static str = "the signature of a key node";

    fn signature(&self) -> [u8; 2] {
        self.signature
    }
}

impl Signed for ValueRaw {
    const SIGNATURE_NAME: &'static str = "the signature of a value";

    fn signature(&self) -> [u8; 2] {
        self.signature
    }
}

impl KeyNodeRaw {
    /// Whether the name is stored as Latin-1.
    pub(super) fn is_compressed(&self) -> bool {
        self.flags.get() & KEY_COMPRESSED_NAME != 0
    }
}

/// `vk`, a value; its name follows.
///
/// | offset | size | name | meaning |
/// |---|---|---|---|
/// | 0 | 2 | signature | `vk` |
/// | 2 | 2 | name length | bytes as stored; 0 is the default value |
/// | 4 | 4 | length | of the data; bit 31: they are in the next field |
/// | 8 | 4 | data | cell of the data, or up to 4 bytes of them |
/// | 12 | 4 | type | any number |
/// | 16 | 2 | flags | `VALUE_*` |
/// | 18 | 2 | spare | |
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct ValueRaw {
    pub(super) signature: [u8; 2],
    pub(super) name_length: U16,
    pub(super) length: U32,
    pub(super) data: U32,
    pub(super) kind: U32,
    pub(super) flags: U16,
    pub(super) spare: U16,
}

const _: () = assert!(size_of::<ValueRaw>() == 20);

impl ValueRaw {
    /// Whether the name is stored as Latin-1.
    pub(super) fn is_compressed(&self) -> bool {
        self.flags.get() & VALUE_COMPRESSED_NAME != 0
    }

    /// Length of the data.
    pub(super) fn data_length(&self) -> usize {
        (self.length.get() & !INLINE) as usize
    }

    /// Where the data are, in a hive of this minor version. The letters at the beginning of the
    /// data cell decide nothing: plain data may begin with `db`.
    pub(super) fn storage(&self, minor: u32) -> Storage {
        if self.length.get() & INLINE != 0 {
            Storage::Inline
        } else if self.data_length() == 0 {
            Storage::Nowhere
        } else if self.data_length() > SEGMENT && minor >= FIRST_MINOR_WITH_BIG_DATA {
            Storage::Segments
        } else {
            Storage::Cell
        }
    }
}

/// Where a value keeps its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Storage {
    /// In the record.
    Inline,
    /// There are none (a tombstone).
    Nowhere,
    /// In one cell.
    Cell,
    /// In segments under a `db` record.
    Segments,
}

/// `db`, long data.
///
/// | offset | size | name | meaning |
/// |---|---|---|---|
/// | 0 | 2 | signature | `db` |
/// | 2 | 2 | count | of segments |
/// | 4 | 4 | list | cell of their offsets |
/// | 8 | 4 | padding | |
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct BigDataRaw {
    pub(super) signature: [u8; 2],
    pub(super) count: U16,
    pub(super) list: U32,
    pub(super) padding: U32,
}

const _: () = assert!(size_of::<BigDataRaw>() == 12);

/// `sk`, a security descriptor shared by keys; the self-relative descriptor follows. All of
/// them form one ring.
///
/// | offset | size | name | meaning |
/// |---|---|---|---|
/// | 0 | 2 | signature | `sk` |
/// | 2 | 2 | reserved | |
/// | 4, 8 | 4, 4 | next, previous | in the ring |
/// | 12 | 4 | references | how many keys share it |
/// | 16 | 4 | length | of the descriptor |
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct SecurityRaw {
    pub(super) signature: [u8; 2],
    pub(super) reserved: U16,
    pub(super) next: U32,
    pub(super) previous: U32,
    pub(super) references: U32,
    pub(super) length: U32,
}

const _: () = assert!(size_of::<SecurityRaw>() == 20);

#[cfg(test)]
mod tests {
    use zerocopy::FromZeros as _;

    use super::*;

    #[test]
    fn storage_follows_length_and_version() {
        let value = |length: u32| ValueRaw { length: length.into(), ..ValueRaw::new_zeroed() };
        let cases = [
            (INLINE, 5, Storage::Inline),
            (INLINE | 4, 3, Storage::Inline),
            (0, 6, Storage::Nowhere),
            (16_344, 5, Storage::Cell),
            (16_345, 5, Storage::Segments),
            (16_345, 4, Storage::Segments),
            (16_345, 3, Storage::Cell),
        ];
        for (length, minor, expected) in cases {
            assert_eq!(value(length).storage(minor), expected, "{length:#x} minor {minor}");
        }
    }
}
