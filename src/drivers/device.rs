// SPDX-License-Identifier: GPL-3.0-or-later
//! Devices by their identifiers: what Windows would ask the store for.
//!
//! A device has hardware ids, the most specific first, and compatible ids. From one identifier the
//! list is made as the bus driver makes it:
//!
//! | bus | hardware ids | compatible ids |
//! |---|---|---|
//! | PCI | `VEN&DEV&SUBSYS&REV`, `VEN&DEV&SUBSYS`, `VEN&DEV&CC` (6 and 4 digits) | `VEN&DEV&REV`, `VEN&DEV`, `VEN&CC` (6, 4), `VEN`, `CC` (6, 4) |
//! | USB | `VID&PID&REV[&MI]`, `VID&PID[&MI]` | `Class&SubClass&Prot`, `Class&SubClass`, `Class` |
//! | ACPI | `ACPI\VEN_x&DEV_y`, `ACPI\xy`, `*xy` | |
//!
//! Lists of devices are read from `lspci -n`, `-nn` (with `-k` or `-v` the subsystem too), `lsusb`,
//! the kernel's modalias lines, and any text with Windows' identifiers (pnputil, PowerShell).
//!
//! Sources: "Identifiers for PCI devices", "Standard USB identifiers" of MicrosoftDocs; the
//! kernel's `file2alias.c` documents the modalias forms.

use std::collections::BTreeSet;

/// One device.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Device {
    /// Upper case, the most specific first.
    pub hardware_ids: Vec<String>,
    /// Upper case, the most specific first.
    pub compatible_ids: Vec<String>,
    /// Identifiers beginning so may be the device's too: what follows is not known of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub open_prefixes: Vec<String>,
}

impl Device {
    /// The device that an identifier tells of.
    pub fn of_id(id: &str) -> Self {
        let id = id.trim().trim_matches('\\').to_uppercase();
        if let Some(rest) = id.strip_prefix("PCI\\") {
            return pci(&Parts::of(rest)).unwrap_or_else(|| Self::plain(&id));
        }
        if let Some(rest) = id.strip_prefix("USB\\") {
            return usb(&Parts::of(rest)).unwrap_or_else(|| Self::plain(&id));
        }
        if let Some(rest) = id.strip_prefix("ACPI\\") {
            return acpi(rest).unwrap_or_else(|| Self::plain(&id));
        }
        Self::plain(&id)
    }

    fn plain(id: &str) -> Self {
        Self { hardware_ids: vec![id.to_owned()], ..Self::default() }
    }

    /// Whether an identifier may be the device's although it is not known to be.
    pub fn may_have(&self, id: &str) -> bool {
        self.open_prefixes.iter().any(|prefix| id.starts_with(prefix.as_str()))
    }
}

/// `VEN_8086&DEV_1234`: parts by their names.
struct Parts<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Self {
        Self(text.split('&').filter_map(|part| part.split_once('_')).collect())
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(found, _)| *found == name).map(|(_, value)| *value)
    }
}

