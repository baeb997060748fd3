// SPDX-License-Identifier: GPL-3.0-or-later
//! Copying a subtree from one hive into another, key by key: names, times, flags, class names,
//! security, values in their order. What cannot be read either ends the copy, or is left out and
//! told.

use std::collections::HashSet;

use super::cell::file_offset;
use super::digest::Budget;
use super::error::{HiveError, Result};
use super::record::{
    INLINE, KEY_COMPRESSED_NAME, KEY_HIVE_ENTRY, KEY_NO_DELETE, KeyNodeRaw, MAX_DEPTH, VALUE_TOMBSTONE,
};
use super::tree::Tree;
use super::value::{Value, ValueType};
use crate::base::{FileTime, WinName, name};

/// Something of a damaged hive that could not be saved.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Loss {
    /// Path of the key it belongs to, from the root.
    pub key: String,
    /// Where in the damaged file, as far as that is known.
    pub offset: u64,
    /// What is missing and why.
    pub message: String,
}

/// What a copy took over.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Grafted {
    /// Keys, the topmost included.
    pub keys: u64,
    /// Values.
    pub values: u64,
}

/// What happens where the source cannot be read.
enum Damage {
    Ends,
    IsTold(Vec<Loss>),
}

/// A copy being made.
pub(super) struct Graft {
    damage: Damage,
    /// Key cells of the source that were read.
    pub(super) visited: HashSet<u32>,
    pub(super) grafted: Grafted,
    budget: Budget,
}

/// A key whose content waits to be copied.
struct Pending {
    from: u32,
    to: u32,
    path: Vec<u16>,
    depth: usize,
}

impl Graft {
    /// A copy that ends at the first damage.
    pub(super) fn strict(from: &Tree) -> Self {
        Self::new(from, Damage::Ends)
    }

    /// A copy that leaves out what is damaged.
    pub(super) fn lenient(from: &Tree) -> Self {
        Self::new(from, Damage::IsTold(Vec::new()))
    }

    fn new(from: &Tree, damage: Damage) -> Self {
        Self { damage, visited: HashSet::new(), grafted: Grafted::default(), budget: Budget::new(from) }
    }

    /// What was left out.
    pub(super) fn into_losses(self) -> Vec<Loss> {
        match self.damage {
            Damage::Ends => Vec::new(),
            Damage::IsTold(losses) => losses,
        }
    }

    /// Takes note of damage, or ends the copy.
    fn lose(&mut self, path: &[u16], cell: u32, what: &str, error: HiveError) -> Result<()> {
        match &mut self.damage {
            Damage::Ends => Err(error),
            Damage::IsTold(losses) => {
                let message = format!("{what}: {error}");
                losses.push(Loss { key: name::display(path), offset: file_offset(cell), message });
                Ok(())
            }
        }
    }

    /// Copies the content of a key and everything below it into a key that has none yet.
    pub(super) fn copy(&mut self, from: &mut Tree, key: u32, to: &mut Tree, target: u32) -> Result<()> {
        self.visited.insert(key);
        let mut pending = vec![Pending { from: key, to: target, path: Vec::new(), depth: 0 }];
        // Times are set last: every edit below a key changes its own.
        let mut written = Vec::new();
        while let Some(next) = pending.pop() {
            let node = match from.node(next.from) {
                Ok(node) => node,
                Err(error) => {
                    self.lose(&next.path, next.from, "a key", error)?;
                    continue;
                }
            };
            self.budget.spend(next.from, size_of::<KeyNodeRaw>())?;
            self.grafted.keys += 1;
            self.content(from, &next, &node, to)?;
            written.push((next.to, node.last_written.get()));
            let first = pending.len();
            self.subkeys(from, &next, &node, to, &mut pending)?;
            if let Some(new) = pending.get_mut(first..) {
                new.reverse();
            }
        }
        for (key, time) in written {
            let mut node = to.node(key)?;
            node.last_written = time.into();
            to.cells.put_record(key, &node)?;
        }
        Ok(())
    }

