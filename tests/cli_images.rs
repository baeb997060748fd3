// SPDX-License-Identifier: GPL-3.0-or-later
//! Commands on WIM files that wimlib-imagex wrote.

mod cli_support;

use cli_support::{BANNER, Place, SUCCESS};
use serde_json::Value;

#[test]
fn the_images_of_a_file() {
    let place = Place::new();
    let Some(_) = place.wim("two.wim", &["First", "Second"]) else { return };
    let json = place.transom("--json image info two.wim").run().status(0).stderr("").json();
    let report = &json["results"][0]["report"];
    assert_eq!(json["results"][0]["command"], "image info");
    assert_eq!((&report["compression"], &report["integrity_table"]), (&"lzx".into(), &true.into()));
    let size = |index: usize| report["images"][index]["size"].as_u64().unwrap();
    assert_eq!(size(0), 100_000 + "image First".len() as u64);

    let grouped = |size: u64| format!("{},{:03}", size / 1000, size % 1000);
    let list = format!(
        "{BANNER}Details for image : two.wim\n\n\
         Index : 1\nName : First\nDescription : First description\nSize : {} bytes\n\n\
         Index : 2\nName : Second\nDescription : Second description\nSize : {} bytes\n\n{SUCCESS}",
        grouped(size(0)),
        grouped(size(1))
    );
    for line in [
        "/Get-ImageInfo /ImageFile:two.wim",
        "/wimfile=two.wim /get-wiminfo /English /NoRestart",
        "/Get-ImageInfo /ImageFile:two.wim /Index:all",
    ] {
        place.dism(line).run().status(0).stderr("").stdout(&list);
    }
    place.dism("/Get-ImageInfo /ImageFile:two.wim /Quiet").run().status(0).stdout("").stderr("");

    let native = place.transom("image info two.wim").run().status(0).stderr("").stdout;
    let names: Vec<&str> = native.lines().skip(2).map(|line| line.rsplit(' ').next().unwrap()).collect();
    assert_eq!(names, ["First", "Second"], "{native}");
}

