// SPDX-License-Identifier: GPL-3.0-or-later
//! `--map C:=/mnt/c`: Windows paths on the command line become paths of this machine.
//!
//! The part behind the drive keeps its components; each one that does not exist as written is
//! looked for in any case, as Windows would.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use super::invocation::Invocation;
use super::table::{GLOBALS, Kind};
use super::values::Values;
use crate::base::Result;
use crate::base::{Error, ErrorClass};

/// Drives and shares, and where they lie here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DriveMap(Vec<(Vec<u8>, PathBuf)>);

impl DriveMap {
    /// Reads `C:=/mnt/c`, or several of them separated by semicolons.
    ///
    /// # Errors
    /// When one is not of this form.
    pub(crate) fn parse<'a>(values: impl IntoIterator<Item = &'a OsString>) -> Result<Self> {
        let mut map = Self::default();
        for value in values {
            for entry in value.as_bytes().split(|byte| *byte == b';').filter(|entry| !entry.is_empty()) {
                map.0.push(entry_of(entry).ok_or_else(|| {
                    Error::new(
                        ErrorClass::Usage,
                        format!("{} does not say where a drive lies", String::from_utf8_lossy(entry)),
                    )
                    .with_hint("as in: --map C:=/mnt/c, or --map '\\\\server\\share=/mnt/share'")
                })?);
            }
        }
        Ok(map)
    }

    /// The path of this machine that a Windows path means, if its drive or share is known.
    pub(crate) fn translate(&self, value: &OsStr) -> Option<OsString> {
        let bytes: Vec<u8> =
            value.as_bytes().iter().map(|byte| if *byte == b'/' { b'\\' } else { *byte }).collect();
        self.0.iter().find_map(|(prefix, directory)| {
            let (head, rest) = bytes.split_at_checked(prefix.len())?;
            let whole = rest.is_empty() || rest.starts_with(b"\\");
            if !whole || !head.eq_ignore_ascii_case(prefix) {
                return None;
            }
            let mut path = directory.clone();
            for component in rest.split(|byte| *byte == b'\\').filter(|component| !component.is_empty()) {
                let exact = path.join(OsStr::from_bytes(component));
                path = if exact.exists() { exact } else { in_any_case(&path, component).unwrap_or(exact) };
            }
            Some(path.into_os_string())
        })
    }

    /// Translates every path of an invocation.
    pub(crate) fn apply(&self, invocation: &mut Invocation) {
        if self.0.is_empty() {
            return;
        }
        let paths = |values: &mut Values, ids: Vec<&'static str>| {
            for id in ids {
                values.map(id, |value| self.translate(value));
            }
        };
        let ids = |arguments: &'static [super::table::Argument]| {
            arguments
                .iter()
                .filter(|argument| argument.kind == Kind::Path)
                .map(|argument| argument.id)
                .collect()
        };
        paths(&mut invocation.globals, ids(GLOBALS));
        for step in &mut invocation.steps {
            paths(&mut step.values, ids(step.command.arguments));
        }
    }
}

fn entry_of(entry: &[u8]) -> Option<(Vec<u8>, PathBuf)> {
    let equals = entry.iter().position(|byte| *byte == b'=')?;
    let (name, directory) = (entry.get(..equals)?, entry.get(equals + 1..)?);
    let name: Vec<u8> = name.iter().map(|byte| if *byte == b'/' { b'\\' } else { *byte }).collect();
    let name = name.strip_suffix(b"\\").unwrap_or(&name).to_vec();
    let known = match name.as_slice() {
        [letter, b':'] => letter.is_ascii_alphabetic(),
        [b'\\', b'\\', share @ ..] => !share.is_empty(),
        _ => false,
    };
    (known && !directory.is_empty()).then(|| (name, PathBuf::from(OsString::from_vec(directory.to_vec()))))
}

/// The only entry of a directory that has this name in another case.
fn in_any_case(directory: &std::path::Path, name: &[u8]) -> Option<PathBuf> {
    let mut found = None;
    for entry in std::fs::read_dir(directory).ok()?.flatten() {
        if entry.file_name().as_bytes().eq_ignore_ascii_case(name) {
            if found.is_some() {
                return None;
            }
            found = Some(entry.path());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drives_and_shares() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir_all(root.join("Images")).unwrap();
        std::fs::write(root.join("Images/Install.wim"), "").unwrap();
        let values = [
            OsString::from(format!("C:={}", root.display())),
            OsString::from(format!("d:\\=/mnt/d;\\\\server\\share={}", root.display())),
        ];
        let map = DriveMap::parse(&values).unwrap();
        let cases = [
            ("C:\\Images\\Install.wim", Some(root.join("Images/Install.wim"))),
            ("c:\\images\\INSTALL.WIM", Some(root.join("Images/Install.wim"))),
            ("C:/images/new.wim", Some(root.join("Images/new.wim"))),
            ("C:\\", Some(root.to_path_buf())),
            ("C:", Some(root.to_path_buf())),
            ("D:\\a b\\x", Some(PathBuf::from("/mnt/d/a b/x"))),
            ("\\\\SERVER\\share\\images", Some(root.join("Images"))),
            ("\\\\server\\shared\\x", None),
            ("C:x", None),
            ("E:\\x", None),
            ("/mnt/c", None),
        ];
        for (value, expected) in cases {
            assert_eq!(map.translate(OsStr::new(value)), expected.map(PathBuf::into_os_string), "{value}");
        }
    }

    #[test]
    fn two_names_of_one_spelling_are_not_guessed() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.wim", "A.wim"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let map = DriveMap::parse(&[OsString::from(format!("C:={}", folder.path().display()))]).unwrap();
        assert_eq!(
            map.translate(OsStr::new("C:\\A.WIM")),
            Some(folder.path().join("A.WIM").into_os_string())
        );
    }

    #[test]
    fn what_is_no_map() {
        for value in ["C", "C:", "C:=", "=/mnt", "CD:=/x", "/mnt=/x"] {
            let error = DriveMap::parse(&[OsString::from(value)]).unwrap_err();
            assert_eq!(error.code().to_string(), "87", "{value}");
        }
    }
}
