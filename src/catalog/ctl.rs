// SPDX-License-Identifier: GPL-3.0-or-later
//! The certificate trust list that a catalog is.
//!
//! ```text
//! CTL      SEQUENCE { SEQUENCE { OID 1.3.6.1.4.1.311.12.1.1 }, OCTET STRING list identifier,
//!          time, SEQUENCE { OID 12.1.2 (v1) | 12.1.3 (v2), NULL },
//!          SEQUENCE OF Member OPTIONAL, [0] SEQUENCE OF { OID, OCTET STRING } OPTIONAL }
//! Member   SEQUENCE { OCTET STRING tag, SET OF SEQUENCE { OID, SET OF value } }
//! ```
//!
//! | attribute | value |
//! |---|---|
//! | 1.3.6.1.4.1.311.2.1.4 | SpcIndirectData: SEQUENCE { kind, SEQUENCE { algorithm, OCTET STRING digest } } |
//! | 1.3.6.1.4.1.311.12.2.1 | SEQUENCE { BMPString name, INTEGER flags, OCTET STRING value, UTF-16LE with NUL } |
//! | 1.3.6.1.4.1.311.12.2.2, 12.2.3 | kind of the member, v1 and v2; not needed |
//!
//! A v1 tag is the SHA-1 in upper-case hex as UTF-16LE text with its NUL (82 bytes); a v2 tag is
//! the SHA-1 or SHA-256 itself. Sources: Samba's `lib/mscat/mscat.asn`, thirteen real catalogs.

use std::collections::HashSet;

use super::der::{Element, Reader, tag};
use super::{CatalogError, Member};

/// 1.3.6.1.4.1.311.12.1.1
const CATALOG_LIST: &[u8] = &[0x2B, 6, 1, 4, 1, 0x82, 0x37, 12, 1, 1];
/// 1.3.6.1.4.1.311.12.2.1
const NAME_VALUE: &[u8] = &[0x2B, 6, 1, 4, 1, 0x82, 0x37, 12, 2, 1];
/// 1.3.6.1.4.1.311.2.1.4
const INDIRECT_DATA: &[u8] = &[0x2B, 6, 1, 4, 1, 0x82, 0x37, 2, 1, 4];

/// What a CTL says.
#[derive(Debug, Default)]
pub(super) struct List {
    pub(super) members: Vec<Member>,
    pub(super) attributes: Vec<(String, String)>,
    /// Every digest of a member: SHA-1 or SHA-256.
    pub(super) digests: HashSet<Box<[u8]>>,
}

pub(super) fn read(ctl: &Element<'_>) -> Result<List, CatalogError> {
    let mut reader = ctl.inside();
    let mut usage = reader.expect(tag::SEQUENCE, "the subject usage")?.inside();
    if usage.expect(tag::OID, "the subject usage")?.content != CATALOG_LIST {
        return Err(CatalogError::NotCatalog);
    }
    reader.expect(tag::OCTET_STRING, "the list identifier")?;
    reader.any("the time")?;
    reader.expect(tag::SEQUENCE, "the list's algorithm")?;
    let mut list = List::default();
    if let Some(members) = reader.optional(tag::SEQUENCE, "the member list")? {
        let mut members = members.inside();
        while !members.is_empty() {
            let member = member(&members.expect(tag::SEQUENCE, "a member")?, &mut list.digests)?;
            list.members.push(member);
        }
    }
    if let Some(extensions) = reader.optional(tag::CONTEXT_0, "the attributes")? {
        let mut extensions = extensions.inside().expect(tag::SEQUENCE, "the attributes")?.inside();
        while !extensions.is_empty() {
            let mut extension = extensions.expect(tag::SEQUENCE, "an attribute")?.inside();
            let kind = extension.expect(tag::OID, "an attribute's kind")?;
            extension.optional(tag::BOOLEAN, "an attribute's critical flag")?;
            let wrapped = extension.expect(tag::OCTET_STRING, "an attribute's value")?;
            if kind.content == NAME_VALUE {
                let pair = wrapped.inside().expect(tag::SEQUENCE, "a name and value")?;
                list.attributes.push(name_value(&pair)?);
            }
        }
    }
    reader.end("the end of the list")?;
    Ok(list)
}

