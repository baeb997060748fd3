// SPDX-License-Identifier: GPL-3.0-or-later
//! `Configurations`, `Descriptors` and `Strings` of a package that is put to work offline: what
//! the kernel needs to find the driver of a device before any file of the store can be read, and
//! what the device installation at first boot takes over.
//!
//! Device properties are default values of `Properties\{fmtid}\<id, four hex digits>`, with the
//! property's type as registry type. Sources: SYSTEM hives of mkorman90/regipy (1,389
//! configurations), captures of lxc/distrobuilder; property numbers as devpkey.h publishes them.

use std::collections::BTreeMap;

use crate::base::{Guid, Result, sddl};
use crate::hive::{KeyId, Value, ValueType};
use crate::image::{Registry, WindowsInfo};
use crate::inf::{Configuration, PropertyAction, RegistryAction, RegistryOperation, Service, TokenText};

use super::database::{self, FINISH_INSTALL, StagedPackage};
use super::editor::Editor;
use super::registry_action;

const SCOPE_ALWAYS: u32 = 0x1;
const SCOPE_HARDWARE: u32 = 0x2;
const SCOPE_SERVICES: u32 = 0x4;
const SCOPE_INTERFACES: u32 = 0x8;
const SCOPE_WDF: u32 = 0x100;
/// What every configuration of Windows 10 2004 and later has.
const SCOPE_MODERN: u32 = 0xF7F;
const FIRST_MODERN_BUILD: u16 = 19041;

const DEVICE_FORMAT: &str = "{a45c254e-df1c-4efd-8020-67d146a850e0}";
const DRIVER_FORMAT: &str = "{a8b865dd-2e3d-4094-ad97-e593a70c75d6}";

const DEVPROP_UINT32: ValueType = ValueType(0xFFFF_0007);
const DEVPROP_BOOLEAN: ValueType = ValueType(0xFFFF_0011);
const DEVPROP_STRING: ValueType = ValueType(0xFFFF_0012);
const DEVPROP_SECURITY_DESCRIPTOR: ValueType = ValueType(0xFFFF_0013);
const DEVPROP_STRING_INDIRECT: ValueType = ValueType(0xFFFF_0019);

/// How a value of an INF becomes a device property.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Uint32,
    Boolean,
    Text,
    Indirect,
    Sddl,
}

/// HKR values of `.HW` without a sub-key that are properties: name, id, form.
const HARDWARE_PROPERTIES: &[(&str, &str, Form)] = &[
    ("Security", "0019", Form::Sddl),
    ("DeviceType", "001B", Form::Uint32),
    ("Exclusive", "001C", Form::Boolean),
    ("DeviceCharacteristics", "001D", Form::Uint32),
    ("UINumberDescFormat", "001F", Form::Indirect),
    ("RemovalPolicy", "0023", Form::Uint32),
    ("FriendlyName", "000E", Form::Indirect),
];

/// The same for the install section.
const DRIVER_PROPERTIES: &[(&str, &str, Form)] = &[
    ("EnumPropPages32", "000A", Form::Text),
    ("ResourcePickerTags", "000C", Form::Text),
    ("ResourcePickerExceptions", "000D", Form::Text),
];

/// Lists of filter services are values of the configuration itself.
const FILTER_LISTS: [&str; 2] = ["UpperFilters", "LowerFilters"];

/// Writes the configurations, descriptors and strings of a package; returns what is not exact.
pub(super) fn write(
    registry: &mut Registry,
    windows: &WindowsInfo,
    staged: &StagedPackage<'_>,
) -> Result<Vec<String>> {
    let now = registry.now();
    let hive = registry.require(staged.class.hive())?;
    let mut editor = Editor::new(hive, now);
    let path = format!("{}\\DriverPackages\\{}", database::ROOT, staged.store_name);
    let package = editor.key(editor.hive.root(), &path)?;
    let mut exceptions = Vec::new();
    for configuration in &staged.plan.configurations {
        let key = editor.key(package, &format!("Configurations\\{}", configuration.name))?;
        exceptions.extend(write_one(&mut editor, key, windows, configuration)?);
    }
    write_descriptors(&mut editor, package, staged)?;
    Ok(exceptions)
}

