// SPDX-License-Identifier: GPL-3.0-or-later
//! A hive file on this machine with the logs beside it.

use std::fs::{File, OpenOptions as FileOptions};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file::{Hive, OpenOptions};
use super::reg_text::full_root;
use crate::base::{Context as _, Error, ErrorClass, Result, name};
use crate::io::{AtomicFile, Cancel, FileReader, Pool, ReadAt, open_locked, read_vec};

/// An open hive file. Editing happens in memory; [`PrimaryFile::save`] replaces the file.
#[derive(Debug)]
pub struct PrimaryFile {
    /// The hive, recovered from its logs where that was needed.
    pub hive: Hive,
    path: PathBuf,
    source: Arc<FileReader>,
    logs: Vec<PathBuf>,
    /// Held from before the hive is read until its successor stands: of two processes that edit
    /// one hive, the second reads what the first wrote.
    lock: Option<File>,
}

/// What a save did.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Saved {
    /// Whether anything had to be written.
    pub written: bool,
    /// What of the old file the new one could not be given.
    pub notes: Vec<String>,
}

impl PrimaryFile {
    /// Opens a hive with `X.LOG1`, `X.LOG2` and `X.LOG` (in any case) beside it, to be read.
    ///
    /// # Errors
    /// When the file is no hive, is damaged, or is dirty and no log completes it.
    pub fn open(path: &Path, ignore_dirty: bool) -> Result<Self> {
        // Through a symbolic link: what is replaced is the file, not the link to it.
        let path = path.canonicalize().map_err(|error| Error::io(path.display(), &error))?;
        let file = File::open(&path).map_err(|error| Error::io(path.display(), &error))?;
        Self::of(file, path, ignore_dirty)
    }

    /// Opens a hive to be edited, under a lock that other edits of it wait for.
    ///
    /// # Errors
    /// As [`PrimaryFile::open`], and when the file cannot be locked or the wait was cancelled.
    pub fn open_to_edit(path: &Path, ignore_dirty: bool, cancel: &Cancel) -> Result<Self> {
        let path = path.canonicalize().map_err(|error| Error::io(path.display(), &error))?;
        let lock = open_locked(&path, FileOptions::new().read(true), cancel)?;
        let file = lock.try_clone().map_err(|error| Error::io(path.display(), &error))?;
        let mut opened = Self::of(file, path, ignore_dirty)?;
        opened.lock = Some(lock);
        Ok(opened)
    }

