//! One wake-up at a time.

use core::future::Future;
use core::pin::Pin;
use core::task::Context;
use core::time::Duration;

use crate::runtime::Runtime;

/// Sleeps until a time that may change. A sleep that ends earlier than it has to is kept: to look once too often
/// is cheaper than a new sleep for every change.
#[derive(Default)]
pub(crate) struct Timer {
    armed: Option<(Duration, Sleep)>,
}

type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Timer {
    /// When it wakes somebody, if it does.
    pub(crate) fn armed(&self) -> Option<Duration> {
        self.armed.as_ref().map(|(at, _)| *at)
    }

    /// Wakes nobody any more. A sleep that nobody polls would not: an adapter may cut it into pieces.
    pub(crate) fn disarm(&mut self) {
        self.armed = None;
    }

    /// Whether it is time to look again; if not, `cx` is woken at `at` at the latest.
    pub(crate) fn is_over<R: Runtime>(&mut self, runtime: &R, at: Duration, cx: &mut Context<'_>) -> bool {
        if self.armed.as_ref().is_none_or(|(armed, _)| *armed > at) {
            let runtime = runtime.clone();
            self.armed = Some((at, Box::pin(async move { runtime.sleep_until(at).await })));
        }
        let sleep = self.armed.as_mut();
        let is_over = sleep.is_some_and(|(_, sleep)| sleep.as_mut().poll(cx).is_ready());
        if is_over {
            self.armed = None;
        }
        is_over
    }
}
