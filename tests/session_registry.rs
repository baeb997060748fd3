// SPDX-License-Identifier: GPL-3.0-or-later
//! Sessions: facts about the Windows in an image, hives through the overlay, savepoints, dirty
//! hives and their logs.

mod driver_support;

use std::sync::Arc;

use driver_support::memory::MemoryVolume;
use driver_support::{ImageRecipe, corpus, open, read, surroundings, unxz};
use transom::base::{Arch, Code, ErrorClass, StreamKind, Version, WinPath};
use transom::hive::{Hive, OpenOptions, OpenState, RegistryChange, Value};
use transom::image::{HiveName, Session};
use transom::volume::FileChange;

const VERSION: Version = Version::new(10, 0, 19045, 3803);
const SYSTEM: &str = "Windows\\System32\\config\\SYSTEM";

fn path(text: &str) -> WinPath {
    WinPath::parse(text).unwrap()
}

#[test]
fn facts_of_the_windows() {
    let surroundings = surroundings();
    for arch in [Arch::X86, Arch::Amd64, Arch::Arm, Arch::Arm64] {
        let session = open(&ImageRecipe::new(arch, VERSION), &surroundings);
        let json = serde_json::to_value(session.windows()).unwrap();
        let expected = serde_json::json!({
            "directory": "Windows",
            "arch": arch.as_str(),
            "version": "10.0.19045.3803",
            "edition": "Professional",
            "installation_type": "Client",
            "product_type": 1,
            "suite_mask": 0,
            "language": 0x409,
            "is_winpe": false,
        });
        assert_eq!(json, expected);
    }
    let session = open(&ImageRecipe::new(Arch::X86, Version::new(6, 1, 7601, 0)), &surroundings);
    assert_eq!(session.windows().version, Version::new(6, 1, 7601, 0));
}

#[test]
fn a_tree_without_windows_is_refused() {
    let surroundings = surroundings();
    let mut volume = MemoryVolume::default();
    volume.file("data\\readme.txt", b"x".to_vec());
    let error = Session::open_volume(Arc::new(volume), surroundings.environment.clone()).err().unwrap();
    assert_eq!((error.class(), error.code()), (ErrorClass::NotApplicable, Code(0xC150_0029)));
    assert!(error.hint().is_some());
}

#[test]
fn windows_under_another_name_is_found() {
    let surroundings = surroundings();
    let mut volume = MemoryVolume::default();
    volume.file("bait\\System32\\config\\SYSTEM", b"x".to_vec());
    let config = "WINNT\\system32\\CONFIG";
    volume.file(&format!("{config}\\system"), driver_support::system_hive(Arch::Amd64));
    volume.file(&format!("{config}\\Software"), driver_support::software_hive(VERSION));
    let session = Session::open_volume(Arc::new(volume), surroundings.environment.clone()).unwrap();
    assert_eq!(session.windows().directory.to_string(), "WINNT");
}

#[test]
fn reading_changes_nothing() {
    let surroundings = surroundings();
    let mut session = open(&ImageRecipe::new(Arch::Amd64, VERSION), &surroundings);
    for hive in HiveName::ALL {
        session.registry().hive(hive).unwrap();
    }
    assert_eq!(session.registry().control_sets().unwrap(), [1]);
    let diff = session.diff().unwrap();
    assert_eq!((diff.files, diff.registry), (Vec::new(), Vec::new()));
    assert!(!session.overlay().is_changed());
}

#[test]
fn edits_are_saved_as_ranges_and_seen_in_the_diff() {
    let surroundings = surroundings();
    let mut session = open(&ImageRecipe::new(Arch::Amd64, VERSION), &surroundings);
    let before = read(&session, SYSTEM).unwrap();
    let key = "HKLM\\SYSTEM\\CurrentControlSet\\Control\\Test";
    session.registry().set_value(key, &Value::dword("Number", 7)).unwrap();
    let diff = session.diff().unwrap();
    let expected = [
        RegistryChange::KeyAdded { key: "HKLM\\SYSTEM\\ControlSet001\\Control\\Test".into() },
        RegistryChange::ValueSet {
            key: "HKLM\\SYSTEM\\ControlSet001\\Control\\Test".into(),
            name: "Number".into(),
            kind: 4,
            data: vec![7, 0, 0, 0],
            old: None,
        },
    ];
    assert_eq!(diff.registry, expected);
    let FileChange::Modified { path, old_size, new_size, changed_bytes } = &diff.files[0] else {
        panic!("{diff:?}")
    };
    assert_eq!((path.to_string().as_str(), old_size), (SYSTEM, new_size));
    assert!(*changed_bytes < 1024, "{changed_bytes} bytes for one key and one value");
    assert!(diff.files.iter().all(|change| matches!(
        change,
        FileChange::Modified { path, .. } | FileChange::Metadata { path, .. } if path.to_string() == SYSTEM
    )));
    let after = read(&session, SYSTEM).unwrap();
    assert_ne!(before, after);
    let hive = Hive::open(Arc::new(after.clone()), OpenOptions::default()).unwrap();
    let saved = hive.find(hive.root(), "ControlSet001\\Control\\Test").unwrap().unwrap();
    assert_eq!(hive.values(saved).unwrap(), [Value::dword("Number", 7)]);
    assert_eq!(hive.check().unwrap(), []);
    // A second save with nothing new leaves the file alone; one with an edit holds both.
    session.diff().unwrap();
    assert_eq!(read(&session, SYSTEM).unwrap(), after);
    session.registry().set_value(key, &Value::dword("Second", 8)).unwrap();
    session.save().unwrap();
    let both = Hive::open(Arc::new(read(&session, SYSTEM).unwrap()), OpenOptions::default()).unwrap();
    let key = both.find(both.root(), "ControlSet001\\Control\\Test").unwrap().unwrap();
    assert_eq!(both.values(key).unwrap().len(), 2);
}

