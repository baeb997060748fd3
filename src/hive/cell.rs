// SPDX-License-Identifier: GPL-3.0-or-later
//! Bins and cells: reading, allocating, freeing.
//!
//! A bin:
//!
//! | offset | size | name | meaning |
//! |---|---|---|---|
//! | 0 | 4 | signature | `hbin` |
//! | 4 | 4 | offset | its own, relative to the first bin |
//! | 8 | 4 | size | a multiple of 4096 |
//! | 12 | 8 | reserved | 0 |
//! | 20 | 8 | timestamp | first bin only |
//! | 28 | 4 | spare | 0 |
//!
//! The rest of it is cells back to back: a signed size that counts itself, a multiple of 8,
//! negative when allocated; then the data. Records refer to a cell by the offset of its size,
//! relative to the first bin.
//!
//! Source: M. Suhanov, "Windows registry file format specification"; size classes, the absence
//! of adjacent free cells and the zeroed bin fields were measured on real hives.

use std::collections::BTreeSet;

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::base_block::MAX_BINS_SIZE;
use super::error::{HiveError, Result};
use super::page::{Bits, PAGE, Pages};

/// "No cell".
pub(super) const NIL: u32 = u32::MAX;
/// Length of a bin's header.
pub(super) const BIN_HEADER: usize = 32;
/// Cells above this size are rounded up to a power of two.
const LARGE_CELL: usize = 0x4000;
/// A free cell is taken into use for small requests preferably when it is at least this large,
/// so that the cells of one edit lie together and few pages of the file change.
const WORTHWHILE: u32 = 1024;

/// The header of a bin.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct BinRaw {
    pub(super) signature: [u8; 4],
    pub(super) offset: U32,
    pub(super) size: U32,
    pub(super) reserved: U64,
    pub(super) timestamp: U64,
    pub(super) spare: U32,
}

const _: () = assert!(size_of::<BinRaw>() == BIN_HEADER);

/// The position in the file of an offset that is relative to the first bin.
pub(super) fn file_offset(offset: u32) -> u64 {
    u64::from(offset) + PAGE as u64
}

/// The size of the cell that Windows makes for a record of `length` bytes.
pub(super) fn cell_size(length: usize) -> usize {
    let size = (length + 4).next_multiple_of(8);
    if size > LARGE_CELL { size.next_power_of_two() } else { size }
}

/// Free cells and bins, known once an edit needs them. The sizes of free cells stand in the cells.
#[derive(Default)]
struct FreeSpace {
    /// Offsets of the bins, ascending.
    bins: Vec<u32>,
    /// Where free cells begin, in units of 8 bytes.
    free: Bits,
    /// Which of them this session freed or split already ("warm").
    is_warm: Bits,
    /// `(size, offset)` of warm cells.
    warm: BTreeSet<(u32, u32)>,
    /// `(size, offset)` of the others.
    cold: BTreeSet<(u32, u32)>,
}

impl FreeSpace {
    fn insert(&mut self, offset: u32, size: u32, warm: bool) {
        let index = offset as usize / 8;
        self.free.set(index, true);
        if warm {
            self.is_warm.set(index, true);
            self.warm.insert((size, offset))
        } else {
            self.cold.insert((size, offset))
        };
    }

    fn contains(&self, offset: u32) -> bool {
        self.free.contains(offset as usize / 8)
    }

    /// Takes out a free cell of this size.
    fn remove(&mut self, offset: u32, size: u32) -> Result<()> {
        let index = offset as usize / 8;
        let known = if self.is_warm.contains(index) {
            self.warm.remove(&(size, offset))
        } else {
            self.cold.remove(&(size, offset))
        };
        if !known {
            // Some reference of a damaged hive leads into it, and an edit followed that.
            let expected = "the size it had";
            return Err(HiveError::structure("a free cell", file_offset(offset), expected, size));
        }
        self.free.set(index, false);
        self.is_warm.set(index, false);
        Ok(())
    }

