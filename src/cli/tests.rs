// SPDX-License-Identifier: GPL-3.0-or-later
//! Both fronts against tables, and DISM's against every line of the documentation corpus.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::commands::tool;
use super::invocation::{Invocation, Understood};
use super::table;
use super::token::split_line;
use super::values::Values;
use super::{native, slash};
use crate::base::Result;

fn corpus(path: &str) -> Option<String> {
    let root = std::env::var_os("TRANSOM_CORPUS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"), PathBuf::from);
    let path = root.join(path);
    let text = std::fs::read_to_string(&path);
    if text.is_err() {
        eprintln!("NOTICE: {} is not there: nothing is compared with it", path.display());
    }
    text.ok()
}

fn words(line: &str) -> Vec<OsString> {
    split_line(line.as_ref()).unwrap()
}

fn run(understood: Result<Understood>) -> Invocation {
    match understood.unwrap() {
        Understood::Run(invocation) => invocation,
        other => panic!("no command: {other:?}"),
    }
}

/// How a DISM line without the program's name is understood.
fn understood(line: &str) -> Value {
    tool::invocation_json(&run(slash::parse(&words(line))))
}

/// Code, message and hint of the error that a DISM line gives, when it is parsed or checked.
fn refused(line: &str) -> (String, String, String) {
    let error = match slash::parse(&words(line)) {
        Err(error) => error,
        Ok(Understood::Run(invocation)) => invocation.check().unwrap_err(),
        Ok(other) => panic!("no command: {other:?}"),
    };
    let first = error.message().lines().next().unwrap_or_default().to_owned();
    (error.code().to_string(), first, error.hint().unwrap_or_default().to_owned())
}

/// Lines of the documentation that Microsoft's own tool refuses, each with the slip in it.
const SLIPS: [(&str, &str); 16] = [
    ("/Index:1 and press Enter", "stray prose"),
    ("/Name: \"Enterprise_x64", "blank behind a colon"),
    ("Neutral.appx /LicensePath:\"D:\\LocalExperiencePack", "quote not closed"),
    ("Neutral.appx /licensepath:\"D:\\LocalExperiencePack", "quote not closed"),
    ("\" get-provisionedappxpackages", "command without a slash"),
    ("/PackagePath: E:\\LIP_X86", "blank behind a colon"),
    ("/PackagePath: E:\\LIP_x64", "blank behind a colon"),
    ("/DriverName:", "no such option"),
    (
        "/packagepath:\"E:\\x64\\langpacks\\Microsoft-Windows-Client-Language-Pack_x64_fr-fr.cab",
        "quote not closed",
    ),
    ("\" Add-Capability", "command without a slash"),
    ("\" Add-capability", "command without a slash"),
    ("/ FolderPath", "blank behind a slash"),
    ("/Add-ProvisionedAppxPackage/FolderPath", "blank missing"),
    ("/mountdir: c:", "blank behind a colon"),
    ("/get-current-edition", "no such command"),
    ("/?", "help, not a command"),
];

#[test]
fn every_documented_line_is_one_command_with_all_its_arguments() {
    let Some(text) = corpus("cli/invocations-docs.txt") else { return };
    let mut slips_met = BTreeSet::new();
    for line in text.lines() {
        let slip = SLIPS.iter().position(|(mark, _)| line.contains(mark));
        slips_met.extend(slip);
        let parsed = split_line(line.as_ref()).ok().map(|words| slash::parse(&words[1..]));
        let (None, Some(Ok(Understood::Run(invocation)))) = (slip, &parsed) else {
            let understood = matches!(parsed, Some(Ok(Understood::Run(_))));
            assert!(slip.is_some() && !understood, "{line}: {parsed:?}");
            if let Some(Err(error)) = parsed {
                assert_eq!(error.code().to_string(), "87", "{line}");
                assert!(error.hint().is_some(), "{line}: {error:?}");
            }
            continue;
        };
        assert_nothing_lost(line, invocation);
    }
    assert_eq!(slips_met.len(), SLIPS.len(), "a slip is no longer in the corpus");
}

