// SPDX-License-Identifier: GPL-3.0-or-later
//! X.509 certificates, as far as signatures need them.
//!
//! ```text
//! Certificate  SEQUENCE { TBS, algorithm, BIT STRING signature }
//! TBS          SEQUENCE { [0] version OPTIONAL, serial, algorithm, issuer, validity, subject,
//!              SEQUENCE { algorithm, BIT STRING key }, ... }
//! ```
//!
//! Source: RFC 5280; keys RFC 8017 and RFC 5480.

use p256::ecdsa::signature::hazmat::PrehashVerifier;
use rsa::traits::SignatureScheme;
use rsa::{BigUint, Pkcs1v15Sign, RsaPublicKey};

use super::CatalogError;
use super::ctl::utf16;
use super::der::{Element, tag};
use super::signature::{Hash, dotted, no_parameters};

/// 1.2.840.113549.1.1.1
const RSA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 1];
/// 1.2.840.10045.2.1
const EC_PUBLIC_KEY: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 2, 1];
/// 1.2.840.10045.3.1.7
const P256: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 3, 1, 7];
/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
/// 2.5.4.10
const ORGANIZATION: &[u8] = &[0x55, 4, 10];

/// The largest RSA modulus that is computed with, in bits.
const MAX_RSA_BITS: usize = 8192;

/// Signature algorithms of certificates and signers that name key and hash at once; a bare
/// `rsaEncryption` or `id-ecPublicKey` leaves the hash to the digest algorithm.
const COMBINED: [(&[u8], Hash); 7] = [
    (&[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 5], Hash::Sha1),
    (&[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 11], Hash::Sha256),
    (&[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 12], Hash::Sha384),
    (&[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 13], Hash::Sha512),
    (&[0x2A, 0x86, 0x48, 0xCE, 0x3D, 4, 3, 2], Hash::Sha256),
    (&[0x2A, 0x86, 0x48, 0xCE, 0x3D, 4, 3, 3], Hash::Sha384),
    (&[0x2A, 0x86, 0x48, 0xCE, 0x3D, 4, 3, 4], Hash::Sha512),
];

/// A certificate, cut into its parts.
#[derive(Debug)]
pub(super) struct Certificate<'a> {
    /// What is signed.
    tbs: &'a [u8],
    pub(super) serial: &'a [u8],
    /// The whole name.
    pub(super) issuer: &'a [u8],
    /// The whole name.
    pub(super) subject: &'a [u8],
    subject_element: Element<'a>,
    issuer_element: Element<'a>,
    key: Element<'a>,
    algorithm: Element<'a>,
    signature: &'a [u8],
}

impl<'a> Certificate<'a> {
    pub(super) fn read(element: &Element<'a>) -> Result<Self, CatalogError> {
        let mut reader = element.inside();
        let tbs = reader.expect(tag::SEQUENCE, "a certificate's content")?;
        let algorithm = reader.expect(tag::SEQUENCE, "a certificate's algorithm")?;
        let signature = bits(&reader.expect(tag::BIT_STRING, "a certificate's signature")?)?;
        reader.end("the end of a certificate")?;
        let mut reader = tbs.inside();
        reader.optional(tag::CONTEXT_0, "a certificate's version")?;
        let serial = reader.expect(tag::INTEGER, "a certificate's serial number")?;
        let inner = reader.expect(tag::SEQUENCE, "a certificate's algorithm")?;
        if inner.whole != algorithm.whole {
            return Err(CatalogError::Der {
                what: "the same algorithm inside and outside of a certificate",
                offset: algorithm.offset as u64,
            });
        }
        let issuer = reader.expect(tag::SEQUENCE, "a certificate's issuer")?;
        reader.expect(tag::SEQUENCE, "a certificate's validity")?;
        let subject = reader.expect(tag::SEQUENCE, "a certificate's subject")?;
        let key = reader.expect(tag::SEQUENCE, "a certificate's key")?;
        Ok(Self {
            tbs: tbs.whole,
            serial: serial.content,
            issuer: issuer.whole,
            subject: subject.whole,
            subject_element: subject,
            issuer_element: issuer,
            key,
            algorithm,
            signature,
        })
    }

    /// Verifies that the holder of `issuer` signed this certificate.
    pub(super) fn verify(&self, issuer: &PublicKey) -> Result<(), CatalogError> {
        let what = format!("the certificate of {}", self.subject_name());
        let oid = self.algorithm.inside().expect(tag::OID, "a certificate's algorithm")?.content;
        let hash = COMBINED.iter().find(|(known, _)| *known == oid).map(|(_, hash)| *hash);
        let hash = hash.ok_or_else(|| CatalogError::Algorithm { what: what.clone(), oid: dotted(oid) })?;
        issuer.verify(&self.algorithm, hash, &hash.of(self.tbs), self.signature, &what)
    }

    /// The subject's common name, else its organization.
    pub(super) fn subject_name(&self) -> String {
        name(&self.subject_element)
    }

    /// The issuer's common name, else its organization.
    pub(super) fn issuer_name(&self) -> String {
        name(&self.issuer_element)
    }
}

/// The bytes of a bit string that has no unused bits.
fn bits<'a>(element: &Element<'a>) -> Result<&'a [u8], CatalogError> {
    match element.content.split_first() {
        Some((0, bytes)) => Ok(bytes),
        _ => Err(CatalogError::Der { what: "whole bytes in a bit string", offset: element.offset as u64 }),
    }
}

