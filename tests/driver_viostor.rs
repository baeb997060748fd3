// SPDX-License-Identifier: GPL-3.0-or-later
//! viostor into an empty driver store and into a real Windows 10, against the registry that a
//! real Windows wrote for the same INF (`corpus/drivers/expected/viostor.json`).

mod driver_support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use driver_support::captured::{self, Exception};
use driver_support::{ImageRecipe, corpus, entries, open, read, surroundings, unxz};
use transom::base::{Arch, Version, WinPath, name};
use transom::drivers::{self, AddOutcome, AddReport, AddRequest};
use transom::image::{HiveName, Session};
use transom::volume::Volume;

const STORE_NAME: &str = "viostor.inf_amd64_520417bbc533faba";
const INF: &str = "viostor_100.90.104.21500_w10_amd64.inf";
const BUILD: Version = Version::new(10, 0, 14393, 0);

/// What this capture and we differ in besides [`captured::COMMON`], by the book, and why.
const EXCEPTIONS: &[Exception] = &[
    Exception {
        hive: "SYSTEM",
        key_contains: "Services\\viostor",
        value: Some("Tag"),
        reason: "depends on the image's other services; compared below",
    },
    Exception {
        hive: "SOFTWARE",
        key_contains: "PnpLockdownFiles",
        value: Some("Source"),
        reason: "its text is damaged in the capture; compared below",
    },
    Exception {
        hive: "SYSTEM",
        key_contains: "DeviceIds\\{4d36e97b-e325-11ce-bfc1-08002be10318}",
        value: None,
        reason: "left out of this capture",
    },
];

/// The INF under its own name, with a stand-in driver and catalog.
fn package(corpus: &Path, folder: &Path) -> PathBuf {
    let inf = folder.join("viostor.inf");
    fs::copy(corpus.join("drivers/inf").join(INF), &inf).unwrap();
    fs::write(folder.join("viostor.sys"), b"stand-in for viostor.sys").unwrap();
    fs::write(folder.join("viostor.cat"), b"stand-in for viostor.cat").unwrap();
    inf
}

fn add(session: &mut Session, source: &Path, force_unsigned: bool) -> AddReport {
    let request = AddRequest { sources: vec![source.to_owned()], force_unsigned, ..AddRequest::default() };
    drivers::add(session, &request).unwrap()
}

fn compare(corpus: &Path, session: &mut Session, published: &str) {
    let exceptions: Vec<&Exception> = captured::COMMON.iter().chain(EXCEPTIONS).collect();
    let capture = corpus.join("drivers/expected/viostor.json");
    captured::compare(&capture, session, &[("oem0.inf", published)], &exceptions);
}

fn value(session: &mut Session, path: &str, value: &str) -> (u32, Vec<u8>) {
    let found = session.registry().value(path, value).unwrap().unwrap_or_else(|| panic!("{path} [{value}]"));
    (found.kind.0, found.data)
}

fn check_excepted_values(session: &mut Session, published: &str, tag: u32) {
    let package = format!("HKLM\\SYSTEM\\DriverDatabase\\DriverPackages\\{STORE_NAME}");
    let version: Vec<u8> = [
        &[0x00, 0xFF, 9, 0, 0, 0, 0, 0][..],
        &[0x7B, 0xE9, 0x36, 0x4D, 0x25, 0xE3, 0xCE, 0x11, 0xBF, 0xC1, 0x08, 0x00, 0x2B, 0xE1, 0x03, 0x18],
        &132_828_768_000_000_000u64.to_le_bytes(),
        &[0xFC, 0x53, 0x68, 0, 0x5A, 0, 0x64, 0],
        &[0; 8],
    ]
    .concat();
    assert_eq!(value(session, &package, "Version"), (3, version));
    assert_eq!(value(session, &package, "SignerScore"), (4, 0x8000_0000u32.to_le_bytes().to_vec()));
    let size = 2946 + 2 * "stand-in for viostor.sys".len() as u64;
    assert_eq!(value(session, &package, "FileSize"), (11, size.to_le_bytes().to_vec()));
    let service = "HKLM\\SYSTEM\\CurrentControlSet\\Services\\viostor";
    assert_eq!(value(session, service, "Tag"), (4, tag.to_le_bytes().to_vec()));
    let lockdown = "HKLM\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Setup\\PnpLockdownFiles\\\
                    %SystemRoot%/System32/drivers/viostor.sys";
    let source = format!("%SystemRoot%\\System32\\DriverStore\\FileRepository\\{STORE_NAME}\\viostor.sys\0");
    assert_eq!(value(session, lockdown, "Source"), (2, name::units_to_le(&name::units(&source))));
    let class = "HKLM\\SYSTEM\\DriverDatabase\\DeviceIds\\{4d36e97b-e325-11ce-bfc1-08002be10318}";
    assert_eq!(value(session, class, published), (0, Vec::new()));
}

