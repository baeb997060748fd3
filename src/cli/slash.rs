// SPDX-License-Identifier: GPL-3.0-or-later
//! DISM's language: from words to an [`Invocation`].
//!
//! Grammar: options in any case and order; exactly one command (international settings may be
//! combined), or several joined by `--then`; `/?` last; a single-valued option stands once.

use std::ffi::{OsStr, OsString};

use super::error::CommandLineError;
use super::help;
use super::invocation::{Invocation, Step, Understood, check_kind, missing};
use super::table::{self, Argument, Command, GLOBALS, Kind};
use super::token::{Token, token};
use super::values::Values;
use crate::base::Result;
use crate::report::Language;

/// Understands the words behind the program's name.
///
/// # Errors
/// In DISM's words.
pub(crate) fn parse(words: &[OsString]) -> Result<Understood> {
    let mut tokens: Vec<Token> = words.iter().map(|word| token(word)).collect();
    if tokens.iter().any(|token| is_option(token, "lenient")) {
        tokens = joined(tokens);
    }
    if let Some(topic) = help_topic(&tokens)? {
        return Ok(topic);
    }
    let mut globals = Values::default();
    let mut steps: Vec<Step> = Vec::new();
    for segment in tokens.split(|token| is_option(token, "then")) {
        steps.extend(parse_segment(segment, &mut globals)?);
    }
    // Where `name` is something else than the image's (/DestinationName), both may stand.
    let selects =
        |step: &&Step| step.command.argument("name").is_none_or(|argument| argument.dism_name() == "Name");
    for values in steps.iter().filter(selects).map(|step| &step.values).chain([&globals]) {
        if values.has("index") && values.has("name") {
            return Err(CommandLineError::IndexAndName.into());
        }
    }
    Ok(Understood::Run(Invocation { language: Language::Dism, globals, steps }))
}

fn is_option(token: &Token, wanted: &str) -> bool {
    matches!(token, Token::Option { name, .. } if name.eq_ignore_ascii_case(wanted))
}

fn is_help(token: &Token) -> bool {
    ["?", "help", "get-help", "h"].iter().any(|name| is_option(token, name))
}

/// `/Option: value` as `/Option:value`.
fn joined(tokens: Vec<Token>) -> Vec<Token> {
    let mut joined: Vec<Token> = Vec::with_capacity(tokens.len());
    for token in tokens {
        match (joined.last_mut(), token) {
            (Some(Token::Option { value: Some(value), .. }), Token::Word(word)) if value.is_empty() => {
                *value = word
            }
            (_, token) => joined.push(token),
        }
    }
    joined
}

/// The help that is asked for, if any is.
fn help_topic(tokens: &[Token]) -> Result<Option<Understood>> {
    let Some(position) = tokens.iter().position(is_help) else {
        return Ok(tokens.is_empty().then(|| Understood::Text(help::overview())));
    };
    if let Some(behind) = tokens.get(position + 1) {
        let name = match behind {
            Token::Option { name, .. } => format!("/{name}"),
            Token::Word(word) => word.to_string_lossy().into_owned(),
        };
        return Err(CommandLineError::HelpNotLast { name }.into());
    }
    let before = tokens.get(..position).unwrap_or_default();
    let Some(Token::Option { name, value }) = before.last() else {
        return Ok(Some(Understood::Text(help::overview())));
    };
    let command = before.iter().rev().find_map(|token| match token {
        Token::Option { name, .. } => table::command(name),
        Token::Word(_) => None,
    });
    let has_value = value.as_ref().is_some_and(|value| !value.is_empty());
    if has_value && command.is_none() && before.iter().any(|token| is_option(token, "image")) {
        return image_help(before).map(Some);
    }
    if has_value && table::command(name).is_none() {
        return Err(CommandLineError::HelpWithValue.into());
    }
    let own = command.and_then(|command| table::argument(command.arguments, name));
    let text = if let Some(command) = table::command(name) {
        help::command(command)
    } else if name.eq_ignore_ascii_case("image") || name.eq_ignore_ascii_case("online") {
        help::servicing()
    } else if let Some(argument) =
        own.or_else(|| table::argument(GLOBALS, name)).or_else(|| any_argument(name))
    {
        help::argument(argument)
    } else if table::is_known_option(name) {
        help::overview()
    } else {
        return Err(CommandLineError::NoHelpTopic { name: name.clone() }.into());
    };
    Ok(Some(Understood::Text(text)))
}

