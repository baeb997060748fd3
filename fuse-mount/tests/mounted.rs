// SPDX-License-Identifier: GPL-3.0-or-later
//! A tree in memory, mounted for real, as processes see it.
//!
//! Where the machine lets nobody mount, each test says so on standard error and passes.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Deref;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fuse_mount::{
    Access, Errno, Error, Mount, Options, Places, Spellings, Use, Way, detach_mount, holders, mount_table,
    probe, unmount_mount,
};
use rustix::fs::{CWD, FallocateFlags, FlockOperation, Mode, OFlags, RenameFlags, XattrFlags};

mod memory;

use memory::{Call, Case, Memory};

/// A mounted tree, unmounted when it goes, whatever happens in the test.
struct Mounted {
    // In this order: the mount has to be gone when the directory is removed.
    mount: Mount,
    memory: Arc<Memory>,
    directory: tempfile::TempDir,
}

impl Mounted {
    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(name)
    }

    fn root(&self) -> &Path {
        self.directory.path()
    }

    /// Waits until the kernel has let go of everything but the root.
    fn assert_nodes(&self, expected: usize) {
        let began = Instant::now();
        while self.memory.node_count() != expected {
            assert!(began.elapsed() < Duration::from_secs(5), "{} nodes", self.memory.node_count());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Deref for Mounted {
    type Target = Mount;

    fn deref(&self) -> &Mount {
        &self.mount
    }
}

fn notice(text: &str) {
    // Straight to standard error: the test harness keeps what the macros print.
    io::stderr().write_all(format!("NOTICE fuse-mount: {text}\n").as_bytes()).unwrap();
}

fn options(case: Case) -> Options {
    let mut options = Options::new("in memory, of a test", "memory", Access::ReadWrite);
    options.places = Places::Stable;
    if case == Case::Insensitive {
        options.spellings = Spellings::Many;
    }
    options
}

fn mount_memory(memory: Memory, options: Options) -> Option<Mounted> {
    let directory = tempfile::tempdir().unwrap();
    let memory = Arc::new(memory);
    match Mount::spawn(Arc::clone(&memory), directory.path(), options) {
        Ok(mount) => Some(Mounted { mount, memory, directory }),
        Err(error @ (Error::Device { .. } | Error::NotAllowed { .. })) => {
            notice(&format!("passed over: {error}"));
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn mounted(case: Case) -> Option<Mounted> {
    mount_memory(Memory::new(case), options(case))
}

/// The test goes on only if something could be mounted.
macro_rules! mounted {
    ($mounted:expr) => {
        match $mounted {
            Some(mounted) => mounted,
            None => return,
        }
    };
}

#[track_caller]
fn assert_errno<T: std::fmt::Debug>(result: io::Result<T>, expected: Errno) {
    assert_eq!(result.map_err(Errno::from).unwrap_err(), expected);
}

#[track_caller]
fn assert_raw_errno<T: std::fmt::Debug>(result: rustix::io::Result<T>, expected: Errno) {
    assert_eq!(result.map_err(Errno::from).unwrap_err(), expected);
}

fn names(directory: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(directory).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(names.insert(name.clone()), "{name} is listed twice");
    }
    names
}

fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

fn is_mounted(directory: &Path) -> bool {
    mount_table().unwrap().iter().any(|entry| entry.mount_point == directory)
}

/// Bytes that differ from place to place.
fn pattern(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

#[test]
fn the_mount_table_shows_it() {
    let m = mounted!(mounted(Case::Sensitive));
    let entry = mount_table().unwrap().into_iter().find(|entry| entry.mount_point == m.root()).unwrap();
    assert_eq!(
        (entry.file_system.to_str(), entry.source.to_str()),
        (Some("fuse.memory"), Some("in memory, of a test"))
    );
    assert_eq!(m.entry(), Some(&entry));
    if m.way() == Way::Direct {
        let (major, minor) = entry.device;
        let file = format!("/sys/class/bdi/{major}:{minor}/read_ahead_kb");
        if rustix::fs::access(&file, rustix::fs::Access::WRITE_OK).is_ok() {
            assert_eq!(fs::read_to_string(file).unwrap().trim(), "1024");
        }
    }
}

#[test]
fn files_and_directories() {
    let m = mounted!(mounted(Case::Sensitive));
    let file = m.path("a");
    assert_errno(fs::read(&file), Errno::ENOENT);
    fs::write(&file, b"one").unwrap();
    OpenOptions::new().append(true).open(&file).unwrap().write_all(b" two").unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"one two");
    let handle = OpenOptions::new().read(true).write(true).open(&file).unwrap();
    handle.set_len(3).unwrap();
    handle.write_all_at(b"!", 6).unwrap();
    handle.sync_all().unwrap();
    assert_eq!(m.memory.calls(Call::Fsync), 1);
    assert_eq!(fs::read(&file).unwrap(), b"one\0\0\0!");
    assert_eq!(fs::metadata(&file).unwrap().len(), 7);
    File::create(&file).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().len(), 0);
    assert_errno(OpenOptions::new().write(true).create_new(true).open(&file), Errno::EEXIST);

    fs::set_permissions(&file, fs::Permissions::from_mode(0o4640)).unwrap();
    let metadata = fs::metadata(&file).unwrap();
    // The tree of this mount is said to have no set-id bits.
    assert_eq!((metadata.mode(), metadata.nlink()), (0o100_640, 1));

    fs::create_dir_all(m.path("d/e/f")).unwrap();
    assert_eq!(fs::metadata(m.path("d/e")).unwrap().nlink(), 3);
    assert_errno(fs::remove_dir(m.path("d/e")), Errno::ENOTEMPTY);
    assert_errno(fs::remove_file(m.path("d/e")), Errno::EISDIR);
    assert_errno(fs::remove_dir(&file), Errno::ENOTDIR);
    fs::rename(m.path("d/e"), m.path("g")).unwrap();
    assert_eq!((names(m.root()), names(&m.path("g"))), (set(["a", "d", "g"]), set(["f"])));
    assert_errno(fs::rename(m.path("g"), m.path("g/f/h")), Errno::EINVAL);
    assert_errno(fs::create_dir(m.path("x".repeat(256))), Errno::ENAMETOOLONG);

    let dots: Vec<(String, u64)> = rustix::fs::Dir::read_from(File::open(m.path("g/f")).unwrap())
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().to_str().unwrap().to_owned(), entry.ino()))
        .collect();
    let number = |name: &str| fs::metadata(m.path(name)).unwrap().ino();
    assert_eq!(dots, [(".".to_owned(), number("g/f")), ("..".to_owned(), number("g"))]);

    drop(handle);
    fs::remove_file(&file).unwrap();
    fs::remove_dir_all(m.path("g")).unwrap();
    fs::remove_dir(m.path("d")).unwrap();
    m.assert_nodes(1);
}

#[test]
fn times() {
    let m = mounted!(mounted(Case::Sensitive));
    let file = File::create(m.path("t")).unwrap();
    for time in [
        UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789),
        UNIX_EPOCH,
        UNIX_EPOCH - Duration::new(1, 250_000_000),
        // 1601, where Windows begins.
        UNIX_EPOCH - Duration::new(11_644_473_600, 0),
    ] {
        let times = fs::FileTimes::new().set_modified(time).set_accessed(time);
        file.set_times(times).unwrap();
        let metadata = fs::metadata(m.path("t")).unwrap();
        assert_eq!((metadata.modified().unwrap(), metadata.accessed().unwrap()), (time, time));
    }
    let before = SystemTime::now();
    (&file).write_all(b"x").unwrap();
    assert!(file.metadata().unwrap().modified().unwrap() >= before);
}

