// SPDX-License-Identifier: GPL-3.0-or-later
//! Catalogs: which files belong to a package, and who says so.
//!
//! A catalog is a certificate trust list in PKCS#7 signed data. [`Catalog::parse`] reads it,
//! [`Catalog::verify_signature`] checks every signature in it, [`Catalog::judge`] asks a
//! [`TrustStore`] whether the signer is trusted, [`digest_file`] hashes a file the
//! way catalogs list it, [`Catalog::check_member`] says whether it is the file that was signed.

#![cfg_attr(
    not(test),
    warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod certificate;
mod chain;
mod ctl;
mod der;
mod error;
mod os;
mod signature;
mod trust;
mod trust_store;

use std::fmt;

pub use error::CatalogError;
pub use trust::{SignerKind, Trust};
pub use trust_store::{Thumbprint, TrustStore};

use crate::base::{Code, FileTime, Result, Version};
use crate::digest::{Sha1, Sha256};
use crate::io::ReadAt;
use ::der::asn1::ObjectIdentifier;
use signature::SignedData;

/// `ERROR_NO_CATALOG_FOR_OEM_INF`: the INF names no catalog, or it is not there.
pub const NO_CATALOG: Code = Code(0xE000_022F);
/// `ERROR_FILE_HASH_NOT_IN_CATALOG`.
pub const HASH_NOT_IN_CATALOG: Code = Code(0xE000_024B);
/// `ERROR_AUTHENTICODE_TRUST_NOT_ESTABLISHED`.
pub const TRUST_NOT_ESTABLISHED: Code = Code(0xE000_0242);
/// `TRUST_E_NOSIGNATURE`: not signed, or the signature does not hold.
pub const NO_SIGNATURE: Code = Code(0x800B_0100);
/// `CERT_E_UNTRUSTEDROOT`.
pub const UNTRUSTED_ROOT: Code = Code(0x800B_0109);
/// `CERT_E_CHAINING`.
pub const CHAINING: Code = Code(0x800B_010A);
/// `CERT_E_EXPIRED`.
pub const EXPIRED: Code = Code(0x800B_0101);
/// `TRUST_E_TIME_STAMP`.
pub const TIME_STAMP: Code = Code(0x8009_6005);
/// `CERT_E_WRONG_USAGE`.
pub const WRONG_USAGE: Code = Code(0x800B_0110);
/// `TRUST_E_EXPLICIT_DISTRUST`.
pub const EXPLICIT_DISTRUST: Code = Code(0x800B_0111);
/// `ERROR_SIGNATURE_OSATTRIBUTE_MISMATCH`.
pub const OS_MISMATCH: Code = Code(0xE000_0244);

const TRUST_LIST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.10.1");
/// Files are hashed in pieces of this size.
const BUFFER: usize = 256 << 10;

/// A parsed catalog file.
pub struct Catalog {
    bytes: Vec<u8>,
    list: ctl::List,
    signer: Option<Signer>,
}

/// One entry of a catalog. Newer catalogs list a file twice: by SHA-1 and by SHA-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// As stored: hex digits in UTF-16LE, or the digest itself.
    pub tag: Vec<u8>,
    /// The attribute `File`.
    pub file: Option<String>,
    /// The attribute `OSAttr`, split at its commas: `2:10.0`.
    pub os_attributes: Vec<String>,
}

/// Who signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// Common name of the leaf certificate.
    pub common_name: String,
    /// Common name of the one that issued it.
    pub issuer: String,
}

/// Hashes of a file as catalogs list them: flat for ordinary files, Authenticode for PE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileDigests {
    /// SHA-1.
    pub sha1: [u8; 20],
    /// SHA-256.
    pub sha256: [u8; 32],
    /// Length of the file.
    pub length: u64,
}

impl fmt::Debug for Catalog {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Catalog")
            .field("members", &self.list.members.len())
            .field("signer", &self.signer)
            .finish_non_exhaustive()
    }
}

