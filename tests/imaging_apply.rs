// SPDX-License-Identifier: GPL-3.0-or-later
//! Applying images: what wimlib-imagex says of an image is what is read back from the directory, on
//! ext4, on tmpfs and on NTFS; and hostile images do no harm.

#[path = "cli_support/mod.rs"]
mod cli_support;
mod wim_support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use cli_support::Place;
use transom::base::{BlobHash, ErrorClass, NodeId, StreamKind, TaggedItem, name};
use transom::io::read_vec;
use transom::volume::{DirectoryVolume, Volume};
use wim_support::{Entry, Listing, assert_same_listing, corpus, peer_listing, time, wimlib};

/// Every sound image file of the corpus, with its images.
const SOUND: [(&str, u32); 14] = [
    ("nt/nt-none.wim", 1),
    ("nt/nt-xpress.wim", 1),
    ("nt/nt-xpress4k.wim", 1),
    ("nt/nt-lzx-integrity.wim", 1),
    ("nt/nt-lzms-nonsolid.wim", 1),
    ("nt/nt-lzms-solid.esd", 1),
    ("nt/nt-pipable.wim", 1),
    ("managedwimlib/BootLZX.wim", 1),
    ("managedwimlib/LZX.wim", 1),
    ("managedwimlib/XPRESS.wim", 1),
    ("managedwimlib/LZMS.wim", 1),
    ("managedwimlib/MultiImage.wim", 3),
    ("wimlib-tests/empty_dacl.wim", 1),
    ("wimlib-tests/longpaths.wim", 1),
];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a volume says, in the terms of `wimlib-imagex dir --detailed`.
fn listing(volume: &dyn Volume) -> Listing {
    let mut listing = Listing::new();
    let mut todo = vec![("/".to_owned(), String::new(), volume.root())];
    while let Some((path, short_name, id)) = todo.pop() {
        listing.insert(path.clone(), entry(volume, id, short_name));
        for child in volume.entries(id).unwrap() {
            let separator = if path == "/" { "" } else { "/" };
            let name = name::display(child.name.units());
            let short = child.short_name.map_or_else(String::new, |short| short.to_string());
            todo.push((format!("{path}{separator}{name}"), short, child.node));
        }
    }
    listing
}

fn entry(volume: &dyn Volume, id: NodeId, short_name: String) -> Entry {
    let node = volume.node(id).unwrap();
    let object_id = node.tagged_items.iter().find(|item| item.tag == TaggedItem::OBJECT_ID);
    let labels = ["Object ID", "Birth Volume ID", "Birth Object ID", "Domain ID"];
    let mut streams = BTreeMap::new();
    for stream in &node.streams {
        let data = volume.open(id, stream.kind, stream.name.units()).unwrap();
        let bytes = read_vec(&data, 0, data.len()).unwrap();
        assert_eq!(bytes.len() as u64, stream.length);
        let hash: BlobHash = transom::digest::blob_hash(&bytes);
        let kind = match stream.kind {
            StreamKind::Data if stream.name.is_empty() && hash.is_zero() => continue,
            StreamKind::Data => "data",
            StreamKind::Reparse => "reparse",
            StreamKind::Encrypted => "encrypted",
        };
        streams.insert((kind.to_owned(), stream.name.to_string()), hash.to_string());
    }
    Entry {
        short_name,
        attributes: node.attributes.bits(),
        security: node.security.as_deref().map_or_else(String::new, hex),
        times: [node.creation_time, node.write_time, node.access_time].map(time),
        reparse_tag: node.reparse.map_or(0, |reparse| reparse.tag),
        link_count: volume.links(id).unwrap().len().max(1),
        object_id: object_id.map_or_else(BTreeMap::new, |item| {
            labels
                .iter()
                .zip(item.data.chunks(16))
                .filter(|(_, part)| part.iter().any(|&byte| byte != 0))
                .map(|(label, part)| ((*label).to_owned(), hex(part)))
                .collect()
        }),
        streams,
    }
}

