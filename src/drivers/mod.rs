// SPDX-License-Identifier: GPL-3.0-or-later
//! The driver store (outline): request -> edits through the session -> report.
use std::path::PathBuf;

use crate::base::{Code, Error, FileTime, Guid, Result, Version};
use crate::image::Session;

#[derive(Clone, Debug, Default)]
pub struct AddRequest {
    /// INF files and folders as given, in order.
    pub sources: Vec<PathBuf>,
    pub recurse: bool,
    pub force_unsigned: bool,
    pub all_or_nothing: bool,
}

#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct AddReport {
    /// A folder was searched (DISM then prints "Searching for driver packages to install...").
    pub searched: bool,
    pub packages: Vec<AddedPackage>,
    /// "exact except" items of the whole run.
    pub exceptions: Vec<String>,
}

#[derive(Clone, Debug, serde::Serialize)]
pub struct AddedPackage {
    /// The INF as found.
    pub source: PathBuf,
    #[serde(flatten)]
    pub outcome: AddOutcome,
}

#[derive(Clone, Debug, serde::Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum AddOutcome {
    Installed {
        published_name: String,
        store_name: String,
        already_present: bool,
        boot_critical: bool,
        reflected: bool,
        hive: String,
        signed: bool,
        signer: Option<String>,
        /// What is not exact, said in words.
        exceptions: Vec<String>,
    },
    /// Not for this image: why (other architecture, no models).
    Skipped { reason: String },
    Failed {
        #[serde(serialize_with = "error_json")]
        error: Error,
    },
}
fn error_json<S: serde::Serializer>(error: &Error, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_str(error)
}

/// Adds packages; a bad one is reported and skipped (its savepoint rolled back), unless `all_or_nothing`.
/// The command's exit code is `AddReport::code()`.
pub fn add(_session: &mut Session, _request: &AddRequest) -> Result<AddReport> {
    todo!()
}
impl AddReport {
    /// The last error, DISM's way; nothing when all went well.
    pub fn error(&self) -> Option<&Error> {
        todo!()
    }
    pub fn code(&self) -> Option<Code> {
        todo!()
    }
}

/// A package in the store, as `/Get-Drivers` lists it.
#[derive(Clone, Debug, serde::Serialize)]
pub struct DriverPackage {
    pub published_name: String,
    pub original_file_name: String,
    pub inbox: bool,
    pub class_name: String,
    pub provider_name: String,
    pub date: FileTime,
    pub version: Version,
    pub store_name: String,
}
/// Sorted by published name as text. `all` includes in-box packages.
pub fn list(_session: &mut Session, _all: bool) -> Result<Vec<DriverPackage>> {
    todo!()
}

#[derive(Clone, Debug, serde::Serialize)]
pub struct DriverInfo {
    pub package: DriverPackage,
    /// Windows path in the store, or the source path of an INF outside the image.
    pub store_path: String,
    pub class_description: Option<String>,
    pub class_guid: Option<Guid>,
    pub boot_critical: bool,
    /// Nothing when unknown.
    pub signed: Option<bool>,
    pub drivers: Vec<DriverModel>,
}
#[derive(Clone, Debug, serde::Serialize)]
pub struct DriverModel {
    pub architecture: crate::base::Arch,
    pub manufacturer: String,
    pub description: String,
    pub hardware_id: String,
    pub service_name: Option<String>,
    pub compatible_ids: Vec<String>,
    pub exclude_ids: Vec<String>,
}
/// `driver`: a published name (oemN.inf or in-box), or the path of an INF outside the image (all architectures).
pub fn info(_session: &mut Session, _driver: &str) -> Result<DriverInfo> {
    todo!()
}
