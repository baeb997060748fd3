// SPDX-License-Identifier: GPL-3.0-or-later
//! Processor architectures by every number and word Windows uses for them.

use std::fmt;

/// The processor architecture of an image, a driver or a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Arch {
    /// 32-bit x86.
    X86,
    /// 32-bit ARM (Thumb-2).
    Arm,
    /// Itanium.
    Ia64,
    /// 64-bit x86.
    Amd64,
    /// 64-bit ARM.
    Arm64,
}

impl Arch {
    /// Every architecture, in the order of its `PROCESSOR_ARCHITECTURE_*` number.
    pub const ALL: [Self; 5] = [Self::X86, Self::Arm, Self::Ia64, Self::Amd64, Self::Arm64];

    /// The `PROCESSOR_ARCHITECTURE_*` number (winnt.h), as WIM XML and `DriverDatabase` store it.
    pub fn processor_number(self) -> u16 {
        match self {
            Self::X86 => 0,
            Self::Arm => 5,
            Self::Ia64 => 6,
            Self::Amd64 => 9,
            Self::Arm64 => 12,
        }
    }

    /// The architecture of a `PROCESSOR_ARCHITECTURE_*` number.
    pub fn from_processor_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|arch| u32::from(arch.processor_number()) == number)
    }

    /// The `IMAGE_FILE_MACHINE_*` number of the PE format.
    pub fn pe_machine(self) -> u16 {
        match self {
            Self::X86 => 0x014C,
            Self::Arm => 0x01C4,
            Self::Ia64 => 0x0200,
            Self::Amd64 => 0x8664,
            Self::Arm64 => 0xAA64,
        }
    }

    /// The architecture of an `IMAGE_FILE_MACHINE_*` number.
    pub fn from_pe_machine(machine: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|arch| arch.pe_machine() == machine)
    }

    /// The word used in INF decorations, component identities and store folder names.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::X86 => "x86",
            Self::Arm => "arm",
            Self::Ia64 => "ia64",
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// The word DISM prints for an image (`x64` where everything else says `amd64`).
    pub fn dism_name(self) -> &'static str {
        match self {
            Self::Amd64 => "x64",
            other => other.as_str(),
        }
    }

    /// Reads the word of [`Arch::as_str`], in any case; `x64` is accepted too.
    pub fn parse(word: &str) -> Option<Self> {
        if word.eq_ignore_ascii_case("x64") {
            return Some(Self::Amd64);
        }
        Self::ALL.into_iter().find(|arch| arch.as_str().eq_ignore_ascii_case(word))
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_words_round_trip() {
        for arch in Arch::ALL {
            assert_eq!(Arch::from_processor_number(arch.processor_number().into()), Some(arch));
            assert_eq!(Arch::from_pe_machine(arch.pe_machine()), Some(arch));
            assert_eq!(Arch::parse(&arch.as_str().to_uppercase()), Some(arch));
        }
        assert_eq!(Arch::parse("x64"), Some(Arch::Amd64));
        assert_eq!(Arch::parse("mips"), None);
        assert_eq!(Arch::from_processor_number(1), None);
    }
}
