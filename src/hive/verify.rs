// SPDX-License-Identifier: GPL-3.0-or-later
//! The judgement on a hive before it is put in place: by our checker, and by a second reader
//! that shares no code with us (`nt-hive`; no other file names it).
//!
//! The second reader walks every key, every value's name and its data. It is not asked where it
//! is known to be wrong: types above 11 are no finding, and data above 16344 bytes are not
//! read before minor version 4, where it takes any such cell for a big-data record. It aborts on
//! references that our checker calls errors, so on a hive that had errors before the edit it
//! is not run.

use std::collections::HashSet;

use nt_hive::{KeyNode, KeyValueData};

use super::check::{self, Checked, Finding, Rule};
use super::error::{HiveError, Result};
use super::record::{FIRST_MINOR_WITH_BIG_DATA, MAX_DEPTH, SEGMENT};

const OURS: &str = "our own rules";
const THEIRS: &str = "nt-hive";

/// What the second reader saw.
#[derive(Default)]
struct Walked {
    keys: u64,
    values: u64,
    findings: Vec<String>,
}

/// Refuses an image in which something is wrong that was not wrong before the edit. `before`
/// gives the image as it was opened; it is asked for only when there is a finding.
pub(super) fn judge(bytes: &[u8], before: impl Fn() -> Result<Vec<u8>>) -> Result<()> {
    let ours = check::check(bytes);
    let mut errors_before = false;
    // A free cell may move when its neighbour is split; no rule of use depends on it.
    if ours.findings.iter().any(|finding| finding.rule != Rule::Coalescing) {
        let old = check::check(&before()?);
        errors_before = old.has_errors();
        let known: HashSet<(Rule, u64)> = old.findings.iter().map(identity).collect();
        let new =
            |finding: &&Finding| finding.rule != Rule::Coalescing && !known.contains(&identity(finding));
        if let Some(finding) = ours.findings.iter().find(new) {
            return Err(refused(finding));
        }
    }
    if ours.has_errors() || errors_before {
        return Ok(());
    }
    let theirs = walk(bytes);
    if !theirs.findings.is_empty() {
        let known: HashSet<String> = walk(&before()?).findings.into_iter().collect();
        if let Some(finding) = theirs.findings.iter().find(|finding| !known.contains(*finding)) {
            return Err(HiveError::Refused { checker: THEIRS, finding: finding.clone() });
        }
        return Ok(());
    }
    same_counts(&ours, &theirs)
}

/// Refuses a newly written image that has any error.
pub(super) fn judge_new(bytes: &[u8]) -> Result<()> {
    let ours = check::check(bytes);
    if let Some(finding) = ours.findings.iter().find(|finding| finding.severity == check::Severity::Error) {
        return Err(refused(finding));
    }
    let theirs = walk(bytes);
    match theirs.findings.first() {
        Some(finding) => Err(HiveError::Refused { checker: THEIRS, finding: finding.clone() }),
        None => same_counts(&ours, &theirs),
    }
}

fn identity(finding: &Finding) -> (Rule, u64) {
    (finding.rule, finding.offset)
}

fn refused(finding: &Finding) -> HiveError {
    HiveError::Refused {
        checker: OURS,
        finding: format!("{} at offset {:#x}", finding.message, finding.offset),
    }
}

fn same_counts(ours: &Checked, theirs: &Walked) -> Result<()> {
    if (ours.keys, ours.values) == (theirs.keys, theirs.values) {
        return Ok(());
    }
    Err(HiveError::Refused {
        checker: THEIRS,
        finding: format!(
            "{} keys and {} values instead of {} and {}",
            theirs.keys, theirs.values, ours.keys, ours.values
        ),
    })
}

/// Lets the second reader walk a hive.
fn walk(bytes: &[u8]) -> Walked {
    let mut walked = Walked::default();
    let opened = nt_hive::Hive::new(bytes).and_then(|hive| {
        let big_data = hive.minor_version() >= FIRST_MINOR_WITH_BIG_DATA;
        walk_key(&hive.root_key_node()?, big_data, 0, &mut walked);
        Ok(())
    });
    if let Err(error) = opened {
        walked.findings.push(error.to_string());
    }
    walked
}

fn walk_key(key: &KeyNode<'_, &[u8]>, big_data: bool, depth: usize, walked: &mut Walked) {
    walked.keys += 1;
    if let Err(error) = key.name() {
        walked.findings.push(error.to_string());
    }
    match key.values() {
        Some(Ok(values)) => {
            for value in values {
                walked.values += 1;
                if let Err(error) = value.and_then(|value| walk_value(&value, big_data)) {
                    walked.findings.push(error.to_string());
                }
            }
        }
        Some(Err(error)) => walked.findings.push(error.to_string()),
        None => {}
    }
    match key.subkeys() {
        Some(Ok(subkeys)) if depth < MAX_DEPTH => {
            for subkey in subkeys {
                match subkey {
                    Ok(subkey) => walk_key(&subkey, big_data, depth + 1, walked),
                    Err(error) => walked.findings.push(error.to_string()),
                }
            }
        }
        Some(Ok(_)) => walked.findings.push("keys lie too deep".to_owned()),
        Some(Err(error)) => walked.findings.push(error.to_string()),
        None => {}
    }
}

fn walk_value(value: &nt_hive::KeyValue<'_, &[u8]>, big_data: bool) -> nt_hive::Result<()> {
    value.name()?;
    match value.data_type() {
        Ok(_) | Err(nt_hive::NtHiveError::UnsupportedKeyValueDataType { .. }) => {}
        Err(error) => return Err(error),
    }
    let length = value.data_size() as usize;
    if length == 0 || (length > SEGMENT && !big_data) {
        return Ok(());
    }
    match value.data()? {
        KeyValueData::Small(_) => Ok(()),
        KeyValueData::Big(segments) => segments.into_iter().try_for_each(|segment| segment.map(drop)),
    }
}
