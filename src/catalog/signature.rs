// SPDX-License-Identifier: GPL-3.0-or-later
//! PKCS#7 signed data: who signed, and whether the signatures are genuine.
//!
//! ```text
//! ContentInfo  SEQUENCE { OID 1.2.840.113549.1.7.2, [0] SignedData }
//! SignedData   SEQUENCE { version, SET OF algorithm, SEQUENCE { OID, [0] content },
//!              [0] certificates OPTIONAL, [1] revocation lists OPTIONAL, SET OF SignerInfo }
//! SignerInfo   SEQUENCE { version, SEQUENCE { issuer, serial }, digest algorithm,
//!              [0] signed attributes OPTIONAL, signature algorithm, OCTET STRING signature,
//!              [1] unsigned attributes OPTIONAL }
//! ```
//!
//! What is hashed is the content without its own tag and length. The signature is over the
//! signed attributes, as a SET (RFC 2315, RFC 5652). Countersignatures (RFC 2985 and RFC 3161
//! time stamps), further signatures kept in the unsigned attributes, and the certificates whose
//! issuer is in the file are verified too, so that a changed byte does not hide in them.
//! Whether the last issuer is to be trusted is not asked here.

use super::certificate::{Certificate, PublicKey};
use super::der::{Element, Reader, tag};
use super::{CatalogError, Signer};
use crate::digest;

/// 1.2.840.113549.1.7.2
const SIGNED_DATA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 7, 2];
/// 1.2.840.113549.1.9.3
const CONTENT_TYPE: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 9, 3];
/// 1.2.840.113549.1.9.4
const MESSAGE_DIGEST: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 9, 4];
/// 1.2.840.113549.1.9.6
const COUNTERSIGNATURE: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 9, 6];
/// 1.3.6.1.4.1.311.3.3.1
const TIME_STAMP: &[u8] = &[0x2B, 6, 1, 4, 1, 0x82, 0x37, 3, 3, 1];
/// 1.3.6.1.4.1.311.2.4.1
const NESTED_SIGNATURE: &[u8] = &[0x2B, 6, 1, 4, 1, 0x82, 0x37, 2, 4, 1];
/// 1.2.840.113549.1.9.16.1.4
const TIME_STAMP_INFO: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 9, 16, 1, 4];

/// Nested signatures are siblings; a hostile file could nest them without end.
const MAX_DEPTH: usize = 4;

/// The most signers and certificates that are looked at: each costs a hash or a power, and real
/// files have a handful.
const MAX_SIGNERS: usize = 16;
const MAX_CERTIFICATES: usize = 256;

/// Digest algorithms of signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    pub(super) const ALL: [Self; 4] = [Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512];

    /// Content of the algorithm's object identifier.
    pub(super) fn oid(self) -> &'static [u8] {
        match self {
            Self::Sha1 => &[0x2B, 0x0E, 3, 2, 0x1A],
            Self::Sha256 => &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1],
            Self::Sha384 => &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2],
            Self::Sha512 => &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3],
        }
    }

    pub(super) fn of(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => digest::sha1(bytes).to_vec(),
            Self::Sha256 => digest::sha256(bytes).to_vec(),
            Self::Sha384 => digest::sha384(bytes).to_vec(),
            Self::Sha512 => digest::sha512(bytes).to_vec(),
        }
    }

    /// The hash that an algorithm identifier names.
    pub(super) fn read(algorithm: &Element<'_>, what: &str) -> Result<Self, CatalogError> {
        let mut reader = algorithm.inside();
        let oid = reader.expect(tag::OID, "a digest algorithm")?.content;
        no_parameters(&reader)?;
        Self::ALL
            .into_iter()
            .find(|hash| hash.oid() == oid)
            .ok_or_else(|| CatalogError::Algorithm { what: what.to_owned(), oid: dotted(oid) })
    }
}

/// Fails unless an algorithm has no parameters: nothing, or NULL.
pub(super) fn no_parameters(rest: &Reader<'_>) -> Result<(), CatalogError> {
    match rest.rest() {
        [] | [5, 0] => Ok(()),
        _ => Err(rest.error("the end of an algorithm")),
    }
}

