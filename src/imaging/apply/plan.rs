// SPDX-License-Identifier: GPL-3.0-or-later
//! What has to be made, found out before anything is: which node stands where, and which blob goes
//! to which places.

use std::collections::HashMap;

use crate::base::{BlobHash, Error, ErrorClass, Node, NodeId, Result, StreamKind};
use crate::io::Cancel;
use crate::volume::directory::{DirectoryWriter, LinuxPath};
use crate::wim::Image;

/// How a node is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A directory.
    Directory,
    /// A file with data and nothing beside it: made, filled and finished at one go.
    Simple,
    /// A file that is made first, filled from several blobs, and finished last.
    Composed,
    /// A reparse point that becomes a symbolic link once its data is there, if that has a target.
    Link,
}

/// One more entry of a node, or its first.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) at: LinuxPath,
    /// Long and short name, where there is a short one.
    pub(super) short_name: Option<Box<(Vec<u16>, Vec<u16>)>>,
}

/// A node and where it stands.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) id: NodeId,
    pub(super) form: Form,
    pub(super) first: Entry,
    /// Further hard links.
    pub(super) links: Vec<Entry>,
}

/// Where the bytes of a blob go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// The data of an item.
    Data(usize),
    /// A stream of an item, by its number.
    Stream(usize, usize),
    /// The reparse data of an item.
    Reparse(usize),
}

/// Everything that has to be made.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// The root first, directories before what is in them.
    pub(super) items: Vec<Item>,
    pub(super) blobs: Vec<BlobHash>,
    /// For each blob its places, first and behind the last.
    ranges: Vec<(usize, usize)>,
    places: Vec<Place>,
    /// Files without a byte.
    pub(super) empty: Vec<usize>,
    /// Streams without a byte.
    pub(super) empty_streams: Vec<(usize, usize)>,
    /// Bytes of all blobs, each once.
    pub(super) total: u64,
    /// Bytes that the files will take.
    pub(super) space: u64,
    pub(super) directories: u64,
    pub(super) files: u64,
    pub(super) hard_links: u64,
}

impl Plan {
    /// Walks an image.
    pub(super) fn new(image: &Image, writer: &DirectoryWriter, block: u64, cancel: &Cancel) -> Result<Self> {
        let mut plan = Self::default();
        let mut known: HashMap<NodeId, usize> = HashMap::new();
        let mut numbers: HashMap<BlobHash, usize> = HashMap::new();
        let mut wanted: Vec<(usize, Place)> = Vec::new();
        let root = Entry { at: LinuxPath::default(), short_name: None };
        let mut add = |plan: &mut Self, id: NodeId, first: Entry| -> Result<bool> {
            let node = image.node(id)?;
            let item = plan.items.len();
            let form = form(&node, writer);
            plan.items.push(Item { id, form, first, links: Vec::new() });
            match form {
                Form::Directory => plan.directories += 1,
                _ => plan.files += 1,
            }
            for (number, stream) in node.streams.iter().enumerate() {
                let rounded = stream.length.div_ceil(block).saturating_mul(block);
                plan.space = plan.space.saturating_add(rounded);
                let hash = stream.hash.unwrap_or(BlobHash::ZERO);
                let place = match stream.kind {
                    StreamKind::Data if stream.name.is_empty() => Place::Data(item),
                    StreamKind::Reparse => Place::Reparse(item),
                    _ => Place::Stream(item, number),
                };
                if hash.is_zero() {
                    match place {
                        Place::Data(_) if form == Form::Simple => plan.empty.push(item),
                        Place::Stream(..) => plan.empty_streams.push((item, number)),
                        // A file is made empty, and a link without a target is none.
                        Place::Data(_) | Place::Reparse(_) => {}
                    }
                    continue;
                }
                let next = plan.blobs.len();
                let blob = *numbers.entry(hash).or_insert(next);
                if blob == next {
                    plan.blobs.push(hash);
                    plan.total = plan.total.saturating_add(stream.length);
                }
                wanted.push((blob, place));
            }
            if form == Form::Directory {
                plan.space = plan.space.saturating_add(block);
            }
            Ok(node.has_entries())
        };
        add(&mut plan, image.root(), root)?;
        let mut directories = vec![0];
        while let Some(directory) = directories.pop() {
            cancel.check()?;
            let Some((id, at)) = plan.items.get(directory).map(|item| (item.id, item.first.at.clone()))
            else {
                continue;
            };
            for found in image.entries(id)? {
                let at = writer.entry(&at, found.name.units())?;
                let short_name = found
                    .short_name
                    .map(|short| Box::new((found.name.units().to_vec(), short.units().to_vec())));
                let entry = Entry { at, short_name };
                if let Some(item) = known.get(&found.node).and_then(|&item| plan.items.get_mut(item)) {
                    item.links.push(entry);
                    plan.hard_links += 1;
                    continue;
                }
                let item = plan.items.len();
                if add(&mut plan, found.node, entry)? {
                    directories.push(item);
                }
                known.insert(found.node, item);
            }
        }
        wanted.sort_unstable();
        plan.ranges = plan.blobs.iter().map(|_| (0, 0)).collect();
        for (position, (blob, place)) in wanted.into_iter().enumerate() {
            if let Some(range) = plan.ranges.get_mut(blob) {
                if range.1 == 0 {
                    range.0 = position;
                }
                range.1 = position + 1;
            }
            plan.places.push(place);
        }
        Ok(plan)
    }

    /// Where a blob goes.
    pub(super) fn places(&self, blob: usize) -> &[Place] {
        let (first, end) = self.ranges.get(blob).copied().unwrap_or_default();
        self.places.get(first..end).unwrap_or_default()
    }

    pub(super) fn item(&self, number: usize) -> Result<&Item> {
        self.items.get(number).ok_or_else(|| Error::new(ErrorClass::Internal, "an item was lost"))
    }
}

impl Item {
    /// Name and short name for the node's own record. Of several hard links each keeps its own.
    pub(super) fn names(&self) -> (&[u16], Option<&[u16]>) {
        match &self.first.short_name {
            Some(names) if self.links.is_empty() => (&names.0, Some(&names.1)),
            _ => (&[], None),
        }
    }
}

fn form(node: &Node, writer: &DirectoryWriter) -> Form {
    let has_data = node.data().is_some_and(|data| data.length > 0);
    let has_target = node.stream(StreamKind::Reparse, &[]).is_some_and(|stream| stream.length > 0);
    let may_be_link = node.reparse.is_some_and(|reparse| writer.may_be_link(reparse));
    if may_be_link && has_target && !has_data {
        return Form::Link;
    }
    if node.kind() == crate::base::NodeKind::Directory {
        return Form::Directory;
    }
    let plain = node.reparse.is_none()
        && node.streams.iter().all(|stream| stream.kind == StreamKind::Data && stream.name.is_empty());
    if plain { Form::Simple } else { Form::Composed }
}
