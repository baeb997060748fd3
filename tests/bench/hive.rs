// SPDX-License-Identifier: GPL-3.0-or-later
//! Our hive code against libhivex and nt-hive on a hive of 100 MB and 250,000 keys.
//!
//! libhivex is called by a small C program (`hivex.c`) that takes the time around the calls that
//! are compared, so that its start does not count against it; edits are counted from the opening
//! on, because hivex reads the hive then and we read it when the first edit needs it. nt-hive and
//! we run in this process. The peak memory is that of processes of their own, which this
//! program starts from itself. What each row made is checked by another reader.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nt_hive::{Hive as NtHive, KeyNode, NtHiveNameString};
use serde_json::json;
use transom::base::name;
use transom::hive::{Hive, KeyId, OpenOptions, PrimaryFile, Value, Visit};
use transom::io::{Cancel, FileReader, Pool};
use transom_sample::large_hive::{self, LargeHive};
use transom_sample::measure::{self, median};
use transom_sample::{Random, tool};

const USAGE: &str = "usage: ./x bench hive [--runs N]";
/// The first argument of a process whose memory is measured.
const WORKER: &str = "--worker";

const LOOK_UPS: usize = 10_000;
const KEYS_WITH_VALUES: usize = 1000;
const VALUES_EACH: u32 = 100;
const NEW_SUBKEYS: u32 = 20_000;

const NOW: transom::base::FileTime = transom::base::FileTime(133_600_000_000_000_000);

/// One figure against its target.
struct Row {
    what: &'static str,
    ours: String,
    theirs: String,
    measured: f64,
    target: f64,
    /// Whether more is better.
    rate: bool,
    unit: &'static str,
}

impl Row {
    fn holds(&self) -> bool {
        if self.rate { self.measured >= self.target } else { self.measured <= self.target }
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if let Some((WORKER, rest)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return work(rest);
    }
    let runs: usize = match arguments.as_slice() {
        [] => 5,
        [word, number] if word == "--runs" => number.parse().context(USAGE)?,
        _ => bail!(USAGE),
    };
    ensure!(runs > 0, USAGE);
    let folder = measure::target_folder().join("bench/hive");
    fs::create_dir_all(&folder)?;
    let driver = build_driver(&folder)?;
    println!("making the hive ...");
    let begin = Instant::now();
    let large = large_hive::make(1)?;
    let path = folder.join("LARGE");
    write(&path, &large.bytes)?;
    println!(
        "{}: {:.1} MB, {} keys, {} values, made in {:.1} s\n",
        path.display(),
        large.bytes.len() as f64 / 1e6,
        large.keys,
        large.values,
        begin.elapsed().as_secs_f64()
    );
    ensure!((95_000_000..115_000_000).contains(&large.bytes.len()), "not the length it should have");
    ensure!(Hive::check_file(&large.bytes)?.is_empty(), "the hive breaks rules");
    let bench =
        Bench { folder: &folder, driver: &driver, path: &path, large: &large, runs, pool: &Pool::new(0)? };
    let mut rows = vec![bench.open()?];
    rows.extend(bench.walk()?);
    rows.push(bench.look_ups()?);
    rows.extend(bench.values()?);
    rows.push(bench.subkeys()?);
    rows.push(bench.save()?);
    rows.extend(bench.memory()?);

    println!("{:34} {:>14} {:>22} {:>9}   target", "", "transom", "peer", "ratio");
    for row in &rows {
        println!(
            "{:34} {:>14} {:>22} {:>7.2}{:2}   {} {}{} {}",
            row.what,
            row.ours,
            row.theirs,
            row.measured,
            row.unit,
            if row.rate { ">=" } else { "<=" },
            row.target,
            row.unit,
            if row.holds() { "" } else { "MISSED" },
        );
    }
    let report = json!({
        "hive_bytes": large.bytes.len(),
        "keys": large.keys,
        "values": large.values,
        "runs": runs,
        "cores": std::thread::available_parallelism()?.get(),
        "rows": rows.iter().map(|row| json!({
            "what": row.what, "transom": row.ours, "peer": row.theirs,
            "measured": row.measured, "target": row.target, "unit": row.unit, "holds": row.holds(),
        })).collect::<Vec<_>>(),
    });
    let report_path = folder.join("hive.json");
    fs::write(&report_path, serde_json::to_string_pretty(&report)? + "\n")?;
    println!("\n{}", report_path.display());
    let missed: Vec<&str> = rows.iter().filter(|row| !row.holds()).map(|row| row.what).collect();
    ensure!(missed.is_empty(), "targets missed: {}", missed.join(", "));
    Ok(())
}

fn build_driver(folder: &Path) -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/hivex.c");
    let program = folder.join("hivex");
    tool::run(Command::new("cc").args(["-O2", "-Wall", "-o"]).arg(&program).arg(&source).arg("-lhivex"))
        .context("the driver of libhivex does not build; ./x bench installs libhivex-dev")?;
    Ok(program)
}

