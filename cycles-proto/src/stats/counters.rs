//! The atomics behind the statistics.

use core::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use super::{
    Amounts, Denials, REASON_COUNT, ShadowStats, Stats, TenantStats, UNIT_COUNT, reason_index, unit_index,
};
use crate::models::Amount;
use crate::outcome::{ActualSource, ChargedBy, Event, ShadowDecision};
use crate::time::UnixMillis;

/// The statistics of a session, as it goes on. Reading them takes no lock.
#[derive(Debug)]
pub struct Live {
    in_flight: AtomicU64,
    first: Arc<Counters>,
}

/// What a principal counts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Count {
    Reserved,
    NotReserved,
    Committed,
    CommittedByEvent,
    CommittedPartial,
    CommittedEstimates,
    Released,
    Expired,
    Events,
    LostLeases,
    Beats,
    FailedBeats,
    Retries,
    Unrecorded,
    ShadowAllowed,
    ShadowAllowedWithCaps,
    ShadowUnknown,
    ShadowExhausted,
    /// From here on, numbers of this moment.
    Live,
    Pending,
    SetAside,
    /// When the oldest pending cost was handed over, as Unix time in milliseconds; 0 if none is pending.
    OldestPending,
}

const COUNTS: usize = Count::OldestPending as usize + 1;

/// The counters of one principal.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    tenant: Option<String>,
    counts: [AtomicU64; COUNTS],
    denied: [AtomicU64; REASON_COUNT + 1],
    held: [AtomicI64; UNIT_COUNT],
    charged: [AtomicI64; UNIT_COUNT],
    uncharged: [AtomicI64; UNIT_COUNT],
    shadow_denied: [AtomicU64; REASON_COUNT + 1],
    shadow_estimates: [AtomicI64; UNIT_COUNT],
    shadow_actuals: [AtomicI64; UNIT_COUNT],
    /// The counters of the next principal.
    next: OnceLock<Arc<Self>>,
}

/// The estimate of a live reservation, to be taken off again when it ends. The unit is an index, and `None` if the
/// protocol does not know it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held(Option<u8>, i64);

impl Live {
    pub(crate) fn new(first: &Arc<Counters>) -> Arc<Self> {
        Arc::new(Self {
            in_flight: AtomicU64::new(0),
            first: Arc::clone(first),
        })
    }

    pub(crate) fn set_in_flight(&self, calls: usize) {
        self.in_flight.store(calls as u64, Relaxed);
    }

    /// Takes a snapshot. `now` is the current time, for the ages in it.
    pub fn snapshot(&self, now: UnixMillis) -> Stats {
        let mut stats = Stats {
            calls_in_flight: self.in_flight.load(Relaxed),
            ..Stats::default()
        };
        let mut next = Some(&self.first);
        while let Some(counters) = next {
            stats.add(counters.snapshot(now));
            next = counters.next.get();
        }
        stats
    }
}

impl Counters {
    pub(crate) fn of(tenant: Option<String>) -> Arc<Self> {
        Arc::new(Self {
            tenant,
            ..Self::default()
        })
    }

    /// Appends the counters of the next principal.
    pub(crate) fn follow_with(&self, next: &Arc<Self>) {
        // There is only one writer, and it appends each principal once.
        let _ = self.next.set(Arc::clone(next));
    }

