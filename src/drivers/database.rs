// SPDX-License-Identifier: GPL-3.0-or-later
//! `DriverDatabase` (Windows 8 and later): the record of a staged package.
//!
//! The same tree is in two hives, `SYSTEM\DriverDatabase` and `DRIVERS\DriverDatabase`; a package
//! is in exactly one of them ([`SetupClass::hive`]).
//!
//! `DriverPackages\<store name>`, value `Version`, 48 bytes, little-endian:
//!
//! | offset | size | name | meaning |
//! |---|---|---|---|
//! | 0 | 1 | inbox | FF came with Windows, 00 third party |
//! | 1 | 1 | | FF |
//! | 2 | 2 | architecture | `PROCESSOR_ARCHITECTURE_*` |
//! | 4 | 4 | | 0 |
//! | 8 | 16 | class | setup class GUID |
//! | 24 | 8 | date | FILETIME of DriverVer, 0 without one |
//! | 32 | 8 | version | w.x.y.z, w highest |
//! | 40 | 4 | legacy features | 0 for an INF that needs no legacy installer |
//! | 44 | 4 | | 0 |
//!
//! `DeviceIds\<id>`, value `oemN.inf`, REG_BINARY:
//!
//! | offset | size | meaning |
//! |---|---|---|
//! | 0 | 1 | 1 hardware ID of a models line, 2 compatible ID, 3 extension INF |
//! | 1 | 1 | FeatureScore |
//! | 2 | 1 | position among the compatible IDs |
//! | 3 | 1 | 0 |
//!
//! Sources: SYSTEM hives of mkorman90/regipy (619 packages), registry captures of
//! lxc/distrobuilder `windows/driver_*.go`, mewclouds/drvctl `Research/`. What is inferred is
//! said where it is decided.

use std::collections::BTreeMap;

use crate::base::{FileTime, Guid, Result, Version, WinName, name};
use crate::hive::{Hive, KeyId, Value, ValueType};
use crate::image::{HiveName, Registry, WindowsInfo};
use crate::inf::{Configuration, PackagePlan};

use super::DriverError;
use super::class::SetupClass;
use super::destination::STORE_DIRID;
use super::editor::{self, Editor};
use super::published_name::{OemInfMap, PublishedName};
use super::signature::Signature;

/// The database's key below the root of either hive.
pub(super) const ROOT: &str = "DriverDatabase";

/// The two hives with a database.
pub(super) const HIVES: [HiveName; 2] = [HiveName::System, HiveName::Drivers];

/// `DEVPROP_TYPE_STRING` in a registry type.
const DEVPROP_STRING: ValueType = ValueType(0xFFFF_0012);

/// Property of a package: the submission id of the hardware dashboard.
const SUBMISSION_PROPERTY: &str = "Properties\\{4da162c1-5eb1-4140-a444-5064c9814e76}\\0009";

/// Legacy-feature flags of an INF that the full installer must finish, and the matching
/// CONFIGFLAG_FINISH_INSTALL of its configurations. The bit is one of those seen; which action
/// sets which is not known.
const LEGACY_FEATURES: u32 = 0x8000;
pub(super) const FINISH_INSTALL: u32 = 0x400;

/// The decoded value `Version` of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PackageVersion {
    pub(super) inbox: bool,
    pub(super) arch: u16,
    pub(super) class: Guid,
    pub(super) date: FileTime,
    pub(super) version: Version,
    pub(super) legacy_features: u32,
}

impl PackageVersion {
    pub(super) const LENGTH: usize = 48;

    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::LENGTH);
        bytes.extend([if self.inbox { 0xFF } else { 0x00 }, 0xFF]);
        bytes.extend(self.arch.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(self.class.0);
        bytes.extend(self.date.0.to_le_bytes());
        bytes.extend(self.version.as_u64().to_le_bytes());
        bytes.extend(self.legacy_features.to_le_bytes());
        bytes.extend([0; 4]);
        bytes
    }

    /// Nothing when it is too short. virt-v2v and others write 48 bytes too.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        fn part<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
            bytes.get(offset..offset.checked_add(N)?)?.try_into().ok()
        }
        Some(Self {
            inbox: part::<1>(bytes, 0)? == [0xFF],
            arch: u16::from_le_bytes(part(bytes, 2)?),
            class: Guid(part(bytes, 8)?),
            date: FileTime(u64::from_le_bytes(part(bytes, 24)?)),
            version: Version::from_u64(u64::from_le_bytes(part(bytes, 32)?)),
            legacy_features: u32::from_le_bytes(part(bytes, 40)?),
        })
    }
}

