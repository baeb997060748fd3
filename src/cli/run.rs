// SPDX-License-Identifier: GPL-3.0-or-later
//! Runs the commands of an invocation: one session for each image, all at the same time, and one
//! commit for each file.

use std::collections::BTreeMap;
use std::fs::File;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::commands::Action;
use super::invocation::{Invocation, Step};
use super::print::Printer;
use super::settings::Settings;
use super::target::{Images, Target};
use super::values::{DISM, Values};
use crate::base::{Code, Context as _, Error, ErrorClass, Result};
use crate::image::{Environment, Session, WindowsInfo};
use crate::imaging;
use crate::io::{AtomicFile, Event, Progress};
use crate::report::{ChangeList, Detail, ImageRef, Language, Report};
use crate::wim::{CommitOptions, ImageIndex, Transaction, Wim};

/// Runs everything; gives the error of a command that failed in part, whose good part stands.
/// `output` gets the images if they are not to be changed where they are.
///
/// # Errors
/// When a command failed: then nothing is written.
pub(crate) fn run(
    invocation: &Invocation,
    output: Option<&Path>,
    settings: &Settings,
    environment: &Environment,
    printer: &mut Printer,
) -> Result<Option<Error>> {
    let targets = Target::each("image", &invocation.globals)?;
    match targets.as_slice() {
        [] => run_on_files(invocation, settings, environment, printer),
        targets => run_on_images(invocation, targets, output, settings, environment, printer),
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
            let report = action(environment, &known(step, settings, invocation.language))?;
            printer.report(step.command.native, None, &*report);
            failed = report.error().cloned().or(failed);
        }
    }
    Ok(failed)
}

fn run_on_images(
    invocation: &Invocation,
    targets: &[Target],
    output: Option<&Path>,
    settings: &Settings,
    environment: &Environment,
    printer: &mut Printer,
) -> Result<Option<Error>> {
    let jobs = jobs(targets)?;
    let work = ServicingWork { invocation, settings, several: jobs.len() > 1 };
    let mut files: Vec<(PathBuf, Vec<Session>)> = Vec::new();
    let mut failed = None;
    let mut without_windows = None;
    let finish = |job: &Job, serviced: Serviced| {
        failed = serviced.failed.or(failed.take());
        match serviced.outcome {
            Ok(session) => match files.iter_mut().find(|(file, _)| *file == job.file) {
                Some((_, sessions)) => sessions.push(session),
                None => files.push((job.file.clone(), vec![session])),
            },
            Err(left_alone) => without_windows = Some(left_alone),
        }
    };
    in_parallel(&work, &jobs, environment, printer, finish)?;
    if let (true, Some(error)) = (files.is_empty(), without_windows) {
        return Err(error);
    }
    if invocation.changes() && !settings.dry_run {
        for (file, sessions) in files {
            commit(&file, output, sessions, environment, printer)?;
        }
    }
    Ok(failed)
}

/// One image to be serviced.
struct Job {
    file: PathBuf,
    index: ImageIndex,
}

/// What is done to each image.
struct ServicingWork<'a> {
    invocation: &'a Invocation,
    settings: &'a Settings,
    /// Whether there is more than one.
    several: bool,
}

/// What became of an image.
struct Serviced {
    /// The session to be committed; or why the image is left alone.
    outcome: std::result::Result<Session, Error>,
    /// The error of a command that failed in part.
    failed: Option<Error>,
}

/// Something to be shown about an image.
enum Said {
    Opened(WindowsInfo),
    LeftAlone(Error),
    Report { command: &'static str, image: ImageRef, report: Box<dyn Report> },
    Exceptions(Vec<String>),
    Happened(Event),
}

/// What is said about an image before its turn to be printed comes.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<Said>>>);

impl Kept {
    fn push(&self, said: Said) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(said);
    }

