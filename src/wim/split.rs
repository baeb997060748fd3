// SPDX-License-Identifier: GPL-3.0-or-later
//! Dividing a file into the parts of a split set.
//!
//! Parts are named `x.swm`, `x2.swm`, `x3.swm` ... All have one GUID, the flag SPANNED, the number
//! of parts and of images, and the XML of the whole. Metadata is in the first part only; each
//! part's blob table names the blobs in it. A blob is never cut in two, so a long one makes a part
//! longer than was asked for. A set boots from no image. Solid resources cannot be divided.
//!
//! Source: ebiggers/wimlib `src/split.c`, and sets that wimlib wrote.

use std::fs::File;
use std::path::{Path, PathBuf};

use zerocopy::little_endian::{U16, U32};

use super::blob_table::ENTRY_SIZE;
use super::blob_writer::{BlobWriter, Present, Setting};
use super::commit_file::CommitFile;
use super::file::{Wim, part_path};
use super::gather::{Wanted, gather};
use super::header::{HEADER_SIZE, HeaderFlags, Layout};
use super::new_file::{
    Integrity, Storage, Tables, begin, derived_guid, encoded_length, every_image, new_header, reader,
    write_blobs, write_metadata,
};
use super::space::{self, Stored};
use super::transaction::CommitOptions;
use crate::base::{Code, Context, Error, ErrorClass, FileTime, Result};
use crate::codec::Level;
use crate::io::{Event, Task};
use crate::xml::{Document, Element};

/// One part that was written.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SplitPart {
    /// Its path, as text.
    pub file: String,
    /// Its length.
    pub file_size: u64,
    /// Blobs in it.
    pub blobs: u64,
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct SplitReport {
    /// The parts, in order.
    pub parts: Vec<SplitPart>,
}

fn unsupported(message: String, hint: &'static str) -> Error {
    Error::new(ErrorClass::Unsupported, message).with_hint(hint)
}

/// Divides a file into parts of at most `limit` bytes, the first of which is `first`. No part is
/// put in place before all are written.
///
/// # Errors
/// When the file holds solid resources or is itself a part; when a part exists already; when the
/// file is damaged or the system fails.
pub fn split(
    wim: &Wim,
    first: &Path,
    limit: u64,
    integrity: Integrity,
    created: FileTime,
    options: &CommitOptions<'_>,
) -> Result<SplitReport> {
    split_through(wim, first, limit, integrity, created, options, &mut |file| Box::new(file))
}

/// As [`split`], with all writes going through what `wrap` makes of each part.
///
/// # Errors
/// As [`split`].
pub fn split_through(
    wim: &Wim,
    first: &Path,
    limit: u64,
    integrity: Integrity,
    created: FileTime,
    options: &CommitOptions<'_>,
    wrap: &mut (dyn FnMut(File) -> Box<dyn CommitFile> + Send),
) -> Result<SplitReport> {
    let header = &wim.inner().header;
    let name = wim.path().display();
    if wim.is_solid() {
        return Err(unsupported(
            format!("{name} is solid: its files are compressed together, so it cannot be divided"),
            "export its images with --compress max (/Compress:max) into a new file, and split that",
        ));
    }
    if header.total_parts > 1 || header.layout == Layout::Pipable {
        return Err(unsupported(
            format!("{name} is a part of a split set or a pipable file"),
            "export its images into a new file, and split that",
        ));
    }
    options
        .pool
        .run(|| Split::new(wim, limit)?.write(first, integrity, created, options, wrap))
        .context(|| format!("while splitting {name}"))
}

struct Split<'a> {
    wim: &'a Wim,
    images: Vec<super::gather::SourceImage>,
    /// The blobs of each part.
    parts: Vec<Vec<Wanted>>,
}

