// SPDX-License-Identifier: GPL-3.0-or-later
//! Edits through an overlay, committed into WIM files that wimlib made, judged by wimlib.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use transom::base::name::units;
use transom::base::{
    ErrorClass, FileAttributes, FileTime, NodeId, NodeKind, ReparseHeader, StreamKind, TaggedItem, WinName,
    WinPath, sddl,
};
use transom::digest::blob_hash;
use transom::io::{Cancel, FixedClock, NoProgress, Pool, ReadAt, Scratch, read_vec};
use transom::volume::{NewData, Overlay, Volume, WimVolume, resolve};
use transom::wim::{CommitOptions, CommitReport, ImageEdit, ImageIndex, Transaction, Wim};

const DATA: StreamKind = StreamKind::Data;
const NOW: FileTime = FileTime(133_500_000_000_000_000);
const FIRST: ImageIndex = ImageIndex(NonZeroU32::MIN);

fn corpus(folder: &str) -> Option<PathBuf> {
    let root = std::env::var_os("TRANSOM_CORPUS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"), PathBuf::from);
    let path = root.join(folder);
    if !path.is_dir() {
        eprintln!("NOTICE: {} is missing; its files are left out", path.display());
        return None;
    }
    Some(path)
}

/// Runs wimlib; nothing (said on stderr) where it is missing.
fn wimlib(arguments: &[&str]) -> Option<Output> {
    match Command::new("wimlib-imagex").args(arguments).env("LC_ALL", "C.UTF-8").output() {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("NOTICE: wimlib-imagex cannot be run ({error}); its judgement is left out");
            None
        }
    }
}

fn wimlib_succeeds(arguments: &[&str]) -> Option<String> {
    let output = wimlib(arguments)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
    Some(text(&output.stdout))
}

/// One name, in the terms of `wimlib-imagex dir --detailed`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Entry {
    short_name: String,
    attributes: u32,
    security: String,
    /// Creation, last write, last access.
    times: [String; 3],
    reparse_tag: u32,
    links: usize,
    object_id: String,
    /// Hash by kind and name; empty unnamed data is left out, as writers differ about it.
    streams: BTreeMap<String, String>,
}

type Listing = BTreeMap<String, Entry>;

fn peer_listing(wim: &Path) -> Option<Listing> {
    let text = wimlib_succeeds(&["dir", "--detailed", wim.to_str().unwrap(), "1"])?;
    let mut listing = Listing::new();
    for block in text.split(&format!("{}\n", "-".repeat(76))) {
        let (mut entry, mut path, mut stream) = (Entry::default(), None, String::new());
        for line in block.lines() {
            match line.trim() {
                "Unnamed data stream:" => stream = "data ".to_owned(),
                "Reparse point stream:" => stream = "reparse ".to_owned(),
                named if named.starts_with("Named data stream \"") => {
                    stream = format!("data {}", &named[19..].trim_end_matches("\":"));
                }
                _ => {}
            }
            let Some((label, value)) = line.split_once('=') else { continue };
            let (text, hex) =
                (value.trim().trim_matches('"').to_owned(), value.trim().trim_start_matches("0x"));
            match label.trim() {
                "Full Path" => path = Some(text),
                "Short Name" => entry.short_name = text,
                "Attributes" => entry.attributes = u32::from_str_radix(hex, 16).unwrap(),
                "Security Descriptor" => entry.security = text,
                "Creation Time" => entry.times[0] = text,
                "Last Write Time" => entry.times[1] = text,
                "Last Access Time" => entry.times[2] = text,
                "Reparse Tag" => entry.reparse_tag = u32::from_str_radix(hex, 16).unwrap(),
                "Link Count" => entry.links = text.parse().unwrap(),
                "Object ID" => entry.object_id = hex.to_owned(),
                "Hash" if stream != "data " || hex.bytes().any(|digit| digit != b'0') => {
                    entry.streams.insert(stream.clone(), hex.to_owned());
                }
                _ => {}
            }
        }
        if let Some(path) = path {
            listing.insert(path, entry);
        }
    }
    Some(listing)
}

