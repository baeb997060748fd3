// SPDX-License-Identifier: GPL-3.0-or-later
//! The store of Vista, Windows 7 and their servers, as far as it can be written.
//!
//! Its index (`infpub.dat`, `infstor.dat`, `infstrng.dat`) has no published form and is left
//! alone. What is done instead: the folder, `oemN.inf` and `oemN.cat` are put in place, what
//! Windows keeps of parsed INFs (`INFCACHE.1`) is deleted so that it reads them again, and a
//! driver that is needed to boot gets its services, files and keys of the critical device
//! database. Where Plug and Play is to find any other package, its folder is added to
//! `DevicePath`, which setup and the device installation search.
//!
//! | Windows | folder |
//! |---|---|
//! | 6.1 | `<inf>_<arch>_neutral_<16 hex digits>` |
//! | 6.0 | `<inf>_<8 hex digits>` |
//!
//! How these digits are made is not known; ours are those of later versions. Sources: a SYSTEM
//! hive of Windows 7 in mkorman90/regipy; libguestfs virt-v2v (DevicePath).

use crate::base::{Result, Version, WinPath, name};
use crate::hive::{Value, ValueType};
use crate::image::{HiveName, Session, WindowsInfo};
use crate::inf::Inf;
use crate::volume::Volume;

use super::class::SetupClass;
use super::database::{PackageVersion, StoredPackage};
use super::editor::{self, Editor};
use super::package;
use super::published_name::PublishedName;
use super::store::Store;
use super::store_name;

/// Windows 8: the first with a DriverDatabase.
const FIRST_WITH_DATABASE: Version = Version::new(6, 2, 0, 0);
/// Vista: the first with a store.
pub(super) const FIRST_WITH_STORE: Version = Version::new(6, 0, 0, 0);

const CURRENT_VERSION: &str = "Microsoft\\Windows\\CurrentVersion";
const DEVICE_PATH: &str = "DevicePath";
const DEFAULT_DEVICE_PATH: &str = "%SystemRoot%\\inf";

/// Said of every package that is put into such a store.
pub(super) const NOT_INDEXED: &str = "staged, not indexed: the index of this Windows' driver store has no published \
     form, so its folder is made known by DevicePath, and the digits of its name are not Windows' own";

/// Whether the image has such a store.
pub(super) fn is_used(windows: &WindowsInfo) -> bool {
    windows.version < FIRST_WITH_DATABASE
}

/// The folder of a package.
pub(super) fn store_name(windows: &WindowsInfo, inf_name: &str, inf: &[u8]) -> String {
    let tag = store_name::tag(inf);
    let inf_name = inf_name.to_lowercase();
    if windows.version.major == 6 && windows.version.minor == 0 {
        format!("{inf_name}_{}", tag.get(..8).unwrap_or_default())
    } else {
        format!("{inf_name}_{}_neutral_{tag}", windows.arch)
    }
}

/// A third-party package of such a store.
pub(super) struct LegacyPackage {
    pub(super) published: PublishedName,
    /// Nothing when no folder holds its INF.
    pub(super) store_name: Option<String>,
    pub(super) inf: Vec<u8>,
}

/// Every `oemN.inf`, with the folder whose INF is the same to the byte.
pub(super) fn packages(session: &Session, windows: &WindowsInfo) -> Result<Vec<LegacyPackage>> {
    let overlay = session.overlay();
    let store = Store::new(overlay, &windows.directory);
    let mut infs: Vec<(PublishedName, Vec<u8>)> = Vec::new();
    if let Some(folder) = store.resolve(&store.inf_folder())? {
        for entry in overlay.entries(folder)? {
            if let Some(published) = PublishedName::parse(&entry.name.to_string())
                && let Some(inf) = store.read(&store.inf_folder().join(entry.name))?
            {
                infs.push((published, inf));
            }
        }
    }
    infs.sort_by_key(|(published, _)| *published);
    let mut found: Vec<LegacyPackage> =
        infs.into_iter().map(|(published, inf)| LegacyPackage { published, store_name: None, inf }).collect();
    let Some(repository) = store.resolve(&store.repository())? else { return Ok(found) };
    for entry in overlay.entries(repository)? {
        if found.iter().all(|package| package.store_name.is_some()) {
            break;
        }
        let folder = entry.name.to_string();
        let path = store.package(&folder).join(inf_of(&folder));
        let Some(length) = store.length(&path)? else { continue };
        for package in found.iter_mut().filter(|it| it.store_name.is_none() && it.inf.len() as u64 == length)
        {
            if store.compare(&path, &package.inf)? == Some(true) {
                package.store_name = Some(folder.clone());
            }
        }
    }
    Ok(found)
}

/// The INF's name that a folder's name begins with.
pub(super) fn inf_of(folder: &str) -> &str {
    let lower = folder.to_ascii_lowercase();
    match lower.rfind(".inf_") {
        Some(at) => folder.get(..at + ".inf".len()).unwrap_or(folder),
        None => folder,
    }
}

