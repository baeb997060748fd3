// SPDX-License-Identifier: GPL-3.0-or-later
//! `driver check` finds every kind of fault that is planted, and none in a sound store; `find`, the
//! list of devices and `diff` on what packages say.

mod driver_support;

use std::fs;
use std::path::{Path, PathBuf};

use driver_support::{ImageRecipe, Surroundings, corpus, open, surroundings};
use transom::base::{Arch, FileTime, NodeKind, Version, WinName, WinPath};
use transom::drivers::{self, AddOutcome, AddRequest, Device, DeviceList, DriverFault};
use transom::hive::Value;
use transom::image::{HiveName, Session};
use transom::volume::{NewData, Volume};

const VERSION: Version = Version::new(10, 0, 14393, 0);
const DATABASE: &str = "HKLM\\SYSTEM\\DriverDatabase";

/// An INF of class System whose ids are given as fields of one models line each.
fn inf(name: &str, date: &str, models: &[&str], feature_score: &str) -> String {
    let lines: String = models.iter().map(|ids| format!("\"Device\"=I,{ids}\r\n")).collect();
    format!(
        "[Version]\r\nSignature=\"$Windows NT$\"\r\nClass=System\r\nClassGuid={{4d36e97d-e325-11ce-bfc1-08002be10318}}\r\n\
         Provider=Maker\r\nDriverVer={date},1.0.0.0\r\n[Manufacturer]\r\nMaker=M,NTamd64\r\n[M.NTamd64]\r\n{lines}\
         [I]\r\n{feature_score}CopyFiles=F\r\n[F]\r\n{name}.sys\r\n[I.Services]\r\nAddService={name},2,S\r\n[S]\r\n\
         ServiceType=1\r\nStartType=3\r\nErrorControl=1\r\nServiceBinary=%12%\\{name}.sys\r\n[DestinationDirs]\r\n\
         F=12\r\n[SourceDisksNames]\r\n1=disk\r\n[SourceDisksFiles]\r\n{name}.sys=1\r\n"
    )
}

fn write_package(folder: &Path, name: &str, text: &str) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join(format!("{name}.sys")), name.as_bytes()).unwrap();
    let path = folder.join(format!("{name}.inf"));
    fs::write(&path, text).unwrap();
    path
}

fn add(session: &mut Session, inf: &Path) -> String {
    let request = AddRequest { sources: vec![inf.to_owned()], force_unsigned: true, ..AddRequest::default() };
    let report = drivers::add(session, &request).unwrap();
    match &report.packages[0].outcome {
        AddOutcome::Installed { store_name, .. } => store_name.clone(),
        other => panic!("{other:?}"),
    }
}

/// An image with the signed package of the corpus as oem0 and an unsigned one as oem1.
fn sound(corpus: &Path, surroundings: &Surroundings) -> (Session, String, String) {
    let mut session = open(&ImageRecipe::new(Arch::Amd64, VERSION), surroundings);
    let signed = corpus.join("drivers/packages/vboxguest_7.2.22_amd64_whql/VBoxGuest.inf");
    let signed = add(&mut session, &signed);
    let text = inf("plain", "01/02/2020", &["PCI\\VEN_1234&DEV_0001,PCI\\CC_0880"], "");
    let path = write_package(&surroundings.scratch.path().join("plain"), "plain", &text);
    let plain = add(&mut session, &path);
    (session, signed, plain)
}

fn faults(session: &mut Session) -> Vec<(DriverFault, String)> {
    let report = drivers::check(session, false).unwrap();
    let mut found: Vec<_> = report.findings.into_iter().map(|found| (found.fault, found.package)).collect();
    found.sort();
    found.dedup();
    found
}

fn path(text: &str) -> WinPath {
    WinPath::parse(text).unwrap()
}

/// Files and keys to damage.
struct Damage<'a>(&'a mut Session);

