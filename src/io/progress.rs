// SPDX-License-Identifier: GPL-3.0-or-later
//! What long work says while it runs: typed events, never text.

/// Which long work an event belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Task {
    /// Every blob of a WIM is read and hashed.
    Verify,
    /// New blobs are compressed and written.
    Commit,
    /// A tree is written to a new file.
    Capture,
    /// An image is written to a directory.
    Apply,
    /// Images are written to another file.
    Export,
    /// A file is written anew without its holes.
    Optimize,
    /// A file is divided into parts.
    Split,
    /// An image is mounted.
    Mount,
    /// An image is unmounted.
    Unmount,
    /// Driver packages are looked for below folders.
    SearchDrivers,
    /// Driver packages are added.
    AddDrivers,
    /// Driver packages are removed.
    RemoveDrivers,
    /// Driver packages are copied out of an image.
    ExportDrivers,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A task begins; `total` units are expected (bytes or items).
    Begin {
        /// What begins.
        task: Task,
        /// How many units it will count.
        total: u64,
    },
    /// So many units of the task are done, counted from its beginning.
    Advance {
        /// What advances.
        task: Task,
        /// Units done so far.
        done: u64,
    },
    /// The task is over.
    End {
        /// What ended.
        task: Task,
    },
    /// What follows is about this image, which is mounted.
    MountedImage {
        /// Its file.
        file: String,
        /// Its number.
        index: u32,
    },
    /// A folder is searched for driver packages.
    SearchingDrivers,
    /// So many packages will be installed.
    DriversFound {
        /// How many.
        count: usize,
    },
    /// One package was handled.
    DriverDone {
        /// Counted from 1.
        position: usize,
        /// Out of so many.
        count: usize,
        /// The INF as it was named or found.
        path: String,
        /// Why it was not installed; nothing on success.
        error: Option<String>,
    },
    /// One package was removed.
    DriverRemoved {
        /// Counted from 1.
        position: usize,
        /// Out of so many.
        count: usize,
        /// As it was named.
        name: String,
        /// Why it was not removed; nothing on success.
        error: Option<String>,
    },
    /// One package was exported.
    DriverExported {
        /// Counted from 1.
        position: usize,
        /// Out of so many.
        count: usize,
        /// Its published name.
        name: String,
        /// Why it was not exported; nothing on success.
        error: Option<String>,
    },
}

/// Receives events. Implementations must be quick: they run inside the work.
pub trait Progress: Send + Sync {
    /// Takes note of an event.
    fn event(&self, event: &Event);
}

/// Ignores every event.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn event(&self, _event: &Event) {}
}
