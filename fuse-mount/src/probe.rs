// SPDX-License-Identifier: GPL-3.0-or-later
//! Which ways of mounting this machine allows, why, and what to do about those that it does not.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::attach::{
    DEVICE, Unmount, Way, attach_directly, attach_through_helper, detach, find_helper, may_mount, open_device,
};
use crate::error::Error;
use crate::options::{Access, Options, Users};

/// What there is to say about one way of mounting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prospect {
    /// The way.
    pub way: Way,
    /// Whether it can be used by this process, now.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
}

/// Whether a way of mounting can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It can.
    Usable,
    /// It cannot, unless this is done.
    Unusable {
        /// What would make it usable.
        remedy: String,
    },
}

impl Prospect {
    fn usable(way: Way, reason: impl Into<String>) -> Self {
        Self { way, verdict: Verdict::Usable, reason: reason.into() }
    }

    fn unusable(way: Way, reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { way, verdict: Verdict::Unusable { remedy: remedy.into() }, reason: reason.into() }
    }

    /// Whether it can be used.
    pub fn is_usable(&self) -> bool {
        self.verdict == Verdict::Usable
    }
}

/// Says of each way of mounting whether it can be used, in the order in which they are preferred.
///
/// A way that nothing seems to stand against is tried: an empty directory of the system's directory for temporary files
/// is mounted on and unmounted again.
pub fn probe() -> Vec<Prospect> {
    let machine = Machine::look();
    [Way::Direct, Way::Helper, Way::UserNamespace]
        .into_iter()
        .map(|way| {
            let prospect = machine.judge(way);
            if prospect.is_usable() { confirm(prospect) } else { prospect }
        })
        .collect()
}

