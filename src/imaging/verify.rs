// SPDX-License-Identifier: GPL-3.0-or-later
//! Whether a WIM is sound from its header to its last blob.

use std::path::{Path, PathBuf};

use crate::base::{Error, ErrorClass, Result};
use crate::io::{Cancel, Pool, Progress};
use crate::wim::{VerifyReport, Wim};

/// The verdict over one file.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Verification {
    /// The file as it was named.
    #[serde(serialize_with = "super::lossy_path")]
    pub file: PathBuf,
    /// What was read and what was found.
    #[serde(flatten)]
    pub report: VerifyReport,
    /// The findings as an error, when there are any.
    #[serde(skip)]
    pub error: Option<Error>,
}

/// Reads and hashes every blob and tree, and the integrity table if there is one.
///
/// # Errors
/// When the file cannot be opened as a WIM. Damage further in is a finding.
pub fn verify(file: &Path, pool: &Pool, progress: &dyn Progress, cancel: &Cancel) -> Result<Verification> {
    let report = Wim::open(file)?.verify(pool, progress, cancel)?;
    let error = report.findings.first().map(|first| {
        let message = match report.findings.len() {
            1 => format!("{}: {}: {}", file.display(), first.what, first.message),
            count => {
                format!("{}: {count} findings, the first: {}: {}", file.display(), first.what, first.message)
            }
        };
        Error::new(ErrorClass::Corrupt, message).with_hint("restore the file from its source")
    });
    Ok(Verification { file: file.to_owned(), report, error })
}
