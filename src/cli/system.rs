// SPDX-License-Identifier: GPL-3.0-or-later
//! What the surroundings of the process say: environment, terminal, time, signals. Everything
//! below gets these things passed in.

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::settings::Settings;
use super::variables::Variables;
use crate::base::{Error, ErrorClass, FileTime, Result};
use crate::image::Environment;
use crate::io::{Cancel, FixedClock, MemoryLimit, Pool, Progress};
use crate::report::Locale;

/// Where the log is kept unless told otherwise: `$XDG_STATE_HOME/transom/dism.log`, else below
/// `~/.local/state`. Nothing when neither is known.
pub(crate) fn default_log() -> Option<PathBuf> {
    let state = absolute(std::env::var_os("XDG_STATE_HOME").as_deref())
        .or_else(|| Some(absolute(std::env::var_os("HOME").as_deref())?.join(".local/state")))?;
    Some(state.join("transom").join("dism.log"))
}

/// Where mounts are kept: `$XDG_STATE_HOME/transom/mounts`; without that `/var/lib/transom/mounts` for root, else below
/// `~/.local/state`. The root of a user namespace is no root of the machine, which shows in what it may write.
///
/// # Errors
/// When none of these can be used.
pub(crate) fn mounts_directory() -> Result<PathBuf> {
    if let Some(state) = absolute(std::env::var_os("XDG_STATE_HOME").as_deref()) {
        return Ok(state.join("transom/mounts"));
    }
    let machine = PathBuf::from("/var/lib/transom/mounts");
    if rustix::process::geteuid().is_root() && std::fs::create_dir_all(&machine).is_ok() {
        return Ok(machine);
    }
    match absolute(std::env::var_os("HOME").as_deref()) {
        Some(home) => Ok(home.join(".local/state/transom/mounts")),
        None => Err(Error::new(ErrorClass::Usage, "it is not known where mounts are to be kept")
            .with_hint("set XDG_STATE_HOME or HOME to a directory of yours")),
    }
}

/// The time that a serving process stamps on changes where it is not the system's.
///
/// # Errors
/// When `SOURCE_DATE_EPOCH` is no number.
pub(crate) fn fixed_clock() -> Result<Option<Arc<dyn crate::io::Clock>>> {
    if std::env::var_os("SOURCE_DATE_EPOCH").is_none() {
        return Ok(None);
    }
    Ok(Some(Arc::new(FixedClock(now(false)?))))
}

fn absolute(value: Option<&OsStr>) -> Option<PathBuf> {
    value.map(PathBuf::from).filter(|path| path.is_absolute())
}

/// What a session needs from outside.
///
/// # Errors
/// When `SOURCE_DATE_EPOCH` is no number, or threads cannot be started.
pub(crate) fn environment(
    settings: &Settings,
    progress: Arc<dyn Progress>,
    cancel: Cancel,
) -> Result<Environment> {
    Ok(Environment {
        clock: Arc::new(FixedClock(now(settings.reproducible)?)),
        progress,
        cancel,
        pool: Pool::new(settings.threads)?.with_memory(memory(settings.memory)),
        scratch_parent: settings.scratch_dir.clone().unwrap_or_else(std::env::temp_dir),
        ignore_dirty: settings.ignore_dirty,
    })
}

/// The language that the user asked for, as every program looks it up.
pub(crate) fn locale() -> Locale {
    let value = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let name = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(value);
    Locale::from_posix(&name.unwrap_or_default())
}

/// The variables `TRANSOM_*` of the process.
pub(crate) fn variables() -> Variables<impl Fn(&str) -> Option<std::ffi::OsString>> {
    Variables(|name: &str| std::env::var_os(name))
}

/// The bound asked for, else half of the memory that this machine, or the container, has.
fn memory(asked: Option<u64>) -> MemoryLimit {
    if let Some(bytes) = asked {
        return MemoryLimit(bytes);
    }
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let machine = read("/proc/meminfo").and_then(|text| total_memory(&text));
    let container = read("/sys/fs/cgroup/memory.max").and_then(|text| text.trim().parse().ok());
    match machine.into_iter().chain(container).min() {
        Some(bytes) => MemoryLimit(bytes / 2),
        None => MemoryLimit::NONE,
    }
}

/// `MemTotal` of `/proc/meminfo`, in bytes.
fn total_memory(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The one moment that a run stamps on everything it changes.
fn now(reproducible: bool) -> Result<FileTime> {
    /// 1980-01-01, the earliest time that old file systems know.
    const EARLIEST: i64 = 315_532_800;
    match std::env::var_os("SOURCE_DATE_EPOCH") {
        Some(seconds) => {
            let seconds: Option<i64> = seconds.to_str().and_then(|text| text.trim().parse().ok());
            seconds.map(|seconds| FileTime::from_unix(seconds, 0)).ok_or_else(|| {
                Error::new(ErrorClass::Usage, "SOURCE_DATE_EPOCH is not a number of seconds since 1970")
                    .with_hint("set it as in: SOURCE_DATE_EPOCH=1700000000")
            })
        }
        None if reproducible => Ok(FileTime::from_unix(EARLIEST, 0)),
        None => Ok(SystemTime::now().into()),
    }
}

/// Whether the standard output is a terminal.
pub(crate) fn output_is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// Whether the standard error is a terminal.
pub(crate) fn errors_are_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// Turns the first interruption into a polite request: work stops at its next look, scratch data
/// is removed and nothing is committed. The second one ends the process at once, which is safe
/// too: a commit that is killed leaves the old image or the new one.
pub(crate) fn cancel_on_signals() -> Cancel {
    let cancel = Cancel::default();
    let request = cancel.clone();
    // Without a handler the default action remains: the process ends.
    if let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP]) {
        let waiting = std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            let mut received = signals.forever();
            if received.next().is_some() {
                request.cancel();
            }
            if let Some(signal) = received.next() {
                std::process::exit(128 + signal);
            }
        });
        drop(waiting);
    }
    cancel
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn memory_is_asked_for_or_half_of_what_there_is() {
        assert_eq!(memory(Some(5)), MemoryLimit(5));
        assert!(memory(None) > MemoryLimit(1 << 20));
        assert_eq!(total_memory("MemTotal:       16 kB\nMemFree: 1 kB\n"), Some(16 << 10));
        assert_eq!(total_memory("MemFree: 1 kB\n"), None);
    }

    #[test]
    fn the_first_interruption_is_a_request() {
        let cancel = cancel_on_signals();
        assert!(cancel.check().is_ok());
        // The shell's own kill: a bare system has no other.
        let killed = Command::new("sh").args(["-c", &format!("kill -INT {}", std::process::id())]).status();
        assert!(killed.unwrap().success());
        let begin = Instant::now();
        while cancel.check().is_ok() {
            assert!(begin.elapsed() < Duration::from_secs(10), "the signal was not seen");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(cancel.check().unwrap_err().class(), ErrorClass::Cancelled);
    }
}
