//! Statistics of a session: what was reserved, denied and charged so far, and what is under way now.
//!
//! The session writes atomics ([`Live`]); a [`Stats`] is a snapshot of them, taken without a lock. The numbers of one
//! snapshot may be a few events apart.

mod counters;
mod samples;
mod shadow;
#[cfg(test)]
mod tests;

use core::time::Duration;

pub use self::counters::Live;
pub(crate) use self::counters::{Count, Counters, Held};
pub use self::samples::Sample;
pub use self::shadow::ShadowStats;
use crate::models::{Amount, DecisionReasonCode, Unit};

/// A snapshot of what a client has done since it was created, and of what is under way, by tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// How many HTTP exchanges are under way.
    pub calls_in_flight: u64,
    /// The numbers of each tenant, in the order in which the client came to know them. Two API keys of one tenant count
    /// as one.
    pub tenants: Vec<TenantStats>,
}

/// The numbers of one tenant. Those of a time span are counters, which only grow; the others are about this moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TenantStats {
    /// The tenant; `None` if the configuration does not name it.
    pub tenant: Option<String>,
    /// Counter: reservations that were granted.
    pub reserved: u64,
    /// Counters: reservations that the ledger denied, by reason.
    pub denied: Denials,
    /// Counter: reservations that could not be made for another reason, such as an outage.
    pub not_reserved: u64,
    /// Counter: costs of reservations that are in the ledger, by commit or by event. Includes those that an earlier run
    /// left.
    pub committed: u64,
    /// Counter: the part of [`committed`](Self::committed) that an event charged, because the reservation was over.
    pub committed_by_event: u64,
    /// Counter: the part of [`committed`](Self::committed) that is what an action, or a step of a run, had spent
    /// before it failed or was dropped.
    pub committed_partial: u64,
    /// Counter: the part of [`committed`](Self::committed) that is an estimate, because the cost of an action, or of a
    /// step of a run, was not known.
    pub committed_estimates: u64,
    /// Counter: reservations that were given back.
    pub released: u64,
    /// Counter: reservations that were left to expire, with nothing charged.
    pub expired: u64,
    /// Counter: direct debits (`create_event`) that the ledger applied.
    pub events: u64,
    /// Counter: leases that ended while their action was running.
    pub lost_leases: u64,
    /// Counter: leases that the heartbeat extended.
    pub beats: u64,
    /// Counter: beats that failed.
    pub failed_beats: u64,
    /// Counter: requests to reserve, settlements and releases that were or will be sent again.
    pub retries: u64,
    /// Counter: costs that are in no ledger and on no disk. Each is an event
    /// [`CostUnrecorded`](crate::Event::CostUnrecorded), [`CostNotTaken`](crate::Event::CostNotTaken) or
    /// [`CostUnknown`](crate::Event::CostUnknown).
    pub unrecorded: u64,
    /// Reservations that are held: their actions run, or they are being settled or given back.
    pub live: u64,
    /// Costs that are handed over and not in the ledger yet: of this process, and those that it found in its journal.
    pub pending: u64,
    /// Records that were set aside for a person since the client was created.
    pub set_aside: u64,
    /// The age of the oldest pending cost; of those in the journal, as of the last look at it.
    pub oldest_pending: Option<Duration>,
    /// The sum of the estimates that are held, by unit.
    pub held: Amounts,
    /// Counter: what the ledger charged, by unit: for reservations, and for direct debits and commits by
    /// `create_event` and `commit_reservation`. If you send one of those again under the same key, it counts again
    /// here, but not in the ledger.
    pub charged: Amounts,
    /// Counter: the parts of costs that were not charged, because the budget had no more, by unit.
    pub uncharged: Amounts,
    /// What became of actions in [shadow mode](crate::Mode::Shadow). No other number here includes them.
    pub shadow: ShadowStats,
}

/// A sum for each unit of the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts([i64; UNIT_COUNT]);

/// Denials by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Denials([u64; REASON_COUNT + 1]);

const UNIT_COUNT: usize = 4;
const REASON_COUNT: usize = 10;

static UNITS: [Unit; UNIT_COUNT] = [Unit::UsdMicrocents, Unit::Tokens, Unit::Credits, Unit::RiskPoints];

