//! The configuration of a world.

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

/// Turns a [`Session`] into the machine that a world drives.
pub type MakeMachine = Arc<dyn Fn(Session) -> Box<dyn Machine> + Send + Sync>;

/// Observes a request as it reaches the ledger, and the ledger's answer before any fault changes it.
pub type WatchLedger = Arc<dyn Fn(&Request<Bytes>, &Response<Bytes>) + Send + Sync>;

/// The misbehaviour of the sessions' driver, as probabilities from 0 to 1, each 0 by default.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Driver {
    /// An additional poll after a wait.
    pub spurious_polls: f64,
    /// A poll later than requested, by up to five seconds.
    pub late_polls: f64,
    /// An answer that is reported after its deadline.
    pub late_answers: f64,
    /// An answer that is reported a second time, later.
    pub repeated_answers: f64,
    /// An answer under a ticket that the session never issued.
    pub unknown_answers: f64,
    /// A step that is executed up to three seconds late, so that other steps overtake it.
    pub late_steps: f64,
    /// A call whose beginning is reported too late, or not at all.
    pub unreported_beginnings: f64,
    /// A withdrawn call that keeps its place until it is answered, if ever.
    pub kept_places: f64,
    /// A change to the journal that takes up to a minute, or as long as the faults last.
    pub slow_stores: f64,
}

impl Driver {
    /// A driver with the same probability for every kind of misbehaviour.
    pub const fn careless(chance: f64) -> Self {
        Self {
            spurious_polls: chance,
            late_polls: chance,
            late_answers: chance,
            repeated_answers: chance,
            unknown_answers: chance,
            late_steps: chance,
            unreported_beginnings: chance,
            kept_places: chance,
            slow_stores: chance / 4.0,
        }
    }
}

/// Configures a world.
#[must_use = "nothing happens in a world that is not built"]
pub struct WorldBuilder {
    pub(super) dice: Seed,
    pub(super) ledger: Ledger,
    pub(super) driver: Driver,
    pub(super) make: MakeMachine,
    pub(super) watch: WatchLedger,
    pub(super) without_remaining_ttl: f64,
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
            without_remaining_ttl: 0.0,
            has_claims: false,
            places: PLACES,
            is_traced: false,
        }
    }

    /// Sets the ledger. Default: one with the tenant, key and budgets of a default sandbox.
    pub fn ledger(mut self, ledger: Ledger) -> Self {
        self.ledger = ledger;
        self
    }

    /// Adds a budget, or replaces the one with the same scope and unit.
    pub fn budget(mut self, budget: Budget) -> Self {
        self.ledger.add_budget(budget);
        self
    }

    /// Adds a tenant, or replaces the one with the same id.
    pub fn tenant(mut self, tenant: Tenant) -> Self {
        self.ledger.add_tenant(tenant);
        self
    }

    /// Adds an API key.
    pub fn api_key(mut self, key: ApiKey) -> Self {
        self.ledger.add_api_key(key);
        self
    }

    /// Sets how the driver behaves.
    pub const fn driver(mut self, driver: Driver) -> Self {
        self.driver = driver;
        self
    }

    /// Omits `remaining_ttl_ms` from this share of the server's answers, from 0 to 1, as older servers do.
    pub const fn without_remaining_ttl(mut self, share: f64) -> Self {
        self.without_remaining_ttl = share;
        self
    }

    /// Sets whether sessions can claim a directory of the journal, as on systems that can lock files.
    pub const fn claims(mut self, has_claims: bool) -> Self {
        self.has_claims = has_claims;
        self
    }

    /// Sets how many exchanges of a session may run at once, at least one.
    pub fn places(mut self, places: usize) -> Self {
        self.places = places.max(1);
        self
    }

    /// Wraps every session, to test that the world detects the wrapper's misbehaviour.
    pub fn machines(mut self, make: MakeMachine) -> Self {
        self.make = make;
        self
    }

    /// Calls `watch` with every exchange with the ledger.
    pub fn watch_ledger(mut self, watch: WatchLedger) -> Self {
        self.watch = watch;
        self
    }

    /// Records a line for everything that happens; [`World::trace`] returns them.
    pub const fn traced(mut self) -> Self {
        self.is_traced = true;
        self
    }

    /// Builds the world, without any process.
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
