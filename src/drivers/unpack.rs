// SPDX-License-Identifier: GPL-3.0-or-later
//! Files of a package that do not lie there loose: in a cabinet that `[SourceDisksNames]` names, or
//! compressed one by one (`driver.sy_` for `driver.sys`).
//!
//! A `.sy_` is a cabinet of one file (makecab), or the older form of compress.exe:
//!
//! | offset | size | name | meaning |
//! |---|---|---|---|
//! | 0 | 8 | magic | `53 5A 44 44 88 F0 27 33` |
//! | 8 | 1 | mode | `A` |
//! | 9 | 1 | | last character of the name |
//! | 10 | 4 | size | of the file |
//! | 14 | | data | LZSS: a byte of flags, low bit first, 1 a literal byte, 0 a match |
//!
//! A match is two bytes: low 8 bits of the position, then in the second byte 4 high bits of the
//! position (above) and length - 3 (below). Window 4,096 bytes of blanks, written from 4,080 on.
//!
//! Source: the published notes of libmspack on the SZDD form; cabinets are read by the crate `cab`.

use std::fs;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use crate::base::{Error, Result, WinPath};

use super::DriverError;

/// Larger files are not unpacked: they are held in memory.
const LIMIT: u64 = 512 << 20;

const SZDD: &[u8] = b"SZDD\x88\xF0\x27\x33A";
const CABINET: &[u8] = b"MSCF";
const WINDOW: usize = 4096;

/// Where a packed file is.
pub(super) enum Packed {
    /// The compressed file.
    Single(PathBuf),
    /// The cabinet, and the name of the file in it.
    Member(PathBuf, String),
}

impl Packed {
    fn path(&self) -> &Path {
        match self {
            Self::Single(path) | Self::Member(path, _) => path,
        }
    }

    /// The bytes of the file.
    pub(super) fn read(&self) -> Result<Vec<u8>> {
        let path = self.path();
        let length = fs::metadata(path).map_err(|error| Error::io(path.display(), &error))?.len();
        if length > LIMIT {
            return Err(DriverError::TooLarge { path: path.to_owned(), length, limit: LIMIT }.into());
        }
        let bytes = fs::read(path).map_err(|error| Error::io(path.display(), &error))?;
        let unpacked = match self {
            Self::Single(_) if bytes.starts_with(SZDD) => expand(&bytes),
            Self::Single(_) if bytes.starts_with(CABINET) => member(&bytes, None),
            Self::Single(_) => Err("it is neither compressed nor a cabinet".to_owned()),
            Self::Member(_, name) => member(&bytes, Some(name)),
        };
        unpacked.map_err(|reason| DriverError::Packed { path: path.to_owned(), reason }.into())
    }
}

/// The name under which a file lies compressed: the last character of its extension is `_`, or one
/// is added to a short extension.
pub(super) fn compressed_name(relative: &WinPath) -> Option<WinPath> {
    let name = relative.file_name()?.to_string();
    let (stem, extension) = name.rsplit_once('.').unwrap_or((&name, ""));
    let mut characters: Vec<char> = extension.chars().collect();
    if characters.last() == Some(&'_') {
        return None;
    }
    if characters.len() >= 3 {
        characters.pop();
    }
    characters.push('_');
    let extension: String = characters.into_iter().collect();
    Some(relative.parent()?.join(format!("{stem}.{extension}").as_str()))
}

/// A file of a cabinet: the named one, or the only one.
fn member(bytes: &[u8], wanted: Option<&str>) -> Result<Vec<u8>, String> {
    let mut cabinet = cab::Cabinet::new(Cursor::new(bytes)).map_err(|error| error.to_string())?;
    let mut found = None;
    let mut count = 0usize;
    for folder in cabinet.folder_entries() {
        for file in folder.file_entries() {
            count += 1;
            let last = file.name().rsplit(['\\', '/']).next().unwrap_or_default();
            let is_wanted = wanted.is_none_or(|name| last.eq_ignore_ascii_case(name));
            if is_wanted && found.is_none() {
                found = Some((file.name().to_owned(), u64::from(file.uncompressed_size())));
            }
        }
    }
    if wanted.is_none() && count != 1 {
        return Err(format!("it is a cabinet of {count} files instead of one"));
    }
    let Some((name, size)) = found else {
        return Err(format!("there is no {} in it", wanted.unwrap_or("file")));
    };
    if size > LIMIT {
        return Err(format!("{name} has {size} bytes; more than {LIMIT} are not unpacked"));
    }
    let reader = cabinet.read_file(&name).map_err(|error| error.to_string())?;
    let mut data = Vec::new();
    reader.take(size).read_to_end(&mut data).map_err(|error| format!("{name}: {error}"))?;
    if data.len() as u64 != size {
        return Err(format!("{name} has {} bytes instead of {size}", data.len()));
    }
    Ok(data)
}

