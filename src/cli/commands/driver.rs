// SPDX-License-Identifier: GPL-3.0-or-later
//! Commands about driver packages.

use super::super::values::{Values, as_text, host_path};
use super::{Changed, Found};
use crate::base::Result;
use crate::drivers::{self, AddRequest};
use crate::image::Session;
use crate::report::{DriverDetails, DriverList, Report};

/// `driver list`.
pub(crate) fn list(session: &mut Session, values: &Values) -> Result<Found> {
    let all = values.has("all");
    Ok(Box::new(DriverList { packages: drivers::list(session, all)?, all }))
}

/// `driver show`.
pub(crate) fn show(session: &mut Session, values: &Values) -> Result<Found> {
    let mut details = Vec::new();
    for driver in values.all("driver") {
        host_path(driver)?;
        details.push(drivers::info(session, as_text(driver)?)?);
    }
    Ok(Box::new(DriverDetails(details)))
}

/// `driver add`. The good packages stand even if others failed, unless all were asked for or none.
pub(crate) fn add(session: &mut Session, values: &Values) -> Result<Changed> {
    let request = AddRequest {
        sources: values.paths("driver")?,
        recurse: values.has("recurse"),
        force_unsigned: values.has("force_unsigned"),
        all_or_nothing: values.has("all_or_nothing"),
    };
    let report = drivers::add(session, &request)?;
    let keep = !request.all_or_nothing || Report::error(&report).is_none();
    Ok(Changed { report: Box::new(report), keep })
}
