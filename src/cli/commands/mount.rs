// SPDX-License-Identifier: GPL-3.0-or-later
//! Commands about mounts.

use serde::Serialize;
use serde_json::Value;

use super::super::system;
use super::super::target::{Images, Target};
use super::super::values::Values;
use super::Found;
use crate::base::{Error, ErrorClass, Result};
use crate::image::Environment;
use crate::imaging::Selection;
use crate::mount::{
    self, CleanupReport, CommittedMount, Ending, MountInfo, MountReport, MountRequest, MountState, Mounts,
    ProbeReport, UnmountReport, UnmountRequest, Work,
};
use crate::report::{Page, Report};

/// `mount`.
pub(crate) fn mount(environment: &Environment, values: &Values) -> Result<Found> {
    let target = Target::new("file", values, values)?.ok_or_else(|| missing("image file"))?;
    let request = MountRequest {
        image_file: target.file,
        image: match target.images {
            Images::Unsaid | Images::All => Selection::All,
            Images::Index(index) => Selection::Index(index),
            Images::Name(name) => Selection::Name(name),
        },
        directory: directory(values)?,
        read_only: values.has("read_only"),
        check_integrity: values.has("check"),
    };
    Ok(Box::new(mounts_of(values)?.mount(&request, &work(environment))?))
}

/// `unmount`.
pub(crate) fn unmount(environment: &Environment, values: &Values) -> Result<Found> {
    let ending = match (values.has("commit"), values.has("discard"), values.has("append")) {
        (true, false, false) => Ending::Commit,
        (true, false, true) => Ending::Append,
        (false, true, false) => Ending::Discard,
        (false, true, true) => {
            return Err(Error::new(ErrorClass::Usage, "changes that are dropped cannot be appended"));
        }
        (true, true, _) => {
            return Err(Error::new(ErrorClass::Usage, "both /Commit and /Discard were given"));
        }
        (false, false, _) => {
            return Err(Error::new(ErrorClass::Usage, "it was not said what becomes of the changes")
                .with_hint(
                    "/Commit (--commit) writes them into the image, /Discard (--discard) drops them",
                ));
        }
    };
    let request =
        UnmountRequest { ending, detach: values.has("detach"), check_integrity: values.has("check") };
    Ok(Box::new(mounts_of(values)?.unmount(&directory(values)?, &request, &work(environment))?))
}

/// `commit`.
pub(crate) fn commit(environment: &Environment, values: &Values) -> Result<Found> {
    let (append, check) = (values.has("append"), values.has("check"));
    let report = mounts_of(values)?.commit(&directory(values)?, append, check, &work(environment))?;
    Ok(Box::new(report))
}

/// `remount`.
pub(crate) fn remount(environment: &Environment, values: &Values) -> Result<Found> {
    Ok(Box::new(mounts_of(values)?.remount(&directory(values)?, &work(environment))?))
}

/// `mounts`.
pub(crate) fn mounts(_environment: &Environment, values: &Values) -> Result<Found> {
    if values.has("probe") {
        return Ok(Box::new(mount::probe()));
    }
    Ok(Box::new(MountList { mounts: Mounts::open(&system::mounts_directory()?)?.list()? }))
}

/// `cleanup`.
pub(crate) fn cleanup(_environment: &Environment, values: &Values) -> Result<Found> {
    let force: Vec<String> = values.text("force")?.map(str::to_owned).into_iter().collect();
    Ok(Box::new(mounts_of(values)?.cleanup(&force)?))
}

/// The mounts of this user, to be changed.
fn mounts_of(values: &Values) -> Result<Mounts> {
    if values.has("dry_run") {
        return Err(Error::new(ErrorClass::Usage, "a mount cannot be made or ended on trial")
            .with_hint("leave out --dry-run"));
    }
    Mounts::open(&system::mounts_directory()?)
}

fn work(environment: &Environment) -> Work<'_> {
    let Environment { pool, progress, cancel, .. } = environment;
    Work { pool, progress: &**progress, cancel }
}

fn directory(values: &Values) -> Result<std::path::PathBuf> {
    values.path("directory")?.ok_or_else(|| missing("directory"))
}

fn missing(what: &str) -> Error {
    Error::new(ErrorClass::Usage, format!("no {what} was named"))
}

