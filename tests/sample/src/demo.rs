// SPDX-License-Identifier: GPL-3.0-or-later
//! The demonstration: one driver goes into an image, with no mount, and another program says so too.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use transom_sample::drivers::{self, DriverSpec};
use transom_sample::{Sample, Spec, tool};

const WIM: &str = "sample.wim";
const PACKAGE: &str = "demodisk";
/// Every line of the output is shown.
const ALL: usize = usize::MAX;
const STORE: &str = "/Windows/System32/DriverStore/FileRepository";

/// Shows everything, step by step; fails when a step does.
pub(crate) fn run() -> Result<()> {
    let begin = Instant::now();
    let stage = Stage::new()?;

    step("1. A sample image: one Windows 11, written by wimlib-imagex from an NTFS volume");
    let sample = Sample::of(&Spec { files: 1200, ..Spec::default() })?;
    sample.copy(&stage.folder.join(WIM))?;
    let package =
        drivers::write_package(&stage.folder, &DriverSpec { name: PACKAGE, ..DriverSpec::default() })?;
    let length = std::fs::metadata(stage.folder.join(WIM))?.len();
    println!("   {WIM}: {} files, {:.1} MB", sample.spec.files, length as f64 / 1e6);
    println!("   {PACKAGE}/: a storage driver that Windows would need to boot; nobody signed it");
    ensure!(package.is_file());

    step("2. What is in the image?");
    let image = format!("{WIM}:1");
    stage.transom(&["image", "info", &image], ALL)?;
    stage.transom(&["--image", &image, "driver", "list"], ALL)?;

    step("3. What would adding the driver change? A dry run says it and writes nothing");
    let before = stage.digest()?;
    let add = ["driver", "add", PACKAGE, "--force-unsigned"];
    stage.transom(&[&["--image", &image, "--dry-run"], &add[..]].concat(), 30)?;
    ensure!(stage.digest()? == before, "the dry run changed {WIM}");
    println!("   ({WIM} is byte for byte as it was)");

    step("4. Add it: one command, no mount, no root, nothing unpacked");
    let added = Instant::now();
    stage.transom(&[&["--image", &image], &add[..]].concat(), ALL)?;
    let grown = std::fs::metadata(stage.folder.join(WIM))?.len() - length;
    println!("   {} ms; the file grew by {grown} bytes", added.elapsed().as_millis());

    step("5. It is there");
    let listed = stage.transom(&["--image", &image, "driver", "list"], ALL)?;
    ensure!(listed.contains(&format!("{PACKAGE}.inf")), "the driver is not listed");

    step("6. wimlib-imagex, which knows nothing of us, says the same");
    stage.peer("wimlib-imagex", &["verify", WIM], &|line| line.contains("verified"))?;
    let listed = stage.peer("wimlib-imagex", &["dir", WIM, "1", &format!("--path={STORE}")], &|line| {
        line.contains(PACKAGE)
    })?;
    for name in [format!("{PACKAGE}.inf"), format!("{PACKAGE}.sys")] {
        ensure!(listed.lines().any(|line| line.ends_with(&name)), "{name} is not in the driver store");
    }
    stage.peer("wimlib-imagex", &["dir", WIM, "1", "--path=/Windows/System32/drivers"], &|line| {
        line.contains(PACKAGE)
    })?;

    println!("\nDone in {:.1} s. Everything is in {}", begin.elapsed().as_secs_f64(), stage.folder.display());
    Ok(())
}

fn step(title: &str) {
    println!("\n{}", styled("1", title));
}

/// Bold or faint on a terminal, plain elsewhere.
fn styled(style: &str, text: &str) -> String {
    if std::io::stdout().is_terminal() { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
}

/// The folder where all happens, and the program that is shown.
struct Stage {
    folder: PathBuf,
    transom: PathBuf,
}

impl Stage {
    fn new() -> Result<Self> {
        let programs = std::env::current_exe()?;
        let programs = programs.parent().context("a program lies in a folder")?;
        let transom = programs.join("transom");
        ensure!(transom.is_file(), "{} is not built; ./x demo builds it", transom.display());
        let folder = programs.parent().unwrap_or(programs).join("demo");
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
        Ok(Self { folder, transom })
    }

    /// Runs our program, showing the command line and the first lines that it prints.
    fn transom(&self, arguments: &[&str], most: usize) -> Result<String> {
        show_command("transom", arguments);
        let mut command = Command::new(&self.transom);
        command.args(arguments).current_dir(&self.folder);
        // The log of a demonstration does not belong among the user's.
        command.env("XDG_STATE_HOME", self.folder.join("state"));
        finish("transom", &command.output()?, &|_| true, most)
    }

    /// Runs another program, showing the lines that matter.
    fn peer(&self, name: &str, arguments: &[&str], shown: &dyn Fn(&str) -> bool) -> Result<String> {
        show_command(name, arguments);
        let output = tool::command(name)?.args(arguments).current_dir(&self.folder).output()?;
        finish(name, &output, shown, ALL)
    }

    fn digest(&self) -> Result<Vec<u8>> {
        use sha2::Digest;
        Ok(sha2::Sha256::digest(std::fs::read(Path::new(&self.folder).join(WIM))?).to_vec())
    }
}

fn show_command(name: &str, arguments: &[&str]) {
    let words: Vec<String> = arguments
        .iter()
        .map(|word| if word.contains(' ') { format!("'{word}'") } else { (*word).to_owned() })
        .collect();
    println!("{} {name} {}", styled("2", "$"), words.join(" "));
}

fn finish(name: &str, output: &Output, shown: &dyn Fn(&str) -> bool, most: usize) -> Result<String> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("{name} failed ({}): {}{}", output.status, text, said.trim_end());
    }
    let lines: Vec<&str> = text.lines().chain(said.lines()).filter(|line| shown(line)).collect();
    for line in lines.iter().take(most) {
        println!("   {}", shortened(line));
    }
    if lines.len() > most {
        println!("   ... and {} lines more", lines.len() - most);
    }
    Ok(text)
}

/// Long registry paths, so that they stay on one line of a terminal.
fn shortened(line: &str) -> String {
    const WIDTH: usize = 150;
    if line.chars().count() <= WIDTH {
        return line.to_owned();
    }
    line.chars().take(WIDTH - 3).chain("...".chars()).collect()
}
