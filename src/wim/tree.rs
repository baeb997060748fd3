// SPDX-License-Identifier: GPL-3.0-or-later
//! An image's metadata: security descriptors and the tree of directory entries.
//!
//! Decoded layout: `u32 total length | u32 count | u64 size[count] | descriptors`, padded to 8 (a
//! length of 0 means 8); the root's dentry; 8 zero bytes; the lists of children, each ended by 8
//! zero bytes. wimlib puts each directory's list before the lists of its children, in order;
//! readers follow the offsets. Source: ebiggers/wimlib `src/security.c`, `src/metadata_resource.c`.
//!
//! The tree keeps the decoded buffer and, per entry, 20 bytes of index. Entries are numbered list
//! by list, breadth first, so that the children of a directory are one range of numbers.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use super::dentry::{Dentry, FIXED_SIZE, align8};
use super::error::WimError;
use crate::base::name;

/// Deeper trees are refused, as wimlib does.
const MAX_DEPTH: u16 = 16384;

/// The parsed metadata of one image.
pub(super) struct Tree {
    bytes: Vec<u8>,
    security: Vec<Arc<[u8]>>,
    /// Where the root's dentry begins.
    root_offset: usize,
    /// Where each entry begins.
    offsets: Vec<u32>,
    /// The directory that each entry is in; the root is in itself.
    parents: Vec<u32>,
    /// Where the children of each entry begin in the numbering; one more at the end.
    first_child: Vec<u32>,
    /// The first entry of the same file: its node.
    nodes: Vec<u32>,
    /// The next entry of the same file, around to the first.
    next_link: Vec<u32>,
    /// The children in order of name, for directories that were stored in another order.
    sorted: HashMap<u32, Box<[u32]>>,
    /// Directories with at least one short name.
    with_short_names: HashSet<u32>,
    warnings: Vec<String>,
}

impl Tree {
    /// Checks a decoded metadata resource. `image` is for messages.
    pub(super) fn parse(bytes: Vec<u8>, image: u32) -> Result<Self, WimError> {
        Builder::new(bytes, image)?.build()
    }

    /// How many entries there are; the root is entry 0.
    pub(super) fn len(&self) -> u32 {
        self.offsets.len() as u32
    }

    /// The decoded metadata.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The security descriptors in order.
    pub(super) fn security(&self) -> &[Arc<[u8]>] {
        &self.security
    }

    /// The stored security data with its padding.
    pub(super) fn security_bytes(&self) -> &[u8] {
        self.bytes.get(..self.root_offset).unwrap_or_default()
    }

    /// What was left out on reading.
    pub(super) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// An entry as stored.
    pub(super) fn dentry(&self, entry: u32) -> Option<Dentry<'_>> {
        let &offset = self.offsets.get(entry as usize)?;
        // Every offset kept was parsed once, so this cannot fail any more.
        Dentry::parse(&self.bytes, offset as usize).ok().flatten()
    }

    /// The directory of an entry.
    pub(super) fn parent(&self, entry: u32) -> u32 {
        self.parents.get(entry as usize).copied().unwrap_or(0)
    }

    /// The node of an entry.
    pub(super) fn node_of(&self, entry: u32) -> u32 {
        self.nodes.get(entry as usize).copied().unwrap_or(entry)
    }

    /// Whether the number names a node: the first entry of a file or directory.
    pub(super) fn is_node(&self, number: u32) -> bool {
        self.nodes.get(number as usize) == Some(&number)
    }

    /// The children of a directory, as stored.
    pub(super) fn children(&self, entry: u32) -> Range<u32> {
        let position = entry as usize;
        let bounds = self.first_child.get(position).zip(self.first_child.get(position + 1));
        bounds.map_or(0..0, |(&from, &to)| from..to)
    }

    /// All entries that lead to a node.
    pub(super) fn links(&self, node: u32) -> impl Iterator<Item = u32> {
        let mut next = Some(node);
        std::iter::from_fn(move || {
            let current = next?;
            next = self.next_link.get(current as usize).copied().filter(|&link| link != node);
            Some(current)
        })
    }

    /// The path of an entry, for messages.
    pub(super) fn path(&self, entry: u32) -> String {
        let mut parts = Vec::new();
        let mut current = entry;
        while current != 0 {
            let dentry = self.dentry(current);
            parts.push(
                dentry.map_or_else(String::new, |dentry| {
                    name::display(&units(dentry.name).collect::<Vec<_>>())
                }),
            );
            current = self.parent(current);
        }
        parts.reverse();
        format!("\\{}", parts.join("\\"))
    }

    /// The child of a name: exact, else by upcase, else by short name.
    pub(super) fn lookup(&self, directory: u32, wanted: &[u16]) -> Option<u32> {
        let children = self.children(directory);
        let name = |entry: u32| self.dentry(entry).map_or(&[][..], |dentry| dentry.name);
        let sorted = self.sorted.get(&directory);
        let at = |position: u32| match sorted {
            Some(order) => order.get(position as usize).copied().unwrap_or(children.start),
            None => children.start + position,
        };
        let count = children.end - children.start;
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low + (high - low) / 2;
            if compare(name(at(middle)), wanted) == Ordering::Less {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let mut found = None;
        for entry in (low..count).map(at).take_while(|&entry| compare(name(entry), wanted) == Ordering::Equal)
        {
            if units(name(entry)).eq(wanted.iter().copied()) {
                return Some(entry);
            }
            found = found.or(Some(entry));
        }
        // 8.3 names have at most 12 units.
        if found.is_none() && wanted.len() <= 12 && self.with_short_names.contains(&directory) {
            found = children.into_iter().find(|&entry| {
                self.dentry(entry).is_some_and(|dentry| {
                    dentry.short_name.len() == wanted.len() * 2
                        && compare(dentry.short_name, wanted) == Ordering::Equal
                })
            });
        }
        found
    }
}

