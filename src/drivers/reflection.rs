// SPDX-License-Identifier: GPL-3.0-or-later
//! Files of a package that is put to work offline: copied to where its services look for them,
//! and listed below `PnpLockdownFiles`.
//!
//! One key per file, named by its path with `/` after the literal `%SystemRoot%`: `Class` 4 with
//! PnpLockdown=1 and 5 without, `Owners`, `Source` in the store. Files of the framework's own
//! co-installer are not listed: no capture shows one, though templates copy it. Source: captures
//! of lxc/distrobuilder `windows/driver_*.go`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::{Result, Version, WinPath, name};
use crate::hive::Value;
use crate::image::{HiveName, Registry, Session, WindowsInfo};
use crate::inf::{CopyFile, PackagePlan};
use crate::io::ReadAt;
use crate::pe;

use super::database::StagedPackage;
use super::destination::{self, STORE_DIRID};
use super::editor::{self, Editor};
use super::published_name::PublishedName;
use super::service::ServiceWriter;
use super::source::{self, PackageFile};
use super::store::{Placed, Store};
use super::{configuration, critical_device, legacy_store};

const COPYFLG_NOVERSIONCHECK: u32 = 0x4;
const COPYFLG_NO_OVERWRITE: u32 = 0x10;
const COPYFLG_OVERWRITE_OLDER_ONLY: u32 = 0x40;
const COPYFLG_REPLACEONLY: u32 = 0x400;
const LOCKDOWN: &str = "Microsoft\\Windows\\CurrentVersion\\Setup\\PnpLockdownFiles";
const CLASS_LOCKED: u32 = 4;
const CLASS_UNLOCKED: u32 = 5;

/// Puts a boot-critical package to work; `files` are those of the package.
pub(super) fn reflect(
    session: &mut Session,
    windows: &WindowsInfo,
    staged: &StagedPackage<'_>,
    files: &[PackageFile],
) -> Result<Vec<String>> {
    let (placements, mut exceptions) = placements(staged.inf_name, staged.plan, windows)?;
    let store = Store::new(session.overlay(), &windows.directory);
    exceptions.extend(copy(&store, &placements, files)?);
    let registry = session.registry();
    if legacy_store::is_used(windows) {
        critical_device::write(registry, staged)?;
    } else {
        exceptions.extend(lock_down(registry, &placements, staged)?);
        exceptions.extend(configuration::write(registry, windows, staged)?);
    }
    let services = ServiceWriter { windows, published: staged.published, store_name: staged.store_name };
    exceptions.extend(services.write(registry, &staged.plan.configurations)?);
    Ok(exceptions)
}

/// A file to copy out of the store.
#[derive(Clone, Debug)]
pub(super) struct Placement {
    /// In the image.
    pub(super) path: WinPath,
    /// The directory of its dirid, which stays when the file goes.
    pub(super) directory: WinPath,
    /// Name of its key below `PnpLockdownFiles`; nothing for places that have no known spelling.
    pub(super) key: Option<String>,
    /// In the package.
    pub(super) source: String,
    flags: u32,
}

/// Where the files of all configurations go; what has no place offline is returned in words.
pub(super) fn placements(
    inf: &str,
    plan: &PackagePlan,
    windows: &WindowsInfo,
) -> Result<(Vec<Placement>, Vec<String>)> {
    let mut placements: BTreeMap<Vec<u16>, Placement> = BTreeMap::new();
    let mut exceptions = Vec::new();
    let files = plan.configurations.iter().flat_map(|configuration| &configuration.copy_files);
    for file in files.filter(|file| file.dirid != STORE_DIRID) {
        match placement(inf, file, windows)? {
            Some(placement) => {
                let key = name::upcased(&name::units(&placement.path.to_string()));
                placements.entry(key).or_insert(placement);
            }
            None => {
                let what = format!(
                    "{} goes to directory {}, whose place is not known offline: not copied",
                    file.target, file.dirid
                );
                if !exceptions.contains(&what) {
                    exceptions.push(what);
                }
            }
        }
    }
    Ok((placements.into_values().collect(), exceptions))
}

fn placement(inf: &str, file: &CopyFile, windows: &WindowsInfo) -> Result<Option<Placement>> {
    let Some(directory) = destination::directory(file.dirid, windows) else { return Ok(None) };
    let below = source::relative_path(inf, &format!("{}\\{}", file.subdir, file.target))?;
    let key = directory.below_windows.map(|windows| {
        let parts: Vec<String> =
            windows.join_path(&below).components().iter().map(ToString::to_string).collect();
        format!("%SystemRoot%/{}", parts.join("/"))
    });
    Ok(Some(Placement {
        path: directory.path.join_path(&below),
        directory: directory.path,
        key,
        source: file.source.clone(),
        flags: file.flags,
    }))
}

