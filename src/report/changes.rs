// SPDX-License-Identifier: GPL-3.0-or-later
//! What a session would change, file by file and registry value by registry value.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Page, Report};
use crate::base::{WinName, WinPath, name};
use crate::hive::RegistryChange;
use crate::image::SessionDiff;
use crate::volume::FileChange;

/// How much of a list is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Every file and value.
    Full,
    /// Counts only.
    Counts,
}

/// The differences of an image from what stands in its file, sorted.
#[derive(Clone, Debug)]
pub struct ChangeList {
    files: Vec<FileChange>,
    registry: Vec<RegistryChange>,
    detail: Detail,
}

impl ChangeList {
    /// Sorts the differences: files by path, registry by key and value name.
    pub fn new(difference: SessionDiff, detail: Detail) -> Self {
        let SessionDiff { mut files, mut registry } = difference;
        files.sort_by_cached_key(|change| (upcased(&path_text(file_path(change))), file_letter(change)));
        registry.sort_by_cached_key(|change| {
            let (key, value) = registry_place(change);
            (name::upcased(key.units()), value.map(|name| name::upcased(name.units())))
        });
        Self { files, registry, detail }
    }

    fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for change in &self.files {
            *match change {
                FileChange::Added { .. } => &mut counts.files_added,
                FileChange::Removed { .. } => &mut counts.files_removed,
                FileChange::Modified { .. } => &mut counts.files_modified,
                FileChange::Metadata { .. } => &mut counts.files_with_new_metadata,
            } += 1;
        }
        for change in &self.registry {
            *match change {
                RegistryChange::KeyAdded { .. } => &mut counts.keys_added,
                RegistryChange::KeyRemoved { .. } => &mut counts.keys_removed,
                RegistryChange::ValueSet { old: None, .. } => &mut counts.values_added,
                RegistryChange::ValueSet { .. } => &mut counts.values_changed,
                RegistryChange::ValueRemoved { .. } => &mut counts.values_removed,
            } += 1;
        }
        counts
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
struct Counts {
    files_added: usize,
    files_modified: usize,
    files_removed: usize,
    files_with_new_metadata: usize,
    keys_added: usize,
    keys_removed: usize,
    values_added: usize,
    values_changed: usize,
    values_removed: usize,
}

impl Report for ChangeList {
    fn json(&self) -> Value {
        let mut value = json!({ "counts": super::json::to_value(&self.counts()) });
        if self.detail == Detail::Full
            && let Some(object) = value.as_object_mut()
        {
            object.insert("files".to_owned(), self.files.iter().map(file_json).collect());
            object.insert("registry".to_owned(), self.registry.iter().map(registry_json).collect());
        }
        value
    }

    fn dism(&self, page: &mut Page) {
        self.native(page);
        page.blank();
    }

