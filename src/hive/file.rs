// SPDX-License-Identifier: GPL-3.0-or-later
//! An open hive: opening with log replay, the reading and editing calls, savepoints, saving.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::base_block::{BaseBlockRaw, PRIMARY};
use super::cell::Cells;
use super::check::{self, Finding, Rule};
use super::compact;
use super::digest;
use super::error::{HiveError, Result};
use super::graft::{Graft, Grafted};
use super::log;
use super::page::{PAGE, Pages};
use super::record::{KEY_HIVE_ENTRY, KEY_NO_DELETE, KEY_SYMBOLIC_LINK, MAX_KEY_NAME};
use super::repair::{self, Repair};
use super::salvage::{self, Salvage};
use super::tree::Tree;
use super::value::{Value, ValueType};
use super::verify;
use super::visit::{self, Visit};
use crate::base::{self, FileTime, WinName, name};
use crate::io::{Pool, ReadAt, read_vec};

/// A key of an open hive (the offset of its cell). Stays valid until the key is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub u32);

/// How to open a hive.
#[derive(Clone, Default)]
pub struct OpenOptions {
    /// LOG1, LOG2, LOG beside the hive, whichever exist.
    pub logs: Vec<Arc<dyn ReadAt>>,
    /// Open a dirty hive as it is although no log can be applied.
    pub ignore_dirty: bool,
}

impl fmt::Debug for OpenOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lengths: Vec<u64> = self.logs.iter().map(|log| log.len()).collect();
        formatter
            .debug_struct("OpenOptions")
            .field("logs", &lengths)
            .field("ignore_dirty", &self.ignore_dirty)
            .finish()
    }
}

/// What opening found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OpenState {
    /// The primary was written completely.
    Clean,
    /// The primary was dirty; logs were replayed in memory.
    Replayed,
    /// The primary was dirty and is taken as it is.
    DirtyIgnored,
}

/// What a key of a layered hive (a "differencing hive" of containers) does to those below it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// It is merged with them; keys of all other hives are so.
    #[default]
    Merged,
    /// It hides them.
    Tombstone,
    /// It takes the place of the key.
    SupersedesKey,
    /// It takes the place of the key and everything below it.
    SupersedesTree,
}

/// The value that holds the target of a symbolic link.
const LINK_VALUE: &str = "SymbolicLinkValue";

/// A hive up to this size stays in memory after a save.
const KEPT_AFTER_SAVE: usize = 16 << 20;

/// A mark in the history of a hive's edits.
#[derive(Debug)]
#[must_use = "a savepoint is for rollback or release"]
pub struct HiveSavepoint(u64);

/// The result of a save: the bytes of the new primary relative to the opened one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedHive {
    /// Length of the new primary file. What the old file has behind its bins stays.
    pub length: u64,
    /// Ranges that differ from the source the hive was opened on, page-granular, sorted;
    /// empty when no byte changed.
    pub changed: Vec<(u64, Vec<u8>)>,
}

/// An open hive: pages read lazily, private copies of changed pages.
///
/// Reading calls take `&self` and may be used from several threads; they take turns.
pub struct Hive {
    tree: Mutex<Tree>,
    state: OpenState,
    options: OpenOptions,
    notes: Vec<String>,
    /// The sequence number that the next save follows.
    sequence: u32,
    /// An edit that failed halfway: why, and the mark that the next savepoint would have got.
    unfinished: Option<(String, u64)>,
    /// The latest save and the count of edits it was made at.
    last_save: Option<(u64, SavedHive)>,
}

impl fmt::Debug for Hive {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Hive")
            .field("state", &self.state)
            .field("length", &self.lock().cells.pages.len())
            .finish_non_exhaustive()
    }
}

/// The pages of a hive with what was found while opening it.
struct Opened {
    pages: Pages,
    base: BaseBlockRaw,
    state: OpenState,
    notes: Vec<String>,
}

