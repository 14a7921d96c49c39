//! The call that an adapter has to make.

use core::fmt;
use core::time::Duration;

use bytes::Bytes;

use crate::ticket::Ticket;
use crate::wire::Reader;

/// The largest response body to read: 1 MiB.
pub(super) const MAX_RESPONSE: usize = 1 << 20;

/// An HTTP exchange to make: send the request as it is, once, without following redirects.
///
/// `Debug` shows method, address and sizes, but no headers, because they contain the API key.
#[derive(Clone)]
pub struct Call {
    /// The ticket of this attempt.
    pub ticket: Ticket,
    /// The request, complete with its absolute address and `content-length`.
    pub request: http::Request<Bytes>,
    /// How long the exchange may take, up to the last byte of the response.
    pub timeout: Duration,
    /// The largest response body to read, in bytes.
    pub max_response: usize,
    /// Which call goes first if not all can be made at once.
    pub urgency: Urgency,
    /// Whether to make a new connection and close the idle ones. This is set after an attempt, at this call or another,
    /// got no answer, because a server or load balancer that goes away takes all connections with it.
    pub fresh: bool,
    /// The reader of the answer; it can be used on any thread.
    pub reader: Reader,
}

/// The urgency of a call; the lowest value goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// A cost on its way into the ledger.
    Settlement,
    /// An extension of a lease that lasts until this time.
    Lease(Duration),
    /// Anything else, in the order of the requests.
    Other,
    /// A question about an action in shadow mode, which runs meanwhile and does not wait for the answer.
    Check,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("ticket", &self.ticket)
            .field("method", self.request.method())
            .field("uri", self.request.uri())
            .field("body", &format_args!("{} bytes", self.request.body().len()))
            .field("timeout", &self.timeout)
            .field("fresh", &self.fresh)
            .finish_non_exhaustive()
    }
}
