// SPDX-License-Identifier: GPL-3.0-or-later
//! `/Add-Driver`: packages into the store, and boot-critical ones to work.
//!
//! All INFs are read first, in parallel. Then each package is added inside a savepoint, files
//! before the database: a bad one leaves nothing and the others go on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use crate::base::{Error, ErrorClass, Result, WinName, WinPath, name};
use crate::catalog::{self, Catalog};
use crate::image::{Session, WindowsInfo};
use crate::inf::{PackagePlan, UndecoratedModels};
use crate::io::{Event, Pool, ReadAt, Task};

use super::class::SetupClass;
use super::database::{self, PackageRecord, StagedPackage};
use super::device::DeviceList;
use super::package::{self, ImageIncludes, Reading};
use super::published_name::PublishedName;
use super::report::{AddOutcome, AddReport, AddRequest, AddedPackage};
use super::signature::{self, Judge, Signature};
use super::source::{self, Candidate, PackageFile};
use super::store::Store;
use super::{DriverError, critical_device, legacy_store, reflection, store_name, windows_pe};

/// An INF that was read.
struct Read {
    path: PathBuf,
    result: Result<Box<ReadPackage>, AddOutcome>,
}

/// A package to add.
struct ReadPackage {
    inf_name: String,
    inf: Vec<u8>,
    plan: PackagePlan,
    exceptions: Vec<String>,
}

/// Adds packages; a bad one is reported and skipped (what it did is undone), unless
/// `all_or_nothing`: then one failure undoes them all.
///
/// # Errors
/// When the image's Windows is not supported, no INF is found at all, the work is cancelled, or
/// undoing fails. What is wrong with single packages is in the report.
pub fn add(session: &mut Session, request: &AddRequest) -> Result<AddReport> {
    let windows = session.windows().clone();
    if windows.version < legacy_store::FIRST_WITH_STORE {
        return Err(DriverError::OldStore { version: windows.version }.into());
    }
    let environment = session.environment().clone();
    let progress = &environment.progress;
    if request.sources.iter().any(|source| source.is_dir()) {
        progress.event(&Event::SearchingDrivers);
    }
    let search = source::search(&request.sources, request.recurse);
    if search.found.is_empty() {
        return Err(nothing_found(request));
    }
    let packages = read_all(session, &windows, search.found, request);
    let count = packages.iter().filter(|read| is_counted(read)).count();
    if search.searched {
        progress.event(&Event::DriversFound { count });
    }
    let mut report = AddReport { searched: search.searched, ..AddReport::default() };
    let whole = session.savepoint()?;
    if let Err(error) = add_all(session, request, &windows, packages, &mut report) {
        session.rollback(whole)?;
        return Err(error);
    }
    if request.all_or_nothing && report.error().is_some() {
        session.rollback(whole)?;
        withdraw(&mut report);
    } else {
        session.commit_savepoint(whole)?;
    }
    let is_skipped = |added: &AddedPackage| matches!(added.outcome, AddOutcome::Skipped { .. });
    // That no device of a list is served is an answer, not a mistake.
    let wanted_all = request.only.is_none();
    if wanted_all && report.error().is_none() && report.packages.iter().all(is_skipped) {
        report.nothing_usable = Some(nothing_found(request));
    }
    report.exceptions.extend(session.exceptions().iter().cloned());
    Ok(report)
}

/// Adds what was read, one after the other, and tells how far it is.
fn add_all(
    session: &mut Session,
    request: &AddRequest,
    windows: &WindowsInfo,
    packages: Vec<Read>,
    report: &mut AddReport,
) -> Result<()> {
    let environment = session.environment().clone();
    let progress = &environment.progress;
    let count = packages.iter().filter(|read| is_counted(read)).count();
    progress.event(&Event::Begin { task: Task::AddDrivers, total: count as u64 });
    let mut sibling = sibling_package(session)?;
    let judge = Judge::new(session, &request.roots)?;
    let mut position = 0;
    for read in packages {
        environment.cancel.check()?;
        let counted = is_counted(&read);
        let Read { path, result } = read;
        let outcome = match result {
            Ok(package) => {
                let sibling = sibling.as_deref();
                let job = Job { request, windows, path: &path, package: &package, sibling, judge: &judge };
                add_guarded(session, &job)?
            }
            Err(outcome) => outcome,
        };
        if counted {
            position += 1;
            let error = match &outcome {
                AddOutcome::Failed { error } => Some(error.to_string()),
                _ => None,
            };
            progress.event(&Event::DriverDone { position, count, path: path.display().to_string(), error });
            progress.event(&Event::Advance { task: Task::AddDrivers, done: position as u64 });
        }
        if let AddOutcome::Installed { store_name, .. } = &outcome {
            sibling.get_or_insert_with(|| store_name.clone());
        }
        report.packages.push(AddedPackage { source: path, outcome });
    }
    progress.event(&Event::End { task: Task::AddDrivers });
    Ok(())
}