#[test]
fn rollback_undoes_files_and_hives_together() {
    let surroundings = surroundings();
    let mut session = open(&ImageRecipe::new(Arch::Amd64, VERSION), &surroundings);
    let key = "HKLM\\SYSTEM\\CurrentControlSet\\Control\\Test";
    session.registry().set_value(key, &Value::dword("Kept", 1)).unwrap();
    session.save().unwrap();
    let kept = session.diff().unwrap();
    let kept_bytes = read(&session, SYSTEM).unwrap();

    let savepoint = session.savepoint().unwrap();
    for number in 0..400 {
        let value = Value::binary(&format!("Undone{number}"), vec![0x55; 200]);
        session.registry().set_value(key, &value).unwrap();
    }
    session.registry().set_value("HKLM\\COMPONENTS\\x", &Value::dword("y", 1)).unwrap_err();
    session.registry().hive_or_create(HiveName::Components).unwrap();
    session.registry().set_value("HKLM\\COMPONENTS\\x", &Value::dword("y", 1)).unwrap();
    let folder = session.resolve(&path("Windows\\INF")).unwrap().unwrap();
    session.overlay().create(folder, &"new.inf".into(), transom::base::NodeKind::File).unwrap();
    // Saving inside the savepoint puts the undone edits into the overlay, too.
    session.save().unwrap();
    assert_ne!(read(&session, SYSTEM).unwrap(), kept_bytes);
    assert!(read(&session, "Windows\\System32\\config\\COMPONENTS").is_some());
    session.rollback(savepoint).unwrap();

    assert_eq!(read(&session, SYSTEM).unwrap(), kept_bytes);
    assert_eq!(read(&session, "Windows\\System32\\config\\COMPONENTS"), None);
    let after = session.diff().unwrap();
    assert_eq!((after.files, after.registry), (kept.files, kept.registry));
    session.registry().set_value(key, &Value::dword("More", 2)).unwrap();
    session.save().unwrap();
    let hive = Hive::open(Arc::new(read(&session, SYSTEM).unwrap()), OpenOptions::default()).unwrap();
    assert_eq!(hive.check().unwrap(), []);
    let test = hive.find(hive.root(), "ControlSet001\\Control\\Test").unwrap().unwrap();
    assert_eq!(hive.values(test).unwrap(), [Value::dword("Kept", 1), Value::dword("More", 2)]);
}

#[test]
fn a_saved_edit_that_is_taken_back_vanishes_from_the_file() {
    let surroundings = surroundings();
    let mut session = open(&ImageRecipe::new(Arch::Amd64, VERSION), &surroundings);
    let before = read(&session, "Windows\\System32\\config\\SOFTWARE").unwrap();
    let software = session.registry().require(HiveName::Software).unwrap();
    let mark = software.savepoint();
    let key = "HKLM\\SOFTWARE\\Big";
    for number in 0..100 {
        session.registry().set_value(key, &Value::binary(&format!("{number}"), vec![0xAA; 300])).unwrap();
    }
    session.save().unwrap();
    session.registry().require(HiveName::Software).unwrap().rollback(mark);
    session.save().unwrap();
    let after = read(&session, "Windows\\System32\\config\\SOFTWARE").unwrap();
    assert_eq!(after, before);
}

#[test]
fn a_hive_file_changed_by_somebody_else_is_not_overwritten() {
    let surroundings = surroundings();
    let mut session = open(&ImageRecipe::new(Arch::Amd64, VERSION), &surroundings);
    let key = "HKLM\\SYSTEM\\CurrentControlSet\\Control\\Test";
    session.registry().set_value(key, &Value::dword("Number", 7)).unwrap();
    let node = session.resolve(&path(SYSTEM)).unwrap().unwrap();
    session.overlay().write(node, StreamKind::Data, &[], 4, &[9, 0, 0, 0, 9, 0, 0, 0]).unwrap();
    let error = session.diff().unwrap_err();
    assert_eq!(error.class(), ErrorClass::Busy);
    assert!(error.message().contains(SYSTEM), "{error}");
    assert_eq!(read(&session, SYSTEM).unwrap()[4..12], [9, 0, 0, 0, 9, 0, 0, 0]);
}

