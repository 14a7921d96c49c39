//! What holds for any bytes, one module to a fuzz target.
//!
//! Each module has `check`, which takes the bytes of one execution and panics where something does not hold.
//! `cargo fuzz` calls it from `fuzz_targets`; the tests call it for every file of `corpus`, on a stable
//! toolchain.

#[path = "../../cycles-proto/tests/behaviour/careless/mod.rs"]
mod careless;
mod input;
pub mod lease;
pub mod ledger;
pub mod reservation;
pub mod record;
pub mod reply;
pub mod request;
pub mod session;
#[path = "../../cycles-proto/tests/behaviour/unruly/mod.rs"]
mod unruly;

/// An API key that no output may show.
const KEY: &str = "cyc_live_0123456789";