    /// The free cell to use for a cell of `size` bytes, with its own size.
    fn choose(&self, size: u32) -> Option<(u32, u32)> {
        let fitting = |cells: &BTreeSet<(u32, u32)>, least: u32| {
            cells.range((least, 0)..).next().map(|&(found, offset)| (offset, found))
        };
        fitting(&self.warm, size)
            .or_else(|| fitting(&self.cold, size.max(WORTHWHILE)))
            .or_else(|| fitting(&self.cold, size))
    }

    /// The last free cell of a bin that begins before an offset.
    fn last_before(&self, offset: u32, bin: u32) -> Option<u32> {
        let found = self.free.last_before(offset as usize / 8, bin as usize / 8)?;
        u32::try_from(found * 8).ok()
    }

    /// The bin that holds an offset, and where the next one begins.
    fn bin_of(&self, offset: u32, end: u32) -> (u32, u32) {
        let next = self.bins.partition_point(|&bin| bin <= offset);
        let start = next.checked_sub(1).and_then(|index| self.bins.get(index)).copied().unwrap_or_default();
        (start, self.bins.get(next).copied().unwrap_or(end))
    }
}

/// The cells of a hive.
pub(super) struct Cells {
    pub(super) pages: Pages,
    free_space: Option<FreeSpace>,
}

impl Cells {
    /// Cells on an image that holds a base block and bins.
    pub(super) fn new(pages: Pages) -> Self {
        Self { pages, free_space: None }
    }

    /// Length of all bins.
    pub(super) fn bins_size(&self) -> u32 {
        u32::try_from(self.pages.len().saturating_sub(PAGE)).unwrap_or(NIL)
    }

    /// Position in the image and length of an allocated cell's data.
    fn locate(&mut self, offset: u32) -> Result<(usize, usize)> {
        let bins_size = self.bins_size();
        if !offset.is_multiple_of(8) || offset < BIN_HEADER as u32 || offset >= bins_size {
            return Err(HiveError::structure(
                "a reference to a cell",
                file_offset(offset),
                format!("a multiple of 8 below {bins_size:#x}"),
                format!("{offset:#x}"),
            ));
        }
        let position = offset as usize + PAGE;
        let size = self.pages.read_u32(position)?.cast_signed();
        let length = size.unsigned_abs();
        if size >= 0 || !length.is_multiple_of(8) || length > bins_size - offset {
            let expected = "an allocated cell inside the hive";
            return Err(HiveError::structure("the size of a cell", file_offset(offset), expected, size));
        }
        Ok((position + 4, length as usize - 4))
    }

    /// The data of an allocated cell, its slack included.
    pub(super) fn cell(&mut self, offset: u32) -> Result<&[u8]> {
        let (position, length) = self.locate(offset)?;
        self.pages.read(position, length)
    }

    /// Length of an allocated cell's data, its slack included.
    pub(super) fn cell_length(&mut self, offset: u32) -> Result<usize> {
        Ok(self.locate(offset)?.1)
    }

    /// `length` bytes from `start` in a cell's data.
    pub(super) fn cell_part(
        &mut self,
        offset: u32,
        start: usize,
        length: usize,
        what: &'static str,
    ) -> Result<&[u8]> {
        let (position, available) = self.locate(offset)?;
        match start.checked_add(length) {
            Some(end) if end <= available => self.pages.read(position + start, length),
            _ => Err(HiveError::structure(
                what,
                file_offset(offset),
                format!("at most {available} bytes, the room of its cell"),
                format!("{length} bytes from byte {start}"),
            )),
        }
    }

    /// A record at the beginning of a cell.
    pub(super) fn record<T: FromBytes>(&mut self, offset: u32, what: &'static str) -> Result<T> {
        let bytes = self.cell_part(offset, 0, size_of::<T>(), what)?;
        T::read_from_bytes(bytes)
            .map_err(|_| HiveError::structure(what, file_offset(offset), "a whole record", "less"))
    }

