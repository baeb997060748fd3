// SPDX-License-Identifier: GPL-3.0-or-later
//! The hives of an image, opened through the overlay when they are first asked for.
//!
//! A hive is read from the bytes its file had when it was opened; edits stay in the hive until
//! [`Registry::save`] puts them into the overlay, as ranges of the file, and empties the hive's
//! logs. Two rules keep files and hives from drifting apart: a file that something else wrote to
//! meanwhile is never overwritten, and a rolled-back save takes its knowledge of the file with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::{
    BlobHash, Context, Error, ErrorClass, FileTime, NodeId, NodeKind, Result, StreamKind, WinPath, name,
};
use crate::hive::{
    self, Applied, Hive, HiveSavepoint, KeyId, OpenOptions, OpenState, RegSection, RegText, RegistryChange,
    Value,
};
use crate::io::{Clock, ReadAt};
use crate::volume::{self, NewData, Overlay, Volume};

use super::ImageError;
use super::hive_name::{self, HiveName};

/// The hives of an image, opened when first asked for.
pub struct Registry {
    overlay: Arc<Overlay>,
    clock: Arc<dyn Clock>,
    windows: WinPath,
    ignore_dirty: bool,
    /// Nothing: looked for and absent.
    hives: BTreeMap<HiveName, Option<Box<OpenHive>>>,
    exceptions: Vec<String>,
}

struct OpenHive {
    hive: Hive,
    path: WinPath,
    /// Nothing for a hive made in this session.
    file: Option<HiveFile>,
    /// Of the root key of a hive made in this session: what its emptiness is compared with.
    created_with: Option<Vec<u8>>,
    /// What this session last put into the overlay.
    written: Written,
}

struct HiveFile {
    /// The bytes as opened.
    source: Arc<dyn ReadAt>,
    /// Logs as opened.
    logs: Vec<Arc<dyn ReadAt>>,
}

/// What the overlay holds of a hive by our own doing.
#[derive(Clone, Default)]
struct Written {
    node: Option<NodeId>,
    stamp: Option<FileStamp>,
    /// Ranges that differ from the source: to be taken back if an edit vanishes.
    ranges: Vec<(u64, u64)>,
}

/// Tells whether a file's data is still what it was.
#[derive(Clone, PartialEq, Eq)]
struct FileStamp {
    length: u64,
    hash: Option<BlobHash>,
    write_time: FileTime,
    /// The base block: every writer of hives changes its sequence numbers.
    base_block: Vec<u8>,
}

const BASE_BLOCK_LENGTH: u64 = 4096;

/// A mark over all hives to return to.
pub(super) struct RegistrySavepoint(BTreeMap<HiveName, (HiveSavepoint, Written)>);

impl Registry {
    pub(super) fn new(
        overlay: Arc<Overlay>,
        clock: Arc<dyn Clock>,
        windows: WinPath,
        ignore_dirty: bool,
    ) -> Self {
        Self { overlay, clock, windows, ignore_dirty, hives: BTreeMap::new(), exceptions: Vec::new() }
    }

    /// The hive, opened on first use; nothing when the image has none.
    ///
    /// # Errors
    /// When its file is broken, or dirty without a log that completes it.
    pub fn hive(&mut self, name: HiveName) -> Result<Option<&mut Hive>> {
        if !self.hives.contains_key(&name) {
            let opened = self.open(name)?;
            self.hives.insert(name, opened.map(Box::new));
        }
        Ok(self.hives.get_mut(&name).and_then(Option::as_mut).map(|open| &mut open.hive))
    }

    /// The hive; an error when the image has none.
    ///
    /// # Errors
    /// As [`Registry::hive`], and NotFound.
    pub fn require(&mut self, name: HiveName) -> Result<&mut Hive> {
        let path = name.files(&self.windows).last().map(ToString::to_string).unwrap_or_default();
        self.hive(name)?.ok_or_else(|| ImageError::MissingHive { hive: name, path }.into())
    }

