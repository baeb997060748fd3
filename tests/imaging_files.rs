// SPDX-License-Identifier: GPL-3.0-or-later
//! Files written anew and images added, removed and described in place, judged by wimlib-imagex and
//! 7-Zip.

mod wim_support;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use transom::base::{ErrorClass, FileTime, Result};
use transom::io::{Cancel, NoProgress, Pool};
use transom::wim::{
    Boot, CommitFile, CommitOptions, ImageIdentity, ImageText, Integrity, NewFile, NewFileReport, Storage,
    Transaction, Wim, rebuild, rebuild_through, split,
};
use wim_support::edits::copy;
use wim_support::faulty::Faulty;
use wim_support::{assert_listed_alike, assert_same_listing, corpus, index, our_listing, peer, wimlib};

const TIME: FileTime = FileTime(133_500_000_000_000_000);

const STORAGES: [(&str, Storage); 4] = [
    ("none.wim", Storage::NONE),
    ("fast.wim", Storage::FAST),
    ("max.wim", Storage::MAXIMUM),
    ("recovery.esd", Storage::RECOVERY),
];

const SOURCES: [&str; 8] = [
    "nt/nt-none.wim",
    "nt/nt-xpress.wim",
    "nt/nt-xpress4k.wim",
    "nt/nt-lzx-integrity.wim",
    "nt/nt-lzms-nonsolid.wim",
    "nt/nt-lzms-solid.esd",
    "managedwimlib/MultiImage.wim",
    "managedwimlib/BootLZX.wim",
];

fn with_options<T>(threads: usize, work: impl FnOnce(&CommitOptions<'_>) -> T) -> T {
    let pool = Pool::new(threads).unwrap();
    let cancel = Cancel::default();
    work(&CommitOptions { pool: &pool, progress: &NoProgress, cancel: &cancel })
}

fn commit(transaction: Transaction) -> Result<()> {
    with_options(2, |options| transaction.commit(options).map(|_| ()))
}

/// Exports every image of a file.
fn export(source: &Path, target: &Path, storage: Storage, threads: usize) -> Result<NewFileReport> {
    let wim = Wim::open_set(source)?;
    let mut file = NewFile::new(target, storage, Integrity::Table, TIME);
    for number in 1..=wim.image_count() {
        file.image(&wim, index(number), ImageText::default());
        if number == wim.boot_index() {
            file.boot_from_last();
        }
    }
    with_options(threads, |options| file.write(options))
}

#[track_caller]
fn assert_sound(path: &Path) {
    let report = with_options(2, |options| {
        Wim::open(path).unwrap().verify(options.pool, options.progress, options.cancel).unwrap()
    });
    assert_eq!(report.findings, [], "{}", path.display());
    assert_eq!(report.warnings, [""; 0], "{}", path.display());
    wimlib(&["verify", path.to_str().unwrap()]);
    if let Some(output) = peer("7z", &["t", path.to_str().unwrap()]) {
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("Everything is Ok"), "{}: {said}", path.display());
    }
}

/// Every image of both files has the same tree, data and NT attributes.
#[track_caller]
fn assert_same_images(left: &Path, right: &Path) {
    let (left, right) = (Wim::open(left).unwrap(), Wim::open(right).unwrap());
    assert_eq!(left.image_count(), right.image_count());
    for number in 1..=left.image_count() {
        let ours = our_listing(&left.image(index(number)).unwrap());
        let theirs = our_listing(&right.image(index(number)).unwrap());
        assert_same_listing(&ours, &theirs, &right.path().display().to_string());
    }
    assert_eq!(left.images(), right.images());
}

fn boot_index(path: &Path) -> u32 {
    Wim::open(path).unwrap().boot_index()
}

fn sources() -> Vec<PathBuf> {
    corpus("wim").map(|root| SOURCES.map(|file| root.join(file)).to_vec()).unwrap_or_default()
}

fn identity(path: &Path, number: u32) -> ImageIdentity {
    (index(number), Wim::open(path).unwrap().metadata_hash(index(number)).unwrap())
}