fn nothing_found(request: &AddRequest) -> Error {
    let paths: Vec<String> = request.sources.iter().map(|path| path.display().to_string()).collect();
    DriverError::NothingFound { path: paths.join(", ") }.into()
}

/// What is not for this image is not counted among the packages to install.
fn is_counted(read: &Read) -> bool {
    !matches!(read.result, Err(AddOutcome::Skipped { .. }))
}

fn withdraw(report: &mut AddReport) {
    for added in &mut report.packages {
        if matches!(added.outcome, AddOutcome::Installed { .. }) {
            added.outcome = AddOutcome::Skipped {
                reason: "not added, because another package failed and all or none were asked for".to_owned(),
            };
        }
    }
}

fn read_all(
    session: &Session,
    windows: &WindowsInfo,
    found: Vec<Result<Candidate, (PathBuf, Error)>>,
    request: &AddRequest,
) -> Vec<Read> {
    let includes = ImageIncludes::new(session.overlay(), windows);
    let read = |found: Result<Candidate, (PathBuf, Error)>| match found {
        Ok(candidate) => read_one(candidate, windows, &includes, request),
        Err((path, error)) => Read { path, result: Err(AddOutcome::Failed { error }) },
    };
    session.environment().pool.run(|| found.into_par_iter().map(read).collect())
}

fn read_one(
    candidate: Candidate,
    windows: &WindowsInfo,
    includes: &ImageIncludes<'_>,
    request: &AddRequest,
) -> Read {
    let Candidate { path, named } = candidate;
    let result = match read_package(&path, windows, includes, request.force_unsigned) {
        Err(error) if named => Err(AddOutcome::Failed { error }),
        Err(error) => Err(AddOutcome::Skipped { reason: error.to_string() }),
        Ok(package) => match &request.only {
            Some(devices) if !serves(&package.plan, devices) => Err(AddOutcome::Skipped {
                reason: format!("none of the {} devices of the list has an id of it", devices.len()),
            }),
            _ => Ok(package),
        },
    };
    Read { path, result }
}

/// Whether the package has an id of one of the devices.
fn serves(plan: &PackagePlan, devices: &DeviceList) -> bool {
    let ids = plan.devices.iter().flat_map(|device| device.hardware_id.iter().chain(&device.compatible_ids));
    ids.into_iter().any(|id| devices.has(id))
}

fn read_package(
    path: &Path,
    windows: &WindowsInfo,
    includes: &ImageIncludes<'_>,
    force: bool,
) -> Result<Box<ReadPackage>> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    source::check_name(&name)?;
    let inf = source::read_whole(path)?;
    let read = |undecorated| package::read(&name, &inf, windows, includes, undecorated);
    let mut exceptions = Vec::new();
    let mut reading = read(UndecoratedModels::X86Only)?;
    if force && matches!(reading, Reading::Other(_)) {
        reading = read(UndecoratedModels::AnyArch)?;
        exceptions.push(format!(
            "its models name no architecture: Windows takes them for x86 only and may not use them on {}",
            windows.arch
        ));
    }
    match reading {
        Reading::Package(plan) => Ok(Box::new(ReadPackage { inf_name: name, inf, plan: *plan, exceptions })),
        Reading::Other(error) | Reading::NotADriver(error) => Err(error.into()),
    }
}

/// One package to add.
#[derive(Clone, Copy)]
struct Job<'a> {
    request: &'a AddRequest,
    windows: &'a WindowsInfo,
    /// The INF.
    path: &'a Path,
    package: &'a ReadPackage,
    /// Another package of the store.
    sibling: Option<&'a str>,
    judge: &'a Judge,
}

/// Adds a package inside a savepoint. The error that ends the whole run is returned as such.
fn add_guarded(session: &mut Session, job: &Job<'_>) -> Result<AddOutcome> {
    let savepoint = session.savepoint()?;
    match add_one(session, job) {
        Ok(outcome) => {
            session.commit_savepoint(savepoint)?;
            Ok(outcome)
        }
        Err(error) => {
            session.rollback(savepoint)?;
            if error.class() == ErrorClass::Cancelled {
                return Err(error);
            }
            Ok(AddOutcome::Failed { error })
        }
    }
}

