// SPDX-License-Identifier: GPL-3.0-or-later
//! Recipes: a TOML file that says which images get which steps, from which sources.
//!
//! ```toml
//! image = "install.wim:all"       # or a list; --image on the command line wins
//! output = "serviced.wim"         # optional: the image's file stays as it is
//! steps = [
//!     "driver add ${drivers} --recurse",
//!     "/Add-Driver /Driver:${drivers} /Recurse",
//!     ["reg", "add", 'HKLM\SOFTWARE\Contoso', "/v", "Level", "/d", "3", "/f"],
//! ]
//!
//! [sources]
//! drivers = "drivers"
//! ```
//!
//! A step is a command in our words or in DISM's: a text that is split as a shell would, or a list
//! of words. `${name}` stands for a source; paths begin at the recipe's folder. The lock beside it
//! (`FILE.lock`) holds the SHA-256 of every file of the sources, and of the image where the result
//! goes elsewhere.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::invocation::{Invocation, Step, Understood};
use super::table::{Kind, Scope};
use super::target::Target;
use super::values::Values;
use super::{native, slash};
use crate::base::{Code, Context as _, Error, ErrorClass, Result};
use crate::digest::Sha256;
use crate::io::AtomicFile;
use crate::report::RecipeLock;

/// The native name of the command that runs a recipe.
pub(crate) const COMMAND: &str = "run";

