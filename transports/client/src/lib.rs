#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[doc(hidden)]
#[cfg(feature = "async")]
pub mod attribute;
#[cfg(feature = "blocking")]
pub mod blocking;
mod builder;
mod client;
mod close;
mod completed;
mod context;
mod engine;
mod flush;
mod guard;
#[cfg(feature = "async")]
mod guard_meter;
mod journal;
mod marking;
#[cfg(any(feature = "async", feature = "blocking"))]
mod metered_stream;
mod operations;
#[cfg(feature = "async")]
mod pages;
pub mod run;
mod span;
mod stats;
mod sync;
mod test_clock;
mod transport;
mod with_cycles;

pub use builder::{Adapter, CyclesClientBuilder, Options};
pub use client::Client;
pub use completed::Completed;
pub use context::{CyclesContext, GuardContext, Lease};
pub use engine::{Background, Done, Run, Running, Tick, Ticker, Timer};
pub use guard::{Committing, Releasing, ReservationGuard};
pub use journal::Journal;
pub use marking::Marking;
#[cfg(any(feature = "async", feature = "blocking"))]
pub use metered_stream::{Metered, Settling};
pub use test_clock::{Advance, TestClock};
pub use transport::{Clock, Hold, Transport};
pub use with_cycles::{try_with_cycles, with_cycles};

pub use cycles_host::Observer;
pub use cycles_proto as proto;
pub use cycles_proto::config::{RetryPolicy, Settings};
pub use cycles_proto::journal::{EntryError, EntryKind, JournalEntry, RecordsElsewhere};
pub use cycles_proto::outcome::NotMarked;
pub use cycles_proto::session::Close;
pub use cycles_proto::with_cycles_config::{
    BoxError, HeartbeatPolicy, NotCompleted, OnError, WithCyclesConfig,
};
pub use cycles_proto::{
    ActionError, CallContext, ConfigError, CyclesConfig, CyclesConfigBuilder, Error, ErrorReply, Event,
    FailureKind, Flushed, InvalidCommit, Mode, RawRequest, RawResponse, Reading, Receipt, RunEnd,
    RunExhausted, RunOver, ShadowDecision, Stats, TraceParent, TransportError, UnixMillis, models, money,
};
