// SPDX-License-Identifier: GPL-3.0-or-later
//! Small images for the tests of sessions and of the driver store: a tree in memory with hives
//! of real structure, and a way to see registry changes as plain data.
#![allow(dead_code)]

pub(crate) mod captured;
pub(crate) mod memory;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use transom::base::{Arch, FileTime, Version, WinPath};
use transom::hive::{Hive, Value, ValueType};
use transom::image::{Environment, Session};
use transom::io::{Cancel, FixedClock, NoProgress, Pool};

use memory::MemoryVolume;

/// When everything in these tests happens: 2024-02-29 12:00 UTC.
pub(crate) const NOW: FileTime = FileTime(133_536_816_000_000_000);

/// Everybody reads, the system and administrators do all: what roots of real hives look like.
pub(crate) const ROOT_SDDL: &str = "O:BAG:SYD:P(A;CI;KA;;;SY)(A;CI;KA;;;BA)(A;CI;KR;;;WD)";

/// The corpus of real files; nothing, said aloud, when it is not on this machine.
pub(crate) fn corpus() -> Option<PathBuf> {
    let path = match std::env::var_os("TRANSOM_CORPUS") {
        Some(path) => PathBuf::from(path),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"),
    };
    if path.join("drivers").is_dir() {
        return Some(path);
    }
    eprintln!("SKIPPED: no corpus at {} (set TRANSOM_CORPUS)", path.display());
    None
}

/// Whether a peer program can be started; its absence is said aloud.
pub(crate) fn has_peer(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        eprintln!("SKIPPED: {program} is not installed");
    }
    found
}

/// The content of an xz file.
pub(crate) fn unxz(path: &Path) -> Vec<u8> {
    let output = Command::new("xz").args(["-dkc"]).arg(path).output().unwrap();
    assert!(output.status.success(), "xz {}", path.display());
    output.stdout
}

/// A session's surroundings in a scratch directory of its own.
pub(crate) struct Surroundings {
    pub(crate) scratch: tempfile::TempDir,
    pub(crate) environment: Environment,
}

pub(crate) fn surroundings() -> Surroundings {
    let scratch = tempfile::tempdir().unwrap();
    let environment = Environment {
        clock: Arc::new(FixedClock(NOW)),
        progress: Arc::new(NoProgress),
        cancel: Cancel::default(),
        pool: Pool::new(2).unwrap(),
        scratch_parent: scratch.path().to_owned(),
        ignore_dirty: false,
    };
    Surroundings { scratch, environment }
}

/// Setup classes of the small images: GUID, name, whether it is needed to boot.
pub(crate) const CLASSES: &[(&str, &str, bool)] = &[
    ("{4d36e97b-e325-11ce-bfc1-08002be10318}", "SCSIAdapter", true),
    ("{4d36e97d-e325-11ce-bfc1-08002be10318}", "System", true),
    ("{4d36e96f-e325-11ce-bfc1-08002be10318}", "Mouse", true),
    ("{4d36e968-e325-11ce-bfc1-08002be10318}", "Display", false),
    ("{4d36e972-e325-11ce-bfc1-08002be10318}", "Net", false),
    ("{745a17a0-74d3-11d0-b6fe-00a0c90f57da}", "HIDClass", true),
];

