// SPDX-License-Identifier: GPL-3.0-or-later
//! Writing into a hive. What is already so is not changed, times of its keys included: adding a
//! package twice must leave the hive byte for byte as it was.

use crate::base::{FileTime, Result, name};
use crate::hive::{Hive, KeyId, Value, ValueType};

use super::published_name::PublishedName;

/// The value that names the INFs that a service or a file belongs to.
pub(super) const OWNERS: &str = "Owners";

/// An open hive and the time to stamp on changed keys.
pub(super) struct Editor<'a> {
    pub(super) hive: &'a mut Hive,
    pub(super) now: FileTime,
    /// Whether anything was changed through this editor.
    pub(super) changed: bool,
}

impl<'a> Editor<'a> {
    pub(super) fn new(hive: &'a mut Hive, now: FileTime) -> Self {
        Self { hive, now, changed: false }
    }

    /// Opens or creates a path below a key. Empty components vanish.
    pub(super) fn key(&mut self, from: KeyId, path: &str) -> Result<KeyId> {
        let mut key = from;
        for component in path.split('\\').filter(|component| !component.is_empty()) {
            let component = name::units(component);
            key = match self.hive.subkey(key, &component)? {
                Some(found) => found,
                None => {
                    self.changed = true;
                    self.hive.create_subkey(key, &component, self.now)?
                }
            };
        }
        Ok(key)
    }

    /// A path below a key that must not be created.
    pub(super) fn find(&self, from: KeyId, path: &str) -> Result<Option<KeyId>> {
        find(self.hive, from, path)
    }

    /// Sets a value; one that is already so is left alone.
    pub(super) fn set(&mut self, key: KeyId, value: &Value) -> Result<()> {
        let old = self.hive.value(key, value.name.units())?;
        if old.is_some_and(|old| old.kind == value.kind && old.data == value.data) {
            return Ok(());
        }
        self.changed = true;
        self.hive.set_value(key, value, self.now)
    }

    /// Sets a value unless there is one of its name.
    pub(super) fn set_new(&mut self, key: KeyId, value: &Value) -> Result<()> {
        match self.hive.value(key, value.name.units())? {
            Some(_) => Ok(()),
            None => self.set(key, value),
        }
    }

    /// Deletes a value, where it is there.
    pub(super) fn delete_value(&mut self, key: KeyId, value: &str) -> Result<bool> {
        let deleted = self.hive.delete_value(key, &name::units(value), self.now)?;
        self.changed |= deleted;
        Ok(deleted)
    }

    /// Deletes a key with everything below it.
    pub(super) fn delete_key(&mut self, key: KeyId) -> Result<()> {
        self.changed = true;
        self.hive.delete_key(key, self.now)
    }

    /// Whether a key has neither values nor keys.
    pub(super) fn is_empty(&self, key: KeyId) -> Result<bool> {
        Ok(self.hive.subkeys(key)?.is_empty() && self.hive.values(key)?.is_empty())
    }

    /// A value of a key.
    pub(super) fn value(&self, key: KeyId, value: &str) -> Result<Option<Value>> {
        self.hive.value(key, &name::units(value))
    }

    /// Takes an INF out of `Owners`; gives who is left, nothing when it was no owner. An owner may
    /// be followed by `!<package>`, which goes with it.
    pub(super) fn remove_owner(
        &mut self,
        key: KeyId,
        published: PublishedName,
    ) -> Result<Option<Vec<String>>> {
        let Some(owners) = self.value(key, OWNERS)?.and_then(|value| value.as_multi_sz()) else {
            return Ok(None);
        };
        let name = published.to_string();
        let mut left = Vec::new();
        let mut ours = false;
        for owner in &owners {
            ours = if owner.starts_with('!') { ours } else { owner.eq_ignore_ascii_case(&name) };
            if !ours {
                left.push(owner.clone());
            }
        }
        if left.len() == owners.len() {
            return Ok(None);
        }
        if left.is_empty() {
            self.delete_value(key, OWNERS)?;
        } else {
            self.set(key, &Value::multi_sz(OWNERS, &left))?;
        }
        Ok(Some(left))
    }

    /// Puts `first` at the head of a list of strings, where it is not in it yet.
    pub(super) fn prepend(&mut self, key: KeyId, value: &str, first: &str) -> Result<()> {
        let old = self.value(key, value)?.and_then(|value| value.as_multi_sz()).unwrap_or_default();
        if old.iter().any(|owner| owner.eq_ignore_ascii_case(first)) {
            return Ok(());
        }
        let new: Vec<String> = std::iter::once(first.to_owned()).chain(old).collect();
        self.set(key, &Value::multi_sz(value, &new))
    }
}

/// A path below a key; empty components vanish.
pub(super) fn find(hive: &Hive, from: KeyId, path: &str) -> Result<Option<KeyId>> {
    let mut key = from;
    for component in path.split('\\').filter(|component| !component.is_empty()) {
        match hive.subkey(key, &name::units(component))? {
            Some(found) => key = found,
            None => return Ok(None),
        }
    }
    Ok(Some(key))
}

/// Text of a value, where both are there.
pub(super) fn text(hive: &Hive, key: KeyId, value: &str) -> Result<Option<String>> {
    Ok(hive.value(key, &name::units(value))?.and_then(|value| value.as_text()))
}

/// A value without data.
pub(super) fn empty(name: &str) -> Value {
    Value::new(name, ValueType::NONE, Vec::new())
}