    /// A little-endian number in a cell.
    pub(super) fn cell_u32(&mut self, offset: u32, start: usize, what: &'static str) -> Result<u32> {
        let bytes = self.cell_part(offset, start, 4, what)?;
        Ok(bytes.try_into().map(u32::from_le_bytes).unwrap_or_default())
    }

    /// Writes into a cell's data.
    pub(super) fn put(&mut self, offset: u32, start: usize, bytes: &[u8]) -> Result<()> {
        let (position, available) = self.locate(offset)?;
        if start.checked_add(bytes.len()).is_none_or(|end| end > available) {
            return Err(HiveError::structure(
                "a record",
                file_offset(offset),
                format!("at most {available} bytes"),
                start.saturating_add(bytes.len()),
            ));
        }
        self.pages.write(position + start, bytes)
    }

    /// Writes a record at the beginning of a cell.
    pub(super) fn put_record<T: IntoBytes + Immutable>(&mut self, offset: u32, record: &T) -> Result<()> {
        self.put(offset, 0, record.as_bytes())
    }

    /// A part of a cell's data, to be changed.
    pub(super) fn modify(&mut self, offset: u32, start: usize, length: usize) -> Result<&mut [u8]> {
        let (position, available) = self.locate(offset)?;
        if start.checked_add(length).is_none_or(|end| end > available) {
            return Err(HiveError::structure(
                "a record",
                file_offset(offset),
                format!("at most {available} bytes"),
                start.saturating_add(length),
            ));
        }
        self.pages.modify(position + start, length)
    }

    /// Walks all bins once: every later allocation relies on the table made here.
    fn free_space(&mut self) -> Result<&mut FreeSpace> {
        if self.free_space.is_none() {
            let mut space = FreeSpace::default();
            let bytes = self.pages.all()?;
            let bins = bytes.get(PAGE..).unwrap_or_default();
            walk_bins(bins, |bin, cells| {
                space.bins.push(bin);
                for (offset, size) in cells {
                    if size > 0 {
                        space.insert(offset, size.unsigned_abs(), false);
                    }
                }
            })?;
            self.free_space = Some(space);
        }
        Ok(self.free_space.get_or_insert_default())
    }

    /// Forgets the table of free cells, after the pages went back to an earlier state.
    pub(super) fn forget_free_space(&mut self) {
        self.free_space = None;
    }

    /// A new zeroed cell for a record of `length` bytes.
    pub(super) fn allocate(&mut self, length: usize) -> Result<u32> {
        let limit = MAX_BINS_SIZE;
        let too_large = |found: u64| HiveError::Limit { what: "the size of the hive", found, limit };
        let size = u32::try_from(cell_size(length)).map_err(|_| too_large(length as u64))?;
        let (offset, found) = match self.free_space()?.choose(size) {
            Some(chosen) => chosen,
            None => self.add_bin(size)?,
        };
        let space = self.free_space()?;
        space.remove(offset, found)?;
        let rest = found.saturating_sub(size);
        let taken = if rest >= 8 { size } else { found };
        let position = offset as usize + PAGE;
        if rest >= 8 {
            space.insert(offset + size, rest, true);
            self.pages.write_u32(position + size as usize, rest)?;
        }
        self.pages.write_u32(position, taken.cast_signed().wrapping_neg().cast_unsigned())?;
        self.pages.modify(position + 4, taken as usize - 4)?.fill(0);
        Ok(offset)
    }

