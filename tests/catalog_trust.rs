// SPDX-License-Identifier: GPL-3.0-or-later
//! Who vouches for a catalog: real catalogs against Microsoft's roots, made ones against roots of
//! openssl's, osslsigncode's opinion of both, and changed bytes.

mod inf_corpus;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use rayon::prelude::*;
use tempfile::TempDir;
use transom::base::{Code, Error, FileTime, Version};
use transom::catalog::{self, Catalog, SignerKind, Trust, TrustStore};
use transom::io::FileReader;

const ROOT_2010: &str = "3b1efd3a66ea28b16697394703a72ca340a05bd5";
const PACKAGES: &str = "drivers/packages";

/// After every certificate of the corpus was issued; before most run out.
fn now() -> FileTime {
    FileTime::from_date(2026, 11, 20).unwrap()
}

fn corpus() -> Option<PathBuf> {
    inf_corpus::corpus("drivers").map(|drivers| drivers.parent().unwrap().to_owned())
}

fn read(path: &Path) -> Catalog {
    Catalog::parse(&std::fs::read(path).unwrap())
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn judged(path: &Path, store: &TrustStore) -> Result<Trust, Error> {
    read(path).judge(store, now())
}

fn with(file: &Path) -> TrustStore {
    let mut store = TrustStore::microsoft();
    store.add_file(&std::fs::read(file).unwrap()).unwrap();
    store
}

#[test]
fn what_microsoft_signed_is_trusted() {
    let Some(corpus) = corpus() else { return };
    let store = TrustStore::microsoft();
    let whql = [
        "Microsoft Windows Hardware Compatibility Publisher",
        "Microsoft Windows Third Party Component CA 2014",
    ];
    let windows = ["Microsoft Windows", "Microsoft Windows Production PCA 2011"];
    let editions =
        "cbs/editions/Microsoft-Windows-ProfessionalEdition~31bf3856ad364e35~amd64~~10.0.22000.1.cat";
    let cases = [
        (
            format!("{PACKAGES}/vboxguest_7.2.22_amd64_whql/VBoxGuest.cat"),
            whql,
            SignerKind::Attested,
            (2026, 10, 19),
        ),
        (
            format!("{PACKAGES}/vboxmouse_7.2.22_amd64_whql/VBoxMouse.cat"),
            whql,
            SignerKind::Attested,
            (2026, 10, 19),
        ),
        (editions.to_owned(), windows, SignerKind::Windows, (2021, 6, 5)),
    ];
    for (file, [signer, issuer], kind, signed) in cases {
        let trust = judged(&corpus.join(&file), &store).unwrap_or_else(|error| panic!("{file}: {error}"));
        let stamped = trust.signed_at.expect("a trusted time stamp");
        let expected = Trust {
            kind,
            chain: vec![signer.into(), issuer.into(), "Microsoft Root Certificate Authority 2010".into()],
            root: ROOT_2010.into(),
            microsoft: true,
            signed_at: Some(stamped),
            time_stamper: Some("Microsoft Time-Stamp Service".into()),
            untrusted_time_stamp: None,
        };
        assert_eq!(trust, expected, "{file}");
        assert_eq!(stamped.date(), signed, "{file}");
    }
}

#[test]
fn others_are_not_trusted_and_why() {
    let Some(corpus) = corpus() else { return };
    let store = TrustStore::microsoft();
    let g5 = "VeriSign Class 3 Public Primary Certification Authority - G5, whose issuer Microsoft Code Verification Root";
    let lumia = "Windows On Lumia Development Hardware Driver 2020, whose issuer Windows On Lumia Development Hardware \
                 Driver Certification Authority 2020";
    let development =
        "Microsoft Development PCA 2014, whose issuer Microsoft Development Root Certificate Authority 2014";
    let edition = "cbs/editions/Microsoft-Windows-CoreEdition~31bf3856ad364e35~amd64~~10.0.26085.1.cat";
    let cases = [
        (format!("{PACKAGES}/vboxguest_7.2.22_amd64_legacysha1/VBoxGuest.cat"), "Oracle Corporation", g5),
        (format!("{PACKAGES}/vboxvideo_7.2.22_amd64_legacycat/VBoxVideo.cat"), "Oracle Corporation", g5),
        (
            format!("{PACKAGES}/synapticstouch_arm_arm64/synapticstouch.arm64.cat"),
            "Windows On Lumia Development Hardware Driver 2020",
            lumia,
        ),
        (edition.to_owned(), "Microsoft Windows", development),
    ];
    for (file, signer, end) in cases {
        let error = judged(&corpus.join(&file), &store).unwrap_err();
        let expected = format!(
            "the signer {signer} is not trusted: its chain of certificates ends with {end} is not among the trusted roots"
        );
        assert_eq!((error.code(), error.message()), (Code(0x800B_010A), expected.as_str()), "{file}");
    }
    let unsigned = judged(&corpus.join("delta/cat/unsigned.cat"), &store).unwrap_err();
    assert_eq!(unsigned.code(), Code(0x800B_0100));
}

/// A signature of 2014 whose time stamp is the vendor's own: with the certificates of the catalog
/// as roots all of it is trusted, with the root of the signer alone the time stamp is not.
#[test]
fn a_cross_signed_catalog_of_old() {
    let Some(corpus) = corpus() else { return };
    let path = corpus.join(PACKAGES).join("vboxguest_7.2.22_amd64_legacysha1/VBoxGuest.cat");
    let trust = judged(&path, &with(&path)).unwrap();
    assert_eq!((trust.kind, trust.microsoft), (SignerKind::Authenticode, false));
    assert_eq!(trust.signed_at.map(FileTime::date), Some((2014, 10, 19)));
    assert_eq!(trust.chain.first().map(String::as_str), Some("Oracle Corporation"));

    let mut openssl = Command::new("openssl");
    openssl.args(["pkcs7", "-inform", "DER", "-print_certs", "-in"]).arg(&path);
    let Some(output) = inf_corpus::output_of(&mut openssl) else { return };
    let text = String::from_utf8(output.stdout).unwrap();
    let cross = text
        .split("-----END CERTIFICATE-----")
        .find(|part| part.contains("issuer=C = US, ST = Washington") && part.contains("G5"));
    let cross = format!("{}-----END CERTIFICATE-----\n", cross.expect("the cross certificate"));
    let mut store = TrustStore::microsoft();
    store.add_file(cross.as_bytes()).unwrap();
    let error = judged(&path, &store).unwrap_err();
    assert_eq!(error.code(), Code(0x8009_6005));
    let kludge = "VirtualBox for Legacy Windows Only Timestamp Kludge 2014 SHA1";
    let expected = format!(
        "the time stamp is not trusted: the signer {kludge} is not trusted: its chain of certificates ends with {kludge}, \
         whose issuer VirtualBox for Legacy Windows Only Timestamp CA SHA1 is not among the trusted roots"
    );
    assert_eq!(error.message(), expected);
}

#[test]
fn which_windows_it_was_signed_for() {
    let Some(corpus) = corpus() else { return };
    let packages = corpus.join(PACKAGES);
    let cases = [
        (
            "vboxguest_7.2.22_amd64_whql/VBoxGuest.cat",
            "vboxguest_7.2.22_amd64_whql/VBoxGuest.sys",
            (10, 0),
            "10.0",
        ),
        (
            "vboxguest_7.2.22_amd64_legacysha1/VBoxGuest.cat",
            "vboxguest_7.2.22_amd64_legacysha1/VBoxGuest.inf",
            (5, 1),
            "5.1, 5.2, 6.0",
        ),
        (
            "synapticstouch_arm_arm64/synapticstouch.arm.cat",
            "synapticstouch_arm_arm64/SynapticsTouch.inf",
            (6, 3),
            "6.3",
        ),
    ];
    for (file, member, least, listed) in cases {
        let catalog = read(&packages.join(file));
        let digests = catalog::digest_file(&FileReader::open(&packages.join(member)).unwrap()).unwrap();
        for (major, minor) in [(5, 0), (5, 1), (6, 1), (6, 3), (10, 0)] {
            let version = Version::new(major, minor, 1, 0);
            let result = catalog.check_os("x", &digests, version);
            assert_eq!(result.is_ok(), (major, minor) >= least, "{file} on {version}");
            if let Err(error) = result {
                assert_eq!(error.code(), Code(0xE000_0244));
                assert_eq!(error.message(), format!("x was signed for Windows {listed}, not for {version}"));
            }
        }
    }
}

/// osslsigncode with Microsoft's root of 2010 accepts and refuses the same catalogs. It cannot
/// reach the lists of revoked certificates from here, so it is told not to try.
#[test]
fn osslsigncode_trusts_the_same() {
    let Some(corpus) = corpus() else { return };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/catalog/roots/microsoft-root-certificate-authority-2010.pem");
    let cases = [
        ("vboxguest_7.2.22_amd64_whql", "VBoxGuest.cat", "VBoxGuest.sys"),
        ("vboxguest_7.2.22_amd64_whql", "VBoxGuest.cat", "VBoxTray.exe"),
        ("vboxmouse_7.2.22_amd64_whql", "VBoxMouse.cat", "VBoxMouse.sys"),
        ("vboxvideo_7.2.22_amd64_legacycat", "VBoxVideo.cat", "VBoxVideo.sys"),
        ("synapticstouch_arm_arm64", "synapticstouch.arm64.cat", "arm64/SynapticsTouch.sys"),
    ];
    for (folder, file, member) in cases {
        let folder = corpus.join(PACKAGES).join(folder);
        let mut command = Command::new("osslsigncode");
        command.args(["verify", "-ignore-crl", "-ignore-cdp", "-time", "1795132800", "-CAfile"]).arg(&root);
        command
            .arg("-TSA-CAfile")
            .arg(&root)
            .arg("-c")
            .arg(folder.join(file))
            .arg("-in")
            .arg(folder.join(member));
        let Some(output) = inf_corpus::output_of(&mut command) else { return };
        let ours = judged(&folder.join(file), &TrustStore::microsoft());
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.success(), ours.is_ok(), "{file} {member}: {ours:?}\n{text}");
    }
}

