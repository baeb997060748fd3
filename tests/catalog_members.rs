// SPDX-License-Identifier: GPL-3.0-or-later
//! Catalogs of real packages: every membership, signature and attribute that is known of them,
//! osslsigncode's opinion of the same, and changed bytes.

mod inf_corpus;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use transom::base::{Code, Error};
use transom::catalog::{self, Catalog, FileDigests};
use transom::io::FileReader;

struct Case {
    catalog: &'static str,
    /// Files that are members, from the catalog's folder.
    members: &'static [&'static str],
    /// Whether members are listed by SHA-256 too.
    sha256: bool,
    signer: Option<(&'static str, &'static str)>,
    entries: usize,
    os: Option<&'static str>,
    attributes: &'static [(&'static str, &'static str)],
}

const WHQL: Option<(&str, &str)> = Some((
    "Microsoft Windows Hardware Compatibility Publisher",
    "Microsoft Windows Third Party Component CA 2014",
));
const ORACLE: Option<(&str, &str)> = Some(("Oracle Corporation", "VeriSign Class 3 Code Signing 2010 CA"));
const LUMIA: Option<(&str, &str)> = Some((
    "Windows On Lumia Development Hardware Driver 2020",
    "Windows On Lumia Development Hardware Driver Certification Authority 2020",
));
const WHQL_ATTRIBUTES: &[(&str, &str)] = &[
    ("Submission ID", "30041490_14354741935994527_1152921505702173468"),
    ("BundleID", "VBoxGuestAdditions"),
    ("Universal", "False"),
    ("Declarative", "True"),
    (
        "OS",
        "_v100_X64,_v100_X64_RS1,_v100_X64_RS2,_v100_X64_RS3,_v100_X64_RS4,_v100_X64_RS5,_v100_X64_19H1,\
         _v100_X64_Vb,_v100_X64_21H2,_v100_X64_22H2,_v100_X64_24H2",
    ),
    ("HWID2", r"pci\ven_80ee&dev_beef"),
    ("HWID1", r"pci\ven_80ee&dev_cafe"),
];
const TOUCH: &[&str] = &["SynapticsTouch.inf", "arm/SynapticsTouch.sys", "arm64/SynapticsTouch.sys"];

const CASES: [Case; 7] = [
    Case {
        catalog: "drivers/packages/vboxguest_7.2.22_amd64_whql/VBoxGuest.cat",
        members: &["VBoxGuest.inf", "VBoxGuest.sys", "VBoxControl.exe", "VBoxTray.exe"],
        sha256: true,
        signer: WHQL,
        entries: 8,
        os: Some("2:10.0"),
        attributes: WHQL_ATTRIBUTES,
    },
    Case {
        catalog: "drivers/packages/vboxguest_7.2.22_amd64_legacysha1/VBoxGuest.cat",
        members: &["VBoxGuest.inf"],
        sha256: false,
        signer: ORACLE,
        entries: 4,
        os: Some("2:5.1"),
        attributes: &[("OS", "XPX64,Server2003X64,VistaX64"), ("HWID1", r"pci\ven_80ee&dev_cafe")],
    },
    Case {
        catalog: "drivers/packages/vboxmouse_7.2.22_amd64_whql/VBoxMouse.cat",
        members: &["VBoxMouse.inf", "VBoxMouse.sys"],
        sha256: true,
        signer: WHQL,
        entries: 4,
        os: Some("2:10.0"),
        attributes: WHQL_ATTRIBUTES,
    },
    Case {
        catalog: "drivers/packages/vboxvideo_7.2.22_amd64_legacycat/VBoxVideo.cat",
        members: &["VBoxVideo.inf", "VBoxVideo.sys"],
        sha256: false,
        signer: ORACLE,
        entries: 3,
        os: Some("2:5.1"),
        attributes: &[("OS", "XPX64,Server2003X64,VistaX64"), ("HWID1", r"pci\ven_80ee&dev_beef")],
    },
    Case {
        catalog: "drivers/packages/synapticstouch_arm_arm64/synapticstouch.arm.cat",
        members: TOUCH,
        sha256: true,
        signer: LUMIA,
        entries: 6,
        os: Some("2:6.3"),
        attributes: &[("OS", "_v63_ARM"), ("HWID2", r"acpi\nokia_touch"), ("HWID1", r"acpi\mshw1003")],
    },
    Case {
        catalog: "drivers/packages/synapticstouch_arm_arm64/synapticstouch.arm64.cat",
        members: TOUCH,
        sha256: true,
        signer: LUMIA,
        entries: 6,
        os: Some("2:10.0"),
        attributes: &[("OS", "_v100_ARM64_RS3"), ("HWID2", r"acpi\nokia_touch"), ("HWID1", r"acpi\mshw1003")],
    },
    Case {
        catalog: "delta/cat/unsigned.cat",
        members: &["unsigned.exe", "unsigned.mof", "unsigned.msi"],
        sha256: true,
        signer: None,
        entries: 14,
        os: None,
        attributes: &[("OSAttr", "2:6.0")],
    },
];

