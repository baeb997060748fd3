// SPDX-License-Identifier: GPL-3.0-or-later
//! The judgement on a hive before it is put in place: by our checker, and by a second reader
//! that shares no code with us (`nt-hive`; no other file names it).
//!
//! The second reader walks every key, every value's name and its data. It is not asked where it
//! is known to be wrong: types above 11 are no finding, and data above 16344 bytes are not
//! read before minor version 4, where it takes any such cell for a big-data record. It panics on
//! references that our checker reports, so it is not run on a hive that had such before the
//! edit.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use nt_hive::{KeyNode, KeyValueData, NtHiveError};

use super::check::{self, Checked, Finding, Rule};
use super::error::{HiveError, Result};
use super::page::Pages;
use super::record::{FIRST_MINOR_WITH_BIG_DATA, KeyNodeRaw, MAX_DEPTH, SEGMENT, ValueRaw};
use crate::io::Pool;

const OURS: &str = "our own rules";
const THEIRS: &str = "nt-hive";

/// What the second reader saw.
struct Walked {
    keys: u64,
    values: u64,
    findings: Vec<String>,
    /// How many bytes of records and data it may still come to: a hive whose lists lead to the
    /// same cells again and again ends the walk.
    budget: usize,
}

impl Walked {
    fn new(bytes: &[u8]) -> Self {
        Self { keys: 0, values: 0, findings: Vec::new(), budget: bytes.len().saturating_mul(4) }
    }

    fn spend(&mut self, bytes: usize) -> bool {
        let left = self.budget.checked_sub(bytes);
        if left.is_none() && self.budget > 0 {
            self.findings.push("its lists lead to the same cells again and again".to_owned());
        }
        self.budget = left.unwrap_or_default();
        left.is_some()
    }
}

/// Refuses an image in which something is wrong that was not wrong before the edit. `before`
/// opens the image as it was; it is asked for only when there is a finding, and nothing for a
/// hive that was not there before.
pub(super) fn judge(pages: &mut Pages, before: impl FnOnce() -> Result<Option<Pages>>) -> Result<()> {
    let bytes = pages.all()?;
    let ours = check::check(bytes);
    let theirs = ours.is_safe_to_walk().then(|| walk(bytes, Base::Checked));
    decide(pages, ours, theirs, before)
}

/// [`judge`] on the workers of a pool, while `write` puts the image where it will stand once it
/// is found good.
pub(super) fn judge_beside<T>(
    pages: &mut Pages,
    pool: &Pool,
    before: impl FnOnce() -> Result<Option<Pages>>,
    write: impl FnOnce(&[u8]) -> T,
) -> Result<T> {
    let bytes = pages.all()?;
    let (mut ours, mut theirs) = (None, None);
    let first = || ours = Some(check::check(bytes));
    let second = || theirs = Some(walk(bytes, Base::Checked));
    let written = pool.beside(first, second, || write(bytes));
    let Some(ours) = ours else {
        let finding = "the check did not come to its end".to_owned();
        return Err(HiveError::Refused { checker: OURS, finding });
    };
    let theirs = theirs.filter(|_| ours.is_safe_to_walk());
    decide(pages, ours, theirs, before)?;
    Ok(written)
}

fn decide(
    pages: &mut Pages,
    ours: Checked,
    theirs: Option<Walked>,
    before: impl FnOnce() -> Result<Option<Pages>>,
) -> Result<()> {
    let complaints = theirs.as_ref().map(|walked| walked.findings.as_slice()).unwrap_or_default();
    if ours.findings.iter().all(is_harmless) && complaints.is_empty() {
        return theirs.map_or(Ok(()), |theirs| same_counts(&ours, &theirs));
    }
    let mut known = HashSet::new();
    let mut known_complaints = HashSet::new();
    if let Some(mut original) = before()? {
        pages.exchange_changed(&mut original)?;
        let bytes = pages.all()?;
        let bytes = bytes.get(..original.len()).unwrap_or(bytes);
        let old = check::check(bytes);
        known.extend(old.findings.iter().map(identity));
        if !complaints.is_empty() && old.is_safe_to_walk() {
            known_complaints.extend(walk(bytes, Base::AsItIs).findings);
        }
        pages.exchange_changed(&mut original)?;
    }
    let new = |finding: &&Finding| !is_harmless(finding) && !known.contains(&identity(finding));
    if let Some(finding) = ours.findings.iter().find(new) {
        return Err(refused(finding));
    }
    match complaints.iter().find(|finding| !known_complaints.contains(*finding)) {
        Some(finding) => Err(HiveError::Refused { checker: THEIRS, finding: finding.clone() }),
        None => Ok(()),
    }
}

