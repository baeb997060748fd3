// SPDX-License-Identifier: GPL-3.0-or-later
//! Text encodings of XML files, told by their byte order mark.

use crate::base::name;

/// How a document is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8 without a mark.
    #[default]
    Utf8,
    /// UTF-8 with `EF BB BF`.
    Utf8Marked,
    /// UTF-16, little-endian, with `FF FE`: what WIM files hold.
    Utf16Le,
    /// UTF-16, big-endian, with `FE FF`.
    Utf16Be,
}

impl Encoding {
    /// The text of a file and how it was stored. Units that are no text become U+FFFD.
    pub(super) fn decode(bytes: &[u8]) -> (String, Self) {
        if let Some(rest) = bytes.strip_prefix(&[0xFF, 0xFE]) {
            return (String::from_utf16_lossy(&name::units_from_le(rest)), Self::Utf16Le);
        }
        // Without its mark it is told by the first character, which is markup.
        if bytes.starts_with(b"<\0") {
            return (String::from_utf16_lossy(&name::units_from_le(bytes)), Self::Utf16Le);
        }
        if let Some(rest) = bytes.strip_prefix(&[0xFE, 0xFF]) {
            let units: Vec<u16> = name::units_from_le(rest).into_iter().map(u16::swap_bytes).collect();
            return (String::from_utf16_lossy(&units), Self::Utf16Be);
        }
        if let Some(rest) = bytes.strip_prefix(&[0xEF, 0xBB, 0xBF]) {
            return (String::from_utf8_lossy(rest).into_owned(), Self::Utf8Marked);
        }
        (String::from_utf8_lossy(bytes).into_owned(), Self::Utf8)
    }

    /// The bytes of a text, mark included.
    pub(super) fn encode(self, text: &str) -> Vec<u8> {
        match self {
            Self::Utf8 => text.as_bytes().to_vec(),
            Self::Utf8Marked => [&[0xEF, 0xBB, 0xBF], text.as_bytes()].concat(),
            Self::Utf16Le => {
                std::iter::once(0xFEFF).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
            }
            Self::Utf16Be => {
                std::iter::once(0xFEFF).chain(text.encode_utf16()).flat_map(u16::to_be_bytes).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_kept() {
        for encoding in [Encoding::Utf8, Encoding::Utf8Marked, Encoding::Utf16Le, Encoding::Utf16Be] {
            let text = "<a>\u{E9}\u{10410}</a>";
            let bytes = encoding.encode(text);
            assert_eq!(Encoding::decode(&bytes), (text.to_owned(), encoding));
        }
        assert_eq!(Encoding::decode(b"<\0a\0"), ("<a".to_owned(), Encoding::Utf16Le));
    }
}