fn write_one(
    editor: &mut Editor<'_>,
    key: KeyId,
    windows: &WindowsInfo,
    configuration: &Configuration,
) -> Result<Vec<String>> {
    if let Some(service) = configuration.function_driver() {
        editor.set(key, &Value::sz("Service", &service.name))?;
    }
    let legacy = database::needs_legacy_installer(configuration);
    editor.set(key, &Value::dword("ConfigFlags", if legacy { FINISH_INSTALL } else { 0 }))?;
    if let Some(scope) = config_scope(configuration, windows) {
        editor.set(key, &Value::dword("ConfigScope", scope))?;
    }
    let mut lists: Vec<(&str, Vec<&str>)> = vec![
        ("IncludedInfs", configuration.included_infs.iter().map(String::as_str).collect()),
        ("ExcludeIds", configuration.exclude_ids.iter().map(String::as_str).collect()),
    ];
    let is_function_driver = |service: &Service| service.flags & Service::ASSOCSERVICE != 0;
    let others = configuration.services.iter().filter(|service| !is_function_driver(service));
    lists.push(("Win32Services", others.map(|service| service.name.as_str()).collect()));
    for (value, strings) in lists {
        if !strings.is_empty() {
            editor.set(key, &Value::multi_sz(value, &strings))?;
        }
    }
    if configuration.reboot {
        editor.set(key, &Value::dword("Reboot", 1))?;
    }
    let mut left = Vec::new();
    let hardware =
        special(editor, key, &configuration.hardware_registry, DEVICE_FORMAT, HARDWARE_PROPERTIES, true)?;
    left.extend(hardware.exceptions);
    left.extend(registry_action::record(editor, key, "Device", hardware.others.into_iter())?);
    let driver =
        special(editor, key, &configuration.driver_registry, DRIVER_FORMAT, DRIVER_PROPERTIES, false)?;
    left.extend(driver.exceptions);
    left.extend(registry_action::record(editor, key, "Driver", driver.others.into_iter())?);
    for service in configuration.services.iter().filter(|service| !service.external) {
        let lines = service.registry.iter().filter(|action| registry_action::is_relative(action));
        left.extend(registry_action::record(editor, key, &format!("Services\\{}", service.name), lines)?);
    }
    left.extend(interfaces(editor, key, configuration)?);
    left.extend(write_properties(editor, key, &configuration.properties)?);
    if !configuration.filters.is_empty() {
        left.push("AddFilter lines are".to_owned());
    }
    let say = |what| {
        format!("configuration {}: {what} not recorded; Windows does it at first boot", configuration.name)
    };
    Ok(left.into_iter().map(say).collect())
}

/// `Interfaces\{class}`, with what the interface's section adds to its key. How a reference string
/// is recorded is not known.
fn interfaces(editor: &mut Editor<'_>, key: KeyId, configuration: &Configuration) -> Result<Vec<String>> {
    let mut left = Vec::new();
    for interface in &configuration.interfaces {
        let Ok(class) = interface.class_guid.trim().parse::<Guid>() else {
            left.push(format!("the interface {:?} (it is no GUID) is", interface.class_guid));
            continue;
        };
        if !interface.reference.is_empty() {
            left.push(format!("the interface {class} with reference string {:?} is", interface.reference));
            continue;
        }
        let path = format!("Interfaces\\{class}");
        editor.key(key, &path)?;
        let lines = interface.registry.iter().filter(|action| registry_action::is_relative(action));
        left.extend(registry_action::record(editor, key, &path, lines)?);
    }
    Ok(left)
}

