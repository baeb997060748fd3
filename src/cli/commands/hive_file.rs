// SPDX-License-Identifier: GPL-3.0-or-later
//! Commands about hive files as a whole.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::values::Values;
use super::Found;
use super::hive::{missing, open, open_to_edit};
use crate::base::{Code, Error, ErrorClass, Result, sddl};
use crate::hive::{Hive, OpenState, PrimaryFile, Saved, Severity, default_root_security};
use crate::image::Environment;
use crate::io::{AtomicFile, FileReader, ReadAt};
use crate::report::{HiveCheck, HiveFacts, HiveRecovery, HiveRepair, HiveWritten};

/// `hive show`.
pub(crate) fn show(environment: &Environment, values: &Values) -> Result<Found> {
    let file = open(environment, values, "file")?;
    let hive = &file.hive;
    let (keys, value_count, digest) = hive.digest()?;
    let root = hive.root();
    let names = hive.subkeys(root)?.into_iter().map(|key| Ok(hive.name(key)?.to_string()));
    Ok(Box::new(HiveFacts {
        file: file.path().to_owned(),
        length: length_of(file.path())?,
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

fn length_of(path: &Path) -> Result<u64> {
    std::fs::metadata(path).map(|file| file.len()).map_err(|error| Error::io(path.display(), &error))
}

/// `hive check`.
pub(crate) fn check(environment: &Environment, values: &Values) -> Result<Found> {
    let path = hive_path(values)?;
    if values.has("repair") {
        return repair(environment, values);
    }
    let findings = match PrimaryFile::open(&path, environment.ignore_dirty) {
        Ok(file) if file.hive.state() == OpenState::Replayed => file.hive.check()?,
        _ => Hive::check_file(&FileReader::open(&path)?)?,
    };
    Ok(Box::new(HiveCheck::new(path, findings)))
}

fn repair(environment: &Environment, values: &Values) -> Result<Found> {
    let mut file = open_to_edit(environment, values)?;
    let repairs = file.hive.repair()?;
    let findings = file.hive.check()?;
    let dry_run = values.has("dry_run");
    let saved = save(environment, &mut file, dry_run)?;
    let left = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    let error = (left > 0).then(|| {
        let message = format!(
            "{} still breaks the rules of hives: what is left has no safe repair",
            file.path().display()
        );
        Error::new(ErrorClass::Corrupt, message)
            .with_code(Code::REGISTRY_CORRUPT)
            .with_hint("hive recover FILE --salvage NEW saves what can be read into a new hive")
    });
    Ok(Box::new(HiveRepair {
        file: file.path().to_owned(),
        repairs,
        findings,
        written: saved.written,
        dry_run,
        exceptions: exceptions(&file, saved),
        error,
    }))
}

/// `hive recover`.
pub(crate) fn recover(environment: &Environment, values: &Values) -> Result<Found> {
    let dry_run = values.has("dry_run");
    if let Some(target) = values.path("salvage")? {
        return salvage(environment, values, target);
    }
    let mut file = open_to_edit(environment, values)?;
    let state = file.hive.state();
    let notes = file.hive.notes().to_vec();
    let saved = match state {
        OpenState::Replayed => save(environment, &mut file, dry_run)?,
        OpenState::Clean | OpenState::DirtyIgnored => Saved::default(),
    };
    Ok(Box::new(HiveRecovery {
        file: file.path().to_owned(),
        state: Some(state),
        notes,
        written: saved.written,
        dry_run,
        salvage: None,
        exceptions: exceptions(&file, saved),
    }))
}

fn salvage(environment: &Environment, values: &Values, target: PathBuf) -> Result<Found> {
    let path = hive_path(values)?;
    let dry_run = values.has("dry_run");
    let source: Arc<dyn ReadAt> = Arc::new(FileReader::open(&path)?);
    let (bytes, salvage) = Hive::salvage(&source)?;
    environment.cancel.check()?;
    write_new(&target, &bytes, dry_run)?;
    let exceptions = vec![format!("{} holds what could be read of {}", target.display(), path.display())];
    Ok(Box::new(HiveRecovery {
        file: path,
        state: None,
        notes: Vec::new(),
        written: false,
        dry_run,
        salvage: Some((target, salvage)),
        exceptions,
    }))
}

/// `hive compact`.
pub(crate) fn compact(environment: &Environment, values: &Values) -> Result<Found> {
    let mut file = open_to_edit(environment, values)?;
    let before = length_of(file.path())?;
    let dry_run = values.has("dry_run");
    let (length, saved) = if dry_run {
        (file.hive.compact()?.len() as u64, Saved::default())
    } else {
        environment.cancel.check()?;
        let saved = file.save_compacted()?;
        (length_of(file.path())?, saved)
    };
    Ok(Box::new(HiveWritten {
        file: file.path().to_owned(),
        length_before: Some(before),
        length,
        dry_run,
        exceptions: exceptions(&file, saved),
    }))
}

/// `hive create`.
pub(crate) fn create(environment: &Environment, values: &Values) -> Result<Found> {
    let path = hive_path(values)?;
    let version = values.text("version")?.unwrap_or("1.5");
    let minor = version.strip_prefix("1.").and_then(|minor| minor.parse().ok()).unwrap_or(5);
    let security = match values.text("sddl")? {
        Some(text) => crate::base::security::change_key(&default_root_security(), &sddl::compile(text)?)?,
        None => default_root_security(),
    };
    let root = values.text("root_name")?.unwrap_or("ROOT");
    let bytes = Hive::create(root, minor, &security, environment.clock.now())?.to_bytes()?;
    let dry_run = values.has("dry_run");
    write_new(&path, &bytes, dry_run)?;
    let length = bytes.len() as u64;
    Ok(Box::new(HiveWritten { file: path, length_before: None, length, dry_run, exceptions: Vec::new() }))
}

/// Writes a file that is not there yet, wholly or not at all.
pub(super) fn write_new(path: &Path, bytes: &[u8], dry_run: bool) -> Result<()> {
    if std::fs::symlink_metadata(path).is_ok() {
        return Err(Error::new(ErrorClass::Usage, format!("{} exists already", path.display()))
            .with_code(Code::FILE_EXISTS)
            .with_hint("name a file that does not exist"));
    }
    if dry_run {
        return Ok(());
    }
    let target = AtomicFile::create(path)?;
    target.file().write_all(bytes).map_err(|error| Error::io(path.display(), &error))?;
    target.persist()
}

fn hive_path(values: &Values) -> Result<PathBuf> {
    values.path("file")?.ok_or_else(|| missing("the hive file"))
}

/// Saves, unless it is a dry run.
pub(super) fn save(environment: &Environment, file: &mut PrimaryFile, dry_run: bool) -> Result<Saved> {
    if dry_run {
        return Ok(Saved::default());
    }
    environment.cancel.check()?;
    file.save(&environment.pool)
}

/// What makes the result of an edit "exact except".
pub(super) fn exceptions(file: &PrimaryFile, saved: Saved) -> Vec<String> {
    let mut exceptions = match file.hive.state() {
        OpenState::DirtyIgnored => file.hive.notes().to_vec(),
        OpenState::Clean | OpenState::Replayed => Vec::new(),
    };
    exceptions.extend(saved.notes);
    exceptions
}