    /// Appends a bin that can hold a cell of `size` bytes, wholly free: offset and size of its cell.
    fn add_bin(&mut self, size: u32) -> Result<(u32, u32)> {
        let old = self.bins_size();
        let bin_size = (u64::from(size) + BIN_HEADER as u64).next_multiple_of(PAGE as u64);
        let new = u64::from(old) + bin_size;
        if new > MAX_BINS_SIZE {
            return Err(HiveError::Limit { what: "the size of the hive", found: new, limit: MAX_BINS_SIZE });
        }
        let (new, bin_size) = (new as u32, bin_size as u32);
        self.pages.grow(new as usize + PAGE);
        let header = BinRaw {
            signature: *b"hbin",
            offset: old.into(),
            size: bin_size.into(),
            reserved: 0.into(),
            timestamp: 0.into(),
            spare: 0.into(),
        };
        let position = old as usize + PAGE;
        self.pages.write(position, header.as_bytes())?;
        let free = bin_size - BIN_HEADER as u32;
        self.pages.write_u32(position + BIN_HEADER, free)?;
        self.pages.write_u32(40, new)?;
        let space = self.free_space()?;
        let offset = old + BIN_HEADER as u32;
        // The walk finds the new bin by itself when this is the first need for the table.
        if space.bins.last().is_none_or(|&last| last < old) {
            space.bins.push(old);
            space.insert(offset, free, true);
        }
        Ok((offset, free))
    }

    /// Frees a cell; free neighbours in its bin become one with it.
    pub(super) fn free(&mut self, offset: u32) -> Result<()> {
        let mut size = self.locate(offset)?.1 as u32 + 4;
        let end = self.bins_size();
        let space = self.free_space()?;
        let (bin, bin_end) = space.bin_of(offset, end);
        if offset < bin + BIN_HEADER as u32 || offset + size > bin_end {
            return Err(HiveError::structure(
                "a cell to be freed",
                file_offset(offset),
                format!("inside the bin at {:#x}", file_offset(bin)),
                format!("{size} bytes long"),
            ));
        }
        let mut start = offset;
        let bins = self.pages.all()?.get(PAGE..).unwrap_or_default();
        let space = self.free_space.get_or_insert_default();
        if offset + size < bin_end && space.contains(offset + size) {
            let next = size_at(bins, offset + size).unsigned_abs();
            space.remove(offset + size, next)?;
            size += next;
        }
        if let Some(before) = space.last_before(offset, bin) {
            let before_size = size_at(bins, before).unsigned_abs();
            if offset - before == before_size {
                space.remove(before, before_size)?;
                start = before;
                size += before_size;
            }
        }
        space.insert(start, size, true);
        self.pages.write_u32(start as usize + PAGE, size)
    }

    /// Joins free cells that lie side by side; gives the offset of each that went into the one
    /// before it.
    pub(super) fn coalesce(&mut self) -> Result<Vec<u32>> {
        let end = self.bins_size();
        self.free_space()?;
        let Some(space) = &mut self.free_space else { return Ok(Vec::new()) };
        let mut cells: Vec<(u32, u32)> =
            space.warm.iter().chain(&space.cold).map(|&(size, offset)| (offset, size)).collect();
        cells.sort_unstable();
        let mut joined = Vec::new();
        let mut open: Option<(u32, u32)> = None;
        for (offset, size) in cells {
            if let Some((start, length)) = open
                && start + length == offset
                && space.bin_of(start, end).0 == space.bin_of(offset, end).0
            {
                space.remove(start, length)?;
                space.remove(offset, size)?;
                space.insert(start, length + size, false);
                self.pages.write_u32(start as usize + PAGE, length + size)?;
                joined.push(offset);
                open = Some((start, length + size));
            } else {
                open = Some((offset, size));
            }
        }
        Ok(joined)
    }