/// How a device ID leads to a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Match {
    pub(super) kind: u8,
    pub(super) feature_score: u8,
    pub(super) position: u8,
}

impl Match {
    pub(super) const HARDWARE: u8 = 1;
    pub(super) const COMPATIBLE: u8 = 2;
    pub(super) const EXTENSION: u8 = 3;

    pub(super) fn to_bytes(self) -> Vec<u8> {
        vec![self.kind, self.feature_score, self.position, 0]
    }

    /// Lower is better: kind first, then position.
    fn rank(self) -> (u8, u8, u8) {
        (self.kind, self.position, self.feature_score)
    }
}

/// A device ID of a package, and the models line that is best for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DeviceId {
    /// In the INF's spelling.
    pub(super) id: String,
    pub(super) best: Match,
    /// Index into the plan's devices.
    pub(super) device: usize,
}

/// Every ID of the models lines, each once, in order of its upper-case form.
pub(super) fn device_ids(plan: &PackagePlan, extension: bool) -> Vec<DeviceId> {
    let mut ids: BTreeMap<Vec<u16>, DeviceId> = BTreeMap::new();
    for (index, device) in plan.devices.iter().enumerate() {
        let feature_score =
            plan.configurations.get(device.configuration).map_or(0xFF, |chosen| chosen.feature_score);
        let kind = |kind| if extension { Match::EXTENSION } else { kind };
        let hardware = device.hardware_id.iter().map(|id| (id, Match::HARDWARE, 0));
        let compatible = device
            .compatible_ids
            .iter()
            .enumerate()
            .map(|(position, id)| (id, Match::COMPATIBLE, u8::try_from(position).unwrap_or(u8::MAX)));
        for (id, slot, position) in hardware.chain(compatible) {
            let id = id.trim_matches('\\');
            if id.is_empty() {
                continue;
            }
            let best = Match { kind: kind(slot), feature_score, position };
            let new = DeviceId { id: id.to_owned(), best, device: index };
            ids.entry(name::upcased(&name::units(id)))
                .and_modify(|old| {
                    if new.best.rank() < old.best.rank() {
                        *old = new.clone();
                    }
                })
                .or_insert(new);
        }
    }
    ids.into_values().collect()
}

/// Whether only the full installer can finish what the INF asks for.
pub(super) fn needs_legacy_installer(configuration: &Configuration) -> bool {
    has_private_co_installer(configuration) || !configuration.legacy_actions.is_empty()
}

/// The framework's own co-installer counts as nothing.
fn has_private_co_installer(configuration: &Configuration) -> bool {
    configuration.co_installers.iter().any(|file| !file.to_ascii_lowercase().starts_with("wdfcoinstaller"))
}

/// `StatusFlags` as far as its bits are understood.
pub(super) fn status_flags(plan: &PackagePlan, windows: &WindowsInfo) -> u32 {
    const COPIED_OUT: u32 = 0x02;
    const PRIVATE_CO_INSTALLER: u32 = 0x08;
    const HAS_BINARIES: u32 = 0x10;
    const INCLUDES: u32 = 0x100;
    let any = |test: &dyn Fn(&Configuration) -> bool| plan.configurations.iter().any(test);
    let mut flags = 0;
    if any(&|chosen| chosen.copy_files.iter().any(|file| file.dirid != STORE_DIRID)) {
        flags |= COPIED_OUT;
    }
    if any(&has_private_co_installer) {
        flags |= PRIVATE_CO_INSTALLER;
    }
    if !plan.source_files.is_empty() {
        flags |= HAS_BINARIES;
    }
    if windows.version.major >= 10 && any(&|chosen| !chosen.included_infs.is_empty()) {
        flags |= INCLUDES;
    }
    flags
}

