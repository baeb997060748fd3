// SPDX-License-Identifier: GPL-3.0-or-later
//! Relative paths out of an INF: the border behind which no path can leave its folder.

/// Joins pieces into one path with single backslashes. Nothing when a piece goes up, names a
/// drive or a stream, or has a character that no file name may have.
pub(super) fn join(pieces: &[&str]) -> Option<String> {
    let mut path = String::new();
    for piece in pieces {
        for component in piece.split(['\\', '/']) {
            // Windows drops blanks and dots at the end of a name: ".. " would be "..".
            let plain = component.trim_end_matches([' ', '.']);
            if component.is_empty() || component == "." {
                continue;
            }
            let forbidden = |character: char| {
                character < ' ' || matches!(character, ':' | '<' | '>' | '"' | '|' | '?' | '*')
            };
            if plain.is_empty() || component.contains(forbidden) {
                return None;
            }
            if !path.is_empty() {
                path.push('\\');
            }
            path.push_str(component);
        }
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_below() {
        let cases: [(&[&str], Option<&str>); 15] = [
            (&["", "", "a.sys"], Some("a.sys")),
            (&["\\x64", "sub\\", "a.sys"], Some("x64\\sub\\a.sys")),
            (&[".\\x64", "a/b"], Some("x64\\a\\b")),
            (&[" x"], Some(" x")),
            (&["a..b"], Some("a..b")),
            (&[], Some("")),
            (&["..", "a"], None),
            (&["a\\..\\b"], None),
            (&["a/../b"], None),
            (&[".. "], None),
            (&["..."], None),
            (&["C:\\a"], None),
            (&["a:stream"], None),
            (&["a\u{1}"], None),
            (&["a*"], None),
        ];
        for (pieces, expected) in cases {
            assert_eq!(join(pieces).as_deref(), expected, "{pieces:?}");
        }
    }
}