static REASONS: [DecisionReasonCode; REASON_COUNT] = [
    DecisionReasonCode::BudgetExceeded,
    DecisionReasonCode::BudgetFrozen,
    DecisionReasonCode::BudgetClosed,
    DecisionReasonCode::BudgetNotFound,
    DecisionReasonCode::OverdraftLimitExceeded,
    DecisionReasonCode::DebtOutstanding,
    DecisionReasonCode::TenantClosed,
    DecisionReasonCode::ActionQuotaExceeded,
    DecisionReasonCode::ActionKindDenied,
    DecisionReasonCode::ActionKindNotAllowed,
];

/// The label of denials whose reason is missing or unknown.
const OTHER: &str = "OTHER";

fn unit_index(unit: &Unit) -> Option<usize> {
    UNITS.iter().position(|known| known == unit)
}

fn reason_index(reason: Option<&DecisionReasonCode>) -> usize {
    let known = reason.and_then(|reason| REASONS.iter().position(|known| known == reason));
    known.unwrap_or(REASON_COUNT)
}

impl Amounts {
    /// The sum in this unit; 0 for a unit that the protocol does not know.
    pub fn of(&self, unit: &Unit) -> i64 {
        unit_index(unit).map_or(0, |unit| self.0[unit])
    }

    /// The sums that are not 0.
    pub fn iter(&self) -> impl Iterator<Item = Amount> {
        self.named().map(|(unit, sum)| Amount::new(Unit::from(unit), sum))
    }

    fn named(&self) -> impl Iterator<Item = (&str, i64)> {
        let sums = UNITS.iter().map(Unit::as_str).zip(self.0);
        sums.filter(|(_, sum)| *sum != 0)
    }

    fn add(&mut self, other: &Self) {
        for (sum, more) in self.0.iter_mut().zip(other.0) {
            *sum = sum.saturating_add(more);
        }
    }
}

impl Denials {
    /// All denials.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    fn add(&mut self, other: &Self) {
        for (sum, more) in self.0.iter_mut().zip(other.0) {
            *sum += more;
        }
    }

    /// The denials for this reason.
    pub fn of(&self, reason: &DecisionReasonCode) -> u64 {
        self.0[reason_index(Some(reason))]
    }

    /// The reasons that occurred, with the number of their denials. A missing or unknown reason is `OTHER`.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        let names = REASONS.iter().map(DecisionReasonCode::as_str).chain([OTHER]);
        names.zip(self.0).filter(|(_, count)| *count > 0)
    }
}

impl Stats {
    /// The numbers of this tenant, if the client knows it.
    pub fn tenant(&self, tenant: &str) -> Option<&TenantStats> {
        self.tenants
            .iter()
            .find(|it| it.tenant.as_deref() == Some(tenant))
    }

    /// The sums over all tenants.
    pub fn total(&self) -> TenantStats {
        let mut total = TenantStats::default();
        for tenant in &self.tenants {
            total.add(tenant);
        }
        total
    }

    /// Adds the numbers of one API key to those of its tenant.
    fn add(&mut self, of: TenantStats) {
        match self.tenants.iter_mut().find(|known| known.tenant == of.tenant) {
            Some(known) => known.add(&of),
            None => self.tenants.push(of),
        }
    }
}

impl TenantStats {
    fn add(&mut self, other: &Self) {
        // Names all members, so that a new one cannot be forgotten.
        let Self {
            tenant: _,
            reserved,
            denied,
            not_reserved,
            committed,
            committed_by_event,
            committed_partial,
            committed_estimates,
            released,
            expired,
            events,
            lost_leases,
            beats,
            failed_beats,
            retries,
            unrecorded,
            live,
            pending,
            set_aside,
            oldest_pending,
            held,
            charged,
            uncharged,
            shadow,
        } = other;
        self.reserved += reserved;
        self.denied.add(denied);
        self.not_reserved += not_reserved;
        self.committed += committed;
        self.committed_by_event += committed_by_event;
        self.committed_partial += committed_partial;
        self.committed_estimates += committed_estimates;
        self.released += released;
        self.expired += expired;
        self.events += events;
        self.lost_leases += lost_leases;
        self.beats += beats;
        self.failed_beats += failed_beats;
        self.retries += retries;
        self.unrecorded += unrecorded;
        self.live += live;
        self.pending += pending;
        self.set_aside += set_aside;
        self.oldest_pending = self.oldest_pending.max(*oldest_pending);
        self.held.add(held);
        self.charged.add(charged);
        self.uncharged.add(uncharged);
        self.shadow.add(shadow);
    }
}
