// SPDX-License-Identifier: GPL-3.0-or-later
//! Reading INFs for an image: what a file is, and whether it is for this image.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::base::{Arch, Result, Version, WinPath};
use crate::image::WindowsInfo;
use crate::inf::{
    Decoration, Directories, IncludeSource, Inf, PackageOptions, PackagePlan, Target, UndecoratedModels,
};
use crate::volume::{self, Overlay};

use super::DriverError;
use super::store_name;

/// What an image is to an INF.
pub(super) fn target(windows: &WindowsInfo) -> Target {
    Target {
        arch: windows.arch,
        version: windows.version,
        product_type: windows.product_type,
        suite_mask: windows.suite_mask,
        language: windows.language,
    }
}

/// Included INFs, from the image's `Windows\INF`; each is read once for all packages.
pub(super) struct ImageIncludes<'a> {
    overlay: &'a Overlay,
    folder: WinPath,
    read: Mutex<HashMap<String, Option<Arc<Inf>>>>,
}

impl<'a> ImageIncludes<'a> {
    pub(super) fn new(overlay: &'a Overlay, windows: &WindowsInfo) -> Self {
        Self { overlay, folder: windows.directory.join("INF"), read: Mutex::new(HashMap::new()) }
    }
}

impl IncludeSource for ImageIncludes<'_> {
    fn inf(&self, name: &str) -> Result<Option<Arc<Inf>>> {
        let key = name.to_lowercase();
        if let Some(known) = self.read.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(known.clone());
        }
        let inf = match WinPath::parse(name).filter(|path| path.components().len() == 1) {
            Some(path) => match volume::read_file(self.overlay, &self.folder.join_path(&path))? {
                Some(bytes) => Some(Arc::new(Inf::parse(&bytes)?)),
                None => None,
            },
            None => None,
        };
        self.read.lock().unwrap_or_else(PoisonError::into_inner).insert(key, inf.clone());
        Ok(inf)
    }
}

/// What an INF means to an image.
pub(super) enum Reading {
    /// Something to add.
    Package(Box<PackagePlan>),
    /// Something for other images.
    Other(DriverError),
    /// Nothing to add anywhere.
    NotADriver(DriverError),
}

/// Reads an INF for an image.
pub(super) fn read(
    inf_name: &str,
    bytes: &[u8],
    windows: &WindowsInfo,
    includes: &dyn IncludeSource,
    undecorated: UndecoratedModels,
) -> Result<Reading> {
    let inf = Inf::parse(bytes)?;
    let store = store_name::store_name(inf_name, windows.arch, bytes);
    let directories = Directories {
        store_folder: Some(format!(
            "C:\\{}\\System32\\DriverStore\\FileRepository\\{store}",
            windows.directory
        )),
        windows: format!("C:\\{}", windows.directory),
        ..Directories::default()
    };
    let options = PackageOptions { includes, directories, undecorated };
    let target = target(windows);
    let plan = inf.package_with(&target, &options)?;
    for warning in &plan.warnings {
        tracing::warn!(inf = inf_name, "{warning}");
    }
    if !plan.devices.is_empty() || plan.default_install.is_some() || plan.has_class_install {
        // ClassInstall32 is often empty, there to please checkers: models for others decide.
        let only_class = plan.devices.is_empty() && plan.default_install.is_none();
        if !only_class || supported(&inf, windows).is_empty() {
            return Ok(Reading::Package(Box::new(plan)));
        }
    }
    let supported = supported(&inf, windows);
    if supported.is_empty() && plan.offered.is_empty() {
        return Ok(Reading::NotADriver(DriverError::NotADriver { inf: inf_name.to_owned() }));
    }
    Ok(Reading::Other(DriverError::NotApplicable {
        inf: inf_name.to_owned(),
        arch: windows.arch,
        version: windows.version,
        supported: in_words(&supported, &plan.offered),
    }))
}

/// Architectures that the INF has models for, at the image's version or at any.
fn supported(inf: &Inf, windows: &WindowsInfo) -> Vec<Arch> {
    const NEWEST: Version = Version::new(10, 0, u16::MAX, 0);
    let has_models = |arch: &Arch| {
        [windows.version, NEWEST].into_iter().any(|version| {
            let target = Target { arch: *arch, version, ..target(windows) };
            inf.package(&target).is_ok_and(|plan| !plan.devices.is_empty())
        })
    };
    Arch::ALL.into_iter().filter(has_models).collect()
}

fn in_words(supported: &[Arch], offered: &[Decoration]) -> String {
    let decorations: Vec<String> = offered.iter().map(ToString::to_string).collect();
    let archs: Vec<&str> = supported.iter().map(|arch| arch.as_str()).collect();
    match (archs.is_empty(), decorations.is_empty()) {
        (false, false) => format!("it has models for {} ({})", archs.join(", "), decorations.join(", ")),
        (false, true) => format!("it has models for {}", archs.join(", ")),
        (true, false) => format!("its models sections ({}) are empty or missing", decorations.join(", ")),
        (true, true) => "it has no models".to_owned(),
    }
}
