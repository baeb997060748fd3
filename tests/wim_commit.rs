// SPDX-License-Identifier: GPL-3.0-or-later
//! Committing to WIM files in place, judged by wimlib and 7-Zip.

// A patch with one changed range is a list of one range.
#![allow(clippy::single_range_in_vec_init)]

mod wim_support;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use transom::base::{BlobHash, ErrorClass, FileAttributes};
use transom::digest;
use transom::io::{Cancel, NoProgress, Pool};
use transom::wim::{CommitFile, CommitOptions, Image, StreamSource, Transaction, Wim};
use wim_support::edits::{Edits, NOW, commit, copy, noise, read_file, text};
use wim_support::{Listing, assert_same_listing, corpus, index, our_listing, peer, peer_listing, wimlib};

fn open(path: &Path, number: u32) -> Image {
    Wim::open(path).unwrap().image(index(number)).unwrap()
}

/// Our verify and wimlib's find nothing.
fn assert_sound(path: &Path) {
    let report =
        Wim::open(path).unwrap().verify(&Pool::new(2).unwrap(), &NoProgress, &Cancel::default()).unwrap();
    assert_eq!(report.findings, [], "{}", path.display());
    wimlib(&["verify", path.to_str().unwrap()]);
    if let Some(output) = peer("7z", &["t", path.to_str().unwrap()]) {
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("Everything is Ok"), "{}: {said}", path.display());
    }
}

/// Every kind of file that can be changed, with NT metadata in it.
fn kinds() -> Vec<PathBuf> {
    let Some(root) = corpus("wim") else { return Vec::new() };
    [
        "nt/nt-none.wim",
        "nt/nt-xpress.wim",
        "nt/nt-xpress4k.wim",
        "nt/nt-lzx-integrity.wim",
        "nt/nt-lzms-nonsolid.wim",
        "nt/nt-lzms-solid.esd",
    ]
    .map(|file| root.join(file))
    .to_vec()
}

/// The listing with which an entry made here begins.
fn plain_entry(attributes: FileAttributes, data: &[u8], links: usize) -> wim_support::Entry {
    let mut entry = wim_support::Entry {
        attributes: attributes.bits(),
        times: [NOW; 3].map(wim_support::time),
        link_count: links,
        ..wim_support::Entry::default()
    };
    if !data.is_empty() {
        entry.streams.insert(("data".to_owned(), String::new()), digest::blob_hash(data).to_string());
    }
    entry
}

/// Reference counts: what wimlib reads from the table against a count over the trees.
fn assert_reference_counts(path: &Path) {
    let wim = Wim::open(path).unwrap();
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    for number in 1..=wim.image_count() {
        *expected.entry(wim.metadata_hash(index(number)).unwrap().to_string()).or_default() += 1;
        for entry in our_listing(&wim.image(index(number)).unwrap()).into_values() {
            for hash in entry.streams.into_values().filter(|hash| hash.bytes().any(|byte| byte != b'0')) {
                *expected.entry(hash).or_default() += 1;
            }
        }
    }
    let Some(text) = wimlib(&["info", "--blobs", path.to_str().unwrap()]) else { return };
    let mut found = BTreeMap::new();
    let mut hash = String::new();
    for (label, value) in text.lines().filter_map(|line| line.split_once('=')) {
        match label.trim() {
            "Hash" => value.trim().trim_start_matches("0x").clone_into(&mut hash),
            "Reference Count" => {
                found.insert(hash.clone(), value.trim().parse::<u64>().unwrap());
            }
            _ => {}
        }
    }
    assert_eq!(found, expected, "{}", path.display());
}

/// The XML's figures against a count over the tree, by wimlib's rule.
fn assert_statistics(path: &Path, number: u32) {
    let wim = Wim::open(path).unwrap();
    let image = wim.image(index(number)).unwrap();
    let (mut directories, mut files, mut bytes, mut again) = (0, 0, 0, 0);
    let mut seen = std::collections::HashSet::new();
    let mut todo = vec![image.root()];
    while let Some(id) = todo.pop() {
        let node = image.node(id).unwrap();
        let reparse = node.attributes.contains(FileAttributes::REPARSE_POINT);
        if node.attributes.contains(FileAttributes::DIRECTORY) && !reparse {
            directories += 1;
        } else {
            files += 1;
        }
        let length: u64 = node.streams.iter().map(|stream| stream.length).sum();
        bytes += length;
        if !seen.insert(id) {
            again += length;
        }
        todo.extend(image.entries(id).unwrap().into_iter().map(|entry| entry.node));
    }
    let info = &wim.images()[number as usize - 1];
    assert_eq!(
        (info.directories, info.files, info.size, info.hard_link_bytes),
        (Some(directories), Some(files), Some(bytes), Some(again)),
        "{}",
        path.display()
    );
    assert_eq!(info.modified, Some(NOW));
}

