// SPDX-License-Identifier: GPL-3.0-or-later
//! The hives of a sample image: made by our own hive code with the structure of real ones, or, for
//! SYSTEM, the real hive of the corpus.

mod components;
mod database;
mod profile;
mod software;
mod system;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use transom::base::{FileTime, name};
use transom::hive::{Hive, KeyId, Value};

use crate::drivers::{InboxPackage, inbox_packages};
use crate::spec::{Spec, SystemHive};
use crate::{corpus, security, tool, windows};

/// A file with registry data.
pub(crate) struct HiveFile {
    /// Path in the image, with `/`.
    pub(crate) path: String,
    pub(crate) bytes: Arc<[u8]>,
    pub(crate) is_log: bool,
}

/// What the makers of the hives know.
pub(crate) struct Facts<'a> {
    pub(crate) spec: &'a Spec,
    pub(crate) image: u32,
    pub(crate) packages: &'a [InboxPackage],
}

impl Facts<'_> {
    /// The length to reach, where the spec asks for hives of real size.
    fn length(&self, mebibytes: u64) -> u64 {
        if self.spec.real_size_hives() { mebibytes << 20 } else { 0 }
    }
}

const CONFIG: &str = "Windows/System32/config";

/// Every hive of one image, with the logs that lie beside them.
pub(crate) fn make(spec: &Spec, image: u32) -> Result<Vec<HiveFile>> {
    let packages = inbox_packages(windows::package_count(spec.files), spec.arch, spec.build, spec.seed);
    let facts = Facts { spec, image, packages: &packages };
    let mut files = Vec::new();
    let mut add = |path: String, bytes: Vec<u8>, is_log: bool| {
        files.push(HiveFile { path, bytes: bytes.into(), is_log });
    };
    match spec.system {
        SystemHive::Made => {
            add(format!("{CONFIG}/SYSTEM"), system::make(&facts)?, false);
            add(format!("{CONFIG}/SYSTEM.LOG1"), Vec::new(), true);
            add(format!("{CONFIG}/SYSTEM.LOG2"), Vec::new(), true);
        }
        SystemHive::Real => {
            let folder = corpus().context("the corpus with the real SYSTEM hive is not here")?.join("hive");
            for (source, target, is_log) in [
                ("SYSTEM_B.xz", "SYSTEM", false),
                ("SYSTEM_B.LOG1.xz", "SYSTEM.LOG1", true),
                ("SYSTEM_B.LOG2.xz", "SYSTEM.LOG2", true),
            ] {
                add(format!("{CONFIG}/{target}"), unpack(&folder.join(source))?, is_log);
            }
        }
    }
    for (name, bytes) in [
        ("SOFTWARE", software::make(&facts)?),
        ("DRIVERS", database::make_drivers(&facts)?),
        ("COMPONENTS", components::make(&facts)?),
    ] {
        add(format!("{CONFIG}/{name}"), bytes, false);
        add(format!("{CONFIG}/{name}.LOG1"), Vec::new(), true);
        add(format!("{CONFIG}/{name}.LOG2"), Vec::new(), true);
    }
    for (path, bytes) in [
        (format!("{CONFIG}/DEFAULT"), profile::make(&facts, "DEFAULT", 5)?),
        (format!("{CONFIG}/SAM"), profile::make_sam()?),
        (format!("{CONFIG}/SECURITY"), profile::make_security()?),
        (format!("{CONFIG}/BCD-Template"), profile::make_bcd(&facts)?),
        ("Users/Default/NTUSER.DAT".into(), profile::make(&facts, "NTUSER.DAT", 3)?),
    ] {
        add(path, bytes, false);
    }
    Ok(files)
}

/// Small hives of every version of the format that matters.
pub(crate) fn make_small() -> Result<Vec<Vec<u8>>> {
    let spec = Spec { files: 200, ..Spec::default() };
    let facts = Facts { spec: &spec, image: 1, packages: &inbox_packages(2, spec.arch, spec.build, 1) };
    Ok(vec![
        profile::make(&facts, "NTUSER.DAT", 3)?,
        profile::make(&facts, "DEFAULT", 5)?,
        profile::make_sam()?,
        profile::make_bcd(&facts)?,
        database::make_drivers(&facts)?,
    ])
}

fn unpack(path: &Path) -> Result<Vec<u8>> {
    let output = tool::command("xz")?.args(["-dc"]).arg(path).output()?;
    anyhow::ensure!(output.status.success(), "xz cannot unpack {}", path.display());
    Ok(output.stdout)
}

/// A hive being made; counts about how long it will be.
pub(crate) struct Maker {
    hive: Hive,
    now: FileTime,
    length: u64,
}

impl Maker {
    /// An empty hive. `minor` is the version of its format.
    fn new(root: &str, minor: u32, sddl: &str) -> Result<Self> {
        // 2024-04-01
        let now = FileTime(133_564_032_000_000_000);
        let hive = Hive::create(root, minor, &security::descriptor(sddl), now)?;
        Ok(Self { hive, now, length: 8192 })
    }

    /// The root key.
    fn root(&self) -> KeyId {
        self.hive.root()
    }

    /// A key with its values, created with the keys above it.
    fn key(&mut self, from: KeyId, path: &str, values: &[Value]) -> Result<KeyId> {
        let key = self.hive.create_path(from, path, self.now)?;
        self.length += 4 + 76 + path.len() as u64 + 12;
        self.set(key, values)?;
        Ok(key)
    }

    /// One key right below another: quicker than a path.
    fn child(&mut self, parent: KeyId, name: &str, values: &[Value]) -> Result<KeyId> {
        let key = self.hive.create_subkey(parent, &name::units(name), self.now)?;
        self.length += 4 + 76 + name.len() as u64 + 12;
        self.set(key, values)?;
        Ok(key)
    }

    fn set(&mut self, key: KeyId, values: &[Value]) -> Result<()> {
        for value in values {
            self.hive.set_value(key, value, self.now)?;
            let name = value.name.units().len() as u64;
            let data = if value.data.len() > 4 { 8 + value.data.len() as u64 } else { 0 };
            self.length += 32 + name + data;
        }
        Ok(())
    }

    /// About how long the hive is.
    fn length(&self) -> u64 {
        self.length
    }

    fn set_security(&mut self, key: KeyId, sddl: &str) -> Result<()> {
        Ok(self.hive.set_security(key, &security::descriptor(sddl), self.now)?)
    }

    /// The file.
    fn finish(mut self) -> Result<Vec<u8>> {
        Ok(self.hive.to_bytes()?)
    }
}
