// SPDX-License-Identifier: GPL-3.0-or-later
//! Every architecture and generation: which packages images take, what real SYSTEM hives of
//! Windows 7, 8.1 and 10 say of the rules, and that adding and removing leaves them as they were.

mod driver_support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use driver_support::{ImageRecipe, Surroundings, corpus, entries, has_peer, open, read, surroundings, unxz};
use transom::base::{Arch, ErrorClass, Version};
use transom::drivers::{self, AddOutcome, AddRequest, DriverFault, RemoveOutcome, RemoveRequest};
use transom::hive::RegistryChange;
use transom::image::Session;

const VISTA: Version = Version::new(6, 0, 6002, 0);
const SEVEN: Version = Version::new(6, 1, 7601, 0);
const EIGHT: Version = Version::new(6, 2, 9200, 0);
const EIGHT_ONE: Version = Version::new(6, 3, 9600, 0);
const TEN: Version = Version::new(10, 0, 14393, 0);

/// A package for a disk: models under this decoration of `[Manufacturer]`, empty for none.
fn package(folder: &Path, decoration: &str) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    let (list, section) = match decoration {
        "" => (String::new(), String::new()),
        decoration => (format!(",{decoration}"), format!(".{decoration}")),
    };
    let inf = format!(
        "[Version]\r\nSignature=\"$Windows NT$\"\r\nClass=SCSIAdapter\r\n\
         ClassGuid={{4d36e97b-e325-11ce-bfc1-08002be10318}}\r\nProvider=Maker\r\nDriverVer=01/02/2020,1.0.0.0\r\n\
         [Manufacturer]\r\nMaker=M{list}\r\n[M{section}]\r\n%d%=I,PCI\\VEN_1234&DEV_0001,PCI\\VEN_1234\r\n[I]\r\n\
         CopyFiles=F\r\n[F]\r\nvdisk.sys\r\n[I.HW]\r\nAddReg=H\r\n[H]\r\nHKR,,UpperFilters,0x10000,vfilter\r\n\
         [I.Services]\r\nAddService=vdisk,2,S\r\n[S]\r\nDisplayName=%d%\r\nServiceType=1\r\nStartType=0\r\n\
         ErrorControl=1\r\nServiceBinary=%12%\\vdisk.sys\r\nLoadOrderGroup=SCSI miniport\r\n[DestinationDirs]\r\n\
         F=12\r\n[SourceDisksNames]\r\n1=disk\r\n[SourceDisksFiles]\r\nvdisk.sys=1\r\n[Strings]\r\nd=Disk\r\n"
    );
    let path = folder.join("vdisk.inf");
    fs::write(&path, inf).unwrap();
    fs::write(folder.join("vdisk.sys"), b"driver").unwrap();
    path
}

fn outcome(session: &mut Session, inf: &Path) -> AddOutcome {
    let request = AddRequest { sources: vec![inf.to_owned()], force_unsigned: true, ..AddRequest::default() };
    drivers::add(session, &request).unwrap().packages.remove(0).outcome
}

fn add(session: &mut Session, inf: &Path) -> (String, String, Vec<String>) {
    match outcome(session, inf) {
        AddOutcome::Installed { published_name, store_name, exceptions, .. } => {
            (published_name, store_name, exceptions)
        }
        other => panic!("{other:?}"),
    }
}

fn remove(session: &mut Session, name: &str) -> RemoveOutcome {
    let request = RemoveRequest { drivers: vec![name.to_owned()], all_or_nothing: false };
    drivers::remove(session, &request).unwrap().drivers.remove(0).outcome
}

/// What each image takes: `+` yes, `-` not for it.
#[test]
fn what_images_of_every_architecture_take() {
    let decorations = ["", "NTx86", "NTamd64", "NTia64", "NTarm", "NTarm64", "NTamd64.10.0...16299"];
    #[rustfmt::skip]
    let table = [
        (Arch::X86, VISTA,       "++-----"),
        (Arch::Amd64, VISTA,     "--+----"),
        (Arch::Ia64, VISTA,      "---+---"),
        (Arch::X86, SEVEN,       "++-----"),
        (Arch::Amd64, SEVEN,     "--+----"),
        (Arch::Ia64, SEVEN,      "---+---"),
        (Arch::X86, EIGHT,       "++-----"),
        (Arch::Amd64, EIGHT,     "--+----"),
        (Arch::Arm, EIGHT,       "----+--"),
        (Arch::Amd64, EIGHT_ONE, "--+----"),
        (Arch::Arm, EIGHT_ONE,   "----+--"),
        (Arch::X86, TEN,         "++-----"),
        (Arch::Amd64, TEN,       "--+----"),
        (Arch::Arm, TEN,         "----+--"),
        (Arch::Arm64, TEN,       "-----+-"),
        (Arch::Amd64, Version::new(10, 0, 19041, 0), "--+---+"),
    ];
    let surroundings = surroundings();
    for (arch, version, expected) in table {
        let mut taken = String::new();
        for (number, decoration) in decorations.iter().enumerate() {
            let inf = package(&surroundings.scratch.path().join(number.to_string()), decoration);
            let mut session = open(&ImageRecipe::new(arch, version), &surroundings);
            // Without force: models without an architecture are then for x86 alone.
            let request = AddRequest { sources: vec![inf], ..AddRequest::default() };
            let report = drivers::add(&mut session, &request).unwrap();
            taken.push(match &report.packages[0].outcome {
                AddOutcome::Installed { published_name, .. } => {
                    assert_eq!(published_name, "oem0.inf");
                    '+'
                }
                // The unsigned package is refused for its missing catalog, so it is one for this image.
                AddOutcome::Failed { error } if error.class() == ErrorClass::NotApplicable => {
                    if error.message().contains("is not signed") { '+' } else { '-' }
                }
                other => panic!("{other:?}"),
            });
        }
        assert_eq!(taken, expected, "{arch} {version}");
    }
}

