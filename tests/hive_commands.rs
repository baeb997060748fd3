// SPDX-License-Identifier: GPL-3.0-or-later
//! The commands on hive files as a whole: recovery, salvage, repair, compaction, creation, access
//! lists, renaming; the lock between two of them; what of the file stays.

mod cli_support;
mod hive_support;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use cli_support::Place;
use hive_support::{NOW, corpus, have, open, open_with, unpack};
use transom::base::name::units;
use transom::hive::{self, Hive, KeyId, OpenState, Rule, Severity, Value};
use transom::io::ReadAt;

/// A hive of three keys with a value each.
fn small(minor: u32) -> Hive {
    let mut hive = Hive::create("ROOT", minor, &hive::default_root_security(), NOW).unwrap();
    let root = hive.root();
    for name in ["alpha", "beta", "gamma"] {
        let key = hive.create_path(root, name, NOW).unwrap();
        hive.set_value(key, &Value::sz("n", name), NOW).unwrap();
    }
    hive
}

fn write(place: &Place, name: &str, hive: &mut Hive) {
    std::fs::write(place.path(name), hive.to_bytes().unwrap()).unwrap();
}

fn read(place: &Place, name: &str) -> Hive {
    open_with(std::fs::read(place.path(name)).unwrap(), Vec::new(), false).unwrap()
}

/// Puts a corpus hive with its logs into a place.
fn dirty(place: &Place, folder: &str, file: &str, name: &str) -> Option<()> {
    let directory = corpus(folder)?;
    for suffix in ["", ".LOG1", ".LOG2"] {
        if let Some(bytes) = unpack(&directory.join(format!("{file}{suffix}"))) {
            std::fs::write(place.path(&format!("{name}{suffix}")), bytes).unwrap();
        }
    }
    place.path(name).exists().then_some(())
}

#[test]
fn recovery_writes_what_windows_wrote_and_empties_the_logs() {
    let place = Place::new();
    let Some(()) = dirty(&place, "hive/yarp/NewDirtyHive1", "NewDirtyHive", "HIVE") else { return };
    let before = std::fs::read(place.path("HIVE")).unwrap();
    let dry = place.transom("--dry-run --json hive recover HIVE").run().status(0).json();
    assert_eq!(dry["results"][0]["report"]["dry_run"], true);
    assert_eq!(std::fs::read(place.path("HIVE")).unwrap(), before);
    let ran = place.transom("--json hive recover HIVE").run().status(0).json();
    assert_eq!(ran["results"][0]["report"]["state"], "replayed");
    assert_eq!(ran["results"][0]["report"]["written"], true);
    let theirs = unpack(&corpus("hive/yarp/NewDirtyHive1").unwrap().join("RecoveredHive_Windows10")).unwrap();
    assert!(std::fs::read(place.path("HIVE")).unwrap() == theirs, "not the bytes that Windows 10 wrote");
    for log in ["HIVE.LOG1", "HIVE.LOG2"] {
        assert_eq!(std::fs::metadata(place.path(log)).unwrap().len(), 0, "{log}");
    }
    let again = place.transom("hive recover HIVE").run().status(0);
    assert!(again.stdout.contains("nothing to recover"), "{again:?}");
}

#[test]
fn recovery_of_an_old_log_gives_windows_7s_tree() {
    let place = Place::new();
    let Some(()) = dirty(&place, "hive/yarp/OldDirtyHive", "OldDirtyHive", "HIVE") else { return };
    place.transom("hive recover HIVE").run().status(0);
    let theirs = unpack(&corpus("hive/yarp/OldDirtyHive").unwrap().join("RecoveredHive_Windows7")).unwrap();
    let (ours, theirs) = (read(&place, "HIVE"), open(theirs).unwrap());
    assert_eq!(ours.digest().unwrap(), theirs.digest().unwrap());
    assert!(theirs.check().unwrap().is_empty() && ours.check().unwrap().is_empty());
}

#[test]
fn a_hive_without_a_usable_log_is_not_cleared() {
    let place = Place::new();
    let Some(()) = dirty(&place, "hive/yarp/BadLogHive3", "BadLogHive", "HIVE") else { return };
    let before = std::fs::read(place.path("HIVE")).unwrap();
    place.transom("hive recover HIVE").run().status(1);
    assert_eq!(std::fs::read(place.path("HIVE")).unwrap(), before);
}

