// SPDX-License-Identifier: GPL-3.0-or-later
//! An image written to a directory.

mod plan;
mod sink;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use rayon::prelude::*;

use self::plan::{Form, Item, Plan};
use self::sink::Sink;
use super::{Selection, Work, one};
use crate::base::{Code, Context as _, Error, ErrorClass, Result};
use crate::io::{Event, Task};
use crate::volume::directory::{DirectoryWriter, LinkFixing, LinuxPath, Sidecars};
use crate::wim::{Image, Wim};

/// What is to be applied where.
#[derive(Clone, Debug)]
pub struct ApplyRequest {
    /// The image file; of a split set the first part.
    pub file: PathBuf,
    /// Which image.
    pub image: Selection,
    /// The directory. It is made if only itself is missing; what stands in it and has the name of
    /// something in the image is replaced.
    pub directory: PathBuf,
    /// What becomes of links into the image.
    pub fixing: LinkFixing,
    /// Compare the file with its integrity table first.
    pub check_integrity: bool,
}

/// What applying did.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ApplyReport {
    /// The image file.
    #[serde(serialize_with = "super::lossy_path")]
    pub file: PathBuf,
    /// The image.
    pub index: u32,
    /// Its name.
    pub name: Option<String>,
    /// The directory.
    #[serde(serialize_with = "super::lossy_path")]
    pub directory: PathBuf,
    /// Directories, the root among them.
    pub directories: u64,
    /// Files and links.
    pub files: u64,
    /// Further names of files.
    pub hard_links: u64,
    /// Bytes that were decoded, each blob once.
    pub bytes: u64,
    /// Where the NT metadata is.
    pub metadata: MetadataHome,
    /// Whether `.transom-metadata` holds what the file system did not take.
    pub metadata_file: bool,
    /// What of the image could not be applied as it is.
    pub warnings: Vec<String>,
}

/// Where the NT metadata of an applied image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MetadataHome {
    /// In the NTFS volume itself.
    Ntfs,
    /// In extended attributes.
    ExtendedAttributes,
}

/// Writes an image to a directory, every blob decoded once, on all cores.
///
/// # Errors
/// When the image is damaged or incomplete, the directory cannot take it, or there is not enough
/// room, which is known before anything is written. A failure behind that leaves the directory
/// incomplete and marked as such.
pub fn apply(request: &ApplyRequest, work: &Work<'_>) -> Result<ApplyReport> {
    let wim = Wim::open_set(&request.file)?;
    let index = one(&wim, &request.image)?;
    if request.check_integrity {
        wim.check_integrity(work.cancel)?;
    }
    let image = wim.image(index)?;
    prepare(&request.directory)?;
    let writer = DirectoryWriter::open(&request.directory)?;
    let metadata = if writer.is_ntfs() { MetadataHome::Ntfs } else { MetadataHome::ExtendedAttributes };
    let (free, block) = writer.free_space()?;
    let plan = match Plan::new(&image, &writer, block, work.cancel) {
        Ok(plan) if plan.space <= free => plan,
        refused => {
            writer.abandon()?;
            let plan = refused?;
            return Err(Error::new(
                ErrorClass::Space,
                format!(
                    "{}: the image takes {} bytes, and {free} are free",
                    request.directory.display(),
                    plan.space
                ),
            )
            .with_hint("make room, or apply to another disk"));
        }
    };
    work.progress.event(&Event::Begin { task: Task::Apply, total: plan.total });
    let sidecar = write(&image, &writer, &plan, request.fixing, work)
        .and_then(|()| writer.finish())
        .map_err(|error| incomplete(error, &request.directory))?;
    work.progress.event(&Event::End { task: Task::Apply });
    let info = wim.images().iter().find(|info| info.index == index.number());
    Ok(ApplyReport {
        file: request.file.clone(),
        index: index.number(),
        name: info.and_then(|info| info.name.clone()),
        directory: request.directory.clone(),
        directories: plan.directories,
        files: plan.files,
        hard_links: plan.hard_links,
        bytes: plan.total,
        metadata,
        metadata_file: sidecar == Sidecars::Written,
        warnings: wim.warnings().into_iter().chain(image.warnings().iter().cloned()).collect(),
    })
}

