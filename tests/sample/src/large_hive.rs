// SPDX-License-Identifier: GPL-3.0-or-later
//! A hive of 100 MB and 250,000 keys, shaped like the large ones of an installed system: wide
//! levels of generated names above small keys, as those of the classes in SOFTWARE and of the
//! components in COMPONENTS.

use anyhow::Result;
use transom::base::{FileTime, WinName, name};
use transom::hive::{Hive, KeyId, Value, ValueType};

use crate::random::Random;
use crate::security;

/// How many keys each key right below the root has.
pub const BRANCHES: [usize; 11] = [15_000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000];
/// Keys below each of these: with the root and the branches it makes 250,012.
pub const LEAVES: usize = 9;

/// A hive with the paths of its keys.
#[derive(Clone, Debug)]
pub struct LargeHive {
    /// The file.
    pub bytes: Vec<u8>,
    /// The paths of the keys two and three levels deep, in the order they were made.
    pub paths: Vec<String>,
    /// How many keys there are, the root included.
    pub keys: u64,
    /// How many values there are.
    pub values: u64,
}

const WORDS: &[&str] = &[
    "InprocServer32",
    "ProgID",
    "TypeLib",
    "Version",
    "Shell",
    "DefaultIcon",
    "Capabilities",
    "Elevation",
    "Implemented Categories",
    "ToolboxBitmap32",
    "Propri\u{E9}t\u{E9}s",
    "\u{39A}\u{3B1}\u{3C4}\u{3B7}\u{3B3}\u{3BF}\u{3C1}\u{3AF}\u{3B1}",
    "VersionIndependentProgID",
];

/// Makes it; the same seed gives the same bytes.
///
/// # Errors
/// When our own hive code refuses.
pub fn make(seed: u64) -> Result<LargeHive> {
    // 2024-04-01
    let now = FileTime(133_564_032_000_000_000);
    let mut random = Random::new(seed);
    let mut hive = Hive::create("LARGE", 5, &security::descriptor(security::PROFILE), now)?;
    let mut paths = Vec::new();
    let mut values = 0;
    for (branch, width) in BRANCHES.into_iter().enumerate() {
        let branch_name = format!("Branch{branch:02}");
        let branch = hive.create_subkey(hive.root(), &name::units(&branch_name), now)?;
        for _ in 0..width {
            let key_name = identifier(&mut random);
            let key = hive.create_subkey(branch, &name::units(&key_name), now)?;
            values += fill(&mut hive, key, &mut random, now)?;
            paths.push(format!("{branch_name}\\{key_name}"));
            let first = random.below(WORDS.len() as u64) as usize;
            for leaf in 0..LEAVES {
                let leaf_name = WORDS[(first + leaf) % WORDS.len()];
                let leaf = hive.create_subkey(key, &name::units(leaf_name), now)?;
                values += fill(&mut hive, leaf, &mut random, now)?;
                paths.push(format!("{branch_name}\\{key_name}\\{leaf_name}"));
            }
        }
    }
    let keys = (1 + BRANCHES.len() + paths.len()) as u64;
    Ok(LargeHive { bytes: hive.to_bytes()?, paths, keys, values })
}

/// A name in the form of a class identifier.
fn identifier(random: &mut Random) -> String {
    let (high, low) = (random.bits(), random.bits());
    let tail = low & 0xFFFF_FFFF_FFFF;
    format!(
        "{{{:08X}-{:04X}-{:04X}-{:04X}-{tail:012X}}}",
        high >> 32,
        high >> 16 & 0xFFFF,
        high & 0xFFFF,
        low >> 48
    )
}

fn fill(hive: &mut Hive, key: KeyId, random: &mut Random, now: FileTime) -> Result<u64> {
    const NAMES: &[&str] = &["", "ThreadingModel", "AppID", "Flags", "LocalizedString", "\u{2116}"];
    let count = 1 + random.below(4);
    let first = random.below(NAMES.len() as u64) as usize;
    for number in 0..count as usize {
        let name = WinName::from(NAMES[(first + number) % NAMES.len()]);
        let value = match random.below(4) {
            0 => Value { name, kind: ValueType::DWORD, data: random.bits().to_le_bytes()[..4].to_vec() },
            1 => {
                let mut data = vec![0; 20 + random.below(120) as usize];
                random.fill(&mut data);
                Value { name, kind: ValueType::BINARY, data }
            }
            _ => {
                let length = 20 + random.below(50);
                let text = (0..length).flat_map(|_| [0x61 + random.below(26) as u8, 0]);
                Value { name, kind: ValueType::SZ, data: text.chain([0, 0]).collect() }
            }
        };
        hive.set_value(key, &value, now)?;
    }
    Ok(count)
}
