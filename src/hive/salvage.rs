// SPDX-License-Identifier: GPL-3.0-or-later
//! Saving what can be read of a damaged hive into a new one.

use std::sync::Arc;

use zerocopy::IntoBytes as _;

use super::base_block::{BaseBlockRaw, PRIMARY};
use super::cell::{BIN_HEADER, Cells, file_offset};
use super::error::{HiveError, Result};
use super::file::Hive;
use super::graft::{Graft, Grafted, Loss};
use super::page::{PAGE, Pages};
use super::record::{KEY_HIVE_ENTRY, KeyNodeRaw};
use super::security::default_root_security;
use super::tree::Tree;
use crate::base::{self, FileTime};
use crate::io::ReadAt;

/// So many keys out of reach are listed by name.
const LISTED: usize = 1000;

/// What a salvage saved, and what it could not.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Salvage {
    /// What is in the new hive.
    pub saved: Grafted,
    /// What the tree led to and could not be read, or not be kept.
    pub losses: Vec<Loss>,
    /// Keys that lie in the file and that nothing leads to any more: how many.
    pub out_of_reach: u64,
    /// The first thousand of them.
    pub unreached: Vec<Unreached>,
    /// What else should be known.
    pub notes: Vec<String>,
}

/// A key that nothing leads to.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Unreached {
    /// Where it lies in the file.
    pub offset: u64,
    /// Its name.
    pub name: String,
}

/// Reads what can be read from the root on; the new hive's bytes with a report.
///
/// # Errors
/// When the source cannot be read, or no root key can be found in it.
pub(super) fn salvage(source: &Arc<dyn ReadAt>) -> base::Result<(Vec<u8>, Salvage)> {
    let (mut tree, base, mut notes) = open(source)?;
    let root = tree.root;
    let node = tree.node(root)?;
    let name = tree.key_name(root).map(|name| name.to_name()).unwrap_or_default();
    let security = tree.descriptor(node.security.get()).unwrap_or_else(|_| default_root_security());
    let name = if name.is_empty() { "ROOT".into() } else { name };
    let mut hive =
        Hive::create_named(name.units(), tree.minor, &security, FileTime(node.last_written.get()))?;
    let mut graft = Graft::lenient(&tree);
    let to = hive.tree_mut();
    let target = to.root;
    graft.copy(&mut tree, root, to, target)?;
    keep_base(to, base.as_ref())?;
    let (out_of_reach, unreached) = unreached(&mut tree, &graft)?;
    let saved = graft.grafted.clone();
    let losses = graft.into_losses();
    if base.is_none() {
        notes.push("the base block is not that of a hive: a new one was made".to_owned());
    }
    Ok((hive.compact()?, Salvage { saved, losses, out_of_reach, unreached, notes }))
}

/// The tree as it lies there, whatever is wrong with it.
fn open(source: &Arc<dyn ReadAt>) -> Result<(Tree, Option<BaseBlockRaw>, Vec<String>)> {
    let mut notes = Vec::new();
    let too_short = |_| HiveError::structure("the file", 0, "a hive", "too long for this machine");
    let available = usize::try_from(source.len()).map_err(too_short)? / 8 * 8;
    if available < PAGE + BIN_HEADER {
        return Err(HiveError::structure("the file", 0, "at least one bin", format!("{available} bytes")));
    }
    let mut pages = Pages::new(Arc::clone(source), available);
    let base = BaseBlockRaw::parse(pages.read(0, size_of::<BaseBlockRaw>())?)?;
    let base = (base.signature == *b"regf").then_some(base);
    if let Some(base) = &base
        && u64::from(base.bins_size.get()) + PAGE as u64 > source.len()
    {
        let (said, is) = (base.bins_size.get(), source.len().saturating_sub(PAGE as u64));
        notes.push(format!("the bins are said to have {said} bytes, the file holds {is} of them"));
    } else if let Some(base) = &base {
        let length = base.bins_size.get() as usize + PAGE;
        if length.is_multiple_of(PAGE) && length > PAGE {
            pages.truncate(length);
        }
    }
    let minor = base.as_ref().map(|base| base.minor.get()).filter(|minor| (3..=6).contains(minor));
    let root = base.as_ref().map_or(0, |base| base.root.get());
    let mut tree = Tree::new(Cells::new(pages), minor.unwrap_or(5), root);
    if tree.node(root).is_err() {
        tree.root = find_root(&mut tree)?;
        notes.push(format!("the root key was looked for and found at {:#x}", file_offset(tree.root)));
    }
    Ok((tree, base, notes))
}

/// Every cell that can be a key, by its bytes alone.
fn keys(tree: &mut Tree, mut visit: impl FnMut(&mut Tree, u32, &KeyNodeRaw)) -> Result<()> {
    let mut offset = BIN_HEADER as u32;
    while offset < tree.cells.bins_size() {
        // Free cells hold old keys too; only an allocated one is looked at.
        if let Ok(node) = tree.node(offset) {
            visit(tree, offset, &node);
        }
        offset += 8;
    }
    Ok(())
}

fn find_root(tree: &mut Tree) -> Result<u32> {
    let mut found = None;
    keys(tree, |_, offset, node| {
        if found.is_none() && node.flags.get() & KEY_HIVE_ENTRY != 0 {
            found = Some(offset);
        }
    })?;
    found.ok_or_else(|| {
        HiveError::structure("the hive", PAGE as u64, "a root key", "no key that is marked as one")
    })
}

/// Keys that were not reached and whose names can be read.
fn unreached(tree: &mut Tree, graft: &Graft) -> Result<(u64, Vec<Unreached>)> {
    let (mut count, mut listed) = (0, Vec::new());
    keys(tree, |tree, offset, _| {
        if graft.visited.contains(&offset) {
            return;
        }
        let Ok(name) = tree.key_name(offset).map(|name| name.to_name()) else { return };
        count += 1;
        if listed.len() < LISTED {
            listed.push(Unreached { offset: file_offset(offset), name: name.to_string() });
        }
    })?;
    Ok((count, listed))
}

/// Identifiers, flags and the file's name stay those of the damaged hive.
fn keep_base(to: &mut Tree, old: Option<&BaseBlockRaw>) -> Result<()> {
    let Some(old) = old else { return Ok(()) };
    let new = BaseBlockRaw::parse(to.cells.pages.read(0, size_of::<BaseBlockRaw>())?)?;
    let mut kept = *old;
    kept.major = new.major;
    kept.minor = new.minor;
    kept.file_type = PRIMARY.into();
    kept.format = new.format;
    kept.root = new.root;
    kept.bins_size = new.bins_size;
    kept.clustering = new.clustering;
    kept.primary_sequence = new.primary_sequence;
    kept.secondary_sequence = new.secondary_sequence;
    kept.seal();
    to.cells.pages.write(0, kept.as_bytes())
}
