// SPDX-License-Identifier: GPL-3.0-or-later
//! Images shaped like Windows 11, made for the tests and the demonstration.
//!
//! The WIM is written by `wimlib-imagex`, so that our reader meets another's writing. Its trees
//! come from NTFS volumes in files, filled through ntfs-3g, so that the images have security
//! descriptors, short names, named streams, reparse points, object ids and times. Where FUSE is
//! missing plain folders serve, and a notice says what they do not cover.
//!
//! Samples are kept below `target/sample`, each in a folder named by its [`Spec`].

pub mod content;
pub mod drivers;
pub mod hive_log;
mod hives;
pub mod large_hive;
pub mod listing;
pub mod measure;
pub mod mutation;
mod ntfs;
pub mod parsers;
pub mod plan;
mod random;
pub mod security;
mod spec;
pub mod tool;
mod wim;
mod windows;

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

pub use random::Random;
pub use spec::{Compression, Spec, SystemHive};

/// Changes with what the generator makes, so that older samples are not taken for new ones.
const GENERATION: u32 = 1;

/// A sample that has been made.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The WIM. It is shared: copy it before you change it ([`Sample::copy`]).
    pub wim: PathBuf,
    /// What it was asked to be.
    pub spec: Spec,
    /// Whether the tree came from NTFS, with all that NTFS keeps about a file.
    pub has_nt_metadata: bool,
}

impl Sample {
    /// The sample of a spec, from `target/sample` or made now. Several processes may ask at once.
    ///
    /// # Errors
    /// When it cannot be made; the error says by which program.
    pub fn of(spec: &Spec) -> Result<Self> {
        let obstacle = if spec.plain { Some("a plain tree was asked for".into()) } else { ntfs::obstacle() };
        if let Some(reason) = &obstacle
            && !spec.plain
        {
            eprintln!(
                "notice: the sample image comes from a plain tree ({reason}): no security descriptors, \
                 short names, named streams, object ids or NT times are covered"
            );
        }
        let nt = obstacle.is_none();
        let name = format!("{spec}-g{GENERATION}{}", if nt { "" } else { "-nofuse" });
        let folder = samples_folder().join(name);
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let wim = folder.join("install.wim");
        let lock = File::create(folder.join("lock"))?;
        lock.lock()?;
        if !wim.is_file() {
            let scratch = tempfile::Builder::new().prefix("making-").tempdir_in(&folder)?;
            let unfinished = scratch.path().join("install.wim");
            wim::make(spec, nt, &unfinished, scratch.path())
                .with_context(|| format!("while making the sample image {spec}"))?;
            std::fs::rename(&unfinished, &wim)?;
        }
        Ok(Self { wim, spec: spec.clone(), has_nt_metadata: nt })
    }

    /// Copies the WIM to where a test may change it.
    ///
    /// # Errors
    /// When the copy cannot be written.
    pub fn copy(&self, target: &Path) -> Result<()> {
        std::fs::copy(&self.wim, target)
            .map(drop)
            .with_context(|| format!("while copying the sample to {}", target.display()))
    }
}

/// The checkout that this package was built in.
fn checkout() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).unwrap_or(package)
}

/// Where samples are kept.
fn samples_folder() -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| checkout().join("target"), PathBuf::from);
    target.join("sample")
}

/// The corpus of real files: `TRANSOM_CORPUS`, else `../shared/corpus` beside the checkout.
pub fn corpus() -> Option<PathBuf> {
    let folder =
        std::env::var_os("TRANSOM_CORPUS").map_or_else(|| checkout().join("../shared/corpus"), PathBuf::from);
    folder.is_dir().then_some(folder)
}
