//! The locks, threads and other parts that shuttle replaces. Without shuttle they are the standard library's, with the
//! journal and the randomness of `cycles-host`. Under `cfg(shuttle)` every run of a test chooses anew which thread
//! continues at each lock. So `tests/shuttle` finds interleavings that rarely occur on a real machine, and a failed run
//! can be repeated.

#[cfg(shuttle)]
#[path = "../tests/shuttle/stand_ins.rs"]
mod shuttled;

#[cfg(shuttle)]
pub(crate) use self::shuttled::{Journal, Pushed, seed, thread};
#[cfg(shuttle)]
pub(crate) use shuttle::{
    sync::{Condvar, Mutex, MutexGuard, atomic},
    thread_local,
};

#[cfg(not(shuttle))]
pub(crate) use cycles_host::{Journal, journal::Pushed, seed};
#[cfg(not(shuttle))]
pub(crate) use std::{
    sync::{Condvar, Mutex, MutexGuard, atomic},
    thread, thread_local,
};
