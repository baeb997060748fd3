// SPDX-License-Identifier: GPL-3.0-or-later
//! GUIDs in Windows byte order.

use std::fmt;
use std::str::FromStr;

/// A GUID, kept as the 16 bytes Windows stores (first three groups little-endian).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Guid(pub [u8; 16]);

impl Guid {
    /// All zero.
    pub const NIL: Self = Self([0; 16]);
}

/// `{4d36e97b-e325-11ce-bfc1-08002be10318}`: with braces, lower case.
impl fmt::Display for Guid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{{{}}}", uuid::Uuid::from_bytes_le(self.0).hyphenated())
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Guid({self})")
    }
}

/// The text is not a GUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a GUID of the form {{xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx}}")]
pub struct InvalidGuid;

impl FromStr for Guid {
    type Err = InvalidGuid;

    fn from_str(text: &str) -> Result<Self, InvalidGuid> {
        let inner = text.trim();
        let inner = match inner.strip_prefix('{') {
            Some(rest) => rest.strip_suffix('}').ok_or(InvalidGuid)?,
            None => inner,
        };
        let bytes: [u8; 36] = inner.as_bytes().try_into().map_err(|_| InvalidGuid)?;
        let parsed = uuid::Uuid::try_parse_ascii(&bytes).map_err(|_| InvalidGuid)?;
        Ok(Self(parsed.to_bytes_le()))
    }
}

impl serde::Serialize for Guid {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_byte_order() {
        let guid: Guid = "{4D36E97B-E325-11CE-BFC1-08002BE10318}".parse().unwrap();
        assert_eq!(guid.0[..4], [0x7B, 0xE9, 0x36, 0x4D]);
        assert_eq!(guid.to_string(), "{4d36e97b-e325-11ce-bfc1-08002be10318}");
        assert_eq!("{4D36E97B".parse::<Guid>(), Err(InvalidGuid));
        assert_eq!("".parse::<Guid>(), Err(InvalidGuid));
    }
}
