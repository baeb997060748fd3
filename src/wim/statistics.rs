// SPDX-License-Identifier: GPL-3.0-or-later
//! The figures that the XML gives of an image, and their place in it.
//!
//! The rule is wimlib's: directories include the root and exclude reparse points; bytes count
//! every stream once for each name. Other writers count otherwise (Microsoft leaves the root out),
//! so a stored figure is moved by the difference between new and old tree, which keeps its rule.

use super::info::image_index;
use super::tree::Tree;
use crate::base::{BlobHash, FileTime};
use crate::xml::{Document, Element, XmlNode};

/// Figures of one tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Statistics {
    pub(super) directories: u64,
    pub(super) files: u64,
    pub(super) bytes: u64,
    /// Bytes of all names of a file after its first.
    pub(super) hard_link_bytes: u64,
}

impl Statistics {
    /// Counts a tree; `visit` is called with each name's stream hashes and gives their lengths.
    pub(super) fn count(tree: &Tree, mut visit: impl FnMut(BlobHash) -> u64) -> Self {
        let mut figures = Self::default();
        for entry in 0..tree.len() {
            let Some(dentry) = tree.dentry(entry) else { continue };
            if dentry.is_directory() && !dentry.is_reparse_point() {
                figures.directories += 1;
            } else {
                figures.files += 1;
            }
            let streams = dentry.streams().filter(|stream| !stream.hash.is_zero());
            let bytes = streams.fold(0u64, |sum, stream| sum.saturating_add(visit(stream.hash)));
            figures.bytes = figures.bytes.saturating_add(bytes);
            if tree.node_of(entry) != entry {
                figures.hard_link_bytes = figures.hard_link_bytes.saturating_add(bytes);
            }
        }
        figures
    }
}

/// The order in which Microsoft writes the elements that a commit touches.
const ORDER: [&str; 6] =
    ["DIRCOUNT", "FILECOUNT", "TOTALBYTES", "HARDLINKBYTES", "CREATIONTIME", "LASTMODIFICATIONTIME"];

/// Brings an image's element up to date.
pub(super) fn update_image(
    document: &mut Document,
    index: u32,
    old: &Statistics,
    new: &Statistics,
    modified: FileTime,
) {
    let Some(image) = document.root.elements_mut().find(|element| image_index(element) == Some(index)) else {
        return;
    };
    let figures = [
        ("DIRCOUNT", old.directories, new.directories),
        ("FILECOUNT", old.files, new.files),
        ("TOTALBYTES", old.bytes, new.bytes),
        ("HARDLINKBYTES", old.hard_link_bytes, new.hard_link_bytes),
    ];
    for (name, old, new) in figures {
        let stored = image.child(name).and_then(|element| element.text().trim().parse::<u64>().ok());
        let value = match stored {
            Some(stored) => stored.saturating_add(new).saturating_sub(old),
            None => new,
        };
        ensure(image, name);
        if let Some(element) = image.child_mut(name).filter(|_| stored != Some(value)) {
            element.set_text(&value.to_string());
        }
    }
    ensure(image, "LASTMODIFICATIONTIME");
    if let Some(time) = image.child_mut("LASTMODIFICATIONTIME") {
        for (name, half) in [("HIGHPART", modified.0 >> 32), ("LOWPART", modified.0 & 0xFFFF_FFFF)] {
            let text = format!("0x{half:08X}");
            match time.child_mut(name) {
                Some(part) => part.set_text(&text),
                None => time.push(Element::with_text(name, &text)),
            }
        }
    }
}

/// Sets the direct child TOTALBYTES of the root: where in the file the XML begins.
pub(super) fn set_total_bytes(document: &mut Document, offset: u64) {
    let text = offset.to_string();
    match document.root.child_mut("TOTALBYTES") {
        Some(total) => total.set_text(&text),
        None => document.root.insert(0, Element::with_text("TOTALBYTES", &text)),
    }
}

/// Makes sure that there is a child of a name, in its usual place.
fn ensure(image: &mut Element, name: &str) {
    if image.child(name).is_some() {
        return;
    }
    let rank = |name: &str| ORDER.iter().position(|&other| other == name);
    let before = image.children.iter().rposition(|child| match child {
        XmlNode::Element(element) => {
            rank(element.local_name()).zip(rank(name)).is_some_and(|(other, own)| other < own)
        }
        _ => false,
    });
    image.insert(before.map_or(0, |before| before + 1), Element::new(name));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_move_by_the_difference_and_the_rest_stays() {
        let mut document = Document::parse(
            "<WIM><TOTALBYTES>1</TOTALBYTES><IMAGE INDEX=\"1\"><NAME>a</NAME></IMAGE><IMAGE INDEX='2'>\
             <X/><DIRCOUNT>5</DIRCOUNT><TOTALBYTES>70</TOTALBYTES><CREATIONTIME><HIGHPART>0x0</HIGHPART>\
             </CREATIONTIME><NAME>b</NAME></IMAGE></WIM>",
        )
        .unwrap();
        let old = Statistics { directories: 6, files: 3, bytes: 70, hard_link_bytes: 0 };
        let new = Statistics { directories: 8, files: 4, bytes: 90, hard_link_bytes: 7 };
        update_image(&mut document, 2, &old, &new, FileTime(0x01DC_0000_0000_00AB));
        set_total_bytes(&mut document, 4711);
        assert_eq!(
            document.to_string(),
            "<WIM><TOTALBYTES>4711</TOTALBYTES><IMAGE INDEX=\"1\"><NAME>a</NAME></IMAGE><IMAGE INDEX='2'>\
             <X/><DIRCOUNT>7</DIRCOUNT><FILECOUNT>4</FILECOUNT><TOTALBYTES>90</TOTALBYTES>\
             <HARDLINKBYTES>7</HARDLINKBYTES><CREATIONTIME><HIGHPART>0x0</HIGHPART></CREATIONTIME>\
             <LASTMODIFICATIONTIME><HIGHPART>0x01DC0000</HIGHPART><LOWPART>0x000000AB</LOWPART>\
             </LASTMODIFICATIONTIME><NAME>b</NAME></IMAGE></WIM>"
        );
    }
}
