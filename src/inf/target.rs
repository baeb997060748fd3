// SPDX-License-Identifier: GPL-3.0-or-later
//! What an INF is read for.

use std::sync::Arc;

use super::Inf;
use crate::base::{Arch, Result, Version};

/// What the image is, for choosing sections.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The image's architecture.
    pub arch: Arch,
    /// major.minor.build (revision unused)
    pub version: Version,
    /// 1 workstation, 2 domain controller, 3 server
    pub product_type: u8,
    /// `VER_SUITE_*` bits.
    pub suite_mask: u32,
    /// LANGID for [Strings.xxxx]
    pub language: u16,
}

/// Gives the INFs that `Include` names: on Windows those of `Windows\INF`.
pub trait IncludeSource {
    /// The INF of this file name; nothing when there is none, which is no error.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    fn inf(&self, name: &str) -> Result<Option<Arc<Inf>>>;
}

/// Has no INF at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoIncludes;

impl IncludeSource for NoIncludes {
    fn inf(&self, _name: &str) -> Result<Option<Arc<Inf>>> {
        Ok(None)
    }
}

/// Whether models without an architecture count on other machines than x86.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UndecoratedModels {
    /// They are for x86 only, as Windows has it since Server 2003 SP1.
    #[default]
    X86Only,
    /// They are for every machine.
    AnyArch,
}

/// Where the directory ids lie on the running target, for text that names them.
#[derive(Clone, Debug)]
pub struct Directories {
    /// The Windows directory, `C:\Windows`.
    pub windows: String,
    /// The drive it is on, with its backslash.
    pub system_drive: String,
    /// The package's own folder in the store (id 13); `%13%` stays as it is without it.
    pub store_folder: Option<String>,
}

impl Default for Directories {
    fn default() -> Self {
        Self { windows: r"C:\Windows".into(), system_drive: r"C:\".into(), store_folder: None }
    }
}

impl Directories {
    /// The path of a directory id; nothing for ids that only a running system can tell.
    ///
    /// Ids and folders from Microsoft's "Using dirids"; from 16384 on they are `CSIDL_*` + 16384.
    pub fn path(&self, dirid: u32) -> Option<String> {
        let below = |folder: &str| Some(format!("{}\\{folder}", self.windows));
        let drive = |folder: &str| Some(format!("{}{folder}", self.system_drive));
        match dirid {
            10 | 16420 => Some(self.windows.clone()),
            11 | 16421 => below("System32"),
            12 => below(r"System32\drivers"),
            13 => self.store_folder.clone(),
            17 => below("INF"),
            18 => below("Help"),
            20 | 16404 => below("Fonts"),
            21 => below(r"System32\viewers"),
            23 => below(r"System32\spool\drivers\color"),
            24 | 30 => Some(self.system_drive.clone()),
            50 => below("system"),
            51 => below(r"System32\spool"),
            52 => below(r"System32\spool\drivers"),
            54 => Some(self.system_drive.clone()),
            55 => below(r"System32\spool\prtprocs"),
            16419 => drive("ProgramData"),
            16422 => drive("Program Files"),
            16425 => below("SysWOW64"),
            16426 => drive("Program Files (x86)"),
            16427 => drive(r"Program Files\Common Files"),
            16428 => drive(r"Program Files (x86)\Common Files"),
            _ => None,
        }
    }
}

/// How [`Inf::package_with`] reads.
#[derive(Clone)]
pub struct PackageOptions<'a> {
    /// Where included INFs come from.
    pub includes: &'a dyn IncludeSource,
    /// What `%11%` and its like become in text.
    pub directories: Directories,
    /// Whether models without an architecture count.
    pub undecorated: UndecoratedModels,
}

impl Default for PackageOptions<'_> {
    fn default() -> Self {
        Self {
            includes: &NoIncludes,
            directories: Directories::default(),
            undecorated: UndecoratedModels::default(),
        }
    }
}
