// SPDX-License-Identifier: GPL-3.0-or-later
//! Captures of trees made for the purpose: data that is there twice, long and short, that shrinks
//! and does not; files left out; refusals; writes that fail.

mod wim_support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use transom::base::{
    DirEntry, ErrorClass, FileAttributes, FileTime, Node, NodeId, ReparseHeader, Result, StreamKind,
    TaggedItem, WinName, WinPath, name,
};
use transom::imaging::{self, CaptureList, CaptureReport, CaptureRequest, CaptureTarget, Compress, Work};
use transom::io::{Cancel, FixedClock, NoProgress, Pool, ReadAt, read_vec};
use transom::volume::memory::MemoryVolume;
use transom::volume::{Volume, read_file};
use transom::wim::{Image, ImageInfo, ImageText, LinkTargets, Wim};
use wim_support::faulty::Faulty;
use wim_support::{assert_listed_alike, index, our_listing, wimlib};

const TIME: FileTime = FileTime(133_500_000_000_000_000);

const WAYS: [(&str, Compress); 5] = [
    ("none.wim", Compress::None),
    ("fast.wim", Compress::Fast),
    ("max.wim", Compress::Max),
    ("lzms.wim", Compress::Lzms),
    ("solid.esd", Compress::Recovery),
];

fn with_work<T>(threads: usize, work: impl FnOnce(&Work<'_>) -> T) -> T {
    let pool = Pool::new(threads).unwrap();
    let (cancel, clock) = (Cancel::default(), FixedClock(TIME));
    work(&Work { pool: &pool, progress: &NoProgress, cancel: &cancel, clock: &clock })
}

fn request(destination: &Path, target: CaptureTarget) -> CaptureRequest {
    CaptureRequest {
        source: "/nonexistent".into(),
        destination: destination.to_owned(),
        target,
        text: ImageText { name: Some("image".to_owned()), ..ImageText::default() },
        list: CaptureList::default(),
        bootable: false,
        check_integrity: false,
        verify: false,
        links: LinkTargets::RelativeToRoot,
    }
}

fn capture(volume: &Arc<dyn Volume>, request: &CaptureRequest, threads: usize) -> Result<CaptureReport> {
    with_work(threads, |work| imaging::capture(volume, ImageInfo::default(), request, work))
}

#[track_caller]
fn assert_sound(path: &Path) {
    let report =
        with_work(2, |work| Wim::open(path).unwrap().verify(work.pool, work.progress, work.cancel).unwrap());
    assert_eq!((report.findings.len(), report.warnings.len()), (0, 0), "{}: {report:?}", path.display());
    wimlib(&["verify", path.to_str().unwrap()]);
}

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(step).collect()
}

fn text(seed: u64, length: usize) -> Vec<u8> {
    noise(seed, length).into_iter().map(|byte| b"etaoin shrdlu\r\n "[usize::from(byte & 15)]).collect()
}

/// Longer than what is hashed in memory.
const LONG: usize = (4 << 20) + 1000;

/// Paths and what is there; the last four are long, two of them equal, one alone of its length.
fn contents() -> BTreeMap<&'static str, Vec<u8>> {
    let twin = text(7, LONG);
    BTreeMap::from([
        ("\\empty", Vec::new()),
        ("\\one", b"1".to_vec()),
        ("\\dir\\text.txt", text(1, 100_000)),
        ("\\dir\\same.txt", text(1, 100_000)),
        ("\\dir\\noise.bin", noise(2, 70_000)),
        ("\\dir\\packed.cab", text(3, 90_000)),
        ("\\deep\\er\\chunk.dat", text(4, 1 << 15)),
        ("\\deep\\er\\two.dat", text(5, 1 << 16)),
        ("\\long\\a.bin", twin.clone()),
        ("\\long\\b.bin", twin),
        ("\\long\\c.bin", text(8, LONG)),
        ("\\long\\alone.bin", noise(9, LONG + 12_345)),
    ])
}

fn tree() -> MemoryVolume {
    let mut volume = MemoryVolume::new();
    for (path, data) in contents() {
        volume.add_file(&WinPath::parse(path).unwrap(), data);
    }
    volume
}

