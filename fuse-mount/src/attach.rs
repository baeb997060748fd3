// SPDX-License-Identifier: GPL-3.0-or-later
//! Making and ending mounts: by mount(2) where that is allowed, else through the setuid helper `fusermount3`.
//!
//! fuser could do this itself, but its unmounting takes a connection that has ended for a live one, and unmounts
//! whatever is at the path by then; and a mount that is busy is lost to it. So it is handed a connection made here.

use std::ffi::{CString, OsString};
use std::fs::OpenOptions;
use std::io::{self, IoSliceMut, Read as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::mount::{MountFlags, UnmountFlags};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};

use crate::errno::Errno;
use crate::error::Error;
use crate::options::{Options, Users};

/// The FUSE device.
pub(crate) const DEVICE: &str = "/dev/fuse";

/// How a mount is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// mount(2) by this process: root, or root of its own user namespace.
    Direct,
    /// The setuid program `fusermount3`, for everybody else.
    Helper,
    /// mount(2) after entering a user and mount namespace: `unshare -Urm`. Only processes of that namespace see it.
    UserNamespace,
}

/// A connection to the kernel with a mount at its other end.
pub(crate) struct Attached {
    pub(crate) device: OwnedFd,
    pub(crate) way: Way,
}

/// Mounts. `target` is canonical.
pub(crate) fn attach(target: &Path, options: &Options) -> Result<Attached, Error> {
    let direct = if may_mount() {
        match attach_directly(target, options) {
            Ok(device) => return Ok(Attached { device, way: Way::Direct }),
            Err(error) => error,
        }
    } else {
        Error::NotAllowed { way: Way::Direct, reason: "this process may not mount (no CAP_SYS_ADMIN)".into() }
    };
    // Only what another way may cure goes on to it.
    if !matches!(direct, Error::NotAllowed { .. }) || rustix::process::geteuid().is_root() {
        return Err(direct);
    }
    let device = attach_through_helper(target, options)?;
    Ok(Attached { device, way: Way::Helper })
}

/// Whether this process has CAP_SYS_ADMIN (bit 21, capabilities(7)) in its user namespace.
pub(crate) fn may_mount() -> bool {
    const CAP_SYS_ADMIN: u32 = 21;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    effective_capabilities(&status).is_some_and(|set| set >> CAP_SYS_ADMIN & 1 == 1)
}

fn effective_capabilities(status: &str) -> Option<u64> {
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(set.trim(), 16).ok()
}

/// Opens the FUSE device as this process.
pub(crate) fn open_device() -> io::Result<OwnedFd> {
    OpenOptions::new().read(true).write(true).open(DEVICE).map(OwnedFd::from)
}

