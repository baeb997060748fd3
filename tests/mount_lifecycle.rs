// SPDX-License-Identifier: GPL-3.0-or-later
//! Mounts from beginning to end: states, refusals, killed processes, several images of one file, the ways to mount.

mod mount_support;

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mount_support::{Place, extracted, noise, plain_wim, signal, verified};

macro_rules! some {
    ($value:expr) => {
        match $value {
            Some(value) => value,
            None => return,
        }
    };
}

#[test]
fn dism_mounts_commits_and_unmounts() {
    let place = some!(Place::new());
    let wim = some!(plain_wim(&place, "w.wim", &["one", "two"], &[]));
    place.directory("mnt");
    let banner = concat!(
        "\nDeployment Image Servicing and Management tool\nVersion: ",
        env!("CARGO_PKG_VERSION"),
        ".0\n\n"
    );
    let success = "The operation completed successfully.\n";
    let bar = format!("[{0}100.0%{0}]\n", "=".repeat(26));
    let bar = |heading: &str| format!("{heading}\n{bar}");
    let image = format!("Image File : {}\nImage Index : 2\n", wim.display());

    let found = place.succeed("/Mount-Image /ImageFile:w.wim /Name:two /MountDir:mnt /Optimize");
    assert_eq!(found, format!("{banner}{}{success}", bar("Mounting image")));
    let listed = format!(
        "{banner}Mounted images:\n\nMount Dir : {}\nImage File : {}\nImage Index : 2\nMounted Read/Write : Yes\nStatus : Ok\n\n{success}",
        place.path("mnt").display(),
        wim.display(),
    );
    assert_eq!(place.succeed("/Get-MountedImageInfo"), listed);
    assert_eq!(place.succeed("/Get-MountedWimInfo"), listed);
    fs::write(place.path("mnt/new.txt"), "new").unwrap();
    let found = place.succeed("/Commit-Image /MountDir:mnt");
    assert_eq!(found, format!("{banner}{image}{}{success}", bar("Saving image")));
    assert_eq!(extracted(&wim, 2, "/new.txt"), b"new");
    fs::write(place.path("mnt/new.txt"), "newer").unwrap();
    let found = place.succeed("/Unmount-Image /MountDir:mnt /Commit");
    assert_eq!(found, format!("{banner}{image}{}{}{success}", bar("Saving image"), bar("Unmounting image")));
    assert_eq!(extracted(&wim, 2, "/new.txt"), b"newer");
    assert_eq!(fs::read_dir(place.path("mnt")).unwrap().count(), 0);
    let found = place.succeed("/Get-MountedImageInfo");
    assert_eq!(found, format!("{banner}No mounted images found.\n\n{success}"));
    verified(&wim);
}

#[test]
fn what_is_refused() {
    let place = some!(Place::new());
    let wim = some!(plain_wim(&place, "w.wim", &["one", "two"], &[]));
    place.directory("a");
    place.directory("b");
    let refused = |line: &str, code: &str| {
        let error = place.refuse(line);
        assert_eq!(error["code"], code, "{line}: {error}");
        error["message"].as_str().unwrap().to_owned()
    };
    refused("mount w.wim a", "87");
    refused("mount w.wim:3 a", "87");
    refused("mount w.wim:1 tree-w.wim-one", "0xc1420116");
    refused("mount w.wim:1 nowhere", "0xc1420116");
    refused("unmount a --discard", "0xc0040007");
    place.succeed("mount w.wim:1 a");
    // Another name of the same file is the same file.
    fs::hard_link(&wim, place.path("other.wim")).unwrap();
    for line in ["mount w.wim:1 b", "mount other.wim:1 b"] {
        let message = refused(line, "0xc1420127");
        assert!(message.contains(place.path("a").to_str().unwrap()), "{message}");
    }
    refused("mount w.wim:2 a", "0xc1420126");
    refused("remount a", "0xc1420126");
    refused("unmount a", "87");
    refused("unmount a --commit --discard", "87");
    refused("mount w.wim:2 b --dry-run", "87");
    // For reading only it can be had as often as one likes, and then not be committed.
    place.succeed("mount w.wim:1 b --read-only");
    assert_eq!(
        fs::write(place.path("b/which"), "x").unwrap_err().kind(),
        std::io::ErrorKind::ReadOnlyFilesystem
    );
    refused("commit b", "0xc142010c");
    refused("unmount b --commit", "0xc142010c");
    place.succeed("unmount b --discard");
    // A mount that waits for a remount still has the image.
    place.kill("a");
    assert_eq!(place.listed("a")["state"], "needs_remount");
    refused("mount w.wim:1 b", "0xc1420127");
    refused("unmount a --commit", "0xc1510114");
    refused("commit a", "0xc1510114");
    place.succeed("unmount a --discard");
    assert_eq!(place.mounts().len(), 0);
    fs::metadata(place.path("a")).unwrap();
}

