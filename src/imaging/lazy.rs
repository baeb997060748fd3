// SPDX-License-Identifier: GPL-3.0-or-later
//! Streams that are opened when they are read, and closed when they were read.

use std::sync::{Arc, Mutex, PoisonError};

use crate::base::{Context, Error, ErrorClass, FileTime, NodeId, Result, StreamKind, WinName, WinPath};
use crate::io::ReadAt;
use crate::volume::Volume;

/// One stream of a volume. Tens of thousands of them cost no open file.
///
/// When its last byte has been read, the file is looked at again: one that changed meanwhile would
/// be captured half old and half new.
pub(super) struct LazyStream {
    pub(super) volume: Arc<dyn Volume>,
    pub(super) node: NodeId,
    pub(super) kind: StreamKind,
    pub(super) name: WinName,
    /// For messages.
    pub(super) path: WinPath,
    pub(super) length: u64,
    /// As the node said when it was met; nothing where streams cannot change.
    pub(super) write_time: Option<FileTime>,
    pub(super) state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    open: Option<Arc<dyn ReadAt>>,
    /// Bytes read since it was opened.
    read: u64,
}

impl LazyStream {
    fn changed(&self) -> Error {
        Error::new(ErrorClass::Busy, format!("{} changed while it was captured", self.path))
            .with_hint("capture a tree that nobody writes to, such as a snapshot")
    }

    fn opened(&self) -> Result<Arc<dyn ReadAt>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = &state.open {
            return Ok(open.clone());
        }
        let open = self.volume.open(self.node, self.kind, self.name.units())?;
        if open.len() != self.length {
            return Err(self.changed());
        }
        *state = State { open: Some(open.clone()), read: 0 };
        Ok(open)
    }

    /// Counts what was read; true when that was the last of it.
    fn ends(&self, bytes: u64) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.read += bytes;
        let ends = state.read >= self.length;
        if ends {
            *state = State::default();
        }
        ends
    }
}

impl ReadAt for LazyStream {
    fn len(&self) -> u64 {
        self.length
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        if buffer.is_empty() {
            return Ok(());
        }
        let context = || format!("while capturing {}", self.path);
        self.opened().and_then(|open| open.read_exact_at(buffer, offset)).context(context)?;
        if self.ends(buffer.len() as u64)
            && let Some(write_time) = self.write_time
        {
            let node = self.volume.node(self.node).context(context)?;
            let length = node.stream(self.kind, self.name.units()).map(|stream| stream.length);
            if node.write_time != write_time || length != Some(self.length) {
                return Err(self.changed());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{DirEntry, Node, Stream};
    use std::sync::atomic::{AtomicU64, Ordering};

    /// One file whose time moves when it is told to, and that counts how often it is opened.
    #[derive(Default)]
    struct Moving {
        time: AtomicU64,
        opened: AtomicU64,
        grown: AtomicU64,
    }

    const DATA: &[u8] = b"0123456789";

    impl Volume for Moving {
        fn root(&self) -> NodeId {
            NodeId(0)
        }

        fn node(&self, _: NodeId) -> Result<Node> {
            Ok(Node {
                write_time: FileTime(self.time.load(Ordering::Relaxed)),
                streams: vec![Stream {
                    kind: StreamKind::Data,
                    name: WinName::default(),
                    length: DATA.len() as u64,
                    hash: None,
                }],
                ..Node::default()
            })
        }

        fn entries(&self, _: NodeId) -> Result<Vec<DirEntry>> {
            Ok(Vec::new())
        }

        fn lookup(&self, _: NodeId, _: &[u16]) -> Result<Option<DirEntry>> {
            Ok(None)
        }

        fn links(&self, _: NodeId) -> Result<Vec<(NodeId, DirEntry)>> {
            Ok(Vec::new())
        }

        fn open(&self, _: NodeId, _: StreamKind, _: &[u16]) -> Result<Arc<dyn ReadAt>> {
            self.opened.fetch_add(1, Ordering::Relaxed);
            let mut data = DATA.to_vec();
            data.extend(vec![0; self.grown.load(Ordering::Relaxed) as usize]);
            Ok(Arc::new(data))
        }
    }

    fn stream(volume: &Arc<Moving>) -> LazyStream {
        LazyStream {
            volume: volume.clone(),
            node: NodeId(1),
            kind: StreamKind::Data,
            name: WinName::default(),
            path: WinPath::root().join("a").join("b.txt"),
            length: DATA.len() as u64,
            write_time: Some(FileTime(0)),
            state: Mutex::default(),
        }
    }

    #[test]
    fn opened_once_for_each_whole_reading() {
        let volume = Arc::new(Moving::default());
        let stream = stream(&volume);
        for round in 1..=2 {
            let mut buffer = [0; 5];
            stream.read_exact_at(&mut buffer, 5).unwrap();
            assert_eq!(&buffer, b"56789");
            stream.read_exact_at(&mut buffer, 0).unwrap();
            assert_eq!(&buffer, b"01234");
            assert_eq!(volume.opened.load(Ordering::Relaxed), round);
        }
    }

    #[test]
    fn a_file_that_changes_is_named() {
        let volume = Arc::new(Moving::default());
        let lazy = stream(&volume);
        let mut buffer = [0; 10];
        lazy.read_exact_at(&mut buffer[..4], 0).unwrap();
        volume.time.store(7, Ordering::Relaxed);
        let error = lazy.read_exact_at(&mut buffer[4..], 4).unwrap_err();
        assert_eq!(
            (error.class(), error.message()),
            (ErrorClass::Busy, "a\\b.txt changed while it was captured")
        );

        let grown = stream(&volume);
        volume.grown.store(1, Ordering::Relaxed);
        assert_eq!(grown.read_exact_at(&mut buffer, 0).unwrap_err().class(), ErrorClass::Busy);
    }
}