fn check_files(session: &Session, published: &str) {
    let store = format!("Windows\\System32\\DriverStore\\FileRepository\\{STORE_NAME}");
    assert_eq!(entries(session, &store), ["viostor.cat", "viostor.inf", "viostor.sys"]);
    let driver = b"stand-in for viostor.sys".to_vec();
    assert_eq!(read(session, &format!("{store}\\viostor.sys")), Some(driver.clone()));
    assert_eq!(read(session, "Windows\\System32\\drivers\\viostor.sys"), Some(driver));
    let inf = read(session, &format!("{store}\\viostor.inf")).unwrap();
    assert_eq!(inf.len(), 2946);
    assert_eq!(read(session, &format!("Windows\\INF\\{published}")), Some(inf));
    let catalogs = "Windows\\System32\\CatRoot\\{F750E6C3-38EE-11D1-85E5-00C04FC295EE}";
    let catalog = format!("{catalogs}\\{}", published.replace(".inf", ".cat"));
    assert_eq!(read(session, &catalog), Some(b"stand-in for viostor.cat".to_vec()));
}

#[test]
fn into_an_empty_store_as_captured() {
    let Some(corpus) = corpus() else { return };
    let folder = tempfile::tempdir().unwrap();
    let inf = package(&corpus, folder.path());
    let surroundings = surroundings();
    let recipe = ImageRecipe {
        files: vec![("Windows\\INF\\oem0.PNF", b"stale".to_vec())],
        ..ImageRecipe::new(Arch::Amd64, BUILD)
    };
    let mut session = open(&recipe, &surroundings);
    let report = add(&mut session, &inf, true);
    let AddOutcome::Installed {
        published_name,
        store_name,
        already_present,
        boot_critical,
        reflected,
        hive,
        signed,
        signer,
        ..
    } = &report.packages[0].outcome
    else {
        panic!("{report:?}")
    };
    assert_eq!((published_name.as_str(), store_name.as_str()), ("oem0.inf", STORE_NAME));
    assert_eq!((*already_present, *boot_critical, *reflected, *signed), (false, true, true, false));
    assert_eq!((hive.as_str(), signer), ("SYSTEM", &None));
    check_files(&session, "oem0.inf");
    assert_eq!(entries(&session, "Windows\\INF"), ["oem0.inf"], "the stale cache is gone");
    check_excepted_values(&mut session, "oem0.inf", 0x21);
    assert_eq!(value(&mut session, "HKLM\\SYSTEM\\DriverDatabase", "OemInfMap"), (3, vec![0x80]));
    compare(&corpus, &mut session, "oem0.inf");
}

#[test]
fn into_a_real_windows_10_as_captured() {
    let Some(corpus) = corpus() else { return };
    let folder = tempfile::tempdir().unwrap();
    let inf = package(&corpus, folder.path());
    let surroundings = surroundings();
    let hive = |name: &str| unxz(&corpus.join("hive").join(name));
    let system = hive("SYSTEM_B.xz");
    let logs = vec![(".LOG1", hive("SYSTEM_B.LOG1.xz")), (".LOG2", hive("SYSTEM_B.LOG2.xz"))];
    let recipe = ImageRecipe { system: Some((system, logs)), ..ImageRecipe::new(Arch::Amd64, BUILD) };
    let mut session = open(&recipe, &surroundings);
    assert_eq!(
        session.registry().open_state(HiveName::System),
        Some(transom::hive::OpenState::Replayed),
        "the real hive was not closed properly"
    );
    let report = add(&mut session, &inf, true);
    let AddOutcome::Installed { published_name, .. } = &report.packages[0].outcome else {
        panic!("{report:?}")
    };
    // Sixteen numbers are taken after the logs are applied or before: the lowest free one it is.
    let published = published_name.clone();
    check_files(&session, &published);
    let tag = value(&mut session, "HKLM\\SYSTEM\\CurrentControlSet\\Services\\viostor", "Tag").1;
    let tag = u32::from_le_bytes(tag.try_into().unwrap());
    check_excepted_values(&mut session, &published, tag);
    compare(&corpus, &mut session, &published);
    eprintln!("published as {published}, tag {tag}");
}

