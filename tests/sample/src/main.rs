// SPDX-License-Identifier: GPL-3.0-or-later
//! Outline.
use transom_sample::{Sample, Spec};
fn main() -> anyhow::Result<()> {
    let files: u32 = std::env::args().nth(1).unwrap().parse()?;
    let plain = std::env::args().nth(2).is_some();
    println!("{:?}", Sample::of(&Spec { files, plain, ..Spec::default() })?);
    Ok(())
}
