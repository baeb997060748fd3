// SPDX-License-Identifier: GPL-3.0-or-later
//! From a tree into an image file: a new one, or one more image of one that is there.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::{Code, Error, ErrorClass, Result, name};
use crate::image::{Environment, Session};
use crate::volume::directory::LinkFixing;
use crate::volume::{DirectoryVolume, Volume};
use crate::wim::{
    Boot, CommitFile, ImageIndex, ImageInfo, ImageText, Integrity, LinkTargets, NewFile, NewImage,
    Transaction, Wim, WimError,
};

use super::capture_list::CaptureList;
use super::export::{Compress, Work};
use super::scan::scan;
use super::windows_facts::windows_facts;

/// Where a captured image goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaptureTarget {
    /// Into a new file.
    New(Compress),
    /// Behind the images of a file that is there, compressed as that is.
    Append,
}

/// What is captured, and how.
#[derive(Clone, Debug)]
pub struct CaptureRequest {
    /// The directory, for messages and to see that the file is not in it.
    pub source: PathBuf,
    /// The file.
    pub destination: PathBuf,
    /// Whether that is new.
    pub target: CaptureTarget,
    /// What the image is called; the name must be there.
    pub text: ImageText,
    /// What is left out.
    pub list: CaptureList,
    /// Make it the image to boot from.
    pub bootable: bool,
    /// Give a new file an integrity table; check one that is there before anything is added.
    pub check_integrity: bool,
    /// Read the whole file again afterwards.
    pub verify: bool,
    /// What absolute targets of links in the volume mean.
    pub links: LinkTargets,
}

/// What a capture did.
#[derive(Clone, Debug, serde::Serialize)]
pub struct CaptureReport {
    /// The directory.
    #[serde(serialize_with = "super::lossy_path")]
    pub source: PathBuf,
    /// The file.
    #[serde(serialize_with = "super::lossy_path")]
    pub destination: PathBuf,
    /// Whether the file is new; else the image was added to it.
    pub created: bool,
    /// The number of the image.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Directories in it, without the root.
    pub directories: u64,
    /// Files in it, every name counted.
    pub files: u64,
    /// Length of all their streams.
    pub bytes: u64,
    /// What the capture list left out, with everything below it.
    pub left_out: Vec<String>,
    /// Blobs that the file did not have.
    pub new_blobs: u64,
    /// Their length.
    pub new_bytes: u64,
    /// Length of the file now.
    pub file_size: u64,
    /// Whether everything was read again and found to be right.
    pub verified: bool,
    /// What should be known about it.
    pub warnings: Vec<String>,
}

/// Captures the directory that the request names.
///
/// # Errors
/// As [`capture`], and when there is no such directory.
pub fn capture_directory(
    request: &CaptureRequest,
    fixing: LinkFixing,
    environment: &Environment,
) -> Result<CaptureReport> {
    // What is wrong with the names is said before anything is read.
    check_places(request)?;
    let directory = Arc::new(DirectoryVolume::open_with(&request.source, fixing)?);
    let volume: Arc<dyn Volume> = directory.clone();
    let mut warnings = Vec::new();
    let facts = match Session::open_volume(volume.clone(), environment.clone()) {
        Ok(mut session) => windows_facts(&mut session),
        // There is no Windows in it.
        Err(error) if error.class() == ErrorClass::NotApplicable => Ok(ImageInfo::default()),
        Err(error) => Err(error),
    };
    let facts = facts.unwrap_or_else(|error| {
        warnings.push(format!("what Windows this is cannot be told: {error}"));
        ImageInfo::default()
    });
    let Environment { pool, progress, cancel, clock, .. } = environment;
    let work = Work { pool, progress: &**progress, cancel, clock: &**clock };
    let mut report = capture(&volume, facts, request, &work)?;
    report.warnings.extend(warnings);
    report.warnings.extend(directory.warnings());
    Ok(report)
}

/// Captures a volume. `facts` is what the XML says of the Windows in it.
///
/// # Errors
/// When the name is missing or taken, the file exists (or does not, to append to it), lies inside
/// the source, or has no room; when something in the source is encrypted or changes meanwhile; when
/// the system fails. The file is then as it was, or is not there.
pub fn capture(
    volume: &Arc<dyn Volume>,
    facts: ImageInfo,
    request: &CaptureRequest,
    work: &Work<'_>,
) -> Result<CaptureReport> {
    capture_through(volume, facts, request, work, &mut |file| Box::new(file))
}

