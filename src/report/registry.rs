// SPDX-License-Identifier: GPL-3.0-or-later
//! Keys and values, and what was done to them, in the layout of Windows' `reg.exe`.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::changes::{Meaning, data_json, hexadecimal, kind_name, meaning, put_name};
use super::json::{iso_times, to_value};
use super::{ChangeList, Page, Report};
use crate::base::{Error, ErrorClass, FileTime, name};
use crate::hive::{Applied, Finding, KeyListing, Layer, OpenState, Severity};

/// Keys with their values.
#[derive(Clone, Debug)]
pub struct RegistryListing {
    /// In the order of the tree.
    pub keys: Vec<KeyListing>,
    /// What stands between the strings of a `REG_MULTI_SZ`.
    pub separator: String,
    /// Types are shown with their numbers.
    pub numbered: bool,
    /// Whether it is the result of a search, whose matches are counted.
    pub searched: bool,
    /// Why the run fails although there is a list.
    pub error: Option<Error>,
}

impl RegistryListing {
    /// A list without a search.
    pub fn new(keys: Vec<KeyListing>) -> Self {
        Self { keys, separator: "\\0".to_owned(), numbered: false, searched: false, error: None }
    }

    fn matches(&self) -> usize {
        self.keys.iter().map(|key| (key.values.len() + key.subkeys.len()).max(1)).sum()
    }
}

impl Report for RegistryListing {
    fn json(&self) -> Value {
        let keys = self.keys.iter().map(|key| {
            let values = key.values.iter().map(|value| {
                let mut object = data_json(value.kind.0, &value.data);
                put_name(&mut object, "name", value.name.units());
                object
            });
            let class = (!key.class.is_empty()).then(|| name::display(&name::units_from_le(&key.class)));
            let mut object = json!({
                "last_written": key.last_written.0,
                "class": class,
                "link": key.link.as_ref().map(ToString::to_string),
                "layer": key.layer,
                "values": values.collect::<Vec<_>>(),
                "subkeys": key.subkeys.iter().map(ToString::to_string).collect::<Vec<_>>(),
            });
            put_name(&mut object, "key", key.key.units());
            iso_times(&mut object, &["last_written"]);
            object
        });
        let mut report = json!({ "keys": keys.collect::<Vec<_>>() });
        if let (true, Some(report)) = (self.searched, report.as_object_mut()) {
            report.insert("matches".to_owned(), self.matches().into());
        }
        report
    }

    fn dism(&self, page: &mut Page) {
        self.native(page);
        page.blank();
    }

    fn native(&self, page: &mut Page) {
        if self.keys.is_empty() && !self.searched {
            page.line("Nothing was found.");
        }
        for (position, key) in self.keys.iter().enumerate() {
            if position > 0 {
                page.blank();
            }
            let path = name::display(key.key.units());
            page.line(one_line(&path));
            if let Some(link) = &key.link {
                page.line(format_args!("    (a symbolic link to {})", one_line(&link.to_string())));
            }
            if key.layer != Layer::Merged {
                let layer = serde_json::to_value(key.layer).unwrap_or_default();
                page.line(format_args!("    (layer: {})", layer.as_str().unwrap_or_default()));
            }
            for value in &key.values {
                let name = match value.name.is_empty() {
                    true => "(Default)".to_owned(),
                    false => one_line(&name::display(value.name.units())),
                };
                let data = match meaning(value.kind.0, &value.data) {
                    Meaning::Text(text) => one_line(&text),
                    Meaning::Texts(texts) => one_line(&texts.join(&self.separator)),
                    Meaning::Number(number) => format!("0x{number:x}"),
                    Meaning::Bytes => hexadecimal(&value.data).to_uppercase(),
                };
                let mut kind = kind_name(value.kind.0);
                if self.numbered {
                    kind.push_str(&format!(" ({})", value.kind.0));
                }
                let line = format!("    {name}    {kind}    {data}");
                page.line(line.trim_end());
            }
            if !key.subkeys.is_empty() {
                page.blank();
            }
            for subkey in &key.subkeys {
                page.line(one_line(&format!("{path}\\{subkey}")));
            }
        }
        if self.searched {
            if !self.keys.is_empty() {
                page.blank();
            }
            page.line(format_args!("End of search: {} match(es) found.", self.matches()));
        }
    }

    fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }
}

/// Control characters escaped: they must not reach a terminal.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() {
            line.extend(letter.escape_default());
        } else {
            line.push(letter);
        }
    }
    line
}

/// What an edit of the registry did.
#[derive(Clone, Debug)]
pub struct RegistryEdit {
    /// The hive file, if it was one; nothing for an image, whose commit is told by itself.
    pub file: Option<PathBuf>,
    /// What was done.
    pub applied: Applied,
    /// Whether the file had to be written.
    pub written: bool,
    /// What would change, for a dry run on a file.
    pub changes: Option<ChangeList>,
    /// Nothing was written because that was asked for.
    pub dry_run: bool,
    /// What is not exact.
    pub exceptions: Vec<String>,
}

impl Report for RegistryEdit {
    fn json(&self) -> Value {
        json!({
            "file": self.file.as_ref().map(|file| file.to_string_lossy()),
            "applied": to_value(&self.applied),
            "written": self.written,
            "dry_run": self.dry_run,
            "changes": self.changes.as_ref().map(Report::json),
        })
    }

    fn dism(&self, page: &mut Page) {
        self.native(page);
        page.blank();
    }