/// Adds, replaces, removes, renames and links in every kind of file, twice over.
#[test]
fn edits_in_every_kind_of_file() {
    for source in kinds() {
        let directory = tempfile::tempdir().unwrap();
        let path = copy(&source, directory.path());
        let mut expected = our_listing(&open(&path, 1));
        let (big, unpacked, small) = (text(1, 300_000), noise(2, 100_000), text(3, 700));
        let mut edits = Edits::new(open(&path, 1));
        edits.add_directory("/", "Added");
        edits.add_file("/Added", "big.txt", &big);
        edits.add_file("/Added", "noise.bin", &unpacked);
        edits.add_file("/Added", "empty", b"");
        edits.add_file("/Added", "twin.txt", &big);
        edits.add_file_with_stream("/Added", "two.txt", &small, ("side", b"beside"));
        edits.add_directory("/Added", "nothing");
        edits.link("/Added/noise.bin", "/", "linked");
        edits.replace("/empty.txt", &small);
        edits.rename("/rel_link", "/Added", "moved_link");
        edits.remove("/abs_link");
        let report = edits.commit().unwrap();
        let new = [&big[..], &unpacked, &small, b"beside"];
        assert_eq!(report.images, [1]);
        assert_eq!(report.new_blobs, new.len() as u64, "{}", path.display());
        assert_eq!(report.new_bytes, new.iter().map(|bytes| bytes.len() as u64).sum::<u64>());
        assert_eq!(report.file_size_after, std::fs::metadata(&path).unwrap().len());

        let file = FileAttributes::ARCHIVE;
        let folder = FileAttributes::DIRECTORY;
        expected.insert("/Added".to_owned(), plain_entry(folder, b"", 1));
        expected.insert("/Added/nothing".to_owned(), plain_entry(folder, b"", 1));
        expected.insert("/Added/big.txt".to_owned(), plain_entry(file, &big, 1));
        expected.insert("/Added/twin.txt".to_owned(), plain_entry(file, &big, 1));
        expected.insert("/Added/noise.bin".to_owned(), plain_entry(file, &unpacked, 2));
        expected.insert("/linked".to_owned(), plain_entry(file, &unpacked, 2));
        expected.insert("/Added/empty".to_owned(), plain_entry(file, b"", 1));
        let mut two = plain_entry(file, &small, 1);
        two.streams.insert(("data".to_owned(), "side".to_owned()), digest::blob_hash(b"beside").to_string());
        expected.insert("/Added/two.txt".to_owned(), two);
        let moved = expected.remove("/rel_link").unwrap();
        expected.insert("/Added/moved_link".to_owned(), moved);
        expected.remove("/abs_link").unwrap();
        let replaced = expected.get_mut("/empty.txt").unwrap();
        replaced.times[1] = wim_support::time(NOW);
        replaced.streams.insert(("data".to_owned(), String::new()), digest::blob_hash(&small).to_string());
        assert_committed(&path, &expected);

        // A second commit on top of the first.
        let mut edits = Edits::new(open(&path, 1));
        edits.remove("/linked");
        edits.replace("/Added/big.txt", &text(9, 40_000));
        edits.rename("/Added/nothing", "/", "everything");
        edits.touch("/Added", |node| node.attributes |= FileAttributes::HIDDEN);
        edits.commit().unwrap();
        expected.remove("/linked").unwrap();
        expected.get_mut("/Added/noise.bin").unwrap().link_count = 1;
        expected.get_mut("/Added").unwrap().attributes |= FileAttributes::HIDDEN.bits();
        let nothing = expected.remove("/Added/nothing").unwrap();
        expected.insert("/everything".to_owned(), nothing);
        expected.insert("/Added/big.txt".to_owned(), plain_entry(file, &text(9, 40_000), 1));
        assert_committed(&path, &expected);

        // wimlib finds the bytes.
        let target = directory.path().join("applied");
        if wimlib(&["apply", path.to_str().unwrap(), "1", target.to_str().unwrap()]).is_some() {
            assert_eq!(std::fs::read(target.join("Added/big.txt")).unwrap(), text(9, 40_000));
            assert_eq!(std::fs::read(target.join("Added/noise.bin")).unwrap(), unpacked);
            assert_eq!(std::fs::read(target.join("Added/twin.txt")).unwrap(), big);
            assert_eq!(std::fs::read(target.join("empty.txt")).unwrap(), small);
        }
        // And goes on from there.
        let extra = directory.path().join("extra");
        std::fs::write(&extra, b"by wimlib").unwrap();
        let command = format!("add {} /by_wimlib", extra.display());
        if wimlib(&["update", path.to_str().unwrap(), "1", &format!("--command={command}")]).is_some() {
            assert_sound(&path);
            assert_eq!(read_file(&open(&path, 1), "/by_wimlib"), b"by wimlib");
        }
    }
}

fn assert_committed(path: &Path, expected: &Listing) {
    let what = path.display().to_string();
    assert_sound(path);
    assert_same_listing(&our_listing(&open(path, 1)), expected, &what);
    if let Some(theirs) = peer_listing(path, 1) {
        assert_same_listing(&theirs, expected, &what);
    }
    assert_reference_counts(path);
    assert_statistics(path, 1);
}