#[test]
fn one_image_by_number_or_name() {
    let place = Place::new();
    let Some(_) = place.wim("two.wim", &["First", "Second"]) else { return };
    let detail = place.dism("/Get-ImageInfo /ImageFile:two.wim /Index:2").run().status(0).stdout;
    let labels: Vec<&str> = detail
        .lines()
        .skip(6)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(" : "))
        .map(|(label, _)| label)
        .collect();
    assert_eq!(
        labels.join("|"),
        "Index|Name|Description|Size|WIM Bootable|Architecture|Hal|Version|ServicePack Build|ServicePack Level|\
         Edition|Installation|ProductType|ProductSuite|System Root|Directories|Files|Created|Modified|Languages"
    );
    assert!(detail.contains("\nName : Second\n") && detail.contains("\nFiles : 2\n"), "{detail}");
    assert!(detail.contains("\nEdition : <undefined>\n") && detail.ends_with(SUCCESS), "{detail}");
    for line in ["/Get-ImageInfo /ImageFile:two.wim:2", "/Get-ImageInfo /ImageFile:two.wim /Name:SECOND"] {
        assert_eq!(place.dism(line).run().status(0).stdout, detail, "{line}");
    }
    let one =
        |line: &str| place.transom(line).run().status(0).json()["results"][0]["report"]["images"].clone();
    let by_number = one("--json image info two.wim:2");
    assert_eq!(by_number, one("--json image info two.wim --name second"));
    assert_eq!(by_number, one("--json image info two.wim --index 2"));
    assert_eq!(by_number.as_array().map(Vec::len), Some(1));

    place
        .transom("image info two.wim:3")
        .run()
        .status(87)
        .stderr("error: two.wim has no image 3: it holds 2 [87]\nhint: the index must be between 1 and 2\n");
    place
        .transom("image info two.wim --name Third")
        .run()
        .status(2)
        .stderr("error: two.wim holds no image named \"Third\" [2]\nhint: its images are named \"First\", \"Second\"\n");
    // A file whose whole name ends in a colon and digits is that file.
    std::fs::rename(place.path("two.wim"), place.path("two:2")).unwrap();
    let list = place.transom("--json image info two:2").run().status(0).json();
    assert_eq!(list["results"][0]["report"]["images"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_sound_and_a_damaged_file() {
    let place = Place::new();
    let Some(wim) = place.wim("one.wim", &["First"]) else { return };
    let ran = place.transom("image verify one.wim").run().status(0);
    assert!(ran.stdout.starts_with("one.wim: sound (1 image, 2 blobs, "), "{}", ran.stdout);
    assert!(
        ran.stderr.lines().count() <= 12 && ran.stderr.ends_with("Verifying image: 100%\n"),
        "{}",
        ran.stderr
    );
    place.transom("image verify one.wim --progress none").run().status(0).stderr("");

    let mut bytes = std::fs::read(&wim).unwrap();
    bytes[5000] ^= 0x40;
    std::fs::write(place.path("bad.wim"), &bytes).unwrap();
    let ran = place.transom("image verify bad.wim").run().status(1);
    assert!(ran.stdout.starts_with("bad.wim: ") && ran.stdout.contains("finding"), "{}", ran.stdout);
    let told = ran.stderr.lines().find(|line| line.starts_with("error: bad.wim: ")).unwrap_or_default();
    assert!(told.ends_with("[1392]"), "{}", ran.stderr);
    let json = place.transom("--json image verify bad.wim").run().status(1).json();
    assert_eq!(json["error"]["class"], "corrupt");
    assert_ne!(json["results"][0]["report"]["findings"].as_array().map(Vec::len), Some(0));

    std::fs::write(place.path("short.wim"), &bytes[..bytes.len() / 2]).unwrap();
    let ran = place.transom("image info short.wim").run().stdout("");
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert!(ran.stderr.starts_with("error: ") && ran.stderr.contains("short.wim"), "{}", ran.stderr);
}

#[test]
fn progress_as_json_lines() {
    let place = Place::new();
    let Some(_) = place.wim("one.wim", &["First"]) else { return };
    let lines =
        |text: &str| -> Vec<Value> { text.lines().map(|line| serde_json::from_str(line).unwrap()).collect() };
    let ran = place.transom("image verify one.wim --progress json --json").run().status(0);
    let events = lines(&ran.stderr);
    assert_eq!(events[0]["event"], "begin");
    assert_eq!((&events[0]["task"], &events[0]["unit"]), (&"verify".into(), &"bytes".into()));
    assert_eq!(events.last().unwrap()["event"], "end");
    assert_eq!(ran.json()["success"], true);

    // The same on a descriptor of the caller's choice: here the standard output.
    let ran = place.transom("image verify one.wim --progress json=1 --quiet").run().status(0).stderr("");
    assert_eq!(lines(&ran.stdout).last(), events.last());
}

#[test]
fn several_file_commands_in_one_run() {
    let place = Place::new();
    let Some(_) = place.wim("one.wim", &["First"]) else { return };
    let json = place.transom("--json image info one.wim --then image verify one.wim").run().status(0).json();
    let commands: Vec<&Value> =
        json["results"].as_array().unwrap().iter().map(|result| &result["command"]).collect();
    assert_eq!(commands, ["image info", "image verify"]);
    let ran =
        place.dism("/Get-ImageInfo /ImageFile:one.wim --then /Get-WimInfo /WimFile:one.wim").run().status(0);
    assert_eq!(ran.stdout.matches("Details for image : one.wim").count(), 2);
    assert_eq!(ran.stdout.matches(SUCCESS).count(), 1);
}

#[test]
fn an_image_without_windows_is_refused_and_untouched() {
    let place = Place::new();
    let Some(wim) = place.wim("two.wim", &["First", "Second"]) else { return };
    place.write("drv/x.inf", "[Version]\nSignature=\"$Windows NT$\"\n");
    let before = std::fs::read(&wim).unwrap();
    for line in [
        "/Image:two.wim /Index:1 /Add-Driver /Driver:drv",
        "/Image:two.wim:2 /Get-Drivers",
        "/Image:two.wim /Index:all /Get-Drivers",
        "/Image:two.wim /Name:second /Get-DriverInfo:oem0.inf",
    ] {
        let ran = place.dism(line).run().status(1);
        assert!(
            ran.stdout.contains("\nError: 0xc1500029\n\n") && ran.stdout.contains("two.wim"),
            "{line}: {}",
            ran.stdout
        );
    }
    place.transom("--image two.wim:5 driver list").run().status(87);
    let ran = place.transom("--image two.wim driver list").run().status(87);
    assert!(ran.stderr.contains("two.wim holds 2 images, and none was chosen"), "{}", ran.stderr);
    assert_eq!(std::fs::read(&wim).unwrap(), before);
}
