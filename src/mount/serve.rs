// SPDX-License-Identifier: GPL-3.0-or-later
//! The process that serves one mount.
//!
//! It is started by the verbs, tells on its standard output in one line that the mount is ready or why it is not, and
//! then takes requests on its socket until the mount ends: by a request, by umount(8) from elsewhere, or by a signal.
//! However it ends, the state directory tells what is left to do.

use std::io::{self, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use fuse_mount::{Access, Mount, Options, Places, Spellings};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::MountError;
use super::control::{self, Answer, Failure, Relay, Request, Saved};
use super::state::{Record, Served};
use super::tree::{ImageTree, Setting, Staged};
use crate::base::{Error, ErrorClass, FileTime, Result};
use crate::io::{Cancel, Clock, Event, Pool, Progress, Scratch, Task};
use crate::volume::{Overlay, Volume, WimVolume};
use crate::wim::{
    CacheOptions, CommitOptions, CommitReport, ImageEdit, ImageIndex, ImageText, Transaction, Wim,
};

/// The word that makes the program a serving process; the directory of the mount follows it.
pub const SERVE: &str = "--serve-mount";

/// Decoded chunks that are kept in memory.
const CACHE: u64 = 64 << 20;

/// The first line on standard output.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ready {
    Yes,
    No(Failure),
}

/// The time of the system.
struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> FileTime {
        SystemTime::now().into()
    }
}

/// Why the process ends.
enum End {
    /// A request was carried out.
    Asked,
    /// Somebody unmounted it without asking.
    Unmounted,
}

/// Serves the mount of a state directory; returns when it has ended. `clock` says the time where it is not to be the
/// system's.
pub fn serve(directory: &Path, clock: Option<Arc<dyn Clock>>) -> bool {
    // A process of its own: what happens to the terminal is no concern of the mount. Fails where it is one already.
    let _ = rustix::process::setsid();
    let clock = clock.unwrap_or_else(|| Arc::new(SystemClock));
    let (ready, server) = match Server::start(directory, clock) {
        Ok(server) => (Ready::Yes, Some(server)),
        Err(error) => (Ready::No(Failure::from(&error)), None),
    };
    let told = control::send(io::stdout().lock(), &ready).and_then(|()| io::stdout().flush());
    let Some(server) = server else { return false };
    if let Err(error) = told {
        tracing::error!("nobody waits for this mount: {error}");
    }
    // The directory that it was started from must not be held.
    let _ = std::env::set_current_dir("/");
    server.run()
}

struct Server {
    directory: PathBuf,
    served: Served,
    mount: Arc<Mount>,
    listener: UnixListener,
    shared: Arc<Shared>,
}

/// What requests work on.
struct Shared {
    directory: PathBuf,
    record: Mutex<Record>,
    tree: Arc<ImageTree>,
    wim: Mutex<Wim>,
    clock: Arc<dyn Clock>,
    pool: Pool,
    ending: AtomicBool,
}

fn open_wim(record: &Record, directory: &Path) -> Result<Wim> {
    let cache = CacheOptions { bytes: CACHE, scratch: Some(directory.to_owned()) };
    if record.read_write {
        Wim::open_with(&record.image_file, &cache)
    } else {
        Wim::open_set_with(&record.image_file, &cache)
    }
}

impl Server {
    fn start(directory: &Path, clock: Arc<dyn Clock>) -> Result<Self> {
        let served = Served::take(directory)?;
        let mut record = Record::load(directory)?;
        let wim = open_wim(&record, directory)?;
        let Some((index, metadata)) = record.find(&wim)? else {
            let (file, index) = (record.image_file, record.index);
            return Err(MountError::Invalid { file, index, directory: record.directory }.into());
        };
        if record.pending == Some(metadata) {
            // The commit was done, and what it wrote is the image now.
            record.generation += 1;
        }
        (record.index, record.metadata, record.pending) = (index.number(), metadata, None);
        record.pid = std::process::id();
        let image = wim.image(index)?;
        for warning in image.warnings() {
            tracing::warn!("{warning}");
        }
        let staged = stage(&record, directory, Arc::new(WimVolume(image)), Arc::clone(&clock))?;
        remove_other_overlays(directory, &record);
        let setting = Setting {
            target: record.directory.clone(),
            writable: record.read_write,
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
        };
        let tree = Arc::new(ImageTree::new(staged, setting));
        let access = if record.read_write { Access::ReadWrite } else { Access::ReadOnly };
        let source = format!("{}:{}", record.image_file.display(), record.index);
        let mut options = Options::new(source, "transom", access);
        options.spellings = Spellings::Many;
        options.places = Places::PerListing;
        options.stateless_open = !record.read_write;
        let listener = control::listen(directory).map_err(|error| Error::io(directory.display(), &error))?;
        let pool = Pool::new(0)?;
        record.save(directory)?;
        let mount = Mount::spawn(Arc::clone(&tree), &record.directory, options).map_err(MountError::from)?;
        let shared = Shared {
            directory: directory.to_owned(),
            record: Mutex::new(record),
            tree,
            wim: Mutex::new(wim),
            clock,
            pool,
            ending: AtomicBool::new(false),
        };
        Ok(Self {
            directory: directory.to_owned(),
            served,
            mount: Arc::new(mount),
            listener,
            shared: Arc::new(shared),
        })
    }

