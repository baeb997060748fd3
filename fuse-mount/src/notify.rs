// SPDX-License-Identifier: GPL-3.0-or-later
//! Telling the kernel that what it has cached is no longer so.
//!
//! The kernel carries an invalidation out under locks that the process whose request is being served may hold (the
//! directory's, for an entry; a page's, for data). A server thread that sent one before its reply would wait for
//! itself. So everything goes through one thread that serves no requests, and what a tree method sends while it
//! runs is handed to that thread after the method's reply.
//!
//! Between the reply and the invalidation the kernel still finds the old entry, and the process that was answered
//! may look. There is a fence against that: attributes can be invalidated without any lock, so before a reply after
//! which an entry is out of date, those of its directory are ([`Notifier::fence`]). Whoever then walks through the
//! directory has to be allowed to anew, for which the kernel asks for the directory's attributes, and that question
//! is answered when the entry has gone ([`Notifier::settled`]).

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::errno::{Errno, Result};
use crate::tree::Node;

/// How long a question about a directory waits for entries of it to go. Normally they do within a tenth of a
/// millisecond; but the one who asks may himself hold the lock that is needed for it.
const SETTLE: Duration = Duration::from_millis(100);

enum Message {
    Entry { parent: Node, name: OsString },
    Node { node: Node, offset: i64, length: i64 },
    Sync(Sender<()>),
    Stop,
}

/// Tells the kernel of changes that did not come from the kernel.
///
/// Cheap to clone; may be called from any thread, under any lock, and never blocks, but for [`Notifier::sync`].
/// After the mount has ended everything is accepted and nothing is done.
#[derive(Clone)]
pub struct Notifier {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Sender<Message>,
    kernel: OnceLock<fuser::Notifier>,
    /// All entries on their way: for the common case that there are none.
    entries: AtomicUsize,
    /// Entries on their way, by directory.
    pending: Mutex<HashMap<Node, usize>>,
    delivered: Condvar,
}

impl std::fmt::Debug for Notifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Notifier")
    }
}

thread_local! {
    /// While this thread serves a request: what was sent meanwhile.
    static HELD_BACK: RefCell<Option<Vec<(Notifier, Message)>>> = const { RefCell::new(None) };
}

impl Notifier {
    /// A name appeared, disappeared or means another node. Works for names that the kernel remembers as missing too.
    ///
    /// Open files stay open. A directory some process stands in loses its path (`getcwd` fails), so this is only
    /// for directories that really went.
    pub fn entry(&self, parent: Node, name: &OsStr) {
        self.shared.entries.fetch_add(1, Ordering::AcqRel);
        *self.shared.pending().entry(parent).or_default() += 1;
        self.send(Message::Entry { parent, name: name.to_owned() });
    }

    /// Attributes of a node changed; its data did not.
    pub fn attributes(&self, node: Node) {
        self.send(Message::Node { node, offset: -1, length: 0 });
    }

    /// Data and attributes of a node changed, or the target of a symbolic link.
    pub fn node(&self, node: Node) {
        self.send(Message::Node { node, offset: 0, length: 0 });
    }

    /// Attributes of a node and this range of its data changed.
    pub fn range(&self, node: Node, offset: u64, length: u64) {
        // The kernel takes length 0 for "to the end", which is also right for a range too long to say.
        let offset = i64::try_from(offset).unwrap_or(i64::MAX);
        self.send(Message::Node { node, offset, length: i64::try_from(length).unwrap_or(0) });
    }

    /// Waits until the kernel has acted on everything sent before.
    ///
    /// # Errors
    /// `EDEADLK` within a method of the tree: the kernel may be waiting for the reply to that very request.
    pub fn sync(&self) -> Result<()> {
        if HELD_BACK.with_borrow(Option::is_some) {
            return Err(Errno::EDEADLK);
        }
        let (done, wait) = channel();
        self.send(Message::Sync(done));
        // The other end is dropped without a word if the mount has ended: then there is nothing to wait for.
        let _ = wait.recv();
        Ok(())
    }

