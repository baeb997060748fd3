// SPDX-License-Identifier: GPL-3.0-or-later
//! The registry of an image: every hive by its key, users by SID, symbolic links, keys copied,
//! compared, saved and restored, two images compared; what WinPE does not have.

mod cli_support;
mod driver_support;

use std::process::Command;
use std::sync::Arc;

use cli_support::Place;
use driver_support::memory::MemoryVolume;
use driver_support::{ImageRecipe, NOW, open, read, surroundings};
use transom::base::name::{units, units_to_le};
use transom::base::{Arch, ErrorClass, Version, WinName};
use transom::hive::{
    Hive, OpenOptions, RegText, RegistryChange, Value, ValueType, change_text, default_root_security,
};
use transom::image::{HiveName, Session};
use transom_sample::{Sample, Spec, tool};

const VERSION: Version = Version::new(10, 0, 19045, 3803);
const ANN: &str = "S-1-5-21-1-2-3-1001";
const BOB: &str = "S-1-5-21-1-2-3-1002";
const PROFILES: &str = "HKLM\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\ProfileList";

fn hive(minor: u32, value: &str) -> Vec<u8> {
    let mut hive = Hive::create("ROOT", minor, &default_root_security(), NOW).unwrap();
    let root = hive.root();
    let key = hive.create_path(root, "Whose", NOW).unwrap();
    hive.set_value(key, &Value::sz("", value), NOW).unwrap();
    hive.to_bytes().unwrap()
}

/// An image with two users, of whom the second has no classes of his own, and every other hive.
fn recipe() -> ImageRecipe {
    let mut recipe = ImageRecipe::new(Arch::Amd64, VERSION);
    recipe.files.extend([
        ("Users\\Default\\NTUSER.DAT", hive(3, "default")),
        ("Users\\Default\\AppData\\Local\\Microsoft\\Windows\\UsrClass.dat", hive(3, "default classes")),
        ("Users\\Ann\\ntuser.dat", hive(3, "Ann")),
        ("Users\\Ann\\AppData\\Local\\Microsoft\\Windows\\usrclass.DAT", hive(3, "Ann's classes")),
        ("Users\\Bob\\NTUSER.DAT", hive(3, "Bob")),
        ("Windows\\ServiceProfiles\\LocalService\\NTUSER.DAT", hive(3, "service")),
        ("EFI\\Microsoft\\Boot\\BCD", hive(3, "boot")),
        ("Windows\\System32\\config\\DEFAULT", hive(5, "before logon")),
        ("Windows\\System32\\config\\COMPONENTS", hive(5, "components")),
        ("Windows\\System32\\config\\SAM", hive(3, "accounts")),
        ("Windows\\System32\\config\\SECURITY", hive(5, "secrets")),
        ("Windows\\System32\\SMI\\Store\\Machine\\SCHEMA.DAT", hive(5, "schema")),
    ]);
    recipe
}

fn with_users() -> (driver_support::Surroundings, Session) {
    let surroundings = surroundings();
    let mut session = open(&recipe(), &surroundings);
    for (sid, path) in [
        (ANN, "C:\\Users\\Ann"),
        (BOB, "%SystemDrive%\\Users\\Bob"),
        ("S-1-5-19", "%systemroot%\\ServiceProfiles\\LocalService"),
        ("S-1-5-21-1-2-3-1003", "C:\\Users\\Gone"),
    ] {
        let value = Value::expand_sz("ProfileImagePath", path);
        session.registry().set_value(&format!("{PROFILES}\\{sid}"), &value).unwrap();
    }
    (surroundings, session)
}