    fn of(file: File, path: PathBuf, ignore_dirty: bool) -> Result<Self> {
        let source = Arc::new(FileReader::new(file, &path)?);
        let logs = logs_beside(&path)?;
        let readers = logs
            .iter()
            .map(|log| FileReader::open(log).map(|reader| Arc::new(reader) as Arc<dyn ReadAt>))
            .collect::<Result<_>>()?;
        let reader: Arc<dyn ReadAt> = Arc::<FileReader>::clone(&source);
        let hive = Hive::open(reader, OpenOptions { logs: readers, ignore_dirty })
            .context(|| format!("while opening the hive {}", path.display()))?;
        Ok(Self { hive, path, source, logs, lock: None })
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
    /// logs: a clean primary ignores them, so that a crash between the two does no harm. Mode,
    /// extended attributes and, where the system allows it, the owner are those of the old file.
    ///
    /// # Errors
    /// When the result does not pass the checks, the file was changed meanwhile, or the system
    /// fails; the old file then still stands.
    pub fn save(&mut self, pool: &Pool) -> Result<Saved> {
        self.check_locked()?;
        let source = &self.source;
        // While the checks run, the new file gets to the disk under another name.
        let written = self.hive.save_whole(pool, |image| {
            // What the old file has behind its bins stays.
            let behind = source.len().saturating_sub(image.len() as u64);
            let tail = read_vec(source, source.len() - behind, behind)?;
            successor(source, &self.path, &[image, &tail])
        })?;
        match written {
            Some((target, notes)) => self.replace(target, notes),
            None => Ok(Saved::default()),
        }
    }

    /// Puts the hive rewritten from its root in place of the file, as [`PrimaryFile::save`] does.
    ///
    /// # Errors
    /// As [`PrimaryFile::save`].
    pub fn save_compacted(&mut self) -> Result<Saved> {
        self.check_locked()?;
        let bytes = self.hive.compact()?;
        let (target, notes) = successor(&self.source, &self.path, &[&bytes])?;
        self.replace(target, notes)
    }

    fn check_locked(&self) -> Result<()> {
        if self.lock.is_some() {
            return Ok(());
        }
        let message = format!("{} was opened for reading only", self.path.display());
        Err(Error::new(ErrorClass::Internal, message))
    }

    fn replace(&self, target: AtomicFile, notes: Vec<String>) -> Result<Saved> {
        let failed = |error: std::io::Error| Error::io(self.path.display(), &error);
        let opened = self.source.file().metadata().map_err(failed)?;
        let found = std::fs::metadata(&self.path).map_err(failed)?;
        let identity =
            |file: &std::fs::Metadata| (file.dev(), file.ino(), file.len(), file.mtime(), file.mtime_nsec());
        if identity(&opened) != identity(&found) {
            let message = format!("{} was replaced by something else meanwhile", self.path.display());
            return Err(Error::new(ErrorClass::Busy, message).with_hint("run the command again"));
        }
        target.persist()?;
        for log in &self.logs {
            let emptied = FileOptions::new().write(true).truncate(true).open(log);
            emptied.and_then(|log: File| log.sync_all()).map_err(|error| Error::io(log.display(), &error))?;
        }
        Ok(Saved { written: true, notes })
    }
}

/// The file that will take the place of a hive, on the disk under another name; and what of the old
/// one it could not be given.
fn successor(source: &FileReader, path: &Path, parts: &[&[u8]]) -> Result<(AtomicFile, Vec<String>)> {
    let failed = |error: std::io::Error| Error::io(path.display(), &error);
    let opened = source.file().metadata().map_err(failed)?;
    let target = AtomicFile::create(path)?;
    let mut file = target.file();
    for part in parts {
        file.write_all(part).map_err(failed)?;
    }
    let mut notes = Vec::new();
    // Before the mode, which giving a file away can take bits from.
    if std::os::unix::fs::fchown(file, Some(opened.uid()), Some(opened.gid())).is_err() {
        // A group that we belong to can be kept without the owner.
        let group = std::os::unix::fs::fchown(file, None, Some(opened.gid()));
        let made = file.metadata().map_err(failed)?;
        if made.uid() != opened.uid() || group.is_err() {
            let (user, group) = (opened.uid(), opened.gid());
            let path = path.display();
            notes.push(format!("{path} belonged to user {user} and group {group}; only root can keep that"));
        }
    }
    file.set_permissions(opened.permissions()).map_err(failed)?;
    copy_attributes(source.file(), file, path, &mut notes)?;
    file.sync_all().map_err(failed)?;
    Ok((target, notes))
}

/// Gives a file the extended attributes of another: access lists, what file systems of Windows
/// keep there (`system.ntfs_acl` and its kin), what users put there. One that this process may not
/// set is told; the security module's own is left to it.
fn copy_attributes(from: &File, to: &File, path: &Path, notes: &mut Vec<String>) -> Result<()> {
    use xattr::FileExt as _;
    let failed = |error: std::io::Error| Error::io(path.display(), &error);
    let names = match from.list_xattr() {
        Ok(names) => names,
        Err(error) if error.kind() == std::io::ErrorKind::Unsupported => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    for name in names {
        let Some(value) = from.get_xattr(&name).map_err(failed)? else { continue };
        if to.get_xattr(&name).ok().flatten().as_ref() == Some(&value) {
            continue;
        }
        if let Err(error) = to.set_xattr(&name, &value) {
            let name = name.to_string_lossy();
            match error.kind() {
                _ if name == "security.selinux" => {}
                std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::Unsupported => {
                    notes.push(format!(
                        "the extended attribute {name} of {} could not be kept",
                        path.display()
                    ));
                }
                _ => return Err(failed(error)),
            }
        }
    }
    Ok(())
}

const SEPARATOR: u16 = b'\\' as u16;

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