/// A session on a real SYSTEM hive.
fn real(corpus: &Path, hive: &str, recipe: ImageRecipe, surroundings: &Surroundings) -> Session {
    let logs = match hive {
        "regipy_SYSTEM_B" => [".LOG1", ".LOG2"]
            .into_iter()
            .map(|suffix| (suffix, unxz(&corpus.join(format!("hive/SYSTEM_B{suffix}.xz")))))
            .collect(),
        _ => Vec::new(),
    };
    let system = Some((unxz(&corpus.join(format!("drivers/hives/{hive}.xz"))), logs));
    open(&ImageRecipe { system, ..recipe }, surroundings)
}

/// The rules of the reference on every package of the real hives, by `driver check`, whose own
/// faults are planted in another test.
#[test]
fn the_rules_hold_on_real_hives() {
    let Some(corpus) = corpus() else { return };
    let mut surroundings = surroundings();
    surroundings.environment.ignore_dirty = true;
    for (hive, version, packages, third) in
        [("regipy_SYSTEM_2", EIGHT_ONE, 159, 1), ("regipy_SYSTEM_B", TEN, 222, 6)]
    {
        let mut session = real(&corpus, hive, ImageRecipe::new(Arch::Amd64, version), &surroundings);
        let report = drivers::check(&mut session, true).unwrap();
        assert_eq!(report.packages, packages, "{hive}");
        let mut counts: BTreeMap<DriverFault, usize> = BTreeMap::new();
        for finding in &report.findings {
            *counts.entry(finding.fault).or_default() += 1;
        }
        // The hive alone is there: no folder of the store, and no INF.
        assert_eq!(counts.remove(&DriverFault::MissingFolder), Some(packages), "{hive}");
        let numbers: Vec<&str> = report
            .findings
            .iter()
            .filter(|finding| finding.fault == DriverFault::NumberWithoutInf)
            .map(|finding| finding.package.as_str())
            .collect();
        let third_party = drivers::list(&mut session, false).unwrap();
        let published: Vec<String> =
            third_party.iter().map(|package| package.published_name.clone()).collect();
        let map =
            session.registry().value("HKLM\\SYSTEM\\DriverDatabase", "OemInfMap").unwrap().unwrap().data;
        let counted: Vec<String> = (0..map.len() * 8)
            .filter(|number| map[number / 8] & (0x80 >> (number % 8)) != 0)
            .map(|number| format!("oem{number}.inf"))
            .collect();
        for name in &counted {
            assert!(published.contains(name) != numbers.contains(&name.as_str()), "{hive} {name}");
        }
        assert!(published.iter().all(|name| counted.contains(name)), "{hive}: {published:?} {counted:?}");
        assert_eq!(published.len(), third, "{hive}");
        // The other numbers and owners are those of packages in the DRIVERS hive, which nobody kept.
        counts.remove(&DriverFault::NumberWithoutInf);
        counts.remove(&DriverFault::StaleOwner);
        assert_eq!(counts, BTreeMap::new(), "{hive}: {:?}", report.findings);
    }
}

/// Registry changes without the times of changes.
fn changes(session: &mut Session) -> Vec<RegistryChange> {
    let dated = |change: &RegistryChange| {
        matches!(change, RegistryChange::ValueSet { name, .. }
            if ["UpdateDate", "ImportDate"].iter().any(|dated| name.to_string() == *dated))
    };
    session.diff().unwrap().registry.into_iter().filter(|change| !dated(change)).collect()
}

