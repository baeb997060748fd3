// SPDX-License-Identifier: GPL-3.0-or-later
//! The lexed form of an INF: sections of lines of fields, in one buffer of text.

use std::collections::BTreeMap;
use std::ops::Bound;

/// A piece of [`Document::text`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

#[derive(Clone, Debug)]
pub(super) struct LineData {
    pub(super) key: Option<Span>,
    /// The fields after the key: a run of [`Document::fields`].
    pub(super) first_field: u32,
    pub(super) field_count: u32,
    pub(super) number: u32,
}

#[derive(Clone, Debug)]
pub(super) struct SectionData {
    pub(super) name: Span,
    pub(super) number: u32,
    pub(super) lines: Vec<LineData>,
}

/// All that the lexer found. Same-named sections are one section.
#[derive(Clone, Debug, Default)]
pub(super) struct Document {
    pub(super) text: String,
    pub(super) fields: Vec<Span>,
    pub(super) sections: Vec<SectionData>,
    /// Section names in upper case, to their position.
    pub(super) index: BTreeMap<Box<str>, usize>,
}

impl Document {
    pub(super) fn slice(&self, span: Span) -> &str {
        // Every span was taken from this very text, at character borders.
        self.text.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    pub(super) fn section(&self, name: &str) -> Option<Section<'_>> {
        let data = self.sections.get(*self.index.get(fold(name).as_str())?)?;
        Some(Section { document: self, data })
    }

    /// Sections named `base.NT...`, in the order of their names.
    pub(super) fn decorated(&self, base: &str) -> Vec<Section<'_>> {
        let prefix = format!("{}.NT", fold(base)).into_boxed_str();
        self.index
            .range::<str, _>((Bound::Included(&*prefix), Bound::Unbounded))
            .take_while(|(name, _)| name.starts_with(&*prefix))
            .filter_map(|(_, position)| self.sections.get(*position))
            .map(|data| Section { document: self, data })
            .collect()
    }

    pub(super) fn sections(&self) -> impl Iterator<Item = Section<'_>> {
        self.sections.iter().map(|data| Section { document: self, data })
    }
}

/// A section of an INF, as written: nothing is substituted.
#[derive(Clone, Copy)]
pub struct Section<'a> {
    document: &'a Document,
    data: &'a SectionData,
}

impl<'a> Section<'a> {
    /// The name in the INF's own spelling.
    pub fn name(&self) -> &'a str {
        self.document.slice(self.data.name)
    }

    /// The line its (first) header stands on.
    pub fn number(&self) -> u32 {
        self.data.number
    }

    /// Its lines, those of all sections of this name together.
    pub fn lines(&self) -> impl Iterator<Item = Line<'a>> + use<'a> {
        let document = self.document;
        self.data.lines.iter().map(move |data| Line { document, data })
    }

    /// Whether it has no line.
    pub fn is_empty(&self) -> bool {
        self.data.lines.is_empty()
    }
}

/// A line of an INF, as written: nothing is substituted.
#[derive(Clone, Copy)]
pub struct Line<'a> {
    document: &'a Document,
    data: &'a LineData,
}

impl<'a> Line<'a> {
    /// What stands before `=`. A line of one value is key and value at once; a line of several
    /// values has no key.
    pub fn key(&self) -> Option<&'a str> {
        self.data.key.map(|span| self.document.slice(span))
    }

    /// The values in order.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = &'a str> + use<'a> {
        let document = self.document;
        let start = self.data.first_field as usize;
        let end = start + self.data.field_count as usize;
        document.fields.get(start..end).unwrap_or_default().iter().map(|span| document.slice(*span))
    }

    /// The value at `position`, counted from 1 as setupapi does; empty when there is none.
    pub fn field(&self, position: usize) -> &'a str {
        position.checked_sub(1).and_then(|index| self.fields().nth(index)).unwrap_or_default()
    }

    /// Where it begins, counted from 1.
    pub fn number(&self) -> u32 {
        self.data.number
    }
}

/// The form in which names are compared: upper case, character for character as Windows has it.
pub(super) fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_uppercase();
    }
    text.chars()
        .map(|character| {
            u16::try_from(u32::from(character))
                .ok()
                .and_then(|unit| char::from_u32(u32::from(crate::base::name::upcase(unit))))
                .unwrap_or(character)
        })
        .collect()
}

/// Whether two names are the same to Windows.
pub(super) fn same(left: &str, right: &str) -> bool {
    left.eq_ignore_ascii_case(right) || (!(left.is_ascii() && right.is_ascii()) && fold(left) == fold(right))
}
