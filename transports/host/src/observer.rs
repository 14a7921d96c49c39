//! Who wants to know what happens to reservations.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cycles_proto::outcome::Aside;
use cycles_proto::{Event, Receipt};

use crate::threads::Threads;

/// Is told of every [`Event`], in order, one at a time, away from everything that settles or keeps leases
/// alive: it may block.
///
/// Its queue holds 1,024 events; what comes while it is full is dropped and counted.
pub trait Observer: Send + Sync + 'static {
    /// Something happened.
    fn observe(&self, event: &Event);

    /// So many events were dropped because the queue was full.
    fn missed(&self, count: u64) {
        tracing::warn!(count, "the observer is too slow: events were dropped");
    }
}

impl<F: Fn(&Event) + Send + Sync + 'static> Observer for F {
    fn observe(&self, event: &Event) {
        self(event);
    }
}

const QUEUE: usize = 1_024;

/// The observer of a client and what it was not told yet. Clones are the same.
#[derive(Clone)]
pub struct Observers(Threads<Queue, Event>);

struct Queue {
    observer: Option<Arc<dyn Observer>>,
    /// How many were dropped since it was told of that.
    missed: AtomicU64,
    fresh: Mutex<Fresh>,
}

/// Events that are not in the log yet.
#[derive(Default)]
struct Fresh {
    events: VecDeque<Event>,
    /// Whether somebody is at it.
    is_logged: bool,
}

impl Observers {
    /// Whoever it is that is told; without one there is the log. The thread that tells is there while there is something
    /// to tell.
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

    /// Keeps an event, for [`drain`](Self::drain) to do something with it. Nothing is called here, so that this may be done
    /// under a lock, which keeps the order.
    pub fn push(&self, event: Event) {
        self.0.common().lock().events.push_back(event);
    }

    /// Logs what was pushed and has the observer told.
    pub fn drain(&self) {
        let queue = self.0.common();
        let mut fresh = queue.lock();
        if core::mem::replace(&mut fresh.is_logged, true) {
            // Whoever is at it sees to this too.
            return;
        }
        while let Some(event) = fresh.events.pop_front() {
            drop(fresh);
            // A log that panics must not hold up whoever settles: the machine goes on.
            let _ = catch_unwind(AssertUnwindSafe(|| log(&event)));
            if self.0.queued() == QUEUE {
                queue.missed.fetch_add(1, Ordering::Relaxed);
            } else if queue.observer.is_some() {
                self.0.push(event);
            }
            fresh = queue.lock();
        }
        fresh.is_logged = false;
        drop(fresh);
        // Where no thread can be had, what is to be told waits for the next event.
        let _ = self.0.go();
    }

    /// Logs the event and has the observer told.
    pub fn tell(&self, event: Event) {
        self.push(event);
        self.drain();
    }
}

/// A panic of an observer is caught where it is told, away from every caller.
impl UnwindSafe for Observers {}
impl RefUnwindSafe for Observers {}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Fresh> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An observer that panics has seen it; the next event is told all the same.
    fn tell(&self, event: &Event) {
        let Some(observer) = &self.observer else { return };
        match self.missed.swap(0, Ordering::Relaxed) {
            0 => {}
            missed => observer.missed(missed),
        }
        observer.observe(event);
    }
}

/// The event as a line for `tracing`: what costs money is a warning, the rest is for who looks for it.
fn log(event: &Event) {
    let reservation = event.reservation_id().map_or("", |id| id.as_str());
    if let Event::JournalFailed { failure, .. } = event {
        tracing::error!(
            reservation,
            failure = failure.message,
            "the journal could not be changed; the cost lives in this process only"
        );
    } else if let Event::SettlementFailed { error, retry_in, .. } = event {
        tracing::warn!(reservation, %error, ?retry_in, "a cost could not be settled");
    } else if let Event::CostNotTaken { why, charged, .. } = event {
        let charged = charged
            .as_ref()
            .map_or_else(|| "nothing".to_owned(), ToString::to_string);
        tracing::error!(reservation, error = %why, charged, "a cost was not taken");
    } else if let Event::SettledLate { .. } = event {
        tracing::info!(
            reservation,
            "a cost that could not be settled at once is in the ledger"
        );
    } else if let Event::ChargedLess { actual, charged, .. } = event {
        tracing::error!(
            reservation,
            %actual,
            %charged,
            "less was charged than the action cost: the budget had no more, or the server charged another unit"
        );
    } else if let Event::SetAside { reason, receipt, .. } = event {
        let kept_as = match reason {
            Aside::Rejected => "*.rejected",
            Aside::Stale => "*.stale",
        };
        let (actual, charged) = if let Receipt::Rejected { actual, charged, .. } = &**receipt {
            (actual.as_ref(), charged.as_ref())
        } else {
            (None, None)
        };
        tracing::error!(
            reservation,
            kept_as,
            actual = actual.map(tracing::field::display),
            charged_instead = charged.map(tracing::field::display),
            "a cost is not sent any more; a person has to decide about its record"
        );
    } else if let Event::CostUnrecorded { actual, receipt, .. } = event {
        let actual = actual.as_ref().map(tracing::field::display);
        let error = receipt.error().map(tracing::field::display);
        tracing::error!(
            reservation,
            actual,
            error,
            "a cost is in no ledger and in no file, and the client tries no more: once its error is mended send the same call \
             again under its key; under another key, or as an event, it may count a second time"
        );
    } else if let Event::RecordUnreadable { file, reason, .. } = event {
        tracing::error!(
            file,
            reason,
            "the journal cannot be read in full; what is there may be a cost"
        );
    } else if let Event::SecondCost {
        idempotency_key,
        file,
        ..
    } = event
    {
        let key = idempotency_key.as_str();
        tracing::warn!(
            reservation,
            key,
            file,
            "the reservation has a second cost under another key; both are sent, and the ledger takes one"
        );
    } else if let Event::RecordsElsewhere {
        records, directory, ..
    } = event
    {
        tracing::warn!(
            records,
            directory,
            "the journal has costs of another base URL, tenant or API key, which this client does not settle"
        );
    } else if let Event::HeartbeatStopped {
        reason,
        error,
        lease_lasts,
        ..
    } = event
    {
        let error = error.as_ref().map(tracing::field::display);
        tracing::warn!(
            reservation,
            ?reason,
            error,
            ?lease_lasts,
            "the lease is not prolonged any more"
        );
    } else if let Event::BeatFailed { error, retry_in, .. } = event {
        tracing::warn!(reservation, %error, ?retry_in, "a beat failed");
    } else if let Event::LeaseLost { .. } = event {
        tracing::warn!(reservation, "the lease is over while the action runs");
    } else if let Event::ReleaseFailed { error, retry_in, .. } = event {
        tracing::warn!(reservation, %error, ?retry_in, "budget could not be given back; it is free when the lease ends");
    } else if let Event::CommitTrimmed { problem, .. } = event {
        tracing::warn!(reservation, %problem, "left out of the commit");
    } else if let Event::SettlingByEvent { .. } = event {
        tracing::warn!(
            reservation,
            "the reservation is over: its cost is settled by an event"
        );
    } else if let Event::ReservingAgain { error, .. } = event {
        tracing::warn!(%error, "reserving again under the same key");
    } else {
        tracing::debug!(reservation, ?event);
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
            // Now and then the teller is let to its end, or nearly.
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
