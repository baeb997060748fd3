// SPDX-License-Identifier: GPL-3.0-or-later
//! `.reg` text and the commands on hive files and on the registry of an image, judged by
//! hivexregedit, hivexml's library, reglookup and wimlib.

mod cli_support;
mod hive_support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use cli_support::Place;
use hive_support::{NOW, corpus, have, open_with, unpack};
use serde_json::json;
use transom::base::name;
use transom::hive::{self, Hive, OpenOptions, RegText, RegWriter, Value, ValueType};
use transom_sample::{Sample, Spec, tool};

/// Values by upper-case key and name.
type Content = BTreeMap<(Vec<u16>, Vec<u16>), (u32, Vec<u8>)>;

fn content(text: &RegText) -> (Content, Vec<Vec<u16>>) {
    let mut values = Content::new();
    let mut keys = Vec::new();
    for section in &text.sections {
        assert!(!section.delete);
        keys.push(section.key.units().to_vec());
        for value in &section.values {
            let (kind, data) = value.data.clone().unwrap();
            values.insert((section.key.units().to_vec(), value.name.units().to_vec()), (kind.0, data));
        }
    }
    keys.sort();
    (values, keys)
}

fn run(program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn exported(hive: &Hive, prefix: &str) -> Vec<u8> {
    let mut writer = RegWriter::default();
    hive::export(&mut writer, hive, hive.root(), &name::units(prefix)).unwrap();
    writer.finish()
}

#[test]
fn exports_say_what_hivexregedit_says() {
    if !have("hivexregedit") {
        return;
    }
    let place = Place::new();
    let mut compared = 0;
    for part in ["hive/BCD", "hive/SAM", "hive/SECURITY", "hive/NTUSER.DAT", "hive/minimal/minimal"] {
        let Some(directory) = corpus("hive") else { return };
        let Some(bytes) = unpack(&directory.parent().unwrap().join(part)) else { continue };
        let Ok(hive) = open_with(bytes.clone(), Vec::new(), true) else { continue };
        let ours = RegText::parse(&exported(&hive, "HKEY_LOCAL_MACHINE\\X")).unwrap();
        let file = place.path("hive");
        std::fs::write(&file, bytes).unwrap();
        let peer = run(
            "hivexregedit",
            &["--export", "--prefix", "HKEY_LOCAL_MACHINE\\X", file.to_str().unwrap(), "\\"],
        );
        let peer = RegText::parse(&peer).unwrap();
        let (our_values, our_keys) = content(&ours);
        let (peer_values, mut peer_keys) = content(&peer);
        for key in &mut peer_keys {
            // It writes the prefix of the root with a backslash behind it.
            if key.last() == Some(&u16::from(b'\\')) {
                key.pop();
            }
        }
        assert_eq!(our_keys, peer_keys, "{part}");
        assert_eq!(our_values.len(), peer_values.len(), "{part}");
        for (place, value) in &our_values {
            let found = peer_values.get(place).or_else(|| {
                let mut root = place.0.clone();
                root.push(u16::from(b'\\'));
                peer_values.get(&(root, place.1.clone()))
            });
            assert_eq!(found, Some(value), "{part}: {}", name::display(&place.0));
        }
        compared += our_values.len();
    }
    eprintln!("{compared} values compared");
}

#[test]
fn an_export_imported_gives_the_same_tree() {
    let Some(directory) = corpus("hive") else { return };
    let mut trees = 0;
    for part in ["BCD", "SAM", "SECURITY", "NTUSER.DAT", "SYSTEM_B", "UsrClass.dat"] {
        let Some(bytes) = unpack(&directory.join(part)) else { continue };
        let Ok(old) = open_with(bytes, Vec::new(), true) else { continue };
        let text = RegText::parse(&exported(&old, "HKLM\\X")).unwrap();
        let mut new = Hive::create("ROOT", old.minor_version(), &hive::default_root_security(), NOW).unwrap();
        let mut applied = hive::Applied::default();
        for section in &text.sections {
            let below = &section.key.units()["HKLM\\X".len()..];
            hive::apply(&mut new, section, below, NOW, &mut applied).unwrap();
        }
        assert_eq!(hive::diff(&old, &new).unwrap(), [], "{part}");
        let new = Hive::open(Arc::new(new.to_bytes().unwrap()), OpenOptions::default()).unwrap();
        assert_eq!(hive::diff(&old, &new).unwrap(), [], "{part}");
        trees += 1;
    }
    assert!(trees > 0);
}

/// A hive of a few keys.
fn small(path: &Path) {
    let mut hive = Hive::create("ROOT", 5, &hive::default_root_security(), NOW).unwrap();
    let root = hive.root();
    let key = hive.create_path(root, "Vendor\\Product", NOW).unwrap();
    hive.set_value(key, &Value::sz("Name", "C:\\x \"y\""), NOW).unwrap();
    hive.set_value(key, &Value::dword("Level", 3), NOW).unwrap();
    hive.set_value(key, &Value::new("Odd", ValueType(0xFFFF_0012), [1, 2, 3]), NOW).unwrap();
    hive.create_path(root, "Vendor\\Old\\Below", NOW).unwrap();
    std::fs::write(path, hive.to_bytes().unwrap()).unwrap();
}

#[test]
fn a_file_is_queried_and_edited() {
    let place = Place::new();
    small(&place.path("SOFTWARE"));
    place.transom("hive query SOFTWARE Vendor\\Product").run().status(0).stderr("").stdout(
        "HKEY_LOCAL_MACHINE\\SOFTWARE\\Vendor\\Product\n    Name    REG_SZ    C:\\x \"y\"\n    \
         Level    REG_DWORD    0x3\n    Odd    0xffff0012    010203\n",
    );
    place.transom("hive query SOFTWARE HKLM\\SOFTWARE\\Vendor").run().status(0).stdout(
        "HKEY_LOCAL_MACHINE\\SOFTWARE\\Vendor\n\nHKEY_LOCAL_MACHINE\\SOFTWARE\\Vendor\\Old\n\
         HKEY_LOCAL_MACHINE\\SOFTWARE\\Vendor\\Product\n",
    );
    let before = std::fs::read(place.path("SOFTWARE")).unwrap();
    let dry = place
        .transom("--dry-run --json hive set SOFTWARE Vendor\\New --value N --type REG_MULTI_SZ --data a\\0b")
        .run()
        .status(0)
        .json();
    assert_eq!(dry["results"][0]["report"]["changes"]["counts"]["values_added"], 1);
    assert_eq!(std::fs::read(place.path("SOFTWARE")).unwrap(), before);
    let set = place
        .transom("--json hive set SOFTWARE Vendor\\New --value N --type REG_MULTI_SZ --data a\\0b")
        .run()
        .status(0)
        .json();
    assert_eq!(
        set["results"][0]["report"]["applied"],
        json!({ "keys_created": 1, "keys_deleted": 0, "values_set": 1, "values_deleted": 0 })
    );
    place.transom("hive delete SOFTWARE Vendor\\Old").run().status(0);
    place.transom("hive delete SOFTWARE Vendor\\Product --value Level").run().status(0);
    place.transom("hive delete SOFTWARE Vendor\\Product --value Level").run().status(2);
    place.transom("hive query SOFTWARE Vendor\\Old").run().status(2);
    place.transom("hive check SOFTWARE").run().status(0).stdout("SOFTWARE: 0 errors, 0 warnings\n");
    let shown = place.transom("--dry-run hive export SOFTWARE Vendor\\New out.reg").run().status(0);
    assert!(shown.stdout.contains("\"N\"=hex(7):61,00,00,00,62,00,00,00,00,00\n"), "{shown:?}");
    assert!(!place.path("out.reg").exists());
    if have("reglookup") {
        let listed = run("reglookup", &["-H", place.path("SOFTWARE").to_str().unwrap()]);
        let listed = String::from_utf8(listed).unwrap();
        assert!(listed.contains("/Vendor/New/N,MULTI_SZ,a|b"), "{listed}");
        assert!(!listed.contains("/Vendor/Old") && !listed.contains("Level"), "{listed}");
    }
}

#[test]
fn a_difference_turns_one_hive_into_the_other() {
    let place = Place::new();
    small(&place.path("SOFTWARE"));
    small(&place.path("new"));
    for line in [
        "hive set new A\\B\\C --default --data text",
        "hive set new Vendor\\Product --value Level --type REG_QWORD --data 0x10",
        "hive delete new Vendor\\Product --value Odd",
        "hive delete new Vendor\\Old",
    ] {
        place.transom(line).run().status(0);
    }
    place.transom("hive diff SOFTWARE new --reg changes.reg").run().status(0).stderr("");
    let text = std::fs::read(place.path("changes.reg")).unwrap();
    assert_eq!(
        name::display(&name::units_from_le(&text[2..])),
        "Windows Registry Editor Version 5.00\r\n\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\A]\r\n\r\n\
         [HKEY_LOCAL_MACHINE\\SOFTWARE\\A\\B]\r\n\r\n\
         [HKEY_LOCAL_MACHINE\\SOFTWARE\\A\\B\\C]\r\n@=\"text\"\r\n\r\n\
         [-HKEY_LOCAL_MACHINE\\SOFTWARE\\Vendor\\Old]\r\n\r\n\
         [HKEY_LOCAL_MACHINE\\SOFTWARE\\Vendor\\Product]\r\n\"Odd\"=-\r\n\
         \"Level\"=hex(b):10,00,00,00,00,00,00,00\r\n\r\n"
    );
    place.transom("hive import SOFTWARE changes.reg").run().status(0);
    place.transom("hive diff SOFTWARE new").run().status(0).stdout("No changes.\n");

    let before = std::fs::read(place.path("SOFTWARE")).unwrap();
    place.write("bad.reg", "REGEDIT4\n[HKLM\\SOFTWARE\\X]\n\"a\"=\"b\"\n[HKLM\\SYSTEM\\X]\n");
    let ran = place.transom("hive import SOFTWARE bad.reg").run().status(87);
    assert!(ran.stderr.contains("line 4"), "{ran:?}");
    place.write("bad.reg", "REGEDIT4\n[HKLM\\SOFTWARE\\X]\n\"a\"=nothing\n");
    let ran = place.transom("hive import SOFTWARE bad.reg").run().status(13);
    assert!(ran.stderr.contains("line 3"), "{ran:?}");
    assert_eq!(std::fs::read(place.path("SOFTWARE")).unwrap(), before);
}

#[test]
fn a_dirty_hive_is_completed_and_its_logs_emptied() {
    let Some(directory) = corpus("hive/yarp/NewDirtyHive1") else { return };
    let place = Place::new();
    for suffix in ["", ".LOG1", ".LOG2"] {
        let Some(bytes) = unpack(&directory.join(format!("NewDirtyHive{suffix}"))) else { return };
        std::fs::write(place.path(&format!("HIVE{}", suffix.to_lowercase())), bytes).unwrap();
    }
    let fact = |key: &str| {
        place.transom("--json hive show HIVE").run().status(0).json()["results"][0]["report"][key].clone()
    };
    assert_eq!(fact("state"), "replayed");
    let keys = fact("keys").as_u64().unwrap();
    place.transom("hive set HIVE Added --value n --data x").run().status(0);
    assert_eq!(fact("state"), "clean");
    assert_eq!(fact("keys").as_u64(), Some(keys + 1));
    for log in ["HIVE.log1", "HIVE.log2"] {
        assert_eq!(std::fs::metadata(place.path(log)).unwrap().len(), 0, "{log}");
    }
    if have("reglookup") {
        let listed = run("reglookup", &["-H", "-p", "/Added", place.path("HIVE").to_str().unwrap()]);
        assert!(String::from_utf8_lossy(&listed).contains("/Added/n,SZ,x"));
    }
}

#[test]
fn an_image_is_edited_in_one_commit() {
    if tool::find("wimlib-imagex").is_none() {
        eprintln!("NOTICE: wimlib-imagex is not installed: images are not tried");
        return;
    }
    let place = Place::new();
    Sample::of(&Spec::default()).unwrap().copy(&place.path("install.wim")).unwrap();
    let target = "--image install.wim:1";
    place.write(
        "settings.reg",
        "Windows Registry Editor Version 5.00\n\n[HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Control\\Ours]\n\
         \"a\"=dword:1\n\n[HKEY_CLASSES_ROOT\\.ours]\n@=\"ours\"\n\n\
         [-HKEY_LOCAL_MACHINE\\SOFTWARE\\NotThere]\n",
    );
    let before = std::fs::read(place.path("install.wim")).unwrap();
    let dry = place.transom(&format!("{target} --dry-run reg import settings.reg")).run().status(0);
    assert!(dry.stdout.contains("[HKLM\\SYSTEM\\ControlSet001\\Control\\Ours]"), "{}", dry.stdout);
    assert_eq!(std::fs::read(place.path("install.wim")).unwrap(), before);
    place.write("bad.reg", "REGEDIT4\n[HKLM\\SOFTWARE\\X]\n[HKLM\\OTHER\\X]\n");
    let ran = place.transom(&format!("{target} reg import bad.reg")).run().status(87);
    assert!(ran.stderr.contains("line 3"), "{ran:?}");
    assert_eq!(std::fs::read(place.path("install.wim")).unwrap(), before);

    place
        .transom(&format!(
            "{target} reg import settings.reg --then reg add HKLM\\SOFTWARE\\Contoso /v Level /t REG_DWORD \
             /d 3 /f --then reg query HKLM\\SOFTWARE\\Contoso"
        ))
        .run()
        .status(0);
    place
        .transom(&format!("{target} reg query HKLM\\SOFTWARE\\Contoso /v level"))
        .run()
        .status(0)
        .stdout("HKEY_LOCAL_MACHINE\\SOFTWARE\\Contoso\n    Level    REG_DWORD    0x3\n");
    let found = place.transom(&format!("{target} reg find HKCR OURS")).run().status(0);
    let expected =
        "HKEY_CLASSES_ROOT\\.ours\n    (Default)    REG_SZ    ours\n\nEnd of search: 1 match(es) found.\n";
    assert_eq!(found.stdout, expected);
    place.transom(&format!("{target} reg export HKLM\\SOFTWARE\\Contoso out.reg")).run().status(0);
    let text = RegText::parse(&std::fs::read(place.path("out.reg")).unwrap()).unwrap();
    assert_eq!(text.sections.len(), 1);
    assert_eq!(text.sections[0].key, "HKEY_LOCAL_MACHINE\\SOFTWARE\\Contoso".into());
    place.transom(&format!("{target} reg delete HKLM\\SOFTWARE\\Contoso /f")).run().status(0);
    place.transom(&format!("{target} reg query HKLM\\SOFTWARE\\Contoso")).run().status(2);

    run("wimlib-imagex", &["verify", place.path("install.wim").to_str().unwrap()]);
    if have("reglookup") {
        let (wim, out) = (place.path("install.wim"), place.path("out"));
        std::fs::create_dir(&out).unwrap();
        let destination = format!("--dest-dir={}", out.display());
        let files = ["Windows/System32/config/SYSTEM", "Windows/System32/config/SOFTWARE"];
        run("wimlib-imagex", &["extract", wim.to_str().unwrap(), "1", files[0], files[1], &destination]);
        let system = run("reglookup", &["-H", out.join("SYSTEM").to_str().unwrap()]);
        assert!(String::from_utf8_lossy(&system).contains("/ControlSet001/Control/Ours/a,DWORD,0x00000001"));
        let software = run("reglookup", &["-H", out.join("SOFTWARE").to_str().unwrap()]);
        let software = String::from_utf8_lossy(&software);
        assert!(software.contains("/Classes/.ours/,SZ,ours") && !software.contains("Contoso"));
    }
}
