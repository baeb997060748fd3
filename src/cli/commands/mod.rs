// SPDX-License-Identifier: GPL-3.0-or-later
//! What runs a command: from its values to the room that does the work, and back with a report.

mod access;
pub(super) mod cat;
pub(super) mod difference;
pub(super) mod driver;
pub(super) mod hive;
pub(super) mod hive_file;
pub(super) mod image;
pub(super) mod inf;
pub(super) mod mount;
pub(super) mod reg;
mod search;
pub(super) mod tool;

use std::fmt;

use super::values::Values;
use crate::base::{Error, Result};
use crate::image::{Environment, Session};
use crate::report::Report;

/// What a command that only looks gives.
pub(crate) type Found = Box<dyn Report>;

/// What a command that changes an image gives.
pub(crate) struct Changed {
    /// What was done.
    pub(crate) report: Found,
    /// Whether the changes may stand. If not, nothing of the run is committed.
    pub(crate) keep: bool,
}

/// What a command of the tool itself gives.
pub(crate) struct Printed {
    /// Printed as it is.
    pub(crate) text: String,
    /// Why the run fails although there is a text.
    pub(crate) error: Option<Error>,
}

/// What runs a command.
pub(crate) enum Action {
    /// Works on files.
    Host(fn(&Environment, &Values) -> Result<Found>),
    /// Looks into an image.
    Read(fn(&mut Session, &Values) -> Result<Found>),
    /// Changes an image.
    Change(fn(&mut Session, &Values) -> Result<Changed>),
    /// Is about the tool itself.
    Tool(fn(&Values) -> Result<Printed>),
    /// Stands for the steps of a recipe, which are put in its place before anything runs.
    Recipe,
    /// Known, but not built yet.
    Planned,
}

impl fmt::Debug for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Host(_) => "Host",
            Self::Read(_) => "Read",
            Self::Change(_) => "Change",
            Self::Tool(_) => "Tool",
            Self::Recipe => "Recipe",
            Self::Planned => "Planned",
        })
    }
}
