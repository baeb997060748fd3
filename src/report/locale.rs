// SPDX-License-Identifier: GPL-3.0-or-later
//! The fixed lines around DISM's reports in the user's language, from the Fluent files in
//! `locales`. Labels, messages and JSON stay English.

use std::sync::OnceLock;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource};
use unic_langid::LanguageIdentifier;

/// A language that there are texts in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Locale {
    /// The reference.
    #[default]
    English,
    /// French.
    French,
    /// German.
    German,
    /// Italian.
    Italian,
}

type Bundle = FluentBundle<FluentResource>;

impl Locale {
    /// The language of a locale's name as POSIX has it, such as `de_DE.UTF-8`; English for any
    /// that there are no texts in.
    pub fn from_posix(name: &str) -> Self {
        let language = name.split(['_', '-', '.', '@']).next().unwrap_or_default();
        match language.to_ascii_lowercase().as_str() {
            "de" => Self::German,
            "fr" => Self::French,
            "it" => Self::Italian,
            _ => Self::English,
        }
    }

    fn source(self) -> (&'static str, &'static str) {
        match self {
            Self::English => ("en", include_str!("locales/en.ftl")),
            Self::French => ("fr", include_str!("locales/fr.ftl")),
            Self::German => ("de", include_str!("locales/de.ftl")),
            Self::Italian => ("it", include_str!("locales/it.ftl")),
        }
    }

    fn bundle(self) -> &'static Bundle {
        static BUNDLES: [OnceLock<Bundle>; 4] = [const { OnceLock::new() }; 4];
        let [english, french, german, italian] = &BUNDLES;
        let place = match self {
            Self::English => english,
            Self::French => french,
            Self::German => german,
            Self::Italian => italian,
        };
        place.get_or_init(|| {
            let (tag, source) = self.source();
            let tag: LanguageIdentifier = tag.parse().unwrap_or_default();
            let mut bundle = Bundle::new_concurrent(vec![tag]);
            // Isolating marks around values are for mixed directions of writing; scripts read these lines.
            bundle.set_use_isolating(false);
            // A test parses every file: there are no errors here.
            let resource = FluentResource::try_new(source.to_owned()).unwrap_or_else(|(read, _)| read);
            bundle.add_resource_overriding(resource);
            bundle
        })
    }

    fn own_text(self, id: &str, arguments: &FluentArgs<'_>) -> Option<String> {
        let pattern = self.bundle().get_message(id)?.value()?;
        let mut errors = Vec::new();
        let text = self.bundle().format_pattern(pattern, Some(arguments), &mut errors).into_owned();
        errors.is_empty().then_some(text)
    }

    /// The text of this id, in English where this language has none.
    pub(super) fn text(self, id: &str, arguments: &[(&'static str, &str)]) -> String {
        let arguments: FluentArgs<'_> = arguments.iter().map(|(name, value)| (*name, *value)).collect();
        self.own_text(id, &arguments).or_else(|| Self::English.own_text(id, &arguments)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Locale; 4] = [Locale::English, Locale::French, Locale::German, Locale::Italian];

    #[test]
    fn every_file_is_sound_and_has_every_text() {
        let arguments = [("version", "1"), ("code", "2"), ("path", "3"), ("hint", "4")];
        let ids = ["title", "version", "image-version", "success", "error", "log", "hint"];
        for locale in ALL {
            let (_, source) = locale.source();
            assert!(FluentResource::try_new(source.to_owned()).is_ok(), "{locale:?}");
            for id in ids {
                let fluent = arguments.iter().map(|(name, value)| (*name, *value)).collect();
                let text = locale.own_text(id, &fluent).unwrap_or_default();
                assert!(!text.is_empty(), "{locale:?} {id}");
                assert_eq!(text.contains('1'), id.ends_with("version"), "{locale:?} {id}");
            }
        }
        assert_eq!(Locale::German.text("none", &[]), "");
        assert_eq!(Locale::French.text("error", &[("code", "87")]), "Erreur\u{a0}: 87");
    }

    #[test]
    fn languages_by_the_name_of_a_locale() {
        let cases = [
            ("de_DE.UTF-8", Locale::German),
            ("fr", Locale::French),
            ("it_CH@euro", Locale::Italian),
            ("en_GB.UTF-8", Locale::English),
            ("C", Locale::English),
            ("zh_CN", Locale::English),
            ("", Locale::English),
        ];
        for (name, expected) in cases {
            assert_eq!(Locale::from_posix(name), expected, "{name}");
        }
    }
}
