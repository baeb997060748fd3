// SPDX-License-Identifier: GPL-3.0-or-later
//! Commands about hive files, without an image around them.

use std::io::Write as _;

use super::super::values::Values;
use super::Found;
use super::access;
use super::hive_file::{exceptions, save};
use super::search::Query;
use crate::base::{Code, Context as _, Error, ErrorClass, Result, name};
use crate::hive::{self, Applied, KeyId, PrimaryFile, RegText, RegWriter, RegistryChange, Value};
use crate::image::{Environment, SessionDiff};
use crate::io::AtomicFile;
use crate::report::{ChangeList, Detail, RegTextReport, RegistryEdit};

/// `hive query`.
pub(crate) fn query(environment: &Environment, values: &Values) -> Result<Found> {
    let file = open(environment, values, "file")?;
    let (key, path) = existing_key(&file, values)?;
    let query = Query::read(values, "find")?;
    let keys = hive::list(&file.hive, key, &name::units(&path), &query.listing())?;
    Ok(Box::new(query.found(keys, &path)?))
}

/// `hive set`.
pub(crate) fn set(environment: &Environment, values: &Values) -> Result<Found> {
    let mut file = open_to_edit(environment, values)?;
    let path = below(&file, values, values.text("key")?.unwrap_or_default())?;
    let section = hive::RegSection::new(&path, typed_value(values)?);
    let mut applied = Applied::default();
    let now = environment.clock.now();
    hive::apply(&mut file.hive, &section, section.key.units(), now, &mut applied)?;
    if let Some(class) = values.text("class")?
        && let Some(key) = file.hive.find(file.hive.root(), &path)?
    {
        file.hive.set_class(key, &name::units_to_le(&name::units(class)), now)?;
    }
    finish(environment, values, file, applied)
}

/// `hive delete`.
pub(crate) fn delete(environment: &Environment, values: &Values) -> Result<Found> {
    let mut file = open_to_edit(environment, values)?;
    let (key, path) = existing_key(&file, values)?;
    let now = environment.clock.now();
    let mut applied = Applied::default();
    match value_name(values)? {
        _ if values.has("all") => {
            for value in file.hive.values(key)? {
                applied.values_deleted += u64::from(file.hive.delete_value(key, value.name.units(), now)?);
            }
        }
        Some(value) => {
            if !file.hive.delete_value(key, &name::units(value), now)? {
                return Err(no_value(&path, value));
            }
            applied.values_deleted = 1;
        }
        None => {
            file.hive.delete_key(key, now)?;
            applied.keys_deleted = 1;
        }
    }
    finish(environment, values, file, applied)
}

/// `hive rename`.
pub(crate) fn rename(environment: &Environment, values: &Values) -> Result<Found> {
    let mut file = open_to_edit(environment, values)?;
    let (key, _) = existing_key(&file, values)?;
    let new = values.text("new_name")?.ok_or_else(|| missing("the new name"))?;
    file.hive.rename_key(key, &name::units(new), environment.clock.now())?;
    finish(environment, values, file, Applied::default())
}

/// `hive acl`.
pub(crate) fn acl(environment: &Environment, values: &Values) -> Result<Found> {
    let mut file = open_to_edit(environment, values)?;
    let (key, path) = existing_key(&file, values)?;
    let mut report = access::access(&mut file.hive, key, &path, values, environment.clock.now())?;
    let saved = match report.changed {
        true => save(environment, &mut file, values.has("dry_run"))?,
        false => hive::Saved::default(),
    };
    report.file = Some((file.path().to_owned(), saved.written));
    report.exceptions = exceptions(&file, saved);
    Ok(Box::new(report))
}

/// `hive export`.
pub(crate) fn export(environment: &Environment, values: &Values) -> Result<Found> {
    let file = open(environment, values, "file")?;
    let (key, path) = existing_key(&file, values)?;
    let mut writer = RegWriter::default();
    let counts = hive::export(&mut writer, &file.hive, key, &name::units(&path))?;
    written(values, writer.finish(), counts)
}

/// Writes `.reg` text to the file that was named; without one, or in a dry run, it is shown.
pub(crate) fn written(values: &Values, bytes: Vec<u8>, (keys, count): (u64, u64)) -> Result<Found> {
    let file = values.path("output")?.filter(|_| !values.has("dry_run"));
    let mut text = String::new();
    match &file {
        Some(path) => {
            let target = AtomicFile::create(path)?;
            target.file().write_all(&bytes).map_err(|error| Error::io(path.display(), &error))?;
            target.persist()?;
        }
        None => text = name::display(&name::units_from_le(bytes.get(2..).unwrap_or_default())),
    }
    Ok(Box::new(RegTextReport { file, text, keys, values: count }))
}

/// `hive import`.
pub(crate) fn import(environment: &Environment, values: &Values) -> Result<Found> {
    let mut file = open_to_edit(environment, values)?;
    let text = reg_text(values)?;
    let root = root(&file, values)?;
    let mut applied = Applied::default();
    for section in &text.sections {
        let line = || format!("at line {} of the .reg text", section.line);
        let Some(path) = file.below(section.key.units(), &root)? else {
            let message = format!("the key {} does not lie below {root}", section.key);
            return Err(Error::new(ErrorClass::Usage, message).with_context(line()).with_hint(
                "name the key that stands for the root of the hive: --prefix HKEY_LOCAL_MACHINE\\NAME",
            ));
        };
        hive::apply(&mut file.hive, section, &path, environment.clock.now(), &mut applied).context(line)?;
    }
    finish(environment, values, file, applied)
}