/// The short files only.
fn small_tree() -> MemoryVolume {
    let mut volume = MemoryVolume::new();
    for (path, data) in contents().into_iter().filter(|(_, data)| data.len() < LONG) {
        volume.add_file(&WinPath::parse(path).unwrap(), data);
    }
    volume
}

/// Counts how often, and how much, each file is read.
struct Counting {
    volume: MemoryVolume,
    reads: Arc<Mutex<BTreeMap<u64, (u64, u64)>>>,
}

struct CountingStream {
    node: NodeId,
    inner: Arc<dyn ReadAt>,
    reads: Arc<Mutex<BTreeMap<u64, (u64, u64)>>>,
}

impl ReadAt for CountingStream {
    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.reads.lock().unwrap().entry(self.node.0).or_default().1 += buffer.len() as u64;
        self.inner.read_exact_at(buffer, offset)
    }
}

impl Volume for Counting {
    fn root(&self) -> NodeId {
        self.volume.root()
    }

    fn node(&self, id: NodeId) -> Result<Node> {
        self.volume.node(id)
    }

    fn entries(&self, directory: NodeId) -> Result<Vec<DirEntry>> {
        self.volume.entries(directory)
    }

    fn lookup(&self, directory: NodeId, name: &[u16]) -> Result<Option<DirEntry>> {
        self.volume.lookup(directory, name)
    }

    fn links(&self, id: NodeId) -> Result<Vec<(NodeId, DirEntry)>> {
        self.volume.links(id)
    }

    fn open(&self, id: NodeId, kind: StreamKind, name: &[u16]) -> Result<Arc<dyn ReadAt>> {
        self.reads.lock().unwrap().entry(id.0).or_default().0 += 1;
        let inner = self.volume.open(id, kind, name)?;
        Ok(Arc::new(CountingStream { node: id, inner, reads: self.reads.clone() }))
    }
}

fn only_image(path: &Path) -> Image {
    Wim::open(path).unwrap().image(index(1)).unwrap()
}

/// Every file of the image has the data it was made with.
#[track_caller]
fn assert_contents(path: &Path, expected: &BTreeMap<&'static str, Vec<u8>>) {
    let image = transom::volume::WimVolume(only_image(path));
    for (file, data) in expected {
        let found = read_file(&image, &WinPath::parse(file).unwrap()).unwrap();
        assert!(found.as_deref() == Some(data), "{}: {file}", path.display());
    }
}

#[test]
fn long_and_short_data_is_stored_once_and_read_once() {
    let directory = tempfile::tempdir().unwrap();
    let expected = contents();
    for (name, compress) in WAYS.into_iter().filter(|(_, compress)| *compress != Compress::Lzms) {
        let path = directory.path().join(name);
        let reads = Arc::<Mutex<BTreeMap<u64, (u64, u64)>>>::default();
        let volume: Arc<dyn Volume> = Arc::new(Counting { volume: tree(), reads: reads.clone() });
        let report = capture(&volume, &request(&path, CaptureTarget::New(compress)), 2).unwrap();
        assert_sound(&path);
        assert_contents(&path, &expected);
        assert_listed_alike(&path);
        // Of twelve files one is empty and two are like others.
        assert_eq!((report.files, report.directories, report.new_blobs), (12, 4, 9), "{name}");
        assert_eq!(report.bytes, expected.values().map(|data| data.len() as u64).sum::<u64>());
        let length = |file: &str| expected[file].len() as u64;
        assert_eq!(report.new_bytes, report.bytes - length("\\dir\\same.txt") - length("\\long\\b.bin"));
        // What has a length of its own is read once. What does not shrink is read again if it is
        // longer than what is compressed at once, to be stored as it is.
        let reads = std::mem::take(&mut *reads.lock().unwrap());
        for (file, data) in &expected {
            let id = transom::volume::resolve(&*volume, &WinPath::parse(file).unwrap()).unwrap().unwrap();
            let times = match (*file, compress) {
                ("\\empty", _) => 0,
                // They might be equal, so their hashes come first.
                ("\\long\\a.bin" | "\\long\\c.bin", _) => 2,
                ("\\long\\alone.bin", Compress::Fast | Compress::Max) => 2,
                _ => 1,
            };
            let found = reads.get(&id.0).copied().unwrap_or_default();
            assert_eq!(found, (times, times * data.len() as u64), "{name} {file}");
        }
        // Another number of threads makes the same bytes.
        if !matches!(compress, Compress::Fast | Compress::None) {
            continue;
        }
        let again = directory.path().join(format!("again-{name}"));
        capture(&volume, &request(&again, CaptureTarget::New(compress)), 1).unwrap();
        assert!(std::fs::read(&path).unwrap() == std::fs::read(&again).unwrap(), "{name}");
    }
}