fn names(path: &Path) -> Vec<Option<String>> {
    Wim::open(path).unwrap().images().iter().map(|image| image.name.clone()).collect()
}

#[test]
fn every_kind_is_exported_to_every_kind_and_is_the_same_for_any_number_of_threads() {
    let directory = tempfile::tempdir().unwrap();
    for source in sources() {
        for (name, storage) in STORAGES {
            let target = directory.path().join(name);
            export(&source, &target, storage, 2).unwrap();
            assert_sound(&target);
            assert_same_images(&source, &target);
            assert_listed_alike(&target);
            assert_eq!(boot_index(&target), boot_index(&source));
            assert_eq!(Storage::of(&Wim::open(&target).unwrap()), storage, "{}", source.display());
            let again = directory.path().join(format!("again-{name}"));
            export(&source, &again, storage, 1).unwrap();
            assert!(
                std::fs::read(&target).unwrap() == std::fs::read(&again).unwrap(),
                "{}",
                source.display()
            );
        }
    }
}

#[test]
fn what_is_encoded_alike_is_copied() {
    let directory = tempfile::tempdir().unwrap();
    for source in sources() {
        let storage = Storage::of(&Wim::open(&source).unwrap());
        let report = export(&source, &directory.path().join("copy"), storage, 2).unwrap();
        assert_eq!(report.copied_blobs, report.blobs, "{}", source.display());
        assert_sound(&directory.path().join("copy"));
        assert_same_images(&source, &directory.path().join("copy"));
    }
}

#[test]
fn images_are_added_deleted_and_described_in_place() {
    let directory = tempfile::tempdir().unwrap();
    let Some(root) = corpus("wim") else { return };
    let multi = root.join("managedwimlib/MultiImage.wim");
    for source in sources() {
        let path = copy(&source, directory.path());
        let own = Wim::open(&path).unwrap();
        let guest = Wim::open(&multi).unwrap();
        let guest_listing = our_listing(&guest.image(index(2)).unwrap());
        let mut transaction = Transaction::new(&path);
        let text = ImageText { name: Some("Guest & co".into()), ..ImageText::default() };
        transaction.add_image(&guest, index(2), text);
        transaction.set_boot(Boot::LastAdded);
        commit(transaction).unwrap();
        let count = own.image_count() + 1;
        assert_sound(&path);
        assert_listed_alike(&path);
        assert_eq!(names(&path).last().unwrap().as_deref(), Some("Guest & co"));
        assert_eq!(Wim::open(&path).unwrap().boot_index(), count);

        let mut transaction = Transaction::new(&path);
        let description = Some("described".to_owned());
        transaction.describe_image(identity(&path, count), ImageText { description, ..ImageText::default() });
        commit(transaction).unwrap();
        assert_sound(&path);

        // All the old ones go; the number that is booted from falls with the guest's.
        let mut transaction = Transaction::new(&path);
        for number in 1..count {
            transaction.remove_image(identity(&path, number));
        }
        commit(transaction).unwrap();
        assert_sound(&path);
        assert_listed_alike(&path);
        let wim = Wim::open(&path).unwrap();
        assert_eq!((wim.image_count(), wim.boot_index()), (1, 1), "{}", source.display());
        assert_eq!(wim.images()[0].description.as_deref(), Some("described"));
        let listing = our_listing(&wim.image(index(1)).unwrap());
        assert_same_listing(&listing, &guest_listing, &source.display().to_string());
        let mut last = Transaction::new(&path);
        last.remove_image(identity(&path, 1));
        assert_eq!(commit(last).unwrap_err().class(), ErrorClass::Usage);

        let (guid, long) = (wim.guid(), std::fs::metadata(&path).unwrap().len());
        let report = with_options(2, |options| rebuild(&path, options)).unwrap();
        assert_eq!(report.file_size_before, long);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), report.file.file_size);
        // A solid file of one small image may grow by a table, all others shrink.
        assert!(report.file.file_size < long + 64, "{}", source.display());
        assert_sound(&path);
        assert_same_listing(
            &our_listing(&Wim::open(&path).unwrap().image(index(1)).unwrap()),
            &guest_listing,
            "rebuilt",
        );
        assert_eq!(Wim::open(&path).unwrap().guid(), guid);
    }
}

