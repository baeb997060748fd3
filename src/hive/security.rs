// SPDX-License-Identifier: GPL-3.0-or-later
//! Security descriptors: one `sk` cell per distinct descriptor, shared by counted reference.
//!
//! Windows keeps no two cells with equal bytes, so a hive never grows by giving a key a
//! descriptor that another key has.

use std::collections::HashMap;

use super::cell::{NIL, file_offset};
use super::error::{HiveError, Result};
use super::record::SecurityRaw;
use super::tree::Tree;
use crate::base::FileTime;

/// A descriptor fits a cell comfortably; more than this is refused.
const MAX_DESCRIPTOR: usize = 0x10_0000;

impl Tree {
    /// The record of a security cell; the descriptor lies inside the cell.
    pub(super) fn security_record(&mut self, cell: u32) -> Result<SecurityRaw> {
        let raw: SecurityRaw = self.cells.record(cell, "a security record")?;
        if raw.signature != *b"sk" {
            return Err(HiveError::structure(
                "the signature of a security record",
                file_offset(cell) + 4,
                "\"sk\"",
                format!("{:02x?}", raw.signature),
            ));
        }
        Ok(raw)
    }

    /// The descriptor in a security cell.
    pub(super) fn descriptor(&mut self, cell: u32) -> Result<Vec<u8>> {
        let length = self.security_record(cell)?.length.get() as usize;
        let start = size_of::<SecurityRaw>();
        Ok(self.cells.cell_part(cell, start, length, "a security descriptor")?.to_vec())
    }

    /// Counts references to a security cell up or down; the last one frees it.
    pub(super) fn change_references(&mut self, cell: u32, by: i64) -> Result<()> {
        let mut raw = self.security_record(cell)?;
        let references = i64::from(raw.references.get()) + by;
        if references > 0 {
            raw.references = u32::try_from(references).unwrap_or(u32::MAX).into();
            return self.cells.put_record(cell, &raw);
        }
        let (next, previous) = (raw.next.get(), raw.previous.get());
        if next != cell {
            let mut before = self.security_record(previous)?;
            before.next = next.into();
            self.cells.put_record(previous, &before)?;
            let mut behind = self.security_record(next)?;
            behind.previous = previous.into();
            self.cells.put_record(next, &behind)?;
        }
        if let Some(index) = &mut self.security_index {
            index.retain(|_, found| *found != cell);
        }
        self.cells.free(cell)
    }

    /// The cells of the ring by their descriptors; the first of equal ones wins.
    fn security_ring(&mut self) -> Result<HashMap<Box<[u8]>, u32>> {
        let root = self.root;
        let start = self.node(root)?.security.get();
        let limit = self.cells.bins_size() as usize / size_of::<SecurityRaw>();
        let mut ring = HashMap::new();
        let mut cell = start;
        for _ in 0..=limit {
            let descriptor = self.descriptor(cell)?.into_boxed_slice();
            ring.entry(descriptor).or_insert(cell);
            cell = self.security_record(cell)?.next.get();
            if cell == start {
                return Ok(ring);
            }
        }
        Err(HiveError::structure("the ring of security records", file_offset(start), "closed", "endless"))
    }

    /// The cell for a descriptor, without a reference yet when it is new.
    pub(super) fn security_cell(&mut self, descriptor: &[u8]) -> Result<u32> {
        if self.security_index.is_none() {
            self.security_index = Some(self.security_ring()?);
        }
        if let Some(&cell) = self.security_index.as_ref().and_then(|index| index.get(descriptor)) {
            return Ok(cell);
        }
        let root = self.root;
        let head = self.node(root)?.security.get();
        let cell = self.add_security(descriptor)?;
        let mut head_raw = self.security_record(head)?;
        let next = head_raw.next.get();
        head_raw.next = cell.into();
        self.cells.put_record(head, &head_raw)?;
        let mut next_raw = self.security_record(next)?;
        next_raw.previous = cell.into();
        self.cells.put_record(next, &next_raw)?;
        let mut raw = self.security_record(cell)?;
        raw.next = next.into();
        raw.previous = head.into();
        self.cells.put_record(cell, &raw)?;
        if let Some(index) = &mut self.security_index {
            index.insert(descriptor.into(), cell);
        }
        Ok(cell)
    }

    /// A security cell that is a ring of its own, without references.
    pub(super) fn add_security(&mut self, descriptor: &[u8]) -> Result<u32> {
        if descriptor.len() > MAX_DESCRIPTOR {
            return Err(HiveError::Limit {
                what: "the length of a security descriptor",
                found: descriptor.len() as u64,
                limit: MAX_DESCRIPTOR as u64,
            });
        }
        let cell = self.cells.allocate(size_of::<SecurityRaw>() + descriptor.len())?;
        let raw = SecurityRaw {
            signature: *b"sk",
            reserved: 0.into(),
            next: cell.into(),
            previous: cell.into(),
            references: 0.into(),
            length: (descriptor.len() as u32).into(),
        };
        self.cells.put_record(cell, &raw)?;
        self.cells.put(cell, size_of::<SecurityRaw>(), descriptor)?;
        Ok(cell)
    }

    /// Gives a key a descriptor.
    pub(super) fn set_security(&mut self, key: u32, descriptor: &[u8], now: FileTime) -> Result<()> {
        let mut node = self.node(key)?;
        let old = node.security.get();
        if old != NIL && self.descriptor(old)? == descriptor {
            return Ok(());
        }
        let new = self.security_cell(descriptor)?;
        self.change_references(new, 1)?;
        node.security = new.into();
        node.last_written = now.0.into();
        self.cells.put_record(key, &node)?;
        self.change_references(old, -1)
    }
}

/// The descriptor that Windows' offline registry library gives the root of a new hive:
/// `O:BAG:BAD:(A;CI;KA;;;SY)(A;CI;KA;;;BA)(A;CI;KR;;;WD)(A;CI;KR;;;RC)`, body in the order
/// access list, owner, group (measured on a hive it wrote).
pub fn default_root_security() -> Vec<u8> {
    const ALL: u32 = 0x000F_003F;
    const READ: u32 = 0x0002_0019;
    const CONTAINER_INHERIT: u8 = 2;
    let sid = |authority: u8, parts: &[u32]| {
        let mut bytes = vec![1, parts.len() as u8, 0, 0, 0, 0, 0, authority];
        bytes.extend(parts.iter().flat_map(|part| part.to_le_bytes()));
        bytes
    };
    let administrators = sid(5, &[32, 544]);
    let granted =
        [(ALL, sid(5, &[18])), (ALL, administrators.clone()), (READ, sid(1, &[0])), (READ, sid(5, &[12]))];
    let mut entries = Vec::new();
    for (mask, sid) in &granted {
        entries.extend([0, CONTAINER_INHERIT]);
        entries.extend((8 + sid.len() as u16).to_le_bytes());
        entries.extend(mask.to_le_bytes());
        entries.extend(sid);
    }
    let list_length = 8 + entries.len() as u16;
    let owner = 20 + u32::from(list_length);
    let group = owner + administrators.len() as u32;
    // Revision 1, control: self-relative with an access list; no audit list.
    let mut descriptor = vec![1, 0, 0x04, 0x80];
    descriptor.extend([owner, group, 0, 20].iter().flat_map(|offset| offset.to_le_bytes()));
    descriptor.extend([2, 0]);
    descriptor.extend(list_length.to_le_bytes());
    descriptor.extend((granted.len() as u16).to_le_bytes());
    descriptor.extend([0, 0]);
    descriptor.extend(entries);
    descriptor.extend(&administrators);
    descriptor.extend(&administrators);
    descriptor
}