/// A free cell may move when its neighbour is split; nothing depends on where it is.
fn is_harmless(finding: &Finding) -> bool {
    finding.rule == Rule::Coalescing
}

/// Refuses a newly written image that has any error.
pub(super) fn judge_new(bytes: &[u8]) -> Result<()> {
    let ours = check::check(bytes);
    if let Some(finding) = ours.findings.iter().find(|finding| finding.severity == check::Severity::Error) {
        return Err(refused(finding));
    }
    let theirs = walk(bytes, Base::Checked);
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

/// Whether the second reader looks at the base block too.
enum Base {
    Checked,
    AsItIs,
}

/// Lets the second reader walk a hive.
fn walk(bytes: &[u8], base: Base) -> Walked {
    let mut walked = Walked::new(bytes);
    let all = || {
        let hive = nt_hive::Hive::without_validation(bytes)?;
        match base {
            Base::Checked => hive.validate().or_else(|error| match error {
                // Read nowhere, and never changed by an edit.
                NtHiveError::UnsupportedClusteringFactor { .. } => Ok(()),
                error => Err(error),
            })?,
            Base::AsItIs => {}
        }
        let big_data = hive.minor_version() >= FIRST_MINOR_WITH_BIG_DATA;
        walk_key(&hive.root_key_node()?, big_data, 0, &mut walked);
        Ok::<(), NtHiveError>(())
    };
    // Nothing it borrows is used after a panic but the list of findings, which is only added to.
    match catch_unwind(AssertUnwindSafe(all)) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => walked.findings.push(error.to_string()),
        Err(_) => walked.findings.push("the walk panicked".to_owned()),
    }
    walked
}

fn walk_key(key: &KeyNode<'_, &[u8]>, big_data: bool, depth: usize, walked: &mut Walked) {
    if !walked.spend(size_of::<KeyNodeRaw>()) {
        return;
    }
    walked.keys += 1;
    if let Err(error) = key.name() {
        walked.findings.push(error.to_string());
    }
    match key.values() {
        Some(Ok(values)) => {
            for value in values {
                let length = value.as_ref().map_or(0, |value| value.data_size() as usize);
                if !walked.spend(size_of::<ValueRaw>() + length) {
                    return;
                }
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
        Ok(_) | Err(NtHiveError::UnsupportedKeyValueDataType { .. }) => {}
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::FileTime;
    use crate::hive::{Hive, Value, default_root_security};

    fn bytes() -> Vec<u8> {
        let mut hive = Hive::create("ROOT", 5, &default_root_security(), FileTime(1)).unwrap();
        let root = hive.root();
        let key = hive.create_path(root, r"a\b", FileTime(1)).unwrap();
        hive.set_value(key, &Value::binary("large", vec![1; 40_000]), FileTime(1)).unwrap();
        hive.set_value(key, &Value::binary("odd", Vec::new()), FileTime(1)).unwrap();
        hive.to_bytes().unwrap()
    }

    #[test]
    fn the_second_reader_counts_and_complains() {
        let mut bytes = bytes();
        let walked = walk(&bytes, Base::Checked);
        assert_eq!((walked.keys, walked.values, walked.findings), (3, 2, Vec::new()));
        judge_new(&bytes).unwrap();
        bytes[4] ^= 1;
        assert_eq!(walk(&bytes, Base::Checked).findings.len(), 1);
        assert_eq!(walk(&bytes, Base::AsItIs).findings.len(), 0);
        let at = bytes.windows(2).position(|pair| pair == b"vk").unwrap();
        bytes[at] = b'x';
        assert_eq!(walk(&bytes, Base::AsItIs).findings.len(), 1);
        assert!(judge_new(&bytes).is_err());
    }
}
