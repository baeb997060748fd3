// SPDX-License-Identifier: GPL-3.0-or-later
//! A mounted tree, from the mount to the end of the connection.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::attach::{Unmount, Way, attach, detach, open_device};
use crate::errno::Errno;
use crate::error::Error;
use crate::notify::{Notifier, Queue};
use crate::options::{Options, Users};
use crate::serve::Server;
use crate::table::{MountEntry, mount_table};
use crate::tree::Tree;

/// Closing a file is finished some time after the process has gone on (or ended): for that long "busy" is not believed.
const BUSY_GRACE: Duration = Duration::from_millis(300);

/// How long an unmounted file system may take to end before somebody else must be using it.
const END_GRACE: Duration = Duration::from_secs(10);

/// A tree that is mounted and served by threads of this process.
///
/// Dropping it unmounts; if it is in use then, lazily. It also ends by umount(8) or `fusermount3 -u` from elsewhere:
/// then [`Mount::wait`] returns.
#[derive(Debug)]
pub struct Mount {
    target: PathBuf,
    way: Way,
    /// The mount's number and device; unknown only if it was unmounted as soon as it was made.
    entry: Option<MountEntry>,
    notifier: Notifier,
    end: Arc<End>,
}

/// Whether serving has ended, and how.
#[derive(Debug, Default)]
struct End {
    result: Mutex<Option<Result<(), Error>>>,
    reached: Condvar,
}

impl End {
    fn lock(&self) -> MutexGuard<'_, Option<Result<(), Error>>> {
        self.result.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reach(&self, result: Result<(), Error>) {
        *self.lock() = Some(result);
        self.reached.notify_all();
    }

