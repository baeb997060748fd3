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
//! issuer is in the file are verified too, so that a changed byte does not hide in them. For the
//! same reason an unsigned attribute of unknown kind is refused: a time stamp could be hidden so.
//! Whether the signer is to be trusted is asked in [`super::trust`].

use ::der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef};
use ::der::{DateTime, Decode, Encode, Sequence, Tag, TagNumber, Tagged};
use cms::cert::IssuerAndSerialNumber;
use cms::content_info::CmsVersion;
use x509_cert::spki::AlgorithmIdentifierRef;
use x509_cert::time::Time;

use super::certificate::{Certificate, PublicKey, file_time};
use super::der::{File, SetOf};
use super::{CatalogError, Signer};
use crate::base::FileTime;
use crate::digest;

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const COUNTERSIGNATURE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.6");
const TIME_STAMP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.3.3.1");
const NESTED_SIGNATURE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.4.1");
const SIGNING_TIME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.5");
const TIME_STAMP_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");

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

    fn oid(self) -> ObjectIdentifier {
        match self {
            Self::Sha1 => ObjectIdentifier::new_unwrap("1.3.14.3.2.26"),
            Self::Sha256 => ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1"),
            Self::Sha384 => ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2"),
            Self::Sha512 => ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3"),
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

    /// The hash that an algorithm identifier names; `offset` is for the error.
    fn read(algorithm: &AlgorithmIdentifierRef<'_>, what: &str, offset: u64) -> Result<Self, CatalogError> {
        check_parameters(algorithm, offset)?;
        Self::ALL
            .into_iter()
            .find(|hash| hash.oid() == algorithm.oid)
            .ok_or_else(|| CatalogError::Algorithm { what: what.to_owned(), oid: algorithm.oid.to_string() })
    }
}

/// Fails unless an algorithm has no parameters: nothing, or NULL.
pub(super) fn check_parameters(
    algorithm: &AlgorithmIdentifierRef<'_>,
    offset: u64,
) -> Result<(), CatalogError> {
    match algorithm.parameters {
        None | Some(AnyRef::NULL) => Ok(()),
        Some(_) => Err(CatalogError::Der { what: "the end of an algorithm", offset }),
    }
}

/// What signed data comes in.
#[derive(Sequence)]
struct ContentInfo<'a> {
    kind: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    content: AnyRef<'a>,
}

/// As `cms::signed_data::EncapsulatedContentInfo`, but borrowed: the list is not copied, and its
/// offset stays known.
#[derive(Sequence)]
struct Content<'a> {
    kind: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    content: Option<AnyRef<'a>>,
}

/// Not `cms::signed_data::SignedData`, which does not accept real catalogs: Microsoft's time stamps
/// have attribute certificates among the certificates, and older catalogs have an element of a SET
/// twice. See [`SetOf`] for the rest.
#[derive(Sequence)]
struct Frame<'a> {
    version: CmsVersion,
    digest_algorithms: SetOf<AlgorithmIdentifierRef<'a>>,
    content: Content<'a>,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    certificates: Option<SetOf<AnyRef<'a>>>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    revocation_lists: Option<SetOf<AnyRef<'a>>>,
    signers: SetOf<AnyRef<'a>>,
}

/// Not `cms::signed_data::SignerInfo`: its attributes are sorted and can no longer be hashed as
/// they stand.
#[derive(Sequence)]
struct SignerFrame<'a> {
    version: CmsVersion,
    name: AnyRef<'a>,
    digest_algorithm: AlgorithmIdentifierRef<'a>,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    signed_attributes: Option<SetOf<Attribute<'a>>>,
    signature_algorithm: AlgorithmIdentifierRef<'a>,
    signature: OctetStringRef<'a>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    unsigned_attributes: Option<SetOf<Attribute<'a>>>,
}

/// An attribute of a signer or of a member.
#[derive(Clone, Sequence)]
pub(super) struct Attribute<'a> {
    pub(super) kind: ObjectIdentifier,
    pub(super) values: SetOf<AnyRef<'a>>,
}

/// A digest and how it was made.
#[derive(Sequence)]
pub(super) struct DigestInfo<'a> {
    pub(super) algorithm: AlgorithmIdentifierRef<'a>,
    pub(super) digest: OctetStringRef<'a>,
}

