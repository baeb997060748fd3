// SPDX-License-Identifier: GPL-3.0-or-later
//! Commands about image files.

use std::path::PathBuf;

use super::super::target::{Images, Target};
use super::super::values::Values;
use super::Found;
use crate::base::{Error, ErrorClass, Result};
use crate::image::Environment;
use crate::imaging::{
    self, ApplyRequest, CaptureList, CaptureRequest, CaptureTarget, Compress, ExportRequest, Selection,
    SetRequest, Work,
};
use crate::volume::directory::LinkFixing;
use crate::wim::{ImageText, LinkTargets, Wim};

/// `image info`.
pub(crate) fn info(_environment: &Environment, values: &Values) -> Result<Found> {
    let (file, selection) = target(values)?;
    Ok(Box::new(imaging::info(&file, &selection)?))
}

/// `image verify`.
pub(crate) fn verify(environment: &Environment, values: &Values) -> Result<Found> {
    let file = values.path("file")?.ok_or_else(no_file)?;
    let Environment { pool, progress, cancel, .. } = environment;
    Ok(Box::new(imaging::verify(&file, pool, &**progress, cancel)?))
}

/// The file and the selection that `FILE[:INDEX]`, `index` and `name` say.
fn target(values: &Values) -> Result<(PathBuf, Selection)> {
    let target = Target::new("file", values, values)?.ok_or_else(no_file)?;
    Ok((target.file, selection(target.images)))
}

fn selection(images: Images) -> Selection {
    match images {
        Images::Unsaid | Images::All => Selection::All,
        Images::Index(index) => Selection::Index(index),
        Images::Name(name) => Selection::Name(name),
    }
}

fn work(environment: &Environment) -> Work<'_> {
    let Environment { pool, progress, cancel, clock, .. } = environment;
    Work { pool, progress: &**progress, cancel, clock: &**clock }
}

/// Whole files are written, or not at all: there is no difference that could be shown.
fn not_dry(values: &Values) -> Result<()> {
    match values.has("dry_run") {
        true => Err(Error::new(ErrorClass::Unsupported, "this command has no dry run: nothing was done")
            .with_hint("leave --dry-run out; `transom image info` shows what the file holds")),
        false => Ok(()),
    }
}

/// `image list`.
pub(crate) fn list(environment: &Environment, values: &Values) -> Result<Found> {
    let (file, selection) = target(values)?;
    Ok(Box::new(imaging::list(&file, &selection, &environment.cancel)?))
}

/// `image export`.
pub(crate) fn export(environment: &Environment, values: &Values) -> Result<Found> {
    not_dry(values)?;
    let mut selectors = Values::default();
    for (from, to) in [("index", "index"), ("source_name", "name")] {
        if let Some(value) = values.first(from) {
            selectors.push(to, value);
        }
    }
    let target = Target::new("file", values, &selectors)?.ok_or_else(no_file)?;
    let all = values.has("all");
    if all && !matches!(target.images, Images::Unsaid | Images::All) {
        return Err(Error::new(ErrorClass::Usage, "both one image and all of them were asked for"));
    }
    if let Some(pattern) = values.first("swm_file") {
        tracing::info!("the parts that {} means are looked for beside the first", pattern.to_string_lossy());
    }
    if values.has("wim_boot") {
        return Err(wim_boot());
    }
    let wim = Wim::open(&target.file)?;
    if target.images == Images::Unsaid && !all && wim.image_count() > 1 {
        return Err(Error::new(
            ErrorClass::Usage,
            format!("{} holds {} images, and none was chosen", target.file.display(), wim.image_count()),
        )
        .with_hint(format!(
            "choose one: {0}:1 or /SourceIndex:1; or all of them: {0}:all or /All",
            target.file.display()
        )));
    }
    let compress = compression(values)?;
    let request = ExportRequest {
        source: target.file,
        images: selection(target.images),
        destination: values.path("destination")?.ok_or_else(no_file)?,
        name: values.text("name")?.map(str::to_owned),
        compress,
        bootable: values.has("bootable"),
        check_integrity: values.has("check"),
    };
    Ok(Box::new(imaging::export(&request, &work(environment))?))
}

/// `image capture`.
pub(crate) fn capture(environment: &Environment, values: &Values) -> Result<Found> {
    let compress = compression(values)?.unwrap_or(Compress::Fast);
    captured(environment, values, CaptureTarget::New(compress))
}

/// `image append`.
pub(crate) fn append(environment: &Environment, values: &Values) -> Result<Found> {
    captured(environment, values, CaptureTarget::Append)
}

