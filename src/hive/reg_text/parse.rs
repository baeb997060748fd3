// SPDX-License-Identifier: GPL-3.0-or-later
//! Reading `.reg` text. One pass over the code units, no recursion; what is built is never larger
//! than a small multiple of the text.

use encoding_rs::{Encoding, WINDOWS_1252};

use super::{RegAssignment, RegSection, RegText, RegTextError};
use crate::base::{WinName, name};
use crate::hive::value::ValueType;

const VERSION_5: &str = "Windows Registry Editor Version 5.00";
const VERSION_4: &str = "REGEDIT4";

const TAB: u16 = b'\t' as u16;
const LINE_FEED: u16 = b'\n' as u16;
const CARRIAGE_RETURN: u16 = b'\r' as u16;
const BLANK: u16 = b' ' as u16;
const QUOTE: u16 = b'"' as u16;
const BACKSLASH: u16 = b'\\' as u16;
const COMMA: u16 = b',' as u16;
const MINUS: u16 = b'-' as u16;
const SEMICOLON: u16 = b';' as u16;
const OPEN: u16 = b'[' as u16;
const CLOSE: u16 = b']' as u16;

/// `ansi` is the encoding of text that has no mark of its own, where the caller knows it.
pub(super) fn parse(bytes: &[u8], ansi: Option<&'static Encoding>) -> Result<RegText, RegTextError> {
    let units = decode(bytes, ansi);
    let encoding = ansi.unwrap_or(WINDOWS_1252);
    let mut reader = Reader { units: &units, position: 0, line: 1 };
    let header = trimmed(reader.rest_of_line());
    let narrow = if is(header, VERSION_4) {
        Some(encoding)
    } else if is(header, VERSION_5) {
        None
    } else {
        let expected = "the first line of a .reg file (Windows Registry Editor Version 5.00, or REGEDIT4)";
        return Err(RegTextError::line(1, expected, header));
    };
    let mut sections: Vec<RegSection> = Vec::new();
    while let Some(first) = reader.next_content() {
        match first {
            SEMICOLON => drop(reader.rest_of_line()),
            OPEN => sections.push(section(&mut reader)?),
            _ => {
                let (line, start) = (reader.line, reader.position);
                let assignment = assignment(&mut reader, narrow)?;
                match sections.last_mut() {
                    Some(section) if !section.delete => section.values.push(assignment),
                    section => {
                        let expected = if section.is_some() {
                            "possible below a key that is deleted"
                        } else {
                            "possible before the first key"
                        };
                        return Err(RegTextError::line(line, expected, reader.line_at(start)));
                    }
                }
            }
        }
    }
    Ok(RegText { sections })
}

/// The text of a file: by its byte order mark; UTF-16LE without one where every other byte of the
/// beginning is 0; else UTF-8 if it is that, else the western code page of Windows.
fn decode(bytes: &[u8], ansi: Option<&'static Encoding>) -> Vec<u16> {
    match bytes {
        [0xFF, 0xFE, text @ ..] => name::units_from_le(text),
        [0xFE, 0xFF, text @ ..] => {
            text.chunks_exact(2).filter_map(|pair| pair.try_into().ok().map(u16::from_be_bytes)).collect()
        }
        [0xEF, 0xBB, 0xBF, text @ ..] => name::units(&String::from_utf8_lossy(text)),
        [first, 0, _, 0, ..] if *first != 0 => name::units_from_le(bytes),
        _ => match (ansi, std::str::from_utf8(bytes)) {
            (Some(encoding), _) => decoded(bytes, encoding),
            (None, Ok(text)) if !bytes.starts_with(VERSION_4.as_bytes()) => name::units(text),
            (None, _) => decoded(bytes, WINDOWS_1252),
        },
    }
}

fn decoded(bytes: &[u8], encoding: &'static Encoding) -> Vec<u16> {
    name::units(&encoding.decode_without_bom_handling(bytes).0)
}

fn is(units: &[u16], text: &str) -> bool {
    units.iter().copied().eq(text.encode_utf16())
}

fn is_blank(unit: u16) -> bool {
    matches!(unit, BLANK | TAB | CARRIAGE_RETURN)
}

fn trimmed(mut line: &[u16]) -> &[u16] {
    while let [rest @ .., last] = line
        && is_blank(*last)
    {
        line = rest;
    }
    while let [first, rest @ ..] = line
        && is_blank(*first)
    {
        line = rest;
    }
    line
}