    fn wait(&self) -> Result<(), Error> {
        let mut result = self.lock();
        loop {
            if let Some(result) = &*result {
                return result.clone();
            }
            result = self.reached.wait(result).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn wait_for(&self, limit: Duration) -> Option<Result<(), Error>> {
        let result = self.lock();
        let (result, _) = self
            .reached
            .wait_timeout_while(result, limit, |result| result.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        result.clone()
    }
}

impl Mount {
    /// Mounts a tree on a directory and serves it in the background.
    ///
    /// When this returns, the mount can be used by every process, this one included (but never from within a method
    /// of the tree).
    ///
    /// # Errors
    /// [`Error::Device`], [`Error::NotAllowed`], [`Error::Target`] if it cannot be mounted; [`Error::Connection`] if
    /// the kernel's FUSE does not get on with ours.
    pub fn spawn<T: Tree>(tree: Arc<T>, target: &Path, options: Options) -> Result<Self, Error> {
        let target = target.canonicalize().map_err(|error| Error::target(target, error))?;
        let attached = attach(&target, &options)?;
        // From here on a failure must not leave a dead mount behind.
        let mut undo = DetachOnFailure { target: Some(target.clone()) };
        let entry = find(&target, &options);
        let connection = |error: io::Error| Error::Connection(error.to_string());

        let mut config = fuser::Config::default();
        config.n_threads = Some(options.threads.max(1));
        // Each thread then reads from a queue of its own; that takes opening the device once more.
        config.clone_fd = options.threads > 1 && open_device().is_ok();
        config.acl = match options.users {
            Users::Owner => fuser::SessionACL::Owner,
            Users::Everybody => fuser::SessionACL::All,
        };
        let read_ahead = options.read_ahead_kib;
        let queue = Queue::new();
        let notifier = queue.notifier();
        let server = Server::new(Arc::clone(&tree), options, notifier.clone());
        let session =
            fuser::Session::from_fd(server, attached.device, config.acl, config).map_err(connection)?;
        let worker = queue.start(session.notifier()).map_err(connection)?;
        tree.mounted(notifier.clone());
        drop(tree);

        let end = Arc::new(End::default());
        let reached = Arc::clone(&end);
        let mounted = entry.clone();
        std::thread::Builder::new()
            .name("fuse-session".to_owned())
            .spawn(move || {
                let result = match session.run() {
                    // What a thread gets that was about to take a request when the mount ended.
                    Err(error)
                        if Errno::from_raw(error.raw_os_error().unwrap_or(0)) == Errno::ECONNABORTED =>
                    {
                        Ok(())
                    }
                    other => other.map_err(connection),
                };
                if let Err(error) = &result {
                    tracing::error!(%error, "serving ended with an error");
                }
                // Normally it is gone; if serving broke down, it would answer everything with ENOTCONN for ever. Asked
                // for that, since by now something else may be mounted there under the same numbers.
                if let Some(current) = mounted.as_ref().and_then(current)
                    && is_dead(&current.mount_point)
                {
                    remove_dead(&current.mount_point);
                }
                worker.stop();
                reached.reach(result);
            })
            .map_err(connection)?;
        undo.target = None;
        if let Some(entry) = &entry {
            raise_read_ahead(entry, read_ahead);
        }
        Ok(Self { target, way: attached.way, entry, notifier, end })
    }

    /// Where it is mounted.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// How it was mounted.
    pub fn way(&self) -> Way {
        self.way
    }

    /// Its line of the mount table, as it was when it was made.
    pub fn entry(&self) -> Option<&MountEntry> {
        self.entry.as_ref()
    }

    /// Tells the kernel of changes; the same that the tree was given.
    pub fn notifier(&self) -> &Notifier {
        &self.notifier
    }

    /// Waits until it is unmounted, by whomever.
    ///
    /// # Errors
    /// [`Error::Connection`] if serving ended otherwise.
    pub fn wait(&self) -> Result<(), Error> {
        self.end.wait()
    }

    /// Whether it still serves.
    pub fn is_serving(&self) -> bool {
        self.end.lock().is_none()
    }

    /// Unmounts, and returns when everything has been written and [`Tree::unmounted`] has returned.
    ///
    /// # Errors
    /// [`Error::Busy`] or [`Error::Covered`]: nothing has changed, and it may be called again.
    /// [`Error::StillServed`]: see there.
    pub fn unmount(&self) -> Result<(), Error> {
        self.end_by(Unmount::IfUnused)?;
        match self.end.wait_for(END_GRACE) {
            Some(result) => result,
            None => Err(Error::StillServed { target: self.target.clone() }),
        }
    }

    /// Takes the mount out of its directory at once. What is open in it stays usable and is served, in the background,
    /// until the last of it is closed; [`Mount::wait`] waits for that.
    ///
    /// # Errors
    /// [`Error::Covered`]: nothing has changed.
    pub fn detach(&self) -> Result<(), Error> {
        self.end_by(Unmount::Lazily)
    }

    /// Breaks the connection: every request, also one a tree method is busy with, fails with `ENOTCONN` or
    /// `ECONNABORTED`, and the mount is taken out of its directory. The last resort if something hangs.
    ///
    /// # Errors
    /// [`Error::Target`] if the control file system of FUSE is not mounted on `/sys/fs/fuse/connections`.
    pub fn abort(&self) -> Result<(), Error> {
        if let Some(entry) = &self.entry {
            abort_connection(entry)?;
        }
        self.detach()
    }

    fn end_by(&self, how: Unmount) -> Result<(), Error> {
        let began = Instant::now();
        loop {
            if !self.is_serving() {
                return Ok(());
            }
            // Gone from the table, though perhaps still served for those who have it open.
            let Some(entry) = self.entry.as_ref().and_then(current) else { return Ok(()) };
            match leave(&entry, how) {
                Err(Error::Busy { .. }) if began.elapsed() < BUSY_GRACE => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                other => return other,
            }
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if !self.is_serving() {
            return;
        }
        let result = match self.unmount() {
            Err(Error::Busy { .. }) => {
                tracing::warn!(target_directory = %self.target.display(), "in use; detached");
                self.detach()
            }
            other => other,
        };
        if let Err(error) = result {
            tracing::error!(%error, "could not unmount");
        }
    }
}

/// Takes a mount that this process does not serve out of its directory, for example one whose process died. What is open
/// in it stays open. The mount must be the topmost one at its place.
///
/// # Errors
/// [`Error::Covered`], or [`Error::Target`] with what the system said; a mount that is gone is no error.
pub fn detach_mount(entry: &MountEntry) -> Result<(), Error> {
    match current(entry) {
        Some(entry) => leave(&entry, Unmount::Lazily),
        None => Ok(()),
    }
}

/// Unmounts a mount that this process does not serve, if nothing uses it.
///
/// # Errors
/// [`Error::Busy`], [`Error::Covered`], or [`Error::Target`] with what the system said; a mount that is gone is no
/// error.
pub fn unmount_mount(entry: &MountEntry) -> Result<(), Error> {
    match current(entry) {
        Some(entry) => leave(&entry, Unmount::IfUnused),
        None => Ok(()),
    }
}

fn leave(entry: &MountEntry, how: Unmount) -> Result<(), Error> {
    let target = &entry.mount_point;
    let table = mount_table().unwrap_or_default();
    if let Some(cover) = table.iter().find(|other| entry.is_covered_by(other)) {
        let by = cover.file_system.to_string_lossy().into_owned();
        return Err(Error::Covered { target: target.clone(), by });
    }
    match detach(target, how) {
        Ok(()) => Ok(()),
        Err(Errno::EBUSY) => Err(Error::Busy { target: target.clone() }),
        // Unmounted by somebody else in between.
        Err(Errno::EINVAL | Errno::ENOENT) => Ok(()),
        Err(error) => Err(Error::Target { target: target.clone(), error }),
    }
}

/// The mount as the table has it now: it may have been moved, or be gone. The kernel uses numbers again, so they alone
/// prove nothing.
fn current(entry: &MountEntry) -> Option<MountEntry> {
    let same = |other: &MountEntry| {
        other.id == entry.id
            && other.device == entry.device
            && other.file_system == entry.file_system
            && other.source == entry.source
    };
    mount_table().unwrap_or_default().into_iter().find(same)
}

/// The mount just made at a path: the one that nothing covers.
fn find(target: &Path, options: &Options) -> Option<MountEntry> {
    let table = mount_table().unwrap_or_default();
    table
        .iter()
        .filter(|entry| entry.mount_point == target && entry.is_fuse(&options.subtype))
        .find(|entry| !table.iter().any(|other| entry.is_covered_by(other)))
        .cloned()
}

/// Whether what is mounted at a path has lost the process that served it.
fn is_dead(target: &Path) -> bool {
    matches!(rustix::fs::statfs(target), Err(rustix::io::Errno::NOTCONN | rustix::io::Errno::CONNABORTED))
}

struct DetachOnFailure {
    target: Option<PathBuf>,
}

impl Drop for DetachOnFailure {
    fn drop(&mut self) {
        if let Some(target) = &self.target {
            remove_dead(target);
        }
    }
}

fn remove_dead(target: &Path) {
    if let Err(error) = detach(target, Unmount::Lazily) {
        tracing::error!(?error, target_directory = %target.display(), "a dead mount stays");
    }
}

fn abort_connection(entry: &MountEntry) -> Result<(), Error> {
    // The directory's name is the minor number; the major number of a FUSE mount is 0.
    let control = PathBuf::from(format!("/sys/fs/fuse/connections/{}/abort", entry.device.1));
    match fs::write(&control, "1") {
        // No such connection: it has ended.
        Err(error) if error.kind() == io::ErrorKind::NotFound && fusectl_is_mounted() => Ok(()),
        result => result.map_err(|error| Error::target(&control, error)),
    }
}

fn fusectl_is_mounted() -> bool {
    mount_table().unwrap_or_default().iter().any(|entry| entry.file_system == "fusectl")
}

/// The kernel reads 128 KiB ahead in a FUSE file unless root says otherwise for the mount.
fn raise_read_ahead(entry: &MountEntry, kib: u32) {
    let (major, minor) = entry.device;
    let file = format!("/sys/class/bdi/{major}:{minor}/read_ahead_kb");
    let present = fs::read_to_string(&file).ok().and_then(|text| text.trim().parse::<u32>().ok());
    if present.is_none_or(|present| present >= kib) {
        return;
    }
    if let Err(error) = fs::write(&file, kib.to_string()) {
        tracing::debug!(%error, file, "read-ahead stays as it is");
    }
}