#[test]
fn every_hive_is_found_by_its_key() {
    let (_surroundings, mut session) = with_users();
    let mut whose = |key: &str| {
        let value = session.registry().value(&format!("{key}\\Whose"), "").unwrap();
        value.and_then(|value| value.as_text()).unwrap_or_else(|| panic!("{key}"))
    };
    for (key, expected) in [
        ("HKCU", "default"),
        ("HKU\\Default", "default"),
        ("HKU\\.DEFAULT", "before logon"),
        ("HKCU\\Software\\Classes", "default classes"),
        ("HKU\\Default_Classes", "default classes"),
        (&format!("HKU\\{ANN}"), "Ann"),
        (&format!("HKEY_USERS\\{ANN}_Classes"), "Ann's classes"),
        (&format!("HKU\\{ANN}\\software\\CLASSES"), "Ann's classes"),
        (&format!("HKU\\{BOB}"), "Bob"),
        ("HKU\\S-1-5-19", "service"),
        ("HKLM\\BCD00000000", "boot"),
        ("HKLM\\COMPONENTS", "components"),
        ("HKLM\\SAM", "accounts"),
        ("HKLM\\SECURITY", "secrets"),
        ("HKLM\\SCHEMA", "schema"),
    ] {
        assert_eq!(whose(key), expected, "{key}");
    }
    let registry = session.registry();
    let error = registry.key("HKU\\S-1-5-21-9-9-9-9\\Software").err().unwrap();
    assert_eq!(error.class(), ErrorClass::NotFound);
    assert!(error.hint().unwrap().contains("reg query HKU"), "{error:?}");
    // A profile whose folder is not there has no hive; it is no error to ask.
    assert!(registry.key("HKU\\S-1-5-21-1-2-3-1003\\Software").unwrap().is_none());
    let names: Vec<String> =
        registry.top_key(&units("HKU")).unwrap().unwrap().iter().map(ToString::to_string).collect();
    let expected = [
        ".DEFAULT".to_owned(),
        "Default".to_owned(),
        "Default_Classes".to_owned(),
        "S-1-5-19".to_owned(),
        ANN.to_owned(),
        format!("{ANN}_Classes"),
        BOB.to_owned(),
    ];
    assert_eq!(names, expected);
    let machine = registry.top_key(&units("HKEY_LOCAL_MACHINE\\")).unwrap().unwrap();
    assert!(machine.contains(&"BCD00000000".into()) && machine.contains(&"SCHEMA".into()), "{machine:?}");
}

#[test]
fn edits_of_several_users_hives_are_one_change() {
    let (_surroundings, mut session) = with_users();
    session.save().unwrap();
    let text = format!(
        "Windows Registry Editor Version 5.00\n\n[HKEY_USERS\\{ANN}\\Software\\Ours]\n\"a\"=dword:1\n\n\
         [HKEY_USERS\\{ANN}_Classes\\.ours]\n@=\"x\"\n\n[HKEY_USERS\\{BOB}\\Software\\Classes\\.ours]\n@=\"y\"\n\n\
         [HKEY_CURRENT_USER\\Software\\Ours]\n[HKEY_LOCAL_MACHINE\\BCD00000000\\Objects]\n"
    );
    session.registry().import(&RegText::parse(text.as_bytes()).unwrap()).unwrap();
    let diff = session.diff().unwrap();
    let keys: Vec<String> = diff
        .registry
        .iter()
        .filter_map(|change| match change {
            RegistryChange::KeyAdded { key } => Some(key.to_string()),
            _ => None,
        })
        .collect();
    for key in [
        format!("HKU\\{ANN}\\Software\\Ours"),
        format!("HKU\\{ANN}_Classes\\.ours"),
        // Bob has no UsrClass.dat: his classes stay in his own hive.
        format!("HKU\\{BOB}\\Software\\Classes\\.ours"),
        "HKCU\\Software\\Ours".to_owned(),
        "HKLM\\BCD00000000\\Objects".to_owned(),
    ] {
        assert!(keys.contains(&key), "{key}: {keys:?}");
    }
    for (file, key) in [
        ("Users\\Ann\\ntuser.dat", "Software\\Ours"),
        ("Users\\Ann\\AppData\\Local\\Microsoft\\Windows\\UsrClass.dat", ".ours"),
        ("Users\\Bob\\NTUSER.DAT", "Software\\Classes\\.ours"),
        ("EFI\\Microsoft\\Boot\\BCD", "Objects"),
    ] {
        let hive = Hive::open(Arc::new(read(&session, file).unwrap()), OpenOptions::default()).unwrap();
        assert!(hive.find(hive.root(), key).unwrap().is_some(), "{file}");
        assert_eq!((hive.minor_version(), hive.check().unwrap()), (3, Vec::new()), "{file}");
    }
}