/// Folders on the file systems at hand: the disk's, and tmpfs.
fn folders() -> Vec<tempfile::TempDir> {
    [Path::new(env!("CARGO_TARGET_TMPDIR")), Path::new("/dev/shm")]
        .iter()
        .filter_map(|place| tempfile::tempdir_in(place).ok())
        .collect()
}

#[test]
fn what_wimlib_says_of_an_image_is_what_the_directory_gives_back() {
    let Some(corpus) = corpus("wim") else { return };
    let place = Place::new();
    for folder in folders() {
        for (file, images) in SOUND {
            for image in 1..=images {
                let (wim, target) = (corpus.join(file), folder.path().join("applied"));
                place
                    .transom("image apply --progress none")
                    .arg(format!("{}:{image}", wim.display()))
                    .arg(&target)
                    .run()
                    .status(0);
                let Some(theirs) = peer_listing(&wim, image) else { return };
                let volume = DirectoryVolume::open(&target).unwrap();
                let what = format!("{} image {image} in {}", wim.display(), folder.path().display());
                assert_same_listing(&listing(&volume), &theirs, &what);
                assert_eq!(volume.warnings(), Vec::<String>::new());
                fs::remove_dir_all(&target).unwrap();
            }
        }
    }
}

/// Below a directory: what each regular file holds, the targets of links by kind only, and which
/// names are one file.
fn contents(root: &Path) -> (BTreeMap<PathBuf, String>, Vec<Vec<PathBuf>>) {
    let mut found = BTreeMap::new();
    let mut by_inode: BTreeMap<u64, Vec<PathBuf>> = BTreeMap::new();
    let mut todo = vec![root.to_owned()];
    while let Some(path) = todo.pop() {
        let metadata = path.symlink_metadata().unwrap();
        let below = path.strip_prefix(root).unwrap().to_owned();
        if below == Path::new(".transom-metadata") {
            continue;
        }
        let what = if metadata.is_dir() {
            todo.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            "directory".to_owned()
        } else if metadata.is_symlink() {
            "link".to_owned()
        } else {
            by_inode.entry(metadata.ino()).or_default().push(below.clone());
            hex(&transom::digest::sha1(&fs::read(&path).unwrap()))
        };
        found.insert(below, what);
    }
    let mut links: Vec<Vec<PathBuf>> = by_inode.into_values().filter(|names| names.len() > 1).collect();
    links.iter_mut().for_each(|names| names.sort());
    links.sort();
    (found, links)
}

#[test]
fn data_and_hard_links_are_those_that_wimlib_applies() {
    let Some(corpus) = corpus("wim") else { return };
    let place = Place::new();
    for (file, images) in SOUND {
        for image in 1..=images {
            let wim = corpus.join(file);
            let (ours, theirs) = (place.path("ours"), place.path("theirs"));
            let threads = if image % 2 == 0 { "1" } else { "2" };
            place
                .transom("image apply --progress none --threads")
                .arg(threads)
                .arg(format!("{}:{image}", wim.display()))
                .arg(&ours)
                .run()
                .status(0);
            let arguments = ["apply", wim.to_str().unwrap(), &image.to_string(), theirs.to_str().unwrap()];
            if wimlib(&arguments).is_none() {
                return;
            }
            assert_eq!(contents(&ours), contents(&theirs), "{file} image {image}");
            fs::remove_dir_all(&ours).unwrap();
            fs::remove_dir_all(&theirs).unwrap();
        }
    }
}

