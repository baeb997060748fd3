// SPDX-License-Identifier: GPL-3.0-or-later
//! The log in dism.log's form.
//!
//! A line is `YYYY-MM-DD HH:MM:SS, `, the level padded to 22 columns, the source padded to 7, and
//! the text. Text of the tool itself begins `DISM.EXE: `; text of a room begins with DISM's name
//! for such a component, then process and thread, and ends with where it came from and, where
//! there is one, the code: ` - transom::drivers::store(hr:0x80070002)`. (Captured logs; log readers
//! key on the level, `Executing command line:`, `hr:0x`, `HRESULT=` and `Reboot required=`.)

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::Zoned;
use jiff::tz::TimeZone;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use super::settings::LogLevel;
use crate::base::{Arch, Error, Result};

/// A log larger than this is moved to `<name>.bak` before a run writes to it.
const ROTATE_AT: u64 = 8 << 20;

/// The target of events of the tool itself.
pub(crate) const TOOL: &str = "dism.exe";

/// Opens a log for appending, moving a large one out of the way.
///
/// # Errors
/// When the file cannot be opened.
pub(crate) fn open(path: &Path) -> Result<File> {
    let opened = || OpenOptions::new().create(true).append(true).open(path);
    let failed = |error: std::io::Error| Error::io(path.display(), &error);
    let file = opened().map_err(failed)?;
    if file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() > ROTATE_AT) {
        // Where the old log cannot be moved it just grows on.
        if std::fs::rename(path, backup(path)).is_ok() {
            return opened().map_err(failed);
        }
    }
    Ok(file)
}

fn backup(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".bak");
    PathBuf::from(name)
}

/// Writes events as lines.
pub(crate) struct DismLog {
    file: Mutex<File>,
    level: LogLevel,
    zone: TimeZone,
}

impl DismLog {
    /// Appends to `file`; one write for each line, so that several processes may share it.
    pub(crate) fn new(file: File, level: LogLevel, zone: TimeZone) -> Self {
        Self { file: Mutex::new(file), level, zone }
    }
}

impl<S: Subscriber> Layer<S> for DismLog {
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _context: Context<'_, S>) -> bool {
        let ours = metadata.target() == TOOL || metadata.target().starts_with("transom");
        ours && *metadata.level()
            <= match self.level {
                LogLevel::Errors => Level::ERROR,
                LogLevel::Warnings => Level::WARN,
                LogLevel::Information => Level::INFO,
                LogLevel::Debug => Level::TRACE,
            }
    }

    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        let mut line = line(
            &Zoned::now().with_time_zone(self.zone.clone()),
            metadata.level(),
            metadata.target(),
            &fields,
        );
        line.push('\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // A log that fails must not stop the work it tells about.
        let _ = file.write_all(line.as_bytes());
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    others: String,
    code: Option<u64>,
}

impl Visit for Fields {
    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "hr" => self.code = Some(value),
            name => self.other(name, &value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        match field.name() {
            // Writing to a String cannot fail.
            "message" => drop(write!(self.message, "{value:?}")),
            name => self.other(name, value),
        }
    }
}

impl Fields {
    fn other(&mut self, name: &str, value: &dyn std::fmt::Debug) {
        let _ = write!(self.others, " {name}={value:?}");
    }
}

fn line(now: &Zoned, level: &Level, target: &str, fields: &Fields) -> String {
    let level = match *level {
        Level::ERROR => "Error",
        Level::WARN => "Warning",
        _ => "Info",
    };
    let message = format!("{}{}", fields.message, fields.others).replace(['\r', '\n'], " ");
    let mut line = format!("{}, {level:22}{:7}", now.strftime("%Y-%m-%d %H:%M:%S"), "DISM");
    if target == TOOL {
        line.push_str("DISM.EXE: ");
        line.push_str(&message);
    } else {
        let _ = write!(
            line,
            "{}: PID={} TID={} {message} - {target}",
            component(target),
            std::process::id(),
            thread_id()
        );
    }
    if let Some(code) = fields.code {
        let _ = write!(line, "(hr:0x{code:08x})");
    }
    line
}

/// DISM's name for the component that a room of ours is.
fn component(target: &str) -> &'static str {
    match target.split("::").nth(1).unwrap_or_default() {
        "drivers" | "inf" | "catalog" => "DISM Driver Manager",
        "wim" => "DISM WIM Provider",
        "imaging" => "DISM Imaging Provider",
        "image" | "hive" => "DISM OS Provider",
        "volume" => "DISM Image Session",
        _ => "DISM Manager",
    }
}

