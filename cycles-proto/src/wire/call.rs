//! What an adapter is asked to do, and what it may say when it could not.

use core::fmt;
use core::time::Duration;

use bytes::Bytes;

use crate::ticket::Ticket;
use crate::wire::Reader;

/// The largest response body that is read: 1 MiB.
pub(super) const MAX_RESPONSE: usize = 1 << 20;

/// One HTTP exchange to make: send the request as it is, once, without following redirects.
///
/// `Debug` shows method, address and sizes: never headers, which hold the API key.
#[derive(Clone)]
pub struct Call {
    /// Names this attempt.
    pub ticket: Ticket,
    /// The request, complete with its absolute address and `content-length`.
    pub request: http::Request<Bytes>,
    /// How long all of it may take, to the last byte of the response.
    pub timeout: Duration,
    /// The largest response body to read, in bytes.
    pub max_response: usize,
    /// Which of several calls goes first where not all can go at once.
    pub urgency: Urgency,
    /// Whether to make a connection for it, and to close those that wait for another request: an attempt before it, at this
    /// call or another, went without an answer, and when a server or a balancer goes away it takes them all along.
    pub fresh: bool,
    /// What reads the answer, wherever that comes in.
    pub reader: Reader,
}

/// How urgent a call is; the least goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// A cost on its way into the ledger.
    Settlement,
    /// An extension of a lease that lasts until this time.
    Lease(Duration),
    /// Anything else, in the order in which it was asked.
    Other,
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
