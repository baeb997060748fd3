// SPDX-License-Identifier: GPL-3.0-or-later
//! Every way to store data with every verb that writes files: what we write is read by
//! wimlib-imagex and 7-Zip, what wimlib-imagex writes is read by us, and trees stay the same in
//! data and every NT attribute.

mod wim_support;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use transom::base::{ErrorClass, FileTime, Result};
use transom::imaging::{
    self, CaptureList, CaptureReport, CaptureRequest, CaptureTarget, Compress, ExportRequest, Selection, Work,
};
use transom::io::{Cancel, FixedClock, NoProgress, Pool};
use transom::volume::{Volume, WimVolume};
use transom::wim::{ImageInfo, ImageText, LinkTargets, Wim};
use wim_support::{
    Listing, assert_listed_alike, assert_same_listing, corpus, index, our_listing, peer, wimlib,
};

const TIME: FileTime = FileTime(133_500_000_000_000_000);

/// The ways, with wimlib's options for the same.
const WAYS: [(&str, Compress, &[&str]); 5] = [
    ("none.wim", Compress::None, &["--compress=none"]),
    ("xpress.wim", Compress::Fast, &["--compress=XPRESS"]),
    ("lzx.wim", Compress::Max, &["--compress=LZX"]),
    ("lzms.wim", Compress::Lzms, &["--compress=LZMS"]),
    ("solid.esd", Compress::Recovery, &["--compress=LZMS", "--solid"]),
];

fn with_work<T>(threads: usize, work: impl FnOnce(&Work<'_>) -> T) -> T {
    let pool = Pool::new(threads).unwrap();
    let (cancel, clock) = (Cancel::default(), FixedClock(TIME));
    work(&Work { pool: &pool, progress: &NoProgress, cancel: &cancel, clock: &clock })
}

fn request(destination: &Path, target: CaptureTarget, name: &str) -> CaptureRequest {
    CaptureRequest {
        source: "the source".into(),
        destination: destination.to_owned(),
        target,
        text: ImageText { name: Some(name.to_owned()), ..ImageText::default() },
        list: CaptureList::default(),
        bootable: false,
        check_integrity: true,
        verify: true,
        links: LinkTargets::RelativeToRoot,
    }
}

fn capture(volume: &Arc<dyn Volume>, request: &CaptureRequest, threads: usize) -> Result<CaptureReport> {
    with_work(threads, |work| imaging::capture(volume, ImageInfo::default(), request, work))
}

/// The volume and the listing of an image.
fn image(path: &Path, number: u32) -> (Arc<dyn Volume>, Listing) {
    let image = Wim::open(path).unwrap().image(index(number)).unwrap();
    let listing = our_listing(&image);
    (Arc::new(WimVolume(image)), listing)
}

/// That we, wimlib-imagex and 7-Zip find a file sound, and its images to be these.
#[track_caller]
fn assert_holds(path: &Path, expected: &[(&str, &Listing)]) {
    let shown = path.to_str().unwrap();
    let wim = Wim::open(path).unwrap();
    let report = with_work(2, |work| wim.verify(work.pool, work.progress, work.cancel).unwrap());
    assert_eq!((report.findings.len(), report.warnings.len()), (0, 0), "{shown}: {report:?}");
    wimlib(&["verify", shown]);
    if let Some(output) = peer("7z", &["t", shown]) {
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("Everything is Ok"), "{shown}: {said}");
    }
    assert_listed_alike(path);
    let names: Vec<&str> = wim.images().iter().map(|image| image.name.as_deref().unwrap()).collect();
    assert_eq!(names, expected.iter().map(|(name, _)| *name).collect::<Vec<_>>(), "{shown}");
    for (number, (_, listing)) in (1..).zip(expected) {
        assert_same_listing(&our_listing(&wim.image(index(number)).unwrap()), listing, shown);
    }
}

/// That wimlib-imagex applies an image, and every file then has the data that the listing says.
#[track_caller]
fn assert_applies(path: &Path, number: u32, listing: &Listing) {
    let target = tempfile::tempdir().unwrap();
    let arguments = ["apply", path.to_str().unwrap(), &number.to_string(), target.path().to_str().unwrap()]
        .map(str::to_owned);
    if wimlib(&arguments.each_ref().map(String::as_str)).is_none() {
        return;
    }
    let mut compared = 0;
    for (path, entry) in listing {
        let Some(hash) = entry.streams.get(&("data".to_owned(), String::new())) else { continue };
        let found = target.path().join(path.trim_start_matches('/'));
        if entry.reparse_tag != 0 || !found.symlink_metadata().is_ok_and(|found| found.is_file()) {
            continue;
        }
        let bytes = std::fs::read(&found).unwrap();
        assert_eq!(transom::digest::blob_hash(&bytes).to_string(), *hash, "{path}");
        compared += 1;
    }
    assert!(compared > 1, "{}: {compared} files compared", path.display());
}

