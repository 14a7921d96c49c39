#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod background;
mod client;
mod connect;
mod default_client;
mod http_client;
mod proxies;
mod redacted_trace_log;
mod resolver;
#[cfg(feature = "tls")]
mod tls_connector;
mod workers;

pub use client::{CyclesClient, CyclesClientBuilder};
pub use default_client::{default_client, set_default_client, with_default_client};

pub use cycles_client::blocking::{
    Client, Journal, Kept, Metered, ReservationGuard, Run, Settling, StepContext, try_with_cycles,
    with_cycles,
};
pub use cycles_client::run::{CompletedStep, RunBudget, RunConfig, Step};
pub use cycles_client::{
    Clock, Close, Completed, CyclesContext, Done, GuardContext, Hold, Lease, Marking, NotMarked, TestClock,
    Tick, Ticker, Transport,
};
pub use cycles_host::{HttpOptions, Observer};
pub use cycles_proto as proto;
pub use cycles_proto::config::{RetryPolicy, Settings};
pub use cycles_proto::journal::{EntryError, EntryKind, JournalEntry, RecordsElsewhere};
pub use cycles_proto::with_cycles_config::{
    BoxError, HeartbeatPolicy, NotCompleted, OnError, WithCyclesConfig,
};
pub use cycles_proto::{
    ActionError, CallContext, ConfigError, CyclesConfig, CyclesConfigBuilder, Error, ErrorReply, Event,
    FailureKind, Flushed, InvalidCommit, Mode, RawRequest, RawResponse, Reading, Receipt, RunEnd,
    RunExhausted, RunOver, ShadowDecision, Stats, TraceParent, TransportError, UnixMillis, models, money,
    stats,
};

#[cfg(feature = "macros")]
pub use cycles_macros::ureq as cycles;

/// Private items, for the code that the attribute `cycles` generates.
#[cfg(feature = "macros")]
#[doc(hidden)]
pub mod __private {
    pub use cycles_client::blocking::attribute::{
        Value, called, guarded, made, made_read, metered, metered_read, paid, run, step, unit_of,
    };
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
