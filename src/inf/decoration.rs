// SPDX-License-Identifier: GPL-3.0-or-later
//! TargetOS decorations: `NT[arch][.[major][.[minor][.[product][.[suite][.[build]]]]]]`.
//!
//! Sources: Microsoft's "INF Manufacturer section" and "Combining platform extensions with
//! operating system versions". A build number counts only when major and minor are the target's
//! own, and Windows before 10.0.14310 ignores a decoration that has one. Which of two applicable
//! decorations is closer when versions are equal is not documented; the order here is product
//! type, suites, architecture.

use std::fmt;

use super::Target;
use super::document::Section;
use super::number::number;
use crate::base::{Arch, Version};

/// What a models section or an install section is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Decoration {
    /// Whether there is a decoration at all.
    pub nt: bool,
    /// The only architecture; nothing for all of them (for models: x86).
    pub arch: Option<Arch>,
    /// Least major version.
    pub major: Option<u16>,
    /// Least minor version of that major version.
    pub minor: Option<u16>,
    /// `wProductType`: 1 workstation, 2 domain controller, 3 server.
    pub product_type: Option<u32>,
    /// Suites that must be present.
    pub suite_mask: Option<u32>,
    /// Least build of that very major and minor version.
    pub build: Option<u32>,
}

/// The first build that understands build numbers in decorations.
const FIRST_BUILD_AWARE: (u16, u16, u16) = (10, 0, 14310);

/// How close a decoration is to the target: compared field by field, more is closer.
pub(super) type Closeness = (u16, u16, u32, bool, u32, bool, bool);

impl Decoration {
    /// Reads a decoration, without the dot before it. Nothing when it breaks the form.
    pub fn parse(text: &str) -> Option<Self> {
        let (prefix, rest) = text.split_at_checked(2)?;
        if !prefix.eq_ignore_ascii_case("NT") {
            return None;
        }
        let mut parts = rest.split('.');
        let arch = match parts.next()? {
            "" => None,
            word => Some(Arch::ALL.into_iter().find(|arch| arch.as_str().eq_ignore_ascii_case(word))?),
        };
        let mut value = || match parts.next().map(str::trim) {
            None | Some("") => Some(None),
            Some(part) => number(part).map(Some),
        };
        let narrow = |part: Option<u32>| match part {
            None => Some(None),
            Some(part) => u16::try_from(part).ok().map(Some),
        };
        let decoration = Self {
            nt: true,
            arch,
            major: narrow(value()?)?,
            minor: narrow(value()?)?,
            product_type: value()?,
            suite_mask: value()?,
            build: value()?,
        };
        parts.next().is_none().then_some(decoration)
    }

    /// Whether a section of this decoration may serve the target; `arch` aside.
    fn fits_version(&self, target: &Target) -> bool {
        let version = target.version;
        if self.build.is_some() && (version.major, version.minor, version.build) < FIRST_BUILD_AWARE {
            return false;
        }
        let least = (self.major.unwrap_or(0), self.minor.unwrap_or(0));
        let own = (version.major, version.minor);
        own >= least
            && (own != least || self.build.is_none_or(|build| u32::from(version.build) >= build))
            && self.product_type.is_none_or(|product| u32::from(target.product_type) == product)
            && self.suite_mask.is_none_or(|suites| target.suite_mask & suites == suites)
    }

    /// Whether a models section of this decoration serves the target. One without architecture
    /// is for x86 alone (since Server 2003 SP1), unless `any_arch`.
    pub(super) fn fits_models(&self, target: &Target, any_arch: bool) -> bool {
        let arch = match self.arch {
            Some(arch) => arch == target.arch,
            None => any_arch || target.arch == Arch::X86,
        };
        arch && self.fits_version(target)
    }

    /// Whether an install section of this decoration serves the target.
    pub(super) fn fits_install(&self, target: &Target) -> bool {
        self.arch.is_none_or(|arch| arch == target.arch) && self.fits_version(target)
    }

    pub(super) fn closeness(&self) -> Closeness {
        (
            self.major.unwrap_or(0),
            self.minor.unwrap_or(0),
            self.build.unwrap_or(0),
            self.product_type.is_some(),
            self.suite_mask.unwrap_or(0).count_ones(),
            self.arch.is_some(),
            self.nt,
        )
    }

    /// The least Windows version it asks for, when it asks for one.
    pub fn os_floor(&self) -> Option<Version> {
        let build = u16::try_from(self.build.unwrap_or(0)).unwrap_or(u16::MAX);
        self.major.map(|major| Version::new(major, self.minor.unwrap_or(0), build, 0))
    }
}