#[test]
fn a_winpe_without_most_hives_is_normal() {
    let surroundings = surroundings();
    let mut volume = MemoryVolume::default();
    volume.file("Windows\\System32\\config\\SYSTEM", driver_support::system_hive(Arch::Amd64));
    volume.file("Windows\\System32\\config\\SOFTWARE", driver_support::software_hive(VERSION));
    let mut session = Session::open_volume(Arc::new(volume), surroundings.environment.clone()).unwrap();
    let registry = session.registry();
    for name in HiveName::ALL {
        let expected = matches!(name, HiveName::System | HiveName::Software);
        assert_eq!(registry.hive(name).unwrap().is_some(), expected, "{name}");
    }
    assert_eq!(registry.users().unwrap(), []);
    assert_eq!(registry.present().unwrap().len(), 2);
    assert!(registry.key("HKCU\\Software\\Classes").unwrap().is_none());
    let error = registry.set_value("HKCU\\Software", &Value::dword("n", 1)).unwrap_err();
    assert_eq!(error.class(), ErrorClass::NotFound);
    let diff = session.diff().unwrap();
    assert_eq!((diff.files, diff.registry), (Vec::new(), Vec::new()));
}

/// A SOFTWARE hive with a symbolic link `name` to `target`.
fn linked(hive: &mut Hive, name: &str, target: &str) {
    let root = hive.root();
    let key = hive.create_path(root, name, NOW).unwrap();
    let value = Value::new("SymbolicLinkValue", ValueType::LINK, units_to_le(&units(target)));
    hive.set_value(key, &value, NOW).unwrap();
    let mut bytes = hive.to_bytes().unwrap();
    let flags = key.0 as usize + 4096 + 4 + 2;
    bytes[flags] |= 0x10;
    *hive = Hive::open(Arc::new(bytes), OpenOptions::default()).unwrap();
}

#[test]
fn symbolic_links_are_followed_and_shown() {
    let surroundings = surroundings();
    let software = driver_support::software_hive(VERSION);
    let mut software = Hive::open(Arc::new(software), OpenOptions::default()).unwrap();
    linked(&mut software, "Here", "\\REGISTRY\\MACHINE\\SOFTWARE\\Target");
    linked(&mut software, "There", "\\Registry\\Machine\\System\\CurrentControlSet\\Control");
    linked(&mut software, "Round", "\\REGISTRY\\MACHINE\\SOFTWARE\\Round");
    linked(&mut software, "Away", "\\REGISTRY\\A\\{1}");
    let mut volume = MemoryVolume::default();
    volume.file("Windows\\System32\\config\\SYSTEM", driver_support::system_hive(Arch::Amd64));
    volume.file("Windows\\System32\\config\\SOFTWARE", software.to_bytes().unwrap());
    let mut session = Session::open_volume(Arc::new(volume), surroundings.environment.clone()).unwrap();
    let registry = session.registry();
    registry.set_value("HKLM\\SOFTWARE\\Here\\Below", &Value::dword("n", 1)).unwrap();
    registry.set_value("HKLM\\SOFTWARE\\there\\Ours", &Value::dword("n", 2)).unwrap();
    let value = |registry: &mut transom::image::Registry, key: &str| {
        registry.value(key, "n").unwrap().and_then(|value| value.as_dword())
    };
    assert_eq!(value(registry, "HKLM\\SOFTWARE\\Target\\Below"), Some(1));
    assert_eq!(value(registry, "HKLM\\SYSTEM\\ControlSet001\\Control\\Ours"), Some(2));
    assert_eq!(registry.key("HKLM\\SOFTWARE\\There\\Ours").unwrap().unwrap().0, HiveName::System);
    let error = registry.key("HKLM\\SOFTWARE\\Round\\x").err().unwrap();
    assert!(error.to_string().contains("circle"), "{error}");
    let error = registry.key("HKLM\\SOFTWARE\\Away").err().unwrap();
    assert!(error.to_string().contains("\\REGISTRY\\A\\{1}"), "{error}");
    // Deleted is the link, not what it leads to.
    assert!(registry.delete_key("HKLM\\SOFTWARE\\Here").unwrap());
    assert_eq!(value(registry, "HKLM\\SOFTWARE\\Target\\Below"), Some(1));
    let (_, key) = registry.link_or_key(&units("HKLM\\SOFTWARE\\There")).unwrap().unwrap();
    let target = registry.require(HiveName::Software).unwrap().link_target(key).unwrap();
    assert_eq!(target, Some("\\Registry\\Machine\\System\\CurrentControlSet\\Control".into()));
    session.save().unwrap();
}

