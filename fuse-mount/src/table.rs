// SPDX-License-Identifier: GPL-3.0-or-later
//! The kernel's table of mounts, as `/proc/self/mountinfo` shows it (proc_pid_mountinfo(5)).

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// One mount of this process's mount namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountEntry {
    /// The kernel's number of the mount.
    pub id: u64,
    /// The mount that it is mounted on.
    pub parent: u64,
    /// Major and minor number of the file system's device.
    pub device: (u32, u32),
    /// Which directory of the file system is mounted; `/` but for bind mounts.
    pub root: PathBuf,
    /// Where it is mounted.
    pub mount_point: PathBuf,
    /// Options of the mount, comma-separated.
    pub options: OsString,
    /// Type of the file system: `fuse.<subtype>` for ours.
    pub file_system: OsString,
    /// What is mounted, as it was given.
    pub source: OsString,
}

/// The mounts of this process's mount namespace. Asks no file system anything, so dead ones do no harm.
///
/// # Errors
/// If `/proc` is not mounted.
pub fn mount_table() -> io::Result<Vec<MountEntry>> {
    Ok(parse(&std::fs::read("/proc/self/mountinfo")?))
}

/// Lines that are not as documented are left out: there is nothing better to do with them.
fn parse(table: &[u8]) -> Vec<MountEntry> {
    table.split(|&byte| byte == b'\n').filter_map(parse_line).collect()
}

fn parse_line(line: &[u8]) -> Option<MountEntry> {
    let mut fields = line.split(|&byte| byte == b' ');
    let id = number(fields.next()?)?;
    let parent = number(fields.next()?)?;
    let device = std::str::from_utf8(fields.next()?).ok()?;
    let (major, minor) = device.split_once(':')?;
    let root = unescape(fields.next()?);
    let mount_point = unescape(fields.next()?);
    let options = unescape(fields.next()?);
    // Any number of optional fields, up to a dash.
    fields.by_ref().find(|field| *field == b"-")?;
    let file_system = unescape(fields.next()?);
    let source = unescape(fields.next()?);
    Some(MountEntry {
        id,
        parent,
        device: (major.parse().ok()?, minor.parse().ok()?),
        root: root.into(),
        mount_point: mount_point.into(),
        options,
        file_system,
        source,
    })
}

fn number(field: &[u8]) -> Option<u64> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

/// Space, tab, newline and backslash stand as a backslash and three octal digits.
fn unescape(field: &[u8]) -> OsString {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, after)) = rest.split_first() {
        let escaped = (first == b'\\').then(|| octal(after)).flatten();
        match escaped {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    OsString::from_vec(bytes)
}

fn octal(digits: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(digits.get(..3)?).ok()?;
    u8::from_str_radix(digits, 8).ok()
}

impl MountEntry {
    /// Whether it is a FUSE mount of this subtype.
    pub fn is_fuse(&self, subtype: &str) -> bool {
        self.file_system.as_bytes().strip_prefix(b"fuse.") == Some(subtype.as_bytes())
    }

    /// Whether `other` is mounted on top of it, so that its path leads there.
    pub(crate) fn is_covered_by(&self, other: &MountEntry) -> bool {
        other.parent == self.id && other.mount_point == self.mount_point
    }

    /// Whether a path, as the kernel shows it, is inside.
    pub(crate) fn contains(&self, path: &OsStr) -> bool {
        std::path::Path::new(path).starts_with(&self.mount_point)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_as_the_kernel_writes_them() {
        let table = b"22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
            68 22 0:54 / /mnt/a\\040b\\134c rw,nosuid,nodev,relatime - fuse.transom /w/x\\011y.wim rw,user_id=0\n\
            69 68 0:55 /sub /mnt/a\\040b\\134c ro master:2 propagate_from:3 - tmpfs none rw\n\
            not a line\n\
            70 x 0:1 / / rw - t s r\n";
        let entries = parse(table);
        assert_eq!(
            entries[1],
            MountEntry {
                id: 68,
                parent: 22,
                device: (0, 54),
                root: "/".into(),
                mount_point: "/mnt/a b\\c".into(),
                options: "rw,nosuid,nodev,relatime".into(),
                file_system: "fuse.transom".into(),
                source: "/w/x\ty.wim".into(),
            }
        );
        assert_eq!(entries.iter().map(|entry| entry.id).collect::<Vec<_>>(), [22, 68, 69]);
        assert!(
            entries[1].is_fuse("transom") && !entries[1].is_fuse("trans") && !entries[0].is_fuse("transom")
        );
        assert!(entries[1].is_covered_by(&entries[2]) && !entries[0].is_covered_by(&entries[1]));
        assert!(
            entries[1].contains(OsStr::new("/mnt/a b\\c/d")) && !entries[1].contains(OsStr::new("/mnt/a b"))
        );
    }

    #[test]
    fn escapes() {
        for (field, expected) in
            [("", ""), ("\\", "\\"), ("\\04", "\\04"), ("\\040x", " x"), ("\\999", "\\999")]
        {
            assert_eq!(unescape(field.as_bytes()), expected, "{field}");
        }
    }

    #[test]
    fn the_real_table_has_a_root() {
        let table = mount_table().unwrap();
        assert!(table.iter().any(|entry| entry.mount_point.as_os_str() == "/"), "{table:?}");
    }
}
