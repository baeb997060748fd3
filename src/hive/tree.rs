// SPDX-License-Identifier: GPL-3.0-or-later
//! Keys over cells: reading nodes, creating and deleting keys, class names.
//!
//! An edit changes the last-written time of the key whose values, subkeys, class or security
//! changed, and of no other. Maxima are raised, never lowered, as Windows does.

use std::collections::HashMap;

use super::cell::{Cells, NIL, file_offset};
use super::error::{HiveError, Result};
use super::record::{
    BigDataRaw, KEY_COMPRESSED_NAME, KeyNodeRaw, MAX_DEPTH, MAX_KEY_NAME, Signed, Storage, ValueRaw,
};
use super::stored_name::{PackedName, StoredName};
use super::values::ValueIndex;
use crate::base::{FileTime, name};

/// The keys of a hive.
pub(super) struct Tree {
    pub(super) cells: Cells,
    pub(super) minor: u32,
    pub(super) root: u32,
    /// Value names of keys with very many values, by key.
    pub(super) value_indexes: HashMap<u32, ValueIndex>,
    /// Security cells by descriptor, once one was set.
    pub(super) security_index: Option<HashMap<Box<[u8]>, u32>>,
}

impl Tree {
    /// Keys over the cells of a hive of this minor version.
    pub(super) fn new(cells: Cells, minor: u32, root: u32) -> Self {
        Self { cells, minor, root, value_indexes: HashMap::new(), security_index: None }
    }

    /// Drops what was derived from the bytes, after they went back to an earlier state.
    pub(super) fn forget_derived(&mut self) {
        self.cells.forget_free_space();
        self.value_indexes.clear();
        self.security_index = None;
    }

    /// The record of a key.
    pub(super) fn node(&mut self, key: u32) -> Result<KeyNodeRaw> {
        Ok(*split_record(self.cells.cell(key)?, key, "a key node", *b"nk")?.0)
    }