#[test]
fn a_dirty_hive_is_completed_from_its_logs_and_they_are_emptied() {
    let Some(corpus) = corpus() else { return };
    let surroundings = surroundings();
    let hive = |name: &str| unxz(&corpus.join("hive").join(name));
    let logs = vec![(".Log1", hive("SYSTEM_B.LOG1.xz")), (".LOG2", hive("SYSTEM_B.LOG2.xz"))];
    let recipe =
        ImageRecipe { system: Some((hive("SYSTEM_B.xz"), logs)), ..ImageRecipe::new(Arch::Amd64, VERSION) };
    let mut session = open(&recipe, &surroundings);
    assert_eq!(session.registry().open_state(HiveName::System), Some(OpenState::Replayed));
    assert_eq!(session.exceptions(), [] as [String; 0]);
    // Reading alone writes nothing: hive and logs stay as they are.
    let diff = session.diff().unwrap();
    assert_eq!((diff.files, diff.registry), (Vec::new(), Vec::new()));

    let key = "HKLM\\SOFTWARE\\Test";
    session.registry().set_value(key, &Value::dword("Number", 7)).unwrap();
    session.save().unwrap();
    for log in [".LOG1", ".LOG2"] {
        assert_eq!(read(&session, &format!("{SYSTEM}{log}")), Some(Vec::new()), "{log}");
    }
    let saved = read(&session, SYSTEM).unwrap();
    let hive = Hive::open(Arc::new(saved), OpenOptions::default()).unwrap();
    assert_eq!(hive.state(), OpenState::Clean);
    // The truth of the corpus after replay.
    assert_eq!(hive.digest().unwrap(), (35595, 78901, "99b1017134ba19b216f7fc2c296b072b".to_owned()));
}

#[test]
fn a_dirty_hive_without_logs_needs_leave() {
    let Some(corpus) = corpus() else { return };
    let surroundings = surroundings();
    let system = unxz(&corpus.join("hive/SYSTEM_B.xz"));
    let recipe = ImageRecipe { system: Some((system, Vec::new())), ..ImageRecipe::new(Arch::Amd64, VERSION) };
    let volume = Arc::new(recipe.volume());
    let error = Session::open_volume(volume.clone(), surroundings.environment.clone()).err().unwrap();
    assert_eq!(error.code(), Code::REGISTRY_CORRUPT);
    assert!(error.hint().unwrap().contains("--ignore-dirty"), "{error:?}");

    let environment = transom::image::Environment { ignore_dirty: true, ..surroundings.environment.clone() };
    let mut session = Session::open_volume(volume, environment).unwrap();
    assert_eq!(session.exceptions().len(), 1);
    assert!(session.exceptions()[0].contains("SYSTEM"), "{:?}", session.exceptions());
    let key = "HKLM\\SYSTEM\\CurrentControlSet\\Control\\Test";
    session.registry().set_value(key, &Value::dword("Number", 7)).unwrap();
    session.save().unwrap();
    let hive = Hive::open(Arc::new(read(&session, SYSTEM).unwrap()), OpenOptions::default()).unwrap();
    assert_eq!(hive.state(), OpenState::Clean);
}

#[test]
fn a_hive_that_is_missing_is_made_on_request_only() {
    let surroundings = surroundings();
    let recipe = ImageRecipe { with_drivers_hive: false, ..ImageRecipe::new(Arch::Amd64, VERSION) };
    let mut session = open(&recipe, &surroundings);
    assert!(session.registry().hive(HiveName::Drivers).unwrap().is_none());
    assert!(session.registry().hive(HiveName::Sam).unwrap().is_none());
    let error = session.registry().require(HiveName::Drivers).err().unwrap();
    assert_eq!(error.class(), ErrorClass::NotFound);
    session.registry().hive_or_create(HiveName::Drivers).unwrap();
    session.registry().set_value("HKLM\\DRIVERS\\DriverDatabase", &Value::dword("Version", 1)).unwrap();
    let diff = session.diff().unwrap();
    assert_eq!(diff.registry.len(), 2, "{:?}", diff.registry);
    let bytes = read(&session, "Windows\\System32\\config\\DRIVERS").unwrap();
    let hive = Hive::open(Arc::new(bytes), OpenOptions::default()).unwrap();
    let root = driver_support::system_hive(Arch::Amd64);
    let system = Hive::open(Arc::new(root), OpenOptions::default()).unwrap();
    assert_eq!(hive.security(hive.root()).unwrap(), system.security(system.root()).unwrap());
}