/// The code units of a stored name.
pub(super) fn units(bytes: &[u8]) -> impl Iterator<Item = u16> {
    bytes.chunks_exact(2).filter_map(|pair| pair.try_into().ok().map(u16::from_le_bytes))
}

/// Compares a stored name with one in memory as Windows does.
fn compare(stored: &[u8], wanted: &[u16]) -> Ordering {
    units(stored).map(name::upcase).cmp(wanted.iter().map(|&unit| name::upcase(unit)))
}

/// Orders stored names as siblings: as Windows does, equal ones by their exact units.
fn compare_stored(left: &[u8], right: &[u8]) -> (Ordering, Ordering) {
    let folded = units(left).map(name::upcase).cmp(units(right).map(name::upcase));
    let exact = if folded.is_eq() { units(left).cmp(units(right)) } else { folded };
    (folded, exact)
}

struct Builder {
    image: u32,
    tree: Tree,
    depths: Vec<u16>,
    /// Lists that were read, to find cycles.
    lists: HashSet<usize>,
    /// No more entries than this fit into the buffer, whatever the offsets say.
    budget: usize,
}

impl Builder {
    fn new(bytes: Vec<u8>, image: u32) -> Result<Self, WimError> {
        let budget = bytes.len() / FIXED_SIZE;
        let (security, root_offset) = security(&bytes, image)?;
        let tree = Tree {
            bytes,
            security,
            root_offset,
            offsets: Vec::new(),
            parents: Vec::new(),
            first_child: Vec::new(),
            nodes: Vec::new(),
            next_link: Vec::new(),
            sorted: HashMap::new(),
            with_short_names: HashSet::new(),
            warnings: Vec::new(),
        };
        Ok(Self { image, tree, depths: Vec::new(), lists: HashSet::new(), budget })
    }

    fn error(&self, what: &'static str, offset: usize, message: impl Into<String>) -> WimError {
        WimError::Metadata { image: self.image, what, offset: offset as u64, message: message.into() }
    }

    fn build(mut self) -> Result<Tree, WimError> {
        let root_offset = self.tree.root_offset;
        match Dentry::parse(&self.tree.bytes, root_offset) {
            Ok(Some(root)) if root.is_directory() => {}
            Ok(Some(_)) => return Err(self.error("the root", root_offset, "it is not a directory")),
            Ok(None) => return Err(self.error("the root", root_offset, "there is none")),
            Err(message) => return Err(self.error("the root", root_offset, message)),
        }
        self.push(root_offset, 0, 0);
        let mut directory = 0;
        while directory < self.tree.len() {
            self.read_children(directory)?;
            directory += 1;
        }
        self.tree.first_child.push(self.tree.len());
        let count = self.tree.len();
        self.tree.nodes = (0..count).collect();
        self.tree.next_link = (0..count).collect();
        self.link();
        self.tree.offsets.shrink_to_fit();
        self.tree.parents.shrink_to_fit();
        self.tree.first_child.shrink_to_fit();
        Ok(self.tree)
    }

    fn push(&mut self, offset: usize, parent: u32, depth: u16) {
        self.tree.offsets.push(offset as u32);
        self.tree.parents.push(parent);
        self.depths.push(depth);
    }

