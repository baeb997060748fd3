// SPDX-License-Identifier: GPL-3.0-or-later
#![no_main]

use std::sync::LazyLock;

use transom_sample::parsers;

static SCRATCH: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().expect("scratch space"));

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    (parsers::find("journal").expect("a known parser").run)(bytes, SCRATCH.path());
});