/// `/Image:x [options] /?`: what this image supports.
fn image_help(tokens: &[Token]) -> Result<Understood> {
    let mut globals = Values::default();
    for token in tokens {
        match token {
            Token::Option { name, value } => option(name, value.as_deref(), None, None, &mut globals)?,
            Token::Word(word) => return Err(stray(word, None)),
        }
    }
    Ok(Understood::ImageHelp(globals))
}

fn any_argument(name: &str) -> Option<&'static Argument> {
    table::commands().find_map(|command| table::argument(command.arguments, name))
}

/// One command (or several that combine) with its options; global options join the others.
fn parse_segment(tokens: &[Token], globals: &mut Values) -> Result<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    for token in tokens {
        let Token::Option { name, value } = token else { continue };
        let Some(command) = table::command(name) else { continue };
        if let Some(first) = steps.first()
            && !(first.command.combines && command.combines)
        {
            return Err(CommandLineError::SeveralCommands {
                first: first.command.name(),
                second: command.name(),
            }
            .into());
        }
        if steps.iter().any(|step| std::ptr::eq(step.command, command)) {
            return Err(CommandLineError::Duplicate { name: command.name().to_ascii_lowercase() }.into());
        }
        steps.push(new_step(command, value.as_deref())?);
    }
    for (position, token) in tokens.iter().enumerate() {
        match token {
            Token::Option { name, .. } if table::command(name).is_some() => {}
            Token::Option { name, value } => {
                let next = tokens.get(position + 1);
                // Of commands that combine, every one gets what it takes.
                let takers: Vec<usize> = (0..steps.len())
                    .filter(|index| {
                        steps.get(*index).is_some_and(|step: &Step| {
                            table::argument(step.command.arguments, name).is_some()
                        })
                    })
                    .collect();
                for index in takers.iter().copied().chain(takers.is_empty().then_some(0)) {
                    option(name, value.as_deref(), next, steps.get_mut(index), globals)?;
                }
            }
            Token::Word(word) => {
                return Err(stray(word, position.checked_sub(1).and_then(|before| tokens.get(before))));
            }
        }
    }
    if steps.is_empty() {
        let online = tokens.iter().any(|token| is_option(token, "online"));
        return Err(CommandLineError::MissingCommand { online }.into());
    }
    for step in &steps {
        if let Some(argument) = missing(step.command.arguments, &step.values) {
            if argument.dism.is_empty() {
                // The value behind the command's own name.
                let value = tokens.iter().enumerate().find_map(|(position, token)| match token {
                    Token::Option { name, .. }
                        if table::command(name).is_some_and(|row| std::ptr::eq(row, step.command)) =>
                    {
                        tokens.get(position + 1)
                    }
                    _ => None,
                });
                return Err(missing_value(step.command.name().to_ascii_lowercase(), value));
            }
            return Err(CommandLineError::MissingOption {
                command: step.command.name(),
                name: argument.dism_name().to_ascii_lowercase(),
                example: step.command.dism_example,
            }
            .into());
        }
    }
    Ok(steps)
}

/// A command, and the argument that its value form fills.
fn new_step(command: &'static Command, value: Option<&OsStr>) -> Result<Step> {
    let mut step = Step { command, values: Values::default(), unchecked: Vec::new() };
    let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(step) };
    match command.shorthand.and_then(|id| command.argument(id)) {
        Some(argument) => {
            let name = argument.dism.first().copied().unwrap_or(command.name());
            store(argument, name, Some(value), None, &mut step.values)?;
        }
        None if !command.is_described() => {
            step.unchecked
                .push((command.name().to_ascii_lowercase(), Some(value.to_string_lossy().into_owned())));
        }
        None => {
            let name = command.name().to_ascii_lowercase();
            return Err(CommandLineError::NeedlessValue { name }.into());
        }
    }
    Ok(step)
}

