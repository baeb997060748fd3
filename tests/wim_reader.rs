// SPDX-License-Identifier: GPL-3.0-or-later
//! Reading WIM files, judged by the corpus and by wimlib.

mod wim_support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use transom::base::{ErrorClass, name};
use transom::digest;
use transom::io::{Cancel, NoProgress, Pool, ReadAt, read_vec};
use transom::wim::{VerifyReport, Wim};
use wim_support::{assert_listed_alike, corpus, index, peer, wimlib};

fn verify(path: &Path) -> VerifyReport {
    let pool = Pool::new(2).unwrap();
    Wim::open(path).unwrap().verify(&pool, &NoProgress, &Cancel::default()).unwrap()
}

fn findings(report: &VerifyReport) -> Vec<String> {
    report.findings.iter().map(|finding| format!("{}: {}", finding.what, finding.message)).collect()
}

/// Every file of the corpus that wimlib finds sound.
fn sound_files() -> Vec<PathBuf> {
    let Some(root) = corpus("wim") else { return Vec::new() };
    [
        "managedwimlib/BootLZX.wim",
        "managedwimlib/LZMS.wim",
        "managedwimlib/LZX.wim",
        "managedwimlib/MultiImage.wim",
        "managedwimlib/VerifySuccess.wim",
        "managedwimlib/XPRESS.wim",
        "nt/nt-lzms-nonsolid.wim",
        "nt/nt-lzms-solid.esd",
        "nt/nt-lzx-integrity.wim",
        "nt/nt-none.wim",
        "nt/nt-pipable.wim",
        "nt/nt-xpress.wim",
        "nt/nt-xpress4k.wim",
        "wimlib-tests/empty_dacl.wim",
        "wimlib-tests/longpaths.wim",
    ]
    .map(|file| root.join(file))
    .to_vec()
}

#[test]
fn sound_files_verify_and_list_as_wimlib_does() {
    for path in sound_files() {
        let report = verify(&path);
        assert_eq!(findings(&report), [""; 0], "{}", path.display());
        assert_eq!(report.warnings, [""; 0], "{}", path.display());
        assert_listed_alike(&path);
    }
}

/// Every blob, read whole and in odd pieces, has the hash that names it.
#[test]
fn random_access_gives_the_bytes_of_the_hash() {
    for path in sound_files() {
        let wim = Wim::open(&path).unwrap();
        let mut seen = 0;
        for number in 1..=wim.image_count() {
            let image = wim.image(index(number)).unwrap();
            let mut todo = vec![image.root()];
            while let Some(id) = todo.pop() {
                todo.extend(image.entries(id).unwrap().into_iter().map(|entry| entry.node));
                for stream in image.node(id).unwrap().streams {
                    let hash = stream.hash.unwrap();
                    let blob = wim.blob(hash).unwrap();
                    assert_eq!(blob.len(), stream.length);
                    let whole = read_vec(&*blob, 0, blob.len()).unwrap();
                    assert_eq!(digest::blob_hash(&whole), hash);
                    assert_eq!(in_pieces(&blob), whole);
                    let beyond = read_vec(&*blob, 1, blob.len()).unwrap_err();
                    assert_eq!(beyond.class(), ErrorClass::Corrupt);
                    seen += 1;
                }
            }
        }
        assert!(seen > 0, "{}", path.display());
    }
}

fn in_pieces(blob: &Arc<dyn ReadAt>) -> Vec<u8> {
    let mut pieces: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    // From the end, in prime steps, so that chunks are met out of order and more than once.
    let mut end = blob.len();
    while end > 0 {
        let start = end.saturating_sub(7919);
        pieces.insert(start, read_vec(&**blob, start, end - start).unwrap());
        end = start;
    }
    pieces.into_values().flatten().collect()
}

#[test]
fn damaged_files_are_told_apart() {
    let Some(root) = corpus("wim") else { return };
    let bad_blob = verify(&root.join("wimlib-tests/corrupted_file_1.wim"));
    assert_eq!(bad_blob.findings.len(), 1);
    assert!(bad_blob.findings[0].what.starts_with("blob "), "{:?}", bad_blob.findings);
    assert!(bad_blob.findings[0].message.contains(" has SHA-1 "), "{:?}", bad_blob.findings);

    let bad_table = verify(&root.join("managedwimlib/VerifyFail.wim"));
    assert!(bad_table.integrity_table);
    assert!(bad_table.findings.iter().any(|finding| finding.what == "integrity table"));

    let cyclic = Wim::open(&root.join("wimlib-tests/cyclic.wim")).unwrap();
    let error = cyclic.image(index(1)).err().unwrap();
    assert_eq!(error.class(), ErrorClass::Corrupt);
    assert!(error.message().ends_with("the tree has a cycle"), "{error}");
}