    /// The hive, created empty when the image has none. Its root gets the security descriptor
    /// of the SYSTEM hive's root.
    ///
    /// # Errors
    /// As [`Registry::hive`].
    pub fn hive_or_create(&mut self, name: HiveName) -> Result<&mut Hive> {
        if self.hive(name)?.is_none() {
            let now = self.now();
            let system = self.require(HiveName::System)?;
            let security = system.security(system.root())?;
            let path = name.files(&self.windows).into_iter().next_back().unwrap_or_default();
            let hive = Hive::create(ROOT_KEY_NAME, name.minor_version(), &security, now)?;
            let open = OpenHive {
                hive,
                path,
                file: None,
                created_with: Some(security),
                written: Written::default(),
            };
            self.hives.insert(name, Some(Box::new(open)));
        }
        self.require(name)
    }

    /// Numbers of the control sets that exist, the default one (`Select\Default`) first.
    ///
    /// # Errors
    /// When there is none.
    pub fn control_sets(&mut self) -> Result<Vec<u32>> {
        let hive = self.require(HiveName::System)?;
        let root = hive.root();
        let mut numbers = Vec::new();
        for key in hive.subkeys(root)? {
            let text = hive.name(key)?.to_string();
            let digits = match text.get(..CONTROL_SET.len()) {
                Some(prefix) if prefix.eq_ignore_ascii_case(CONTROL_SET) => text.get(CONTROL_SET.len()..),
                _ => None,
            };
            if let Some(number) =
                digits.filter(|digits| digits.len() == 3).and_then(|digits| digits.parse().ok())
            {
                numbers.push(number);
            }
        }
        let mut preferred = None;
        if let Some(select) = hive.find(root, "Select")? {
            for value in ["Default", "Current"] {
                let number = hive.value(select, &name::units(value))?.and_then(|value| value.as_dword());
                if preferred.is_none() && number.is_some_and(|number| numbers.contains(&number)) {
                    preferred = number;
                }
            }
        }
        numbers.sort_by_key(|&number: &u32| (Some(number) != preferred, number));
        if numbers.is_empty() {
            return Err(ImageError::NoControlSet.into());
        }
        Ok(numbers)
    }

    /// The name of a control set's key.
    pub fn control_set_key(number: u32) -> String {
        format!("{CONTROL_SET}{number:03}")
    }

    /// Hive and path below its root; `CurrentControlSet` becomes the default control set.
    fn locate(&mut self, path: &str) -> Result<(HiveName, String)> {
        let (hive, below) = hive_name::split(path)?;
        let (first, rest) = below.split_once('\\').unwrap_or((below.as_str(), ""));
        if hive == HiveName::System && first.eq_ignore_ascii_case("CurrentControlSet") {
            let number = self.control_sets()?.first().copied().ok_or(ImageError::NoControlSet)?;
            return Ok((hive, format!("{}\\{rest}", Self::control_set_key(number))));
        }
        Ok((hive, below))
    }

    /// Read access: `HKLM\SYSTEM\CurrentControlSet\...` (CurrentControlSet resolved).
    ///
    /// # Errors
    /// When the path names no hive, or the hive cannot be read.
    pub fn key(&mut self, path: &str) -> Result<Option<(HiveName, KeyId)>> {
        let (name, below) = self.locate(path)?;
        match self.hive(name)? {
            Some(hive) => Ok(hive.find(hive.root(), below.trim_end_matches('\\'))?.map(|key| (name, key))),
            None => Ok(None),
        }
    }

    /// A value of a key; nothing when either is absent. An empty name is the default value.
    ///
    /// # Errors
    /// As [`Registry::key`].
    pub fn value(&mut self, path: &str, name: &str) -> Result<Option<Value>> {
        match self.key(path)? {
            Some((hive, key)) => self.require(hive)?.value(key, &name::units(name)),
            None => Ok(None),
        }
    }

