// SPDX-License-Identifier: GPL-3.0-or-later
//! What can be wrong with an image as a whole.

use crate::base::{Code, Error, ErrorClass};

use super::HiveName;

/// Why an image cannot be serviced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// No top-level directory looks like a Windows directory.
    #[error(
        "there is no Windows in the image: no top-level folder holds System32\\config\\SYSTEM and \
         System32\\config\\SOFTWARE"
    )]
    NoWindows,
    /// Neither registry, XML nor kernel says what processor the image is for.
    #[error(
        "the processor architecture of the image cannot be told: neither {environment} nor the image's XML \
         nor kernel32.dll says it"
    )]
    UnknownArch {
        /// The key that should say it.
        environment: &'static str,
    },
    /// Neither registry nor XML says which Windows it is.
    #[error("the Windows version of the image cannot be told: neither {key} nor the image's XML says it")]
    UnknownVersion {
        /// The key that should say it.
        key: &'static str,
    },
    /// A hive has unwritten changes and no log that completes it.
    #[error("the hive {path} was not closed properly, and its logs do not complete it: {reason}")]
    DirtyHive {
        /// File of the hive.
        path: String,
        /// What the registry reader said.
        reason: String,
    },
    /// Somebody else wrote to a hive's file while the session edited it.
    #[error(
        "the file {path} was changed while its hive was open in this session; nothing was written over it"
    )]
    StaleHive {
        /// File of the hive.
        path: String,
    },
    /// A registry path names no hive that an offline image has.
    #[error("{path} does not begin with a registry root that an offline image has")]
    RegistryPath {
        /// As given.
        path: String,
    },
    /// A hive that is needed is not in the image.
    #[error("the image has no {hive} hive ({path})")]
    MissingHive {
        /// Which.
        hive: HiveName,
        /// Where it was looked for.
        path: String,
    },
    /// The `SYSTEM` hive names no control set that exists.
    #[error("the SYSTEM hive has no control set: no key ControlSetNNN is there")]
    NoControlSet,
    /// The session was not opened on a WIM file.
    #[error("this session has no WIM file to commit to")]
    NoWim,
}

impl From<ImageError> for Error {
    fn from(error: ImageError) -> Self {
        let message = error.to_string();
        match error {
            ImageError::NoWindows => Error::new(ErrorClass::NotApplicable, message)
                .with_code(Code(0xC150_0029))
                .with_hint("name an image that holds Windows; `transom image info FILE` lists the images of a file"),
            ImageError::UnknownArch { .. } | ImageError::UnknownVersion { .. } => {
                Error::new(ErrorClass::NotApplicable, message).with_code(Code(0xC150_0044))
            }
            ImageError::DirtyHive { .. } => Error::new(ErrorClass::Corrupt, message)
                .with_code(Code::REGISTRY_CORRUPT)
                .with_hint("use --ignore-dirty to edit the hive as it stands; the result then says so"),
            ImageError::StaleHive { .. } => {
                Error::new(ErrorClass::Busy, message).with_hint("run the command again when nothing else edits the image")
            }
            ImageError::RegistryPath { .. } => Error::new(ErrorClass::Usage, message).with_hint(
                "use HKLM\\SYSTEM, HKLM\\SOFTWARE, HKLM\\DRIVERS, HKLM\\COMPONENTS, HKLM\\SAM, HKLM\\SECURITY, \
                 HKLM\\BCD00000000, HKLM\\SCHEMA, HKU\\.DEFAULT, HKU\\SID, HKU\\SID_Classes, HKCU (the default user) or \
                 HKCR (SOFTWARE\\Classes)",
            ),
            ImageError::MissingHive { .. } => Error::new(ErrorClass::NotFound, message),
            ImageError::NoControlSet => {
                Error::new(ErrorClass::Corrupt, message).with_code(Code::REGISTRY_CORRUPT)
            }
            ImageError::NoWim => Error::new(ErrorClass::Internal, message),
        }
    }
}
