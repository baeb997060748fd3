// SPDX-License-Identifier: GPL-3.0-or-later
//! SYSTEM: control set, classes, services, driver database.

use anyhow::Result;
use transom::base::Arch;
use transom::hive::{Value, ValueType};

use super::{Facts, Maker, database};
use crate::drivers::CLASSES;
use crate::security;

/// `DEVPROP_TYPE_BOOLEAN` as the registry stores the type.
const DEVPROP_BOOLEAN: ValueType = ValueType(0xFFFF_0011);
/// `DEVPKEY_DeviceClass_BootCritical` is number 3 below this.
const CLASS_PROPERTIES: &str = "Properties\\{6a3433f4-5626-40e8-a9b9-dbd9ecd2884b}\\0003";

/// The SYSTEM hive.
pub(super) fn make(facts: &Facts<'_>) -> Result<Vec<u8>> {
    let mut maker = Maker::new("ROOT", 5, security::MACHINE_KEY)?;
    let root = maker.root();
    maker.key(
        root,
        "Select",
        &[
            Value::dword("Current", 1),
            Value::dword("Default", 1),
            Value::dword("Failed", 0),
            Value::dword("LastKnownGood", 1),
        ],
    )?;
    maker.key(
        root,
        "Setup",
        &[
            Value::dword("SystemSetupInProgress", 1),
            Value::dword("SetupType", 2),
            Value::dword("OOBEInProgress", 1),
            Value::sz("CmdLine", "oobe\\windeploy.exe"),
        ],
    )?;
    maker.key(root, "MountedDevices", &[])?;
    maker.key(root, "WPA", &[])?;
    let set = maker.key(root, "ControlSet001", &[])?;
    control(&mut maker, set, facts)?;
    classes(&mut maker, set)?;
    services(&mut maker, set, facts)?;
    database::write(&mut maker, root, facts, true, facts.length(12))?;
    maker.finish()
}

fn control(maker: &mut Maker, set: transom::hive::KeyId, facts: &Facts<'_>) -> Result<()> {
    let architecture = match facts.spec.arch {
        Arch::X86 => "x86",
        Arch::Amd64 => "AMD64",
        Arch::Arm => "ARM",
        Arch::Arm64 => "ARM64",
        other => other.as_str(),
    };
    maker.key(
        set,
        "Control\\Session Manager\\Environment",
        &[
            Value::expand_sz("ComSpec", "%SystemRoot%\\system32\\cmd.exe"),
            Value::sz("OS", "Windows_NT"),
            Value::expand_sz("Path", "%SystemRoot%\\system32;%SystemRoot%;%SystemRoot%\\System32\\Wbem"),
            Value::sz("PATHEXT", ".COM;.EXE;.BAT;.CMD;.VBS;.JS"),
            Value::sz("PROCESSOR_ARCHITECTURE", architecture),
            Value::expand_sz("TEMP", "%SystemRoot%\\TEMP"),
            Value::expand_sz("windir", "%SystemRoot%"),
        ],
    )?;
    maker.key(
        set,
        "Control\\ProductOptions",
        &[Value::sz("ProductType", "WinNT"), Value::multi_sz("ProductSuite", &["Terminal Server"])],
    )?;
    maker.key(
        set,
        "Control\\Nls\\Language",
        &[
            Value::sz("0407", "l_intl.nls"),
            Value::sz("0409", "l_intl.nls"),
            Value::sz("Default", "0409"),
            Value::sz("InstallLanguage", "0409"),
        ],
    )?;
    maker.key(
        set,
        "Control\\MUI\\UILanguages\\en-US",
        &[Value::dword("LCID", 0x409), Value::dword("Type", 0x111)],
    )?;
    maker.key(
        set,
        "Control\\Windows",
        &[
            Value::dword("CSDBuildNumber", 1),
            Value::dword("CSDVersion", 0),
            Value::dword("ComponentizedBuild", 1),
            Value::expand_sz("Directory", "%SystemRoot%"),
        ],
    )?;
    // A list of tags that leaves 33 free, as on real systems.
    let tags: Vec<u32> = (1..=32).chain(35..=63).collect();
    let mut order = (tags.len() as u32).to_le_bytes().to_vec();
    order.extend(tags.iter().flat_map(|tag| tag.to_le_bytes()));
    maker.key(
        set,
        "Control\\GroupOrderList",
        &[Value::binary("SCSI miniport", order), Value::binary("Base", [2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0])],
    )?;
    maker.key(set, "Control\\IDConfigDB\\Hardware Profiles\\0001", &[])?;
    maker.key(set, "Hardware Profiles\\0001\\Software", &[])?;
    Ok(())
}

fn classes(maker: &mut Maker, set: transom::hive::KeyId) -> Result<()> {
    let classes = maker.key(set, "Control\\Class", &[])?;
    for class in CLASSES {
        let key = maker.child(
            classes,
            class.guid,
            &[
                Value::sz("Class", class.name),
                Value::sz(
                    "ClassDesc",
                    &format!("@c_{}.inf,%ClassDesc%;{} devices", class.name.to_ascii_lowercase(), class.name),
                ),
                Value::multi_sz("IconPath", &["%SystemRoot%\\System32\\setupapi.dll,-27"]),
            ],
        )?;
        if class.boot_critical {
            maker.key(key, CLASS_PROPERTIES, &[Value::new("", DEVPROP_BOOLEAN, [0xFF])])?;
        }
    }
    Ok(())
}

fn services(maker: &mut Maker, set: transom::hive::KeyId, facts: &Facts<'_>) -> Result<()> {
    let services = maker.key(set, "Services", &[])?;
    for package in facts.packages {
        let file = &package.service;
        let boot = package.class.boot_critical;
        let path = if boot {
            format!("System32\\drivers\\{file}.sys")
        } else {
            format!("\\SystemRoot\\System32\\drivers\\{file}.sys")
        };
        maker.child(
            services,
            file,
            &[
                Value::dword("Type", 1),
                Value::dword("Start", if boot { 0 } else { 3 }),
                Value::dword("ErrorControl", 1),
                Value::expand_sz("ImagePath", &path),
                Value::sz("DisplayName", &format!("@{},%Service%;{file} driver", package.inf)),
                Value::multi_sz("Owners", &[&package.inf]),
            ],
        )?;
    }
    for (name, start) in [("EventLog", 2), ("PlugPlay", 3), ("RpcSs", 2), ("Winmgmt", 2)] {
        maker.child(
            services,
            name,
            &[
                Value::dword("Type", 0x20),
                Value::dword("Start", start),
                Value::dword("ErrorControl", 1),
                Value::expand_sz("ImagePath", "%SystemRoot%\\system32\\svchost.exe -k netsvcs -p"),
                Value::sz("ObjectName", "LocalSystem"),
            ],
        )?;
    }
    maker.key(services, "EventLog\\System", &[Value::dword("MaxSize", 20 << 20)])?;
    Ok(())
}
