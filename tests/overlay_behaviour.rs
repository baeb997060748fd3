// SPDX-License-Identifier: GPL-3.0-or-later
//! What the overlay promises, case by case.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use transom::base::name::units;
use transom::base::security::{Ownership, inherit};
use transom::base::{
    Code, ErrorClass, FileAttributes, FileTime, NodeId, NodeKind, StreamKind, WinName, WinPath, sddl,
};
use transom::io::{FixedClock, ReadAt, Scratch, read_vec};
use transom::volume::memory::MemoryVolume;
use transom::volume::{
    Durability, FileChange, NewData, Overlay, OverlayOptions, Volume, path_of, read_file, resolve,
};
use transom::wim::StreamSource;

const DATA: StreamKind = StreamKind::Data;
const NOW: FileTime = FileTime(133_000_000_000_000_000);

fn path(text: &str) -> WinPath {
    WinPath::parse(text).unwrap()
}

/// `Windows\System32\config\SYSTEM` of 200,000 bytes, `a.dll` linked into WinSxS, and a short name.
fn base() -> MemoryVolume {
    let mut volume = MemoryVolume::new();
    volume.set_identity(b"behaviour");
    let system32 = volume.add_directory(&path(r"Windows\System32"));
    let descriptor = sddl::compile("O:BAG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;0x1200a9;;;BU)");
    volume.node_mut(system32).unwrap().security = Some(descriptor.unwrap().into());
    volume.add_file(&path(r"Windows\System32\config\SYSTEM"), vec![7; 200_000]);
    let dll = volume.add_file(&path(r"Windows\System32\a.dll"), b"old".to_vec());
    let node = volume.node_mut(dll).unwrap();
    node.attributes = FileAttributes::HIDDEN;
    node.creation_time = FileTime(5);
    node.security = Some(sddl::compile("O:SYG:SYD:(A;;FA;;;SY)").unwrap().into());
    let store = volume.add_directory(&path(r"Windows\WinSxS\amd64_a"));
    volume.add_entry(store, "a.dll".into(), None, dll);
    let programs = volume.add_directory(&path("unused"));
    let root = volume.root();
    volume.add_entry(root, "Program Files".into(), Some("PROGRA~1".into()), programs);
    volume
}

struct Setup {
    overlay: Overlay,
    directory: tempfile::TempDir,
}

impl Setup {
    fn new() -> Self {
        Self::over(base())
    }

    fn over(base: MemoryVolume) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let scratch = Scratch::at(directory.path());
        let overlay = Overlay::new(Arc::new(base), scratch, Arc::new(FixedClock(NOW))).unwrap();
        Self { overlay, directory }
    }

    fn find(&self, text: &str) -> NodeId {
        resolve(&self.overlay, &path(text)).unwrap().unwrap_or_else(|| panic!("{text} is not there"))
    }

    fn names(&self, node: NodeId) -> BTreeSet<String> {
        let links = self.overlay.links(node).unwrap();
        links
            .into_iter()
            .map(|(at, entry)| path_of(&self.overlay, at).unwrap().unwrap().join(entry.name).to_string())
            .collect()
    }

    /// Bytes on the disk.
    fn staged(&self) -> u64 {
        std::fs::read_dir(self.directory.path())
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("data-"))
            .map(|entry| entry.metadata().unwrap().blocks() * 512)
            .sum()
    }
}

fn content(overlay: &Overlay, node: NodeId) -> Vec<u8> {
    let data = overlay.open(node, DATA, &[]).unwrap();
    read_vec(&data, 0, data.len()).unwrap()
}

#[test]
fn lookup_ignores_case_and_knows_short_names() {
    let setup = Setup::new();
    let overlay = &setup.overlay;
    let root = overlay.root();
    let programs = setup.find("Program Files");
    for name in ["Program Files", "PROGRAM FILES", "progra~1"] {
        assert_eq!(overlay.lookup(root, &units(name)).unwrap().unwrap().node, programs);
        let error = overlay.create(root, &name.into(), NodeKind::File).unwrap_err();
        assert_eq!(error.code(), Code::ALREADY_EXISTS, "{name}");
    }
    // The short name stays as long as it could have been made for the name.
    for (from, to, short_name) in [
        ("Program Files", "PROGRAM FILES", Some("PROGRA~1")),
        ("PROGRAM FILES", "Programs of old", Some("PROGRA~1")),
        ("Programs of old", "Elsewhere", None),
        ("Elsewhere", "Program Files", None),
    ] {
        overlay.rename(root, &units(from), root, &to.into()).unwrap();
        let entry = overlay.lookup(root, &units(to)).unwrap().unwrap();
        assert_eq!((entry.name, entry.short_name), (to.into(), short_name.map(WinName::from)));
    }
}

