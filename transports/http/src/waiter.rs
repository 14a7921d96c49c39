//! Whoever waits for the answer to a call.

use std::task::{Context, Poll};

use bytes::Bytes;
use cycles_client::Done;
use cycles_proto::Failure;
use http::Response;

/// Whoever waits for the answer to a call: an engine, by its [`Done`], or a test. Dropped, it knows that there will be none.
pub trait Waiter: Send + Sync + 'static {
    /// Asked right before the first byte leaves: whether it may.
    fn begin(&mut self) -> bool;

    /// Whether nobody waits any more. If not, `cx` is woken when that may have changed.
    fn poll_withdrawn(&self, cx: &Context<'_>) -> Poll<()>;

    /// What came of the call.
    fn finish(self, result: Result<Response<Bytes>, Failure>);
}

impl Waiter for Done {
    fn begin(&mut self) -> bool {
        self.begin()
    }

    fn poll_withdrawn(&self, cx: &Context<'_>) -> Poll<()> {
        self.poll_withdrawn(cx)
    }

    fn finish(self, result: Result<Response<Bytes>, Failure>) {
        self.finish(result);
    }
}
