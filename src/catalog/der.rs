// SPDX-License-Identifier: GPL-3.0-or-later
//! A reader for DER: elements as slices of the file, each with its offset.
//!
//! Only what signed files use: one-byte tags and definite lengths of at most four bytes.

use super::CatalogError;

/// Tags (X.690): class and constructed bits included.
pub(super) mod tag {
    pub(in super::super) const BOOLEAN: u8 = 0x01;
    pub(in super::super) const INTEGER: u8 = 0x02;
    pub(in super::super) const BIT_STRING: u8 = 0x03;
    pub(in super::super) const OCTET_STRING: u8 = 0x04;
    pub(in super::super) const OID: u8 = 0x06;
    pub(in super::super) const BMP_STRING: u8 = 0x1E;
    pub(in super::super) const SEQUENCE: u8 = 0x30;
    pub(in super::super) const SET: u8 = 0x31;
    /// `[0]`, constructed.
    pub(in super::super) const CONTEXT_0: u8 = 0xA0;
    /// `[1]`, constructed.
    pub(in super::super) const CONTEXT_1: u8 = 0xA1;
    /// `[3]`, constructed.
    pub(in super::super) const CONTEXT_3: u8 = 0xA3;
}

/// One element.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    /// Without tag and length.
    pub(super) content: &'a [u8],
    /// With tag and length.
    pub(super) whole: &'a [u8],
    /// Where the element begins in the file.
    pub(super) offset: usize,
}

impl<'a> Element<'a> {
    /// Reads the elements inside.
    pub(super) fn inside(&self) -> Reader<'a> {
        Reader { bytes: self.content, offset: self.offset + (self.whole.len() - self.content.len()) }
    }
}

/// Takes one element after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes not read yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    pub(super) fn error(&self, what: &'static str) -> CatalogError {
        CatalogError::Der { what, offset: self.offset as u64 }
    }

    /// The tag of the next element.
    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.first().copied()
    }

    /// The next element, whatever it is.
    pub(super) fn any(&mut self, what: &'static str) -> Result<Element<'a>, CatalogError> {
        let split = split(self.bytes).ok_or_else(|| self.error(what))?;
        let (tag, header, length) = split;
        let end = header + length;
        let (Some(whole), Some(content), Some(rest)) =
            (self.bytes.get(..end), self.bytes.get(header..end), self.bytes.get(end..))
        else {
            return Err(self.error(what));
        };
        let element = Element { tag, content, whole, offset: self.offset };
        self.bytes = rest;
        self.offset += end;
        Ok(element)
    }

    /// The next element, which must have this tag.
    pub(super) fn expect(&mut self, tag: u8, what: &'static str) -> Result<Element<'a>, CatalogError> {
        if self.peek() != Some(tag) {
            return Err(self.error(what));
        }
        self.any(what)
    }

    /// The next element if it has this tag.
    pub(super) fn optional(
        &mut self,
        tag: u8,
        what: &'static str,
    ) -> Result<Option<Element<'a>>, CatalogError> {
        if self.peek() == Some(tag) { self.any(what).map(Some) } else { Ok(None) }
    }

    /// Fails when something is left.
    pub(super) fn end(&self, what: &'static str) -> Result<(), CatalogError> {
        if self.is_empty() { Ok(()) } else { Err(self.error(what)) }
    }
}

/// Tag, length of the header, length of the content.
fn split(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (&tag, rest) = bytes.split_first()?;
    if tag & 0x1F == 0x1F {
        return None;
    }
    let (&first, rest) = rest.split_first()?;
    if first < 0x80 {
        return Some((tag, 2, usize::from(first)));
    }
    let count = usize::from(first & 0x7F);
    if count == 0 || count > 4 {
        return None;
    }
    let length = rest.get(..count)?.iter().fold(0usize, |length, byte| length << 8 | usize::from(*byte));
    Some((tag, 2 + count, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements() {
        let bytes = [0x30, 0x05, 0x02, 0x01, 0x07, 0x05, 0x00, 0x04, 0x81, 0x01, 0xAA];
        let mut reader = Reader::new(&bytes);
        let sequence = reader.expect(tag::SEQUENCE, "a").unwrap();
        let mut inside = sequence.inside();
        let integer = inside.expect(tag::INTEGER, "b").unwrap();
        assert_eq!((integer.content, integer.whole, integer.offset), (&[7][..], &[2, 1, 7][..], 2));
        assert_eq!(inside.peek(), Some(5));
        assert_eq!(inside.optional(tag::SET, "c").unwrap().map(|_| ()), None);
        assert_eq!(inside.end("c"), Err(CatalogError::Der { what: "c", offset: 5 }));
        assert_eq!(reader.expect(tag::OCTET_STRING, "d").unwrap().content, [0xAA]);
        assert!(reader.is_empty());
    }

    #[test]
    fn refusals() {
        let cases: [&[u8]; 7] = [
            &[],
            &[0x30],
            &[0x30, 0x80, 0, 0],
            &[0x30, 0x02, 0],
            &[0x30, 0x85, 0, 0, 0, 0, 0],
            &[0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF],
            &[0x1F, 0x01, 0],
        ];
        for bytes in cases {
            assert!(Reader::new(bytes).any("x").is_err(), "{bytes:?}");
        }
    }
}
