// SPDX-License-Identifier: GPL-3.0-or-later
//! The base block: the first 4096 bytes of a hive, and the first 512 of a log.
//!
//! | offset | size | name | meaning |
//! |---|---|---|---|
//! | 0 | 4 | signature | `regf` |
//! | 4, 8 | 4, 4 | primary, secondary sequence | equal after a complete write |
//! | 12 | 8 | last written | FILETIME, kept up to Windows 8 only |
//! | 20, 24 | 4, 4 | major, minor | 1; 3 to 6 |
//! | 28 | 4 | file type | 0 primary, 1 or 2 old log, 6 new log |
//! | 32 | 4 | format | 1 |
//! | 36 | 4 | root | offset of the root key's cell |
//! | 40 | 4 | bins size | length of the bins, a multiple of 4096 |
//! | 44 | 4 | clustering | 1 |
//! | 48 | 64 | file name | tail of the path, cosmetic |
//! | 112, 128 | 16, 16 | RmId, LogId | GUIDs of the resource manager |
//! | 144 | 4 | flags | bit 0 pending transactions, bit 1 defragmented or layered |
//! | 148 | 16 | TmId | GUID |
//! | 164 | 344 | | signatures of other writers, last reorganised |
//! | 508 | 4 | checksum | of the 127 words before it |
//!
//! Source: M. Suhanov, "Windows registry file format specification".

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::error::{HiveError, Result};
use super::page::PAGE;

/// The part of a base block that has meaning; the rest of the page is kept as it is.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct BaseBlockRaw {
    pub(super) signature: [u8; 4],
    pub(super) primary_sequence: U32,
    pub(super) secondary_sequence: U32,
    pub(super) last_written: U64,
    pub(super) major: U32,
    pub(super) minor: U32,
    pub(super) file_type: U32,
    pub(super) format: U32,
    pub(super) root: U32,
    pub(super) bins_size: U32,
    pub(super) clustering: U32,
    pub(super) file_name: [u8; 64],
    pub(super) rm_id: [u8; 16],
    pub(super) log_id: [u8; 16],
    pub(super) flags: U32,
    pub(super) tm_id: [u8; 16],
    pub(super) rest: [u8; 344],
    pub(super) checksum: U32,
}

const _: () = assert!(size_of::<BaseBlockRaw>() == 512);

/// The file type of a primary.
pub(super) const PRIMARY: u32 = 0;
/// The file types of an old log.
pub(super) const OLD_LOG: [u32; 2] = [1, 2];
/// The file type of a new log.
pub(super) const NEW_LOG: u32 = 6;
/// Bit 31 of an offset marks volatile storage, so a hive ends below it.
pub(super) const MAX_BINS_SIZE: u64 = 0x7FFF_F000;

impl BaseBlockRaw {
    /// Reads the block from the beginning of `bytes`.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        match Self::read_from_prefix(bytes) {
            Ok((block, _)) => Ok(block),
            Err(_) => Err(HiveError::NotAHive {
                what: "the base block",
                offset: 0,
                expected: "512 bytes",
                found: format!("{} bytes", bytes.len()),
            }),
        }
    }

    /// The checksum that the block should carry.
    pub(super) fn computed_checksum(&self) -> u32 {
        let words = self.as_bytes().chunks_exact(4).take(127);
        let sum =
            words.fold(0, |sum, word| sum ^ word.try_into().map(u32::from_le_bytes).unwrap_or_default());
        match sum {
            u32::MAX => u32::MAX - 1,
            0 => 1,
            sum => sum,
        }
    }

    /// Puts the right checksum in.
    pub(super) fn seal(&mut self) {
        self.checksum = self.computed_checksum().into();
    }

    /// Whether this is an unharmed base block of any file type.
    pub(super) fn is_valid(&self) -> bool {
        self.signature == *b"regf" && self.checksum.get() == self.computed_checksum()
    }

    /// Why the hive counts as dirty, if it does.
    pub(super) fn dirty_reason(&self) -> Option<String> {
        if self.checksum.get() != self.computed_checksum() {
            Some(format!(
                "its checksum is {:#010x}, computed {:#010x}",
                self.checksum,
                self.computed_checksum()
            ))
        } else if self.primary_sequence != self.secondary_sequence {
            Some(format!(
                "its sequence numbers are {} and {}",
                self.primary_sequence, self.secondary_sequence
            ))
        } else {
            None
        }
    }

    /// Refuses what is no primary hive, or of a version that does not exist.
    pub(super) fn check_kind(&self) -> Result<()> {
        let refuse =
            |what, offset, expected, found| Err(HiveError::NotAHive { what, offset, expected, found });
        if self.signature != *b"regf" {
            return refuse("the signature", 0, "\"regf\"", format!("{:02x?}", self.signature));
        }
        if self.major.get() != 1 {
            return refuse("the major version", 20, "1", self.major.to_string());
        }
        if !(3..=6).contains(&self.minor.get()) {
            return refuse("the minor version", 24, "3 to 6", self.minor.to_string());
        }
        if self.file_type.get() != PRIMARY {
            return refuse("the file type", 28, "0", self.file_type.to_string());
        }
        if self.format.get() != 1 {
            return refuse("the format", 32, "1", self.format.to_string());
        }
        Ok(())
    }

    /// The length of the file's part that has meaning: base block and bins.
    pub(super) fn image_length(&self) -> Result<usize> {
        let size = u64::from(self.bins_size.get());
        if size == 0 || !size.is_multiple_of(PAGE as u64) || size > MAX_BINS_SIZE {
            return Err(HiveError::structure(
                "the size of the bins",
                40,
                "a multiple of 4096 below 2 GiB",
                format!("{size:#x}"),
            ));
        }
        usize::try_from(size + PAGE as u64).map_err(|_| HiveError::Limit {
            what: "the size of the hive",
            found: size,
            limit: usize::MAX as u64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_never_is_zero_or_all_ones() {
        let mut block = BaseBlockRaw::parse(&[0; 512]).unwrap();
        assert_eq!(block.computed_checksum(), 1);
        block.flags = u32::MAX.into();
        assert_eq!(block.computed_checksum(), u32::MAX - 1);
        block.flags = 0x1234_5678.into();
        block.signature = *b"regf";
        block.seal();
        assert_eq!(block.checksum.get(), 0x1234_5678 ^ u32::from_le_bytes(*b"regf"));
        assert!(block.is_valid());
        assert_eq!(block.dirty_reason(), None);
        block.primary_sequence = 2.into();
        block.seal();
        assert_eq!(block.dirty_reason().as_deref(), Some("its sequence numbers are 2 and 0"));
    }

    #[test]
    fn other_files_are_refused() {
        let mut block = BaseBlockRaw::parse(&[0; 512]).unwrap();
        assert!(block.check_kind().unwrap_err().to_string().contains("the signature at offset 0x0"));
        block.signature = *b"regf";
        block.major = 1.into();
        block.minor = 2.into();
        assert!(
            block.check_kind().unwrap_err().to_string().contains("the minor version at offset 0x18 is 2")
        );
        assert!(BaseBlockRaw::parse(b"regf").is_err());
    }
}