    fn run(self) -> bool {
        let Self { directory, served, mount, listener, shared } = self;
        // The lock is to go with the process, not before.
        std::mem::forget(served);
        let (ended, end) = channel();
        on_signals(&mount);
        let (waiting, watched, to_end) = (Arc::clone(&mount), Arc::clone(&shared), ended.clone());
        let watcher = std::thread::Builder::new().name("watch".to_owned()).spawn(move || {
            if let Err(error) = waiting.wait() {
                tracing::error!("{error}");
            }
            if !watched.ending.load(Ordering::Acquire) {
                // Fails only when the process is ending.
                let _ = to_end.send(End::Unmounted);
            }
        });
        let (mounted, asked) = (Arc::clone(&mount), Arc::clone(&shared));
        let control = std::thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || listen(&listener, &asked, &mounted, &ended));
        if let Err(error) = watcher.and(control) {
            tracing::error!("a thread cannot be started: {error}");
            return false;
        }
        let why = end.recv();
        if let Ok(End::Unmounted) = why {
            let staged = shared.tree.staged();
            let changed = staged.overlay.is_changed();
            tracing::info!("unmounted from outside; changes are {}", if changed { "kept" } else { "none" });
            if !changed {
                remove(&directory);
            } else if let Err(error) = staged.overlay.sync() {
                tracing::error!("{error}");
            }
        }
        true
    }
}

/// A signal takes the mount out of its directory and ends the process; what was changed waits for a remount.
fn on_signals(mount: &Arc<Mount>) {
    let mount = Arc::clone(mount);
    // Without a handler the process ends where it is, which loses nothing either.
    if let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP]) {
        let waiting = std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            if signals.forever().next().is_some() {
                if let Err(error) = mount.detach() {
                    tracing::error!("{error}");
                }
                std::process::exit(0);
            }
        });
        drop(waiting);
    }
}

/// The overlay of a mount: its journal is replayed where there is one.
fn stage(
    record: &Record,
    directory: &Path,
    base: Arc<dyn Volume>,
    clock: Arc<dyn Clock>,
) -> Result<Arc<Staged>> {
    let path = record.overlay(directory);
    match std::fs::create_dir(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(Error::io(path.display(), &error));
        }
        _ => {}
    }
    let replayed = Overlay::replay(Arc::clone(&base), Scratch::at(&path), Arc::clone(&clock));
    let overlay = match replayed {
        // Killed before the first change, perhaps within the header.
        Err(error) if error.class() == ErrorClass::NotFound => {
            let journal = path.join("journal");
            match std::fs::remove_file(&journal) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::io(journal.display(), &error));
                }
                _ => {}
            }
            Overlay::new(base, Scratch::at(&path), clock)?
        }
        other => other?,
    };
    Ok(Arc::new(Staged { overlay, directory: path, discard: AtomicBool::new(false) }))
}

/// What an earlier process left of overlays that were committed.
fn remove_other_overlays(directory: &Path, record: &Record) {
    let present = record.overlay(directory);
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path != present && entry.file_name().as_encoded_bytes().starts_with(b"overlay-") {
            remove(&path);
        }
    }
}

fn remove(directory: &Path) {
    if let Err(error) = std::fs::remove_dir_all(directory) {
        tracing::warn!("{} stays: {error}", directory.display());
    }
}

