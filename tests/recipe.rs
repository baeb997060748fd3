// SPDX-License-Identifier: GPL-3.0-or-later
//! Recipes through the command line: one commit for all images of a file, the same result as the
//! steps one by one, the same bytes twice, and a lock that notices changed inputs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use transom::digest::sha256;
use transom_sample::drivers::{self, DriverSpec};
use transom_sample::{Sample, Spec, tool};

/// The time that stands still for the runs that are compared.
const EPOCH: &str = "1767225600";

const STEPS: &str = r#"
steps = [
    "driver add ${drivers} --recurse --force-unsigned",
    "/Add-Driver /Driver:${drivers}/second /ForceUnsigned",
    ["reg", "add", 'HKLM\SOFTWARE\Contoso', "/v", "Level", "/t", "REG_DWORD", "/d", "3", "/f"],
    'reg import "${settings}"',
]

[sources]
drivers = "drivers"
settings = "settings file.reg"
"#;

struct Stage {
    folder: tempfile::TempDir,
}

struct Done {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sample = Sample::of(&Spec { images: 4, files: 220, ..Spec::default() }).unwrap();
        sample.copy(&folder.path().join("install.wim")).unwrap();
        for name in ["first", "second"] {
            let package = DriverSpec { name, ..DriverSpec::default() };
            drivers::write_package(&folder.path().join("drivers"), &package).unwrap();
        }
        fs::write(
            folder.path().join("settings file.reg"),
            "Windows Registry Editor Version 5.00\r\n\r\n[HKEY_LOCAL_MACHINE\\SYSTEM\\Setup\\Contoso]\r\n\"Name\"=\"b\"\r\n",
        )
        .unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn recipe(&self, head: &str) {
        fs::write(self.path("steps.toml"), format!("{head}\n{STEPS}")).unwrap();
    }

    fn transom(&self, arguments: &[&str]) -> Done {
        let output = Command::new(env!("CARGO_BIN_EXE_transom"))
            .args(arguments)
            // Paths of a recipe begin at its folder, wherever it is run from.
            .current_dir("/")
            .env("SOURCE_DATE_EPOCH", EPOCH)
            .env("XDG_STATE_HOME", self.path("state"))
            .output()
            .unwrap();
        Done {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    fn run(&self, options: &[&str]) -> Done {
        let recipe = self.path("steps.toml");
        let mut arguments = options.to_vec();
        arguments.extend(["run", recipe.to_str().unwrap()]);
        self.transom(&arguments)
    }

    fn hash(&self, name: &str) -> [u8; 32] {
        sha256(&fs::read(self.path(name)).unwrap())
    }
}

impl Done {
    fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        self
    }

    fn refused(self, words: &[&str]) {
        assert_ne!(self.code, Some(0), "{}", self.stdout);
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is not in\n{}", self.stderr);
        }
    }
}

fn passed_over() -> bool {
    let missing = tool::find("wimlib-imagex").is_none();
    if missing {
        eprintln!("notice: passed over, wimlib-imagex is not installed");
    }
    missing
}

fn listing(wim: &Path, index: u32) -> String {
    tool::run(Command::new("wimlib-imagex").args(["dir", "--detailed"]).arg(wim).arg(index.to_string()))
        .unwrap()
}

