// SPDX-License-Identifier: GPL-3.0-or-later
//! Rewriting a hive from its root: cells in the order of the tree, security shared, maxima
//! exact, nothing that the tree does not reach.

use std::collections::HashMap;
use std::sync::Arc;

use super::base_block::BaseBlockRaw;
use super::cell::NIL;
use super::digest::Budget;
use super::error::{HiveError, Result};
use super::file::{empty_tree, set_root};
use super::record::{KEY_HIVE_ENTRY, KEY_NO_DELETE, KeyNodeRaw, MAX_DEPTH, VALUE_TOMBSTONE};
use super::tree::Tree;
use super::values::raise_value_maxima;
use crate::base::WinName;

/// A key whose subkeys are being written.
struct Open {
    from: u32,
    to: u32,
    /// Subkeys still to be copied, last first.
    rest: Vec<u32>,
    done: Vec<(u32, WinName)>,
}

/// The bytes of the rewritten hive, or of a hive whose root is a key of this one.
pub(super) fn compact(from: &mut Tree, key: u32, sequence: u32) -> Result<Vec<u8>> {
    let mut base = BaseBlockRaw::parse(from.cells.pages.read(0, size_of::<BaseBlockRaw>())?)?;
    let whole = key == from.root;
    if !whole {
        // The transaction manager's identifiers belong to the hive that the key lies in.
        (base.rm_id, base.log_id, base.tm_id) = ([0; 16], [0; 16], [0; 16]);
        base.flags = 0.into();
        base.file_name = [0; 64];
        base.rest.fill(0);
    }
    base.primary_sequence = sequence.into();
    base.secondary_sequence = sequence.into();
    let mut to = empty_tree(Arc::new(Vec::new()), &base, from.minor)?;
    if whole {
        let length = 4096 - size_of::<BaseBlockRaw>();
        let rest = from.cells.pages.read(size_of::<BaseBlockRaw>(), length)?.to_vec();
        to.cells.pages.write(size_of::<BaseBlockRaw>(), &rest)?;
    }
    let mut copier = Copier { budget: Budget::new(from), security: HashMap::new() };
    let root = copier.open(from, &mut to, key, NIL)?;
    let new_root = root.to;
    if !whole {
        let mut node = to.node(new_root)?;
        node.flags = (node.flags.get() | KEY_HIVE_ENTRY | KEY_NO_DELETE).into();
        to.cells.put_record(new_root, &node)?;
    }
    set_root(&mut to, new_root)?;
    let mut stack = vec![root];
    while let Some(top) = stack.last_mut() {
        if let Some(subkey) = top.rest.pop() {
            let parent = top.to;
            if stack.len() > MAX_DEPTH {
                let (found, limit) = (stack.len() as u64, MAX_DEPTH as u64);
                return Err(HiveError::Limit { what: "the depth of a key", found, limit });
            }
            let open = copier.open(from, &mut to, subkey, parent)?;
            stack.push(open);
        } else if let Some(done) = stack.pop() {
            close(&mut to, &done)?;
            let name = from.key_name(done.from)?.to_name();
            if let Some(parent) = stack.last_mut() {
                parent.done.push((done.to, name));
            }
        }
    }
    set_root(&mut to, new_root)?;
    Ok(to.cells.pages.all()?.to_vec())
}

struct Copier {
    budget: Budget,
    /// New security cells by old ones.
    security: HashMap<u32, u32>,
}