#[test]
fn a_description_changes_nothing_but_the_xml() {
    let directory = tempfile::tempdir().unwrap();
    for source in sources() {
        let path = copy(&source, directory.path());
        let before = std::fs::read(&path).unwrap();
        let mut transaction = Transaction::new(&path);
        transaction.describe_image(
            identity(&path, 1),
            ImageText { name: Some("New <name>".into()), flags: Some("Core".into()), ..ImageText::default() },
        );
        commit(transaction).unwrap();
        let after = std::fs::read(&path).unwrap();
        assert!(after[208..].starts_with(&before[208..]), "{}", source.display());
        // The blob table is where it was.
        assert_eq!(after[0x30..0x48], before[0x30..0x48]);
        assert_sound(&path);
        let info = wimlib(&["info", path.to_str().unwrap(), "1"]);
        assert!(info.is_none_or(|info| info.contains("New <name>") && info.contains("Core")));

        // The image that is booted from is in the header only.
        let described = std::fs::read(&path).unwrap();
        let mut transaction = Transaction::new(&path);
        transaction.set_boot(Boot::Image(identity(&path, 1)));
        commit(transaction).unwrap();
        assert!(std::fs::read(&path).unwrap()[208..] == described[208..]);
        assert_eq!(Wim::open(&path).unwrap().boot_index(), 1);
        assert_sound(&path);
    }
}

#[test]
fn a_set_of_parts_is_read_by_us_and_by_wimlib() {
    let directory = tempfile::tempdir().unwrap();
    for source in sources() {
        let wim = Wim::open(&source).unwrap();
        let first = directory.path().join("x.swm");
        let divide =
            || with_options(2, |options| split(&wim, &first, 60_000, Integrity::Table, TIME, options));
        if wim.is_solid() {
            assert_eq!(divide().unwrap_err().class(), ErrorClass::Unsupported);
            continue;
        }
        let report = divide().unwrap();
        let taken = divide().unwrap_err();
        assert_eq!(taken.code().to_string(), "80", "{taken}");
        let pattern = directory.path().join("x*.swm");
        wimlib(&["verify", first.to_str().unwrap(), &format!("--ref={}", pattern.display())]);
        let joined = directory.path().join("joined.wim");
        export(&first, &joined, Storage::of(&wim), 2).unwrap();
        assert_sound(&joined);
        assert_same_images(&source, &joined);
        // A set boots from nothing, as wimlib writes it.
        assert_eq!(boot_index(&joined), 0);
        let theirs = directory.path().join("theirs.wim");
        let parts: Vec<String> = report.parts.iter().map(|part| part.file.clone()).collect();
        let mut arguments = vec!["join", theirs.to_str().unwrap()];
        arguments.extend(parts.iter().map(String::as_str));
        if wimlib(&arguments).is_some() {
            assert_same_images(&source, &theirs);
        }
        if report.parts.len() > 1 {
            std::fs::remove_file(&parts[1]).unwrap();
            let error = Wim::open_set(&first).err().unwrap();
            assert!(error.to_string().contains(&parts[1]), "{error}");
        }
        for entry in std::fs::read_dir(directory.path()).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
    }
}