/// What can be seen without trying.
#[derive(Clone, Debug)]
struct Machine {
    root: bool,
    may_mount: bool,
    device: Device,
    helper: Helper,
    no_new_privileges: bool,
    namespaces: Namespaces,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Device {
    Usable,
    Missing,
    /// Its permission bits.
    Closed(u32),
    Broken(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Helper {
    Missing,
    NotSetuid(PathBuf),
    Installed(PathBuf),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Namespaces {
    Allowed,
    /// The file under `/proc/sys` that forbids them, and the value it would need.
    Forbidden {
        setting: &'static str,
        wanted: &'static str,
    },
}

impl Machine {
    fn look() -> Self {
        Self {
            root: rustix::process::geteuid().is_root(),
            may_mount: may_mount(),
            device: look_at_device(),
            helper: look_at_helper(),
            no_new_privileges: fs::read_to_string("/proc/self/status")
                .unwrap_or_default()
                .lines()
                .any(|line| line.strip_prefix("NoNewPrivs:").is_some_and(|value| value.trim() == "1")),
            namespaces: look_at_namespaces(),
        }
    }

    /// What is wrong with the device, and what to do, if anything.
    fn device_trouble(&self) -> Option<(String, String)> {
        match &self.device {
            Device::Usable => None,
            Device::Missing => Some((
                format!("{DEVICE} does not exist"),
                "load the kernel module (modprobe fuse); in a container, start it with --device /dev/fuse"
                    .into(),
            )),
            Device::Closed(mode) => Some((
                format!("{DEVICE} may not be opened (mode {mode:04o})"),
                format!("as root: chmod 0666 {DEVICE}; in a container, start it with --device /dev/fuse"),
            )),
            Device::Broken(error) => {
                Some((format!("{DEVICE}: {error}"), "load the kernel module: modprobe fuse".into()))
            }
        }
    }

    fn judge(&self, way: Way) -> Prospect {
        match way {
            Way::Direct => self.judge_direct(),
            Way::Helper => self.judge_helper(),
            Way::UserNamespace => self.judge_namespace(),
        }
    }

    /// Root of a container that may not mount; the helper, started by it, may no more.
    fn powerless_root(way: Way) -> Prospect {
        let remedy = "start the container with --cap-add SYS_ADMIN --device /dev/fuse";
        Prospect::unusable(way, "root without CAP_SYS_ADMIN", remedy)
    }

    fn judge_direct(&self) -> Prospect {
        let way = Way::Direct;
        if !self.may_mount {
            return if self.root {
                Self::powerless_root(way)
            } else {
                Prospect::unusable(way, "not root", "run as root, or use one of the other ways")
            };
        }
        match self.device_trouble() {
            Some((reason, remedy)) => Prospect::unusable(way, reason, remedy),
            None => Prospect::usable(way, "this process may mount"),
        }
    }

    fn judge_helper(&self) -> Prospect {
        let way = Way::Helper;
        if self.root && !self.may_mount {
            return Self::powerless_root(way);
        }
        let path = match &self.helper {
            Helper::Missing => {
                return Prospect::unusable(way, "fusermount3 is not installed", "install the package fuse3");
            }
            Helper::NotSetuid(path) if !self.root => {
                let reason = format!("{} is not set-user-id root", path.display());
                return Prospect::unusable(way, reason, format!("as root: chmod u+s {}", path.display()));
            }
            Helper::NotSetuid(path) | Helper::Installed(path) => path,
        };
        if self.no_new_privileges && !self.root {
            let remedy = "start it without no_new_privs (in a container: without no-new-privileges)";
            return Prospect::unusable(way, "this process may not gain privileges (no_new_privs)", remedy);
        }
        // The helper opens the device with the rights of its caller.
        match self.device_trouble() {
            Some((reason, remedy)) => Prospect::unusable(way, reason, remedy),
            None => Prospect::usable(way, format!("{} is installed", path.display())),
        }
    }

    fn judge_namespace(&self) -> Prospect {
        let way = Way::UserNamespace;
        if let Namespaces::Forbidden { setting, wanted } = &self.namespaces {
            let name = setting.replace('/', ".");
            let reason = format!("user namespaces are forbidden by {name}");
            return Prospect::unusable(way, reason, format!("as root: sysctl {name}={wanted}"));
        }
        match self.device_trouble() {
            Some((reason, remedy)) => Prospect::unusable(way, reason, remedy),
            None => {
                Prospect::usable(way, "user namespaces are allowed; run the command inside `unshare -Urm`")
            }
        }
    }
}

fn look_at_device() -> Device {
    match open_device() {
        Ok(_) => Device::Usable,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Device::Missing,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Device::Closed(fs::metadata(DEVICE).map_or(0, |metadata| metadata.permissions().mode() & 0o777))
        }
        Err(error) => Device::Broken(error.to_string()),
    }
}

fn look_at_helper() -> Helper {
    let Some(path) = find_helper() else { return Helper::Missing };
    match fs::metadata(&path) {
        Ok(metadata) if metadata.uid() == 0 && metadata.mode() & 0o4000 != 0 => Helper::Installed(path),
        Ok(_) => Helper::NotSetuid(path),
        Err(_) => Helper::Missing,
    }
}

/// Root may always make them; for others there is one limit of the kernel's and two of distributions'.
fn look_at_namespaces() -> Namespaces {
    let value = |setting: &str| {
        fs::read_to_string(Path::new("/proc/sys").join(setting)).ok().map(|text| text.trim().to_owned())
    };
    let root = may_mount();
    for (setting, bad, wanted, also_root) in [
        ("user/max_user_namespaces", "0", "10000", true),
        ("kernel/unprivileged_userns_clone", "0", "1", false),
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "0", false),
    ] {
        if (also_root || !root) && value(setting).as_deref() == Some(bad) {
            return Namespaces::Forbidden { setting, wanted };
        }
    }
    Namespaces::Allowed
}

/// Tries a way that nothing seems to stand against.
fn confirm(prospect: Prospect) -> Prospect {
    match prospect.way {
        Way::Direct | Way::Helper => match try_mount(prospect.way) {
            Ok(()) => prospect,
            Err(error) => {
                let remedy = match prospect.way {
                    Way::Direct => {
                        "in a container: --cap-add SYS_ADMIN --device /dev/fuse --security-opt apparmor=unconfined"
                            .to_owned()
                    }
                    _ => "see /etc/fuse.conf; the directory must belong to the user".to_owned(),
                };
                Prospect::unusable(prospect.way, format!("tried, and refused: {error}"), remedy)
            }
        },
        Way::UserNamespace => confirm_namespace(prospect),
    }
}

/// A mount that nobody serves exists as long as its connection is open; nothing looks into it meanwhile.
fn try_mount(way: Way) -> Result<(), Error> {
    let directory = scratch_directory()?;
    let mut options = Options::new("probe", "probe", Access::ReadOnly);
    options.users = Users::Owner;
    let tried = match way {
        Way::Helper => attach_through_helper(&directory, &options),
        _ => attach_directly(&directory, &options),
    };
    let result = tried.and_then(|connection| {
        // A dead connection first, so that nothing can wait for an answer that will not come.
        drop(connection);
        detach(&directory, Unmount::Lazily)
            .map_err(|error| Error::Target { target: directory.clone(), error })
    });
    if let Err(error) = fs::remove_dir(&directory) {
        tracing::warn!(%error, directory = %directory.display(), "could not be removed");
    }
    result
}

fn scratch_directory() -> Result<PathBuf, Error> {
    let base = std::env::temp_dir();
    for attempt in 0..100 {
        let directory = base.join(format!(".fuse-probe-{}-{attempt}", std::process::id()));
        match fs::create_dir(&directory) {
            Ok(()) => return Ok(directory),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::target(&directory, error)),
        }
    }
    Err(Error::target(&base, io::ErrorKind::AlreadyExists.into()))
}

/// Enters such a namespace in a process of its own and opens the device there.
fn confirm_namespace(prospect: Prospect) -> Prospect {
    let tried = Command::new("unshare")
        .args(["-Urm", "--", "sh", "-c", "exec 3<>/dev/fuse"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output();
    match tried {
        Ok(output) if output.status.success() => prospect,
        Ok(output) => {
            let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            let remedy = format!(
                "let users make user namespaces (a seccomp or AppArmor profile forbids it?), and open {DEVICE}"
            );
            Prospect::unusable(prospect.way, format!("tried, and refused: {message}"), remedy)
        }
        // Without the program nothing can be tried; another may enter namespaces all the same.
        Err(_) => Prospect { reason: format!("{} (not tried: no unshare)", prospect.reason), ..prospect },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user() -> Machine {
        Machine {
            root: false,
            may_mount: false,
            device: Device::Usable,
            helper: Helper::Installed("/usr/bin/fusermount3".into()),
            no_new_privileges: false,
            namespaces: Namespaces::Allowed,
        }
    }

    #[test]
    fn judgement() {
        let root = Machine { root: true, may_mount: true, ..user() };
        let all = |machine: &Machine| {
            [Way::Direct, Way::Helper, Way::UserNamespace].map(|way| machine.judge(way).is_usable())
        };
        for (what, machine, expected) in [
            ("root", root.clone(), [true, true, true]),
            ("user", user(), [false, true, true]),
            ("container root", Machine { may_mount: false, ..root.clone() }, [false, false, true]),
            ("no device", Machine { device: Device::Missing, ..root.clone() }, [false, false, false]),
            ("closed device", Machine { device: Device::Closed(0o600), ..user() }, [false, false, false]),
            ("no helper", Machine { helper: Helper::Missing, ..user() }, [false, false, true]),
            (
                "plain helper",
                Machine { helper: Helper::NotSetuid("/x".into()), ..user() },
                [false, false, true],
            ),
            ("no new privileges", Machine { no_new_privileges: true, ..user() }, [false, false, true]),
            (
                "no namespaces",
                Machine {
                    namespaces: Namespaces::Forbidden {
                        setting: "user/max_user_namespaces",
                        wanted: "10000",
                    },
                    ..user()
                },
                [false, true, false],
            ),
        ] {
            assert_eq!(all(&machine), expected, "{what}");
        }
    }

    #[test]
    fn remedies_name_what_to_type() {
        let forbidden = Namespaces::Forbidden { setting: "kernel/unprivileged_userns_clone", wanted: "1" };
        assert_eq!(
            Machine { namespaces: forbidden, ..user() }.judge(Way::UserNamespace),
            Prospect::unusable(
                Way::UserNamespace,
                "user namespaces are forbidden by kernel.unprivileged_userns_clone",
                "as root: sysctl kernel.unprivileged_userns_clone=1"
            )
        );
    }
}