#[test]
fn a_difference_of_two_images_turns_one_into_the_other() {
    let (_one, mut old) = with_users();
    let (_two, mut new) = with_users();
    let lone = WinName::from([0xD800, u16::from(b'x')].as_slice());
    for (key, value) in [
        ("HKLM\\SOFTWARE\\Ours".to_owned(), Value::sz("lines", "a\r\nb \"c\" \\d")),
        ("HKLM\\SYSTEM\\CurrentControlSet\\Control\\Ours".to_owned(), Value::dword("n", 1)),
        (format!("HKU\\{ANN}\\Software\\Ours"), Value::multi_sz("m", &["x", "y"])),
        (format!("HKU\\{ANN}_Classes\\.ours"), Value::new("odd", ValueType(0xFFFF_0012), [1, 2, 3])),
        ("HKCU\\Ours".to_owned(), Value { name: lone.clone(), kind: ValueType::SZ, data: vec![1] }),
        ("HKLM\\BCD00000000\\Ours".to_owned(), Value::binary("b", vec![9; 100])),
    ] {
        new.registry().set_value(&key, &value).unwrap();
    }
    let ill_formed = [units("HKLM\\SOFTWARE\\Ours\\").as_slice(), lone.units()].concat();
    new.registry().create_key_units(&ill_formed).unwrap();
    new.registry().delete_key("HKU\\.DEFAULT\\Whose").unwrap();
    let difference = old.registry().compare(new.registry(), None).unwrap();
    assert_eq!((&difference.only_old, &difference.only_new), (&Vec::new(), &Vec::new()));
    let text = change_text(&difference.changes, &[]).unwrap();
    old.registry().import(&RegText::parse(&text).unwrap()).unwrap();
    assert_eq!(old.registry().compare(new.registry(), None).unwrap(), Default::default());
    assert!(old.registry().key_units(&ill_formed).unwrap().is_some());

    // Of one key only.
    new.registry().set_value("HKLM\\SOFTWARE\\Ours", &Value::dword("more", 1)).unwrap();
    new.registry().set_value("HKLM\\SYSTEM\\Ours", &Value::dword("more", 1)).unwrap();
    let only = old.registry().compare(new.registry(), Some(&units("HKLM\\SOFTWARE\\Ours"))).unwrap();
    assert_eq!(only.changes.len(), 1);
    let added = old.registry().compare(new.registry(), Some(&units("HKLM\\SYSTEM\\Ours"))).unwrap();
    assert_eq!(added.changes[0], RegistryChange::KeyAdded { key: "HKLM\\SYSTEM\\Ours".into() });
    assert!(old.registry().compare(new.registry(), Some(&units("HKLM\\SOFTWARE\\No"))).is_err());
}

#[test]
fn a_hive_that_one_image_lacks_is_told() {
    let surroundings = surroundings();
    let recipe = ImageRecipe { with_drivers_hive: false, ..ImageRecipe::new(Arch::Amd64, VERSION) };
    let mut without = open(&recipe, &surroundings);
    let mut with = open(&ImageRecipe::new(Arch::Amd64, VERSION), &surroundings);
    let there = without.registry().compare(with.registry(), None).unwrap();
    assert_eq!(there.only_new, [WinName::from("HKLM\\DRIVERS")]);
    assert!(there.changes.iter().any(|change| matches!(
        change, RegistryChange::KeyAdded { key } if key.to_string().starts_with("HKLM\\DRIVERS\\")
    )));
    let back = with.registry().compare(without.registry(), None).unwrap();
    assert_eq!((back.only_old, back.changes), (vec![WinName::from("HKLM\\DRIVERS")], Vec::new()));
}

