// SPDX-License-Identifier: GPL-3.0-or-later
//! Progress events as DISM's bar, as a few quiet lines, or as JSON lines.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;

use super::screen::Stream;
use super::{Language, SCHEMA_VERSION, Screen};
use crate::io::{Event, Progress, Task};

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgressMode {
    /// DISM's bar, drawn over itself.
    Bar,
    /// At most one line for each ten per cent.
    Lines,
    /// JSON lines, at most five a second while a task advances.
    Json,
    /// Not at all.
    None,
}

/// Width between the brackets.
const WIDTH: usize = 58;

/// DISM's bar at so many tenths of a per cent.
pub fn bar(permille: u32) -> String {
    let permille = permille.min(1000);
    let percent = format!("{}.{}%", permille / 10, permille % 10);
    let start = (WIDTH - percent.len()).div_ceil(2);
    let filled = permille as usize * WIDTH / 1000;
    let mut inside: Vec<u8> = (0..WIDTH).map(|column| if column < filled { b'=' } else { b' ' }).collect();
    for (cell, byte) in inside.iter_mut().skip(start).zip(percent.bytes()) {
        *cell = byte;
    }
    format!("[{}]", String::from_utf8_lossy(&inside))
}

/// Shows progress events on a screen.
pub struct Meter {
    screen: Arc<Screen>,
    language: Language,
    mode: ProgressMode,
    /// Where JSON lines go; the talk stream when there is none.
    lines: Option<Mutex<Box<dyn Write + Send>>>,
    running: Mutex<Option<Running>>,
}

struct Running {
    task: Task,
    total: u64,
    /// What was shown last, in tenths of a per cent.
    shown: Option<u32>,
    shown_at: Option<Instant>,
}

impl Meter {
    /// In DISM's language what DISM prints goes to the data stream, else all goes to the talk
    /// stream.
    pub fn new(screen: Arc<Screen>, language: Language, mode: ProgressMode) -> Self {
        Self { screen, language, mode, lines: None, running: Mutex::new(None) }
    }

    /// Sends JSON lines elsewhere.
    #[must_use]
    pub fn with_lines(mut self, lines: impl Write + Send + 'static) -> Self {
        self.lines = Some(Mutex::new(Box::new(lines)));
        self
    }

    fn stream(&self) -> Stream {
        match self.language {
            Language::Dism => Stream::Data,
            Language::Native => Stream::Talk,
        }
    }

    fn say(&self, text: &str) {
        self.screen.write(self.stream(), &format!("{text}\n"));
    }

    fn begin(&self, running: &mut Option<Running>, task: Task, total: u64) {
        *running = Some(Running { task, total, shown: None, shown_at: None });
        let above = match (self.mode, self.language) {
            (ProgressMode::Bar, _) | (ProgressMode::Lines, Language::Dism) => self.heading(task),
            _ => None,
        };
        if let Some(heading) = above {
            self.say(heading);
        }
    }

    fn advance(&self, running: &mut Running, done: u64) {
        let permille = match running.total {
            0 => 0,
            total => u32::try_from(u128::from(done.min(total)) * 1000 / u128::from(total)).unwrap_or(1000),
        };
        self.show(running, permille);
    }

    fn show(&self, running: &mut Running, permille: u32) {
        let Some(heading) = self.heading(running.task) else { return };
        let due = match self.mode {
            ProgressMode::Bar => {
                const INTERVAL: Duration = Duration::from_millis(50);
                running.shown != Some(permille)
                    && (permille == 1000 || running.shown_at.is_none_or(|last| last.elapsed() >= INTERVAL))
            }
            ProgressMode::Lines => permille / 100 > running.shown.unwrap_or(0) / 100,
            ProgressMode::Json | ProgressMode::None => false,
        };
        if !due {
            return;
        }
        running.shown = Some(permille);
        running.shown_at = Some(Instant::now());
        match (self.mode, self.language) {
            (ProgressMode::Bar, _) => self.screen.overwrite(self.stream(), &bar(permille)),
            (_, Language::Dism) => self.say(&bar(permille)),
            (_, Language::Native) => self.say(&format!("{heading}: {}%", permille / 10)),
        }
    }

