// SPDX-License-Identifier: GPL-3.0-or-later
//! The canonical digest of a tree, by which two tools can tell that they read the same.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Write as _;

use super::cell::file_offset;
use super::error::{HiveError, Result};
use super::tree::Tree;
use crate::base::name;
use crate::digest::{Sha256, sha1};

/// Counts keys and values and digests the tree as the hive stores it: no order and no parent
/// is checked, so a damaged hive has a digest as long as its cells can be read.
pub(super) fn digest(tree: &mut Tree) -> Result<(u64, u64, String)> {
    let mut lines = Sha256::default();
    let mut descriptors: HashMap<u32, String> = HashMap::new();
    let mut budget = Budget::new(tree);
    let (mut keys, mut values) = (0, 0);
    let mut pending = vec![(tree.root, String::new())];
    while let Some((key, path)) = pending.pop() {
        let node = tree.node(key)?;
        keys += 1;
        budget.spend(key, size_of_val(&node))?;
        let security = node.security.get();
        let descriptor = match descriptors.entry(security) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let hash = sha1(&tree.descriptor(security)?);
                new.insert(hex(hash.get(..6).unwrap_or_default()))
            }
        };
        let class = hex(&tree.class(key)?);
        let line =
            format!("K\t{path}\t{}\t{:x}\t{class}\t{descriptor}\n", node.last_written, node.flags.get());
        lines.update(line.as_bytes());
        for cell in tree.value_list(&node)? {
            let value = tree.read_value(cell)?;
            values += 1;
            budget.spend(cell, 20 + value.data.len())?;
            let name = name::display(value.name.units());
            let data = hex(sha1(&value.data).get(..8).unwrap_or_default());
            let line = format!("V\t{path}\t{name}\t{}\t{}\t{data}\n", value.kind.0, value.data.len());
            lines.update(line.as_bytes());
        }
        let subkeys = tree.subkeys(&node)?;
        for subkey in subkeys.into_iter().rev() {
            let name = tree.key_name(subkey)?.to_name();
            pending.push((subkey, format!("{path}\\{name}")));
        }
    }
    Ok((keys, values, hex(lines.finish().get(..16).unwrap_or_default())))
}

/// Ends the walk of a hive whose lists lead to the same cells again and again: what all keys
/// and values take can not be more than a few times the hive.
pub(super) struct Budget(usize);

impl Budget {
    /// A budget for one walk of a tree.
    pub(super) fn new(tree: &Tree) -> Self {
        Self(tree.cells.bins_size() as usize * 4)
    }

    /// Takes note of a record.
    pub(super) fn spend(&mut self, cell: u32, bytes: usize) -> Result<()> {
        self.0 = self.0.checked_sub(bytes).ok_or_else(|| {
            HiveError::structure("a list of keys or values", file_offset(cell), "a tree", "a loop")
        })?;
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