    /// Appends the children of a directory, without those that must not be there.
    fn read_children(&mut self, directory: u32) -> Result<(), WimError> {
        self.tree.first_child.push(self.tree.len());
        let Some((list, offset)) = self.tree.dentry(directory).and_then(|dentry| {
            let list = dentry.raw.subdir_offset.get();
            (dentry.is_directory() && list != 0)
                .then_some((list, self.tree.offsets.get(directory as usize).copied().unwrap_or(0)))
        }) else {
            return Ok(());
        };
        let offset = offset as usize;
        let list = usize::try_from(list)
            .map_err(|_| self.error("a directory entry", offset, "its children are beyond the metadata"))?;
        let depth = self.depths.get(directory as usize).copied().unwrap_or(0) + 1;
        let mut warnings = Vec::new();
        // Where each child begins, with its name.
        let mut children: Vec<(usize, Range<usize>)> = Vec::new();
        let mut position = list;
        let mut in_order = true;
        let mut short_names = false;
        let mut seen = 0;
        loop {
            let dentry = Dentry::parse(&self.tree.bytes, position)
                .map_err(|message| self.error("a directory entry", position, message))?;
            let Some(dentry) = dentry else { break };
            if seen == 0 && !self.lists.insert(list) {
                return Err(self.error(
                    "a directory entry",
                    offset,
                    "its children are those of another directory: the tree has a cycle",
                ));
            }
            seen += 1;
            if self.tree.offsets.len() + children.len() >= self.budget {
                return Err(self.error("a directory entry", position, "the lists of children overlap"));
            }
            if depth > MAX_DEPTH {
                return Err(self.error(
                    "a directory entry",
                    position,
                    format!("the tree is deeper than {MAX_DEPTH} levels"),
                ));
            }
            let name_start = position + FIXED_SIZE;
            let name_range = name_start..name_start + dentry.name.len();
            match dropped(dentry.name) {
                Some(reason) => warnings.push((position, reason)),
                None => {
                    if let Some((_, previous)) = children.last() {
                        let previous = self.tree.bytes.get(previous.clone()).unwrap_or_default();
                        // Exact twins are "in order" here and found below.
                        in_order &= compare_stored(previous, dentry.name).0 == Ordering::Less;
                    }
                    short_names |= !dentry.short_name.is_empty();
                    children.push((position, name_range));
                }
            }
            position += dentry.bytes.len();
        }
        let order = if in_order { None } else { Some(self.order(&mut children, &mut warnings)) };
        let first = self.tree.len();
        for (position, _) in children {
            self.push(position, directory, depth);
        }
        if let Some(order) = order {
            let order: Box<[u32]> = order.into_iter().map(|position| first + position).collect();
            // A directory whose only fault was a dropped twin is in order now.
            if !order.is_sorted() {
                self.tree.sorted.insert(directory, order);
            }
        }
        if short_names {
            self.tree.with_short_names.insert(directory);
        }
        for (position, reason) in warnings {
            let path = self.tree.path(directory);
            self.tree.warnings.push(format!(
                "an entry of {path} at offset {position} of the metadata was left out: {reason}"
            ));
        }
        Ok(())
    }

