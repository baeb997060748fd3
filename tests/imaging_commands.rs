// SPDX-License-Identifier: GPL-3.0-or-later
//! The commands on whole image files, in both languages.

mod cli_support;

use cli_support::{BANNER, Place, SUCCESS};
use std::process::Command;

fn verified(place: &Place, name: &str) {
    let output = Command::new("wimlib-imagex").arg("verify").arg(place.path(name)).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn exported_in_both_languages() {
    let place = Place::new();
    let Some(_) = place.wim("two.wim", &["First", "Second"]) else { return };
    let said = place
        .dism("/Export-Image /SourceImageFile:two.wim /SourceIndex:2 /DestinationImageFile:one.esd /Compress:recovery /Quiet")
        .run()
        .status(0);
    assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("", ""));
    verified(&place, "one.esd");
    let line = "/Export-Image /SourceImageFile:two.wim /SourceName:first /DestinationImageFile:one.esd \
                /DestinationName:Third /Compress:max /CheckIntegrity /English";
    let said = place.dism(line).run().status(0).stdout;
    assert!(said.starts_with(BANNER) && said.ends_with(SUCCESS), "{said}");
    verified(&place, "one.esd");
    let json = place.transom("--json image info one.esd").run().status(0).json();
    let report = &json["results"][0]["report"];
    assert_eq!((&report["solid"], &report["compression"]), (&true.into(), &"lzms".into()));
    let names: Vec<&str> =
        report["images"].as_array().unwrap().iter().map(|image| image["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Second", "Third"]);

    let json =
        place.transom("--json image export two.wim:all all.wim --compress fast").run().status(0).json();
    let report = &json["results"][0]["report"];
    assert_eq!((&report["created"], &report["images"]), (&true.into(), &serde_json::json!([1, 2])));
    verified(&place, "all.wim");

    let cases = [
        ("image export two.wim:1 two.wim", 87),
        ("image export two.wim x.wim", 87),
        ("image export two.wim:1 all.wim", 1),
        ("image export two.wim:1 x.wim --compress recovery", 87),
        ("image export two.wim:all x.wim --name same", 87),
        ("image export two.wim:1 x.wim --wimboot", 50),
        ("image export none.wim:1 x.wim", 2),
        ("image split one.esd x.swm --size 1", 50),
        ("image delete two.wim", 87),
        ("image set two.wim:1", 87),
        ("image set two.wim:1 --name SECOND", 1),
    ];
    for (line, status) in cases {
        let ran = place.transom(line).run().status(status);
        assert!(ran.stderr.contains("\nhint: "), "{ran:#?}");
    }
    assert!(!place.path("x.wim").exists() && !place.path("x.swm").exists());
}

