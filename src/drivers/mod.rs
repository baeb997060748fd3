// SPDX-License-Identifier: GPL-3.0-or-later
//! The driver store: adding packages, removing and exporting them, listing and describing them.
//!
//! A package is an INF, a catalog and the files that the INF names. Adding one puts its folder
//! into the FileRepository, publishes the INF as `oemN.inf`, and records it in the driver
//! database of one of two hives. A package whose setup class is needed to boot is *reflected* as
//! well: its files are copied, its services made and its configurations recorded, since the
//! kernel needs them before anything can read the store.
//!
//! Formats and behaviour are described in the files of this room beside what writes them.

mod add;
mod check;
mod class;
mod compare;
mod configuration;
mod critical_device;
mod database;
mod destination;
mod device;
mod editor;
mod error;
mod export;
mod find;
mod legacy_store;
mod list;
mod package;
mod published_name;
mod reflection;
mod registry_action;
mod remove;
mod report;
mod service;
mod service_settings;
mod signature;
mod source;
mod store;
mod store_name;
mod stored;
mod unpack;
mod windows_pe;

pub use add::add;
pub use check::check;
pub use compare::compare;
pub use device::{Device, DeviceList};
pub use error::DriverError;
pub use export::export;
pub use find::find;
pub use list::{info, list};
pub use remove::remove;
pub use report::{
    AddOutcome, AddReport, AddRequest, AddedPackage, CheckReport, DriverComparison, DriverFault,
    DriverFinding, DriverInfo, DriverModel, DriverPackage, ExportOutcome, ExportReport, ExportRequest,
    ExportedDriver, FindCandidate, FindReport, PackageDifference, RemoveOutcome, RemoveReport, RemoveRequest,
    RemovedDriver,
};
