// SPDX-License-Identifier: GPL-3.0-or-later
//! Images that no file holds yet: a tree that is written as an edit of an empty one.
//!
//! Figures in the XML follow Microsoft: the root does not count as a directory. (Later commits move
//! the figures by differences, which keeps that.)

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromZeros, IntoBytes};

use super::blob_table::{EntryRaw, SOLID_RESOURCE};
use super::blob_writer::{BlobWriter, Job, Outcome, Present};
use super::dentry::{DentryRaw, FIXED_SIZE, align8};
use super::edit::{StreamSource, TreeEdit};
use super::error::WimError;
use super::file::internal;
use super::gather::{Kind, kind};
use super::header::{Compression, ResourceFlags, ResourceHeader};
use super::image_text::ImageText;
use super::info::ImageInfo;
use super::metadata_writer::{Plan, ResolvedStreams};
use super::new_file::solid_entry;
use super::statistics::Statistics;
use super::tree::Tree;
use crate::base::{BlobHash, FileAttributes, FileTime, NodeId, Result};
use crate::xml::Element;

/// What absolute targets of symbolic links and junctions mean in an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkTargets {
    /// Those inside the tree were made relative to its root.
    RelativeToRoot,
    /// They stand as they were found.
    AsFound,
}

/// An image that no file holds yet.
pub struct NewImage {
    /// The tree. Its root is node 0; all others are new, and every stream's bytes are.
    pub tree: TreeEdit,
    /// What the XML is to say of it; index and figures are filled in.
    pub info: ImageInfo,
    /// What absolute targets of links mean.
    pub links: LinkTargets,
}

/// The tree that a new image is an edit of: a root directory and nothing else.
pub(super) fn empty_tree() -> Result<Tree, WimError> {
    let length = align8(FIXED_SIZE).unwrap_or(FIXED_SIZE);
    let mut bytes = vec![8, 0, 0, 0, 0, 0, 0, 0];
    let mut root = DentryRaw::new_zeroed();
    root.length = U64::new(length as u64);
    root.attributes = U32::new(FileAttributes::DIRECTORY.bits());
    root.security_id = U32::new(u32::MAX);
    root.subdir_offset = U64::new((bytes.len() + length + 8) as u64);
    bytes.extend(root.as_bytes());
    bytes.resize(8 + length, 0);
    bytes.extend([0; 16]);
    Tree::parse(bytes, 0)
}

/// A new image laid out, before its streams are written.
pub(super) struct NewPlan<'a> {
    image: &'a NewImage,
    number: u32,
    plan: Plan<'a>,
    /// The jobs of each node's streams, in order.
    streams: HashMap<NodeId, Range<usize>>,
}

/// Hash and length of what a job wrote, or found to be there already.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WrittenStream {
    pub(super) hash: BlobHash,
    pub(super) length: u64,
}

/// The metadata of a new image once it is written.
pub(super) struct WrittenImage {
    pub(super) entry: EntryRaw,
    pub(super) element: Element,
    pub(super) tree: Tree,
}

impl WrittenImage {
    /// Counts what its names refer to.
    pub(super) fn count(&self, references: &mut HashMap<BlobHash, u64>) {
        Statistics::count(&self.tree, |hash| {
            *references.entry(hash).or_default() += 1;
            0
        });
    }
}

impl<'a> NewPlan<'a> {
    /// Lays out the tree and adds the jobs of its streams to `jobs`.
    pub(super) fn new(image: &'a NewImage, base: &'a Tree, number: u32, jobs: &mut Vec<Job>) -> Result<Self> {
        let plan = Plan::new(base, &image.tree, number)?;
        let mut streams = HashMap::new();
        for (id, edit) in plan.edited() {
            let wrong = |message: &str| WimError::Edit {
                image: number,
                message: format!("node {}: {message}", id.0),
            };
            if edit.streams.len() != edit.node.streams.len() {
                return Err(wrong("streams and their sources do not agree in number").into());
            }
            let first = jobs.len();
            for source in &edit.streams {
                jobs.push(match source {
                    StreamSource::New(content) => Job::new(content.clone()),
                    StreamSource::Stored(content) => Job { plain: true, ..Job::new(content.clone()) },
                    StreamSource::Unchanged | StreamSource::Patched { .. } => {
                        return Err(wrong("a new image has nothing to be taken from").into());
                    }
                });
            }
            streams.insert(id, first..jobs.len());
        }
        Ok(Self { image, number, plan, streams })
    }

