// SPDX-License-Identifier: GPL-3.0-or-later
//! Whether a catalog's signer is trusted, and as whom.
//!
//! What kind of signer it is, its usages say, and they count for that only under Microsoft's own
//! roots:
//!
//! | usage | meaning |
//! |---|---|
//! | 1.3.6.1.4.1.311.10.3.5 | WHQL: tested hardware drivers |
//! | 1.3.6.1.4.1.311.10.3.5.1 | attested drivers (beside the one above) |
//! | 1.3.6.1.4.1.311.10.3.6 | components of Windows |
//! | 1.3.6.1.4.1.311.10.3.13 | lifetime signing: a time stamp does not outlive the certificate |
//! | 1.3.6.1.4.1.311.10.3.27 | builds before their release |
//!
//! Sources: wincrypt.h, Microsoft's "Attestation signing a kernel driver for public release"; four
//! real signers have them.

use ::der::asn1::ObjectIdentifier;

use super::CatalogError;
use super::certificate::Certificate;
use super::chain::{self, Chain, Purpose};
use super::signature::{SignedData, TimeStamp};
use super::trust_store::TrustStore;
use crate::base::FileTime;

const WHQL: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.10.3.5");
const ATTESTED: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.10.3.5.1");
const WINDOWS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.10.3.6");
const LIFETIME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.10.3.13");
const PREVIEW: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.10.3.27");

/// Parts of the names of who signs for tests: Microsoft's test roots, and the certificates that
/// the driver kit makes.
const TEST_NAMES: [&str; 5] = [
    "Microsoft Test Root",
    "Microsoft Testing Root",
    "Microsoft Testing PCA",
    "Microsoft Development Root",
    "WDKTestCert",
];

/// What kind of signer vouches for a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SignerKind {
    /// Microsoft's hardware tests were passed.
    Whql,
    /// Microsoft signed it on its maker's word.
    Attested,
    /// A part of Windows.
    Windows,
    /// A part of Windows before its release.
    Preview,
    /// For tests only: one of Microsoft's test roots, or the driver kit.
    Test,
    /// Anybody else with a certificate.
    Authenticode,
}

impl SignerKind {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Whql => "WHQL",
            Self::Attested => "attestation",
            Self::Windows => "Windows component",
            Self::Preview => "Windows preview",
            Self::Test => "test signing",
            Self::Authenticode => "Authenticode",
        }
    }
}

/// Who vouches for a catalog, and how that is known.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Trust {
    /// What kind of signer it is.
    pub kind: SignerKind,
    /// Common names from the signer to the root.
    pub chain: Vec<String>,
    /// SHA-1 of the root in hex.
    pub root: String,
    /// The root is one of Microsoft's own.
    pub microsoft: bool,
    /// When it was signed, by a time stamp that is trusted.
    pub signed_at: Option<FileTime>,
    /// Who stamped the time.
    pub time_stamper: Option<String>,
    /// Why the time stamp is not trusted, if there is one that is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub untrusted_time_stamp: Option<String>,
}

/// Asks for the chain of the first signer; the signatures have been verified before.
pub(super) fn judge(data: &SignedData<'_>, store: &TrustStore, now: FileTime) -> Result<Trust, CatalogError> {
    let (signer, leaf) = data.first_signer()?;
    let usages = leaf.usages()?.unwrap_or_default();
    let build = |at| chain::build(leaf, data.certificates().iter().collect(), store, Purpose::Code, at);
    let (stamped, untrusted) = match signer.time_stamp()? {
        None => (None, None),
        Some(stamp) => match time_stamper(&stamp, data, store) {
            Ok(stamper) => (Some((stamp.time, stamper)), None),
            Err(error) => (None, Some(error.to_string())),
        },
    };
    let at = match &stamped {
        Some((time, _)) if !usages.contains(&LIFETIME) => *time,
        _ => now,
    };
    let chain = match (build(at), &untrusted) {
        // What Microsoft signs, Microsoft stamps: there a stamp that is not trusted was changed.
        // Elsewhere one is as good as none, until it is needed.
        (Ok(Chain { microsoft: true, .. }) | Err(CatalogError::Expired { .. }), Some(reason)) => {
            return Err(CatalogError::TimeStamp { reason: reason.clone() });
        }
        (chain, _) => chain?,
    };
    let (signed_at, time_stamper) = stamped.unzip();
    Ok(Trust {
        kind: kind(leaf, &usages, &chain.names, chain.microsoft),
        root: chain.root.iter().map(|byte| format!("{byte:02x}")).collect(),
        chain: chain.names,
        microsoft: chain.microsoft,
        signed_at,
        time_stamper,
        untrusted_time_stamp: untrusted,
    })
}

/// Who stamped the time, if he is trusted.
fn time_stamper(
    stamp: &TimeStamp<'_>,
    data: &SignedData<'_>,
    store: &TrustStore,
) -> Result<String, CatalogError> {
    let (certificate, pool) = stamp.certificates(data.certificates())?;
    chain::build(certificate, pool, store, Purpose::TimeStamp, stamp.time)?;
    Ok(certificate.subject_name())
}

fn kind(
    leaf: &Certificate<'_>,
    usages: &[ObjectIdentifier],
    names: &[String],
    microsoft: bool,
) -> SignerKind {
    let is_test = |name: &str| TEST_NAMES.iter().any(|part| name.contains(part));
    if names.iter().any(|name| is_test(name)) || is_test(&leaf.issuer_name()) {
        return SignerKind::Test;
    }
    if !microsoft {
        return SignerKind::Authenticode;
    }
    let known = [
        (PREVIEW, SignerKind::Preview),
        (ATTESTED, SignerKind::Attested),
        (WHQL, SignerKind::Whql),
        (WINDOWS, SignerKind::Windows),
    ];
    let found = known.into_iter().find(|(usage, _)| usages.contains(usage));
    found.map_or(SignerKind::Authenticode, |(_, kind)| kind)
}
