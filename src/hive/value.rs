// SPDX-License-Identifier: GPL-3.0-or-later
//! Values as callers see them.

use crate::base::{WinName, name};

/// The type field of a value: any 32-bit number is legal.
///
/// Device properties, for one, are stored under `0xFFFF0000` plus their property type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct ValueType(pub u32);

impl ValueType {
    /// `REG_NONE`.
    pub const NONE: Self = Self(0);
    /// `REG_SZ`.
    pub const SZ: Self = Self(1);
    /// `REG_EXPAND_SZ`.
    pub const EXPAND_SZ: Self = Self(2);
    /// `REG_BINARY`.
    pub const BINARY: Self = Self(3);
    /// `REG_DWORD`.
    pub const DWORD: Self = Self(4);
    /// `REG_DWORD_BIG_ENDIAN`.
    pub const DWORD_BIG_ENDIAN: Self = Self(5);
    /// `REG_LINK`: the target of a symbolic link, without a final NUL.
    pub const LINK: Self = Self(6);
    /// `REG_MULTI_SZ`.
    pub const MULTI_SZ: Self = Self(7);
    /// `REG_RESOURCE_LIST`.
    pub const RESOURCE_LIST: Self = Self(8);
    /// `REG_FULL_RESOURCE_DESCRIPTOR`.
    pub const FULL_RESOURCE_DESCRIPTOR: Self = Self(9);
    /// `REG_RESOURCE_REQUIREMENTS_LIST`.
    pub const RESOURCE_REQUIREMENTS_LIST: Self = Self(10);
    /// `REG_QWORD`.
    pub const QWORD: Self = Self(11);

    /// The published name of the type.
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::NONE => "REG_NONE",
            Self::SZ => "REG_SZ",
            Self::EXPAND_SZ => "REG_EXPAND_SZ",
            Self::BINARY => "REG_BINARY",
            Self::DWORD => "REG_DWORD",
            Self::DWORD_BIG_ENDIAN => "REG_DWORD_BIG_ENDIAN",
            Self::LINK => "REG_LINK",
            Self::MULTI_SZ => "REG_MULTI_SZ",
            Self::RESOURCE_LIST => "REG_RESOURCE_LIST",
            Self::FULL_RESOURCE_DESCRIPTOR => "REG_FULL_RESOURCE_DESCRIPTOR",
            Self::RESOURCE_REQUIREMENTS_LIST => "REG_RESOURCE_REQUIREMENTS_LIST",
            Self::QWORD => "REG_QWORD",
            _ => return None,
        })
    }
}

/// A value with its data, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// Empty for the default value.
    pub name: WinName,
    /// How the data are meant.
    pub kind: ValueType,
    /// The data; strings are kept as they are, terminated or not.
    pub data: Vec<u8>,
}

impl Value {
    /// A value of any type.
    pub fn new(name: &str, kind: ValueType, data: impl Into<Vec<u8>>) -> Self {
        Self { name: WinName::from(name), kind, data: data.into() }
    }

    /// A string, stored with its final NUL.
    pub fn sz(name: &str, text: &str) -> Self {
        Self::new(name, ValueType::SZ, terminated(text))
    }

    /// A string with `%variables%`, stored with its final NUL.
    pub fn expand_sz(name: &str, text: &str) -> Self {
        Self::new(name, ValueType::EXPAND_SZ, terminated(text))
    }

    /// Strings, each with its NUL, and one NUL more. An empty string would end the list for its
    /// readers, so it is left out.
    pub fn multi_sz(name: &str, texts: &[impl AsRef<str>]) -> Self {
        let strings = texts.iter().map(AsRef::as_ref).filter(|text| !text.is_empty());
        let mut data: Vec<u8> = strings.flat_map(terminated).collect();
        data.extend([0, 0]);
        Self::new(name, ValueType::MULTI_SZ, data)
    }

