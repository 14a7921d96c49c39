#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(any(feature = "async-std", feature = "smol")))]
compile_error!("cycles-async-std needs something to run tasks on: enable the feature `async-std` or `smol`");

mod default_client;
mod executor;
mod reactor;
mod runtime;
mod time;

pub use default_client::{default_client, set_default_client, with_default_client};
pub use runtime::AsyncIo;

/// A client of a Cycles server on async-std or smol. Its methods can be awaited anywhere.
pub type CyclesClient = cycles_client::CyclesClient<AsyncIo>;

/// Makes a [`CyclesClient`].
pub type CyclesClientBuilder = cycles_client::CyclesClientBuilder<AsyncIo>;

/// A reservation whose lease is kept alive.
pub type ReservationGuard = cycles_client::ReservationGuard<AsyncIo>;

/// An action that ended well, and what became of its cost.
pub type Completed<T> = cycles_client::Completed<T, AsyncIo>;
/// A stream whose items are charged to a reservation; see [`ReservationGuard::meter`].
pub type Metered<S, F> = cycles_client::Metered<AsyncIo, S, F>;

/// Waits for what becomes of a metered stream's cost; see [`Metered::settling`].
pub type Settling = cycles_client::Settling<AsyncIo>;

/// Waits for a cost that was taken already; see [`ReservationGuard::commit`].
pub type Committing = cycles_client::Committing<AsyncIo>;

/// Waits for a release that was begun already; see [`ReservationGuard::release`].
pub type Releasing = cycles_client::Releasing<AsyncIo>;

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
pub use cycles_macros::async_std as cycles;

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
