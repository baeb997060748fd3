// SPDX-License-Identifier: GPL-3.0-or-later
//! `intlcfg` of Windows Vista: languages and locales of an image or an installation medium.

use std::ffi::OsString;

use super::{Switch, Tool, Word, image_options, missing, needs_value, option, unknown, word};
use crate::base::Result;

pub(super) const SWITCHES: &[Switch] = &[
    Switch { written: "-all:fr-FR -image:m", becomes: "dism /Image:m /Set-AllIntl:fr-FR" },
    Switch { written: "-uilang:fr-FR -image:m", becomes: "dism /Image:m /Set-UILang:fr-FR" },
    Switch { written: "-uilangfallback:en-US -image:m", becomes: "dism /Image:m /Set-UILangFallback:en-US" },
    Switch { written: "-syslocale:fr-FR -image:m", becomes: "dism /Image:m /Set-SysLocale:fr-FR" },
    Switch { written: "-userlocale:fr-FR -image:m", becomes: "dism /Image:m /Set-UserLocale:fr-FR" },
    Switch {
        written: "-inputlocale:0409:00000409 -image:m",
        becomes: "dism /Image:m /Set-InputLocale:0409:00000409",
    },
    Switch { written: "-timezone:UTC -image:m", becomes: "dism /Image:m /Set-TimeZone:UTC" },
    Switch {
        written: "-skuintldefaults:fr-FR -image:m",
        becomes: "dism /Image:m /Set-SKUIntlDefaults:fr-FR",
    },
    Switch {
        written: "-setupuilang:fr-FR -dist:d -image:m",
        becomes: "dism /Image:m /Set-SetupUILang:fr-FR /Distribution:d",
    },
    Switch {
        written: "-defaultlang:fr-FR -dist:d -image:m",
        becomes: "dism /Image:m /Set-SetupUILang:fr-FR /Distribution:d",
    },
    Switch { written: "-genlangini -dist:d -image:m", becomes: "dism /Image:m /Gen-LangINI /Distribution:d" },
    Switch { written: "-report -image:m", becomes: "dism /Image:m /Get-Intl" },
    Switch { written: "-report -image:m -dist:d", becomes: "dism /Image:m /Get-Intl /Distribution:d" },
    Switch { written: "-report -image:m -log:x.log", becomes: "dism /Image:m /LogPath:x.log /Get-Intl" },
];

pub(super) fn translate(words: &[OsString], image_known: bool) -> Result<Vec<OsString>> {
    let tool = Tool::Intlcfg;
    let (mut image, mut distribution, mut globals) = (None, None, Vec::new());
    let mut commands: Vec<OsString> = Vec::new();
    for written in words {
        let (name, value) = match word(written) {
            Word::Switch(name, value) => (name, value.filter(|value| !value.is_empty())),
            Word::Plain(plain) => return Err(unknown(tool, plain.to_string_lossy())),
        };
        let needed = || value.clone().ok_or_else(|| needs_value(tool, &name));
        let dism = match name.as_str() {
            "all" => "Set-AllIntl",
            "uilang" => "Set-UILang",
            "uilangfallback" => "Set-UILangFallback",
            "syslocale" => "Set-SysLocale",
            "userlocale" => "Set-UserLocale",
            "inputlocale" => "Set-InputLocale",
            "timezone" => "Set-TimeZone",
            "skuintldefaults" => "Set-SKUIntlDefaults",
            "setupuilang" | "defaultlang" => "Set-SetupUILang",
            "genlangini" => {
                commands.push("/Gen-LangINI".into());
                continue;
            }
            "report" => {
                commands.push("/Get-Intl".into());
                continue;
            }
            "image" => {
                image = Some(needed()?);
                continue;
            }
            "dist" => {
                distribution = Some(option("Distribution", needed()?));
                continue;
            }
            "log" => {
                globals.push(option("LogPath", needed()?));
                continue;
            }
            _ => return Err(unknown(tool, written.to_string_lossy())),
        };
        commands.push(option(dism, needed()?));
    }
    if commands.is_empty() {
        return Err(missing(tool, "something to set or -report"));
    }
    let mut front = match image {
        Some(image) => image_options(&image),
        None if image_known => Vec::new(),
        None => vec!["/Online".into()],
    };
    front.extend(globals);
    // Settings are combined in one command line, as DISM allows.
    front.extend(commands);
    front.extend(distribution);
    Ok(front)
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn settings_go_together() {
        check(
            Tool::Intlcfg,
            &[
                (
                    "-uilang:de-DE -inputlocale:0407:00000407 -image:/mnt/w/Windows",
                    "dism /Image:/mnt/w /Set-UILang:de-DE /Set-InputLocale:0407:00000407",
                ),
                ("-image:m", "error: intlcfg needs something to set or -report"),
                ("-all -image:m", "error: intlcfg /all needs a value"),
                ("-colour:red", "error: intlcfg does not know -colour:red"),
            ],
        );
    }
}
