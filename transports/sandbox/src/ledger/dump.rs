//! The state of the ledger as JSON: all of it, for tests in any language to look at, and what the page shows.

use serde::Serialize;

use super::Ledger;
use super::books::BudgetState;
use super::json::Json;
use super::shared_types::{Action, Amount, Subject};
use super::wire_enums::{BudgetStatus, ReservationStatus, Unit};

/// The members that the page shows.
#[derive(Serialize)]
struct Glance<'a> {
    budgets: Vec<Budget<'a>>,
    /// The active reservations that end first.
    live: Vec<Live<'a>>,
    live_count: usize,
    ended_count: usize,
    forgotten_reservations: u64,
    events_applied: u64,
}

#[derive(Serialize)]
struct Live<'a> {
    #[serde(flatten)]
    reservation: Reservation<'a>,
    /// The last moment at which it can be settled.
    grace_ends_at_ms: i64,
}

/// The members of the dump. Amounts are in the unit beside them, times in milliseconds since 1970.
#[derive(Serialize)]
struct Dump<'a> {
    budgets: Vec<Budget<'a>>,
    reservations: Vec<Reservation<'a>>,
    /// How many ended ones are missing, because only so many are remembered.
    forgotten_reservations: u64,
    /// The same of events.
    forgotten_events: u64,
    events: Vec<Event<'a>>,
}

#[derive(Serialize)]
struct Budget<'a> {
    scope: &'a str,
    unit: Unit,
    status: BudgetStatus,
    allocated: i64,
    remaining: i64,
    reserved: i64,
    spent: i64,
    debt: i64,
    overdraft_limit: i64,
    is_over_limit: bool,
}

#[derive(Serialize)]
struct Reservation<'a> {
    reservation_id: &'a str,
    tenant: &'a str,
    status: ReservationStatus,
    subject: &'a Subject,
    action: &'a Action,
    estimate: Amount,
    charged: Option<Amount>,
    scopes: &'a [String],
    created_at_ms: i64,
    expires_at_ms: i64,
    finalized_at_ms: Option<i64>,
    extensions: i64,
    idempotency_key: &'a str,
    settled_under: Option<&'a str>,
    metadata: Option<&'a Json>,
    committed_metadata: Option<&'a Json>,
}

#[derive(Serialize)]
struct Event<'a> {
    event_id: &'a str,
    subject: &'a Subject,
    action: &'a Action,
    actual: Amount,
    charged: Amount,
    idempotency_key: &'a str,
    metadata: Option<&'a Json>,
}

impl Ledger {
    /// Its state as one JSON object: `budgets`, `reservations` in the order in which they were made, and `events`. What
    /// it has forgotten is missing: reservations 30 days after their end, events after 7 days, and ended reservations and
    /// events beyond [those that are retained](Self::set_retained), which `forgotten_reservations` and `forgotten_events`
    /// count.
    ///
    /// ```
    /// let sandbox = cycles_sandbox::Sandbox::start()?;
    /// let json = sandbox.with_ledger(|ledger| ledger.to_json());
    /// assert!(json.contains(r#""scope":"tenant:acme-corp","unit":"TOKENS","status":"ACTIVE""#));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn to_json(&self) -> String {
        let mut reservations: Vec<_> = self.reservations.iter().map(Reservation::of).collect();
        reservations.sort_by_key(|it| (it.created_at_ms, it.reservation_id));
        let events = self.recorded.answers().map(|(request, reply)| Event {
            event_id: &reply.event_id,
            subject: &request.subject,
            action: &request.action,
            actual: request.actual,
            charged: reply.charged.unwrap_or(request.actual),
            idempotency_key: &request.idempotency_key,
            metadata: request.metadata.as_ref(),
        });
        let dump = Dump {
            budgets: self.budget_rows(),
            reservations,
            forgotten_reservations: self.reservations.forgotten(),
            forgotten_events: self.forgotten_events(),
            events: events.collect(),
        };
        // Nothing in it can fail to be written.
        serde_json::to_string(&dump).unwrap_or_default()
    }
}

impl Ledger {
    fn budget_rows(&self) -> Vec<Budget<'_>> {
        let budgets = self.budgets();
        budgets
            .map(|(scope, unit, state)| Budget::of(scope, unit, &state))
            .collect()
    }

    /// Its budgets, and up to `most` of the active reservations, as one JSON object.
    pub(crate) fn glance(&self, most: usize) -> String {
        let live = self.reservations.live().take(most).map(|it| Live {
            reservation: Reservation::of(it),
            grace_ends_at_ms: it.grace_end(),
        });
        let (live_count, ended_count) = self.reservations.counts();
        let glance = Glance {
            budgets: self.budget_rows(),
            live: live.collect(),
            live_count,
            ended_count,
            forgotten_reservations: self.reservations.forgotten(),
            events_applied: self.events_applied,
        };
        serde_json::to_string(&glance).unwrap_or_default()
    }
}

impl<'a> Budget<'a> {
    fn of(scope: &'a str, unit: Unit, state: &BudgetState) -> Self {
        Self {
            scope,
            unit,
            status: state.status,
            allocated: state.allocated,
            remaining: state.remaining,
            reserved: state.reserved,
            spent: state.spent,
            debt: state.debt,
            overdraft_limit: state.overdraft_limit,
            is_over_limit: state.is_over_limit,
        }
    }
}

impl<'a> Reservation<'a> {
    fn of(it: &'a super::reservations::Reservation) -> Self {
        let settlement = it.settlement.as_ref();
        Self {
            reservation_id: &it.id,
            tenant: &it.tenant,
            status: it.status,
            subject: &it.subject,
            action: &it.action,
            estimate: it.estimate,
            charged: it.committed(),
            scopes: &it.affected_scopes,
            created_at_ms: it.created_at,
            expires_at_ms: it.expires_at,
            finalized_at_ms: settlement.map(|settlement| settlement.at),
            extensions: it.extensions,
            idempotency_key: &it.idempotency_key,
            settled_under: settlement.map(|settlement| settlement.request.idempotency_key()),
            metadata: it.metadata.as_ref(),
            committed_metadata: it.committed_metadata(),
        }
    }
}