impl Damage<'_> {
    fn place(&self, file: &str) -> (transom::base::NodeId, WinName) {
        let full = path(file);
        let folder = self.0.resolve(&full.parent().unwrap()).unwrap().expect(file);
        (folder, full.file_name().unwrap().clone())
    }

    fn remove(&self, file: &str) {
        let (folder, name) = self.place(file);
        let overlay = self.0.overlay();
        let node = overlay.lookup(folder, name.units()).unwrap().expect(file).node;
        match overlay.node(node).unwrap().kind() {
            NodeKind::Directory => overlay.remove_tree(folder, name.units()).unwrap(),
            _ => overlay.remove(folder, name.units()).unwrap(),
        }
    }

    fn write(&self, file: &str, bytes: &[u8]) {
        let (folder, name) = self.place(file);
        self.0.overlay().supersede(folder, &name, NewData::Bytes(bytes.to_vec())).unwrap();
    }

    fn set(&mut self, key: &str, value: &Value) {
        self.0.registry().set_value(key, value).unwrap();
    }

    fn delete(&mut self, key: &str) {
        assert!(self.0.registry().delete_key(key).unwrap(), "{key}");
    }

    fn delete_value(&mut self, key: &str, value: &str) {
        assert!(self.0.registry().delete_value(key, value).unwrap(), "{key} {value}");
    }

    /// Copies a package's record into the other hive, and deletes the first where asked.
    fn copy_record(&mut self, store_name: &str, keep: bool) {
        let now = FileTime(0);
        let below = format!("DriverDatabase\\DriverPackages\\{store_name}");
        let registry = self.0.registry();
        let system = registry.require(HiveName::System).unwrap();
        let key = system.find(system.root(), &below).unwrap().unwrap();
        let values = system.values(key).unwrap();
        if !keep {
            system.delete_key(key, now).unwrap();
        }
        let other = registry.require(HiveName::Drivers).unwrap();
        let key = other.create_path(other.root(), &below, now).unwrap();
        for value in values {
            other.set_value(key, &value, now).unwrap();
        }
    }
}

const STORE: &str = "Windows\\System32\\DriverStore\\FileRepository";
const CATALOGS: &str = "Windows\\System32\\CatRoot\\{F750E6C3-38EE-11D1-85E5-00C04FC295EE}";

