// SPDX-License-Identifier: GPL-3.0-or-later
//! Our own language, through clap commands built from the table.

use std::cell::RefCell;
use std::ffi::{OsStr, OsString};

use clap::builder::PossibleValuesParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, ValueHint};

use super::invocation::{Invocation, Step, Understood, check_kind};
use super::table::{self, Argument, Command, GLOBALS, Kind, Native, Occurs, Scope};
use super::values::Values;
use crate::base::{Error, ErrorClass, Result};
use crate::report::Language;

const ABOUT: &str = "Services Windows images on Linux: drivers into a WIM, with no mount and no root.";

const AFTER_HELP: &str = "\
Several commands joined by --then work on the same images and end in one commit:
  transom --image install.wim:all driver add /srv/drv --then driver list

DISM's own language is spoken too, under the name dism or by its first word:
  transom /Image:install.wim /Index:1 /Add-Driver /Driver:/srv/drv /Recurse

Every global option can be set by an environment variable too: TRANSOM_LOG_PATH is --log-path,
TRANSOM_JSON=1 is --json. The command line wins.

Interrupted once (Ctrl-C), a run stops at the next safe point and commits nothing; a second time it
ends at once. Either way an image holds its old state or its new one, nothing between.

The exit status is the code of the error if that is below 125, else 1; 0 is success.";

thread_local! {
    /// Built once: a recipe, or a test, reads many lines.
    static COMMAND: RefCell<clap::Command> = RefCell::new(command());
}

/// The root command with every built command below it.
pub(crate) fn command() -> clap::Command {
    let mut root = clap::Command::new("transom")
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .after_help(AFTER_HELP)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .args(GLOBALS.iter().map(global_argument));
    for row in table::commands().filter(|row| row.is_built()) {
        let mut words = row.native.split(' ');
        let (first, second) = (words.next().unwrap_or_default(), words.next());
        root = match second {
            None => root.subcommand(leaf(first, row)),
            Some(second) => {
                if root.find_subcommand(first).is_none() {
                    root = root.subcommand(group(first));
                }
                root.mut_subcommand(first, |group| group.subcommand(leaf(second, row)))
            }
        };
    }
    root
}

/// A global option; the short help names only the commonest.
fn global_argument(argument: &'static Argument) -> Arg {
    let common = matches!(argument.id, "image" | "json" | "dry_run" | "quiet");
    clap_argument(argument).global(true).help_heading("Global options").hide_short_help(!common)
}

fn group(name: &'static str) -> clap::Command {
    let about = match name {
        "image" => "Looks at WIM files and the images in them.",
        "driver" => "Lists and adds driver packages.",
        "cat" => "Looks at catalogs: what is in them, who signed them, whether files belong to them.",
        "inf" => "Looks at INF files: what they would install, and what is wrong with them.",
        "hive" => "Reads and edits registry hives as files.",
        "reg" => "Reads and edits the registry of an image; the words of reg.exe are understood too.",
        _ => "",
    };
    clap::Command::new(name).about(about).subcommand_required(true).arg_required_else_help(true)
}

fn leaf(name: &'static str, row: &'static Command) -> clap::Command {
    let mut help = format!("Example:\n  transom {}", row.native_example);
    if !row.dism.is_empty() {
        help.push_str(&format!("\n\nIn DISM's language:\n  dism {}", row.dism_example));
        help.push_str(&format!(
            "\n\nAlso called: {}",
            row.dism.iter().map(|name| format!("/{name}")).collect::<Vec<_>>().join(", ")
        ));
    }
    let mut leaf = clap::Command::new(name).about(row.summary).after_help(help);
    if row.native == "reg set" {
        leaf = leaf.visible_alias("add");
    }
    leaf.args(row.arguments.iter().map(clap_argument))
}

/// The verbs of `reg.exe` and our own, in any case behind our own word `reg`.
const REG_VERBS: [&str; 16] = [
    "query", "add", "set", "delete", "import", "export", "find", "copy", "compare", "save", "restore",
    "load", "unload", "diff", "acl", "rename",
];

