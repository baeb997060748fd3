// SPDX-License-Identifier: GPL-3.0-or-later
//! What was done to whole hives: repair, recovery, salvage, compaction; access lists of keys;
//! comparisons.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::json::to_value;
use super::registry::one_line;
use super::{ChangeList, Page, Report};
use crate::base::Error;
use crate::hive::{Finding, OpenState, Repair, Salvage};

/// What a repair of a hive put right.
#[derive(Clone, Debug)]
pub struct HiveRepair {
    /// The file.
    pub file: PathBuf,
    /// What was put right.
    pub repairs: Vec<Repair>,
    /// What is still wrong.
    pub findings: Vec<Finding>,
    /// Whether the file was written.
    pub written: bool,
    /// Nothing was written because that was asked for.
    pub dry_run: bool,
    /// What is not exact.
    pub exceptions: Vec<String>,
    /// Why the run fails: what is left is an error.
    pub error: Option<Error>,
}

impl Report for HiveRepair {
    fn json(&self) -> Value {
        json!({
            "file": self.file.to_string_lossy(),
            "repairs": to_value(&self.repairs),
            "findings": to_value(&self.findings),
            "written": self.written,
            "dry_run": self.dry_run,
        })
    }

    fn dism(&self, page: &mut Page) {
        self.native(page);
    }

    fn native(&self, page: &mut Page) {
        let done = if self.dry_run { "would repair" } else { "repaired" };
        for repair in &self.repairs {
            page.line(format_args!("{done} at {:#x}: {}", repair.offset, one_line(&repair.message)));
        }
        for finding in &self.findings {
            page.line(format_args!("left at {:#x}: {}", finding.offset, one_line(&finding.message)));
        }
        page.line(format_args!(
            "{}: {}, {} left",
            self.file.display(),
            page.counted(self.repairs.len() as u64, "repair"),
            page.counted(self.findings.len() as u64, "finding"),
        ));
    }

    fn exceptions(&self) -> Vec<String> {
        self.exceptions.clone()
    }

    fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }
}

/// What came of recovering a hive.
#[derive(Clone, Debug)]
pub struct HiveRecovery {
    /// The file.
    pub file: PathBuf,
    /// How it was opened; nothing where only a salvage was asked for.
    pub state: Option<OpenState>,
    /// What opening found.
    pub notes: Vec<String>,
    /// Whether the file was written.
    pub written: bool,
    /// Nothing was written because that was asked for.
    pub dry_run: bool,
    /// The new hive, and what is in it.
    pub salvage: Option<(PathBuf, Salvage)>,
    /// What is not exact.
    pub exceptions: Vec<String>,
}

impl Report for HiveRecovery {
    fn json(&self) -> Value {
        json!({
            "file": self.file.to_string_lossy(),
            "state": self.state,
            "notes": self.notes,
            "written": self.written,
            "dry_run": self.dry_run,
            "salvage": self.salvage.as_ref().map(|(file, salvage)| json!({
                "file": file.to_string_lossy(),
                "report": to_value(salvage),
            })),
        })
    }

    fn dism(&self, page: &mut Page) {
        self.native(page);
    }

    fn native(&self, page: &mut Page) {
        for note in &self.notes {
            page.line(format_args!("note: {}", one_line(note)));
        }
        match self.state {
            Some(OpenState::Replayed) if self.written => page.line(format_args!(
                "{} was completed from its logs and saved; the logs are empty now",
                self.file.display()
            )),
            Some(OpenState::Replayed) => {
                page.line(format_args!("{} can be completed from its logs", self.file.display()));
            }
            Some(_) => {
                page.line(format_args!("{} is as it was: there is nothing to recover", self.file.display()))
            }
            None => {}
        }
        let Some((file, salvage)) = &self.salvage else { return };
        for loss in &salvage.losses {
            page.line(format_args!(
                "lost at {:#x}, [{}]: {}",
                loss.offset,
                one_line(&loss.key),
                one_line(&loss.message)
            ));
        }
        for key in &salvage.unreached {
            page.line(format_args!("out of reach at {:#x}: the key {}", key.offset, one_line(&key.name)));
        }
        for note in &salvage.notes {
            page.line(format_args!("note: {}", one_line(note)));
        }
        page.line(format_args!(
            "{}: {} and {} saved; {} lost, {} out of reach",
            file.display(),
            page.counted(salvage.saved.keys, "key"),
            page.counted(salvage.saved.values, "value"),
            page.counted(salvage.losses.len() as u64, "part"),
            page.counted(salvage.out_of_reach, "key"),
        ));
    }

    fn exceptions(&self) -> Vec<String> {
        self.exceptions.clone()
    }
}

/// A hive that was written whole.
#[derive(Clone, Debug)]
pub struct HiveWritten {
    /// The file.
    pub file: PathBuf,
    /// Its length before; nothing for a new one.
    pub length_before: Option<u64>,
    /// Its length now, or as it would be.
    pub length: u64,
    /// Nothing was written because that was asked for.
    pub dry_run: bool,
    /// What is not exact.
    pub exceptions: Vec<String>,
}

impl Report for HiveWritten {
    fn json(&self) -> Value {
        json!({
            "file": self.file.to_string_lossy(),
            "length_before": self.length_before,
            "length": self.length,
            "dry_run": self.dry_run,
        })
    }

    fn dism(&self, page: &mut Page) {
        self.native(page);
    }

