//! All that one client has: its reservations, its calls, the journal of earlier runs.
//!
//! A session is driven by one loop: [`poll`](Session::poll) says what to do, and what came of it is reported. Callers act in
//! between, at any time and from any thread that has the session. Any input is legal at any time: one that nobody waits for
//! is ignored, except a grant that comes too late, which is given back.
//!
//! ```text
//!  reserve, commit, call, flush ──►┌─────────────────────────────┐──► Send, Withdraw, Store, Scan, Notify
//!                                  │           Session           │
//!  granted, receipt, answer  ◄─────│ reservations  calls         │◄── begun, handle, handle_stored,
//!                                  │ timers  places  principals  │    handle_scanned
//!                                  └─────────────────────────────┘
//! ```
//!
//! What holds at every moment:
//!
//! - While a lease is held, [`Step::Wait`] is never later than its next beat.
//! - At most as many exchanges are outside as there are [places](Session::set_places). A quarter of them is for leases.
//! - A settlement is sent once the journal has answered, or after [five seconds](crate::journal::STORE_DEADLINE) if there is no
//!   durable record of it yet.
//! - A panic in one reservation ends no other.
//! - Principals share places and nothing else.

mod acts;
mod caller;
mod close;
mod doubt;
mod driving;
mod entry;
mod exchanging;
mod flush;
mod outside;
mod places;
mod plain;
mod principal;
pub(crate) mod replay;
mod slab;
mod step;
mod storing;
mod timers;

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

pub use self::acts::ExtendKey;
pub use self::caller::{Caller, ObserverId, Principal};
pub use self::close::Close;
use self::doubt::Doubt;
use self::entry::Entry;
pub use self::entry::ReservationKey;
use self::flush::Flush;
pub use self::flush::FlushKey;
use self::outside::OutsideWorld;
use self::places::Places;
use self::plain::Plain;
pub use self::plain::{CallId, CallKey};
use self::principal::{PrincipalState, Principals};
use self::slab::{Slab, SlabKey};
pub use self::step::{Scanned, Step};
use self::timers::Timers;
use crate::config::{ConfigError, CyclesConfig};
use crate::keys::Seed;
use crate::time::Now;

/// All that one client has.
#[derive(Debug)]
pub struct Session {
    seed: Seed,
    /// The latest time that the driver told.
    latest: Duration,
    principals: Principals,
    reservations: Slab<Box<Entry>>,
    calls: Slab<Plain>,
    flushes: Slab<Flush>,
    outside: OutsideWorld,
    places: Places,
    doubt: Doubt,
    timers: Timers,
    /// What was decided and not handed out.
    steps: VecDeque<Step>,
    /// The reservations that are to be polled.
    due: VecDeque<SlabKey>,
    /// Whoever waits for these is to look again.
    changed: VecDeque<Key>,
    /// The reservation whose machine does something. It stays here if that panics.
    acting: Option<SlabKey>,
    /// The reservations whose machines were lost in that way, and nobody was told.
    lost: Vec<SlabKey>,
    closed: Option<Close>,
}

/// What somebody may wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// A reservation.
    Reservation(ReservationKey),
    /// A call.
    Call(CallId),
    /// A flush.
    Flush(FlushKey),
}

/// How many exchanges go on at once, unless the transport says something else.
pub const PLACES: usize = 64;

impl Session {
    /// A session of one principal to begin with. The seed is for what is settled from the journal; every reservation and
    /// call brings its own.
    pub fn new(config: Arc<CyclesConfig>, seed: Seed) -> Self {
        Self {
            seed,
            latest: Duration::ZERO,
            principals: Principals::new(PrincipalState::new(config, seed)),
            reservations: Slab::new(),
            calls: Slab::new(),
            flushes: Slab::new(),
            outside: OutsideWorld::new(),
            places: Places::new(PLACES),
            doubt: Doubt::default(),
            timers: Timers::default(),
            steps: VecDeque::new(),
            due: VecDeque::new(),
            changed: VecDeque::new(),
            acting: None,
            lost: Vec::new(),
            closed: None,
        }
    }

    /// As many exchanges go on at once, at least one.
    pub fn set_places(&mut self, places: usize) {
        self.places.set_all(places);
    }

    /// Who asks in the name of this configuration. A key and a tenant that are known already are the same principal.
    ///
    /// # Errors
    /// [`ConfigError::OtherServer`] if it is for another base URL than the session's.
    pub fn caller(&mut self, config: Arc<CyclesConfig>) -> Result<Caller, ConfigError> {
        if self.principals.base_url() != Some(config.base_url()) {
            return Err(ConfigError::OtherServer);
        }
        let principal = self.principals.of(&config, self.seed);
        Ok(Caller {
            config,
            principal,
            observer: ObserverId::default(),
            is_blocking: false,
        })
    }

    /// Something that somebody may wait for has changed: whoever does is to look again. To be asked until there is nothing
    /// more, whenever the session was polled to its rest.
    pub fn pop_changed(&mut self) -> Option<Key> {
        let changed = self.changed.pop_front()?;
        if let Key::Reservation(key) = changed
            && let Some(reservation) = self.reservations.get_mut(key.0)
        {
            reservation.is_changed = false;
        }
        Some(changed)
    }

    /// Nobody will look for this any more.
    fn nobody_waits(&mut self, key: Key) {
        self.changed.retain(|changed| *changed != key);
    }

    /// Time that goes backwards stands still.
    fn at(&mut self, now: Now) -> Now {
        self.latest = self.latest.max(now.mono);
        Now {
            mono: self.latest,
            wall: now.wall,
        }
    }
}
