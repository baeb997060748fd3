// SPDX-License-Identifier: GPL-3.0-or-later
//! The tools that DISM replaced. Called by the name of one of them, its command line is translated
//! into words of DISM or of our own, which are then understood and run as if they had been written
//! themselves. `/Explain` prints them instead.
//!
//! Sources of the syntax: the switch list that pkgmgr shows by itself, Microsoft's pages on Package
//! Manager and on building Windows PE images, and scripts that use the tools (section 10 of the
//! command-line contract). Switches marked *unconfirmed* there are taken as described.

mod imagex;
mod intlcfg;
mod ocsetup;
mod peimg;
mod pkgmgr;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::token::{Token, token};
use crate::base::{Error, ErrorClass, Result};
use crate::report::Language;

/// A tool that DISM replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    /// Vista's package manager.
    Pkgmgr,
    /// Edits Windows PE images.
    Peimg,
    /// Edits languages and locales.
    Intlcfg,
    /// Adds components of Windows.
    Ocsetup,
    /// Works on WIM files.
    Imagex,
}

/// What a command line of a replaced tool means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// A text to print.
    Help(String),
    /// A command line of ours.
    Line(Line),
}

/// Words of DISM or of our own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Whose words they are.
    pub(crate) language: Language,
    /// Without the program's name.
    pub(crate) words: Vec<OsString>,
    /// They are to be printed, not run.
    pub(crate) explain: bool,
}

/// One switch of a tool, for its help and for the test that every one is understood.
pub(crate) struct Switch {
    /// As it is written, with something that fits for its value.
    pub(crate) written: &'static str,
    /// What it does, in DISM's words.
    pub(crate) becomes: &'static str,
}

/// The tool of this name, which may be a path and may end in `.exe`.
pub(crate) fn tool(program: &OsStr) -> Option<Tool> {
    let name = program.as_bytes().rsplit(|byte| matches!(byte, b'/' | b'\\')).next()?;
    let name = name.to_ascii_lowercase();
    Some(match name.strip_suffix(b".exe").unwrap_or(&name) {
        b"pkgmgr" => Tool::Pkgmgr,
        b"peimg" => Tool::Peimg,
        b"intlcfg" => Tool::Intlcfg,
        b"ocsetup" => Tool::Ocsetup,
        b"imagex" => Tool::Imagex,
        _ => return None,
    })
}

impl Tool {
    fn name(self) -> &'static str {
        match self {
            Self::Pkgmgr => "pkgmgr",
            Self::Peimg => "peimg",
            Self::Intlcfg => "intlcfg",
            Self::Ocsetup => "ocsetup",
            Self::Imagex => "imagex",
        }
    }

    fn switches(self) -> &'static [Switch] {
        match self {
            Self::Pkgmgr => pkgmgr::SWITCHES,
            Self::Peimg => peimg::SWITCHES,
            Self::Intlcfg => intlcfg::SWITCHES,
            Self::Ocsetup => ocsetup::SWITCHES,
            Self::Imagex => imagex::SWITCHES,
        }
    }

    /// Translates the words behind the program's name. `image_known` says that the environment
    /// names an image: then none has to be named here.
    ///
    /// # Errors
    /// When they are not of the tool's language, or ask for what cannot be done.
    pub(crate) fn translate(self, words: &[OsString], image_known: bool) -> Result<Meaning> {
        let mut explain = false;
        let mut rest = Vec::with_capacity(words.len());
        for word in words {
            match token(word) {
                Token::Option { name, value: None } if name.eq_ignore_ascii_case("explain") => explain = true,
                Token::Option { name, value: None }
                    if rest.is_empty()
                        && ["?", "h", "help"].iter().any(|help| name.eq_ignore_ascii_case(help)) =>
                {
                    return Ok(Meaning::Help(self.help()));
                }
                _ => rest.push(word.clone()),
            }
        }
        if rest.is_empty() {
            return Ok(Meaning::Help(self.help()));
        }
        let (language, words) = match self {
            Self::Pkgmgr => (Language::Dism, pkgmgr::translate(&rest, image_known)?),
            Self::Peimg => (Language::Dism, peimg::translate(&rest, image_known)?),
            Self::Intlcfg => (Language::Dism, intlcfg::translate(&rest, image_known)?),
            Self::Ocsetup => (Language::Dism, ocsetup::translate(&rest, image_known)?),
            Self::Imagex => imagex::translate(&rest)?,
        };
        Ok(Meaning::Line(Line { language, words, explain }))
    }

    fn help(self) -> String {
        let name = self.name();
        let mut text = format!(
            "This is transom, called as {name}: it does what {name} did, in the words of DISM.\n\
             With /Explain the command is printed and not run.\n\n"
        );
        for switch in self.switches() {
            text.push_str(&format!("  {name} {}\n      {}\n", switch.written, switch.becomes));
        }
        text
    }
}

