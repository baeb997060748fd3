// SPDX-License-Identifier: GPL-3.0-or-later
//! Writing `.reg` text as regedit does: UTF-16LE with a byte order mark, CRLF, hex data wrapped
//! at 80 columns, depth first, values in their stored order.

use super::{RegTextError, full_root};
use crate::base::{Result, WinName, name};
use crate::hive::digest::Budget;
use crate::hive::value::{Value, ValueType};
use crate::hive::{Hive, KeyId, RegistryChange};

/// A byte that would end behind this column is the last of its line (regedit's exports).
const LAST_COLUMN: usize = 76;

/// `.reg` text that grows line by line.
#[derive(Debug)]
pub struct RegWriter {
    units: Vec<u16>,
}

impl Default for RegWriter {
    fn default() -> Self {
        let mut writer = Self { units: Vec::new() };
        writer.text("Windows Registry Editor Version 5.00\r\n\r\n");
        writer
    }
}

impl RegWriter {
    fn text(&mut self, text: &str) {
        self.units.extend(text.encode_utf16());
    }

    /// Starts a key; `delete` writes `[-KEY]`. The path has its root.
    ///
    /// # Errors
    /// When a name in the path holds a line break or a NUL.
    pub fn key(&mut self, path: &[u16], delete: bool) -> Result<()> {
        if path.iter().any(|&unit| unit == 0 || unit == 0x0A || unit == 0x0D) {
            return Err(RegTextError::Unwritable { key: name::display(path) }.into());
        }
        self.text(if delete { "[-" } else { "[" });
        self.units.extend_from_slice(path);
        self.text("]\r\n");
        Ok(())
    }

    /// Ends a key.
    pub fn end_key(&mut self) {
        self.text("\r\n");
    }

    fn quoted(&mut self, text: &[u16]) {
        self.text("\"");
        for &unit in text {
            if unit == u16::from(b'"') || unit == u16::from(b'\\') {
                self.text("\\");
            }
            self.units.push(unit);
        }
        self.text("\"");
    }

    fn value_name(&mut self, name: &[u16]) {
        if name.is_empty() {
            self.text("@");
        } else {
            self.quoted(name);
        }
        self.text("=");
    }

    /// Writes that a value is to be deleted.
    pub fn deleted(&mut self, name: &[u16]) {
        self.value_name(name);
        self.text("-\r\n");
    }

    /// Writes a value.
    pub fn value(&mut self, value: &Value) {
        let line = self.units.len();
        self.value_name(value.name.units());
        let number = <[u8; 4]>::try_from(value.data.as_slice()).map(u32::from_le_bytes);
        match (value.kind, plain_text(&value.data), number) {
            (ValueType::SZ, Some(text), _) => self.quoted(&text),
            (ValueType::DWORD, _, Ok(number)) => self.text(&format!("dword:{number:08x}")),
            (ValueType::BINARY, ..) => self.bytes("hex:", &value.data, line),
            (kind, ..) => self.bytes(&format!("hex({:x}):", kind.0), &value.data, line),
        }
        self.text("\r\n");
    }

    fn bytes(&mut self, mark: &str, data: &[u8], line: usize) {
        self.text(mark);
        let mut column = self.units.len() - line;
        for (position, byte) in data.iter().enumerate() {
            if position + 1 == data.len() {
                self.text(&format!("{byte:02x}"));
                return;
            }
            self.text(&format!("{byte:02x},"));
            column += 3;
            if column > LAST_COLUMN {
                self.text("\\\r\n  ");
                column = 2;
            }
        }
    }

    /// The bytes of the file.
    pub fn finish(self) -> Vec<u8> {
        let mut bytes = vec![0xFF, 0xFE];
        bytes.extend(self.units.iter().flat_map(|unit| unit.to_le_bytes()));
        bytes
    }
}

/// The text of a string that quotes can hold: whole units, one NUL at its end. Line breaks stand in
/// it as they are, as in regedit's exports.
fn plain_text(data: &[u8]) -> Option<Vec<u16>> {
    if !data.len().is_multiple_of(2) {
        return None;
    }
    let mut text = name::units_from_le(data);
    let plain = text.pop() == Some(0) && !text.contains(&0);
    plain.then_some(text)
}

/// Writes a key and all below it; `path` is the key's path with its root. Gives the number of
/// keys and of values.
///
/// # Errors
/// When the hive is damaged, or a name cannot be written.
pub fn export(writer: &mut RegWriter, hive: &Hive, key: KeyId, path: &[u16]) -> Result<(u64, u64)> {
    let mut budget = hive.read(|tree| Ok(Budget::new(tree)))?;
    let (mut keys, mut values) = (0, 0);
    let mut pending = vec![(key, path.to_vec())];
    while let Some((key, path)) = pending.pop() {
        budget.spend(key.0, 76)?;
        writer.key(&path, false)?;
        keys += 1;
        for value in hive.values(key)? {
            budget.spend(key.0, 20 + value.data.len())?;
            writer.value(&value);
            values += 1;
        }
        writer.end_key();
        for subkey in hive.subkeys(key)?.into_iter().rev() {
            let mut below = path.clone();
            below.push(u16::from(b'\\'));
            below.extend_from_slice(hive.name(subkey)?.units());
            pending.push((subkey, below));
        }
    }
    Ok((keys, values))
}

