// SPDX-License-Identifier: GPL-3.0-or-later
//! An opened offline image: where its Windows is and what it is, its registry, and the session
//! that every servicing command works in.
//!
//! A [`Session`] is an [`Overlay`](crate::volume::Overlay) and a [`Registry`] over one image.
//! Commands edit both; nothing reaches the WIM before [`Session::commit`].
#![cfg_attr(
    not(test),
    warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod error;
mod hive_name;
mod registry;
mod session;
mod users;
mod windows;
mod wow64;

pub use error::ImageError;
pub use hive_name::{HiveName, TopKey, UserNumber};
pub use registry::{Registry, RegistryDifference};
pub use session::{Environment, Session, SessionDiff, SessionSavepoint};
pub use users::UserProfile;
pub use windows::WindowsInfo;
pub use wow64::redirected;