pub(crate) fn attach_directly(target: &Path, options: &Options) -> Result<OwnedFd, Error> {
    let device = open_device().map_err(|error| Error::Device { error: error.into() })?;
    let metadata = std::fs::metadata(target).map_err(|error| Error::target(target, error))?;
    let mut data = format!(
        "fd={},rootmode={:o},user_id={},group_id={}",
        device.as_raw_fd(),
        metadata.mode() & 0o170_000,
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    if options.check_permissions {
        data.push_str(",default_permissions");
    }
    if options.users == Users::Everybody {
        data.push_str(",allow_other");
    }
    let data = CString::new(data).map_err(|_| Error::target(target, Errno::EINVAL.into()))?;
    let mut flags = MountFlags::NOSUID | MountFlags::NODEV;
    if !options.writable() {
        flags |= MountFlags::RDONLY;
    }
    let kind = format!("fuse.{}", options.subtype);
    match rustix::mount::mount(options.source.as_str(), target, kind.as_str(), flags, Some(data.as_c_str())) {
        Ok(()) => Ok(device),
        Err(error @ (rustix::io::Errno::PERM | rustix::io::Errno::ACCESS)) => {
            let reason = format!("mount(2) on {}: {error}", target.display());
            Err(Error::NotAllowed { way: Way::Direct, reason })
        }
        Err(rustix::io::Errno::NODEV) => Err(Error::Device { error: Errno::ENODEV }),
        Err(error) => Err(Error::target(target, error.into())),
    }
}

/// Where `fusermount3` (or, older, `fusermount`) is. `FUSERMOUNT_PATH` overrides, as for every FUSE program.
pub(crate) fn find_helper() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("FUSERMOUNT_PATH") {
        return Some(path.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories: Vec<PathBuf> = std::env::split_paths(&path)
        .chain(["/usr/bin", "/bin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .collect();
    ["fusermount3", "fusermount"]
        .into_iter()
        .flat_map(|name| directories.iter().map(move |directory| directory.join(name)))
        .find(|path| path.is_file())
}

/// Values of the helper's options are separated by commas, which a backslash protects.
fn helper_options(options: &Options) -> String {
    let escaped = |value: &str| value.replace('\\', "\\\\").replace(',', "\\,");
    let mut list = format!(
        "{},nosuid,nodev,fsname={},subtype={}",
        if options.writable() { "rw" } else { "ro" },
        escaped(&options.source),
        escaped(&options.subtype)
    );
    if options.check_permissions {
        list.push_str(",default_permissions");
    }
    if options.users == Users::Everybody {
        list.push_str(",allow_other");
    }
    list
}

pub(crate) fn attach_through_helper(target: &Path, options: &Options) -> Result<OwnedFd, Error> {
    let refused = |reason: String| Error::NotAllowed { way: Way::Helper, reason };
    let helper = find_helper().ok_or_else(|| refused("fusermount3 is not installed".into()))?;
    let failed = |error: io::Error| refused(format!("{}: {error}", helper.display()));
    let (ours, theirs) = UnixStream::pair().map_err(failed)?;
    // The helper sends the connection over the socket whose number it finds in the environment. As its standard input
    // the socket reaches it without being inherited by anything else that is started at the same time.
    let mut command = Command::new(&helper);
    command
        .arg("-o")
        .arg(helper_options(options))
        .arg("--")
        .arg(target)
        .env("_FUSE_COMMFD", "0")
        .env("LC_ALL", "C")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let child = command.spawn().map_err(failed)?;
    // Our copy of its end goes, so that the helper's death is the end of the stream.
    drop(command);
    let device = receive_descriptor(&ours);
    drop(ours);
    let output = child.wait_with_output().map_err(failed)?;
    match device {
        Ok(Some(device)) => Ok(device),
        Ok(None) => Err(refused(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
        Err(error) => Err(failed(error)),
    }
}

/// The descriptor that comes over the socket, or `None` if it is closed without one.
fn receive_descriptor(socket: &UnixStream) -> io::Result<Option<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    loop {
        let mut data = [IoSliceMut::new(&mut byte)];
        match rustix::net::recvmsg(socket, &mut data, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Ok(_) => break,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let mut descriptors = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    Ok(descriptors.next().and_then(|mut descriptors| descriptors.next()))
}

/// Whether an unmount waits for the mount to be unused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unmount {
    /// It fails with `EBUSY` if the mount is in use.
    IfUnused,
    /// The mount leaves the directory at once and ends when nothing uses it any more.
    Lazily,
}

/// Ends the topmost mount at a path.
pub(crate) fn detach(target: &Path, how: Unmount) -> Result<(), Errno> {
    let mut flags = UnmountFlags::NOFOLLOW;
    if how == Unmount::Lazily {
        flags |= UnmountFlags::DETACH;
    }
    match rustix::mount::unmount(target, flags) {
        Err(rustix::io::Errno::PERM) => detach_through_helper(target, how),
        other => other.map_err(Errno::from),
    }
}

fn detach_through_helper(target: &Path, how: Unmount) -> Result<(), Errno> {
    let helper = find_helper().ok_or(Errno::EPERM)?;
    let mut arguments: Vec<OsString> = vec!["-u".into()];
    if how == Unmount::Lazily {
        arguments.push("-z".into());
    }
    arguments.extend(["--".into(), target.into()]);
    let mut child = Command::new(helper)
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut message = String::new();
    if let Some(stderr) = child.stderr.as_mut() {
        stderr.take(4096).read_to_string(&mut message)?;
    }
    if child.wait()?.success() {
        return Ok(());
    }
    tracing::debug!(message = message.trim(), "fusermount3 did not unmount");
    // It says what failed in words only.
    if message.contains("busy") {
        Err(Errno::EBUSY)
    } else if message.contains("not found") {
        Err(Errno::EINVAL)
    } else {
        Err(Errno::EPERM)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Access;

    #[test]
    fn capabilities() {
        for (status, expected) in [
            ("Name:\tx\nCapEff:\t000001ffffffffff\n", Some(0x1ff_ffff_ffff)),
            ("CapEff:\t0000000000000000\n", Some(0)),
            ("CapInh:\t0\n", None),
            ("CapEff:\tzz\n", None),
        ] {
            assert_eq!(effective_capabilities(status), expected, "{status}");
        }
    }

    #[test]
    fn options_for_the_helper() {
        let mut options = Options::new("/a,b\\c.wim:2", "transom", Access::ReadOnly);
        options.users = Users::Owner;
        assert_eq!(
            helper_options(&options),
            "ro,nosuid,nodev,fsname=/a\\,b\\\\c.wim:2,subtype=transom,default_permissions"
        );
        options.users = Users::Everybody;
        options.access = Access::ReadWrite;
        options.check_permissions = false;
        assert_eq!(
            helper_options(&options),
            "rw,nosuid,nodev,fsname=/a\\,b\\\\c.wim:2,subtype=transom,allow_other"
        );
    }

    #[test]
    fn a_closed_socket_has_no_descriptor() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        assert!(receive_descriptor(&ours).unwrap().is_none());
    }
}
