// SPDX-License-Identifier: GPL-3.0-or-later
//! Two processes commit different images of one WIM at the same time, again and again: every
//! change of both must be there in the end.

use anyhow::{Result, ensure};
use transom_sample::{Sample, Spec, listing};

use crate::{Effort, transom};

pub(crate) fn run(effort: Effort) -> Result<String> {
    let rounds = effort.choose(6, 50);
    let sample = Sample::of(&Spec { images: 2, integrity: true, ..Spec::default() })?;
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let wim = folder.join("install.wim");
    sample.copy(&wim)?;
    for round in 0..rounds {
        let mut children = Vec::new();
        for image in 1..=2 {
            let name = format!("round{round}image{image}");
            transom::package(folder, &name, 30_000)?;
            children.push(transom::add(folder, &format!("install.wim:{image}"), &name).spawn()?);
        }
        for child in children {
            let output = child.wait_with_output()?;
            ensure!(
                output.status.success(),
                "round {round}: {}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
    listing::verify(&wim)?;
    for image in 1..=2 {
        let listed = transom::listed(folder, &format!("install.wim:{image}"))?;
        for round in 0..rounds {
            for other in 1..=2 {
                let name = format!("round{round}image{other}.inf");
                ensure!(listed.contains(&name) == (other == image), "image {image}: {name}\n{listed}");
            }
        }
    }
    Ok(format!("{rounds} rounds of 2 commits: all {} changes are there, verified by wimlib", 2 * rounds))
}
