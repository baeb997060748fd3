// SPDX-License-Identifier: GPL-3.0-or-later
//! Reports on driver packages.

use serde_json::{Value, json};

use super::{Layout, Page, Report, error_json};
use crate::base::{Arch, Error, FileTime};
use crate::drivers::{
    AddOutcome, AddReport, AddedPackage, DriverInfo, DriverModel, DriverPackage, ExportOutcome, ExportReport,
    RemoveOutcome, RemoveReport, RemovedDriver,
};

/// What a package without a date carries.
const NO_DATE: FileTime = FileTime(0);

/// The answer to `/Get-Drivers`.
#[derive(Clone, Debug)]
pub struct DriverList {
    /// In the order DISM lists them: by published name as text.
    pub packages: Vec<DriverPackage>,
    /// In-box packages were asked for too.
    pub all: bool,
}

impl Report for DriverList {
    fn json(&self) -> Value {
        json!({
            "all": self.all,
            "packages": self.packages.iter().map(package_json).collect::<Vec<_>>(),
        })
    }

    fn dism(&self, page: &mut Page) {
        // What the first line says with /All has not been seen in a capture.
        page.line(match self.all {
            true => "Obtaining list of all drivers from the driver store...",
            false => "Obtaining list of 3rd party drivers from the driver store...",
        });
        page.blank();
        page.line("Driver packages listing:");
        page.blank();
        if self.packages.is_empty() {
            page.line("(No drivers found in the image matching the criteria)");
        } else if page.style().layout == Some(Layout::Table) {
            page.blank();
            let headers = [
                "Published Name",
                "Original File Name",
                "Inbox",
                "Class Name",
                "Provider Name",
                "Date",
                "Version",
            ];
            let rows: Vec<Vec<String>> = self.packages.iter().map(|package| row(page, package)).collect();
            page.table(&headers, &rows);
        } else {
            for (position, package) in self.packages.iter().enumerate() {
                if position > 0 {
                    page.blank();
                }
                page.field("Published Name", &package.published_name);
                page.field("Original File Name", &package.original_file_name);
                page.field("Inbox", yes_no(package.inbox));
                page.field("Class Name", &package.class_name);
                page.field("Provider Name", &package.provider_name);
                page.field("Date", page.day(package.date));
                page.field("Version", package.version);
            }
        }
        page.blank();
    }

    fn native(&self, page: &mut Page) {
        if self.packages.is_empty() {
            page.line(match self.all {
                true => "no driver packages",
                false => "no driver packages but those that came with Windows (--all lists them)",
            });
        } else if page.style().layout == Some(Layout::List) {
            for (position, package) in self.packages.iter().enumerate() {
                if position > 0 {
                    page.blank();
                }
                package_lines(page, package);
            }
        } else {
            let rows: Vec<Vec<String>> = self
                .packages
                .iter()
                .map(|package| {
                    vec![
                        package.published_name.clone(),
                        package.original_file_name.clone(),
                        package.class_name.clone(),
                        page.iso_day(package.date),
                        package.version.to_string(),
                        yes_no(package.inbox).to_lowercase(),
                        package.provider_name.clone(),
                    ]
                })
                .collect();
            page.columns(&["Published", "Original", "Class", "Date", "Version", "Inbox", "Provider"], &rows);
        }
    }
}

fn row(page: &Page, package: &DriverPackage) -> Vec<String> {
    vec![
        package.published_name.clone(),
        package.original_file_name.clone(),
        yes_no(package.inbox).to_owned(),
        package.class_name.clone(),
        package.provider_name.clone(),
        page.day(package.date),
        package.version.to_string(),
    ]
}

fn package_lines(page: &mut Page, package: &DriverPackage) {
    let date = page.iso_day(package.date);
    for (label, value) in [
        ("published name", package.published_name.as_str()),
        ("original name", &package.original_file_name),
        ("store name", &package.store_name),
        ("in-box", &yes_no(package.inbox).to_lowercase()),
        ("class", &package.class_name),
        ("provider", &package.provider_name),
        ("date", &date),
        ("version", &package.version.to_string()),
    ] {
        page.line(format_args!("{label:17} {value}"));
    }
}