/// What `mounts` lists.
#[derive(Debug, Serialize)]
struct MountList {
    mounts: Vec<MountInfo>,
}

fn to_value(report: &impl Serialize) -> Value {
    // Structs of ours always serialise.
    serde_json::to_value(report).unwrap_or(Value::Null)
}

fn state(state: MountState) -> &'static str {
    match state {
        MountState::Ok => "Ok",
        MountState::NeedsRemount => "Needs Remount",
        MountState::Invalid => "Invalid",
    }
}

impl Report for MountList {
    fn json(&self) -> Value {
        to_value(self)
    }

    fn dism(&self, page: &mut Page) {
        if self.mounts.is_empty() {
            page.line("No mounted images found.");
            page.blank();
            return;
        }
        page.line("Mounted images:");
        page.blank();
        for mount in &self.mounts {
            page.field("Mount Dir", mount.mount_directory.display());
            page.field("Image File", mount.image_file.display());
            page.field("Image Index", mount.index);
            page.field("Mounted Read/Write", if mount.read_write { "Yes" } else { "No" });
            page.field("Status", state(mount.state));
            page.blank();
        }
    }

    fn native(&self, page: &mut Page) {
        if self.mounts.is_empty() {
            page.line("no mounts");
            return;
        }
        let rows: Vec<Vec<String>> = self
            .mounts
            .iter()
            .map(|mount| {
                vec![
                    mount.id.clone(),
                    state(mount.state).to_owned(),
                    if mount.read_write { "rw" } else { "ro" }.to_owned(),
                    mount.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
                    page.number(mount.staged_bytes),
                    format!("{}:{}", mount.image_file.display(), mount.index),
                    mount.mount_directory.display().to_string(),
                ]
            })
            .collect();
        page.columns(&["Id", "State", "Access", "Process", "Staged bytes", "Image", "Directory"], &rows);
    }
}

impl Report for ProbeReport {
    fn json(&self) -> Value {
        to_value(self)
    }

    fn dism(&self, page: &mut Page) {
        self.native(page);
    }

    fn native(&self, page: &mut Page) {
        for way in &self.ways {
            let verdict = if way.usable { "usable" } else { "not usable" };
            page.line(format_args!("{}: {verdict}: {}", way.way.replace('_', " "), way.reason));
            if let Some(remedy) = &way.remedy {
                page.line(format_args!("    to make it usable: {remedy}"));
            }
        }
    }
}

impl Report for MountReport {
    fn json(&self) -> Value {
        to_value(self)
    }

    fn dism(&self, _page: &mut Page) {}

    fn native(&self, page: &mut Page) {
        let MountInfo { image_file, index, mount_directory, read_write, .. } = &self.mount;
        page.line(format_args!(
            "{}:{index} is mounted at {}{}",
            image_file.display(),
            mount_directory.display(),
            if *read_write { "" } else { ", read-only" },
        ));
    }
}

impl Report for CommittedMount {
    fn json(&self) -> Value {
        to_value(self)
    }

    fn dism(&self, _page: &mut Page) {}

    fn native(&self, page: &mut Page) {
        page.line(format_args!(
            "{}: image {} saved ({}, {} -> {} bytes)",
            self.image_file.display(),
            self.index,
            page.counted(self.new_blobs, "new blob"),
            page.number(self.file_size_before),
            page.number(self.file_size_after),
        ));
    }
}

impl Report for UnmountReport {
    fn json(&self) -> Value {
        to_value(self)
    }

    fn dism(&self, _page: &mut Page) {}

    fn native(&self, page: &mut Page) {
        if let Some(committed) = &self.committed {
            committed.native(page);
        }
        page.line(format_args!("{} is unmounted", self.mount_directory.display()));
    }
}

impl Report for CleanupReport {
    fn json(&self) -> Value {
        to_value(self)
    }

    fn dism(&self, page: &mut Page) {
        self.native(page);
    }

    fn native(&self, page: &mut Page) {
        page.line(format_args!("Scanning {} for stale files", self.scanned));
        for name in &self.removed {
            page.line(format_args!("Stale mount entry pointing to {name} removed"));
        }
        for failure in &self.kept {
            page.line(format_args!("not removed: {failure}"));
        }
    }
}
