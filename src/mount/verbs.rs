// SPDX-License-Identifier: GPL-3.0-or-later
//! The verbs: what a command does about mounts, from the outside of the processes that serve them.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fuse_mount::{MountEntry, detach_mount, mount_table};

use super::MountError;
use super::control::{self, Request, Saved};
use super::serve::{Ready, SERVE};
use super::state::{MountInfo, MountState, Record, StateDirectory, describe, is_served, lossy_path};
use crate::base::{Error, ErrorClass, Result};
use crate::imaging::{self, Selection};
use crate::io::{Cancel, Event, Pool, Progress, Task};
use crate::wim::{ImageIndex, Wim};

/// The type of our mounts in the kernel's table: `fuse.transom`.
const SUBTYPE: &str = "transom";
const LOG: &str = "log";

/// What the verbs work with.
#[derive(Clone, Copy)]
pub struct Work<'a> {
    /// Workers for heavy work.
    pub pool: &'a Pool,
    /// Told what happens.
    pub progress: &'a dyn Progress,
    /// Asked between steps whether to stop.
    pub cancel: &'a Cancel,
}

/// What is to be mounted.
#[derive(Clone, Debug)]
pub struct MountRequest {
    /// The image file.
    pub image_file: PathBuf,
    /// Which image of it.
    pub image: Selection,
    /// Where.
    pub directory: PathBuf,
    /// Whether it must not be changed.
    pub read_only: bool,
    /// Whether the file is checked first.
    pub check_integrity: bool,
}

/// What mounting gave.
#[derive(Clone, Debug, serde::Serialize)]
pub struct MountReport {
    /// The mount, as it is listed.
    #[serde(flatten)]
    pub mount: MountInfo,
    /// The name of the image.
    pub name: Option<String>,
}

/// What becomes of the changes when a mount ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// They are written into the image.
    Commit,
    /// They become a new image.
    Append,
    /// They are dropped.
    Discard,
}

/// What is to be unmounted, and how.
#[derive(Clone, Debug)]
pub struct UnmountRequest {
    /// What becomes of the changes.
    pub ending: Ending,
    /// Whether to do it although somebody uses the mount.
    pub detach: bool,
    /// Whether the file is checked first.
    pub check_integrity: bool,
}

/// What a commit of a mount gave.
#[derive(Clone, Debug, serde::Serialize)]
pub struct CommittedMount {
    /// The image file.
    #[serde(serialize_with = "lossy_path")]
    pub image_file: PathBuf,
    /// The number of the image that was written.
    pub index: u32,
    /// Where it is mounted.
    #[serde(serialize_with = "lossy_path")]
    pub mount_directory: PathBuf,
    /// Data that the file did not have.
    pub new_blobs: u64,
    /// Its length.
    pub new_bytes: u64,
    /// What it takes in the file.
    pub compressed_bytes: u64,
    /// Chunks taken over in their encoded form.
    pub copied_chunks: u64,
    /// Length of the file before.
    pub file_size_before: u64,
    /// Length of the file after.
    pub file_size_after: u64,
}

/// What unmounting gave.
#[derive(Clone, Debug, serde::Serialize)]
pub struct UnmountReport {
    /// The image file.
    #[serde(serialize_with = "lossy_path")]
    pub image_file: PathBuf,
    /// The number of the image.
    pub index: u32,
    /// Where it was mounted.
    #[serde(serialize_with = "lossy_path")]
    pub mount_directory: PathBuf,
    /// What was written; nothing when the changes were dropped.
    pub committed: Option<CommittedMount>,
}

/// What cleaning up gave.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct CleanupReport {
    /// Mounts whose resources were removed, by directory (or by id where that is not known).
    pub removed: Vec<String>,
    /// What could not be removed, and why.
    pub kept: Vec<String>,
    /// The directory that was looked through.
    pub scanned: String,
}

/// Whether a way of mounting can be used.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Way {
    /// Its name.
    pub way: &'static str,
    /// Whether it can be used.
    pub usable: bool,
    /// Why.
    pub reason: String,
    /// What would make it usable.
    pub remedy: Option<String>,
}

