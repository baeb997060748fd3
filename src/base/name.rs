// SPDX-License-Identifier: GPL-3.0-or-later
//! Windows names and paths: UTF-16 code units, compared by the system's upcase table.
//!
//! The table is Windows 10's `RtlUpcaseUnicodeChar`, which is byte-identical to the `$UpCase`
//! that ntfs-3g's mkntfs writes, so one table serves the registry and NTFS.
//! Names may hold unpaired surrogates; they stay `[u16]` until a report prints them.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::sync::LazyLock;

/// `(first, last, step, delta)`: every `step`-th unit of `first..=last` maps to itself plus `delta`.
#[rustfmt::skip]
const UPCASE_RANGES: &[(u16, u16, u16, i32)] = &[
    (0x0061, 0x007A, 1, -32), (0x00E0, 0x00F6, 1, -32), (0x00F8, 0x00FE, 1, -32),
    (0x00FF, 0x00FF, 1, 121), (0x0101, 0x012F, 2, -1), (0x0133, 0x0137, 2, -1),
    (0x013A, 0x0148, 2, -1), (0x014B, 0x0177, 2, -1), (0x017A, 0x017E, 2, -1),
    (0x0180, 0x0180, 1, 195), (0x0183, 0x0185, 2, -1), (0x0188, 0x0188, 1, -1),
    (0x018C, 0x018C, 1, -1), (0x0192, 0x0192, 1, -1), (0x0195, 0x0195, 1, 97),
    (0x0199, 0x0199, 1, -1), (0x019A, 0x019A, 1, 163), (0x019E, 0x019E, 1, 130),
    (0x01A1, 0x01A5, 2, -1), (0x01A8, 0x01A8, 1, -1), (0x01AD, 0x01AD, 1, -1),
    (0x01B0, 0x01B0, 1, -1), (0x01B4, 0x01B6, 2, -1), (0x01B9, 0x01B9, 1, -1),
    (0x01BD, 0x01BD, 1, -1), (0x01BF, 0x01BF, 1, 56), (0x01C6, 0x01C6, 1, -2),
    (0x01C9, 0x01C9, 1, -2), (0x01CC, 0x01CC, 1, -2), (0x01CE, 0x01DC, 2, -1),
    (0x01DD, 0x01DD, 1, -79), (0x01DF, 0x01EF, 2, -1), (0x01F3, 0x01F3, 1, -2),
    (0x01F5, 0x01F5, 1, -1), (0x01F9, 0x021F, 2, -1), (0x0223, 0x0233, 2, -1),
    (0x023C, 0x023C, 1, -1), (0x0242, 0x0242, 1, -1), (0x0247, 0x024F, 2, -1),
    (0x0250, 0x0250, 1, 10783), (0x0251, 0x0251, 1, 10780), (0x0253, 0x0253, 1, -210),
    (0x0254, 0x0254, 1, -206), (0x0256, 0x0257, 1, -205), (0x0259, 0x0259, 1, -202),
    (0x025B, 0x025B, 1, -203), (0x0260, 0x0260, 1, -205), (0x0263, 0x0263, 1, -207),
    (0x0268, 0x0268, 1, -209), (0x0269, 0x0269, 1, -211), (0x026B, 0x026B, 1, 10743),
    (0x026F, 0x026F, 1, -211), (0x0271, 0x0271, 1, 10749), (0x0272, 0x0272, 1, -213),
    (0x0275, 0x0275, 1, -214), (0x027D, 0x027D, 1, 10727), (0x0280, 0x0280, 1, -218),
    (0x0283, 0x0283, 1, -218), (0x0288, 0x0288, 1, -218), (0x0289, 0x0289, 1, -69),
    (0x028A, 0x028B, 1, -217), (0x028C, 0x028C, 1, -71), (0x0292, 0x0292, 1, -219),
    (0x0371, 0x0373, 2, -1), (0x0377, 0x0377, 1, -1), (0x037B, 0x037D, 1, 130),
    (0x03AC, 0x03AC, 1, -38), (0x03AD, 0x03AF, 1, -37), (0x03B1, 0x03C1, 1, -32),
    (0x03C3, 0x03CB, 1, -32), (0x03CC, 0x03CC, 1, -64), (0x03CD, 0x03CE, 1, -63),
    (0x03D7, 0x03D7, 1, -8), (0x03D9, 0x03EF, 2, -1), (0x03F2, 0x03F2, 1, 7),
    (0x03F8, 0x03F8, 1, -1), (0x03FB, 0x03FB, 1, -1), (0x0430, 0x044F, 1, -32),
    (0x0450, 0x045F, 1, -80), (0x0461, 0x0481, 2, -1), (0x048B, 0x04BF, 2, -1),
    (0x04C2, 0x04CE, 2, -1), (0x04CF, 0x04CF, 1, -15), (0x04D1, 0x0523, 2, -1),
    (0x0561, 0x0586, 1, -48), (0x1D79, 0x1D79, 1, 35332), (0x1D7D, 0x1D7D, 1, 3814),
    (0x1E01, 0x1E95, 2, -1), (0x1EA1, 0x1EFF, 2, -1), (0x1F00, 0x1F07, 1, 8),
    (0x1F10, 0x1F15, 1, 8), (0x1F20, 0x1F27, 1, 8), (0x1F30, 0x1F37, 1, 8), (0x1F40, 0x1F45, 1, 8),
    (0x1F51, 0x1F57, 2, 8), (0x1F60, 0x1F67, 1, 8), (0x1F70, 0x1F71, 1, 74),
    (0x1F72, 0x1F75, 1, 86), (0x1F76, 0x1F77, 1, 100), (0x1F78, 0x1F79, 1, 128),
    (0x1F7A, 0x1F7B, 1, 112), (0x1F7C, 0x1F7D, 1, 126), (0x1F80, 0x1F87, 1, 8),
    (0x1F90, 0x1F97, 1, 8), (0x1FA0, 0x1FA7, 1, 8), (0x1FB0, 0x1FB1, 1, 8), (0x1FB3, 0x1FB3, 1, 9),
    (0x1FC3, 0x1FC3, 1, 9), (0x1FD0, 0x1FD1, 1, 8), (0x1FE0, 0x1FE1, 1, 8), (0x1FE5, 0x1FE5, 1, 7),
    (0x1FF3, 0x1FF3, 1, 9), (0x214E, 0x214E, 1, -28), (0x2170, 0x217F, 1, -16),
    (0x2184, 0x2184, 1, -1), (0x24D0, 0x24E9, 1, -26), (0x2C30, 0x2C5E, 1, -48),
    (0x2C61, 0x2C61, 1, -1), (0x2C65, 0x2C65, 1, -10795), (0x2C66, 0x2C66, 1, -10792),
    (0x2C68, 0x2C6C, 2, -1), (0x2C73, 0x2C73, 1, -1), (0x2C76, 0x2C76, 1, -1),
    (0x2C81, 0x2CE3, 2, -1), (0x2D00, 0x2D25, 1, -7264), (0xA641, 0xA65F, 2, -1),
    (0xA663, 0xA66D, 2, -1), (0xA681, 0xA697, 2, -1), (0xA723, 0xA72F, 2, -1),
    (0xA733, 0xA76F, 2, -1), (0xA77A, 0xA77C, 2, -1), (0xA77F, 0xA787, 2, -1),
    (0xA78C, 0xA78C, 1, -1), (0xFF41, 0xFF5A, 1, -32),
];

