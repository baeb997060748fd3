// SPDX-License-Identifier: GPL-3.0-or-later
//! What a service has beside its plain values: who may control it, what starts it, and what
//! happens when it fails.
//!
//! `Security\Security`, REG_BINARY: a whole self-relative descriptor, owned by SYSTEM, whose SACL
//! audits failures of everybody; only the DACL is the INF's, its generic rights mapped to those of
//! a service.
//!
//! `TriggerInfo\<n>`: `Type`, `Action` (REG_DWORD), `GUID` (REG_BINARY), and of each data item
//! `DataType<n>` (REG_DWORD) and `Data<n>` (REG_BINARY).
//!
//! `FailureActions`, REG_BINARY, SERVICE_FAILURE_ACTIONS as 32-bit Windows lays it out:
//!
//! | offset | size | name | meaning |
//! |---|---|---|---|
//! | 0 | 4 | ResetPeriod | seconds, FFFFFFFF never |
//! | 4 | 4 | RebootMsg | 0 |
//! | 8 | 4 | Command | 0 |
//! | 12 | 4 | Actions | how many |
//! | 16 | 4 | | 20, where they begin |
//! | 20 | 8 each | Type, Delay | SC_ACTION; milliseconds |
//!
//! Sources: services of Windows' own in the SYSTEM hives of mkorman90/regipy (their descriptors,
//! triggers and failure actions); "INF AddService directive" of MicrosoftDocs. That the offline
//! installation writes them so is not confirmed: no captured driver has any.

use crate::base::security::{
    AceFlags, AclBuilder, Control, Descriptor, DescriptorBuilder, GenericMapping, Sid, ace_type,
};
use crate::base::{Guid, Result, name, sddl};
use crate::hive::{KeyId, Value};
use crate::inf::Service;

use super::configuration::number;
use super::editor::Editor;

/// The rights of a service (winsvc.h).
const SERVICE: GenericMapping =
    GenericMapping { read: 0x0002_008D, write: 0x0002_0002, execute: 0x0002_0170, all: 0x000F_01FF };

const SERVICE_ALL_ACCESS: u32 = 0x000F_01FF;

/// `SERVICE_TRIGGER_DATA_TYPE_*`.
const DATA_STRING: u32 = 2;

const NEVER_RESET: u32 = u32::MAX;

/// Writes everything of the sort that a service has; returns what could not be.
pub(super) fn write(editor: &mut Editor<'_>, key: KeyId, service: &Service) -> Result<Vec<String>> {
    let mut left = Vec::new();
    if let Some(text) = &service.security {
        match descriptor(text) {
            Ok(descriptor) => {
                let security = editor.key(key, "Security")?;
                editor.set(security, &Value::binary("Security", descriptor))?;
            }
            Err(error) => left.push(format!("Security ({}) is", error.message())),
        }
    }
    for (position, trigger) in service.triggers.iter().enumerate() {
        match Trigger::read(trigger) {
            Some(trigger) => {
                let key = editor.key(key, &format!("TriggerInfo\\{position}"))?;
                for value in trigger.values() {
                    editor.set(key, &value)?;
                }
            }
            None => left.push(format!("trigger {} (it breaks the form) is", position + 1)),
        }
    }
    if !service.failure_actions.is_empty() {
        match failure_actions(&service.failure_actions) {
            Some((actions, flag)) => {
                editor.set(key, &Value::binary("FailureActions", actions))?;
                if let Some(flag) = flag {
                    editor.set(key, &Value::dword("FailureActionsOnNonCrashFailures", flag))?;
                }
            }
            None => left.push("FailureActions (they break the form) are".to_owned()),
        }
    }
    Ok(left)
}

/// The stored descriptor of a service whose INF has this text.
fn descriptor(text: &str) -> Result<Vec<u8>> {
    let compiled = sddl::compile(text)?;
    let given = Descriptor::parse(&compiled)?;
    let mut dacl = AclBuilder::new();
    for entry in given.dacl().iter().flat_map(|dacl| dacl.entries()) {
        match (entry.mask(), entry.sid()) {
            (Some(mask), Some(sid)) => dacl.push(entry.kind(), entry.flags(), SERVICE.map(mask), &sid)?,
            _ => dacl.push_raw(entry.kind(), entry.flags(), entry.body())?,
        }
    }
    let mut sacl = AclBuilder::new();
    sacl.push(ace_type::SYSTEM_AUDIT, AceFlags::FAILED_ACCESS, SERVICE_ALL_ACCESS, &Sid::EVERYONE)?;
    let has_dacl = given.control().contains(Control::DACL_PRESENT);
    let descriptor = DescriptorBuilder {
        owner: Some(Sid::LOCAL_SYSTEM),
        group: Some(Sid::LOCAL_SYSTEM),
        sacl: Some(sacl),
        dacl: has_dacl.then_some(dacl),
        control: 0,
    };
    Ok(descriptor.to_bytes())
}

#[derive(Debug, PartialEq, Eq)]
struct Trigger {
    kind: u32,
    action: u32,
    sub_type: Guid,
    items: Vec<(u32, Vec<u8>)>,
}

impl Trigger {
    fn read(lines: &[(String, Vec<String>)]) -> Option<Self> {
        let first = |wanted: &str| {
            let (_, fields) = lines.iter().find(|(key, _)| key.eq_ignore_ascii_case(wanted))?;
            fields.first()
        };
        let items = lines.iter().filter(|(key, _)| key.eq_ignore_ascii_case("DataItem"));
        Some(Self {
            kind: number(first("TriggerType")?)?,
            action: number(first("Action")?)?,
            sub_type: first("SubType")?.parse().ok()?,
            items: items.map(|(_, fields)| item(fields)).collect::<Option<_>>()?,
        })
    }

