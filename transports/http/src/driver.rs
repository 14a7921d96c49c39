//! Moves the bytes of a connection until it is over, or until its time is.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;

use crate::reactor::Reactor;
use crate::wire::{Stream, Wire};

/// Drives a connection. It ends, and closes the connection, when the other end has closed it, when nobody can send
/// any more, or when the limit is over. A request that it did not come to is given back then.
pub(crate) struct Driver<R: Reactor> {
    connection: http1::Connection<Wire<Stream>, Full<Bytes>>,
    limit: Arc<Limit>,
    reactor: R,
    /// When it fires. It is never later than the limit, but may be earlier: most limits are put off long before they
    /// are over, and arming a timer for each would cost more than a look now and then.
    timer: Option<(Duration, R::Sleep)>,
}

/// How long a connection may last: until the end of the exchange under way, or of the time that it may be idle.
pub(crate) struct Limit {
    /// In nanoseconds of the reactor's clock.
    end: AtomicU64,
    is_over: AtomicBool,
}

/// Timers stand still while the machine sleeps, and the clock does not. So it is looked at now and then.
const LONGEST_SLEEP: Duration = crate::pool::IDLE;

impl<R: Reactor> Driver<R> {
    pub(crate) fn new(
        connection: http1::Connection<Wire<Stream>, Full<Bytes>>,
        limit: Arc<Limit>,
        reactor: R,
    ) -> Self {
        Self {
            connection,
            limit,
            reactor,
            timer: None,
        }
    }

    /// Nobody drives it for a while: its timer need not wake anybody.
    pub(crate) fn rest(&mut self) {
        self.timer = None;
    }

    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        loop {
            let end = self.limit.end();
            if let Some((at, sleep)) = &mut self.timer
                && *at <= end
                && Pin::new(sleep).poll(cx).is_pending()
            {
                return false;
            }
            let now = self.reactor.now();
            if now >= end {
                self.limit.is_over.store(true, Ordering::Release);
                return true;
            }
            let time = (end - now).min(LONGEST_SLEEP);
            self.timer = Some((now + time, self.reactor.sleep(time)));
        }
    }
}

impl<R: Reactor> Future for Driver<R> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let driver = self.get_mut();
        // What has come is looked at before the time. An error is told to the request that waits for an answer.
        let is_closed = Pin::new(&mut driver.connection).poll(cx).is_ready();
        if is_closed || driver.is_over(cx) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

/// Nothing in it is pinned in place.
impl<R: Reactor> Unpin for Driver<R> {}

impl Limit {
    pub(crate) fn new(end: Duration) -> Self {
        Self {
            end: AtomicU64::new(nanoseconds(end)),
            is_over: AtomicBool::new(false),
        }
    }

    pub(crate) fn end(&self) -> Duration {
        Duration::from_nanos(self.end.load(Ordering::Acquire))
    }

    /// A limit that comes earlier than the one before is noticed when the connection has something to do, or after
    /// the time that connections may be idle.
    pub(crate) fn set(&self, end: Duration) {
        self.end.store(nanoseconds(end), Ordering::Release);
    }

    /// Whether the connection was closed because of it.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