    /// The stored name of a key.
    pub(super) fn key_name(&mut self, key: u32) -> Result<StoredName<'_>> {
        let (node, name) = split_record::<KeyNodeRaw>(self.cells.cell(key)?, key, "a key node", *b"nk")?;
        named(name, node.name_length.get(), node.is_compressed(), key)
    }

    /// The class name's bytes.
    pub(super) fn class(&mut self, key: u32) -> Result<Vec<u8>> {
        let node = self.node(key)?;
        let length = usize::from(node.class_length.get());
        if length == 0 || node.class.get() == NIL {
            return Ok(Vec::new());
        }
        Ok(self.cells.cell_part(node.class.get(), 0, length, "a class name")?.to_vec())
    }

    /// How many levels a key lies below the root.
    fn depth(&mut self, key: u32) -> Result<usize> {
        let mut depth = 0;
        let mut at = key;
        while at != self.root {
            depth += 1;
            if depth > MAX_DEPTH {
                return Err(HiveError::Limit {
                    what: "the depth of a key",
                    found: depth as u64,
                    limit: MAX_DEPTH as u64,
                });
            }
            at = self.node(at)?.parent.get();
        }
        Ok(depth)
    }

    /// Opens or creates a subkey.
    pub(super) fn create_subkey(&mut self, key: u32, name: &[u16], now: FileTime) -> Result<u32> {
        let mut parent = self.node(key)?;
        if let Some(found) = self.find_subkey(&parent, name)? {
            return Ok(found);
        }
        check_key_name(name)?;
        let depth = self.depth(key)? + 1;
        if depth > MAX_DEPTH {
            return Err(HiveError::Limit {
                what: "the depth of a key",
                found: depth as u64,
                limit: MAX_DEPTH as u64,
            });
        }
        self.security_record(parent.security.get())?;
        let created = self.add_node(key, name, parent.security.get(), now)?;
        self.change_references(parent.security.get(), 1)?;
        self.insert_subkey(&mut parent, created, name)?;
        parent.subkeys = parent.subkeys.get().saturating_add(1).into();
        let longest = u16::try_from(2 * name.len()).unwrap_or(u16::MAX);
        parent.max_subkey_name = parent.max_subkey_name.get().max(longest).into();
        parent.last_written = now.0.into();
        self.cells.put_record(key, &parent)?;
        Ok(created)
    }

    /// A new key node that nothing refers to yet.
    pub(super) fn add_node(
        &mut self,
        parent: u32,
        name: &[u16],
        security: u32,
        now: FileTime,
    ) -> Result<u32> {
        let packed = PackedName::new(name);
        let node = KeyNodeRaw {
            signature: *b"nk",
            flags: if packed.compressed { KEY_COMPRESSED_NAME } else { 0 }.into(),
            last_written: now.0.into(),
            access: 0,
            layered: 0,
            spare: 0.into(),
            parent: parent.into(),
            subkeys: 0.into(),
            volatile_subkeys: 0.into(),
            subkey_list: NIL.into(),
            volatile_list: NIL.into(),
            values: 0.into(),
            value_list: NIL.into(),
            security: security.into(),
            class: NIL.into(),
            max_subkey_name: 0.into(),
            virtualization: 0,
            debug: 0,
            max_subkey_class: 0.into(),
            max_value_name: 0.into(),
            max_value_data: 0.into(),
            work: 0.into(),
            name_length: u16::try_from(packed.bytes.len()).unwrap_or(u16::MAX).into(),
            class_length: 0.into(),
        };
        let cell = self.cells.allocate(size_of::<KeyNodeRaw>() + packed.bytes.len())?;
        self.cells.put_record(cell, &node)?;
        self.cells.put(cell, size_of::<KeyNodeRaw>(), &packed.bytes)?;
        Ok(cell)
    }

    /// Gives a key another name; returns its cell, which is another one where the name needs more
    /// room. Unlike Windows, which leaves the old cell behind, nothing is left.
    pub(super) fn rename_key(&mut self, key: u32, name: &[u16], now: FileTime) -> Result<u32> {
        if key == self.root {
            return Err(HiveError::RenameRoot);
        }
        check_key_name(name)?;
        let mut node = self.node(key)?;
        let old = self.key_name(key)?.to_name();
        if old.units() == name {
            return Ok(key);
        }
        let parent_offset = node.parent.get();
        let mut parent = self.node(parent_offset)?;
        if self.find_subkey(&parent, name)?.is_some_and(|found| found != key) {
            return Err(HiveError::KeyExists { name: name::display(name) });
        }
        let subkeys = self.subkeys(&node)?;
        for &subkey in &subkeys {
            self.node(subkey)?;
        }
        self.remove_subkey(&mut parent, parent_offset, key, old.units())?;
        let packed = PackedName::new(name);
        let header = size_of::<KeyNodeRaw>();
        node.flags = if packed.compressed {
            node.flags.get() | KEY_COMPRESSED_NAME
        } else {
            node.flags.get() & !KEY_COMPRESSED_NAME
        }
        .into();
        let old_length = usize::from(node.name_length.get());
        node.name_length = u16::try_from(packed.bytes.len()).unwrap_or(u16::MAX).into();
        node.last_written = now.0.into();
        let fits = header + packed.bytes.len() <= self.cells.cell_length(key)?;
        let renamed = if fits { key } else { self.cells.allocate(header + packed.bytes.len())? };
        self.cells.put_record(renamed, &node)?;
        self.cells.put(renamed, header, &packed.bytes)?;
        if fits {
            let rest = old_length.saturating_sub(packed.bytes.len());
            self.cells.put(renamed, header + packed.bytes.len(), &vec![0; rest])?;
        } else {
            self.cells.free(key)?;
            self.value_indexes.remove(&key);
            for subkey in subkeys {
                let mut below = self.node(subkey)?;
                below.parent = renamed.into();
                self.cells.put_record(subkey, &below)?;
            }
        }
        self.insert_subkey(&mut parent, renamed, name)?;
        let longest = u16::try_from(2 * name.len()).unwrap_or(u16::MAX);
        parent.max_subkey_name = parent.max_subkey_name.get().max(longest).into();
        parent.last_written = now.0.into();
        self.cells.put_record(parent_offset, &parent)?;
        Ok(renamed)
    }

    /// Deletes a key with everything below it.
    ///
    /// All cells are collected and checked first, so a damaged subtree is refused before
    /// anything changes.
    pub(super) fn delete_key(&mut self, key: u32, now: FileTime) -> Result<()> {
        if key == self.root {
            return Err(HiveError::DeleteRoot);
        }
        let parent_offset = self.node(key)?.parent.get();
        let mut parent = self.node(parent_offset)?;
        let plan = self.plan_deletion(key)?;
        let name = self.key_name(key)?.to_name();
        self.remove_subkey(&mut parent, parent_offset, key, name.units())?;
        parent.subkeys = parent.subkeys.get().saturating_sub(1).into();
        parent.last_written = now.0.into();
        self.cells.put_record(parent_offset, &parent)?;
        for cell in plan.cells {
            self.cells.free(cell)?;
        }
        for (security, count) in plan.security {
            self.change_references(security, -i64::from(count))?;
        }
        for key in plan.keys {
            self.value_indexes.remove(&key);
        }
        Ok(())
    }

    /// Everything that a key and its subtree own.
    fn plan_deletion(&mut self, key: u32) -> Result<Deletion> {
        let mut plan = Deletion::default();
        let mut pending = vec![(key, 0)];
        let limit = self.cells.bins_size() as usize / size_of::<KeyNodeRaw>();
        while let Some((key, depth)) = pending.pop() {
            if plan.keys.len() > limit || depth > MAX_DEPTH {
                let found = "a loop";
                return Err(HiveError::structure("a subkey list", file_offset(key), "a tree of keys", found));
            }
            let node = self.node(key)?;
            plan.keys.push(key);
            plan.cells.push(key);
            *plan.security.entry(node.security.get()).or_default() += 1;
            if node.class.get() != NIL && node.class_length.get() != 0 {
                plan.cells.push(node.class.get());
            }
            for subkey in self.subkeys(&node)? {
                pending.push((subkey, depth + 1));
            }
            self.subkey_list_cells(&node, &mut plan.cells)?;
            let values = self.value_list(&node)?;
            if node.value_list.get() != NIL && node.values.get() != 0 {
                plan.cells.push(node.value_list.get());
            }
            for value in values {
                plan.cells.push(value);
                let raw = self.value_record(value)?;
                self.data_cells(&raw, &mut plan.cells)?;
            }
        }
        plan.cells.sort_unstable();
        if let Some(twice) = plan.cells.windows(2).find_map(|pair| match pair {
            [first, second] if first == second => Some(*first),
            _ => None,
        }) {
            return Err(HiveError::structure("a cell", file_offset(twice), "one owner", "two"));
        }
        for &cell in &plan.cells {
            self.cells.cell_length(cell)?;
        }
        for &security in plan.security.keys() {
            self.security_record(security)?;
        }
        Ok(plan)
    }

    /// The cells that hold a value's data.
    pub(super) fn data_cells(&mut self, value: &ValueRaw, cells: &mut Vec<u32>) -> Result<()> {
        match value.storage(self.minor) {
            Storage::Inline | Storage::Nowhere => {}
            Storage::Cell => cells.push(value.data.get()),
            Storage::Segments => {
                let big: BigDataRaw = self.big_data_record(value)?;
                let segments = self.segments(&big)?;
                cells.push(value.data.get());
                cells.push(big.list.get());
                cells.extend(segments);
            }
        }
        Ok(())
    }

    /// Sets or (when empty) removes the class name.
    pub(super) fn set_class(&mut self, key: u32, class: &[u8], now: FileTime) -> Result<()> {
        let length = u16::try_from(class.len()).map_err(|_| HiveError::Limit {
            what: "the length of a class name",
            found: class.len() as u64,
            limit: u64::from(u16::MAX),
        })?;
        if self.class(key)? == class {
            return Ok(());
        }
        let mut node = self.node(key)?;
        if node.class.get() != NIL && node.class_length.get() != 0 {
            self.cells.free(node.class.get())?;
        }
        node.class = NIL.into();
        if length > 0 {
            let cell = self.cells.allocate(class.len())?;
            self.cells.put(cell, 0, class)?;
            node.class = cell.into();
        }
        node.class_length = length.into();
        node.last_written = now.0.into();
        self.cells.put_record(key, &node)?;
        if key != self.root && length > 0 {
            let parent_offset = node.parent.get();
            let mut parent = self.node(parent_offset)?;
            parent.max_subkey_class = parent.max_subkey_class.get().max(u32::from(length)).into();
            self.cells.put_record(parent_offset, &parent)?;
        }
        Ok(())
    }
}