#[test]
fn a_subtree_is_saved_and_restored_with_all_it_has() {
    let (_surroundings, mut session) = with_users();
    let registry = session.registry();
    registry.set_value("HKLM\\SOFTWARE\\Ours\\A", &Value::binary("large", vec![5; 40_000])).unwrap();
    let (hive, key) = registry.key("HKLM\\SOFTWARE\\Ours\\A").unwrap().unwrap();
    let security = transom::base::sddl::compile("O:SYG:SYD:P(A;;KA;;;SY)").unwrap();
    let software = registry.require(hive).unwrap();
    software.set_class(key, b"K\0", NOW).unwrap();
    software.set_security(key, &security, NOW).unwrap();
    let ours = software.find(software.root(), "Ours").unwrap().unwrap();
    let saved = Hive::open(Arc::new(software.subtree(ours).unwrap()), OpenOptions::default()).unwrap();
    assert_eq!(saved.check().unwrap(), []);
    assert_eq!(saved.name(saved.root()).unwrap(), "Ours".into());
    assert_eq!(saved.flags(saved.root()).unwrap() & 0x0C, 0x0C);

    let (_, target) = registry.create_key("HKLM\\SOFTWARE\\Other\\Old").unwrap();
    let software = registry.require(hive).unwrap();
    let other = software.parent(target).unwrap().unwrap();
    let grafted = software.replace_subtree(other, &saved, saved.root()).unwrap();
    assert_eq!((grafted.keys, grafted.values), (2, 1));
    let copy = software.find(other, "A").unwrap().unwrap();
    assert_eq!(software.class(copy).unwrap(), b"K\0");
    assert_eq!(software.security(copy).unwrap(), security);
    assert_eq!(software.last_written(copy).unwrap(), software.last_written(key).unwrap());
    assert!(software.find(other, "Old").unwrap().is_none());
    assert!(software.flags(other).unwrap() & 0x0C == 0);
    session.save().unwrap();
    let bytes = read(&session, "Windows\\System32\\config\\SOFTWARE").unwrap();
    assert_eq!(Hive::check_file(&bytes).unwrap(), []);
}

