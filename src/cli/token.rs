// SPDX-License-Identifier: GPL-3.0-or-later
//! The words of a DISM command line.
//!
//! An option begins with `/` (`-` and `--` are accepted too), its name runs to the first `:` or
//! `=`, and what follows is its value, verbatim. A name is letters and hyphens, or `?`: thus
//! `/mnt/x` is never an option. Quotes may wrap the value or the whole word.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// One word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// `/Name` or `/Name:value`.
    Option {
        /// As it was written.
        name: String,
        /// What stands behind the first `:` or `=`, which may be nothing.
        value: Option<OsString>,
    },
    /// Anything else.
    Word(OsString),
}

/// Reads one word.
pub(crate) fn token(word: &OsStr) -> Token {
    let bytes = unquoted(word.as_bytes());
    let body = match bytes {
        [b'/', rest @ ..] | [b'-', b'-', rest @ ..] | [b'-', rest @ ..] => rest,
        _ => return Token::Word(OsStr::from_bytes(bytes).to_owned()),
    };
    let end = body.iter().position(|byte| matches!(byte, b':' | b'=')).unwrap_or(body.len());
    let (name, rest) = body.split_at(end);
    let value = rest.split_first().map(|(_, value)| OsStr::from_bytes(unquoted(value)).to_owned());
    match std::str::from_utf8(name) {
        Ok(name) if is_name(name) => Token::Option { name: name.to_owned(), value },
        _ => Token::Word(OsStr::from_bytes(bytes).to_owned()),
    }
}

fn is_name(name: &str) -> bool {
    name == "?"
        || (name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-'))
}

fn unquoted(bytes: &[u8]) -> &[u8] {
    match bytes {
        [b'"', inner @ .., b'"'] => inner,
        _ => bytes,
    }
}

/// Splits a command line as Windows programs do: blanks separate words, except between double
/// quotes, which are dropped. A backslash is an ordinary character.
///
/// # Errors
/// When a quote is not closed.
pub(crate) fn split_line(line: &OsStr) -> Result<Vec<OsString>, UnclosedQuote> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quoted = false;
    for byte in line.as_bytes() {
        match byte {
            b'"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            b' ' | b'\t' | b'\r' | b'\n' if !quoted => words.extend(word.take().map(OsString::from_vec)),
            byte => word.get_or_insert_default().push(*byte),
        }
    }
    words.extend(word.map(OsString::from_vec));
    if quoted { Err(UnclosedQuote) } else { Ok(words) }
}

/// A double quote has no partner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a double quote is not closed")]
pub(crate) struct UnclosedQuote;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn option(name: &str, value: Option<&str>) -> Token {
        Token::Option { name: name.to_owned(), value: value.map(OsString::from) }
    }

    #[test]
    fn words() {
        let cases = [
            ("/Get-Drivers", option("Get-Drivers", None)),
            ("-online", option("online", None)),
            ("--json", option("json", None)),
            ("/?", option("?", None)),
            ("/Image:/mnt/w", option("Image", Some("/mnt/w"))),
            ("/Image=C:\\", option("Image", Some("C:\\"))),
            ("/Set-InputLocale:0409:00000409", option("Set-InputLocale", Some("0409:00000409"))),
            ("/Region:\"US;GB\"", option("Region", Some("US;GB"))),
            ("\"/Name:a b\"", option("Name", Some("a b"))),
            ("/Name:", option("Name", Some(""))),
            ("/Name:=:", option("Name", Some("=:"))),
            ("/mnt/x", Token::Word("/mnt/x".into())),
            ("/mnt/x:1", Token::Word("/mnt/x:1".into())),
            ("/", Token::Word("/".into())),
            ("--", Token::Word("--".into())),
            ("/-x", Token::Word("/-x".into())),
            ("/x1", Token::Word("/x1".into())),
            ("get-packages", Token::Word("get-packages".into())),
            ("", Token::Word("".into())),
            ("\"", Token::Word("\"".into())),
        ];
        for (word, expected) in cases {
            assert_eq!(token(OsStr::new(word)), expected, "{word}");
        }
    }

    #[test]
    fn a_value_may_hold_any_bytes() {
        let word = OsStr::from_bytes(b"/Image:/mnt/\xFF\xFE");
        let value = Some(OsStr::from_bytes(b"/mnt/\xFF\xFE").to_owned());
        assert_eq!(token(word), Token::Option { name: "Image".to_owned(), value });
    }

    #[test]
    fn lines() {
        let line = "dism  /Image:\"C:\\a b\\\" \"/Name:x y\" /PackagePath=\"\"";
        let expected = ["dism", "/Image:C:\\a b\\", "/Name:x y", "/PackagePath="].map(OsString::from);
        assert_eq!(split_line(OsStr::new(line)), Ok(expected.to_vec()));
        assert_eq!(split_line(OsStr::new("/Image:\"a b")), Err(UnclosedQuote));
        assert_eq!(split_line(OsStr::new(" \t")), Ok(Vec::new()));
    }

    proptest! {
        #[test]
        fn an_option_is_put_together_again(name in "[A-Za-z][A-Za-z-]{0,12}", value in "[^\"]{0,20}") {
            for separator in [':', '='] {
                let word = format!("/{name}{separator}{value}");
                prop_assert_eq!(token(OsStr::new(&word)), option(&name, Some(&value)));
            }
        }
    }
}
