// SPDX-License-Identifier: GPL-3.0-or-later
//! Checksums and digests, streaming: the one place that names a hash implementation.

use sha1::Digest as _;

use crate::base::BlobHash;

/// SHA-1 of bytes that arrive in pieces.
#[derive(Clone, Default)]
pub struct Sha1(sha1::Sha1);

impl Sha1 {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes taken.
    pub fn finish(self) -> [u8; 20] {
        self.0.finalize().into()
    }
}

/// SHA-256 of bytes that arrive in pieces.
#[derive(Clone, Default)]
pub struct Sha256(sha2::Sha256);

impl Sha256 {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes taken.
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// CRC-32 (IEEE) of bytes that arrive in pieces.
#[derive(Clone, Debug, Default)]
pub struct Crc32(crc32fast::Hasher);

impl Crc32 {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The sum of all bytes taken.
    pub fn finish(self) -> u32 {
        self.0.finalize()
    }
}

/// The SHA-1 of a buffer.
pub fn sha1(bytes: &[u8]) -> [u8; 20] {
    sha1::Sha1::digest(bytes).into()
}

/// The SHA-256 of a buffer.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    sha2::Sha256::digest(bytes).into()
}

/// The SHA-384 of a buffer.
pub fn sha384(bytes: &[u8]) -> [u8; 48] {
    sha2::Sha384::digest(bytes).into()
}

/// The SHA-512 of a buffer.
pub fn sha512(bytes: &[u8]) -> [u8; 64] {
    sha2::Sha512::digest(bytes).into()
}

/// The name of a stream's content in a WIM: its SHA-1, or zero when it is empty.
pub fn blob_hash(bytes: &[u8]) -> BlobHash {
    if bytes.is_empty() { BlobHash::ZERO } else { BlobHash(sha1(bytes)) }
}

/// CRC-32 (IEEE) of a buffer.
pub fn crc32(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_vectors() {
        assert_eq!(blob_hash(b"abc").to_string(), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(blob_hash(b""), BlobHash::ZERO);
        assert_eq!(sha256(b"abc")[..4], [0xba, 0x78, 0x16, 0xbf]);
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        let mut pieces = Sha1::default();
        pieces.update(b"a");
        pieces.update(b"bc");
        assert_eq!(pieces.finish(), sha1(b"abc"));
    }
}