    fn json_line(&self, event: &Event, running: &mut Option<Running>) {
        const INTERVAL: Duration = Duration::from_millis(200);
        let mut line = match serde_json::to_value(event) {
            Ok(line) => line,
            Err(_) => return,
        };
        let mut describe = |key: &str, value: serde_json::Value| {
            if let Some(object) = line.as_object_mut() {
                object.insert(key.to_owned(), value);
            }
        };
        describe("schema_version", json!(SCHEMA_VERSION));
        match event {
            Event::Begin { task, total } => {
                *running = Some(Running { task: *task, total: *total, shown: None, shown_at: None });
                describe("unit", json!(unit(*task)));
            }
            Event::Advance { task, .. } => {
                if let Some(current) = running.as_mut().filter(|current| current.task == *task) {
                    if current.shown_at.is_some_and(|last| last.elapsed() < INTERVAL) {
                        return;
                    }
                    current.shown_at = Some(Instant::now());
                    describe("total", json!(current.total));
                }
                describe("unit", json!(unit(*task)));
            }
            _ => {}
        }
        let line = format!("{line}\n");
        match &self.lines {
            None => self.screen.write(Stream::Talk, &line),
            Some(lines) => {
                let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
                // Progress that nobody reads any more must not stop the work.
                let _ = lines.write_all(line.as_bytes()).and_then(|()| lines.flush());
            }
        }
    }

    /// What stands above the bar of a task, or before its per cents; nothing for tasks that are
    /// not measured. Adding drivers is told package by package in DISM's language.
    fn heading(&self, task: Task) -> Option<&'static str> {
        match (task, self.language) {
            (Task::Verify, _) => Some("Verifying image"),
            (Task::Commit | Task::Capture, _) => Some("Saving image"),
            (Task::Apply, _) => Some("Applying image"),
            (Task::Export, _) => Some("Exporting image"),
            (Task::Optimize, _) => Some("Optimizing file"),
            (Task::Split, _) => Some("Splitting file"),
            (Task::Mount, _) => Some("Mounting image"),
            (Task::Unmount, _) => Some("Unmounting image"),
            (Task::AddDrivers, Language::Native) => Some("Adding drivers"),
            (Task::RemoveDrivers, Language::Native) => Some("Removing drivers"),
            (Task::ExportDrivers, Language::Native) => Some("Exporting drivers"),
            _ => None,
        }
    }

    /// What DISM prints between bars: output of the command rather than progress.
    fn line(&self, event: &Event) {
        match event {
            Event::MountedImage { file, index } => {
                self.say(&format!("Image File : {file}\nImage Index : {index}"));
            }
            Event::SearchingDrivers => self.say("Searching for driver packages to install..."),
            Event::DriversFound { count } => {
                self.say(&format!("Found {count} driver package(s) to install."))
            }
            Event::DriverDone { position, count, path, error: None } => self.say(&format!(
                "Installing {position} of {count} - {path}: The driver package was successfully installed."
            )),
            Event::DriverDone { position, count, path, error: Some(error) } => self.say(&format!(
                "Installing {position} of {count} - {path}: Error - An error occurred. \
                 The driver package could not be installed.\n{error}"
            )),
            Event::DriverRemoved { position, count, name, error } => {
                if *position == 1 {
                    self.say(&format!("Found {count} driver package(s) to remove."));
                }
                self.say(&match error {
                    None => format!(
                        "Removing {position} of {count} - {name}: The driver package was successfully removed."
                    ),
                    Some(error) => format!(
                        "Removing {position} of {count} - {name}: Error - An error occurred. \
                         The driver package could not be removed.\n{error}"
                    ),
                });
            }
            Event::DriverExported { position, count, name, error } => self.say(&match error {
                None => {
                    format!(
                        "Exporting {position} of {count} - {name}: The driver package successfully exported."
                    )
                }
                Some(error) => format!(
                    "Exporting {position} of {count} - {name}: Error - An error occurred. \
                     The driver package could not be exported.\n{error}"
                ),
            }),
            _ => {}
        }
    }
}

impl Progress for Meter {
    fn event(&self, event: &Event) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if self.mode == ProgressMode::Json {
            self.json_line(event, &mut running);
            if self.language == Language::Native {
                return;
            }
        }
        match event {
            Event::Begin { task, total } => self.begin(&mut running, *task, *total),
            Event::Advance { task, done } => {
                if let Some(running) = running.as_mut().filter(|running| running.task == *task) {
                    self.advance(running, *done);
                }
            }
            Event::End { task } => {
                if let Some(mut running) = running.take().filter(|running| running.task == *task) {
                    self.show(&mut running, 1000);
                    self.screen.finish_line();
                }
            }
            _ if self.language == Language::Dism => self.line(event),
            _ => {}
        }
    }
}

