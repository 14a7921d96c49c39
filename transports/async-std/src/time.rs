//! Waits and limits of time, all on one timer of the reactor: each timer of its own costs system calls and wakes a
//! thread, and most limits are never reached.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use async_io::Timer;

use crate::executor;

/// That long from now; a limit beyond what a clock can show is a year.
pub(crate) fn after(limit: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
    Instant::now() + limit.min(YEAR)
}

/// Waits until a time. Dropped, it leaves nothing behind.
pub(crate) struct Sleep {
    at: Instant,
    /// Tells it from others that end at the same time, once it waits.
    number: Option<u64>,
}

impl Sleep {
    pub(crate) fn until(at: Instant) -> Self {
        Self { at, number: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.at {
            return Poll::Ready(());
        }
        // What is replaced is dropped, and the keeper woken, when the queue is free: both may come back to it.
        let (mut replaced, mut keeper, mut unkept) = (None, None, false);
        {
            let mut queue = Queue::lock();
            let number = *self.number.get_or_insert_with(|| queue.number());
            let key = (self.at, number);
            match queue.sleeping.get(&key) {
                Some(waker) if waker.will_wake(cx.waker()) => {}
                _ => replaced = queue.sleeping.insert(key, cx.waker().clone()),
            }
            if queue.armed.is_none_or(|armed| self.at < armed) {
                keeper = queue.keeper.take();
                unkept = !mem::replace(&mut queue.is_kept, true);
            }
        }
        drop(replaced);
        if unkept {
            executor::spawn(keep());
        }
        if let Some(keeper) = keeper {
            keeper.wake();
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let waker = Queue::lock().sleeping.remove(&(self.at, number));
            drop(waker);
        }
    }
}

/// Who is to be woken when.
struct Queue {
    sleeping: BTreeMap<(Instant, u64), Waker>,
    last: u64,
    /// When the keeper looks again at the latest, if it is to look again.
    armed: Option<Instant>,
    /// Wakes the keeper.
    keeper: Option<Waker>,
    /// Whether there is a keeper. It stays, like the executor that it is on.
    is_kept: bool,
}

impl Queue {
    fn lock() -> MutexGuard<'static, Self> {
        static QUEUE: Mutex<Queue> = Mutex::new(Queue {
            sleeping: BTreeMap::new(),
            last: 0,
            armed: None,
            keeper: None,
            is_kept: false,
        });
        QUEUE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Takes out those whose time has come.
    fn due(&mut self) -> BTreeMap<(Instant, u64), Waker> {
        let later = self.sleeping.split_off(&(Instant::now(), u64::MAX));
        mem::replace(&mut self.sleeping, later)
    }
}

/// Wakes whoever's time has come.
async fn keep() {
    let mut timer = Timer::never();
    poll_fn(|cx| {
        loop {
            let (due, next) = {
                let mut queue = Queue::lock();
                let due = queue.due();
                queue.armed = queue.sleeping.first_key_value().map(|((at, _), _)| *at);
                queue.keeper = Some(cx.waker().clone());
                (due, queue.armed)
            };
            due.into_values().for_each(Waker::wake);
            match next {
                Some(next) => timer.set_at(next),
                None => return Poll::Pending,
            }
            if Pin::new(&mut timer).poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::executor::block_on;
    use futures::future::{Either, join, select};

    use super::*;

    /// What comes of `work`, if it comes before `end`.
    async fn within<T>(end: Instant, work: impl Future<Output = T>) -> Option<T> {
        match select(pin!(work), Sleep::until(end)).await {
            Either::Left((done, _)) => Some(done),
            Either::Right(_) => None,
        }
    }

    #[test]
    fn a_wait_that_ends_first_is_over_first_though_it_began_last() {
        let began = Instant::now();
        let (late, soon) = (Duration::from_secs(3600), Duration::from_millis(20));
        let long = pin!(within(after(late), join(Sleep::until(after(soon)), async {})));
        assert!(block_on(long).is_some());
        assert!(began.elapsed() >= soon && began.elapsed() < late);
    }

    #[test]
    fn work_without_an_end_is_given_up_in_time_and_leaves_no_one_to_wake() {
        let end = after(Duration::from_millis(20));
        assert!(block_on(within(end, std::future::pending::<()>())).is_none());
        assert!(Instant::now() >= end);
        let left = Queue::lock().sleeping.keys().any(|(at, _)| *at == end);
        assert!(!left);
    }

    #[test]
    fn a_wait_that_is_dropped_leaves_no_one_to_wake() {
        let end = after(Duration::from_secs(3600));
        let waits = || Queue::lock().sleeping.keys().any(|(at, _)| *at == end);
        let mut sleep = Box::pin(Sleep::until(end));
        let mut context = Context::from_waker(Waker::noop());
        assert!(sleep.as_mut().poll(&mut context).is_pending() && waits());
        drop(sleep);
        assert!(!waits());
    }
}