#[test]
fn new_nodes_are_as_windows_makes_them() {
    let setup = Setup::new();
    let overlay = &setup.overlay;
    let system32 = setup.find(r"Windows\System32");
    let file = overlay.create(system32, &"new.sys".into(), NodeKind::File).unwrap();
    let node = overlay.node(file).unwrap();
    assert_eq!(node.attributes, FileAttributes::ARCHIVE);
    assert_eq!([node.creation_time, node.access_time, node.write_time], [NOW; 3]);
    let expected = sddl::compile("O:BAG:SYD:AI(A;ID;FA;;;SY)(A;ID;FA;;;BA)(A;ID;0x1200a9;;;BU)").unwrap();
    assert_eq!(node.security.as_deref(), Some(expected.as_slice()));
    let directory = overlay.create_directories(&path(r"Windows\System32\x\y")).unwrap();
    let node = overlay.node(directory).unwrap();
    assert_eq!(node.attributes, FileAttributes::DIRECTORY);
    assert_eq!(node.streams, []);
    let expected =
        sddl::compile("O:BAG:SYD:AI(A;OICIID;FA;;;SY)(A;OICIID;FA;;;BA)(A;OICIID;0x1200a9;;;BU)").unwrap();
    assert_eq!(node.security.as_deref(), Some(expected.as_slice()));
    // Nothing to inherit from.
    let orphan = overlay.create(overlay.root(), &"orphan".into(), NodeKind::File).unwrap();
    let expected = inherit(None, NodeKind::File, &Ownership::ADMINISTRATORS).unwrap();
    assert_eq!(overlay.node(orphan).unwrap().security.as_deref(), Some(expected.as_slice()));
    assert_eq!(overlay.node(system32).unwrap().write_time, NOW);
}

#[test]
fn three_verbs() {
    let setup = Setup::new();
    let overlay = &setup.overlay;
    let (here, there) = (r"Windows\System32\a.dll", r"Windows\WinSxS\amd64_a\a.dll");
    let old = setup.find(here);
    let all_names = BTreeSet::from([here.to_owned(), there.to_owned()]);
    assert_eq!(setup.names(old), all_names);

    overlay.write(old, DATA, &[], 1, b"XY").unwrap();
    assert_eq!(read_file(overlay, &path(there)).unwrap().unwrap(), b"oXY");
    overlay.replace(old, DATA, &[], NewData::Bytes(b"replaced".to_vec())).unwrap();
    assert_eq!(read_file(overlay, &path(there)).unwrap().unwrap(), b"replaced");
    assert_eq!(setup.find(here), old);
    let node = overlay.node(old).unwrap();
    assert_eq!(node.attributes, FileAttributes::HIDDEN | FileAttributes::ARCHIVE);
    assert_eq!((node.creation_time, node.write_time), (FileTime(5), NOW));

    let system32 = setup.find(r"Windows\System32");
    let new = overlay.supersede(system32, &"A.DLL".into(), NewData::Bytes(b"superseded".to_vec())).unwrap();
    assert_ne!(new, old);
    assert_eq!(read_file(overlay, &path(here)).unwrap().unwrap(), b"superseded");
    assert_eq!(read_file(overlay, &path(there)).unwrap().unwrap(), b"replaced");
    assert_eq!(setup.names(new), BTreeSet::from([here.to_owned()]));
    assert_eq!(setup.names(old), BTreeSet::from([there.to_owned()]));
    let taken = overlay.node(new).unwrap();
    assert_eq!(taken.security, node.security);
    assert_eq!((taken.attributes, taken.creation_time), (node.attributes, FileTime(5)));

    // A patch of what was patched before, over the base's data.
    let config = setup.find(r"Windows\System32\config");
    let hive = setup.find(r"Windows\System32\config\SYSTEM");
    overlay.write(hive, DATA, &[], 100_000, b"one").unwrap();
    let data = NewData::Patch { length: 150_000, ranges: vec![(5, b"two".to_vec())] };
    let patched = overlay.supersede(config, &"SYSTEM".into(), data).unwrap();
    let mut expected = vec![7; 150_000];
    expected[100_000..100_003].copy_from_slice(b"one");
    expected[5..8].copy_from_slice(b"two");
    assert!(content(overlay, patched) == expected);
    let edit = overlay.tree_edit().unwrap();
    let StreamSource::Patched { changed, .. } = &edit.nodes[&patched].streams[0] else {
        panic!("a patched stream is a patch of the base's")
    };
    assert_eq!(*changed, [0..32_768, 98_304..131_072]);
}