#[test]
fn every_planted_fault_is_found() {
    let Some(corpus) = corpus() else { return };
    let surroundings = surroundings();
    let (mut session, signed, plain) = sound(&corpus, &surroundings);
    assert_eq!(faults(&mut session), []);
    let report = drivers::check(&mut session, true).unwrap();
    assert_eq!((report.packages, report.files), (2, 4));

    let package = format!("{DATABASE}\\DriverPackages\\{signed}");
    let version = session.registry().value(&package, "Version").unwrap().unwrap().data;
    let with = |offset: usize, byte: u8| {
        let mut data = version.clone();
        data[offset] = byte;
        Value::binary("Version", data)
    };
    let id = format!("{DATABASE}\\DeviceIds\\PCI\\VEN_1234&DEV_0001");
    let service = "HKLM\\SYSTEM\\ControlSet001\\Services";
    let lockdown = "HKLM\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Setup\\PnpLockdownFiles\\\
                    %SystemRoot%/System32/drivers/plain.sys";
    type Plant<'a> = Box<dyn Fn(&mut Damage<'_>) + 'a>;
    // What is done, how, and what the check must say.
    type Case<'a> = (&'a str, Plant<'a>, Vec<(DriverFault, &'a str)>);
    let folder = |file: &str| format!("{STORE}\\{signed}\\{file}");
    let cases: Vec<Case<'_>> = vec![
        (
            "a record cut off",
            Box::new(|it| it.set(&package, &Value::binary("Version", vec![0; 8]))),
            vec![
                (DriverFault::BadRecord, &signed),
                (DriverFault::UnknownFolder, &signed),
                (DriverFault::NoRecord, &signed),
            ],
        ),
        (
            "another processor",
            Box::new(|it| it.set(&package, &with(2, 0))),
            vec![(DriverFault::WrongArchitecture, &signed)],
        ),
        (
            "another version",
            Box::new(|it| it.set(&package, &with(38, 9))),
            vec![(DriverFault::WrongVersion, &signed)],
        ),
        (
            "another class",
            Box::new(|it| it.set(&package, &with(8, 0x7B))),
            vec![
                (DriverFault::WrongClass, &signed),
                (DriverFault::MissingDeviceId, &signed),
                (DriverFault::StaleDeviceId, &signed),
            ],
        ),
        (
            "two hives",
            Box::new(|it| it.copy_record(&plain, true)),
            vec![
                (DriverFault::TwoHives, &plain),
                (DriverFault::WrongHive, &plain),
                (DriverFault::MissingConfiguration, &plain),
            ],
        ),
        (
            "the other hive",
            Box::new(|it| it.copy_record(&plain, false)),
            vec![(DriverFault::WrongHive, &plain), (DriverFault::MissingConfiguration, &plain)],
        ),
        (
            "not published",
            Box::new(|it| it.delete(&format!("{DATABASE}\\DriverInfFiles\\oem1.inf"))),
            vec![
                (DriverFault::NotPublished, &plain),
                (DriverFault::UnknownPublishedInf, "oem1.inf"),
                (DriverFault::StaleDeviceId, "oem1.inf"),
                (DriverFault::StaleOwner, "oem1.inf"),
            ],
        ),
        (
            "no record",
            Box::new(|it| it.delete(&format!("{DATABASE}\\DriverPackages\\{plain}"))),
            vec![(DriverFault::NoRecord, &plain), (DriverFault::UnknownFolder, &plain)],
        ),
        (
            "no folder",
            Box::new(|it| it.remove(&format!("{STORE}\\{plain}"))),
            vec![(DriverFault::MissingFolder, &plain)],
        ),
        (
            "no INF",
            Box::new(|it| it.remove(&format!("{STORE}\\{plain}\\plain.inf"))),
            vec![(DriverFault::MissingInf, &plain)],
        ),
        (
            "a broken INF",
            Box::new(|it| it.write(&format!("{STORE}\\{plain}\\plain.inf"), b"a, b")),
            vec![
                (DriverFault::WrongTag, &plain),
                (DriverFault::PublishedInfDiffers, &plain),
                (DriverFault::BadInf, &plain),
            ],
        ),
        (
            "a file less",
            Box::new(|it| it.remove(&folder("VBoxTray.exe"))),
            vec![(DriverFault::MissingFile, &signed)],
        ),
        (
            "a changed file",
            Box::new(|it| it.write(&folder("VBoxGuest.sys"), b"MZ")),
            vec![(DriverFault::FileNotInCatalog, &signed)],
        ),
        (
            "no catalog",
            Box::new(|it| it.remove(&folder("VBoxGuest.cat"))),
            vec![(DriverFault::MissingCatalog, &signed)],
        ),
        (
            "a broken catalog",
            Box::new(|it| it.write(&folder("VBoxGuest.cat"), b"0")),
            vec![(DriverFault::BadCatalog, &signed), (DriverFault::PublishedCatalogDiffers, &signed)],
        ),
        (
            "no oem0.inf",
            Box::new(|it| it.remove("Windows\\INF\\oem0.inf")),
            vec![(DriverFault::MissingPublishedInf, &signed)],
        ),
        (
            "another oem0.inf",
            Box::new(|it| it.write("Windows\\INF\\oem0.inf", b"x")),
            vec![(DriverFault::PublishedInfDiffers, &signed)],
        ),
        (
            "an oem7.inf",
            Box::new(|it| it.write("Windows\\INF\\oem7.inf", b"x")),
            vec![(DriverFault::UnknownPublishedInf, "oem7.inf")],
        ),
        (
            "no oem0.cat",
            Box::new(|it| it.remove(&format!("{CATALOGS}\\oem0.cat"))),
            vec![(DriverFault::PublishedCatalogDiffers, &signed)],
        ),
        (
            "an oem7.cat",
            Box::new(|it| it.write(&format!("{CATALOGS}\\oem7.cat"), b"x")),
            vec![(DriverFault::UnknownPublishedCatalog, "oem7.cat")],
        ),
        (
            "an unknown folder",
            Box::new(|it| {
                it.0.overlay().create_directories(&path(&format!("{STORE}\\other.inf_amd64_0"))).unwrap();
            }),
            vec![(DriverFault::UnknownFolder, "other.inf_amd64_0")],
        ),
        (
            "a number not counted",
            Box::new(|it| it.set(DATABASE, &Value::binary("OemInfMap", vec![0x80]))),
            vec![(DriverFault::NumberNotCounted, "oem1.inf")],
        ),
        (
            "a number too many",
            Box::new(|it| it.set(DATABASE, &Value::binary("OemInfMap", vec![0xC1]))),
            vec![(DriverFault::NumberWithoutInf, "oem7.inf")],
        ),
        (
            "an id less",
            Box::new(|it| it.delete_value(&id, "oem1.inf")),
            vec![(DriverFault::MissingDeviceId, &plain)],
        ),
        (
            "another way to it",
            Box::new(|it| it.set(&id, &Value::binary("oem1.inf", vec![2, 0xFF, 0, 0]))),
            vec![(DriverFault::WrongDeviceId, &plain)],
        ),
        (
            "an id too many",
            Box::new(|it| it.set(&format!("{id}_2"), &Value::binary("oem1.inf", vec![1, 0xFF, 0, 0]))),
            vec![(DriverFault::StaleDeviceId, &plain)],
        ),
        (
            "an id of nobody",
            Box::new(|it| it.set(&id, &Value::binary("oem9.inf", vec![1, 0xFF, 0, 0]))),
            vec![(DriverFault::StaleDeviceId, "oem9.inf")],
        ),
        (
            "not put to work",
            Box::new(|it| it.delete(&format!("{DATABASE}\\DriverPackages\\{plain}\\Configurations"))),
            vec![(DriverFault::MissingConfiguration, &plain)],
        ),
        (
            "a service less",
            Box::new(|it| it.delete(&format!("{service}\\plain"))),
            vec![(DriverFault::MissingService, &plain)],
        ),
        (
            "its driver less",
            Box::new(|it| it.remove("Windows\\System32\\drivers\\plain.sys")),
            vec![(DriverFault::MissingProgram, &plain)],
        ),
        ("not locked", Box::new(|it| it.delete(lockdown)), vec![(DriverFault::MissingLockdown, &plain)]),
        (
            "a service of nobody",
            Box::new(|it| {
                it.set(&format!("{service}\\lost"), &Value::multi_sz("Owners", &["oem9.inf"]));
            }),
            vec![(DriverFault::StaleOwner, "oem9.inf")],
        ),
    ];
    let mut planted = std::collections::BTreeSet::new();
    for (what, plant, expected) in cases {
        let mark = session.savepoint().unwrap();
        plant(&mut Damage(&mut session));
        let mut expected: Vec<_> = expected.into_iter().map(|(fault, of)| (fault, of.to_owned())).collect();
        expected.sort();
        assert_eq!(faults(&mut session), expected, "{what}");
        planted.extend(expected.into_iter().map(|(fault, _)| fault));
        session.rollback(mark).unwrap();
    }
    assert_eq!(faults(&mut session), [], "all is undone");
    let all = 32;
    assert_eq!(planted.len(), all, "a kind of fault was not planted: {planted:?}");
}

