// SPDX-License-Identifier: GPL-3.0-or-later
//! Which names Windows takes, and when an 8.3 name still belongs to a long one.
//!
//! Rules: MS-FSCC 2.1.5 (file and stream names), 2.1.5.2.1 (8.3 names); how Windows makes a short
//! name out of a long one is described in the "Naming Files, Paths, and Namespaces" page of its
//! file-system documentation.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::sync::Arc;

use super::{Name, VolumeError};
use crate::base::name::{compare, display, same, upcase};

/// Most code units of a name.
const MAX_LENGTH: usize = 255;

/// Checks the name of a new file or directory.
pub(super) fn check_name(name: &[u16]) -> Result<(), VolumeError> {
    let why = if name.is_empty() {
        "it is empty"
    } else if name.len() > MAX_LENGTH {
        "it has more than 255 characters"
    } else if matches!(name, [DOT] | [DOT, DOT]) {
        "it stands for a directory itself"
    } else if name.iter().any(|&unit| unit < 0x20 || is_one_of(unit, b"\"*/:<>?\\|")) {
        "it holds a character that Windows reserves"
    } else {
        return Ok(());
    };
    Err(VolumeError::InvalidName { name: display(name), why })
}

/// Checks the name of a named stream.
pub(super) fn check_stream_name(name: &[u16]) -> Result<(), VolumeError> {
    let why = if name.is_empty() {
        "it is empty"
    } else if name.len() > MAX_LENGTH {
        "it has more than 255 characters"
    } else if name.iter().any(|&unit| unit == 0 || is_one_of(unit, b"/:\\")) {
        "it holds a character that Windows reserves"
    } else {
        return Ok(());
    };
    Err(VolumeError::InvalidName { name: display(name), why })
}

/// Why a name is no 8.3 name; nothing when it is one.
pub(super) fn short_name_fault(name: &[u16]) -> Option<&'static str> {
    let (stem, extension) = split(name);
    let legal = |part: &[u16]| {
        part.iter()
            .all(|&unit| unit > 0x20 && !is_one_of(unit, b"\"*+,./:;<=>?[\\]|") && upcase(unit) == unit)
    };
    if !(1..=8).contains(&stem.len()) || extension.len() > 3 || name.last() == Some(&DOT) {
        Some("it does not have up to eight characters and up to three behind a dot")
    } else if !legal(stem) || !legal(extension) {
        Some("it holds a character that short names do not have")
    } else {
        None
    }
}

/// Whether Windows could have made this short name for this long name.
pub(super) fn short_name_fits(name: &[u16], short_name: &[u16]) -> bool {
    if short_name_fault(short_name).is_some() || short_name_fault(&upper(name)).is_none() {
        return false;
    }
    let (stem, extension) = split(name);
    let (short_stem, short_extension) = split(short_name);
    let extension: Vec<u16> = stripped(extension).take(3).collect();
    let stem: Vec<u16> = stripped(stem).collect();
    let Some(tilde) = short_stem.iter().rposition(|&unit| unit == TILDE) else { return false };
    let (prefix, number) = short_stem.split_at(tilde);
    let numbered = number.len() > 1
        && number.iter().skip(1).all(|&unit| u8::try_from(unit).is_ok_and(|unit| unit.is_ascii_digit()));
    // After a few clashes Windows keeps two characters and puts four digits of a hash behind them.
    let hashed = prefix.len() > 4
        && prefix.split_at_checked(prefix.len() - 4).is_some_and(|(kept, digits)| {
            kept.len() <= 2
                && stem.starts_with(kept)
                && digits.iter().all(|&unit| u8::try_from(unit).is_ok_and(|unit| unit.is_ascii_hexdigit()))
        });
    numbered && same(&extension, short_extension) && (stem.starts_with(prefix) || hashed)
}

const DOT: u16 = b'.' as u16;
const TILDE: u16 = b'~' as u16;

fn is_one_of(unit: u16, characters: &[u8]) -> bool {
    u8::try_from(unit).is_ok_and(|unit| characters.contains(&unit))
}

fn upper(name: &[u16]) -> Vec<u16> {
    crate::base::name::upcased(name)
}

/// Before and behind the last dot.
fn split(name: &[u16]) -> (&[u16], &[u16]) {
    match name.iter().rposition(|&unit| unit == DOT).and_then(|dot| name.split_at_checked(dot)) {
        Some((stem, [_, extension @ ..])) if !stem.iter().all(|&unit| unit == DOT) => (stem, extension),
        _ => (name, &[]),
    }
}

