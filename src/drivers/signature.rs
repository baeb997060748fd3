// SPDX-License-Identifier: GPL-3.0-or-later
//! Whether a package is signed: its catalog exists, its signature verifies, and the INF and
//! every file are members.
//!
//! What is not judged here is the signer's certificate chain; see [`CHAIN_EXCEPTION`].
//! `SignerScore` values are those of setupapi.h.

use crate::base::Arch;
use crate::catalog::{Catalog, FileDigests};

use super::DriverError;

/// Said once of a run that took a signed package.
pub(super) const CHAIN_EXCEPTION: &str =
    "the catalogs' signatures are verified, but not the chain of the signers' certificates to a trusted root";

const WHQL_PUBLISHER: &str = "Microsoft Windows Hardware Compatibility Publisher";
const WINDOWS_PUBLISHER: &str = "Microsoft Windows";

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
    /// `Submission ID` of a catalog that vouches for the package.
    pub(super) submission_id: Option<String>,
}

impl Signature {
    /// An unsigned package.
    pub(super) fn none(fault: DriverError) -> Self {
        Self { fault: Some(fault), signer: None, submission_id: None }
    }

    /// Judges a package by one catalog. `files` are the INF and every other file but the catalog.
    pub(super) fn judge<'a>(
        inf: &str,
        catalog_name: &str,
        catalog: &Catalog,
        files: impl Iterator<Item = (String, Option<&'a FileDigests>)>,
    ) -> Self {
        if let Err(error) = catalog.verify_signature() {
            return Self::none(DriverError::BadCatalog {
                inf: inf.to_owned(),
                catalog: catalog_name.to_owned(),
                reason: error.message().to_owned(),
            });
        }
        for (file, digests) in files {
            if !digests.is_some_and(|digests| catalog.contains(digests)) {
                return Self::none(DriverError::NotInCatalog { file, catalog: catalog_name.to_owned() });
            }
        }
        Self {
            fault: None,
            signer: catalog.signer().map(|signer| signer.common_name.clone()),
            submission_id: catalog.attribute("Submission ID").map(str::to_owned),
        }
    }

    /// Whether the catalog vouches for every file.
    pub(super) fn is_signed(&self) -> bool {
        self.fault.is_none()
    }

    /// `SignerScore` of the database.
    pub(super) fn score(&self) -> u32 {
        match (&self.fault, self.signer.as_deref()) {
            (Some(_), _) => SCORE_UNSIGNED,
            (None, Some(WHQL_PUBLISHER)) => SCORE_WHQL,
            (None, Some(WINDOWS_PUBLISHER)) => SCORE_UNCLASSIFIED,
            (None, _) => SCORE_AUTHENTICODE,
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
        let signed =
            |signer: &str| Signature { fault: None, signer: Some(signer.to_owned()), submission_id: None };
        assert_eq!(signed(WHQL_PUBLISHER).score(), 0x0D00_0005);
        assert_eq!(signed("Microsoft Windows").score(), 0x0D00_0004);
        assert_eq!(signed("Somebody Ltd").score(), 0x0F00_0000);
        let unsigned = Signature::none(DriverError::NoCatalog { inf: "a.inf".into(), reason: "none".into() });
        assert_eq!((unsigned.score(), unsigned.is_signed()), (0x8000_0000, false));
    }

    #[test]
    fn only_x86_takes_unsigned() {
        let allowed: Vec<Arch> = Arch::ALL.into_iter().filter(|&arch| unsigned_is_allowed(arch)).collect();
        assert_eq!(allowed, [Arch::X86]);
    }
}
