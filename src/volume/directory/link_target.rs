// SPDX-License-Identifier: GPL-3.0-or-later
//! Reparse points that Linux has too: symbolic links and junctions.
//!
//! Reparse data behind its 8-byte header (MS-FSCC 2.1.2.4 and 2.1.2.5): offset and length in bytes
//! of the substitute name, offset and length of the print name, each u16, for a symbolic link u32
//! flags (bit 0: relative), then both names in UTF-16LE; the offsets count from behind the fields.
//!
//! A relative link keeps its target with `/` for `\`. An absolute one begins `\??\C:\`; whether it
//! leads to a place in the image itself is WIM's "fixed" mark. Then the Linux link is relative to
//! the image's root, so that it leads there wherever the tree stands; else it is `/` and the path.
//! Targets without a drive letter (volumes, servers) have no Linux form.

use super::escape::{escape, unescape};
use crate::base::ReparseHeader;
use crate::base::name::{units, units_from_le, units_to_le};

/// `IO_REPARSE_TAG_MOUNT_POINT`: a junction.
pub(super) const MOUNT_POINT: u32 = 0xA000_0003;
/// `IO_REPARSE_TAG_SYMLINK`.
pub(super) const SYMLINK: u32 = 0xA000_000C;
/// WIM's flag of reparse points whose target is not relative to the image's root.
pub(super) const NOT_FIXED: u16 = 1;
/// The flag of relative symbolic links.
const RELATIVE: u32 = 1;
/// The most bytes of a link on Linux.
const LONGEST: usize = 4095;

const BACKSLASH: u16 = b'\\' as u16;

/// Whether links into the image lead into the tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LinkFixing {
    /// They are made relative to its root on applying, and absolute again on capturing.
    #[default]
    Fixed,
    /// They stay what they are.
    AsTheyAre,
}

/// Whether a reparse point of this tag may become a symbolic link.
pub(super) fn can_be_link(tag: u32) -> bool {
    matches!(tag, MOUNT_POINT | SYMLINK)
}

/// The target of the Linux link for a reparse point `depth` directories below the root; nothing
/// when there is none.
pub(super) fn to_linux(
    header: ReparseHeader,
    data: &[u8],
    depth: usize,
    fixing: LinkFixing,
) -> Option<Vec<u8>> {
    let field = |at: usize| {
        data.get(at..at + 2)
            .and_then(|bytes| bytes.try_into().ok())
            .map(|bytes| usize::from(u16::from_le_bytes(bytes)))
    };
    let (names, relative) = match header.tag {
        MOUNT_POINT => (data.get(8..)?, false),
        SYMLINK => (data.get(12..)?, field(8)? & RELATIVE as usize != 0),
        _ => return None,
    };
    let substitute = units_from_le(names.get(field(0)?..)?.get(..field(2)?)?);
    if substitute.is_empty() || substitute.contains(&0) {
        return None;
    }
    let target = if relative {
        linux_path(&substitute)
    } else {
        let path = behind_drive(&substitute)?;
        let inside = linux_path(path);
        let fixed = header.flags & NOT_FIXED == 0 && fixing == LinkFixing::Fixed;
        match (fixed, depth, inside.is_empty()) {
            (false, ..) => [b"/".as_slice(), &inside].concat(),
            (true, 0, true) => b".".to_vec(),
            (true, 0, false) => inside,
            (true, _, true) => b"../".repeat(depth - 1).into_iter().chain(*b"..").collect(),
            (true, _, false) => [b"../".repeat(depth), inside].concat(),
        }
    };
    (!target.is_empty() && target.len() <= LONGEST).then_some(target)
}

/// What stands behind the drive letter and its backslash; nothing without a drive letter.
fn behind_drive(path: &[u16]) -> Option<&[u16]> {
    let prefixes = [units("\\??\\"), units("\\\\?\\"), units("\\\\.\\")];
    let path = prefixes.iter().find_map(|prefix| path.strip_prefix(prefix.as_slice())).unwrap_or(path);
    let [letter, colon, rest @ ..] = path else { return None };
    let is_letter = u8::try_from(*letter).is_ok_and(|letter| letter.is_ascii_alphabetic());
    if !is_letter || *colon != u16::from(b':') {
        return None;
    }
    match rest {
        [] => Some(rest),
        [first, rest @ ..] if *first == BACKSLASH => Some(rest),
        _ => None,
    }
}

fn linux_path(path: &[u16]) -> Vec<u8> {
    let parts: Vec<Vec<u8>> = path
        .split(|&unit| unit == BACKSLASH)
        .map(|part| match part {
            // These mean the same in both worlds.
            [dot] if *dot == u16::from(b'.') => b".".to_vec(),
            [one, two] if [*one, *two] == [u16::from(b'.'); 2] => b"..".to_vec(),
            _ => escape(part).bytes,
        })
        .collect();
    parts.join(&b'/')
}

