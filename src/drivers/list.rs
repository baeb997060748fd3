// SPDX-License-Identifier: GPL-3.0-or-later
//! `/Get-Drivers` and `/Get-DriverInfo`.

use std::path::Path;

use crate::base::{Arch, FileTime, Result};
use crate::catalog::{self, Catalog};
use crate::image::Session;
use crate::inf::{Inf, InfVersion, PackageOptions, PackagePlan, Target};

use super::class::SetupClass;
use super::database::{self, StoredPackage};
use super::package::{self, ImageIncludes};
use super::report::{DriverInfo, DriverModel, DriverPackage};
use super::signature::{Judge, SCORE_UNSIGNED};
use super::store::Store;
use super::{DriverError, critical_device, legacy_store, source};

/// The packages in the store, sorted by published name as text. `all` includes in-box packages.
///
/// The class of a third-party package is named as its INF spells it, that of an in-box package
/// as the image's class key does.
///
/// # Errors
/// When the driver database cannot be read.
pub fn list(session: &mut Session, all: bool) -> Result<Vec<DriverPackage>> {
    let mut packages = Vec::new();
    let windows = session.windows().clone();
    let stored_packages = match legacy_store::is_used(&windows) {
        true => legacy_store::stored_packages(session, &windows)?,
        false => database::packages(session.registry())?,
    };
    for stored in stored_packages {
        if all || !stored.version.inbox {
            packages.push(describe(session, &stored)?);
        }
    }
    packages.sort_by(|left, right| {
        (&left.published_name, &left.store_name).cmp(&(&right.published_name, &right.store_name))
    });
    Ok(packages)
}

fn describe(session: &mut Session, stored: &StoredPackage) -> Result<DriverPackage> {
    let spelled = if stored.version.inbox { None } else { class_of_inf(session, stored)? };
    let class_name = match spelled {
        Some(name) => name,
        None => SetupClass::read(session.registry(), stored.version.class)?.name.unwrap_or_default(),
    };
    Ok(DriverPackage {
        published_name: stored.published.clone(),
        original_file_name: legacy_store::inf_of(&stored.store_name).to_owned(),
        inbox: stored.version.inbox,
        class_name,
        provider_name: stored.provider.clone(),
        date: stored.version.date,
        version: stored.version.version,
        store_name: stored.store_name.clone(),
    })
}

/// `Class` of the INF in the store; nothing when the INF is gone or broken.
fn class_of_inf(session: &Session, stored: &StoredPackage) -> Result<Option<String>> {
    let windows = session.windows();
    let store = Store::new(session.overlay(), &windows.directory);
    let Some((_, bytes)) = store.package_inf(&stored.store_name)? else { return Ok(None) };
    let version = Inf::parse(&bytes).and_then(|inf| inf.version(&package::target(windows)));
    Ok(version.ok().and_then(|version| version.class))
}

/// One package with its models. `driver` is a published name (oemN.inf or in-box), or the path of
/// an INF outside the image, of which every architecture is listed.
///
/// # Errors
/// NotFound (1168) when the image has no such package and there is no such file.
pub fn info(session: &mut Session, driver: &str) -> Result<DriverInfo> {
    let is_name = !driver.contains(['/', '\\']);
    let windows = session.windows().clone();
    if is_name && legacy_store::is_used(&windows) {
        let stored = legacy_store::stored_packages(session, &windows)?;
        if let Some(stored) = stored.into_iter().find(|it| it.published.eq_ignore_ascii_case(driver)) {
            return described(session, &stored);
        }
    }
    if is_name && let Some(store_name) = database::active_package(session.registry(), driver)? {
        return stored_info(session, &store_name);
    }
    let path = Path::new(driver);
    if path.is_file() {
        return outside_info(session, path);
    }
    Err(DriverError::Unknown { name: driver.to_owned() }.into())
}

fn stored_info(session: &mut Session, store_name: &str) -> Result<DriverInfo> {
    let stored = database::package(session.registry(), store_name)?.ok_or_else(|| DriverError::Database {
        what: format!("a published INF leads to the package {store_name}, which has no record"),
    })?;
    described(session, &stored)
}

fn described(session: &mut Session, stored: &StoredPackage) -> Result<DriverInfo> {
    let package = describe(session, stored)?;
    let windows = session.windows().clone();
    let mut class = SetupClass::read(session.registry(), stored.version.class)?;
    if legacy_store::is_used(&windows) {
        class.boot_critical = critical_device::is_critical(class.guid);
    }
    let store_name = stored.store_name.as_str();
    let store = Store::new(session.overlay(), &windows.directory);
    let (store_path, drivers) = match store.package_inf(store_name)? {
        Some((path, bytes)) => {
            let inf = Inf::parse(&bytes)?;
            let includes = ImageIncludes::new(session.overlay(), &windows);
            let options = PackageOptions { includes: &includes, ..PackageOptions::default() };
            let target = package::target(&windows);
            (path, models(&inf.package_with(&target, &options)?, windows.arch))
        }
        None => (store.package(store_name), Vec::new()),
    };
    Ok(DriverInfo {
        package,
        store_path: store_path.to_string(),
        class_description: class.description,
        class_guid: Some(class.guid),
        boot_critical: class.boot_critical,
        signed: stored.signer_score.map(|score| score != SCORE_UNSIGNED),
        drivers,
    })
}

