// SPDX-License-Identifier: GPL-3.0-or-later
//! The bytes of a hive file: loaded from the source when first touched, changed in memory only,
//! with savepoints.
//!
//! One zeroed buffer spans the whole image; the system backs only the pages that are touched.
//! Changes are noted per 4 KiB page, loads happen in pieces of 32 KiB (the chunk size of a
//! WIM, so that no chunk is decoded for less than what it holds). A page of a newer bin, or one
//! beyond the end of the source, counts as loaded.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::error::{HiveError, Result};
use crate::io::ReadAt;

/// The unit of change tracking, of bins and of the base block.
pub(super) const PAGE: usize = 4096;
/// Pages read at once.
const LOAD_PAGES: usize = 8;

/// A growing set of small numbers.
#[derive(Default)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    pub(super) fn contains(&self, index: usize) -> bool {
        self.0.get(index / 64).is_some_and(|word| word >> (index % 64) & 1 != 0)
    }

    pub(super) fn set(&mut self, index: usize, value: bool) {
        if self.0.len() <= index / 64 {
            self.0.resize(index / 64 + 1, 0);
        }
        if let Some(word) = self.0.get_mut(index / 64) {
            let bit = 1 << (index % 64);
            if value { *word |= bit } else { *word &= !bit }
        }
    }

    /// The largest number below `index` in the set, not below `least`.
    pub(super) fn last_before(&self, index: usize, least: usize) -> Option<usize> {
        let mut at = index.checked_sub(1)?;
        loop {
            let word = self.0.get(at / 64).copied().unwrap_or_default() << (63 - at % 64);
            if word != 0 {
                return Some(at - word.leading_zeros() as usize).filter(|&found| found >= least);
            }
            at = (at / 64 * 64).checked_sub(1).filter(|&at| at >= least)?;
        }
    }
}

/// What a page was before the edits after a savepoint.
struct OldPage {
    bytes: Box<[u8]>,
    changed: bool,
}

/// Everything needed to return to one savepoint, given that later ones are undone first.
struct UndoLayer {
    id: u64,
    length: usize,
    pages: HashMap<usize, OldPage>,
}

/// The image of a hive file from its base block to the end of its last bin.
pub(super) struct Pages {
    source: Arc<dyn ReadAt>,
    bytes: Vec<u8>,
    loaded: Bits,
    changed: Bits,
    /// Pages not loaded yet; zero makes reading a plain slice operation.
    missing: usize,
    undo: Vec<UndoLayer>,
    next_undo: u64,
    /// Grows with every change.
    edits: u64,
}

impl Pages {
    /// The first `length` bytes of the source, padded with zeros where the source is shorter.
    pub(super) fn new(source: Arc<dyn ReadAt>, length: usize) -> Self {
        let mut pages = Self {
            source,
            bytes: vec![0; length],
            loaded: Bits::default(),
            changed: Bits::default(),
            missing: 0,
            undo: Vec::new(),
            next_undo: 1,
            edits: 0,
        };
        pages.missing = pages.in_source(0..length.div_ceil(PAGE)).len();
        pages
    }

    /// The pages of a range that the source reaches.
    fn in_source(&self, pages: Range<usize>) -> Range<usize> {
        let end = usize::try_from(self.source.len().div_ceil(PAGE as u64)).unwrap_or(usize::MAX);
        pages.start.min(end)..pages.end.min(end)
    }

    /// Length of the image.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// What the image was opened on.
    pub(super) fn source(&self) -> &Arc<dyn ReadAt> {
        &self.source
    }

    fn outside(&self, offset: usize, length: usize) -> HiveError {
        HiveError::structure(
            "a reference",
            offset as u64,
            format!("{length} bytes before the end at {:#x}", self.bytes.len()),
            "beyond it",
        )
    }

    fn is_loaded(&self, page: usize) -> bool {
        self.loaded.contains(page)
            || u64::try_from(page).is_ok_and(|page| page * PAGE as u64 >= self.source.len())
    }

    /// Loads the pages that hold a range which lies inside the image.
    fn load(&mut self, range: Range<usize>) -> Result<()> {
        let last = range.end.max(range.start + 1).div_ceil(PAGE);
        if (range.start / PAGE..last).all(|page| self.is_loaded(page)) {
            return Ok(());
        }
        let first = range.start / PAGE / LOAD_PAGES * LOAD_PAGES;
        let end = last.next_multiple_of(LOAD_PAGES).min(self.bytes.len().div_ceil(PAGE));
        self.load_pages(self.in_source(first..end))
    }