#[test]
fn what_the_list_names_is_stored_or_left_out() {
    let directory = tempfile::tempdir().unwrap();
    let mut volume = small_tree();
    volume.add_file(&WinPath::parse("\\long\\c.bin").unwrap(), text(8, 1000));
    volume.add_file(&WinPath::parse("\\long\\d.bin").unwrap(), text(9, 1000));
    for path in ["\\pagefile.sys", "\\System Volume Information\\x", "\\Windows\\CSC\\y", "\\a\\pagefile.sys"]
    {
        volume.add_file(&WinPath::parse(path).unwrap(), text(11, 5000));
    }
    let volume: Arc<dyn Volume> = Arc::new(volume);
    let path = directory.path().join("default.wim");
    let report = capture(&volume, &request(&path, CaptureTarget::New(Compress::Max)), 2).unwrap();
    assert_eq!(report.left_out, ["\\pagefile.sys", "\\System Volume Information", "\\Windows\\CSC"]);
    assert_sound(&path);
    let names: Vec<String> = our_listing(&only_image(&path)).into_keys().collect();
    assert!(names.contains(&"/a/pagefile.sys".to_owned()) && names.contains(&"/Windows".to_owned()));
    assert!(!names.iter().any(|name| name == "/pagefile.sys" || name.contains("CSC")), "{names:?}");
    // A cabinet is in the file as it is.
    let bytes = std::fs::read(&path).unwrap();
    let holds = |data: &[u8]| bytes.windows(data.len()).any(|window| window == data);
    assert!(holds(&contents()["\\dir\\packed.cab"][..4096]));
    assert!(!holds(&contents()["\\dir\\text.txt"][..4096]));

    let path = directory.path().join("own.wim");
    let list = "[ExclusionList]\n\\long\n*.dat\n[ExclusionException]\n\\long\\c.bin\ntwo.dat\n[What]\nx\n";
    let list = CaptureList::parse(list).unwrap();
    let request = CaptureRequest { list, ..request(&path, CaptureTarget::New(Compress::Max)) };
    let report = capture(&volume, &request, 2).unwrap();
    assert_sound(&path);
    let names: Vec<String> = our_listing(&only_image(&path)).into_keys().collect();
    let below = |folder: &str| names.iter().filter(|name| name.starts_with(folder)).count();
    assert_eq!((below("/long/"), below("/deep/er/"), below("/pagefile.sys")), (1, 1, 1), "{names:?}");
    assert_eq!(report.warnings.len(), 1, "{:?}", report.warnings);
    let bytes = std::fs::read(&path).unwrap();
    let cabinet = &contents()["\\dir\\packed.cab"][..4096];
    assert!(!bytes.windows(4096).any(|window| window == cabinet));
}

