// SPDX-License-Identifier: GPL-3.0-or-later
//! Services Windows images on Linux: the library behind the `transom` command.
//!
//! It has the shape of Microsoft's DismApi: open a session on an image, let the rooms that know an area of
//! servicing work on it, commit. Nothing reads the clock, the environment or the terminal: what is needed of them
//! is passed in ([`image::Environment`]), so that the same input gives the same bytes.
//!
//! | DismApi | here |
//! |---|---|
//! | `DismGetImageInfo` | [`imaging::info`] |
//! | `DismOpenSession`, `DismCloseSession` | [`image::Session::open_wim`]; dropping the session |
//! | `DismGetDrivers`, `DismGetDriverInfo` | [`drivers::list`], [`drivers::info`] |
//! | `DismAddDriver`, `DismRemoveDriver` | [`drivers::add`], [`drivers::remove`] |
//! | `DismMountImage`, `DismUnmountImage`, `DismRemountImage` | [`mount::Mounts`] |
//! | `DismCommitImage` | [`image::Session::commit`] |
//! | none: files and registry | [`image::Session::overlay`], [`image::Session::registry`] |
//! | none: what would change | [`image::Session::diff`] |
//!
//! # Adding drivers
//!
//! ```no_run
//! use std::path::Path;
//! use std::sync::Arc;
//! use std::time::SystemTime;
//!
//! use transom::drivers::{self, AddRequest};
//! use transom::image::{Environment, Session};
//! use transom::io::{Cancel, FixedClock, NoProgress, Pool};
//! use transom::wim::ImageIndex;
//!
//! # fn main() -> transom::base::Result<()> {
//! let environment = Environment {
//!     clock: Arc::new(FixedClock(SystemTime::now().into())),
//!     progress: Arc::new(NoProgress),
//!     cancel: Cancel::default(),
//!     pool: Pool::new(0)?,
//!     scratch_parent: std::env::temp_dir(),
//!     ignore_dirty: false,
//! };
//! let first = ImageIndex::new(1).expect("indexes begin at 1");
//! let mut session = Session::open_wim(Path::new("install.wim"), first, environment)?;
//! println!("{} {}", session.windows().arch, session.windows().version);
//!
//! let request = AddRequest { sources: vec!["drivers".into()], recurse: true, ..AddRequest::default() };
//! let report = drivers::add(&mut session, &request)?;
//! for package in &report.packages {
//!     println!("{}", package.source.display());
//! }
//! for package in drivers::list(&mut session, false)? {
//!     println!("{} is {}", package.published_name, package.original_file_name);
//! }
//! // Until here the file was only read. A session that is dropped leaves it as it was.
//! session.commit()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Changing the registry of several images in one commit
//!
//! ```no_run
//! # use std::path::Path;
//! # use transom::image::{Environment, Session};
//! use transom::hive::RegText;
//! use transom::wim::{CommitOptions, ImageIndex, Transaction, Wim};
//!
//! # fn several(environment: Environment) -> transom::base::Result<()> {
//! let file = Path::new("install.wim");
//! let text = RegText::parse(&std::fs::read("settings.reg").expect("the file is there"))?;
//! let mut sessions = Vec::new();
//! for index in (1..=Wim::open(file)?.image_count()).filter_map(ImageIndex::new) {
//!     let mut session = Session::open_wim(file, index, environment.clone())?;
//!     session.registry().import(&text)?;
//!     sessions.push(session);
//! }
//! let mut transaction = Transaction::new(file);
//! for session in &mut sessions {
//!     // Nothing where the image has all of it already.
//!     if let Some(edit) = session.image_edit()? {
//!         transaction.edit(edit);
//!     }
//! }
//! let report = transaction.commit(&CommitOptions {
//!     pool: &environment.pool,
//!     progress: &*environment.progress,
//!     cancel: &environment.cancel,
//! })?;
//! println!("images {:?}: {} new blobs", report.images, report.new_blobs);
//! # Ok(())
//! # }
//! ```

pub mod base;
pub mod catalog;
pub mod cli;
pub mod codec;
pub mod digest;
pub mod drivers;
pub mod hive;
pub mod image;
pub mod imaging;
pub mod inf;
pub mod io;
pub mod mount;
pub mod pe;
pub mod report;
pub mod volume;
pub mod wim;
pub mod xml;
