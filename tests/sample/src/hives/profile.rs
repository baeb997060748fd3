// SPDX-License-Identifier: GPL-3.0-or-later
//! The small hives: profiles, accounts, boot configuration.

use anyhow::Result;
use transom::hive::Value;

use super::{Facts, Maker};
use crate::security;

/// A profile's hive: DEFAULT or NTUSER.DAT.
pub(super) fn make(facts: &Facts<'_>, name: &str, minor: u32) -> Result<Vec<u8>> {
    let mut maker = Maker::new("ROOT", minor, security::MACHINE_KEY)?;
    let root = maker.root();
    maker.key(root, "Environment", &[Value::expand_sz("TEMP", "%USERPROFILE%\\AppData\\Local\\Temp")])?;
    maker.key(
        root,
        "Control Panel\\International",
        &[Value::sz("Locale", "00000409"), Value::sz("LocaleName", "en-US")],
    )?;
    maker.key(
        root,
        "Control Panel\\Desktop\\MuiCached",
        &[Value::multi_sz("MachinePreferredUILanguages", &["en-US"])],
    )?;
    maker.key(root, "Keyboard Layout\\Preload", &[Value::sz("1", "00000409")])?;
    maker.key(
        root,
        "Software\\Microsoft\\Windows\\CurrentVersion\\Explorer\\Shell Folders",
        &[Value::sz("Desktop", "C:\\Users\\Default\\Desktop")],
    )?;
    maker.key(
        root,
        "Software\\Microsoft\\Sample",
        &[
            Value::sz("Made for", &format!("{name} of build {}", facts.spec.build)),
            // In minor version 3 this is one plain cell, from 4 on it is kept in several.
            Value::binary("Large", vec![0x5A; 20_000]),
        ],
    )?;
    maker.finish()
}

/// SAM.
pub(super) fn make_sam() -> Result<Vec<u8>> {
    let mut maker = Maker::new("ROOT", 3, security::SECRET_KEY)?;
    let root = maker.root();
    maker.key(root, "SAM\\Domains\\Account\\Users\\000001F4", &[Value::binary("F", [0; 80])])?;
    maker.key(root, "SAM\\Domains\\Builtin\\Aliases\\00000220", &[])?;
    maker.finish()
}

/// SECURITY.
pub(super) fn make_security() -> Result<Vec<u8>> {
    let mut maker = Maker::new("ROOT", 5, security::SECRET_KEY)?;
    let root = maker.root();
    maker.key(root, "Policy\\PolAdtEv", &[Value::binary("", [0; 150])])?;
    maker.key(root, "Policy\\Secrets", &[])?;
    maker.finish()
}

/// The template of the boot configuration.
pub(super) fn make_bcd(facts: &Facts<'_>) -> Result<Vec<u8>> {
    let mut maker = Maker::new("NewStoreRoot", 3, security::MACHINE_KEY)?;
    let root = maker.root();
    maker.key(root, "Description", &[Value::sz("KeyName", "BCD00000000"), Value::dword("System", 1)])?;
    let manager = "Objects\\{9dea862c-5cdd-4e70-acc1-f32b344d4795}";
    maker.key(root, &format!("{manager}\\Description"), &[Value::dword("Type", 0x1010_0002)])?;
    maker.key(
        root,
        &format!("{manager}\\Elements\\12000004"),
        &[Value::sz("Element", "Windows Boot Manager")],
    )?;
    maker.key(
        root,
        &format!("{manager}\\Elements\\25000004"),
        &[Value::binary("Element", u64::from(facts.image).to_le_bytes())],
    )?;
    maker.finish()
}
