// SPDX-License-Identifier: GPL-3.0-or-later
//! The command line: two languages over one table.
//!
//! [`main`] chooses the language, understands the words, runs what they ask for and gives the
//! exit status. The path of a command: [`table`] row, [`slash`] or [`native`] front,
//! [`invocation::Invocation`], [`run`], a function in [`commands`], a room below, a report.

mod commands;
mod drive_map;
mod error;
mod help;
mod helper;
mod invocation;
mod legacy;
mod log;
mod native;
mod print;
mod recipe;
mod reference;
mod run;
mod settings;
mod slash;
mod suggest;
mod system;
mod table;
mod target;
mod token;
mod values;
mod variables;

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use jiff::tz::TimeZone;
use tracing_subscriber::layer::SubscriberExt;

use self::commands::{Action, Printed};
use self::drive_map::DriveMap;
use self::invocation::{Invocation, Understood};
use self::legacy::Meaning;
use self::print::Printer;
use self::settings::{ProgressWish, Settings};
use self::token::{Token, token};
use self::values::Values;
use crate::base::{Code, Error, ErrorClass, Result};
use crate::io::NoProgress;
use crate::mount;
use crate::report::{Language, Locale, Meter, ProgressMode, Screen, Stream, Style};

/// Runs a command line, the program's name first.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut arguments = arguments.into_iter();
    let program = arguments.next().unwrap_or_default();
    let mut words: Vec<OsString> = arguments.collect();
    if let [word, directory] = words.as_slice()
        && word == mount::SERVE
    {
        return serve(Path::new(directory));
    }
    let mut program = program;
    if helper::is_helper(program.as_bytes()) {
        match helper::translate(&words) {
            Ok(translated) => (program, words) = ("transom".into(), translated),
            Err(error) => {
                let screen = Arc::new(Screen::new(io::stdout(), io::stderr()));
                return exit(&screen, refuse(&error, &screen, Language::Native, Manner::new(|_| false)));
            }
        }
    }
    let screen = Arc::new(Screen::new(io::stdout(), io::stderr()));
    let mut language = language(&program, &words);
    if let Some(tool) = legacy::tool(&program) {
        language = Language::Dism;
        match tool.translate(&words, system::variables().names_image()) {
            Ok(Meaning::Line(line)) if !line.explain => (language, words) = (line.language, line.words),
            Ok(meaning) => {
                let text = match meaning {
                    Meaning::Help(text) => text,
                    Meaning::Line(line) => legacy::shown(&line) + "\n",
                };
                screen.write(Stream::Data, &text);
                return exit(&screen, Code(0));
            }
            Err(error) => return exit(&screen, refuse(&error, &screen, language, Manner::new(|_| false))),
        }
    }
    let status = match parse(language, &words).and_then(completed) {
        Ok(Understood::Text(text)) => {
            screen.write(Stream::Data, &text);
            Code(0)
        }
        Ok(Understood::ImageHelp(globals)) => help_on_image(&globals, &screen, language),
        Ok(Understood::Run(invocation)) => execute(&invocation, &program, &words, &screen),
        Err(error) => {
            let asked = |name: &str| has_option(&words, name) || system::variables().is_set(name);
            refuse(&error, &screen, language, Manner::new(asked))
        }
    };
    exit(&screen, status)
}

/// The exit status, unless the output could not be written.
fn exit(screen: &Screen, status: Code) -> ExitCode {
    match screen.take_failure() {
        Some(failure) => {
            screen.write(Stream::Talk, &format!("error: standard output: {failure}\n"));
            ExitCode::from(Code::WRITE_FAULT.exit_status())
        }
        None if status == Code(0) => ExitCode::SUCCESS,
        None => ExitCode::from(status.exit_status()),
    }
}

/// Words in one of our two languages.
fn parse(language: Language, words: &[OsString]) -> Result<Understood> {
    match language {
        Language::Dism if !words.is_empty() && system::variables().is_set("lenient") => {
            slash::parse(&lenient_words(words))
        }
        Language::Dism => slash::parse(words),
        Language::Native => native::parse(words),
    }
}

