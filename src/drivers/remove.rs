// SPDX-License-Identifier: GPL-3.0-or-later
//! `/Remove-Driver`: a package and all its traces.
//!
//! What goes: the records of both databases (package, published name, device ids, number), the
//! folder in the store, the published INF with its cache and catalog, and of a reflected package
//! its ownership of services and files. A service or a file goes when nobody else owns it; where
//! another third-party package owns it too, that package is put to work again, so that nothing
//! points to what is gone. A file goes only while it is the package's own, byte for byte, and a
//! service only when its program is gone: so a service of Windows that the package merely joined
//! stays.

use std::collections::BTreeSet;

use crate::base::{ErrorClass, NodeKind, Result, WinPath, name};
use crate::hive::{KeyId, Value};
use crate::image::{HiveName, Registry, Session, WindowsInfo};
use crate::inf::PackagePlan;
use crate::io::{Event, Task};
use crate::volume::Volume;

use super::class::SetupClass;
use super::editor::Editor;
use super::package::ImageIncludes;
use super::published_name::PublishedName;
use super::reflection::{self, Placement};
use super::report::{RemoveOutcome, RemoveReport, RemoveRequest, RemovedDriver};
use super::store::Store;
use super::stored::{self, StoredPlan};
use super::{DriverError, critical_device, database, legacy_store, service};

/// Removes packages by their published names; one that cannot be removed is reported and left
/// whole, and the others go, unless all or none are asked for.
///
/// # Errors
/// When the work is cancelled or undoing fails. What is wrong with single packages is in the
/// report.
pub fn remove(session: &mut Session, request: &RemoveRequest) -> Result<RemoveReport> {
    let windows = session.windows().clone();
    let environment = session.environment().clone();
    let progress = &environment.progress;
    let count = request.drivers.len();
    progress.event(&Event::Begin { task: Task::RemoveDrivers, total: count as u64 });
    let mut report = RemoveReport::default();
    let whole = session.savepoint()?;
    let mut outcome = Ok(());
    for (position, driver) in request.drivers.iter().enumerate() {
        let removed = environment.cancel.check().and_then(|()| remove_guarded(session, &windows, driver));
        let removed = match removed {
            Ok(removed) => removed,
            Err(error) => {
                outcome = Err(error);
                break;
            }
        };
        let position = position + 1;
        let error = match &removed {
            RemoveOutcome::Failed { error } => Some(error.to_string()),
            RemoveOutcome::Removed { .. } | RemoveOutcome::Kept => None,
        };
        progress.event(&Event::DriverRemoved { position, count, name: driver.clone(), error });
        progress.event(&Event::Advance { task: Task::RemoveDrivers, done: position as u64 });
        report.drivers.push(RemovedDriver { name: driver.clone(), outcome: removed });
    }
    progress.event(&Event::End { task: Task::RemoveDrivers });
    if let Err(error) = outcome {
        session.rollback(whole)?;
        return Err(error);
    }
    if request.all_or_nothing && report.error().is_some() {
        session.rollback(whole)?;
        for driver in &mut report.drivers {
            if matches!(driver.outcome, RemoveOutcome::Removed { .. }) {
                driver.outcome = RemoveOutcome::Kept;
            }
        }
    } else {
        session.commit_savepoint(whole)?;
    }
    report.exceptions.extend(session.exceptions().iter().cloned());
    Ok(report)
}

fn remove_guarded(session: &mut Session, windows: &WindowsInfo, driver: &str) -> Result<RemoveOutcome> {
    let savepoint = session.savepoint()?;
    match remove_one(session, windows, driver) {
        Ok(outcome) => {
            session.commit_savepoint(savepoint)?;
            Ok(outcome)
        }
        Err(error) => {
            session.rollback(savepoint)?;
            if error.class() == ErrorClass::Cancelled {
                return Err(error);
            }
            Ok(RemoveOutcome::Failed { error })
        }
    }
}

/// A package that goes: what its INF says it had put in place.
struct Leaving {
    store_name: String,
    plan: Option<Box<PackagePlan>>,
    placements: Vec<Placement>,
}

