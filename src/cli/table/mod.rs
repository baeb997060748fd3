// SPDX-License-Identifier: GPL-3.0-or-later
//! The one table of commands.
//!
//! A row is all there is to say about a command: its names in both languages, its arguments, its
//! help and what runs it. Both fronts, help, errors, completions and man pages are made from it.
//! A command that is known but not built yet is a row with [`Action::Planned`]; building it means
//! filling in that row. There is one file of rows for each area; [`AREAS`] puts them together.

mod applying;
mod apps;
mod associations;
mod capabilities;
mod capturing;
mod catalogs;
mod custom_images;
mod drivers;
mod edition;
mod features;
mod full_flash;
mod globals;
mod imaging;
mod infs;
mod installer;
mod international;
mod mounting;
mod packages;
mod provisioning;
mod registry;
mod support;
mod tools;
mod unattend;
mod uninstall;
mod wim_boot;
mod winpe;

pub(crate) use self::globals::GLOBALS;
pub(crate) use self::support::support;
use super::commands::Action;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Takes no value.
    Flag,
    /// Takes no value, or `on`.
    Switch,
    /// Any text.
    Text,
    /// A path on this machine.
    Path,
    /// A decimal number.
    Number,
    /// The number of an image, or `all`.
    Index,
    /// A number of bytes, such as 512M or 2G.
    Size,
    /// How progress is shown.
    Progress,
    /// One of these words, in any case.
    Choice(&'static [&'static str]),
}

impl Kind {
    /// Whether it can stand without a value.
    pub(crate) const fn stands_alone(self) -> bool {
        matches!(self, Self::Flag | Self::Switch)
    }
}

/// How an argument is written in our own language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Native {
    /// `--word`.
    Option(&'static str),
    /// By its position.
    Position,
    /// Everything that follows.
    Rest,
}

/// How often an argument may or must stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occurs {
    /// At most once.
    Optional,
    /// Exactly once.
    Required,
    /// Once or several times; the order is kept.
    Repeated,
    /// Any number of times; the order is kept.
    Any,
}

/// One argument of a command, or a global option.
#[derive(Debug)]
pub(crate) struct Argument {
    /// Names the value for the program.
    pub(crate) id: &'static str,
    /// DISM's names; the first is the one shown.
    pub(crate) dism: &'static [&'static str],
    /// The form in our own language.
    pub(crate) native: Native,
    /// What stands for the value in help.
    pub(crate) value_name: &'static str,
    /// What the value must be.
    pub(crate) kind: Kind,
    /// How often it may stand.
    pub(crate) occurs: Occurs,
    /// One sentence.
    pub(crate) help: &'static str,
}

/// What a command works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Files; `/Image` makes no sense.
    Imaging,
    /// An opened image.
    Servicing,
    /// Neither: the tool itself.
    Tool,
}

/// One command.
#[derive(Debug)]
pub(crate) struct Command {
    /// DISM's names; the first is the one shown. None for commands that only we have.
    pub(crate) dism: &'static [&'static str],
    /// The words of our own language.
    pub(crate) native: &'static str,
    /// What it works on.
    pub(crate) scope: Scope,
    /// The argument that `/Command:value` fills.
    pub(crate) shorthand: Option<&'static str>,
    /// Whether DISM allows it beside another such command.
    pub(crate) combines: bool,
    /// What it takes.
    pub(crate) arguments: &'static [Argument],
    /// One line.
    pub(crate) summary: &'static str,
    /// A real example in DISM's language.
    pub(crate) dism_example: &'static str,
    /// A real example in ours.
    pub(crate) native_example: &'static str,
    /// What runs it.
    pub(crate) action: Action,
}

impl Command {
    /// Whether its row says what it takes: true for what is built, and for what is planned in detail.
    pub(crate) fn is_described(&self) -> bool {
        !self.native.is_empty()
    }

    /// Whether there is something that runs it.
    pub(crate) fn is_built(&self) -> bool {
        !matches!(self.action, Action::Planned)
    }

    /// How errors name it: DISM's name where it has one.
    pub(crate) fn name(&self) -> &'static str {
        self.dism.first().copied().unwrap_or(self.native)
    }

    /// The argument of this id.
    pub(crate) fn argument(&self, id: &str) -> Option<&'static Argument> {
        self.arguments.iter().find(|argument| argument.id == id)
    }
}

impl Argument {
    /// Whether it may stand several times.
    pub(crate) fn repeats(&self) -> bool {
        matches!(self.occurs, Occurs::Repeated | Occurs::Any)
    }

    /// Whether it must stand.
    pub(crate) fn is_required(&self) -> bool {
        matches!(self.occurs, Occurs::Required | Occurs::Repeated)
    }