/// A switch or another word of a replaced tool.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    /// Its name in lower case, and what stands behind `:` or `=`.
    Switch(String, Option<OsString>),
    /// Anything else.
    Plain(OsString),
}

fn word(word: &OsStr) -> Word {
    match token(word) {
        Token::Option { name, value } => Word::Switch(name.to_ascii_lowercase(), value),
        Token::Word(word) => Word::Plain(word),
    }
}

/// `/Name:value`.
fn option(name: &str, value: impl AsRef<OsStr>) -> OsString {
    let mut word = OsString::from(format!("/{name}:"));
    word.push(value);
    word
}

/// Several commands as one line of DISM, joined by `--then`, behind the options of all of them.
fn joined(globals: Vec<OsString>, commands: Vec<Vec<OsString>>) -> Vec<OsString> {
    let mut words = globals;
    for (position, command) in commands.into_iter().enumerate() {
        if position > 0 {
            words.push("--then".into());
        }
        words.extend(command);
    }
    words
}

/// The option that names the image at this path: a WIM, the root of an image, or its Windows
/// directory, whose parent is the root.
fn image_options(path: &OsStr) -> Vec<OsString> {
    let bytes = path.as_bytes();
    let end =
        bytes.iter().rposition(|byte| !matches!(byte, b'/' | b'\\')).map_or(bytes.len(), |last| last + 1);
    let trimmed = bytes.get(..end).unwrap_or(bytes);
    match trimmed.iter().rposition(|byte| matches!(byte, b'/' | b'\\')) {
        Some(separator)
            if trimmed.get(separator + 1..).is_some_and(|leaf| leaf.eq_ignore_ascii_case(b"windows")) =>
        {
            // `/Windows` lies in the root itself; `C:\Windows` in `C:\`.
            let parent = match trimmed.get(..separator).unwrap_or_default() {
                parent if parent.is_empty() || parent.ends_with(b":") => trimmed.get(..=separator),
                parent => Some(parent),
            };
            vec![option("Image", OsStr::from_bytes(parent.unwrap_or_default()))]
        }
        _ => vec![option("Image", path)],
    }
}

fn needs_value(tool: Tool, name: &str) -> Error {
    Error::new(ErrorClass::Usage, format!("{} /{name} needs a value", tool.name()))
        .with_hint(format!("{} /? tells its switches", tool.name()))
}

fn unknown(tool: Tool, word: impl std::fmt::Display) -> Error {
    Error::new(ErrorClass::Usage, format!("{} does not know {word}", tool.name()))
        .with_hint(format!("{} /? tells its switches", tool.name()))
}

fn missing(tool: Tool, what: &str) -> Error {
    Error::new(ErrorClass::Usage, format!("{} needs {what}", tool.name()))
        .with_hint(format!("{} /? tells its switches", tool.name()))
}

