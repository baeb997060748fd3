// SPDX-License-Identifier: GPL-3.0-or-later
//! Random journals: the test of the overlay against its model, with very many cases.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::Effort;

/// How the test is told the number of its cases.
const CASES: &str = "PROPTEST_CASES";
const TEST: &str = "random_sequences_equal_the_model_and_every_prefix_replays";

pub(crate) fn run(effort: Effort) -> Result<String> {
    let cases = effort.choose("24", "1000");
    ensure!(include_str!("../overlay_model.rs").contains(CASES), "the test does not listen to {CASES}");
    let program = std::env::current_exe()?;
    // <target>/<profile>/deps/<this>: the test is built by the profile that built this.
    let profile = program.ancestors().nth(2).and_then(|path| path.file_name()).context("no profile")?;
    let profile = if profile == "debug" { "dev".as_ref() } else { profile };
    let output = Command::new(env!("CARGO"))
        .args(["test", "--quiet", "--test", "overlay_model", "--profile"])
        .arg(profile)
        .args(["--", TEST])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env(CASES, cases)
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    ensure!(text.contains("1 passed"), "the test {TEST} did not run:\n{text}");
    Ok(format!("{cases} random journals: every prefix replays to the model"))
}
