#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod default_client;
mod here;
mod reactor;
mod runtime;

pub use default_client::{default_client, set_default_client, with_default_client};
pub use runtime::Tokio;

/// A client of a Cycles server on tokio. Its methods must be awaited in a tokio runtime with I/O and time
/// enabled.
pub type CyclesClient = cycles_client::CyclesClient<Tokio>;

/// Makes a [`CyclesClient`].
pub type CyclesClientBuilder = cycles_client::CyclesClientBuilder<Tokio>;

/// A reservation whose lease is kept alive.
pub type ReservationGuard = cycles_client::ReservationGuard<Tokio>;

/// Waits for a cost that was taken already; see [`ReservationGuard::commit`].
pub type Committing = cycles_client::Committing<Tokio>;

/// Waits for a release that was begun already; see [`ReservationGuard::release`].
pub type Releasing = cycles_client::Releasing<Tokio>;

/// An action that ended well, and what became of its cost.
pub type Completed<T> = cycles_client::Completed<T, Tokio>;
/// A stream whose items are charged to a reservation; see [`ReservationGuard::meter`].
pub type Metered<S, F> = cycles_client::Metered<Tokio, S, F>;

/// Waits for what becomes of a metered stream's cost; see [`Metered::settling`].
pub type Settling = cycles_client::Settling<Tokio>;

pub use cycles_client::{
    BoxError, CyclesContext, Flushed, GuardContext, HeartbeatPolicy, Lease, NotCompleted, Observer, Runtime,
    WithCyclesConfig, try_with_cycles, with_cycles,
};
pub use cycles_host::HttpOptions;
pub use cycles_proto as proto;
pub use cycles_proto::config::RetryPolicy;
pub use cycles_proto::{
    ActionError, CallContext, ConfigError, CyclesConfig, CyclesConfigBuilder, Error, ErrorReply, Event,
    FailureKind, InvalidCommit, RawRequest, RawResponse, Reading, Receipt, TraceParent, TransportError,
    UnixMillis, models, money,
};

#[cfg(feature = "macros")]
pub use cycles_macros::tokio as cycles;

/// What the attribute `cycles` expands to.
#[cfg(feature = "macros")]
#[doc(hidden)]
pub mod __private {
    pub use cycles_client::attribute::{Value, guarded, made, metered, paid};
    pub use cycles_proto::attribute::{
        AnyValue, Pair, amount, cost, dimensions, ended, in_unit, reading, returned, returning, text,
    };
    pub use cycles_proto::models::{CommitOveragePolicy, Subject, Unit};

    pub use crate::{CyclesClient, WithCyclesConfig, default_client};

    /// A client of the function's own.
    pub fn client(client: &CyclesClient) -> CyclesClient {
        client.clone()
    }
}
