// SPDX-License-Identifier: GPL-3.0-or-later
//! `driver check`: whether what the database says of the store is there, and the other way round.
//!
//! For every third-party package: its record, its folder and files against INF and catalog, the
//! tag in the folder's name, the published INF and catalog, its ids, and what was put to work of
//! it. For the store as a whole: folders, numbers, ids and owners that belong to nobody. Packages
//! of Windows are checked as far as their records go, and their folders, where they are asked for.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use crate::base::{Result, StreamKind, WinPath, name};
use crate::catalog::{self, Catalog};
use crate::image::{HiveName, Registry, Session, WindowsInfo};
use crate::inf::PackagePlan;
use crate::volume::Volume;

use super::class::SetupClass;
use super::database::{self, DeviceIdEntry, PublishedInf, ReflectedRecord, StoredPackage};
use super::package::ImageIncludes;
use super::published_name::PublishedName;
use super::report::{CheckReport, DriverFault, DriverFinding};
use super::signature::SCORE_UNSIGNED;
use super::store::Store;
use super::stored::{self, StoredPlan};
use super::{DriverError, legacy_store, reflection, service, store_name};

/// Checks the driver store; `all` includes the packages of Windows.
///
/// # Errors
/// When a hive cannot be read, or the work is cancelled. What is wrong is in the report.
pub fn check(session: &mut Session, all: bool) -> Result<CheckReport> {
    let windows = session.windows().clone();
    if legacy_store::is_used(&windows) {
        return Err(DriverError::NoDatabase { version: windows.version }.into());
    }
    let mut check = Check { windows: &windows, report: CheckReport::default() };
    let records = check.records(session)?;
    let infs = database::published_infs(session.registry())?;
    let entries = database::device_id_entries(session.registry())?;
    let mut by_inf: BTreeMap<String, Vec<&DeviceIdEntry>> = BTreeMap::new();
    for entry in &entries {
        by_inf.entry(entry.published.to_lowercase()).or_default().push(entry);
    }
    for package in records.iter().filter(|package| all || !package.version.inbox) {
        session.environment().cancel.check()?;
        check.report.packages += 1;
        let own = by_inf.get(&package.published.to_lowercase()).map(Vec::as_slice).unwrap_or_default();
        check.package(session, package, &infs, own)?;
    }
    check.store(session, &records, &infs)?;
    check.numbers(session, &infs)?;
    check.ids_of_nobody(&infs, &by_inf);
    check.owners(session, &infs)?;
    Ok(check.report)
}

struct Check<'a> {
    windows: &'a WindowsInfo,
    report: CheckReport,
}

fn same(left: &str, right: &str) -> bool {
    name::same(&name::units(left), &name::units(right))
}