    fn values(&self) -> Vec<Value> {
        let mut values = vec![
            Value::dword("Type", self.kind),
            Value::dword("Action", self.action),
            Value::binary("GUID", self.sub_type.0.to_vec()),
        ];
        for (position, (kind, data)) in self.items.iter().enumerate() {
            values.push(Value::dword(&format!("DataType{position}"), *kind));
            values.push(Value::binary(&format!("Data{position}"), data.clone()));
        }
        values
    }
}

/// A string with its NUL, or bytes in hex digits.
fn item(fields: &[String]) -> Option<(u32, Vec<u8>)> {
    let (kind, data) = fields.split_first()?;
    let kind = number(kind)?;
    if kind == DATA_STRING {
        let mut units = name::units(data.first()?);
        units.push(0);
        return Some((kind, name::units_to_le(&units)));
    }
    let byte = |text: &String| u8::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok();
    Some((kind, data.iter().map(byte).collect::<Option<_>>()?))
}

/// The value's bytes, and the flag that counts failures without a crash.
fn failure_actions(lines: &[(String, Vec<String>)]) -> Option<(Vec<u8>, Option<u32>)> {
    let mut reset = NEVER_RESET;
    let mut flag = None;
    let mut actions: Vec<(u32, u32)> = Vec::new();
    for (key, fields) in lines {
        let field = |position: usize| fields.get(position).and_then(|text| number(text));
        if key.eq_ignore_ascii_case("ResetPeriod") {
            reset = field(0)?;
        } else if key.eq_ignore_ascii_case("NonCrashFailures") {
            flag = Some(field(0)?);
        } else if key.eq_ignore_ascii_case("Action") {
            actions.push((field(0)?, if fields.len() > 1 { field(1)? } else { 0 }));
        }
    }
    let count = u32::try_from(actions.len()).ok()?;
    let numbers = [reset, 0, 0, count, 20].into_iter();
    let numbers = numbers.chain(actions.into_iter().flat_map(|(kind, delay)| [kind, delay]));
    Some((numbers.flat_map(u32::to_le_bytes).collect(), flag))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
        text.iter()
            .map(|(key, fields)| {
                ((*key).to_owned(), fields.iter().map(|field| (*field).to_owned()).collect())
            })
            .collect()
    }

    fn bytes(hex: &str) -> Vec<u8> {
        hex.split(',').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
    }

    /// As Windows 10 keeps that of its AppVClient.
    #[test]
    fn a_descriptor_as_windows_stores_it() {
        let stored = bytes(
            "01,00,14,80,78,00,00,00,84,00,00,00,14,00,00,00,30,00,00,00,02,00,1c,00,01,00,00,00,02,80,14,00,ff,01,0f,00,\
             01,01,00,00,00,00,00,01,00,00,00,00,02,00,48,00,03,00,00,00,00,00,14,00,9d,00,02,00,01,01,00,00,00,00,00,05,\
             0b,00,00,00,00,00,18,00,ff,01,0f,00,01,02,00,00,00,00,00,05,20,00,00,00,20,02,00,00,00,00,14,00,ff,01,0f,00,\
             01,01,00,00,00,00,00,05,12,00,00,00,01,01,00,00,00,00,00,05,12,00,00,00,01,01,00,00,00,00,00,05,12,00,00,00",
        );
        // Its auditing entry alone differs: 0f00ff there, where others have 0f01ff.
        let ours = descriptor("D:(A;;0x2009d;;;AU)(A;;GA;;;BA)(A;;GA;;;SY)").unwrap();
        assert_eq!(ours, stored);
        assert!(descriptor("D:(A;;GA;;;DA)").is_err(), "there is no domain");
    }

    /// As Windows 10 keeps those of its BDESVC and ALG.
    #[test]
    fn triggers_and_failure_actions() {
        let trigger = Trigger::read(&lines(&[
            ("TriggerType", &["7"]),
            ("Action", &["0x1"]),
            ("SubType", &["{2d7a2816-0c5e-45fc-9ce7-570e5ecde9c9}"]),
            ("DataItem", &["0x1", "75", "30", "bc", "a3", "2b", "18", "83", "41"]),
            ("dataitem", &["2", "A"]),
        ]))
        .unwrap();
        let expected = [
            Value::dword("Type", 7),
            Value::dword("Action", 1),
            Value::binary("GUID", bytes("16,28,7a,2d,5e,0c,fc,45,9c,e7,57,0e,5e,cd,e9,c9")),
            Value::dword("DataType0", 1),
            Value::binary("Data0", bytes("75,30,bc,a3,2b,18,83,41")),
            Value::dword("DataType1", 2),
            Value::binary("Data1", bytes("41,00,00,00")),
        ];
        assert_eq!(trigger.values(), expected);
        assert_eq!(Trigger::read(&lines(&[("TriggerType", &["7"])])), None);

        let (actions, flag) = failure_actions(&lines(&[
            ("ResetPeriod", &["900"]),
            ("NonCrashFailures", &["1"]),
            ("Action", &["1", "120000"]),
            ("Action", &["1", "300000"]),
            ("Action", &["0"]),
        ]))
        .unwrap();
        let stored = bytes(
            "84,03,00,00,00,00,00,00,00,00,00,00,03,00,00,00,14,00,00,00,01,00,00,00,c0,d4,01,00,01,00,00,00,e0,93,04,00,\
             00,00,00,00,00,00,00,00",
        );
        assert_eq!((actions, flag), (stored, Some(1)));
        assert_eq!(failure_actions(&lines(&[("Action", &["now"])])), None);
    }
}