#[test]
fn captured_and_appended_in_both_languages() {
    let place = Place::new();
    for (path, data) in [("tree/a.txt", "a".repeat(5000)), ("tree/sub/B.bin", "b".repeat(70_000))] {
        place.write(path, data);
    }
    place.write("tree/pagefile.sys", "left out");
    place.write("other/c.txt", "c".repeat(100));
    place.write("WimScript.ini", "[ExclusionList]\n*.bin\n");
    std::fs::hard_link(place.path("tree/a.txt"), place.path("tree/sub/link.txt")).unwrap();
    std::os::unix::fs::symlink("/gone/away", place.path("tree/sub/symlink")).unwrap();
    let said = place
        .dism("/Capture-Image /ImageFile:one.wim /CaptureDir:tree /Name:First /Description:text /Compress:max /CheckIntegrity /Verify")
        .run()
        .status(0)
        .stdout;
    assert!(said.starts_with(BANNER) && said.ends_with(SUCCESS), "{said}");
    verified(&place, "one.wim");
    let json = place.transom("--json image append other one.wim --name Second --boot --flags Core").run();
    let report = &json.status(0).json()["results"][0]["report"];
    assert_eq!((&report["index"], &report["files"], &report["new_blobs"]), (&2.into(), &1.into(), &1.into()));
    verified(&place, "one.wim");
    place
        .dism("/Append-Image /ImageFile:one.wim /CaptureDir:tree /Name:Third /ConfigFile:WimScript.ini")
        .run()
        .status(0);
    verified(&place, "one.wim");
    let json = place.transom("--json image info one.wim").run().status(0).json();
    let report = &json["results"][0]["report"];
    assert_eq!((&report["boot_index"], &report["integrity_table"]), (&2.into(), &true.into()));
    let images: Vec<(&str, u64)> = report["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| (image["name"].as_str().unwrap(), image["files"].as_u64().unwrap()))
        .collect();
    // The page file is left out unless a list of one's own says otherwise.
    assert_eq!(images, [("First", 4), ("Second", 1), ("Third", 4)]);
    assert_eq!(
        (&report["images"][0]["description"], &report["images"][1]["flags"]),
        (&"text".into(), &"Core".into())
    );
    let list = place.transom("image list one.wim:3").run().status(0).stdout;
    assert_eq!(list, "\\a.txt\n\\pagefile.sys\n\\sub\\\n\\sub\\link.txt\n\\sub\\symlink\n");

    let before = std::fs::read(place.path("one.wim")).unwrap();
    let huge = std::fs::File::create(place.path("huge.bin")).unwrap();
    huge.set_len(1 << 43).unwrap();
    std::fs::create_dir(place.path("huge")).unwrap();
    std::fs::rename(place.path("huge.bin"), place.path("huge/huge.bin")).unwrap();
    std::fs::create_dir(place.path("empty")).unwrap();
    let cases = [
        ("image capture tree one.wim --name again", 80),
        ("image capture tree tree/x.wim --name x", 87),
        ("image capture tree tree/sub/x.wim --name x", 87),
        ("image append tree one.wim --name first", 1),
        ("image append tree none.wim --name x", 2),
        ("image append tree WimScript.ini --name x", 11),
        ("image capture none x.wim --name x", 2),
        ("image capture empty x.wim --name x", 87),
        ("image capture tree x.wim --name x --compress recovery", 87),
        ("image capture tree x.wim --name x --wimboot", 50),
        ("image capture tree x.wim --name x --ea", 50),
        ("image capture tree x.wim --name x --config tree/a.txt", 87),
        ("image capture huge x.wim --name x --compress none", 112),
        ("image append huge one.wim --name x --dry-run", 50),
    ];
    for (line, status) in cases {
        let ran = place.transom(line).run().status(status);
        assert!(ran.stderr.contains("\nhint: "), "{ran:#?}");
    }
    place.dism("/Capture-CustomImage /CaptureDir:tree").run().status(50);
    assert!(!place.path("x.wim").exists() && !place.path("tree/x.wim").exists());
    assert!(std::fs::read(place.path("one.wim")).unwrap() == before);
}

/// The same tree in two folders, at two times of day, on one thread and on two.
#[test]
fn reproducible_captures_are_the_same() {
    let place = Place::new();
    let long: String = (0..700_000).map(|number| format!("{number:x} ")).collect();
    let touched = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_600_000_000);
    for tree in ["first/tree", "second/deeper/other"] {
        for (path, data) in
            [("a/long.txt", long.as_str()), ("a/b/short.txt", "short"), ("twice.txt", "short")]
        {
            place.write(&format!("{tree}/{path}"), data);
        }
        for path in ["a/long.txt", "a/b/short.txt", "twice.txt", "a/b", "a", ""] {
            std::fs::File::open(place.path(&format!("{tree}/{path}")))
                .unwrap()
                .set_modified(touched)
                .unwrap();
        }
    }
    for compress in ["none", "fast", "recovery"] {
        let mut files = Vec::new();
        for (number, (tree, threads)) in
            [("first/tree", 1), ("second/deeper/other", 2)].into_iter().enumerate()
        {
            let name = format!("{compress}-{number}.esd");
            let line =
                format!("--threads {threads} image capture {tree} {name} --name Same --compress {compress}");
            place.transom(&line).env("SOURCE_DATE_EPOCH", "1700000000").run().status(0);
            let line = format!("--threads {threads} image append {tree}/a {name} --name More --check");
            place.transom(&line).env("SOURCE_DATE_EPOCH", "1700000000").run().status(0);
            let line = format!("--threads {threads} image delete {name}:1");
            place.transom(&line).env("SOURCE_DATE_EPOCH", "1700000000").run().status(0);
            let line = format!("--threads {threads} image optimize {name}");
            place.transom(&line).env("SOURCE_DATE_EPOCH", "1700000000").run().status(0);
            files.push(transom::digest::sha256(&std::fs::read(place.path(&name)).unwrap()));
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        assert_eq!(files[0], files[1], "{compress}");
    }
}

#[test]
fn reproducible_files_are_the_same() {
    let place = Place::new();
    let Some(_) = place.wim("two.wim", &["First", "Second"]) else { return };
    let read = |name: &str| std::fs::read(place.path(name)).unwrap();
    for (how, extension) in [("fast", "wim"), ("recovery", "esd")] {
        for (name, options) in [("a", "--threads 1"), ("b", "--threads 2"), ("c", "--threads 2 --memory 1")] {
            let line = format!(
                "--reproducible {options} image export two.wim:all {name}.{extension} --compress {how}"
            );
            place.transom(&line).run().status(0);
        }
        let first = read(&format!("a.{extension}"));
        assert!(
            first == read(&format!("b.{extension}")) && first == read(&format!("c.{extension}")),
            "{how}"
        );
    }
}

#[test]
fn listed_deleted_set_and_optimized() {
    let place = Place::new();
    let Some(wim) = place.wim("two.wim", &["First", "Second"]) else { return };
    let list = "\\data\\\n\\data\\noise.bin\n\\readme.txt\n";
    place.transom("image list two.wim:2").run().status(0).stdout(list).stderr("");
    place
        .dism("/List-Image /ImageFile:two.wim /Name:second")
        .run()
        .status(0)
        .stdout(&format!("{BANNER}{list}\n{SUCCESS}"));
    place.transom("--quiet image set two.wim:2 --name Zwei --description zweites --boot").run().status(0);
    verified(&place, "two.wim");
    place.dism("/Delete-Image /ImageFile:two.wim /Index:1 /CheckIntegrity").run().status(0);
    verified(&place, "two.wim");
    let json = place.transom("--json image info two.wim").run().status(0).json();
    let report = &json["results"][0]["report"];
    assert_eq!((&report["image_count"], &report["boot_index"]), (&1.into(), &1.into()));
    assert_eq!(report["images"][0]["name"], "Zwei");
    assert_eq!(report["images"][0]["description"], "zweites");
    let before = std::fs::metadata(&wim).unwrap().len();
    let json = place.transom("--json image optimize two.wim").run().status(0).json();
    let after = std::fs::metadata(&wim).unwrap().len();
    assert_eq!(json["results"][0]["report"]["reclaimed"].as_u64(), Some(before - after));
    assert!(after < before);
    verified(&place, "two.wim");
    place.transom("image delete two.wim:1").run().status(87);
}

#[test]
fn split_into_parts_and_joined_again() {
    let place = Place::new();
    let Some(_) = place.wim("two.wim", &["First", "Second"]) else { return };
    let grown = place.path("tree-First/more.bin");
    std::fs::write(&grown, std::fs::read(place.path("tree-First/data/noise.bin")).unwrap().repeat(30))
        .unwrap();
    let captured = Command::new("wimlib-imagex")
        .args(["capture", "--compress=none"])
        .args([place.path("tree-First"), place.path("long.wim")])
        .output()
        .unwrap();
    assert!(captured.status.success());
    place.dism("/Split-Image /ImageFile:long.wim /SWMFile:long.swm /FileSize:1").run().status(0);
    assert!(place.path("long2.swm").exists());
    place.transom("image split long.wim long.swm --size 1").run().status(80);
    place.transom("--quiet image export long.swm:1 joined.wim").run().status(0);
    verified(&place, "joined.wim");
    std::fs::remove_file(place.path("long2.swm")).unwrap();
    let ran = place.transom("image export long.swm:1 again.wim").run().status(2);
    assert!(ran.stderr.contains("long2.swm"), "{ran:#?}");
}
