// SPDX-License-Identifier: GPL-3.0-or-later
//! Whether a package is signed: its catalog exists, its signature verifies, its signer is trusted,
//! and the INF and every file are members that were signed for this Windows.
//!
//! Trusted are Microsoft's own roots, those of the image (ROOT and AuthRoot of the machine, of its
//! policies and its enterprise) and those that the request names; a certificate that the image
//! distrusts (Disallowed) spoils every chain. `SignerScore` values are those of setupapi.h.

use std::path::PathBuf;

use crate::base::{Arch, Context, Error, FileTime, Result, Version};
use crate::catalog::{Catalog, FileDigests, SignerKind, Thumbprint, Trust, TrustStore};
use crate::image::{Registry, Session};

use super::DriverError;
use super::source;

/// Where an image keeps its certificates.
const STORES: [&str; 3] = [
    "HKLM\\SOFTWARE\\Microsoft\\SystemCertificates",
    "HKLM\\SOFTWARE\\Policies\\Microsoft\\SystemCertificates",
    "HKLM\\SOFTWARE\\Microsoft\\EnterpriseCertificates",
];
const TRUSTED: [&str; 2] = ["ROOT", "AuthRoot"];
const DISTRUSTED: &str = "Disallowed";

const SCORE_UNCLASSIFIED: u32 = 0x0D00_0004;
const SCORE_WHQL: u32 = 0x0D00_0005;
const SCORE_AUTHENTICODE: u32 = 0x0F00_0000;
pub(super) const SCORE_UNSIGNED: u32 = 0x8000_0000;

/// The judgement on a package.
#[derive(Clone, Debug)]
pub(super) struct Signature {
    /// Why it is not signed; nothing when it is.
    pub(super) fault: Option<DriverError>,
    /// Leaf signer; nothing when unsigned.
    pub(super) signer: Option<String>,
    /// How it is known that the signer is trusted.
    pub(super) trust: Option<Trust>,
    /// `Submission ID` of a catalog that vouches for the package.
    pub(super) submission_id: Option<String>,
}

/// What the catalogs of one run are judged by.
pub(super) struct Judge {
    store: TrustStore,
    now: FileTime,
    version: Version,
}

impl Judge {
    /// Reads the image's certificates, and the files that hold further roots.
    pub(super) fn new(session: &mut Session, roots: &[PathBuf]) -> Result<Self> {
        let mut store = TrustStore::microsoft();
        for path in roots {
            let context = || format!("while reading the root certificate {}", path.display());
            let bytes = source::read_whole(path).context(context)?;
            store.add_file(&bytes).context(context)?;
        }
        let version = session.windows().version;
        let now = session.environment().clock.now();
        let registry = session.registry();
        for location in STORES {
            for name in TRUSTED {
                let key = format!("{location}\\{name}\\Certificates");
                for thumbprint in subkeys(registry, &key)? {
                    let Some(blob) = registry.value(&format!("{key}\\{thumbprint}"), "Blob")? else {
                        continue;
                    };
                    if let Err(error) = store.add_blob(&blob.data) {
                        tracing::warn!(%thumbprint, "a root certificate of the image is passed over: {error}");
                    }
                }
            }
            for name in subkeys(registry, &format!("{location}\\{DISTRUSTED}\\Certificates"))? {
                if let Some(thumbprint) = thumbprint(&name) {
                    store.distrust(thumbprint);
                }
            }
        }
        Ok(Self { store, now, version })
    }

    /// Judges a package by one catalog. `files` are the INF and every other file but the catalog.
    pub(super) fn judge<'a>(
        &self,
        inf: &str,
        catalog_name: &str,
        catalog: &Catalog,
        files: impl Iterator<Item = (String, Option<&'a FileDigests>)>,
    ) -> Signature {
        let refused = |error: &Error| {
            let reason = format!("{} ({})", error.message(), error.code());
            let (inf, catalog) = (inf.to_owned(), catalog_name.to_owned());
            Signature::none(DriverError::BadCatalog { inf, catalog, reason })
        };
        if let Err(error) = catalog.verify_signature() {
            return refused(&error);
        }
        // Members first: what was changed is told before what is not trusted.
        for (file, digests) in files {
            let catalog_name = catalog_name.to_owned();
            let Some(digests) = digests.filter(|digests| catalog.contains(digests)) else {
                return Signature::none(DriverError::NotInCatalog { file, catalog: catalog_name });
            };
            if let Err(error) = catalog.check_os(&file, digests, self.version) {
                let (inf, reason) = (inf.to_owned(), error.message().to_owned());
                return Signature::none(DriverError::WrongOs { inf, catalog: catalog_name, reason });
            }
        }
        match catalog.judge(&self.store, self.now) {
            Ok(trust) => Signature {
                fault: None,
                signer: catalog.signer().map(|signer| signer.common_name.clone()),
                trust: Some(trust),
                submission_id: catalog.attribute("Submission ID").map(str::to_owned),
            },
            Err(error) => refused(&error),
        }
    }
}

