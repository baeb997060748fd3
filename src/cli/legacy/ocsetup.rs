// SPDX-License-Identifier: GPL-3.0-or-later
//! `ocsetup` of Windows Vista to 7: adds and removes components of the running Windows. Here it
//! takes `/Image` as well, since the running system is no Windows.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::{Switch, Tool, Word, image_options, joined, missing, needs_value, option, unknown, word};
use crate::base::{Error, ErrorClass, Result};

pub(super) const SWITCHES: &[Switch] = &[
    Switch {
        written: "TelnetClient;TFTP /image:m",
        becomes: "dism /Image:m /Enable-Feature /FeatureName:TelnetClient /FeatureName:TFTP",
    },
    Switch {
        written: "TelnetClient /uninstall /image:m",
        becomes: "dism /Image:m /Disable-Feature /FeatureName:TelnetClient",
    },
    Switch {
        written: "TelnetClient /unattendfile:x.xml /image:m",
        becomes: "dism /Image:m /Apply-Unattend:x.xml --then /Enable-Feature /FeatureName:TelnetClient",
    },
    Switch {
        written: "TelnetClient /passive /quiet /norestart /log:x.log",
        becomes: "dism /Online /Quiet /NoRestart /LogPath:x.log /Enable-Feature /FeatureName:TelnetClient",
    },
];

pub(super) fn translate(words: &[OsString], image_known: bool) -> Result<Vec<OsString>> {
    let tool = Tool::Ocsetup;
    let (mut image, mut unattend, mut uninstall) = (None, None, false);
    let (mut globals, mut components): (Vec<OsString>, Vec<OsString>) = (Vec::new(), Vec::new());
    for written in words {
        let (name, value) = match word(written) {
            Word::Switch(name, value) => (name, value.filter(|value| !value.is_empty())),
            Word::Plain(plain) => {
                let parts = plain.as_bytes().split(|byte| *byte == b';').filter(|part| !part.is_empty());
                components.extend(parts.map(|part| OsStr::from_bytes(part).to_owned()));
                continue;
            }
        };
        let needed = || value.clone().ok_or_else(|| needs_value(tool, &name));
        match name.as_str() {
            "uninstall" => uninstall = true,
            "unattendfile" => unattend = Some(needed()?),
            "image" => image = Some(needed()?),
            "log" => globals.push(option("LogPath", needed()?)),
            "quiet" => globals.push("/Quiet".into()),
            "norestart" => globals.push("/NoRestart".into()),
            // Only what is shown: nothing is.
            "passive" => {}
            "x" => {
                return Err(Error::new(
                    ErrorClass::Unsupported,
                    "ocsetup /x: arguments of an installer cannot be passed on; nothing is queued for the first boot yet",
                ));
            }
            _ => return Err(unknown(tool, written.to_string_lossy())),
        }
    }
    let installer = |name: &&OsString| {
        let name = name.to_string_lossy().to_ascii_lowercase();
        name.ends_with(".msi") || name.ends_with(".exe")
    };
    if let Some(name) = components.iter().find(installer) {
        return Err(Error::new(
            ErrorClass::Unsupported,
            format!("{} is an installer: it can only run on a started Windows", name.to_string_lossy()),
        )
        .with_hint("run it at the first logon, from the answer file or SetupComplete.cmd"));
    }
    if components.is_empty() {
        return Err(missing(tool, "the name of a component"));
    }
    let mut front = match image {
        Some(image) => image_options(&image),
        None if image_known => Vec::new(),
        None => vec!["/Online".into()],
    };
    front.extend(globals);
    let mut commands: Vec<Vec<OsString>> =
        unattend.into_iter().map(|file| vec![option("Apply-Unattend", file)]).collect();
    let name = if uninstall { "/Disable-Feature" } else { "/Enable-Feature" };
    let features = components.iter().map(|component| option("FeatureName", component));
    commands.push(std::iter::once(name.into()).chain(features).collect());
    Ok(joined(front, commands))
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn what_cannot_be_done_is_said() {
        check(
            Tool::Ocsetup,
            &[
                ("setup.MSI", "error: setup.MSI is an installer: it can only run on a started Windows"),
                ("/quiet", "error: ocsetup needs the name of a component"),
                ("Telnet /colour", "error: ocsetup does not know /colour"),
                (
                    "IIS /x:\"a=b\"",
                    "error: ocsetup /x: arguments of an installer cannot be passed on; nothing is queued for the \
                     first boot yet",
                ),
            ],
        );
    }
}
