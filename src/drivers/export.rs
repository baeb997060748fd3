// SPDX-License-Identifier: GPL-3.0-or-later
//! `/Export-Driver`: the folders of third-party packages, byte for byte, to a folder here.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use rayon::prelude::*;

use crate::base::{Error, FileTime, Result, StreamKind};
use crate::image::{Session, WindowsInfo};
use crate::io::{Cancel, Event, Task};
use crate::volume::{Overlay, Volume};

use super::report::{ExportOutcome, ExportReport, ExportRequest, ExportedDriver};
use super::store::Store;
use super::stored::{self, StoredFile};
use super::{DriverError, list, source};

/// Copies the packages to `<destination>\<folder in the store>`.
///
/// # Errors
/// When the destination is no folder and none is to be made, the database cannot be read, or the
/// work is cancelled. What is wrong with single packages is in the report.
pub fn export(session: &mut Session, request: &ExportRequest) -> Result<ExportReport> {
    let destination = &request.destination;
    let io = |error: std::io::Error| Error::io(destination.display(), &error);
    if !destination.is_dir() {
        if !request.create || destination.exists() {
            return Err(DriverError::NoFolder { path: destination.clone() }.into());
        }
        if !request.dry_run {
            fs::create_dir_all(destination).map_err(io)?;
        }
    }
    let windows = session.windows().clone();
    let environment = session.environment().clone();
    let progress = &environment.progress;
    let wanted = |name: &str| {
        request.drivers.is_empty() || request.drivers.iter().any(|driver| driver.eq_ignore_ascii_case(name))
    };
    let packages: Vec<_> =
        list(session, false)?.into_iter().filter(|package| wanted(&package.published_name)).collect();
    let mut report = ExportReport { destination: destination.clone(), ..ExportReport::default() };
    for driver in &request.drivers {
        if !packages.iter().any(|package| package.published_name.eq_ignore_ascii_case(driver)) {
            let error = DriverError::Unknown { name: driver.clone() }.into();
            report
                .drivers
                .push(ExportedDriver { name: driver.clone(), outcome: ExportOutcome::Failed { error } });
        }
    }
    let count = packages.len();
    progress.event(&Event::Begin { task: Task::ExportDrivers, total: count as u64 });
    for (position, package) in packages.into_iter().enumerate() {
        environment.cancel.check()?;
        let copied = export_one(session, &windows, request, &package.store_name);
        let outcome = match copied {
            Ok(outcome) => outcome,
            Err(error) if error.class() == crate::base::ErrorClass::Cancelled => return Err(error),
            Err(error) => ExportOutcome::Failed { error },
        };
        let position = position + 1;
        let error = match &outcome {
            ExportOutcome::Failed { error } => Some(error.to_string()),
            ExportOutcome::Exported { .. } => None,
        };
        let name = package.published_name;
        progress.event(&Event::DriverExported { position, count, name: name.clone(), error });
        progress.event(&Event::Advance { task: Task::ExportDrivers, done: position as u64 });
        report.drivers.push(ExportedDriver { name, outcome });
    }
    progress.event(&Event::End { task: Task::ExportDrivers });
    Ok(report)
}

fn export_one(
    session: &Session,
    windows: &WindowsInfo,
    request: &ExportRequest,
    store_name: &str,
) -> Result<ExportOutcome> {
    source::check_name(store_name)?;
    let store = Store::new(session.overlay(), &windows.directory);
    let folder = store.resolve(&store.package(store_name))?;
    let Some(folder) = folder.filter(|_| !store_name.is_empty()) else {
        return Err(DriverError::MissingFolder { store_name: store_name.to_owned() }.into());
    };
    let files = stored::files(session.overlay(), folder)?;
    let target = request.destination.join(store_name);
    // Names are checked before anything is written: an image may hold any.
    let mut copies = Vec::with_capacity(files.len());
    for file in &files {
        let mut path = target.clone();
        for component in file.relative.components() {
            let name = component.to_string();
            source::check_name(&name)?;
            path.push(name);
        }
        copies.push((file, path));
    }
    let bytes = files.iter().map(|file| file.length).sum();
    if !request.dry_run {
        fs::create_dir_all(&target).map_err(|error| Error::io(target.display(), &error))?;
        let environment = session.environment();
        let overlay = session.overlay();
        environment.pool.run(|| {
            copies.par_iter().try_for_each(|(file, path)| copy(overlay, file, path, &environment.cancel))
        })?;
    }
    Ok(ExportOutcome::Exported { folder: target, files: files.len(), bytes })
}

const BLOCK: u64 = 1 << 20;

fn copy(overlay: &Overlay, file: &StoredFile, path: &PathBuf, cancel: &Cancel) -> Result<()> {
    let io = |error: std::io::Error| Error::io(path.display(), &error);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(io)?;
    }
    // What lies there is replaced, never written through: it may be a link.
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => {
            return Err(DriverError::NoFolder { path: path.clone() }.into());
        }
        Ok(_) => fs::remove_file(path).map_err(io)?,
        Err(_) => {}
    }
    let data = overlay.open(file.node, StreamKind::Data, &[])?;
    let mut target = File::create_new(path).map_err(io)?;
    let mut buffer = vec![0; usize::try_from(data.len().min(BLOCK)).unwrap_or(0)];
    let mut offset = 0;
    while offset < data.len() {
        cancel.check()?;
        let length = usize::try_from(data.len() - offset).unwrap_or(usize::MAX).min(buffer.len());
        let Some(block) = buffer.get_mut(..length) else { break };
        data.read_exact_at(block, offset)?;
        target.write_all(block).map_err(io)?;
        offset += length as u64;
    }
    set_time(&target, path, overlay.node(file.node)?.write_time)
}

/// The time of the file in the image; one before 1970 is left out.
fn set_time(target: &File, path: &Path, time: FileTime) -> Result<()> {
    let (seconds, nanoseconds) = time.to_unix();
    let Ok(seconds) = u64::try_from(seconds) else { return Ok(()) };
    let Some(time) = UNIX_EPOCH.checked_add(Duration::new(seconds, nanoseconds)) else { return Ok(()) };
    target.set_modified(time).map_err(|error| Error::io(path.display(), &error))
}