fn thread_id() -> u32 {
    thread_local! {
        static THREAD: u32 = std::fs::read_link("/proc/thread-self")
            .ok()
            .and_then(|link| link.file_name()?.to_str()?.parse().ok())
            .unwrap_or_else(std::process::id);
    }
    THREAD.with(|thread| *thread)
}

/// The lines that open a run.
pub(crate) fn begin(command_line: &str) {
    tracing::info!(target: TOOL, "");
    tracing::info!(target: TOOL, "<----- Starting Dism.exe session ----->");
    tracing::info!(target: TOOL, "");
    let system = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let architecture = match std::env::consts::ARCH {
        "x86_64" => Arch::Amd64.as_str(),
        "aarch64" => Arch::Arm64.as_str(),
        other => other,
    };
    tracing::info!(
        target: TOOL,
        "Host machine information: OS Version={} {}, Running architecture={architecture}, Number of processors={processors}",
        std::env::consts::OS,
        system.trim(),
    );
    tracing::info!(target: TOOL, "Dism.exe version: {}", env!("CARGO_PKG_VERSION"));
    tracing::info!(target: TOOL, "Executing command line: {command_line}");
}

/// The lines that close a run.
pub(crate) fn end(error: Option<&Error>) {
    if let Some(error) = error {
        tracing::error!(target: TOOL, "{error}");
        tracing::error!(
            target: TOOL,
            "transom processed the command line but failed. HRESULT={:08X}",
            error.code().0
        );
    }
    tracing::info!(target: TOOL, "Image session has been closed. Reboot required=no.");
    tracing::info!(target: TOOL, "");
    tracing::info!(target: TOOL, "<----- Ending Dism.exe session ----->");
    tracing::info!(target: TOOL, "");
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn lines_as_captured() {
        let now: Zoned = "2023-02-02T14:29:26+00:00[UTC]".parse().unwrap();
        let fields =
            |message: &str, code| Fields { message: message.to_owned(), others: String::new(), code };
        assert_eq!(
            line(&now, &Level::INFO, TOOL, &fields("<----- Starting Dism.exe session ----->", None)),
            "2023-02-02 14:29:26, Info                  DISM   DISM.EXE: <----- Starting Dism.exe session ----->"
        );
        let (process, thread) = (std::process::id(), thread_id());
        assert_eq!(
            line(&now, &Level::ERROR, "transom::drivers::store", &fields("two\nlines", Some(0x800F_0905))),
            format!(
                "2023-02-02 14:29:26, Error                 DISM   DISM Driver Manager: PID={process} TID={thread} \
                 two lines - transom::drivers::store(hr:0x800f0905)"
            )
        );
    }

    #[test]
    fn levels_rotation_and_session_skeleton() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("dism.log");
        std::fs::write(&path, vec![b'x'; ROTATE_AT as usize + 1]).unwrap();
        std::fs::write(backup(&path), "older").unwrap();
        let log = DismLog::new(open(&path).unwrap(), LogLevel::Warnings, TimeZone::UTC);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(log), || {
            begin("transom /Get-Drivers");
            tracing::warn!(target: "transom::hive", "dirty");
            end(Some(&Error::new(crate::base::ErrorClass::NotFound, "no such image")));
        });
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(std::fs::metadata(backup(&path)).unwrap().len(), ROTATE_AT + 1);
        let levels: Vec<&str> = text.lines().map(|line| line[21..].split(' ').next().unwrap()).collect();
        assert_eq!(levels, ["Warning", "Error", "Error"]);
        assert!(text.contains("HRESULT=80070002"));

        let log = DismLog::new(open(&path).unwrap(), LogLevel::Information, TimeZone::UTC);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(log), || {
            begin("transom /Get-Drivers");
            end(None);
        });
        let text = std::fs::read_to_string(&path).unwrap();
        let bodies: Vec<&str> =
            text.lines().skip(3).map(|line| line.split("DISM.EXE: ").nth(1).unwrap()).collect();
        assert_eq!(bodies.len(), 10);
        assert_eq!(bodies[5], "Executing command line: transom /Get-Drivers");
        assert_eq!(bodies[6], "Image session has been closed. Reboot required=no.");
        assert_eq!(bodies[8], "<----- Ending Dism.exe session ----->");
    }

    #[test]
    fn a_log_that_cannot_be_opened_is_an_error() {
        assert!(open(Path::new("/proc/none/dism.log")).is_err());
    }
}