fn member(element: &Element<'_>, digests: &mut HashSet<Box<[u8]>>) -> Result<Member, CatalogError> {
    let mut reader = element.inside();
    let tag_bytes = reader.expect(tag::OCTET_STRING, "a member's tag")?.content;
    let mut member = Member { tag: tag_bytes.to_vec(), file: None, os_attributes: Vec::new() };
    match tag_bytes.len() {
        20 | 32 => {
            digests.insert(tag_bytes.into());
        }
        _ => digests.extend(hex_tag(tag_bytes)),
    }
    let mut attributes = reader.expect(tag::SET, "a member's attributes")?.inside();
    while !attributes.is_empty() {
        let mut attribute = attributes.expect(tag::SEQUENCE, "a member's attribute")?.inside();
        let kind = attribute.expect(tag::OID, "an attribute's kind")?;
        let mut values = attribute.expect(tag::SET, "an attribute's values")?.inside();
        while !values.is_empty() {
            let value = values.any("an attribute's value")?;
            if kind.content == NAME_VALUE {
                let (name, text) = name_value(&value)?;
                match name.as_str() {
                    "File" => member.file = Some(text),
                    "OSAttr" => {
                        member.os_attributes.extend(text.split(',').map(|part| part.trim().to_owned()))
                    }
                    _ => {}
                }
            } else if kind.content == INDIRECT_DATA {
                digests.insert(indirect_digest(&value)?);
            }
        }
    }
    Ok(member)
}

/// The digest in a SpcIndirectData.
fn indirect_digest(value: &Element<'_>) -> Result<Box<[u8]>, CatalogError> {
    let mut reader = value.inside();
    reader.expect(tag::SEQUENCE, "the kind of a member's data")?;
    let mut info = reader.expect(tag::SEQUENCE, "a member's digest")?.inside();
    info.expect(tag::SEQUENCE, "the algorithm of a member's digest")?;
    Ok(info.expect(tag::OCTET_STRING, "a member's digest")?.content.into())
}

fn name_value(pair: &Element<'_>) -> Result<(String, String), CatalogError> {
    let mut reader = pair.inside();
    let name = reader.expect(tag::BMP_STRING, "a name")?;
    reader.expect(tag::INTEGER, "the flags of a value")?;
    let value = reader.expect(tag::OCTET_STRING, "a value")?;
    // One maker of catalogs writes single bytes without a NUL.
    let text = match std::str::from_utf8(value.content) {
        Ok(text) if !text.is_empty() && !text.contains('\0') => text.to_owned(),
        _ => utf16(value.content, u16::from_le_bytes),
    };
    Ok((utf16(name.content, u16::from_be_bytes), text))
}

/// Text up to its NUL.
pub(super) fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let (pairs, _) = bytes.as_chunks::<2>();
    let units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).take_while(|unit| *unit != 0).collect();
    String::from_utf16_lossy(&units)
}

/// The SHA-1 (or SHA-256) that a tag of hex digits names.
fn hex_tag(tag: &[u8]) -> Option<Box<[u8]>> {
    let text = utf16(tag, u16::from_le_bytes);
    let digits: Vec<u8> = text.chars().map(|digit| Some(digit.to_digit(16)? as u8)).collect::<Option<_>>()?;
    let (pairs, odd) = digits.as_chunks::<2>();
    let digest: Box<[u8]> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
    (odd.is_empty() && matches!(digest.len(), 20 | 32)).then_some(digest)
}

/// The list inside the content of signed data.
pub(super) fn of_content<'a>(content: &Reader<'a>) -> Result<Element<'a>, CatalogError> {
    let mut content = *content;
    let ctl = content.expect(tag::SEQUENCE, "the list")?;
    content.end("the end of the content")?;
    Ok(ctl)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_hex_digits() {
        let le = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
        let digits = "00FF".repeat(10);
        let digest: Box<[u8]> = [0, 0xFF].repeat(10).into();
        let cases = [
            (le(&format!("{digits}\0")), Some(digest.clone())),
            (le(&digits), Some(digest)),
            (le("00"), None),
            (le("driver.sys"), None),
            (vec![0x30], None),
        ];
        for (tag, expected) in cases {
            assert_eq!(hex_tag(&tag), expected, "{tag:?}");
        }
    }
}