/// As an INF spells it, with the architecture in lower case: `NTamd64.10.0...16299`.
impl fmt::Display for Decoration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.nt {
            return formatter.write_str("(undecorated)");
        }
        write!(formatter, "NT{}", self.arch.map_or("", Arch::as_str))?;
        let parts = [
            self.major.map(u32::from),
            self.minor.map(u32::from),
            self.product_type,
            self.suite_mask,
            self.build,
        ];
        let used = parts.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        for part in parts.iter().take(used) {
            formatter.write_str(".")?;
            if let Some(part) = part {
                write!(formatter, "{part}")?;
            }
        }
        Ok(())
    }
}

/// The decoration of an install section that is `base` with or without one.
pub(super) fn of_section(base: &str, section: &Section<'_>) -> Option<Decoration> {
    let name = section.name();
    let (head, tail) = name.split_at_checked(base.len())?;
    if !super::document::same(head, base) {
        return None;
    }
    if tail.is_empty() {
        return Some(Decoration::default());
    }
    Decoration::parse(tail.strip_prefix('.')?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(arch: Arch, version: Version) -> Target {
        Target { arch, version, product_type: 1, suite_mask: 0x100, language: 0x0409 }
    }

    #[test]
    fn forms() {
        let plain = Decoration { nt: true, ..Decoration::default() };
        let cases = [
            ("nt", Some(plain), "NT"),
            (
                "NTx86.5.1",
                Some(Decoration { arch: Some(Arch::X86), major: Some(5), minor: Some(1), ..plain }),
                "NTx86.5.1",
            ),
            (
                "NTarm64.10.0...17135",
                Some(Decoration {
                    arch: Some(Arch::Arm64),
                    major: Some(10),
                    minor: Some(0),
                    build: Some(17135),
                    ..plain
                }),
                "NTarm64.10.0...17135",
            ),
            (
                "NTAMD64.6..0x3.0x80",
                Some(Decoration {
                    arch: Some(Arch::Amd64),
                    major: Some(6),
                    product_type: Some(3),
                    suite_mask: Some(0x80),
                    ..plain
                }),
                "NTamd64.6..3.128",
            ),
            ("NT.6", Some(Decoration { major: Some(6), ..plain }), "NT.6"),
            ("NTmips", None, ""),
            ("NTx64", None, ""),
            ("NT$ARCH$", None, ""),
            ("NTx86.a", None, ""),
            ("NTx86.1.2.3.4.5.6", None, ""),
            ("Services", None, ""),
            ("N", None, ""),
            ("", None, ""),
        ];
        for (text, expected, shown) in cases {
            assert_eq!(Decoration::parse(text), expected, "{text}");
            if let Some(decoration) = expected {
                assert_eq!(decoration.to_string(), shown);
            }
        }
    }

    #[test]
    fn what_fits() {
        let ten = target(Arch::Amd64, Version::new(10, 0, 14393, 0));
        let old = target(Arch::Amd64, Version::new(10, 0, 10240, 0));
        let eight = target(Arch::X86, Version::new(6, 3, 9600, 0));
        let cases = [
            ("NTamd64", true, true, false),
            ("NTx86", false, false, true),
            ("NT", false, false, true),
            ("NT.6.1", false, false, true),
            ("NTamd64.6.3", true, true, false),
            ("NTamd64.10.0", true, true, false),
            ("NTamd64.10.1", false, false, false),
            ("NTamd64.10.0...14393", true, false, false),
            ("NTamd64.10.0...14394", false, false, false),
            ("NTamd64.6.1...99999", true, false, false),
            ("NTamd64...1", true, true, false),
            ("NTamd64...3", false, false, false),
            ("NTamd64....0x100", true, true, false),
            ("NTamd64....0x180", false, false, false),
        ];
        for (text, on_ten, on_old, on_eight) in cases {
            let decoration = Decoration::parse(text).unwrap();
            assert_eq!(decoration.fits_models(&ten, false), on_ten, "{text} on 10.0.14393");
            assert_eq!(decoration.fits_models(&old, false), on_old, "{text} on 10.0.10240");
            assert_eq!(decoration.fits_models(&eight, false), on_eight, "{text} on x86 6.3");
        }
        let bare = Decoration::default();
        assert!(!bare.fits_models(&ten, false) && bare.fits_models(&ten, true));
        assert!(bare.fits_models(&eight, false) && bare.fits_install(&ten));
    }

    #[test]
    fn the_closest_wins() {
        let order = [
            "NT",
            "NTamd64",
            "NT.6.1",
            "NTamd64.6.1",
            "NTamd64.6.1.1",
            "NTamd64.6.3",
            "NTamd64.10.0",
            "NTamd64.10.0...16299",
        ];
        let closeness: Vec<Closeness> =
            order.iter().map(|text| Decoration::parse(text).unwrap().closeness()).collect();
        assert!(closeness.is_sorted());
        assert!(Decoration::default().closeness() < closeness[0]);
    }
}
