// SPDX-License-Identifier: GPL-3.0-or-later
//! What can go wrong with a mount as a whole; what goes wrong with a file is an [`Errno`].

use std::io;
use std::path::{Path, PathBuf};

use crate::attach::Way;
use crate::errno::Errno;

/// A mount could not be made, or not be ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The FUSE device is missing or may not be opened.
    #[error("/dev/fuse: {error}")]
    Device {
        /// What opening it gave.
        error: Errno,
    },
    /// This way of mounting is not open to this process; [`probe`](crate::probe) says what to do.
    #[error("mounting is not allowed: {reason}")]
    NotAllowed {
        /// The way that was tried last.
        way: Way,
        /// What stood against it.
        reason: String,
    },
    /// The directory cannot be mounted on. `ENOTCONN`: a mount whose process died is still there.
    #[error("{}: {error}", target.display())]
    Target {
        /// The directory.
        target: PathBuf,
        /// What the system said.
        error: Errno,
    },
    /// The kernel and this program did not come to terms about the connection.
    #[error("the connection to the kernel failed: {0}")]
    Connection(String),
    /// Files of the mount are open, or processes stand in it; [`holders`](crate::holders) names them.
    #[error("{} is in use", target.display())]
    Busy {
        /// Where it is mounted.
        target: PathBuf,
    },
    /// Something else is mounted on top, and must be unmounted first.
    #[error("{} is mounted over by {by}", target.display())]
    Covered {
        /// Where it is mounted.
        target: PathBuf,
        /// The type of what is mounted over it.
        by: String,
    },
    /// It is unmounted here, but processes or other mount namespaces still use it, and it is served until they stop.
    #[error("{} is unmounted but still used elsewhere", target.display())]
    StillServed {
        /// Where it was mounted.
        target: PathBuf,
    },
}

impl Error {
    pub(crate) fn target(target: &Path, error: io::Error) -> Self {
        Self::Target { target: target.to_owned(), error: error.into() }
    }
}
