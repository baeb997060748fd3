// SPDX-License-Identifier: GPL-3.0-or-later
//! The lock of a recipe.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Page, Report};

/// The inputs of a recipe, as they were locked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipeLock {
    /// The lock.
    pub file: PathBuf,
    /// SHA-256 in hexadecimal digits, by path below the recipe's folder.
    pub inputs: BTreeMap<String, String>,
}

impl Report for RecipeLock {
    fn json(&self) -> Value {
        json!({ "lock": self.file.display().to_string(), "inputs": self.inputs })
    }

    fn dism(&self, page: &mut Page) {
        self.native(page);
    }

    fn native(&self, page: &mut Page) {
        page.line(format_args!(
            "{}: {} locked",
            self.file.display(),
            page.counted(self.inputs.len() as u64, "input")
        ));
    }
}