fn package_json(package: &DriverPackage) -> Value {
    json!({
        "published_name": package.published_name,
        "original_file_name": package.original_file_name,
        "inbox": package.inbox,
        "class_name": package.class_name,
        "provider_name": package.provider_name,
        "date": (package.date != NO_DATE).then(|| {
            let (year, month, day) = package.date.date();
            format!("{year:04}-{month:02}-{day:02}")
        }),
        "version": package.version,
        "store_name": package.store_name,
    })
}

/// The answer to `/Get-DriverInfo`, one entry for each driver asked for.
#[derive(Clone, Debug)]
pub struct DriverDetails(pub Vec<DriverInfo>);

impl Report for DriverDetails {
    fn json(&self) -> Value {
        let drivers = self.0.iter().map(|info| {
            let mut value = package_json(&info.package);
            if let Some(object) = value.as_object_mut() {
                object.insert("store_path".to_owned(), info.store_path.clone().into());
                object.insert("class_description".to_owned(), info.class_description.clone().into());
                object.insert("class_guid".to_owned(), info.class_guid.map(|guid| guid.to_string()).into());
                object.insert("boot_critical".to_owned(), info.boot_critical.into());
                object.insert("signed".to_owned(), info.signed.into());
                object.insert("drivers".to_owned(), super::json::to_value(&info.drivers));
            }
            value
        });
        json!({ "packages": drivers.collect::<Vec<_>>() })
    }

    fn dism(&self, page: &mut Page) {
        for info in &self.0 {
            page.line("Driver package information:");
            page.blank();
            page.field("Published Name", &info.package.published_name);
            page.field("Driver Store Path", &info.store_path);
            page.field("Class Name", &info.package.class_name);
            page.field("Class Description", info.class_description.as_deref().unwrap_or_default());
            page.field("Class GUID", info.class_guid.map(|guid| guid.to_string()).unwrap_or_default());
            page.field("Date", page.day(info.package.date));
            page.field("Version", info.package.version);
            page.field("Boot Critical", yes_no(info.boot_critical));
            page.blank();
            for (architecture, models) in by_architecture(&info.drivers) {
                page.field("Drivers for architecture", architecture);
                page.blank();
                for model in models {
                    // Four blanks: how far DISM indents is not confirmed by a capture.
                    page.field("    Manufacturer", &model.manufacturer);
                    page.field("    Description", &model.description);
                    page.field("    Architecture", model.architecture);
                    page.field("    Hardware ID", &model.hardware_id);
                    page.field("    Service Name", model.service_name.as_deref().unwrap_or_default());
                    page.field("    Compatible IDs", model.compatible_ids.join(", "));
                    page.field("    Exclude IDs", model.exclude_ids.join(", "));
                    page.blank();
                }
            }
        }
    }

    fn native(&self, page: &mut Page) {
        for (position, info) in self.0.iter().enumerate() {
            if position > 0 {
                page.blank();
            }
            package_lines(page, &info.package);
            let signed = match info.signed {
                Some(signed) => yes_no(signed).to_lowercase(),
                None => "unknown".to_owned(),
            };
            for (label, value) in [
                ("store path", info.store_path.clone()),
                ("class description", info.class_description.clone().unwrap_or_default()),
                ("class guid", info.class_guid.map(|guid| guid.to_string()).unwrap_or_default()),
                ("boot critical", yes_no(info.boot_critical).to_lowercase()),
                ("signed", signed),
            ] {
                page.line(format_args!("{label:17} {value}").to_string().trim_end());
            }
            for (architecture, models) in by_architecture(&info.drivers) {
                page.blank();
                let rows: Vec<Vec<String>> = models
                    .iter()
                    .map(|model| {
                        vec![
                            model.hardware_id.clone(),
                            model.service_name.clone().unwrap_or_default(),
                            format!("{} ({})", model.description, model.manufacturer),
                        ]
                    })
                    .collect();
                page.columns(&[&format!("Hardware id ({architecture})"), "Service", "Device"], &rows);
                for model in models {
                    for (label, ids) in
                        [("compatible", &model.compatible_ids), ("excludes", &model.exclude_ids)]
                    {
                        if !ids.is_empty() {
                            page.line(format_args!("{} {label}: {}", model.hardware_id, ids.join(", ")));
                        }
                    }
                }
            }
        }
    }
}