impl Check<'_> {
    fn find(&mut self, fault: DriverFault, package: &str, detail: impl Into<String>) {
        self.report.findings.push(DriverFinding {
            fault,
            package: package.to_owned(),
            detail: detail.into(),
        });
    }

    fn records(&mut self, session: &mut Session) -> Result<Vec<StoredPackage>> {
        let mut packages: Vec<StoredPackage> = Vec::new();
        for (hive, store_name, record) in database::records(session.registry())? {
            match record {
                Ok(package) => {
                    if packages.iter().any(|other| same(&other.store_name, &store_name)) {
                        self.find(DriverFault::TwoHives, &store_name, "it has a record in both hives");
                    }
                    packages.push(package);
                }
                Err(error) => self.find(DriverFault::BadRecord, &store_name, format!("{hive}: {error}")),
            }
        }
        Ok(packages)
    }

    fn package(
        &mut self,
        session: &mut Session,
        package: &StoredPackage,
        infs: &[PublishedInf],
        own: &[&DeviceIdEntry],
    ) -> Result<()> {
        let name = package.store_name.as_str();
        let record = database::reflected_record(session.registry(), package.hive, name)?;
        self.record(session, package, &record, infs, own)?;
        let read = {
            let includes = ImageIncludes::new(session.overlay(), self.windows);
            let store = Store::new(session.overlay(), &self.windows.directory);
            if store.resolve(&store.package(name))?.is_none() {
                self.find(DriverFault::MissingFolder, name, "its folder is not in the store");
                return Ok(());
            }
            stored::plan(session.overlay(), self.windows, &includes, name)?
        };
        let Some(read) = read else {
            self.find(DriverFault::MissingInf, name, "its INF is not in its folder");
            return Ok(());
        };
        let tag = store_name::tag(&read.inf);
        if !name.to_ascii_lowercase().ends_with(&format!("_{tag}")) {
            let detail = format!("the INF makes the tag {tag}: it is not the one that was imported");
            self.find(DriverFault::WrongTag, name, detail);
        }
        if package.version.inbox {
            return Ok(());
        }
        self.published(session, package, &read)?;
        let StoredPlan { inf_name, plan: Some(plan), .. } = &read else {
            self.find(DriverFault::BadInf, name, read.fault.unwrap_or_default());
            return Ok(());
        };
        self.facts(session, package, plan)?;
        self.files(session, package, &read, plan)?;
        self.device_ids(session, package, plan, own)?;
        if record.configurations.is_empty() {
            let class = SetupClass::read(session.registry(), package.version.class)?;
            if class.boot_critical && !class.is_extension() && !plan.devices.is_empty() {
                let detail = "its class is needed to boot, and nothing of it was put to work";
                self.find(DriverFault::MissingConfiguration, name, detail);
            }
            return Ok(());
        }
        self.reflected(session, package, &record, inf_name, plan)
    }

    /// What can be told from the hives alone.
    fn record(
        &mut self,
        session: &mut Session,
        package: &StoredPackage,
        record: &ReflectedRecord,
        infs: &[PublishedInf],
        own: &[&DeviceIdEntry],
    ) -> Result<()> {
        let name = package.store_name.as_str();
        let arch = self.windows.arch.processor_number();
        if package.version.arch != arch {
            let detail =
                format!("it is recorded for processor {}, the image's is {arch}", package.version.arch);
            self.find(DriverFault::WrongArchitecture, name, detail);
        }
        let class = SetupClass::read(session.registry(), package.version.class)?;
        let expected = if record.boot_critical { HiveName::System } else { class.hive() };
        if package.hive != expected {
            let detail = format!("it is recorded in {}, and its class belongs to {expected}", package.hive);
            self.find(DriverFault::WrongHive, name, detail);
        }
        let listed = infs.iter().any(|inf| {
            same(&inf.name, &package.published) && inf.packages.iter().any(|other| same(other, name))
        });
        if !listed {
            let detail = format!("DriverInfFiles\\{} does not name it", package.published);
            self.find(DriverFault::NotPublished, name, detail);
        }
        let known: BTreeSet<Vec<u16>> =
            own.iter().map(|entry| name::upcased(&name::units(&entry.id))).collect();
        let class_id = class.guid.to_string();
        for id in record.descriptors.iter().chain([&class_id]) {
            if !known.contains(&name::upcased(&name::units(id))) {
                let detail = format!("DeviceIds\\{id} does not lead to {}", package.published);
                self.find(DriverFault::MissingDeviceId, name, detail);
            }
        }
        Ok(())
    }

    fn published(&mut self, session: &Session, package: &StoredPackage, read: &StoredPlan) -> Result<()> {
        let name = package.store_name.as_str();
        let Some(published) = PublishedName::parse(&package.published) else { return Ok(()) };
        let store = Store::new(session.overlay(), &self.windows.directory);
        match store.compare(&store.inf_folder().join(package.published.as_str()), &read.inf)? {
            Some(true) => {}
            Some(false) => self.find(
                DriverFault::PublishedInfDiffers,
                name,
                format!("INF\\{published} is not the INF in its folder"),
            ),
            None => {
                self.find(DriverFault::MissingPublishedInf, name, format!("INF\\{published} is missing"));
            }
        }
        let catalog = read.plan.as_ref().and_then(|plan| plan.version.catalog.as_deref());
        let Some(catalog) = catalog.and_then(WinPath::parse) else { return Ok(()) };
        let Some(own) = store.resolve(&store.package(name).join_path(&catalog))? else { return Ok(()) };
        let copy = store.catalog_folder().join(published.catalog().as_str());
        let equal = match store.resolve(&copy)? {
            Some(copy) => store.has_same_data(copy, own)?,
            None => false,
        };
        if !equal {
            let detail = format!("CatRoot has no {} that is the catalog in its folder", published.catalog());
            self.find(DriverFault::PublishedCatalogDiffers, name, detail);
        }
        Ok(())
    }

    fn facts(&mut self, session: &mut Session, package: &StoredPackage, plan: &PackagePlan) -> Result<()> {
        let name = package.store_name.as_str();
        let class = SetupClass::of(session.registry(), &plan.version)?;
        if class.is_some_and(|class| class.guid != package.version.class) {
            self.find(DriverFault::WrongClass, name, "the record has another setup class than the INF");
        }
        let (date, version) = (plan.version.driver_date.unwrap_or_default(), plan.version.driver_version);
        if (date, version) != (package.version.date, package.version.version) {
            let detail = format!("the record has version {}, the INF {version}", package.version.version);
            self.find(DriverFault::WrongVersion, name, detail);
        }
        Ok(())
    }

    /// Every file of the INF is there, and the catalog vouches for it.
    fn files(
        &mut self,
        session: &Session,
        package: &StoredPackage,
        read: &StoredPlan,
        plan: &PackagePlan,
    ) -> Result<()> {
        let name = package.store_name.as_str();
        let overlay = session.overlay();
        let store = Store::new(overlay, &self.windows.directory);
        let folder = store.package(name);
        let mut nodes = Vec::new();
        for file in &plan.source_files {
            let node = match WinPath::parse(file) {
                Some(path) => store.resolve(&folder.join_path(&path))?,
                None => None,
            };
            match node {
                Some(node) if overlay.node(node)?.data().is_some() => nodes.push((file.clone(), node)),
                _ => self.find(DriverFault::MissingFile, name, format!("{file} is not in its folder")),
            }
        }
        self.report.files += nodes.len();
        let signed = package.signer_score.is_some_and(|score| score != SCORE_UNSIGNED);
        let catalog = match &plan.version.catalog {
            Some(catalog) => match WinPath::parse(catalog) {
                Some(path) => store.read(&folder.join_path(&path))?,
                None => None,
            },
            None => None,
        };
        let Some(bytes) = catalog else {
            if signed {
                let detail = "it is recorded as signed, and its catalog is not in its folder";
                self.find(DriverFault::MissingCatalog, name, detail);
            }
            return Ok(());
        };
        let parsed = Catalog::parse(&bytes).and_then(|catalog| catalog.verify_signature().map(|()| catalog));
        let catalog = match parsed {
            Ok(catalog) => catalog,
            Err(error) => {
                // Without a promise there is nothing to break.
                if signed {
                    self.find(DriverFault::BadCatalog, name, error.message().to_owned());
                }
                return Ok(());
            }
        };
        if !signed {
            return Ok(());
        }
        let inf = catalog::digest_file(&read.inf)?;
        if !catalog.contains(&inf) {
            self.find(DriverFault::FileNotInCatalog, name, "the catalog does not vouch for the INF");
        }
        let digests = session.environment().pool.run(|| {
            let digest = |(file, node): &(String, crate::base::NodeId)| {
                let data = overlay.open(*node, StreamKind::Data, &[])?;
                Ok((file.clone(), catalog::digest_file(&*data)?))
            };
            nodes.par_iter().map(digest).collect::<Result<Vec<_>>>()
        })?;
        for (file, digests) in digests {
            if !catalog.contains(&digests) {
                let detail = format!("the catalog does not vouch for {file}");
                self.find(DriverFault::FileNotInCatalog, name, detail);
            }
        }
        Ok(())
    }

    /// The ids of the INF, computed again, against those of the database.
    fn device_ids(
        &mut self,
        session: &mut Session,
        package: &StoredPackage,
        plan: &PackagePlan,
        own: &[&DeviceIdEntry],
    ) -> Result<()> {
        let name = package.store_name.as_str();
        let class = SetupClass::read(session.registry(), package.version.class)?;
        let upper = |id: &str| name::upcased(&name::units(id));
        let found: BTreeMap<Vec<u16>, &DeviceIdEntry> =
            own.iter().map(|entry| (upper(&entry.id), *entry)).collect();
        let mut expected = BTreeSet::from([upper(&class.guid.to_string())]);
        for id in database::device_ids(plan, class.is_extension()) {
            match found.get(&upper(&id.id)) {
                Some(entry) if entry.data == id.best.to_bytes() => {}
                Some(entry) => {
                    let detail = format!(
                        "DeviceIds\\{} holds {:02x?}, the INF makes {:02x?}",
                        id.id,
                        entry.data,
                        id.best.to_bytes()
                    );
                    self.find(DriverFault::WrongDeviceId, name, detail);
                }
                None => {
                    let detail = format!("DeviceIds\\{} does not lead to {}", id.id, package.published);
                    self.find(DriverFault::MissingDeviceId, name, detail);
                }
            }
            expected.insert(upper(&id.id));
        }
        for entry in own {
            if !expected.contains(&upper(&entry.id)) {
                let detail = format!(
                    "DeviceIds\\{} leads to {}, whose INF has no such id",
                    entry.id, package.published
                );
                self.find(DriverFault::StaleDeviceId, name, detail);
            }
        }
        Ok(())
    }

    /// What was put to work is still there.
    fn reflected(
        &mut self,
        session: &mut Session,
        package: &StoredPackage,
        record: &ReflectedRecord,
        inf_name: &str,
        plan: &PackagePlan,
    ) -> Result<()> {
        let name = package.store_name.as_str();
        for configuration in &plan.configurations {
            if !record.configurations.iter().any(|other| same(other, &configuration.name)) {
                let detail = format!("the configuration {} is not recorded", configuration.name);
                self.find(DriverFault::MissingConfiguration, name, detail);
            }
        }
        for set in session.registry().control_sets()? {
            let key = Registry::control_set_key(set);
            let services = plan.configurations.iter().flat_map(|configuration| &configuration.services);
            for service in services.filter(|service| !service.external) {
                let Some(path) = service::image_path(session.registry(), set, &service.name)? else {
                    let detail = format!("the service {} is missing in {key}", service.name);
                    self.find(DriverFault::MissingService, name, detail);
                    continue;
                };
                let Some(program) = service::program(&path, &self.windows.directory) else { continue };
                if session.resolve(&program)?.is_none() {
                    let detail =
                        format!("the service {} of {key} runs {program}, which is missing", service.name);
                    self.find(DriverFault::MissingProgram, name, detail);
                }
            }
        }
        let (placements, _) = reflection::placements(inf_name, plan, self.windows)?;
        let listed = reflection::listed(session.registry())?;
        for placement in placements.iter().filter(|placement| !reflection::is_framework(placement)) {
            if session.resolve(&placement.path)?.is_none() {
                let detail = format!("{} is missing", placement.path);
                self.find(DriverFault::MissingProgram, name, detail);
            }
            let Some(key) = &placement.key else { continue };
            let owned = listed.iter().any(|(listed, owners, _)| {
                same(listed, key) && owners.iter().any(|owner| owner.eq_ignore_ascii_case(&package.published))
            });
            if !owned {
                let detail = format!("PnpLockdownFiles does not list {key} as its own");
                self.find(DriverFault::MissingLockdown, name, detail);
            }
        }
        Ok(())
    }

    /// Folders, INFs and catalogs that no record leads to.
    fn store(&mut self, session: &Session, records: &[StoredPackage], infs: &[PublishedInf]) -> Result<()> {
        let overlay = session.overlay();
        let store = Store::new(overlay, &self.windows.directory);
        if let Some(repository) = store.resolve(&store.repository())? {
            for entry in overlay.entries(repository)? {
                let folder = entry.name.to_string();
                if overlay.node(entry.node)?.has_entries()
                    && !records.iter().any(|package| same(&package.store_name, &folder))
                {
                    self.find(
                        DriverFault::UnknownFolder,
                        &folder,
                        "the folder has no record in the database",
                    );
                }
            }
        }
        let published = |text: &str| infs.iter().any(|inf| same(&inf.name, text));
        if let Some(folder) = store.resolve(&store.inf_folder())? {
            for entry in overlay.entries(folder)? {
                let file = entry.name.to_string();
                if PublishedName::parse(&file).is_some() && !published(&file) {
                    self.find(DriverFault::UnknownPublishedInf, &file, "the database does not know it");
                }
            }
        }
        if let Some(folder) = store.resolve(&store.catalog_folder())? {
            for entry in overlay.entries(folder)? {
                let file = entry.name.to_string();
                let inf = file.get(..file.len().saturating_sub(4)).map(|stem| format!("{stem}.inf"));
                let is_catalog = file.to_ascii_lowercase().ends_with(".cat");
                if let Some(inf) = inf.filter(|inf| is_catalog && PublishedName::parse(inf).is_some())
                    && !published(&inf)
                {
                    self.find(
                        DriverFault::UnknownPublishedCatalog,
                        &file,
                        "the database does not know its INF",
                    );
                }
            }
        }
        for inf in infs {
            for package in inf.packages.iter().chain(&inf.active) {
                if !records.iter().any(|record| same(&record.store_name, package)) {
                    let detail = format!("{} names it, and it has no record", inf.name);
                    self.find(DriverFault::NoRecord, package, detail);
                }
            }
        }
        Ok(())
    }

    /// The bitmap of taken numbers.
    fn numbers(&mut self, session: &mut Session, infs: &[PublishedInf]) -> Result<()> {
        let map = database::oem_inf_map(session.registry().require(HiveName::System)?)?;
        for published in infs.iter().filter_map(|inf| PublishedName::parse(&inf.name)) {
            if !map.contains(published) {
                let detail = "OemInfMap does not count it: the number would be given away again";
                self.find(DriverFault::NumberNotCounted, &published.to_string(), detail);
            }
        }
        for taken in map.taken() {
            let known = infs.iter().any(|inf| PublishedName::parse(&inf.name) == Some(taken));
            if !known && !Store::new(session.overlay(), &self.windows.directory).is_published(taken)? {
                let detail = "OemInfMap counts it, and there is no such INF";
                self.find(DriverFault::NumberWithoutInf, &taken.to_string(), detail);
            }
        }
        Ok(())
    }

    fn ids_of_nobody(&mut self, infs: &[PublishedInf], by_inf: &BTreeMap<String, Vec<&DeviceIdEntry>>) {
        for (published, entries) in by_inf {
            if !infs.iter().any(|inf| inf.name.eq_ignore_ascii_case(published)) {
                let first = entries.first().map(|entry| entry.id.as_str()).unwrap_or_default();
                let detail =
                    format!("{} device ids lead to it ({first} ...), and it is not published", entries.len());
                self.find(DriverFault::StaleDeviceId, published, detail);
            }
        }
    }

    /// Services and files that belong to third-party INFs that are not there.
    fn owners(&mut self, session: &mut Session, infs: &[PublishedInf]) -> Result<()> {
        let stale = |owners: &[String]| -> Vec<String> {
            let third_party = owners.iter().filter(|owner| PublishedName::parse(owner).is_some());
            third_party.filter(|owner| !infs.iter().any(|inf| same(&inf.name, owner))).cloned().collect()
        };
        for set in session.registry().control_sets()? {
            for service in service::owned(session.registry(), set)? {
                for owner in stale(&service.owners) {
                    let key = Registry::control_set_key(set);
                    let detail = format!(
                        "the service {} of {key} belongs to it, and it is not published",
                        service.name
                    );
                    self.find(DriverFault::StaleOwner, &owner, detail);
                }
            }
        }
        for (file, owners, _) in reflection::listed(session.registry())? {
            for owner in stale(&owners) {
                let detail = format!("PnpLockdownFiles lists {file} as its own, and it is not published");
                self.find(DriverFault::StaleOwner, &owner, detail);
            }
        }
        Ok(())
    }
}
