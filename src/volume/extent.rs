// SPDX-License-Identifier: GPL-3.0-or-later
//! The content of a changed stream: staged blocks over what the base has.
//!
//! A stream's bytes come, block by block ([`BLOCK`]), from a slot of its node's data file where the
//! map has one, else from the base stream as far as it is still visible, else they are zero.
//!
//! Invariants: a staged block's slot holds every byte of the block that lies below the stream's
//! length; no block beyond the length is staged; `visible` is at most the length. Bytes of a slot
//! behind those may be stale. Only of the tail's slot is it known that nothing behind `filled` was
//! ever referred to, so only there are bytes added in place.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use super::store::{BLOCK, DataFile};
use super::{Name, Volume, VolumeError};
use crate::base::{BlobHash, Error, ErrorClass, NodeId, Result, StreamKind};
use crate::io::ReadAt;

/// Bytes copied at a time.
const PIECE: usize = 4 << 20;

/// `count` blocks from `block` lie in as many slots from `slot`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Run {
    pub(super) block: u32,
    pub(super) slot: u32,
    pub(super) count: u32,
}

impl Run {
    fn end(self) -> u32 {
        self.block.saturating_add(self.count)
    }
}

/// Which blocks are staged where, sorted by block. Most streams have one run, kept inline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Runs {
    #[default]
    None,
    One(Run),
    Many(Vec<Run>),
}

impl Runs {
    pub(super) fn as_slice(&self) -> &[Run] {
        match self {
            Self::None => &[],
            Self::One(run) => std::slice::from_ref(run),
            Self::Many(runs) => runs,
        }
    }

    fn slot(&self, block: u32) -> Option<u32> {
        let run = self.from(block).filter(|run| run.block <= block)?;
        Some(run.slot + (block - run.block))
    }

    /// The first run that reaches beyond `block`.
    fn from(&self, block: u32) -> Option<Run> {
        let runs = self.as_slice();
        runs.get(runs.partition_point(|run| run.end() <= block)).copied()
    }

    fn insert(&mut self, new: Run) {
        let last = match self {
            Self::None => {
                *self = Self::One(new);
                return;
            }
            Self::One(run) => Some(run),
            Self::Many(runs) => runs.last_mut(),
        };
        if let Some(last) = last
            && new.block == last.end()
            && new.slot == last.slot.saturating_add(last.count)
        {
            last.count += new.count;
            return;
        }
        self.edit(|runs| {
            let start = runs.partition_point(|run| run.end() <= new.block);
            let stop = runs.partition_point(|run| run.block < new.end());
            let overlapped = runs.get(start..stop).unwrap_or_default();
            let before = overlapped
                .first()
                .filter(|run| run.block < new.block)
                .map(|run| Run { count: new.block - run.block, ..*run });
            let after = overlapped.last().filter(|run| run.end() > new.end()).map(|run| Run {
                block: new.end(),
                slot: run.slot + (new.end() - run.block),
                count: run.end() - new.end(),
            });
            runs.splice(start..stop, before.into_iter().chain([new]).chain(after));
        });
    }

    /// Drops every block from `end` on.
    fn cut(&mut self, end: u32) {
        if self.as_slice().last().is_none_or(|last| last.end() <= end) {
            return;
        }
        self.edit(|runs| {
            runs.truncate(runs.partition_point(|run| run.block < end));
            if let Some(last) = runs.last_mut() {
                last.count = last.count.min(end - last.block);
            }
        });
    }

    fn edit(&mut self, change: impl FnOnce(&mut Vec<Run>)) {
        let mut runs = match std::mem::take(self) {
            Self::None => Vec::new(),
            Self::One(run) => vec![run],
            Self::Many(runs) => runs,
        };
        change(&mut runs);
        *self = match *runs.as_slice() {
            [] => Self::None,
            [run] => Self::One(run),
            _ => Self::Many(runs),
        };
    }

    fn slots(&self) -> impl Iterator<Item = u32> {
        self.as_slice().iter().flat_map(|run| run.slot..run.slot + run.count)
    }
}

/// A stream of the base.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Source {
    pub(super) node: NodeId,
    pub(super) kind: StreamKind,
    pub(super) name: Name,
    pub(super) length: u64,
    pub(super) hash: Option<BlobHash>,
}

impl Source {
    pub(super) fn open(&self, base: &dyn Volume) -> Result<Arc<dyn ReadAt>> {
        let opened = base.open(self.node, self.kind, &self.name)?;
        if opened.len() < self.length {
            return Err(Error::new(
                ErrorClass::Corrupt,
                format!("a stream of {} bytes holds only {}", self.length, opened.len()),
            ));
        }
        Ok(opened)
    }
}

