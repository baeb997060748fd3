// SPDX-License-Identifier: GPL-3.0-or-later
//! `.reg` text: what regedit exports and imports.
//!
//! | part | form | meaning |
//! |---|---|---|
//! | first line | `Windows Registry Editor Version 5.00` | UTF-16LE with byte order mark, CRLF; UTF-8 and ANSI are read too |
//! | | `REGEDIT4` | ANSI; the bytes of `hex(1)`, `hex(2)`, `hex(6)` and `hex(7)` are ANSI text |
//! | section | `[KEY]` | the key and its missing parents are created |
//! | | `[-KEY]` | the key goes with all below it; an absent one is no error |
//! | value | `"name"=...`, `@=...` | `\\` and `\"` are the only escapes |
//! | data | `"text"` | REG_SZ with one final NUL; line breaks in it stand as they are |
//! | | `dword:0000000a` | REG_DWORD |
//! | | `hex:01,02`, `hex(T):01,02` | REG_BINARY; type T in hexadecimal; `\` at the end continues the line |
//! | | `-` | the value goes |
//! | comment | `; text` | |
//!
//! Source: Microsoft, "How to add, modify, or delete registry subkeys and values by using a .reg
//! file"; the places where lines are wrapped: exports of regedit.

mod apply;
mod code_page;
mod parse;
mod write;

pub use apply::{Applied, apply};
pub use write::{RegWriter, change_text, export};

use super::value::{Value, ValueType};
use crate::base::{Code, Error, ErrorClass, Result, WinName, name};

/// A `.reg` file, section by section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegText {
    /// In the order of the file; a key may occur several times.
    pub sections: Vec<RegSection>,
}

/// One `[KEY]` or `[-KEY]` with its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegSection {
    /// Line of its bracket, from 1.
    pub line: usize,
    /// The path with its root, as it stands there.
    pub key: WinName,
    /// `[-KEY]`.
    pub delete: bool,
    /// In the order of the file.
    pub values: Vec<RegAssignment>,
}

/// One `name=data` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegAssignment {
    /// Its line, from 1.
    pub line: usize,
    /// Empty for the default value.
    pub name: WinName,
    /// Type and data to set; nothing where the value is to be deleted.
    pub data: Option<(ValueType, Vec<u8>)>,
}

impl RegSection {
    /// A section made by a command: the key, and a value of it to set.
    pub fn new(key: &str, value: Option<Value>) -> Self {
        let values = value.map(|value| RegAssignment {
            line: 0,
            name: value.name,
            data: Some((value.kind, value.data)),
        });
        Self { line: 0, key: key.into(), delete: false, values: values.into_iter().collect() }
    }
}

impl RegText {
    /// Reads a file's bytes, whatever their encoding.
    ///
    /// # Errors
    /// With the number of the first line that is not understood.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        parse::parse(bytes, None).map_err(Into::into)
    }

    /// Reads a file's bytes; ANSI text is of this code page of Windows, and a text without a mark
    /// of its encoding is ANSI.
    ///
    /// # Errors
    /// When the code page is not known, and as [`RegText::parse`].
    pub fn parse_ansi(bytes: &[u8], code_page: u32) -> Result<Self> {
        let encoding = code_page::encoding(code_page)?;
        parse::parse(bytes, Some(encoding)).map_err(Into::into)
    }
}

/// A path with the short name of its root (`HKLM`, `HKCU`, `HKU`, `HKCR`) written out, as `.reg`
/// text has it.
pub fn full_root(path: &[u16]) -> Vec<u16> {
    const ROOTS: [(&str, &str); 4] = [
        ("HKLM", "HKEY_LOCAL_MACHINE"),
        ("HKCU", "HKEY_CURRENT_USER"),
        ("HKU", "HKEY_USERS"),
        ("HKCR", "HKEY_CLASSES_ROOT"),
    ];
    let length = path.iter().position(|&unit| unit == u16::from(b'\\')).unwrap_or(path.len());
    let (first, rest) = path.split_at(length);
    match ROOTS.iter().find(|(short, _)| name::same(first, &name::units(short))) {
        Some((_, long)) => [name::units(long).as_slice(), rest].concat(),
        None => path.to_vec(),
    }
}

/// Why a text is not understood, or cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegTextError {
    /// A line that is not understood.
    #[error("line {line}: {found:?} is not {expected}")]
    Line {
        /// From 1.
        line: usize,
        /// What could stand there.
        expected: &'static str,
        /// What stands there, shortened.
        found: String,
    },
    /// A name that the text form has no way to write.
    #[error("the key {key:?} cannot be written as .reg text: its name holds a line break or a NUL")]
    Unwritable {
        /// Its path.
        key: String,
    },
}

impl RegTextError {
    fn line(line: usize, expected: &'static str, found: &[u16]) -> Self {
        const SHOWN: usize = 60;
        let mut text = name::display(found.get(..SHOWN.min(found.len())).unwrap_or_default());
        if found.len() > SHOWN {
            text.push_str("...");
        }
        Self::Line { line, expected, found: text }
    }
}

impl From<RegTextError> for Error {
    fn from(error: RegTextError) -> Self {
        let message = error.to_string();
        match error {
            RegTextError::Line { .. } => Self::new(ErrorClass::Corrupt, message)
                .with_code(Code::INVALID_DATA)
                .with_hint("correct the line; nothing was imported"),
            RegTextError::Unwritable { .. } => {
                Self::new(ErrorClass::Unsupported, message).with_code(Code::NOT_SUPPORTED)
            }
        }
    }
}
