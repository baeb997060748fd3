// SPDX-License-Identifier: GPL-3.0-or-later
//! Subkey lists: reading any mix of kinds, finding, inserting, removing.
//!
//! | signature | element | meaning |
//! |---|---|---|
//! | `lf` | key offset, 4 bytes of the name | leaf before minor version 5 |
//! | `lh` | key offset, hash of the name | leaf from minor version 5 on |
//! | `li` | key offset | leaf below `ri` before minor version 5 |
//! | `ri` | offset of a leaf | root over leaves, one level only |
//!
//! Each begins with its signature and a 16-bit count. All leaves of one root are sorted as a
//! whole, by upcased UTF-16 units.
//!
//! Source: M. Suhanov, "Windows registry file format specification"; the rules of growth
//! (leaves of 1013 cut into 506 and 507) were measured on the lists of real hives.

use std::cmp::Ordering;

use super::cell::{NIL, file_offset};
use super::error::{HiveError, Result};
use super::record::{FIRST_MINOR_WITH_HASH_LEAF, KeyNodeRaw};
use super::stored_name;
use super::tree::Tree;

/// The most elements that a leaf may be left with by an insertion.
const MAX_LEAF: usize = 1012;
/// Length of a list's header.
const HEADER: usize = 4;

/// What a subkey list is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListKind {
    /// Key offsets with the beginnings of names.
    Lf,
    /// Key offsets with hashes.
    Lh,
    /// Key offsets.
    Li,
    /// Offsets of leaves.
    Ri,
}

impl ListKind {
    /// The kind with this signature.
    pub(super) fn from_signature(signature: [u8; 2]) -> Option<Self> {
        match &signature {
            b"lf" => Some(Self::Lf),
            b"lh" => Some(Self::Lh),
            b"li" => Some(Self::Li),
            b"ri" => Some(Self::Ri),
            _ => None,
        }
    }

    fn signature(self) -> [u8; 2] {
        match self {
            Self::Lf => *b"lf",
            Self::Lh => *b"lh",
            Self::Li => *b"li",
            Self::Ri => *b"ri",
        }
    }

    /// Size of an element.
    pub(super) fn element(self) -> usize {
        match self {
            Self::Lf | Self::Lh => 8,
            Self::Li | Self::Ri => 4,
        }
    }

    /// The bytes of the element for a key.
    fn entry(self, key: u32, name: &[u16]) -> Vec<u8> {
        let mut entry = key.to_le_bytes().to_vec();
        match self {
            Self::Lf => entry.extend(stored_name::hint(name)),
            Self::Lh => entry.extend(stored_name::hash(name).to_le_bytes()),
            Self::Li | Self::Ri => {}
        }
        entry
    }
}

/// A list's cell with what its header says.
#[derive(Clone, Copy, Debug)]
struct List {
    cell: u32,
    kind: ListKind,
    count: usize,
}

/// Where a name is, or belongs.
struct Place {
    /// The root above the leaf, and the leaf's position in it.
    root: Option<(List, usize)>,
    leaf: List,
    position: usize,
    found: Option<u32>,
}

impl Tree {
    fn list(&mut self, cell: u32) -> Result<List> {
        let header = self.cells.cell_part(cell, 0, HEADER, "a subkey list")?;
        let mut parts = header.chunks_exact(2).map(|pair| [pair.first().copied(), pair.last().copied()]);
        let signature = parts.next().unwrap_or_default().map(Option::unwrap_or_default);
        let count =
            usize::from(u16::from_le_bytes(parts.next().unwrap_or_default().map(Option::unwrap_or_default)));
        let Some(kind) = ListKind::from_signature(signature) else {
            return Err(HiveError::structure(
                "the signature of a subkey list",
                file_offset(cell) + 4,
                "lf, lh, li or ri",
                format!("{signature:02x?}"),
            ));
        };
        let room = (self.cells.cell_length(cell)? - HEADER) / kind.element();
        if count > room {
            return Err(HiveError::structure(
                "the count of a subkey list",
                file_offset(cell) + 6,
                format!("at most {room}"),
                count,
            ));
        }
        Ok(List { cell, kind, count })
    }

