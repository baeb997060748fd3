// SPDX-License-Identifier: GPL-3.0-or-later
//! Images from one file into another, and a file without its holes.

use std::path::{Path, PathBuf};

use crate::base::{Code, Error, ErrorClass, Result};
use crate::io::{Cancel, Clock, Pool, Progress};
use crate::wim::{
    self, Boot, CommitOptions, ImageIndex, ImageText, Integrity, NewFile, Storage, Transaction, Wim,
};

use super::Selection;

/// How a new file is compressed, in DISM's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Compress {
    /// Not at all.
    None,
    /// XPRESS.
    Fast,
    /// LZX.
    Max,
    /// LZMS, each file by itself. DISM does not write this, and reads it.
    Lzms,
    /// LZMS, all files together: an ESD.
    Recovery,
}

impl Compress {
    /// Fails for a new file whose name does not go with it.
    pub(super) fn check_name(self, destination: &Path) -> Result<()> {
        let esd = destination.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("esd"));
        if self != Self::Recovery || esd {
            return Ok(());
        }
        Err(Error::new(
            ErrorClass::Usage,
            format!("recovery compression makes an ESD, and {} is not named so", destination.display()),
        )
        .with_hint("let the destination end in .esd"))
    }

    pub(super) fn storage(self) -> Storage {
        match self {
            Self::None => Storage::NONE,
            Self::Fast => Storage::FAST,
            Self::Max => Storage::MAXIMUM,
            Self::Lzms => Storage { solid: None, ..Storage::RECOVERY },
            Self::Recovery => Storage::RECOVERY,
        }
    }
}

/// Which images go where.
#[derive(Clone, Debug)]
pub struct ExportRequest {
    /// The file that holds them; of a split set the first part.
    pub source: PathBuf,
    /// Which of them.
    pub images: Selection,
    /// The file that gets them; it is made if it does not exist.
    pub destination: PathBuf,
    /// The name there, for one image.
    pub name: Option<String>,
    /// How a new file is compressed; as the source is, if not said. An existing file keeps its own.
    pub compress: Option<Compress>,
    /// Make the (last) image the one to boot from.
    pub bootable: bool,
    /// Verify the source first, and give a new file an integrity table.
    pub check_integrity: bool,
}

/// What an export did.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ExportReport {
    /// The file that held the images.
    #[serde(serialize_with = "super::lossy_path")]
    pub source: PathBuf,
    /// The file that has them now.
    #[serde(serialize_with = "super::lossy_path")]
    pub destination: PathBuf,
    /// Whether the destination is new; else the images were added to it.
    pub created: bool,
    /// Whether a compression was asked for that an existing destination does not have.
    pub compression_ignored: bool,
    /// The numbers in the source.
    pub images: Vec<u32>,
    /// Blobs that the destination did not have.
    pub new_blobs: u64,
    /// Their length.
    pub new_bytes: u64,
    /// Length of the destination now.
    pub file_size: u64,
}

/// What the verbs that write files work with.
pub struct Work<'a> {
    /// Where heavy work runs.
    pub pool: &'a Pool,
    /// Told how far it is.
    pub progress: &'a dyn Progress,
    /// Asked whether to stop.
    pub cancel: &'a Cancel,
    /// Stamps new files.
    pub clock: &'a dyn Clock,
}

impl Work<'_> {
    pub(super) fn options(&self) -> CommitOptions<'_> {
        CommitOptions { pool: self.pool, progress: self.progress, cancel: self.cancel }
    }
}

