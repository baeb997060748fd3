// SPDX-License-Identifier: GPL-3.0-or-later
//! `DriverDatabase`, in SYSTEM for the packages that Windows needs to boot and in DRIVERS for the
//! others.

use anyhow::Result;
use transom::base::FileTime;
use transom::hive::{KeyId, Value, ValueType};

use super::{Facts, Maker};
use crate::drivers::InboxPackage;
use crate::random::Random;
use crate::security;

/// The DRIVERS hive.
pub(super) fn make_drivers(facts: &Facts<'_>) -> Result<Vec<u8>> {
    let mut maker = Maker::new("ROOT", 5, security::MACHINE_KEY)?;
    let root = maker.root();
    write(&mut maker, root, facts, false, facts.length(8))?;
    maker.finish()
}

/// Writes the packages of one kind, then devices until `length` is reached.
pub(super) fn write(
    maker: &mut Maker,
    root: KeyId,
    facts: &Facts<'_>,
    boot_critical: bool,
    length: u64,
) -> Result<()> {
    let arch = u32::from(facts.spec.arch.processor_number());
    let database = maker.key(
        root,
        "DriverDatabase",
        &[
            Value::dword("Version", 0x0A00_0000),
            Value::dword("SchemaVersion", 0x0001_0000),
            Value::dword("Architecture", arch),
            Value::binary("UpdateDate", 133_564_032_000_000_000_u64.to_le_bytes()),
        ],
    )?;
    if boot_critical {
        maker.key(root, "DriverDatabase", &[Value::binary("OemInfMap", [0])])?;
    }
    let ids = maker.child(database, "DeviceIds", &[])?;
    maker.child(database, "DriverFiles", &[])?;
    let infs = maker.child(database, "DriverInfFiles", &[])?;
    let packages = maker.child(database, "DriverPackages", &[])?;
    for package in facts.packages.iter().filter(|package| package.class.boot_critical == boot_critical) {
        let InboxPackage { inf, folder, hardware_ids, class, .. } = package;
        maker.child(
            infs,
            inf,
            &[
                Value::multi_sz("", &[folder]),
                Value::sz("Active", folder),
                Value::multi_sz("Configurations", &["Install.NT"]),
            ],
        )?;
        let key = maker.child(
            packages,
            folder,
            &[
                Value::sz("", inf),
                Value::binary("Version", version(facts, package)),
                Value::sz("Provider", "Microsoft"),
                Value::dword("SignerScore", 0x0D00_0003),
                Value::dword("StatusFlags", 0x12),
            ],
        )?;
        maker.key(
            key,
            "Configurations\\Install.NT",
            &[
                Value::dword("ConfigFlags", 0),
                Value::dword("ConfigScope", if facts.spec.build >= 19041 { 0xF7F } else { 0x5 }),
                Value::sz("Service", &package.service),
            ],
        )?;
        let strings = maker.child(key, "Strings", &[Value::sz("provider", "Microsoft")])?;
        for (number, id) in hardware_ids.iter().enumerate() {
            let token = format!("device{number}");
            let text = format!("Microsoft {} device {number}", package.service);
            maker.key(
                key,
                &format!("Descriptors\\{id}"),
                &[
                    Value::sz("Configuration", "Install.NT"),
                    Value::sz("Description", &format!("%{token}%")),
                    Value::sz("Manufacturer", "%provider%"),
                ],
            )?;
            maker.set(strings, &[Value::sz(&token, &text)])?;
            maker.key(ids, id, &[Value::binary(inf, [1, 0xFF, 0, 0])])?;
        }
        maker.key(ids, class.guid, &[Value::new(inf, ValueType::NONE, [])])?;
    }
    let mut random = Random::of(facts.spec.seed, if boot_critical { "system ids" } else { "driver ids" });
    let inf = facts.packages.first().map_or("machine.inf", |package| &package.inf);
    let (pci, usb) = (maker.child(ids, "PCI", &[])?, maker.child(ids, "USB", &[])?);
    while maker.length() < length {
        let (vendor, device) = (random.below(0x1_0000), random.below(0x1_0000));
        let (bus, id) = match random.below(2) {
            0 => (pci, format!("VEN_{vendor:04X}&DEV_{device:04X}&SUBSYS_{:08X}", random.bits() as u32)),
            _ => (usb, format!("VID_{vendor:04X}&PID_{device:04X}&MI_{:02X}", random.below(16))),
        };
        maker.child(bus, &id, &[Value::binary(inf, [1, 0xFF, 0, 0])])?;
    }
    Ok(())
}

/// The 48 bytes that describe an in-box package.
fn version(facts: &Facts<'_>, package: &InboxPackage) -> Vec<u8> {
    let mut bytes = vec![0xFF, 0xFF];
    bytes.extend(facts.spec.arch.processor_number().to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(guid_bytes(package.class.guid));
    bytes.extend(FileTime::from_date(2006, 6, 21).unwrap_or_default().0.to_le_bytes());
    for part in [1, facts.spec.build, 0, 10] {
        bytes.extend(part.to_le_bytes());
    }
    bytes.extend([0; 8]);
    bytes
}

/// A GUID in braces as Windows stores it: three little-endian numbers, then eight bytes.
fn guid_bytes(text: &str) -> [u8; 16] {
    let hex: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |position: usize| {
        let digits = std::str::from_utf8(&hex[2 * position..2 * position + 2]).unwrap_or("00");
        u8::from_str_radix(digits, 16).unwrap_or_default()
    };
    let order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    order.map(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guids_are_stored_as_windows_does() {
        assert_eq!(
            guid_bytes("{4d36e967-e325-11ce-bfc1-08002be10318}"),
            [0x67, 0xE9, 0x36, 0x4D, 0x25, 0xE3, 0xCE, 0x11, 0xBF, 0xC1, 0x08, 0x00, 0x2B, 0xE1, 0x03, 0x18]
        );
    }
}