impl Copier {
    /// Copies a key with its class and values; its subkeys wait.
    fn open(&mut self, from: &mut Tree, to: &mut Tree, key: u32, parent: u32) -> Result<Open> {
        let old = from.node(key)?;
        let name = from.key_name(key)?.to_name();
        self.budget.spend(key, size_of::<KeyNodeRaw>())?;
        let new = to.add_node(parent, name.units(), NIL, Default::default())?;
        let security = self.security(from, to, &old, new)?;
        let mut node = KeyNodeRaw {
            parent: parent.into(),
            volatile_subkeys: 0.into(),
            subkey_list: NIL.into(),
            volatile_list: NIL.into(),
            values: 0.into(),
            value_list: NIL.into(),
            security: security.into(),
            class: NIL.into(),
            class_length: 0.into(),
            max_subkey_name: 0.into(),
            max_subkey_class: 0.into(),
            max_value_name: 0.into(),
            max_value_data: 0.into(),
            work: 0.into(),
            name_length: to.node(new)?.name_length,
            flags: (old.flags.get() & !super::record::KEY_COMPRESSED_NAME | to.node(new)?.flags.get()).into(),
            ..old
        };
        let class = from.class(key)?;
        if !class.is_empty() {
            let cell = to.cells.allocate(class.len())?;
            to.cells.put(cell, 0, &class)?;
            node.class = cell.into();
            node.class_length = old.class_length;
        }
        self.values(from, to, &old, &mut node)?;
        to.cells.put_record(new, &node)?;
        let mut rest = from.subkeys(&old)?;
        rest.reverse();
        let done = Vec::with_capacity(rest.len());
        Ok(Open { from: key, to: new, rest, done })
    }

    fn security(&mut self, from: &mut Tree, to: &mut Tree, old: &KeyNodeRaw, new: u32) -> Result<u32> {
        let known = self.security.get(&old.security.get()).copied();
        let cell = match known {
            Some(cell) => cell,
            None => {
                let descriptor = from.descriptor(old.security.get())?;
                let cell = if self.security.is_empty() {
                    let cell = to.add_security(&descriptor)?;
                    // The ring is found from the root, which is the first key.
                    let mut root = to.node(new)?;
                    root.security = cell.into();
                    to.cells.put_record(new, &root)?;
                    to.root = new;
                    cell
                } else {
                    to.security_cell(&descriptor)?
                };
                self.security.insert(old.security.get(), cell);
                cell
            }
        };
        to.change_references(cell, 1)?;
        Ok(cell)
    }

    fn values(
        &mut self,
        from: &mut Tree,
        to: &mut Tree,
        old: &KeyNodeRaw,
        node: &mut KeyNodeRaw,
    ) -> Result<()> {
        let values = from.value_list(old)?;
        if values.is_empty() {
            return Ok(());
        }
        let list = to.cells.allocate(values.len() * 4)?;
        for (index, &cell) in values.iter().enumerate() {
            let raw = from.value_record(cell)?;
            let value = from.read_value(cell)?;
            self.budget.spend(cell, 20 + value.data.len())?;
            let copy = to.add_value(value.name.units(), value.kind.0, &value.data)?;
            if raw.flags.get() & VALUE_TOMBSTONE != 0 {
                let mut tombstone = to.value_record(copy)?;
                tombstone.flags = raw.flags;
                tombstone.length = raw.length;
                tombstone.data = raw.data;
                to.cells.put_record(copy, &tombstone)?;
            }
            to.cells.put(list, index * 4, &copy.to_le_bytes())?;
            raise_value_maxima(node, value.name.units().len(), value.data.len());
        }
        node.values = (values.len() as u32).into();
        node.value_list = list.into();
        Ok(())
    }
}

/// Writes a key's subkey list once all of them stand.
fn close(to: &mut Tree, key: &Open) -> Result<()> {
    let list = to.build_subkey_list(&key.done)?;
    let mut node = to.node(key.to)?;
    node.subkeys = (key.done.len() as u32).into();
    node.subkey_list = list.into();
    for (subkey, name) in &key.done {
        let longest = u16::try_from(2 * name.units().len()).unwrap_or(u16::MAX);
        node.max_subkey_name = node.max_subkey_name.get().max(longest).into();
        let class = to.node(*subkey)?.class_length.get().into();
        node.max_subkey_class = node.max_subkey_class.get().max(class).into();
    }
    to.cells.put_record(key.to, &node)
}
