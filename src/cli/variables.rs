// SPDX-License-Identifier: GPL-3.0-or-later
//! Environment variables for the global options: `TRANSOM_LOG_PATH` is `--log-path`. The command
//! line wins over them.

use std::ffi::OsString;

use super::invocation::{Invocation, check_kind};
use super::table::{Argument, GLOBALS, Native, Scope};
use crate::base::{Error, ErrorClass, Result};

/// Where variables are read from.
pub(crate) struct Variables<F>(pub(crate) F);

/// Options that say which image is meant. They are taken from the variables only by commands that
/// work on an image, and only if the command line does not name one itself.
const IMAGE: [&str; 4] = ["image", "online", "win_dir", "sys_drive_dir"];
const SELECTOR: [&str; 2] = ["index", "name"];

/// The variable of a global option.
pub(crate) fn name(argument: &Argument) -> String {
    let word = match argument.native {
        Native::Option(word) => word,
        Native::Position | Native::Rest => argument.id,
    };
    format!("TRANSOM_{}", word.replace('-', "_").to_ascii_uppercase())
}

impl<F: Fn(&str) -> Option<OsString>> Variables<F> {
    /// The value of an option's variable; an empty one counts as none.
    fn value(&self, argument: &Argument) -> Option<OsString> {
        (self.0)(&name(argument)).filter(|value| !value.is_empty())
    }

    /// Whether the variable of a flag says yes.
    pub(crate) fn is_set(&self, id: &str) -> bool {
        let argument = GLOBALS.iter().find(|argument| argument.id == id);
        argument.and_then(|argument| self.flag(argument).ok()) == Some(true)
    }

    /// Whether one says which image is meant.
    pub(crate) fn names_image(&self) -> bool {
        let image = GLOBALS.iter().find(|argument| argument.id == "image");
        image.is_some_and(|argument| self.value(argument).is_some())
    }

    fn flag(&self, argument: &Argument) -> Result<bool> {
        let Some(value) = self.value(argument) else { return Ok(false) };
        match value.to_str().map(str::to_ascii_lowercase).as_deref() {
            Some("1" | "true" | "yes" | "on") => Ok(true),
            Some("0" | "false" | "no" | "off") => Ok(false),
            _ => Err(refused(argument, &value, "1 or 0, yes or no")),
        }
    }

    /// Adds what the command line does not say.
    ///
    /// # Errors
    /// When a value is not of the kind that its option takes.
    pub(crate) fn complete(&self, invocation: &mut Invocation) -> Result<()> {
        let scope = |scope| invocation.steps.iter().any(|step| step.command.scope == scope);
        if scope(Scope::Tool) {
            return Ok(());
        }
        let on_image = scope(Scope::Servicing) && !scope(Scope::Imaging);
        let image_named = IMAGE.iter().any(|id| invocation.globals.has(id));
        let selected = SELECTOR.iter().any(|id| invocation.globals.has(id));
        for argument in GLOBALS {
            let applies = match argument.id {
                id if IMAGE.contains(&id) => on_image && !image_named,
                id if SELECTOR.contains(&id) => on_image && !image_named && !selected,
                id => !invocation.globals.has(id),
            };
            if !applies {
                continue;
            }
            if argument.kind.stands_alone() {
                if self.flag(argument)? {
                    invocation.globals.set(argument.id);
                }
            } else if let Some(value) = self.value(argument) {
                check_kind(argument.kind, &value.to_string_lossy())
                    .map_err(|expected| refused(argument, &value, &expected))?;
                invocation.globals.push(argument.id, value);
            }
        }
        Ok(())
    }
}

fn refused(argument: &Argument, value: &OsString, expected: &str) -> Error {
    Error::new(
        ErrorClass::Usage,
        format!("The environment variable {} is {:?}, which does not fit.", name(argument), value),
    )
    .with_hint(format!("it takes {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::invocation::Understood;
    use crate::cli::{native, slash, token};

    fn completed(line: &str, variables: &[(&str, &str)]) -> Result<Vec<String>> {
        let words = token::split_line(line.as_ref()).unwrap();
        let understood = match line.starts_with('/') {
            true => slash::parse(&words),
            false => native::parse(&words),
        };
        let Understood::Run(mut invocation) = understood.unwrap() else { panic!("not a run: {line}") };
        let value = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        };
        Variables(value).complete(&mut invocation)?;
        let shown = |(id, values): (&str, &[OsString])| match values {
            [] => id.to_owned(),
            values => format!("{id}={}", values[0].to_string_lossy()),
        };
        Ok(invocation.globals.iter().map(shown).collect())
    }

    #[test]
    fn the_command_line_wins() {
        type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [&'a str]);
        let cases: [Case<'_>; 8] = [
            (
                "image verify a.wim",
                &[("TRANSOM_THREADS", "3"), ("TRANSOM_JSON", "1")],
                &["json", "threads=3"],
            ),
            ("image verify a.wim --threads 2", &[("TRANSOM_THREADS", "3")], &["threads=2"]),
            ("image verify a.wim", &[("TRANSOM_THREADS", ""), ("TRANSOM_QUIET", "no")], &[]),
            ("image verify a.wim", &[("TRANSOM_IMAGE", "x.wim:1")], &[]),
            (
                "/Get-Drivers",
                &[("TRANSOM_IMAGE", "x.wim"), ("TRANSOM_INDEX", "2")],
                &["image=x.wim", "index=2"],
            ),
            (
                "/Image:y.wim /Get-Drivers",
                &[("TRANSOM_IMAGE", "x.wim"), ("TRANSOM_INDEX", "2")],
                &["image=y.wim"],
            ),
            (
                "/Get-Drivers /Index:1",
                &[("TRANSOM_IMAGE", "x.wim"), ("TRANSOM_INDEX", "2"), ("TRANSOM_LOG_LEVEL", "4")],
                &["image=x.wim", "index=1", "log_level=4"],
            ),
            ("parse -- /Get-Drivers", &[("TRANSOM_JSON", "1")], &[]),
        ];
        for (line, variables, expected) in cases {
            assert_eq!(completed(line, variables).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn a_value_that_does_not_fit_names_its_variable() {
        for (name, value, expected) in [
            ("TRANSOM_MEMORY", "much", "a number of bytes, with K, M, G or T behind it for larger units"),
            ("TRANSOM_JSON", "maybe", "1 or 0, yes or no"),
            ("TRANSOM_FORMAT", "wide", "one of: table, list"),
        ] {
            let error = completed("image verify a.wim", &[(name, value)]).unwrap_err();
            assert_eq!(error.code().to_string(), "87");
            assert!(error.message().contains(name), "{}", error.message());
            assert_eq!(error.hint(), Some(format!("it takes {expected}").as_str()));
        }
    }

    #[test]
    fn every_global_option_has_a_variable_of_its_own() {
        let mut names: Vec<String> = GLOBALS.iter().map(name).collect();
        assert!(names.contains(&"TRANSOM_SCRATCH_DIR".to_owned()));
        names.sort();
        names.dedup();
        assert_eq!(names.len(), GLOBALS.len());
    }
}
