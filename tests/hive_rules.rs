// SPDX-License-Identifier: GPL-3.0-or-later
//! Single rules of reading and writing hives, each on the hive that shows it.

mod hive_support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hive_support::peers::{hivexml, nt_hive_walk, reglookup, tree};
use hive_support::{NOW, Random, corpus, open, open_with, unpack};
use transom::base::name::units;
use transom::base::{ErrorClass, FileTime, WinName};
use transom::hive::{
    Hive, KeyId, OpenOptions, OpenState, RegistryChange, Rule, Value, ValueType, default_root_security, diff,
};
use transom::io::ReadAt;

const LATER: FileTime = FileTime(NOW.0 + 1);

fn new_hive(minor: u32) -> Hive {
    Hive::create("ROOT", minor, &default_root_security(), NOW).unwrap()
}

/// Saves, reopens, and lets the checker and all peers judge.
fn judged(what: &str, hive: &mut Hive) -> Hive {
    let bytes = hive.to_bytes().unwrap();
    assert_eq!(Hive::check_file(&bytes).unwrap(), [], "{what}");
    let hive = open_with(bytes.clone(), Vec::new(), false).unwrap();
    let tree = tree(&hive);
    nt_hive_walk(what, &bytes, &tree);
    hivexml(what, &bytes, &tree);
    reglookup(what, &bytes, &tree);
    hive
}

/// Every real hive of the corpus that opens, with its name.
fn real_hives() -> Vec<(String, Vec<u8>)> {
    let Some(root) = corpus("hive") else { return Vec::new() };
    let mut hives = Vec::new();
    for folder in ["", "yarp", "yarp/NewDirtyHive1", "yarp/OldDirtyHive"] {
        let mut entries: Vec<_> = std::fs::read_dir(root.join(folder)).unwrap().flatten().collect();
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name().into_string().unwrap();
            let name = name.trim_end_matches(".xz");
            let Some(bytes) = unpack(&root.join(folder).join(name)) else { continue };
            if bytes.starts_with(b"regf") && bytes[28] == 0 {
                hives.push((format!("{folder}/{name}"), bytes));
            }
        }
    }
    hives
}

#[test]
fn a_new_hive_is_whole_in_every_version() {
    for minor in 3..=6 {
        let mut hive = new_hive(minor);
        let bytes = hive.to_bytes().unwrap();
        assert_eq!(bytes.len(), 8192);
        assert_eq!(bytes[24], minor as u8);
        let hive = judged("a new hive", &mut hive);
        assert_eq!(hive.name(hive.root()).unwrap(), WinName::from("ROOT"));
        assert_eq!(hive.flags(hive.root()).unwrap(), 0x2C);
        assert_eq!(hive.last_written(hive.root()).unwrap(), NOW);
        assert_eq!(hive.security(hive.root()).unwrap(), default_root_security());
    }
    for (name, minor) in [("", 5), ("ROOT", 2), ("ROOT", 7)] {
        assert!(Hive::create(name, minor, &[], NOW).is_err(), "{name} {minor}");
    }
}

#[test]
fn a_hive_may_cross_threads() {
    fn crosses<T: Send + Sync>(_: &T) {}
    let mut hive = new_hive(5);
    crosses(&hive);
    let root = hive.root();
    hive.set_value(root, &Value::dword("n", 5), NOW).unwrap();
    let read = || hive.value(root, &units("n")).unwrap().unwrap().as_dword();
    let found =
        std::thread::scope(|scope| [scope.spawn(read), scope.spawn(read)].map(|one| one.join().unwrap()));
    assert_eq!(found, [Some(5), Some(5)]);
}

#[test]
fn the_default_descriptor_is_that_of_the_offline_library() {
    let Some(root) = corpus("hive") else { return };
    let Some(bytes) = unpack(&root.join("nthive_testhive")) else { return };
    let hive = open(bytes).unwrap();
    assert_eq!(hive.security(hive.root()).unwrap(), default_root_security());
}

