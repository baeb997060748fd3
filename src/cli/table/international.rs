// SPDX-License-Identifier: GPL-3.0-or-later
//! Languages, locales, keyboards and time zone; several settings go in one run.

use super::{Command, international, servicing};

pub(super) static COMMANDS: &[Command] = &[
    international(&["Gen-LangINI"]),
    servicing(&["Get-Intl"]),
    international(&["Set-AllIntl"]),
    international(&["Set-InputLocale"]),
    international(&["Set-LayeredDriver"]),
    international(&["Set-SetupUILang"]),
    international(&["Set-SKUIntlDefaults"]),
    international(&["Set-SysLocale"]),
    international(&["Set-SysUILang"]),
    international(&["Set-TimeZone"]),
    international(&["Set-UILang"]),
    international(&["Set-UILangFallback"]),
    international(&["Set-UserLocale"]),
];
