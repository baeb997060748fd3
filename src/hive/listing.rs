// SPDX-License-Identifier: GPL-3.0-or-later
//! Keys and values listed for a person or a script, the whole subtree and by search too.

use super::digest::Budget;
use super::file::{Hive, KeyId};
use super::value::{Value, ValueType};
use crate::base::{FileTime, Result, WinName, name};

/// One key of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyListing {
    /// Path with its root.
    pub key: String,
    /// When it was last written to.
    pub last_written: FileTime,
    /// The values that were asked for, in stored order.
    pub values: Vec<Value>,
    /// Names of its subkeys, unless these are listed themselves.
    pub subkeys: Vec<WinName>,
}

/// What is listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing<'a> {
    /// Everything below the key too.
    pub recursive: bool,
    /// Only values of this name.
    pub value: Option<&'a [u16]>,
    /// Only keys whose name, and values whose name or text, hold this in any case.
    pub text: Option<&'a [u16]>,
}

/// Lists a key; `path` is its path with its root.
///
/// # Errors
/// When the hive is damaged or cannot be read.
pub fn list(hive: &Hive, key: KeyId, path: &str, what: &Listing<'_>) -> Result<Vec<KeyListing>> {
    let wanted = what.text.map(name::upcased);
    let mut budget = hive.read(|tree| Ok(Budget::new(tree)))?;
    let mut found = Vec::new();
    let mut pending = vec![(key, path.to_owned())];
    while let Some((key, path)) = pending.pop() {
        budget.spend(key.0, 76)?;
        let mut values = match what.value {
            Some(name) => hive.value(key, name)?.into_iter().collect(),
            None => hive.values(key)?,
        };
        for value in &values {
            budget.spend(key.0, 20 + value.data.len())?;
        }
        let mut subkeys = Vec::new();
        for subkey in hive.subkeys(key)? {
            subkeys.push((subkey, hive.name(subkey)?));
        }
        let names = if what.recursive || what.value.is_some() {
            Vec::new()
        } else {
            subkeys.iter().map(|(_, name)| name.clone()).collect()
        };
        let mut shown = what.value.is_none() || !values.is_empty();
        if let Some(wanted) = &wanted {
            values.retain(|value| holds(value.name.units(), wanted) || text_holds(value, wanted));
            shown = !values.is_empty() || holds(hive.name(key)?.units(), wanted);
        }
        if shown {
            let last_written = hive.last_written(key)?;
            found.push(KeyListing { key: path.clone(), last_written, values, subkeys: names });
        }
        if what.recursive {
            let below = subkeys.into_iter().rev().map(|(subkey, name)| (subkey, format!("{path}\\{name}")));
            pending.extend(below);
        }
    }
    Ok(found)
}

/// Whether a name holds an upcased text.
fn holds(name: &[u16], wanted: &[u16]) -> bool {
    wanted.is_empty() || name::upcased(name).windows(wanted.len()).any(|window| window == wanted)
}

fn text_holds(value: &Value, wanted: &[u16]) -> bool {
    let is_text =
        matches!(value.kind, ValueType::SZ | ValueType::EXPAND_SZ | ValueType::LINK | ValueType::MULTI_SZ);
    is_text && holds(&name::units_from_le(&value.data), wanted)
}