    fn take(&self) -> Vec<Said> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Progress for Kept {
    fn event(&self, event: &Event) {
        self.push(Said::Happened(event.clone()));
    }
}

/// Services the images at the same time, as many as there are workers, and gives each to `finish` in
/// the order of the jobs; what is printed has that order too. A lone image is printed as it goes.
fn in_parallel(
    work: &ServicingWork<'_>,
    jobs: &[Job],
    environment: &Environment,
    printer: &mut Printer,
    mut finish: impl FnMut(&Job, Serviced),
) -> Result<()> {
    if let [job] = jobs {
        let serviced = work.service(job, environment, &mut |said| {
            show(job, said, work.several, environment, printer);
        })?;
        finish(job, serviced);
        return Ok(());
    }
    let next = AtomicUsize::new(0);
    let stopped = AtomicBool::new(false);
    let kept: Vec<Kept> = jobs.iter().map(|_| Kept::default()).collect();
    std::thread::scope(|scope| {
        let (sender, receiver) = std::sync::mpsc::channel();
        for _ in 0..environment.pool.threads().min(jobs.len()) {
            let (sender, next, stopped, kept) = (sender.clone(), &next, &stopped, &kept);
            scope.spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    let position = next.fetch_add(1, Ordering::Relaxed);
                    let (Some(job), Some(kept)) = (jobs.get(position), kept.get(position)) else { break };
                    let environment = Environment { progress: Arc::new(kept.clone()), ..environment.clone() };
                    let serviced = work.service(job, &environment, &mut |said| kept.push(said));
                    if sender.send((position, serviced)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let mut early: BTreeMap<usize, Result<Serviced>> = BTreeMap::new();
        for (position, (job, kept)) in jobs.iter().zip(&kept).enumerate() {
            let serviced = loop {
                if let Some(serviced) = early.remove(&position) {
                    break serviced;
                }
                let (position, serviced) = receiver
                    .recv()
                    .map_err(|_| Error::new(ErrorClass::Internal, "a worker that services images ended"))?;
                early.insert(position, serviced);
            };
            for said in kept.take() {
                show(job, said, work.several, environment, printer);
            }
            match serviced {
                Ok(serviced) => finish(job, serviced),
                Err(error) => {
                    stopped.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
        Ok(())
    })
}

fn show(job: &Job, said: Said, several: bool, environment: &Environment, printer: &mut Printer) {
    match said {
        Said::Opened(windows) => printer.image(&job.file, job.index, &windows, several),
        Said::LeftAlone(error) => printer.left_alone(&job.file, job.index, &error),
        Said::Report { command, image, report } => printer.report(command, Some(&image), &*report),
        Said::Exceptions(exceptions) => printer.exceptions(&exceptions),
        Said::Happened(event) => environment.progress.event(&event),
    }
}

impl ServicingWork<'_> {
    /// Runs every command on one image.
    fn service(&self, job: &Job, environment: &Environment, say: &mut dyn FnMut(Said)) -> Result<Serviced> {
        let (file, index) = (job.file.as_path(), job.index);
        environment.cancel.check()?;
        let name = || format!("while servicing image {} of {}", index.0, file.display());
        let mut session = match Session::open_wim(file, index, environment.clone()) {
            Ok(session) => session,
            Err(error) if self.several && error.class() == ErrorClass::NotApplicable => {
                tracing::warn!("image {} of {} is left alone: {error}", index.0, file.display());
                say(Said::LeftAlone(error.clone()));
                return Ok(Serviced { outcome: Err(error), failed: None });
            }
            Err(error) => return Err(error),
        };
        let windows = session.windows().clone();
        tracing::info!(
            target: super::log::TOOL,
            "Target image information: OS Version={}, Image architecture={}",
            windows.version,
            windows.arch
        );
        let image = ImageRef::new(file, index.0.get(), &windows);
        say(Said::Opened(windows));
        let mut failed = None;
        for step in &self.invocation.steps {
            environment.cancel.check()?;
            let language = self.invocation.language;
            failed =
                run_step(step, self.settings, language, &mut session, &image, say).context(name)?.or(failed);
        }
        if self.settings.dry_run && self.invocation.changes() {
            let ends_in_diff = self.invocation.steps.last().is_some_and(|step| step.command.native == "diff");
            if !ends_in_diff {
                let changes = ChangeList::new(session.diff().context(name)?, Detail::Full);
                say(Said::Report { command: "diff", image, report: Box::new(changes) });
            }
        }
        say(Said::Exceptions(session.exceptions().to_vec()));
        Ok(Serviced { outcome: Ok(session), failed })
    }
}

/// The values of a step; a dry run is told to commands that write files themselves, and the language
/// to those that are stricter in one.
fn known(step: &Step, settings: &Settings, language: Language) -> Values {
    let mut values = step.values.clone();
    if language == Language::Dism {
        values.set(DISM);
    }
    if settings.dry_run {
        values.set("dry_run");
    }
    values
}

/// Runs one command; gives the error of one that failed in part.
fn run_step(
    step: &Step,
    settings: &Settings,
    language: Language,
    session: &mut Session,
    image: &ImageRef,
    say: &mut dyn FnMut(Said),
) -> Result<Option<Error>> {
    let values = known(step, settings, language);
    let (report, keep): (Box<dyn Report>, bool) = match step.command.action {
        Action::Read(action) => (action(session, &values)?, true),
        Action::Change(action) => {
            let changed = action(session, &values)?;
            (changed.report, changed.keep)
        }
        Action::Host(_) | Action::Tool(_) | Action::Recipe | Action::Planned => {
            let name = step.command.native;
            return Err(Error::new(ErrorClass::Internal, format!("{name} does not run on an image")));
        }
    };
    let failed = report.error().cloned();
    say(Said::Report { command: step.command.native, image: image.clone(), report });
    match failed {
        Some(error) if !keep => Err(error),
        failed => Ok(failed),
    }
}

/// Every image's edits in one transaction; in a copy of the file if there is an output.
fn commit(
    file: &Path,
    output: Option<&Path>,
    sessions: Vec<Session>,
    environment: &Environment,
    printer: &mut Printer,
) -> Result<()> {
    let copy = output.map(|output| copy(file, output)).transpose()?;
    let mut transaction = Transaction::new(copy.as_ref().map_or(file, AtomicFile::path));
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
        // An output was asked for, and appears even if it is no more than a copy.
        return copy.map_or(Ok(()), AtomicFile::persist);
    }
    environment.cancel.check()?;
    let options = CommitOptions {
        pool: &environment.pool,
        progress: &*environment.progress,
        cancel: &environment.cancel,
    };
    let report = transaction.commit(&options)?;
    let file = output.unwrap_or(file);
    if let Some(copy) = copy {
        copy.persist()?;
    }
    tracing::info!(
        "{} committed: images {:?}, {} new blobs",
        file.display(),
        report.images,
        report.new_blobs
    );
    printer.committed(file, &report);
    Ok(())
}

/// A copy that is to be committed to and then put in place.
fn copy(file: &Path, output: &Path) -> Result<AtomicFile> {
    let copy = AtomicFile::create(output)?;
    let mut source = File::open(file).map_err(|error| Error::io(file.display(), &error))?;
    std::io::copy(&mut source, &mut copy.file()).map_err(|error| Error::io(output.display(), &error))?;
    Ok(copy)
}

/// The images that are meant, each once, those of one file together.
fn jobs(targets: &[Target]) -> Result<Vec<Job>> {
    let mut jobs: Vec<Job> = Vec::new();
    for target in targets {
        for index in indexes(target)? {
            if !jobs.iter().any(|job| job.file == target.file && job.index == index) {
                jobs.push(Job { file: target.file.clone(), index });
            }
        }
    }
    Ok(jobs)
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
