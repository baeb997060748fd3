// SPDX-License-Identifier: GPL-3.0-or-later
//! Which files a capture leaves out and which it does not compress: `WimScript.ini`, `/ConfigFile`.
//!
//! | section | a path in it |
//! |---|---|
//! | `[ExclusionList]` | is left out, with everything below it |
//! | `[ExclusionException]` | is captured although the first section names it or a folder above it |
//! | `[CompressionExclusionList]` | is captured, and stored as it is; of a folder, everything below it |
//!
//! One path a line, in quotes or not; lines that begin with `;` or `#` say nothing. A path that
//! begins with a backslash counts from the captured folder (a drive letter before it is not looked
//! at). Any other one is looked for at every depth: `*.tmp`, or `cache\*.dat` for the last two
//! components. `*` stands for any characters but the backslash, `?` for one. Upper and lower case
//! are the same.
//!
//! Source: Microsoft, "DISM Configuration List and WimScript.ini Files". It says that wildcards
//! stand in the last component only; here they may stand in any. A list replaces the default one.

use std::path::Path;

use crate::base::{Code, Error, ErrorClass, Result, name};

/// What DISM leaves out and does not compress unless a list says otherwise.
const DEFAULT: &str = "[ExclusionList]
\\$ntfs.log
\\hiberfil.sys
\\pagefile.sys
\\swapfile.sys
\"\\System Volume Information\"
\\RECYCLER
\\Windows\\CSC
[CompressionExclusionList]
*.mp3
*.zip
*.cab
\\WINDOWS\\inf\\*.pnf
";

/// Longer lists are refused.
const LONGEST: usize = 1 << 20;

const BACKSLASH: u16 = b'\\' as u16;

/// Which files are left out of a capture, and which are not compressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureList {
    excluded: Vec<Pattern>,
    exceptions: Vec<Pattern>,
    stored: Vec<Pattern>,
    /// Sections that mean nothing here.
    unknown: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    /// Whether it counts from the root.
    anchored: bool,
    /// In upper case.
    components: Vec<Vec<u16>>,
}

/// A place in the tree that is captured: its components in upper case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place(Vec<Vec<u16>>);

impl Place {
    /// A place inside this one.
    pub(super) fn join(&self, name: &[u16]) -> Self {
        let mut components = self.0.clone();
        components.push(name::upcased(name));
        Self(components)
    }
}

/// What becomes of a file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is captured.
    Captured,
    /// It is left out with all that is in it.
    LeftOut,
    /// A folder that is left out but for what exceptions name in it.
    OnlyExceptions,
}

impl Default for CaptureList {
    fn default() -> Self {
        // The text is a constant that a test parses.
        Self::parse(DEFAULT).unwrap_or(Self {
            excluded: Vec::new(),
            exceptions: Vec::new(),
            stored: Vec::new(),
            unknown: Vec::new(),
        })
    }
}

