// SPDX-License-Identifier: GPL-3.0-or-later
//! Inputs that once broke a parser, replayed.

use std::fs;
use std::path::Path;

use transom_sample::parsers;

#[test]
fn what_once_broke_a_parser_does_no_more() {
    let artifacts = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/artifacts");
    let scratch = tempfile::tempdir().unwrap();
    for folder in fs::read_dir(&artifacts).unwrap() {
        let folder = folder.unwrap();
        if !folder.file_type().unwrap().is_dir() {
            continue;
        }
        let name = folder.file_name().into_string().unwrap();
        let parser = parsers::find(&name).unwrap_or_else(|| panic!("{name} is no parser"));
        for case in fs::read_dir(folder.path()).unwrap() {
            let path = case.unwrap().path();
            eprintln!("replaying {}", path.display());
            (parser.run)(&fs::read(&path).unwrap(), scratch.path());
        }
    }
}

#[test]
fn every_parser_has_a_fuzz_target() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    for parser in parsers::ALL {
        let name = parser.name;
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        let target = fs::read_to_string(root.join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(target.contains(&format!("find(\"{name}\")")), "{name}");
    }
}
