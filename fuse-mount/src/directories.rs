// SPDX-License-Identifier: GPL-3.0-or-later
//! What open directories list, for trees whose places in a directory are not stable: a copy per open directory.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::errno::{Errno, Result};
use crate::tree::{DirectoryEntry, DirectorySink, Kind, Node};

/// The open directories of a mount, by handle.
#[derive(Default)]
pub(crate) struct OpenDirectories {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last: u64,
    open: HashMap<u64, Arc<Mutex<Option<Listing>>>>,
}

impl OpenDirectories {
    /// A handle for a directory that has just been opened. Its entries are not read yet.
    pub(crate) fn open(&self) -> u64 {
        let mut state = locked(&self.state);
        state.last += 1;
        let handle = state.last;
        state.open.insert(handle, Arc::default());
        handle
    }

    pub(crate) fn close(&self, handle: u64) {
        locked(&self.state).open.remove(&handle);
    }

    /// Lists from a place on. The copy is made by `fill` when the listing begins, and made anew when it begins again:
    /// after rewinddir a process must see what is there then.
    pub(crate) fn list(
        &self,
        handle: u64,
        from: u64,
        fill: impl FnOnce(&mut DirectorySink<'_>) -> Result<()>,
        sink: &mut DirectorySink<'_>,
    ) -> Result<()> {
        let listing = locked(&self.state).open.get(&handle).cloned().ok_or(Errno::EBADF)?;
        let mut listing = locked(&listing);
        if from == 0 {
            *listing = None;
        }
        let listing = match &mut *listing {
            Some(listing) => listing,
            empty => {
                let mut fresh = Listing::default();
                fill(&mut |entry| {
                    fresh.push(entry.node, entry.kind, entry.name);
                    ControlFlow::Continue(())
                })?;
                empty.insert(fresh)
            }
        };
        listing.list(from, sink);
        Ok(())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing here is left half changed by a panic, which can only come from the tree.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The entries of a directory, names end to end.
#[derive(Default)]
struct Listing {
    names: Vec<u8>,
    /// Node, kind, and where its name ends in `names`.
    entries: Vec<(Node, Kind, usize)>,
}

impl Listing {
    fn push(&mut self, node: Node, kind: Kind, name: &OsStr) {
        self.names.extend_from_slice(name.as_bytes());
        self.entries.push((node, kind, self.names.len()));
    }

    /// Places are indices.
    fn list(&self, from: u64, sink: &mut DirectorySink<'_>) {
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let before = from.checked_sub(1).and_then(|before| self.entries.get(before));
        let mut start = before.map_or(0, |&(_, _, end)| end);
        for (&(node, kind, end), next) in self.entries.iter().zip(1..).skip(from) {
            let name = OsStr::from_bytes(self.names.get(start..end).unwrap_or_default());
            start = end;
            if sink(DirectoryEntry { node, kind, name, next }).is_break() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(names: &[&str], sink: &mut DirectorySink<'_>) -> Result<()> {
        for (index, name) in names.iter().enumerate() {
            let entry = DirectoryEntry {
                node: Node(index as u64 + 2),
                kind: Kind::File,
                name: OsStr::new(name),
                next: 0,
            };
            if sink(entry).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn listed(
        open: &OpenDirectories,
        handle: u64,
        from: u64,
        names: &[&str],
    ) -> Result<Vec<(u64, String, u64)>> {
        let mut seen = Vec::new();
        open.list(handle, from, |sink| fill(names, sink), &mut |entry| {
            seen.push((entry.node.0, entry.name.to_string_lossy().into_owned(), entry.next));
            ControlFlow::Continue(())
        })?;
        Ok(seen)
    }

    #[test]
    fn a_listing_is_fixed_until_it_is_rewound() {
        let open = OpenDirectories::default();
        let handle = open.open();
        let before = ["a", "bc", ""];
        assert_eq!(
            listed(&open, handle, 0, &before),
            Ok(vec![(2, "a".into(), 1), (3, "bc".into(), 2), (4, String::new(), 3)])
        );
        let after = ["x"];
        assert_eq!(listed(&open, handle, 1, &after), Ok(vec![(3, "bc".into(), 2), (4, String::new(), 3)]));
        assert_eq!(listed(&open, handle, 3, &after), Ok(vec![]));
        assert_eq!(listed(&open, handle, u64::MAX, &after), Ok(vec![]));
        assert_eq!(listed(&open, handle, 0, &after), Ok(vec![(2, "x".into(), 1)]));
    }

    #[test]
    fn handles() {
        let open = OpenDirectories::default();
        let (one, two) = (open.open(), open.open());
        assert_ne!(one, two);
        open.close(one);
        assert_eq!(listed(&open, one, 0, &["a"]), Err(Errno::EBADF));
        assert_eq!(listed(&open, two, 5, &["a"]), Ok(vec![]));
    }
}
