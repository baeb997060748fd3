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

use std::collections::HashMap;

use ::der::asn1::{AnyRef, IntRef, ObjectIdentifier, OctetStringRef};
use ::der::{Decode, Sequence, Tag, Tagged};
use x509_cert::ext::Extensions;
use x509_cert::spki::AlgorithmIdentifierRef;

use super::der::{File, SetOf};
use super::signature::{Attribute, DigestInfo};
use super::{CatalogError, Member};

const CATALOG_LIST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.12.1.1");
const NAME_VALUE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.12.2.1");
const INDIRECT_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.4");

/// The list. Its members are decoded one by one, for the offsets of what is wrong in them.
#[derive(Sequence)]
struct TrustList<'a> {
    usage: Vec<ObjectIdentifier>,
    identifier: OctetStringRef<'a>,
    time: AnyRef<'a>,
    algorithm: AlgorithmIdentifierRef<'a>,
    #[asn1(optional = "true")]
    members: Option<Vec<AnyRef<'a>>>,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    attributes: Option<Extensions>,
}

#[derive(Sequence)]
struct Entry<'a> {
    tag: OctetStringRef<'a>,
    attributes: SetOf<Attribute<'a>>,
}

/// A file's digest, and what kind of file it is.
#[derive(Sequence)]
struct IndirectData<'a> {
    kind: AnyRef<'a>,
    digest: DigestInfo<'a>,
}

#[derive(Sequence)]
struct NameValue<'a> {
    name: AnyRef<'a>,
    flags: IntRef<'a>,
    value: OctetStringRef<'a>,
}

/// SHA-1 or SHA-256.
type Digest = Box<[u8]>;

/// What a CTL says.
#[derive(Debug, Default)]
pub(super) struct List {
    pub(super) members: Vec<Member>,
    pub(super) attributes: Vec<(String, String)>,
    /// Every digest of a member, SHA-1 or SHA-256, with the members that have it.
    pub(super) digests: HashMap<Digest, Vec<usize>>,
}

pub(super) fn read<'a>(file: File<'a>, content: AnyRef<'a>) -> Result<List, CatalogError> {
    // Lists of other usages have other parts behind it.
    let (usage, _) = file.first::<Vec<ObjectIdentifier>>(content.value(), "the subject usage")?;
    if usage.first() != Some(&CATALOG_LIST) {
        return Err(CatalogError::NotCatalog);
    }
    let ctl: TrustList<'_> = file.read(content, "the list")?;
    let mut list = List::default();
    for element in ctl.members.unwrap_or_default() {
        let position = list.members.len();
        let (member, digests) = member(file, element)?;
        for digest in digests {
            let positions = list.digests.entry(digest).or_default();
            if positions.last() != Some(&position) {
                positions.push(position);
            }
        }
        list.members.push(member);
    }
    for extension in ctl.attributes.iter().flatten() {
        if extension.extn_id == NAME_VALUE {
            let pair = NameValue::from_der(extension.extn_value.as_bytes());
            let pair = pair.ok().and_then(|pair| name_value(&pair));
            list.attributes.push(pair.ok_or_else(|| file.damaged("a name and value", content.value()))?);
        }
    }
    Ok(list)
}

/// A member and its digests.
fn member<'a>(file: File<'a>, element: AnyRef<'a>) -> Result<(Member, Vec<Digest>), CatalogError> {
    let entry: Entry<'_> = file.read(element, "a member")?;
    let tag_bytes = entry.tag.as_bytes();
    let mut member = Member { tag: tag_bytes.to_vec(), file: None, os_attributes: Vec::new() };
    let mut digests: Vec<Digest> = match tag_bytes.len() {
        20 | 32 => vec![tag_bytes.into()],
        _ => hex_tag(tag_bytes).into_iter().collect(),
    };
    for attribute in entry.attributes.0 {
        for value in attribute.values.0 {
            if attribute.kind == NAME_VALUE {
                let what = "a name and value";
                let pair: NameValue<'_> = file.read(value, what)?;
                let (name, text) = name_value(&pair).ok_or_else(|| file.damaged(what, value.value()))?;
                match name.as_str() {
                    "File" => member.file = Some(text),
                    "OSAttr" => {
                        member.os_attributes.extend(text.split(',').map(|part| part.trim().to_owned()))
                    }
                    _ => {}
                }
            } else if attribute.kind == INDIRECT_DATA {
                let data: IndirectData<'_> = file.read(value, "a member's digest")?;
                digests.push(data.digest.digest.as_bytes().into());
            }
        }
    }
    Ok((member, digests))
}

/// Nothing when the name is no BMPString. Not `der`'s own: a name that is ill-formed UTF-16 is
/// read all the same.
fn name_value(pair: &NameValue<'_>) -> Option<(String, String)> {
    let value = pair.value.as_bytes();
    // One maker of catalogs writes single bytes without a NUL.
    let text = match std::str::from_utf8(value) {
        Ok(text) if !text.is_empty() && !text.contains('\0') => text.to_owned(),
        _ => utf16(value, u16::from_le_bytes),
    };
    (pair.name.tag() == Tag::BmpString).then(|| (utf16(pair.name.value(), u16::from_be_bytes), text))
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
