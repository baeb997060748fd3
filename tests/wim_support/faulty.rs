// SPDX-License-Identifier: GPL-3.0-or-later
//! A file that fails at the operation it is told, as a full disk or a crash would make it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use transom::wim::CommitFile;

/// Fails at its operation, half of the write done; then nothing works any more if it is a crash.
pub(crate) struct Faulty {
    pub(crate) file: File,
    pub(crate) at: usize,
    pub(crate) crash: bool,
    pub(crate) count: Arc<AtomicUsize>,
}

impl Faulty {
    fn strike(&self) -> io::Result<()> {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        if number == self.at || (self.crash && number > self.at) {
            return Err(io::Error::from_raw_os_error(28));
        }
        Ok(())
    }
}

impl CommitFile for Faulty {
    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if let Err(error) = self.strike() {
            if self.count.load(Ordering::Relaxed) == self.at + 1 {
                FileExt::write_all_at(&self.file, &bytes[..bytes.len() / 2], offset)?;
            }
            return Err(error);
        }
        FileExt::write_all_at(&self.file, bytes, offset)
    }

    fn set_len(&mut self, length: u64) -> io::Result<()> {
        self.strike()?;
        self.file.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.strike()?;
        self.file.sync_data()
    }
}