fn unit(task: Task) -> &'static str {
    match task {
        Task::Verify
        | Task::Commit
        | Task::Capture
        | Task::Apply
        | Task::Export
        | Task::Optimize
        | Task::Split => "bytes",
        _ => "items",
    }
}

#[cfg(test)]
mod tests {
    use super::super::screen::tests::Recorder;
    use super::*;

    /// Runs events through a meter; gives (data, talk).
    fn shown(language: Language, mode: ProgressMode, events: &[Event]) -> (String, String) {
        let (data, talk) = (Recorder::default(), Recorder::default());
        let meter = Meter::new(Arc::new(Screen::new(data.clone(), talk.clone())), language, mode);
        for event in events {
            meter.event(event);
        }
        (data.text(), talk.text())
    }

    fn commit(steps: u64) -> Vec<Event> {
        let mut events = vec![Event::Begin { task: Task::Commit, total: steps }];
        events.extend((1..=steps).map(|done| Event::Advance { task: Task::Commit, done }));
        events.push(Event::End { task: Task::Commit });
        events
    }

    #[test]
    fn at_most_twelve_quiet_lines() {
        for steps in [0, 1, 3, 10, 1000, 12_345] {
            let (data, talk) = shown(Language::Dism, ProgressMode::Lines, &commit(steps));
            let lines: Vec<&str> = data.lines().collect();
            assert!(lines.len() <= 12, "{steps}: {}", lines.len());
            assert_eq!(lines.first().copied(), Some("Saving image"));
            assert_eq!(lines.last().copied(), Some(bar(1000).as_str()));
            assert_eq!(talk, "");
        }
    }

    #[test]
    fn our_lines_go_to_the_talk_stream() {
        let (data, talk) = shown(Language::Native, ProgressMode::Lines, &commit(2));
        assert_eq!(data, "");
        assert_eq!(talk, "Saving image: 50%\nSaving image: 100%\n");
    }

    #[test]
    fn the_bar_is_drawn_over_itself_and_ends_at_a_hundred() {
        let (data, _) = shown(Language::Dism, ProgressMode::Bar, &commit(1));
        assert_eq!(data, format!("Saving image\n\r{} \n", bar(1000)));
    }

    #[test]
    fn driver_lines_as_dism_prints_them() {
        let events = [
            Event::SearchingDrivers,
            Event::DriversFound { count: 2 },
            Event::DriverDone { position: 1, count: 2, path: "/drv/a.inf".into(), error: None },
            Event::DriverDone {
                position: 2,
                count: 2,
                path: "/drv/b.inf".into(),
                error: Some("no models".into()),
            },
        ];
        let (data, talk) = shown(Language::Dism, ProgressMode::None, &events);
        assert_eq!(
            data,
            "Searching for driver packages to install...\n\
             Found 2 driver package(s) to install.\n\
             Installing 1 of 2 - /drv/a.inf: The driver package was successfully installed.\n\
             Installing 2 of 2 - /drv/b.inf: Error - An error occurred. The driver package could not be installed.\n\
             no models\n"
        );
        assert_eq!(talk, "");
        // In our language the report tells of each package, when all are done.
        let (data, talk) = shown(Language::Native, ProgressMode::Lines, &events);
        assert_eq!((data.as_str(), talk.as_str()), ("", ""));
    }

    #[test]
    fn json_lines_name_task_total_and_unit() {
        let (_, talk) = shown(Language::Native, ProgressMode::Json, &commit(1));
        let lines: Vec<serde_json::Value> =
            talk.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(
            lines,
            [
                json!({ "schema_version": 1, "event": "begin", "task": "commit", "total": 1, "unit": "bytes" }),
                json!({
                    "schema_version": 1, "event": "advance", "task": "commit", "done": 1, "total": 1,
                    "unit": "bytes",
                }),
                json!({ "schema_version": 1, "event": "end", "task": "commit" }),
            ]
        );
        // Many steps in an instant: at most one of them is told.
        let (_, talk) = shown(Language::Native, ProgressMode::Json, &commit(500));
        assert_eq!(talk.lines().count(), 3);
    }
}
