// SPDX-License-Identifier: GPL-3.0-or-later
//! `cat` and `inf` on real files: what a user sees, the exit status, and the JSON.

mod cli_support;
mod inf_corpus;

use cli_support::Place;
use serde_json::Value;

const WHQL: &str = "vboxguest_7.2.22_amd64_whql";

fn report(text: &str) -> Value {
    let document: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    document["results"][0]["report"].clone()
}

#[test]
fn a_catalog_is_shown() {
    let Some(corpus) = inf_corpus::corpus("drivers") else { return };
    let catalog = corpus.join("packages").join(WHQL).join("VBoxGuest.cat");
    let place = Place::new();
    let ran = place.transom("--json cat show").arg(&catalog).run();
    assert_eq!(ran.status, Some(0), "{ran:?}");
    let shown = report(&ran.stdout)["catalogs"][0].clone();
    assert_eq!(shown["signer"]["name"], "Microsoft Windows Hardware Compatibility Publisher");
    assert_eq!(
        shown["attributes"][1],
        serde_json::json!({ "name": "BundleID", "value": "VBoxGuestAdditions" })
    );
    let members = shown["members"].as_array().unwrap();
    assert_eq!(members.len(), 8);
    let inf = members
        .iter()
        .find(|member| member["file"] == "vboxguest.inf" && member["tag"].as_str().unwrap().len() == 64);
    assert_eq!(inf.unwrap()["os"], serde_json::json!(["2:10.0"]));
    let text = place.transom("cat show").arg(&catalog).run().stdout;
    assert!(text.contains("BundleID : VBoxGuestAdditions\n") && text.contains("members : 8\n"), "{text}");
}

#[test]
fn a_catalog_is_verified_with_its_members() {
    let Some(corpus) = inf_corpus::corpus("drivers") else { return };
    let folder = corpus.join("packages").join(WHQL);
    let place = Place::new();
    let verify = |line: &str, members: &[&str]| {
        let mut command = place.transom(line).arg(folder.join("VBoxGuest.cat"));
        for member in members {
            command = command.arg(folder.join(member));
        }
        command.run()
    };
    let good = ["VBoxGuest.inf", "VBoxGuest.sys", "VBoxTray.exe", "VBoxControl.exe"];
    let ran = verify("cat verify", &good);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    let first = "signatures: valid\nsigner: Microsoft Windows Hardware Compatibility Publisher < Microsoft Windows Third \
                 Party Component CA 2014 < Microsoft Root Certificate Authority 2010 (attestation)\n\
                 signed: 10/19/2026, says Microsoft Time-Stamp Service\n";
    assert!(ran.stdout.starts_with(first), "{}", ran.stdout);
    assert_eq!(ran.stdout.matches(": member\n").count(), 4);
    let ran = verify("--json cat verify --windows 10.0", &good);
    let verdict = report(&ran.stdout);
    assert_eq!(
        (&verdict["trust"]["kind"], &verdict["trust"]["microsoft"]),
        (&"attested".into(), &true.into())
    );

    // A stranger among the members, and the wrong Windows.
    let ran = verify("cat verify", &["VBoxGuest.inf", "VBoxGuest.cat"]);
    assert_eq!(ran.status, Some(1));
    assert!(ran.stdout.contains("VBoxGuest.cat: ") && ran.stdout.contains("[0xe000024b]"), "{}", ran.stdout);
    let ran = verify("cat verify --windows 6.1", &["VBoxGuest.sys"]);
    assert!(
        ran.stdout.contains("was signed for Windows 10.0, not for 6.1.0.0 [0xe0000244]"),
        "{}",
        ran.stdout
    );

    // A signer whom nobody knows, until somebody does.
    let lumia = corpus.join("packages/synapticstouch_arm_arm64/synapticstouch.arm.cat");
    let ran = place.transom("cat verify").arg(&lumia).run();
    assert_eq!(ran.status, Some(1));
    assert!(ran.stdout.contains("is not among the trusted roots [0x800b010a]"), "{}", ran.stdout);
    assert!(ran.stderr.contains("--root FILE"), "{}", ran.stderr);
    let ran = place.transom("cat verify --root").arg(&lumia).arg(&lumia).run();
    assert_eq!(ran.status, Some(0), "{ran:?}");

    // A changed one.
    let mut bytes = std::fs::read(folder.join("VBoxGuest.cat")).unwrap();
    bytes[3000] ^= 1;
    place.write("changed.cat", bytes);
    let ran = place.transom("cat verify changed.cat").run();
    assert_eq!(ran.status, Some(1), "{ran:?}");
    let ran = place.transom("cat verify changed.cat --root changed.cat").run();
    assert_eq!(ran.status, Some(1), "{ran:?}");
}