/// The file keeps its codec, chunk size, GUID, boot index and integrity table.
#[test]
fn what_kind_of_file_it_is_stays() {
    let Some(root) = corpus("wim") else { return };
    for file in [
        "managedwimlib/BootLZX.wim",
        "managedwimlib/MultiImage.wim",
        "nt/nt-xpress4k.wim",
        "nt/nt-lzms-solid.esd",
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = copy(&root.join(file), directory.path());
        let before = Wim::open(&path).unwrap();
        let fixed = |path: &Path| {
            let bytes = std::fs::read(path).unwrap();
            // Magic to image count: codec flags, chunk size, GUID, parts.
            let mut header = bytes[..0x30].to_vec();
            header.extend(&bytes[0x78..0x7C]);
            header
        };
        let old = fixed(&path);
        let last = before.image_count();
        for number in 1..=last {
            let mut edits = Edits::new(open(&path, number));
            edits.add_file("/", "new file", &text(number, 100_000));
            edits.commit().unwrap();
        }
        assert_eq!(fixed(&path), old, "{file}");
        let after = Wim::open(&path).unwrap();
        assert_eq!(after.has_integrity_table(), before.has_integrity_table());
        assert_eq!(after.compression(), before.compression());
        assert_sound(&path);
        assert_reference_counts(&path);
        for number in [1, last] {
            assert_eq!(read_file(&open(&path, number), "/new file"), text(number, 100_000));
        }
        // The boot metadata in the header is the image's own.
        let bytes = std::fs::read(&path).unwrap();
        if after.boot_index() != 0 {
            let text = wimlib(&["info", "--header", path.to_str().unwrap()]);
            assert!(text.is_none_or(|text| text.contains("Boot Index                  = 1")));
            assert!(bytes[0x60..0x78].iter().any(|&byte| byte != 0));
            // wimlib checks it against the table when it takes the file over.
            wimlib(&["info", path.to_str().unwrap(), "1", "--boot"]);
            assert_eq!(std::fs::read(&path).unwrap()[0x60..0x78], bytes[0x60..0x78], "{file}");
        }
    }
}

/// Nothing that was not edited is another byte in the metadata.
#[test]
fn untouched_entries_keep_every_byte() {
    for source in kinds() {
        let directory = tempfile::tempdir().unwrap();
        let path = copy(&source, directory.path());
        let before = open(&path, 1);
        let mut edits = Edits::new(before.clone());
        edits.add_file("/", "zzz", b"last in order");
        edits.commit().unwrap();
        let after = open(&path, 1);
        let mut todo = vec![(before.root(), after.root())];
        while let Some((old, new)) = todo.pop() {
            assert_eq!(before.node(old).unwrap(), after.node(new).unwrap());
            let name = |entry: &transom::base::DirEntry| entry.name.clone();
            let olds = before.entries(old).unwrap();
            let news: Vec<_> = after
                .entries(new)
                .unwrap()
                .into_iter()
                .filter(|entry| entry.name.to_string() != "zzz")
                .collect();
            assert_eq!(olds.iter().map(name).collect::<Vec<_>>(), news.iter().map(name).collect::<Vec<_>>());
            for (old, new) in olds.into_iter().zip(news) {
                assert_eq!(old.short_name, new.short_name);
                todo.push((old.node, new.node));
            }
        }
    }
}

#[test]
fn no_edit_changes_no_byte() {
    for source in kinds() {
        let directory = tempfile::tempdir().unwrap();
        let path = copy(&source, directory.path());
        let before = std::fs::read(&path).unwrap();
        let report = Edits::new(open(&path, 1)).commit().unwrap();
        assert_eq!((report.images.len(), report.file_size_after), (0, before.len() as u64));
        // Edits that say what is so already.
        let image = open(&path, 1);
        let content = read_file(&image, "/A Rather Long File Name.txt");
        let mut edits = Edits::new(image);
        let times = edits.image.node(edits.find("/A Rather Long File Name.txt").1.node).unwrap();
        edits.replace("/A Rather Long File Name.txt", &content);
        edits.touch("/A Rather Long File Name.txt", |node| node.write_time = times.write_time);
        let entry = edits.remove("/empty.txt");
        edits.rename_back(entry);
        let report = edits.commit().unwrap();
        assert_eq!(report.images, [0; 0]);
        assert!(std::fs::read(&path).unwrap() == before, "{}", path.display());
    }
}

#[test]
fn known_data_is_not_written_again() {
    let Some(source) = kinds().into_iter().nth(3) else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = copy(&source, directory.path());
    let large = text(5, 9_000_000);
    let mut edits = Edits::new(open(&path, 1));
    edits.add_file("/", "large 1", &large);
    edits.add_file("/", "large 2", &large);
    edits.add_file("/", "small 1", b"small");
    edits.add_file("/", "small 2", b"small");
    let report = edits.commit().unwrap();
    assert_eq!((report.new_blobs, report.new_bytes), (2, 9_000_005));
    assert!(report.compressed_bytes < 3_000_000, "{report:?}");

    let mut edits = Edits::new(open(&path, 1));
    edits.add_file("/", "large 3", &large);
    edits.add_file("/", "small 3", b"small");
    // A patch that ends up as an old blob is taken back, though it was long enough to be flushed.
    edits.patch("/large 1", vec![0..9_000_000], large.clone());
    let report = edits.commit().unwrap();
    assert_eq!((report.new_blobs, report.copied_chunks), (0, 0));
    assert_sound(&path);
    assert_reference_counts(&path);
    for name in ["/large 1", "/large 2", "/large 3"] {
        assert!(read_file(&open(&path, 1), name) == large, "{name}");
    }
}