/// Hard links, short names, streams, reparse points, descriptors and object ids, as wimlib sees them.
#[test]
fn nt_metadata_is_written_as_wimlib_reads_it() {
    let mut volume = MemoryVolume::new();
    let file = volume.add_file(&WinPath::parse("\\a\\first name.txt").unwrap(), *b"data");
    let folder = volume.add_directory(&WinPath::parse("\\b").unwrap());
    volume.add_entry(folder, WinName::from("second"), None, file);
    volume.add_entry(folder, WinName::from("A long name"), Some(WinName::from("ALONGN~1")), file);
    volume.add_stream(file, StreamKind::Data, WinName::from("stream"), noise(3, 100_000));
    let security: Arc<[u8]> = Arc::from(
        [
            1u8, 0, 4, 0x80, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 5, 18, 0,
            0, 0,
        ]
        .as_slice(),
    );
    let id: Box<[u8]> = (1..=64).collect();
    for (number, node) in [file, folder].into_iter().enumerate() {
        let node = volume.node_mut(node).unwrap();
        node.security = Some(security.clone());
        node.creation_time = FileTime(TIME.0 + 10_000_000 * number as u64);
        node.write_time = FileTime(TIME.0 + 20_000_000);
        node.access_time = FileTime(TIME.0 + 30_000_000);
    }
    volume.node_mut(file).unwrap().tagged_items.push(TaggedItem { tag: TaggedItem::OBJECT_ID, data: id });
    volume.add_stream(folder, StreamKind::Data, WinName::from("on a folder"), *b"x");
    let link = volume.add_directory(&WinPath::parse("\\junction").unwrap());
    let node = volume.node_mut(link).unwrap();
    node.attributes |= FileAttributes::REPARSE_POINT;
    node.reparse = Some(ReparseHeader { tag: 0xA000_0003, reserved: 0, flags: 0 });
    let target = name::units_to_le(&name::units("\\??\\C:\\b"));
    let mut data = vec![0, 0];
    data.extend((target.len() as u16).to_le_bytes());
    data.extend((target.len() as u16 + 2).to_le_bytes());
    data.extend([0, 0]);
    data.extend(&target);
    data.extend([0; 4]);
    volume.add_stream(link, StreamKind::Reparse, WinName::default(), data);
    let volume: Arc<dyn Volume> = Arc::new(volume);
    let directory = tempfile::tempdir().unwrap();
    for (name, compress) in WAYS {
        let path = directory.path().join(name);
        capture(&volume, &request(&path, CaptureTarget::New(compress)), 2).unwrap();
        assert_sound(&path);
        assert_listed_alike(&path);
        let listing = our_listing(&only_image(&path));
        let entry = &listing["/b/A long name"];
        assert_eq!((entry.link_count, entry.short_name.as_str()), (3, "ALONGN~1"));
        assert_eq!((entry.streams.len(), entry.object_id.len()), (2, 4));
        assert!(!entry.security.is_empty() && entry.security == listing["/b"].security);
        assert_eq!(listing["/junction"].reparse_tag, 0xA000_0003);
        let wim = Wim::open(&path).unwrap();
        let info = &wim.images()[0];
        // Microsoft leaves the root out; a junction is a file.
        assert_eq!((info.directories, info.files), (Some(2), Some(4)));
        assert_eq!(info.hard_link_bytes, Some(2 * 100_004));
        assert_eq!((info.created, info.modified), (Some(TIME), Some(TIME)));
    }
}

#[test]
fn refused_before_anything_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.wim");
    let new = CaptureTarget::New(Compress::None);
    let mut encrypted = MemoryVolume::new();
    let file = encrypted.add_file(&WinPath::parse("\\secret.txt").unwrap(), *b"?");
    encrypted.node_mut(file).unwrap().attributes |= FileAttributes::ENCRYPTED;
    let volume: Arc<dyn Volume> = Arc::new(small_tree());
    let refused = |volume: &Arc<dyn Volume>, request: &CaptureRequest, class: ErrorClass, code: &str| {
        let error = capture(volume, request, 2).unwrap_err();
        assert_eq!((error.class(), error.code().to_string().as_str()), (class, code), "{error}");
        assert!(error.hint().is_some(), "{error}");
        error.to_string()
    };
    let encrypted: Arc<dyn Volume> = Arc::new(encrypted);
    let said = refused(&encrypted, &request(&path, new), ErrorClass::Unsupported, "50");
    assert!(said.contains("secret.txt"), "{said}");
    let empty: Arc<dyn Volume> = Arc::new(MemoryVolume::new());
    refused(&empty, &request(&path, new), ErrorClass::Usage, "87");
    let nameless = CaptureRequest { text: ImageText::default(), ..request(&path, new) };
    refused(&volume, &nameless, ErrorClass::Usage, "87");
    let inside = CaptureRequest { source: directory.path().to_owned(), ..request(&path, new) };
    refused(&volume, &inside, ErrorClass::Usage, "87");
    refused(&volume, &request(&path, CaptureTarget::New(Compress::Recovery)), ErrorClass::Usage, "87");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);

    capture(&volume, &request(&path, CaptureTarget::New(Compress::Fast)), 2).unwrap();
    let before = std::fs::read(&path).unwrap();
    refused(&volume, &request(&path, new), ErrorClass::Usage, "80");
    refused(&volume, &request(&path, CaptureTarget::Append), ErrorClass::Usage, "183");
    assert!(std::fs::read(&path).unwrap() == before);
}