#[test]
fn a_byte_in_a_large_file_stages_one_block() {
    let mut volume = base();
    let size = 80 << 20;
    let large = volume.add_file(&path(r"Windows\SOFTWARE"), vec![1; size]);
    let setup = Setup::over(volume);
    setup.overlay.write(large, DATA, &[], 50_000_000, b"!").unwrap();
    assert!(setup.staged() <= 32_768 + 4096, "{} bytes are staged", setup.staged());
    assert_eq!(
        setup.overlay.diff().unwrap(),
        [
            FileChange::Modified {
                path: path(r"Windows\SOFTWARE"),
                old_size: size as u64,
                new_size: size as u64,
                changed_bytes: 1
            },
            FileChange::Metadata { path: path(r"Windows\SOFTWARE"), what: vec!["write_time".into()] },
        ]
    );
    let data = setup.overlay.open(large, DATA, &[]).unwrap();
    let mut around = [0; 3];
    data.read_exact_at(&mut around, 49_999_999).unwrap();
    assert_eq!(around, [1, b'!', 1]);
}

/// Many separate blocks in one operation, with staged blocks of earlier ones: no block may land
/// where another one of the same operation already is.
#[test]
fn one_patch_of_many_ranges_keeps_them_apart() {
    let mut volume = base();
    let blocks = 300;
    let large = volume.add_file(&path(r"Windows\SOFTWARE"), vec![1; blocks * 32_768]);
    let setup = Setup::over(volume);
    let mut expected = vec![1; blocks * 32_768];
    for (round, step) in [3, 2, 5].into_iter().enumerate() {
        let ranges: Vec<(u64, Vec<u8>)> = (0..blocks)
            .step_by(step)
            .map(|block| ((block * 32_768 + 7) as u64, vec![block as u8 ^ round as u8, round as u8, 9]))
            .collect();
        for (offset, bytes) in &ranges {
            expected[*offset as usize..][..bytes.len()].copy_from_slice(bytes);
        }
        let data = NewData::Patch { length: expected.len() as u64, ranges };
        setup.overlay.replace(large, DATA, &[], data).unwrap();
        assert!(content(&setup.overlay, large) == expected, "after round {round}");
    }
}

#[test]
fn differences_by_file() {
    let setup = Setup::new();
    let overlay = &setup.overlay;
    let root = overlay.root();
    assert!(!overlay.is_changed());
    let windows = setup.find("Windows");
    let system32 = setup.find(r"Windows\System32");
    let dll = setup.find(r"Windows\System32\a.dll");
    let new = overlay.create(system32, &"new".into(), NodeKind::Directory).unwrap();
    let file = overlay.create(new, &"file".into(), NodeKind::File).unwrap();
    overlay.write(file, DATA, &[], 0, b"12345").unwrap();
    overlay.replace(dll, DATA, &units("Zone"), NewData::Bytes(b"12".to_vec())).unwrap();
    overlay.set_times(dll, None, None, Some(FileTime(0))).unwrap();
    overlay.set_attributes(dll, FileAttributes::HIDDEN).unwrap();
    overlay.rename(windows, &units("WinSxS"), root, &"Moved".into()).unwrap();
    overlay.rename(root, &units("Program Files"), root, &"program files".into()).unwrap();
    overlay.set_security(root, Some(&sddl::compile("D:(A;;GA;;;SY)").unwrap())).unwrap();
    let added = |text: &str, directory, size| FileChange::Added { path: path(text), directory, size };
    let removed = |text: &str, directory| FileChange::Removed { path: path(text), directory };
    let metadata =
        |text: &str, what: &str| FileChange::Metadata { path: path(text), what: vec![what.into()] };
    assert!(overlay.is_changed());
    assert_eq!(
        overlay.diff().unwrap(),
        [
            metadata("", "security"),
            added("Moved", true, 0),
            added(r"Moved\amd64_a", true, 0),
            added(r"Moved\amd64_a\a.dll", false, 3),
            added(r"Moved\amd64_a\a.dll:Zone", false, 2),
            metadata("program files", "name"),
            added(r"Windows\System32\a.dll:Zone", false, 2),
            added(r"Windows\System32\new", true, 0),
            added(r"Windows\System32\new\file", false, 5),
            removed(r"Windows\WinSxS", true),
            removed(r"Windows\WinSxS\amd64_a", true),
            removed(r"Windows\WinSxS\amd64_a\a.dll", false),
        ]
    );
}

