//! What the adapter does, one module a file. A test that needs a process of its own runs itself again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

extern crate cycles_ureq as runcycles;

/// What comes of a call of a client, on this thread: tests that all adapters share wait by it.
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
mod crash;
mod dropped_meanwhile;
mod forked;
mod getting_started;
mod guarded;
#[cfg(unix)]
mod killed;
mod lives;
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