/// The text that turns the old hive into the new one, from their difference; `root` is put
/// before each path. Without one the paths have their roots already.
///
/// # Errors
/// When a name cannot be written.
pub fn change_text(changes: &[RegistryChange], root: &[u16]) -> Result<Vec<u8>> {
    let mut writer = RegWriter::default();
    let mut open: Option<&WinName> = None;
    for change in changes {
        let (RegistryChange::KeyAdded { key }
        | RegistryChange::KeyRemoved { key }
        | RegistryChange::ValueSet { key, .. }
        | RegistryChange::ValueRemoved { key, .. }) = change;
        let removes = matches!(change, RegistryChange::KeyRemoved { .. });
        if removes || open != Some(key) {
            if open.is_some() {
                writer.end_key();
            }
            let path = match (root.is_empty(), key.is_empty()) {
                (true, _) => full_root(key.units()),
                (false, true) => root.to_vec(),
                (false, false) => [root, &[u16::from(b'\\')], key.units()].concat(),
            };
            writer.key(&path, removes)?;
            open = Some(key);
        }
        match change {
            RegistryChange::ValueSet { name, kind, data, .. } => {
                let value = Value { name: name.clone(), kind: ValueType(*kind), data: data.clone() };
                writer.value(&value);
            }
            RegistryChange::ValueRemoved { name, .. } => writer.deleted(name.units()),
            RegistryChange::KeyAdded { .. } | RegistryChange::KeyRemoved { .. } => {}
        }
    }
    if open.is_some() {
        writer.end_key();
    }
    Ok(writer.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hive::RegText;

    fn written(values: &[Value]) -> String {
        let mut writer = RegWriter::default();
        writer.key(&name::units("HKEY_LOCAL_MACHINE\\X"), false).unwrap();
        values.iter().for_each(|value| writer.value(value));
        writer.end_key();
        let bytes = writer.finish();
        assert_eq!(bytes[..2], [0xFF, 0xFE]);
        let parsed = RegText::parse(&bytes).unwrap();
        let read: Vec<Value> = parsed.sections[0]
            .values
            .iter()
            .map(|value| {
                let (kind, data) = value.data.clone().unwrap();
                Value { name: value.name.clone(), kind, data }
            })
            .collect();
        assert_eq!(read, values);
        name::display(&name::units_from_le(&bytes[2..]))
    }

    #[test]
    fn as_regedit_writes() {
        let path = "%SystemRoot%\\system32\\svchost.exe -k netsvcs";
        let text = written(&[
            Value::sz("", "a\"b\\c"),
            Value::dword("n", 0xAB),
            Value::binary("none", []),
            Value::expand_sz("ImagePath", path),
            Value::new("two lines", ValueType::SZ, b"a\0\n\0\0\0".as_slice()),
            Value::new("open", ValueType::SZ, b"a\0".as_slice()),
            Value::new("empty", ValueType::SZ, []),
            Value::new("short", ValueType::DWORD, [1]),
            Value::qword("q", 1),
        ]);
        // The value ImagePath as regedit of Windows XP to 11 exports it.
        let expected = "Windows Registry Editor Version 5.00\r\n\r\n[HKEY_LOCAL_MACHINE\\X]\r\n\
            @=\"a\\\"b\\\\c\"\r\n\"n\"=dword:000000ab\r\n\"none\"=hex:\r\n\
            \"ImagePath\"=hex(2):25,00,53,00,79,00,73,00,74,00,65,00,6d,00,52,00,6f,00,6f,00,\\\r\n  \
            74,00,25,00,5c,00,73,00,79,00,73,00,74,00,65,00,6d,00,33,00,32,00,5c,00,73,\\\r\n  \
            00,76,00,63,00,68,00,6f,00,73,00,74,00,2e,00,65,00,78,00,65,00,20,00,2d,00,\\\r\n  \
            6b,00,20,00,6e,00,65,00,74,00,73,00,76,00,63,00,73,00,00,00\r\n\
            \"two lines\"=\"a\n\"\r\n\"open\"=hex(1):61,00\r\n\"empty\"=hex(1):\r\n\
            \"short\"=hex(4):01\r\n\"q\"=hex(b):01,00,00,00,00,00,00,00\r\n\r\n";
        assert_eq!(text, expected);
        assert!(text.lines().all(|line| line.len() <= 80));
    }

    #[test]
    fn a_line_break_in_a_key_is_refused() {
        let error = RegWriter::default().key(&name::units("HKLM\\a\nb"), false).unwrap_err();
        assert_eq!(error.code().to_string(), "50");
    }
}
