#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod background;
mod client;
mod default_client;
mod paused_clock;
mod reactor;

pub use client::{CyclesClient, CyclesClientBuilder};
pub use default_client::{default_client, set_default_client, with_default_client};

pub use cycles_client::run::{CompletedStep, Kept, Run, RunBudget, RunConfig, Step, StepContext};
pub use cycles_client::{
    Advance, BoxError, Client, Clock, Close, Committing, Completed, CyclesContext, Done, Flushed,
    GuardContext, HeartbeatPolicy, Hold, Journal, Lease, Marking, Metered, NotCompleted, NotMarked, Observer,
    OnError, Releasing, ReservationGuard, Settling, TestClock, Tick, Ticker, Transport, WithCyclesConfig,
    try_with_cycles, with_cycles,
};
pub use cycles_host::HttpOptions;
pub use cycles_proto as proto;
pub use cycles_proto::config::{RetryPolicy, Settings};
pub use cycles_proto::journal::{EntryError, EntryKind, JournalEntry, RecordsElsewhere};
pub use cycles_proto::{
    ActionError, CallContext, ConfigError, CyclesConfig, CyclesConfigBuilder, Error, ErrorReply, Event,
    FailureKind, InvalidCommit, Mode, RawRequest, RawResponse, Reading, Receipt, RunEnd, RunExhausted,
    RunOver, ShadowDecision, Stats, TraceParent, TransportError, UnixMillis, models, money, stats,
};

#[cfg(feature = "macros")]
pub use cycles_macros::tokio as cycles;

/// Private items, for the code that the attribute `cycles` generates.
#[cfg(feature = "macros")]
#[doc(hidden)]
pub mod __private {
    pub use cycles_client::attribute::{Value, guarded, made, metered, paid, run, step, unit_of};
    pub use cycles_client::run::Step;
    pub use cycles_proto::attribute::{
        AnyValue, Pair, amount, cost, dimensions, ended, in_unit, reading, returned, returning, text,
    };
    pub use cycles_proto::models::{CommitOveragePolicy, Subject, Unit};

    pub use crate::{CyclesClient, Mode, OnError, WithCyclesConfig, default_client};

    /// Clones the client that an attribute names.
    pub fn client(client: &CyclesClient) -> CyclesClient {
        client.clone()
    }
}
