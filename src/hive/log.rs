// SPDX-License-Identifier: GPL-3.0-or-later
//! Transaction logs of both formats, and their replay over the pages of a dirty hive.
//!
//! A log begins with a base block of its own (512 bytes). Since Windows 8.1 (file type 6)
//! entries follow from offset 512, each a multiple of 512 bytes:
//!
//! | offset | size | name | meaning |
//! |---|---|---|---|
//! | 0 | 4 | signature | `HvLE` |
//! | 4 | 4 | size | of the entry |
//! | 8 | 4 | flags | bit 0 goes to bit 0 of the base's flags |
//! | 12 | 4 | sequence | consecutive |
//! | 16 | 4 | bins size | of the hive after this entry |
//! | 20 | 4 | count | of pages |
//! | 24 | 8 | hash 1 | Marvin32 of the bytes from 40 on |
//! | 32 | 8 | hash 2 | Marvin32 of the first 32 bytes |
//! | 40 | 8 each | pages | offset relative to the bins, size |
//! | | | | contents of the pages, back to back |
//!
//! Before that (file type 1 or 2) there is one state only: `DIRT` at 512, a bitmap with one bit
//! for each 512 bytes of the bins, then the dirty ones from the next multiple of 512 on.
//!
//! Source: M. Suhanov, "Windows registry file format specification"; the order of the Marvin32
//! seed, and what recovery may not demand, were measured on real logs.

use std::sync::Arc;

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::base_block::{BaseBlockRaw, MAX_BINS_SIZE, NEW_LOG, OLD_LOG, PRIMARY};
use super::error::{HiveError, Result};
use super::page::{PAGE, Pages};
use crate::io::{ReadAt, read_vec};

/// The unit of a log.
const SECTOR: u64 = 512;
/// Where the bitmap of an old log begins.
const BITMAP: u64 = SECTOR + 4;

/// The header of an entry.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct EntryRaw {
    signature: [u8; 4],
    size: U32,
    flags: U32,
    sequence: U32,
    bins_size: U32,
    count: U32,
    hash_1: U64,
    hash_2: U64,
}

const _: () = assert!(size_of::<EntryRaw>() == 40);

/// One page range of an entry and where its bytes are in the log.
struct DirtyRange {
    /// Relative to the first bin.
    offset: u32,
    size: u32,
    position: u64,
}

/// An entry that passed all checks.
struct Entry {
    sequence: u32,
    flags: u32,
    bins_size: u32,
    ranges: Vec<DirtyRange>,
}

/// A log that is whole enough to be looked at.
struct Log {
    source: Arc<dyn ReadAt>,
    base: BaseBlockRaw,
    content: Content,
}

enum Content {
    /// At least one entry.
    New(Vec<Entry>),
    Old(Vec<DirtyRange>),
}

/// What a replay made of the hive.
pub(super) struct Replay {
    /// The image with every applied page in it, its base block whole and sealed.
    pub(super) pages: Pages,
    pub(super) base: BaseBlockRaw,
    /// What the user should know.
    pub(super) notes: Vec<String>,
}

/// Brings a dirty hive to the last whole state that its logs hold; nothing when none applies.
pub(super) fn replay(
    source: &Arc<dyn ReadAt>,
    base: &BaseBlockRaw,
    logs: &[Arc<dyn ReadAt>],
) -> Result<Option<Replay>> {
    let mut parsed: Vec<Log> = Vec::new();
    for log in logs {
        parsed.extend(Log::parse(log)?);
    }
    if base.is_valid() && base.check_kind().is_ok() {
        replay_on_base(source, base, &parsed)
    } else {
        replay_without_base(source, base, &parsed)
    }
}

/// The base block is good: new logs in the order of their entries, else one old log.
fn replay_on_base(source: &Arc<dyn ReadAt>, base: &BaseBlockRaw, logs: &[Log]) -> Result<Option<Replay>> {
    let mut newer: Vec<(&Log, &[Entry], u32)> = logs
        .iter()
        .filter_map(|log| {
            let entries = log.entries()?;
            let first = entries.first()?.sequence;
            (first >= base.secondary_sequence.get()).then_some((log, entries, first))
        })
        .collect();
    newer.sort_by_key(|&(_, _, first)| first);
    let mut applied: Vec<(&Log, &[Entry])> = Vec::new();
    let mut next = None;
    for (log, entries, first) in newer {
        if next.is_none_or(|next| next == first) {
            next = entries.last().map(|last| last.sequence.wrapping_add(1));
            applied.push((log, entries));
        }
    }
    if !applied.is_empty() {
        return apply_entries(source, *base, &applied).map(Some);
    }
    let old = logs.iter().find_map(|log| {
        let ranges = log.ranges()?;
        (log.base.last_written == base.last_written).then_some((log, ranges))
    });
    match old {
        Some((log, ranges)) => apply_ranges(source, *base, log, ranges).map(Some),
        None => Ok(None),
    }
}

