// SPDX-License-Identifier: GPL-3.0-or-later
//! The checker: every rule of the format that a hive can break, each breach with its offset.
//!
//! It works on the bytes of a whole file and shares no code with the editing layers above the
//! bin header, so that what they do wrong is seen. Three passes: all bins and cells; the tree
//! from the root, claiming each cell it reaches; what was allocated but never claimed.

use std::collections::HashMap;

use zerocopy::FromBytes;

use super::base_block::BaseBlockRaw;
use super::cell::{BIN_HEADER, NIL, check_bin_header, file_offset, size_at};
use super::page::PAGE;
use super::record::{
    BigDataRaw, KEY_HIVE_ENTRY, KEY_NO_DELETE, KeyNodeRaw, MAX_DEPTH, SEGMENT, SEGMENT_RECORD, SecurityRaw,
    Storage, ValueRaw,
};
use super::stored_name::StoredName;
use super::subkeys::ListKind;

/// So many findings are kept.
const MAX_FINDINGS: usize = 10_000;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Met in hives that Windows wrote, or without effect.
    Warning,
    /// Windows would refuse the hive or drop a part of it.
    Error,
}

/// Which rule a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Rule {
    /// The base block is that of a hive.
    BaseBlock,
    /// The last write was completed.
    Clean,
    /// The bins lie inside the file.
    Length,
    /// A bin's header is right.
    Bin,
    /// Cells fill their bin.
    Cell,
    /// No two free cells lie side by side.
    Coalescing,
    /// A reference leads to an allocated cell.
    Reference,
    /// A cell has one owner.
    Ownership,
    /// An allocated cell has an owner.
    Leak,
    /// A record has its signature and fits its cell.
    Record,
    /// The root carries its flags.
    RootFlags,
    /// A key names its parent.
    Parent,
    /// Keys lie at most 512 levels deep.
    Depth,
    /// Counts are true.
    Count,
    /// A count of zero goes with no list.
    StaleList,
    /// Subkeys are in ascending order.
    Order,
    /// No two subkeys have the same name.
    Duplicate,
    /// Hashes in `lh` lists are right.
    Hash,
    /// Hints in `lf` lists are right.
    Hint,
    /// Maxima are not below the truth.
    Maximum,
    /// Security records form one ring.
    SecurityRing,
    /// Reference counts of security records are true.
    ReferenceCount,
    /// No two security records hold the same descriptor.
    SecuritySharing,
    /// Short data are inline, and only short data.
    Inline,
    /// Segments of long data have their size.
    BigData,
    /// More was found than is listed.
    TooMany,
}

/// A breach of a rule.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Which rule is broken.
    pub rule: Rule,
    /// Where, as a position in the file.
    pub offset: u64,
    /// What is wrong, for people.
    pub message: String,
}

/// What a check saw.
pub(super) struct Checked {
    pub(super) findings: Vec<Finding>,
    pub(super) keys: u64,
    pub(super) values: u64,
}

impl Checked {
    /// Whether Windows would object.
    pub(super) fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// Whether every reference that a reader may follow leads somewhere: one that follows lists
    /// without looking at their counts included.
    pub(super) fn is_safe_to_walk(&self) -> bool {
        !self.has_errors() && self.findings.iter().all(|finding| finding.rule != Rule::StaleList)
    }
}

/// One bit for each possible cell.
struct CellSet(Vec<u64>);

impl CellSet {
    fn new(bins: usize) -> Self {
        Self(vec![0; bins / 512 + 1])
    }

    fn contains(&self, offset: u32) -> bool {
        let index = offset as usize / 8;
        self.0.get(index / 64).is_some_and(|word| word >> (index % 64) & 1 != 0)
    }

    /// Adds a cell; says whether it was new.
    fn insert(&mut self, offset: u32) -> bool {
        let index = offset as usize / 8;
        let Some(word) = self.0.get_mut(index / 64) else { return false };
        let bit = 1 << (index % 64);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }
}

/// Checks the bytes of a hive file, or of its part up to the last bin.
pub(super) fn check(bytes: &[u8]) -> Checked {
    let mut checker = Checker {
        bins: &[],
        minor: 0,
        allocated: CellSet(Vec::new()),
        owned: CellSet(Vec::new()),
        references: HashMap::new(),
        latest: (NIL, 0),
        checked: Checked { findings: Vec::new(), keys: 0, values: 0 },
    };
    checker.run(bytes);
    checker.checked
}

