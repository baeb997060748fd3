// SPDX-License-Identifier: GPL-3.0-or-later
//! What is asked of the driver store and what it answers.

use std::path::PathBuf;

use crate::base::{Arch, Code, Error, FileTime, Guid, Version};
use crate::catalog::Trust;

/// Which packages to add, and how strictly.
#[derive(Clone, Debug, Default)]
pub struct AddRequest {
    /// INF files and folders as given, in order.
    pub sources: Vec<PathBuf>,
    /// Look below the folders too.
    pub recurse: bool,
    /// Take unsigned packages on 64-bit images too.
    pub force_unsigned: bool,
    /// Keep nothing when one package fails.
    pub all_or_nothing: bool,
    /// Files of root certificates that are trusted besides those of the image.
    pub roots: Vec<PathBuf>,
}

/// What became of a request.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct AddReport {
    /// A folder was searched (DISM then prints "Searching for driver packages to install...").
    pub searched: bool,
    /// Every INF that was looked at, in order.
    pub packages: Vec<AddedPackage>,
    /// "exact except" items of the whole run.
    pub exceptions: Vec<String>,
    /// Set when INFs were found and none of them is for this image.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional_error_json")]
    pub nothing_usable: Option<Error>,
}

/// One INF and what became of it.
#[derive(Clone, Debug, serde::Serialize)]
pub struct AddedPackage {
    /// The INF as found.
    pub source: PathBuf,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: AddOutcome,
}

/// What became of one INF.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum AddOutcome {
    /// It is in the store.
    Installed {
        /// `oemN.inf`
        published_name: String,
        /// Folder in the FileRepository.
        store_name: String,
        /// It was there before: same INF, same files.
        already_present: bool,
        /// Its setup class is needed to boot.
        boot_critical: bool,
        /// Services, files and configurations were put in place too.
        reflected: bool,
        /// `SYSTEM` or `DRIVERS`: where its database entries are.
        hive: String,
        /// Its catalog vouches for every file.
        signed: bool,
        /// Common name of the signer.
        signer: Option<String>,
        /// What kind of signer it is, and the chain by which it is trusted.
        #[serde(skip_serializing_if = "Option::is_none")]
        trust: Option<Box<Trust>>,
        /// What is not exact, said in words.
        exceptions: Vec<String>,
    },
    /// Not for this image: why (other architecture, no models).
    Skipped {
        /// In words.
        reason: String,
    },
    /// It was to be added and could not be; nothing of it is in the image.
    Failed {
        /// Why.
        #[serde(serialize_with = "error_json")]
        error: Error,
    },
}

fn error_json<S: serde::Serializer>(error: &Error, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(error)
}

fn optional_error_json<S: serde::Serializer>(
    error: &Option<Error>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match error {
        Some(error) => serializer.collect_str(error),
        None => serializer.serialize_none(),
    }
}

impl AddReport {
    /// The last error, DISM's way; nothing when all went well.
    pub fn error(&self) -> Option<&Error> {
        let failed = self.packages.iter().rev().find_map(|package| match &package.outcome {
            AddOutcome::Failed { error } => Some(error),
            _ => None,
        });
        failed.or(self.nothing_usable.as_ref())
    }

    /// The code of [`AddReport::error`].
    pub fn code(&self) -> Option<Code> {
        self.error().map(Error::code)
    }

    /// Whether anything was put into the store.
    pub fn is_changed(&self) -> bool {
        self.packages
            .iter()
            .any(|package| matches!(&package.outcome, AddOutcome::Installed { already_present: false, .. }))
    }
}

/// A package in the store, as `/Get-Drivers` lists it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct DriverPackage {
    /// `oemN.inf`, or the INF's own name for in-box packages. Empty for an INF outside the image.
    pub published_name: String,
    /// Name of the vendor's INF, lower case.
    pub original_file_name: String,
    /// Came with Windows.
    pub inbox: bool,
    /// Setup class, as the INF spells it where the INF is read.
    pub class_name: String,
    /// Who provides it.
    pub provider_name: String,
    /// DriverVer date; zero when there is none.
    pub date: FileTime,
    /// DriverVer version.
    pub version: Version,
    /// Folder in the FileRepository. Empty for an INF outside the image.
    pub store_name: String,
}

/// What `/Get-DriverInfo` says about one package.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct DriverInfo {
    /// The package.
    pub package: DriverPackage,
    /// Windows path in the store, or the source path of an INF outside the image.
    pub store_path: String,
    /// `Storage controllers`
    pub class_description: Option<String>,
    /// Setup class.
    pub class_guid: Option<Guid>,
    /// Whether its setup class is needed to boot.
    pub boot_critical: bool,
    /// Nothing when unknown.
    pub signed: Option<bool>,
    /// Every models line.
    pub drivers: Vec<DriverModel>,
}

/// One models line of an INF.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct DriverModel {
    /// The architecture it is for.
    pub architecture: Arch,
    /// Text of the manufacturer.
    pub manufacturer: String,
    /// Text of the device.
    pub description: String,
    /// The hardware ID; empty when the line has compatible IDs only.
    pub hardware_id: String,
    /// The function driver's service.
    pub service_name: Option<String>,
    /// In the order of the line.
    pub compatible_ids: Vec<String>,
    /// IDs it is not for.
    pub exclude_ids: Vec<String>,
}
