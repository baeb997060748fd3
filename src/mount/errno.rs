// SPDX-License-Identifier: GPL-3.0-or-later
//! Errors of the rooms below as the numbers that a system call returns.

use fuse_mount::Errno;

use crate::base::{Code, Error, ErrorClass};

/// The number for an error. The tree tells its mistakes apart by Windows' codes; everything else goes by its class.
pub(super) fn errno(error: &Error) -> Errno {
    const NOT_EMPTY: Code = Code::win32(145);
    const NOT_A_DIRECTORY: Code = Code::win32(267);
    const IS_A_DIRECTORY: Code = Code::win32(336);
    const TOO_MANY_LINKS: Code = Code::win32(1142);
    const TOO_LARGE: Code = Code::win32(223);
    match (error.class(), error.code()) {
        (ErrorClass::Usage, Code::ALREADY_EXISTS) => Errno::EEXIST,
        (ErrorClass::Usage, NOT_EMPTY) => Errno::ENOTEMPTY,
        (ErrorClass::Usage, NOT_A_DIRECTORY) => Errno::ENOTDIR,
        (ErrorClass::Usage, IS_A_DIRECTORY) => Errno::EISDIR,
        (ErrorClass::Usage, Code::ACCESS_DENIED) => Errno::EBUSY,
        (ErrorClass::Usage, _) => Errno::EINVAL,
        (ErrorClass::NotFound, _) => Errno::ENOENT,
        (ErrorClass::Unsupported, TOO_MANY_LINKS) => Errno::EMLINK,
        (ErrorClass::Unsupported, TOO_LARGE) => Errno::EFBIG,
        (ErrorClass::Unsupported | ErrorClass::NotApplicable, _) => Errno::EOPNOTSUPP,
        (ErrorClass::Space, _) => Errno::ENOSPC,
        (ErrorClass::Permission, _) => Errno::EACCES,
        (ErrorClass::Cancelled, _) => Errno::ECANCELED,
        _ => {
            tracing::error!("a request failed: {error}");
            Errno::EIO
        }
    }
}

/// As [`errno`], where a missing node is one that is gone rather than a name that is not there.
pub(super) fn stale(error: &Error) -> Errno {
    match errno(error) {
        Errno::ENOENT => Errno::ESTALE,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mistake_has_its_number() {
        for (class, code, expected) in [
            (ErrorClass::Usage, Code::ALREADY_EXISTS, Errno::EEXIST),
            (ErrorClass::Usage, Code::win32(145), Errno::ENOTEMPTY),
            (ErrorClass::Usage, Code::win32(123), Errno::EINVAL),
            (ErrorClass::NotFound, Code::FILE_NOT_FOUND, Errno::ENOENT),
            (ErrorClass::Unsupported, Code::win32(1142), Errno::EMLINK),
            (ErrorClass::Space, Code::DISK_FULL, Errno::ENOSPC),
            (ErrorClass::Corrupt, Code::FILE_CORRUPT, Errno::EIO),
        ] {
            assert_eq!(errno(&Error::new(class, "x").with_code(code)), expected, "{class:?} {code}");
        }
        assert_eq!(stale(&Error::new(ErrorClass::NotFound, "x")), Errno::ESTALE);
    }
}
