//! The API key is in no log line, error or debug output of a run, whatever the server does.
#![allow(clippy::unwrap_used, clippy::expect_used)]

extern crate cycles_tokio as runcycles;

#[path = "support/executor.rs"]
mod executor;
#[path = "../../client/tests/adapter/support.rs"]
mod support;

include!("../../client/tests/adapter/secrets.rs");
