#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[doc(hidden)]
pub mod attribute;
mod builder;
mod client;
mod completed;
mod context;
mod driver;
mod exchange;
mod flush;
mod gate;
mod guard;
mod meter;
mod operations;
mod pages;
mod parked;
mod replay;
mod runtime;
mod slot;
mod timer;
mod with_cycles;

pub use builder::CyclesClientBuilder;
pub use client::CyclesClient;
pub use completed::Completed;
pub use context::{CyclesContext, GuardContext, Lease};
pub use guard::{Committing, Releasing, ReservationGuard};
pub use meter::{Metered, Settling};
pub use runtime::Runtime;
pub use with_cycles::{try_with_cycles, with_cycles};

pub use cycles_host::{Clock, Observer};
pub use cycles_proto as proto;
pub use cycles_proto::config::RetryPolicy;
pub use cycles_proto::guarded::{BoxError, HeartbeatPolicy, NotCompleted, WithCyclesConfig};
pub use cycles_proto::{
    ActionError, CallContext, ConfigError, CyclesConfig, CyclesConfigBuilder, Error, ErrorReply, Event,
    FailureKind, Flushed, InvalidCommit, RawRequest, RawResponse, Reading, Receipt, TraceParent,
    TransportError, UnixMillis, models, money,
};
