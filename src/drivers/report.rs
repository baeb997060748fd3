// SPDX-License-Identifier: GPL-3.0-or-later
//! What is asked of the driver store and what it answers.

use std::path::PathBuf;

use crate::base::{Arch, Code, Error, FileTime, Guid, Version};
use crate::catalog::Trust;

use super::device::{Device, DeviceList};

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
    /// Take only packages for these devices.
    pub only: Option<DeviceList>,
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
        /// What was put right of a package that was there before, said in words.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        repaired: Vec<String>,
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

/// Which packages to remove.
#[derive(Clone, Debug, Default)]
pub struct RemoveRequest {
    /// Published names (`oemN.inf`), in order.
    pub drivers: Vec<String>,
    /// Remove none when one cannot be removed.
    pub all_or_nothing: bool,
}

/// What became of a removal.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct RemoveReport {
    /// In the order asked for.
    pub drivers: Vec<RemovedDriver>,
    /// "exact except" items of the whole run.
    pub exceptions: Vec<String>,
}

/// One driver that was to be removed.
#[derive(Clone, Debug, serde::Serialize)]
pub struct RemovedDriver {
    /// As given.
    pub name: String,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: RemoveOutcome,
}

/// What became of one driver that was to be removed.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum RemoveOutcome {
    /// It is gone.
    Removed {
        /// Name of the vendor's INF, lower case.
        original_file_name: String,
        /// Folders that were in the FileRepository.
        store_names: Vec<String>,
        /// Its setup class is needed to boot: the image may not start without it.
        boot_critical: bool,
        /// Services that went with it.
        services: Vec<String>,
        /// Files outside the store that went with it.
        files: Vec<String>,
        /// What stays, or is not exact, said in words.
        exceptions: Vec<String>,
    },
    /// It could be removed, but another could not.
    Kept,
    /// It could not be removed; nothing of it is changed.
    Failed {
        /// Why.
        #[serde(serialize_with = "error_json")]
        error: Error,
    },
}

impl RemoveReport {
    /// The last error, DISM's way.
    pub fn error(&self) -> Option<&Error> {
        self.drivers.iter().rev().find_map(|driver| match &driver.outcome {
            RemoveOutcome::Failed { error } => Some(error),
            _ => None,
        })
    }

    /// Whether anything was removed.
    pub fn is_changed(&self) -> bool {
        self.drivers.iter().any(|driver| matches!(driver.outcome, RemoveOutcome::Removed { .. }))
    }
}

/// Which packages to export, and where to.
#[derive(Clone, Debug, Default)]
pub struct ExportRequest {
    /// The folder that gets a folder for each package.
    pub destination: PathBuf,
    /// Make it where it is missing.
    pub create: bool,
    /// Published names; none for every third-party package.
    pub drivers: Vec<String>,
    /// Only say what would be exported.
    pub dry_run: bool,
}

/// What became of an export.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct ExportReport {
    /// The folder.
    pub destination: PathBuf,
    /// Every package, in order of its published name.
    pub drivers: Vec<ExportedDriver>,
}

/// One exported package.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ExportedDriver {
    /// `oemN.inf`
    pub name: String,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: ExportOutcome,
}

/// What became of one package that was to be exported.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum ExportOutcome {
    /// It was copied.
    Exported {
        /// Where it is.
        folder: PathBuf,
        /// How many files it has.
        files: usize,
        /// Their sizes together.
        bytes: u64,
    },
    /// It was not, or not wholly.
    Failed {
        /// Why.
        #[serde(serialize_with = "error_json")]
        error: Error,
    },
}

impl ExportReport {
    /// The last error, DISM's way.
    pub fn error(&self) -> Option<&Error> {
        self.drivers.iter().rev().find_map(|driver| match &driver.outcome {
            ExportOutcome::Failed { error } => Some(error),
            ExportOutcome::Exported { .. } => None,
        })
    }
}

/// What is wrong with the driver store.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct CheckReport {
    /// Packages that were checked.
    pub packages: usize,
    /// Files of theirs that were looked at.
    pub files: usize,
    /// In the order found.
    pub findings: Vec<DriverFinding>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct DriverFinding {
    /// What kind of fault it is.
    pub fault: DriverFault,
    /// The folder in the store, or the INF or catalog that it is about.
    pub package: String,
    /// In words.
    pub detail: String,
}

