//! Setting a world up.

use core::fmt;
use std::sync::Arc;

use bytes::Bytes;
use cycles_proto::session::{PLACES, Session};
use cycles_sandbox::{
    ApiKey, Budget, DEFAULT_API_KEY, DEFAULT_TENANT, Ledger, Seed, Tenant, default_budgets,
};
use http::{Request, Response};

use super::World;
use super::machine::Machine;

/// Makes what a world drives out of a [`Session`].
pub type MakeMachine = Arc<dyn Fn(Session) -> Box<dyn Machine> + Send + Sync>;

/// Sees a request as it reaches the ledger, and the ledger's answer before anything goes wrong with it.
pub type WatchLedger = Arc<dyn Fn(&Request<Bytes>, &Response<Bytes>) + Send + Sync>;

/// How badly the driver of the sessions behaves, in chances from 0 to 1. The default behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Driver {
    /// A poll more after each wait.
    pub spurious_polls: f64,
    /// A poll later than was asked for, by up to five seconds.
    pub late_polls: f64,
    /// An answer that comes although its time was over.
    pub late_answers: f64,
    /// An answer that is reported once more, later.
    pub repeated_answers: f64,
    /// An answer under a ticket that the session never handed out.
    pub unknown_answers: f64,
    /// A step that is carried out up to three seconds after it was taken, so that others overtake it.
    pub late_steps: f64,
    /// A call whose beginning is told too late, or not at all.
    pub untold_beginnings: f64,
    /// A withdrawn call that does not come back until it is answered, which may be never.
    pub kept_places: f64,
    /// A change of the journal that takes up to a minute, or as long as the faults last.
    pub slow_stores: f64,
}

impl Driver {
    /// The same chance for all of it.
    pub const fn careless(chance: f64) -> Self {
        Self {
            spurious_polls: chance,
            late_polls: chance,
            late_answers: chance,
            repeated_answers: chance,
            unknown_answers: chance,
            late_steps: chance,
            untold_beginnings: chance,
            kept_places: chance,
            slow_stores: chance / 4.0,
        }
    }
}

/// A world that has not begun yet.
#[must_use = "nothing happens in a world that is not built"]
pub struct WorldBuilder {
    pub(super) dice: Seed,
    pub(super) ledger: Ledger,
    pub(super) driver: Driver,
    pub(super) make: MakeMachine,
    pub(super) watch: WatchLedger,
    pub(super) unmeasured: f64,
    pub(super) has_claims: bool,
    pub(super) places: usize,
    pub(super) is_traced: bool,
}

impl WorldBuilder {
    pub(super) fn new(seed: u64) -> Self {
        let mut ledger = Ledger::new(seed);
        ledger.add_tenant(Tenant::new(DEFAULT_TENANT));
        ledger.add_api_key(ApiKey::new(DEFAULT_API_KEY, DEFAULT_TENANT));
        for budget in default_budgets(DEFAULT_TENANT) {
            ledger.add_budget(budget);
        }
        Self {
            dice: Seed::new(seed),
            ledger,
            driver: Driver::default(),
            make: Arc::new(|session| Box::new(session)),
            watch: Arc::new(|_, _| {}),
            unmeasured: 0.0,
            has_claims: false,
            places: PLACES,
            is_traced: false,
        }
    }

    /// This ledger instead of one with the tenant, key and budgets of a default sandbox.
    pub fn ledger(mut self, ledger: Ledger) -> Self {
        self.ledger = ledger;
        self
    }

    /// Adds a budget, or replaces the one of the same scope and unit.
    pub fn budget(mut self, budget: Budget) -> Self {
        self.ledger.add_budget(budget);
        self
    }

    /// Adds a tenant, or replaces one of the same id.
    pub fn tenant(mut self, tenant: Tenant) -> Self {
        self.ledger.add_tenant(tenant);
        self
    }

    /// Adds an API key.
    pub fn api_key(mut self, key: ApiKey) -> Self {
        self.ledger.add_api_key(key);
        self
    }

    /// A driver that behaves like this.
    pub const fn driver(mut self, driver: Driver) -> Self {
        self.driver = driver;
        self
    }

    /// Leaves `remaining_ttl_ms` out of this share of the server's answers, from 0 to 1: older servers do not
    /// know it.
    pub const fn unmeasured(mut self, share: f64) -> Self {
        self.unmeasured = share;
        self
    }

    /// Lets sessions claim a directory of the journal, as they do where files can be locked.
    pub const fn claims(mut self, has_claims: bool) -> Self {
        self.has_claims = has_claims;
        self
    }

    /// As many exchanges of a session go on at once, at least one.
    pub fn places(mut self, places: usize) -> Self {
        self.places = places.max(1);
        self
    }

    /// Wraps every session, to see whether the world finds out what the wrapper does.
    pub fn machines(mut self, make: MakeMachine) -> Self {
        self.make = make;
        self
    }

    /// Shows every exchange with the ledger.
    pub fn watch_ledger(mut self, watch: WatchLedger) -> Self {
        self.watch = watch;
        self
    }

    /// Keeps a line for everything that happens; [`World::trace`] has them.
    pub const fn traced(mut self) -> Self {
        self.is_traced = true;
        self
    }

    /// The world, at its beginning: nobody is there yet.
    pub fn build(self) -> World {
        World::begin(self)
    }
}

impl fmt::Debug for WorldBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorldBuilder")
            .field("ledger", &self.ledger)
            .field("driver", &self.driver)
            .finish_non_exhaustive()
    }
}
