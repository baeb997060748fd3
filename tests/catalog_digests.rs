// SPDX-License-Identifier: GPL-3.0-or-later
//! Authenticode hashes of real PE files: ours, and what the crate `authenticode` finds by way of
//! the sections.

mod inf_corpus;

use authenticode::{PeTrait, authenticode_digest};
use object::FileKind;
use object::read::pe::{PeFile32, PeFile64};
use sha1::{Digest, Sha1};
use sha2::Sha256;

use transom::pe::{self, PeDigests};

fn of_the_crate(bytes: &[u8]) -> PeDigests {
    let file: Box<dyn PeTrait + '_> = match FileKind::parse(bytes).unwrap() {
        FileKind::Pe32 => Box::new(PeFile32::parse(bytes).unwrap()),
        FileKind::Pe64 => Box::new(PeFile64::parse(bytes).unwrap()),
        kind => panic!("{kind:?}"),
    };
    let (mut sha1, mut sha256) = (Sha1::new(), Sha256::new());
    authenticode_digest(&*file, &mut sha1).unwrap();
    authenticode_digest(&*file, &mut sha256).unwrap();
    PeDigests { sha1: sha1.finalize().into(), sha256: sha256.finalize().into() }
}

#[test]
fn the_authenticode_crate_computes_the_same() {
    let (Some(drivers), Some(delta)) = (inf_corpus::corpus("drivers"), inf_corpus::corpus("delta")) else {
        return;
    };
    let mut compared = 0;
    for folder in [drivers, delta] {
        for entry in walkdir::WalkDir::new(folder).sort_by_file_name() {
            let entry = entry.unwrap();
            if !entry.file_type().is_file() {
                continue;
            }
            let mut bytes = std::fs::read(entry.path()).unwrap();
            if !pe::is_pe(&bytes).unwrap() {
                continue;
            }
            let ours = pe::authenticode_digests(&bytes).unwrap();
            // The crate does not pad.
            bytes.resize(bytes.len().next_multiple_of(8), 0);
            assert_eq!(ours, of_the_crate(&bytes), "{}", entry.path().display());
            // A changed byte is seen by both, or the same by none.
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            let changed = pe::authenticode_digests(&bytes).unwrap();
            assert_eq!(changed, of_the_crate(&bytes), "{}, changed", entry.path().display());
            compared += 1;
        }
    }
    assert!(compared >= 20, "{compared} files");
}
