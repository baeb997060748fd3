// SPDX-License-Identifier: GPL-3.0-or-later
//! Commands about the registry of an image.

use std::io::Read as _;

use super::super::target::{Images, Target};
use super::super::values::Values;
use super::access;
use super::hive::{change_text, missing, no_key, no_value, reg_text, typed_value, value_name, written};
use super::hive_file::write_new;
use super::search::{Query, top_key};
use super::{Changed, Found};
use crate::base::{Arch, Code, Error, ErrorClass, Result, WinName, name};
use crate::hive::{
    self, Applied, KeyId, Listing, PrimaryFile, RegAssignment, RegSection, RegWriter, RegistryChange,
};
use crate::image::{self, HiveName, RegistryDifference, Session, SessionDiff};
use crate::report::{ChangeList, Detail, HiveWritten, RegistryComparison, RegistryEdit};
use crate::wim::{ImageIndex, Wim};

/// `reg query`.
pub(crate) fn query(session: &mut Session, values: &Values) -> Result<Found> {
    let query = Query::read(values, "find")?;
    let path = key_path(session, values, "key")?;
    if let Some(subkeys) = session.registry().top_key(&name::units(&path))? {
        return Ok(Box::new(top_key(&full_root(&path), subkeys)));
    }
    listed(session, values, &query)
}

/// `reg find`.
pub(crate) fn find(session: &mut Session, values: &Values) -> Result<Found> {
    let mut values = values.clone();
    values.set("recursive");
    let query = Query::read(&values, "text")?;
    listed(session, &values, &query)
}

fn listed(session: &mut Session, values: &Values, query: &Query) -> Result<Found> {
    let (hive, key, path) = existing_key(session, values, "key")?;
    let hive = session.registry().require(hive)?;
    let keys = hive::list(hive, key, &name::units(&path), &query.listing())?;
    Ok(Box::new(query.found(keys, &path)?))
}

/// `reg set`.
pub(crate) fn set(session: &mut Session, values: &Values) -> Result<Changed> {
    let path = key_path(session, values, "key")?;
    let section = RegSection::new(&path, typed_value(values)?);
    let mut applied = Applied::default();
    session.registry().apply(&section, &mut applied)?;
    if let Some(class) = values.text("class")? {
        set_class(session, section.key.units(), &name::units_to_le(&name::units(class)))?;
    }
    Ok(changed(applied))
}

fn set_class(session: &mut Session, path: &[u16], class: &[u8]) -> Result<()> {
    let registry = session.registry();
    let now = registry.now();
    if let Some((hive, key)) = registry.key_units(path)? {
        registry.require(hive)?.set_class(key, class, now)?;
    }
    Ok(())
}

/// `reg delete`.
pub(crate) fn delete(session: &mut Session, values: &Values) -> Result<Changed> {
    let path = key_path(session, values, "key")?;
    let registry = session.registry();
    let mut applied = Applied::default();
    let Some((hive, key)) = registry.link_or_key(&name::units(&path))? else { return Err(no_key(&path)) };
    match value_name(values)? {
        _ if values.has("all") => {
            let now = registry.now();
            let hive = registry.require(hive)?;
            for value in hive.values(key)? {
                applied.values_deleted += u64::from(hive.delete_value(key, value.name.units(), now)?);
            }
        }
        Some(value) => {
            if !registry.delete_value(&path, value)? {
                return Err(no_value(&path, value));
            }
            applied.values_deleted = 1;
        }
        None => {
            registry.delete_key(&path)?;
            applied.keys_deleted = 1;
        }
    }
    Ok(changed(applied))
}

/// `reg rename`.
pub(crate) fn rename(session: &mut Session, values: &Values) -> Result<Changed> {
    let path = key_path(session, values, "key")?;
    let new = values.text("new_name")?.ok_or_else(|| missing("the new name"))?;
    let registry = session.registry();
    let now = registry.now();
    let (hive, key) = registry.link_or_key(&name::units(&path))?.ok_or_else(|| no_key(&path))?;
    registry.require(hive)?.rename_key(key, &name::units(new), now)?;
    Ok(changed(Applied::default()))
}