/// A hive file, and its logs by their suffix.
pub(crate) type RealHive = (Vec<u8>, Vec<(&'static str, Vec<u8>)>);

/// What an image to be made is.
#[derive(Clone)]
pub(crate) struct ImageRecipe {
    pub(crate) arch: Arch,
    pub(crate) version: Version,
    /// Bytes of a real SYSTEM hive and its logs (`.LOG1` ...), in place of a made one.
    pub(crate) system: Option<RealHive>,
    /// Files beside the hives, paths from the root.
    pub(crate) files: Vec<(&'static str, Vec<u8>)>,
    pub(crate) with_drivers_hive: bool,
}

impl ImageRecipe {
    pub(crate) fn new(arch: Arch, version: Version) -> Self {
        Self { arch, version, system: None, files: Vec::new(), with_drivers_hive: true }
    }

    /// The tree of the image.
    pub(crate) fn volume(&self) -> MemoryVolume {
        let mut volume = MemoryVolume::default();
        for (path, bytes) in self.tree() {
            match bytes {
                Some(bytes) => volume.file(&path, bytes),
                None => {
                    volume.directory(&path);
                }
            }
        }
        volume
    }

    /// Paths with the bytes of files; nothing for directories.
    pub(crate) fn tree(&self) -> Vec<(String, Option<Vec<u8>>)> {
        let config = "Windows\\System32\\config";
        let mut tree: Vec<(String, Option<Vec<u8>>)> = [
            "Windows\\INF",
            "Windows\\System32\\drivers",
            "Windows\\System32\\DriverStore\\FileRepository",
            "Windows\\System32\\CatRoot\\{F750E6C3-38EE-11D1-85E5-00C04FC295EE}",
        ]
        .into_iter()
        .map(|path| (path.to_owned(), None))
        .collect();
        match &self.system {
            Some((system, logs)) => {
                tree.push((format!("{config}\\SYSTEM"), Some(system.clone())));
                for (suffix, bytes) in logs {
                    tree.push((format!("{config}\\SYSTEM{suffix}"), Some(bytes.clone())));
                }
            }
            None => tree.push((format!("{config}\\SYSTEM"), Some(system_hive(self.arch)))),
        }
        tree.push((format!("{config}\\SOFTWARE"), Some(software_hive(self.version))));
        if self.with_drivers_hive {
            tree.push((format!("{config}\\DRIVERS"), Some(drivers_hive(self.arch))));
        }
        tree.extend(self.files.iter().map(|(path, bytes)| ((*path).to_owned(), Some(bytes.clone()))));
        tree
    }

    /// The tree below a directory of this machine, for other tools to capture.
    pub(crate) fn write_to(&self, folder: &Path) {
        for (path, bytes) in self.tree() {
            let path = folder.join(path.replace('\\', "/"));
            match bytes {
                Some(bytes) => {
                    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                    std::fs::write(path, bytes).unwrap();
                }
                None => std::fs::create_dir_all(path).unwrap(),
            }
        }
    }
}

/// Opens a session on an image in memory.
pub(crate) fn open(recipe: &ImageRecipe, surroundings: &Surroundings) -> Session {
    Session::open_volume(Arc::new(recipe.volume()), surroundings.environment.clone()).unwrap()
}

fn create(minor: u32) -> Hive {
    let descriptor = transom::base::sddl::compile(ROOT_SDDL).unwrap();
    Hive::create("ROOT", minor, &descriptor, FileTime(0)).unwrap()
}

fn put(hive: &mut Hive, path: &str, values: &[Value]) {
    let key = hive.create_path(hive.root(), path, FileTime(0)).unwrap();
    for value in values {
        hive.set_value(key, value, FileTime(0)).unwrap();
    }
}

/// An empty driver database.
fn database(hive: &mut Hive, arch: Arch) {
    let values = [
        Value::dword("Version", 0x0A00_0000),
        Value::dword("Architecture", arch.processor_number().into()),
        Value::dword("SetupStatus", 0),
    ];
    put(hive, "DriverDatabase", &values);
    for key in ["DeviceIds", "DriverFiles", "DriverInfFiles", "DriverPackages"] {
        put(hive, &format!("DriverDatabase\\{key}"), &[]);
    }
}

pub(crate) fn system_hive(arch: Arch) -> Vec<u8> {
    let mut hive = create(5);
    put(&mut hive, "Select", &[Value::dword("Current", 1), Value::dword("Default", 1)]);
    let set = "ControlSet001";
    let word = arch.as_str().to_uppercase();
    let environment = format!("{set}\\Control\\Session Manager\\Environment");
    put(&mut hive, &environment, &[Value::sz("PROCESSOR_ARCHITECTURE", &word)]);
    put(&mut hive, &format!("{set}\\Control\\ProductOptions"), &[Value::sz("ProductType", "WinNT")]);
    put(&mut hive, &format!("{set}\\Control\\Nls\\Language"), &[Value::sz("InstallLanguage", "0409")]);
    for (guid, class, boot_critical) in CLASSES {
        let path = format!("{set}\\Control\\Class\\{guid}");
        put(
            &mut hive,
            &path,
            &[Value::sz("Class", class), Value::sz("ClassDesc", &format!("@c.inf,%d%;{class} devices"))],
        );
        if *boot_critical {
            let property = format!("{path}\\Properties\\{{6a3433f4-5626-40e8-a9b9-dbd9ecd2884b}}\\0003");
            put(&mut hive, &property, &[Value::new("", ValueType(0xFFFF_0011), vec![0xFF])]);
        }
    }
    // "SCSI miniport" as in a real Windows 10: 33 and 34 are free.
    let tags: Vec<u32> = (1..=32).chain(35..=63).collect();
    let order: Vec<u8> = std::iter::once(tags.len() as u32).chain(tags).flat_map(u32::to_le_bytes).collect();
    put(&mut hive, &format!("{set}\\Control\\GroupOrderList"), &[Value::binary("SCSI miniport", order)]);
    put(&mut hive, &format!("{set}\\Services\\EventLog\\System"), &[]);
    database(&mut hive, arch);
    hive.to_bytes().unwrap()
}

pub(crate) fn software_hive(version: Version) -> Vec<u8> {
    let mut hive = create(5);
    let mut values = vec![
        Value::sz("CurrentBuild", &version.build.to_string()),
        Value::sz(
            "CurrentVersion",
            &format!("{}.{}", version.major.min(6), if version.major > 6 { 3 } else { version.minor }),
        ),
        Value::sz("EditionID", "Professional"),
        Value::sz("InstallationType", "Client"),
    ];
    if version.major >= 10 {
        values.push(Value::dword("CurrentMajorVersionNumber", version.major.into()));
        values.push(Value::dword("CurrentMinorVersionNumber", version.minor.into()));
        values.push(Value::dword("UBR", version.revision.into()));
    }
    put(&mut hive, "Microsoft\\Windows NT\\CurrentVersion", &values);
    put(&mut hive, "Microsoft\\Windows\\CurrentVersion\\Setup", &[]);
    hive.to_bytes().unwrap()
}

pub(crate) fn drivers_hive(arch: Arch) -> Vec<u8> {
    let mut hive = create(5);
    database(&mut hive, arch);
    hive.to_bytes().unwrap()
}

/// Bytes of a file in the session.
pub(crate) fn read(session: &Session, path: &str) -> Option<Vec<u8>> {
    transom::volume::read_file(session.overlay(), &WinPath::parse(path).unwrap()).unwrap()
}

/// Names in a directory of the session.
pub(crate) fn entries(session: &Session, path: &str) -> Vec<String> {
    use transom::volume::Volume;
    let node = session.resolve(&WinPath::parse(path).unwrap()).unwrap().expect(path);
    let mut names: Vec<String> =
        session.overlay().entries(node).unwrap().iter().map(|entry| entry.name.to_string()).collect();
    names.sort();
    names
}

/// One value as type and data.
pub(crate) type Data = (u32, Vec<u8>);
/// Keys by upper-case path, with their values by name.
pub(crate) type Keys = BTreeMap<String, BTreeMap<String, Data>>;
