// SPDX-License-Identifier: GPL-3.0-or-later
//! Locks on files that are replaced as a whole.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use super::Cancel;
use crate::base::{Error, Result};

/// How long to wait before a lock is tried again.
const PAUSE: Duration = Duration::from_millis(10);

/// Opens a file under an exclusive lock, waiting for whoever holds it. What is locked is the
/// file that stands under the name when the lock is granted: one that was replaced meanwhile is
/// opened again.
///
/// # Errors
/// When the file cannot be opened or locked, or the wait was cancelled.
pub fn open_locked(path: &Path, options: &OpenOptions, cancel: &Cancel) -> Result<File> {
    let io = |error: std::io::Error| Error::io(path.display(), &error);
    loop {
        let file = options.open(path).map_err(io)?;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {
                    cancel.check()?;
                    std::thread::sleep(PAUSE);
                }
                Err(TryLockError::Error(error)) => {
                    return Err(Error::io(format!("{} cannot be locked", path.display()), &error)
                        .with_hint("copy the file to a file system that supports locks (flock)"));
                }
            }
        }
        // Whoever held the lock may have put another file in its place.
        let (ours, named) = (file.metadata().map_err(io)?, std::fs::metadata(path).map_err(io)?);
        if (ours.dev(), ours.ino()) == (named.dev(), named.ino()) {
            return Ok(file);
        }
    }
}
