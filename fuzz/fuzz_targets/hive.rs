// SPDX-License-Identifier: GPL-3.0-or-later
//! A primary with its two logs. Most mutations are followed by a repair of checksums and hashes:
//! else nearly every log would end at these.
#![no_main]

use std::sync::LazyLock;

use transom_sample::{mutation, parsers};

static SCRATCH: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().expect("scratch space"));

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    (parsers::find("hive").expect("a known parser").run)(bytes, SCRATCH.path());
});

libfuzzer_sys::fuzz_mutator!(|bytes: &mut [u8], length: usize, limit: usize, seed: u32| {
    let length = libfuzzer_sys::fuzzer_mutate(bytes, length, limit);
    if seed % 8 != 0 {
        mutation::repair_hive(&mut bytes[..length]);
    }
    length
});
