// SPDX-License-Identifier: GPL-3.0-or-later
//! Runs every command of README.md against a sample image.

mod mount_support;

use std::path::Path;
use std::process::Command;

use transom_sample::drivers::{self, DriverSpec};
use transom_sample::{Sample, Spec, tool};

/// One `$` line of a `console` or `sh` block, with what is printed below it there.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    line: usize,
    command: String,
    output: Vec<String>,
}

fn commands(text: &str) -> Vec<Shown> {
    let mut shown: Vec<Shown> = Vec::new();
    let mut fence: Option<&str> = None;
    for (index, line) in text.lines().enumerate() {
        match (fence, line.strip_prefix("```")) {
            (None, Some(language)) => fence = Some(language),
            (Some(_), Some(_)) => fence = None,
            (Some("console" | "sh"), None) => match (line.strip_prefix("$ "), shown.last_mut()) {
                (Some(command), _) => {
                    shown.push(Shown { line: index + 1, command: command.into(), output: Vec::new() });
                }
                (None, Some(last)) => last.output.push(line.trim_end().into()),
                (None, None) => panic!("line {}: output before any command", index + 1),
            },
            _ => {}
        }
    }
    shown
}

/// That the shown lines stand in the output in this order; `...` stands for any lines.
fn check_output(shown: &Shown, found: &str) {
    let mut lines = found.lines().map(str::trim_end);
    let mut skipping = false;
    for expected in &shown.output {
        if expected == "..." {
            skipping = true;
            continue;
        }
        let met = if skipping {
            lines.any(|line| line == expected)
        } else {
            lines.next() == Some(expected.as_str())
        };
        assert!(met, "README.md:{}: {expected:?} is not there in\n{found}", shown.line);
        skipping = false;
    }
}

/// What README shows of the recipe that it runs.
const RECIPE: &str = r#"image = "install.wim:all"
output = "serviced.wim"
steps = [
    "driver add ${drivers} --recurse --force-unsigned",
    "/Get-Drivers",
]

[sources]
drivers = "demodisk"
"#;

/// A folder with what the commands name: an image file, a package, a recipe, and our names in front of PATH.
fn stage(folder: &Path) -> String {
    let sample = Sample::of(&Spec { images: 2, ..Spec::default() }).unwrap();
    sample.copy(&folder.join("install.wim")).unwrap();
    drivers::write_package(folder, &DriverSpec::default()).unwrap();
    std::fs::write(folder.join("steps.toml"), RECIPE).unwrap();
    let programs = folder.join("bin");
    std::fs::create_dir(&programs).unwrap();
    for name in ["transom", "dism"] {
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_transom"), programs.join(name)).unwrap();
    }
    format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default())
}

/// Takes away the mount of a run that ended before it did so itself.
struct Unmounted<'a>(&'a Path);

impl Drop for Unmounted<'_> {
    fn drop(&mut self) {
        if self.0.join("mnt/Windows").exists() {
            let mut command = Command::new(env!("CARGO_BIN_EXE_transom"));
            command.args(["unmount", "mnt", "--discard", "--detach"]).current_dir(self.0);
            let _ = command.env("XDG_STATE_HOME", self.0.join("state")).status();
        }
    }
}

#[test]
fn every_command_of_the_readme_works() {
    if tool::find("wimlib-imagex").is_none() {
        eprintln!("notice: passed over, wimlib-imagex is not installed");
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let path = stage(folder.path());
    let _unmounted = Unmounted(folder.path());
    let no_mounts = mount_support::obstacle();
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let shown = commands(&readme);
    assert!(shown.len() > 10, "only {} commands found", shown.len());
    for shown in shown {
        // The script is tried where it stands; its long commands would run this test again.
        let script = shown.command.starts_with("./x ");
        if script && shown.command != "./x demo" {
            let word = shown.command.split(' ').nth(1).unwrap();
            let help = std::fs::read_to_string(root.join("x")).unwrap();
            assert!(help.contains(&format!("\n./x {word} ")), "README.md:{}", shown.line);
            continue;
        }
        if let (Some(why), true) = (&no_mounts, shown.command.contains("mnt")) {
            eprintln!("notice: {why}: {} is passed over", shown.command);
            continue;
        }
        let output = Command::new("sh")
            .args(["-euc", &shown.command])
            .current_dir(if script { root } else { folder.path() })
            .env("PATH", &path)
            .env("XDG_STATE_HOME", folder.path().join("state"))
            .output()
            .unwrap();
        let found = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "README.md:{}: {}\n{found}{}",
            shown.line,
            shown.command,
            String::from_utf8_lossy(&output.stderr)
        );
        check_output(&shown, &found);
    }
}

#[test]
fn commands_and_their_output_are_found() {
    let text = "```console\n$ one\nfirst\n...\nlast\n$ two\n```\n```text\n$ three\n```\n";
    let found = commands(text);
    assert_eq!(
        found,
        [
            Shown {
                line: 2,
                command: "one".into(),
                output: vec!["first".into(), "...".into(), "last".into()]
            },
            Shown { line: 6, command: "two".into(), output: vec![] },
        ]
    );
    check_output(&found[0], "first\nmiddle\nlast\n");
    assert!(std::panic::catch_unwind(|| check_output(&found[0], "first\nmiddle\n")).is_err());
    assert!(std::panic::catch_unwind(|| check_output(&found[0], "other\nlast\n")).is_err());
}