/// The last block of a stream, where its slot takes more bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Tail {
    pub(super) block: u32,
    pub(super) filled: u32,
}

/// Staged blocks over a base stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Extents {
    pub(super) source: Option<Arc<Source>>,
    /// How much of the base stream still shows.
    pub(super) visible: u64,
    pub(super) runs: Runs,
    pub(super) tail: Option<Tail>,
}

/// Where a stream's bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// All in the base.
    Base(Arc<Source>),
    /// Partly or wholly staged.
    Staged(Arc<Extents>),
}

impl Content {
    /// No bytes at all.
    pub(super) fn empty() -> Self {
        static EMPTY: LazyLock<Arc<Extents>> = LazyLock::new(Arc::default);
        Self::Staged(Arc::clone(&EMPTY))
    }

    pub(super) fn extents(&self) -> Extents {
        match self {
            Self::Base(source) => {
                Extents { source: Some(Arc::clone(source)), visible: source.length, ..Extents::default() }
            }
            Self::Staged(extents) => Extents::clone(extents),
        }
    }

    pub(super) fn staged_slots(&self) -> impl Iterator<Item = u32> {
        let extents = match self {
            Self::Base(_) => None,
            Self::Staged(extents) => Some(extents),
        };
        extents.into_iter().flat_map(|extents| extents.runs.slots())
    }

    /// What the base has of it unchanged and whole, if that is all there is.
    pub(super) fn unchanged(&self, length: u64) -> Option<&Arc<Source>> {
        match self {
            Self::Base(source) => Some(source),
            Self::Staged(extents) => extents.source.as_ref().filter(|source| {
                extents.runs.as_slice().is_empty() && extents.visible == length && source.length == length
            }),
        }
    }
}

/// What one operation did to a stream, in the journal's words: first everything from `cut` on
/// goes, then the runs are laid on in order, then length, visibility and tail are as given.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct DataChange {
    cut: u64,
    length: u64,
    visible: u64,
    runs: Vec<Run>,
    tail: Option<Tail>,
}

impl DataChange {
    /// Applies the change; gives the new length.
    pub(super) fn apply(&self, extents: &mut Extents) -> Result<u64, VolumeError> {
        let bad = |what| VolumeError::BadRecord { what };
        let blocks = blocks(self.length).ok_or_else(|| bad("a length is out of range"))?;
        let cut = blocks_u32(self.cut.div_ceil(BLOCK)).ok_or_else(|| bad("a cut is out of range"))?;
        extents.runs.cut(cut);
        for run in &self.runs {
            let fits = run.count > 0
                && run.block.checked_add(run.count).is_some_and(|end| end <= blocks)
                && run.slot.checked_add(run.count).is_some();
            if !fits {
                return Err(bad("a run of blocks is out of range"));
            }
            extents.runs.insert(*run);
        }
        let limit = extents.source.as_ref().map_or(0, |source| source.length).min(self.length);
        if self.visible > limit {
            return Err(bad("more of the base is visible than there is"));
        }
        if self.tail.is_some_and(|tail| u64::from(tail.filled) > BLOCK || tail.block >= blocks) {
            return Err(bad("a tail is out of range"));
        }
        extents.visible = self.visible;
        extents.tail = self.tail;
        Ok(self.length)
    }

    /// Whether a stream of this length stays as it was.
    pub(super) fn is_nothing(&self, length: u64) -> bool {
        self.runs.is_empty() && self.length == length && self.cut >= length
    }
}

fn blocks_u32(count: u64) -> Option<u32> {
    // One less than the type holds, so that the end of a run always fits.
    u32::try_from(count).ok().filter(|&count| count < u32::MAX)
}

fn blocks(length: u64) -> Option<u32> {
    blocks_u32(length.div_ceil(BLOCK))
}

/// How new slots are found.
pub(super) trait Slots {
    /// A slot to use again, if any is to be. `is_first`: the operation took none yet.
    fn reuse(&self, file: &Arc<DataFile>, is_first: bool) -> Option<u32>;
}

