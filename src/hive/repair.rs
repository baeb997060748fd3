// SPDX-License-Identifier: GPL-3.0-or-later
//! Putting right in place what has only one right form: counts, order, hashes, parents, maxima,
//! the ring of security records, cells that belong to nothing. Nothing that can be read is given
//! up, and each repair is told.

use std::collections::{BTreeMap, HashSet};

use super::cell::{NIL, file_offset};
use super::check::{self, Finding, Rule, Severity};
use super::error::{HiveError, Result};
use super::record::{INLINE, KeyNodeRaw, MAX_DEPTH, SecurityRaw, Storage};
use super::tree::Tree;
use super::values::raise_value_maxima;
use crate::base::{WinName, name};

/// Something that was put right.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Repair {
    /// Which rule was broken.
    pub rule: Rule,
    /// Where, as a position in the file.
    pub offset: u64,
    /// What was done.
    pub message: String,
}

/// Damage under which the tree cannot be trusted: an edit could make it worse.
const BEYOND: [Rule; 9] = [
    Rule::BaseBlock,
    Rule::Length,
    Rule::Bin,
    Rule::Cell,
    Rule::Reference,
    Rule::Ownership,
    Rule::Record,
    Rule::BigData,
    Rule::Depth,
];

/// Repairs what can be repaired.
pub(super) fn repair(tree: &mut Tree) -> Result<Vec<Repair>> {
    let findings = check::check(tree.cells.pages.all()?).findings;
    let stands_against = |finding: &&Finding| {
        finding.severity == Severity::Error
            && (BEYOND.contains(&finding.rule) || finding.rule == Rule::TooMany)
    };
    if let Some(finding) = findings.iter().find(stands_against) {
        let finding = format!("{} at offset {:#x}", finding.message, finding.offset);
        return Err(HiveError::BeyondRepair { finding });
    }
    let mut workshop = Workshop { repairs: Vec::new(), references: BTreeMap::new() };
    workshop.keys(tree)?;
    workshop.security(tree)?;
    workshop.leaks(tree)?;
    for joined in tree.cells.coalesce()? {
        workshop.note(Rule::Coalescing, joined, "joined with the free cell before it");
    }
    tree.forget_derived();
    Ok(workshop.repairs)
}

struct Workshop {
    repairs: Vec<Repair>,
    /// How many keys name each security record.
    references: BTreeMap<u32, u32>,
}

impl Workshop {
    fn note(&mut self, rule: Rule, cell: u32, message: impl Into<String>) {
        self.repairs.push(Repair { rule, offset: file_offset(cell), message: message.into() });
    }

    fn keys(&mut self, tree: &mut Tree) -> Result<()> {
        let mut pending = vec![(tree.root, 0)];
        while let Some((key, depth)) = pending.pop() {
            if depth > MAX_DEPTH {
                return Err(HiveError::structure("a key", file_offset(key), "at most 512 levels", "deeper"));
            }
            let node = tree.node(key)?;
            *self.references.entry(node.security.get()).or_default() += 1;
            let mut mended = node;
            let subkeys = self.subkeys(tree, key, &mut mended)?;
            self.values(tree, key, &mut mended)?;
            if mended.class.get() == NIL && mended.class_length.get() != 0 {
                mended.class_length = 0.into();
                self.note(Rule::Record, key, "the length of a class name that is not there set to 0");
            }
            tree.cells.put_record(key, &mended)?;
            pending.extend(subkeys.into_iter().rev().map(|subkey| (subkey, depth + 1)));
        }
        Ok(())
    }

    /// Count, order, hashes, parents and maxima of a key's subkeys.
    fn subkeys(&mut self, tree: &mut Tree, key: u32, node: &mut KeyNodeRaw) -> Result<Vec<u32>> {
        if node.subkeys.get() == 0 {
            if node.subkey_list.get() != NIL {
                node.subkey_list = NIL.into();
                self.note(Rule::StaleList, key, "a list of subkeys taken from a key that has none");
            }
            return Ok(Vec::new());
        }
        let keys = tree.subkeys(node)?;
        if keys.len() != node.subkeys.get() as usize {
            let message = format!("the count of subkeys set from {} to {}", node.subkeys, keys.len());
            node.subkeys = (keys.len() as u32).into();
            self.note(Rule::Count, key, message);
        }
        let mut named: Vec<(u32, WinName)> = Vec::with_capacity(keys.len());
        for key in keys {
            named.push((key, tree.key_name(key)?.to_name()));
        }
        if !named.is_sorted_by(|left, right| name::compare(left.1.units(), right.1.units()).is_le()) {
            named.sort_by(|left, right| name::compare(left.1.units(), right.1.units()));
            let mut old = Vec::new();
            tree.subkey_list_cells(node, &mut old)?;
            node.subkey_list = tree.build_subkey_list(&named)?.into();
            for cell in old {
                tree.cells.free(cell)?;
            }
            self.note(Rule::Order, key, "its subkeys put into order");
        }
        for leaf in tree.leaves(node)? {
            let mended = tree.mend_leaf(leaf)?;
            if mended > 0 {
                self.note(Rule::Hash, leaf, format!("{mended} hashes or hints of names put right"));
            }
        }
        let (mut longest_name, mut longest_class) = (0u16, 0u32);
        for (subkey, name) in &named {
            let mut below = tree.node(*subkey)?;
            longest_name = longest_name.max(u16::try_from(2 * name.units().len()).unwrap_or(u16::MAX));
            longest_class = longest_class.max(below.class_length.get().into());
            if below.parent.get() != key {
                below.parent = key.into();
                tree.cells.put_record(*subkey, &below)?;
                self.note(Rule::Parent, *subkey, format!("the parent of {name} put right"));
            }
        }
        if node.max_subkey_name.get() < longest_name || node.max_subkey_class.get() < longest_class {
            node.max_subkey_name = node.max_subkey_name.get().max(longest_name).into();
            node.max_subkey_class = node.max_subkey_class.get().max(longest_class).into();
            self.note(Rule::Maximum, key, "the lengths of the longest subkey name and class raised");
        }
        Ok(named.into_iter().map(|(key, _)| key).collect())
    }

