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
pub mod guarded;
pub mod journal;
pub mod keys;
pub mod meter;
pub mod models;
pub mod money;
pub mod outcome;
mod path;
mod reservation;
pub mod session;
mod settlement;
mod step;
mod text;
mod ticket;
pub mod time;
mod wire;

pub use config::{ConfigError, CyclesConfig, CyclesConfigBuilder};
#[doc(no_inline)]
pub use journal::record;
pub use keys::{Seed, TraceParent};
pub use meter::Reading;
pub use outcome::{
    ActionError, CallContext, Error, ErrorReply, Event, Failure, FailureKind, Flushed, InvalidCall,
    InvalidCommit, OperationKind, Outcome, Receipt, TransportError, UnreadableReply,
};
pub use session::Session;
pub use ticket::Ticket;
pub use time::{Now, UnixMillis};
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
