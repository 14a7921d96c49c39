//! What shuttle takes the place of: locks and threads, which are the standard library's otherwise, and what lives in threads
//! of its own or is random. Under `cfg(shuttle)` each run of a test chooses anew which thread goes on at every lock, so that
//! `tests/shuttle` sees what no machine shows in a year, and a run that failed can be repeated.

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
