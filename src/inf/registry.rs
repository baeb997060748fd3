// SPDX-License-Identifier: GPL-3.0-or-later
//! AddReg, DelReg and BitReg lines.
//!
//! `root, [subkey], [name], [flags], [value, ...]`. Bits of AddReg flags:
//!
//! | bits | name | meaning |
//! |---|---|---|
//! | 0x1 | BINVALUETYPE | the high word is a type number, the value is bytes |
//! | 0x2 | NOCLOBBER | an existing value stays |
//! | 0x4 | DELVAL | delete the value (the key, when no name is given) |
//! | 0x8 | APPEND | add to a MULTI_SZ |
//! | 0x10 | KEYONLY | the key alone |
//! | 0x20 | OVERWRITEONLY | only an existing value is set |
//! | 0x8000 | DELREG_BIT | these are DelReg flags |
//! | 0xFFFF0000 | type | with bit 0 clear 0 SZ, 1 MULTI_SZ, 2 EXPAND_SZ; set: 0 BINARY, 1 DWORD, 2 NONE, else the type itself |
//!
//! Source: Microsoft's "INF AddReg directive" and its neighbours. What is written wrongly is not
//! repaired: `HKR,Key,0x10` makes a value named `0x10`, as it does on Windows.

use super::InfError;
use super::document::Line;
use super::number::{hex_number, number};
use super::plan::{RegistryAction, RegistryOperation};

/// Registry value types (winnt.h).
const REG_NONE: u32 = 0;
const REG_SZ: u32 = 1;
const REG_EXPAND_SZ: u32 = 2;
const REG_BINARY: u32 = 3;
const REG_DWORD: u32 = 4;
const REG_MULTI_SZ: u32 = 7;

const BINVALUETYPE: u32 = 0x1;
const DELVAL: u32 = 0x4;
const KEYONLY: u32 = 0x10;
const KEYONLY_COMMON: u32 = 0x2000;
/// `FLG_DELREG_MULTI_SZ_DELSTRING`, and the form with the next operation number.
const DELETE_STRING: [u32; 2] = [0x0001_8002, 0x0001_8004];

/// Which directive a line belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Directive {
    Add,
    Delete,
    Bits,
}

/// Something odd that does not stop the line from having its effect.
pub(super) type Note = Option<String>;

/// Reads one line; `expand` puts the tokens in. Nothing for a line without a known root.
pub(super) fn action(
    directive: Directive,
    line: &Line<'_>,
    expand: &dyn Fn(&str) -> Result<String, InfError>,
) -> Result<(Option<RegistryAction>, Note), InfError> {
    let fields: Vec<String> = line.fields().map(expand).collect::<Result<_, _>>()?;
    let field = |position: usize| fields.get(position).map(String::as_str).unwrap_or_default();
    let values = fields.get(4..).unwrap_or_default();
    let root = field(0).to_ascii_uppercase();
    if !matches!(root.as_str(), "HKR" | "HKLM" | "HKCR" | "HKCU" | "HKU") {
        return Ok((None, Some(format!("{:?} is no registry root", field(0)))));
    }
    let mut note = None;
    let flags = match field(3).trim() {
        "" => 0,
        text => number(text).unwrap_or_else(|| {
            note = Some(format!("the flags {text:?} are no number and count as 0"));
            0
        }),
    };
    let operation = match directive {
        Directive::Add => add(&fields, flags, values, &mut note),
        Directive::Delete => delete(&fields, flags, values),
        Directive::Bits => bits(flags, values, &mut note),
    };
    let name = match &operation {
        RegistryOperation::KeyOnly | RegistryOperation::DeleteKey => String::new(),
        _ => field(2).to_owned(),
    };
    Ok((Some(RegistryAction { root, subkey: field(1).to_owned(), name, flags, operation }), note))
}

