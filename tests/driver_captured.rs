// SPDX-License-Identifier: GPL-3.0-or-later
//! More drivers against the registry that real Windows wrote for them
//! (`corpus/drivers/expected/*.json`): balloon, serial and input ports of virtio from their INF
//! templates, the network card by its structure; and what virt-v2v writes for the disk drivers.

mod driver_support;

use std::fs;
use std::path::{Path, PathBuf};

use driver_support::captured::{self, Exception};
use driver_support::{ImageRecipe, Surroundings, corpus, open, read, surroundings};
use transom::base::{Arch, Version, name};
use transom::drivers::{self, AddOutcome, AddRequest};
use transom::image::Session;

const BUILD: Version = Version::new(10, 0, 14393, 0);

/// What the build of the drivers puts into the templates (corpus MANIFEST).
const TEMPLATE: &[(&str, &str)] = &[
    ("$ARCH$", "amd64"),
    ("INX_PLATFORM_DRIVERS_DIR", "12"),
    ("_INX_SUBSYS_VENDOR_ID", "1AF4"),
    ("INX_COMPANY", "Red Hat, Inc."),
    ("INX_PREFIX_VENDOR", "Red Hat "),
    ("INX_PREFIX_VIRTIO", ""),
    ("$KMDFVERSION$", "1.15"),
    ("$KMDFCOINSTALLERVERSION$", "01009"),
];

/// A folder with an INF and stand-ins for its other files.
fn package(surroundings: &Surroundings, inf: &str, text: &str, files: &[&str]) -> PathBuf {
    let folder = surroundings.scratch.path().join(format!("package-{inf}"));
    fs::create_dir_all(&folder).unwrap();
    for file in files {
        fs::write(folder.join(file), format!("stand-in for {file}")).unwrap();
    }
    fs::write(folder.join(inf), text).unwrap();
    folder.join(inf)
}

/// Adds a package to an image with an empty store; gives the name of its folder there.
fn add(session: &mut Session, inf: &Path) -> String {
    let request = AddRequest { sources: vec![inf.to_owned()], force_unsigned: true, ..AddRequest::default() };
    let report = drivers::add(session, &request).unwrap();
    match &report.packages[0].outcome {
        AddOutcome::Installed { published_name, store_name, .. } => {
            assert_eq!(published_name, "oem0.inf");
            store_name.clone()
        }
        other => panic!("{other:?}"),
    }
}

/// A driver that was captured, and its template.
struct Captured {
    name: &'static str,
    inf: &'static str,
    template: &'static str,
    files: &'static [&'static str],
    class: &'static str,
    exceptions: &'static [Exception],
}

#[test]
fn templates_of_virtio_as_captured() {
    let Some(corpus) = corpus() else { return };
    let cases = [
        Captured {
            name: "balloon",
            inf: "balloon.inf",
            template: "kvm_balloon.inx",
            files: &["balloon.sys", "WdfCoInstaller01009.dll", "Balloon.cat"],
            class: "{4d36e97d-e325-11ce-bfc1-08002be10318}",
            exceptions: &[
                Exception {
                    hive: "SOFTWARE",
                    key_contains: "PnpLockdownFiles",
                    value: Some("Owners"),
                    reason: "damaged in the capture",
                },
                Exception {
                    hive: "SYSTEM",
                    key_contains: "Configurations\\BALLOON_Device.NT",
                    value: Some("ConfigScope"),
                    reason: "the captured release had no .HW section, the template has one",
                },
            ],
        },
        Captured {
            name: "vioserial",
            inf: "vioser.inf",
            template: "kvm_vioser.inx",
            files: &["vioser.sys", "WdfCoInstaller01009.dll", "vioser.cat"],
            class: "{4d36e97d-e325-11ce-bfc1-08002be10318}",
            exceptions: &[],
        },
        Captured {
            name: "vioinput",
            inf: "vioinput.inf",
            template: "kvm_vioinput.inx",
            files: &["vioinput.sys", "viohidkmdf.sys", "WdfCoInstaller01009.dll", "vioinput.cat"],
            class: "{745a17a0-74d3-11d0-b6fe-00a0c90f57da}",
            exceptions: &[],
        },
    ];
    for case in &cases {
        let mut text = fs::read_to_string(corpus.join("drivers/inf").join(case.template)).unwrap();
        for (token, value) in TEMPLATE {
            text = text.replace(token, value);
        }
        let surroundings = surroundings();
        let inf = package(&surroundings, case.inf, &text, case.files);
        let mut session = open(&ImageRecipe::new(Arch::Amd64, BUILD), &surroundings);
        let store_name = add(&mut session, &inf);
        let capture = corpus.join(format!("drivers/expected/{}.json", case.name));
        let json: serde_json::Value = serde_json::from_slice(&fs::read(&capture).unwrap()).unwrap();
        let captured_name = json["package"].as_str().unwrap();
        let exceptions: Vec<&Exception> = captured::COMMON.iter().chain(case.exceptions).collect();
        let texts = [(captured_name, store_name.as_str()), ("{classguid}", case.class)];
        captured::compare(&capture, &mut session, &texts, &exceptions);
        // What is excepted above is what the template asks for.
        let value = |session: &mut Session, key: &str, value: &str| {
            let key = format!("HKLM\\SYSTEM\\DriverDatabase\\DriverPackages\\{store_name}{key}");
            session.registry().value(&key, value).unwrap()
        };
        let version = value(&mut session, "", "Version").unwrap().data;
        assert_eq!((version.len(), &version[..8]), (48, &[0, 0xFF, 9, 0, 0, 0, 0, 0][..]), "{}", case.name);
        assert_eq!(version[32..40], [1, 0, 0, 0, 0, 0, 0, 0], "{}: 0.0.0.1", case.name);
        if case.name == "balloon" {
            let configuration = "\\Configurations\\BALLOON_Device.NT";
            let scope = value(&mut session, configuration, "ConfigScope").unwrap();
            assert_eq!(scope.as_dword(), Some(0x107));
            let security =
                format!("{configuration}\\Properties\\{{a45c254e-df1c-4efd-8020-67d146a850e0}}\\0019");
            let descriptor = value(&mut session, &security, "").unwrap();
            assert_eq!(descriptor.kind.0, 0xFFFF_0013);
            let expected = transom::base::sddl::compile("D:P(A;;GA;;;SY)").unwrap();
            assert_eq!(descriptor.data, expected);
        }
    }
}

