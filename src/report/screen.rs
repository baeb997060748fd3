// SPDX-License-Identifier: GPL-3.0-or-later
//! The two streams of a run: data for programs, talk for people. Only one line at a time may be
//! unfinished, the progress bar; anything else ends it first.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Which stream is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// What the command was asked for.
    Data,
    /// What it says meanwhile.
    Talk,
}

/// Both streams, shared by the threads of a run.
pub struct Screen(Mutex<State>);

struct State {
    data: Sink,
    talk: Sink,
    unfinished: Option<Stream>,
}

struct Sink {
    writer: Box<dyn Write + Send>,
    /// The reader has gone: not our failure, the work goes on unheard.
    closed: bool,
    failure: Option<io::Error>,
}

impl Sink {
    fn new(writer: impl Write + Send + 'static) -> Self {
        Self { writer: Box::new(writer), closed: false, failure: None }
    }

    fn write(&mut self, text: &str) {
        if self.closed || text.is_empty() {
            return;
        }
        if let Err(error) = self.writer.write_all(text.as_bytes()).and_then(|()| self.writer.flush()) {
            self.closed = true;
            if error.kind() != io::ErrorKind::BrokenPipe {
                self.failure = Some(error);
            }
        }
    }
}

impl State {
    fn sink(&mut self, stream: Stream) -> &mut Sink {
        match stream {
            Stream::Data => &mut self.data,
            Stream::Talk => &mut self.talk,
        }
    }

    fn finish_line(&mut self) {
        if let Some(stream) = self.unfinished.take() {
            self.sink(stream).write("\n");
        }
    }
}

impl Screen {
    /// A screen on two writers.
    pub fn new(data: impl Write + Send + 'static, talk: impl Write + Send + 'static) -> Self {
        Self(Mutex::new(State { data: Sink::new(data), talk: Sink::new(talk), unfinished: None }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A poisoned lock holds no broken promise: every write leaves the state whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes whole lines.
    pub fn write(&self, stream: Stream, text: &str) {
        let mut state = self.state();
        state.finish_line();
        state.sink(stream).write(text);
    }

    /// Overwrites the unfinished line.
    pub fn overwrite(&self, stream: Stream, text: &str) {
        let mut state = self.state();
        if state.unfinished != Some(stream) {
            state.finish_line();
        }
        state.unfinished = Some(stream);
        state.sink(stream).write(&format!("\r{text} "));
    }

    /// Ends the unfinished line, if there is one.
    pub fn finish_line(&self) {
        self.state().finish_line();
    }

    /// The first error, other than a reader that went away, that kept data from being written.
    pub fn take_failure(&self) -> Option<io::Error> {
        self.state().data.failure.take()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::*;

    /// A writer whose bytes can be looked at.
    #[derive(Clone, Default)]
    pub(crate) struct Recorder(Arc<Mutex<Vec<u8>>>);

    impl Recorder {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Recorder {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn text_never_lands_on_the_bar() {
        let (data, talk) = (Recorder::default(), Recorder::default());
        let screen = Screen::new(data.clone(), talk.clone());
        screen.overwrite(Stream::Talk, "[10%]");
        screen.overwrite(Stream::Talk, "[20%]");
        screen.write(Stream::Data, "found\n");
        screen.finish_line();
        assert_eq!(talk.text(), "\r[10%] \r[20%] \n");
        assert_eq!(data.text(), "found\n");
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        let screen = Screen::new(Broken(io::ErrorKind::BrokenPipe), io::sink());
        screen.write(Stream::Data, "x\n");
        assert!(screen.take_failure().is_none());
        let screen = Screen::new(Broken(io::ErrorKind::StorageFull), io::sink());
        screen.write(Stream::Data, "x\n");
        assert_eq!(screen.take_failure().map(|error| error.kind()), Some(io::ErrorKind::StorageFull));
    }
}