#[test]
fn rename_flags() {
    let m = mounted!(mounted(Case::Sensitive));
    let rename =
        |from: &str, to: &str, flags| rustix::fs::renameat_with(CWD, m.path(from), CWD, m.path(to), flags);
    fs::write(m.path("a"), "a").unwrap();
    fs::write(m.path("b"), "b").unwrap();
    fs::create_dir_all(m.path("d/sub")).unwrap();
    assert_raw_errno(rename("a", "b", RenameFlags::NOREPLACE), Errno::EEXIST);
    rename("a", "c", RenameFlags::NOREPLACE).unwrap();
    assert_raw_errno(rename("b", "none", RenameFlags::EXCHANGE), Errno::ENOENT);
    rename("b", "c", RenameFlags::EXCHANGE).unwrap();
    assert_eq!(
        (fs::read(m.path("b")).unwrap(), fs::read(m.path("c")).unwrap()),
        (b"a".to_vec(), b"b".to_vec())
    );
    rename("d", "b", RenameFlags::EXCHANGE).unwrap();
    assert!(m.path("b/sub").is_dir() && m.path("d").is_file());
    assert_raw_errno(rename("d", "x", RenameFlags::WHITEOUT), Errno::EINVAL);
    assert_errno(fs::rename(m.path("d"), m.path("b")), Errno::EISDIR);
    assert_errno(fs::rename(m.path("b"), m.path("d")), Errno::ENOTDIR);
    fs::rename(m.path("d"), m.path("c")).unwrap();
    assert_eq!((names(m.root()), fs::read(m.path("c")).unwrap()), (set(["b", "c"]), b"a".to_vec()));
    m.assert_nodes(4);
}

#[test]
fn links() {
    let m = mounted!(mounted(Case::Sensitive));
    fs::write(m.path("a"), "data").unwrap();
    fs::hard_link(m.path("a"), m.path("b")).unwrap();
    let (a, b) = (fs::metadata(m.path("a")).unwrap(), fs::metadata(m.path("b")).unwrap());
    assert_eq!((a.ino(), a.nlink(), b.nlink()), (b.ino(), 2, 2));
    fs::write(m.path("b"), "other").unwrap();
    assert_eq!(fs::read(m.path("a")).unwrap(), b"other");
    assert_errno(fs::hard_link(m.path("a"), m.path("b")), Errno::EEXIST);
    fs::create_dir(m.path("d")).unwrap();
    assert_errno(fs::hard_link(m.path("d"), m.path("e")), Errno::EPERM);

    let mut open = OpenOptions::new().read(true).write(true).open(m.path("a")).unwrap();
    fs::remove_file(m.path("a")).unwrap();
    assert_eq!(fs::metadata(m.path("b")).unwrap().nlink(), 1);
    fs::remove_file(m.path("b")).unwrap();
    open.write_all(b"OTH").unwrap();
    open.rewind().unwrap();
    let mut text = String::new();
    open.read_to_string(&mut text).unwrap();
    assert_eq!((text.as_str(), open.metadata().unwrap().nlink()), ("OTHer", 0));
    m.assert_nodes(3);
    drop(open);
    m.assert_nodes(2);

    symlink("d/../nowhere", m.path("s")).unwrap();
    assert_eq!(fs::read_link(m.path("s")).unwrap(), Path::new("d/../nowhere"));
    assert_eq!(fs::symlink_metadata(m.path("s")).unwrap().len(), 12);
    assert_errno(fs::read(m.path("s")), Errno::ENOENT);
    fs::remove_file(m.path("s")).unwrap();
    symlink("d", m.path("s")).unwrap();
    fs::write(m.path("s/x"), "").unwrap();
    assert_eq!(names(&m.path("d")), set(["x"]));
}

