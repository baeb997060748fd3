// SPDX-License-Identifier: GPL-3.0-or-later
//! Damaged inputs from good ones, by a seeded stream of numbers: a case is named by its number and
//! can be made again.
//!
//! Checksums that guard a format's inside are put right again after most mutations, else nearly
//! every case would end at the checksum.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use sha1::{Digest, Sha1};
use transom::base::{FileAttributes, FileTime, NodeKind, StreamKind, WinName, name};
use transom::digest::crc32;
use transom::hive::{Hive, OpenOptions, Value, default_root_security};
use transom::io::{FixedClock, ReadAt, Scratch};
use transom::volume::{NewData, Overlay, Volume};

use crate::content::{Content, ProgramKind};
use crate::drivers::inbox_packages;
use crate::parsers::{join_hive, journal_base, split_hive};
use crate::plan::Plan;
use crate::random::Random;
use crate::spec::{Compression, Spec};
use crate::{corpus, hive_log, security, tool, wim};

/// The good inputs of a parser.
#[derive(Clone, Debug, Default)]
pub struct Seeds {
    /// Made here.
    pub made: Vec<Vec<u8>>,
    /// From the corpus, whose bytes may not enter the repository.
    pub corpus: Vec<Vec<u8>>,
}

impl Seeds {
    /// Whether there is none at all.
    pub fn is_empty(&self) -> bool {
        self.made.is_empty() && self.corpus.is_empty()
    }

    /// The inputs that the case of a number is made from: by turns these and those.
    fn pool(&self, number: u64) -> &[Vec<u8>] {
        if self.is_made(number) { &self.made } else { &self.corpus }
    }

    /// Whether the case of a number holds only bytes that were made here.
    pub fn is_made(&self, number: u64) -> bool {
        self.corpus.is_empty() || (!self.made.is_empty() && number.is_multiple_of(2))
    }
}

/// The good inputs of a parser: made here, and from the corpus where it is.
///
/// # Errors
/// When they cannot be made.
pub fn seeds(parser: &str, scratch: &Path) -> Result<Seeds> {
    let made = match parser {
        "wim" => small_wims(scratch)?,
        "hive" => {
            let mut made = hives_with_logs()?;
            made.extend(crate::hives::make_small()?.iter().map(|bytes| join_hive(bytes, [&[], &[]])));
            made
        }
        "reg_text" => REG_TEXTS.iter().flat_map(|text| in_encodings(text)).collect(),
        "inf" => inbox_packages(8, transom::base::Arch::Amd64, 26100, 1)
            .into_iter()
            .map(|package| package.text.into_bytes())
            .collect(),
        "pe" => [transom::base::Arch::X86, transom::base::Arch::Arm64]
            .map(|arch| Content::Program { arch, kind: ProgramKind::Native, seed: 1, length: 3000 }.bytes())
            .into(),
        "journal" => vec![small_journal(scratch)?],
        _ => Vec::new(),
    };
    let mut seeds = Seeds { made, corpus: Vec::new() };
    if let Some(corpus) = corpus() {
        from_corpus(parser, &corpus, &mut seeds.corpus)?;
    }
    for pool in [&mut seeds.made, &mut seeds.corpus] {
        pool.retain(|seed| !seed.is_empty() && seed.len() <= 1 << 20);
    }
    Ok(seeds)
}

fn from_corpus(parser: &str, corpus: &Path, seeds: &mut Vec<Vec<u8>>) -> Result<()> {
    let (folder, extensions): (_, &[&str]) = match parser {
        "wim" => (corpus.join("wim"), &["wim", "esd"]),
        "hive" => (corpus.join("hive"), &["xz", ""]),
        "inf" => (corpus.join("drivers"), &["inf", "inx"]),
        "catalog" => (corpus.to_owned(), &["cat"]),
        "pe" => (corpus.join("drivers/packages"), &["sys", "exe"]),
        _ => return Ok(()),
    };
    let mut paths: Vec<_> = walkdir::WalkDir::new(folder)
        .into_iter()
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file())
        .map(walkdir::DirEntry::into_path)
        .filter(|path| extensions.contains(&path.extension().and_then(|word| word.to_str()).unwrap_or("")))
        .collect();
    paths.sort();
    let mut logs = Vec::new();
    for path in paths {
        if path.metadata()?.len() > 1 << 20 {
            continue;
        }
        let bytes = if path.extension().is_some_and(|extension| extension == "xz") {
            tool::command("xz")?.args(["-dc"]).arg(&path).output()?.stdout
        } else {
            std::fs::read(&path)?
        };
        match parser {
            "hive" if path.to_string_lossy().contains(".LOG") => logs.push(bytes),
            "hive" => {
                // Logs sort behind their hive, so they join the one before.
                if let (Some(last), [first, rest @ ..]) = (seeds.last_mut(), logs.as_slice()) {
                    let primary = split_hive(last).0.to_vec();
                    *last = join_hive(&primary, [first, rest.first().map_or(&[], Vec::as_slice)]);
                }
                logs.clear();
                seeds.push(join_hive(&bytes, [&[], &[]]));
            }
            _ => seeds.push(bytes),
        }
    }
    Ok(())
}