/// The folders of a published name.
pub(super) fn packages_of(
    session: &Session,
    windows: &WindowsInfo,
    published: PublishedName,
) -> Result<Vec<String>> {
    let found = packages(session, windows)?.into_iter().find(|package| package.published == published);
    Ok(found.and_then(|package| package.store_name).into_iter().collect())
}

/// The packages in the form that the databases of later versions give them.
pub(super) fn stored_packages(session: &mut Session, windows: &WindowsInfo) -> Result<Vec<StoredPackage>> {
    let mut stored = Vec::new();
    for found in packages(session, windows)? {
        let Ok(inf) = Inf::parse(&found.inf) else { continue };
        let Ok(version) = inf.version(&package::target(windows)) else { continue };
        let class = SetupClass::of(session.registry(), &version)?.map(|class| class.guid);
        stored.push(StoredPackage {
            store_name: found.store_name.unwrap_or_default(),
            hive: HiveName::System,
            published: found.published.to_string(),
            version: PackageVersion {
                inbox: false,
                arch: windows.arch.processor_number(),
                class: class.unwrap_or_default(),
                date: version.driver_date.unwrap_or_default(),
                version: version.driver_version,
                legacy_features: 0,
            },
            provider: version.provider,
            signer_score: None,
        });
    }
    Ok(stored)
}

/// The package that holds an INF already.
pub(super) fn known(
    session: &Session,
    windows: &WindowsInfo,
    store_name: &str,
) -> Result<Option<PublishedName>> {
    let same = |package: &LegacyPackage| {
        package.store_name.as_deref().is_some_and(|found| found.eq_ignore_ascii_case(store_name))
    };
    Ok(packages(session, windows)?.iter().find(|package| same(package)).map(|package| package.published))
}

/// Makes a staged package known: no stale cache of INFs, and its folder in `DevicePath`.
pub(super) fn announce(session: &mut Session, windows: &WindowsInfo, store_name: &str) -> Result<()> {
    forget_caches(session, windows)?;
    let folder = device_path(store_name);
    change_device_path(session, |paths| {
        if !paths.iter().any(|path| path.eq_ignore_ascii_case(&folder)) {
            paths.push(folder.clone());
        }
    })
}

/// Takes packages out of what [`announce`] wrote.
pub(super) fn forget(session: &mut Session, windows: &WindowsInfo, store_names: &[String]) -> Result<()> {
    forget_caches(session, windows)?;
    let folders: Vec<String> = store_names.iter().map(|store_name| device_path(store_name)).collect();
    change_device_path(session, |paths| {
        paths.retain(|path| !folders.iter().any(|folder| folder.eq_ignore_ascii_case(path)));
    })
}

fn device_path(store_name: &str) -> String {
    format!("%SystemRoot%\\System32\\DriverStore\\FileRepository\\{store_name}")
}

fn change_device_path(session: &mut Session, change: impl Fn(&mut Vec<String>)) -> Result<()> {
    let registry = session.registry();
    let now = registry.now();
    let mut editor = Editor::new(registry.require(HiveName::Software)?, now);
    let key = editor.key(editor.hive.root(), CURRENT_VERSION)?;
    let old = editor::text(editor.hive, key, DEVICE_PATH)?.unwrap_or_else(|| DEFAULT_DEVICE_PATH.to_owned());
    let mut paths: Vec<String> = old.split(';').map(str::to_owned).collect();
    change(&mut paths);
    let new = paths.join(";");
    if new == old {
        return Ok(());
    }
    editor.set(key, &Value { kind: ValueType::EXPAND_SZ, ..Value::expand_sz(DEVICE_PATH, &new) })
}

fn forget_caches(session: &Session, windows: &WindowsInfo) -> Result<()> {
    let overlay = session.overlay();
    let store = Store::new(overlay, &windows.directory);
    let driver_store: Option<WinPath> = store.repository().parent();
    for folder in driver_store.into_iter().chain([store.inf_folder()]) {
        let Some(folder) = store.resolve(&folder)? else { continue };
        if let Some(entry) = overlay.lookup(folder, &name::units("INFCACHE.1"))? {
            overlay.remove(folder, entry.name.units())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Arch;
    use crate::drivers::destination::tests::windows;

    #[test]
    fn names() {
        let with = |minor| WindowsInfo { version: Version::new(6, minor, 7601, 0), ..windows(Arch::Ia64) };
        assert_eq!(store_name(&with(1), "A.INF", b"A"), "a.inf_ia64_neutral_4100000000000000");
        assert_eq!(store_name(&with(0), "A.INF", b"A"), "a.inf_41000000");
        assert_eq!(inf_of("my_net.inf_x86_neutral_41"), "my_net.inf");
        assert_eq!(inf_of("a.inf_41000000"), "a.inf");
        assert_eq!(inf_of("odd"), "odd");
        assert!(is_used(&with(1)));
        assert!(!is_used(&windows(Arch::Amd64)));
    }
}