#[test]
fn in_and_out_of_real_hives() {
    let Some(corpus) = corpus() else { return };
    let mut surroundings = surroundings();
    let dirty = ImageRecipe::new(Arch::Amd64, EIGHT_ONE);
    let system = Some((unxz(&corpus.join("drivers/hives/regipy_SYSTEM_2.xz")), Vec::new()));
    let volume = ImageRecipe { system, ..dirty.clone() }.volume();
    let refused = Session::open_volume(std::sync::Arc::new(volume), surroundings.environment.clone());
    assert_eq!(refused.err().map(|error| error.class()), Some(ErrorClass::Corrupt), "dirty, and no log");
    surroundings.environment.ignore_dirty = true;
    for (hive, arch, version, decoration) in [
        ("regipy_SYSTEM", Arch::X86, SEVEN, "NTx86"),
        ("regipy_SYSTEM_2", Arch::Amd64, EIGHT_ONE, "NTamd64"),
        ("regipy_SYSTEM_B", Arch::Amd64, TEN, "NTamd64"),
    ] {
        let mut session = real(&corpus, hive, ImageRecipe::new(arch, version), &surroundings);
        let inf = package(&surroundings.scratch.path().join(hive), decoration);
        let (published, ..) = add(&mut session, &inf);
        let first = changes(&mut session);
        assert!(first.len() > 10, "{hive}");
        let removed = remove(&mut session, &published);
        let RemoveOutcome::Removed { services, exceptions, boot_critical, .. } = &removed else {
            panic!("{removed:?}")
        };
        assert_eq!((services.len(), exceptions.len(), *boot_critical), (1, 0, true), "{hive}: {removed:?}");
        let left = changes(&mut session);
        // A SOFTWARE hive that was made for the test has no DevicePath of its own.
        let named = |change: &RegistryChange| match change {
            RegistryChange::ValueSet { name, .. } => name.to_string() == "DevicePath",
            _ => false,
        };
        assert!(left.iter().all(named), "{hive}: {left:?}");
        assert_eq!(entries(&session, "Windows\\System32\\drivers"), Vec::<String>::new(), "{hive}");
        assert_eq!(add(&mut session, &inf).0, published);
        assert_eq!(changes(&mut session), first, "{hive}");
        let dirty = session.exceptions().iter().any(|text| text.contains("not closed properly"));
        assert_eq!(dirty, hive == "regipy_SYSTEM_2", "{hive}: said that it is exact except");
    }
}

/// Windows 7: the critical device database as the real one is, and what is said of the index.
#[test]
fn a_boot_driver_in_windows_7() {
    let Some(corpus) = corpus() else { return };
    let surroundings = surroundings();
    let recipe = ImageRecipe {
        with_drivers_hive: false,
        files: vec![
            ("Windows\\INF\\INFCACHE.1", b"cache".to_vec()),
            ("Windows\\System32\\DriverStore\\infpub.dat", b"index".to_vec()),
        ],
        ..ImageRecipe::new(Arch::X86, SEVEN)
    };
    let mut session = real(&corpus, "regipy_SYSTEM", recipe, &surroundings);
    let inf = package(&surroundings.scratch.path().join("seven"), "NTx86");
    let (published, store_name, exceptions) = add(&mut session, &inf);
    assert_eq!(published, "oem0.inf");
    assert!(store_name.starts_with("vdisk.inf_x86_neutral_"), "{store_name}");
    assert!(exceptions.iter().any(|text| text.starts_with("staged, not indexed")), "{exceptions:?}");
    assert_eq!(read(&session, "Windows\\INF\\INFCACHE.1"), None);
    assert_eq!(read(&session, "Windows\\System32\\DriverStore\\infpub.dat"), Some(b"index".to_vec()));
    assert_eq!(read(&session, "Windows\\System32\\drivers\\vdisk.sys"), Some(b"driver".to_vec()));
    let software = "HKLM\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion";
    let path = session.registry().value(software, "DevicePath").unwrap().unwrap().as_text().unwrap();
    let folder = format!("%SystemRoot%\\System32\\DriverStore\\FileRepository\\{store_name}");
    assert_eq!(path, format!("%SystemRoot%\\inf;{folder}"));
    assert_eq!(session.registry().key("HKLM\\SYSTEM\\DriverDatabase").unwrap(), None);

    let listed = drivers::list(&mut session, false).unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (listed[0].original_file_name.as_str(), listed[0].class_name.as_str()),
        ("vdisk.inf", "SCSIAdapter")
    );
    let info = drivers::info(&mut session, "OEM0.inf").unwrap();
    assert!(info.boot_critical);
    assert_eq!(info.drivers[0].service_name.as_deref(), Some("vdisk"));
    // Again: the same package, nothing more.
    let before = changes(&mut session);
    assert_eq!(add(&mut session, &inf).0, "oem0.inf");
    assert_eq!(changes(&mut session), before);

    session.save().unwrap();
    if has_peer("hivexregedit") {
        let file = surroundings.scratch.path().join("SYSTEM.saved");
        fs::write(&file, read(&session, "Windows\\System32\\config\\SYSTEM").unwrap()).unwrap();
        for id in ["PCI#VEN_1234&DEV_0001", "PCI#VEN_1234"] {
            let key = format!("\\ControlSet001\\Control\\CriticalDeviceDatabase\\{id}");
            let output = Command::new("hivexregedit")
                .args(["--export", "--unsafe-printable-strings"])
                .arg(&file)
                .arg(&key)
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            for line in [
                "\"Service\"=str(1):\"vdisk\"".to_owned(),
                "\"ClassGUID\"=str(1):\"{4D36E97B-E325-11CE-BFC1-08002BE10318}\"".to_owned(),
                format!("\"DriverPackageId\"=str(1):\"{store_name}\""),
            ] {
                assert!(text.lines().any(|found| found == line), "{line}\n{text}");
            }
            assert!(text.contains("\"UpperFilters\"=hex(7):"), "{text}");
        }
    }
}
