//! The adapter's behaviour, one module per file. A test that needs a process of its own runs itself again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

extern crate cycles_ureq as runcycles;

/// Returns the result of a blocking call; tests that all adapters share use it to wait.
macro_rules! wait {
    ($call:expr) => {
        $call
    };
}

mod adapter;
#[path = "../../../client/tests/adapter/after_a_fork.rs"]
mod after_a_fork;
#[path = "../../../client/tests/adapter/alone.rs"]
mod alone;
#[path = "../../../client/tests/adapter/given.rs"]
mod given;
#[path = "../../../client/tests/adapter/hanging_disk.rs"]
mod hanging_disk;
#[path = "../../../client/tests/adapter/hanging_sockets.rs"]
mod hanging_sockets;
#[path = "../../../client/tests/adapter/leases.rs"]
mod leases;
#[path = "../support/mod.rs"]
mod support;
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
mod operations;
mod panics;
mod proxy;
#[cfg(feature = "macros")]
mod python_page;
mod recovery;
mod secrets;
#[cfg(unix)]
mod stopped;
mod suite;
#[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
mod tls;
mod transport_failures;
mod types;
