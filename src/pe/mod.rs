// SPDX-License-Identifier: GPL-3.0-or-later
//! PE files: whether it is one, its architecture, its version, its Authenticode hash.
//!
//! | offset | size | name | meaning |
//! |---|---|---|---|
//! | 0 | 2 | e_magic | `MZ` |
//! | 0x3C | 4 | e_lfanew | where the PE header is |
//! | pe + 0 | 4 | Signature | `PE\0\0` |
//! | pe + 4 | 2 | Machine | `IMAGE_FILE_MACHINE_*` |
//! | pe + 20 | 2 | SizeOfOptionalHeader | |
//! | pe + 24 | 2 | Magic | 0x10B PE32, 0x20B PE32+; the optional header begins here |
//! | opt + 64 | 4 | CheckSum | not hashed |
//! | opt + 92 / 108 | 4 | NumberOfRvaAndSizes | PE32 / PE32+ |
//! | opt + 128 / 144 | 8 | security directory | file offset and size of the certificate table; not hashed |
//!
//! The Authenticode hash is that of the whole file but for these two fields and the certificate
//! table. A file without certificate table whose size is not a multiple of 8 is hashed as if it
//! ended in zeros up to one (seen on one real file, with SHA-1 and SHA-256).
//!
//! Source: Microsoft's "PE format" and "Windows Authenticode portable executable signature
//! format"; the padding was measured.

#![cfg_attr(
    not(test),
    warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod version;

use crate::base::{Arch, Code, Error, ErrorClass, Result};
use crate::digest::{Sha1, Sha256};
use crate::io::ReadAt;

pub use version::file_version;

const DOS_HEADER: u64 = 64;
const PE_HEADER: u64 = 24;
const OPTIONAL_HEADER: u64 = PE_HEADER;
const PE32: u16 = 0x10B;
const PE32_PLUS: u16 = 0x20B;
const SECURITY_DIRECTORY: u32 = 4;
const BUFFER: usize = 256 << 10;
const ALIGNMENT: u64 = 8;

/// Why a PE file is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeError {
    /// The optional header is neither PE32 nor PE32+.
    #[error("offset {offset}: optional header magic is 0x{found:x}, not 0x10b or 0x20b")]
    OptionalMagic {
        /// Where.
        offset: u64,
        /// What stands there.
        found: u16,
    },
    /// A header reaches beyond the end of the file.
    #[error("offset {offset}: the {what} ends beyond the file's {length} bytes")]
    Truncated {
        /// Which part.
        what: &'static str,
        /// Where it begins.
        offset: u64,
        /// The file's size.
        length: u64,
    },
    /// The certificate table overlaps the headers.
    #[error("offset {offset}: the certificate table lies inside the headers")]
    CertificateTable {
        /// Where the table is said to begin.
        offset: u64,
    },
}

impl From<PeError> for Error {
    fn from(error: PeError) -> Self {
        Self::new(ErrorClass::Corrupt, format!("the PE file is damaged: {error}"))
            .with_code(Code::win32(193))
            .with_hint("get the file again from its vendor")
    }
}

/// What [`authenticode_digests`] finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeDigests {
    /// SHA-1.
    pub sha1: [u8; 20],
    /// SHA-256.
    pub sha256: [u8; 32],
}

/// Whether the bytes begin a PE image (MZ + PE\0\0).
///
/// # Errors
/// When the file cannot be read.
pub fn is_pe(file: &dyn ReadAt) -> Result<bool> {
    Ok(header(file)?.is_some())
}

/// The machine of the image; nothing for another file or an unknown machine.
///
/// # Errors
/// When the file cannot be read.
pub fn arch(file: &dyn ReadAt) -> Result<Option<Arch>> {
    Ok(header(file)?.and_then(|header| Arch::from_pe_machine(header.machine)))
}