/// Properties that AddProperty knows by name (devpkey.h, `DEVPKEY_DrvPkg_*`).
const PACKAGE_FORMAT: &str = "{cf73bb51-3abf-44a2-85e0-9a3dc7a12132}";
const PACKAGE_PROPERTIES: &[(&str, u32, u32)] = &[
    ("DeviceModel", 2, TYPE_STRING),
    ("DeviceVendorWebsite", 3, TYPE_STRING),
    ("DeviceDetailedDescription", 4, TYPE_STRING),
    ("DeviceDocumentationLink", 5, TYPE_STRING),
    ("DeviceIcon", 6, TYPE_STRING_LIST),
    ("DeviceBrandingIcon", 7, TYPE_STRING_LIST),
];

const TYPE_UINT32: u32 = 0x07;
const TYPE_BOOLEAN: u32 = 0x11;
const TYPE_STRING: u32 = 0x12;
const TYPE_BINARY: u32 = 0x1003;
const TYPE_STRING_LIST: u32 = 0x2012;

/// AddProperty lines: `Properties\{category}\<id>`. Lines that ask for more than a plain setting
/// are left: how that is recorded is not known.
fn write_properties(
    editor: &mut Editor<'_>,
    key: KeyId,
    properties: &[PropertyAction],
) -> Result<Vec<String>> {
    let mut left = Vec::new();
    for property in properties {
        let place = match property.name.trim().parse::<Guid>() {
            Ok(format) => property.id.zip(property.kind).map(|(id, kind)| (format.to_string(), id, kind)),
            Err(_) => PACKAGE_PROPERTIES
                .iter()
                .find(|(name, _, _)| name.eq_ignore_ascii_case(&property.name))
                .map(|(_, id, kind)| (PACKAGE_FORMAT.to_owned(), *id, *kind)),
        };
        let data = place.as_ref().and_then(|(_, _, kind)| property_data(*kind, &property.values));
        let (Some((format, id, kind)), Some(data), 0) = (place, data, property.flags) else {
            left.push(format!("the property {} is", property.name));
            continue;
        };
        let property = editor.key(key, &format!("Properties\\{format}\\{id:04X}"))?;
        editor.set(property, &Value::new("", ValueType(0xFFFF_0000 | kind), data))?;
    }
    Ok(left)
}

/// The bytes of a property; nothing for a type that AddProperty does not know.
fn property_data(kind: u32, values: &[String]) -> Option<Vec<u8>> {
    let first = values.first().map(String::as_str).unwrap_or_default();
    match kind {
        TYPE_STRING => Some(database::devprop_string(first)),
        TYPE_STRING_LIST => {
            let mut data: Vec<u8> = values.iter().flat_map(|text| database::devprop_string(text)).collect();
            data.extend([0, 0]);
            Some(data)
        }
        TYPE_UINT32 => Some(number(first)?.to_le_bytes().to_vec()),
        TYPE_BOOLEAN => Some(vec![if number(first)? == 0 { 0 } else { 0xFF }]),
        TYPE_BINARY => values
            .iter()
            .map(|text| u8::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok())
            .collect(),
        _ => None,
    }
}

/// A number as INFs write it.
pub(super) fn number(text: &str) -> Option<u32> {
    let text = text.trim();
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Bits by use; constant from Windows 10 2004 on; absent before Windows 10.
fn config_scope(configuration: &Configuration, windows: &WindowsInfo) -> Option<u32> {
    if windows.version.major < 10 {
        return None;
    }
    if windows.version.build >= FIRST_MODERN_BUILD {
        return Some(SCOPE_MODERN);
    }
    let bits = [
        (true, SCOPE_ALWAYS),
        (configuration.has_hw, SCOPE_HARDWARE),
        (configuration.has_services, SCOPE_SERVICES),
        (configuration.has_interfaces, SCOPE_INTERFACES),
        (configuration.has_wdf, SCOPE_WDF),
    ];
    Some(bits.iter().filter(|(used, _)| *used).fold(0, |scope, (_, bit)| scope | bit))
}

struct Special<'a> {
    others: Vec<&'a RegistryAction>,
    exceptions: Vec<String>,
}

