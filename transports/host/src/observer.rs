//! Observers, which receive events about reservations through a queue.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cycles_proto::Event;

use crate::log;
use crate::threads::Threads;

/// Receives every [`Event`], in order, one at a time, on its own thread. It may block: nothing that settles costs or
/// keeps leases alive waits for it.
///
/// Its queue holds 1,024 events; events that arrive while it is full are dropped and counted.
pub trait Observer: Send + Sync + 'static {
    /// Receives an event.
    fn observe(&self, event: &Event);

    /// Called before the next event if `count` events were dropped because the queue was full. Logs a warning by
    /// default.
    fn missed(&self, count: u64) {
        tracing::warn!(target: "cycles", count, "the observer is too slow: events were dropped");
    }
}

impl<F: Fn(&Event) + Send + Sync + 'static> Observer for F {
    fn observe(&self, event: &Event) {
        self(event);
    }
}

const QUEUE: usize = 1_024;

/// The observer of a client, with its queue of events. Clones share one queue.
#[derive(Clone)]
pub struct Observers(Threads<Queue, Event>);

struct Queue {
    observer: Option<Arc<dyn Observer>>,
    /// How many events were dropped since `missed` was called.
    missed: AtomicU64,
    fresh: Mutex<Fresh>,
}

/// Events that are not in the log yet.
#[derive(Default)]
struct Fresh {
    events: VecDeque<Event>,
    /// Whether a thread is logging them.
    is_logged: bool,
}

impl Observers {
    /// Makes a queue for this observer; without an observer, events are only logged. The thread that calls the observer
    /// runs while there are events.
    pub fn new(observer: Option<Arc<dyn Observer>>) -> Self {
        let queue = Queue {
            observer,
            missed: AtomicU64::new(0),
            fresh: Mutex::default(),
        };
        Self(Threads::new("cycles-observer", 1, queue, |told, event| {
            told.common().tell(&event);
        }))
    }

    /// Whether anybody receives events: an observer, or a subscriber of the log. Calls nothing.
    pub fn are_watching(&self) -> bool {
        let is_logged =
            tracing::level_filters::LevelFilter::current() != tracing::level_filters::LevelFilter::OFF;
        is_logged || self.0.common().observer.is_some()
    }

    /// Queues an event for [`drain`](Self::drain). Calls nothing and does not block, so that it may be used under a
    /// lock, which keeps the order.
    pub fn push(&self, event: Event) {
        self.0.common().lock().events.push_back(event);
    }

    /// Logs the queued events and passes them to the observer's thread. Does not wait for the observer.
    pub fn drain(&self) {
        let queue = self.0.common();
        let mut fresh = queue.lock();
        if core::mem::replace(&mut fresh.is_logged, true) {
            // The thread that is already logging logs these too.
            return;
        }
        while let Some(event) = fresh.events.pop_front() {
            drop(fresh);
            // A panic in the log must not stop a settlement.
            let _ = catch_unwind(AssertUnwindSafe(|| log::log(&event)));
            if self.0.queued() == QUEUE {
                queue.missed.fetch_add(1, Ordering::Relaxed);
            } else if queue.observer.is_some() {
                self.0.push(event);
            }
            fresh = queue.lock();
        }
        fresh.is_logged = false;
        drop(fresh);
        // If no thread can be started, the events wait for the next attempt.
        let _ = self.0.go();
    }

    /// Logs an event and passes it to the observer's thread.
    pub fn tell(&self, event: Event) {
        self.push(event);
        self.drain();
    }
}

/// A panic in an observer is caught on its thread, and reaches no caller.
impl UnwindSafe for Observers {}
impl RefUnwindSafe for Observers {}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Fresh> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls the observer. If it panics, it still gets the next event.
    fn tell(&self, event: &Event) {
        let Some(observer) = &self.observer else { return };
        match self.missed.swap(0, Ordering::Relaxed) {
            0 => {}
            missed => observer.missed(missed),
        }
        observer.observe(event);
    }
}

#[cfg(test)]
mod tests {
    use std::hint::spin_loop;
    use std::sync::atomic::{AtomicBool, AtomicUsize};

    use super::*;

    #[test]
    fn events_are_told_in_order_and_one_at_a_time_however_often_the_teller_ends() {
        const EVENTS: usize = 5_000;
        let (told, count) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let (order, counter) = (Arc::clone(&told), Arc::clone(&count));
        let (is_inside, overlaps) = (AtomicBool::new(false), Arc::new(AtomicUsize::new(0)));
        let overlapping = Arc::clone(&overlaps);
        let observer = move |event: &Event| {
            let Event::RecordUnreadable { file, .. } = event else {
                return;
            };
            let is_second = is_inside.swap(true, Ordering::SeqCst);
            overlapping.fetch_add(usize::from(is_second), Ordering::SeqCst);
            (0..200).for_each(|_| spin_loop());
            order.lock().unwrap().push(file.parse::<usize>().unwrap());
            is_inside.store(false, Ordering::SeqCst);
            counter.fetch_add(1, Ordering::SeqCst);
        };
        let observers = Observers::new(Some(Arc::new(observer)));
        for number in 0..EVENTS {
            observers.tell(Event::record_unreadable(number.to_string(), ""));
            // Every third time, the thread gets time to end, or almost.
            while number % 3 == 2 && count.load(Ordering::SeqCst) <= number {
                std::thread::yield_now();
            }
            (0..number % 97).for_each(|_| spin_loop());
        }
        while count.load(Ordering::SeqCst) < EVENTS {
            std::thread::yield_now();
        }
        assert_eq!(overlaps.load(Ordering::SeqCst), 0, "two at once");
        assert!(told.lock().unwrap().iter().copied().eq(0..EVENTS), "in order");
    }
}