/// Small dirty hives with logs of both formats that complete them.
fn hives_with_logs() -> Result<Vec<Vec<u8>>> {
    let mut made = Vec::new();
    for minor in [3, 5, 6] {
        let states = hive_states(minor, 5)?;
        let dirty = hive_log::made_dirty(&states[0]);
        let whole = hive_log::new_log(&states);
        let (first, second) = (hive_log::new_log(&states[..3]), hive_log::new_log(&states[2..]));
        made.push(join_hive(&dirty, [&whole, &[]]));
        made.push(join_hive(&dirty, [&second, &first]));
        made.push(join_hive(&dirty, [&hive_log::old_log(&states[0], &states[4]), &[]]));
    }
    Ok(made)
}

/// A small hive after each of a few edits, each state saved.
///
/// # Errors
/// When our own hive code refuses.
pub fn hive_states(minor: u32, count: usize) -> Result<Vec<Vec<u8>>> {
    let now = FileTime(133_564_032_000_000_000);
    let mut hive = Hive::create("ROOT", minor, &default_root_security(), now)?;
    let key = hive.create_path(hive.root(), "Key\\Below \u{3B1}", now)?;
    hive.set_class(key, b"c\0l\0", now)?;
    hive.set_value(key, &Value::multi_sz("several", &["a", "b"]), now)?;
    let mut states = vec![hive.to_bytes()?];
    while states.len() < count {
        let number = states.len();
        let source: Arc<dyn ReadAt> = Arc::new(states[number - 1].clone());
        let mut hive = Hive::open(source, OpenOptions::default())?;
        let name = format!("value {number}");
        hive.set_value(key, &Value::sz(&name, "text of this state"), now)?;
        hive.create_path(key, &format!("new {number}"), now)?;
        match number % 3 {
            0 => hive.set_value(hive.root(), &Value::binary("long", vec![number as u8; 40_000]), now)?,
            1 => hive.set_security(key, &security::descriptor(security::PROFILE), now)?,
            _ => drop(hive.delete_value(key, &name::units("several"), now)?),
        }
        states.push(hive.to_bytes()?);
    }
    Ok(states)
}

const REG_TEXTS: &[&str] = &[
    "Windows Registry Editor Version 5.00\r\n\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\A\\B]\r\n@=\"text\"\r\n\
     \"a\\\\b\\\"c\"=\"x\\\\y\"\r\n\"n\"=dword:0000000a\r\n\"h\"=hex:01,02,\\\r\n  03,04\r\n\
     \"m\"=hex(7):61,00,00,00,00,00\r\n\"q\"=hex(b):01,00,00,00,00,00,00,00\r\n\"gone\"=-\r\n\
     \"p\"=hex(ffff0012):61,00\r\n; a comment\r\n\r\n[-HKEY_LOCAL_MACHINE\\SOFTWARE\\A\\C]\r\n",
    "REGEDIT4\r\n\r\n[HKEY_CURRENT_USER\\Control Panel]\r\n\"e\"=hex(2):25,61,25,00\r\n\
     \"\u{E9}\"=\"\u{FC}\"\r\n\"s\"=hex(1):00\r\n\"z\"=hex(0):\r\n\r\n",
    "Windows Registry Editor Version 5.00\n\n[HKLM\\SYSTEM\\CurrentControlSet\\Services\\\u{3B1}]\n\
     \"Start\"=dword:3\n\"\u{10410}\"=\"\u{10410}\"\n",
];

/// A text in UTF-8, in UTF-16 with its mark, and in a code page.
fn in_encodings(text: &str) -> Vec<Vec<u8>> {
    let wide = [0xFEFF].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let narrow = text.chars().map(|letter| u8::try_from(u32::from(letter)).unwrap_or(b'?')).collect();
    vec![text.as_bytes().to_vec(), wide, narrow]
}

