//! What the session asks for: collected under the lock, set going without it.

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
use crate::sync::{Journal, Pushed, thread, thread_local};
use crate::transport::Transport;

/// What is to be set going, in this order.
#[derive(Default)]
pub(super) struct Batch {
    writes: Vec<Pushed>,
    sends: Vec<(Call, Done)>,
    readings: Vec<Reading>,
    claims: Vec<Claim>,
    observers: Vec<Observers>,
    /// What is to be dropped, which may run somebody else's code.
    gone: (Vec<Observers>, Vec<Arc<Attempt>>),
    /// Whether whoever keeps the time is to look sooner.
    is_sooner: bool,
    wakers: Vec<Waker>,
}

/// So many at once are no reservation's. The rest is left to whoever comes next, so that nothing goes round in circles.
const PANICS: usize = 10_000;

/// A journal that is to be read.
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
    /// Whether a batch of this client is being carried out on this thread. Its answers that come meanwhile are left to that,
    /// so that no chain of answers becomes a chain of calls; those of another client are not.
    pub(super) fn is_carrying(&self) -> bool {
        CARRYING.try_with(Cell::get) == Ok(self.address())
    }

    fn address(&self) -> usize {
        core::ptr::from_ref(self).addr()
    }

    /// Polls the session to its rest.
    pub(super) fn poll(self: &Arc<Self>, state: &mut State, now: Now, batch: &mut Batch) {
        let mut panics = 0;
        while panics < PANICS {
            // A reservation that panics is gone, and the session goes on without it.
            let step = catch_unwind(AssertUnwindSafe(|| state.session.poll(now)));
            match step {
                Ok(Step::Wait(at)) => {
                    state.next = at;
                    break;
                }
                Ok(step) => self.collect(state, step, batch),
                Err(_) => panics += 1,
            }
        }
        while let Some(key) = state.session.pop_changed() {
            let waiting = state.waiting.remove(&key).into_iter().flatten();
            batch.wakers.extend(waiting.map(|(_, waker)| waker));
        }
        if state.waiting_threads > 0 {
            self.written.notify_all();
        }
        let is_sooner = |at| state.armed.is_none_or(|armed| at < armed);
        batch.is_sooner |= state.next.is_some_and(is_sooner);
        // Then there is nothing more to keep the time of.
        batch.is_sooner |= state.session.closed().is_some() && state.session.is_idle();
        batch.gone.0.extend(state.let_observers_go(now));
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
                let Some(books) = state.journals.get(&principal) else {
                    return;
                };
                let shared = Arc::clone(self);
                let pushed = books.journal.push(write, move |stored| {
                    shared.with(|session, now| session.handle_stored(now, ticket, stored));
                });
                batch.writes.push(pushed);
            }
            Step::Scan {
                ticket,
                principal,
                with_stale,
            } => {
                let Some(books) = state.journals.get(&principal) else {
                    return;
                };
                batch.readings.push(Reading {
                    ticket,
                    principal,
                    journal: books.journal.clone(),
                    with_stale,
                });
            }
            Step::Unclaim(principal) => {
                let books = state.journals.get_mut(&principal);
                batch.claims.extend(books.and_then(|books| books.claim.take()));
            }
            Step::Notify(id, event) => {
                let observers = state.told.of(id);
                observers.push(event);
                batch.observers.push(observers.clone());
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
            // Nearly always there is one, and each is large.
            batch.sends.reserve_exact(1);
        }
        batch.sends.push((call, done));
    }

    /// Sets it going. What came back on this thread meanwhile is handed in afterwards.
    pub(super) fn carry_out(self: &Arc<Self>, batch: Batch) {
        if self.is_carrying() {
            return self.set_going(batch);
        }
        let _carrying = Carrying::begin(self.address());
        self.set_going(batch);
        while !self.mail().is_empty() {
            let (batch, _) = self.hand_in(|_, _| ());
            self.set_going(batch);
        }
    }

    fn set_going(self: &Arc<Self>, batch: Batch) {
        if batch.is_sooner {
            self.rouse();
        }
        // Before the readings, which take them anew.
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
        for waker in batch.wakers {
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
        let _ = catch_unwind(AssertUnwindSafe(|| drop(batch.gone)));
    }

    /// A transport that panics has lost its call, and nothing else.
    pub(super) fn send_by(&self, send: impl FnOnce(&dyn Transport)) {
        let _ = catch_unwind(AssertUnwindSafe(|| send(&*self.transport)));
    }

    /// Reads a journal on a thread of its own, which is rare and may take long.
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
                    let observers = shared.lock().told.of(ObserverId::default()).clone();
                    observers.tell(*event);
                    (None, None)
                }
                Err(_) => (None, None),
            };
            let unwanted = shared.change(|state, now| {
                let is_kept = state.session.handle_scanned(now, ticket, scanned);
                match state.journals.get_mut(&principal) {
                    Some(books) if is_kept => core::mem::replace(&mut books.claim, claim),
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
    /// Nothing more can be told to those whose clients are gone, once nothing of them is under way.
    fn let_observers_go(&mut self, now: Now) -> Vec<Observers> {
        if !self.told.look_if_due(now.mono) {
            return Vec::new();
        }
        let wanted: BTreeSet<_> = self.session.observers().collect();
        self.told.let_go(&wanted)
    }
}

/// The outermost batch of a client on this thread, and whose was carried out before.
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
