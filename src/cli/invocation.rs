// SPDX-License-Identifier: GPL-3.0-or-later
//! A command line that was understood, whichever language it was written in.

use super::commands::Action;
use super::error::CommandLineError;
use super::settings::progress_wish;
use super::table::{Argument, Command, Kind, Scope};
use super::values::{Values, size};
use crate::base::{Error, ErrorClass, Result};
use crate::report::Language;

/// What a command line asks for.
#[derive(Clone, Debug)]
pub(crate) enum Understood {
    /// Commands to run.
    Run(Invocation),
    /// A text to print: help or version.
    Text(String),
    /// Help on what the image that these global options name supports.
    ImageHelp(Values),
}

/// Commands to run, one after the other, on the same images.
#[derive(Clone, Debug)]
pub(crate) struct Invocation {
    /// The language it was written in; answers are given in the same.
    pub(crate) language: Language,
    /// Values of the global options.
    pub(crate) globals: Values,
    /// At least one.
    pub(crate) steps: Vec<Step>,
}

/// One command and its values.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// Its row.
    pub(crate) command: &'static Command,
    /// Values of its arguments.
    pub(crate) values: Values,
    /// Options of a command that is not built yet, by lower-case name.
    pub(crate) unchecked: Vec<(String, Option<String>)>,
}

impl Invocation {
    /// Whether the commands make sense together and with the image that was named.
    ///
    /// # Errors
    /// In DISM's words where DISM has some.
    pub(crate) fn check(&self) -> Result<()> {
        let has_image = self.globals.has("image");
        if self.globals.has("online") {
            if has_image || self.globals.has("win_dir") {
                return Err(CommandLineError::ImageAndOnline.into());
            }
            return Err(Error::new(
                ErrorClass::Unsupported,
                "The running operating system is not Windows: there is nothing that /Online could service.",
            )
            .with_hint("name an offline image: /Image:install.wim /Index:1, or --image install.wim:1"));
        }
        if self.globals.has("win_dir") && !has_image {
            return Err(CommandLineError::WinDirWithoutImage.into());
        }
        for step in &self.steps {
            self.check_scope(step, has_image)?;
        }
        Ok(())
    }

    fn check_scope(&self, step: &Step, has_image: bool) -> Result<()> {
        let command = step.command;
        if has_image && command.scope != Scope::Servicing {
            let error = Error::from(CommandLineError::ImageOutOfContext);
            return Err(match self.language {
                Language::Dism => error,
                Language::Native => {
                    Error::new(ErrorClass::Usage, format!("{} takes no --image", command.native))
                        .with_hint(format!("for example: transom {}", command.native_example))
                }
            });
        }
        if !command.is_built() {
            return Err(Error::new(
                ErrorClass::Unsupported,
                format!("The /{} command is known, but transom does not do it yet.", command.name()),
            )
            .with_hint("dism /? lists what it does so far"));
        }
        if command.scope == Scope::Servicing && !has_image {
            let (message, example) = match self.language {
                Language::Dism => {
                    (format!("The /{} command needs an image.", command.name()), command.dism_example)
                }
                Language::Native => (format!("{} needs an image", command.native), command.native_example),
            };
            let program = match self.language {
                Language::Dism => "dism",
                Language::Native => "transom",
            };
            return Err(
                Error::new(ErrorClass::Usage, message).with_hint(format!("for example: {program} {example}"))
            );
        }
        if command.scope == Scope::Tool && self.steps.len() > 1 {
            return Err(Error::new(
                ErrorClass::Usage,
                format!("{} cannot be joined with other commands", command.native),
            ));
        }
        Ok(())
    }

    /// Whether a command may change the image.
    pub(crate) fn changes(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.command.action, Action::Change(_)))
    }
}

/// Whether every argument that a command needs is there; gives the first that is missing.
pub(crate) fn missing(arguments: &'static [Argument], values: &Values) -> Option<&'static Argument> {
    arguments.iter().find(|argument| argument.is_required() && !values.has(argument.id))
}

/// What a kind takes, in words; nothing when it takes anything.
///
/// # Errors
/// When the value is not of the kind.
pub(crate) fn check_kind(kind: Kind, value: &str) -> Result<(), String> {
    let fits = match kind {
        Kind::Flag | Kind::Switch | Kind::Text | Kind::Path => true,
        Kind::Number => value.parse::<u64>().is_ok(),
        Kind::Size => size(value).is_some(),
        Kind::Progress => progress_wish(value).is_some(),
        Kind::Index => {
            value.eq_ignore_ascii_case("all") || value.parse::<u32>().is_ok_and(|number| number > 0)
        }
        Kind::Choice(words) => words.iter().any(|word| word.eq_ignore_ascii_case(value)),
    };
    if fits {
        return Ok(());
    }
    Err(match kind {
        Kind::Number => "a decimal number".to_owned(),
        Kind::Size => "a number of bytes, with K, M, G or T behind it for larger units".to_owned(),
        Kind::Progress => "auto, bar, lines, none, json, or json=FD with an open file descriptor".to_owned(),
        Kind::Index => "the number of an image, counted from 1, or `all`".to_owned(),
        Kind::Choice(words) => format!("one of: {}", words.join(", ")),
        Kind::Flag | Kind::Switch | Kind::Text | Kind::Path => "a value".to_owned(),
    })
}