/// Kinds of faults of a driver store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DriverFault {
    /// A record breaks its form.
    BadRecord,
    /// A package has records in both hives.
    TwoHives,
    /// A package is recorded in the hive that its class does not belong to.
    WrongHive,
    /// A package is recorded for another processor.
    WrongArchitecture,
    /// Record and INF differ in the setup class.
    WrongClass,
    /// Record and INF differ in date or version.
    WrongVersion,
    /// No published INF leads to the package.
    NotPublished,
    /// A published INF leads to a package without record.
    NoRecord,
    /// The folder is missing.
    MissingFolder,
    /// A folder has no record.
    UnknownFolder,
    /// The INF is missing in its folder.
    MissingInf,
    /// The INF cannot be read, or is not for this image.
    BadInf,
    /// The INF is not the one that the folder's name was made of.
    WrongTag,
    /// A file of the INF is missing in the folder.
    MissingFile,
    /// A file is not what the catalog vouches for.
    FileNotInCatalog,
    /// The catalog of a signed package is missing.
    MissingCatalog,
    /// The catalog of a signed package cannot be read, or its signature is wrong.
    BadCatalog,
    /// `oemN.inf` is missing.
    MissingPublishedInf,
    /// `oemN.inf` is another file than the INF in the store.
    PublishedInfDiffers,
    /// An `oemN.inf` is not in the database.
    UnknownPublishedInf,
    /// `oemN.cat` is missing or another file than the catalog in the store.
    PublishedCatalogDiffers,
    /// An `oemN.cat` belongs to no published INF.
    UnknownPublishedCatalog,
    /// A number in use is not in the bitmap.
    NumberNotCounted,
    /// A number in the bitmap is not in use.
    NumberWithoutInf,
    /// A device id does not lead to the package.
    MissingDeviceId,
    /// A device id leads to the package in another way than its INF says.
    WrongDeviceId,
    /// A device id leads to a package that does not have it, or to none.
    StaleDeviceId,
    /// A configuration of a package that has to be put to work is not recorded.
    MissingConfiguration,
    /// A service is missing.
    MissingService,
    /// The file of a service, or a file copied out of the store, is missing.
    MissingProgram,
    /// A file copied out of the store is not listed as the package's.
    MissingLockdown,
    /// A service or a file belongs to an INF that is not there.
    StaleOwner,
}

/// Which packages would serve a device.
#[derive(Clone, Debug, serde::Serialize)]
pub struct FindReport {
    /// As asked for.
    pub id: String,
    /// What the identifier says of the device.
    pub device: Device,
    /// The best first; extensions and what is not sure behind the others.
    pub candidates: Vec<FindCandidate>,
}

/// A package that has an id of the device.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FindCandidate {
    /// Windows would pick it.
    pub picked: bool,
    /// `oemN.inf`, or the INF's own name for in-box packages.
    pub published_name: String,
    /// Name of the vendor's INF.
    pub original_file_name: String,
    /// Folder in the FileRepository.
    pub store_name: String,
    /// Came with Windows.
    pub inbox: bool,
    /// Setup class.
    pub class_name: String,
    /// Who provides it.
    pub provider_name: String,
    /// DriverVer date.
    pub date: FileTime,
    /// DriverVer version.
    pub version: Version,
    /// The id by which it was found.
    pub matched_id: String,
    /// Windows' rank, lower is better.
    pub rank: u32,
    /// An extension: applied beside the driver.
    pub extension: bool,
    /// Its id tells more than is known of the device.
    pub conditional: bool,
}

/// The driver packages of two images side by side.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct DriverComparison {
    /// In the first image alone.
    pub only_first: Vec<DriverPackage>,
    /// In the second image alone.
    pub only_second: Vec<DriverPackage>,
    /// Different versions of what seems to be one package.
    pub changed: Vec<PackageDifference>,
    /// The same INF in both.
    pub both: Vec<PackageDifference>,
}

/// A package in two images.
#[derive(Clone, Debug, serde::Serialize)]
pub struct PackageDifference {
    /// In the first image.
    pub first: DriverPackage,
    /// In the second image.
    pub second: DriverPackage,
    /// Files in which the same package differs.
    pub files: Vec<String>,
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