    fn load_pages(&mut self, pages: Range<usize>) -> Result<()> {
        let mut page = pages.start;
        while page < pages.end {
            if self.is_loaded(page) {
                page += 1;
                continue;
            }
            let first = page;
            while page < pages.end && !self.is_loaded(page) {
                page += 1;
            }
            let start = first * PAGE;
            let source_end = usize::try_from(self.source.len()).unwrap_or(usize::MAX);
            let end = (page * PAGE).min(self.bytes.len()).min(source_end);
            if let Some(target) = self.bytes.get_mut(start..end) {
                self.source.read_exact_at(target, start as u64)?;
            }
            for loaded in first..page {
                self.loaded.set(loaded, true);
            }
            self.missing = self.missing.saturating_sub(page - first);
        }
        Ok(())
    }

    /// Loads everything that is not loaded yet.
    pub(super) fn load_all(&mut self) -> Result<()> {
        if self.missing > 0 {
            self.load_pages(self.in_source(0..self.bytes.len().div_ceil(PAGE)))?;
            self.missing = 0;
        }
        Ok(())
    }

    /// The whole image, loaded.
    pub(super) fn all(&mut self) -> Result<&[u8]> {
        self.load_all()?;
        Ok(&self.bytes)
    }

    /// A part of the image.
    pub(super) fn read(&mut self, offset: usize, length: usize) -> Result<&[u8]> {
        let range = match offset.checked_add(length) {
            Some(end) if end <= self.bytes.len() => offset..end,
            _ => return Err(self.outside(offset, length)),
        };
        if self.missing > 0 {
            self.load(range.clone())?;
        }
        match self.bytes.get(range) {
            Some(bytes) => Ok(bytes),
            None => Err(HiveError::structure("a reference", offset as u64, "inside the hive", "outside")),
        }
    }

    /// A little-endian number.
    pub(super) fn read_u32(&mut self, offset: usize) -> Result<u32> {
        let bytes = self.read(offset, 4)?;
        Ok(bytes.try_into().map(u32::from_le_bytes).unwrap_or_default())
    }

    /// A part of the image to be changed. Its pages count as changed from now on.
    pub(super) fn modify(&mut self, offset: usize, length: usize) -> Result<&mut [u8]> {
        let range = match offset.checked_add(length) {
            Some(end) if end <= self.bytes.len() => offset..end,
            _ => return Err(self.outside(offset, length)),
        };
        if self.missing > 0 {
            self.load(range.clone())?;
        }
        for page in range.start / PAGE..range.end.div_ceil(PAGE) {
            self.touch(page);
        }
        self.bytes
            .get_mut(range)
            .ok_or_else(|| HiveError::structure("a reference", offset as u64, "inside the hive", "outside"))
    }

    /// Keeps the old content of a page for the latest savepoint, and notes the change.
    fn touch(&mut self, page: usize) {
        self.edits += 1;
        let changed = self.changed.contains(page);
        if let Some(layer) = self.undo.last_mut()
            && page * PAGE < layer.length
            && !layer.pages.contains_key(&page)
        {
            let end = ((page + 1) * PAGE).min(self.bytes.len());
            let bytes = self.bytes.get(page * PAGE..end).unwrap_or_default().into();
            layer.pages.insert(page, OldPage { bytes, changed });
        }
        if !changed {
            self.changed.set(page, true);
        }
    }

    /// Writes bytes; where they are there already, nothing counts as changed.
    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<()> {
        if self.read(offset, bytes.len())? != bytes {
            self.modify(offset, bytes.len())?.copy_from_slice(bytes);
        }
        Ok(())
    }

    /// Writes a little-endian number.
    pub(super) fn write_u32(&mut self, offset: usize, number: u32) -> Result<()> {
        self.write(offset, &number.to_le_bytes())
    }

    /// Appends zeroed pages, whatever the source has there.
    pub(super) fn grow(&mut self, length: usize) {
        let old = self.bytes.len();
        if length <= old {
            return;
        }
        self.edits += 1;
        self.bytes.resize(length, 0);
        for page in old / PAGE..length.div_ceil(PAGE) {
            self.loaded.set(page, true);
            self.changed.set(page, true);
        }
    }

    /// Cuts the image, before any savepoint.
    pub(super) fn truncate(&mut self, length: usize) {
        for page in length.div_ceil(PAGE)..self.bytes.len().div_ceil(PAGE) {
            if !self.is_loaded(page) {
                self.missing = self.missing.saturating_sub(1);
            }
            self.changed.set(page, false);
            self.loaded.set(page, false);
        }
        self.bytes.truncate(length);
    }

    /// A number that is larger after every change.
    pub(super) fn edits(&self) -> u64 {
        self.edits
    }

