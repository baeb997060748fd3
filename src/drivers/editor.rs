// SPDX-License-Identifier: GPL-3.0-or-later
//! Writing into a hive. What is already so is not changed, times of its keys included: adding a
//! package twice must leave the hive byte for byte as it was.

use crate::base::{FileTime, Result, name};
use crate::hive::{Hive, KeyId, Value, ValueType};

/// An open hive and the time to stamp on changed keys.
pub(super) struct Editor<'a> {
    pub(super) hive: &'a mut Hive,
    pub(super) now: FileTime,
}

impl Editor<'_> {
    /// Opens or creates a path below a key. Empty components vanish.
    pub(super) fn key(&mut self, from: KeyId, path: &str) -> Result<KeyId> {
        let mut key = from;
        for component in path.split('\\').filter(|component| !component.is_empty()) {
            key = self.hive.create_subkey(key, &name::units(component), self.now)?;
        }
        Ok(key)
    }

    /// A path below a key that must not be created.
    pub(super) fn find(&self, from: KeyId, path: &str) -> Result<Option<KeyId>> {
        find(self.hive, from, path)
    }

    /// Sets a value; one that is already so is left alone.
    pub(super) fn set(&mut self, key: KeyId, value: &Value) -> Result<()> {
        self.hive.set_value(key, value, self.now)
    }

    /// Sets a value unless there is one of its name.
    pub(super) fn set_new(&mut self, key: KeyId, value: &Value) -> Result<()> {
        match self.hive.value(key, value.name.units())? {
            Some(_) => Ok(()),
            None => self.hive.set_value(key, value, self.now),
        }
    }

    /// A value of a key.
    pub(super) fn value(&self, key: KeyId, value: &str) -> Result<Option<Value>> {
        self.hive.value(key, &name::units(value))
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
