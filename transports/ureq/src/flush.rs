//! Ending in good order: waiting until everything is settled that can be.

use core::time::Duration;

use cycles_proto::Error;

use crate::client::CyclesClient;

/// What a [flush](CyclesClient::flush) left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "it tells whether costs are left to be settled"]
#[non_exhaustive]
pub struct Flushed {
    /// Reservations of this process that are still being settled or released.
    pub ending: usize,
    /// Records in the journal that are not settled; a later run settles them.
    pub recorded: usize,
    /// Whether there are no more records than these. If not, the time was over before the journal was read, or
    /// it could not be read, which observers are told.
    pub is_certain: bool,
}

impl Flushed {
    /// Whether nothing is left.
    pub fn is_complete(&self) -> bool {
        self.ending == 0 && self.recorded == 0 && self.is_certain
    }
}

impl CyclesClient {
    /// Settles what can be settled, of this process and in the journal, and returns when nothing more is under
    /// way or after `timeout`, whichever comes first. It is what a short script ends with: a process that ends
    /// takes its threads along. Without an argument of its own,
    /// [`RetryPolicy::flush_timeout`](crate::RetryPolicy::flush_timeout) is a good one.
    ///
    /// # Errors
    /// [`Error::Config`] if the client cannot be used.
    pub fn flush(&self, timeout: Duration) -> Result<Flushed, Error> {
        let ready = self.ready()?;
        Ok(ready.engine.flush(&ready.observers, timeout))
    }
}