/// A stream being changed by one operation: data goes to the file at once, the map changes here
/// and, when the record of [`Draft::finish`] is applied, in the overlay.
pub(super) struct Draft<'a> {
    file: Arc<DataFile>,
    slots: &'a dyn Slots,
    base: &'a dyn Volume,
    source: Option<Arc<dyn ReadAt>>,
    extents: Extents,
    length: u64,
    cut: u64,
    laid: Vec<Run>,
    // Slots from here on, and these, were handed out to this operation: nobody knows them yet.
    fresh_from: u32,
    reused: HashSet<u32>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(
        file: Arc<DataFile>,
        slots: &'a dyn Slots,
        base: &'a dyn Volume,
        extents: Extents,
        length: u64,
    ) -> Self {
        let fresh_from = file.allocated();
        Self {
            file,
            slots,
            base,
            source: None,
            extents,
            length,
            cut: length,
            laid: Vec::new(),
            fresh_from,
            reused: HashSet::new(),
        }
    }

    /// The length as changed so far.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The change for the journal, and the file that the data went to.
    pub(super) fn finish(self) -> (DataChange, Arc<DataFile>) {
        let change = DataChange {
            cut: self.cut,
            length: self.length,
            visible: self.extents.visible,
            runs: self.laid,
            tail: self.extents.tail,
        };
        (change, self.file)
    }

    /// Cuts the stream, or lets it grow by zeros.
    pub(super) fn set_length(&mut self, length: u64) -> Result<()> {
        let end = blocks(length).ok_or_else(|| self.too_large(length))?;
        if length > self.length {
            // A staged last block does not hold what lies behind the end; the rest is no block yet.
            let within = self.length % BLOCK;
            let block = self.block(self.length);
            if within > 0 && self.extents.runs.slot(block).is_some() {
                let count = (BLOCK - within).min(length - self.length);
                let zeros = vec![0; usize::try_from(count).unwrap_or(0)];
                self.write_within(block, within, &zeros)?;
            }
        } else {
            self.extents.runs.cut(end);
            self.extents.visible = self.extents.visible.min(length);
            self.extents.tail = self.extents.tail.filter(|tail| tail.block < end);
            self.cut = self.cut.min(length);
            // Runs laid by this very operation must not come back.
            self.laid.retain(|run| run.block < end);
            for run in &mut self.laid {
                run.count = run.count.min(end - run.block);
            }
        }
        self.length = length;
        Ok(())
    }

    /// Writes bytes, the stream growing as needed.
    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        let end = offset.checked_add(bytes.len() as u64).ok_or_else(|| self.too_large(u64::MAX))?;
        blocks(end).ok_or_else(|| self.too_large(end))?;
        if bytes.is_empty() {
            return Ok(());
        }
        if offset > self.length {
            self.set_length(offset)?;
        }
        let mut position = offset;
        let mut rest = bytes;
        while !rest.is_empty() {
            let block = self.block(position);
            let within = position % BLOCK;
            let whole = rest.len() as u64 / BLOCK;
            let taken = if within == 0 && whole > 0 {
                let length = usize::try_from(whole * BLOCK).unwrap_or(0);
                self.write_whole(block, rest.get(..length).unwrap_or_default())?;
                length
            } else {
                let length = rest.len().min(usize::try_from(BLOCK - within).unwrap_or(0));
                self.write_within(block, within, rest.get(..length).unwrap_or_default())?;
                length
            };
            position += taken as u64;
            self.length = self.length.max(position);
            rest = rest.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    /// Appends the whole of a source, in large pieces.
    pub(super) fn copy(&mut self, source: &dyn ReadAt) -> Result<()> {
        let length = source.len();
        let mut piece = vec![0; PIECE.min(usize::try_from(length).unwrap_or(PIECE))];
        let mut offset = 0;
        while offset < length {
            let count = (length - offset).min(PIECE as u64);
            let part = piece.get_mut(..usize::try_from(count).unwrap_or(0)).unwrap_or_default();
            source.read_exact_at(part, offset)?;
            self.write(self.length, part)?;
            offset += count;
        }
        Ok(())
    }

    /// Copies over the staged blocks of another node's stream, on top of the same base stream.
    pub(super) fn copy_staged(&mut self, from: &Extents, file: &DataFile, length: u64) -> Result<()> {
        self.set_length(length.min(self.length))?;
        self.extents.visible = self.extents.visible.min(from.visible);
        let mut buffer = Vec::new();
        for run in from.runs.as_slice() {
            for block in run.block..run.end() {
                let start = u64::from(block) * BLOCK;
                buffer.resize(usize::try_from(BLOCK.min(length - start)).unwrap_or(0), 0);
                file.read(&mut buffer, run.slot + (block - run.block), 0)?;
                self.write(start, &buffer)?;
            }
        }
        self.set_length(length)
    }

    fn write_whole(&mut self, block: u32, bytes: &[u8]) -> Result<()> {
        let mut block = block;
        let mut rest = bytes;
        while !rest.is_empty() {
            let count = u32::try_from(rest.len() as u64 / BLOCK).unwrap_or(u32::MAX);
            let (slot, count) = self.allocate(count)?;
            let length = usize::try_from(u64::from(count) * BLOCK).unwrap_or(usize::MAX);
            self.file.write(rest.get(..length).unwrap_or_default(), slot, 0)?;
            self.lay(Run { block, slot, count });
            block += count;
            rest = rest.get(length..).unwrap_or_default();
        }
        Ok(())
    }

    /// Writes inside one block, at most `BLOCK - within` bytes; `within` is not behind the length.
    fn write_within(&mut self, block: u32, within: u64, bytes: &[u8]) -> Result<()> {
        let start = u64::from(block) * BLOCK;
        let end = within + bytes.len() as u64;
        // What of the block is below the length, before and after.
        let defined = self.length.saturating_sub(start).min(BLOCK);
        let after = defined.max(end);
        let tail = self.extents.tail.filter(|tail| tail.block == block);
        match self.extents.runs.slot(block) {
            Some(slot) if self.is_fresh(slot) || tail.is_some_and(|tail| within >= tail.filled.into()) => {
                self.file.write(bytes, slot, within)?;
                if let Some(tail) = &mut self.extents.tail
                    && tail.block == block
                {
                    tail.filled = tail.filled.max(end as u32);
                }
            }
            _ => {
                let mut content = vec![0; usize::try_from(after).unwrap_or(0)];
                if within > 0 || end < defined {
                    let old = content.get_mut(..usize::try_from(defined).unwrap_or(0)).unwrap_or_default();
                    self.read(old, start)?;
                }
                if let Some(target) =
                    content.get_mut(usize::try_from(within).unwrap_or(0)..usize::try_from(end).unwrap_or(0))
                {
                    target.copy_from_slice(bytes);
                }
                let (slot, _) = self.allocate(1)?;
                self.file.write(&content, slot, 0)?;
                self.lay(Run { block, slot, count: 1 });
                if start + after >= self.length {
                    self.extents.tail = Some(Tail { block, filled: after as u32 });
                }
            }
        }
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8], offset: u64) -> Result<()> {
        if self.source.is_none()
            && self.extents.visible > offset
            && let Some(source) = &self.extents.source
        {
            self.source = Some(source.open(self.base)?);
        }
        read_extents(&self.extents, Some(&*self.file), self.source.as_deref(), buffer, offset)
    }

    fn is_fresh(&self, slot: u32) -> bool {
        slot >= self.fresh_from || self.reused.contains(&slot)
    }

    fn allocate(&mut self, count: u32) -> Result<(u32, u32)> {
        let is_first = self.reused.is_empty() && self.file.allocated() == self.fresh_from;
        if let Some(slot) = self.slots.reuse(&self.file, is_first) {
            self.reused.insert(slot);
            return Ok((slot, 1));
        }
        Ok((self.file.allocate(count)?, count))
    }

    fn lay(&mut self, run: Run) {
        self.extents.runs.insert(run);
        if self.extents.tail.is_some_and(|tail| tail.block >= run.block && tail.block < run.end()) {
            self.extents.tail = None;
        }
        match self.laid.last_mut() {
            Some(last) if last.end() == run.block && last.slot + last.count == run.slot => {
                last.count += run.count;
            }
            _ => self.laid.push(run),
        }
    }

    fn block(&self, offset: u64) -> u32 {
        // Lengths are checked to keep the number of blocks in range.
        (offset / BLOCK) as u32
    }

    fn too_large(&self, length: u64) -> Error {
        let path = format!("the file {:#x}", self.file.node().0);
        VolumeError::TooLarge { path, length }.into()
    }
}