/// The journal of a few operations of every kind.
fn small_journal(scratch: &Path) -> Result<Vec<u8>> {
    let folder = scratch.join("journal-seed");
    std::fs::create_dir_all(&folder)?;
    let base = journal_base();
    let clock = Arc::new(FixedClock(FileTime(1)));
    let overlay = Overlay::new(base, Scratch::at(&folder), clock)?;
    let root = overlay.root();
    let directory = overlay.create(root, &WinName::from("new directory"), NodeKind::Directory)?;
    let file = overlay.create(directory, &WinName::from("new.txt"), NodeKind::File)?;
    overlay.write(file, StreamKind::Data, &[], 40_000, b"text")?;
    overlay.link(file, root, &WinName::from("second name.txt"))?;
    let savepoint = overlay.savepoint()?;
    overlay.truncate(file, StreamKind::Data, &[], 10)?;
    overlay.rename(directory, &name::units("new.txt"), root, &WinName::from("moved.txt"))?;
    overlay.commit_savepoint(savepoint)?;
    let savepoint = overlay.savepoint()?;
    overlay.remove(root, &name::units("moved.txt"))?;
    overlay.rollback(savepoint)?;
    overlay.set_attributes(file, FileAttributes::HIDDEN)?;
    overlay.set_security(file, Some(&security::descriptor(security::PROFILE)))?;
    overlay.set_short_name(root, &name::units("moved.txt"), Some(&WinName::from("MOVED~1.TXT")))?;
    overlay.supersede(root, &WinName::from("moved.txt"), NewData::Bytes(vec![1; 70_000]))?;
    overlay.remove_tree(root, &name::units("b"))?;
    let bytes = std::fs::read(folder.join("journal"))?;
    drop(overlay);
    std::fs::remove_dir_all(&folder)?;
    Ok(bytes)
}

/// Very small WIMs, of every compression, with streams, links and reparse points.
fn small_wims(scratch: &Path) -> Result<Vec<Vec<u8>>> {
    let mut plan = Plan::new();
    let text = |text: &str| Content::text(text);
    plan.file("a/one.txt", text("one"), security::STORE_FILE);
    let number = plan.file("a/two.dll", Content::Data { seed: 1, length: 40_000 }, security::STORE_FILE);
    plan.link("b/two.dll", number);
    let number = plan.file("b/named.txt", text("main"), security::PROFILE);
    plan.entry(number).streams.push(("extra".into(), b"a named stream".to_vec()));
    plan.entry(number).short_name = Some("NAMED~1.TXT".into());
    plan.entry(number).object_id = Some([7; 16]);
    plan.reparse("b/junction", crate::plan::Kind::Junction("C:\\a".into()));
    plan.file("c/empty", text(""), security::PROFILE);
    let mut seeds = Vec::new();
    for compression in Compression::ALL {
        let target = scratch.join(format!("seed-{}.wim", compression.as_str()));
        let spec = Spec { compression, integrity: compression == Compression::None, ..Spec::default() };
        wim::make_small(&spec, &plan, &target, scratch)?;
        seeds.push(std::fs::read(&target)?);
        std::fs::remove_file(&target)?;
    }
    Ok(seeds)
}

/// The case of this number: a good input, damaged.
pub fn case(parser: &str, seeds: &Seeds, seed: u64, number: u64) -> Vec<u8> {
    let seeds = seeds.pool(number);
    let mut random = Random::of(seed, &format!("{parser} {number}"));
    let mut bytes = random.pick(seeds).clone();
    for _ in 0..=random.below(6) {
        damage(&mut bytes, seeds, &mut random);
    }
    if !random.one_in(5) {
        match parser {
            "wim" => repair_wim(&mut bytes),
            "hive" => repair_hive(&mut bytes),
            "journal" => repair_journal(&mut bytes),
            _ => {}
        }
    }
    bytes
}

/// Numbers that parsers trip over.
const NUMBERS: &[u64] = &[
    0,
    1,
    2,
    7,
    8,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x7FFF_FFFF,
    0x8000_0000,
    0xFFFF_FFFF,
    u64::MAX,
];

fn damage(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Random) {
    let length = bytes.len() as u64;
    if length == 0 {
        bytes.push(random.bits() as u8);
        return;
    }
    // Headers and tables at the beginning get more than their share.
    let position =
        if random.one_in(3) { random.below(length.min(512)) } else { random.below(length) } as usize;
    let room = bytes.len() - position;
    let some = |random: &mut Random| (1 + random.below(64)).min(room as u64) as usize;
    match random.below(9) {
        0 => bytes[position] ^= 1 << random.below(8),
        1 => bytes[position] = random.bits() as u8,
        2..=4 => {
            let width = (*random.pick(&[2, 4, 8])).min(room);
            let number = match random.below(4) {
                0 => length.wrapping_add(random.below(16)).wrapping_sub(8),
                1 => (position as u64).wrapping_sub(random.below(8192)),
                _ => *random.pick(NUMBERS),
            };
            bytes[position..position + width].copy_from_slice(&number.to_le_bytes()[..width]);
        }
        5 => bytes.truncate(position),
        6 => {
            let count = some(random);
            bytes.drain(position..position + count);
        }
        7 => {
            let from = random.below(length) as usize;
            let count = some(random).min(bytes.len() - from);
            let copy = bytes[from..from + count].to_vec();
            bytes.splice(position..position, copy);
        }
        _ => {
            let other = random.pick(seeds);
            let from = random.below(other.len() as u64) as usize;
            let count = some(random).min(other.len() - from);
            bytes[position..position + count].copy_from_slice(&other[from..from + count]);
        }
    }
}