fn by_architecture(models: &[DriverModel]) -> Vec<(Arch, Vec<&DriverModel>)> {
    let mut groups: Vec<(Arch, Vec<&DriverModel>)> = Vec::new();
    for model in models {
        match groups.iter_mut().find(|(architecture, _)| *architecture == model.architecture) {
            Some((_, group)) => group.push(model),
            None => groups.push((model.architecture, vec![model])),
        }
    }
    groups
}

impl Report for AddReport {
    fn json(&self) -> Value {
        json!({
            "searched": self.searched,
            "packages": self.packages.iter().map(added_json).collect::<Vec<_>>(),
            "exceptions": self.exceptions,
            "nothing_usable": self.nothing_usable.as_ref().map(error_json),
        })
    }

    /// The lines about each package were printed while it was added; what was passed over had none.
    fn dism(&self, page: &mut Page) {
        for package in &self.packages {
            if matches!(package.outcome, AddOutcome::Skipped { .. }) {
                page.line(format_args!("Note: {}", added(package)));
            }
        }
        for note in notes(self) {
            page.line(format_args!("Note: {note}"));
        }
    }

    fn native(&self, page: &mut Page) {
        for package in &self.packages {
            page.line(added(package));
        }
        for note in notes(self) {
            page.line(format_args!("note: {note}"));
        }
    }

    fn exceptions(&self) -> Vec<String> {
        notes(self)
    }

    fn error(&self) -> Option<&Error> {
        Self::error(self)
    }
}

/// One line about what became of a package.
pub fn added(package: &AddedPackage) -> String {
    let source = package.source.display();
    match &package.outcome {
        AddOutcome::Installed {
            published_name,
            already_present,
            repaired,
            boot_critical,
            signed,
            signer,
            trust,
            ..
        } => {
            let mut facts = Vec::new();
            if *already_present {
                facts.push("was already there".to_owned());
            }
            facts.extend(repaired.iter().map(|what| format!("repaired: {what}")));
            if *boot_critical {
                facts.push("boot critical".to_owned());
            }
            let kind = trust.as_ref().map(|trust| format!(" ({})", trust.kind.as_str())).unwrap_or_default();
            facts.push(match (signed, signer) {
                (true, Some(signer)) => format!("signed by {signer}{kind}"),
                (true, None) => "signed".to_owned(),
                (false, _) => "unsigned".to_owned(),
            });
            format!("{source}: {published_name} ({})", facts.join(", "))
        }
        AddOutcome::Skipped { reason } => format!("{source}: skipped: {reason}"),
        AddOutcome::Failed { error } => format!("{source}: failed: {error}"),
    }
}

fn notes(report: &AddReport) -> Vec<String> {
    let mut notes = Vec::new();
    for package in &report.packages {
        if let AddOutcome::Installed { exceptions, .. } = &package.outcome {
            notes.extend(
                exceptions.iter().map(|exception| format!("{}: {exception}", package.source.display())),
            );
        }
    }
    notes.extend(report.exceptions.iter().cloned());
    notes
}

fn added_json(package: &AddedPackage) -> Value {
    let mut value = super::json::to_value(&package.outcome);
    if let Some(object) = value.as_object_mut() {
        object.insert("source".to_owned(), package.source.to_string_lossy().into());
        if let AddOutcome::Failed { error } = &package.outcome {
            object.insert("error".to_owned(), error_json(error));
        }
    }
    value
}

impl Report for RemoveReport {
    fn json(&self) -> Value {
        let mut value = super::json::to_value(self);
        let failed = self.drivers.iter().enumerate().filter_map(|(position, driver)| match &driver.outcome {
            RemoveOutcome::Failed { error } => Some((position, error)),
            _ => None,
        });
        for (position, error) in failed {
            if let Some(driver) = value.pointer_mut(&format!("/drivers/{position}/error")) {
                *driver = error_json(error);
            }
        }
        value
    }

