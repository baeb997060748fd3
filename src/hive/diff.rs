// SPDX-License-Identifier: GPL-3.0-or-later
//! Differences of two hives, key by key.

use std::cmp::Ordering;

use super::digest::Budget;
use super::error::Result;
use super::file::{Hive, KeyId};
use super::value::Value;
use crate::base::{self, WinName, name};

/// One difference, as an edit that leads from the old hive to the new one.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum RegistryChange {
    /// A key is new. Its values and subkeys follow as changes of their own.
    KeyAdded {
        /// Path from the root, components separated by `\`.
        key: WinName,
    },
    /// A key is gone, with everything below it.
    KeyRemoved {
        /// Path from the root.
        key: WinName,
    },
    /// A value is new or differs.
    ValueSet {
        /// Path of its key.
        key: WinName,
        /// Name of the value.
        name: WinName,
        /// Type.
        kind: u32,
        /// Data.
        data: Vec<u8>,
        /// Type and data before; nothing for a new value.
        old: Option<(u32, Vec<u8>)>,
    },
    /// A value is gone.
    ValueRemoved {
        /// Path of its key.
        key: WinName,
        /// Name of the value.
        name: WinName,
    },
}

impl RegistryChange {
    /// The same change of a tree that stands below a key.
    #[must_use]
    pub fn below(self, path: &[u16]) -> Self {
        let full = |key: WinName| join(&WinName::from(path), &key);
        match self {
            Self::KeyAdded { key } => Self::KeyAdded { key: full(key) },
            Self::KeyRemoved { key } => Self::KeyRemoved { key: full(key) },
            Self::ValueSet { key, name, kind, data, old } => {
                Self::ValueSet { key: full(key), name, kind, data, old }
            }
            Self::ValueRemoved { key, name } => Self::ValueRemoved { key: full(key), name },
        }
    }
}

/// The keys and values in which `new` differs from `old`. Times, classes and security are not
/// compared, nor is the spelling of names.
///
/// # Errors
/// When one of the hives is damaged or cannot be read.
pub fn diff(old: &Hive, new: &Hive) -> base::Result<Vec<RegistryChange>> {
    diff_keys((old, old.root()), (new, new.root()), true)
}

/// [`diff`] of two keys; paths are those below them. Both may be of one hive. Without `recursive`
/// only the values of the keys themselves and the names of their subkeys are compared.
///
/// # Errors
/// As [`diff`].
pub fn diff_keys(
    (old, old_root): (&Hive, KeyId),
    (new, new_root): (&Hive, KeyId),
    recursive: bool,
) -> base::Result<Vec<RegistryChange>> {
    let mut comparison = Comparison { old, new, changes: Vec::new() };
    let mut budgets = (old.read(|tree| Ok(Budget::new(tree)))?, new.read(|tree| Ok(Budget::new(tree)))?);
    let mut pending = vec![Step::Both(old_root, new_root, WinName::default())];
    while let Some(step) = pending.pop() {
        // Pushed in reverse, so that changes come in the order of the tree.
        let first = pending.len();
        match step {
            Step::Both(old_key, new_key, path) => {
                spend(&mut budgets.0, old_key)?;
                spend(&mut budgets.1, new_key)?;
                comparison.values(Some(old_key), new_key, &path)?;
                comparison.subkeys(old_key, new_key, &path, &mut pending)?;
                if !recursive {
                    pending.retain(|step| !matches!(step, Step::Both(..)));
                }
            }
            Step::Added(key, path) => {
                spend(&mut budgets.1, key)?;
                comparison.changes.push(RegistryChange::KeyAdded { key: path.clone() });
                if !recursive {
                    continue;
                }
                comparison.values(None, key, &path)?;
                for subkey in new.subkeys(key)? {
                    let path = join(&path, &new.name(subkey)?);
                    pending.push(Step::Added(subkey, path));
                }
            }
            Step::Removed(path) => comparison.changes.push(RegistryChange::KeyRemoved { key: path }),
        }
        if let Some(steps) = pending.get_mut(first..) {
            steps.reverse();
        }
    }
    Ok(comparison.changes)
}

fn spend(budget: &mut Budget, key: KeyId) -> Result<()> {
    budget.spend(key.0, 76)
}

fn join(path: &WinName, name: &WinName) -> WinName {
    if path.is_empty() {
        return name.clone();
    }
    if name.is_empty() {
        return path.clone();
    }
    WinName::new([path.units(), &[u16::from(b'\\')], name.units()].concat())
}

enum Step {
    Both(KeyId, KeyId, WinName),
    Added(KeyId, WinName),
    Removed(WinName),
}

struct Comparison<'a> {
    old: &'a Hive,
    new: &'a Hive,
    changes: Vec<RegistryChange>,
}

impl Comparison<'_> {
    fn values(&mut self, old_key: Option<KeyId>, new_key: KeyId, path: &WinName) -> base::Result<()> {
        let old = old_key.map(|key| self.old.values(key)).transpose()?.unwrap_or_default();
        let new = self.new.values(new_key)?;
        if old == new {
            return Ok(());
        }
        let same = |left: &Value, right: &Value| name::same(left.name.units(), right.name.units());
        for value in old.iter().filter(|value| !new.iter().any(|other| same(value, other))) {
            self.changes.push(RegistryChange::ValueRemoved { key: path.clone(), name: value.name.clone() });
        }
        for value in new {
            let before = old.iter().find(|other| same(&value, other));
            if before.is_some_and(|old| old.kind == value.kind && old.data == value.data) {
                continue;
            }
            self.changes.push(RegistryChange::ValueSet {
                key: path.clone(),
                old: before.map(|old| (old.kind.0, old.data.clone())),
                name: value.name,
                kind: value.kind.0,
                data: value.data,
            });
        }
        Ok(())
    }

    fn subkeys(&self, old: KeyId, new: KeyId, path: &WinName, pending: &mut Vec<Step>) -> base::Result<()> {
        let named = |hive: &Hive, key| -> base::Result<Vec<(KeyId, WinName)>> {
            let mut keys: Vec<(KeyId, WinName)> = hive
                .subkeys(key)?
                .into_iter()
                .map(|subkey| Ok((subkey, hive.name(subkey)?)))
                .collect::<base::Result<_>>()?;
            if !keys.is_sorted_by(|left, right| name::compare(left.1.units(), right.1.units()).is_le()) {
                keys.sort_by(|left, right| name::compare(left.1.units(), right.1.units()));
            }
            Ok(keys)
        };
        let mut old = named(self.old, old)?.into_iter().peekable();
        let mut new = named(self.new, new)?.into_iter().peekable();
        loop {
            let order = match (old.peek(), new.peek()) {
                (None, None) => return Ok(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((_, left)), Some((_, right))) => name::compare(left.units(), right.units()),
            };
            let removed = if order.is_le() { old.next() } else { None };
            let added = if order.is_ge() { new.next() } else { None };
            match (removed, added) {
                (Some((left, _)), Some((right, name))) => {
                    pending.push(Step::Both(left, right, join(path, &name)));
                }
                (Some((_, name)), None) => pending.push(Step::Removed(join(path, &name))),
                (None, Some((key, name))) => pending.push(Step::Added(key, join(path, &name))),
                (None, None) => return Ok(()),
            }
        }
    }
}
