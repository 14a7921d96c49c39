//! The context of a guarded action: its reservation, and notes for the commit.

use core::cell::RefCell;
use core::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cycles_host::ambient;
use cycles_proto::InvalidCommit;
use cycles_proto::UnixMillis;
use cycles_proto::models::{Amount, Balance, Caps, CyclesMetrics, Decision, ReservationId};
use cycles_proto::with_cycles_config::{CommitNotes, WithCyclesConfig};
use tracing::Span;

use crate::engine::Handle;
use crate::guard::ReservationGuard;
use crate::marking::Marking;
use crate::span::{self, ActionSpan};

thread_local! {
    /// The context of the action that this thread is polling.
    pub(crate) static CURRENT: RefCell<Option<GuardContext>> = const { RefCell::new(None) };
}

/// The reservation of a guarded action, as the action sees it. Clones share one state.
#[derive(Clone)]
#[non_exhaustive]
pub struct GuardContext {
    /// The reservation's id.
    pub reservation_id: ReservationId,
    /// The ledger's decision: `Allow` or `AllowWithCaps`.
    pub decision: Decision,
    /// The limits that the action must respect, if there are any.
    pub caps: Option<Caps>,
    /// The amount that was requested.
    pub estimate: Amount,
    /// The amount that is held.
    pub reserved: Option<Amount>,
    /// The end of the lease as granted, on the server's clock. Extensions do not change this value.
    pub expires_at: Option<UnixMillis>,
    /// The deepest scope.
    pub scope_path: Option<String>,
    /// All scopes whose budget is held, broadest first.
    pub affected_scopes: Vec<String>,
    /// The balances after the reservation; empty if the server did not send them.
    pub balances: Vec<Balance>,
    handle: Arc<Handle>,
    notes: Notes,
    span: ActionSpan,
}

/// Another name for [`GuardContext`], which other SDKs use: `CyclesContext::current()`.
pub type CyclesContext = GuardContext;

/// Metrics and metadata for the commit, shared by all clones of a context.
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
            expires_at: response.expires_at(),
            scope_path: response.scope_path.clone(),
            affected_scopes: response.affected_scopes.clone(),
            balances: response.balances.clone().unwrap_or_default(),
            handle: Arc::clone(&guard.held.handle),
            notes: Notes(Arc::new(Mutex::new(config.notes().clone()))),
            span: span::of_action(guard),
        }
    }

    /// Returns the context of the innermost guarded action that the caller runs in, or `None` outside any guarded
    /// action.
    ///
    /// The context belongs to the action, not to a thread: it follows the action wherever the action is polled. A task
    /// that the action spawns has no context unless it is given a clone. A stream returned by a function with the
    /// attribute `cycles` has that function's context whenever it is polled.
    pub fn current() -> Option<Self> {
        ambient::current(&CURRENT)
    }

    /// The span that the action runs in.
    pub(crate) fn span(&self) -> &Span {
        self.span.get()
    }

    /// Sets the metrics to send with the commit. `latency_ms` is filled in if it is not set.
    pub fn set_metrics(&self, metrics: CyclesMetrics) {
        self.notes.lock().set_metrics(metrics);
    }

    /// Adds an entry to the metadata of the commit.
    pub fn insert_metadata(&self, name: impl Into<String>, value: impl Into<serde_json::Value>) {
        // Converted before the notes are locked, because the caller's conversions may lock them too.
        let (name, value) = (name.into(), value.into());
        self.notes.lock().insert_metadata(name, value);
    }

    /// Raises the reported spend to at least this amount, in total. The spend is committed if the action fails or is
    /// dropped, or if the action is a stream whose items cost less.
    ///
    /// # Errors
    /// [`InvalidCommit`] if the amount could not be committed.
    pub fn spent(&self, amount: &Amount) -> Result<(), InvalidCommit> {
        self.handle.spent(amount)
    }

    /// Says that a request to a provider leaves that may have to be paid for. Call it right before each such request;
    /// nothing calls it for you.
    ///
    /// From here on, an action without a cost is not free: if it fails, panics, is dropped (as by a time-out around it)
    /// or is stopped, it is charged what it had [spent](Self::spent), or else the estimate, marked
    /// `actual_source: "estimate"` in the commit's metadata. [`on_error`](WithCyclesConfig::on_error) changes that. A
    /// spend of 0 does not; only [`not_charged`](Self::not_charged) does.
    ///
    /// Does not block. Another call, for another request, changes nothing about the charge. Has no effect once the action
    /// has ended.
    pub fn dispatched(&self) {
        self.handle.dispatched();
    }

    /// Like [`dispatched`](Self::dispatched), and also writes that to disk, so that it is not forgotten if this process
    /// dies. Takes effect at once; await the future, or [wait](Marking::wait) for it, before the request leaves. That
    /// takes as long as a sync of the disk; if the mark is there already, no time at all.
    ///
    /// What a process leaves that dies then is never charged by itself. Later clients report it with its estimate
    /// ([`Event::UnknownCostLeft`](crate::Event::UnknownCostLeft), [`Flushed::unknown`](crate::Flushed::unknown),
    /// [`entries`](crate::Journal::entries)), and a person charges it with
    /// [`charge_estimate`](crate::Journal::charge_estimate) or discards it. Once the action has ended in this process, the
    /// mark is gone, except with [`OnError::Hold`](crate::OnError::Hold).
    ///
    /// # Errors
    /// The future resolves to [`NotMarked`](crate::NotMarked) if the mark could not be written, or if there is no journal.
    pub fn dispatched_durably(&self) -> Marking {
        Marking::of_action(&self.handle)
    }

    /// Takes the latest [`dispatched`](Self::dispatched) back: the provider refused the request, so it costs nothing. If
    /// nothing else was dispatched or [spent](Self::spent), an action that fails gives its budget back. An earlier
    /// request that was not taken back may still have to be paid for.
    ///
    /// Does not block. Has no effect without a `dispatched` before it, or once the action has ended.
    pub fn not_charged(&self) {
        self.handle.not_charged();
    }

    /// Returns a handle that shows whether the lease is lost.
    pub fn lease(&self) -> Lease {
        Lease::new(Arc::clone(&self.handle))
    }

    /// Returns the estimate, to be charged for an action whose usage is unknown. The commit is then marked
    /// `actual_source: "estimate"` in its metadata.
    pub fn estimate_as_cost(&self) -> Amount {
        self.insert_metadata("actual_source", "estimate");
        self.estimate.clone()
    }

    /// The cost of a finished action: `actual`, or the estimate if `actual` is unknown. The estimate is first reported
    /// as spent, in case `actual` panics or cannot be charged.
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