/// Signed data, cut into its parts.
#[derive(Debug)]
pub(super) struct SignedData<'a> {
    pub(super) content_type: &'a [u8],
    /// Inside the `[0]` that wraps it; nothing when the content is elsewhere.
    content: Option<Reader<'a>>,
    certificates: Vec<Certificate<'a>>,
    signers: Vec<SignerInfo<'a>>,
}

#[derive(Debug)]
struct SignerInfo<'a> {
    issuer: &'a [u8],
    serial: &'a [u8],
    digest_algorithm: Element<'a>,
    /// The whole element, whose tag is `[0]`.
    signed_attributes: Option<Element<'a>>,
    signature_algorithm: Element<'a>,
    signature: &'a [u8],
    unsigned_attributes: Option<Element<'a>>,
}

impl<'a> SignedData<'a> {
    /// Reads a ContentInfo from the start of `reader`.
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, CatalogError> {
        let mut info = reader.expect(tag::SEQUENCE, "the signed data")?.inside();
        let kind = info.expect(tag::OID, "the kind of data")?;
        if kind.content != SIGNED_DATA {
            return Err(CatalogError::NotCatalog);
        }
        let mut wrapper = info.expect(tag::CONTEXT_0, "the signed data")?.inside();
        info.end("the end of the signed data")?;
        let mut reader = wrapper.expect(tag::SEQUENCE, "the signed data")?.inside();
        wrapper.end("the end of the signed data")?;
        let version = reader.expect(tag::INTEGER, "the version of the signed data")?;
        if !matches!(version.content, [1..=5]) {
            return Err(CatalogError::Der {
                what: "a known version of the signed data",
                offset: version.offset as u64,
            });
        }
        let algorithms = reader.expect(tag::SET, "the digest algorithms")?;
        let mut encapsulated = reader.expect(tag::SEQUENCE, "the content")?.inside();
        let content_type = encapsulated.expect(tag::OID, "the content's kind")?.content;
        let content = encapsulated.optional(tag::CONTEXT_0, "the content")?.map(|content| content.inside());
        let mut certificates = Vec::new();
        if let Some(set) = reader.optional(tag::CONTEXT_0, "the certificates")? {
            let mut set = set.inside();
            while !set.is_empty() {
                // Attribute certificates ([0] to [3]) name nobody who signs.
                if certificates.len() == MAX_CERTIFICATES {
                    return Err(set.error("the end of the certificates"));
                }
                let certificate = set.any("a certificate")?;
                match certificate.tag {
                    tag::SEQUENCE => certificates.push(Certificate::read(&certificate)?),
                    tag::CONTEXT_0..=tag::CONTEXT_3 => {}
                    _ => {
                        return Err(CatalogError::Der {
                            what: "a certificate",
                            offset: certificate.offset as u64,
                        });
                    }
                }
            }
        }
        reader.optional(tag::CONTEXT_1, "the revocation lists")?;
        let mut signers = Vec::new();
        let mut set = reader.expect(tag::SET, "the signers")?.inside();
        reader.end("the end of the signed data")?;
        while !set.is_empty() {
            if signers.len() == MAX_SIGNERS {
                return Err(set.error("the end of the signers"));
            }
            signers.push(SignerInfo::read(&set.expect(tag::SEQUENCE, "a signer")?)?);
        }
        check_algorithms(&algorithms, &signers)?;
        Ok(Self { content_type, content, certificates, signers })
    }

    pub(super) fn content(&self) -> Option<&Reader<'a>> {
        self.content.as_ref()
    }

    /// Names of the first signer's certificate and its issuer.
    pub(super) fn signer(&self) -> Option<Signer> {
        let certificate = self.certificate_of(self.signers.first()?)?;
        Some(Signer { common_name: certificate.subject_name(), issuer: certificate.issuer_name() })
    }

    fn certificate_of(&self, signer: &SignerInfo<'_>) -> Option<&Certificate<'a>> {
        self.certificates
            .iter()
            .find(|certificate| certificate.issuer == signer.issuer && certificate.serial == signer.serial)
    }

    /// Verifies every signature there is.
    pub(super) fn verify(&self) -> Result<(), CatalogError> {
        if self.signers.is_empty() {
            return Err(CatalogError::Unsigned);
        }
        self.verify_at(0)
    }

    fn verify_at(&self, depth: usize) -> Result<(), CatalogError> {
        if depth > MAX_DEPTH {
            return Err(CatalogError::Der { what: "the end of nested signatures", offset: 0 });
        }
        let mut content = self.content.ok_or(CatalogError::Digest { what: "the missing content" })?;
        let content = content.any("the content")?.content;
        for signer in &self.signers {
            signer.verify(Some(self.content_type), content, "the content", &self.certificates)?;
            signer.verify_unsigned(&self.certificates, depth)?;
        }
        verify_certificates(&self.certificates)
    }
}

