// SPDX-License-Identifier: GPL-3.0-or-later
//! Images as folders: the process that serves a mount, and the verbs that talk to it.
//!
//! A mount is a directory of the state directory ([`Mounts`]) that outlives the process which serves it:
//!
//! | file | meaning |
//! |---|---|
//! | `mount.json` | which image is mounted where ([`state`]) |
//! | `served` | locked exclusively by the serving process as long as it lives |
//! | `control` | the socket on which it takes requests ([`control`]) |
//! | `overlay-N` | journal and data of what was changed since the N-th commit |
//! | `log` | what the serving process had to say |
//!
//! A serving process ([`serve`]) may be killed at any time: every change is in the journal before it is acknowledged,
//! and `remount` starts another process over the same directory. The tree that it serves is [`tree`].

mod control;
mod errno;
mod error;
mod links;
mod names;
mod numbers;
mod serve;
mod state;
mod tree;
mod verbs;
mod xattr;

pub use error::MountError;
pub use serve::{SERVE, serve};
pub use state::{MountInfo, MountState};
pub use verbs::{
    CleanupReport, CommittedMount, Ending, MountReport, MountRequest, Mounts, ProbeReport, UnmountReport,
    UnmountRequest, Way, Work, probe,
};
