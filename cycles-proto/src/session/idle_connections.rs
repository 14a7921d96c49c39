//! Tracks whether idle connections may be dead: a device on the way to the server can drop all of them without notice.

use crate::outcome::FailureKind;

/// The state of the idle connections. When an attempt ends without an answer, the next call closes them all, so that
/// only one attempt is lost and not one per connection.
#[derive(Debug, Default)]
pub(super) struct IdleConnections {
    /// How many times they have been closed.
    closings: u64,
    may_be_dead: bool,
}

/// When an attempt began, counted in closings of the idle connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Since(u64);

impl IdleConnections {
    /// Notes that a call is sent. Returns whether it has to make a new connection and close the idle ones.
    pub(super) fn note_call(&mut self) -> (bool, Since) {
        let is_fresh = core::mem::take(&mut self.may_be_dead);
        self.closings += u64::from(is_fresh);
        (is_fresh, Since(self.closings))
    }

    /// Notes that an attempt got no answer. If the idle connections were closed after it began, this says nothing about
    /// the connections that were made since.
    pub(super) fn note_failure(&mut self, since: Since, kind: FailureKind) {
        self.may_be_dead |= kind.suggests_dead_connections() && since == Since(self.closings);
    }
}
