//! Ending in good order: waiting until everything is settled that can be.

use core::time::Duration;

use cycles_proto::session::Key;
use cycles_proto::{Error, Flushed};

use crate::client::Client;
use crate::engine::Waiting;

impl Client {
    /// Settles what can be settled, of this process and in the journal, and returns when nothing more is under
    /// way or after `timeout`, whichever comes first; up to a second later if the journal was left to another process or
    /// could not be read, for a last look at it. Call it before a program ends; without an argument of its
    /// own, [`RetryPolicy::flush_timeout`](crate::RetryPolicy::flush_timeout) is a good one.
    ///
    /// # Errors
    /// [`Error::Config`] if the client cannot be used.
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
        let shared = ready.engine.shared();
        let key = shared.with(|session, now| {
            let until = now.mono.saturating_add(timeout);
            session.flush(now, &ready.caller, until, is_forced)
        });
        let waiting = Waiting::new(shared, Key::Flush(key));
        Ok(waiting.until(|session| session.flushed(key)).await)
    }
}