/// The switches of Windows' `reg.exe` in our words; only behind our own word `reg`. What a switch
/// means depends on the verb: `/d` of a query says where to look, `/s` of `add` is a separator.
fn reg_switches(segment: &[OsString]) -> Vec<OsString> {
    let verb_of = |pair: &[OsString]| match pair {
        [group, verb] if group == "reg" => {
            let verb = verb.to_str()?.to_ascii_lowercase();
            REG_VERBS.contains(&verb.as_str()).then_some(verb)
        }
        _ => None,
    };
    let found = segment.windows(2).enumerate().find_map(|(start, pair)| Some((start, verb_of(pair)?)));
    let Some((start, verb)) = found else { return segment.to_vec() };
    let mut spelled: Vec<OsString> = segment.iter().take(start + 1).cloned().collect();
    spelled.push(OsString::from(&verb));
    let mut words = segment.iter().skip(start + 2).cloned().peekable();
    let is_query = matches!(verb.as_str(), "query" | "find");
    let adds = matches!(verb.as_str(), "add" | "set");
    while let Some(word) = words.next() {
        let lower = word.to_str().map(str::to_ascii_lowercase).unwrap_or_default();
        let is_switch = |next: &OsString| {
            let next = next.to_string_lossy();
            next.starts_with('/') && next.len() <= 3 || next.starts_with("/reg:")
        };
        let names_no_value = words.peek().is_none_or(is_switch);
        let option = match lower.as_str() {
            "/v" if is_query && names_no_value => "--in-names",
            "/v" => "--value=",
            "/ve" => "--default",
            "/va" => "--all",
            "/t" => "--type=",
            "/d" if is_query => "--in-data",
            "/d" => "--data=",
            "/s" if adds => "--separator=",
            "/se" => "--separator=",
            "/s" => "--recursive",
            "/f" if is_query => "--find=",
            "/f" | "/y" => "--force",
            "/k" if is_query => "--in-keys",
            "/c" if is_query => "--case",
            "/e" if is_query => "--exact",
            "/z" if is_query => "--numbered",
            "/reg:32" => "--view=32",
            "/reg:64" => "--view=64",
            // What of the result is shown: all of it is, always.
            "/oa" | "/od" | "/os" | "/on" if verb == "compare" => continue,
            _ => {
                spelled.push(word);
                continue;
            }
        };
        let mut option = OsString::from(option);
        if option.as_encoded_bytes().ends_with(b"=") {
            option.push(words.next().unwrap_or_default());
        }
        spelled.push(option);
    }
    spelled
}

fn clap_argument(argument: &'static Argument) -> Arg {
    let mut arg = Arg::new(argument.id).help(argument.help);
    match argument.native {
        Native::Option(word) => arg = arg.long(word),
        Native::Position => {}
        Native::Rest => arg = arg.trailing_var_arg(true).allow_hyphen_values(true),
    }
    if argument.kind.stands_alone() {
        return arg.action(ArgAction::SetTrue);
    }
    arg = arg.value_name(argument.value_name).required(argument.is_required());
    arg = match argument.occurs {
        Occurs::Repeated => arg.action(ArgAction::Append).num_args(1..),
        // An option takes one value each time: what follows may be a position.
        Occurs::Any if matches!(argument.native, Native::Option(_)) => arg.action(ArgAction::Append),
        Occurs::Any => arg.action(ArgAction::Append).num_args(0..),
        Occurs::Optional | Occurs::Required => arg.action(ArgAction::Set),
    };
    match argument.kind {
        Kind::Choice(words) => {
            arg.ignore_case(true).value_parser(PossibleValuesParser::new(words.iter().copied()))
        }
        Kind::Path => arg.value_hint(ValueHint::AnyPath).value_parser(clap::value_parser!(OsString)),
        _ => arg.value_parser(clap::value_parser!(OsString)),
    }
}