    /// Creates missing keys.
    ///
    /// # Errors
    /// As [`Registry::key`]; the hive must exist.
    pub fn create_key(&mut self, path: &str) -> Result<(HiveName, KeyId)> {
        let (name, below) = self.locate(path)?;
        let now = self.now();
        let hive = self.require(name)?;
        let root = hive.root();
        Ok((name, hive.create_path(root, below.trim_end_matches('\\'), now)?))
    }

    /// Sets a value, creating missing keys. A value that is already so is left alone.
    ///
    /// # Errors
    /// As [`Registry::create_key`].
    pub fn set_value(&mut self, path: &str, value: &Value) -> Result<()> {
        let (name, key) = self.create_key(path)?;
        let now = self.now();
        let hive = self.require(name)?;
        hive.set_value(key, value, now)
    }

    /// Deletes a key with everything below it; says whether it was there.
    ///
    /// # Errors
    /// As [`Registry::key`]; the root of a hive cannot be deleted.
    pub fn delete_key(&mut self, path: &str) -> Result<bool> {
        let now = self.now();
        let Some((name, key)) = self.key(path)? else { return Ok(false) };
        self.require(name)?.delete_key(key, now)?;
        Ok(true)
    }

    /// Deletes a value; says whether it was there. An empty name is the default value.
    ///
    /// # Errors
    /// As [`Registry::key`].
    pub fn delete_value(&mut self, path: &str, value: &str) -> Result<bool> {
        let now = self.now();
        let Some((name, key)) = self.key(path)? else { return Ok(false) };
        self.require(name)?.delete_value(key, &name::units(value), now)
    }

    /// Carries out `.reg` text, whose keys may lie in several hives.
    ///
    /// # Errors
    /// As [`Registry::create_key`], with the line; the edits before it are then made already, so
    /// that the caller has to drop them.
    pub fn import(&mut self, text: &RegText) -> Result<Applied> {
        let mut applied = Applied::default();
        for section in &text.sections {
            self.apply(section, &mut applied)
                .context(|| format!("at line {} of the .reg text", section.line))?;
        }
        Ok(applied)
    }

    /// Carries out one section of `.reg` text.
    ///
    /// # Errors
    /// As [`Registry::import`].
    pub fn apply(&mut self, section: &RegSection, applied: &mut Applied) -> Result<()> {
        let path = String::from_utf16(section.key.units()).map_err(|_| {
            let message = format!("the name of the key {} is ill-formed UTF-16", section.key);
            Error::new(ErrorClass::Unsupported, message)
        })?;
        let (name, below) = self.locate(&path)?;
        if section.delete && self.hive(name)?.is_none() {
            return Ok(());
        }
        let now = self.now();
        hive::apply(self.require(name)?, section, &name::units(&below), now, applied)
    }

    /// What opening the hive found; nothing while it is not open.
    pub fn open_state(&self, name: HiveName) -> Option<OpenState> {
        self.hives.get(&name).and_then(Option::as_ref).map(|open| open.hive.state())
    }

    /// The session's time.
    pub fn now(&self) -> FileTime {
        self.clock.now()
    }

    /// What makes edits of these hives "exact except".
    pub(super) fn exceptions(&self) -> &[String] {
        &self.exceptions
    }

    fn open(&mut self, name: HiveName) -> Result<Option<OpenHive>> {
        for path in name.files(&self.windows) {
            let Some(node) = volume::resolve(&*self.overlay, &path)? else { continue };
            let opened =
                self.open_file(name, &path, node).context(|| format!("while opening the hive {path}"))?;
            return Ok(Some(opened));
        }
        Ok(None)
    }