#[test]
fn one_value_changes_its_bytes_and_no_other() {
    for (name, bytes) in real_hives() {
        let Ok(hive) = open(bytes.clone()) else { continue };
        if name.ends_with("corrupted_system_hive") {
            continue;
        }
        let mut keys = vec![hive.root()];
        let mut candidates = Vec::new();
        while let Some(key) = keys.pop() {
            keys.extend(hive.subkeys(key).unwrap());
            let values = hive.values(key).unwrap().into_iter().filter(|value| !value.data.is_empty());
            candidates.extend(values.map(|value| (key, value)));
        }
        drop(hive);
        let count = candidates.len();
        for position in [0, count / 3, count / 2, count.saturating_sub(1)] {
            let Some((key, value)) = candidates.get(position) else { continue };
            let mut value = value.clone();
            *value.data.last_mut().unwrap() ^= 0x55;
            let mut hive = open(bytes.clone()).unwrap();
            hive.set_value(*key, &value, LATER).unwrap();
            let after = hive.to_bytes().unwrap();
            assert_eq!(after.len(), bytes.len(), "{name}");
            let stamp = key.0 as usize + 4096 + 4 + 4;
            let expected = |at: &usize| {
                (4..12).contains(at) || (508..512).contains(at) || (stamp..stamp + 8).contains(at)
            };
            let differing: Vec<usize> =
                (0..bytes.len()).filter(|&at| bytes[at] != after[at] && !expected(&at)).collect();
            assert_eq!(differing.len(), 1, "{name}: {value:?}: {differing:?}");
            assert_eq!(after[differing[0]] ^ bytes[differing[0]], 0x55, "{name}");
            let hive = open_with(after, Vec::new(), false).unwrap();
            assert_eq!(hive.value(*key, value.name.units()).unwrap().unwrap(), value, "{name}");
        }
    }
}

