// SPDX-License-Identifier: GPL-3.0-or-later
//! The program under the name `mount.wim`: what mount(8) calls for `mount -t wim` and for lines of fstab, as
//! `mount.wim SOURCE DIRECTORY [-sfnv] [-N NAMESPACE] [-o OPTIONS] [-t TYPE]` (mount(8), "External helpers").
//!
//! The source is `FILE` or `FILE:INDEX`; among the options `ro`, `index=N` and `name=NAME` mean something, and the others,
//! which are the kernel's or of no use here, are passed over as `-s` asks for.

use std::ffi::OsString;

use crate::base::{Error, ErrorClass, Result};

/// Whether a path's last part is `mount.wim`.
pub(crate) fn is_helper(program: &[u8]) -> bool {
    program.rsplit(|&byte| byte == b'/').next() == Some(b"mount.wim")
}

/// The same in our own language.
///
/// # Errors
/// When source or directory is missing.
pub(crate) fn translate(words: &[OsString]) -> Result<Vec<OsString>> {
    let mut places = Vec::new();
    let mut options = Vec::new();
    let mut fake = false;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.to_str() {
            Some("-o") => options.extend(words.next().map(OsString::as_os_str)),
            Some("-t" | "-N") => drop(words.next()),
            Some(flags) if flags.starts_with('-') && flags.len() > 1 => fake |= flags.contains('f'),
            _ => places.push(word.clone()),
        }
    }
    let [source, directory] = places.as_slice() else {
        return Err(Error::new(ErrorClass::Usage, "mount.wim wants a source and a directory").with_hint(
            "mount -t wim install.wim:1 /mnt/w, or in fstab: /srv/install.wim /mnt/w wim ro,index=1 0 0",
        ));
    };
    if fake {
        return Ok(vec!["mounts".into(), "--quiet".into()]);
    }
    let mut translated: Vec<OsString> =
        vec!["--quiet".into(), "mount".into(), source.clone(), directory.clone()];
    for option in options.iter().filter_map(|list| list.to_str()).flat_map(|list| list.split(',')) {
        match option.split_once('=') {
            Some(("index", index)) => translated.extend(["--index".into(), index.into()]),
            Some(("name", name)) => translated.extend(["--name".into(), name.into()]),
            None if option == "ro" => translated.push("--read-only".into()),
            _ => {}
        }
    }
    Ok(translated)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsStr::new).map(OsStr::to_owned).collect()
    }

    #[test]
    fn as_mount_calls_it() {
        for (given, expected) in [
            ("/w/i.wim:2 /mnt/w -o rw", "--quiet mount /w/i.wim:2 /mnt/w"),
            (
                "/w/i.wim /mnt/w -sn -o ro,noatime,index=3",
                "--quiet mount /w/i.wim /mnt/w --read-only --index 3",
            ),
            ("-t wim /w/i.wim /mnt/w", "--quiet mount /w/i.wim /mnt/w"),
            ("/w/i.wim /mnt/w -f", "mounts --quiet"),
        ] {
            assert_eq!(translate(&words(given)).unwrap(), words(expected), "{given}");
        }
        assert!(translate(&words("/w/i.wim")).is_err());
        assert!(is_helper(b"/sbin/mount.wim") && is_helper(b"mount.wim") && !is_helper(b"xmount.wim"));
    }
}