/// Copies the files; returns what is not exact.
pub(super) fn copy(
    store: &Store<'_>,
    placements: &[Placement],
    files: &[PackageFile],
) -> Result<Vec<String>> {
    let mut exceptions = Vec::new();
    for placement in placements {
        let Some(data) = data_of(files, &placement.source) else { continue };
        let exists = store.resolve(&placement.path)?;
        let skipped = (exists.is_some() && placement.flags & COPYFLG_NO_OVERWRITE != 0)
            || (exists.is_none() && placement.flags & COPYFLG_REPLACEONLY != 0);
        if skipped {
            continue;
        }
        let there = exists.map(|node| store.file_version(node)).transpose()?.flatten();
        let ours = pe::file_version(&**data)?;
        if let (Some(there), Some(ours)) = (there, ours)
            && is_older(ours, there, placement.flags)
        {
            exceptions.push(format!(
                "{} stays: the version there, {there}, is newer than this package's, {ours}",
                placement.path
            ));
            continue;
        }
        if store.put(&placement.path, data)? == Placed::Replaced && (there.is_none() || ours.is_none()) {
            exceptions
                .push(format!("{} was there and is replaced: the versions are not known", placement.path));
        }
    }
    Ok(exceptions)
}

/// Whether a file must not take the place of another. Equal versions are replaced, unless the INF
/// wants a newer one only.
fn is_older(ours: Version, there: Version, flags: u32) -> bool {
    if flags & COPYFLG_NOVERSIONCHECK != 0 {
        return false;
    }
    let (ours, there) = (ours.as_u64(), there.as_u64());
    ours < there || (ours == there && flags & COPYFLG_OVERWRITE_OLDER_ONLY != 0)
}

fn data_of<'a>(files: &'a [PackageFile], source: &str) -> Option<&'a Arc<dyn ReadAt>> {
    let wanted = WinPath::parse(source)?.to_string();
    let same =
        |file: &&PackageFile| name::same(&name::units(&file.relative.to_string()), &name::units(&wanted));
    files.iter().find(same).map(|file| &file.data)
}

/// The folder of a package as `Source` spells it.
fn store_folder(store_name: &str) -> String {
    format!("%SystemRoot%\\System32\\DriverStore\\FileRepository\\{store_name}")
}

/// Who else owns the files that an INF owned, once it is taken out.
#[derive(Debug, Default)]
pub(super) struct Released {
    /// Keys of files that nobody owns any more.
    pub(super) unowned: Vec<String>,
    /// Keys of files that others own, with the owners.
    pub(super) shared: Vec<(String, Vec<String>)>,
}

/// Takes an INF out of the owners of every file below `PnpLockdownFiles`.
pub(super) fn release(registry: &mut Registry, published: PublishedName) -> Result<Released> {
    let now = registry.now();
    let mut released = Released::default();
    let Some(hive) = registry.hive(HiveName::Software)? else { return Ok(released) };
    let mut editor = Editor::new(hive, now);
    let Some(list) = editor.find(editor.hive.root(), LOCKDOWN)? else { return Ok(released) };
    for key in editor.hive.subkeys(list)? {
        let Some(left) = editor.remove_owner(key, published)? else { continue };
        let name = editor.hive.name(key)?.to_string();
        if left.is_empty() {
            editor.delete_key(key)?;
            released.unowned.push(name);
        } else {
            released.shared.push((name, left));
        }
    }
    if editor.changed && editor.is_empty(list)? {
        editor.delete_key(list)?;
    }
    Ok(released)
}

/// Every file that `PnpLockdownFiles` lists: key, owners, source.
pub(super) fn listed(registry: &mut Registry) -> Result<Vec<(String, Vec<String>, String)>> {
    let Some(hive) = registry.hive(HiveName::Software)? else { return Ok(Vec::new()) };
    let Some(list) = editor::find(hive, hive.root(), LOCKDOWN)? else { return Ok(Vec::new()) };
    let mut files = Vec::new();
    for key in hive.subkeys(list)? {
        let owners = hive.value(key, &name::units("Owners"))?.and_then(|value| value.as_multi_sz());
        let source = editor::text(hive, key, "Source")?.unwrap_or_default();
        files.push((hive.name(key)?.to_string(), owners.unwrap_or_default(), source));
    }
    Ok(files)
}

