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

use crate::base::{Result, WinPath, name};
use crate::hive::Value;
use crate::image::{HiveName, Registry, WindowsInfo};
use crate::inf::{CopyFile, PackagePlan};
use crate::io::ReadAt;

use super::destination::{self, STORE_DIRID};
use super::editor::Editor;
use super::published_name::PublishedName;
use super::source;
use super::source::PackageFile;
use super::store::{Placed, Store};

const COPYFLG_NO_OVERWRITE: u32 = 0x10;
const COPYFLG_REPLACEONLY: u32 = 0x400;
const LOCKDOWN: &str = "Microsoft\\Windows\\CurrentVersion\\Setup\\PnpLockdownFiles";
const CLASS_LOCKED: u32 = 4;
const CLASS_UNLOCKED: u32 = 5;

/// A file to copy out of the store.
pub(super) struct Placement {
    /// In the image.
    pub(super) path: WinPath,
    /// Name of its key below `PnpLockdownFiles`; nothing for places that have no known spelling.
    key: Option<String>,
    source: String,
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
        let exists = store.resolve(&placement.path)?.is_some();
        let skipped = (exists && placement.flags & COPYFLG_NO_OVERWRITE != 0)
            || (!exists && placement.flags & COPYFLG_REPLACEONLY != 0);
        if !skipped && store.put(&placement.path, data)? == Placed::Replaced {
            exceptions
                .push(format!("{} was there and is replaced without comparing versions", placement.path));
        }
    }
    Ok(exceptions)
}

fn data_of<'a>(files: &'a [PackageFile], source: &str) -> Option<&'a Arc<dyn ReadAt>> {
    let wanted = WinPath::parse(source)?.to_string();
    let same =
        |file: &&PackageFile| name::same(&name::units(&file.relative.to_string()), &name::units(&wanted));
    files.iter().find(same).map(|file| &file.data)
}

/// Lists the files below `PnpLockdownFiles`; returns what is not exact.
pub(super) fn lock_down(
    registry: &mut Registry,
    placements: &[Placement],
    published: PublishedName,
    store_name: &str,
    locked: bool,
) -> Result<Vec<String>> {
    let mut exceptions = Vec::new();
    let now = registry.now();
    let mut editor = Editor { hive: registry.require(HiveName::Software)?, now };
    for placement in placements {
        let is_framework = placement
            .path
            .file_name()
            .is_some_and(|name| name.to_string().to_ascii_lowercase().starts_with("wdfcoinstaller"));
        if is_framework {
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
        editor.set(key, &Value::dword("Class", if locked { CLASS_LOCKED } else { CLASS_UNLOCKED }))?;
        editor.prepend(key, "Owners", &published.to_string())?;
        let source = format!(
            "%SystemRoot%\\System32\\DriverStore\\FileRepository\\{store_name}\\{}",
            placement.source
        );
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
    fn a_target_cannot_leave_its_directory() {
        let windows = windows(Arch::Amd64);
        let file =
            CopyFile { dirid: 12, subdir: "..\\config".into(), target: "SAM".into(), ..CopyFile::default() };
        assert!(placement("a.inf", &file, &windows).is_err());
    }
}