/// Takes the lines out that are properties of the device or the driver, and writes them so.
fn special<'a>(
    editor: &mut Editor<'_>,
    key: KeyId,
    actions: &'a [RegistryAction],
    format: &str,
    properties: &[(&str, &str, Form)],
    with_filters: bool,
) -> Result<Special<'a>> {
    let mut result = Special { others: Vec::new(), exceptions: Vec::new() };
    for action in actions.iter().filter(|action| registry_action::is_relative(action)) {
        let RegistryOperation::Set { kind, data } = &action.operation else {
            result.others.push(action);
            continue;
        };
        let named = |name: &str| action.subkey.is_empty() && action.name.eq_ignore_ascii_case(name);
        if let Some((name, id, form)) = properties.iter().find(|(name, _, _)| named(name)) {
            let value = Value::new(name, ValueType(*kind), data.clone());
            match property(&value, *form) {
                Ok((kind, data)) => {
                    let property = editor.key(key, &format!("Properties\\{format}\\{id}"))?;
                    editor.set(property, &Value::new("", kind, data))?;
                    if *form == Form::Indirect {
                        result.exceptions.push(format!("the token of {name} (its text is written) is"));
                    }
                }
                Err(reason) => result.exceptions.push(format!("{name} ({reason}) is")),
            }
        } else if let Some(name) = FILTER_LISTS.iter().find(|name| with_filters && named(name)) {
            editor.set(key, &Value::new(name, ValueType(*kind), data.clone()))?;
        } else {
            result.others.push(action);
        }
    }
    Ok(result)
}

fn property(value: &Value, form: Form) -> Result<(ValueType, Vec<u8>), String> {
    let text = || value.as_text().ok_or_else(|| "it is no text".to_owned());
    let number = || value.as_dword().ok_or_else(|| "it is no number".to_owned());
    match form {
        Form::Uint32 => Ok((DEVPROP_UINT32, number()?.to_le_bytes().to_vec())),
        Form::Boolean => Ok((DEVPROP_BOOLEAN, vec![if number()? == 0 { 0 } else { 0xFF }])),
        Form::Text => Ok((DEVPROP_STRING, database::devprop_string(&text()?))),
        Form::Indirect => Ok((DEVPROP_STRING_INDIRECT, database::devprop_string(&text()?))),
        Form::Sddl => {
            let descriptor = sddl::compile(&text()?).map_err(|error| error.to_string())?;
            Ok((DEVPROP_SECURITY_DESCRIPTOR, descriptor))
        }
    }
}

/// `%token%` in lower case, or the text that stood there without a token.
fn reference(text: &TokenText) -> String {
    match &text.token {
        Some(token) => format!("%{}%", token.to_lowercase()),
        None => text.text.clone(),
    }
}

