// SPDX-License-Identifier: GPL-3.0-or-later
//! What touches the operating system for everybody else: random-access reads, windows on files,
//! scratch space, atomic replacement, progress, cancellation and the thread pool.

mod cancel;
mod lock;
mod pool;
mod progress;
mod read_at;
mod replace;
mod scratch;
mod space;

pub use cancel::Cancel;
pub use lock::open_locked;
pub use pool::{MemoryLimit, Pool};
pub use progress::{Event, NoProgress, Progress, Task};
pub use read_at::{FileReader, ReadAt, Window, read_vec};
pub use replace::AtomicFile;
pub use scratch::Scratch;
pub use space::free_space;

/// Where "now" comes from. Floors 0 to 5 never read the system's clock themselves.
pub trait Clock: Send + Sync {
    /// The time to stamp on what is changed.
    fn now(&self) -> crate::base::FileTime;
}

/// A clock that always says the same.
#[derive(Clone, Copy, Debug)]
pub struct FixedClock(pub crate::base::FileTime);

impl Clock for FixedClock {
    fn now(&self) -> crate::base::FileTime {
        self.0
    }
}
