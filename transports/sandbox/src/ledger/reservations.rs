//! The reservations and their two deadlines: when the sweep may expire one, and when a finished one is forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use serde::Serialize;

use super::evidence::{EvidenceRef, ReservationEvidence};
use super::json::Json;
use super::packed::{Answer, Digest, Packed};
use super::replies::SettleReply;
use super::requests::{CommitRequest, ReleaseRequest};
use super::shared_types::{Action, Amount, Subject};
use super::wire_enums::{OveragePolicy, ReservationStatus};

const RETENTION_MS: i64 = 30 * 86_400_000;

/// One reservation.
#[derive(Clone, Debug)]
pub(super) struct Reservation {
    pub(super) id: String,
    /// The tenant of the API key that created the reservation.
    pub(super) tenant: String,
    pub(super) status: ReservationStatus,
    pub(super) idempotency_key: String,
    pub(super) subject: Subject,
    pub(super) action: Action,
    pub(super) estimate: Amount,
    pub(super) affected_scopes: Vec<String>,
    /// The scopes that had a budget at its creation: its settlement changes only these, not budgets that were added
    /// later.
    pub(super) budgeted_scopes: Vec<String>,
    pub(super) created_at: i64,
    pub(super) expires_at: i64,
    pub(super) grace_ms: i64,
    pub(super) policy: OveragePolicy,
    pub(super) extensions: i64,
    pub(super) max_extensions: i64,
    pub(super) metadata: Option<Json>,
    /// The evidence of its creation.
    pub(super) evidence: Option<EvidenceRef>,
    pub(super) settlement: Option<Settlement>,
}

/// The settlement of a reservation, kept for replays as long as the reservation itself.
#[derive(Clone, Debug)]
pub(super) struct Settlement {
    pub(super) at: i64,
    pub(super) request: SettleRequest,
    pub(super) reply: SettleReply,
}

/// What is left of an ended reservation that is not kept whole: what repeated requests about it need.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ended {
    pub(super) tenant: String,
    pub(super) status: ReservationStatus,
    /// The key of its settlement, unless it expired, and the answer to that.
    pub(super) settled_under: Option<Digest>,
    pub(super) reply: Option<SettleReply>,
}

/// The request that settled a reservation.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum SettleRequest {
    Commit(CommitRequest),
    Release(ReleaseRequest),
}

impl SettleRequest {
    pub(super) fn idempotency_key(&self) -> &str {
        match self {
            Self::Commit(request) => &request.idempotency_key,
            Self::Release(request) => &request.idempotency_key,
        }
    }

    /// Whether a reservation that it settled has this status.
    pub(super) fn leads_to(&self, status: ReservationStatus) -> bool {
        match self {
            Self::Commit(_) => status == ReservationStatus::Committed,
            Self::Release(_) => status == ReservationStatus::Released,
        }
    }
}

impl Reservation {
    /// The last moment at which the reservation can be settled.
    pub(super) const fn grace_end(&self) -> i64 {
        self.expires_at.saturating_add(self.grace_ms)
    }

    /// The charged amount, once the reservation is committed.
    pub(super) fn committed(&self) -> Option<Amount> {
        self.settlement.as_ref()?.reply.charged
    }

    /// The evidence of the reservation's creation and end.
    pub(super) fn evidence(&self) -> ReservationEvidence<'_> {
        let settled = self.settlement.as_ref();
        let of = |status| {
            let settlement = settled.filter(|settlement| settlement.reply.status == status)?;
            settlement.reply.cycles_evidence.as_ref()
        };
        ReservationEvidence {
            reserve: self.evidence.as_ref(),
            commit: of(ReservationStatus::Committed),
            release: of(ReservationStatus::Released),
        }
    }

    /// The metadata of the commit.
    pub(super) fn committed_metadata(&self) -> Option<&Json> {
        match &self.settlement.as_ref()?.request {
            SettleRequest::Commit(request) => request.metadata.as_ref(),
            SettleRequest::Release(_) => None,
        }
    }
}

/// How many ended reservations, and how many answers of each operation, are kept whole, unless the operator says
/// otherwise.
const RETAINED: usize = 5_000;

/// All reservations that are still remembered, by id.
#[derive(Clone, Debug)]
pub(super) struct Reservations {
    rows: BTreeMap<String, Reservation>,
    /// How many ended ones are remembered.
    pub(super) retained: usize,
    /// How many there were, ever.
    made: u64,
    /// Active reservations, by the end of their grace period.
    due: BTreeSet<(i64, String)>,
    /// Finished reservations, by the end of their retention.
    ends: BTreeSet<(i64, String)>,
    packed: Packed<Ended>,
}

impl Default for Reservations {
    fn default() -> Self {
        Self {
            rows: BTreeMap::new(),
            retained: RETAINED,
            made: 0,
            due: BTreeSet::new(),
            ends: BTreeSet::new(),
            packed: Packed::default(),
        }
    }
}