/// A package of the store, as those need it who put it to work.
#[derive(Clone, Copy)]
pub(super) struct StagedPackage<'a> {
    pub(super) store_name: &'a str,
    pub(super) published: PublishedName,
    /// The vendor's INF, case kept.
    pub(super) inf_name: &'a str,
    pub(super) class: &'a SetupClass,
    pub(super) plan: &'a PackagePlan,
}

impl StagedPackage<'_> {
    /// Whether it is put to work offline, so that its configurations are recorded too.
    pub(super) fn is_reflected(&self) -> bool {
        self.class.boot_critical && !self.class.is_extension() && !self.plan.devices.is_empty()
    }
}

/// A package as it is to be recorded.
pub(super) struct PackageRecord<'a> {
    pub(super) staged: StagedPackage<'a>,
    /// Folder it came from.
    pub(super) source_folder: &'a str,
    pub(super) signature: &'a Signature,
    /// Of INF, catalog and files together.
    pub(super) file_size: u64,
}

/// Writes the record of a package; returns what is not exact. Of a package that has a record only
/// what is missing is written, so that a sound one stays as it is.
pub(super) fn write(
    registry: &mut Registry,
    windows: &WindowsInfo,
    record: &PackageRecord<'_>,
) -> Result<Vec<String>> {
    let name = record.staged.class.hive();
    let mut exceptions = Vec::new();
    if registry.hive(name)?.is_none() {
        exceptions
            .push(format!("the image had no {name} hive: one was made, with the SYSTEM hive's permissions"));
    }
    prepare(registry, windows, name)?;
    let now = registry.now();
    let mut editor = Editor::new(registry.hive_or_create(name)?, now);
    let root = editor.key(editor.hive.root(), ROOT)?;
    write_package(&mut editor, root, windows, record)?;
    write_published(&mut editor, root, &record.staged)?;
    write_device_ids(&mut editor, root, &record.staged)?;
    let update = Value::binary("UpdateDate", now.0.to_le_bytes().to_vec());
    let changed = editor.changed;
    if changed {
        editor.set(root, &update)?;
    }
    let mut editor = Editor::new(registry.require(HiveName::System)?, now);
    let root = editor.key(editor.hive.root(), ROOT)?;
    let mut map = oem_inf_map(editor.hive)?;
    map.insert(record.staged.published);
    editor.set(root, &Value::binary("OemInfMap", map.bytes().to_vec()))?;
    if changed || editor.changed {
        editor.set(root, &update)?;
    }
    Ok(exceptions)
}

/// Takes a published name and its packages out of both databases.
pub(super) fn erase(registry: &mut Registry, published: PublishedName, store_names: &[String]) -> Result<()> {
    let now = registry.now();
    let name = published.to_string();
    let update = Value::binary("UpdateDate", now.0.to_le_bytes().to_vec());
    for hive in HIVES {
        let Some(hive) = registry.hive(hive)? else { continue };
        let Some(root) = editor::find(hive, hive.root(), ROOT)? else { continue };
        let mut editor = Editor::new(hive, now);
        let packages = store_names.iter().map(|store_name| format!("DriverPackages\\{store_name}"));
        for path in packages.chain([format!("DriverInfFiles\\{name}")]) {
            if let Some(key) = editor.find(root, &path)? {
                editor.delete_key(key)?;
            }
        }
        for (path, of) in [
            ("DeviceIds", Of::Name),
            // What the keys of DriverFiles look like is known from those only who copy them: their
            // data is the INF's name.
            ("DriverFiles", Of::NameOrText),
        ] {
            if let Some(key) = editor.find(root, path)? {
                prune(&mut editor, key, &name, of, 0)?;
            }
        }
        if editor.find(root, "DriverPackages")?.is_some() {
            let mut map = oem_inf_map(editor.hive)?;
            if map.remove(published) {
                editor.set(root, &Value::binary("OemInfMap", map.bytes().to_vec()))?;
            }
        }
        if editor.changed {
            editor.set(root, &update)?;
        }
    }
    Ok(())
}

/// Which values belong to a published INF.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    /// Those of its name.
    Name,
    /// Those of its name, and those whose text it is.
    NameOrText,
}

/// How deep keys are followed; a device id has a handful of components.
const MAX_DEPTH: usize = 64;

