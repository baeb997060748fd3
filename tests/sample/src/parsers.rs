// SPDX-License-Identifier: GPL-3.0-or-later
//! Every parser of the project behind one kind of call, for the fuzzers: bytes in, nothing out; an
//! error is fine, a panic is not.
//!
//! `fuzz/` drives these with libFuzzer, `./x soak` with the mutations of [`crate::mutation`], and a
//! test replays the inputs that once broke something.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use transom::base::{
    Arch, BlobHash, FileTime, NodeId, NodeKind, StreamKind, Version, WinName, WinPath, name,
};
use transom::catalog::{Catalog, TrustStore};
use transom::hive::{Applied, Hive, KeyId, OpenOptions, RegText, Value, default_root_security};
use transom::inf::{Inf, PackageOptions, Target as InfTarget};
use transom::io::{Cancel, FixedClock, NoProgress, Pool, ReadAt, Scratch, read_vec};
use transom::volume::memory::MemoryVolume;
use transom::volume::{Overlay, Volume};
use transom::wim::{ImageIndex, Wim};
use transom::{catalog, pe};

/// A parser that takes bytes from outside.
#[derive(Clone, Copy, Debug)]
pub struct Parser {
    /// The name of the fuzz target and of the folder with its inputs.
    pub name: &'static str,
    /// Parses, then uses all that was parsed. The folder is scratch space.
    pub run: fn(&[u8], &Path),
}

/// All of them.
pub const ALL: &[Parser] = &[
    Parser { name: "wim", run: wim },
    Parser { name: "hive", run: hive },
    Parser { name: "reg_text", run: reg_text },
    Parser { name: "inf", run: inf },
    Parser { name: "catalog", run: catalog },
    Parser { name: "pe", run: pe },
    Parser { name: "journal", run: journal },
];

/// The parser of a name.
pub fn find(name: &str) -> Option<&'static Parser> {
    ALL.iter().find(|parser| parser.name == name)
}

/// The most that is read of one stream.
const STREAM_LIMIT: u64 = 1 << 20;

static POOL: LazyLock<Pool> = LazyLock::new(|| Pool::new(1).expect("one worker thread"));

fn wim(bytes: &[u8], scratch: &Path) {
    let path = scratch.join("case.wim");
    std::fs::write(&path, bytes).expect("scratch space for a case");
    let Ok(wim) = Wim::open(&path) else { return };
    let mut hashes = HashSet::new();
    for number in 1..=wim.image_count().min(4) {
        let Some(index) = std::num::NonZeroU32::new(number) else { continue };
        let Ok(image) = wim.image(ImageIndex(index)) else { continue };
        let mut seen = HashSet::new();
        let mut waiting: Vec<NodeId> = vec![image.root()];
        while let Some(id) = waiting.pop() {
            if !seen.insert(id) || seen.len() > 10_000 {
                continue;
            }
            if let Ok(node) = image.node(id) {
                hashes.extend(node.streams.iter().filter_map(|stream| stream.hash));
            }
            drop(image.links(id));
            if let Ok(entries) = image.entries(id) {
                for entry in entries {
                    drop(image.lookup(id, entry.name.units()));
                    waiting.push(entry.node);
                }
            }
        }
    }
    for hash in hashes {
        read_blob(&wim, hash);
    }
    drop(wim.verify(&POOL, &NoProgress, &Cancel::default()));
}

fn read_blob(wim: &Wim, hash: BlobHash) {
    if let Ok(blob) = wim.blob(hash) {
        drop(read_vec(&blob, 0, blob.len().min(STREAM_LIMIT)));
        drop(read_vec(&blob, blob.len() / 2, (blob.len() - blob.len() / 2).min(4096)));
    }
}

/// Puts a primary and its logs into one input: two lengths, then the three files.
pub fn join_hive(primary: &[u8], logs: [&[u8]; 2]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in [primary, logs[0]] {
        bytes.extend((part.len() as u32).to_le_bytes());
    }
    for part in [primary, logs[0], logs[1]] {
        bytes.extend(part);
    }
    bytes
}

/// Takes such an input apart; lengths that are too long are cut.
pub fn split_hive(bytes: &[u8]) -> (&[u8], [&[u8]; 2]) {
    let Some((lengths, body)) = bytes.split_first_chunk::<8>() else { return (bytes, [&[], &[]]) };
    let length =
        |position: usize| u32::from_le_bytes([0, 1, 2, 3].map(|offset| lengths[position + offset])) as usize;
    let (primary, rest) = body.split_at(length(0).min(body.len()));
    let (first, second) = rest.split_at(length(4).min(rest.len()));
    (primary, [first, second])
}

fn hive(bytes: &[u8], _scratch: &Path) {
    let (primary, logs) = split_hive(bytes);
    let source: Arc<dyn ReadAt> = Arc::new(primary.to_vec());
    for ignore_dirty in [false, true] {
        let logs = logs.iter().filter(|log| !log.is_empty());
        let logs = logs.map(|log| Arc::new(log.to_vec()) as Arc<dyn ReadAt>).collect();
        let Ok(mut hive) = Hive::open(Arc::clone(&source), OpenOptions { logs, ignore_dirty }) else {
            continue;
        };
        let keys = walk_hive(&hive);
        drop(hive.check());
        drop(hive.digest());
        edit_hive(&mut hive, &keys);
        drop(hive.save());
        drop(hive.compact());
    }
}

