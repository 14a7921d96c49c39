//! Proxies: plain requests are forwarded, secure ones tunnelled, exceptions go straight.
#![allow(clippy::unwrap_used, clippy::expect_used)]

extern crate cycles_tokio as runcycles;

#[path = "support/executor.rs"]
mod executor;
#[path = "../../client/tests/adapter/support.rs"]
mod support;

include!("../../client/tests/adapter/proxy.rs");