/// Every option of the line must come back, with its value, from exactly one place.
fn assert_nothing_lost(line: &str, invocation: &Invocation) {
    let value = tool::invocation_json(invocation);
    let commands = value["commands"].as_array().unwrap();
    let combined = commands.len() > 1 && invocation.steps.iter().all(|step| step.command.combines);
    assert!(commands.len() == 1 || combined, "{line}: {value:#}");
    let mut left: Vec<(String, Value)> = Vec::new();
    let maps = commands.iter().map(|command| &command["arguments"]).chain([&value["options"]]);
    for (name, values) in maps.flat_map(|map| map.as_object().unwrap()) {
        let name = name.replace('_', "");
        for value in values.as_array().map_or(std::slice::from_ref(values), Vec::as_slice) {
            // Commands that combine share an option.
            let entry = (name.clone(), value.clone());
            if !combined || !left.contains(&entry) {
                left.push(entry);
            }
        }
    }
    for word in &words(line)[1..] {
        let word = word.to_str().unwrap().trim_start_matches('/');
        let (name, value) = match word.find([':', '=']) {
            Some(end) => (&word[..end], Value::from(&word[end + 1..])),
            None => (word, Value::Bool(true)),
        };
        let row = table::command(name);
        if row.is_some() && value == Value::Bool(true) {
            continue;
        }
        // The value form of a command fills its principal argument; aliases give one name.
        let shorthand = row.and_then(|row| row.argument(row.shorthand?));
        let own = invocation.steps.iter().find_map(|step| table::argument(step.command.arguments, name));
        // `on` says of a switch what it says by itself.
        let switch = own.is_some_and(|argument| argument.kind == table::Kind::Switch);
        let value = if switch && value == "on" { Value::Bool(true) } else { value };
        let wanted = shorthand.or(own).map_or(name, |argument| argument.dism_name()).to_ascii_lowercase();
        let position = left.iter().position(|entry| *entry == (wanted.clone(), value.clone()));
        left.remove(position.unwrap_or_else(|| panic!("{line}: {name} is lost in {left:?}")));
    }
    assert!(left.is_empty(), "{line}: invented {left:?}");
}

#[test]
fn every_name_of_the_reference_is_in_the_table() {
    let Some(text) = corpus("cli/names.tsv") else { return };
    let mut counted = 0;
    for line in text.lines() {
        let (kind, name) = line.split_once('\t').unwrap();
        match (kind, name) {
            ("command", name) => assert!(table::command(name).is_some(), "{name}"),
            (_, "?" | "get-help") => {}
            (_, name) => assert!(table::is_known_option(name), "{name}"),
        }
        counted += 1;
    }
    assert_eq!(counted, 204);
}

#[test]
fn captured_help_names_only_what_the_table_knows() {
    for build in ["14393.3241", "17763.1282", "22000.1"] {
        let Some(text) = corpus(&format!("cli/help/dism-help-10.0.{build}.txt")) else { continue };
        let names = text.lines().filter_map(|line| line.strip_prefix("  /")?.split(' ').next());
        for name in names {
            assert!(table::command(name).is_some() || table::is_known_option(name), "{name}");
        }
    }
}

