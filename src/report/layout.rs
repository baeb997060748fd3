// SPDX-License-Identifier: GPL-3.0-or-later
//! The fixed lines around every DISM report.

use super::Page;
use crate::base::Version;

/// The title and our version in four parts.
pub fn banner(page: &mut Page) {
    page.blank();
    page.fixed("title", &[]);
    page.fixed("version", &[("version", concat!(env!("CARGO_PKG_VERSION"), ".0"))]);
    page.blank();
}

/// The line that says that an image was opened.
pub fn image_version(page: &mut Page, version: Version) {
    page.fixed("image-version", &[("version", &version.to_string())]);
    page.blank();
}

/// The line scripts wait for.
pub fn success(page: &mut Page) {
    page.fixed("success", &[]);
}
