// SPDX-License-Identifier: GPL-3.0-or-later
//! `imagex`: one operation, then its operands by position, options anywhere. A value stands behind
//! its option as a word of its own (`/compress maximum`), or joined to it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::{Switch, Tool, Word, missing, needs_value, option, unknown, word};
use crate::base::{Error, ErrorClass, Result};
use crate::report::Language;

pub(super) const SWITCHES: &[Switch] = &[
    Switch {
        written: "/append d a.wim Name Text /boot /check /config c.ini /norpfix /temp t /verify",
        becomes: "dism /ScratchDir:t /Append-Image /ImageFile:a.wim /CaptureDir:d /Name:Name /Description:Text \
                  /Bootable /CheckIntegrity /ConfigFile:c.ini /NoRpFix /Verify",
    },
    Switch {
        written: "/apply a.wim 2 d /check /norpfix /ref *.swm /verify",
        becomes: "dism /Apply-Image /ImageFile:a.wim /Index:2 /ApplyDir:d /CheckIntegrity /NoRpFix '/SWMFile:*.swm' \
                  /Verify",
    },
    Switch {
        written: "/capture d a.wim Name /compress maximum /scroll /logfile x.log",
        becomes: "dism /LogPath:x.log /Capture-Image /ImageFile:a.wim /CaptureDir:d /Name:Name /Compress:maximum",
    },
    Switch { written: "/commit d", becomes: "dism /Commit-Image /MountDir:d" },
    Switch { written: "/commit /append d", becomes: "dism /Commit-Image /MountDir:d /Append" },
    Switch {
        written: "/delete a.wim 2 /check",
        becomes: "dism /Delete-Image /ImageFile:a.wim /Index:2 /CheckIntegrity",
    },
    Switch { written: "/dir a.wim Pro", becomes: "dism /List-Image /ImageFile:a.wim /Name:Pro" },
    Switch {
        written: "/export a.wim 1 b.wim New /boot /check /compress fast /ref a2.swm",
        becomes: "dism /Export-Image /SourceImageFile:a.wim /SourceIndex:1 /DestinationImageFile:b.wim \
                  /DestinationName:New /Bootable /CheckIntegrity /Compress:fast /SWMFile:a2.swm",
    },
    Switch {
        written: "/export a.wim * b.wim",
        becomes: "dism /Export-Image /SourceImageFile:a.wim /All /DestinationImageFile:b.wim",
    },
    Switch { written: "/info a.wim", becomes: "dism /Get-ImageInfo /ImageFile:a.wim" },
    Switch { written: "/info a.wim 1 /xml /check", becomes: "dism /Get-ImageInfo /ImageFile:a.wim /Index:1" },
    Switch {
        written: "/info a.wim 1 New Text /flags Professional /boot",
        becomes: "transom image set a.wim:1 --name New --description Text --flags Professional --boot",
    },
    Switch {
        written: "/mount a.wim 1 d",
        becomes: "dism /Mount-Image /ImageFile:a.wim /Index:1 /MountDir:d /ReadOnly",
    },
    Switch {
        written: "/mountrw a.wim 1 d /check",
        becomes: "dism /Mount-Image /ImageFile:a.wim /Index:1 /MountDir:d /CheckIntegrity",
    },
    Switch { written: "/mount", becomes: "dism /Get-MountedImageInfo" },
    Switch { written: "/remount d", becomes: "dism /Remount-Image /MountDir:d" },
    Switch { written: "/remount", becomes: "dism /Get-MountedImageInfo" },
    Switch { written: "/cleanup", becomes: "dism /Cleanup-Mountpoints" },
    Switch { written: "/unmount d", becomes: "dism /Unmount-Image /MountDir:d /Discard" },
    Switch { written: "/unmount /commit d", becomes: "dism /Unmount-Image /MountDir:d /Commit" },
    Switch { written: "/unmount", becomes: "dism /Get-MountedImageInfo" },
    Switch {
        written: "/split a.wim a.swm 600 /check",
        becomes: "dism /Split-Image /ImageFile:a.wim /SWMFile:a.swm /FileSize:600 /CheckIntegrity",
    },
];

const OPERATIONS: [&str; 14] = [
    "append", "apply", "capture", "commit", "delete", "dir", "export", "info", "mount", "mountrw", "remount",
    "cleanup", "unmount", "split",
];

/// Options with a value.
const VALUED: [&str; 6] = ["config", "compress", "flags", "ref", "temp", "logfile"];

/// Options of each operation beside `/scroll`, `/logfile` and `/temp`, which all of them take.
fn accepts(operation: &str, name: &str) -> bool {
    let own: &[&str] = match operation {
        "append" => &["boot", "check", "config", "flags", "norpfix", "verify"],
        "apply" => &["check", "norpfix", "ref", "verify"],
        "capture" => &["boot", "check", "compress", "config", "flags", "norpfix", "verify"],
        "commit" => &["append", "check"],
        "delete" | "mount" | "mountrw" | "split" => &["check"],
        "export" => &["boot", "check", "compress", "ref"],
        "info" => &["boot", "check", "flags", "xml"],
        "unmount" => &["commit"],
        _ => &[],
    };
    own.contains(&name) || matches!(name, "scroll" | "logfile" | "temp")
}

