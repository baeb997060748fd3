// SPDX-License-Identifier: GPL-3.0-or-later
//! `%token%` substitution.
//!
//! * `%%` is a percent sign; `%name%` is the value of `name` in `[Strings]`, whatever its case;
//!   the first definition counts, and its own percent signs are left alone.
//! * A name that is not defined but is a decimal number is a directory id.
//! * Anything else stays as it is, percent signs included.
//! * `[Strings.<LANGID in hex>]`: the exact language, else its neutral form, else any form of it,
//!   else `[Strings]`, which also fills what the chosen section lacks.

use std::borrow::Cow;
use std::collections::HashMap;

use super::InfError;
use super::document::{Document, Section, fold, same};
use super::lexer::MAX_FIELD;

/// The bits of a LANGID that name the language without its region.
const PRIMARY_LANGUAGE: u16 = 0x03FF;

/// The tokens of an INF in one language.
pub struct Strings<'a> {
    values: HashMap<String, &'a str>,
}

impl<'a> Strings<'a> {
    pub(super) fn new(document: &'a Document, language: u16) -> Self {
        let mut values = HashMap::new();
        let sections = localized(document, language).into_iter().chain(document.section("Strings"));
        for line in sections.flat_map(|section| section.lines()) {
            if let Some(key) = line.key() {
                values.entry(fold(key)).or_insert_with(|| line.field(1));
            }
        }
        Self { values }
    }

    /// The text of a token, named without its percent signs.
    pub fn get(&self, token: &str) -> Option<&'a str> {
        self.values.get(fold(token).as_str()).copied()
    }

    /// Puts in every token. `directory` gives the path of a directory id, or nothing to leave
    /// `%12%` as it is. `line` is named if the result is too long for a field.
    ///
    /// # Errors
    /// When the result has more than 4,095 characters.
    pub fn expand<'t>(
        &self,
        text: &'t str,
        line: u32,
        directory: &dyn Fn(u32) -> Option<String>,
    ) -> Result<Cow<'t, str>, InfError> {
        if !text.contains('%') {
            return Ok(Cow::Borrowed(text));
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((head, opened)) = rest.split_once('%') {
            out.push_str(head);
            let Some((token, after)) = opened.split_once('%') else {
                rest = opened;
                out.push('%');
                break;
            };
            rest = after;
            if token.is_empty() {
                out.push('%');
            } else if let Some(value) = self.get(token) {
                out.push_str(value);
            } else if let Some(path) = token.parse().ok().and_then(directory) {
                let joined = rest.starts_with('\\').then(|| path.strip_suffix('\\')).flatten();
                out.push_str(joined.unwrap_or(&path));
            } else {
                out.push('%');
                out.push_str(token);
                out.push('%');
            }
            // Looked at for each token, so that a hostile text of tokens cannot grow far beyond.
            check_length(&out, line)?;
        }
        out.push_str(rest);
        check_length(&out, line)?;
        Ok(Cow::Owned(out))
    }

    /// The token of a text that is one token and nothing else: `%Token%`.
    pub fn sole_token<'t>(&self, text: &'t str) -> Option<&'t str> {
        let token = text.strip_prefix('%')?.strip_suffix('%')?;
        (!token.contains('%') && self.get(token).is_some()).then_some(token)
    }
}

fn check_length(text: &str, line: u32) -> Result<(), InfError> {
    if text.len() > MAX_FIELD && text.encode_utf16().count() > MAX_FIELD {
        return Err(InfError::FieldTooLong { line, expanded: true });
    }
    Ok(())
}

/// The `[Strings.xxxx]` section that fits a language best.
fn localized(document: &Document, language: u16) -> Option<Section<'_>> {
    let mut best: Option<(u8, Section<'_>)> = None;
    for section in document.sections() {
        let Some((base, suffix)) = section.name().split_once('.') else { continue };
        if !same(base, "Strings") {
            continue;
        }
        let digits = suffix.strip_prefix("0x").or_else(|| suffix.strip_prefix("0X")).unwrap_or(suffix);
        let Ok(found) = u16::from_str_radix(digits, 16) else { continue };
        let fit = if found == language {
            3
        } else if found & PRIMARY_LANGUAGE != language & PRIMARY_LANGUAGE {
            continue;
        } else if found & !PRIMARY_LANGUAGE == 0 {
            2
        } else {
            1
        };
        if best.as_ref().is_none_or(|(other, _)| fit > *other) {
            best = Some((fit, section));
        }
    }
    best.map(|(_, section)| section)
}

#[cfg(test)]
mod tests {
    use super::super::lexer::lex;
    use super::*;

    const TEXT: &str = "[Strings]\nA=one\nb=\"t%a%\"\na=two\nonly=base\n12=twelve\n[Strings.0007]\na=eins\n\
                        [Strings.0c07]\na=eins (AT)\n[Strings.0x040C]\na=un\n[strings.080a]\na=uno (MX)\n\
                        [Strings.zz]\na=bad";

    #[test]
    fn expansion() {
        let document = lex(TEXT).unwrap();
        let strings = Strings::new(&document, 0x0409);
        let directory = |id: u32| match id {
            10 => Some("C:\\Windows".to_owned()),
            12 => Some("not asked".to_owned()),
            24 => Some("C:\\".to_owned()),
            _ => None,
        };
        let cases = [
            ("plain", "plain"),
            ("%A%", "one"),
            ("x%a%y%B%z", "xoneyt%a%z"),
            ("%%SystemRoot%%\\x", "%SystemRoot%\\x"),
            ("%none% %a%", "%none% one"),
            ("100%", "100%"),
            ("%a", "%a"),
            ("%a%%a%", "oneone"),
            ("%10%\\inf", "C:\\Windows\\inf"),
            ("%24%\\x %24%", "C:\\x C:\\"),
            ("%12%\\x", "twelve\\x"),
            ("%13%\\x", "%13%\\x"),
            ("%-1%", "%-1%"),
        ];
        for (text, expected) in cases {
            assert_eq!(strings.expand(text, 1, &directory).unwrap(), expected, "{text}");
        }
        assert_eq!(strings.sole_token("%A%"), Some("A"));
        for text in ["A", "%A%%A%", "%A% ", "%none%", "%%", "%"] {
            assert_eq!(strings.sole_token(text), None, "{text}");
        }
    }

    #[test]
    fn languages() {
        let document = lex(TEXT).unwrap();
        let cases = [
            (0x0409, "one"),
            (0x0C07, "eins (AT)"),
            (0x0407, "eins"),
            (0x040C, "un"),
            (0x100C, "un"),
            (0x0C0A, "uno (MX)"),
            (0x0411, "one"),
        ];
        for (language, expected) in cases {
            let strings = Strings::new(&document, language);
            assert_eq!(strings.get("a"), Some(expected), "{language:04x}");
            assert_eq!(strings.get("ONLY"), Some("base"), "{language:04x}");
        }
    }

    #[test]
    fn a_long_expansion_is_refused() {
        let text = format!("[Strings]\na={}", "x".repeat(4000));
        let document = lex(&text).unwrap();
        let strings = Strings::new(&document, 0);
        let none = |_: u32| None;
        assert_eq!(strings.expand("%a%", 7, &none).unwrap().len(), 4000);
        let error = InfError::FieldTooLong { line: 7, expanded: true };
        assert_eq!(strings.expand(&"%a%".repeat(1000), 7, &none), Err(error));
    }
}