#[test]
fn what_can_be_read_is_salvaged_and_the_rest_told() {
    let place = Place::new();
    let Some(root) = corpus("hive") else { return };
    for (name, least) in [
        ("corrupted_system_hive", 1000),
        ("yarp/TruncatedHive", 1),
        ("yarp/BadListHive", 6),
        ("yarp/BadSubkeyHive", 6),
        ("yarp/DuplicateSubkeysHive", 5002),
        ("yarp/WrongOrderHive", 10),
    ] {
        let Some(bytes) = unpack(&root.join(name)) else { continue };
        let source: Arc<dyn ReadAt> = Arc::new(bytes.clone());
        let (saved, report) = Hive::salvage(&source).unwrap();
        let saved = open_with(saved, Vec::new(), false).unwrap();
        assert_eq!(saved.check().unwrap(), [], "{name}");
        let (keys, values, _) = saved.digest().unwrap();
        assert_eq!((keys, values), (report.saved.keys, report.saved.values), "{name}");
        assert!(keys >= least, "{name}: {keys} keys");
        let all_there = matches!(name, "yarp/WrongOrderHive");
        assert_eq!(report.losses.is_empty() && report.notes.is_empty(), all_there, "{name}: {report:?}");
        if name == "yarp/WrongOrderHive" {
            assert_eq!(keys, open(bytes.clone()).unwrap().digest().unwrap().0);
        }
        std::fs::write(place.path("broken"), bytes).unwrap();
        let _ = std::fs::remove_file(place.path("saved"));
        let ran = place.transom("--json hive recover broken --salvage saved").run().status(0).json();
        let shown = &ran["results"][0]["report"]["salvage"]["report"];
        assert_eq!(shown["saved"]["keys"], keys, "{name}");
        assert_eq!(read(&place, "saved").digest().unwrap(), saved.digest().unwrap(), "{name}");
        // A second one does not overwrite the first.
        place.transom("hive recover broken --salvage saved").run().status(80);
    }
}

#[test]
fn a_salvage_of_a_whole_hive_is_the_same_tree() {
    let Some(root) = corpus("hive") else { return };
    for name in ["SECURITY", "SAM", "special", "yarp/BigDataHive", "yarp/NewFlagsHive", "NTUSER.DAT"] {
        let Some(bytes) = unpack(&root.join(name)) else { continue };
        let expected = open(bytes.clone()).unwrap().digest().unwrap();
        let source: Arc<dyn ReadAt> = Arc::new(bytes);
        let (saved, report) = Hive::salvage(&source).unwrap();
        assert_eq!(open(saved).unwrap().digest().unwrap(), expected, "{name}");
        assert_eq!((report.losses, report.out_of_reach), (Vec::new(), 0), "{name}");
    }
}

#[test]
fn a_lost_base_block_and_a_lost_root_are_told_apart() {
    let mut bytes = small(5).to_bytes().unwrap();
    let expected = open(bytes.clone()).unwrap().digest().unwrap();
    bytes[..4096].fill(0);
    let source: Arc<dyn ReadAt> = Arc::new(bytes.clone());
    let (saved, report) = Hive::salvage(&source).unwrap();
    assert_eq!(open(saved).unwrap().digest().unwrap(), expected);
    assert_eq!(report.notes.len(), 2, "{report:?}");
    for at in 4096..bytes.len() - 2 {
        if &bytes[at..at + 2] == b"nk" {
            bytes[at..at + 2].fill(0);
        }
    }
    let source: Arc<dyn ReadAt> = Arc::new(bytes);
    let error = Hive::salvage(&source).unwrap_err();
    assert!(error.to_string().contains("a root key"), "{error}");
}

/// Where the record of a key begins in the file.
fn record(key: KeyId) -> usize {
    key.0 as usize + 4096 + 4
}