    fn send(&self, message: Message) {
        HELD_BACK.with_borrow_mut(|held| match held {
            Some(held) => held.push((self.clone(), message)),
            // Fails only after the mount has ended, when the kernel has nothing left to invalidate.
            None => drop(self.shared.queue.send(message)),
        });
    }

    /// Before a reply after which entries of a directory are out of date: has the kernel ask for the directory before
    /// it uses any, if some are on their way.
    pub(crate) fn fence(&self, directory: Node) {
        if self.entries_pending(directory)
            && let Some(kernel) = self.shared.kernel.get()
        {
            // Takes no lock that the process being served could hold: only the attributes are concerned.
            report("attributes", kernel.inval_inode(fuser::INodeNo(directory.0), -1, 0));
        }
    }

    /// Whether entries of a directory are on their way to the kernel.
    pub(crate) fn entries_pending(&self, directory: Node) -> bool {
        self.shared.entries.load(Ordering::Acquire) != 0 && self.shared.pending().contains_key(&directory)
    }

    /// Waits until no entries of a directory are on their way. False if that takes too long.
    pub(crate) fn settled(&self, directory: Node) -> bool {
        if self.shared.entries.load(Ordering::Acquire) == 0 {
            return true;
        }
        let (pending, _) = self
            .shared
            .delivered
            .wait_timeout_while(self.shared.pending(), SETTLE, |pending| pending.contains_key(&directory))
            .unwrap_or_else(PoisonError::into_inner);
        !pending.contains_key(&directory)
    }
}

impl Shared {
    fn pending(&self) -> MutexGuard<'_, HashMap<Node, usize>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry_delivered(&self, parent: Node) {
        let mut pending = self.pending();
        if let Some(count) = pending.get_mut(&parent) {
            *count -= 1;
            if *count == 0 {
                pending.remove(&parent);
                self.delivered.notify_all();
            }
        }
        self.entries.fetch_sub(1, Ordering::AcqRel);
    }
}

/// While it lives, this thread serves a request: what is sent is held back. Declared before the reply is made, so that
/// it is dropped, and the messages go, after the reply has gone, also when a method panicked.
pub(crate) struct Serving {
    // The state is the thread's: the guard must be dropped where it was made.
    not_send: PhantomData<*const ()>,
}

impl Serving {
    pub(crate) fn begin() -> Self {
        HELD_BACK.with_borrow_mut(|held| {
            held.get_or_insert_with(Vec::new);
        });
        Self { not_send: PhantomData }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        for (notifier, message) in HELD_BACK.take().into_iter().flatten() {
            // As in `Notifier::send`: fails only after the mount has ended.
            drop(notifier.shared.queue.send(message));
        }
    }
}

/// The queue between notifiers and the kernel, before its thread runs.
pub(crate) struct Queue {
    notifier: Notifier,
    messages: Receiver<Message>,
}

impl Queue {
    pub(crate) fn new() -> Self {
        let (queue, messages) = channel();
        let shared = Shared {
            queue,
            kernel: OnceLock::new(),
            entries: AtomicUsize::new(0),
            pending: Mutex::default(),
            delivered: Condvar::new(),
        };
        Self { notifier: Notifier { shared: Arc::new(shared) }, messages }
    }

    pub(crate) fn notifier(&self) -> Notifier {
        self.notifier.clone()
    }

    /// Starts the thread that serves the queue until [`Worker::stop`].
    pub(crate) fn start(self, kernel: fuser::Notifier) -> io::Result<Worker> {
        let Self { notifier, messages } = self;
        let shared = Arc::clone(&notifier.shared);
        // Started once, so it was not set before.
        let _ = shared.kernel.set(kernel.clone());
        let thread = std::thread::Builder::new()
            .name("fuse-notify".to_owned())
            .spawn(move || deliver(&messages, &kernel, &shared))?;
        Ok(Worker { notifier, thread: Some(thread) })
    }
}

