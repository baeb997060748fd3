// SPDX-License-Identifier: GPL-3.0-or-later
//! How a tree is mounted.

use std::time::Duration;

/// Whether the mount can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Nothing can be changed, and nothing changes by itself unless the [`Notifier`](crate::Notifier) says so.
    ReadOnly,
    /// What the tree allows can be changed.
    ReadWrite,
}

/// Whose processes may use the mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Users {
    /// Those of the user who mounted it: what FUSE does if nothing is said. Not even root's.
    Owner,
    /// Everybody's. A user other than root needs `user_allow_other` in `/etc/fuse.conf` for it.
    Everybody,
}

/// Whether an entry of a directory can be reached by more than one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Spellings {
    /// A name means one entry, byte for byte.
    One,
    /// Names are compared without case, or there are short names: [`Tree::lookup`](crate::Tree::lookup) answers
    /// with [`Spelling::Alias`](crate::Spelling::Alias) where the stored name is another.
    Many,
}

/// What the places in a directory, `next` of [`DirectoryEntry`](crate::DirectoryEntry), are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Places {
    /// A place stays valid while the directory changes: entries that were there throughout are listed exactly once.
    /// Opening a directory then costs nothing.
    Stable,
    /// A place is only good while nothing changes: each open directory gets a copy of what it lists.
    PerListing,
}

/// How a tree is mounted. [`Options::new`] has the values that fit most trees.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Whether the mount can be changed.
    pub access: Access,
    /// What stands in the first column of the mount table; usually the file that the tree comes from.
    pub source: String,
    /// The mount table shows the type `fuse.<subtype>`.
    pub subtype: String,
    /// Whose processes may use the mount. `Everybody` by root, else `Owner`.
    pub users: Users,
    /// Whether the kernel checks permission bits, owner and group. Without, who may use the mount may do everything.
    pub check_permissions: bool,
    /// Threads that serve requests: as many as processors, but at least 2 and at most 8. At least two, so that one
    /// long read does not keep everything waiting.
    pub threads: usize,
    /// How long the kernel trusts attributes.
    pub attribute_lifetime: Duration,
    /// How long the kernel trusts that a name means a node.
    pub entry_lifetime: Duration,
    /// How long the kernel trusts that there is no such name. `None`: as long as an entry, but not at all where a
    /// new name can change what other spellings mean.
    pub missing_lifetime: Option<Duration>,
    /// Whether an entry can be reached by more than one name.
    pub spellings: Spellings,
    /// What the places in a directory are worth.
    pub places: Places,
    /// For a read-only tree that keeps nothing per open file: `open` and `release` are not asked, every read comes
    /// with handle 0. Ignored for a writable one.
    pub stateless_open: bool,
    /// Whether set-user-id and set-group-id bits exist in the tree. Without, they are masked from what it reports, and
    /// the kernel need not ask before each write whether there are any to clear.
    pub set_id_bits: bool,
    /// Lets the kernel keep written data and write it later. Small writes get faster, but a write that has
    /// returned is lost if the serving process dies, and the kernel then knows sizes and times of files better than
    /// the tree: a size that changes in the tree is not seen. Ignored for a read-only mount.
    pub write_back: bool,
    /// Largest read and write that the kernel is to ask for at once, at most 1 MiB on most kernels.
    pub transfer_size: u32,
    /// How far the kernel reads ahead, in KiB; raising it above 128 needs root, and is left be without.
    pub read_ahead_kib: u32,
}

impl Options {
    /// The values for a tree that names a source and has a type.
    pub fn new(source: impl Into<String>, subtype: impl Into<String>, access: Access) -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        let root = rustix::process::geteuid().is_root();
        Self {
            access,
            source: source.into(),
            subtype: subtype.into(),
            users: if root { Users::Everybody } else { Users::Owner },
            check_permissions: true,
            threads: threads.clamp(2, 8),
            attribute_lifetime: DAY,
            entry_lifetime: DAY,
            missing_lifetime: None,
            spellings: Spellings::One,
            places: Places::PerListing,
            stateless_open: false,
            set_id_bits: false,
            write_back: false,
            transfer_size: 1024 * 1024,
            read_ahead_kib: 1024,
        }
    }

    pub(crate) fn writable(&self) -> bool {
        self.access == Access::ReadWrite
    }

    pub(crate) fn effective_missing_lifetime(&self) -> Duration {
        match self.missing_lifetime {
            Some(lifetime) => lifetime,
            None if self.writable() && self.spellings == Spellings::Many => Duration::ZERO,
            None => self.entry_lifetime,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_names_are_trusted_only_where_no_other_spelling_can_make_them() {
        let day = Duration::from_secs(86_400);
        for (access, spellings, expected) in [
            (Access::ReadOnly, Spellings::One, day),
            (Access::ReadOnly, Spellings::Many, day),
            (Access::ReadWrite, Spellings::One, day),
            (Access::ReadWrite, Spellings::Many, Duration::ZERO),
        ] {
            let options = Options { spellings, ..Options::new("s", "t", access) };
            assert_eq!(options.effective_missing_lifetime(), expected, "{access:?} {spellings:?}");
            let given = Options { missing_lifetime: Some(Duration::from_secs(1)), ..options };
            assert_eq!(given.effective_missing_lifetime(), Duration::from_secs(1));
        }
    }
}