#[test]
fn a_mount_in_use_names_who_uses_it() {
    let place = some!(Place::new());
    let wim = some!(plain_wim(&place, "w.wim", &["one"], &[]));
    let root = place.mount("w.wim:1", "mnt");
    fs::write(root.join("kept"), "kept").unwrap();
    let mut holder = Command::new("sleep").arg("100").current_dir(root.join("docs")).spawn().unwrap();
    let error = place.refuse("unmount mnt --commit");
    assert_eq!(error["code"], "0xc1420117");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains(&format!("sleep (process {}", holder.id())), "{message}");
    // Nothing has happened, and it can be used on.
    assert_eq!(fs::read(root.join("kept")).unwrap(), b"kept");
    let opened = File::open(root.join("which")).unwrap();
    place.succeed("unmount mnt --commit --detach");
    assert_eq!(extracted(&wim, 1, "/kept"), b"kept");
    assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
    let began = std::time::Instant::now();
    // The connection is gone a moment after the lock of the serving process.
    while opened.sync_all().is_ok() {
        assert!(began.elapsed() < Duration::from_secs(10), "it is still served");
        std::thread::sleep(Duration::from_millis(2));
    }
    holder.kill().unwrap();
    holder.wait().unwrap();
}

#[test]
fn an_image_changed_behind_a_mount_makes_it_invalid_and_others_do_not() {
    let place = some!(Place::new());
    some!(plain_wim(&place, "w.wim", &["one", "two", "three"], &[]));
    let root = place.mount("w.wim:2", "mnt");
    fs::write(root.join("new"), "new").unwrap();
    // Another image goes, and the numbers shift.
    place.succeed("image delete w.wim:1");
    assert_eq!(
        (place.listed("mnt")["state"].clone(), place.listed("mnt")["index"].clone()),
        ("ok".into(), 1.into())
    );
    place.succeed("commit mnt");
    assert_eq!(extracted(&place.path("w.wim"), 1, "/new"), b"new");
    assert_eq!(extracted(&place.path("w.wim"), 1, "/which"), b"two");
    // Its own image is changed.
    fs::write(root.join("new"), "lost").unwrap();
    let tool = Command::new("wimlib-imagex")
        .args(["update", "w.wim", "1", "--command", "delete /which"])
        .current_dir(place.path(""))
        .output()
        .unwrap();
    assert!(tool.status.success(), "{}", String::from_utf8_lossy(&tool.stderr));
    assert_eq!(place.listed("mnt")["state"], "invalid");
    assert!(place.refuse("commit mnt")["code"].is_string());
    assert_eq!(fs::read(root.join("new")).unwrap(), b"lost");
    // As long as it is served, cleaning up leaves it alone; then it goes.
    place.succeed("cleanup");
    assert_eq!(place.mounts().len(), 1);
    place.kill("mnt");
    assert_eq!(place.refuse("remount mnt")["code"], "0xc142011d");
    let said = place.succeed("cleanup");
    assert!(said.contains(&format!("Stale mount entry pointing to {} removed", root.display())), "{said}");
    assert_eq!((place.mounts().len(), fs::read_dir(&root).unwrap().count()), (0, 0));
}

