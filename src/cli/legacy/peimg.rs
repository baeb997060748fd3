// SPDX-License-Identifier: GPL-3.0-or-later
//! `peimg` of Windows PE 2: drivers, packages and settings of one image, which is named by its
//! root or by its Windows directory.

use std::ffi::OsString;

use super::{Switch, Tool, Word, image_options, joined, missing, needs_value, option, unknown, word};
use crate::base::Result;

pub(super) const SWITCHES: &[Switch] = &[
    Switch { written: "/list m", becomes: "dism /Image:m /Get-Packages" },
    Switch { written: "/import=a.cab m/Windows", becomes: "dism /Image:m /Add-Package /PackagePath:a.cab" },
    Switch { written: "/install=WinPE-WMI m", becomes: "dism /Image:m /Add-Package /PackagePath:WinPE-WMI" },
    Switch {
        written: "/uninstall=WinPE-WMI m",
        becomes: "dism /Image:m /Remove-Package /PackageName:WinPE-WMI",
    },
    Switch { written: "/inf=net.inf m", becomes: "dism /Image:m /Add-Driver /Driver:net.inf" },
    Switch {
        written: "/inf=net.inf /forceunsigned m",
        becomes: "dism /Image:m /Add-Driver /Driver:net.inf /ForceUnsigned",
    },
    Switch { written: "/lang=fr-FR m", becomes: "dism /Image:m /Set-AllIntl:fr-FR" },
    Switch { written: "/timezone=UTC m", becomes: "dism /Image:m /Set-TimeZone:UTC" },
    Switch { written: "/scratchspace=128 m", becomes: "dism /Image:m /Set-ScratchSpace:128" },
    Switch { written: "/targetpath=X:\\ m", becomes: "dism /Image:m '/Set-TargetPath:X:\\'" },
    Switch {
        written: "/prep /f m",
        becomes: "dism /Image:m /Cleanup-Image /StartComponentCleanup /ResetBase",
    },
    Switch { written: "/list /image=m /quiet", becomes: "dism /Image:m /Quiet /Get-Packages" },
    Switch { written: "/list m /verbose", becomes: "dism /Image:m /LogLevel:4 /Get-Packages" },
];

pub(super) fn translate(words: &[OsString], image_known: bool) -> Result<Vec<OsString>> {
    let tool = Tool::Peimg;
    let (mut image, mut globals, mut commands) = (None, Vec::new(), Vec::new());
    let (mut drivers, mut force): (Vec<OsString>, Option<OsString>) = (Vec::new(), None);
    for written in words {
        let (name, value) = match word(written) {
            Word::Switch(name, value) => (name, value.filter(|value| !value.is_empty())),
            Word::Plain(plain) if image.is_none() => {
                image = Some(plain);
                continue;
            }
            Word::Plain(plain) => return Err(unknown(tool, plain.to_string_lossy())),
        };
        let needed = || value.clone().ok_or_else(|| needs_value(tool, &name));
        let command: Vec<OsString> = match name.as_str() {
            "list" => vec!["/Get-Packages".into()],
            "import" | "install" => vec!["/Add-Package".into(), option("PackagePath", needed()?)],
            "uninstall" => vec!["/Remove-Package".into(), option("PackageName", needed()?)],
            "inf" => {
                drivers.push(option("Driver", needed()?));
                continue;
            }
            // Ours: DISM asks for signatures where peimg did not.
            "forceunsigned" => {
                force = Some(OsString::from("/ForceUnsigned"));
                continue;
            }
            "lang" => vec![option("Set-AllIntl", needed()?)],
            "timezone" => vec![option("Set-TimeZone", needed()?)],
            "scratchspace" => vec![option("Set-ScratchSpace", needed()?)],
            "targetpath" => vec![option("Set-TargetPath", needed()?)],
            "prep" => vec!["/Cleanup-Image".into(), "/StartComponentCleanup".into(), "/ResetBase".into()],
            // Nothing is ever asked before it is done.
            "f" => continue,
            "image" => {
                image = Some(needed()?);
                continue;
            }
            "quiet" => {
                globals.push("/Quiet".into());
                continue;
            }
            "verbose" => {
                globals.push("/LogLevel:4".into());
                continue;
            }
            _ => return Err(unknown(tool, written.to_string_lossy())),
        };
        commands.push(command);
    }
    if !drivers.is_empty() {
        commands.push(std::iter::once("/Add-Driver".into()).chain(drivers).chain(force).collect());
    }
    if commands.is_empty() {
        return Err(missing(tool, "something to do"));
    }
    let mut front = match image {
        Some(image) => image_options(&image),
        None if image_known => Vec::new(),
        None => return Err(missing(tool, "the path of an image")),
    };
    front.extend(globals);
    Ok(joined(front, commands))
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn lines_as_scripts_have_them() {
        check(
            Tool::Peimg,
            &[
                (
                    "/inf=a.inf /inf=b.inf /mnt/boot/Windows",
                    "dism /Image:/mnt/boot /Add-Driver /Driver:a.inf /Driver:b.inf",
                ),
                (
                    "/install=WinPE-Scripting-Package boot.wim:1 /lang=de-DE",
                    "dism /Image:boot.wim:1 /Add-Package /PackagePath:WinPE-Scripting-Package --then \
                     /Set-AllIntl:de-DE",
                ),
                ("/list", "error: peimg needs the path of an image"),
                ("/quiet m", "error: peimg needs something to do"),
                ("/inf m", "error: peimg /inf needs a value"),
                ("/list m n", "error: peimg does not know n"),
            ],
        );
    }
}