/// Which ways of mounting this machine allows.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ProbeReport {
    /// The ways, the preferred one first.
    pub ways: Vec<Way>,
}

/// Looks which ways of mounting this machine allows, and tries those that look good.
pub fn probe() -> ProbeReport {
    let ways = fuse_mount::probe().into_iter().map(|prospect| Way {
        way: match prospect.way {
            fuse_mount::Way::Direct => "direct",
            fuse_mount::Way::Helper => "fusermount3",
            fuse_mount::Way::UserNamespace => "user_namespace",
        },
        usable: prospect.is_usable(),
        reason: prospect.reason,
        remedy: match prospect.verdict {
            fuse_mount::Verdict::Usable => None,
            fuse_mount::Verdict::Unusable { remedy } => Some(remedy),
        },
    });
    ProbeReport { ways: ways.collect() }
}

/// The mounts of a user.
pub struct Mounts {
    state: StateDirectory,
    root: PathBuf,
}

impl Mounts {
    /// Opens the directory that knows them, made if it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(directory: &Path) -> Result<Self> {
        Ok(Self { state: StateDirectory::open(directory)?, root: directory.to_owned() })
    }

    /// All mounts.
    ///
    /// # Errors
    /// When the state directory cannot be read.
    pub fn list(&self) -> Result<Vec<MountInfo>> {
        Ok(self.state.records()?.iter().map(|(directory, record)| describe(directory, record)).collect())
    }

    /// Mounts an image; when this returns, it can be used.
    ///
    /// # Errors
    /// When the image cannot be read, the directory is not empty, another mount has the image for writing, or this
    /// machine does not allow mounts.
    pub fn mount(&self, request: &MountRequest, work: &Work<'_>) -> Result<MountReport> {
        let wanted = absolute(&request.directory);
        if let Some((_, record)) =
            self.state.records()?.into_iter().find(|(_, record)| record.directory == wanted)
        {
            return Err(MountError::DirectoryTaken { directory: wanted, id: record.id }.into());
        }
        let directory = mount_directory(&request.directory)?;
        let file = request
            .image_file
            .canonicalize()
            .map_err(|error| Error::io(request.image_file.display(), &error))?;
        let wim = Wim::open_set(&file)?;
        let index = one(&wim, &request.image)?;
        if request.check_integrity {
            check(&wim, work)?;
        }
        if !request.read_only {
            check_changeable(&wim, &file)?;
        }
        work.cancel.check()?;
        work.progress.event(&Event::Begin { task: Task::Mount, total: 0 });
        let _lock = self.state.lock()?;
        self.check_free(&file, (&wim, index), &directory, !request.read_only)?;
        let id = new_id();
        let state = self.state.create(&id)?;
        let image = (index, wim.metadata_hash(index)?);
        let record = Record::new(id, file, image, directory, !request.read_only);
        let started = record.save(&state).and_then(|()| start(&state));
        if let Err(error) = started {
            if let Err(left) = fs::remove_dir_all(&state) {
                tracing::warn!("{} stays: {left}", state.display());
            }
            return Err(error);
        }
        work.progress.event(&Event::End { task: Task::Mount });
        let info = wim.images().iter().find(|info| info.index == index.number());
        let record = Record::load(&state)?;
        Ok(MountReport { mount: describe(&state, &record), name: info.and_then(|info| info.name.clone()) })
    }

    fn check_free(
        &self,
        file: &Path,
        (wim, index): (&Wim, ImageIndex),
        directory: &Path,
        read_write: bool,
    ) -> Result<()> {
        for (_, record) in self.state.records()? {
            if record.directory == directory {
                let (directory, id) = (directory.to_owned(), record.id);
                return Err(MountError::DirectoryTaken { directory, id }.into());
            }
            // Also one that waits for a remount: its changes were made to the image as it is.
            if read_write
                && record.read_write
                && record.is_of_file(file)
                && record.find(wim)?.is_some_and(|(found, _)| found == index)
            {
                let (file, index, directory) = (file.to_owned(), index.number(), record.directory);
                return Err(MountError::ImageTaken { file, index, directory }.into());
            }
        }
        Ok(())
    }

    /// Starts a new serving process for a mount whose own is gone.
    ///
    /// # Errors
    /// When it is served, or its image was changed meanwhile.
    pub fn remount(&self, name: &Path, work: &Work<'_>) -> Result<MountReport> {
        let (state, record) = self.find(name)?;
        let _lock = self.state.lock()?;
        if is_served(&state) {
            return Err(MountError::IsServed { directory: record.directory }.into());
        }
        work.progress.event(&Event::Begin { task: Task::Mount, total: 0 });
        remove_dead(&record.directory)?;
        start(&state)?;
        work.progress.event(&Event::End { task: Task::Mount });
        let record = Record::load(&state)?;
        let wim = Wim::open(&record.image_file)?;
        let info = wim.images().iter().find(|info| info.index == record.index);
        Ok(MountReport { mount: describe(&state, &record), name: info.and_then(|info| info.name.clone()) })
    }

    /// Writes what was changed in a mount into its image, or into a new one, and stays mounted.
    ///
    /// # Errors
    /// When it is not served or read-only, or the image was changed meanwhile.
    pub fn commit(
        &self,
        name: &Path,
        append: bool,
        check_integrity: bool,
        work: &Work<'_>,
    ) -> Result<CommittedMount> {
        let (state, record) = self.find(name)?;
        announce(&record, check_integrity, work)?;
        let saved = self.ask(&state, &record, &Request::Commit { append }, work)?;
        Ok(committed(&record, saved))
    }

    /// Ends a mount.
    ///
    /// # Errors
    /// When somebody uses it, or the changes cannot be written.
    pub fn unmount(&self, name: &Path, request: &UnmountRequest, work: &Work<'_>) -> Result<UnmountReport> {
        let (state, record) = self.find(name)?;
        announce(&record, request.check_integrity, work)?;
        let commit = request.ending != Ending::Discard;
        if !is_served(&state) {
            if commit {
                let info = describe(&state, &record);
                let (file, index, directory) = (record.image_file, record.index, record.directory);
                return Err(match info.state {
                    MountState::Invalid => MountError::Invalid { file, index, directory },
                    _ => MountError::NeedsRemount { directory },
                }
                .into());
            }
            work.progress.event(&Event::Begin { task: Task::Unmount, total: 0 });
            remove_dead(&record.directory)?;
            fs::remove_dir_all(&state).map_err(|error| Error::io(state.display(), &error))?;
            work.progress.event(&Event::End { task: Task::Unmount });
            return Ok(unmounted(&record, record.index, None));
        }
        if commit && !record.read_write {
            return Err(MountError::ReadOnly { directory: record.directory }.into());
        }
        let append = request.ending == Ending::Append;
        let asked = Request::Unmount { commit, append, detach: request.detach };
        let saved = self.ask(&state, &record, &asked, work)?;
        // Whoever calls may remove the directory or mount on it next, so the process is waited for.
        wait_for_end(&state);
        let index = saved.index;
        Ok(unmounted(&record, index, commit.then(|| committed(&record, saved))))
    }

    fn ask(&self, state: &Path, record: &Record, request: &Request, work: &Work<'_>) -> Result<Saved> {
        if !is_served(state) {
            return Err(MountError::NeedsRemount { directory: record.directory.clone() }.into());
        }
        control::ask(state, request, work.progress)?.map_err(|error| {
            MountError::NoAnswer { directory: record.directory.clone(), why: error.to_string() }.into()
        })
    }

    /// Removes what is left of mounts that nobody serves and nobody can serve again; `force` removes these mounts too,
    /// whatever their state.
    ///
    /// # Errors
    /// When the state directory cannot be read, or a mount of `force` does not exist.
    pub fn cleanup(&self, force: &[String]) -> Result<CleanupReport> {
        let _lock = self.state.lock()?;
        let mut report =
            CleanupReport { scanned: self.root.display().to_string(), ..CleanupReport::default() };
        let directories = self.state.directories()?;
        let is_named = |directory: &Path| {
            directory.file_name().is_some_and(|name| force.iter().any(|id| name == id.as_str()))
        };
        if let Some(missing) = force.iter().find(|id| !directories.contains(&self.state.directory(id))) {
            return Err(MountError::NoMount { name: missing.clone() }.into());
        }
        for state in &directories {
            let record = Record::load(state).ok();
            let lost = match &record {
                Some(record) => describe(state, record).state == MountState::Invalid,
                None => true,
            };
            if !is_named(state) && (is_served(state) || !lost) {
                continue;
            }
            let name = record
                .as_ref()
                .map_or_else(|| state.display().to_string(), |record| record.directory.display().to_string());
            match remove(state, record.as_ref()) {
                Ok(()) => report.removed.push(name),
                Err(error) => report.kept.push(format!("{name}: {error}")),
            }
        }
        let known = self.state.records()?;
        for entry in our_mounts() {
            let ours = known.iter().any(|(_, record)| record.directory == entry.mount_point);
            if ours || !is_dead(&entry.mount_point) {
                continue;
            }
            let name = entry.mount_point.display().to_string();
            match detach_mount(&entry) {
                Ok(()) => report.removed.push(name),
                Err(error) => report.kept.push(format!("{name}: {error}")),
            }
        }
        Ok(report)
    }

    /// The mount of a directory or an id.
    fn find(&self, name: &Path) -> Result<(PathBuf, Record)> {
        let records = self.state.records()?;
        let path = absolute(name);
        records
            .into_iter()
            .find(|(_, record)| record.directory == path || name.as_os_str() == record.id.as_str())
            .ok_or_else(|| MountError::NoMount { name: name.display().to_string() }.into())
    }
}

