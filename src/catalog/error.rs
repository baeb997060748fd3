// SPDX-License-Identifier: GPL-3.0-or-later
//! What can be wrong with a catalog.

use crate::base::{Code, Error, ErrorClass};

/// Why a catalog, its signature, or a file under it is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// The bytes break DER or the structure of a catalog.
    #[error("offset {offset}: {what} is missing or damaged")]
    Der {
        /// What was expected.
        what: &'static str,
        /// Where.
        offset: u64,
    },
    /// Signed data, but of another kind.
    #[error("this is signed data, but no catalog")]
    NotCatalog,
    /// Nobody signed it.
    #[error("the catalog is not signed")]
    Unsigned,
    /// The certificate that the signer names is not in the catalog.
    #[error("the signer's certificate is not in the catalog")]
    NoCertificate,
    /// The content was changed after it was signed.
    #[error("{what} does not have the digest that was signed")]
    Digest {
        /// What was hashed.
        what: &'static str,
    },
    /// The signature does not belong to the key.
    #[error("the signature of {what} is not valid")]
    Signature {
        /// What was signed.
        what: String,
    },
    /// Made with something this program does not know.
    #[error("{what} uses the algorithm {oid}, which is not supported")]
    Algorithm {
        /// What was signed.
        what: String,
        /// Its object identifier.
        oid: String,
    },
    /// The file's hashes are not in the catalog.
    #[error("{file} is not in the catalog, or was changed after the catalog was made")]
    NotMember {
        /// Which file.
        file: String,
    },
}

impl CatalogError {
    /// The number setupapi or WinVerifyTrust gives.
    pub fn code(&self) -> Code {
        match self {
            Self::Der { .. } | Self::NotCatalog => Code::INVALID_DATA,
            Self::Unsigned | Self::Digest { .. } | Self::Signature { .. } => super::NO_SIGNATURE,
            Self::NoCertificate | Self::Algorithm { .. } => super::TRUST_NOT_ESTABLISHED,
            Self::NotMember { .. } => super::HASH_NOT_IN_CATALOG,
        }
    }
}

impl From<CatalogError> for Error {
    fn from(error: CatalogError) -> Self {
        let class = match error {
            CatalogError::Algorithm { .. } => ErrorClass::Unsupported,
            _ => ErrorClass::Corrupt,
        };
        let hint = match error {
            CatalogError::Unsigned | CatalogError::Algorithm { .. } => {
                "to add the driver all the same, use /ForceUnsigned (--force-unsigned)"
            }
            _ => "get the package again from its vendor; /ForceUnsigned (--force-unsigned) adds it unchecked",
        };
        Self::new(class, error.to_string()).with_code(error.code()).with_hint(hint)
    }
}