/// Understands a command line without running it: whether it asks for something to be done, rather
/// than for a text. Nothing is read but the words.
///
/// # Errors
/// As [`main`] would print it.
pub fn understand(program: &OsStr, words: &[OsString]) -> Result<bool> {
    let mut language = language(program, words);
    let mut translated = None;
    if let Some(tool) = legacy::tool(program) {
        match tool.translate(words, false)? {
            Meaning::Help(_) => return Ok(false),
            Meaning::Line(line) => {
                language = line.language;
                translated = Some(line.words);
            }
        }
    }
    let words = translated.as_deref().unwrap_or(words);
    let understood = match language {
        Language::Dism => slash::parse(words)?,
        Language::Native => native::parse(words)?,
    };
    match understood {
        Understood::Run(invocation) => invocation.check().map(|()| true),
        Understood::Text(_) | Understood::ImageHelp(_) => Ok(false),
    }
}

/// Every word that the two languages know: commands and options, as they are written.
pub fn vocabulary() -> Vec<String> {
    let arguments = table::commands().flat_map(|command| command.arguments).chain(table::GLOBALS);
    let mut words: Vec<String> = table::commands()
        .flat_map(|command| {
            let native = command.native.split(' ').map(str::to_owned);
            native.chain(command.dism.iter().map(|name| format!("/{name}")))
        })
        .chain(arguments.flat_map(|argument| {
            let native = match argument.native {
                table::Native::Option(word) => Some(format!("--{word}")),
                _ => None,
            };
            native.into_iter().chain(argument.dism.iter().map(|name| format!("/{name}")))
        }))
        .filter(|word| !word.is_empty())
        .collect();
    words.sort();
    words.dedup();
    words
}

/// What the environment adds, and Windows paths as they lie here.
fn completed(understood: Understood) -> Result<Understood> {
    match understood {
        Understood::Run(mut invocation) => {
            system::variables().complete(&mut invocation)?;
            DriveMap::parse(invocation.globals.all("map"))?.apply(&mut invocation);
            Ok(Understood::Run(invocation))
        }
        Understood::ImageHelp(globals) => {
            let mut invocation = Invocation { language: Language::Dism, globals, steps: Vec::new() };
            DriveMap::parse(invocation.globals.all("map"))?.apply(&mut invocation);
            Ok(Understood::ImageHelp(invocation.globals))
        }
        Understood::Text(text) => Ok(Understood::Text(text)),
    }
}

/// Tells which commands an image supports.
fn help_on_image(globals: &Values, screen: &Arc<Screen>, language: Language) -> Code {
    let text = Settings::new(globals).and_then(|settings| {
        let environment = system::environment(&settings, Arc::new(NoProgress), system::cancel_on_signals())?;
        run::windows(globals, &environment).map(|windows| help::image(&windows))
    });
    match text {
        Ok(text) => {
            screen.write(Stream::Data, &text);
            Code(0)
        }
        Err(error) => refuse(&error, screen, language, Manner::new(|name| globals.has(name))),
    }
}

/// Whether an option of this name stands among the words.
fn has_option(words: &[OsString], name: &str) -> bool {
    words.iter().any(
        |word| matches!(token(word), Token::Option { name: found, .. } if found.eq_ignore_ascii_case(name)),
    )
}

/// The words with `/Lenient` among them.
fn lenient_words(words: &[OsString]) -> Vec<OsString> {
    let option = (!has_option(words, "lenient")).then(|| OsString::from("/Lenient"));
    option.into_iter().chain(words.iter().cloned()).collect()
}

