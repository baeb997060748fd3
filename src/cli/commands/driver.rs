// SPDX-License-Identifier: GPL-3.0-or-later
//! Commands about driver packages.

use super::super::values::{Values, as_text, host_path};
use super::{Changed, Found};
use crate::base::Result;
use crate::drivers::{self, AddOutcome, AddRequest};
use crate::image::Session;
use crate::report::{DriverDetails, DriverList};

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

/// `driver add`. The good packages stand even if others failed, unless all were asked for or none;
/// a command that added none has failed as a whole.
pub(crate) fn add(session: &mut Session, values: &Values) -> Result<Changed> {
    let request = AddRequest {
        sources: values.paths("driver")?,
        recurse: values.has("recurse"),
        force_unsigned: values.has("force_unsigned"),
        all_or_nothing: values.has("all_or_nothing"),
        roots: values.paths("root")?,
    };
    let report = drivers::add(session, &request)?;
    let installed =
        report.packages.iter().any(|package| matches!(package.outcome, AddOutcome::Installed { .. }));
    let keep = report.error().is_none() || (installed && !request.all_or_nothing);
    Ok(Changed { report: Box::new(report), keep })
}
