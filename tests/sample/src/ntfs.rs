// SPDX-License-Identifier: GPL-3.0-or-later
//! An NTFS volume in a file, filled through ntfs-3g.
//!
//! What Linux files do not have goes in by ntfs-3g's extended attributes: `system.ntfs_acl`,
//! `system.ntfs_attrib`, `system.ntfs_times`, `system.ntfs_dos_name`, `system.ntfs_reparse_data`,
//! `system.ntfs_object_id`, and `user.<name>` for a named stream.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::fs::{XattrFlags, lsetxattr};

use crate::plan::{Entry, Kind, Plan, attribute};
use crate::{security, tool};

/// What keeps an NTFS volume from being filled here; nothing when it can be.
pub(crate) fn obstacle() -> Option<String> {
    for name in ["mkntfs", "ntfs-3g"] {
        if tool::find(name).is_none() {
            return Some(format!("{name} is not installed"));
        }
    }
    if let Err(error) = File::options().read(true).write(true).open("/dev/fuse") {
        return Some(format!("/dev/fuse cannot be used: {error}"));
    }
    if !rustix::process::geteuid().is_root() && !is_setuid("ntfs-3g") {
        return Some("ntfs-3g may be mounted by root only".into());
    }
    None
}

fn is_setuid(name: &str) -> bool {
    use std::os::unix::fs::PermissionsExt;
    tool::find(name)
        .and_then(|path| path.metadata().ok())
        .is_some_and(|metadata| metadata.permissions().mode() & 0o4000 != 0)
}

/// A mounted volume; unmounted when dropped, however that comes.
struct Mounted {
    child: Child,
    folder: PathBuf,
}