impl Reservations {
    pub(super) fn get(&self, id: &str) -> Option<&Reservation> {
        self.rows.get(id)
    }

    /// All reservations, in the order of their ids, which is arbitrary.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Reservation> {
        self.rows.values()
    }

    /// Those whose ids come after `id`, in the order of their ids.
    pub(super) fn after(&self, id: &str) -> impl Iterator<Item = &Reservation> {
        let range = (Bound::Excluded(id), Bound::Unbounded);
        self.rows.range::<str, _>(range).map(|(_, row)| row)
    }

    /// How many were made, ever.
    pub(super) const fn made(&self) -> u64 {
        self.made
    }

    /// How many are active, and how many have ended and are remembered.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.rows.len().saturating_sub(self.ends.len()), self.ends.len())
    }

    /// The active ones, those that end first before the others.
    pub(super) fn live(&self) -> impl Iterator<Item = &Reservation> {
        self.due.iter().filter_map(|(_, id)| self.rows.get(id))
    }

    /// Adds a new, active reservation.
    pub(super) fn insert(&mut self, reservation: Reservation) {
        self.made += 1;
        self.due.insert((reservation.grace_end(), reservation.id.clone()));
        self.rows.insert(reservation.id.clone(), reservation);
    }

    /// Keeps the evidence of a reservation's creation.
    pub(super) fn note_evidence(&mut self, id: &str, evidence: EvidenceRef) {
        if let Some(row) = self.rows.get_mut(id) {
            row.evidence = Some(evidence);
        }
    }

    /// Moves the expiry of an active reservation.
    pub(super) fn extend(&mut self, id: &str, expires_at: i64) {
        if let Some(row) = self.rows.get_mut(id) {
            self.due.remove(&(row.grace_end(), id.to_owned()));
            row.expires_at = expires_at;
            row.extensions += 1;
            self.due.insert((row.grace_end(), id.to_owned()));
        }
    }

    /// Ends an active reservation at `now`, with its settlement, unless it expired.
    pub(super) fn finish(
        &mut self,
        id: &str,
        now: i64,
        status: ReservationStatus,
        settlement: Option<Settlement>,
    ) {
        if let Some(row) = self.rows.get_mut(id) {
            self.due.remove(&(row.grace_end(), id.to_owned()));
            row.status = status;
            row.settlement = settlement;
            self.ends
                .insert((now.saturating_add(RETENTION_MS), id.to_owned()));
        }
    }

    /// Up to `limit` active reservations whose grace period ended before `now`, the longest overdue first.
    pub(super) fn overdue(&self, now: i64, limit: usize) -> Vec<String> {
        let due = self.due.iter().take_while(|(grace_end, _)| *grace_end < now);
        due.take(limit).map(|(_, id)| id.clone()).collect()
    }

    /// The earliest end of an active reservation's grace period.
    pub(super) fn next_due(&self) -> Option<i64> {
        self.due.first().map(|(grace_end, _)| *grace_end)
    }

    /// Removes a reservation from the sweep without changing it.
    pub(super) fn quarantine(&mut self, id: &str) {
        if let Some(row) = self.rows.get(id) {
            self.due.remove(&(row.grace_end(), id.to_owned()));
        }
    }

    /// Forgets those that ended first but for what repeated requests need, if more are remembered than is allowed.
    pub(super) fn pack_surplus(&mut self) {
        while self.ends.len() > self.retained {
            let Some((kept_until, id)) = self.ends.pop_first() else {
                return;
            };
            let Some(row) = self.rows.remove(&id) else {
                continue;
            };
            let settlement = row.settlement;
            let request = settlement.as_ref().map(|settlement| &settlement.request);
            self.packed.add(Answer {
                key: Digest::of(&id),
                request: Digest::of(&request),
                kept_until,
                reply: Ended {
                    tenant: row.tenant,
                    status: row.status,
                    settled_under: request.map(|request| Digest::of(&request.idempotency_key())),
                    reply: settlement.map(|settlement| settlement.reply),
                },
            });
        }
    }

    /// What is left of a reservation that is not remembered whole.
    pub(super) fn ended(&self, id: &str) -> Option<Answer<Ended>> {
        if self.rows.contains_key(id) {
            return None;
        }
        self.packed.find(Digest::of(&id))
    }

    #[cfg(test)]
    pub(super) const fn packed_answers(&self) -> &Packed<Ended> {
        &self.packed
    }

    /// How many were ever forgotten because others ended after them.
    pub(super) const fn forgotten(&self) -> u64 {
        self.packed.total()
    }

    /// Forgets finished reservations whose retention ended before `now`.
    pub(super) fn purge(&mut self, now: i64) {
        while self.ends.first().is_some_and(|(end, _)| *end < now) {
            if let Some((_, id)) = self.ends.pop_first() {
                self.rows.remove(&id);
            }
        }
        self.packed.purge(now);
    }
}