/// Large and small streams in turn, new and patched, over many waves.
#[test]
fn streams_of_all_lengths_in_turn() {
    let directory = tempfile::tempdir().unwrap();
    for (path, content, _) in patch_bases(directory.path()).into_iter().take(2) {
        let mut expected = BTreeMap::new();
        let mut edits = Edits::new(open(&path, 1));
        let lengths = [1, 9_000_001, 40_000, 4_194_304, 4_194_305, 7, 5_000_000, 32_768, 12_345_678, 65_537];
        for (number, length) in lengths.into_iter().enumerate() {
            // Cheap to encode, and no two alike.
            let mut bytes = vec![number as u8; length];
            bytes[length / 2] = 0xFF;
            let name = format!("file {number}");
            edits.add_file("/", &name, &bytes);
            expected.insert(format!("/{name}"), bytes);
        }
        let report = edits.commit().unwrap();
        assert_eq!(report.new_blobs, lengths.len() as u64);

        let mut edits = Edits::new(open(&path, 1));
        for (path, bytes) in &mut expected {
            let at = bytes.len() as u64 / 3;
            bytes[at as usize] = 0xEE;
            bytes.extend(b"longer");
            edits.patch(path, vec![at..at + 1], bytes.clone());
        }
        let mut hive = content;
        hive.truncate(2_999_999);
        edits.patch("/hive", vec![], hive.clone());
        expected.insert("/hive".to_owned(), hive);
        let report = edits.commit().unwrap();
        assert_eq!(report.new_blobs, lengths.len() as u64 + 1);
        assert!(report.copied_chunks > 900, "{report:?}");
        let image = open(&path, 1);
        for (path, bytes) in expected {
            assert!(read_file(&image, &path) == bytes, "{path}");
        }
        assert_sound(&path);
    }
}

/// Replaced data leaves the table; data that another image still needs stays.
#[test]
fn released_blobs_leave_the_table() {
    let Some(source) = kinds().into_iter().nth(1) else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = copy(&source, directory.path());
    let mut edits = Edits::new(open(&path, 1));
    edits.add_file("/", "once", b"only here");
    edits.commit().unwrap();
    let hash = digest::blob_hash(b"only here");
    let mut edits = Edits::new(open(&path, 1));
    edits.replace("/once", b"something else");
    edits.commit().unwrap();
    let error = Wim::open(&path).unwrap().blob(hash).err().unwrap();
    assert_eq!(error.class(), ErrorClass::NotFound);
    assert_sound(&path);
    assert_reference_counts(&path);
}

/// A file with one 3 MB text in each kind of encoding; the base of patches.
fn patch_bases(directory: &Path) -> Vec<(PathBuf, Vec<u8>, u64)> {
    let tree = directory.join("tree");
    std::fs::create_dir(&tree).unwrap();
    let content = text(11, 3_000_000);
    std::fs::write(tree.join("hive"), &content).unwrap();
    let kinds: [(&str, &[&str], u64); 6] = [
        ("lzx.wim", &["--compress=LZX"], 32768),
        ("xpress4k.wim", &["--compress=XPRESS", "--chunk-size=4K"], 4096),
        ("lzms.wim", &["--compress=LZMS"], 131_072),
        ("lzx256.wim", &["--compress=LZX", "--chunk-size=256K"], 262_144),
        // Nothing can be copied from these.
        ("none.wim", &["--compress=none"], 0),
        ("solid.esd", &["--solid"], 0),
    ];
    let mut files = Vec::new();
    for (name, options, chunk) in kinds {
        let path = directory.join(name);
        let mut arguments = vec!["capture", tree.to_str().unwrap(), path.to_str().unwrap()];
        arguments.extend(options);
        if wimlib(&arguments).is_none() {
            return Vec::new();
        }
        files.push((path, content.clone(), chunk));
    }
    files
}

#[test]
fn a_patch_copies_the_other_chunks() {
    let directory = tempfile::tempdir().unwrap();
    for (path, content, chunk) in patch_bases(directory.path()) {
        let chunks =
            (content.len() as u64).checked_div(chunk).map_or(0, |_| (content.len() as u64).div_ceil(chunk));
        // Two ranges in different chunks; the length stays.
        let mut patched = content.clone();
        patched[100..110].fill(b'x');
        patched[2_000_000..2_000_100].fill(b'y');
        let mut edits = Edits::new(open(&path, 1));
        edits.patch("/hive", vec![100..110, 2_000_000..2_000_100], patched.clone());
        let report = edits.commit().unwrap();
        assert_eq!(report.copied_chunks, chunks.saturating_sub(2), "{}", path.display());
        assert!(read_file(&open(&path, 1), "/hive") == patched);

        // Longer, on top of the first; what is beyond the old end need not be listed.
        let mut longer = patched.clone();
        longer.extend(text(12, 500_000));
        longer[1_000_000] = b'!';
        let mut edits = Edits::new(open(&path, 1));
        edits.patch("/hive", vec![1_000_000..1_000_001], longer.clone());
        let report = edits.commit().unwrap();
        // The chunk of the change, and the last one, which was not full. A solid base copies once
        // it was rewritten as an ordinary blob.
        let size =
            Wim::open(&path).unwrap().compression().map(|compression| u64::from(compression.chunk_size));
        let chunks = size.map_or(0, |size| 3_000_000u64.div_ceil(size));
        assert_eq!(report.copied_chunks, chunks.saturating_sub(2), "{}", path.display());
        assert!(read_file(&open(&path, 1), "/hive") == longer);

        // Shorter.
        let shorter = longer[..1_500_000].to_vec();
        let mut edits = Edits::new(open(&path, 1));
        edits.patch("/hive", vec![], shorter.clone());
        let report = edits.commit().unwrap();
        let chunks = size.map_or(0, |size| 1_500_000 / size);
        assert_eq!(report.copied_chunks, chunks, "{}", path.display());
        assert!(read_file(&open(&path, 1), "/hive") == shorter);
        assert_sound(&path);
    }
}