    fn native(&self, page: &mut Page) {
        let Applied { keys_created, keys_deleted, values_set, values_deleted } = self.applied;
        page.line(format_args!(
            "{} created, {} deleted; {} set, {} deleted.",
            page.counted(keys_created, "key"),
            page.number(keys_deleted),
            page.counted(values_set, "value"),
            page.number(values_deleted),
        ));
        if let Some(changes) = &self.changes {
            changes.native(page);
        }
        match &self.file {
            Some(file) if self.written => page.line(format_args!("{} saved", file.display())),
            Some(file) if !self.dry_run => page.line(format_args!("{} is as it was", file.display())),
            _ => {}
        }
    }

    fn exceptions(&self) -> Vec<String> {
        self.exceptions.clone()
    }
}

/// `.reg` text that was made.
#[derive(Clone, Debug)]
pub struct RegTextReport {
    /// The file it went to; nothing where it is shown.
    pub file: Option<PathBuf>,
    /// The text, where it is shown.
    pub text: String,
    /// Keys in it.
    pub keys: u64,
    /// Values in it.
    pub values: u64,
}

impl Report for RegTextReport {
    fn json(&self) -> Value {
        json!({
            "file": self.file.as_ref().map(|file| file.to_string_lossy()),
            "text": self.file.is_none().then_some(&self.text),
            "keys": self.keys,
            "values": self.values,
        })
    }

    fn dism(&self, page: &mut Page) {
        self.native(page);
    }

    fn native(&self, page: &mut Page) {
        match &self.file {
            None => self.text.lines().for_each(|line| page.line(line)),
            Some(file) => page.line(format_args!(
                "{}: {} with {} written",
                file.display(),
                page.counted(self.keys, "key"),
                page.counted(self.values, "value")
            )),
        }
    }
}

/// What a hive says about itself.
#[derive(Clone, Debug)]
pub struct HiveFacts {
    /// The file.
    pub file: PathBuf,
    /// Its length.
    pub length: u64,
    /// The version is 1 and this.
    pub minor_version: u32,
    /// How it was opened.
    pub state: OpenState,
    /// What opening found.
    pub notes: Vec<String>,
    /// Name of the root key.
    pub root_name: String,
    /// When the root key was last written to.
    pub root_written: FileTime,
    /// Names of the keys below the root.
    pub top_keys: Vec<String>,
    /// Keys in it.
    pub keys: u64,
    /// Values in it.
    pub values: u64,
    /// The digest of its tree.
    pub digest: String,
}

impl Report for HiveFacts {
    fn json(&self) -> Value {
        let mut object = json!({
            "file": self.file.to_string_lossy(),
            "length": self.length,
            "version": format!("1.{}", self.minor_version),
            "state": self.state,
            "notes": self.notes,
            "root_name": self.root_name,
            "root_written": self.root_written.0,
            "top_keys": self.top_keys,
            "keys": self.keys,
            "values": self.values,
            "digest": self.digest,
        });
        iso_times(&mut object, &["root_written"]);
        object
    }

    fn dism(&self, page: &mut Page) {
        self.native(page);
    }

    fn native(&self, page: &mut Page) {
        page.field("File", self.file.display());
        page.field("Size", format_args!("{} bytes", page.number(self.length)));
        page.field("Version", format_args!("1.{}", self.minor_version));
        let state = match self.state {
            OpenState::Clean => "clean",
            OpenState::Replayed => "completed from its logs",
            OpenState::DirtyIgnored => "dirty, taken as it is",
        };
        page.field("State", state);
        for note in &self.notes {
            page.field("Note", note);
        }
        page.field("Root", one_line(&self.root_name));
        page.field("Root written", page.iso_moment(self.root_written));
        page.field("Keys", page.number(self.keys));
        page.field("Values", page.number(self.values));
        page.field("Digest", &self.digest);
        page.field("Top keys", one_line(&self.top_keys.join(", ")));
    }
}

/// What the checker found in a hive.
#[derive(Clone, Debug)]
pub struct HiveCheck {
    file: PathBuf,
    findings: Vec<Finding>,
    error: Option<Error>,
}

impl HiveCheck {
    /// The findings of a file; one that is an error makes the run fail.
    pub fn new(file: PathBuf, findings: Vec<Finding>) -> Self {
        let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
        let error = (errors > 0).then(|| {
            Error::new(ErrorClass::Corrupt, format!("{} breaks the rules of hives", file.display()))
                .with_code(crate::base::Code::REGISTRY_CORRUPT)
                .with_hint("take the hive from a good copy of the image")
        });
        Self { file, findings, error }
    }

    fn count(&self, severity: Severity) -> u64 {
        self.findings.iter().filter(|finding| finding.severity == severity).count() as u64
    }
}

impl Report for HiveCheck {
    fn json(&self) -> Value {
        json!({
            "file": self.file.to_string_lossy(),
            "errors": self.count(Severity::Error),
            "warnings": self.count(Severity::Warning),
            "findings": to_value(&self.findings),
        })
    }

    fn dism(&self, page: &mut Page) {
        self.native(page);
    }

    fn native(&self, page: &mut Page) {
        for finding in &self.findings {
            let word = match finding.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            page.line(format_args!("{word} at {:#x}: {}", finding.offset, one_line(&finding.message)));
        }
        page.line(format_args!(
            "{}: {}, {}",
            self.file.display(),
            page.counted(self.count(Severity::Error), "error"),
            page.counted(self.count(Severity::Warning), "warning"),
        ));
    }

    fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }
}
