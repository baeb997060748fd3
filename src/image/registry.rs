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
    BlobHash, Code, Context, Error, ErrorClass, FileTime, NodeId, NodeKind, Result, StreamKind, WinName,
    WinPath, name,
};
use crate::hive::{
    self, Applied, Hive, HiveSavepoint, KeyId, OpenOptions, OpenState, RegSection, RegText, RegistryChange,
    Value,
};
use crate::io::{Clock, ReadAt};
use crate::volume::{self, NewData, Overlay, Volume};

use super::ImageError;
use super::hive_name::{self, HiveName, Place, SEPARATOR, TopKey, UserNumber};
use super::users::{self, UserProfile};

/// The hives of an image, opened when first asked for.
pub struct Registry {
    overlay: Arc<Overlay>,
    clock: Arc<dyn Clock>,
    windows: WinPath,
    ignore_dirty: bool,
    /// Nothing: looked for and absent.
    hives: BTreeMap<HiveName, Option<Box<OpenHive>>>,
    exceptions: Vec<String>,
    /// The profiles, once they were asked for.
    users: Option<Vec<UserProfile>>,
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

/// So many symbolic links are followed on one path.
const MAX_LINKS: usize = 32;

/// Whether a symbolic link at the end of a path is followed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LastLink {
    Followed,
    Kept,
}

/// In what the registries of two images differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistryDifference {
    /// What leads from the first to the second, full paths. A hive that only the second has is in it
    /// with everything, one that only the first has is not.
    pub changes: Vec<RegistryChange>,
    /// Keys of hives that only the first has.
    pub only_old: Vec<WinName>,
    /// Keys of hives that only the second has.
    pub only_new: Vec<WinName>,
}

/// A mark over all hives to return to.
pub(super) struct RegistrySavepoint(BTreeMap<HiveName, (HiveSavepoint, Written)>);