fn subkeys(registry: &mut Registry, path: &str) -> Result<Vec<String>> {
    let Some((name, key)) = registry.key(path)? else { return Ok(Vec::new()) };
    let hive = registry.require(name)?;
    let keys = hive.subkeys(key)?;
    keys.into_iter().map(|key| Ok(hive.name(key)?.to_string())).collect()
}

fn thumbprint(hex: &str) -> Option<Thumbprint> {
    let (pairs, odd) = hex.as_bytes().as_chunks::<2>();
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let bytes = pairs.iter().map(|[high, low]| u8::try_from(digit(*high)? << 4 | digit(*low)?).ok());
    let bytes: Vec<u8> = bytes.collect::<Option<_>>()?;
    bytes.try_into().ok().filter(|_| odd.is_empty())
}

impl Signature {
    /// An unsigned package.
    pub(super) fn none(fault: DriverError) -> Self {
        Self { fault: Some(fault), signer: None, trust: None, submission_id: None }
    }

    /// Whether the catalog vouches for every file.
    pub(super) fn is_signed(&self) -> bool {
        self.fault.is_none()
    }

    /// `SignerScore` of the database.
    pub(super) fn score(&self) -> u32 {
        match self.trust.as_ref().map(|trust| trust.kind) {
            _ if self.fault.is_some() => SCORE_UNSIGNED,
            Some(SignerKind::Whql | SignerKind::Attested) => SCORE_WHQL,
            Some(SignerKind::Windows) => SCORE_UNCLASSIFIED,
            _ => SCORE_AUTHENTICODE,
        }
    }
}

/// Whether images of this architecture take unsigned packages without being forced.
pub(super) fn unsigned_is_allowed(arch: Arch) -> bool {
    arch == Arch::X86
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores() {
        let signed = |kind: SignerKind| {
            let trust = Trust {
                kind,
                chain: vec!["Signer".into(), "Root".into()],
                root: "00".repeat(20),
                microsoft: true,
                signed_at: None,
                time_stamper: None,
                untrusted_time_stamp: None,
            };
            let signer = Some("Signer".to_owned());
            Signature { fault: None, signer, trust: Some(trust), submission_id: None }
        };
        let cases = [
            (SignerKind::Whql, 0x0D00_0005),
            (SignerKind::Attested, 0x0D00_0005),
            (SignerKind::Windows, 0x0D00_0004),
            (SignerKind::Preview, 0x0F00_0000),
            (SignerKind::Test, 0x0F00_0000),
            (SignerKind::Authenticode, 0x0F00_0000),
        ];
        for (kind, score) in cases {
            assert_eq!(signed(kind).score(), score, "{kind:?}");
        }
        let unsigned = Signature::none(DriverError::NoCatalog { inf: "a.inf".into(), reason: "none".into() });
        assert_eq!((unsigned.score(), unsigned.is_signed()), (0x8000_0000, false));
    }

    #[test]
    fn names_of_distrusted_certificates() {
        let name = "0119E81BE9A14CD8E22F40AC118C687ECBA3F4D8";
        assert_eq!(thumbprint(name).map(|bytes| (bytes[0], bytes[19])), Some((0x01, 0xD8)));
        for other in ["", "01", "0119E81BE9A14CD8E22F40AC118C687ECBA3F4DX", &"0".repeat(41)] {
            assert_eq!(thumbprint(other), None, "{other}");
        }
    }

    #[test]
    fn only_x86_takes_unsigned() {
        let allowed: Vec<Arch> = Arch::ALL.into_iter().filter(|&arch| unsigned_is_allowed(arch)).collect();
        assert_eq!(allowed, [Arch::X86]);
    }
}
