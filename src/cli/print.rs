// SPDX-License-Identifier: GPL-3.0-or-later
//! What a run prints, and when: text as it goes along, or one JSON document at its end.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::Error;
use crate::image::WindowsInfo;
use crate::report::{
    Document, ImageRef, Language, LeftAlone, Page, Report, Screen, StepResult, Stream, Style, banner,
    dism_error, image_version, native_error, success,
};
use crate::wim::{CommitReport, ImageIndex};

/// Prints in the language and form that the run was started with.
pub(crate) struct Printer {
    screen: Arc<Screen>,
    language: Language,
    style: Style,
    /// Whether text is printed: not with `--json`, and with `--quiet` only errors.
    text: bool,
    json: bool,
    steps_shown: usize,
    document: Document,
}

impl Printer {
    /// Prints DISM's banner in DISM's language.
    pub(crate) fn new(
        screen: Arc<Screen>,
        language: Language,
        style: Style,
        json: bool,
        quiet: bool,
        dry_run: bool,
    ) -> Self {
        let printer = Self {
            screen,
            language,
            style,
            text: !json && !quiet,
            json,
            steps_shown: 0,
            document: Document { dry_run, ..Document::default() },
        };
        if printer.text && language == Language::Dism {
            printer.page(Stream::Data, banner);
        }
        printer
    }

    fn page(&self, stream: Stream, write: impl FnOnce(&mut Page)) {
        let mut page = Page::new(self.style.clone());
        write(&mut page);
        self.screen.write(stream, &page.into_text());
    }

    /// A session was opened.
    pub(crate) fn image(&mut self, file: &Path, index: ImageIndex, windows: &WindowsInfo, several: bool) {
        self.steps_shown = 0;
        if !self.text {
            return;
        }
        self.page(Stream::Data, |page| match self.language {
            Language::Dism => {
                if several {
                    page.field("Image Index", index.0);
                }
                image_version(page, windows.version);
            }
            Language::Native if several => {
                page.line(format_args!(
                    "{}:{} ({} {})",
                    file.display(),
                    index.0,
                    windows.arch,
                    windows.version
                ));
            }
            Language::Native => {}
        });
    }

    /// An image of a file that is serviced as a whole is left alone, because of `reason`.
    pub(crate) fn left_alone(&mut self, file: &Path, index: ImageIndex, reason: &Error) {
        self.document.left_alone.push(LeftAlone { index: index.0.get(), reason: reason.clone() });
        if self.text {
            let word = match self.language {
                Language::Dism => "Note",
                Language::Native => "note",
            };
            self.page(Stream::Data, |page| {
                page.line(format_args!(
                    "{word}: image {} of {} is left alone: {}",
                    index.0,
                    file.display(),
                    reason.message()
                ));
            });
        }
    }

    /// A command gave its report.
    pub(crate) fn report(&mut self, command: &str, image: Option<&ImageRef>, report: &dyn Report) {
        self.document.results.push(StepResult::new(command, image, report.json(), report.error()));
        self.document.exceptions.extend(report.exceptions());
        if self.text {
            let first = self.steps_shown == 0;
            self.page(Stream::Data, |page| {
                if !first {
                    page.blank();
                }
                match self.language {
                    Language::Dism => report.dism(page),
                    Language::Native => report.native(page),
                }
            });
        }
        self.steps_shown += 1;
    }

    /// What is not exact in an image.
    pub(crate) fn exceptions(&mut self, exceptions: &[String]) {
        if self.text {
            let word = match self.language {
                Language::Dism => "Note",
                Language::Native => "note",
            };
            self.page(Stream::Data, |page| {
                for exception in exceptions {
                    page.line(format_args!("{word}: not exact: {exception}"));
                }
            });
        }
        self.document.exceptions.extend_from_slice(exceptions);
    }

    /// A file was written.
    pub(crate) fn committed(&mut self, file: &Path, report: &CommitReport) {
        self.document.committed(file, report);
        if self.text && self.language == Language::Native {
            self.page(Stream::Data, |page| {
                let images: Vec<String> = report.images.iter().map(u32::to_string).collect();
                page.line(format_args!(
                    "{}: image {} saved ({}, {} -> {} bytes)",
                    file.display(),
                    images.join(", "),
                    page.counted(report.new_blobs, "new blob"),
                    page.number(report.file_size_before),
                    page.number(report.file_size_after),
                ));
            });
        }
    }

    /// The run is over; `log` is named in DISM's error block.
    pub(crate) fn finish(self, error: Option<&Error>, log: Option<PathBuf>) {
        self.screen.finish_line();
        if self.json {
            let document = self.document.finish(error);
            self.screen.write(Stream::Data, &format!("{document:#}\n"));
            return;
        }
        let dry_run = self.document.dry_run;
        match (self.language, error) {
            (Language::Dism, Some(error)) => {
                self.page(Stream::Data, |page| dism_error(page, error, log.as_deref()));
            }
            (Language::Native, Some(error)) => self.page(Stream::Talk, |page| native_error(page, error)),
            (Language::Dism, None) if self.text => self.page(Stream::Data, success),
            (Language::Native, None) if self.text && dry_run => {
                self.page(Stream::Data, |page| page.line("Dry run: nothing was written."));
            }
            _ => {}
        }
    }
}
