// SPDX-License-Identifier: GPL-3.0-or-later
//! Which package Windows would pick for a device, by the ids in the driver database.
//!
//! Rank, lower is better:
//!
//! | bits | meaning |
//! |---|---|
//! | 0xFF000000 | 80 unsigned, 00 signed: since Windows 7 all trusted signers count the same |
//! | 0x00FF0000 | FeatureScore |
//! | 0x0000F000 | 0 a hardware id of the device and of the INF, 1 the INF's is a compatible id, 2 the device's is, 3 both are |
//! | 0x00000FFF | position in the device's list; for 3 also that in the INF's, times 0x100 |
//!
//! Of equal ranks the newer date wins, then the higher version. Source: "How Windows ranks
//! drivers", "Identifier score" of MicrosoftDocs/windows-driver-docs.

use std::collections::BTreeMap;

use crate::base::Result;
use crate::image::Session;

use super::class::SetupClass;
use super::database::{self, DeviceIdEntry, Match, StoredPackage};
use super::device::Device;
use super::report::{FindCandidate, FindReport};
use super::signature::SCORE_UNSIGNED;
use super::{DriverError, legacy_store, store_name};

const RANK_UNSIGNED: u32 = 0x8000_0000;

/// Every package that has an id of the device, the best first.
///
/// # Errors
/// When the image keeps no such database (Windows 7 and older), or it cannot be read.
pub fn find(session: &mut Session, id: &str) -> Result<FindReport> {
    let windows = session.windows().clone();
    if legacy_store::is_used(&windows) {
        return Err(DriverError::NoDatabase { version: windows.version }.into());
    }
    let device = Device::of_id(id);
    let packages: BTreeMap<String, StoredPackage> = active_packages(session)?;
    let mut candidates: Vec<FindCandidate> = Vec::new();
    for entry in database::device_id_entries(session.registry())? {
        let upper = entry.id.to_uppercase();
        let Some(found) = entry.found() else { continue };
        let (rank, known) = match place(&device, &upper) {
            Some(place) => (identifier_score(found, place), true),
            None if device.may_have(&upper) => (identifier_score(found, (true, 0)), false),
            None => continue,
        };
        let Some(package) = packages.get(&entry.published.to_lowercase()) else { continue };
        candidates.push(candidate(session, package, &entry, found, rank, known)?);
    }
    candidates.sort_by(|left, right| {
        let key = |candidate: &FindCandidate| {
            (
                candidate.conditional,
                candidate.extension,
                candidate.rank,
                std::cmp::Reverse(candidate.date),
                std::cmp::Reverse(candidate.version),
                candidate.published_name.clone(),
            )
        };
        key(left).cmp(&key(right))
    });
    // A package counts by the best of its ids.
    let mut seen = std::collections::BTreeSet::new();
    candidates.retain(|candidate| seen.insert((candidate.published_name.clone(), candidate.conditional)));
    let sure: std::collections::BTreeSet<String> = candidates
        .iter()
        .filter(|candidate| !candidate.conditional)
        .map(|candidate| candidate.published_name.clone())
        .collect();
    candidates.retain(|candidate| !candidate.conditional || !sure.contains(&candidate.published_name));
    if let Some(best) = candidates.first_mut().filter(|best| !best.conditional && !best.extension) {
        best.picked = true;
    }
    Ok(FindReport { id: id.to_owned(), device, candidates })
}

/// The packages in use, by their published names in lower case.
fn active_packages(session: &mut Session) -> Result<BTreeMap<String, StoredPackage>> {
    let mut found: BTreeMap<String, StoredPackage> = BTreeMap::new();
    for package in database::packages(session.registry())? {
        let published = package.published.to_lowercase();
        let active = database::active_package(session.registry(), &published)?;
        if active.is_none_or(|active| active.eq_ignore_ascii_case(&package.store_name)) {
            found.insert(published, package);
        }
    }
    Ok(found)
}

/// Whether an id is among the device's hardware ids, and its position there.
fn place(device: &Device, id: &str) -> Option<(bool, u32)> {
    let position = |ids: &[String]| {
        ids.iter().position(|known| known == id).map(|position| u32::try_from(position).unwrap_or(0xFF))
    };
    position(&device.hardware_ids)
        .map(|position| (true, position))
        .or_else(|| position(&device.compatible_ids).map(|position| (false, position)))
}

fn identifier_score(found: Match, (is_hardware, position): (bool, u32)) -> u32 {
    let position = position.min(0xFF);
    let score = match (is_hardware, found.kind == Match::COMPATIBLE) {
        (true, false) => position,
        (true, true) => 0x1000 + position,
        (false, false) => 0x2000 + position,
        (false, true) => 0x3000 + position + u32::from(found.position).min(0x0F) * 0x100,
    };
    u32::from(found.feature_score) << 16 | score
}

fn candidate(
    session: &mut Session,
    package: &StoredPackage,
    entry: &DeviceIdEntry,
    found: Match,
    score: u32,
    known: bool,
) -> Result<FindCandidate> {
    let class = SetupClass::read(session.registry(), package.version.class)?;
    let unsigned = !package.version.inbox && package.signer_score == Some(SCORE_UNSIGNED);
    Ok(FindCandidate {
        published_name: package.published.clone(),
        original_file_name: store_name::original_file_name(&package.store_name).to_owned(),
        store_name: package.store_name.clone(),
        inbox: package.version.inbox,
        class_name: class.name.unwrap_or_default(),
        provider_name: package.provider.clone(),
        date: package.version.date,
        version: package.version.version,
        matched_id: entry.id.clone(),
        rank: score | if unsigned { RANK_UNSIGNED } else { 0 },
        extension: found.kind == Match::EXTENSION,
        conditional: !known,
        picked: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_as_published() {
        let found = |kind, feature_score, position| Match { kind, feature_score, position };
        let cases = [
            (found(1, 0xFF, 0), (true, 0), 0x00FF_0000),
            (found(1, 0xFF, 0), (true, 1), 0x00FF_0001),
            (found(2, 0xFF, 3), (true, 1), 0x00FF_1001),
            (found(1, 0xF9, 0), (false, 2), 0x00F9_2002),
            (found(2, 0x80, 1), (false, 4), 0x0080_3104),
        ];
        for (found, place, expected) in cases {
            assert_eq!(identifier_score(found, place), expected, "{found:?} {place:?}");
        }
    }
}
