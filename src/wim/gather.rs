// SPDX-License-Identifier: GPL-3.0-or-later
//! What images need of the files that they are in: every blob once, with how often it is named.

use std::collections::HashMap;

use super::blob_table::{EntryRaw, Location};
use super::blob_writer::{Claim, Job};
use super::error::WimError;
use super::file::{ImageIndex, Wim};
use super::header::{Compression, Layout, ResourceFlags, ResourceHeader};
use super::resource::{ChunkLayout, Encoding};
use super::statistics::Statistics;
use super::tree::{Tree, units};
use crate::base::{BlobHash, Context, Error, Result, name};

/// An image to be put into another file.
pub(super) struct SourceImage {
    pub(super) wim: Wim,
    pub(super) index: ImageIndex,
    pub(super) hash: BlobHash,
    pub(super) tree: Tree,
    pub(super) figures: Statistics,
}

impl SourceImage {
    pub(super) fn read(wim: &Wim, index: ImageIndex) -> Result<Self> {
        let context = || format!("while reading image {index} of {}", wim.path().display());
        let (hash, bytes) = wim.metadata(index).context(context)?;
        let tree = Tree::parse(bytes, index.number()).map_err(Error::from).context(context)?;
        let figures = Statistics::count(&tree, |hash| wim.blob_length(hash).unwrap_or(0));
        Ok(Self { wim: wim.clone(), index, hash, tree, figures })
    }

    /// Where its metadata lies.
    pub(super) fn metadata(&self) -> Result<ResourceHeader> {
        let entry = self.wim.metadata_entry(self.index)?;
        Ok(self.wim.inner().table.entries.get(entry as usize).map(EntryRaw::header).unwrap_or_default())
    }
}

/// Extension and name, in upper case.
pub(super) type Kind = (Box<[u16]>, Box<[u16]>);

/// A blob to be put into another file.
pub(super) struct Wanted {
    pub(super) hash: BlobHash,
    /// The file, or the part of a split set, that holds it.
    pub(super) wim: Wim,
    pub(super) location: Location,
    /// Names that lead to it.
    pub(super) references: u64,
    /// Files of one kind, one after the other, compress better together.
    kind: Kind,
    /// Position of its file among the sources.
    source: usize,
}

impl Wanted {
    /// Its encoded form, where a file of this compression may take it over.
    pub(super) fn copyable(&self, compression: Option<Compression>) -> Option<ResourceHeader> {
        if self.location.solid {
            return None;
        }
        let resource = &self.location.resource;
        let flags = match resource.encoding {
            // What did not shrink under the same compression will not shrink now.
            Encoding::Raw if compression == self.wim.compression() || compression.is_none() => {
                ResourceFlags::empty()
            }
            Encoding::Chunked(own, ChunkLayout::Offsets) if Some(own) == compression => {
                ResourceFlags::COMPRESSED
            }
            _ => return None,
        };
        Some(ResourceHeader {
            size: resource.size,
            flags,
            offset: resource.offset,
            original_size: resource.original_size,
        })
    }

    /// The job that decodes it and writes it anew.
    pub(super) fn job(&self) -> Result<Job> {
        let claim = Claim { hash: self.hash, offset: self.location.resource.offset };
        Ok(Job { claim: Some(claim), ..Job::new(self.wim.blob(self.hash)?) })
    }
}

/// Every blob that the images need, each once, in the order in which their files hold them.
pub(super) fn gather<'a>(images: impl IntoIterator<Item = &'a SourceImage>) -> Result<Vec<Wanted>> {
    let mut wanted: Vec<Wanted> = Vec::new();
    let mut found: HashMap<BlobHash, usize> = HashMap::new();
    for (source, image) in images.into_iter().enumerate() {
        for entry in 0..image.tree.len() {
            let Some(dentry) = image.tree.dentry(entry) else { continue };
            for stream in dentry.streams().filter(|stream| !stream.hash.is_zero()) {
                if let Some(known) = found.get(&stream.hash).and_then(|&position| wanted.get_mut(position)) {
                    known.references += 1;
                    continue;
                }
                let (wim, location) = image
                    .wim
                    .holder(stream.hash)
                    .and_then(|held| held.ok_or_else(|| missing(image, stream.hash, entry)))?;
                found.insert(stream.hash, wanted.len());
                wanted.push(Wanted {
                    hash: stream.hash,
                    wim,
                    location,
                    references: 1,
                    kind: kind(units(dentry.name)),
                    source,
                });
            }
        }
    }
    wanted.sort_by_key(|blob| {
        (blob.source, blob.wim.part().0, blob.location.resource.offset, blob.location.start)
    });
    Ok(wanted)
}

/// Puts blobs that are not in a solid resource into the order of their kinds. Those that are stay
/// in its order, in which they are decoded once.
pub(super) fn sort_for_solid(wanted: &mut [Wanted]) {
    let key = |blob: &Wanted| (blob.location.solid, blob.source);
    wanted.sort_by(|left, right| {
        key(left).cmp(&key(right)).then_with(|| match left.location.solid {
            true => (left.location.resource.offset, left.location.start)
                .cmp(&(right.location.resource.offset, right.location.start)),
            false => left.kind.cmp(&right.kind).then(left.hash.0.cmp(&right.hash.0)),
        })
    });
}

/// Extension and name as Windows compares them.
pub(super) fn kind(name: impl Iterator<Item = u16>) -> Kind {
    let name: Box<[u16]> = name.map(name::upcase).collect();
    let dot = name.iter().rposition(|&unit| unit == u16::from(b'.'));
    let extension = dot.and_then(|dot| name.get(dot..)).unwrap_or_default().into();
    (extension, name)
}

fn missing(image: &SourceImage, hash: BlobHash, entry: u32) -> Error {
    Error::from(WimError::NoBlob { path: image.wim.path().display().to_string(), hash })
        .with_context(format!("which {} of image {} needs", image.tree.path(entry), image.index))
}

impl Wim {
    /// The file or part that holds a blob, and where; nothing when none of the opened ones does.
    ///
    /// # Errors
    /// When it is in a part that was not opened.
    pub(super) fn holder(&self, hash: BlobHash) -> Result<Option<(Self, Location)>> {
        for wim in std::iter::once(self).chain(self.other_parts()) {
            let inner = wim.inner();
            let Some(entry) = inner.table.find(hash) else { continue };
            if let Some(location) = inner.table.locate(entry, &inner.header)? {
                location.resource.check_bounds(&*inner.store.file)?;
                return Ok(Some((wim.clone(), location)));
            }
        }
        if self.part().1 > 1 && self.other_parts().is_empty() {
            self.blob(hash)?;
        }
        Ok(None)
    }

    /// Whether its resources may be taken over by other ordinary files.
    pub(super) fn is_ordinary(&self) -> bool {
        self.inner().header.layout == Layout::Ordinary
    }
}