#[test]
fn big_files() {
    let m = mounted!(mounted(Case::Sensitive));
    const LENGTH: usize = (96 << 20) + 12_345;
    let data = pattern(LENGTH, 7);
    fs::write(m.path("big"), &data).unwrap();
    // Not from the page cache: the second mapping of the pages is the tree's.
    rustix::fs::fadvise(File::open(m.path("big")).unwrap(), 0, None, rustix::fs::Advice::DontNeed).unwrap();
    assert!(fs::read(m.path("big")).unwrap() == data);
    assert!(m.memory.calls(Call::Read) > 0);

    let file = OpenOptions::new().read(true).write(true).open(m.path("big")).unwrap();
    let patch = pattern(3 << 20, 99);
    let mut model = data;
    for offset in [0, 12_345, 70 << 20, LENGTH - patch.len()] {
        file.write_all_at(&patch, offset as u64).unwrap();
        model[offset..offset + patch.len()].copy_from_slice(&patch);
    }
    assert!(fs::read(m.path("big")).unwrap() == model);

    const TERABYTE: u64 = 1 << 40;
    file.set_len(TERABYTE).unwrap();
    file.write_all_at(b"end", TERABYTE - 3).unwrap();
    let mut tail = [1; 8];
    file.read_exact_at(&mut tail, TERABYTE - 8).unwrap();
    assert_eq!(&tail, b"\0\0\0\0\0end");
    let metadata = file.metadata().unwrap();
    assert_eq!(metadata.len(), TERABYTE);
    assert!(metadata.blocks() * 512 < 2 * LENGTH as u64);
    assert_errno(file.set_len(1 << 45), Errno::EFBIG);
}

#[test]
fn direct_reads_and_writes() {
    let m = mounted!(mounted(Case::Sensitive));
    let data = pattern(1 << 20, 3);
    fs::write(m.path("f"), &data).unwrap();
    let flags = OFlags::DIRECT.bits().cast_signed();
    let direct = OpenOptions::new().read(true).write(true).custom_flags(flags).open(m.path("f")).unwrap();
    let mut read = vec![0; 1 << 20];
    direct.read_exact_at(&mut read, 0).unwrap();
    assert!(read == data);
    direct.write_all_at(&pattern(4096, 5), 4096).unwrap();
    assert!(fs::read(m.path("f")).unwrap()[4096..8192] == pattern(4096, 5));
}

#[test]
fn mapped_files() {
    let m = mounted!(mounted(Case::Sensitive));
    // A program is mapped when it runs.
    // Copied by another process: a descriptor of ours, open for writing, could be in a child of another test by now.
    assert!(Command::new("cp").arg("/bin/true").arg(m.path("true")).status().unwrap().success());
    assert!(Command::new(m.path("true")).status().unwrap().success());

    fs::write(m.path("map"), vec![b'.'; 3 * 4096 + 10]).unwrap();
    let script = "import mmap, sys\n\
        with open(sys.argv[1], 'r+b') as f:\n\
        \x20   m = mmap.mmap(f.fileno(), 0)\n\
        \x20   assert m[4096:4100] == b'....'\n\
        \x20   m[4095:4099] = b'MMAP'\n\
        \x20   m[-1:] = b'!'\n\
        \x20   f.seek(0); f.write(b'write'); f.flush()\n\
        \x20   assert m[:5] == b'write'\n\
        \x20   m.flush()\n";
    match Command::new("python3").args(["-c", script]).arg(m.path("map")).status() {
        Ok(status) => {
            assert!(status.success());
            let data = fs::read(m.path("map")).unwrap();
            assert_eq!(
                (&data[..6], &data[4094..4100], &data[3 * 4096 + 8..]),
                (&b"write."[..], &b".MMAP."[..], &b".!"[..])
            );
        }
        Err(_) => notice("no python3: writing to a shared mapping is not tested"),
    }
}

#[test]
fn extended_attributes() {
    let m = mounted!(mounted(Case::Sensitive));
    let file = m.path("x");
    fs::write(&file, "").unwrap();
    let put = |name: &str, value: &[u8], flags| rustix::fs::setxattr(&file, name, value, flags);
    let get = |name: &str| {
        let mut value = vec![0; 65_536];
        rustix::fs::getxattr(&file, name, &mut value[..]).map(|length| value[..length].to_vec())
    };
    put("user.a", b"1", XattrFlags::empty()).unwrap();
    put("system.ntfs_attrib", &[32, 0, 0, 0], XattrFlags::CREATE).unwrap();
    assert_raw_errno(put("user.a", b"2", XattrFlags::CREATE), Errno::EEXIST);
    assert_raw_errno(put("user.none", b"2", XattrFlags::REPLACE), Errno::ENODATA);
    put("user.a", b"22", XattrFlags::REPLACE).unwrap();
    let large = pattern(65_536, 1);
    put("user.large", &large, XattrFlags::empty()).unwrap();
    put("user.empty", b"", XattrFlags::empty()).unwrap();
    assert_eq!(get("user.a").unwrap(), b"22");
    assert_eq!(get("system.ntfs_attrib").unwrap(), [32, 0, 0, 0]);
    assert!(get("user.large").unwrap() == large);
    assert_eq!(get("user.empty").unwrap(), b"");
    assert_raw_errno(get("user.none"), Errno::ENODATA);
    assert_raw_errno(rustix::fs::getxattr(&file, "user.a", &mut [0; 1][..]), Errno::ERANGE);
    assert_eq!(rustix::fs::getxattr_query(&file, "user.a").unwrap(), 2);
    let mut list = [0; 256];
    let length = rustix::fs::listxattr(&file, &mut list[..]).unwrap();
    let listed: BTreeSet<&[u8]> =
        list[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty()).collect();
    assert_eq!(listed, BTreeSet::from([&b"system.ntfs_attrib"[..], b"user.a", b"user.empty", b"user.large"]));
    // The kernel itself checks the form of these: version 2, then tag, permissions and id of owner, group and others.
    let acl =
        [&[2, 0, 0, 0][..], &[1, 0, 6, 0, 255, 255, 255, 255], &[4, 0, 4, 0, 255, 255, 255, 255]].concat();
    let acl = [&acl[..], &[32, 0, 4, 0, 255, 255, 255, 255]].concat();
    for name in ["security.selinux", "security.x", "system.posix_acl_access"] {
        assert_raw_errno(get(name), Errno::EOPNOTSUPP);
        if rustix::process::geteuid().is_root() {
            // Of others the kernel refuses some itself.
            assert_raw_errno(put(name, &acl, XattrFlags::empty()), Errno::EOPNOTSUPP);
            assert_raw_errno(rustix::fs::removexattr(&file, name), Errno::EOPNOTSUPP);
        }
    }
    assert_raw_errno(get("security.capability"), Errno::EOPNOTSUPP);
    rustix::fs::removexattr(&file, "user.a").unwrap();
    assert_raw_errno(rustix::fs::removexattr(&file, "user.a"), Errno::ENODATA);
}

