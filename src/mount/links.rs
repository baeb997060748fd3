// SPDX-License-Identifier: GPL-3.0-or-later
//! Symbolic links and junctions as Linux sees them, and links that Linux makes as Windows wants them.
//!
//! Reparse data without its 8-byte header (MS-FSCC 2.1.2.4 and 2.1.2.5), little-endian:
//!
//! | offset | size | name | meaning |
//! |---|---|---|---|
//! | 0 | 2 | substitute offset | of the target, from the beginning of the path buffer |
//! | 2 | 2 | substitute length | in bytes |
//! | 4 | 2 | print offset | of the target as it is shown |
//! | 6 | 2 | print length | in bytes |
//! | 8 | 4 | flags | of symbolic links only: 1 = the target is relative to the link |
//! | 8 or 12 | n | path buffer | both names, UTF-16 |
//!
//! A target inside the image is shown relative to the link's directory, without a step up that it does not need, and
//! never with a step up behind a step down: so it cannot lead out of the mount, wherever that is mounted. As Windows
//! does, `..` is resolved by words and not by what a directory on the way may be.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use super::names;

/// `IO_REPARSE_TAG_SYMLINK`.
pub(super) const SYMLINK: u32 = 0xA000_000C;
/// `IO_REPARSE_TAG_MOUNT_POINT`: junctions.
pub(super) const MOUNT_POINT: u32 = 0xA000_0003;

const RELATIVE: u32 = 1;
const BACKSLASH: u16 = b'\\' as u16;
const SLASH: u16 = b'/' as u16;

/// Whether a node with this tag is a link to Linux.
pub(super) fn is_link(tag: u32) -> bool {
    matches!(tag, SYMLINK | MOUNT_POINT)
}

/// The target of a link that stands `depth` directories below the root. `in_image`: the WIM says that an absolute
/// target is one of the image's own, whatever its drive. Nothing when the data is no link.
pub(super) fn target(tag: u32, data: &[u8], depth: usize, in_image: bool) -> Option<OsString> {
    let (substitute, relative) = parse(tag, data)?;
    let parts = |path: &[u16]| -> Vec<Vec<u16>> {
        path.split(|&unit| unit == BACKSLASH || unit == SLASH)
            .filter(|part| !part.is_empty())
            .map(<[u16]>::to_vec)
            .collect()
    };
    if relative && substitute.first() != Some(&BACKSLASH) {
        return Some(within(depth, depth, &parts(&substitute)));
    }
    let path = strip(&substitute, r"\??\").unwrap_or(&substitute);
    let inside = match path {
        [letter, colon, rest @ ..] if *colon == u16::from(b':') => {
            let system_drive = matches!(u8::try_from(*letter), Ok(b'C' | b'c'));
            (in_image || system_drive).then_some(rest)
        }
        // Below the root of whichever drive the link is on.
        [BACKSLASH, second, ..] if relative && *second != BACKSLASH => Some(path),
        [BACKSLASH] if relative => Some(path),
        _ => None,
    };
    Some(match inside {
        Some(rest) => within(depth, 0, &parts(rest)),
        None => {
            // Elsewhere than in this image: told as text that leads nowhere, and not up either.
            within(0, 0, &parts(path))
        }
    })
}

/// The way from a directory at `depth` to what the parts name from the directory `start` levels below the root on
/// the same path.
fn within(depth: usize, start: usize, parts: &[Vec<u16>]) -> OsString {
    const DOT: u16 = b'.' as u16;
    let mut kept = start;
    let mut down: Vec<&[u16]> = Vec::new();
    for part in parts {
        match part.as_slice() {
            [DOT] => {}
            [DOT, DOT] => {
                if down.pop().is_none() {
                    kept = kept.saturating_sub(1);
                }
            }
            name => down.push(name),
        }
    }
    let mut bytes = Vec::new();
    for step in std::iter::repeat_n(OsString::from(".."), depth - kept.min(depth))
        .chain(down.into_iter().map(names::to_host))
    {
        if !bytes.is_empty() {
            bytes.push(b'/');
        }
        bytes.extend_from_slice(step.as_bytes());
    }
    if bytes.is_empty() {
        bytes.push(b'.');
    }
    OsString::from_vec(bytes)
}

fn strip<'a>(path: &'a [u16], prefix: &str) -> Option<&'a [u16]> {
    let prefix: Vec<u16> = prefix.encode_utf16().collect();
    path.strip_prefix(prefix.as_slice())
}