    fn values(&mut self, tree: &mut Tree, key: u32, node: &mut KeyNodeRaw) -> Result<()> {
        if node.values.get() == 0 {
            if node.value_list.get() != NIL {
                node.value_list = NIL.into();
                self.note(Rule::StaleList, key, "a list of values taken from a key that has none");
            }
            return Ok(());
        }
        let before = (node.max_value_name, node.max_value_data);
        for value in tree.value_list(node)? {
            let mut raw = tree.value_record(value)?;
            if raw.storage(tree.minor) == Storage::Nowhere && raw.data.get() != NIL {
                raw.length = INLINE.into();
                raw.data = 0.into();
                tree.cells.put_record(value, &raw)?;
                self.note(Rule::Inline, value, "empty data stored as Windows stores them");
            }
            let units = tree.value_name(value)?.len();
            raise_value_maxima(node, units, raw.data_length());
        }
        if before != (node.max_value_name, node.max_value_data) {
            self.note(Rule::Maximum, key, "the lengths of the longest value name and data raised");
        }
        Ok(())
    }

    /// One ring of all records that keys name, each with its true count.
    fn security(&mut self, tree: &mut Tree) -> Result<()> {
        let wanted: Vec<u32> = self.references.keys().copied().collect();
        let ring = ring(tree)?;
        let known: HashSet<u32> = ring.iter().copied().collect();
        let missing = wanted.iter().any(|cell| !known.contains(cell));
        let mut order: Vec<u32> =
            ring.iter().copied().filter(|cell| self.references.contains_key(cell)).collect();
        order.extend(wanted.iter().copied().filter(|cell| !known.contains(cell)));
        if missing {
            let root = tree.root;
            self.note(Rule::SecurityRing, root, "security records that keys name put into one ring");
        }
        for (index, &cell) in order.iter().enumerate() {
            let next = order.get(index + 1).or(order.first()).copied().unwrap_or(cell);
            let previous = index.checked_sub(1).and_then(|index| order.get(index)).or(order.last());
            let previous = previous.copied().unwrap_or(cell);
            let count = self.references.get(&cell).copied().unwrap_or_default();
            let mut raw = tree.security_record(cell)?;
            if raw.references.get() != count {
                let message = format!("the count of references set from {} to {count}", raw.references);
                raw.references = count.into();
                self.note(Rule::ReferenceCount, cell, message);
            }
            if (raw.next.get(), raw.previous.get()) != (next, previous) {
                (raw.next, raw.previous) = (next.into(), previous.into());
                self.note(Rule::SecurityRing, cell, "its neighbours in the ring put right");
            }
            tree.cells.put_record(cell, &raw)?;
        }
        let unnamed: Vec<u32> = ring.into_iter().filter(|cell| !self.references.contains_key(cell)).collect();
        for cell in unnamed {
            tree.cells.free(cell)?;
            self.note(Rule::ReferenceCount, cell, "a security record that no key names dropped");
        }
        Ok(())
    }

    /// Frees what belongs to nothing, and tells what it was.
    fn leaks(&mut self, tree: &mut Tree) -> Result<()> {
        let findings = check::check(tree.cells.pages.all()?).findings;
        for finding in findings.into_iter().filter(|finding| finding.rule == Rule::Leak) {
            let Ok(cell) = u32::try_from(finding.offset.saturating_sub(super::page::PAGE as u64)) else {
                continue;
            };
            let what = what_is(tree, cell)?;
            tree.cells.free(cell)?;
            self.note(Rule::Leak, cell, format!("{what} that belongs to nothing dropped"));
        }
        Ok(())
    }
}

/// The ring as far as it can be followed from the root's record.
fn ring(tree: &mut Tree) -> Result<Vec<u32>> {
    let root = tree.root;
    let head = tree.node(root)?.security.get();
    let limit = tree.cells.bins_size() as usize / size_of::<SecurityRaw>();
    let (mut ring, mut seen, mut cell) = (Vec::new(), HashSet::new(), head);
    while ring.len() <= limit && seen.insert(cell) {
        let Ok(raw) = tree.security_record(cell) else { break };
        ring.push(cell);
        cell = raw.next.get();
    }
    Ok(ring)
}

/// What an allocated cell holds, for people.
fn what_is(tree: &mut Tree, cell: u32) -> Result<String> {
    let length = tree.cells.cell_length(cell)?;
    let start: [u8; 2] = tree.cells.cell_part(cell, 0, 2, "a cell")?.try_into().unwrap_or_default();
    let what = match &start {
        b"nk" => tree.key_name(cell).map(|name| format!("a key called {}", name.to_name())),
        b"vk" => tree.value_name(cell).map(|name| format!("a value called {}", name.to_name())),
        b"sk" => Ok("a security record".to_owned()),
        b"lf" | b"lh" | b"li" | b"ri" => Ok("a list of subkeys".to_owned()),
        _ => Ok("a cell".to_owned()),
    };
    Ok(format!("{} of {} bytes", what.unwrap_or_else(|_| "a broken record".to_owned()), length + 4))
}
