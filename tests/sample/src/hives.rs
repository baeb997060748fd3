// SPDX-License-Identifier: GPL-3.0-or-later
//! The hives of a sample image.
use std::sync::Arc;

use anyhow::Result;

use crate::spec::Spec;

/// A file with registry data.
pub(crate) struct HiveFile {
    pub(crate) path: String,
    pub(crate) bytes: Arc<[u8]>,
    pub(crate) is_log: bool,
}

pub(crate) fn make(_spec: &Spec, _image: u32) -> Result<Vec<HiveFile>> {
    Ok(Vec::new())
}
