// SPDX-License-Identifier: GPL-3.0-or-later
//! Carrying out a section of a `.reg` file on a hive.

use super::RegSection;
use crate::base::{FileTime, Result};
use crate::hive::value::Value;
use crate::hive::{Hive, KeyId};

/// What a text changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Applied {
    /// Keys that were not there before, parents included.
    pub keys_created: u64,
    /// `[-KEY]` sections whose key was there.
    pub keys_deleted: u64,
    /// Values that were set, changed by it or not.
    pub values_set: u64,
    /// Values that were there and are gone.
    pub values_deleted: u64,
}

/// Does what a section says; `path` is its key below the root of the hive.
///
/// # Errors
/// When a name does not fit a hive, or the hive is damaged.
pub fn apply(
    hive: &mut Hive,
    section: &RegSection,
    path: &[u16],
    now: FileTime,
    applied: &mut Applied,
) -> Result<()> {
    if section.delete {
        if let Some(key) = walk(hive, path)? {
            hive.delete_key(key, now)?;
            applied.keys_deleted += 1;
        }
        return Ok(());
    }
    let mut key = hive.root();
    for component in components(path) {
        key = match hive.subkey(key, component)? {
            Some(found) => found,
            None => {
                applied.keys_created += 1;
                hive.create_subkey(key, component, now)?
            }
        };
    }
    for assignment in &section.values {
        match &assignment.data {
            Some((kind, data)) => {
                let value = Value { name: assignment.name.clone(), kind: *kind, data: data.clone() };
                hive.set_value(key, &value, now)?;
                applied.values_set += 1;
            }
            None => {
                applied.values_deleted += u64::from(hive.delete_value(key, assignment.name.units(), now)?);
            }
        }
    }
    Ok(())
}

fn components(path: &[u16]) -> impl Iterator<Item = &[u16]> {
    path.split(|&unit| unit == u16::from(b'\\')).filter(|component| !component.is_empty())
}

fn walk(hive: &Hive, path: &[u16]) -> Result<Option<KeyId>> {
    let mut key = hive.root();
    for component in components(path) {
        match hive.subkey(key, component)? {
            Some(found) => key = found,
            None => return Ok(None),
        }
    }
    Ok(Some(key))
}
