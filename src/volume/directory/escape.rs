// SPDX-License-Identifier: GPL-3.0-or-later
//! Windows names as names of a Linux directory, and back.
//!
//! A Linux name is bytes without `/` and NUL, at most 255 of them, and neither `.` nor `..`. A
//! Windows name is up to 255 UTF-16 units that need not be well formed. A name is written as UTF-8
//! except for:
//!
//! | in the Windows name | in the Linux name |
//! |---|---|
//! | `/`, NUL, an unpaired surrogate | `%` and the unit in four upper-case hexadecimal digits |
//! | `%` before four upper-case hexadecimal digits | `%0025` |
//! | the first unit of `.`, `..` and of names that begin as our own file does | the same |
//! | a name whose form is longer than 255 bytes | its first 200 bytes or less, `%~`, and the first 16 hexadecimal digits of the SHA-1 of its UTF-16; the whole name goes to the [sidecar](super::sidecar) |
//!
//! The way back undoes this and takes everything else as it stands. Bytes that are no UTF-8, which
//! only foreign directories have, become the unpaired surrogates U+DC80 to U+DCFF.

use crate::base::name::{units, units_to_le, upcase};
use crate::digest::sha1;

/// The name of the sidecar; see [`super::sidecar`].
pub(super) const SIDECAR: &str = ".transom-metadata";
/// What the sidecar is called until it is complete.
pub(super) const UNFINISHED: &str = ".transom-metadata.new";
/// The most bytes of a Linux name.
const LONGEST: usize = 255;
/// What is kept of a name that is too long.
const KEPT: usize = 200;

/// A name as Linux takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LinuxName {
    pub(super) bytes: Vec<u8>,
    /// Whether the Windows name cannot be made from it alone.
    pub(super) shortened: bool,
}

/// The Linux form of a Windows name.
pub(super) fn escape(name: &[u16]) -> LinuxName {
    let whole = escaped(name);
    if whole.len() <= LONGEST {
        return LinuxName { bytes: whole, shortened: false };
    }
    let mut end = KEPT;
    while whole.get(end).is_some_and(|byte| byte & 0xC0 == 0x80) {
        end -= 1;
    }
    let mut bytes = whole;
    bytes.truncate(end);
    bytes.extend(b"%~");
    for byte in sha1(&units_to_le(name)).iter().take(8) {
        bytes.extend(format!("{byte:02x}").bytes());
    }
    LinuxName { bytes, shortened: true }
}

fn escaped(name: &[u16]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(name.len() + 8);
    let mut rest = name;
    if is_reserved(name)
        && let Some((&first, after)) = name.split_first()
    {
        put_unit(&mut bytes, first);
        rest = after;
        // `..` is `%002E.`, which is a name like any other.
    }
    let mut position = name.len() - rest.len();
    for decoded in char::decode_utf16(rest.iter().copied()) {
        match decoded {
            Ok(character) => {
                position += character.len_utf16();
                let starts_escape = character == '%' && four_digits(name.get(position..).unwrap_or_default());
                if starts_escape || matches!(character, '/' | '\0') {
                    put_unit(&mut bytes, character as u16);
                } else {
                    let mut buffer = [0; 4];
                    bytes.extend(character.encode_utf8(&mut buffer).bytes());
                }
            }
            Err(unpaired) => {
                position += 1;
                put_unit(&mut bytes, unpaired.unpaired_surrogate());
            }
        }
    }
    bytes
}

fn put_unit(bytes: &mut Vec<u8>, unit: u16) {
    bytes.extend(format!("%{unit:04X}").bytes());
}

/// Names that mean a directory itself, or that could be taken for the sidecar.
fn is_reserved(name: &[u16]) -> bool {
    const DOT: u16 = b'.' as u16;
    let own = units(SIDECAR);
    matches!(name, [DOT] | [DOT, DOT])
        || name.get(..own.len()).is_some_and(|head| {
            head.iter().map(|&unit| upcase(unit)).eq(own.iter().map(|&unit| upcase(unit)))
        })
}