fn name(element: &Element<'_>) -> String {
    part(element, COMMON_NAME).or_else(|| part(element, ORGANIZATION)).unwrap_or_default()
}

/// The last part of a name of one kind: SEQUENCE OF SET OF SEQUENCE { OID, text }.
fn part(element: &Element<'_>, kind: &[u8]) -> Option<String> {
    let mut found = None;
    let mut sets = element.inside();
    while let Ok(set) = sets.expect(tag::SET, "a part of a name") {
        let mut pairs = set.inside();
        while let Ok(pair) = pairs.expect(tag::SEQUENCE, "a part of a name") {
            let mut pair = pair.inside();
            let oid = pair.expect(tag::OID, "the kind of a name").ok()?;
            let value = pair.any("a name").ok()?;
            if oid.content == kind {
                found = Some(match value.tag {
                    tag::BMP_STRING => utf16(value.content, u16::from_be_bytes),
                    _ => String::from_utf8_lossy(value.content).into_owned(),
                });
            }
        }
    }
    found
}

/// A key that verifies signatures.
pub(super) enum PublicKey {
    Rsa(RsaPublicKey),
    P256(p256::ecdsa::VerifyingKey),
}

impl PublicKey {
    pub(super) fn read(certificate: &Certificate<'_>) -> Result<Self, CatalogError> {
        let offset = certificate.key.offset as u64;
        let damaged = || CatalogError::Der { what: "a usable public key", offset };
        let mut reader = certificate.key.inside();
        let mut algorithm = reader.expect(tag::SEQUENCE, "a key's algorithm")?.inside();
        let oid = algorithm.expect(tag::OID, "a key's algorithm")?.content;
        let key = reader.expect(tag::BIT_STRING, "a key")?;
        let bytes = bits(&key)?;
        let unsupported = |oid: &[u8]| CatalogError::Algorithm {
            what: format!("the key of {}", certificate.subject_name()),
            oid: dotted(oid),
        };
        match oid {
            RSA => {
                let mut numbers =
                    super::der::Reader::new(bytes).expect(tag::SEQUENCE, "an RSA key")?.inside();
                let modulus = numbers.expect(tag::INTEGER, "an RSA modulus")?;
                let exponent = numbers.expect(tag::INTEGER, "an RSA exponent")?;
                RsaPublicKey::new_with_max_size(
                    BigUint::from_bytes_be(modulus.content),
                    BigUint::from_bytes_be(exponent.content),
                    MAX_RSA_BITS,
                )
                .map(Self::Rsa)
                .map_err(|_| damaged())
            }
            EC_PUBLIC_KEY => {
                let curve = algorithm.expect(tag::OID, "a key's curve")?.content;
                if curve != P256 {
                    return Err(unsupported(curve));
                }
                p256::ecdsa::VerifyingKey::from_sec1_bytes(bytes).map(Self::P256).map_err(|_| damaged())
            }
            _ => Err(unsupported(oid)),
        }
    }

    /// Verifies a signature over a digest.
    pub(super) fn verify(
        &self,
        algorithm: &Element<'_>,
        hash: Hash,
        digest: &[u8],
        signature: &[u8],
        what: &str,
    ) -> Result<(), CatalogError> {
        let mut reader = algorithm.inside();
        let oid = reader.expect(tag::OID, "a signature's algorithm")?.content;
        no_parameters(&reader)?;
        let own = match self {
            Self::Rsa(_) => RSA,
            Self::P256(_) => EC_PUBLIC_KEY,
        };
        if oid != own && !COMBINED.contains(&(oid, hash)) {
            return Err(CatalogError::Algorithm { what: what.to_owned(), oid: dotted(oid) });
        }
        let valid = match self {
            Self::Rsa(key) => {
                let scheme = Pkcs1v15Sign { hash_len: Some(digest.len()), prefix: digest_info(hash, digest) };
                scheme.verify(key, digest, signature).is_ok()
            }
            Self::P256(key) => p256::ecdsa::Signature::from_der(signature)
                .is_ok_and(|signature| key.verify_prehash(digest, &signature).is_ok()),
        };
        if valid { Ok(()) } else { Err(CatalogError::Signature { what: what.to_owned() }) }
    }
}

/// What stands before the digest in a PKCS#1 signature:
/// SEQUENCE { SEQUENCE { OID, NULL }, OCTET STRING (digest) }.
fn digest_info(hash: Hash, digest: &[u8]) -> Box<[u8]> {
    let oid = hash.oid();
    // All lengths are below 128, so each is one byte.
    let byte = |length: usize| u8::try_from(length).unwrap_or(u8::MAX);
    let mut info = vec![
        tag::SEQUENCE,
        byte(8 + oid.len() + digest.len()),
        tag::SEQUENCE,
        byte(4 + oid.len()),
        tag::OID,
        byte(oid.len()),
    ];
    info.extend(oid);
    info.extend([5, 0, tag::OCTET_STRING, byte(digest.len())]);
    info.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_info_is_that_of_rfc_8017() {
        let sha256 = [
            0x30, 0x31, 0x30, 0x0D, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
            0x00, 0x04, 0x20,
        ];
        assert_eq!(*digest_info(Hash::Sha256, &[0; 32]), sha256);
        let sha1 = [0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2B, 0x0E, 0x03, 0x02, 0x1A, 0x05, 0x00, 0x04, 0x14];
        assert_eq!(*digest_info(Hash::Sha1, &[0; 20]), sha1);
        assert_eq!(digest_info(Hash::Sha512, &[0; 64]).get(..2), Some(&[0x30, 0x51][..]));
    }
}