/// The algorithms said in advance must be those of the signers.
fn check_algorithms(algorithms: &Element<'_>, signers: &[SignerInfo<'_>]) -> Result<(), CatalogError> {
    let mut reader = algorithms.inside();
    while !reader.is_empty() {
        let algorithm = reader.expect(tag::SEQUENCE, "a digest algorithm")?;
        if !signers.iter().any(|signer| signer.digest_algorithm.whole == algorithm.whole) {
            return Err(CatalogError::Der {
                what: "the signer of a digest algorithm",
                offset: algorithm.offset as u64,
            });
        }
    }
    Ok(())
}

impl<'a> SignerInfo<'a> {
    fn read(element: &Element<'a>) -> Result<Self, CatalogError> {
        if element.tag != tag::SEQUENCE {
            return Err(CatalogError::Der { what: "a signer", offset: element.offset as u64 });
        }
        let mut reader = element.inside();
        let version = reader.expect(tag::INTEGER, "a signer's version")?;
        if version.content != [1] {
            return Err(CatalogError::Der {
                what: "a signer named by issuer and serial number",
                offset: version.offset as u64,
            });
        }
        let mut name = reader.expect(tag::SEQUENCE, "a signer's name")?.inside();
        let issuer = name.expect(tag::SEQUENCE, "a signer's issuer")?.whole;
        let serial = name.expect(tag::INTEGER, "a signer's serial number")?.content;
        let info = Self {
            issuer,
            serial,
            digest_algorithm: reader.expect(tag::SEQUENCE, "a signer's digest algorithm")?,
            signed_attributes: reader.optional(tag::CONTEXT_0, "signed attributes")?,
            signature_algorithm: reader.expect(tag::SEQUENCE, "a signature's algorithm")?,
            signature: reader.expect(tag::OCTET_STRING, "a signature")?.content,
            unsigned_attributes: reader.optional(tag::CONTEXT_1, "unsigned attributes")?,
        };
        reader.end("the end of a signer")?;
        Ok(info)
    }

