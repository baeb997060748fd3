// SPDX-License-Identifier: GPL-3.0-or-later
//! One INF read for one target: look-ups with the tokens put in.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use super::decoration;
use super::document::{Document, Line, Section, fold};
use super::number::number;
use super::plan::TokenText;
use super::strings::Strings;
use super::{Directories, InfError, Target};

/// The most bytes of text that one INF may expand to on one target: far above the largest real
/// one (a printer INF of some thousand install sections), far below what memory holds.
const EXPANSION_LIMIT: u64 = 128 << 20;

/// Counts what is made out of an INF, so that lists of lists and tokens of tokens end.
#[derive(Default)]
pub(super) struct Budget(Cell<u64>);

impl Budget {
    /// What any step costs besides its text.
    const STEP: usize = 32;

    pub(super) fn spend(&self, line: u32, bytes: usize) -> Result<(), InfError> {
        let spent = self.0.get().saturating_add((bytes + Self::STEP) as u64);
        self.0.set(spent);
        if spent > EXPANSION_LIMIT {
            return Err(InfError::ExpansionLimit { line, limit: EXPANSION_LIMIT });
        }
        Ok(())
    }
}

pub(super) struct Scope<'a> {
    pub(super) document: &'a Document,
    pub(super) strings: Strings<'a>,
    pub(super) target: &'a Target,
    pub(super) directories: &'a Directories,
    pub(super) budget: &'a Budget,
    /// Upper-case file name of an included INF; empty for the package's own.
    pub(super) inf: String,
    /// Of each section that was looked into: its lines by their keys, the first of each.
    keys: RefCell<HashMap<String, HashMap<String, Line<'a>>>>,
}

impl<'a> Scope<'a> {
    pub(super) fn new(
        document: &'a Document,
        target: &'a Target,
        directories: &'a Directories,
        budget: &'a Budget,
        inf: String,
    ) -> Self {
        let strings = Strings::new(document, target.language);
        Self { document, strings, target, directories, budget, inf, keys: RefCell::default() }
    }

    /// Whether this is an included INF.
    pub(super) fn is_external(&self) -> bool {
        !self.inf.is_empty()
    }

    pub(super) fn expand(&self, text: &str, line: u32) -> Result<String, InfError> {
        let directory = |dirid| self.directories.path(dirid);
        self.expand_with(text, line, &directory)
    }

    /// Puts in the tokens, but leaves directory ids as they are.
    pub(super) fn expand_tokens(&self, text: &str, line: u32) -> Result<String, InfError> {
        self.expand_with(text, line, &|_| None)
    }

    fn expand_with(
        &self,
        text: &str,
        line: u32,
        directory: &dyn Fn(u32) -> Option<String>,
    ) -> Result<String, InfError> {
        let text = self.strings.expand(text, line, directory)?;
        self.budget.spend(line, text.len())?;
        Ok(text.into_owned())
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
        let mut known = self.keys.borrow_mut();
        let lines = known.entry(fold(section)).or_insert_with(|| {
            let mut lines = HashMap::new();
            for line in self.section(section).into_iter().flat_map(|section| section.lines()) {
                if let Some(key) = line.key() {
                    lines.entry(fold(&self.key(key, line.number()))).or_insert(line);
                }
            }
            lines
        });
        lines.get(fold(key).as_str()).copied()
    }

    /// A key with its tokens put in; as it is where they do not fit into a field.
    pub(super) fn key<'t>(&self, key: &'t str, line: u32) -> Cow<'t, str> {
        if !key.contains('%') {
            return Cow::Borrowed(key);
        }
        self.expand(key, line).map_or(Cow::Borrowed(key), Cow::Owned)
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

    /// The `[SourceDisksFiles]` line of a file, the architecture's own section first.
    pub(super) fn disk_file(&self, name: &str) -> Option<Line<'a>> {
        self.find(&format!("SourceDisksFiles.{}", self.target.arch), name)
            .or_else(|| self.find("SourceDisksFiles", name))
    }

    /// The `[SourceDisksNames]` line of a disk, whose number may be written in any way.
    pub(super) fn disk(&self, id: &str) -> Option<Line<'a>> {
        let number = number(id).map(|number| number.to_string());
        [format!("SourceDisksNames.{}", self.target.arch), "SourceDisksNames".into()].iter().find_map(
            |section| {
                self.find(section, id).or_else(|| self.find(section, number.as_deref().unwrap_or_default()))
            },
        )
    }
}
