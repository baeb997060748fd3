// SPDX-License-Identifier: GPL-3.0-or-later
//! Names of folders in the FileRepository: `viostor.inf_amd64_520417bbc533faba`.
//!
//! The last part is a polynomial over the bytes of the INF: `h = h * 39 + byte` modulo 2^64, its
//! eight bytes printed low byte first. Source: Pandapip1/gowim `driver/driverstore.go`, checked
//! there on 102 packages of a Windows 11 image, and here on the public tag of a released viostor.
//! Collisions are trivial to make, so the name is never taken as proof of identity.

use crate::base::Arch;

const FACTOR: u64 = 39;

/// The 16 hex digits of an INF's bytes.
pub(super) fn tag(inf: &[u8]) -> String {
    let hash = inf.iter().fold(0u64, |hash, &byte| hash.wrapping_mul(FACTOR).wrapping_add(byte.into()));
    hash.to_le_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The folder of a package (Windows 8 and later).
pub(super) fn store_name(inf_name: &str, arch: Arch, inf: &[u8]) -> String {
    format!("{}_{arch}_{}", inf_name.to_lowercase(), tag(inf))
}

/// The INF's name that a folder's name begins with.
pub(super) fn original_file_name(store_name: &str) -> &str {
    let mut parts = store_name.rsplitn(3, '_');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(_), Some(_), Some(name)) => name,
        _ => store_name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_vectors() {
        assert_eq!(tag(b""), "0000000000000000");
        assert_eq!(tag(b"A"), "4100000000000000");
        assert_eq!(tag(b"AB"), "290a000000000000");
    }

    #[test]
    fn names() {
        assert_eq!(store_name("VioStor.INF", Arch::Amd64, b"A"), "viostor.inf_amd64_4100000000000000");
        let cases = [
            ("viostor.inf_amd64_520417bbc533faba", "viostor.inf"),
            ("my_net.inf_x86_0234ee61ba44613e", "my_net.inf"),
            ("odd", "odd"),
        ];
        for (store, original) in cases {
            assert_eq!(original_file_name(store), original, "{store}");
        }
    }
}
