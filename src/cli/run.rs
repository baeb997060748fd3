// SPDX-License-Identifier: GPL-3.0-or-later
//! Runs the commands of an invocation: one session for each image, one commit for each file.

use std::num::NonZeroU32;
use std::path::Path;

use super::commands::Action;
use super::invocation::{Invocation, Step};
use super::print::Printer;
use super::settings::Settings;
use super::target::{Images, Target};
use super::values::Values;
use crate::base::{Code, Context as _, Error, ErrorClass, Result};
use crate::image::{Environment, Session, WindowsInfo};
use crate::imaging;
use crate::report::{ChangeList, Detail, ImageRef, Report};
use crate::wim::{CommitOptions, ImageIndex, Transaction, Wim};

/// Runs everything; gives the error of a command that failed in part, whose good part stands.
///
/// # Errors
/// When a command failed: then nothing is written.
pub(crate) fn run(
    invocation: &Invocation,
    settings: &Settings,
    environment: &Environment,
    printer: &mut Printer,
) -> Result<Option<Error>> {
    match Target::new("image", &invocation.globals, &invocation.globals)? {
        None => run_on_files(invocation, settings, environment, printer),
        Some(target) => run_on_images(invocation, &target, settings, environment, printer),
    }
}

/// The Windows in the first of the images that are meant.
///
/// # Errors
/// When there is none.
pub(crate) fn windows(globals: &Values, environment: &Environment) -> Result<WindowsInfo> {
    let no_image = || Error::new(ErrorClass::Usage, "no image was named");
    let target = Target::new("image", globals, globals)?.ok_or_else(no_image)?;
    let index = indexes(&target)?.first().copied().ok_or_else(no_image)?;
    Ok(Session::open_wim(&target.file, index, environment.clone())?.windows().clone())
}

fn run_on_files(
    invocation: &Invocation,
    settings: &Settings,
    environment: &Environment,
    printer: &mut Printer,
) -> Result<Option<Error>> {
    let mut failed = None;
    for step in &invocation.steps {
        if let Action::Host(action) = step.command.action {
            environment.cancel.check()?;
            let report = action(environment, &known_dry(step, settings))?;
            printer.report(step.command.native, None, &*report);
            failed = report.error().cloned().or(failed);
        }
    }
    Ok(failed)
}

fn run_on_images(
    invocation: &Invocation,
    target: &Target,
    settings: &Settings,
    environment: &Environment,
    printer: &mut Printer,
) -> Result<Option<Error>> {
    let file = target.file.as_path();
    let indexes = indexes(target)?;
    let several = indexes.len() > 1;
    let mut sessions = Vec::new();
    let mut failed = None;
    let mut without_windows = None;
    for index in indexes {
        environment.cancel.check()?;
        let name = format!("while servicing image {} of {}", index.0, file.display());
        let mut session = match Session::open_wim(file, index, environment.clone()) {
            Ok(session) => session,
            Err(error) if several && error.class() == ErrorClass::NotApplicable => {
                tracing::warn!("image {} of {} is left alone: {error}", index.0, file.display());
                printer.left_alone(file, index, &error);
                without_windows = Some(error);
                continue;
            }
            Err(error) => return Err(error),
        };
        let windows = session.windows();
        tracing::info!(
            target: super::log::TOOL,
            "Target image information: OS Version={}, Image architecture={}",
            windows.version,
            windows.arch
        );
        let image = ImageRef::new(file, index.0.get(), windows);
        printer.image(file, index, windows, several);
        for step in &invocation.steps {
            environment.cancel.check()?;
            failed =
                run_step(step, settings, &mut session, &image, printer).context(|| name.clone())?.or(failed);
        }
        if settings.dry_run && invocation.changes() {
            let ends_in_diff = invocation.steps.last().is_some_and(|step| step.command.native == "diff");
            if !ends_in_diff {
                let changes = ChangeList::new(session.diff().context(|| name.clone())?, Detail::Full);
                printer.report("diff", Some(&image), &changes);
            }
        }
        printer.exceptions(session.exceptions());
        sessions.push(session);
    }
    if sessions.is_empty()
        && let Some(error) = without_windows
    {
        return Err(error);
    }
    if invocation.changes() && !settings.dry_run {
        commit(file, sessions, environment, printer)?;
    }
    Ok(failed)
}

