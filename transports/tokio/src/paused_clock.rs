//! A paused clock of tokio, as in `#[tokio::test(start_paused = true)]`.
//!
//! Such a clock jumps to the next timer as soon as no task of its runtime can run. An answer that is on its way over a
//! socket does not count, so a timeout of half a minute around a call would pass before the answer arrives.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use cycles_client::Hold;
use tokio::runtime::{Handle, RuntimeFlavor};

/// The longest time that a clock is held, in case that a future is leaked: a runtime cannot end while it is.
const LONGEST: Duration = Duration::from_secs(60);

/// Keeps the clock of the runtime here from jumping, if it is paused, until the result is dropped.
pub(crate) fn hold() -> Option<Hold> {
    if !is_paused() {
        return None;
    }
    let here = Handle::try_current().ok()?;
    // Only this kind of runtime has a clock that can be paused.
    if here.runtime_flavor() != RuntimeFlavor::CurrentThread {
        return None;
    }
    let (hold, is_over) = mpsc::channel::<()>();
    // The clock does not jump while a blocking task runs: `tokio::time::pause` documents that.
    drop(here.spawn_blocking(move || is_over.recv_timeout(LONGEST)));
    Some(Box::new(hold))
}

/// Whether the clock of the runtime here stands still. Tokio does not say, but unless it was paused it shows the
/// machine's time.
fn is_paused() -> bool {
    let before = Instant::now();
    let shown = tokio::time::Instant::now();
    let after = Instant::now();
    if (before..=after).contains(&shown.into_std()) {
        return false;
    }
    // It may have been resumed since. Waits for the next tick of the machine's clock, which takes nanoseconds.
    while Instant::now() <= after {}
    tokio::time::Instant::now() == shown
}