#[test]
fn back_to_the_base_is_no_difference() {
    let setup = Setup::new();
    let overlay = &setup.overlay;
    let (root, system32) = (overlay.root(), setup.find(r"Windows\System32"));
    let dll = setup.find(r"Windows\System32\a.dll");
    let new = overlay.create_directories(&path(r"Windows\System32\a\b\c")).unwrap();
    overlay.link(dll, new, &"again".into()).unwrap();
    overlay.rename(root, &units("Program Files"), new, &"elsewhere".into()).unwrap();
    overlay.rename(new, &units("elsewhere"), root, &"Program Files".into()).unwrap();
    overlay.set_short_name(root, &units("program files"), Some(&"PROGRA~1".into())).unwrap();
    overlay.write(dll, DATA, &[], 0, b"new").unwrap();
    assert!(overlay.is_changed());
    overlay.replace(dll, DATA, &[], NewData::Reader(Arc::new(b"old".to_vec()))).unwrap();
    overlay.set_times(dll, None, None, Some(FileTime(0))).unwrap();
    overlay.set_attributes(dll, FileAttributes::HIDDEN).unwrap();
    overlay.remove_tree(system32, &units("A")).unwrap();
    assert_eq!(overlay.diff().unwrap(), []);
    assert!(!overlay.is_changed());
    let edit = overlay.tree_edit().unwrap();
    assert!(edit.nodes.is_empty() && edit.directories.is_empty());
}

#[test]
fn refusals_have_codes_of_their_own() {
    let setup = Setup::new();
    let overlay = &setup.overlay;
    let root = overlay.root();
    let windows = setup.find("Windows");
    let system32 = setup.find(r"Windows\System32");
    let dll = setup.find(r"Windows\System32\a.dll");
    let file = NodeKind::File;
    let short = |name: &str| overlay.set_short_name(root, &units("Windows"), Some(&name.into())).unwrap_err();
    for (error, code, class) in [
        (overlay.remove(root, &units("nothing")).unwrap_err(), 2, ErrorClass::NotFound),
        (overlay.node(NodeId(NodeId::NEW | 99)).unwrap_err(), 2, ErrorClass::NotFound),
        (overlay.write(dll, DATA, &units("none"), 0, b"x").unwrap_err(), 2, ErrorClass::NotFound),
        (overlay.create(root, &"WINDOWS".into(), file).unwrap_err(), 183, ErrorClass::Usage),
        (
            overlay.rename(windows, &units("System32"), root, &"windows".into()).unwrap_err(),
            183,
            ErrorClass::Usage,
        ),
        (overlay.remove(root, &units("Windows")).unwrap_err(), 145, ErrorClass::Usage),
        (overlay.create(dll, &"x".into(), file).unwrap_err(), 267, ErrorClass::Usage),
        (overlay.write(windows, DATA, &[], 0, b"x").unwrap_err(), 336, ErrorClass::Usage),
        (overlay.link(windows, root, &"x".into()).unwrap_err(), 336, ErrorClass::Usage),
        (overlay.create(root, &"a:b".into(), file).unwrap_err(), 123, ErrorClass::Usage),
        (overlay.rename(root, &units("Windows"), system32, &"x".into()).unwrap_err(), 87, ErrorClass::Usage),
        (overlay.set_object_id(dll, Some(&[1; 15])).unwrap_err(), 87, ErrorClass::Usage),
        (overlay.truncate(dll, DATA, &[], u64::MAX).unwrap_err(), 223, ErrorClass::Unsupported),
        (overlay.set_security(dll, Some(b"no descriptor")).unwrap_err(), 1392, ErrorClass::Corrupt),
        (short("PROGRA~1"), 123, ErrorClass::Usage),
        (short("lower"), 123, ErrorClass::Usage),
        (short("WINDOWS"), 123, ErrorClass::Usage),
    ] {
        assert_eq!((error.code(), error.class()), (Code::win32(code), class), "{error}");
    }
    assert!(!overlay.is_changed());
}