/// Signed data, cut into its parts.
pub(super) struct SignedData<'a> {
    file: File<'a>,
    pub(super) content_type: ObjectIdentifier,
    /// Nothing when the content is elsewhere.
    pub(super) content: Option<AnyRef<'a>>,
    certificates: Vec<Certificate<'a>>,
    signers: Vec<SignerInfo<'a>>,
    version: CmsVersion,
}

pub(super) struct SignerInfo<'a> {
    file: File<'a>,
    offset: u64,
    name: IssuerAndSerialNumber,
    frame: SignerFrame<'a>,
}

impl<'a> SignedData<'a> {
    /// Reads a ContentInfo from the start of a file; gives what stands behind it too.
    pub(super) fn of_file(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), CatalogError> {
        let file = File(bytes);
        let (info, rest) = file.first(bytes, "the signed data")?;
        let data = Self::read(file, info)?;
        // PKCS#7's own; later ones came with CMS.
        if data.version != CmsVersion::V1 {
            return Err(file.damaged("version 1 of the signed data", bytes));
        }
        Ok((data, rest))
    }

    fn read(file: File<'a>, info: AnyRef<'a>) -> Result<Self, CatalogError> {
        let what = "the signed data";
        let info: ContentInfo<'_> = file.read(info, what)?;
        if info.kind != SIGNED_DATA {
            return Err(CatalogError::NotCatalog);
        }
        let frame: Frame<'_> = file.read_all(info.content, what)?;
        if frame.version == CmsVersion::V0 {
            return Err(file.damaged("a known version of the signed data", info.content.value()));
        }
        let mut certificates = Vec::new();
        for element in frame.certificates.map(|set| set.0).unwrap_or_default() {
            if certificates.len() == MAX_CERTIFICATES {
                return Err(file.damaged("the end of the certificates", element.value()));
            }
            match element.tag() {
                Tag::Sequence => certificates.push(Certificate::read(file, element)?),
                // Attribute certificates name nobody who signs.
                Tag::ContextSpecific { constructed: true, number } if number <= TagNumber::N3 => {}
                _ => return Err(file.damaged("a certificate", element.value())),
            }
        }
        let mut signers = Vec::new();
        for element in frame.signers.0 {
            if signers.len() == MAX_SIGNERS {
                return Err(file.damaged("the end of the signers", element.value()));
            }
            signers.push(SignerInfo::read(file, element)?);
        }
        // The algorithms said in advance must be those of the signers.
        let known = |algorithm| signers.iter().any(|signer| signer.frame.digest_algorithm == algorithm);
        if !frame.digest_algorithms.0.into_iter().all(known) {
            return Err(file.damaged("the signer of a digest algorithm", info.content.value()));
        }
        Ok(Self {
            file,
            content_type: frame.content.kind,
            content: frame.content.content,
            certificates,
            signers,
            version: frame.version,
        })
    }

    /// The certificates as they stand.
    pub(super) fn certificates_der(&self) -> Result<Vec<Vec<u8>>, CatalogError> {
        self.certificates.iter().map(Certificate::to_der).collect()
    }

    pub(super) fn certificates(&self) -> &[Certificate<'a>] {
        &self.certificates
    }

    /// The first signer with its certificate.
    pub(super) fn first_signer(&self) -> Result<(&SignerInfo<'a>, &Certificate<'a>), CatalogError> {
        let signer = self.signers.first().ok_or(CatalogError::Unsigned)?;
        Ok((signer, signer.certificate(&self.certificates)?))
    }

    pub(super) fn file(&self) -> File<'a> {
        self.file
    }

    /// Names of the first signer's certificate and its issuer.
    pub(super) fn signer(&self) -> Option<Signer> {
        let name = &self.signers.first()?.name;
        let certificate = self.certificates.iter().find(|certificate| certificate.is_of(name))?;
        Some(Signer { common_name: certificate.subject_name(), issuer: certificate.issuer_name() })
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
        let content = self.content.ok_or(CatalogError::Digest { what: "the missing content" })?.value();
        for signer in &self.signers {
            signer.verify(Some(self.content_type), content, "the content", &self.certificates)?;
            signer.verify_unsigned(&self.certificates, depth)?;
        }
        verify_certificates(&self.certificates)
    }
}

