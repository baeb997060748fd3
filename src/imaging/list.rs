// SPDX-License-Identifier: GPL-3.0-or-later
//! The names in an image.

use std::path::{Path, PathBuf};

use crate::base::{FileAttributes, NodeId, Result, name};
use crate::io::Cancel;
use crate::wim::Wim;

use super::{Selection, one};

/// The answer to `/List-Image`.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ListReport {
    /// The file.
    #[serde(serialize_with = "super::lossy_path")]
    pub file: PathBuf,
    /// The image.
    pub index: u32,
    /// Every name but the root's, directories before what is in them.
    pub entries: Vec<ListEntry>,
}

/// One name.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ListEntry {
    /// From the root, with backslashes; a directory's ends in one.
    pub path: String,
    /// Whether it is a directory.
    pub directory: bool,
    /// Length of the unnamed data.
    pub size: u64,
}

/// Every name in an image.
///
/// # Errors
/// When there is no such image, or its metadata is damaged.
pub fn list(file: &Path, selection: &Selection, cancel: &Cancel) -> Result<ListReport> {
    let wim = Wim::open_set(file).or_else(|_| Wim::open(file))?;
    let index = one(&wim, selection)?;
    let image = wim.image(index)?;
    let mut entries = Vec::new();
    let mut todo: Vec<(String, NodeId, bool)> = vec![("\\".to_owned(), image.root(), true)];
    while let Some((path, id, directory)) = todo.pop() {
        cancel.check()?;
        let node = image.node(id)?;
        if id != image.root() || path != "\\" {
            let size = node.data().map_or(0, |stream| stream.length);
            entries.push(ListEntry { path: path.clone(), directory, size });
        }
        if !directory {
            continue;
        }
        let mut children = Vec::new();
        for child in image.entries(id)? {
            let attributes = image.node(child.node)?.attributes;
            let directory = attributes.contains(FileAttributes::DIRECTORY);
            let end = if directory { "\\" } else { "" };
            children.push((
                format!("{path}{}{end}", name::display(child.name.units())),
                child.node,
                directory,
            ));
        }
        todo.extend(children.into_iter().rev());
    }
    Ok(ListReport { file: file.to_owned(), index: index.number(), entries })
}
