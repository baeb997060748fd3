// SPDX-License-Identifier: GPL-3.0-or-later
//! The INF lexer.
//!
//! ```text
//! file    = { blank | comment | header | entry }
//! header  = "[" name "]" rest-of-line-ignored
//! entry   = [ key "=" ] value { "," value }
//! value   = { plain | quoted }           white space around it is dropped, inside kept
//! quoted  = '"' { any | '""' } ( '"' | end of line )
//! comment = ";" up to the end of the line
//! join    = "\" { "\" | white space } [ comment ] end of line     the entry goes on below
//! ```
//!
//! * White space: space, tab, VT, FF, CR, NUL and U+00A0.
//! * Only the first `=` splits, and only while no `,` was seen; elsewhere it is text.
//! * Text before the first section is an error when its first line holds a `=` or a `,`;
//!   otherwise everything up to the first line that begins with `[` is ignored.
//! * A line end inside quotes ends the quoted text and the entry; a CR before it is dropped.
//!   (Wine 8 keeps that CR: the one intended difference from it.)
//!
//! Facts from Microsoft's "General syntax rules for INF files" and from comparing with Wine's
//! setupapi on 1,076 real files.

use super::InfError;
use super::document::{Document, LineData, SectionData, Span, fold};

/// Longest field in UTF-16 units, without the terminator (Microsoft: 4,096 with it).
pub(super) const MAX_FIELD: usize = 4095;
const MAX_SECTION_NAME: usize = 255;
const MAX_SECTIONS: usize = 1 << 17;

/// Splits a text into sections, lines and fields.
pub(super) fn lex(text: &str) -> Result<Document, InfError> {
    let mut document = Document { text: String::with_capacity(text.len()), ..Document::default() };
    Lexer { text, bytes: text.as_bytes(), position: 0, number: 1, document: &mut document, section: None }
        .run()?;
    Ok(document)
}

struct Lexer<'a> {
    text: &'a str,
    bytes: &'a [u8],
    position: usize,
    number: u32,
    document: &'a mut Document,
    section: Option<usize>,
}

/// An entry while it is read; its values are already in the document.
struct Entry {
    number: u32,
    first_field: usize,
    has_key: bool,
    has_comma: bool,
    any_text: bool,
}

/// A field while it is read.
struct Field {
    start: usize,
    /// End without the white space read last; grows when other text follows.
    trimmed: usize,
    /// Something other than white space was read, be it an empty pair of quotes.
    begun: bool,
}