fn pci(parts: &Parts<'_>) -> Option<Device> {
    let mut device = Device::default();
    let class = parts.get("CC");
    // Of six digits the first four are a class too.
    let classes: Vec<&str> = class
        .into_iter()
        .chain(class.and_then(|class| class.get(..4)).filter(|_| class.is_some_and(|class| class.len() > 4)))
        .collect();
    if let Some(vendor) = parts.get("VEN") {
        if let Some(product) = parts.get("DEV") {
            let base = format!("PCI\\VEN_{vendor}&DEV_{product}");
            match (parts.get("SUBSYS"), parts.get("REV")) {
                (Some(subsystem), revision) => {
                    if let Some(revision) = revision {
                        device.hardware_ids.push(format!("{base}&SUBSYS_{subsystem}&REV_{revision}"));
                    } else {
                        device.open_prefixes.push(format!("{base}&SUBSYS_{subsystem}&REV_"));
                    }
                    device.hardware_ids.push(format!("{base}&SUBSYS_{subsystem}"));
                }
                (None, _) => device.open_prefixes.push(format!("{base}&SUBSYS_")),
            }
            device.hardware_ids.extend(classes.iter().map(|class| format!("{base}&CC_{class}")));
            if class.is_none() {
                device.open_prefixes.push(format!("{base}&CC_"));
            }
            match parts.get("REV") {
                Some(revision) => device.compatible_ids.push(format!("{base}&REV_{revision}")),
                None => device.open_prefixes.push(format!("{base}&REV_")),
            }
            device.compatible_ids.push(base);
        }
        device.compatible_ids.extend(classes.iter().map(|class| format!("PCI\\VEN_{vendor}&CC_{class}")));
        device.compatible_ids.push(format!("PCI\\VEN_{vendor}"));
    }
    device.compatible_ids.extend(classes.iter().map(|class| format!("PCI\\CC_{class}")));
    let known = !device.hardware_ids.is_empty() || !device.compatible_ids.is_empty();
    known.then_some(device)
}

fn usb(parts: &Parts<'_>) -> Option<Device> {
    let mut device = Device::default();
    if let (Some(vendor), Some(product)) = (parts.get("VID"), parts.get("PID")) {
        let base = format!("USB\\VID_{vendor}&PID_{product}");
        let interface = parts.get("MI").map(|number| format!("&MI_{number}")).unwrap_or_default();
        match parts.get("REV") {
            Some(revision) => device.hardware_ids.push(format!("{base}&REV_{revision}{interface}")),
            None => device.open_prefixes.push(format!("{base}&REV_")),
        }
        if interface.is_empty() {
            device.open_prefixes.push(format!("{base}&MI_"));
        }
        device.hardware_ids.push(format!("{base}{interface}"));
    }
    if let Some(class) = parts.get("CLASS") {
        let base = format!("USB\\CLASS_{class}");
        if let Some(sub_class) = parts.get("SUBCLASS") {
            let base = format!("{base}&SUBCLASS_{sub_class}");
            if let Some(protocol) = parts.get("PROT") {
                device.compatible_ids.push(format!("{base}&PROT_{protocol}"));
            }
            device.compatible_ids.push(base);
        }
        device.compatible_ids.push(base);
    }
    let known = !device.hardware_ids.is_empty() || !device.compatible_ids.is_empty();
    known.then_some(device)
}

fn acpi(rest: &str) -> Option<Device> {
    let parts = Parts::of(rest);
    let (vendor, number) = match (parts.get("VEN"), parts.get("DEV")) {
        (Some(vendor), Some(number)) => (vendor.to_owned(), number.to_owned()),
        _ => {
            // PNP0C0A: four or three letters, four digits.
            let split = rest.len().checked_sub(4)?;
            if !(3..=4).contains(&split) || !rest.is_ascii() {
                return None;
            }
            let (vendor, number) = rest.split_at_checked(split)?;
            (vendor.to_owned(), number.to_owned())
        }
    };
    Some(Device {
        hardware_ids: vec![
            format!("ACPI\\VEN_{vendor}&DEV_{number}"),
            format!("ACPI\\{vendor}{number}"),
            format!("*{vendor}{number}"),
        ],
        ..Device::default()
    })
}

/// Devices of a machine.
#[derive(Clone, Debug, Default)]
pub struct DeviceList {
    devices: Vec<Device>,
    ids: BTreeSet<String>,
}

impl DeviceList {
    /// Reads a list in any of the forms; lines that tell of no device are passed over.
    pub fn parse(text: &str) -> Self {
        let mut ids: Vec<String> = Vec::new();
        for line in text.lines() {
            if let Some(subsystem) = subsystem_of_lspci(line) {
                // It belongs to the device above.
                if let Some(last) =
                    ids.last_mut().filter(|id| id.starts_with("PCI\\") && !id.contains("&SUBSYS_"))
                {
                    last.push_str(&format!("&SUBSYS_{subsystem}"));
                }
                continue;
            }
            let one = lspci(line).or_else(|| modalias(line)).or_else(|| lsusb(line));
            match one {
                Some(id) => ids.push(id),
                None => ids.extend(windows_ids(line)),
            }
        }
        let devices: Vec<Device> = ids.iter().map(|id| Device::of_id(id)).collect();
        let all = devices.iter().flat_map(|device| device.hardware_ids.iter().chain(&device.compatible_ids));
        let ids = all.cloned().collect();
        Self { devices, ids }
    }