    /// Writes the metadata.
    pub(super) fn write(
        &self,
        writer: &mut BlobWriter<'_>,
        streams: &[WrittenStream],
    ) -> Result<WrittenImage> {
        let of = |range: &Range<usize>| streams.get(range.clone()).unwrap_or_default();
        let resolved: ResolvedStreams = self
            .streams
            .iter()
            .map(|(&id, range)| (id, of(range).iter().map(|stream| stream.hash).collect()))
            .collect();
        let lengths: HashMap<BlobHash, u64> =
            self.streams.values().flat_map(of).map(|stream| (stream.hash, stream.length)).collect();
        let bytes: Arc<Vec<u8>> = Arc::new(self.plan.write(&resolved)?);
        drop(resolved);
        let job = Job::metadata(bytes.clone(), None);
        let outcome = writer.write(std::slice::from_ref(&job), Present::NOTHING)?;
        drop(job);
        let outcome = outcome.into_iter().next().ok_or_else(|| internal("metadata was left out"))?;
        // What was written is read as any other metadata: that checks it, and counts it.
        let bytes = Arc::try_unwrap(bytes).unwrap_or_else(|shared| shared.to_vec());
        let tree = Tree::parse(bytes, self.number)
            .map_err(|error| internal(format!("the new metadata is wrong: {error}")))?;
        if !tree.warnings().is_empty() {
            return Err(internal(format!("the new metadata is wrong: {}", tree.warnings().join("; "))));
        }
        let figures = Statistics::count(&tree, |hash| lengths.get(&hash).copied().unwrap_or(0));
        let element = element(&self.image.info, self.number, &figures);
        Ok(WrittenImage { entry: entry_of(&outcome, 1)?, element, tree })
    }
}

fn entry_of(outcome: &Outcome, references: u32) -> Result<EntryRaw> {
    let written = outcome.written.ok_or_else(|| internal("a resource was not written"))?;
    Ok(EntryRaw {
        resource: written.into(),
        part_number: U16::new(1),
        references: U32::new(references),
        hash: outcome.hash.0,
    })
}