impl Registry {
    pub(super) fn new(
        overlay: Arc<Overlay>,
        clock: Arc<dyn Clock>,
        windows: WinPath,
        ignore_dirty: bool,
    ) -> Self {
        Self {
            overlay,
            clock,
            windows,
            ignore_dirty,
            hives: BTreeMap::new(),
            exceptions: Vec::new(),
            users: None,
        }
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
        let path = self.files(name).last().map(ToString::to_string).unwrap_or_default();
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
            let path = self.files(name).into_iter().next_back().unwrap_or_default();
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

    /// Where a hive's file can lie.
    fn files(&self, name: HiveName) -> Vec<WinPath> {
        let profile = match name {
            HiveName::User(user) | HiveName::UserClasses(user) => self.profile(user),
            _ => None,
        };
        name.files(&self.windows, profile.map(|profile| &profile.path))
    }

    fn profile(&self, user: UserNumber) -> Option<&UserProfile> {
        self.users.as_deref().unwrap_or_default().get(user.0)
    }

    /// The users that the image has profiles of.
    ///
    /// # Errors
    /// When the SOFTWARE hive is broken.
    pub fn users(&mut self) -> Result<&[UserProfile]> {
        if self.users.is_none() {
            let windows = self.windows.clone();
            let users = match self.hive(HiveName::Software)? {
                Some(software) => users::read(software, &windows)?,
                None => Vec::new(),
            };
            self.users = Some(users);
        }
        Ok(self.users.as_deref().unwrap_or_default())
    }

    /// Every hive whose file the image has, users' included, with the key it stands at.
    ///
    /// # Errors
    /// When the SOFTWARE hive is broken, or a folder cannot be read.
    pub fn present(&mut self) -> Result<Vec<(HiveName, WinName)>> {
        let users = 0..self.users()?.len();
        let of_users =
            users.map(UserNumber).flat_map(|user| [HiveName::User(user), HiveName::UserClasses(user)]);
        let mut present = Vec::new();
        for name in HiveName::ALL.into_iter().chain(of_users) {
            if self.is_present(name)? {
                present.push((name, self.mount_point(name)));
            }
        }
        Ok(present)
    }

    fn is_present(&self, name: HiveName) -> Result<bool> {
        if let Some(Some(_)) = self.hives.get(&name) {
            return Ok(true);
        }
        for path in self.files(name) {
            if volume::resolve(&*self.overlay, &path)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The key that a running Windows mounts a hive at.
    pub fn mount_point(&self, name: HiveName) -> WinName {
        let sid = match name {
            HiveName::User(user) | HiveName::UserClasses(user) => {
                self.profile(user).map(|profile| profile.sid.units()).unwrap_or_default()
            }
            _ => &[],
        };
        let tail = if matches!(name, HiveName::UserClasses(_)) { "_Classes" } else { "" };
        match name.mount_point() {
            Some(key) => key.into(),
            None => WinName::new([&name::units("HKU\\"), sid, &name::units(tail)].concat()),
        }
    }

    /// The keys of hives below `HKLM` or `HKU`, by the words of a path; nothing for any other path.
    ///
    /// # Errors
    /// As [`Registry::present`].
    pub fn top_key(&mut self, path: &[u16]) -> Result<Option<Vec<WinName>>> {
        let Some(Place::Top(top)) = hive_name::split(path) else { return Ok(None) };
        let root = match top {
            TopKey::LocalMachine => "HKLM\\",
            TopKey::Users => "HKU\\",
        };
        let root = name::units(root);
        let mut names = Vec::new();
        for (hive, key) in self.present()? {
            match (top, hive) {
                (TopKey::Users, HiveName::DefaultUser) => names.push("Default".into()),
                (TopKey::Users, HiveName::DefaultUserClasses) => names.push("Default_Classes".into()),
                _ => names.extend(key.units().strip_prefix(root.as_slice()).map(WinName::from)),
            }
        }
        names.sort_by(|left, right| name::compare(left.units(), right.units()));
        Ok(Some(names))
    }

    /// Hive and path below its root; `CurrentControlSet` becomes the default control set, a user's
    /// classes those of the hive that has them.
    fn locate(&mut self, path: &[u16]) -> Result<(HiveName, Vec<u16>)> {
        let unknown = || ImageError::RegistryPath { path: name::display(path) };
        let (hive, below) = match hive_name::split(path) {
            Some(Place::Hive(hive, below)) => (hive, below),
            Some(Place::User(sid, is_classes, below)) => {
                let found = self.users()?.iter().position(|user| name::same(user.sid.units(), &sid));
                let user = UserNumber(found.ok_or_else(|| {
                    let sid = name::display(&sid);
                    Error::new(ErrorClass::NotFound, format!("the image has no profile of the user {sid}"))
                        .with_code(Code::FILE_NOT_FOUND)
                        .with_hint("reg query HKU tells the users that it has")
                })?);
                (if is_classes { HiveName::UserClasses(user) } else { HiveName::User(user) }, below)
            }
            Some(Place::Top(_)) | None => return Err(unknown().into()),
        };
        let classes = match hive {
            HiveName::DefaultUser => Some(HiveName::DefaultUserClasses),
            HiveName::User(user) => Some(HiveName::UserClasses(user)),
            _ => None,
        };
        if let (Some(classes), Some(below)) = (classes, hive_name::below_classes(&below))
            && self.is_present(classes)?
        {
            return Ok((classes, below.to_vec()));
        }
        let (first, rest) = hive_name::cut(&below);
        if hive == HiveName::System && name::same(first, &name::units("CurrentControlSet")) {
            let number = self.control_sets()?.first().copied().ok_or(ImageError::NoControlSet)?;
            return Ok((hive, hive_name::join(&name::units(&Self::control_set_key(number)), rest)));
        }
        Ok((hive, below))
    }

    /// Hive and path below its root with every symbolic link on the way followed; whether one at the
    /// very end is too is up to the caller.
    fn resolve(&mut self, path: &[u16], last: LastLink) -> Result<(HiveName, Vec<u16>)> {
        let mut path = path.to_vec();
        for _ in 0..MAX_LINKS {
            let (hive_name, below) = self.locate(&path)?;
            let Some(hive) = self.hive(hive_name)? else { return Ok((hive_name, below)) };
            let mut key = hive.root();
            let mut rest = below.as_slice();
            let mut followed = None;
            while !rest.is_empty() {
                let (component, behind) = hive_name::cut(rest);
                rest = behind;
                if component.is_empty() {
                    continue;
                }
                let Some(subkey) = hive.subkey(key, component)? else { break };
                key = subkey;
                let is_last = rest.iter().all(|&unit| unit == SEPARATOR);
                if is_last && last == LastLink::Kept {
                    break;
                }
                if let Some(target) = hive.link_target(key)? {
                    followed = Some(hive_name::join(&kernel_path(&target)?, rest));
                    break;
                }
            }
            match followed {
                Some(target) => path = target,
                None => return Ok((hive_name, below)),
            }
        }
        let message = format!("the symbolic links at {} lead around in a circle", name::display(&path));
        Err(Error::new(ErrorClass::Corrupt, message).with_code(Code::REGISTRY_CORRUPT))
    }

    /// Read access: `HKLM\SYSTEM\CurrentControlSet\...`. `CurrentControlSet` is resolved, symbolic
    /// links are followed.
    ///
    /// # Errors
    /// When the path names no hive, or the hive cannot be read.
    pub fn key(&mut self, path: &str) -> Result<Option<(HiveName, KeyId)>> {
        self.key_units(&name::units(path))
    }

    /// [`Registry::key`] for names that need not be well-formed UTF-16.
    ///
    /// # Errors
    /// As [`Registry::key`].
    pub fn key_units(&mut self, path: &[u16]) -> Result<Option<(HiveName, KeyId)>> {
        self.existing(path, LastLink::Followed)
    }

    /// The key itself where it is a symbolic link.
    ///
    /// # Errors
    /// As [`Registry::key`].
    pub fn link_or_key(&mut self, path: &[u16]) -> Result<Option<(HiveName, KeyId)>> {
        self.existing(path, LastLink::Kept)
    }

    fn existing(&mut self, path: &[u16], last: LastLink) -> Result<Option<(HiveName, KeyId)>> {
        let (name, below) = self.resolve(path, last)?;
        match self.hive(name)? {
            Some(hive) => Ok(hive.find_units(hive.root(), &below)?.map(|key| (name, key))),
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
        self.create_key_units(&name::units(path))
    }

    /// [`Registry::create_key`] for names that need not be well-formed UTF-16.
    ///
    /// # Errors
    /// As [`Registry::create_key`].
    pub fn create_key_units(&mut self, path: &[u16]) -> Result<(HiveName, KeyId)> {
        let (name, below) = self.resolve(path, LastLink::Followed)?;
        let now = self.now();
        let hive = self.require(name)?;
        let root = hive.root();
        Ok((name, hive.create_path_units(root, &below, now)?))
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

    /// Deletes a key with everything below it; says whether it was there. Of a symbolic link the
    /// link itself goes.
    ///
    /// # Errors
    /// As [`Registry::key`]; the root of a hive cannot be deleted.
    pub fn delete_key(&mut self, path: &str) -> Result<bool> {
        let now = self.now();
        let Some((name, key)) = self.link_or_key(&name::units(path))? else { return Ok(false) };
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
        let last = if section.delete { LastLink::Kept } else { LastLink::Followed };
        let (name, below) = self.resolve(section.key.units(), last)?;
        if section.delete && self.hive(name)?.is_none() {
            return Ok(());
        }
        let now = self.now();
        hive::apply(self.require(name)?, section, &below, now, applied)
    }

    /// In what the registry of another image differs from this one: users are compared by SID.
    /// With a `key`, only what lies at and below it.
    ///
    /// # Errors
    /// When a hive cannot be read, or `key` is in neither of them.
    pub fn compare(&mut self, other: &mut Self, key: Option<&[u16]>) -> Result<RegistryDifference> {
        let mut difference = RegistryDifference::default();
        if let Some(path) = key {
            let changes = match (self.key_units(path)?, other.key_units(path)?) {
                (Some(old), Some(new)) => {
                    let (old_hive, new_hive) = (self.require(old.0)?, other.require(new.0)?);
                    hive::diff_keys((old_hive, old.1), (new_hive, new.1), true)?
                }
                (None, Some(new)) => {
                    let new_hive = other.require(new.0)?;
                    let empty = empty_hive(new_hive)?;
                    let mut changes = vec![RegistryChange::KeyAdded { key: WinName::default() }];
                    changes.extend(hive::diff_keys((&empty, empty.root()), (new_hive, new.1), true)?);
                    changes
                }
                (Some(_), None) => vec![RegistryChange::KeyRemoved { key: WinName::default() }],
                (None, None) => {
                    let message = format!("neither image has the key {}", name::display(path));
                    return Err(Error::new(ErrorClass::NotFound, message).with_code(Code::FILE_NOT_FOUND));
                }
            };
            difference.changes = changes.into_iter().map(|change| change.below(path)).collect();
            return Ok(difference);
        }
        let (ours, theirs) = (self.present()?, other.present()?);
        for (name, mount_point) in &ours {
            let same = |(_, key): &&(HiveName, WinName)| name::same(key.units(), mount_point.units());
            match theirs.iter().find(same) {
                Some((theirs, _)) => {
                    let changes = hive::diff(self.require(*name)?, other.require(*theirs)?)?;
                    let below = changes.into_iter().map(|change| change.below(mount_point.units()));
                    difference.changes.extend(below);
                }
                None => difference.only_old.push(mount_point.clone()),
            }
        }
        for (name, mount_point) in &theirs {
            if ours.iter().any(|(_, key)| name::same(key.units(), mount_point.units())) {
                continue;
            }
            let hive = other.require(*name)?;
            let changes = hive::diff(&empty_hive(hive)?, hive)?;
            difference.changes.extend(changes.into_iter().map(|change| change.below(mount_point.units())));
            difference.only_new.push(mount_point.clone());
        }
        Ok(difference)
    }

    /// A hive that is open already.
    pub fn opened(&self, name: HiveName) -> Option<&Hive> {
        self.hives.get(&name).and_then(Option::as_ref).map(|open| &open.hive)
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
        for path in self.files(name) {
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
                    self.as_opened(file)?.digest()? != open.hive.digest()?
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
            let mount_point = self.mount_point(*name);
            changes.extend(
                crate::hive::diff(&old, &open.hive)?
                    .into_iter()
                    .map(|change| change.below(mount_point.units())),
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

/// A hive without keys, to compare with.
fn empty_hive(like: &Hive) -> Result<Hive> {
    Hive::create(ROOT_KEY_NAME, like.minor_version(), &hive::default_root_security(), FileTime::default())
}

/// The path of a key that the kernel names, as the roots of the registry have it.
fn kernel_path(target: &WinName) -> Result<Vec<u16>> {
    for (kernel, root) in [("\\REGISTRY\\MACHINE", "HKLM"), ("\\REGISTRY\\USER", "HKU")] {
        let kernel = name::units(kernel);
        let (head, rest) = target.units().split_at_checked(kernel.len()).unwrap_or((&[], &[]));
        if name::same(head, &kernel) && rest.first().is_none_or(|&unit| unit == SEPARATOR) {
            return Ok(hive_name::join(&name::units(root), rest.get(1..).unwrap_or_default()));
        }
    }
    let message = format!("a symbolic link leads to {target}, which is no key of an image");
    Err(Error::new(ErrorClass::NotFound, message).with_code(Code::FILE_NOT_FOUND))
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