#[test]
fn an_inf_is_shown_for_a_windows() {
    let Some(corpus) = inf_corpus::corpus("drivers") else { return };
    let inf = corpus.join("inf/viostor_100.90.104.21500_w10_amd64.inf");
    let place = Place::new();
    let ran = place.transom("--json inf show").arg(&inf).run();
    assert_eq!(ran.status, Some(0), "{ran:?}");
    let shown = report(&ran.stdout);
    assert_eq!(shown["architecture"], "amd64");
    let inf_shown = &shown["infs"][0];
    assert_eq!(inf_shown["devices"][0]["hardware_id"], "PCI\\VEN_1AF4&DEV_1001&SUBSYS_00021AF4&REV_00");
    let configuration = &inf_shown["configurations"][0];
    assert_eq!(configuration["files"][0]["destination"], "C:\\Windows\\System32\\drivers\\viostor.sys");
    assert_eq!(configuration["services"][0]["binary"], "C:\\Windows\\System32\\drivers\\viostor.sys");
    let text = place.transom("inf show --architecture arm64").arg(&inf).run().stdout;
    assert!(text.contains("none for arm64 10.0.26200"), "{text}");
    let wrong = place.transom("inf show --windows seven").arg(&inf).run();
    assert_eq!(wrong.status, Some(87), "{wrong:?}");
}

#[test]
fn an_inf_is_checked_by_the_numbers_of_infverif() {
    let place = Place::new();
    let good = "[Version]\nSignature=$Windows NT$\nClass=Sample\nProvider=%P%\nCatalogFile=a.cat\n\
                ClassGuid={78A1C341-4539-11d3-B88D-00C04FAD5171}\n[Manufacturer]\n%P%=M,NTamd64\n\
                [M.NTamd64]\n%P%=I,PCI\\VEN_1\n[I.NT]\nAddReg=R\n[I.NT.Services]\nAddService=,2\n[R]\n\
                HKR,,x,,y\n[Strings]\nP=Us\n";
    place.write("good.inf", good);
    place.write("warned.inf", good.replace("HKR,,x", "HKLM,Software\\Us,x"));
    place.write("bad.inf", good.replace("AddReg=R", "AddReg=R,Nowhere"));
    place.write("style.inf", "[Other]\nx=y\n");
    let ran = place.transom("inf check good.inf warned.inf").run();
    let expected = "good.inf: no findings\nwarned.inf:16: warning 1304: AddReg with the root HKLM, not HKR\n";
    assert_eq!((ran.status, ran.stdout.as_str()), (Some(0), expected), "{ran:?}");
    let ran = place.transom("--json inf check --universal good.inf warned.inf bad.inf style.inf").run();
    assert_eq!(ran.status, Some(1), "{ran:?}");
    let files = report(&ran.stdout)["files"].clone();
    let found: Vec<(Value, Value)> = files
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|file| file["findings"].get(0))
        .map(|finding| (finding["number"].clone(), finding["level"].clone()))
        .collect();
    assert_eq!(
        found,
        [(1304.into(), "error".into()), (1203.into(), "error".into()), (1001.into(), "error".into()),]
    );
    assert!(
        ran.stderr.contains("3 of 4 INF files have errors")
            || ran.stdout.contains("3 of 4 INF files have errors"),
        "{ran:?}"
    );
}