/// What a recipe adds to the invocation that names it.
pub(crate) struct Recipe {
    /// Where the result goes if not into the image's file.
    pub(crate) output: Option<PathBuf>,
    /// What was locked, if that was asked for.
    pub(crate) locked: Option<RecipeLock>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    #[serde(default)]
    image: OneOrMany,
    output: Option<PathBuf>,
    steps: Vec<StepText>,
    #[serde(default)]
    sources: BTreeMap<String, PathBuf>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl Default for OneOrMany {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum StepText {
    Line(String),
    Words(Vec<String>),
}

/// The lock as it is written.
#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Lock {
    version: u32,
    /// SHA-256 by path below the recipe's folder.
    inputs: BTreeMap<String, String>,
}

const LOCK_VERSION: u32 = 1;

/// Puts the steps of a recipe in the place of the `run` command; nothing if there is none.
///
/// # Errors
/// When the recipe cannot be read or makes no sense, or when an input is not what the lock says.
pub(crate) fn expand(invocation: &Invocation) -> Result<Option<(Invocation, Recipe)>> {
    let Some(step) = invocation.steps.iter().find(|step| step.command.native == COMMAND) else {
        return Ok(None);
    };
    if invocation.steps.len() > 1 {
        return Err(Error::new(ErrorClass::Usage, "run cannot be joined with other commands")
            .with_hint("put the other commands into the recipe"));
    }
    if step.values.has("lock") && invocation.globals.has("dry_run") {
        return Err(Error::new(ErrorClass::Usage, "a dry run writes nothing, so no lock either")
            .with_hint("leave out one of --lock and --dry-run"));
    }
    let Some(path) = step.values.path("file")? else {
        return Err(Error::new(ErrorClass::Usage, "run needs a recipe"));
    };
    let text = fs::read_to_string(&path).map_err(|error| Error::io(path.display(), &error))?;
    let text: Text = toml::from_str(&text).map_err(|error| refused(&path, error.to_string().trim_end()))?;
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let sources: BTreeMap<String, PathBuf> =
        text.sources.iter().map(|(name, source)| (name.clone(), folder.join(source))).collect();

    let mut globals = invocation.globals.clone();
    if !globals.has("image") {
        let images = match text.image {
            OneOrMany::One(image) => vec![image],
            OneOrMany::Many(images) => images,
        };
        for image in images {
            globals.push("image", folder.join(image));
        }
    }
    if !globals.has("image") {
        return Err(refused(&path, "it names no image")
            .with_hint("write image = \"install.wim:all\" into it, or give --image"));
    }
    let targets = Target::each("image", &globals)?;
    let output = text.output.map(|output| folder.join(output));
    if let Some(output) = &output {
        check_output(&path, output, &targets)?;
    }

    let mut steps = Vec::new();
    for (position, step) in text.steps.into_iter().enumerate() {
        let understood = words(step)
            .and_then(|words| words.iter().map(|word| fill_in(word, &sources)).collect::<Result<Vec<_>>>())
            .and_then(|words| understand(&words));
        steps.extend(understood.context(|| format!("step {} of {}", position + 1, path.display()))?);
    }
    if steps.is_empty() {
        return Err(refused(&path, "it has no steps").with_hint("for example: steps = [\"driver list\"]"));
    }

    let locked = lock(&path, &folder, &sources, &steps, &targets, output.is_some(), step.values.has("lock"))?;
    let expanded = Invocation { language: invocation.language, globals, steps };
    Ok(Some((expanded, Recipe { output, locked })))
}

fn refused(recipe: &Path, why: impl std::fmt::Display) -> Error {
    Error::new(ErrorClass::Usage, format!("{}: {why}", recipe.display()))
}

fn check_output(recipe: &Path, output: &Path, targets: &[Target]) -> Result<()> {
    let mut files: Vec<&Path> = targets.iter().map(|target| target.file.as_path()).collect();
    files.sort_unstable();
    files.dedup();
    if files.len() > 1 {
        return Err(refused(recipe, "one output cannot take the images of several files")
            .with_hint("leave `output` out, or write one recipe for each file"));
    }
    if output.exists() {
        return Err(Error::new(ErrorClass::Usage, format!("{} exists", output.display()))
            .with_code(Code::FILE_EXISTS)
            .with_hint("remove it, or name another output"));
    }
    Ok(())
}

fn words(step: StepText) -> Result<Vec<String>> {
    let words = match step {
        StepText::Words(words) => words,
        StepText::Line(line) => shlex::split(&line).ok_or_else(|| {
            Error::new(ErrorClass::Usage, format!("a quotation mark or a backslash stands alone in {line:?}"))
                .with_hint("put Windows paths into single quotes, or write the step as a list of words")
        })?,
    };
    if words.is_empty() {
        return Err(Error::new(ErrorClass::Usage, "it is empty"));
    }
    Ok(words)
}

/// A word with each `${name}` replaced by the source's path; `$$` is a dollar sign before a brace.
fn fill_in(word: &str, sources: &BTreeMap<String, PathBuf>) -> Result<OsString> {
    let mut filled = OsString::new();
    let mut rest = word;
    while let Some(position) = rest.find("${") {
        let (before, marked) = rest.split_at(position);
        if let Some(before) = before.strip_suffix('$') {
            filled.push(before);
            filled.push("${");
            rest = marked.get(2..).unwrap_or_default();
            continue;
        }
        filled.push(before);
        let Some((name, after)) = marked.get(2..).and_then(|named| named.split_once('}')) else {
            return Err(Error::new(ErrorClass::Usage, format!("`${{` without its `}}` in {word:?}")));
        };
        let source = sources.get(name).ok_or_else(|| {
            let known: Vec<&str> = sources.keys().map(String::as_str).collect();
            Error::new(ErrorClass::Usage, format!("no source is called {name:?}")).with_hint(
                match known.as_slice() {
                    [] => format!("name it: [sources] {name} = \"FOLDER\""),
                    known => format!("the sources are: {}", known.join(", ")),
                },
            )
        })?;
        filled.push(source);
        rest = after;
    }
    filled.push(rest);
    Ok(filled)
}

/// The commands of a step.
fn understand(words: &[OsString]) -> Result<Vec<Step>> {
    let understood = match words.first() {
        Some(word) if word.as_encoded_bytes().starts_with(b"/") => slash::parse(words)?,
        _ => native::parse(words)?,
    };
    let Understood::Run(invocation) = understood else {
        return Err(Error::new(ErrorClass::Usage, "it only asks for help"));
    };
    if invocation.globals != Values::default() {
        return Err(Error::new(ErrorClass::Usage, "it has options that hold for the whole run")
            .with_hint("give them to `transom run`, and name the image at the top of the recipe"));
    }
    match invocation.steps.iter().find(|step| step.command.scope != Scope::Servicing) {
        Some(step) => Err(Error::new(
            ErrorClass::Usage,
            format!("{} does not work on an opened image", step.command.name()),
        )
        .with_hint("run it by itself, before or after the recipe")),
        None => Ok(invocation.steps),
    }
}

/// Checks the inputs against the lock, or writes it.
fn lock(
    recipe: &Path,
    folder: &Path,
    sources: &BTreeMap<String, PathBuf>,
    steps: &[Step],
    targets: &[Target],
    image_is_input: bool,
    write: bool,
) -> Result<Option<RecipeLock>> {
    let mut path = recipe.as_os_str().to_owned();
    path.push(".lock");
    let path = PathBuf::from(path);
    if !write && !path.exists() {
        return Ok(None);
    }
    every_path_is_a_source(recipe, sources, steps)?;
    let mut inputs = BTreeMap::new();
    let images = targets.iter().filter(|_| image_is_input).map(|target| &target.file);
    for input in sources.values().chain(images) {
        hash_below(input, folder, &mut inputs)?;
    }
    let found = Lock { version: LOCK_VERSION, inputs };
    if write {
        let file = AtomicFile::create(&path)?;
        let text = toml::to_string(&found).map_err(|error| {
            Error::new(ErrorClass::Internal, format!("the lock cannot be written: {error}"))
        })?;
        let text = format!("# Written by `transom run --lock`: a changed input is an error.\n{text}");
        std::io::Write::write_all(&mut file.file(), text.as_bytes())
            .map_err(|error| Error::io(path.display(), &error))?;
        file.persist()?;
        return Ok(Some(RecipeLock { file: path, inputs: found.inputs }));
    }
    let text = fs::read_to_string(&path).map_err(|error| Error::io(path.display(), &error))?;
    let known: Lock = toml::from_str(&text).map_err(|error| refused(&path, error.to_string().trim_end()))?;
    if known.version != LOCK_VERSION {
        return Err(refused(&path, format!("version {} of the lock is not known", known.version)));
    }
    compare(&path, &known, &found)?;
    Ok(None)
}

/// What a lock does not cover, it cannot vouch for.
fn every_path_is_a_source(recipe: &Path, sources: &BTreeMap<String, PathBuf>, steps: &[Step]) -> Result<()> {
    for (position, step) in steps.iter().enumerate() {
        for argument in step.command.arguments.iter().filter(|argument| argument.kind == Kind::Path) {
            for path in step.values.paths(argument.id)? {
                if path.exists() && !sources.values().any(|source| path.starts_with(source)) {
                    return Err(refused(
                        recipe,
                        format!("step {} names {}, which is no source", position + 1, path.display()),
                    )
                    .with_hint("name it under [sources] and write ${name}, so that the lock covers it"));
                }
            }
        }
    }
    Ok(())
}

/// Notes the SHA-256 of a file, or of every file below a folder.
fn hash_below(input: &Path, folder: &Path, inputs: &mut BTreeMap<String, String>) -> Result<()> {
    for entry in walkdir::WalkDir::new(input).follow_links(true) {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(input).display().to_string();
            match error.io_error() {
                Some(error) => Error::io(path, error),
                None => Error::new(ErrorClass::Usage, format!("{path}: its links form a circle")),
            }
        })?;
        if !entry.file_type().is_file() {
            continue;
        }
        let failed = |error: std::io::Error| Error::io(entry.path().display(), &error);
        let mut file = fs::File::open(entry.path()).map_err(failed)?;
        let mut sha256 = Sha256::default();
        let mut buffer = vec![0; 1 << 20];
        loop {
            match file.read(&mut buffer).map_err(failed)? {
                0 => break,
                length => sha256.update(buffer.get(..length).unwrap_or_default()),
            }
        }
        let name = entry.path().strip_prefix(folder).unwrap_or(entry.path()).display().to_string();
        let digits = sha256.finish().iter().map(|byte| format!("{byte:02x}")).collect();
        inputs.insert(name, digits);
    }
    Ok(())
}

