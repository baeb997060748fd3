// SPDX-License-Identifier: GPL-3.0-or-later
//! The main job, seen from outside: driver packages that nobody here wrote into images that hold
//! the real SYSTEM hive of a Windows 10 computer with its logs, through the command line, judged by
//! wimlib-imagex, hivexregedit and reglookup. And what must leave a WIM as it was, to the byte.

mod cli_support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cli_support::Place;
use serde_json::Value;
use transom::base::Arch;
use transom_sample::drivers::{self, DriverSpec};
use transom_sample::listing::{self, Listing};
use transom_sample::{Sample, Spec, SystemHive, corpus, tool};

/// The build that the real SYSTEM hive was taken from.
const BUILD: u16 = 14393;

struct Image {
    place: Place,
    packages: PathBuf,
}

/// `install.wim` with one image; nothing where the corpus or wimlib-imagex is missing.
fn image(arch: Arch) -> Option<Image> {
    let Some(corpus) = corpus() else {
        eprintln!("NOTICE: the corpus is not there: real packages are not tried");
        return None;
    };
    if tool::find("wimlib-imagex").is_none() {
        eprintln!("NOTICE: wimlib-imagex is not installed: real packages are not tried");
        return None;
    }
    // The real hive says amd64; the other architectures take the made one.
    let system = if arch == Arch::Amd64 { SystemHive::Real } else { SystemHive::Made };
    let place = Place::new();
    let spec = Spec { arch, build: BUILD, system, ..Spec::default() };
    Sample::of(&spec).unwrap().copy(&place.path("install.wim")).unwrap();
    Some(Image { place, packages: corpus.join("drivers/packages") })
}

impl Image {
    fn wim(&self) -> PathBuf {
        self.place.path("install.wim")
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(self.wim()).unwrap()
    }

