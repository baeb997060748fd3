// SPDX-License-Identifier: GPL-3.0-or-later
//! The command line as a user meets it: languages, help, errors, log, streams, generated files.

mod cli_support;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use cli_support::{BANNER, Place};

#[test]
fn called_alone_it_prints_short_help() {
    let place = Place::new();
    let ran = place.transom("").run().status(0);
    assert!(ran.stdout.starts_with("Services Windows images on Linux"), "{}", ran.stdout);
    assert!(ran.stdout.contains("\n  driver ") && !ran.stdout.contains("--scratch-dir"), "{}", ran.stdout);
    let long = place.transom("driver add --help").run().status(0);
    assert!(long.stdout.contains("--scratch-dir") && long.stdout.contains("Example:\n  transom --image "));
    place.transom("--version").run().status(0).stdout(concat!("transom ", env!("CARGO_PKG_VERSION"), "\n"));
    assert_eq!(place.log(), "", "help needs no log");
}

#[test]
fn the_language_follows_the_name_or_the_first_word() {
    let place = Place::new();
    let help = place.dism("/?").run().status(0);
    assert!(help.stdout.starts_with(BANNER), "{}", help.stdout);
    assert_eq!(place.transom("/?").run().stdout, help.stdout);
    assert_eq!(place.dism("").run().status(0).stdout, help.stdout);
    assert_eq!(place.dism("/Get-Help").run().stdout, help.stdout);
    assert_eq!(place.dism("-h").run().stdout, help.stdout);
    // Our own words mean nothing to DISM.
    let stray = place.dism("driver list").run().status(87);
    assert!(
        stray.stdout.contains("DISM doesn't recognize the command-line option \"driver\"."),
        "{}",
        stray.stdout
    );
}

#[test]
fn help_for_one_command() {
    let place = Place::new();
    let ran = place.dism("/Image:x.wim /Add-Driver /?").run().status(0);
    assert_eq!(
        ran.stdout,
        format!(
            "{BANNER}\n\
             DISM.exe /Image:<path_to_wim> /Index:<n> /Add-Driver /Driver:<PATH> [/Driver:<PATH> ...] [/Recurse] \
             [/ForceUnsigned] [/AllOrNothing] [/Root:<FILE> ...] [/OnlyHwids:<FILE>]\n\
             \n\
             \x20 Adds driver packages to an image.\n\
             \n\
             \x20 /Driver                 - An INF, or a folder whose INFs are all added.\n\
             \x20 /Recurse                - Looks into the folders below a folder too.\n\
             \x20                           (--recurse)\n\
             \x20 /ForceUnsigned          - Adds packages whose catalog does not vouch for them;\n\
             \x20                           64-bit Windows will not load such drivers.\n\
             \x20                           (--force-unsigned)\n\
             \x20 /AllOrNothing           - Adds nothing if one package cannot be added; else\n\
             \x20                           the good ones are kept. (--all-or-nothing)\n\
             \x20 /Root                   - Trusts the root certificates of a file (PEM, DER,\n\
             \x20                           PKCS#7) too. (--root)\n\
             \x20 /OnlyHwids              - Adds only packages for devices of this list: the\n\
             \x20                           output of lspci -nn or lsusb, modalias lines, or a\n\
             \x20                           text with Windows' hardware ids. (--only-hwids)\n\
             \n\
             \x20 Example:\n\
             \x20   DISM.exe /Image:install.wim /Index:1 /Add-Driver /Driver:/srv/drv /Recurse\n\
             \n\n\n"
        )
    );
}

