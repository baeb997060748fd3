// SPDX-License-Identifier: GPL-3.0-or-later
//! Packages made to do harm: each ends in a clear error with nothing changed, or stays inside its
//! folder of the store.

mod driver_support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use driver_support::{ImageRecipe, open, surroundings};
use transom::base::{Arch, Version};
use transom::drivers::{self, AddOutcome, AddRequest};
use transom::image::Session;

const VERSION: Version = Version::new(10, 0, 14393, 0);

/// Parts of an INF that the cases replace.
struct Parts<'a> {
    catalog: &'a str,
    copy: &'a str,
    destination: &'a str,
    disk: &'a str,
    file: &'a str,
    install: &'a str,
    ids: &'a str,
    rest: String,
}

const PLAIN: Parts<'_> = Parts {
    catalog: "",
    copy: "x.sys",
    destination: "F=12",
    disk: "1=disk",
    file: "x.sys=1",
    install: "",
    ids: "PCI\\VEN_1",
    rest: String::new(),
};

fn text(parts: &Parts<'_>) -> String {
    let Parts { catalog, copy, destination, disk, file, install, ids, rest } = parts;
    format!(
        "[Version]\r\nSignature=\"$Windows NT$\"\r\nClass=System\r\nClassGuid={{4d36e97d-e325-11ce-bfc1-08002be10318}}\r\n\
         Provider=Maker\r\nDriverVer=01/02/2020,1.0.0.0\r\n{catalog}[Manufacturer]\r\nMaker=M,NTamd64\r\n[M.NTamd64]\r\n\
         \"Device\"=I,{ids}\r\n[I]\r\nCopyFiles=F\r\n{install}[F]\r\n{copy}\r\n[DestinationDirs]\r\n{destination}\r\n\
         [SourceDisksNames]\r\n{disk}\r\n[SourceDisksFiles]\r\n{file}\r\n{rest}"
    )
}

fn write(folder: &Path, parts: &Parts<'_>) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("x.sys"), b"driver").unwrap();
    let path = folder.join("x.inf");
    fs::write(&path, text(parts)).unwrap();
    path
}

/// The message of a refusal that changed nothing.
fn refused(session: &mut Session, inf: &Path, what: &str) -> String {
    let begun = Instant::now();
    let request = AddRequest { sources: vec![inf.to_owned()], force_unsigned: true, ..AddRequest::default() };
    let report = drivers::add(session, &request).unwrap();
    let AddOutcome::Failed { error } = &report.packages[0].outcome else { panic!("{what}: {report:?}") };
    assert!(begun.elapsed() < Duration::from_secs(10), "{what}");
    assert!(error.message().len() < 5000, "{what}: {} characters", error.message().len());
    let diff = session.diff().unwrap();
    assert_eq!((diff.files, diff.registry), (Vec::new(), Vec::new()), "{what}");
    error.message().to_owned()
}

