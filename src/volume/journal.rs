// SPDX-License-Identifier: GPL-3.0-or-later
//! The log of an overlay: every operation, in order, appended before it is acknowledged.
//!
//! Header (little-endian):
//!
//! | offset | size | name | meaning |
//! |---|---|---|---|
//! | 0 | 8 | magic | `TRNSMJNL` |
//! | 8 | 4 | version | 1 |
//! | 12 | 4 | block | bytes of a block of staged data, 32768 |
//! | 16 | 4 | length | length of the base's identity |
//! | 20 | n | identity | what the base says of itself (for a WIM image the SHA-1 of its metadata) |
//! | 20+n | 4 | CRC | CRC-32 of everything before it |
//!
//! Then records without gaps: `u32 length | u32 CRC-32 of the payload | payload`, the payload a
//! [`Record`] in postcard's encoding. Length 0 is no record, so a tail of zeros ends the log.
//! Reading stops at the first record that is cut short, has another CRC or does not decode;
//! everything from there on was never acknowledged and is cut off.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::VolumeError;
use super::state::Change;
use super::store::BLOCK;
use crate::base::{Error, ErrorClass, Result};
use crate::digest::crc32;
use crate::io::Scratch;

const MAGIC: &[u8; 8] = b"TRNSMJNL";
const VERSION: u32 = 1;
const FIXED: usize = 20;
const FRAME: usize = 8;
const NAME: &str = "journal";

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) enum Record {
    /// An operation.
    Changes(Vec<Change>),
    /// A savepoint opens.
    Begin(u64),
    /// A savepoint closes; what was done since stays.
    Commit(u64),
    /// A savepoint closes; what was done since is undone.
    Abort(u64),
}

/// How safe an operation is when it is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Against the death of the process.
    #[default]
    Process,
    /// Against loss of power too: data and log are flushed by every operation.
    Power,
}

/// The open log.
pub(super) struct Journal {
    file: File,
    path: PathBuf,
    end: u64,
}

impl Journal {
    /// Starts a log in a scratch directory that has none.
    pub(super) fn create(scratch: &Scratch, identity: &[u8]) -> Result<Self> {
        let file = scratch.open(NAME)?;
        let path = scratch.path().join(NAME);
        let failed = |error: std::io::Error| Error::io(path.display(), &error);
        if file.metadata().map_err(failed)?.len() > 0 {
            return Err(VolumeError::JournalExists { path: scratch.path().display().to_string() }.into());
        }
        let mut header = MAGIC.to_vec();
        header.extend(VERSION.to_le_bytes());
        header.extend((BLOCK as u32).to_le_bytes());
        let length = u32::try_from(identity.len())
            .map_err(|_| Error::new(ErrorClass::Internal, "the identity of a base is too long"))?;
        header.extend(length.to_le_bytes());
        header.extend(identity);
        header.extend(crc32(&header).to_le_bytes());
        file.write_all_at(&header, 0).map_err(failed)?;
        Ok(Self { file, path, end: header.len() as u64 })
    }

    /// Opens the log of a scratch directory and gives its good records to `apply`, in order.
    ///
    /// What `apply` refuses ends the log like a bad record does. The log is cut there.
    pub(super) fn replay(
        scratch: &Scratch,
        identity: &[u8],
        mut apply: impl FnMut(&Record) -> Result<Applied>,
    ) -> Result<Self> {
        let path = scratch.path().join(NAME);
        if !path.is_file() {
            return Err(VolumeError::NoJournal { path: scratch.path().display().to_string() }.into());
        }
        let file = scratch.open(NAME)?;
        let failed = |error: std::io::Error| Error::io(path.display(), &error);
        let size = file.metadata().map_err(failed)?.len();
        let start = read_header(&file, size, identity, scratch)?;
        let mut journal = Self { file, path, end: start };
        let mut payload = Vec::new();
        while let Some((record, next)) = journal.read_record(journal.end, size, &mut payload)? {
            match apply(&record)? {
                Applied::Fits => journal.end = next,
                Applied::DoesNotFit => break,
            }
        }
        if journal.end < size {
            journal.file.set_len(journal.end).map_err(|error| journal.failed(&error))?;
        }
        Ok(journal)
    }

    fn read_record(&self, at: u64, size: u64, payload: &mut Vec<u8>) -> Result<Option<(Record, u64)>> {
        let Some(rest) = size.checked_sub(at + FRAME as u64) else { return Ok(None) };
        let mut frame = [0; FRAME];
        self.file.read_exact_at(&mut frame, at).map_err(|error| self.failed(&error))?;
        let [length, sum] = [frame.first_chunk(), frame.last_chunk()]
            .map(|bytes: Option<&[u8; 4]>| bytes.copied().map_or(0, u32::from_le_bytes));
        if length == 0 || u64::from(length) > rest {
            return Ok(None);
        }
        payload.resize(usize::try_from(length).unwrap_or(0), 0);
        self.file.read_exact_at(payload, at + FRAME as u64).map_err(|error| self.failed(&error))?;
        if crc32(payload) != sum {
            return Ok(None);
        }
        let record = postcard::from_bytes(payload).ok();
        Ok(record.map(|record| (record, at + FRAME as u64 + u64::from(length))))
    }