/// The text with a place in it.
struct Reader<'a> {
    units: &'a [u16],
    position: usize,
    line: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u16> {
        self.units.get(self.position).copied()
    }

    fn next(&mut self) -> Option<u16> {
        let unit = self.peek()?;
        self.position += 1;
        self.line += usize::from(unit == LINE_FEED);
        Some(unit)
    }

    /// Takes a unit if it is the next one.
    fn take(&mut self, unit: u16) -> bool {
        let found = self.peek() == Some(unit);
        if found {
            self.next();
        }
        found
    }

    /// Takes a word in any case if it comes next.
    fn take_word(&mut self, word: &str) -> bool {
        let end = self.position.saturating_add(word.len());
        let found =
            self.units.get(self.position..end).is_some_and(|units| name::same(units, &name::units(word)));
        if found {
            self.position = end;
        }
        found
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(is_blank) {
            self.position += 1;
        }
    }

    /// Goes to the first unit that is neither blank nor a line's end.
    fn next_content(&mut self) -> Option<u16> {
        while self.peek().is_some_and(|unit| is_blank(unit) || unit == LINE_FEED) {
            self.next();
        }
        self.peek()
    }

    /// The rest of the line without its end, which is passed.
    fn rest_of_line(&mut self) -> &'a [u16] {
        let line = self.line_at(self.position);
        self.position += line.len();
        self.next();
        line
    }

    /// From a place to the end of its line.
    fn line_at(&self, start: usize) -> &'a [u16] {
        let rest = self.units.get(start..).unwrap_or_default();
        rest.split(|&unit| unit == LINE_FEED).next().unwrap_or_default()
    }

    /// Nothing but blanks or a comment may stand up to the line's end.
    fn end_line(&mut self) -> Result<(), RegTextError> {
        let line = self.line;
        let rest = trimmed(self.rest_of_line());
        match rest.first() {
            None | Some(&SEMICOLON) => Ok(()),
            Some(_) => Err(RegTextError::line(line, "the end of the line", rest)),
        }
    }
}

fn section(reader: &mut Reader<'_>) -> Result<RegSection, RegTextError> {
    let line = reader.line;
    let text = trimmed(reader.rest_of_line());
    let wrong = || RegTextError::line(line, "a key in brackets", text);
    // A key's name may hold brackets itself.
    let end = text.iter().rposition(|&unit| unit == CLOSE).ok_or_else(wrong)?;
    let behind = trimmed(text.get(end + 1..).unwrap_or_default());
    if !matches!(behind.first(), None | Some(&SEMICOLON)) {
        return Err(wrong());
    }
    let inside = text.get(1..end).unwrap_or_default();
    let (delete, key) = match inside {
        [MINUS, key @ ..] => (true, key),
        key => (false, key),
    };
    if key.is_empty() {
        return Err(wrong());
    }
    Ok(RegSection { line, key: WinName::from(key), delete, values: Vec::new() })
}

fn assignment(
    reader: &mut Reader<'_>,
    narrow: Option<&'static Encoding>,
) -> Result<RegAssignment, RegTextError> {
    let (line, start) = (reader.line, reader.position);
    let wrong = |reader: &Reader<'_>, expected| RegTextError::line(line, expected, reader.line_at(start));
    let name = if reader.take(u16::from(b'@')) {
        Vec::new()
    } else if reader.peek() == Some(QUOTE) {
        quoted(reader)?
    } else {
        return Err(wrong(reader, "a key in brackets, a value or a comment"));
    };
    reader.skip_blanks();
    if !reader.take(u16::from(b'=')) {
        return Err(wrong(reader, "a value: `=` is missing behind its name"));
    }
    reader.skip_blanks();
    let data = if reader.peek() == Some(QUOTE) {
        let mut text = quoted(reader)?;
        text.push(0);
        Some((ValueType::SZ, name::units_to_le(&text)))
    } else if reader.take(MINUS) {
        None
    } else if reader.take_word("dword:") {
        reader.skip_blanks();
        let number = hexadecimal(reader, 8).ok_or_else(|| wrong(reader, "a number of 1 to 8 hex digits"))?;
        Some((ValueType::DWORD, number.to_le_bytes().to_vec()))
    } else if reader.take_word("hex:") {
        Some((ValueType::BINARY, bytes(reader)?))
    } else if reader.take_word("hex(") {
        let kind = hexadecimal(reader, 8).filter(|_| reader.take_word("):"));
        let kind = ValueType(kind.ok_or_else(|| wrong(reader, "a type such as hex(7):"))?);
        let data = bytes(reader)?;
        Some((
            kind,
            match narrow {
                Some(encoding) => widened(kind, data, encoding),
                None => data,
            },
        ))
    } else {
        return Err(wrong(reader, "a value: data are \"text\", dword:, hex:, hex(T): or -"));
    };
    reader.end_line()?;
    Ok(RegAssignment { line, name: WinName::new(name), data })
}

