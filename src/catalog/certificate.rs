// SPDX-License-Identifier: GPL-3.0-or-later
//! X.509 certificates, as far as signatures need them: `x509-cert` reads them, `rsa` and `p256`
//! verify with their keys.
//!
//! Source: RFC 5280; keys RFC 8017 and RFC 5480.

use ::der::asn1::{AnyRef, ObjectIdentifier};
use ::der::oid::AssociatedOid;
use ::der::referenced::OwnedToRef;
use ::der::{Decode, Encode, Tag, Tagged};
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use rsa::traits::SignatureScheme;
use rsa::{BigUint, Pkcs1v15Sign, RsaPublicKey, pkcs1};
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage};
use x509_cert::name::Name;
use x509_cert::spki::AlgorithmIdentifierRef;
use x509_cert::time::Time;

use super::CatalogError;
use super::ctl::utf16;
use super::der::File;
use super::signature::{Hash, check_parameters};
use super::trust_store::Thumbprint;
use crate::base::FileTime;
use crate::digest;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");

/// The largest RSA modulus that is computed with, in bits.
const MAX_RSA_BITS: usize = 8192;

/// Signature algorithms of certificates and signers that name key and hash at once; a bare
/// `rsaEncryption` or `id-ecPublicKey` leaves the hash to the digest algorithm.
const COMBINED: [(ObjectIdentifier, Hash); 7] = [
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.5"), Hash::Sha1),
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11"), Hash::Sha256),
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12"), Hash::Sha384),
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13"), Hash::Sha512),
    (ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2"), Hash::Sha256),
    (ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3"), Hash::Sha384),
    (ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4"), Hash::Sha512),
];

/// A certificate.
#[derive(Debug)]
pub(super) struct Certificate<'a> {
    /// What is signed, as it stands in the file: encoded again it would lose a default that was
    /// written out.
    signed: AnyRef<'a>,
    whole: AnyRef<'a>,
    offset: u64,
    inner: x509_cert::Certificate,
}

impl<'a> Certificate<'a> {
    pub(super) fn read(file: File<'a>, element: AnyRef<'a>) -> Result<Self, CatalogError> {
        let what = "a certificate";
        file.check_names(element, what)?;
        let parts: Vec<AnyRef<'_>> = file.read(element, what)?;
        let inner: x509_cert::Certificate = file.read(element, what)?;
        if inner.tbs_certificate.signature != inner.signature_algorithm {
            return Err(file.damaged(
                "the same algorithm inside and outside of a certificate",
                parts.get(1).unwrap_or(&element).value(),
            ));
        }
        let signed = *parts.first().ok_or_else(|| file.damaged(what, element.value()))?;
        if inner.signature.as_bytes().is_none() {
            return Err(file.damaged("whole bytes in a bit string", element.value()));
        }
        Ok(Self { signed, whole: element, offset: file.offset(element.value()), inner })
    }

    pub(super) fn issuer(&self) -> &Name {
        &self.inner.tbs_certificate.issuer
    }

    pub(super) fn subject(&self) -> &Name {
        &self.inner.tbs_certificate.subject
    }

    /// As it stands in the file.
    pub(super) fn to_der(&self) -> Result<Vec<u8>, CatalogError> {
        self.whole.to_der().map_err(|_| self.damaged("a certificate"))
    }

    /// The SHA-1 by which Windows names it.
    pub(super) fn thumbprint(&self) -> Result<Thumbprint, CatalogError> {
        Ok(digest::sha1(&self.to_der()?))
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.whole == other.whole
    }

    /// The first and the last moment it is valid at.
    pub(super) fn validity(&self) -> (FileTime, FileTime) {
        let validity = &self.inner.tbs_certificate.validity;
        (file_time(validity.not_before), file_time(validity.not_after))
    }

    /// What it may be used for (extended key usage); nothing when it does not say.
    pub(super) fn usages(&self) -> Result<Option<Vec<ObjectIdentifier>>, CatalogError> {
        Ok(self.extension::<ExtendedKeyUsage>("a certificate's usages")?.map(|usages| usages.0))
    }

    /// Whether it may sign the certificate of an authority that has `below` others below it.
    pub(super) fn may_issue(&self, below: usize) -> Result<bool, CatalogError> {
        let signs = self.extension::<KeyUsage>("a certificate's key usage")?;
        let authority = self.extension::<BasicConstraints>("a certificate's constraints")?;
        let deep = |limit: Option<u8>| limit.is_none_or(|limit| below <= usize::from(limit));
        Ok(signs.is_none_or(|signs| signs.key_cert_sign())
            && authority.is_some_and(|authority| authority.ca && deep(authority.path_len_constraint)))
    }

    fn extension<T: for<'e> Decode<'e> + AssociatedOid>(
        &self,
        what: &'static str,
    ) -> Result<Option<T>, CatalogError> {
        let mut extensions = self.inner.tbs_certificate.extensions.iter().flatten();
        let Some(found) = extensions.find(|extension| extension.extn_id == T::OID) else { return Ok(None) };
        T::from_der(found.extn_value.as_bytes()).map(Some).map_err(|_| self.damaged(what))
    }

    fn damaged(&self, what: &'static str) -> CatalogError {
        CatalogError::Der { what, offset: self.offset }
    }

    /// Whether a signer's name is that of this certificate.
    pub(super) fn is_of(&self, signer: &cms::cert::IssuerAndSerialNumber) -> bool {
        *self.issuer() == signer.issuer && self.inner.tbs_certificate.serial_number == signer.serial_number
    }

    /// Verifies that the holder of `issuer` signed this certificate.
    pub(super) fn verify(&self, issuer: &PublicKey) -> Result<(), CatalogError> {
        let what = format!("the certificate of {}", self.subject_name());
        let algorithm = self.inner.signature_algorithm.owned_to_ref();
        check_parameters(&algorithm, self.offset)?;
        let hash = COMBINED.iter().find(|(known, _)| *known == algorithm.oid).map(|(_, hash)| *hash);
        let hash = hash
            .ok_or_else(|| CatalogError::Algorithm { what: what.clone(), oid: algorithm.oid.to_string() })?;
        let damaged = |_| CatalogError::Der { what: "a certificate", offset: self.offset };
        let signed = self.signed.to_der().map_err(damaged)?;
        issuer.verify(&algorithm, hash, &hash.of(&signed), self.inner.signature.raw_bytes(), &what)
    }

    /// The subject's common name, else its organization.
    pub(super) fn subject_name(&self) -> String {
        name(self.subject())
    }

    /// The issuer's common name, else its organization.
    pub(super) fn issuer_name(&self) -> String {
        name(self.issuer())
    }
}

/// A time in a certificate or a signature.
pub(super) fn file_time(time: Time) -> FileTime {
    FileTime::from_unix(time.to_unix_duration().as_secs().cast_signed(), 0)
}

fn name(name: &Name) -> String {
    part(name, COMMON_NAME).or_else(|| part(name, ORGANIZATION)).unwrap_or_default()
}

/// The last part of a name of one kind. Not `der`'s string types: they refuse what some
/// certificates have in their names, and a name is only shown.
fn part(name: &Name, kind: ObjectIdentifier) -> Option<String> {
    let pair = name.0.iter().flat_map(|set| set.0.iter()).rfind(|pair| pair.oid == kind)?;
    Some(match pair.value.tag() {
        Tag::BmpString => utf16(pair.value.value(), u16::from_be_bytes),
        _ => String::from_utf8_lossy(pair.value.value()).into_owned(),
    })
}

/// A key that verifies signatures.
pub(super) enum PublicKey {
    Rsa(RsaPublicKey),
    P256(p256::ecdsa::VerifyingKey),
}

impl PublicKey {
    pub(super) fn read(certificate: &Certificate<'_>) -> Result<Self, CatalogError> {
        let damaged = || CatalogError::Der { what: "a usable public key", offset: certificate.offset };
        let key = &certificate.inner.tbs_certificate.subject_public_key_info;
        let bytes = key.subject_public_key.as_bytes().ok_or_else(damaged)?;
        let unsupported = |oid: ObjectIdentifier| CatalogError::Algorithm {
            what: format!("the key of {}", certificate.subject_name()),
            oid: oid.to_string(),
        };
        match key.algorithm.oid {
            RSA => {
                let numbers = pkcs1::RsaPublicKey::from_der(bytes).map_err(|_| damaged())?;
                RsaPublicKey::new_with_max_size(
                    BigUint::from_bytes_be(numbers.modulus.as_bytes()),
                    BigUint::from_bytes_be(numbers.public_exponent.as_bytes()),
                    MAX_RSA_BITS,
                )
                .map(Self::Rsa)
                .map_err(|_| damaged())
            }
            EC_PUBLIC_KEY => {
                let curve = key.algorithm.owned_to_ref().parameters_oid().map_err(|_| damaged())?;
                if curve != P256 {
                    return Err(unsupported(curve));
                }
                p256::ecdsa::VerifyingKey::from_sec1_bytes(bytes).map(Self::P256).map_err(|_| damaged())
            }
            oid => Err(unsupported(oid)),
        }
    }

    /// Verifies a signature over a digest.
    pub(super) fn verify(
        &self,
        algorithm: &AlgorithmIdentifierRef<'_>,
        hash: Hash,
        digest: &[u8],
        signature: &[u8],
        what: &str,
    ) -> Result<(), CatalogError> {
        let own = match self {
            Self::Rsa(_) => RSA,
            Self::P256(_) => EC_PUBLIC_KEY,
        };
        let known = algorithm.oid == own || COMBINED.contains(&(algorithm.oid, hash));
        if !known {
            return Err(CatalogError::Algorithm { what: what.to_owned(), oid: algorithm.oid.to_string() });
        }
        let valid = match self {
            Self::Rsa(key) => scheme(hash).verify(key, digest, signature).is_ok(),
            Self::P256(key) => p256::ecdsa::Signature::from_der(signature)
                .is_ok_and(|signature| key.verify_prehash(digest, &signature).is_ok()),
        };
        if valid { Ok(()) } else { Err(CatalogError::Signature { what: what.to_owned() }) }
    }
}

/// PKCS#1 signatures of one hash.
fn scheme(hash: Hash) -> Pkcs1v15Sign {
    match hash {
        Hash::Sha1 => Pkcs1v15Sign::new::<sha1::Sha1>(),
        Hash::Sha256 => Pkcs1v15Sign::new::<sha2::Sha256>(),
        Hash::Sha384 => Pkcs1v15Sign::new::<sha2::Sha384>(),
        Hash::Sha512 => Pkcs1v15Sign::new::<sha2::Sha512>(),
    }
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
        assert_eq!(*scheme(Hash::Sha256).prefix, sha256);
        let sha1 = [0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2B, 0x0E, 0x03, 0x02, 0x1A, 0x05, 0x00, 0x04, 0x14];
        assert_eq!(*scheme(Hash::Sha1).prefix, sha1);
        assert_eq!(scheme(Hash::Sha512).prefix.get(..2), Some(&[0x30, 0x51][..]));
        for hash in Hash::ALL {
            assert_eq!(scheme(hash).hash_len, Some(hash.of(b"").len()));
        }
    }
}
