// SPDX-License-Identifier: GPL-3.0-or-later
//! Commands on images shaped like Windows 11: sessions, joined commands, one commit.

mod cli_support;

use std::process::Command;

use cli_support::{BANNER, Place, SUCCESS};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use transom_sample::drivers::{self, DriverSpec};
use transom_sample::{Sample, Spec, tool};

/// A place with `install.wim` of so many images and the packages `first` and `second`; nothing
/// where the sample cannot be made.
fn place(images: u32) -> Option<Place> {
    if tool::find("wimlib-imagex").is_none() {
        eprintln!("NOTICE: wimlib-imagex is not installed: servicing is not tried");
        return None;
    }
    let place = Place::new();
    Sample::of(&Spec { images, ..Spec::default() }).unwrap().copy(&place.path("install.wim")).unwrap();
    for (name, class) in [("first", "Net"), ("second", "SCSIAdapter")] {
        drivers::write_package(&place.path(""), &DriverSpec { name, class, ..DriverSpec::default() })
            .unwrap();
    }
    Some(place)
}

/// Length and SHA-256 of the WIM: enough to tell whether a byte changed.
fn image(place: &Place) -> (usize, String) {
    let bytes = std::fs::read(place.path("install.wim")).unwrap();
    (bytes.len(), Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Published and original names as our program lists them.
fn listed(place: &Place, index: u32) -> Vec<(String, String)> {
    let target = format!("install.wim:{index}");
    let json = place.transom("--json driver list --image").arg(target).run().status(0).json();
    let packages = json["results"][0]["report"]["packages"].as_array().unwrap().clone();
    let text = |package: &Value, key: &str| package[key].as_str().unwrap().to_owned();
    packages
        .iter()
        .map(|package| (text(package, "published_name"), text(package, "original_file_name")))
        .collect()
}

fn named(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(published, original)| ((*published).to_owned(), (*original).to_owned())).collect()
}

/// wimlib's verdict over the whole file.
fn verified_by_wimlib(place: &Place) {
    let output = Command::new("wimlib-imagex").arg("verify").arg(place.path("install.wim")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn looking_changes_nothing() {
    let Some(place) = place(1) else { return };
    let before = image(&place);
    let ran = place.dism("/Image:install.wim /Index:1 /Get-Drivers").run().status(0).stderr("");
    assert_eq!(
        ran.stdout,
        format!(
            "{BANNER}Image Version: 10.0.26100.1\n\n\
             Obtaining list of 3rd party drivers from the driver store...\n\n\
             Driver packages listing:\n\n\
             (No drivers found in the image matching the criteria)\n\n{SUCCESS}"
        )
    );
    place.transom("--image install.wim driver list --all").run().status(0).stderr("");
    place.dism("/Image:install.wim:1 /Get-Drivers /Quiet").run().status(0).stdout("").stderr("");
    assert_eq!(image(&place), before);
    let log = place.log();
    assert!(
        log.contains(
            "DISM.EXE: Target image information: OS Version=10.0.26100.1, Image architecture=amd64\n"
        ),
        "{log}"
    );
}

#[test]
fn a_dry_run_tells_and_writes_nothing() {
    let Some(place) = place(1) else { return };
    let before = image(&place);
    let ran =
        place.transom("--image install.wim --dry-run driver add first --force-unsigned").run().status(0);
    assert!(
        ran.stdout.starts_with("first/first.inf: oem0.inf (unsigned)\n\nFiles (A added, "),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("\n  A Windows\\INF\\oem0.inf  ("), "{}", ran.stdout);
    assert!(ran.stdout.ends_with(".\nDry run: nothing was written.\n"), "{}", ran.stdout);

    let line = "--json --dry-run --image install.wim driver add first --force-unsigned";
    let full = place.transom(line).run().status(0).json();
    assert_eq!((&full["dry_run"], &full["commits"]), (&json!(true), &json!([])));
    assert_eq!(full["results"][1]["command"], "diff");
    let files = full["results"][1]["report"]["files"].as_array().unwrap();
    assert!(
        files.iter().any(|change| change["path"] == "Windows\\INF\\oem0.inf" && change["change"] == "added")
    );
    // Where the last command is the difference, it is not told twice.
    let counts = place.transom(&format!("{line} --then diff --summary")).run().status(0).json();
    assert_eq!(counts["results"].as_array().map(Vec::len), Some(2));
    assert_eq!(counts["results"][1]["report"]["counts"], full["results"][1]["report"]["counts"]);
    assert_eq!(image(&place), before);
}

#[test]
fn one_command_adds_and_the_next_one_finds() {
    let Some(place) = place(1) else { return };
    let ran = place
        .dism("/Image:install.wim /Index:1 /Add-Driver /Driver:first /ForceUnsigned")
        .run()
        .status(0)
        .stderr("");
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(
        lines[4..9],
        [
            "Image Version: 10.0.26100.1",
            "",
            "Searching for driver packages to install...",
            "Found 1 driver package(s) to install.",
            "Installing 1 of 1 - first/first.inf: The driver package was successfully installed.",
        ]
    );
    assert!(
        ran.stdout.contains("\nSaving image\n")
            && ran.stdout.ends_with(&format!("100.0%==========================]\n{SUCCESS}")),
        "{}",
        ran.stdout
    );
    assert!(lines.len() <= 9 + 12 + 1, "more than twelve lines of progress: {}", ran.stdout);
    assert_eq!(listed(&place, 1), named(&[("oem0.inf", "first.inf")]));
    verified_by_wimlib(&place);

    let info = place.dism("/Image:install.wim /Index:1 /Get-DriverInfo:oem0.inf").run().status(0).stdout;
    assert!(
        info.contains("\nPublished Name : oem0.inf\n") && info.contains("\nClass Name : Net\n"),
        "{info}"
    );
    let table =
        place.transom("/Image:install.wim /Index:1 /Get-Drivers /Format:Table").run().status(0).stdout;
    assert!(table.contains("\nPublished Name | Original File Name | Inbox | "), "{table}");

    // The same again changes nothing, and is not written.
    let before = image(&place);
    let again = place
        .transom("--json --image install.wim:1 driver add first --force-unsigned")
        .run()
        .status(0)
        .json();
    assert_eq!(again["results"][0]["report"]["packages"][0]["already_present"], true);
    assert_eq!(again["commits"], json!([]));
    assert_eq!(image(&place), before);
}

#[test]
fn every_image_in_one_commit() {
    let Some(place) = place(2) else { return };
    let line = "--json --image install.wim:all driver add first second --force-unsigned --then driver list";
    let json = place.transom(line).run().status(0).json();
    let steps: Vec<(u64, &str)> = json["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| (result["image"]["index"].as_u64().unwrap(), result["command"].as_str().unwrap()))
        .collect();
    assert_eq!(steps, [(1, "driver add"), (1, "driver list"), (2, "driver add"), (2, "driver list")]);
    assert_eq!(json["commits"].as_array().map(Vec::len), Some(1));
    assert_eq!(json["commits"][0]["images"], json!([1, 2]));
    for index in [1, 2] {
        assert_eq!(listed(&place, index), named(&[("oem0.inf", "first.inf"), ("oem1.inf", "second.inf")]));
    }
    verified_by_wimlib(&place);
    let ran = place.dism("/Image:install.wim /Index:all /Get-Drivers").run().status(0);
    for line in [
        "Image Index : 1\nImage Version: 10.0.26100.1\n\n",
        "Image Index : 2\n",
        "\nPublished Name : oem1.inf\n",
    ] {
        assert!(ran.stdout.contains(line), "{ran:#?}");
    }
    assert_eq!(ran.stdout.matches(SUCCESS).count(), 1, "{ran:#?}");
}

#[test]
fn an_image_without_windows_among_others_is_left_alone_and_named() {
    let Some(place) = place(1) else { return };
    place.write("data/readme.txt", "no Windows here");
    let mut append = Command::new("wimlib-imagex");
    append.args(["append", "data", "install.wim", "Data"]).current_dir(place.path(""));
    assert!(append.output().unwrap().status.success());
    let line = "--image install.wim:all driver add first --force-unsigned";
    let json = place.transom(&format!("--json {line}")).run().status(0).json();
    assert_eq!(json["left_alone"][0]["index"], 2);
    assert_eq!(json["left_alone"][0]["reason"]["hresult"], "0xc1500029");
    assert_eq!(json["commits"][0]["images"], json!([1]));
    let ran = place.transom(line).run().status(0);
    assert!(ran.stdout.contains("note: image 2 of install.wim is left alone: "), "{ran:#?}");
    verified_by_wimlib(&place);
}

#[test]
fn when_one_of_several_commands_fails_nothing_is_written() {
    let Some(place) = place(1) else { return };
    let before = image(&place);
    for line in [
        "--image install.wim driver add first --force-unsigned --then driver show oem7.inf",
        "--image install.wim driver add first --force-unsigned --then driver add nowhere",
        "--image install.wim driver add first nowhere --force-unsigned --all-or-nothing",
        "--image install.wim driver add first --force-unsigned --scratch-dir nowhere",
    ] {
        let ran = place.transom(line).run();
        assert_ne!(ran.status, Some(0), "{ran:#?}");
        assert!(ran.stderr.contains("\nerror: ") || ran.stderr.starts_with("error: "), "{ran:#?}");
        assert!(ran.stderr.contains("\nhint: "), "{ran:#?}");
        assert_eq!(image(&place), before, "{line}");
    }
}

/// DISM's rule: the good packages are added, and the last error is the run's.
#[test]
fn good_packages_stand_beside_bad_ones() {
    let Some(place) = place(1) else { return };
    place.write("mixed/good/first.inf", std::fs::read(place.path("first/first.inf")).unwrap());
    place.write("mixed/good/first.sys", std::fs::read(place.path("first/first.sys")).unwrap());
    // Its driver is missing.
    place.write("mixed/bad/second.inf", std::fs::read(place.path("second/second.inf")).unwrap());
    let before = image(&place);
    let all = place
        .transom("--image install.wim driver add mixed --recurse --force-unsigned --all-or-nothing")
        .run();
    assert_ne!(all.status, Some(0), "{all:#?}");
    assert_eq!(image(&place), before);

    let ran =
        place.dism("/Image:install.wim /Index:1 /Add-Driver /Driver:mixed /Recurse /ForceUnsigned").run();
    assert_ne!(ran.status, Some(0), "{ran:#?}");
    assert!(
        ran.stdout.contains("mixed/good/first.inf: The driver package was successfully installed.\n"),
        "{ran:#?}"
    );
    assert!(ran.stdout.contains("mixed/bad/second.inf: Error - An error occurred. "), "{ran:#?}");
    assert!(ran.stdout.contains("\nError: ") && !ran.stdout.contains(SUCCESS), "{ran:#?}");
    assert_eq!(listed(&place, 1), named(&[("oem0.inf", "first.inf")]));
    verified_by_wimlib(&place);
}

#[test]
fn without_force_an_unsigned_package_is_refused() {
    let Some(place) = place(1) else { return };
    let before = image(&place);
    let ran = place.transom("--image install.wim:1 driver add first/first.inf").run().status(1);
    let last: Vec<&str> = ran.stderr.lines().rev().take(2).collect();
    assert!(last[1].starts_with("error: first.inf is not signed"), "{}", ran.stderr);
    assert!(last[0].starts_with("hint: ") && last[0].contains("--force-unsigned"), "{}", ran.stderr);
    assert_eq!(image(&place), before);
}

#[test]
fn equal_inputs_give_equal_bytes() {
    let Some(place) = place(1) else { return };
    let before = image(&place);
    std::fs::copy(place.path("install.wim"), place.path("original.wim")).unwrap();
    let mut results = Vec::new();
    for _ in 0..2 {
        std::fs::copy(place.path("original.wim"), place.path("install.wim")).unwrap();
        place
            .transom("--image install.wim:1 driver add first second --force-unsigned")
            .env("SOURCE_DATE_EPOCH", "1700000000")
            .run()
            .status(0);
        results.push(image(&place));
    }
    assert_eq!(results[0], results[1]);
    assert_ne!(results[0], before);
    place.transom("--image install.wim driver list").env("SOURCE_DATE_EPOCH", "now").run().status(87);
}

#[test]
fn help_lists_what_the_image_supports() {
    let Some(place) = place(1) else { return };
    let help = place.dism("/Image:install.wim /Index:1 /?").run().status(0);
    assert!(help.stdout.starts_with(&format!("{BANNER}\nImage Version: 10.0.")), "{}", help.stdout);
    assert!(help.stdout.contains("\nDRIVER SERVICING COMMANDS:\n\n  /Get-Drivers "), "{}", help.stdout);
    assert!(
        help.stdout.contains("/Get-Capabilities") && !help.stdout.contains("/Get-PESettings"),
        "{}",
        help.stdout
    );
    assert!(!help.stdout.contains("/Get-ImageInfo"), "{}", help.stdout);
    // In a shell's own terms: an image that is not there.
    place.dism("/Image:none.wim /Index:1 /?").run().status(2);
    // Windows paths, in any case.
    let map = format!("/Map:D:={}", place.path("").display());
    let ran = place.dism("/Get-Drivers /Index:1 /Image:d:\\INSTALL.wim").arg(map).run().status(0);
    assert!(ran.stdout.contains("Driver packages listing:"), "{}", ran.stdout);
}