struct Checker<'a> {
    bins: &'a [u8],
    minor: u32,
    allocated: CellSet,
    owned: CellSet,
    /// How many keys name each security record.
    references: HashMap<u32, u32>,
    /// The security record of the latest keys, and how many of them are not in the table yet:
    /// neighbours share one as a rule.
    latest: (u32, u32),
    checked: Checked,
}

/// A key waiting for its turn.
struct Pending {
    key: u32,
    depth: usize,
}

/// What the list of a key says about its subkeys.
#[derive(Default)]
struct Siblings<'a> {
    count: usize,
    previous: Option<StoredName<'a>>,
    longest_name: usize,
    longest_class: usize,
}

impl<'a> Checker<'a> {
    fn report(&mut self, severity: Severity, rule: Rule, offset: u64, message: impl FnOnce() -> String) {
        let findings = &mut self.checked.findings;
        if findings.len() < MAX_FINDINGS {
            findings.push(Finding { severity, rule, offset, message: message() });
        } else if findings.len() == MAX_FINDINGS {
            let message = "more findings are not listed".to_owned();
            findings.push(Finding { severity, rule: Rule::TooMany, offset, message });
        }
    }

    fn error(&mut self, rule: Rule, cell: u32, message: impl FnOnce() -> String) {
        self.report(Severity::Error, rule, file_offset(cell), message);
    }

    fn warning(&mut self, rule: Rule, cell: u32, message: impl FnOnce() -> String) {
        self.report(Severity::Warning, rule, file_offset(cell), message);
    }

    fn run(&mut self, bytes: &'a [u8]) {
        let base = match BaseBlockRaw::parse(bytes).and_then(|base| base.check_kind().map(|()| base)) {
            Ok(base) => base,
            Err(error) => {
                return self.report(Severity::Error, Rule::BaseBlock, 0, || error.to_string());
            }
        };
        if let Some(reason) = base.dirty_reason() {
            self.report(Severity::Warning, Rule::Clean, 4, || format!("the hive is dirty: {reason}"));
        }
        let length = match base.image_length() {
            Ok(length) => length,
            Err(error) => {
                return self.report(Severity::Error, Rule::BaseBlock, 40, || error.to_string());
            }
        };
        if length > bytes.len() {
            self.report(Severity::Error, Rule::Length, bytes.len() as u64, || {
                format!("the bins end at {length:#x}, beyond the end of the file at {:#x}", bytes.len())
            });
        }
        self.minor = base.minor.get();
        self.bins = bytes.get(PAGE..length.min(bytes.len() / PAGE * PAGE)).unwrap_or_default();
        self.allocated = CellSet::new(self.bins.len());
        self.owned = CellSet::new(self.bins.len());
        let whole = self.check_bins();
        self.check_tree(base.root.get());
        if whole && length <= bytes.len() {
            self.report_leaks();
        }
    }

    /// First pass; says whether every bin was whole.
    fn check_bins(&mut self) -> bool {
        let mut whole = true;
        let mut offset = 0u32;
        while (offset as usize) < self.bins.len() {
            let size = match check_bin_header(self.bins, offset) {
                Ok(size) => size,
                Err(error) => {
                    whole = false;
                    self.error(Rule::Bin, offset, || error.to_string());
                    offset += PAGE as u32;
                    while (offset as usize) < self.bins.len() && check_bin_header(self.bins, offset).is_err()
                    {
                        offset += PAGE as u32;
                    }
                    continue;
                }
            };
            let end = offset + size;
            let mut cell = offset + BIN_HEADER as u32;
            let mut after_free = false;
            while cell < end {
                let field = size_at(self.bins, cell);
                let length = field.unsigned_abs();
                if length < 8 || !length.is_multiple_of(8) || length > end - cell {
                    whole = false;
                    self.error(Rule::Cell, cell, || {
                        format!("a cell of size {field} in a bin that ends at {:#x}", file_offset(end))
                    });
                    break;
                }
                if field < 0 {
                    self.allocated.insert(cell);
                } else if after_free {
                    self.warning(Rule::Coalescing, cell, || "two free cells lie side by side".to_owned());
                }
                after_free = field > 0;
                cell += length;
            }
            offset = end;
        }
        whole
    }

