// SPDX-License-Identifier: GPL-3.0-or-later
//! What is written by random edits, before other eyes: a second scanner of the format's rules, and
//! that this scanner sees what is wrong with hives that are.

mod hive_support;

use std::process::Command;

use hive_support::model::run;
use hive_support::peers::upcase_table;
use hive_support::{Random, corpus, have, unpack};

#[test]
fn ten_to_thousands_of_edits() {
    for (seed, count) in [10, 40, 160, 640, 2560].into_iter().enumerate() {
        for minor in [3, 5] {
            run(minor, Random::new(900 + 10 * seed as u64 + u64::from(minor)), count);
        }
    }
}

/// What the scanner says about a hive: offsets of its findings.
fn scan(bytes: &[u8]) -> Vec<String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let output = Command::new("python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hive_scanner.py"))
        .arg("--upcase")
        .arg(upcase_table().unwrap())
        .arg(file.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let path = format!("{}: ", file.path().display());
    let mut lines: Vec<String> = said.lines().map(|line| line.replace(&path, "")).collect();
    assert!(lines.pop().unwrap().ends_with(&format!("{} findings", lines.len())));
    lines
}

#[test]
fn the_scanner_sees_what_is_wrong() {
    let Some(root) = corpus("hive") else { return };
    if !have("python3") || upcase_table().is_none() {
        return;
    }
    let cases: &[(&str, &[&str])] = &[
        ("BCD", &[]),
        ("NTUSER.DAT", &[]),
        ("SAM", &[]),
        ("special", &[]),
        ("yarp/ManySubkeysHive", &[]),
        ("yarp/BigDataHive", &[]),
        ("SYSTEM_B", &["0x4: sequence numbers differ: 1622, 1621"]),
        ("nthive_testhive", &["0x1020: the root has not the flags of a root"]),
        ("yarp/TruncatedHive", &["0x28: bins of 0x77000 bytes in a file of 0x3000"]),
        (
            "yarp/BadListHive",
            &[
                "0x12d0: a subkey list of 0x2e8 belongs to 0x380 already",
                "0x12e8: 1 subkeys counted, 0 listed",
                "0x11b0: 6 references, 5 keys",
                "0x1340: an allocated cell that nothing refers to: b'lf'",
            ],
        ),
        ("yarp/InvalidParentHive", &["0x75b08: its parent is 0x20 and not 0x140"]),
        ("yarp/CompHive", &["0x1140: hint b'\\x81\\x00\\x00\\x00' instead of b'\\x9f\\x00\\x00\\x00'"]),
        (
            "yarp/WrongOrderHive",
            &["0x15e8: a subkey out of order: b'2\\x04'", "0x1370: a subkey out of order: b'1\\x00'"],
        ),
    ];
    for (name, expected) in cases {
        let Some(bytes) = unpack(&root.join(name)) else { return };
        let found = scan(&bytes);
        for line in *expected {
            assert!(found.iter().any(|found| found == line), "{name}: {line} is not among {found:?}");
        }
        assert_eq!(found.is_empty(), expected.is_empty(), "{name}: {found:?}");
    }
}

#[test]
fn the_scanner_sees_a_change_of_any_field() {
    if !have("python3") || upcase_table().is_none() {
        return;
    }
    let states = transom_sample::mutation::hive_states(5, 3).unwrap();
    let good = states.last().unwrap();
    assert_eq!(scan(good), [] as [String; 0]);
    // In use, not what a freed cell still holds.
    let in_use = |at: usize| good[at - 1] & 0x80 != 0;
    let find = |signature: &[u8]| {
        (4100..good.len()).step_by(8).find(|&at| good[at..].starts_with(signature) && in_use(at)).unwrap()
    };
    let (nk, vk, sk, lh) = (find(b"nk"), find(b"vk"), find(b"sk"), find(b"lh"));
    let fields = [
        ("signature of a key", nk),
        ("count of subkeys", nk + 20),
        ("subkey list", nk + 28),
        ("security of a key", nk + 44),
        ("longest subkey name", nk + 52),
        ("name length of a key", nk + 73),
        ("name of a value", vk + 3),
        ("data of a value", vk + 8),
        ("next security record", sk + 4),
        ("previous security record", sk + 8),
        ("references", sk + 12),
        ("length of a descriptor", sk + 18),
        ("count of a list", lh + 2),
        ("hash", lh + 8),
        ("size of a cell", lh - 4),
        ("offset of a bin", 4096 + 5),
        ("checksum", 508),
    ];
    let unseen: Vec<&str> = fields
        .into_iter()
        .filter(|&(what, at)| {
            let mut bytes = good.clone();
            // A maximum may be too large.
            bytes[at] = if what.starts_with("longest") { 0 } else { bytes[at] ^ 0x44 };
            scan(&bytes).is_empty()
        })
        .map(|(what, _)| what)
        .collect();
    assert!(unseen.is_empty(), "{unseen:?}");
}
