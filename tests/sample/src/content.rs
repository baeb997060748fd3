// SPDX-License-Identifier: GPL-3.0-or-later
//! The bytes of sample files: programs that a PE reader accepts, text, and data that compresses
//! about as well as real system files do.

use std::sync::{Arc, LazyLock};

use transom::base::Arch;

use crate::random::Random;

/// What is in a file; made when it is written.
#[derive(Clone, Debug)]
pub enum Content {
    /// These bytes.
    Bytes(Arc<[u8]>),
    /// A PE file.
    Program {
        /// The machine in its header.
        arch: Arch,
        /// Which kind of program.
        kind: ProgramKind,
        /// Where its bytes come from.
        seed: u64,
        /// About how long it is; rounded up to whole sectors.
        length: u32,
    },
    /// Data of no format.
    Data {
        /// Where its bytes come from.
        seed: u64,
        /// How long it is.
        length: u32,
    },
}

/// Kinds of PE files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramKind {
    /// A library.
    Library,
    /// A program with a console.
    Console,
    /// A driver or the kernel.
    Native,
}

impl Content {
    /// A text.
    pub fn text(text: impl AsRef<str>) -> Self {
        Self::Bytes(text.as_ref().as_bytes().into())
    }

    /// The bytes.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.to_vec(),
            Self::Program { arch, kind, seed, length } => program(*arch, *kind, *seed, *length),
            Self::Data { seed, length } => {
                let mut bytes = Vec::new();
                append_data(&mut bytes, *seed, *length as usize);
                bytes
            }
        }
    }
}

/// Bytes that files share phrases of.
static PHRASES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut random = Random::new(0x5452_414E_534F_4D21);
    let mut bytes = vec![0; 1 << 16];
    random.fill(&mut bytes);
    // Machine code and tables have few distinct bytes in places: a quarter is made plain.
    for start in (0..bytes.len()).step_by(64) {
        if random.one_in(4) {
            for byte in &mut bytes[start..start + 64] {
                *byte &= 0x13;
            }
        }
    }
    bytes
});

/// Appends data made of phrases that come again, with new bytes between them.
fn append_data(bytes: &mut Vec<u8>, seed: u64, length: usize) {
    let end = bytes.len() + length;
    let mut random = Random::new(seed);
    // The phrases of one file come from one window, so that they come again within a chunk.
    let window = (random.bits() & 0xEFFF) as usize;
    bytes.reserve(length + 64);
    while bytes.len() < end {
        let number = random.bits();
        let start = window + (number & 0xFF0) as usize;
        let phrase = 6 + ((number >> 12) & 0x1F) as usize;
        let stop = (start + phrase).min(PHRASES.len());
        bytes.extend_from_slice(&PHRASES[start..stop]);
        bytes.extend_from_slice(&number.to_le_bytes()[4..4 + ((number >> 17) & 3) as usize]);
    }
    bytes.truncate(end);
}

const SECTOR: u32 = 0x200;
const PAGE: u32 = 0x1000;

/// A PE file with one section, by the layout of Microsoft's "PE Format": DOS header, signature,
/// file header, optional header, section table, section.
fn program(arch: Arch, kind: ProgramKind, seed: u64, length: u32) -> Vec<u8> {
    let wide = matches!(arch, Arch::Amd64 | Arch::Arm64 | Arch::Ia64);
    let code_length = length.saturating_sub(SECTOR).max(1).next_multiple_of(SECTOR);
    let optional_size: u16 = if wide { 240 } else { 224 };
    let mut characteristics: u16 = 0x0002 | if wide { 0x0020 } else { 0x0100 };
    if kind == ProgramKind::Library {
        characteristics |= 0x2000;
    }
    let subsystem: u16 = match kind {
        ProgramKind::Native => 1,
        ProgramKind::Library => 2,
        ProgramKind::Console => 3,
    };

    let mut file = Vec::with_capacity((SECTOR + code_length) as usize);
    file.extend_from_slice(b"MZ");
    file.resize(0x3C, 0);
    put32(&mut file, 0x80);
    file.resize(0x80, 0);
    file.extend_from_slice(b"PE\0\0");
    // File header.
    put16(&mut file, arch.pe_machine());
    put16(&mut file, 1);
    put32(&mut file, (seed >> 32) as u32 & 0x3FFF_FFFF);
    put32(&mut file, 0);
    put32(&mut file, 0);
    put16(&mut file, optional_size);
    put16(&mut file, characteristics);
    // Optional header.
    let optional_start = file.len();
    put16(&mut file, if wide { 0x20B } else { 0x10B });
    put16(&mut file, 14);
    put32(&mut file, code_length);
    put32(&mut file, 0);
    put32(&mut file, 0);
    put32(&mut file, PAGE);
    put32(&mut file, PAGE);
    if wide {
        file.extend_from_slice(&0x1_8000_0000_u64.to_le_bytes());
    } else {
        put32(&mut file, PAGE + code_length.next_multiple_of(PAGE));
        put32(&mut file, 0x1000_0000);
    }
    put32(&mut file, PAGE);
    put32(&mut file, SECTOR);
    for version in [10, 0, 10, 0, 10, 0] {
        put16(&mut file, version);
    }
    put32(&mut file, 0);
    put32(&mut file, PAGE + code_length.next_multiple_of(PAGE));
    put32(&mut file, SECTOR);
    put32(&mut file, 0);
    put16(&mut file, subsystem);
    put16(&mut file, 0x4160);
    for size in [0x4_0000_u32, 0x2000, 0x10_0000, 0x1000] {
        put32(&mut file, size);
        if wide {
            put32(&mut file, 0);
        }
    }
    put32(&mut file, 0);
    put32(&mut file, 16);
    file.resize(optional_start + usize::from(optional_size), 0);
    // Section table.
    file.extend_from_slice(b".text\0\0\0");
    for number in [code_length, PAGE, code_length, SECTOR, 0, 0, 0, 0x6000_0020] {
        put32(&mut file, number);
    }
    file.resize(SECTOR as usize, 0);
    append_data(&mut file, seed, code_length as usize);
    file
}

fn put16(bytes: &mut Vec<u8>, number: u16) {
    bytes.extend_from_slice(&number.to_le_bytes());
}

fn put32(bytes: &mut Vec<u8>, number: u32) {
    bytes.extend_from_slice(&number.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_have_their_machine_where_readers_look() {
        for arch in [Arch::X86, Arch::Amd64, Arch::Arm, Arch::Arm64] {
            let file = Content::Program { arch, kind: ProgramKind::Library, seed: 7, length: 5000 }.bytes();
            assert_eq!(file.len(), 0x200 + 0x1200);
            assert_eq!(&file[0x80..0x84], b"PE\0\0");
            assert_eq!(u16::from_le_bytes([file[0x84], file[0x85]]), arch.pe_machine());
        }
    }

    #[test]
    fn data_is_as_long_as_asked_and_depends_on_its_seed_alone() {
        let data = |seed, length| Content::Data { seed, length }.bytes();
        assert_eq!(data(1, 10_000).len(), 10_000);
        assert_eq!(data(1, 0), Vec::<u8>::new());
        assert_eq!(data(3, 4096), data(3, 4096));
        assert_ne!(data(3, 4096), data(4, 4096));
        assert_eq!(data(3, 100), data(3, 4096)[..100]);
    }
}