    fn native(&self, page: &mut Page) {
        if self.files.is_empty() && self.registry.is_empty() {
            page.line("No changes.");
            return;
        }
        if self.detail == Detail::Full {
            if !self.files.is_empty() {
                page.line("Files (A added, M data changed, D deleted, m only metadata changed):");
                for change in &self.files {
                    file_line(page, change);
                }
                page.blank();
            }
            if !self.registry.is_empty() {
                page.line("Registry (+ added, ~ changed, - deleted):");
                for key in
                    self.registry.chunk_by(|left, right| registry_place(left).0 == registry_place(right).0)
                {
                    registry_lines(page, key);
                }
                page.blank();
            }
        }
        let counts = self.counts();
        page.line(format_args!(
            "{} added, {} changed, {} deleted, {} with new metadata; \
             {} added, {} deleted; {} added, {} changed, {} deleted.",
            page.counted(counts.files_added as u64, "file"),
            page.number(counts.files_modified as u64),
            page.number(counts.files_removed as u64),
            page.number(counts.files_with_new_metadata as u64),
            page.counted(counts.keys_added as u64, "key"),
            page.number(counts.keys_removed as u64),
            page.counted(counts.values_added as u64, "value"),
            page.number(counts.values_changed as u64),
            page.number(counts.values_removed as u64),
        ));
    }
}

fn upcased(text: &str) -> Vec<u16> {
    name::upcased(&name::units(text))
}

fn path_text(path: &WinPath) -> String {
    path.components().iter().map(|part| name::display(part.units())).collect::<Vec<_>>().join("\\")
}

fn file_path(change: &FileChange) -> &WinPath {
    match change {
        FileChange::Added { path, .. }
        | FileChange::Removed { path, .. }
        | FileChange::Modified { path, .. }
        | FileChange::Metadata { path, .. } => path,
    }
}

fn file_letter(change: &FileChange) -> char {
    match change {
        FileChange::Added { .. } => 'A',
        FileChange::Removed { .. } => 'D',
        FileChange::Modified { .. } => 'M',
        FileChange::Metadata { .. } => 'm',
    }
}

fn file_line(page: &mut Page, change: &FileChange) {
    let path = path_text(file_path(change));
    let letter = file_letter(change);
    let rest = match change {
        FileChange::Added { directory: true, .. } | FileChange::Removed { directory: true, .. } => {
            "\\".to_owned()
        }
        FileChange::Removed { .. } => String::new(),
        FileChange::Added { size, .. } => format!("  ({} bytes)", page.number(*size)),
        FileChange::Modified { old_size, new_size, changed_bytes, .. } if old_size == new_size => {
            format!("  ({} of {} bytes)", page.number(*changed_bytes), page.number(*new_size))
        }
        FileChange::Modified { old_size, new_size, changed_bytes, .. } => format!(
            "  ({} -> {} bytes, {} changed)",
            page.number(*old_size),
            page.number(*new_size),
            page.number(*changed_bytes)
        ),
        FileChange::Metadata { what, .. } => format!("  ({})", what.join(", ")),
    };
    page.line(format_args!("  {letter} {path}{rest}"));
}

fn file_json(change: &FileChange) -> Value {
    let path = path_text(file_path(change));
    match change {
        FileChange::Added { directory, size, .. } => {
            json!({ "change": "added", "path": path, "directory": directory, "size": size })
        }
        FileChange::Removed { directory, .. } => {
            json!({ "change": "removed", "path": path, "directory": directory })
        }
        FileChange::Modified { old_size, new_size, changed_bytes, .. } => json!({
            "change": "modified", "path": path,
            "old_size": old_size, "new_size": new_size, "changed_bytes": changed_bytes,
        }),
        FileChange::Metadata { what, .. } => json!({ "change": "metadata", "path": path, "what": what }),
    }
}

fn registry_place(change: &RegistryChange) -> (&WinName, Option<&WinName>) {
    match change {
        RegistryChange::KeyAdded { key } | RegistryChange::KeyRemoved { key } => (key, None),
        RegistryChange::ValueSet { key, name, .. } | RegistryChange::ValueRemoved { key, name } => {
            (key, Some(name))
        }
    }
}

/// The changes of one key: the key, marked if it is new or gone, and its values below it.
fn registry_lines(page: &mut Page, changes: &[RegistryChange]) {
    let mark = changes.iter().find_map(|change| match change {
        RegistryChange::KeyAdded { .. } => Some('+'),
        RegistryChange::KeyRemoved { .. } => Some('-'),
        RegistryChange::ValueSet { .. } | RegistryChange::ValueRemoved { .. } => None,
    });
    if let Some(first) = changes.first() {
        page.line(format_args!("  {} [{}]", mark.unwrap_or(' '), registry_place(first).0));
    }
    for change in changes {
        let value = match registry_place(change).1 {
            Some(name) if name.is_empty() => "(Default)".to_owned(),
            Some(name) => name::display(name.units()),
            None => continue,
        };
        match change {
            RegistryChange::ValueSet { kind, data, old: None, .. } => {
                page.line(format_args!("      + {value} = {}", data_text(*kind, data)));
            }
            RegistryChange::ValueSet { kind, data, old: Some((old_kind, old_data)), .. } => {
                page.line(format_args!(
                    "      ~ {value} = {}  (was {})",
                    data_text(*kind, data),
                    data_text(*old_kind, old_data)
                ));
            }
            _ => page.line(format_args!("      - {value}")),
        }
    }
}

fn registry_json(change: &RegistryChange) -> Value {
    let (key, name) = registry_place(change);
    let mut object = match change {
        RegistryChange::KeyAdded { .. } => json!({ "change": "key_added" }),
        RegistryChange::KeyRemoved { .. } => json!({ "change": "key_removed" }),
        RegistryChange::ValueRemoved { .. } => json!({ "change": "value_removed" }),
        RegistryChange::ValueSet { kind, data, old, .. } => json!({
            "change": "value_set",
            "new": data_json(*kind, data),
            "old": old.as_ref().map(|(kind, data)| data_json(*kind, data)),
        }),
    };
    put_name(&mut object, "key", key.units());
    if let Some(name) = name {
        put_name(&mut object, "name", name.units());
    }
    object
}

/// A name of the registry as text; one that is ill-formed UTF-16 also as `FIELD_hex`, the bytes of
/// its units.
pub(super) fn put_name(object: &mut Value, field: &str, units: &[u16]) {
    let Some(object) = object.as_object_mut() else { return };
    object.insert(field.to_owned(), name::display(units).into());
    if String::from_utf16(units).is_err() {
        object.insert(format!("{field}_hex"), hexadecimal(&name::units_to_le(units)).into());
    }
}

/// The published name of a value type (winnt.h), or its number: any 32-bit number is legal.
pub(super) fn kind_name(kind: u32) -> String {
    const NAMES: [&str; 12] = [
        "REG_NONE",
        "REG_SZ",
        "REG_EXPAND_SZ",
        "REG_BINARY",
        "REG_DWORD",
        "REG_DWORD_BIG_ENDIAN",
        "REG_LINK",
        "REG_MULTI_SZ",
        "REG_RESOURCE_LIST",
        "REG_FULL_RESOURCE_DESCRIPTOR",
        "REG_RESOURCE_REQUIREMENTS_LIST",
        "REG_QWORD",
    ];
    match usize::try_from(kind).ok().and_then(|kind| NAMES.get(kind)) {
        Some(name) => (*name).to_owned(),
        None => format!("0x{kind:08x}"),
    }
}

/// What a value's bytes mean, where the type says so and they are well-formed.
pub(super) enum Meaning {
    Text(String),
    Texts(Vec<String>),
    Number(u64),
    Bytes,
}

/// The driver store types properties as `0xffff0000 | DEVPROPTYPE` (devpropdef.h): 0x12 is a
/// string, 0x2012 a list of strings.
pub(super) fn meaning(kind: u32, data: &[u8]) -> Meaning {
    match kind {
        1 | 2 | 6 | 0xFFFF_0012 => text(data).map(Meaning::Text),
        7 | 0xFFFF_2012 => texts(data).map(Meaning::Texts),
        4 => data.try_into().ok().map(|bytes| Meaning::Number(u32::from_le_bytes(bytes).into())),
        5 => data.try_into().ok().map(|bytes| Meaning::Number(u32::from_be_bytes(bytes).into())),
        11 => data.try_into().ok().map(|bytes| Meaning::Number(u64::from_le_bytes(bytes))),
        _ => None,
    }
    .unwrap_or(Meaning::Bytes)
}

fn utf16(data: &[u8]) -> Option<String> {
    data.len().is_multiple_of(2).then(|| String::from_utf16(&name::units_from_le(data)).ok()).flatten()
}

fn text(data: &[u8]) -> Option<String> {
    let text = utf16(data)?;
    let text = text.strip_suffix('\0')?;
    (!text.contains('\0')).then(|| text.to_owned())
}

fn texts(data: &[u8]) -> Option<Vec<String>> {
    let text = utf16(data)?;
    let body = text.strip_suffix('\0')?;
    if body.is_empty() {
        return Some(Vec::new());
    }
    Some(body.strip_suffix('\0')?.split('\0').map(str::to_owned).collect())
}

pub(super) fn hexadecimal(data: &[u8]) -> String {
    data.iter().fold(String::with_capacity(data.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn data_text(kind: u32, data: &[u8]) -> String {
    const SHOWN: usize = 16;
    let kind_name = kind_name(kind);
    match meaning(kind, data) {
        Meaning::Text(text) => format!("{kind_name} {}", quoted(&text)),
        Meaning::Texts(texts) => {
            let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
            format!("{kind_name} [{}]", texts.join(", "))
        }
        Meaning::Number(number) => format!("{kind_name} 0x{number:x}"),
        Meaning::Bytes if data.len() > SHOWN => format!(
            "{kind_name} {}... ({} bytes)",
            hexadecimal(data.get(..SHOWN).unwrap_or_default()),
            data.len()
        ),
        Meaning::Bytes => format!("{kind_name} {}", hexadecimal(data)),
    }
}

/// In quotes on one line: paths keep their backslashes, only control characters are escaped.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        if letter.is_control() {
            quoted.extend(letter.escape_default());
        } else {
            quoted.push(letter);
        }
    }
    quoted.push('"');
    quoted
}

pub(super) fn data_json(kind: u32, data: &[u8]) -> Value {
    let meaning: Value = match meaning(kind, data) {
        Meaning::Text(text) => text.into(),
        Meaning::Texts(texts) => texts.into(),
        Meaning::Number(number) => number.into(),
        Meaning::Bytes => Value::Null,
    };
    json!({ "type": kind_name(kind), "value": meaning, "hex": hexadecimal(data) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Style;

    fn sample() -> SessionDiff {
        let path = |text: &str| WinPath::parse(text).unwrap();
        SessionDiff {
            files: vec![
                FileChange::Modified {
                    path: path("Windows\\System32\\config\\DRIVERS"),
                    old_size: 8192,
                    new_size: 12288,
                    changed_bytes: 4096,
                },
                FileChange::Added { path: path("Windows\\INF\\oem0.inf"), directory: false, size: 1234 },
                FileChange::Added { path: path("Windows\\inf\\new"), directory: true, size: 0 },
                FileChange::Removed { path: path("Windows\\old.sys"), directory: false },
                FileChange::Metadata { path: path("Windows"), what: vec!["times".into(), "security".into()] },
            ],
            registry: vec![
                RegistryChange::ValueSet {
                    key: "HKLM\\SYSTEM\\Setup".into(),
                    name: "Kind".into(),
                    kind: 4,
                    data: vec![3, 0, 0, 0],
                    old: Some((4, vec![1, 0, 0, 0])),
                },
                RegistryChange::ValueSet {
                    key: "HKLM\\DRIVERS\\x".into(),
                    name: "".into(),
                    kind: 0xFFFF_0012,
                    data: name::units_to_le(&name::units("oem0.inf\0")),
                    old: None,
                },
                RegistryChange::KeyAdded { key: "HKLM\\DRIVERS\\x".into() },
                RegistryChange::ValueRemoved { key: "HKLM\\DRIVERS\\a".into(), name: "gone".into() },
            ],
        }
    }

    fn native(detail: Detail) -> String {
        let mut page = Page::new(Style::english(jiff::tz::TimeZone::UTC, None));
        ChangeList::new(sample(), detail).native(&mut page);
        page.into_text()
    }

    #[test]
    fn sorted_and_readable() {
        assert_eq!(
            native(Detail::Full),
            r#"Files (A added, M data changed, D deleted, m only metadata changed):
  m Windows  (times, security)
  A Windows\inf\new\
  A Windows\INF\oem0.inf  (1,234 bytes)
  D Windows\old.sys
  M Windows\System32\config\DRIVERS  (8,192 -> 12,288 bytes, 4,096 changed)

Registry (+ added, ~ changed, - deleted):
    [HKLM\DRIVERS\a]
      - gone
  + [HKLM\DRIVERS\x]
      + (Default) = 0xffff0012 "oem0.inf"
    [HKLM\SYSTEM\Setup]
      ~ Kind = REG_DWORD 0x3  (was REG_DWORD 0x1)

2 files added, 1 changed, 1 deleted, 1 with new metadata; 1 key added, 0 deleted; 1 value added, 1 changed, 1 deleted.
"#
        );
        assert_eq!(native(Detail::Counts).lines().count(), 1);
    }

    #[test]
    fn json_is_in_snake_case_with_names_as_text() {
        let value = ChangeList::new(sample(), Detail::Full).json();
        assert_eq!(
            value["registry"][2],
            json!({
                "change": "value_set", "key": "HKLM\\DRIVERS\\x", "name": "", "old": null,
                "new": { "type": "0xffff0012", "value": "oem0.inf",
                         "hex": "6f0065006d0030002e0069006e0066000000" },
            })
        );
        assert_eq!(
            value["files"][4],
            json!({
                "change": "modified", "path": "Windows\\System32\\config\\DRIVERS",
                "old_size": 8192, "new_size": 12288, "changed_bytes": 4096,
            })
        );
        assert_eq!(value["counts"]["files_with_new_metadata"], 1);
        assert_eq!(ChangeList::new(sample(), Detail::Counts).json().get("files"), None);
    }

    #[test]
    fn data_that_breaks_its_type_is_shown_as_bytes() {
        let cases: [(u32, &[u8], &str); 8] = [
            (2, b"\\\0a\0\n\0\0\0", "REG_EXPAND_SZ \"\\a\\n\""),
            (1, b"a\0", "REG_SZ 6100"),
            (1, b"a\0\0\0", "REG_SZ \"a\""),
            (4, b"\x01\x00", "REG_DWORD 0100"),
            (7, b"a\0\0\0b\0\0\0\0\0", "REG_MULTI_SZ [\"a\", \"b\"]"),
            (7, b"\0\0", "REG_MULTI_SZ []"),
            (3, &[0xAB; 17], "REG_BINARY abababababababababababababababab... (17 bytes)"),
            (0x1234, b"", "0x00001234 "),
        ];
        for (kind, data, expected) in cases {
            assert_eq!(data_text(kind, data), expected);
        }
    }
}