fn add(fields: &[String], flags: u32, values: &[String], note: &mut Note) -> RegistryOperation {
    let named = fields.get(2).is_some_and(|name| !name.is_empty());
    if flags & DELVAL != 0 {
        return if named { RegistryOperation::DeleteValue } else { RegistryOperation::DeleteKey };
    }
    if flags & (KEYONLY | KEYONLY_COMMON) != 0 || fields.len() < 3 {
        return RegistryOperation::KeyOnly;
    }
    let first = values.first().map(String::as_str).unwrap_or_default();
    let (kind, data) = match (flags & BINVALUETYPE != 0, flags >> 16) {
        (false, 1) => (REG_MULTI_SZ, multi_sz(values)),
        (false, 2) => (REG_EXPAND_SZ, sz(first)),
        (false, _) => (REG_SZ, sz(first)),
        (true, 0) => (REG_BINARY, bytes(values, note)),
        (true, 1) => (REG_DWORD, dword(values, note)),
        (true, 2) => (REG_NONE, bytes(values, note)),
        (true, kind) => (kind, bytes(values, note)),
    };
    RegistryOperation::Set { kind, data }
}

fn delete(fields: &[String], flags: u32, values: &[String]) -> RegistryOperation {
    let named = fields.get(2).is_some_and(|name| !name.is_empty());
    if DELETE_STRING.contains(&flags) {
        return RegistryOperation::DeleteString { text: values.first().cloned().unwrap_or_default() };
    }
    // A line with an empty but written name, "HKR,Key,", still deletes the key.
    if flags & KEYONLY_COMMON != 0 || !named {
        return RegistryOperation::DeleteKey;
    }
    RegistryOperation::DeleteValue
}

fn bits(flags: u32, values: &[String], note: &mut Note) -> RegistryOperation {
    let mut value = |position: usize| {
        let text = values.get(position).map(String::as_str).unwrap_or_default();
        if text.is_empty() {
            return 0;
        }
        number(text).or_else(|| hex_number(text)).unwrap_or_else(|| {
            *note = Some(format!("{text:?} is no number and counts as 0"));
            0
        })
    };
    RegistryOperation::Bits { mask: value(0), byte: value(1), set: flags & 1 != 0 }
}

