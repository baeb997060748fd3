// SPDX-License-Identifier: GPL-3.0-or-later
//! Random edits of a hive against a simple model, and everybody's verdict on the result.

use std::collections::BTreeMap;

use transom::base::name::upcased;
use transom::base::{FileTime, WinName};
use transom::hive::{Hive, KeyId, Value, ValueType, default_root_security};

use super::peers::{Tree, hivexml, nt_hive_walk, python_peers, reglookup, scanner};
use super::{NOW, Random, open_with};

/// A key of the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    pub name: Vec<u16>,
    pub written: FileTime,
    pub class: Vec<u8>,
    pub security: Vec<u8>,
    pub values: Vec<Value>,
    /// By upcased name, whose order is the order of the registry.
    pub subkeys: BTreeMap<Vec<u16>, Key>,
}

impl Key {
    pub fn read(hive: &Hive, key: KeyId) -> Self {
        let subkeys = hive.subkeys(key).unwrap();
        let count = subkeys.len();
        let subkeys: BTreeMap<Vec<u16>, Self> = subkeys
            .into_iter()
            .map(|subkey| {
                let subkey = Self::read(hive, subkey);
                (upcased(&subkey.name), subkey)
            })
            .collect();
        assert_eq!(subkeys.len(), count);
        Self {
            name: hive.name(key).unwrap().units().to_vec(),
            written: hive.last_written(key).unwrap(),
            class: hive.class(key).unwrap(),
            security: hive.security(key).unwrap(),
            values: hive.values(key).unwrap(),
            subkeys,
        }
    }

    fn at(&mut self, path: &[Vec<u16>]) -> &mut Self {
        path.iter().fold(self, |key, name| key.subkeys.get_mut(name).unwrap())
    }

    pub fn as_tree(&self) -> Tree {
        Tree {
            name: self.name.clone(),
            values: self.values.clone(),
            subkeys: self.subkeys.values().map(Self::as_tree).collect(),
        }
    }
}

/// A random key: its path in the model and the key itself.
fn choose(random: &mut Random, hive: &Hive, model: &Key) -> (Vec<Vec<u16>>, KeyId) {
    let (mut path, mut key, mut at) = (Vec::new(), hive.root(), model);
    while !at.subkeys.is_empty() && random.below(5) > 0 && path.len() < 40 {
        let (name, next) = at.subkeys.iter().nth(random.below(at.subkeys.len())).unwrap();
        key = hive.subkey(key, &next.name).unwrap().unwrap();
        path.push(name.clone());
        at = next;
    }
    (path, key)
}

fn length(random: &mut Random) -> usize {
    match random.below(100) {
        0 => random.below(300_000),
        1..=3 => 16_330 + random.below(40),
        4..=20 => random.below(2000),
        21..=50 => random.below(6),
        _ => random.below(120),
    }
}

fn descriptor(number: usize) -> Vec<u8> {
    let mut descriptor = default_root_security();
    // The last sub-authority of the owner.
    let owner = descriptor.len() - 32;
    descriptor[owner + 12..owner + 16].copy_from_slice(&(544 + number as u32).to_le_bytes());
    descriptor
}

fn value(random: &mut Random, name: Vec<u16>) -> Value {
    let kind = match random.below(4) {
        0 => 0xFFFF_0012,
        1 => random.below(12) as u32,
        _ => 3,
    };
    let length = length(random);
    let mut data = random.bytes(length);
    if random.below(10) == 0 && data.len() >= 2 {
        data[..2].copy_from_slice(b"db");
    }
    Value { name: WinName::new(name), kind: ValueType(kind), data }
}

