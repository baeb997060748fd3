// SPDX-License-Identifier: GPL-3.0-or-later
//! Random-access reading.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::{Error, ErrorClass, Result};

/// Bytes that can be read anywhere, by several threads at once.
pub trait ReadAt: Send + Sync {
    /// Length in bytes.
    fn len(&self) -> u64;

    /// Whether there is no byte at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `buffer` from `offset`.
    ///
    /// # Errors
    /// When the range is not wholly inside, or when the source cannot be read or decoded.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()>;
}

/// Reads a range into a new buffer; its length is checked against the source first.
///
/// # Errors
/// As [`ReadAt::read_exact_at`].
pub fn read_vec(source: &dyn ReadAt, offset: u64, length: u64) -> Result<Vec<u8>> {
    check_range(source, offset, length)?;
    let length = usize::try_from(length)
        .map_err(|_| Error::new(ErrorClass::Unsupported, format!("{length} bytes do not fit into memory")))?;
    let mut buffer = vec![0; length];
    source.read_exact_at(&mut buffer, offset)?;
    Ok(buffer)
}

fn check_range(source: &dyn ReadAt, offset: u64, length: u64) -> Result<()> {
    match offset.checked_add(length) {
        Some(end) if end <= source.len() => Ok(()),
        _ => Err(Error::new(
            ErrorClass::Corrupt,
            format!("{length} bytes at offset {offset} reach beyond the end at {}", source.len()),
        )),
    }
}

impl<T: ReadAt + ?Sized> ReadAt for Arc<T> {
    fn len(&self) -> u64 {
        (**self).len()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        (**self).read_exact_at(buffer, offset)
    }
}

impl ReadAt for [u8] {
    fn len(&self) -> u64 {
        <[u8]>::len(self) as u64
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let found =
            usize::try_from(offset).ok().and_then(|start| self.get(start..start.checked_add(buffer.len())?));
        match found {
            Some(bytes) => {
                buffer.copy_from_slice(bytes);
                Ok(())
            }
            None => Err(Error::new(
                ErrorClass::Corrupt,
                format!("{} bytes at offset {offset} reach beyond the end at {}", buffer.len(), self.len()),
            )),
        }
    }
}

impl ReadAt for Vec<u8> {
    fn len(&self) -> u64 {
        self.as_slice().len() as u64
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.as_slice().read_exact_at(buffer, offset)
    }
}

/// A file opened for random access. Its length is taken when it is opened.
#[derive(Debug)]
pub struct FileReader {
    file: File,
    path: PathBuf,
    length: u64,
}

impl FileReader {
    /// Opens a file for reading.
    ///
    /// # Errors
    /// When it cannot be opened or is not a regular file or block device.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|error| Error::io(path.display(), &error))?;
        Self::new(file, path)
    }

    /// Reads from a file that is already open; `path` is for messages.
    ///
    /// # Errors
    /// When its length cannot be told.
    pub fn new(file: File, path: &Path) -> Result<Self> {
        let metadata = file.metadata().map_err(|error| Error::io(path.display(), &error))?;
        if metadata.is_dir() {
            return Err(Error::new(ErrorClass::Usage, format!("{} is a directory", path.display())));
        }
        Ok(Self { file, path: path.to_owned(), length: metadata.len() })
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open file.
    pub fn file(&self) -> &File {
        &self.file
    }
}

impl ReadAt for FileReader {
    fn len(&self) -> u64 {
        self.length
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.file.read_exact_at(buffer, offset).map_err(|error| {
            if error.kind() == io::ErrorKind::UnexpectedEof {
                Error::new(
                    ErrorClass::Corrupt,
                    format!(
                        "{}: {} bytes at offset {offset} reach beyond the end at {}",
                        self.path.display(),
                        buffer.len(),
                        self.length
                    ),
                )
            } else {
                Error::io(self.path.display(), &error)
            }
        })
    }
}

/// A part of another source.
#[derive(Clone)]
pub struct Window {
    source: Arc<dyn ReadAt>,
    start: u64,
    length: u64,
}

impl Window {
    /// The `length` bytes of `source` from `start`.
    ///
    /// # Errors
    /// When the range is not wholly inside the source.
    pub fn new(source: Arc<dyn ReadAt>, start: u64, length: u64) -> Result<Self> {
        check_range(&source, start, length)?;
        Ok(Self { source, start, length })
    }
}

impl ReadAt for Window {
    fn len(&self) -> u64 {
        self.length
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        check_range(self, offset, buffer.len() as u64)?;
        self.source.read_exact_at(buffer, self.start + offset)
    }
}