#[test]
fn two_images_of_one_file_in_either_order() {
    for order in [["a", "b"], ["b", "a"]] {
        let place = some!(Place::new());
        let wim = some!(plain_wim(&place, "w.wim", &["one", "two"], &["--check"]));
        let first = place.mount("w.wim:1", "a");
        let second = place.mount("w.wim:2", "b");
        fs::write(first.join("from one"), "one").unwrap();
        fs::write(second.join("from two"), "two").unwrap();
        fs::remove_file(second.join("docs/readme.txt")).unwrap();
        // One stays mounted and goes on.
        place.succeed(&format!("commit {}", order[0]));
        fs::write(place.path(order[0]).join("later"), "later").unwrap();
        place.succeed(&format!("unmount {} --commit", order[1]));
        place.succeed(&format!("unmount {} --commit", order[0]));
        verified(&wim);
        let late = if order[0] == "a" { 1 } else { 2 };
        assert_eq!(extracted(&wim, 1, "/from one"), b"one");
        assert_eq!(extracted(&wim, 2, "/from two"), b"two");
        assert_eq!(extracted(&wim, late, "/later"), b"later");
        assert_eq!(extracted(&wim, 1, "/docs/readme.txt"), b"read me\n");
        assert_eq!(extracted(&wim, 2, "/docs/deep/same.txt"), b"read me\n");
    }
}

#[test]
fn a_commit_changes_nothing_for_those_who_use_the_mount() {
    let place = some!(Place::new());
    let wim = some!(plain_wim(&place, "w.wim", &["one"], &[]));
    let root = place.mount("w.wim:1", "mnt");
    let data = noise(200_000, 3);
    fs::write(root.join("open"), &data).unwrap();
    fs::write(root.join("gone"), &data).unwrap();
    fs::create_dir(root.join("new")).unwrap();
    let open = File::options().read(true).write(true).open(root.join("open")).unwrap();
    let gone = File::options().read(true).write(true).open(root.join("gone")).unwrap();
    fs::remove_file(root.join("gone")).unwrap();
    let number = |name: &str| fs::metadata(root.join(name)).unwrap().ino();
    let names = ["open", "new", "docs", "docs/deep/text.txt", "which"];
    let before: Vec<u64> = names.iter().map(|name| number(name)).collect();
    for round in 0..3_u8 {
        place.succeed("commit mnt");
        assert_eq!(names.iter().map(|name| number(name)).collect::<Vec<_>>(), before);
        open.write_all_at(&[round], 100_000).unwrap();
        gone.write_all_at(&[round], 100_000).unwrap();
        let mut byte = [9];
        gone.read_exact_at(&mut byte, 100_000).unwrap();
        assert_eq!(byte, [round]);
        assert_eq!(gone.metadata().unwrap().nlink(), 0);
        fs::write(root.join(format!("new/{round}")), [round]).unwrap();
        fs::rename(root.join("docs"), root.join("docs2")).unwrap();
        fs::rename(root.join("docs2"), root.join("docs")).unwrap();
    }
    // An unlinked file that was open at a commit takes its room as long as it is.
    drop((open, gone));
    place.succeed("unmount mnt --commit");
    verified(&wim);
    let mut expected = data;
    expected[100_000] = 2;
    assert_eq!(extracted(&wim, 1, "/open"), expected);
    assert_eq!(extracted(&wim, 1, "/new/2"), [2]);
}

#[test]
fn appending_leaves_the_old_image() {
    let place = some!(Place::new());
    let wim = some!(plain_wim(&place, "w.wim", &["one", "two"], &["--check"]));
    let root = place.mount("w.wim:1", "mnt");
    fs::write(root.join("which"), "changed").unwrap();
    place.succeed("commit mnt --append");
    assert_eq!(place.listed("mnt")["index"], 3);
    fs::write(root.join("later"), "later").unwrap();
    place.succeed("unmount mnt --commit");
    // Without a change it is a copy.
    let root = place.mount("w.wim:2", "mnt");
    assert_eq!(fs::read(root.join("which")).unwrap(), b"two");
    place.succeed("unmount mnt --commit --append");
    verified(&wim);
    assert_eq!(
        (1..=4).map(|image| extracted(&wim, image, "/which")).collect::<Vec<_>>(),
        [&b"one"[..], b"two", b"changed", b"two"]
    );
    assert_eq!(extracted(&wim, 3, "/later"), b"later");
    let info = Command::new("wimlib-imagex").arg("info").arg(&wim).output().unwrap();
    let info = String::from_utf8(info.stdout).unwrap();
    let names: Vec<&str> =
        info.lines().filter_map(|line| line.strip_prefix("Name:")).map(str::trim).collect();
    assert_eq!(names, ["one", "two", "one (2)", "two (2)"]);
}

