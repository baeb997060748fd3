// SPDX-License-Identifier: GPL-3.0-or-later
//! One key with very many subkeys, in random order of their names; found by us, by nt-hive and by
//! reglookup.

use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use transom::base::FileTime;
use transom::base::name::units;
use transom::hive::{Hive, OpenOptions, default_root_security};

use crate::Effort;

const NOW: FileTime = FileTime(0x01DC_0000_1234_5678);

/// The name of a sibling: every number below `count` once, in no order.
fn name(number: u64, count: u64) -> String {
    // A step that shares no factor with the count visits every number.
    format!("sibling {:07}", number * 7_919 % count)
}

pub(crate) fn run(effort: Effort) -> Result<String> {
    let count: u64 = effort.choose(20_000, 500_000);
    let mut hive = Hive::create("ROOT", 5, &default_root_security(), NOW)?;
    let root = hive.root();
    let parent = hive.create_subkey(root, &units("parent"), NOW)?;
    for number in 0..count {
        hive.create_subkey(parent, &units(&name(number, count)), NOW)?;
    }
    let bytes = hive.to_bytes()?;
    drop(hive);
    let again = Hive::open(Arc::new(bytes.clone()), OpenOptions::default())?;
    ensure!(again.check()?.is_empty(), "the checker: {:?}", again.check()?.first());
    let keys = again.subkeys(parent)?;
    ensure!(keys.len() as u64 == count, "{} subkeys", keys.len());
    for (position, number) in [(0, 0), (count / 2, count / 2), (count - 1, count - 1)] {
        let expected = format!("sibling {number:07}");
        let key = keys.get(usize::try_from(position)?).context("a subkey")?;
        ensure!(again.name(*key)?.to_string() == expected, "{expected} is not at its place");
    }
    let theirs = nt_hive::Hive::new(bytes.as_slice())?;
    let theirs = theirs.root_key_node()?.subkey("parent").context("nt-hive: the parent")??;
    let wanted: Vec<String> = (0..1000).map(|step| name(step * (count / 1000), count)).collect();
    for name in &wanted {
        ensure!(again.subkey(parent, &units(&name.to_uppercase()))?.is_some(), "we do not find {name}");
        ensure!(theirs.subkey(name).is_some_and(|found| found.is_ok()), "nt-hive does not find {name}");
    }
    let mut peers = "nt-hive";
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), &bytes)?;
    for name in wanted.iter().take(5) {
        let path = format!("/parent/{name}");
        let Ok(output) = Command::new("reglookup").args(["-H", "-p", &path]).arg(file.path()).output() else {
            break;
        };
        ensure!(!output.stdout.is_empty(), "reglookup does not find {name}");
        peers = "nt-hive and reglookup";
    }
    Ok(format!("{count} siblings in {} bytes, found by {peers}", bytes.len()))
}