/// A text in quotes; like regedit it may go over several lines.
fn quoted(reader: &mut Reader<'_>) -> Result<Vec<u16>, RegTextError> {
    let (line, start) = (reader.line, reader.position);
    reader.next();
    let mut text = Vec::new();
    loop {
        let at = reader.line;
        match reader.next() {
            Some(QUOTE) => return Ok(text),
            Some(BACKSLASH) => match reader.next() {
                Some(unit @ (QUOTE | BACKSLASH)) => text.push(unit),
                _ => {
                    let expected = "a text in quotes: a backslash in it is written twice";
                    return Err(RegTextError::line(at, expected, reader.line_at(start)));
                }
            },
            Some(unit) => text.push(unit),
            None => {
                let expected = "a text in quotes: the closing quote is missing";
                return Err(RegTextError::line(line, expected, reader.line_at(start)));
            }
        }
    }
}

/// A number of at most so many digits.
fn hexadecimal(reader: &mut Reader<'_>, most: usize) -> Option<u32> {
    let mut number = 0;
    let mut digits = 0;
    while let Some(digit) = reader.peek().and_then(digit) {
        if digits == most {
            return None;
        }
        reader.position += 1;
        digits += 1;
        number = number << 4 | digit;
    }
    (digits > 0).then_some(number)
}

fn digit(unit: u16) -> Option<u32> {
    char::from_u32(unit.into())?.to_digit(16)
}

/// Bytes separated by commas; `\` at a line's end continues it. A comma may stand at the end.
fn bytes(reader: &mut Reader<'_>) -> Result<Vec<u8>, RegTextError> {
    let mut bytes = Vec::new();
    loop {
        skip_continuations(reader)?;
        let (line, start) = (reader.line, reader.position);
        if reader.peek().and_then(digit).is_none() {
            return Ok(bytes);
        }
        let byte = hexadecimal(reader, 2).and_then(|number| u8::try_from(number).ok());
        bytes.push(
            byte.ok_or_else(|| {
                RegTextError::line(line, "a byte of 1 or 2 hex digits", reader.line_at(start))
            })?,
        );
        skip_continuations(reader)?;
        if !reader.take(COMMA) {
            return Ok(bytes);
        }
    }
}

fn skip_continuations(reader: &mut Reader<'_>) -> Result<(), RegTextError> {
    loop {
        reader.skip_blanks();
        let (line, start) = (reader.line, reader.position);
        if !reader.take(BACKSLASH) {
            return Ok(());
        }
        reader.skip_blanks();
        match reader.peek() {
            Some(LINE_FEED) => drop(reader.next()),
            None => return Ok(()),
            Some(_) => {
                let expected = "the end of the line behind a backslash";
                return Err(RegTextError::line(line, expected, reader.line_at(start)));
            }
        }
    }
}