#[test]
fn an_edit_undone_by_another_changes_nothing() {
    let mut hive = new_hive(5);
    let root = hive.root();
    let key = hive.create_path(root, r"A\B", NOW).unwrap();
    hive.set_value(key, &Value::sz("n", "text"), NOW).unwrap();
    let bytes = hive.to_bytes().unwrap();
    let mut hive = open_with(bytes.clone(), Vec::new(), false).unwrap();
    hive.set_value(key, &Value::sz("N", "text"), LATER).unwrap();
    assert_eq!(hive.create_path(root, r"\a\\b\", LATER).unwrap(), key);
    hive.set_security(key, &default_root_security(), LATER).unwrap();
    hive.set_class(key, &[], LATER).unwrap();
    assert!(!hive.delete_value(key, &units("other"), LATER).unwrap());
    assert!(!hive.is_changed());
    hive.set_value(key, &Value::sz("n", "TEXT"), NOW).unwrap();
    assert!(hive.is_changed());
    assert_eq!(hive.save().unwrap().changed.len(), 1);
    hive.set_value(key, &Value::sz("n", "text"), NOW).unwrap();
    assert_eq!(hive.save().unwrap().changed, []);
    assert_eq!(hive.to_bytes().unwrap(), bytes);
}

#[test]
fn saves_count_from_the_source_and_give_its_tail_back() {
    let mut hive = new_hive(5);
    let mut bytes = hive.to_bytes().unwrap();
    bytes.extend_from_slice(b"remains of an older hive");
    let mut hive = open_with(bytes.clone(), Vec::new(), false).unwrap();
    let root = hive.root();
    hive.set_value(root, &Value::dword("n", 1), NOW).unwrap();
    let first = hive.save().unwrap();
    assert_eq!((first.length, first.changed.len()), (bytes.len() as u64, 1));
    assert_eq!(hive.save().unwrap(), first);
    hive.set_value(root, &Value::binary("large", vec![7; 9000]), NOW).unwrap();
    let second = hive.save().unwrap();
    assert_eq!(second.length, 8192 + 12288);
    assert_eq!(
        second.changed[0].1[..512],
        first.changed[0].1[..512]
            .iter()
            .copied()
            .enumerate()
            .map(|(at, byte)| match at {
                40..44 | 508..512 => second.changed[0].1[at],
                _ => byte,
            })
            .collect::<Vec<u8>>()[..]
    );
    judged("a grown hive", &mut hive);
}

#[test]
fn values_of_every_length_at_the_borders() {
    let lengths = [0, 1, 3, 4, 5, 16_343, 16_344, 16_345, 32_688, 32_689, 1 << 20];
    for minor in [3, 5] {
        let mut hive = new_hive(minor);
        let root = hive.root();
        let mut random = Random::new(1);
        let mut expected = Vec::new();
        for length in lengths {
            let value = Value::binary(&format!("v{length}"), random.bytes(length));
            hive.set_value(root, &value, NOW).unwrap();
            expected.push(value);
        }
        let hive = judged("values", &mut hive);
        assert_eq!(hive.values(hive.root()).unwrap(), expected);
    }
    let mut hive = new_hive(3);
    let root = hive.root();
    let error = hive.set_value(root, &Value::binary("n", vec![0; (1 << 20) + 1]), NOW).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Usage);
    assert!(!hive.values(root).unwrap().iter().any(|value| value.name == WinName::from("n")));
}

#[test]
fn every_change_of_length_keeps_the_others() {
    for minor in [3, 5] {
        let mut hive = new_hive(minor);
        let root = hive.root();
        let lengths =
            [0, 4, 5, 12, 13, 100, 16_344, 16_345, 20_000, 32_688, 32_690, 100_000, 7, 16_350, 0, 3];
        let neighbour = Value::binary("neighbour", b"db\x02\x00 is no big data".to_vec());
        hive.set_value(root, &neighbour, NOW).unwrap();
        for (round, &length) in lengths.iter().chain(lengths.iter().rev()).enumerate() {
            let data = Random::new(round as u64).bytes(length);
            hive.set_value(root, &Value::binary("n", data.clone()), NOW).unwrap();
            assert_eq!(hive.value(root, &units("N")).unwrap().unwrap().data, data);
            assert_eq!(hive.check().unwrap().iter().filter(|found| found.rule != Rule::Clean).count(), 0);
        }
        let hive = judged("changes of length", &mut hive);
        assert_eq!(hive.value(root, &units("neighbour")).unwrap().unwrap(), neighbour);
    }
}

#[test]
fn segments_lie_in_ascending_order_even_in_freed_cells() {
    // reglookup, among the judges, reads segments by their offsets and not by the list.
    let mut hive = new_hive(5);
    let root = hive.root();
    let mut random = Random::new(3);
    let value = |name: &str, random: &mut Random, length| Value::binary(name, random.bytes(length));
    for round in 0..40 {
        for name in ["a", "b", "c", "d"] {
            let length = 16_345 + random.below(120_000);
            hive.set_value(root, &value(name, &mut random, length), NOW).unwrap();
        }
        let gone = ["a", "b", "c", "d"][round % 4];
        assert!(hive.delete_value(root, &units(gone), NOW).unwrap());
    }
    judged("segments", &mut hive);
}

#[test]
fn order_is_that_of_windows() {
    let names = [
        "Zed",
        "\u{B5}Torrent",
        "\u{C0}bc",
        "\u{C9}tude",
        "\u{D6}l",
        "abc",
        "ab",
        "ABD",
        "\u{10410}",
        "\u{FF21}",
        "Lovelace(C:_)",
        "Lovelace(__?_GLOBALROOT_Device_HarddiskVolume3_)",
    ];
    for minor in [3, 5] {
        let mut hive = new_hive(minor);
        let root = hive.root();
        for name in names {
            hive.create_subkey(root, &units(name), NOW).unwrap();
        }
        let mut hive = judged("order", &mut hive);
        let mut sorted: Vec<WinName> = names.iter().map(|name| WinName::from(*name)).collect();
        sorted.sort_by(|left, right| transom::base::name::compare(left.units(), right.units()));
        let stored: Vec<WinName> =
            hive.subkeys(root).unwrap().into_iter().map(|key| hive.name(key).unwrap()).collect();
        assert_eq!(stored, sorted);
        for name in names {
            let found = hive.subkey(root, &units(name)).unwrap().unwrap();
            assert_eq!(hive.name(found).unwrap(), WinName::from(name));
        }
        assert!(hive.subkey(root, &units("\u{E9}TUDE")).unwrap().is_some());
        // The micro sign is no Greek letter to Windows.
        assert!(hive.subkey(root, &units("\u{39C}TORRENT")).unwrap().is_none());
        // Without the name for which nt-hive's table is wrong, its binary search finds all.
        let micro = hive.subkey(root, &units("\u{B5}Torrent")).unwrap().unwrap();
        hive.delete_key(micro, NOW).unwrap();
        let bytes = hive.to_bytes().unwrap();
        let theirs = nt_hive::Hive::new(bytes.as_slice()).unwrap();
        for name in names.iter().filter(|name| !name.starts_with('\u{B5}')) {
            assert!(theirs.root_key_node().unwrap().subkey(name).is_some(), "{name}");
        }
    }
}

#[test]
fn names_that_a_key_cannot_have() {
    let mut hive = new_hive(5);
    let root = hive.root();
    for name in [Vec::new(), units(r"a\b"), vec![0x41; 256]] {
        let error = hive.create_subkey(root, &name, NOW).unwrap_err();
        assert_eq!(error.class(), ErrorClass::Usage);
    }
    hive.create_subkey(root, &[0x41; 255], NOW).unwrap();
    hive.create_subkey(root, &[0x3B1; 255], NOW).unwrap();
    let error = hive.delete_key(root, NOW).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Usage);
    assert_eq!(hive.subkeys(root).unwrap().len(), 2);
    let long = Value { name: WinName::new(vec![0x3B1; 16_383]), kind: ValueType(77), data: vec![1] };
    hive.set_value(root, &long, NOW).unwrap();
    let longer = Value { name: WinName::new(vec![0x3B1; 16_384]), ..long.clone() };
    assert!(hive.set_value(root, &longer, NOW).is_err());
    let hive = judged("long names", &mut hive);
    assert_eq!(hive.values(root).unwrap(), [long]);
}