/// Deletes an INF's values below a key, and keys that became empty by that.
fn prune(editor: &mut Editor<'_>, key: KeyId, published: &str, of: Of, depth: usize) -> Result<bool> {
    let mut pruned = editor.delete_value(key, published)?;
    if of == Of::NameOrText {
        for value in editor.hive.values(key)? {
            if value.as_text().is_some_and(|text| text.eq_ignore_ascii_case(published)) {
                pruned |= editor.delete_value(key, &value.name.to_string())?;
            }
        }
    }
    if depth < MAX_DEPTH {
        for subkey in editor.hive.subkeys(key)? {
            if prune(editor, subkey, published, of, depth + 1)? && editor.is_empty(subkey)? {
                editor.delete_key(subkey)?;
                pruned = true;
            }
        }
    }
    Ok(pruned)
}

/// Every package that is published under a name, the active one first.
pub(super) fn published_packages(registry: &mut Registry, published: &str) -> Result<Vec<String>> {
    let mut found: Vec<String> = active_package(registry, published)?.into_iter().collect();
    for name in HIVES {
        let Some(hive) = registry.hive(name)? else { continue };
        let path = format!("{ROOT}\\DriverInfFiles\\{published}");
        let Some(key) = editor::find(hive, hive.root(), &path)? else { continue };
        found.extend(hive.value(key, &[])?.and_then(|value| value.as_multi_sz()).unwrap_or_default());
    }
    for package in packages(registry)? {
        if package.published.eq_ignore_ascii_case(published) {
            found.push(package.store_name);
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    found.retain(|store_name| seen.insert(name::upcased(&name::units(store_name))));
    Ok(found)
}

/// Root values and keys of the databases that are written to, where an image has none yet.
fn prepare(registry: &mut Registry, windows: &WindowsInfo, hive: HiveName) -> Result<()> {
    let now = registry.now();
    let mut schema = None;
    for name in HIVES.into_iter().filter(|&name| name == HiveName::System || name == hive) {
        let hive = registry.hive_or_create(name)?;
        let mut editor = Editor::new(hive, now);
        let root = editor.key(editor.hive.root(), ROOT)?;
        for key in ["DeviceIds", "DriverFiles", "DriverInfFiles", "DriverPackages"] {
            editor.key(root, key)?;
        }
        editor.set_new(root, &Value::dword("Version", database_version(windows)))?;
        editor.set_new(root, &Value::dword("Architecture", windows.arch.processor_number().into()))?;
        schema = schema.or(editor.value(root, "SchemaVersion")?);
        if let Some(schema) = &schema {
            editor.set_new(root, schema)?;
        }
    }
    Ok(())
}

/// 0x06030000 in 8.1, 0x0A000000 in 10 and 11; 8 by analogy.
fn database_version(windows: &WindowsInfo) -> u32 {
    u32::from(windows.version.major) << 24 | u32::from(windows.version.minor) << 16
}

fn write_package(
    editor: &mut Editor<'_>,
    root: KeyId,
    windows: &WindowsInfo,
    record: &PackageRecord<'_>,
) -> Result<()> {
    let key = editor.key(root, &format!("DriverPackages\\{}", record.staged.store_name))?;
    let StagedPackage { plan, class, .. } = record.staged;
    let version = PackageVersion {
        inbox: false,
        arch: windows.arch.processor_number(),
        class: class.guid,
        date: plan.version.driver_date.unwrap_or_default(),
        version: plan.version.driver_version,
        legacy_features: if plan.configurations.iter().any(needs_legacy_installer) {
            LEGACY_FEATURES
        } else {
            0
        },
    };
    let mut values = vec![
        Value::sz("", &record.staged.published.to_string()),
        Value::binary("Version", version.to_bytes()),
        Value::sz("Provider", &plan.version.provider),
        Value::sz("InfName", record.staged.inf_name),
        Value::sz("OemPath", record.source_folder),
        Value::dword("SignerScore", record.signature.score()),
        Value::binary("ImportDate", editor.now.0.to_le_bytes().to_vec()),
    ];
    if let Some(catalog) = &plan.version.catalog {
        values.push(Value::sz("Catalog", catalog));
    }
    if let Some(signer) = &record.signature.signer {
        values.push(Value::sz("SignerName", signer));
    }
    let flags = status_flags(plan, windows);
    if flags != 0 {
        values.push(Value::dword("StatusFlags", flags));
    }
    if let Some(id) = plan.version.extension_id.filter(|_| record.staged.class.is_extension()) {
        values.push(Value::binary("ExtensionId", id.0.to_vec()));
    }
    if windows.version.major >= 10 {
        values.push(Value::qword("FileSize", record.file_size));
        if let Some(floor) = os_version_floor(plan) {
            values.push(Value::dword("OsVersionFloor", floor));
        }
        if is_isolated(plan) {
            values.push(Value::dword("LockLevel", LOCK_LEVEL_ISOLATED));
        }
    }
    if windows.version.build >= FIRST_BUILD_WITH_MANIFEST_HASH {
        values.push(Value::qword("ManifestHash", u64::MAX));
    }
    for value in &values {
        // What tells of the import stays as the first import wrote it.
        let of_import = ["OemPath", "SignerScore", "SignerName", "ImportDate", "StatusFlags", "FileSize"];
        if of_import.iter().any(|name| value.name == WinName::from(*name)) {
            editor.set_new(key, value)?;
        } else {
            editor.set(key, value)?;
        }
    }
    if let Some(id) = &record.signature.submission_id {
        let property = editor.key(key, SUBMISSION_PROPERTY)?;
        editor.set(property, &Value::new("", DEVPROP_STRING, devprop_string(id)))?;
    }
    Ok(())
}

/// Windows 11; no hive of an older one shows the value.
const FIRST_BUILD_WITH_MANIFEST_HASH: u16 = 22000;
const LOCK_LEVEL_ISOLATED: u32 = 2;

/// UTF-16 with a NUL.
pub(super) fn devprop_string(text: &str) -> Vec<u8> {
    let mut units = name::units(text);
    units.push(0);
    name::units_to_le(&units)
}

/// Whether every file is used where it lies in the store. That this is what `LockLevel` 2 means
/// is inferred.
fn is_isolated(plan: &PackagePlan) -> bool {
    let mut files = plan.configurations.iter().flat_map(|chosen| &chosen.copy_files).peekable();
    files.peek().is_some() && files.all(|file| file.dirid == STORE_DIRID)
}

/// Captures have it only where the models' decoration names a build.
fn os_version_floor(plan: &PackagePlan) -> Option<u32> {
    let floor = plan.os_floor.filter(|floor| floor.build != 0)?;
    let byte = |part: u16| u32::from(part.to_le_bytes()[0]);
    Some(byte(floor.major) << 24 | byte(floor.minor) << 16 | u32::from(floor.build))
}

fn write_published(editor: &mut Editor<'_>, root: KeyId, staged: &StagedPackage<'_>) -> Result<()> {
    let key = editor.key(root, &format!("DriverInfFiles\\{}", staged.published))?;
    editor.prepend(key, "", staged.store_name)?;
    editor.set(key, &Value::sz("Active", staged.store_name))?;
    if staged.is_reflected() {
        let mut names: Vec<&str> = Vec::new();
        for configuration in &staged.plan.configurations {
            if !names.contains(&configuration.name.as_str()) {
                names.push(&configuration.name);
            }
        }
        editor.set(key, &Value::multi_sz("Configurations", &names))?;
    }
    Ok(())
}

fn write_device_ids(editor: &mut Editor<'_>, root: KeyId, staged: &StagedPackage<'_>) -> Result<()> {
    let ids = editor.key(root, "DeviceIds")?;
    let published = staged.published.to_string();
    for id in device_ids(staged.plan, staged.class.is_extension()) {
        let key = editor.key(ids, &id.id)?;
        editor.set(key, &Value::binary(&published, id.best.to_bytes()))?;
    }
    let class = editor.key(ids, &staged.class.guid.to_string())?;
    editor.set(class, &editor::empty(&published))
}

/// The bitmap of taken numbers.
pub(super) fn oem_inf_map(system: &Hive) -> Result<OemInfMap> {
    let Some(root) = editor::find(system, system.root(), ROOT)? else { return Ok(OemInfMap::default()) };
    let bytes = system.value(root, &name::units("OemInfMap"))?.map(|value| value.data);
    Ok(OemInfMap::new(bytes.unwrap_or_default()))
}

/// A value below `DeviceIds`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DeviceIdEntry {
    pub(super) hive: HiveName,
    /// As the keys spell it.
    pub(super) id: String,
    /// The value's name.
    pub(super) published: String,
    pub(super) data: Vec<u8>,
}

impl DeviceIdEntry {
    /// How the id leads to the package; nothing for the key of a setup class.
    pub(super) fn found(&self) -> Option<Match> {
        match *self.data.as_slice() {
            [kind, feature_score, position, _] => Some(Match { kind, feature_score, position }),
            _ => None,
        }
    }
}

/// Every value below `DeviceIds` of both hives.
pub(super) fn device_id_entries(registry: &mut Registry) -> Result<Vec<DeviceIdEntry>> {
    let mut entries = Vec::new();
    for name in HIVES {
        let Some(hive) = registry.hive(name)? else { continue };
        let Some(ids) = editor::find(hive, hive.root(), &format!("{ROOT}\\DeviceIds"))? else { continue };
        let mut pending = vec![(ids, String::new(), 0)];
        while let Some((key, id, depth)) = pending.pop() {
            for value in hive.values(key)? {
                let published = value.name.to_string();
                entries.push(DeviceIdEntry { hive: name, id: id.clone(), published, data: value.data });
            }
            if depth == MAX_DEPTH {
                continue;
            }
            for subkey in hive.subkeys(key)? {
                let name = hive.name(subkey)?;
                let path = if id.is_empty() { name.to_string() } else { format!("{id}\\{name}") };
                pending.push((subkey, path, depth + 1));
            }
        }
    }
    Ok(entries)
}

/// A key of `DriverInfFiles`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PublishedInf {
    pub(super) hive: HiveName,
    pub(super) name: String,
    pub(super) packages: Vec<String>,
    pub(super) active: Option<String>,
}