    pub(crate) fn add(&self, count: Count) {
        self.counts[count as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn set(&self, count: Count, value: u64) {
        self.counts[count as usize].store(value, Relaxed);
    }

    /// Counts a granted reservation as live.
    pub(crate) fn begin(&self, estimate: Option<&Amount>) -> Held {
        self.add(Count::Live);
        let unit = estimate.and_then(|estimate| unit_index(&estimate.unit));
        let amount = estimate.map_or(0, |estimate| estimate.amount);
        if let Some(unit) = unit {
            self.held[unit].fetch_add(amount, Relaxed);
        }
        Held(unit.and_then(|unit| u8::try_from(unit).ok()), amount)
    }

    /// Counts the end of a live reservation.
    pub(crate) fn end(&self, Held(unit, amount): Held) {
        self.counts[Count::Live as usize].fetch_sub(1, Relaxed);
        if let Some(unit) = unit {
            self.held[usize::from(unit)].fetch_sub(amount, Relaxed);
        }
    }

    /// Counts what the ledger charged.
    pub(crate) fn charge(&self, charged: &Amount) {
        add(&self.charged, charged);
    }

    /// Counts what an event says. The beginning and the end of a live reservation are counted separately.
    pub(crate) fn note(&self, event: &Event) {
        match event {
            Event::Granted { .. } => self.add(Count::Reserved),
            Event::Denied { error, .. } => {
                self.denied[reason_index(error.reason())].fetch_add(1, Relaxed);
            }
            Event::NotReserved { .. } => self.add(Count::NotReserved),
            Event::Committed {
                charged,
                charged_by,
                source,
                ..
            } => {
                self.add(Count::Committed);
                match charged_by {
                    ChargedBy::Commit => {}
                    ChargedBy::Event => self.add(Count::CommittedByEvent),
                }
                match source {
                    ActualSource::Action => {}
                    ActualSource::Partial => self.add(Count::CommittedPartial),
                    ActualSource::Estimate => self.add(Count::CommittedEstimates),
                }
                if let Some(charged) = charged {
                    self.charge(charged);
                }
            }
            Event::ChargedLess { actual, charged, .. } => {
                let paid = if charged.unit == actual.unit {
                    charged.amount
                } else {
                    0
                };
                let rest = actual.amount.saturating_sub(paid.max(0));
                add(&self.uncharged, &Amount::new(actual.unit.clone(), rest));
            }
            Event::Released { .. } => self.add(Count::Released),
            Event::Expired { .. } => self.add(Count::Expired),
            Event::LeaseLost { .. } => self.add(Count::LostLeases),
            Event::LeaseExtended { ticket: None, .. } => self.add(Count::Beats),
            Event::BeatFailed { .. } => self.add(Count::FailedBeats),
            Event::ReservingAgain { .. }
            | Event::SettlementFailed {
                retry_in: Some(_), ..
            }
            | Event::ReleaseFailed {
                retry_in: Some(_), ..
            } => self.add(Count::Retries),
            Event::CostUnrecorded { .. } | Event::CostNotTaken { .. } | Event::CostUnknown { .. } => {
                self.add(Count::Unrecorded);
            }
            Event::Shadowed { decision, actual, .. } => {
                match decision {
                    ShadowDecision::Allowed(_) if decision.is_capped() => {
                        self.add(Count::ShadowAllowedWithCaps)
                    }
                    ShadowDecision::Allowed(_) => self.add(Count::ShadowAllowed),
                    ShadowDecision::Denied(error) => {
                        self.shadow_denied[reason_index(error.reason())].fetch_add(1, Relaxed);
                    }
                    ShadowDecision::Unknown(_) => self.add(Count::ShadowUnknown),
                }
                let estimate = event.info().and_then(|info| info.estimate.as_ref());
                if let Some(estimate) = estimate {
                    add(&self.shadow_estimates, estimate);
                }
                if let Some(actual) = actual {
                    add(&self.shadow_actuals, actual);
                }
            }
            Event::ShadowExhausted { .. } => self.add(Count::ShadowExhausted),
            Event::LeaseExtended { ticket: Some(_), .. }
            | Event::Evaluated { .. }
            | Event::ExtendFailed { .. }
            | Event::HeartbeatStopped { .. }
            | Event::CommitTrimmed { .. }
            | Event::JournalFailed { .. }
            | Event::RecordUnreadable { .. }
            | Event::UnknownCostLeft { .. }
            | Event::SecondCost { .. }
            | Event::RecordsElsewhere { .. }
            | Event::SettlementFailed { retry_in: None, .. }
            | Event::SettlingByEvent { .. }
            | Event::SettledLate { .. }
            | Event::SetAside { .. }
            | Event::PlaceWrittenOff { .. }
            | Event::Panicked { .. }
            | Event::ShadowStarted { .. }
            | Event::ReleaseFailed { retry_in: None, .. } => {}
        }
    }

    fn snapshot(&self, now: UnixMillis) -> TenantStats {
        let get = |count: Count| self.counts[count as usize].load(Relaxed);
        let oldest = get(Count::OldestPending);
        TenantStats {
            tenant: self.tenant.clone(),
            reserved: get(Count::Reserved),
            denied: denials(&self.denied),
            not_reserved: get(Count::NotReserved),
            committed: get(Count::Committed),
            committed_by_event: get(Count::CommittedByEvent),
            committed_partial: get(Count::CommittedPartial),
            committed_estimates: get(Count::CommittedEstimates),
            released: get(Count::Released),
            expired: get(Count::Expired),
            events: get(Count::Events),
            lost_leases: get(Count::LostLeases),
            beats: get(Count::Beats),
            failed_beats: get(Count::FailedBeats),
            retries: get(Count::Retries),
            unrecorded: get(Count::Unrecorded),
            live: get(Count::Live),
            pending: get(Count::Pending),
            set_aside: get(Count::SetAside),
            oldest_pending: (oldest > 0).then(|| now.saturating_since(UnixMillis(oldest))),
            held: amounts(&self.held),
            charged: amounts(&self.charged),
            uncharged: amounts(&self.uncharged),
            shadow: ShadowStats {
                allowed: get(Count::ShadowAllowed),
                allowed_with_caps: get(Count::ShadowAllowedWithCaps),
                denied: denials(&self.shadow_denied),
                unknown: get(Count::ShadowUnknown),
                exhausted: get(Count::ShadowExhausted),
                estimates: amounts(&self.shadow_estimates),
                actuals: amounts(&self.shadow_actuals),
            },
        }
    }
}

fn add(sums: &[AtomicI64; UNIT_COUNT], amount: &Amount) {
    if let Some(unit) = unit_index(&amount.unit) {
        let more = |sum: i64| Some(sum.saturating_add(amount.amount));
        let _ = sums[unit].fetch_update(Relaxed, Relaxed, more);
    }
}

fn denials(counts: &[AtomicU64; REASON_COUNT + 1]) -> Denials {
    Denials(core::array::from_fn(|at| counts[at].load(Relaxed)))
}

fn amounts(sums: &[AtomicI64; UNIT_COUNT]) -> Amounts {
    Amounts(core::array::from_fn(|unit| sums[unit].load(Relaxed)))
}