struct Loaded {
    case: &'static Case,
    path: PathBuf,
    bytes: Vec<u8>,
    catalog: Catalog,
}

impl Loaded {
    fn member(&self, name: &str) -> PathBuf {
        self.path.parent().unwrap().join(name)
    }
}

fn load() -> Vec<Loaded> {
    static ALL: [Case; 7] = CASES;
    let (Some(drivers), Some(_)) = (inf_corpus::corpus("drivers"), inf_corpus::corpus("delta")) else {
        return Vec::new();
    };
    let root = drivers.parent().unwrap().to_owned();
    ALL.iter()
        .map(|case| {
            let path = root.join(case.catalog);
            let bytes = std::fs::read(&path).unwrap();
            let catalog = Catalog::parse(&bytes).unwrap();
            Loaded { case, path, bytes, catalog }
        })
        .collect()
}

fn digests(path: &Path) -> FileDigests {
    catalog::digest_file(&FileReader::open(path).unwrap()).unwrap()
}

fn accepted(bytes: &[u8]) -> Result<(), Error> {
    Catalog::parse(bytes)?.verify_signature()
}

#[test]
fn what_is_in_them() {
    for loaded in load() {
        let (case, catalog) = (loaded.case, &loaded.catalog);
        let signer = catalog.signer().map(|signer| (signer.common_name.as_str(), signer.issuer.as_str()));
        assert_eq!(signer, case.signer, "{}", case.catalog);
        let attributes: Vec<(&str, &str)> =
            catalog.attributes().iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(attributes, case.attributes, "{}", case.catalog);
        assert_eq!(catalog.members().len(), case.entries, "{}", case.catalog);
        if let Some(os) = case.os {
            for member in catalog.members() {
                assert_eq!(member.os_attributes.first().map(String::as_str), Some(os), "{}", case.catalog);
            }
        }
        for name in case.members {
            let digests = digests(&loaded.member(name));
            catalog.check_member(name, &digests).unwrap();
            // Each digest by itself, so that the other cannot hide a wrong one.
            let sha1 = FileDigests { sha256: [0; 32], ..digests.clone() };
            let sha256 = FileDigests { sha1: [0; 20], ..digests };
            assert!(catalog.contains(&sha1), "{} {name} by SHA-1", case.catalog);
            assert_eq!(catalog.contains(&sha256), case.sha256, "{} {name} by SHA-256", case.catalog);
        }
        for name in case.members {
            let file = Path::new(name).file_name().unwrap().to_str().unwrap();
            let listed = catalog.members().iter().filter_map(|member| member.file.as_deref());
            assert!(
                listed.clone().any(|listed| listed.eq_ignore_ascii_case(file)),
                "{} {name}",
                case.catalog
            );
        }
        // A catalog is no member of itself.
        let error = catalog.check_member("itself", &digests(&loaded.path)).unwrap_err();
        assert_eq!(error.code(), Code(0xE000_024B));
    }
}

#[test]
fn signatures() {
    for loaded in load() {
        let result = loaded.catalog.verify_signature();
        match loaded.case.signer {
            Some(_) => result.unwrap_or_else(|error| panic!("{}: {error}", loaded.case.catalog)),
            None => assert_eq!(result.unwrap_err().code(), Code(0x800B_0100)),
        }
    }
}

