//! Behaviour with any bytes in any order, one module per topic.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::wildcard_enum_match_arm
)]

mod careless;

mod folders;
mod hostile;
mod prices;
mod reservation_fuzz;
mod session;
mod session_fuzz;
mod unruly;