#[test]
fn links_into_the_image_lead_into_the_tree() {
    let Some(corpus) = corpus("wim") else { return };
    let place = Place::new();
    let wim = corpus.join("nt/nt-lzx-integrity.wim");
    for (option, junction, absolute) in
        [("", "Windows", "Windows/System32/a.dll"), ("--no-rpfix", "/Windows", "/Windows/System32/a.dll")]
    {
        let target = place.path(&format!("target{option}"));
        place
            .transom(&format!("image apply {option}"))
            .arg(format!("{}:1", wim.display()))
            .arg(&target)
            .run()
            .status(0);
        let links =
            ["Junction", "abs_link", "rel_link"].map(|name| fs::read_link(target.join(name)).unwrap());
        assert_eq!(links, [junction, absolute, "Windows/System32/a.dll"].map(PathBuf::from), "{option}");
    }
}

#[test]
fn damaged_files_fail_with_the_offset_and_leave_a_mark() {
    let Some(corpus) = corpus("wim") else { return };
    let place = Place::new();
    // Name, what the error says, and whether anything had been written by then.
    for (file, says, begun) in [
        ("wimlib-tests/corrupted_file_1.wim", "at offset 208", true),
        ("wimlib-tests/cyclic.wim", "at offset 120 of the metadata", false),
        ("managedwimlib/VerifyFail.wim", "resource at offset 217", false),
    ] {
        let target = place.path(file.rsplit('/').next().unwrap());
        let wim = corpus.join(file);
        let ran = place.transom("image apply --progress none").arg(&wim).arg(&target).run();
        assert_eq!(ran.status, Some(1), "{file}: {}", ran.stderr);
        assert!(ran.stderr.contains(says), "{file}: {}", ran.stderr);
        assert_eq!(ran.stderr.contains("is left incomplete"), begun, "{file}: {}", ran.stderr);
        assert_eq!(target.exists(), begun, "{file}");
        if begun {
            let error = DirectoryVolume::open(&target).err().unwrap();
            assert_eq!(error.class(), ErrorClass::Usage);
            assert!(error.message().contains("not finished"), "{error}");
            // Applied again, with a sound image, it is whole.
            let sound = corpus.join("nt/nt-none.wim");
            place.transom("image apply --progress none").arg(sound).arg(&target).run().status(0);
            assert!(DirectoryVolume::open(&target).is_ok());
        }
    }
}

