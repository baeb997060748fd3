// SPDX-License-Identifier: GPL-3.0-or-later
//! The verbs that work on image files as a whole.

mod info;
mod verify;

pub use info::{InfoReport, Selection, find, info};
pub use verify::{Verification, verify};

/// A host path may hold any bytes; JSON gets what of it is text.
fn lossy_path<S: serde::Serializer>(path: &std::path::Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}