/// Bytes of a hive with one thing wrong, and the rule that is broken.
fn broken() -> Vec<(&'static str, Rule, Vec<u8>)> {
    let mut hive = small(5);
    let good = hive.to_bytes().unwrap();
    let root = record(hive.root());
    let alpha = record(hive.find(hive.root(), "alpha").unwrap().unwrap());
    let put = |at: usize, bytes: &[u8]| {
        let mut copy = good.clone();
        copy[at..at + bytes.len()].copy_from_slice(bytes);
        copy
    };
    let number = |at: usize| u32::from_le_bytes(good[at..at + 4].try_into().unwrap()) as usize;
    let list = number(root + 28) + 4096 + 4;
    let security = number(root + 44) + 4096 + 4;
    let mut swapped = good.clone();
    swapped[list + 4..list + 12].copy_from_slice(&good[list + 12..list + 20]);
    swapped[list + 12..list + 20].copy_from_slice(&good[list + 4..list + 12]);
    vec![
        ("count", Rule::Count, put(root + 20, &[2])),
        ("order", Rule::Order, swapped),
        ("hash", Rule::Hash, put(list + 8, &[1, 2, 3, 4])),
        ("parent", Rule::Parent, put(alpha + 16, &[0xF8, 0xFF])),
        ("subkey name", Rule::Maximum, put(root + 52, &[2])),
        ("value data", Rule::Maximum, put(alpha + 64, &[1])),
        ("references", Rule::ReferenceCount, put(security + 12, &[1])),
        ("many references", Rule::ReferenceCount, put(security + 12, &[99])),
        ("ring", Rule::SecurityRing, put(security + 8, &[0xF8, 0xFF])),
        ("stale list", Rule::StaleList, put(alpha + 28, &0x20u32.to_le_bytes())),
    ]
}

#[test]
fn each_safe_repair_makes_the_hive_whole_again() {
    let place = Place::new();
    let expected = small(5).digest().unwrap();
    for (name, rule, bytes) in broken() {
        let findings = Hive::check_file(&bytes).unwrap();
        assert!(findings.iter().any(|finding| finding.rule == rule), "{name}: {findings:?}");
        // The checksum of the base block is not touched by any of this.
        std::fs::write(place.path("HIVE"), &bytes).unwrap();
        let dry = place.transom("--dry-run --json hive check HIVE --repair").run().json();
        let repairs = dry["results"][0]["report"]["repairs"].as_array().unwrap().len();
        assert!(repairs > 0, "{name}");
        assert!(std::fs::read(place.path("HIVE")).unwrap() == bytes, "{name}");
        let ran = place.transom("hive check HIVE --repair").run().status(0);
        assert!(ran.stdout.contains("repaired at 0x"), "{name}: {ran:?}");
        place.transom("hive check HIVE").run().status(0).stdout("HIVE: 0 errors, 0 warnings\n");
        assert_eq!(read(&place, "HIVE").digest().unwrap(), expected, "{name}");
    }
}

#[test]
fn leaks_are_dropped_and_named_and_worse_damage_is_left_alone() {
    let place = Place::new();
    let Some(root) = corpus("hive/yarp") else { return };
    let Some(bytes) = unpack(&root.join("NewDirtyHive1/RecoveredHive_Windows10")) else { return };
    std::fs::write(place.path("HIVE"), &bytes).unwrap();
    let before = open(bytes).unwrap().digest().unwrap();
    let ran = place.transom("--json hive check HIVE --repair").run().status(0).json();
    let repairs = ran["results"][0]["report"]["repairs"].as_array().unwrap().clone();
    // Windows leaves the old cell of every key that it renames.
    assert_eq!(repairs.iter().filter(|repair| repair["rule"] == "leak").count(), 8, "{repairs:?}");
    assert!(repairs[0]["message"].as_str().unwrap().contains("a key called"), "{repairs:?}");
    let after = read(&place, "HIVE");
    assert_eq!(after.check().unwrap(), []);
    assert_eq!(after.digest().unwrap(), before);

    for (name, status) in
        [("WrongOrderHive", 0), ("InvalidParentHive", 0), ("CompHive", 0), ("DuplicateSubkeysHive", 1)]
    {
        let Some(bytes) = unpack(&root.join(name)) else { return };
        let keys = open(bytes.clone()).unwrap().digest().unwrap().0;
        std::fs::write(place.path("HIVE"), bytes).unwrap();
        place.transom("hive check HIVE --repair").run().status(status);
        let after = read(&place, "HIVE");
        assert_eq!(after.digest().unwrap().0, keys, "{name}");
        let left = after.check().unwrap();
        let errors: Vec<Rule> =
            left.iter().filter(|f| f.severity == Severity::Error).map(|f| f.rule).collect();
        assert_eq!(errors, if status == 0 { vec![] } else { vec![Rule::Duplicate] }, "{name}");
    }
    for name in ["BadListHive", "BadSubkeyHive", "TruncatedHive"] {
        let Some(bytes) = unpack(&root.join(name)) else { return };
        std::fs::write(place.path("HIVE"), &bytes).unwrap();
        let ran = place.transom("hive check HIVE --repair").run().status(1);
        assert!(ran.stderr.contains("offset 0x"), "{name}: {ran:?}");
        assert!(std::fs::read(place.path("HIVE")).unwrap() == bytes, "{name}");
    }
}

