// SPDX-License-Identifier: GPL-3.0-or-later
//! Which names may not be cached by the kernel, because another spelling of them is in use.
//!
//! The kernel caches by exact spelling: if `foo` is cached and `FOO` is unlinked, it goes on finding `foo`. So a name
//! other than the stored one is never cached, and once a file has been looked up by another name its stored name is
//! not cached any more either (it is *contested*): from then on every spelling is asked for each time it is used.
//! Directories need none of this: the kernel keeps at most one name of a directory and moves it to the spelling
//! used last.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::tree::Node;

/// How many names are remembered; a tree used beyond that by other spellings is not cached by name at all.
const LIMIT: usize = 64 * 1024;

/// The stored names that were looked up by another spelling, for the life of the mount.
pub(crate) struct Aliases {
    limit: usize,
    /// Whether anything was ever contested: the common case is answered without the lock.
    any: AtomicBool,
    names: RwLock<Contested>,
}

#[derive(Default)]
struct Contested {
    by_parent: HashMap<Node, HashSet<OsString>>,
    count: usize,
    everything: bool,
}

impl Aliases {
    pub(crate) fn new() -> Self {
        Self::with_limit(LIMIT)
    }

    fn with_limit(limit: usize) -> Self {
        Self { limit, any: AtomicBool::new(false), names: RwLock::default() }
    }

    /// Whether the name must not be cached.
    pub(crate) fn is_contested(&self, parent: Node, name: &OsStr) -> bool {
        if !self.any.load(Ordering::Acquire) {
            return false;
        }
        let names = self.names.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        names.everything || names.by_parent.get(&parent).is_some_and(|names| names.contains(name))
    }

    /// Notes that a stored name was looked up by another spelling. True if the kernel may have it cached.
    pub(crate) fn contest(&self, parent: Node, stored: &OsStr) -> bool {
        let mut names = self.names.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        self.any.store(true, Ordering::Release);
        if names.everything {
            // It may have been cached before everything became contested: nobody knows.
            return true;
        }
        let new = names.by_parent.entry(parent).or_default().insert(stored.to_owned());
        if new {
            names.count += 1;
            if names.count >= self.limit {
                *names = Contested { everything: true, ..Contested::default() };
            }
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_contested_for_good_and_only_in_its_directory() {
        let aliases = Aliases::new();
        let (foo, bar) = (OsStr::new("foo"), OsStr::new("bar"));
        assert!(!aliases.is_contested(Node(1), foo));
        assert!(aliases.contest(Node(1), foo));
        assert!(!aliases.contest(Node(1), foo));
        for (node, name, expected) in [(1, foo, true), (1, bar, false), (2, foo, false)] {
            assert_eq!(aliases.is_contested(Node(node), name), expected, "{node} {name:?}");
        }
    }

    #[test]
    fn beyond_the_limit_nothing_is_cached() {
        let aliases = Aliases::with_limit(2);
        assert!(aliases.contest(Node(1), OsStr::new("a")));
        assert!(!aliases.is_contested(Node(9), OsStr::new("z")));
        assert!(aliases.contest(Node(1), OsStr::new("b")));
        assert!(aliases.is_contested(Node(9), OsStr::new("z")));
        assert!(aliases.contest(Node(1), OsStr::new("a")));
    }
}
