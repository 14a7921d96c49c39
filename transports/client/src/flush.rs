//! `client.flush`: awaits a flush of the session.

use core::time::Duration;

use cycles_proto::session::Key;
use cycles_proto::{Error, Flushed};

use crate::client::Client;
use crate::engine::Waiting;

impl Client {
    /// Settles what can be settled, from this process and from the journal. Returns when nothing is in progress any
    /// more, or after `timeout`. If another process is replaying the journal, or the journal could not be read, a last
    /// look at the journal takes up to a second longer. Call this before a program ends; a good `timeout` is
    /// [`RetryPolicy::flush_timeout`](crate::RetryPolicy::flush_timeout), 10 s by default.
    ///
    /// Covers the API key and tenant of this client. Flush the clients that
    /// [`with_credentials`](Self::with_credentials) returned as well.
    ///
    /// The future may be dropped: settling continues in the background.
    ///
    /// # Errors
    /// [`Error::Config`] if the client cannot be used.
    pub async fn flush(&self, timeout: Duration) -> Result<Flushed, Error> {
        self.flush_with(false, timeout).await
    }

    /// Like [`flush`](Self::flush), but also sends costs that were set aside as
    /// [stale](crate::proto::outcome::Aside::Stale): they were in the journal for so long that the server may have
    /// forgotten their keys. Each is sent with the recorded bytes and key. Costs that cannot be settled keep their
    /// files, and are counted in [`Flushed::recorded`].
    ///
    /// **This may charge a cost twice**: if an attempt got through back then and only its response was lost, the server
    /// may not remember it. Use it only if no attempt can have reached the ledger, such as after an outage that began
    /// before the first attempt, or after comparing the `*.stale` files in the journal with the ledger and deleting
    /// those that the ledger has. A reservation that the server no longer knows cannot be committed: its record
    /// stays, and a person can charge the cost with [`create_event`](Self::create_event).
    ///
    /// # Errors
    /// The same errors as [`flush`](Self::flush).
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
