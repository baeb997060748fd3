// SPDX-License-Identifier: GPL-3.0-or-later
//! `[Manufacturer]` and the models sections it leads to.
//!
//! Each line gives at most one models section: of its applicable decorations the closest. A
//! chosen section that is empty or missing means that the target is not supported.

use std::collections::HashSet;

use super::decoration::Decoration;
use super::document::{Document, Section};
use super::plan::TokenText;
use super::scope::Scope;
use super::{InfError, UndecoratedModels};

/// The models section that one `[Manufacturer]` line gives for the target.
pub(super) struct Models<'a> {
    pub(super) manufacturer: TokenText,
    pub(super) decoration: Decoration,
    pub(super) section: Section<'a>,
}

/// Decorations of all lines, each once; an undecorated section only where it exists.
pub(super) fn offered(document: &Document) -> Vec<Decoration> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let Some(section) = document.section("Manufacturer") else { return found };
    for line in section.lines() {
        let plain = document.section(line.field(1)).map(|_| Decoration::default());
        let decorated = line.fields().skip(1).filter_map(Decoration::parse);
        for decoration in plain.into_iter().chain(decorated) {
            if seen.insert(decoration) {
                found.push(decoration);
            }
        }
    }
    found
}

pub(super) fn select<'a>(
    scope: &Scope<'a>,
    undecorated: UndecoratedModels,
    warnings: &mut Vec<String>,
) -> Result<Vec<Models<'a>>, InfError> {
    let any_arch = undecorated == UndecoratedModels::AnyArch;
    let mut selected = Vec::new();
    let Some(section) = scope.section("Manufacturer") else { return Ok(selected) };
    for line in section.lines() {
        let fields = scope.fields(&line)?;
        let Some((base, decorations)) = fields.split_first() else { continue };
        let plain = Decoration::default();
        let plain = (plain.fits_models(scope.target, any_arch)
            && (decorations.is_empty() || scope.section(base).is_some()))
        .then(|| (plain, base.clone()));
        let mut best = plain;
        for text in decorations.iter().filter(|text| !text.is_empty()) {
            let Some(decoration) = Decoration::parse(text) else {
                warnings.push(format!("line {}: {text:?} is no decoration", line.number()));
                continue;
            };
            let closer = best.as_ref().is_none_or(|(other, _)| decoration.closeness() > other.closeness());
            if closer && decoration.fits_models(scope.target, any_arch) {
                best = Some((decoration, format!("{base}.{text}")));
            }
        }
        let Some((decoration, name)) = best else { continue };
        let Some(section) = scope.section(&name) else {
            warnings.push(format!("line {}: there is no models section [{name}]", line.number()));
            continue;
        };
        let manufacturer = scope.token_text(line.key().unwrap_or_default(), line.number())?;
        selected.push(Models { manufacturer, decoration, section });
    }
    Ok(selected)
}