#[test]
fn keys_lie_512_deep() {
    let mut hive = new_hive(5);
    let mut path = vec![hive.root()];
    for level in 0..512 {
        let key = hive.create_subkey(*path.last().unwrap(), &units(&level.to_string()), NOW).unwrap();
        path.push(key);
    }
    let deepest = *path.last().unwrap();
    let error = hive.create_subkey(deepest, &units("too deep"), NOW).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Usage);
    hive.set_value(deepest, &Value::dword("n", 1), NOW).unwrap();
    let mut hive = judged("depth", &mut hive);
    assert_eq!(hive.digest().unwrap().0, 513);
    assert_eq!(open(hive.compact().unwrap()).unwrap().digest().unwrap(), hive.digest().unwrap());
    hive.delete_key(path[1], NOW).unwrap();
    assert_eq!(judged("nothing deep", &mut hive).digest().unwrap().0, 1);
}

/// Counts of the leaves of a key's list, read from the bytes.
fn leaf_counts(bytes: &[u8], key: KeyId) -> (String, Vec<(String, u16)>) {
    let cell = |offset: u32| &bytes[4096 + offset as usize + 4..];
    let number = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let header = |offset: u32| {
        let list = cell(offset);
        (String::from_utf8_lossy(&list[..2]).into_owned(), u16::from_le_bytes([list[2], list[3]]))
    };
    let list = number(cell(key.0), 28);
    let (kind, count) = header(list);
    if kind != "ri" {
        return (kind.clone(), vec![(kind, count)]);
    }
    let leaves = (0..usize::from(count)).map(|index| header(number(cell(list), 4 + 4 * index))).collect();
    (kind, leaves)
}