    /// A 32-bit number.
    pub fn dword(name: &str, number: u32) -> Self {
        Self::new(name, ValueType::DWORD, number.to_le_bytes())
    }

    /// A 64-bit number.
    pub fn qword(name: &str, number: u64) -> Self {
        Self::new(name, ValueType::QWORD, number.to_le_bytes())
    }

    /// Bytes.
    pub fn binary(name: &str, data: impl Into<Vec<u8>>) -> Self {
        Self::new(name, ValueType::BINARY, data)
    }

    /// The text of a string, expandable string or link, up to its first NUL.
    pub fn as_text(&self) -> Option<String> {
        if !matches!(self.kind, ValueType::SZ | ValueType::EXPAND_SZ | ValueType::LINK) {
            return None;
        }
        let units = name::units_from_le(&self.data);
        let text = units.split(|&unit| unit == 0).next().unwrap_or_default();
        Some(name::display(text))
    }

    /// The strings of a `REG_MULTI_SZ`, up to its first empty one.
    pub fn as_multi_sz(&self) -> Option<Vec<String>> {
        if self.kind != ValueType::MULTI_SZ {
            return None;
        }
        let units = name::units_from_le(&self.data);
        let texts = units.split(|&unit| unit == 0).take_while(|text| !text.is_empty());
        Some(texts.map(name::display).collect())
    }

    /// The number of a `REG_DWORD` (of either byte order) of 4 bytes.
    pub fn as_dword(&self) -> Option<u32> {
        let bytes = self.data.as_slice().try_into().ok()?;
        match self.kind {
            ValueType::DWORD => Some(u32::from_le_bytes(bytes)),
            ValueType::DWORD_BIG_ENDIAN => Some(u32::from_be_bytes(bytes)),
            _ => None,
        }
    }

    /// The number of a `REG_QWORD` of 8 bytes.
    pub fn as_qword(&self) -> Option<u64> {
        let bytes = self.data.as_slice().try_into().ok()?;
        (self.kind == ValueType::QWORD).then_some(u64::from_le_bytes(bytes))
    }
}

fn terminated(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_terminated() {
        let text = Value::sz("n", "a\u{E9}");
        assert_eq!(text.data, [b'a', 0, 0xE9, 0, 0, 0]);
        assert_eq!(text.as_text().as_deref(), Some("a\u{E9}"));
        assert_eq!(Value::expand_sz("", "%a%").as_text().as_deref(), Some("%a%"));
        let several = Value::multi_sz("n", &["ab", "", "c"]);
        assert_eq!(several.data, [b'a', 0, b'b', 0, 0, 0, b'c', 0, 0, 0, 0, 0]);
        assert_eq!(several.as_multi_sz(), Some(vec!["ab".to_owned(), "c".to_owned()]));
        assert_eq!(Value::multi_sz("n", &[] as &[&str]).data, [0, 0]);
        assert_eq!(several.as_text(), None);
        let unterminated = Value::new("n", ValueType::SZ, [b'a', 0, b'b']);
        assert_eq!(unterminated.as_text().as_deref(), Some("a"));
    }

    #[test]
    fn numbers_need_their_type_and_length() {
        assert_eq!(Value::dword("n", 7).as_dword(), Some(7));
        assert_eq!(Value::dword("n", 7).as_qword(), None);
        assert_eq!(Value::qword("n", 1 << 40).as_qword(), Some(1 << 40));
        assert_eq!(Value::new("n", ValueType::DWORD_BIG_ENDIAN, [0, 0, 0, 9]).as_dword(), Some(9));
        assert_eq!(Value::new("n", ValueType::DWORD, [1, 2]).as_dword(), None);
        assert_eq!(Value::binary("n", [1, 2, 3, 4]).as_dword(), None);
        assert_eq!(ValueType(0xFFFF_0012).name(), None);
        assert_eq!(ValueType::MULTI_SZ.name(), Some("REG_MULTI_SZ"));
    }
}
