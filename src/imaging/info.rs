// SPDX-License-Identifier: GPL-3.0-or-later
//! What a WIM says about its images.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use crate::base::{Error, ErrorClass, Result, name};
use crate::codec::Codec;
use crate::wim::{ImageIndex, ImageInfo, Wim};

/// Which images of a file are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Each of them.
    All,
    /// The one with this number.
    Index(ImageIndex),
    /// The one whose `<NAME>` is this, in any case.
    Name(String),
}

/// The answer to `/Get-ImageInfo`.
#[derive(Clone, Debug, serde::Serialize)]
pub struct InfoReport {
    /// The file as it was named.
    #[serde(serialize_with = "super::lossy_path")]
    pub file: PathBuf,
    /// The identity that all parts of a split WIM share.
    pub guid: String,
    /// How its resources are compressed; nothing when they are stored as they are.
    pub compression: Option<Codec>,
    /// Bytes that are compressed together.
    pub chunk_size: Option<u32>,
    /// Whether files are compressed together.
    pub solid: bool,
    /// Whether the file carries a table of its own checksums.
    pub integrity_table: bool,
    /// Which part of how many.
    pub part: (u16, u16),
    /// The image to boot from; 0 for none.
    pub boot_index: u32,
    /// How many images the file holds.
    pub image_count: u32,
    /// Whether one image was asked for: then all its facts are shown.
    pub detailed: bool,
    /// The images that were asked for, in index order.
    pub images: Vec<ImageInfo>,
}

/// The facts about all images or about one.
///
/// # Errors
/// When the file cannot be read as a WIM, or holds no such image.
pub fn info(file: &Path, selection: &Selection) -> Result<InfoReport> {
    let wim = Wim::open(file)?;
    let images = match selection {
        Selection::All => wim.images().to_vec(),
        Selection::Index(index) => vec![at(&wim, *index)?.clone()],
        Selection::Name(name) => vec![at(&wim, find(&wim, name)?)?.clone()],
    };
    Ok(InfoReport {
        file: file.to_owned(),
        guid: wim.guid().to_string(),
        compression: wim.compression().map(|compression| compression.codec),
        chunk_size: wim.compression().map(|compression| compression.chunk_size),
        solid: wim.is_solid(),
        integrity_table: wim.has_integrity_table(),
        part: wim.part(),
        boot_index: wim.boot_index(),
        image_count: wim.image_count(),
        detailed: *selection != Selection::All,
        images,
    })
}

/// The image whose name is `wanted`, in any case.
///
/// # Errors
/// When no image has it, or several have.
pub fn find(wim: &Wim, wanted: &str) -> Result<ImageIndex> {
    let wanted_units = name::units(wanted);
    let mut matching = wim.images().iter().filter(|image| {
        image.name.as_deref().is_some_and(|own| name::same(&name::units(own), &wanted_units))
    });
    let found = matching.next().ok_or_else(|| {
        Error::new(ErrorClass::NotFound, format!("{} holds no image named {wanted:?}", wim.path().display()))
            .with_hint(names(wim))
    })?;
    if matching.next().is_some() {
        return Err(Error::new(
            ErrorClass::Usage,
            format!("{} holds several images named {wanted:?}", wim.path().display()),
        )
        .with_hint("name the image by its index"));
    }
    NonZeroU32::new(found.index)
        .map(ImageIndex)
        .ok_or_else(|| Error::new(ErrorClass::Corrupt, format!("{} names an image 0", wim.path().display())))
}

fn at(wim: &Wim, index: ImageIndex) -> Result<&ImageInfo> {
    // Fails in the words of the room when there is no such image.
    wim.metadata_hash(index)?;
    wim.images().iter().find(|image| image.index == index.0.get()).ok_or_else(|| {
        Error::new(ErrorClass::Corrupt, format!("{} says nothing of image {}", wim.path().display(), index.0))
    })
}

fn names(wim: &Wim) -> String {
    let names: Vec<String> =
        wim.images().iter().filter_map(|image| Some(format!("{:?}", image.name.as_deref()?))).collect();
    match names.as_slice() {
        [] => "no image in the file has a name; use an index".to_owned(),
        names => format!("its images are named {}", names.join(", ")),
    }
}