#[test]
fn four_images_one_commit_and_the_same_result_as_one_by_one() {
    if passed_over() {
        return;
    }
    let stage = Stage::new();
    let pristine = stage.hash("install.wim");
    stage.recipe("image = \"install.wim:all\"\noutput = \"once.wim\"");
    let done = stage.run(&["--json"]).ok();
    let document: Value = serde_json::from_str(&done.stdout).unwrap();
    let committed = document["commits"].as_array().unwrap();
    assert_eq!(committed.len(), 1, "{committed:?}");
    assert_eq!(committed[0]["images"], serde_json::json!([1, 2, 3, 4]));
    assert_eq!(stage.hash("install.wim"), pristine, "the source of an output changed");

    stage.recipe("image = \"install.wim:all\"\noutput = \"twice.wim\"");
    stage.run(&["--threads", "1"]).ok();
    assert!(stage.hash("once.wim") == stage.hash("twice.wim"), "two runs gave two files");

    // The same commands, one process for each command and image.
    fs::copy(stage.path("install.wim"), stage.path("single.wim")).unwrap();
    let drivers = stage.path("drivers");
    let second = stage.path("drivers/second");
    let settings = stage.path("settings file.reg");
    for index in 1..=4 {
        let image = format!("{}:{index}", stage.path("single.wim").display());
        let steps: [&[&str]; 4] = [
            &["driver", "add", drivers.to_str().unwrap(), "--recurse", "--force-unsigned"],
            &["driver", "add", second.to_str().unwrap(), "--force-unsigned"],
            &["reg", "add", r"HKLM\SOFTWARE\Contoso", "/v", "Level", "/t", "REG_DWORD", "/d", "3", "/f"],
            &["reg", "import", settings.to_str().unwrap()],
        ];
        for step in steps {
            let mut arguments = vec!["--image", &image];
            arguments.extend(step);
            stage.transom(&arguments).ok();
        }
    }
    tool::run(Command::new("wimlib-imagex").arg("verify").arg(stage.path("once.wim"))).unwrap();
    for index in 1..=4 {
        let once = listing(&stage.path("once.wim"), index);
        assert!(once.contains("/FileRepository/second.inf_amd64"));
        assert_eq!(differences(&once, &listing(&stage.path("single.wim"), index)), Vec::<String>::new());
    }
    for key in [r"HKLM\SOFTWARE\Contoso", r"HKLM\SYSTEM\Setup\Contoso", r"HKLM\SYSTEM\DriverDatabase"] {
        let export = |wim: &str| {
            let image = format!("{}:3", stage.path(wim).display());
            stage.transom(&["--image", &image, "reg", "export", key, "-"]).ok().stdout
        };
        assert_eq!(export("once.wim"), export("single.wim"), "{key}");
    }
}

/// Paths of the entries that differ in anything but where their data lies, and the bytes of hives:
/// those hold the same keys in another order of cells when they were saved once more.
fn differences(left: &str, right: &str) -> Vec<String> {
    let entries = |text: &str| -> BTreeMap<String, Vec<String>> {
        let entries = text.split("\n\n").filter(|entry| !entry.contains("/config/"));
        entries
            .map(|entry| {
                let (offsets, said): (Vec<&str>, Vec<&str>) =
                    entry.lines().partition(|line| line.starts_with("Offset in WIM"));
                assert!(offsets.len() <= 2, "{entry}");
                let path = said.iter().find(|line| line.starts_with("Full Path")).unwrap_or(&"");
                ((*path).to_owned(), said.into_iter().map(str::to_owned).collect())
            })
            .collect()
    };
    let (left, right) = (entries(left), entries(right));
    assert!(left.len() > 200, "only {} entries", left.len());
    let paths: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    paths.into_iter().filter(|path| left.get(*path) != right.get(*path)).cloned().collect()
}

#[test]
fn a_step_that_fails_leaves_every_image_as_it_was() {
    if passed_over() {
        return;
    }
    let stage = Stage::new();
    let pristine = stage.hash("install.wim");
    fs::write(
        stage.path("steps.toml"),
        "image = \"install.wim:all\"\nsteps = [\"driver add drivers-that-are-missing\"]",
    )
    .unwrap();
    stage.run(&[]).refused(&["drivers-that-are-missing", "install.wim"]);
    assert_eq!(stage.hash("install.wim"), pristine);
    stage.recipe("image = \"install.wim:2\"");
    let dry = stage.run(&["--dry-run"]).ok();
    assert!(dry.stdout.contains("Contoso"), "{}", dry.stdout);
    assert_eq!(stage.hash("install.wim"), pristine);
    // In place, and the image of the command line wins.
    let image = format!("{}:4", stage.path("install.wim").display());
    stage.run(&["--image", &image]).ok();
    assert!(!listing(&stage.path("install.wim"), 2).contains("/FileRepository/second.inf_amd64"));
    assert!(listing(&stage.path("install.wim"), 4).contains("/FileRepository/second.inf_amd64"));
}

