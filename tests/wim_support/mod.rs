// SPDX-License-Identifier: GPL-3.0-or-later
//! What the WIM tests share: the corpus, the peer, and one listing of an image that both sides fill.

#![allow(dead_code)]

pub(crate) mod edits;
pub(crate) mod faulty;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use transom::base::{FileTime, NodeId, StreamKind, TaggedItem, name};
use transom::wim::{Image, ImageIndex, Wim};

/// The corpus of real files, or nothing (said on stderr) where it is missing.
pub(crate) fn corpus(folder: &str) -> Option<PathBuf> {
    let root = std::env::var_os("TRANSOM_CORPUS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"), PathBuf::from);
    let path = root.join(folder);
    if !path.is_dir() {
        eprintln!("NOTICE: {} is missing; this test checks nothing", path.display());
        return None;
    }
    Some(path)
}

/// Runs a peer tool; nothing (said on stderr) where it is missing.
pub(crate) fn peer(program: &str, arguments: &[&str]) -> Option<Output> {
    match Command::new(program).args(arguments).env("LC_ALL", "C.UTF-8").output() {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("NOTICE: {program} cannot be run ({error}); its judgement is left out");
            None
        }
    }
}

/// Runs wimlib-imagex and expects success.
pub(crate) fn wimlib(arguments: &[&str]) -> Option<String> {
    let output = peer("wimlib-imagex", arguments)?;
    assert!(
        output.status.success(),
        "wimlib-imagex {arguments:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

pub(crate) fn index(number: u32) -> ImageIndex {
    ImageIndex::new(number).unwrap()
}

/// One name of an image, in the terms of `wimlib-imagex dir --detailed`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) short_name: String,
    pub(crate) attributes: u32,
    pub(crate) security: String,
    /// Creation, last write, last access.
    pub(crate) times: [String; 3],
    pub(crate) reparse_tag: u32,
    pub(crate) link_count: usize,
    /// By wimlib's label.
    pub(crate) object_id: BTreeMap<String, String>,
    /// By kind and name; empty unnamed data is left out, as writers differ about it.
    pub(crate) streams: BTreeMap<(String, String), String>,
}

pub(crate) type Listing = BTreeMap<String, Entry>;

/// What wimlib says of an image.
pub(crate) fn peer_listing(path: &Path, image: u32) -> Option<Listing> {
    let text = wimlib(&["dir", "--detailed", path.to_str().unwrap(), &image.to_string()])?;
    let mut listing = Listing::new();
    for block in text.split("----------------------------------------------------------------------------\n")
    {
        let mut entry = Entry::default();
        let mut path = None;
        let mut stream = None;
        for line in block.lines() {
            let trimmed = line.trim();
            match trimmed {
                "Unnamed data stream:" => stream = Some(("data".to_owned(), String::new())),
                "Reparse point stream:" => stream = Some(("reparse".to_owned(), String::new())),
                "Raw encrypted data stream:" => stream = Some(("encrypted".to_owned(), String::new())),
                _ => {}
            }
            if let Some(name) = trimmed.strip_prefix("Named data stream \"") {
                stream = Some(("data".to_owned(), name.trim_end_matches("\":").to_owned()));
            }
            let Some((label, value)) = line.split_once('=') else { continue };
            let (label, value) = (label.trim(), value.trim());
            let unquoted = || value.trim_matches('"').to_owned();
            let hex = || u32::from_str_radix(value.trim_start_matches("0x"), 16).unwrap();
            match label {
                "Full Path" => path = Some(unquoted()),
                "Short Name" => entry.short_name = unquoted(),
                "Attributes" => entry.attributes = hex(),
                "Security Descriptor" => entry.security = value.to_owned(),
                "Creation Time" => entry.times[0] = value.to_owned(),
                "Last Write Time" => entry.times[1] = value.to_owned(),
                "Last Access Time" => entry.times[2] = value.to_owned(),
                "Reparse Tag" => entry.reparse_tag = hex(),
                "Link Count" => entry.link_count = value.parse().unwrap(),
                "Object ID" | "Birth Volume ID" | "Birth Object ID" | "Domain ID" => {
                    entry.object_id.insert(label.to_owned(), value.trim_start_matches("0x").to_owned());
                }
                "Hash" => {
                    let hash = value.trim_start_matches("0x").to_owned();
                    let key = stream.clone().expect("a hash belongs to a stream");
                    if key != ("data".to_owned(), String::new()) || !hash.bytes().all(|byte| byte == b'0') {
                        entry.streams.insert(key, hash);
                    }
                }
                _ => {}
            }
        }
        if let Some(path) = path {
            listing.insert(path, entry);
        }
    }
    Some(listing)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn time(time: FileTime) -> String {
    let (seconds, _) = time.to_unix();
    jiff::Timestamp::from_second(seconds).unwrap().strftime("%a %b %d %H:%M:%S %Y UTC").to_string()
}

/// What we say of an image.
pub(crate) fn our_listing(image: &Image) -> Listing {
    let mut listing = Listing::new();
    let mut todo = vec![("/".to_owned(), String::new(), image.root())];
    while let Some((path, short_name, id)) = todo.pop() {
        listing.insert(path.clone(), our_entry(image, id, short_name));
        for child in image.entries(id).unwrap() {
            let name = name::display(child.name.units());
            let separator = if path == "/" { "" } else { "/" };
            let short = child.short_name.map_or_else(String::new, |name| name.to_string());
            assert_eq!(
                image.lookup(id, child.name.units()).unwrap().map(|entry| entry.node),
                Some(child.node),
                "{path} {name}"
            );
            todo.push((format!("{path}{separator}{name}"), short, child.node));
        }
    }
    listing
}

fn our_entry(image: &Image, id: NodeId, short_name: String) -> Entry {
    let node = image.node(id).unwrap();
    let object_id = node.tagged_items.iter().find(|item| item.tag == TaggedItem::OBJECT_ID);
    let labels = ["Object ID", "Birth Volume ID", "Birth Object ID", "Domain ID"];
    Entry {
        short_name,
        attributes: node.attributes.bits(),
        security: node.security.as_deref().map_or_else(String::new, hex),
        times: [node.creation_time, node.write_time, node.access_time].map(time),
        reparse_tag: node.reparse.map_or(0, |reparse| reparse.tag),
        link_count: image.links(id).unwrap().len().max(1),
        object_id: object_id.map_or_else(BTreeMap::new, |item| {
            labels
                .iter()
                .zip(item.data.chunks(16))
                // wimlib does not print an id that is all zero.
                .filter(|(_, part)| part.iter().any(|&byte| byte != 0))
                .map(|(label, part)| ((*label).to_owned(), hex(part)))
                .collect()
        }),
        streams: node
            .streams
            .iter()
            .filter_map(|stream| {
                let hash = stream.hash.unwrap();
                let name = stream.name.to_string();
                let kind = match stream.kind {
                    StreamKind::Data if name.is_empty() && hash.is_zero() => return None,
                    StreamKind::Data => "data",
                    StreamKind::Reparse => "reparse",
                    StreamKind::Encrypted => "encrypted",
                };
                Some(((kind.to_owned(), name), hash.to_string()))
            })
            .collect(),
    }
}

/// Compares whole listings, and says which entry differs.
pub(crate) fn assert_same_listing(ours: &Listing, theirs: &Listing, what: &str) {
    assert_eq!(
        ours.keys().collect::<Vec<_>>(),
        theirs.keys().collect::<Vec<_>>(),
        "{what}: the names differ"
    );
    for (path, entry) in ours {
        assert_eq!(Some(entry), theirs.get(path), "{what}: {path}");
    }
}

/// Both sides must list the same for every image of the file.
pub(crate) fn assert_listed_alike(path: &Path) {
    let wim = Wim::open(path).unwrap();
    for number in 1..=wim.image_count() {
        let ours = our_listing(&wim.image(index(number)).unwrap());
        if let Some(theirs) = peer_listing(path, number) {
            assert_same_listing(&ours, &theirs, &format!("{} image {number}", path.display()));
        }
    }
}
