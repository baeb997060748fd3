// SPDX-License-Identifier: GPL-3.0-or-later
//! Why a driver package is not taken.

use std::path::PathBuf;

use crate::base::{Arch, Code, Error, ErrorClass, Version};

/// Why a driver package is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DriverError {
    /// No INF below the given folders.
    #[error("No driver packages were found on the specified path: {path}")]
    NothingFound {
        /// The folders, joined by commas.
        path: String,
    },
    /// The Windows in the image has no driver store.
    #[error(
        "adding drivers to Windows {version} is not supported: before Vista (6.0) there is no driver store"
    )]
    OldStore {
        /// Of the image.
        version: Version,
    },
    /// The INF has neither models nor an install section for anybody.
    #[error(
        "{inf} is no driver package: it has no device models, no DefaultInstall and no ClassInstall32 section"
    )]
    NotADriver {
        /// File name.
        inf: String,
    },
    /// The INF is for other images.
    #[error("{inf} does not apply to this image ({arch}, {version}); {supported}")]
    NotApplicable {
        /// File name.
        inf: String,
        /// Of the image.
        arch: Arch,
        /// Of the image.
        version: Version,
        /// What it is for, said in words.
        supported: String,
    },
    /// `[Version]` names no setup class that can be identified.
    #[error("{inf} names no setup class: there is no ClassGuid, and the image knows no class {class:?}")]
    NoClass {
        /// File name.
        inf: String,
        /// Class name of the INF, may be empty.
        class: String,
    },
    /// A file that the INF copies is not in the package.
    #[error("{inf} copies {file}, which is not in {folder}")]
    MissingFile {
        /// File name of the INF.
        inf: String,
        /// Path relative to the INF.
        file: String,
        /// Folder of the INF.
        folder: PathBuf,
    },
    /// A file of the package lies there packed, and cannot be unpacked.
    #[error("{} cannot be unpacked: {reason}", path.display())]
    Packed {
        /// The cabinet or compressed file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A path of the package leads out of its folder.
    #[error("{inf} names the file {file:?}, which leads out of the package's folder")]
    Escape {
        /// File name of the INF.
        inf: String,
        /// As named.
        file: String,
    },
    /// A name that Windows cannot store.
    #[error("{name:?} cannot be a file name on Windows")]
    BadName {
        /// The name.
        name: String,
    },
    /// Two sources of one package differ in case only.
    #[error("{inf} names two files that Windows takes for one: {file}")]
    SameName {
        /// File name of the INF.
        inf: String,
        /// One of them.
        file: String,
    },
    /// An INF or a catalog of a size that none has.
    #[error("{} has {length} bytes; more than {limit} are not read", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        length: u64,
        /// The most that is read.
        limit: u64,
    },
    /// `CatalogFile` is missing, or the file it names.
    #[error("{inf} is not signed: {reason}")]
    NoCatalog {
        /// File name of the INF.
        inf: String,
        /// What exactly is missing.
        reason: String,
    },
    /// The catalog cannot be read, or its signature is wrong.
    #[error("the catalog {catalog} of {inf} is not trusted: {reason}")]
    BadCatalog {
        /// File name of the INF.
        inf: String,
        /// File name of the catalog.
        catalog: String,
        /// From the catalog reader.
        reason: String,
    },
    /// The catalog was made for later versions of Windows.
    #[error("the catalog {catalog} of {inf} is for another Windows: {reason}")]
    WrongOs {
        /// File name of the INF.
        inf: String,
        /// File name of the catalog.
        catalog: String,
        /// From the catalog reader.
        reason: String,
    },
    /// The catalog does not vouch for a file.
    #[error("the hash of {file} is not in the catalog {catalog}")]
    NotInCatalog {
        /// The file, relative to the INF.
        file: String,
        /// File name of the catalog.
        catalog: String,
    },
    /// The same INF is in the store, with other files.
    #[error(
        "the store already holds {store_name} with another {file}: one INF cannot be there with two payloads"
    )]
    Clash {
        /// Folder in the FileRepository.
        store_name: String,
        /// The first file that differs.
        file: String,
    },
    /// The driver came with Windows.
    #[error("{name} came with Windows and cannot be removed")]
    InBox {
        /// As given.
        name: String,
    },
    /// A package is in the database, and its folder is not in the store.
    #[error("the folder {store_name} is missing in the driver store of the image")]
    MissingFolder {
        /// Its name.
        store_name: String,
    },
    /// The image has no driver database.
    #[error("Windows {version} keeps no driver database that can be read: it came with Windows 8 (6.2)")]
    NoDatabase {
        /// Of the image.
        version: Version,
    },
    /// A list of devices tells of none.
    #[error("{} lists no device", path.display())]
    NoDevices {
        /// The list.
        path: PathBuf,
    },
    /// The folder to export to is not there.
    #[error("{} is no folder", path.display())]
    NoFolder {
        /// As given.
        path: PathBuf,
    },
    /// The driver is not in the store.
    #[error("the driver {name} is not in the driver store of the image")]
    Unknown {
        /// As given.
        name: String,
    },
    /// A value of the driver database breaks its form.
    #[error("the driver database of the image is damaged: {what}")]
    Database {
        /// Which value, and how.
        what: String,
    },
}