fn sz(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

fn multi_sz(values: &[String]) -> Vec<u8> {
    let mut data: Vec<u8> = values.iter().filter(|text| !text.is_empty()).flat_map(|text| sz(text)).collect();
    data.extend([0, 0]);
    data
}

fn bytes(values: &[String], note: &mut Note) -> Vec<u8> {
    let texts = values.iter().map(|text| text.trim()).filter(|text| !text.is_empty());
    texts
        .map(|text| match hex_number(text) {
            Some(value) => {
                if value > 0xFF {
                    *note = Some(format!("{text:?} is more than a byte"));
                }
                value.to_le_bytes()[0]
            }
            None => {
                *note = Some(format!("{text:?} is no byte and counts as 0"));
                0
            }
        })
        .collect()
}

/// One number, or four bytes.
fn dword(values: &[String], note: &mut Note) -> Vec<u8> {
    let given: Vec<&String> = values.iter().filter(|text| !text.is_empty()).collect();
    if given.len() >= 4 {
        let mut data = bytes(values, note);
        data.truncate(4);
        return data;
    }
    let value = match given.first() {
        None => 0,
        Some(text) => number(text).unwrap_or_else(|| {
            *note = Some(format!("{text:?} is no number and counts as 0"));
            0
        }),
    };
    value.to_le_bytes().to_vec()
}

/// The strings of MULTI_SZ data.
pub(super) fn strings_of(data: &[u8]) -> Vec<String> {
    let (pairs, _) = data.as_chunks::<2>();
    let units: Vec<u16> = pairs.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
    units.split(|unit| *unit == 0).filter(|text| !text.is_empty()).map(String::from_utf16_lossy).collect()
}

#[cfg(test)]
mod tests {
    use super::super::lexer::lex;
    use super::*;

    fn read(directive: Directive, text: &str) -> (Option<RegistryAction>, Note) {
        let document = lex(&format!("[s]\n{text}")).unwrap();
        let line = document.section("s").unwrap().lines().next().unwrap();
        action(directive, &line, &|field| Ok(field.to_owned())).unwrap()
    }

    fn set(kind: u32, data: &[u8]) -> RegistryOperation {
        RegistryOperation::Set { kind, data: data.to_vec() }
    }

    #[test]
    fn add_lines() {
        let cases: [(&str, &str, &str, RegistryOperation); 21] = [
            ("HKR,,N,,v", "", "N", set(1, b"v\0\0\0")),
            ("HKR,,N", "", "N", set(1, b"\0\0")),
            ("HKR,,N,0x00020000,\"%a%\"", "", "N", set(2, b"%\0a\0%\0\0\0")),
            ("HKR,K\\L,N,0x10000,a,,b", "K\\L", "N", set(7, b"a\0\0\0b\0\0\0\0\0")),
            ("HKR,,N,0x10000", "", "N", set(7, b"\0\0")),
            ("hkr,,N,1,0A,ff,0x1,", "", "N", set(3, &[0x0A, 0xFF, 1])),
            ("HKR,,N,0x00010001,256", "", "N", set(4, &[0, 1, 0, 0])),
            ("HKR,,N,65537,-1", "", "N", set(4, &[0xFF; 4])),
            ("HKR,,N,0x00010001,1,2,3,ff", "", "N", set(4, &[1, 2, 3, 0xFF])),
            ("HKR,,N,0x00010001", "", "N", set(4, &[0; 4])),
            ("HKR,,N,0x00020001,1", "", "N", set(0, &[1])),
            ("HKR,,N,0x000B0001,1,0,0,0,0,0,0,80", "", "N", set(11, &[1, 0, 0, 0, 0, 0, 0, 0x80])),
            ("HKR,,N,0x00070003,61,00", "", "N", set(7, &[0x61, 0])),
            ("HKR,K,,0x00000010", "K", "", RegistryOperation::KeyOnly),
            ("HKR,K", "K", "", RegistryOperation::KeyOnly),
            ("HKR,K,0x00000010", "K", "0x00000010", set(1, b"\0\0")),
            ("HKR,K,,,v", "K", "", set(1, b"v\0\0\0")),
            ("HKR,K,N,4", "K", "N", RegistryOperation::DeleteValue),
            ("HKR,K,,4", "K", "", RegistryOperation::DeleteKey),
            ("HKLM,K,N,0x4000,v", "K", "N", set(1, b"v\0\0\0")),
            ("HKR,,N,0x2,v", "", "N", set(1, b"v\0\0\0")),
        ];
        for (text, subkey, name, operation) in cases {
            let (found, note) = read(Directive::Add, text);
            let found = found.unwrap();
            assert_eq!(note, None, "{text}");
            assert_eq!((found.subkey.as_str(), found.name.as_str()), (subkey, name), "{text}");
            assert_eq!(found.operation, operation, "{text}");
        }
    }

    #[test]
    fn vendor_mistakes_have_their_effect_and_a_note() {
        let cases: [(&str, Option<RegistryOperation>); 4] = [
            ("HKR,,N,REG_DWORD,1", Some(set(1, b"1\0\0\0"))),
            ("HKR,,N,0x10001,%X%", Some(set(4, &[0; 4]))),
            ("HKR,,N,1,zz,101", Some(set(3, &[0, 1]))),
            ("HKXX,,N,,v", None),
        ];
        for (text, operation) in cases {
            let (found, note) = read(Directive::Add, text);
            assert_eq!(found.map(|action| action.operation), operation, "{text}");
            assert!(note.is_some(), "{text}");
        }
    }

    #[test]
    fn delete_and_bit_lines() {
        let cases = [
            (Directive::Delete, "HKLM,K", RegistryOperation::DeleteKey),
            (Directive::Delete, "HKLM,K,", RegistryOperation::DeleteKey),
            (Directive::Delete, "HKLM,K,N", RegistryOperation::DeleteValue),
            (Directive::Delete, "HKLM,K,N,0x2000", RegistryOperation::DeleteKey),
            (
                Directive::Delete,
                "HKLM,K,N,0x00018002,text",
                RegistryOperation::DeleteString { text: "text".into() },
            ),
            (Directive::Bits, "HKR,,N,1,0x08,2", RegistryOperation::Bits { mask: 8, byte: 2, set: true }),
            (
                Directive::Bits,
                "HKR,,N,0x4,0xFF00,0",
                RegistryOperation::Bits { mask: 0xFF00, byte: 0, set: false },
            ),
        ];
        for (directive, text, operation) in cases {
            assert_eq!(read(directive, text).0.unwrap().operation, operation, "{text}");
        }
    }

    #[test]
    fn multi_strings_are_read_back() {
        assert_eq!(
            strings_of(&multi_sz(&["a.dll,Entry".into(), String::new(), "b".into()])),
            ["a.dll,Entry", "b"]
        );
        assert_eq!(strings_of(b"\0\0"), Vec::<String>::new());
    }
}
