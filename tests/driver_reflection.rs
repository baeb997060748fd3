// SPDX-License-Identifier: GPL-3.0-or-later
//! What putting a package to work writes beside its plain service: security, triggers, interfaces,
//! properties; files out of cabinets; versions of files that are there; Windows PE.

mod driver_support;

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use driver_support::{ImageRecipe, corpus, has_peer, open, read, surroundings};
use transom::base::{Arch, Version, name};
use transom::drivers::{self, AddOutcome, AddRequest};
use transom::hive::Value;
use transom::image::Session;
use transom::pe;

const VERSION: Version = Version::new(10, 0, 14393, 0);

/// An INF of class System with these lines in its install section, sections and file list.
fn inf(install: &str, sections: &str, files: &str) -> String {
    format!(
        "[Version]\r\nSignature=\"$Windows NT$\"\r\nClass=System\r\nClassGuid={{4d36e97d-e325-11ce-bfc1-08002be10318}}\r\n\
         Provider=Maker\r\nDriverVer=01/02/2020,1.0.0.0\r\n[Manufacturer]\r\nMaker=M,NTamd64\r\n[M.NTamd64]\r\n\
         \"Device\"=I,ROOT\\x\r\n[I]\r\nCopyFiles=F\r\n{install}[F]\r\nx.sys\r\n[DestinationDirs]\r\nF=12\r\n\
         [SourceDisksNames]\r\n1=disk,x.cab\r\n2=disk\r\n[SourceDisksFiles]\r\n{files}\r\n{sections}"
    )
}

fn write(folder: &Path, text: &str) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    let path = folder.join("x.inf");
    fs::write(&path, text).unwrap();
    path
}

fn add(session: &mut Session, inf: &Path) -> (String, Vec<String>) {
    let request = AddRequest { sources: vec![inf.to_owned()], force_unsigned: true, ..AddRequest::default() };
    let report = drivers::add(session, &request).unwrap();
    match &report.packages[0].outcome {
        AddOutcome::Installed { store_name, exceptions, .. } => (store_name.clone(), exceptions.clone()),
        other => panic!("{other:?}"),
    }
}

fn value(session: &mut Session, key: &str, value: &str) -> Option<Value> {
    session.registry().value(key, value).unwrap()
}