    fn leaf(&mut self, cell: u32) -> Result<List> {
        let list = self.list(cell)?;
        if list.kind == ListKind::Ri || list.count == 0 {
            let found = if list.count == 0 { "an empty list" } else { "another ri" };
            let what = "an element of an ri list";
            return Err(HiveError::structure(what, file_offset(cell), "a leaf with keys", found));
        }
        Ok(list)
    }

    fn element(&mut self, list: List, index: usize) -> Result<u32> {
        self.cells.cell_u32(list.cell, HEADER + index * list.kind.element(), "a subkey list")
    }

    fn each_element(&mut self, list: List, visit: impl FnMut(u32)) -> Result<()> {
        let size = list.kind.element();
        let bytes = self.cells.cell_part(list.cell, HEADER, list.count * size, "a subkey list")?;
        let first = |element: &[u8]| element.first_chunk().copied().map(u32::from_le_bytes);
        bytes.chunks_exact(size).filter_map(first).for_each(visit);
        Ok(())
    }

    /// The offsets in a list.
    fn elements(&mut self, list: List) -> Result<Vec<u32>> {
        let mut elements = Vec::with_capacity(list.count);
        self.each_element(list, |element| elements.push(element))?;
        Ok(elements)
    }

    /// All subkeys of a key, in stored order.
    pub(super) fn subkeys(&mut self, node: &KeyNodeRaw) -> Result<Vec<u32>> {
        let mut keys = Vec::new();
        self.each_subkey(node, |key| keys.push(key))?;
        Ok(keys)
    }

    /// Calls `visit` with each subkey of a key, in stored order.
    pub(super) fn each_subkey(&mut self, node: &KeyNodeRaw, mut visit: impl FnMut(u32)) -> Result<()> {
        if node.subkeys.get() == 0 || node.subkey_list.get() == NIL {
            return Ok(());
        }
        let list = self.list(node.subkey_list.get())?;
        if list.kind != ListKind::Ri {
            return self.each_element(list, visit);
        }
        // A key takes more than 8 bytes, so a longer list names keys twice.
        let limit = self.cells.bins_size() as usize / 8;
        let mut count = 0;
        for leaf in self.elements(list)? {
            let leaf = self.leaf(leaf)?;
            count += leaf.count;
            if count > limit {
                let expected = "fewer elements than the hive has cells";
                return Err(HiveError::structure("an ri list", file_offset(list.cell), expected, count));
            }
            self.each_element(leaf, &mut visit)?;
        }
        Ok(())
    }

    /// The leaves of a key's subkey list.
    pub(super) fn leaves(&mut self, node: &KeyNodeRaw) -> Result<Vec<u32>> {
        if node.subkeys.get() == 0 || node.subkey_list.get() == NIL {
            return Ok(Vec::new());
        }
        let list = self.list(node.subkey_list.get())?;
        if list.kind == ListKind::Ri { self.elements(list) } else { Ok(vec![list.cell]) }
    }

    /// The keys in one leaf.
    pub(super) fn leaf_keys(&mut self, leaf: u32) -> Result<Vec<u32>> {
        let list = self.leaf(leaf)?;
        self.elements(list)
    }

    /// Puts right what a leaf says about the names of its keys; gives how many elements were wrong.
    pub(super) fn mend_leaf(&mut self, leaf: u32) -> Result<u64> {
        let list = self.leaf(leaf)?;
        let mut mended = 0;
        for (index, key) in self.elements(list)?.into_iter().enumerate() {
            let name = self.key_name(key)?.to_name();
            let entry = list.kind.entry(key, name.units());
            let start = HEADER + index * entry.len();
            if self.cells.cell_part(leaf, start, entry.len(), "a subkey list")? != entry {
                self.cells.put(leaf, start, &entry)?;
                mended += 1;
            }
        }
        Ok(mended)
    }

    /// Adds the cells of a key's subkey list.
    pub(super) fn subkey_list_cells(&mut self, node: &KeyNodeRaw, cells: &mut Vec<u32>) -> Result<()> {
        if node.subkeys.get() == 0 || node.subkey_list.get() == NIL {
            return Ok(());
        }
        let list = self.list(node.subkey_list.get())?;
        cells.push(list.cell);
        if list.kind == ListKind::Ri {
            cells.extend(self.elements(list)?);
        }
        Ok(())
    }

