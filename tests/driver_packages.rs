// SPDX-License-Identifier: GPL-3.0-or-later
//! Every driver package of the corpus, into a real Windows 10 (amd64) and into an arm64 image:
//! complete ones with models for the image are added, the others refused with the reason and
//! nothing changed. hivexregedit and reglookup say the same of the hives.

mod driver_support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use driver_support::{ImageRecipe, Surroundings, corpus, entries, has_peer, open, read, surroundings, unxz};
use transom::base::{Arch, Code, Version, name};
use transom::drivers::{self, AddOutcome, AddReport, AddRequest};
use transom::hive::Value;
use transom::image::Session;

const VERSION: Version = Version::new(10, 0, 14393, 0);
const WHQL: &str = "Microsoft Windows Hardware Compatibility Publisher";

/// A session on the real Windows 10 SYSTEM hive with its logs.
fn windows_10(corpus: &Path, surroundings: &Surroundings) -> Session {
    let hive = |name: &str| unxz(&corpus.join("hive").join(name));
    let logs = vec![(".LOG1", hive("SYSTEM_B.LOG1.xz")), (".LOG2", hive("SYSTEM_B.LOG2.xz"))];
    let system = Some((hive("SYSTEM_B.xz"), logs));
    open(&ImageRecipe { system, ..ImageRecipe::new(Arch::Amd64, VERSION) }, surroundings)
}

fn request(source: &Path) -> AddRequest {
    AddRequest { sources: vec![source.to_owned()], ..AddRequest::default() }
}

/// The parts of an outcome that do not depend on what else is in the image.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Installed {
        store_name: String,
        boot_critical: bool,
        reflected: bool,
        hive: &'static str,
        signer: Option<&'static str>,
    },
    Skipped(String),
    Failed(Code, String),
}

fn outcome(outcome: &AddOutcome) -> Outcome {
    match outcome {
        AddOutcome::Installed { store_name, boot_critical, reflected, hive, signed, signer, .. } => {
            assert_eq!(*signed, signer.is_some());
            Outcome::Installed {
                store_name: store_name.clone(),
                boot_critical: *boot_critical,
                reflected: *reflected,
                hive: if hive == "SYSTEM" { "SYSTEM" } else { "DRIVERS" },
                signer: signer.as_ref().map(|signer| if signer == WHQL { WHQL } else { "another" }),
            }
        }
        AddOutcome::Skipped { reason } => Outcome::Skipped(reason.clone()),
        AddOutcome::Failed { error } => Outcome::Failed(error.code(), error.message().to_owned()),
    }
}

fn published(report: &AddReport, position: usize) -> String {
    match &report.packages[position].outcome {
        AddOutcome::Installed { published_name, .. } => published_name.clone(),
        other => panic!("{other:?}"),
    }
}

