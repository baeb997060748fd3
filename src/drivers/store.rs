// SPDX-License-Identifier: GPL-3.0-or-later
//! Files of the driver store inside the image.
//!
//! | what | where |
//! |---|---|
//! | package | `Windows\System32\DriverStore\FileRepository\<store name>` with its source sub-directories |
//! | published INF | `Windows\INF\oemN.inf`; `oemN.PNF` is a cache of it |
//! | published catalog | `Windows\System32\CatRoot\{F750E6C3-38EE-11D1-85E5-00C04FC295EE}\oemN.cat` |

use std::sync::Arc;

use crate::base::{Error, ErrorClass, NodeId, NodeKind, Result, StreamKind, Version, WinName, WinPath, name};
use crate::io::ReadAt;
use crate::pe;
use crate::volume::{self, NewData, Overlay, Volume};

use super::published_name::PublishedName;

const CATALOG_FOLDER: &str = "{F750E6C3-38EE-11D1-85E5-00C04FC295EE}";

/// What putting a file in place did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placed {
    /// There was none.
    New,
    /// The same bytes were there; nothing was touched.
    Same,
    /// Other bytes were there.
    Replaced,
}

/// The store's places in an image.
pub(super) struct Store<'a> {
    overlay: &'a Overlay,
    windows: &'a WinPath,
}

impl<'a> Store<'a> {
    pub(super) fn new(overlay: &'a Overlay, windows: &'a WinPath) -> Self {
        Self { overlay, windows }
    }

    /// `Windows\System32\DriverStore\FileRepository`
    pub(super) fn repository(&self) -> WinPath {
        self.windows.join("System32").join("DriverStore").join("FileRepository")
    }

    /// Folder of a package.
    pub(super) fn package(&self, store_name: &str) -> WinPath {
        self.repository().join(store_name)
    }

    /// `Windows\INF`
    pub(super) fn inf_folder(&self) -> WinPath {
        self.windows.join("INF")
    }

    pub(super) fn catalog_folder(&self) -> WinPath {
        self.windows.join("System32").join("CatRoot").join(CATALOG_FOLDER)
    }