/// Ranges that leave out a change give other bytes than were meant, but never a blob that does not
/// have its hash.
#[test]
fn a_patch_with_wrong_ranges_is_still_consistent() {
    let directory = tempfile::tempdir().unwrap();
    let Some((path, content, _)) = patch_bases(directory.path()).into_iter().next() else { return };
    let mut patched = content;
    patched[100] = b'x';
    patched[1_000_000] = b'y';
    let mut edits = Edits::new(open(&path, 1));
    edits.patch("/hive", vec![100..101], patched.clone());
    edits.commit().unwrap();
    assert_sound(&path);
}

#[test]
fn a_damaged_base_is_not_passed_on() {
    let directory = tempfile::tempdir().unwrap();
    for (path, content, _) in patch_bases(directory.path()).into_iter().take(3) {
        let image = open(&path, 1);
        // Somewhere in the blob, which lies right behind the header.
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[50_000] ^= 0x10;
        std::fs::write(&path, &bytes).unwrap();
        let mut edits = Edits::new(image);
        let mut patched = content;
        patched[2_900_000] = b'x';
        edits.patch("/hive", vec![2_900_000..2_900_001], patched);
        let error = edits.commit().unwrap_err();
        assert_eq!(error.class(), ErrorClass::Corrupt, "{error}");
        assert!(std::fs::read(&path).unwrap() == bytes);
    }
}

#[test]
fn files_that_must_not_be_changed_are_refused() {
    let Some(root) = corpus("wim") else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = copy(&root.join("nt/nt-pipable.wim"), directory.path());
    let refused = |path: &Path, reason: &str| {
        let before = std::fs::read(path).unwrap();
        let mut edits = Edits::new(open(path, 1));
        edits.add_file("/", "new", b"x");
        let error = edits.commit().unwrap_err();
        assert_eq!(error.class(), ErrorClass::Unsupported);
        assert_eq!(error.message(), format!("{} cannot be changed: {reason}", path.display()));
        assert!(error.hint().is_some());
        assert!(std::fs::read(path).unwrap() == before);
    };
    refused(&path, "it is a pipable WIM");
    let path = copy(&root.join("nt/nt-none.wim"), directory.path());
    let file = File::options().read(true).write(true).open(&path).unwrap();
    file.write_all_at(&[0x84], 0x10).unwrap();
    refused(&path, "it is marked read-only");
    file.write_all_at(&[0x88], 0x10).unwrap();
    refused(&path, "it is a part of a split set");
    file.write_all_at(&[0x80], 0x10).unwrap();

    // Cut off behind the tables that opening needs is not possible; a blob beyond the end is.
    let image = open(&path, 1);
    let mut bytes = std::fs::read(&path).unwrap();
    let position = bytes.windows(8).rposition(|window| window == 208u64.to_le_bytes()).unwrap();
    bytes[position..position + 8].copy_from_slice(&0xFFFF_FFFFu64.to_le_bytes());
    std::fs::write(&path, &bytes).unwrap();
    let mut edits = Edits::new(image);
    edits.add_file("/", "new", b"x");
    let error = edits.commit().unwrap_err();
    assert_eq!(error.class(), ErrorClass::Corrupt);
    assert!(error.message().contains("the file is cut off"), "{error}");
}

/// Other images may change meanwhile; the edited one may not.
#[test]
fn edits_rebase_on_other_images_and_refuse_a_changed_one() {
    let Some(root) = corpus("wim") else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = copy(&root.join("managedwimlib/MultiImage.wim"), directory.path());
    let mut first = Edits::new(open(&path, 1));
    first.add_file("/", "one", b"1");
    let mut second = Edits::new(open(&path, 2));
    second.add_file("/", "two", b"2");
    let mut late = Edits::new(open(&path, 1));
    late.add_file("/", "late", b"late");
    first.commit().unwrap();
    second.commit().unwrap();
    assert_eq!(read_file(&open(&path, 1), "/one"), b"1");
    assert_eq!(read_file(&open(&path, 2), "/two"), b"2");
    let before = std::fs::read(&path).unwrap();
    let error = late.commit().unwrap_err();
    assert_eq!(error.class(), ErrorClass::Busy);
    assert!(error.message().contains("was changed or removed by somebody else"), "{error}");
    assert!(std::fs::read(&path).unwrap() == before);
    assert_sound(&path);

    // Several images in one transaction: one blob table, the data shared.
    let mut transaction = Transaction::new(&path);
    for number in [1, 3] {
        let mut edits = Edits::new(open(&path, number));
        edits.add_file("/", "shared", b"the same bytes");
        transaction.edit(edits.into_edit());
    }
    let report = commit(transaction, &mut |file| Box::new(file)).unwrap();
    assert_eq!((report.images, report.new_blobs), (vec![1, 3], 1));
    assert_sound(&path);
    assert_reference_counts(&path);
}

/// Two images with the same metadata are told apart by their index, or refused.
#[test]
fn images_with_equal_metadata() {
    let Some(root) = corpus("wim") else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = copy(&root.join("managedwimlib/LZX.wim"), directory.path());
    let name = path.to_str().unwrap();
    if wimlib(&["export", name, "1", name, "twin"]).is_none() {
        return;
    }
    let mut edits = Edits::new(open(&path, 2));
    assert_eq!(edits.image.metadata_hash(), open(&path, 1).metadata_hash());
    edits.add_file("/", "x", b"x");
    let mut unnamed = Transaction::new(&path);
    let mut other = Edits::new(open(&path, 2));
    other.add_file("/", "x", b"x");
    unnamed.edit(other.into_edit());
    let error = commit(unnamed, &mut |file| Box::new(file)).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Usage, "{error}");
    assert_eq!(edits.commit().unwrap().images, [2]);
    assert_sound(&path);
}