/// The base block is lost: it comes from the log with the latest state, and only that log applies.
fn replay_without_base(
    source: &Arc<dyn ReadAt>,
    base: &BaseBlockRaw,
    logs: &[Log],
) -> Result<Option<Replay>> {
    let latest = logs
        .iter()
        .filter_map(|log| log.entries().map(|entries| (log, entries)))
        .max_by_key(|(_, entries)| entries.last().map(|entry| entry.sequence));
    let note = "the base block was damaged and taken from a log".to_owned();
    if let Some((log, entries)) = latest {
        let mut replay = apply_entries(source, log.base, &[(log, entries)])?;
        replay.notes.push(note);
        return Ok(Some(replay));
    }
    let old = logs
        .iter()
        .filter_map(|log| log.ranges().map(|ranges| (log, ranges)))
        .max_by_key(|(log, _)| log.base.primary_sequence.get());
    let Some((log, ranges)) = old else { return Ok(None) };
    let mut replay = apply_ranges(source, log.base, log, ranges)?;
    replay.notes.push(note);
    if base.signature != *b"regf" || base.last_written != log.base.last_written {
        replay.notes.push("nothing shows that the log belongs to this hive: their times differ".to_owned());
    }
    Ok(Some(replay))
}

/// The image that the logs write to. What it has more than the file must come from the logs.
fn image<'a>(source: &Arc<dyn ReadAt>, bins_size: u32, logs: impl Iterator<Item = &'a Log>) -> Result<Pages> {
    let available = logs.fold(source.len(), |sum, log| sum.saturating_add(log.source.len()));
    if u64::from(bins_size) > available {
        let expected = format!("at most {available:#x}, what hive and logs hold");
        return Err(HiveError::structure(
            "the size of the bins in a log",
            16,
            expected,
            format!("{bins_size:#x}"),
        ));
    }
    Ok(Pages::new(Arc::clone(source), bins_size as usize + PAGE))
}

fn apply_entries(source: &Arc<dyn ReadAt>, base: BaseBlockRaw, logs: &[(&Log, &[Entry])]) -> Result<Replay> {
    let all = || logs.iter().flat_map(|&(log, entries)| entries.iter().map(move |entry| (log, entry)));
    let largest = all().map(|(_, entry)| entry.bins_size).max().unwrap_or_default();
    let mut pages = image(source, largest, logs.iter().map(|&(log, _)| log))?;
    let mut base = base;
    for (log, entry) in all() {
        log.apply(&mut pages, &entry.ranges)?;
        base.flags = (base.flags.get() & !1 | entry.flags & 1).into();
        base.bins_size = entry.bins_size.into();
        base.primary_sequence = entry.sequence.into();
    }
    finish(pages, base)
}

fn apply_ranges(
    source: &Arc<dyn ReadAt>,
    base: BaseBlockRaw,
    log: &Log,
    ranges: &[DirtyRange],
) -> Result<Replay> {
    let mut pages = image(source, log.base.bins_size.get(), std::iter::once(log))?;
    log.apply(&mut pages, ranges)?;
    let mut base = base;
    base.bins_size = log.base.bins_size;
    base.primary_sequence = log.base.primary_sequence;
    finish(pages, base)
}

fn finish(mut pages: Pages, mut base: BaseBlockRaw) -> Result<Replay> {
    base.secondary_sequence = base.primary_sequence;
    base.file_type = PRIMARY.into();
    base.seal();
    pages.truncate(base.image_length()?);
    pages.write(0, base.as_bytes())?;
    Ok(Replay { pages, base, notes: Vec::new() })
}

impl Log {
    /// Reads a log; nothing when it cannot be applied to any hive.
    fn parse(source: &Arc<dyn ReadAt>) -> Result<Option<Self>> {
        if source.len() < SECTOR {
            return Ok(None);
        }
        let base = BaseBlockRaw::parse(&read_vec(source, 0, SECTOR)?)?;
        if !base.is_valid() || base.primary_sequence != base.secondary_sequence {
            return Ok(None);
        }
        let content = if base.file_type.get() == NEW_LOG {
            entries(source, base.primary_sequence.get())?.map(Content::New)
        } else if OLD_LOG.contains(&base.file_type.get()) {
            dirty_ranges(source, &base)?.map(Content::Old)
        } else {
            None
        };
        Ok(content.map(|content| Self { source: Arc::clone(source), base, content }))
    }

    fn entries(&self) -> Option<&[Entry]> {
        match &self.content {
            Content::New(entries) => Some(entries),
            Content::Old(_) => None,
        }
    }

    fn ranges(&self) -> Option<&[DirtyRange]> {
        match &self.content {
            Content::New(_) => None,
            Content::Old(ranges) => Some(ranges),
        }
    }

    fn apply(&self, pages: &mut Pages, ranges: &[DirtyRange]) -> Result<()> {
        for range in ranges {
            let bytes = read_vec(&self.source, range.position, u64::from(range.size))?;
            pages.write(range.offset as usize + PAGE, &bytes)?;
        }
        Ok(())
    }
}

/// The good entries from the beginning of a new log; nothing when the first is not good.
fn entries(source: &Arc<dyn ReadAt>, first: u32) -> Result<Option<Vec<Entry>>> {
    let mut entries = Vec::new();
    let mut position = SECTOR;
    let mut sequence = first;
    while let Some((entry, size)) = read_entry(source, position, sequence)? {
        entries.push(entry);
        position += size;
        sequence = sequence.wrapping_add(1);
    }
    Ok((!entries.is_empty()).then_some(entries))
}