static UPCASE: LazyLock<Box<[u16]>> = LazyLock::new(|| {
    let mut table: Box<[u16]> = (0..=u16::MAX).collect();
    for &(first, last, step, delta) in UPCASE_RANGES {
        for unit in (first..=last).step_by(step.into()) {
            if let Some(slot) = table.get_mut(usize::from(unit)) {
                *slot = (i32::from(unit) + delta) as u16;
            }
        }
    }
    table
});

/// The upper-case form of one code unit, as Windows maps it.
pub fn upcase(unit: u16) -> u16 {
    if unit < 0x80 {
        return if (0x61..=0x7A).contains(&unit) { unit - 32 } else { unit };
    }
    UPCASE.get(usize::from(unit)).copied().unwrap_or(unit)
}

/// The upper-case form of a name.
pub fn upcased(name: &[u16]) -> Vec<u16> {
    name.iter().map(|&unit| upcase(unit)).collect()
}

/// Orders names as Windows does: by upcased code units, a prefix first.
pub fn compare(left: &[u16], right: &[u16]) -> Ordering {
    left.iter().map(|&unit| upcase(unit)).cmp(right.iter().map(|&unit| upcase(unit)))
}

/// Whether two names are the same to Windows.
pub fn same(left: &[u16], right: &[u16]) -> bool {
    left.len() == right.len() && compare(left, right) == Ordering::Equal
}