#[test]
fn lines_of_the_built_commands() {
    let command = |command: &str, native: &str, arguments: Value, options: Value| {
        (command.to_owned(), native.to_owned(), arguments, options)
    };
    let cases = [
        (
            "/Get-WimInfo /WimFile:a.wim",
            command("Get-ImageInfo", "image info", json!({ "imagefile": "a.wim" }), json!({})),
        ),
        (
            "/index:2 /IMAGEFILE=\"my images/a.wim\" /get-imageinfo /english",
            command(
                "Get-ImageInfo",
                "image info",
                json!({ "imagefile": "my images/a.wim", "index": "2" }),
                json!({ "english": true }),
            ),
        ),
        (
            "/Get-ImageInfo /ImageFile:a.wim \"/Name:Windows 11 Pro\"",
            command(
                "Get-ImageInfo",
                "image info",
                json!({ "imagefile": "a.wim", "name": "Windows 11 Pro" }),
                json!({}),
            ),
        ),
        (
            "/Get-Drivers /Image:/mnt/w /All /Format:Table",
            command(
                "Get-Drivers",
                "driver list",
                json!({ "all": true }),
                json!({ "image": "/mnt/w", "format": "Table" }),
            ),
        ),
        (
            "/Image:a.wim /Index:1 /Get-DriverInfo:oem1.inf /Driver:oem2.inf",
            command(
                "Get-DriverInfo",
                "driver show",
                json!({ "driver": ["oem1.inf", "oem2.inf"] }),
                json!({ "image": "a.wim", "index": "1" }),
            ),
        ),
        (
            "-image:a.wim --index:all /add-driver /driver=b:c /Driver:a /ForceUnsigned /Recurse --all-or-nothing --dry-run",
            command(
                "Add-Driver",
                "driver add",
                json!({
                    "driver": ["b:c", "a"], "forceunsigned": true, "recurse": true, "allornothing": true,
                }),
                json!({ "image": "a.wim", "index": "all", "dry_run": true }),
            ),
        ),
    ];
    for (line, (name, native_name, arguments, options)) in cases {
        let value = understood(line);
        assert_eq!(
            value["commands"],
            json!([{ "command": name, "native": native_name, "built": true, "arguments": arguments }]),
            "{line}"
        );
        assert_eq!(value["options"], options, "{line}");
    }
}

#[test]
fn errors_in_the_words_of_dism() {
    let image = "/Image:a.wim /Index:1";
    let cases = [
        ("/Get-Driver", "87", "The Get-Driver option is unknown.", "did you mean /Get-Drivers?"),
        (
            &format!("{image} /Add-Driver /DriverName:x"),
            "87",
            "The DriverName option is unknown.",
            "did you mean /Driver?",
        ),
        (
            &format!("{image} /Add-Driver /Driver:x /ApplyDrive:y"),
            "87",
            "The /applydrive option is not recognized in this context.",
            "",
        ),
        (
            &format!("{image} /Add-Driver /Driver: x"),
            "87",
            "The driver option is missing a required argument.",
            "remove the blank: /driver:x (or add --lenient)",
        ),
        (
            &format!("{image} /Add-Driver"),
            "87",
            "The Add-Driver command is missing the required /driver option.",
            "for example: dism /Image:install.wim /Index:1 /Add-Driver /Driver:/srv/drv /Recurse",
        ),
        (&format!("{image} /Get-Drivers /All:yes"), "87", "The all option does not take an argument.", ""),
        (&format!("{image} /Get-Drivers:x"), "87", "The get-drivers option does not take an argument.", ""),
        (
            &format!("{image} /Get-Drivers /All /all"),
            "87",
            "The all option has been duplicated on the command-line.",
            "",
        ),
        (
            &format!("{image} /Get-Drivers /Add-Driver /Driver:x"),
            "87",
            "Invalid command-line.",
            "join several commands by --then: /Get-Drivers ... --then /Add-Driver ...",
        ),
        (
            "/Get-ImageInfo /ImageFile:a.wim /Index:0",
            "87",
            "The 0 argument given for the index option is invalid.",
            "it takes the number of an image, counted from 1, or `all`",
        ),
        (
            &format!("{image} /Get-Drivers /Format:Tabel"),
            "87",
            "The Tabel argument given for the format option is invalid.",
            "it takes one of: table, list",
        ),
        (image, "87", "The command-line is missing a required servicing command.", ""),
        ("/Online", "87", "The command-line is missing a required servicing command.", ""),
        ("/ScratchDir:/tmp /?", "87", "Invalid command-line argument.", ""),
        (
            &format!("{image} /Set-UILang"),
            "87",
            "The set-uilang option is missing a required argument.",
            "give it a value: /set-uilang:...",
        ),
        (
            &format!("{image} /Set-UILang:fr-FR /set-uilang:de-DE"),
            "87",
            "The set-uilang option has been duplicated on the command-line.",
            "",
        ),
        (
            &format!("{image} /Set-ScratchSpace:33"),
            "87",
            "The 33 argument given for the set-scratchspace option is invalid.",
            "it takes one of: 32, 64, 128, 256, 512",
        ),
        (
            &format!("{image} /Add-Package"),
            "87",
            "The Add-Package command is missing the required /packagepath option.",
            "write /? behind the command for its arguments",
        ),
        ("/? /Image:x", "87", "Invalid command-line option \"/Image\".", ""),
        ("/Frobnicate /?", "87", "No help topic could be found for the Frobnicate option.", ""),
        (
            "/Image:a /Get-ImageInfo /ImageFile:b",
            "87",
            "The /Image option cannot be used in this context.",
            "",
        ),
        (
            "/Image:a /Online /Get-Drivers",
            "87",
            "Do not use the /Image or /WinDir option when using the /Online option to specify a running operating system.",
            "",
        ),
        (
            "/WinDir:Windows /Get-Drivers",
            "87",
            "The option /WinDir is not recognized in this context. It can only be used with an offline image.",
            "",
        ),
        (
            "/Online /Get-Drivers",
            "50",
            "The running operating system is not Windows: there is nothing that /Online could service.",
            "name an offline image: /Image:install.wim /Index:1, or --image install.wim:1",
        ),
        (
            "/Update-WIMBootEntry /Path:/mnt/c /DataSourceID:0 /ImageFile:a.wim",
            "50",
            "The /Update-WIMBootEntry command is known, but transom does not do it yet.",
            "dism /? lists what it does so far",
        ),
        (
            "/Get-Drivers",
            "87",
            "The /Get-Drivers command needs an image.",
            "for example: dism /Image:install.wim /Index:1 /Get-Drivers /Format:Table",
        ),
        (
            "/mnt/w /Get-Drivers",
            "87",
            "DISM doesn't recognize the command-line option \"/mnt/w\".",
            "a value with blanks needs quotes; an option begins with a slash",
        ),
        (
            "/Get-ImageInfo /ImageFile:a /Index:1 /Name:b",
            "87",
            "Invalid command-line.",
            "give /Index or /Name, not both",
        ),
    ];
    for (line, code, message, hint) in cases {
        assert_eq!(refused(line), (code.to_owned(), message.to_owned(), hint.to_owned()), "{line}");
    }
}

