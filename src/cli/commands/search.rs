// SPDX-License-Identifier: GPL-3.0-or-later
//! What a query asks for: one value, types, a text and where to look for it.

use super::super::values::Values;
use crate::base::{Code, Error, ErrorClass, Result, WinName, name};
use crate::hive::{KeyListing, Layer, Listing, Search, ValueType};
use crate::report::RegistryListing;

/// The words of a query.
#[derive(Debug, Default)]
pub(super) struct Query {
    value: Option<Vec<u16>>,
    types: Vec<ValueType>,
    text: Option<Vec<u16>>,
    recursive: bool,
    in_keys: bool,
    in_names: bool,
    in_data: bool,
    case_sensitive: bool,
    exact: bool,
    separator: Option<String>,
    numbered: bool,
}

impl Query {
    /// Reads them; `text` names the value that holds the text.
    pub(super) fn read(values: &Values, text: &str) -> Result<Self> {
        let mut types = Vec::new();
        for word in values.text("type")?.unwrap_or_default().split([',', ' ']).filter(|word| !word.is_empty())
        {
            types.push(ValueType::parse(word).ok_or_else(|| {
                Error::new(ErrorClass::Usage, format!("{word:?} is no type of a registry value"))
                    .with_hint("separate types by commas, as in REG_SZ,REG_DWORD")
            })?);
        }
        let query = Self {
            value: super::hive::value_name(values)?.map(name::units),
            types,
            text: values.text(text)?.map(name::units),
            recursive: values.has("recursive"),
            in_keys: values.has("in_keys"),
            in_names: values.has("in_names"),
            in_data: values.has("in_data"),
            case_sensitive: values.has("case"),
            exact: values.has("exact"),
            separator: values.text("separator")?.map(str::to_owned),
            numbered: values.has("numbered"),
        };
        let only_for_texts = [
            ("in-keys", query.in_keys),
            ("in-names", query.in_names),
            ("in-data", query.in_data),
            ("case", query.case_sensitive),
            ("exact", query.exact),
        ];
        if query.text.is_none()
            && let Some((option, _)) = only_for_texts.iter().find(|(_, given)| *given)
        {
            return Err(Error::new(
                ErrorClass::Usage,
                format!("--{option} says how to look for a text, and none was given"),
            )
            .with_code(Code::INVALID_PARAMETER)
            .with_hint("give the text with --find"));
        }
        Ok(query)
    }

    /// As the hive understands it.
    pub(super) fn listing(&self) -> Listing<'_> {
        let everywhere = !self.in_keys && !self.in_names && !self.in_data;
        Listing {
            recursive: self.recursive,
            value: self.value.as_deref(),
            types: &self.types,
            search: self.text.as_deref().map(|text| Search {
                text,
                in_keys: self.in_keys || everywhere,
                in_names: self.in_names || everywhere,
                in_data: self.in_data || everywhere,
                case_sensitive: self.case_sensitive,
                exact: self.exact,
            }),
        }
    }

    /// What was found below `path`.
    pub(super) fn found(&self, keys: Vec<KeyListing>, path: &str) -> Result<RegistryListing> {
        let searched = self.text.is_some();
        if keys.is_empty() && !searched && self.types.is_empty() {
            return Err(super::hive::no_value(
                path,
                &self.value.as_deref().map(name::display).unwrap_or_default(),
            ));
        }
        let mut report = RegistryListing::new(keys);
        if searched && report.keys.is_empty() {
            // The status that reg.exe ends with.
            report.error = Some(
                Error::new(ErrorClass::NotFound, format!("nothing below {path} holds the text"))
                    .with_code(Code::win32(1))
                    .with_hint("look below another key, or without --case and --exact"),
            );
        }
        if let Some(separator) = &self.separator {
            report.separator.clone_from(separator);
        }
        report.numbered = self.numbered;
        report.searched = searched;
        Ok(report)
    }
}

/// A key of the registry's own, whose subkeys are hives.
pub(super) fn top_key(path: &str, subkeys: Vec<WinName>) -> RegistryListing {
    RegistryListing::new(vec![KeyListing {
        key: path.into(),
        last_written: Default::default(),
        class: Vec::new(),
        link: None,
        layer: Layer::Merged,
        values: Vec::new(),
        subkeys,
    }])
}