/// A stream of any length that no disk has room for.
struct Endless(u64);

impl ReadAt for Endless {
    fn len(&self) -> u64 {
        self.0
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let mut state = offset | 1;
        for byte in buffer {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (state >> 56) as u8;
        }
        Ok(())
    }
}

struct Huge(MemoryVolume);

impl Volume for Huge {
    fn root(&self) -> NodeId {
        self.0.root()
    }

    fn node(&self, id: NodeId) -> Result<Node> {
        let mut node = self.0.node(id)?;
        for stream in &mut node.streams {
            (stream.length, stream.hash) = (1 << 60, None);
        }
        Ok(node)
    }

    fn entries(&self, directory: NodeId) -> Result<Vec<DirEntry>> {
        self.0.entries(directory)
    }

    fn lookup(&self, directory: NodeId, name: &[u16]) -> Result<Option<DirEntry>> {
        self.0.lookup(directory, name)
    }

    fn links(&self, id: NodeId) -> Result<Vec<(NodeId, DirEntry)>> {
        self.0.links(id)
    }

    fn open(&self, _: NodeId, _: StreamKind, _: &[u16]) -> Result<Arc<dyn ReadAt>> {
        Ok(Arc::new(Endless(1 << 60)))
    }
}

#[test]
fn room_is_looked_for_first() {
    let directory = tempfile::tempdir().unwrap();
    let mut volume = MemoryVolume::new();
    volume.add_file(&WinPath::parse("\\huge.bin").unwrap(), *b"x");
    let volume: Arc<dyn Volume> = Arc::new(Huge(volume));
    for (name, compress) in WAYS {
        let path = directory.path().join(name);
        let error = capture(&volume, &request(&path, CaptureTarget::New(compress)), 2).unwrap_err();
        assert_eq!((error.class(), error.code().to_string()), (ErrorClass::Space, "112".into()), "{error}");
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    let path = directory.path().join("append.wim");
    let small: Arc<dyn Volume> = Arc::new(small_tree());
    capture(&small, &request(&path, CaptureTarget::New(Compress::Fast)), 2).unwrap();
    let before = std::fs::read(&path).unwrap();
    let mut again = request(&path, CaptureTarget::Append);
    again.text.name = Some("other".into());
    let error = capture(&volume, &again, 2).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Space, "{error}");
    assert!(std::fs::read(&path).unwrap() == before);
}

#[test]
fn a_fault_at_any_write_leaves_no_new_file() {
    for compress in [Compress::Fast, Compress::Recovery, Compress::None] {
        let volume = if compress == Compress::None { tree() } else { small_tree() };
        let volume: Arc<dyn Volume> = Arc::new(volume);
        for at in 0.. {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("x.esd");
            let count = Arc::new(AtomicUsize::new(0));
            let outcome = with_work(2, |work| {
                let request = request(&path, CaptureTarget::New(compress));
                imaging::capture_through(&volume, ImageInfo::default(), &request, work, &mut |file| {
                    Box::new(Faulty { file, at, crash: false, count: count.clone() })
                })
            });
            if outcome.is_ok() {
                assert!(at > 4, "{compress:?}: {at} operations");
                assert_sound(&path);
                break;
            }
            assert_eq!(outcome.unwrap_err().class(), ErrorClass::Space);
            assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "operation {at}");
        }
    }
}

