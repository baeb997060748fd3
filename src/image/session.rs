// SPDX-License-Identifier: GPL-3.0-or-later
//! One image under its overlay, with its registry, from opening to commit.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::{BlobHash, Context, Error, NodeId, Result, WinPath};
use crate::hive::RegistryChange;
use crate::io::{Cancel, Clock, Pool, Progress, Scratch};
use crate::volume::{self, FileChange, Overlay, Savepoint, Volume, WimVolume};
use crate::wim::{CommitOptions, CommitReport, ImageEdit, ImageIndex, ImageInfo, Transaction, Wim};

use super::registry::RegistrySavepoint;
use super::windows::{self, WindowsInfo};
use super::{ImageError, Registry};

/// What a session needs from outside.
#[derive(Clone)]
pub struct Environment {
    /// The time to stamp on what is changed.
    pub clock: Arc<dyn Clock>,
    /// Told what happens.
    pub progress: Arc<dyn Progress>,
    /// Asked between steps whether to stop.
    pub cancel: Cancel,
    /// Workers for heavy work.
    pub pool: Pool,
    /// Below it each session makes its own scratch directory.
    pub scratch_parent: PathBuf,
    /// Use hives that were not closed properly although no log completes them.
    pub ignore_dirty: bool,
}

/// One image under its overlay, with its registry.
pub struct Session {
    environment: Environment,
    overlay: Arc<Overlay>,
    registry: Registry,
    windows: WindowsInfo,
    wim: Option<WimSource>,
}

struct WimSource {
    path: PathBuf,
    /// The identity of the image that is edited.
    metadata: BlobHash,
}

/// A mark over files and hives to return to.
pub struct SessionSavepoint {
    overlay: Savepoint,
    registry: RegistrySavepoint,
}

/// All differences of a session from its base.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct SessionDiff {
    /// Files, hive files included.
    pub files: Vec<FileChange>,
    /// Keys and values, full paths (`HKLM\SYSTEM\...`).
    pub registry: Vec<RegistryChange>,
}

impl Session {
    /// Opens image `index` of a WIM.
    ///
    /// # Errors
    /// NotApplicable (0xc1500029) when there is no Windows in it; when the file, the image or a
    /// hive cannot be read; a dirty hive without logs unless the environment says to ignore it.
    pub fn open_wim(path: &Path, index: ImageIndex, environment: Environment) -> Result<Self> {
        let wim = Wim::open(path)?;
        let image = wim.image(index)?;
        let source = WimSource { path: path.to_owned(), metadata: image.metadata_hash() };
        let info = wim.images().iter().find(|info| info.index == index.0.get()).cloned();
        let volume = Arc::new(WimVolume(image));
        Self::open(volume, Some(source), info.as_ref(), environment)
            .context(|| format!("image {index} of {}", path.display()))
    }

    /// Opens a volume that holds a Windows directory. Such a session can be edited and compared,
    /// and its overlay read, but there is no WIM to commit to.
    ///
    /// # Errors
    /// As [`Session::open_wim`].
    pub fn open_volume(base: Arc<dyn Volume>, environment: Environment) -> Result<Self> {
        Self::open(base, None, None, environment)
    }

    fn open(
        base: Arc<dyn Volume>,
        wim: Option<WimSource>,
        xml: Option<&ImageInfo>,
        environment: Environment,
    ) -> Result<Self> {
        let directory = windows::find_directory(&*base)?;
        let scratch = Scratch::new_in(&environment.scratch_parent)?;
        let overlay = Arc::new(Overlay::new(base, scratch, Arc::clone(&environment.clock))?);
        let mut registry = Registry::new(
            Arc::clone(&overlay),
            Arc::clone(&environment.clock),
            directory.clone(),
            environment.ignore_dirty,
        );
        let windows = WindowsInfo::read(&*overlay, &mut registry, directory, xml)?;
        Ok(Self { environment, overlay, registry, windows, wim })
    }