#[test]
fn leaves_split_as_windows_splits_them() {
    // A list of 5000 keys that Windows made by insertions, replayed in the order of the cells.
    let Some(root) = corpus("hive/yarp") else { return };
    let Some(bytes) = unpack(&root.join("ManySubkeysHive")) else { return };
    let theirs = open(bytes.clone()).unwrap();
    let key = theirs.find(theirs.root(), "key_with_many_subkeys").unwrap().unwrap();
    let mut inserted = theirs.subkeys(key).unwrap();
    inserted.sort_unstable();
    let names: Vec<WinName> = inserted.into_iter().map(|key| theirs.name(key).unwrap()).collect();
    let (kind, expected) = leaf_counts(&bytes, key);
    assert_eq!((kind.as_str(), expected.len()), ("ri", 9));
    for (minor, leaf) in [(3, "li"), (5, "lh")] {
        let mut hive = new_hive(minor);
        let root = hive.root();
        for name in &names {
            hive.create_subkey(root, name.units(), NOW).unwrap();
        }
        let bytes = hive.to_bytes().unwrap();
        let (_, leaves) = leaf_counts(&bytes, root);
        let counts: Vec<u16> = leaves.iter().map(|leaf| leaf.1).collect();
        assert_eq!(counts, expected.iter().map(|leaf| leaf.1).collect::<Vec<_>>());
        assert!(leaves.iter().all(|found| found.0 == leaf), "{leaves:?}");
        judged("leaves", &mut hive);
        // Written from scratch, leaves are full at 507.
        let (_, leaves) = leaf_counts(&hive.compact().unwrap(), KeyId(0x20));
        assert_eq!(leaves.iter().map(|leaf| leaf.1).collect::<Vec<_>>(), [&[507; 9][..], &[437]].concat());
        // And all can go again.
        for subkey in hive.subkeys(root).unwrap() {
            hive.delete_key(subkey, NOW).unwrap();
        }
        assert_eq!(judged("no leaves", &mut hive).digest().unwrap().0, 1);
    }
}

#[test]
fn many_subkeys_and_values_in_any_order() {
    let mut hive = new_hive(5);
    let root = hive.root();
    let mut random = Random::new(5);
    let key = hive.create_subkey(root, &units("subkeys"), NOW).unwrap();
    for _ in 0..20_000 {
        let name = format!("{:x}", random.next());
        hive.create_subkey(key, &units(&name), NOW).unwrap();
    }
    assert_eq!(hive.subkeys(key).unwrap().len(), 20_000);
    let key = hive.create_subkey(root, &units("values"), NOW).unwrap();
    for number in 0..20_000u32 {
        hive.set_value(key, &Value::dword(&format!("value {number}"), number), NOW).unwrap();
    }
    for number in (0..20_000u32).step_by(3) {
        assert!(hive.delete_value(key, &units(&format!("VALUE {number}")), NOW).unwrap());
    }
    hive.set_value(key, &Value::dword("Value 7", 8), NOW).unwrap();
    let hive = judged("many", &mut hive);
    assert_eq!(hive.value(key, &units("value 7")).unwrap().unwrap().as_dword(), Some(8));
    assert_eq!(hive.values(key).unwrap().len(), 13_333);
}

#[test]
fn equal_descriptors_share_one_cell() {
    let mut other = default_root_security();
    other[2] |= 0x10;
    let mut hive = new_hive(5);
    let root = hive.root();
    let keys: Vec<KeyId> =
        (0..300).map(|number| hive.create_subkey(root, &units(&number.to_string()), NOW).unwrap()).collect();
    for (number, &key) in keys.iter().enumerate() {
        let descriptor = if number % 2 == 0 { other.clone() } else { default_root_security() };
        hive.set_security(key, &descriptor, NOW).unwrap();
    }
    let bytes = hive.to_bytes().unwrap();
    assert_eq!(bytes.windows(2).filter(|pair| pair == b"sk").count(), 2);
    for &key in &keys {
        hive.set_security(key, &other, LATER).unwrap();
    }
    hive.set_security(root, &other, LATER).unwrap();
    let hive = judged("descriptors", &mut hive);
    assert_eq!(hive.compact().unwrap().windows(2).filter(|pair| pair == b"sk").count(), 1);
    assert!(keys.iter().all(|&key| hive.security(key).unwrap() == other));
}

#[test]
fn rewriting_keeps_every_tree() {
    for (name, bytes) in real_hives() {
        let Ok(hive) = open(bytes.clone()) else { continue };
        let Ok(digest) = hive.digest() else { continue };
        let damaged = ["BadList", "BadSubkey", "DuplicateSubkeys", "WrongOrder"];
        let compact = hive.compact();
        if damaged.iter().any(|damage| name.contains(damage)) {
            let refused = compact.is_err() || open(compact.unwrap()).unwrap().digest().unwrap() == digest;
            assert!(refused, "{name}");
            continue;
        }
        let compact = compact.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert!(compact.len() <= bytes.len() + 4096, "{name}: {} from {}", compact.len(), bytes.len());
        let rewritten = open_with(compact, Vec::new(), false).unwrap();
        let (keys, values, ours) = rewritten.digest().unwrap();
        assert_eq!((keys, values), (digest.0, digest.1), "{name}");
        assert_eq!(ours, digest.2, "{name}");
        assert_eq!(diff(&hive, &rewritten).unwrap(), [], "{name}");
    }
}