/// The tag of an INF, computed here once more.
fn tag(inf: &Path) -> String {
    let hash = fs::read(inf)
        .unwrap()
        .iter()
        .fold(0u64, |hash, &byte| hash.wrapping_mul(39).wrapping_add(u64::from(byte)));
    hash.to_le_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_boot_critical_package_with_its_microsoft_signature() {
    let Some(corpus) = corpus() else { return };
    let inf = corpus.join("drivers/packages/vboxguest_7.2.22_amd64_whql/VBoxGuest.inf");
    let surroundings = surroundings();
    let mut session = windows_10(&corpus, &surroundings);
    let report = drivers::add(&mut session, &request(&inf)).unwrap();
    let store_name = format!("vboxguest.inf_amd64_{}", tag(&inf));
    let expected = Outcome::Installed {
        store_name: store_name.clone(),
        boot_critical: true,
        reflected: true,
        hive: "SYSTEM",
        signer: Some(WHQL),
    };
    assert_eq!(outcome(&report.packages[0].outcome), expected);
    let published = published(&report, 0);
    let folder = format!("Windows\\System32\\DriverStore\\FileRepository\\{store_name}");
    assert_eq!(
        entries(&session, &folder),
        ["VBoxControl.exe", "VBoxGuest.cat", "VBoxGuest.inf", "VBoxGuest.sys", "VBoxTray.exe"]
    );
    let driver = fs::read(inf.with_file_name("VBoxGuest.sys")).unwrap();
    assert_eq!(read(&session, "Windows\\System32\\drivers\\VBoxGuest.sys"), Some(driver));
    let tray = fs::read(inf.with_file_name("VBoxTray.exe")).unwrap();
    assert_eq!(read(&session, "Windows\\System32\\VBoxTray.exe"), Some(tray));

    let package = format!("HKLM\\SYSTEM\\DriverDatabase\\DriverPackages\\{store_name}");
    let text = |session: &mut Session, path: &str, value: &str| {
        session.registry().value(path, value).unwrap().and_then(|value| value.as_text())
    };
    let number = |session: &mut Session, path: &str, value: &str| {
        session.registry().value(path, value).unwrap().and_then(|value| value.as_dword())
    };
    assert_eq!(text(&mut session, &package, "SignerName").as_deref(), Some(WHQL));
    assert_eq!(number(&mut session, &package, "SignerScore"), Some(0x0D00_0005));
    assert_eq!(number(&mut session, &package, "StatusFlags"), Some(0x12));
    let submission = format!("{package}\\Properties\\{{4da162c1-5eb1-4140-a444-5064c9814e76}}\\0009");
    let property = session.registry().value(&submission, "").unwrap().unwrap();
    let id = "30041490_14354741935994527_1152921505702173468\0";
    assert_eq!((property.kind.0, property.data), (0xFFFF_0012, name::units_to_le(&name::units(id))));
    let service = "HKLM\\SYSTEM\\CurrentControlSet\\Services\\VBoxGuest";
    assert_eq!(text(&mut session, service, "ImagePath").as_deref(), Some("System32\\drivers\\VBoxGuest.sys"));
    let display = format!("@{published},%VBoxGuest_SvcDesc%;VirtualBox Guest Driver");
    assert_eq!(text(&mut session, service, "DisplayName"), Some(display));
    assert_eq!(number(&mut session, service, "Start"), Some(0));
    // HKLM lines are the business of the device installation.
    let run = "HKLM\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Run";
    assert_eq!(text(&mut session, run, "VBoxTray"), None);
    assert_peers_see(&mut session, &surroundings, &store_name, &published);
}

/// Saves the SYSTEM hive and lets the peers look for the package's keys.
fn assert_peers_see(session: &mut Session, surroundings: &Surroundings, store_name: &str, published: &str) {
    session.save().unwrap();
    let file = surroundings.scratch.path().join("SYSTEM.saved");
    fs::write(&file, read(session, "Windows\\System32\\config\\SYSTEM").unwrap()).unwrap();
    if has_peer("hivexregedit") {
        let export = |key: &str| {
            let output = Command::new("hivexregedit")
                .args(["--export", "--unsafe-printable-strings"])
                .arg(&file)
                .arg(key)
                .output()
                .unwrap();
            assert!(output.status.success(), "{key}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let package = export(&format!("\\DriverDatabase\\DriverPackages\\{store_name}"));
        for line in
            [format!("@=str(1):\"{published}\""), "\"Provider\"=str(1):\"Oracle Corporation\"".to_owned()]
        {
            assert!(package.lines().any(|found| found == line), "{line}\n{package}");
        }
        let inf_file = export(&format!("\\DriverDatabase\\DriverInfFiles\\{published}"));
        assert!(inf_file.contains(&format!("\"Active\"=str(1):\"{store_name}\"")), "{inf_file}");
        let ids = export("\\DriverDatabase\\DeviceIds\\PCI\\VEN_80ee&DEV_cafe");
        assert!(ids.contains(&format!("\"{published}\"=hex(3):01,ff,00,00")), "{ids}");
    }
    if has_peer("reglookup") {
        let output = Command::new("reglookup")
            .env("LC_ALL", "C.UTF-8")
            .args(["-p", &format!("/DriverDatabase/DriverInfFiles/{published}")])
            .arg(&file)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout);
        let line = format!("/DriverDatabase/DriverInfFiles/{published}/Active,SZ,{store_name},");
        assert!(text.lines().any(|found| found == line), "{text}");
    }
}

#[test]
fn a_primitive_driver_is_staged_only() {
    let Some(corpus) = corpus() else { return };
    let inf = corpus.join("drivers/packages/vboxmouse_7.2.22_amd64_whql/VBoxMouse.inf");
    let surroundings = surroundings();
    let mut session = windows_10(&corpus, &surroundings);
    let report = drivers::add(&mut session, &request(&inf)).unwrap();
    let store_name = format!("vboxmouse.inf_amd64_{}", tag(&inf));
    let expected = Outcome::Installed {
        store_name: store_name.clone(),
        boot_critical: true,
        reflected: false,
        hive: "SYSTEM",
        signer: Some(WHQL),
    };
    assert_eq!(outcome(&report.packages[0].outcome), expected);
    let AddOutcome::Installed { exceptions, .. } = &report.packages[0].outcome else { unreachable!() };
    assert!(exceptions.iter().any(|text| text.contains("primitive driver")), "{exceptions:?}");
    let folder = format!("Windows\\System32\\DriverStore\\FileRepository\\{store_name}");
    assert_eq!(entries(&session, &folder), ["VBoxMouse.cat", "VBoxMouse.inf", "VBoxMouse.sys"]);
    assert_eq!(read(&session, "Windows\\System32\\drivers\\VBoxMouse.sys"), None);
    let service = "HKLM\\SYSTEM\\CurrentControlSet\\Services\\VBoxMouse";
    assert_eq!(session.registry().key(service).unwrap(), None);
}

/// A copy of a corpus package that can be changed.
fn copied(corpus: &Path, package: &str, surroundings: &Surroundings) -> PathBuf {
    let target = surroundings.scratch.path().join(package);
    fs::create_dir_all(&target).unwrap();
    for entry in fs::read_dir(corpus.join("drivers/packages").join(package)).unwrap() {
        let entry = entry.unwrap();
        fs::write(target.join(entry.file_name()), fs::read(entry.path()).unwrap()).unwrap();
    }
    target
}

/// The corpus holds this package without VBoxDisp.dll, which its INF copies: incomplete, so it is
/// refused. With a file of that name it is complete, though the catalog does not vouch for it.
#[test]
fn a_display_driver_goes_to_the_drivers_hive() {
    let Some(corpus) = corpus() else { return };
    let surroundings = surroundings();
    let folder = copied(&corpus, "vboxvideo_7.2.22_amd64_legacycat", &surroundings);
    let inf = folder.join("VBoxVideo.inf");
    let mut session = windows_10(&corpus, &surroundings);
    let report = drivers::add(&mut session, &request(&inf)).unwrap();
    let missing = format!("VBoxVideo.inf copies VBoxDisp.dll, which is not in {}", folder.display());
    assert_eq!(outcome(&report.packages[0].outcome), Outcome::Failed(Code::FILE_NOT_FOUND, missing));
    fs::write(folder.join("VBoxDisp.dll"), b"stand-in").unwrap();
    let report = drivers::add(&mut session, &request(&inf)).unwrap();
    let stranger = "the hash of VBoxDisp.dll is not in the catalog VBoxVideo.cat".to_owned();
    assert_eq!(outcome(&report.packages[0].outcome), Outcome::Failed(Code(0xE000_024B), stranger));
    let diff = session.diff().unwrap();
    assert_eq!((diff.files, diff.registry), (Vec::new(), Vec::new()), "nothing changed by refusals");

    let forced = AddRequest { force_unsigned: true, ..request(&inf) };
    let report = drivers::add(&mut session, &forced).unwrap();
    let store_name = format!("vboxvideo.inf_amd64_{}", tag(&inf));
    let expected = Outcome::Installed {
        store_name: store_name.clone(),
        boot_critical: false,
        reflected: false,
        hive: "DRIVERS",
        signer: None,
    };
    assert_eq!(outcome(&report.packages[0].outcome), expected);
    let published = published(&report, 0);
    let root = "HKLM\\DRIVERS\\DriverDatabase";
    let registry = session.registry();
    let id = format!("{root}\\DeviceIds\\PCI\\VEN_80EE&DEV_BEEF");
    let found = registry.value(&id, &published).unwrap().unwrap();
    assert_eq!((found.kind.0, found.data), (3, vec![0x01, 0xF8, 0, 0]));
    let class = format!("{root}\\DeviceIds\\{{4d36e968-e325-11ce-bfc1-08002be10318}}");
    assert!(registry.value(&class, &published).unwrap().unwrap().data.is_empty());
    let package = format!("{root}\\DriverPackages\\{store_name}");
    for below in ["Configurations", "Descriptors", "Strings"] {
        assert_eq!(registry.key(&format!("{package}\\{below}")).unwrap(), None, "{below}");
    }
    let inf_file = format!("{root}\\DriverInfFiles\\{published}");
    assert_eq!(registry.value(&inf_file, "Configurations").unwrap(), None);
    assert_eq!(
        registry.key(&format!("HKLM\\SYSTEM\\DriverDatabase\\DriverPackages\\{store_name}")).unwrap(),
        None
    );
    let service = "HKLM\\SYSTEM\\CurrentControlSet\\Services\\VBoxVideo";
    let driver_before = registry.value(service, "Owners").unwrap();
    assert_eq!(driver_before, None, "not reflected");
    // The bitmap of SYSTEM counts the packages of both hives.
    let map = registry.value("HKLM\\SYSTEM\\DriverDatabase", "OemInfMap").unwrap().unwrap().data;
    let number: usize = published.trim_start_matches("oem").trim_end_matches(".inf").parse().unwrap();
    assert_ne!(map[number / 8] & (0x80 >> (number % 8)), 0);
}

#[test]
fn one_inf_for_two_architectures() {
    let Some(corpus) = corpus() else { return };
    let inf = corpus.join("drivers/packages/synapticstouch_arm_arm64/SynapticsTouch.inf");
    let surroundings = surroundings();
    for (arch, folder) in [(Arch::Arm64, "arm64"), (Arch::Arm, "arm")] {
        let mut session = open(&ImageRecipe::new(arch, VERSION), &surroundings);
        // Its signer is known to nobody; a catalog is a bundle of certificates too.
        let report = drivers::add(&mut session, &request(&inf)).unwrap();
        let Outcome::Failed(code, message) = outcome(&report.packages[0].outcome) else {
            panic!("{report:?}")
        };
        assert_eq!(code, Code(0xE000_0242));
        assert!(message.ends_with("is not among the trusted roots (0x800b010a)"), "{message}");
        let roots = vec![inf.with_file_name(format!("synapticstouch.{folder}.cat"))];
        let report = drivers::add(&mut session, &AddRequest { roots, ..request(&inf) }).unwrap();
        let store_name = format!("synapticstouch.inf_{arch}_{}", tag(&inf));
        let Outcome::Installed {
            store_name: found,
            boot_critical: true,
            reflected: true,
            hive: "SYSTEM",
            signer,
        } = outcome(&report.packages[0].outcome)
        else {
            panic!("{report:?}")
        };
        assert_eq!(found, store_name);
        assert!(signer.is_some());
        let store = format!("Windows\\System32\\DriverStore\\FileRepository\\{store_name}");
        let catalog = format!("SynapticsTouch.{folder}.cat");
        assert_eq!(entries(&session, &store), [catalog.as_str(), "SynapticsTouch.inf", folder]);
        let driver = fs::read(inf.with_file_name(folder).join("SynapticsTouch.sys")).unwrap();
        assert_eq!(read(&session, "Windows\\System32\\drivers\\SynapticsTouch.sys"), Some(driver));
        // UpperFilters of .HW is a list of the configuration, not a value below Device.
        let configuration = format!(
            "HKLM\\SYSTEM\\DriverDatabase\\DriverPackages\\{store_name}\\Configurations\\TchDriver_Device.NT"
        );
        let registry = session.registry();
        let filters = registry.value(&configuration, "UpperFilters").unwrap().unwrap();
        assert_eq!(filters.as_multi_sz(), Some(vec!["mshidkmdf".to_owned()]));
        let port = registry.value(&format!("{configuration}\\Device"), "MultiportDevice").unwrap().unwrap();
        assert_eq!(port.as_dword(), Some(0));
    }
}

#[test]
fn refused_with_the_reason_and_nothing_changed() {
    let Some(corpus) = corpus() else { return };
    let packages = corpus.join("drivers/packages");
    let surroundings = surroundings();
    let mut session = windows_10(&corpus, &surroundings);
    let inf = packages.join("synapticstouch_arm_arm64/SynapticsTouch.inf");
    let report = drivers::add(&mut session, &request(&inf)).unwrap();
    let reason = "SynapticsTouch.inf does not apply to this image (amd64, 10.0.14393.0); \
                  it has models for arm, arm64 (NTarm, NTarm64)";
    assert_eq!(outcome(&report.packages[0].outcome), Outcome::Failed(Code::NOT_SUPPORTED, reason.to_owned()));
    let folder = packages.join("vboxguest_7.2.22_amd64_legacysha1");
    let report = drivers::add(&mut session, &request(&folder.join("VBoxGuest.inf"))).unwrap();
    let Outcome::Failed(code, message) = outcome(&report.packages[0].outcome) else { panic!("{report:?}") };
    assert_eq!(code, Code::FILE_NOT_FOUND);
    assert!(message.starts_with("VBoxGuest.inf copies VBox"), "{message}");

    // One flipped byte in a member, and in the catalog.
    let whole = copied(&corpus, "vboxguest_7.2.22_amd64_whql", &surroundings);
    let flip = |file: &str, position: usize| {
        let path = whole.join(file);
        let mut bytes = fs::read(&path).unwrap();
        bytes[position] ^= 1;
        fs::write(&path, bytes).unwrap();
    };
    flip("VBoxTray.exe", 500_000);
    let report = drivers::add(&mut session, &request(&whole)).unwrap();
    let stranger = "the hash of VBoxTray.exe is not in the catalog VBoxGuest.cat".to_owned();
    assert_eq!(outcome(&report.packages[0].outcome), Outcome::Failed(Code(0xE000_024B), stranger));
    flip("VBoxTray.exe", 500_000);
    flip("VBoxGuest.cat", 3000);
    let report = drivers::add(&mut session, &request(&whole)).unwrap();
    assert!(matches!(&outcome(&report.packages[0].outcome), Outcome::Failed(..)), "{report:?}");
    let diff = session.diff().unwrap();
    assert_eq!((diff.files, diff.registry), (Vec::new(), Vec::new()));
}

/// The image's own stores of certificates count, and what is signed for a later Windows does not.
#[test]
fn the_image_says_whom_it_trusts() {
    let Some(corpus) = corpus() else { return };
    let packages = corpus.join("drivers/packages");
    let surroundings = surroundings();
    let catalog = packages.join("synapticstouch_arm_arm64/synapticstouch.arm64.cat");
    let mut openssl = Command::new("sh");
    openssl.args(["-c", "openssl pkcs7 -inform DER -print_certs -in \"$0\" | openssl x509 -outform DER"]);
    let Ok(output) = openssl.arg(&catalog).output() else { return };
    if !output.status.success() {
        eprintln!("NOTICE: skipped, openssl does not run");
        return;
    }
    let certificate = output.stdout;
    let thumbprint: String =
        transom::digest::sha1(&certificate).iter().map(|byte| format!("{byte:02X}")).collect();
    let header = [0x20u32, 1, certificate.len() as u32].map(u32::to_le_bytes).concat();
    let blob = Value::binary("Blob", [header, certificate].concat());
    let inf = packages.join("synapticstouch_arm_arm64/SynapticsTouch.inf");
    let stores = "HKLM\\SOFTWARE\\Microsoft\\SystemCertificates";
    let key = |store: &str| format!("{stores}\\{store}\\Certificates\\{thumbprint}");
    for (distrusted, expected) in [(false, None), (true, Some("explicitly distrusted (0x800b0111)"))] {
        let mut session = open(&ImageRecipe::new(Arch::Arm64, VERSION), &surroundings);
        session.registry().set_value(&key("ROOT"), &blob).unwrap();
        if distrusted {
            session.registry().set_value(&key("Disallowed"), &blob).unwrap();
        }
        let report = drivers::add(&mut session, &request(&inf)).unwrap();
        match (outcome(&report.packages[0].outcome), expected) {
            (Outcome::Installed { .. }, None) => {}
            (Outcome::Failed(Code(0xE000_0242), message), Some(end)) => {
                assert!(message.ends_with(end), "{message}");
            }
            (other, _) => panic!("{other:?}"),
        }
    }

    let inf = packages.join("vboxguest_7.2.22_amd64_whql/VBoxGuest.inf");
    let mut session = open(&ImageRecipe::new(Arch::Amd64, Version::new(6, 3, 9600, 0)), &surroundings);
    let report = drivers::add(&mut session, &request(&inf)).unwrap();
    let reason = "the catalog VBoxGuest.cat of VBoxGuest.inf is for another Windows: \
                  VBoxGuest.inf was signed for Windows 10.0, not for 6.3.9600.0";
    assert_eq!(outcome(&report.packages[0].outcome), Outcome::Failed(Code(0xE000_0244), reason.to_owned()));
    let diff = session.diff().unwrap();
    assert_eq!((diff.files, diff.registry), (Vec::new(), Vec::new()));
}

#[test]
fn a_folder_of_packages_goes_on_after_a_bad_one() {
    let Some(corpus) = corpus() else { return };
    let surroundings = surroundings();
    let mut session = windows_10(&corpus, &surroundings);
    let before = drivers::list(&mut session, false).unwrap();
    let folder = AddRequest { recurse: true, ..request(&corpus.join("drivers/packages")) };
    let report = drivers::add(&mut session, &folder).unwrap();
    assert!(report.searched);
    let outcomes: Vec<(String, &str)> = report
        .packages
        .iter()
        .map(|package| {
            let folder = package.source.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
            let outcome = match &package.outcome {
                AddOutcome::Installed { .. } => "installed",
                AddOutcome::Skipped { .. } => "skipped",
                AddOutcome::Failed { .. } => "failed",
            };
            (folder, outcome)
        })
        .collect();
    let expected = [
        ("synapticstouch_arm_arm64", "skipped"),
        ("vboxguest_7.2.22_amd64_legacysha1", "failed"),
        ("vboxguest_7.2.22_amd64_whql", "installed"),
        ("vboxmouse_7.2.22_amd64_whql", "installed"),
        ("vboxvideo_7.2.22_amd64_legacycat", "failed"),
    ];
    let outcomes: Vec<(&str, &str)> =
        outcomes.iter().map(|(folder, outcome)| (folder.as_str(), *outcome)).collect();
    assert_eq!(outcomes, expected);
    assert_eq!(report.code(), Some(Code::FILE_NOT_FOUND), "the last error");
    assert_eq!(report.exceptions, Vec::<String>::new());
    let after = drivers::list(&mut session, false).unwrap();
    assert_eq!(after.len(), before.len() + 2);

    // All or nothing: the same request leaves nothing.
    let mut session = windows_10(&corpus, &surroundings);
    let strict = AddRequest { all_or_nothing: true, ..folder };
    let report = drivers::add(&mut session, &strict).unwrap();
    assert!(!report.is_changed());
    let diff = session.diff().unwrap();
    assert_eq!((diff.files, diff.registry), (Vec::new(), Vec::new()));
}

#[test]
fn nothing_to_add_is_an_error_with_a_next_step() {
    let surroundings = surroundings();
    let empty = surroundings.scratch.path().join("empty");
    fs::create_dir_all(&empty).unwrap();
    let mut session = open(&ImageRecipe::new(Arch::Amd64, VERSION), &surroundings);
    let error = drivers::add(&mut session, &request(&empty)).unwrap_err();
    assert_eq!(error.code(), Code::FILE_NOT_FOUND);
    assert_eq!(
        error.message(),
        format!("No driver packages were found on the specified path: {}", empty.display())
    );
    fs::write(empty.join("notes.inf"), "[Version]\r\nSignature=\"$Windows NT$\"\r\n").unwrap();
    fs::write(empty.join("broken.inf"), "no section, but a comma\r\n").unwrap();
    let report = drivers::add(&mut session, &request(&empty)).unwrap();
    assert!(report.packages.iter().all(|package| matches!(package.outcome, AddOutcome::Skipped { .. })));
    assert_eq!(report.code(), Some(Code::FILE_NOT_FOUND));
    let named = drivers::add(&mut session, &request(&empty.join("notes.inf"))).unwrap();
    assert_eq!(named.error().unwrap().code(), Code::NOT_SUPPORTED);
    let absent = drivers::add(&mut session, &request(&empty.join("absent.inf"))).unwrap();
    assert_eq!(absent.error().unwrap().code(), Code::FILE_NOT_FOUND);

    let mut old = open(&ImageRecipe::new(Arch::Amd64, Version::new(5, 2, 3790, 0)), &surroundings);
    let error = drivers::add(&mut old, &request(&empty)).unwrap_err();
    assert_eq!(error.class(), transom::base::ErrorClass::Unsupported);
    assert!(error.message().contains("Windows 5.2.3790.0"), "{error}");
}

/// A class that is not needed to boot, in an image without a DRIVERS hive: it is made.
#[test]
fn a_missing_drivers_hive_is_made_when_needed() {
    let Some(corpus) = corpus() else { return };
    let surroundings = surroundings();
    let recipe = ImageRecipe { with_drivers_hive: false, ..ImageRecipe::new(Arch::Amd64, VERSION) };
    let mut session = open(&recipe, &surroundings);
    let boot_critical = corpus.join("drivers/packages/vboxguest_7.2.22_amd64_whql/VBoxGuest.inf");
    drivers::add(&mut session, &request(&boot_critical)).unwrap();
    session.save().unwrap();
    assert_eq!(read(&session, "Windows\\System32\\config\\DRIVERS"), None, "not needed for SYSTEM packages");
    let folder = copied(&corpus, "vboxvideo_7.2.22_amd64_legacycat", &surroundings);
    fs::write(folder.join("VBoxDisp.dll"), b"stand-in").unwrap();
    let forced = AddRequest { force_unsigned: true, ..request(&folder.join("VBoxVideo.inf")) };
    let report = drivers::add(&mut session, &forced).unwrap();
    let AddOutcome::Installed { exceptions, .. } = &report.packages[0].outcome else { panic!("{report:?}") };
    assert!(
        exceptions.iter().any(|text| text.starts_with("the image had no DRIVERS hive")),
        "{exceptions:?}"
    );
    session.save().unwrap();
    let hive = read(&session, "Windows\\System32\\config\\DRIVERS").unwrap();
    let hive = transom::hive::Hive::open(std::sync::Arc::new(hive), Default::default()).unwrap();
    assert_eq!(hive.check().unwrap(), []);
    let database = hive.find(hive.root(), "DriverDatabase").unwrap().unwrap();
    let number =
        |value: &str| hive.value(database, &name::units(value)).unwrap().and_then(|value| value.as_dword());
    assert_eq!((number("Version"), number("Architecture")), (Some(0x0A00_0000), Some(9)));
    let published: Vec<String> = drivers::list(&mut session, false)
        .unwrap()
        .into_iter()
        .map(|package| package.published_name)
        .collect();
    assert_eq!(published, ["oem0.inf", "oem1.inf"]);
}

#[test]
fn stopping_leaves_nothing() {
    let Some(corpus) = corpus() else { return };
    let surroundings = surroundings();
    let mut session = open(&ImageRecipe::new(Arch::Amd64, VERSION), &surroundings);
    surroundings.environment.cancel.cancel();
    let inf = corpus.join("drivers/packages/vboxguest_7.2.22_amd64_whql/VBoxGuest.inf");
    let error = drivers::add(&mut session, &request(&inf)).unwrap_err();
    assert_eq!(error.class(), transom::base::ErrorClass::Cancelled);
    let diff = session.diff().unwrap();
    assert_eq!((diff.files, diff.registry), (Vec::new(), Vec::new()));
}

#[test]
fn x86_takes_unsigned_packages() {
    let Some(corpus) = corpus() else { return };
    let surroundings = surroundings();
    let folder = surroundings.scratch.path().join("x86");
    fs::create_dir_all(&folder).unwrap();
    let inf = fs::read_to_string(corpus.join("drivers/inf/viostor_100.90.104.21500_w10_amd64.inf")).unwrap();
    let inf = inf.replace("NTamd64", "NTx86").replace("CatalogFile=viostor.cat", "");
    fs::write(folder.join("viostor.inf"), inf).unwrap();
    fs::write(folder.join("viostor.sys"), b"stand-in").unwrap();
    let mut session = open(&ImageRecipe::new(Arch::X86, VERSION), &surroundings);
    let report = drivers::add(&mut session, &request(&folder.join("viostor.inf"))).unwrap();
    assert_eq!(report.error().map(ToString::to_string), None);
    assert_eq!(published(&report, 0), "oem0.inf");
}
