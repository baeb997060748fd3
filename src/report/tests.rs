// SPDX-License-Identifier: GPL-3.0-or-later
//! Captured output of the real tool, reproduced from equivalent report structs.
//!
//! Captures of class V are compared byte for byte; those pasted by a person (P) or taken from
//! documentation (D) after trimming line ends and collapsing runs of blank lines, as the corpus
//! prescribes. The tool's version in the banner is the captured one's, not ours.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::screen::tests::Recorder;
use super::*;
use crate::base::{Arch, Code, ErrorClass, FileTime, Version};
use crate::drivers::{AddOutcome, AddReport, AddedPackage, DriverInfo, DriverModel, DriverPackage};
use crate::imaging::{InfoReport, Verification};
use crate::io::{Event, Progress};
use crate::wim::{ImageInfo, VerifyFinding, VerifyReport};

fn corpus(path: &str) -> Option<String> {
    let root = std::env::var_os("TRANSOM_CORPUS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"), PathBuf::from);
    let path = root.join("cli").join(path);
    let text = std::fs::read_to_string(&path);
    if text.is_err() {
        eprintln!("NOTICE: {} is not there: nothing is compared with it", path.display());
    }
    text.ok()
}

/// Line ends trimmed, runs of blank lines as one, none at the ends.
fn normalised(text: &str) -> String {
    let mut lines: Vec<&str> = Vec::new();
    for line in text.lines().map(str::trim_end) {
        if !line.is_empty() || lines.last().is_some_and(|last| !last.is_empty()) {
            lines.push(line);
        }
    }
    lines.join("\n").trim_end().to_owned()
}

/// Dates of a Windows set to English (United Kingdom), as some captures have them.
fn british() -> Style {
    Style { short_date: "%d/%m/%Y", long_time: "%H:%M:%S", ..american() }
}

fn american() -> Style {
    Style::english(TimeZone::UTC, None)
}

fn rendered(style: Style, write: impl FnOnce(&mut Page)) -> String {
    let mut page = Page::new(style);
    write(&mut page);
    page.into_text()
}

/// A whole run in DISM's language, with the tool's version as captured.
fn session(
    tool: &str,
    image: Option<Version>,
    style: Style,
    body: &str,
    end: impl FnOnce(&mut Page),
) -> String {
    rendered(style, |page| {
        banner(page);
        if let Some(version) = image {
            image_version(page, version);
        }
        for line in body.lines() {
            page.line(line);
        }
        end(page);
    })
    .replace(concat!(env!("CARGO_PKG_VERSION"), ".0"), tool)
}

fn assert_as_captured(file: &str, ours: &str) {
    if let Some(captured) = corpus(file) {
        assert_eq!(normalised(ours), normalised(&captured), "{file}");
    }
}

fn time(text: &str) -> FileTime {
    let timestamp: jiff::Timestamp = text.parse().unwrap();
    FileTime::from_unix(timestamp.as_second(), 0)
}

fn pro_n() -> ImageInfo {
    let text = |text: &str| Some(text.to_owned());
    ImageInfo {
        index: 7,
        name: text("Windows 11 Pro N"),
        description: text("Windows 11 Pro N"),
        size: Some(18_675_690_173),
        directories: Some(24_762),
        files: Some(107_921),
        created: Some(time("2024-09-06T04:26:57Z")),
        modified: Some(time("2024-09-06T05:06:35Z")),
        arch: Some(9),
        edition_id: text("ProfessionalN"),
        installation_type: text("Client"),
        product_type: text("WinNT"),
        product_suite: text("Terminal Server"),
        system_root: text("WINDOWS"),
        version: Some((10, 0, 26_100)),
        service_pack_build: Some(1742),
        service_pack_level: Some(0),
        languages: vec!["en-GB".to_owned()],
        default_language: text("en-GB"),
        ..ImageInfo::default()
    }
}

fn info(file: &str, detailed: bool, images: Vec<ImageInfo>) -> InfoReport {
    InfoReport {
        file: file.into(),
        guid: "{00000000-0000-0000-0000-000000000000}".to_owned(),
        compression: Some(crate::codec::Codec::Lzx),
        chunk_size: Some(32_768),
        solid: false,
        integrity_table: true,
        part: (1, 1),
        boot_index: 0,
        image_count: 8,
        detailed,
        images,
    }
}