/// Catalogs of packages of Windows itself, which have no files beside them here.
#[test]
fn catalogs_of_windows() {
    let Some(corpus) = inf_corpus::corpus("cbs") else { return };
    let mut catalogs = 0;
    for entry in walkdir::WalkDir::new(corpus).sort_by_file_name() {
        let entry = entry.unwrap();
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "cat") {
            continue;
        }
        let catalog = Catalog::parse(&std::fs::read(path).unwrap()).unwrap();
        catalog.verify_signature().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let signer = catalog.signer().map(|signer| signer.common_name.as_str());
        assert_eq!(signer, Some("Microsoft Windows"), "{}", path.display());
        assert!(!catalog.members().is_empty(), "{}", path.display());
        catalogs += 1;
    }
    assert!(catalogs > 0);
}

/// Every byte of the signed list, changed; and a sample of all other bytes. What stays unseen
/// lies in certificates whose issuer is not in the file (their chain is not asked for here), in
/// issuers' names (a changed one is not in the file), in attribute certificates, in the kinds of
/// unsigned attributes and in the format's version.
#[test]
fn changed_catalogs() {
    for loaded in load().into_iter().filter(|loaded| loaded.case.signer.is_some()) {
        let bytes = &loaded.bytes;
        let unproven = unproven_parts(bytes);
        let list = signed_list(bytes);
        let samples = (0..list.start).chain((list.end..bytes.len()).step_by(53));
        let unseen: Vec<usize> = list
            .chain(samples)
            .filter(|offset| !unproven.iter().any(|part| part.contains(offset)))
            .filter(|offset| {
                let mut changed = bytes.clone();
                changed[*offset] ^= 1 << (offset % 8);
                accepted(&changed).is_ok()
            })
            .collect();
        assert_eq!(unseen, Vec::<usize>::new(), "{}", loaded.case.catalog);
        for length in [0, 1, bytes.len() / 2, bytes.len() - 9] {
            assert!(accepted(&bytes[..length]).is_err(), "{} at {length}", loaded.case.catalog);
        }
        let longer: Vec<u8> = bytes.iter().copied().chain([1]).collect();
        assert!(accepted(&longer).is_err());
    }
}

/// Tag, where the content begins, where it ends.
fn element(bytes: &[u8], at: usize) -> Option<(u8, usize, usize)> {
    let (tag, first) = (*bytes.get(at)?, *bytes.get(at + 1)?);
    let count = if first < 0x80 { 0 } else { usize::from(first & 0x7F) };
    let length = match count {
        0 => usize::from(first),
        _ => bytes.get(at + 2..at + 2 + count)?.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
    };
    let start = at + 2 + count;
    (start + length <= bytes.len()).then_some((tag, start, start + length))
}

/// Offsets of the elements between two offsets; nothing when they do not fit in exactly.
fn elements(bytes: &[u8], start: usize, end: usize) -> Option<Vec<usize>> {
    let mut found = Vec::new();
    let mut at = start;
    while at < end {
        found.push(at);
        at = element(bytes, at)?.2;
    }
    (at == end).then_some(found)
}

/// The content that is signed: inside the `[0]` behind the kind of the content.
fn signed_list(bytes: &[u8]) -> Range<usize> {
    const KIND: [u8; 11] = [6, 9, 0x2B, 6, 1, 4, 1, 0x82, 0x37, 10, 1];
    let kind = bytes.windows(KIND.len()).position(|window| window == KIND).unwrap();
    let (tag, start, _) = element(bytes, kind + KIND.len()).unwrap();
    assert_eq!(tag, 0xA0);
    let (_, _, end) = element(bytes, start).unwrap();
    start..end
}

fn unproven_parts(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    collect_certificates(bytes, 0, bytes.len(), &mut parts);
    let kinds: [&[u8]; 3] = [
        &[6, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 9, 6],
        &[6, 10, 0x2B, 6, 1, 4, 1, 0x82, 0x37, 3, 3, 1],
        &[6, 10, 0x2B, 6, 1, 4, 1, 0x82, 0x37, 2, 4, 1],
    ];
    for kind in kinds {
        let found = bytes.windows(kind.len()).enumerate().filter(|(_, window)| *window == kind);
        parts.extend(found.map(|(at, _)| at + 2..at + kind.len()));
    }
    let (_, start, _) = element(bytes, 0).unwrap();
    let (_, start, _) = element(bytes, elements(bytes, start, bytes.len()).unwrap()[1]).unwrap();
    let (_, version, _) = element(bytes, start).unwrap();
    parts.push(version + 2..version + 3);
    parts
}

