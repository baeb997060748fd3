// SPDX-License-Identifier: GPL-3.0-or-later
//! Changes made through a mount, as wimlib sees them after the commit.

mod mount_support;
mod wim_support;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use mount_support::{NOW, Place, noise, verified};
use rustix::fs::XattrFlags;
use transom::base::FileTime;
use transom::digest::sha1;
use transom_sample::{Sample, Spec};
use wim_support::{Entry, Listing, peer_listing, time};

const ARCHIVE: u32 = 0x20;
const READONLY: u32 = 0x1;

fn now() -> String {
    time(FileTime::from_unix(NOW as i64, 0))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hash(bytes: &[u8]) -> String {
    hex(&sha1(bytes))
}

fn xattr(path: &Path, name: &str) -> Vec<u8> {
    let mut value = vec![0; 65_536];
    let length =
        rustix::fs::getxattr(path, name, &mut value).unwrap_or_else(|error| panic!("{name}: {error}"));
    value.truncate(length);
    value
}

fn set_xattr(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::setxattr(path, name, value, XattrFlags::empty())
        .unwrap_or_else(|error| panic!("{name}: {error}"));
}

/// What the image is to be, changed step by step with the mount.
struct Expected(Listing);

impl Expected {
    fn get(&mut self, path: &str) -> &mut Entry {
        self.0.get_mut(path).unwrap_or_else(|| panic!("{path} is not there"))
    }

    /// Every name of the file that has this name: those that carry the same object in wimlib's eyes are told by what
    /// is equal in them.
    fn names(&self, path: &str) -> Vec<String> {
        let wanted = &self.0[path];
        let alike = |entry: &Entry| {
            (entry.link_count, &entry.times, &entry.streams, entry.attributes, &entry.security)
                == (wanted.link_count, &wanted.times, &wanted.streams, wanted.attributes, &wanted.security)
        };
        if wanted.link_count == 1 {
            return vec![path.to_owned()];
        }
        let names: Vec<String> =
            self.0.iter().filter(|(_, entry)| alike(entry)).map(|(name, _)| name.clone()).collect();
        assert_eq!(names.len(), wanted.link_count, "{path} cannot be told from others: {names:?}");
        names
    }

    fn all(&mut self, path: &str, change: impl Fn(&mut Entry)) {
        for name in self.names(path) {
            change(self.get(&name));
        }
    }

    /// The data of a file changes.
    fn written(&mut self, path: &str, data: &[u8]) {
        let hash = hash(data);
        self.all(path, |entry| {
            entry.streams.insert(("data".into(), String::new()), hash.clone());
            entry.attributes |= ARCHIVE;
            entry.times[1] = now();
        });
    }

    /// The entries of a directory change.
    fn touched(&mut self, directory: &str) {
        self.get(directory).times[1] = now();
    }

    /// A new name; `mounted` tells the descriptor that it inherited.
    fn made(&mut self, path: &str, attributes: u32, data: Option<&[u8]>, mounted: &Path) {
        let mut entry = Entry {
            attributes,
            security: hex(&xattr(mounted, "system.ntfs_acl")),
            times: [now(), now(), now()],
            link_count: 1,
            ..Entry::default()
        };
        if let Some(data) = data.filter(|data| !data.is_empty()) {
            entry.streams.insert(("data".into(), String::new()), hash(data));
        }
        self.0.insert(path.to_owned(), entry);
        let parent = path.rsplit_once('/').unwrap().0;
        self.touched(if parent.is_empty() { "/" } else { parent });
    }
}

/// wimlib writes descriptors as hexadecimal with a prefix of its own; both sides without it.
fn plain(mut listing: Listing) -> Listing {
    for entry in listing.values_mut() {
        entry.security = entry.security.trim_start_matches("0x").to_owned();
    }
    listing
}

#[test]
fn a_long_list_of_changes_as_wimlib_sees_it() {
    let Some(place) = Place::new() else { return };
    let Ok(sample) = Sample::of(&Spec::default()) else {
        eprintln!("NOTICE: no sample image; the test is passed over");
        return;
    };
    let wim = place.path("install.wim");
    sample.copy(&wim).unwrap();
    let Some(before) = peer_listing(&wim, 1) else { return };
    let mut expected = Expected(plain(before));
    let root = place.mount("install.wim:1", "mnt");
    let windows = root.join("Windows");
    let system = windows.join("System32");

    // Create.
    let text = b"made in the mount\n";
    fs::write(root.join("Users/new.txt"), text).unwrap();
    expected.made("/Users/new.txt", ARCHIVE, Some(text), &root.join("Users/new.txt"));
    fs::create_dir_all(root.join("Users/one/two")).unwrap();
    expected.made("/Users/one", 0x10, None, &root.join("Users/one"));
    expected.made("/Users/one/two", 0x10, None, &root.join("Users/one/two"));
    File::create(root.join("Users/one/empty")).unwrap();
    expected.made("/Users/one/empty", ARCHIVE, None, &root.join("Users/one/empty"));

    // Append, by another spelling; all names of the file see it.
    let mut data = fs::read(system.join("drivers/acpi.sys")).unwrap();
    let links = fs::metadata(system.join("drivers/acpi.sys")).unwrap().nlink();
    assert_eq!(links as usize, expected.get("/Windows/System32/drivers/acpi.sys").link_count);
    OpenOptions::new()
        .append(true)
        .open(system.join("DRIVERS/ACPI.SYS"))
        .unwrap()
        .write_all(b"more")
        .unwrap();
    data.extend(b"more");
    expected.written("/Windows/System32/drivers/acpi.sys", &data);

    // Truncate, grow, and overwrite within.
    let data = fs::read(windows.join("notepad.exe")).unwrap();
    File::options().write(true).open(windows.join("notepad.exe")).unwrap().set_len(1000).unwrap();
    expected.written("/Windows/notepad.exe", &data[..1000]);
    let mut data = fs::read(system.join("setupapi.dll")).unwrap();
    let file = File::options().read(true).write(true).open(system.join("setupapi.dll")).unwrap();
    file.write_all_at(b"!", 100_000).unwrap();
    data[100_000] = b'!';
    let length = data.len() + 70_000;
    file.set_len(length as u64).unwrap();
    data.resize(length, 0);
    drop(file);
    expected.written("/Windows/System32/setupapi.dll", &data);

    // Rename across folders: one name of a file with several.
    fs::rename(windows.join("regedit.exe"), root.join("Users/Public/registry editor.exe")).unwrap();
    let mut moved = expected.0.remove("/Windows/regedit.exe").unwrap();
    moved.short_name.clear();
    expected.0.insert("/Users/Public/registry editor.exe".into(), moved);
    expected.touched("/Windows");
    expected.touched("/Users/Public");

    // Replace by a rename: the other names keep the old file.
    let names = expected.names("/Windows/System32/hal.dll");
    let new = noise(100_000, 7);
    fs::write(system.join("hal.tmp"), &new).unwrap();
    fs::rename(system.join("hal.tmp"), system.join("hal.dll")).unwrap();
    for name in names.iter().filter(|name| *name != "/Windows/System32/hal.dll") {
        expected.get(name).link_count -= 1;
    }
    expected.made("/Windows/System32/hal.dll", ARCHIVE, Some(&new), &system.join("hal.dll"));

    // One more name, and one less.
    fs::hard_link(windows.join("explorer.exe"), windows.join("explorer two.exe")).unwrap();
    expected.all("/Windows/explorer.exe", |entry| entry.link_count += 1);
    let mut linked = expected.get("/Windows/explorer.exe").clone();
    linked.short_name.clear();
    expected.0.insert("/Windows/explorer two.exe".into(), linked);
    let names = expected.names("/Windows/System32/lsass.exe");
    fs::remove_file(system.join("LSASS.exe")).unwrap();
    for name in &names {
        expected.get(name).link_count -= 1;
    }
    expected.0.remove("/Windows/System32/lsass.exe");

    // Mode and times.
    fs::set_permissions(system.join("smss.exe"), fs::Permissions::from_mode(0o440)).unwrap();
    expected.all("/Windows/System32/smss.exe", |entry| entry.attributes |= READONLY);
    std::os::unix::fs::chown(system.join("smss.exe"), Some(12), Some(34)).unwrap();
    let accessed = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let modified = UNIX_EPOCH + Duration::from_secs(1_100_000_000);
    let file = File::options().write(true).open(system.join("services.exe")).unwrap();
    file.set_times(fs::FileTimes::new().set_accessed(accessed).set_modified(modified)).unwrap();
    drop(file);
    expected.all("/Windows/System32/services.exe", |entry| {
        entry.times[1] = time(FileTime::from(modified));
        entry.times[2] = time(FileTime::from(accessed));
    });

    // Extended attributes of every kind.
    let file = system.join("winlogon.exe");
    let path = "/Windows/System32/winlogon.exe";
    let descriptor = xattr(&root.join("Users/new.txt"), "system.ntfs_acl");
    set_xattr(&file, "system.ntfs_acl", &descriptor);
    set_xattr(&file, "system.ntfs_attrib", &0x26_u32.to_le_bytes());
    let created = FileTime::from_unix(900_000_000, 0);
    set_xattr(&file, "system.ntfs_crtime_be", &created.0.to_be_bytes());
    assert_eq!(xattr(&file, "system.ntfs_crtime"), created.0.to_le_bytes());
    let written = FileTime::from_unix(910_000_000, 0);
    let read = FileTime::from_unix(920_000_000, 0);
    let times: Vec<u8> = [created, written, read].iter().flat_map(|time| time.0.to_le_bytes()).collect();
    set_xattr(&file, "system.ntfs_times", &times);
    assert_eq!(xattr(&file, "system.ntfs_times")[..24], times);
    let id: Vec<u8> = (1..=16).collect();
    set_xattr(&file, "system.ntfs_object_id", &id);
    expected.all(path, |entry| {
        entry.security = hex(&descriptor);
        entry.attributes = 0x26;
        entry.times = [time(created), time(written), time(read)];
        entry.object_id.clear();
        entry.object_id.insert("Object ID".into(), hex(&id));
    });
    assert_eq!(xattr(&file, "system.ntfs_attrib_be"), 0x26_u32.to_be_bytes());
    let long = root.join("Users/a long name.text");
    fs::write(&long, "x").unwrap();
    set_xattr(&long, "system.ntfs_dos_name", b"ALONGN~1.TEX");
    assert_eq!(fs::read(root.join("users/alongn~1.tex")).unwrap(), b"x");
    expected.made("/Users/a long name.text", ARCHIVE, Some(b"x"), &long);
    expected.get("/Users/a long name.text").short_name = "ALONGN~1.TEX".into();

    // Streams: by attribute, and by path where they are large.
    let large = noise(200_000, 9);
    let file = system.join("cmd.exe");
    set_xattr(&file, "user.Zone.Identifier", b"[ZoneTransfer]\r\n");
    fs::write(system.join("cmd.exe:large"), &large).unwrap();
    assert_eq!(fs::metadata(system.join("CMD.exe:LARGE")).unwrap().len(), 200_000);
    let mut names = vec![0; 1000];
    let length = rustix::fs::listxattr(&file, &mut names).unwrap();
    assert_eq!(String::from_utf8_lossy(&names[..length]), "user.Zone.Identifier\0");
    expected.all("/Windows/System32/cmd.exe", |entry| {
        entry.streams.insert(("data".into(), "Zone.Identifier".into()), hash(b"[ZoneTransfer]\r\n"));
        entry.streams.insert(("data".into(), "large".into()), hash(&large));
        entry.attributes |= ARCHIVE;
        entry.times[1] = now();
    });

    // Links.
    symlink("../Windows/explorer.exe", root.join("Users/link")).unwrap();
    assert_eq!(fs::read(root.join("Users/link")).unwrap(), fs::read(windows.join("explorer.exe")).unwrap());
    expected.made("/Users/link", ARCHIVE | 0x400, None, &root.join("Users/new.txt"));
    let target: Vec<u8> = r"..\Windows\explorer.exe".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let count = target.len() as u16;
    let mut reparse: Vec<u8> = [0, count, count, count].into_iter().flat_map(u16::to_le_bytes).collect();
    reparse.extend([1, 0, 0, 0]);
    reparse.extend(target.repeat(2));
    let entry = expected.get("/Users/link");
    entry.reparse_tag = 0xA000_000C;
    entry.streams.insert(("reparse".into(), String::new()), hash(&reparse));

    place.succeed("unmount mnt --commit");
    verified(&wim);
    let after = plain(peer_listing(&wim, 1).unwrap());
    let mut differences = BTreeMap::new();
    for path in expected.0.keys().chain(after.keys()) {
        let pair = (expected.0.get(path), after.get(path));
        if pair.0 != pair.1 {
            differences.insert(path, pair);
        }
    }
    assert!(differences.is_empty(), "expected and found: {differences:#?}");

    // What was written is what wimlib applies.
    let applied = place.directory("applied");
    wim_support::wimlib(&["apply", wim.to_str().unwrap(), "1", applied.to_str().unwrap()]);
    assert_eq!(fs::read(applied.join("Users/new.txt")).unwrap(), text);
    assert_eq!(fs::read(applied.join("Windows/System32/hal.dll")).unwrap(), new);
    assert_eq!(fs::read(applied.join("Windows/System32/setupapi.dll")).unwrap(), data);
    let path = |name: &str| applied.join(name);
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    assert_eq!(inode(&path("Windows/explorer.exe")), inode(&path("Windows/explorer two.exe")));
}

#[test]
fn nothing_changed_is_nothing_written() {
    let Some(place) = Place::new() else { return };
    let Some(wim) = mount_support::plain_wim(&place, "w.wim", &["one"], &[]) else { return };
    let before = fs::read(&wim).unwrap();
    let root = place.mount("w.wim:1", "mnt");
    assert_eq!(fs::read_to_string(root.join("which")).unwrap(), "one");
    place.succeed("commit mnt");
    place.succeed("unmount mnt --commit");
    assert!(fs::read(&wim).unwrap() == before, "the file was changed");
    let root = place.mount("w.wim:1", "mnt");
    fs::write(root.join("which"), "dropped").unwrap();
    place.succeed("unmount mnt --discard");
    assert!(fs::read(&wim).unwrap() == before, "the file was changed");
}