#[test]
fn compaction_keeps_the_tree_and_gives_space_back() {
    let place = Place::new();
    let mut hive = small(5);
    let root = hive.root();
    let key = hive.create_path(root, "large", NOW).unwrap();
    hive.set_value(key, &Value::binary("b", vec![7; 200_000]), NOW).unwrap();
    hive.delete_key(key, NOW).unwrap();
    write(&place, "HIVE", &mut hive);
    let expected = read(&place, "HIVE").digest().unwrap();
    let ran = place.transom("--json hive compact HIVE").run().status(0).json();
    let report = &ran["results"][0]["report"];
    assert!(report["length_before"].as_u64().unwrap() > 200_000, "{report}");
    assert_eq!(report["length"], 8192);
    assert_eq!(read(&place, "HIVE").digest().unwrap(), expected);
    place.transom("hive check HIVE").run().status(0).stdout("HIVE: 0 errors, 0 warnings\n");
}

#[test]
fn new_hives_of_every_version() {
    let place = Place::new();
    for (version, minor) in [("1.3", 3), ("1.4", 4), ("1.5", 5), ("1.6", 6)] {
        let file = format!("new-{minor}");
        place
            .transom(&format!(
                "hive create {file} --version {version} --root-name Own --sddl O:SYD:P(A;CI;KA;;;SY)"
            ))
            .run()
            .status(0);
        place.transom(&format!("hive create {file}")).run().status(80);
        place.transom(&format!("hive set {file} A\\B --value n --data x --class Kind")).run().status(0);
        let hive = read(&place, &file);
        assert_eq!((hive.minor_version(), hive.name(hive.root()).unwrap()), (minor, "Own".into()));
        let key = hive.find(hive.root(), "A\\B").unwrap().unwrap();
        assert_eq!(hive.class(key).unwrap(), transom::base::name::units_to_le(&units("Kind")));
        assert_eq!(hive.check().unwrap(), []);
        let shown = place.transom(&format!("--json hive acl {file} A")).run().status(0).json();
        assert_eq!(shown["results"][0]["report"]["sddl"], "O:SYG:BAD:P(A;CI;KA;;;SY)");
        let listed = place.transom(&format!("--json hive query {file} A\\B")).run().status(0).json();
        assert_eq!(listed["results"][0]["report"]["keys"][0]["class"], "Kind");
    }
}

#[test]
fn access_lists_are_shown_set_and_inherited() {
    let place = Place::new();
    let mut hive = small(5);
    let root = hive.root();
    hive.create_path(root, "alpha\\below\\deeper", NOW).unwrap();
    write(&place, "HIVE", &mut hive);
    let set = place
        .transom("--json hive acl HIVE alpha --sddl D:P(A;CI;KA;;;SY)(A;CIIO;GA;;;CO)(A;;GR;;;BU)")
        .run()
        .status(0)
        .json();
    // The rights of an entry that acts are those of keys; one that does not act stays as written.
    assert_eq!(set["results"][0]["report"]["sddl"], "O:BAG:BAD:P(A;CI;KA;;;SY)(A;CIIO;GA;;;CO)(A;;KR;;;BU)");
    assert_eq!(set["results"][0]["report"]["subkeys_changed"], 0);
    let hive = read(&place, "HIVE");
    let below = hive.find(hive.root(), "alpha\\below").unwrap().unwrap();
    assert_eq!(hive.security(below).unwrap(), hive.security(hive.root()).unwrap());

    let set = place.transom("--json hive acl HIVE alpha --recursive").run().status(0).json();
    assert_eq!(set["results"][0]["report"]["subkeys_changed"], 2);
    let shown = place.transom("--json hive acl HIVE alpha\\below").run().status(0).json();
    let report = &shown["results"][0]["report"];
    // Its own entries stay, the inherited ones follow; CREATOR OWNER acts as the owner.
    assert_eq!(
        report["sddl"],
        "O:BAG:BAD:AI(A;CI;KA;;;SY)(A;CI;KA;;;BA)(A;CI;KR;;;WD)(A;CI;KR;;;RC)\
         (A;CIID;KA;;;SY)(A;ID;KA;;;BA)(A;CIIOID;GA;;;CO)"
    );
    assert_eq!(report["entries"][4]["inherited"], true);
    assert_eq!(report["changed"], false);
    place.transom("hive check HIVE").run().status(0).stdout("HIVE: 0 errors, 0 warnings\n");
    let ran = place.transom("hive acl HIVE alpha --sddl D:(A;;GA;;;DA)").run();
    assert!(ran.stderr.contains("DA"), "{ran:?}");
    place.transom("hive acl HIVE nothing").run().status(2);
}