    fn compare_key(&mut self, key: u32, name: &[u16]) -> Result<Ordering> {
        Ok(self.key_name(key)?.compare(name))
    }

    /// The leaf that holds a name, or that it belongs into.
    #[allow(clippy::type_complexity, reason = "private, used twice")]
    fn choose_leaf(
        &mut self,
        node: &KeyNodeRaw,
        name: &[u16],
    ) -> Result<Option<(Option<(List, usize)>, List)>> {
        if node.subkeys.get() == 0 || node.subkey_list.get() == NIL {
            return Ok(None);
        }
        let list = self.list(node.subkey_list.get())?;
        if list.kind != ListKind::Ri {
            return Ok(Some((None, list)));
        }
        // The last leaf whose first name is not above the name, else the first leaf.
        let (mut low, mut high) = (0, list.count);
        while low < high {
            let middle = low.midpoint(high);
            let cell = self.element(list, middle)?;
            let leaf = self.leaf(cell)?;
            let first = self.element(leaf, 0)?;
            if self.compare_key(first, name)? == Ordering::Greater { high = middle } else { low = middle + 1 }
        }
        let index = low.saturating_sub(1);
        let cell = self.element(list, index)?;
        let leaf = self.leaf(cell)?;
        Ok(Some((Some((list, index)), leaf)))
    }

    fn place(&mut self, node: &KeyNodeRaw, name: &[u16]) -> Result<Option<Place>> {
        let Some((root, leaf)) = self.choose_leaf(node, name)? else { return Ok(None) };
        let (mut low, mut high) = (0, leaf.count);
        while low < high {
            let middle = low.midpoint(high);
            let key = self.element(leaf, middle)?;
            match self.compare_key(key, name)? {
                Ordering::Equal => {
                    return Ok(Some(Place { root, leaf, position: middle, found: Some(key) }));
                }
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
            }
        }
        Ok(Some(Place { root, leaf, position: low, found: None }))
    }

    /// The subkey of a name. In a hashed leaf only keys with the right hash are looked at, so
    /// that few pages are loaded.
    pub(super) fn find_subkey(&mut self, node: &KeyNodeRaw, name: &[u16]) -> Result<Option<u32>> {
        let Some((_, leaf)) = self.choose_leaf(node, name)? else { return Ok(None) };
        if leaf.kind != ListKind::Lh {
            return Ok(self.place(node, name)?.and_then(|place| place.found));
        }
        let hash = stored_name::hash(name);
        let mut from = 0;
        loop {
            let bytes = self.cells.cell_part(leaf.cell, HEADER, leaf.count * 8, "a subkey list")?;
            let Some((at, key)) = next_with_hash(bytes.as_chunks().0, from, hash) else { return Ok(None) };
            if self.key_name(key)?.is(name) {
                return Ok(Some(key));
            }
            from = at + 1;
        }
    }

    fn write_list(&mut self, cell: u32, kind: ListKind, entries: &[u8]) -> Result<()> {
        let count = u16::try_from(entries.len() / kind.element()).unwrap_or(u16::MAX);
        let [low, high] = count.to_le_bytes();
        let [first, second] = kind.signature();
        self.cells.put(cell, 0, &[first, second, low, high])?;
        self.cells.put(cell, HEADER, entries)
    }

    /// A new list with room for a quarter more elements when it will be inserted into.
    pub(super) fn add_list(&mut self, kind: ListKind, entries: &[u8], spare: bool) -> Result<u32> {
        let count = entries.len() / kind.element();
        let room = if spare { count + count / 4 } else { count };
        let cell = self.cells.allocate(HEADER + room * kind.element())?;
        self.write_list(cell, kind, entries)?;
        Ok(cell)
    }

    /// Puts an element into a list; returns the list's cell, which may be another one.
    fn insert_element(&mut self, list: List, position: usize, entry: &[u8]) -> Result<u32> {
        let size = list.kind.element();
        let used = HEADER + list.count * size;
        if list.count >= usize::from(u16::MAX) {
            return Err(HiveError::Limit {
                what: "the length of a subkey list",
                found: list.count as u64 + 1,
                limit: u64::from(u16::MAX),
            });
        }
        let mut cell = list.cell;
        if used + size > self.cells.cell_length(cell)? {
            let room = list.count + 1 + list.count / 4;
            cell = self.cells.reallocate(cell, used, HEADER + room * size)?;
        }
        let start = HEADER + position * size;
        let tail = self.cells.modify(cell, start, used + size - start)?;
        tail.copy_within(..used - start, size);
        if let Some(slot) = tail.get_mut(..size) {
            slot.copy_from_slice(entry);
        }
        self.cells.put(cell, 2, &(list.count as u16 + 1).to_le_bytes())?;
        Ok(cell)
    }

