// SPDX-License-Identifier: GPL-3.0-or-later
//! Which root certificates are trusted: Microsoft's own, those of an image, those somebody gives.
//!
//! The `Blob` of a certificate in the registry (`SystemCertificates\<store>\Certificates\<SHA-1>`)
//! is a row of properties:
//!
//! | offset | size | name | meaning |
//! |---|---|---|---|
//! | 0 | 4 | id | 0x20 the certificate, 9 the only usages it is trusted for, others not needed |
//! | 4 | 4 | encoding | 1 |
//! | 8 | 4 | length | of the data that follows |
//!
//! Sources: wincrypt.h (`CERT_CERT_PROP_ID`, `CERT_ENHKEY_USAGE_PROP_ID`), Samba's and Wine's
//! registry stores. Microsoft's roots are those of "Required trusted root certificates"
//! (KB 293781), which name the roots that no Windows may be without; Windows brings them along
//! whether or not the registry lists them. Each file is held to its published SHA-1 by a test.

use std::collections::{HashMap, HashSet};

use ::der::asn1::{AnyRef, ObjectIdentifier};
use ::der::{Decode, Encode, Tag, TagNumber, Tagged};
use x509_cert::name::Name;

use super::CatalogError;
use super::certificate::Certificate;
use super::chain::Purpose;
use super::der::File;
use super::signature::SignedData;
use crate::base::{Error, ErrorClass, Result};
use crate::digest;

/// Microsoft's roots with their SHA-1. Those on elliptic curves are left out: nothing here
/// computes with P-384.
const MICROSOFT: [(&str, &str); 5] = [
    ("a43489159a520f0d93d032ccaf37e7fe20a8b419", include_str!("roots/microsoft-root-authority-1997.pem")),
    (
        "cdd4eeae6000ac7f40c3802c171e30148030c072",
        include_str!("roots/microsoft-root-certificate-authority-2001.pem"),
    ),
    (
        "3b1efd3a66ea28b16697394703a72ca340a05bd5",
        include_str!("roots/microsoft-root-certificate-authority-2010.pem"),
    ),
    (
        "8f43288ad272f3103b6fb1428485ea3014c0bcfe",
        include_str!("roots/microsoft-root-certificate-authority-2011.pem"),
    ),
    (
        "0119e81be9a14cd8e22f40ac118c687ecba3f4d8",
        include_str!("roots/microsoft-time-stamp-root-certificate-authority-2014.pem"),
    ),
];

const PROPERTY_USAGES: u32 = 9;
const PROPERTY_CERTIFICATE: u32 = 0x20;
const PROPERTY_HEADER: usize = 12;

const PEM_BEGIN: &str = "-----BEGIN ";
const PEM_END: &str = "-----END ";

/// SHA-1 of a certificate, by which Windows names it.
pub type Thumbprint = [u8; 20];

/// A root certificate.
#[derive(Clone)]
pub(super) struct Anchor {
    pub(super) der: Box<[u8]>,
    pub(super) thumbprint: Thumbprint,
    /// Whether it is one of Microsoft's own.
    pub(super) microsoft: bool,
    /// The only usages it is trusted for; nothing for all.
    usages: Option<Vec<ObjectIdentifier>>,
}

/// The certificates that chains may end at, and those that no chain may hold.
#[derive(Clone, Default)]
pub struct TrustStore {
    anchors: Vec<Anchor>,
    by_subject: HashMap<Box<[u8]>, Vec<usize>>,
    thumbprints: HashMap<Thumbprint, usize>,
    distrusted: HashSet<Thumbprint>,
}

impl std::fmt::Debug for TrustStore {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (anchors, distrusted) = (self.anchors.len(), self.distrusted.len());
        write!(formatter, "TrustStore {{ {anchors} roots, {distrusted} distrusted }}")
    }
}

impl TrustStore {
    /// A store that trusts nobody.
    pub fn empty() -> Self {
        Self::default()
    }