#[test]
fn twice_is_once() {
    let Some(corpus) = corpus() else { return };
    let folder = tempfile::tempdir().unwrap();
    let inf = package(&corpus, folder.path());
    let surroundings = surroundings();
    let mut session = open(&ImageRecipe::new(Arch::Amd64, BUILD), &surroundings);
    add(&mut session, &inf, true);
    let before = session.diff().unwrap();
    let report = add(&mut session, &inf, true);
    let AddOutcome::Installed { published_name, already_present, .. } = &report.packages[0].outcome else {
        panic!("{report:?}")
    };
    assert_eq!((published_name.as_str(), *already_present), ("oem0.inf", true));
    assert!(!report.is_changed());
    let after = session.diff().unwrap();
    assert_eq!(before.registry, after.registry);
    assert_eq!(before.files, after.files);
}

#[test]
fn the_same_inf_with_another_payload_is_refused() {
    let Some(corpus) = corpus() else { return };
    let folder = tempfile::tempdir().unwrap();
    let inf = package(&corpus, folder.path());
    let surroundings = surroundings();
    let mut session = open(&ImageRecipe::new(Arch::Amd64, BUILD), &surroundings);
    add(&mut session, &inf, true);
    let before = session.diff().unwrap();
    fs::write(folder.path().join("viostor.sys"), b"another payload").unwrap();
    let report = add(&mut session, &inf, true);
    let error = report.error().expect("refused");
    assert_eq!(error.code(), transom::base::Code::ALREADY_EXISTS);
    assert_eq!(
        error.message(),
        format!(
            "the store already holds {STORE_NAME} with another viostor.sys: one INF cannot be there with two payloads"
        )
    );
    let after = session.diff().unwrap();
    assert_eq!((before.registry, before.files), (after.registry, after.files));
}

#[test]
fn a_failed_package_leaves_nothing() {
    let Some(corpus) = corpus() else { return };
    let folder = tempfile::tempdir().unwrap();
    let inf = package(&corpus, folder.path());
    let surroundings = surroundings();
    let mut session = open(&ImageRecipe::new(Arch::Amd64, BUILD), &surroundings);
    // Without force: the stand-in catalog is no catalog.
    let report = add(&mut session, &inf, false);
    assert_eq!(report.error().unwrap().code(), transom::base::Code(0xE000_0242));
    fs::remove_file(folder.path().join("viostor.cat")).unwrap();
    let report = add(&mut session, &inf, false);
    assert_eq!(report.error().unwrap().code(), transom::base::Code(0xE000_022F));
    fs::remove_file(folder.path().join("viostor.sys")).unwrap();
    let report = add(&mut session, &inf, true);
    let error = report.error().unwrap();
    assert_eq!(error.code(), transom::base::Code::FILE_NOT_FOUND);
    assert_eq!(
        error.message(),
        format!("viostor.inf copies viostor.sys, which is not in {}", folder.path().display())
    );
    let diff = session.diff().unwrap();
    assert_eq!((diff.registry, diff.files), (Vec::new(), Vec::new()));
}

#[test]
fn listed_and_described() {
    let Some(corpus) = corpus() else { return };
    let folder = tempfile::tempdir().unwrap();
    let inf = package(&corpus, folder.path());
    let surroundings = surroundings();
    let mut session = open(&ImageRecipe::new(Arch::Amd64, BUILD), &surroundings);
    add(&mut session, &inf, true);
    let list = drivers::list(&mut session, false).unwrap();
    let json = serde_json::to_value(&list).unwrap();
    let expected = serde_json::json!([{
        "published_name": "oem0.inf",
        "original_file_name": "viostor.inf",
        "inbox": false,
        "class_name": "SCSIAdapter",
        "provider_name": "Red Hat, Inc.",
        "date": 132_828_768_000_000_000u64,
        "version": "100.90.104.21500",
        "store_name": STORE_NAME,
    }]);
    assert_eq!(json, expected);
    let info = drivers::info(&mut session, "OEM0.inf").unwrap();
    assert_eq!(
        info.store_path,
        format!("Windows\\System32\\DriverStore\\FileRepository\\{STORE_NAME}\\viostor.inf")
    );
    assert_eq!(info.class_description.as_deref(), Some("SCSIAdapter devices"));
    assert_eq!((info.boot_critical, info.signed), (true, Some(false)));
    let models: Vec<(&str, &str, Option<&str>)> = info
        .drivers
        .iter()
        .map(|model| {
            (model.hardware_id.as_str(), model.compatible_ids[0].as_str(), model.service_name.as_deref())
        })
        .collect();
    assert_eq!(
        models,
        [
            ("PCI\\VEN_1AF4&DEV_1001&SUBSYS_00021AF4&REV_00", "PCI\\VEN_1AF4&DEV_1001", Some("viostor")),
            ("PCI\\VEN_1AF4&DEV_1042&SUBSYS_11001AF4&REV_01", "PCI\\VEN_1AF4&DEV_1042", Some("viostor")),
        ]
    );
    let outside = drivers::info(&mut session, inf.to_str().unwrap()).unwrap();
    assert_eq!(outside.drivers, info.drivers);
    assert_eq!((outside.package.published_name.as_str(), outside.signed), ("", Some(false)));
    let unknown = drivers::info(&mut session, "oem7.inf").unwrap_err();
    assert_eq!(unknown.code(), transom::base::Code::NOT_FOUND);
}

