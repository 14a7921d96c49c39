//! What a guarded action sees of its reservation, and what it may leave for the commit.

use core::cell::RefCell;
use core::fmt;
use core::time::Duration;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cycles_host::ambient;
use cycles_proto::InvalidCommit;
use cycles_proto::guarded::{CommitNotes, WithCyclesConfig};
use cycles_proto::models::{Amount, Balance, Caps, CyclesMetrics, Decision, ReservationId};
use cycles_proto::{Now, UnixMillis};

use crate::engine::Life;
use crate::guard::ReservationGuard;

thread_local! {
    /// What the code that runs here is guarded by.
    pub(crate) static CURRENT: RefCell<Option<GuardContext>> = const { RefCell::new(None) };
}

/// The reservation of a guarded action. Clones are the same.
#[derive(Clone)]
#[non_exhaustive]
pub struct GuardContext {
    /// The reservation.
    pub reservation_id: ReservationId,
    /// `Allow` or `AllowWithCaps`.
    pub decision: Decision,
    /// What the action has to keep to.
    pub caps: Option<Caps>,
    /// What was asked for.
    pub estimate: Amount,
    /// What is held.
    pub reserved: Option<Amount>,
    /// When the lease ended when it was granted, on the server's clock.
    pub expires_at: Option<UnixMillis>,
    /// The deepest scope.
    pub scope_path: Option<String>,
    /// All scopes, broadest first.
    pub affected_scopes: Vec<String>,
    /// The balances after the reservation, if the server tells.
    pub balances: Vec<Balance>,
    life: Arc<Life>,
    notes: Notes,
}

/// A [`GuardContext`] by the name that other SDKs give to the one of the code that runs:
/// `CyclesContext::current()`.
pub type CyclesContext = GuardContext;

/// What goes with the commit, shared by all clones of a context.
#[derive(Clone)]
pub(crate) struct Notes(Arc<Mutex<CommitNotes>>);

impl GuardContext {
    pub(crate) fn of(guard: &ReservationGuard, config: &WithCyclesConfig) -> Self {
        let response = guard.response();
        Self {
            reservation_id: guard.reservation_id().clone(),
            decision: response.decision.clone(),
            caps: response.caps.clone(),
            estimate: config.estimate().clone(),
            reserved: response.reserved.clone(),
            expires_at: response.expires_at_ms,
            scope_path: response.scope_path.clone(),
            affected_scopes: response.affected_scopes.clone(),
            balances: response.balances.clone().unwrap_or_default(),
            life: Arc::clone(&guard.held.life),
            notes: Notes(Arc::new(Mutex::new(config.notes().clone()))),
        }
    }

    /// The context of the guarded action that the caller is part of, the innermost one; none outside of any.
    ///
    /// It belongs to the action and not to a thread: it follows the action wherever that is polled, and a task
    /// that the action spawns has none unless it is given a clone. A stream that a function with the attribute
    /// `cycles` makes has that function's whenever it is polled.
    pub fn current() -> Option<Self> {
        ambient::current(&CURRENT)
    }

    /// What the action consumed, to go with the commit. `latency_ms` is filled in if it is not given.
    pub fn set_metrics(&self, metrics: CyclesMetrics) {
        self.notes.lock().set_metrics(metrics);
    }

    /// Adds to what is kept with the commit.
    pub fn insert_metadata(&self, name: impl Into<String>, value: impl Into<serde_json::Value>) {
        // Before the notes are locked: what is the caller's own may ask for them too.
        let (name, value) = (name.into(), value.into());
        self.notes.lock().insert_metadata(name, value);
    }

    /// The action has spent at least this much by now, in all. It is what is committed if the action does not end,
    /// or if it is a stream whose items cost less.
    ///
    /// # Errors
    /// [`InvalidCommit`] if the amount could not be committed.
    pub fn spent(&self, amount: &Amount) -> Result<(), InvalidCommit> {
        self.life.spent(amount)
    }

    /// The lease, to be asked whether it is lost.
    pub fn lease(&self) -> Lease {
        Lease::new(Arc::clone(&self.life))
    }

    /// What was estimated, as the cost of an action of which nobody told what it used; the commit says so by
    /// `actual_source: "estimate"` in its metadata.
    pub fn estimate_as_cost(&self) -> Amount {
        self.insert_metadata("actual_source", "estimate");
        self.estimate.clone()
    }

    /// What will go with the commit, for whoever commits.
    /// The action is done: should it not be possible to tell or to charge what it cost, the estimate is charged.
    #[cfg(any(feature = "async", feature = "blocking"))]
    pub(crate) fn cost<T>(
        &self,
        value: &T,
        actual: impl FnOnce(&T, &cycles_proto::models::Unit) -> Option<Amount>,
    ) -> Amount {
        let _ = self.spent(&self.estimate);
        actual(value, &self.estimate.unit).unwrap_or_else(|| self.estimate_as_cost())
    }

    pub(crate) fn notes(&self) -> Notes {
        self.notes.clone()
    }
}

impl Notes {
    pub(crate) fn lock(&self) -> MutexGuard<'_, CommitNotes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for GuardContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardContext")
            .field("reservation_id", &self.reservation_id)
            .field("decision", &self.decision)
            .field("caps", &self.caps)
            .finish_non_exhaustive()
    }
}

/// A lease that may get lost while an action runs.
#[derive(Clone)]
pub struct Lease {
    life: Arc<Life>,
}

impl Lease {
    pub(crate) fn new(life: Arc<Life>) -> Self {
        Self { life }
    }

    /// Whether the lease is over, by the ledger's word or by the clock: what is spent now is not held any more. In a
    /// child that was forked it is, because what is held is the parent's.
    pub fn is_lost(&self) -> bool {
        self.life.is_lost()
    }

    /// Waits until the lease is lost; for ever if it never is.
    pub async fn lost(&self) {
        if self.is_lost() {
            return;
        }
        // From here on the session notices, and its own time is enough.
        const ITS_OWN: Now = Now {
            mono: Duration::ZERO,
            wall: UnixMillis(0),
        };
        self.life
            .wait_for(|session, key| session.lease_is_lost(ITS_OWN, key).then_some(()))
            .await;
    }

    /// Blocks until the lease is lost, or for `timeout`, whichever comes first; says whether it is lost.
    #[cfg(feature = "blocking")]
    pub fn wait_lost(&self, timeout: core::time::Duration) -> bool {
        self.life.check().is_err()
            || crate::engine::block_until(self.life.shared(), timeout, self.lost()).is_some()
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("is_lost", &self.is_lost()).finish()
    }
}
