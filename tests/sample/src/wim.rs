// SPDX-License-Identifier: GPL-3.0-or-later
//! Writes the WIM: the trees, captured by `wimlib-imagex`.

use std::path::Path;

use anyhow::{Context, Result};

use crate::plan::{Kind, Plan};
use crate::spec::{Compression, Spec};
use crate::{hives, ntfs, tool, windows};

/// Makes a WIM of one given tree.
pub(crate) fn make_small(spec: &Spec, plan: &Plan, target: &Path, scratch: &Path) -> Result<()> {
    let source = scratch.join("tree");
    if ntfs::obstacle().is_none() {
        ntfs::fill(&source, plan, data_length(plan))?;
        capture(spec, 1, &source, target)?;
        std::fs::remove_file(&source)?;
    } else {
        write_plain(&source, plan)?;
        capture(spec, 1, &source, target)?;
        std::fs::remove_dir_all(&source)?;
    }
    Ok(())
}

/// Makes the WIM of a spec at `target`, with scratch files in `scratch`. NTFS volumes hold the
/// trees if `nt`, else plain folders.
pub(crate) fn make(spec: &Spec, nt: bool, target: &Path, scratch: &Path) -> Result<()> {
    for image in 1..=spec.images {
        let plan = windows::tree(spec, image, hives::make(spec, image)?);
        let source = scratch.join(format!("image{image}"));
        if nt {
            ntfs::fill(&source, &plan, data_length(&plan))?;
        } else {
            write_plain(&source, &plan)?;
        }
        capture(spec, image, &source, target)?;
        if nt {
            std::fs::remove_file(&source)?;
        } else {
            std::fs::remove_dir_all(&source)?;
        }
    }
    Ok(())
}

/// About how many bytes the files of a tree hold.
fn data_length(plan: &Plan) -> u64 {
    use crate::content::Content;
    let length = |entry: &crate::plan::Entry| match &entry.kind {
        Kind::File(Content::Bytes(bytes)) => bytes.len() as u64,
        Kind::File(Content::Program { length, .. } | Content::Data { length, .. }) => {
            u64::from(*length) + 1024
        }
        _ => 0,
    };
    // A file takes whole clusters.
    plan.entries().iter().map(|entry| length(entry).next_multiple_of(4096)).sum()
}

/// The tree without what only NTFS has.
fn write_plain(root: &Path, plan: &Plan) -> Result<()> {
    std::fs::create_dir(root)?;
    for entry in plan.entries() {
        let path = root.join(&entry.path);
        match &entry.kind {
            Kind::Directory => std::fs::create_dir(&path),
            Kind::File(content) => std::fs::write(&path, content.bytes()),
            Kind::Link(target) => std::fs::hard_link(root.join(&plan.entries()[*target].path), &path),
            Kind::Junction(target) | Kind::Symlink { target, .. } => {
                let target = target.replace('\\', "/");
                std::os::unix::fs::symlink(target.strip_prefix("C:").unwrap_or(&target), &path)
            }
        }
        .with_context(|| format!("while writing {}", entry.path))?;
    }
    Ok(())
}

fn capture(spec: &Spec, image: u32, source: &Path, target: &Path) -> Result<()> {
    let (edition, product) = spec.edition(image);
    let mut command = tool::command("wimlib-imagex")?;
    command.arg(if image == 1 { "capture" } else { "append" });
    command.args([source, target]);
    command.args([product, &format!("{product}, a sample of {} files", spec.files)]);
    if image == 1 {
        match spec.compression {
            Compression::LzmsSolid => command.arg("--solid"),
            other => command.arg(format!("--compress={}", other.as_str())),
        };
        if spec.bootable {
            command.arg("--boot");
        }
    } else if spec.compression == Compression::LzmsSolid {
        command.arg("--solid");
    }
    if spec.integrity {
        command.arg("--check");
    }
    // What Microsoft's images say beside what wimlib finds in the registry by itself.
    for (name, value) in [
        ("FLAGS", edition),
        ("DISPLAYNAME", product),
        ("DISPLAYDESCRIPTION", product),
        ("WINDOWS/PRODUCTNAME", "Microsoft\u{ae} Windows\u{ae} Operating System"),
        ("WINDOWS/VERSION/BRANCH", "ge_release"),
        ("WINDOWS/SERVICINGDATA/IMAGESTATE", "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE"),
    ] {
        command.arg(format!("--image-property={name}={value}"));
    }
    tool::run(&mut command)?;
    Ok(())
}
