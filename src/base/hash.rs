// SPDX-License-Identifier: GPL-3.0-or-later
//! The name by which a WIM knows a stream's content.

use std::fmt;

/// The SHA-1 of a stream's uncompressed bytes. All zero means "no data".
#[derive(
    Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct BlobHash(pub [u8; 20]);

impl BlobHash {
    /// What an empty stream carries.
    pub const ZERO: Self = Self([0; 20]);

    /// Whether this is the hash of an empty stream.
    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }
}

impl fmt::Display for BlobHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for BlobHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "BlobHash({self})")
    }
}
