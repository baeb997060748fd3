// SPDX-License-Identifier: GPL-3.0-or-later
//! A hive file on this machine with the logs beside it.

use std::fs::{File, OpenOptions as FileOptions};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file::{Hive, OpenOptions};
use crate::base::{Context as _, Error, ErrorClass, Result, name};
use crate::io::{AtomicFile, FileReader, Pool, ReadAt, read_vec};

/// An open hive file. Editing happens in memory; [`PrimaryFile::save`] replaces the file.
#[derive(Debug)]
pub struct PrimaryFile {
    /// The hive, recovered from its logs where that was needed.
    pub hive: Hive,
    path: PathBuf,
    source: Arc<FileReader>,
    logs: Vec<PathBuf>,
}

impl PrimaryFile {
    /// Opens a hive with `X.LOG1`, `X.LOG2` and `X.LOG` (in any case) beside it.
    ///
    /// # Errors
    /// When the file is no hive, is damaged, or is dirty and no log completes it.
    pub fn open(path: &Path, ignore_dirty: bool) -> Result<Self> {
        // Through a symbolic link: what is replaced is the file, not the link to it.
        let path = path.canonicalize().map_err(|error| Error::io(path.display(), &error))?;
        let source = Arc::new(FileReader::open(&path)?);
        let logs = logs_beside(&path)?;
        let readers = logs
            .iter()
            .map(|log| FileReader::open(log).map(|reader| Arc::new(reader) as Arc<dyn ReadAt>))
            .collect::<Result<_>>()?;
        let reader: Arc<dyn ReadAt> = Arc::<FileReader>::clone(&source);
        let hive = Hive::open(reader, OpenOptions { logs: readers, ignore_dirty })
            .context(|| format!("while opening the hive {}", path.display()))?;
        Ok(Self { hive, path, source, logs })
    }

    /// Where the file lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The key that the hive's contents stand below in `.reg` files, by the name of the file.
    pub fn usual_root(&self) -> String {
        let file = self.path.file_name().unwrap_or_default().to_string_lossy();
        match file.to_ascii_uppercase().as_str() {
            "NTUSER.DAT" => "HKEY_CURRENT_USER".to_owned(),
            "USRCLASS.DAT" => "HKEY_CURRENT_USER\\Software\\Classes".to_owned(),
            "DEFAULT" => "HKEY_USERS\\.DEFAULT".to_owned(),
            "BCD" | "BCD-TEMPLATE" => "HKEY_LOCAL_MACHINE\\BCD00000000".to_owned(),
            _ => format!("HKEY_LOCAL_MACHINE\\{file}"),
        }
    }

    /// The part of a key's path below the root of this hive; nothing when the path has a root
    /// other than `root`. `CurrentControlSet` becomes the default control set, unless the hive
    /// has a key of that name.
    ///
    /// # Errors
    /// When the hive is damaged.
    pub fn below(&self, path: &[u16], root: &str) -> Result<Option<Vec<u16>>> {
        let full = full_root(path);
        let root = full_root(&name::units(root));
        let is_rooted = name::same(full.get(..5).unwrap_or_default(), &name::units("HKEY_"));
        let below = match full.get(..root.len()) {
            _ if !is_rooted => full.as_slice(),
            Some(head) if name::same(head, &root) => full.get(root.len()..).unwrap_or_default(),
            _ => return Ok(None),
        };
        let below = match below {
            [SEPARATOR, rest @ ..] => rest,
            [] => below,
            _ if is_rooted => return Ok(None),
            _ => below,
        };
        let length = below.iter().position(|&unit| unit == SEPARATOR).unwrap_or(below.len());
        let (first, rest) = below.split_at(length);
        if name::same(first, &name::units("CurrentControlSet"))
            && self.hive.subkey(self.hive.root(), first)?.is_none()
            && let Some(number) = self.default_control_set()?
        {
            let mut resolved = name::units(&format!("ControlSet{number:03}"));
            resolved.extend_from_slice(rest);
            return Ok(Some(resolved));
        }
        Ok(Some(below.to_vec()))
    }