/// Every published INF of both hives.
pub(super) fn published_infs(registry: &mut Registry) -> Result<Vec<PublishedInf>> {
    let mut infs = Vec::new();
    for name in HIVES {
        let Some(hive) = registry.hive(name)? else { continue };
        let Some(list) = editor::find(hive, hive.root(), &format!("{ROOT}\\DriverInfFiles"))? else {
            continue;
        };
        for key in hive.subkeys(list)? {
            infs.push(PublishedInf {
                hive: name,
                name: hive.name(key)?.to_string(),
                packages: hive.value(key, &[])?.and_then(|value| value.as_multi_sz()).unwrap_or_default(),
                active: editor::text(hive, key, "Active")?,
            });
        }
    }
    Ok(infs)
}

/// Every record of both hives; one that breaks its form is an error in its place.
pub(super) fn records(registry: &mut Registry) -> Result<Vec<(HiveName, String, Result<StoredPackage>)>> {
    let mut records = Vec::new();
    for name in HIVES {
        let Some(hive) = registry.hive(name)? else { continue };
        let Some(key) = editor::find(hive, hive.root(), &format!("{ROOT}\\DriverPackages"))? else {
            continue;
        };
        for package in hive.subkeys(key)? {
            records.push((name, hive.name(package)?.to_string(), read_package(hive, name, package)));
        }
    }
    Ok(records)
}