fn expand(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let size = bytes.get(10..14).and_then(|size| size.try_into().ok()).map(u32::from_le_bytes);
    let (Some(size), Some(data)) = (size, bytes.get(14..)) else {
        return Err("its header is cut off".to_owned());
    };
    // One byte makes at most 18 of them, and a flag byte serves eight.
    if u64::from(size) > (data.len() as u64).saturating_mul(18) {
        return Err(format!("{} bytes cannot hold the {size} that its header promises", data.len()));
    }
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let mut out = Vec::with_capacity(size);
    let mut window = [b' '; WINDOW];
    let mut at = WINDOW - 16;
    let mut input = data.iter().copied();
    'blocks: while out.len() < size {
        let Some(flags) = input.next() else { break };
        for bit in 0..8 {
            if out.len() == size {
                break 'blocks;
            }
            let Some(first) = input.next() else { break 'blocks };
            let (mut from, length) = if flags >> bit & 1 != 0 {
                if let Some(slot) = window.get_mut(at) {
                    *slot = first;
                }
                (at, 1)
            } else {
                let Some(second) = input.next() else { break 'blocks };
                (usize::from(first) | usize::from(second & 0xF0) << 4, usize::from(second & 0x0F) + 3)
            };
            for _ in 0..length {
                let byte = window.get(from).copied().unwrap_or_default();
                if let Some(slot) = window.get_mut(at) {
                    *slot = byte;
                }
                out.push(byte);
                from = (from + 1) % WINDOW;
                at = (at + 1) % WINDOW;
            }
        }
    }
    if out.len() < size {
        return Err(format!("it ends after {} of {size} bytes", out.len()));
    }
    out.truncate(size);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn szdd(size: u32, data: &[u8]) -> Vec<u8> {
        [SZDD, b"s", &size.to_le_bytes(), data].concat()
    }

    #[test]
    fn names() {
        let name = |text: &str| compressed_name(&WinPath::parse(text).unwrap()).map(|path| path.to_string());
        let cases = [
            ("amd64\\x.sys", Some("amd64\\x.sy_")),
            ("a.b.dll", Some("a.b.dl_")),
            ("x.c", Some("x.c_")),
            ("x", Some("x._")),
            ("x.config", Some("x.confi_")),
            ("x.sy_", None),
        ];
        for (text, expected) in cases {
            assert_eq!(name(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn literals_matches_and_blanks() {
        // "abc", a match of 6 that runs into itself, a match of 3 in the untouched window.
        let data = [0b0000_0111, b'a', b'b', b'c', 0xF0, 0xF3, 0x00, 0x00];
        assert_eq!(expand(&szdd(12, &data)).unwrap(), b"abcabcabc   ");
        assert_eq!(expand(&szdd(5, &data)).unwrap(), b"abcab");
        assert_eq!(expand(&szdd(0, &[])).unwrap(), b"");
        for (bytes, error) in [
            (szdd(13, &data), "it ends after 12 of 13 bytes"),
            (szdd(u32::MAX, &data), "8 bytes cannot hold the 4294967295 that its header promises"),
            (SZDD.to_vec(), "its header is cut off"),
        ] {
            assert_eq!(expand(&bytes).unwrap_err(), error);
        }
    }

    fn cabinet(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = cab::CabinetBuilder::new();
        let folder = builder.add_folder(cab::CompressionType::MsZip);
        for (name, _) in files {
            folder.add_file(*name);
        }
        let mut writer = builder.build(Cursor::new(Vec::new())).unwrap();
        let mut contents = files.iter();
        while let Some(mut file) = writer.next_file().unwrap() {
            std::io::Write::write_all(&mut file, contents.next().unwrap().1).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    #[test]
    fn cabinets() {
        let two = cabinet(&[("sub\\A.SYS", b"first"), ("b.dll", &[7; 100_000])]);
        assert_eq!(member(&two, Some("a.sys")).unwrap(), b"first");
        assert_eq!(member(&two, Some("b.dll")).unwrap(), [7; 100_000]);
        assert_eq!(member(&two, Some("c.sys")).unwrap_err(), "there is no c.sys in it");
        assert_eq!(member(&two, None).unwrap_err(), "it is a cabinet of 2 files instead of one");
        assert_eq!(member(&cabinet(&[("x", b"only")]), None).unwrap(), b"only");
        assert!(member(&two[..60], Some("a.sys")).is_err());
    }
}