/// Certificates, anywhere, whose issuer is not beside them.
fn collect_certificates(bytes: &[u8], start: usize, end: usize, parts: &mut Vec<Range<usize>>) {
    let Some(children) = elements(bytes, start, end) else { return };
    let certificates: Vec<(Range<usize>, &[u8], &[u8])> =
        children.iter().filter_map(|at| certificate(bytes, *at)).collect();
    for (range, issuer, _) in &certificates {
        let known = certificates.iter().any(|(_, _, subject)| subject == issuer);
        let name = issuer.as_ptr().addr() - bytes.as_ptr().addr();
        parts.push(if known { name..name + issuer.len() } else { range.clone() });
    }
    for at in children {
        let (tag, start, end) = element(bytes, at).unwrap();
        if tag == 0xA1 && !certificates.is_empty() {
            parts.push(at..end);
        }
        if tag & 0x20 != 0 {
            collect_certificates(bytes, start, end, parts);
        }
    }
}

/// Range, issuer and subject of a certificate of version 3.
fn certificate(bytes: &[u8], at: usize) -> Option<(Range<usize>, &[u8], &[u8])> {
    let (tag, start, end) = element(bytes, at)?;
    let outer = elements(bytes, start, end).filter(|parts| tag == 0x30 && parts.len() == 3)?;
    let (_, start, tbs_end) = element(bytes, outer[0])?;
    let inner =
        elements(bytes, start, tbs_end).filter(|_| bytes[start..].starts_with(&[0xA0, 3, 2, 1, 2]))?;
    let whole = |index: usize| Some(&bytes[*inner.get(index)?..element(bytes, inner[index])?.2]);
    Some((at..end, whole(3)?, whole(5)?))
}

#[test]
fn changed_members() {
    for loaded in load() {
        for name in loaded.case.members {
            let bytes = std::fs::read(loaded.member(name)).unwrap();
            let skipped = unhashed_parts(&bytes);
            let count = bytes.len().div_ceil(40) | 1;
            for offset in (0..bytes.len()).step_by(count).chain([bytes.len() - 1]) {
                let mut changed = bytes.clone();
                changed[offset] ^= 0x10;
                let found =
                    catalog::digest_file(&changed).is_ok_and(|digests| loaded.catalog.contains(&digests));
                let expected = skipped.iter().any(|part| part.contains(&offset));
                assert_eq!(found, expected, "{} {name} at {offset}", loaded.case.catalog);
            }
        }
    }
}

/// CheckSum, security directory and certificate table of a PE file.
fn unhashed_parts(bytes: &[u8]) -> Vec<Range<usize>> {
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    if !bytes.starts_with(b"MZ") {
        return Vec::new();
    }
    let optional = number(0x3C) + 24;
    let directory = optional + if bytes[optional + 1] == 2 { 144 } else { 128 };
    let table = number(directory);
    vec![optional + 64..optional + 68, directory..directory + 8, table..table + number(directory + 4)]
}

