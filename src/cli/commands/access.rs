// SPDX-License-Identifier: GPL-3.0-or-later
//! The access lists of keys.

use super::super::values::Values;
use crate::base::security::{self, AceFlags, Control, Descriptor, GenericMapping};
use crate::base::{FileTime, Result, sddl};
use crate::hive::{Hive, KeyId};
use crate::report::{AccessEntry, KeyAccess};

/// Shows the access list of a key; with `--sddl` it is changed first, with `--recursive` what the
/// keys below inherit too.
pub(super) fn access(
    hive: &mut Hive,
    key: KeyId,
    path: &str,
    values: &Values,
    now: FileTime,
) -> Result<KeyAccess> {
    let old = hive.security(key)?;
    let mut subkeys_changed = 0;
    if let Some(text) = values.text("sddl")? {
        let new = security::change_key(&old, &sddl::compile(text)?)?;
        hive.set_security(key, &new, now)?;
    }
    if values.has("recursive") {
        subkeys_changed = propagate(hive, key, now)?;
    }
    let new = hive.security(key)?;
    let mut report = describe(&new, path)?;
    report.changed = new != old || subkeys_changed > 0;
    report.subkeys_changed = subkeys_changed;
    report.dry_run = values.has("dry_run");
    Ok(report)
}

/// Gives every key below one the entries that it inherits; says how many keys changed.
fn propagate(hive: &mut Hive, key: KeyId, now: FileTime) -> Result<u64> {
    let mut changed = 0;
    let mut pending = vec![key];
    while let Some(parent) = pending.pop() {
        let from = hive.security(parent)?;
        for subkey in hive.subkeys(parent)? {
            let old = hive.security(subkey)?;
            let new = security::inherit_key(&from, &old)?;
            if !same_access(&old, &new)? {
                hive.set_security(subkey, &new, now)?;
                changed += 1;
            }
            pending.push(subkey);
        }
    }
    Ok(changed)
}

/// Whether two descriptors say the same, in whatever order their parts lie.
fn same_access(left: &[u8], right: &[u8]) -> Result<bool> {
    let (left, right) = (Descriptor::parse(left)?, Descriptor::parse(right)?);
    let entries = |list: Option<security::Acl<'_>>| {
        list.map(|list| {
            list.entries().map(|ace| (ace.kind(), ace.flags(), ace.body().to_vec())).collect::<Vec<_>>()
        })
    };
    Ok(left.owner() == right.owner()
        && left.group() == right.group()
        && entries(left.dacl()) == entries(right.dacl())
        && entries(left.sacl()) == entries(right.sacl()))
}

fn describe(bytes: &[u8], path: &str) -> Result<KeyAccess> {
    let descriptor = Descriptor::parse(bytes)?;
    let entries = descriptor.dacl().map(|list| {
        let entry = |ace: security::Ace<'_>| {
            let rights = ace.mask().unwrap_or_default();
            let mapping = GenericMapping::KEY;
            let name = match GenericMapping::KEY.map(rights) {
                found if found == mapping.all => Some("full control"),
                found if found == mapping.read => Some("read"),
                found if found == mapping.read | mapping.write => Some("read and write"),
                found if found == mapping.write => Some("write"),
                _ => None,
            };
            AccessEntry {
                kind: match ace.kind() {
                    security::ace_type::ACCESS_ALLOWED => "allow".to_owned(),
                    security::ace_type::ACCESS_DENIED => "deny".to_owned(),
                    other => format!("type 0x{other:02x}"),
                },
                sid: ace.sid().map(|sid| sid.to_string()).unwrap_or_default(),
                rights,
                rights_name: name.map(str::to_owned),
                inherited: ace.flags().contains(AceFlags::INHERITED),
                for_subkeys: ace.flags().contains(AceFlags::CONTAINER_INHERIT),
                for_this_key: !ace.flags().contains(AceFlags::INHERIT_ONLY),
            }
        };
        list.entries().map(entry).collect()
    });
    Ok(KeyAccess {
        key: path.to_owned(),
        sddl: sddl::describe(bytes).ok(),
        owner: descriptor.owner().map(|sid| sid.to_string()),
        group: descriptor.group().map(|sid| sid.to_string()),
        protected: descriptor.control().contains(Control::DACL_PROTECTED),
        entries,
        changed: false,
        subkeys_changed: 0,
        file: None,
        dry_run: false,
        exceptions: Vec::new(),
    })
}