/// The values of a step; a dry run is told to commands that write files themselves.
fn known_dry(step: &Step, settings: &Settings) -> Values {
    let mut values = step.values.clone();
    if settings.dry_run {
        values.set("dry_run");
    }
    values
}

/// Runs one command; gives the error of one that failed in part.
fn run_step(
    step: &Step,
    settings: &Settings,
    session: &mut Session,
    image: &ImageRef,
    printer: &mut Printer,
) -> Result<Option<Error>> {
    let values = known_dry(step, settings);
    let (report, keep): (Box<dyn Report>, bool) = match step.command.action {
        Action::Read(action) => (action(session, &values)?, true),
        Action::Change(action) => {
            let changed = action(session, &values)?;
            (changed.report, changed.keep)
        }
        Action::Host(_) | Action::Tool(_) | Action::Planned => {
            let name = step.command.native;
            return Err(Error::new(ErrorClass::Internal, format!("{name} does not run on an image")));
        }
    };
    printer.report(step.command.native, Some(image), &*report);
    let failed = report.error().cloned();
    match failed {
        Some(error) if !keep => Err(error),
        failed => Ok(failed),
    }
}

/// Every image's edits in one transaction.
fn commit(
    file: &Path,
    sessions: Vec<Session>,
    environment: &Environment,
    printer: &mut Printer,
) -> Result<()> {
    let mut transaction = Transaction::new(file);
    let mut edited = false;
    // The sessions live until the commit is done: their scratch space holds the new data.
    let mut sessions = sessions;
    for session in &mut sessions {
        if let Some(edit) = session.image_edit()? {
            transaction.edit(edit);
            edited = true;
        }
    }
    if !edited {
        return Ok(());
    }
    environment.cancel.check()?;
    let options = CommitOptions {
        pool: &environment.pool,
        progress: &*environment.progress,
        cancel: &environment.cancel,
    };
    let report = transaction.commit(&options)?;
    tracing::info!(
        "{} committed: images {:?}, {} new blobs",
        file.display(),
        report.images,
        report.new_blobs
    );
    printer.committed(file, &report);
    Ok(())
}

/// The images that are meant, as the file is now.
fn indexes(target: &Target) -> Result<Vec<ImageIndex>> {
    let file = target.file.as_path();
    if file.is_dir() {
        return Err(Error::new(
            ErrorClass::Unsupported,
            format!("{} is a directory: only images in a WIM can be serviced so far.", file.display()),
        )
        .with_hint("no mount is needed: name the WIM and its image, /Image:install.wim /Index:1 or --image install.wim:1"));
    }
    if let Images::Index(index) = target.images {
        return Ok(vec![index]);
    }
    let wim = Wim::open(file)?;
    let every = || (1..=wim.image_count()).filter_map(NonZeroU32::new).map(ImageIndex).collect::<Vec<_>>();
    match &target.images {
        Images::Name(name) => Ok(vec![imaging::find(&wim, name)?]),
        Images::All => Ok(every()),
        Images::Index(index) => Ok(vec![*index]),
        Images::Unsaid => match every().as_slice() {
            [only] => Ok(vec![*only]),
            images => Err(Error::new(
                ErrorClass::Usage,
                format!("{} holds {} images, and none was chosen", file.display(), images.len()),
            )
            .with_code(Code::INVALID_PARAMETER)
            .with_hint(format!(
                "choose one: {0}:1 or /Index:1; or all of them: {0}:all or /Index:all",
                file.display()
            ))),
        },
    }
}