#[test]
fn savepoints_undo_exactly() {
    let Some(root) = corpus("hive") else { return };
    let Some(bytes) = unpack(&root.join("NTUSER.DAT")) else { return };
    let mut hive = open_with(bytes.clone(), Vec::new(), true).unwrap();
    let digest = hive.digest().unwrap();
    let root = hive.root();
    let mark = hive.savepoint();
    let software = hive.find(root, "Software").unwrap().unwrap();
    hive.delete_key(software, NOW).unwrap();
    hive.create_path(root, r"New\Key", NOW).unwrap();
    hive.set_value(root, &Value::binary("large", vec![1; 500_000]), NOW).unwrap();
    hive.rollback(mark);
    assert_eq!(hive.digest().unwrap(), digest);
    assert!(!hive.is_changed());
    assert_eq!(hive.save().unwrap().changed, []);
}

#[test]
fn a_failed_edit_blocks_the_save_until_it_is_undone() {
    let mut other = default_root_security();
    other[2] |= 0x10;
    let mut hive = new_hive(5);
    let root = hive.root();
    let key = hive.create_subkey(root, &units("key"), NOW).unwrap();
    hive.set_security(key, &other, NOW).unwrap();
    let mut bytes = hive.to_bytes().unwrap();
    // The neighbour before it in the ring.
    let at = bytes.windows(other.len()).position(|found| found == other).unwrap() - 12;
    bytes[at..at + 4].copy_from_slice(&[8, 0, 0, 0]);
    let mut hive = open_with(bytes.clone(), Vec::new(), false).unwrap();
    let mark = hive.savepoint();
    assert!(hive.set_security(key, &default_root_security(), NOW).is_err());
    for error in [hive.save().unwrap_err(), hive.set_value(root, &Value::dword("n", 1), NOW).unwrap_err()] {
        assert!(error.to_string().contains("an earlier edit of this hive failed halfway"), "{error}");
    }
    hive.rollback(mark);
    hive.set_value(root, &Value::dword("n", 1), NOW).unwrap();
    hive.save().unwrap();
}

#[test]
fn an_edit_of_damage_is_refused_before_it_changes_anything() {
    let mut hive = new_hive(5);
    let root = hive.root();
    hive.set_value(root, &Value::binary("n", vec![1; 40_000]), NOW).unwrap();
    let mut bytes = hive.to_bytes().unwrap();
    // The signature of the big-data record.
    let at = bytes.windows(4).position(|found| found == b"db\x03\x00").unwrap();
    bytes[at] = b'x';
    let mut hive = open_with(bytes.clone(), Vec::new(), false).unwrap();
    let error = hive.set_value(root, &Value::binary("n", vec![1; 10]), NOW).unwrap_err();
    assert!(error.to_string().contains(&format!("offset {:#x}", at - 4)), "{error}");
    assert!(hive.values(root).is_err());
    let mark = hive.savepoint();
    hive.set_value(root, &Value::dword("other", 1), NOW).unwrap();
    hive.save().unwrap();
    hive.rollback(mark);
    assert_eq!(hive.to_bytes().unwrap(), bytes);
}

/// The ends of the entries of a new log.
fn entry_ends(log: &[u8]) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut at = 512;
    while log.get(at..at + 4) == Some(b"HvLE") {
        let size = u32::from_le_bytes(log[at + 4..at + 8].try_into().unwrap()) as usize;
        let sequence = u32::from_le_bytes(log[at + 12..at + 16].try_into().unwrap());
        let first = u32::from_le_bytes(log[524..528].try_into().unwrap());
        if sequence != first + ends.len() as u32 {
            break;
        }
        at += size;
        ends.push(at);
    }
    ends
}