#[test]
fn written_by_us_read_by_all() {
    let Some(root) = corpus("wim") else { return };
    let (first, first_listing) = image(&root.join("nt/nt-lzx-integrity.wim"), 1);
    let (second, second_listing) = image(&root.join("managedwimlib/MultiImage.wim"), 2);
    for (name, compress, _) in WAYS {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        let report = capture(&first, &request(&path, CaptureTarget::New(compress), "one"), 2).unwrap();
        assert_eq!((report.created, report.index, report.verified), (true, 1, true), "{name}");
        assert_holds(&path, &[("one", &first_listing)]);
        assert_applies(&path, 1, &first_listing);
        // Once more with another number of threads.
        let again = directory.path().join(format!("again-{name}"));
        capture(&first, &request(&again, CaptureTarget::New(compress), "one"), 1).unwrap();
        assert!(std::fs::read(&path).unwrap() == std::fs::read(&again).unwrap(), "{name}");

        let report = capture(&second, &request(&path, CaptureTarget::Append, "two"), 2).unwrap();
        assert_eq!((report.created, report.index), (false, 2), "{name}");
        assert_holds(&path, &[("one", &first_listing), ("two", &second_listing)]);
        assert_applies(&path, 2, &second_listing);
        capture(&second, &request(&again, CaptureTarget::Append, "two"), 1).unwrap();
        assert!(std::fs::read(&path).unwrap() == std::fs::read(&again).unwrap(), "{name}");
        // All of it is there already.
        let report = capture(&first, &request(&again, CaptureTarget::Append, "three"), 2).unwrap();
        assert_eq!((report.new_blobs, report.new_bytes), (0, 0), "{name}");
        assert_holds(&again, &[("one", &first_listing), ("two", &second_listing), ("three", &first_listing)]);

        let exported = directory.path().join(format!("exported-{name}"));
        let export = ExportRequest {
            source: path.clone(),
            images: Selection::All,
            destination: exported.clone(),
            name: None,
            compress: Some(compress),
            bootable: false,
            check_integrity: true,
        };
        with_work(2, |work| imaging::export(&export, work)).unwrap();
        assert_holds(&exported, &[("one", &first_listing), ("two", &second_listing)]);

        let swm = directory.path().join("part.swm");
        let divided = with_work(2, |work| imaging::split(&path, &swm, 1, true, work));
        if compress == Compress::Recovery {
            let error = divided.unwrap_err();
            assert_eq!((error.class(), error.code().to_string()), (ErrorClass::Unsupported, "50".into()));
            assert!(error.message().contains("is solid"), "{error}");
            assert!(error.hint().is_some_and(|hint| hint.contains("--compress max")), "{error:?}");
        } else {
            let parts = divided.unwrap().report.parts;
            let mut verify = vec!["verify".to_owned(), swm.display().to_string()];
            if parts.len() > 1 {
                verify.push(format!("--ref={}", directory.path().join("part*.swm").display()));
            }
            wimlib(&verify.iter().map(String::as_str).collect::<Vec<_>>());
            let joined = directory.path().join("joined.wim");
            let mut arguments = vec!["join".to_owned(), joined.display().to_string()];
            arguments.extend(parts.iter().map(|part| part.file.clone()));
            if wimlib(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).is_some() {
                assert_holds(&joined, &[("one", &first_listing), ("two", &second_listing)]);
            }
            let set = Wim::open_set(&swm).unwrap();
            let listing = our_listing(&set.image(index(2)).unwrap());
            assert_same_listing(&listing, &second_listing, "the set");
        }

        with_work(2, |work| imaging::delete(&path, &Selection::Name("ONE".into()), true, work)).unwrap();
        assert_holds(&path, &[("two", &second_listing)]);
        let report = with_work(2, |work| imaging::optimize(&path, work)).unwrap();
        assert!(report.reclaimed > 0, "{name}: {report:?}");
        assert_holds(&path, &[("two", &second_listing)]);
        assert_applies(&path, 1, &second_listing);
    }
}

#[test]
fn written_by_wimlib_read_by_us() {
    let Some(root) = corpus("wim") else { return };
    let source = root.join("nt/nt-lzx-integrity.wim");
    let (_, listing) = image(&source, 1);
    let tree = tempfile::tempdir().unwrap();
    std::fs::create_dir(tree.path().join("folder")).unwrap();
    std::fs::write(tree.path().join("folder/text.txt"), "text ".repeat(9000)).unwrap();
    std::fs::write(tree.path().join("empty"), "").unwrap();
    std::fs::hard_link(tree.path().join("folder/text.txt"), tree.path().join("link.txt")).unwrap();
    let tree = tree.path().to_str().unwrap();
    for (name, _, options) in WAYS {
        let directory = tempfile::tempdir().unwrap();
        let in_place = |name: &str| directory.path().join(name).display().to_string();
        let (path, captured) = (in_place(name), in_place("captured.wim"));
        let run = |arguments: &[&str]| wimlib(arguments).is_some();
        let sound = |path: &str, images: u32| {
            let wim = Wim::open(Path::new(path)).unwrap();
            let report = with_work(2, |work| wim.verify(work.pool, work.progress, work.cancel).unwrap());
            assert_eq!((report.findings.len(), wim.image_count()), (0, images), "{path}: {report:?}");
            assert_listed_alike(Path::new(path));
            let found = our_listing(&wim.image(index(1)).unwrap());
            if images > 0 && found.len() == listing.len() {
                assert_same_listing(&found, &listing, path);
            }
        };
        let mut arguments = vec!["capture", tree, &captured, "captured"];
        arguments.extend(options);
        if !run(&arguments) {
            return;
        }
        sound(&captured, 1);
        let mut arguments = vec!["export", source.to_str().unwrap(), "1", &path, "exported"];
        arguments.extend(options);
        run(&arguments);
        sound(&path, 1);
        run(&["append", tree, &path, "appended"]);
        sound(&path, 2);
        if name != "solid.esd" {
            run(&["split", &path, &in_place("x.swm"), "1"]);
            let set = Wim::open_set(Path::new(&in_place("x.swm"))).unwrap();
            assert_same_listing(&our_listing(&set.image(index(1)).unwrap()), &listing, "the set");
        }
        run(&["delete", &path, "2", "--soft"]);
        sound(&path, 1);
        run(&["optimize", &path]);
        sound(&path, 1);
        assert_same_listing(&image(Path::new(&path), 1).1, &listing, &path);
    }
    // The peer must be there for any of this; say so once if it is not.
    assert!(Command::new("wimlib-imagex").arg("--version").output().is_ok());
}