/// Authenticode hashes (CheckSum, security directory entry and certificate table skipped;
/// unsigned odd sizes padded to 8), both in one pass.
///
/// Not the crate `authenticode`, though a test compares with it: that one wants the whole file in
/// memory, hashes it once for each algorithm, and does not pad. Here a file of any size is read
/// once, piece by piece, wherever it lies (in a WIM, too).
///
/// # Errors
/// When the file cannot be read, is no PE file, or its headers are damaged.
pub fn authenticode_digests(file: &dyn ReadAt) -> Result<PeDigests> {
    let header = header(file)?.ok_or_else(|| {
        Error::new(ErrorClass::Corrupt, "this is no PE file: MZ and PE headers are missing")
            .with_code(Code::win32(193))
    })?;
    let layout = Layout::read(file, &header)?;
    let mut hashes =
        Hashes { file, sha1: Sha1::default(), sha256: Sha256::default(), buffer: vec![0; BUFFER] };
    let mut position = 0;
    for hole in layout.holes() {
        hashes.take(position, hole.start)?;
        position = hole.end;
    }
    let end = file.len();
    hashes.take(position, end)?;
    if layout.certificates.is_none() {
        let padding = (end.next_multiple_of(ALIGNMENT) - end) as usize;
        hashes.update([0u8; ALIGNMENT as usize].get(..padding).unwrap_or_default());
    }
    Ok(PeDigests { sha1: hashes.sha1.finish(), sha256: hashes.sha256.finish() })
}

struct Header {
    /// Where `PE\0\0` stands.
    offset: u64,
    machine: u16,
    optional_size: u16,
}

fn array<const N: usize>(file: &dyn ReadAt, offset: u64) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

/// Finds the PE header; nothing when this is another kind of file.
fn header(file: &dyn ReadAt) -> Result<Option<Header>> {
    let length = file.len();
    if length < DOS_HEADER || array(file, 0)? != *b"MZ" {
        return Ok(None);
    }
    let offset = u64::from(u32::from_le_bytes(array(file, 0x3C)?));
    if offset + PE_HEADER > length || array(file, offset)? != *b"PE\0\0" {
        return Ok(None);
    }
    let machine = u16::from_le_bytes(array(file, offset + 4)?);
    let optional_size = u16::from_le_bytes(array(file, offset + 20)?);
    Ok(Some(Header { offset, machine, optional_size }))
}

struct Layout {
    checksum: u64,
    /// Where the security directory entry stands, if the header has one.
    directory: Option<u64>,
    /// Start and end of the certificate table.
    certificates: Option<(u64, u64)>,
}

impl Layout {
    fn read(file: &dyn ReadAt, header: &Header) -> Result<Self> {
        let length = file.len();
        let optional = header.offset + OPTIONAL_HEADER;
        let size = u64::from(header.optional_size);
        let truncated = |what, offset| PeError::Truncated { what, offset, length };
        if size < 2 || optional + size > length {
            return Err(truncated("optional header", optional).into());
        }
        let magic = u16::from_le_bytes(array(file, optional)?);
        let directories = match magic {
            PE32 => 96,
            PE32_PLUS => 112,
            found => return Err(PeError::OptionalMagic { offset: optional, found }.into()),
        };
        if size < directories {
            return Err(truncated("optional header", optional).into());
        }
        let checksum = optional + 64;
        let count = u32::from_le_bytes(array(file, optional + directories - 4)?);
        let entry = directories + u64::from(SECURITY_DIRECTORY) * 8;
        if count <= SECURITY_DIRECTORY || size < entry + 8 {
            return Ok(Self { checksum, directory: None, certificates: None });
        }
        let directory = optional + entry;
        let start = u64::from(u32::from_le_bytes(array(file, directory)?));
        let size = u64::from(u32::from_le_bytes(array(file, directory + 4)?));
        if start == 0 || size == 0 {
            return Ok(Self { checksum, directory: Some(directory), certificates: None });
        }
        if start < directory + 8 {
            return Err(PeError::CertificateTable { offset: start }.into());
        }
        if start + size > length {
            return Err(truncated("certificate table", start).into());
        }
        Ok(Self { checksum, directory: Some(directory), certificates: Some((start, start + size)) })
    }

    /// What is not hashed, in order.
    fn holes(&self) -> impl Iterator<Item = std::ops::Range<u64>> {
        let directory = self.directory.map(|start| start..start + 8);
        let certificates = self.certificates.map(|(start, end)| start..end);
        std::iter::once(self.checksum..self.checksum + 4).chain(directory).chain(certificates)
    }
}

struct Hashes<'a> {
    file: &'a dyn ReadAt,
    sha1: Sha1,
    sha256: Sha256,
    buffer: Vec<u8>,
}

