// SPDX-License-Identifier: GPL-3.0-or-later
//! Other readers of hives, each asked for the whole tree.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use transom::base::name;
use transom::hive::{Hive, KeyId, Value, ValueType};

use super::have;

/// What all readers must see.
#[derive(Clone, Debug)]
pub struct Tree {
    pub name: Vec<u16>,
    pub values: Vec<Value>,
    pub subkeys: Vec<Tree>,
}

impl Tree {
    /// Calls `visit` with each path and key, in order.
    pub fn walk<'a>(&'a self, path: &mut Vec<&'a [u16]>, visit: &mut impl FnMut(&[&'a [u16]], &'a Tree)) {
        visit(path, self);
        for subkey in &self.subkeys {
            path.push(&subkey.name);
            subkey.walk(path, visit);
            path.pop();
        }
    }
}

/// The tree of a hive as we read it.
pub fn tree(hive: &Hive) -> Tree {
    fn below(hive: &Hive, key: KeyId) -> Tree {
        Tree {
            name: hive.name(key).unwrap().units().to_vec(),
            values: hive.values(key).unwrap(),
            subkeys: hive.subkeys(key).unwrap().into_iter().map(|subkey| below(hive, subkey)).collect(),
        }
    }
    below(hive, hive.root())
}

fn stored(file: &str, bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut stored = tempfile::Builder::new().prefix(file).tempfile().unwrap();
    stored.write_all(bytes).unwrap();
    stored
}

/// nt-hive's walk: names, types, lengths and data, in stored order. It does not know types
/// above 11; and before minor version 4 it takes long data for a big-data record.
pub fn nt_hive_walk(what: &str, bytes: &[u8], expected: &Tree) {
    let hive = nt_hive::Hive::new(bytes).unwrap_or_else(|error| panic!("{what}: nt-hive: {error}"));
    let big = hive.minor_version() >= 4;
    nt_hive_key(what, &hive.root_key_node().unwrap(), expected, big);
}

fn nt_hive_name(name: &nt_hive::NtHiveNameString<'_>) -> Vec<u16> {
    match name {
        nt_hive::NtHiveNameString::Latin1(bytes) => bytes.iter().map(|&byte| byte.into()).collect(),
        nt_hive::NtHiveNameString::Utf16LE(bytes) => name::units_from_le(bytes),
    }
}

fn nt_hive_key(what: &str, key: &nt_hive::KeyNode<'_, &[u8]>, expected: &Tree, big: bool) {
    let at = name::display(&expected.name);
    assert_eq!(nt_hive_name(&key.name().unwrap()), expected.name, "{what}: nt-hive");
    let values: Vec<_> = key.values().map(|values| values.unwrap().collect()).unwrap_or_default();
    assert_eq!(values.len(), expected.values.len(), "{what}: nt-hive: values of {at}");
    for (value, expected) in values.into_iter().zip(&expected.values) {
        let value = value.unwrap();
        assert_eq!(nt_hive_name(&value.name().unwrap()), expected.name.units(), "{what}: nt-hive: in {at}");
        if expected.kind.0 <= 11 {
            assert_eq!(value.data_type().unwrap() as u32, expected.kind.0, "{what}: nt-hive: in {at}");
        }
        if expected.data.len() <= 16_344 || big {
            assert!(value.data().unwrap().into_vec().unwrap() == expected.data, "{what}: nt-hive: in {at}");
        }
    }
    let subkeys: Vec<_> = key.subkeys().map(|keys| keys.unwrap().collect()).unwrap_or_default();
    assert_eq!(subkeys.len(), expected.subkeys.len(), "{what}: nt-hive: subkeys of {at}");
    for (subkey, expected) in subkeys.into_iter().zip(&expected.subkeys) {
        nt_hive_key(what, &subkey.unwrap(), expected, big);
    }
}

/// What hivexml can say in XML at all: it cuts names at a NUL and fails on control
/// characters and half surrogate pairs.
fn in_xml(name: &[u16]) -> bool {
    name.iter().all(|&unit| unit >= 0x20) && String::from_utf16(name).is_ok()
}