/// There is no INF of the captured network driver: one with its devices has its structure.
#[test]
fn the_structure_of_a_network_driver() {
    let Some(corpus) = corpus() else { return };
    let capture = corpus.join("drivers/expected/netkvm.json");
    let models = [("1000", "00011AF4&REV_00"), ("1041", "11001AF4&REV_01")].map(|(device, rest)| {
        format!("%D% = Kvm, pci\\VEN_1AF4&DEV_{device}&SUBSYS_{rest}, pci\\VEN_1AF4&DEV_{device}\n")
    });
    let text = format!(
        "[Version]\nSignature=\"$Windows NT$\"\nClass=Net\nClassGUID={{4D36E972-E325-11CE-BFC1-08002BE10318}}\n\
         Provider=%V%\nCatalogFile=netkvm.cat\nDriverVer=01/02/2022,1.2.3.4\n[Manufacturer]\n%V%=M,NTamd64\n\
         [M.NTamd64]\n{}{}[Kvm.NT]\nCharacteristics=0x84\nCopyFiles=F\nAddReg=R\n[F]\nnetkvm.sys\n\
         [R]\nHKR,,BusNumber,,0\n[Kvm.NT.Services]\nAddService=netkvm,2,S\n[S]\nServiceType=1\nStartType=3\n\
         ErrorControl=1\nServiceBinary=%12%\\netkvm.sys\n[SourceDisksNames]\n1=d\n[SourceDisksFiles]\n\
         netkvm.sys=1\n[DestinationDirs]\nDefaultDestDir=12\n[Strings]\nV=\"Red Hat, Inc.\"\nD=Ethernet\n",
        models[0], models[1]
    );
    let surroundings = surroundings();
    let inf = package(&surroundings, "netkvm.inf", &text, &["netkvm.sys", "netkvm.cat"]);
    let mut session = open(&ImageRecipe::new(Arch::Amd64, BUILD), &surroundings);
    let store_name = add(&mut session, &inf);
    let bitmap = Exception {
        hive: "SYSTEM",
        key_contains: "DriverDatabase",
        value: None,
        reason: "the bitmap of published names is in SYSTEM for both hives, and not in the capture",
    };
    let exceptions: Vec<&Exception> = captured::COMMON.iter().chain([&bitmap]).collect();
    let texts = [("netkvm.inf_amd64_805ee20efb26a964", store_name.as_str())];
    captured::compare(&capture, &mut session, &texts, &exceptions);
    // Nothing is put to work: that is for the first boot.
    let changed = captured::changes(&session.diff().unwrap().registry);
    let hives: Vec<&str> = changed.keys().map(String::as_str).collect();
    assert_eq!(hives, ["DRIVERS", "SYSTEM"]);
    let system: Vec<&str> = changed["SYSTEM"]
        .iter()
        .filter(|(_, values)| !values.is_empty())
        .map(|(key, _)| key.as_str())
        .collect();
    assert_eq!(system, ["DRIVERDATABASE"], "the bitmap of published names alone");
    for below in ["Configurations", "Descriptors", "Strings"] {
        let key = format!("HKLM\\DRIVERS\\DriverDatabase\\DriverPackages\\{store_name}\\{below}");
        assert_eq!(session.registry().key(&key).unwrap(), None, "{below}");
    }
    assert_eq!(read(&session, "Windows\\System32\\drivers\\netkvm.sys"), None);
}

