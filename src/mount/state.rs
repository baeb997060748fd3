// SPDX-License-Identifier: GPL-3.0-or-later
//! What is known about each mount, in a directory that outlives the processes.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::{BlobHash, Error, ErrorClass, Result};
use crate::io::AtomicFile;
use crate::wim::{ImageIndex, Wim};

const RECORD: &str = "mount.json";
const SERVED: &str = "served";
const LOCK: &str = "lock";
const VERSION: u32 = 1;

/// A mount, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) version: u32,
    pub(super) id: String,
    pub(super) image_file: PathBuf,
    pub(super) index: u32,
    /// SHA-1 of the image's metadata: its identity.
    pub(super) metadata: BlobHash,
    pub(super) directory: PathBuf,
    pub(super) read_write: bool,
    /// Who serves it, if somebody does.
    pub(super) pid: u32,
    /// Number of the overlay's directory.
    pub(super) generation: u64,
    /// The metadata that a commit is about to put into the header.
    pub(super) pending: Option<BlobHash>,
}

/// Whether a mount can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MountState {
    /// It is served.
    Ok,
    /// The process that served it is gone; nothing is lost.
    NeedsRemount,
    /// Its image was changed or removed behind its back: what was changed fits no image any more.
    Invalid,
}

/// What is told about a mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MountInfo {
    /// Names the mount.
    pub id: String,
    /// The image file.
    #[serde(serialize_with = "lossy_path")]
    pub image_file: PathBuf,
    /// The number of the image now.
    pub index: u32,
    /// Where it is mounted.
    #[serde(serialize_with = "lossy_path")]
    pub mount_directory: PathBuf,
    /// Whether it can be changed.
    pub read_write: bool,
    /// Whether it can be used.
    pub state: MountState,
    /// The serving process.
    pub pid: Option<u32>,
    /// What the changes take on disk.
    pub staged_bytes: u64,
}

/// A host path may hold any bytes; JSON gets what of it is text.
pub(super) fn lossy_path<S: serde::Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.display().to_string();
    move |error| Error::io(path, &error)
}

impl Record {
    pub(super) fn new(
        id: String,
        image_file: PathBuf,
        (index, metadata): (ImageIndex, BlobHash),
        directory: PathBuf,
        read_write: bool,
    ) -> Self {
        let index = index.number();
        let (pid, generation, pending) = (0, 0, None);
        Self {
            version: VERSION,
            id,
            image_file,
            index,
            metadata,
            directory,
            read_write,
            pid,
            generation,
            pending,
        }
    }

    /// Reads the record of a mount's directory.
    pub(super) fn load(directory: &Path) -> Result<Self> {
        let path = directory.join(RECORD);
        let bytes = fs::read(&path).map_err(io(&path))?;
        let record: Self = serde_json::from_slice(&bytes)
            .map_err(|error| Error::new(ErrorClass::Corrupt, format!("{}: {error}", path.display())))?;
        if record.version != VERSION {
            let message = format!("{} has version {}, not {VERSION}", path.display(), record.version);
            return Err(Error::new(ErrorClass::Unsupported, message));
        }
        Ok(record)
    }

    /// Writes the record; afterwards it is the new one, before that the old.
    pub(super) fn save(&self, directory: &Path) -> Result<()> {
        let path = directory.join(RECORD);
        let text = serde_json::to_vec_pretty(self).map_err(|error| {
            Error::new(ErrorClass::Unsupported, format!("a path of this mount is not UTF-8: {error}"))
        })?;
        let file = AtomicFile::create(&path)?;
        file.file().write_all(&text).map_err(io(&path))?;
        file.persist()
    }

    /// The directory of the present overlay.
    pub(super) fn overlay(&self, directory: &Path) -> PathBuf {
        directory.join(format!("overlay-{}", self.generation))
    }

    /// The image as the file has it now, under whichever number; nothing when it is not there any more.
    pub(super) fn find(&self, wim: &Wim) -> Result<Option<(ImageIndex, BlobHash)>> {
        let own = ImageIndex::new(self.index).filter(|index| index.number() <= wim.image_count());
        let all = || (1..=wim.image_count()).filter_map(ImageIndex::new);
        // What a commit was about to write comes first: with it there, the commit is done.
        for metadata in self.pending.into_iter().chain([self.metadata]) {
            for index in own.into_iter().chain(all()) {
                if wim.metadata_hash(index)? == metadata {
                    return Ok(Some((index, metadata)));
                }
            }
        }
        Ok(None)
    }

    /// Whether the other record is of the same file.
    pub(super) fn is_of_file(&self, file: &Path) -> bool {
        let identity = |path: &Path| fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
        self.image_file == file
            || identity(&self.image_file).is_some_and(|found| identity(file) == Some(found))
    }
}

/// The directory with all mounts of a user.
#[derive(Clone, Debug)]
pub(super) struct StateDirectory {
    root: PathBuf,
}