/// The words of `reg.exe` on a WIM, judged by reglookup through wimlib.
#[test]
fn the_words_of_reg_exe_work_on_a_wim() {
    if tool::find("wimlib-imagex").is_none() {
        eprintln!("NOTICE: wimlib-imagex is not installed: images are not tried");
        return;
    }
    let place = Place::new();
    Sample::of(&Spec::default()).unwrap().copy(&place.path("install.wim")).unwrap();
    std::fs::copy(place.path("install.wim"), place.path("other.wim")).unwrap();
    let reg = |line: &str| place.transom(&format!("--image install.wim:1 reg {line}")).run();
    let before = std::fs::read(place.path("install.wim")).unwrap();
    // What only looks writes nothing.
    assert!(reg("query HKLM").status(0).stdout.contains("HKEY_LOCAL_MACHINE\\SOFTWARE\n"));
    assert!(reg("QUERY HKU").status(0).stdout.contains("HKEY_USERS\\Default\n"));
    reg("acl HKLM\\SOFTWARE").status(0);
    for (line, hint) in [("load HKLM\\X SOFTWARE", "hive"), ("unload HKLM\\X", "hive")] {
        let ran = reg(line).status(50);
        assert!(ran.stderr.contains(hint), "{ran:?}");
    }
    reg("query HKLM\\SOFTWARE /s /f NoSuchText /d").status(1);
    assert_eq!(std::fs::read(place.path("install.wim")).unwrap(), before);

    reg("add HKLM\\SOFTWARE\\Ours\\A /v Many /t REG_MULTI_SZ /s ; /d a;b /f").status(0);
    reg("add HKLM\\SOFTWARE\\Ours\\A /ve /d text /f").status(0);
    reg("add HKLM\\SOFTWARE\\Ours /v N /t REG_DWORD /d 5 /reg:64").status(0);
    reg("add HKLM\\SOFTWARE\\Ours /v N /t REG_DWORD /d 32 /reg:32").status(0);
    reg("query HKLM\\SOFTWARE\\Wow6432Node\\Ours /v N")
        .status(0)
        .stdout("HKEY_LOCAL_MACHINE\\SOFTWARE\\Wow6432Node\\Ours\n    N    REG_DWORD    0x20\n");
    reg("query HKLM\\SOFTWARE\\Ours /s /f b /d /e /t REG_MULTI_SZ /se |").status(0).stdout(
        "HKEY_LOCAL_MACHINE\\SOFTWARE\\Ours\\A\n    Many    REG_MULTI_SZ    a|b\n\nEnd of search: 1 match(es) found.\n",
    );
    reg("query HKLM\\SOFTWARE\\Ours /v /f many /s").status(0);
    reg("copy HKLM\\SOFTWARE\\Ours HKCU\\Software\\Copy /s /f").status(0);
    let same = reg("compare HKLM\\SOFTWARE\\Ours HKCU\\Software\\Copy /s /oa").status(0);
    assert!(same.stdout.ends_with("Results Compared: Identical\n"), "{same:?}");
    reg("add HKCU\\Software\\Copy\\A /ve /d other /f").status(0);
    let different = reg("compare HKLM\\SOFTWARE\\Ours HKCU\\Software\\Copy /s").status(2);
    assert!(different.stdout.ends_with("Results Compared: Different\n"), "{different:?}");
    reg("compare HKLM\\SOFTWARE\\Ours\\A HKCU\\Software\\Copy\\A /v Many").status(0);
    reg("delete HKCU\\Software\\Copy\\A /va /f").status(0);
    reg("query HKCU\\Software\\Copy\\A /ve").status(2);
    reg("rename HKLM\\SOFTWARE\\Ours\\A B").status(0);
    reg("save HKLM\\SOFTWARE\\Ours ours.hiv").status(0);
    reg("save HKLM\\SOFTWARE\\Ours ours.hiv").status(80);
    reg("restore HKLM\\SOFTWARE\\Again ours.hiv").status(0);
    reg("compare HKLM\\SOFTWARE\\Ours HKLM\\SOFTWARE\\Again /s").status(0);
    let against = place
        .transom("--json --image install.wim:1 reg diff ours.hiv HKLM\\SOFTWARE\\Ours")
        .run()
        .status(0)
        .json();
    assert_eq!(against["results"][0]["report"]["identical"], true);
    reg("acl HKLM\\SOFTWARE\\Again --sddl D:P(A;CI;KA;;;SY)(A;CI;KR;;;BU)").status(0);
    let shown =
        place.transom("--json --image install.wim:1 reg acl HKLM\\SOFTWARE\\Again").run().status(0).json();
    let sddl = shown["results"][0]["report"]["sddl"].as_str().unwrap();
    assert!(sddl.contains("D:P(A;CI;KA;;;SY)(A;CI;KR;;;BU)"), "{sddl}");

    // Two images: what leads from one to the other, and there and back.
    let counts =
        place.transom("--json --image other.wim:1 reg diff install.wim:1 --summary").run().status(0).json();
    assert!(counts["results"][0]["report"]["counts"]["keys_added"].as_u64().unwrap() >= 6, "{counts}");
    place.transom("--image other.wim:1 reg diff install.wim:1 --reg there.reg").run().status(0);
    place.transom("--image other.wim:1 reg import there.reg").run().status(0);
    let equal = place.transom("--image other.wim:1 reg diff install.wim:1").run().status(0);
    assert_eq!(equal.stdout, "No changes.\nResults Compared: Identical\n");

    place.write(
        "cyrillic.reg",
        b"REGEDIT4\n\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Ours]\n\"c\"=\"\xCF\xF0\"\n\"e\"=hex(2):cf,00\n",
    );
    reg("import cyrillic.reg --code-page 1251").status(0);
    let text = place.transom("--json --image install.wim:1 reg query HKLM\\SOFTWARE\\Ours /v c").run().json();
    assert_eq!(text["results"][0]["report"]["keys"][0]["values"][0]["value"], "\u{41F}\u{440}");
    reg("import cyrillic.reg --code-page 437").status(87);

    if driver_support::has_peer("reglookup") {
        let destination = format!("--dest-dir={}", place.path("").display());
        let run = |program: &str, arguments: &[&str]| {
            let output = Command::new(program).args(arguments).current_dir(place.path("")).output().unwrap();
            assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        run(
            "wimlib-imagex",
            &["extract", "install.wim", "1", "Windows/System32/config/SOFTWARE", &destination],
        );
        let listed = run("reglookup", &["-H", "SOFTWARE"]);
        for line in ["/Ours/B/Many,MULTI_SZ,a|b", "/Again/B/,SZ,text", "/Wow6432Node/Ours/N,DWORD,0x00000020"]
        {
            assert!(listed.contains(line), "{line}");
        }
        let listed = run("reglookup", &["-H", "ours.hiv"]);
        assert!(listed.contains("/B/Many,MULTI_SZ,a|b"), "{listed}");
    }
    let dry =
        place.transom("--dry-run --image install.wim:1 reg delete HKLM\\SOFTWARE\\Ours /f").run().status(0);
    assert!(dry.stdout.contains("- [HKLM\\SOFTWARE\\Ours]"), "{dry:?}");
}