impl<'a> Split<'a> {
    /// Decides which blob goes where, in the order in which the file holds them.
    fn new(wim: &'a Wim, limit: u64) -> Result<Self> {
        let images = every_image(wim)?;
        let header = &wim.inner().header;
        // What every part has besides its resources; the integrity table is small beside them.
        let fixed = HEADER_SIZE + header.xml.size + 1024;
        let mut used = fixed;
        for image in &images {
            used += image.metadata()?.size + ENTRY_SIZE;
        }
        let mut parts = vec![Vec::new()];
        for blob in gather(&images)? {
            let cost = blob.location.resource.size.saturating_add(ENTRY_SIZE);
            let holds_something = used > fixed;
            if holds_something && used.saturating_add(cost) > limit {
                parts.push(Vec::new());
                used = fixed;
            }
            used = used.saturating_add(cost);
            if let Some(part) = parts.last_mut() {
                part.push(blob);
            }
        }
        Ok(Self { wim, images, parts })
    }

    fn write(
        self,
        first: &Path,
        integrity: Integrity,
        created: FileTime,
        options: &CommitOptions<'_>,
        wrap: &mut dyn FnMut(File) -> Box<dyn CommitFile>,
    ) -> Result<SplitReport> {
        let total = u16::try_from(self.parts.len()).map_err(|_| {
            Error::new(ErrorClass::Usage, format!("{} parts are more than a set may have", self.parts.len()))
                .with_hint("allow larger parts")
        })?;
        let paths: Vec<PathBuf> = (1..=total).map(|number| part_path(first, number)).collect();
        if let Some(taken) = paths.iter().find(|path| path.exists()) {
            return Err(Error::new(ErrorClass::Usage, format!("{} exists already", taken.display()))
                .with_code(Code::FILE_EXISTS)
                .with_hint("name another first part, or remove the old set"));
        }
        let inner = self.wim.inner();
        let storage = Storage { compression: self.wim.compression(), solid: None };
        let bytes = self.parts.iter().flatten().map(|blob| blob.location.length).fold(0, u64::saturating_add);
        let certain = self
            .parts
            .iter()
            .map(|blobs| encoded_length(blobs, storage.compression))
            .fold(0, u64::saturating_add);
        space::check(first, certain, &[], Present::NOTHING, Stored::AsItIs)?;
        options.progress.event(&Event::Begin { task: Task::Split, total: bytes });
        let guid = derived_guid(created, &self.images, storage);
        let document = inner.xml.clone().unwrap_or_else(|| Document::new(Element::new("WIM")));
        let mut report = SplitReport::default();
        let mut done = 0;
        let mut written = Vec::with_capacity(paths.len());
        for ((number, path), blobs) in (1..=total).zip(&paths).zip(&self.parts) {
            let (target, mut file) = begin(path, wrap)?;
            let reader = reader(&target, path)?;
            let setting = Setting {
                path,
                source: &reader,
                compression: storage.compression,
                level: Level::default(),
                pool: options.pool,
                task: Task::Split,
                progress: options.progress,
                cancel: options.cancel,
            };
            let mut writer = BlobWriter::new(&setting, &mut *file, HEADER_SIZE);
            writer.done = done;
            let mut table = match number {
                1 => write_metadata(&mut writer, &self.images, storage.compression)?,
                _ => Vec::new(),
            };
            table.extend(write_blobs(&mut writer, blobs, storage.compression, number)?.0);
            done = writer.done;
            let (end, _) = writer.finish()?;
            let relative = inner.header.flags.contains(HeaderFlags::RELATIVE_PATH_FIX);
            let mut header = new_header(guid, storage, relative);
            header.flags = U32::new(header.flags.get() | HeaderFlags::SPANNED.bits());
            header.part_number = U16::new(number);
            header.total_parts = U16::new(total);
            header.image_count = U32::new(self.wim.image_count());
            header.version = inner.header.raw.version;
            let tables = Tables {
                table: &table,
                document: document.clone(),
                total_bytes: Some(inner.header.blob_table.end().unwrap_or(0)),
                integrity,
            };
            let file_size = tables.write(&mut *file, &reader, path, end, header, options)?;
            let blobs = blobs.len() as u64;
            report.parts.push(SplitPart { file: path.display().to_string(), file_size, blobs });
            written.push(target);
        }
        // The first part last: without it nobody takes the others for a set.
        for target in written.into_iter().rev() {
            target.persist()?;
        }
        options.progress.event(&Event::End { task: Task::Split });
        Ok(report)
    }
}
