//! Ending in good order: waiting until everything is settled that can be.

use core::future::poll_fn;
use core::time::Duration;

use cycles_proto::Error;
use futures::future::{Either, select};

use crate::client::{CyclesClient, no_runtime};
use crate::runtime::Runtime;

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

impl<R: Runtime> CyclesClient<R> {
    /// Settles what can be settled, of this process and in the journal, and returns when nothing more is under
    /// way or after `timeout`, whichever comes first. Call it before a program ends; without an argument of its
    /// own, [`RetryPolicy::flush_timeout`](crate::RetryPolicy::flush_timeout) is a good one.
    ///
    /// # Errors
    /// [`Error::Config`] if the client cannot be used, or no runtime is running here.
    pub async fn flush(&self, timeout: Duration) -> Result<Flushed, Error> {
        let ready = self.ready()?;
        if ready.runtime.spawn(async {}).is_err() {
            return Err(no_runtime().into());
        }
        ready.start_replay();
        ready.wake_replay();
        let end = ready.runtime.now().mono.saturating_add(timeout);
        let quiet = poll_fn(|cx| ready.replay.poll_quiet(ready.runtime.now(), end, cx));
        let sleep = core::pin::pin!(ready.runtime.sleep_until(end));
        match select(core::pin::pin!(quiet), sleep).await {
            Either::Left(_) | Either::Right(_) => {}
        }
        let left = ready.replay.left(ready.runtime.now());
        Ok(Flushed {
            is_certain: left.is_certain || !ready.journal.is_enabled(),
            ..left
        })
    }
}