/// The substitute name, and whether it is relative.
fn parse(tag: u32, data: &[u8]) -> Option<(Vec<u16>, bool)> {
    let number =
        |offset: usize| data.get(offset..)?.first_chunk().copied().map(u16::from_le_bytes).map(usize::from);
    let (offset, length) = (number(0)?, number(2)?);
    let (buffer, relative) = match tag {
        SYMLINK => {
            let flags = u32::from_le_bytes(*data.get(8..)?.first_chunk()?);
            (data.get(12..)?, flags & RELATIVE != 0)
        }
        MOUNT_POINT => (data.get(8..)?, false),
        _ => return None,
    };
    let name = buffer.get(offset..offset.checked_add(length)?)?;
    Some((name.as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair)).collect(), relative))
}

/// The data of a symbolic link to what Linux calls `target`. An absolute target is one of the image: below the
/// directory of the mount, or else below the image's root. Nothing for bytes that are no text.
pub(super) fn link_data(target: &OsStr, mounted_at: &Path) -> Option<Vec<u8>> {
    let path = Path::new(target);
    let text = match path.strip_prefix(mounted_at) {
        Ok(inside) => [b"/", inside.as_os_str().as_bytes()].concat(),
        Err(_) => target.as_bytes().to_vec(),
    };
    let units = names::from_host(OsStr::from_bytes(&text))?;
    let name: Vec<u8> = units
        .iter()
        .map(|&unit| if unit == SLASH { BACKSLASH } else { unit })
        .flat_map(u16::to_le_bytes)
        .collect();
    // Both lengths have 16 bits; the overlay refuses anything near them.
    let length = u16::try_from(name.len()).ok()?;
    let mut data = Vec::with_capacity(12 + 2 * name.len());
    for number in [0, length, length, length] {
        data.extend(u16::to_le_bytes(number));
    }
    data.extend(RELATIVE.to_le_bytes());
    data.extend_from_slice(&name);
    data.extend_from_slice(&name);
    Some(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(tag: u32, substitute: &str, flags: u32) -> Vec<u8> {
        let name: Vec<u8> = substitute.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let mut data: Vec<u8> = [4, name.len() as u16, 0, 4].into_iter().flat_map(u16::to_le_bytes).collect();
        if tag == SYMLINK {
            data.extend(flags.to_le_bytes());
        }
        data.extend(b"p\0r\0");
        data.extend(name);
        data
    }

    #[test]
    fn targets() {
        for (tag, substitute, flags, depth, in_image, expected) in [
            (SYMLINK, r"a\b.txt", 1, 2, false, "a/b.txt"),
            (SYMLINK, r"..\x", 1, 2, false, "../x"),
            (SYMLINK, r"..\..\..\..\etc\passwd", 1, 2, false, "../../etc/passwd"),
            (SYMLINK, r"j\..\..\y", 1, 1, false, "../y"),
            (SYMLINK, r"j/../../../y", 1, 1, false, "../y"),
            (SYMLINK, r".", 1, 1, false, "."),
            (SYMLINK, r"\Windows\x", 1, 2, false, "../../Windows/x"),
            (SYMLINK, r"\", 1, 0, false, "."),
            (SYMLINK, r"\??\C:\Users\Public", 0, 1, false, "../Users/Public"),
            (MOUNT_POINT, r"\??\C:\ProgramData", 0, 0, false, "ProgramData"),
            (MOUNT_POINT, r"\??\C:\..\..\x", 0, 1, false, "../x"),
            (MOUNT_POINT, r"\??\D:\Data", 0, 1, true, "../Data"),
            (MOUNT_POINT, r"\??\D:\Data", 0, 1, false, "D:/Data"),
            (MOUNT_POINT, r"\??\Volume{x}\", 0, 1, false, "Volume{x}"),
            (SYMLINK, r"\??\UNC\server\share", 0, 1, false, "UNC/server/share"),
            (SYMLINK, r"\??\UNC\..\..\..\etc", 0, 1, false, "etc"),
            (SYMLINK, r"\\server\share", 1, 1, false, "server/share"),
        ] {
            let found = target(tag, &data(tag, substitute, flags), depth, in_image);
            assert_eq!(found, Some(expected.into()), "{substitute} at {depth}");
        }
        assert_eq!(target(SYMLINK, &data(SYMLINK, "abc", 1)[..17], 0, false), None);
        assert_eq!(target(0x8000_0017, &data(SYMLINK, "abc", 1), 0, false), None);
    }

    #[test]
    fn links_made_here_are_read_back() {
        let at = Path::new("/mnt/w");
        for (made, depth, read) in [
            ("a/b", 1, "a/b"),
            ("../c", 1, "../c"),
            ("/mnt/w/Windows/x", 2, "../../Windows/x"),
            ("/mnt/w", 1, ".."),
            ("/Users", 1, "../Users"),
            ("/mnt/wx", 0, "mnt/wx"),
        ] {
            let data = link_data(OsStr::new(made), at).unwrap();
            assert_eq!(target(SYMLINK, &data, depth, false), Some(read.into()), "{made}");
        }
        assert_eq!(link_data(OsStr::from_bytes(b"\xFF"), at), None);
    }
}