#[test]
fn keys_get_other_names() {
    let place = Place::new();
    for minor in [3, 5] {
        let mut hive = small(minor);
        let root = hive.root();
        hive.create_path(root, "beta\\one\\two", NOW).unwrap();
        for number in 0..2000 {
            hive.create_path(root, &format!("many\\{number}"), NOW).unwrap();
        }
        write(&place, "HIVE", &mut hive);
        for (from, to) in [
            ("beta", "BETA"),
            ("BETA", "zeta-with-a-longer-name"),
            ("many\\1500", "00"),
            ("many\\7", "x\u{3BC}"),
        ] {
            place.transom(&format!("hive rename HIVE {from} {to}")).run().status(0);
        }
        place.transom("hive rename HIVE alpha gamma").run().status(1);
        let after = read(&place, "HIVE");
        assert_eq!(after.check().unwrap(), [], "minor {minor}");
        let find = |path: &str| after.find(after.root(), path).unwrap();
        assert!(find("zeta-with-a-longer-name\\one\\two").is_some() && find("beta").is_none());
        assert!(
            find("many\\00").is_some() && find("many\\X\u{39C}").is_some() && find("many\\1500").is_none()
        );
        assert_eq!(after.subkeys(find("many").unwrap()).unwrap().len(), 2000);
        let expected = open_with(after.compact().unwrap(), Vec::new(), false).unwrap();
        assert_eq!(expected.digest().unwrap(), after.digest().unwrap());
    }
    let mut hive = small(5);
    let root = hive.root();
    assert!(hive.rename_key(root, &units("x"), NOW).is_err());
    let key = hive.find(root, "alpha").unwrap().unwrap();
    for wrong in ["", "a\\b", &"x".repeat(256)] {
        assert!(hive.rename_key(key, &units(wrong), NOW).is_err(), "{wrong}");
    }
    assert_eq!(hive.rename_key(key, &units("alpha"), NOW).unwrap(), key);
    hive.save().unwrap();
}

