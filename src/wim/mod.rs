// SPDX-License-Identifier: GPL-3.0-or-later
//! WIM files: images of Windows volumes in one file, every distinct stream stored once.
//!
//! [`Wim`] opens a file, [`Image`] is the tree of one image, [`Wim::blob`] gives random access to
//! a stream's bytes, [`Wim::verify`] checks everything. [`Transaction`] is the only way to change
//! a file in place; [`NewFile`] writes a new one.
//!
//! Skeleton of a file: header; resources (blobs, and one metadata resource per image); blob table;
//! XML data; integrity table. Readers assume no order; the last three are written in this order.

#![cfg_attr(
    not(test),
    warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod blob_table;
mod blob_writer;
mod chunk_cache;
mod commit_file;
mod deliver;
mod dentry;
mod edit;
mod error;
mod file;
mod gather;
mod header;
mod image;
mod image_text;
mod info;
mod integrity;
mod metadata_writer;
mod new_file;
mod new_image;
mod resource;
mod space;
mod split;
mod statistics;
mod transaction;
mod tree;
mod verify;

pub use chunk_cache::CacheOptions;
pub use commit_file::CommitFile;
pub use deliver::BlobSink;
pub use edit::{DirectoryEdit, ImageEdit, NodeEdit, StreamSource, TreeEdit};
pub use error::WimError;
pub use file::{ImageIndex, Wim};
pub use header::Compression;
pub use image::Image;
pub use image_text::ImageText;
pub use info::ImageInfo;
pub use new_file::{Integrity, NewFile, NewFileReport, RebuildReport, Storage, rebuild, rebuild_through};
pub use new_image::{LinkTargets, NewImage};
pub use split::{SplitPart, SplitReport, split, split_through};
pub use transaction::{Boot, CommitOptions, CommitReport, ImageIdentity, Transaction};
pub use verify::{VerifyFinding, VerifyReport};
