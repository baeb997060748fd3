// SPDX-License-Identifier: GPL-3.0-or-later
//! Who keeps a mount from being unmounted.
//!
//! Everything is read from `/proc`; the mount itself is asked nothing, so it may be dead or stuck.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::table::MountEntry;

/// What a process does with a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Use {
    /// Has a file or directory open.
    Open,
    /// Stands in it: current or root directory.
    Directory,
    /// Has a file mapped, or runs it.
    Mapped,
}

/// A process that uses a mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its number.
    pub pid: u32,
    /// Its name, as in `/proc/<pid>/comm`.
    pub command: String,
    /// What it does.
    pub usage: Use,
    /// With which file, as far as the kernel knows a path.
    pub path: PathBuf,
}

/// The processes that use a mount, as far as this process may look into them: root sees all, others their own. At most
/// one use per process is named.
///
/// # Errors
/// If `/proc` is not mounted.
pub fn holders(mount: &MountEntry) -> io::Result<Vec<Holder>> {
    let mut holders = Vec::new();
    for process in fs::read_dir("/proc")? {
        // Processes come and go, and may be closed to us: then there is nothing to say of them.
        let Ok(process) = process else { continue };
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if let Some((usage, path)) = usage(&process.path(), mount) {
            let command = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            holders.push(Holder { pid, command: command.trim_end().to_owned(), usage, path });
        }
    }
    holders.sort_by_key(|holder| holder.pid);
    Ok(holders)
}

fn usage(process: &Path, mount: &MountEntry) -> Option<(Use, PathBuf)> {
    for link in ["cwd", "root"] {
        if let Ok(path) = fs::read_link(process.join(link))
            && mount.contains(path.as_os_str())
        {
            return Some((Use::Directory, path));
        }
    }
    if let Ok(descriptors) = fs::read_dir(process.join("fdinfo")) {
        for descriptor in descriptors.flatten() {
            let info = fs::read_to_string(descriptor.path()).unwrap_or_default();
            if mount_of_descriptor(&info) == Some(mount.id) {
                let path = fs::read_link(process.join("fd").join(descriptor.file_name())).unwrap_or_default();
                return Some((Use::Open, path));
            }
        }
    }
    let maps = fs::read(process.join("maps")).unwrap_or_default();
    mapped(&maps, mount.device).map(|path| (Use::Mapped, path))
}

/// `mnt_id` of a descriptor, proc_pid_fdinfo(5).
fn mount_of_descriptor(info: &str) -> Option<u64> {
    info.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim().parse().ok()
}

/// The first mapping of a file of a device, proc_pid_maps(5): `address perms offset dev inode path`.
fn mapped(maps: &[u8], (major, minor): (u32, u32)) -> Option<PathBuf> {
    let device = format!("{major:02x}:{minor:02x}");
    maps.split(|&byte| byte == b'\n').find_map(|line| {
        let mut fields = line.splitn(6, |&byte| byte == b' ');
        if fields.nth(3)? != device.as_bytes() {
            return None;
        }
        let path = fields.nth(1)?.trim_ascii_start();
        Some(PathBuf::from(std::ffi::OsStr::from_bytes(path)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_files() {
        assert_eq!(mount_of_descriptor("pos:\t0\nflags:\t0100000\nmnt_id:\t68\nino:\t3\n"), Some(68));
        assert_eq!(mount_of_descriptor("pos:\t0\n"), None);
        let maps = b"00400000-00401000 r-xp 00000000 fe:00 12   /bin/x\n\
            7f00-7f01 r--p 00000000 00:36 44                        /mnt/a b\n\
            7f02-7f03 rw-p 00000000 00:00 0 \n";
        assert_eq!(mapped(maps, (0, 0x36)), Some(PathBuf::from("/mnt/a b")));
        assert_eq!(mapped(maps, (0, 0x37)), None);
    }
}
