// SPDX-License-Identifier: GPL-3.0-or-later
//! COMPONENTS: what the servicing stack knows of the component store.

use anyhow::Result;
use transom::hive::Value;

use super::{Facts, Maker};
use crate::random::Random;
use crate::security;

/// The COMPONENTS hive.
pub(super) fn make(facts: &Facts<'_>) -> Result<Vec<u8>> {
    let spec = facts.spec;
    let mut random = Random::of(spec.seed, "components");
    let mut maker = Maker::new("ROOT", 5, security::STORE_KEY)?;
    let root = maker.root();
    maker.set(
        root,
        &[Value::sz("StoreFormatVersion", "0.0.0.6"), Value::sz("StoreArchitecture", spec.arch.as_str())],
    )?;
    let canonical = maker.key(root, "CanonicalData", &[])?;
    let (catalogs, deployments) =
        (maker.child(canonical, "Catalogs", &[])?, maker.child(canonical, "Deployments", &[])?);
    let components = maker.key(root, "DerivedData\\Components", &[])?;
    maker.key(root, "Installers", &[])?;
    maker.key(root, "NonCanonicalData", &[])?;
    let version = format!("10.0.{}.1", spec.build);
    maker.key(root, "ServicingStackVersions", &[Value::sz(&version, "2024/04/01 00:00:00")])?;

    let identity = |name: &str| {
        format!(
            "{name}, Culture=neutral, Version={version}, PublicKeyToken=31bf3856ad364e35, \
             ProcessorArchitecture={}, versionScope=NonSxS",
            spec.arch
        )
    };
    let length = facts.length(61);
    let least = if spec.real_size_hives() { 0 } else { 40 };
    let mut number = 0u32;
    let mut deployment = String::new();
    while number < least || maker.length() < length {
        if number.is_multiple_of(7) {
            let mut thumbprint = [0; 32];
            random.fill(&mut thumbprint);
            let catalog: String = thumbprint.iter().map(|byte| format!("{byte:02x}")).collect();
            deployment =
                format!("microsoft-w..-deployment_31bf3856ad364e35_{version}_{:016x}", random.bits());
            let name = format!("Microsoft-Windows-Sample-{number:05}-Deployment");
            maker.child(
                deployments,
                &deployment,
                &[
                    Value::binary("appid", identity(&name)),
                    Value::sz("CatalogThumbprint", &catalog),
                    Value::binary(
                        &format!("p!CBS_{:.60}_{:016x}", name.to_lowercase(), random.bits()),
                        name.as_bytes(),
                    ),
                ],
            )?;
            maker.child(catalogs, &catalog, &[Value::binary(&format!("c!{deployment}"), [])])?;
        }
        number += 1;
        let name = format!("Microsoft-Windows-Sample-{number:05}");
        let keyform = format!(
            "{}_microsoft-w..ample-{number:05}_31bf3856ad364e35_{version}_none_{:016x}",
            spec.arch,
            random.bits()
        );
        let mut hash = [0; 32];
        random.fill(&mut hash);
        let mut values = vec![
            Value::binary("identity", identity(&name)),
            Value::binary("S256H", hash),
            Value::binary(&format!("c!{deployment}"), []),
        ];
        for file in 0..random.below(12) {
            values.push(Value::dword(&format!("f!sample{number:05}{file}.dll"), 1));
        }
        if number.is_multiple_of(3) {
            values.push(Value::dword("CF", 0x0C));
        }
        maker.child(components, &keyform, &values)?;
    }
    maker.finish()
}