/// Header and reparse data of the symbolic link that a Linux link is. An absolute target below
/// `root` leads into the image.
pub(super) fn from_linux(target: &[u8], root: &[u8], fixing: LinkFixing) -> (ReparseHeader, Vec<u8>) {
    let windows = |path: &[u8]| -> Vec<u16> {
        let parts: Vec<Vec<u16>> = path.split(|&byte| byte == b'/').map(unescape).collect();
        parts.join(&BACKSLASH)
    };
    let (substitute, print, flags, fixed) = match target.strip_prefix(b"/") {
        None => (windows(target), windows(target), RELATIVE, false),
        Some(absolute) => {
            let inside = match target.strip_prefix(root) {
                Some(inside) if fixing == LinkFixing::Fixed && root != b"/" => match inside {
                    [] => Some(inside),
                    [b'/', inside @ ..] => Some(inside),
                    _ => None,
                },
                _ => None,
            };
            let path = [units("C:\\"), windows(inside.unwrap_or(absolute))].concat();
            ([units("\\??\\"), path.clone()].concat(), path, 0, inside.is_some())
        }
    };
    let header = ReparseHeader { tag: SYMLINK, reserved: 0, flags: if fixed { 0 } else { NOT_FIXED } };
    let (substitute, print) = (units_to_le(&substitute), units_to_le(&print));
    // A Linux target has fewer than 4096 bytes.
    let length = |bytes: &[u8]| (bytes.len() as u16).to_le_bytes();
    let mut data = Vec::with_capacity(12 + substitute.len() + print.len());
    data.extend(0u16.to_le_bytes());
    data.extend(length(&substitute));
    data.extend(length(&substitute));
    data.extend(length(&print));
    data.extend(flags.to_le_bytes());
    data.extend(&substitute);
    data.extend(&print);
    (header, data)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn junction(target: &str) -> Vec<u8> {
        let name = units_to_le(&units(target));
        let length = name.len() as u16;
        let mut data = Vec::new();
        for field in [0, length, length + 2, 0] {
            data.extend(field.to_le_bytes());
        }
        data.extend(name);
        data.extend([0; 4]);
        data
    }

    #[test]
    fn junctions_lead_into_the_tree() {
        let text = |target: &str, flags, depth, fixing| {
            let header = ReparseHeader { tag: MOUNT_POINT, reserved: 0, flags };
            to_linux(header, &junction(target), depth, fixing)
                .map(|target| String::from_utf8(target).unwrap())
        };
        let fixed = LinkFixing::Fixed;
        for (target, flags, depth, fixing, expected) in [
            ("\\??\\C:\\Users\\Public", 0, 2, fixed, Some("../../Users/Public")),
            ("\\??\\C:\\Users", 0, 0, fixed, Some("Users")),
            ("\\??\\C:\\", 0, 1, fixed, Some("..")),
            ("\\??\\C:", 0, 0, fixed, Some(".")),
            ("\\??\\C:\\Users", 1, 2, fixed, Some("/Users")),
            ("\\??\\C:\\Users", 0, 2, LinkFixing::AsTheyAre, Some("/Users")),
            ("\\??\\Volume{1234}\\x", 0, 0, fixed, None),
            ("", 0, 0, fixed, None),
        ] {
            assert_eq!(text(target, flags, depth, fixing).as_deref(), expected, "{target}");
        }
        let header = ReparseHeader { tag: MOUNT_POINT, reserved: 0, flags: 0 };
        for end in 0..8 {
            assert_eq!(to_linux(header, &junction("\\??\\C:\\a")[..end], 0, fixed), None);
        }
        assert_eq!(to_linux(ReparseHeader { tag: 0x8000_0017, ..header }, &junction("a"), 0, fixed), None);
    }

    #[test]
    fn linux_links_become_symbolic_links_and_come_back() {
        for (target, flags, back) in [
            ("../a/b%002Fc", 1, "../a/b%002Fc"),
            ("/srv/tree/Windows", 0, "../Windows"),
            ("/srv/tree", 0, ".."),
            ("/srv/trees", 1, "/srv/trees"),
            ("/etc/passwd", 1, "/etc/passwd"),
        ] {
            let (header, data) = from_linux(target.as_bytes(), b"/srv/tree", LinkFixing::Fixed);
            assert_eq!((header.tag, header.flags), (SYMLINK, flags), "{target}");
            let found = to_linux(header, &data, 1, LinkFixing::Fixed).unwrap();
            assert_eq!(String::from_utf8(found).unwrap(), back);
        }
    }
}
