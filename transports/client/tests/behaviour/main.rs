//! The client on an adapter in virtual time, one module per file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod support;

mod attribute_costs;
mod closing;
mod forked;
mod metered;
mod panicking;
mod shut_down;
mod two_clients;
mod unattended;
mod virtual_time;
