// SPDX-License-Identifier: GPL-3.0-or-later
//! What a sample image is to be.

use std::fmt;

use transom::base::Arch;

use crate::random::Random;

/// How the WIM is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all.
    None,
    /// XPRESS.
    Xpress,
    /// LZX, as in most images.
    Lzx,
    /// LZMS in one solid resource, as in an ESD.
    LzmsSolid,
}

impl Compression {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::None, Self::Xpress, Self::Lzx, Self::LzmsSolid];

    /// The word that `wimlib-imagex --compress` takes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Xpress => "xpress",
            Self::Lzx => "lzx",
            Self::LzmsSolid => "solid",
        }
    }
}

/// Where the SYSTEM hive comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SystemHive {
    /// Made here.
    Made,
    /// The real hive of a Windows 10 computer from the corpus, dirty, with its two logs; where the
    /// corpus is missing, making the sample fails.
    Real,
}

/// What a sample image is to be. Equal specs give equal images, but for what the clock and
/// `wimlib-imagex` put into the WIM.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Spec {
    /// How many names are no directories: 200 to 100,000.
    pub files: u32,
    /// The architecture of Windows.
    pub arch: Arch,
    /// The build number of Windows: 14393, 26100 ...
    pub build: u16,
    /// Other numbers give other contents.
    pub seed: u64,
    /// How many images the WIM holds; each has an edition of its own.
    pub images: u32,
    /// How it is compressed.
    pub compression: Compression,
    /// Whether it carries an integrity table.
    pub integrity: bool,
    /// Whether the first image is marked as bootable.
    pub bootable: bool,
    /// Where the SYSTEM hive comes from.
    pub system: SystemHive,
    /// Do without NTFS even where it could be had.
    pub plain: bool,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            files: 400,
            arch: Arch::Amd64,
            build: 26100,
            seed: 1,
            images: 1,
            compression: Compression::Lzx,
            integrity: false,
            bootable: false,
            system: SystemHive::Made,
            plain: false,
        }
    }
}

/// The editions of the images of a file, first to last, then again.
const EDITIONS: [(&str, &str); 4] = [
    ("Professional", "Windows 11 Pro"),
    ("Core", "Windows 11 Home"),
    ("Education", "Windows 11 Education"),
    ("Enterprise", "Windows 11 Enterprise"),
];

impl Spec {
    /// Whether the hives have the sizes of real ones.
    pub fn real_size_hives(&self) -> bool {
        self.files >= 20_000
    }

    /// Edition and product name of an image, counted from 1.
    pub fn edition(&self, image: u32) -> (&'static str, &'static str) {
        EDITIONS[(image.max(1) - 1) as usize % EDITIONS.len()]
    }

    /// The seed of what differs between the images of one file.
    pub(crate) fn image_seed(&self, image: u32) -> u64 {
        Random::of(self.seed, &format!("image {image}")).bits()
    }

    /// About how long a made-up file is.
    pub(crate) fn mean_length(&self) -> u32 {
        match self.files {
            0..20_000 => 8_000,
            20_000..50_000 => 16_000,
            _ => 8_000,
        }
    }
}

/// The name of the folder that a sample of this spec is kept in.
impl fmt::Display for Spec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}-{}-{}-x{}-{}-s{}",
            self.files,
            self.arch,
            self.build,
            self.images,
            self.compression.as_str(),
            self.seed
        )?;
        for (set, word) in [
            (self.integrity, "-integrity"),
            (self.bootable, "-boot"),
            (self.system == SystemHive::Real, "-realsystem"),
            (self.plain, "-plain"),
        ] {
            if set {
                formatter.write_str(word)?;
            }
        }
        Ok(())
    }
}