    /// Flags, class, security and values of a key.
    fn content(&mut self, from: &mut Tree, next: &Pending, node: &KeyNodeRaw, to: &mut Tree) -> Result<()> {
        const OF_THE_PLACE: u16 = KEY_COMPRESSED_NAME | KEY_HIVE_ENTRY | KEY_NO_DELETE;
        let mut copy = to.node(next.to)?;
        let mut own = node.flags.get() & !OF_THE_PLACE;
        own |= copy.flags.get() & OF_THE_PLACE;
        copy.flags = own.into();
        copy.access = node.access;
        copy.layered = node.layered;
        copy.virtualization = node.virtualization;
        copy.debug = node.debug;
        to.cells.put_record(next.to, &copy)?;
        match from.class(next.from) {
            Ok(class) => to.set_class(next.to, &class, FileTime::default())?,
            Err(error) => self.lose(&next.path, next.from, "a class name", error)?,
        }
        match from.descriptor(node.security.get()) {
            Ok(descriptor) => to.set_security(next.to, &descriptor, FileTime::default())?,
            Err(error) => {
                self.lose(&next.path, next.from, "security, which is that of the key above now", error)?;
            }
        }
        let values = match from.value_list(node) {
            Ok(values) => values,
            Err(error) => return self.lose(&next.path, next.from, "all values of the key", error),
        };
        for cell in values {
            if let Err(error) = self.value(from, cell, to, next.to) {
                self.lose(&next.path, cell, "a value", error)?;
            }
        }
        Ok(())
    }

    fn value(&mut self, from: &mut Tree, cell: u32, to: &mut Tree, key: u32) -> Result<()> {
        let raw = from.value_record(cell)?;
        let name = from.value_name(cell)?.to_name();
        let data = from.read_data(cell, &raw)?;
        self.budget.spend(cell, 20 + data.len())?;
        let node = to.node(key)?;
        if let Some(other) = to.find_value(key, &node, name.units())? {
            return Err(HiveError::structure(
                "a value",
                file_offset(cell),
                "a name of its own",
                format!("the second one called {name} (kept: the one at {:#x})", file_offset(other)),
            ));
        }
        let value = Value { name, kind: ValueType(raw.kind.get()), data };
        to.set_value(key, &value, FileTime::default())?;
        if raw.flags.get() & VALUE_TOMBSTONE != 0 {
            let node = to.node(key)?;
            if let Some(copy) = to.find_value(key, &node, value.name.units())? {
                let mut tombstone = to.value_record(copy)?;
                tombstone.flags = raw.flags;
                if raw.length.get() & INLINE == 0 {
                    (tombstone.length, tombstone.data) = (raw.length, raw.data);
                }
                to.cells.put_record(copy, &tombstone)?;
            }
        }
        self.grafted.values += 1;
        Ok(())
    }

    /// Creates the subkeys of a key; their content waits.
    fn subkeys(
        &mut self,
        from: &mut Tree,
        next: &Pending,
        node: &KeyNodeRaw,
        to: &mut Tree,
        pending: &mut Vec<Pending>,
    ) -> Result<()> {
        let leaves = match from.leaves(node) {
            Ok(leaves) => leaves,
            Err(error) => return self.lose(&next.path, next.from, "all subkeys of the key", error),
        };
        for leaf in leaves {
            let keys = match from.leaf_keys(leaf) {
                Ok(keys) => keys,
                Err(error) => {
                    self.lose(&next.path, leaf, "some of the subkeys", error)?;
                    continue;
                }
            };
            for key in keys {
                match self.subkey(from, key, next, to) {
                    Ok((created, path)) => {
                        pending.push(Pending { from: key, to: created, path, depth: next.depth + 1 });
                    }
                    Err(error) => self.lose(&next.path, key, "a subkey", error)?,
                }
            }
        }
        Ok(())
    }

    fn subkey(
        &mut self,
        from: &mut Tree,
        key: u32,
        next: &Pending,
        to: &mut Tree,
    ) -> Result<(u32, Vec<u16>)> {
        let what = "an element of a subkey list";
        if next.depth >= MAX_DEPTH {
            return Err(HiveError::structure(what, file_offset(key), "at most 512 levels", "deeper"));
        }
        from.node(key)?;
        let name: WinName = from.key_name(key)?.to_name();
        if !self.visited.insert(key) {
            return Err(HiveError::structure(
                what,
                file_offset(key),
                "a key of its own",
                "one that was met before",
            ));
        }
        let parent = to.node(next.to)?;
        if to.find_subkey(&parent, name.units())?.is_some() {
            let found = format!("the second one called {name}");
            return Err(HiveError::structure(what, file_offset(key), "a name of its own", found));
        }
        let created = to.create_subkey(next.to, name.units(), FileTime::default())?;
        let mut path = next.path.clone();
        if !path.is_empty() {
            path.push(u16::from(b'\\'));
        }
        path.extend_from_slice(name.units());
        Ok((created, path))
    }
}