/// Is a serving process until its mount ends. What it has to say goes into its log.
fn serve(directory: &Path) -> ExitCode {
    let log = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(io::stderr);
    let level = tracing_subscriber::filter::LevelFilter::INFO;
    // Only one runs in a process.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(level).with(log));
    let served = system::fixed_clock().map(|clock| mount::serve(directory, clock));
    match served {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// DISM's language if the program is called `dism`, or if the first word is a DISM option; none of
/// our own commands begins with a slash.
fn language(program: &OsStr, words: &[OsString]) -> Language {
    let slash_option = |word: &OsString| {
        matches!(word.as_bytes(), [b'/' | b'"', ..]) && matches!(token(word), Token::Option { .. })
    };
    if commands::tool::is_dism(program.as_bytes()) || words.first().is_some_and(slash_option) {
        Language::Dism
    } else {
        Language::Native
    }
}

/// How a run speaks, as far as its options say so.
#[derive(Clone, Copy)]
struct Manner {
    json: bool,
    quiet: bool,
    locale: Locale,
}

impl Manner {
    fn new(asked: impl Fn(&str) -> bool) -> Self {
        let locale = if asked("english") { Locale::English } else { system::locale() };
        Self { json: asked("json"), quiet: asked("quiet"), locale }
    }
}

/// An error of the command line: nothing was begun, so no log is named.
fn refuse(error: &Error, screen: &Arc<Screen>, language: Language, manner: Manner) -> Code {
    let style = Style { locale: manner.locale, ..Style::english(TimeZone::UTC, None) };
    Printer::new(Arc::clone(screen), language, style, manner.json, manner.quiet, false)
        .finish(Some(error), None);
    error.code()
}

fn execute(invocation: &Invocation, program: &OsStr, words: &[OsString], screen: &Arc<Screen>) -> Code {
    let manner = Manner::new(|name| invocation.globals.has(name));
    let expanded = match recipe::expand(invocation) {
        Ok(expanded) => expanded,
        Err(error) => return refuse(&error, screen, invocation.language, manner),
    };
    let (invocation, recipe) = match &expanded {
        Some((invocation, recipe)) => (invocation, Some(recipe)),
        None => (invocation, None),
    };
    let settings = match invocation.check().and_then(|()| Settings::new(&invocation.globals)) {
        Ok(settings) => settings,
        Err(error) => return refuse(&error, screen, invocation.language, manner),
    };
    if let [step] = invocation.steps.as_slice()
        && let Action::Tool(action) = step.command.action
    {
        return match action(&step.values) {
            Ok(Printed { text, error }) => {
                screen.write(Stream::Data, &text);
                error.map_or(Code(0), |error| error.code())
            }
            Err(error) => refuse(&error, screen, invocation.language, manner),
        };
    }
    let zone = TimeZone::system();
    let log = start_log(&settings, &zone, screen, invocation.language);
    log::begin(&command_line(program, words));
    let style = Style { locale: manner.locale, ..Style::english(zone, settings.layout) };
    let mut printer = Printer::new(
        Arc::clone(screen),
        invocation.language,
        style,
        manner.json,
        manner.quiet,
        settings.dry_run,
    );
    let outcome = meter(&settings, invocation.language, screen).and_then(|progress| {
        let environment = system::environment(&settings, progress, system::cancel_on_signals())?;
        if let Some(locked) = recipe.and_then(|recipe| recipe.locked.as_ref()) {
            printer.report(recipe::COMMAND, None, locked);
        }
        let output = recipe.and_then(|recipe| recipe.output.as_deref());
        run::run(invocation, output, &settings, &environment, &mut printer)
    });
    let error = match outcome {
        Ok(partial) => partial,
        Err(error) => Some(error),
    };
    let error = error.map(with_next_step);
    log::end(error.as_ref());
    printer.finish(error.as_ref(), log);
    error.map_or(Code(0), |error| error.code())
}

/// Gives an error that names no next step the usual one of its class.
fn with_next_step(error: Error) -> Error {
    if error.hint().is_some() {
        return error;
    }
    let hint = match error.class() {
        ErrorClass::NotFound if matches!(error.code(), Code::FILE_NOT_FOUND | Code::PATH_NOT_FOUND) => {
            match std::env::current_dir() {
                Ok(directory) => format!("check the path; relative ones begin at {}", directory.display()),
                Err(_) => "check the path".to_owned(),
            }
        }
        ErrorClass::Corrupt => {
            "restore the file from its source; `transom image verify` tells what is damaged".to_owned()
        }
        ErrorClass::Busy => "run the command again when the other process is done".to_owned(),
        ErrorClass::Permission => {
            "run it as a user who may do that, or work on a copy of the file".to_owned()
        }
        ErrorClass::Space => "free some space, or stage data elsewhere with --scratch-dir".to_owned(),
        ErrorClass::Internal => "this should not happen: please report it with the log".to_owned(),
        _ => return error,
    };
    error.with_hint(hint)
}

/// What shows progress: nothing when quiet.
fn meter(
    settings: &Settings,
    language: Language,
    screen: &Arc<Screen>,
) -> Result<Arc<dyn crate::io::Progress>> {
    // With --json the data stream holds the document and nothing else.
    let language = if settings.json { Language::Native } else { language };
    let on_terminal = match language {
        Language::Dism => system::output_is_terminal(),
        Language::Native => system::errors_are_terminal(),
    };
    let mode = match settings.progress {
        ProgressWish::Auto if on_terminal => ProgressMode::Bar,
        ProgressWish::Auto | ProgressWish::Lines => ProgressMode::Lines,
        ProgressWish::Bar => ProgressMode::Bar,
        ProgressWish::Json(_) => ProgressMode::Json,
        ProgressWish::None => ProgressMode::None,
    };
    if settings.quiet && mode != ProgressMode::Json {
        return Ok(Arc::new(NoProgress));
    }
    let meter = Meter::new(Arc::clone(screen), language, mode);
    let ProgressWish::Json(Some(descriptor)) = settings.progress else { return Ok(Arc::new(meter)) };
    let path = format!("/dev/fd/{descriptor}");
    let lines = std::fs::OpenOptions::new().append(true).open(&path);
    Ok(Arc::new(meter.with_lines(lines.map_err(|error| {
        Error::io(path, &error).with_hint("open it before: transom ... --progress json=3 3>progress.jsonl")
    })?)))
}

/// Opens the log; a run without one is warned about and goes on.
fn start_log(settings: &Settings, zone: &TimeZone, screen: &Screen, language: Language) -> Option<PathBuf> {
    let path = match &settings.log_path {
        Some(path) => Some(path.clone()),
        None => system::default_log().inspect(|path| {
            if let Some(directory) = path.parent() {
                // If this fails, so does opening the log, which is told.
                let _ = std::fs::create_dir_all(directory);
            }
        }),
    };
    let opened = path.as_deref().map(log::open);
    match (path, opened) {
        (Some(path), Some(Ok(file))) => {
            let log = log::DismLog::new(file, settings.log_level, zone.clone());
            // Only one run happens in a process; a second one goes on with the first one's log.
            let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(log));
            Some(path)
        }
        (path, _) => {
            if !settings.quiet && !settings.json {
                let path = path.unwrap_or_default();
                let text = format!(
                    "Logging is disabled: Unable to obtain access to the log file {}.",
                    path.display()
                );
                match language {
                    Language::Dism => screen.write(Stream::Data, &format!("{text}\n")),
                    Language::Native => screen.write(Stream::Talk, &format!("warning: {text}\n")),
                }
            }
            None
        }
    }
}

/// The command line as it is logged: words with blanks in quotes.
fn command_line(program: &OsStr, words: &[OsString]) -> String {
    let quoted = |word: &OsStr| {
        let word = word.to_string_lossy();
        if word.is_empty() || word.contains(char::is_whitespace) {
            format!("\"{word}\"")
        } else {
            word.into_owned()
        }
    };
    std::iter::once(quoted(program))
        .chain(words.iter().map(|word| quoted(word)))
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests;