fn netwtw() -> DriverPackage {
    DriverPackage {
        published_name: "oem0.inf".into(),
        original_file_name: "netwtw08.inf".into(),
        inbox: false,
        class_name: "net".into(),
        provider_name: "Intel".into(),
        date: FileTime::from_date(2024, 5, 17).unwrap(),
        version: Version::new(23, 60, 0, 10),
        store_name: "netwtw08.inf_amd64_0123456789abcdef".into(),
    }
}

#[test]
fn one_image_in_detail() {
    let report = info("D:\\images\\install.wim", true, vec![pro_n()]);
    let body = rendered(british(), |page| report.dism(page));
    assert_as_captured(
        "out/get-imageinfo-index-22621-enGB.txt",
        &session("10.0.22621.2792", None, british(), &body, success),
    );
    // The same in the style of the United States, and the blanks that a paste may have lost.
    let body = rendered(american(), |page| report.dism(page));
    assert!(body.contains("\nCreated : 9/6/2024 - 4:26:57 AM\nModified : 9/6/2024 - 5:06:35 AM\n"));
    assert!(body.ends_with("\nLanguages :\n\ten-GB (Default)\n"));
}

#[test]
fn a_list_of_images() {
    let drivers = |index, size| ImageInfo {
        index,
        name: Some(format!("FNB{index}Drivers")),
        description: Some(format!("FabriKam Model FNB{index} Drivers")),
        size: Some(size),
        ..ImageInfo::default()
    };
    let report =
        info("N:\\Drivers\\FNBDrivers.wim", false, vec![drivers(1, 1_234_567), drivers(2, 2_234_567)]);
    let body = rendered(american(), |page| report.dism(page));
    let ours = session("6.1.7108.0", None, american(), &body, |_| {});
    if let Some(captured) = corpus("out/get-wiminfo-list-7108.txt") {
        // The sample begins below the blank line that begins the banner.
        assert_eq!(normalised(ours.trim_start()), normalised(&captured));
    }
}

#[test]
fn what_the_xml_does_not_say() {
    let report = info("x.wim", true, vec![ImageInfo { index: 1, ..ImageInfo::default() }]);
    let body = rendered(american(), |page| report.dism(page));
    let undefined = body.lines().filter(|line| line.ends_with(" : <undefined>")).count();
    assert_eq!((body.lines().count(), undefined), (22, 18), "{body}");
    assert_eq!(rendered(american(), |page| report.native(page)), "index         1\n");
    let json = info("x.wim", true, vec![pro_n()]).json();
    assert_eq!((&json["compression"], &json["part"]), (&"lzx".into(), &serde_json::json!([1, 1])));
    assert_eq!(json["images"][0]["created"], "2024-09-06T04:26:57Z");
    assert_eq!(json["images"][0]["service_pack_build"], 1742);
}

#[test]
fn our_list_of_images() {
    let report = info("install.wim", false, vec![pro_n(), ImageInfo { index: 12, ..ImageInfo::default() }]);
    assert_eq!(
        rendered(american(), |page| report.native(page)),
        "install.wim: 8 images, LZX, integrity table\n\
         INDEX  ARCH  VERSION          BYTES           NAME\n\
         7      x64   10.0.26100.1742  18,675,690,173  Windows 11 Pro N\n\
         12                                            \n"
    );
}

#[test]
fn driver_lists() {
    let version = Version::new(10, 0, 26_100, 2033);
    let listed = |packages: Vec<DriverPackage>, style: Style| {
        let body = rendered(style.clone(), |page| DriverList { packages, all: false }.dism(page));
        session("10.0.26100.1150", Some(version), style, &body, success)
    };
    assert_as_captured("out/get-drivers-empty-26100.txt", &listed(Vec::new(), british()));
    assert_as_captured("out/get-drivers-one-26100-enGB.txt", &listed(vec![netwtw()], british()));

    let table = Style { layout: Some(Layout::Table), ..american() };
    let report = DriverList { packages: vec![netwtw()], all: true };
    let body = rendered(table, |page| report.dism(page));
    assert_eq!(
        body.lines().skip(2).collect::<Vec<_>>(),
        [
            "Driver packages listing:",
            "",
            "",
            "-------------- | ------------------ | ----- | ---------- | ------------- | --------- | ----------",
            "Published Name | Original File Name | Inbox | Class Name | Provider Name | Date      | Version",
            "-------------- | ------------------ | ----- | ---------- | ------------- | --------- | ----------",
            "oem0.inf       | netwtw08.inf       | No    | net        | Intel         | 5/17/2024 | 23.60.0.10",
            "",
        ]
    );
    assert_eq!(
        rendered(american(), |page| report.native(page)),
        "PUBLISHED  ORIGINAL      CLASS  DATE        VERSION     INBOX  PROVIDER\n\
         oem0.inf   netwtw08.inf  net    2024-05-17  23.60.0.10  no     Intel\n"
    );
    assert_eq!(report.json()["packages"][0]["date"], "2024-05-17");
    assert_eq!(report.json()["packages"][0]["version"], "23.60.0.10");
}

