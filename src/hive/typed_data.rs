// SPDX-License-Identifier: GPL-3.0-or-later
//! Types and data as people type them, in the words of Windows' `reg add`.

use super::value::{Value, ValueType};
use crate::base::{Code, Error, ErrorClass, Result};

impl ValueType {
    /// `REG_SZ`, `sz`, `7`, `0xffff0012`.
    pub fn parse(text: &str) -> Option<Self> {
        let upper = text.to_ascii_uppercase();
        let full = if upper.starts_with("REG_") { upper.clone() } else { format!("REG_{upper}") };
        let named = (0..=11).map(Self).find(|kind| kind.name() == Some(full.as_str()));
        let alias = match full.as_str() {
            "REG_DWORD_LITTLE_ENDIAN" => Some(Self::DWORD),
            "REG_QWORD_LITTLE_ENDIAN" => Some(Self::QWORD),
            _ => None,
        };
        named.or(alias).or_else(|| number(text).and_then(|number| u32::try_from(number).ok()).map(Self))
    }
}

impl Value {
    /// A value from its type and data as text: strings as they are, the strings of a
    /// `REG_MULTI_SZ` separated by `\0`, numbers decimal or `0x` and hexadecimal, all else as
    /// hexadecimal bytes.
    ///
    /// # Errors
    /// When the type is not known, or the data do not fit it.
    pub fn parse(name: &str, kind: Option<&str>, data: &str) -> Result<Self> {
        let wrong = |expected: &'static str| {
            Error::new(ErrorClass::Usage, format!("{data:?} are no data of this type"))
                .with_code(Code::INVALID_PARAMETER)
                .with_hint(expected)
        };
        let kind = match kind {
            None => ValueType::SZ,
            Some(text) => ValueType::parse(text).ok_or_else(|| {
                Error::new(ErrorClass::Usage, format!("{text:?} is no type of a registry value")).with_hint(
                    "use REG_SZ, REG_EXPAND_SZ, REG_MULTI_SZ, REG_DWORD, REG_QWORD, REG_BINARY or a number",
                )
            })?,
        };
        let number = || if data.is_empty() { Some(0) } else { number(data) };
        Ok(match kind {
            ValueType::SZ => Self::sz(name, data),
            ValueType::EXPAND_SZ => Self::expand_sz(name, data),
            ValueType::MULTI_SZ => Self::multi_sz(name, &data.split("\\0").collect::<Vec<_>>()),
            ValueType::DWORD | ValueType::DWORD_BIG_ENDIAN => {
                let number = number().and_then(|number| u32::try_from(number).ok());
                let number = number.ok_or_else(|| wrong("give a number below 2^32, such as 10 or 0xa"))?;
                match kind {
                    ValueType::DWORD => Self::dword(name, number),
                    _ => Self::new(name, kind, number.to_be_bytes()),
                }
            }
            ValueType::QWORD => Self::qword(
                name,
                number().ok_or_else(|| wrong("give a number below 2^64, such as 10 or 0xa"))?,
            ),
            _ => {
                let bytes =
                    bytes(data).ok_or_else(|| wrong("give two hex digits for each byte, as in 01ff"))?;
                Self::new(name, kind, bytes)
            }
        })
    }
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+')),
        None => text.parse().ok().filter(|_| !text.starts_with('+')),
    }
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|letter| !matches!(letter, ' ' | ','))
        .map(|letter| letter.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => Some(high << 4 | low),
        _ => None,
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_as_typed() {
        let cases = [
            (None, "a b", Some(Value::sz("n", "a b"))),
            (Some("reg_dword"), "0xA", Some(Value::dword("n", 10))),
            (Some("dword"), "10", Some(Value::dword("n", 10))),
            (Some("REG_DWORD"), "4294967296", None),
            (Some("REG_DWORD"), "+1", None),
            (Some("REG_QWORD"), "4294967296", Some(Value::qword("n", 1 << 32))),
            (Some("REG_MULTI_SZ"), "a\\0b", Some(Value::multi_sz("n", &["a", "b"]))),
            (Some("REG_BINARY"), "01 fF", Some(Value::binary("n", [1, 255]))),
            (Some("REG_BINARY"), "01f", None),
            (Some("0xffff0011"), "ff", Some(Value::new("n", ValueType(0xFFFF_0011), [255]))),
            (Some("REG_OTHER"), "", None),
        ];
        for (kind, data, expected) in cases {
            assert_eq!(Value::parse("n", kind, data).ok(), expected, "{kind:?} {data}");
        }
    }
}
