// SPDX-License-Identifier: GPL-3.0-or-later
//! The INF lexer against Wine 8's setupapi: sections, keys and fields of 756 real INFs after
//! substitution, and the same refusals.
//!
//! Known limits of the peer, taken out on both sides: Wine cuts keys and fields at 511 units,
//! expands five directory ids to its own paths (13 to a made-up one), and keeps a CR that stands
//! at the end of an unterminated quoted text.

mod inf_corpus;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use transom::base::{Arch, Code};
use transom::inf::{Inf, Strings};

const FIELD: usize = 511;

fn cut(text: &str) -> String {
    let units: Vec<u16> = text.encode_utf16().take(FIELD).collect();
    String::from_utf16_lossy(&units)
}

/// Wine's directory ids, where 1 is the folder of the INF itself (`Z:` and a path of its own).
fn directory(dirid: u32) -> Option<String> {
    let path = match dirid {
        1 => "(source)",
        10 => r"C:\windows",
        11 => r"C:\windows\system32",
        12 => r"C:\windows\system32\drivers",
        13 => r"C:\windows\system32\unknown",
        _ => return None,
    };
    Some(path.to_owned())
}

fn normalize_peer(text: &str, folder: &str) -> String {
    let text = if text.starts_with("Z:\\") { text.replacen(folder, "(source)", 1) } else { text.to_owned() };
    text.strip_suffix('\r').unwrap_or(&text).to_owned()
}

fn ours(inf: &Inf) -> Vec<(String, Vec<Vec<Option<String>>>)> {
    let strings: Strings<'_> = inf.strings(0);
    inf.sections()
        .map(|section| {
            let lines = section.lines().map(|line| {
                let expand = |text| cut(&strings.expand(text, line.number(), &directory).unwrap());
                let key = line.key().map(expand);
                std::iter::once(key).chain(line.fields().map(|field| Some(expand(field)))).collect()
            });
            (section.name().to_owned(), lines.collect())
        })
        .collect()
}

/// The folder that Wine put for directory id 1: what stands before the file name of a source.
fn source_folder(sections: &Value) -> String {
    let mut found = Vec::new();
    collect(sections, &mut found);
    let Some(path) = found.first() else { return String::new() };
    path.rsplit_once('\\').map(|(folder, _)| folder.to_owned()).unwrap_or_default()
}

fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) if text.starts_with("Z:\\") => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        _ => {}
    }
}

/// The INFs in a folder of their own; nothing where they or `tar` are missing.
fn unpacked() -> Option<(PathBuf, TempDir)> {
    let corpus = inf_corpus::corpus("drivers")?;
    let folder = tempfile::tempdir().unwrap();
    let mut tar = Command::new("tar");
    tar.arg("-xJf").arg(corpus.join("inf/torture_infs.tar.xz")).arg("-C").arg(folder.path());
    let output = inf_corpus::output_of(&mut tar)?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some((corpus, folder))
}

fn all_files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    walkdir::WalkDir::new(folder)
        .sort_by_file_name()
        .into_iter()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| (entry.path().to_owned(), std::fs::read(entry.path()).unwrap()))
        .collect()
}

/// Every INF is judged for every architecture; what is refused lacks a destination. Eight do:
/// seven templates whose destination a build puts in, and one that forgot a list.
#[test]
fn all_infs_are_judged_in_time() {
    let Some((_, folder)) = unpacked() else { return };
    let files = all_files(folder.path());
    let start = Instant::now();
    let infs: Vec<(&Path, Inf)> =
        files.iter().filter_map(|(path, bytes)| Some((path.as_path(), Inf::parse(bytes).ok()?))).collect();
    for (_, inf) in &infs {
        let _judged = inf.package(&inf_corpus::target(Arch::Arm, "10.0.22621"));
    }
    let taken = start.elapsed();
    eprintln!("{} INFs read and judged in {taken:?}", files.len());
    // 1,000 in half a second; without optimization it takes several times as long.
    let most = Duration::from_millis(files.len() as u64 / 2) * if cfg!(debug_assertions) { 10 } else { 1 };
    assert!(taken < most, "{taken:?} is more than {most:?}");

    let mut refused = BTreeSet::new();
    let mut devices = 0;
    for (path, inf) in &infs {
        for arch in [Arch::X86, Arch::Amd64, Arch::Arm, Arch::Arm64] {
            match inf.package(&inf_corpus::target(arch, "10.0.22621")) {
                Ok(plan) => devices += plan.devices.len(),
                Err(error) => {
                    assert_eq!(error.code(), Code(0xE000_0102), "{}: {error}", path.display());
                    refused.insert(path);
                }
            }
        }
    }
    assert_eq!((infs.len(), refused.len(), devices), (743, 8, 959));
}