#[test]
fn a_cut_log_gives_an_earlier_state() {
    // A primary that was being written holds newer pages too, so a cut log may leave a tree that
    // cannot be read; what counts is that the same entries give the same.
    let Some(root) = corpus("hive") else { return };
    for (name, step) in [("yarp/NewDirtyHive1/NewDirtyHive", 512), ("UsrClass.dat", 1 << 16)] {
        let Some(primary) = unpack(&root.join(name)) else { return };
        for extension in ["LOG1", "LOG2"] {
            let log = unpack(&root.join(format!("{name}.{extension}"))).unwrap();
            let ends = entry_ends(&log);
            let state = |cut: usize| {
                let hive = open_with(primary.clone(), vec![log[..cut].to_vec()], true).unwrap();
                (hive.state(), hive.digest().map_err(|error| error.to_string()))
            };
            // A log alone may be older than the primary; then it never applies.
            let applies = state(log.len()).0 == OpenState::Replayed;
            let mut known: Vec<Option<_>> = vec![None; ends.len() + 1];
            for cut in (0..=log.len()).step_by(step).chain(ends.iter().copied()) {
                let whole = ends.iter().filter(|&&end| end <= cut).count();
                let found = state(cut);
                let expected =
                    known[whole].get_or_insert_with(|| state(if whole == 0 { 0 } else { ends[whole - 1] }));
                assert_eq!(&found, expected, "{name}.{extension} cut at {cut}");
                let replayed = whole > 0 && applies;
                assert_eq!(found.0 == OpenState::Replayed, replayed, "{name}.{extension} cut at {cut}");
            }
        }
    }
    // An old log holds one state: whole, or none.
    let Some(primary) = unpack(&root.join("yarp/OldDirtyHive/OldDirtyHive")) else { return };
    let log = unpack(&root.join("yarp/OldDirtyHive/OldDirtyHive.LOG1")).unwrap();
    let whole = open_with(primary.clone(), vec![log.clone()], false).unwrap().digest().unwrap();
    let mut seen = (0, 0);
    for cut in (0..=log.len()).step_by(512) {
        match open_with(primary.clone(), vec![log[..cut].to_vec()], false) {
            Ok(hive) if seen.0 % 16 == 0 => assert_eq!(hive.digest().unwrap(), whole),
            Ok(_) => {}
            Err(error) => {
                assert!(error.to_string().contains("dirty"), "{error}");
                assert_eq!(seen.0, 0, "applied, then not, at {cut}");
                seen.1 += 1;
                continue;
            }
        }
        seen.0 += 1;
    }
    assert!(seen.0 > 0 && seen.1 > 0, "{seen:?}");
}

#[test]
fn a_damaged_entry_ends_the_replay() {
    let Some(root) = corpus("hive") else { return };
    let Some(primary) = unpack(&root.join("UsrClass.dat")) else { return };
    let logs: Vec<Vec<u8>> =
        ["LOG1", "LOG2"].iter().filter_map(|log| unpack(&root.join(format!("UsrClass.dat.{log}")))).collect();
    for (number, log) in logs.iter().enumerate() {
        let ends = entry_ends(log);
        let last = ends.len() - 1;
        let start = if last == 0 { 512 } else { ends[last - 1] };
        for at in [start + 5, start + 20, start + 45, ends[last] - 1] {
            let mut damaged = logs.clone();
            damaged[number][at] ^= 1;
            let mut cut = logs.clone();
            cut[number].truncate(start);
            let digest = |logs| open_with(primary.clone(), logs, true).unwrap().digest();
            let as_text = |digest: transom::base::Result<_>| digest.map_err(|error| error.to_string());
            assert_eq!(as_text(digest(damaged)), as_text(digest(cut)), "log {number}, byte {at}");
        }
    }
}

/// A source that counts what is read of it.
struct Counting(Vec<u8>, AtomicU64);

impl ReadAt for Counting {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> transom::base::Result<()> {
        self.1.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        self.0.read_exact_at(buffer, offset)
    }
}

