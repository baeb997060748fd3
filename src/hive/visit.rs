// SPDX-License-Identifier: GPL-3.0-or-later
//! A walk over keys and values that hands out what the records hold, without a copy of it.

use super::cell::NIL;
use super::digest::Budget;
use super::error::{HiveError, Result};
use super::file::KeyId;
use super::record::{KeyNodeRaw, MAX_DEPTH, ValueRaw};
use super::stored_name::StoredName;
use super::tree::{Tree, named, split_record};
use super::value::ValueType;
use crate::base::FileTime;

/// A key that a walk has come to.
#[derive(Clone, Copy, Debug)]
pub struct VisitedKey<'a> {
    /// The key.
    pub id: KeyId,
    /// How many levels it lies below the key that the walk began at.
    pub depth: usize,
    /// Its name.
    pub name: StoredName<'a>,
    /// When it was last written to.
    pub last_written: FileTime,
    /// How many subkeys its record counts.
    pub subkeys: u32,
    /// How many values its record counts.
    pub values: u32,
}

/// A value that a walk has come to, its data unread.
#[derive(Clone, Copy, Debug)]
pub struct VisitedValue<'a> {
    /// Its name; empty for the default value.
    pub name: StoredName<'a>,
    /// How its data are meant.
    pub kind: ValueType,
    /// Length of its data.
    pub length: usize,
}

/// One step of a walk: a key, then each of its values, then each of its subkeys likewise.
#[derive(Clone, Copy, Debug)]
pub enum Visit<'a> {
    /// A key.
    Key(VisitedKey<'a>),
    /// A value of the key before it.
    Value(VisitedValue<'a>),
}

/// Visits a key with everything below it, in stored order.
pub(super) fn visit(tree: &mut Tree, from: u32, mut visit: impl FnMut(Visit<'_>)) -> Result<()> {
    if from == tree.root {
        // All of it is wanted: one long read is quicker than many short ones.
        tree.cells.pages.load_all()?;
    }
    let mut budget = Budget::new(tree);
    let mut values: Vec<u32> = Vec::new();
    let mut pending = vec![(from, 0)];
    while let Some((key, depth)) = pending.pop() {
        budget.spend(key, size_of::<KeyNodeRaw>())?;
        if depth > MAX_DEPTH {
            let (found, limit) = (depth as u64, MAX_DEPTH as u64);
            return Err(HiveError::Limit { what: "the depth of a key", found, limit });
        }
        let (node, name) = split_record::<KeyNodeRaw>(tree.cells.cell(key)?, key, "a key node", *b"nk")?;
        visit(Visit::Key(VisitedKey {
            id: KeyId(key),
            depth,
            name: named(name, node.name_length.get(), node.is_compressed(), key)?,
            last_written: FileTime(node.last_written.get()),
            subkeys: node.subkeys.get(),
            values: node.values.get(),
        }));
        let node = *node;
        if node.values.get() > 0 && node.value_list.get() != NIL {
            values.clear();
            tree.extend_value_list(&node, &mut values)?;
            for &value in &values {
                budget.spend(value, size_of::<ValueRaw>())?;
                visit(Visit::Value(visited_value(tree, value)?));
            }
        }
        let first = pending.len();
        tree.each_subkey(&node, |subkey| pending.push((subkey, depth + 1)))?;
        if let Some(new) = pending.get_mut(first..) {
            new.reverse();
        }
    }
    Ok(())
}

fn visited_value(tree: &mut Tree, value: u32) -> Result<VisitedValue<'_>> {
    let (raw, name) = split_record::<ValueRaw>(tree.cells.cell(value)?, value, "a value", *b"vk")?;
    Ok(VisitedValue {
        name: named(name, raw.name_length.get(), raw.is_compressed(), value)?,
        kind: ValueType(raw.kind.get()),
        length: raw.data_length(),
    })
}