fn outside_info(session: &mut Session, path: &Path) -> Result<DriverInfo> {
    let bytes = source::read_whole(path)?;
    let inf = Inf::parse(&bytes)?;
    let windows = session.windows().clone();
    let target = package::target(&windows);
    let plans: Vec<(Arch, PackagePlan)> = {
        let includes = ImageIncludes::new(session.overlay(), &windows);
        let options = PackageOptions { includes: &includes, ..PackageOptions::default() };
        let plan = |arch| Ok((arch, inf.package_with(&Target { arch, ..target }, &options)?));
        Arch::ALL.into_iter().map(plan).collect::<Result<_>>()?
    };
    let version = inf.version(&target)?;
    let class = SetupClass::of(session.registry(), &version)?;
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let judge = Judge::new(session, &[])?;
    let signed = plans
        .iter()
        .find(|(arch, plan)| *arch == windows.arch && !plan.devices.is_empty())
        .or_else(|| plans.iter().find(|(_, plan)| !plan.devices.is_empty()))
        .map(|(_, plan)| is_signed(&judge, path, &name, &bytes, plan));
    Ok(DriverInfo {
        package: outside_package(name, &version, class.as_ref()),
        store_path: path.display().to_string(),
        class_description: class.as_ref().and_then(|class| class.description.clone()),
        class_guid: class.as_ref().map(|class| class.guid).or(version.class_guid),
        boot_critical: class.is_some_and(|class| class.boot_critical),
        signed,
        drivers: plans.iter().flat_map(|(arch, plan)| models(plan, *arch)).collect(),
    })
}

fn outside_package(name: String, version: &InfVersion, class: Option<&SetupClass>) -> DriverPackage {
    let class_name = version.class.clone().or_else(|| class.and_then(|class| class.name.clone()));
    DriverPackage {
        published_name: String::new(),
        original_file_name: name,
        inbox: false,
        class_name: class_name.unwrap_or_default(),
        provider_name: version.provider.clone(),
        date: version.driver_date.unwrap_or(FileTime(0)),
        version: version.driver_version,
        store_name: String::new(),
    }
}

/// Whether the catalog beside an INF vouches for the INF. The other files are judged when the
/// package is added.
fn is_signed(judge: &Judge, path: &Path, name: &str, bytes: &[u8], plan: &PackagePlan) -> bool {
    let Some(catalog_name) = &plan.version.catalog else { return false };
    let Ok(relative) = source::relative_path(name, catalog_name) else { return false };
    let Ok(found) = source::matches(source::folder_of(path), &relative) else { return false };
    let Ok(digests) = catalog::digest_file(&bytes.to_vec()) else { return false };
    found.iter().any(|file| {
        let parsed = source::read_whole(file).ok().and_then(|bytes| Catalog::parse(&bytes).ok());
        parsed.is_some_and(|catalog| {
            let members = std::iter::once((name.to_owned(), Some(&digests)));
            judge.judge(name, catalog_name, &catalog, members).is_signed()
        })
    })
}

fn models(plan: &PackagePlan, architecture: Arch) -> Vec<DriverModel> {
    let model = |device: &crate::inf::Device| {
        let configuration = plan.configurations.get(device.configuration);
        DriverModel {
            architecture,
            manufacturer: device.manufacturer.text.clone(),
            description: device.description.text.clone(),
            hardware_id: device.hardware_id.clone().unwrap_or_default(),
            service_name: configuration
                .and_then(|chosen| chosen.function_driver())
                .map(|service| service.name.clone()),
            compatible_ids: device.compatible_ids.clone(),
            exclude_ids: configuration.map(|chosen| chosen.exclude_ids.clone()).unwrap_or_default(),
        }
    };
    plan.devices.iter().map(model).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inf::{Configuration, Device, Service, TokenText};

    #[test]
    fn models_name_their_function_driver() {
        let plan = PackagePlan {
            devices: vec![Device {
                description: TokenText { token: None, text: "Device".into() },
                manufacturer: TokenText { token: None, text: "Maker".into() },
                configuration: 0,
                hardware_id: Some("PCI\\VEN_1".into()),
                compatible_ids: vec!["PCI\\CC_01".into()],
            }],
            configurations: vec![Configuration {
                services: vec![
                    Service { name: "helper".into(), ..Service::default() },
                    Service { name: "driver".into(), flags: Service::ASSOCSERVICE, ..Service::default() },
                ],
                ..Configuration::default()
            }],
            ..PackagePlan::default()
        };
        let expected = DriverModel {
            architecture: Arch::Arm64,
            manufacturer: "Maker".into(),
            description: "Device".into(),
            hardware_id: "PCI\\VEN_1".into(),
            service_name: Some("driver".into()),
            compatible_ids: vec!["PCI\\CC_01".into()],
            exclude_ids: Vec::new(),
        };
        assert_eq!(models(&plan, Arch::Arm64), [expected]);
    }
}