/// osslsigncode says of PE members whether the catalog has them, and which hash it computed; INF
/// files it does not take. Its exit status is about the chain, which needs roots that are not
/// here.
#[test]
fn osslsigncode_finds_the_same_members() {
    for loaded in load() {
        if loaded.case.signer.is_none() {
            continue;
        }
        for name in loaded.case.members.iter().filter(|name| !name.ends_with(".inf")) {
            let member = loaded.member(name);
            let mut command = Command::new("osslsigncode");
            command.arg("verify").arg("-c").arg(&loaded.path).arg("-in").arg(&member);
            let Some(output) = inf_corpus::output_of(&mut command) else { return };
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(text.contains("File is signed in catalog: "), "{} {name}: {text}", loaded.case.catalog);
            let calculated = text.lines().find_map(|line| line.strip_prefix("Calculated message digest : "));
            let calculated = calculated.unwrap_or_else(|| panic!("{name}: {text}"));
            let ours = digests(&member);
            let ours = if calculated.trim().len() == 40 { hex(&ours.sha1) } else { hex(&ours.sha256) };
            assert_eq!(calculated.trim(), ours, "{} {name}", loaded.case.catalog);
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// Catalogs that osslsigncode signs with keys of openssl's: ours and its opinion are the same.
#[test]
fn osslsigncode_signs_what_we_verify() {
    let Some(corpus) = inf_corpus::corpus("delta") else { return };
    let folder = tempfile::tempdir().unwrap();
    let unsigned = corpus.join("cat/unsigned.cat");
    for (kind, hash) in [
        ("rsa:2048", "sha1"),
        ("rsa:2048", "sha256"),
        ("rsa:3072", "sha384"),
        ("rsa:2048", "sha512"),
        ("ec", "sha256"),
    ] {
        let path = |name: &str| folder.path().join(format!("{}-{hash}-{name}", kind.replace(':', "")));
        let (key, certificate, signed) = (path("key.pem"), path("certificate.pem"), path("signed.cat"));
        let mut openssl = Command::new("openssl");
        openssl.args([
            "req",
            "-x509",
            "-newkey",
            kind,
            "-nodes",
            "-days",
            "3650",
            "-subj",
            "/O=Us/CN=Test Signer",
        ]);
        if kind == "ec" {
            openssl.args(["-pkeyopt", "ec_paramgen_curve:P-256"]);
        }
        openssl.args(["-addext", "extendedKeyUsage=codeSigning"]);
        openssl.arg("-keyout").arg(&key).arg("-out").arg(&certificate);
        let Some(made) = inf_corpus::output_of(&mut openssl) else { return };
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut sign = Command::new("osslsigncode");
        sign.args(["sign", "-h", hash, "-certs"]).arg(&certificate).arg("-key").arg(&key);
        sign.arg("-in").arg(&unsigned).arg("-out").arg(&signed);
        let Some(output) = inf_corpus::output_of(&mut sign) else { return };
        assert!(output.status.success(), "{kind} {hash}: {}", String::from_utf8_lossy(&output.stdout));

        let bytes = std::fs::read(&signed).unwrap();
        accepted(&bytes).unwrap_or_else(|error| panic!("{kind} {hash}: {error}"));
        let catalog = Catalog::parse(&bytes).unwrap();
        let names = catalog.signer().map(|signer| (signer.common_name.as_str(), signer.issuer.as_str()));
        assert_eq!(names, Some(("Test Signer", "Test Signer")));
        for name in ["unsigned.exe", "unsigned.mof", "unsigned.msi"] {
            let file = corpus.join("cat").join(name);
            assert!(osslsigncode_verifies(&certificate, &signed, &file), "{kind} {hash} {name}");
            assert!(catalog.contains(&digests(&file)), "{kind} {hash} {name}");
            let mut changed = std::fs::read(&file).unwrap();
            let middle = changed.len() / 2;
            changed[middle] ^= 1;
            let copy = folder.path().join(name);
            std::fs::write(&copy, &changed).unwrap();
            assert!(!osslsigncode_verifies(&certificate, &signed, &copy), "{kind} {hash} {name}");
            assert!(!catalog.contains(&digests(&copy)), "{kind} {hash} {name}");
        }
        let forged = path("forged.cat");
        let list = signed_list(&bytes);
        for offset in [list.start + 20, (list.start + list.end) / 2, list.end - 1, bytes.len() - 20] {
            let mut changed = bytes.clone();
            changed[offset] ^= 1;
            std::fs::write(&forged, &changed).unwrap();
            assert!(accepted(&changed).is_err(), "{kind} {hash} at {offset}");
            let file = corpus.join("cat/unsigned.mof");
            assert!(!osslsigncode_verifies(&certificate, &forged, &file), "{kind} {hash} at {offset}");
        }
    }
}

fn osslsigncode_verifies(root: &Path, catalog: &Path, file: &Path) -> bool {
    let mut command = Command::new("osslsigncode");
    command.arg("verify").arg("-CAfile").arg(root).arg("-catalog").arg(catalog).arg("-in").arg(file);
    inf_corpus::output_of(&mut command).is_some_and(|output| output.status.success())
}
