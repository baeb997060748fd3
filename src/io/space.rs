// SPDX-License-Identifier: GPL-3.0-or-later
//! How much room there is.

use std::path::Path;

/// Bytes that may still be written where a file stands, or is to stand; nothing when the file
/// system does not say.
pub fn free_space(path: &Path) -> Option<u64> {
    let folder = match path.parent() {
        _ if path.exists() => path,
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let said = rustix::fs::statvfs(folder).ok()?;
    // Some network and overlay file systems say nothing but zeros.
    (said.f_blocks > 0).then(|| said.f_bavail.saturating_mul(said.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_for_a_file_that_is_and_one_that_is_not_yet() {
        let folder = tempfile::tempdir().unwrap();
        let absent = folder.path().join("absent");
        assert!(free_space(&absent).is_some_and(|free| free > 0));
        assert_eq!(free_space(&absent.join("deeper")), None);
    }
}