/// Adding a damaged package again repairs what is missing or damaged of it.
#[test]
fn adding_again_repairs() {
    let Some(corpus) = corpus() else { return };
    let surroundings = surroundings();
    let (mut session, signed, plain) = sound(&corpus, &surroundings);
    session.save().unwrap();
    // A value that was deleted and set again stands elsewhere in its key's list.
    let sorted = |session: &mut Session| -> Vec<String> {
        let registry = session.diff().unwrap().registry;
        let mut changes: Vec<String> = registry.iter().map(|change| format!("{change:?}")).collect();
        changes.sort();
        changes
    };
    let whole = sorted(&mut session);
    let mut damage = Damage(&mut session);
    damage.remove(&format!("{STORE}\\{signed}\\VBoxTray.exe"));
    damage.write(&format!("{STORE}\\{signed}\\VBoxGuest.sys"), b"MZ");
    damage.remove("Windows\\INF\\oem0.inf");
    damage.remove("Windows\\System32\\drivers\\VBoxGuest.sys");
    damage.delete("HKLM\\SYSTEM\\ControlSet001\\Services\\VBoxGuest");
    damage.delete_value(&format!("{DATABASE}\\DriverPackages\\{signed}"), "Version");
    damage.delete(&format!("{DATABASE}\\DriverInfFiles\\oem1.inf"));
    damage.delete(&format!("{DATABASE}\\DriverPackages\\{plain}\\Descriptors"));
    damage.set(DATABASE, &Value::binary("OemInfMap", vec![0x00]));
    // A record without its version cannot even be listed; the check goes on.
    assert!(faults(&mut session).contains(&(DriverFault::BadRecord, signed.clone())));
    let packages = [
        corpus.join("drivers/packages/vboxguest_7.2.22_amd64_whql/VBoxGuest.inf"),
        surroundings.scratch.path().join("plain/plain.inf"),
    ];
    for (inf, store_name) in packages.iter().zip([&signed, &plain]) {
        assert_eq!(add(&mut session, inf), *store_name);
    }
    assert_eq!(faults(&mut session), []);
    assert_eq!(sorted(&mut session), whole, "as if nothing had happened");
}