#[test]
fn solid_files_are_written_and_split_sets_read() {
    let place = some!(Place::new());
    let esd = some!(plain_wim(&place, "w.esd", &["one"], &["--solid"]));
    let root = place.mount("w.esd:1", "mnt");
    fs::write(root.join("new"), noise(100_000, 5)).unwrap();
    let file = File::options().write(true).open(root.join("docs/deep/noise.bin")).unwrap();
    file.write_all_at(b"edited", 70_000).unwrap();
    drop(file);
    place.succeed("unmount mnt --commit");
    verified(&esd);
    assert_eq!(extracted(&esd, 1, "/new"), noise(100_000, 5));
    let mut data = noise(150_000, 1);
    data[70_000..70_006].copy_from_slice(b"edited");
    assert_eq!(extracted(&esd, 1, "/docs/deep/noise.bin"), data);

    some!(plain_wim(&place, "w.wim", &["one"], &["--compress=none"]));
    let split = Command::new("wimlib-imagex")
        .args(["split", "w.wim", "w.swm", "0.1"])
        .current_dir(place.path(""))
        .output()
        .unwrap();
    assert!(split.status.success(), "{}", String::from_utf8_lossy(&split.stderr));
    assert_eq!(place.refuse("mount w.swm:1 mnt")["code"], "0xc1510111");
    place.succeed("mount w.swm:1 mnt --read-only");
    assert_eq!(fs::read(root.join("docs/deep/noise.bin")).unwrap(), noise(150_000, 1));
    place.succeed("unmount mnt --discard");
}

#[test]
fn a_killed_mount_comes_back_with_every_acknowledged_change() {
    let place = some!(Place::new()).with_system_time();
    let wim = some!(plain_wim(&place, "w.wim", &["one"], &[]));
    let root = place.mount("w.wim:1", "mnt");
    let mut written = Vec::new();
    for round in 0..4_u32 {
        let stop = AtomicBool::new(false);
        let count = std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut count = 0;
                let directory = root.join(format!("round {round}"));
                if fs::create_dir(&directory).is_err() {
                    return 0;
                }
                while !stop.load(Ordering::Relaxed) {
                    let made = || -> std::io::Result<()> {
                        let path = directory.join(count.to_string());
                        let mut file = File::create(&path)?;
                        file.write_all(&noise(1000 + count as usize * 77, count))?;
                        fs::rename(&path, directory.join(format!("{count} done")))
                    };
                    if made().is_err() {
                        break;
                    }
                    count += 1;
                }
                count
            });
            std::thread::sleep(Duration::from_millis(40 + u64::from(round) * 53));
            place.kill("mnt");
            stop.store(true, Ordering::Relaxed);
            writer.join().unwrap()
        });
        assert_eq!(place.listed("mnt")["state"], "needs_remount");
        place.succeed("cleanup");
        place.succeed("remount mnt");
        assert_eq!(place.listed("mnt")["state"], "ok");
        written.push(count);
        for (round, count) in (0_u32..).zip(&written) {
            for number in 0..*count {
                let found = fs::read(root.join(format!("round {round}/{number} done"))).unwrap();
                assert!(found == noise(1000 + number as usize * 77, number), "{round}/{number}");
            }
        }
    }
    assert!(written.iter().sum::<u32>() > 0, "nothing was written before the kills");
    // A polite end, and umount(8) from elsewhere, lose nothing either.
    signal(place.listed("mnt")["pid"].as_u64().unwrap(), "TERM");
    while place.listed("mnt")["pid"].is_u64() {
        std::thread::sleep(Duration::from_millis(5));
    }
    place.succeed("remount mnt");
    let entry =
        fuse_mount::mount_table().unwrap().into_iter().find(|entry| entry.mount_point == root).unwrap();
    fuse_mount::unmount_mount(&entry).unwrap();
    while place.listed("mnt")["pid"].is_u64() {
        std::thread::sleep(Duration::from_millis(5));
    }
    place.succeed("remount mnt");
    place.succeed("unmount mnt --commit");
    verified(&wim);
    for (round, count) in (0_u32..).zip(&written) {
        if let Some(last) = count.checked_sub(1) {
            let found = extracted(&wim, 1, &format!("/round {round}/{last} done"));
            assert!(found == noise(1000 + last as usize * 77, last));
        }
    }
}

