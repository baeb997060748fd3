// SPDX-License-Identifier: GPL-3.0-or-later
//! Mounts an empty tree in memory and serves it until it is unmounted, or measures it.
//!
//! `cargo run -p fuse-mount --release --example memory -- DIRECTORY [--insensitive] [--write-back] [--bench]`

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use fuse_mount::{Access, Mount, Options, Places, Spellings};

#[path = "../tests/memory/mod.rs"]
mod memory;

use memory::{Case, Memory};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let target = arguments.iter().find(|argument| !argument.starts_with("--")).ok_or("which directory?")?;

    let case = if has("--insensitive") { Case::Insensitive } else { Case::Sensitive };
    let mut options = Options::new("memory", "memory", Access::ReadWrite);
    options.spellings = if case == Case::Insensitive { Spellings::Many } else { Spellings::One };
    options.places = Places::Stable;
    options.set_id_bits = !has("--bench");
    options.write_back = has("--write-back");
    let mount = Mount::spawn(Arc::new(Memory::new(case)), Path::new(target), options)?;
    if has("--bench") {
        bench(mount.target())?;
        mount.unmount()?;
    } else {
        mount.wait()?;
    }
    Ok(())
}

/// Files made, looked at and read; figures on standard output.
fn bench(root: &Path) -> std::io::Result<()> {
    const FILES: usize = 20_000;
    const BIG: usize = 512 << 20;
    let rate = |what: &str, count: usize, began: Instant| {
        println!("{what:<28} {:>9.0}/s", count as f64 / began.elapsed().as_secs_f64());
    };
    let throughput = |what: &str, began: Instant| {
        println!("{what:<28} {:>9.0} MiB/s", (BIG >> 20) as f64 / began.elapsed().as_secs_f64());
    };

    let path = |index: usize| root.join(format!("d{}/f{index}", index % 100));
    for directory in 0..100 {
        fs::create_dir(root.join(format!("d{directory}")))?;
    }
    let began = Instant::now();
    for index in 0..FILES {
        fs::write(path(index), [b'x'; 4096])?;
    }
    rate("create 4 KiB", FILES, began);
    // Drops names, attributes and pages, so that the next round is cold. Root only.
    let cold = || fs::write("/proc/sys/vm/drop_caches", "3").is_ok();
    for (round, dropped) in [("cold", cold()), ("warm", false)] {
        let round = if round == "cold" && !dropped { "not quite cold" } else { round };
        let began = Instant::now();
        for index in 0..FILES {
            fs::symlink_metadata(path(index))?;
        }
        rate(&format!("stat, {round}"), FILES, began);
    }
    cold();
    for round in ["cold", "warm"] {
        let began = Instant::now();
        let mut seen = 0;
        for directory in fs::read_dir(root)? {
            for file in fs::read_dir(directory?.path())? {
                file?.metadata()?;
                seen += 1;
            }
        }
        rate(&format!("list and stat, {round}"), seen, began);
    }
    let began = Instant::now();
    for index in 0..FILES {
        fs::read(path(index))?;
    }
    rate("open, read, close", FILES, began);

    let big = root.join("big");
    let block = vec![7; 1 << 20];
    let began = Instant::now();
    let mut file = fs::File::create(&big)?;
    for _ in 0..BIG >> 20 {
        file.write_all(&block)?;
    }
    drop(file);
    throughput("write", began);
    cold();
    for round in ["cold", "warm"] {
        let mut block = vec![0; 1 << 20];
        let mut file = fs::File::open(&big)?;
        let began = Instant::now();
        while file.read(&mut block)? > 0 {}
        throughput(&format!("read, {round}"), began);
    }
    Ok(())
}