#[derive(Default)]
struct Given {
    operands: Vec<OsString>,
    options: Vec<(String, Option<OsString>)>,
}

impl Given {
    fn has(&self, name: &str) -> bool {
        self.options.iter().any(|(known, _)| known == name)
    }

    fn value(&self, name: &str) -> Option<&OsString> {
        self.options.iter().find(|(known, _)| known == name)?.1.as_ref()
    }

    fn operand(&self, position: usize, what: &str) -> Result<&OsString> {
        self.operands.get(position).ok_or_else(|| missing(Tool::Imagex, what))
    }
}

fn read(words: &[OsString]) -> Result<(String, Given)> {
    let mut operation: Option<String> = None;
    let mut given = Given::default();
    let mut words = words.iter();
    while let Some(written) = words.next() {
        let (name, value) = match word(written) {
            Word::Switch(name, value) => (name, value),
            Word::Plain(plain) => {
                given.operands.push(plain);
                continue;
            }
        };
        match &operation {
            None if OPERATIONS.contains(&name.as_str()) => operation = Some(name),
            Some(operation) if !accepts(operation, &name) => {
                return Err(unknown(Tool::Imagex, format_args!("/{name} beside /{operation}")));
            }
            _ if VALUED.contains(&name.as_str()) => {
                let value = match value {
                    Some(value) => value,
                    None => words.next().cloned().ok_or_else(|| needs_value(Tool::Imagex, &name))?,
                };
                given.options.push((name, Some(value)));
            }
            _ => given.options.push((name, None)),
        }
    }
    let operation = operation.ok_or_else(|| missing(Tool::Imagex, "an operation such as /info"))?;
    if let Some((name, _)) = given.options.iter().find(|(name, _)| !accepts(&operation, name)) {
        return Err(unknown(Tool::Imagex, format_args!("/{name} beside /{operation}")));
    }
    Ok((operation, given))
}

pub(super) fn translate(words: &[OsString]) -> Result<(Language, Vec<OsString>)> {
    let (operation, given) = read(words)?;
    let given = &given;
    let mut line: Vec<OsString> = Vec::new();
    line.extend(given.value("temp").map(|value| option("ScratchDir", value)));
    line.extend(given.value("logfile").map(|value| option("LogPath", value)));
    let image = |position| given.operand(position, "the number or name of an image");
    let file = |position| given.operand(position, "an image file");
    let directory = |position| given.operand(position, "a directory");
    let mut most = given.operands.len();
    match operation.as_str() {
        "append" | "capture" => {
            if given.has("flags") {
                return Err(Error::new(
                    ErrorClass::Unsupported,
                    format!("imagex /flags is not understood beside /{operation}"),
                )
                .with_hint("set them afterwards: imagex /info FILE INDEX NAME /flags EDITION"));
            }
            most = 4;
            line.push(if operation == "append" { "/Append-Image" } else { "/Capture-Image" }.into());
            line.push(option("ImageFile", file(1)?));
            line.push(option("CaptureDir", directory(0)?));
            line.push(option("Name", given.operand(2, "a name for the image")?));
            line.extend(given.operands.get(3).map(|text| option("Description", text)));
        }
        "apply" => {
            most = 3;
            line.extend(["/Apply-Image".into(), option("ImageFile", file(0)?), selected("", image(1)?)]);
            line.push(option("ApplyDir", directory(2)?));
        }
        "commit" => {
            most = 1;
            line.extend(["/Commit-Image".into(), option("MountDir", directory(0)?)]);
            line.extend(given.has("append").then(|| "/Append".into()));
        }
        "delete" | "dir" => {
            most = 2;
            line.push(if operation == "delete" { "/Delete-Image" } else { "/List-Image" }.into());
            line.extend([option("ImageFile", file(0)?), selected("", image(1)?)]);
        }
        "export" => {
            most = 4;
            line.extend(["/Export-Image".into(), option("SourceImageFile", file(0)?)]);
            line.push(match image(1)? {
                all if all == "*" => "/All".into(),
                one => selected("Source", one),
            });
            line.push(option("DestinationImageFile", given.operand(2, "a destination")?));
            line.extend(given.operands.get(3).map(|name| option("DestinationName", name)));
        }
        "info" => {
            most = 4;
            let changes = given.operands.len() > 2 || given.has("flags") || given.has("boot");
            if changes {
                return set(given, line).map(|words| (Language::Native, words));
            }
            line.extend(["/Get-ImageInfo".into(), option("ImageFile", file(0)?)]);
            line.extend(given.operands.get(1).map(|image| selected("", image)));
            return finish(line, given, most, &[]);
        }
        "mount" | "remount" | "unmount" if given.operands.is_empty() => {
            line.push("/Get-MountedImageInfo".into())
        }
        "mount" | "mountrw" => {
            most = 3;
            line.extend(["/Mount-Image".into(), option("ImageFile", file(0)?), selected("", image(1)?)]);
            line.push(option("MountDir", directory(2)?));
            line.extend((operation == "mount").then(|| "/ReadOnly".into()));
        }
        "remount" => {
            most = 1;
            line.extend(["/Remount-Image".into(), option("MountDir", directory(0)?)]);
        }
        "unmount" => {
            most = 1;
            line.extend(["/Unmount-Image".into(), option("MountDir", directory(0)?)]);
            line.push(if given.has("commit") { "/Commit" } else { "/Discard" }.into());
        }
        "cleanup" => {
            most = 0;
            line.push("/Cleanup-Mountpoints".into());
        }
        "split" => {
            most = 3;
            line.extend(["/Split-Image".into(), option("ImageFile", file(0)?)]);
            line.push(option("SWMFile", given.operand(1, "the name of the first part")?));
            line.push(option("FileSize", given.operand(2, "the size of a part")?));
        }
        _ => return Err(unknown(Tool::Imagex, format_args!("/{operation}"))),
    }
    finish(line, given, most, &["boot", "check", "config", "compress", "norpfix", "ref", "verify"])
}

