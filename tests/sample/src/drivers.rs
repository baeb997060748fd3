// SPDX-License-Identifier: GPL-3.0-or-later
//! Driver packages: those that a sample image has in its store from the start, and packages to
//! add to it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use transom::base::Arch;

use crate::content::{Content, ProgramKind};
use crate::random::Random;

/// A device setup class (names and GUIDs as Microsoft publishes them).
#[derive(Clone, Copy, Debug)]
pub struct Class {
    /// Its name.
    pub name: &'static str,
    /// Its GUID in braces, lower case.
    pub guid: &'static str,
    /// Whether Windows needs its drivers to boot (`DEVPKEY_DeviceClass_BootCritical`).
    pub boot_critical: bool,
}

const fn class(name: &'static str, guid: &'static str, boot_critical: bool) -> Class {
    Class { name, guid, boot_critical }
}

/// The classes of a sample image.
#[rustfmt::skip]
pub const CLASSES: &[Class] = &[
    class("1394", "{6bdd1fc1-810f-11d0-bec7-08002be2092f}", true),
    class("AudioEndpoint", "{c166523c-fe0c-4a94-a586-f1a80cfbbf3e}", false),
    class("Battery", "{72631e54-78a4-11d0-bcf7-00aa00b7b32a}", true),
    class("Bluetooth", "{e0cbf06c-cd8b-4647-bb8a-263b43f0f974}", false),
    class("Camera", "{ca3e7ab9-b4c3-4ae6-8251-579ef933890f}", false),
    class("CDROM", "{4d36e965-e325-11ce-bfc1-08002be10318}", true),
    class("Computer", "{4d36e966-e325-11ce-bfc1-08002be10318}", true),
    class("DiskDrive", "{4d36e967-e325-11ce-bfc1-08002be10318}", true),
    class("Display", "{4d36e968-e325-11ce-bfc1-08002be10318}", false),
    class("EhStorSilo", "{9da2b80f-f89f-4a49-a5c2-511b085b9e8a}", true),
    class("Extension", "{e2f84ce7-8efa-411c-aa69-97454ca4cb57}", false),
    class("FDC", "{4d36e969-e325-11ce-bfc1-08002be10318}", true),
    class("Firmware", "{f2e7dd72-6468-4e36-b6f1-6488f42c1b52}", true),
    class("FloppyDisk", "{4d36e980-e325-11ce-bfc1-08002be10318}", true),
    class("HDC", "{4d36e96a-e325-11ce-bfc1-08002be10318}", true),
    class("HIDClass", "{745a17a0-74d3-11d0-b6fe-00a0c90f57da}", true),
    class("Image", "{6bdd1fc6-810f-11d0-bec7-08002be2092f}", false),
    class("Keyboard", "{4d36e96b-e325-11ce-bfc1-08002be10318}", true),
    class("MEDIA", "{4d36e96c-e325-11ce-bfc1-08002be10318}", false),
    class("Memory", "{5099944a-f6b9-4057-a056-8c550228544c}", true),
    class("Modem", "{4d36e96d-e325-11ce-bfc1-08002be10318}", false),
    class("Monitor", "{4d36e96e-e325-11ce-bfc1-08002be10318}", false),
    class("Mouse", "{4d36e96f-e325-11ce-bfc1-08002be10318}", true),
    class("MTD", "{4d36e970-e325-11ce-bfc1-08002be10318}", false),
    class("MultiFunction", "{4d36e971-e325-11ce-bfc1-08002be10318}", false),
    class("Net", "{4d36e972-e325-11ce-bfc1-08002be10318}", false),
    class("NetClient", "{4d36e973-e325-11ce-bfc1-08002be10318}", false),
    class("NetService", "{4d36e974-e325-11ce-bfc1-08002be10318}", false),
    class("NetTrans", "{4d36e975-e325-11ce-bfc1-08002be10318}", false),
    class("PCMCIA", "{4d36e977-e325-11ce-bfc1-08002be10318}", true),
    class("Ports", "{4d36e978-e325-11ce-bfc1-08002be10318}", true),
    class("Printer", "{4d36e979-e325-11ce-bfc1-08002be10318}", false),
    class("Processor", "{50127dc3-0f36-415e-a6cc-4cb3be910b65}", true),
    class("SBP2", "{d48179be-ec20-11d1-b6b8-00c04fa372a7}", true),
    class("ScmDisk", "{53966cb1-4d46-4166-bf23-c522403cd495}", true),
    class("ScmVolume", "{53ccb149-e543-4c84-b6e0-bce4f6b7e806}", true),
    class("SCSIAdapter", "{4d36e97b-e325-11ce-bfc1-08002be10318}", true),
    class("SDHost", "{a0a588a4-c46f-4b37-b7ea-c82fe89870c6}", true),
    class("SecurityDevices", "{d94ee5d8-d189-4994-83d2-f68d7d41b0e6}", true),
    class("Sensor", "{5175d334-c371-4806-b3ba-71fd53c9258d}", false),
    class("SmartCardReader", "{50dd5230-ba8a-11d1-bf5d-0000f805f530}", false),
    class("SmrDisk", "{53487c23-680f-4585-acc3-1f10d6777e82}", true),
    class("SmrVolume", "{53b3cf03-8f5a-4788-91b6-d19ed9fcccbf}", true),
    class("SoftwareComponent", "{5c4c3332-344d-483c-8739-259e934c9cc8}", false),
    class("SoftwareDevice", "{62f9c741-b25a-46ce-b54c-9bccce08b6f2}", false),
    class("System", "{4d36e97d-e325-11ce-bfc1-08002be10318}", true),
    class("Unknown", "{4d36e97e-e325-11ce-bfc1-08002be10318}", false),
    class("USB", "{36fc9e60-c465-11cf-8056-444553540000}", true),
    class("USBDevice", "{88bae032-5a81-49f0-bc3d-a4ff138216d6}", true),
    class("USBFunctionController", "{bbbe8734-08fa-4966-b6a6-4e5ad010cdd7}", true),
    class("Volume", "{71a27cdd-812a-11d0-bec7-08002be2092f}", true),
    class("VolumeSnapshot", "{533c5b84-ec70-11d2-9505-00c04f79deaf}", true),
    class("WPD", "{eec5ad98-8080-425f-922a-dabf3de3f69a}", false),
];