/// Copies images into another file, with the data that they need and no other.
///
/// # Errors
/// When the source is damaged or incomplete, when a name is taken in the destination, when both are
/// one file, or when the system fails: then the destination is as it was.
pub fn export(request: &ExportRequest, work: &Work<'_>) -> Result<ExportReport> {
    let wim = Wim::open_set(&request.source)?;
    let images = super::selected(&wim, &request.images)?;
    if request.name.is_some() && images.len() > 1 {
        return Err(Error::new(ErrorClass::Usage, format!("one name was given for {} images", images.len()))
            .with_hint("export them one by one, or without a name"));
    }
    let exists = request.destination.exists();
    if exists && same_file(&request.source, &request.destination) {
        return Err(Error::new(
            ErrorClass::Usage,
            format!("{} is both source and destination", request.source.display()),
        )
        .with_hint("name another destination; `transom image optimize` writes a file anew"));
    }
    if let Some(compress) = request.compress.filter(|_| !exists) {
        compress.check_name(&request.destination)?;
    }
    if request.check_integrity {
        super::check_sound(&wim, work)?;
    }
    let text = || ImageText { name: request.name.clone(), ..ImageText::default() };
    let numbers = images.iter().map(|index| index.number()).collect();
    let (source, destination) = (request.source.clone(), request.destination.clone());
    if exists {
        let before = Wim::open(&destination)?;
        let ignored = request.compress.is_some_and(|compress| compress.storage() != Storage::of(&before));
        let mut transaction = Transaction::new(&destination);
        for index in &images {
            transaction.add_image(&wim, *index, text());
        }
        if request.bootable {
            transaction.set_boot(Boot::LastAdded);
        }
        let report = transaction.commit(&work.options())?;
        return Ok(ExportReport {
            source,
            destination,
            created: false,
            compression_ignored: ignored,
            images: numbers,
            new_blobs: report.new_blobs,
            new_bytes: report.new_bytes,
            file_size: report.file_size_after,
        });
    }
    let storage = request.compress.map_or_else(|| Storage::of(&wim), Compress::storage);
    let integrity = if request.check_integrity { Integrity::Table } else { Integrity::Absent };
    let mut file = NewFile::new(&destination, storage, integrity, work.clock.now());
    for index in &images {
        file.image(&wim, *index, text());
        if !request.bootable && wim.boot_index() == index.number() {
            file.boot_from_last();
        }
    }
    if request.bootable {
        file.boot_from_last();
    }
    let report = file.write(&work.options())?;
    Ok(ExportReport {
        source,
        destination,
        created: true,
        compression_ignored: false,
        images: numbers,
        new_blobs: report.blobs,
        new_bytes: report.bytes,
        file_size: report.file_size,
    })
}

fn same_file(left: &Path, right: &Path) -> bool {
    match (std::fs::canonicalize(left), std::fs::canonicalize(right)) {
        (Ok(left), Ok(right)) => left == right,
        _ => false,
    }
}

/// What writing a file anew gave.
#[derive(Clone, Debug, serde::Serialize)]
pub struct OptimizeReport {
    /// The file.
    #[serde(serialize_with = "super::lossy_path")]
    pub file: PathBuf,
    /// Images in it.
    pub images: u32,
    /// Blobs in it.
    pub blobs: u64,
    /// Its length before.
    pub size_before: u64,
    /// Its length now.
    pub size_after: u64,
    /// The bytes that were given back.
    pub reclaimed: u64,
}

/// Writes a file anew without dead space.
///
/// # Errors
/// When it may not be changed, is damaged or incomplete, or the system fails: then it is as it was.
pub fn optimize(file: &Path, work: &Work<'_>) -> Result<OptimizeReport> {
    let report = wim::rebuild(file, &work.options())?;
    Ok(OptimizeReport {
        file: file.to_owned(),
        images: report.file.images,
        blobs: report.file.blobs,
        size_before: report.file_size_before,
        size_after: report.file.file_size,
        reclaimed: report.file_size_before.saturating_sub(report.file.file_size),
    })
}

/// What dividing a file gave.
#[derive(Clone, Debug, serde::Serialize)]
pub struct SplitFileReport {
    /// The file.
    #[serde(serialize_with = "super::lossy_path")]
    pub file: PathBuf,
    /// The length that was asked for.
    pub limit: u64,
    /// The parts.
    #[serde(flatten)]
    pub report: wim::SplitReport,
}

/// Divides a file into parts of at most `megabytes` MiB.
///
/// # Errors
/// When it is solid, a part itself, damaged; when a part exists; when the system fails.
pub fn split(
    file: &Path,
    first: &Path,
    megabytes: u64,
    check_integrity: bool,
    work: &Work<'_>,
) -> Result<SplitFileReport> {
    let limit = megabytes.checked_mul(1 << 20).filter(|limit| *limit > 0).ok_or_else(|| {
        Error::new(ErrorClass::Usage, format!("{megabytes} MB is no length for a part"))
            .with_code(Code::INVALID_PARAMETER)
    })?;
    let wim = Wim::open(file)?;
    if check_integrity {
        super::check_sound(&wim, work)?;
    }
    let integrity = if check_integrity { Integrity::Table } else { Integrity::Absent };
    let report = wim::split(&wim, first, limit, integrity, work.clock.now(), &work.options())?;
    Ok(SplitFileReport { file: file.to_owned(), limit, report })
}

/// The image that a number means, as it is now.
pub(super) fn identity(wim: &Wim, index: ImageIndex) -> Result<wim::ImageIdentity> {
    Ok((index, wim.metadata_hash(index)?))
}
