// SPDX-License-Identifier: GPL-3.0-or-later
//! Commands about driver packages.

use std::io::Read as _;
use std::path::Path;

use super::super::target::{Images, Target};
use super::super::values::{DISM, Values, as_text, host_path};
use super::{Changed, Found};
use crate::base::{Error, ErrorClass, Result, name};
use crate::drivers::{self, AddOutcome, AddRequest, DeviceList, DriverError, ExportRequest, RemoveRequest};
use crate::image::Session;
use crate::report::{DriverDetails, DriverDiff, DriverList, FoundDrivers, StoreCheck};

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
        only: values.path("only_hwids")?.map(|path| device_list(&path)).transpose()?,
    };
    let report = drivers::add(session, &request)?;
    let installed =
        report.packages.iter().any(|package| matches!(package.outcome, AddOutcome::Installed { .. }));
    let keep = report.error().is_none() || (installed && !request.all_or_nothing);
    Ok(Changed { report: Box::new(report), keep })
}

/// `driver remove`. As with adding, the good ones go even if others failed.
pub(crate) fn remove(session: &mut Session, values: &Values) -> Result<Changed> {
    let drivers = values.all("driver").iter().map(|driver| as_text(driver).map(str::to_owned));
    let request = RemoveRequest {
        drivers: drivers.collect::<Result<_>>()?,
        all_or_nothing: values.has("all_or_nothing"),
    };
    let report = drivers::remove(session, &request)?;
    let keep = report.error().is_none() || report.is_changed();
    Ok(Changed { report: Box::new(report), keep })
}

/// `driver export`. DISM wants the folder to be there; our own command makes it.
pub(crate) fn export(session: &mut Session, values: &Values) -> Result<Found> {
    let drivers = values.all("driver").iter().map(|driver| as_text(driver).map(str::to_owned));
    let request = ExportRequest {
        destination: values.path("destination")?.unwrap_or_default(),
        create: !values.has(DISM),
        drivers: drivers.collect::<Result<_>>()?,
        dry_run: values.has("dry_run"),
    };
    Ok(Box::new(drivers::export(session, &request)?))
}

/// The devices of a list, which may be in any of Windows' encodings of text.
fn device_list(path: &Path) -> Result<DeviceList> {
    /// Far above the list of any machine.
    const LIMIT: u64 = 64 << 20;
    let io = |error: std::io::Error| Error::io(path.display(), &error);
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(io)?.take(LIMIT).read_to_end(&mut bytes).map_err(io)?;
    let text = match bytes.as_slice() {
        [0xFF, 0xFE, rest @ ..] => String::from_utf16_lossy(&name::units_from_le(rest)),
        bytes => String::from_utf8_lossy(bytes).into_owned(),
    };
    let list = DeviceList::parse(&text);
    if list.is_empty() {
        return Err(DriverError::NoDevices { path: path.to_owned() }.into());
    }
    Ok(list)
}

/// `driver check`.
pub(crate) fn check(session: &mut Session, values: &Values) -> Result<Found> {
    Ok(Box::new(StoreCheck::new(drivers::check(session, values.has("all"))?)))
}

/// `driver find`.
pub(crate) fn find(session: &mut Session, values: &Values) -> Result<Found> {
    let ids = values.all("id").iter();
    let found = ids.map(|id| drivers::find(session, as_text(id)?)).collect::<Result<_>>()?;
    Ok(Box::new(FoundDrivers(found)))
}

/// `driver diff`. The other image is only read.
pub(crate) fn diff(session: &mut Session, values: &Values) -> Result<Found> {
    let nothing = || Error::new(ErrorClass::Usage, "no other image was named");
    let target = Target::new("other", values, &Values::default())?.ok_or_else(nothing)?;
    let Images::Index(index) = target.images else {
        let message = format!("one image of {} must be named", target.file.display());
        return Err(Error::new(ErrorClass::Usage, message).with_hint("write FILE:INDEX, as in install.wim:2"));
    };
    let mut other = Session::open_wim(&target.file, index, session.environment().clone())?;
    Ok(Box::new(DriverDiff(drivers::compare(session, &mut other, values.has("all"))?)))
}
