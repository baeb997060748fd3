// SPDX-License-Identifier: GPL-3.0-or-later
#![doc = "Services Windows images on Linux: the library behind the `transom` command."]

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