/// Understands the words behind the program's name.
///
/// # Errors
/// One sentence and a hint.
pub(crate) fn parse(words: &[OsString]) -> Result<Understood> {
    let mut globals = Values::default();
    let mut steps: Vec<Step> = Vec::new();
    for segment in segments(words) {
        let segment = reg_switches(segment);
        let named = std::iter::once(OsStr::new("transom")).chain(segment.iter().map(OsString::as_os_str));
        let matches = match COMMAND.with_borrow_mut(|command| command.try_get_matches_from_mut(named)) {
            Ok(matches) => matches,
            Err(error) => return explain(&error),
        };
        steps.push(step(&matches, &mut globals)?);
    }
    for values in steps.iter().map(|step| &step.values).chain([&globals]) {
        if values.has("index") && values.has("name") {
            return Err(Error::new(ErrorClass::Usage, "--index and --name both say which image is meant")
                .with_hint("give one of them"));
        }
    }
    Ok(Understood::Run(Invocation { language: Language::Native, globals, steps }))
}

/// The commands between `--then`; behind `--` the word means nothing.
fn segments(words: &[OsString]) -> Vec<&[OsString]> {
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let (head, _) = words.split_at(end);
    let Some(last) = head.iter().rposition(|word| word == "--then") else { return vec![words] };
    let (joined, rest) = (words.get(..last).unwrap_or_default(), words.get(last + 1..).unwrap_or_default());
    let mut segments: Vec<&[OsString]> = joined.split(|word| word == "--then").collect();
    segments.push(rest);
    segments
}

fn step(matches: &ArgMatches, globals: &mut Values) -> Result<Step> {
    let mut native = String::new();
    let mut matches = matches;
    while let Some((word, inner)) = matches.subcommand() {
        if !native.is_empty() {
            native.push(' ');
        }
        native.push_str(word);
        matches = inner;
    }
    let command = table::commands()
        .find(|command| command.is_built() && command.native == native)
        .ok_or_else(|| Error::new(ErrorClass::Internal, format!("{native} is not in the table")))?;
    let mut values = Values::default();
    for argument in command.arguments {
        read(argument, matches, &mut values)?;
    }
    for argument in GLOBALS.iter().filter(|argument| command.argument(argument.id).is_none()) {
        let mut own = Values::default();
        read(argument, matches, &mut own)?;
        let single = !argument.kind.stands_alone() && !argument.repeats();
        if single && own.has(argument.id) && globals.has(argument.id) {
            return Err(Error::new(
                ErrorClass::Usage,
                format!("{} was given in two of the joined commands", spelled(argument)),
            )
            .with_hint("global options hold for all of them: give each once"));
        }
        if own.has(argument.id) {
            globals.set(argument.id);
            for value in own.all(argument.id) {
                globals.push(argument.id, value);
            }
        }
    }
    Ok(Step { command, values, unchecked: Vec::new() })
}

fn read(argument: &'static Argument, matches: &ArgMatches, values: &mut Values) -> Result<()> {
    if argument.kind.stands_alone() {
        if matches.get_flag(argument.id) {
            values.set(argument.id);
        }
        return Ok(());
    }
    for value in matches.get_raw(argument.id).into_iter().flatten() {
        let text = value.to_string_lossy();
        check_kind(argument.kind, &text).map_err(|expected| {
            Error::new(ErrorClass::Usage, format!("{text:?} does not fit {}", spelled(argument)))
                .with_hint(format!("it takes {expected}"))
        })?;
        values.push(argument.id, value);
    }
    Ok(())
}

fn spelled(argument: &Argument) -> String {
    match argument.native {
        Native::Option(word) => format!("--{word}"),
        Native::Position | Native::Rest => argument.value_name.to_owned(),
    }
}