/// Text of a `REGEDIT4` file, which has one byte for each character, as the registry stores it.
fn widened(kind: ValueType, data: Vec<u8>, encoding: &'static Encoding) -> Vec<u8> {
    match kind {
        ValueType::SZ | ValueType::EXPAND_SZ | ValueType::LINK | ValueType::MULTI_SZ => {
            name::units_to_le(&decoded(&data, encoding))
        }
        _ => data,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(line: usize, name: &str, kind: u32, data: &[u8]) -> RegAssignment {
        RegAssignment { line, name: name.into(), data: Some((ValueType(kind), data.to_vec())) }
    }

    const TEXT: &str = "Windows Registry Editor Version 5.00\r\n\r\n; a comment\r\n\
        [HKEY_LOCAL_MACHINE\\SOFTWARE\\A]b]\r\n\
        @=\"x\"\r\n\
        \"a\\\\\\\"b\"=dword:a ; behind\r\n\
        \t\"bin\" = hex:01,2,\\\r\n  ff\r\n\
        \"none\"=hex(0):\r\n\
        \"odd\"=hex(ffff0012):41,00\r\n\
        \"gone\"=-\r\n\
        \"two\"=\"1\r\n2\"\r\n\
        [-HKLM\\SOFTWARE\\B] ; behind\r\n";

    fn expected() -> RegText {
        RegText {
            sections: vec![
                RegSection {
                    line: 4,
                    key: "HKEY_LOCAL_MACHINE\\SOFTWARE\\A]b".into(),
                    delete: false,
                    values: vec![
                        value(5, "", 1, b"x\0\0\0"),
                        value(6, "a\\\"b", 4, &[10, 0, 0, 0]),
                        value(7, "bin", 3, &[1, 2, 255]),
                        value(9, "none", 0, &[]),
                        value(10, "odd", 0xFFFF_0012, b"A\0"),
                        RegAssignment { line: 11, name: "gone".into(), data: None },
                        value(12, "two", 1, b"1\0\r\0\n\x002\0\0\0"),
                    ],
                },
                RegSection { line: 14, key: "HKLM\\SOFTWARE\\B".into(), delete: true, values: vec![] },
            ],
        }
    }

    #[test]
    fn every_encoding_says_the_same() {
        let wide = name::units_to_le(&name::units(TEXT));
        let big: Vec<u8> = wide.chunks(2).flat_map(|pair| [pair[1], pair[0]]).collect();
        let forms: [Vec<u8>; 5] = [
            TEXT.into(),
            [&[0xFF, 0xFE][..], &wide].concat(),
            wide,
            [&[0xFE, 0xFF][..], &big].concat(),
            [&[0xEF, 0xBB, 0xBF][..], TEXT.as_bytes()].concat(),
        ];
        for form in forms {
            assert_eq!(parse(&form, None), Ok(expected()));
        }
    }

    #[test]
    fn version_4_is_ansi() {
        let text =
            b"REGEDIT4\n[HKLM\\SOFTWARE\\\xC9]\n\"p\"=hex(2):25,e9,00\n\"b\"=hex:25,e9\n\"s\"=\"\x80\"";
        let parsed = parse(text, None).unwrap();
        assert_eq!(parsed.sections[0].key, "HKLM\\SOFTWARE\\\u{C9}".into());
        assert_eq!(
            parsed.sections[0].values,
            [
                value(3, "p", 2, b"%\0\xE9\0\0\0"),
                value(4, "b", 3, b"%\xE9"),
                value(5, "s", 1, b"\xAC\x20\0\0")
            ]
        );
    }

    #[test]
    fn bad_lines_are_named() {
        let cases = [
            ("", 1),
            ("REGEDIT5\n", 1),
            ("REGEDIT4\n\"a\"=\"b\"\n", 2),
            ("REGEDIT4\n[-HKLM\\A]\n\"a\"=\"b\"\n", 3),
            ("REGEDIT4\n[HKLM\\A\n", 2),
            ("REGEDIT4\n[]\n", 2),
            ("REGEDIT4\n[A] x\n", 2),
            ("REGEDIT4\n[A]\nname=1\n", 3),
            ("REGEDIT4\n[A]\n\"a\" \"b\"\n", 3),
            ("REGEDIT4\n[A]\n\n\"a\"=\"C:\\x\"\n", 4),
            ("REGEDIT4\n[A]\n\"a\"=\"b\n", 3),
            ("REGEDIT4\n[A]\n\"a\"=\"b\" c\n", 3),
            ("REGEDIT4\n[A]\n\"a\"=dword:\n", 3),
            ("REGEDIT4\n[A]\n\"a\"=dword:123456789\n", 3),
            ("REGEDIT4\n[A]\n\"a\"=hex:123\n", 3),
            ("REGEDIT4\n[A]\n\"a\"=hex:12,\\\n  zz\n", 4),
            ("REGEDIT4\n[A]\n\"a\"=hex:12,\\ x\n", 3),
            ("REGEDIT4\n[A]\n\"a\"=hex(:12\n", 3),
            ("REGEDIT4\n[A]\n\"a\"=hex(123456789):12\n", 3),
            ("REGEDIT4\n[A]\n\"a\"=qword:12\n", 3),
        ];
        for (text, expected) in cases {
            match parse(text.as_bytes(), None) {
                Err(RegTextError::Line { line, .. }) => assert_eq!(line, expected, "{text:?}"),
                other => panic!("{text:?}: {other:?}"),
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_end_in_a_result(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
            let text = [b"REGEDIT4\n[A]\n\"a\"=".as_slice(), &bytes].concat();
            if let Ok(parsed) = parse(&text, None) {
                proptest::prop_assert!(parsed.sections.len() <= text.len());
            }
        }
    }
}