fn listen(listener: &UnixListener, shared: &Shared, mount: &Mount, ended: &Sender<End>) {
    // One request after another: each needs the whole mount.
    for stream in listener.incoming() {
        let handled = stream.and_then(|stream| {
            let request = control::receive::<Request>(&mut BufReader::new(stream.try_clone()?))?;
            let Some(request) = request else { return Ok(false) };
            Ok(answer(shared, mount, &request, stream))
        });
        match handled {
            Ok(false) => {}
            Ok(true) => {
                // Fails only when the process is ending already.
                let _ = ended.send(End::Asked);
                return;
            }
            Err(error) => tracing::warn!("a request was not understood: {error}"),
        }
    }
}

/// Carries out a request; true when the mount has ended by it.
fn answer(shared: &Shared, mount: &Mount, request: &Request, stream: UnixStream) -> bool {
    let relay = Relay(Mutex::new(stream));
    let ends = matches!(request, Request::Unmount { .. });
    let result = match request {
        Request::Commit { append } => shared.commit(*append, &relay),
        Request::Unmount { commit, append, detach } => {
            shared.ending.store(true, Ordering::Release);
            let unmounted = shared.unmount(mount, commit.then_some(*append), *detach, &relay);
            if unmounted.is_err() {
                shared.ending.store(false, Ordering::Release);
            }
            unmounted
        }
    };
    let ended = ends && result.is_ok();
    let answer = match result {
        Ok(saved) => Answer::Done(saved),
        Err(error) => {
            tracing::error!("{error}");
            Answer::Failed(Failure::from(&error))
        }
    };
    let stream = relay.0.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Err(error) = control::send(&stream, &answer) {
        tracing::warn!("who asked has gone: {error}");
    }
    ended
}

impl Shared {
    fn record(&self) -> Record {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, record: Record) -> Result<()> {
        record.save(&self.directory)?;
        *self.record.lock().unwrap_or_else(PoisonError::into_inner) = record;
        Ok(())
    }

    /// Writes what was changed into the image file, and goes on over what is there then.
    fn commit(&self, append: bool, progress: &dyn Progress) -> Result<Saved> {
        let record = self.record();
        if !record.read_write {
            return Err(MountError::ReadOnly { directory: record.directory }.into());
        }
        let _alone = self.tree.alone();
        let staged = self.tree.staged();
        let wim = self.wim.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let unchanged = || Saved { index: record.index, ..Saved::default() };
        if !staged.overlay.is_changed() && !append {
            // The bar of a commit that has nothing to do.
            progress.event(&Event::Begin { task: Task::Commit, total: 0 });
            progress.event(&Event::End { task: Task::Commit });
            return Ok(unchanged());
        }
        let index = ImageIndex::new(record.index)
            .ok_or_else(|| Error::new(ErrorClass::Internal, "a mount of image 0"))?;
        let edit = ImageEdit {
            metadata: record.metadata,
            tree: staged.overlay.tree_edit()?,
            modified: self.clock.now(),
        };
        let mut transaction = Transaction::new(&record.image_file);
        let edited = !edit.tree.is_empty();
        match (append, edited) {
            (true, true) => transaction.append_image(index, edit, new_name(&record)?),
            (true, false) => {
                transaction.add_image(&Wim::open(&record.image_file)?, index, new_name(&record)?)
            }
            (false, _) => transaction.edit_image(index, edit),
        }
        let (directory, noted) = (self.directory.clone(), record.clone());
        let prepared = Arc::new(Mutex::new(None));
        let told = Arc::clone(&prepared);
        transaction.on_prepared(move |hashes| {
            let pending = hashes.first().copied();
            *told.lock().unwrap_or_else(PoisonError::into_inner) = pending;
            Record { pending, ..noted.clone() }.save(&directory)
        });
        let cancel = Cancel::default();
        let options = CommitOptions { pool: &self.pool, progress, cancel: &cancel };
        let report = match transaction.commit(&options) {
            Ok(report) => report,
            Err(error) => {
                // Nothing was written, so nothing is pending.
                self.keep(record)?;
                return Err(error);
            }
        };
        drop(wim);
        let Some(metadata) = *prepared.lock().unwrap_or_else(PoisonError::into_inner) else {
            // The same tree is served on, under another number if a copy of it was appended.
            let index = if append { Wim::open(&record.image_file)?.image_count() } else { record.index };
            self.keep(Record { index, ..record })?;
            return Ok(saved(&report, index));
        };
        let wim = open_wim(&record, &self.directory)?;
        let mut next = Record { metadata, pending: None, ..record };
        next.index = report.images.last().copied().unwrap_or(next.index);
        let (index, _) = next.find(&wim)?.ok_or_else(|| {
            let (file, index) = (next.image_file.clone(), next.index);
            Error::from(MountError::Invalid { file, index, directory: next.directory.clone() })
        })?;
        next.index = index.number();
        next.generation += 1;
        let base = Arc::new(WimVolume(wim.image(index)?));
        let fresh = stage(&next, &self.directory, base, Arc::clone(&self.clock))?;
        self.tree.exchange(fresh)?;
        let saved = saved(&report, next.index);
        self.keep(next)?;
        // The data goes when the last file that is open without a name is closed.
        staged.discard.store(true, Ordering::Release);
        *self.wim.lock().unwrap_or_else(PoisonError::into_inner) = wim;
        Ok(saved)
    }