/// The files of a package, loaded and judged.
struct Loaded {
    inf: PackageFile,
    catalog: Option<PackageFile>,
    files: Vec<PackageFile>,
    signature: Signature,
}

impl Loaded {
    /// Everything that goes to the store.
    fn all(&self) -> impl Iterator<Item = &PackageFile> {
        std::iter::once(&self.inf).chain(&self.catalog).chain(&self.files)
    }

    fn size(&self) -> u64 {
        self.all().map(|file| file.data.len()).sum()
    }
}

fn add_one(session: &mut Session, job: &Job<'_>) -> Result<AddOutcome> {
    let Job { request, windows, path, package, sibling, judge } = *job;
    let ReadPackage { inf_name, plan, .. } = package;
    let mut class = SetupClass::of(session.registry(), &plan.version)?.ok_or_else(|| {
        DriverError::NoClass { inf: inf_name.clone(), class: plan.version.class.clone().unwrap_or_default() }
    })?;
    let pool = session.environment().pool.clone();
    let folder = source::folder_of(path);
    let loaded = load(package, folder, &pool, judge)?;
    if let Some(fault) = &loaded.signature.fault
        && !request.force_unsigned
        && !signature::unsigned_is_allowed(windows.arch)
    {
        return Err(fault.clone().into());
    }
    let old_store = legacy_store::is_used(windows);
    if old_store {
        class.boot_critical = critical_device::is_critical(class.guid);
    }
    let store_name = match old_store {
        true => legacy_store::store_name(windows, inf_name, &package.inf),
        false => store_name::store_name(inf_name, windows.arch, &package.inf),
    };
    let repaired = check_clash(&Store::new(session.overlay(), &windows.directory), &store_name, &loaded)?;

    let known = known_name(session, windows, &store_name)?;
    let already_present = known.is_some();
    let (published_name, hive) = match known {
        Some(known) => known,
        None => (free_name(session, windows)?.to_string(), class.hive().to_string()),
    };
    let published = PublishedName::parse(&published_name);
    let store = Store::new(session.overlay(), &windows.directory);
    store.create_package(&store_name, sibling)?;
    let target_folder = store.package(&store_name);
    for file in loaded.all() {
        store.put(&target_folder.join_path(&file.relative), &file.data)?;
    }
    let mut exceptions = package.exceptions.clone();
    exceptions.extend(inexact(windows, package, &class));
    exceptions.extend(windows_pe::warning(windows, &class));
    let mut reflected = false;
    // Without a name of its own it came with Windows: nothing to publish or to repair.
    if let Some(published) = published {
        store.publish(published, &loaded.inf.data, loaded.catalog.as_ref().map(|catalog| &catalog.data))?;
        let source_folder = source_folder(folder);
        let staged = StagedPackage { store_name: &store_name, published, inf_name, class: &class, plan };
        let record = PackageRecord {
            staged,
            source_folder: &source_folder,
            signature: &loaded.signature,
            file_size: loaded.size(),
        };
        reflected = staged.is_reflected();
        if old_store {
            legacy_store::announce(session, windows, &store_name)?;
            exceptions.push(legacy_store::NOT_INDEXED.to_owned());
        } else {
            exceptions.extend(database::write(session.registry(), windows, &record)?);
        }
        if reflected {
            exceptions.extend(reflection::reflect(session, windows, &staged, &loaded.files)?);
        }
    }
    Ok(AddOutcome::Installed {
        published_name,
        store_name,
        already_present,
        repaired: if already_present { repaired } else { Vec::new() },
        boot_critical: class.boot_critical,
        reflected,
        hive: if old_store { String::new() } else { hive },
        signed: loaded.signature.is_signed(),
        signer: loaded.signature.signer.clone(),
        trust: loaded.signature.trust.clone().map(Box::new),
        exceptions,
    })
}