    fn default_control_set(&self) -> Result<Option<u32>> {
        let Some(select) = self.hive.find(self.hive.root(), "Select")? else { return Ok(None) };
        for value in ["Default", "Current"] {
            let number = self.hive.value(select, &name::units(value))?.and_then(|value| value.as_dword());
            if number.is_some() {
                return Ok(number);
            }
        }
        Ok(None)
    }

    /// Writes the clean primary whole and durably in place of the old file, then empties the
    /// logs: a clean primary ignores them, so that a crash between the two does no harm. Says
    /// whether anything had to be written.
    ///
    /// # Errors
    /// When the result does not pass the checks, the file was changed meanwhile, or the system
    /// fails; the old file then still stands.
    pub fn save(&mut self, pool: &Pool) -> Result<bool> {
        let failed = |error: std::io::Error| Error::io(self.path.display(), &error);
        let source = &self.source;
        let opened = source.file().metadata().map_err(failed)?;
        // While the checks run, the new file gets to the disk under another name.
        let written = self.hive.save_whole(pool, |image| {
            let target = AtomicFile::create(&self.path)?;
            let mut file = target.file();
            file.write_all(image).map_err(failed)?;
            // What the old file has behind its bins stays.
            let behind = source.len().saturating_sub(image.len() as u64);
            file.write_all(&read_vec(source, source.len() - behind, behind)?).map_err(failed)?;
            file.set_permissions(opened.permissions()).map_err(failed)?;
            // Only root can give a file away; for others it is their own already.
            let _ = std::os::unix::fs::fchown(file, Some(opened.uid()), Some(opened.gid()));
            file.sync_all().map_err(failed)?;
            Ok(target)
        })?;
        let Some(target) = written else { return Ok(false) };
        let found = std::fs::metadata(&self.path).map_err(failed)?;
        let identity = |file: &std::fs::Metadata| (file.dev(), file.ino(), file.len());
        if identity(&opened) != identity(&found) {
            let message = format!("{} was replaced by something else meanwhile", self.path.display());
            return Err(Error::new(ErrorClass::Busy, message).with_hint("run the command again"));
        }
        target.persist()?;
        for log in &self.logs {
            let emptied = FileOptions::new().write(true).truncate(true).open(log);
            emptied.and_then(|log: File| log.sync_all()).map_err(|error| Error::io(log.display(), &error))?;
        }
        Ok(true)
    }
}

const SEPARATOR: u16 = b'\\' as u16;

/// A path with the short name of its root written out.
fn full_root(path: &[u16]) -> Vec<u16> {
    const ROOTS: [(&str, &str); 4] = [
        ("HKLM", "HKEY_LOCAL_MACHINE"),
        ("HKCU", "HKEY_CURRENT_USER"),
        ("HKU", "HKEY_USERS"),
        ("HKCR", "HKEY_CLASSES_ROOT"),
    ];
    let length = path.iter().position(|&unit| unit == SEPARATOR).unwrap_or(path.len());
    let (first, rest) = path.split_at(length);
    match ROOTS.iter().find(|(short, _)| name::same(first, &name::units(short))) {
        Some((_, long)) => [name::units(long).as_slice(), rest].concat(),
        None => path.to_vec(),
    }
}

/// The logs of a hive that are there.
fn logs_beside(path: &Path) -> Result<Vec<PathBuf>> {
    let (Some(directory), Some(file_name)) = (path.parent(), path.file_name()) else {
        return Ok(Vec::new());
    };
    let file_name = file_name.to_string_lossy();
    let wanted = [".LOG1", ".LOG2", ".LOG"].map(|suffix| name::units(&format!("{file_name}{suffix}")));
    let failed = |error: std::io::Error| Error::io(directory.display(), &error);
    let mut found: Vec<(usize, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let units = name::units(&entry.file_name().to_string_lossy());
        let order = wanted.iter().position(|wanted| name::same(wanted, &units));
        if let Some(order) = order
            && entry.path().is_file()
        {
            found.push((order, entry.path()));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}