    /// Whether any page was written to, or the image grew.
    pub(super) fn is_changed(&self) -> bool {
        self.changed.0.iter().any(|&word| word != 0)
    }

    /// What the next call of [`Pages::savepoint`] will give; marks only grow.
    pub(super) fn next_savepoint(&self) -> u64 {
        self.next_undo
    }

    /// A mark to return to.
    pub(super) fn savepoint(&mut self) -> u64 {
        let id = self.next_undo;
        self.next_undo += 1;
        self.undo.push(UndoLayer { id, length: self.bytes.len(), pages: HashMap::new() });
        id
    }

    /// Undoes everything after a savepoint, which then is no more. Returns false for a mark
    /// that is not (or no longer) known.
    pub(super) fn rollback(&mut self, id: u64) -> bool {
        if !self.undo.iter().any(|layer| layer.id == id) {
            return false;
        }
        self.edits += 1;
        while let Some(layer) = self.undo.pop() {
            for page in layer.length / PAGE..self.bytes.len().div_ceil(PAGE) {
                self.changed.set(page, false);
                self.loaded.set(page, false);
            }
            self.bytes.truncate(layer.length);
            for (page, old) in layer.pages {
                let start = page * PAGE;
                if let Some(target) = self.bytes.get_mut(start..start + old.bytes.len()) {
                    target.copy_from_slice(&old.bytes);
                }
                self.changed.set(page, old.changed);
            }
            if layer.id == id {
                break;
            }
        }
        true
    }

    /// Gives up a savepoint: its edits belong to the one before it, or can no longer be undone.
    pub(super) fn release(&mut self, id: u64) {
        let Some(position) = self.undo.iter().position(|layer| layer.id == id) else { return };
        let layer = self.undo.remove(position);
        if let Some(below) = position.checked_sub(1).and_then(|below| self.undo.get_mut(below)) {
            for (page, old) in layer.pages {
                if page * PAGE < below.length {
                    below.pages.entry(page).or_insert(old);
                }
            }
        }
    }

    /// The changed ranges whose bytes differ from the source, merged and in order.
    pub(super) fn differences(&self) -> Result<Vec<(u64, Vec<u8>)>> {
        let mut ranges: Vec<(u64, Vec<u8>)> = Vec::new();
        let mut old = vec![0; PAGE];
        for page in 0..self.bytes.len().div_ceil(PAGE) {
            if !self.changed.contains(page) {
                continue;
            }
            let start = page * PAGE;
            let end = (start + PAGE).min(self.bytes.len());
            let Some(bytes) = self.bytes.get(start..end) else { continue };
            if end as u64 <= self.source.len()
                && let Some(old) = old.get_mut(..end - start)
            {
                self.source.read_exact_at(old, start as u64)?;
                if old == bytes {
                    continue;
                }
            }
            match ranges.last_mut() {
                Some((offset, data)) if *offset + data.len() as u64 == start as u64 => {
                    data.extend_from_slice(bytes);
                }
                _ => ranges.push((start as u64, bytes.to_vec())),
            }
        }
        Ok(ranges)
    }

    /// Exchanges the content of every page that is changed here with that of `other`, an image
    /// on the same source. A second call undoes the first.
    pub(super) fn exchange_changed(&mut self, other: &mut Self) -> Result<()> {
        let end = self.bytes.len().min(other.bytes.len());
        let pages = (0..end.div_ceil(PAGE)).filter(|&page| self.changed.contains(page));
        let pages: Vec<usize> = pages.collect();
        for &page in &pages {
            other.read(page * PAGE, PAGE.min(end - page * PAGE))?;
        }
        for page in pages {
            let range = page * PAGE..((page + 1) * PAGE).min(end);
            if let (Some(mine), Some(theirs)) =
                (self.bytes.get_mut(range.clone()), other.bytes.get_mut(range))
            {
                mine.swap_with_slice(theirs);
            }
        }
        Ok(())
    }

