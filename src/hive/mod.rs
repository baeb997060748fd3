// SPDX-License-Identifier: GPL-3.0-or-later
//! Registry hives (`regf` files): read, edit, save, recover, check.
//!
//! Two layers. The lower one (`page`, `cell`) sees a file of bins and cells: pages are read
//! when first touched, changed pages are private until a save, savepoints undo. The upper one
//! (`tree`, `subkeys`, `values`, `security`) sees keys, values and descriptors.
//!
//! An edited hive keeps every offset and every byte that the edit does not need to change; a
//! hive without an edit is not changed at all. [`Hive::compact`] rewrites from the root instead.
//! What is saved has been checked by `check` and by a second reader (`verify`).
//! `reg_text` reads and writes `.reg` files.
#![cfg_attr(
    not(test),
    warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod base_block;
mod cell;
mod check;
mod compact;
mod diff;
mod digest;
mod error;
mod file;
mod graft;
mod listing;
mod log;
mod page;
mod primary;
mod record;
mod reg_text;
mod repair;
mod salvage;
mod security;
mod stored_name;
mod subkeys;
mod tree;
mod typed_data;
mod value;
mod values;
mod verify;
mod visit;

pub use check::{Finding, Rule, Severity};
pub use diff::{RegistryChange, diff, diff_keys};
pub use error::HiveError;
pub use file::{Hive, HiveSavepoint, KeyId, Layer, OpenOptions, OpenState, SavedHive};
pub use graft::{Grafted, Loss};
pub use listing::{KeyListing, Listing, Search, list};
pub use primary::{PrimaryFile, Saved};
pub use reg_text::{
    Applied, RegAssignment, RegSection, RegText, RegTextError, RegWriter, apply, change_text, export,
    full_root,
};
pub use repair::Repair;
pub use salvage::{Salvage, Unreached};
pub use security::default_root_security;
pub use stored_name::StoredName;
pub use value::{Value, ValueType};
pub use visit::{Visit, VisitedKey, VisitedValue};