    /// Verifies the signature over `content`.
    fn verify(
        &self,
        content_type: Option<&[u8]>,
        content: &[u8],
        what: &'static str,
        certificates: &[Certificate<'_>],
    ) -> Result<(), CatalogError> {
        let certificate = certificates
            .iter()
            .find(|certificate| certificate.issuer == self.issuer && certificate.serial == self.serial)
            .ok_or(CatalogError::NoCertificate)?;
        let hash = Hash::read(&self.digest_algorithm, what)?;
        let digest = match &self.signed_attributes {
            Some(attributes) => {
                let mut kind = None;
                let mut signed = None;
                for attribute in Attributes::new(attributes) {
                    let (oid, value) = attribute?;
                    match oid {
                        CONTENT_TYPE => kind = Some(value),
                        MESSAGE_DIGEST => signed = Some(value),
                        _ => {}
                    }
                }
                if signed.is_none_or(|value| value.content != hash.of(content)) {
                    return Err(CatalogError::Digest { what });
                }
                // A countersignature has no content type of its own.
                if let Some(content_type) = content_type
                    && kind.is_none_or(|value| value.content != content_type)
                {
                    return Err(CatalogError::Digest { what: "the kind of the content" });
                }
                // Hashed as the SET it is, not with the tag it has in place.
                let mut set = attributes.whole.to_vec();
                if let Some(first) = set.first_mut() {
                    *first = tag::SET;
                }
                hash.of(&set)
            }
            None => hash.of(content),
        };
        let key = PublicKey::read(certificate)?;
        key.verify(&self.signature_algorithm, hash, &digest, self.signature, what)
    }

    /// Verifies what stands beside the signature: time stamps and further signatures.
    fn verify_unsigned(&self, certificates: &[Certificate<'a>], depth: usize) -> Result<(), CatalogError> {
        let Some(attributes) = &self.unsigned_attributes else { return Ok(()) };
        for (position, attribute) in Attributes::new(attributes).enumerate() {
            if position == MAX_SIGNERS {
                return Err(CatalogError::Der {
                    what: "the end of the unsigned attributes",
                    offset: attributes.offset as u64,
                });
            }
            let (oid, value) = attribute?;
            match oid {
                COUNTERSIGNATURE => {
                    let counter = SignerInfo::read(&value)?;
                    counter.verify(None, self.signature, "the countersignature", certificates)?;
                }
                TIME_STAMP => {
                    let token = SignedData::read(&mut Reader::new(value.whole))?;
                    token.verify_at(depth + 1)?;
                    token.check_time_stamp(self.signature)?;
                }
                NESTED_SIGNATURE => {
                    let nested = SignedData::read(&mut Reader::new(value.whole))?;
                    nested.verify_at(depth + 1)?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl SignedData<'_> {
    /// Whether a time stamp's `TSTInfo` is about this signature:
    /// OCTET STRING { SEQUENCE { version, policy, SEQUENCE { algorithm, digest }, ... } }.
    fn check_time_stamp(&self, signature: &[u8]) -> Result<(), CatalogError> {
        if self.content_type != TIME_STAMP_INFO {
            return Err(CatalogError::Digest { what: "the kind of the time stamp" });
        }
        let mut content = self.content.ok_or(CatalogError::Digest { what: "the missing time stamp" })?;
        let wrapped = content.expect(tag::OCTET_STRING, "a time stamp")?;
        let mut info = wrapped.inside().expect(tag::SEQUENCE, "a time stamp")?.inside();
        info.expect(tag::INTEGER, "a time stamp's version")?;
        info.expect(tag::OID, "a time stamp's policy")?;
        let mut imprint = info.expect(tag::SEQUENCE, "a time stamp's digest")?.inside();
        let hash = Hash::read(&imprint.expect(tag::SEQUENCE, "a time stamp's algorithm")?, "the time stamp")?;
        let digest = imprint.expect(tag::OCTET_STRING, "a time stamp's digest")?;
        if digest.content != hash.of(signature) {
            return Err(CatalogError::Digest { what: "the time-stamped signature" });
        }
        Ok(())
    }
}

/// Verifies each certificate whose issuer is among them.
fn verify_certificates(certificates: &[Certificate<'_>]) -> Result<(), CatalogError> {
    for certificate in certificates {
        let Some(issuer) = certificates.iter().find(|other| other.subject == certificate.issuer) else {
            continue;
        };
        certificate.verify(&PublicKey::read(issuer)?)?;
    }
    Ok(())
}

/// Attributes of a signer: kind and first value of each.
struct Attributes<'a>(Reader<'a>);

impl<'a> Attributes<'a> {
    fn new(element: &Element<'a>) -> Self {
        Self(element.inside())
    }

    fn read(&mut self) -> Result<(&'a [u8], Element<'a>), CatalogError> {
        let mut attribute = self.0.expect(tag::SEQUENCE, "an attribute")?.inside();
        let oid = attribute.expect(tag::OID, "an attribute's kind")?.content;
        let mut values = attribute.expect(tag::SET, "an attribute's values")?.inside();
        Ok((oid, values.any("an attribute's value")?))
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<(&'a [u8], Element<'a>), CatalogError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let item = self.read();
        if item.is_err() {
            self.0 = Reader::new(&[]);
        }
        Some(item)
    }
}

/// An object identifier in dotted form.
pub(super) fn dotted(oid: &[u8]) -> String {
    let mut parts: Vec<u64> = Vec::new();
    let mut value: u64 = 0;
    for byte in oid {
        value = value << 7 | u64::from(byte & 0x7F);
        if byte & 0x80 == 0 {
            if parts.is_empty() {
                let first = (value / 40).min(2);
                parts.extend([first, value - first * 40]);
            } else {
                parts.push(value);
            }
            value = 0;
        }
    }
    parts.iter().map(u64::to_string).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_in_dotted_form() {
        let cases: [(&[u8], &str); 4] = [
            (SIGNED_DATA, "1.2.840.113549.1.7.2"),
            (TIME_STAMP, "1.3.6.1.4.1.311.3.3.1"),
            (&[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1], "2.16.840.1.101.3.4.2.1"),
            (&[], ""),
        ];
        for (oid, expected) in cases {
            assert_eq!(dotted(oid), expected);
        }
    }
}
