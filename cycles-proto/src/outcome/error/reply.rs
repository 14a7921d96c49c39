//! What a reply, or the lack of one, says about a call.

use super::{ErrorReply, TransportError};
use crate::models::{ErrorResponse, ResponseInfo};
use crate::outcome::FailureKind;

impl ErrorReply {
    /// Whether the ledger may have been changed.
    pub fn outcome_is_unknown(&self) -> bool {
        self.outcome_is_unknown && self.call.operation.changes_the_ledger()
    }

    /// The body, if it is an error of the protocol.
    pub fn error(&self) -> Option<&ErrorResponse> {
        self.reply.error.as_ref()
    }

    /// Status, headers and body as received.
    pub fn info(&self) -> &ResponseInfo {
        &self.reply.info
    }

    pub(super) fn request_id(&self) -> Option<&str> {
        let in_body = self.error().and_then(|error| error.request_id.as_deref());
        in_body.or_else(|| self.info().request_id())
    }

    pub(super) fn trace_id(&self) -> Option<&str> {
        let in_body = || self.error()?.trace_id.as_deref();
        self.info().trace_id().or_else(in_body)
    }
}

impl TransportError {
    /// What went wrong.
    pub fn kind(&self) -> FailureKind {
        self.failure.kind()
    }

    /// Whether the request may have reached the server, in the last attempt or in an earlier one. If `false`, nothing
    /// was sent.
    pub fn may_have_been_sent(&self) -> bool {
        self.may_have_been_sent
    }

    pub(super) fn outcome_is_unknown(&self) -> bool {
        self.may_have_been_sent() && self.call.operation.changes_the_ledger()
    }
}