/// Finds and opens the package's files, and judges them by the catalog.
fn load(package: &ReadPackage, folder: &Path, pool: &Pool, by: &Judge) -> Result<Loaded> {
    let ReadPackage { inf_name, inf, plan, .. } = package;
    let inf_path = WinPath::root().join(inf_name.as_str());
    let catalog_path = plan
        .version
        .catalog
        .as_deref()
        .map(|catalog| source::relative_path(inf_name, catalog))
        .transpose()?;
    let mut sources = Vec::with_capacity(plan.source_files.len());
    for text in &plan.source_files {
        let cabinet =
            plan.cabinets.iter().find(|(file, _)| file == text).map(|(_, cabinet)| cabinet.as_str());
        let file = source::locate(inf_name, folder, text, cabinet)?;
        // INF and catalog are in the package anyhow.
        if !is_same(&file.relative, &inf_path)
            && !catalog_path.as_ref().is_some_and(|path| is_same(&file.relative, path))
        {
            sources.push(file);
        }
    }
    let catalogs = open_catalogs(folder, catalog_path.as_ref())?;
    let hash = catalogs.iter().any(|catalog| catalog.parsed.is_ok());
    let files = source::load(&sources, hash, pool)?;
    let data: Arc<dyn ReadAt> = Arc::new(inf.clone());
    let digests = if hash { Some(catalog::digest_file(&*data)?) } else { None };
    let inf_file = PackageFile { relative: inf_path, data, digests };
    let (signature, chosen) = judge(by, inf_name, plan, &inf_file, &files, &catalogs);
    let catalog = match (chosen, catalog_path) {
        (Some(chosen), Some(relative)) => {
            Some(PackageFile { relative, data: Arc::clone(&chosen.data), digests: None })
        }
        _ => None,
    };
    Ok(Loaded { inf: inf_file, catalog, files, signature })
}

fn is_same(left: &WinPath, right: &WinPath) -> bool {
    let (left, right) = (left.components(), right.components());
    left.len() == right.len()
        && left
            .iter()
            .zip(right)
            .all(|(left, right): (&WinName, &WinName)| name::same(left.units(), right.units()))
}

/// A file that can be the package's catalog.
struct CatalogFile {
    data: Arc<dyn ReadAt>,
    parsed: Result<Catalog>,
}

/// Every file that the catalog's name can mean, the exact case first.
fn open_catalogs(folder: &Path, relative: Option<&WinPath>) -> Result<Vec<CatalogFile>> {
    let Some(relative) = relative else { return Ok(Vec::new()) };
    let open = |path: PathBuf| {
        let bytes = source::read_whole(&path)?;
        let parsed = Catalog::parse(&bytes);
        Ok(CatalogFile { data: Arc::new(bytes), parsed })
    };
    let inside = |path: &PathBuf| source::is_inside(folder, path);
    source::matches(folder, relative)?.into_iter().filter(inside).map(open).collect()
}

/// The judgement, and the catalog it is by: the first that vouches for all, else the first.
fn judge<'a>(
    by: &Judge,
    inf_name: &str,
    plan: &PackagePlan,
    inf: &PackageFile,
    files: &[PackageFile],
    catalogs: &'a [CatalogFile],
) -> (Signature, Option<&'a CatalogFile>) {
    let no_catalog =
        |reason: String| Signature::none(DriverError::NoCatalog { inf: inf_name.to_owned(), reason });
    let Some(name) = &plan.version.catalog else {
        return (no_catalog("it names no catalog file".to_owned()), None);
    };
    let mut first = None;
    for catalog in catalogs {
        let signature = match &catalog.parsed {
            Ok(parsed) => {
                let members = std::iter::once(inf).chain(files);
                let members = members.map(|file| (file.relative.to_string(), file.digests.as_ref()));
                by.judge(inf_name, name, parsed, members)
            }
            Err(error) => Signature::none(DriverError::BadCatalog {
                inf: inf_name.to_owned(),
                catalog: name.clone(),
                reason: error.message().to_owned(),
            }),
        };
        if signature.is_signed() {
            return (signature, Some(catalog));
        }
        first.get_or_insert((signature, Some(catalog)));
    }
    first.unwrap_or_else(|| (no_catalog(format!("its catalog {name} is not there")), None))
}

/// The same INF leads to the same folder, so whatever is there must be the same package. What
/// the folder lacks is put there; what differs is replaced where the catalog, which the folder has
/// too, vouches for ours and so not for what is there. Gives what will be repaired, in words.
fn check_clash(store: &Store<'_>, store_name: &str, loaded: &Loaded) -> Result<Vec<String>> {
    let folder = store.package(store_name);
    let mut repaired = Vec::new();
    if store.resolve(&folder)?.is_none() {
        return Ok(repaired);
    }
    let same_catalog = match &loaded.catalog {
        Some(catalog) => store.compare(&folder.join_path(&catalog.relative), &*catalog.data)? == Some(true),
        None => false,
    };
    for file in loaded.all() {
        match store.compare(&folder.join_path(&file.relative), &*file.data)? {
            Some(true) => {}
            None => repaired.push(format!("{} was missing in the store", file.relative)),
            Some(false) if same_catalog && loaded.signature.is_signed() => {
                repaired.push(format!("{} was damaged in the store", file.relative));
            }
            Some(false) => {
                return Err(DriverError::Clash {
                    store_name: store_name.to_owned(),
                    file: file.relative.to_string(),
                }
                .into());
            }
        }
    }
    Ok(repaired)
}