fn read_extents(
    extents: &Extents,
    file: Option<&DataFile>,
    source: Option<&dyn ReadAt>,
    buffer: &mut [u8],
    offset: u64,
) -> Result<()> {
    let mut position = offset;
    let mut rest = buffer;
    while !rest.is_empty() {
        let block = (position / BLOCK) as u32;
        let run = extents.runs.from(block);
        let wanted = rest.len() as u64;
        let staged = run.filter(|run| run.block <= block);
        let reach = match (staged, run) {
            (Some(run), _) => u64::from(run.end()) * BLOCK - position,
            (None, Some(next)) => u64::from(next.block) * BLOCK - position,
            (None, None) => wanted,
        };
        let visible = extents.visible.saturating_sub(position);
        let reach = match staged {
            None if visible > 0 => reach.min(visible),
            _ => reach,
        };
        let count = usize::try_from(reach.min(wanted)).unwrap_or(rest.len());
        let (part, next) = std::mem::take(&mut rest).split_at_mut(count);
        match (staged, file, source) {
            (Some(run), Some(file), _) => {
                file.read(part, run.slot + (block - run.block), position % BLOCK)?;
            }
            (Some(_), None, _) => {
                return Err(Error::new(ErrorClass::Internal, "staged data has no file"));
            }
            (None, _, Some(source)) if visible > 0 => source.read_exact_at(part, position)?,
            (None, _, None) if visible > 0 => {
                return Err(Error::new(ErrorClass::Internal, "a base stream is not open"));
            }
            _ => part.fill(0),
        }
        position += count as u64;
        rest = next;
    }
    Ok(())
}