    fn wimlib(&self, arguments: &[&str]) -> String {
        let output = Command::new("wimlib-imagex")
            .arg(arguments[0])
            .arg(self.wim())
            .args(&arguments[1..])
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn listing(&self) -> Listing {
        Listing::of(&self.wim(), 1).unwrap()
    }

    fn packages_in_json(&self, command: &str) -> (Option<i32>, Vec<Value>) {
        let ran = self.place.transom(command).run();
        let document: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"));
        let packages = document["results"][0]["report"]["packages"].as_array().cloned().unwrap_or_default();
        (ran.status, packages)
    }

    /// A hive as it lies in the WIM now.
    fn hive(&self, name: &str) -> PathBuf {
        let folder = self.place.path("extracted");
        let path = format!("/Windows/System32/config/{name}");
        self.wimlib(&["extract", "1", &path, "--no-acls", &format!("--dest-dir={}", folder.display())]);
        folder.join(name)
    }
}

fn reglookup(hive: &Path, key: &str) -> Option<String> {
    let output =
        Command::new("reglookup").env("LC_ALL", "C.UTF-8").arg("-p").arg(key).arg(hive).output().ok()?;
    assert!(output.status.success(), "{key}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn hivexregedit(hive: &Path, key: &str) -> Option<String> {
    let output = Command::new("hivexregedit")
        .args(["--export", "--unsafe-printable-strings"])
        .arg(hive)
        .arg(key)
        .output()
        .ok()?;
    assert!(output.status.success(), "{key}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Adds one real package, then asks the peers.
fn added(arch: Arch, package: &str, published_by: &str, hive: &str, inf: &str) {
    let Some(image) = image(arch) else { return };
    let before = image.listing();
    let source = image.packages.join(package);
    let mut command = format!("--json --image install.wim:1 driver add {}", source.display());
    // Nobody knows that signer; a catalog is a bundle of certificates too.
    if published_by != WHQL {
        command += &format!(" --root {}", source.join("synapticstouch.arm64.cat").display());
    }
    let (status, packages) = image.packages_in_json(&command);
    assert_eq!((status, packages.len()), (Some(0), 1), "{packages:?}");
    let text = |name: &str| packages[0][name].as_str().unwrap_or_default().to_owned();
    assert_eq!((text("outcome").as_str(), text("hive").as_str()), ("installed", hive), "{packages:?}");
    assert_eq!(text("signer"), published_by);
    let (published, store) = (text("published_name"), text("store_name"));

    listing::verify(&image.wim()).unwrap();
    let after = image.listing();
    let difference = before.compare(&after);
    assert_eq!(difference.removed, [] as [String; 0]);
    for expected in [
        format!("/Windows/System32/DriverStore/FileRepository/{store}/{inf}"),
        format!("/Windows/INF/{published}"),
    ] {
        assert!(difference.added.contains(&expected), "{expected}: {:?}", difference.added);
    }
    // Hives and their logs, and folders that got an entry (their time of writing): nothing else.
    for path in &difference.changed {
        let inside = format!("{path}/");
        let has_new_entry = difference
            .added
            .iter()
            .any(|added| added.strip_prefix(&inside).is_some_and(|rest| !rest.contains('/')));
        let is_hive = path.starts_with("/Windows/System32/config/");
        assert!(is_hive || (before.is_directory(path) && has_new_entry), "{path} was touched");
    }

    let saved = image.hive(hive);
    if let Some(seen) = hivexregedit(&saved, &format!("\\DriverDatabase\\DriverPackages\\{store}")) {
        assert!(seen.contains(&format!("@=str(1):\"{published}\"")), "{seen}");
        assert!(seen.contains(&format!("\"SignerName\"=str(1):\"{published_by}\"")), "{seen}");
    }
    if let Some(seen) = reglookup(&saved, &format!("/DriverDatabase/DriverInfFiles/{published}")) {
        assert!(seen.contains(&store), "{seen}");
    }
    let (_, listed) = image.packages_in_json("--json --image install.wim:1 driver list");
    assert!(listed.iter().any(|listed| listed["published_name"] == published.as_str()), "{listed:?}");
}

const WHQL: &str = "Microsoft Windows Hardware Compatibility Publisher";

#[test]
fn a_boot_critical_package_into_the_real_hive() {
    added(Arch::Amd64, "vboxguest_7.2.22_amd64_whql", WHQL, "SYSTEM", "VBoxGuest.inf");
}

/// It has no models, only `[DefaultInstall.NTAMD64]`.
#[test]
fn a_primitive_package_into_the_real_hive() {
    added(Arch::Amd64, "vboxmouse_7.2.22_amd64_whql", WHQL, "SYSTEM", "VBoxMouse.inf");
}

#[test]
fn one_inf_for_two_architectures_into_an_arm64_image() {
    added(
        Arch::Arm64,
        "synapticstouch_arm_arm64",
        "Windows On Lumia Development Hardware Driver 2020",
        "SYSTEM",
        "SynapticsTouch.inf",
    );
}

/// Each with the reason, and not a byte of the WIM changes.
#[test]
fn packages_that_are_refused() {
    let Some(image) = image(Arch::Amd64) else { return };
    let damaged = image.place.path("damaged");
    copy_folder(&image.packages.join("vboxguest_7.2.22_amd64_whql"), &damaged);
    let catalog = damaged.join("VBoxGuest.cat");
    let mut bytes = fs::read(&catalog).unwrap();
    // Inside the list of members, which the signature covers.
    bytes[200] ^= 1;
    fs::write(&catalog, bytes).unwrap();
    let altered = image.place.path("altered");
    copy_folder(&image.packages.join("vboxguest_7.2.22_amd64_whql"), &altered);
    let driver = altered.join("VBoxGuest.sys");
    let mut bytes = fs::read(&driver).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&driver, bytes).unwrap();
    drivers::write_package(&image.place.path(""), &DriverSpec { name: "unsigned", ..DriverSpec::default() })
        .unwrap();

    let before = image.bytes();
    let packages = image.packages.clone();
    let cases: [(PathBuf, &str, &str, &str); 6] = [
        // Its files are not in the corpus: for the legacy catalog on purpose, for the other only
        // VBoxDisp.dll is missing.
        (packages.join("vboxguest_7.2.22_amd64_legacysha1"), "VBoxGuest.sys", "[2]", "whole package"),
        (packages.join("vboxvideo_7.2.22_amd64_legacycat"), "VBoxDisp.dll", "[2]", "whole package"),
        (packages.join("synapticstouch_arm_arm64/SynapticsTouch.inf"), "arm, arm64", "[", "hint"),
        (damaged, "VBoxGuest.cat", "[0x", "hint"),
        (altered, "VBoxGuest.sys", "[0xe000024b]", "hint"),
        (image.place.path("unsigned"), "unsigned.cat", "[0xe000022f]", "--force-unsigned"),
    ];
    for (source, object, code, next_step) in cases {
        let ran = image.place.transom("--image install.wim:1 driver add").arg(&source).run();
        assert_ne!(ran.status, Some(0), "{ran:?}");
        let said = format!("{}{}", ran.stdout, ran.stderr);
        for expected in [object, code, next_step] {
            assert!(said.contains(expected), "{}: no `{expected}` in {said}", source.display());
        }
        assert!(image.bytes() == before, "{}: the WIM was touched", source.display());
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        fs::copy(entry.path(), &target).unwrap();
        // Files of the corpus may be read-only.
        let mut permissions = fs::metadata(&target).unwrap().permissions();
        #[allow(clippy::permissions_set_readonly_false)]
        permissions.set_readonly(false);
        fs::set_permissions(&target, permissions).unwrap();
    }
}

/// A disk that is full in the middle of a write, made by a limit on the length of files: in the
/// scratch directory, then in the WIM itself.
#[test]
fn a_full_disk_changes_nothing() {
    let Some(image) = image(Arch::Amd64) else { return };
    drivers::write_package(
        &image.place.path(""),
        &DriverSpec { name: "large", length: 3_000_000, ..DriverSpec::default() },
    )
    .unwrap();
    let before = image.bytes();
    let length = before.len() as u64;
    // In blocks of 512 bytes: what the staged driver needs, and what the WIM would grow beyond.
    for (blocks, what) in [(2_000, "scratch"), (length / 512 + 200, "install.wim")] {
        let program = image.place.transom("").into_command();
        let output = Command::new("sh")
            .arg("-c")
            .arg(format!(
                "trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" --image install.wim:1 driver add large \
                 --force-unsigned --progress none"
            ))
            .arg(program.get_program())
            .current_dir(image.place.path(""))
            .env("XDG_STATE_HOME", image.place.path("state"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(112), "{what}: {said}");
        assert!(said.contains("hint: "), "{what}: {said}");
        assert!(image.bytes() == before, "{what}: the WIM was touched");
    }
    listing::verify(&image.wim()).unwrap();
}

/// One line that names the object, one with the next step, DISM's code, nothing changed.
#[test]
fn bad_input() {
    let Some(image) = image(Arch::Amd64) else { return };
    let whole = image.bytes();
    fs::write(image.place.path("cut.wim"), &whole[..whole.len() / 2]).unwrap();
    fs::write(image.place.path("noise.wim"), b"not a WIM at all, but longer than a header ".repeat(9))
        .unwrap();
    image.place.wim("plain.wim", &["Plain"]);
    drivers::write_package(&image.place.path(""), &DriverSpec { name: "demo", ..DriverSpec::default() })
        .unwrap();
    let before = image.bytes();
    for (target, object, code) in [
        ("cut.wim:1", "cut.wim is cut off", "[1392]"),
        ("noise.wim:1", "noise.wim is not a WIM file", "[11]"),
        ("missing.wim:1", "missing.wim", "[2]"),
        ("install.wim:7", "install.wim has no image 7", "[87]"),
        ("plain.wim:1", "plain.wim", "[0xc1500029]"),
    ] {
        let line = format!("--progress none --image {target} driver add demo --force-unsigned");
        let ran = image.place.transom(&line).run();
        assert_ne!(ran.status, Some(0), "{ran:?}");
        let lines: Vec<&str> = ran.stderr.lines().collect();
        assert_eq!(lines.len(), 2, "{ran:?}");
        assert!(lines[0].starts_with("error: ") && lines[0].contains(object), "{ran:?}");
        assert!(lines[0].contains(code), "{ran:?}");
        assert!(lines[1].starts_with("hint: "), "{ran:?}");
    }
    assert!(image.bytes() == before);
}
