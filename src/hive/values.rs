// SPDX-License-Identifier: GPL-3.0-or-later
//! Values of a key: the list in its stored order, records, data in every kind of storage.

use std::collections::HashMap;

use super::cell::{NIL, cell_size, file_offset};
use super::error::{HiveError, Result};
use super::record::{
    BigDataRaw, FIRST_MINOR_WITH_BIG_DATA, INLINE, KeyNodeRaw, MAX_VALUE_NAME, SEGMENT, SEGMENT_RECORD,
    Storage, VALUE_COMPRESSED_NAME, VALUE_TOMBSTONE, ValueRaw,
};
use super::stored_name::{self, PackedName, StoredName};
use super::tree::{Tree, named, split_record};
use super::value::{Value, ValueType};
use crate::base::FileTime;

/// From so many values on a key's names are indexed.
const INDEXED: usize = 512;
/// So many keys have an index at one time.
const INDEXES: usize = 16;
/// The longest data in a hive that cannot split them.
const MAX_PLAIN_DATA: usize = 1 << 20;
/// The longest data that segments hold.
const MAX_BIG_DATA: usize = u16::MAX as usize * SEGMENT;

/// Value records by the hash of their name.
pub(super) struct ValueIndex(HashMap<u32, Vec<u32>>);

impl Tree {
    /// The record of a value.
    pub(super) fn value_record(&mut self, cell: u32) -> Result<ValueRaw> {
        Ok(*split_record(self.cells.cell(cell)?, cell, "a value", *b"vk")?.0)
    }