impl Lexer<'_> {
    fn run(mut self) -> Result<(), InfError> {
        let mut only_headers = false;
        while let Some(byte) = self.skip_space() {
            match byte {
                b'\n' => self.next_line(),
                b';' => self.skip_line(),
                b'[' => {
                    only_headers = false;
                    self.header()?;
                }
                _ if only_headers => self.skip_line(),
                _ => {
                    let entry = self.entry()?;
                    match self.section {
                        Some(section) => self.store(section, &entry),
                        None if entry.has_key || entry.has_comma => {
                            return Err(InfError::TextBeforeSection { line: entry.number });
                        }
                        None => {
                            self.document.fields.truncate(entry.first_field);
                            only_headers = true;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.position).copied()
    }

    /// Length of the white space character at `position`; zero when there is none.
    fn space_at(&self, position: usize) -> usize {
        match self.bytes.get(position) {
            Some(b' ' | b'\t' | 0x0B | 0x0C | b'\r' | 0) => 1,
            Some(0xC2) if self.bytes.get(position + 1) == Some(&0xA0) => 2,
            _ => 0,
        }
    }

    /// Skips white space, not line ends; gives the byte found.
    fn skip_space(&mut self) -> Option<u8> {
        loop {
            match self.space_at(self.position) {
                0 => return self.peek(),
                length => self.position += length,
            }
        }
    }

    fn next_line(&mut self) {
        self.position += 1;
        self.number = self.number.saturating_add(1);
    }

    /// Position of the next line end, or the end of the text.
    fn line_end(&self, from: usize) -> usize {
        let rest = self.bytes.get(from..).unwrap_or_default();
        from + rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len())
    }

    fn skip_line(&mut self) {
        self.position = self.line_end(self.position);
    }

    fn slice(&self, start: usize, end: usize) -> &str {
        self.text.get(start..end).unwrap_or_default()
    }

    fn header(&mut self) -> Result<(), InfError> {
        let line = self.number;
        let end = self.line_end(self.position);
        let start = self.position + 1;
        let length = self
            .bytes
            .get(start..end)
            .and_then(|rest| rest.iter().position(|byte| *byte == b']'))
            .ok_or(InfError::SectionHeader { line })?;
        let name = self.slice(start, start + length);
        if name.encode_utf16().count() > MAX_SECTION_NAME {
            return Err(InfError::SectionNameTooLong { line });
        }
        let key = fold(name).into_boxed_str();
        let section = match self.document.index.get(&key) {
            Some(section) => *section,
            None => {
                let position = self.document.sections.len();
                if position == MAX_SECTIONS {
                    return Err(InfError::TooManySections { line, limit: MAX_SECTIONS });
                }
                let name = {
                    let from = self.document.text.len();
                    let name = self.text.get(start..start + length).unwrap_or_default();
                    self.document.text.push_str(name);
                    span(from, self.document.text.len())
                };
                self.document.sections.push(SectionData { name, number: line, lines: Vec::new() });
                self.document.index.insert(key, position);
                position
            }
        };
        self.section = Some(section);
        self.position = end;
        Ok(())
    }

    /// Reads one entry with the lines joined to it, up to its line end.
    fn entry(&mut self) -> Result<Entry, InfError> {
        let mut entry = Entry {
            number: self.number,
            first_field: self.document.fields.len(),
            has_key: false,
            has_comma: false,
            any_text: false,
        };
        let mut field = self.begin_field();
        loop {
            match self.peek() {
                None | Some(b'\n') => break,
                Some(b';') => {
                    self.skip_line();
                    break;
                }
                Some(b'=') if !entry.has_key && !entry.has_comma => {
                    entry.has_key = true;
                    self.position += 1;
                    self.end_field(&field)?;
                    field = self.begin_field();
                }
                Some(b',') => {
                    entry.has_comma = true;
                    self.position += 1;
                    self.end_field(&field)?;
                    field = self.begin_field();
                }
                Some(b'"') => {
                    self.quoted(&mut field);
                    entry.any_text = true;
                }
                Some(b'\\') => self.backslash(&mut field, &mut entry),
                Some(_) => {
                    let space = self.space_at(self.position);
                    if space == 0 {
                        self.plain(&mut field);
                        entry.any_text = true;
                    } else {
                        self.space(&field, space);
                    }
                }
            }
        }
        self.end_field(&field)?;
        Ok(entry)
    }

    fn begin_field(&mut self) -> Field {
        let start = self.document.text.len();
        Field { start, trimmed: start, begun: false }
    }

    fn end_field(&mut self, field: &Field) -> Result<(), InfError> {
        self.document.text.truncate(field.trimmed);
        let length = field.trimmed - field.start;
        if length > MAX_FIELD {
            let text = self.document.text.get(field.start..).unwrap_or_default();
            if text.encode_utf16().count() > MAX_FIELD {
                return Err(InfError::FieldTooLong { line: self.number, expanded: false });
            }
        }
        self.document.fields.push(span(field.start, field.trimmed));
        Ok(())
    }

    /// Appends to the field and makes all of it count.
    fn append(&mut self, field: &mut Field, start: usize, end: usize) {
        let piece = self.text.get(start..end).unwrap_or_default();
        if piece.contains('\0') {
            self.document.text.push_str(&piece.replace('\0', " "));
        } else {
            self.document.text.push_str(piece);
        }
        field.trimmed = self.document.text.len();
        field.begun = true;
    }

    /// White space inside a field is kept should other text follow; before it, dropped.
    fn space(&mut self, field: &Field, length: usize) {
        if field.begun {
            let piece = self.text.get(self.position..self.position + length).unwrap_or_default();
            self.document.text.push_str(if piece == "\0" { " " } else { piece });
        }
        self.position += length;
    }

    /// Text without any meaning of its own. Takes at least one byte.
    fn plain(&mut self, field: &mut Field) {
        let start = self.position;
        let mut end = start + 1;
        while let Some(byte) = self.bytes.get(end) {
            let ends = match byte {
                b'\n' | b';' | b'=' | b',' | b'"' | b'\\' => true,
                _ => self.space_at(end) != 0,
            };
            if ends {
                break;
            }
            end += 1;
        }
        self.position = end;
        self.append(field, start, end);
    }

    fn quoted(&mut self, field: &mut Field) {
        field.begun = true;
        self.position += 1;
        loop {
            let rest = self.bytes.get(self.position..).unwrap_or_default();
            let length = rest.iter().position(|byte| matches!(byte, b'"' | b'\n')).unwrap_or(rest.len());
            let end = self.position + length;
            if self.bytes.get(end) == Some(&b'"') {
                let doubled = self.bytes.get(end + 1) == Some(&b'"');
                // Of a doubled quote the first is text, and the quoted run goes on after both.
                self.append(field, self.position, end + usize::from(doubled));
                self.position = end + 1 + usize::from(doubled);
                if !doubled {
                    return;
                }
            } else {
                let carriage_return = length > 0 && self.bytes.get(end - 1) == Some(&b'\r');
                self.append(
                    field,
                    self.position,
                    end - usize::from(carriage_return && end < self.bytes.len()),
                );
                self.position = end;
                return;
            }
        }
    }

    /// A backslash joins the next line when nothing but backslashes, white space and a comment
    /// follows it; else it is text.
    fn backslash(&mut self, field: &mut Field, entry: &mut Entry) {
        let start = self.position;
        let mut end = start;
        let mut last_backslash = start;
        loop {
            if self.bytes.get(end) == Some(&b'\\') {
                last_backslash = end;
                end += 1;
            } else {
                match self.space_at(end) {
                    0 => break,
                    length => end += length,
                }
            }
        }
        if self.bytes.get(end) == Some(&b';') {
            end = self.line_end(end);
        }
        match self.bytes.get(end) {
            None => {
                self.document.text.truncate(field.trimmed);
                self.position = end;
            }
            Some(b'\n') => {
                self.document.text.truncate(field.trimmed);
                self.position = end;
                self.next_line();
                self.skip_space();
            }
            Some(_) => {
                self.append(field, start, last_backslash + 1);
                self.position = last_backslash + 1;
                entry.any_text = true;
            }
        }
    }

    fn store(&mut self, section: usize, entry: &Entry) {
        let mut first_field = entry.first_field;
        let mut count = self.document.fields.len() - first_field;
        if count == 1 && !entry.any_text && !entry.has_key {
            // Nothing but a joined empty line.
            self.document.fields.truncate(first_field);
            return;
        }
        let first = self.document.fields.get(first_field).copied();
        let key = if entry.has_key {
            first_field += 1;
            count -= 1;
            first
        } else if count == 1 {
            first
        } else {
            None
        };
        let line = LineData {
            key,
            first_field: number_of(first_field),
            field_count: number_of(count),
            number: entry.number,
        };
        if let Some(section) = self.document.sections.get_mut(section) {
            section.lines.push(line);
        }
    }
}

fn span(start: usize, end: usize) -> Span {
    Span { start: number_of(start), end: number_of(end) }
}

/// The size of a file is limited so that every offset fits.
fn number_of(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Lines = Vec<(Option<String>, Vec<String>)>;

    fn lines(text: &str) -> Lines {
        let document = lex(&format!("[s]\n{text}")).unwrap();
        let section = document.section("S").unwrap();
        section
            .lines()
            .map(|line| (line.key().map(str::to_owned), line.fields().map(str::to_owned).collect()))
            .collect()
    }

    fn keyed(key: &str, fields: &[&str]) -> (Option<String>, Vec<String>) {
        (Some(key.into()), fields.iter().map(|field| (*field).to_owned()).collect())
    }

    fn bare(fields: &[&str]) -> (Option<String>, Vec<String>) {
        (None, fields.iter().map(|field| (*field).to_owned()).collect())
    }

    #[test]
    fn entries() {
        let cases: [(&str, Lines); 27] = [
            ("a=b", vec![keyed("a", &["b"])]),
            (" a b =\t c d  , e \r\n", vec![keyed("a b", &["c d", "e"])]),
            ("a=b=c", vec![keyed("a", &["b=c"])]),
            ("a,b=c", vec![bare(&["a", "b=c"])]),
            ("a", vec![keyed("a", &["a"])]),
            ("a=", vec![keyed("a", &[""])]),
            ("a,", vec![bare(&["a", ""])]),
            ("a=,,b,", vec![keyed("a", &["", "", "b", ""])]),
            ("=a", vec![keyed("", &["a"])]),
            ("a ; b", vec![keyed("a", &["a"])]),
            ("; a", vec![]),
            ("a=\"b;c,d=e\"", vec![keyed("a", &["b;c,d=e"])]),
            ("a=\"b \"\"c\"\" \" d", vec![keyed("a", &["b \"c\"  d"])]),
            ("a=x\"y\"z", vec![keyed("a", &["xyz"])]),
            ("a=\" b \" ", vec![keyed("a", &[" b "])]),
            ("a=\"b\r\nc", vec![keyed("a", &["b"]), keyed("c", &["c"])]),
            ("a=\"\" , b", vec![keyed("a", &["", "b"])]),
            ("\"\"", vec![keyed("", &[""])]),
            ("a=b \\\n  c", vec![keyed("a", &["bc"])]),
            ("a=b,\\ ; why\r\n  c\nd", vec![keyed("a", &["b", "c"]), keyed("d", &["d"])]),
            ("a=b\\\\\nc", vec![keyed("a", &["bc"])]),
            ("a=\\b\\c", vec![keyed("a", &["\\b\\c"])]),
            ("a=b\\ , c\\", vec![keyed("a", &["b\\", "c"])]),
            ("a=\"b\\\"\nc", vec![keyed("a", &["b\\"]), keyed("c", &["c"])]),
            ("\\\n\nb", vec![keyed("b", &["b"])]),
            ("\u{A0}\na\u{A0}b\0c\u{A0}", vec![keyed("a\u{A0}b c", &["a\u{A0}b c"])]),
            ("a=\"b\0c\"", vec![keyed("a", &["b c"])]),
        ];
        for (text, expected) in cases {
            assert_eq!(lines(text), expected, "{text:?}");
        }
    }

    #[test]
    fn sections() {
        let document = lex("head\nmore, text\n [A ]x\na\n[b]\nb\n[a ]\nc\r\n[ ]").unwrap();
        let found: Vec<(&str, u32, usize)> = document
            .sections()
            .map(|section| (section.name(), section.number(), section.lines().count()))
            .collect();
        assert_eq!(found, [("A ", 3, 2), ("b", 5, 1), (" ", 9, 0)]);
        let numbers: Vec<u32> = document.section("a ").unwrap().lines().map(|line| line.number()).collect();
        assert_eq!(numbers, [4, 8]);
    }

    #[test]
    fn refusals() {
        let long = format!("[{}]", "a".repeat(256));
        let field = format!("[a]\n\nb={}", "c".repeat(4096));
        let cases: [(&str, InfError); 6] = [
            ("\n; c\na=b\n[a]", InfError::TextBeforeSection { line: 3 }),
            ("a,b", InfError::TextBeforeSection { line: 1 }),
            ("[a]\n[b\n]", InfError::SectionHeader { line: 2 }),
            ("[a]\n[", InfError::SectionHeader { line: 2 }),
            (&long, InfError::SectionNameTooLong { line: 1 }),
            (&field, InfError::FieldTooLong { line: 3, expanded: false }),
        ];
        for (text, expected) in cases {
            assert_eq!(lex(text).map(|_| ()), Err(expected), "{text:?}");
        }
        assert!(lex(&format!("[{}]\na={}", "a".repeat(255), "b".repeat(4095))).is_ok());
    }

    proptest::proptest! {
        #[test]
        fn any_text_lexes_or_is_refused(text in "[\\[\\]\\\\\",;= \r\n\0a\u{A0}\u{4E2D}]{0,80}") {
            if let Ok(document) = lex(&text) {
                for section in document.sections() {
                    for line in section.lines() {
                        proptest::prop_assert!(line.fields().len() > 0);
                    }
                }
            }
        }
    }
}
