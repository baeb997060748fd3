// SPDX-License-Identifier: GPL-3.0-or-later
//! `oemN.inf`: the names under which packages are published, and the bitmap that counts them.
//!
//! `OemInfMap`, a REG_BINARY of `SYSTEM\DriverDatabase`, covers the packages of both hives.
//!
//! | bit | meaning |
//! |---|---|
//! | byte N/8, mask 0x80 >> (N % 8) | oemN.inf is taken |
//!
//! It grows by whole bytes. Source: SYSTEM hives of mkorman90/regipy (E0 = 0, 1, 2; FFF0 = 0..11).

use std::fmt;

/// Number N of an `oemN.inf`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct PublishedName(pub(super) u32);

/// Larger numbers are not believed: the bitmap would have to grow to their size.
const LARGEST: u32 = 0xFFFF;

impl PublishedName {
    /// Reads `oem12.inf`, in any case.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let lower = text.to_ascii_lowercase();
        let digits = lower.strip_prefix("oem")?.strip_suffix(".inf")?;
        if digits.is_empty() || (digits.len() > 1 && digits.starts_with('0')) {
            return None;
        }
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten().map(Self)
    }

    /// `oemN.cat`
    pub(super) fn catalog(self) -> String {
        format!("oem{}.cat", self.0)
    }

    /// `oemN.PNF`
    pub(super) fn precompiled(self) -> String {
        format!("oem{}.PNF", self.0)
    }
}

impl fmt::Display for PublishedName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "oem{}.inf", self.0)
    }
}

/// The bitmap of taken numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct OemInfMap(Vec<u8>);

impl OemInfMap {
    /// Takes the bytes of the value.
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes of the value.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether the number is taken.
    pub(super) fn contains(&self, name: PublishedName) -> bool {
        let byte = usize::try_from(name.0 / 8).ok().and_then(|index| self.0.get(index));
        byte.is_some_and(|byte| byte & mask(name) != 0)
    }

    /// Takes the number.
    pub(super) fn insert(&mut self, name: PublishedName) {
        let Ok(index) = usize::try_from(name.0 / 8) else { return };
        if self.0.len() <= index {
            self.0.resize(index + 1, 0);
        }
        if let Some(byte) = self.0.get_mut(index) {
            *byte |= mask(name);
        }
    }

    /// Frees the number; says whether it was taken. The length stays.
    pub(super) fn remove(&mut self, name: PublishedName) -> bool {
        let taken = self.contains(name);
        if let Some(byte) = usize::try_from(name.0 / 8).ok().and_then(|index| self.0.get_mut(index)) {
            *byte &= !mask(name);
        }
        taken
    }

    /// Every taken number.
    pub(super) fn taken(&self) -> impl Iterator<Item = PublishedName> {
        let last = u32::try_from(self.0.len()).unwrap_or(u32::MAX).saturating_mul(8);
        (0..last).map(PublishedName).filter(|&name| self.contains(name))
    }

    /// The lowest number that is free here and by `is_free`.
    pub(super) fn lowest_free<E>(
        &self,
        mut is_free: impl FnMut(PublishedName) -> Result<bool, E>,
    ) -> Result<Option<PublishedName>, E> {
        for number in 0..=LARGEST {
            let name = PublishedName(number);
            if !self.contains(name) && is_free(name)? {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }
}

fn mask(name: PublishedName) -> u8 {
    0x80 >> (name.0 % 8)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    #[test]
    fn names() {
        let cases = [
            ("oem0.inf", Some(0)),
            ("OEM12.INF", Some(12)),
            ("oem.inf", None),
            ("oem01.inf", None),
            ("oem-1.inf", None),
            ("oem+1.inf", None),
            ("oem1.cat", None),
            ("netkvm.inf", None),
            ("oem99999999999.inf", None),
        ];
        for (text, number) in cases {
            assert_eq!(PublishedName::parse(text), number.map(PublishedName), "{text}");
        }
        assert_eq!(PublishedName(3).to_string(), "oem3.inf");
        assert_eq!(PublishedName(3).catalog(), "oem3.cat");
    }

    #[test]
    fn bits_are_counted_from_the_highest() {
        let map = OemInfMap::new(vec![0xE0]);
        let taken: Vec<u32> = (0..20).filter(|&number| map.contains(PublishedName(number))).collect();
        assert_eq!(taken, [0, 1, 2]);
        let map = OemInfMap::new(vec![0xFF, 0xF0]);
        let taken: Vec<u32> = (0..20).filter(|&number| map.contains(PublishedName(number))).collect();
        assert_eq!(taken, (0..12).collect::<Vec<_>>());
    }

    #[test]
    fn grows_by_whole_bytes() {
        let mut map = OemInfMap::default();
        map.insert(PublishedName(0));
        assert_eq!(map.bytes(), [0x80]);
        map.insert(PublishedName(8));
        assert_eq!(map.bytes(), [0x80, 0x80]);
        map.insert(PublishedName(31));
        assert_eq!(map.bytes(), [0x80, 0x80, 0x00, 0x01]);
        assert_eq!(map.taken().collect::<Vec<_>>(), [0, 8, 31].map(PublishedName));
        assert!(
            map.remove(PublishedName(8)) && !map.remove(PublishedName(9)) && !map.remove(PublishedName(99))
        );
        assert_eq!(map.bytes(), [0x80, 0x00, 0x00, 0x01]);
    }

    #[test]
    fn lowest_free_asks_both() {
        let map = OemInfMap::new(vec![0b1011_0000]);
        let free = map.lowest_free(|_| Ok::<_, Infallible>(true)).unwrap();
        assert_eq!(free, Some(PublishedName(1)));
        let free = map.lowest_free(|name| Ok::<_, Infallible>(name.0 > 5)).unwrap();
        assert_eq!(free, Some(PublishedName(6)));
    }
}