    /// A store of Microsoft's own roots.
    pub fn microsoft() -> Self {
        let mut store = Self::default();
        for (_, pem) in MICROSOFT {
            for (_, der) in pem_blocks(pem).unwrap_or_default() {
                // A test reads them all.
                let _unreachable = store.insert(&der, None, true);
            }
        }
        store
    }

    /// How many roots are trusted.
    pub fn len(&self) -> usize {
        self.anchors.len()
    }

    /// Whether it trusts nobody.
    pub fn is_empty(&self) -> bool {
        self.anchors.is_empty()
    }

    /// Trusts the certificates of a file: PEM, DER, or a PKCS#7 bundle (`.p7b`). Gives their number.
    ///
    /// # Errors
    /// When there is no certificate in it, or a damaged one.
    pub fn add_file(&mut self, bytes: &[u8]) -> Result<usize> {
        let blocks = match std::str::from_utf8(bytes) {
            Ok(text) if text.contains(PEM_BEGIN) => pem_blocks(text)?,
            _ => vec![(String::new(), bytes.to_vec())],
        };
        let mut count = 0;
        for (label, der) in blocks {
            match label.as_str() {
                "" | "CERTIFICATE" | "TRUSTED CERTIFICATE" | "X509 CERTIFICATE" | "PKCS7" | "CMS" => {
                    count += self.add_der(&der)?;
                }
                _ => {}
            }
        }
        if count == 0 {
            return Err(no_certificate());
        }
        Ok(count)
    }

    /// A certificate or a bundle of them.
    fn add_der(&mut self, der: &[u8]) -> Result<usize, CatalogError> {
        let error = match self.insert(der, None, false) {
            Ok(()) => return Ok(1),
            Err(error) => error,
        };
        let Ok((data, _)) = SignedData::of_file(der) else { return Err(error) };
        let certificates = data.certificates_der()?;
        for certificate in &certificates {
            self.insert(certificate, None, false)?;
        }
        Ok(certificates.len())
    }

    /// Trusts a certificate as the registry keeps it (`Blob`).
    ///
    /// # Errors
    /// When the bytes are no such thing.
    pub fn add_blob(&mut self, blob: &[u8]) -> Result<()> {
        let mut rest = blob;
        let (mut certificate, mut usages) = (None, None);
        while !rest.is_empty() {
            let damaged = |rest: &[u8]| File(blob).damaged("a property of a stored certificate", rest);
            let word = |at: usize| {
                let bytes = rest.get(at..at + 4)?;
                bytes.try_into().ok().map(u32::from_le_bytes)
            };
            let (Some(id), Some(length)) = (word(0), word(8)) else { return Err(damaged(rest).into()) };
            let end = usize::try_from(length).ok().and_then(|length| length.checked_add(PROPERTY_HEADER));
            let data = end.and_then(|end| Some((rest.get(PROPERTY_HEADER..end)?, rest.get(end..)?)));
            let Some((data, behind)) = data else { return Err(damaged(rest).into()) };
            match id {
                PROPERTY_CERTIFICATE => certificate = Some(data),
                PROPERTY_USAGES => usages = Vec::<ObjectIdentifier>::from_der(data).ok(),
                _ => {}
            }
            rest = behind;
        }
        Ok(self.insert(certificate.ok_or_else(no_certificate)?, usages, false)?)
    }

    /// No chain with this certificate is accepted from here on.
    pub fn distrust(&mut self, thumbprint: Thumbprint) {
        self.distrusted.insert(thumbprint);
    }

    pub(super) fn is_distrusted(&self, thumbprint: &Thumbprint) -> bool {
        self.distrusted.contains(thumbprint)
    }

    /// The root that this certificate itself is.
    pub(super) fn anchor(&self, thumbprint: &Thumbprint, purpose: Purpose) -> Option<&Anchor> {
        let anchor = self.anchors.get(*self.thumbprints.get(thumbprint)?)?;
        anchor.serves(purpose).then_some(anchor)
    }

