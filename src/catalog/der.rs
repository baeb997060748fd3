// SPDX-License-Identifier: GPL-3.0-or-later
//! What the crate `der` lacks for signed files: a SET OF as it stands, and offsets in the file.

use ::der::asn1::AnyRef;
use ::der::{
    Choice, Decode, DecodeValue, Encode, EncodeValue, FixedTag, Header, Length, Reader, SliceReader, Tag,
    Writer,
};

use super::CatalogError;

/// The most elements that a part of a name may have; real ones have one.
const MAX_PARTS: usize = 16;
/// How deep in a certificate or a signer's name the parts of names are.
const NAME_DEPTH: usize = 4;

/// A SET OF in the order of the file.
///
/// Not `der::asn1::SetOfVec`: that one sorts, by insertion, so that a hostile file costs the
/// square of its size; it refuses an element that is there twice, which real catalogs have; and
/// signed attributes are hashed as they stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SetOf<T>(pub(super) Vec<T>);

impl<T> FixedTag for SetOf<T> {
    const TAG: Tag = Tag::Set;
}

impl<'a, T: Decode<'a>> DecodeValue<'a> for SetOf<T> {
    fn decode_value<R: Reader<'a>>(reader: &mut R, header: Header) -> ::der::Result<Self> {
        reader.read_nested(header.length, |reader| {
            let mut elements = Vec::new();
            while !reader.is_finished() {
                elements.push(T::decode(reader)?);
            }
            Ok(Self(elements))
        })
    }
}

impl<T: Encode> EncodeValue for SetOf<T> {
    fn value_len(&self) -> ::der::Result<Length> {
        self.0.iter().try_fold(Length::ZERO, |sum, element| sum + element.encoded_len()?)
    }

    fn encode_value(&self, writer: &mut impl Writer) -> ::der::Result<()> {
        self.0.iter().try_for_each(|element| element.encode(writer))
    }
}

/// The bytes of a file. Everything decoded borrows from them, so that a part's offset is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct File<'a>(pub(super) &'a [u8]);

impl<'a> File<'a> {
    /// Where a part of the file begins.
    pub(super) fn offset(self, part: &[u8]) -> u64 {
        part.as_ptr().addr().saturating_sub(self.0.as_ptr().addr()) as u64
    }

    /// The error of a part that is not as it should be.
    pub(super) fn damaged(self, what: &'static str, part: &[u8]) -> CatalogError {
        CatalogError::Der { what, offset: self.offset(part) }
    }

    /// An error of `der` inside of a part.
    fn error(self, what: &'static str, part: &[u8], error: ::der::Error) -> CatalogError {
        let inside = error.position().map_or(0, |position| u64::from(u32::from(position)));
        CatalogError::Der { what, offset: self.offset(part) + inside }
    }

    /// Decodes an element at the start of a part; gives what stands behind it too.
    pub(super) fn first<T: Decode<'a>>(
        self,
        part: &'a [u8],
        what: &'static str,
    ) -> Result<(T, &'a [u8]), CatalogError> {
        let read = || {
            let mut reader = SliceReader::new(part)?;
            let value = T::decode(&mut reader)?;
            let end = usize::try_from(reader.position())?;
            Ok((value, part.get(end..).unwrap_or_default()))
        };
        read().map_err(|error| self.error(what, part, error))
    }

    /// Decodes an element.
    pub(super) fn read<T: Choice<'a> + DecodeValue<'a>>(
        self,
        element: AnyRef<'a>,
        what: &'static str,
    ) -> Result<T, CatalogError> {
        element.decode_as().map_err(|error| self.error(what, element.value(), error))
    }

    /// Decodes an element, and fails when anything in it was skipped: `der` passes over
    /// context-specific elements that it does not look for.
    pub(super) fn read_all<T: Choice<'a> + DecodeValue<'a> + Encode>(
        self,
        element: AnyRef<'a>,
        what: &'static str,
    ) -> Result<T, CatalogError> {
        let value: T = self.read(element, what)?;
        let lengths = value.encoded_len().and_then(|length| Ok((length, element.encoded_len()?)));
        match lengths {
            Ok((read, whole)) if read == whole => Ok(value),
            _ => Err(self.damaged(what, element.value())),
        }
    }

    /// Fails on names that take long to decode: `x509-cert` keeps a part of a name in a
    /// `SetOfVec`.
    pub(super) fn check_names(self, element: AnyRef<'a>, what: &'static str) -> Result<(), CatalogError> {
        self.check_sets(element, what, NAME_DEPTH)
    }

    fn check_sets(self, element: AnyRef<'a>, what: &'static str, depth: usize) -> Result<(), CatalogError> {
        let set = Tag::Set == ::der::Tagged::tag(&element);
        if depth == 0 || !(set || ::der::Tagged::tag(&element) == Tag::Sequence) {
            return Ok(());
        }
        let mut rest = element.value();
        let mut count = 0;
        while !rest.is_empty() {
            if set && count == MAX_PARTS {
                return Err(self.damaged(what, rest));
            }
            let (inside, behind) = self.first(rest, what)?;
            self.check_sets(inside, what, depth - 1)?;
            rest = behind;
            count += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements() {
        let bytes = [0x30, 0x05, 0x02, 0x01, 0x07, 0x05, 0x00, 0x04, 0x81, 0x80];
        let file = File(&bytes);
        let (sequence, rest) = file.first::<AnyRef<'_>>(&bytes, "a").unwrap();
        assert_eq!((file.offset(sequence.value()), file.offset(rest)), (2, 7));
        let parts: Vec<AnyRef<'_>> = file.read(sequence, "b").unwrap();
        assert_eq!(parts.iter().map(|part| file.offset(part.value())).collect::<Vec<_>>(), [4, 7]);
        assert_eq!(parts[0].value(), [7]);
        assert_eq!(file.read::<bool>(parts[0], "c"), Err(CatalogError::Der { what: "c", offset: 4 }));
        assert!(matches!(
            file.first::<AnyRef<'_>>(rest, "d"),
            Err(CatalogError::Der { what: "d", offset: 7.. })
        ));
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
            assert!(File(bytes).first::<AnyRef<'_>>(bytes, "x").is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn sets_stay_as_they_are() {
        let bytes = [0x31, 9, 2, 1, 2, 2, 1, 1, 2, 1, 2];
        let (set, _) = File(&bytes).first::<SetOf<u8>>(&bytes, "a set").unwrap();
        assert_eq!(set, SetOf(vec![2, 1, 2]));
        assert_eq!(set.to_der().unwrap(), bytes);
    }

    #[test]
    fn names_have_few_parts() {
        for (count, fine) in [(MAX_PARTS, true), (MAX_PARTS + 1, false)] {
            let parts = [5, 0].repeat(count);
            let set = [&[0x30, parts.len() as u8 + 2, 0x31, parts.len() as u8][..], &parts].concat();
            let (element, _) = File(&set).first(&set, "x").unwrap();
            assert_eq!(File(&set).check_names(element, "a name").is_ok(), fine);
        }
    }
}