    fn open_file(&mut self, name: HiveName, path: &WinPath, node: NodeId) -> Result<OpenHive> {
        let source = self.overlay.open(node, StreamKind::Data, &[])?;
        let logs = self.log_nodes(path)?;
        let logs: Vec<Arc<dyn ReadAt>> = logs
            .into_iter()
            .map(|log| self.overlay.open(log, StreamKind::Data, &[]))
            .collect::<Result<_>>()?;
        let options = OpenOptions { logs: logs.clone(), ignore_dirty: self.ignore_dirty };
        let hive = match Hive::open(Arc::clone(&source), options) {
            Ok(hive) => hive,
            Err(error) if is_dirty(&*source) && !self.ignore_dirty => {
                return Err(ImageError::DirtyHive {
                    path: path.to_string(),
                    reason: error.message().to_owned(),
                }
                .into());
            }
            Err(error) => return Err(error),
        };
        if hive.state() == OpenState::DirtyIgnored {
            let exception = format!(
                "the hive {name} was not closed properly and no log completes it: it is used as it stands, so \
                 changes that Windows had not yet written are missing"
            );
            if !self.exceptions.contains(&exception) {
                self.exceptions.push(exception);
            }
        }
        let stamp = self.stamp(node)?;
        Ok(OpenHive {
            hive,
            path: path.clone(),
            file: Some(HiveFile { source, logs }),
            created_with: None,
            written: Written { node: Some(node), stamp: Some(stamp), ranges: Vec::new() },
        })
    }

    /// The hive's logs that are not empty: `X.LOG`, `X.LOG1`, `X.LOG2` in any case.
    fn log_nodes(&self, path: &WinPath) -> Result<Vec<NodeId>> {
        let (Some(parent), Some(file_name)) = (path.parent(), path.file_name()) else {
            return Ok(Vec::new());
        };
        let Some(directory) = volume::resolve(&*self.overlay, &parent)? else { return Ok(Vec::new()) };
        let mut nodes = Vec::new();
        for suffix in [".LOG1", ".LOG2", ".LOG"] {
            let mut log_name = file_name.units().to_vec();
            log_name.extend(suffix.encode_utf16());
            let Some(entry) = self.overlay.lookup(directory, &log_name)? else { continue };
            let node = self.overlay.node(entry.node)?;
            if node.data().is_some_and(|data| data.length > 0) {
                nodes.push(entry.node);
            }
        }
        Ok(nodes)
    }

    fn stamp(&self, node: NodeId) -> Result<FileStamp> {
        let record = self.overlay.node(node)?;
        let reader = self.overlay.open(node, StreamKind::Data, &[])?;
        let mut base_block = vec![0; usize::try_from(reader.len().min(BASE_BLOCK_LENGTH)).unwrap_or(0)];
        reader.read_exact_at(&mut base_block, 0)?;
        Ok(FileStamp {
            length: reader.len(),
            hash: record.data().and_then(|data| data.hash),
            write_time: record.write_time,
            base_block,
        })
    }

    pub(super) fn savepoint(&mut self) -> RegistrySavepoint {
        let open = self.hives.iter_mut().filter_map(|(name, open)| Some((*name, open.as_mut()?)));
        RegistrySavepoint(
            open.map(|(name, open)| (name, (open.hive.savepoint(), open.written.clone()))).collect(),
        )
    }

    /// Keeps every edit since the savepoint.
    pub(super) fn release(&mut self, savepoint: RegistrySavepoint) {
        for (name, (mark, _)) in savepoint.0 {
            if let Some(Some(open)) = self.hives.get_mut(&name) {
                open.hive.release(mark);
            }
        }
    }

    /// Undoes every edit since the savepoint. Hives opened after it are closed again.
    pub(super) fn rollback(&mut self, savepoint: RegistrySavepoint) {
        let RegistrySavepoint(mut marks) = savepoint;
        self.hives.retain(|name, open| match (marks.remove(name), open) {
            (Some((mark, written)), Some(open)) => {
                open.hive.rollback(mark);
                open.written = written;
                true
            }
            _ => false,
        });
    }

