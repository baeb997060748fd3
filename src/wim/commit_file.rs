// SPDX-License-Identifier: GPL-3.0-or-later
//! The writes of a commit, behind a trait so that tests can let any of them fail.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The file that a commit writes to. Every change of its bytes goes through here.
pub trait CommitFile: Send {
    /// Writes all bytes from `offset`; the file grows as needed.
    ///
    /// # Errors
    /// When the system fails; some of the bytes may then have been written.
    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Cuts the file or lets it grow.
    ///
    /// # Errors
    /// When the system fails.
    fn set_len(&mut self, length: u64) -> io::Result<()>;

    /// Returns once everything written so far would survive a power loss.
    ///
    /// # Errors
    /// When the system fails; what was written may then be lost.
    fn sync(&mut self) -> io::Result<()>;
}

impl CommitFile for File {
    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, offset)
    }

    fn set_len(&mut self, length: u64) -> io::Result<()> {
        Self::set_len(self, length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Remembers whether anything was changed.
pub(super) struct Recorded<'a> {
    pub(super) file: &'a mut dyn CommitFile,
    pub(super) touched: bool,
}

impl CommitFile for Recorded<'_> {
    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.touched = true;
        self.file.write_all_at(bytes, offset)
    }

    fn set_len(&mut self, length: u64) -> io::Result<()> {
        self.touched = true;
        self.file.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync()
    }
}