/// Makes the directory if only itself is missing.
fn prepare(directory: &Path) -> Result<()> {
    match std::fs::create_dir(directory) {
        Ok(()) => Ok(()),
        Err(_) if directory.is_dir() => Ok(()),
        Err(error) => {
            let made = Error::io(directory.display(), &error);
            Err(match made.class() {
                ErrorClass::NotFound => {
                    made.with_code(Code::PATH_NOT_FOUND).with_hint("make the directory above it first")
                }
                _ => made,
            })
        }
    }
}

/// The error of a run that had begun to write.
fn incomplete(error: Error, directory: &Path) -> Error {
    let error = match error.class() {
        ErrorClass::Cancelled => Error::new(ErrorClass::Cancelled, "stopped on request"),
        _ => error,
    };
    let error = error.with_context(format!("{} is left incomplete, and marked so", directory.display()));
    match error.hint() {
        Some(_) => error,
        None => error.with_hint("empty the directory before the image is applied again"),
    }
}

fn write(
    image: &Image,
    writer: &DirectoryWriter,
    plan: &Plan,
    fixing: LinkFixing,
    work: &Work<'_>,
) -> Result<()> {
    let sink = Sink {
        image,
        writer,
        plan,
        fixing,
        progress: work.progress,
        done: AtomicU64::new(0),
        carried: Mutex::default(),
    };
    let cancel = work.cancel;
    work.pool.run(|| -> Result<()> {
        for level in levels(plan) {
            cancel.check()?;
            level.par_iter().try_for_each(|item| writer.make_directory(&item.first.at))?;
        }
        plan.items.par_iter().filter(|item| item.form == Form::Composed).try_for_each(|item| {
            cancel.check()?;
            writer.make_file(&item.first.at).map(drop)
        })?;
        plan.empty.par_iter().try_for_each(|&number| {
            cancel.check()?;
            let item = plan.item(number)?;
            let file = writer.make_file(&item.first.at)?;
            sink.finish(item, &image.node(item.id)?, &file)
        })?;
        plan.empty_streams.par_iter().try_for_each(|&(item, stream)| sink.empty_stream(item, stream))
    })?;
    image.wim().deliver(&plan.blobs, &sink, work.pool, cancel)?;
    let carried = sink.carried.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    work.pool
        .run(|| -> Result<()> {
            // Behind this nothing is changed in a file or directory any more, so that its times stay.
            let keep = |item: &Item| {
                cancel.check()?;
                let (name, short_name) = item.names();
                writer.keep(&item.first.at, None, &image.node(item.id)?, name, short_name)
            };
            let late = |item: &&Item| matches!(item.form, Form::Composed | Form::Link);
            for (number, data) in &carried {
                let item = plan.item(*number)?;
                if let Some(header) = image.node(item.id)?.reparse {
                    writer.keep_reparse(&item.first.at, header, data)?;
                }
            }
            plan.items.par_iter().filter(late).try_for_each(keep)?;
            plan.items
                .par_iter()
                .filter(|item| !item.links.is_empty())
                .try_for_each(|item| links(item, writer))?;
            let (root, below) = plan
                .items
                .split_first()
                .ok_or_else(|| Error::new(ErrorClass::Internal, "the image has no root"))?;
            below.par_iter().filter(|item| item.form == Form::Directory).try_for_each(keep)?;
            keep(root)
        })
        .context(|| "while writing metadata".to_owned())
}

/// The directories but the root, by depth: each level stands in the one before.
fn levels(plan: &Plan) -> Vec<Vec<&Item>> {
    let mut levels: Vec<Vec<&Item>> = Vec::new();
    for item in plan.items.iter().skip(1).filter(|item| item.form == Form::Directory) {
        let depth = item.first.at.depth();
        while levels.len() <= depth {
            levels.push(Vec::new());
        }
        if let Some(level) = levels.get_mut(depth) {
            level.push(item);
        }
    }
    levels
}

fn links(item: &Item, writer: &DirectoryWriter) -> Result<()> {
    let keep_names = |at: &LinuxPath, names: &Option<Box<(Vec<u16>, Vec<u16>)>>| match names {
        Some(names) => writer.keep_entry(at, &names.0, &names.1),
        None => Ok(()),
    };
    for link in &item.links {
        writer.link(&item.first.at, &link.at)?;
        keep_names(&link.at, &link.short_name)?;
    }
    keep_names(&item.first.at, &item.first.short_name)
}
