//! Tasks and work that blocks, on the executor that the features name. Both have threads of their own that live
//! as long as the process.

use std::future::Future;

#[cfg(feature = "async-std")]
pub(crate) use on_async_std::*;
#[cfg(not(feature = "async-std"))]
pub(crate) use on_smol::*;

#[cfg(feature = "async-std")]
mod on_async_std {
    use super::Future;

    pub(crate) const NAME: &str = "async-std";

    pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) {
        async_std::task::spawn(task);
    }

    pub(crate) fn unblock<T: Send + 'static>(
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send {
        async_std::task::spawn_blocking(work)
    }

    pub(crate) fn run_blocking(work: Box<dyn FnOnce() + Send>) {
        async_std::task::spawn_blocking(work);
    }
}

#[cfg(all(feature = "smol", not(feature = "async-std")))]
mod on_smol {
    use super::Future;

    pub(crate) const NAME: &str = "smol";

    pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) {
        smol::spawn(task).detach();
    }

    pub(crate) fn unblock<T: Send + 'static>(
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send {
        smol::unblock(work)
    }

    pub(crate) fn run_blocking(work: Box<dyn FnOnce() + Send>) {
        smol::unblock(work).detach();
    }
}
