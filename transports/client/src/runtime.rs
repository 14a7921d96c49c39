//! What a runtime gives to the client.

use core::future::Future;
use core::time::Duration;

use bytes::Bytes;
use cycles_proto::{Call, ConfigError, CyclesConfig, Failure, Now};

/// An async runtime and a way to exchange HTTP messages on it. It moves bytes and time and decides nothing:
/// what a status, a header or a failure means is the core's to say.
///
/// One value serves one client and all its clones, from any thread, and must outlive any single runtime:
/// whatever belongs to a runtime (connections, timers) is looked up when it is used.
pub trait Runtime: Clone + Send + Sync + 'static {
    /// What the transport may be told beside the configuration: proxies, trust.
    type Options: Clone + Default + Send + Sync;

    /// Tells runtimes apart where a program may have several of them; `()` where there is one for all.
    type Id: Clone + PartialEq + Send + Sync + 'static;

    /// How the adapter is called in `User-Agent`.
    const NAME: &'static str;

    /// A transport to the configuration's server.
    ///
    /// # Errors
    /// What of the options or the environment cannot be used.
    fn new(config: &CyclesConfig, options: &Self::Options) -> Result<Self, ConfigError>;

    /// The runtime that runs here: the one that [`spawn`](Self::spawn) would use. None if there is none.
    fn here(&self) -> Option<Self::Id>;

    /// Both clocks. The monotonic one is the one that [`sleep_until`](Self::sleep_until) takes, counts the time
    /// that the machine slept, and is the same in all threads.
    fn now(&self) -> Now;

    /// Sends the request as it is, once, within [`Call::timeout`], reading at most [`Call::max_response`] bytes.
    /// The future may be dropped at any time, and nothing may be lost by that but the answer.
    fn exchange(&self, call: Call) -> impl Future<Output = Result<http::Response<Bytes>, Failure>> + Send;

    /// Waits until the monotonic clock shows `at`, or a little longer.
    fn sleep_until(&self, at: Duration) -> impl Future<Output = ()> + Send;

    /// Runs a task to its end, or drops it when the runtime ends; gives it back if there is no runtime to run it
    /// here. To drop it may take as long as a write to the disk. It is dropped on a thread of the runtime or on
    /// that of whoever ends it, never on one that merely wakes it.
    ///
    /// # Errors
    /// The task.
    fn spawn<F: Future<Output = ()> + Send + 'static>(&self, task: F) -> Result<(), F>;

    /// Runs work that blocks where it holds up no task. Without a runtime it may run at once.
    fn run_blocking(&self, work: Box<dyn FnOnce() + Send>);
}