#[test]
fn a_commit_that_was_killed_is_done_or_not_begun() {
    let place = some!(Place::new());
    let wim = some!(plain_wim(&place, "w.wim", &["one"], &[]));
    let root = place.mount("w.wim:1", "mnt");
    for round in 0..6_u64 {
        let data = noise(3_000_000, round as u32);
        fs::write(root.join("big"), &data).unwrap();
        fs::write(root.join(format!("small {round}")), "small").unwrap();
        let mut commit = place.command(&["commit", "mnt"]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(20 + round * 60));
        place.kill("mnt");
        commit.wait().unwrap();
        verified(&wim);
        place.succeed("remount mnt");
        assert!(fs::read(root.join("big")).unwrap() == data, "round {round}");
        assert_eq!(fs::read_dir(&root).unwrap().count(), 3 + round as usize + 1);
    }
    place.succeed("unmount mnt --commit");
    assert!(extracted(&wim, 1, "/big") == noise(3_000_000, 5));
}

#[test]
fn mount_8_finds_the_helper() {
    let place = some!(Place::new());
    some!(plain_wim(&place, "w.wim", &["one", "two"], &[]));
    place.directory("mnt");
    let helper = place.path("mount.wim");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_transom"), &helper).unwrap();
    let mut command = Command::new(&helper);
    command.args(["w.wim", "mnt", "-o", "ro,noatime,index=2"]).current_dir(place.path(""));
    let output = command.env("XDG_STATE_HOME", place.path("state")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::read(place.path("mnt/which")).unwrap(), b"two");
    assert_eq!(place.listed("mnt")["read_write"], false);
}

/// A script that mounts, changes, commits and unmounts, by another user or in another namespace.
fn script(program: &Path) -> String {
    format!(
        "set -e; export XDG_STATE_HOME=$PWD/state; t={}; $t mount w.wim:1 mnt --quiet; cat mnt/which; \
         echo more >> mnt/DOCS/readme.txt; chmod a-w mnt/which; id -u > mnt/who; cp -a mnt/docs mnt/copy; \
         $t commit mnt --quiet; $t unmount mnt --commit --quiet; test -z \"$(ls mnt)\"",
        program.display()
    )
}

fn by_another(wrapper: &[&str], wanted: fuse_mount::Way) {
    let place = some!(Place::new());
    let wim = some!(plain_wim(&place, "w.wim", &["one"], &[]));
    place.directory("mnt");
    // Where another user reaches it.
    let program = place.path("transom");
    fs::copy(env!("CARGO_BIN_EXE_transom"), &program).unwrap();
    let opened =
        Command::new("chmod").args(["-R", "a+rwX", place.path("").to_str().unwrap()]).status().unwrap();
    assert!(opened.success());
    let output = Command::new(wrapper[0])
        .args(&wrapper[1..])
        .args(["sh", "-c", &script(&program)])
        .current_dir(place.path(""))
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => {
            eprintln!("NOTICE: {}: {error}; {wanted:?} is not tried", wrapper[0]);
            return;
        }
    };
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() && (said.contains("mounting is not allowed") || said.contains("unshare")) {
        eprintln!("NOTICE: {wanted:?} is not allowed here: {said}");
        return;
    }
    assert!(output.status.success(), "{said}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "one");
    verified(&wim);
    assert_eq!(extracted(&wim, 1, "/docs/readme.txt"), b"read me\nmore\n");
    assert_eq!(extracted(&wim, 1, "/copy/readme.txt"), b"read me\nmore\n");
}

#[test]
fn a_user_mounts_through_the_helper() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("NOTICE: not root: that is the way every other test here takes");
        return;
    }
    by_another(
        &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"],
        fuse_mount::Way::Helper,
    );
}

#[test]
fn root_of_a_user_namespace_mounts_by_itself() {
    by_another(&["unshare", "-Urm"], fuse_mount::Way::UserNamespace);
}
