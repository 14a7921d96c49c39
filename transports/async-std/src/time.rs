//! Limits of time.

use std::future::Future;
use std::pin::pin;
use std::time::{Duration, Instant};

use async_io::Timer;
use futures::future::{Either, select};

/// What comes of `work`, if it comes before `end`.
pub(crate) async fn within<T>(end: Instant, work: impl Future<Output = T>) -> Option<T> {
    match select(pin!(work), pin!(Timer::at(end))).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(_) => None,
    }
}

/// That long from now; a limit beyond what a clock can show is a year.
pub(crate) fn after(limit: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
    Instant::now() + limit.min(YEAR)
}
