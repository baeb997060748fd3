// SPDX-License-Identifier: GPL-3.0-or-later
//! A request to stop, seen by long work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::base::{Error, ErrorClass, Result};

/// Shared between whoever asks to stop and the work that looks.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks the work to stop at its next look.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Fails once stopping was asked for.
    ///
    /// # Errors
    /// [`ErrorClass::Cancelled`].
    pub fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorClass::Cancelled, "stopped on request; nothing was changed"));
        }
        Ok(())
    }
}
