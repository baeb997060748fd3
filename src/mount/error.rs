// SPDX-License-Identifier: GPL-3.0-or-later
//! What can go wrong with a mount as a whole.

use std::path::PathBuf;

use crate::base::{Code, Error, ErrorClass};

/// An error of this room. The codes are DISM's (`reference: 0xc142xxxx`, its imaging facility).
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MountError {
    /// The directory to mount on is not there, or not empty.
    #[error("{} cannot be mounted on: {why}", directory.display())]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// Why not.
        why: String,
    },
    /// Another mount of ours is there, served or not.
    #[error("{} is the directory of a mount already", directory.display())]
    DirectoryTaken {
        /// The directory.
        directory: PathBuf,
        /// The id of the mount.
        id: String,
    },
    /// The image is mounted for reading and writing elsewhere.
    #[error(
        "The specified image in the specified wim is already mounted for read/write access: image {index} of {} at {}",
        file.display(), directory.display()
    )]
    ImageTaken {
        /// The file.
        file: PathBuf,
        /// The image.
        index: u32,
        /// Where it is mounted.
        directory: PathBuf,
    },
    /// The file cannot be changed, and neither can then the image.
    #[error("You do not have permissions to mount and modify this image: {why}")]
    NotWritable {
        /// Why not.
        why: String,
    },
    /// No mount of this name.
    #[error("{name} is no mount of this user")]
    NoMount {
        /// The directory or id.
        name: String,
    },
    /// What is mounted cannot be changed.
    #[error("{} is mounted read-only", directory.display())]
    ReadOnly {
        /// The directory.
        directory: PathBuf,
    },
    /// The process that served it is gone.
    #[error("{} must be remounted first: the process that served it is gone", directory.display())]
    NeedsRemount {
        /// The directory.
        directory: PathBuf,
    },
    /// It is served.
    #[error("{} is mounted and needs no remount", directory.display())]
    IsServed {
        /// The directory.
        directory: PathBuf,
    },
    /// The image is not what it was.
    #[error("image {index} of {} was changed or removed since it was mounted at {}", file.display(), directory.display())]
    Invalid {
        /// The file.
        file: PathBuf,
        /// The image.
        index: u32,
        /// The directory.
        directory: PathBuf,
    },
    /// Somebody uses the mount.
    #[error("The directory could not be completely unmounted: {} is in use by {holders}", directory.display())]
    Busy {
        /// The directory.
        directory: PathBuf,
        /// The processes, and with what.
        holders: String,
    },
    /// The serving process did not answer as it should.
    #[error("the process that serves {} does not answer: {why}", directory.display())]
    NoAnswer {
        /// The directory.
        directory: PathBuf,
        /// What happened.
        why: String,
    },
    /// What the crate `fuse-mount` says.
    #[error("{0}")]
    Fuse(#[from] fuse_mount::Error),
}

impl From<MountError> for Error {
    fn from(error: MountError) -> Self {
        use MountError as E;
        let message = error.to_string();
        let (class, code) = match &error {
            E::Directory { .. } => (ErrorClass::Usage, Code(0xC142_0116)),
            E::DirectoryTaken { .. } | E::IsServed { .. } => (ErrorClass::Busy, Code(0xC142_0126)),
            E::ImageTaken { .. } => (ErrorClass::Busy, Code(0xC142_0127)),
            E::NotWritable { .. } => (ErrorClass::Permission, Code(0xC151_0111)),
            E::NoMount { .. } => (ErrorClass::NotFound, Code(0xC004_0007)),
            E::ReadOnly { .. } => (ErrorClass::Usage, Code(0xC142_010C)),
            E::NeedsRemount { .. } => (ErrorClass::NotApplicable, Code(0xC151_0114)),
            E::Invalid { .. } => (ErrorClass::NotApplicable, Code(0xC142_011D)),
            E::Busy { .. } => (ErrorClass::Busy, Code(0xC142_0117)),
            E::NoAnswer { .. } => (ErrorClass::Busy, Code::win32(1243)),
            E::Fuse(fuse) => match fuse {
                fuse_mount::Error::Device { .. } | fuse_mount::Error::NotAllowed { .. } => {
                    (ErrorClass::Permission, Code::win32(1243))
                }
                fuse_mount::Error::Target { .. } => (ErrorClass::Usage, Code(0xC142_0116)),
                fuse_mount::Error::Busy { .. } | fuse_mount::Error::Covered { .. } => {
                    (ErrorClass::Busy, Code(0xC142_0117))
                }
                _ => (ErrorClass::Internal, Code::win32(1243)),
            },
        };
        let converted = Self::new(class, message).with_code(code);
        match &error {
            E::Directory { .. } => converted.with_hint("name an empty directory, for example: mkdir /mnt/w"),
            E::DirectoryTaken { id, .. } => {
                converted.with_hint(format!("unmount it first, or free it: transom cleanup --force {id}"))
            }
            E::ImageTaken { directory, .. } => converted.with_hint(format!(
                "unmount it there first (transom unmount {} --commit), or mount it read-only",
                directory.display()
            )),
            E::NotWritable { .. } => converted.with_hint(
                "mount it with /ReadOnly (--read-only), or get read and write permission to the file",
            ),
            E::NoMount { .. } => converted.with_hint("`transom mounts` lists the mounts"),
            E::ReadOnly { .. } => converted.with_hint("unmount it with /Discard (--discard)"),
            E::NeedsRemount { directory } => {
                converted.with_hint(format!("transom remount {}", directory.display()))
            }
            E::IsServed { .. } => converted.with_hint("go on using it"),
            E::Invalid { directory, .. } => converted.with_hint(format!(
                "its changes fit no image any more; drop them: transom unmount {} --discard",
                directory.display()
            )),
            E::Busy { .. } => {
                converted.with_hint("end these processes, or unmount it under them with --detach")
            }
            E::NoAnswer { .. } => converted.with_hint("end that process (`transom mounts` names it), then remount"),
            E::Fuse(fuse_mount::Error::Device { .. } | fuse_mount::Error::NotAllowed { .. }) => converted
                .with_hint("`transom mounts --probe` says what this machine allows; no mount is needed to service an image"),
            E::Fuse(_) => converted,
        }
    }
}
