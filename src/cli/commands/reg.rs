// SPDX-License-Identifier: GPL-3.0-or-later
//! Commands about the registry of an image.

use super::super::values::Values;
use super::hive::{missing, no_key, no_value, reg_text, typed_value, value_name, written};
use super::{Changed, Found};
use crate::base::{Result, name};
use crate::hive::{self, Applied, KeyId, Listing, RegSection, RegWriter};
use crate::image::{HiveName, Session};
use crate::report::{RegistryEdit, RegistryListing};

/// `reg query`.
pub(crate) fn query(session: &mut Session, values: &Values) -> Result<Found> {
    let (hive, key, path) = existing_key(session, values)?;
    let value = value_name(values)?.map(name::units);
    let what = Listing { recursive: values.has("recursive"), value: value.as_deref(), text: None };
    let keys = hive::list(session.registry().require(hive)?, key, &path, &what)?;
    if keys.is_empty() {
        return Err(no_value(&path, value_name(values)?.unwrap_or_default()));
    }
    Ok(Box::new(RegistryListing { keys }))
}

/// `reg find`.
pub(crate) fn find(session: &mut Session, values: &Values) -> Result<Found> {
    let (hive, key, path) = existing_key(session, values)?;
    let text = name::units(values.text("text")?.ok_or_else(|| missing("the text"))?);
    let what = Listing { recursive: true, value: None, text: Some(&text) };
    let keys = hive::list(session.registry().require(hive)?, key, &path, &what)?;
    Ok(Box::new(RegistryListing { keys }))
}

/// `reg set`.
pub(crate) fn set(session: &mut Session, values: &Values) -> Result<Changed> {
    let section = RegSection::new(key_path(values)?, typed_value(values)?);
    let mut applied = Applied::default();
    session.registry().apply(&section, &mut applied)?;
    Ok(changed(applied))
}

/// `reg delete`.
pub(crate) fn delete(session: &mut Session, values: &Values) -> Result<Changed> {
    let path = key_path(values)?;
    let registry = session.registry();
    let mut applied = Applied::default();
    if registry.key(path)?.is_none() {
        return Err(no_key(path));
    }
    match value_name(values)? {
        Some(value) => {
            if !registry.delete_value(path, value)? {
                return Err(no_value(path, value));
            }
            applied.values_deleted = 1;
        }
        None => {
            registry.delete_key(path)?;
            applied.keys_deleted = 1;
        }
    }
    Ok(changed(applied))
}

/// `reg import`.
pub(crate) fn import(session: &mut Session, values: &Values) -> Result<Changed> {
    let text = reg_text(values)?;
    Ok(changed(session.registry().import(&text)?))
}

/// `reg export`.
pub(crate) fn export(session: &mut Session, values: &Values) -> Result<Found> {
    let (hive, key, path) = existing_key(session, values)?;
    let mut writer = RegWriter::default();
    let counts = hive::export(&mut writer, session.registry().require(hive)?, key, &name::units(&path))?;
    written(values, writer.finish(), counts)
}

fn changed(applied: Applied) -> Changed {
    let report = RegistryEdit { file: None, applied, written: false, changes: None, exceptions: Vec::new() };
    Changed { report: Box::new(report), keep: true }
}

fn key_path(values: &Values) -> Result<&str> {
    values.text("key")?.map(|key| key.trim_end_matches('\\')).ok_or_else(|| missing("the key"))
}

/// The key that was named, and its path as `.reg` files write it.
fn existing_key(session: &mut Session, values: &Values) -> Result<(HiveName, KeyId, String)> {
    let path = key_path(values)?;
    let (hive, key) = session.registry().key(path)?.ok_or_else(|| no_key(path))?;
    Ok((hive, key, full_root(path.trim_start_matches('\\'))))
}

/// The short name of a root written out.
fn full_root(path: &str) -> String {
    let (first, rest) = path.find('\\').map_or((path, ""), |end| path.split_at(end));
    let full = match first.to_ascii_uppercase().as_str() {
        "HKLM" => "HKEY_LOCAL_MACHINE",
        "HKCU" => "HKEY_CURRENT_USER",
        "HKU" => "HKEY_USERS",
        "HKCR" => "HKEY_CLASSES_ROOT",
        _ => return path.to_owned(),
    };
    format!("{full}{rest}")
}