    /// The lines about each package were printed while it was removed.
    fn dism(&self, page: &mut Page) {
        for driver in &self.drivers {
            if let RemoveOutcome::Removed { boot_critical: true, .. } = driver.outcome {
                page.line(format_args!("Note: {}", BOOT_CRITICAL.replace("{}", &driver.name)));
            }
            if matches!(driver.outcome, RemoveOutcome::Kept) {
                page.line(format_args!("Note: {}: {KEPT}", driver.name));
            }
        }
        for note in removal_notes(self) {
            page.line(format_args!("Note: {note}"));
        }
    }

    fn native(&self, page: &mut Page) {
        for driver in &self.drivers {
            page.line(removed(driver));
        }
        for driver in &self.drivers {
            if let RemoveOutcome::Removed { boot_critical: true, .. } = driver.outcome {
                page.line(format_args!("warning: {}", BOOT_CRITICAL.replace("{}", &driver.name)));
            }
        }
        for note in removal_notes(self) {
            page.line(format_args!("note: {note}"));
        }
    }

    fn exceptions(&self) -> Vec<String> {
        removal_notes(self)
    }

    fn error(&self) -> Option<&Error> {
        Self::error(self)
    }
}

const BOOT_CRITICAL: &str =
    "{} was needed to boot: without another driver for its devices the image may not start";
const KEPT: &str = "not removed, because another could not be and all or none were asked for";

fn removed(driver: &RemovedDriver) -> String {
    let name = &driver.name;
    match &driver.outcome {
        RemoveOutcome::Removed { original_file_name, services, files, .. } => {
            let mut facts = vec![original_file_name.clone()];
            if !services.is_empty() {
                facts.push(format!("services {}", services.join(", ")));
            }
            if !files.is_empty() {
                facts.push(format!("files {}", files.join(", ")));
            }
            format!("{name}: removed ({})", facts.join("; "))
        }
        RemoveOutcome::Kept => format!("{name}: {KEPT}"),
        RemoveOutcome::Failed { error } => format!("{name}: failed: {error}"),
    }
}

fn removal_notes(report: &RemoveReport) -> Vec<String> {
    let mut notes = Vec::new();
    for driver in &report.drivers {
        if let RemoveOutcome::Removed { exceptions, .. } = &driver.outcome {
            notes.extend(exceptions.iter().map(|exception| format!("{}: {exception}", driver.name)));
        }
    }
    notes.extend(report.exceptions.iter().cloned());
    notes
}

impl Report for ExportReport {
    fn json(&self) -> Value {
        let drivers: Vec<Value> = self
            .drivers
            .iter()
            .map(|driver| {
                let mut value = super::json::to_value(driver);
                if let (ExportOutcome::Failed { error }, Some(object)) =
                    (&driver.outcome, value.as_object_mut())
                {
                    object.insert("error".to_owned(), error_json(error));
                }
                value
            })
            .collect();
        json!({ "destination": self.destination.to_string_lossy(), "drivers": drivers })
    }

    /// The lines about each package were printed while it was copied.
    fn dism(&self, page: &mut Page) {
        if self.drivers.is_empty() {
            page.line("Note: the image has no third-party driver packages.");
        }
    }

    fn native(&self, page: &mut Page) {
        if self.drivers.is_empty() {
            page.line("no driver packages but those that came with Windows");
        }
        for driver in &self.drivers {
            match &driver.outcome {
                ExportOutcome::Exported { folder, files, bytes } => page.line(format_args!(
                    "{}: {} ({}, {} bytes)",
                    driver.name,
                    folder.display(),
                    page.counted(*files as u64, "file"),
                    page.number(*bytes),
                )),
                ExportOutcome::Failed { error } => {
                    page.line(format_args!("{}: failed: {error}", driver.name))
                }
            }
        }
    }

    fn error(&self) -> Option<&Error> {
        Self::error(self)
    }
}

fn yes_no(flag: bool) -> &'static str {
    if flag { "Yes" } else { "No" }
}
