// SPDX-License-Identifier: GPL-3.0-or-later
//! The commands of the driver store on images shaped like Windows 11, in both languages.

mod cli_support;

use std::path::Path;
use std::process::Command;

use cli_support::{BANNER, Place, SUCCESS};
use transom_sample::drivers::{self, DriverSpec};
use transom_sample::{Sample, Spec, tool};

/// A place with `install.wim` and the packages `first` (Net) and `second` (SCSIAdapter) in it.
fn place() -> Option<Place> {
    if tool::find("wimlib-imagex").is_none() {
        eprintln!("NOTICE: wimlib-imagex is not installed: servicing is not tried");
        return None;
    }
    let place = Place::new();
    Sample::of(&Spec { images: 1, ..Spec::default() }).unwrap().copy(&place.path("install.wim")).unwrap();
    for (name, class) in [("first", "Net"), ("second", "SCSIAdapter")] {
        drivers::write_package(&place.path(""), &DriverSpec { name, class, ..DriverSpec::default() })
            .unwrap();
    }
    place.transom("--image install.wim driver add first second --force-unsigned").run().status(0);
    Some(place)
}

fn captured(name: &str) -> Option<String> {
    let corpus = match std::env::var_os("TRANSOM_CORPUS") {
        Some(path) => path.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"),
    };
    let text = std::fs::read_to_string(corpus.join("cli/out").join(name)).ok();
    if text.is_none() {
        eprintln!("NOTICE: no capture {name} on this machine");
    }
    text.map(|text| text.replace("\r\n", "\n"))
}

#[test]
fn removed_in_disms_words() {
    let Some(place) = place() else { return };
    let ran = place.dism("/Image:install.wim /Remove-Driver /Driver:oem0.inf").run().status(0);
    assert!(ran.stdout.starts_with(BANNER) && ran.stdout.ends_with(SUCCESS), "{ran:#?}");
    if let Some(captured) = captured("remove-driver.txt") {
        for line in captured.lines().filter(|line| !line.is_empty()) {
            let line = line.replace("not_working_driver.inf", "oem0.inf");
            assert!(ran.stdout.lines().any(|found| found == line), "{line}\n{}", ran.stdout);
        }
    }
    let verify = Command::new("wimlib-imagex").arg("verify").arg(place.path("install.wim")).output().unwrap();
    assert!(verify.status.success());
    let listed = place.transom("--json --image install.wim driver list").run().status(0).json();
    assert_eq!(listed["results"][0]["report"]["packages"].as_array().unwrap().len(), 1);

    let bytes = std::fs::read(place.path("install.wim")).unwrap();
    let ran = place.dism("/Image:install.wim /Remove-Driver /Driver:oem7.inf").run();
    assert!(ran.stdout.contains("Error: 1168\n"), "{ran:#?}");
    assert!(std::fs::read(place.path("install.wim")).unwrap() == bytes, "nothing is written");
}

#[test]
fn removed_in_our_words() {
    let Some(place) = place() else { return };
    let ran = place.transom("--image install.wim driver remove oem1.inf oem7.inf").run();
    assert_ne!(ran.status, Some(0));
    assert!(ran.stdout.contains("oem1.inf: removed (second.inf; services second; files "), "{ran:#?}");
    assert!(ran.stdout.contains("warning: oem1.inf was needed to boot"), "{ran:#?}");
    assert!(ran.stdout.contains("oem7.inf: failed: "), "{ran:#?}");
    let json = place.transom("--json --image install.wim driver remove oem0.inf").run().status(0).json();
    let driver = &json["results"][0]["report"]["drivers"][0];
    assert_eq!((driver["outcome"].as_str(), driver["name"].as_str()), (Some("removed"), Some("oem0.inf")));
    assert_eq!(driver["boot_critical"], false);
    let inbox = place.transom("--image install.wim driver remove disk.inf").run();
    assert!(inbox.stderr.contains("disk.inf came with Windows and cannot be removed"), "{inbox:#?}");
    assert_eq!(inbox.status, Some(50));
}

