//! Runtimes of tokio, to run the tests on.
#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    unused_macros,
    clippy::unwrap_used
)]

use std::future::Future;

use tokio::runtime::{Builder, Runtime};
pub use tokio::task::yield_now;
pub use tokio::time::sleep;

/// The thread of all clients, as the system shows it.
pub const BACKGROUND: &str = "cycles-tokio";

/// How the adapter calls itself.
pub const NAME: &str = "tokio";

/// On a runtime of its own.
pub fn block_on<F: Future>(future: F) -> F::Output {
    current_thread().block_on(future)
}

/// A task of a runtime that stays.
pub use on_threads::spawn;

pub fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

pub fn multi_thread() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// One runtime for each thread that asks, that stays, and stands still between two of its calls.
pub mod on_this_thread {
    use std::future::Future;

    use tokio::runtime::Runtime;

    thread_local! {
        static RUNTIME: &'static Runtime = Box::leak(Box::new(super::current_thread()));
    }

    pub fn block_on<F: Future>(future: F) -> F::Output {
        RUNTIME.with(|runtime| runtime.block_on(future))
    }
}

/// One runtime for each thread that asks, with threads of its own, that stays: a test that blocks it blocks no other.
pub mod on_threads {
    use std::future::Future;

    use tokio::runtime::Runtime;

    thread_local! {
        static RUNTIME: &'static Runtime = Box::leak(Box::new(Runtime::new().unwrap()));
    }

    fn runtime() -> &'static Runtime {
        RUNTIME.with(|runtime| *runtime)
    }

    pub fn block_on<F: Future>(future: F) -> F::Output {
        runtime().block_on(future)
    }

    pub fn spawn(task: impl Future<Output = ()> + Send + 'static) {
        drop(runtime().spawn(task));
    }
}
