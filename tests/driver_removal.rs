// SPDX-License-Identifier: GPL-3.0-or-later
//! Removing and exporting driver packages: what was added goes with all its traces, and adding it
//! again gives what was there before.

mod driver_support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use driver_support::{ImageRecipe, Surroundings, corpus, entries, has_peer, open, read, surroundings, unxz};
use transom::base::{Arch, Code, NodeId, NodeKind, Version, WinPath, name};
use transom::drivers::{
    self, AddOutcome, AddRequest, ExportOutcome, ExportRequest, RemoveOutcome, RemoveReport, RemoveRequest,
};
use transom::hive::RegistryChange;
use transom::image::Session;
use transom::volume::Volume;

const VERSION: Version = Version::new(10, 0, 14393, 0);

fn windows_10(corpus: &Path, surroundings: &Surroundings) -> Session {
    let hive = |name: &str| unxz(&corpus.join("hive").join(name));
    let logs = vec![(".LOG1", hive("SYSTEM_B.LOG1.xz")), (".LOG2", hive("SYSTEM_B.LOG2.xz"))];
    let system = Some((hive("SYSTEM_B.xz"), logs));
    open(&ImageRecipe { system, ..ImageRecipe::new(Arch::Amd64, VERSION) }, surroundings)
}

/// A package of made-up files on a virtual disk's INF.
fn disk_package(folder: &Path, name: &str, version: &str, payload: &[u8]) -> PathBuf {
    fs::create_dir_all(folder.join("sub")).unwrap();
    let inf = format!(
        "[Version]\r\nSignature=\"$Windows NT$\"\r\nClass=SCSIAdapter\r\n\
         ClassGuid={{4d36e97b-e325-11ce-bfc1-08002be10318}}\r\nProvider=%m%\r\nDriverVer=01/02/2020,{version}\r\n\
         CatalogFile={name}.cat\r\nPnpLockdown=1\r\n[Manufacturer]\r\n%m%=M,NTamd64\r\n[M.NTamd64]\r\n\
         %d%=I,PCI\\VEN_1234&DEV_0001,PCI\\VEN_1234\r\n[I.NT]\r\nCopyFiles=F,G\r\n[F]\r\nshared.sys\r\n[G]\r\n\
         own.dll,{name}.dll\r\n[I.NT.Services]\r\nAddService=shareddisk,2,S,E\r\n[S]\r\nDisplayName=%d%\r\n\
         ServiceType=1\r\nStartType=0\r\nErrorControl=1\r\nServiceBinary=%12%\\shared.sys\r\n\
         LoadOrderGroup=SCSI miniport\r\nAddReg=P\r\n[P]\r\nHKR,Parameters\\PnpInterface,5,0x00010001,1\r\n[E]\r\n\
         AddReg=L\r\n[L]\r\nHKR,,TypesSupported,0x00010001,7\r\n[DestinationDirs]\r\nF=12\r\nG=11,{name}\\deep\r\n\
         [SourceDisksNames]\r\n1=disk\r\n[SourceDisksFiles]\r\nshared.sys=1\r\n{name}.dll=1,sub\r\n[Strings]\r\n\
         m=\"Maker\"\r\nd=\"Disk {name}\"\r\n"
    );
    let path = folder.join(format!("{name}.inf"));
    fs::write(&path, inf).unwrap();
    fs::write(folder.join("shared.sys"), payload).unwrap();
    fs::write(folder.join(format!("sub/{name}.dll")), name.as_bytes()).unwrap();
    path
}

fn add(session: &mut Session, inf: &Path) -> String {
    let request = AddRequest { sources: vec![inf.to_owned()], force_unsigned: true, ..AddRequest::default() };
    let report = drivers::add(session, &request).unwrap();
    match &report.packages[0].outcome {
        AddOutcome::Installed { published_name, .. } => published_name.clone(),
        other => panic!("{other:?}"),
    }
}

fn remove(session: &mut Session, names: &[&str]) -> RemoveReport {
    let drivers = names.iter().map(|name| (*name).to_owned()).collect();
    drivers::remove(session, &RemoveRequest { drivers, all_or_nothing: false }).unwrap()
}

/// Paths below a folder with the bytes of files.
fn tree(session: &Session, path: &str) -> BTreeMap<String, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let root = session.resolve(&WinPath::parse(path).unwrap()).unwrap().unwrap();
    let mut pending: Vec<(NodeId, String)> = vec![(root, String::new())];
    while let Some((node, path)) = pending.pop() {
        for entry in session.overlay().entries(node).unwrap() {
            let path = format!("{path}\\{}", entry.name);
            if path.to_lowercase().contains("\\system32\\config\\") {
                continue;
            }
            let record = session.overlay().node(entry.node).unwrap();
            if record.kind() == NodeKind::Directory {
                found.insert(path.clone(), None);
                pending.push((entry.node, path));
            } else {
                let data = session.overlay().open(entry.node, transom::base::StreamKind::Data, &[]).unwrap();
                let bytes = transom::io::read_vec(&data, 0, data.len()).unwrap();
                found.insert(path, Some(bytes));
            }
        }
    }
    found
}

