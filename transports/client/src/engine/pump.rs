//! The steps of the session: collected under the lock, carried out without it.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Waker;

use cycles_host::Observers;
use cycles_host::journal::Claim;
use cycles_proto::session::{ObserverId, Principal, Step};
use cycles_proto::{Call, Now, Ticket};

use super::done::{Attempt, Done};
use super::{Shared, State};
use crate::sync::atomic::Ordering;
use crate::sync::{Journal, Pushed, thread, thread_local};
use crate::transport::Transport;

/// Steps to carry out, in the order of [`Shared::dispatch`].
#[derive(Default)]
pub(super) struct Batch {
    writes: Vec<Pushed>,
    sends: Vec<(Call, Done)>,
    readings: Vec<Reading>,
    claims: Vec<Claim>,
    observers: Vec<Observers>,
    /// Whether there was an event, watched or not.
    #[cfg(feature = "metrics")]
    has_events: bool,
    /// Values to drop without the lock, because that may run foreign code.
    gone: (Vec<Observers>, Vec<Arc<Attempt>>),
    /// Whether the clock has to tick sooner than was last reported to it.
    is_sooner: bool,
    wakers: Vec<Waker>,
}

/// The number of panics after which one pump stops, in case the session keeps panicking. The next pump continues.
const PANICS: usize = 10_000;

/// A journal to read.
struct Reading {
    ticket: Ticket,
    principal: Principal,
    journal: Journal,
    with_stale: bool,
}

thread_local! {
    /// The client whose batch is being carried out on this thread, by its address.
    static CARRYING: Cell<usize> = const { Cell::new(0) };
}

impl Shared {
    /// Whether this thread is carrying out a batch of this client. Answers that arrive on it meanwhile go to the inbox,
    /// so that a chain of answers does not become a recursion. Answers of other clients are applied at once.
    pub(super) fn is_carrying(&self) -> bool {
        CARRYING.try_with(Cell::get) == Ok(self.address())
    }

    fn address(&self) -> usize {
        core::ptr::from_ref(self).addr()
    }

    /// Polls the session until it has nothing more to do.
    pub(super) fn poll(self: &Arc<Self>, state: &mut State, now: Now, batch: &mut Batch) {
        let mut panics = 0;
        while panics < PANICS {
            // A reservation that panics is gone; the session continues without it.
            let step = catch_unwind(AssertUnwindSafe(|| state.session.poll(now)));
            match step {
                Ok(Step::Wait(at)) => {
                    state.deadline = at;
                    break;
                }
                Ok(step) => self.collect(state, step, batch),
                Err(_) => panics += 1,
            }
        }
        if state.session.is_stopping() {
            // Before the actions that wait for it are woken.
            self.is_stopping.store(true, Ordering::Release);
        }
        while let Some(key) = state.session.pop_changed() {
            let waiting = state.waiting.remove(&key).into_iter().flatten();
            batch.wakers.extend(waiting.map(|(_, waker)| waker));
        }
        if state.waiting_threads > 0 {
            self.written.notify_all();
        }
        let is_sooner = |at| state.timer.is_none_or(|timer| at < timer);
        batch.is_sooner |= state.deadline.is_some_and(is_sooner);
        // The clock has to learn that the client is done.
        batch.is_sooner |= state.session.closed().is_some() && state.session.is_idle();
        batch.gone.0.extend(state.remove_unused_subscriptions(now));
        batch.gone.1.append(&mut state.ended);
    }

    fn collect(self: &Arc<Self>, state: &mut State, step: Step, batch: &mut Batch) {
        match step {
            Step::Send(call) => self.send(state, call, batch),
            Step::Withdraw(ticket) => {
                let attempt = state.attempts.get(&ticket);
                batch
                    .wakers
                    .extend(attempt.and_then(|attempt| attempt.withdraw()));
            }
            Step::Store(ticket, principal, write) => {
                let Some(open) = state.journals.get(&principal) else {
                    return;
                };
                let shared = Arc::clone(self);
                let pushed = open.journal.push(write, move |stored| {
                    shared.with(|session, now| session.handle_stored(now, ticket, stored));
                });
                batch.writes.push(pushed);
            }
            Step::Scan {
                ticket,
                principal,
                with_stale,
            } => {
                let Some(open) = state.journals.get(&principal) else {
                    return;
                };
                batch.readings.push(Reading {
                    ticket,
                    principal,
                    journal: open.journal.clone(),
                    with_stale,
                });
            }
            Step::Unclaim(principal) => {
                let open = state.journals.get_mut(&principal);
                batch.claims.extend(open.and_then(|open| open.claim.take()));
            }
            Step::Notify(id, event) => {
                let observers = state.subscriptions.of(id);
                #[cfg(feature = "metrics")]
                {
                    batch.has_events = true;
                }
                if observers.are_watching() {
                    observers.push(event);
                    batch.observers.push(observers.clone());
                }
            }
            Step::Wait(_) => {}
        }
    }