/// Applies one random edit to both.
fn edit(random: &mut Random, hive: &mut Hive, model: &mut Key, now: FileTime) {
    let (path, key) = choose(random, hive, model);
    let at = model.at(&path);
    match random.below(100) {
        0..40 => {
            let name = random.name();
            let created = hive.create_subkey(key, &name, now).unwrap();
            let security = at.security.clone();
            let known = at.subkeys.contains_key(&upcased(&name));
            let subkey = at.subkeys.entry(upcased(&name)).or_insert_with(|| Key {
                name,
                written: now,
                class: Vec::new(),
                security,
                values: Vec::new(),
                subkeys: BTreeMap::new(),
            });
            assert_eq!(hive.name(created).unwrap().units(), subkey.name);
            if !known {
                at.written = now;
            }
        }
        40..80 => {
            let reused = !at.values.is_empty() && random.below(3) == 0;
            let name = match reused {
                true => upcased(at.values[random.below(at.values.len())].name.units()),
                false => random.value_name(),
            };
            let value = value(random, name);
            hive.set_value(key, &value, now).unwrap();
            match at.values.iter_mut().find(|old| upcased(old.name.units()) == upcased(value.name.units())) {
                Some(old) if old.kind == value.kind && old.data == value.data => return,
                Some(old) => (old.kind, old.data) = (value.kind, value.data),
                None => at.values.push(value),
            }
            at.written = now;
        }
        80..88 if !at.values.is_empty() => {
            let position = random.below(at.values.len());
            let gone = at.values.remove(position);
            assert!(hive.delete_value(key, &upcased(gone.name.units()), now).unwrap());
            assert!(!hive.delete_value(key, gone.name.units(), now).unwrap());
            at.written = now;
        }
        88..93 if !path.is_empty() && (at.subkeys.len() < 20 || random.below(30) == 0) => {
            hive.delete_key(key, now).unwrap();
            let (name, parent) = path.split_last().unwrap();
            let parent = model.at(parent);
            parent.subkeys.remove(name);
            parent.written = now;
        }
        93..96 => {
            let class = if random.below(4) == 0 {
                Vec::new()
            } else {
                {
                    let length = 1 + random.below(90);
                    random.bytes(length)
                }
            };
            hive.set_class(key, &class, now).unwrap();
            if at.class != class {
                (at.class, at.written) = (class, now);
            }
        }
        96..100 => {
            let security = descriptor(random.below(25));
            hive.set_security(key, &security, now).unwrap();
            if at.security != security {
                (at.security, at.written) = (security, now);
            }
        }
        _ => {}
    }
}

/// So many edits, with savepoints and rollbacks among them.
pub fn edits(random: &mut Random, hive: &mut Hive, model: &mut Key, count: usize) {
    let mut marks = Vec::new();
    for number in 0..count {
        edit(random, hive, model, FileTime(NOW.0 + number as u64));
        match random.below(400) {
            0 => marks.push((hive.savepoint(), model.clone())),
            1 => {
                if let Some((mark, old)) = marks.pop() {
                    hive.rollback(mark);
                    *model = old;
                }
            }
            2 => {
                if let Some((mark, _)) = marks.pop() {
                    hive.release(mark);
                }
            }
            _ => {}
        }
    }
}

/// Everybody must see the model.
pub fn judge(what: &str, bytes: &[u8], model: &Key) {
    let hive = open_with(bytes.to_vec(), Vec::new(), false).unwrap();
    assert!(Key::read(&hive, hive.root()) == *model, "{what}: our own reading");
    let tree = model.as_tree();
    nt_hive_walk(what, bytes, &tree);
    hivexml(what, bytes, &tree);
    reglookup(what, bytes, &tree);
    scanner(what, bytes);
    python_peers(what, bytes, &tree);
}

pub fn new_hive(minor: u32) -> (Hive, Key) {
    let hive = Hive::create("ROOT", minor, &default_root_security(), NOW).unwrap();
    let model = Key::read(&hive, hive.root());
    (hive, model)
}

/// So many edits of a new hive, saved in between, and the verdict on it and on its rewriting.
pub fn run(minor: u32, mut random: Random, count: usize) {
    let what = format!("minor {minor}, {random:?}, {count} edits");
    let (mut hive, mut model) = new_hive(minor);
    edits(&mut random, &mut hive, &mut model, count / 2);
    hive.save().unwrap_or_else(|error| panic!("{what}: {error:?}"));
    edits(&mut random, &mut hive, &mut model, count - count / 2);
    let bytes = hive.to_bytes().unwrap_or_else(|error| panic!("{what}: {error:?}"));
    let hive = open_with(bytes.clone(), Vec::new(), false).unwrap();
    assert_eq!(hive.check().unwrap(), [], "{what}");
    judge(&what, &bytes, &model);
    let compact = hive.compact().unwrap();
    assert!(compact.len() <= bytes.len(), "{what}");
    assert_eq!(Hive::check_file(&compact).unwrap(), [], "{what}");
    judge(&format!("{what}, rewritten"), &compact, &model);
}