fn open_pages(source: &Arc<dyn ReadAt>, options: &OpenOptions) -> Result<Opened> {
    if source.len() < PAGE as u64 {
        return Err(HiveError::NotAHive {
            what: "the base block",
            offset: 0,
            expected: "4096 bytes",
            found: format!("{} bytes", source.len()),
        });
    }
    let base = BaseBlockRaw::parse(&read_vec(source, 0, size_of::<BaseBlockRaw>() as u64)?)?;
    let Some(reason) = base.dirty_reason() else {
        base.check_kind()?;
        let pages = pages_of(source, &base)?;
        return Ok(Opened { pages, base, state: OpenState::Clean, notes: Vec::new() });
    };
    if let Some(replay) = log::replay(source, &base, &options.logs)? {
        replay.base.check_kind()?;
        return Ok(Opened {
            pages: replay.pages,
            base: replay.base,
            state: OpenState::Replayed,
            notes: replay.notes,
        });
    }
    base.check_kind()?;
    if !options.ignore_dirty {
        return Err(HiveError::Dirty { reason });
    }
    let notes = vec![format!("the hive is dirty ({reason}) and was taken as it is")];
    Ok(Opened { pages: pages_of(source, &base)?, base, state: OpenState::DirtyIgnored, notes })
}

fn pages_of(source: &Arc<dyn ReadAt>, base: &BaseBlockRaw) -> Result<Pages> {
    let length = base.image_length()?;
    if length as u64 > source.len() {
        return Err(HiveError::structure(
            "the size of the bins",
            40,
            format!("at most {:#x}, the rest of the file", source.len() - PAGE as u64),
            format!("{:#x}", base.bins_size),
        ));
    }
    Ok(Pages::new(Arc::clone(source), length))
}

/// Components of a path, empty ones left out.
fn components(path: &[u16]) -> impl Iterator<Item = &[u16]> {
    path.split(|&unit| unit == u16::from(b'\\')).filter(|component| !component.is_empty())
}

impl Hive {
    /// Opens a hive; a dirty one is recovered from its logs in memory.
    ///
    /// # Errors
    /// When the source is no hive, is damaged, or is dirty and not recoverable.
    pub fn open(source: Arc<dyn ReadAt>, options: OpenOptions) -> base::Result<Self> {
        let opened = open_pages(&source, &options)?;
        let mut tree = Tree::new(Cells::new(opened.pages), opened.base.minor.get(), opened.base.root.get());
        tree.node(opened.base.root.get())?;
        let sequence = opened.base.primary_sequence.get().max(opened.base.secondary_sequence.get());
        Ok(Self {
            tree: Mutex::new(tree),
            state: opened.state,
            options,
            notes: opened.notes,
            sequence,
            unfinished: None,
            last_save: None,
        })
    }

    /// A new hive with a root key; `security` is the self-relative descriptor of the root.
    /// Minor version 3 or 5 as a rule (4 and 6 exist); [`default_root_security`] gives the
    /// descriptor that Windows' own offline library uses.
    ///
    /// # Errors
    /// When the version does not exist, or name or descriptor do not fit.
    ///
    /// [`default_root_security`]: super::default_root_security
    pub fn create(root_name: &str, minor: u32, security: &[u8], now: FileTime) -> base::Result<Self> {
        Self::create_named(&name::units(root_name), minor, security, now)
    }

