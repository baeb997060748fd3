// SPDX-License-Identifier: GPL-3.0-or-later
//! The thread pool that heavy work runs on.

use std::sync::Arc;

use crate::base::{Error, ErrorClass, Result};

/// A handle to worker threads. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Pool(Arc<rayon::ThreadPool>);

impl Pool {
    /// A pool of `threads` workers; zero means one per core.
    ///
    /// # Errors
    /// When the system refuses to start threads.
    pub fn new(threads: usize) -> Result<Self> {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("worker-{index}"))
            .build()
            .map(|pool| Self(Arc::new(pool)))
            .map_err(|error| {
                Error::new(ErrorClass::Internal, format!("cannot start worker threads: {error}"))
            })
    }

    /// How many workers there are.
    pub fn threads(&self) -> usize {
        self.0.current_num_threads()
    }

    /// Runs `work` inside the pool, so that rayon's parallel iterators use its workers.
    pub fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.0.install(work)
    }

    /// Starts `work` without waiting for it.
    pub fn spawn(&self, work: impl FnOnce() + Send + 'static) {
        self.0.spawn(work);
    }
}