    /// Puts changed hives into the overlay and empties their logs.
    ///
    /// # Errors
    /// When a hive fails its checks, or its file was changed by something else.
    pub(super) fn save(&mut self) -> Result<()> {
        if !self.has_edits()? {
            return Ok(());
        }
        let names: Vec<HiveName> = self.hives.keys().copied().collect();
        for name in names {
            let Some(Some(mut open)) = self.hives.remove(&name) else { continue };
            let path = open.path.clone();
            let saved = self.save_one(&mut open).context(|| format!("while saving the hive {path}"));
            self.hives.insert(name, Some(open));
            saved?;
        }
        Ok(())
    }

    /// Whether anything was edited. A hive that was only completed from its logs is as good as
    /// it lies there: it is saved with the first edit of the session, not without one.
    fn has_edits(&self) -> Result<bool> {
        if self.overlay.is_changed() {
            return Ok(true);
        }
        for open in self.hives.values().flatten() {
            let edited = match &open.file {
                Some(_) if !open.hive.is_changed() => false,
                Some(file) if open.hive.state() == OpenState::Replayed => {
                    !crate::hive::diff(&self.as_opened(file)?, &open.hive)?.is_empty()
                }
                _ => true,
            };
            if edited {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn as_opened(&self, file: &HiveFile) -> Result<Hive> {
        let options = OpenOptions { logs: file.logs.clone(), ignore_dirty: self.ignore_dirty };
        Hive::open(Arc::clone(&file.source), options)
    }

    fn save_one(&self, open: &mut OpenHive) -> Result<()> {
        let stale = || ImageError::StaleHive { path: open.path.to_string() };
        if let (Some(node), Some(stamp)) = (open.written.node, &open.written.stamp) {
            let same_node = volume::resolve(&*self.overlay, &open.path)? == Some(node);
            if !same_node || self.stamp(node)? != *stamp {
                return Err(stale().into());
            }
        }
        if !open.hive.is_changed() && open.written.ranges.is_empty() && open.file.is_some() {
            return Ok(());
        }
        let node = match &open.file {
            Some(file) => {
                let Some(node) = open.written.node else { return Err(stale().into()) };
                let saved = open.hive.save()?;
                let ranges: Vec<(u64, u64)> =
                    saved.changed.iter().map(|(start, bytes)| (*start, bytes.len() as u64)).collect();
                if ranges.is_empty() && open.written.ranges.is_empty() && saved.length == file.source.len() {
                    return Ok(());
                }
                let changed =
                    restore_vanished(&*file.source, &open.written.ranges, saved.changed, saved.length)?;
                let patch = NewData::Patch { length: saved.length, ranges: changed };
                self.overlay.replace(node, StreamKind::Data, &[], patch)?;
                open.written.ranges = ranges;
                node
            }
            None => {
                let bytes = open.hive.to_bytes()?;
                let node = match open.written.node {
                    Some(node) => node,
                    None => self.create_file(&open.path)?,
                };
                self.overlay.replace(node, StreamKind::Data, &[], NewData::Bytes(bytes))?;
                node
            }
        };
        open.written.node = Some(node);
        open.written.stamp = Some(self.stamp(node)?);
        // Only after the clean primary is in place: it then ignores any log that is still there.
        for log in self.log_nodes(&open.path)? {
            self.overlay.replace(log, StreamKind::Data, &[], NewData::Bytes(Vec::new()))?;
        }
        Ok(())
    }

    fn create_file(&self, path: &WinPath) -> Result<NodeId> {
        let (Some(parent), Some(file_name)) = (path.parent(), path.file_name()) else {
            return Err(Error::new(ErrorClass::Internal, "a hive's file has no folder"));
        };
        let directory = self.overlay.create_directories(&parent)?;
        self.overlay.create(directory, file_name, NodeKind::File)
    }

    /// What every changed hive has more, less or different than when it was opened.
    pub(super) fn diff(&self) -> Result<Vec<RegistryChange>> {
        let mut changes = Vec::new();
        for (name, open) in &self.hives {
            let Some(open) = open else { continue };
            if !open.hive.is_changed() && open.file.is_some() {
                continue;
            }
            let old = match (&open.file, &open.created_with) {
                (Some(file), _) => self.as_opened(file)?,
                (None, security) => {
                    let security = security.as_deref().unwrap_or_default();
                    Hive::create(ROOT_KEY_NAME, name.minor_version(), security, self.now())?
                }
            };
            let mount_point = name.mount_point();
            changes.extend(
                crate::hive::diff(&old, &open.hive)?
                    .into_iter()
                    .map(|change| below_mount_point(change, mount_point)),
            );
        }
        Ok(changes)
    }
}

const CONTROL_SET: &str = "ControlSet";

/// What the kernel and offreg call the root of a hive that has no older name.
const ROOT_KEY_NAME: &str = "ROOT";

/// Whether the base block's sequence numbers say that a write was not completed.
fn is_dirty(source: &dyn ReadAt) -> bool {
    let mut sequences = [0u8; 12];
    match source.read_exact_at(&mut sequences, 0) {
        Ok(()) => sequences.get(4..8) != sequences.get(8..12),
        Err(_) => false,
    }
}

/// Adds to `changed` the source's bytes of ranges that were written earlier and no longer differ.
fn restore_vanished(
    source: &dyn ReadAt,
    earlier: &[(u64, u64)],
    mut changed: Vec<(u64, Vec<u8>)>,
    length: u64,
) -> Result<Vec<(u64, Vec<u8>)>> {
    let mut missing = Vec::new();
    for &(start, size) in earlier {
        let end = (start + size).min(source.len()).min(length);
        let mut position = start;
        for (other, bytes) in &changed {
            let other_end = other + bytes.len() as u64;
            if other_end <= position || *other >= end {
                continue;
            }
            if *other > position {
                missing.push((position, *other - position));
            }
            position = position.max(other_end);
        }
        if position < end {
            missing.push((position, end - position));
        }
    }
    for (start, size) in missing {
        changed.push((start, crate::io::read_vec(source, start, size)?));
    }
    changed.sort_by_key(|(start, _)| *start);
    Ok(changed)
}

fn below_mount_point(change: RegistryChange, mount_point: &str) -> RegistryChange {
    let full = |key: String| match key.trim_start_matches('\\') {
        "" => mount_point.to_owned(),
        below => format!("{mount_point}\\{below}"),
    };
    match change {
        RegistryChange::KeyAdded { key } => RegistryChange::KeyAdded { key: full(key) },
        RegistryChange::KeyRemoved { key } => RegistryChange::KeyRemoved { key: full(key) },
        RegistryChange::ValueSet { key, name, kind, data, old } => {
            RegistryChange::ValueSet { key: full(key), name, kind, data, old }
        }
        RegistryChange::ValueRemoved { key, name } => RegistryChange::ValueRemoved { key: full(key), name },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vanished_ranges_get_the_source_back() {
        let source: Vec<u8> = (0..64).collect();
        let earlier = [(0, 16), (32, 16)];
        let changed = vec![(4u64, vec![0xAA; 4]), (40, vec![0xBB; 24])];
        let all = restore_vanished(&source, &earlier, changed, 64).unwrap();
        let expected: Vec<(u64, Vec<u8>)> = vec![
            (0, (0..4).collect()),
            (4, vec![0xAA; 4]),
            (8, (8..16).collect()),
            (32, (32..40).collect()),
            (40, vec![0xBB; 24]),
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn a_base_block_tells_dirt() {
        let mut bytes = vec![0u8; 4096];
        bytes[..4].copy_from_slice(b"regf");
        assert!(!is_dirty(&bytes));
        bytes[4] = 1;
        assert!(is_dirty(&bytes));
        assert!(!is_dirty(&Vec::new()));
    }
}