#[test]
fn rolling_back_restores_data() {
    let setup = Setup::new();
    let overlay = &setup.overlay;
    let hive = setup.find(r"Windows\System32\config\SYSTEM");
    overlay.write(hive, DATA, &[], 199_000, &[1; 2000]).unwrap();
    let before = content(overlay, hive);
    let outer = overlay.savepoint().unwrap();
    overlay.write(hive, DATA, &[], 201_000, &[2; 500]).unwrap();
    let held = overlay.open(hive, DATA, &[]).unwrap();
    let inner = overlay.savepoint().unwrap();
    overlay.truncate(hive, DATA, &[], 10).unwrap();
    overlay.remove_tree(overlay.root(), &units("Windows")).unwrap();
    let made = overlay.create(overlay.root(), &"made".into(), NodeKind::File).unwrap();
    overlay.write(made, DATA, &[], 0, b"gone soon").unwrap();
    overlay.commit_savepoint(inner).unwrap();
    overlay.rollback(outer).unwrap();
    assert!(content(overlay, hive) == before);
    assert_eq!(setup.find(r"Windows\System32\config\SYSTEM"), hive);
    assert_eq!(overlay.node(made).unwrap_err().class(), ErrorClass::NotFound);
    // What was added behind the end is not taken for the bytes that were there in between.
    overlay.write(hive, DATA, &[], 201_000, &[3; 100]).unwrap();
    let held = read_vec(&held, 0, held.len()).unwrap();
    assert!(held[..201_000] == before && held[201_000..] == [2; 500]);
    let stale = overlay.savepoint().unwrap();
    let inner = overlay.savepoint().unwrap();
    overlay.rollback(stale).unwrap();
    assert_eq!(overlay.rollback(inner).unwrap_err().class(), ErrorClass::Internal);
}

#[test]
fn overwriting_again_and_again_does_not_grow() {
    let setup = Setup::new();
    let overlay = &setup.overlay;
    let file = overlay.create(overlay.root(), &"log".into(), NodeKind::File).unwrap();
    let mut expected = vec![0; 300_000];
    let mut held = Vec::new();
    let mut write = |at: usize, byte: u8, length: usize| {
        expected[at..at + length].fill(byte);
        overlay.write(file, DATA, &[], at as u64, &vec![byte; length]).unwrap();
        expected.clone()
    };
    write(0, 1, 300_000);
    for turn in 0..2000_usize {
        let now = write(turn * 7919 % 290_000, turn as u8, 1 + turn % 9_000);
        if turn % 500 == 250 {
            held.push((overlay.open(file, DATA, &[]).unwrap(), now.clone()));
        }
        if turn % 100 == 99 {
            // A process killed now would leave this.
            let copy = tempfile::tempdir().unwrap();
            for entry in std::fs::read_dir(setup.directory.path()).unwrap() {
                let entry = entry.unwrap();
                std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
            }
            let clock = Arc::new(FixedClock(NOW));
            let replayed = Overlay::replay(Arc::new(base()), Scratch::at(copy.path()), clock).unwrap();
            assert!(content(&replayed, file) == now);
        }
        if turn % 500 == 400 {
            for (snapshot, expected) in held.drain(..) {
                assert!(read_vec(&snapshot, 0, snapshot.len()).unwrap() == expected);
            }
        }
    }
    assert!(content(overlay, file) == expected);
    // Ten blocks are live; while a snapshot is held, every write takes new room.
    let staged = setup.staged();
    assert!(staged < 400 * 32_768, "{staged} bytes are staged");
    drop(setup.overlay);
    let clock = Arc::new(FixedClock(NOW));
    let replayed = Overlay::replay(Arc::new(base()), Scratch::at(setup.directory.path()), clock).unwrap();
    assert!(content(&replayed, file) == expected);
    replayed.remove(replayed.root(), &units("log")).unwrap();
    let left = std::fs::read_dir(setup.directory.path()).unwrap().count();
    assert_eq!(left, 1, "only the journal stays");
}