/// The line as a shell would take it.
pub(crate) fn shown(line: &Line) -> String {
    let program = match line.language {
        Language::Dism => "dism",
        Language::Native => "transom",
    };
    let quoted = |word: &OsString| {
        let text = word.to_string_lossy();
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "/:=-_.,~@%+".contains(letter);
        if !text.is_empty() && text.chars().all(plain) {
            text.into_owned()
        } else {
            format!("'{}'", text.replace('\'', "'\\''"))
        }
    };
    let mut text = program.to_owned();
    for word in &line.words {
        text.push(' ');
        text.push_str(&quoted(word));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::invocation::Understood;
    use super::super::token::split_line;
    use super::super::{native, slash};
    use super::*;

    /// What a line of a tool becomes, or the message that refuses it.
    pub(super) fn translated(tool: Tool, line: &str) -> String {
        match tool.translate(&split_line(line.as_ref()).unwrap(), false) {
            Ok(Meaning::Line(line)) => shown(&line),
            Ok(Meaning::Help(text)) => text.lines().next().unwrap_or_default().to_owned(),
            Err(error) => format!("error: {}", error.message()),
        }
    }

    pub(super) fn check(tool: Tool, cases: &[(&str, &str)]) {
        for (line, expected) in cases {
            assert_eq!(translated(tool, line), *expected, "{line}");
        }
    }

    const TOOLS: [Tool; 5] = [Tool::Pkgmgr, Tool::Peimg, Tool::Intlcfg, Tool::Ocsetup, Tool::Imagex];

    #[test]
    fn tools_are_known_by_their_names() {
        for known in TOOLS {
            for name in [
                known.name().to_owned(),
                format!("/usr/bin/{}", known.name()),
                format!("C:\\x\\{}.EXE", known.name().to_uppercase()),
            ] {
                assert_eq!(tool(OsStr::new(&name)), Some(known), "{name}");
            }
        }
        assert_eq!(tool(OsStr::new("dism")), None);
    }

    /// Every switch that help names is translated into exactly what it says, and that is
    /// understood by the language it is written in.
    #[test]
    fn every_switch_becomes_what_its_help_says() {
        let mut counted = 0;
        for tool in TOOLS {
            for switch in tool.switches() {
                let line = translated(tool, switch.written);
                assert_eq!(line, switch.becomes, "{} {}", tool.name(), switch.written);
                let words = split_line(line.replace('\'', "\"").as_ref()).unwrap();
                let understood = match words[0].to_str() {
                    Some("dism") => slash::parse(&words[1..]),
                    Some("transom") => native::parse(&words[1..]),
                    _ => continue,
                };
                assert!(matches!(understood, Ok(Understood::Run(_))), "{line}: {understood:?}");
                counted += 1;
            }
        }
        assert!(counted > 60, "{counted}");
    }

    #[test]
    fn help_and_explanation() {
        for tool in TOOLS {
            for words in [&[][..], &["/?".into()], &["-H".into()]] {
                assert!(matches!(tool.translate(words, false), Ok(Meaning::Help(_))), "{}", tool.name());
            }
        }
        let Ok(Meaning::Line(line)) =
            Tool::Peimg.translate(&["/list".into(), "m".into(), "/Explain".into()], false)
        else {
            panic!("not translated")
        };
        assert!(line.explain);
        assert_eq!(shown(&line), "dism /Image:m /Get-Packages");
    }

    #[test]
    fn an_image_may_be_named_by_its_windows_directory() {
        let cases = [
            ("/mnt/w", "/Image:/mnt/w"),
            ("/mnt/w/Windows", "/Image:/mnt/w"),
            ("/mnt/w/WINDOWS/", "/Image:/mnt/w"),
            ("C:\\mount\\Windows", "/Image:C:\\mount"),
            ("C:\\Windows", "/Image:C:\\"),
            ("/Windows", "/Image:/"),
            ("boot.wim:1", "/Image:boot.wim:1"),
            ("windows", "/Image:windows"),
        ];
        for (path, expected) in cases {
            assert_eq!(image_options(OsStr::new(path)), [OsString::from(expected)], "{path}");
        }
    }
}