fn our_listing(volume: &dyn Volume) -> Listing {
    let mut listing = Listing::new();
    let mut todo = vec![(String::new(), String::new(), volume.root())];
    while let Some((path, short_name, id)) = todo.pop() {
        let shown = if path.is_empty() { "/".to_owned() } else { path.clone() };
        listing.insert(shown, our_entry(volume, id, short_name));
        for child in volume.entries(id).unwrap() {
            let short_name = child.short_name.map(|name| name.to_string()).unwrap_or_default();
            todo.push((format!("{path}/{}", child.name), short_name, child.node));
        }
    }
    listing
}

fn our_entry(volume: &dyn Volume, id: NodeId, short_name: String) -> Entry {
    let node = volume.node(id).unwrap();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let time = |time: FileTime| {
        let moment = jiff::Timestamp::from_second(time.to_unix().0).unwrap();
        moment.strftime("%a %b %d %H:%M:%S %Y UTC").to_string()
    };
    let object_id = node.tagged_items.iter().find(|item| item.tag == TaggedItem::OBJECT_ID);
    let mut streams = BTreeMap::new();
    for stream in &node.streams {
        let bytes = content(volume, id, stream.kind, stream.name.units());
        assert_eq!(bytes.len() as u64, stream.length);
        let kind = if stream.kind == StreamKind::Reparse { "reparse" } else { "data" };
        if !(bytes.is_empty() && kind == "data" && stream.name.is_empty()) {
            streams.insert(format!("{kind} {}", stream.name), blob_hash(&bytes).to_string());
        }
    }
    Entry {
        short_name,
        attributes: node.attributes.bits(),
        security: node.security.as_deref().map(hex).unwrap_or_default(),
        times: [node.creation_time, node.write_time, node.access_time].map(time),
        reparse_tag: node.reparse.map_or(0, |reparse| reparse.tag),
        links: volume.links(id).unwrap().len().max(1),
        object_id: object_id.map(|item| hex(&item.data[..16])).unwrap_or_default(),
        streams,
    }
}

fn content(volume: &dyn Volume, id: NodeId, kind: StreamKind, stream: &[u16]) -> Vec<u8> {
    let data = volume.open(id, kind, stream).unwrap();
    read_vec(&data, 0, data.len()).unwrap()
}

fn assert_same(found: &Listing, expected: &Listing, what: &str) {
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{what}: the names");
    for (path, entry) in expected {
        assert_eq!(&found[path], entry, "{what}: {path}");
    }
}

fn open(wim: &Path, scratch: &Path) -> (Arc<WimVolume>, Overlay) {
    let base = Arc::new(WimVolume(Wim::open(wim).unwrap().image(FIRST).unwrap()));
    let volume = Arc::clone(&base) as Arc<dyn Volume>;
    let overlay = Overlay::new(volume, Scratch::new_in(scratch).unwrap(), Arc::new(FixedClock(NOW))).unwrap();
    (base, overlay)
}

fn commit(wim: &Path, base: &WimVolume, overlay: &Overlay) -> CommitReport {
    let edit =
        ImageEdit { metadata: base.0.metadata_hash(), tree: overlay.tree_edit().unwrap(), modified: NOW };
    let mut transaction = Transaction::new(wim);
    transaction.edit(edit);
    let (pool, cancel) = (Pool::new(2).unwrap(), Cancel::default());
    transaction.commit(&CommitOptions { pool: &pool, progress: &NoProgress, cancel: &cancel }).unwrap()
}