#[test]
fn settings_combine_and_share_an_option() {
    let value = understood(
        "/Image:a.wim /Set-AllIntl:fr-FR /Gen-LangINI /Set-InputLocale:0409:00000409 /Distribution:d",
    );
    let commands: Vec<(&str, &Value)> = value["commands"]
        .as_array()
        .unwrap()
        .iter()
        .map(|command| (command["command"].as_str().unwrap(), &command["arguments"]))
        .collect();
    assert_eq!(
        commands,
        [
            ("Set-AllIntl", &json!({ "value": "fr-FR", "distribution": "d" })),
            ("Gen-LangINI", &json!({ "distribution": "d" })),
            ("Set-InputLocale", &json!({ "value": "0409:00000409", "distribution": "d" })),
        ]
    );
}

#[test]
fn help_on_an_image_needs_the_image() {
    let Understood::ImageHelp(globals) = slash::parse(&words("/Image:a.wim /Index:2 /?")).unwrap() else {
        panic!("not about an image")
    };
    assert_eq!(
        (globals.first("image"), globals.first("index")),
        (Some("a.wim".as_ref()), Some("2".as_ref()))
    );
    for line in [
        "/Image /?",
        "/Online /?",
        "/Image:x /Add-Driver /?",
        "/Get-DriverInfo:oem1.inf /?",
        "/Add-Driver /Driver /?",
    ] {
        assert!(matches!(slash::parse(&words(line)), Ok(Understood::Text(_))), "{line}");
    }
}

