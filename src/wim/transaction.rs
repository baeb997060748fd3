// SPDX-License-Identifier: GPL-3.0-or-later
//! Committing edits in place.

use std::path::Path;

use super::edit::ImageEdit;
use crate::base::Result;
use crate::io::{Cancel, Pool, Progress};

/// What a commit works with.
pub struct CommitOptions<'a> {
    pub pool: &'a Pool,
    pub progress: &'a dyn Progress,
    pub cancel: &'a Cancel,
}

/// The only way to change a WIM in place.
pub struct Transaction(());

impl Transaction {
    /// Nothing is opened or locked yet.
    pub fn new(_path: &Path) -> Self {
        todo!()
    }
    pub fn edit(&mut self, _edit: ImageEdit) {
        todo!()
    }
    /// Locks, re-reads the header, rebases, appends, writes the header last.
    pub fn commit(self, _options: &CommitOptions<'_>) -> Result<CommitReport> {
        todo!()
    }
}

#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct CommitReport {
    pub images: Vec<u32>,
    pub new_blobs: u64,
    pub new_bytes: u64,
    pub compressed_bytes: u64,
    pub copied_chunks: u64,
    pub file_size_before: u64,
    pub file_size_after: u64,
}
