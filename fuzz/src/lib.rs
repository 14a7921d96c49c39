//! Properties that must be true for any input bytes, one module per fuzz target.
//!
//! Each module has a function `check`, which takes the bytes of one execution and panics if a property is violated.
//! `cargo fuzz` calls it from `fuzz_targets`; the tests call it for every file in `corpus`, on a stable toolchain.

#[path = "../../cycles-proto/tests/behaviour/careless/mod.rs"]
mod careless;
mod input;
pub mod lease;
pub mod ledger;
pub mod record;
pub mod reply;
pub mod request;
pub mod reservation;
pub mod session;
#[path = "../../cycles-proto/tests/behaviour/unruly/mod.rs"]
mod unruly;

/// An API key that must not appear in any output.
const KEY: &str = "cyc_live_0123456789";