/// The text of the file that was named.
pub(crate) fn reg_text(values: &Values) -> Result<RegText> {
    let path = values.path("reg")?.ok_or_else(|| missing("the .reg file"))?;
    let bytes = std::fs::read(&path).map_err(|error| Error::io(path.display(), &error))?;
    let parsed = match values.number("code_page")? {
        Some(code_page) => RegText::parse_ansi(&bytes, code_page),
        None => RegText::parse(&bytes),
    };
    parsed.context(|| format!("while reading {}", path.display()))
}

/// `hive diff`.
pub(crate) fn diff(environment: &Environment, values: &Values) -> Result<Found> {
    let (old, new) = (open(environment, values, "file")?, open(environment, values, "other")?);
    let changes = hive::diff(&old.hive, &new.hive)?;
    if values.has("output") {
        return change_text(values, &changes, &root(&old, values)?);
    }
    let detail = if values.has("summary") { Detail::Counts } else { Detail::Full };
    Ok(Box::new(ChangeList::new(SessionDiff { files: Vec::new(), registry: changes }, detail)))
}

/// Writes the text that leads from the old registry to the new one.
pub(crate) fn change_text(values: &Values, changes: &[RegistryChange], root: &str) -> Result<Found> {
    let bytes = hive::change_text(changes, &name::units(root))?;
    let is_value = |change: &&RegistryChange| {
        matches!(change, RegistryChange::ValueSet { .. } | RegistryChange::ValueRemoved { .. })
    };
    let count = changes.iter().filter(is_value).count();
    written(values, bytes, ((changes.len() - count) as u64, count as u64))
}

pub(crate) fn open(environment: &Environment, values: &Values, id: &str) -> Result<PrimaryFile> {
    let path = values.path(id)?.ok_or_else(|| missing("the hive file"))?;
    PrimaryFile::open(&path, environment.ignore_dirty)
}

/// The hive to be edited, locked; in a dry run it is only read.
pub(crate) fn open_to_edit(environment: &Environment, values: &Values) -> Result<PrimaryFile> {
    let path = values.path("file")?.ok_or_else(|| missing("the hive file"))?;
    if values.has("dry_run") {
        return PrimaryFile::open(&path, environment.ignore_dirty);
    }
    PrimaryFile::open_to_edit(&path, environment.ignore_dirty, &environment.cancel)
}

pub(crate) fn missing(what: &str) -> Error {
    Error::new(ErrorClass::Usage, format!("{what} is missing"))
}

fn root(file: &PrimaryFile, values: &Values) -> Result<String> {
    Ok(match values.text("prefix")? {
        Some(prefix) => prefix.trim_end_matches('\\').to_owned(),
        None => file.usual_root(),
    })
}

fn below(file: &PrimaryFile, values: &Values, key: &str) -> Result<String> {
    let root = root(file, values)?;
    let below = file.below(&name::units(key), &root)?;
    below.map(|units| name::display(&units)).ok_or_else(|| {
        Error::new(ErrorClass::Usage, format!("the key {key} does not lie below {root}"))
            .with_hint("give the path below the root of the hive, or --prefix")
    })
}

/// The key that was named, and its path with the root.
fn existing_key(file: &PrimaryFile, values: &Values) -> Result<(KeyId, String)> {
    let path = below(file, values, values.text("key")?.unwrap_or_default())?;
    let path = path.trim_matches('\\');
    let root = root(file, values)?;
    let key = file.hive.find(file.hive.root(), path)?.ok_or_else(|| no_key(path))?;
    let full = if path.is_empty() { root } else { format!("{root}\\{path}") };
    Ok((key, full))
}

pub(crate) fn no_key(path: &str) -> Error {
    Error::new(ErrorClass::NotFound, format!("there is no key {path}"))
        .with_code(Code::FILE_NOT_FOUND)
        .with_hint("query the key above it for the names of its subkeys")
}

pub(crate) fn no_value(path: &str, value: &str) -> Error {
    let value = if value.is_empty() { "default value" } else { value };
    Error::new(ErrorClass::NotFound, format!("the key {path} has no value {value}"))
        .with_code(Code::FILE_NOT_FOUND)
        .with_hint("query the key without --value for its values")
}

/// The name of the value that is meant; nothing for the key as a whole.
pub(crate) fn value_name(values: &Values) -> Result<Option<&str>> {
    if values.has("default") {
        return Ok(Some(""));
    }
    values.text("value")
}

/// The value to set; nothing where only the key is to be created.
pub(crate) fn typed_value(values: &Values) -> Result<Option<Value>> {
    let (kind, data) = (values.text("type")?, values.text("data")?);
    match value_name(values)? {
        None if kind.is_none() && data.is_none() => Ok(None),
        value => {
            let data = data.unwrap_or_default();
            let data = match values.text("separator")?.filter(|separator| !separator.is_empty()) {
                Some(separator) => data.replace(separator, "\\0"),
                None => data.to_owned(),
            };
            Value::parse(value.unwrap_or_default(), kind, &data).map(Some)
        }
    }
}

/// Saves, or tells what a save would change.
fn finish(
    environment: &Environment,
    values: &Values,
    mut file: PrimaryFile,
    applied: Applied,
) -> Result<Found> {
    let dry_run = values.has("dry_run");
    let mut changes = None;
    if dry_run {
        let before = open(environment, values, "file")?;
        let registry = hive::diff(&before.hive, &file.hive)?;
        changes = Some(ChangeList::new(SessionDiff { files: Vec::new(), registry }, Detail::Full));
    }
    let saved = save(environment, &mut file, dry_run)?;
    let written = saved.written;
    let exceptions = exceptions(&file, saved);
    let file = Some(file.path().to_owned());
    Ok(Box::new(RegistryEdit { file, applied, written, changes, dry_run, exceptions }))
}