/// `reg copy`.
pub(crate) fn copy(session: &mut Session, values: &Values) -> Result<Changed> {
    let (hive, key, from) = existing_key(session, values, "key")?;
    let to = name::units(&key_path(session, values, "to")?);
    let from = name::units(&from);
    let what = Listing { recursive: values.has("recursive"), ..Listing::default() };
    // Listed before anything is written: the copy may lie below what is copied.
    let keys = hive::list(session.registry().require(hive)?, key, &from, &what)?;
    let mut applied = Applied::default();
    for found in keys {
        let below = found.key.units().get(from.len()..).unwrap_or_default();
        let target = [to.as_slice(), below].concat();
        let values = found.values.into_iter().map(|value| RegAssignment {
            line: 0,
            name: value.name,
            data: Some((value.kind, value.data)),
        });
        let key = WinName::from(target.as_slice());
        let section = RegSection { line: 0, key, delete: false, values: values.collect() };
        session.registry().apply(&section, &mut applied)?;
        if !found.class.is_empty() {
            set_class(session, &target, &found.class)?;
        }
    }
    Ok(changed(applied))
}

/// `reg compare`.
pub(crate) fn compare(session: &mut Session, values: &Values) -> Result<Found> {
    let (old_name, old_key, _) = existing_key(session, values, "key")?;
    let (new_name, new_key, _) = existing_key(session, values, "other")?;
    let registry = session.registry();
    let (Some(old), Some(new)) = (registry.opened(old_name), registry.opened(new_name)) else {
        return Err(Error::new(ErrorClass::Internal, "a hive that was looked into is not open"));
    };
    let mut changes = hive::diff_keys((old, old_key), (new, new_key), values.has("recursive"))?;
    if let Some(wanted) = value_name(values)?.map(name::units) {
        changes.retain(|change| match change {
            RegistryChange::ValueSet { name, .. } | RegistryChange::ValueRemoved { name, .. } => {
                name::same(name.units(), &wanted)
            }
            RegistryChange::KeyAdded { .. } | RegistryChange::KeyRemoved { .. } => false,
        });
    }
    let identical = changes.is_empty();
    let mut report = comparison(values, RegistryDifference { changes, ..RegistryDifference::default() });
    // The status that reg.exe ends with.
    report.error = (!identical)
        .then(|| Error::new(ErrorClass::NotFound, "the keys are different").with_code(Code::FILE_NOT_FOUND));
    Ok(Box::new(report))
}

fn comparison(values: &Values, difference: RegistryDifference) -> RegistryComparison {
    let identical = difference == RegistryDifference::default();
    let texts = |names: Vec<WinName>| names.iter().map(ToString::to_string).collect();
    let detail = if values.has("summary") { Detail::Counts } else { Detail::Full };
    let diff = SessionDiff { files: Vec::new(), registry: difference.changes };
    RegistryComparison {
        changes: ChangeList::new(diff, detail),
        identical,
        only_old: texts(difference.only_old),
        only_new: texts(difference.only_new),
        error: None,
    }
}

/// `reg diff`.
pub(crate) fn diff(session: &mut Session, values: &Values) -> Result<Found> {
    let key = values.text("key")?.map(|_| key_path(session, values, "key")).transpose()?;
    let path = values.path("other")?.ok_or_else(|| missing("what to compare with"))?;
    let difference = if is_hive(&path) {
        with_hive(session, &path, key.as_deref())?
    } else {
        let mut other = other_image(session, values)?;
        let key = key.as_deref().map(name::units);
        session.registry().compare(other.registry(), key.as_deref())?
    };
    if values.has("output") {
        if let Some(hive) = difference.only_old.first() {
            let message = format!("only the first image has the hive {hive}: .reg text cannot take it away");
            return Err(Error::new(ErrorClass::Unsupported, message).with_hint("name a key that both have"));
        }
        return change_text(values, &difference.changes, "");
    }
    Ok(Box::new(comparison(values, difference)))
}

fn is_hive(path: &std::path::Path) -> bool {
    let mut start = [0; 4];
    std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == *b"regf"
}

/// The difference of a key from the root of a hive file.
fn with_hive(session: &mut Session, path: &std::path::Path, key: Option<&str>) -> Result<RegistryDifference> {
    let file = PrimaryFile::open(path, session.environment().ignore_dirty)?;
    let key = key.map_or_else(|| file.usual_root(), str::to_owned);
    let (hive, found) = session.registry().key(&key)?.ok_or_else(|| no_key(&key))?;
    let ours = session.registry().require(hive)?;
    let changes = hive::diff_keys((ours, found), (&file.hive, file.hive.root()), true)?;
    let key = name::units(&key);
    let changes = changes.into_iter().map(|change| change.below(&key)).collect();
    Ok(RegistryDifference { changes, ..RegistryDifference::default() })
}

