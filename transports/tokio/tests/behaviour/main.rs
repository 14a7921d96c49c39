//! The adapter's behaviour, one module per file. A test that needs a process of its own runs itself again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

extern crate cycles_tokio as runcycles;

#[macro_use]
#[path = "../../../client/tests/adapter/on_executor.rs"]
mod on_executor;

#[path = "../../../client/tests/adapter/adapter.rs"]
mod adapter;
#[path = "../../../client/tests/adapter/after_a_fork.rs"]
mod after_a_fork;
#[path = "../../../client/tests/adapter/alone.rs"]
mod alone;
#[path = "../../../client/tests/adapter/async_test_clock.rs"]
mod async_test_clock;
#[path = "../../../client/tests/adapter/closing.rs"]
mod closing;
#[path = "../../../client/tests/adapter/dispatch_crash.rs"]
mod dispatch_crash;
mod executor;
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
#[path = "../../../client/tests/adapter/only_async.rs"]
mod only_async;
#[path = "../../../client/tests/adapter/operations.rs"]
mod operations;
#[path = "../../../client/tests/adapter/proxy.rs"]
mod proxy;
#[path = "../../../client/tests/adapter/scene.rs"]
mod scene;
#[path = "../../../client/tests/adapter/secrets.rs"]
mod secrets;
#[path = "../../../client/tests/adapter/support.rs"]
mod support;
#[path = "../../../client/tests/adapter/tenants.rs"]
mod tenants;
#[path = "../../../client/tests/adapter/test_clock.rs"]
mod test_clock;
#[path = "../../../client/tests/adapter/threads.rs"]
mod threads;
#[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
#[path = "../../../client/tests/adapter/tls.rs"]
mod tls;
#[path = "../../../client/tests/adapter/transport_failures.rs"]
mod transport_failures;
mod wait;
#[path = "../../../client/tests/adapter/watched.rs"]
mod watched;
#[path = "../../../client/tests/adapter/world.rs"]
mod world;

#[cfg(feature = "macros")]
mod attribute;
mod cancellation;
mod connections;
mod crash;
mod flush;
mod getting_started;
mod inference;
mod journal_interop;
mod late_costs;
mod log;
mod lookups;
mod observers;
mod paused_clock;
mod probing;
#[cfg(feature = "macros")]
mod python_page;
mod recovery;
mod run_crash;
mod runtimes;
mod shut_down;
mod suite;
mod types;
