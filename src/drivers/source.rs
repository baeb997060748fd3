// SPDX-License-Identifier: GPL-3.0-or-later
//! Driver packages outside the image: finding INFs and the files that belong to them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;
use walkdir::WalkDir;

use crate::base::{Context, Error, Result, WinPath, name};
use crate::catalog::{self, FileDigests};
use crate::io::{FileReader, Pool, ReadAt};

use super::DriverError;
use super::unpack::{self, Packed};

/// An INF to look at.
pub(super) struct Candidate {
    pub(super) path: PathBuf,
    /// Named as a file by the user: then "no driver" is an error, else it is skipped.
    pub(super) named: bool,
}

/// What the sources of a request hold.
pub(super) struct Search {
    /// A folder was among them.
    pub(super) searched: bool,
    /// In the order of the request; an unreadable source is an error in its place.
    pub(super) found: Vec<Result<Candidate, (PathBuf, Error)>>,
}

/// Lists the INFs of files and folders. Within a folder: its own INFs by name, then subfolders.
pub(super) fn search(sources: &[PathBuf], recurse: bool) -> Search {
    let mut search = Search { searched: false, found: Vec::new() };
    for source in sources {
        match fs::metadata(source) {
            Ok(metadata) if metadata.is_dir() => {
                search.searched = true;
                search.found.extend(search_folder(source, recurse));
            }
            Ok(_) => search.found.push(Ok(Candidate { path: source.clone(), named: true })),
            Err(error) => search.found.push(Err((source.clone(), Error::io(source.display(), &error)))),
        }
    }
    search
}

fn search_folder(folder: &Path, recurse: bool) -> Vec<Result<Candidate, (PathBuf, Error)>> {
    let depth = if recurse { usize::MAX } else { 1 };
    let walk = WalkDir::new(folder).min_depth(1).max_depth(depth).sort_by(|left, right| {
        let order =
            |entry: &walkdir::DirEntry| (entry.file_type().is_dir(), entry.file_name().to_ascii_lowercase());
        order(left).cmp(&order(right)).then_with(|| left.file_name().cmp(right.file_name()))
    });
    let mut found = Vec::new();
    for entry in walk {
        match entry {
            Ok(entry) => {
                let is_inf =
                    entry.path().extension().is_some_and(|extension| extension.eq_ignore_ascii_case("inf"));
                if is_inf && entry.path().is_file() {
                    found.push(Ok(Candidate { path: entry.into_path(), named: false }));
                }
            }
            Err(error) => {
                let path = error.path().unwrap_or(folder).to_owned();
                let error = match error.io_error() {
                    Some(io) => Error::io(path.display(), io),
                    None => Error::new(crate::base::ErrorClass::Usage, error.to_string()),
                };
                found.push(Err((path, error)));
            }
        }
    }
    found
}

/// INFs and catalogs are read whole. The largest of real packages are some megabytes.
const WHOLE_LIMIT: u64 = 64 << 20;

/// All bytes of an INF or a catalog.
pub(super) fn read_whole(path: &Path) -> Result<Vec<u8>> {
    let io = |error: std::io::Error| Error::io(path.display(), &error);
    let length = fs::metadata(path).map_err(io)?.len();
    if length > WHOLE_LIMIT {
        return Err(DriverError::TooLarge { path: path.to_owned(), length, limit: WHOLE_LIMIT }.into());
    }
    fs::read(path).map_err(io)
}

