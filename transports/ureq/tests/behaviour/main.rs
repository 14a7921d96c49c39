//! The adapter's behaviour, one module per file. A test that needs a process of its own runs itself again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

extern crate cycles_ureq as runcycles;

/// Returns the result of a blocking call; tests that all adapters share use these two to wait.
macro_rules! wait {
    ($call:expr) => {
        $call
    };
}

macro_rules! call {
    ($call:expr) => {
        $call
    };
}

/// What tests that all adapters share know of the executor of the others.
mod executor {
    /// How the adapter calls itself.
    pub(crate) const NAME: &str = "ureq";
}

mod adapter;
#[path = "../../../client/tests/adapter/after_a_fork.rs"]
mod after_a_fork;
#[path = "../../../client/tests/adapter/alone.rs"]
mod alone;
#[path = "../../../client/tests/adapter/closing.rs"]
mod closing;
#[path = "../../../client/tests/adapter/dispatch_crash.rs"]
mod dispatch_crash;
#[path = "../../../client/tests/adapter/given.rs"]
mod given;
#[path = "../../../client/tests/adapter/hanging_disk.rs"]
mod hanging_disk;
#[path = "../../../client/tests/adapter/hanging_sockets.rs"]
mod hanging_sockets;
#[path = "../../../client/tests/adapter/journal.rs"]
mod journal;
#[path = "../../../client/tests/adapter/leases.rs"]
mod leases;
#[path = "../../../client/tests/adapter/operations.rs"]
mod operations;
#[path = "../../../client/tests/adapter/proxy.rs"]
mod proxy;
#[path = "../../../client/tests/adapter/secrets.rs"]
mod secrets;
#[path = "../support/mod.rs"]
mod support;
#[path = "../../../client/tests/adapter/tenants.rs"]
mod tenants;
#[path = "../../../client/tests/adapter/test_clock.rs"]
mod test_clock;
#[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
#[path = "../../../client/tests/adapter/tls.rs"]
mod tls;
#[path = "../../../client/tests/adapter/transport_failures.rs"]
mod transport_failures;
#[path = "../../../client/tests/adapter/world.rs"]
mod world;

#[cfg(feature = "macros")]
mod attribute;
#[cfg(feature = "macros")]
mod attribute_names;
mod blocking;
mod crash;
mod dropped_meanwhile;
mod forked;
mod getting_started;
mod guarded;
#[cfg(unix)]
mod killed;
mod metered;
mod other_proxies;
mod panics;
#[cfg(feature = "macros")]
mod python_page;
mod recovery;
mod run_crash;
#[cfg(unix)]
mod stopped;
mod suite;
mod types;