    /// Gives back the memory of pages that can be read again from the source.
    pub(super) fn forget_unchanged(&mut self) {
        let pages = self.bytes.len().div_ceil(PAGE);
        let mut bytes = vec![0; self.bytes.len()];
        let mut loaded = Bits::default();
        for page in 0..pages {
            if !self.changed.contains(page) {
                continue;
            }
            let range = page * PAGE..((page + 1) * PAGE).min(self.bytes.len());
            if let (Some(to), Some(from)) = (bytes.get_mut(range.clone()), self.bytes.get(range)) {
                to.copy_from_slice(from);
            }
            loaded.set(page, true);
        }
        self.bytes = bytes;
        self.loaded = loaded;
        self.missing = self.in_source(0..pages).filter(|&page| !self.loaded.contains(page)).count();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// Counts the bytes that were read.
    struct Counting(Vec<u8>, AtomicU64);

    impl ReadAt for Counting {
        fn len(&self) -> u64 {
            self.0.len() as u64
        }

        fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> crate::base::Result<()> {
            self.1.fetch_add(buffer.len() as u64, Ordering::Relaxed);
            self.0.read_exact_at(buffer, offset)
        }
    }

    fn pattern(length: usize) -> Vec<u8> {
        (0..length).map(|position| (position / 7) as u8).collect()
    }

    #[test]
    fn the_last_number_before_another() {
        let mut bits = Bits::default();
        for number in [3, 64, 200, 319] {
            bits.set(number, true);
        }
        let cases = [
            (3, 0, None),
            (4, 0, Some(3)),
            (64, 0, Some(3)),
            (64, 4, None),
            (200, 0, Some(64)),
            (319, 0, Some(200)),
            (320, 0, Some(319)),
            (100_000, 0, Some(319)),
            (319, 201, None),
            (0, 0, None),
        ];
        for (index, least, expected) in cases {
            assert_eq!(bits.last_before(index, least), expected, "{index} {least}");
        }
    }

    #[test]
    fn loads_only_what_is_touched() {
        let source = Arc::new(Counting(pattern(1 << 20), AtomicU64::new(0)));
        let mut pages = Pages::new(source.clone(), 1 << 20);
        assert_eq!(pages.read(300_000, 10).unwrap(), &source.0[300_000..300_010]);
        assert_eq!(source.1.load(Ordering::Relaxed), 32_768);
        pages.read(300_100, 100).unwrap();
        assert_eq!(source.1.load(Ordering::Relaxed), 32_768);
        pages.load_all().unwrap();
        assert_eq!(source.1.load(Ordering::Relaxed), 1 << 20);
        assert_eq!(pages.all().unwrap(), &source.0[..]);
        assert!(pages.read((1 << 20) - 4, 5).is_err());
        assert!(pages.read(usize::MAX, 5).is_err());
    }

    #[test]
    fn differences_are_page_granular_and_real() {
        let source = Arc::new(pattern(5 * PAGE + 100));
        let mut pages = Pages::new(source.clone(), 5 * PAGE);
        assert!(!pages.is_changed());
        pages.write(10, &source[10..20]).unwrap();
        assert!(!pages.is_changed());
        pages.write(PAGE - 1, &[0xFF, 0xFE]).unwrap();
        pages.write(3 * PAGE, &[0xFF]).unwrap();
        pages.write(3 * PAGE, &source[3 * PAGE..=3 * PAGE]).unwrap();
        pages.grow(7 * PAGE);
        let differences = pages.differences().unwrap();
        let summary: Vec<_> = differences.iter().map(|(offset, bytes)| (*offset, bytes.len())).collect();
        assert_eq!(summary, [(0, 2 * PAGE), (5 * PAGE as u64, 2 * PAGE)]);
        assert_eq!(differences[0].1[PAGE - 1], 0xFF);
        pages.forget_unchanged();
        assert_eq!(pages.differences().unwrap(), differences);
        assert_eq!(pages.read(2 * PAGE, 5).unwrap(), &source[2 * PAGE..2 * PAGE + 5]);
        assert_eq!(pages.read(5 * PAGE, 5).unwrap(), [0; 5]);
    }

    #[test]
    fn savepoints_nest() {
        let source = Arc::new(pattern(4 * PAGE));
        let mut pages = Pages::new(source.clone(), 4 * PAGE);
        let first = pages.savepoint();
        pages.write(0, &[1, 2, 3]).unwrap();
        pages.grow(6 * PAGE);
        let second = pages.savepoint();
        pages.write(1, &[9]).unwrap();
        pages.write(5 * PAGE, &[7]).unwrap();
        let third = pages.savepoint();
        pages.write(2 * PAGE, &[7]).unwrap();
        pages.release(third);
        assert!(pages.rollback(second));
        assert_eq!(pages.read(0, 3).unwrap(), [1, 2, 3]);
        assert_eq!(pages.read(5 * PAGE, 1).unwrap(), [0]);
        assert_eq!(pages.read(2 * PAGE, 1).unwrap(), [source[2 * PAGE]]);
        assert!(!pages.rollback(second));
        assert!(pages.rollback(first));
        assert!(!pages.is_changed());
        assert_eq!(pages.all().unwrap(), &source[..]);
    }
}