/// The file must hold what the overlay showed, to us and to wimlib.
fn judge(wim: &Path, expected: &Listing, directory: &Path) {
    let what = wim.display().to_string();
    let reopened = WimVolume(Wim::open(wim).unwrap().image(FIRST).unwrap());
    assert_same(&our_listing(&reopened), expected, &what);
    let name = wim.to_str().unwrap();
    wimlib_succeeds(&["verify", name]);
    if let Some(listing) = peer_listing(wim) {
        assert_same(&listing, expected, &format!("{what} by wimlib"));
    }
    let target = directory.join("applied");
    // Links to absolute paths and unknown reparse points do not exist outside NTFS; wimlib warns.
    if wimlib_succeeds(&["apply", name, "1", target.to_str().unwrap()]).is_some() {
        let applied = |path: &str| std::fs::read(target.join(path.trim_start_matches('/')));
        let plain = expected.iter().filter(|(_, entry)| entry.attributes & 0x410 == 0);
        for (path, entry) in plain {
            let hash = entry.streams.get("data ").cloned();
            let bytes = applied(path).unwrap_or_else(|error| panic!("{what}: {path}: {error}"));
            let found = (!bytes.is_empty()).then(|| blob_hash(&bytes).to_string());
            assert_eq!(found, hash, "{what}: {path} as applied");
        }
        std::fs::remove_dir_all(target).unwrap();
    }
}

/// A copy that can be written; those of the corpus cannot.
fn copied(wim: &Path, directory: &Path) -> PathBuf {
    let copy = directory.join(wim.file_name().unwrap());
    std::fs::write(&copy, std::fs::read(wim).unwrap()).unwrap();
    copy
}

/// Something of everything.
fn edit(overlay: &Overlay) {
    let root = overlay.root();
    let at = |text: &str| resolve(overlay, &WinPath::parse(text).unwrap()).unwrap();
    let find = |text: &str| at(text).unwrap_or_else(|| panic!("{text} is not there"));
    let name = |text: &str| WinName::from(text);

    let new = overlay.create_directories(&WinPath::parse(r"Windows\New\Deeper").unwrap()).unwrap();
    let file = overlay.create(new, &name("file.sys"), NodeKind::File).unwrap();
    overlay.write(file, DATA, &[], 40_000, b"behind a hole").unwrap();
    overlay.link(file, root, &name("second name")).unwrap();
    overlay.create(new, &name("empty"), NodeKind::File).unwrap();
    let large = overlay.supersede(new, &name("large"), NewData::Reader(Arc::new(vec![5; 300_000]))).unwrap();
    overlay.replace(large, DATA, &units("stream"), NewData::Bytes(b"in a stream".to_vec())).unwrap();
    overlay.add_stream(new, &name("of a directory")).unwrap();
    overlay.write(new, DATA, &units("of a directory"), 0, b"1").unwrap();
    overlay.set_short_name(new, &units("large"), Some(&name("LARGE~1"))).unwrap();
    overlay.set_object_id(large, Some(&[7; 16])).unwrap();
    overlay.set_security(large, Some(&sddl::compile("O:SYG:SYD:P(A;;FA;;;SY)").unwrap())).unwrap();
    overlay.set_times(large, Some(FileTime(NOW.0 / 2)), None, None).unwrap();

    let hive = find(r"Windows\System32\config\SOFTWARE");
    overlay.write(hive, DATA, &[], 3, b"changed in place").unwrap();
    let system32 = find(r"Windows\System32");
    overlay.supersede(system32, &name("A.DLL"), NewData::Bytes(b"only this name".to_vec())).unwrap();
    overlay.replace(find(r"Windows\System32\dup1.bin"), DATA, &[], NewData::Bytes(Vec::new())).unwrap();
    overlay.rename(system32, &units("dup2.bin"), root, &name("Moved.bin")).unwrap();
    overlay
        .rename(root, &units("A Rather Long File Name.txt"), new, &name("a rather long file name.txt"))
        .unwrap();
    overlay.set_attributes(find("empty.txt"), FileAttributes::HIDDEN).unwrap();
    overlay.remove(root, &units("rel_link")).unwrap();
    overlay.remove(root, &units("unknown_reparse")).unwrap();
    let link = overlay.create(root, &name("link"), NodeKind::File).unwrap();
    let mut target = vec![4, 0, 4, 0, 0, 0, 4, 0, 1, 0, 0, 0];
    target.extend([0x78, 0, 0x78, 0, 0x78, 0, 0x78, 0]);
    let header = ReparseHeader { tag: 0xA000_000C, reserved: 0, flags: 1 };
    overlay.set_reparse(link, Some((header, &target))).unwrap();
    overlay.set_reparse(find("Junction"), None).unwrap();
}