/// What the record of a package that was put to work holds beside its values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ReflectedRecord {
    /// Names below `Configurations`.
    pub(super) configurations: Vec<String>,
    /// Ids below `Descriptors`.
    pub(super) descriptors: Vec<String>,
    /// The package says itself that it is needed to boot (seen in Windows 8.1).
    pub(super) boot_critical: bool,
}

/// Reads what a package's record holds below its key.
pub(super) fn reflected_record(
    registry: &mut Registry,
    name: HiveName,
    store_name: &str,
) -> Result<ReflectedRecord> {
    let mut record = ReflectedRecord::default();
    let Some(hive) = registry.hive(name)? else { return Ok(record) };
    let path = format!("{ROOT}\\DriverPackages\\{store_name}");
    let Some(key) = editor::find(hive, hive.root(), &path)? else { return Ok(record) };
    record.boot_critical =
        hive.value(key, &name::units("BootCritical"))?.and_then(|value| value.as_dword()).unwrap_or(0) != 0;
    if let Some(list) = editor::find(hive, key, "Configurations")? {
        for configuration in hive.subkeys(list)? {
            record.configurations.push(hive.name(configuration)?.to_string());
        }
    }
    if let Some(list) = editor::find(hive, key, "Descriptors")? {
        let mut pending = vec![(list, String::new(), 0)];
        while let Some((key, id, depth)) = pending.pop() {
            if hive.value(key, &name::units("Configuration"))?.is_some() {
                record.descriptors.push(id.clone());
            }
            if depth == MAX_DEPTH {
                continue;
            }
            for subkey in hive.subkeys(key)? {
                let name = hive.name(subkey)?;
                let path = if id.is_empty() { name.to_string() } else { format!("{id}\\{name}") };
                pending.push((subkey, path, depth + 1));
            }
        }
    }
    Ok(record)
}

