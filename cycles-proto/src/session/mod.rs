//! A session: the reservations and calls of one client, and the journal of earlier runs.
//!
//! One loop drives a session: [`poll`](Session::poll) says what to do, and the driver reports the results. Callers act
//! in between, at any time and from any thread with access to the session. Every input is legal at any time. An input
//! that nothing waits for is ignored, with one exception: a grant that arrives too late is given back.
//!
//! ```text
//!  reserve, commit, call, flush ──►┌─────────────────────────────┐──► Send, Withdraw, Store, Scan, Notify
//!                                  │           Session           │
//!  granted, receipt, answer  ◄─────│ reservations  calls         │◄── begun, handle, handle_stored,
//!                                  │ timers  places  principals  │    handle_scanned
//!                                  └─────────────────────────────┘
//! ```
//!
//! Invariants:
//!
//! - While a lease is held, [`Step::Wait`] is never later than its next beat.
//! - There are never more attempts under way than [places](Session::set_places). A quarter of the places is reserved
//!   for leases.
//! - A settlement is sent once the journal has answered, or after [five seconds](crate::journal::STORE_DEADLINE) even
//!   without a durable record.
//! - A panic in one reservation does not end any other.
//! - Principals share the places, in turns, and nothing else.
//! - Nothing of an action in shadow mode is sent except one dry run, and nothing of it is stored.

mod attempts;
mod caller;
mod caller_api;
mod calls;
mod close;
mod dispatched;
mod driver_api;
mod entry;
mod flush;
mod idle_connections;
mod journal_entries;
mod journals;
mod last_errors;
mod outstanding_work;
mod places;
mod principal;
pub(crate) mod replay;
mod runs;
mod shadow;
mod shut_down;
mod slab;
mod step;
mod timers;
mod turns;

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

pub use self::caller::{Caller, ObserverId, Principal};
pub use self::caller_api::ExtendKey;
use self::calls::PlainCall;
pub use self::calls::{CallId, CallKey};
pub use self::close::Close;
pub use self::dispatched::MarkedStep;
use self::entry::Entry;
pub use self::entry::ReservationKey;
use self::flush::Flush;
pub use self::flush::FlushKey;
use self::idle_connections::IdleConnections;
use self::outstanding_work::OutstandingWork;
use self::places::Places;
use self::principal::{PrincipalState, Principals};
pub use self::runs::{EndedStep, KeepKey, StepKey};
use self::shut_down::ShutDown;
use self::slab::{Slab, SlabKey};
pub use self::step::{Scanned, Step};
use self::timers::Timers;
use crate::config::{ConfigError, CyclesConfig, MAX_CONCURRENT_CALLS};
use crate::idempotency::Seed;
pub use crate::journal::EntryChange;
use crate::outcome::Event;
use crate::stats::Live;
use crate::time::Now;

/// Everything that belongs to one client: reservations, calls, timers, and the replay of its journals.
#[derive(Debug)]
pub struct Session {
    seed: Seed,
    /// The latest time that the driver passed in.
    latest: Duration,
    principals: Principals,
    reservations: Slab<Box<Entry>>,
    calls: Slab<PlainCall>,
    flushes: Slab<Flush>,
    outstanding: OutstandingWork,
    places: Places,
    idle_connections: IdleConnections,
    timers: Timers,
    /// Steps that are decided but not handed out yet.
    steps: VecDeque<Step>,
    /// The reservations to poll.
    due: VecDeque<SlabKey>,
    /// What has changed, until the driver pops it and wakes the callers that wait for it.
    changed: VecDeque<Key>,
    /// The reservation whose machine is running. It stays set if the machine panics.
    acting: Option<SlabKey>,
    /// Reservations whose machines were lost in a panic that has not been reported yet.
    lost: Vec<SlabKey>,
    closed: Option<Close>,
    stats: Arc<Live>,
    /// Memory for the events of the reservation whose machine is running, so that an event costs no allocation.
    room: VecDeque<Event>,
    shut_down: Option<ShutDown>,
}

/// Something that a caller may wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// A reservation.
    Reservation(ReservationKey),
    /// A call.
    Call(CallId),
    /// A flush.
    Flush(FlushKey),
    /// The [request to stop](Session::is_stopping) that the action of a reservation may get.
    Stop(ReservationKey),
    /// The [end](Session::shut_down) of the session.
    Close,
}

/// The default number of places ([`max_concurrent_calls`](crate::config::Settings::max_concurrent_calls)): how many
/// attempts may be under way at the same time.
pub const PLACES: usize = MAX_CONCURRENT_CALLS;

impl Session {
    /// Creates a session with one principal. The seed is for settlements from the journal; every reservation and call
    /// brings its own.
    pub fn new(config: Arc<CyclesConfig>, seed: Seed) -> Self {
        let places = config.max_concurrent_calls;
        let first = PrincipalState::new(config, seed);
        let stats = Live::new(first.counters());
        Self {
            seed,
            latest: Duration::ZERO,
            places: Places::new(places),
            principals: Principals::new(first),
            reservations: Slab::new(),
            calls: Slab::new(),
            flushes: Slab::new(),
            outstanding: OutstandingWork::new(),
            idle_connections: IdleConnections::default(),
            timers: Timers::default(),
            steps: VecDeque::new(),
            due: VecDeque::new(),
            changed: VecDeque::new(),
            acting: None,
            lost: Vec::new(),
            closed: None,
            stats,
            room: VecDeque::new(),
            shut_down: None,
        }
    }

    /// Sets how many attempts may be under way at the same time, in place of
    /// [`max_concurrent_calls`](crate::config::Settings::max_concurrent_calls); at least one.
    pub fn set_places(&mut self, places: usize) {
        self.places.set_all(places);
    }

    /// Returns the statistics of the session, which can be read without access to it.
    pub fn stats(&self) -> Arc<Live> {
        Arc::clone(&self.stats)
    }

    /// Returns a caller for this configuration. The same key and tenant always give the same principal.
    ///
    /// # Errors
    /// [`ConfigError::OtherServer`] if its base URL differs from the session's.
    pub fn caller(&mut self, config: Arc<CyclesConfig>) -> Result<Caller, ConfigError> {
        if self.principals.base_url() != Some(&*config.base_url) {
            return Err(ConfigError::OtherServer);
        }
        let principal = self.principals.of(&config, self.seed);
        Ok(Caller {
            mode: config.mode,
            config,
            principal,
            observer: ObserverId::default(),
            is_blocking: false,
        })
    }

    /// Returns the next thing that has changed, so that you can wake the callers that wait for it. Whenever
    /// [`poll`](Self::poll) has returned [`Step::Wait`], call this method until it returns `None`.
    pub fn pop_changed(&mut self) -> Option<Key> {
        let changed = self.changed.pop_front()?;
        if let Key::Reservation(key) = changed
            && let Some(reservation) = self.reservations.get_mut(key.0)
        {
            reservation.is_changed = false;
        }
        Some(changed)
    }

    /// Drops the pending wake for something that nobody waits for any more.
    fn drop_wake(&mut self, key: Key) {
        self.changed.retain(|changed| *changed != key);
    }

    /// Makes time monotonic: if the clock goes backwards, the session's time stands still.
    fn at(&mut self, now: Now) -> Now {
        self.latest = self.latest.max(now.mono);
        Now {
            mono: self.latest,
            wall: now.wall,
        }
    }
}