/// Edits that cannot be written are errors before anything is.
#[test]
fn impossible_edits() {
    let Some(source) = kinds().into_iter().next() else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = copy(&source, directory.path());
    let before = std::fs::read(&path).unwrap();
    type Make = fn(&mut Edits);
    let cases: [(Make, &str); 5] = [
        (|edits| edits.add_file("/", "empty.txt", b""), "would hold empty.txt twice"),
        (|edits| edits.add_file("/", "..", b""), "\"..\" cannot be a file name"),
        (|edits| edits.link("/rel_link", "/", "other"), "a reparse point cannot have several names"),
        (
            |edits| {
                let root = edits.image.root();
                let name = "not there".into();
                edits.tree.directories.entry(root).or_default().removed.push(name);
            },
            "the entry not there of directory 0 is not there",
        ),
        (
            |edits| {
                edits.add_directory("/", "a");
                edits.link("/a", "/", "b");
            },
            "would have two places",
        ),
    ];
    for (make, message) in cases {
        let mut edits = Edits::new(open(&path, 1));
        make(&mut edits);
        let error = edits.commit().unwrap_err();
        assert!(error.message().contains(message), "{error}");
        assert!(std::fs::read(&path).unwrap() == before);
    }
}

/// Left-overs of an interrupted commit are overwritten, and cut off where they are longer.
#[test]
fn left_overs_are_reclaimed() {
    for length in [10, 500_000] {
        for source in kinds() {
            let directory = tempfile::tempdir().unwrap();
            let path = copy(&source, directory.path());
            let clean = copy(&source, &{
                let other = directory.path().join("clean");
                std::fs::create_dir(&other).unwrap();
                other
            });
            let mut bytes = std::fs::read(&path).unwrap();
            bytes.extend(noise(1, length));
            std::fs::write(&path, &bytes).unwrap();
            for path in [&path, &clean] {
                let mut edits = Edits::new(open(path, 1));
                edits.add_file("/", "new", &text(1, 10_000));
                edits.commit().unwrap();
            }
            assert!(std::fs::read(&path).unwrap() == std::fs::read(&clean).unwrap(), "{}", path.display());
        }
    }
}

#[test]
fn a_cancelled_commit_changes_nothing() {
    let Some(source) = kinds().into_iter().next() else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = copy(&source, directory.path());
    let before = std::fs::read(&path).unwrap();
    let mut edits = Edits::new(open(&path, 1));
    edits.add_file("/", "new", &text(1, 10_000));
    let pool = Pool::new(1).unwrap();
    let cancel = Cancel::default();
    cancel.cancel();
    let options = CommitOptions { pool: &pool, progress: &NoProgress, cancel: &cancel };
    assert_eq!(edits.transaction().commit(&options).unwrap_err().class(), ErrorClass::Cancelled);
    assert!(std::fs::read(&path).unwrap() == before);
}

/// What the fault injection does at its operation.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// Half of the write happens, then "no space left"; later operations work.
    Error,
    /// Half of the write happens and nothing after it: the process died.
    Crash,
    /// As a crash, but what was written since the last sync is lost, except for the last write:
    /// the machine died.
    PowerLoss,
}

struct Faulty {
    file: File,
    fault: Fault,
    at: usize,
    count: Arc<AtomicUsize>,
    /// The file at the last sync.
    synced: Vec<u8>,
    dead: bool,
}

impl Faulty {
    fn strike(&mut self) -> Option<io::Error> {
        if self.dead {
            return Some(io::Error::other("the process is dead"));
        }
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        if number != self.at {
            return None;
        }
        if self.fault == Fault::PowerLoss {
            self.file.set_len(0).unwrap();
            self.file.write_all_at(&self.synced, 0).unwrap();
        }
        self.dead = self.fault != Fault::Error;
        Some(io::Error::from_raw_os_error(28))
    }
}

impl CommitFile for Faulty {
    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let was_dead = self.dead;
        if let Some(error) = self.strike() {
            if !was_dead {
                self.file.write_all_at(&bytes[..bytes.len() / 2], offset)?;
            }
            return Err(error);
        }
        self.file.write_all_at(bytes, offset)
    }

    fn set_len(&mut self, length: u64) -> io::Result<()> {
        match self.strike() {
            Some(error) => Err(error),
            None => self.file.set_len(length),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        if let Some(error) = self.strike() {
            return Err(error);
        }
        let mut bytes = vec![0; usize::try_from(self.file.metadata()?.len()).unwrap()];
        self.file.read_exact_at(&mut bytes, 0)?;
        self.synced = bytes;
        Ok(())
    }
}