fn compare(path: &Path, known: &Lock, found: &Lock) -> Result<()> {
    let mut differences = Vec::new();
    for (input, digest) in &found.inputs {
        match known.inputs.get(input) {
            None => differences.push(format!("{input} is new")),
            Some(known) if known != digest => differences.push(format!("{input} changed")),
            Some(_) => {}
        }
    }
    for input in known.inputs.keys().filter(|input| !found.inputs.contains_key(*input)) {
        differences.push(format!("{input} is gone"));
    }
    if differences.is_empty() {
        return Ok(());
    }
    const SHOWN: usize = 5;
    let more = differences.len().saturating_sub(SHOWN);
    let mut list = differences.into_iter().take(SHOWN).collect::<Vec<_>>().join(", ");
    if more > 0 {
        list.push_str(&format!(" and {more} more"));
    }
    Err(Error::new(ErrorClass::Usage, format!("the inputs are not those of {}: {list}", path.display()))
        .with_hint("bring the inputs back, or accept them with `transom run --lock`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_filled_in() {
        let sources =
            BTreeMap::from([("drivers".to_owned(), PathBuf::from("/d r")), ("a".into(), "/a".into())]);
        let cases = [
            ("plain", Ok("plain")),
            ("${drivers}", Ok("/d r")),
            ("/Driver:${drivers}/net${a}", Ok("/Driver:/d r/net/a")),
            ("cost: $5", Ok("cost: $5")),
            ("$${drivers}", Ok("${drivers}")),
            ("${none}", Err("no source is called \"none\"")),
            ("${drivers", Err("`${` without its `}` in \"${drivers\"")),
        ];
        for (word, expected) in cases {
            let found = fill_in(word, &sources);
            match expected {
                Ok(expected) => assert_eq!(found.unwrap(), OsString::from(expected), "{word}"),
                Err(expected) => assert_eq!(found.unwrap_err().message(), expected, "{word}"),
            }
        }
    }

    #[test]
    fn steps_are_split_as_a_shell_does() {
        let split =
            |line: &str| words(StepText::Line(line.into())).map_err(|error| error.message().to_owned());
        assert_eq!(
            split(r"reg query 'HKLM\SOFTWARE\A B' /s").unwrap(),
            ["reg", "query", r"HKLM\SOFTWARE\A B", "/s"]
        );
        assert_eq!(split("  ").unwrap_err(), "it is empty");
        assert_eq!(
            split("reg 'query").unwrap_err(),
            "a quotation mark or a backslash stands alone in \"reg 'query\""
        );
    }

    #[test]
    fn differences_are_named() {
        let lock = |inputs: &[(&str, &str)]| Lock {
            version: LOCK_VERSION,
            inputs: inputs.iter().map(|(name, digest)| ((*name).into(), (*digest).into())).collect(),
        };
        let known = lock(&[("a", "1"), ("b", "2"), ("c", "3")]);
        assert!(compare(Path::new("r.lock"), &known, &known).is_ok());
        let error =
            compare(Path::new("r.lock"), &known, &lock(&[("a", "1"), ("b", "9"), ("d", "4")])).unwrap_err();
        assert_eq!(error.message(), "the inputs are not those of r.lock: b changed, d is new, c is gone");
    }
}
