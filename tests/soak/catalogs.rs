// SPDX-License-Identifier: GPL-3.0-or-later
//! Every byte of every catalog of the corpus that Microsoft's roots vouch for, changed in every bit
//! (or, in the short form, in one): none is trusted any more.

use std::ops::Range;

use anyhow::{Result, ensure};
use rayon::prelude::*;
use transom::base::FileTime;
use transom::catalog::{Catalog, TrustStore};

use crate::Effort;

/// Within the lifetime of every certificate of the corpus that was issued last.
const NOW: (i32, u32, u32) = (2026, 11, 20);

/// Where attribute certificates stand: Microsoft's time stamps bring one along that nothing is
/// verified with.
fn attribute_certificates(bytes: &[u8]) -> Vec<Range<usize>> {
    let length = |window: &[u8]| match window {
        [0xA1, 0x82, high, low, 0x30, 0x82, _, _, 2, 1, 1, 0x30, ..] => {
            Some(4 + usize::from(u16::from_be_bytes([*high, *low])))
        }
        _ => None,
    };
    let found = |at| Some(at..at + length(bytes.get(at..)?)?);
    (0..bytes.len()).filter_map(found).collect()
}

pub(crate) fn run(effort: Effort) -> Result<String> {
    let Some(corpus) = transom_sample::corpus() else { return Ok("no corpus here".to_owned()) };
    let now = FileTime::from_date(NOW.0, NOW.1, NOW.2).unwrap_or_default();
    let store = TrustStore::microsoft();
    let (mut catalogs, mut changes) = (0, 0);
    for entry in walkdir::WalkDir::new(corpus).sort_by_file_name() {
        let entry = entry?;
        if entry.path().extension().is_none_or(|extension| extension != "cat") {
            continue;
        }
        let bytes = std::fs::read(entry.path())?;
        let trusted = |bytes: &[u8]| Catalog::parse(bytes).is_ok_and(|read| read.judge(&store, now).is_ok());
        if !trusted(&bytes) {
            continue;
        }
        let bits: &[u8] = effort.choose(&[3], &[0, 1, 2, 3, 4, 5, 6, 7]);
        let step = effort.choose(29, 1);
        let proves_nothing = attribute_certificates(&bytes);
        let accepted = (0..bytes.len()).into_par_iter().step_by(step).find_map_any(|offset| {
            if proves_nothing.iter().any(|range| range.contains(&offset)) {
                return None;
            }
            bits.iter().find_map(|bit| {
                let mut changed = bytes.clone();
                *changed.get_mut(offset)? ^= 1 << bit;
                trusted(&changed).then_some((offset, *bit))
            })
        });
        ensure!(accepted.is_none(), "{}: trusted with a change at {accepted:?}", entry.path().display());
        catalogs += 1;
        changes += bytes.len().div_ceil(step) * bits.len();
    }
    ensure!(catalogs >= 3, "only {catalogs} trusted catalogs");
    Ok(format!("{catalogs} catalogs, {changes} changes, all refused"))
}