/// hivexml's tree: names of keys and values, and the data of binary values, in stored order.
/// A tree with names that it cannot say is passed over.
pub fn hivexml(what: &str, bytes: &[u8], expected: &Tree) {
    use quick_xml::events::Event;
    let mut sayable = true;
    let mut lines = Vec::new();
    expected.walk(&mut Vec::new(), &mut |path, key| {
        lines.push(format!("{} {}", path.len(), name::display(&key.name)));
        sayable &= in_xml(&key.name);
        for value in &key.values {
            sayable &= in_xml(value.name.units());
            let data = if value.kind == ValueType::BINARY { base64(&value.data) } else { String::new() };
            lines.push(format!("= {} {data}", value.name));
        }
    });
    if !sayable || !have("hivexml") {
        return;
    }
    let file = stored("transom-hivexml", bytes);
    let output = Command::new("hivexml").arg(file.path()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: hivexml: {errors}");
    let mut reader = quick_xml::Reader::from_reader(output.stdout.as_slice());
    let mut found = Vec::new();
    let mut depth = 0;
    loop {
        let event = reader.read_event().unwrap();
        let (element, opens) = match &event {
            Event::Start(element) => (element, true),
            Event::Empty(element) => (element, false),
            Event::End(element) if element.name().as_ref() == "node" => {
                depth -= 1;
                continue;
            }
            Event::Eof => break,
            _ => continue,
        };
        let mut attributes = std::collections::HashMap::new();
        for attribute in element.attributes() {
            let attribute = attribute.unwrap();
            let text = quick_xml::escape::unescape(&attribute.value).unwrap().into_owned();
            attributes.insert(attribute.key.as_ref().to_owned(), text);
        }
        let attribute = |name: &str| attributes.get(name).cloned().unwrap_or_default();
        match element.name().as_ref() {
            "node" => {
                found.push(format!("{depth} {}", attribute("name")));
                depth += i32::from(opens);
            }
            "value" => {
                let binary = attribute("type") == "binary";
                let data = attribute("value").replace(['\r', '\n', ' '], "");
                let data = if binary { data } else { String::new() };
                found.push(format!("= {} {data}", attribute("key")));
            }
            _ => {}
        }
    }
    compare(what, "hivexml", &found, &lines);
}

fn compare(what: &str, peer: &str, found: &[String], expected: &[String]) {
    if let Some(at) = (0..found.len().max(expected.len())).find(|&at| found.get(at) != expected.get(at)) {
        let short = |line: Option<&String>| line.map(|line| line.chars().take(200).collect::<String>());
        panic!(
            "{what}: {peer}: line {at}: {:?} instead of {:?}",
            short(found.get(at)),
            short(expected.get(at))
        );
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let number =
            group.iter().fold(0u32, |number, &byte| number << 8 | u32::from(byte)) << (8 * (3 - group.len()));
        for digit in 0..4 {
            let padded = digit > group.len();
            let value = number >> (18 - 6 * digit) & 63;
            text.push(if padded { '=' } else { char::from(DIGITS[value as usize]) });
        }
    }
    text
}

/// The bytes behind reglookup's `%XX`.
fn unquote(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((&byte, behind)) = rest.split_first() {
        let code = (byte == b'%').then(|| behind.get(..2)).flatten();
        let code = code.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        match code {
            Some(code) => {
                bytes.push(code);
                rest = &behind[2..];
            }
            None => {
                bytes.push(byte);
                rest = behind;
            }
        }
    }
    bytes
}

/// A name as a hive stores it: what reglookup prints of names beyond ASCII in the C locale.
/// It cuts compressed names at a NUL.
fn raw(name: &[u16]) -> Vec<u8> {
    let latin: Option<Vec<u8>> = name.iter().map(|&unit| u8::try_from(unit).ok()).collect();
    let cut = latin.map(|latin| latin.split(|&byte| byte == 0).next().unwrap().to_vec());
    cut.unwrap_or_else(|| name::units_to_le(name))
}

/// reglookup's listing: paths of keys and values, and the data of binary values. It prints
/// values and subkeys in stored order, values first. It looks for big data in minor version 5
/// only, so version 4 is passed over.
pub fn reglookup(what: &str, bytes: &[u8], expected: &Tree) {
    if bytes[24] == 4 || !have("reglookup") {
        return;
    }
    let file = stored("transom-reglookup", bytes);
    let output = Command::new("reglookup").env("LC_ALL", "C").arg(file.path()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: reglookup: {errors}");
    let harmless = |line: &&str| line.contains("while converting") || line.contains("While quoting value");
    let complaints: Vec<&str> = errors.lines().filter(|line| !harmless(line)).collect();
    assert!(complaints.is_empty(), "{what}: reglookup: {complaints:?}");
    let mut found = Vec::new();
    for line in output.stdout.split(|&byte| byte == b'\n').skip(1).filter(|line| !line.is_empty()) {
        let mut fields = line.split(|&byte| byte == b',');
        let path: Vec<Vec<u8>> = fields.next().unwrap().split(|&byte| byte == b'/').map(unquote).collect();
        let kind = String::from_utf8_lossy(fields.next().unwrap()).into_owned();
        let data = match fields.next().unwrap() {
            // No data at all.
            b"(null)" => Vec::new(),
            data if kind == "BINARY" => unquote(data),
            _ => Vec::new(),
        };
        let kind = if kind == "KEY" { "KEY" } else { "value" };
        found.push(format!("{path:?} {kind} {data:?}"));
    }
    let mut lines = Vec::new();
    expected.walk(&mut Vec::new(), &mut |path, key| {
        let mut names = vec![Vec::new()];
        names.extend(path.iter().map(|name| raw(name)));
        if path.is_empty() {
            // The root's path is "/", and its values' begin with "//".
            names.push(Vec::new());
        }
        lines.push(format!("{names:?} KEY []"));
        for value in &key.values {
            let data: &[u8] = if value.kind == ValueType::BINARY { &value.data } else { &[] };
            names.push(raw(value.name.units()));
            lines.push(format!("{names:?} value {data:?}"));
            names.pop();
        }
    });
    compare(what, "reglookup", &found, &lines);
}

/// The second scanner: it must find nothing.
pub fn scanner(what: &str, bytes: &[u8]) {
    if !have("python3") {
        return;
    }
    let file = stored("transom-scanner", bytes);
    let mut command = Command::new("python3");
    command.arg(script("hive_scanner.py"));
    // Not our own table, but that of another program.
    match upcase_table() {
        Some(table) => command.arg("--upcase").arg(table),
        None => return,
    };
    let output = command.arg(file.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: hive_scanner.py: {said}{errors}");
    assert!(said.contains(" 0 findings"), "{what}: hive_scanner.py: {said}");
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// `$UpCase` of a volume that mkntfs makes, read by ntfscat; made once.
pub fn upcase_table() -> Option<PathBuf> {
    static TABLE: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
        if !have("mkntfs") || !have("ntfscat") {
            return None;
        }
        let volume = stored("transom-upcase", &[]);
        volume.as_file().set_len(4 << 20).unwrap();
        let made = Command::new("mkntfs").args(["-q", "-F", "-Q", "-s", "512"]).arg(volume.path()).output();
        assert!(made.unwrap().status.success(), "mkntfs");
        let read = Command::new("ntfscat").arg("-f").arg(volume.path()).arg("$UpCase").output().unwrap();
        assert_eq!(read.stdout.len(), 0x20000, "ntfscat: {}", String::from_utf8_lossy(&read.stderr));
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let mut table = tempfile::NamedTempFile::new_in(folder).unwrap();
        table.write_all(&read.stdout).unwrap();
        table.persist(folder.join("upcase-table")).unwrap();
        Some(folder.join("upcase-table"))
    });
    TABLE.clone()
}

/// python-registry and regipy, which `./x` installs from PyPI; their listed faults are in the
/// script.
pub fn python_peers(what: &str, bytes: &[u8], expected: &Tree) {
    let python = std::env::var_os("TRANSOM_PYTHON").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/x/python/bin/python3"),
        PathBuf::from,
    );
    if !python.is_file() {
        eprintln!("NOTICE: {} with python-registry and regipy is not there; passed over", python.display());
        return;
    }
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut lines = String::new();
    expected.walk(&mut Vec::new(), &mut |path, key| {
        let name = |units: &[u16]| hex(&name::units_to_le(units));
        let values: Vec<_> = key
            .values
            .iter()
            .map(|value| {
                let digest = hex(&transom::digest::sha1(&value.data));
                serde_json::json!([name(value.name.units()), value.kind.0, value.data.len(), digest])
            })
            .collect();
        lines += &format!("{}\n", serde_json::json!([path.len(), name(&key.name), values]));
    });
    let (hive, list) = (stored("transom-python", bytes), stored("transom-expected", lines.as_bytes()));
    let output =
        Command::new(python).arg(script("hive_peers.py")).args([hive.path(), list.path()]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {said}{errors}");
}