/// A package that is in the store from the start.
#[derive(Clone, Debug)]
pub struct InboxPackage {
    /// `disk.inf`.
    pub inf: String,
    /// Its class.
    pub class: &'static Class,
    /// The devices it drives.
    pub hardware_ids: Vec<String>,
    /// The service, and the stem of its file.
    pub service: String,
    /// The text of the INF.
    pub text: String,
    /// The folder in `FileRepository`.
    pub folder: String,
}

/// Names of in-box INFs with their classes; more are made up behind them.
const KNOWN: &[(&str, &str)] = &[
    ("disk", "DiskDrive"),
    ("machine", "System"),
    ("mshdc", "HDC"),
    ("msmouse", "Mouse"),
    ("keyboard", "Keyboard"),
    ("input", "HIDClass"),
    ("usbxhci", "USB"),
    ("stornvme", "SCSIAdapter"),
    ("netrtwlane", "Net"),
    ("display", "Display"),
    ("hdaudio", "MEDIA"),
    ("volume", "Volume"),
];

/// The tag of a driver store folder: `h = h * 39 + byte` over the INF, modulo 2^64, its bytes
/// printed lowest first.
pub fn store_tag(inf: &[u8]) -> String {
    let hash = inf.iter().fold(0u64, |hash, &byte| hash.wrapping_mul(39).wrapping_add(u64::from(byte)));
    hash.to_le_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The first `count` packages of the store.
pub fn inbox_packages(count: usize, arch: Arch, build: u16, seed: u64) -> Vec<InboxPackage> {
    (0..count)
        .map(|number| {
            let mut random = Random::of(seed, &format!("inbox package {number}"));
            let (stem, class) = match KNOWN.get(number) {
                Some((stem, class)) => {
                    ((*stem).to_owned(), CLASSES.iter().find(|found| found.name == *class).unwrap())
                }
                None => {
                    let class = random.pick(CLASSES);
                    (format!("{}{number:03}", class.name.to_ascii_lowercase()), class)
                }
            };
            let devices = 1 + random.below(6);
            let hardware_ids: Vec<String> = (0..devices)
                .map(|_| {
                    let (vendor, device) = (random.below(0x7000) + 0x8000, random.below(0x1_0000));
                    match random.below(3) {
                        0 => format!("USB\\VID_{vendor:04X}&PID_{device:04X}"),
                        1 => format!("ACPI\\SMP{device:04X}"),
                        _ => format!("PCI\\VEN_{vendor:04X}&DEV_{device:04X}"),
                    }
                })
                .collect();
            let inf = format!("{stem}.inf");
            let text = inf_text(&InfText {
                provider: "Microsoft",
                class,
                catalog: None,
                date: "06/21/2006",
                version: &format!("10.0.{build}.1"),
                arch,
                service: &stem,
                hardware_ids: &hardware_ids,
                start_type: 3,
            });
            let folder = format!("{inf}_{arch}_{}", store_tag(text.as_bytes()));
            InboxPackage { inf, class, hardware_ids, service: stem, text, folder }
        })
        .collect()
}

struct InfText<'a> {
    provider: &'a str,
    class: &'a Class,
    catalog: Option<&'a str>,
    date: &'a str,
    version: &'a str,
    arch: Arch,
    service: &'a str,
    hardware_ids: &'a [String],
    start_type: u8,
}