impl Hashes<'_> {
    fn update(&mut self, bytes: &[u8]) {
        self.sha1.update(bytes);
        self.sha256.update(bytes);
    }

    fn take(&mut self, mut start: u64, end: u64) -> Result<()> {
        while start < end {
            let length = (end - start).min(BUFFER as u64);
            let piece = self.buffer.get_mut(..length as usize).unwrap_or_default();
            self.file.read_exact_at(piece, start)?;
            self.sha1.update(piece);
            self.sha256.update(piece);
            start += length;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A PE32+ file of `size` bytes; `certificates` are appended with a directory entry.
    fn image(size: usize, certificates: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0u8; size];
        for (position, byte) in bytes.iter_mut().enumerate().skip(400) {
            *byte = position as u8;
        }
        bytes[..2].copy_from_slice(b"MZ");
        bytes[0x3C] = 0x80;
        bytes[0x80..0x84].copy_from_slice(b"PE\0\0");
        bytes[0x84..0x86].copy_from_slice(&0x8664u16.to_le_bytes());
        bytes[0x94..0x96].copy_from_slice(&240u16.to_le_bytes());
        bytes[0x98..0x9A].copy_from_slice(&PE32_PLUS.to_le_bytes());
        bytes[0x98 + 108] = 16;
        if !certificates.is_empty() {
            bytes[0x98 + 144..0x98 + 148].copy_from_slice(&(size as u32).to_le_bytes());
            bytes[0x98 + 148..0x98 + 152].copy_from_slice(&(certificates.len() as u32).to_le_bytes());
            bytes.extend(certificates);
        }
        bytes
    }

    #[test]
    fn what_is_hashed() {
        let plain = image(512, &[]);
        let digests = authenticode_digests(&plain).unwrap();
        let mut hashed = plain.clone();
        hashed.drain(0x98 + 144..0x98 + 152);
        hashed.drain(0x98 + 64..0x98 + 68);
        assert_eq!(digests.sha1, crate::digest::sha1(&hashed));
        assert_eq!(digests.sha256, crate::digest::sha256(&hashed));

        let signed = image(512, &[7; 24]);
        assert_eq!(authenticode_digests(&signed).unwrap(), digests);
        for (offset, seen) in
            [(0, true), (2, true), (0x98 + 64, false), (0x98 + 68, true), (511, true), (512, false)]
        {
            let mut changed = signed.clone();
            changed[offset] ^= 0x20;
            let differs = authenticode_digests(&changed).ok() != Some(digests.clone());
            assert_eq!(differs, seen, "offset {offset}");
        }
    }

    #[test]
    fn odd_sizes_are_padded() {
        let odd = authenticode_digests(&image(509, &[])).unwrap();
        let mut padded = image(509, &[]);
        padded.resize(512, 0);
        assert_eq!(odd, authenticode_digests(&padded).unwrap());
    }

    #[test]
    fn kinds() {
        let mut dos = image(512, &[]);
        dos[0x80] = b'N';
        let mut far = image(512, &[]);
        far[0x3F] = 0xFF;
        let cases: [(&[u8], bool, Option<Arch>); 5] = [
            (&image(512, &[]), true, Some(Arch::Amd64)),
            (&dos, false, None),
            (&far, false, None),
            (b"MZ", false, None),
            (b"", false, None),
        ];
        for (bytes, pe, machine) in cases {
            assert_eq!(is_pe(&bytes.to_vec()).unwrap(), pe);
            assert_eq!(arch(&bytes.to_vec()).unwrap(), machine);
        }
    }

    #[test]
    fn damage_is_an_error() {
        let mut magic = image(512, &[]);
        magic[0x98] = 0;
        let mut table = image(512, &[7; 8]);
        table.truncate(516);
        let mut inside = image(512, &[7; 8]);
        inside[0x98 + 144..0x98 + 148].copy_from_slice(&64u32.to_le_bytes());
        for bytes in [magic, table, inside, image(512, &[])[..300].to_vec()] {
            assert_eq!(authenticode_digests(&bytes).unwrap_err().class(), ErrorClass::Corrupt);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_headers_are_read_or_refused(at in 0usize..400, value: [u8; 4]) {
            let mut bytes = image(512, &[7; 16]);
            bytes[at..at + 4].copy_from_slice(&value);
            let _ = authenticode_digests(&bytes);
        }
    }
}