    /// The data of an allocated cell, without claiming it.
    fn data(&self, cell: u32) -> Option<&'a [u8]> {
        if !cell.is_multiple_of(8) || !self.allocated.contains(cell) {
            return None;
        }
        let length = size_at(self.bins, cell).unsigned_abs() as usize;
        self.bins.get(cell as usize + 4..cell as usize + length)
    }

    /// Claims a cell for an owner; its data on success.
    fn own(&mut self, cell: u32, owner: u32, what: &'static str) -> Option<&'a [u8]> {
        let data = self.data(cell);
        if data.is_none() {
            self.error(Rule::Reference, owner, || format!("{what} {cell:#x} is no allocated cell"));
        } else if !self.owned.insert(cell) {
            self.error(Rule::Ownership, cell, || {
                format!("{what} of the record at {:#x} has another owner too", file_offset(owner))
            });
            return None;
        }
        data
    }

    /// The record at the beginning of a cell, with what follows it.
    fn record<T: FromBytes>(
        &mut self,
        cell: u32,
        data: &'a [u8],
        what: &'static str,
    ) -> Option<(T, &'a [u8])> {
        let record = T::read_from_prefix(data).ok();
        if record.is_none() {
            self.error(Rule::Record, cell, || format!("{what} does not fit its cell"));
        }
        record
    }

    fn node(&mut self, key: u32, data: &'a [u8]) -> Option<(KeyNodeRaw, StoredName<'a>)> {
        let (node, rest): (KeyNodeRaw, _) = self.record(key, data, "a key node")?;
        if node.signature != *b"nk" {
            self.error(Rule::Record, key, || format!("a key node begins with {:02x?}", node.signature));
            return None;
        }
        let length = usize::from(node.name_length.get());
        match rest.get(..length) {
            Some(name) if length > 0 => Some((node, StoredName::new(name, node.is_compressed()))),
            _ => {
                self.error(Rule::Record, key, || format!("the name of a key has {length} bytes"));
                None
            }
        }
    }

    /// Second pass.
    fn check_tree(&mut self, root: u32) {
        let Some(data) = self.own(root, 0, "the root key") else { return };
        let Some((node, _)) = self.node(root, data) else { return };
        let expected = KEY_HIVE_ENTRY | KEY_NO_DELETE;
        if node.flags.get() & expected != expected {
            self.warning(Rule::RootFlags, root, || {
                format!("the root key has the flags {:#x}, without {expected:#x}", node.flags)
            });
        }
        self.count_reference(node.security.get());
        let mut pending = vec![Pending { key: root, depth: 0 }];
        while let Some(next) = pending.pop() {
            self.check_key(&next, &mut pending);
        }
        self.check_security(node.security.get());
    }

    fn check_key(&mut self, next: &Pending, pending: &mut Vec<Pending>) {
        let key = next.key;
        let Some(data) = self.data(key) else { return };
        let Some((node, _)) = self.node(key, data) else { return };
        self.checked.keys += 1;
        if next.depth > MAX_DEPTH {
            return self.error(Rule::Depth, key, || format!("a key lies {} levels deep", next.depth));
        }
        for (what, count, list) in
            [("subkeys", node.subkeys, node.subkey_list), ("values", node.values, node.value_list)]
        {
            if count.get() == 0 && list.get() != NIL {
                self.warning(Rule::StaleList, key, || format!("a key without {what} names a list of them"));
            }
        }
        self.check_class(key, &node);
        self.check_values(key, &node);
        let first = pending.len();
        let mut siblings = Siblings::default();
        let mut readable = true;
        if node.subkeys.get() > 0 {
            readable = self.check_subkeys(next, &node, &mut siblings, pending).is_some();
        }
        // The first subkey is looked at next, as it lies in the file.
        if let Some(new) = pending.get_mut(first..) {
            new.reverse();
        }
        if readable && siblings.count != node.subkeys.get() as usize {
            self.error(Rule::Count, key, || {
                format!("a key counts {} subkeys, its list has {}", node.subkeys, siblings.count)
            });
        }
        self.check_maximum(key, "subkey name", node.max_subkey_name.get().into(), 2 * siblings.longest_name);
        self.check_maximum(key, "subkey class", node.max_subkey_class.get(), siblings.longest_class);
    }

    fn check_maximum(&mut self, key: u32, what: &'static str, stored: u32, found: usize) {
        if (stored as usize) < found {
            self.error(Rule::Maximum, key, || {
                format!("the longest {what} is said to be {stored}, it is {found}")
            });
        }
    }

    fn check_class(&mut self, key: u32, node: &KeyNodeRaw) {
        let length = usize::from(node.class_length.get());
        if node.class.get() == NIL {
            if length > 0 {
                self.warning(Rule::Record, key, || format!("a class name of {length} bytes has no cell"));
            }
        } else if let Some(data) = self.own(node.class.get(), key, "the class name")
            && data.len() < length
        {
            self.error(Rule::Record, key, || format!("a class name of {length} bytes does not fit its cell"));
        }
    }

    fn list(&mut self, cell: u32, data: &'a [u8]) -> Option<(ListKind, &'a [u8])> {
        let (header, rest) = data.split_at_checked(4)?;
        let kind = header.first_chunk().copied().and_then(ListKind::from_signature);
        let count = header.last_chunk().copied().map(u16::from_le_bytes).map(usize::from)?;
        let Some(kind) = kind else {
            self.error(Rule::Record, cell, || format!("a subkey list begins with {:02x?}", header));
            return None;
        };
        let elements = rest.get(..count * kind.element());
        if elements.is_none() {
            self.error(Rule::Record, cell, || format!("a subkey list of {count} does not fit its cell"));
        }
        Some((kind, elements?))
    }

    /// Nothing when the list itself cannot be read.
    fn check_subkeys(
        &mut self,
        parent: &Pending,
        node: &KeyNodeRaw,
        siblings: &mut Siblings<'a>,
        pending: &mut Vec<Pending>,
    ) -> Option<()> {
        let cell = node.subkey_list.get();
        let data = self.own(cell, parent.key, "the subkey list")?;
        let (kind, elements) = self.list(cell, data)?;
        if kind != ListKind::Ri {
            self.check_leaf(cell, kind, elements, parent, siblings, pending);
            return Some(());
        }
        for element in elements.chunks_exact(4) {
            let leaf = number(element);
            let Some(data) = self.own(leaf, cell, "a leaf") else { continue };
            match self.list(leaf, data) {
                Some((ListKind::Ri, _)) => {
                    self.error(Rule::Record, leaf, || "an ri list lies below another".to_owned());
                }
                Some((_, [])) => {
                    self.error(Rule::Record, leaf, || "a leaf below an ri list is empty".to_owned())
                }
                Some((kind, elements)) => {
                    self.check_leaf(leaf, kind, elements, parent, siblings, pending);
                }
                None => {}
            }
        }
        Some(())
    }

    fn check_leaf(
        &mut self,
        cell: u32,
        kind: ListKind,
        elements: &'a [u8],
        parent: &Pending,
        siblings: &mut Siblings<'a>,
        pending: &mut Vec<Pending>,
    ) {
        for element in elements.chunks_exact(kind.element()) {
            let key = number(element);
            siblings.count += 1;
            let claimed = self.own(key, cell, "a subkey");
            let Some(data) = claimed.or_else(|| self.data(key)) else { continue };
            let Some((node, name)) = self.node(key, data) else { continue };
            self.count_reference(node.security.get());
            siblings.longest_name = siblings.longest_name.max(name.len());
            siblings.longest_class = siblings.longest_class.max(node.class_length.get().into());
            let hint = element.get(4..).unwrap_or_default();
            if kind == ListKind::Lh && hint != name.hash().to_le_bytes() {
                self.error(Rule::Hash, cell, || format!("a wrong hash for {}", name.to_name()));
            }
            if kind == ListKind::Lf && hint != name.hint() {
                self.warning(Rule::Hint, cell, || format!("a wrong hint for {}", name.to_name()));
            }
            if let Some(previous) = siblings.previous.replace(name) {
                match previous.compare_stored(name) {
                    std::cmp::Ordering::Less => {}
                    std::cmp::Ordering::Equal => self
                        .error(Rule::Duplicate, key, || format!("two subkeys are called {}", name.to_name())),
                    std::cmp::Ordering::Greater => self.error(Rule::Order, key, || {
                        format!("{} stands behind {}", name.to_name(), previous.to_name())
                    }),
                }
            }
            if claimed.is_none() {
                continue;
            }
            if node.parent.get() != parent.key {
                self.error(Rule::Parent, key, || {
                    let (said, is) = (node.parent.get(), parent.key);
                    format!("the parent of {} is said to be {said:#x}, it is {is:#x}", name.to_name())
                });
            }
            pending.push(Pending { key, depth: parent.depth + 1 });
        }
    }

    fn check_values(&mut self, key: u32, node: &KeyNodeRaw) {
        let count = node.values.get() as usize;
        let (mut longest_name, mut longest_data) = (0, 0);
        if count > 0 {
            let Some(list) = self.own(node.value_list.get(), key, "the value list") else { return };
            let Some(list) = count.checked_mul(4).and_then(|length| list.get(..length)) else {
                return self.error(Rule::Count, key, || format!("{count} values do not fit the value list"));
            };
            for element in list.chunks_exact(4) {
                let value = number(element);
                if let Some(data) = self.own(value, key, "a value")
                    && let Some((name, length)) = self.check_value(value, data)
                {
                    longest_name = longest_name.max(name);
                    longest_data = longest_data.max(length);
                }
            }
        }
        self.check_maximum(key, "value name", node.max_value_name.get(), 2 * longest_name);
        self.check_maximum(key, "value data", node.max_value_data.get(), longest_data);
    }

    /// Units of the name and bytes of the data.
    fn check_value(&mut self, cell: u32, data: &'a [u8]) -> Option<(usize, usize)> {
        let (value, rest): (ValueRaw, _) = self.record(cell, data, "a value")?;
        let name_length = usize::from(value.name_length.get());
        let name = rest.get(..name_length);
        if value.signature != *b"vk" || name.is_none() {
            self.error(Rule::Record, cell, || {
                format!("a value begins with {:02x?} and has a name of {name_length} bytes", value.signature)
            });
        }
        let units = StoredName::new(name?, value.is_compressed()).len();
        self.checked.values += 1;
        let length = value.data_length();
        match value.storage(self.minor) {
            Storage::Inline if length > 4 => {
                self.error(Rule::Inline, cell, || format!("{length} bytes are said to be inline"));
            }
            Storage::Nowhere if value.data.get() != NIL => {
                self.error(Rule::Inline, cell, || "empty data have a cell".to_owned());
            }
            Storage::Inline | Storage::Nowhere => {}
            Storage::Cell => {
                if length <= 4 {
                    self.warning(Rule::Inline, cell, || format!("{length} bytes of data are not inline"));
                }
                if let Some(data) = self.own(value.data.get(), cell, "the data")
                    && data.len() < length
                {
                    self.error(Rule::Record, cell, || {
                        format!("{length} bytes of data do not fit their cell")
                    });
                }
            }
            Storage::Segments => self.check_big_data(cell, value.data.get(), length),
        }
        Some((units, length))
    }

    fn check_big_data(&mut self, value: u32, cell: u32, length: usize) {
        let Some(data) = self.own(cell, value, "the data") else { return };
        let Some((big, _)) = self.record::<BigDataRaw>(cell, data, "a big-data record") else { return };
        let count = length.div_ceil(SEGMENT);
        if big.signature != *b"db" || usize::from(big.count.get()) != count {
            return self.error(Rule::BigData, cell, || {
                format!(
                    "{length} bytes need \"db\" with {count} segments, not {:02x?} with {}",
                    big.signature, big.count
                )
            });
        }
        let Some(list) = self.own(big.list.get(), cell, "the list of segments") else { return };
        let Some(list) = list.get(..count * 4) else {
            return self.error(Rule::BigData, cell, || format!("{count} segments do not fit their list"));
        };
        for (index, element) in list.chunks_exact(4).enumerate() {
            let segment = number(element);
            let Some(data) = self.own(segment, cell, "a segment") else { continue };
            let needed = SEGMENT.min(length - index * SEGMENT);
            if data.len() < needed {
                self.error(Rule::BigData, segment, || {
                    format!("{needed} bytes do not fit a segment of {}", data.len())
                });
            } else if data.len() != SEGMENT_RECORD {
                self.warning(Rule::BigData, segment, || format!("a segment has room for {}", data.len()));
            }
        }
    }

    /// Counts a key of a security record.
    fn count_reference(&mut self, security: u32) {
        let (latest, count) = self.latest;
        if security == latest {
            self.latest = (latest, count + 1);
            return;
        }
        if count > 0 {
            *self.references.entry(latest).or_default() += count;
        }
        self.latest = (security, 1);
    }

    /// The table with all that was counted.
    fn take_references(&mut self) -> HashMap<u32, u32> {
        let (latest, count) = std::mem::take(&mut self.latest);
        if count > 0 {
            *self.references.entry(latest).or_default() += count;
        }
        std::mem::take(&mut self.references)
    }

    fn check_security(&mut self, head: u32) {
        let mut descriptors: HashMap<&[u8], u32> = HashMap::new();
        let mut references = self.take_references();
        let mut cell = head;
        let mut previous = None;
        let first = loop {
            let Some(data) = self.own(cell, previous.unwrap_or(head), "a security record") else {
                break None;
            };
            let Some((raw, rest)) = self.record::<SecurityRaw>(cell, data, "a security record") else {
                break None;
            };
            let length = raw.length.get() as usize;
            let Some(descriptor) = rest.get(..length).filter(|_| raw.signature == *b"sk") else {
                self.error(Rule::Record, cell, || {
                    format!("a security record begins with {:02x?} and has {length} bytes", raw.signature)
                });
                break None;
            };
            if let Some(previous) = previous
                && raw.previous.get() != previous
            {
                self.error(Rule::SecurityRing, cell, || {
                    format!("the record before is said to be {:#x}, it is {previous:#x}", raw.previous)
                });
            }
            if let Some(other) = descriptors.insert(descriptor, cell) {
                self.warning(Rule::SecuritySharing, cell, || {
                    format!("the same descriptor as at {:#x}", file_offset(other))
                });
            }
            let (said, is) = (raw.references.get(), references.remove(&cell).unwrap_or_default());
            let message = || format!("{said} references are counted, {is} are there");
            if said < is {
                self.error(Rule::ReferenceCount, cell, message);
            } else if said > is {
                self.warning(Rule::ReferenceCount, cell, message);
            }
            previous = Some(cell);
            cell = raw.next.get();
            if cell == head {
                break previous;
            }
        };
        let backward = self.data(head).and_then(|data| SecurityRaw::read_from_prefix(data).ok());
        if let (Some(last), Some((raw, _))) = (first, backward)
            && raw.previous.get() != last
        {
            self.error(Rule::SecurityRing, head, || {
                format!("the record before is said to be {:#x}, it is {last:#x}", raw.previous)
            });
        }
        let mut outside: Vec<u32> = references.into_keys().collect();
        outside.sort_unstable();
        for cell in outside {
            if self.data(cell).is_none_or(|data| !data.starts_with(b"sk")) {
                self.error(Rule::Reference, cell, || {
                    format!("a key's security {cell:#x} is no security record")
                });
            } else {
                self.owned.insert(cell);
                self.error(Rule::SecurityRing, cell, || "a security record is not in the ring".to_owned());
            }
        }
    }

    /// Third pass.
    fn report_leaks(&mut self) {
        let leaked: Vec<u32> = self
            .allocated
            .0
            .iter()
            .zip(&self.owned.0)
            .enumerate()
            .filter(|(_, (allocated, owned))| **allocated & !**owned != 0)
            .flat_map(|(index, (allocated, owned))| {
                let bits = allocated & !owned;
                (0..64).filter(move |bit| bits >> bit & 1 != 0).map(move |bit| (index as u32 * 64 + bit) * 8)
            })
            .collect();
        for cell in leaked {
            let length = size_at(self.bins, cell).unsigned_abs();
            self.warning(Rule::Leak, cell, || format!("a cell of {length} bytes belongs to nothing"));
        }
    }
}

/// The number at the beginning of a list's element.
fn number(element: &[u8]) -> u32 {
    element.first_chunk().copied().map(u32::from_le_bytes).unwrap_or(NIL)
}