/// The text of a small declarative INF.
fn inf_text(facts: &InfText<'_>) -> String {
    let InfText { provider, class, catalog, date, version, arch, service, hardware_ids, start_type } = facts;
    let mut lines = vec![
        format!("; {service}.inf"),
        "[Version]".into(),
        "Signature = \"$WINDOWS NT$\"".into(),
        format!("Class = {}", class.name),
        format!("ClassGuid = {}", class.guid.to_uppercase()),
        "Provider = %Provider%".into(),
        format!("DriverVer = {date},{version}"),
    ];
    lines.extend(catalog.map(|catalog| format!("CatalogFile = {catalog}")));
    lines.extend(
        [
            "PnpLockdown = 1",
            "",
            "[SourceDisksNames]",
            "1 = %Disk%",
            "",
            "[SourceDisksFiles]",
            &format!("{service}.sys = 1"),
            "",
            "[DestinationDirs]",
            "DefaultDestDir = 12",
            "",
            "[Manufacturer]",
            &format!("%Provider% = Models,NT{arch}"),
            "",
            &format!("[Models.NT{arch}]"),
        ]
        .map(str::to_owned),
    );
    lines.extend(
        hardware_ids.iter().enumerate().map(|(number, id)| format!("%Device{number}% = Install,{id}")),
    );
    lines.extend(
        [
            "",
            "[Install.NT]",
            "CopyFiles = Install.Files",
            "",
            "[Install.Files]",
            &format!("{service}.sys"),
            "",
            "[Install.NT.Services]",
            &format!("AddService = {service},0x00000002,Install.Service"),
            "",
            "[Install.Service]",
            "DisplayName = %Service%",
            "ServiceType = 1",
            &format!("StartType = {start_type}"),
            "ErrorControl = 1",
            &format!("ServiceBinary = %12%\\{service}.sys"),
            "AddReg = Install.Parameters",
            "",
            "[Install.Parameters]",
            "HKR,Parameters,BusType,0x00010001,0x0000000A",
            "HKR,Parameters,Comment,,\"made for the demonstration\"",
            "",
            "[Strings]",
            &format!("Provider = \"{provider}\""),
            &format!("Disk = \"{provider} {service} disk\""),
            &format!("Service = \"{service} driver\""),
        ]
        .map(str::to_owned),
    );
    lines.extend(
        hardware_ids
            .iter()
            .enumerate()
            .map(|(number, _)| format!("Device{number} = \"{provider} {service} device {number}\"")),
    );
    lines.push(String::new());
    lines.join("\r\n")
}

/// A package to add to an image.
#[derive(Clone, Copy, Debug)]
pub struct DriverSpec<'a> {
    /// The stem of INF, catalog, driver and service.
    pub name: &'a str,
    /// The class by its name in [`CLASSES`].
    pub class: &'a str,
    /// The architecture of the models and of the program.
    pub arch: Arch,
    /// How long the driver is.
    pub length: u32,
}

impl Default for DriverSpec<'_> {
    fn default() -> Self {
        Self { name: "demodisk", class: "SCSIAdapter", arch: Arch::Amd64, length: 60_000 }
    }
}

/// Writes a package with no catalog into a new folder below `parent`, named as the package.
/// Gives the path of its INF.
///
/// # Errors
/// When the class is none of [`CLASSES`], or the folder cannot be written.
pub fn write_package(parent: &Path, spec: &DriverSpec<'_>) -> Result<PathBuf> {
    let class = CLASSES
        .iter()
        .find(|class| class.name == spec.class)
        .with_context(|| format!("no such setup class: {}", spec.class))?;
    let folder = parent.join(spec.name);
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let ids = [
        "PCI\\VEN_1AF4&DEV_1001&SUBSYS_00021AF4&REV_00".to_owned(),
        "PCI\\VEN_1AF4&DEV_1042&SUBSYS_11001AF4&REV_01".to_owned(),
    ];
    let text = inf_text(&InfText {
        provider: "Transom Demonstration",
        class,
        catalog: Some(&format!("{}.cat", spec.name)),
        date: "04/01/2026",
        version: "1.2.3.4",
        arch: spec.arch,
        service: spec.name,
        hardware_ids: &ids,
        start_type: 0,
    });
    let inf = folder.join(format!("{}.inf", spec.name));
    std::fs::write(&inf, text)?;
    let driver = Content::Program {
        arch: spec.arch,
        kind: ProgramKind::Native,
        seed: u64::from(spec.length),
        length: spec.length,
    };
    std::fs::write(folder.join(format!("{}.sys", spec.name)), driver.bytes())?;
    Ok(inf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_the_published_ones() {
        assert_eq!(store_tag(b""), "0000000000000000");
        assert_eq!(store_tag(b"A"), "4100000000000000");
        assert_eq!(store_tag(b"AB"), "290a000000000000");
    }

    #[test]
    fn packages_depend_on_the_seed_alone() {
        let folders = |seed| -> Vec<String> {
            inbox_packages(40, Arch::Arm64, 26100, seed).into_iter().map(|package| package.folder).collect()
        };
        assert_eq!(folders(1), folders(1));
        assert_ne!(folders(1), folders(2));
        let mut names = folders(1);
        names.dedup();
        assert_eq!(names.len(), 40);
        assert!(names[0].starts_with("disk.inf_arm64_"), "{}", names[0]);
    }
}
