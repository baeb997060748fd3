// SPDX-License-Identifier: GPL-3.0-or-later
//! Languages, locales, keyboards and time zone; several settings go in one run.

use super::{Argument, Command, Kind, Scope, option, planned, required, value};

const DISTRIBUTION: Argument = option(
    "distribution",
    &["Distribution"],
    "distribution",
    (Kind::Path, "DIR"),
    "The folder of an installation medium: language packs lie in `langpacks` below it.",
);

/// A setting: its value stands behind the command's name, and it may be combined with others.
const fn setting(
    dism: &'static [&'static str],
    native: &'static str,
    arguments: &'static [Argument],
    summary: &'static str,
) -> Command {
    Command {
        shorthand: Some("value"),
        combines: true,
        ..planned(dism, native, Scope::Servicing, arguments, summary)
    }
}

pub(super) static COMMANDS: &[Command] = &[
    planned(
        &["Get-Intl"],
        "intl show",
        Scope::Servicing,
        &[DISTRIBUTION],
        "Tells languages, locales, keyboards and time zone of an image.",
    ),
    setting(
        &["Set-UILang"],
        "intl set-ui-language",
        &[
            value("TAG", Kind::Text, "The language of the user interface; it must be installed."),
            DISTRIBUTION,
        ],
        "Sets the default language of the user interface.",
    ),
    setting(
        &["Set-UILangFallback"],
        "intl set-ui-fallback",
        &[value("TAG", Kind::Text, "The language that stands in for what is not translated."), DISTRIBUTION],
        "Sets the fallback of a partly translated user interface.",
    ),
    setting(
        &["Set-SysUILang"],
        "intl set-system-ui-language",
        &[value("TAG", Kind::Text, "The language of the system's user interface."), DISTRIBUTION],
        "Sets the language of the user interface of the system.",
    ),
    setting(
        &["Set-SysLocale"],
        "intl set-system-locale",
        &[value("TAG", Kind::Text, "The language of programs that do not use Unicode."), DISTRIBUTION],
        "Sets the system locale.",
    ),
    setting(
        &["Set-UserLocale"],
        "intl set-user-locale",
        &[value("TAG", Kind::Text, "The formats of dates and numbers of new users."), DISTRIBUTION],
        "Sets the locale of new users.",
    ),
    setting(
        &["Set-InputLocale"],
        "intl set-input-locale",
        &[
            value(
                "LIST",
                Kind::Text,
                "A language, or pairs of language and keyboard separated by semicolons; the first is the default.",
            ),
            DISTRIBUTION,
        ],
        "Sets languages and keyboards of new users.",
    ),
    setting(
        &["Set-AllIntl"],
        "intl set-all",
        &[value("TAG", Kind::Text, "The language for all of them."), DISTRIBUTION],
        "Sets user interface, system locale, user locale and keyboard to one language.",
    ),
    setting(
        &["Set-TimeZone"],
        "intl set-time-zone",
        &[value("NAME", Kind::Text, "The name of a time zone as Windows knows it."), DISTRIBUTION],
        "Sets the time zone.",
    ),
    setting(
        &["Set-SKUIntlDefaults"],
        "intl set-defaults",
        &[value("TAG", Kind::Text, "The language whose defaults are meant."), DISTRIBUTION],
        "Sets all of them, and the time zone, to the defaults of a language.",
    ),
    setting(
        &["Set-LayeredDriver"],
        "intl set-layered-driver",
        &[
            value(
                "1..6",
                Kind::Choice(&["1", "2", "3", "4", "5", "6"]),
                "The keyboard: 1 PC/AT, 2 to 5 Korean, 6 Japanese.",
            ),
            DISTRIBUTION,
        ],
        "Sets the keyboard driver for Japanese or Korean.",
    ),
    setting(
        &["Set-SetupUILang"],
        "intl set-setup-language",
        &[value("TAG", Kind::Text, "The language of Setup."), required(DISTRIBUTION)],
        "Sets the language that Setup speaks.",
    ),
    Command {
        combines: true,
        ..planned(
            &["Gen-LangINI"],
            "intl write-lang-ini",
            Scope::Servicing,
            &[required(DISTRIBUTION)],
            "Writes the lang.ini of an installation medium.",
        )
    },
];