/// Real INFs with a few bytes changed are read or refused, whatever they say.
#[test]
fn damaged_infs_do_no_harm() {
    let Some((_, folder)) = unpacked() else { return };
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as usize
    };
    let specials = b"[]=,;\"\\%\n\0\x1A.";
    for (_, bytes) in all_files(folder.path()).iter().step_by(5) {
        for _ in 0..4 {
            let mut changed = bytes.clone();
            for _ in 0..8 {
                let at = random() % changed.len().max(1);
                if let Some(byte) = changed.get_mut(at) {
                    *byte = specials[random() % specials.len()];
                }
            }
            changed.truncate(random() % (changed.len() + 1) + changed.len() / 2);
            if let Ok(inf) = Inf::parse(&changed) {
                let _judged = inf.package(&inf_corpus::target(Arch::Amd64, "10.0.22621"));
            }
        }
    }
}

#[test]
fn all_infs_read_as_wine_reads_them() {
    let Some((corpus, folder)) = unpacked() else { return };
    let mut xz = Command::new("xz");
    xz.arg("-dc").arg(corpus.join("expected/wine8_setupapi_oracle.jsonl.xz"));
    let Some(oracle) = inf_corpus::output_of(&mut xz) else { return };
    assert!(oracle.status.success());

    let mut wrong: BTreeMap<String, String> = BTreeMap::new();
    let (mut read, mut refused) = (0, 0);
    for line in String::from_utf8(oracle.stdout).unwrap().lines() {
        let expected: Value = serde_json::from_str(line).unwrap();
        let file = expected["file"].as_str().unwrap();
        match compare(folder.path(), file, &expected) {
            Ok(true) => read += 1,
            Ok(false) => refused += 1,
            Err(difference) => {
                wrong.insert(file.to_owned(), difference);
            }
        }
    }
    assert!(wrong.is_empty(), "{} files differ: {wrong:#?}", wrong.len());
    assert_eq!((read, refused), (743, 13));
}

/// Whether the file is read (or refused) alike.
fn compare(folder: &Path, file: &str, expected: &Value) -> Result<bool, String> {
    let bytes = std::fs::read(folder.join(file)).map_err(|error| error.to_string())?;
    let result = Inf::parse(&bytes);
    if let Some(code) = expected["error"].as_str() {
        let error = result.err().ok_or("not refused")?;
        let line = expected["line"].as_u64().unwrap();
        let same_line = match line {
            0 => !error.message().starts_with("line "),
            line => error.message().starts_with(&format!("line {line}: ")),
        };
        let same = same_line && error.code().to_string() == code;
        return if same { Ok(false) } else { Err(format!("{error:?}, wanted {code} in line {line}")) };
    }
    let inf = result.map_err(|error| format!("refused: {error:?}"))?;
    let source = source_folder(&expected["sections"]);
    let text = |value: &Value| value.as_str().map(|text| normalize_peer(text, &source));
    let expected: Vec<(String, Vec<Vec<Option<String>>>)> = expected["sections"]
        .as_array()
        .unwrap()
        .iter()
        .map(|section| {
            let lines = section[1].as_array().unwrap().iter();
            let lines = lines.map(|line| line.as_array().unwrap().iter().map(text).collect());
            (section[0].as_str().unwrap().to_owned(), lines.collect())
        })
        .collect();
    let found = ours(&inf);
    if found == expected {
        return Ok(true);
    }
    for (ours, wine) in found.iter().zip(&expected) {
        if ours.0 != wine.0 {
            return Err(format!("section {:?}, wine has {:?}", ours.0, wine.0));
        }
        for (our_line, wine_line) in ours.1.iter().zip(&wine.1) {
            if our_line != wine_line {
                return Err(format!("[{}] {our_line:?}, wine has {wine_line:?}", ours.0));
            }
        }
        if ours.1.len() != wine.1.len() {
            return Err(format!("[{}] has {} lines, wine has {}", ours.0, ours.1.len(), wine.1.len()));
        }
    }
    Err(format!("{} sections, wine has {}", found.len(), expected.len()))
}