/// The record at the beginning of a cell's data, with what follows it.
pub(super) fn split_record<'a, T: Signed>(
    data: &'a [u8],
    cell: u32,
    what: &'static str,
    signature: [u8; 2],
) -> Result<(&'a T, &'a [u8])> {
    let Ok((record, rest)) = T::ref_from_prefix(data) else {
        return Err(HiveError::structure(what, file_offset(cell), "a whole record", "less"));
    };
    if record.signature() != signature {
        let expected = format!("\"{}\"", signature.escape_ascii());
        let found = format!("{:02x?}", record.signature());
        return Err(HiveError::structure(T::SIGNATURE_NAME, file_offset(cell) + 4, expected, found));
    }
    Ok((record, rest))
}

/// The name that follows a record.
pub(super) fn named(rest: &[u8], length: u16, compressed: bool, cell: u32) -> Result<StoredName<'_>> {
    match rest.get(..usize::from(length)) {
        Some(bytes) => Ok(StoredName::new(bytes, compressed)),
        None => Err(HiveError::structure(
            "the length of a name",
            file_offset(cell),
            format!("at most {}, the room of its cell", rest.len()),
            length,
        )),
    }
}

/// Refuses a name that no key can have.
fn check_key_name(name: &[u16]) -> Result<()> {
    let refuse = |reason| Err(HiveError::KeyName { name: name::display(name), reason });
    if name.is_empty() {
        return refuse("it is empty");
    }
    if name.len() > MAX_KEY_NAME {
        return refuse("it has more than 255 characters");
    }
    if name.contains(&u16::from(b'\\')) {
        return refuse("it contains a backslash");
    }
    Ok(())
}

/// What the deletion of a subtree frees.
#[derive(Default)]
struct Deletion {
    keys: Vec<u32>,
    cells: Vec<u32>,
    /// How many of the keys share each security cell.
    security: HashMap<u32, u32>,
}