    /// How DISM's language names it.
    pub(crate) fn dism_name(&self) -> &'static str {
        self.dism.first().copied().unwrap_or(self.id)
    }
}

/// The command of a DISM name in any case, without its slash.
pub(crate) fn command(dism_name: &str) -> Option<&'static Command> {
    commands().find(|command| command.dism.iter().any(|name| name.eq_ignore_ascii_case(dism_name)))
}

/// The argument of a DISM name in any case, without its slash.
pub(crate) fn argument(arguments: &'static [Argument], dism_name: &str) -> Option<&'static Argument> {
    arguments.iter().find(|argument| argument.dism.iter().any(|name| name.eq_ignore_ascii_case(dism_name)))
}

/// Whether any command, built or not, has an option of this DISM name.
pub(crate) fn is_known_option(dism_name: &str) -> bool {
    argument(GLOBALS, dism_name).is_some()
        || commands().any(|command| argument(command.arguments, dism_name).is_some())
}

const fn option(
    id: &'static str,
    dism: &'static [&'static str],
    native: &'static str,
    (kind, value_name): (Kind, &'static str),
    help: &'static str,
) -> Argument {
    Argument { id, dism, native: Native::Option(native), value_name, kind, occurs: Occurs::Optional, help }
}

const fn flag(
    id: &'static str,
    dism: &'static [&'static str],
    native: &'static str,
    help: &'static str,
) -> Argument {
    option(id, dism, native, (Kind::Flag, ""), help)
}

const IMAGE_FILE: Argument = Argument {
    id: "file",
    dism: &["ImageFile", "WimFile"],
    native: Native::Position,
    value_name: "FILE[:INDEX]",
    kind: Kind::Path,
    occurs: Occurs::Required,
    help: "The image file; the part behind the last colon names one image of it.",
};

const INDEX: Argument =
    option("index", &["Index"], "index", (Kind::Index, "N"), "The number of the image, from 1, or `all`.");

const NAME: Argument =
    option("name", &["Name"], "name", (Kind::Text, "NAME"), "The name of the image, instead of its number.");

/// Root certificates that are trusted besides the known ones.
const ROOT: Argument = Argument {
    id: "root",
    dism: &["Root", "RootCertificate"],
    native: Native::Option("root"),
    value_name: "FILE",
    kind: Kind::Path,
    occurs: Occurs::Any,
    help: "Trusts the root certificates of a file (PEM, DER, PKCS#7) too.",
};

/// A command that only we have.
const fn own(
    native: &'static str,
    scope: Scope,
    arguments: &'static [Argument],
    summary: &'static str,
    native_example: &'static str,
    action: Action,
) -> Command {
    Command {
        dism: &[],
        native,
        scope,
        shorthand: None,
        combines: false,
        arguments,
        summary,
        dism_example: "",
        native_example,
        action,
    }
}

const CHECK_INTEGRITY: Argument = flag(
    "check",
    &["CheckIntegrity"],
    "check",
    "Verifies the file first; a new file gets an integrity table.",
);

/// The rows of every area, in the order in which help shows them.
static AREAS: &[&[Command]] = &[
    imaging::COMMANDS,
    capturing::COMMANDS,
    applying::COMMANDS,
    custom_images::COMMANDS,
    full_flash::COMMANDS,
    mounting::COMMANDS,
    wim_boot::COMMANDS,
    drivers::COMMANDS,
    registry::COMMANDS,
    catalogs::COMMANDS,
    infs::COMMANDS,
    packages::COMMANDS,
    features::COMMANDS,
    capabilities::COMMANDS,
    apps::COMMANDS,
    provisioning::COMMANDS,
    installer::COMMANDS,
    international::COMMANDS,
    edition::COMMANDS,
    winpe::COMMANDS,
    unattend::COMMANDS,
    associations::COMMANDS,
    uninstall::COMMANDS,
    tools::COMMANDS,
];

/// The servicing areas under the headings of DISM's help.
pub(crate) fn servicing_areas() -> impl Iterator<Item = (&'static str, &'static [Command])> {
    [
        ("PACKAGE SERVICING COMMANDS:", packages::COMMANDS),
        ("FEATURE SERVICING COMMANDS:", features::COMMANDS),
        ("CAPABILITY SERVICING COMMANDS:", capabilities::COMMANDS),
        ("DRIVER SERVICING COMMANDS:", drivers::COMMANDS),
        ("APPX SERVICING COMMANDS:", apps::COMMANDS),
        ("APPLICATION SERVICING COMMANDS:", installer::COMMANDS),
        ("INTERNATIONAL SERVICING COMMANDS:", international::COMMANDS),
        ("WINDOWS EDITION SERVICING COMMANDS:", edition::COMMANDS),
        ("UNATTEND SERVICING COMMANDS:", unattend::COMMANDS),
        ("DEFAULT ASSOCIATIONS COMMANDS:", associations::COMMANDS),
        ("PROVISIONING PACKAGE SERVICING COMMANDS:", provisioning::COMMANDS),
        ("WINDOWS PE SERVICING COMMANDS:", winpe::COMMANDS),
        ("OS UNINSTALL SERVICING COMMANDS:", uninstall::COMMANDS),
    ]
    .into_iter()
}