/// The thread that talks to the kernel.
pub(crate) struct Worker {
    notifier: Notifier,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Ends the thread; called after the kernel has dropped the connection, so that nothing it does can block.
    pub(crate) fn stop(mut self) {
        drop(self.notifier.shared.queue.send(Message::Stop));
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that tells the kernel of changes had panicked");
        }
    }
}

fn deliver(messages: &Receiver<Message>, kernel: &fuser::Notifier, shared: &Shared) {
    while let Ok(message) = messages.recv() {
        match message {
            Message::Entry { parent, name } => {
                report("entry", kernel.inval_entry(fuser::INodeNo(parent.0), &name));
                shared.entry_delivered(parent);
            }
            Message::Node { node, offset, length } => {
                report("node", kernel.inval_inode(fuser::INodeNo(node.0), offset, length));
            }
            Message::Sync(done) => {
                // The one who asked may have gone; that is not our concern.
                let _ = done.send(());
            }
            Message::Stop => return,
        }
    }
}

/// What the kernel does not know it need not drop; and after the end of the connection it has dropped everything.
fn report(what: &'static str, result: io::Result<()>) {
    match result.map_err(Errno::from) {
        Ok(()) | Err(Errno::ENODEV | Errno::ENOTCONN | Errno::ENOENT) => {}
        Err(error) => tracing::warn!(%error, what, "the kernel did not take an invalidation"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(messages: &Receiver<Message>) -> Vec<OsString> {
        messages
            .try_iter()
            .filter_map(|message| match message {
                Message::Entry { name, .. } => Some(name),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn held_back_until_the_reply_has_gone() {
        let Queue { notifier, messages } = Queue::new();
        notifier.entry(Node::ROOT, OsStr::new("at once"));
        assert_eq!(entries(&messages), ["at once"]);

        let serving = Serving::begin();
        notifier.entry(Node::ROOT, OsStr::new("later"));
        assert_eq!(notifier.sync(), Err(Errno::EDEADLK));
        assert!(entries(&messages).is_empty());
        let other = notifier.clone();
        std::thread::spawn(move || other.entry(Node::ROOT, OsStr::new("elsewhere"))).join().unwrap();
        assert_eq!(entries(&messages), ["elsewhere"]);
        drop(serving);
        assert_eq!(entries(&messages), ["later"]);
    }

    #[test]
    fn a_panic_does_not_lose_what_was_held_back() {
        let Queue { notifier, messages } = Queue::new();
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _serving = Serving::begin();
            notifier.entry(Node::ROOT, OsStr::new("x"));
            panic!("in a tree");
        }));
        assert!(caught.is_err());
        assert_eq!(entries(&messages), ["x"]);
        notifier.entry(Node::ROOT, OsStr::new("y"));
        assert_eq!(entries(&messages), ["y"]);
    }

    #[test]
    fn entries_on_their_way() {
        let Queue { notifier, messages: _messages } = Queue::new();
        let settled = |node| (notifier.entries_pending(Node(node)), notifier.settled(Node(node)));
        assert_eq!(settled(3), (false, true));
        notifier.entry(Node(3), OsStr::new("a"));
        notifier.entry(Node(3), OsStr::new("b"));
        assert_eq!((settled(3), settled(4)), ((true, false), (false, true)));
        notifier.shared.entry_delivered(Node(3));
        assert_eq!(settled(3), (true, false));
        let other = notifier.clone();
        let delivery = std::thread::spawn(move || other.shared.entry_delivered(Node(3)));
        assert!(notifier.settled(Node(3)));
        delivery.join().unwrap();
        assert_eq!(notifier.shared.entries.load(Ordering::Acquire), 0);
    }

    #[test]
    fn nothing_hangs_after_the_end() {
        let Queue { notifier, messages } = Queue::new();
        drop(messages);
        notifier.node(Node(7));
        assert_eq!(notifier.sync(), Ok(()));
    }
}