/// Where attribute certificates stand: Microsoft's time stamps bring one along that nothing is
/// verified with, by Windows or by us.
fn attribute_certificates(bytes: &[u8]) -> Vec<Range<usize>> {
    let is_one = |window: &[u8]| {
        matches!(window, [0xA1, 0x82, _, _, 0x30, 0x82, _, _, 2, 1, 1, 0x30, ..])
            .then(|| 4 + usize::from(u16::from_be_bytes([window[2], window[3]])))
    };
    (0..bytes.len()).filter_map(|at| is_one(&bytes[at..]).map(|length| at..at + length)).collect()
}

/// No byte of a catalog that is trusted can be changed without it being refused, but for those
/// that prove nothing. Every byte of them all is tried by `./x soak catalogs`.
#[test]
fn a_changed_byte_is_never_trusted() {
    let Some(corpus) = corpus() else { return };
    let store = TrustStore::microsoft();
    for (file, step) in
        [("vboxmouse_7.2.22_amd64_whql/VBoxMouse.cat", 7), ("vboxguest_7.2.22_amd64_whql/VBoxGuest.cat", 17)]
    {
        let bytes = std::fs::read(corpus.join(PACKAGES).join(file)).unwrap();
        assert!(Catalog::parse(&bytes).unwrap().judge(&store, now()).is_ok());
        let proves_nothing = attribute_certificates(&bytes);
        assert_eq!(proves_nothing.len(), 1, "{file}");
        let accepted: Vec<usize> = (0..bytes.len())
            .into_par_iter()
            .step_by(step)
            .filter(|offset| !proves_nothing.iter().any(|range| range.contains(offset)))
            .filter(|offset| {
                let mut changed = bytes.clone();
                changed[*offset] ^= 1 << (offset % 8);
                Catalog::parse(&changed).is_ok_and(|catalog| catalog.judge(&store, now()).is_ok())
            })
            .collect();
        assert_eq!(accepted, Vec::<usize>::new(), "{file}");
    }
}