    /// The order of the children by name (positions in `children`), after later twins were taken out.
    fn order(
        &self,
        children: &mut Vec<(usize, Range<usize>)>,
        warnings: &mut Vec<(usize, &'static str)>,
    ) -> Vec<u32> {
        let bytes = &self.tree.bytes;
        let name = |child: &(usize, Range<usize>)| bytes.get(child.1.clone()).unwrap_or_default();
        let sorted = |children: &[(usize, Range<usize>)]| {
            let mut order: Vec<u32> = (0..children.len() as u32).collect();
            // Stable: of twins the first stays first.
            order.sort_by(|&left, &right| {
                match children.get(left as usize).zip(children.get(right as usize)) {
                    Some((left, right)) => compare_stored(name(left), name(right)).1,
                    None => Ordering::Equal,
                }
            });
            order
        };
        let order = sorted(children);
        let mut twins = HashSet::new();
        for pair in order.windows(2) {
            if let [left, right] = *pair
                && let Some((left, right)) = children.get(left as usize).zip(children.get(right as usize))
                && name(left) == name(right)
            {
                twins.insert(right.0);
            }
        }
        if twins.is_empty() {
            return order;
        }
        children.retain(|(position, _)| !twins.contains(position));
        let mut twins: Vec<usize> = twins.into_iter().collect();
        twins.sort_unstable();
        warnings.extend(twins.into_iter().map(|position| (position, "another entry has the same name")));
        sorted(children)
    }

    /// Joins the names of each file. Windows 7 wrote equal ids for different files, so the unnamed
    /// data must be equal too, which is all that Microsoft's own code looks at.
    fn link(&mut self) {
        let mut groups: Vec<(u64, u32)> = Vec::new();
        for entry in 0..self.tree.len() {
            let group = self.tree.dentry(entry).map_or(0, |dentry| dentry.link_group());
            if group != 0 {
                groups.push((group, entry));
            }
        }
        groups.sort_unstable();
        for group in groups.chunk_by(|left, right| left.0 == right.0).filter(|group| group.len() > 1) {
            let mut members: Vec<_> = group
                .iter()
                .filter_map(|&(_, entry)| Some((self.tree.dentry(entry)?.data_hash(), entry)))
                .collect();
            members.sort_unstable();
            for same in members.chunk_by(|left, right| left.0 == right.0) {
                let Some(&(_, first)) = same.first() else { continue };
                for (position, &(_, entry)) in same.iter().enumerate() {
                    let next = same.get(position + 1).map_or(first, |&(_, next)| next);
                    if let Some(slot) = self.tree.nodes.get_mut(entry as usize) {
                        *slot = first;
                    }
                    if let Some(slot) = self.tree.next_link.get_mut(entry as usize) {
                        *slot = next;
                    }
                }
            }
        }
    }
}

/// Why an entry of this name is left out.
fn dropped(name: &[u8]) -> Option<&'static str> {
    match name {
        [] => Some("it has no name"),
        [b'.', 0] | [b'.', 0, b'.', 0] => Some("its name leads out of its directory"),
        _ if units(name).any(|unit| unit == 0) => Some("its name holds a NUL"),
        _ => None,
    }
}

type Descriptors = Vec<Arc<[u8]>>;

