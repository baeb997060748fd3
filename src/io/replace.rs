// SPDX-License-Identifier: GPL-3.0-or-later
//! Files that appear whole or not at all.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::base::{Error, Result};

/// Those of the file that is replaced; of a new file, what the process's mask allows.
fn permissions(target: &Path) -> Permissions {
    std::fs::metadata(target).map_or_else(|_| Permissions::from_mode(0o666), |found| found.permissions())
}

/// A file under a temporary name beside its target; [`AtomicFile::persist`] puts it in place.
/// Dropped before that, it leaves nothing behind.
#[derive(Debug)]
pub struct AtomicFile {
    temporary: NamedTempFile,
    target: PathBuf,
}

impl AtomicFile {
    /// Starts a file that will stand at `target`.
    ///
    /// # Errors
    /// When the target's directory does not take a new file.
    pub fn create(target: &Path) -> Result<Self> {
        let directory = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let temporary = tempfile::Builder::new()
            .prefix(".transom-")
            .permissions(permissions(target))
            .tempfile_in(directory)
            .map_err(|error| Error::io(target.display(), &error))?;
        Ok(Self { temporary, target: target.to_owned() })
    }

    /// The file to write to.
    pub fn file(&self) -> &File {
        self.temporary.as_file()
    }

    /// Where the file stands until then, for those who open it by name.
    pub fn path(&self) -> &Path {
        self.temporary.path()
    }

    /// Makes the content durable, then replaces the target by it, then makes the name durable.
    ///
    /// # Errors
    /// When the system fails to write or rename; the old target then still stands.
    pub fn persist(self) -> Result<()> {
        let Self { temporary, target } = self;
        temporary.as_file().sync_all().map_err(|error| Error::io(target.display(), &error))?;
        let directory = temporary.path().parent().map(Path::to_owned);
        temporary.persist(&target).map_err(|error| Error::io(target.display(), &error.error))?;
        if let Some(directory) = directory {
            File::open(&directory)
                .and_then(|opened| opened.sync_all())
                .map_err(|error| Error::io(directory.display(), &error))?;
        }
        Ok(())
    }
}