/// Through the kernel only a size of 64 KiB arrives; what the tree has may be larger.
#[test]
fn an_attribute_too_large_to_carry() {
    let m = mounted!(mounted(Case::Sensitive));
    fs::write(m.path("x"), "").unwrap();
    let node = fuse_mount::Node(fs::metadata(m.path("x")).unwrap().ino());
    let large = vec![1; 65_537];
    fuse_mount::Tree::setxattr(
        &*m.memory,
        node,
        "user.l".as_ref(),
        &large,
        fuse_mount::SetXattr::Any,
        &fuse_mount::Caller { uid: 0, gid: 0, pid: 0 },
    )
    .unwrap();
    assert_raw_errno(rustix::fs::getxattr_query(m.path("x"), "user.l"), Errno::E2BIG);
}

#[test]
fn ten_thousand_entries() {
    for places in [Places::Stable, Places::PerListing] {
        let mut options = options(Case::Sensitive);
        options.places = places;
        let m = mounted!(mount_memory(Memory::new(Case::Sensitive), options));
        let directory = m.path("many");
        fs::create_dir(&directory).unwrap();
        let expected: BTreeSet<String> = (0..10_000).map(|index| format!("file-{index:05}")).collect();
        for name in &expected {
            File::create(directory.join(name)).unwrap();
        }
        assert_eq!(names(&directory), expected, "{places:?}");

        // While it is listed, the listed entries are removed and others come: the old ones are seen once all the same.
        let mut seen = BTreeSet::new();
        for entry in fs::read_dir(&directory).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            fs::remove_file(entry.path()).unwrap_or_else(|error| panic!("{name}: {error}"));
            if let Some(index) = name.strip_prefix("file-") {
                fs::write(directory.join(format!("new-{index}")), "").unwrap();
                assert!(seen.insert(name), "seen twice");
            }
            if seen.len() == expected.len() {
                break;
            }
        }
        assert_eq!(seen, expected, "{places:?}");

        // rewinddir shows what is there then.
        let mut listing = rustix::fs::Dir::read_from(File::open(m.root()).unwrap()).unwrap();
        assert_eq!(listing.by_ref().count(), 3);
        File::create(m.path("another")).unwrap();
        listing.rewind();
        assert_eq!(listing.count(), 4);
    }
}

/// Each thread works in a directory of its own and, with all others, in a common one.
#[test]
fn four_threads() {
    let m = mounted!(mounted(Case::Sensitive));
    fs::create_dir(m.path("common")).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let m = &m;
            scope.spawn(move || {
                let own = m.path(format!("own-{thread}"));
                fs::create_dir(&own).unwrap();
                for round in 0..200_u64 {
                    let data = pattern(1 + (round as usize * 977) % 70_000, thread * 1000 + round);
                    let file = own.join(format!("f{round}"));
                    fs::write(&file, &data).unwrap();
                    assert!(fs::read(&file).unwrap() == data);
                    let shared = m.path(format!("common/{thread}-{round}"));
                    fs::rename(&file, &shared).unwrap();
                    assert!(fs::read(&shared).unwrap() == data);
                    // All write to the same file: each to its own place.
                    let all = OpenOptions::new()
                        .write(true)
                        .create(true)
                        .truncate(false)
                        .open(m.path("all"))
                        .unwrap();
                    all.write_all_at(&[thread as u8 + 1; 100], (round * 4 + thread) * 100).unwrap();
                    if round % 3 == 0 {
                        fs::remove_file(&shared).unwrap();
                    } else if round % 3 == 1 {
                        fs::hard_link(&shared, own.join(format!("l{round}"))).unwrap();
                    }
                    assert_eq!(fs::metadata(m.path("common")).unwrap().nlink(), 2);
                }
            });
        }
    });
    let expected: BTreeSet<String> = (0..4)
        .flat_map(|thread| {
            (0..200).filter(|round| round % 3 != 0).map(move |round| format!("{thread}-{round}"))
        })
        .collect();
    assert_eq!(names(&m.path("common")), expected);
    let all = fs::read(m.path("all")).unwrap();
    assert_eq!(all.len(), 200 * 4 * 100);
    for (index, part) in all.chunks(100).enumerate() {
        assert_eq!(part, [(index % 4) as u8 + 1; 100], "part {index}");
    }
    // Reading one file by four at once.
    fs::write(m.path("big"), pattern(16 << 20, 1)).unwrap();
    rustix::fs::fadvise(File::open(m.path("big")).unwrap(), 0, None, rustix::fs::Advice::DontNeed).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert!(fs::read(m.path("big")).unwrap() == pattern(16 << 20, 1)));
        }
    });
}

/// What was asked once is not asked again.
#[test]
fn the_kernel_caches() {
    let m = mounted!(mounted(Case::Sensitive));
    let data = pattern(300_000, 2);
    fs::create_dir(m.path("d")).unwrap();
    fs::write(m.path("d/f"), &data).unwrap();
    assert!(fs::read(m.path("d/f")).unwrap() == data);
    let _ = fs::metadata(m.path("d/none"));
    let counts = || [Call::Lookup, Call::Getattr, Call::Read].map(|call| m.memory.calls(call));
    fs::metadata(m.path("d/f")).unwrap();
    let before = counts();
    for _ in 0..10 {
        assert!(fs::read(m.path("d/f")).unwrap() == data);
        fs::metadata(m.path("d/f")).unwrap();
        assert_errno(fs::metadata(m.path("d/none")), Errno::ENOENT);
    }
    assert_eq!(counts(), before);
}