/// A package that is in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredPackage {
    pub(super) store_name: String,
    pub(super) hive: HiveName,
    /// `oemN.inf`, or the in-box INF's name.
    pub(super) published: String,
    pub(super) version: PackageVersion,
    pub(super) provider: String,
    pub(super) signer_score: Option<u32>,
}

/// The package of a store name.
pub(super) fn package(registry: &mut Registry, store_name: &str) -> Result<Option<StoredPackage>> {
    for name in HIVES {
        let Some(hive) = registry.hive(name)? else { continue };
        let path = format!("{ROOT}\\DriverPackages\\{store_name}");
        if let Some(key) = editor::find(hive, hive.root(), &path)? {
            return read_package(hive, name, key).map(Some);
        }
    }
    Ok(None)
}

/// The name that a package is published under, and the hive of its record, whatever else is wrong
/// with it.
pub(super) fn published_as(registry: &mut Registry, store_name: &str) -> Result<Option<(String, HiveName)>> {
    for name in HIVES {
        let Some(hive) = registry.hive(name)? else { continue };
        let path = format!("{ROOT}\\DriverPackages\\{store_name}");
        if let Some(key) = editor::find(hive, hive.root(), &path)?
            && let Some(published) = editor::text(hive, key, "")?
        {
            return Ok(Some((published, name)));
        }
    }
    Ok(None)
}

/// Every package of both hives.
pub(super) fn packages(registry: &mut Registry) -> Result<Vec<StoredPackage>> {
    let mut packages = Vec::new();
    for name in HIVES {
        let Some(hive) = registry.hive(name)? else { continue };
        let Some(key) = editor::find(hive, hive.root(), &format!("{ROOT}\\DriverPackages"))? else {
            continue;
        };
        for package in hive.subkeys(key)? {
            packages.push(read_package(hive, name, package)?);
        }
    }
    Ok(packages)
}

fn read_package(hive: &Hive, name: HiveName, key: KeyId) -> Result<StoredPackage> {
    let store_name = hive.name(key)?.to_string();
    let bytes =
        hive.value(key, &crate::base::name::units("Version"))?.map(|value| value.data).unwrap_or_default();
    let version = PackageVersion::parse(&bytes).ok_or_else(|| DriverError::Database {
        what: format!(
            "the value Version of {store_name} has {} bytes instead of {}",
            bytes.len(),
            PackageVersion::LENGTH
        ),
    })?;
    Ok(StoredPackage {
        published: editor::text(hive, key, "")?.unwrap_or_default(),
        provider: editor::text(hive, key, "Provider")?.unwrap_or_default(),
        signer_score: hive
            .value(key, &crate::base::name::units("SignerScore"))?
            .and_then(|value| value.as_dword()),
        store_name,
        hive: name,
        version,
    })
}

/// The store name of a published INF.
pub(super) fn active_package(registry: &mut Registry, published: &str) -> Result<Option<String>> {
    for name in HIVES {
        let Some(hive) = registry.hive(name)? else { continue };
        let path = format!("{ROOT}\\DriverInfFiles\\{published}");
        let Some(key) = editor::find(hive, hive.root(), &path)? else { continue };
        if let Some(active) = editor::text(hive, key, "Active")? {
            return Ok(Some(active));
        }
        let all = hive.value(key, &[])?.and_then(|value| value.as_multi_sz());
        if let Some(first) = all.and_then(|all| all.into_iter().next()) {
            return Ok(Some(first));
        }
    }
    Ok(None)
}