    fn send(self: &Arc<Self>, state: &mut State, call: Call, batch: &mut Batch) {
        let attempt = Arc::<Attempt>::default();
        state.attempts.insert(call.ticket, Arc::clone(&attempt));
        let done = Done::new(self, &call, attempt);
        #[cfg(feature = "blocking")]
        let (call, done) = match state.helper_of(&call) {
            Some(helper) => {
                batch.wakers.push(helper.take(call, done));
                return;
            }
            None => (call, done),
        };
        if batch.sends.is_empty() {
            // Calls are large, and nearly always there is only one.
            batch.sends.reserve_exact(1);
        }
        batch.sends.push((call, done));
    }

    /// Carries out a batch. Answers that arrive on this thread meanwhile are applied afterwards.
    pub(super) fn carry_out(self: &Arc<Self>, batch: Batch) {
        if self.is_carrying() {
            return self.dispatch(batch);
        }
        let _carrying = Carrying::begin(self.address());
        self.dispatch(batch);
        while !self.inbox().is_empty() {
            let (batch, _) = self.apply(|_, _| ());
            self.dispatch(batch);
        }
    }

    fn dispatch(self: &Arc<Self>, batch: Batch) {
        if batch.is_sooner {
            self.wake_clock();
        }
        // Dropped before the readings, which take new claims.
        drop(batch.claims);
        for pushed in batch.writes {
            pushed.go();
        }
        for (call, done) in batch.sends {
            self.send_by(|transport| transport.start(call, done));
        }
        for reading in batch.readings {
            self.read(reading);
        }
        for observers in batch.observers {
            observers.drain();
        }
        #[cfg(feature = "metrics")]
        if batch.has_events {
            // The recorder is foreign code.
            let _ = catch_unwind(AssertUnwindSafe(|| crate::stats::record(&self.stats())));
        }
        for waker in batch.wakers {
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
        let _ = catch_unwind(AssertUnwindSafe(|| drop(batch.gone)));
    }

    /// Calls the transport. If it panics, only its call is lost.
    pub(super) fn send_by(&self, send: impl FnOnce(&dyn Transport)) {
        let _ = catch_unwind(AssertUnwindSafe(|| send(&*self.transport)));
    }

    /// Reads a journal on a thread of its own: this is rare and may take long.
    fn read(self: &Arc<Self>, reading: Reading) {
        let Reading {
            ticket,
            principal,
            journal,
            with_stale,
        } = reading;
        let shared = Arc::clone(self);
        let builder = thread::Builder::new().name("cycles-journal".to_owned());
        let spawned = builder.spawn(move || {
            let read = catch_unwind(AssertUnwindSafe(|| journal.read(with_stale)));
            let (scanned, claim) = match read {
                Ok(Ok((scanned, claim))) => (Some(scanned), claim),
                Ok(Err(event)) => {
                    let observers = shared.lock().subscriptions.of(ObserverId::default()).clone();
                    observers.tell(*event);
                    (None, None)
                }
                Err(_) => (None, None),
            };
            let unwanted = shared.change(|state, now| {
                let is_kept = state.session.handle_scanned(now, ticket, scanned);
                match state.journals.get_mut(&principal) {
                    Some(open) if is_kept => core::mem::replace(&mut open.claim, claim),
                    _ => claim,
                }
            });
            drop(unwanted);
        });
        if spawned.is_err() {
            self.with(|session, now| session.handle_scanned(now, ticket, None));
        }
    }
}

impl State {
    /// Removes observers whose clients are gone and that can receive no more events.
    fn remove_unused_subscriptions(&mut self, now: Now) -> Vec<Observers> {
        if !self.subscriptions.mark_looked_if_due(now.mono) {
            return Vec::new();
        }
        let wanted: BTreeSet<_> = self.session.observers().collect();
        self.subscriptions.remove_unused(&wanted)
    }
}

/// Marks this thread as carrying out a batch of a client; restores the previous mark when it is dropped.
struct Carrying {
    before: usize,
}

impl Carrying {
    fn begin(client: usize) -> Self {
        let before = CARRYING.try_with(|carrying| carrying.replace(client));
        Self {
            before: before.unwrap_or_default(),
        }
    }
}

impl Drop for Carrying {
    fn drop(&mut self) {
        let _ = CARRYING.try_with(|carrying| carrying.set(self.before));
    }
}
