// SPDX-License-Identifier: GPL-3.0-or-later
//! The files of `docker/`: no Docker engine is needed, because the Dockerfile only calls `./x dist`,
//! and the commands of the examples are run here as they stand.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_yaml_ng::Value;
use transom_sample::drivers::{self, DriverSpec};
use transom_sample::{Sample, Spec, tool};

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

fn yaml(name: &str) -> Value {
    serde_yaml_ng::from_str(&read(name)).unwrap()
}

#[test]
fn the_dockerfile_only_calls_the_script() {
    let text = read("docker/Dockerfile");
    let instructions: Vec<&str> =
        text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let built: Vec<&str> =
        instructions.iter().filter_map(|line| line.strip_prefix("RUN ")).map(str::trim).collect();
    assert_eq!(
        built,
        [
            "./x dist \"$TARGETARCH\"",
            "apt-get update && apt-get install -y --no-install-recommends fuse3 && rm -rf /var/lib/apt/lists/*"
        ]
    );
    // What is copied out of the build is what the script writes.
    let script = read("x");
    for line in instructions.iter().filter(|line| line.starts_with("COPY --from=build")) {
        let source = line.split_whitespace().find(|word| word.starts_with("/src/")).unwrap();
        let folder = source.trim_start_matches("/src/").split("/${").next().unwrap();
        let folder = folder.trim_end_matches('/').trim_start_matches("target/dist/");
        assert!(
            script.contains(&format!("target/dist/{folder}/$machine"))
                || script.contains(&format!(",{folder}}}")),
            "{line}: the script makes no {folder}"
        );
    }
    let last = instructions.iter().rposition(|line| line.starts_with("FROM ")).unwrap();
    assert_eq!(instructions[last], "FROM scratch AS program");
}

/// A folder with what the examples name.
fn stage(folder: &Path) -> (PathBuf, String) {
    let sample = Sample::of(&Spec { images: 4, files: 220, ..Spec::default() }).unwrap();
    sample.copy(&folder.join("install.wim")).unwrap();
    drivers::write_package(&folder.join("drivers"), &DriverSpec::default()).unwrap();
    fs::write(
        folder.join("settings.reg"),
        "Windows Registry Editor Version 5.00\r\n\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Contoso]\r\n\"Level\"=dword:00000003\r\n",
    )
    .unwrap();
    let programs = folder.join("bin");
    fs::create_dir(&programs).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_transom"), programs.join("transom")).unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
    (folder.to_path_buf(), path)
}

fn run(folder: &Path, path: &str, script: &str, environment: &[(&str, &str)]) {
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(folder)
        .env("PATH", path)
        .env("XDG_STATE_HOME", folder.join("state"))
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{script}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// That an image holds what the examples put into it, by wimlib's word and hivex's.
fn check(image: &Path, index: u32) {
    tool::run(Command::new("wimlib-imagex").arg("verify").arg(image)).unwrap();
    let listing =
        tool::run(Command::new("wimlib-imagex").arg("dir").arg(image).arg(index.to_string())).unwrap();
    assert!(listing.contains("/FileRepository/demodisk.inf_amd64"), "{}", image.display());
}

fn missing_peer() -> bool {
    let missing = tool::find("wimlib-imagex").is_none();
    if missing {
        eprintln!("notice: passed over, wimlib-imagex is not installed");
    }
    missing
}

#[test]
fn the_steps_of_the_workflow_and_of_the_pipeline_work() {
    if missing_peer() {
        return;
    }
    let workflow = yaml("docker/examples/github-workflow.yaml");
    let job = &workflow["jobs"]["service"];
    assert_eq!(job["strategy"]["matrix"]["index"].as_sequence().unwrap().len(), 4);
    let steps: Vec<String> = job["steps"]
        .as_sequence()
        .unwrap()
        .iter()
        .filter_map(|step| step["run"].as_str())
        .map(|script| script.replace("${{ matrix.index }}", "3"))
        .collect();
    assert_eq!(steps.len(), 3);
    let pipeline = yaml("docker/examples/gitlab-ci.yaml");
    let lines: Vec<String> = pipeline["service"]["script"]
        .as_sequence()
        .unwrap()
        .iter()
        .map(|line| line.as_str().unwrap().to_owned())
        .collect();
    assert_eq!(lines.len(), 3);
    for (script, environment) in [(steps, vec![]), (lines, vec![("INDEX", "2")])] {
        let folder = tempfile::tempdir().unwrap();
        let (folder, path) = stage(folder.path());
        for line in &script {
            run(&folder, &path, line, &environment);
        }
        let index = if environment.is_empty() { 3 } else { 2 };
        check(&folder.join(format!("image-{index}.wim")), 1);
    }
}

#[test]
fn each_pod_of_the_job_services_its_image() {
    if missing_peer() {
        return;
    }
    let job = yaml("docker/examples/kubernetes-job.yaml");
    assert_eq!(job["spec"]["completionMode"].as_str(), Some("Indexed"));
    let container = &job["spec"]["template"]["spec"]["containers"][0];
    let folder = tempfile::tempdir().unwrap();
    let (folder, path) = stage(folder.path());
    for index in 0..2 {
        fs::copy(folder.join("install.wim"), folder.join(format!("image-{index}.wim"))).unwrap();
        let words: Vec<String> = container["args"]
            .as_sequence()
            .unwrap()
            .iter()
            .map(|word| word.as_str().unwrap().replace("$(JOB_COMPLETION_INDEX)", &index.to_string()))
            .map(|word| word.replace("/images", folder.to_str().unwrap()))
            .map(|word| format!("'{word}'"))
            .collect();
        run(&folder, &path, &format!("transom {}", words.join(" ")), &[]);
        check(&folder.join(format!("image-{index}.wim")), 1);
    }
}

#[test]
fn the_action_runs_what_it_is_given() {
    if missing_peer() {
        return;
    }
    let action = yaml("docker/action.yaml");
    let steps = action["runs"]["steps"].as_sequence().unwrap();
    assert!(steps[0]["run"].as_str().unwrap().contains("./x dist \"$machine\""));
    let folder = tempfile::tempdir().unwrap();
    let (folder, path) = stage(folder.path());
    let words = "driver add drivers --recurse --force-unsigned\n--then reg add 'HKLM\\SOFTWARE\\Two Words' /v Level /d 3 /f";
    run(&folder, &path, steps[1]["run"].as_str().unwrap(), &[("IMAGE", "install.wim:4"), ("RUN", words)]);
    check(&folder.join("install.wim"), 4);
    run(&folder, &path, "transom --image install.wim:4 reg query 'HKLM\\SOFTWARE\\Two Words' /v Level", &[]);
}