impl From<DriverError> for Error {
    fn from(error: DriverError) -> Self {
        let message = error.to_string();
        let with = |class, code, hint: &'static str| {
            Error::new(class, message.clone()).with_code(code).with_hint(hint)
        };
        match error {
            DriverError::NothingFound { .. } => with(
                ErrorClass::NotFound,
                Code::FILE_NOT_FOUND,
                "verify that the driver .INF files are in the specified location; --recurse searches subfolders too",
            ),
            DriverError::OldStore { .. } => {
                with(ErrorClass::Unsupported, Code::NOT_SUPPORTED, "use an image of Vista or later")
            }
            DriverError::NotADriver { .. } => with(
                ErrorClass::NotApplicable,
                Code::NOT_SUPPORTED,
                "name the INF that lists the hardware, or the folder that holds it",
            ),
            DriverError::NotApplicable { .. } => with(
                ErrorClass::NotApplicable,
                Code::NOT_SUPPORTED,
                "get the vendor's package for the architecture and version of this image",
            ),
            DriverError::NoClass { .. } => {
                with(ErrorClass::Corrupt, Code(0xE000_0206), "the INF needs a ClassGuid line in [Version]")
            }
            DriverError::MissingFile { .. } => with(
                ErrorClass::NotFound,
                Code::FILE_NOT_FOUND,
                "use the vendor's whole package: every file that the INF names must lie where the INF says",
            ),
            DriverError::Packed { .. } => {
                with(ErrorClass::Corrupt, Code::INVALID_DATA, "get the package again from its vendor")
            }
            DriverError::TooLarge { .. }
            | DriverError::Escape { .. }
            | DriverError::BadName { .. }
            | DriverError::SameName { .. } => {
                with(ErrorClass::Corrupt, Code::INVALID_DATA, "do not use this package")
            }
            DriverError::NoCatalog { .. } => with(
                ErrorClass::NotApplicable,
                Code(0xE000_022F),
                "use the signed package, or add it with --force-unsigned",
            ),
            DriverError::BadCatalog { .. } => with(
                ErrorClass::NotApplicable,
                Code(0xE000_0242),
                "get the package again from its vendor, name a root certificate that you trust (--root FILE), or add it with --force-unsigned",
            ),
            DriverError::WrongOs { .. } => with(
                ErrorClass::NotApplicable,
                crate::catalog::OS_MISMATCH,
                "get the package that was signed for this Windows, or add it with --force-unsigned",
            ),
            DriverError::NotInCatalog { .. } => with(
                ErrorClass::NotApplicable,
                Code(0xE000_024B),
                "the file was changed after signing: get the package again, or add it with --force-unsigned",
            ),
            DriverError::Clash { .. } => with(
                ErrorClass::NotApplicable,
                Code::ALREADY_EXISTS,
                "remove the package that is in the image first, or use the vendor's own files",
            ),
            DriverError::InBox { .. } => with(
                ErrorClass::NotApplicable,
                Code::NOT_SUPPORTED,
                "only third-party packages, published as oemN.inf, can be removed: `driver list` shows them",
            ),
            DriverError::MissingFolder { .. } => with(
                ErrorClass::Corrupt,
                Code::PATH_NOT_FOUND,
                "`driver check` tells what else is missing; `driver add` with the vendor's package repairs it",
            ),
            DriverError::NoDatabase { .. } => {
                with(ErrorClass::Unsupported, Code::NOT_SUPPORTED, "`driver list` shows what was added to it")
            }
            DriverError::NoDevices { .. } => with(
                ErrorClass::Corrupt,
                Code::INVALID_DATA,
                "save the output of `lspci -nn` (or of pnputil /enum-devices /ids on Windows) to the file",
            ),
            DriverError::NoFolder { .. } => {
                with(ErrorClass::NotFound, Code::PATH_NOT_FOUND, "make the folder first, or name another")
            }
            DriverError::Unknown { .. } => with(
                ErrorClass::NotFound,
                Code::NOT_FOUND,
                "`driver list --all` shows the names in the image",
            ),
            DriverError::Database { .. } => {
                Error::new(ErrorClass::Corrupt, message).with_code(Code::REGISTRY_CORRUPT)
            }
        }
    }
}
