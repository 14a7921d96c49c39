//! Waits.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_io::Timer;

/// A wait on the timers of async-io.
pub(crate) struct Sleep(Timer);

impl Sleep {
    /// Waits for so long; longer than a clock can show is a year.
    pub(crate) fn lasting(time: Duration) -> Self {
        const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
        Self(Timer::after(time.min(YEAR)))
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx).map(|_| ())
    }
}