/// Help and version as text; anything else as an error of ours.
fn explain(error: &clap::Error) -> Result<Understood> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => Some(texts.join(" ")),
        _ => None,
    };
    let suggestion = || {
        let kinds =
            [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue];
        // Several are sorted by likeness, the most alike last.
        let suggested = kinds.into_iter().find_map(|kind| match error.get(kind) {
            Some(ContextValue::Strings(texts)) => texts.last().cloned(),
            _ => text(kind),
        })?;
        Some(format!("did you mean `{suggested}`?"))
    };
    let argument = text(ContextKind::InvalidArg).unwrap_or_default();
    let (message, hint) = match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            return Ok(Understood::Text(error.render().to_string()));
        }
        ErrorKind::InvalidSubcommand => (
            format!("there is no command `{}`", text(ContextKind::InvalidSubcommand).unwrap_or_default()),
            None,
        ),
        ErrorKind::UnknownArgument => (format!("`{argument}` is not known here"), None),
        ErrorKind::MissingRequiredArgument => (format!("{argument} is missing"), None),
        ErrorKind::MissingSubcommand => ("a command is missing".to_owned(), None),
        ErrorKind::ArgumentConflict => (format!("{argument} was given more than once"), None),
        ErrorKind::InvalidValue => match text(ContextKind::InvalidValue).filter(|value| !value.is_empty()) {
            Some(value) => (
                format!("{value:?} does not fit {argument}"),
                text(ContextKind::ValidValue)
                    .map(|valid| format!("it takes one of: {}", valid.replace(' ', ", "))),
            ),
            None => (format!("{argument} needs a value"), None),
        },
        _ => {
            let rendered = error.render().to_string();
            let first = rendered.lines().next().unwrap_or_default();
            (first.trim_start_matches("error: ").to_owned(), None)
        }
    };
    let hint = hint.or_else(suggestion).unwrap_or_else(|| usage_hint(error));
    Err(Error::new(ErrorClass::Usage, message).with_hint(hint))
}

fn usage_hint(error: &clap::Error) -> String {
    match error.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(usage)) => {
            let usage = usage.to_string();
            let line = usage.split_whitespace().collect::<Vec<_>>().join(" ");
            format!("usage: {}", line.trim_start_matches("Usage: "))
        }
        _ => "transom --help tells the commands".to_owned(),
    }
}

/// The words of our own language that say the same.
pub(crate) fn spell(invocation: &Invocation) -> Option<Vec<String>> {
    let mut words = vec!["transom".to_owned()];
    let lossy = |value: &OsStr| value.to_string_lossy().into_owned();
    let index = invocation.globals.first("index").map(lossy);
    for argument in GLOBALS {
        let Native::Option(word) = argument.native else { continue };
        if !invocation.globals.has(argument.id) || (argument.id == "index" && invocation.globals.has("image"))
        {
            continue;
        }
        let values = invocation.globals.all(argument.id);
        if values.is_empty() {
            words.push(format!("--{word}"));
        }
        for value in values.iter().map(|value| lossy(value)) {
            words.push(format!("--{word}"));
            words.push(match (&index, argument.id) {
                (Some(index), "image") => format!("{value}:{index}"),
                _ => value,
            });
        }
    }
    for (position, step) in invocation.steps.iter().enumerate() {
        if !step.command.is_built() || step.command.scope == Scope::Tool {
            return None;
        }
        if position > 0 {
            words.push("--then".to_owned());
        }
        words.extend(step.command.native.split(' ').map(str::to_owned));
        for argument in step.command.arguments {
            if !step.values.has(argument.id) {
                continue;
            }
            let values = step.values.all(argument.id);
            match argument.native {
                Native::Option(word) if values.is_empty() => words.push(format!("--{word}")),
                Native::Option(word) if argument.occurs == Occurs::Any => {
                    words.extend(values.iter().flat_map(|value| [format!("--{word}"), lossy(value)]));
                }
                Native::Option(word) => {
                    words.push(format!("--{word}"));
                    words.extend(values.iter().map(|value| lossy(value)));
                }
                Native::Position | Native::Rest => words.extend(values.iter().map(|value| lossy(value))),
            }
        }
    }
    Some(words)
}