    /// Makes room for `length` bytes in a cell: in place where it fits or the space behind it is
    /// free, else in a new cell that receives the first `keep` bytes. Returns where it is now.
    pub(super) fn reallocate(&mut self, offset: u32, keep: usize, length: usize) -> Result<u32> {
        let old = self.cell_length(offset)? + 4;
        let wanted = cell_size(length);
        if old >= wanted {
            return Ok(offset);
        }
        let end = self.bins_size();
        let (old, wanted) = (old as u32, wanted as u32);
        let space = self.free_space()?;
        let (_, bin_end) = space.bin_of(offset, end);
        let neighbour = offset + old;
        let bins = self.pages.all()?.get(PAGE..).unwrap_or_default();
        let space = self.free_space.get_or_insert_default();
        let is_free = neighbour < bin_end && space.contains(neighbour);
        let free = if is_free { size_at(bins, neighbour).unsigned_abs() } else { 0 };
        if is_free && free >= wanted - old {
            space.remove(neighbour, free)?;
            let rest = old + free - wanted;
            let position = offset as usize + PAGE;
            if rest > 0 {
                space.insert(offset + wanted, rest, true);
                self.pages.write_u32(position + wanted as usize, rest)?;
            }
            self.pages.write_u32(position, wanted.cast_signed().wrapping_neg().cast_unsigned())?;
            self.pages.modify(position + old as usize, (wanted - old) as usize)?.fill(0);
            return Ok(offset);
        }
        let kept = self.cell_part(offset, 0, keep, "a record")?.to_vec();
        let new = self.allocate(length)?;
        self.put(new, 0, &kept)?;
        self.free(offset)?;
        Ok(new)
    }
}

/// Calls `visit` with the offset of each bin and an iterator over `(offset, size)` of its
/// cells, in order; the sizes have been checked to fill the bin exactly.
fn walk_bins(bins: &[u8], mut visit: impl FnMut(u32, CellIter<'_>)) -> Result<()> {
    let mut offset = 0u32;
    while (offset as usize) < bins.len() {
        let size = check_bin(bins, offset)?;
        visit(offset, CellIter { bins, offset: offset + BIN_HEADER as u32, end: offset + size });
        offset += size;
    }
    Ok(())
}

/// Checks the header of the bin at an offset; gives its size.
pub(super) fn check_bin_header(bins: &[u8], offset: u32) -> Result<u32> {
    let wrong = |what, at: u32, expected: &'static str, found: String| {
        Err(HiveError::structure(what, file_offset(at), expected, found))
    };
    let Some(Ok((bin, _))) = bins.get(offset as usize..).map(BinRaw::read_from_prefix) else {
        return wrong("the header of a bin", offset, "inside the hive", "cut off".to_owned());
    };
    if bin.signature != *b"hbin" {
        return wrong("the signature of a bin", offset, "\"hbin\"", format!("{:02x?}", bin.signature));
    }
    if bin.offset.get() != offset {
        return wrong("the offset in a bin", offset + 4, "its own", format!("{:#x}", bin.offset));
    }
    let size = bin.size.get();
    if size == 0 || !(size as usize).is_multiple_of(PAGE) || size as usize > bins.len() - offset as usize {
        let expected = "a multiple of 4096 inside the hive";
        return wrong("the size of a bin", offset + 8, expected, format!("{size:#x}"));
    }
    Ok(size)
}

/// Checks a bin's header and that its cells fill it; gives its size.
fn check_bin(bins: &[u8], offset: u32) -> Result<u32> {
    let size = check_bin_header(bins, offset)?;
    let end = offset + size;
    let mut cell = offset + BIN_HEADER as u32;
    while cell < end {
        let length = size_at(bins, cell).unsigned_abs();
        if length < 8 || !length.is_multiple_of(8) || length > end - cell {
            let expected = "a multiple of 8 inside the bin";
            let found = size_at(bins, cell);
            return Err(HiveError::structure("the size of a cell", file_offset(cell), expected, found));
        }
        cell += length;
    }
    Ok(size)
}

/// The size field of the cell at an offset; zero outside.
pub(super) fn size_at(bins: &[u8], offset: u32) -> i32 {
    let start = offset as usize;
    bins.get(start..start + 4)
        .and_then(|bytes| bytes.try_into().ok())
        .map(i32::from_le_bytes)
        .unwrap_or_default()
}

/// The cells of one checked bin: offset and signed size.
struct CellIter<'a> {
    bins: &'a [u8],
    offset: u32,
    end: u32,
}

