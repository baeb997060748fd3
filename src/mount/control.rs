// SPDX-License-Identifier: GPL-3.0-or-later
//! How the verbs talk to a serving process: one request and its answers on a socket, each a line of JSON.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::{Code, Error, ErrorClass, Result};
use crate::io::{Event, Progress};

const SOCKET: &str = "control";
/// The longest line that is taken.
const LINE: u64 = 1 << 20;

/// What a serving process is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case")]
pub(super) enum Request {
    /// To write the changes into the image file and go on.
    Commit {
        /// As a new image behind the others.
        append: bool,
    },
    /// To end the mount.
    Unmount {
        /// Whether to write the changes before; else they are dropped.
        commit: bool,
        /// As a new image behind the others.
        append: bool,
        /// Even if somebody uses it.
        detach: bool,
    },
}

/// What it answers: any number of events, then one of the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    Event(Event),
    Done(Saved),
    Failed(Failure),
}

/// What was written into the image file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Saved {
    pub(super) index: u32,
    pub(super) new_blobs: u64,
    pub(super) new_bytes: u64,
    pub(super) compressed_bytes: u64,
    pub(super) copied_chunks: u64,
    pub(super) file_size_before: u64,
    pub(super) file_size_after: u64,
}

/// An error on its way to another process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Failure {
    class: ErrorClass,
    code: u32,
    message: String,
    context: Vec<String>,
    hint: Option<String>,
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        Self {
            class: error.class(),
            code: error.code().0,
            message: error.message().to_owned(),
            context: error.context().map(str::to_owned).collect(),
            hint: error.hint().map(str::to_owned),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let error = Self::new(failure.class, failure.message).with_code(Code(failure.code));
        let error = failure.context.into_iter().fold(error, Self::with_context);
        match failure.hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }
}

/// The socket's path has at most 108 bytes, so it is named through an open directory.
fn socket(directory: &Path) -> io::Result<(File, PathBuf)> {
    let opened = File::open(directory)?;
    let path = PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", opened.as_raw_fd()));
    Ok((opened, path))
}

/// Starts to listen; what a dead process left is replaced.
pub(super) fn listen(directory: &Path) -> io::Result<UnixListener> {
    let (_opened, path) = socket(directory)?;
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixListener::bind(path)
}

/// Sends one line.
pub(super) fn send(mut to: impl Write, message: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    to.write_all(&line)
}

/// Receives one line; nothing at the end of the stream.
pub(super) fn receive<T: for<'a> Deserialize<'a>>(from: &mut impl BufRead) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    if io::Read::take(from, LINE).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(serde_json::from_slice(&line)?))
}

/// Asks the serving process of a mount, and tells `progress` what it does meanwhile.
pub(super) fn ask(directory: &Path, request: &Request, progress: &dyn Progress) -> Result<io::Result<Saved>> {
    let connect = || -> io::Result<UnixStream> {
        let (_opened, path) = socket(directory)?;
        let stream = UnixStream::connect(path)?;
        send(&stream, request)?;
        Ok(stream)
    };
    let stream = match connect() {
        Ok(stream) => stream,
        Err(error) => return Ok(Err(error)),
    };
    let mut lines = BufReader::new(stream);
    loop {
        match receive(&mut lines) {
            Ok(Some(Answer::Event(event))) => progress.event(&event),
            Ok(Some(Answer::Done(saved))) => return Ok(Ok(saved)),
            Ok(Some(Answer::Failed(failure))) => return Err(failure.into()),
            Ok(None) => return Ok(Err(io::ErrorKind::UnexpectedEof.into())),
            Err(error) => return Ok(Err(error)),
        }
    }
}

/// Sends progress events to who asked.
pub(super) struct Relay(pub(super) std::sync::Mutex<UnixStream>);

impl Progress for Relay {
    fn event(&self, event: &Event) {
        let stream = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Who asked may have gone; the work goes on all the same.
        let _ = send(&*stream, &Answer::Event(event.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::{NoProgress, Task};

    #[test]
    fn a_request_and_its_answers() {
        let directory = tempfile::tempdir().unwrap();
        let long = directory.path().join("x".repeat(200));
        std::fs::create_dir(&long).unwrap();
        let listener = listen(&long).unwrap();
        drop(listener);
        let listener = listen(&long).unwrap();
        let error = Error::new(ErrorClass::Busy, "no")
            .with_code(Code(0xC142_0117))
            .with_hint("wait")
            .with_context("x");
        let failure = Failure::from(&error);
        let server = std::thread::spawn(move || {
            let mut asked = Vec::new();
            for answer in [Answer::Done(Saved { index: 3, ..Saved::default() }), Answer::Failed(failure)] {
                let (stream, _) = listener.accept().unwrap();
                asked.push(receive::<Request>(&mut BufReader::new(&stream)).unwrap().unwrap());
                let event = Event::Begin { task: Task::Commit, total: 5 };
                send(&stream, &Answer::Event(event)).unwrap();
                send(&stream, &answer).unwrap();
            }
            asked
        });
        let request = Request::Commit { append: true };
        assert_eq!(ask(&long, &request, &NoProgress).unwrap().unwrap().index, 3);
        let refused = ask(&long, &request, &NoProgress).unwrap_err();
        assert_eq!(
            (refused.to_string(), refused.code(), refused.hint()),
            (error.to_string(), error.code(), Some("wait"))
        );
        assert_eq!(server.join().unwrap(), [request.clone(), request.clone()]);
        assert!(ask(&long, &request, &NoProgress).unwrap().is_err());
    }
}