/// Adds the options that have a name of their own in DISM's language.
fn finish(
    mut line: Vec<OsString>,
    given: &Given,
    most: usize,
    options: &[&str],
) -> Result<(Language, Vec<OsString>)> {
    if let Some(more) = given.operands.get(most) {
        return Err(unknown(Tool::Imagex, more.to_string_lossy()));
    }
    for name in options.iter().filter(|name| given.has(name)) {
        let value = given.value(name).map(OsString::as_os_str).unwrap_or_default();
        line.push(match *name {
            "boot" => "/Bootable".into(),
            "check" => "/CheckIntegrity".into(),
            "norpfix" => "/NoRpFix".into(),
            "verify" => "/Verify".into(),
            "config" => option("ConfigFile", value),
            "compress" => option("Compress", value),
            _ => option("SWMFile", value),
        });
    }
    Ok((Language::Dism, line))
}

/// An image by its number or its name.
fn selected(prefix: &str, image: &OsStr) -> OsString {
    let number = !image.is_empty() && image.as_bytes().iter().all(u8::is_ascii_digit);
    option(&format!("{prefix}{}", if number { "Index" } else { "Name" }), image)
}

/// `/info` with new names: only our own language can say that.
fn set(given: &Given, globals: Vec<OsString>) -> Result<Vec<OsString>> {
    let mut words: Vec<OsString> = Vec::new();
    for global in &globals {
        match word(global) {
            Word::Switch(name, Some(value)) if name == "logpath" => {
                words.extend(["--log-path".into(), value])
            }
            Word::Switch(name, Some(value)) if name == "scratchdir" => {
                words.extend(["--scratch-dir".into(), value]);
            }
            _ => {}
        }
    }
    if let Some(more) = given.operands.get(4) {
        return Err(unknown(Tool::Imagex, more.to_string_lossy()));
    }
    let index = given.operand(1, "the number of an image")?;
    if index.is_empty() || !index.as_bytes().iter().all(u8::is_ascii_digit) {
        return Err(missing(Tool::Imagex, "the number of the image that is changed"));
    }
    let mut target = given.operand(0, "an image file")?.clone();
    target.push(":");
    target.push(index);
    words.extend(["image".into(), "set".into(), target]);
    let values = [
        ("--name", given.operands.get(2)),
        ("--description", given.operands.get(3)),
        ("--flags", given.value("flags")),
    ];
    for (name, value) in values {
        if let Some(value) = value {
            words.extend([name.into(), value.clone()]);
        }
    }
    words.extend(given.has("boot").then(|| "--boot".into()));
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn operands_and_options_in_any_order() {
        check(
            Tool::Imagex,
            &[
                (
                    "/compress fast /capture C: d.wim \"My Image\" \"a text\"",
                    "dism /Capture-Image /ImageFile:d.wim /CaptureDir:C: '/Name:My Image' '/Description:a text' \
                     /Compress:fast",
                ),
                ("/INFO a.wim Pro", "dism /Get-ImageInfo /ImageFile:a.wim /Name:Pro"),
                ("/apply a.wim 1", "error: imagex needs a directory"),
                ("/apply a.wim 1 d e", "error: imagex does not know e"),
                ("/info a.wim 1 a b c", "error: imagex does not know c"),
                ("/dir a.wim 1 /boot", "error: imagex does not know /boot beside /dir"),
                ("/boot /dir a.wim 1", "error: imagex does not know /boot beside /dir"),
                ("/capture d a.wim", "error: imagex needs a name for the image"),
                ("/compress", "error: imagex /compress needs a value"),
                ("a.wim", "error: imagex needs an operation such as /info"),
                ("/info a.wim Pro New", "error: imagex needs the number of the image that is changed"),
                ("/capture d a.wim x /flags Pro", "error: imagex /flags is not understood beside /capture"),
            ],
        );
    }
}
