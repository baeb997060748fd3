// SPDX-License-Identifier: GPL-3.0-or-later
//! Changes to what a file says of its images, and to which it holds.

use std::path::{Path, PathBuf};

use crate::base::{Error, ErrorClass, Result};
use crate::wim::{Boot, ImageIndex, ImageText, Transaction, Wim};

use super::export::{Work, identity};
use super::{Selection, one};

/// What deleting an image gave.
#[derive(Clone, Debug, serde::Serialize)]
pub struct DeleteReport {
    /// The file.
    #[serde(serialize_with = "super::lossy_path")]
    pub file: PathBuf,
    /// The number that the image had.
    pub index: u32,
    /// The name that it had.
    pub name: Option<String>,
    /// Images that are left; those behind the deleted one moved up.
    pub image_count: u32,
}

/// Removes an image: its metadata and what the file says of it. Its data stays as dead space.
///
/// # Errors
/// When there is no such image, or it is the last one; when the file may not be changed.
pub fn delete(
    file: &Path,
    selection: &Selection,
    check_integrity: bool,
    work: &Work<'_>,
) -> Result<DeleteReport> {
    let wim = Wim::open(file)?;
    let index = one(&wim, selection)?;
    if check_integrity {
        super::check_sound(&wim, work)?;
    }
    let mut transaction = Transaction::new(file);
    transaction.remove_image(identity(&wim, index)?);
    transaction.commit(&work.options())?;
    let info = wim.images().iter().find(|image| image.index == index.number());
    Ok(DeleteReport {
        file: file.to_owned(),
        index: index.number(),
        name: info.and_then(|image| image.name.clone()),
        image_count: Wim::open(file)?.image_count(),
    })
}

/// What is to be set.
#[derive(Clone, Debug, Default)]
pub struct SetRequest {
    /// Texts of the image.
    pub text: ImageText,
    /// Whether the file is to be booted from the image (or from none, if not).
    pub boot: Option<bool>,
}

/// What setting gave.
#[derive(Clone, Debug, serde::Serialize)]
pub struct SetReport {
    /// The file.
    #[serde(serialize_with = "super::lossy_path")]
    pub file: PathBuf,
    /// The image.
    pub index: u32,
    /// Its name now.
    pub name: Option<String>,
    /// Its description now.
    pub description: Option<String>,
    /// Its flags now.
    pub flags: Option<String>,
    /// The image to boot from; 0 for none.
    pub boot_index: u32,
}

/// Sets texts of an image, and whether it is booted from.
///
/// # Errors
/// When nothing is to be set, the name is taken, or the file may not be changed.
pub fn set(file: &Path, selection: &Selection, request: &SetRequest, work: &Work<'_>) -> Result<SetReport> {
    let wim = Wim::open(file)?;
    let index: ImageIndex = one(&wim, selection)?;
    if request.text.is_empty() && request.boot.is_none() {
        return Err(Error::new(ErrorClass::Usage, "nothing was said that should be set")
            .with_hint("for example: transom image set install.wim:1 --name \"Windows 11 Pro\""));
    }
    let image = identity(&wim, index)?;
    let mut transaction = Transaction::new(file);
    if !request.text.is_empty() {
        transaction.describe_image(image, request.text.clone());
    }
    match request.boot {
        Some(true) => transaction.set_boot(Boot::Image(image)),
        Some(false) => transaction.set_boot(Boot::None),
        None => {}
    }
    transaction.commit(&work.options())?;
    let wim = Wim::open(file)?;
    let info = wim.images().iter().find(|image| image.index == index.number()).cloned().unwrap_or_default();
    Ok(SetReport {
        file: file.to_owned(),
        index: index.number(),
        name: info.name,
        description: info.description,
        flags: info.flags,
        boot_index: wim.boot_index(),
    })
}