#[test]
fn an_open_file_outlives_its_name() {
    let setup = Setup::new();
    let overlay = &setup.overlay;
    let (root, file) = (overlay.root(), setup.find(r"Windows\System32\config\SYSTEM"));
    overlay.pin(file).unwrap();
    overlay.pin(file).unwrap();
    let windows = setup.find("Windows");
    overlay.pin(windows).unwrap();
    overlay.remove_tree(root, &units("Windows")).unwrap();
    overlay.unpin(file).unwrap();
    overlay.write(file, DATA, &[], 0, b"still").unwrap();
    assert_eq!(overlay.links(file).unwrap(), []);
    assert_eq!(content(overlay, file)[..5], *b"still");
    let edit = overlay.tree_edit().unwrap();
    assert!(!edit.nodes.contains_key(&file) && !edit.nodes.contains_key(&windows));
    assert_eq!(edit.directories.keys().collect::<Vec<_>>(), [&root]);
    overlay.unpin(file).unwrap();
    assert_eq!(overlay.node(file).unwrap_err().class(), ErrorClass::NotFound);

    // A process that dies closes its files.
    let other = overlay.create(root, &"other".into(), NodeKind::File).unwrap();
    overlay.write(other, DATA, &[], 0, b"x").unwrap();
    overlay.pin(other).unwrap();
    overlay.remove(root, &units("other")).unwrap();
    assert_eq!(content(overlay, other), b"x");
    drop(setup.overlay);
    let clock = Arc::new(FixedClock(NOW));
    let replayed = Overlay::replay(Arc::new(base()), Scratch::at(setup.directory.path()), clock).unwrap();
    assert_eq!(replayed.node(other).unwrap_err().class(), ErrorClass::NotFound);
    assert_eq!(std::fs::read_dir(setup.directory.path()).unwrap().count(), 1);
}

#[test]
fn journals_are_not_mixed_up() {
    let setup = Setup::new();
    let scratch = || Scratch::at(setup.directory.path());
    let clock = || Arc::new(FixedClock(NOW));
    setup.overlay.create(setup.overlay.root(), &"x".into(), NodeKind::File).unwrap();
    let error = Overlay::new(Arc::new(base()), scratch(), clock()).err().unwrap();
    assert_eq!((error.class(), error.code()), (ErrorClass::Busy, Code::ALREADY_EXISTS));
    let mut other = base();
    other.set_identity(b"something else");
    let error = Overlay::replay(Arc::new(other), scratch(), clock()).err().unwrap();
    assert_eq!(error.class(), ErrorClass::Busy);
    let empty = tempfile::tempdir().unwrap();
    let error = Overlay::replay(Arc::new(base()), Scratch::at(empty.path()), clock()).err().unwrap();
    assert_eq!(error.class(), ErrorClass::NotFound);
    assert_eq!(std::fs::read_dir(empty.path()).unwrap().count(), 0);
    let journal = setup.directory.path().join("journal");
    let good = std::fs::read(&journal).unwrap();
    for (offset, class) in
        [(0, ErrorClass::NotFound), (8, ErrorClass::Unsupported), (21, ErrorClass::NotFound)]
    {
        let mut broken = good.clone();
        broken[offset] ^= 1;
        std::fs::write(&journal, broken).unwrap();
        let error = Overlay::replay(Arc::new(base()), scratch(), clock()).err().unwrap();
        assert_eq!(error.class(), class, "{offset}");
    }
    for length in 0..32 {
        std::fs::write(&journal, &good[..length]).unwrap();
        assert!(Overlay::replay(Arc::new(base()), scratch(), clock()).is_err(), "{length}");
    }
    // A tail of zeros, as a crash of the system may leave it, is no record.
    let mut padded = good.clone();
    padded.extend([0; 4096]);
    std::fs::write(&journal, padded).unwrap();
    let replayed = Overlay::replay(Arc::new(base()), scratch(), clock()).unwrap();
    assert!(replayed.lookup(replayed.root(), &units("x")).unwrap().is_some());
    assert_eq!(std::fs::read(&journal).unwrap(), good);
}