/// As [`capture`], with all writes going through what `wrap` makes of the file: for tests that let
/// writes fail.
///
/// # Errors
/// As [`capture`].
pub fn capture_through(
    volume: &Arc<dyn Volume>,
    facts: ImageInfo,
    request: &CaptureRequest,
    work: &Work<'_>,
    wrap: &mut dyn FnMut(File) -> Box<dyn CommitFile>,
) -> Result<CaptureReport> {
    let destination = &request.destination;
    let image_name = request.text.name.clone().filter(|name| !name.trim().is_empty()).ok_or_else(|| {
        Error::new(ErrorClass::Usage, "the image has no name").with_hint("name it with --name (/Name)")
    })?;
    check_places(request)?;
    let before = match request.target {
        CaptureTarget::New(_) => None,
        CaptureTarget::Append => {
            let wim = Wim::open(destination)?;
            check_name(&wim, &image_name)?;
            if request.check_integrity {
                super::check_sound(&wim, work)?;
            }
            Some(wim)
        }
    };
    let scanned = work.pool.run(|| scan(volume, &request.list, work.cancel))?;
    let now = work.clock.now();
    let text = request.text.clone();
    let info = ImageInfo {
        name: text.name,
        description: text.description,
        flags: text.flags.or(facts.flags.clone()),
        display_name: text.display_name.or(facts.display_name.clone()),
        display_description: text.display_description.or(facts.display_description.clone()),
        created: Some(now),
        modified: Some(now),
        wim_boot: Some(false),
        ..facts
    };
    let image = NewImage { tree: scanned.tree, info, links: request.links };
    let mut warnings: Vec<String> = request
        .list
        .unknown_sections()
        .iter()
        .map(|section| format!("the section {section} of the capture list means nothing here"))
        .collect();
    let (index, new_blobs, new_bytes, file_size) = match (request.target, before) {
        (CaptureTarget::New(compress), _) => {
            let integrity = if request.check_integrity { Integrity::Table } else { Integrity::Absent };
            let mut file = NewFile::new(destination, compress.storage(), integrity, now);
            file.new_image(image);
            if request.bootable {
                file.boot_from_last();
            }
            let report = file.write_through(&work.options(), wrap)?;
            (1, report.blobs, report.bytes, report.file_size)
        }
        (CaptureTarget::Append, before) => {
            let mut transaction = Transaction::new(destination);
            transaction.new_image(image);
            if request.bootable {
                transaction.set_boot(Boot::LastAdded);
            }
            let report = transaction.commit_through(&work.options(), wrap)?;
            if before.is_some_and(|wim| wim.is_solid()) {
                warnings.push(
                    "the new files were not compressed together with the old ones; \
                     exporting all images with --compress recovery does that"
                        .to_owned(),
                );
            }
            let index = Wim::open(destination)?.image_count();
            (index, report.new_blobs, report.new_bytes, report.file_size_after)
        }
    };
    let wim = Wim::open(destination)?;
    if request.verify {
        super::check_sound(&wim, work)?;
    }
    let figures = ImageIndex::new(index)
        .and_then(|index| wim.images().get(index.number() as usize - 1))
        .cloned()
        .unwrap_or_default();
    Ok(CaptureReport {
        source: request.source.clone(),
        destination: destination.clone(),
        created: request.target != CaptureTarget::Append,
        index,
        name: image_name,
        directories: figures.directories.unwrap_or(0),
        files: figures.files.unwrap_or(0),
        bytes: figures.size.unwrap_or(0),
        left_out: scanned.left_out.iter().map(|path| format!("\\{path}")).collect(),
        new_blobs,
        new_bytes,
        file_size,
        verified: request.verify,
        warnings,
    })
}

/// Fails where the file must not be.
fn check_places(request: &CaptureRequest) -> Result<()> {
    let destination = &request.destination;
    let exists = destination.symlink_metadata().is_ok();
    if let CaptureTarget::New(compress) = request.target {
        if exists {
            return Err(Error::new(ErrorClass::Usage, format!("{} exists already", destination.display()))
                .with_code(Code::FILE_EXISTS)
                .with_hint(
                    "name another file, or add the image to this one with `image append` (/Append-Image)",
                ));
        }
        compress.check_name(destination)?;
    }
    let folder = match destination.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let folder = std::fs::canonicalize(folder)
        .map_err(|error| Error::io(folder.display(), &error).with_code(Code::PATH_NOT_FOUND))?;
    // What is no directory of this machine contains nothing.
    let Ok(source) = std::fs::canonicalize(&request.source) else { return Ok(()) };
    let same = exists && std::fs::canonicalize(destination).is_ok_and(|found| found == source);
    if same || folder.starts_with(&source) {
        return Err(Error::new(
            ErrorClass::Usage,
            format!("{} lies inside {}, which is captured", destination.display(), request.source.display()),
        )
        .with_hint("name a file outside of the captured folder"));
    }
    Ok(())
}

/// Fails when an image of the file has the name.
fn check_name(wim: &Wim, wanted: &str) -> Result<()> {
    let wanted_units = name::units(wanted);
    let taken = |image: &&ImageInfo| {
        image.name.as_deref().is_some_and(|own| name::same(&name::units(own), &wanted_units))
    };
    match wim.images().iter().find(taken) {
        Some(_) => {
            Err(WimError::NameTaken { path: wim.path().display().to_string(), name: wanted.to_owned() }
                .into())
        }
        None => Ok(()),
    }
}
