// SPDX-License-Identifier: GPL-3.0-or-later
//! Real hives of Windows against figures that others measured.

mod hive_support;

use std::path::{Path, PathBuf};

use hive_support::peers::{hivexml, nt_hive_walk, reglookup, tree};
use hive_support::{corpus, open, open_with, unpack};
use transom::digest::sha256;
use transom::hive::{Hive, OpenState, Rule, Severity};

/// A row of the manifest's tables.
struct Row {
    name: String,
    size: usize,
    sha256: String,
    /// `keys values digest`, where the manifest gives one.
    tree: Option<(u64, u64, String)>,
}

fn parse_tree(text: &str) -> Option<(u64, u64, String)> {
    let (counts, digest) = text.trim().split_once(' ')?;
    let (keys, values) = counts.split_once('/')?;
    Some((keys.strip_suffix('k')?.parse().ok()?, values.strip_suffix('v')?.parse().ok()?, digest.to_owned()))
}

fn cells(line: &str) -> Vec<&str> {
    line.trim().trim_matches('|').split('|').map(str::trim).collect()
}

/// The hives of the manifest with what it says about the files as they lie there.
fn manifest(root: &Path) -> Vec<Row> {
    let text = std::fs::read_to_string(root.join("MANIFEST.md")).unwrap();
    let rows: Vec<Row> = text
        .lines()
        .filter_map(|line| {
            let [name, raw, tree, _] = cells(line).try_into().ok()?;
            let mut words = raw.split(' ');
            let (Some("sha256"), Some(sha256), Some("size"), Some(size)) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                return None;
            };
            let name = name.trim_end_matches(".xz").to_owned();
            Some(Row { name, size: size.parse().ok()?, sha256: sha256.to_owned(), tree: parse_tree(tree) })
        })
        .collect();
    assert!(rows.len() > 30, "the manifest has {} rows", rows.len());
    rows
}