fn walk_hive(hive: &Hive) -> Vec<KeyId> {
    let mut seen = HashSet::new();
    let mut keys = Vec::new();
    let mut waiting = vec![hive.root()];
    while let Some(key) = waiting.pop() {
        if !seen.insert(key) || seen.len() > 20_000 {
            continue;
        }
        keys.push(key);
        drop((hive.last_written(key), hive.class(key), hive.security(key), hive.values(key)));
        if let Ok(name) = hive.name(key) {
            drop(hive.subkey(key, name.units()));
        }
        waiting.extend(hive.subkeys(key).unwrap_or_default());
    }
    keys
}

fn edit_hive(hive: &mut Hive, keys: &[KeyId]) {
    let now = FileTime(1);
    let mark = hive.savepoint();
    for &key in keys.iter().take(20) {
        drop(hive.set_value(key, &Value::sz("new", "value"), now));
        drop(hive.create_subkey(key, &name::units("new key"), now));
        if let Ok(values) = hive.values(key)
            && let Some(value) = values.first()
        {
            drop(hive.delete_value(key, value.name.units(), now));
        }
    }
    hive.rollback(mark);
    drop(hive.create_path(hive.root(), "a\\b\\c", now));
    for &key in keys.iter().skip(1).take(3) {
        drop(hive.delete_key(key, now));
    }
}

fn reg_text(bytes: &[u8], _scratch: &Path) {
    let Ok(text) = RegText::parse(bytes) else { return };
    let now = FileTime(1 << 56);
    let mut hive = Hive::create("ROOT", 5, &default_root_security(), now).expect("a new hive");
    let mut applied = Applied::default();
    for section in &text.sections {
        drop(transom::hive::apply(&mut hive, section, section.key.units(), now, &mut applied));
    }
}

fn inf(bytes: &[u8], _scratch: &Path) {
    let Ok(inf) = Inf::parse(bytes) else { return };
    drop(inf.section_names());
    for arch in [Arch::X86, Arch::Amd64, Arch::Arm64] {
        let target = InfTarget {
            arch,
            version: Version::new(10, 0, 22621, 0),
            product_type: 1,
            suite_mask: 0x100,
            language: 0x409,
        };
        drop(inf.version(&target));
        drop(inf.package(&target));
        drop(inf.check(&target, &PackageOptions::default()));
    }
}

fn catalog(bytes: &[u8], _scratch: &Path) {
    // The certificates of a catalog as roots, so that chains end at all; the same bytes as what the
    // registry keeps.
    let mut store = TrustStore::empty();
    let _ = (store.add_file(bytes), store.add_blob(bytes));
    let Ok(parsed) = Catalog::parse(bytes) else { return };
    let _ = (parsed.members().len(), parsed.attribute("OS"), parsed.signer());
    drop(parsed.verify_signature());
    drop(parsed.judge(&store, FileTime(133_000_000_000_000_000)));
    if let Ok(digests) = catalog::digest_file(&bytes.to_vec()) {
        let _: bool = parsed.contains(&digests);
        drop(parsed.check_os("the catalog", &digests, Version::new(10, 0, 0, 0)));
    }
}

fn pe(bytes: &[u8], _scratch: &Path) {
    let file = bytes.to_vec();
    drop((pe::is_pe(&file), pe::arch(&file)));
    drop(pe::authenticode_digests(&file));
}

/// The tree that the journals of the fuzzers lie over.
pub(crate) fn journal_base() -> Arc<dyn Volume> {
    let mut base = MemoryVolume::new();
    let path = |text: &str| WinPath::parse(text).unwrap_or_default();
    base.add_file(&path("a\\one.txt"), b"one".to_vec());
    base.add_file(&path("a\\large.bin"), vec![7; 100_000]);
    base.add_directory(&path("b\\c"));
    Arc::new(base)
}

fn journal(bytes: &[u8], scratch: &Path) {
    let folder = scratch.join("journal-case");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).expect("scratch space for a case");
    }
    std::fs::create_dir(&folder).expect("scratch space for a case");
    std::fs::write(folder.join("journal"), bytes).expect("scratch space for a case");
    // What records say of staged data leads to files that are there.
    for number in 0..8 {
        for id in [number, NodeId::NEW | number] {
            let file = std::fs::File::create(folder.join(format!("data-{id:016x}")));
            file.and_then(|file| file.set_len(1 << 20)).expect("scratch space for a case");
        }
    }
    let clock = Arc::new(FixedClock(FileTime(1)));
    let Ok(overlay) = Overlay::replay(journal_base(), Scratch::at(&folder), clock) else { return };
    let mut seen = HashSet::new();
    let mut waiting = vec![overlay.root()];
    while let Some(id) = waiting.pop() {
        if !seen.insert(id) || seen.len() > 1000 {
            continue;
        }
        drop(overlay.links(id));
        for stream in overlay.node(id).map(|node| node.streams).unwrap_or_default() {
            if let Ok(opened) = overlay.open(id, stream.kind, stream.name.units()) {
                drop(read_vec(&opened, 0, opened.len().min(STREAM_LIMIT)));
            }
        }
        waiting.extend(overlay.entries(id).unwrap_or_default().into_iter().map(|entry| entry.node));
    }
    drop(overlay.diff());
    if let Ok(file) = overlay.create(overlay.root(), &WinName::from("new"), NodeKind::File) {
        drop(overlay.write(file, StreamKind::Data, &[], 0, b"new"));
    }
    drop(overlay.remove_tree(overlay.root(), &name::units("a")));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hive_inputs_come_apart_again() {
        let joined = join_hive(b"primary", [b"one", b"two!"]);
        assert_eq!(split_hive(&joined), (&b"primary"[..], [&b"one"[..], &b"two!"[..]]));
        assert_eq!(split_hive(b"short"), (&b"short"[..], [&b""[..], &b""[..]]));
        assert_eq!(split_hive(&[0xFF; 10]), (&[0xFF; 2][..], [&b""[..], &b""[..]]));
    }
}