#[test]
fn a_look_up_reads_little() {
    let Some(root) = corpus("hive") else { return };
    let Some(bytes) = unpack(&root.join("SYSTEM_B")) else { return };
    let source = Arc::new(Counting(bytes, AtomicU64::new(0)));
    let options = OpenOptions { ignore_dirty: true, ..OpenOptions::default() };
    let hive = Hive::open(source.clone(), options).unwrap();
    let key = hive.find(hive.root(), r"ControlSet001\Services\Tcpip\Parameters").unwrap().unwrap();
    assert!(hive.value(key, &units("DataBasePath")).unwrap().unwrap().as_text().is_some());
    let read = source.1.load(Ordering::Relaxed);
    assert!(read < 1 << 20, "{read} bytes of {}", source.len());
}

#[test]
fn differences_lead_from_the_old_hive_to_the_new() {
    let mut old = new_hive(5);
    let root = old.root();
    let gone = old.create_path(root, r"Gone\Below", NOW).unwrap();
    old.set_value(gone, &Value::dword("n", 1), NOW).unwrap();
    let kept = old.create_path(root, "Kept", NOW).unwrap();
    for value in [Value::dword("same", 1), Value::dword("changed", 1), Value::dword("gone", 1)] {
        old.set_value(kept, &value, NOW).unwrap();
    }
    let bytes = old.to_bytes().unwrap();
    let mut new = open(bytes).unwrap();
    let parent = new.find(root, "gone").unwrap().unwrap();
    new.delete_key(parent, LATER).unwrap();
    new.set_value(kept, &Value::sz("Changed", "x"), LATER).unwrap();
    new.delete_value(kept, &units("gone"), LATER).unwrap();
    let added = new.create_path(root, r"Added\Below", LATER).unwrap();
    new.set_value(added, &Value::dword("", 2), LATER).unwrap();
    let key = |key: &str| WinName::from(key);
    let set = |name: &str, value: &Value, key: &str, old: Option<(u32, Vec<u8>)>| RegistryChange::ValueSet {
        key: key.into(),
        name: WinName::from(name),
        kind: value.kind.0,
        data: value.data.clone(),
        old,
    };
    let expected = vec![
        RegistryChange::KeyAdded { key: key("Added") },
        RegistryChange::KeyAdded { key: key(r"Added\Below") },
        set("", &Value::dword("", 2), r"Added\Below", None),
        RegistryChange::KeyRemoved { key: key("Gone") },
        RegistryChange::ValueRemoved { key: key("Kept"), name: WinName::from("gone") },
        set("changed", &Value::sz("", "x"), "Kept", Some((4, vec![1, 0, 0, 0]))),
    ];
    assert_eq!(diff(&old, &new).unwrap(), expected);
    assert_eq!(diff(&new, &new).unwrap(), []);
}

#[test]
fn damage_is_an_error_never_a_panic() {
    let Some(root) = corpus("hive") else { return };
    let hives: Vec<Vec<u8>> =
        ["minimal", "special", "BCD", "nthive_testhive", "yarp/BigDataHive", "SECURITY"]
            .iter()
            .filter_map(|name| unpack(&root.join(name)))
            .collect();
    let mut random = Random::new(11);
    for round in 0..600 {
        let Some(bytes) = hives.get(round % hives.len().max(1)) else { return };
        let mut bytes = bytes.clone();
        for _ in 0..1 + random.below(6) {
            // The used part, as a rule.
            let limit = if random.below(4) == 0 { bytes.len() } else { bytes.len().min(16_384) };
            let at = random.below(limit);
            bytes[at] = match random.below(3) {
                0 => 0xFF,
                1 => 0,
                _ => random.next() as u8,
            };
        }
        let _ = Hive::check_file(&bytes).unwrap();
        let Ok(mut hive) = open(bytes) else { continue };
        let _ = (hive.digest(), hive.compact(), hive.check().unwrap());
        let root = hive.root();
        let Ok(subkeys) = hive.subkeys(root) else { continue };
        for key in subkeys {
            let _ = hive.set_value(key, &Value::binary("new", vec![1; random.below(20_000)]), NOW);
            let _ = hive.create_path(key, r"a\b", NOW);
            let _ = hive.set_security(key, &[1, 2, 3], NOW);
            let _ = hive.values(key);
            let _ = hive.delete_key(key, NOW);
        }
        let _ = hive.save();
    }
}
