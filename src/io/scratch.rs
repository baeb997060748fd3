// SPDX-License-Identifier: GPL-3.0-or-later
//! Scratch space: a directory of its own that vanishes with its owner.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::base::{Code, Error, ErrorClass, Result};

/// A private directory for staged data.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    // Removed when the last owner drops it; nothing for a directory that is to stay.
    _owned: Option<TempDir>,
}

impl Scratch {
    /// Makes a new directory below `parent`, removed again when dropped.
    ///
    /// # Errors
    /// When `parent` does not exist or does not take a directory.
    pub fn new_in(parent: &Path) -> Result<Self> {
        if !parent.is_dir() {
            return Err(Error::new(
                ErrorClass::Usage,
                format!("the scratch directory {} does not exist", parent.display()),
            )
            .with_code(Code::PATH_NOT_FOUND)
            .with_hint("create it, or name another one with --scratch-dir"));
        }
        let owned = tempfile::Builder::new()
            .prefix("transom-")
            .tempdir_in(parent)
            .map_err(|error| Error::io(parent.display(), &error))?;
        Ok(Self { path: owned.path().to_owned(), _owned: Some(owned) })
    }

    /// Uses a directory that outlives this run.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), _owned: None }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens (creating it if needed) a file for reading and writing.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn open(&self, name: &str) -> Result<File> {
        let path = self.path.join(name);
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| Error::io(path.display(), &error))
    }
}
