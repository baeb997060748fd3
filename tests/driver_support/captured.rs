// SPDX-License-Identifier: GPL-3.0-or-later
//! Registry captures of the corpus (`drivers/expected/*.json`) against what a session changed.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value as Json;
use transom::base::name;
use transom::hive::RegistryChange;

use super::{Data, Keys};

/// A difference that is allowed, and why.
pub(crate) struct Exception {
    /// `SYSTEM`, `SOFTWARE`, `DRIVERS`; `*` for any.
    pub(crate) hive: &'static str,
    /// A part of the key's path, any case; empty for any.
    pub(crate) key_contains: &'static str,
    /// The value; nothing for the key as a whole.
    pub(crate) value: Option<&'static str>,
    pub(crate) reason: &'static str,
}

/// The keys of a capture, hive by hive, with `oem0.inf` and the control set as captured.
pub(crate) fn load(path: &Path) -> BTreeMap<String, Keys> {
    let json: Json = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let hives = json["hives"].as_object().unwrap();
    hives.iter().map(|(hive, keys)| (hive.clone(), with_ancestors(keys_of(keys)))).collect()
}

fn keys_of(keys: &Json) -> Keys {
    let mut found = Keys::new();
    for (key, values) in keys.as_object().unwrap() {
        let values = values.as_object().unwrap().iter().map(|(value, pair)| (value.clone(), data_of(pair)));
        found.entry(key.to_uppercase()).or_default().extend(values);
    }
    found
}

