// SPDX-License-Identifier: GPL-3.0-or-later
//! Errors: DISM's block with our hint in it, our two lines, and JSON.

use std::path::Path;

use serde_json::{Value, json};

use super::Page;
use crate::base::Error;

/// DISM's error block. Our hint stands before the line that names the log; that line is missing
/// when no log was written and for errors of the command line, as in DISM.
pub fn dism_error(page: &mut Page, error: &Error, log: Option<&Path>) {
    page.blank();
    page.fixed("error", &[("code", &error.code().to_string())]);
    page.blank();
    page.line(error);
    if let Some(hint) = error.hint() {
        page.fixed("hint", &[("hint", hint)]);
    }
    if let Some(log) = log {
        page.blank();
        page.fixed("log", &[("path", &log.to_string_lossy())]);
    }
}

/// `error: ...` and `hint: ...`, one line each.
pub fn native_error(page: &mut Page, error: &Error) {
    page.line(format_args!("error: {} [{}]", one_line(&error.to_string()), error.code()));
    if let Some(hint) = error.hint() {
        page.line(format_args!("hint: {}", one_line(hint)));
    }
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The error as an object.
pub fn error_json(error: &Error) -> Value {
    json!({
        "class": error.class(),
        "code": error.code().to_string(),
        "hresult": format!("0x{:08x}", error.code().0),
        "exit_status": error.code().exit_status(),
        "message": error.message(),
        "context": error.context().collect::<Vec<_>>(),
        "hint": error.hint(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Code, ErrorClass};
    use crate::report::Style;

    fn rendered(write: impl FnOnce(&mut Page)) -> String {
        let mut page = Page::new(Style::english(jiff::tz::TimeZone::UTC, None));
        write(&mut page);
        page.into_text()
    }

    #[test]
    fn block_with_hint_and_log() {
        let error = Error::new(ErrorClass::NotFound, "image 9 does not exist")
            .with_hint("install.wim holds images 1 to 3")
            .with_context("while opening install.wim");
        assert_eq!(
            rendered(|page| dism_error(page, &error, Some(Path::new("/var/dism.log")))),
            "\nError: 2\n\nimage 9 does not exist (while opening install.wim)\n\
             Hint: install.wim holds images 1 to 3\n\nThe DISM log file can be found at /var/dism.log\n"
        );
        assert_eq!(
            rendered(|page| native_error(page, &error)),
            "error: image 9 does not exist (while opening install.wim) [2]\n\
             hint: install.wim holds images 1 to 3\n"
        );
        assert_eq!(
            error_json(&error),
            json!({
                "class": "not_found", "code": "2", "hresult": "0x80070002", "exit_status": 2,
                "message": "image 9 does not exist", "context": ["while opening install.wim"],
                "hint": "install.wim holds images 1 to 3",
            })
        );
    }

    #[test]
    fn other_facilities_are_hexadecimal() {
        let error = Error::new(ErrorClass::NotApplicable, "first\nsecond").with_code(Code(0xC151_0111));
        assert_eq!(rendered(|page| dism_error(page, &error, None)), "\nError: 0xc1510111\n\nfirst\nsecond\n");
        assert_eq!(rendered(|page| native_error(page, &error)), "error: first second [0xc1510111]\n");
    }
}
