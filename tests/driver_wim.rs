// SPDX-License-Identifier: GPL-3.0-or-later
//! A driver into an image of a WIM that wimlib-imagex wrote, end to end: session, commit, and what
//! wimlib-imagex says of the file afterwards.

mod driver_support;

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::Command;

use driver_support::{ImageRecipe, Surroundings, corpus, has_peer, read, surroundings, unxz};
use transom::base::{Arch, Code, ErrorClass, Version};
use transom::drivers::{self, AddOutcome, AddRequest};
use transom::image::Session;
use transom::wim::ImageIndex;

const VERSION: Version = Version::new(10, 0, 14393, 0);

fn index(number: u32) -> ImageIndex {
    ImageIndex(NonZeroU32::new(number).unwrap())
}

fn wimlib(arguments: &[&str]) -> String {
    let output = Command::new("wimlib-imagex").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A WIM with an image without Windows and the recipe's, compressed.
fn capture(recipe: &ImageRecipe, surroundings: &Surroundings) -> PathBuf {
    let folder = surroundings.scratch.path();
    let (empty, tree) = (folder.join("empty"), folder.join("tree"));
    fs::create_dir_all(&empty).unwrap();
    fs::write(empty.join("readme.txt"), "no Windows here").unwrap();
    recipe.write_to(&tree);
    let wim = folder.join("install.wim");
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    wimlib(&["capture", &path(&empty), &path(&wim), "Empty", "--compress=LZX", "--quiet"]);
    wimlib(&["append", &path(&tree), &path(&wim), "Windows", "--quiet"]);
    wim
}

/// `dir --detailed`: the blocks of an image's entries by their path.
fn details(wim: &Path, image: &str) -> BTreeMap<String, String> {
    let text = wimlib(&["dir", wim.to_str().unwrap(), image, "--detailed"]);
    let mut blocks = BTreeMap::new();
    for block in text.split("----------------------------------------------------------------------------") {
        let path = block.lines().find_map(|line| line.trim().strip_prefix("Full Path"));
        if let Some(path) = path {
            let path = path.trim_start_matches([' ', '=']).trim_matches('"').to_owned();
            blocks.insert(path, block.to_owned());
        }
    }
    assert!(!blocks.is_empty(), "{text}");
    blocks
}

#[test]
fn committed_and_seen_by_wimlib() {
    let Some(corpus) = corpus() else { return };
    if !has_peer("wimlib-imagex") {
        return;
    }
    let surroundings = surroundings();
    let hive = |name: &str| unxz(&corpus.join("hive").join(name));
    let logs = vec![(".LOG1", hive("SYSTEM_B.LOG1.xz")), (".LOG2", hive("SYSTEM_B.LOG2.xz"))];
    let recipe = ImageRecipe {
        system: Some((hive("SYSTEM_B.xz"), logs)),
        files: vec![("Windows\\System32\\kernel32.dll", vec![0x4D; 70_000])],
        ..ImageRecipe::new(Arch::Amd64, VERSION)
    };
    let wim = capture(&recipe, &surroundings);
    let before = (details(&wim, "1"), details(&wim, "2"));

    let refused = Session::open_wim(&wim, index(1), surroundings.environment.clone()).err().unwrap();
    assert_eq!((refused.class(), refused.code()), (ErrorClass::NotApplicable, Code(0xC150_0029)));

    let mut session = Session::open_wim(&wim, index(2), surroundings.environment.clone()).unwrap();
    let inf = corpus.join("drivers/packages/vboxguest_7.2.22_amd64_whql/VBoxGuest.inf");
    let request = AddRequest { sources: vec![inf.clone()], ..AddRequest::default() };
    let report = drivers::add(&mut session, &request).unwrap();
    let AddOutcome::Installed { published_name, store_name, .. } = &report.packages[0].outcome else {
        panic!("{report:?}")
    };
    let diff = session.diff().unwrap();
    assert!(!diff.files.is_empty() && !diff.registry.is_empty());
    let expected_system = read(&session, "Windows\\System32\\config\\SYSTEM").unwrap();
    let committed = session.commit().unwrap();
    assert_eq!(committed.images, [2]);
    assert!(committed.copied_chunks > 0, "a hive costs its changed chunks: {committed:?}");

    let path = wim.to_str().unwrap();
    wimlib(&["verify", path]);
    let after = (details(&wim, "1"), details(&wim, "2"));
    assert_eq!(before.0, after.0, "the other image");
    let changed: Vec<&String> =
        before.1.keys().filter(|path| before.1.get(*path) != after.1.get(*path)).collect();
    let folders =
        ["/Windows/INF", "/Windows/System32", "/Windows/System32/config", "/Windows/System32/drivers"];
    for path in changed {
        let file = path.to_lowercase();
        let expected =
            ["system", "software", "drivers"].iter().any(|hive| file.ends_with(&format!("/config/{hive}")))
                || file.contains("/config/system.log")
                || folders.iter().any(|folder| file == folder.to_lowercase())
                || file.ends_with("/filerepository")
                || file.ends_with("/{f750e6c3-38ee-11d1-85e5-00c04fc295ee}");
        assert!(expected, "{path} was touched:\n{}\n{}", before.1[path], after.1[path]);
    }
    let out = surroundings.scratch.path().join("out");
    wimlib(&["extract", path, "2", "/Windows", "--no-acls", &format!("--dest-dir={}", out.display())]);
    let extracted = |path: &str| fs::read(out.join("Windows").join(path)).unwrap();
    assert!(extracted("System32/config/SYSTEM") == expected_system);
    let driver = fs::read(inf.with_file_name("VBoxGuest.sys")).unwrap();
    assert!(extracted("System32/drivers/VBoxGuest.sys") == driver);
    assert!(extracted(&format!("System32/DriverStore/FileRepository/{store_name}/VBoxGuest.sys")) == driver);
    assert!(extracted(&format!("INF/{published_name}")) == fs::read(&inf).unwrap());

    // What was committed is there when the file is opened again, and adding it again changes nothing.
    let bytes = fs::read(&wim).unwrap();
    let mut again = Session::open_wim(&wim, index(2), surroundings.environment.clone()).unwrap();
    let published: Vec<String> =
        drivers::list(&mut again, false).unwrap().into_iter().map(|package| package.published_name).collect();
    assert!(published.contains(published_name), "{published:?}");
    let report = drivers::add(&mut again, &request).unwrap();
    assert!(!report.is_changed());
    let committed = again.commit().unwrap();
    assert_eq!(committed.new_blobs, 0);
    assert!(fs::read(&wim).unwrap() == bytes, "nothing to commit, nothing written");
}