/// Whether either database knows the name.
pub(super) fn is_published(registry: &mut Registry, published: PublishedName) -> Result<bool> {
    for name in HIVES {
        let Some(hive) = registry.hive(name)? else { continue };
        if editor::find(hive, hive.root(), &format!("{ROOT}\\DriverInfFiles\\{published}"))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inf::{Device, TokenText};

    #[test]
    fn version_bytes() {
        let version = PackageVersion {
            inbox: false,
            arch: 9,
            class: "{4d36e96f-e325-11ce-bfc1-08002be10318}".parse().unwrap(),
            date: FileTime(0x01D0_AD47_8C30_4000),
            version: Version::new(0x0A, 0x04B7, 0x65, 0x67),
            legacy_features: 0x8200,
        };
        // The package apfiltr.inf_amd64_2d4012c4b3408b59 of a real Windows 10.
        let expected: Vec<u8> = [
            "00ff090000000000",
            "6fe9364d25e3ce11bfc108002be10318",
            "0040308c47add001",
            "67006500b7040a00",
            "0082000000000000",
        ]
        .concat()
        .as_bytes()
        .chunks(2)
        .map(|digits| u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap())
        .collect();
        assert_eq!(version.to_bytes(), expected);
        assert_eq!(PackageVersion::parse(&expected), Some(version));
        assert_eq!(PackageVersion::parse(&expected[..40]), None);
    }

    fn plan(devices: &[(&str, &[&str], usize)], scores: &[u8]) -> PackagePlan {
        PackagePlan {
            devices: devices
                .iter()
                .map(|(hardware, compatible, configuration)| Device {
                    hardware_id: (!hardware.is_empty()).then(|| (*hardware).to_owned()),
                    compatible_ids: compatible.iter().map(|&id| id.to_owned()).collect(),
                    configuration: *configuration,
                    description: TokenText::default(),
                    manufacturer: TokenText::default(),
                })
                .collect(),
            configurations: scores
                .iter()
                .map(|&feature_score| Configuration { feature_score, ..Configuration::default() })
                .collect(),
            ..PackagePlan::default()
        }
    }

    #[test]
    fn device_id_bytes() {
        let plan = plan(
            &[
                ("PCI\\VEN_1&DEV_2", &["PCI\\VEN_1", "SERIAL_MOUSE"], 0),
                ("", &["serial_mouse"], 1),
                ("PCI\\VEN_1", &[], 1),
            ],
            &[0xFF, 0xF9],
        );
        let found: Vec<(String, Vec<u8>, usize)> =
            device_ids(&plan, false).into_iter().map(|id| (id.id, id.best.to_bytes(), id.device)).collect();
        let expected: Vec<(String, Vec<u8>, usize)> = vec![
            ("PCI\\VEN_1".into(), vec![1, 0xF9, 0, 0], 2),
            ("PCI\\VEN_1&DEV_2".into(), vec![1, 0xFF, 0, 0], 0),
            ("serial_mouse".into(), vec![2, 0xF9, 0, 0], 1),
        ];
        assert_eq!(found, expected);
        let extension: Vec<u8> = device_ids(&plan, true).into_iter().map(|id| id.best.kind).collect();
        assert_eq!(extension, [3, 3, 3]);
    }

    #[test]
    fn only_a_private_co_installer_counts() {
        let with = |files: &[&str]| Configuration {
            co_installers: files.iter().map(|&file| file.to_owned()).collect(),
            ..Configuration::default()
        };
        assert!(!needs_legacy_installer(&with(&["WdfCoInstaller01009.dll"])));
        assert!(needs_legacy_installer(&with(&["WdfCoInstaller01009.dll", "viorngci.dll"])));
        assert!(!needs_legacy_installer(&with(&[])));
    }

    #[test]
    fn floor_needs_a_build() {
        let with = |floor| os_version_floor(&PackagePlan { os_floor: floor, ..PackagePlan::default() });
        assert_eq!(with(Some(Version::new(10, 0, 16299, 0))), Some(0x0A00_3FAB));
        assert_eq!(with(Some(Version::new(6, 3, 0, 0))), None);
        assert_eq!(with(None), None);
    }
}
