// SPDX-License-Identifier: GPL-3.0-or-later
//! Names as records hold them: Latin-1 when every unit is below 0x100 ("compressed"), else
//! UTF-16LE; their order and their hashes.

use std::cmp::Ordering;

use crate::base::{WinName, name};

/// The multiplier of the hash in an `lh` list.
const HASH_FACTOR: u32 = 37;

/// A name inside a record.
#[derive(Clone, Copy, Debug)]
pub struct StoredName<'a> {
    bytes: &'a [u8],
    compressed: bool,
}

impl<'a> StoredName<'a> {
    /// The name in `bytes`; an odd last byte of an uncompressed name is dropped.
    pub(super) fn new(bytes: &'a [u8], compressed: bool) -> Self {
        Self { bytes, compressed }
    }

    /// How many code units it has.
    pub fn len(self) -> usize {
        if self.compressed { self.bytes.len() } else { self.bytes.len() / 2 }
    }

    /// Whether it has none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Its bytes as they are stored.
    pub fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Whether each byte is a unit (Latin-1); else they are UTF-16LE.
    pub fn is_compressed(self) -> bool {
        self.compressed
    }

    /// The code unit at a position; zero behind the end.
    fn unit(self, index: usize) -> u16 {
        if self.compressed {
            self.bytes.get(index).copied().map(u16::from).unwrap_or_default()
        } else {
            let pair = self.bytes.get(2 * index..2 * index + 2).and_then(|pair| pair.try_into().ok());
            pair.map(u16::from_le_bytes).unwrap_or_default()
        }
    }

    /// Its code units.
    pub fn units(self) -> impl DoubleEndedIterator<Item = u16> + 'a {
        (0..self.len()).map(move |index| self.unit(index))
    }

    /// An owned copy.
    pub fn to_name(self) -> WinName {
        WinName::new(self.units().collect::<Box<[u16]>>())
    }

    /// Windows' order against a name.
    pub(super) fn compare(self, other: &[u16]) -> Ordering {
        let other = other.iter().map(|&unit| name::upcase(unit));
        if self.compressed {
            self.bytes.iter().map(|&byte| name::upcase(byte.into())).cmp(other)
        } else {
            let pairs = self.bytes.as_chunks().0.iter();
            pairs.map(|&pair| name::upcase(u16::from_le_bytes(pair))).cmp(other)
        }
    }

    /// Windows' order against another stored name.
    pub(super) fn compare_stored(self, other: StoredName<'_>) -> Ordering {
        if self.compressed && other.compressed {
            let upcased = |&byte: &u8| name::upcase(byte.into());
            return self.bytes.iter().map(upcased).cmp(other.bytes.iter().map(upcased));
        }
        self.units().map(name::upcase).cmp(other.units().map(name::upcase))
    }

    /// Whether it is the same name to Windows.
    pub fn is(self, other: &[u16]) -> bool {
        let same = |(left, &right): (u16, &u16)| left == right || name::upcase(left) == name::upcase(right);
        // From the end: numbered siblings differ there.
        self.len() == other.len()
            && if self.compressed {
                self.bytes.iter().map(|&byte| byte.into()).zip(other).rev().all(same)
            } else {
                let pairs = self.bytes.as_chunks().0.iter();
                pairs.map(|&pair| u16::from_le_bytes(pair)).zip(other).rev().all(same)
            }
    }

    /// The hash that an `lh` list keeps.
    pub(super) fn hash(self) -> u32 {
        if self.compressed {
            hash_units(self.bytes.iter().map(|&byte| byte.into()))
        } else {
            hash_units(self.units())
        }
    }

    /// The hint that an `lf` list keeps.
    pub(super) fn hint(self) -> [u8; 4] {
        hint_units(self.units().take(4).collect::<Vec<_>>())
    }
}

fn hash_units(units: impl Iterator<Item = u16>) -> u32 {
    units.fold(0, |hash, unit| hash.wrapping_mul(HASH_FACTOR).wrapping_add(u32::from(name::upcase(unit))))
}

/// The first four units as bytes, filled from the last of them down to the first; the first
/// unit that is no byte ends the walk and leaves zeros.
fn hint_units(mut first: Vec<u16>) -> [u8; 4] {
    let mut hint = [0; 4];
    while let Some(unit) = first.pop() {
        let (Ok(byte), Some(slot)) = (u8::try_from(unit), hint.get_mut(first.len())) else { break };
        *slot = byte;
    }
    hint
}

/// The hash of a name in an `lh` list.
pub(super) fn hash(name: &[u16]) -> u32 {
    hash_units(name.iter().copied())
}

/// The hint of a name in an `lf` list.
pub(super) fn hint(name: &[u16]) -> [u8; 4] {
    hint_units(name.iter().copied().take(4).collect())
}

/// A name ready to be stored.
pub(super) struct PackedName {
    pub(super) bytes: Vec<u8>,
    pub(super) compressed: bool,
}

impl PackedName {
    /// Stores one byte per unit when every unit fits.
    pub(super) fn new(units: &[u16]) -> Self {
        match units.iter().map(|&unit| u8::try_from(unit)).collect::<Result<Vec<u8>, _>>() {
            Ok(bytes) => Self { bytes, compressed: true },
            Err(_) => Self { bytes: name::units_to_le(units), compressed: false },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::name::units;

    #[test]
    fn hashes_and_hints_as_measured() {
        assert_eq!(hash(&units("Caf\u{E9}")), 0x0035_2F57);
        assert_eq!(hash(&units("CAF\u{C9}")), 0x0035_2F57);
        let cases: [(&str, [u8; 4]); 5] = [
            (".txt\u{F00D}", *b".txt"),
            ("txt\u{F00D}", [0; 4]),
            ("a\u{F00D}bc", [0, 0, b'b', b'c']),
            ("ab", *b"ab\0\0"),
            ("\u{E9}tude", *b"\xE9tud"),
        ];
        for (name, expected) in cases {
            assert_eq!(hint(&units(name)), expected, "{name}");
            let packed = PackedName::new(&units(name));
            assert_eq!(StoredName::new(&packed.bytes, packed.compressed).hint(), expected);
        }
    }

    #[test]
    fn packing_keeps_every_unit() {
        for (text, compressed) in [("abc", true), ("\u{FF}\u{B5}", true), ("\u{100}", false), ("", true)] {
            let packed = PackedName::new(&units(text));
            assert_eq!(packed.compressed, compressed, "{text}");
            let stored = StoredName::new(&packed.bytes, compressed);
            assert_eq!(stored.to_name(), WinName::from(text));
            assert!(stored.is(&units(text)));
            assert_eq!(stored.hash(), hash(&units(text)));
        }
        let lone = [0xD800, 0x41];
        let packed = PackedName::new(&lone);
        assert_eq!(StoredName::new(&packed.bytes, false).to_name().units(), lone);
    }
}