    fn native(&self, page: &mut Page) {
        let would = if self.dry_run { " (not written)" } else { "" };
        match self.length_before {
            Some(before) => page.line(format_args!(
                "{}: {} -> {} bytes{would}",
                self.file.display(),
                page.number(before),
                page.number(self.length)
            )),
            None => {
                page.line(format_args!("{}: {} bytes{would}", self.file.display(), page.number(self.length)))
            }
        }
    }

    fn exceptions(&self) -> Vec<String> {
        self.exceptions.clone()
    }
}

/// One entry of an access list.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct AccessEntry {
    /// `allow`, `deny`, `audit`, or the number of another type.
    pub kind: String,
    /// Who.
    pub sid: String,
    /// The rights, as a number.
    pub rights: u32,
    /// What the rights are called together, where they have a name.
    pub rights_name: Option<String>,
    /// Whether it came from the key above.
    pub inherited: bool,
    /// Whether subkeys inherit it.
    pub for_subkeys: bool,
    /// Whether it acts on the key itself.
    pub for_this_key: bool,
}

/// The security of a key.
#[derive(Clone, Debug)]
pub struct KeyAccess {
    /// Path of the key.
    pub key: String,
    /// The whole descriptor as text; nothing where it has entries that text cannot hold.
    pub sddl: Option<String>,
    /// The owner's SID.
    pub owner: Option<String>,
    /// The group's SID.
    pub group: Option<String>,
    /// Whether nothing is inherited from the key above.
    pub protected: bool,
    /// The entries; nothing where there is no list, which lets everybody do everything.
    pub entries: Option<Vec<AccessEntry>>,
    /// Whether this command changed it.
    pub changed: bool,
    /// How many subkeys got inherited entries anew.
    pub subkeys_changed: u64,
    /// The hive file, and whether it was written; nothing for an image.
    pub file: Option<(PathBuf, bool)>,
    /// Nothing was written because that was asked for.
    pub dry_run: bool,
    /// What is not exact.
    pub exceptions: Vec<String>,
}

impl Report for KeyAccess {
    fn json(&self) -> Value {
        json!({
            "key": self.key,
            "sddl": self.sddl,
            "owner": self.owner,
            "group": self.group,
            "protected": self.protected,
            "entries": self.entries.as_ref().map(to_value),
            "changed": self.changed,
            "subkeys_changed": self.subkeys_changed,
            "file": self.file.as_ref().map(|(file, _)| file.to_string_lossy()),
            "written": self.file.as_ref().map(|(_, written)| written),
            "dry_run": self.dry_run,
        })
    }

    fn dism(&self, page: &mut Page) {
        self.native(page);
        page.blank();
    }

    fn native(&self, page: &mut Page) {
        page.line(one_line(&self.key));
        page.field("Owner", self.owner.as_deref().unwrap_or("-"));
        page.field("Group", self.group.as_deref().unwrap_or("-"));
        page.field("Inherits", if self.protected { "no" } else { "yes" });
        match &self.entries {
            None => page.line("    no list: everybody may do everything"),
            Some(entries) => {
                for entry in entries {
                    let number = format!("0x{:x}", entry.rights);
                    let rights = entry.rights_name.as_deref().unwrap_or(&number);
                    let scope = match (entry.for_this_key, entry.for_subkeys) {
                        (true, true) => "this key and subkeys",
                        (true, false) => "this key",
                        (false, true) => "subkeys",
                        (false, false) => "nothing",
                    };
                    let inherited = if entry.inherited { ", inherited" } else { "" };
                    page.line(format_args!(
                        "    {}  {}  {rights}  ({scope}{inherited})",
                        entry.kind, entry.sid
                    ));
                }
            }
        }
        page.field("SDDL", self.sddl.as_deref().unwrap_or("has entries without a text form"));
        if self.changed {
            let would = if self.dry_run { "would be changed" } else { "changed" };
            page.line(format_args!("{would}; {} below it too", page.counted(self.subkeys_changed, "subkey")));
        }
    }

    fn exceptions(&self) -> Vec<String> {
        self.exceptions.clone()
    }
}

/// Whether two keys, hives or images hold the same.
#[derive(Clone, Debug)]
pub struct RegistryComparison {
    /// What leads from the first to the second.
    pub changes: ChangeList,
    /// Whether there is no difference.
    pub identical: bool,
    /// Hives that only the first has.
    pub only_old: Vec<String>,
    /// Hives that only the second has.
    pub only_new: Vec<String>,
    /// Whether it is `compare`, which says so in its exit status.
    pub error: Option<Error>,
}

impl Report for RegistryComparison {
    fn json(&self) -> Value {
        let mut value = self.changes.json();
        if let Some(object) = value.as_object_mut() {
            object.insert("identical".to_owned(), self.identical.into());
            object.insert("only_old".to_owned(), self.only_old.clone().into());
            object.insert("only_new".to_owned(), self.only_new.clone().into());
        }
        value
    }

    fn dism(&self, page: &mut Page) {
        self.native(page);
        page.blank();
    }

    fn native(&self, page: &mut Page) {
        self.changes.native(page);
        for hive in &self.only_old {
            page.line(format_args!("Only the first has the hive {}.", one_line(hive)));
        }
        for hive in &self.only_new {
            page.line(format_args!("Only the second has the hive {}.", one_line(hive)));
        }
        let result = if self.identical { "Identical" } else { "Different" };
        page.line(format_args!("Results Compared: {result}"));
    }

    fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }
}