fn four_digits(text: &[u16]) -> bool {
    text.get(..4).is_some_and(|digits| digits.iter().all(|&unit| digit(unit).is_some()))
}

fn digit(unit: u16) -> Option<u16> {
    match unit {
        0x30..=0x39 => Some(unit - 0x30),
        0x41..=0x46 => Some(unit - 0x37),
        _ => None,
    }
}

/// The Windows name that a Linux name stands for.
pub(super) fn unescape(bytes: &[u8]) -> Vec<u16> {
    let literal = decode(bytes);
    if !bytes.contains(&b'%') {
        return literal;
    }
    let mut name = Vec::with_capacity(literal.len());
    let mut rest = literal.as_slice();
    while let Some((&unit, after)) = rest.split_first() {
        let digits = after.get(..4).filter(|_| unit == u16::from(b'%'));
        let value = digits.and_then(|digits| {
            digits.iter().try_fold(0u16, |value, &unit| Some((value << 4) | digit(unit)?))
        });
        match value {
            Some(value) => {
                name.push(value);
                rest = after.get(4..).unwrap_or_default();
            }
            None => {
                name.push(unit);
                rest = after;
            }
        }
    }
    // What we did not write so is no escape: a foreign name keeps its text.
    if escaped(&name) == bytes { name } else { literal }
}

fn decode(bytes: &[u8]) -> Vec<u16> {
    let mut name = Vec::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        name.extend(chunk.valid().encode_utf16());
        name.extend(chunk.invalid().iter().map(|&byte| 0xDC00 + u16::from(byte)));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_cannot_hold_is_written_otherwise_and_comes_back() {
        let table: [(&[u16], &str); 12] = [
            (&units("Program Files"), "Program Files"),
            (&units("a/b"), "a%002Fb"),
            (&units("a\0"), "a%0000"),
            (&units("."), "%002E"),
            (&units(".."), "%002E."),
            (&units("..."), "..."),
            (&[0xD800, 0x61], "%D800a"),
            (&[0x61, 0xDC00], "a%DC00"),
            (&units("\u{1F600}"), "\u{1F600}"),
            (&units("100%.txt"), "100%.txt"),
            (&units("%002F"), "%0025002F"),
            (&units(".Transom-Metadata.new"), "%002ETransom-Metadata.new"),
        ];
        for (name, expected) in table {
            let found = escape(name);
            assert_eq!(String::from_utf8(found.bytes.clone()).unwrap(), expected);
            assert!(!found.shortened);
            assert_eq!(unescape(&found.bytes), name, "{expected}");
        }
    }

    #[test]
    fn no_two_names_share_a_form() {
        let pieces: [&[u16]; 7] =
            [&units("%"), &units("0025"), &units("002F"), &units("/"), &[0xD800], &[0xDC00], &units("a")];
        let mut forms = std::collections::BTreeMap::new();
        for first in pieces {
            for second in pieces {
                for third in pieces {
                    let name = [first, second, third].concat();
                    let form = escape(&name).bytes;
                    assert!(!form.contains(&b'/'));
                    assert_eq!(unescape(&form), name);
                    let before = forms.insert(form, name.clone());
                    assert!(before.is_none_or(|before| before == name));
                }
            }
        }
    }

    #[test]
    fn long_names_are_shortened_and_told_apart() {
        let (one, two) = ("\u{20AC}".repeat(254) + "a", "\u{20AC}".repeat(254) + "b");
        let (one, two) = (escape(&units(&one)), escape(&units(&two)));
        assert!(one.shortened && two.shortened);
        assert!(one.bytes.len() <= LONGEST);
        assert_ne!(one, two);
        assert!(std::str::from_utf8(&one.bytes).is_ok());
        assert!(!escape(&units(&"x".repeat(255))).shortened);
    }

    #[test]
    fn foreign_names_keep_their_text() {
        assert_eq!(unescape(b"%0041%"), units("%0041%"));
        assert_eq!(unescape(b"%002f"), units("%002f"));
        assert_eq!(unescape(b"a\xFF"), [0x61, 0xDCFF]);
    }
}
