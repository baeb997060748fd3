// SPDX-License-Identifier: GPL-3.0-or-later
//! What is known about the Windows in an image, and where it is said.
//!
//! | fact | first source | fallback |
//! |---|---|---|
//! | directory | top-level folder with System32\config\SYSTEM and SOFTWARE, `Windows` first | |
//! | architecture | SYSTEM `Control\Session Manager\Environment` PROCESSOR_ARCHITECTURE | XML ARCH, machine of kernel32.dll or ntoskrnl.exe |
//! | version | SOFTWARE `Microsoft\Windows NT\CurrentVersion` CurrentMajorVersionNumber, CurrentMinorVersionNumber (8.1 and older: CurrentVersion), CurrentBuild, UBR | XML VERSION |
//! | product type, suites | SYSTEM `Control\ProductOptions` ProductType, ProductSuite | XML PRODUCTTYPE |
//! | language | SYSTEM `Control\Nls\Language` InstallLanguage | 0409 |
//! | WinPE | key SYSTEM `Control\MiniNT`, or SOFTWARE `...\CurrentVersion\WinPE`, or EditionID WindowsPE | |
//!
//! Sources: wimlib's `xml_windows.c` for the registry names, Pandapip1/gowim for the state of an
//! image that was never started.

use crate::base::{Arch, DirEntry, NodeId, Result, StreamKind, Version, WinPath, name};
use crate::hive::Value;
use crate::volume::Volume;
use crate::wim::ImageInfo;

use super::{ImageError, Registry};

/// What is known about the Windows in the image.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct WindowsInfo {
    /// `Windows` as a rule.
    pub directory: WinPath,
    /// The processor it is for.
    pub arch: Arch,
    /// major.minor.build.UBR
    pub version: Version,
    /// `Professional`, `ServerStandard`, `WindowsPE` ...
    pub edition: Option<String>,
    /// `Client`, `Server`, `WindowsPE` ...
    pub installation_type: Option<String>,
    /// 1 workstation, 2 domain controller, 3 server.
    pub product_type: u8,
    /// `VER_SUITE_*` bits.
    pub suite_mask: u32,
    /// LANGID from InstallLanguage, 0x0409 when unknown.
    pub language: u16,
    /// Whether it is a Windows PE or a setup or recovery environment made of it.
    pub is_winpe: bool,
}

const CURRENT_VERSION: &str = "HKLM\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion";
const ENVIRONMENT: &str = "HKLM\\SYSTEM\\CurrentControlSet\\Control\\Session Manager\\Environment";
const PRODUCT_OPTIONS: &str = "HKLM\\SYSTEM\\CurrentControlSet\\Control\\ProductOptions";
const LANGUAGE: &str = "HKLM\\SYSTEM\\CurrentControlSet\\Control\\Nls\\Language";
const MINI_NT: &str = "HKLM\\SYSTEM\\CurrentControlSet\\Control\\MiniNT";

/// en-US.
const DEFAULT_LANGUAGE: u16 = 0x0409;

/// Words of `ProductSuite` and their `VER_SUITE_*` bits (winnt.h).
const SUITES: &[(&str, u32)] = &[
    ("Small Business", 0x1),
    ("Enterprise", 0x2),
    ("BackOffice", 0x4),
    ("CommunicationServer", 0x8),
    ("Terminal Server", 0x10),
    ("Small Business(Restricted)", 0x20),
    ("EmbeddedNT", 0x40),
    ("DataCenter", 0x80),
    ("Personal", 0x200),
    ("Blade", 0x400),
    ("Embedded(Restricted)", 0x800),
    ("Security Appliance", 0x1000),
    ("Storage Server", 0x2000),
    ("Compute Server", 0x4000),
    ("WH Server", 0x8000),
];

/// Finds the directory that Windows lies in.
pub(super) fn find_directory(volume: &dyn Volume) -> Result<WinPath> {
    let root = volume.root();
    if let Some(entry) = volume.lookup(root, &name::units("Windows"))?
        && holds_windows(volume, &entry)?
    {
        return Ok(WinPath::root().join(entry.name));
    }
    for entry in volume.entries(root)? {
        if holds_windows(volume, &entry)? {
            return Ok(WinPath::root().join(entry.name));
        }
    }
    Err(ImageError::NoWindows.into())
}