/// The code units of a Rust string.
pub fn units(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

/// The text of little-endian UTF-16 bytes, a trailing odd byte dropped.
pub fn units_from_le(bytes: &[u8]) -> Vec<u16> {
    bytes.chunks_exact(2).filter_map(|pair| pair.try_into().ok().map(u16::from_le_bytes)).collect()
}

/// Little-endian bytes of code units.
pub fn units_to_le(units: &[u16]) -> Vec<u8> {
    units.iter().flat_map(|unit| unit.to_le_bytes()).collect()
}

/// Text for people: each unpaired surrogate becomes U+FFFD.
pub fn display(name: &[u16]) -> String {
    String::from_utf16_lossy(name)
}

/// One component of a Windows path: a file name, a key name, a value name.
///
/// Equality and hashing are exact; use [`compare`] and [`same`] for Windows' view.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct WinName(Box<[u16]>);

impl WinName {
    /// Takes code units as they are.
    pub fn new(units: impl Into<Box<[u16]>>) -> Self {
        Self(units.into())
    }

    /// The code units.
    pub fn units(&self) -> &[u16] {
        &self.0
    }

    /// Whether the name has no unit at all (the unnamed stream, the default value).
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&str> for WinName {
    fn from(text: &str) -> Self {
        Self(text.encode_utf16().collect())
    }
}

impl From<&[u16]> for WinName {
    fn from(units: &[u16]) -> Self {
        Self(units.into())
    }
}

impl Borrow<[u16]> for WinName {
    fn borrow(&self) -> &[u16] {
        &self.0
    }
}

impl fmt::Display for WinName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&display(&self.0))
    }
}

impl fmt::Debug for WinName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&display(&self.0), formatter)
    }
}

/// A path inside an image, relative to its root: components without `.` , `..` or separators.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WinPath(Vec<WinName>);

impl WinPath {
    /// The root.
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// Splits text at `\` and `/`; empty components and `.` vanish.
    ///
    /// Returns nothing when a component is `..`: a path never climbs out of where it starts.
    pub fn parse(text: &str) -> Option<Self> {
        let mut components = Vec::new();
        for component in text.split(['\\', '/']) {
            match component {
                "" | "." => {}
                ".." => return None,
                name => components.push(WinName::from(name)),
            }
        }
        Some(Self(components))
    }

    /// The components, outermost first.
    pub fn components(&self) -> &[WinName] {
        &self.0
    }

    /// This path with one more component.
    #[must_use]
    pub fn join(&self, name: impl Into<WinName>) -> Self {
        let mut components = self.0.clone();
        components.push(name.into());
        Self(components)
    }

    /// This path followed by another.
    #[must_use]
    pub fn join_path(&self, path: &Self) -> Self {
        Self(self.0.iter().chain(&path.0).cloned().collect())
    }

    /// The path without its last component; nothing for the root.
    pub fn parent(&self) -> Option<Self> {
        let (_, init) = self.0.split_last()?;
        Some(Self(init.to_vec()))
    }

    /// The last component; nothing for the root.
    pub fn file_name(&self) -> Option<&WinName> {
        self.0.last()
    }
}

impl FromIterator<WinName> for WinPath {
    fn from_iter<I: IntoIterator<Item = WinName>>(components: I) -> Self {
        Self(components.into_iter().collect())
    }
}

/// Components joined by `\`, without a leading one; the root is `\`.
impl fmt::Display for WinPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return formatter.write_str("\\");
        }
        for (position, component) in self.0.iter().enumerate() {
            if position > 0 {
                formatter.write_str("\\")?;
            }
            fmt::Display::fmt(component, formatter)?;
        }
        Ok(())
    }
}

impl fmt::Debug for WinPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_string(), formatter)
    }
}

impl serde::Serialize for WinPath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upcase_table_has_the_published_sums() {
        let mapped: Vec<(u16, u16)> =
            (0..=u16::MAX).map(|unit| (unit, upcase(unit))).filter(|(from, to)| from != to).collect();
        assert_eq!(mapped.len(), 973);
        let sum = mapped.iter().fold(0u32, |sum, &(_, to)| sum.wrapping_add(to.into()));
        assert_eq!(sum, 9_039_906);
    }

    #[test]
    fn order_is_by_code_unit_not_code_point() {
        let supplementary = units("\u{10410}");
        let fullwidth = units("\u{FF21}");
        assert_eq!(compare(&supplementary, &fullwidth), Ordering::Less);
        assert!(!same(&units("\u{B5}"), &units("\u{39C}")));
        assert!(same(&units("\u{E9}tude"), &units("\u{C9}TUDE")));
        assert_eq!(compare(&units("ab"), &units("ABC")), Ordering::Less);
    }

    #[test]
    fn paths() {
        let path = WinPath::parse(r"\Windows/System32\.\config").unwrap();
        assert_eq!(path.to_string(), r"Windows\System32\config");
        assert_eq!(path.parent().unwrap().to_string(), r"Windows\System32");
        assert_eq!(WinPath::parse(r"a\..\b"), None);
        assert_eq!(WinPath::root().to_string(), "\\");
    }
}