/// The order in which streams compress well together: by extension and name of the first entry that
/// leads to them. Streams that are not files' data stay in front, in their order.
pub(super) fn solid_order(plans: &[NewPlan<'_>], jobs: usize) -> Vec<usize> {
    let mut kinds: Vec<Option<Kind>> = vec![None; jobs];
    for plan in plans {
        let directories = plan.image.tree.directories.values();
        for entry in directories.flat_map(|directory| &directory.added) {
            for job in plan.streams.get(&entry.node).cloned().into_iter().flatten() {
                if let Some(slot) = kinds.get_mut(job).filter(|slot| slot.is_none()) {
                    *slot = Some(kind(entry.name.units().iter().copied()));
                }
            }
        }
    }
    let mut order: Vec<usize> = (0..jobs).collect();
    order.sort_by(|&left, &right| kinds.get(left).cmp(&kinds.get(right)).then(left.cmp(&right)));
    order
}

/// The streams of new images once they are written.
pub(super) struct NewBlobs {
    /// Entries of the blob table, without references.
    pub(super) entries: Vec<EntryRaw>,
    /// For each job.
    pub(super) streams: Vec<WrittenStream>,
    pub(super) blobs: u64,
    pub(super) bytes: u64,
}

impl NewBlobs {
    /// Writes the jobs in an order; into one solid resource where `solid` says so, which begins
    /// `solid_start` bytes behind the beginning of those before it.
    pub(super) fn write(
        writer: &mut BlobWriter<'_>,
        jobs: Vec<Job>,
        order: &[usize],
        solid: Option<Compression>,
        solid_start: u64,
        present: Present<'_>,
    ) -> Result<Self> {
        let mut new = Self {
            entries: Vec::new(),
            streams: vec![WrittenStream::default(); jobs.len()],
            blobs: 0,
            bytes: 0,
        };
        if jobs.is_empty() {
            return Ok(new);
        }
        let mut slots: Vec<Option<Job>> = jobs.into_iter().map(Some).collect();
        let jobs: Vec<Job> =
            order.iter().filter_map(|&number| slots.get_mut(number).and_then(Option::take)).collect();
        let mut note = |position: usize, hash, length, entry: Option<EntryRaw>| {
            let slot = order.get(position).and_then(|&number| new.streams.get_mut(number));
            if let Some(slot) = slot {
                *slot = WrittenStream { hash, length };
            }
            if let Some(entry) = entry {
                new.blobs += 1;
                new.bytes += length;
                new.entries.push(entry);
            }
        };
        let Some(compression) = solid else {
            for (position, outcome) in writer.write(&jobs, present)?.iter().enumerate() {
                let entry = outcome.written.map(|_| entry_of(outcome, 0)).transpose()?;
                note(position, outcome.hash, outcome.length, entry);
            }
            return Ok(new);
        };
        let written = writer.write_solid(&jobs, compression, present)?;
        for (position, &(hash, length, start)) in written.blobs.iter().enumerate() {
            let entry = start.map(|start| EntryRaw {
                resource: ResourceHeader {
                    size: length,
                    flags: ResourceFlags::SOLID,
                    offset: solid_start + start,
                    original_size: 0,
                }
                .into(),
                part_number: U16::new(1),
                references: U32::new(0),
                hash: hash.0,
            });
            note(position, hash, length, entry);
        }
        if let Some(resource) = written.resource {
            let resource = ResourceHeader { original_size: SOLID_RESOURCE, ..resource };
            new.entries.insert(0, solid_entry(resource));
        }
        Ok(new)
    }
}

/// The IMAGE element, in Microsoft's order.
fn element(info: &ImageInfo, number: u32, figures: &Statistics) -> Element {
    let mut image = Element::new("IMAGE");
    image.set_attribute("INDEX", &number.to_string());
    let counted = [
        ("DIRCOUNT", figures.directories.saturating_sub(1)),
        ("FILECOUNT", figures.files),
        ("TOTALBYTES", figures.bytes),
        ("HARDLINKBYTES", figures.hard_link_bytes),
    ];
    for (name, value) in counted {
        image.push(Element::with_text(name, &value.to_string()));
    }
    let created = info.created.unwrap_or_default();
    image.push(time("CREATIONTIME", created));
    image.push(time("LASTMODIFICATIONTIME", info.modified.unwrap_or(created)));
    if let Some(wim_boot) = info.wim_boot {
        image.push(Element::with_text("WIMBOOT", if wim_boot { "1" } else { "0" }));
    }
    image.children.extend(windows(info).map(crate::xml::XmlNode::Element));
    let text = ImageText {
        name: info.name.clone(),
        description: info.description.clone(),
        flags: info.flags.clone(),
        display_name: info.display_name.clone(),
        display_description: info.display_description.clone(),
    };
    text.apply(&mut image);
    image
}

fn time(name: &str, time: FileTime) -> Element {
    let mut element = Element::new(name);
    for (name, half) in [("HIGHPART", time.0 >> 32), ("LOWPART", time.0 & 0xFFFF_FFFF)] {
        element.push(Element::with_text(name, &format!("0x{half:08X}")));
    }
    element
}

/// WINDOWS, for an image whose processor is known.
fn windows(info: &ImageInfo) -> Option<Element> {
    let mut windows = Element::new("WINDOWS");
    windows.push(Element::with_text("ARCH", &info.arch?.to_string()));
    let texts = |windows: &mut Element, texts: &[(&str, &Option<String>)]| {
        for (name, text) in texts {
            if let Some(text) = text {
                windows.push(Element::with_text(name, text));
            }
        }
    };
    texts(
        &mut windows,
        &[
            ("PRODUCTNAME", &info.product_name),
            ("EDITIONID", &info.edition_id),
            ("INSTALLATIONTYPE", &info.installation_type),
            ("HAL", &info.hal),
            ("PRODUCTTYPE", &info.product_type),
            ("PRODUCTSUITE", &info.product_suite),
        ],
    );
    if !info.languages.is_empty() {
        let mut languages = Element::new("LANGUAGES");
        for language in &info.languages {
            languages.push(Element::with_text("LANGUAGE", language));
        }
        texts(&mut languages, &[("DEFAULT", &info.default_language)]);
        windows.push(languages);
    }
    if let Some((major, minor, build)) = info.version {
        let mut version = Element::new("VERSION");
        let numbers = [
            ("MAJOR", Some(major)),
            ("MINOR", Some(minor)),
            ("BUILD", Some(build)),
            ("SPBUILD", info.service_pack_build),
            ("SPLEVEL", info.service_pack_level),
        ];
        for (name, number) in numbers {
            if let Some(number) = number {
                version.push(Element::with_text(name, &number.to_string()));
            }
        }
        windows.push(version);
    }
    texts(&mut windows, &[("SYSTEMROOT", &info.system_root)]);
    Some(windows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_tree_is_sound() {
        let tree = empty_tree().unwrap();
        assert_eq!((tree.len(), tree.warnings().len()), (1, 0));
        assert!(tree.dentry(0).unwrap().is_directory());
    }

    #[test]
    fn elements_stand_in_microsofts_order() {
        let info = ImageInfo {
            name: Some("A".into()),
            created: Some(FileTime(0x01DC_0000_0000_00AB)),
            wim_boot: Some(false),
            arch: Some(9),
            edition_id: Some("Core".into()),
            version: Some((10, 0, 26100)),
            service_pack_build: Some(1),
            languages: vec!["en-US".into()],
            default_language: Some("en-US".into()),
            system_root: Some("WINDOWS".into()),
            ..ImageInfo::default()
        };
        let figures = Statistics { directories: 3, files: 2, bytes: 9, hard_link_bytes: 4 };
        let mut root = Element::new("WIM");
        root.push(element(&info, 2, &figures));
        let time = "<HIGHPART>0x01DC0000</HIGHPART><LOWPART>0x000000AB</LOWPART>";
        assert_eq!(
            crate::xml::Document::new(root).to_string(),
            format!(
                "<WIM><IMAGE INDEX=\"2\"><DIRCOUNT>2</DIRCOUNT><FILECOUNT>2</FILECOUNT>\
                 <TOTALBYTES>9</TOTALBYTES><HARDLINKBYTES>4</HARDLINKBYTES><CREATIONTIME>{time}\
                 </CREATIONTIME><LASTMODIFICATIONTIME>{time}</LASTMODIFICATIONTIME><WIMBOOT>0</WIMBOOT>\
                 <WINDOWS><ARCH>9</ARCH><EDITIONID>Core</EDITIONID><LANGUAGES><LANGUAGE>en-US</LANGUAGE>\
                 <DEFAULT>en-US</DEFAULT></LANGUAGES><VERSION><MAJOR>10</MAJOR><MINOR>0</MINOR>\
                 <BUILD>26100</BUILD><SPBUILD>1</SPBUILD></VERSION><SYSTEMROOT>WINDOWS</SYSTEMROOT>\
                 </WINDOWS><NAME>A</NAME></IMAGE></WIM>"
            )
        );
    }
}