#[test]
fn changes_from_elsewhere_are_seen_after_a_notice() {
    let m = mounted!(mounted(Case::Sensitive));
    let root = fuse_mount::Node::ROOT;
    fs::write(m.path("f"), "before").unwrap();
    let read = |name: &str| fs::read_to_string(m.path(name));
    assert_eq!(read("f").unwrap(), "before");
    assert_errno(read("new"), Errno::ENOENT);
    // Reading has changed the time of access, for which the kernel asks once more.
    assert_eq!(fs::metadata(m.path("f")).unwrap().len(), 6);

    let node = m.memory.behind_write("f", b"after, and longer");
    m.memory.behind_create("new", b"new");
    assert_eq!(read("f").unwrap(), "before");
    assert_errno(read("new"), Errno::ENOENT);
    m.notifier().node(node);
    m.notifier().entry(root, "new".as_ref());
    m.notifier().sync().unwrap();
    assert_eq!(read("f").unwrap(), "after, and longer");
    assert_eq!(read("new").unwrap(), "new");

    // A range, and a file that is open.
    let open = File::open(m.path("f")).unwrap();
    m.memory.behind_write("f", b"AFTER, and longer");
    m.notifier().range(node, 0, 4096);
    m.notifier().sync().unwrap();
    let mut part = [0; 5];
    open.read_exact_at(&mut part, 0).unwrap();
    assert_eq!(&part, b"AFTER");
    m.memory.behind_write("f", b"");
    m.notifier().node(node);
    m.notifier().sync().unwrap();
    assert_eq!(open.metadata().unwrap().len(), 0);

    m.memory.behind_remove("new");
    m.notifier().entry(root, "new".as_ref());
    m.notifier().attributes(root);
    m.notifier().sync().unwrap();
    assert_errno(read("new"), Errno::ENOENT);
    assert_eq!(names(m.root()), set(["f"]));
}

/// Notices about a directory in which others are busy all the time, from several threads: nothing locks up.
#[test]
fn notices_under_load() {
    let m = mounted!(mounted(Case::Sensitive));
    fs::create_dir(m.path("d")).unwrap();
    let parent = fuse_mount::Node(fs::metadata(m.path("d")).unwrap().ino());
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let m = &m;
            scope.spawn(move || {
                for round in 0..500 {
                    let name = m.path(format!("d/{thread}-{}", round % 7));
                    fs::write(&name, "x").unwrap();
                    assert_eq!(fs::read(&name).unwrap(), b"x");
                    fs::remove_file(&name).unwrap();
                    assert_errno(fs::metadata(&name), Errno::ENOENT);
                }
            });
        }
        for _ in 0..2 {
            scope.spawn(|| {
                for round in 0..2000 {
                    m.notifier().entry(parent, format!("{}-{}", round % 3, round % 7).as_ref());
                    m.notifier().node(parent);
                }
                m.notifier().sync().unwrap();
            });
        }
    });
    assert_eq!(names(&m.path("d")), set([]));
}

#[test]
fn spellings_agree() {
    let m = mounted!(mounted(Case::Insensitive));
    let exists = |name: &str| m.path(name).try_exists().unwrap();
    let agree = |names: [&str; 3], expected: bool| {
        for name in names {
            assert_eq!(exists(name), expected, "{name}");
        }
    };
    let file = ["Foo", "foo", "FOO"];
    agree(file, false);
    fs::write(m.path("Foo"), "1").unwrap();
    agree(file, true);
    assert_eq!(names(m.root()), set(["Foo"]));
    assert_errno(OpenOptions::new().write(true).create_new(true).open(m.path("fOO")), Errno::EEXIST);
    fs::write(m.path("FOO"), "22").unwrap();
    assert_eq!((fs::read(m.path("Foo")).unwrap(), names(m.root())), (b"22".to_vec(), set(["Foo"])));
    fs::remove_file(m.path("foo")).unwrap();
    agree(file, false);
    // Replaced by way of another spelling.
    fs::write(m.path("foo"), "old").unwrap();
    fs::write(m.path("other"), "new").unwrap();
    fs::rename(m.path("OTHER"), m.path("FOO")).unwrap();
    for name in file {
        assert_eq!(fs::read(m.path(name)).unwrap(), b"new", "{name}");
    }
    agree(["other", "Other", "OTHER"], false);
    // To another spelling of itself it goes in two steps.
    fs::rename(m.path("FOO"), m.path("third")).unwrap();
    agree(file, false);
    fs::rename(m.path("third"), m.path("fOo")).unwrap();
    agree(file, true);
    assert_eq!(names(m.root()), set(["fOo"]));

    fs::create_dir(m.path("Dir")).unwrap();
    fs::write(m.path("dir/A"), "").unwrap();
    agree(["Dir/a", "DIR/A", "dir/A"], true);
    fs::rename(m.path("DIR"), m.path("Moved")).unwrap();
    agree(["Dir", "DIR", "dir/a"], false);
    agree(["Moved/a", "MOVED/A", "moved/a"], true);
    fs::remove_file(m.path("MOVED/a")).unwrap();
    agree(["Moved/a", "MOVED/A", "moved/a"], false);
    fs::remove_dir(m.path("moved")).unwrap();
    agree(["Moved", "MOVED", "moved"], false);
}

/// The first use of another spelling is the hard case: the stored name is in the kernel's cache by then.
#[test]
fn the_first_use_of_another_spelling() {
    let m = mounted!(mounted(Case::Insensitive));
    fs::create_dir_all(m.path("a/b")).unwrap();
    for (round, directory) in ["", "a", "a/b"].into_iter().cycle().take(600).enumerate() {
        let at = |name: &str| m.path(directory).join(format!("{name}{round}"));
        let link = at("twin");
        fs::write(at("name"), "x").unwrap();
        let linked = round % 2 == 0;
        if linked {
            fs::hard_link(at("name"), &link).unwrap();
        }
        assert_eq!(fs::metadata(at("name")).unwrap().nlink(), 1 + u64::from(linked));
        match round % 4 {
            0 | 1 => fs::remove_file(at("NAME")).unwrap(),
            _ => {
                fs::write(at("other"), "new").unwrap();
                fs::rename(at("other"), at("NAME")).unwrap();
                assert_eq!(
                    fs::read(at("name")).unwrap_or_default(),
                    b"new",
                    "round {round} in {directory:?}"
                );
                fs::remove_file(at("Name")).unwrap();
            }
        }
        for name in ["name", "NAME", "Name"] {
            assert!(!at(name).try_exists().unwrap(), "{name}, round {round} in {directory:?}");
        }
        if linked {
            assert_eq!(fs::metadata(&link).unwrap().nlink(), 1);
        }
    }
}

