// SPDX-License-Identifier: GPL-3.0-or-later
//! Vista's `pkgmgr`: packages, features and answer files. Lists are separated by semicolons.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::{Switch, Tool, Word, image_options, joined, missing, needs_value, option, unknown, word};
use crate::base::Result;

pub(super) const SWITCHES: &[Switch] = &[
    Switch { written: "/o:m/Windows /ip /m:a.cab", becomes: "dism /Image:m /Add-Package /PackagePath:a.cab" },
    Switch {
        written: "/o:m;m/Windows /ip /p:Name~1~x86~~6.0",
        becomes: "dism /Image:m /SysDriveDir:m /Add-Package /PackagePath:Name~1~x86~~6.0",
    },
    Switch {
        written: "/o:m/Windows /up:Name~1~x86~~6.0;Other~1~x86~~6.0",
        becomes: "dism /Image:m /Remove-Package /PackageName:Name~1~x86~~6.0 /PackageName:Other~1~x86~~6.0",
    },
    Switch {
        written: "/o:m/Windows /up /m:a.cab",
        becomes: "dism /Image:m /Remove-Package /PackagePath:a.cab",
    },
    Switch {
        written: "/o:m/Windows /up /p:Name~1~x86~~6.0",
        becomes: "dism /Image:m /Remove-Package /PackageName:Name~1~x86~~6.0",
    },
    Switch {
        written: "/o:m/Windows /iu:IIS-WebServer;TelnetClient",
        becomes: "dism /Image:m /Enable-Feature /FeatureName:IIS-WebServer /FeatureName:TelnetClient",
    },
    Switch {
        written: "/o:m/Windows /iu:TelnetClient /p:Name~1~x86~~6.0",
        becomes: "dism /Image:m /Enable-Feature /FeatureName:TelnetClient /PackageName:Name~1~x86~~6.0",
    },
    Switch {
        written: "/o:m/Windows /uu:TelnetClient",
        becomes: "dism /Image:m /Disable-Feature /FeatureName:TelnetClient",
    },
    Switch {
        written: "/o:m/Windows /n:unattend.xml /s:tmp /l:x.log",
        becomes: "dism /Image:m /ScratchDir:tmp /LogPath:x.log /Apply-Unattend:unattend.xml",
    },
    Switch {
        written: "/iu:TelnetClient /quiet /norestart",
        becomes: "dism /Online /Quiet /NoRestart /Enable-Feature /FeatureName:TelnetClient",
    },
];