impl CaptureList {
    /// Reads a list from a file in UTF-8, UTF-16 with a byte order mark, or Windows-1252.
    ///
    /// # Errors
    /// When it cannot be read, or a line of it cannot be understood.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|error| Error::io(path.display(), &error))?;
        if bytes.len() > LONGEST {
            return Err(Error::new(
                ErrorClass::Usage,
                format!("{} is no configuration list: it has {} bytes", path.display(), bytes.len()),
            ));
        }
        let text = match encoding_rs::Encoding::for_bom(&bytes) {
            Some((encoding, _)) => encoding.decode(&bytes).0.into_owned(),
            None => match std::str::from_utf8(&bytes) {
                Ok(text) => text.to_owned(),
                Err(_) => encoding_rs::WINDOWS_1252.decode(&bytes).0.into_owned(),
            },
        };
        Self::parse(&text).map_err(|error| error.with_context(format!("while reading {}", path.display())))
    }

    /// Reads a list from text.
    ///
    /// # Errors
    /// When a line cannot be understood.
    pub fn parse(text: &str) -> Result<Self> {
        let mut list =
            Self { excluded: Vec::new(), exceptions: Vec::new(), stored: Vec::new(), unknown: Vec::new() };
        let mut nowhere = Vec::new();
        let mut section: Option<String> = None;
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with([';', '#']) {
                continue;
            }
            let wrong = |what: &str| {
                Error::new(ErrorClass::Usage, format!("line {number} of the list: {what}: {line}"))
                    .with_code(Code::INVALID_PARAMETER)
                    .with_hint("a list has lines such as [ExclusionList] and \\folder\\*.tmp")
            };
            if let Some(rest) = line.strip_prefix('[') {
                let name = rest.strip_suffix(']').ok_or_else(|| wrong("the section's name is not ended"))?;
                let name = name.trim().to_ascii_lowercase();
                if !["exclusionlist", "exclusionexception", "compressionexclusionlist"]
                    .contains(&name.as_str())
                {
                    list.unknown.push(line.to_owned());
                }
                section = Some(name);
                continue;
            }
            let patterns = match section.as_deref() {
                Some("exclusionlist") => &mut list.excluded,
                Some("exclusionexception") => &mut list.exceptions,
                Some("compressionexclusionlist") => &mut list.stored,
                Some(_) => &mut nowhere,
                None => return Err(wrong("it stands before the first section")),
            };
            patterns.push(Pattern::parse(line).ok_or_else(|| wrong("this is no path"))?);
        }
        Ok(list)
    }

    /// Sections of the list that mean nothing here, and are not looked at.
    pub fn unknown_sections(&self) -> &[String] {
        &self.unknown
    }

    /// What becomes of a place; `inside` says that it is in a folder that is left out but for
    /// exceptions.
    pub(super) fn verdict(&self, place: &Place, inside: bool) -> Verdict {
        if self.exceptions.iter().any(|pattern| pattern.matches(place)) {
            return Verdict::Captured;
        }
        if !inside && !self.excluded.iter().any(|pattern| pattern.matches(place)) {
            return Verdict::Captured;
        }
        match self.exceptions.iter().any(|pattern| pattern.may_match_below(place)) {
            true => Verdict::OnlyExceptions,
            false => Verdict::LeftOut,
        }
    }

    /// Whether a file, or everything below a folder, is stored as it is.
    pub(super) fn is_stored(&self, place: &Place) -> bool {
        self.stored.iter().any(|pattern| pattern.matches(place))
    }
}

impl Pattern {
    fn parse(line: &str) -> Option<Self> {
        let line = line.strip_prefix('"').map_or(line, |rest| rest.strip_suffix('"').unwrap_or(rest));
        let path = match line.as_bytes() {
            [letter, b':', b'\\' | b'/', ..] if letter.is_ascii_alphabetic() => line.get(2..)?,
            _ => line,
        };
        let units: Vec<u16> = name::units(&path.replace('/', "\\"));
        let anchored = units.first() == Some(&BACKSLASH);
        let components: Vec<Vec<u16>> = units
            .split(|unit| *unit == BACKSLASH)
            .filter(|component| !component.is_empty())
            .map(name::upcased)
            .collect();
        (!components.is_empty()).then_some(Self { anchored, components })
    }

    fn matches(&self, place: &Place) -> bool {
        let Some(skipped) = place.0.len().checked_sub(self.components.len()) else { return false };
        (skipped == 0 || !self.anchored)
            && self
                .components
                .iter()
                .zip(place.0.iter().skip(skipped))
                .all(|(pattern, component)| matches(pattern, component))
    }

    /// Whether something below the place could match. One that is looked for at every depth always
    /// could, but does not bring back what was left out as a whole.
    fn may_match_below(&self, place: &Place) -> bool {
        self.anchored
            && self.components.len() > place.0.len()
            && self.components.iter().zip(&place.0).all(|(pattern, component)| matches(pattern, component))
    }
}