#[test]
fn paths_that_lead_out() {
    let surroundings = surroundings();
    let folder = surroundings.scratch.path().join("package");
    let secret = surroundings.scratch.path().join("secret");
    fs::write(&secret, "secret").unwrap();
    let mut session = open(&ImageRecipe::new(Arch::Amd64, VERSION), &surroundings);
    let cases = [
        ("a target", Parts { copy: "..\\..\\config\\SAM,x.sys", ..PLAIN }),
        ("a source", Parts { copy: "x.sys,..\\secret", file: "..\\secret=1", ..PLAIN }),
        ("a source folder", Parts { file: "x.sys=1,..", ..PLAIN }),
        ("a disk's folder", Parts { disk: "1=disk,,,\\..\\..", ..PLAIN }),
        ("a destination", Parts { destination: "F=12,..\\config", ..PLAIN }),
        ("slashes", Parts { destination: "F=12,../config", ..PLAIN }),
        ("blanks behind dots", Parts { destination: "F=12,\".. \\config\"", ..PLAIN }),
        ("a stream", Parts { copy: "x.sys:hidden,x.sys", ..PLAIN }),
        ("a drive", Parts { copy: "C:\\x.sys,x.sys", ..PLAIN }),
        ("a catalog", Parts { catalog: "CatalogFile=..\\secret\r\n", ..PLAIN }),
        ("a cabinet", Parts { copy: "y.sys", file: "y.sys=1", disk: "1=disk,..\\secret.cab", ..PLAIN }),
        ("another INF", Parts { install: "CopyINF=..\\y.inf\r\n", ..PLAIN }),
    ];
    for (what, parts) in cases {
        let inf = write(&folder, &parts);
        let message = refused(&mut session, &inf, what);
        assert!(
            ["leaves", "leads out", "outside", "path", "cannot be a file name"]
                .iter()
                .any(|word| message.contains(word)),
            "{what}: {message}"
        );
    }

    // Links out of the folder: a file, a folder, a catalog, a compressed file.
    std::os::unix::fs::symlink(&secret, folder.join("link.sys")).unwrap();
    std::os::unix::fs::symlink(surroundings.scratch.path(), folder.join("up")).unwrap();
    std::os::unix::fs::symlink(&secret, folder.join("packed.sy_")).unwrap();
    for (what, parts) in [
        ("a link", Parts { copy: "link.sys", file: "link.sys=1", ..PLAIN }),
        ("a linked folder", Parts { copy: "secret", file: "secret=1,up", ..PLAIN }),
        ("a compressed link", Parts { copy: "packed.sys", file: "packed.sys=1", ..PLAIN }),
    ] {
        let inf = write(&folder, &parts);
        let message = refused(&mut session, &inf, what);
        assert!(message.contains("leads out of the package's folder"), "{what}: {message}");
    }
    std::os::unix::fs::symlink(&secret, folder.join("x.cat")).unwrap();
    let inf = write(&folder, &Parts { catalog: "CatalogFile=x.cat\r\n", ..PLAIN });
    let request = AddRequest { sources: vec![inf], ..AddRequest::default() };
    let report = drivers::add(&mut session, &request).unwrap();
    let AddOutcome::Failed { error } = &report.packages[0].outcome else { panic!("{report:?}") };
    assert!(error.message().contains("its catalog x.cat is not there"), "{error}");
}

#[test]
fn sizes_out_of_proportion() {
    let surroundings = surroundings();
    let folder = surroundings.scratch.path().join("package");
    let mut session = open(&ImageRecipe::new(Arch::Amd64, VERSION), &surroundings);
    let long = "x".repeat(300);
    let wide = "x".repeat(5000);
    let tokens = "%t%".repeat(1300);
    let many_lists = format!("AddReg={}\r\n", vec!["R"; 4000].join(","));
    let many_lines: String = "HKR,,N,,%t%\r\n".repeat(4000);
    let cases = [
        ("a key name", Parts { ids: Box::leak(format!("PCI\\{long}").into_boxed_str()), ..PLAIN }),
        ("a field", Parts { ids: Box::leak(format!("PCI\\{wide}").into_boxed_str()), ..PLAIN }),
        (
            "a token that grows",
            Parts {
                ids: Box::leak(tokens.into_boxed_str()),
                rest: format!("[Strings]\r\nt={long}\r\n"),
                ..PLAIN
            },
        ),
        (
            "lists of lists",
            Parts {
                install: Box::leak(many_lists.into_boxed_str()),
                rest: format!("[R]\r\n{many_lines}[Strings]\r\nt={}\r\n", "y".repeat(4000)),
                ..PLAIN
            },
        ),
        ("a file name", Parts { copy: Box::leak(format!("{long}.sys,x.sys").into_boxed_str()), ..PLAIN }),
    ];
    for (what, parts) in cases {
        let inf = write(&folder, &parts);
        refused(&mut session, &inf, what);
    }
    // A string of 1 GB: the INF is not even read.
    let inf = folder.join("x.inf");
    let file = fs::OpenOptions::new().write(true).open(&inf).unwrap();
    file.set_len(1 << 30).unwrap();
    let message = refused(&mut session, &inf, "1 GB");
    assert!(message.contains("1073741824 bytes; more than"), "{message}");
    drop(file);
    // A name that leaves no room for the folder's.
    let named = folder.join(format!("{}.inf", "n".repeat(245)));
    fs::write(&named, text(&PLAIN)).unwrap();
    refused(&mut session, &named, "the name of the INF");
    // A cabinet and a compressed file that promise more than they hold.
    let packed = Parts { copy: "y.sys", file: "y.sys=1", disk: "1=disk,y.cab", ..PLAIN };
    let inf = write(&folder, &packed);
    for (name, bytes) in [
        ("y.cab", b"MSCF\0\0\0\0\xFF\xFF\xFF\x7F".to_vec()),
        ("y.sy_", [b"SZDD\x88\xF0\x27\x33As".as_slice(), &u32::MAX.to_le_bytes(), b"abc"].concat()),
    ] {
        fs::write(folder.join(name), bytes).unwrap();
        let message = refused(&mut session, &inf, name);
        assert!(message.contains("cannot be unpacked"), "{name}: {message}");
    }
}