/// Three spellings of the same paths by three threads, each change checked under a lock, with readers beside.
#[test]
fn three_spellings_at_once() {
    let m = mounted!(mounted(Case::Insensitive));
    fs::create_dir(m.path("Dir")).unwrap();
    // What each of four files holds; the lock makes change and check one step.
    let model = std::sync::Mutex::new([const { None::<u64> }; 4]);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..3_usize)
            .map(|thread| {
                let (m, model) = (&m, &model);
                scope.spawn(move || {
                    let spell = |thread: usize, index: usize| {
                        let name = ["Dir/File", "DIR/FILE", "dir/file"][thread % 3];
                        m.path(format!("{name}{index}"))
                    };
                    for round in 0..700_u64 {
                        let mut model = model.lock().unwrap();
                        let index = (round as usize * 7 + thread) % 4;
                        let path = spell(thread, index);
                        let value = round * 3 + thread as u64;
                        match (round + thread as u64) % 5 {
                            0 => {
                                let removed = fs::remove_file(&path);
                                assert_eq!(
                                    removed.is_ok(),
                                    model[index].take().is_some(),
                                    "{path:?} {removed:?}"
                                );
                            }
                            1 => {
                                let other = (index + 1) % 4;
                                let renamed = fs::rename(&path, spell(thread + 1, other));
                                let moved = model[index].take();
                                assert_eq!(renamed.is_ok(), moved.is_some(), "{path:?} {renamed:?}");
                                if moved.is_some() {
                                    model[other] = moved;
                                }
                            }
                            _ => {
                                fs::write(&path, value.to_string()).unwrap();
                                model[index] = Some(value);
                            }
                        }
                        for (index, expected) in model.iter().enumerate() {
                            for spelling in 0..3 {
                                let path = spell(spelling, index);
                                let found = fs::read_to_string(&path).ok().map(|text| text.parse().unwrap());
                                assert_eq!(found, *expected, "{path:?} in round {round} of thread {thread}");
                            }
                        }
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                for name in ["Dir/File0", "dir/FILE1", "DIR/file2"] {
                    match fs::metadata(m.path(name)).map_err(Errno::from) {
                        Ok(_) | Err(Errno::ENOENT) => {}
                        Err(error) => panic!("{name}: {error:?}"),
                    }
                }
                names(&m.path("DIR"));
            }
        });
        for worker in workers {
            let result = worker.join();
            if result.is_err() {
                done.store(true, std::sync::atomic::Ordering::Relaxed);
            }
            result.unwrap();
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn a_panic_fails_one_request() {
    let m = mounted!(mounted(Case::Sensitive));
    for _ in 0..20 {
        assert_errno(fs::read(m.path("panic")), Errno::EIO);
        assert_errno(fs::create_dir(m.path("panic")), Errno::EIO);
    }
    fs::write(m.path("fine"), "x").unwrap();
    assert_eq!(names(m.root()), set(["fine"]));
}

#[test]
fn what_is_refused() {
    let m = mounted!(mounted(Case::Sensitive));
    let temporary = rustix::fs::open(m.root(), OFlags::TMPFILE | OFlags::RDWR, Mode::RUSR);
    assert_raw_errno(temporary, Errno::EOPNOTSUPP);
    for kind in
        [rustix::fs::FileType::Fifo, rustix::fs::FileType::Socket, rustix::fs::FileType::CharacterDevice]
    {
        let made = rustix::fs::mknodat(CWD, m.path("n"), kind, Mode::RWXU, rustix::fs::makedev(1, 3));
        assert_raw_errno(made, Errno::EPERM);
    }
    // A plain file may be made that way.
    rustix::fs::mknodat(CWD, m.path("f"), rustix::fs::FileType::RegularFile, Mode::RUSR, 0).unwrap();
    assert_eq!(fs::metadata(m.path("f")).unwrap().mode(), 0o100_400);
    fs::remove_file(m.path("f")).unwrap();
    m.assert_nodes(1);
}

#[test]
fn locks() {
    let m = mounted!(mounted(Case::Sensitive));
    let (one, two) = (File::create(m.path("l")).unwrap(), File::open(m.path("l")).unwrap());
    rustix::fs::flock(&one, FlockOperation::NonBlockingLockExclusive).unwrap();
    assert_raw_errno(rustix::fs::flock(&two, FlockOperation::NonBlockingLockShared), Errno::EAGAIN);
    rustix::fs::flock(&one, FlockOperation::Unlock).unwrap();
    rustix::fs::flock(&two, FlockOperation::NonBlockingLockShared).unwrap();
    rustix::fs::fcntl_lock(&one, FlockOperation::NonBlockingLockExclusive).unwrap();
}

#[test]
fn space() {
    let capacity = 8 << 20;
    let m =
        mounted!(mount_memory(Memory::with_capacity(Case::Sensitive, capacity), options(Case::Sensitive)));
    let free = || {
        let status = rustix::fs::statvfs(m.root()).unwrap();
        status.f_bavail * status.f_frsize
    };
    assert_eq!((free(), rustix::fs::statvfs(m.root()).unwrap().f_namemax), (capacity, 255));
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(m.path("f")).unwrap();
    let allocate = |mode, offset, length| rustix::fs::fallocate(&file, mode, offset, length);
    allocate(FallocateFlags::empty(), 0, 1 << 20).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 1 << 20);
    allocate(FallocateFlags::KEEP_SIZE, 0, 2 << 20).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 1 << 20);
    assert_raw_errno(allocate(FallocateFlags::empty(), 0, capacity + 1), Errno::ENOSPC);
    assert_raw_errno(allocate(FallocateFlags::COLLAPSE_RANGE, 0, 4096), Errno::EOPNOTSUPP);

    file.write_all_at(&vec![7; 1 << 20], 0).unwrap();
    assert_eq!(free(), capacity - (1 << 20));
    allocate(FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 65_536, 65_536).unwrap();
    allocate(FallocateFlags::ZERO_RANGE, 200_000, 1_000_000).unwrap();
    let mut expected = vec![7; 1_200_000];
    expected[65_536..131_072].fill(0);
    expected[200_000..].fill(0);
    assert!(fs::read(m.path("f")).unwrap() == expected);

    let written = (&file).seek(SeekFrom::End(0)).and_then(|_| (&file).write_all(&vec![1; 16 << 20]));
    assert_errno(written, Errno::ENOSPC);
    drop(file);
    fs::remove_file(m.path("f")).unwrap();
    m.assert_nodes(1);
    assert_eq!(free(), capacity);
}

#[test]
fn read_only() {
    let filled = || {
        let memory = Memory::new(Case::Insensitive);
        memory.behind_create("Data", b"data");
        memory
    };
    for stateless in [false, true] {
        let mut options = options(Case::Insensitive);
        options.access = Access::ReadOnly;
        options.stateless_open = stateless;
        let m = mounted!(mount_memory(filled(), options));
        for name in ["Data", "DATA", "Data"] {
            assert_eq!(fs::read(m.path(name)).unwrap(), b"data");
        }
        assert_eq!(m.memory.calls(Call::Open), if stateless { 0 } else { 3 });
        // Nothing changes, so every spelling is cached.
        let lookups = m.memory.calls(Call::Lookup);
        for name in ["Data", "DATA", "Data"] {
            assert_eq!(fs::read(m.path(name)).unwrap(), b"data");
        }
        assert_eq!(m.memory.calls(Call::Lookup), lookups);
        assert_errno(fs::write(m.path("Data"), ""), Errno::EROFS);
        assert_errno(fs::create_dir(m.path("new")), Errno::EROFS);
        assert_errno(fs::remove_file(m.path("Data")), Errno::EROFS);
        assert_errno(fs::set_permissions(m.path("Data"), fs::Permissions::from_mode(0o600)), Errno::EROFS);
        if m.way() == Way::Direct {
            // Whoever remounts it writable does not get further.
            let flags = rustix::mount::MountFlags::NOSUID | rustix::mount::MountFlags::NODEV;
            rustix::mount::mount_remount(m.root(), flags, "").unwrap();
            assert_errno(fs::write(m.path("Data"), "x"), Errno::EROFS);
            assert_errno(fs::create_dir(m.path("new")), Errno::EROFS);
            assert_errno(fs::remove_file(m.path("Data")), Errno::EROFS);
        }
    }
}

#[test]
fn with_the_write_back_cache() {
    let mut options = options(Case::Sensitive);
    options.write_back = true;
    let m = mounted!(mount_memory(Memory::new(Case::Sensitive), options));
    let mut file = OpenOptions::new().write(true).create_new(true).open(m.path("f")).unwrap();
    for index in 0..10_000 {
        writeln!(file, "line {index}").unwrap();
    }
    file.sync_all().unwrap();
    let expected: String = (0..10_000).map(|index| format!("line {index}\n")).collect();
    assert!(fs::read_to_string(m.path("f")).unwrap() == expected);
    let time = UNIX_EPOCH + Duration::new(5, 7);
    file.set_modified(time).unwrap();
    drop(file);
    assert_eq!(fs::metadata(m.path("f")).unwrap().modified().unwrap(), time);
    let memory = Arc::clone(&m.memory);
    m.unmount().unwrap();
    let node = fuse_mount::Tree::lookup(&*memory, fuse_mount::Node::ROOT, "f".as_ref()).unwrap().attributes;
    assert_eq!((node.size, node.modified), (expected.len() as u64, time));
}

#[test]
fn unmounting() {
    let m = mounted!(mounted(Case::Sensitive));
    fs::write(m.path("f"), "data").unwrap();
    let open = File::open(m.path("f")).unwrap();
    assert_eq!(m.unmount(), Err(Error::Busy { target: m.root().to_owned() }));
    let found = holders(m.entry().unwrap()).unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        (found[0].pid, found[0].usage, found[0].path.as_path()),
        (std::process::id(), Use::Open, m.path("f").as_path())
    );
    // Nothing happened.
    assert_eq!(fs::read(m.path("f")).unwrap(), b"data");
    assert!(m.is_serving());
    drop(open);

    let mut other = Command::new("sleep").arg("60").current_dir(m.root()).spawn().unwrap();
    assert_eq!(m.unmount(), Err(Error::Busy { target: m.root().to_owned() }));
    let found = holders(m.entry().unwrap()).unwrap();
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!(
        found.iter().map(|holder| (holder.pid, holder.command.as_str(), holder.usage)).collect::<Vec<_>>(),
        [(other.id(), "sleep", Use::Directory)]
    );

    m.unmount().unwrap();
    assert!(!m.is_serving() && !is_mounted(m.root()));
    assert_eq!(m.wait(), Ok(()));
    assert_eq!(m.unmount(), Ok(()));
    assert_eq!(names(m.root()), set([]));
    m.notifier().node(fuse_mount::Node::ROOT);
    m.notifier().sync().unwrap();
}

