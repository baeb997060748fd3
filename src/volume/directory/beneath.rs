// SPDX-License-Identifier: GPL-3.0-or-later
//! Paths below one directory that never lead out of it: no symbolic link on the way is followed.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, Stat, openat, openat2, statat};
use rustix::io::Errno;

use crate::base::{Error, Result};

/// Longer paths are opened in pieces: the kernel takes at most 4095 bytes at once.
const PIECE: usize = 3500;

/// A path below the root: Linux names joined by `/`; empty for the root itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinuxPath(pub(super) Vec<u8>);

impl LinuxPath {
    /// The bytes, without a slash in front.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// This path and one more name.
    pub(super) fn join(&self, name: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(self.0.len() + 1 + name.len());
        bytes.extend(&self.0);
        if !bytes.is_empty() {
            bytes.push(b'/');
        }
        bytes.extend(name);
        Self(bytes)
    }

    /// The directory and the name in it; nothing for the root.
    pub(super) fn split(&self) -> Option<(&[u8], &[u8])> {
        if self.0.is_empty() {
            return None;
        }
        match self.0.iter().rposition(|&byte| byte == b'/') {
            Some(slash) => Some((self.0.get(..slash)?, self.0.get(slash + 1..)?)),
            None => Some((&[], &self.0)),
        }
    }

    /// How many directories stand between it and the root.
    pub fn depth(&self) -> usize {
        self.0.iter().filter(|&&byte| byte == b'/').count()
    }
}

/// The directory that everything stays below.
#[derive(Debug)]
pub(super) struct Root {
    fd: OwnedFd,
    path: PathBuf,
    /// Whether `openat2` is there; some sandboxes refuse it.
    at_once: AtomicBool,
}

impl Root {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|error| Error::io(path.display(), &error.into()))?;
        Ok(Self { fd, path: path.to_owned(), at_once: AtomicBool::new(true) })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// What a path is called in messages.
    pub(super) fn name(&self, at: &[u8]) -> String {
        if at.is_empty() {
            return self.path.display().to_string();
        }
        self.path.join(OsStr::from_bytes(at)).display().to_string()
    }

    pub(super) fn error(&self, at: &[u8], error: Errno) -> Error {
        Error::io(self.name(at), &error.into())
    }

    /// Opens what stands at a path; symbolic links are refused.
    pub(super) fn open_at(&self, at: &[u8], flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        if at.is_empty() {
            return openat(&self.fd, c".", flags, mode);
        }
        let between = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let mut here: Option<OwnedFd> = None;
        let mut rest = at;
        while rest.len() > PIECE {
            let cut = rest.get(..PIECE).and_then(|head| head.iter().rposition(|&byte| byte == b'/'));
            let Some((head, after)) = cut.and_then(|cut| Some((rest.get(..cut)?, rest.get(cut + 1..)?)))
            else {
                return Err(Errno::NAMETOOLONG);
            };
            let from = here.as_ref().unwrap_or(&self.fd).as_fd();
            here = Some(self.open_piece(from, head, between, Mode::empty())?);
            rest = after;
        }
        self.open_piece(here.as_ref().unwrap_or(&self.fd).as_fd(), rest, flags, mode)
    }

    fn open_piece(
        &self,
        from: BorrowedFd<'_>,
        at: &[u8],
        flags: OFlags,
        mode: Mode,
    ) -> Result<OwnedFd, Errno> {
        if self.at_once.load(Ordering::Relaxed) {
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
            match openat2(from, at, flags, mode, resolve) {
                Err(Errno::NOSYS) => self.at_once.store(false, Ordering::Relaxed),
                // A sandbox that does not know the call says so; a file system would say it below too.
                Err(Errno::PERM) => {}
                result => return result,
            }
        }
        let between = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let mut here: Option<OwnedFd> = None;
        let mut rest = at;
        while let Some(slash) = rest.iter().position(|&byte| byte == b'/') {
            let (head, after) =
                (rest.get(..slash).unwrap_or_default(), rest.get(slash + 1..).unwrap_or_default());
            here = Some(openat(here.as_ref().map_or(from, AsFd::as_fd), head, between, Mode::empty())?);
            rest = after;
        }
        openat(here.as_ref().map_or(from, AsFd::as_fd), rest, flags, mode)
    }

    /// The place of a path: the directory, opened, and the name in it.
    pub(super) fn spot<'a>(&self, at: &'a LinuxPath) -> Result<Spot<'a>, Errno> {
        let (directory, name) = at.split().unwrap_or((&[], b"."));
        let directory = self.open_at(directory, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
        Ok(Spot { directory, name })
    }

    /// Opens a file for reading.
    pub(super) fn read(&self, at: &[u8]) -> Result<File, Errno> {
        // A pipe in the way must not make us wait.
        self.open_at(at, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).map(File::from)
    }
}

/// A name in an opened directory.
pub(super) struct Spot<'a> {
    pub(super) directory: OwnedFd,
    pub(super) name: &'a [u8],
}

impl Spot<'_> {
    pub(super) fn stat(&self) -> Result<Stat, Errno> {
        statat(&self.directory, self.name, AtFlags::SYMLINK_NOFOLLOW)
    }
}

/// A path for those calls that take no directory and do not follow the last name.
pub(super) fn proc_path(directory: BorrowedFd<'_>, name: &[u8]) -> Vec<u8> {
    use std::os::fd::AsRawFd;
    let mut path = format!("/proc/self/fd/{}/", directory.as_raw_fd()).into_bytes();
    path.extend(name);
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_link_leads_out() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
        std::fs::write(folder.path().join("a/b/file"), "x").unwrap();
        std::os::unix::fs::symlink("/etc", folder.path().join("a/out")).unwrap();
        std::os::unix::fs::symlink("b", folder.path().join("a/in")).unwrap();
        for at_once in [true, false] {
            let root = Root::open(folder.path()).unwrap();
            root.at_once.store(at_once, Ordering::Relaxed);
            assert!(root.read(b"a/b/file").is_ok());
            for path in ["a/out/passwd", "a/in/file", "a/out"] {
                let error = root.read(path.as_bytes()).unwrap_err();
                assert!(matches!(error, Errno::LOOP | Errno::NOTDIR), "{path}: {error}");
            }
        }
    }

    #[test]
    fn paths_longer_than_the_kernel_takes() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::open(folder.path()).unwrap();
        let mut at = LinuxPath::default();
        for _ in 0..40 {
            at = at.join(&[b'd'; 200]);
            let spot = root.spot(&at).unwrap();
            rustix::fs::mkdirat(&spot.directory, spot.name, Mode::RWXU).unwrap();
        }
        assert!(at.0.len() > 8000);
        assert_eq!(at.depth(), 39);
        assert!(root.open_at(&at.0, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).is_ok());
    }
}
