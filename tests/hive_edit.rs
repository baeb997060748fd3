// SPDX-License-Identifier: GPL-3.0-or-later
//! Random edits against a simple model; then our checker, a second one and all peers must see the
//! model. `./x soak hive` does the same at length.

mod hive_support;

use hive_support::model::{Key, edits, judge, run};
use hive_support::{Random, corpus, open_with, unpack};
use transom::hive::{Hive, Rule};

#[test]
fn few_edits_of_new_hives() {
    for seed in (0..12).step_by(2) {
        for minor in 3..=6 {
            run(minor, Random::new(100 * seed + u64::from(minor)), 10 + 40 * seed as usize);
        }
    }
}

#[test]
fn many_edits_of_new_hives() {
    run(5, Random::new(1), 20_000);
    run(5, Random::new(2).plain(), 8_000);
    run(3, Random::new(3).plain(), 6_000);
}

#[test]
fn edits_of_real_hives() {
    for (name, count) in [("BCD", 500), ("NTUSER.DAT", 3000), ("UsrClass.dat", 2000), ("SYSTEM_B", 3000)] {
        let Some(root) = corpus("hive") else { return };
        let Some(bytes) = unpack(&root.join(name)) else { return };
        let logs: Vec<Vec<u8>> =
            ["LOG1", "LOG2"].iter().filter_map(|log| unpack(&root.join(format!("{name}.{log}")))).collect();
        let mut hive = open_with(bytes, logs, true).unwrap();
        let mut model = Key::read(&hive, hive.root());
        let before = hive.check().unwrap();
        let mut random = Random::new(7).plain();
        edits(&mut random, &mut hive, &mut model, count);
        let bytes = hive.to_bytes().unwrap();
        let mut after = Hive::check_file(&bytes).unwrap();
        after.retain(|finding| !before.contains(finding));
        assert_eq!(after, [], "{name}");
        assert!(before.iter().all(|finding| finding.rule == Rule::Clean), "{name}: {before:?}");
        judge(name, &bytes, &model);
    }
}
