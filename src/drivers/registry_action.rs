// SPDX-License-Identifier: GPL-3.0-or-later
//! AddReg, DelReg and BitReg lines: done to a key of the image, or recorded for the device
//! installation that Windows does at first boot.
//!
//! A recorded line is a value below `Configurations\<configuration>`; what AddReg's flags ask
//! for is in the high word of its type:
//!
//! | type | meaning |
//! |---|---|
//! | 0x0002tttt | type tttt, only if there is no such value (NOCLOBBER) |
//! | 0x0004tttt | type tttt, strings are appended (APPEND) |
//! | 0x00100000 | the key of this name is deleted |
//! | 0x00200000 | the value of this name is deleted |
//!
//! Source: SYSTEM hives of mkorman90/regipy beside the INFs they came from; the two deletions
//! are inferred from monitor.inf alone.

use crate::base::Result;
use crate::hive::{KeyId, Value, ValueType};
use crate::inf::{RegistryAction, RegistryOperation};

use super::editor::Editor;

const FLG_ADDREG_NOCLOBBER: u32 = 0x2;
const FLG_ADDREG_APPEND: u32 = 0x8;
const FLG_ADDREG_OVERWRITEONLY: u32 = 0x20;

const RECORDED_NOCLOBBER: u32 = 0x0002_0000;
const RECORDED_APPEND: u32 = 0x0004_0000;
const RECORDED_DELETE_KEY: ValueType = ValueType(0x0010_0000);
const RECORDED_DELETE_VALUE: ValueType = ValueType(0x0020_0000);

/// Whether the line is about the key that its section stands for.
pub(super) fn is_relative(action: &RegistryAction) -> bool {
    action.root.eq_ignore_ascii_case("HKR")
}

/// Does the HKR lines to a key.
pub(super) fn apply(editor: &mut Editor<'_>, key: KeyId, actions: &[RegistryAction]) -> Result<()> {
    actions.iter().filter(|action| is_relative(action)).try_for_each(|action| apply_one(editor, key, action))
}

fn apply_one(editor: &mut Editor<'_>, base: KeyId, action: &RegistryAction) -> Result<()> {
    let has = |flag: u32| action.flags & flag != 0;
    match &action.operation {
        RegistryOperation::KeyOnly => {
            editor.key(base, &action.subkey)?;
        }
        RegistryOperation::Set { kind, data } => {
            let key = editor.key(base, &action.subkey)?;
            let old = editor.value(key, &action.name)?;
            if (has(FLG_ADDREG_NOCLOBBER) && old.is_some())
                || (has(FLG_ADDREG_OVERWRITEONLY) && old.is_none())
            {
                return Ok(());
            }
            let value = Value::new(&action.name, ValueType(*kind), data.clone());
            let value = match old {
                Some(old) if has(FLG_ADDREG_APPEND) => appended(&old, &value),
                _ => value,
            };
            editor.set(key, &value)?;
        }
        RegistryOperation::DeleteValue => {
            if let Some(key) = editor.find(base, &action.subkey)?
                && editor.value(key, &action.name)?.is_some()
            {
                editor.hive.delete_value(key, &crate::base::name::units(&action.name), editor.now)?;
            }
        }
        RegistryOperation::DeleteKey => {
            if let Some(key) = editor.find(base, &action.subkey)?
                && key != base
            {
                editor.hive.delete_key(key, editor.now)?;
            }
        }
        RegistryOperation::DeleteString { text } => {
            if let Some(key) = editor.find(base, &action.subkey)?
                && let Some(mut strings) =
                    editor.value(key, &action.name)?.and_then(|value| value.as_multi_sz())
            {
                strings.retain(|string| !string.eq_ignore_ascii_case(text));
                editor.set(key, &Value::multi_sz(&action.name, &strings))?;
            }
        }
        RegistryOperation::Bits { mask, byte, set } => {
            let key = editor.key(base, &action.subkey)?;
            if let Some(old) = editor.value(key, &action.name)? {
                editor.set(key, &with_bits(old, *mask, *byte, *set))?;
            }
        }
    }
    Ok(())
}

fn appended(old: &Value, new: &Value) -> Value {
    let (Some(mut strings), Some(more)) = (old.as_multi_sz(), new.as_multi_sz()) else { return new.clone() };
    for string in more {
        if !strings.iter().any(|known| known.eq_ignore_ascii_case(&string)) {
            strings.push(string);
        }
    }
    Value { name: old.name.clone(), ..Value::multi_sz("", &strings) }
}