/// What a session changed in the registry, without the times of changes.
fn changes(session: &mut Session) -> Vec<RegistryChange> {
    let dated = |change: &RegistryChange| {
        matches!(change, RegistryChange::ValueSet { name, .. }
            if [ "UpdateDate", "ImportDate"].iter().any(|dated| name.to_string() == *dated))
    };
    session.diff().unwrap().registry.into_iter().filter(|change| !dated(change)).collect()
}

/// What is left in the registry after adding and removing: the bitmap that grew.
fn only_the_map_is_left(changes: &[RegistryChange]) {
    for change in changes {
        let map = matches!(change, RegistryChange::ValueSet { key, name, data, .. }
            if key.to_string() == "HKLM\\SYSTEM\\DriverDatabase" && name.to_string() == "OemInfMap"
                && data.iter().all(|byte| *byte == 0));
        assert!(map, "{change:?}");
    }
}

#[test]
fn adding_and_removing_leaves_nothing() {
    let surroundings = surroundings();
    for version in [VERSION, Version::new(10, 0, 22621, 0), Version::new(6, 3, 9600, 0)] {
        let mut session = open(&ImageRecipe::new(Arch::Amd64, version), &surroundings);
        let before = tree(&session, "Windows");
        let inf = disk_package(&surroundings.scratch.path().join("one"), "one", "1.2.3.4", b"driver one");
        assert_eq!(add(&mut session, &inf), "oem0.inf");
        let service = "HKLM\\SYSTEM\\CurrentControlSet\\Services\\shareddisk";
        assert!(session.registry().key(service).unwrap().is_some());
        assert_eq!(read(&session, "Windows\\System32\\one\\deep\\own.dll"), Some(b"one".to_vec()));
        let added = (changes(&mut session), tree(&session, "Windows"));

        let report = remove(&mut session, &["OEM0.inf"]);
        let RemoveOutcome::Removed { services, files, boot_critical, exceptions, store_names, .. } =
            &report.drivers[0].outcome
        else {
            panic!("{report:?}")
        };
        assert_eq!(services, &["shareddisk"]);
        let mut files = files.clone();
        files.sort();
        assert_eq!(
            files,
            ["Windows\\System32\\drivers\\shared.sys", "Windows\\System32\\one\\deep\\own.dll"]
        );
        assert!(*boot_critical && exceptions.is_empty() && store_names.len() == 1, "{report:?}");
        assert_eq!(tree(&session, "Windows"), before, "{version}");
        only_the_map_is_left(&changes(&mut session));

        // Again: the same tree and the same registry, but for dates.
        assert_eq!(add(&mut session, &inf), "oem0.inf");
        assert_eq!((changes(&mut session), tree(&session, "Windows")), added, "{version}");
    }
}

/// The packages of the corpus, in and out of a real Windows 10.
#[test]
fn a_real_windows_10_is_as_before() {
    let Some(corpus) = corpus() else { return };
    let surroundings = surroundings();
    let mut session = windows_10(&corpus, &surroundings);
    let listed = |session: &mut Session| -> Vec<String> {
        drivers::list(session, true).unwrap().into_iter().map(|package| package.store_name).collect()
    };
    let before = (listed(&mut session), tree(&session, "Windows"));
    let mut names = Vec::new();
    for package in ["vboxguest_7.2.22_amd64_whql/VBoxGuest.inf", "vboxmouse_7.2.22_amd64_whql/VBoxMouse.inf"]
    {
        names.push(add(&mut session, &corpus.join("drivers/packages").join(package)));
    }
    let added = (changes(&mut session), tree(&session, "Windows"));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let report = remove(&mut session, &names);
    assert_eq!(report.error().map(ToString::to_string), None);
    assert_eq!((listed(&mut session), tree(&session, "Windows")), before);
    let left = changes(&mut session);
    assert_eq!(left, [], "the bitmap has room already");
    for package in ["vboxguest_7.2.22_amd64_whql/VBoxGuest.inf", "vboxmouse_7.2.22_amd64_whql/VBoxMouse.inf"]
    {
        add(&mut session, &corpus.join("drivers/packages").join(package));
    }
    assert_eq!((changes(&mut session), tree(&session, "Windows")), added);
}

