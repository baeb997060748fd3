// SPDX-License-Identifier: GPL-3.0-or-later
//! The version that a PE file says it has: VS_FIXEDFILEINFO of its version resource.
//!
//! | where | size | name | meaning |
//! |---|---|---|---|
//! | pe + 6 | 2 | NumberOfSections | section headers, 40 bytes each, follow the optional header |
//! | section + 8 | 4, 4, 4, 4 | VirtualSize, VirtualAddress, SizeOfRawData, PointerToRawData | |
//! | opt + 112 / 128 | 8 | resource directory | address and size |
//! | directory + 12 | 2, 2 | entries by name, by id | entries, 8 bytes each, follow at 16 |
//! | entry + 0 | 4 | id | of the type (16 is a version), the name, the language |
//! | entry + 4 | 4 | offset | from the first directory; the high bit says that a directory is there |
//! | data + 0 | 4, 4 | address, size | of the resource |
//! | resource + 6 | 32 | key | `VS_VERSION_INFO` in UTF-16 |
//! | resource + 40 | 4 | signature | FEEF04BD |
//! | resource + 48 | 4, 4 | file version | high half, low half |
//!
//! Source: Microsoft's "PE format", "VS_VERSIONINFO", "VS_FIXEDFILEINFO".

use crate::base::{Result, Version};
use crate::io::ReadAt;

use super::{OPTIONAL_HEADER, PE32, PE32_PLUS, array, header};

const RESOURCE_DIRECTORY: u32 = 2;
const VERSION_TYPE: u32 = 16;
const SECTION_HEADER: u64 = 40;
const DIRECTORY_FLAG: u32 = 0x8000_0000;
const FIXED_SIGNATURE: u32 = 0xFEEF_04BD;
/// More entries than any directory of a driver has.
const MAX_ENTRIES: u16 = 4096;

/// The file version; nothing when the file is no PE file or says none that can be read.
///
/// # Errors
/// When the file cannot be read.
pub fn file_version(file: &dyn ReadAt) -> Result<Option<Version>> {
    let Some(header) = header(file)? else { return Ok(None) };
    let reader = Reader { file };
    Ok(reader.version(header.offset, u64::from(header.optional_size)))
}

struct Reader<'a> {
    file: &'a dyn ReadAt,
}

impl Reader<'_> {
    fn word(&self, offset: u64) -> Option<u16> {
        array(self.file, offset).ok().map(u16::from_le_bytes)
    }

    fn long(&self, offset: u64) -> Option<u32> {
        array(self.file, offset).ok().map(u32::from_le_bytes)
    }

    fn version(&self, pe: u64, optional_size: u64) -> Option<Version> {
        let optional = pe + OPTIONAL_HEADER;
        let directories = match self.word(optional)? {
            PE32 => 96,
            PE32_PLUS => 112,
            _ => return None,
        };
        let entry = directories + u64::from(RESOURCE_DIRECTORY) * 8;
        if self.long(optional + directories - 4)? <= RESOURCE_DIRECTORY || optional_size < entry + 8 {
            return None;
        }
        let sections = (optional + optional_size, self.word(pe + 6)?);
        let root = self.place(sections, self.long(optional + entry)?)?;
        let name = self.child(root, root, Some(VERSION_TYPE))?;
        let language = self.child(root, name, None)?;
        let data = self.child(root, language, None)?;
        let resource = self.place(sections, self.long(data)?)?;
        if self.long(data + 4)? < 92 || self.long(resource + 40)? != FIXED_SIGNATURE {
            return None;
        }
        let (high, low) = (self.long(resource + 48)?, self.long(resource + 52)?);
        Some(Version::from_u64(u64::from(high) << 32 | u64::from(low)))
    }

    /// Where in the file an address of the image is.
    fn place(&self, (table, count): (u64, u16), address: u32) -> Option<u64> {
        for number in 0..u64::from(count) {
            let section = table + number * SECTION_HEADER;
            let (start, size) = (self.long(section + 12)?, self.long(section + 16)?);
            if address >= start && address - start < size {
                return Some(u64::from(self.long(section + 20)?) + u64::from(address - start));
            }
        }
        None
    }

    /// What a directory's entry leads to: the one of this id, or the first.
    fn child(&self, root: u64, directory: u64, id: Option<u32>) -> Option<u64> {
        let count = self.word(directory + 12)?.saturating_add(self.word(directory + 14)?);
        for number in 0..u64::from(count.min(MAX_ENTRIES)) {
            let entry = directory + 16 + number * 8;
            if id.is_none_or(|id| self.long(entry) == Some(id)) {
                return Some(root + u64::from(self.long(entry + 4)? & !DIRECTORY_FLAG));
            }
        }
        None
    }
}