fn with_bits(mut value: Value, mask: u32, byte: u32, set: bool) -> Value {
    let change = |old: u32| if set { old | mask } else { old & !mask };
    if value.kind == ValueType::DWORD {
        if let Some(old) = value.as_dword() {
            value.data = change(old).to_le_bytes().to_vec();
        }
    } else if let Some(slot) = usize::try_from(byte).ok().and_then(|index| value.data.get_mut(index)) {
        *slot = change(u32::from(*slot)).to_le_bytes()[0];
    }
    value
}

/// Records the HKR lines below a key of a configuration; returns what could not be recorded.
pub(super) fn record<'a>(
    editor: &mut Editor<'_>,
    configuration: KeyId,
    below: &str,
    actions: impl Iterator<Item = &'a RegistryAction>,
) -> Result<Vec<String>> {
    let mut left = Vec::new();
    for action in actions {
        let path = format!("{below}\\{}", action.subkey);
        match &action.operation {
            RegistryOperation::KeyOnly => {
                editor.key(configuration, &path)?;
            }
            RegistryOperation::Set { kind, data } => {
                let key = editor.key(configuration, &path)?;
                editor
                    .set(key, &Value::new(&action.name, recorded_type(*kind, action.flags), data.clone()))?;
            }
            RegistryOperation::DeleteValue => {
                let key = editor.key(configuration, &path)?;
                editor.set(key, &Value::new(&action.name, RECORDED_DELETE_VALUE, Vec::new()))?;
            }
            RegistryOperation::DeleteKey => {
                let (parent, name) =
                    action.subkey.trim_end_matches('\\').rsplit_once('\\').unwrap_or(("", &action.subkey));
                if name.is_empty() {
                    left.push(format!("deletion of its own key in {below}"));
                    continue;
                }
                let key = editor.key(configuration, &format!("{below}\\{parent}"))?;
                editor.set(key, &Value::new(name, RECORDED_DELETE_KEY, Vec::new()))?;
            }
            RegistryOperation::DeleteString { text } => {
                left.push(format!("removal of the string {text:?} from {} in {below}", action.name));
            }
            RegistryOperation::Bits { .. } => {
                left.push(format!("a change of bits of {} in {below}", action.name));
            }
        }
    }
    Ok(left)
}

/// A type of its own (0xFFFF00nn and others above 16 bits) has no room for the flags.
fn recorded_type(kind: u32, flags: u32) -> ValueType {
    if kind > 0xFFFF {
        ValueType(kind)
    } else if flags & FLG_ADDREG_NOCLOBBER != 0 {
        ValueType(kind | RECORDED_NOCLOBBER)
    } else if flags & FLG_ADDREG_APPEND != 0 {
        ValueType(kind | RECORDED_APPEND)
    } else {
        ValueType(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_types() {
        let cases = [
            (4, 0x0001_0001, 4),
            (1, 0x2, 0x2_0001),
            (3, 0x3, 0x2_0003),
            (7, 0x0001_0008, 0x4_0007),
            (0xFFFF_0012, 0x2, 0xFFFF_0012),
        ];
        for (kind, flags, expected) in cases {
            assert_eq!(recorded_type(kind, flags), ValueType(expected), "{kind:#x} {flags:#x}");
        }
    }

    #[test]
    fn bits() {
        let word = with_bits(Value::dword("x", 0xF0), 0x0F, 0, true);
        assert_eq!(word, Value::dword("x", 0xFF));
        let bytes = with_bits(Value::binary("x", vec![0xFF, 0xFF]), 0x01, 1, false);
        assert_eq!(bytes, Value::binary("x", vec![0xFF, 0xFE]));
        let beyond = with_bits(Value::binary("x", vec![0xFF]), 0x01, 9, false);
        assert_eq!(beyond, Value::binary("x", vec![0xFF]));
    }

    #[test]
    fn appended_strings_are_not_doubled() {
        let old = Value::multi_sz("F", &["a", "B"]);
        let new = Value::multi_sz("F", &["b", "c"]);
        assert_eq!(appended(&old, &new), Value::multi_sz("F", &["a", "B", "c"]));
    }
}