/// Which package Windows picks: the rank first, then the date, then the version.
#[test]
fn the_best_package_for_a_device() {
    let surroundings = surroundings();
    let mut session = open(&ImageRecipe::new(Arch::Amd64, VERSION), &surroundings);
    let exact = "PCI\\VEN_1234&DEV_0001&SUBSYS_00011234";
    for (name, date, ids, score) in [
        ("general", "01/01/2024", "PCI\\VEN_1234&DEV_0001", ""),
        ("exact", "01/01/2010", exact, ""),
        ("newer", "02/01/2010", exact, ""),
        ("scored", "01/01/2005", "PCI\\VEN_1234&DEV_0001", "FeatureScore=80\r\n"),
        ("class", "01/01/2024", "PCI\\VEN_9999&DEV_0001,PCI\\CC_0100", ""),
        ("other", "01/01/2024", "PCI\\VEN_1234&DEV_0002", ""),
        ("revised", "01/01/2024", "PCI\\VEN_1234&DEV_0001&SUBSYS_00011234&REV_07", ""),
    ] {
        let path =
            write_package(&surroundings.scratch.path().join(name), name, &inf(name, date, &[ids], score));
        add(&mut session, &path);
    }
    let found = |session: &mut Session, id: &str| -> Vec<(String, u32, bool, bool)> {
        let report = drivers::find(session, id).unwrap();
        let row = |found: &drivers::FindCandidate| {
            let name = found.original_file_name.trim_end_matches(".inf").to_owned();
            (name, found.rank, found.picked, found.conditional)
        };
        report.candidates.iter().map(row).collect()
    };
    let row = |name: &str, rank, picked, conditional| (name.to_owned(), rank, picked, conditional);
    assert_eq!(
        found(&mut session, &format!("{exact}&CC_010000")),
        [
            row("scored", 0x8080_2000, true, false),
            row("newer", 0x80FF_0000, false, false),
            row("exact", 0x80FF_0000, false, false),
            row("general", 0x80FF_2000, false, false),
            row("class", 0x80FF_3005, false, false),
            row("revised", 0x80FF_0000, false, true),
        ]
    );
    assert_eq!(found(&mut session, "PCI\\VEN_4321&DEV_0001"), []);
    let short = found(&mut session, "pci\\ven_1234&dev_0001");
    let sure: Vec<&str> = short.iter().filter(|found| !found.3).map(|found| found.0.as_str()).collect();
    assert_eq!(sure, ["scored", "general"]);
}