pub(super) fn translate(words: &[OsString], image_known: bool) -> Result<Vec<OsString>> {
    let tool = Tool::Pkgmgr;
    let (mut image, mut globals) = (None, Vec::new());
    let (mut install, mut uninstall): (bool, Option<Vec<OsString>>) = (false, None);
    let (mut enable, mut disable) = (Vec::new(), Vec::new());
    let (mut path, mut package, mut unattend) = (None, None, None);
    for written in words {
        let (name, value) = match word(written) {
            Word::Switch(name, value) => (name, value.filter(|value| !value.is_empty())),
            Word::Plain(plain) => return Err(unknown(tool, plain.to_string_lossy())),
        };
        let needed = || value.clone().ok_or_else(|| needs_value(tool, &name));
        match name.as_str() {
            "ip" => install = true,
            "up" => uninstall.get_or_insert_default().extend(value.as_ref().map(list).unwrap_or_default()),
            "iu" => enable.extend(list(&needed()?)),
            "uu" => disable.extend(list(&needed()?)),
            "m" => path = Some(needed()?),
            "p" => package = Some(needed()?),
            "n" => unattend = Some(needed()?),
            "o" => image = Some(needed()?),
            "s" => globals.push(option("ScratchDir", needed()?)),
            "l" => globals.push(option("LogPath", needed()?)),
            "quiet" => globals.push("/Quiet".into()),
            "norestart" => globals.push("/NoRestart".into()),
            _ => return Err(unknown(tool, written.to_string_lossy())),
        }
    }
    let mut front = match image {
        Some(image) => offline(&image),
        None if image_known => Vec::new(),
        None => vec!["/Online".into()],
    };
    front.extend(globals);

    let mut commands = Vec::new();
    if install {
        let what = path.as_ref().or(package.as_ref()).ok_or_else(|| missing(tool, "/m or /p beside /ip"))?;
        commands.push(vec!["/Add-Package".into(), option("PackagePath", what)]);
    }
    if let Some(names) = uninstall {
        let mut command: Vec<OsString> = vec!["/Remove-Package".into()];
        match (names.is_empty(), &path, &package) {
            (false, ..) => command.extend(names.iter().map(|name| option("PackageName", name))),
            (true, Some(path), _) => command.push(option("PackagePath", path)),
            (true, None, Some(package)) => command.push(option("PackageName", package)),
            (true, None, None) => return Err(missing(tool, "a name, /m or /p beside /up")),
        }
        commands.push(command);
    }
    for (name, features) in [("/Enable-Feature", enable), ("/Disable-Feature", disable)] {
        if !features.is_empty() {
            let mut command: Vec<OsString> = vec![name.into()];
            command.extend(features.iter().map(|feature| option("FeatureName", feature)));
            command
                .extend(package.as_ref().filter(|_| !install).map(|package| option("PackageName", package)));
            commands.push(command);
        }
    }
    if let Some(file) = unattend {
        commands.push(vec![option("Apply-Unattend", file)]);
    }
    if commands.is_empty() {
        return Err(missing(tool, "one of /ip, /up, /iu, /uu and /n"));
    }
    Ok(joined(front, commands))
}

fn list(value: &OsString) -> Vec<OsString> {
    let parts = value.as_bytes().split(|byte| *byte == b';').filter(|part| !part.is_empty());
    parts.map(|part| OsStr::from_bytes(part).to_owned()).collect()
}

/// `[boot drive;]Windows directory`.
fn offline(value: &OsString) -> Vec<OsString> {
    match list(value).as_slice() {
        [drive, windows] => {
            let mut words = image_options(windows);
            words.push(option("SysDriveDir", drive));
            words
        }
        _ => image_options(value),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn lines_as_documentation_has_them() {
        check(
            Tool::Pkgmgr,
            &[
                (
                    "/IU:IIS-WebServerRole;WAS-WindowsActivationService /o:\"/mnt/w;/mnt/w/Windows\"",
                    "dism /Image:/mnt/w /SysDriveDir:/mnt/w /Enable-Feature /FeatureName:IIS-WebServerRole \
                     /FeatureName:WAS-WindowsActivationService",
                ),
                (
                    "/ip /m:\"/srv/up dates/kb.cab\" /iu:TelnetClient /o:/mnt/w/Windows /quiet",
                    "dism /Image:/mnt/w /Quiet /Add-Package '/PackagePath:/srv/up dates/kb.cab' --then \
                     /Enable-Feature /FeatureName:TelnetClient",
                ),
                ("/n:x.xml", "dism /Online /Apply-Unattend:x.xml"),
                ("/ip", "error: pkgmgr needs /m or /p beside /ip"),
                ("/up", "error: pkgmgr needs a name, /m or /p beside /up"),
                ("/quiet", "error: pkgmgr needs one of /ip, /up, /iu, /uu and /n"),
                ("/iu", "error: pkgmgr /iu needs a value"),
                ("/zz", "error: pkgmgr does not know /zz"),
                ("kb.cab", "error: pkgmgr does not know kb.cab"),
            ],
        );
        // An image that the environment names needs no /o.
        let words = translate(&["/iu:Telnet".into()], true).unwrap();
        assert_eq!(words, ["/Enable-Feature", "/FeatureName:Telnet"]);
    }
}