/// Whether the framework's co-installer is meant, which is not listed.
pub(super) fn is_framework(placement: &Placement) -> bool {
    let name = placement.path.file_name().map(|name| name.to_string().to_ascii_lowercase());
    name.is_some_and(|name| name.starts_with("wdfcoinstaller"))
}

/// Lists the files below `PnpLockdownFiles`; returns what is not exact.
pub(super) fn lock_down(
    registry: &mut Registry,
    placements: &[Placement],
    staged: &StagedPackage<'_>,
) -> Result<Vec<String>> {
    let mut exceptions = Vec::new();
    let now = registry.now();
    let mut editor = Editor::new(registry.require(HiveName::Software)?, now);
    for placement in placements {
        if is_framework(placement) {
            continue;
        }
        let Some(name) = &placement.key else {
            exceptions.push(format!(
                "{} is outside the Windows directory: not listed in PnpLockdownFiles",
                placement.path
            ));
            continue;
        };
        let list = editor.key(editor.hive.root(), LOCKDOWN)?;
        let key = editor.key(list, name)?;
        editor.set(
            key,
            &Value::dword(
                "Class",
                if staged.plan.version.pnp_lockdown { CLASS_LOCKED } else { CLASS_UNLOCKED },
            ),
        )?;
        editor.prepend(key, "Owners", &staged.published.to_string())?;
        let source = format!("{}\\{}", store_folder(staged.store_name), placement.source);
        editor.set(key, &Value::expand_sz("Source", &source))?;
    }
    Ok(exceptions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Arch;
    use crate::drivers::destination::tests::windows;
    use crate::inf::Configuration;

    #[test]
    fn places_and_keys() {
        let windows = WindowsInfo { directory: WinPath::root().join("WINDOWS"), ..windows(Arch::Amd64) };
        let file = |dirid, subdir: &str, target: &str, source: &str| CopyFile {
            dirid,
            subdir: subdir.into(),
            target: target.into(),
            source: source.into(),
            flags: 0,
        };
        let plan = PackagePlan {
            configurations: vec![Configuration {
                copy_files: vec![
                    file(12, "", "x.sys", "amd64\\x.sys"),
                    file(12, "", "X.SYS", "amd64\\x.sys"),
                    file(16425, "sub", "y.dll", "y_x86.dll"),
                    file(10, "", "z.ini", "z.ini"),
                    file(13, "", "in_store.sys", "in_store.sys"),
                    file(66000, "", "p.dll", "p.dll"),
                    file(16422, "V", "v.exe", "v.exe"),
                ],
                ..Configuration::default()
            }],
            ..PackagePlan::default()
        };
        let (placements, exceptions) = placements("a.inf", &plan, &windows).unwrap();
        let found: Vec<(String, Option<&str>, &str)> = placements
            .iter()
            .map(|place| (place.path.to_string(), place.key.as_deref(), place.source.as_str()))
            .collect();
        let expected: Vec<(String, Option<&str>, &str)> = vec![
            ("Program Files\\V\\v.exe".into(), None, "v.exe"),
            (
                "WINDOWS\\System32\\drivers\\x.sys".into(),
                Some("%SystemRoot%/System32/drivers/x.sys"),
                "amd64\\x.sys",
            ),
            ("WINDOWS\\SysWOW64\\sub\\y.dll".into(), Some("%SystemRoot%/SysWOW64/sub/y.dll"), "y_x86.dll"),
            ("WINDOWS\\z.ini".into(), Some("%SystemRoot%/z.ini"), "z.ini"),
        ];
        assert_eq!(found, expected);
        assert_eq!(
            exceptions,
            ["p.dll goes to directory 66000, whose place is not known offline: not copied"]
        );
    }

    #[test]
    fn versions_decide() {
        let version = |build| Version::new(1, 0, build, 0);
        let cases = [
            (1, 2, 0, true),
            (2, 1, 0, false),
            (2, 2, 0, false),
            (2, 2, COPYFLG_OVERWRITE_OLDER_ONLY, true),
            (1, 2, COPYFLG_NOVERSIONCHECK, false),
        ];
        for (ours, there, flags, expected) in cases {
            assert_eq!(is_older(version(ours), version(there), flags), expected, "{ours} {there} {flags:#x}");
        }
    }

    #[test]
    fn a_target_cannot_leave_its_directory() {
        let windows = windows(Arch::Amd64);
        let file =
            CopyFile { dirid: 12, subdir: "..\\config".into(), target: "SAM".into(), ..CopyFile::default() };
        assert!(placement("a.inf", &file, &windows).is_err());
    }
}
