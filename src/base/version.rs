// SPDX-License-Identifier: GPL-3.0-or-later
//! Four-part version numbers.

use std::fmt;
use std::str::FromStr;

/// `major.minor.build.revision`, each 16 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version {
    /// First part.
    pub major: u16,
    /// Second part.
    pub minor: u16,
    /// Third part.
    pub build: u16,
    /// Fourth part.
    pub revision: u16,
}

impl Version {
    /// Puts the four parts together.
    pub const fn new(major: u16, minor: u16, build: u16, revision: u16) -> Self {
        Self { major, minor, build, revision }
    }

    /// The parts as one number, `major` highest.
    pub fn as_u64(self) -> u64 {
        u64::from(self.major) << 48
            | u64::from(self.minor) << 32
            | u64::from(self.build) << 16
            | u64::from(self.revision)
    }

    /// The inverse of [`Version::as_u64`].
    pub fn from_u64(number: u64) -> Self {
        let part = |shift: u32| (number >> shift & 0xFFFF) as u16;
        Self::new(part(48), part(32), part(16), part(0))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}.{}", self.major, self.minor, self.build, self.revision)
    }
}

/// The text is not a version of one to four decimal parts below 65536.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a version of one to four numbers below 65536")]
pub struct InvalidVersion;

/// One to four decimal parts; missing ones are zero.
impl FromStr for Version {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        let mut parts = [0u16; 4];
        for (position, part) in text.trim().split('.').enumerate() {
            let slot = parts.get_mut(position).ok_or(InvalidVersion)?;
            *slot = part.trim().parse().map_err(|_| InvalidVersion)?;
        }
        let [major, minor, build, revision] = parts;
        Ok(Self::new(major, minor, build, revision))
    }
}

impl serde::Serialize for Version {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_number() {
        let version: Version = "100.90.104.21500".parse().unwrap();
        assert_eq!(version, Version::new(100, 90, 104, 21500));
        assert_eq!(Version::from_u64(version.as_u64()), version);
        assert_eq!("6.1".parse(), Ok(Version::new(6, 1, 0, 0)));
        assert_eq!("1.2.3.4.5".parse::<Version>(), Err(InvalidVersion));
        assert_eq!("70000".parse::<Version>(), Err(InvalidVersion));
        assert_eq!(version.to_string(), "100.90.104.21500");
    }
}