fn number(bytes: &[u8], offset: usize, width: usize) -> Option<u64> {
    let mut number = [0; 8];
    number[..width].copy_from_slice(bytes.get(offset..offset.checked_add(width)?)?);
    Some(u64::from_le_bytes(number))
}

/// Writes the right SHA-1 beside every metadata resource that is stored uncompressed.
fn repair_wim(bytes: &mut [u8]) {
    let (Some(size), Some(table)) = (number(bytes, 0x30, 7), number(bytes, 0x38, 8)) else { return };
    let entries = (size / 50).min(1000);
    for entry in 0..entries {
        let Some(at) = table.checked_add(entry * 50).and_then(|at| usize::try_from(at).ok()) else { return };
        let (Some(length), Some(flags), Some(offset)) = (
            number(bytes, at, 7),
            number(bytes, at.saturating_add(7), 1),
            number(bytes, at.saturating_add(8), 8),
        ) else {
            return;
        };
        let range = usize::try_from(offset).ok().zip(usize::try_from(length).ok());
        let data = range.and_then(|(start, length)| bytes.get(start..start.checked_add(length)?));
        if flags & 0x06 == 0x02
            && let Some(data) = data
        {
            let hash = Sha1::digest(data);
            if let Some(place) = bytes.get_mut(at + 30..at + 50) {
                place.copy_from_slice(&hash);
            }
        }
    }
}

/// Writes the right CRC beside the header and every record of a journal.
fn repair_journal(bytes: &mut [u8]) {
    let Some(identity) = number(bytes, 16, 4) else { return };
    let mut at = 20 + identity as usize;
    if let Some(place) = bytes.get(..at).map(crc32).zip(bytes.get_mut(at..at + 4)) {
        place.1.copy_from_slice(&place.0.to_le_bytes());
    }
    at += 4;
    while let Some(length) = number(bytes, at, 4) {
        let start = at + 8;
        let Some(sum) = bytes.get(start..start + length as usize).map(crc32) else { return };
        bytes[at + 4..at + 8].copy_from_slice(&sum.to_le_bytes());
        at = start + length as usize;
    }
}

/// Writes the right checksum into the base blocks of primary and logs, and the right hashes into
/// the entries of these.
pub fn repair_hive(bytes: &mut [u8]) {
    let (primary, logs) = split_hive(bytes);
    let lengths = [primary.len(), logs[0].len(), logs[1].len()];
    let mut start = bytes.len() - lengths.iter().sum::<usize>();
    for (part, length) in lengths.into_iter().enumerate() {
        let Some(file) = bytes.get_mut(start..start + length) else { return };
        if let Some(block) = file.get_mut(..512) {
            hive_log::seal(block);
        }
        if part > 0 {
            hive_log::rehash(file);
        }
        start += length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_can_be_made_again() {
        let seeds = Seeds { made: vec![vec![1; 2000], vec![2; 100]], corpus: vec![vec![3; 500]] };
        let cases: Vec<_> = (0..200).map(|number| case("inf", &seeds, 9, number)).collect();
        assert_eq!(cases, (0..200).map(|number| case("inf", &seeds, 9, number)).collect::<Vec<_>>());
        let good = |case: &&Vec<u8>| seeds.made.contains(case) || seeds.corpus.contains(case);
        assert!(cases.iter().filter(good).count() < 20);
        let foreign = |case: &Vec<u8>| case.iter().filter(|&&byte| byte == 3).count() > 100;
        assert!(cases.iter().step_by(2).all(|case| !foreign(case)), "made cases hold bytes of the corpus");
    }

    #[test]
    fn repaired_hives_have_the_right_checksum() {
        let mut bytes = join_hive(&[0; 600], [&[3; 512], &[]]);
        repair_hive(&mut bytes);
        let (primary, logs) = split_hive(&bytes);
        assert_eq!(primary[508..512], [1, 0, 0, 0]);
        assert_eq!(logs[0][508..512], [3, 3, 3, 3]);
    }

    #[test]
    fn repaired_wims_have_the_right_hash() {
        let mut bytes = vec![0; 400];
        bytes[0x30] = 50;
        bytes[0x38..0x3A].copy_from_slice(&[0x2C, 1]);
        bytes[300] = 3;
        bytes[307] = 2;
        bytes[308] = 208;
        repair_wim(&mut bytes);
        assert_eq!(bytes[330..350], Sha1::digest([0; 3])[..]);
    }
}
