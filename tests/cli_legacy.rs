// SPDX-License-Identifier: GPL-3.0-or-later
//! The tools that DISM replaced, called by their names, as old scripts call them.

mod cli_support;

use cli_support::Place;
use transom_sample::drivers::{self, DriverSpec};
use transom_sample::{Sample, Spec, tool};

#[test]
fn a_peimg_script_adds_a_driver() {
    if tool::find("wimlib-imagex").is_none() {
        eprintln!("NOTICE: wimlib-imagex is not installed: peimg is not tried");
        return;
    }
    let place = Place::new();
    Sample::of(&Spec::default()).unwrap().copy(&place.path("boot.wim")).unwrap();
    drivers::write_package(
        &place.path(""),
        &DriverSpec { name: "oldnet", class: "Net", ..DriverSpec::default() },
    )
    .unwrap();
    let line = "/inf=oldnet/oldnet.inf boot.wim:1/Windows";
    let explained = place.linked("peimg", &format!("{line} /explain")).run().status(0);
    assert_eq!(explained.stdout, "dism /Image:boot.wim:1 /Add-Driver /Driver:oldnet/oldnet.inf\n");
    // DISM asks for a signature where peimg did not; what was wanted has to be said.
    let before = std::fs::read(place.path("boot.wim")).unwrap();
    let ran = place.linked("peimg", line).run();
    assert_ne!(ran.status, Some(0), "an unsigned driver went in: {ran:#?}");
    assert!(std::fs::read(place.path("boot.wim")).unwrap() == before);
    place.linked("peimg", &format!("{line} /forceunsigned /verbose")).run().status(0);
    let listed = place.transom("--json --image boot.wim:1 driver list").run().status(0).json();
    assert_eq!(listed["results"][0]["report"]["packages"][0]["original_file_name"], "oldnet.inf");
}

#[test]
fn an_imagex_script_runs_to_its_end() {
    let place = Place::new();
    let Some(wim) = place.wim("a.wim", &["First", "Second"]) else { return };
    let script = [
        "/info a.wim",
        "/info a.wim 1",
        "/dir a.wim Second",
        "/export a.wim 2 b.wim Exported /compress fast /check",
        "/info b.wim 1 Renamed Text /boot",
        "/export a.wim * all.wim",
        "/split all.wim part.swm 1",
        "/delete a.wim 1",
    ];
    for line in script {
        place.linked("imagex", line).run().status(0);
    }
    let exported = place.transom("--json image info b.wim:1").run().status(0).json();
    let image = &exported["results"][0]["report"]["images"][0];
    assert_eq!((&image["name"], &image["description"]), (&"Renamed".into(), &"Text".into()));
    let left = place.transom("--json image info a.wim").run().status(0).json();
    assert_eq!(left["results"][0]["report"]["image_count"], 1);
    assert!(place.path("part.swm").exists() && wim.exists());
    // Old exit codes: those of Windows, where eight bits hold them.
    place.linked("imagex", "/info none.wim").run().status(2);
    place.linked("imagex", "/info").run().status(87);
}

#[test]
fn a_pkgmgr_script_is_understood() {
    let place = Place::new();
    let line =
        "/iu:IIS-WebServerRole;TelnetClient /o:/mnt/w;/mnt/w/Windows /quiet /norestart /l:pkg.log /Explain";
    place.linked("pkgmgr", line).run().status(0).stdout(
        "dism /Image:/mnt/w /SysDriveDir:/mnt/w /Quiet /NoRestart /LogPath:pkg.log /Enable-Feature \
         /FeatureName:IIS-WebServerRole /FeatureName:TelnetClient\n",
    );
    let ran = place.linked("pkgmgr", "/iu:TelnetClient").run().status(50);
    assert!(ran.stdout.contains("there is nothing that /Online could service"), "{}", ran.stdout);
    for name in ["pkgmgr", "peimg", "intlcfg", "ocsetup", "imagex"] {
        let help = place.linked(name, "/?").run().status(0);
        assert!(help.stdout.starts_with(&format!("This is transom, called as {name}:")), "{}", help.stdout);
        place.linked(name, "/nosuchswitch:1").run().status(87);
    }
}