fn remove_one(session: &mut Session, windows: &WindowsInfo, driver: &str) -> Result<RemoveOutcome> {
    let unknown = || DriverError::Unknown { name: driver.to_owned() };
    let Some(published) = PublishedName::parse(driver) else {
        let known = database::active_package(session.registry(), driver)?.is_some()
            || Store::new(session.overlay(), &windows.directory).has_inf(driver)?;
        return Err(if known { DriverError::InBox { name: driver.to_owned() } } else { unknown() }.into());
    };
    let old_store = legacy_store::is_used(windows);
    let store_names = if old_store {
        legacy_store::packages_of(session, windows, published)?
    } else {
        database::published_packages(session.registry(), &published.to_string())?
    };
    let listed = Store::new(session.overlay(), &windows.directory).is_published(published)?;
    if store_names.is_empty() && !listed {
        return Err(unknown().into());
    }
    let mut boot_critical = false;
    for store_name in &store_names {
        if let Some(stored) = database::package(session.registry(), store_name)? {
            if stored.version.inbox {
                return Err(DriverError::InBox { name: driver.to_owned() }.into());
            }
            boot_critical |= SetupClass::read(session.registry(), stored.version.class)?.boot_critical;
        }
    }
    let mut exceptions = Vec::new();
    let leaving = leaving(session, windows, &store_names, &mut exceptions)?;

    let released = reflection::release(session.registry(), published)?;
    let mut files = Vec::new();
    let mut again: BTreeSet<PublishedName> = BTreeSet::new();
    remove_files(session, windows, published, &leaving, &released, &mut files, &mut again, &mut exceptions)?;
    if old_store {
        boot_critical |= critical_device::erase(session.registry(), &store_names)? > 0;
    }
    let gone: Vec<WinPath> = files.clone();
    let services = Services { windows, published, leaving: &leaving, gone: &gone };
    let (removed_services, others) = services.remove(session, &mut exceptions)?;
    again.extend(others);

    if old_store {
        legacy_store::forget(session, windows, &store_names)?;
    } else {
        database::erase(session.registry(), published, &store_names)?;
    }
    let store = Store::new(session.overlay(), &windows.directory);
    for store_name in &store_names {
        store.remove_package(store_name)?;
    }
    store.withdraw(published)?;
    for other in again {
        let names = match old_store {
            true => legacy_store::packages_of(session, windows, other)?,
            false => database::published_packages(session.registry(), &other.to_string())?,
        };
        for store_name in names {
            exceptions.extend(stored::reflect_again(session, windows, other, &store_name)?);
        }
    }
    Ok(RemoveOutcome::Removed {
        original_file_name: store_names
            .first()
            .map(|store_name| super::store_name::original_file_name(store_name).to_owned())
            .unwrap_or_default(),
        store_names,
        boot_critical,
        services: removed_services,
        files: files.iter().map(ToString::to_string).collect(),
        exceptions,
    })
}

/// Reads the INFs of the packages while they are still there.
fn leaving(
    session: &mut Session,
    windows: &WindowsInfo,
    store_names: &[String],
    exceptions: &mut Vec<String>,
) -> Result<Vec<Leaving>> {
    let includes = ImageIncludes::new(session.overlay(), windows);
    let mut leaving = Vec::new();
    for store_name in store_names {
        let (plan, inf_name) = match stored::plan(session.overlay(), windows, &includes, store_name)? {
            Some(StoredPlan { plan: Some(plan), inf_name, .. }) => (Some(plan), inf_name),
            other => {
                let why = other.and_then(|found| found.fault).unwrap_or_else(|| "it is missing".to_owned());
                exceptions.push(format!(
                    "the INF of {store_name} cannot be read ({why}): files outside the Windows directory and \
                     event sources that it may have brought are not looked for"
                ));
                (None, String::new())
            }
        };
        let placements = match &plan {
            Some(plan) => reflection::placements(&inf_name, plan, windows)?.0,
            None => Vec::new(),
        };
        leaving.push(Leaving { store_name: store_name.clone(), plan, placements });
    }
    Ok(leaving)
}

/// `%SystemRoot%/System32/drivers/x.sys` as a path of the image.
fn path_of_key(windows: &WindowsInfo, key: &str) -> Option<WinPath> {
    let rest = key.get(..ROOT_PREFIX.len()).filter(|prefix| prefix.eq_ignore_ascii_case(ROOT_PREFIX));
    let below = WinPath::parse(key.get(rest?.len()..)?)?;
    Some(windows.directory.join_path(&below))
}

const ROOT_PREFIX: &str = "%SystemRoot%";

