//! Runs blocking work, on the threads of the executor that the features select.

use std::future::Future;

#[cfg(feature = "async-std")]
pub(crate) use on_async_std::*;
#[cfg(not(feature = "async-std"))]
pub(crate) use on_smol::*;

#[cfg(feature = "async-std")]
mod on_async_std {
    use super::Future;

    pub(crate) const NAME: &str = "async-std";

    pub(crate) fn unblock<T: Send + 'static>(
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send {
        async_std::task::spawn_blocking(work)
    }
}

#[cfg(all(feature = "smol", not(feature = "async-std")))]
mod on_smol {
    use super::Future;

    pub(crate) const NAME: &str = "smol";

    pub(crate) fn unblock<T: Send + 'static>(
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send {
        smol::unblock(work)
    }
}
