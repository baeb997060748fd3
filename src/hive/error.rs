// SPDX-License-Identifier: GPL-3.0-or-later
//! What can go wrong in a hive. Offsets are positions in the hive file.

use std::borrow::Cow;

use crate::base::{Code, Error, ErrorClass};

/// The result of the room's inner functions.
pub(super) type Result<T, E = HiveError> = std::result::Result<T, E>;

/// An error of this room.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HiveError {
    /// The file does not begin like a hive, or is of a kind that is not read.
    #[error("not a registry hive: {what} at offset {offset:#x} is {found}, expected {expected}")]
    NotAHive {
        /// Which field.
        what: &'static str,
        /// Where it is.
        offset: u64,
        /// What a hive has there.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// A structure breaks the rules of the format.
    #[error("the hive is damaged: {what} at offset {offset:#x} is {found}, expected {expected}")]
    Structure {
        /// Which structure or field.
        what: &'static str,
        /// Where it is.
        offset: u64,
        /// What the format asks for.
        expected: Cow<'static, str>,
        /// What is there.
        found: String,
    },
    /// The hive was not written completely and no log brings it to a whole state.
    #[error("the hive is dirty ({reason}) and no usable log lies beside it")]
    Dirty {
        /// What shows that it is dirty.
        reason: String,
    },
    /// A subkey name that the registry does not take.
    #[error("{name:?} cannot be the name of a key: {reason}")]
    KeyName {
        /// The name.
        name: String,
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// A request that no hive can fulfil.
    #[error("{what} is {found}; the limit is {limit}")]
    Limit {
        /// What is too large.
        what: &'static str,
        /// How large it is.
        found: u64,
        /// How large it may be.
        limit: u64,
    },
    /// The root key cannot be deleted.
    #[error("the root key of a hive cannot be deleted")]
    DeleteRoot,
    /// The root key keeps its name.
    #[error("the root key of a hive cannot be renamed")]
    RenameRoot,
    /// A name that another key beside it has.
    #[error("there is a key {name:?} already")]
    KeyExists {
        /// The name.
        name: String,
    },
    /// The damage is not of a kind that can be put right in place.
    #[error("the hive cannot be repaired in place: {finding}")]
    BeyondRepair {
        /// What stands against it.
        finding: String,
    },
    /// An edit failed halfway; what is in memory must not be saved.
    #[error("an earlier edit of this hive failed halfway: {cause}")]
    Unfinished {
        /// Why it failed.
        cause: String,
    },
    /// The result of the edits does not pass the checks.
    #[error("the edited hive does not pass the check by {checker}: {finding}")]
    Refused {
        /// Who found it.
        checker: &'static str,
        /// What was found.
        finding: String,
    },
    /// The source could not be read.
    #[error(transparent)]
    Source(#[from] Error),
}

impl HiveError {
    pub(super) fn structure(
        what: &'static str,
        offset: u64,
        expected: impl Into<Cow<'static, str>>,
        found: impl ToString,
    ) -> Self {
        Self::Structure { what, offset, expected: expected.into(), found: found.to_string() }
    }
}

impl From<HiveError> for Error {
    fn from(error: HiveError) -> Self {
        let message = error.to_string();
        match error {
            HiveError::Source(error) => error,
            HiveError::NotAHive { .. } => Self::new(ErrorClass::Corrupt, message)
                .with_code(Code::BAD_FORMAT)
                .with_hint("name a registry hive such as Windows/System32/config/SYSTEM"),
            HiveError::Structure { .. } => Self::new(ErrorClass::Corrupt, message)
                .with_code(Code::REGISTRY_CORRUPT)
                .with_hint("take the hive from a good copy of the image"),
            HiveError::Dirty { .. } => Self::new(ErrorClass::Corrupt, message)
                .with_code(Code::REGISTRY_CORRUPT)
                .with_hint("put its .LOG1 and .LOG2 beside it, or use --ignore-dirty to take it as it is"),
            HiveError::KeyName { .. } | HiveError::Limit { .. } => Self::new(ErrorClass::Usage, message),
            HiveError::KeyExists { .. } => Self::new(ErrorClass::Usage, message)
                .with_code(Code::ALREADY_EXISTS)
                .with_hint("delete or rename that key first"),
            HiveError::BeyondRepair { .. } => Self::new(ErrorClass::Corrupt, message)
                .with_code(Code::REGISTRY_CORRUPT)
                .with_hint("hive recover FILE --salvage NEW saves what can be read into a new hive"),
            HiveError::DeleteRoot | HiveError::RenameRoot => {
                Self::new(ErrorClass::Usage, message).with_code(Code::ACCESS_DENIED)
            }
            HiveError::Unfinished { .. } => Self::new(ErrorClass::Corrupt, message)
                .with_code(Code::REGISTRY_CORRUPT)
                .with_hint("return to a savepoint before that edit"),
            HiveError::Refused { .. } => Self::new(ErrorClass::Internal, message)
                .with_code(Code::REGISTRY_CORRUPT)
                .with_hint("nothing was written; please report this"),
        }
    }
}