/// Shows whether the lease of a reservation is lost while its action runs.
#[derive(Clone)]
pub struct Lease {
    handle: Arc<Handle>,
}

impl Lease {
    pub(crate) fn new(handle: Arc<Handle>) -> Self {
        Self { handle }
    }

    /// Whether the lease is over, because the ledger says so or its time has passed. Then budget is no longer held.
    /// Always true in a forked child, because the reservation belongs to the parent. Does not block.
    pub fn is_lost(&self) -> bool {
        self.handle.is_lost()
    }

    /// Waits until the lease is lost, or forever if it never is. May be dropped at any time.
    pub async fn lost(&self) {
        if self.is_lost() {
            return;
        }
        self.handle.watch_for_loss().await;
    }

    /// Whether the action should stop, because the client was [closed](crate::Client::close) in a way that stops
    /// actions. The lease is extended meanwhile: report what was spent, or commit, and end. Does not block.
    pub fn is_stopping(&self) -> bool {
        self.handle.is_stopping()
    }

    /// Waits until the action [should stop](Self::is_stopping), or forever. May be dropped at any time.
    pub async fn stopping(&self) {
        self.handle.stopping().await;
    }

    /// Blocks until the action [should stop](Self::is_stopping), or for `timeout`, whichever comes first. Returns
    /// whether the action should stop.
    #[cfg(feature = "blocking")]
    pub fn wait_stopping(&self, timeout: core::time::Duration) -> bool {
        self.is_stopping()
            || self.handle.check().is_ok()
                && crate::engine::block_until(self.handle.shared(), timeout, self.stopping()).is_some()
    }

    /// Blocks until the lease is lost, or for `timeout`, whichever comes first. Returns whether the lease is lost.
    #[cfg(feature = "blocking")]
    pub fn wait_lost(&self, timeout: core::time::Duration) -> bool {
        self.handle.check().is_err()
            || crate::engine::block_until(self.handle.shared(), timeout, self.lost()).is_some()
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("is_lost", &self.is_lost()).finish()
    }
}