/// Says which image is meant, and checks its file if that is asked.
fn announce(record: &Record, check_integrity: bool, work: &Work<'_>) -> Result<()> {
    let (file, index) = (record.image_file.display().to_string(), record.index);
    work.progress.event(&Event::MountedImage { file, index });
    if check_integrity {
        check(&Wim::open_set(&record.image_file)?, work)?;
    }
    Ok(())
}

fn committed(record: &Record, saved: Saved) -> CommittedMount {
    CommittedMount {
        image_file: record.image_file.clone(),
        index: saved.index,
        mount_directory: record.directory.clone(),
        new_blobs: saved.new_blobs,
        new_bytes: saved.new_bytes,
        compressed_bytes: saved.compressed_bytes,
        copied_chunks: saved.copied_chunks,
        file_size_before: saved.file_size_before,
        file_size_after: saved.file_size_after,
    }
}

fn unmounted(record: &Record, index: u32, committed: Option<CommittedMount>) -> UnmountReport {
    UnmountReport {
        image_file: record.image_file.clone(),
        index,
        mount_directory: record.directory.clone(),
        committed,
    }
}

fn new_id() -> String {
    // Twelve digits are few enough to be typed and many enough not to meet again.
    uuid::Uuid::new_v4().simple().to_string().chars().take(12).collect()
}