#[test]
fn names_that_must_not_be_are_left_out_with_a_warning() {
    let Some(root) = corpus("wim") else { return };
    for (file, left, warnings) in [("dotdot.wim", vec![], 1), ("duplicate_names.wim", vec!["1"], 2)] {
        let path = root.join("wimlib-tests").join(file);
        let image = Wim::open(&path).unwrap().image(index(1)).unwrap();
        let names: Vec<String> = image
            .entries(image.root())
            .unwrap()
            .into_iter()
            .map(|entry| name::display(entry.name.units()))
            .collect();
        assert_eq!(names, left, "{file}");
        assert_eq!(image.warnings().len(), warnings, "{file}: {:?}", image.warnings());
        assert_eq!(findings(&verify(&path)), [""; 0], "{file}");
        assert_listed_alike(&path);
    }
}

#[test]
fn xml_facts_are_those_wimlib_prints() {
    for path in sound_files() {
        let wim = Wim::open(&path).unwrap();
        let Some(text) = wimlib(&["info", path.to_str().unwrap()]) else { return };
        let value = |block: &str, label: &str| {
            block.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                (name == label).then(|| value.trim().to_owned())
            })
        };
        assert_eq!(value(&text, "Image Count"), Some(wim.image_count().to_string()));
        assert_eq!(value(&text, "Boot Index"), Some(wim.boot_index().to_string()));
        let guid: String = wim.guid().0.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(value(&text, "GUID"), Some(format!("0x{guid}")));
        assert_eq!(text.contains("Integrity info"), wim.has_integrity_table());
        for (info, block) in wim.images().iter().zip(text.split("\nIndex:").skip(1)) {
            let label = |label: &str| value(block, label);
            // An empty text is printed as nothing at all.
            let text = |label: &str| value(block, label).unwrap_or_default();
            assert_eq!(text("Name"), info.name.clone().unwrap_or_default(), "{}", path.display());
            assert_eq!(text("Description"), info.description.clone().unwrap_or_default());
            assert_eq!(label("Directory Count"), info.directories.map(|count| count.to_string()));
            assert_eq!(label("File Count"), info.files.map(|count| count.to_string()));
            assert_eq!(label("Total Bytes"), info.size.map(|count| count.to_string()));
            assert_eq!(label("Hard Link Bytes"), info.hard_link_bytes.map(|count| count.to_string()));
            let time = |time: transom::base::FileTime| {
                jiff::Timestamp::from_second(time.to_unix().0)
                    .unwrap()
                    .strftime("%a %b %d %H:%M:%S %Y UTC")
                    .to_string()
            };
            assert_eq!(label("Creation Time"), info.created.map(time));
            assert_eq!(label("Last Modification Time"), info.modified.map(time));
        }
    }
}

/// A split set: part 1 serves info and the tree, and says where missing data is.
#[test]
fn split_parts() {
    let directory = tempfile::tempdir().unwrap();
    let tree = directory.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    for number in 0..6u8 {
        let noise: Vec<u8> =
            (0..400_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8 ^ number).collect();
        std::fs::write(tree.join(format!("file{number}")), noise).unwrap();
    }
    let whole = directory.path().join("whole.wim");
    let first = directory.path().join("part.swm");
    if wimlib(&["capture", tree.to_str().unwrap(), whole.to_str().unwrap(), "--compress=none"]).is_none() {
        return;
    }
    wimlib(&["split", whole.to_str().unwrap(), first.to_str().unwrap(), "1"]).unwrap();
    let wim = Wim::open(&first).unwrap();
    let (number, total) = wim.part();
    assert_eq!(number, 1);
    assert!(total > 1);
    let image = wim.image(index(1)).unwrap();
    let entries = image.entries(image.root()).unwrap();
    assert_eq!(entries.len(), 6);
    let mut foreign = 0;
    for entry in entries {
        let node = image.node(entry.node).unwrap();
        match wim.blob(node.streams[0].hash.unwrap()) {
            Ok(blob) => assert_eq!(blob.len(), 400_000),
            Err(error) => {
                foreign += 1;
                assert_eq!(error.class(), ErrorClass::Unsupported);
                assert!(error.message().contains("is in another part of the split set"), "{error}");
            }
        }
    }
    assert!(foreign > 0);
    let report = verify(&first);
    assert_eq!(findings(&report), [""; 0]);

    let second = Wim::open(&directory.path().join("part2.swm")).unwrap();
    assert_eq!(second.images().len(), 1);
    let error = second.image(index(1)).err().unwrap();
    assert!(error.message().contains("the metadata of image 1 is in part 1 of the split set"), "{error}");
}