/// Removes files that are the packages' own; fills in what went and who has to be put to work
/// again.
#[expect(clippy::too_many_arguments, reason = "one step of the removal, with all it fills in")]
fn remove_files(
    session: &mut Session,
    windows: &WindowsInfo,
    published: PublishedName,
    leaving: &[Leaving],
    released: &reflection::Released,
    files: &mut Vec<WinPath>,
    again: &mut BTreeSet<PublishedName>,
    exceptions: &mut Vec<String>,
) -> Result<()> {
    let mut candidates: Vec<(WinPath, Option<WinPath>)> = Vec::new();
    for key in &released.unowned {
        candidates.extend(path_of_key(windows, key).map(|path| (path, None)));
    }
    for (key, owners) in &released.shared {
        let third_party: Vec<PublishedName> =
            owners.iter().filter_map(|owner| PublishedName::parse(owner)).collect();
        let windows_own =
            owners.iter().any(|owner| !owner.starts_with('!') && PublishedName::parse(owner).is_none());
        again.extend(third_party);
        if !windows_own {
            candidates.extend(path_of_key(windows, key).map(|path| (path, None)));
        }
    }
    let old_store = legacy_store::is_used(windows);
    // Files that are not listed: only if no other package puts the same there.
    let unlisted: Vec<&Placement> = leaving
        .iter()
        .flat_map(|package| &package.placements)
        .filter(|it| old_store || it.key.is_none() || reflection::is_framework(it))
        .collect();
    if !unlisted.is_empty() {
        let others = placements_of_others(session, windows, published)?;
        for placement in unlisted {
            match others.iter().find(|(_, path)| same_path(path, &placement.path)) {
                Some((other, _)) => {
                    again.insert(*other);
                }
                None => candidates.push((placement.path.clone(), Some(placement.directory.clone()))),
            }
        }
    }
    for (path, directory) in candidates {
        let placed: Vec<&Placement> = leaving
            .iter()
            .flat_map(|package| &package.placements)
            .filter(|it| same_path(&it.path, &path))
            .collect();
        let store = Store::new(session.overlay(), &windows.directory);
        let Some(node) = store.resolve(&path)? else { continue };
        let mut own = false;
        for package in leaving {
            let folder = store.package(&package.store_name);
            for placement in &placed {
                let Some(source) = WinPath::parse(&placement.source) else { continue };
                let Some(source) = store.resolve(&folder.join_path(&source))? else { continue };
                own |= store.has_same_data(node, source)?;
            }
        }
        if own {
            let directory = directory.or_else(|| placed.first().map(|placement| placement.directory.clone()));
            store.remove_file(&path, directory.as_ref())?;
            files.push(path);
        } else {
            exceptions.push(format!("{path} stays: it is not, or no longer, the file of this package"));
        }
    }
    Ok(())
}

fn same_path(left: &WinPath, right: &WinPath) -> bool {
    name::same(&name::units(&left.to_string()), &name::units(&right.to_string()))
}

/// Where the other third-party packages put their files.
fn placements_of_others(
    session: &mut Session,
    windows: &WindowsInfo,
    except: PublishedName,
) -> Result<Vec<(PublishedName, WinPath)>> {
    let packages = match legacy_store::is_used(windows) {
        true => legacy_store::stored_packages(session, windows)?,
        false => database::packages(session.registry())?,
    };
    let includes = ImageIncludes::new(session.overlay(), windows);
    let mut found = Vec::new();
    for package in packages {
        let Some(published) = PublishedName::parse(&package.published).filter(|name| *name != except) else {
            continue;
        };
        let read = stored::plan(session.overlay(), windows, &includes, &package.store_name)?;
        if let Some(StoredPlan { plan: Some(plan), inf_name, .. }) = read {
            let placements = reflection::placements(&inf_name, &plan, windows)?.0;
            found.extend(placements.into_iter().map(|placement| (published, placement.path)));
        }
    }
    Ok(found)
}

/// The removal of a package's services.
struct Services<'a> {
    windows: &'a WindowsInfo,
    published: PublishedName,
    leaving: &'a [Leaving],
    /// Files that went.
    gone: &'a [WinPath],
}