/// Every command.
pub(crate) fn commands() -> impl Iterator<Item = &'static Command> + Clone {
    AREAS.iter().copied().flatten()
}

/// The same argument, but it must stand.
const fn required(argument: Argument) -> Argument {
    Argument { occurs: Occurs::Required, ..argument }
}

/// The same argument, any number of times.
const fn repeated(argument: Argument) -> Argument {
    Argument { occurs: Occurs::Any, ..argument }
}

/// The value behind a command's own name: `/Set-UILang:fr-FR`.
const fn value(value_name: &'static str, kind: Kind, help: &'static str) -> Argument {
    Argument {
        id: "value",
        dism: &[],
        native: Native::Position,
        value_name,
        kind,
        occurs: Occurs::Required,
        help,
    }
}

/// A command that is known in every detail, but not built yet.
const fn planned(
    dism: &'static [&'static str],
    native: &'static str,
    scope: Scope,
    arguments: &'static [Argument],
    summary: &'static str,
) -> Command {
    Command {
        dism,
        native,
        scope,
        shorthand: None,
        combines: false,
        arguments,
        summary,
        dism_example: "",
        native_example: "",
        action: Action::Planned,
    }
}

/// A planned servicing command whose own value fills an argument.
const fn planned_short(
    dism: &'static [&'static str],
    native: &'static str,
    shorthand: &'static str,
    arguments: &'static [Argument],
    summary: &'static str,
) -> Command {
    Command { shorthand: Some(shorthand), ..planned(dism, native, Scope::Servicing, arguments, summary) }
}

/// Every DISM name that an option may have, for suggestions.
pub(crate) fn option_names() -> impl Iterator<Item = &'static str> + Clone {
    let rows = GLOBALS.iter().chain(commands().flat_map(|command| command.arguments));
    rows.filter_map(|argument| argument.dism.first().copied())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_name_is_unique() {
        let mut dism = HashSet::new();
        let mut native = HashSet::new();
        for command in commands() {
            for name in command.dism {
                assert!(dism.insert(name.to_ascii_lowercase()), "{name} twice");
                assert!(!is_known_option(name), "{name} is an option too");
            }
            assert!(!command.is_described() || native.insert(command.native), "{} twice", command.native);
            for arguments in [command.arguments, GLOBALS] {
                let mut names = HashSet::new();
                for argument in arguments {
                    assert!(names.insert(argument.id.to_owned()), "{} twice", argument.id);
                    for name in argument.dism {
                        assert!(names.insert(format!("/{}", name.to_ascii_lowercase())), "{name} twice");
                    }
                }
            }
        }
    }

    #[test]
    fn rows_are_complete() {
        assert!(commands().all(|command| command.is_described() || !command.is_built()));
        for command in commands().filter(|command| command.is_described()) {
            assert!(command.summary.ends_with('.') && command.summary.len() <= 100, "{}", command.native);
            if command.is_built() {
                assert!(command.native_example.contains(command.native), "{}", command.native);
                assert_eq!(command.dism.is_empty(), command.dism_example.is_empty(), "{}", command.native);
            }
            for argument in command.arguments.iter().chain(GLOBALS) {
                assert!(argument.help.ends_with('.'), "{}", argument.id);
                assert_eq!(argument.kind.stands_alone(), argument.value_name.is_empty(), "{}", argument.id);
            }
            if let Some(shorthand) = command.shorthand {
                assert!(command.argument(shorthand).is_some(), "{}", command.native);
            }
        }
    }

    #[test]
    fn every_servicing_command_of_dism_has_a_heading() {
        let under: HashSet<&str> =
            servicing_areas().flat_map(|(_, rows)| rows).map(|command| command.name()).collect();
        for command in commands().filter(|row| row.scope == Scope::Servicing && !row.dism.is_empty()) {
            assert!(under.contains(command.name()), "{}", command.name());
        }
    }

    #[test]
    fn names_in_any_case() {
        assert_eq!(command("get-WIMINFO").map(Command::name), Some("Get-ImageInfo"));
        assert!(command("Get-Driver").is_none());
        assert!(
            is_known_option("applydrive") && is_known_option("ImageFile") && !is_known_option("DriverName")
        );
    }
}