#[test]
fn a_failed_operation_changes_nothing() {
    let setup = Setup::new();
    let overlay = &setup.overlay;
    let dll = setup.find(r"Windows\System32\a.dll");
    let journal = std::fs::read(setup.directory.path().join("journal")).unwrap();
    // Without its directory the store cannot make a data file.
    let moved = setup.directory.path().with_extension("moved");
    std::fs::rename(setup.directory.path(), &moved).unwrap();
    assert!(overlay.write(dll, DATA, &[], 0, b"x").is_err());
    assert!(!overlay.is_changed());
    std::fs::rename(&moved, setup.directory.path()).unwrap();
    assert_eq!(std::fs::read(setup.directory.path().join("journal")).unwrap(), journal);
    let range = vec![(2, b"xyz".to_vec())];
    let error = overlay.replace(dll, DATA, &[], NewData::Patch { length: 4, ranges: range }).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Usage);
    assert!(!overlay.is_changed());
    overlay.write(dll, DATA, &[], 0, b"x").unwrap();
    assert_eq!(content(overlay, dll), b"xld");
}

#[test]
fn threads_share_an_overlay() {
    let directory = tempfile::tempdir().unwrap();
    let options = OverlayOptions { durability: Durability::Process, ..OverlayOptions::default() };
    let overlay = Overlay::with_options(
        Arc::new(base()),
        Scratch::at(directory.path()),
        Arc::new(FixedClock(NOW)),
        options,
    )
    .unwrap();
    let shared = overlay.create(overlay.root(), &"shared".into(), NodeKind::File).unwrap();
    overlay.write(shared, DATA, &[], 0, &[0; 100_000]).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let overlay = &overlay;
            scope.spawn(move || {
                let home = overlay.create_directories(&path(&format!("common\\home{thread}"))).unwrap();
                for turn in 0..60_u64 {
                    let name = WinName::from(format!("file{turn}").as_str());
                    let node = overlay.create(home, &name, NodeKind::File).unwrap();
                    overlay.write(node, DATA, &[], turn * 1000, &[thread; 500]).unwrap();
                    overlay
                        .write(shared, DATA, &[], u64::from(thread) * 25_000, &[turn as u8; 25_000])
                        .unwrap();
                    if turn % 3 == 0 {
                        overlay
                            .rename(
                                home,
                                name.units(),
                                overlay.root(),
                                &WinName::from(format!("{thread}-{turn}").as_str()),
                            )
                            .unwrap();
                    }
                    if turn % 3 != 0 && turn % 5 == 1 {
                        overlay.remove(home, name.units()).unwrap();
                    }
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..100 {
                let data = overlay.open(shared, DATA, &[]).unwrap();
                let data = read_vec(&data, 0, data.len()).unwrap();
                // A write is seen wholly or not at all.
                for part in data.chunks(25_000) {
                    assert!(part.iter().all(|byte| *byte == part[0]));
                }
                overlay.entries(overlay.root()).unwrap();
                overlay.diff().unwrap();
            }
        });
    });
    assert_eq!(content(&overlay, shared), vec![59; 100_000]);
    let moved = overlay.entries(overlay.root()).unwrap();
    assert_eq!(moved.iter().filter(|entry| entry.name.to_string().contains('-')).count(), 80);
    for thread in 0..4 {
        let home = resolve(&overlay, &path(&format!("common\\home{thread}"))).unwrap().unwrap();
        let kept = (0..60).filter(|turn| turn % 3 != 0 && turn % 5 != 1).count();
        assert_eq!(overlay.entries(home).unwrap().len(), kept);
    }
    let tree: Vec<FileChange> = overlay.diff().unwrap();
    drop(overlay);
    let clock = Arc::new(FixedClock(NOW));
    let replayed = Overlay::replay(Arc::new(base()), Scratch::at(directory.path()), clock).unwrap();
    assert_eq!(replayed.diff().unwrap(), tree);
}

#[test]
fn flushed_operations_replay_too() {
    let directory = tempfile::tempdir().unwrap();
    let options = OverlayOptions { durability: Durability::Power, ..OverlayOptions::default() };
    let base: Arc<dyn Volume> = Arc::new(base());
    let clock = || Arc::new(FixedClock(NOW));
    let overlay =
        Overlay::with_options(Arc::clone(&base), Scratch::at(directory.path()), clock(), options).unwrap();
    let file = overlay.create(overlay.root(), &"x".into(), NodeKind::File).unwrap();
    overlay.write(file, DATA, &[], 40_000, b"there").unwrap();
    overlay.sync_node(file).unwrap();
    drop(overlay);
    let replayed =
        Overlay::replay_with_options(base, Scratch::at(directory.path()), clock(), options).unwrap();
    let mut expected = vec![0; 40_000];
    expected.extend(b"there");
    assert!(content(&replayed, file) == expected);
}
