// SPDX-License-Identifier: GPL-3.0-or-later
//! The verbs that work on image files as a whole.

mod apply;
mod capture;
mod capture_list;
mod change;
mod export;
mod info;
mod lazy;
mod list;
mod scan;
mod verify;
mod windows_facts;

use crate::base::{Error, ErrorClass, Result};
use crate::wim::{ImageIndex, Wim};

pub use apply::{ApplyReport, ApplyRequest, MetadataHome, apply};
pub use capture::{
    CaptureReport, CaptureRequest, CaptureTarget, capture, capture_directory, capture_through,
};
pub use capture_list::CaptureList;
pub use change::{DeleteReport, SetReport, SetRequest, delete, set};
pub use export::{
    Compress, ExportReport, ExportRequest, OptimizeReport, SplitFileReport, Work, export, optimize, split,
};
pub use info::{InfoReport, Selection, find, info};
pub use list::{ListEntry, ListReport, list};
pub use verify::{Verification, verify};

/// A host path may hold any bytes; JSON gets what of it is text.
fn lossy_path<S: serde::Serializer>(path: &std::path::Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

/// The images that a selection means.
fn selected(wim: &Wim, selection: &Selection) -> Result<Vec<ImageIndex>> {
    match selection {
        Selection::All => Ok((1..=wim.image_count()).filter_map(ImageIndex::new).collect()),
        Selection::Index(index) => {
            // Fails in the words of the room when there is no such image.
            wim.metadata_hash(*index)?;
            Ok(vec![*index])
        }
        Selection::Name(name) => Ok(vec![find(wim, name)?]),
    }
}

/// The one image that a selection means; all of one image is that image.
fn one(wim: &Wim, selection: &Selection) -> Result<ImageIndex> {
    match selected(wim, selection)?.as_slice() {
        [only] => Ok(*only),
        several => Err(Error::new(
            ErrorClass::Usage,
            format!("{} holds {} images, and one must be chosen", wim.path().display(), several.len()),
        )
        .with_hint(format!("choose one: {}:1 or /Index:1", wim.path().display()))),
    }
}

/// Fails unless a file is sound.
fn check_sound(wim: &Wim, work: &Work<'_>) -> Result<()> {
    let report = wim.verify(work.pool, work.progress, work.cancel)?;
    match report.findings.first() {
        None => Ok(()),
        Some(first) => Err(Error::new(
            ErrorClass::Corrupt,
            format!("{}: {}: {}", wim.path().display(), first.what, first.message),
        )
        .with_hint("restore the file from its source")),
    }
}