#[test]
fn exported_in_both_languages() {
    let Some(place) = place() else { return };
    let missing = place.dism("/Image:install.wim /Export-Driver /Destination:out").run();
    assert!(missing.stdout.contains("Error: 3\n"), "{missing:#?}");
    assert!(!place.path("out").exists());
    place.transom("--image install.wim --dry-run driver export out").run().status(0);
    assert!(!place.path("out").exists());
    let ran = place.transom("--image install.wim driver export out").run().status(0);
    assert!(ran.stdout.contains("oem0.inf: out/first.inf_amd64_"), "{ran:#?}");
    let ran = place.dism("/Image:install.wim /Export-Driver /Destination:out").run().status(0);
    let line = "Exporting 2 of 2 - oem1.inf: The driver package successfully exported.";
    assert!(ran.stdout.lines().any(|found| found == line), "{ran:#?}");
    if let Some(captured) = captured("export-driver-19041.txt") {
        let captured = captured.lines().find(|line| line.starts_with("Exporting 2 of 8")).unwrap();
        assert_eq!(captured.replace("of 8", "of 2"), line);
    }
    for name in ["first", "second"] {
        let folder = std::fs::read_dir(place.path("out"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.file_name().unwrap().to_string_lossy().starts_with(name))
            .unwrap();
        for entry in std::fs::read_dir(place.path(name)).unwrap() {
            let entry = entry.unwrap();
            let exported = std::fs::read(folder.join(entry.file_name())).unwrap();
            assert!(exported == std::fs::read(entry.path()).unwrap(), "{}", entry.path().display());
        }
    }
}

/// Looking into the store: sound, then damaged; which package serves a device; two images.
#[test]
fn the_store_looked_into() {
    let Some(place) = place() else { return };
    let ran = place.transom("--image install.wim driver check --all").run();
    assert_eq!(ran.status, Some(0), "{ran:#?}");
    assert!(ran.stdout.ends_with(", 0 faults\n"), "{ran:#?}");
    let ran =
        place.transom("--image install.wim driver find PCI\\VEN_1AF4&DEV_1042&SUBSYS_11001AF4&REV_01").run();
    assert!(ran.stdout.contains("80FF0000  oem0.inf") && ran.stdout.contains("picked"), "{ran:#?}");
    std::fs::copy(place.path("install.wim"), place.path("other.wim")).unwrap();
    place.transom("--image other.wim driver remove oem0.inf").run().status(0);
    let ran = place.transom("--image install.wim driver diff other.wim:1").run().status(0);
    assert!(ran.stdout.contains("- first.inf 1.2.3.4 (oem0.inf)\n"), "{ran:#?}");
    assert!(
        ran.stdout.ends_with("1 package in both, 1 only here, 0 only there, 0 in another version\n"),
        "{ran:#?}"
    );
    let json = place.transom("--json --image install.wim driver diff other.wim:1").run().status(0).json();
    assert_eq!(json["results"][0]["report"]["only_first"][0]["published_name"], "oem0.inf");

    // wimlib takes a file away: the check says which, with an exit status.
    let folder = place.transom("--json --image install.wim driver list").run().json();
    let folder = folder["results"][0]["report"]["packages"][0]["store_name"].as_str().unwrap().to_owned();
    let file = format!("/Windows/System32/DriverStore/FileRepository/{folder}/first.sys");
    let mut update = Command::new("wimlib-imagex");
    update.args(["update", "install.wim", "1"]).arg(format!("--command=delete '{file}'"));
    let output = update.current_dir(place.path("")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let ran = place.transom("--image install.wim driver check").run();
    assert_eq!(ran.status, Some(13), "{ran:#?}");
    assert!(
        ran.stdout.contains(&format!("{folder}: missing file: first.sys is not in its folder\n")),
        "{ran:#?}"
    );
    assert!(ran.stdout.ends_with(", 1 fault\n"), "{ran:#?}");

    // Only what a machine needs.
    place
        .write("devices.txt", "00:05.0 SCSI storage controller [0100]: Red Hat, Inc. [1af4:1042] (rev 01)\n");
    let line = "--image other.wim --json driver add first --force-unsigned --only-hwids devices.txt";
    let json = place.transom(line).run().status(0).json();
    assert_eq!(json["results"][0]["report"]["packages"][0]["outcome"], "installed");
    place.write("devices.txt", "nothing of the sort\n");
    let ran = place.transom("--image other.wim driver add first --only-hwids devices.txt").run();
    assert!(ran.stderr.contains("devices.txt lists no device"), "{ran:#?}");
}
