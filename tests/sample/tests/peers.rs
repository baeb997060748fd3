// SPDX-License-Identifier: GPL-3.0-or-later
//! What other programs say of the samples: that the files are sound, and that what the tests rely
//! on is in them.

use std::collections::BTreeSet;
use std::path::Path;

use transom::base::Arch;
use transom_sample::listing::{self, Listing};
use transom_sample::{Compression, Sample, Spec, SystemHive, corpus, tool};

/// Says that a test is passed over when a program it needs is missing.
fn missing(names: &[&str]) -> bool {
    let missing: Vec<_> = names.iter().filter(|name| tool::find(name).is_none()).collect();
    if !missing.is_empty() {
        eprintln!("notice: passed over, not installed: {missing:?}");
    }
    !missing.is_empty()
}

fn extract(wim: &Path, image: u32, path: &str, folder: &Path) -> Vec<u8> {
    tool::run(
        tool::command("wimlib-imagex")
            .unwrap()
            .arg("extract")
            .arg(wim)
            .args([&image.to_string(), path, "--no-acls", "--no-attributes"])
            .arg(format!("--dest-dir={}", folder.display())),
    )
    .unwrap();
    std::fs::read(folder.join(path.rsplit('/').next().unwrap())).unwrap()
}

fn info(wim: &Path, image: u32) -> BTreeSet<String> {
    let text = tool::run(tool::command("wimlib-imagex").unwrap().arg("info").arg(wim).arg(image.to_string()))
        .unwrap();
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn every_architecture_and_compression_is_sound() {
    if missing(&["wimlib-imagex"]) {
        return;
    }
    for (arch, compression, build) in [
        (Arch::X86, Compression::None, 14393),
        (Arch::Amd64, Compression::Xpress, 19045),
        (Arch::Arm, Compression::Lzx, 15063),
        (Arch::Arm64, Compression::LzmsSolid, 26100),
    ] {
        let spec = Spec { files: 250, arch, compression, build, integrity: true, ..Spec::default() };
        let sample = Sample::of(&spec).unwrap();
        listing::verify(&sample.wim).unwrap();
        let said = info(&sample.wim, 1);
        let word = match arch {
            Arch::X86 => "x86",
            Arch::Amd64 => "x86_64",
            Arch::Arm => "ARM",
            _ => "ARM64",
        };
        // wimlib reads all this from the hives and from kernel32.dll by itself.
        for line in [
            "File Count: 250".to_owned(),
            format!("Architecture: {word}"),
            format!("Build: {build}"),
            "Major Version: 10".into(),
            "Edition ID: Professional".into(),
            "Installation Type: Client".into(),
            "Product Type: WinNT".into(),
            "Default Language: en-US".into(),
            "System Root: WINDOWS".into(),
        ] {
            assert!(said.contains(&line), "{spec}: no {line:?} in {said:#?}");
        }
        if !missing(&["7z"]) {
            tool::run(tool::command("7z").unwrap().arg("t").arg(&sample.wim)).unwrap();
        }
    }
}

#[test]
fn what_only_ntfs_keeps_is_there() {
    if missing(&["wimlib-imagex"]) {
        return;
    }
    let sample = Sample::of(&Spec::default()).unwrap();
    if !sample.has_nt_metadata {
        return;
    }
    let listing = Listing::of(&sample.wim, 1).unwrap();
    let said = |path: &str| listing.0.get(path).unwrap_or_else(|| panic!("no {path}")).as_str();
    for (path, texts) in [
        ("/Program Files", &["Short Name          = \"PROGRA~1\"", "Attributes          = 0x00000010"][..]),
        (
            "/Documents and Settings",
            &["Reparse Tag         = 0xa0000003", "Attributes          = 0x00000416"],
        ),
        ("/Users/All Users", &["Reparse Tag         = 0xa000000c"]),
        ("/Windows/System32/oobe/hosts.lnk", &["Reparse Tag         = 0xa000000c"]),
        ("/Windows/win.ini", &["Named data stream \"first\"", "Named data stream \"second\""]),
        ("/Windows/WinSxS", &["Named data stream \"sample\""]),
        ("/Windows/System32/kernel32.dll", &["Object ID", "Link Count          = 2"]),
        ("/Windows/System32/drivers/etc/hosts", &["Attributes          = 0x00000021"]),
        ("/Windows/System32/config/SYSTEM.LOG1", &["Attributes          = 0x00000026"]),
        ("/Windows/Web/\u{c4}pfel \u{6f22}\u{5b57} \u{1f680}.txt", &["Uncompressed size = 7 bytes"]),
    ] {
        for text in texts {
            assert!(said(path).contains(text), "{path}: no {text:?} in\n{}", said(path));
        }
    }
    // A system ACL with a label, and an owner that is a service.
    assert!(said("/Windows/Temp").contains("Security Descriptor = 0100148c"), "{}", said("/Windows/Temp"));
    let trusted_installer = "b589fb381984c2cb5c6c236d5700776ec0026487";
    assert!(said("/Windows/System32/ntdll.dll").contains(trusted_installer));
    let linked = listing.0.values().filter(|said| said.contains("Link Count          = 2")).count();
    assert!(linked > 150, "{linked} names of linked files");
}

#[test]
fn images_of_one_file_differ() {
    if missing(&["wimlib-imagex"]) {
        return;
    }
    let spec = Spec { images: 2, bootable: true, ..Spec::default() };
    let sample = Sample::of(&spec).unwrap();
    listing::verify(&sample.wim).unwrap();
    assert!(info(&sample.wim, 1).contains("Edition ID: Professional"));
    assert!(info(&sample.wim, 2).contains("Edition ID: Core"));
    let comparison = Listing::of(&sample.wim, 1).unwrap().compare(&Listing::of(&sample.wim, 2).unwrap());
    assert!(comparison.added.len() > 20 && comparison.removed.len() > 20, "{comparison:?}");
    let header = tool::run(tool::command("wimlib-imagex").unwrap().arg("info").arg(&sample.wim)).unwrap();
    assert!(header.lines().any(|line| line.starts_with("Boot Index:") && line.ends_with(" 1")), "{header}");
}

#[test]
fn other_readers_read_every_hive() {
    if missing(&["wimlib-imagex", "hivexml", "reglookup"]) {
        return;
    }
    let sample = Sample::of(&Spec::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (path, key) in [
        ("/Windows/System32/config/SYSTEM", "DriverDatabase"),
        ("/Windows/System32/config/SOFTWARE", "Component Based Servicing"),
        ("/Windows/System32/config/DRIVERS", "DriverInfFiles"),
        ("/Windows/System32/config/COMPONENTS", "CanonicalData"),
        ("/Windows/System32/config/DEFAULT", "Keyboard Layout"),
        ("/Windows/System32/config/SAM", "Aliases"),
        ("/Windows/System32/config/SECURITY", "PolAdtEv"),
        ("/Windows/System32/config/BCD-Template", "Objects"),
        ("/Users/Default/NTUSER.DAT", "Control Panel"),
    ] {
        extract(&sample.wim, 1, path, folder.path());
        let file = folder.path().join(path.rsplit('/').next().unwrap());
        let xml = tool::run(tool::command("hivexml").unwrap().arg(&file)).unwrap();
        assert!(xml.contains(&format!("name=\"{key}\"")), "hivexml sees no {key} in {path}");
        let mut reglookup = tool::command("reglookup").unwrap();
        let output = reglookup.arg("-s").arg(&file).env("LC_ALL", "C.UTF-8").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains(key), "reglookup sees no {key} in {path}");
        // It has no words for the types of device properties, and says so.
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let complaints: Vec<_> = said
            .lines()
            .filter(|line| !line.ends_with("could not be interpreted, quoting raw buffer."))
            .collect();
        assert_eq!(complaints, Vec::<&str>::new(), "reglookup complains about {path}");
    }
}

#[test]
fn the_class_property_is_as_in_the_real_hive() {
    if missing(&["wimlib-imagex", "hivexregedit"]) {
        return;
    }
    let sample = Sample::of(&Spec::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    extract(&sample.wim, 1, "/Windows/System32/config/SYSTEM", folder.path());
    let text = tool::run(
        tool::command("hivexregedit")
            .unwrap()
            .arg("--export")
            .arg(folder.path().join("SYSTEM"))
            .arg("\\ControlSet001\\Control\\Class\\{4d36e97b-e325-11ce-bfc1-08002be10318}"),
    )
    .unwrap();
    assert!(text.contains("{6a3433f4-5626-40e8-a9b9-dbd9ecd2884b}\\0003]\n@=hex(ffff0011):ff\n"), "{text}");
}

#[test]
fn the_real_hive_lies_in_the_image_as_it_is() {
    if missing(&["wimlib-imagex", "xz"]) {
        return;
    }
    let Some(corpus) = corpus() else {
        eprintln!("notice: passed over, the corpus is not here");
        return;
    };
    let sample = Sample::of(&Spec { system: SystemHive::Real, ..Spec::default() }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (path, source) in [
        ("/Windows/System32/config/SYSTEM", "SYSTEM_B.xz"),
        ("/Windows/System32/config/SYSTEM.LOG1", "SYSTEM_B.LOG1.xz"),
        ("/Windows/System32/config/SYSTEM.LOG2", "SYSTEM_B.LOG2.xz"),
    ] {
        let unpacked = tool::command("xz").unwrap().arg("-dc").arg(corpus.join("hive").join(source)).output();
        let found = extract(&sample.wim, 1, path, folder.path());
        assert!(found == unpacked.unwrap().stdout, "{path} is not the file of the corpus");
    }
}

#[test]
fn a_plain_tree_serves_where_ntfs_cannot_be_had() {
    if missing(&["wimlib-imagex"]) {
        return;
    }
    let sample = Sample::of(&Spec { files: 300, plain: true, ..Spec::default() }).unwrap();
    assert!(!sample.has_nt_metadata);
    listing::verify(&sample.wim).unwrap();
    let listing = Listing::of(&sample.wim, 1).unwrap();
    let said = &listing.0["/Windows/System32/kernel32.dll"];
    assert!(said.contains("Link Count          = 2") && !said.contains("Security Descriptor"), "{said}");
}

#[test]
fn no_mount_is_left_behind() {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    drop(Sample::of(&Spec { files: 220, ..Spec::default() }));
    let after = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let ours = |text: &str| text.lines().filter(|line| line.contains("/220-")).count();
    assert_eq!((ours(&mounts), ours(&after)), (0, 0), "{after}");
}