/// Whether a name fits a pattern with `*` and `?`; both in upper case.
fn matches(pattern: &[u16], name: &[u16]) -> bool {
    const STAR: u16 = b'*' as u16;
    const ANY: u16 = b'?' as u16;
    let (mut pattern, mut name) = (pattern, name);
    // Where to go on after the last star, with one unit more given to it.
    let mut retry: Option<(&[u16], &[u16])> = None;
    loop {
        match (pattern.split_first(), name.split_first()) {
            (Some((&STAR, rest)), _) => {
                retry = Some((rest, name));
                pattern = rest;
            }
            (Some((&expected, rest)), Some((&found, others))) if expected == ANY || expected == found => {
                (pattern, name) = (rest, others);
            }
            (None, None) => return true,
            _ => {
                let Some((rest, [_, others @ ..])) = retry else { return false };
                retry = Some((rest, others));
                (pattern, name) = (rest, others);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: &str) -> Place {
        path.split('\\')
            .filter(|component| !component.is_empty())
            .fold(Place::default(), |place, component| place.join(&name::units(component)))
    }

    #[test]
    fn wildcards() {
        let cases = [
            ("*", "", true),
            ("*.MP3", "A.MP3", true),
            ("*.MP3", "A.MP3.TXT", false),
            ("A*B*C", "AXXBYYBC", true),
            ("A*B*C", "AXXBYY", false),
            ("?.SYS", "A.SYS", true),
            ("?.SYS", ".SYS", false),
            ("ABC", "ABCD", false),
            ("ABC?", "ABC", false),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(matches(&name::units(pattern), &name::units(name)), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn the_default_list_is_that_of_windows() {
        let list = CaptureList::default();
        assert_eq!((list.excluded.len(), list.stored.len(), list.exceptions.len()), (7, 4, 0));
        let left_out = ["\\PAGEFILE.sys", "\\system volume information", "\\windows\\csc", "\\$NTFS.LOG"];
        for path in left_out {
            assert_eq!(list.verdict(&place(path), false), Verdict::LeftOut, "{path}");
        }
        for path in ["\\x\\pagefile.sys", "\\Windows", "\\Windows\\CSC2", "\\Windows\\inf\\a.inf"] {
            assert_eq!(list.verdict(&place(path), false), Verdict::Captured, "{path}");
        }
        for (path, stored) in [
            ("\\a\\b.CAB", true),
            ("\\a\\b.cab.txt", false),
            ("\\Windows\\inf\\oem0.pnf", true),
            ("\\x\\Windows\\inf\\oem0.pnf", false),
        ] {
            assert_eq!(list.is_stored(&place(path)), stored, "{path}");
        }
    }

    #[test]
    fn sections_quotes_comments_and_exceptions() {
        let list = CaptureList::parse(
            "; comment\r\n[exclusionlist]\r\n\"\\My Folder\"\r\nC:\\other\\*\r\ncache\\*.dat\r\n*.tmp\r\n\
             [ExclusionException]\r\n\\My Folder\\kept\\file.txt\r\nimportant.tmp\r\n\
             [PrepopulateList]\r\n\\Windows\r\n[CompressionExclusionList]\r\n\\stored",
        )
        .unwrap();
        assert_eq!(list.unknown_sections(), ["[PrepopulateList]"]);
        let cases = [
            ("\\My Folder", false, Verdict::OnlyExceptions),
            ("\\My Folder\\kept", true, Verdict::OnlyExceptions),
            ("\\My Folder\\kept\\file.txt", true, Verdict::Captured),
            ("\\My Folder\\kept\\other.txt", true, Verdict::LeftOut),
            ("\\My Folder\\important.tmp", true, Verdict::Captured),
            ("\\other", false, Verdict::Captured),
            ("\\other\\x", false, Verdict::LeftOut),
            ("\\a\\b\\CACHE\\1.dat", false, Verdict::LeftOut),
            ("\\a\\1.dat", false, Verdict::Captured),
            ("\\a\\x.TMP", false, Verdict::LeftOut),
            ("\\a\\Important.tmp", false, Verdict::Captured),
        ];
        for (path, inside, expected) in cases {
            assert_eq!(list.verdict(&place(path), inside), expected, "{path}");
        }
        assert!(list.is_stored(&place("\\STORED")) && !list.is_stored(&place("\\a\\stored")));
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for text in ["\\x", "[ExclusionList\n", "[ExclusionList]\n\\\n", "[ExclusionList]\n\"\"\n"] {
            let error = CaptureList::parse(text).unwrap_err();
            assert_eq!(error.code().to_string(), "87", "{text}");
        }
    }
}