impl Iterator for CellIter<'_> {
    type Item = (u32, i32);

    fn next(&mut self) -> Option<Self::Item> {
        let offset = self.offset;
        if offset >= self.end {
            return None;
        }
        let size = size_at(self.bins, offset);
        self.offset = offset.checked_add(size.unsigned_abs().max(8))?;
        Some((offset, size))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// An image of a base block and no bin.
    fn empty() -> Cells {
        Cells::new(Pages::new(Arc::new(Vec::new()), PAGE))
    }

    fn layout(cells: &mut Cells) -> Vec<(u32, i32)> {
        let mut found = Vec::new();
        walk_bins(&cells.pages.all().unwrap()[PAGE..], |_, cells| found.extend(cells)).unwrap();
        found
    }

    #[test]
    fn sizes_are_those_of_windows() {
        let lengths = [0, 4, 5, 76, 16380, 16381, 16384, 40_000, 100_000, 200_000];
        let sizes = lengths.map(cell_size);
        assert_eq!(sizes, [8, 8, 16, 80, 16384, 32768, 32768, 65536, 131_072, 262_144]);
    }

    #[test]
    fn cells_are_split_and_merged() {
        let mut cells = empty();
        let first = cells.allocate(20).unwrap();
        let second = cells.allocate(12).unwrap();
        let third = cells.allocate(4).unwrap();
        assert_eq!([first, second, third], [32, 56, 72]);
        assert_eq!(layout(&mut cells), [(32, -24), (56, -16), (72, -8), (80, 4016)]);
        cells.put(first, 0, &[0xFF; 20]).unwrap();
        cells.free(first).unwrap();
        cells.free(third).unwrap();
        assert_eq!(layout(&mut cells), [(32, 24), (56, -16), (72, 4024)]);
        cells.free(second).unwrap();
        assert_eq!(layout(&mut cells), [(32, 4064)]);
        let again = cells.allocate(20).unwrap();
        assert_eq!((again, cells.cell(again).unwrap()), (32, &[0; 20][..]));
        assert!(cells.cell(56).is_err());
        assert!(cells.free(56).is_err());
    }

    #[test]
    fn bins_grow_by_need_and_never_merge() {
        let mut cells = empty();
        let small = cells.allocate(4000).unwrap();
        let large = cells.allocate(100_000).unwrap();
        assert_eq!((small, large, cells.bins_size()), (32, 4128, 4096 + 135_168));
        cells.free(large).unwrap();
        cells.free(small).unwrap();
        assert_eq!(layout(&mut cells), [(32, 4064), (4128, 135_136)]);
        assert!(cells.put(32, 0, &[1]).is_err());
    }

    #[test]
    fn reallocation_takes_the_free_neighbour() {
        let mut cells = empty();
        let cell = cells.allocate(12).unwrap();
        cells.put(cell, 0, &[7; 12]).unwrap();
        assert_eq!(cells.reallocate(cell, 12, 100).unwrap(), cell);
        assert_eq!(cells.cell(cell).unwrap()[..14], [7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 0, 0]);
        let wall = cells.allocate(4).unwrap();
        let moved = cells.reallocate(cell, 12, 200).unwrap();
        assert_eq!(moved, wall + 8);
        assert_eq!(cells.cell(moved).unwrap()[..13], [7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 0]);
        assert_eq!(layout(&mut cells), [(32, 104), (136, -8), (144, -208), (352, 3744)]);
    }

    #[test]
    fn references_are_checked() {
        let mut cells = empty();
        let cell = cells.allocate(12).unwrap();
        for offset in [0, 4, cell + 4, 4096, NIL, 0x8000_0020] {
            assert!(cells.cell(offset).is_err(), "{offset:#x}");
        }
        assert!(cells.cell_part(cell, 8, 8, "a record").is_err());
        assert!(cells.cell_part(cell, usize::MAX, 8, "a record").is_err());
        let error = cells.cell(NIL).unwrap_err().to_string();
        assert!(error.contains("a reference to a cell at offset 0x100000fff"), "{error}");
    }
}