#[test]
fn a_table_has_the_columns_of_the_captured_one() {
    let Some(captured) = corpus("out/get-features-table-19041.txt") else { return };
    let rows: Vec<Vec<String>> = captured
        .lines()
        .filter(|line| line.contains(" | ") && !line.starts_with("---"))
        .skip(1)
        .map(|line| line.split(" | ").map(|cell| cell.trim().to_owned()).collect())
        .collect();
    let ours = rendered(american(), |page| page.table(&["Feature Name", "State"], &rows));
    assert_eq!(rows.len(), 7);
    assert!(captured.contains(&ours), "{ours}");
}

#[test]
fn one_driver_in_detail() {
    let info = DriverInfo {
        package: netwtw(),
        store_path: "C:\\Windows\\System32\\DriverStore\\FileRepository\\netwtw08.inf_amd64_0\\netwtw08.inf"
            .into(),
        class_description: Some("Network adapters".into()),
        class_guid: "{4d36e972-e325-11ce-bfc1-08002be10318}".parse().ok(),
        boot_critical: false,
        signed: Some(true),
        drivers: vec![DriverModel {
            architecture: Arch::Amd64,
            manufacturer: "Intel Corporation".into(),
            description: "Intel(R) Wi-Fi 6 AX201".into(),
            hardware_id: "PCI\\VEN_8086&DEV_02F0".into(),
            service_name: Some("Netwtw08".into()),
            compatible_ids: Vec::new(),
            exclude_ids: Vec::new(),
        }],
    };
    let report = DriverDetails(vec![info]);
    let labels: Vec<String> = rendered(american(), |page| report.dism(page))
        .lines()
        .map(|line| line.split(" : ").next().unwrap().trim().to_owned())
        .filter(|label| !label.is_empty())
        .collect();
    assert_eq!(
        labels,
        [
            "Driver package information:",
            "Published Name",
            "Driver Store Path",
            "Class Name",
            "Class Description",
            "Class GUID",
            "Date",
            "Version",
            "Boot Critical",
            "Drivers for architecture",
            "Manufacturer",
            "Description",
            "Architecture",
            "Hardware ID",
            "Service Name",
            "Compatible IDs",
            "Exclude IDs",
        ]
    );
    let json = report.json();
    assert_eq!(json["packages"][0]["class_guid"], "{4d36e972-e325-11ce-bfc1-08002be10318}");
    assert_eq!(json["packages"][0]["drivers"][0]["architecture"], "amd64");
}

#[test]
fn added_drivers() {
    let events = |paths: &[&str], searched: bool| {
        let data = Recorder::default();
        let screen = Arc::new(Screen::new(data.clone(), Recorder::default()));
        let meter = Meter::new(screen, Language::Dism, ProgressMode::Lines);
        if searched {
            meter.event(&Event::SearchingDrivers);
        }
        meter.event(&Event::DriversFound { count: paths.len() });
        for (position, path) in paths.iter().enumerate() {
            let path = format!("C:\\drivers\\{path}");
            meter.event(&Event::DriverDone { position: position + 1, count: paths.len(), path, error: None });
        }
        data.text()
    };
    let version = Version::new(10, 0, 26_100, 2033);
    assert_as_captured(
        "out/add-driver-single-26100.txt",
        &session("10.0.26100.1150", Some(version), american(), &events(&["Netwtw08.INF"], false), success),
    );
    let version = Version::new(6, 3, 9600, 16_384);
    assert_as_captured(
        "out/add-driver-recurse-9600.txt",
        &session(
            "6.3.9600.16384",
            Some(version),
            american(),
            &events(&["3wManage.inf", "oemsetup.inf"], true),
            success,
        ),
    );
}