/// Packages that were installed on the real machine: every trace of them goes, and hivexregedit
/// sees none.
#[test]
fn a_package_of_a_real_machine_goes_wholly() {
    let Some(corpus) = corpus() else { return };
    let surroundings = surroundings();
    let mut session = windows_10(&corpus, &surroundings);
    let third_party: Vec<String> = drivers::list(&mut session, false)
        .unwrap()
        .into_iter()
        .map(|package| package.published_name)
        .collect();
    assert_eq!(third_party.len(), 6);
    let names: Vec<&str> = third_party.iter().map(String::as_str).collect();
    let report = remove(&mut session, &names);
    assert_eq!(report.error().map(ToString::to_string), None);
    assert_eq!(drivers::list(&mut session, false).unwrap(), []);
    session.save().unwrap();
    let saved = read(&session, "Windows\\System32\\config\\SYSTEM").unwrap();
    let hive = transom::hive::Hive::open(std::sync::Arc::new(saved.clone()), Default::default()).unwrap();
    assert_eq!(hive.check().unwrap(), []);
    if !has_peer("hivexregedit") {
        return;
    }
    let file = surroundings.scratch.path().join("SYSTEM.saved");
    fs::write(&file, saved).unwrap();
    for below in ["\\DriverDatabase", "\\ControlSet001\\Services"] {
        let output = std::process::Command::new("hivexregedit")
            .args(["--export", "--unsafe-printable-strings"])
            .arg(&file)
            .arg(below)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).to_lowercase();
        assert!(text.len() > 10_000, "{below}");
        for name in &third_party {
            let named = text
                .lines()
                .find(|line| line.contains(&format!("\"{name}\"")) || line.ends_with(&format!("\\{name}]")));
            assert_eq!(named, None, "{below}");
        }
    }
}

/// Two packages with one service and one file: what the second brought goes, and the first is put
/// to work again.
#[test]
fn what_another_package_needs_is_restored() {
    let surroundings = surroundings();
    let mut session = open(&ImageRecipe::new(Arch::Amd64, VERSION), &surroundings);
    let first = disk_package(&surroundings.scratch.path().join("one"), "one", "1.0.0.0", b"driver one");
    add(&mut session, &first);
    let alone = (changes(&mut session), tree(&session, "Windows"));
    let second =
        disk_package(&surroundings.scratch.path().join("two"), "two", "2.0.0.0", b"driver two, newer");
    assert_eq!(add(&mut session, &second), "oem1.inf");
    let driver = "Windows\\System32\\drivers\\shared.sys";
    assert_eq!(read(&session, driver), Some(b"driver two, newer".to_vec()));
    let report = remove(&mut session, &["oem1.inf"]);
    let RemoveOutcome::Removed { services, .. } = &report.drivers[0].outcome else { panic!("{report:?}") };
    assert_eq!(services, &Vec::<String>::new(), "the first package's service stays");
    assert_eq!(read(&session, driver), Some(b"driver one".to_vec()));
    assert_eq!((changes(&mut session), tree(&session, "Windows")), alone);
}

/// A service of Windows that the package only joined, and a file that was changed since, stay.
#[test]
fn what_is_not_the_packages_own_stays() {
    let surroundings = surroundings();
    let mut session = open(&ImageRecipe::new(Arch::Amd64, VERSION), &surroundings);
    let inf = disk_package(&surroundings.scratch.path().join("one"), "one", "1.0.0.0", b"driver one");
    add(&mut session, &inf);
    let path = WinPath::parse("Windows\\System32\\drivers").unwrap();
    let folder = session.resolve(&path).unwrap().unwrap();
    let patched = transom::volume::NewData::Bytes(b"patched".to_vec());
    session.overlay().supersede(folder, &"shared.sys".into(), patched).unwrap();
    let report = remove(&mut session, &["oem0.inf"]);
    let RemoveOutcome::Removed { services, files, exceptions, .. } = &report.drivers[0].outcome else {
        panic!("{report:?}")
    };
    assert_eq!((services.len(), files.len()), (0, 1));
    assert_eq!(
        exceptions,
        &[
            "Windows\\System32\\drivers\\shared.sys stays: it is not, or no longer, the file of this package",
            "the service shareddisk stays: its program is still there",
        ]
    );
    let service = "HKLM\\SYSTEM\\CurrentControlSet\\Services\\shareddisk";
    assert!(session.registry().key(service).unwrap().is_some());
    assert_eq!(session.registry().value(service, "Owners").unwrap(), None);
}