/// Several solid resources in one run, with their own codec and chunk size.
#[test]
fn solid_runs_after_an_append() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("solid.esd");
    let path = file.to_str().unwrap();
    let tree = directory.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    for (round, codec, chunk) in [(1u32, "LZMS", "128K"), (2, "LZX", "64K"), (3, "XPRESS", "32K")] {
        for number in 0..20u32 {
            let text: String = (0..3000 + number * 100)
                .map(|at| format!("{} ", at.wrapping_mul(number + round * 1000) % 977))
                .collect();
            std::fs::write(tree.join(format!("{round}-{number}.txt")), text).unwrap();
        }
        let (codec, chunk) = (format!("--solid-compress={codec}"), format!("--solid-chunk-size={chunk}"));
        let verb = if round == 1 { "capture" } else { "append" };
        let name = format!("image {round}");
        if wimlib(&[verb, tree.to_str().unwrap(), path, &name, "--solid", &codec, &chunk]).is_none() {
            return;
        }
    }
    let report = verify(&file);
    assert_eq!(findings(&report), [""; 0]);
    assert_eq!((report.images, report.blobs), (3, 60));
    let wim = Wim::open(&file).unwrap();
    assert!(wim.is_solid());
    let image = wim.image(index(3)).unwrap();
    for entry in image.entries(image.root()).unwrap() {
        let hash = image.node(entry.node).unwrap().streams[0].hash.unwrap();
        let blob = wim.blob(hash).unwrap();
        let expected = std::fs::read(tree.join(entry.name.to_string())).unwrap();
        assert_eq!(read_vec(&*blob, 0, blob.len()).unwrap(), expected);
    }
    assert_listed_alike(&file);
}

#[test]
fn bad_input_is_one_clear_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.wim");
    std::fs::write(&path, b"not a wim").unwrap();
    let error = Wim::open(&path).err().unwrap();
    assert_eq!(error.message(), format!("{} is not a WIM file", path.display()));
    assert_eq!(error.hint(), Some("name a .wim or .esd file"));
    assert_eq!(Wim::open(&directory.path().join("none.wim")).err().unwrap().class(), ErrorClass::NotFound);

    let Some(root) = corpus("wim") else { return };
    let whole = std::fs::read(root.join("nt/nt-lzx-integrity.wim")).unwrap();
    let wim = Wim::open(&root.join("nt/nt-lzx-integrity.wim")).unwrap();
    let error = wim.image(index(2)).err().unwrap();
    assert_eq!(error.hint(), Some("the only index is 1"));
    assert_eq!(error.class(), ErrorClass::Usage);
    // Cut anywhere, the file is refused or verify says what is wrong.
    for length in (0..whole.len()).step_by(37) {
        std::fs::write(&path, &whole[..length]).unwrap();
        let Ok(wim) = Wim::open(&path) else { continue };
        let report = wim.verify(&Pool::new(1).unwrap(), &NoProgress, &Cancel::default()).unwrap();
        assert!(!report.findings.is_empty(), "cut at {length}");
    }
}

/// Such files say so in their XML; their data would only look damaged.
#[test]
fn an_encrypted_esd_has_its_own_message() {
    let Some(root) = corpus("wim") else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.esd");
    let mut bytes = std::fs::read(root.join("nt/nt-lzms-solid.esd")).unwrap();
    let xml: Vec<u8> = "\u{FEFF}<WIM><ESD><ENCRYPTED>key</ENCRYPTED></ESD></WIM>"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let mut header = (xml.len() as u64 | (2 << 56)).to_le_bytes().to_vec();
    header.extend((bytes.len() as u64).to_le_bytes());
    header.extend((xml.len() as u64).to_le_bytes());
    bytes[0x48..0x60].copy_from_slice(&header);
    bytes.extend(xml);
    std::fs::write(&path, &bytes).unwrap();
    let error = Wim::open(&path).err().unwrap();
    assert_eq!(error.class(), ErrorClass::Unsupported);
    assert_eq!(error.message(), format!("{} is an encrypted ESD", path.display()));
    if let Some(output) = peer("wimlib-imagex", &["info", path.to_str().unwrap()]) {
        assert!(String::from_utf8_lossy(&output.stderr).contains("encrypted"), "wimlib agrees");
    }
}

/// One changed byte anywhere never panics or hangs; data behind a hash is never wrong unnoticed.
#[test]
fn every_flipped_byte_is_survived() {
    let Some(root) = corpus("wim") else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.wim");
    let pool = Pool::new(1).unwrap();
    for file in ["nt/nt-lzms-solid.esd", "nt/nt-lzx-integrity.wim", "nt/nt-pipable.wim"] {
        let whole = std::fs::read(root.join(file)).unwrap();
        for at in (0..whole.len()).step_by(5) {
            let mut bad = whole.clone();
            bad[at] ^= 0x41;
            std::fs::write(&path, &bad).unwrap();
            let Ok(wim) = Wim::open(&path) else { continue };
            for number in 1..=wim.image_count().min(3) {
                if let Ok(image) = wim.image(index(number)) {
                    let mut todo = vec![image.root()];
                    while let Some(id) = todo.pop() {
                        todo.extend(image.entries(id).unwrap().into_iter().map(|entry| entry.node));
                    }
                }
            }
            wim.verify(&pool, &NoProgress, &Cancel::default()).unwrap();
        }
    }
}

#[test]
fn seven_zip_agrees_that_the_corpus_is_sound() {
    for path in sound_files() {
        // 7-Zip does not know pipable files.
        if path.ends_with("nt-pipable.wim") {
            continue;
        }
        let Some(output) = peer("7z", &["t", path.to_str().unwrap()]) else { return };
        assert!(output.status.success(), "{}", path.display());
    }
}