/// The other image, opened as this one was.
fn other_image(session: &Session, values: &Values) -> Result<Session> {
    let target =
        Target::new("other", values, &Values::default())?.ok_or_else(|| missing("the other image"))?;
    let index = match target.images {
        Images::Index(index) => index,
        _ => {
            let wim = Wim::open(&target.file)?;
            if wim.image_count() != 1 {
                let file = target.file.display();
                return Err(Error::new(ErrorClass::Usage, format!("{file} holds several images"))
                    .with_code(Code::INVALID_PARAMETER)
                    .with_hint(format!("name one of them, as in {file}:1")));
            }
            ImageIndex(std::num::NonZeroU32::MIN)
        }
    };
    Session::open_wim(&target.file, index, session.environment().clone())
}

/// `reg acl`.
pub(crate) fn acl(session: &mut Session, values: &Values) -> Result<Changed> {
    let (hive, key, path) = existing_key(session, values, "key")?;
    let registry = session.registry();
    let now = registry.now();
    let report = access::access(registry.require(hive)?, key, &path, values, now)?;
    Ok(Changed { report: Box::new(report), keep: true })
}

/// `reg import`.
pub(crate) fn import(session: &mut Session, values: &Values) -> Result<Changed> {
    let mut text = reg_text(values)?;
    if is_32_bit_view(session, values)? {
        for section in &mut text.sections {
            section.key = WinName::new(image::redirected(section.key.units()));
        }
    }
    Ok(changed(session.registry().import(&text)?))
}

/// `reg export`.
pub(crate) fn export(session: &mut Session, values: &Values) -> Result<Found> {
    let (hive, key, path) = existing_key(session, values, "key")?;
    let mut writer = RegWriter::default();
    let counts = hive::export(&mut writer, session.registry().require(hive)?, key, &name::units(&path))?;
    written(values, writer.finish(), counts)
}

/// `reg save`.
pub(crate) fn save(session: &mut Session, values: &Values) -> Result<Found> {
    let (hive, key, _) = existing_key(session, values, "key")?;
    let path = values.path("output")?.ok_or_else(|| missing("the hive file to write"))?;
    let bytes = session.registry().require(hive)?.subtree(key)?;
    let dry_run = values.has("dry_run");
    write_new(&path, &bytes, dry_run)?;
    let length = bytes.len() as u64;
    Ok(Box::new(HiveWritten { file: path, length_before: None, length, dry_run, exceptions: Vec::new() }))
}

/// `reg restore`.
pub(crate) fn restore(session: &mut Session, values: &Values) -> Result<Changed> {
    let path = values.path("file")?.ok_or_else(|| missing("the hive file"))?;
    let file = PrimaryFile::open(&path, session.environment().ignore_dirty)?;
    let key = key_path(session, values, "key")?;
    let registry = session.registry();
    let (hive, key) = registry.create_key(&key)?;
    let grafted = registry.require(hive)?.replace_subtree(key, &file.hive, file.hive.root())?;
    let applied = Applied {
        keys_created: grafted.keys.saturating_sub(1),
        values_set: grafted.values,
        ..Applied::default()
    };
    Ok(changed(applied))
}

/// `reg load` and `reg unload`.
pub(crate) fn load(_: &mut Session, _: &Values) -> Result<Found> {
    Err(Error::new(ErrorClass::Unsupported, "hives of an image need not be loaded or unloaded")
        .with_code(Code::NOT_SUPPORTED)
        .with_hint(
            "name the key itself, as in reg query HKLM\\SOFTWARE; for a hive file use the commands of hive",
        ))
}

fn changed(applied: Applied) -> Changed {
    let report = RegistryEdit {
        file: None,
        applied,
        written: false,
        changes: None,
        dry_run: false,
        exceptions: Vec::new(),
    };
    Changed { report: Box::new(report), keep: true }
}

/// Whether `--view 32` means anything for this image.
fn is_32_bit_view(session: &Session, values: &Values) -> Result<bool> {
    let has_two = matches!(session.windows().arch, Arch::Amd64 | Arch::Arm64);
    Ok(has_two && values.text("view")? == Some("32"))
}

fn key_path(session: &Session, values: &Values, id: &str) -> Result<String> {
    let path = values.text(id)?.ok_or_else(|| missing("the key"))?.trim_end_matches('\\');
    if is_32_bit_view(session, values)? {
        return Ok(name::display(&image::redirected(&name::units(path))));
    }
    Ok(path.to_owned())
}

/// The key that was named, and its path as `.reg` files write it.
fn existing_key(session: &mut Session, values: &Values, id: &str) -> Result<(HiveName, KeyId, String)> {
    let path = key_path(session, values, id)?;
    let (hive, key) = session.registry().key(&path)?.ok_or_else(|| no_key(&path))?;
    Ok((hive, key, full_root(&path)))
}

/// The short name of a root written out.
fn full_root(path: &str) -> String {
    name::display(&hive::full_root(&name::units(path.trim_start_matches('\\'))))
}