#[test]
fn a_fault_at_any_write_leaves_the_old_or_the_new_images() {
    let mut small = MemoryVolume::new();
    small.add_file(&WinPath::parse("\\first.txt").unwrap(), text(21, 30_000));
    let small: Arc<dyn Volume> = Arc::new(small);
    let mut volume = small_tree();
    volume.add_file(&WinPath::parse("\\long.bin").unwrap(), noise(5, LONG));
    let volume: Arc<dyn Volume> = Arc::new(volume);
    for crash in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.wim");
        let first =
            CaptureRequest { check_integrity: true, ..request(&path, CaptureTarget::New(Compress::Fast)) };
        capture(&small, &first, 2).unwrap();
        let before = std::fs::read(&path).unwrap();
        let (mut old, mut new) = (0, 0);
        for at in 0.. {
            std::fs::write(&path, &before).unwrap();
            let count = Arc::new(AtomicUsize::new(0));
            let outcome = with_work(2, |work| {
                let mut request = request(&path, CaptureTarget::Append);
                request.text.name = Some("second".into());
                imaging::capture_through(&volume, ImageInfo::default(), &request, work, &mut |file| {
                    Box::new(Faulty { file, at, crash, count: count.clone() })
                })
            });
            let after = std::fs::read(&path).unwrap();
            if outcome.is_err() && !crash {
                assert!(after == before, "operation {at}");
                continue;
            }
            // Half a header is one sector half written, which disks do not do.
            if outcome.is_err() && after[..104] != before[..104] && after[104..208] == before[104..208] {
                continue;
            }
            assert_sound(&path);
            match Wim::open(&path).unwrap().image_count() {
                1 => {
                    assert!(after[..before.len()] == before, "operation {at}");
                    old += 1;
                }
                2 => new += 1,
                other => panic!("operation {at}: {other} images"),
            }
            if outcome.is_ok() {
                assert!(at > 5, "{at} operations");
                break;
            }
        }
        assert!(new > 0 && (old > 3 || !crash), "crash {crash}: {old} old, {new} new");
    }
}

/// Never the same twice: its time moves whenever it is asked for.
struct Restless(MemoryVolume, AtomicU64);

impl Volume for Restless {
    fn root(&self) -> NodeId {
        self.0.root()
    }

    fn node(&self, id: NodeId) -> Result<Node> {
        let mut node = self.0.node(id)?;
        node.write_time = FileTime(self.1.fetch_add(1, Ordering::Relaxed));
        node.streams.iter_mut().for_each(|stream| stream.hash = None);
        Ok(node)
    }

    fn entries(&self, directory: NodeId) -> Result<Vec<DirEntry>> {
        self.0.entries(directory)
    }

    fn lookup(&self, directory: NodeId, name: &[u16]) -> Result<Option<DirEntry>> {
        self.0.lookup(directory, name)
    }

    fn links(&self, id: NodeId) -> Result<Vec<(NodeId, DirEntry)>> {
        self.0.links(id)
    }

    fn open(&self, id: NodeId, kind: StreamKind, name: &[u16]) -> Result<Arc<dyn ReadAt>> {
        self.0.open(id, kind, name)
    }
}

#[test]
fn a_file_that_changes_meanwhile_is_named_and_nothing_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let mut tree = MemoryVolume::new();
    tree.add_file(&WinPath::parse("\\folder\\log.txt").unwrap(), text(1, 50_000));
    let data = tree.open(NodeId(2), StreamKind::Data, &[]).unwrap();
    assert_eq!(read_vec(&data, 0, data.len()).unwrap().len(), 50_000);
    let volume: Arc<dyn Volume> = Arc::new(Restless(tree, AtomicU64::new(1)));
    for (name, compress) in WAYS {
        let path = directory.path().join(name);
        let error = capture(&volume, &request(&path, CaptureTarget::New(compress)), 2).unwrap_err();
        assert_eq!(error.class(), ErrorClass::Busy, "{error}");
        assert!(error.message().contains("folder\\log.txt"), "{error}");
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}
