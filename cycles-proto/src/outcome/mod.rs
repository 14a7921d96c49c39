//! Results for callers: outcomes and receipts, errors, and events.

mod charge;
mod error;
mod event;
mod failure;
mod flushed;
mod grant;
mod invalid_commit;
mod not_marked;
mod operation_kind;
mod receipt;
mod release_reason;
mod reservation_info;
mod reservation_outcome;
mod run_refused;
mod shadow_decision;
mod stop;
mod stored;
mod unsuccessful;

pub use self::charge::{ActualSource, ChargedBy};
pub use self::error::{
    ActionError, CallContext, Error, ErrorReply, InvalidCall, TransportError, UnreadableReply,
};
pub use self::event::Event;
pub use self::failure::{Failure, FailureKind};
pub use self::flushed::Flushed;
pub use self::grant::Grant;
pub use self::invalid_commit::InvalidCommit;
pub use self::not_marked::NotMarked;
pub use self::operation_kind::OperationKind;
pub use self::receipt::{Charged, Receipt};
pub use self::release_reason::ReleaseReason;
pub use self::reservation_info::{Purpose, ReservationInfo};
pub use self::reservation_outcome::{Outcome, Released};
pub use self::run_refused::{RunEnd, RunExhausted, RunOver};
pub use self::shadow_decision::ShadowDecision;
pub use self::stop::Stop;
pub use self::stored::{Aside, StoreFailure};
pub use self::unsuccessful::Unsuccessful;
pub(crate) use self::unsuccessful::{OUTAGE, PROXY_WANTS_CREDENTIALS, is_open};