/// At every operation of a commit, each kind of fault: an error leaves the file byte for byte, a
/// crash leaves it old or new.
#[test]
fn a_fault_at_any_write_leaves_the_old_or_the_new_file() {
    for (source, length) in kinds().into_iter().zip([5_000, 5_000, 5_000, 9_000_000, 50_000, 50_000]) {
        let directory = tempfile::tempdir().unwrap();
        let path = copy(&source, directory.path());
        let before = std::fs::read(&path).unwrap();
        let old = our_listing(&open(&path, 1));
        let mut new = old.clone();
        // Nine megabytes that do not compress are flushed, taken back and stored as they are.
        let data = noise(1, length);
        new.insert("/new".to_owned(), plain_entry(FileAttributes::ARCHIVE, &data, 1));
        new.insert("/other".to_owned(), plain_entry(FileAttributes::ARCHIVE, b"other", 1));
        let header_half = before[..104].to_vec();
        for fault in [Fault::Error, Fault::Crash, Fault::PowerLoss] {
            let mut at = 0;
            loop {
                std::fs::write(&path, &before).unwrap();
                let mut edits = Edits::new(open(&path, 1));
                edits.add_file("/", "new", &data);
                edits.add_file("/", "other", b"other");
                let count = Arc::new(AtomicUsize::new(0));
                let outcome = commit(edits.transaction(), &mut |file| {
                    let (count, synced) = (count.clone(), before.clone());
                    Box::new(Faulty { file, fault, at, count, synced, dead: false })
                });
                if count.load(Ordering::Relaxed) <= at {
                    outcome.unwrap();
                    assert!(at >= 4, "only {at} operations");
                    break;
                }
                let error = outcome.unwrap_err();
                let after = std::fs::read(&path).unwrap();
                let what = format!("{} {fault:?} {at}", path.display());
                if fault == Fault::Error {
                    assert_eq!(error.class(), ErrorClass::Space, "{what}");
                    assert!(after == before, "{what}");
                } else {
                    // Half a header is one sector half written, which disks do not do.
                    if after[..104] != header_half && after[104..208] == before[104..208] {
                        at += 1;
                        continue;
                    }
                    let header_is_old = after[..208] == before[..208];
                    if header_is_old {
                        assert!(after.starts_with(&before), "{what}");
                    }
                    let expected = if header_is_old { &old } else { &new };
                    let report = Wim::open(&path)
                        .unwrap()
                        .verify(&Pool::new(2).unwrap(), &NoProgress, &Cancel::default())
                        .unwrap();
                    assert_eq!(report.findings, [], "{what}");
                    wimlib(&["verify", path.to_str().unwrap()]);
                    assert_same_listing(&our_listing(&open(&path, 1)), expected, &what);
                    // The next commit goes on from there.
                    let mut edits = Edits::new(open(&path, 1));
                    edits.add_file("/", "afterwards", b"x");
                    edits.commit().unwrap();
                    assert_sound(&path);
                }
                at += 1;
            }
        }
    }
}

/// Two processes commit to different images of one file.
#[test]
fn two_processes_commit_at_once() {
    const ROUNDS: u32 = 50;
    if let Some(path) = std::env::var_os("TRANSOM_TEST_COMMIT_TO") {
        let number: u32 = std::env::var("TRANSOM_TEST_IMAGE").unwrap().parse().unwrap();
        for round in 0..ROUNDS {
            let mut edits = Edits::new(open(Path::new(&path), number));
            edits.add_file("/", &format!("round {round}"), &text(number * 1000 + round, 5000));
            edits.replace_or_add("counter", format!("{number} {round}").as_bytes());
            edits.commit().unwrap();
        }
        return;
    }
    let Some(root) = corpus("wim") else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = copy(&root.join("managedwimlib/MultiImage.wim"), directory.path());
    let children = [1, 2].map(|number: u32| {
        std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "two_processes_commit_at_once"])
            .env("TRANSOM_TEST_COMMIT_TO", &path)
            .env("TRANSOM_TEST_IMAGE", number.to_string())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap()
    });
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_sound(&path);
    assert_reference_counts(&path);
    for number in [1, 2] {
        let image = open(&path, number);
        assert_eq!(read_file(&image, "/counter"), format!("{number} {}", ROUNDS - 1).into_bytes());
        for round in 0..ROUNDS {
            assert_eq!(read_file(&image, &format!("/round {round}")), text(number * 1000 + round, 5000));
        }
    }
}

/// Random edits, commit after commit, against a plain map of what should be there.
#[test]
fn random_edits_equal_the_model() {
    let Some(source) = kinds().into_iter().nth(1) else { return };
    for seed in 0..6u64 {
        let directory = tempfile::tempdir().unwrap();
        let path = copy(&source, directory.path());
        // Our part of the tree: file contents by path, nothing for a directory.
        let mut model: BTreeMap<String, Option<Vec<u8>>> = BTreeMap::new();
        let mut edits = Edits::new(open(&path, 1));
        edits.add_directory("/", "r");
        edits.commit().unwrap();
        model.insert("/r".to_owned(), None);
        let mut state = seed + 1;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        for round in 0..8 {
            let mut edits = Edits::new(open(&path, 1));
            // Every old path is used once at most in a commit, and new ones not again.
            let mut old: Vec<String> = model.keys().cloned().collect();
            for step in 0..12 {
                if old.is_empty() {
                    break;
                }
                let victim = old.swap_remove(random(old.len()));
                let (_, name) = victim.rsplit_once('/').unwrap();
                let fresh = format!("n{round}-{step}");
                let content = text(random(1000) as u32, random(20_000));
                match (model[&victim].clone(), random(5)) {
                    (None, 0) => {
                        edits.add_directory(&victim, &fresh);
                        model.insert(format!("{victim}/{fresh}"), None);
                    }
                    (None, _) => {
                        edits.add_file(&victim, &fresh, &content);
                        model.insert(format!("{victim}/{fresh}"), Some(content));
                    }
                    (Some(_), 0) => {
                        edits.remove(&victim);
                        model.remove(&victim);
                    }
                    (Some(bytes), 1) => {
                        edits.rename(&victim, "/r", &format!("{fresh}{name}"));
                        model.remove(&victim);
                        model.insert(format!("/r/{fresh}{name}"), Some(bytes));
                    }
                    (Some(bytes), 2) => {
                        edits.link(&victim, "/r", &fresh);
                        model.insert(format!("/r/{fresh}"), Some(bytes));
                    }
                    (Some(bytes), _) => {
                        // All names of a file would get the new content.
                        let node = edits.find(&victim).1.node;
                        if edits.image.links(node).unwrap().len() > 1 {
                            continue;
                        }
                        let mut changed = bytes;
                        changed.extend(content);
                        edits.replace(&victim, &changed);
                        model.insert(victim, Some(changed));
                    }
                }
            }
            edits.commit().unwrap();
            let image = open(&path, 1);
            let found: BTreeMap<String, Option<Vec<u8>>> = our_listing(&image)
                .into_iter()
                .filter(|(path, _)| path == "/r" || path.starts_with("/r/"))
                .map(|(path, entry)| {
                    let directory = entry.attributes & FileAttributes::DIRECTORY.bits() != 0;
                    let content = (!directory).then(|| read_file(&image, &path));
                    (path, content)
                })
                .collect();
            assert!(found == model, "seed {seed} round {round}");
            assert_statistics(&path, 1);
        }
        assert_sound(&path);
        assert_reference_counts(&path);
        let ours = our_listing(&open(&path, 1));
        if let Some(theirs) = peer_listing(&path, 1) {
            assert_same_listing(&ours, &theirs, "wimlib");
        }
    }
}