impl<'a> SignerInfo<'a> {
    fn read(file: File<'a>, element: AnyRef<'a>) -> Result<Self, CatalogError> {
        let frame: SignerFrame<'_> = file.read_all(element, "a signer")?;
        if frame.version != CmsVersion::V1 {
            return Err(file.damaged("a signer named by issuer and serial number", element.value()));
        }
        file.check_names(frame.name, "a signer's name")?;
        let name = file.read(frame.name, "a signer's name")?;
        Ok(Self { file, offset: file.offset(element.value()), name, frame })
    }

    /// Verifies the signature over `content`.
    fn verify(
        &self,
        content_type: Option<ObjectIdentifier>,
        content: &[u8],
        what: &'static str,
        certificates: &[Certificate<'a>],
    ) -> Result<(), CatalogError> {
        let certificate = self.certificate(certificates)?;
        let hash = Hash::read(&self.frame.digest_algorithm, what, self.offset)?;
        let digest = match &self.frame.signed_attributes {
            Some(attributes) => {
                let mut kind = None;
                let mut signed = None;
                for attribute in &attributes.0 {
                    let value = self.first_value(attribute)?;
                    match attribute.kind {
                        CONTENT_TYPE => kind = Some(value),
                        MESSAGE_DIGEST => signed = Some(value),
                        _ => {}
                    }
                }
                if signed.is_none_or(|value| value.value() != hash.of(content)) {
                    return Err(CatalogError::Digest { what });
                }
                // A countersignature has no content type of its own.
                if let Some(content_type) = content_type
                    && kind.is_none_or(|value| value.value() != content_type.as_bytes())
                {
                    return Err(CatalogError::Digest { what: "the kind of the content" });
                }
                // Hashed as the SET it is, not with the tag it has in place.
                let damaged = |_| CatalogError::Der { what: "signed attributes", offset: self.offset };
                hash.of(&attributes.to_der().map_err(damaged)?)
            }
            None => hash.of(content),
        };
        let key = PublicKey::read(certificate)?;
        let algorithm = &self.frame.signature_algorithm;
        check_parameters(algorithm, self.offset)?;
        key.verify(algorithm, hash, &digest, self.frame.signature.as_bytes(), what)
    }

    fn certificate<'c>(
        &self,
        certificates: &'c [Certificate<'a>],
    ) -> Result<&'c Certificate<'a>, CatalogError> {
        let found = certificates.iter().find(|certificate| certificate.is_of(&self.name));
        found.ok_or(CatalogError::NoCertificate)
    }

    /// The time stamp on the signature, which is verified elsewhere: a counter-signature or a
    /// token, the token first.
    pub(super) fn time_stamp(&self) -> Result<Option<TimeStamp<'a>>, CatalogError> {
        let attributes = self.frame.unsigned_attributes.as_ref().map(|set| set.0.as_slice());
        let mut counter = None;
        for attribute in attributes.unwrap_or_default() {
            match attribute.kind {
                TIME_STAMP => {
                    let token = SignedData::read(self.file, self.first_value(attribute)?)?;
                    let time = token.stamped_time()?;
                    return Ok(Some(TimeStamp { time, signer: StampSigner::Token(Box::new(token)) }));
                }
                COUNTERSIGNATURE if counter.is_none() => {
                    counter = Some(SignerInfo::read(self.file, self.first_value(attribute)?)?);
                }
                _ => {}
            }
        }
        let Some(counter) = counter else { return Ok(None) };
        let what = "the time of a countersignature";
        let signed = counter.frame.signed_attributes.as_ref().map(|set| set.0.as_slice());
        let time = signed.unwrap_or_default().iter().find(|attribute| attribute.kind == SIGNING_TIME);
        let time = time.ok_or(CatalogError::Der { what, offset: counter.offset })?;
        let value = counter.first_value(time)?;
        let damaged = |_| self.file.damaged(what, value.value());
        // `Time` is a choice of two elements, which only the bytes of one lead to.
        let time = value.to_der().and_then(|bytes| Time::from_der(&bytes)).map_err(damaged)?;
        let time = file_time(time);
        Ok(Some(TimeStamp { time, signer: StampSigner::Counter(Box::new(counter)) }))
    }

    fn first_value(&self, attribute: &Attribute<'a>) -> Result<AnyRef<'a>, CatalogError> {
        let missing = || CatalogError::Der { what: "an attribute's value", offset: self.offset };
        attribute.values.0.first().copied().ok_or_else(missing)
    }

    /// Verifies what stands beside the signature: time stamps and further signatures.
    fn verify_unsigned(&self, certificates: &[Certificate<'a>], depth: usize) -> Result<(), CatalogError> {
        let Some(attributes) = &self.frame.unsigned_attributes else { return Ok(()) };
        if attributes.0.len() > MAX_SIGNERS {
            let what = "the end of the unsigned attributes";
            return Err(CatalogError::Der { what, offset: self.offset });
        }
        let signature = self.frame.signature.as_bytes();
        for attribute in &attributes.0 {
            let value = self.first_value(attribute)?;
            match attribute.kind {
                COUNTERSIGNATURE => {
                    let counter = SignerInfo::read(self.file, value)?;
                    counter.verify(None, signature, "the countersignature", certificates)?;
                }
                TIME_STAMP => {
                    let token = SignedData::read(self.file, value)?;
                    // RFC 5652, 5.1: what is signed is no plain data.
                    if token.version != CmsVersion::V3 {
                        let what = "version 3 of a time stamp";
                        return Err(CatalogError::Der { what, offset: self.offset });
                    }
                    token.verify_at(depth + 1)?;
                    token.check_time_stamp(signature)?;
                }
                NESTED_SIGNATURE => SignedData::read(self.file, value)?.verify_at(depth + 1)?,
                kind => {
                    let (offset, oid) = (self.offset, kind.to_string());
                    return Err(CatalogError::UnknownAttribute { offset, oid });
                }
            }
        }
        Ok(())
    }
}

/// When a signature was there, says a time stamp.
pub(super) struct TimeStamp<'a> {
    pub(super) time: FileTime,
    pub(super) signer: StampSigner<'a>,
}