fn option(
    name: &str,
    value: Option<&OsStr>,
    next: Option<&Token>,
    step: Option<&mut Step>,
    globals: &mut Values,
) -> Result<()> {
    let lower = name.to_ascii_lowercase();
    let Some(step) = step else {
        // Without a command only global options can be told from unknown ones.
        return match table::argument(GLOBALS, name) {
            Some(argument) => store(argument, name, value, next, globals),
            None if table::is_known_option(name) => {
                Err(CommandLineError::OutOfContext { name: lower }.into())
            }
            None => Err(CommandLineError::unknown(name).into()),
        };
    };
    if let Some(argument) = table::argument(step.command.arguments, name) {
        return store(argument, name, value, next, &mut step.values);
    }
    if let Some(argument) = table::argument(GLOBALS, name)
        && (step.command.is_described() || !matches!(argument.id, "index" | "name"))
    {
        return store(argument, name, value, next, globals);
    }
    if !table::is_known_option(name) {
        return Err(CommandLineError::unknown(name).into());
    }
    if step.command.is_described() {
        return Err(CommandLineError::OutOfContext { name: lower }.into());
    }
    // The arguments of a command that is known by name only are not in the table yet: only the
    // commonest slip can be told.
    if value.is_some_and(OsStr::is_empty) && matches!(next, Some(Token::Word(_))) {
        return Err(missing_value(lower, next));
    }
    step.unchecked.push((lower, value.map(|value| value.to_string_lossy().into_owned())));
    Ok(())
}

/// Checks a value and keeps it.
fn store(
    argument: &'static Argument,
    name: &str,
    value: Option<&OsStr>,
    next: Option<&Token>,
    values: &mut Values,
) -> Result<()> {
    let name = name.to_ascii_lowercase();
    if !argument.repeats() && values.has(argument.id) {
        return Err(CommandLineError::Duplicate { name }.into());
    }
    let value = match (argument.kind, value) {
        (Kind::Flag | Kind::Switch, None) => {
            values.set(argument.id);
            return Ok(());
        }
        (Kind::Switch, Some(value)) if value.eq_ignore_ascii_case("on") => {
            values.set(argument.id);
            return Ok(());
        }
        (Kind::Flag | Kind::Switch, Some(_)) => return Err(CommandLineError::NeedlessValue { name }.into()),
        (_, Some(value)) if !value.is_empty() => value,
        _ => return Err(missing_value(name, next)),
    };
    let text = value.to_string_lossy();
    if let Err(expected) = check_kind(argument.kind, &text) {
        let value = text.into_owned();
        return Err(match argument.id {
            "log_level" => CommandLineError::InvalidLogLevel,
            _ => CommandLineError::InvalidValue { name, value, expected },
        }
        .into());
    }
    values.push(argument.id, value);
    Ok(())
}

fn missing_value(name: String, next: Option<&Token>) -> crate::base::Error {
    let hint = match next {
        Some(Token::Word(word)) => {
            Some(format!("remove the blank: /{name}:{} (or add --lenient)", word.to_string_lossy()))
        }
        _ => Some(format!("give it a value: /{name}:...")),
    };
    CommandLineError::MissingValue { name, hint }.into()
}

fn stray(word: &OsStr, before: Option<&Token>) -> crate::base::Error {
    let word = word.to_string_lossy().into_owned();
    let glued = word.get(1..).and_then(|rest| rest.find('/')).map(|slash| word.split_at(slash + 1));
    let hint = match (before, glued) {
        _ if word.len() == 2 && word.starts_with('/') && std::path::Path::new(&word).exists() => {
            format!("if /? was meant, the shell made {word} of it: write /Help, or '/?' in quotes")
        }
        _ if word == "/" => "remove the blank behind the slash".to_owned(),
        _ if table::command(&word).is_some() => format!("a command begins with a slash: /{word}"),
        (_, Some((front, rest))) if table::command(front.trim_start_matches('/')).is_some() => {
            format!("options are separated by blanks: {front} {rest}")
        }
        (Some(Token::Option { name, value: None }), _) if word.contains(['/', '.']) => {
            format!("join a value to its option: /{name}:{word}")
        }
        _ => "a value with blanks needs quotes; an option begins with a slash".to_owned(),
    };
    CommandLineError::StrayWord { word, hint: Some(hint) }.into()
}
