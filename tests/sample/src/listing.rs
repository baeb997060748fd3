// SPDX-License-Identifier: GPL-3.0-or-later
//! The tree of an image as `wimlib-imagex dir --detailed` tells it: what another program sees.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};

use crate::tool;

/// What is said of each path, without what belongs to the file rather than the tree: offsets,
/// compressed sizes, reference counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing(pub BTreeMap<String, String>);

/// Lines about where data is stored.
const STORAGE: &[&str] = &["Compressed size", "Offset in WIM", "Part Number", "Reference Count", "Flags  "];

impl Listing {
    /// Asks the installed `wimlib-imagex`.
    ///
    /// # Errors
    /// When it is not installed or cannot read the image.
    pub fn of(wim: &Path, image: u32) -> Result<Self> {
        let mut command = tool::command("wimlib-imagex")?;
        command.arg("dir").arg(wim).args([&image.to_string(), "--detailed"]);
        Self::parse(&tool::run(&mut command)?)
    }

    fn parse(text: &str) -> Result<Self> {
        let mut entries: BTreeMap<String, String> = BTreeMap::new();
        let mut path = None;
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("Full Path           = \"") {
                path = Some(rest.strip_suffix('"').context("a path ends in a quote")?.to_owned());
                entries.insert(path.clone().unwrap_or_default(), String::new());
            } else if let Some(path) = &path
                && !line.starts_with("---")
                && !STORAGE.iter().any(|word| line.starts_with(word))
            {
                let entry = entries.entry(path.clone()).or_default();
                entry.push_str(line);
                entry.push('\n');
            }
        }
        anyhow::ensure!(!entries.is_empty(), "wimlib-imagex listed nothing");
        Ok(Self(entries))
    }

    /// Paths that are only in `self`, only in `other`, and in both but not equal.
    pub fn compare(&self, other: &Self) -> Comparison {
        let without = |one: &Self, two: &Self| -> Vec<String> {
            one.0.keys().filter(|path| !two.0.contains_key(*path)).cloned().collect()
        };
        let changed = self.0.iter().filter(|(path, said)| other.0.get(*path).is_some_and(|new| new != *said));
        Comparison {
            removed: without(self, other),
            added: without(other, self),
            changed: changed.map(|(path, _)| path.clone()).collect(),
        }
    }

    /// Whether an entry is a directory.
    pub fn is_directory(&self, path: &str) -> bool {
        self.0.get(path).is_some_and(|said| said.contains("FILE_ATTRIBUTE_DIRECTORY is set"))
    }
}

/// How two listings differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Gone.
    pub removed: Vec<String>,
    /// New.
    pub added: Vec<String>,
    /// In both, and not equal.
    pub changed: Vec<String>,
}

/// Lets the installed `wimlib-imagex` read and hash the whole file.
///
/// # Errors
/// When it finds anything wrong.
pub fn verify(wim: &Path) -> Result<()> {
    tool::run(tool::command("wimlib-imagex")?.arg("verify").arg(wim)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storage_is_left_out_and_differences_are_named() {
        let text = |offset: u32, hash: &str, name: &str| {
            format!(
                "----\nFull Path           = \"/a\"\nAttributes          = 0x00000020\n\
                 Hash              = {hash}\nOffset in WIM     = {offset} bytes\n\
                 ----\nFull Path           = \"/{name}\"\nAttributes          = 0x00000010\n    \
                 FILE_ATTRIBUTE_DIRECTORY is set\n"
            )
        };
        let old = Listing::parse(&text(1, "0x11", "b")).unwrap();
        assert_eq!(old, Listing::parse(&text(2, "0x11", "b")).unwrap());
        assert!(old.is_directory("/b") && !old.is_directory("/a"));
        let new = Listing::parse(&text(1, "0x12", "c")).unwrap();
        assert_eq!(
            old.compare(&new),
            Comparison { removed: vec!["/b".into()], added: vec!["/c".into()], changed: vec!["/a".into()] }
        );
    }
}
