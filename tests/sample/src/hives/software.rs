// SPDX-License-Identifier: GPL-3.0-or-later
//! SOFTWARE: what Windows is, its packages, and classes until the hive is long enough.

use anyhow::Result;
use transom::hive::Value;

use super::{Facts, Maker};
use crate::random::Random;
use crate::security;

/// The SOFTWARE hive.
pub(super) fn make(facts: &Facts<'_>) -> Result<Vec<u8>> {
    let spec = facts.spec;
    let (edition, product) = spec.edition(facts.image);
    let mut maker = Maker::new("ROOT", 5, security::MACHINE_KEY)?;
    let root = maker.root();
    let build = spec.build.to_string();
    maker.key(
        root,
        "Microsoft\\Windows NT\\CurrentVersion",
        &[
            Value::sz("BuildBranch", "ge_release"),
            Value::sz("CurrentBuild", &build),
            Value::sz("CurrentBuildNumber", &build),
            Value::dword("CurrentMajorVersionNumber", 10),
            Value::dword("CurrentMinorVersionNumber", 0),
            Value::sz("CurrentType", "Multiprocessor Free"),
            Value::sz("CurrentVersion", "6.3"),
            Value::sz("EditionID", edition),
            Value::sz("InstallationType", "Client"),
            // Windows 11 still says 10 here.
            Value::sz("ProductName", &product.replace("11", "10")),
            Value::expand_sz("SystemRoot", "%SystemRoot%"),
            Value::dword("UBR", 1),
        ],
    )?;
    let windows = maker.key(
        root,
        "Microsoft\\Windows\\CurrentVersion",
        &[
            Value::sz("CommonFilesDir", "C:\\Program Files\\Common Files"),
            Value::expand_sz("DevicePath", "%SystemRoot%\\inf"),
            Value::sz("ProgramFilesDir", "C:\\Program Files"),
        ],
    )?;
    maker.key(windows, "Setup\\PnpLockdownFiles", &[])?;
    maker.key(windows, "Run", &[])?;
    maker.key(
        windows,
        "Setup\\State",
        &[Value::sz("ImageState", "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE")],
    )?;
    packages(&mut maker, windows, facts)?;
    winners(&mut maker, windows, facts)?;
    classes(&mut maker, root, facts)?;
    maker.finish()
}

fn packages(maker: &mut Maker, windows: transom::hive::KeyId, facts: &Facts<'_>) -> Result<()> {
    let servicing = maker.child(windows, "Component Based Servicing", &[Value::dword("EnableLog", 1)])?;
    maker.set_security(servicing, security::STORE_KEY)?;
    let version = format!("10.0.{}.1", facts.spec.build);
    maker.key(
        servicing,
        "Version",
        &[Value::expand_sz(
            &version,
            &format!(
                "%SystemRoot%\\winsxs\\{}_microsoft-windows-servicingstack_31bf3856ad364e35_{version}_none_\
                 0123456789abcdef",
                facts.spec.arch
            ),
        )],
    )?;
    let keys = maker.child(servicing, "Packages", &[])?;
    let index = maker.child(servicing, "PackageIndex", &[])?;
    // A stock image has about 3,500.
    let count = if facts.spec.real_size_hives() { 3500 } else { 20 };
    for number in 0..count {
        let stem =
            format!("Microsoft-Windows-Sample-{number:04}-Package~31bf3856ad364e35~{}~~", facts.spec.arch);
        let name = format!("{stem}{version}");
        let key = maker.child(
            keys,
            &name,
            &[
                Value::sz("InstallClient", "DISM Package Manager Provider"),
                Value::sz("InstallLocation", "\\\\?\\D:\\sample\\"),
                Value::sz("InstallName", &format!("{name}.mum")),
                Value::dword("CurrentState", if number % 5 < 3 { 0x40 } else { 0x70 }),
                Value::dword("Visibility", if number % 17 == 0 { 1 } else { 2 }),
                Value::dword("SelfUpdate", 0),
            ],
        )?;
        maker.child(key, "Owners", &[Value::dword(&name, 0x20070)])?;
        maker.child(index, &format!("{stem}0.0.0.0"), &[Value::dword(&name, 0)])?;
    }
    Ok(())
}

fn winners(maker: &mut Maker, windows: transom::hive::KeyId, facts: &Facts<'_>) -> Result<()> {
    let winners = maker.key(windows, "SideBySide\\Winners", &[])?;
    maker.set_security(winners, security::STORE_KEY)?;
    let mut random = Random::of(facts.spec.seed, "winners");
    // A stock image has about 16,000.
    let count = if facts.spec.real_size_hives() { 16_000 } else { 30 };
    let minor = "10.0";
    let version = format!("10.0.{}.1", facts.spec.build);
    for number in 0..count {
        let name = format!(
            "{}_microsoft-windows-sample{number:05}_31bf3856ad364e35_none_{:016x}",
            facts.spec.arch,
            random.bits()
        );
        let key = maker.child(winners, &name, &[Value::sz("", minor)])?;
        maker.child(key, minor, &[Value::sz("", &version), Value::binary(&version, [1])])?;
    }
    Ok(())
}

/// Classes of the component object model, as most of a real hive is.
fn classes(maker: &mut Maker, root: transom::hive::KeyId, facts: &Facts<'_>) -> Result<()> {
    let mut random = Random::of(facts.spec.seed, "classes");
    let ids = maker.key(root, "Classes\\CLSID", &[])?;
    let interfaces = maker.key(root, "Classes\\Interface", &[])?;
    let least = if facts.spec.real_size_hives() { 0 } else { 60 };
    let length = facts.length(81);
    let mut number = 0u32;
    while number < least || maker.length() < length {
        number += 1;
        let (high, low) = (random.bits(), random.bits());
        let id = format!(
            "{{{:08X}-{:04X}-{:04X}-{:04X}-{:012X}}}",
            high >> 32,
            (high >> 16) & 0xFFFF,
            high & 0xFFFF,
            low >> 48,
            low & 0xFFFF_FFFF_FFFF
        );
        if number.is_multiple_of(3) {
            let key = maker.child(interfaces, &id, &[Value::sz("", &format!("ISample{number}"))])?;
            maker.child(
                key,
                "ProxyStubClsid32",
                &[Value::sz("", "{00020424-0000-0000-C000-000000000046}")],
            )?;
            continue;
        }
        let key = maker.child(ids, &id, &[Value::sz("", &format!("Sample class {number}"))])?;
        maker.child(
            key,
            "InprocServer32",
            &[
                Value::expand_sz("", &format!("%SystemRoot%\\System32\\sample{:04}.dll", number % 4000)),
                Value::sz("ThreadingModel", if number.is_multiple_of(2) { "Both" } else { "Apartment" }),
            ],
        )?;
        if number.is_multiple_of(500) {
            // Longer than one cell of data may be: kept in several.
            let mut data = vec![0; 20_000];
            random.fill(&mut data);
            maker.set(key, &[Value::binary("Cache", data)])?;
        }
    }
    Ok(())
}
