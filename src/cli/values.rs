// SPDX-License-Identifier: GPL-3.0-or-later
//! The values of arguments as they were given.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::base::{Error, ErrorClass, Result};

/// The id that is set where the command was given in DISM's language.
pub(crate) const DISM: &str = "dism";

/// Values by the id of their argument, each list in the order of the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Values(BTreeMap<&'static str, Vec<OsString>>);

impl Values {
    /// Notes a flag.
    pub(crate) fn set(&mut self, id: &'static str) {
        self.0.entry(id).or_default();
    }

    /// Adds a value.
    pub(crate) fn push(&mut self, id: &'static str, value: impl Into<OsString>) {
        self.0.entry(id).or_default().push(value.into());
    }

    /// Replaces every value for which there is another.
    pub(crate) fn map(&mut self, id: &str, other: impl Fn(&OsStr) -> Option<OsString>) {
        for value in self.0.get_mut(id).into_iter().flatten() {
            if let Some(changed) = other(value) {
                *value = changed;
            }
        }
    }

    /// Whether the argument was given.
    pub(crate) fn has(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }

    /// The first value.
    pub(crate) fn first(&self, id: &str) -> Option<&OsStr> {
        self.all(id).first().map(OsString::as_os_str)
    }

    /// Every value.
    pub(crate) fn all(&self, id: &str) -> &[OsString] {
        self.0.get(id).map(Vec::as_slice).unwrap_or_default()
    }

    /// Ids and values, by id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, &[OsString])> {
        self.0.iter().map(|(id, values)| (*id, values.as_slice()))
    }

    /// The first value as text.
    ///
    /// # Errors
    /// When it is not UTF-8.
    pub(crate) fn text(&self, id: &str) -> Result<Option<&str>> {
        self.first(id).map(as_text).transpose()
    }

    /// The first value as a number; values were checked when they were read.
    pub(crate) fn number<N: std::str::FromStr>(&self, id: &str) -> Result<Option<N>> {
        let Some(text) = self.text(id)? else { return Ok(None) };
        match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(Error::new(ErrorClass::Usage, format!("{text} is not a number that fits here"))),
        }
    }

    /// The first value as a path of this machine.
    ///
    /// # Errors
    /// When it is a Windows path.
    pub(crate) fn path(&self, id: &str) -> Result<Option<PathBuf>> {
        self.first(id).map(host_path).transpose()
    }

    /// Every value as a path of this machine.
    ///
    /// # Errors
    /// When one is a Windows path.
    pub(crate) fn paths(&self, id: &str) -> Result<Vec<PathBuf>> {
        self.all(id).iter().map(|value| host_path(value)).collect()
    }
}

/// A number of bytes: decimal digits, and K, M, G or T (with or without `B` or `iB`) for binary
/// multiples.
pub(crate) fn size(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let shift = match unit.to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KB" | "KIB" => 10,
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        "T" | "TB" | "TIB" => 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// A value as text.
///
/// # Errors
/// When it is not UTF-8.
pub(crate) fn as_text(value: &OsStr) -> Result<&str> {
    value.to_str().ok_or_else(|| {
        Error::new(ErrorClass::Usage, format!("{} is not UTF-8 text", value.to_string_lossy()))
    })
}

/// A value as a path of this machine. A drive letter or a network share is never taken for a file
/// name with a backslash in it.
///
/// # Errors
/// When it is a Windows path.
pub(crate) fn host_path(value: &OsStr) -> Result<PathBuf> {
    let path = PathBuf::from(value);
    let windows = match value.as_bytes() {
        [letter, b':', b'\\', ..] | [letter, b':'] => letter.is_ascii_alphabetic(),
        [b'\\', b'\\', ..] => true,
        [letter, b':', b'/', ..] => letter.is_ascii_alphabetic() && !path.exists(),
        _ => false,
    };
    if windows {
        return Err(Error::new(
            ErrorClass::Usage,
            format!("{} is a Windows path, and this system has no such drives", value.to_string_lossy()),
        )
        .with_hint(
            "give the path where the file lies on this machine, or say where the drive lies: --map C:=/mnt/c",
        ));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_paths_are_refused() {
        for path in ["C:\\x.inf", "d:\\", "C:", "\\\\server\\share\\x.wim", "Q:/mount"] {
            let error = host_path(OsStr::new(path)).unwrap_err();
            assert_eq!(error.code().to_string(), "87", "{path}");
        }
        for path in ["/srv/C:/x", "install.wim:1", "a\\b", "x:y", "./C:"] {
            assert_eq!(host_path(OsStr::new(path)).unwrap(), PathBuf::from(path));
        }
    }

    #[test]
    fn sizes() {
        let cases = [
            ("0", Some(0)),
            ("4096", Some(4096)),
            ("512M", Some(512 << 20)),
            ("2g", Some(2 << 30)),
            ("3GiB", Some(3 << 30)),
            ("1tb", Some(1 << 40)),
            ("7B", Some(7)),
            ("", None),
            ("M", None),
            ("-1", None),
            ("1.5G", None),
            ("99999999999T", None),
            ("5\u{e4}", None),
        ];
        for (text, expected) in cases {
            assert_eq!(size(text), expected, "{text}");
        }
    }

    #[test]
    fn values_keep_their_order() {
        let mut values = Values::default();
        values.push("driver", "b");
        values.push("driver", "a");
        values.set("recurse");
        assert_eq!(values.paths("driver").unwrap(), [PathBuf::from("b"), PathBuf::from("a")]);
        assert!(values.has("recurse") && !values.has("all"));
        assert_eq!(values.number::<u8>("driver").unwrap_err().message(), "b is not a number that fits here");
    }
}