pub(super) enum StampSigner<'a> {
    /// RFC 3161: signed data of its own.
    Token(Box<SignedData<'a>>),
    /// RFC 2985: a signer beside the others, with its certificate among theirs.
    Counter(Box<SignerInfo<'a>>),
}

/// A certificate, and those that may lead on from there.
pub(super) type Signed<'s, 'a> = (&'s Certificate<'a>, Vec<&'s Certificate<'a>>);

impl<'a> TimeStamp<'a> {
    /// The certificate it is signed with, and those that may lead on from there.
    pub(super) fn certificates<'s>(
        &'s self,
        outer: &'s [Certificate<'a>],
    ) -> Result<Signed<'s, 'a>, CatalogError> {
        match &self.signer {
            StampSigner::Token(token) => {
                let (_, certificate) = token.first_signer()?;
                Ok((certificate, token.certificates.iter().chain(outer).collect()))
            }
            StampSigner::Counter(signer) => Ok((signer.certificate(outer)?, outer.iter().collect())),
        }
    }
}

impl<'a> SignedData<'a> {
    /// The parts of a time stamp's `TSTInfo`:
    /// OCTET STRING { SEQUENCE { version, policy, SEQUENCE { algorithm, digest }, number, time, ... } }.
    fn stamp_parts(&self) -> Result<(AnyRef<'a>, Vec<AnyRef<'a>>), CatalogError> {
        let what = "a time stamp";
        let content = self.content.ok_or(CatalogError::Digest { what: "the missing time stamp" })?;
        let wrapped: OctetStringRef<'a> = self.file.read(content, what)?;
        Ok((content, self.file.first::<Vec<AnyRef<'a>>>(wrapped.as_bytes(), what)?.0))
    }

    /// The time of a time stamp. It may have a fraction of a second, which `der` does not read.
    fn stamped_time(&self) -> Result<FileTime, CatalogError> {
        let (content, parts) = self.stamp_parts()?;
        let damaged = || self.file.damaged("the time of a time stamp", content.value());
        let time = parts.get(4).filter(|time| time.tag() == Tag::GeneralizedTime).ok_or_else(damaged)?;
        generalized_time(time.value()).ok_or_else(damaged)
    }

    /// Whether a time stamp's `TSTInfo` is about this signature.
    fn check_time_stamp(&self, signature: &[u8]) -> Result<(), CatalogError> {
        if self.content_type != TIME_STAMP_INFO {
            return Err(CatalogError::Digest { what: "the kind of the time stamp" });
        }
        let what = "a time stamp";
        let (content, parts) = self.stamp_parts()?;
        let imprint = *parts.get(2).ok_or_else(|| self.file.damaged(what, content.value()))?;
        let offset = self.file.offset(imprint.value());
        let imprint: DigestInfo<'_> = self.file.read(imprint, what)?;
        let hash = Hash::read(&imprint.algorithm, "the time stamp", offset)?;
        if imprint.digest.as_bytes() != hash.of(signature) {
            return Err(CatalogError::Digest { what: "the time-stamped signature" });
        }
        Ok(())
    }
}

/// `YYYYMMDDhhmmss[.f...]Z`.
fn generalized_time(text: &[u8]) -> Option<FileTime> {
    let digits = text.strip_suffix(b"Z")?;
    let (digits, fraction) = digits.split_at_checked(14)?;
    let is_fraction = |rest: &[u8]| rest.len() > 1 && rest.starts_with(b".");
    if !fraction.is_empty() && !is_fraction(fraction) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    if !fraction.iter().skip(1).all(u8::is_ascii_digit) {
        return None;
    }
    let number = |from: usize, length: usize| -> Option<u16> {
        std::str::from_utf8(digits.get(from..from + length)?).ok()?.parse().ok()
    };
    let small = |from: usize| number(from, 2).and_then(|value| u8::try_from(value).ok());
    let time = DateTime::new(number(0, 4)?, small(4)?, small(6)?, small(8)?, small(10)?, small(12)?).ok()?;
    Some(FileTime::from_unix(time.unix_duration().as_secs().cast_signed(), 0))
}

/// Verifies each certificate whose issuer is among them.
fn verify_certificates(certificates: &[Certificate<'_>]) -> Result<(), CatalogError> {
    for certificate in certificates {
        let Some(issuer) = certificates.iter().find(|other| other.subject() == certificate.issuer()) else {
            continue;
        };
        certificate.verify(&PublicKey::read(issuer)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_in_dotted_form() {
        let cases: [(&[u8], ObjectIdentifier, &str); 3] = [
            (&[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 7, 2], SIGNED_DATA, "1.2.840.113549.1.7.2"),
            (&[0x2B, 6, 1, 4, 1, 0x82, 0x37, 3, 3, 1], TIME_STAMP, "1.3.6.1.4.1.311.3.3.1"),
            (&[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1], Hash::Sha256.oid(), "2.16.840.1.101.3.4.2.1"),
        ];
        for (bytes, oid, expected) in cases {
            assert_eq!((oid.as_bytes(), oid.to_string().as_str()), (bytes, expected));
        }
    }

    #[test]
    fn times_of_time_stamps() {
        let time = FileTime::from_unix(1_709_208_000, 0);
        let cases: [(&[u8], Option<FileTime>); 8] = [
            (b"20240229120000Z", Some(time)),
            (b"20240229120000.123Z", Some(time)),
            (b"20240229120000.Z", None),
            (b"20240229120000.1x3Z", None),
            (b"20230229120000Z", None),
            (b"20240229120000", None),
            (b"2024022912000Z", None),
            (b"+0240229120000Z", None),
        ];
        for (text, expected) in cases {
            assert_eq!(generalized_time(text), expected, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn algorithms_have_no_parameters() {
        let oid = Hash::Sha256.oid();
        let number = AnyRef::new(Tag::Integer, &[1]).unwrap();
        for (parameters, fine) in [(None, true), (Some(AnyRef::NULL), true), (Some(number), false)] {
            let read = Hash::read(&AlgorithmIdentifierRef { oid, parameters }, "x", 7);
            let expected = if fine {
                Ok(Hash::Sha256)
            } else {
                Err(CatalogError::Der { what: "the end of an algorithm", offset: 7 })
            };
            assert_eq!(read, expected);
        }
    }
}