#[test]
fn errors_of_the_command_line_in_both_languages() {
    let place = Place::new();
    place.dism("/Image:x.wim /Get-Driver").run().status(87).stderr("").stdout(&format!(
        "{BANNER}\nError: 87\n\nThe Get-Driver option is unknown.\n\
         For more information, refer to the help by running DISM.exe /?.\n\
         Hint: did you mean /Get-Drivers?\n"
    ));
    place
        .transom("driver lits")
        .run()
        .status(87)
        .stdout("")
        .stderr("error: there is no command `lits` [87]\nhint: did you mean `list`?\n");
    place.dism("/Apply-Ffu /ImageFile:x.ffu /ApplyDrive:/dev/sdx").run().status(50);
    place.dism("/Online /Get-Drivers").run().status(50);
    // Errors are printed even when quiet, and nothing else.
    place.dism("/Quiet /Image:x.wim /Get-Driver").run().status(87).stdout(
        "\nError: 87\n\nThe Get-Driver option is unknown.\n\
         For more information, refer to the help by running DISM.exe /?.\n\
         Hint: did you mean /Get-Drivers?\n",
    );
    let json = place.dism("/Image:x.wim /Get-Driver /Json").run().status(87).json();
    assert_eq!(json["error"]["hresult"], "0x80070057");
    assert_eq!(json["success"], false);
    let json = place.transom("--json driver lits").run().status(87).json();
    assert_eq!(json["error"]["hint"], "did you mean `list`?");
}

#[test]
fn a_windows_path_is_never_a_file_name() {
    let place = Place::new();
    let ran = place.dism("/Get-ImageInfo").arg("/ImageFile:C:\\images\\install.wim").run().status(87);
    assert!(ran.stdout.contains("C:\\images\\install.wim is a Windows path"), "{}", ran.stdout);
}

#[test]
fn what_is_not_there_or_no_image() {
    let place = Place::new();
    place.write("text.wim", "this is no WIM");
    let log = place.path("state/transom/dism.log");
    let ran = place.dism("/Get-WimInfo /WimFile:none.wim").run().status(2).stderr("");
    assert!(ran.stdout.starts_with(&format!("{BANNER}\nError: 2\n\nnone.wim: ")), "{}", ran.stdout);
    assert!(
        ran.stdout.ends_with(&format!("\n\nThe DISM log file can be found at {}\n", log.display())),
        "{}",
        ran.stdout
    );
    let ran = place.transom("image info text.wim").run().stdout("");
    assert_ne!(ran.status, Some(0));
    assert!(ran.stderr.starts_with("error: text.wim") && ran.stderr.lines().count() <= 2, "{}", ran.stderr);
    let ran = place.dism("/Image:state /Get-Drivers").run().status(50);
    assert!(ran.stdout.contains("\nError: 50\n\nstate is a directory: "), "{}", ran.stdout);
}

#[test]
fn the_log_is_kept_and_named() {
    let place = Place::new();
    place.transom("image info none.wim").run().status(2);
    let log = place.log();
    let bodies: Vec<&str> =
        log.lines().filter_map(|line| line.split_once("DISM   DISM.EXE: ").map(|(_, body)| body)).collect();
    assert_eq!(bodies.len(), log.lines().count(), "{log}");
    assert_eq!(bodies[1], "<----- Starting Dism.exe session ----->");
    assert!(
        bodies[5].starts_with("Executing command line: ") && bodies[5].ends_with("image info none.wim"),
        "{log}"
    );
    assert!(log.contains(", Error                 DISM   DISM.EXE: transom processed the command line but failed. HRESULT=80070002\n"));
    assert_eq!(bodies[bodies.len() - 2], "<----- Ending Dism.exe session ----->");

    place.transom("image info none.wim --log-path own.log --log-level 1").run().status(2);
    assert_eq!(place.log(), log, "another log was asked for");
    let own = std::fs::read_to_string(place.path("own.log")).unwrap();
    assert!(own.lines().all(|line| line[21..].starts_with("Error ")) && own.lines().count() == 2, "{own}");
}

#[test]
fn without_a_log_the_run_goes_on() {
    let place = Place::new();
    let warning = "Logging is disabled: Unable to obtain access to the log file /proc/none/dism.log.\n";
    let ran = place.transom("image info none.wim --log-path /proc/none/dism.log").run().status(2);
    assert!(ran.stderr.starts_with(&format!("warning: {warning}")), "{}", ran.stderr);
    let ran = place.dism("/Get-ImageInfo /ImageFile:none.wim /LogPath:/proc/none/dism.log").run().status(2);
    assert!(ran.stdout.starts_with(warning), "{}", ran.stdout);
    assert!(!ran.stdout.contains("The DISM log file can be found"), "{}", ran.stdout);
}

