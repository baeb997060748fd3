// SPDX-License-Identifier: GPL-3.0-or-later
//! INF files: text, sections, strings, models and install sections for a target.
//!
//! [`Inf::parse`] lexes; [`Inf::package`] says what the package would do on one kind of Windows.
//! The raw sections ([`Inf::sections`]) and the tokens ([`Inf::strings`]) are there for tools
//! that show an INF.
//!
//! Nothing here touches a file: included INFs come from an [`IncludeSource`], and the plan is
//! plain data. Every path in a plan is relative and stays below its folder.

#![cfg_attr(
    not(test),
    warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod decoration;
mod document;
mod error;
mod findings;
mod lexer;
mod models;
mod number;
mod package;
mod path;
mod plan;
mod registry;
mod scope;
mod service;
mod strings;
mod target;
mod text;
mod version;

pub use decoration::Decoration;
pub use document::{Line, Section};
pub use error::InfError;
pub use findings::{Finding, Level};
pub use plan::{
    Configuration, CopyFile, Device, EventLog, Filter, InfVersion, Interface, PackagePlan, PropertyAction,
    RegistryAction, RegistryOperation, Service, TokenText,
};
pub use strings::Strings;
pub use target::{Directories, IncludeSource, NoIncludes, PackageOptions, Target, UndecoratedModels};

use crate::base::Result;

/// A parsed INF.
#[derive(Clone, Debug)]
pub struct Inf {
    document: document::Document,
}

impl Inf {
    /// Lexes an INF and checks its signature. Text without a byte order mark is Windows-1252.
    ///
    /// # Errors
    /// What setupapi refuses: [`InfError`] gives its numbers, and the line is in the message.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        Self::parse_with_code_page(bytes, text::WESTERN)
    }

    /// As [`Inf::parse`], with the ANSI code page of the target's language.
    ///
    /// # Errors
    /// As [`Inf::parse`].
    pub fn parse_with_code_page(bytes: &[u8], code_page: u16) -> Result<Self> {
        let document = lexer::lex(&text::decode(bytes, code_page)?)?;
        version::check_signature(&document)?;
        Ok(Self { document })
    }

    /// The names of all sections in the order they first appear.
    pub fn section_names(&self) -> Vec<String> {
        self.sections().map(|section| section.name().to_owned()).collect()
    }

    /// All sections in the order they first appear; those of the same name are one.
    pub fn sections(&self) -> impl Iterator<Item = Section<'_>> {
        self.document.sections()
    }

    /// A section by its name, in any case.
    pub fn section(&self, name: &str) -> Option<Section<'_>> {
        self.document.section(name)
    }

    /// The tokens in a language.
    pub fn strings(&self, language: u16) -> Strings<'_> {
        Strings::new(&self.document, language)
    }

    /// `[Version]` for a target.
    ///
    /// # Errors
    /// When a field is too long or the catalog's path leaves the folder.
    pub fn version(&self, target: &Target) -> Result<InfVersion> {
        let directories = Directories::default();
        let budget = scope::Budget::default();
        let scope = scope::Scope::new(&self.document, target, &directories, &budget, String::new());
        Ok(version::read(&scope, target, &mut Vec::new())?)
    }

    /// Everything a driver package needs to be staged and reflected for this target; included
    /// INFs are taken as absent.
    ///
    /// # Errors
    /// As [`Inf::package_with`].
    pub fn package(&self, target: &Target) -> Result<PackagePlan> {
        self.package_with(target, &PackageOptions::default())
    }

    /// Everything a driver package needs to be staged and reflected for this target.
    ///
    /// # Errors
    /// When a path leaves the package's folder, a file list has no destination, something is
    /// out of all proportion, or an included INF is there but broken.
    pub fn package_with(&self, target: &Target, options: &PackageOptions<'_>) -> Result<PackagePlan> {
        package::plan(&self.document, target, options)
    }

    /// What is wrong with it, by InfVerif's numbers, in the order of its lines.
    pub fn check(&self, target: &Target, options: &PackageOptions<'_>) -> Vec<Finding> {
        let plan = self.package_with(target, options);
        let mut found = findings::check(&self.document, target, plan.as_ref().ok());
        found.extend(plan.err().map(|error| Finding::refused(&error)));
        found
    }

    /// Decorations of all `[Manufacturer]` lines, each once, in order: what the INF is for.
    pub fn offered(&self) -> Vec<Decoration> {
        models::offered(&self.document)
    }
}
