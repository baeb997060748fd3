// SPDX-License-Identifier: GPL-3.0-or-later
//! Reports on a driver store as a whole: what is wrong with it, what it has for a device, and how two
//! differ. DISM has no such commands: both languages say the same.

use serde_json::{Value, json};

use super::{Page, Report};
use crate::base::{Code, Error, ErrorClass};
use crate::drivers::{CheckReport, DriverComparison, DriverPackage, FindReport};

/// The answer to `driver check`.
#[derive(Clone, Debug)]
pub struct StoreCheck {
    check: CheckReport,
    error: Option<Error>,
}

impl StoreCheck {
    /// Findings are an error of the command.
    pub fn new(check: CheckReport) -> Self {
        let count = check.findings.len();
        let error = (count > 0).then(|| {
            Error::new(ErrorClass::Corrupt, format!("the driver store has {count} faults"))
                .with_code(Code::INVALID_DATA)
                .with_hint("adding the vendor's package again repairs what is missing or damaged of it")
        });
        Self { check, error }
    }
}

impl Report for StoreCheck {
    fn json(&self) -> Value {
        super::json::to_value(&self.check)
    }

    fn dism(&self, page: &mut Page) {
        self.native(page);
    }

    fn native(&self, page: &mut Page) {
        for finding in &self.check.findings {
            let fault = super::json::to_value(&finding.fault);
            let fault = fault.as_str().unwrap_or_default().replace('_', " ");
            page.line(format_args!("{}: {fault}: {}", finding.package, finding.detail));
        }
        page.line(format_args!(
            "{} and {} checked, {}",
            page.counted(self.check.packages as u64, "package"),
            page.counted(self.check.files as u64, "file"),
            page.counted(self.check.findings.len() as u64, "fault"),
        ));
    }

    fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }
}

/// The answers to `driver find`, one for each identifier.
#[derive(Clone, Debug)]
pub struct FoundDrivers(pub Vec<FindReport>);

impl Report for FoundDrivers {
    fn json(&self) -> Value {
        json!({ "devices": self.0.iter().map(super::json::to_value).collect::<Vec<_>>() })
    }

    fn dism(&self, page: &mut Page) {
        self.native(page);
    }

    fn native(&self, page: &mut Page) {
        for (position, found) in self.0.iter().enumerate() {
            if position > 0 {
                page.blank();
            }
            if found.candidates.is_empty() {
                page.line(format_args!("{}: no package of the image has an id of it", found.id));
                continue;
            }
            page.line(format_args!("{}:", found.id));
            let rows: Vec<Vec<String>> = found
                .candidates
                .iter()
                .map(|candidate| {
                    let note = match (candidate.picked, candidate.extension, candidate.conditional) {
                        (true, ..) => "picked",
                        (_, _, true) => "if it has this id",
                        (_, true, _) => "extension",
                        _ => "",
                    };
                    vec![
                        format!("{:08X}", candidate.rank),
                        candidate.published_name.clone(),
                        candidate.original_file_name.clone(),
                        page.iso_day(candidate.date),
                        candidate.version.to_string(),
                        candidate.matched_id.clone(),
                        note.to_owned(),
                    ]
                })
                .collect();
            page.columns(&["Rank", "Published", "Original", "Date", "Version", "Matched id", ""], &rows);
        }
    }
}

/// The answer to `driver diff`.
#[derive(Clone, Debug)]
pub struct DriverDiff(pub DriverComparison);

impl Report for DriverDiff {
    fn json(&self) -> Value {
        super::json::to_value(&self.0)
    }

    fn dism(&self, page: &mut Page) {
        self.native(page);
    }

    fn native(&self, page: &mut Page) {
        let DriverComparison { only_first, only_second, changed, both } = &self.0;
        let line = |package: &DriverPackage| {
            format!("{} {} ({})", package.original_file_name, package.version, package.published_name)
        };
        for package in only_first {
            page.line(format_args!("- {}", line(package)));
        }
        for package in only_second {
            page.line(format_args!("+ {}", line(package)));
        }
        for pair in changed {
            page.line(format_args!("~ {} -> {}", line(&pair.first), line(&pair.second)));
        }
        for pair in both.iter().filter(|pair| !pair.files.is_empty()) {
            page.line(format_args!("! {}: other files: {}", line(&pair.first), pair.files.join(", ")));
        }
        page.line(format_args!(
            "{} in both, {} only here, {} only there, {} in another version",
            page.counted(both.len() as u64, "package"),
            page.number(only_first.len() as u64),
            page.number(only_second.len() as u64),
            page.number(changed.len() as u64),
        ));
    }
}