/// virt-v2v makes guests boot from virtio disks with these keys (drivers.md section 4, from
/// `inject_virtio_win.ml`); each is among ours, under our names of package and configuration.
#[test]
fn more_than_virt_v2v_writes() {
    let Some(corpus) = corpus() else { return };
    let viostor =
        fs::read_to_string(corpus.join("drivers/inf/viostor_100.90.104.21500_w10_amd64.inf")).unwrap();
    // The INF of the SCSI driver is not in the corpus; it has the same sections.
    let vioscsi = viostor
        .replace("viostor", "vioscsi")
        .replace("SUBSYS_0002", "SUBSYS_0008")
        .replace("DEV_1001", "DEV_1004")
        .replace("DEV_1042", "DEV_1048");
    let cases = [
        ("viostor", &viostor, "PCI\\VEN_1AF4&DEV_1001&SUBSYS_00021AF4&REV_00"),
        ("viostor", &viostor, "PCI\\VEN_1AF4&DEV_1042&SUBSYS_11001AF4&REV_01"),
        ("vioscsi", &vioscsi, "PCI\\VEN_1AF4&DEV_1004&SUBSYS_00081AF4&REV_00"),
        ("vioscsi", &vioscsi, "PCI\\VEN_1AF4&DEV_1048&SUBSYS_11001AF4&REV_01"),
    ];
    for (driver, text, id) in cases {
        let surroundings = surroundings();
        let (system_file, catalog) = (format!("{driver}.sys"), format!("{driver}.cat"));
        let inf = package(&surroundings, &format!("{driver}.inf"), text, &[&system_file, &catalog]);
        let mut session = open(&ImageRecipe::new(Arch::Amd64, BUILD), &surroundings);
        let store_name = add(&mut session, &inf);
        let database = "HKLM\\SYSTEM\\DriverDatabase";
        let package = format!("{database}\\DriverPackages\\{store_name}");
        let mut get = |key: &str, value: &str| {
            let found = session.registry().value(key, value).unwrap();
            let found = found.unwrap_or_else(|| panic!("{driver}: {key} [{value}]"));
            (found.kind.0, found.data)
        };
        let sz = |text: &str| (1, name::units_to_le(&name::units(&format!("{text}\0"))));
        let multi = |text: &str| (7, name::units_to_le(&name::units(&format!("{text}\0\0"))));
        let dword = |number: u32| (4, number.to_le_bytes().to_vec());

        let published = format!("{database}\\DriverInfFiles\\oem0.inf");
        assert_eq!(get(&published, ""), multi(&store_name));
        assert_eq!(get(&published, "Active"), sz(&store_name));
        let configuration = String::from_utf16(
            &get(&published, "Configurations")
                .1
                .chunks(2)
                .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
                .collect::<Vec<_>>(),
        )
        .unwrap();
        let configuration = configuration.trim_end_matches('\0');
        assert_eq!(get(&format!("{database}\\DeviceIds\\{id}"), "oem0.inf"), (3, vec![1, 0xFF, 0, 0]));
        let version = get(&package, "Version").1;
        // virt-v2v leaves date and version zero.
        let class = [0x7B, 0xE9, 0x36, 0x4D, 0x25, 0xE3, 0xCE, 0x11, 0xBF, 0xC1, 8, 0, 0x2B, 0xE1, 3, 0x18];
        assert_eq!((&version[..8], &version[8..24]), (&[0, 0xFF, 9, 0, 0, 0, 0, 0][..], &class[..]));
        let chosen = format!("{package}\\Configurations\\{configuration}");
        assert_eq!(get(&chosen, "ConfigFlags"), dword(0));
        assert_eq!(get(&chosen, "Service"), sz(driver));
        assert_eq!(get(&format!("{package}\\Descriptors\\{id}"), "Configuration"), sz(configuration));
        let service = format!("HKLM\\SYSTEM\\ControlSet001\\Services\\{driver}");
        for (value, number) in [("Type", 1), ("Start", 0), ("ErrorControl", 1)] {
            assert_eq!(get(&service, value), dword(number), "{value}");
        }
        assert_eq!(get(&service, "Group"), sz("SCSI miniport"));
        let (kind, path) = get(&service, "ImagePath");
        let expected = format!("System32\\drivers\\{driver}.sys\0");
        assert_eq!((kind, path), (2, name::units_to_le(&name::units(&expected))));
        let file = format!("Windows\\System32\\drivers\\{driver}.sys");
        assert_eq!(read(&session, &file), Some(format!("stand-in for {driver}.sys").into_bytes()));
    }
}