#[test]
fn what_became_of_each_package() {
    let package = |source: &str, outcome| AddedPackage { source: source.into(), outcome };
    let installed = AddOutcome::Installed {
        published_name: "oem3.inf".into(),
        store_name: "viostor.inf_amd64_520417bbc533faba".into(),
        already_present: false,
        repaired: Vec::new(),
        boot_critical: true,
        reflected: true,
        hive: "DRIVERS".into(),
        signed: false,
        signer: None,
        trust: None,
        exceptions: vec!["the catalog was not checked".into()],
    };
    let error =
        Error::new(ErrorClass::NotFound, "viostor.sys is missing").with_hint("copy it beside the INF");
    let report = AddReport {
        searched: true,
        packages: vec![
            package("/d/viostor.inf", installed),
            package("/d/arm.inf", AddOutcome::Skipped { reason: "no models for amd64".into() }),
            package("/d/bad.inf", AddOutcome::Failed { error }),
        ],
        exceptions: Vec::new(),
        nothing_usable: None,
    };
    assert_eq!(
        rendered(american(), |page| report.native(page)),
        "/d/viostor.inf: oem3.inf (boot critical, unsigned)\n\
         /d/arm.inf: skipped: no models for amd64\n\
         /d/bad.inf: failed: viostor.sys is missing\n\
         note: /d/viostor.inf: the catalog was not checked\n"
    );
    assert_eq!(
        rendered(american(), |page| report.dism(page)),
        "Note: /d/arm.inf: skipped: no models for amd64\nNote: /d/viostor.inf: the catalog was not checked\n"
    );
    let json = report.json();
    assert_eq!(json["packages"][0]["outcome"], "installed");
    assert_eq!(json["packages"][0]["store_name"], "viostor.inf_amd64_520417bbc533faba");
    assert_eq!(json["packages"][2]["error"]["hint"], "copy it beside the INF");
}

/// Error blocks whose text we can give: file, tool and image version, code, message, whether the
/// log is named.
#[test]
fn error_blocks() {
    type Case = (&'static str, Option<(&'static str, Option<Version>)>, Code, &'static str, bool);
    let cases: [Case; 5] = [
        (
            "err/err-87-unknown-arg-9600.txt",
            Some(("6.3.9600.17031", None)),
            Code::INVALID_PARAMETER,
            "The /applydrive option is not recognized in this context.\nFor more information, refer to the help.",
            false,
        ),
        (
            "err/err-11-wow64-10586.txt",
            Some(("10.0.10586.0", None)),
            Code::BAD_FORMAT,
            "You cannot service a running 64-bit operating system with a 32-bit version of DISM.\n\
             Please use the version of DISM that corresponds to your computer's architecture.",
            true,
        ),
        (
            "err/err-740-elevation.txt",
            None,
            Code::win32(740),
            "Elevated permissions are required to run DISM. \nUse an elevated command prompt to complete these tasks.",
            false,
        ),
        (
            "err/err-c1510111.txt",
            None,
            Code(0xC151_0111),
            "You do not have permissions to mount and modify this image.\n\
             Verify that you have Read/Write permissions or mount the image using the /ReadOnly option. \
             Note that you cannot commit changes to an image with read-only permissions.",
            true,
        ),
        (
            "err/err-3-addpackage-path-9600.txt",
            Some(("6.3.9600.17031", Some(Version::new(6, 1, 7600, 16_385)))),
            Code::PATH_NOT_FOUND,
            "The system cannot find the path specified.",
            true,
        ),
    ];
    for (file, opened, code, message, names_log) in cases {
        let Some(captured) = corpus(file) else { continue };
        let log = captured.lines().find_map(|line| line.strip_prefix("The DISM log file can be found at "));
        assert_eq!(log.is_some(), names_log, "{file}");
        let error = Error::new(ErrorClass::Usage, message).with_code(code);
        let block = |page: &mut Page| dism_error(page, &error, log.map(Path::new));
        let ours = match opened {
            Some((tool, image)) => session(tool, image, american(), "", block),
            None => rendered(american(), block),
        };
        // One capture begins below the banner's blank line and has a line about the package.
        let captured: String = captured
            .lines()
            .filter(|line| !line.starts_with("An error occurred trying to open"))
            .map(|line| format!("{line}\n"))
            .collect();
        assert_eq!(normalised(ours.trim_start()), normalised(captured.trim_start()), "{file}");
    }
}