/// Writes a file, on the disk already, so that no run pays for another's writing.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = fs::File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(())
}

fn opened(path: &Path) -> Result<Hive> {
    Ok(Hive::open(Arc::new(FileReader::open(path)?), OpenOptions::default())?)
}

/// What a walk has seen: counts, and a sum over names, types and lengths in their order.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    keys: u64,
    values: u64,
    sum: u64,
}

impl Seen {
    fn add(&mut self, bytes: &[u8], compressed: bool, number: u64) {
        let mut sum = self.sum ^ number ^ u64::from(compressed) << 63;
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            sum = (sum ^ u64::from_le_bytes(*word)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23);
        }
        for &byte in rest {
            sum = (sum ^ u64::from(byte)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        }
        self.sum = sum.rotate_left(31);
    }
}

fn our_walk(hive: &Hive) -> Result<Seen> {
    let mut seen = Seen::default();
    hive.visit(hive.root(), |step| match step {
        Visit::Key(key) => {
            seen.keys += 1;
            seen.add(key.name.bytes(), key.name.is_compressed(), 0);
        }
        Visit::Value(value) => {
            seen.values += 1;
            let number = u64::from(value.kind.0) << 32 | value.length as u64;
            seen.add(value.name.bytes(), value.name.is_compressed(), number);
        }
    })?;
    Ok(seen)
}

fn their_name(name: &NtHiveNameString<'_>, number: u64, seen: &mut Seen) {
    match name {
        NtHiveNameString::Latin1(bytes) => seen.add(bytes, true, number),
        NtHiveNameString::Utf16LE(bytes) => seen.add(bytes, false, number),
    }
}

fn their_walk(key: &KeyNode<'_, &[u8]>, seen: &mut Seen) -> Result<()> {
    seen.keys += 1;
    their_name(&key.name()?, 0, seen);
    if let Some(values) = key.values() {
        for value in values? {
            let value = value?;
            seen.values += 1;
            let number = (value.data_type()? as u64) << 32 | u64::from(value.data_size());
            their_name(&value.name()?, number, seen);
        }
    }
    if let Some(subkeys) = key.subkeys() {
        for subkey in subkeys? {
            their_walk(&subkey?, seen)?;
        }
    }
    Ok(())
}

/// What the driver of libhivex said: its time, and the number that shows what it did.
fn hivex(command: &mut Command) -> Result<(Duration, u64)> {
    let text = tool::run(command)?;
    let mut numbers = text.split_whitespace().map(str::parse::<u64>);
    let mut next = || numbers.next().and_then(Result::ok).with_context(|| format!("hivex said {text:?}"));
    Ok((Duration::from_nanos(next()?), next()?))
}

fn milliseconds(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

struct Bench<'a> {
    folder: &'a Path,
    driver: &'a Path,
    path: &'a Path,
    large: &'a LargeHive,
    runs: usize,
    pool: &'a Pool,
}