fn captured(environment: &Environment, values: &Values, target: CaptureTarget) -> Result<Found> {
    not_dry(values)?;
    if values.has("wim_boot") {
        return Err(wim_boot());
    }
    if values.has("ea") {
        return Err(Error::new(ErrorClass::Unsupported, "extended attributes cannot be captured")
            .with_hint("leave the option out; those that came with an applied image are captured anyway"));
    }
    let source = values.path("directory")?.ok_or_else(no_file)?;
    let (fixing, links) = match values.has("no_rpfix") {
        true => (LinkFixing::AsTheyAre, LinkTargets::AsFound),
        false => (LinkFixing::Fixed, LinkTargets::RelativeToRoot),
    };
    let list = match values.path("config")? {
        Some(path) => CaptureList::read(&path)?,
        None => CaptureList::default(),
    };
    let text = |id: &str| Ok::<_, Error>(values.text(id)?.map(str::to_owned));
    let request = CaptureRequest {
        source: source.clone(),
        destination: values.path("file")?.ok_or_else(no_file)?,
        target,
        text: ImageText {
            name: text("name")?,
            description: text("description")?,
            flags: text("flags")?,
            ..ImageText::default()
        },
        list,
        bootable: values.has("bootable"),
        check_integrity: values.has("check"),
        verify: values.has("verify"),
        links,
    };
    Ok(Box::new(imaging::capture_directory(&request, fixing, environment)?))
}

fn compression(values: &Values) -> Result<Option<Compress>> {
    Ok(values.text("compress")?.map(|word| match word.to_ascii_lowercase().as_str() {
        "none" => Compress::None,
        "fast" => Compress::Fast,
        "lzms" => Compress::Lzms,
        "recovery" => Compress::Recovery,
        _ => Compress::Max,
    }))
}

fn wim_boot() -> Error {
    Error::new(ErrorClass::Unsupported, "WIMBoot images are not written")
        .with_hint("Windows 10 and later do not use them; leave the option out")
}

fn no_directory() -> Error {
    Error::new(ErrorClass::Usage, "the directory that gets the image was not named")
        .with_hint("for example: transom image apply install.wim:1 DIR, or /ApplyDir:DIR")
}

/// `image apply`.
pub(crate) fn apply(environment: &Environment, values: &Values) -> Result<Found> {
    not_dry(values)?;
    let (file, image) = target(values)?;
    for (id, what, hint) in [
        ("compact", "files stored compressed", "leave the option out"),
        ("ea", "the choice of extended attributes", "leave the option out: all that an image has are kept"),
        ("wim_boot", "WIMBoot", "Windows 10 and later do not use it; leave the option out"),
        ("drive", "an FFU file", "apply a WIM to a directory: /ApplyDir"),
        ("sfu_file", "a split FFU file", "apply a WIM to a directory: /ApplyDir"),
        ("skip_platform_check", "an FFU file", "apply a WIM to a directory: /ApplyDir"),
        ("confirm_trusted", "the check of a trusted file", "it needs Windows PE; leave the option out"),
    ] {
        if values.has(id) {
            return Err(Error::new(ErrorClass::Unsupported, format!("{what} is not supported on applying"))
                .with_hint(hint));
        }
    }
    let request = ApplyRequest {
        file,
        image,
        directory: values.path("directory")?.ok_or_else(no_directory)?,
        fixing: if values.has("no_rp_fix") { LinkFixing::AsTheyAre } else { LinkFixing::Fixed },
        check_integrity: values.has("check"),
    };
    Ok(Box::new(imaging::apply(&request, &work(environment))?))
}

/// `image optimize`.
pub(crate) fn optimize(environment: &Environment, values: &Values) -> Result<Found> {
    not_dry(values)?;
    let file = values.path("file")?.ok_or_else(no_file)?;
    Ok(Box::new(imaging::optimize(&file, &work(environment))?))
}

/// `image delete`.
pub(crate) fn delete(environment: &Environment, values: &Values) -> Result<Found> {
    not_dry(values)?;
    let (file, selection) = target(values)?;
    Ok(Box::new(imaging::delete(&file, &selection, values.has("check"), &work(environment))?))
}

/// `image split`.
pub(crate) fn split(environment: &Environment, values: &Values) -> Result<Found> {
    not_dry(values)?;
    let file = values.path("file")?.ok_or_else(no_file)?;
    let first = values.path("swm_file")?.ok_or_else(no_file)?;
    let megabytes = values.number("file_size")?.unwrap_or(0);
    Ok(Box::new(imaging::split(&file, &first, megabytes, values.has("check"), &work(environment))?))
}

/// `image set`. Here `name` is what the image is to be called.
pub(crate) fn set(environment: &Environment, values: &Values) -> Result<Found> {
    not_dry(values)?;
    let mut selectors = Values::default();
    if let Some(index) = values.first("index") {
        selectors.push("index", index);
    }
    let target = Target::new("file", values, &selectors)?.ok_or_else(no_file)?;
    let text = |id: &str| Ok::<_, Error>(values.text(id)?.map(str::to_owned));
    let boot = match (values.has("bootable"), values.has("not_bootable")) {
        (true, true) => {
            return Err(Error::new(ErrorClass::Usage, "both --boot and --no-boot were given"));
        }
        (true, false) => Some(true),
        (false, true) => Some(false),
        (false, false) => None,
    };
    let request = SetRequest {
        text: ImageText {
            name: text("name")?,
            description: text("description")?,
            flags: text("flags")?,
            display_name: text("display_name")?,
            display_description: text("display_description")?,
        },
        boot,
    };
    let selection = selection(target.images);
    Ok(Box::new(imaging::set(&target.file, &selection, &request, &work(environment))?))
}

fn no_file() -> Error {
    Error::new(ErrorClass::Usage, "no image file was named")
}