#[test]
fn leniency_joins_a_value_to_its_option() {
    let value = understood("/Image: a.wim /Index:1 /Add-Driver /Driver: x.inf --lenient");
    assert_eq!(value["commands"][0]["arguments"], json!({ "driver": "x.inf" }));
    assert_eq!(value["options"]["image"], "a.wim");
}

#[test]
fn joined_commands_share_the_global_options() {
    let value = understood("/Image:a.wim /Add-Driver /Driver:x --then /Get-Drivers /Index:all /Quiet");
    assert_eq!(value["options"], json!({ "image": "a.wim", "index": "all", "quiet": true }));
    let names: Vec<&str> = value["commands"]
        .as_array()
        .unwrap()
        .iter()
        .map(|command| command["command"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["Add-Driver", "Get-Drivers"]);
}

/// The words that `parse` gives in our own language must be understood as the same.
#[test]
fn both_languages_say_the_same() {
    let lines = [
        "/Get-WimInfo /WimFile:a.wim",
        "/Get-ImageInfo /ImageFile:a.wim /Index:2 /LogLevel:4",
        "/Image:/mnt/w.wim /Index:3 /Get-Drivers /All /Format:Table /English",
        "/Image:a.wim /Name:\"Windows 11\" /Get-DriverInfo /Driver:oem1.inf /Driver:b.inf",
        "/Image:a.wim /Index:all /Add-Driver /Driver:a /Driver:b /Recurse --then /Get-Drivers /Quiet /ScratchDir:/tmp",
    ];
    for line in lines {
        let value = understood(line);
        let spelled: Vec<OsString> = value["native_words"]
            .as_array()
            .unwrap()
            .iter()
            .map(|word| word.as_str().unwrap().into())
            .collect();
        let again = tool::invocation_json(&run(native::parse(&spelled[1..])));
        assert_eq!(again["commands"], value["commands"], "{line}");
        assert_eq!(again["native_words"], value["native_words"], "{line}");
    }
}

#[test]
fn our_own_language() {
    let parse = |line: &str| native::parse(&words(line));
    let invocation = run(parse(
        "driver add a b --recurse --then diff --summary --image x.wim:1 --then driver list --json",
    ));
    let names: Vec<&str> = invocation.steps.iter().map(|step| step.command.native).collect();
    assert_eq!(names, ["driver add", "diff", "driver list"]);
    assert_eq!(invocation.steps[0].values.all("driver"), ["a", "b"]);
    assert!(invocation.steps[1].values.has("summary") && invocation.globals.has("json"));
    assert_eq!(invocation.globals.first("image").unwrap(), "x.wim:1");

    // A command's own option stands before the global one of the same name.
    let invocation = run(parse("image info x.wim --name Pro"));
    assert!(invocation.steps[0].values.has("name") && !invocation.globals.has("name"));

    // Behind `--` words are values, whatever they look like.
    let invocation = run(parse("parse -- /Get-Drivers --then --json"));
    assert_eq!(invocation.steps.len(), 1);
    assert_eq!(invocation.steps[0].values.all("arguments"), ["/Get-Drivers", "--then", "--json"]);

    let cases = [
        ("drive list", "there is no command `drive`", "did you mean `driver`?"),
        ("driver list --al", "`--al` is not known here", "did you mean `--all`?"),
        ("driver add", "<PATH>... is missing", "usage: transom driver add <PATH>..."),
        ("completions tcsh", "\"tcsh\" does not fit <SHELL>", "it takes one of: bash, zsh, fish, powershell"),
        (
            "--index two driver list",
            "\"two\" does not fit --index",
            "it takes the number of an image, counted from 1, or `all`",
        ),
        (
            "--image a driver list --then driver list --image b",
            "--image was given in two of the joined commands",
            "global options hold for all of them: give each once",
        ),
        (
            "--index 1 --name x driver list",
            "--index and --name both say which image is meant",
            "give one of them",
        ),
        ("--image", "--image <FILE[:INDEX|:all]> needs a value", "transom --help tells the commands"),
    ];
    for (line, message, hint) in cases {
        let error = parse(line).unwrap_err();
        assert_eq!((error.message(), error.hint().unwrap_or_default()), (message, hint), "{line}");
        assert_eq!(error.code().to_string(), "87", "{line}");
    }
}

#[test]
fn the_switches_of_reg_exe() {
    let line =
        "--image x.wim:1 reg add HKLM\\SOFTWARE\\A /V N /t REG_DWORD /d -1 /F --then reg query HKCR /ve /s";
    let invocation = run(native::parse(&words(line)));
    let names: Vec<&str> = invocation.steps.iter().map(|step| step.command.native).collect();
    assert_eq!(names, ["reg set", "reg query"]);
    let set = &invocation.steps[0].values;
    let texts = ["key", "value", "type", "data"].map(|id| set.text(id).unwrap().unwrap());
    assert_eq!(texts, ["HKLM\\SOFTWARE\\A", "N", "REG_DWORD", "-1"]);
    assert!(set.has("force"));
    assert!(invocation.steps[1].values.has("default") && invocation.steps[1].values.has("recursive"));

    // Elsewhere they are paths.
    let invocation = run(native::parse(&words("--image x.wim:1 driver add reg /d")));
    assert_eq!(invocation.steps[0].values.all("driver"), ["reg", "/d"]);
}

#[test]
fn clap_accepts_the_whole_table() {
    native::command().debug_assert();
    for row in table::commands().filter(|row| row.is_built()) {
        let example: Vec<OsString> = words(row.native_example);
        let invocation = run(native::parse(&example));
        assert!(invocation.steps.iter().any(|step| step.command.native == row.native), "{}", row.native);
        if !row.dism_example.is_empty() {
            let invocation = run(slash::parse(&words(row.dism_example)));
            assert_eq!(invocation.steps[0].command.native, row.native);
            invocation.check().unwrap();
        }
    }
}

#[test]
fn a_pasted_line_may_begin_with_the_program() {
    let printed = |arguments: &[&str]| {
        let mut values = Values::default();
        for argument in arguments {
            values.push("arguments", *argument);
        }
        tool::parse(&values).unwrap()
    };
    for arguments in [
        &["DISM", "/Image:a b", "/Get-Drivers"][..],
        &["C:\\Windows\\System32\\Dism.exe /Image:\"a b\" /Get-Drivers"],
    ] {
        let value: Value = serde_json::from_str(&printed(arguments).text).unwrap();
        assert_eq!(value["options"], json!({ "image": "a b" }));
        assert_eq!(value["commands"][0]["command"], "Get-Drivers");
    }
    let failed = printed(&["/Get-Driver"]);
    let value: Value = serde_json::from_str(&failed.text).unwrap();
    assert_eq!(value["error"]["hint"], "did you mean /Get-Drivers?");
    assert_eq!(failed.error.unwrap().code().to_string(), "87");
}

/// A word that is likely to mean something.
fn word() -> impl Strategy<Value = String> {
    let names: Vec<&'static str> =
        table::commands().flat_map(|row| row.dism.iter().copied()).chain(table::option_names()).collect();
    prop_oneof![
        ("[/-]{0,2}", prop::sample::select(names), "([:=].{0,6})?")
            .prop_map(|(a, b, c)| format!("{a}{b}{c}")),
        Just("--then".to_owned()),
        Just("/?".to_owned()),
        Just("--".to_owned()),
        ".{0,12}",
    ]
}

proptest! {
    #[test]
    fn no_command_line_makes_either_front_panic(line in prop::collection::vec(word(), 0..8)) {
        let words: Vec<OsString> = line.iter().map(OsString::from).collect();
        for understood in [slash::parse(&words), native::parse(&words)] {
            match understood {
                Ok(Understood::Run(invocation)) => {
                    prop_assert!(!invocation.steps.is_empty());
                    let _ = invocation.check();
                }
                Ok(Understood::Text(text)) => prop_assert!(!text.is_empty()),
                Ok(Understood::ImageHelp(globals)) => prop_assert!(globals.has("image")),
                Err(error) => prop_assert!(!error.message().is_empty()),
            }
        }
    }
}