#[test]
fn what_cannot_be_removed_is_said() {
    let Some(corpus) = corpus() else { return };
    let surroundings = surroundings();
    let mut session = windows_10(&corpus, &surroundings);
    let inbox = drivers::list(&mut session, true).unwrap().into_iter().find(|package| package.inbox).unwrap();
    let names = [inbox.published_name.as_str(), "oem77.inf", "oem2.inf", "..\\oem2.inf"];
    let drivers: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let request = RemoveRequest { drivers, all_or_nothing: true };
    let report = drivers::remove(&mut session, &request).unwrap();
    let outcomes: Vec<Option<Code>> = report
        .drivers
        .iter()
        .map(|driver| match &driver.outcome {
            RemoveOutcome::Failed { error } => Some(error.code()),
            RemoveOutcome::Kept => None,
            RemoveOutcome::Removed { .. } => panic!("all or nothing: {report:?}"),
        })
        .collect();
    let expected = [Some(Code::NOT_SUPPORTED), Some(Code::NOT_FOUND), None, Some(Code::NOT_FOUND)];
    assert_eq!(outcomes, expected);
    let diff = session.diff().unwrap();
    assert_eq!((diff.files, diff.registry), (Vec::new(), Vec::new()));
    let report = remove(&mut session, &names);
    assert!(report.is_changed());
    assert_eq!(report.error().unwrap().code(), Code::NOT_FOUND, "the last error");
}

#[test]
fn exported_byte_for_byte() {
    let Some(corpus) = corpus() else { return };
    let surroundings = surroundings();
    let mut session = open(&ImageRecipe::new(Arch::Amd64, VERSION), &surroundings);
    let folder = corpus.join("drivers/packages/vboxguest_7.2.22_amd64_whql");
    add(&mut session, &folder.join("VBoxGuest.inf"));
    let one = disk_package(&surroundings.scratch.path().join("one"), "one", "1.0.0.0", b"driver one");
    add(&mut session, &one);
    let destination = surroundings.scratch.path().join("deep/exported");
    let mut request = ExportRequest { destination: destination.clone(), ..ExportRequest::default() };
    let error = drivers::export(&mut session, &request).unwrap_err();
    assert_eq!(error.code(), Code::PATH_NOT_FOUND, "DISM's way: the folder must be there");
    request.create = true;
    let report = drivers::export(&mut session, &request).unwrap();
    let folders: Vec<PathBuf> = report
        .drivers
        .iter()
        .map(|driver| match &driver.outcome {
            ExportOutcome::Exported { folder, .. } => folder.clone(),
            ExportOutcome::Failed { error } => panic!("{error}"),
        })
        .collect();
    assert_eq!(folders.len(), 2);
    for entry in fs::read_dir(&folder).unwrap() {
        let entry = entry.unwrap();
        let exported = folders[0].join(entry.file_name());
        assert!(fs::read(&exported).unwrap() == fs::read(entry.path()).unwrap(), "{}", exported.display());
    }
    assert_eq!(fs::read(folders[1].join("sub/one.dll")).unwrap(), b"one");
    let exported = folders[0].file_name().unwrap().to_string_lossy().into_owned();
    assert!(entries(&session, "Windows\\System32\\DriverStore\\FileRepository").contains(&exported));

    // A link in the way is replaced, not followed; what was exported can be added to another image.
    let victim = surroundings.scratch.path().join("victim");
    fs::write(&victim, "untouched").unwrap();
    fs::remove_file(folders[1].join("shared.sys")).unwrap();
    std::os::unix::fs::symlink(&victim, folders[1].join("shared.sys")).unwrap();
    request.drivers = vec!["OEM1.INF".to_owned(), "oem9.inf".to_owned()];
    let report = drivers::export(&mut session, &request).unwrap();
    assert_eq!(report.error().unwrap().code(), Code::NOT_FOUND);
    assert_eq!(fs::read(&victim).unwrap(), b"untouched");
    assert_eq!(fs::read(folders[1].join("shared.sys")).unwrap(), b"driver one");
    let mut other = open(&ImageRecipe::new(Arch::Amd64, VERSION), &surroundings);
    let again = AddRequest {
        sources: vec![destination],
        recurse: true,
        force_unsigned: true,
        ..AddRequest::default()
    };
    let report = drivers::add(&mut other, &again).unwrap();
    assert_eq!(report.error().map(ToString::to_string), None);
    let names = |session: &mut Session| -> Vec<String> {
        drivers::list(session, false).unwrap().into_iter().map(|package| package.store_name).collect()
    };
    let (mut left, mut right) = (names(&mut session), names(&mut other));
    left.sort();
    right.sort();
    assert_eq!(left, right);
    assert!(name::same(&name::units(&left[0]), &name::units(&right[0])));
}
