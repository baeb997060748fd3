// SPDX-License-Identifier: GPL-3.0-or-later
//! The rules of the house, read from the sources: which room may import which, what the lower
//! floors never touch, where `unsafe` may stand, and what every file looks like.
//!
//! Each rule is a function over a source text, and is shown able to fail on a made-up one.

use std::fs;
use std::path::{Path, PathBuf};

/// A room: its floor, its name, and what it may use beside the rooms of lower floors.
struct Room {
    floor: u8,
    name: &'static str,
    also: &'static [&'static str],
}

const FIFTH_AB: &[&str] = &["imaging", "drivers", "appx", "msi", "associations", "cbs"];
const FIFTH_ABC: &[&str] =
    &["imaging", "drivers", "appx", "msi", "associations", "cbs", "international", "edition", "winpe"];

const fn room(floor: u8, name: &'static str, also: &'static [&'static str]) -> Room {
    Room { floor, name, also }
}

/// The floor table of ARCHITECTURE.md. There `pe` reads through `io` and hashes through `digest`:
/// a file of hundreds of megabytes is hashed without being held.
#[rustfmt::skip]
const HOUSE: &[Room] = &[
    room(0, "base", &[]),
    room(1, "io", &[]),
    room(1, "codec", &["digest"]),
    room(1, "digest", &[]),
    room(1, "xml", &[]),
    room(1, "pe", &["io", "digest"]),
    room(2, "wim", &[]),
    room(2, "hive", &[]),
    room(2, "catalog", &[]),
    room(2, "cab", &["catalog"]),
    room(2, "inf", &["catalog"]),
    room(2, "opc", &["catalog"]),
    room(2, "disk", &["catalog"]),
    room(3, "volume", &[]),
    room(4, "image", &[]),
    room(5, "imaging", &[]),
    room(5, "drivers", &[]),
    room(5, "appx", &[]),
    room(5, "msi", &[]),
    room(5, "associations", &[]),
    room(5, "cbs", &["drivers"]),
    room(5, "international", FIFTH_AB),
    room(5, "edition", FIFTH_AB),
    room(5, "winpe", FIFTH_AB),
    room(5, "settings", FIFTH_ABC),
    room(6, "report", &[]),
    room(6, "mount", &[]),
    room(7, "cli", &[]),
];

/// Token sequences that floors 0 to 5 never hold outside tests: what they need is passed in.
const OUTSIDE_WORLD: &[&[&str]] = &[
    &["print", "!"],
    &["println", "!"],
    &["eprint", "!"],
    &["eprintln", "!"],
    &["dbg", "!"],
    &["stdout", "("],
    &["stderr", "("],
    &["std", "::", "env"],
    &["env", "::", "var"],
    &["env", "::", "var_os"],
    &["env", "::", "temp_dir"],
    &["env", "::", "current_dir"],
    &["SystemTime", "::", "now"],
    &["Instant", "::", "now"],
    &["Timestamp", "::", "now"],
    &["Zoned", "::", "now"],
    &["process", "::", "exit"],
    &["process", "::", "abort"],
    &["Command", "::", "new"],
];

/// The one file that may say `unsafe`.
const UNSAFE_FILE: &str = "codec/ffi.rs";

fn find_room(name: &str) -> Option<&'static Room> {
    HOUSE.iter().find(|room| room.name == name)
}

