// SPDX-License-Identifier: GPL-3.0-or-later
//! Commands about catalogs as files.

use std::path::Path;

use super::super::values::Values;
use super::Found;
use crate::base::{Context as _, Error, ErrorClass, Result, Version};
use crate::catalog::{self, Catalog, TrustStore};
use crate::image::Environment;
use crate::io::{FileReader, ReadAt, read_vec};
use crate::report::{CatalogFacts, CatalogList, CatalogVerdict, MemberVerdict};

/// The largest catalogs of Windows have some megabytes.
const LIMIT: u64 = 64 << 20;

/// `cat show`.
pub(crate) fn show(_: &Environment, values: &Values) -> Result<Found> {
    let mut catalogs = Vec::new();
    for path in values.paths("file")? {
        let catalog = open(&path)?;
        catalogs.push(CatalogFacts { file: path, catalog });
    }
    Ok(Box::new(CatalogList(catalogs)))
}

/// `cat verify`. Every part is judged, so that all that is wrong is told at once.
pub(crate) fn verify(environment: &Environment, values: &Values) -> Result<Found> {
    let path = values.path("file")?.unwrap_or_default();
    let version = values.text("windows")?.map(parse_version).transpose()?;
    let mut store = TrustStore::microsoft();
    for root in values.paths("root")? {
        let context = || format!("while reading the root certificate {}", root.display());
        store.add_file(&whole(&root)?).context(context)?;
    }
    let catalog = open(&path)?;
    let signature = catalog.verify_signature().err();
    // A signature that does not hold vouches for nobody.
    let (trust, untrusted) = match (&signature, catalog.judge(&store, environment.clock.now())) {
        (None, Ok(trust)) => (Some(trust), None),
        (None, Err(error)) => (None, Some(error)),
        (Some(_), _) => (None, None),
    };
    let mut members = Vec::new();
    for member in values.paths("members")? {
        environment.cancel.check()?;
        let digests = FileReader::open(&member)
            .and_then(|file| catalog::digest_file(&file))
            .context(|| format!("while hashing {}", member.display()))?;
        let name = member.display().to_string();
        let error = catalog
            .check_member(&name, &digests)
            .err()
            .or_else(|| version.and_then(|version| catalog.check_os(&name, &digests, version).err()));
        members.push(MemberVerdict { file: member, digests, error });
    }
    Ok(Box::new(CatalogVerdict { file: path, catalog, signature, trust, untrusted, members }))
}

fn open(path: &Path) -> Result<Catalog> {
    Catalog::parse(&whole(path)?).context(|| format!("while reading the catalog {}", path.display()))
}

/// All of a file that is read whole.
pub(super) fn whole(path: &Path) -> Result<Vec<u8>> {
    let file = FileReader::open(path)?;
    let length = file.len();
    if length > LIMIT {
        let message = format!("{} has {length} bytes; more than {LIMIT} are not read", path.display());
        return Err(Error::new(ErrorClass::Unsupported, message));
    }
    read_vec(&file, 0, length)
}

/// `10.0` or `10.0.19041`.
pub(super) fn parse_version(text: &str) -> Result<Version> {
    text.parse().map_err(|_| {
        Error::new(ErrorClass::Usage, format!("{text:?} is no version of Windows"))
            .with_hint("write it as 6.1, 10.0 or 10.0.19041")
    })
}