impl Bench<'_> {
    fn hivex(&self) -> Command {
        let mut command = Command::new(self.driver);
        command.arg(self.path);
        command
    }

    /// The middle of several runs.
    fn repeated(&self, mut run: impl FnMut() -> Result<Duration>) -> Result<Duration> {
        let times: Vec<Duration> = (0..self.runs).map(|_| run()).collect::<Result<_>>()?;
        median(times)
    }

    fn open(&self) -> Result<Row> {
        println!("opening ...");
        let ours = self.repeated(|| {
            let begin = Instant::now();
            let hive = opened(self.path)?;
            let found = hive.find(hive.root(), &self.large.paths[0])?;
            let time = begin.elapsed();
            let name = hive.name(found.context("the first key is not found")?)?;
            ensure!(self.large.paths[0].ends_with(&name.to_string()));
            Ok(time)
        })?;
        let theirs = self.repeated(|| Ok(hivex(self.hivex().arg("open"))?.0))?;
        Ok(Row {
            what: "open, and one look-up",
            ours: milliseconds(ours),
            theirs: format!("hivex {}", milliseconds(theirs)),
            measured: ours.as_secs_f64() * 1e3,
            target: 20.0,
            rate: false,
            unit: "ms",
        })
    }

    fn walk(&self) -> Result<Vec<Row>> {
        println!("walking ...");
        let mut rows = Vec::new();
        for (what, from_file) in [("full walk, file read included", true), ("full walk in memory", false)] {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            // Both hold the hive in memory when only the walk is measured.
            let loaded = opened(self.path)?;
            our_walk(&loaded)?;
            for _ in 0..self.runs {
                let begin = Instant::now();
                let our_seen = match from_file {
                    true => our_walk(&opened(self.path)?)?,
                    false => our_walk(&loaded)?,
                };
                ours.push(begin.elapsed());
                let mut their_seen = Seen::default();
                let begin = Instant::now();
                let read = if from_file { fs::read(self.path)? } else { Vec::new() };
                let bytes = if from_file { &read } else { &self.large.bytes };
                their_walk(&NtHive::new(bytes.as_slice())?.root_key_node()?, &mut their_seen)?;
                theirs.push(begin.elapsed());
                ensure!(our_seen == their_seen, "the walks differ: {our_seen:?}, {their_seen:?}");
                ensure!((our_seen.keys, our_seen.values) == (self.large.keys, self.large.values));
            }
            let (ours, theirs) = (median(ours)?, median(theirs)?);
            rows.push(Row {
                what,
                ours: milliseconds(ours),
                theirs: format!("nt-hive {}", milliseconds(theirs)),
                measured: ours.as_secs_f64() / theirs.as_secs_f64(),
                target: 1.5,
                rate: false,
                unit: "x",
            });
        }
        Ok(rows)
    }

    fn look_ups(&self) -> Result<Row> {
        println!("looking up {LOOK_UPS} paths ...");
        let mut random = Random::new(2);
        let paths: Vec<&str> = (0..LOOK_UPS).map(|_| random.pick(&self.large.paths).as_str()).collect();
        let list = self.folder.join("paths");
        fs::write(&list, paths.join("\n") + "\n")?;
        let mut sum = 0;
        let ours = self.repeated(|| {
            let hive = opened(self.path)?;
            our_walk(&hive)?;
            let root = hive.root();
            sum = 0;
            let begin = Instant::now();
            for path in &paths {
                sum += hive.find(root, path)?.map_or(0, |key| u64::from(key.0) + 4096);
            }
            Ok(begin.elapsed())
        })?;
        let (theirs, their_sum) = hivex(self.hivex().arg("look-ups").arg(&list))?;
        ensure!(sum == their_sum, "hivex found other keys: {sum:#x}, {their_sum:#x}");
        Ok(rate("10,000 path look-ups", ours, theirs, LOOK_UPS, 300.0))
    }

    /// Keys spread over the hive.
    fn some_keys(&self, hive: &Hive) -> Result<Vec<KeyId>> {
        let step = self.large.paths.len() / KEYS_WITH_VALUES;
        let paths = self.large.paths.iter().step_by(step).take(KEYS_WITH_VALUES);
        paths.map(|path| hive.find(hive.root(), path)?.context("a key is not found")).collect()
    }

    fn values(&self) -> Result<Vec<Row>> {
        println!("setting {} values ...", KEYS_WITH_VALUES as u32 * VALUES_EACH);
        let keys = self.some_keys(&opened(self.path)?)?;
        let target = self.folder.join("VALUES");
        let mut needed = 0;
        {
            let hive = opened(self.path)?;
            for &key in &keys {
                let old = hive.values(key)?.len();
                let list = |count: usize| if count == 0 { 0 } else { (4 * count + 4).next_multiple_of(8) };
                needed += list(old + VALUES_EACH as usize) - list(old);
                needed += VALUES_EACH as usize * ((4 + 20 + 13_usize).next_multiple_of(8) + 24);
            }
        }
        let ours = self.repeated(|| {
            write(&target, &self.large.bytes)?;
            let begin = Instant::now();
            let mut file = PrimaryFile::open_to_edit(&target, false, &Cancel::default())?;
            for (number, &key) in keys.iter().enumerate() {
                for value in 0..VALUES_EACH {
                    file.hive.set_value(key, &new_value(number, value), NOW)?;
                }
            }
            let time = begin.elapsed();
            ensure!(file.save(self.pool)?.written, "nothing was saved");
            Ok(time)
        })?;
        let bytes = fs::read(&target)?;
        let growth = bytes.len() - self.large.bytes.len();
        let read = NtHive::new(bytes.as_slice())?;
        for (number, path) in self
            .large
            .paths
            .iter()
            .step_by(self.large.paths.len() / KEYS_WITH_VALUES)
            .take(KEYS_WITH_VALUES)
            .enumerate()
        {
            let key = read.root_key_node()?.subpath(path).context("nt-hive does not find a key")??;
            for value in [0, 1, VALUES_EACH / 2, VALUES_EACH - 1] {
                let expected = new_value(number, value);
                let found =
                    key.value(&expected.name.to_string()).context("nt-hive does not find a value")??;
                ensure!(found.data()?.into_vec()? == expected.data, "another value");
            }
        }
        let mut seen = Seen::default();
        their_walk(&read.root_key_node()?, &mut seen)?;
        let new = KEYS_WITH_VALUES as u64 * u64::from(VALUES_EACH);
        ensure!((seen.keys, seen.values) == (self.large.keys, self.large.values + new), "{seen:?}");
        ensure!(Hive::check_file(&bytes)?.is_empty(), "the saved hive breaks rules");

        let list = self.folder.join("keys");
        let handles: String = keys.iter().map(|key| format!("{}\n", u64::from(key.0) + 4096)).collect();
        fs::write(&list, handles)?;
        let (theirs, done) =
            hivex(self.hivex().arg("values").arg(&list).arg(VALUES_EACH.to_string()).arg(&target))?;
        ensure!(done == new, "hivex set {done} values");
        let theirs_read = opened(&target)?;
        let theirs_seen = our_walk(&theirs_read)?;
        ensure!((theirs_seen.keys, theirs_seen.values) == (seen.keys, seen.values), "{theirs_seen:?}");
        for (number, &key) in keys.iter().enumerate() {
            let expected = new_value(number, VALUES_EACH - 1);
            ensure!(theirs_read.value(key, expected.name.units())? == Some(expected), "hivex: another value");
        }
        let their_growth = fs::metadata(&target)?.len() - self.large.bytes.len() as u64;
        Ok(vec![
            rate("100,000 values set", ours, theirs, new as usize, 8.0),
            Row {
                what: "growth of the file by them",
                ours: format!("{:.2} MB", growth as f64 / 1e6),
                theirs: format!("hivex {:.2} MB", their_growth as f64 / 1e6),
                measured: growth as f64 / needed as f64,
                target: 1.3,
                rate: false,
                unit: "x",
            },
        ])
    }

    fn subkeys(&self) -> Result<Row> {
        println!("creating {NEW_SUBKEYS} subkeys ...");
        let key = self.some_keys(&opened(self.path)?)?[0];
        let target = self.folder.join("SUBKEYS");
        let ours = self.repeated(|| {
            write(&target, &self.large.bytes)?;
            let begin = Instant::now();
            let mut file = PrimaryFile::open_to_edit(&target, false, &Cancel::default())?;
            for number in 0..NEW_SUBKEYS {
                file.hive.create_subkey(key, &name::units(&new_subkey(number)), NOW)?;
            }
            let time = begin.elapsed();
            ensure!(file.save(self.pool)?.written, "nothing was saved");
            Ok(time)
        })?;
        let bytes = fs::read(&target)?;
        ensure!(Hive::check_file(&bytes)?.is_empty(), "the saved hive breaks rules");
        let read = NtHive::new(bytes.as_slice())?;
        let parent = read.root_key_node()?.subpath(&self.large.paths[0]).context("no key for nt-hive")??;
        for number in 0..NEW_SUBKEYS {
            parent.subkey(&new_subkey(number)).with_context(|| format!("nt-hive: no subkey {number}"))??;
        }
        let (theirs, done) = hivex(
            self.hivex()
                .arg("subkeys")
                .arg((u64::from(key.0) + 4096).to_string())
                .arg(NEW_SUBKEYS.to_string())
                .arg(&target),
        )?;
        ensure!(done == u64::from(NEW_SUBKEYS), "hivex made {done} subkeys");
        ensure!(our_walk(&opened(&target)?)?.keys == self.large.keys + done, "hivex lost keys");
        Ok(rate("20,000 new subkeys of one key", ours, theirs, NEW_SUBKEYS as usize, 500.0))
    }

    fn save(&self) -> Result<Row> {
        println!("saving ...");
        let key = self.some_keys(&opened(self.path)?)?[0];
        let (our_file, their_file) = (self.folder.join("OURS"), self.folder.join("THEIRS"));
        let handle = (u64::from(key.0) + 4096).to_string();
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..self.runs {
            write(&our_file, &self.large.bytes)?;
            let mut file = PrimaryFile::open_to_edit(&our_file, false, &Cancel::default())?;
            file.hive.set_value(key, &Value::binary("saved", b"saved by us".as_slice()), NOW)?;
            let begin = Instant::now();
            ensure!(file.save(self.pool)?.written, "nothing was saved");
            ours.push(begin.elapsed());
            write(&their_file, &self.large.bytes)?;
            let (time, _) =
                hivex(Command::new(self.driver).arg(&their_file).arg("save").arg(&handle).arg(&their_file))?;
            theirs.push(time);
        }
        let ours_read = fs::read(&our_file)?;
        let read = NtHive::new(ours_read.as_slice())?;
        let parent = read.root_key_node()?.subpath(&self.large.paths[0]).context("no key for nt-hive")??;
        ensure!(
            parent.value("saved").context("nt-hive does not find the value")??.data()?.into_vec()?
                == b"saved by us"
        );
        let hive = opened(&their_file)?;
        let value = hive.value(key, &name::units("saved"))?.context("hivex saved nothing")?;
        ensure!(value.data.starts_with(b"saved by hivex"));
        let (ours, theirs) = (median(ours)?, median(theirs)?);
        Ok(Row {
            what: "durable save (ours atomic, checked)",
            ours: milliseconds(ours),
            theirs: format!("hivex {}", milliseconds(theirs)),
            measured: ours.as_secs_f64() / theirs.as_secs_f64(),
            target: 1.2,
            rate: false,
            unit: "x",
        })
    }

    fn memory(&self) -> Result<Vec<Row>> {
        println!("measuring memory ...");
        let mut rows = Vec::new();
        for (what, task) in
            [("peak memory: full walk", "walk"), ("peak memory: 100,000 values, save", "values")]
        {
            let copy = self.folder.join("MEMORY");
            write(&copy, &self.large.bytes)?;
            let list = self.folder.join("keys");
            let mut command = Command::new(std::env::current_exe()?);
            command.args([WORKER, task]).arg(&copy).arg(&list);
            let (run, output) = measure::run(&command, b"")?;
            let text = String::from_utf8_lossy(&output.stdout);
            let new = if task == "walk" { 0 } else { KEYS_WITH_VALUES as u64 * u64::from(VALUES_EACH) };
            let expected = format!("{} {}", self.large.keys, self.large.values + new);
            ensure!(text.trim() == expected, "the worker saw {text:?} instead of {expected:?}");
            let length = fs::metadata(&copy)?.len() as f64;
            rows.push(Row {
                what,
                ours: format!("{:.1} MB", run.peak_memory as f64 / 1e6),
                theirs: format!("hive {:.1} MB", length / 1e6),
                measured: run.peak_memory as f64 / length,
                target: 2.0,
                rate: false,
                unit: "x",
            });
        }
        Ok(rows)
    }
}

