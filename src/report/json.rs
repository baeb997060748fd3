// SPDX-License-Identifier: GPL-3.0-or-later
//! The one JSON document of a run.

use std::path::Path;

use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::error_json;
use super::page::format;
use crate::base::{Error, FileTime, name};
use crate::image::WindowsInfo;
use crate::wim::CommitReport;

/// Counted up when a key of the document changes its meaning or goes away.
pub const SCHEMA_VERSION: u32 = 1;

/// The image a step worked on.
#[derive(Clone, Debug)]
pub struct ImageRef {
    value: Value,
}

impl ImageRef {
    /// Image `index` of `file`, and the Windows in it.
    pub fn new(file: &Path, index: u32, windows: &WindowsInfo) -> Self {
        let directory: Vec<String> =
            windows.directory.components().iter().map(|part| name::display(part.units())).collect();
        Self {
            value: json!({
                "file": file.to_string_lossy(),
                "index": index,
                "windows_directory": directory.join("\\"),
                "architecture": windows.arch,
                "version": windows.version,
                "edition": windows.edition,
            }),
        }
    }
}

/// What one command of the run gave.
#[derive(Clone, Debug)]
pub struct StepResult {
    value: Value,
}

impl StepResult {
    /// The report of `command`; `exceptions` say what is not exact.
    pub fn new(command: &str, image: Option<&ImageRef>, report: Value, error: Option<&Error>) -> Self {
        let mut value = Map::new();
        value.insert("command".to_owned(), command.into());
        if let Some(image) = image {
            value.insert("image".to_owned(), image.value.clone());
        }
        value.insert("report".to_owned(), report);
        if let Some(error) = error {
            value.insert("error".to_owned(), error_json(error));
        }
        Self { value: Value::Object(value) }
    }
}

/// An image that was not serviced though its file was.
#[derive(Clone, Debug)]
pub struct LeftAlone {
    /// Its number.
    pub index: u32,
    /// Why.
    pub reason: Error,
}

/// Everything a run has to say.
#[derive(Debug, Default)]
pub struct Document {
    /// The steps in the order they ran, image by image.
    pub results: Vec<StepResult>,
    /// Images without a Windows in them, when all images were asked for.
    pub left_alone: Vec<LeftAlone>,
    /// One for each file that was written.
    pub commits: Vec<Value>,
    /// What is not exact in the images themselves.
    pub exceptions: Vec<String>,
    /// Nothing was to be written.
    pub dry_run: bool,
}

impl Document {
    /// Notes that a file was written.
    pub fn committed(&mut self, file: &Path, report: &CommitReport) {
        let mut value = to_value(report);
        if let Some(object) = value.as_object_mut() {
            object.insert("file".to_owned(), file.to_string_lossy().into());
        }
        self.commits.push(value);
    }

    /// The whole document; `error` is why the run failed.
    pub fn finish(self, error: Option<&Error>) -> Value {
        json!({
            "schema_version": SCHEMA_VERSION,
            "version": env!("CARGO_PKG_VERSION"),
            "success": error.is_none(),
            "dry_run": self.dry_run,
            "restart_required": false,
            "results": self.results.into_iter().map(|result| result.value).collect::<Vec<_>>(),
            "left_alone": self.left_alone.iter().map(|image| {
                json!({ "index": image.index, "reason": error_json(&image.reason) })
            }).collect::<Vec<_>>(),
            "commits": self.commits,
            "exact": self.exceptions.is_empty(),
            "exceptions": self.exceptions,
            "error": error.map(error_json),
        })
    }
}

/// The JSON of a struct of ours: these always serialise.
pub(super) fn to_value(report: &impl Serialize) -> Value {
    serde_json::to_value(report).unwrap_or(Value::Null)
}

/// Rewrites file times, which serialise as ticks, as ISO 8601 in UTC.
pub(super) fn iso_times(object: &mut Value, keys: &[&str]) {
    for key in keys {
        if let Some(value) = object.get_mut(*key)
            && let Some(ticks) = value.as_u64()
        {
            *value = format(FileTime(ticks), "%Y-%m-%dT%H:%M:%SZ", &TimeZone::UTC).into();
        }
    }
}