    /// Takes an element out of a list.
    fn remove_element(&mut self, list: List, position: usize) -> Result<()> {
        let size = list.kind.element();
        let start = HEADER + position * size;
        let tail = self.cells.modify(list.cell, start, HEADER + list.count * size - start)?;
        tail.copy_within(size.., 0);
        let kept = tail.len() - size;
        if let Some(last) = tail.get_mut(kept..) {
            last.fill(0);
        }
        self.cells.put(list.cell, 2, &(list.count.saturating_sub(1) as u16).to_le_bytes())
    }

    /// Enters a key into its parent's list. The caller writes `node` back.
    pub(super) fn insert_subkey(&mut self, node: &mut KeyNodeRaw, key: u32, name: &[u16]) -> Result<()> {
        let Some(Place { root, leaf, position, .. }) = self.place(node, name)? else {
            let kind = if self.minor >= FIRST_MINOR_WITH_HASH_LEAF { ListKind::Lh } else { ListKind::Lf };
            let list = self.add_list(kind, &kind.entry(key, name), false)?;
            node.subkey_list = list.into();
            return Ok(());
        };
        if leaf.count < MAX_LEAF {
            let cell = self.insert_element(leaf, position, &leaf.kind.entry(key, name))?;
            if cell != leaf.cell {
                match root {
                    None => node.subkey_list = cell.into(),
                    Some((root, index)) => {
                        self.cells.put(root.cell, HEADER + index * 4, &cell.to_le_bytes())?
                    }
                }
            }
            return Ok(());
        }
        let leaves = self.split(leaf, position, key, name, root.is_none())?;
        let Some((first, others)) = leaves.split_first() else { return Ok(()) };
        match root {
            None => {
                let offsets: Vec<u8> = leaves.iter().flat_map(|leaf| leaf.to_le_bytes()).collect();
                node.subkey_list = self.add_list(ListKind::Ri, &offsets, true)?.into();
            }
            Some((mut root, index)) => {
                self.cells.put(root.cell, HEADER + index * 4, &first.to_le_bytes())?;
                for (behind, leaf) in others.iter().enumerate() {
                    root.cell = self.insert_element(root, index + 1 + behind, &leaf.to_le_bytes())?;
                    root.count += 1;
                }
                node.subkey_list = root.cell.into();
            }
        }
        Ok(())
    }

    /// Cuts a full leaf, with one more key in it, into equal pieces (the shorter first).
    fn split(
        &mut self,
        leaf: List,
        position: usize,
        key: u32,
        name: &[u16],
        promoted: bool,
    ) -> Result<Vec<u32>> {
        // Below a root, leaves without hashes carry nothing but offsets.
        let kind = if promoted && leaf.kind == ListKind::Lf { ListKind::Li } else { leaf.kind };
        let bytes =
            self.cells.cell_part(leaf.cell, HEADER, leaf.count * leaf.kind.element(), "a subkey list")?;
        let mut entries: Vec<Vec<u8>> = bytes
            .chunks_exact(leaf.kind.element())
            .map(|entry| entry.get(..kind.element()).unwrap_or_default().to_vec())
            .collect();
        entries.insert(position.min(entries.len()), kind.entry(key, name));
        let pieces = entries.len().div_ceil(MAX_LEAF).max(2);
        let mut leaves = Vec::with_capacity(pieces);
        let mut rest = entries.as_slice();
        for left in (1..=pieces).rev() {
            let (piece, behind) = rest.split_at_checked(rest.len() / left).unwrap_or((rest, &[]));
            rest = behind;
            let piece = piece.concat();
            if leaves.is_empty() {
                self.cells.modify(leaf.cell, 0, HEADER + bytes_of(leaf))?.fill(0);
                self.write_list(leaf.cell, kind, &piece)?;
                leaves.push(leaf.cell);
            } else {
                leaves.push(self.add_list(kind, &piece, true)?);
            }
        }
        Ok(leaves)
    }

