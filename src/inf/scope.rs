// SPDX-License-Identifier: GPL-3.0-or-later
//! One INF read for one target: look-ups with the tokens put in.

use std::cell::OnceCell;
use std::collections::HashMap;

use super::decoration;
use super::document::{Document, Line, Section, fold, same};
use super::plan::TokenText;
use super::strings::Strings;
use super::{Directories, InfError, Target};

pub(super) struct Scope<'a> {
    pub(super) document: &'a Document,
    pub(super) strings: Strings<'a>,
    pub(super) target: &'a Target,
    pub(super) directories: &'a Directories,
    /// Upper-case file name of an included INF; empty for the package's own.
    pub(super) inf: String,
    /// `[SourceDisksFiles]`, the architecture's own first: folded file name to disk and folder.
    disk_files: OnceCell<HashMap<String, Line<'a>>>,
}

impl<'a> Scope<'a> {
    pub(super) fn new(
        document: &'a Document,
        target: &'a Target,
        directories: &'a Directories,
        inf: String,
    ) -> Self {
        let strings = Strings::new(document, target.language);
        Self { document, strings, target, directories, inf, disk_files: OnceCell::new() }
    }

    /// Whether this is an included INF.
    pub(super) fn is_external(&self) -> bool {
        !self.inf.is_empty()
    }

    pub(super) fn expand(&self, text: &str, line: u32) -> Result<String, InfError> {
        let directory = |dirid| self.directories.path(dirid);
        self.strings.expand(text, line, &directory).map(|text| text.into_owned())
    }

    /// Puts in the tokens, but leaves directory ids as they are.
    pub(super) fn expand_tokens(&self, text: &str, line: u32) -> Result<String, InfError> {
        self.strings.expand(text, line, &|_| None).map(|text| text.into_owned())
    }

    pub(super) fn token_text(&self, text: &str, line: u32) -> Result<TokenText, InfError> {
        let token = self.strings.sole_token(text).map(str::to_owned);
        Ok(TokenText { token, text: self.expand(text, line)? })
    }

    /// The field at `position`, counted from 1.
    pub(super) fn field(&self, line: &Line<'_>, position: usize) -> Result<String, InfError> {
        self.expand(line.field(position), line.number())
    }

    pub(super) fn fields(&self, line: &Line<'_>) -> Result<Vec<String>, InfError> {
        line.fields().map(|field| self.expand(field, line.number())).collect()
    }

    pub(super) fn section(&self, name: &str) -> Option<Section<'a>> {
        self.document.section(name)
    }

    /// The first line of this key.
    pub(super) fn find(&self, section: &str, key: &str) -> Option<Line<'a>> {
        self.section(section)?.lines().find(|line| line.key().is_some_and(|found| self.is_key(found, key)))
    }

    pub(super) fn is_key(&self, found: &str, key: &str) -> bool {
        same(found, key)
            || (found.contains('%') && self.expand(found, 0).is_ok_and(|expanded| same(&expanded, key)))
    }

    /// The field at `position` of the first line of this key, and the line's number.
    pub(super) fn value(
        &self,
        section: &str,
        key: &str,
        position: usize,
    ) -> Result<Option<(String, u32)>, InfError> {
        self.find(section, key).map(|line| Ok((self.field(&line, position)?, line.number()))).transpose()
    }

    /// The install section for the target that `base` leads to: the closest of `base.NT...`,
    /// else `base` itself.
    pub(super) fn install_section(&self, base: &str) -> Option<Section<'a>> {
        self.document
            .decorated(base)
            .into_iter()
            .filter_map(|section| Some((decoration::of_section(base, &section)?, section)))
            .filter(|(decoration, _)| decoration.fits_install(self.target))
            .max_by_key(|(decoration, _)| decoration.closeness())
            .map(|(_, section)| section)
            .or_else(|| self.section(base))
    }

    /// The `[SourceDisksFiles]` line of a file.
    pub(super) fn disk_file(&self, name: &str) -> Option<Line<'a>> {
        let files = self.disk_files.get_or_init(|| {
            let mut files = HashMap::new();
            for section in [format!("SourceDisksFiles.{}", self.target.arch), "SourceDisksFiles".into()] {
                for line in self.section(&section).into_iter().flat_map(|section| section.lines()) {
                    if let Some(key) = line.key() {
                        let key = if key.contains('%') {
                            self.expand(key, 0).unwrap_or_default()
                        } else {
                            key.into()
                        };
                        files.entry(fold(&key)).or_insert(line);
                    }
                }
            }
            files
        });
        files.get(fold(name).as_str()).copied()
    }

    /// The `[SourceDisksNames]` line of a disk.
    pub(super) fn disk(&self, id: &str) -> Option<Line<'a>> {
        let number = super::number::number(id);
        [format!("SourceDisksNames.{}", self.target.arch), "SourceDisksNames".into()]
            .iter()
            .filter_map(|section| self.section(section))
            .flat_map(|section| section.lines())
            .find(|line| {
                line.key().is_some_and(|key| {
                    same(key, id) || (number.is_some() && super::number::number(key) == number)
                })
            })
    }
}
