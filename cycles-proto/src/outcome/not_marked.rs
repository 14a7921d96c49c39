//! Why a dispatched request has no durable mark.

use super::StoreFailure;

/// Why it is not on disk that a request leaves. If this process dies before the action ends, nothing will say then that
/// the request may have to be paid for. As long as it lives, it knows that, except after [`NotHeld`](Self::NotHeld) and
/// [`Forked`](Self::Forked).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotMarked {
    /// There is no reservation to charge: it has not been granted, it has ended, or its cost was handed over.
    #[error(
        "there is no reservation that the request could be charged to: it was not granted, or it has ended. Reserve before \
         the request leaves"
    )]
    NotHeld,
    /// The reservation was made before a fork, and belongs to the parent process.
    #[error(
        "this process was forked from the one that made the reservation, so the request cannot be charged to it. Reserve in \
         the process that sends the request, with a client that was made after the fork"
    )]
    Forked,
    /// The journal is switched off.
    #[error(
        "the journal is switched off, so only this process knows that the request may have to be paid for. Switch it on, or \
         call `dispatched`, which writes nothing"
    )]
    NoJournal,
    /// The mark could not be written.
    #[error("only this process knows that the request may have to be paid for: {0}")]
    Failed(StoreFailure),
}