    pub(super) fn create_named(
        units: &[u16],
        minor: u32,
        security: &[u8],
        now: FileTime,
    ) -> base::Result<Self> {
        if units.is_empty() || units.len() > MAX_KEY_NAME {
            let reason = "it must have 1 to 255 characters";
            return Err(HiveError::KeyName { name: name::display(units), reason }.into());
        }
        let source: Arc<dyn ReadAt> = Arc::new(Vec::new());
        let mut base = BaseBlockRaw::parse(&[0; size_of::<BaseBlockRaw>()])?;
        base.signature = *b"regf";
        base.major = 1.into();
        base.minor = minor.into();
        base.file_type = PRIMARY.into();
        base.format = 1.into();
        base.clustering = 1.into();
        base.last_written = now.0.into();
        base.check_kind()?;
        let mut tree = empty_tree(source, &base, minor)?;
        let root = tree.add_node(super::cell::NIL, units, super::cell::NIL, now)?;
        let security = tree.add_security(security)?;
        tree.change_references(security, 1)?;
        let mut node = tree.node(root)?;
        node.flags = (node.flags.get() | KEY_HIVE_ENTRY | KEY_NO_DELETE).into();
        node.security = security.into();
        tree.cells.put_record(root, &node)?;
        set_root(&mut tree, root)?;
        Ok(Self {
            tree: Mutex::new(tree),
            state: OpenState::Clean,
            options: OpenOptions::default(),
            notes: Vec::new(),
            sequence: 0,
            unfinished: None,
            last_save: None,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tree_mut(&mut self) -> &mut Tree {
        self.tree.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn read<T>(&self, read: impl FnOnce(&mut Tree) -> Result<T>) -> base::Result<T> {
        read(&mut self.lock()).map_err(Into::into)
    }

    /// Runs an edit; one that fails after it changed something blocks the hive until it is
    /// undone by a rollback.
    fn edit<T>(&mut self, edit: impl FnOnce(&mut Tree) -> Result<T>) -> base::Result<T> {
        self.check_finished()?;
        let tree = self.tree_mut();
        let before = tree.cells.pages.edits();
        let result = edit(tree);
        if let Err(error) = &result {
            let (after, mark) = (tree.cells.pages.edits(), tree.cells.pages.next_savepoint());
            if after != before {
                self.unfinished = Some((error.to_string(), mark));
            }
        }
        Ok(result?)
    }

    fn check_finished(&self) -> Result<()> {
        match &self.unfinished {
            Some((cause, _)) => Err(HiveError::Unfinished { cause: cause.clone() }),
            None => Ok(()),
        }
    }

    /// How it was opened.
    pub fn state(&self) -> OpenState {
        self.state
    }

    /// What opening found that the user should know; empty for a clean hive.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The minor version: 3 to 6.
    pub fn minor_version(&self) -> u32 {
        self.lock().minor
    }

    /// The root key.
    pub fn root(&self) -> KeyId {
        KeyId(self.lock().root)
    }

    /// The name of a key.
    ///
    /// # Errors
    /// When the key's cell is damaged or cannot be read; so for all calls below that read.
    pub fn name(&self, key: KeyId) -> base::Result<WinName> {
        self.read(|tree| Ok(tree.key_name(key.0)?.to_name()))
    }

    /// When the key was last written to.
    ///
    /// # Errors
    /// When the hive is damaged or cannot be read.
    pub fn last_written(&self, key: KeyId) -> base::Result<FileTime> {
        self.read(|tree| Ok(FileTime(tree.node(key.0)?.last_written.get())))
    }

    /// The flags of a key's record (`KEY_*`).
    ///
    /// # Errors
    /// When the hive is damaged or cannot be read.
    pub fn flags(&self, key: KeyId) -> base::Result<u16> {
        self.read(|tree| Ok(tree.node(key.0)?.flags.get()))
    }

    /// The parent of a key; nothing for the root.
    ///
    /// # Errors
    /// When the hive is damaged or cannot be read.
    pub fn parent(&self, key: KeyId) -> base::Result<Option<KeyId>> {
        self.read(|tree| {
            if key.0 == tree.root {
                return Ok(None);
            }
            let parent = tree.node(key.0)?.parent.get();
            tree.node(parent)?;
            Ok(Some(KeyId(parent)))
        })
    }

    /// The subkeys in stored order, which is Windows' order of names.
    ///
    /// # Errors
    /// When the hive is damaged or cannot be read.
    pub fn subkeys(&self, key: KeyId) -> base::Result<Vec<KeyId>> {
        self.read(|tree| {
            let node = tree.node(key.0)?;
            Ok(tree.subkeys(&node)?.into_iter().map(KeyId).collect())
        })
    }

    /// The subkey of a name.
    ///
    /// # Errors
    /// When the hive is damaged or cannot be read.
    pub fn subkey(&self, key: KeyId, name: &[u16]) -> base::Result<Option<KeyId>> {
        self.read(|tree| {
            let node = tree.node(key.0)?;
            Ok(tree.find_subkey(&node, name)?.map(KeyId))
        })
    }

    /// Follows a path whose components are separated by `\`.
    ///
    /// # Errors
    /// When the hive is damaged or cannot be read.
    pub fn find(&self, from: KeyId, path: &str) -> base::Result<Option<KeyId>> {
        self.find_units(from, &name::units(path))
    }

    /// [`Hive::find`] for names that need not be well-formed UTF-16.
    ///
    /// # Errors
    /// As [`Hive::find`].
    pub fn find_units(&self, from: KeyId, path: &[u16]) -> base::Result<Option<KeyId>> {
        self.read(|tree| {
            let mut key = from.0;
            for component in components(path) {
                let node = tree.node(key)?;
                match tree.find_subkey(&node, component)? {
                    Some(found) => key = found,
                    None => return Ok(None),
                }
            }
            Ok(Some(KeyId(key)))
        })
    }

    /// Visits a key with its values and everything below it, in stored order, without a copy of
    /// any name. Nothing else of this hive may be asked for meanwhile.
    ///
    /// # Errors
    /// When the hive is damaged or cannot be read.
    pub fn visit(&self, from: KeyId, step: impl FnMut(Visit<'_>)) -> base::Result<()> {
        self.read(|tree| visit::visit(tree, from.0, step))
    }

    /// The values of a key in stored order.
    ///
    /// # Errors
    /// When the hive is damaged or cannot be read.
    pub fn values(&self, key: KeyId) -> base::Result<Vec<Value>> {
        self.read(|tree| {
            let node = tree.node(key.0)?;
            let cells = tree.value_list(&node)?;
            cells.into_iter().map(|cell| tree.read_value(cell)).collect()
        })
    }

    /// The value of a name; the empty name is the default value.
    ///
    /// # Errors
    /// When the hive is damaged or cannot be read.
    pub fn value(&self, key: KeyId, name: &[u16]) -> base::Result<Option<Value>> {
        self.read(|tree| {
            let node = tree.node(key.0)?;
            let found = tree.find_value(key.0, &node, name)?;
            found.map(|cell| tree.read_value(cell)).transpose()
        })
    }

    /// The class name's bytes (UTF-16LE as a rule); empty when there is none.
    ///
    /// # Errors
    /// When the hive is damaged or cannot be read.
    pub fn class(&self, key: KeyId) -> base::Result<Vec<u8>> {
        self.read(|tree| tree.class(key.0))
    }

    /// The self-relative security descriptor of a key.
    ///
    /// # Errors
    /// When the hive is damaged or cannot be read.
    pub fn security(&self, key: KeyId) -> base::Result<Vec<u8>> {
        self.read(|tree| {
            let node = tree.node(key.0)?;
            tree.descriptor(node.security.get())
        })
    }

    /// Opens or creates one subkey; a new one shares its parent's security descriptor.
    ///
    /// # Errors
    /// When the name is not one a key can have, the key lies too deep, or the hive is damaged.
    pub fn create_subkey(&mut self, key: KeyId, name: &[u16], now: FileTime) -> base::Result<KeyId> {
        self.edit(|tree| tree.create_subkey(key.0, name, now)).map(KeyId)
    }

    /// Opens or creates every key of a `\` path.
    ///
    /// # Errors
    /// As [`Hive::create_subkey`].
    pub fn create_path(&mut self, from: KeyId, path: &str, now: FileTime) -> base::Result<KeyId> {
        self.create_path_units(from, &name::units(path), now)
    }

    /// [`Hive::create_path`] for names that need not be well-formed UTF-16.
    ///
    /// # Errors
    /// As [`Hive::create_subkey`].
    pub fn create_path_units(&mut self, from: KeyId, path: &[u16], now: FileTime) -> base::Result<KeyId> {
        self.edit(|tree| {
            components(path).try_fold(from.0, |key, component| tree.create_subkey(key, component, now))
        })
        .map(KeyId)
    }

    /// Gives a key another name, and says under which id it is found from now on.
    ///
    /// # Errors
    /// For the root, a name that another key beside it has or that no key can have, or when the
    /// hive is damaged.
    pub fn rename_key(&mut self, key: KeyId, name: &[u16], now: FileTime) -> base::Result<KeyId> {
        self.edit(|tree| tree.rename_key(key.0, name, now)).map(KeyId)
    }

    /// Where a symbolic link leads, as the kernel names it (`\REGISTRY\MACHINE\...`); nothing for
    /// other keys.
    ///
    /// # Errors
    /// When the hive is damaged or cannot be read.
    pub fn link_target(&self, key: KeyId) -> base::Result<Option<WinName>> {
        self.read(|tree| {
            let node = tree.node(key.0)?;
            if node.flags.get() & KEY_SYMBOLIC_LINK == 0 {
                return Ok(None);
            }
            let Some(cell) = tree.find_value(key.0, &node, &name::units(LINK_VALUE))? else {
                return Ok(None);
            };
            let value = tree.read_value(cell)?;
            let mut target = name::units_from_le(&value.data);
            while target.last() == Some(&0) {
                target.pop();
            }
            Ok((value.kind == ValueType::LINK).then(|| WinName::new(target)))
        })
    }

    /// What a key of a layered hive does to the keys of the layers below it.
    ///
    /// # Errors
    /// When the hive is damaged or cannot be read.
    pub fn layer(&self, key: KeyId) -> base::Result<Layer> {
        self.read(|tree| {
            let node = tree.node(key.0)?;
            Ok(match node.layered & 3 {
                0 => Layer::Merged,
                1 => Layer::Tombstone,
                2 => Layer::SupersedesKey,
                _ => Layer::SupersedesTree,
            })
        })
    }

    /// Deletes a key with everything below it.
    ///
    /// # Errors
    /// For the root, or when the hive is damaged.
    pub fn delete_key(&mut self, key: KeyId, now: FileTime) -> base::Result<()> {
        self.edit(|tree| tree.delete_key(key.0, now))
    }

    /// Sets a value. An existing one keeps the spelling of its name and its place; equal type
    /// and data change nothing, not even the key's time.
    ///
    /// # Errors
    /// When name or data are too long for this hive, or the hive is damaged.
    pub fn set_value(&mut self, key: KeyId, value: &Value, now: FileTime) -> base::Result<()> {
        self.edit(|tree| tree.set_value(key.0, value, now))
    }

    /// Deletes a value; says whether there was one.
    ///
    /// # Errors
    /// When the hive is damaged.
    pub fn delete_value(&mut self, key: KeyId, name: &[u16], now: FileTime) -> base::Result<bool> {
        self.edit(|tree| tree.delete_value(key.0, name, now))
    }

    /// Gives a key (not its subkeys) a self-relative security descriptor.
    ///
    /// # Errors
    /// When the hive is damaged.
    pub fn set_security(&mut self, key: KeyId, descriptor: &[u8], now: FileTime) -> base::Result<()> {
        self.edit(|tree| tree.set_security(key.0, descriptor, now))
    }

    /// Sets the class name's bytes, or removes it when there are none.
    ///
    /// # Errors
    /// When it is longer than 65535 bytes, or the hive is damaged.
    pub fn set_class(&mut self, key: KeyId, class: &[u8], now: FileTime) -> base::Result<()> {
        self.edit(|tree| tree.set_class(key.0, class, now))
    }

    /// True once an edit changed something, and after a log replay: the primary must be
    /// rewritten.
    pub fn is_changed(&self) -> bool {
        self.lock().cells.pages.is_changed()
    }

    /// A mark to return to. Its cost is a copy of each page that is changed after it.
    pub fn savepoint(&mut self) -> HiveSavepoint {
        HiveSavepoint(self.tree_mut().cells.pages.savepoint())
    }

    /// Undoes every edit after the mark; marks set later are void.
    pub fn rollback(&mut self, to: HiveSavepoint) {
        if self.tree_mut().cells.pages.rollback(to.0) {
            self.tree_mut().forget_derived();
            if self.unfinished.as_ref().is_some_and(|&(_, mark)| to.0 < mark) {
                self.unfinished = None;
            }
        }
    }

    /// Gives up a mark: its edits stay.
    pub fn release(&mut self, savepoint: HiveSavepoint) {
        self.tree_mut().cells.pages.release(savepoint.0);
    }

    /// Saves in place: gives the bytes that differ from the source. Without a change: none.
    ///
    /// The new primary is checked first, wholly: by our own rules and by `nt-hive`, which walks
    /// all keys and values. Nothing less would do, although an edit touches few cells: what the
    /// edit broke shows in structures that it did not write (a cell owned twice, a list that no
    /// longer sorts). Only when something is found is the hive as it was opened checked too,
    /// and the save refused if the finding is new. Memory of pages that can be read again is
    /// given back where the hive is large.
    ///
    /// Several saves of one open hive all count from the source, so the last one tells all.
    ///
    /// # Errors
    /// When an edit failed halfway, the source cannot be read, or the check finds new damage.
    pub fn save(&mut self) -> base::Result<SavedHive> {
        self.check_finished()?;
        let length = self.lock().cells.pages.source().len();
        if !self.is_changed() {
            return Ok(SavedHive { length, changed: Vec::new() });
        }
        if let Some((edits, saved)) = &self.last_save
            && *edits == self.lock().cells.pages.edits()
        {
            return Ok(saved.clone());
        }
        if !self.differs()? {
            return Ok(SavedHive { length, changed: Vec::new() });
        }
        self.seal()?;
        self.verify()?;
        let pages = &mut self.tree_mut().cells.pages;
        let changed = pages.differences()?;
        let length = length.max(pages.len() as u64);
        if pages.len() > KEPT_AFTER_SAVE {
            pages.forget_unchanged();
        }
        let saved = SavedHive { length, changed };
        self.last_save = Some((self.tree_mut().cells.pages.edits(), saved.clone()));
        Ok(saved)
    }

    /// Saves the whole image through `write`, which is handed all of it to put it where it will
    /// stand, while the checks of [`Hive::save`] run on the workers of `pool`. What `write` gives is
    /// only given back when nothing was found: until then nothing may take the place of the old
    /// primary. Nothing at all when no byte changed.
    ///
    /// # Errors
    /// As [`Hive::save`], and what `write` fails with.
    pub fn save_whole<T>(
        &mut self,
        pool: &Pool,
        write: impl FnOnce(&[u8]) -> base::Result<T>,
    ) -> base::Result<Option<T>> {
        self.check_finished()?;
        if !self.differs()? {
            return Ok(None);
        }
        self.seal()?;
        let options = OpenOptions { ignore_dirty: true, ..self.options.clone() };
        let pages = &mut self.tree_mut().cells.pages;
        let source = Arc::clone(pages.source());
        let written = verify::judge_beside(pages, pool, || original(&source, &options), write)?;
        written.map(Some)
    }

    /// Whether the image has any byte that the source has not, but for what a save itself sets.
    fn differs(&self) -> Result<bool> {
        if !self.lock().cells.pages.is_changed() {
            return Ok(false);
        }
        let changed = self.lock().cells.pages.differences()?;
        let base_alone = changed.iter().all(|(offset, bytes)| *offset == 0 && bytes.len() == PAGE);
        Ok(!changed.is_empty() && (!base_alone || self.base_differs()?))
    }

    /// Whether the base block says anything else than at opening, but for sequence and checksum.
    fn base_differs(&self) -> Result<bool> {
        let mut tree = self.lock();
        let source = Arc::clone(tree.cells.pages.source());
        if source.len() < PAGE as u64 {
            return Ok(true);
        }
        let mut old = BaseBlockRaw::parse(&read_vec(&source, 0, size_of::<BaseBlockRaw>() as u64)?)?;
        let new = BaseBlockRaw::parse(tree.cells.pages.read(0, size_of::<BaseBlockRaw>())?)?;
        if old.dirty_reason().is_some() {
            return Ok(true);
        }
        old.primary_sequence = new.primary_sequence;
        old.secondary_sequence = new.secondary_sequence;
        old.checksum = new.checksum;
        use zerocopy::IntoBytes as _;
        Ok(old.as_bytes() != new.as_bytes())
    }

    /// Numbers and sums of a complete write.
    fn seal(&mut self) -> Result<()> {
        let sequence = self.sequence.wrapping_add(1);
        let pages = &mut self.tree_mut().cells.pages;
        let mut base = BaseBlockRaw::parse(pages.read(0, size_of::<BaseBlockRaw>())?)?;
        base.primary_sequence = sequence.into();
        base.secondary_sequence = sequence.into();
        base.seal();
        use zerocopy::IntoBytes as _;
        pages.write(0, base.as_bytes())
    }

    /// Both checks of the image as it would be saved.
    fn verify(&mut self) -> Result<()> {
        let options = OpenOptions { ignore_dirty: true, ..self.options.clone() };
        let pages = &mut self.tree_mut().cells.pages;
        let source = Arc::clone(pages.source());
        verify::judge(pages, || original(&source, &options))
    }

    /// The whole primary after [`Hive::save`], for new hives, small ones and tests.
    ///
    /// # Errors
    /// As [`Hive::save`].
    pub fn to_bytes(&mut self) -> base::Result<Vec<u8>> {
        let saved = self.save()?;
        let source = Arc::clone(self.tree_mut().cells.pages.source());
        let mut bytes = read_vec(&source, 0, source.len().min(saved.length))?;
        bytes.resize(usize::try_from(saved.length).unwrap_or(bytes.len()), 0);
        for (offset, range) in saved.changed {
            let start = usize::try_from(offset).unwrap_or(usize::MAX);
            if let Some(target) = bytes.get_mut(start..start.saturating_add(range.len())) {
                target.copy_from_slice(&range);
            }
        }
        Ok(bytes)
    }

    /// The hive rewritten from its root with no free space but bin remainders, no leaked cell
    /// and exact maxima.
    ///
    /// # Errors
    /// When the hive is damaged, or the result does not pass the checks.
    pub fn compact(&self) -> base::Result<Vec<u8>> {
        self.check_finished()?;
        let sequence = self.sequence.wrapping_add(1);
        self.read(|tree| {
            let root = tree.root;
            let bytes = compact::compact(tree, root, sequence)?;
            verify::judge_new(&bytes)?;
            Ok(bytes)
        })
    }

    /// A hive of its own whose root is a key of this one, with all below it: what `reg save`
    /// writes.
    ///
    /// # Errors
    /// When the hive is damaged, or the result does not pass the checks.
    pub fn subtree(&self, key: KeyId) -> base::Result<Vec<u8>> {
        self.check_finished()?;
        self.read(|tree| {
            let bytes = compact::compact(tree, key.0, 1)?;
            verify::judge_new(&bytes)?;
            Ok(bytes)
        })
    }

    /// Puts the content of another hive's key in place of what a key has: values, subkeys, class
    /// and security, as `reg restore` does.
    ///
    /// # Errors
    /// When one of the hives is damaged.
    pub fn replace_subtree(&mut self, key: KeyId, from: &Self, source: KeyId) -> base::Result<Grafted> {
        let mut from = from.lock();
        self.edit(|tree| {
            let node = tree.node(key.0)?;
            let now = FileTime(node.last_written.get());
            for subkey in tree.subkeys(&node)? {
                tree.delete_key(subkey, now)?;
            }
            let node = tree.node(key.0)?;
            for value in tree.value_list(&node)? {
                let name = tree.value_name(value)?.to_name();
                tree.delete_value(key.0, name.units(), now)?;
            }
            let mut graft = Graft::strict(&from);
            graft.copy(&mut from, source.0, tree, key.0)?;
            Ok(graft.grafted)
        })
    }

    /// Saves what can be read of a damaged hive into a new one; the bytes of that, with a report of
    /// what is in it and what could not be read. Logs are not looked at.
    ///
    /// # Errors
    /// When the source cannot be read, or there is no root key in it.
    pub fn salvage(source: &Arc<dyn ReadAt>) -> base::Result<(Vec<u8>, Salvage)> {
        salvage::salvage(source)
    }

    /// Puts right what has only one right form, and tells it; what has not stays as it is. See
    /// [`Hive::check`] for what is left then.
    ///
    /// # Errors
    /// When the damage is such that the tree cannot be trusted.
    pub fn repair(&mut self) -> base::Result<Vec<Repair>> {
        self.edit(repair::repair)
    }

    /// Every breach of the format's rules in the hive as it is now. Of an edited one, whose
    /// sequence numbers and checksum the save writes, these are not looked at.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn check(&self) -> base::Result<Vec<Finding>> {
        let edited = self.is_changed();
        self.read(|tree| {
            let mut findings = check::check(tree.cells.pages.all()?).findings;
            findings.retain(|finding| !edited || finding.rule != Rule::Clean);
            Ok(findings)
        })
    }

    /// Checks a hive file as it lies there, also one that cannot be opened: logs are not
    /// applied.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn check_file(source: &dyn ReadAt) -> base::Result<Vec<Finding>> {
        Ok(check::check(&read_vec(source, 0, source.len())?).findings)
    }

    /// The canonical digest of the tree: number of keys, number of values, 32 hex digits.
    ///
    /// A line for each key in pre-order (`K`, path, last-written time, flags, class, the first
    /// digits of the descriptor's SHA-1) and for each value in list order (`V`, path, name,
    /// type, length, the first digits of the data's SHA-1), tab-separated; the digest is the
    /// beginning of their SHA-256.
    ///
    /// # Errors
    /// When the hive is damaged or cannot be read.
    pub fn digest(&self) -> base::Result<(u64, u64, String)> {
        self.read(digest::digest)
    }
}

/// The pages of a hive as they were opened; nothing for a new hive.
fn original(source: &Arc<dyn ReadAt>, options: &OpenOptions) -> Result<Option<Pages>> {
    if source.is_empty() {
        return Ok(None);
    }
    Ok(Some(open_pages(source, options)?.pages))
}

/// A tree without a key over one base block.
pub(super) fn empty_tree(source: Arc<dyn ReadAt>, base: &BaseBlockRaw, minor: u32) -> Result<Tree> {
    use zerocopy::IntoBytes as _;
    let mut pages = Pages::new(source, 0);
    pages.grow(PAGE);
    pages.write(0, base.as_bytes())?;
    Ok(Tree::new(Cells::new(pages), minor, 0))
}

/// Makes a key the root of a new hive and completes its base block.
pub(super) fn set_root(tree: &mut Tree, root: u32) -> Result<()> {
    use zerocopy::IntoBytes as _;
    tree.root = root;
    let bins_size = tree.cells.bins_size();
    let pages = &mut tree.cells.pages;
    let mut base = BaseBlockRaw::parse(pages.read(0, size_of::<BaseBlockRaw>())?)?;
    base.root = root.into();
    base.bins_size = bins_size.into();
    base.seal();
    pages.write(0, base.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: FileTime = FileTime(1 << 56);

    fn hive() -> Hive {
        let mut hive = Hive::create("ROOT", 5, &super::super::default_root_security(), NOW).unwrap();
        let root = hive.root();
        for name in ["a", "b", "c"] {
            let key = hive.create_path(root, name, NOW).unwrap();
            hive.set_value(key, &Value::sz("n", "some text"), NOW).unwrap();
        }
        let bytes = hive.to_bytes().unwrap();
        Hive::open(Arc::new(bytes), OpenOptions::default()).unwrap()
    }

    /// Changes a byte behind the back of the layers above.
    fn damage(hive: &mut Hive, key: KeyId, at: usize) {
        let tree = hive.tree_mut();
        tree.cells.modify(key.0, at, 1).unwrap()[0] ^= 1;
    }

    #[test]
    fn a_save_refuses_new_damage_and_lets_old_damage_be() {
        let mut edited = hive();
        let key = edited.find(edited.root(), "b").unwrap().unwrap();
        // The first letter of its name: order and hash are wrong.
        damage(&mut edited, key, 76);
        let error = edited.save().unwrap_err();
        assert!(error.to_string().contains("does not pass the check by our own rules"), "{error}");

        // The same damage in the file that was opened.
        let mut bytes = hive().to_bytes().unwrap();
        bytes[key.0 as usize + PAGE + 4 + 76] ^= 1;
        let mut edited = Hive::open(Arc::new(bytes), OpenOptions::default()).unwrap();
        let other = edited.find(edited.root(), "a").unwrap().unwrap();
        edited.set_value(other, &Value::dword("new", 1), NOW).unwrap();
        assert_eq!(edited.save().unwrap().changed.len(), 1);
        damage(&mut edited, other, 76);
        assert!(edited.save().is_err());
    }
}