fn read_entry(source: &Arc<dyn ReadAt>, position: u64, sequence: u32) -> Result<Option<(Entry, u64)>> {
    let header_length = size_of::<EntryRaw>() as u64;
    if position + header_length > source.len() {
        return Ok(None);
    }
    let header = read_vec(source, position, header_length)?;
    let Ok(raw) = EntryRaw::read_from_bytes(&header) else { return Ok(None) };
    let size = u64::from(raw.size.get());
    let bins_size = raw.bins_size.get();
    let fits = raw.signature == *b"HvLE"
        && size.is_multiple_of(SECTOR)
        && size >= header_length
        && size <= source.len() - position
        && raw.sequence.get() == sequence
        && bins_size != 0
        && (bins_size as usize).is_multiple_of(PAGE)
        && u64::from(bins_size) <= MAX_BINS_SIZE;
    if !fits || header.get(..32).is_none_or(|first| marvin32(first) != raw.hash_2.get()) {
        return Ok(None);
    }
    let body = read_vec(source, position + header_length, size - header_length)?;
    let table_length = u64::from(raw.count.get()) * 8;
    if table_length > body.len() as u64 || marvin32(&body) != raw.hash_1.get() {
        return Ok(None);
    }
    let mut ranges = Vec::new();
    let mut at = header_length + table_length;
    for pair in body.chunks_exact(8).take(raw.count.get() as usize) {
        let (offset, length) = pair.split_at_checked(4).unwrap_or_default();
        let number = |bytes: &[u8]| bytes.try_into().map(u32::from_le_bytes).unwrap_or(u32::MAX);
        let (offset, length) = (number(offset), number(length));
        let inside = u64::from(offset) + u64::from(length) <= u64::from(bins_size);
        if !inside || at + u64::from(length) > size {
            return Ok(None);
        }
        ranges.push(DirtyRange { offset, size: length, position: position + at });
        at += u64::from(length);
    }
    let entry = Entry { sequence, flags: raw.flags.get(), bins_size, ranges };
    Ok(Some((entry, size)))
}

/// The dirty sectors of an old log, neighbours joined; nothing when the log is not whole.
fn dirty_ranges(source: &Arc<dyn ReadAt>, base: &BaseBlockRaw) -> Result<Option<Vec<DirtyRange>>> {
    let Ok(image_length) = base.image_length() else { return Ok(None) };
    let bitmap_length = (image_length - PAGE) as u64 / SECTOR / 8;
    let mut position = (BITMAP + bitmap_length).next_multiple_of(SECTOR);
    if source.len() < position || read_vec(source, SECTOR, 4)? != b"DIRT" {
        return Ok(None);
    }
    let bitmap = read_vec(source, BITMAP, bitmap_length)?;
    let mut ranges: Vec<DirtyRange> = Vec::new();
    for (index, byte) in bitmap.iter().enumerate() {
        for bit in (0..8).filter(|bit| byte >> bit & 1 != 0) {
            if position + SECTOR > source.len() {
                return Ok(None);
            }
            let offset = (index as u32 * 8 + bit) * SECTOR as u32;
            match ranges.last_mut() {
                Some(last) if last.offset + last.size == offset => last.size += SECTOR as u32,
                _ => ranges.push(DirtyRange { offset, size: SECTOR as u32, position }),
            }
            position += SECTOR;
        }
    }
    Ok(Some(ranges))
}

/// Marvin32 with the seed that hive logs use.
fn marvin32(bytes: &[u8]) -> u64 {
    let (mut low, mut high) = (0x7A4E_55C5u32, 0x82EF_4D88u32);
    let mut mix = |word: u32| {
        low = low.wrapping_add(word);
        high ^= low;
        low = low.rotate_left(20).wrapping_add(high);
        high = high.rotate_left(9) ^ low;
        low = low.rotate_left(27).wrapping_add(high);
        high = high.rotate_left(19);
        u64::from(high) << 32 | u64::from(low)
    };
    let words = bytes.chunks_exact(4);
    let mut tail = 0x80u32;
    for &byte in words.remainder().iter().rev() {
        tail = tail << 8 | u32::from(byte);
    }
    for word in words {
        mix(word.try_into().map(u32::from_le_bytes).unwrap_or_default());
    }
    mix(tail);
    mix(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marvin32_vectors() {
        let counting: Vec<u8> = (0..=255).collect();
        assert_eq!(marvin32(&[]), 0xB39E_FCA4_0396_6E08);
        assert_eq!(marvin32(&counting), 0xE8F3_6857_10A6_0B65);
    }

    #[test]
    fn foreign_and_short_logs_do_not_apply() {
        let sources: [Vec<u8>; 3] = [Vec::new(), vec![0; 511], vec![0; 2048]];
        for source in sources {
            let source: Arc<dyn ReadAt> = Arc::new(source);
            assert!(Log::parse(&source).unwrap().is_none());
        }
    }
}