    /// The roots of this name.
    pub(super) fn named<'a>(&'a self, name: &Name, purpose: Purpose) -> impl Iterator<Item = &'a Anchor> {
        let positions = name.to_der().ok().and_then(|name| self.by_subject.get(name.as_slice()));
        let anchors = positions.into_iter().flatten().filter_map(|position| self.anchors.get(*position));
        anchors.filter(move |anchor| anchor.serves(purpose))
    }

    fn insert(
        &mut self,
        der: &[u8],
        usages: Option<Vec<ObjectIdentifier>>,
        microsoft: bool,
    ) -> Result<(), CatalogError> {
        let thumbprint = digest::sha1(der);
        if self.thumbprints.contains_key(&thumbprint) {
            return Ok(());
        }
        let file = File(der);
        let (element, rest) = file.first::<AnyRef<'_>>(der, "a certificate")?;
        if !rest.is_empty() {
            return Err(file.damaged("the end of a certificate", rest));
        }
        let subject = subject(file, element)?;
        let position = self.anchors.len();
        self.anchors.push(Anchor { der: der.into(), thumbprint, microsoft, usages });
        self.by_subject.entry(subject).or_default().push(position);
        self.thumbprints.insert(thumbprint, position);
        Ok(())
    }
}

impl Anchor {
    fn serves(&self, purpose: Purpose) -> bool {
        self.usages.as_ref().is_none_or(|usages| purpose.is_among(usages))
    }

    /// The whole certificate. A store holds many roots, and few are looked at.
    pub(super) fn certificate(&self) -> Result<Certificate<'_>, CatalogError> {
        let file = File(&self.der);
        Certificate::read(file, file.first(&self.der, "a root certificate")?.0)
    }
}

/// The name of a certificate, encoded, without reading the rest of it.
fn subject(file: File<'_>, element: AnyRef<'_>) -> Result<Box<[u8]>, CatalogError> {
    let what = "a certificate";
    let damaged = || file.damaged(what, element.value());
    if element.tag() != Tag::Sequence {
        return Err(damaged());
    }
    // Not `File::read`: it wants the lifetime of the file.
    let parts: Vec<AnyRef<'_>> = element.decode_as().map_err(|_| damaged())?;
    let inner: Vec<AnyRef<'_>> =
        parts.first().and_then(|signed| signed.decode_as().ok()).ok_or_else(damaged)?;
    let version = Tag::ContextSpecific { constructed: true, number: TagNumber::N0 };
    let before = usize::from(inner.first().is_some_and(|first| first.tag() == version));
    let subject = inner.get(before + 4).filter(|subject| subject.tag() == Tag::Sequence);
    let subject = subject.ok_or_else(damaged)?;
    Ok(subject.to_der().map_err(|_| damaged())?.into())
}

fn no_certificate() -> Error {
    Error::new(ErrorClass::Corrupt, "there is no certificate in it")
        .with_hint("give a certificate as PEM, DER or PKCS#7 (.cer, .crt, .pem, .p7b)")
}

