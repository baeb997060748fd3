// SPDX-License-Identifier: GPL-3.0-or-later
//! What can be wrong with an INF, and the number setupapi gives for it.

use crate::base::{Code, Error, ErrorClass};

/// Why an INF is refused. Lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InfError {
    /// A line with a value stands before any `[section]`.
    #[error("line {line}: a value stands before the first [section]")]
    TextBeforeSection {
        /// Where.
        line: u32,
    },
    /// A section header has no `]`.
    #[error("line {line}: the section header has no closing bracket")]
    SectionHeader {
        /// Where.
        line: u32,
    },
    /// A section name is longer than 255 characters.
    #[error("line {line}: the section name is longer than 255 characters")]
    SectionNameTooLong {
        /// Where.
        line: u32,
    },
    /// A field is longer than 4095 characters, as written or with its %strings% put in.
    #[error("line {line}: a field is longer than 4095 characters{}", if *.expanded { " once its %strings% are put in" } else { "" })]
    FieldTooLong {
        /// Where.
        line: u32,
        /// Whether the length is that after substitution.
        expanded: bool,
    },
    /// `[Version]` is missing, or its Signature is none of those Windows takes.
    #[error("not a driver INF: {reason}")]
    WrongStyle {
        /// What is missing or wrong.
        reason: String,
    },
    /// There is not one byte.
    #[error("the INF is empty")]
    Empty,
    /// Larger than any INF may be.
    #[error("the INF has {length} bytes; more than {limit} are not read")]
    TooLarge {
        /// Its size.
        length: u64,
        /// The most that is read.
        limit: u64,
    },
    /// More sections than are kept.
    #[error("line {line}: more than {limit} sections")]
    TooManySections {
        /// Where.
        line: u32,
        /// The most that are kept.
        limit: usize,
    },
    /// What the INF expands to on one target is out of all proportion.
    #[error("line {line}: the install sections expand to more than {limit} bytes")]
    ExpansionLimit {
        /// Where the limit was reached.
        line: u32,
        /// The most that is produced.
        limit: u64,
    },
    /// A file list has no destination.
    #[error("line {line}: [DestinationDirs] names no directory for the file list {list:?}")]
    NoDestination {
        /// Where the list is asked for.
        line: u32,
        /// The list section, or `@file`.
        list: String,
    },
    /// A path leaves its folder, is absolute, or has characters no file name may have.
    #[error("line {line}: the {what} {path:?} is not a path below its folder")]
    UnsafePath {
        /// Where.
        line: u32,
        /// Which path: "source path", "destination" and so on.
        what: &'static str,
        /// The path as the INF gives it.
        path: String,
    },
}

impl InfError {
    /// The line that is to blame; zero for the file as a whole.
    pub fn line(&self) -> u32 {
        match self {
            Self::TextBeforeSection { line }
            | Self::SectionHeader { line }
            | Self::SectionNameTooLong { line }
            | Self::FieldTooLong { line, .. }
            | Self::TooManySections { line, .. }
            | Self::ExpansionLimit { line, .. }
            | Self::NoDestination { line, .. }
            | Self::UnsafePath { line, .. } => *line,
            Self::WrongStyle { .. } | Self::Empty | Self::TooLarge { .. } => 0,
        }
    }

    /// The number setupapi gives (setupapi.h): `ERROR_EXPECTED_SECTION_NAME` and its neighbours.
    pub fn code(&self) -> Code {
        match self {
            Self::TextBeforeSection { .. } => Code(0xE000_0000),
            Self::SectionHeader { .. } => Code(0xE000_0001),
            Self::SectionNameTooLong { .. } => Code(0xE000_0002),
            Self::FieldTooLong { .. } | Self::ExpansionLimit { .. } | Self::TooManySections { .. } => {
                Code(0xE000_0003)
            }
            Self::WrongStyle { .. } => Code(0xE000_0100),
            Self::Empty => Code::win32(1006),
            Self::TooLarge { .. } => Code::win32(223),
            Self::NoDestination { .. } => Code(0xE000_0102),
            Self::UnsafePath { .. } => Code::win32(161),
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::WrongStyle { .. } => {
                "name the INF of a driver package; fragments and setup scripts cannot be added"
            }
            Self::UnsafePath { .. } => "do not use this package: its file paths lead out of its folder",
            _ => "get the package again from its vendor, or correct the INF",
        }
    }
}

impl From<InfError> for Error {
    fn from(error: InfError) -> Self {
        Self::new(ErrorClass::Corrupt, error.to_string()).with_code(error.code()).with_hint(error.hint())
    }
}
