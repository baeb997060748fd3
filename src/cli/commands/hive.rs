// SPDX-License-Identifier: GPL-3.0-or-later
//! Commands about hive files, without an image around them.

use std::io::Write as _;

use super::super::values::Values;
use super::Found;
use crate::base::{Code, Context as _, Error, ErrorClass, Result, name};
use crate::hive::{self, Applied, Hive, KeyId, Listing, OpenState, PrimaryFile, RegText, RegWriter, Value};
use crate::image::{Environment, SessionDiff};
use crate::io::{AtomicFile, FileReader};
use crate::report::{ChangeList, Detail, HiveCheck, HiveFacts, RegTextReport, RegistryEdit, RegistryListing};

/// `hive show`.
pub(crate) fn show(environment: &Environment, values: &Values) -> Result<Found> {
    let file = open(environment, values, "file")?;
    let hive = &file.hive;
    let (keys, value_count, digest) = hive.digest()?;
    let root = hive.root();
    let names = hive.subkeys(root)?.into_iter().map(|key| Ok(hive.name(key)?.to_string()));
    Ok(Box::new(HiveFacts {
        file: file.path().to_owned(),
        length: std::fs::metadata(file.path())
            .map_err(|error| Error::io(file.path().display(), &error))?
            .len(),
        minor_version: hive.minor_version(),
        state: hive.state(),
        notes: hive.notes().to_vec(),
        root_name: hive.name(root)?.to_string(),
        root_written: hive.last_written(root)?,
        top_keys: names.collect::<Result<_>>()?,
        keys,
        values: value_count,
        digest,
    }))
}

/// `hive query`.
pub(crate) fn query(environment: &Environment, values: &Values) -> Result<Found> {
    let file = open(environment, values, "file")?;
    let (key, path) = existing_key(&file, values)?;
    let value = value_name(values)?.map(name::units);
    let what = Listing { recursive: values.has("recursive"), value: value.as_deref(), text: None };
    let keys = hive::list(&file.hive, key, &path, &what)?;
    if keys.is_empty() {
        return Err(no_value(&path, value_name(values)?.unwrap_or_default()));
    }
    Ok(Box::new(RegistryListing { keys }))
}

/// `hive set`.
pub(crate) fn set(environment: &Environment, values: &Values) -> Result<Found> {
    let mut file = open(environment, values, "file")?;
    let path = below(&file, values, values.text("key")?.unwrap_or_default())?;
    let section = hive::RegSection::new(&path, typed_value(values)?);
    let mut applied = Applied::default();
    hive::apply(&mut file.hive, &section, section.key.units(), environment.clock.now(), &mut applied)?;
    finish(environment, values, file, applied)
}

/// `hive delete`.
pub(crate) fn delete(environment: &Environment, values: &Values) -> Result<Found> {
    let mut file = open(environment, values, "file")?;
    let (key, path) = existing_key(&file, values)?;
    let now = environment.clock.now();
    let mut applied = Applied::default();
    match value_name(values)? {
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
    let mut file = open(environment, values, "file")?;
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
    RegText::parse(&bytes).context(|| format!("while reading {}", path.display()))
}

/// `hive check`.
pub(crate) fn check(environment: &Environment, values: &Values) -> Result<Found> {
    let path = values.path("file")?.ok_or_else(|| missing("the hive file"))?;
    let findings = match PrimaryFile::open(&path, environment.ignore_dirty) {
        Ok(file) if file.hive.state() == OpenState::Replayed => file.hive.check()?,
        _ => Hive::check_file(&FileReader::open(&path)?)?,
    };
    Ok(Box::new(HiveCheck::new(path, findings)))
}

/// `hive diff`.
pub(crate) fn diff(environment: &Environment, values: &Values) -> Result<Found> {
    let (old, new) = (open(environment, values, "file")?, open(environment, values, "other")?);
    let changes = hive::diff(&old.hive, &new.hive)?;
    if values.has("output") {
        let bytes = hive::change_text(&changes, &root(&old, values)?)?;
        let sets = |change: &&hive::RegistryChange| {
            matches!(
                change,
                hive::RegistryChange::ValueSet { .. } | hive::RegistryChange::ValueRemoved { .. }
            )
        };
        let count = changes.iter().filter(sets).count();
        return written(values, bytes, ((changes.len() - count) as u64, count as u64));
    }
    let detail = if values.has("summary") { Detail::Counts } else { Detail::Full };
    Ok(Box::new(ChangeList::new(SessionDiff { files: Vec::new(), registry: changes }, detail)))
}

fn open(environment: &Environment, values: &Values, id: &str) -> Result<PrimaryFile> {
    let path = values.path(id)?.ok_or_else(|| missing("the hive file"))?;
    PrimaryFile::open(&path, environment.ignore_dirty)
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
        value => Value::parse(value.unwrap_or_default(), kind, data.unwrap_or_default()).map(Some),
    }
}

/// Saves, or tells what a save would change.
fn finish(
    environment: &Environment,
    values: &Values,
    mut file: PrimaryFile,
    applied: Applied,
) -> Result<Found> {
    let mut changes = None;
    let mut written = false;
    if values.has("dry_run") {
        let before = open(environment, values, "file")?;
        let registry = hive::diff(&before.hive, &file.hive)?;
        changes = Some(ChangeList::new(SessionDiff { files: Vec::new(), registry }, Detail::Full));
    } else {
        environment.cancel.check()?;
        written = file.save(&environment.pool)?;
    }
    let exceptions = match file.hive.state() {
        OpenState::DirtyIgnored => file.hive.notes().to_vec(),
        OpenState::Clean | OpenState::Replayed => Vec::new(),
    };
    Ok(Box::new(RegistryEdit { file: Some(file.path().to_owned()), applied, written, changes, exceptions }))
}
