// SPDX-License-Identifier: GPL-3.0-or-later
//! Setup classes as the image defines them: `Control\Class\{guid}`.
//!
//! Whether a class is needed to boot is the device property DEVPKEY_DeviceClass_BootCritical,
//! kept as the default value of `Properties\{6a3433f4-...}\0003` with the property type as
//! registry type. It decides which hive a package goes to, and is always read, never assumed.
//! Source: lostindark/DriverStoreExplorer `DeviceHelper.cs`; SYSTEM hives of mkorman90/regipy.

use crate::base::{Guid, Result};
use crate::hive::ValueType;
use crate::image::Registry;
use crate::inf::InfVersion;

use super::editor;
use crate::image::HiveName;

/// `DEVPROP_TYPE_BOOLEAN` in a registry type.
const DEVPROP_BOOLEAN: ValueType = ValueType(0xFFFF_0011);
const DEVPROP_TRUE: u8 = 0xFF;
const BOOT_CRITICAL: &str = "Properties\\{6a3433f4-5626-40e8-a9b9-dbd9ecd2884b}\\0003";

/// {e2f84ce7-8efa-411c-aa69-97454ca4cb57}: packages that add to another package's device.
const EXTENSION: Guid =
    Guid([0xE7, 0x4C, 0xF8, 0xE2, 0xFA, 0x8E, 0x1C, 0x41, 0xAA, 0x69, 0x97, 0x45, 0x4C, 0xA4, 0xCB, 0x57]);

/// A setup class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SetupClass {
    pub(super) guid: Guid,
    /// As the image's class key names it.
    pub(super) name: Option<String>,
    /// In words.
    pub(super) description: Option<String>,
    pub(super) boot_critical: bool,
}

impl SetupClass {
    /// Whether it is the class of extension INFs.
    pub(super) fn is_extension(&self) -> bool {
        self.guid == EXTENSION
    }

    /// The hive that packages of the class are recorded in.
    pub(super) fn hive(&self) -> HiveName {
        if self.boot_critical || self.is_extension() { HiveName::System } else { HiveName::Drivers }
    }

    /// What the image knows of a class.
    pub(super) fn read(registry: &mut Registry, guid: Guid) -> Result<Self> {
        let path = format!("{}\\{guid}", class_root(registry)?);
        let hive = registry.require(HiveName::System)?;
        let mut class = Self { guid, name: None, description: None, boot_critical: false };
        let Some(key) = editor::find(hive, hive.root(), &path)? else { return Ok(class) };
        class.name = editor::text(hive, key, "Class")?;
        class.description = match editor::text(hive, key, "ClassDesc")? {
            Some(text) => Some(plain_text(&text)),
            None => editor::text(hive, key, "")?.map(|text| plain_text(&text)),
        };
        if let Some(property) = editor::find(hive, key, BOOT_CRITICAL)?
            && let Some(value) = hive.value(property, &[])?
        {
            class.boot_critical = value.kind == DEVPROP_BOOLEAN && value.data.first() == Some(&DEVPROP_TRUE);
        }
        Ok(class)
    }

    /// The class of an INF: by its GUID, else by its name among the image's classes.
    pub(super) fn of(registry: &mut Registry, version: &InfVersion) -> Result<Option<Self>> {
        if let Some(guid) = version.class_guid {
            return Self::read(registry, guid).map(Some);
        }
        let Some(wanted) = version.class.as_deref().filter(|class| !class.is_empty()) else {
            return Ok(None);
        };
        let root = class_root(registry)?;
        let hive = registry.require(HiveName::System)?;
        let Some(classes) = editor::find(hive, hive.root(), &root)? else { return Ok(None) };
        let mut found = None;
        for key in hive.subkeys(classes)? {
            let named =
                editor::text(hive, key, "Class")?.is_some_and(|name| name.eq_ignore_ascii_case(wanted));
            if found.is_none() && named {
                found = hive.name(key)?.to_string().parse::<Guid>().ok();
            }
        }
        found.map(|guid| Self::read(registry, guid)).transpose()
    }
}

fn class_root(registry: &mut Registry) -> Result<String> {
    let set = registry.control_sets()?.first().copied().unwrap_or(1);
    Ok(format!("{}\\Control\\Class", Registry::control_set_key(set)))
}

/// `@c_scsi.inf,%ClassDesc%;Storage controllers` names a string and carries its text.
fn plain_text(text: &str) -> String {
    match text.strip_prefix('@').and_then(|rest| rest.split_once(';')) {
        Some((_, plain)) => plain.to_owned(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extension_class() {
        assert_eq!(EXTENSION.to_string(), "{e2f84ce7-8efa-411c-aa69-97454ca4cb57}");
        let mut class = SetupClass { guid: EXTENSION, name: None, description: None, boot_critical: false };
        assert_eq!(class.hive(), HiveName::System);
        class.guid = Guid::NIL;
        assert_eq!(class.hive(), HiveName::Drivers);
        class.boot_critical = true;
        assert_eq!(class.hive(), HiveName::System);
    }

    #[test]
    fn indirect_text_carries_its_fallback() {
        assert_eq!(plain_text("@c_scsi.inf,%ClassDesc%;Storage controllers"), "Storage controllers");
        assert_eq!(plain_text("Storage controllers"), "Storage controllers");
        assert_eq!(plain_text("@%SystemRoot%\\System32\\x.dll,-1"), "@%SystemRoot%\\System32\\x.dll,-1");
    }
}