#[test]
fn only_what_a_machine_needs() {
    let surroundings = surroundings();
    let folder = surroundings.scratch.path().join("drv");
    for (name, ids) in [
        ("video", "PCI\\VEN_8086&DEV_9BC4&SUBSYS_09621028"),
        ("sound", "PCI\\VEN_8086&DEV_06C8"),
        ("mouse", "USB\\VID_046D&PID_C52B&MI_01"),
        ("absent", "PCI\\VEN_10EC&DEV_8168"),
    ] {
        write_package(&folder.join(name), name, &inf(name, "01/01/2020", &[ids], ""));
    }
    let list = "00:02.0 VGA compatible controller [0300]: Intel Corporation UHD [8086:9bc4] (rev 05)\n\
                00:1f.3 Audio device [0403]: Intel Corporation Device [8086:06c8]\n\
                Bus 001 Device 004: ID 046d:c52b Logitech, Inc. Unifying Receiver\n";
    let mut session = open(&ImageRecipe::new(Arch::Amd64, VERSION), &surroundings);
    let request = |list: &str| AddRequest {
        sources: vec![folder.clone()],
        recurse: true,
        force_unsigned: true,
        only: Some(DeviceList::parse(list)),
        ..AddRequest::default()
    };
    let report = drivers::add(&mut session, &request(list)).unwrap();
    let skipped: Vec<String> = report
        .packages
        .iter()
        .filter_map(|package| match &package.outcome {
            AddOutcome::Skipped { reason } => {
                Some(format!("{} {reason}", package.source.file_name()?.display()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(skipped, ["absent.inf none of the 3 devices of the list has an id of it"]);
    assert_eq!(drivers::list(&mut session, false).unwrap().len(), 3);
    let nothing = drivers::add(&mut session, &request("PCI\\VEN_0001&DEV_0001")).unwrap();
    assert_eq!((nothing.error().map(ToString::to_string), nothing.is_changed()), (None, false));
    assert!(Device::of_id("PCI\\VEN_0001&DEV_0001").may_have("PCI\\VEN_0001&DEV_0001&SUBSYS_1"));
}

#[test]
fn two_images_side_by_side() {
    let Some(corpus) = corpus() else { return };
    let surroundings = surroundings();
    let (mut first, ..) = sound(&corpus, &surroundings);
    let mut second = open(&ImageRecipe::new(Arch::Amd64, VERSION), &surroundings);
    let scratch = surroundings.scratch.path();
    let signed = add(&mut second, &corpus.join("drivers/packages/vboxguest_7.2.22_amd64_whql/VBoxGuest.inf"));
    let newer = inf("plain", "05/06/2022", &["PCI\\VEN_1234&DEV_0001"], "");
    add(&mut second, &write_package(&scratch.join("plain2"), "plain", &newer));
    let extra = inf("extra", "05/06/2022", &["PCI\\VEN_1234&DEV_0003"], "");
    add(&mut second, &write_package(&scratch.join("extra"), "extra", &extra));
    let names = |packages: &[drivers::DriverPackage]| -> Vec<String> {
        packages.iter().map(|package| package.original_file_name.clone()).collect()
    };
    let found = drivers::compare(&mut first, &mut second, false).unwrap();
    assert_eq!((names(&found.only_first), names(&found.only_second)), (vec![], vec!["extra.inf".to_owned()]));
    assert_eq!(found.changed.len(), 1);
    assert_eq!((found.both.len(), found.both[0].files.len()), (1, 0));
    Damage(&mut second).write(&format!("{STORE}\\{signed}\\VBoxTray.exe"), b"other");
    let found = drivers::compare(&mut first, &mut second, false).unwrap();
    assert_eq!(found.both[0].files, ["vboxtray.exe"]);
}
