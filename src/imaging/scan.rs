// SPDX-License-Identifier: GPL-3.0-or-later
//! From a volume to the tree of a new image: every entry that the capture list leaves in, level by
//! level, the directories of a level on all cores. Nodes are numbered in the order in which Windows
//! lists them, whatever the number of threads.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use rayon::prelude::*;

use super::capture_list::{CaptureList, Place, Verdict};
use super::lazy::LazyStream;
use crate::base::{
    Code, Context, DirEntry, Error, ErrorClass, FileAttributes, Node, NodeId, Result, StreamKind, WinPath,
};
use crate::io::{Cancel, ReadAt};
use crate::volume::Volume;
use crate::wim::{DirectoryEdit, NodeEdit, StreamSource, TreeEdit};

/// A tree that was met.
#[derive(Default)]
pub(super) struct Scanned {
    pub(super) tree: TreeEdit,
    /// What the list left out.
    pub(super) left_out: Vec<WinPath>,
}

/// A directory whose entries are still to be read.
struct Waiting {
    /// In the new tree and in the volume.
    new: NodeId,
    old: NodeId,
    path: WinPath,
    place: Place,
    only_exceptions: bool,
    stored: bool,
}

/// An entry that was met.
struct Met {
    entry: DirEntry,
    /// Nothing for what is left out.
    node: Option<Node>,
    place: Place,
    path: WinPath,
    only_exceptions: bool,
    stored: bool,
}

struct Scan<'a> {
    volume: &'a Arc<dyn Volume>,
    list: &'a CaptureList,
    cancel: &'a Cancel,
}

/// Reads the whole tree of a volume, but no data. Runs inside the thread pool.
///
/// # Errors
/// When the volume cannot be read, holds nothing, or holds encrypted files.
pub(super) fn scan(volume: &Arc<dyn Volume>, list: &CaptureList, cancel: &Cancel) -> Result<Scanned> {
    Scan { volume, list, cancel }.run()
}

impl Scan<'_> {
    fn run(&self) -> Result<Scanned> {
        let root = self.volume.root();
        let mut scanned = Scanned::default();
        let node = self.volume.node(root)?;
        self.check(&node, &WinPath::root())?;
        let edit = self.edit(root, node, &WinPath::root(), false);
        scanned.tree.nodes.insert(NodeId(0), edit);
        let mut level = vec![Waiting {
            new: NodeId(0),
            old: root,
            path: WinPath::root(),
            place: Place::default(),
            only_exceptions: false,
            stored: false,
        }];
        // The new numbers of files that have several names.
        let mut known: HashMap<NodeId, NodeId> = HashMap::new();
        let mut next = NodeId::NEW;
        while !level.is_empty() {
            let found: Vec<Vec<Met>> =
                level.par_iter().map(|directory| self.read(directory)).collect::<Result<_>>()?;
            let mut below = Vec::new();
            for (directory, met) in level.iter().zip(found) {
                let mut edit = DirectoryEdit { removed: Vec::new(), added: Vec::with_capacity(met.len()) };
                for Met { entry, node, place, path, only_exceptions, stored } in met {
                    let Some(node) = node else {
                        scanned.left_out.push(path);
                        continue;
                    };
                    // The reparse header stands where a WIM keeps the hard-link group.
                    let may_link = !node
                        .attributes
                        .intersects(FileAttributes::DIRECTORY | FileAttributes::REPARSE_POINT);
                    let old = entry.node;
                    let new = match known.get(&old).filter(|_| may_link) {
                        Some(&new) => new,
                        None => {
                            let new = NodeId(next);
                            next += 1;
                            let listed = node.has_entries();
                            scanned.tree.nodes.insert(new, self.edit(old, node, &path, stored));
                            if may_link {
                                known.insert(old, new);
                            }
                            if listed {
                                below.push(Waiting { new, old, path, place, only_exceptions, stored });
                            }
                            new
                        }
                    };
                    edit.added.push(DirEntry { node: new, ..entry });
                }
                scanned.tree.directories.insert(directory.new, edit);
            }
            level = below;
        }
        let empty = |directories: &BTreeMap<NodeId, DirectoryEdit>| {
            directories.get(&NodeId(0)).is_none_or(|root| root.added.is_empty())
        };
        if empty(&scanned.tree.directories) {
            return Err(Error::new(ErrorClass::Usage, "there is nothing to capture: the folder is empty")
                .with_hint("name the folder that holds the files of the image"));
        }
        Ok(scanned)
    }

    fn read(&self, directory: &Waiting) -> Result<Vec<Met>> {
        self.cancel.check()?;
        let context = || format!("while reading {}", directory.path);
        self.volume
            .entries(directory.old)
            .context(context)?
            .into_iter()
            .map(|entry| {
                let place = directory.place.join(entry.name.units());
                let path = directory.path.join(entry.name.clone());
                let verdict = self.list.verdict(&place, directory.only_exceptions);
                let node = match verdict {
                    Verdict::LeftOut => None,
                    _ => Some(self.volume.node(entry.node).context(|| format!("while reading {path}"))?),
                };
                // Of a left-out file no exception can be inside.
                let node = node.filter(|node| verdict == Verdict::Captured || node.has_entries());
                if let Some(node) = &node {
                    self.check(node, &path)?;
                }
                let stored = directory.stored || self.list.is_stored(&place);
                let only_exceptions = verdict == Verdict::OnlyExceptions;
                Ok(Met { entry, node, place, path, only_exceptions, stored })
            })
            .collect()
    }

    /// Fails for what a WIM cannot hold so that it could be applied elsewhere.
    fn check(&self, node: &Node, path: &WinPath) -> Result<()> {
        let raw = node.streams.iter().any(|stream| stream.kind == StreamKind::Encrypted);
        if node.attributes.contains(FileAttributes::ENCRYPTED) && !raw && node.data().is_some() {
            return Err(Error::new(
                ErrorClass::Unsupported,
                format!("{path} is encrypted (EFS), and its plain data cannot be read here"),
            )
            .with_code(Code::NOT_SUPPORTED)
            .with_hint("decrypt it on Windows (cipher /d), or leave it out with --config"));
        }
        Ok(())
    }

    fn edit(&self, id: NodeId, node: Node, path: &WinPath, stored: bool) -> NodeEdit {
        let streams = node
            .streams
            .iter()
            .map(|stream| {
                let content: Arc<dyn ReadAt> = match stream.length {
                    0 => Arc::new(Vec::new()),
                    length => Arc::new(LazyStream {
                        volume: self.volume.clone(),
                        node: id,
                        kind: stream.kind,
                        name: stream.name.clone(),
                        path: path.clone(),
                        length,
                        // What has a hash is stored under it, and cannot change.
                        write_time: stream.hash.is_none().then_some(node.write_time),
                        state: Mutex::default(),
                    }),
                };
                match stored {
                    true => StreamSource::Stored(content),
                    false => StreamSource::New(content),
                }
            })
            .collect();
        NodeEdit { node, streams }
    }
}