/// Keys, certificates and signed catalogs by openssl and osslsigncode.
struct Workshop {
    folder: TempDir,
    unsigned: PathBuf,
}

impl Workshop {
    /// Nothing where a tool or the corpus is missing.
    fn open() -> Option<Self> {
        let unsigned = inf_corpus::corpus("delta")?.join("cat/unsigned.cat");
        inf_corpus::output_of(Command::new("openssl").arg("version"))?;
        inf_corpus::output_of(Command::new("osslsigncode").arg("--version"))?;
        Some(Self { folder: tempfile::tempdir().unwrap(), unsigned })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, command: &mut Command) {
        let output = command.current_dir(self.folder.path()).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&text));
    }

    /// A root of its own when it has no issuer.
    fn certificate(&self, name: &str, issuer: Option<&str>, extensions: &str) {
        let key = format!("{name}.key");
        let subject = format!("/CN=Test {name}");
        let days = if issuer.is_some() { "365" } else { "3650" };
        let mut request = Command::new("openssl");
        request.args(["req", "-newkey", "rsa:2048", "-nodes", "-subj", &subject, "-keyout", &key]);
        std::fs::write(self.path(&format!("{name}.ext")), extensions).unwrap();
        request.args(["-out", &format!("{name}.csr")]);
        self.run(&mut request);
        let mut sign = Command::new("openssl");
        sign.args(["x509", "-req", "-in", &format!("{name}.csr"), "-days", days]);
        sign.args(["-extfile", &format!("{name}.ext"), "-out", &format!("{name}.pem")]);
        match issuer {
            Some(issuer) => sign.args([
                "-CA",
                &format!("{issuer}.pem"),
                "-CAkey",
                &format!("{issuer}.key"),
                "-CAcreateserial",
            ]),
            None => sign.args(["-signkey", &key]),
        };
        self.run(&mut sign);
    }

    /// A catalog signed by `signer`, with `intermediate` beside it, stamped by `stamper`.
    fn signed(&self, name: &str, signer: &str, intermediate: Option<&str>, stamper: Option<&str>) -> PathBuf {
        let signed = self.path(&format!("{name}.cat"));
        let mut command = Command::new("osslsigncode");
        command.args(["sign", "-h", "sha256", "-certs", &format!("{signer}.pem")]);
        command.args(["-key", &format!("{signer}.key")]);
        if let Some(intermediate) = intermediate {
            command.args(["-ac", &format!("{intermediate}.pem")]);
        }
        if let Some(stamper) = stamper {
            command.args(["-TSA-certs", &format!("{stamper}.pem"), "-TSA-key", &format!("{stamper}.key")]);
        }
        command.arg("-in").arg(&self.unsigned).arg("-out").arg(&signed);
        self.run(&mut command);
        signed
    }

    fn store(&self, roots: &[&str]) -> TrustStore {
        let mut store = TrustStore::empty();
        for root in roots {
            let bytes = std::fs::read(self.path(&format!("{root}.pem"))).unwrap();
            assert_eq!(store.add_file(&bytes).unwrap(), 1);
        }
        store
    }
}

