//! What an adapter gives: a way to make calls, and the time.

use cycles_proto::{Call, ConfigError, Now};

use crate::engine::{Done, Ticker};

/// Makes calls. All that an adapter has to be, beside a [`Clock`].
///
/// It moves bytes and decides nothing: what a status, a header or a failure means is the core's to say, and so is how many
/// calls go on at once, how long each may take, and which is repeated.
pub trait Transport: Send + Sync + 'static {
    /// Makes the call once, wherever it can, and returns without waiting for it. `done` takes what came of it, from any
    /// thread; dropped, it says that the call was not made, or that its answer was lost. Called from whatever thread has
    /// something to send, in a runtime or in none.
    fn start(&self, call: Call, done: Done);

    /// The same for a caller who blocks until it has ended: to be made here and now where that saves a thread.
    fn make(&self, call: Call, done: Done) {
        self.start(call, done);
    }

    /// Whether who drops a guard on this thread is let wait until its cost is on the disk, which takes milliseconds, or
    /// seconds if the disk hangs. Not where a task would hold up others.
    fn may_wait_here(&self) -> bool {
        false
    }
}

/// The time, and somebody who wakes the client when its time has come.
///
/// Adapters bring one, with a thread of its own. A test gives another to drive the time itself, and so does a program where
/// there are no threads.
pub trait Clock: Send + Sync + 'static {
    /// Both clocks. The monotonic one never goes back, counts the time that the machine slept, and is the same in all
    /// threads.
    fn now(&self) -> Now;

    /// From now on the [ticker](Ticker) is to be asked whenever its time has come, until it is over. Called once for a
    /// client and its clones, before their first call.
    ///
    /// # Errors
    /// If nobody can do so, such as where the system has no thread to give. Then nothing is sent, and the next call tries
    /// again.
    fn start(&self, ticker: Ticker) -> Result<(), ConfigError>;
}
