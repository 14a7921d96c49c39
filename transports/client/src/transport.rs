//! The traits of an adapter: a transport and a clock.

use core::any::Any;
use core::panic::{RefUnwindSafe, UnwindSafe};

use cycles_proto::{Call, ConfigError, Now};

use crate::engine::{Done, Ticker};

/// Makes calls. An adapter consists of this and a [`Clock`].
///
/// A transport moves bytes and decides nothing. The core decides what a status, a header or a failure means, how many
/// calls run at once, how long each may take, and which one is repeated.
pub trait Transport: Send + Sync + 'static {
    /// Starts one attempt of the call and returns without waiting for it; must not block. Pass the result to `done`,
    /// from any thread. Dropping `done` reports that the call was not made, or that its response was lost. This is
    /// called from any thread that has something to send, inside or outside of a runtime.
    fn start(&self, call: Call, done: Done);

    /// Like [`start`](Self::start), but for a caller that blocks until the call has ended: this may block and make the
    /// call on the caller's thread, where that saves a thread. By default, starts the call.
    fn make(&self, call: Call, done: Done) {
        self.start(call, done);
    }

    /// Whether dropping a guard on this thread may block until its cost is on disk, which takes milliseconds, or up to
    /// five seconds if the disk hangs. Must be false where a blocked task would hold up others. False by default.
    fn may_wait_here(&self) -> bool {
        false
    }

    /// Called when a caller begins to wait on this thread for an answer or for the journal; the [`Hold`] is dropped when
    /// the wait is over. If a runtime here has a simulated time, which jumps to its next timer as soon as none of its
    /// tasks can run, the hold keeps it from that: the answer is still on its way, in real time. `None` by default.
    fn hold_time(&self) -> Option<Hold> {
        None
    }
}

/// Holds the simulated time of a runtime until it is dropped; see [`Transport::hold_time`].
pub type Hold = Box<dyn Any + Send + Sync + UnwindSafe + RefUnwindSafe>;

/// Tells the time, and calls the client when its timers are due.
///
/// The clock of an adapter has a thread of its own. A test can supply a clock that it controls, and a program without
/// threads one that it polls.
pub trait Clock: Send + Sync + 'static {
    /// Returns monotonic and wall time. The monotonic time never goes back, includes the time that the machine slept,
    /// and is the same in all threads.
    fn now(&self) -> Now;

    /// Starts calling [`Ticker::tick`] whenever it is due, until it is [over](crate::Tick::Over). Called once for a
    /// client and its clones, before their first call.
    ///
    /// # Errors
    /// If the clock cannot be started, such as when the system has no threads left. Then nothing is sent, and the next
    /// call tries again.
    fn start(&self, ticker: Ticker) -> Result<(), ConfigError>;
}
