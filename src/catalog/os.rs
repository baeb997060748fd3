// SPDX-License-Identifier: GPL-3.0-or-later
//! The attribute `OSAttr` of a member: which Windows it was signed for.
//!
//! ```text
//! OSAttr   entry { "," entry }
//! entry    platform ":" major "." minor        platform 2 is Windows NT; a number may be "x"
//! ```
//!
//! A file serves the versions it lists and later ones: catalogs that list 5.1 are shipped for
//! every Windows since. One that lists later versions only is refused; setupapi's number for that is
//! `ERROR_SIGNATURE_OSATTRIBUTE_MISMATCH`. An entry that cannot be read limits nothing.
//!
//! Source: Microsoft's Inf2Cat and MakeCat pages; ten real catalogs (2:5.1, 2:6.0, 2:6.3, 2:10.0).

use crate::base::Version;

/// The lowest Windows NT that an entry names; nothing for another platform or form.
pub(super) fn lowest(entry: &str) -> Option<(u16, u16)> {
    let (platform, version) = entry.trim().split_once(':')?;
    if platform.trim() != "2" {
        return None;
    }
    let mut parts = version.trim().split('.').map(|part| match part {
        "x" | "X" | "*" => Some(0),
        part => part.parse().ok(),
    });
    Some((parts.next()??, parts.next().unwrap_or(Some(0))?))
}

/// Whether a file with these entries was signed for a Windows of this version.
pub(super) fn serves<'a>(entries: impl Iterator<Item = &'a str>, version: Version) -> bool {
    let mut listed = entries.filter_map(lowest).peekable();
    listed.peek().is_none() || listed.any(|least| least <= (version.major, version.minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries() {
        let cases = [
            ("2:10.0", Some((10, 0))),
            (" 2:6.1 ", Some((6, 1))),
            ("2:5.x", Some((5, 0))),
            ("2:5.1.2600", Some((5, 1))),
            ("2:6", Some((6, 0))),
            ("1:4.x", None),
            ("2", None),
            ("2:", None),
            ("2:a.b", None),
        ];
        for (entry, expected) in cases {
            assert_eq!(lowest(entry), expected, "{entry}");
        }
    }

    #[test]
    fn which_windows() {
        let seven = Version::new(6, 1, 7601, 0);
        let ten = Version::new(10, 0, 19045, 0);
        let cases: [(&[&str], bool, bool); 6] = [
            (&[], true, true),
            (&["2:10.0"], false, true),
            (&["2:5.1"], true, true),
            (&["2:10.0", "2:6.1"], true, true),
            (&["2:6.3"], false, true),
            (&["1:4.x"], true, true),
        ];
        for (entries, on_seven, on_ten) in cases {
            assert_eq!(serves(entries.iter().copied(), seven), on_seven, "{entries:?}");
            assert_eq!(serves(entries.iter().copied(), ten), on_ten, "{entries:?}");
        }
    }
}
