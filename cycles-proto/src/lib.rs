#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    not(feature = "parts"),
    allow(
        dead_code,
        unreachable_pub,
        reason = "the feature `parts` exports these items"
    )
)]

mod api_key;
#[doc(hidden)]
pub mod attribute;
mod backoff;
pub mod config;
mod dispatch;
pub mod idempotency;
pub mod journal;
pub mod meter;
pub mod models;
pub mod money;
pub mod outcome;
mod reservation;
pub mod run;
pub mod session;
mod settlement;
pub mod stats;
mod step;
mod text;
mod ticket;
pub mod time;
pub mod trace_parent;
mod url_path;
mod wire;
pub mod with_cycles_config;

pub use config::{ConfigError, CyclesConfig, CyclesConfigBuilder, Mode};
pub use idempotency::Seed;
#[doc(no_inline)]
pub use journal::record;
pub use meter::Reading;
pub use outcome::{
    ActionError, CallContext, Error, ErrorReply, Event, Failure, FailureKind, Flushed, InvalidCall,
    InvalidCommit, OperationKind, Outcome, Receipt, RunEnd, RunExhausted, RunOver, ShadowDecision,
    TransportError, UnreadableReply,
};
pub use session::Session;
pub use stats::Stats;
pub use ticket::Ticket;
pub use time::{Now, UnixMillis};
pub use trace_parent::TraceParent;
pub use wire::{Answer, Call, Operation, Progress, RawRequest, RawResponse, Reader, Urgency};

/// The parts of a [`Session`], for tests and fuzz targets. They may change in any release.
#[cfg(feature = "parts")]
#[doc(hidden)]
pub mod parts {
    pub use crate::outcome::Unsuccessful;
    pub use crate::reservation::schedule;
    pub use crate::reservation::{Reservation, Results};
    pub use crate::session::replay::{AT_A_TIME, Replay, Replayer, Tally};
    pub use crate::settlement::Settlement;
    pub use crate::step::Step;
    pub use crate::wire::reply::{Reply, Verdict, verdict};
}
