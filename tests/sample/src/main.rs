// SPDX-License-Identifier: GPL-3.0-or-later
//! The `transom-sample` command: sample images and driver packages for people, and the
//! demonstration that `./x demo` shows.

mod demo;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use transom::base::Arch;
use transom_sample::drivers::{self, DriverSpec};
use transom_sample::{Compression, Sample, Spec, SystemHive, mutation, parsers};

fn command() -> Command {
    let arch = || {
        Arg::new("arch")
            .long("arch")
            .value_name("ARCH")
            .help("x86, amd64, arm or arm64")
            .default_value("amd64")
            .value_parser(|word: &str| Arch::parse(word).ok_or("no such architecture"))
    };
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).help(help).action(ArgAction::SetTrue)
    };
    let number = |name: &'static str, default: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name("N")
            .help(help)
            .default_value(default)
            .value_parser(value_parser!(u32))
    };
    Command::new("transom-sample")
        .about("Makes images shaped like Windows 11, and driver packages")
        .subcommand_required(true)
        .subcommand(
            Command::new("image")
                .about("Writes a sample image")
                .arg(Arg::new("wim").required(true).value_parser(value_parser!(PathBuf)))
                .arg(arch())
                .arg(number("files", "400", "names that are no directories, 200 to 100000"))
                .arg(number("build", "26100", "the build of Windows"))
                .arg(number("seed", "1", "other numbers give other contents"))
                .arg(number("images", "1", "images in the file"))
                .arg(
                    Arg::new("compress")
                        .long("compress")
                        .help("none, xpress, lzx or solid")
                        .default_value("lzx")
                        .value_parser(|word: &str| {
                            Compression::ALL
                                .into_iter()
                                .find(|found| found.as_str() == word)
                                .ok_or("no such compression")
                        }),
                )
                .arg(flag("integrity", "with an integrity table"))
                .arg(flag("bootable", "the first image is the one to boot"))
                .arg(flag("real-system", "with the real SYSTEM hive of the corpus"))
                .arg(flag("plain", "without what only NTFS keeps")),
        )
        .subcommand(
            Command::new("driver")
                .about("Writes a driver package without a catalog")
                .arg(Arg::new("folder").required(true).value_parser(value_parser!(PathBuf)))
                .arg(arch())
                .arg(Arg::new("name").long("name").default_value("demodisk"))
                .arg(Arg::new("class").long("class").default_value("SCSIAdapter")),
        )
        .subcommand(
            Command::new("seeds")
                .about("Writes the inputs that the fuzzers start from, one folder for each parser")
                .arg(Arg::new("folder").required(true).value_parser(value_parser!(PathBuf))),
        )
        .subcommand(Command::new("demo").about("Adds a driver to an image and shows what happened"))
}

fn image(matches: &ArgMatches) -> Result<()> {
    let number = |name: &str| matches.get_one::<u32>(name).copied().unwrap_or_default();
    let files = number("files");
    if !(200..=100_000).contains(&files) {
        bail!("{files} files: from 200 to 100000 are possible");
    }
    let spec = Spec {
        files,
        arch: *matches.get_one("arch").unwrap_or(&Arch::Amd64),
        build: number("build").try_into()?,
        seed: number("seed").into(),
        images: number("images").max(1),
        compression: *matches.get_one("compress").unwrap_or(&Compression::Lzx),
        integrity: matches.get_flag("integrity"),
        bootable: matches.get_flag("bootable"),
        system: if matches.get_flag("real-system") { SystemHive::Real } else { SystemHive::Made },
        plain: matches.get_flag("plain"),
    };
    let target: &PathBuf = matches.get_one("wim").unwrap_or_else(|| unreachable!("required"));
    Sample::of(&spec)?.copy(target)?;
    println!("{}", target.display());
    Ok(())
}

fn driver(matches: &ArgMatches) -> Result<()> {
    let text = |name: &str| matches.get_one::<String>(name).map_or("", String::as_str);
    let folder: &PathBuf = matches.get_one("folder").unwrap_or_else(|| unreachable!("required"));
    let spec = DriverSpec {
        name: text("name"),
        class: text("class"),
        arch: *matches.get_one("arch").unwrap_or(&Arch::Amd64),
        ..DriverSpec::default()
    };
    println!("{}", drivers::write_package(folder, &spec)?.display());
    Ok(())
}

fn seeds(matches: &ArgMatches) -> Result<()> {
    let folder: &PathBuf = matches.get_one("folder").unwrap_or_else(|| unreachable!("required"));
    let scratch = tempfile::tempdir()?;
    for parser in parsers::ALL {
        let place = folder.join(parser.name);
        std::fs::create_dir_all(&place)?;
        let seeds = mutation::seeds(parser.name, scratch.path())?;
        let all = || seeds.made.iter().chain(&seeds.corpus);
        for (number, bytes) in all().enumerate() {
            std::fs::write(place.join(format!("seed{number}")), bytes)?;
        }
        println!("{}: {} inputs", place.display(), all().count());
    }
    Ok(())
}

fn main() -> ExitCode {
    let result = match command().get_matches().subcommand() {
        Some(("image", matches)) => image(matches),
        Some(("driver", matches)) => driver(matches),
        Some(("seeds", matches)) => seeds(matches),
        _ => demo::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("transom-sample: {error:#}");
            ExitCode::FAILURE
        }
    }
}
