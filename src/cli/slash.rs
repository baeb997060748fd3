// SPDX-License-Identifier: GPL-3.0-or-later
//! DISM's language: from words to an [`Invocation`].
//!
//! Grammar: options in any case and order; exactly one command (international settings may be
//! combined), or several joined by `--then`; `/?` last; a single-valued option stands once.

use std::ffi::{OsStr, OsString};

use super::error::CommandLineError;
use super::help;
use super::invocation::{Invocation, Step, Understood, check_kind, missing};
use super::table::{self, Argument, Command, GLOBALS, Kind, Occurs};
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
        return Ok(Understood::Text(topic));
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

/// The help text that is asked for, if any is.
fn help_topic(tokens: &[Token]) -> Result<Option<String>> {
    let Some(position) = tokens.iter().position(is_help) else {
        return Ok(tokens.is_empty().then(help::overview));
    };
    if let Some(behind) = tokens.get(position + 1) {
        let name = match behind {
            Token::Option { name, .. } => format!("/{name}"),
            Token::Word(word) => word.to_string_lossy().into_owned(),
        };
        return Err(CommandLineError::HelpNotLast { name }.into());
    }
    let Some(Token::Option { name, .. }) = position.checked_sub(1).and_then(|before| tokens.get(before))
    else {
        return Ok(Some(help::overview()));
    };
    let topic = if let Some(command) = table::command(name) {
        help::command(command)
    } else if name.eq_ignore_ascii_case("image") || name.eq_ignore_ascii_case("online") {
        help::servicing()
    } else if let Some(argument) = table::argument(GLOBALS, name).or_else(|| any_argument(name)) {
        help::argument(argument)
    } else {
        return Err(CommandLineError::NoHelpTopic { name: name.clone() }.into());
    };
    Ok(Some(topic))
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
        steps.push(new_step(command, value.as_deref())?);
    }
    for (position, token) in tokens.iter().enumerate() {
        match token {
            Token::Option { name, .. } if table::command(name).is_some() => {}
            Token::Option { name, value } => {
                let next = tokens.get(position + 1);
                option(name, value.as_deref(), next, steps.first_mut(), globals)?;
            }
            Token::Word(word) => {
                return Err(stray(word, position.checked_sub(1).and_then(|before| tokens.get(before))));
            }
        }
    }
    if steps.is_empty() {
        return Err(CommandLineError::MissingCommand.into());
    }
    for step in &steps {
        if let Some(argument) = missing(step.command.arguments, &step.values) {
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
        Some(argument) => store(argument, argument.dism_name(), Some(value), None, &mut step.values)?,
        None if !command.is_built() => {
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
        && (step.command.is_built() || !matches!(argument.id, "index" | "name"))
    {
        return store(argument, name, value, next, globals);
    }
    if !table::is_known_option(name) {
        return Err(CommandLineError::unknown(name).into());
    }
    if step.command.is_built() {
        return Err(CommandLineError::OutOfContext { name: lower }.into());
    }
    // The arguments of a command that is not built are not in the table yet: only the commonest
    // slip can be told.
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
    if argument.occurs != Occurs::Repeated && values.has(argument.id) {
        return Err(CommandLineError::Duplicate { name }.into());
    }
    let value = match (argument.kind, value) {
        (Kind::Flag, None) => {
            values.set(argument.id);
            return Ok(());
        }
        (Kind::Flag, Some(_)) => return Err(CommandLineError::NeedlessValue { name }.into()),
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
