//! The receiver of a call's result.

use std::task::{Context, Poll};

use bytes::Bytes;
use cycles_client::Done;
use cycles_proto::Failure;
use http::Response;

/// Receives the result of a call: an engine's [`Done`], or a test's own type. Dropping it reports that there is no
/// result.
pub trait Waiter: Send + Sync + 'static {
    /// Returns whether the call may be sent; called right before the first byte is written.
    fn begin(&mut self) -> bool;

    /// Ready when the call is withdrawn. Until then, `cx` is woken when that changes.
    fn poll_withdrawn(&self, cx: &Context<'_>) -> Poll<()>;

    /// Takes the result of the call.
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
