// SPDX-License-Identifier: GPL-3.0-or-later
//! Commands about image files.

use super::super::target::{Images, Target};
use super::super::values::Values;
use super::Found;
use crate::base::{Error, ErrorClass, Result};
use crate::image::Environment;
use crate::imaging::{self, Selection};

/// `image info`.
pub(crate) fn info(_environment: &Environment, values: &Values) -> Result<Found> {
    let target = Target::new("file", values, values)?.ok_or_else(no_file)?;
    let selection = match target.images {
        Images::Unsaid | Images::All => Selection::All,
        Images::Index(index) => Selection::Index(index),
        Images::Name(name) => Selection::Name(name),
    };
    Ok(Box::new(imaging::info(&target.file, &selection)?))
}

/// `image verify`.
pub(crate) fn verify(environment: &Environment, values: &Values) -> Result<Found> {
    let file = values.path("file")?.ok_or_else(no_file)?;
    let Environment { pool, progress, cancel, .. } = environment;
    Ok(Box::new(imaging::verify(&file, pool, &**progress, cancel)?))
}

fn no_file() -> Error {
    Error::new(ErrorClass::Usage, "no image file was named")
}