#[test]
fn a_french_error_block() {
    let Some(captured) = corpus("err/err-800f080c-fr-26100.txt") else { return };
    let message: Vec<&str> = captured
        .lines()
        .skip_while(|line| !line.starts_with("Le nom"))
        .take_while(|line| !line.is_empty())
        .collect();
    assert_eq!(message.len(), 4);
    let error = Error::new(ErrorClass::NotFound, message.join("\n")).with_code(Code(0x800F_080C));
    let french = Style { locale: Locale::French, ..american() };
    let log = Path::new("C:\\Windows\\Logs\\DISM\\dism.log");
    let version = Version::new(10, 0, 26_200, 6901);
    let ours =
        session("10.0.26100.5074", Some(version), french, "", |page| dism_error(page, &error, Some(log)));
    // The paste lost the no-break spaces before the colons.
    assert_eq!(normalised(ours.replace('\u{a0}', " ").trim_start()), normalised(captured.trim_start()));
}

/// The other error blocks follow lines that are not ours to print yet: only the block is compared.
#[test]
fn error_blocks_below_other_lines() {
    let cases = [
        ("err/err-1920-msu-26100.txt", Code::win32(1920), "The file cannot be accessed by the system."),
        (
            "err/err-800f0805-26100.txt",
            Code(0x800F_0805),
            "DISM failed. No operation was performed.\nFor more information, review the log file.",
        ),
        (
            "err/err-800f0906-14393.txt",
            Code(0x800F_0906),
            "The source files could not be downloaded.\nUse the \"source\" option to specify the location of the \
             files that are required to restore the feature. For more information on specifying a source location, \
             see http://go.microsoft.com/fwlink/?LinkId=243077.",
        ),
    ];
    for (file, code, message) in cases {
        let Some(captured) = corpus(file) else { continue };
        let error = Error::new(ErrorClass::Usage, message).with_code(code);
        let log = Path::new("C:\\WINDOWS\\Logs\\DISM\\dism.log");
        let ours = rendered(american(), |page| dism_error(page, &error, Some(log)));
        assert!(normalised(&captured).ends_with(normalised(&ours).trim_start()), "{file}");
    }
}

#[test]
fn the_captured_progress_bars() {
    let Some(captured) = corpus("out/progress-bars.tsv") else { return };
    let mut compared = 0;
    for line in captured.lines() {
        let (percent, expected) = line.split_once('\t').unwrap();
        let permille: u32 = percent.replace('.', "").parse().unwrap();
        assert_eq!(bar(permille), expected);
        compared += 1;
    }
    assert_eq!(compared, 6);
    if let Some(captured) = corpus("out/mount-image-26100.txt") {
        assert!(captured.lines().any(|line| line == bar(1000)));
    }
}

#[test]
fn a_file_that_was_verified() {
    let finding =
        VerifyFinding { what: "blob 00aa".into(), offset: Some(208), message: "hash differs".into() };
    let report = VerifyReport {
        images: 2,
        blobs: 1000,
        bytes: 123_456,
        integrity_table: false,
        findings: vec![finding],
        warnings: vec!["no XML".to_owned()],
    };
    let report = Verification { file: "x.wim".into(), report, error: None };
    assert_eq!(
        rendered(american(), |page| report.native(page)),
        "x.wim: 1 finding (2 images, 1,000 blobs, 123,456 bytes, no integrity table)\n\
         \x20 blob 00aa at offset 208: hash differs\n\
         note: no XML\n"
    );
    assert_eq!(report.json()["findings"][0]["offset"], 208);
}

#[test]
fn the_document_of_a_run() {
    let mut document = Document::default();
    let report = DriverList { packages: Vec::new(), all: false };
    document.results.push(StepResult::new("driver list", None, report.json(), None));
    document
        .committed(Path::new("a.wim"), &crate::wim::CommitReport { images: vec![1], ..Default::default() });
    let value = document.finish(Some(&Error::new(ErrorClass::Busy, "held")));
    assert_eq!(value["schema_version"], 1);
    assert_eq!(value["success"], false);
    assert_eq!(value["results"][0]["report"]["packages"], serde_json::json!([]));
    assert_eq!(value["commits"][0]["file"], "a.wim");
    assert_eq!(value["error"]["code"], "32");
    let index = crate::wim::ImageIndex(NonZeroU32::MIN);
    assert_eq!(serde_json::to_value(index).unwrap(), 1);
}
