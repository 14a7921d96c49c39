//! Ending in good order: waiting until everything is settled that can be.

use core::future::{Future, poll_fn};
use core::time::Duration;

use cycles_proto::{Error, Flushed};
use futures::future::{Either, select};

use crate::client::{CyclesClient, Ready, no_runtime};
use crate::runtime::Runtime;

impl<R: Runtime> CyclesClient<R> {
    /// Settles what can be settled, of this process and in the journal, and returns when nothing more is under
    /// way or after `timeout`, whichever comes first; up to a second later if the journal was left to another process or
    /// could not be read, for a last look at it. Call it before a program ends; without an argument of its
    /// own, [`RetryPolicy::flush_timeout`](crate::RetryPolicy::flush_timeout) is a good one.
    ///
    /// # Errors
    /// [`Error::Config`] if the client cannot be used, or no runtime is running here.
    pub async fn flush(&self, timeout: Duration) -> Result<Flushed, Error> {
        self.flush_with(false, timeout).await
    }

    /// As [`flush`](Self::flush), and sends what was set aside as [stale](crate::proto::outcome::Aside::Stale) too:
    /// costs that were in the journal for so long that the server may have forgotten their keys. Each is sent with
    /// the bytes and the key that were recorded. What stays keeps its file, and is counted in
    /// [`Flushed::recorded`].
    ///
    /// **It may charge a cost twice**: if an attempt got through back then and only its answer was lost, the
    /// server knows no more that it did. It is safe for costs that no attempt can have brought into the ledger,
    /// as after an outage that began before the first of them; and after somebody compared the `*.stale` files in
    /// the journal with the ledger and took away those that it has. A reservation that the server does not know
    /// any more cannot be committed: such a record stays, for a person to charge with
    /// [`create_event`](Self::create_event).
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub async fn flush_stale(&self, timeout: Duration) -> Result<Flushed, Error> {
        self.flush_with(true, timeout).await
    }

    async fn flush_with(&self, is_forced: bool, timeout: Duration) -> Result<Flushed, Error> {
        let ready = self.ready()?;
        if ready.runtime.spawn(async {}).is_err() {
            return Err(no_runtime().into());
        }
        let end = ready.runtime.now().mono.saturating_add(timeout);
        let mut has_asked = false;
        let quiet = poll_fn(|cx| {
            // Where the runtime of the replay ended meanwhile, it goes on here.
            if ready.start_replay() || !has_asked {
                has_asked = true;
                ready.wake_replay(is_forced);
            }
            ready.replay.poll_quiet(ready.runtime.now(), end, cx)
        });
        within(ready, end, quiet).await;
        let left = || ready.replay.left(ready.runtime.now(), ready.journal.is_enabled());
        if left().is_certain || !ready.look_again() {
            return Ok(left());
        }
        let end = ready.runtime.now().mono.saturating_add(Flushed::LAST_LOOK);
        let certain = poll_fn(|cx| ready.replay.poll_certain(ready.runtime.now(), cx));
        within(ready, end, certain).await;
        Ok(left())
    }
}

/// Waits for it until then at most.
async fn within<R: Runtime>(ready: &Ready<R>, end: Duration, over: impl Future<Output = ()>) {
    let sleep = core::pin::pin!(ready.runtime.sleep_until(end));
    match select(core::pin::pin!(over), sleep).await {
        Either::Left(_) | Either::Right(_) => {}
    }
}