/// The directory to mount on, in full.
fn mount_directory(directory: &Path) -> Result<PathBuf> {
    let wrong = |why: String| Error::from(MountError::Directory { directory: directory.to_owned(), why });
    let path = directory.canonicalize().map_err(|error| wrong(error.to_string()))?;
    let mut entries = fs::read_dir(&path).map_err(|error| wrong(error.to_string()))?;
    if entries.next().is_some() {
        return Err(wrong("it is not empty".to_owned()));
    }
    Ok(path)
}

/// A path in full; its last part may be a mount whose process is gone, of which the system tells nothing.
fn absolute(path: &Path) -> PathBuf {
    if let Ok(path) = path.canonicalize() {
        return path;
    }
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match (path.parent().map(Path::canonicalize), path.file_name()) {
        (Some(Ok(parent)), Some(name)) => parent.join(name),
        _ => path,
    }
}

fn one(wim: &Wim, selection: &Selection) -> Result<ImageIndex> {
    match selection {
        Selection::Index(index) => {
            // Fails in the words of the room when there is no such image.
            wim.metadata_hash(*index)?;
            Ok(*index)
        }
        Selection::Name(name) => imaging::find(wim, name),
        Selection::All => match (ImageIndex::new(1), wim.image_count()) {
            (Some(only), 1) => Ok(only),
            (_, count) => Err(Error::new(
                ErrorClass::Usage,
                format!("{} holds {count} images, and none was chosen", wim.path().display()),
            )
            .with_hint(format!("choose one: {}:1 or /Index:1", wim.path().display()))),
        },
    }
}