#[test]
fn names_do_not_lead_out_of_the_target() {
    let Some(corpus) = corpus("wim") else { return };
    let place = Place::new();
    place.write("inside/keep", "");
    let (wim, target) = (corpus.join("wimlib-tests/dotdot.wim"), place.path("inside/target"));
    let ran = place.transom("image apply --json --progress none").arg(&wim).arg(&target).run();
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains("leads out of its directory"), "{}", ran.stdout);
    let names: Vec<_> =
        fs::read_dir(place.path("inside")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");

    // Links that stand in the target: what has their name replaces them, nothing goes through them.
    let wim = corpus.join("nt/nt-none.wim");
    let (planted, outside) = (place.path("planted"), place.path("outside"));
    fs::create_dir_all(&planted).unwrap();
    fs::create_dir_all(&outside).unwrap();
    std::os::unix::fs::symlink(outside.join("written"), planted.join("empty.txt")).unwrap();
    place.transom("image apply --progress none").arg(&wim).arg(&planted).run().status(0);
    assert!(planted.join("empty.txt").symlink_metadata().unwrap().is_file());
    fs::remove_dir_all(planted.join("Windows")).unwrap();
    std::os::unix::fs::symlink(&outside, planted.join("Windows")).unwrap();
    let ran = place.transom("image apply --progress none").arg(&wim).arg(&planted).run().status(1);
    assert!(ran.stderr.contains("Windows: File exists"), "{}", ran.stderr);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn as_dism_and_what_is_refused() {
    let place = Place::new();
    let Some(_) = place.wim("install.wim", &["Pro", "Home"]) else { return };
    fs::create_dir(place.path("d")).unwrap();
    place
        .dism("/Apply-Image /ImageFile:install.wim /Name:Home /ApplyDir:d /CheckIntegrity /Verify /NoRpFix")
        .run()
        .status(0);
    assert_eq!(fs::read_to_string(place.path("d/readme.txt")).unwrap(), "image Home");
    for option in ["/Compact", "/EA", "/WIMBoot", "/ConfirmTrustedFile"] {
        let line = format!("/Apply-Image /ImageFile:install.wim /Index:1 /ApplyDir:e {option}");
        let ran = place.dism(&line).run();
        assert_eq!(ran.status, Some(50), "{option}: {}", ran.stdout);
        assert!(!place.path("e").exists());
    }
    for (line, status) in [
        ("image apply install.wim:1 none/e", 3),
        ("image apply install.wim e", 87),
        ("image apply install.wim:3 e", 87),
        // 183, which does not fit into an exit status of Linux.
        ("image apply install.wim:1 install.wim", 1),
    ] {
        place.transom(line).run().status(status);
    }
    assert!(!place.path("e").exists());
}

/// Something that is mounted until it is dropped.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// Runs what prepares a mount; nothing, said on stderr, where that is not possible here.
fn mounted(program: &str, arguments: &[&str], at: &Path) -> Option<Mounted> {
    fs::create_dir_all(at).unwrap();
    match Command::new(program).args(arguments).arg(at).output() {
        Ok(output) if output.status.success() => Some(Mounted(at.to_owned())),
        Ok(output) => {
            eprintln!("NOTICE: {program}: {}; this is not tried", String::from_utf8_lossy(&output.stderr));
            None
        }
        Err(error) => {
            eprintln!("NOTICE: {program}: {error}; this is not tried");
            None
        }
    }
}

#[test]
fn too_little_room_is_known_before_anything_is_written() {
    let Some(corpus) = corpus("wim") else { return };
    let place = Place::new();
    let at = place.path("small");
    let Some(_mounted) = mounted("mount", &["-t", "tmpfs", "-o", "size=64k", "none"], &at) else { return };
    let wim = corpus.join("nt/nt-lzx-integrity.wim");
    let ran = place.transom("image apply --progress none").arg(&wim).arg(&at).run();
    assert_eq!(ran.status, Some(112), "{}", ran.stderr);
    assert_eq!(fs::read_dir(&at).unwrap().count(), 0);
}

#[test]
fn an_ntfs_volume_gets_the_real_thing() {
    let Some(corpus) = corpus("wim") else { return };
    let place = Place::new();
    let volume = place.path("volume.img");
    fs::File::create(&volume).unwrap().set_len(32 << 20).unwrap();
    let volume = volume.to_str().unwrap();
    match Command::new("mkntfs")
        .args(["-F", "-q", "-s", "512", "-p", "0", "-H", "16", "-S", "63", volume])
        .output()
    {
        Ok(output) if output.status.success() => {}
        _ => {
            eprintln!("NOTICE: mkntfs makes no volume; NTFS is not tried");
            return;
        }
    }
    let wim = corpus.join("nt/nt-lzx-integrity.wim");
    let at = place.path("mounted");
    let Some(mounted) = mounted("ntfs-3g", &["-o", "streams_interface=xattr", volume], &at) else { return };
    place.transom("image apply --progress none").arg(&wim).arg(&at).run().status(0);
    drop(mounted);
    let back = place.path("back.wim");
    let back_name = back.to_str().unwrap();
    if wimlib(&["capture", volume, back_name, "back", "--compress=none", "--norpfix"]).is_none() {
        return;
    }
    let (mut ours, mut theirs) = (peer_listing(&back, 1).unwrap(), peer_listing(&wim, 1).unwrap());
    // The one stream that is longer than an extended attribute of Linux may be.
    assert!(ours.remove("/.transom-metadata").is_some());
    let mut longer = 0;
    for entry in theirs.values_mut() {
        let before = entry.streams.len();
        entry.streams.retain(|(kind, name), _| kind != "data" || name != "big");
        longer += before - entry.streams.len();
    }
    assert_eq!(longer, 1);
    assert_same_listing(&ours, &theirs, "an NTFS volume");
}
