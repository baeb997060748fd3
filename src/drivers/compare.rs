// SPDX-License-Identifier: GPL-3.0-or-later
//! `driver diff`: the driver packages of two images side by side.

use std::collections::BTreeMap;

use crate::base::{Result, StreamKind};
use crate::image::Session;
use crate::io::read_vec;
use crate::volume::Volume;

use super::report::{DriverComparison, DriverPackage, PackageDifference};
use super::store::Store;
use super::{list, stored};

/// Compares the packages of two images; `all` includes those of Windows. A package of the same INF
/// is in both; one of the same name, provider and class with another INF is another version of it.
///
/// # Errors
/// When either driver database or a file cannot be read.
pub fn compare(first: &mut Session, second: &mut Session, all: bool) -> Result<DriverComparison> {
    let mut left = list(first, all)?;
    let mut right = list(second, all)?;
    let mut result = DriverComparison::default();
    left.retain(|package| {
        let same = right.iter().position(|other| other.store_name.eq_ignore_ascii_case(&package.store_name));
        let Some(position) = same.filter(|_| !package.store_name.is_empty()) else { return true };
        result.both.push(PackageDifference {
            first: package.clone(),
            second: right.remove(position),
            files: Vec::new(),
        });
        false
    });
    left.retain(|package| {
        let Some(position) = right.iter().position(|other| is_other_version(package, other)) else {
            return true;
        };
        result.changed.push(PackageDifference {
            first: package.clone(),
            second: right.remove(position),
            files: Vec::new(),
        });
        false
    });
    for pair in &mut result.both {
        let (one, other) = (files(first, &pair.first)?, files(second, &pair.second)?);
        let names = one.keys().chain(other.keys().filter(|name| !one.contains_key(*name)));
        pair.files = names.filter(|name| one.get(*name) != other.get(*name)).cloned().collect();
    }
    result.only_first = left;
    result.only_second = right;
    Ok(result)
}

fn is_other_version(left: &DriverPackage, right: &DriverPackage) -> bool {
    left.original_file_name.eq_ignore_ascii_case(&right.original_file_name)
        && left.provider_name == right.provider_name
        && left.class_name.eq_ignore_ascii_case(&right.class_name)
}

/// The files of a package by their names in lower case, with their SHA-1.
fn files(session: &Session, package: &DriverPackage) -> Result<BTreeMap<String, Vec<u8>>> {
    let overlay = session.overlay();
    let store = Store::new(overlay, &session.windows().directory);
    let Some(folder) = store.resolve(&store.package(&package.store_name))? else {
        return Ok(BTreeMap::new());
    };
    let mut found = BTreeMap::new();
    for file in stored::files(overlay, folder)? {
        let node = overlay.node(file.node)?;
        let hash = match node.data().and_then(|data| data.hash) {
            Some(hash) => hash.0.to_vec(),
            None => {
                let data = overlay.open(file.node, StreamKind::Data, &[])?;
                crate::digest::sha1(&read_vec(&data, 0, data.len())?).to_vec()
            }
        };
        found.insert(file.relative.to_string().to_lowercase(), hash);
    }
    Ok(found)
}
