// SPDX-License-Identifier: GPL-3.0-or-later
//! The driver store of Windows 8 and later: adding packages, listing them, describing them.
//!
//! A package is an INF, a catalog and the files that the INF names. Adding one puts its folder
//! into the FileRepository, publishes the INF as `oemN.inf`, and records it in the driver
//! database of one of two hives. A package whose setup class is needed to boot is *reflected* as
//! well: its files are copied, its services made and its configurations recorded, since the
//! kernel needs them before anything can read the store.
//!
//! Formats and behaviour are described in the files of this room beside what writes them.

mod add;
mod class;
mod configuration;
mod database;
mod destination;
mod editor;
mod error;
mod list;
mod package;
mod published_name;
mod reflection;
mod registry_action;
mod report;
mod service;
mod signature;
mod source;
mod store;
mod store_name;

pub use add::add;
pub use error::DriverError;
pub use list::{info, list};
pub use report::{AddOutcome, AddReport, AddRequest, AddedPackage, DriverInfo, DriverModel, DriverPackage};
