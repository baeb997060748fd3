// SPDX-License-Identifier: GPL-3.0-or-later
//! The registry as 32-bit programs of a 64-bit Windows see it (`reg /reg:32`).
//!
//! `HKLM\SOFTWARE` is redirected to `HKLM\SOFTWARE\Wow6432Node`, but for keys that both kinds of
//! programs share; of the classes it is the other way round: they are shared but for a few.
//!
//! Source: Microsoft, "Registry Keys Affected by WOW64", the column of Windows 7 and later.

use super::hive_name::{SEPARATOR, cut, join};
use crate::base::name;

/// Keys below `HKLM\SOFTWARE` that are shared, with all below them.
const SHARED: &[&str] = &[
    "Clients",
    "Microsoft\\COM3",
    "Microsoft\\Cryptography\\Calais\\Current",
    "Microsoft\\Cryptography\\Calais\\Readers",
    "Microsoft\\Cryptography\\Services",
    "Microsoft\\CTF\\SystemShared",
    "Microsoft\\CTF\\TIP",
    "Microsoft\\DFS",
    "Microsoft\\Driver Signing",
    "Microsoft\\EnterpriseCertificates",
    "Microsoft\\EventSystem",
    "Microsoft\\MSMQ",
    "Microsoft\\Non-Driver Signing",
    "Microsoft\\Notepad\\DefaultFonts",
    "Microsoft\\OLE",
    "Microsoft\\RAS",
    "Microsoft\\RPC",
    "Microsoft\\Shared Tools\\MSInfo",
    "Microsoft\\SystemCertificates",
    "Microsoft\\TermServLicensing",
    "Microsoft\\Transaction Server",
    "Microsoft\\Windows\\CurrentVersion\\Control Panel\\Cursors\\Schemes",
    "Microsoft\\Windows\\CurrentVersion\\Explorer\\AutoplayHandlers",
    "Microsoft\\Windows\\CurrentVersion\\Explorer\\DriveIcons",
    "Microsoft\\Windows\\CurrentVersion\\Explorer\\KindMap",
    "Microsoft\\Windows\\CurrentVersion\\Group Policy",
    "Microsoft\\Windows\\CurrentVersion\\Policies",
    "Microsoft\\Windows\\CurrentVersion\\PreviewHandlers",
    "Microsoft\\Windows\\CurrentVersion\\Setup",
    "Microsoft\\Windows\\CurrentVersion\\Telephony\\Locations",
    "Microsoft\\Windows NT\\CurrentVersion\\FontDpi",
    "Microsoft\\Windows NT\\CurrentVersion\\FontMapper",
    "Microsoft\\Windows NT\\CurrentVersion\\Fonts",
    "Microsoft\\Windows NT\\CurrentVersion\\FontSubstitutes",
    "Microsoft\\Windows NT\\CurrentVersion\\NetworkCards",
    "Microsoft\\Windows NT\\CurrentVersion\\Perflib",
    "Microsoft\\Windows NT\\CurrentVersion\\Ports",
    "Microsoft\\Windows NT\\CurrentVersion\\Print",
    "Microsoft\\Windows NT\\CurrentVersion\\ProfileList",
    "Microsoft\\Windows NT\\CurrentVersion\\Time Zones",
    "Policies",
    "RegisteredApplications",
];

/// Keys below a `Classes` key that are redirected.
const REDIRECTED_CLASSES: &[&str] = &["CLSID", "DirectShow", "Interface", "Media Type", "MediaFoundation"];

const NODE: &str = "Wow6432Node";

/// The path that a 32-bit program reaches when it names `path`.
pub fn redirected(path: &[u16]) -> Vec<u16> {
    let is = |found: &[u16], word: &str| name::same(found, &name::units(word));
    let start = path.iter().position(|&unit| unit != SEPARATOR).unwrap_or(path.len());
    let path = path.get(start..).unwrap_or_default();
    let (root, rest) = cut(path);
    if is(root, "HKCR") || is(root, "HKEY_CLASSES_ROOT") {
        return join(root, &classes(rest));
    }
    let (mut head, mut below) = (root.to_vec(), rest);
    if is(root, "HKU") || is(root, "HKEY_USERS") {
        let (user, rest) = cut(rest);
        head = join(&head, user);
        if user.len() > 8 && is(user.get(user.len() - 8..).unwrap_or_default(), "_Classes") {
            return join(&head, &classes(rest));
        }
        below = rest;
    }
    let (software, rest) = cut(below);
    if !is(software, "SOFTWARE") {
        return path.to_vec();
    }
    head = join(&head, software);
    let (first, deeper) = cut(rest);
    if is(first, "Classes") {
        return join(&join(&head, first), &classes(deeper));
    }
    let of_machine = is(root, "HKLM") || is(root, "HKEY_LOCAL_MACHINE");
    if !of_machine || is(first, NODE) || SHARED.iter().any(|shared| is_below(rest, shared)) {
        return path.to_vec();
    }
    join(&join(&head, &name::units(NODE)), rest)
}

fn classes(below: &[u16]) -> Vec<u16> {
    if REDIRECTED_CLASSES.iter().any(|redirected| is_below(below, redirected)) {
        return join(&name::units(NODE), below);
    }
    below.to_vec()
}

/// Whether a path is a key or lies below it.
fn is_below(path: &[u16], key: &str) -> bool {
    let key = name::units(key);
    path.get(..key.len()).is_some_and(|head| name::same(head, &key))
        && path.get(key.len()).is_none_or(|&unit| unit == SEPARATOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_32_bit_programs_see_it() {
        for (path, expected) in [
            ("HKLM\\SOFTWARE\\Contoso", "HKLM\\SOFTWARE\\Wow6432Node\\Contoso"),
            ("HKLM\\Software", "HKLM\\Software\\Wow6432Node"),
            ("HKLM\\SOFTWARE\\wow6432node\\Contoso", "HKLM\\SOFTWARE\\wow6432node\\Contoso"),
            ("HKLM\\SOFTWARE\\Policies\\X", "HKLM\\SOFTWARE\\Policies\\X"),
            ("HKLM\\SOFTWARE\\PoliciesX", "HKLM\\SOFTWARE\\Wow6432Node\\PoliciesX"),
            ("HKLM\\SOFTWARE\\microsoft\\ole", "HKLM\\SOFTWARE\\microsoft\\ole"),
            ("HKLM\\SOFTWARE\\Classes\\.txt", "HKLM\\SOFTWARE\\Classes\\.txt"),
            ("HKLM\\SOFTWARE\\Classes\\CLSID\\{1}", "HKLM\\SOFTWARE\\Classes\\Wow6432Node\\CLSID\\{1}"),
            ("HKCR\\Interface", "HKCR\\Wow6432Node\\Interface"),
            ("HKCU\\Software\\Contoso", "HKCU\\Software\\Contoso"),
            (
                "HKU\\S-1-5-18\\Software\\Classes\\CLSID",
                "HKU\\S-1-5-18\\Software\\Classes\\Wow6432Node\\CLSID",
            ),
            ("HKU\\S-1-5-18_Classes\\CLSID", "HKU\\S-1-5-18_Classes\\Wow6432Node\\CLSID"),
            ("HKLM\\SYSTEM\\Select", "HKLM\\SYSTEM\\Select"),
        ] {
            assert_eq!(name::display(&redirected(&name::units(path))), expected, "{path}");
        }
    }
}