/// Every hive of the manifest with its bytes.
fn hives() -> Vec<(Row, Vec<u8>)> {
    let Some(root) = corpus("hive") else { return Vec::new() };
    let hives: Vec<_> = manifest(&root)
        .into_iter()
        .filter_map(|row| {
            let bytes = unpack(&root.join(&row.name))?;
            Some((row, bytes))
        })
        .collect();
    for (row, bytes) in &hives {
        let hash: String = sha256(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        assert_eq!((bytes.len(), &hash), (row.size, &row.sha256), "{}", row.name);
    }
    hives
}

/// A hive's bytes and those of its logs, by the folder and the primary's name.
fn with_logs(name: &str) -> Option<(Vec<u8>, Vec<Vec<u8>>)> {
    let path: PathBuf = corpus("hive")?.join(name);
    let logs = ["LOG1", "LOG2"]
        .iter()
        .filter_map(|extension| unpack(&PathBuf::from(format!("{}.{extension}", path.display()))))
        .collect();
    Some((unpack(&path)?, logs))
}

/// Digests of hives that the manifest leaves out, from the format page.
const MORE_DIGESTS: [(&str, &str); 6] = [
    ("nthive_testhive", "bb54fa4bf5229c7b367f86584bf9ff2f"),
    ("yarp/BadListHive", "d8a6ed8194eaec0c1b375519a5f47258"),
    ("yarp/BadSubkeyHive", "d8a6ed8194eaec0c1b375519a5f47258"),
    ("yarp/DuplicateSubkeysHive", "026a66a05a6fcc6a87f17c23acffd9dd"),
    ("yarp/WrongOrderHive", "caff724e0a763a5064cdefd3159d689c"),
    ("yarp/InvalidParentHive", "00d8f3432a5e807f4f7ecd14f5f48a84"),
];

#[test]
fn digests_of_the_manifest() {
    let mut compared = 0;
    let hives = hives();
    for (row, bytes) in &hives {
        let other = MORE_DIGESTS.iter().find(|(name, _)| *name == row.name).map(|(_, digest)| *digest);
        if row.tree.is_none() && other.is_none() {
            continue;
        }
        let found = open(bytes.clone()).and_then(|hive| hive.digest());
        let found = found.unwrap_or_else(|error| panic!("{}: {error:?}", row.name));
        if let Some(expected) = &row.tree {
            assert_eq!(&found, expected, "{}", row.name);
        }
        if let Some(digest) = other {
            assert_eq!(found.2, digest, "{}", row.name);
        }
        compared += 1;
    }
    assert!(hives.is_empty() || compared == 34, "{compared} digests compared");
}

#[test]
fn opening_and_saving_changes_no_byte() {
    for (row, bytes) in hives() {
        let Ok(mut hive) = open(bytes.clone()) else { continue };
        if hive.state() == OpenState::DirtyIgnored {
            continue;
        }
        if row.tree.is_some() {
            hive.digest().unwrap();
        }
        let saved = hive.save().unwrap();
        assert_eq!((saved.length, saved.changed.len()), (bytes.len() as u64, 0), "{}", row.name);
        assert!(hive.to_bytes().unwrap() == bytes, "{}", row.name);
    }
}

/// The dirty hives, with the tree that replay must give.
const REPLAYS: [(&str, (u64, u64, &str)); 4] = [
    ("SYSTEM_B", (35595, 78901, "99b1017134ba19b216f7fc2c296b072b")),
    ("UsrClass.dat", (6238, 12531, "fba1f1b4955720e1bbf75b27271f6b17")),
    ("yarp/NewDirtyHive1/NewDirtyHive", (5, 1, "800a230ae17eb1f29bb1cb1fb7cbddf1")),
    ("yarp/OldDirtyHive/OldDirtyHive", (5003, 1, "eed3c4b7b6d51a86fa3ee012d832b566")),
];

#[test]
fn replay_gives_the_known_trees() {
    for (name, (keys, values, digest)) in REPLAYS {
        let Some((primary, logs)) = with_logs(name) else { return };
        assert!(!logs.is_empty(), "{name}");
        let mut hive = open_with(primary, logs, false).unwrap();
        assert_eq!(hive.state(), OpenState::Replayed, "{name}");
        assert!(hive.is_changed(), "{name}");
        assert_eq!(hive.digest().unwrap(), (keys, values, digest.to_owned()), "{name}");
        let bytes = hive.to_bytes().unwrap();
        let again = open_with(bytes, Vec::new(), false).unwrap();
        assert_eq!(again.state(), OpenState::Clean, "{name}");
        assert_eq!(again.digest().unwrap().2, digest, "{name}");
    }
}

#[test]
fn dirty_hives_without_a_usable_log_are_refused() {
    for name in ["yarp/BadLogHive1/BadLogHive", "yarp/BadLogHive3/BadLogHive"] {
        let Some((primary, logs)) = with_logs(name) else { return };
        let error = open_with(primary.clone(), logs.clone(), false).unwrap_err();
        assert!(error.hint().unwrap().contains("--ignore-dirty"), "{name}: {error:?}");
        assert!(error.to_string().contains("dirty"), "{name}: {error}");
        let hive = open_with(primary, logs, true).unwrap();
        assert_eq!(hive.state(), OpenState::DirtyIgnored, "{name}");
        assert_eq!(hive.notes().len(), 1, "{name}");
    }
}

#[test]
fn recovery_gives_the_file_that_windows_10_wrote() {
    let Some((primary, logs)) = with_logs("yarp/NewDirtyHive1/NewDirtyHive") else { return };
    let theirs = unpack(&corpus("hive/yarp/NewDirtyHive1").unwrap().join("RecoveredHive_Windows10")).unwrap();
    let ours = open_with(primary, logs, false).unwrap().to_bytes().unwrap();
    let differing: Vec<usize> =
        (0..ours.len().max(theirs.len())).filter(|&at| ours.get(at) != theirs.get(at)).collect();
    assert!(differing.is_empty(), "bytes {differing:?}");
}

#[test]
fn a_lost_base_block_comes_back_from_the_log() {
    for (name, (keys, values, digest)) in REPLAYS {
        let Some((mut primary, logs)) = with_logs(name) else { return };
        // The time stays: it ties an old log to its hive.
        primary[24..508].fill(0xAB);
        let hive = open_with(primary.clone(), logs.clone(), false).unwrap();
        assert_eq!(hive.digest().unwrap(), (keys, values, digest.to_owned()), "{name}");
        assert_eq!(hive.notes().len(), 1, "{name}: {:?}", hive.notes());
        primary[..512].fill(0);
        let hive = open_with(primary.clone(), logs, false).unwrap();
        assert_eq!(hive.digest().unwrap().2, digest, "{name}");
        assert!(open_with(primary, Vec::new(), true).is_err(), "{name}");
    }
}

/// Breaches that the corpus is known to have: rule and how often. Others must have none, but
/// that they are dirty if they are.
const FINDINGS: &[(&str, &[(Rule, usize)])] = &[
    ("nthive_testhive", &[(Rule::RootFlags, 1)]),
    // In the two hives with a cell of two owners, the shared key names the second as its parent.
    (
        "yarp/BadListHive",
        &[(Rule::Ownership, 1), (Rule::Parent, 1), (Rule::Leak, 2), (Rule::ReferenceCount, 1)],
    ),
    ("yarp/BadSubkeyHive", &[(Rule::Ownership, 1), (Rule::Parent, 1), (Rule::Leak, 1)]),
    ("yarp/DuplicateSubkeysHive", &[(Rule::Duplicate, 1)]),
    ("yarp/InvalidParentHive", &[(Rule::Parent, 1)]),
    ("yarp/WrongOrderHive", &[(Rule::Order, 2)]),
    ("yarp/CompHive", &[(Rule::Hint, 1)]),
    ("yarp/NewDirtyHive1/NewDirtyHive", &[(Rule::Leak, 4)]),
    ("yarp/NewDirtyHive1/RecoveredHive_Windows10", &[(Rule::Leak, 8)]),
    ("yarp/BadLogHive3/BadLogHive", &[(Rule::Leak, 4)]),
];

#[test]
fn the_checker_finds_what_is_known_and_nothing_else() {
    let hives = hives();
    for (row, bytes) in &hives {
        let findings = Hive::check_file(bytes).unwrap();
        match row.name.as_str() {
            "yarp/TruncatedHive" => {
                assert_eq!((findings[0].rule, findings[0].severity), (Rule::Length, Severity::Error));
                continue;
            }
            "corrupted_system_hive" => {
                // Relative to the first bin it is at 0x19000.
                let first = findings.iter().find(|finding| finding.rule == Rule::Bin).unwrap();
                assert_eq!((first.offset, first.severity), (0x1A000, Severity::Error));
                continue;
            }
            _ => {}
        }
        let mut counted: Vec<(Rule, usize)> = Vec::new();
        let dirty = findings.iter().any(|finding| finding.rule == Rule::Clean);
        let state = open(bytes.clone()).unwrap().state();
        assert_eq!(dirty, state == OpenState::DirtyIgnored, "{}", row.name);
        for finding in findings.iter().filter(|finding| finding.rule != Rule::Clean) {
            match counted.iter_mut().find(|(rule, _)| *rule == finding.rule) {
                Some((_, count)) => *count += 1,
                None => counted.push((finding.rule, 1)),
            }
        }
        let mut expected = FINDINGS
            .iter()
            .find(|(name, _)| *name == row.name)
            .map(|(_, list)| list.to_vec())
            .unwrap_or_default();
        expected.sort_unstable();
        counted.sort_unstable();
        assert_eq!(counted, expected, "{}: {findings:#?}", row.name);
    }
}

#[test]
fn peers_read_every_hive_as_we_do() {
    let damaged =
        ["BadList", "BadSubkey", "DuplicateSubkeys", "WrongOrder", "InvalidParent", "corrupted", "Truncated"];
    for (row, bytes) in hives() {
        let name = row.name.as_str();
        if damaged.iter().any(|damage| name.contains(damage)) {
            continue;
        }
        let hive = open(bytes.clone()).unwrap();
        let tree = tree(&hive);
        if hive.state() == OpenState::Clean {
            nt_hive_walk(name, &bytes, &tree);
        }
        hivexml(name, &bytes, &tree);
        // It looks for a root with flags that this one does not have.
        if name != "nthive_testhive" {
            reglookup(name, &bytes, &tree);
        }
    }
}

#[test]
fn hives_of_other_parts_of_the_corpus_are_whole() {
    for (part, name, only) in [
        ("drivers/hives", "regipy_SYSTEM", &[][..]),
        ("drivers/hives", "regipy_SYSTEM_2", &[Rule::Clean]),
        ("eco/hive", "nt-hive-testhive", &[Rule::RootFlags]),
    ] {
        let Some(bytes) = corpus(part).and_then(|folder| unpack(&folder.join(name))) else { return };
        let rules: Vec<Rule> =
            Hive::check_file(&bytes).unwrap().into_iter().map(|finding| finding.rule).collect();
        assert_eq!(rules, only, "{name}");
        let hive = open(bytes).unwrap();
        let rewritten = open_with(hive.compact().unwrap(), Vec::new(), false).unwrap();
        assert_eq!(rewritten.digest().unwrap(), hive.digest().unwrap(), "{name}");
    }
}

#[test]
fn damaged_hives_fail_with_an_offset() {
    let Some(root) = corpus("hive") else { return };
    for (name, offset) in [("yarp/TruncatedHive", "0x28"), ("corrupted_system_hive", "0x")] {
        let Some(bytes) = unpack(&root.join(name)) else { return };
        let error = open(bytes).and_then(|hive| hive.digest()).unwrap_err();
        assert!(error.to_string().contains(&format!("at offset {offset}")), "{name}: {error}");
    }
}