fn write_descriptors(editor: &mut Editor<'_>, package: KeyId, staged: &StagedPackage<'_>) -> Result<()> {
    let plan = staged.plan;
    let mut strings: BTreeMap<String, &str> = BTreeMap::new();
    let descriptors = editor.key(package, "Descriptors")?;
    for id in database::device_ids(plan, staged.class.is_extension()) {
        let Some(device) = plan.devices.get(id.device) else { continue };
        let Some(configuration) = plan.configurations.get(device.configuration) else { continue };
        let key = editor.key(descriptors, &id.id)?;
        editor.set(key, &Value::sz("Configuration", &configuration.name))?;
        editor.set(key, &Value::sz("Description", &reference(&device.description)))?;
        editor.set(key, &Value::sz("Manufacturer", &reference(&device.manufacturer)))?;
        for text in [&device.description, &device.manufacturer] {
            if let Some(token) = &text.token {
                strings.insert(token.to_lowercase(), &text.text);
            }
        }
    }
    let key = editor.key(package, "Strings")?;
    for (token, text) in strings {
        editor.set(key, &Value::sz(&token, text))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Arch, Version, WinPath};

    fn windows(version: Version) -> WindowsInfo {
        WindowsInfo {
            directory: WinPath::root().join("Windows"),
            arch: Arch::Amd64,
            version,
            edition: None,
            installation_type: None,
            product_type: 1,
            suite_mask: 0,
            language: 0x409,
            is_winpe: false,
        }
    }

    #[test]
    fn scopes() {
        let with_hw = Configuration { has_hw: true, has_services: true, ..Configuration::default() };
        let with_wdf = Configuration { has_wdf: true, has_interfaces: true, ..Configuration::default() };
        let cases = [
            (&with_hw, Version::new(10, 0, 14393, 0), Some(0x7)),
            (&with_wdf, Version::new(10, 0, 18363, 0), Some(0x109)),
            (&with_hw, Version::new(10, 0, 19041, 0), Some(0xF7F)),
            (&with_hw, Version::new(6, 3, 9600, 0), None),
        ];
        for (configuration, version, expected) in cases {
            assert_eq!(config_scope(configuration, &windows(version)), expected, "{version}");
        }
    }

    #[test]
    fn properties() {
        let cases = [
            (
                Value::dword("DeviceCharacteristics", 0x100),
                Form::Uint32,
                Ok((DEVPROP_UINT32, vec![0, 1, 0, 0])),
            ),
            (Value::dword("Exclusive", 1), Form::Boolean, Ok((DEVPROP_BOOLEAN, vec![0xFF]))),
            (
                Value::sz("FriendlyName", "A"),
                Form::Indirect,
                Ok((DEVPROP_STRING_INDIRECT, vec![0x41, 0, 0, 0])),
            ),
            (Value::sz("DeviceType", "A"), Form::Uint32, Err("it is no number".to_owned())),
        ];
        for (value, form, expected) in cases {
            assert_eq!(property(&value, form), expected, "{:?}", value.name);
        }
        // As in real hives: protected, no owner, the list at 0x14, generic rights unmapped.
        let (kind, bytes) = property(&Value::sz("Security", "D:P(A;;GA;;;SY)"), Form::Sddl).unwrap();
        assert_eq!(kind, DEVPROP_SECURITY_DESCRIPTOR);
        assert_eq!(bytes[..20], [1, 0, 4, 0x90, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0]);
        assert_eq!(bytes[32..36], [0, 0, 0, 0x10]);
    }

    #[test]
    fn added_properties() {
        let texts = |values: &[&str]| values.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let cases = [
            (TYPE_STRING, texts(&["A"]), Some(vec![0x41, 0, 0, 0])),
            (TYPE_STRING_LIST, texts(&["A", "B"]), Some(vec![0x41, 0, 0, 0, 0x42, 0, 0, 0, 0, 0])),
            (TYPE_UINT32, texts(&["0x10"]), Some(vec![0x10, 0, 0, 0])),
            (TYPE_BOOLEAN, texts(&["1"]), Some(vec![0xFF])),
            (TYPE_BINARY, texts(&["0x0A", "ff"]), Some(vec![0x0A, 0xFF])),
            (TYPE_UINT32, texts(&["ten"]), None),
            (0x0D, texts(&["{0}"]), None),
        ];
        for (kind, values, expected) in cases {
            assert_eq!(property_data(kind, &values), expected, "{kind:#x} {values:?}");
        }
    }

    #[test]
    fn tokens_are_lower_case() {
        let token = TokenText { token: Some("VioStorScsi.DeviceDesc".into()), text: "Red Hat".into() };
        assert_eq!(reference(&token), "%viostorscsi.devicedesc%");
        assert_eq!(reference(&TokenText { token: None, text: "Plain".into() }), "Plain");
    }
}
