// SPDX-License-Identifier: GPL-3.0-or-later
//! What the global options mean.

use std::path::PathBuf;

use super::error::CommandLineError;
use super::values::{Values, size};
use crate::base::{Error, ErrorClass, Result};
use crate::report::Layout;

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LogLevel {
    /// Errors only.
    Errors,
    /// Warnings too.
    Warnings,
    /// What was done, too.
    Information,
    /// Everything.
    Debug,
}

/// How progress was asked to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProgressWish {
    /// A bar on a terminal, lines elsewhere.
    Auto,
    /// A bar in any case.
    Bar,
    /// Lines in any case.
    Lines,
    /// JSON lines, on this descriptor if it is given.
    Json(Option<u32>),
    /// Not at all.
    None,
}

/// Reads `auto`, `bar`, `lines`, `none`, `json` or `json=FD`, in any case.
pub(crate) fn progress_wish(text: &str) -> Option<ProgressWish> {
    let text = text.to_ascii_lowercase();
    Some(match text.as_str() {
        "auto" => ProgressWish::Auto,
        "bar" => ProgressWish::Bar,
        "lines" => ProgressWish::Lines,
        "none" => ProgressWish::None,
        "json" => ProgressWish::Json(None),
        _ => ProgressWish::Json(Some(text.strip_prefix("json=")?.parse().ok()?)),
    })
}

/// The global options, checked.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The layout asked for.
    pub(crate) layout: Option<Layout>,
    /// The log asked for.
    pub(crate) log_path: Option<PathBuf>,
    /// How much is logged.
    pub(crate) log_level: LogLevel,
    /// Nothing but errors is printed.
    pub(crate) quiet: bool,
    /// The scratch directory asked for.
    pub(crate) scratch_dir: Option<PathBuf>,
    /// One JSON document instead of text.
    pub(crate) json: bool,
    /// Nothing is written.
    pub(crate) dry_run: bool,
    /// 0 for one per core.
    pub(crate) threads: usize,
    /// The bound of memory asked for.
    pub(crate) memory: Option<u64>,
    /// Hives are opened although their logs are missing.
    pub(crate) ignore_dirty: bool,
    /// How progress is shown.
    pub(crate) progress: ProgressWish,
    /// The clock stands still at a given time.
    pub(crate) reproducible: bool,
}

impl Settings {
    /// Reads the values of the global options.
    ///
    /// # Errors
    /// When a value makes no sense, or asks for what is not supported.
    pub(crate) fn new(values: &Values) -> Result<Self> {
        unsupported_directories(values)?;
        let layout = values.text("format")?.map(|layout| match layout.eq_ignore_ascii_case("table") {
            true => Layout::Table,
            false => Layout::List,
        });
        let log_level = match values.text("log_level")? {
            None | Some("3") => LogLevel::Information,
            Some("1") => LogLevel::Errors,
            Some("2") => LogLevel::Warnings,
            Some("4") => LogLevel::Debug,
            Some(_) => return Err(CommandLineError::InvalidLogLevel.into()),
        };
        let progress = values.text("progress")?.and_then(progress_wish).unwrap_or(ProgressWish::Auto);
        Ok(Self {
            layout,
            log_path: values.path("log_path")?,
            log_level,
            quiet: values.has("quiet"),
            scratch_dir: values.path("scratch_dir")?,
            json: values.has("json"),
            dry_run: values.has("dry_run"),
            threads: values.number("threads")?.unwrap_or(0),
            memory: values.text("memory")?.and_then(size),
            ignore_dirty: values.has("ignore_dirty"),
            progress,
            reproducible: values.has("reproducible"),
        })
    }
}

fn unsupported_directories(values: &Values) -> Result<()> {
    if let Some(directory) = values.text("win_dir")?
        && !directory.trim_matches(['\\', '/']).eq_ignore_ascii_case("windows")
    {
        return Err(Error::new(
            ErrorClass::Unsupported,
            format!("The Windows directory {directory} cannot be chosen: transom finds it by itself so far."),
        )
        .with_hint("leave /WinDir out"));
    }
    if let Some(directory) = values.text("sys_drive_dir")?
        && values.text("image")? != Some(directory)
    {
        return Err(Error::new(
            ErrorClass::Unsupported,
            format!("The boot manager's directory {directory} cannot be chosen yet."),
        )
        .with_hint("leave /SysDriveDir out: the image's own boot files are used"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&'static str, &str)]) -> Result<Settings> {
        let mut values = Values::default();
        for (id, value) in pairs {
            values.push(id, *value);
        }
        Settings::new(&values)
    }

    #[test]
    fn defaults_and_words_in_any_case() {
        let settings = of(&[]).unwrap();
        assert_eq!((settings.log_level, settings.layout), (LogLevel::Information, None));
        assert_eq!((settings.threads, settings.memory, settings.progress), (0, None, ProgressWish::Auto));
        let settings = of(&[("memory", "1g"), ("threads", "3"), ("progress", "json=5")]).unwrap();
        assert_eq!((settings.threads, settings.memory), (3, Some(1 << 30)));
        assert_eq!(settings.progress, ProgressWish::Json(Some(5)));
        let settings = of(&[("format", "TABLE"), ("progress", "JSON"), ("log_level", "1")]).unwrap();
        assert_eq!(settings.layout, Some(Layout::Table));
        assert_eq!(settings.progress, ProgressWish::Json(None));
        assert_eq!(settings.log_level, LogLevel::Errors);
    }

    #[test]
    fn what_is_not_supported_is_refused() {
        assert!(of(&[("win_dir", "\\Windows")]).is_ok());
        let cases = [("win_dir", "Winnt", "50"), ("sys_drive_dir", "/mnt/s", "50"), ("log_level", "5", "87")];
        for (id, value, code) in cases {
            assert_eq!(of(&[(id, value)]).unwrap_err().code().to_string(), code, "{id}");
        }
    }
}