#[test]
fn what_a_service_and_a_configuration_may_have() {
    let surroundings = surroundings();
    let mut session = open(&ImageRecipe::new(Arch::Amd64, VERSION), &surroundings);
    let sections = "[I.Services]\r\nAddService=xdriver,2,D\r\nAddService=xhelper,,S\r\n[D]\r\nServiceType=1\r\n\
        StartType=3\r\nErrorControl=1\r\nServiceBinary=%12%\\x.sys\r\nSecurity=\"D:(A;;GA;;;SY)(A;;GR;;;BA)\"\r\n[S]\r\n\
        ServiceType=0x10\r\nStartType=3\r\nErrorControl=1\r\nServiceBinary=%11%\\xhelper.exe\r\nAddTrigger=T\r\n\
        FailureActions=A\r\n[T]\r\nTriggerType=1\r\nAction=1\r\nSubType={53f5630d-b6bf-11d0-94f2-00a0c91efb8b}\r\n\
        DataItem=2,\"ROOT\\x\"\r\n[A]\r\nResetPeriod=60\r\nAction=1,1000\r\n[I.Interfaces]\r\n\
        AddInterface={53f5630d-b6bf-11d0-94f2-00a0c91efb8b},,N\r\nAddInterface={53f56307-b6bf-11d0-94f2-00a0c91efb8b},ref\r\n\
        [N]\r\nAddReg=R\r\n[R]\r\nHKR,,FriendlyName,,Interface\r\n[I.Filters]\r\nAddFilter=xfilter,,L\r\n[L]\r\n\
        FilterPosition=Upper\r\n[P]\r\nDeviceModel,,,,\"Model X\"\r\n\
        {c22189e4-8bf3-4e6d-8467-8dc6d95e2a7e},2,7,,0x20\r\n{c22189e4-8bf3-4e6d-8467-8dc6d95e2a7e},3,18,4,more\r\n";
    let folder = surroundings.scratch.path().join("one");
    let path = write(&folder, &inf("AddProperty=P\r\n", sections, "x.sys=2"));
    fs::write(folder.join("x.sys"), b"driver").unwrap();
    let (store_name, exceptions) = add(&mut session, &path);
    let expected = [
        "configuration I: the interface {53f56307-b6bf-11d0-94f2-00a0c91efb8b} with reference string \"ref\" is not \
         recorded; Windows does it at first boot",
        "configuration I: the property {c22189e4-8bf3-4e6d-8467-8dc6d95e2a7e} is not recorded; Windows does it at first \
         boot",
        "configuration I: AddFilter lines are not recorded; Windows does it at first boot",
    ];
    assert_eq!(exceptions, expected);

    let services = "HKLM\\SYSTEM\\CurrentControlSet\\Services";
    let security = value(&mut session, &format!("{services}\\xdriver\\Security"), "Security").unwrap();
    // Owned by SYSTEM, generic rights mapped: 0xf01ff for all, 0x2008d for reading.
    assert_eq!(security.data[..4], [1, 0, 0x14, 0x80]);
    let rights: Vec<u32> = [0x30 + 12, 0x30 + 32]
        .iter()
        .map(|at| u32::from_le_bytes(security.data[*at..at + 4].try_into().unwrap()))
        .collect();
    assert_eq!(rights, [0x000F_01FF, 0x0002_008D]);
    let trigger = format!("{services}\\xhelper\\TriggerInfo\\0");
    assert_eq!(value(&mut session, &trigger, "Type"), Some(Value::dword("Type", 1)));
    assert_eq!(value(&mut session, &trigger, "DataType0"), Some(Value::dword("DataType0", 2)));
    let data = value(&mut session, &trigger, "Data0").unwrap().data;
    assert_eq!(data, name::units_to_le(&name::units("ROOT\\x\0")));
    let actions = value(&mut session, &format!("{services}\\xhelper"), "FailureActions").unwrap().data;
    assert_eq!(actions.len(), 28);

    let configuration =
        format!("HKLM\\SYSTEM\\DriverDatabase\\DriverPackages\\{store_name}\\Configurations\\I");
    let interface = format!("{configuration}\\Interfaces\\{{53f5630d-b6bf-11d0-94f2-00a0c91efb8b}}");
    let friendly = value(&mut session, &interface, "FriendlyName").unwrap();
    assert_eq!(friendly.as_text().as_deref(), Some("Interface"));
    let model = format!("{configuration}\\Properties\\{{cf73bb51-3abf-44a2-85e0-9a3dc7a12132}}\\0002");
    assert_eq!(value(&mut session, &model, "").unwrap().kind.0, 0xFFFF_0012);
    let own = format!("{configuration}\\Properties\\{{c22189e4-8bf3-4e6d-8467-8dc6d95e2a7e}}\\0002");
    let own = value(&mut session, &own, "").unwrap();
    assert_eq!((own.kind.0, own.data), (0xFFFF_0007, vec![0x20, 0, 0, 0]));
}