const AUTHORITY: &str = "basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign,cRLSign\n";
const CODE: &str = "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=codeSigning\n";

/// Code and beginning of the message.
type Refusal = Option<(u32, &'static str)>;

#[test]
fn made_chains() {
    let Some(workshop) = Workshop::open() else { return };
    let stamping = "basicConstraints=CA:FALSE\nextendedKeyUsage=critical,timeStamping\n";
    for (name, issuer, extensions) in [
        ("root", None, AUTHORITY),
        ("clock", None, AUTHORITY),
        ("middle", Some("root"), AUTHORITY),
        ("nobody", Some("root"), CODE),
        ("signer", Some("middle"), CODE),
        ("server", Some("middle"), "basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n"),
        ("below", Some("nobody"), CODE),
        ("stamper", Some("clock"), stamping),
    ] {
        workshop.certificate(name, issuer, extensions);
    }
    let plain = workshop.signed("plain", "signer", Some("middle"), None);
    let alone = workshop.signed("alone", "signer", None, None);
    let stamped = workshop.signed("stamped", "signer", Some("middle"), Some("stamper"));
    let server = workshop.signed("served", "server", Some("middle"), None);
    let below = workshop.signed("belowed", "below", Some("nobody"), None);

    let today = FileTime::from(std::time::SystemTime::now());
    let later = FileTime(today.0 + 2 * 365 * 86_400 * 10_000_000);
    let both: &[&str] = &["root", "clock"];
    // Catalog, roots, when, and the refusal.
    let cases: [(&Path, &[&str], FileTime, Refusal); 10] = [
        (&plain, &["root"], today, None),
        (&plain, &["root"], later, Some((0x800B_0101, "the certificate of Test signer is valid from"))),
        (&plain, &["clock"], today, Some((0x800B_010A, "the signer Test signer is not trusted"))),
        (&plain, &["signer"], today, None),
        (&plain, &["middle"], today, None),
        (&alone, &["root"], today, Some((0x800B_010A, "the signer Test signer is not trusted"))),
        (&stamped, both, later, None),
        (
            &stamped,
            &["root"],
            later,
            Some((0x8009_6005, "the time stamp is not trusted: the signer Test stamper")),
        ),
        (&server, &["root"], today, Some((0x800B_0110, "the certificate of Test server may not sign code"))),
        (
            &below,
            &["root"],
            today,
            Some((0x800B_0110, "the certificate of Test nobody may not issue certificates")),
        ),
    ];
    for (position, (path, roots, when, refusal)) in cases.into_iter().enumerate() {
        let result = read(path).judge(&workshop.store(roots), when);
        match (result, refusal) {
            (Ok(trust), None) => {
                assert_eq!((trust.kind, trust.microsoft), (SignerKind::Authenticode, false), "{position}");
                let stamper = trust.time_stamper.as_deref();
                assert_eq!(stamper, (roots.len() == 2).then_some("Test stamper"), "{position}");
            }
            (Err(error), Some((code, message))) => {
                assert_eq!(error.code(), Code(code), "{position}: {error}");
                assert!(error.message().starts_with(message), "{position}: {error}");
            }
            (result, _) => panic!("{position}: {result:?}"),
        }
    }

    // A certificate that is distrusted spoils the chain, wherever it stands.
    for name in ["root", "middle", "signer"] {
        let mut der = Command::new("openssl");
        der.args(["x509", "-outform", "DER", "-in", &format!("{name}.pem"), "-out", "x.der"]);
        workshop.run(&mut der);
        let mut store = workshop.store(&["root"]);
        store.distrust(transom::digest::sha1(&std::fs::read(workshop.path("x.der")).unwrap()));
        let error = read(&plain).judge(&store, today).unwrap_err();
        assert_eq!(error.code(), Code(0x800B_0111));
        assert_eq!(error.message(), format!("the certificate of Test {name} is explicitly distrusted"));
    }

    // A stamp that is not trusted is as good as none while the certificate is valid.
    let trust = read(&stamped).judge(&workshop.store(&["root"]), today).unwrap();
    assert_eq!((trust.signed_at, trust.untrusted_time_stamp.is_some()), (None, true));

    // Where the stamp is needed no byte can be changed.
    let bytes = std::fs::read(&stamped).unwrap();
    let store = workshop.store(both);
    assert!(read(&stamped).judge(&store, later).is_ok());
    // But in the stamper's certificate, which osslsigncode writes twice: one of them is enough.
    let mut der = Command::new("openssl");
    der.args(["x509", "-outform", "DER", "-in", "stamper.pem", "-out", "x.der"]);
    workshop.run(&mut der);
    let stamper = std::fs::read(workshop.path("x.der")).unwrap();
    let copies: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(&stamper)).collect();
    assert_eq!(copies.len(), 2);
    let is_copy = |offset: usize| copies.iter().any(|at| (*at..at + stamper.len()).contains(&offset));
    let accepted: Vec<usize> = (0..bytes.len())
        .into_par_iter()
        .step_by(5)
        .filter(|offset| !is_copy(*offset))
        .filter(|offset| {
            let mut changed = bytes.clone();
            changed[*offset] ^= 0x10 >> (offset % 5);
            Catalog::parse(&changed).is_ok_and(|catalog| catalog.judge(&store, later).is_ok())
        })
        .collect();
    assert_eq!(accepted, Vec::<usize>::new());

    // The peer's verdict on the same.
    let member = workshop.unsigned.with_file_name("unsigned.mof");
    for (path, root, good) in
        [(&plain, "root", true), (&plain, "clock", false), (&alone, "root", false), (&server, "root", false)]
    {
        let mut command = Command::new("osslsigncode");
        command.args(["verify", "-CAfile"]).arg(workshop.path(&format!("{root}.pem")));
        command.arg("-c").arg(path).arg("-in").arg(&member);
        let output = command.output().unwrap();
        let ours = read(path).judge(&workshop.store(&[root]), today).is_ok();
        assert_eq!(
            (output.status.success(), ours),
            (good, good),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
}
