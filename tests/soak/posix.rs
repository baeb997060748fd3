// SPDX-License-Identifier: GPL-3.0-or-later
//! pjdfstest, the conformance tests of POSIX file systems, on a mount. What may fail is listed with the rule of NTFS
//! (or of a WIM) that it follows from; whatever else fails is a fault, and so is an item of the list that passes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::Effort;
use crate::mounts::Mounted;

/// The release of the Rust package that the list was made with.
const VERSION: &str = "0.2.2";

/// A case of pjdfstest by the end of its name, and why it cannot pass.
const EXPECTED: &[(&str, &str)] = &[
    ("::fifo", SPECIAL),
    ("::block", SPECIAL),
    ("::char", SPECIAL),
    ("::socket", SPECIAL),
    ("mkfifo::changed_time_fields_success", SPECIAL),
    ("mkfifo::permission_bits_from_mode", SPECIAL),
    ("mkfifo::uid_gid_eq_euid_egid", SPECIAL),
    ("mknod::changed_time_fields_success", SPECIAL),
    ("mknod::permission_bits_from_mode", SPECIAL),
    ("mknod::uid_gid_eq_euid_egid", SPECIAL),
    ("open::fifo_nonblock_wronly", SPECIAL),
    ("open::socket_error", SPECIAL),
    ("chmod::change_perm::regular", MODE),
    ("chmod::change_perm::dir", MODE),
    ("chmod::clear_isgid_bit", MODE),
    ("ftruncate::affected_create_flags_only", MODE),
    ("mkdir::permission_bits_from_mode", MODE),
    ("open::permission_bits_from_mode", MODE),
    ("posix_fallocate::affected_only_create_flags", MODE),
    ("rename::write_access_required_subdir", MODE),
    ("mkdir::uid_gid_eq_euid_egid", OWNER),
    ("open::uid_gid_eq_euid_egid", OWNER),
    ("rename::updates_link_parent", LINKS),
];

const SPECIAL: &str = "a WIM has files, directories and reparse points: no pipes, sockets and device nodes";
const MODE: &str = "NTFS keeps a security descriptor and READONLY, not the bits of a mode";
const OWNER: &str = "who owns a file is in its security descriptor, as a SID; Linux users have none";
const LINKS: &str = "a directory of NTFS has one link, however many directories are in it";

fn rule(case: &str) -> Option<&'static str> {
    EXPECTED.iter().find(|(end, _)| case.ends_with(end)).map(|(_, rule)| *rule)
}

/// Installs the program below the target directory, once.
fn program() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pjdfstest");
    let program = root.join("bin/pjdfstest");
    if !program.is_file() {
        let status = Command::new("cargo")
            .args(["install", "pjdfstest", "--version", VERSION, "--locked", "--quiet", "--root"])
            .arg(&root)
            .arg("--target-dir")
            .arg(root.join("build"))
            .status()?;
        ensure!(status.success(), "pjdfstest cannot be installed");
        // Only the program is needed from now on.
        fs::remove_dir_all(root.join("build"))?;
    }
    Ok(program)
}

pub(crate) fn run(_: Effort) -> Result<String> {
    if !rustix::process::geteuid().is_root() {
        return Ok("passed over: it changes users, and needs root for that".to_owned());
    }
    let program = program()?;
    let mounted = Mounted::plain(&["one"])?;
    let configuration = mounted.folder().join("pjdfstest.toml");
    let features = ["posix_fallocate", "rename_ctime", "utime_now", "utimensat"];
    let features: String = features.iter().map(|name| format!("{name} = {{}}\n")).collect();
    fs::write(
        &configuration,
        format!(
            "[features]\n{features}[settings]\nnaptime = 0.01\nallow_remount = false\n\
             [dummy_auth]\nentries = [[\"nobody\", \"nogroup\"], [\"daemon\", \"daemon\"]]\n"
        ),
    )?;
    let output = Command::new(program)
        .arg("-c")
        .arg(&configuration)
        .arg("-p")
        .arg(mounted.root())
        .env("RUST_BACKTRACE", "0")
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (mut passed, mut failed) = (0, BTreeSet::new());
    for line in text.lines() {
        let plain = strip_colours(line);
        let mut words = plain.split_whitespace();
        match (words.next(), words.next_back()) {
            (Some(case), Some("ok")) if case.contains("::") => {
                passed += 1;
                let listed = EXPECTED.iter().any(|(name, _)| *name == case);
                ensure!(!listed, "{case} passes now: take it off the list");
            }
            (Some(case), Some("FAILED")) if case.contains("::") => {
                failed.insert(case.to_owned());
            }
            _ => {}
        }
    }
    let faults: Vec<&String> = failed.iter().filter(|case| rule(case).is_none()).collect();
    if !faults.is_empty() {
        bail!("{faults:#?} failed\n{text}");
    }
    ensure!(passed > 150, "only {passed} cases passed:\n{text}{}", String::from_utf8_lossy(&output.stderr));
    mounted.end().context("after pjdfstest")?;
    Ok(format!("{passed} cases passed, {} failed by the rules of the list", failed.len()))
}

fn strip_colours(line: &str) -> String {
    let mut plain = String::new();
    let mut inside = false;
    for character in line.chars() {
        match character {
            '\u{1b}' => inside = true,
            'm' if inside => inside = false,
            _ if !inside => plain.push(character),
            _ => {}
        }
    }
    plain
}