impl Services<'_> {
    /// Takes the INF out of the services' owners in every control set; gives the services that
    /// went, and the other packages that own what stayed.
    fn remove(
        &self,
        session: &mut Session,
        exceptions: &mut Vec<String>,
    ) -> Result<(Vec<String>, BTreeSet<PublishedName>)> {
        let mut removed: Vec<String> = Vec::new();
        let mut others = BTreeSet::new();
        for set in session.registry().control_sets()? {
            let owned = self.owned(session.registry(), set)?;
            for (name, program) in owned {
                let has_program = match &program {
                    Some(path) => {
                        !self.is_gone(path)
                            && Store::new(session.overlay(), &self.windows.directory).resolve(path)?.is_some()
                    }
                    None => false,
                };
                let now = session.registry().now();
                let hive = session.registry().require(HiveName::System)?;
                let mut editor = Editor::new(hive, now);
                let services = format!("{}\\Services", Registry::control_set_key(set));
                let Some(services) = editor.find(editor.hive.root(), &services)? else { continue };
                let Some(key) = editor.find(services, &name)? else { continue };
                let left = editor.remove_owner(key, self.published)?.unwrap_or_default();
                if !left.is_empty() {
                    others.extend(left.iter().filter_map(|owner| PublishedName::parse(owner)));
                } else if has_program {
                    let kept = format!("the service {name} stays: its program is still there");
                    if !exceptions.contains(&kept) {
                        exceptions.push(kept);
                    }
                } else {
                    self.delete(&mut editor, set, services, key, &name)?;
                    if !removed.contains(&name) {
                        removed.push(name);
                    }
                }
            }
        }
        Ok((removed, others))
    }

    /// Services that the INF owns, with the files of their programs.
    fn owned(&self, registry: &mut Registry, set: u32) -> Result<Vec<(String, Option<WinPath>)>> {
        if legacy_store::is_used(self.windows) {
            return self.named(registry, set);
        }
        let published = self.published.to_string();
        let mut owned = Vec::new();
        for found in service::owned(registry, set)? {
            if found.owners.iter().any(|owner| owner.eq_ignore_ascii_case(&published)) {
                let program = service::program(&found.image_path, &self.windows.directory);
                owned.push((found.name, program));
            }
        }
        Ok(owned)
    }

    /// Services that the packages' INFs name, where Windows knows no owners and no other device
    /// needs them.
    fn named(&self, registry: &mut Registry, set: u32) -> Result<Vec<(String, Option<WinPath>)>> {
        let mut named: Vec<(String, Option<WinPath>)> = Vec::new();
        let plans = self.leaving.iter().filter_map(|package| package.plan.as_deref());
        let services = plans.flat_map(|plan| &plan.configurations).flat_map(|it| &it.services);
        for service in services.filter(|service| !service.external) {
            if named.iter().any(|(name, _)| name.eq_ignore_ascii_case(&service.name))
                || critical_device::uses(registry, set, &service.name)?
            {
                continue;
            }
            if let Some(path) = service::image_path(registry, set, &service.name)? {
                named.push((service.name.clone(), service::program(&path, &self.windows.directory)));
            }
        }
        Ok(named)
    }

    /// Whether a program went with the files, or lies in a folder of the store that goes.
    fn is_gone(&self, program: &WinPath) -> bool {
        let text = program.to_string().to_lowercase();
        self.gone.iter().any(|path| same_path(path, program))
            || self.leaving.iter().any(|package| {
                let folder = format!("\\filerepository\\{}\\", package.store_name.to_lowercase());
                text.contains(&folder)
            })
    }

    fn delete(
        &self,
        editor: &mut Editor<'_>,
        set: u32,
        services: KeyId,
        key: KeyId,
        name: &str,
    ) -> Result<()> {
        let group = editor.value(key, "Group")?.and_then(|value| value.as_text());
        let tag = editor.value(key, "Tag")?.and_then(|value| value.as_dword());
        editor.delete_key(key)?;
        let logs = self.leaving.iter().filter_map(|package| package.plan.as_deref()).flat_map(|plan| {
            plan.configurations
                .iter()
                .flat_map(|configuration| &configuration.services)
                .filter(|service| service.name.eq_ignore_ascii_case(name))
        });
        for log in logs.filter_map(|service| service.event_log.as_ref()) {
            if let Some(key) = editor.find(services, &format!("EventLog\\{}\\{}", log.log, log.name))? {
                editor.delete_key(key)?;
            }
        }
        // Only up to 8.1 our own tag was put into the list.
        if self.windows.version.major < 10
            && let (Some(group), Some(tag)) = (group, tag)
        {
            let list = format!("{}\\Control\\GroupOrderList", Registry::control_set_key(set));
            if let Some(list) = editor.find(editor.hive.root(), &list)?
                && let Some(order) = editor.value(list, &group)?
            {
                editor.set(list, &Value::binary(&group, service::without_tag(&order.data, tag)))?;
            }
        }
        Ok(())
    }
}

impl Store<'_> {
    /// Removes a file, and the folders above it that became empty, up to `directory`.
    fn remove_file(&self, path: &WinPath, directory: Option<&WinPath>) -> Result<()> {
        let (Some(mut folder), Some(file)) = (path.parent(), path.file_name()) else { return Ok(()) };
        let Some(node) = self.resolve(&folder)? else { return Ok(()) };
        self.overlay().remove(node, file.units())?;
        let Some(directory) = directory else { return Ok(()) };
        while folder.components().len() > directory.components().len() {
            let Some(node) = self.resolve(&folder)? else { break };
            let is_folder = self.overlay().node(node)?.kind() == NodeKind::Directory;
            if !is_folder || !self.overlay().entries(node)?.is_empty() {
                break;
            }
            let (Some(parent), Some(own)) = (folder.parent(), folder.file_name().cloned()) else { break };
            let Some(above) = self.resolve(&parent)? else { break };
            self.overlay().remove(above, own.units())?;
            folder = parent;
        }
        Ok(())
    }
}
