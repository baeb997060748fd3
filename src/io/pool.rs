// SPDX-License-Identifier: GPL-3.0-or-later
//! The workers and the memory that heavy work may take.

use std::sync::Arc;

use crate::base::{Error, ErrorClass, Result};

/// How many bytes of buffers a run may hold at once. A bound to plan with, not a wall: what
/// cannot be done with less is done all the same, one thing at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemoryLimit(pub u64);

impl MemoryLimit {
    /// No bound.
    pub const NONE: Self = Self(u64::MAX);

    /// How many things of `bytes` each fit; at least one.
    pub fn fitting(self, bytes: u64) -> usize {
        usize::try_from(self.0 / bytes.max(1)).unwrap_or(usize::MAX).max(1)
    }
}

/// A handle to worker threads. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Pool {
    workers: Arc<rayon::ThreadPool>,
    memory: MemoryLimit,
}

impl Pool {
    /// A pool of `threads` workers without a bound of memory; zero means one per core.
    ///
    /// # Errors
    /// When the system refuses to start threads.
    pub fn new(threads: usize) -> Result<Self> {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("worker-{index}"))
            .build()
            .map(|pool| Self { workers: Arc::new(pool), memory: MemoryLimit::NONE })
            .map_err(|error| {
                Error::new(ErrorClass::Internal, format!("cannot start worker threads: {error}"))
            })
    }

    /// The same workers with a bound of memory.
    #[must_use]
    pub fn with_memory(self, memory: MemoryLimit) -> Self {
        Self { memory, ..self }
    }

    /// How many workers there are.
    pub fn threads(&self) -> usize {
        self.workers.current_num_threads()
    }

    /// The bytes that large buffers may take together.
    pub fn memory(&self) -> MemoryLimit {
        self.memory
    }

    /// How many things that take `bytes` of memory each may be worked on at once: as many as there
    /// are workers, if that much memory may be taken; at least one.
    pub fn at_once(&self, bytes: u64) -> usize {
        self.threads().min(self.memory.fitting(bytes))
    }

    /// Runs `work` inside the pool, so that rayon's parallel iterators use its workers.
    pub fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.workers.install(work)
    }

    /// Runs two pieces of work on the workers and `here` on this thread, which may wait for the
    /// system meanwhile; returns when all three have ended.
    pub fn beside<R>(
        &self,
        first: impl FnOnce() + Send,
        second: impl FnOnce() + Send,
        here: impl FnOnce() -> R,
    ) -> R {
        self.workers.in_place_scope(|scope| {
            scope.spawn(|_| first());
            scope.spawn(|_| second());
            here()
        })
    }

    /// Starts `work` without waiting for it.
    pub fn spawn(&self, work: impl FnOnce() + Send + 'static) {
        self.workers.spawn(work);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_bounds_what_goes_on_at_once() {
        let pool = Pool::new(4).unwrap();
        assert_eq!((pool.threads(), pool.at_once(1 << 40)), (4, 4));
        let pool = pool.with_memory(MemoryLimit(1000));
        for (bytes, expected) in [(0, 4), (100, 4), (250, 4), (251, 3), (500, 2), (1000, 1), (u64::MAX, 1)] {
            assert_eq!(pool.at_once(bytes), expected, "{bytes}");
        }
    }
}
