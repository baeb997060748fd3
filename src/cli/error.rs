// SPDX-License-Identifier: GPL-3.0-or-later
//! What can be wrong with a DISM command line, in DISM's words (its message table).

use crate::base::{Code, Error, ErrorClass};

use super::suggest::nearest;
use super::table;

/// A command line that cannot be run. Names are printed in lower case, as DISM does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum CommandLineError {
    /// No command has an option of this name.
    #[error("The {name} option is unknown.{}", refer("/?"))]
    UnknownOption {
        /// As it was written.
        name: String,
        /// The commands and options it may be mistaken for.
        nearest: Option<&'static str>,
    },
    /// The option belongs to other commands.
    #[error(
        "The /{name} option is not recognized in this context.\nFor more information, refer to the help."
    )]
    OutOfContext {
        /// In lower case.
        name: String,
    },
    /// A word that is no option.
    #[error("DISM doesn't recognize the command-line option \"{word}\".{}", refer("/?"))]
    StrayWord {
        /// As it was written.
        word: String,
        /// What may have been meant.
        hint: Option<String>,
    },
    /// The value of an option is missing.
    #[error("The {name} option is missing a required argument.\nFor more information, refer to the help.")]
    MissingValue {
        /// In lower case.
        name: String,
        /// What may have been meant.
        hint: Option<String>,
    },
    /// A flag got a value.
    #[error("The {name} option does not take an argument.\nRemove the argument and run DISM again.")]
    NeedlessValue {
        /// In lower case.
        name: String,
    },
    /// The value is not of the kind that the option takes.
    #[error("The {value} argument given for the {name} option is invalid.{}", refer("/?"))]
    InvalidValue {
        /// In lower case.
        name: String,
        /// As it was written.
        value: String,
        /// What is taken.
        expected: String,
    },
    /// A single-valued option stands twice.
    #[error(
        "The {name} option has been duplicated on the command-line.\nRemove the duplicate option and try the command again."
    )]
    Duplicate {
        /// In lower case.
        name: String,
    },
    /// Two commands in one run.
    #[error("Invalid command-line.\nFor more information, refer to the help.")]
    SeveralCommands {
        /// The first one.
        first: &'static str,
        /// The other one.
        second: &'static str,
    },
    /// There is an image, but nothing to do with it.
    #[error("The command-line is missing a required servicing command.{}", refer(if *online { "/Online /?" } else { "/Image=<path> /?" }))]
    MissingCommand {
        /// Whether the running system was named instead of an image.
        online: bool,
    },
    /// The command lacks an option it needs.
    #[error(
        "The {command} command is missing the required /{name} option.\nFor more information, refer to the help."
    )]
    MissingOption {
        /// The command.
        command: &'static str,
        /// In lower case.
        name: String,
        /// The example of the command's row.
        example: &'static str,
    },
    /// `/?` stands before something else.
    #[error(
        "Invalid command-line option \"{name}\".\nEnsure that /? is the last option listed on the command-line."
    )]
    HelpNotLast {
        /// What stands behind it.
        name: String,
    },
    /// `/?` stands behind an option with a value.
    #[error(
        "Invalid command-line argument.\nTo retrieve help, do not specify a command-line option with an argument."
    )]
    HelpWithValue,
    /// There is no help about this.
    #[error("No help topic could be found for the {name} option.")]
    NoHelpTopic {
        /// As it was written.
        name: String,
    },
    /// `/Image` with a command that works on files.
    #[error("The /Image option cannot be used in this context.{}", refer("/?"))]
    ImageOutOfContext,
    /// Two ways to name an image.
    #[error(
        "Do not use the /Image or /WinDir option when using the /Online option to specify a running operating system.{}",
        refer("/Online /?")
    )]
    ImageAndOnline,
    /// `/WinDir` without `/Image`.
    #[error(
        "The option /WinDir is not recognized in this context. It can only be used with an offline image.{}",
        refer("/WinDir /?")
    )]
    WinDirWithoutImage,
    /// Both the number and the name of an image.
    #[error("Invalid command-line.\nFor more information, refer to the help.")]
    IndexAndName,
    /// A level outside 1 to 4.
    #[error("An invalid log level was specified.")]
    InvalidLogLevel,
}

fn refer(to: &str) -> String {
    format!("\nFor more information, refer to the help by running DISM.exe {to}.")
}

impl CommandLineError {
    /// An option that nobody knows, and what it may have been meant to be.
    pub(crate) fn unknown(name: &str) -> Self {
        let commands = table::commands().flat_map(|command| command.dism.iter().copied());
        Self::UnknownOption {
            name: name.to_owned(),
            nearest: nearest(name, commands.chain(table::option_names())),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownOption { nearest, .. } => nearest.map(|name| format!("did you mean /{name}?")),
            Self::StrayWord { hint, .. } | Self::MissingValue { hint, .. } => hint.clone(),
            Self::InvalidValue { expected, .. } => Some(format!("it takes {expected}")),
            Self::SeveralCommands { first, second } => {
                Some(format!("join several commands by --then: /{first} ... --then /{second} ..."))
            }
            Self::MissingOption { example: "", .. } => {
                Some("write /? behind the command for its arguments".to_owned())
            }
            Self::MissingOption { example, .. } => Some(format!("for example: dism {example}")),
            Self::IndexAndName => Some("give /Index or /Name, not both".to_owned()),
            Self::InvalidLogLevel => Some("it is 1, 2, 3 or 4".to_owned()),
            Self::OutOfContext { .. }
            | Self::NeedlessValue { .. }
            | Self::Duplicate { .. }
            | Self::MissingCommand { .. }
            | Self::HelpWithValue
            | Self::HelpNotLast { .. }
            | Self::NoHelpTopic { .. }
            | Self::ImageOutOfContext
            | Self::ImageAndOnline
            | Self::WinDirWithoutImage => None,
        }
    }
}

impl From<CommandLineError> for Error {
    fn from(error: CommandLineError) -> Self {
        let converted = Self::new(ErrorClass::Usage, error.to_string()).with_code(Code::INVALID_PARAMETER);
        match error.hint() {
            Some(hint) => converted.with_hint(hint),
            None => converted,
        }
    }
}