fn check(wim: &Wim, work: &Work<'_>) -> Result<()> {
    let report = wim.verify(work.pool, work.progress, work.cancel)?;
    match report.findings.first() {
        None => Ok(()),
        Some(first) => Err(Error::new(
            ErrorClass::Corrupt,
            format!("{}: {}: {}", wim.path().display(), first.what, first.message),
        )),
    }
}

/// That the changes can be written when they are to be.
fn check_changeable(wim: &Wim, file: &Path) -> Result<()> {
    let refused = |why: String| Error::from(MountError::NotWritable { why });
    wim.check_changeable().map_err(|error| refused(error.to_string()))?;
    match File::options().read(true).write(true).open(file) {
        Ok(_) => Ok(()),
        Err(error) => Err(refused(format!("{}: {error}", file.display()))),
    }
}

/// Starts the serving process of a mount and waits until it serves.
fn start(state: &Path) -> Result<()> {
    let program = std::env::current_exe().map_err(|error| Error::io("the program itself", &error))?;
    let log = state.join(LOG);
    let failed = |error: io::Error| Error::io(log.display(), &error);
    let log_file = File::options().create(true).append(true).open(&log).map_err(failed)?;
    let mut child = Command::new(&program)
        .arg(SERVE)
        .arg(state)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log_file)
        .spawn()
        .map_err(|error| Error::io(program.display(), &error))?;
    let first = child.stdout.take().map(|stdout| control::receive::<Ready>(&mut BufReader::new(stdout)));
    match first {
        Some(Ok(Some(Ready::Yes))) => Ok(()),
        Some(Ok(Some(Ready::No(failure)))) => {
            // It ends now; its parent takes note, so that it does not stay as a zombie of a longer-lived one.
            let _ = child.wait();
            Err(failure.into())
        }
        other => {
            let ended = child.wait().map(|status| status.to_string()).unwrap_or_default();
            let said = fs::read_to_string(&log).unwrap_or_default();
            let why = match other {
                Some(Err(error)) => error.to_string(),
                _ => ended,
            };
            Err(Error::new(
                ErrorClass::Internal,
                format!("the serving process did not start: {why} {}", said.trim()),
            ))
        }
    }
}

/// Waits until the serving process has ended, which it does at once.
fn wait_for_end(state: &Path) {
    const PAUSE: std::time::Duration = std::time::Duration::from_millis(5);
    for _ in 0..200 {
        if !is_served(state) {
            return;
        }
        std::thread::sleep(PAUSE);
    }
}

fn our_mounts() -> Vec<MountEntry> {
    let table = mount_table().unwrap_or_default();
    table.into_iter().filter(|entry| entry.is_fuse(SUBTYPE)).collect()
}

/// Whether what is mounted there has lost the process that served it.
fn is_dead(directory: &Path) -> bool {
    matches!(rustix::fs::statfs(directory), Err(rustix::io::Errno::NOTCONN | rustix::io::Errno::CONNABORTED))
}

/// Takes away what a serving process that is gone left in the mount table.
fn remove_dead(directory: &Path) -> Result<()> {
    for entry in our_mounts() {
        if entry.mount_point == directory && is_dead(directory) {
            detach_mount(&entry).map_err(MountError::from)?;
        }
    }
    Ok(())
}

/// Removes a mount in whatever state it is.
fn remove(state: &Path, record: Option<&Record>) -> Result<()> {
    if is_served(state)
        && let Some(record) = record
    {
        let request = Request::Unmount { commit: false, append: false, detach: true };
        if let Ok(Ok(_)) = control::ask(state, &request, &crate::io::NoProgress) {
            wait_for_end(state);
        }
        if is_served(state) {
            let directory = record.directory.clone();
            let why = format!("end process {} first", record.pid);
            return Err(MountError::NoAnswer { directory, why }.into());
        }
    }
    if let Some(record) = record {
        remove_dead(&record.directory)?;
    }
    match fs::remove_dir_all(state) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io(state.display(), &error)),
        _ => Ok(()),
    }
}