#[test]
fn wims_of_every_codec() {
    let Some(corpus) = corpus("wim/nt") else { return };
    for file in [
        "nt-none.wim",
        "nt-xpress.wim",
        "nt-xpress4k.wim",
        "nt-lzx-integrity.wim",
        "nt-lzms-nonsolid.wim",
        "nt-lzms-solid.esd",
    ] {
        let directory = tempfile::tempdir().unwrap();
        let wim = copied(&corpus.join(file), directory.path());
        let (base, overlay) = open(&wim, directory.path());
        let before = our_listing(&*base);
        assert_same(&our_listing(&overlay), &before, file);
        edit(&overlay);
        let expected = our_listing(&overlay);
        let touched = overlay.diff().unwrap();
        // What no line of the difference names is as it was, but for directories' write times.
        for (path, entry) in &before {
            let is_named = touched.iter().any(|change| {
                let shown = format!("/{}", change.path().to_string().replace('\\', "/"));
                shown.split(':').next() == Some(path)
            });
            if !is_named && entry.attributes & 0x10 == 0 {
                let mut now = expected[path].clone();
                // A name less elsewhere is no change of this one.
                now.links = entry.links;
                assert_eq!(&now, entry, "{path}");
            }
        }
        commit(&wim, &base, &overlay);
        judge(&wim, &expected, directory.path());

        // Once more on top of that, after a rollback that must leave nothing.
        let (base, overlay) = open(&wim, directory.path());
        let savepoint = overlay.savepoint().unwrap();
        overlay.remove_tree(overlay.root(), &units("Windows")).unwrap();
        overlay.rollback(savepoint).unwrap();
        assert!(!overlay.is_changed());
        overlay.remove_tree(overlay.root(), &units("windows")).unwrap();
        let expected = our_listing(&overlay);
        commit(&wim, &base, &overlay);
        judge(&wim, &expected, directory.path());
    }
}

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

/// What is refused (a name that is taken, a directory with entries) is left out.
fn edit_at_random(overlay: &Overlay, numbers: &mut Numbers) {
    let mut directories = Vec::new();
    let mut files = Vec::new();
    let mut entries = Vec::new();
    let mut todo = vec![overlay.root()];
    while let Some(id) = todo.pop() {
        let node = overlay.node(id).unwrap();
        if node.attributes.contains(FileAttributes::REPARSE_POINT) {
            // Its unnamed data is not listed by wimlib, so it gets none.
        } else if node.kind() == NodeKind::File {
            files.push(id);
        } else if node.has_entries() {
            directories.push(id);
        }
        for entry in overlay.entries(id).unwrap() {
            todo.push(entry.node);
            entries.push((id, entry.name));
        }
    }
    let directory = directories[numbers.below(directories.len())];
    let name = WinName::from(format!("Name {}.txt", numbers.below(30)).as_str());
    let bytes = vec![numbers.below(256) as u8; numbers.below(100_000)];
    let file = (!files.is_empty()).then(|| files[numbers.below(files.len())]);
    let entry = (!entries.is_empty()).then(|| entries[numbers.below(entries.len())].clone());
    let outcome = match (numbers.below(11), file, entry) {
        (0, ..) => overlay.create(directory, &name, NodeKind::Directory).map(drop),
        (1 | 2, ..) => overlay.supersede(directory, &name, NewData::Bytes(bytes)).map(drop),
        (3, Some(file), _) => overlay.write(file, DATA, &[], numbers.below(200_000) as u64, &bytes),
        (4, Some(file), _) => overlay.truncate(file, DATA, &[], bytes.len() as u64),
        (5, Some(file), _) => overlay.link(file, directory, &name),
        (6, Some(file), _) => overlay.replace(file, DATA, &units("stream"), NewData::Bytes(bytes)),
        (7, _, Some((from, old))) => overlay.rename(from, old.units(), directory, &name),
        (8, _, Some((from, old))) => overlay.rename_over(from, old.units(), directory, &name),
        (9, _, Some((from, old))) => overlay.remove(from, old.units()),
        (10, _, Some((from, old))) => overlay.set_short_name(
            from,
            old.units(),
            Some(&format!("SHORT~{}", numbers.below(9)).as_str().into()),
        ),
        _ => Ok(()),
    };
    if let Err(error) = outcome {
        assert!(
            matches!(error.class(), ErrorClass::Usage | ErrorClass::Unsupported | ErrorClass::NotFound),
            "{error:?}"
        );
    }
}

