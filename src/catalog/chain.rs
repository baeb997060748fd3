// SPDX-License-Identifier: GPL-3.0-or-later
//! Chains of certificates: from a signer to a root that is trusted, at one point in time.
//!
//! Every link's signature is verified. An issuer must be a certificate authority, and may sign
//! certificates; where it names usages, the purpose must be among them; a length of path that it
//! allows is kept. Source: RFC 5280 section 6.1. Not asked: revocation (there is no network), and
//! names that an authority is limited to, which no signer of drivers has.

use ::der::asn1::ObjectIdentifier;

use super::CatalogError;
use super::certificate::{Certificate, PublicKey};
use super::trust_store::{Anchor, Thumbprint, TrustStore};
use crate::base::FileTime;

const ANY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");
/// Code signing, and what Windows takes for drivers besides: WHQL, components of Windows, those
/// of a maker of computers (wintrust.h, wincrypt.h: `szOID_WHQL_CRYPTO`, `szOID_NT5_CRYPTO`,
/// `szOID_OEM_WHQL_CRYPTO`).
const CODE_SIGNING: [ObjectIdentifier; 4] = [
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3"),
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.10.3.5"),
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.10.3.6"),
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.10.3.7"),
];
const TIME_STAMPING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8");

/// The most certificates in a chain, its root included.
const MAX_LENGTH: usize = 12;
/// The most signatures that are verified for one chain.
const MAX_STEPS: usize = 64;

/// What a certificate is to be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Code,
    TimeStamp,
}

impl Purpose {
    pub(super) fn is_among(self, usages: &[ObjectIdentifier]) -> bool {
        usages.iter().any(|usage| {
            *usage == ANY_USAGE
                || match self {
                    Self::Code => CODE_SIGNING.contains(usage),
                    Self::TimeStamp => *usage == TIME_STAMPING,
                }
        })
    }

    fn in_words(self) -> &'static str {
        match self {
            Self::Code => "sign code",
            Self::TimeStamp => "stamp times",
        }
    }
}

/// A chain that is in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chain {
    /// Names from the signer to the root.
    pub(super) names: Vec<String>,
    pub(super) root: Thumbprint,
    /// The root is one of Microsoft's own.
    pub(super) microsoft: bool,
}

struct Search<'s, 'c, 'f> {
    pool: Vec<&'c Certificate<'f>>,
    store: &'s TrustStore,
    purpose: Purpose,
    at: FileTime,
    steps: usize,
    /// What was wrong with a chain that did reach a root.
    fault: Option<CatalogError>,
}

/// Finds a chain from `leaf` through `pool` to a root of the store, all of it valid at a time.
pub(super) fn build<'f>(
    leaf: &Certificate<'f>,
    pool: Vec<&Certificate<'f>>,
    store: &TrustStore,
    purpose: Purpose,
    at: FileTime,
) -> Result<Chain, CatalogError> {
    // Who stamps times must say so; who signs code need not.
    if !leaf.usages()?.map_or(purpose == Purpose::Code, |usages| purpose.is_among(&usages)) {
        return Err(CatalogError::Usage { certificate: leaf.subject_name(), purpose: purpose.in_words() });
    }
    let mut search = Search { pool, store, purpose, at, steps: 0, fault: None };
    let mut last = leaf;
    let mut path = vec![leaf];
    if let Some(chain) = search.extend(&mut path, &mut last)? {
        return Ok(chain);
    }
    Err(search.fault.unwrap_or_else(|| CatalogError::UntrustedRoot {
        signer: leaf.subject_name(),
        last: last.subject_name(),
        issuer: last.issuer_name(),
        complete: last.subject() == last.issuer(),
    }))
}

impl<'c, 'f> Search<'_, 'c, 'f> {
    /// Goes on from the last certificate of a path. `last` becomes the end of the longest path.
    fn extend<'p>(
        &mut self,
        path: &mut Vec<&'p Certificate<'f>>,
        last: &mut &'p Certificate<'f>,
    ) -> Result<Option<Chain>, CatalogError>
    where
        'c: 'p,
    {
        let Some(current) = path.last().copied() else { return Ok(None) };
        if let Some(anchor) = self.store.anchor(&current.thumbprint()?, self.purpose) {
            return self.finish(path, None, anchor);
        }
        for anchor in self.store.named(current.issuer(), self.purpose) {
            // A root whose kind of key is not supported is as good as none.
            let Ok(root) = anchor.certificate() else { continue };
            let signed = self.step(current, &root)?;
            if signed && let Some(chain) = self.finish(path, Some(&root), anchor)? {
                return Ok(Some(chain));
            }
        }
        if path.len() >= MAX_LENGTH {
            return Ok(None);
        }
        for issuer in self.pool.clone() {
            let known = path.iter().any(|known| known.is_same(issuer));
            if known || issuer.subject() != current.issuer() || !self.step(current, issuer)? {
                continue;
            }
            // Certificates of authorities that are no root of their own.
            if !issuer.may_issue(path.len() - 1)? {
                self.fault.get_or_insert(CatalogError::Usage {
                    certificate: issuer.subject_name(),
                    purpose: "issue certificates",
                });
                continue;
            }
            path.push(issuer);
            *last = issuer;
            if let Some(chain) = self.extend(path, last)? {
                return Ok(Some(chain));
            }
            path.pop();
        }
        Ok(None)
    }

    /// Whether `issuer` signed `certificate`.
    fn step(
        &mut self,
        certificate: &Certificate<'_>,
        issuer: &Certificate<'_>,
    ) -> Result<bool, CatalogError> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return Err(CatalogError::TooManyChains { certificate: certificate.subject_name() });
        }
        Ok(PublicKey::read(issuer).and_then(|key| certificate.verify(&key)).is_ok())
    }

    /// Judges a path that reached a root, which may be its last certificate.
    fn finish(
        &mut self,
        path: &[&Certificate<'f>],
        root: Option<&Certificate<'_>>,
        anchor: &Anchor,
    ) -> Result<Option<Chain>, CatalogError> {
        let mut names: Vec<String> = Vec::with_capacity(path.len() + 1);
        for certificate in path {
            if let Err(fault) = self.judge(certificate)? {
                self.fault.get_or_insert(fault);
                return Ok(None);
            }
            names.push(certificate.subject_name());
        }
        if let Some(root) = root {
            if let Err(fault) = self.judge(root)? {
                self.fault.get_or_insert(fault);
                return Ok(None);
            }
            names.push(root.subject_name());
        }
        Ok(Some(Chain { names, root: anchor.thumbprint, microsoft: anchor.microsoft }))
    }

    fn judge(&self, certificate: &Certificate<'_>) -> Result<Result<(), CatalogError>, CatalogError> {
        if self.store.is_distrusted(&certificate.thumbprint()?) {
            return Ok(Err(CatalogError::Distrusted { certificate: certificate.subject_name() }));
        }
        let (from, until) = certificate.validity();
        if self.at < from || self.at > until {
            let certificate = certificate.subject_name();
            return Ok(Err(CatalogError::Expired { certificate, from, until, at: self.at }));
        }
        if certificate.usages()?.is_some_and(|usages| !self.purpose.is_among(&usages)) {
            let (certificate, purpose) = (certificate.subject_name(), self.purpose.in_words());
            return Ok(Err(CatalogError::Usage { certificate, purpose }));
        }
        Ok(Ok(()))
    }
}