fn holds_windows(volume: &dyn Volume, entry: &DirEntry) -> Result<bool> {
    let Some(config) = descend(volume, entry.node, &["System32", "config"])? else { return Ok(false) };
    for hive in ["SYSTEM", "SOFTWARE"] {
        if volume.lookup(config, &name::units(hive))?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Goes down from a directory; nothing when a component is missing or no directory.
fn descend(volume: &dyn Volume, from: NodeId, components: &[&str]) -> Result<Option<NodeId>> {
    let mut node = from;
    for component in components {
        if !volume.node(node)?.has_entries() {
            return Ok(None);
        }
        match volume.lookup(node, &name::units(component))? {
            Some(entry) => node = entry.node,
            None => return Ok(None),
        }
    }
    Ok(volume.node(node)?.has_entries().then_some(node))
}

impl WindowsInfo {
    /// Reads everything. `xml` is what the WIM says about the image.
    pub(super) fn read(
        volume: &dyn Volume,
        registry: &mut Registry,
        directory: WinPath,
        xml: Option<&ImageInfo>,
    ) -> Result<Self> {
        let arch = match arch_of_registry(registry)? {
            Some(arch) => arch,
            None => match xml.and_then(|xml| xml.arch).and_then(Arch::from_processor_number) {
                Some(arch) => arch,
                None => arch_of_kernel(volume, &directory)?
                    .ok_or(ImageError::UnknownArch { environment: ENVIRONMENT })?,
            },
        };
        let version = version_of_registry(registry)?
            .or_else(|| xml.and_then(version_of_xml))
            .ok_or(ImageError::UnknownVersion { key: CURRENT_VERSION })?;
        let text = |registry: &mut Registry, key: &str, value: &str| -> Result<Option<String>> {
            Ok(registry.value(key, value)?.and_then(|value| value.as_text()).filter(|text| !text.is_empty()))
        };
        let edition = text(registry, CURRENT_VERSION, "EditionID")?
            .or_else(|| xml.and_then(|xml| xml.edition_id.clone()));
        let installation_type = text(registry, CURRENT_VERSION, "InstallationType")?
            .or_else(|| xml.and_then(|xml| xml.installation_type.clone()));
        let product_type = text(registry, PRODUCT_OPTIONS, "ProductType")?
            .or_else(|| xml.and_then(|xml| xml.product_type.clone()))
            .map_or(1, |word| product_type(&word));
        let suite_mask = registry
            .value(PRODUCT_OPTIONS, "ProductSuite")?
            .as_ref()
            .and_then(Value::as_multi_sz)
            .map_or(0, |words| suite_mask(&words));
        let language = text(registry, LANGUAGE, "InstallLanguage")?
            .and_then(|digits| u16::from_str_radix(digits.trim(), 16).ok())
            .filter(|&language| language != 0)
            .unwrap_or(DEFAULT_LANGUAGE);
        let is_winpe = edition.as_deref().is_some_and(|edition| edition.eq_ignore_ascii_case("WindowsPE"))
            || registry.key(MINI_NT)?.is_some()
            || registry.key(&format!("{CURRENT_VERSION}\\WinPE"))?.is_some();
        Ok(Self {
            directory,
            arch,
            version,
            edition,
            installation_type,
            product_type,
            suite_mask,
            language,
            is_winpe,
        })
    }
}

fn arch_of_registry(registry: &mut Registry) -> Result<Option<Arch>> {
    let word = registry.value(ENVIRONMENT, "PROCESSOR_ARCHITECTURE")?.and_then(|value| value.as_text());
    Ok(word.and_then(|word| Arch::parse(word.trim())))
}

fn arch_of_kernel(volume: &dyn Volume, directory: &WinPath) -> Result<Option<Arch>> {
    let system32 = directory.join("System32");
    for file in ["kernel32.dll", "ntoskrnl.exe"] {
        let Some(node) = crate::volume::resolve(volume, &system32.join(file))? else { continue };
        let reader = volume.open(node, StreamKind::Data, &[])?;
        if let Some(arch) = crate::pe::arch(&*reader)? {
            return Ok(Some(arch));
        }
    }
    Ok(None)
}

fn version_of_registry(registry: &mut Registry) -> Result<Option<Version>> {
    let number = |registry: &mut Registry, value: &str| -> Result<Option<u16>> {
        let number = registry.value(CURRENT_VERSION, value)?.and_then(|value| value.as_dword());
        Ok(number.and_then(|number| u16::try_from(number).ok()))
    };
    let text = |registry: &mut Registry, value: &str| -> Result<Option<String>> {
        Ok(registry.value(CURRENT_VERSION, value)?.and_then(|value| value.as_text()))
    };
    let numbers =
        (number(registry, "CurrentMajorVersionNumber")?, number(registry, "CurrentMinorVersionNumber")?);
    let (major, minor) = match numbers {
        (Some(major), Some(minor)) => (major, minor),
        _ => match text(registry, "CurrentVersion")?.and_then(|text| text.parse::<Version>().ok()) {
            Some(version) => (version.major, version.minor),
            None => return Ok(None),
        },
    };
    let mut build = None;
    for value in ["CurrentBuild", "CurrentBuildNumber"] {
        if build.is_none() {
            build = text(registry, value)?.and_then(|text| text.trim().parse().ok());
        }
    }
    let revision = number(registry, "UBR")?.unwrap_or(0);
    Ok(build.map(|build| Version::new(major, minor, build, revision)))
}

fn version_of_xml(xml: &ImageInfo) -> Option<Version> {
    let (major, minor, build) = xml.version?;
    let part = |number: u32| u16::try_from(number).ok();
    let revision = xml.service_pack_build.and_then(part).unwrap_or(0);
    Some(Version::new(part(major)?, part(minor)?, part(build)?, revision))
}

fn product_type(word: &str) -> u8 {
    if word.eq_ignore_ascii_case("LanmanNT") {
        2
    } else if word.eq_ignore_ascii_case("ServerNT") {
        3
    } else {
        1
    }
}

fn suite_mask(words: &[String]) -> u32 {
    let bit =
        |word: &String| SUITES.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, bit)| bit);
    words.iter().filter_map(bit).fold(0, |mask, bit| mask | bit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn product_words() {
        assert_eq!(product_type("WinNT"), 1);
        assert_eq!(product_type("lanmannt"), 2);
        assert_eq!(product_type("ServerNT"), 3);
        assert_eq!(suite_mask(&["Terminal Server".into(), "DataCenter".into(), "what".into()]), 0x90);
    }

    #[test]
    fn version_from_xml_takes_the_service_pack_build_as_revision() {
        let xml = ImageInfo {
            version: Some((10, 0, 22621)),
            service_pack_build: Some(3007),
            ..ImageInfo::default()
        };
        assert_eq!(version_of_xml(&xml), Some(Version::new(10, 0, 22621, 3007)));
        assert_eq!(version_of_xml(&ImageInfo::default()), None);
    }
}