/// The descriptors, and where the root begins.
fn security(bytes: &[u8], image: u32) -> Result<(Descriptors, usize), WimError> {
    let error = |offset: usize, message: &str| WimError::Metadata {
        image,
        what: "the security data",
        offset: offset as u64,
        message: message.to_owned(),
    };
    let field =
        |at: usize| bytes.get(at..at + 4).and_then(|field| field.try_into().ok()).map(u32::from_le_bytes);
    let (Some(total), Some(count)) = (field(0), field(4)) else {
        return Err(error(0, "there is none"));
    };
    let total = if total == 0 { 8 } else { total as usize };
    let all =
        bytes.get(..total).filter(|all| all.len() >= 8).ok_or_else(|| error(0, "its length is wrong"))?;
    let mut position = usize::try_from(count)
        .ok()
        .and_then(|count| count.checked_mul(8)?.checked_add(8))
        .filter(|&position| position <= total)
        .ok_or_else(|| error(4, "it is shorter than its table of sizes"))?;
    let sizes = all.get(8..position).unwrap_or_default();
    let mut descriptors = Vec::with_capacity(sizes.len() / 8);
    for (number, size) in sizes.chunks_exact(8).enumerate() {
        let size = size.try_into().map_or(u64::MAX, u64::from_le_bytes);
        let end = usize::try_from(size).ok().and_then(|size| position.checked_add(size));
        let descriptor = end.and_then(|end| all.get(position..end));
        let descriptor = descriptor.ok_or_else(|| error(8 + 8 * number, "a descriptor does not fit"))?;
        descriptors.push(Arc::from(descriptor));
        position += descriptor.len();
    }
    let root = align8(total).ok_or_else(|| error(0, "its length is wrong"))?;
    Ok((descriptors, root))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::base::BlobHash;
    use crate::wim::dentry::DentryRaw;
    use zerocopy::little_endian::{U16, U32, U64};
    use zerocopy::{FromZeros, IntoBytes};

    const DIRECTORY: u32 = 0x10;

    /// A dentry of its name only.
    fn dentry(name: &str, attributes: u32, subdir: u64, link: u64, hash: u8) -> Vec<u8> {
        let name = name::units_to_le(&name::units(name));
        let mut raw = DentryRaw::new_zeroed();
        let used = FIXED_SIZE + name.len() + if name.is_empty() { 0 } else { 2 };
        raw.length = U64::new(align8(used).unwrap() as u64);
        raw.attributes = U32::new(attributes);
        raw.security_id = U32::new(u32::MAX);
        raw.subdir_offset = U64::new(subdir);
        raw.link = U64::new(link);
        raw.hash = [hash; 20];
        raw.name_length = U16::new(name.len() as u16);
        let mut bytes = raw.as_bytes().to_vec();
        bytes.extend(name);
        bytes.resize(align8(used).unwrap(), 0);
        bytes
    }

    /// Security data without descriptors, a root, and one list of children.
    fn image(children: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = vec![8, 0, 0, 0, 0, 0, 0, 0];
        bytes.extend(dentry("", DIRECTORY, 120, 0, 0));
        bytes.extend([0; 8]);
        assert_eq!(bytes.len(), 120);
        bytes.extend(children.concat());
        bytes.extend([0; 8]);
        bytes
    }

    fn names(tree: &Tree, directory: u32) -> Vec<String> {
        let children = tree.children(directory);
        children
            .map(|entry| name::display(&units(tree.dentry(entry).unwrap().name).collect::<Vec<_>>()))
            .collect()
    }

    #[test]
    fn lookup_in_sorted_and_unsorted_directories() {
        for order in [["a", "B", "b", "c"], ["c", "b", "a", "B"]] {
            let list: Vec<_> = order.iter().map(|name| dentry(name, 0x20, 0, 0, 1)).collect();
            let tree = Tree::parse(image(&list), 1).unwrap();
            assert_eq!(names(&tree, 0), order);
            let find = |wanted: &str| {
                let entry = tree.lookup(0, &name::units(wanted))?;
                Some(names(&tree, 0)[entry as usize - 1].clone())
            };
            assert_eq!(find("A").as_deref(), Some("a"), "{order:?}");
            assert_eq!(find("b").as_deref(), Some("b"));
            assert_eq!(find("B").as_deref(), Some("B"));
            assert_eq!(find("C").as_deref(), Some("c"));
            assert_eq!(find("d"), None);
            assert_eq!(find(""), None);
        }
    }

    #[test]
    fn bad_names_are_left_out() {
        let list = ["x", "..", "y", ".", "x", "a\0b", ""].map(|name| dentry(name, 0x20, 0, 0, 0));
        let tree = Tree::parse(image(&list), 1).unwrap();
        assert_eq!(names(&tree, 0), ["x", "y"]);
        assert_eq!(
            tree.warnings().iter().map(|warning| warning.rsplit_once(": ").unwrap().1).collect::<Vec<_>>(),
            [
                "its name leads out of its directory",
                "its name leads out of its directory",
                "its name holds a NUL",
                "it has no name",
                "another entry has the same name"
            ]
        );
        assert!(tree.lookup(0, &name::units("X")).is_some());
    }

    #[test]
    fn equal_ids_link_only_equal_data() {
        let list = [("a", 7, 1), ("b", 7, 2), ("c", 7, 1), ("d", 7, 3), ("e", 0, 1), ("f", 7, 1)]
            .map(|(name, link, hash)| dentry(name, 0x20, 0, link, hash));
        let tree = Tree::parse(image(&list), 1).unwrap();
        let links = |entry: u32| tree.links(tree.node_of(entry)).collect::<Vec<_>>();
        assert_eq!(links(3), [1, 3, 6]);
        assert_eq!(links(2), [2]);
        assert_eq!(links(5), [5]);
        assert!(tree.is_node(1) && !tree.is_node(3) && !tree.is_node(99));
    }

    #[test]
    fn cycles_and_overlaps_end() {
        let list = [dentry("loop", DIRECTORY, 120, 0, 0)];
        let error = Tree::parse(image(&list), 4).err().unwrap().to_string();
        assert!(error.starts_with("image 4: a directory entry at offset 120 of the metadata"), "{error}");
        assert!(error.ends_with("the tree has a cycle"), "{error}");

        let list = [dentry("d", DIRECTORY, 0xFFFF_FFFF_FFFF, 0, 0)];
        let error = Tree::parse(image(&list), 1).err().unwrap().to_string();
        assert!(error.ends_with("it begins beyond the end of the metadata"), "{error}");
    }

    #[test]
    fn truncation_at_every_byte_is_an_error() {
        let list = [dentry("name", 0x20, 0, 0, 1), dentry("other", DIRECTORY, 0, 0, 0)];
        let whole = image(&list);
        for length in 0..whole.len() {
            assert!(Tree::parse(whole[..length].to_vec(), 1).is_err(), "{length}");
        }
        let tree = Tree::parse(whole, 1).unwrap();
        assert_eq!(tree.dentry(1).unwrap().data_hash(), BlobHash([1; 20]));
    }
}
