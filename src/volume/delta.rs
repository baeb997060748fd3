// SPDX-License-Identifier: GPL-3.0-or-later
//! How the entries of a directory differ from the base.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;
use std::sync::{Arc, OnceLock};

use super::names::{Before, Exactly, Key, Probe};
use super::{Name, Volume, VolumeError};
use crate::base::name::{same, upcased};
use crate::base::{DirEntry, NodeId, WinName};

type Result<T, E = VolumeError> = std::result::Result<T, E>;

/// Where a name leads.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Entry {
    pub(super) node: NodeId,
    pub(super) short_name: Option<Name>,
}

impl Entry {
    pub(super) fn of(entry: &DirEntry) -> Self {
        let short_name = entry.short_name.as_ref().map(|name| Name::from(name.units()));
        Self { node: entry.node, short_name }
    }

    pub(super) fn to_dir_entry(&self, name: &[u16]) -> DirEntry {
        let short_name = self.short_name.as_ref().map(|name| WinName::new(&**name));
        DirEntry { name: WinName::new(name), short_name, node: self.node }
    }
}

/// How the entries of a directory differ from the base.
#[derive(Debug, Default)]
pub(super) struct Delta {
    /// Exact names of the base's entries that do not show.
    pub(super) hidden: HashSet<Name>,
    pub(super) added: BTreeMap<Key, Entry>,
    /// Names of added entries by their short names.
    short: BTreeMap<Key, Name>,
    /// Base entries that a look-up in the base does not find while another one hides them: by
    /// folded name where spellings compete, and by folded short name. Made when first needed.
    shadowed: OnceLock<HashMap<Vec<u16>, Vec<DirEntry>>>,
}

impl Delta {
    pub(super) fn is_empty(&self) -> bool {
        self.hidden.is_empty() && self.added.is_empty()
    }

    pub(super) fn set_added(&mut self, name: &Name, entry: Option<Entry>) -> Option<Entry> {
        let short_name = entry.as_ref().and_then(|entry| entry.short_name.clone());
        let previous = match entry {
            Some(entry) => self.added.insert(Key(Arc::clone(name)), entry),
            None => self.added.remove(&Exactly(name) as &dyn Probe),
        };
        if let Some(old) = previous.as_ref().and_then(|entry| entry.short_name.clone()) {
            self.short.remove(&Key(old));
        }
        if let Some(short_name) = short_name {
            self.short.insert(Key(short_name), Arc::clone(name));
        }
        previous
    }

    pub(super) fn find(&self, wanted: &[u16]) -> Option<(Rank, DirEntry)> {
        if let Some((name, entry)) = self.added.get_key_value(&Exactly(wanted) as &dyn Probe) {
            return Some((Rank::Exact, entry.to_dir_entry(&name.0)));
        }
        let before: &dyn Probe = &Before(wanted);
        let folded = |map_key: Option<&Name>| map_key.is_some_and(|name| same(name, wanted));
        let next = self.added.range::<dyn Probe, _>((Bound::Included(before), Bound::Unbounded)).next();
        if let Some((name, entry)) = next.filter(|(name, _)| folded(Some(&name.0))) {
            return Some((Rank::Folded, entry.to_dir_entry(&name.0)));
        }
        let next = self.short.range::<dyn Probe, _>((Bound::Included(before), Bound::Unbounded)).next();
        let (_, name) = next.filter(|(short_name, _)| folded(Some(&short_name.0)))?;
        let entry = self.added.get(&Exactly(name) as &dyn Probe)?;
        Some((Rank::Short, entry.to_dir_entry(name)))
    }
}

/// How well an entry answers to a name; the first wins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Exact,
    Folded,
    Short,
}

pub(super) fn rank(entry: &DirEntry, wanted: &[u16]) -> Rank {
    if entry.name.units() == wanted {
        Rank::Exact
    } else if same(entry.name.units(), wanted) {
        Rank::Folded
    } else {
        Rank::Short
    }
}

pub(super) fn base_exact(base: &dyn Volume, directory: NodeId, name: &[u16]) -> Result<Option<DirEntry>> {
    if directory.is_new() {
        return Ok(None);
    }
    Ok(base.lookup(directory, name)?.filter(|entry| entry.name.units() == name))
}

/// The base's best entry for a name among those that are not hidden, once its very best is.
pub(super) fn visible_instead(
    base: &dyn Volume,
    directory: NodeId,
    delta: &Delta,
    wanted: &[u16],
) -> Result<Option<DirEntry>> {
    let shadowed = match delta.shadowed.get() {
        Some(shadowed) => shadowed,
        None => {
            let mut names: HashMap<Vec<u16>, Vec<DirEntry>> = HashMap::new();
            let entries = base.entries(directory)?;
            for entry in &entries {
                let folded = upcased(entry.name.units());
                names.entry(folded).or_default().push(entry.clone());
            }
            // A name that is spelt once only is found by the base itself.
            names.retain(|_, spellings| spellings.len() > 1);
            for entry in entries {
                if let Some(short_name) = &entry.short_name {
                    let folded = upcased(short_name.units());
                    names.entry(folded).or_default().push(entry);
                }
            }
            delta.shadowed.get_or_init(|| names)
        }
    };
    Ok(shadowed
        .get(&upcased(wanted))
        .into_iter()
        .flatten()
        .filter(|entry| !delta.hidden.contains(entry.name.units()))
        .min_by_key(|entry| rank(entry, wanted))
        .cloned())
}