#[test]
fn commit_after_commit_of_random_edits() {
    let Some(corpus) = corpus("wim/nt") else { return };
    let directory = tempfile::tempdir().unwrap();
    let wim = copied(&corpus.join("nt-xpress.wim"), directory.path());
    let mut numbers = Numbers(0x5EED);
    for _ in 0..12 {
        let (base, overlay) = open(&wim, directory.path());
        for _ in 0..40 {
            edit_at_random(&overlay, &mut numbers);
        }
        let expected = our_listing(&overlay);
        commit(&wim, &base, &overlay);
        judge(&wim, &expected, directory.path());
    }
}

#[test]
fn a_patched_hive_costs_its_changed_chunks() {
    let directory = tempfile::tempdir().unwrap();
    let tree = directory.path().join("tree");
    std::fs::create_dir_all(tree.join("Windows/System32/config")).unwrap();
    // Text-like and different in every chunk.
    let hive: Vec<u8> =
        (0..4_000_000_u32).map(|at| b'a' + ((at / 13).wrapping_mul(2_654_435_761) >> 29) as u8).collect();
    std::fs::write(tree.join("Windows/System32/config/SOFTWARE"), &hive).unwrap();
    std::fs::hard_link(tree.join("Windows/System32/config/SOFTWARE"), tree.join("Windows/copy")).unwrap();
    for number in 0..200 {
        std::fs::write(tree.join(format!("Windows/file{number}")), format!("content {number}")).unwrap();
    }
    let wim = directory.path().join("install.wim");
    let (tree, wim_name) = (tree.to_str().unwrap(), wim.to_str().unwrap());
    if wimlib_succeeds(&["capture", tree, wim_name, "name", "--compress=LZX:20", "--threads=2"]).is_none() {
        return;
    }
    let (base, overlay) = open(&wim, directory.path());
    let found =
        resolve(&overlay, &WinPath::parse(r"Windows\System32\config\SOFTWARE").unwrap()).unwrap().unwrap();
    let ranges = vec![(100_000, b"first".to_vec()), (3_999_990, vec![0; 4_106])];
    overlay.replace(found, DATA, &[], NewData::Patch { length: 4_004_096, ranges }).unwrap();
    let expected = our_listing(&overlay);
    assert_eq!(expected["/Windows/copy"], expected["/Windows/System32/config/SOFTWARE"]);
    let report = commit(&wim, &base, &overlay);
    assert_eq!(report.new_blobs, 1);
    assert_eq!(report.new_bytes, 4_004_096);
    assert!(report.copied_chunks >= 120, "{report:?}");
    judge(&wim, &expected, directory.path());
}