#[test]
fn detaching() {
    let m = mounted!(mounted(Case::Sensitive));
    fs::write(m.path("f"), "data").unwrap();
    let mut open = File::open(m.path("f")).unwrap();
    m.detach().unwrap();
    assert!(!is_mounted(m.root()) && m.is_serving());
    assert_errno(fs::read(m.path("f")), Errno::ENOENT);
    let mut text = String::new();
    open.read_to_string(&mut text).unwrap();
    assert_eq!(text, "data");
    drop(open);
    assert_eq!(m.wait(), Ok(()));
}

#[test]
fn dropping() {
    for in_use in [false, true] {
        let m = mounted!(mounted(Case::Sensitive));
        let Mounted { mount, memory, directory } = m;
        let path = directory.path().to_owned();
        fs::write(path.join("f"), "data").unwrap();
        let open = in_use.then(|| File::open(path.join("f")).unwrap());
        drop(mount);
        assert!(!is_mounted(&path), "in use: {in_use}");
        assert!(!path.join("f").exists());
        if let Some(open) = open {
            assert_eq!(io::read_to_string(open).unwrap(), "data");
        }
        // The tree is let go of.
        let began = Instant::now();
        while Arc::strong_count(&memory) > 1 {
            assert!(began.elapsed() < Duration::from_secs(5));
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn unmounted_by_somebody_else() {
    let m = mounted!(mounted(Case::Sensitive));
    if m.way() != Way::Direct {
        return notice("not root: unmounting by somebody else is not tested");
    }
    assert!(Command::new("umount").arg(m.root()).status().unwrap().success());
    assert_eq!(m.wait(), Ok(()));
    assert!(!m.is_serving());
    // Something else that is mounted there meanwhile is not ours to unmount.
    let Some(next) = mounted(Case::Sensitive) else { return };
    rustix::mount::mount_bind(next.root(), m.root()).unwrap();
    m.unmount().unwrap();
    let Mounted { mount, memory: _, directory } = m;
    drop(mount);
    assert!(is_mounted(directory.path()));
    rustix::mount::unmount(directory.path(), rustix::mount::UnmountFlags::empty()).unwrap();
}

#[test]
fn mounted_over() {
    let m = mounted!(mounted(Case::Sensitive));
    if m.way() != Way::Direct {
        return notice("not root: the helper cannot mount over a mount, so that is not tested");
    }
    let over =
        Mount::spawn(Arc::new(Memory::new(Case::Sensitive)), m.root(), options(Case::Sensitive)).unwrap();
    let covered = Error::Covered { target: m.root().to_owned(), by: "fuse.memory".into() };
    assert_eq!(m.unmount(), Err(covered.clone()));
    assert_eq!(m.detach(), Err(covered));
    over.unmount().unwrap();
    assert!(is_mounted(m.root()));
    m.unmount().unwrap();
}

/// Not a test: the process that `the_server_is_killed` kills.
#[test]
#[ignore = "run by another test"]
fn serve_until_killed() {
    let target = PathBuf::from(std::env::var_os("FUSE_MOUNT_TARGET").expect("run by another test"));
    let mount =
        Mount::spawn(Arc::new(Memory::new(Case::Sensitive)), &target, options(Case::Sensitive)).unwrap();
    mount.wait().unwrap();
}

struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // Fails only if it has ended and been waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_server_is_killed() {
    drop(mounted!(mounted(Case::Sensitive)));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let entry = || mount_table().unwrap().into_iter().find(|entry| entry.mount_point == path);
    let server = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "serve_until_killed"])
        .env("FUSE_MOUNT_TARGET", path)
        .stdout(std::process::Stdio::null())
        .spawn()
        .map(Killed)
        .unwrap();
    let began = Instant::now();
    while entry().is_none() {
        assert!(began.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(5));
    }
    fs::write(path.join("f"), "data").unwrap();
    let open = File::open(path.join("f")).unwrap();
    drop(server);
    assert_errno(fs::metadata(path.join("g")), Errno::ENOTCONN);
    let dead = entry().unwrap();
    assert!(dead.is_fuse("memory"));
    // What is dead can be busy all the same.
    assert_eq!(unmount_mount(&dead), Err(Error::Busy { target: path.to_owned() }));
    assert_eq!(
        holders(&dead).unwrap().iter().map(|holder| holder.pid).collect::<Vec<_>>(),
        [std::process::id()]
    );
    detach_mount(&dead).unwrap();
    assert_eq!(entry(), None);
    drop(open);
    detach_mount(&dead).unwrap();
    unmount_mount(&dead).unwrap();
    assert!(names(path).is_empty());
}