impl Catalog {
    /// Reads a catalog; its signature is not looked at.
    ///
    /// # Errors
    /// When the bytes are no catalog; the message names the offset.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let (data, rest) = SignedData::of_file(bytes)?;
        // Some tools pad files with zeros; anything else was added by somebody.
        if rest.iter().any(|byte| *byte != 0) {
            return Err(data.file().damaged("the end of the catalog", rest).into());
        }
        if data.content_type != TRUST_LIST {
            return Err(CatalogError::NotCatalog.into());
        }
        let list = ctl::read(data.file(), data.content.ok_or(CatalogError::NotCatalog)?)?;
        let signer = data.signer();
        Ok(Self { bytes: bytes.to_vec(), list, signer })
    }

    /// Its entries in order.
    pub fn members(&self) -> &[Member] {
        &self.list.members
    }

    /// Catalog-wide name/value attributes in order (`Submission ID`, `OS`, `HWID1`, `Universal` ...).
    pub fn attributes(&self) -> &[(String, String)] {
        &self.list.attributes
    }

    /// The value of a catalog-wide attribute, its name in any case.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes()
            .iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The leaf signer, from the signerInfo's certificate; nothing for an unsigned catalog.
    pub fn signer(&self) -> Option<&Signer> {
        self.signer.as_ref()
    }

    /// Message digest and signature verify cryptographically, those of time stamps, further
    /// signatures and certificates included; whether the last issuer is trusted is not asked.
    ///
    /// # Errors
    /// [`CatalogError`] names the reason: unsigned, changed, forged, or not supported.
    pub fn verify_signature(&self) -> Result<()> {
        SignedData::of_file(&self.bytes)?.0.verify()?;
        Ok(())
    }

    /// Whether a file with these digests is a member (v1 hex text tags, raw SHA-1, raw SHA-256).
    pub fn contains(&self, digests: &FileDigests) -> bool {
        self.members_of(digests).next().is_some()
    }

    /// The entries of a file with these digests.
    pub fn members_of(&self, digests: &FileDigests) -> impl Iterator<Item = &Member> {
        let positions = |digest: &[u8]| self.list.digests.get(digest).into_iter().flatten().copied();
        positions(&digests.sha256)
            .chain(positions(&digests.sha1))
            .filter_map(|position| self.list.members.get(position))
    }

    /// Verifies every signature, and whether the signer is trusted: its chain must lead to a root
    /// of the store, and be valid when a trusted time stamp says that it signed, else `now`.
    ///
    /// # Errors
    /// As [`Catalog::verify_signature`]; and when the signer is not trusted, with the reason.
    pub fn judge(&self, store: &TrustStore, now: FileTime) -> Result<Trust> {
        let (data, _) = SignedData::of_file(&self.bytes)?;
        data.verify()?;
        Ok(trust::judge(&data, store, now)?)
    }

    /// Fails when a member was signed for later versions of Windows only; `file` is for the message.
    ///
    /// # Errors
    /// [`CatalogError::WrongOs`], with [`OS_MISMATCH`].
    pub fn check_os(&self, file: &str, digests: &FileDigests, version: Version) -> Result<()> {
        let entries = || self.members_of(digests).flat_map(|member| &member.os_attributes);
        if os::serves(entries().map(String::as_str), version) {
            return Ok(());
        }
        let mut listed: Vec<&str> = entries().map(|entry| entry.trim_start_matches("2:")).collect();
        listed.dedup();
        Err(CatalogError::WrongOs { file: file.to_owned(), listed: listed.join(", "), version }.into())
    }

    /// Fails unless the file is a member; `file` is for the message.
    ///
    /// # Errors
    /// [`CatalogError::NotMember`], with [`HASH_NOT_IN_CATALOG`].
    pub fn check_member(&self, file: &str, digests: &FileDigests) -> Result<()> {
        if self.contains(digests) {
            return Ok(());
        }
        Err(CatalogError::NotMember { file: file.to_owned() }.into())
    }
}

/// Hashes a file the way catalogs do: Authenticode for a PE file, else the whole file. A file
/// that begins as a PE file and is damaged is an error, never hashed the other way.
///
/// # Errors
/// When the file cannot be read or is a damaged PE file.
pub fn digest_file(file: &dyn ReadAt) -> Result<FileDigests> {
    let length = file.len();
    if crate::pe::is_pe(file)? {
        let digests = crate::pe::authenticode_digests(file)?;
        return Ok(FileDigests { sha1: digests.sha1, sha256: digests.sha256, length });
    }
    let (mut sha1, mut sha256) = (Sha1::default(), Sha256::default());
    let mut buffer = vec![0; usize::try_from(length).unwrap_or(BUFFER).min(BUFFER)];
    let mut position = 0;
    while position < length {
        let size = (length - position).min(BUFFER as u64);
        let piece = buffer.get_mut(..size as usize).unwrap_or_default();
        file.read_exact_at(piece, position)?;
        sha1.update(piece);
        sha256.update(piece);
        position += size;
    }
    Ok(FileDigests { sha1: sha1.finish(), sha256: sha256.finish(), length })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_files_are_hashed_whole() {
        let bytes: Vec<u8> = (0..BUFFER * 2 + 7).map(|position| position as u8).collect();
        let digests = digest_file(&bytes).unwrap();
        let expected = FileDigests {
            sha1: crate::digest::sha1(&bytes),
            sha256: crate::digest::sha256(&bytes),
            length: bytes.len() as u64,
        };
        assert_eq!(digests, expected);
        assert_eq!(digest_file(&Vec::new()).unwrap().sha1, crate::digest::sha1(b""));
    }

    #[test]
    fn what_is_no_catalog_is_refused() {
        let cases: [&[u8]; 4] = [b"", b"MZ", b"\x30\x03\x02\x01\x01", &[0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF]];
        for bytes in cases {
            assert!(Catalog::parse(bytes).is_err(), "{bytes:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = Catalog::parse(&bytes);
        }
    }
}
