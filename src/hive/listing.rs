// SPDX-License-Identifier: GPL-3.0-or-later
//! Keys and values listed for a person or a script, the whole subtree and by search too.

use super::digest::Budget;
use super::file::{Hive, KeyId, Layer};
use super::value::{Value, ValueType};
use crate::base::{FileTime, Result, WinName, name};

/// One key of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyListing {
    /// Path with its root.
    pub key: WinName,
    /// When it was last written to.
    pub last_written: FileTime,
    /// The class name's bytes; empty where there is none.
    pub class: Vec<u8>,
    /// Where a symbolic link leads.
    pub link: Option<WinName>,
    /// What it does to the keys of lower layers.
    pub layer: Layer,
    /// The values that were asked for, in stored order.
    pub values: Vec<Value>,
    /// Names of its subkeys, unless these are listed themselves.
    pub subkeys: Vec<WinName>,
}

/// A text that is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Search<'a> {
    /// The text.
    pub text: &'a [u16],
    /// In names of keys.
    pub in_keys: bool,
    /// In names of values.
    pub in_names: bool,
    /// In data, as they are shown: text, numbers as `0x1f`, bytes as hex digits.
    pub in_data: bool,
    /// Capital letters are other letters.
    pub case_sensitive: bool,
    /// The whole name or data is the text.
    pub exact: bool,
}

impl<'a> Search<'a> {
    /// A text anywhere, in any case.
    pub fn anywhere(text: &'a [u16]) -> Self {
        Self { text, in_keys: true, in_names: true, in_data: true, case_sensitive: false, exact: false }
    }

    fn matches(&self, found: &[u16]) -> bool {
        let folded = |units: &[u16]| if self.case_sensitive { units.to_vec() } else { name::upcased(units) };
        let (found, wanted) = (folded(found), folded(self.text));
        if self.exact {
            return found == wanted;
        }
        wanted.is_empty() || found.windows(wanted.len()).any(|window| window == wanted)
    }

    fn matches_value(&self, value: &Value) -> bool {
        self.in_names && self.matches(value.name.units()) || self.in_data && self.matches_data(value)
    }

    fn matches_data(&self, value: &Value) -> bool {
        match value.kind {
            ValueType::SZ | ValueType::EXPAND_SZ | ValueType::LINK => {
                let mut text = name::units_from_le(&value.data);
                if text.last() == Some(&0) {
                    text.pop();
                }
                self.matches(&text)
            }
            ValueType::MULTI_SZ => {
                let text = name::units_from_le(&value.data);
                text.split(|&unit| unit == 0).filter(|text| !text.is_empty()).any(|text| self.matches(text))
            }
            _ => {
                let number = value.as_dword().map(u64::from).or_else(|| value.as_qword());
                let shown = match number {
                    Some(number) => format!("0x{number:x}"),
                    None => value.data.iter().map(|byte| format!("{byte:02X}")).collect(),
                };
                self.matches(&name::units(&shown))
            }
        }
    }
}

/// What is listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing<'a> {
    /// Everything below the key too.
    pub recursive: bool,
    /// Only values of this name.
    pub value: Option<&'a [u16]>,
    /// Only values of these types; all where there is none.
    pub types: &'a [ValueType],
    /// Only keys and values that hold a text.
    pub search: Option<Search<'a>>,
}

/// Lists a key; `path` is its path with its root.
///
/// # Errors
/// When the hive is damaged or cannot be read.
pub fn list(hive: &Hive, key: KeyId, path: &[u16], what: &Listing<'_>) -> Result<Vec<KeyListing>> {
    let mut budget = hive.read(|tree| Ok(Budget::new(tree)))?;
    let mut found = Vec::new();
    let mut pending = vec![(key, path.to_vec())];
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
        let mut names: Vec<WinName> = match what.recursive || what.value.is_some() {
            true => Vec::new(),
            false => subkeys.iter().map(|(_, name)| name.clone()).collect(),
        };
        let mut shown = what.value.is_none() || !values.is_empty();
        if !what.types.is_empty() {
            values.retain(|value| what.types.contains(&value.kind));
            shown = !values.is_empty();
            names.clear();
        }
        if let Some(search) = &what.search {
            values.retain(|value| search.matches_value(value));
            names.retain(|name| search.in_keys && search.matches(name.units()));
            let named = search.in_keys && what.recursive && search.matches(hive.name(key)?.units());
            shown = !values.is_empty() || !names.is_empty() || named;
        }
        if shown {
            found.push(KeyListing {
                key: WinName::from(path.as_slice()),
                last_written: hive.last_written(key)?,
                class: hive.class(key)?,
                link: hive.link_target(key)?,
                layer: hive.layer(key)?,
                values,
                subkeys: names,
            });
        }
        if what.recursive {
            for (subkey, name) in subkeys.into_iter().rev() {
                pending.push((subkey, [path.as_slice(), &[u16::from(b'\\')], name.units()].concat()));
            }
        }
    }
    Ok(found)
}