/// Name and hive of a package that is in the store already.
fn known_name(
    session: &mut Session,
    windows: &WindowsInfo,
    store_name: &str,
) -> Result<Option<(String, String)>> {
    if legacy_store::is_used(windows) {
        let known = legacy_store::known(session, windows, store_name)?;
        return Ok(known.map(|published| (published.to_string(), String::new())));
    }
    let stored = database::published_as(session.registry(), store_name)?;
    Ok(stored.map(|(published, hive)| (published, hive.to_string())))
}

/// The lowest number that is free in the bitmap, in both databases and in `Windows\INF`.
fn free_name(session: &mut Session, windows: &WindowsInfo) -> Result<PublishedName> {
    let map = database::oem_inf_map(session.registry().require(crate::image::HiveName::System)?)?;
    let free = map.lowest_free(|name| {
        let known = database::is_published(session.registry(), name)?;
        Ok::<_, Error>(!known && !Store::new(session.overlay(), &windows.directory).is_published(name)?)
    })?;
    free.ok_or_else(|| DriverError::Database { what: "every oemN.inf is taken".to_owned() }.into())
}

/// A third-party package that is in the store: new folders get its folder's permissions.
fn sibling_package(session: &mut Session) -> Result<Option<String>> {
    let records = database::records(session.registry())?;
    Ok(records
        .into_iter()
        .filter_map(|(_, _, package)| package.ok())
        .find(|package| PublishedName::parse(&package.published).is_some())
        .map(|found| found.store_name))
}

/// The folder in Windows' spelling.
fn source_folder(folder: &Path) -> String {
    folder.display().to_string().trim_end_matches('/').replace('/', "\\")
}

/// What is known to differ, or not known to be the same, from what Windows would write.
fn inexact(windows: &WindowsInfo, package: &ReadPackage, class: &SetupClass) -> Vec<String> {
    const DISPLAY: &str = "{4d36e968-e325-11ce-bfc1-08002be10318}";
    let plan = &package.plan;
    let mut found = Vec::new();
    if class.name.is_none() {
        found.push(format!(
            "the image does not know the setup class {}: it is taken as not needed to boot",
            class.guid
        ));
    }
    if class.guid.to_string() == DISPLAY {
        found.push(
            "StatusFlags of display drivers have a further bit (0x400) of unknown meaning, not written"
                .to_owned(),
        );
    }
    let isolated = plan.configurations.iter().any(|chosen| {
        !chosen.services.is_empty()
            && chosen.copy_files.iter().all(|file| file.dirid == super::destination::STORE_DIRID)
    });
    if isolated && windows.version.major >= 10 {
        found.push("StatusFlags of packages that run from the store have further bits (0x21) of unknown meaning, not written".to_owned());
    }
    if plan.configurations.iter().any(database::needs_legacy_installer) {
        found.push(
            "which legacy-feature bit of Version the INF's actions stand for is not known; 0x8000 is written"
                .to_owned(),
        );
    }
    if plan.default_install.is_some() {
        found.push(
            "a primitive driver: staged only; its DefaultInstall runs when Windows is told to install it"
                .to_owned(),
        );
    }
    if plan.has_class_install && class.name.is_none() {
        found.push("its setup class is installed at first boot".to_owned());
    }
    if class.is_extension() && !plan.devices.is_empty() {
        found.push(
            "an extension INF: staged only; it is applied with the device's own driver at first boot"
                .to_owned(),
        );
    }
    let mut deferred: Vec<&str> = Vec::new();
    for action in plan.configurations.iter().flat_map(|configuration| &configuration.deferred_actions) {
        if !deferred.contains(&action.as_str()) {
            deferred.push(action);
        }
    }
    if !deferred.is_empty() {
        found.push(format!("{} is left to the device installation at first boot", deferred.join(", ")));
    }
    for copied in &plan.copied_infs {
        found.push(format!("CopyINF names {copied}, a package of its own: add it too"));
    }
    found
}