/// Why `from` may not import `to`; nothing when it may.
fn forbidden_arrow(from: &str, to: &str) -> Option<String> {
    if from == to {
        return None;
    }
    let Some(source) = find_room(from) else {
        return Some(format!("the room `{from}` is not in the floor table"));
    };
    let Some(target) = find_room(to) else {
        return Some(format!("`{to}` is no room of the floor table"));
    };
    if target.floor < source.floor || source.also.contains(&to) {
        return None;
    }
    Some(format!("{from} (floor {}) may not use {to} (floor {})", source.floor, target.floor))
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Token {
    text: String,
    line: usize,
    /// Inside an item under `#[cfg(test)]`.
    test: bool,
    /// How many inline `mod name { }` stand around it.
    inline_modules: usize,
}

/// Splits Rust source into identifiers and punctuation; comments, strings and characters vanish.
fn tokens(source: &str) -> Vec<Token> {
    let characters: Vec<char> = source.chars().collect();
    let mut tokens: Vec<Token> = Vec::new();
    let mut position = 0;
    let mut line = 1;
    let at = |index: usize| characters.get(index).copied().unwrap_or('\0');
    let word = |character: char| character.is_alphanumeric() || character == '_';
    while position < characters.len() {
        let start = position;
        match at(position) {
            '/' if at(position + 1) == '/' => {
                while position < characters.len() && at(position) != '\n' {
                    position += 1;
                }
            }
            '/' if at(position + 1) == '*' => {
                let mut depth = 0;
                loop {
                    match (at(position), at(position + 1)) {
                        ('/', '*') => (depth, position) = (depth + 1, position + 2),
                        ('*', '/') => (depth, position) = (depth - 1, position + 2),
                        _ => position += 1,
                    }
                    if depth == 0 || position >= characters.len() {
                        break;
                    }
                }
            }
            'r' | 'b' | 'c' if raw_string_hashes(&characters, position).is_some() => {
                let (quote, hashes) = raw_string_hashes(&characters, position).unwrap();
                position = quote + 1;
                while position < characters.len()
                    && !(at(position) == '"' && (1..=hashes).all(|offset| at(position + offset) == '#'))
                {
                    position += 1;
                }
                position += 1 + hashes;
            }
            '"' => {
                position += 1;
                while position < characters.len() && at(position) != '"' {
                    position += if at(position) == '\\' { 2 } else { 1 };
                }
                position += 1;
            }
            '\'' if at(position + 1) == '\\' || at(position + 2) == '\'' => {
                position += if at(position + 1) == '\\' { 3 } else { 2 };
                while position < characters.len() && at(position) != '\'' {
                    position += 1;
                }
                position += 1;
            }
            character if word(character) => {
                while word(at(position)) {
                    position += 1;
                }
                tokens.push(Token {
                    text: characters[start..position].iter().collect(),
                    line,
                    test: false,
                    inline_modules: 0,
                });
            }
            ':' if at(position + 1) == ':' => {
                tokens.push(Token { text: "::".into(), line, test: false, inline_modules: 0 });
                position += 2;
            }
            character => {
                if !character.is_whitespace() {
                    tokens.push(Token { text: character.into(), line, test: false, inline_modules: 0 });
                }
                position += 1;
            }
        }
        let end = position.min(characters.len());
        line += characters[start..end].iter().filter(|&&character| character == '\n').count();
    }
    mark_modules(&mut tokens);
    tokens
}

/// Where the quote of a raw string stands that begins at `position`, and how many `#` it has.
fn raw_string_hashes(characters: &[char], position: usize) -> Option<(usize, usize)> {
    if position > 0 && characters.get(position - 1).is_some_and(|c| c.is_alphanumeric() || *c == '_') {
        return None;
    }
    let prefix = characters[position..].iter().take_while(|c| matches!(c, 'r' | 'b' | 'c')).count();
    let text: String = characters[position..position + prefix].iter().collect();
    if !["r", "br", "cr"].contains(&text.as_str()) {
        return None;
    }
    let hashes = characters[position + prefix..].iter().take_while(|&&c| c == '#').count();
    let quote = position + prefix + hashes;
    (characters.get(quote) == Some(&'"')).then_some((quote, hashes))
}

fn texts_at(tokens: &[Token], position: usize, expected: &[&str]) -> bool {
    tokens.len() >= position + expected.len()
        && tokens[position..].iter().zip(expected).all(|(token, text)| token.text == *text)
}

/// Notes on each token the inline modules around it, and whether it belongs to a test item.
fn mark_modules(tokens: &mut [Token]) {
    let mut depth = 0;
    let mut modules: Vec<usize> = Vec::new();
    // Brace depth at which the current test item began, and whether its body has opened.
    let mut test_item: Option<(usize, bool)> = None;
    for position in 0..tokens.len() {
        if test_item.is_none() && texts_at(tokens, position, &["#", "[", "cfg", "(", "test", ")", "]"]) {
            test_item = Some((depth, false));
        }
        tokens[position].test = test_item.is_some();
        tokens[position].inline_modules = modules.len();
        match tokens[position].text.as_str() {
            "{" => {
                if position >= 2 && tokens[position - 2].text == "mod" {
                    modules.push(depth);
                }
                depth += 1;
                if let Some((_, opened)) = &mut test_item {
                    *opened = true;
                }
            }
            "}" => {
                // The scripts are read too, and they are no Rust: their braces need not pair.
                depth = usize::saturating_sub(depth, 1);
                if modules.last() == Some(&depth) {
                    modules.pop();
                }
                if test_item.is_some_and(|(begin, opened)| opened && begin == depth) {
                    test_item = None;
                }
            }
            ";" if test_item.is_some_and(|(begin, opened)| !opened && begin == depth) => test_item = None,
            _ => {}
        }
    }
}

/// What is found wrong, as `line: message`.
type Findings = Vec<String>;

/// How deep a file of `src/` stands in the module tree: `wim/mod.rs` 1, `wim/header.rs` 2.
fn module_depth(path: &str) -> usize {
    let parts = path.split('/').count();
    if path.ends_with("/mod.rs") { parts - 1 } else { parts }
}

/// The names that may follow a path's `::`: one, or each first name of a `{ }` group.
fn names_after(tokens: &[Token], position: usize) -> Vec<&Token> {
    let mut names = Vec::new();
    if tokens.get(position).is_none_or(|token| token.text != "{") {
        names.extend(tokens.get(position));
        return names;
    }
    let mut depth = 0;
    for index in position..tokens.len() {
        match tokens[index].text.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ if depth == 1 && matches!(tokens[index - 1].text.as_str(), "{" | ",") => {
                names.push(&tokens[index]);
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

/// Every arrow of a file that breaks the floor table. `path` is relative to `src/`.
fn check_arrows(path: &str, source: &str) -> Findings {
    let Some((from, _)) = path.split_once('/') else {
        // `lib.rs` names the rooms; `main.rs` stands above all of them.
        return Vec::new();
    };
    let tokens = tokens(source);
    let mut findings = Vec::new();
    let mut check = |targets: Vec<&Token>| {
        for target in targets {
            // Items that `lib.rs` itself would define have no room; today there is none.
            if let Some(reason) = forbidden_arrow(from, &target.text) {
                findings.push(format!("{}: {reason}", target.line));
            }
        }
    };
    for position in 0..tokens.len() {
        if texts_at(&tokens, position, &["crate", "::"]) {
            check(names_after(&tokens, position + 2));
        }
        let begins_climb = texts_at(&tokens, position, &["super", "::"])
            && (position < 2 || !texts_at(&tokens, position - 2, &["super", "::"]));
        if begins_climb {
            let mut climbed = 0;
            while texts_at(&tokens, position + 2 * climbed, &["super", "::"]) {
                climbed += 1;
            }
            // At the crate's root the next name is a room.
            if climbed >= module_depth(path) + tokens[position].inline_modules {
                check(names_after(&tokens, position + 2 * climbed));
            }
        }
    }
    findings
}

/// What floors 0 to 5 hold of the outside world. Tests may print notices and read the environment.
fn check_outside_world(path: &str, source: &str) -> Findings {
    let floor = path.split_once('/').and_then(|(name, _)| find_room(name)).map(|room| room.floor);
    if floor.is_none_or(|floor| floor > 5) {
        return Vec::new();
    }
    let tokens = tokens(source);
    let mut findings = Vec::new();
    for position in (0..tokens.len()).filter(|&position| !tokens[position].test) {
        for sequence in OUTSIDE_WORLD {
            if texts_at(&tokens, position, sequence) {
                findings.push(format!("{}: `{}` below floor 6", tokens[position].line, sequence.concat()));
            }
        }
    }
    findings
}

fn check_unsafe(path: &str, source: &str) -> Findings {
    if path == UNSAFE_FILE {
        return Vec::new();
    }
    tokens(source)
        .iter()
        .filter(|token| token.text == "unsafe")
        .map(|token| format!("{}: `unsafe` outside {UNSAFE_FILE}", token.line))
        .collect()
}

/// The licence on top, ASCII only, nothing left to be written.
fn check_text(source: &str) -> Findings {
    let mut findings = Vec::new();
    let head = source.lines().take(2).any(|line| line.contains("SPDX-License-Identifier: GPL-3.0-or-later"));
    if !head {
        findings.push("1: no `SPDX-License-Identifier: GPL-3.0-or-later` on top".into());
    }
    for (index, line) in source.lines().enumerate() {
        if let Some(character) = line.chars().find(|character| !character.is_ascii()) {
            findings.push(format!("{}: {character:?} is not ASCII", index + 1));
        }
    }
    let tokens = tokens(source);
    for position in 0..tokens.len() {
        for name in ["todo", "unimplemented"] {
            if texts_at(&tokens, position, &[name, "!"]) {
                findings.push(format!("{}: `{name}!`", tokens[position].line));
            }
        }
    }
    findings
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file with one of the extensions below a folder, `target` left out, sorted.
fn files_below(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = walkdir::WalkDir::new(folder)
        .into_iter()
        .filter_entry(|entry| entry.file_name() != "target")
        .map(|entry| entry.expect("the sources can be listed").into_path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    found.sort();
    found
}

/// Path relative to `src/` with `/`, and the text, of every source of the library.
fn sources() -> Vec<(String, String)> {
    let src = root().join("src");
    let found: Vec<_> = files_below(&src, "rs")
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&src).unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(&path).unwrap())
        })
        .collect();
    assert!(found.len() > 20, "only {} sources found below {}", found.len(), src.display());
    found
}

fn run_on_sources(check: impl Fn(&str, &str) -> Findings) {
    let findings: Vec<String> = sources()
        .iter()
        .flat_map(|(path, text)| {
            check(path, text).into_iter().map(move |finding| format!("src/{path}:{finding}"))
        })
        .collect();
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn arrows_go_down() {
    run_on_sources(check_arrows);
}

#[test]
fn lower_floors_touch_nothing_outside() {
    run_on_sources(check_outside_world);
}

#[test]
fn unsafe_stands_in_one_file() {
    run_on_sources(check_unsafe);
}

#[test]
fn every_source_has_its_licence_and_is_finished() {
    let mut paths: Vec<PathBuf> =
        ["src", "tests", "fuzz"].iter().flat_map(|folder| files_below(&root().join(folder), "rs")).collect();
    paths.extend(["x", ".ci/run"].map(|script| root().join(script)));
    let findings: Vec<String> = paths
        .iter()
        .flat_map(|path| {
            let text = fs::read_to_string(path).unwrap();
            let name = path.strip_prefix(root()).unwrap().display().to_string();
            check_text(&text).into_iter().map(move |finding| format!("{name}:{finding}"))
        })
        .collect();
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn every_room_is_in_the_table_and_only_once() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let tokens = tokens(&lib);
    let rooms: Vec<&str> = (1..tokens.len())
        .filter(|&position| tokens[position - 1].text == "mod")
        .map(|position| tokens[position].text.as_str())
        .collect();
    assert!(rooms.contains(&"base") && rooms.contains(&"cli"));
    for name in rooms {
        assert_eq!(HOUSE.iter().filter(|room| room.name == name).count(), 1, "{name}");
    }
}

#[test]
fn the_table_itself_is_sound() {
    for room in HOUSE {
        for also in room.also {
            let other = find_room(also).unwrap_or_else(|| panic!("{also} is no room"));
            assert_eq!(other.floor, room.floor, "{} lists {also}, which is not on its floor", room.name);
        }
    }
}

#[test]
fn a_wrong_arrow_is_found() {
    // File, source, what is said of it.
    let cases: &[(&str, &str, &[&str])] = &[
        ("wim/mod.rs", "\n\nuse crate::volume::Overlay;", &["3: wim (floor 2) may not use volume (floor 3)"]),
        (
            "wim/mod.rs",
            "use crate::{base::Result, hive::Hive, io};",
            &["1: wim (floor 2) may not use hive (floor 2)"],
        ),
        (
            "wim/mod.rs",
            "use crate::{io::{self, ReadAt},\n xml::{Reader}, image};",
            &["2: wim (floor 2) may not use image (floor 4)"],
        ),
        (
            "wim/header.rs",
            "fn f() -> super::super::hive::Hive { crate::cli::run() }",
            &["1: wim (floor 2) may not use hive (floor 2)", "1: wim (floor 2) may not use cli (floor 7)"],
        ),
        (
            "wim/mod.rs",
            "mod inner { fn f() { super::super::catalog::x() } }",
            &["1: wim (floor 2) may not use catalog (floor 2)"],
        ),
        (
            "wim/mod.rs",
            "#[cfg(test)]\nmod tests { use super::*; use crate::image::Session; }",
            &["2: wim (floor 2) may not use image (floor 4)"],
        ),
        ("wim/mod.rs", "use crate::attic::Trunk;", &["1: `attic` is no room of the floor table"]),
        ("attic/mod.rs", "use crate::base::Result;", &["1: the room `attic` is not in the floor table"]),
        ("codec/mod.rs", "use crate::io::ReadAt;", &["1: codec (floor 1) may not use io (floor 1)"]),
        ("cbs/mod.rs", "use crate::{drivers, appx};", &["1: cbs (floor 5) may not use appx (floor 5)"]),
        ("report/mod.rs", "use crate::mount;", &["1: report (floor 6) may not use mount (floor 6)"]),
        (
            "report/mod.rs",
            "let text = r#\"\"\"#; use crate::cli;",
            &["1: report (floor 6) may not use cli (floor 7)"],
        ),
        (
            "report/mod.rs",
            "let quote = '\"'; use crate::cli; let other = b'\\'';",
            &["1: report (floor 6) may not use cli (floor 7)"],
        ),
        // These are allowed, or are no arrows at all.
        ("wim/mod.rs", "use crate::{base, io, digest, codec, xml}; use crate::wim::header;", &[]),
        (
            "wim/mod.rs",
            "// crate::cli\n/* crate::cli /* */ crate::cli */ \"crate::cli\" r#\"crate::cli\"#",
            &[],
        ),
        ("wim/header.rs", "use super::table; mod tests { use super::super::table; }", &[]),
        ("codec/lzx.rs", "use crate::digest::Sha1; pub(crate) fn f<'a>(_: &'a str) {}", &[]),
        ("cbs/mod.rs", "use crate::drivers::add;", &[]),
        ("settings/mod.rs", "use crate::{cbs, winpe, imaging};", &[]),
        ("lib.rs", "use crate::cli;", &[]),
    ];
    for (path, source, expected) in cases {
        assert_eq!(check_arrows(path, source), *expected, "{path}: {source}");
    }
}

#[test]
fn the_outside_world_is_found() {
    for source in [
        "fn f() { println!(\"x\"); }",
        "fn f() { eprintln!(\"x\"); }",
        "use std::env;",
        "fn f() { std::env::var(\"X\"); }",
        "fn f() { SystemTime::now() }",
        "fn f() { std::process::exit(1) }",
        "fn f() { std::process::Command::new(\"ls\"); }",
        "#[cfg(test)] mod tests { fn f() { println!() } }\nfn g() { print!() }",
    ] {
        let findings = check_outside_world("wim/mod.rs", source);
        assert!(!findings.is_empty(), "{source}");
        assert_eq!(check_outside_world("cli/mod.rs", source), Findings::new(), "the command line may");
    }
    for source in [
        "// println!(\"x\")",
        "const TEXT: &str = \"std::env\";",
        "#[cfg(test)]\nmod tests { fn f() { eprintln!(\"notice\"); std::env::var(\"X\"); } }",
        "#[cfg(test)]\nuse std::env;\nfn f(time: SystemTime) {}",
        "fn f() { writeln!(out, \"{}\", 1) }",
    ] {
        assert_eq!(check_outside_world("wim/mod.rs", source), Findings::new(), "{source}");
    }
}

#[test]
fn unsafe_is_found() {
    let source = "fn f() { unsafe { g() } }";
    assert_eq!(check_unsafe("wim/mod.rs", source), ["1: `unsafe` outside codec/ffi.rs"]);
    assert_eq!(check_unsafe("codec/mod.rs", source).len(), 1);
    assert_eq!(check_unsafe(UNSAFE_FILE, source), Findings::new());
    assert_eq!(check_unsafe("wim/mod.rs", "#![deny(unsafe_code)] // unsafe"), Findings::new());
}

#[test]
fn unfinished_text_is_found() {
    let head = "// SPDX-License-Identifier: GPL-3.0-or-later\n";
    assert_eq!(check_text("fn f() {}").len(), 1, "no licence");
    assert_eq!(check_text(&format!("{head}// caf\u{e9}")).len(), 1, "not ASCII");
    assert_eq!(check_text(&format!("{head}fn f() {{ {}!() }}", "todo")).len(), 1, "unfinished");
    assert_eq!(check_text(&format!("{head}// todo!()")), Findings::new());
    assert_eq!(check_text(&format!("#!/usr/bin/env bash\n{head}")), Findings::new());
}
