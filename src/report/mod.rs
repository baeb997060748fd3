// SPDX-License-Identifier: GPL-3.0-or-later
//! Turns report structs into text and JSON. Nothing is printed that is not in the JSON.
//!
//! Two languages are spoken: DISM's, to the byte, because scripts read it; and our own, which is
//! tidier. What a command found is a plain struct of its own room; here it gets a [`Report`].

mod catalogs;
mod changes;
mod driver_store;
mod drivers;
mod failure;
mod hives;
mod images;
mod infs;
mod json;
mod layout;
mod locale;
mod page;
mod progress;
mod recipe;
mod registry;
mod screen;

pub use catalogs::{CatalogFacts, CatalogList, CatalogVerdict, MemberVerdict};
pub use changes::{ChangeList, Detail};
pub use driver_store::{DriverDiff, FoundDrivers, StoreCheck};
pub use drivers::{DriverDetails, DriverList, added};
pub use failure::{dism_error, error_json, native_error};
pub use hives::{AccessEntry, HiveRecovery, HiveRepair, HiveWritten, KeyAccess, RegistryComparison};
pub use infs::{InfChecks, InfFindings, InfPlan, InfPlans};
pub use json::{Document, ImageRef, LeftAlone, SCHEMA_VERSION, StepResult};
pub use layout::{banner, image_version, success};
pub use locale::Locale;
pub use page::{Layout, Page, Style};
pub use progress::{Meter, ProgressMode, bar};
pub use recipe::RecipeLock;
pub use registry::{HiveCheck, HiveFacts, RegTextReport, RegistryEdit, RegistryListing};
pub use screen::{Screen, Stream};

use crate::base::Error;

/// Which language a run speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// DISM's words and layout.
    Dism,
    /// Our own.
    Native,
}

/// What a command found or did, ready to be shown.
pub trait Report: Send {
    /// All of it.
    fn json(&self) -> serde_json::Value;

    /// In DISM's layout, without banner and success line.
    fn dism(&self, page: &mut Page);

    /// In our layout.
    fn native(&self, page: &mut Page);

    /// What is not exact in what was done, in words.
    fn exceptions(&self) -> Vec<String> {
        Vec::new()
    }

    /// What failed although there is a report: the run then ends with this error's code.
    fn error(&self) -> Option<&Error> {
        None
    }
}

#[cfg(test)]
mod tests;