/// A cabinet of MSZIP, written by gcab; where that is missing by the crate that reads it, whose
/// blocks after the first cabextract does not accept.
fn cabinet(folder: &Path, files: &[(&str, &[u8])]) -> Vec<u8> {
    if has_peer("gcab") {
        let cabinet = folder.join("written-by-gcab.cab");
        let mut command = Command::new("gcab");
        command.args(["-c", "-z", "-n"]).arg(&cabinet);
        for (name, content) in files {
            fs::write(folder.join(name), content).unwrap();
            command.arg(folder.join(name));
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return fs::read(cabinet).unwrap();
    }
    let mut builder = cab::CabinetBuilder::new();
    let folder = builder.add_folder(cab::CompressionType::MsZip);
    for (name, _) in files {
        folder.add_file(*name);
    }
    let mut writer = builder.build(Cursor::new(Vec::new())).unwrap();
    let mut contents = files.iter();
    while let Some(mut file) = writer.next_file().unwrap() {
        file.write_all(contents.next().unwrap().1).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn packed_files_are_unpacked() {
    let surroundings = surroundings();
    let folder = surroundings.scratch.path().join("packed");
    let driver: Vec<u8> = (0..200_000u32).map(|number| (number / 7) as u8).collect();
    let stored = |session: &Session, store_name: &str| {
        read(session, &format!("Windows\\System32\\DriverStore\\FileRepository\\{store_name}\\x.sys"))
    };
    let made = surroundings.scratch.path();
    // In the cabinet that SourceDisksNames names.
    let path = write(&folder, &inf("", "", "x.sys=1"));
    fs::write(folder.join("X.CAB"), cabinet(made, &[("readme.txt", b"read"), ("X.Sys", &driver)])).unwrap();
    if has_peer("gcab") && has_peer("cabextract") {
        let out = surroundings.scratch.path().join("out");
        let mut command = Command::new("cabextract");
        let output = command.arg("-q").arg("-d").arg(&out).arg(folder.join("X.CAB")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(fs::read(out.join("X.Sys")).unwrap() == driver, "cabextract reads something else");
    }
    let mut session = open(&ImageRecipe::new(Arch::Amd64, VERSION), &surroundings);
    let (store_name, _) = add(&mut session, &path);
    assert!(stored(&session, &store_name).as_ref() == Some(&driver));
    assert!(read(&session, "Windows\\System32\\drivers\\x.sys").as_ref() == Some(&driver));
    let names = driver_support::entries(
        &session,
        &format!("Windows\\System32\\DriverStore\\FileRepository\\{store_name}"),
    );
    assert_eq!(names, ["x.inf", "x.sys"], "unpacked, and the cabinet stays outside");

    // Compressed by itself: a cabinet of one file, and the older form.
    fs::remove_file(folder.join("X.CAB")).unwrap();
    let literals: Vec<u8> = driver.chunks(8).flat_map(|eight| [&[0xFF][..], eight].concat()).collect();
    let size = u32::try_from(driver.len()).unwrap();
    let older = [b"SZDD\x88\xF0\x27\x33As".as_slice(), &size.to_le_bytes(), &literals].concat();
    for compressed in [cabinet(made, &[("x.sys", &driver)]), older] {
        fs::write(folder.join("x.sy_"), compressed).unwrap();
        let mut session = open(&ImageRecipe::new(Arch::Amd64, VERSION), &surroundings);
        let (store_name, _) = add(&mut session, &path);
        assert!(stored(&session, &store_name).as_ref() == Some(&driver));
    }
}

/// A small program that says this version.
fn program(version: Version) -> Vec<u8> {
    let mut bytes = vec![0u8; 0x600];
    let mut put = |at: usize, data: &[u8]| bytes[at..at + data.len()].copy_from_slice(data);
    put(0, b"MZ");
    put(0x3C, &0x80u32.to_le_bytes());
    put(0x80, b"PE\0\0");
    put(0x84, &0x8664u16.to_le_bytes());
    put(0x86, &1u16.to_le_bytes());
    put(0x94, &240u16.to_le_bytes());
    put(0x98, &0x20Bu16.to_le_bytes());
    put(0x98 + 108, &16u32.to_le_bytes());
    put(0x98 + 128, &0x1000u32.to_le_bytes());
    // One section at address 0x1000, 0x400 bytes from 0x200 on.
    for (at, number) in [(8, 0x400u32), (12, 0x1000), (16, 0x400), (20, 0x200)] {
        put(0x188 + at, &number.to_le_bytes());
    }
    // Three directories of one entry each, then the data entry, then the resource.
    for (at, id, next) in [(0x200, 16u32, 0x8000_0018u32), (0x218, 1, 0x8000_0030), (0x230, 1033, 0x48)] {
        put(at + 14, &1u16.to_le_bytes());
        put(at + 16, &id.to_le_bytes());
        put(at + 20, &next.to_le_bytes());
    }
    put(0x248, &0x1060u32.to_le_bytes());
    put(0x24C, &92u32.to_le_bytes());
    put(0x260 + 40, &0xFEEF_04BDu32.to_le_bytes());
    let number = version.as_u64();
    put(0x260 + 48, &((number >> 32) as u32).to_le_bytes());
    put(0x260 + 52, &(number as u32).to_le_bytes());
    bytes
}

#[test]
fn a_newer_file_stays() {
    let surroundings = surroundings();
    let target = "Windows\\System32\\drivers\\x.sys";
    let (old, new) = (program(Version::new(1, 2, 3, 4)), program(Version::new(1, 2, 4, 0)));
    assert_eq!(pe::file_version(&old).unwrap(), Some(Version::new(1, 2, 3, 4)));
    let cases = [
        (&new, &old, "x.sys", &new, 1),
        (&old, &new, "x.sys", &new, 0),
        (&new, &old, "x.sys,,,4", &old, 0),
        (&old, &old, "x.sys", &old, 0),
    ];
    for (number, (there, ours, line, expected, notes)) in cases.into_iter().enumerate() {
        let recipe =
            ImageRecipe { files: vec![(target, there.clone())], ..ImageRecipe::new(Arch::Amd64, VERSION) };
        let mut session = open(&recipe, &surroundings);
        let folder = surroundings.scratch.path().join(number.to_string());
        let path = write(&folder, &inf("", "", "x.sys=2").replace("[F]\r\nx.sys", &format!("[F]\r\n{line}")));
        fs::write(folder.join("x.sys"), ours).unwrap();
        let (_, exceptions) = add(&mut session, &path);
        assert!(read(&session, target).as_ref() == Some(expected), "case {number}");
        assert_eq!(exceptions.len(), notes, "case {number}: {exceptions:?}");
        if notes > 0 {
            let note =
                format!("{target} stays: the version there, 1.2.4.0, is newer than this package's, 1.2.3.4");
            assert_eq!(exceptions, [note]);
        }
    }
}

/// Real drivers say the version that their INF has.
#[test]
fn versions_of_real_files() {
    let Some(corpus) = corpus() else { return };
    let packages = corpus.join("drivers/packages");
    for (file, expected) in [
        ("vboxguest_7.2.22_amd64_whql/VBoxGuest.sys", Some((7, 2, 22))),
        ("vboxguest_7.2.22_amd64_whql/VBoxTray.exe", Some((7, 2, 22))),
        ("vboxmouse_7.2.22_amd64_whql/VBoxMouse.sys", Some((7, 2, 22))),
        ("vboxguest_7.2.22_amd64_whql/VBoxGuest.cat", None),
    ] {
        let bytes = fs::read(packages.join(file)).unwrap();
        let version = pe::file_version(&bytes).unwrap();
        let found = version.map(|version| (version.major, version.minor, version.build));
        assert_eq!(found, expected, "{file}");
        // Cut off anywhere it is nothing, or an error, but never more.
        for length in (0..bytes.len()).step_by(bytes.len() / 50 + 1) {
            let _ = pe::file_version(&bytes[..length].to_vec());
        }
    }
}

#[test]
fn windows_pe_is_warned_of() {
    let surroundings = surroundings();
    let mut session = open(&ImageRecipe::new(Arch::Amd64, VERSION), &surroundings);
    let folder = surroundings.scratch.path().join("sound");
    let text = inf("", "", "x.sys=2").replace("Class=System", "Class=MEDIA").replace("4d36e97d", "4d36e96c");
    let path = write(&folder, &text);
    fs::write(folder.join("x.sys"), b"driver").unwrap();
    let warned =
        |exceptions: &[String]| exceptions.iter().any(|text| text.contains("Windows PE, which has no sound"));
    let (_, exceptions) = add(&mut session, &path);
    assert!(!warned(&exceptions), "{exceptions:?}");
    session.registry().create_key("HKLM\\SYSTEM\\CurrentControlSet\\Control\\MiniNT").unwrap();
    session.save().unwrap();
    // The image as a boot.wim has it.
    let hive = read(&session, "Windows\\System32\\config\\SYSTEM").unwrap();
    let recipe = ImageRecipe { system: Some((hive, Vec::new())), ..ImageRecipe::new(Arch::Amd64, VERSION) };
    let mut session = open(&recipe, &surroundings);
    assert!(session.windows().is_winpe);
    let (_, exceptions) = add(&mut session, &path);
    assert!(warned(&exceptions), "{exceptions:?}");
}