/// Labels and contents of the PEM blocks of a text; what stands between them is skipped.
fn pem_blocks(text: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some(begin) = rest.find(PEM_BEGIN) {
        let from = rest.get(begin..).unwrap_or_default();
        let end = from.find(PEM_END).and_then(|end| {
            let line = from.get(end..)?;
            Some(end + line.find('\n').unwrap_or(line.len()))
        });
        let Some(end) = end else { return Err(no_certificate()) };
        // The decoder wants line ends of one kind and nothing behind them.
        let lines: Vec<&str> = from.get(..end).unwrap_or_default().lines().map(str::trim).collect();
        let block = lines.join("\n") + "\n";
        let (label, der) = ::der::pem::decode_vec(block.as_bytes()).map_err(|error| {
            Error::new(ErrorClass::Corrupt, format!("its text encoding (PEM) is damaged: {error}"))
        })?;
        blocks.push((label.to_owned(), der));
        rest = from.get(end..).unwrap_or_default();
    }
    Ok(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_roots_of_microsoft_are_the_published_ones() {
        let store = TrustStore::microsoft();
        assert_eq!(store.len(), MICROSOFT.len());
        for ((published, _), anchor) in MICROSOFT.iter().zip(&store.anchors) {
            assert_eq!(hex(&anchor.thumbprint), *published);
            let certificate = anchor.certificate().unwrap();
            assert_eq!(certificate.issuer(), certificate.subject());
            assert!(certificate.subject_name().starts_with("Microsoft "), "{}", certificate.subject_name());
            assert_eq!(store.named(certificate.subject(), Purpose::Code).count(), 1);
        }
    }

    fn blob(properties: &[(u32, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (id, data) in properties {
            for number in [*id, 1, data.len() as u32] {
                bytes.extend(number.to_le_bytes());
            }
            bytes.extend_from_slice(data);
        }
        bytes
    }

    #[test]
    fn files_and_registry_blobs() {
        let pem = MICROSOFT[2].1;
        let der = pem_blocks(pem).unwrap().remove(0).1;
        for bytes in [pem.as_bytes().to_vec(), der.clone(), pem.replace('\n', "\r\n").into_bytes()] {
            let mut store = TrustStore::empty();
            assert_eq!(store.add_file(&bytes).unwrap(), 1);
            assert_eq!((store.len(), hex(&store.anchors[0].thumbprint).as_str()), (1, MICROSOFT[2].0));
        }
        let mut store = TrustStore::empty();
        let two = format!("first\n{pem}between\n{}behind", MICROSOFT[3].1);
        assert_eq!((store.add_file(two.as_bytes()).unwrap(), store.len()), (2, 2));

        // A friendly name, the certificate, and usages: serverAuth alone.
        let server_auth: &[u8] = &[0x30, 10, 6, 8, 0x2B, 6, 1, 5, 5, 7, 3, 1];
        let code_signing: &[u8] = &[0x30, 10, 6, 8, 0x2B, 6, 1, 5, 5, 7, 3, 3];
        for (usages, trusted) in [(None, true), (Some(server_auth), false), (Some(code_signing), true)] {
            let mut properties: Vec<(u32, &[u8])> = vec![(11, b"x\0\0\0")];
            properties.extend(usages.map(|usages| (PROPERTY_USAGES, usages)));
            properties.push((PROPERTY_CERTIFICATE, &der));
            let mut store = TrustStore::empty();
            store.add_blob(&blob(&properties)).unwrap();
            assert_eq!(store.anchor(&digest::sha1(&der), Purpose::Code).is_some(), trusted);
        }
    }

    #[test]
    fn what_holds_no_certificate() {
        let mut store = TrustStore::empty();
        let der = pem_blocks(MICROSOFT[2].1).unwrap().remove(0).1;
        let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        let files: [&[u8]; 6] = [
            b"",
            b"hello",
            key.as_bytes(),
            b"-----BEGIN CERTIFICATE-----\n",
            &der[1..],
            &der[..der.len() - 1],
        ];
        for bytes in files {
            assert!(store.add_file(bytes).is_err(), "{:?}", String::from_utf8_lossy(bytes));
        }
        let huge = [PROPERTY_CERTIFICATE.to_le_bytes(), 1u32.to_le_bytes(), u32::MAX.to_le_bytes()].concat();
        let blobs: [&[u8]; 4] = [b"", b"abc", &huge, &blob(&[(3, b"x")])];
        for bytes in blobs {
            assert!(store.add_blob(bytes).is_err(), "{bytes:?}");
        }
        assert!(store.is_empty());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let mut store = TrustStore::empty();
            let _ = store.add_file(&bytes);
            let _ = store.add_blob(&bytes);
        }
    }
}
