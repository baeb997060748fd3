// SPDX-License-Identifier: GPL-3.0-or-later
//! What can be wrong with a catalog.

use crate::base::{Code, Error, ErrorClass, FileTime, Version};

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
    /// Something stands beside the signature that nobody signed and nobody knows.
    #[error("offset {offset}: beside the signature stands something unknown, {oid}")]
    UnknownAttribute {
        /// The signer's offset.
        offset: u64,
        /// Its object identifier.
        oid: String,
    },
    /// No chain of certificates leads to a root that is trusted.
    #[error(
        "the signer {signer} is not trusted: its chain of certificates ends with {last}, {}",
        if *complete { "a root that is not trusted".to_owned() }
        else { format!("whose issuer {issuer} is not among the trusted roots") }
    )]
    UntrustedRoot {
        /// Common name of the signer.
        signer: String,
        /// Where the chain ends.
        last: String,
        /// Who issued that one.
        issuer: String,
        /// Whether it ends with a root.
        complete: bool,
    },
    /// A certificate of the chain was not valid when the catalog was signed.
    #[error(
        "the certificate of {certificate} is valid from {} to {}, and it is judged at {}",
        day(*from), day(*until), day(*at)
    )]
    Expired {
        /// Common name.
        certificate: String,
        /// First moment.
        from: FileTime,
        /// Last moment.
        until: FileTime,
        /// When it should have been valid: when a time stamp says that it signed, else now.
        at: FileTime,
    },
    /// Who stamped the time is not trusted.
    #[error("the time stamp is not trusted: {reason}")]
    TimeStamp {
        /// Why not.
        reason: String,
    },
    /// A certificate of the chain may not be used for this.
    #[error("the certificate of {certificate} may not {purpose}")]
    Usage {
        /// Common name.
        certificate: String,
        /// What it was used for.
        purpose: &'static str,
    },
    /// A certificate of the chain is among those that the image distrusts.
    #[error("the certificate of {certificate} is explicitly distrusted")]
    Distrusted {
        /// Common name.
        certificate: String,
    },
    /// So many certificates of the same names that no chain was found in bounded time.
    #[error("too many certificates could have issued that of {certificate}")]
    TooManyChains {
        /// Common name.
        certificate: String,
    },
    /// The file was signed for later versions of Windows only.
    #[error("{file} was signed for Windows {listed}, not for {version}")]
    WrongOs {
        /// Which file.
        file: String,
        /// The versions, joined by commas.
        listed: String,
        /// Of the image.
        version: Version,
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
            Self::NoCertificate | Self::Algorithm { .. } | Self::TooManyChains { .. } => {
                super::TRUST_NOT_ESTABLISHED
            }
            Self::UnknownAttribute { .. } => super::NO_SIGNATURE,
            Self::UntrustedRoot { complete: true, .. } => super::UNTRUSTED_ROOT,
            Self::UntrustedRoot { complete: false, .. } => super::CHAINING,
            Self::Expired { .. } => super::EXPIRED,
            Self::TimeStamp { .. } => super::TIME_STAMP,
            Self::Usage { .. } => super::WRONG_USAGE,
            Self::Distrusted { .. } => super::EXPLICIT_DISTRUST,
            Self::WrongOs { .. } => super::OS_MISMATCH,
            Self::NotMember { .. } => super::HASH_NOT_IN_CATALOG,
        }
    }
}

impl From<CatalogError> for Error {
    fn from(error: CatalogError) -> Self {
        let class = match error {
            CatalogError::Algorithm { .. } => ErrorClass::Unsupported,
            CatalogError::UntrustedRoot { .. }
            | CatalogError::Expired { .. }
            | CatalogError::TimeStamp { .. }
            | CatalogError::Usage { .. }
            | CatalogError::Distrusted { .. }
            | CatalogError::WrongOs { .. } => ErrorClass::NotApplicable,
            _ => ErrorClass::Corrupt,
        };
        let hint = match error {
            CatalogError::Unsigned | CatalogError::Algorithm { .. } => {
                "to add the driver all the same, use /ForceUnsigned (--force-unsigned)"
            }
            CatalogError::UntrustedRoot { .. } | CatalogError::TimeStamp { .. } => {
                "if you trust that root, name its certificate with --root FILE; /ForceUnsigned (--force-unsigned) adds the package unchecked"
            }
            CatalogError::WrongOs { .. } => "get the package for this version of Windows",
            _ => "get the package again from its vendor; /ForceUnsigned (--force-unsigned) adds it unchecked",
        };
        Self::new(class, error.to_string()).with_code(error.code()).with_hint(hint)
    }
}

fn day(time: FileTime) -> String {
    let (year, month, day) = time.date();
    format!("{year:04}-{month:02}-{day:02}")
}
