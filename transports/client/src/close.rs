//! `client.close`: ends the session of a client and its clones.

use core::time::Duration;

use cycles_proto::session::{Close, Key, Session};
use cycles_proto::{Error, Flushed};

use crate::client::Client;

impl Client {
    /// Closes this client and everything that shares its connections: its clones, and clients made from it for other
    /// observers, traces or credentials. From now on every new reservation and call returns [`Error::Closed`]. Then:
    ///
    /// 1. Actions that run are waited for. With [`Close::WhenDone`] they run to their end; with [`Close::Leaving`] they
    ///    are asked to stop: `with_cycles` drops its action, which returns [`Error::Stopped`], and others can look at
    ///    [`Lease::is_stopping`](crate::Lease::is_stopping). What an action had spent is charged, otherwise its budget
    ///    is given back. Leases are extended and costs are accepted until the end.
    /// 2. Everything is [flushed](Self::flush), for every key and tenant.
    ///
    /// [`Close::WritingOnly`] sends nothing any more: costs are only written to the journal, for the next run.
    ///
    /// This returns when all that is done, or after `timeout`, or up to a second later if a journal still has to be
    /// read or written. When the time is up, the reported spending of actions that still run is committed. Other
    /// actions that were asked to stop give their budget back. With `WhenDone` they keep it until their leases end,
    /// because their costs may still come: these are accepted as long as the process lives.
    ///
    /// [`Flushed`] says what is left, for all keys and tenants together; costs that are left stay in the journal. Closing
    /// again can make the close stricter and earlier, and once it is over, returns the same result, unless a stricter
    /// way still has something to do. The future may be dropped: closing continues in the background. An action must not
    /// await the close of its own client: it would wait for itself.
    ///
    /// # Errors
    /// [`Error::Config`] if the client cannot be used.
    pub async fn close(&self, how: Close, timeout: Duration) -> Result<Flushed, Error> {
        let shared = self.ready()?.engine.shared();
        shared.with(|session, now| {
            session.shut_down(now, how, now.mono.saturating_add(timeout));
        });
        // A cost that was handed over elsewhere may still be on its way to the disk when the program ends.
        shared.await_costs_at_thread_end();
        let left = |session: &mut Session| session.left_at_end();
        Ok(shared.wait_for(Key::Close, left).await)
    }
}