    /// Ends the mount, and with it what is kept about it. `commit`: write the changes before, as a new image or not.
    fn unmount(
        &self,
        mount: &Mount,
        commit: Option<bool>,
        detach: bool,
        progress: &dyn Progress,
    ) -> Result<Saved> {
        let record = self.record();
        if !detach {
            in_use(mount, &record)?;
        }
        let saved = match commit {
            Some(append) => {
                if detach {
                    // What comes now from those who still use it would not be in the image.
                    mount.detach().map_err(MountError::from)?;
                }
                self.commit(append, progress)?
            }
            None => Saved { index: record.index, ..Saved::default() },
        };
        progress.event(&Event::Begin { task: Task::Unmount, total: 0 });
        let ended = if detach { mount.detach() } else { mount.unmount() };
        if let Err(error) = ended {
            let mut error = match error {
                fuse_mount::Error::Busy { .. } => {
                    in_use(mount, &record).err().unwrap_or_else(|| MountError::from(error).into())
                }
                other => MountError::from(other).into(),
            };
            if commit.is_some() {
                error = error.with_context("the changes are saved in the image");
            }
            return Err(error);
        }
        remove(&self.directory);
        progress.event(&Event::End { task: Task::Unmount });
        Ok(saved)
    }
}

/// Fails, naming them, when processes use the mount. Closing a file is over a moment after the process has gone on.
fn in_use(mount: &Mount, record: &Record) -> Result<()> {
    const PAUSE: std::time::Duration = std::time::Duration::from_millis(50);
    let Some(entry) = mount.entry() else { return Ok(()) };
    let mut holders = Vec::new();
    for _ in 0..4 {
        holders = fuse_mount::holders(entry).unwrap_or_default();
        holders.retain(|holder| holder.pid != std::process::id());
        if holders.is_empty() {
            return Ok(());
        }
        std::thread::sleep(PAUSE);
    }
    let names: Vec<String> = holders
        .iter()
        .map(|holder| format!("{} (process {}, {})", holder.command, holder.pid, holder.path.display()))
        .collect();
    Err(MountError::Busy { directory: record.directory.clone(), holders: names.join(", ") }.into())
}

fn saved(report: &CommitReport, index: u32) -> Saved {
    Saved {
        index,
        new_blobs: report.new_blobs,
        new_bytes: report.new_bytes,
        compressed_bytes: report.compressed_bytes,
        copied_chunks: report.copied_chunks,
        file_size_before: report.file_size_before,
        file_size_after: report.file_size_after,
    }
}

/// The name of an image that is appended: that of the old one with a number that makes it new.
fn new_name(record: &Record) -> Result<ImageText> {
    let wim = Wim::open(&record.image_file)?;
    let names: Vec<&str> = wim.images().iter().filter_map(|image| image.name.as_deref()).collect();
    let own = wim.images().iter().find(|image| image.index == record.index);
    let base = own.and_then(|image| image.name.as_deref()).unwrap_or("Image");
    let name = (2_u32..)
        .map(|number| format!("{base} ({number})"))
        .find(|name| !names.iter().any(|other| other.eq_ignore_ascii_case(name)));
    Ok(ImageText { name, ..ImageText::default() })
}