#[test]
fn aborting() {
    let m = mounted!(mounted(Case::Sensitive));
    fs::write(m.path("f"), "data").unwrap();
    let open = File::open(m.path("f")).unwrap();
    match m.abort() {
        Ok(()) => {}
        Err(error) => return notice(&format!("aborting is not tested: {error}")),
    }
    assert!(open.metadata().is_err());
    assert_eq!(m.wait(), Ok(()));
    assert!(!is_mounted(m.root()));
}

/// The tools that people use for copying get along with it.
#[test]
fn copied_by_tools() {
    let m = mounted!(mounted(Case::Sensitive));
    let source = tempfile::tempdir().unwrap();
    fs::create_dir_all(source.path().join("d/e")).unwrap();
    fs::write(source.path().join("d/f"), pattern(200_000, 4)).unwrap();
    fs::hard_link(source.path().join("d/f"), source.path().join("d/e/g")).unwrap();
    symlink("../f", source.path().join("d/e/s")).unwrap();
    let run = |program: &str, arguments: &[&str]| match Command::new(program).args(arguments).output() {
        Ok(output) => {
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!((output.status.code(), errors.as_str()), (Some(0), ""), "{program}");
            true
        }
        Err(_) => {
            notice(&format!("{program} is missing"));
            false
        }
    };
    let (from, to) = (source.path().to_str().unwrap(), m.root().to_str().unwrap());
    for (program, arguments) in [
        ("cp", vec!["-a", &format!("{from}/d"), to]),
        ("sh", vec!["-c", &format!("tar -C {from} -c d | tar -C {to} -xp")]),
        ("rsync", vec!["-aHX", &format!("{from}/d"), to]),
    ] {
        if run(program, &arguments) {
            assert!(run("diff", &["-r", "--no-dereference", &format!("{from}/d"), &format!("{to}/d")]));
            assert_eq!(fs::metadata(m.path("d/e/g")).unwrap().nlink(), 2, "{program}");
            fs::remove_dir_all(m.path("d")).unwrap();
        }
    }
}

#[test]
fn the_probe_agrees_with_what_happens() {
    let prospects = probe();
    assert_eq!(
        prospects.iter().map(|prospect| prospect.way).collect::<Vec<_>>(),
        [Way::Direct, Way::Helper, Way::UserNamespace]
    );
    let expected = prospects[..2].iter().find(|prospect| prospect.is_usable()).map(|prospect| prospect.way);
    let way = mounted(Case::Sensitive).map(|mounted| mounted.way());
    assert_eq!(way, expected, "{prospects:#?}");
}
