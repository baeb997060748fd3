// SPDX-License-Identifier: GPL-3.0-or-later
//! INFs made to hurt: `inf check` and `inf show` end with a clear error, soon, and in little memory.

mod cli_support;

use std::fs::File;
use std::process::Command;
use std::time::{Duration, Instant};

use cli_support::Place;

/// Address space of one run.
const MEMORY: u64 = 1 << 30;
/// Without optimization, on a busy machine.
const TIME: Duration = Duration::from_secs(20);

const HEAD: &str = "[Version]\nSignature=$Windows NT$\nClass=System\nClassGuid={4d36e97d-e325-11ce-bfc1-08002be10318}\n\
                    Provider=x\nCatalogFile=x.cat\n[Manufacturer]\nx=M,NTamd64\n[DestinationDirs]\nDefaultDestDir=12\n";

/// Runs both commands on a file; gives what they said.
fn run(place: &Place, file: &str) -> [String; 2] {
    ["check", "show"].map(|verb| {
        let begin = Instant::now();
        let mut command = Command::new("prlimit");
        command
            .arg(format!("--as={MEMORY}"))
            .arg(env!("CARGO_BIN_EXE_transom"))
            .args(["inf", verb, file])
            .current_dir(place.path(""))
            .env("XDG_STATE_HOME", place.path("state"));
        let output = command.output().expect("prlimit of util-linux");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        let start: String = said.chars().take(2000).collect();
        assert!(output.status.code().is_some_and(|code| code <= 124), "{file}: {:?}: {start}", output.status);
        assert!(!said.contains("panicked") && !said.contains("allocation"), "{file}: {start}");
        assert!(begin.elapsed() < TIME, "{file}: {:?}", begin.elapsed());
        said
    })
}

#[test]
fn hostile_texts() {
    let place = Place::new();
    let many = |count: usize, line: &dyn Fn(usize) -> String| (0..count).map(line).collect::<String>();
    let long = "x".repeat(2 << 20);
    let cases: Vec<(&str, String, &str)> = vec![
        ("field", format!("{HEAD}[s]\na={long}\n"), "a field is longer than 4095 characters"),
        ("quoted", format!("{HEAD}[s]\na=\"{long}"), "a field is longer than 4095 characters"),
        ("header", format!("{HEAD}[{long}]\n"), "the section name is longer than 255 characters"),
        ("unclosed", format!("{HEAD}[{long}"), "the section header has no closing bracket"),
        ("continued", format!("{HEAD}[s]\na={}", "\\\n".repeat(300_000)), "[s] is not used"),
        ("continued text", format!("{HEAD}[s]\na={}", "b,\\\n".repeat(200_000)), "[s] is not used"),
        ("nothing", format!("{HEAD}[s]\n{}a=b\n", "\0".repeat(1 << 20)), "[s] is not used"),
        ("commas", format!("{HEAD}[s]\na={}\n", ",".repeat(500_000)), "[s] is not used"),
        (
            "cases of one name",
            format!(
                "{HEAD}{}",
                many(60_000, &|n| format!("[{}]\nk{n}=v\n", ["Ab", "aB", "AB", "ab"][n % 4]))
            ),
            "[Ab] is not used",
        ),
        (
            "sections",
            format!("{HEAD}{}", many(140_000, &|n| format!("[s{n}]\n"))),
            "more than 131072 sections",
        ),
        (
            "lists of lists",
            format!(
                "{HEAD}[M.NTamd64]\nx=I,ID\n[I]\n{}[L]\n{}",
                many(20_000, &|_| "CopyFiles=L\n".into()),
                many(20_000, &|n| format!("f{n}.sys\n"))
            ),
            "expand to more than",
        ),
        (
            "models of models",
            format!(
                "{HEAD}[Manufacturer]\n{}[M.NTamd64]\n{}[I]\n",
                many(4_000, &|_| "x=M,NTamd64\n".into()),
                many(4_000, &|n| format!("x=I,ID\\{n}\n"))
            ),
            "expand to more than",
        ),
        (
            "tokens of tokens",
            format!(
                "{HEAD}[s]\na={}\n[M.NTamd64]\nx=I,{}\n[Strings]\nt={}\n",
                "%t%".repeat(1_000),
                "%t%".repeat(1_000),
                "y".repeat(4_000)
            ),
            "a field is longer than 4095 characters",
        ),
        ("needs itself", format!("{HEAD}[M.NTamd64]\nx=I,ID\n[I]\nNeeds=J\n[J]\nNeeds=I\n"), "read once"),
        (
            "out of the folder",
            format!(
                "{HEAD}[M.NTamd64]\nx=I,ID\n[I]\nCopyFiles=@..\\..\\x.sys\n[SourceDisksNames]\n1=d\n\
                 [SourceDisksFiles]\n..\\..\\x.sys=1\n"
            ),
            "not a path below its folder",
        ),
    ];
    let mut missing = Vec::new();
    for (name, text, expected) in cases {
        let file = format!("{}.inf", name.replace(' ', "-"));
        place.write(&file, &text);
        let said = run(&place, &file);
        if !said.iter().any(|said| said.contains(expected)) {
            let starts: Vec<String> = said.iter().map(|said| said.chars().take(300).collect()).collect();
            missing.push(format!("{name}: no {expected:?} in {starts:?}"));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// A file of a gigabyte is not even read.
#[test]
fn a_gigabyte() {
    let place = Place::new();
    place.write("huge.inf", HEAD);
    File::options().write(true).open(place.path("huge.inf")).unwrap().set_len(1 << 30).unwrap();
    for said in run(&place, "huge.inf") {
        assert!(said.contains("huge.inf has 1073741824 bytes; more than 67108864 are not read"), "{said}");
    }
    // What is read is refused before it is looked at.
    File::options().write(true).open(place.path("huge.inf")).unwrap().set_len(16 << 20).unwrap();
    for said in run(&place, "huge.inf") {
        assert!(said.contains("16777216 bytes"), "{said}");
    }
}