#[test]
fn a_locked_recipe_takes_no_other_inputs() {
    if passed_over() {
        return;
    }
    let stage = Stage::new();
    stage.recipe("image = \"install.wim:1\"\noutput = \"out.wim\"");
    let recipe = stage.path("steps.toml");
    let recipe = recipe.to_str().unwrap();
    stage.transom(&["--dry-run", "run", recipe, "--lock"]).refused(&["lock"]);
    let locked = stage.transom(&["--json", "run", recipe, "--lock"]).ok();
    let document: Value = serde_json::from_str(&locked.stdout).unwrap();
    let inputs = document["results"][0]["report"]["inputs"].as_object().unwrap().clone();
    // As sha256sum says.
    for (name, digest) in &inputs {
        let line = tool::run(Command::new("sha256sum").arg(stage.path(name))).unwrap();
        assert_eq!(line.split(' ').next(), digest.as_str(), "{name}");
    }
    for name in ["install.wim", "settings file.reg", "drivers/first/first.inf"] {
        assert!(inputs.contains_key(name), "{name} is not in {inputs:?}");
    }
    fs::remove_file(stage.path("out.wim")).unwrap();
    stage.run(&[]).ok();

    fs::remove_file(stage.path("out.wim")).unwrap();
    let inf = stage.path("drivers/first/first.inf");
    let kept = fs::read(&inf).unwrap();
    fs::write(&inf, [kept.as_slice(), b"; changed\r\n"].concat()).unwrap();
    fs::write(stage.path("drivers/new.txt"), "new").unwrap();
    stage.run(&[]).refused(&["drivers/first/first.inf changed", "drivers/new.txt is new", "--lock"]);
    assert!(!stage.path("out.wim").exists());
    fs::remove_file(stage.path("drivers/new.txt")).unwrap();
    fs::write(&inf, kept).unwrap();
    stage.run(&[]).ok();

    // What no source covers, the lock could not vouch for.
    fs::remove_file(stage.path("out.wim")).unwrap();
    let elsewhere = stage.path("install.wim");
    fs::write(
        stage.path("steps.toml"),
        format!("image = \"install.wim:1\"\nsteps = [['reg', 'import', '{}']]", elsewhere.display()),
    )
    .unwrap();
    stage.run(&[]).refused(&["step 1", "install.wim", "no source"]);
}

#[test]
fn recipes_that_make_no_sense_are_refused() {
    let stage = Stage::new();
    let write = |text: &str| fs::write(stage.path("steps.toml"), text).unwrap();
    let cases: [(&str, &[&str]); 10] = [
        ("steps = [", &["steps.toml"]),
        ("step = []", &["steps.toml", "step"]),
        ("image = \"install.wim:1\"\nsteps = []", &["no steps"]),
        ("steps = [\"driver list\"]", &["names no image", "--image"]),
        ("image = \"install.wim:1\"\nsteps = [\"driver lost\"]", &["step 1", "lost"]),
        (
            "image = \"install.wim:1\"\nsteps = [\"driver list\", \"image info install.wim\"]",
            &["step 2", "image"],
        ),
        ("image = \"install.wim:1\"\nsteps = [\"--json driver list\"]", &["step 1", "whole run"]),
        ("image = \"install.wim:1\"\nsteps = [\"driver add ${none}\"]", &["step 1", "none", "[sources]"]),
        ("image = \"install.wim:9\"\nsteps = [\"driver list\"]", &["9", "install.wim"]),
        (
            "image = \"install.wim:1\"\noutput = \"install.wim\"\nsteps = [\"driver list\"]",
            &["install.wim exists"],
        ),
    ];
    for (text, words) in cases {
        write(text);
        stage.run(&[]).refused(words);
    }
    stage.transom(&["run", "/nowhere.toml"]).refused(&["/nowhere.toml"]);
}
