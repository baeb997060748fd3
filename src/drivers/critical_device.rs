// SPDX-License-Identifier: GPL-3.0-or-later
//! `Control\CriticalDeviceDatabase` (Windows 7 and older): how the kernel finds the driver of a
//! device before anything can read the store.
//!
//! One key per hardware or compatible id, every `\` of it written `#`: `Service`, `ClassGUID` in
//! upper case, `DriverPackageId` (the folder in the store), `UpperFilters` and `LowerFilters`.
//! Its classes are a fixed list here: no property of a class tells. Source: a SYSTEM hive of
//! Windows 7 in mkorman90/regipy, 2,548 keys.

use crate::base::{Guid, Result};
use crate::hive::Value;
use crate::image::{HiveName, Registry};
use crate::inf::{Configuration, RegistryOperation};

use super::database::{self, StagedPackage};
use super::editor::{self, Editor};
use super::registry_action;

const DATABASE: &str = "Control\\CriticalDeviceDatabase";
const PACKAGE: &str = "DriverPackageId";

/// The setup classes of the keys.
const CLASSES: [&str; 18] = [
    "{4d36e97b-e325-11ce-bfc1-08002be10318}", // SCSIAdapter
    "{4d36e97d-e325-11ce-bfc1-08002be10318}", // System
    "{36fc9e60-c465-11cf-8056-444553540000}", // USB
    "{745a17a0-74d3-11d0-b6fe-00a0c90f57da}", // HIDClass
    "{4d36e96b-e325-11ce-bfc1-08002be10318}", // Keyboard
    "{4d36e96f-e325-11ce-bfc1-08002be10318}", // Mouse
    "{4d36e977-e325-11ce-bfc1-08002be10318}", // PCMCIA
    "{4d36e978-e325-11ce-bfc1-08002be10318}", // Ports
    "{4d36e96a-e325-11ce-bfc1-08002be10318}", // hdc
    "{4d36e967-e325-11ce-bfc1-08002be10318}", // DiskDrive
    "{50127dc3-0f36-415e-a6cc-4cb3be910b65}", // Processor
    "{6bdd1fc1-810f-11d0-bec7-08002be2092f}", // 1394
    "{4d36e980-e325-11ce-bfc1-08002be10318}", // FloppyDisk
    "{4d36e965-e325-11ce-bfc1-08002be10318}", // CDROM
    "{72631e54-78a4-11d0-bcf7-00aa00b7b32a}", // Battery
    "{4d36e969-e325-11ce-bfc1-08002be10318}", // fdc
    "{d48179be-ec20-11d1-b6b8-00c04fa372a7}", // SBP2
    "{71a27cdd-812a-11d0-bec7-08002be2092f}", // Volume
];

/// Whether drivers of the class are in the database.
pub(super) fn is_critical(class: Guid) -> bool {
    CLASSES.contains(&class.to_string().as_str())
}

/// Writes the keys of a package in every control set.
pub(super) fn write(registry: &mut Registry, staged: &StagedPackage<'_>) -> Result<()> {
    let now = registry.now();
    for set in registry.control_sets()? {
        let mut editor = Editor::new(registry.require(HiveName::System)?, now);
        let path = format!("{}\\{DATABASE}", Registry::control_set_key(set));
        let list = editor.key(editor.hive.root(), &path)?;
        for id in database::device_ids(staged.plan, false) {
            let Some(device) = staged.plan.devices.get(id.device) else { continue };
            let Some(configuration) = staged.plan.configurations.get(device.configuration) else { continue };
            let Some(service) = configuration.function_driver() else { continue };
            let key = editor.key(list, &id.id.replace('\\', "#"))?;
            editor.set(key, &Value::sz("Service", &service.name))?;
            editor.set(key, &Value::sz("ClassGUID", &staged.class.guid.to_string().to_uppercase()))?;
            editor.set(key, &Value::sz(PACKAGE, staged.store_name))?;
            for name in ["UpperFilters", "LowerFilters"] {
                if let Some(value) = filters(configuration, name) {
                    editor.set(key, &value)?;
                }
            }
        }
    }
    Ok(())
}

/// The filter list that `.HW` sets.
fn filters(configuration: &Configuration, name: &str) -> Option<Value> {
    configuration.hardware_registry.iter().filter(|action| registry_action::is_relative(action)).find_map(
        |action| match &action.operation {
            RegistryOperation::Set { kind, data }
                if action.subkey.is_empty() && action.name.eq_ignore_ascii_case(name) =>
            {
                Some(Value::new(name, crate::hive::ValueType(*kind), data.clone()))
            }
            _ => None,
        },
    )
}

/// Deletes the keys of packages; says how many there were.
pub(super) fn erase(registry: &mut Registry, store_names: &[String]) -> Result<usize> {
    let now = registry.now();
    let mut erased = 0;
    for set in registry.control_sets()? {
        let mut editor = Editor::new(registry.require(HiveName::System)?, now);
        let path = format!("{}\\{DATABASE}", Registry::control_set_key(set));
        let Some(list) = editor.find(editor.hive.root(), &path)? else { continue };
        for key in editor.hive.subkeys(list)? {
            let package = editor::text(editor.hive, key, PACKAGE)?.unwrap_or_default();
            if store_names.iter().any(|store_name| store_name.eq_ignore_ascii_case(&package)) {
                editor.delete_key(key)?;
                erased += 1;
            }
        }
    }
    Ok(erased)
}

/// Whether some device is still driven by a service.
pub(super) fn uses(registry: &mut Registry, set: u32, service: &str) -> Result<bool> {
    let hive = registry.require(HiveName::System)?;
    let path = format!("{}\\{DATABASE}", Registry::control_set_key(set));
    let Some(list) = editor::find(hive, hive.root(), &path)? else { return Ok(false) };
    for key in hive.subkeys(list)? {
        if editor::text(hive, key, "Service")?.is_some_and(|name| name.eq_ignore_ascii_case(service)) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes() {
        let critical = |text: &str| is_critical(text.parse().unwrap());
        assert!(critical("{4D36E97B-E325-11CE-BFC1-08002BE10318}"));
        assert!(!critical("{4d36e972-e325-11ce-bfc1-08002be10318}"), "Net");
        assert!(CLASSES.iter().all(|class| critical(class)));
    }
}