/// Circles end, names that differ in case only are one file, and what a package may write is below
/// its folder, the published names and its destinations.
#[test]
fn what_is_odd_but_allowed_stays_inside() {
    let surroundings = surroundings();
    let folder = surroundings.scratch.path().join("package");
    let circle = |other: &str| {
        format!(
            "[Version]\r\nSignature=\"$Windows NT$\"\r\n[Base]\r\nInclude={other}.inf\r\nNeeds=Base\r\nAddReg=R\r\n\
             [R]\r\nHKR,,N,,v\r\n"
        )
        .into_bytes()
    };
    let recipe = ImageRecipe {
        files: vec![("Windows\\INF\\one.inf", circle("two")), ("Windows\\INF\\two.inf", circle("one"))],
        ..ImageRecipe::new(Arch::Amd64, VERSION)
    };
    let mut session = open(&recipe, &surroundings);
    let parts = Parts {
        install: "Include=one.inf,x.inf\r\nNeeds=Base,I\r\n",
        copy: "x.sys\r\nX.SYS\r\nsub.sys,SUB.SYS",
        file: "x.sys=1\r\nX.SYS=1\r\nsub.sys=1,Folder",
        ..PLAIN
    };
    let inf = write(&folder, &parts);
    fs::write(folder.join("X.SYS"), b"the other").unwrap();
    fs::create_dir_all(folder.join("folder")).unwrap();
    fs::write(folder.join("folder/Sub.sys"), b"sub").unwrap();
    let begun = Instant::now();
    let request = AddRequest { sources: vec![inf], force_unsigned: true, ..AddRequest::default() };
    let report = drivers::add(&mut session, &request).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(report.error().map(ToString::to_string), None);
    let AddOutcome::Installed { store_name, .. } = &report.packages[0].outcome else { panic!("{report:?}") };
    let driver = driver_support::read(&session, "Windows\\System32\\drivers\\x.sys");
    assert_eq!(driver, Some(b"driver".to_vec()), "the exact case wins");
    let store = format!("Windows\\System32\\DriverStore\\FileRepository\\{store_name}").to_lowercase();
    let allowed = [
        store.as_str(),
        "windows\\inf\\oem0.inf",
        "windows\\system32\\drivers\\x.sys",
        "windows\\system32\\drivers\\sub.sys",
        "windows\\system32\\config\\",
    ];
    for change in session.diff().unwrap().files {
        let path = change.path().to_string().to_lowercase();
        let is_parent = allowed.iter().any(|allowed| allowed.starts_with(&format!("{path}\\")));
        assert!(is_parent || allowed.iter().any(|allowed| path.starts_with(allowed)), "{path}");
    }
}
