//! The tests of each async adapter have it as a module, before the others; `executor` is beside whoever uses it.

/// Makes an async function a test, as the attributes of the executors do.
macro_rules! on_executor {
    ($(#[$attribute:meta])* async fn $name:ident() $(-> $output:ty)? $body:block) => {
        #[test]
        $(#[$attribute])*
        fn $name() $(-> $output)? {
            async fn body() $(-> $output)? $body
            executor::block_on(body())
        }
    };
}

/// What comes of a call of a client, on this thread: tests that all adapters share wait by it.
macro_rules! wait {
    ($call:expr) => {
        crate::executor::block_on($call)
    };
}

/// The same in a test that makes several calls, over connections that are kept for as long as it runs.
macro_rules! call {
    ($call:expr) => {
        crate::executor::on_this_thread::block_on($call)
    };
}