    /// The tree.
    pub(super) fn overlay(&self) -> &'a Overlay {
        self.overlay
    }

    /// Size of a file; nothing when there is none.
    pub(super) fn length(&self, path: &WinPath) -> Result<Option<u64>> {
        let Some(node) = self.resolve(path)? else { return Ok(None) };
        Ok(self.overlay.node(node)?.data().map(|data| data.length))
    }

    /// The version a file says it has; nothing for what is no program.
    pub(super) fn file_version(&self, node: NodeId) -> Result<Option<Version>> {
        if self.overlay.node(node)?.data().is_none() {
            return Ok(None);
        }
        pe::file_version(&*self.overlay.open(node, StreamKind::Data, &[])?)
    }

    /// Whether two files hold the same bytes.
    pub(super) fn has_same_data(&self, left: NodeId, right: NodeId) -> Result<bool> {
        if self.overlay.node(right)?.kind() != NodeKind::File {
            return Ok(false);
        }
        let right = self.overlay.open(right, StreamKind::Data, &[])?;
        self.has_data(left, &*right)
    }

    /// Node of a path.
    pub(super) fn resolve(&self, path: &WinPath) -> Result<Option<NodeId>> {
        volume::resolve(self.overlay, path)
    }

    /// All bytes of a file; nothing when there is none.
    pub(super) fn read(&self, path: &WinPath) -> Result<Option<Vec<u8>>> {
        volume::read_file(self.overlay, path)
    }

    /// Whether a file is there with these bytes; nothing when there is no file.
    pub(super) fn compare(&self, path: &WinPath, data: &dyn ReadAt) -> Result<Option<bool>> {
        match self.resolve(path)? {
            Some(node) => self.has_data(node, data).map(Some),
            None => Ok(None),
        }
    }

    fn has_data(&self, node: NodeId, data: &dyn ReadAt) -> Result<bool> {
        if self.overlay.node(node)?.kind() != NodeKind::File {
            return Ok(false);
        }
        let old = self.overlay.open(node, StreamKind::Data, &[])?;
        same_bytes(&*old, data)
    }

    /// Makes the folder of a package, with the descriptor of another package's folder where
    /// there is one; else it inherits.
    pub(super) fn create_package(&self, store_name: &str, like: Option<&str>) -> Result<()> {
        let path = self.package(store_name);
        if self.resolve(&path)?.is_some() {
            return Ok(());
        }
        let like = like.map(|sibling| self.resolve(&self.package(sibling))).transpose()?.flatten();
        let security = like.map(|node| self.overlay.node(node)).transpose()?.and_then(|node| node.security);
        let node = self.overlay.create_directories(&path)?;
        if let Some(descriptor) = security {
            self.overlay.set_security(node, Some(&descriptor))?;
        }
        Ok(())
    }

    /// Puts a file in place under one name: hard links of a file that was there keep the old
    /// bytes. The same bytes are left alone.
    pub(super) fn put(&self, path: &WinPath, data: &Arc<dyn ReadAt>) -> Result<Placed> {
        let (Some(folder), Some(file_name)) = (path.parent(), path.file_name()) else {
            return Err(Error::new(ErrorClass::Internal, "a file cannot be put in place of the root"));
        };
        let folder = self.overlay.create_directories(&folder)?;
        let new = || NewData::Reader(Arc::clone(data));
        match self.overlay.lookup(folder, file_name.units())? {
            Some(entry) if self.has_data(entry.node, &**data)? => Ok(Placed::Same),
            Some(entry) => {
                self.overlay.supersede(folder, &entry.name, new())?;
                Ok(Placed::Replaced)
            }
            None => {
                self.overlay.supersede(folder, file_name, new())?;
                Ok(Placed::New)
            }
        }
    }

    /// Publishes a package: INF and catalog under their new names, no stale cache of the INF.
    pub(super) fn publish(
        &self,
        published: PublishedName,
        inf: &Arc<dyn ReadAt>,
        catalog: Option<&Arc<dyn ReadAt>>,
    ) -> Result<()> {
        self.put(&self.inf_folder().join(published.to_string().as_str()), inf)?;
        if let Some(catalog) = catalog {
            self.put(&self.catalog_folder().join(published.catalog().as_str()), catalog)?;
        }
        let Some(folder) = self.resolve(&self.inf_folder())? else { return Ok(()) };
        let cache = name::units(&published.precompiled());
        match self.overlay.lookup(folder, &cache)? {
            Some(entry) => self.overlay.remove(folder, entry.name.units()),
            None => Ok(()),
        }
    }

    /// Removes the folder of a package.
    pub(super) fn remove_package(&self, store_name: &str) -> Result<()> {
        let Some(repository) = self.resolve(&self.repository())? else { return Ok(()) };
        match self.overlay.lookup(repository, &name::units(store_name))? {
            Some(entry) => self.overlay.remove_tree(repository, entry.name.units()),
            None => Ok(()),
        }
    }

    /// Takes a published INF away, with its cache and its catalog.
    pub(super) fn withdraw(&self, published: PublishedName) -> Result<()> {
        let infs = [published.to_string(), published.precompiled()];
        let places = infs.iter().map(|file| (self.inf_folder(), file.clone()));
        for (folder, file) in places.chain([(self.catalog_folder(), published.catalog())]) {
            let Some(folder) = self.resolve(&folder)? else { continue };
            if let Some(entry) = self.overlay.lookup(folder, &name::units(&file))? {
                self.overlay.remove(folder, entry.name.units())?;
            }
        }
        Ok(())
    }

    /// Whether `Windows\INF` has a file of the name, which may be anything.
    pub(super) fn has_inf(&self, file: &str) -> Result<bool> {
        match self.resolve(&self.inf_folder())? {
            Some(folder) => Ok(self.overlay.lookup(folder, &name::units(file))?.is_some()),
            None => Ok(false),
        }
    }

    /// Whether `Windows\INF` has a file of the name.
    pub(super) fn is_published(&self, published: PublishedName) -> Result<bool> {
        Ok(self.resolve(&self.inf_folder().join(published.to_string().as_str()))?.is_some())
    }

    /// The INF in a package's folder: by the vendor's name, which the store name begins with.
    pub(super) fn package_inf(&self, store_name: &str) -> Result<Option<(WinPath, Vec<u8>)>> {
        let folder = self.package(store_name);
        let path = folder.join(super::legacy_store::inf_of(store_name));
        if let Some(bytes) = self.read(&path)? {
            // The name in its own case.
            let own: Option<WinName> = match self.resolve(&folder)? {
                Some(node) => path
                    .file_name()
                    .map(|file| self.overlay.lookup(node, file.units()))
                    .transpose()?
                    .flatten()
                    .map(|entry| entry.name),
                None => None,
            };
            let path = own.map_or(path, |own| folder.join(own));
            return Ok(Some((path, bytes)));
        }
        Ok(None)
    }
}

const COMPARE_BLOCK: usize = 256 << 10;

/// Whether two sources hold the same bytes.
fn same_bytes(left: &dyn ReadAt, right: &dyn ReadAt) -> Result<bool> {
    if left.len() != right.len() {
        return Ok(false);
    }
    let (mut first, mut second) = (vec![0; COMPARE_BLOCK], vec![0; COMPARE_BLOCK]);
    let mut offset = 0;
    while offset < left.len() {
        let length = usize::try_from(left.len() - offset).unwrap_or(COMPARE_BLOCK).min(COMPARE_BLOCK);
        let (Some(one), Some(two)) = (first.get_mut(..length), second.get_mut(..length)) else { break };
        left.read_exact_at(one, offset)?;
        right.read_exact_at(two, offset)?;
        if one != two {
            return Ok(false);
        }
        offset += length as u64;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_compared_over_block_borders() {
        let left: Vec<u8> = (0..COMPARE_BLOCK * 2 + 7).map(|index| index as u8).collect();
        let mut right = left.clone();
        assert!(same_bytes(&left, &right).unwrap());
        *right.last_mut().unwrap() ^= 1;
        assert!(!same_bytes(&left, &right).unwrap());
        right.pop();
        assert!(!same_bytes(&left, &right).unwrap());
        assert!(same_bytes(&Vec::new(), &Vec::new()).unwrap());
    }
}
