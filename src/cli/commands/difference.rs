// SPDX-License-Identifier: GPL-3.0-or-later
//! What the run would commit.

use super::super::values::Values;
use super::Found;
use crate::base::Result;
use crate::image::Session;
use crate::report::{ChangeList, Detail};

/// `diff`.
pub(crate) fn difference(session: &mut Session, values: &Values) -> Result<Found> {
    let detail = if values.has("summary") { Detail::Counts } else { Detail::Full };
    Ok(Box::new(ChangeList::new(session.diff()?, detail)))
}