#[test]
fn a_reader_that_goes_away_is_no_error_and_a_full_disk_is() {
    let place = Place::new();
    let mut child = place
        .transom("completions bash")
        .into_command()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::with_capacity(16, child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(!first.is_empty());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));

    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ran = place.transom("completions bash").stdout(full).run().status(29);
    assert!(ran.stderr.starts_with("error: standard output: "), "{}", ran.stderr);
}

#[test]
fn completions_and_man_pages() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let script = place.transom("completions").arg(shell).run().status(0).stdout;
        for word in ["driver", "force-unsigned", "dry-run"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
        place.write(&format!("completion.{shell}"), script);
    }
    match Command::new("bash").arg("-n").arg(place.path("completion.bash")).status() {
        Ok(status) => assert!(status.success(), "bash does not read the script"),
        Err(error) => eprintln!("NOTICE: bash: {error}: its script is not checked"),
    }
    place.transom("completions tcsh").run().status(87);

    place.transom("man pages").run().status(0);
    let mut pages: Vec<String> = std::fs::read_dir(place.path("pages"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    pages.sort();
    for page in ["transom.1", "transom-driver-add.1", "transom-image-info.1", "transom-diff.1"] {
        assert!(pages.iter().any(|name| name == page), "{page} is not in {pages:?}");
    }
    let page = std::fs::read_to_string(place.path("pages/transom-driver-add.1")).unwrap();
    assert!(page.contains(".TH ") && page.contains("recurse") && page.contains("Example"), "{page}");
}

#[test]
fn parse_tells_how_a_line_is_understood() {
    let place = Place::new();
    let json =
        place.transom("parse -- DISM /Get-Drivers /Image:C:\\mount /Format:Table").run().status(0).json();
    assert_eq!(json["commands"][0]["native"], "driver list");
    assert_eq!(json["options"]["image"], "C:\\mount");
    let json = place.transom("parse --").arg("Dism /Image:\"C:\\a b\" /Get-Packages").run().status(0).json();
    assert_eq!(json["options"]["image"], "C:\\a b");
    assert_eq!(json["commands"][0]["built"], false);
    let ran = place.transom("parse -- /Get-Driver").run().status(87).stderr("");
    assert_eq!(ran.json()["error"]["hint"], "did you mean /Get-Drivers?");
}

#[test]
fn fixed_lines_follow_the_locale() {
    let place = Place::new();
    let line = "/Get-ImageInfo /ImageFile:none.wim";
    let german = place.dism(line).env("LANG", "de_DE.UTF-8").run().status(2);
    assert!(german.stdout.contains("Tool zur Imageverwaltung"), "{}", german.stdout);
    assert!(german.stdout.contains("\nFehler: 2\n") && german.stdout.contains("\nDie DISM-Protokolldatei "));
    let french = place.dism(line).env("LANG", "de_DE.UTF-8").env("LC_ALL", "fr_FR").run().status(2);
    assert!(french.stdout.contains("\nErreur\u{a0}: 2\n"), "{}", french.stdout);
    let unknown = place.dism("/Get-Driver").env("LC_MESSAGES", "it_IT").run().status(87);
    assert!(unknown.stdout.contains("\nErrore: 87\n"), "{}", unknown.stdout);
    let english = place.dism(line).run().status(2);
    for locale in ["en_GB.UTF-8", "C", "zh_CN.UTF-8"] {
        assert_eq!(place.dism(line).env("LANG", locale).run().stdout, english.stdout, "{locale}");
    }
    let asked = place.dism(&format!("{line} /English")).env("LANG", "de_DE.UTF-8").run().status(2);
    assert_eq!(asked.stdout, english.stdout);
}