/// A stream as it was at one moment; later changes do not show.
pub(super) struct Snapshot {
    extents: Arc<Extents>,
    length: u64,
    file: Option<Arc<DataFile>>,
    source: Option<Arc<dyn ReadAt>>,
}

impl Snapshot {
    pub(super) fn new(
        extents: Arc<Extents>,
        length: u64,
        file: Option<Arc<DataFile>>,
        base: &dyn Volume,
    ) -> Result<Self> {
        let source = match &extents.source {
            Some(source) if extents.visible > 0 => Some(source.open(base)?),
            _ => None,
        };
        Ok(Self { extents, length, file, source })
    }
}

impl ReadAt for Snapshot {
    fn len(&self) -> u64 {
        self.length
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.length) {
            return Err(Error::new(
                ErrorClass::Corrupt,
                format!("{} bytes at offset {offset} reach beyond the end at {}", buffer.len(), self.length),
            ));
        }
        read_extents(&self.extents, self.file.as_deref(), self.source.as_deref(), buffer, offset)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn runs_are_a_map_of_blocks(
            changes in proptest::collection::vec((0u32..40, 1u32..9, any::<bool>()), 1..60)
        ) {
            let mut runs = Runs::default();
            let mut model = [None; 64];
            let mut next = 0;
            for (block, count, is_cut) in changes {
                if is_cut {
                    runs.cut(block);
                    model[block as usize..].fill(None);
                } else {
                    // Sometimes the slots continue those before.
                    let slot = if block % 2 == 0 { next } else { next + 5 };
                    next = slot + count;
                    runs.insert(Run { block, slot, count });
                    for (place, slot) in model[block as usize..].iter_mut().zip(slot..slot + count) {
                        *place = Some(slot);
                    }
                }
                let found: Vec<Option<u32>> = (0..64).map(|block| runs.slot(block)).collect();
                prop_assert_eq!(found.as_slice(), model.as_slice());
                let slice = runs.as_slice();
                prop_assert!(slice.iter().all(|run| run.count > 0));
                prop_assert!(slice.windows(2).all(|pair| pair[0].end() <= pair[1].block));
                prop_assert_eq!(runs.slots().count(), model.iter().flatten().count());
            }
        }
    }

    #[test]
    fn records_that_do_not_fit_are_refused() {
        let good = DataChange { cut: 0, length: 40_000, visible: 0, runs: Vec::new(), tail: None };
        let run = |block, slot, count| vec![Run { block, slot, count }];
        let tail = |block, filled| Some(Tail { block, filled });
        assert_eq!(good.apply(&mut Extents::default()).unwrap(), 40_000);
        for bad in [
            DataChange { length: u64::MAX, ..good.clone() },
            DataChange { cut: u64::MAX, ..good.clone() },
            DataChange { visible: 1, ..good.clone() },
            DataChange { runs: run(0, 0, 0), ..good.clone() },
            DataChange { runs: run(1, 0, 2), ..good.clone() },
            DataChange { runs: run(u32::MAX, 0, 1), ..good.clone() },
            DataChange { runs: run(0, u32::MAX, 1), ..good.clone() },
            DataChange { tail: tail(2, 0), ..good.clone() },
            DataChange { tail: tail(0, 32_769), ..good.clone() },
        ] {
            let refused = bad.apply(&mut Extents::default());
            assert!(matches!(refused, Err(VolumeError::BadRecord { .. })), "{bad:?}");
        }
    }
}