fn rate(what: &'static str, ours: Duration, theirs: Duration, count: usize, target: f64) -> Row {
    let each = |time: Duration| format!("{:.2} us", time.as_secs_f64() * 1e6 / count as f64);
    Row {
        what,
        ours: each(ours),
        theirs: format!("hivex {}", each(theirs)),
        measured: theirs.as_secs_f64() / ours.as_secs_f64(),
        target,
        rate: true,
        unit: "x",
    }
}

/// As in `hivex.c`.
fn new_value(key: usize, number: u32) -> Value {
    let data = [key as u32, number, 0x0123_4567, 0x89AB_CDEF];
    Value::binary(
        &format!("new value {number:03}"),
        data.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>(),
    )
}

/// As in `hivex.c`: scattered over the order of names.
fn new_subkey(number: u32) -> String {
    format!("new key {:08x}", number.wrapping_mul(2_654_435_761))
}

/// The process whose memory is measured: task, hive, list of keys. Prints what it saw.
fn work(arguments: &[String]) -> Result<()> {
    let [task, path, list] = arguments else { bail!("{WORKER} TASK HIVE KEYS") };
    let path = Path::new(path);
    let mut new = 0;
    let hive = match task.as_str() {
        "walk" => opened(path)?,
        _ => {
            let mut file = PrimaryFile::open_to_edit(path, false, &Cancel::default())?;
            for (number, handle) in fs::read_to_string(list)?.lines().enumerate() {
                let key = KeyId((handle.parse::<u64>()? - 4096) as u32);
                for value in 0..VALUES_EACH {
                    file.hive.set_value(key, &new_value(number, value), NOW)?;
                    new += 1;
                }
            }
            ensure!(file.save(&Pool::new(0)?)?.written, "nothing was saved");
            file.hive
        }
    };
    ensure!(task == "walk" || new == KEYS_WITH_VALUES as u32 * VALUES_EACH);
    let seen = our_walk(&hive)?;
    println!("{} {}", seen.keys, seen.values);
    Ok(())
}
