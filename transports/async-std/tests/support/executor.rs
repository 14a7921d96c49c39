//! The executor that the adapter is built for, to run the tests on.
#![allow(dead_code, unreachable_pub, unused_imports, unused_macros)]

#[cfg(feature = "async-std")]
pub use async_std::task::{block_on, sleep, yield_now};
#[cfg(not(feature = "async-std"))]
pub use smol::{block_on, future::yield_now};

/// How the adapter calls itself.
pub const NAME: &str = if cfg!(feature = "async-std") {
    "async-std"
} else {
    "smol"
};

#[cfg(not(feature = "async-std"))]
pub async fn sleep(time: std::time::Duration) {
    smol::Timer::after(time).await;
}

include!("../../../client/tests/adapter/on_executor.rs");
