//! The executor that the adapter is built for, to run the tests on.
#![allow(dead_code, unreachable_pub, unused_imports, unused_macros)]

#[cfg(feature = "async-std")]
pub use async_std::task::{block_on, sleep, yield_now};
#[cfg(not(feature = "async-std"))]
pub use smol::{block_on, future::yield_now};

/// Its threads stay.
pub mod on_threads {
    pub use super::{block_on, spawn};
}
pub use on_threads as on_this_thread;

/// A task on the executor's threads.
pub fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    #[cfg(feature = "async-std")]
    drop(async_std::task::spawn(task));
    #[cfg(not(feature = "async-std"))]
    smol::spawn(task).detach();
}

/// The thread of all clients, as the system shows it.
pub const BACKGROUND: &str = "cycles-async-io";

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