    /// The stored name of a value.
    pub(super) fn value_name(&mut self, cell: u32) -> Result<StoredName<'_>> {
        let (raw, name) = split_record::<ValueRaw>(self.cells.cell(cell)?, cell, "a value", *b"vk")?;
        named(name, raw.name_length.get(), raw.is_compressed(), cell)
    }

    /// The value records of a key, in stored order.
    pub(super) fn value_list(&mut self, node: &KeyNodeRaw) -> Result<Vec<u32>> {
        let mut values = Vec::new();
        self.extend_value_list(node, &mut values)?;
        Ok(values)
    }

    /// Appends the value records of a key, in stored order.
    pub(super) fn extend_value_list(&mut self, node: &KeyNodeRaw, values: &mut Vec<u32>) -> Result<()> {
        let count = node.values.get() as usize;
        if count == 0 || node.value_list.get() == NIL {
            return Ok(());
        }
        let length = count.saturating_mul(4);
        let bytes = self.cells.cell_part(node.value_list.get(), 0, length, "a value list")?;
        values.extend(bytes.as_chunks().0.iter().copied().map(u32::from_le_bytes));
        Ok(())
    }

    /// The record of the value with a name.
    pub(super) fn find_value(&mut self, key: u32, node: &KeyNodeRaw, name: &[u16]) -> Result<Option<u32>> {
        let candidates = if (node.values.get() as usize) < INDEXED {
            self.value_list(node)?
        } else {
            if !self.value_indexes.contains_key(&key) {
                let index = self.build_value_index(node)?;
                if self.value_indexes.len() >= INDEXES {
                    self.value_indexes.clear();
                }
                self.value_indexes.insert(key, index);
            }
            let hash = stored_name::hash(name);
            self.value_indexes.get(&key).and_then(|index| index.0.get(&hash)).cloned().unwrap_or_default()
        };
        for cell in candidates {
            if self.value_name(cell)?.is(name) {
                return Ok(Some(cell));
            }
        }
        Ok(None)
    }

    fn build_value_index(&mut self, node: &KeyNodeRaw) -> Result<ValueIndex> {
        let mut index: HashMap<u32, Vec<u32>> = HashMap::new();
        for cell in self.value_list(node)? {
            let hash = self.value_name(cell)?.hash();
            index.entry(hash).or_default().push(cell);
        }
        Ok(ValueIndex(index))
    }

    /// A value with its data.
    pub(super) fn read_value(&mut self, cell: u32) -> Result<Value> {
        let raw = self.value_record(cell)?;
        let name = self.value_name(cell)?.to_name();
        Ok(Value { name, kind: ValueType(raw.kind.get()), data: self.read_data(cell, &raw)? })
    }

    /// The `db` record of a value whose data are in segments; its count fits the length.
    pub(super) fn big_data_record(&mut self, value: &ValueRaw) -> Result<BigDataRaw> {
        let cell = value.data.get();
        let big: BigDataRaw = self.cells.record(cell, "a big-data record")?;
        let count = value.data_length().div_ceil(SEGMENT);
        if big.signature != *b"db" || usize::from(big.count.get()) != count {
            return Err(HiveError::structure(
                "a big-data record",
                file_offset(cell),
                format!("\"db\" with {count} segments"),
                format!("{:02x?} with {}", big.signature, big.count),
            ));
        }
        Ok(big)
    }

    /// The segments of a `db` record.
    pub(super) fn segments(&mut self, big: &BigDataRaw) -> Result<Vec<u32>> {
        let length = usize::from(big.count.get()) * 4;
        let bytes = self.cells.cell_part(big.list.get(), 0, length, "a list of segments")?;
        Ok(bytes.chunks_exact(4).filter_map(|cell| cell.try_into().ok().map(u32::from_le_bytes)).collect())
    }

    /// The data of a value.
    pub(super) fn read_data(&mut self, cell: u32, raw: &ValueRaw) -> Result<Vec<u8>> {
        let length = raw.data_length();
        match raw.storage(self.minor) {
            Storage::Nowhere => Ok(Vec::new()),
            Storage::Inline => match raw.data.get().to_le_bytes().get(..length) {
                Some(bytes) => Ok(bytes.to_vec()),
                None => Err(HiveError::structure(
                    "the length of inline data",
                    file_offset(cell) + 8,
                    "at most 4",
                    length,
                )),
            },
            Storage::Cell => {
                Ok(self.cells.cell_part(raw.data.get(), 0, length, "the data of a value")?.to_vec())
            }
            Storage::Segments => {
                if length > self.cells.bins_size() as usize {
                    let expected = "less than the hive";
                    return Err(HiveError::structure(
                        "the length of data",
                        file_offset(cell) + 8,
                        expected,
                        length,
                    ));
                }
                let big = self.big_data_record(raw)?;
                let mut data = Vec::with_capacity(length);
                for segment in self.segments(&big)? {
                    let part = (length - data.len()).min(SEGMENT);
                    data.extend_from_slice(self.cells.cell_part(segment, 0, part, "a segment of data")?);
                }
                Ok(data)
            }
        }
    }

    /// Puts data into new storage and tells the record where they are.
    fn store_data(&mut self, raw: &mut ValueRaw, data: &[u8]) -> Result<()> {
        let length = data.len() as u32;
        if data.len() <= 4 {
            let mut inline = [0; 4];
            inline.iter_mut().zip(data).for_each(|(slot, &byte)| *slot = byte);
            raw.length = (INLINE | length).into();
            raw.data = u32::from_le_bytes(inline).into();
            return Ok(());
        }
        raw.length = length.into();
        if raw.storage(self.minor) == Storage::Cell {
            let cell = self.cells.allocate(data.len())?;
            self.cells.put(cell, 0, data)?;
            raw.data = cell.into();
            return Ok(());
        }
        let count = data.len().div_ceil(SEGMENT);
        let cell = self.cells.allocate(size_of::<BigDataRaw>())?;
        let list = self.cells.allocate(count * 4)?;
        let mut parts = Vec::with_capacity(count);
        for _ in 0..count {
            parts.push(self.cells.allocate(SEGMENT_RECORD)?);
        }
        // Any order is legal, but reglookup reads segments in the order of their offsets.
        parts.sort_unstable();
        for (index, (part, segment)) in parts.into_iter().zip(data.chunks(SEGMENT)).enumerate() {
            self.cells.put(part, 0, segment)?;
            self.cells.put(list, index * 4, &part.to_le_bytes())?;
        }
        let big = BigDataRaw {
            signature: *b"db",
            count: u16::try_from(count).unwrap_or(u16::MAX).into(),
            list: list.into(),
            padding: 0.into(),
        };
        self.cells.put_record(cell, &big)?;
        raw.data = cell.into();
        Ok(())
    }

    /// Replaces a value's data, in place where their storage stays of the same size.
    fn replace_data(&mut self, raw: &mut ValueRaw, data: &[u8]) -> Result<()> {
        let old = raw.storage(self.minor);
        let old_length = raw.data_length();
        let new = ValueRaw { length: (data.len() as u32).into(), ..*raw };
        let stays_plain = old == Storage::Cell
            && data.len() > 4
            && new.storage(self.minor) == Storage::Cell
            && cell_size(data.len()) == cell_size(old_length);
        let stays_split = old == Storage::Segments
            && new.storage(self.minor) == Storage::Segments
            && data.len().div_ceil(SEGMENT) == old_length.div_ceil(SEGMENT);
        if stays_plain {
            let cell = raw.data.get();
            self.cells.put(cell, 0, data)?;
            if let Some(rest) = old_length.checked_sub(data.len()) {
                self.cells.put(cell, data.len(), &vec![0; rest])?;
            }
            raw.length = new.length;
            return Ok(());
        }
        if stays_split {
            let big = self.big_data_record(raw)?;
            let last = old_length - (usize::from(big.count.get()) - 1) * SEGMENT;
            for (segment, part) in self.segments(&big)?.into_iter().zip(data.chunks(SEGMENT)) {
                self.grow_segment(segment)?;
                self.cells.put(segment, 0, part)?;
                if part.len() < SEGMENT
                    && let Some(rest) = last.checked_sub(part.len())
                {
                    self.cells.put(segment, part.len(), &vec![0; rest])?;
                }
            }
            raw.length = new.length;
            return Ok(());
        }
        let mut freed = Vec::new();
        self.data_cells(raw, &mut freed)?;
        for cell in freed {
            self.cells.free(cell)?;
        }
        self.store_data(raw, data)
    }

    /// Refuses a foreign segment cell that is shorter than the rule: it cannot take other data.
    fn grow_segment(&mut self, segment: u32) -> Result<()> {
        let length = self.cells.cell_length(segment)?;
        if length < SEGMENT {
            let expected = "room for 16344 bytes";
            return Err(HiveError::structure("a segment of data", file_offset(segment), expected, length));
        }
        Ok(())
    }

    /// Sets a value: an existing one keeps its name's spelling and its place in the list.
    pub(super) fn set_value(&mut self, key: u32, value: &Value, now: FileTime) -> Result<()> {
        let limit = |what, found: usize, limit: usize| {
            if found > limit {
                return Err(HiveError::Limit { what, found: found as u64, limit: limit as u64 });
            }
            Ok(())
        };
        let name = value.name.units();
        let splits = self.minor >= FIRST_MINOR_WITH_BIG_DATA;
        limit("the length of a value's name", name.len(), MAX_VALUE_NAME)?;
        limit(
            "the length of a value's data in this hive",
            value.data.len(),
            if splits { MAX_BIG_DATA } else { MAX_PLAIN_DATA },
        )?;
        let mut node = self.node(key)?;
        if let Some(cell) = self.find_value(key, &node, name)? {
            let mut raw = self.value_record(cell)?;
            let tombstone = raw.flags.get() & VALUE_TOMBSTONE != 0;
            if !tombstone && raw.kind.get() == value.kind.0 && self.read_data(cell, &raw)? == value.data {
                return Ok(());
            }
            if tombstone {
                raw.flags = (raw.flags.get() & !VALUE_TOMBSTONE).into();
                raw.length = INLINE.into();
            }
            self.replace_data(&mut raw, &value.data)?;
            raw.kind = value.kind.0.into();
            self.cells.put_record(cell, &raw)?;
        } else {
            let cell = self.add_value(name, value.kind.0, &value.data)?;
            self.append_value(&mut node, cell)?;
            if let Some(index) = self.value_indexes.get_mut(&key) {
                index.0.entry(stored_name::hash(name)).or_default().push(cell);
            }
        }
        raise_value_maxima(&mut node, name.len(), value.data.len());
        node.last_written = now.0.into();
        self.cells.put_record(key, &node)
    }

    /// A new value that no list names yet.
    pub(super) fn add_value(&mut self, name: &[u16], kind: u32, data: &[u8]) -> Result<u32> {
        let packed = PackedName::new(name);
        // The default value carries no flag.
        let compressed = packed.compressed && !name.is_empty();
        let mut raw = ValueRaw {
            signature: *b"vk",
            name_length: u16::try_from(packed.bytes.len()).unwrap_or(u16::MAX).into(),
            length: INLINE.into(),
            data: 0.into(),
            kind: kind.into(),
            flags: if compressed { VALUE_COMPRESSED_NAME } else { 0 }.into(),
            spare: 0.into(),
        };
        let cell = self.cells.allocate(size_of::<ValueRaw>() + packed.bytes.len())?;
        self.store_data(&mut raw, data)?;
        self.cells.put_record(cell, &raw)?;
        self.cells.put(cell, size_of::<ValueRaw>(), &packed.bytes)?;
        Ok(cell)
    }

    /// Appends a value to a key's list. The caller writes `node` back.
    fn append_value(&mut self, node: &mut KeyNodeRaw, value: u32) -> Result<()> {
        let count = node.values.get() as usize;
        let mut list = node.value_list.get();
        if count == 0 || list == NIL {
            list = self.cells.allocate(4)?;
        } else if (count + 1) * 4 > self.cells.cell_length(list)? {
            list = self.cells.reallocate(list, count * 4, (count + 1 + count / 4) * 4)?;
        }
        self.cells.put(list, count * 4, &value.to_le_bytes())?;
        node.value_list = list.into();
        node.values = node.values.get().saturating_add(1).into();
        Ok(())
    }

    /// Deletes a value; says whether there was one.
    pub(super) fn delete_value(&mut self, key: u32, name: &[u16], now: FileTime) -> Result<bool> {
        let mut node = self.node(key)?;
        let Some(cell) = self.find_value(key, &node, name)? else { return Ok(false) };
        let raw = self.value_record(cell)?;
        let mut freed = vec![cell];
        self.data_cells(&raw, &mut freed)?;
        let values = self.value_list(&node)?;
        let Some(position) = values.iter().position(|&found| found == cell) else { return Ok(false) };
        let list = node.value_list.get();
        if values.len() == 1 {
            freed.push(list);
            node.value_list = NIL.into();
        } else {
            let tail = self.cells.modify(list, position * 4, (values.len() - position) * 4)?;
            tail.copy_within(4.., 0);
            let kept = tail.len() - 4;
            if let Some(last) = tail.get_mut(kept..) {
                last.fill(0);
            }
        }
        node.values = (values.len() as u32 - 1).into();
        node.last_written = now.0.into();
        self.cells.put_record(key, &node)?;
        for cell in freed {
            self.cells.free(cell)?;
        }
        if let Some(index) = self.value_indexes.get_mut(&key)
            && let Some(cells) = index.0.get_mut(&stored_name::hash(name))
        {
            cells.retain(|&found| found != cell);
        }
        Ok(true)
    }
}

/// Raises a key's maxima for a value of these lengths.
pub(super) fn raise_value_maxima(node: &mut KeyNodeRaw, name_units: usize, data: usize) {
    let name = u32::try_from(2 * name_units).unwrap_or(u32::MAX);
    let data = u32::try_from(data).unwrap_or(u32::MAX);
    node.max_value_name = node.max_value_name.get().max(name).into();
    node.max_value_data = node.max_value_data.get().max(data).into();
}