impl Mounted {
    fn new(volume: &Path, folder: &Path) -> Result<Self> {
        let ntfs = tool::find("ntfs-3g").context("ntfs-3g is not installed")?;
        // Killed with us, so that not even a killed test leaves a mount behind.
        let mut command = match tool::find("setpriv") {
            Some(setpriv) => {
                let mut command = std::process::Command::new(setpriv);
                command.args(["--pdeathsig", "TERM"]).arg(ntfs);
                command
            }
            None => std::process::Command::new(ntfs),
        };
        let mut child = command
            .args(["-o", "no_detach,streams_interface=xattr,big_writes,noatime"])
            .args([volume, folder])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start ntfs-3g")?;
        let begin = Instant::now();
        loop {
            if let Some(status) = child.try_wait()? {
                let mut said = String::new();
                if let Some(mut stderr) = child.stderr.take() {
                    std::io::Read::read_to_string(&mut stderr, &mut said)?;
                }
                bail!("ntfs-3g did not mount {} ({status}): {}", volume.display(), said.trim());
            }
            if is_mount_point(folder)? {
                return Ok(Self { child, folder: folder.to_owned() });
            }
            if begin.elapsed() > Duration::from_secs(20) {
                child.kill()?;
                child.wait()?;
                bail!("ntfs-3g did not mount {} within 20 seconds", volume.display());
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Unmounts, and waits until the volume is written.
    fn unmount(mut self) -> Result<()> {
        unmount(&self.folder)?;
        let status = self.child.wait()?;
        if !status.success() {
            bail!("ntfs-3g ended with {status}");
        }
        Ok(())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        if unmount(&self.folder).is_err() {
            // ntfs-3g unmounts when it is told to end; nothing more can be done here.
            if let Some(pid) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
                // It may have ended meanwhile: then there is nothing to tell.
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
        }
        // Only reaps it; a failure leaves no more to do.
        let _ = self.child.wait();
    }
}

fn is_mount_point(folder: &Path) -> Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let parent = folder.parent().context("a mount point below a folder")?;
    Ok(folder.metadata()?.dev() != parent.metadata()?.dev())
}

fn unmount(folder: &Path) -> Result<()> {
    let mut last = None;
    for (name, arguments) in [("umount", &[][..]), ("fusermount3", &["-u"][..]), ("fusermount", &["-u"][..])]
    {
        if let Ok(mut command) = tool::command(name) {
            match tool::run(command.args(arguments).arg(folder)) {
                Ok(_) => return Ok(()),
                Err(error) => last = Some(error),
            }
        }
    }
    Err(last.context("neither umount nor fusermount is installed")?)
}

/// Makes `volume`, a file that holds an NTFS volume with the tree in it.
///
/// # Errors
/// When the volume cannot be made, mounted or filled.
pub(crate) fn fill(volume: &Path, plan: &Plan, bytes: u64) -> Result<()> {
    let size =
        (bytes + bytes / 4 + plan.entries().len() as u64 * 1600 + (64 << 20)).next_multiple_of(1 << 20);
    File::create(volume)?.set_len(size)?;
    tool::run(tool::command("mkntfs")?.args(["-F", "-Q", "-q", "-L", "sample"]).arg(volume))?;
    let folder = volume.with_extension("mount");
    std::fs::create_dir_all(&folder)?;
    let mounted = Mounted::new(volume, &folder)?;
    write(&folder, plan)?;
    mounted.unmount()?;
    std::fs::remove_dir(&folder)?;
    Ok(())
}

fn write(root: &Path, plan: &Plan) -> Result<()> {
    let descriptors: std::collections::HashMap<&str, Vec<u8>> =
        security::ALL.iter().map(|sddl| (*sddl, security::descriptor(sddl))).collect();
    set(root, "system.ntfs_acl", &descriptors[security::ROOT])?;
    for entry in plan.entries() {
        let path = root.join(&entry.path);
        write_entry(root, &path, plan, entry, &descriptors[entry.security])
            .with_context(|| format!("while writing {}", entry.path))?;
    }
    // Children change the times of their folders, so these come last; so do the names of files.
    for entry in plan.entries().iter().rev().filter(|entry| !matches!(entry.kind, Kind::Link(_))) {
        let times: Vec<u8> = entry.times.iter().flat_map(|time| time.to_le_bytes()).collect();
        set(&root.join(&entry.path), "system.ntfs_times", &times)?;
    }
    Ok(())
}

fn write_entry(root: &Path, path: &Path, plan: &Plan, entry: &Entry, descriptor: &[u8]) -> Result<()> {
    let reparse = match &entry.kind {
        Kind::Link(target) => {
            std::fs::hard_link(root.join(&plan.entries()[*target].path), path)?;
            return Ok(());
        }
        Kind::Directory => {
            std::fs::create_dir(path)?;
            None
        }
        Kind::File(content) => {
            std::fs::write(path, content.bytes())?;
            None
        }
        Kind::Junction(target) => {
            std::fs::create_dir(path)?;
            Some(mount_point(target))
        }
        Kind::Symlink { target, directory } => {
            if *directory {
                std::fs::create_dir(path)?;
            } else {
                File::create(path)?;
            }
            Some(symbolic_link(target))
        }
    };
    set(path, "system.ntfs_acl", descriptor)?;
    for (name, data) in &entry.streams {
        set(path, &format!("user.{name}"), data)?;
    }
    if let Some(id) = entry.object_id {
        set(path, "system.ntfs_object_id", &id)?;
    }
    if let Some(name) = &entry.short_name {
        set(path, "system.ntfs_dos_name", name.as_bytes())?;
    }
    // ntfs-3g gives new files ARCHIVE alone, and directories nothing until they are changed.
    let usual = match entry.kind {
        Kind::File(_) => attribute::ARCHIVE,
        _ => 0,
    };
    let changed = !entry.streams.is_empty() || entry.short_name.is_some();
    if entry.attributes != usual || changed {
        set(path, "system.ntfs_attrib", &entry.attributes.to_le_bytes())?;
    }
    if let Some(data) = reparse {
        set(path, "system.ntfs_reparse_data", &data)?;
    }
    Ok(())
}

fn set(path: &Path, name: &str, value: &[u8]) -> Result<()> {
    lsetxattr(path, name, value, XattrFlags::empty())
        .with_context(|| format!("{}: cannot set {name}", path.display()))
}

/// `REPARSE_DATA_BUFFER` of a junction: tag, length, reserved, then offsets and lengths of the two
/// names, then the names with their NULs.
fn mount_point(target: &str) -> Vec<u8> {
    names_buffer(0xA000_0003, &format!("\\??\\{target}"), target, None)
}

/// The same of a symbolic link, which has flags too: 1 for a relative target.
fn symbolic_link(target: &str) -> Vec<u8> {
    let relative = !target.contains(':');
    let substitute = if relative { target.to_owned() } else { format!("\\??\\{target}") };
    names_buffer(0xA000_000C, &substitute, target, Some(u32::from(relative)))
}

fn names_buffer(tag: u32, substitute: &str, print: &str, flags: Option<u32>) -> Vec<u8> {
    let units = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
    let (substitute, print) = (units(substitute), units(print));
    let mut data = Vec::new();
    for number in [0, substitute.len(), substitute.len() + 2, print.len()] {
        data.extend((number as u16).to_le_bytes());
    }
    data.extend(flags.into_iter().flat_map(u32::to_le_bytes));
    data.extend(substitute);
    data.extend([0, 0]);
    data.extend(print);
    data.extend([0, 0]);
    let mut buffer = tag.to_le_bytes().to_vec();
    buffer.extend((data.len() as u16).to_le_bytes());
    buffer.extend([0, 0]);
    buffer.extend(data);
    buffer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reparse_buffers_name_their_parts() {
        let junction = mount_point("C:\\U");
        assert_eq!(junction[..16], [3, 0, 0, 0xA0, 36, 0, 0, 0, 0, 0, 16, 0, 18, 0, 8, 0]);
        assert_eq!(junction.len(), 8 + 36);
        let link = symbolic_link("..\\a");
        assert_eq!(link[..20], [12, 0, 0, 0xA0, 32, 0, 0, 0, 0, 0, 8, 0, 10, 0, 8, 0, 1, 0, 0, 0]);
    }
}