/// The folder an INF lies in.
pub(super) fn folder_of(inf: &Path) -> &Path {
    match inf.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// A component as Windows can store it.
pub(super) fn check_name(component: &str) -> Result<(), DriverError> {
    let forbidden = |character: char| {
        character < ' ' || matches!(character, '<' | '>' | ':' | '"' | '/' | '\\' | '|' | '?' | '*')
    };
    let bad = component.is_empty()
        || component.chars().any(forbidden)
        || component.ends_with(['.', ' '])
        || component.encode_utf16().count() > 255;
    if bad { Err(DriverError::BadName { name: component.to_owned() }) } else { Ok(()) }
}

/// A relative path of an INF, checked: no way out of the folder, nothing Windows cannot store.
pub(super) fn relative_path(inf: &str, text: &str) -> Result<WinPath, DriverError> {
    let path = WinPath::parse(text)
        .filter(|path| !path.components().is_empty())
        .ok_or_else(|| DriverError::Escape { inf: inf.to_owned(), file: text.to_owned() })?;
    for component in path.components() {
        check_name(&component.to_string())?;
    }
    Ok(path)
}

/// Every file of a folder that a relative Windows path can mean: the exact case first, then the
/// others in order.
pub(super) fn matches(folder: &Path, path: &WinPath) -> Result<Vec<PathBuf>> {
    let mut candidates = vec![folder.to_owned()];
    for component in path.components() {
        let exact = component.to_string();
        let mut next = Vec::new();
        for candidate in candidates {
            let direct = candidate.join(&exact);
            if direct.exists() {
                next.push(direct.clone());
            }
            let Ok(entries) = fs::read_dir(&candidate) else { continue };
            let mut others = Vec::new();
            for entry in entries {
                let entry = entry.map_err(|error| Error::io(candidate.display(), &error))?;
                let same = entry.file_name().to_str().is_some_and(|found| {
                    found != exact && name::same(&name::units(found), component.units())
                });
                if same {
                    others.push(entry.path());
                }
            }
            others.sort();
            next.extend(others);
        }
        candidates = next;
    }
    candidates.retain(|candidate| candidate.is_file());
    Ok(candidates)
}

/// A file of a package, found on this machine.
pub(super) struct SourceFile {
    /// Below the INF's folder, as the INF spells it.
    pub(super) relative: WinPath,
    pub(super) place: Place,
}

/// Where a file of a package is.
pub(super) enum Place {
    /// Loose.
    Loose(PathBuf),
    /// In a cabinet, or compressed.
    Packed(Packed),
}

/// Whether a file really lies below a folder, links followed.
pub(super) fn is_inside(folder: &Path, path: &Path) -> bool {
    match (fs::canonicalize(path), fs::canonicalize(folder)) {
        (Ok(path), Ok(folder)) => path.starts_with(folder),
        _ => false,
    }
}

/// Finds a file that an INF names: loose, else compressed beside its name, else in the cabinet
/// that the INF names for it.
pub(super) fn locate(inf: &str, folder: &Path, text: &str, cabinet: Option<&str>) -> Result<SourceFile> {
    let relative = relative_path(inf, text)?;
    let first = |path: &WinPath| -> Result<Option<PathBuf>> {
        let Some(found) = matches(folder, path)?.into_iter().next() else { return Ok(None) };
        if !is_inside(folder, &found) {
            return Err(DriverError::Escape { inf: inf.to_owned(), file: text.to_owned() }.into());
        }
        Ok(Some(found))
    };
    if let Some(path) = first(&relative)? {
        return Ok(SourceFile { relative, place: Place::Loose(path) });
    }
    let compressed = unpack::compressed_name(&relative);
    if let Some(path) = compressed.as_ref().map(first).transpose()?.flatten() {
        return Ok(SourceFile { relative, place: Place::Packed(Packed::Single(path)) });
    }
    if let Some(cabinet) = cabinet {
        let name = relative.file_name().map(ToString::to_string).unwrap_or_default();
        if let Some(path) = first(&relative_path(inf, cabinet)?)? {
            return Ok(SourceFile { relative, place: Place::Packed(Packed::Member(path, name)) });
        }
    }
    Err(DriverError::MissingFile {
        inf: inf.to_owned(),
        file: relative.to_string(),
        folder: folder.to_owned(),
    }
    .into())
}

/// A file of a package, opened; small ones are in memory, so that they are read once.
#[derive(Clone)]
pub(super) struct PackageFile {
    pub(super) relative: WinPath,
    pub(super) data: Arc<dyn ReadAt>,
    /// Where a catalog is to be compared.
    pub(super) digests: Option<FileDigests>,
}

/// Files together no larger than this are kept in memory while a package is added.
const MEMORY_LIMIT: u64 = 48 << 20;

/// Opens files, and hashes them where wanted, on all cores.
pub(super) fn load(files: &[SourceFile], hash: bool, pool: &Pool) -> Result<Vec<PackageFile>> {
    let mut budget = MEMORY_LIMIT;
    let mut planned = Vec::with_capacity(files.len());
    for file in files {
        let in_memory = match &file.place {
            Place::Loose(path) => {
                let length = fs::metadata(path).map_err(|error| Error::io(path.display(), &error))?.len();
                let in_memory = length <= budget;
                if in_memory {
                    budget -= length;
                }
                in_memory
            }
            Place::Packed(_) => true,
        };
        planned.push((file, in_memory));
    }
    pool.run(|| planned.par_iter().map(|(file, in_memory)| load_one(file, *in_memory, hash)).collect())
}

fn load_one(file: &SourceFile, in_memory: bool, hash: bool) -> Result<PackageFile> {
    let data: Arc<dyn ReadAt> = match &file.place {
        Place::Packed(packed) => Arc::new(packed.read()?),
        Place::Loose(path) if in_memory => {
            Arc::new(fs::read(path).map_err(|error| Error::io(path.display(), &error))?)
        }
        Place::Loose(path) => Arc::new(FileReader::open(path)?),
    };
    let digests = if hash {
        Some(catalog::digest_file(&*data).context(|| format!("while hashing {}", file.relative))?)
    } else {
        None
    };
    Ok(PackageFile { relative: file.relative.clone(), data, digests })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_windows_cannot_store() {
        for bad in ["", "a:b", "a/b", "a\\b", "a.", "a ", "a\u{1}", "a?", &"x".repeat(256)] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
        for good in ["a", "a.sys", "a b", ".x", "\u{E9}tude.dll"] {
            assert!(check_name(good).is_ok(), "{good:?}");
        }
        for out in ["..\\x.sys", "a\\..\\..\\x", ""] {
            assert!(matches!(relative_path("i.inf", out), Err(DriverError::Escape { .. })), "{out:?}");
        }
        assert_eq!(relative_path("i.inf", "\\amd64\\x.sys").unwrap().to_string(), "amd64\\x.sys");
    }

    #[test]
    fn folders_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["b.inf", "A.INF", "readme.txt", "sub/c.inf", "sub/deep/d.Inf"] {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        let names = |recurse| -> Vec<String> {
            let search = search(&[folder.path().to_owned()], recurse);
            assert!(search.searched);
            let relative = |path: &Path| path.strip_prefix(folder.path()).unwrap().display().to_string();
            search.found.into_iter().map(|found| relative(&found.ok().unwrap().path)).collect()
        };
        assert_eq!(names(false), ["A.INF", "b.inf"]);
        assert_eq!(names(true), ["A.INF", "b.inf", "sub/c.inf", "sub/deep/d.Inf"]);
    }

    #[test]
    fn exact_case_wins_and_links_out_are_refused() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("package");
        fs::create_dir_all(folder.join("AMD64")).unwrap();
        fs::write(folder.join("AMD64/Driver.SYS"), "1").unwrap();
        fs::write(folder.join("x.cat"), "2").unwrap();
        fs::write(folder.join("X.cat"), "3").unwrap();
        fs::write(outer.path().join("secret"), "4").unwrap();
        std::os::unix::fs::symlink("../secret", folder.join("evil.sys")).unwrap();
        let found = locate("i.inf", &folder, "amd64\\driver.sys", None).unwrap();
        assert!(matches!(found.place, Place::Loose(path) if path == folder.join("AMD64/Driver.SYS")));
        let both = matches(&folder, &WinPath::parse("X.cat").unwrap()).unwrap();
        assert_eq!(both, [folder.join("X.cat"), folder.join("x.cat")]);
        let evil = locate("i.inf", &folder, "evil.sys", None).err().unwrap();
        assert_eq!(
            evil.message(),
            "i.inf names the file \"evil.sys\", which leads out of the package's folder"
        );
        let missing = locate("i.inf", &folder, "none.sys", Some("..\\none.cab")).err().unwrap();
        assert_eq!(missing.code(), crate::base::Code::INVALID_DATA, "its cabinet leads out");
        let missing = locate("i.inf", &folder, "none.sys", Some("none.cab")).err().unwrap();
        assert_eq!(missing.code(), crate::base::Code::FILE_NOT_FOUND);
        fs::write(folder.join("NONE.CAB"), "5").unwrap();
        let member = locate("i.inf", &folder, "amd64\\none.sys", Some("none.cab")).unwrap();
        assert!(matches!(member.place, Place::Packed(Packed::Member(path, name))
            if path == folder.join("NONE.CAB") && name == "none.sys"));
        fs::write(folder.join("none.SY_"), "6").unwrap();
        let single = locate("i.inf", &folder, "none.sys", Some("none.cab")).unwrap();
        assert!(
            matches!(single.place, Place::Packed(Packed::Single(path)) if path == folder.join("none.SY_"))
        );
    }
}