fn data_of(pair: &Json) -> Data {
    let (kind, data) = (pair[0].as_str().unwrap(), &pair[1]);
    let text = |data: &Json| {
        let mut units = name::units(data.as_str().unwrap());
        units.push(0);
        name::units_to_le(&units)
    };
    let number =
        |data: &Json| u64::from_str_radix(data.as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
    match kind {
        "REG_SZ" => (1, text(data)),
        "REG_EXPAND_SZ" => (2, text(data)),
        "REG_BINARY" => (3, hex(data.as_str().unwrap())),
        "REG_DWORD" => (4, (number(data) as u32).to_le_bytes().to_vec()),
        "REG_QWORD" => (11, number(data).to_le_bytes().to_vec()),
        "REG_NONE" => (0, hex(data.as_str().unwrap())),
        "REG_MULTI_SZ" => {
            let mut bytes: Vec<u8> = data.as_array().unwrap().iter().flat_map(text).collect();
            bytes.extend([0, 0]);
            (7, bytes)
        }
        "RAW" => (u32::MAX, data.as_str().unwrap().as_bytes().to_vec()),
        other => (u32::from_str_radix(other.trim_start_matches("0x"), 16).unwrap(), text(data)),
    }
}

fn hex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// Captures list some empty ancestors of their keys and not others: both sides get all.
fn with_ancestors(keys: Keys) -> Keys {
    let mut all = keys.clone();
    for key in keys.keys() {
        for (position, _) in key.match_indices('\\') {
            all.entry(key[..position].to_owned()).or_default();
        }
    }
    all
}

/// What a session changed, hive by hive: keys added and values set. Anything removed fails.
pub(crate) fn changes(changes: &[RegistryChange]) -> BTreeMap<String, Keys> {
    let mut hives: BTreeMap<String, Keys> = BTreeMap::new();
    let keys = |key: &str| -> (String, String) {
        let below = key.strip_prefix("HKLM\\").unwrap_or_else(|| panic!("{key} is not below HKLM"));
        let (hive, path) = below.split_once('\\').unwrap_or((below, ""));
        (hive.to_owned(), path.to_uppercase())
    };
    for change in changes {
        match change {
            RegistryChange::KeyAdded { key } => {
                let (hive, key) = keys(&key.to_string());
                hives.entry(hive).or_default().entry(key).or_default();
            }
            RegistryChange::ValueSet { key, name, kind, data, .. } => {
                let (hive, key) = keys(&key.to_string());
                let values = hives.entry(hive).or_default().entry(key).or_default();
                values.insert(name.to_string(), (*kind, data.clone()));
            }
            other => panic!("unexpected {other:?}"),
        }
    }
    hives.into_iter().map(|(hive, keys)| (hive, with_ancestors(keys))).collect()
}

/// Every difference of one hive that no exception allows; keys compare without regard to case.
pub(crate) fn differences(
    hive: &str,
    captured: &Keys,
    ours: &Keys,
    exceptions: &[&Exception],
) -> Vec<String> {
    let allowed = |key: &str, value: Option<&str>| {
        exceptions.iter().any(|exception| {
            (exception.hive == "*" || exception.hive == hive)
                && key.contains(&exception.key_contains.to_uppercase())
                && (exception.value.is_none() || exception.value == value)
        })
    };
    let mut found = Vec::new();
    for key in captured.keys().chain(ours.keys().filter(|key| !captured.contains_key(*key))) {
        let (Some(left), Some(right)) = (captured.get(key), ours.get(key)) else {
            let side = if captured.contains_key(key) { "only captured" } else { "only ours" };
            if !allowed(key, None) {
                found.push(format!("{hive}\\{key}: {side}"));
            }
            continue;
        };
        for value in left.keys().chain(right.keys().filter(|value| !left.contains_key(*value))) {
            if left.get(value) != right.get(value) && !allowed(key, Some(value)) {
                found.push(format!(
                    "{hive}\\{key} [{value}]: captured {:?}, ours {:?}",
                    left.get(value),
                    right.get(value)
                ));
            }
        }
    }
    found
}

/// The same keys with a text replaced everywhere: in keys, in names of values, in their data.
pub(crate) fn replaced(keys: &Keys, old: &str, new: &str) -> Keys {
    let (old_bytes, new_bytes) = (name::units_to_le(&name::units(old)), name::units_to_le(&name::units(new)));
    // Keys are in upper case.
    let rename = |text: &str| text.replace(&old.to_uppercase(), &new.to_uppercase()).replace(old, new);
    let data = |(kind, data): &Data| {
        let (mut rest, mut bytes) = (&data[..], Vec::new());
        while let Some(at) = find(rest, &old_bytes) {
            bytes.extend_from_slice(&rest[..at]);
            bytes.extend_from_slice(&new_bytes);
            rest = &rest[at + old_bytes.len()..];
        }
        bytes.extend_from_slice(rest);
        (*kind, bytes)
    };
    keys.iter()
        .map(|(key, values)| {
            (rename(key), values.iter().map(|(value, pair)| (rename(value), data(pair))).collect())
        })
        .collect()
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// What every capture and we differ in, by the book (drivers.md section 9), and why.
pub(crate) const COMMON: &[Exception] = &[
    package_value("OemPath", "folder it was imported from"),
    package_value("ImportDate", "time of the import; captures leave it out"),
    package_value("FileSize", "of the payload, which is a stand-in here"),
    package_value("SignerName", "the stand-in catalog is not signed"),
    package_value("SignerScore", "the stand-in catalog is not signed"),
    package_value("Version", "a placeholder in the captures"),
    Exception {
        hive: "SYSTEM",
        key_contains: "DriverDatabase",
        value: Some("OemInfMap"),
        reason: "depends on what else is in the image",
    },
    Exception {
        hive: "*",
        key_contains: "DriverDatabase",
        value: Some("UpdateDate"),
        reason: "time of the import",
    },
    Exception {
        hive: "SYSTEM",
        key_contains: "\\Properties",
        value: None,
        reason: "the submission id is in the real catalog only",
    },
    Exception {
        hive: "SYSTEM_LEGACY_CDB",
        key_contains: "",
        value: None,
        reason: "Windows 7 and older only",
    },
];

const fn package_value(value: &'static str, reason: &'static str) -> Exception {
    Exception { hive: "*", key_contains: "DriverPackages", value: Some(value), reason }
}

/// Fails unless a session changed what a capture holds, but for what is excepted. `texts` are
/// replaced in the capture first.
pub(crate) fn compare(
    capture: &Path,
    session: &mut transom::image::Session,
    texts: &[(&str, &str)],
    exceptions: &[&Exception],
) {
    let expected = load(capture);
    let ours = changes(&session.diff().unwrap().registry);
    let nothing = Keys::new();
    let mut hives: Vec<&String> = expected.keys().chain(ours.keys()).collect();
    hives.sort();
    hives.dedup();
    let mut found = Vec::new();
    for hive in hives {
        let mut captured_keys = expected.get(hive).unwrap_or(&nothing).clone();
        for (old, new) in texts {
            captured_keys = replaced(&captured_keys, old, new);
        }
        let mut ours = ours.get(hive).unwrap_or(&nothing).clone();
        if ours.is_empty() && hive != "SYSTEM_LEGACY_CDB" {
            found.push(format!("nothing was written to {hive}"));
        }
        // Keys that the image had before are no change of ours.
        for key in captured_keys.keys().filter(|key| captured_keys[*key].is_empty()) {
            ours.entry(key.clone()).or_default();
        }
        found.extend(differences(hive, &captured_keys, &ours, exceptions));
    }
    for exception in exceptions {
        assert!(!exception.reason.is_empty());
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
