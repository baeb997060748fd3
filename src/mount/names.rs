// SPDX-License-Identifier: GPL-3.0-or-later
//! Windows names as Linux shows them: UTF-8, an unpaired surrogate as the three bytes that it would have in UTF-8
//! (WTF-8, <https://simonsapin.github.io/wtf-8/>), so that every name of an image can be said and comes back as it was.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// The name as Linux shows it.
pub(super) fn to_host(units: &[u16]) -> OsString {
    let mut bytes = Vec::with_capacity(units.len());
    for unit in char::decode_utf16(units.iter().copied()) {
        match unit {
            Ok(character) => {
                bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            Err(lone) => {
                let unit = lone.unpaired_surrogate();
                // 1110xxxx 10xxxxxx 10xxxxxx, the top four bits of a surrogate being 1101.
                bytes.extend([
                    0xE0 | (unit >> 12) as u8,
                    0x80 | (unit >> 6 & 0x3F) as u8,
                    0x80 | (unit & 0x3F) as u8,
                ]);
            }
        }
    }
    OsString::from_vec(bytes)
}

/// The units that a Linux name stands for; nothing for bytes that are no text.
pub(super) fn from_host(name: &OsStr) -> Option<Vec<u16>> {
    if let Some(text) = name.to_str() {
        return Some(text.encode_utf16().collect());
    }
    let mut units = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while !rest.is_empty() {
        match std::str::from_utf8(rest) {
            Ok(text) => {
                units.extend(text.encode_utf16());
                break;
            }
            Err(error) => {
                let (text, broken) = rest.split_at_checked(error.valid_up_to())?;
                units.extend(std::str::from_utf8(text).ok()?.encode_utf16());
                let (&[first, second, third], after) = broken.split_first_chunk::<3>()?;
                if first != 0xED || !(0xA0..=0xBF).contains(&second) || third & 0xC0 != 0x80 {
                    return None;
                }
                let unit = 0xD000 | u16::from(second & 0x3F) << 6 | u16::from(third & 0x3F);
                // A low surrogate behind a high one would be one character, which has another spelling.
                let pair = units.last().is_some_and(|last| (0xD800..0xDC00).contains(last))
                    && (0xDC00..0xE000).contains(&unit);
                if pair {
                    return None;
                }
                units.push(unit);
                rest = after;
            }
        }
    }
    Some(units)
}

/// Whether Linux can show the name as an entry of a directory. A well-formed image has no other.
pub(super) fn can_be_listed(units: &[u16]) -> bool {
    const DOT: u16 = b'.' as u16;
    !matches!(units, [] | [DOT] | [DOT, DOT])
        && !units.iter().any(|&unit| unit == 0 || unit == u16::from(b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_comes_back() {
        for (units, bytes) in [
            (&[0x61, 0xE9, 0x4E2D][..], &b"a\xC3\xA9\xE4\xB8\xAD"[..]),
            (&[0xD83D, 0xDE00], b"\xF0\x9F\x98\x80"),
            (&[0xD800, 0x61], b"\xED\xA0\x80a"),
            (&[0xDFFF], b"\xED\xBF\xBF"),
            (&[0xDC00, 0xD800], b"\xED\xB0\x80\xED\xA0\x80"),
            (&[], b""),
        ] {
            assert_eq!(to_host(units).as_bytes(), bytes, "{units:x?}");
            assert_eq!(from_host(OsStr::from_bytes(bytes)).as_deref(), Some(units), "{bytes:x?}");
        }
    }

    #[test]
    fn what_is_no_text_is_no_name() {
        for bytes in [&b"\xFF"[..], b"a\xED\xA0", b"\xED\xA0\x80\xED\xB0\x80", b"\xC0\x80", b"\xED\xA0\x00"] {
            assert_eq!(from_host(OsStr::from_bytes(bytes)), None, "{bytes:x?}");
        }
        let listed = |text: &str| can_be_listed(&text.encode_utf16().collect::<Vec<_>>());
        assert!(listed("a") && listed("...") && !listed("") && !listed("..") && !listed("a/b"));
    }
}
