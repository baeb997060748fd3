// SPDX-License-Identifier: GPL-3.0-or-later
//! Transaction logs for hives of our own, in both formats: what Windows would leave behind when it
//! is stopped between writing a log and writing the hive.
//!
//! Written from the description of the format, apart from the code that replays logs.

/// The unit of a log.
const SECTOR: usize = 512;
const PAGE: usize = 4096;

/// The hash of the entries of a log.
pub fn marvin32(bytes: &[u8]) -> u64 {
    let mut state = (0x7A4E_55C5_u32, 0x82EF_4D88_u32);
    fn mix(state: &mut (u32, u32)) {
        let (low, high) = state;
        *high ^= *low;
        *low = low.rotate_left(20);
        *low = low.wrapping_add(*high);
        *high = high.rotate_left(9);
        *high ^= *low;
        *low = low.rotate_left(27);
        *low = low.wrapping_add(*high);
        *high = high.rotate_left(19);
    }
    let mut padded = bytes.to_vec();
    padded.push(0x80);
    padded.resize(padded.len().next_multiple_of(4), 0);
    for word in padded.chunks_exact(4) {
        state.0 = state.0.wrapping_add(u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
        mix(&mut state);
    }
    mix(&mut state);
    u64::from(state.1) << 32 | u64::from(state.0)
}

/// Writes the right checksum into a base block.
pub fn seal(block: &mut [u8]) {
    let words = block[..508].chunks_exact(4);
    let sum = words.fold(0, |sum, word| sum ^ u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
    let sum = match sum {
        0 => 1,
        u32::MAX => u32::MAX - 1,
        sum => sum,
    };
    block[508..512].copy_from_slice(&sum.to_le_bytes());
}

fn put(bytes: &mut [u8], offset: usize, number: u32) {
    bytes[offset..offset + 4].copy_from_slice(&number.to_le_bytes());
}

fn sequence(hive: &[u8]) -> u32 {
    u32::from_le_bytes([hive[4], hive[5], hive[6], hive[7]])
}

/// The hive as it lies there when its next write was begun and did not come to any page.
pub fn made_dirty(hive: &[u8]) -> Vec<u8> {
    let mut dirty = hive.to_vec();
    put(&mut dirty, 4, sequence(hive).wrapping_add(1));
    seal(&mut dirty);
    dirty
}

fn log_base(hive: &[u8], kind: u32, sequence: u32) -> Vec<u8> {
    let mut base = hive[..SECTOR].to_vec();
    put(&mut base, 4, sequence);
    put(&mut base, 8, sequence);
    put(&mut base, 28, kind);
    seal(&mut base);
    base
}

/// The pages of `size` bytes, by their offset in the bins, in which two states of a hive differ.
fn differing<'a>(old: &[u8], new: &'a [u8], size: usize) -> Vec<(usize, &'a [u8])> {
    let pages = new[PAGE..].chunks(size).enumerate();
    pages
        .filter(|(index, page)| old.get(PAGE + index * size..PAGE + index * size + page.len()) != Some(*page))
        .map(|(index, page)| (index * size, page))
        .collect()
}

/// A log of the format since Windows 8.1: an entry for each step between the states of a hive.
pub fn new_log(states: &[Vec<u8>]) -> Vec<u8> {
    let first = sequence(&states[0]).wrapping_add(1);
    let mut log = log_base(&states[0], 6, first);
    for (number, pair) in states.windows(2).enumerate() {
        let pages = differing(&pair[0], &pair[1], PAGE);
        let length: usize = 40 + pages.iter().map(|(_, page)| 8 + page.len()).sum::<usize>();
        let mut entry = vec![0; 40];
        entry[..4].copy_from_slice(b"HvLE");
        put(&mut entry, 4, length.next_multiple_of(SECTOR) as u32);
        put(&mut entry, 12, first.wrapping_add(number as u32));
        put(&mut entry, 16, (pair[1].len() - PAGE) as u32);
        put(&mut entry, 20, pages.len() as u32);
        for (offset, page) in &pages {
            entry.extend((*offset as u32).to_le_bytes());
            entry.extend((page.len() as u32).to_le_bytes());
        }
        for (_, page) in &pages {
            entry.extend(*page);
        }
        entry.resize(length.next_multiple_of(SECTOR), 0);
        let hash = marvin32(&entry[40..]).to_le_bytes();
        entry[24..32].copy_from_slice(&hash);
        let hash = marvin32(&entry[..32]).to_le_bytes();
        entry[32..40].copy_from_slice(&hash);
        log.extend(entry);
    }
    log
}

/// A log of the format before Windows 8.1: the one step from one state to another.
pub fn old_log(old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut log = log_base(new, 1, sequence(old).wrapping_add(1));
    // Which state a log belongs to is told by the time in the base block.
    log[12..20].copy_from_slice(&old[12..20]);
    seal(&mut log);
    let pages = differing(old, new, SECTOR);
    let mut bitmap = vec![0_u8; (new.len() - PAGE) / SECTOR / 8];
    for (offset, _) in &pages {
        let bit = offset / SECTOR;
        bitmap[bit / 8] |= 1 << (bit % 8);
    }
    log.extend(b"DIRT");
    log.extend(bitmap);
    log.resize(log.len().next_multiple_of(SECTOR), 0);
    for (_, page) in pages {
        log.extend(page);
    }
    log
}

/// Writes the right hashes into the entries of a log, as far as they can be told apart.
pub fn rehash(log: &mut [u8]) {
    let mut at = SECTOR;
    while let Some(header) = log.get(at..at + 40) {
        if &header[..4] != b"HvLE" {
            return;
        }
        let length = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
        let Some(entry) = log.get_mut(at..at.saturating_add(length)).filter(|entry| entry.len() >= 40) else {
            return;
        };
        let hash = marvin32(&entry[40..]).to_le_bytes();
        entry[24..32].copy_from_slice(&hash);
        let hash = marvin32(&entry[..32]).to_le_bytes();
        entry[32..40].copy_from_slice(&hash);
        at += length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_has_its_published_values() {
        let counting: Vec<u8> = (0..=255).collect();
        assert_eq!(marvin32(&[]), 0xB39E_FCA4_0396_6E08);
        assert_eq!(marvin32(&counting), 0xE8F3_6857_10A6_0B65);
    }
}