    /// Appends a record by one write.
    pub(super) fn append(&mut self, record: &Record) -> Result<()> {
        // The frame's place is kept free, so that the record is written in one piece.
        let mut bytes = postcard::to_extend(record, vec![0; FRAME])
            .map_err(|error| Error::new(ErrorClass::Internal, format!("a journal record: {error}")))?;
        let (frame, payload) = bytes
            .split_first_chunk_mut::<FRAME>()
            .ok_or_else(|| Error::new(ErrorClass::Internal, "a journal record has no frame"))?;
        let length = u32::try_from(payload.len())
            .map_err(|_| Error::new(ErrorClass::Unsupported, "an operation is too large for the journal"))?;
        let sum = crc32(payload);
        for (place, byte) in frame.iter_mut().zip(length.to_le_bytes().into_iter().chain(sum.to_le_bytes())) {
            *place = byte;
        }
        if let Err(error) = self.file.write_all_at(&bytes, self.end) {
            // What was torn off is overwritten by the next record, or cut off by a replay: failing
            // to remove it now loses nothing.
            let _ = self.file.set_len(self.end);
            return Err(self.failed(&error));
        }
        self.end += bytes.len() as u64;
        Ok(())
    }

    pub(super) fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &std::io::Error) -> Error {
        Error::io(self.path.display(), error)
    }

    /// Lets writing fail from now on, or work again.
    #[cfg(test)]
    pub(super) fn set_writable(&mut self, writable: bool) {
        self.file = File::options().read(true).write(writable).open(&self.path).unwrap();
    }
}

/// Whether a record could be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Applied {
    Fits,
    DoesNotFit,
}

fn read_header(file: &File, size: u64, identity: &[u8], scratch: &Scratch) -> Result<u64> {
    let no_journal = || VolumeError::NoJournal { path: scratch.path().display().to_string() };
    let mut fixed = [0; FIXED];
    let failed = |error: std::io::Error| Error::io(scratch.path().join(NAME).display(), &error);
    if size < FIXED as u64 {
        return Err(no_journal().into());
    }
    file.read_exact_at(&mut fixed, 0).map_err(failed)?;
    let (magic, numbers) = fixed.split_at(MAGIC.len());
    let mut numbers = numbers.as_chunks::<4>().0.iter().copied().map(u32::from_le_bytes);
    let [version, block, length] = std::array::from_fn(|_| numbers.next().unwrap_or(0));
    if magic != MAGIC {
        return Err(no_journal().into());
    }
    if version != VERSION || u64::from(block) != BLOCK {
        return Err(VolumeError::JournalVersion { found: version, expected: VERSION }.into());
    }
    let end = FIXED as u64 + u64::from(length) + 4;
    if end > size {
        return Err(no_journal().into());
    }
    let mut header = vec![0; usize::try_from(end).unwrap_or(0)];
    file.read_exact_at(&mut header, 0).map_err(failed)?;
    let (covered, sum) = header.split_last_chunk::<4>().ok_or_else(no_journal)?;
    if crc32(covered) != u32::from_le_bytes(*sum) {
        return Err(no_journal().into());
    }
    if covered.get(FIXED..) != Some(identity) {
        return Err(VolumeError::OtherBase.into());
    }
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(scratch: &Scratch) -> Vec<Record> {
        let mut records = Vec::new();
        Journal::replay(scratch, b"base", |record| {
            records.push(record.clone());
            Ok(Applied::Fits)
        })
        .unwrap();
        records
    }

    #[test]
    fn every_cut_and_every_flipped_byte_ends_the_log_there() {
        let directory = tempfile::tempdir().unwrap();
        let scratch = Scratch::at(directory.path());
        let path = directory.path().join(NAME);
        let mut journal = Journal::create(&scratch, b"base").unwrap();
        let records =
            [Record::Begin(1), Record::Changes(vec![Change::Descriptor([7; 40].into())]), Record::Abort(1)];
        let mut ends = vec![journal.end];
        for record in &records {
            journal.append(record).unwrap();
            ends.push(journal.end);
        }
        let whole = std::fs::read(&path).unwrap();
        let start = ends[0] as usize;
        for at in start..whole.len() {
            let good = ends.iter().filter(|end| **end <= at as u64).count() - 1;
            std::fs::write(&path, &whole[..at]).unwrap();
            assert_eq!(read_all(&scratch), records[..good], "cut at {at}");
            assert_eq!(std::fs::metadata(&path).unwrap().len(), ends[good]);
            let mut flipped = whole.clone();
            flipped[at] ^= 0x10;
            std::fs::write(&path, &flipped).unwrap();
            assert_eq!(read_all(&scratch), records[..good], "flipped at {at}");
        }
        std::fs::write(&path, &whole).unwrap();
        assert_eq!(read_all(&scratch), records);
        // What does not fit ends the log, too.
        let mut count = 0;
        Journal::replay(&scratch, b"base", |_| {
            count += 1;
            Ok(if count < 3 { Applied::Fits } else { Applied::DoesNotFit })
        })
        .unwrap();
        assert_eq!(read_all(&scratch), records[..2]);
    }
}