/// Readers that opened the file before a commit read on undisturbed.
#[test]
fn an_open_reader_keeps_its_view() {
    let Some(source) = kinds().into_iter().nth(3) else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = copy(&source, directory.path());
    let before = open(&path, 1);
    let listing = our_listing(&before);
    for round in 0..5 {
        let mut edits = Edits::new(open(&path, 1));
        edits.replace_or_add("changing", &text(round, 50_000));
        edits.remove(
            ["/abs_link", "/rel_link", "/Junction", "/empty.txt", "/A Rather Long File Name.txt"]
                [round as usize],
        );
        edits.commit().unwrap();
    }
    assert_same_listing(&our_listing(&before), &listing, "the old view");
    for entry in listing.values() {
        for hash in entry.streams.values().filter(|hash| hash.bytes().any(|byte| byte != b'0')) {
            let bytes: Vec<u8> =
                (0..20).map(|at| u8::from_str_radix(&hash[2 * at..2 * at + 2], 16).unwrap()).collect();
            let hash = BlobHash(bytes.try_into().unwrap());
            let blob = before.wim().blob(hash).unwrap();
            assert_eq!(digest::blob_hash(&wim_support::edits::read_all(&*blob)), hash);
        }
    }
}

/// New descriptors go behind the old ones, each once; old ids keep their meaning.
#[test]
fn security_descriptors_are_shared() {
    let Some(source) = kinds().into_iter().nth(3) else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = copy(&source, directory.path());
    let before = our_listing(&open(&path, 1));
    let image = open(&path, 1);
    let known = image.node(image.root()).unwrap().security.unwrap();
    let fresh: Arc<[u8]> = vec![1, 0, 4, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0].into();
    let mut edits = Edits::new(image);
    for (name, descriptor) in [("a", &known), ("b", &fresh), ("c", &fresh)] {
        edits.add_file("/", name, b"");
        edits.touch(&format!("/{name}"), |node| node.security = Some(descriptor.clone()));
    }
    let report = edits.commit().unwrap();
    assert_eq!(report.new_blobs, 0);
    let after = open(&path, 1);
    let security = |name: &str| {
        let id = after.lookup(after.root(), &transom::base::name::units(name)).unwrap().unwrap().node;
        after.node(id).unwrap().security.unwrap()
    };
    assert_eq!((security("a"), security("b")), (known, fresh));
    // One descriptor in memory means one in the table.
    assert!(Arc::ptr_eq(&security("b"), &security("c")));
    let mut listing = our_listing(&after);
    listing.retain(|path, _| !["/a", "/b", "/c"].contains(&path.as_str()));
    assert_same_listing(&listing, &before, "the old entries");
    assert_sound(&path);
}

/// A source whose bytes change between the two readings of a large stream.
struct Restless(Vec<u8>, AtomicUsize);

impl transom::io::ReadAt for Restless {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> transom::base::Result<()> {
        self.0.read_exact_at(buffer, offset)?;
        let count = self.1.fetch_add(1, Ordering::Relaxed);
        if let Some(byte) = buffer.first_mut() {
            *byte ^= count as u8;
        }
        Ok(())
    }
}

#[test]
fn data_that_changes_while_it_is_read_is_refused() {
    let Some(source) = kinds().into_iter().next() else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = copy(&source, directory.path());
    let before = std::fs::read(&path).unwrap();
    let mut edits = Edits::new(open(&path, 1));
    edits.add_file("/", "x", b"");
    let restless = Restless(text(1, 6_000_000), AtomicUsize::new(0));
    edits.set_stream("/x", StreamSource::New(Arc::new(restless)));
    // Only what might be equal to something else is read twice.
    edits.add_file("/", "y", &text(2, 6_000_000));
    let error = edits.commit().unwrap_err();
    assert_eq!(error.class(), ErrorClass::Busy, "{error}");
    assert!(std::fs::read(&path).unwrap() == before);
}