#[test]
fn damaged_data_is_not_passed_on_when_it_is_read() {
    let Some(root) = corpus("wim") else { return };
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("new.wim");
    let error = export(&root.join("wimlib-tests/corrupted_file_1.wim"), &target, Storage::MAXIMUM, 2);
    assert_eq!(error.unwrap_err().class(), ErrorClass::Corrupt);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

type Verb = fn(&Path, &Path, &mut dyn FnMut(File) -> Box<dyn CommitFile>) -> Result<()>;

fn faulty_rebuild(path: &Path, _: &Path, wrap: &mut dyn FnMut(File) -> Box<dyn CommitFile>) -> Result<()> {
    with_options(2, |options| rebuild_through(path, options, wrap).map(|_| ()))
}

fn faulty_change(path: &Path, guest: &Path, wrap: &mut dyn FnMut(File) -> Box<dyn CommitFile>) -> Result<()> {
    let mut transaction = Transaction::new(path);
    transaction.remove_image(identity(path, 1));
    let text = ImageText { name: Some("Guest".into()), ..ImageText::default() };
    transaction.add_image(&Wim::open(guest).unwrap(), index(2), text);
    with_options(2, |options| transaction.commit_through(options, wrap).map(|_| ()))
}

fn faulty_description(
    path: &Path,
    _: &Path,
    wrap: &mut dyn FnMut(File) -> Box<dyn CommitFile>,
) -> Result<()> {
    let mut transaction = Transaction::new(path);
    let text = ImageText { name: Some("Other".into()), ..ImageText::default() };
    transaction.describe_image(identity(path, 1), text);
    transaction.set_boot(Boot::Image(identity(path, 1)));
    with_options(2, |options| transaction.commit_through(options, wrap).map(|_| ()))
}

/// An error leaves the file byte for byte, a crash leaves it old or new.
#[test]
fn a_fault_at_any_write_leaves_the_old_or_the_new_file() {
    let Some(root) = corpus("wim") else { return };
    let guest = root.join("managedwimlib/MultiImage.wim");
    let verbs: [(&str, Verb); 3] =
        [("rebuild", faulty_rebuild), ("change", faulty_change), ("describe", faulty_description)];
    for source in [root.join("nt/nt-lzx-integrity.wim"), root.join("nt/nt-lzms-solid.esd")] {
        for (name, verb) in verbs {
            for crash in [false, true] {
                let directory = tempfile::tempdir().unwrap();
                let path = copy(&source, directory.path());
                let before = std::fs::read(&path).unwrap();
                let mut at = 0;
                loop {
                    std::fs::write(&path, &before).unwrap();
                    let count = Arc::new(AtomicUsize::new(0));
                    let outcome = verb(&path, &guest, &mut |file| {
                        Box::new(Faulty { file, at, crash, count: count.clone() })
                    });
                    let what = format!("{name} of {} crash {crash} at {at}", source.display());
                    if count.load(Ordering::Relaxed) <= at {
                        outcome.unwrap();
                        assert!(at >= 4, "{what}: too few operations");
                        assert_sound(&path);
                        break;
                    }
                    assert_eq!(outcome.unwrap_err().class(), ErrorClass::Space, "{what}");
                    let after = std::fs::read(&path).unwrap();
                    if !crash || name == "rebuild" {
                        assert!(after == before, "{what}");
                    } else if after[..208] == before[..208] {
                        assert!(after.starts_with(&before), "{what}");
                        wimlib(&["verify", path.to_str().unwrap()]);
                    } else if after[104..208] != before[104..208] {
                        // Half a header is one sector half written, which disks do not do.
                        wimlib(&["verify", path.to_str().unwrap()]);
                    }
                    // No temporary file stays behind.
                    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "{what}");
                    at += 1;
                }
            }
        }
    }
}

/// A file that cannot be completed does not appear.
#[test]
fn a_new_file_appears_whole_or_not_at_all() {
    let Some(source) = sources().into_iter().next() else { return };
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("new.esd");
    for (_, storage) in STORAGES {
        let mut at = 0;
        loop {
            let mut file = NewFile::new(&target, storage, Integrity::Table, TIME);
            file.image(&Wim::open(&source).unwrap(), index(1), ImageText::default());
            let count = Arc::new(AtomicUsize::new(0));
            let outcome = with_options(2, |options| {
                file.write_through(options, &mut |file| {
                    Box::new(Faulty { file, at, crash: true, count: count.clone() })
                })
            });
            if count.load(Ordering::Relaxed) <= at {
                outcome.unwrap();
                assert_sound(&target);
                std::fs::remove_file(&target).unwrap();
                break;
            }
            assert_eq!(outcome.unwrap_err().class(), ErrorClass::Space);
            assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
            at += 1;
        }
    }
}