    /// What is known about the Windows in the image.
    pub fn windows(&self) -> &WindowsInfo {
        &self.windows
    }

    /// What the session was given from outside.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The files.
    pub fn overlay(&self) -> &Overlay {
        &self.overlay
    }

    /// The hives.
    pub fn registry(&mut self) -> &mut Registry {
        &mut self.registry
    }

    /// Node of a path, following the image's case.
    ///
    /// # Errors
    /// When a directory on the way cannot be read.
    pub fn resolve(&self, path: &WinPath) -> Result<Option<NodeId>> {
        volume::resolve(&*self.overlay, path)
    }

    /// Opens a savepoint over files and hives.
    ///
    /// # Errors
    /// When the overlay's journal cannot be written.
    pub fn savepoint(&mut self) -> Result<SessionSavepoint> {
        Ok(SessionSavepoint { overlay: self.overlay.savepoint()?, registry: self.registry.savepoint() })
    }

    /// Keeps what was done since the savepoint.
    ///
    /// # Errors
    /// When the overlay's journal cannot be written.
    pub fn commit_savepoint(&mut self, savepoint: SessionSavepoint) -> Result<()> {
        self.registry.release(savepoint.registry);
        self.overlay.commit_savepoint(savepoint.overlay)
    }

    /// Undoes what was done since the savepoint.
    ///
    /// # Errors
    /// When the overlay's journal cannot be written.
    pub fn rollback(&mut self, savepoint: SessionSavepoint) -> Result<()> {
        self.registry.rollback(savepoint.registry);
        self.overlay.rollback(savepoint.overlay)
    }

    /// Saves changed hives into the overlay and describes all differences from the base.
    ///
    /// # Errors
    /// When a hive fails its checks or its file was changed by something else.
    pub fn diff(&mut self) -> Result<SessionDiff> {
        self.registry.save()?;
        Ok(SessionDiff { files: self.overlay.diff()?, registry: self.registry.diff()? })
    }

    /// Saves changed hives into the overlay.
    ///
    /// # Errors
    /// As [`Session::diff`].
    pub fn save(&mut self) -> Result<()> {
        self.registry.save()
    }

    /// Saves changed hives into the overlay, gives the edit for [`Transaction`]; nothing when
    /// nothing changed.
    ///
    /// # Errors
    /// As [`Session::diff`]; when the session was not opened on a WIM.
    pub fn image_edit(&mut self) -> Result<Option<ImageEdit>> {
        let metadata = self.wim.as_ref().ok_or(ImageError::NoWim)?.metadata;
        self.registry.save()?;
        if !self.overlay.is_changed() {
            return Ok(None);
        }
        Ok(Some(ImageEdit { metadata, tree: self.overlay.tree_edit()?, modified: self.registry.now() }))
    }

    /// [`Session::image_edit`] in a transaction of its own. Without a change the file is not
    /// touched.
    ///
    /// # Errors
    /// As [`Session::image_edit`] and [`Transaction::commit`]; the file is then as it was.
    pub fn commit(mut self) -> Result<CommitReport> {
        self.environment.cancel.check()?;
        let edit = self.image_edit()?;
        let path = &self.wim.as_ref().ok_or(ImageError::NoWim)?.path;
        let Some(edit) = edit else {
            let length = std::fs::metadata(path).map_err(|error| Error::io(path.display(), &error))?.len();
            return Ok(CommitReport {
                file_size_before: length,
                file_size_after: length,
                ..CommitReport::default()
            });
        };
        let mut transaction = Transaction::new(path);
        transaction.edit(edit);
        transaction.commit(&CommitOptions {
            pool: &self.environment.pool,
            progress: &*self.environment.progress,
            cancel: &self.environment.cancel,
        })
    }

    /// Things that make the result "exact except": a hive used although it was not closed properly.
    pub fn exceptions(&self) -> &[String] {
        self.registry.exceptions()
    }
}
