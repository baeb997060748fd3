// SPDX-License-Identifier: GPL-3.0-or-later
//! The one error a tree can give: the number that the caller of the system call sees.

use std::fmt;
use std::io;

/// A Linux error number, as a tree answers it and as a system call returns it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(rustix::io::Errno);

/// What a method of a tree returns.
pub type Result<T> = std::result::Result<T, Errno>;

macro_rules! errno {
    ($($(#[$doc:meta])* $name:ident = $value:ident;)*) => {
        impl Errno {
            $($(#[$doc])* pub const $name: Errno = Errno(rustix::io::Errno::$value);)*

            /// The symbolic name, where this crate knows it.
            pub fn name(self) -> Option<&'static str> {
                match self {
                    $(Errno::$name => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

errno! {
    /// Operation not permitted.
    EPERM = PERM;
    /// No such file or directory.
    ENOENT = NOENT;
    /// Input/output error.
    EIO = IO;
    /// Argument list too long; for an extended attribute: larger than the kernel can carry.
    E2BIG = TOOBIG;
    /// Bad file descriptor.
    EBADF = BADF;
    /// Try again.
    EAGAIN = AGAIN;
    /// Out of memory.
    ENOMEM = NOMEM;
    /// Permission denied.
    EACCES = ACCESS;
    /// Device or resource busy.
    EBUSY = BUSY;
    /// File exists.
    EEXIST = EXIST;
    /// Cross-device link.
    EXDEV = XDEV;
    /// No such device.
    ENODEV = NODEV;
    /// Not a directory.
    ENOTDIR = NOTDIR;
    /// Is a directory.
    EISDIR = ISDIR;
    /// Invalid argument.
    EINVAL = INVAL;
    /// Text file busy.
    ETXTBSY = TXTBSY;
    /// File too large.
    EFBIG = FBIG;
    /// No space left on device.
    ENOSPC = NOSPC;
    /// Read-only file system.
    EROFS = ROFS;
    /// Too many links.
    EMLINK = MLINK;
    /// Result out of range; for an extended attribute: the caller's buffer is too small.
    ERANGE = RANGE;
    /// Resource deadlock avoided.
    EDEADLK = DEADLK;
    /// File name too long.
    ENAMETOOLONG = NAMETOOLONG;
    /// Function not implemented: where FUSE gives it a meaning, the kernel stops asking.
    ENOSYS = NOSYS;
    /// Directory not empty.
    ENOTEMPTY = NOTEMPTY;
    /// Too many levels of symbolic links.
    ELOOP = LOOP;
    /// No data available: there is no such extended attribute.
    ENODATA = NODATA;
    /// Value too large for defined data type.
    EOVERFLOW = OVERFLOW;
    /// Invalid byte sequence: a name that cannot be represented.
    EILSEQ = ILSEQ;
    /// Transport endpoint is not connected: the process that served the mount is gone.
    ENOTCONN = NOTCONN;
    /// Software caused connection abort: the connection of the mount was broken.
    ECONNABORTED = CONNABORTED;
    /// Operation not supported.
    EOPNOTSUPP = OPNOTSUPP;
    /// Stale file handle: the node is no longer in the tree. The kernel looks its name up once more and tries again.
    ESTALE = STALE;
    /// Disk quota exceeded.
    EDQUOT = DQUOT;
    /// Operation cancelled.
    ECANCELED = CANCELED;
}

impl Errno {
    /// The error of this number; `EIO` for a number that is none.
    pub fn from_raw(number: i32) -> Self {
        if (1..4096).contains(&number) {
            Self(rustix::io::Errno::from_raw_os_error(number))
        } else {
            Self::EIO
        }
    }

    /// The number.
    pub fn raw(self) -> i32 {
        self.0.raw_os_error()
    }

    pub(crate) fn to_fuse(self) -> fuser::Errno {
        fuser::Errno::from_i32(self.raw())
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "errno {}", self.raw()),
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&io::Error::from(*self), f)
    }
}

impl std::error::Error for Errno {}

impl From<rustix::io::Errno> for Errno {
    fn from(error: rustix::io::Errno) -> Self {
        Self(error)
    }
}

impl From<Errno> for io::Error {
    fn from(error: Errno) -> Self {
        io::Error::from_raw_os_error(error.raw())
    }
}

/// Keeps the system's number; an error without one is translated by its kind, and `EIO` if that says nothing.
impl From<io::Error> for Errno {
    fn from(error: io::Error) -> Self {
        if let Some(number) = error.raw_os_error() {
            return Self::from_raw(number);
        }
        match error.kind() {
            io::ErrorKind::NotFound => Self::ENOENT,
            io::ErrorKind::PermissionDenied => Self::EACCES,
            io::ErrorKind::AlreadyExists => Self::EEXIST,
            io::ErrorKind::InvalidInput => Self::EINVAL,
            io::ErrorKind::StorageFull => Self::ENOSPC,
            io::ErrorKind::OutOfMemory => Self::ENOMEM,
            io::ErrorKind::Unsupported => Self::EOPNOTSUPP,
            io::ErrorKind::ReadOnlyFilesystem => Self::EROFS,
            _ => Self::EIO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names() {
        assert_eq!((Errno::ENOENT.raw(), Errno::ENOENT.name()), (2, Some("ENOENT")));
        assert_eq!((Errno::ESTALE.raw(), Errno::ESTALE.name()), (116, Some("ESTALE")));
        for (number, expected) in [(2, Errno::ENOENT), (0, Errno::EIO), (-5, Errno::EIO), (4096, Errno::EIO)]
        {
            assert_eq!(Errno::from_raw(number), expected, "{number}");
        }
        assert_eq!(format!("{:?} {:?}", Errno::EROFS, Errno::from_raw(44)), "EROFS errno 44");
    }

    #[test]
    fn from_io_errors() {
        assert_eq!(Errno::from(io::Error::from_raw_os_error(28)), Errno::ENOSPC);
        assert_eq!(Errno::from(io::Error::from(io::ErrorKind::StorageFull)), Errno::ENOSPC);
        assert_eq!(Errno::from(io::Error::other("x")), Errno::EIO);
        assert_eq!(io::Error::from(Errno::ENOSPC).kind(), io::ErrorKind::StorageFull);
    }
}