impl StateDirectory {
    /// Opens it, made if it is not there.
    pub(super) fn open(root: &Path) -> Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(root).map_err(io(root))?;
        Ok(Self { root: root.to_owned() })
    }

    /// Keeps others from adding or removing mounts, as long as the result lives.
    pub(super) fn lock(&self) -> Result<File> {
        let path = self.root.join(LOCK);
        let file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(io(&path))?;
        file.lock().map_err(io(&path))?;
        Ok(file)
    }

    pub(super) fn directory(&self, id: &str) -> PathBuf {
        self.root.join(id)
    }

    /// Makes the directory of a new mount.
    pub(super) fn create(&self, id: &str) -> Result<PathBuf> {
        let path = self.directory(id);
        fs::DirBuilder::new().mode(0o700).create(&path).map_err(io(&path))?;
        Ok(path)
    }

    /// The directories of all mounts, whether they can be read or not.
    pub(super) fn directories(&self) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.root).map_err(io(&self.root))? {
            let entry = entry.map_err(io(&self.root))?;
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                found.push(entry.path());
            }
        }
        found.sort();
        Ok(found)
    }

    /// All mounts whose record can be read, with their directories.
    pub(super) fn records(&self) -> Result<Vec<(PathBuf, Record)>> {
        let directories = self.directories()?;
        Ok(directories
            .into_iter()
            .filter_map(|directory| match Record::load(&directory) {
                Ok(record) => Some((directory, record)),
                Err(error) => {
                    tracing::warn!("a mount cannot be read: {error}");
                    None
                }
            })
            .collect())
    }
}

/// Held by the serving process; goes with it, however it ends.
#[derive(Debug)]
pub(super) struct Served(#[expect(dead_code, reason = "held, not read")] File);

fn open_served(directory: &Path) -> Result<File> {
    let path = directory.join(SERVED);
    File::options().create(true).truncate(false).read(true).write(true).open(&path).map_err(io(&path))
}

impl Served {
    /// Takes the place of the serving process. Those who look whether there is one hold the lock for a moment.
    pub(super) fn take(directory: &Path) -> Result<Self> {
        let file = open_served(directory)?;
        file.lock().map_err(io(directory))?;
        Ok(Self(file))
    }
}

/// Whether a process serves the mount.
pub(super) fn is_served(directory: &Path) -> bool {
    // Where there is no such file, no process has ever served it.
    let Ok(file) = File::open(directory.join(SERVED)) else { return false };
    matches!(file.try_lock_shared(), Err(fs::TryLockError::WouldBlock))
}

/// What the files of a directory take on disk.
fn allocated(directory: &Path) -> u64 {
    let files = fs::read_dir(directory).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|found| found.blocks() * 512).sum()
}

/// What is to be told about a mount.
pub(super) fn describe(directory: &Path, record: &Record) -> MountInfo {
    let served = is_served(directory);
    let found = Wim::open(&record.image_file).and_then(|wim| record.find(&wim));
    let (state, index) = match found {
        Ok(Some((index, _))) if served => (MountState::Ok, index.number()),
        Ok(Some((index, _))) => (MountState::NeedsRemount, index.number()),
        Ok(None) | Err(_) => (MountState::Invalid, record.index),
    };
    MountInfo {
        id: record.id.clone(),
        image_file: record.image_file.clone(),
        index,
        mount_directory: record.directory.clone(),
        read_write: record.read_write,
        state,
        pid: served.then_some(record.pid),
        staged_bytes: allocated(&record.overlay(directory)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let image = (ImageIndex::new(2).unwrap(), BlobHash([7; 20]));
        Record::new("abc".into(), "/w/install.wim".into(), image, "/mnt/w".into(), true)
    }

    #[test]
    fn records_are_kept() {
        let root = tempfile::tempdir().unwrap();
        let state = StateDirectory::open(&root.path().join("a/mounts")).unwrap();
        let _lock = state.lock().unwrap();
        let directory = state.create("abc").unwrap();
        assert_eq!(state.records().unwrap(), []);
        record().save(&directory).unwrap();
        assert_eq!(state.records().unwrap(), [(directory.clone(), record())]);
        assert_eq!(record().overlay(&directory), directory.join("overlay-0"));
        fs::write(directory.join(RECORD), "{").unwrap();
        assert_eq!(Record::load(&directory).unwrap_err().class(), ErrorClass::Corrupt);
        assert_eq!(state.directories().unwrap(), [directory]);
    }

    #[test]
    fn who_serves_holds_the_lock() {
        let directory = tempfile::tempdir().unwrap();
        assert!(!is_served(directory.path()));
        let served = Served::take(directory.path()).unwrap();
        assert!(is_served(directory.path()));
        drop(served);
        assert!(!is_served(directory.path()));
    }

    #[test]
    fn an_image_that_is_not_there_any_more_is_invalid() {
        let directory = tempfile::tempdir().unwrap();
        let info = describe(directory.path(), &record());
        assert_eq!((info.state, info.pid, info.staged_bytes), (MountState::Invalid, None, 0));
    }
}
