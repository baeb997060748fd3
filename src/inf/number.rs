// SPDX-License-Identifier: GPL-3.0-or-later
//! Numbers as INF fields hold them: an optional sign, then `0x` and hex digits, or decimal.

/// Reads a number; a negative one becomes its two's complement, as setupapi has it.
pub(super) fn number(text: &str) -> Option<u32> {
    let text = text.trim();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let value: u32 = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(digits) => hex(digits)?,
        None if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
        None => return None,
    };
    Some(if negative { value.wrapping_neg() } else { value })
}

/// Reads a hexadecimal number without sign; `0x` may stand before it.
pub(super) fn hex_number(text: &str) -> Option<u32> {
    let text = text.trim();
    hex(text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text))
}

fn hex(digits: &str) -> Option<u32> {
    // from_str_radix would take a sign.
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let cases = [
            ("0x00010001", Some(0x1_0001)),
            (" 0XfF ", Some(255)),
            ("65537", Some(65537)),
            ("+7", Some(7)),
            ("-1", Some(u32::MAX)),
            ("-0x10", Some(0xFFFF_FFF0)),
            ("4294967295", Some(u32::MAX)),
            ("4294967296", None),
            ("", None),
            ("0x", None),
            ("0x+1", None),
            ("REG_DWORD", None),
            ("12h", None),
        ];
        for (text, expected) in cases {
            assert_eq!(number(text), expected, "{text:?}");
        }
        assert_eq!(hex_number("FE"), Some(0xFE));
        assert_eq!(hex_number("0xDA"), Some(0xDA));
        assert_eq!(hex_number("100000000"), None);
        assert_eq!(hex_number(""), None);
    }
}
