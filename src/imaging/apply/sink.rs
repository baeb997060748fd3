// SPDX-License-Identifier: GPL-3.0-or-later
//! Writes blobs to all their places.

use std::fs::File;
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::plan::{Form, Item, Place, Plan};
use crate::base::{Error, ErrorClass, Node, NodeKind, Result, StreamKind};
use crate::io::{Event, Progress, Task};
use crate::volume::directory::{Carrier, DirectoryWriter, LinkFixing, OpenStream, ReparseForm};
use crate::wim::{BlobSink, Image};

/// Of a blob in pieces so many files are written at once; the others are copied from the first.
const AT_ONCE: usize = 16;
/// Longer reparse data does not exist (MS-FSCC 2.1.2.1).
const REPARSE_LIMIT: u64 = 16 << 10;

pub(super) struct Sink<'a> {
    pub(super) image: &'a Image,
    pub(super) writer: &'a DirectoryWriter,
    pub(super) plan: &'a Plan,
    pub(super) fixing: LinkFixing,
    pub(super) progress: &'a dyn Progress,
    pub(super) done: AtomicU64,
    /// Reparse data that files and directories carry: set last, as nothing can be done to such a
    /// file behind it on NTFS.
    pub(super) carried: Mutex<Vec<(usize, Vec<u8>)>>,
}

/// A blob that is written in pieces.
#[derive(Default)]
pub(super) struct Open {
    files: Vec<(usize, File)>,
    streams: Vec<OpenStream>,
    /// Places that are filled from the first file.
    copies: Vec<usize>,
    /// Reparse points, and their data as far as it is there.
    reparse: Vec<usize>,
    collected: Vec<u8>,
}

impl Sink<'_> {
    fn advance(&self, bytes: u64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.progress.event(&Event::Advance { task: Task::Apply, done });
    }

    fn item(&self, number: usize) -> Result<(&Item, Node)> {
        let item = self.plan.item(number)?;
        Ok((item, self.image.node(item.id)?))
    }

    /// A file to write the data of an item to.
    fn file(&self, item: &Item) -> Result<File> {
        match item.form {
            Form::Simple => self.writer.make_file(&item.first.at),
            _ => self.writer.open_file(&item.first.at),
        }
    }

    fn written(&self, item: &Item, result: std::io::Result<()>) -> Result<()> {
        result.map_err(|error| self.writer.io_error(&item.first.at, &error))
    }

    /// A simple file is finished once its data is written; others are at the end.
    pub(super) fn finish(&self, item: &Item, node: &Node, file: &File) -> Result<()> {
        if item.form != Form::Simple {
            return Ok(());
        }
        let (name, short_name) = item.names();
        self.writer.keep(&item.first.at, Some(file), node, name, short_name)
    }

    /// Begins a stream of an item.
    pub(super) fn stream(&self, item: &Item, node: &Node, number: usize) -> Result<OpenStream> {
        let stream = node.streams.get(number).ok_or_else(|| lost("stream"))?;
        let carrier = if item.form == Form::Link { Carrier::Link } else { Carrier::File };
        self.writer.begin_stream(&item.first.at, stream.kind, stream.name.units(), stream.length, carrier)
    }

    fn reparse(&self, number: usize, bytes: &[u8]) -> Result<()> {
        let (item, node) = self.item(number)?;
        let header = node.reparse.ok_or_else(|| lost("reparse point"))?;
        let at = &item.first.at;
        if item.form == Form::Link {
            match self.writer.reparse_form(at, header, bytes, self.fixing) {
                ReparseForm::Link(target) => return self.writer.make_link(at, &target, bytes),
                ReparseForm::Carried if node.kind() == NodeKind::Directory => {
                    self.writer.make_directory(at)?
                }
                ReparseForm::Carried => drop(self.writer.make_file(at)?),
            }
        }
        self.carried.lock().unwrap_or_else(PoisonError::into_inner).push((number, bytes.to_vec()));
        Ok(())
    }
}

impl BlobSink for Sink<'_> {
    type Open = Open;

    fn whole(&self, blob: usize, bytes: &[u8]) -> Result<()> {
        for place in self.plan.places(blob) {
            match *place {
                Place::Data(number) => {
                    let (item, node) = self.item(number)?;
                    let mut file = self.file(item)?;
                    self.written(item, file.write_all(bytes))?;
                    self.finish(item, &node, &file)?;
                }
                Place::Stream(number, stream) => {
                    let (item, node) = self.item(number)?;
                    let mut open = self.stream(item, &node, stream)?;
                    self.writer.write_stream(&mut open, bytes)?;
                    self.writer.end_stream(open)?;
                }
                Place::Reparse(number) => self.reparse(number, bytes)?,
            }
        }
        self.advance(bytes.len() as u64);
        Ok(())
    }

    fn begin(&self, blob: usize, length: u64) -> Result<Open> {
        let mut open = Open::default();
        for place in self.plan.places(blob) {
            match *place {
                Place::Data(number) if open.files.len() < AT_ONCE => {
                    open.files.push((number, self.file(self.plan.item(number)?)?));
                }
                Place::Data(number) => open.copies.push(number),
                Place::Stream(number, stream) => {
                    let (item, node) = self.item(number)?;
                    open.streams.push(self.stream(item, &node, stream)?);
                }
                // In pieces come long blobs, and those that lie across chunks of a solid resource.
                Place::Reparse(number) if length <= REPARSE_LIMIT => open.reparse.push(number),
                Place::Reparse(number) => {
                    let item = self.plan.item(number)?;
                    return Err(Error::new(
                        ErrorClass::Corrupt,
                        format!(
                            "{}: reparse data of {length} bytes is not possible",
                            String::from_utf8_lossy(item.first.at.as_bytes())
                        ),
                    ));
                }
            }
        }
        Ok(open)
    }

    fn piece(&self, open: &mut Open, bytes: &[u8]) -> Result<()> {
        for (number, file) in &mut open.files {
            self.written(self.plan.item(*number)?, file.write_all(bytes))?;
        }
        for stream in &mut open.streams {
            self.writer.write_stream(stream, bytes)?;
        }
        if !open.reparse.is_empty() {
            open.collected.extend(bytes);
        }
        self.advance(bytes.len() as u64);
        Ok(())
    }

    fn end(&self, _blob: usize, open: Open) -> Result<()> {
        let Open { files, streams, copies, reparse, collected } = open;
        for number in reparse {
            self.reparse(number, &collected)?;
        }
        for stream in streams {
            self.writer.end_stream(stream)?;
        }
        for &number in &copies {
            let Some((first, _)) = files.first() else { break };
            let (item, node) = self.item(number)?;
            let mut from = self.writer.read_file(&self.plan.item(*first)?.first.at)?;
            let mut to = self.file(item)?;
            self.written(item, std::io::copy(&mut from, &mut to).map(drop))?;
            self.finish(item, &node, &to)?;
        }
        for (number, file) in &files {
            let (item, node) = self.item(*number)?;
            self.finish(item, &node, file)?;
        }
        Ok(())
    }
}

fn lost(what: &str) -> Error {
    Error::new(ErrorClass::Internal, format!("a {what} was lost"))
}

impl Sink<'_> {
    /// Streams without a byte have no blob.
    pub(super) fn empty_stream(&self, number: usize, stream: usize) -> Result<()> {
        let (item, node) = self.item(number)?;
        if node.streams.get(stream).is_some_and(|stream| stream.kind == StreamKind::Reparse) {
            return Ok(());
        }
        self.writer.end_stream(self.stream(item, &node, stream)?)
    }
}