/// What of a long name can stand in a short one.
fn stripped(part: &[u16]) -> impl Iterator<Item = u16> {
    part.iter()
        .filter(|&&unit| unit > 0x20 && unit != DOT)
        .map(|&unit| if is_one_of(unit, b"+,;=[]") { u16::from(b'_') } else { upcase(unit) })
}

/// A name as the key of a map in Windows' order; names that differ in case only are neighbours.
#[derive(Clone, Debug)]
pub(super) struct Key(pub(super) Name);

/// What a map of [`Key`]s can be searched by.
pub(super) trait Probe {
    fn folded(&self) -> &[u16];
    /// The exact name; nothing for a probe that stands before every spelling of its name.
    fn exact(&self) -> Option<&[u16]>;
}

impl Probe for Key {
    fn folded(&self) -> &[u16] {
        &self.0
    }

    fn exact(&self) -> Option<&[u16]> {
        Some(&self.0)
    }
}

/// Finds exactly this name.
pub(super) struct Exactly<'a>(pub(super) &'a [u16]);

impl Probe for Exactly<'_> {
    fn folded(&self) -> &[u16] {
        self.0
    }

    fn exact(&self) -> Option<&[u16]> {
        Some(self.0)
    }
}

/// Stands before every spelling of this name.
pub(super) struct Before<'a>(pub(super) &'a [u16]);

impl Probe for Before<'_> {
    fn folded(&self) -> &[u16] {
        self.0
    }

    fn exact(&self) -> Option<&[u16]> {
        None
    }
}

impl<'a> Borrow<dyn Probe + 'a> for Key {
    fn borrow(&self) -> &(dyn Probe + 'a) {
        self
    }
}

impl Ord for dyn Probe + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(self.folded(), other.folded()).then_with(|| self.exact().cmp(&other.exact()))
    }
}

impl PartialOrd for dyn Probe + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for dyn Probe + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for dyn Probe + '_ {}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        (self as &dyn Probe).cmp(other)
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Key {}

/// The empty name, shared.
pub(super) fn no_name() -> Name {
    static EMPTY: std::sync::LazyLock<Name> = std::sync::LazyLock::new(|| Arc::from([]));
    Arc::clone(&EMPTY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::name::units;

    #[test]
    fn names_that_windows_takes() {
        for name in ["a", "..a", "a b.c", "\u{E4}", &"x".repeat(255)] {
            check_name(&units(name)).unwrap();
        }
        check_name(&[0xD800]).unwrap();
        for name in ["", ".", "..", "a/b", "a\\b", "a:b", "a\0", "a*", "a?", "\u{1F}", &"x".repeat(256)] {
            assert!(check_name(&units(name)).is_err(), "{name:?}");
        }
        check_stream_name(&units("Zone.Identifier*")).unwrap();
        assert!(check_stream_name(&units("a:b")).is_err());
        assert!(check_stream_name(&[]).is_err());
    }

    #[test]
    fn short_names() {
        for name in ["A", "PROGRA~1", "MICROS~1.NET", "ABCDEFGH.IJK", "A-B.C"] {
            assert_eq!(short_name_fault(&units(name)), None, "{name}");
        }
        for name in ["", "a", "ABCDEFGHI", "A.BCDE", "A.", ".A.B", "A B", "A+B", "A.B.C"] {
            assert!(short_name_fault(&units(name)).is_some(), "{name}");
        }
        for (name, short_name, fits) in [
            ("Program Files", "PROGRA~1", true),
            ("Program Files (x86)", "PROGRA~2", true),
            ("Microsoft.NET", "MICROS~1.NET", true),
            ("a.b.config", "AB~1.CON", true),
            ("a+long,name.txt", "A_LONG~1.TXT", true),
            ("document.textfile", "DO4F2A~1.TEX", true),
            ("Common Files", "PROGRA~1", false),
            ("Program Files.old", "PROGRA~1", false),
            ("PROGRAM", "PROGRA~1", false),
            ("Program Files", "PROGRA~X", false),
            ("Program Files", "PROGRAMF", false),
        ] {
            assert_eq!(short_name_fits(&units(name), &units(short_name)), fits, "{name} {short_name}");
        }
    }
}