/// Of many edits of one file at the same time none is lost.
#[test]
fn edits_of_one_file_wait_for_each_other() {
    let place = Place::new();
    write(&place, "HIVE", &mut small(5));
    let programs: Vec<_> = (0..12)
        .map(|number| {
            Command::new(env!("CARGO_BIN_EXE_transom"))
                .args(["hive", "set", "HIVE", &format!("from\\{number}"), "--value", "n", "--data", "x"])
                .current_dir(place.path(""))
                .env("XDG_STATE_HOME", place.path("state"))
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut program in programs {
        assert!(program.wait().unwrap().success());
    }
    let hive = read(&place, "HIVE");
    let key = hive.find(hive.root(), "from").unwrap().unwrap();
    assert_eq!(hive.subkeys(key).unwrap().len(), 12);
    assert_eq!(hive.check().unwrap(), []);
}

#[test]
fn mode_and_extended_attributes_stay() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    write(&place, "HIVE", &mut small(5));
    let path = place.path("HIVE");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let kept = xattr::set(&path, "user.transom.test", b"kept").is_ok();
    place.transom("hive set HIVE new").run().status(0);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    if kept {
        assert_eq!(xattr::get(&path, "user.transom.test").unwrap().as_deref(), Some(b"kept".as_slice()));
    } else {
        eprintln!("NOTICE: the file system takes no extended attributes; they were not tried");
    }
    place.transom("hive compact HIVE").run().status(0);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn queries_look_where_they_are_told() {
    let place = Place::new();
    let mut hive = small(5);
    let root = hive.root();
    let key = hive.create_path(root, "alpha\\Beta", NOW).unwrap();
    for value in [
        Value::dword("Number", 0x2A),
        Value::multi_sz("Many", &["one", "Two"]),
        Value::sz("beta", "Alphabet"),
        Value::binary("Bytes", [0xBE, 0x7A]),
    ] {
        hive.set_value(key, &value, NOW).unwrap();
    }
    write(&place, "HIVE", &mut hive);
    let matches = |line: &str| {
        let ran = place.transom(&format!("--json hive query HIVE {line}")).run();
        let report = ran.json()["results"][0]["report"].clone();
        let mut found = Vec::new();
        for key in report["keys"].as_array().unwrap() {
            let path = key["key"].as_str().unwrap().trim_start_matches("HKEY_LOCAL_MACHINE\\HIVE").to_owned();
            let values = key["values"].as_array().unwrap();
            found.extend(values.iter().map(|value| format!("{path}:{}", value["name"].as_str().unwrap())));
            found.extend(
                key["subkeys"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|name| format!("{path}/{}", name.as_str().unwrap())),
            );
            if values.is_empty() && key["subkeys"].as_array().unwrap().is_empty() {
                found.push(path);
            }
        }
        found.join(" ")
    };
    assert_eq!(matches("--recursive --find beta"), "\\alpha\\Beta:beta \\beta:n");
    assert_eq!(matches("--recursive --find beta --in-keys"), "\\alpha\\Beta \\beta");
    assert_eq!(matches("--recursive --find beta --in-keys --case"), "\\beta");
    assert_eq!(matches("--recursive --find alpha --in-data"), "\\alpha:n \\alpha\\Beta:beta");
    assert_eq!(matches("--recursive --find alpha --in-data --exact"), "\\alpha:n");
    assert_eq!(matches("--recursive --find two --in-data"), "\\alpha\\Beta:Many");
    assert_eq!(matches("--recursive --find 0x2a --in-data"), "\\alpha\\Beta:Number");
    assert_eq!(matches("--recursive --find BE7A --in-data"), "\\alpha\\Beta:Bytes");
    assert_eq!(
        matches("--recursive --type REG_DWORD,REG_BINARY"),
        "\\alpha\\Beta:Number \\alpha\\Beta:Bytes"
    );
    assert_eq!(matches("--find a --in-keys"), "/alpha /beta /gamma");
    place
        .transom("hive query HIVE --recursive --find nowhere")
        .run()
        .status(1)
        .stdout("End of search: 0 match(es) found.\n");
    place.transom("hive query HIVE --in-keys").run().status(87);
    place
        .transom("hive query HIVE alpha\\Beta --value Many --separator ; --numbered")
        .run()
        .status(0)
        .stdout("HKEY_LOCAL_MACHINE\\HIVE\\alpha\\Beta\n    Many    REG_MULTI_SZ (7)    one;Two\n");
}

#[test]
fn a_salvaged_and_a_created_hive_are_read_by_hivexml() {
    if !have("hivexml") {
        return;
    }
    let place = Place::new();
    place.transom("hive create new --version 1.3").run().status(0);
    place.transom("hive set new A\\B --value n --data x").run().status(0);
    place.transom("hive recover new --salvage saved").run().status(0);
    let run = |file: &Path| {
        let output = Command::new("hivexml").arg(file).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    for file in ["new", "saved"] {
        let text = run(&place.path(file));
        assert!(text.contains("name=\"B\"") && text.contains("value=\"x\""), "{text}");
    }
}

#[test]
fn a_dirty_hive_is_recovered_by_an_edit_of_security_too() {
    let place = Place::new();
    let Some(()) = dirty(&place, "hive/yarp/NewDirtyHive1", "NewDirtyHive", "HIVE") else { return };
    place.transom("hive acl HIVE --sddl D:(A;CI;KA;;;SY)").run().status(0);
    let hive = read(&place, "HIVE");
    assert_eq!(hive.state(), OpenState::Clean);
}