    /// Takes a key out of its parent's list. The caller writes `node` back.
    pub(super) fn remove_subkey(
        &mut self,
        node: &mut KeyNodeRaw,
        parent: u32,
        key: u32,
        name: &[u16],
    ) -> Result<()> {
        let place = match self.place(node, name)? {
            Some(place) if place.found == Some(key) => Some(place),
            _ => self.place_of_key(node, key)?,
        };
        let Some(Place { root, leaf, position, .. }) = place else {
            return Err(HiveError::structure(
                "the subkey list of the key",
                file_offset(parent),
                format!("the subkey at {:#x}", file_offset(key)),
                "a list without it",
            ));
        };
        if leaf.count > 1 {
            return self.remove_element(leaf, position);
        }
        self.cells.free(leaf.cell)?;
        match root {
            Some((root, index)) if root.count > 1 => self.remove_element(root, index)?,
            Some((root, _)) => {
                self.cells.free(root.cell)?;
                node.subkey_list = NIL.into();
            }
            None => node.subkey_list = NIL.into(),
        }
        Ok(())
    }

    /// Looks for a key by its offset, in a list whose order does not lead to it.
    fn place_of_key(&mut self, node: &KeyNodeRaw, key: u32) -> Result<Option<Place>> {
        if node.subkeys.get() == 0 || node.subkey_list.get() == NIL {
            return Ok(None);
        }
        let list = self.list(node.subkey_list.get())?;
        let leaves = if list.kind == ListKind::Ri { self.elements(list)? } else { vec![list.cell] };
        for (index, cell) in leaves.into_iter().enumerate() {
            let leaf = self.leaf(cell)?;
            if let Some(position) = self.elements(leaf)?.iter().position(|&found| found == key) {
                let root = (list.kind == ListKind::Ri).then_some((list, index));
                return Ok(Some(Place { root, leaf, position, found: Some(key) }));
            }
        }
        Ok(None)
    }

    /// Builds a key's list from subkeys in their final order, as Windows' serialiser does: one
    /// leaf of at most 507, else leaves of 507 below a root. Returns the list's cell.
    pub(super) fn build_subkey_list(&mut self, keys: &[(u32, crate::base::WinName)]) -> Result<u32> {
        const FULL: usize = 507;
        let hashed = self.minor >= FIRST_MINOR_WITH_HASH_LEAF;
        if keys.is_empty() {
            return Ok(NIL);
        }
        let kind = match (hashed, keys.len() > FULL) {
            (true, _) => ListKind::Lh,
            (false, false) => ListKind::Lf,
            (false, true) => ListKind::Li,
        };
        let mut leaves = Vec::new();
        for piece in keys.chunks(FULL) {
            let entries: Vec<u8> =
                piece.iter().flat_map(|(key, name)| kind.entry(*key, name.units())).collect();
            leaves.push(self.add_list(kind, &entries, false)?);
        }
        match leaves.as_slice() {
            [leaf] => Ok(*leaf),
            leaves => {
                let offsets: Vec<u8> = leaves.iter().flat_map(|leaf| leaf.to_le_bytes()).collect();
                self.add_list(ListKind::Ri, &offsets, false)
            }
        }
    }
}

/// The first element from a position on that has a hash: its position and its key.
fn next_with_hash(elements: &[[u8; 8]], from: usize, hash: u32) -> Option<(usize, u32)> {
    /// So many are looked at together, which the processor does in few steps.
    const TOGETHER: usize = 32;
    let has = |element: &[u8; 8]| (u64::from_le_bytes(*element) >> 32) as u32 == hash;
    let mut at = from;
    for block in elements.get(from..)?.chunks(TOGETHER) {
        if block.iter().fold(false, |found, element| found | has(element)) {
            let inside = block.iter().position(has)?;
            let key = u64::from_le_bytes(*block.get(inside)?) as u32;
            return Some((at + inside, key));
        }
        at += TOGETHER;
    }
    None
}

/// Length of a list's elements.
fn bytes_of(list: List) -> usize {
    list.count * list.kind.element()
}
