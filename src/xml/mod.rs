// SPDX-License-Identifier: GPL-3.0-or-later
//! XML as a lossless tree with namespaces.
//!
//! Every piece of markup keeps its own source text, so a document that is read, changed in one
//! place and written again differs in that place only: attribute order, quotes, comments, unknown
//! elements and white space all stay. Entities are the five that XML itself defines.

#![cfg_attr(
    not(test),
    warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod encoding;
mod tree;

pub use encoding::Encoding;
pub use tree::{Document, Element, XmlError, XmlNode};
