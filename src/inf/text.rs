// SPDX-License-Identifier: GPL-3.0-or-later
//! From the bytes of an INF to its text.
//!
//! | begins with | read as |
//! |---|---|
//! | `FF FE` | UTF-16, little-endian |
//! | `FE FF` | UTF-16, big-endian |
//! | `EF BB BF` | UTF-8 |
//! | no mark, at least half of the odd bytes of the first 256 are zero | UTF-16, little-endian |
//! | anything else | the target's ANSI code page; no byte is ever refused |
//!
//! Byte 0x1A (Ctrl-Z) ends the text. Order after Wine's `dlls/setupapi/parser.c`.

use std::borrow::Cow;

use encoding_rs::Encoding;

use super::InfError;

/// The most bytes an INF may have. The largest real one met has 1.0 MB.
pub(super) const MAX_BYTES: usize = 8 << 20;

/// Windows-1252, the ANSI code page of Western systems.
pub(super) const WESTERN: u16 = 1252;

/// Decodes an INF.
pub(super) fn decode(bytes: &[u8], code_page: u16) -> Result<String, InfError> {
    if bytes.is_empty() {
        return Err(InfError::Empty);
    }
    if bytes.len() > MAX_BYTES {
        return Err(InfError::TooLarge { length: bytes.len() as u64, limit: MAX_BYTES as u64 });
    }
    let mut text = if let Some(rest) = bytes.strip_prefix(&[0xFF, 0xFE]) {
        utf16(rest, u16::from_le_bytes)
    } else if let Some(rest) = bytes.strip_prefix(&[0xFE, 0xFF]) {
        utf16(rest, u16::from_be_bytes)
    } else if let Some(rest) = bytes.strip_prefix(&[0xEF, 0xBB, 0xBF]) {
        String::from_utf8_lossy(rest).into_owned()
    } else if looks_like_utf16(bytes) {
        utf16(bytes, u16::from_le_bytes)
    } else {
        ansi(bytes, code_page).into_owned()
    };
    if let Some(end) = text.find('\u{1A}') {
        text.truncate(end);
    }
    Ok(text)
}

fn looks_like_utf16(bytes: &[u8]) -> bool {
    let head = bytes.get(..256).unwrap_or(bytes);
    let odd = head.iter().skip(1).step_by(2);
    let zeros = odd.clone().filter(|byte| **byte == 0).count();
    let total = odd.count();
    total > 0 && zeros * 2 >= total
}

/// An unpaired surrogate becomes U+FFFD: no name or text of a driver package can hold one.
fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let (pairs, _odd_byte) = bytes.as_chunks::<2>();
    let mut text = String::with_capacity(pairs.len());
    text.extend(
        char::decode_utf16(pairs.iter().map(|pair| unit(*pair)))
            .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)),
    );
    text
}

fn ansi(bytes: &[u8], code_page: u16) -> Cow<'_, str> {
    encoding(code_page).decode_without_bom_handling(bytes).0
}

fn encoding(code_page: u16) -> &'static Encoding {
    match code_page {
        874 => encoding_rs::WINDOWS_874,
        932 => encoding_rs::SHIFT_JIS,
        936 => encoding_rs::GBK,
        949 => encoding_rs::EUC_KR,
        950 => encoding_rs::BIG5,
        1250 => encoding_rs::WINDOWS_1250,
        1251 => encoding_rs::WINDOWS_1251,
        1253 => encoding_rs::WINDOWS_1253,
        1254 => encoding_rs::WINDOWS_1254,
        1255 => encoding_rs::WINDOWS_1255,
        1256 => encoding_rs::WINDOWS_1256,
        1257 => encoding_rs::WINDOWS_1257,
        1258 => encoding_rs::WINDOWS_1258,
        65001 => encoding_rs::UTF_8,
        _ => encoding_rs::WINDOWS_1252,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoding() {
        let utf16le: Vec<u8> = "\u{FEFF}[\u{4E2D}]".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let utf16be: Vec<u8> = "\u{FEFF}[\u{4E2D}]".encode_utf16().flat_map(u16::to_be_bytes).collect();
        let bare: Vec<u8> = "[Version]\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let cases: [(&[u8], u16, &str); 9] = [
            (&utf16le, WESTERN, "[\u{4E2D}]"),
            (&utf16be, WESTERN, "[\u{4E2D}]"),
            (&bare, WESTERN, "[Version]\r\n"),
            (b"\xEF\xBB\xBF[\xC3\xA9]", WESTERN, "[\u{E9}]"),
            (b"[\xC3\xA9]", WESTERN, "[\u{C3}\u{A9}]"),
            (b"[\x81\x80]", WESTERN, "[\u{81}\u{20AC}]"),
            (b"[\x83\x5C]", 932, "[\u{30BD}]"),
            (b"[a]\x1A[b]", WESTERN, "[a]"),
            (b"\xFF\xFE\x00\xD8[\x00", WESTERN, "\u{FFFD}["),
        ];
        for (bytes, code_page, text) in cases {
            assert_eq!(decode(bytes, code_page).as_deref(), Ok(text), "{bytes:?}");
        }
        assert_eq!(decode(b"", WESTERN), Err(InfError::Empty));
    }

    #[test]
    fn a_huge_file_is_refused() {
        let bytes = vec![b'a'; MAX_BYTES + 1];
        assert_eq!(
            decode(&bytes, WESTERN),
            Err(InfError::TooLarge { length: MAX_BYTES as u64 + 1, limit: MAX_BYTES as u64 })
        );
    }
}
