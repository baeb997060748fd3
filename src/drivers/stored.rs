// SPDX-License-Identifier: GPL-3.0-or-later
//! Packages of the store, read back from the image.

use std::sync::Arc;

use crate::base::{NodeId, NodeKind, Result, StreamKind, WinPath};
use crate::image::{Session, WindowsInfo};
use crate::inf::{PackagePlan, UndecoratedModels};
use crate::io::ReadAt;
use crate::volume::{Overlay, Volume};

use super::class::SetupClass;
use super::database::StagedPackage;
use super::package::{self, ImageIncludes, Reading};
use super::published_name::PublishedName;
use super::reflection;
use super::source::PackageFile;
use super::store::Store;

/// A package's INF, read for the image.
pub(super) struct StoredPlan {
    /// Name of the INF in its own case.
    pub(super) inf_name: String,
    pub(super) inf: Vec<u8>,
    /// Nothing when the INF is broken or not for this image.
    pub(super) plan: Option<Box<PackagePlan>>,
    /// Why there is no plan.
    pub(super) fault: Option<String>,
}

/// Reads a package's INF; nothing when it is not there.
pub(super) fn plan(
    overlay: &Overlay,
    windows: &WindowsInfo,
    includes: &ImageIncludes<'_>,
    store_name: &str,
) -> Result<Option<StoredPlan>> {
    let Some((path, inf)) = Store::new(overlay, &windows.directory).package_inf(store_name)? else {
        return Ok(None);
    };
    let inf_name = path.file_name().map(ToString::to_string).unwrap_or_default();
    let read = |undecorated| package::read(&inf_name, &inf, windows, includes, undecorated);
    let mut reading = read(UndecoratedModels::X86Only);
    if matches!(reading, Ok(Reading::Other(_))) {
        // It may have been added by force.
        reading = read(UndecoratedModels::AnyArch);
    }
    let (plan, fault) = match reading {
        Ok(Reading::Package(plan)) => (Some(plan), None),
        Ok(Reading::Other(error) | Reading::NotADriver(error)) => (None, Some(error.to_string())),
        Err(error) => (None, Some(error.to_string())),
    };
    Ok(Some(StoredPlan { inf_name, inf, plan, fault }))
}

/// A file below a package's folder.
pub(super) struct StoredFile {
    /// Below the folder.
    pub(super) relative: WinPath,
    pub(super) node: NodeId,
    pub(super) length: u64,
}

/// How deep folders of a package are followed.
const MAX_DEPTH: usize = 64;

/// Every file below a folder, folder by folder; links to elsewhere are not followed.
pub(super) fn files(overlay: &Overlay, folder: NodeId) -> Result<Vec<StoredFile>> {
    let mut found = Vec::new();
    let mut pending = vec![(folder, WinPath::root())];
    while let Some((node, path)) = pending.pop() {
        for entry in overlay.entries(node)? {
            let record = overlay.node(entry.node)?;
            let relative = path.join(entry.name);
            match record.kind() {
                NodeKind::File => found.push(StoredFile {
                    relative,
                    node: entry.node,
                    length: record.data().map_or(0, |data| data.length),
                }),
                NodeKind::Directory if relative.components().len() < MAX_DEPTH => {
                    pending.push((entry.node, relative));
                }
                _ => {}
            }
        }
    }
    found.sort_by(|left, right| left.relative.cmp(&right.relative));
    Ok(found)
}

/// The files of a package's folder, opened.
pub(super) fn package_files(overlay: &Overlay, folder: NodeId) -> Result<Vec<PackageFile>> {
    let open = |file: StoredFile| {
        let data: Arc<dyn ReadAt> = overlay.open(file.node, StreamKind::Data, &[])?;
        Ok(PackageFile { relative: file.relative, data, digests: None })
    };
    files(overlay, folder)?.into_iter().map(open).collect()
}

/// Puts the packages of a published name to work again: what another package had put in their
/// place is gone.
pub(super) fn reflect_again(
    session: &mut Session,
    windows: &WindowsInfo,
    published: PublishedName,
    store_name: &str,
) -> Result<Vec<String>> {
    let read = {
        let includes = ImageIncludes::new(session.overlay(), windows);
        plan(session.overlay(), windows, &includes, store_name)?
    };
    let cannot = |why: &str| vec![format!("{store_name} shares files or services with it: {why}")];
    let Some(StoredPlan { inf_name, plan, fault, .. }) = read else {
        return Ok(cannot("its INF is missing, so they cannot be restored from it"));
    };
    let Some(plan) = plan else { return Ok(cannot(&fault.unwrap_or_default())) };
    let Some(class) = SetupClass::of(session.registry(), &plan.version)? else {
        return Ok(cannot("its setup class is not known"));
    };
    let staged = StagedPackage { store_name, published, inf_name: &inf_name, class: &class, plan: &plan };
    if !staged.is_reflected() {
        return Ok(Vec::new());
    }
    let folder = session.resolve(&Store::new(session.overlay(), &windows.directory).package(store_name))?;
    let files = match folder {
        Some(folder) => package_files(session.overlay(), folder)?,
        None => Vec::new(),
    };
    reflection::reflect(session, windows, &staged, &files)
}