    /// How many devices there are.
    pub fn len(&self) -> usize {
        self.devices.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }

    /// Whether an identifier of an INF is that of a device here, or may be.
    pub fn has(&self, id: &str) -> bool {
        let id = id.trim().trim_matches('\\').to_uppercase();
        self.ids.contains(&id) || self.devices.iter().any(|device| device.may_have(&id))
    }
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The last `[8086:9bc4]` of a line.
fn bracketed_pair(line: &str) -> Option<(&str, &str)> {
    line.rmatch_indices('[').find_map(|(at, _)| {
        let (inner, _) = line.get(at + 1..)?.split_once(']')?;
        let (vendor, product) = inner.split_once(':')?;
        (is_hex(vendor, 4) && is_hex(product, 4)).then_some((vendor, product))
    })
}

/// `00:02.0 VGA compatible controller [0300]: Intel ... [8086:9bc4] (rev 05)`, or with numbers
/// alone `00:02.0 0300: 8086:9bc4 (rev 05)`.
fn lspci(line: &str) -> Option<String> {
    let (slot, rest) = line.split_once(' ')?;
    let in_slot = |character: char| character.is_ascii_hexdigit() || matches!(character, ':' | '.');
    if !slot.contains('.') || !slot.contains(':') || !slot.chars().all(in_slot) {
        return None;
    }
    let revision =
        rest.rsplit_once("(rev ").and_then(|(_, rest)| rest.get(..2)).filter(|text| is_hex(text, 2));
    let (class, vendor, product) = match bracketed_pair(rest) {
        Some((vendor, product)) => {
            let class = rest.split('[').skip(1).find_map(|part| part.split_once(']')).map(|(inner, _)| inner);
            (class.filter(|text| is_hex(text, 4)), vendor, product)
        }
        None => {
            let mut words = rest.split_whitespace();
            let class = words.next()?.strip_suffix(':')?;
            let (vendor, product) = words.next()?.split_once(':')?;
            (Some(class), vendor, product)
        }
    };
    if !is_hex(vendor, 4) || !is_hex(product, 4) {
        return None;
    }
    let mut id = format!("PCI\\VEN_{vendor}&DEV_{product}");
    if let Some(class) = class {
        id.push_str(&format!("&CC_{class}"));
    }
    if let Some(revision) = revision {
        id.push_str(&format!("&REV_{revision}"));
    }
    Some(id.to_uppercase())
}

/// `Subsystem: Dell Device [1028:0962]`: Windows writes the device first.
fn subsystem_of_lspci(line: &str) -> Option<String> {
    let rest = line.trim_start().strip_prefix("Subsystem:")?;
    let (vendor, product) = bracketed_pair(rest).or_else(|| {
        let (vendor, product) = rest.trim().split_once(':')?;
        (is_hex(vendor, 4) && is_hex(product, 4)).then_some((vendor, product))
    })?;
    Some(format!("{product}{vendor}").to_uppercase())
}

/// `Bus 001 Device 002: ID 8087:0026 Intel Corp.`
fn lsusb(line: &str) -> Option<String> {
    let (_, rest) = line.strip_prefix("Bus ")?.split_once(": ID ")?;
    let (vendor, product) = rest.split_whitespace().next()?.split_once(':')?;
    (is_hex(vendor, 4) && is_hex(product, 4))
        .then(|| format!("USB\\VID_{vendor}&PID_{product}").to_uppercase())
}

/// `pci:v00008086d00009BC4sv00001028sd00000962bc03sc00i00` and its like.
fn modalias(line: &str) -> Option<String> {
    let line = line.trim();
    let at = ["pci:v", "usb:v", "acpi:"].iter().find_map(|start| line.find(start))?;
    let alias = line.get(at..)?.split_whitespace().next()?;
    if let Some(rest) = alias.strip_prefix("acpi:") {
        let id = rest.split(':').next()?;
        return (!id.is_empty()).then(|| format!("ACPI\\{}", id.to_uppercase()));
    }
    let field = |name: &str, after: &str, digits: usize| {
        let (_, rest) = alias.split_once(after)?;
        let rest = rest.get(rest.find(name)? + name.len()..)?;
        rest.get(..digits).filter(|text| is_hex(text, digits))
    };
    if alias.starts_with("pci:") {
        let (vendor, rest) = (alias.get(9..13)?, alias.get(13..)?);
        let product = rest.strip_prefix('d')?.get(4..8)?;
        let rest = rest.get(9..)?;
        let (sub_vendor, rest) = (rest.strip_prefix("sv")?.get(4..8)?, rest.get(10..)?);
        let (sub_product, rest) = (rest.strip_prefix("sd")?.get(4..8)?, rest.get(10..)?);
        let class = rest.strip_prefix("bc")?.get(..2)?;
        let rest = rest.get(4..)?.strip_prefix("sc")?;
        let (sub_class, interface) = (rest.get(..2)?, rest.get(2..)?.strip_prefix('i')?.get(..2)?);
        let id = format!(
            "PCI\\VEN_{vendor}&DEV_{product}&SUBSYS_{sub_product}{sub_vendor}&CC_{class}{sub_class}{interface}"
        );
        return Some(id.to_uppercase());
    }
    let (vendor, product) = (alias.get(5..9)?, alias.get(9..)?.strip_prefix('p')?.get(..4)?);
    if !is_hex(vendor, 4) || !is_hex(product, 4) {
        return None;
    }
    let mut id = format!("USB\\VID_{vendor}&PID_{product}");
    if let Some(revision) = field("d", &format!("p{product}"), 4) {
        id.push_str(&format!("&REV_{revision}"));
    }
    if let (Some(class), Some(sub_class), Some(protocol)) =
        (field("ic", "usb:", 2), field("isc", "usb:", 2), field("ip", "usb:", 2))
    {
        id.push_str(&format!("&CLASS_{class}&SUBCLASS_{sub_class}&PROT_{protocol}"));
    }
    Some(id.to_uppercase())
}

/// Words with a backslash: `PCI\VEN_8086&DEV_9BC4`.
fn windows_ids(line: &str) -> Vec<String> {
    let separator = |character: char| {
        character.is_whitespace() || matches!(character, ',' | ';' | '"' | '\'' | '(' | ')' | '{' | '}' | '=')
    };
    let is_id = |word: &&str| {
        word.split_once('\\').is_some_and(|(bus, rest)| {
            bus.len() >= 2
                && !rest.is_empty()
                && bus.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        })
    };
    line.split(separator).filter(is_id).map(str::to_uppercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pci_devices() {
        let device = Device::of_id("pci\\ven_1AF4&dev_1001&subsys_00021AF4&rev_00&cc_010000");
        let ids = [
            "PCI\\VEN_1AF4&DEV_1001&SUBSYS_00021AF4&REV_00",
            "PCI\\VEN_1AF4&DEV_1001&SUBSYS_00021AF4",
            "PCI\\VEN_1AF4&DEV_1001&CC_010000",
            "PCI\\VEN_1AF4&DEV_1001&CC_0100",
        ];
        assert_eq!(device.hardware_ids, ids);
        let ids = [
            "PCI\\VEN_1AF4&DEV_1001&REV_00",
            "PCI\\VEN_1AF4&DEV_1001",
            "PCI\\VEN_1AF4&CC_010000",
            "PCI\\VEN_1AF4&CC_0100",
            "PCI\\VEN_1AF4",
            "PCI\\CC_010000",
            "PCI\\CC_0100",
        ];
        assert_eq!(device.compatible_ids, ids);
        assert_eq!(device.open_prefixes, Vec::<String>::new());
        let short = Device::of_id("PCI\\VEN_1AF4&DEV_1001");
        assert!(short.may_have("PCI\\VEN_1AF4&DEV_1001&SUBSYS_00021AF4"));
        assert!(!short.may_have("PCI\\VEN_1AF4&DEV_1002&SUBSYS_00021AF4"));
        assert_eq!(Device::of_id("ROOT\\vdisk").hardware_ids, ["ROOT\\VDISK"]);
        assert_eq!(Device::of_id("PCI\\odd").hardware_ids, ["PCI\\ODD"]);
        assert_eq!(
            Device::of_id("ACPI\\PNP0C0A").hardware_ids,
            ["ACPI\\VEN_PNP&DEV_0C0A", "ACPI\\PNP0C0A", "*PNP0C0A"]
        );
    }

    #[test]
    fn lines_of_lists() {
        let first = |text: &str| {
            let list = DeviceList::parse(text);
            assert!(list.len() <= 1, "{text}");
            list.devices.first().map(|device| {
                device.hardware_ids.first().or(device.compatible_ids.first()).cloned().unwrap_or_default()
            })
        };
        let cases = [
            (
                "00:02.0 VGA compatible controller [0300]: Intel Corporation UHD [8086:9bc4] (rev 05)",
                Some("PCI\\VEN_8086&DEV_9BC4&CC_0300"),
            ),
            ("0000:00:1f.3 0403: 8086:06c8 (rev ff)", Some("PCI\\VEN_8086&DEV_06C8&CC_0403")),
            (
                "01:00.0 Ethernet controller [0200]: X [10ec:8168]\n\tSubsystem: Dell Device [1028:0962]\n\tKernel driver in use: r8169",
                Some("PCI\\VEN_10EC&DEV_8168&SUBSYS_09621028"),
            ),
            ("Bus 001 Device 002: ID 8087:0026 Intel Corp.", Some("USB\\VID_8087&PID_0026")),
            (
                "pci:v00008086d00009BC4sv00001028sd00000962bc03sc00i00",
                Some("PCI\\VEN_8086&DEV_9BC4&SUBSYS_09621028"),
            ),
            ("MODALIAS=usb:v046DpC52Bd1203dc00dsc00dp00ic03isc01ip01in00", None),
            ("acpi:PNP0C0A:", Some("ACPI\\VEN_PNP&DEV_0C0A")),
            ("    HardwareID : {ACPI\\VEN_INT&DEV_3403}", Some("ACPI\\VEN_INT&DEV_3403")),
            ("plain words, a path/with slashes", None),
            ("", None),
        ];
        for (text, expected) in cases {
            if text.starts_with("MODALIAS") {
                assert_eq!(first(text).as_deref(), Some("USB\\VID_046D&PID_C52B&REV_1203"));
                continue;
            }
            assert_eq!(first(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn what_a_list_has() {
        let list = DeviceList::parse(
            "00:02.0 VGA [0300]: Intel [8086:9bc4] (rev 05)\nUSB\\VID_046D&PID_C52B&REV_1203 some mouse\n",
        );
        assert_eq!(list.len(), 2);
        for id in [
            "PCI\\VEN_8086&DEV_9BC4",
            "pci\\ven_8086&dev_9bc4&rev_05",
            "PCI\\VEN_8086&DEV_9BC4&SUBSYS_12345678",
            "PCI\\CC_0300",
            "USB\\VID_046D&PID_C52B&MI_01",
        ] {
            assert!(list.has(id), "{id}");
        }
        for id in ["PCI\\VEN_8086&DEV_9BC5", "PCI\\VEN_8086&DEV_9BC4&REV_06", "PCI\\CC_0100", "USB\\VID_046D"]
        {
            assert!(!list.has(id), "{id}");
        }
        assert!(DeviceList::parse("nothing here").is_empty());
    }
}