#[test]
fn a_hard_linked_file_is_replaced_under_its_name_only() {
    let Some(corpus) = corpus() else { return };
    let folder = tempfile::tempdir().unwrap();
    let inf = package(&corpus, folder.path());
    let surroundings = surroundings();
    let mut volume = ImageRecipe::new(Arch::Amd64, BUILD).volume();
    let (installed, twin) = ("Windows\\System32\\drivers\\VIOSTOR.SYS", "Windows\\WinSxS\\x\\viostor.sys");
    volume.file(installed, b"older".to_vec());
    volume.link(installed, twin);
    let mut session = Session::open_volume(Arc::new(volume), surroundings.environment.clone()).unwrap();
    let report = add(&mut session, &inf, true);
    let AddOutcome::Installed { exceptions, .. } = &report.packages[0].outcome else { panic!("{report:?}") };
    assert_eq!(
        *exceptions,
        ["Windows\\System32\\drivers\\viostor.sys was there and is replaced: the versions are not known"]
    );
    assert_eq!(read(&session, installed), Some(b"stand-in for viostor.sys".to_vec()));
    assert_eq!(read(&session, twin), Some(b"older".to_vec()));
    assert_eq!(
        entries(&session, "Windows\\System32\\drivers"),
        ["VIOSTOR.SYS"],
        "the case that is there stays"
    );
}

#[test]
fn a_package_folder_is_guarded_like_its_siblings() {
    let Some(corpus) = corpus() else { return };
    let folder = tempfile::tempdir().unwrap();
    let inf = package(&corpus, folder.path());
    let surroundings = surroundings();
    let mut session = open(&ImageRecipe::new(Arch::Amd64, BUILD), &surroundings);
    add(&mut session, &inf, true);
    let repository = "Windows\\System32\\DriverStore\\FileRepository";
    let security = |session: &Session, path: &str| {
        let node = session.resolve(&WinPath::parse(path).unwrap()).unwrap().expect(path);
        session.overlay().node(node).unwrap().security
    };
    let descriptor = transom::base::sddl::compile("O:SYG:SYD:P(A;OICI;FA;;;SY)(A;OICI;FRFX;;;WD)").unwrap();
    let first =
        session.resolve(&WinPath::parse(&format!("{repository}\\{STORE_NAME}")).unwrap()).unwrap().unwrap();
    session.overlay().set_security(first, Some(&descriptor)).unwrap();

    let changed =
        String::from_utf8(fs::read(&inf).unwrap()).unwrap().replace("100.90.104.21500", "100.90.104.21501");
    fs::write(&inf, changed).unwrap();
    let report = add(&mut session, &inf, true);
    let AddOutcome::Installed { published_name, store_name, .. } = &report.packages[0].outcome else {
        panic!("{report:?}")
    };
    assert_eq!(published_name, "oem1.inf");
    let second = format!("{repository}\\{store_name}");
    assert_eq!(security(&session, &second).as_deref(), Some(&descriptor[..]));
    // What lies in it inherits from it.
    let inherited = security(&session, &format!("{second}\\viostor.sys")).expect("inherited");
    let inherited = transom::base::security::Descriptor::parse(&inherited).unwrap();
    let masks: Vec<u32> = inherited.dacl().unwrap().entries().filter_map(|ace| ace.mask()).collect();
    assert_eq!(masks, [0x001F_01FF, 0x0012_00A9]);
    // Both own the service, the newer one first, and the ids lead to both.
    let service = "HKLM\\SYSTEM\\CurrentControlSet\\Services\\viostor";
    let owners = session.registry().value(service, "Owners").unwrap().unwrap();
    assert_eq!(owners.as_multi_sz(), Some(vec!["oem1.inf".to_owned(), "oem0.inf".to_owned()]));
    let id = "HKLM\\SYSTEM\\DriverDatabase\\DeviceIds\\PCI\\VEN_1AF4&DEV_1001";
    for name in ["oem0.inf", "oem1.inf"] {
        assert_eq!(value(&mut session, id, name), (3, vec![0x02, 0xFF, 0, 0]));
    }
}
