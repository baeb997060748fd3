// SPDX-License-Identifier: GPL-3.0-or-later
//! What can go wrong in a tree.

use crate::base::{Code, Error, ErrorClass, NodeId};

/// An error of this room. The codes are those Windows gives for the same mistake, each telling one
/// mistake from the others, so that a mount can answer with the matching number.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VolumeError {
    /// No entry of this name.
    #[error("{path} does not exist")]
    NotFound {
        /// Where it was looked for.
        path: String,
    },
    /// An id that names nothing (any more).
    #[error("there is no file with the number {:#x}", node.0)]
    NoNode {
        /// The id.
        node: NodeId,
    },
    /// A stream that the node does not have.
    #[error("{path} has no stream {stream:?}")]
    NoStream {
        /// The file.
        path: String,
        /// The stream.
        stream: String,
    },
    /// A name that is taken, in whatever case.
    #[error("{path} exists already")]
    Exists {
        /// The name.
        path: String,
    },
    /// A directory with entries.
    #[error("the directory {path} is not empty")]
    NotEmpty {
        /// The directory.
        path: String,
    },
    /// A file, or a junction, where entries are wanted.
    #[error("{path} is not a directory that holds entries")]
    NotADirectory {
        /// What it is.
        path: String,
    },
    /// A directory where a file is wanted.
    #[error("{path} is a directory")]
    IsADirectory {
        /// The directory.
        path: String,
    },
    /// A name that Windows does not take.
    #[error("{name:?} is not a valid name: {why}")]
    InvalidName {
        /// The name.
        name: String,
        /// Which rule it breaks.
        why: &'static str,
    },
    /// An 8.3 name that is none, or does not go with its long name.
    #[error("{short_name:?} cannot be the short name of {path}: {why}")]
    InvalidShortName {
        /// The file.
        path: String,
        /// The short name.
        short_name: String,
        /// Which rule it breaks.
        why: &'static str,
    },
    /// A directory would end below itself.
    #[error("the directory {path} cannot be moved below itself")]
    IntoItself {
        /// The directory.
        path: String,
    },
    /// The root has no name to take away.
    #[error("the root directory cannot be removed, renamed or linked")]
    Root,
    /// Something that reparse points do not take.
    #[error("{path} is a reparse point: {why}")]
    ReparsePoint {
        /// The file.
        path: String,
        /// Which rule stands against it.
        why: &'static str,
    },
    /// More names than NTFS allows a file.
    #[error("{path} has {limit} names, the most a file can have")]
    TooManyLinks {
        /// The file.
        path: String,
        /// The most.
        limit: usize,
    },
    /// More bytes than the store or the format takes.
    #[error("{path}: {length} bytes are too many")]
    TooLarge {
        /// The file.
        path: String,
        /// The length asked for.
        length: u64,
    },
    /// A patch that reaches beyond the length it gives.
    #[error("{path}: a range of {length} bytes at {offset} lies beyond the new length {end}")]
    PatchOutside {
        /// The file.
        path: String,
        /// Where the range begins.
        offset: u64,
        /// How long it is.
        length: u64,
        /// The new length of the stream.
        end: u64,
    },
    /// A value whose size breaks a rule of NTFS.
    #[error("{path}: {what} of {length} bytes is not possible")]
    BadLength {
        /// The file.
        path: String,
        /// What the value is.
        what: &'static str,
        /// Its length.
        length: usize,
    },
    /// A savepoint that was committed or rolled back already.
    #[error("the savepoint is not open any more")]
    SavepointClosed,
    /// The scratch directory holds the journal of another overlay.
    #[error("{path} holds a journal already")]
    JournalExists {
        /// The scratch directory.
        path: String,
    },
    /// No journal where one should be.
    #[error("{path} holds no journal of this program")]
    NoJournal {
        /// The scratch directory.
        path: String,
    },
    /// A journal of another version.
    #[error("the journal has version {found}; this program reads version {expected}")]
    JournalVersion {
        /// What the journal says.
        found: u32,
        /// What is understood.
        expected: u32,
    },
    /// A journal made over something else.
    #[error("the journal belongs to another image, or the image was changed since")]
    OtherBase,
    /// A record that does not fit the state it meets.
    #[error("the journal record does not fit: {what}")]
    BadRecord {
        /// What does not fit.
        what: &'static str,
    },
    /// The tree below could not be read.
    #[error("{0}")]
    Base(Error),
    /// An earlier failure left it unknown what the journal holds.
    #[error("nothing more can be changed after an earlier failure: {cause}")]
    Failed {
        /// The earlier failure.
        cause: String,
    },
}

impl From<Error> for VolumeError {
    fn from(error: Error) -> Self {
        Self::Base(error)
    }
}

impl From<VolumeError> for Error {
    fn from(error: VolumeError) -> Self {
        use VolumeError as E;
        if let E::Base(error) = error {
            return error;
        }
        let message = error.to_string();
        let (class, code) = match &error {
            E::NotFound { .. } | E::NoNode { .. } | E::NoStream { .. } => {
                (ErrorClass::NotFound, Code::FILE_NOT_FOUND)
            }
            E::Exists { .. } => (ErrorClass::Usage, Code::ALREADY_EXISTS),
            E::NotEmpty { .. } => (ErrorClass::Usage, Code::win32(145)),
            E::NotADirectory { .. } => (ErrorClass::Usage, Code::win32(267)),
            E::IsADirectory { .. } => (ErrorClass::Usage, Code::win32(336)),
            E::InvalidName { .. } | E::InvalidShortName { .. } => (ErrorClass::Usage, Code::win32(123)),
            E::IntoItself { .. } | E::PatchOutside { .. } | E::BadLength { .. } => {
                (ErrorClass::Usage, Code::INVALID_PARAMETER)
            }
            E::Root => (ErrorClass::Usage, Code::ACCESS_DENIED),
            E::ReparsePoint { .. } => (ErrorClass::Unsupported, Code::NOT_SUPPORTED),
            E::TooManyLinks { .. } => (ErrorClass::Unsupported, Code::win32(1142)),
            E::TooLarge { .. } => (ErrorClass::Unsupported, Code::win32(223)),
            E::SavepointClosed => (ErrorClass::Internal, Code::INVALID_PARAMETER),
            E::JournalExists { .. } => (ErrorClass::Busy, Code::ALREADY_EXISTS),
            E::NoJournal { .. } => (ErrorClass::NotFound, Code::FILE_NOT_FOUND),
            E::JournalVersion { .. } => (ErrorClass::Unsupported, Code::NOT_SUPPORTED),
            E::OtherBase => (ErrorClass::Busy, Code::INVALID_DATA),
            E::BadRecord { .. } => (ErrorClass::Corrupt, Code::FILE_CORRUPT),
            E::Failed { .. } | E::Base(_) => (ErrorClass::Internal, Code::WRITE_FAULT),
        };
        let converted = Self::new(class, message).with_code(code);
        match &error {
            E::JournalExists { .. } => converted.with_hint("recover or discard that session first"),
            E::OtherBase => converted.with_hint("discard the session; its changes do not fit this image"),
            E::Failed { .. } => {
                converted.with_hint("end the session; what was acknowledged is in its journal")
            }
            _ => converted,
        }
    }
}
