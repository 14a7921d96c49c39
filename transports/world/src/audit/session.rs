//! The checks of a session as a whole: its places, its claims and its end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cycles_proto::session::{Close, Principal};
use cycles_proto::{Error, FailureKind, Now, Ticket};

use super::{CheckResult, broken};
use crate::rule::Rule;

/// The audit's state for one session.
#[derive(Debug)]
pub(crate) struct SessionWatch {
    places: usize,
    /// The calls that have a place.
    placed: BTreeMap<Ticket, Placed>,
    /// When the session last rested.
    last_rest: Duration,
    /// The number of places that leases occupied at that time; the next field counts all occupied places.
    leases_at_rest: usize,
    all_at_rest: usize,
    /// The principals whose journals were too slow at the last change.
    late_journals: BTreeSet<Principal>,
    /// The principals whose records are left to another session that has the claim, and since when.
    yields: BTreeMap<Principal, Duration>,
    /// The number of records in a row, in this pass, for which the key was refused.
    refused: BTreeMap<Principal, u32>,
    closed: Option<Close>,
}

#[derive(Debug)]
struct Placed {
    is_lease: bool,
    withdrawn: Option<Duration>,
}

/// How long a session waits for the place of a withdrawn call.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long records are left to another session that has the claim.
const YIELDS: Duration = Duration::from_secs(30);
/// The number of records in a row with a refused key that ends a pass.
const REFUSALS: u32 = 3;

impl SessionWatch {
    pub(crate) fn new(places: usize) -> Self {
        Self {
            places,
            placed: BTreeMap::new(),
            last_rest: Duration::ZERO,
            leases_at_rest: 0,
            all_at_rest: 0,
            late_journals: BTreeSet::new(),
            yields: BTreeMap::new(),
            refused: BTreeMap::new(),
            closed: None,
        }
    }

    /// Checks a call that the session hands out. It takes a place, unless the waiting caller makes the call itself.
    pub(crate) fn check_sending(
        &mut self,
        now: Now,
        ticket: Ticket,
        is_lease: bool,
        takes_a_place: bool,
    ) -> CheckResult {
        if self.closed == Some(Close::WritingOnly) {
            return broken(Rule::ClosedForGood, "a call is sent after the session was closed");
        }
        if !takes_a_place {
            return Ok(());
        }
        let withdrawn = None;
        self.placed.insert(ticket, Placed { is_lease, withdrawn });
        let taken = self.taken(now.mono, |_| true);
        if taken > self.places {
            let places = self.places;
            return broken(
                Rule::PlacesKept,
                format!("{taken} exchanges have a place, but there are only {places}"),
            );
        }
        let others = self.taken(now.mono, |placed| !placed.is_lease);
        if others > self.places - self.places / 4 {
            let what = format!(
                "{others} of {} places are taken, but a quarter is reserved for leases",
                self.places
            );
            return broken(Rule::LeasesInTime, what);
        }
        Ok(())
    }

    /// Notes that a call is withdrawn.
    pub(crate) fn note_withdrawn(&mut self, now: Now, ticket: Ticket) {
        if let Some(placed) = self.placed.get_mut(&ticket) {
            placed.withdrawn.get_or_insert(now.mono);
        }
    }

    /// Notes that the result of a call was reported.
    pub(crate) fn note_result(&mut self, ticket: Ticket) {
        self.placed.remove(&ticket);
    }

    /// The number of calls matching `is_such` that have a place now. Withdrawn calls keep theirs for a second.
    fn taken(&self, now: Duration, is_such: impl Fn(&Placed) -> bool) -> usize {
        let is_placed = |placed: &&Placed| {
            let over = placed.withdrawn.map(|since| since.saturating_add(PATIENCE));
            over.is_none_or(|over| over > now) && is_such(placed)
        };
        self.placed.values().filter(is_placed).count()
    }

    /// Notes that the session rests.
    pub(crate) fn note_rest(&mut self, now: Now) {
        self.last_rest = now.mono;
        self.leases_at_rest = self.taken(now.mono, |placed| placed.is_lease);
        self.all_at_rest = self.taken(now.mono, |_| true);
    }

    /// Whether a lease may be waiting for a place.
    pub(crate) fn is_full(&self) -> bool {
        self.all_at_rest >= self.places && self.leases_at_rest >= self.places / 4
    }

    /// Checks a beat that failed.
    pub(crate) fn check_beat_failure(&self, error: &Error) -> CheckResult {
        let share = self.places / 4;
        if is_queued(error) && self.leases_at_rest < share {
            let leases = self.leases_at_rest;
            return broken(
                Rule::LeasesInTime,
                format!("a beat had no place, but leases had only {leases} of their {share}"),
            );
        }
        Ok(())
    }

    /// Whether the session does not wait for changes of this principal's journal.
    pub(crate) fn is_journal_late(&self, principal: Principal) -> bool {
        self.late_journals.contains(&principal)
    }

    /// Notes that a change to the journal took too long, or that one was made.
    pub(crate) fn set_journal_late(&mut self, principal: Principal, is_late: bool) {
        match is_late {
            true => drop(self.late_journals.insert(principal)),
            false => drop(self.late_journals.remove(&principal)),
        }
    }

    /// Checks a scan that the session asks for.
    pub(crate) fn check_scan(&mut self, principal: Principal) -> CheckResult {
        self.refused.remove(&principal);
        if self.closed.is_some() {
            return broken(
                Rule::ClosedForGood,
                "a journal is read after the session was closed",
            );
        }
        Ok(())
    }

    /// Notes that a journal was read, with or without its claim.
    pub(crate) fn note_scan(&mut self, now: Now, principal: Principal, has_claim: bool, is_empty: bool) {
        if has_claim || is_empty {
            self.yields.remove(&principal);
        } else {
            self.yields.entry(principal).or_insert(now.mono);
        }
    }

    /// Checks the first request for a record of an earlier run.
    pub(crate) fn check_resuming(&self, now: Now, principal: Principal) -> CheckResult {
        if let Some(since) = self.yields.get(&principal)
            && now.mono < since.saturating_add(YIELDS)
        {
            return broken(
                Rule::ClaimsKept,
                format!("a record is sent although another session has had the claim since {since:?}"),
            );
        }
        match self.refused.get(&principal) {
            Some(refused) if *refused >= REFUSALS => broken(
                Rule::StopsAtRefusals,
                format!("another record is sent after {refused} in a row had their key refused"),
            ),
            Some(_) | None => Ok(()),
        }
    }

    /// Notes that the settlement of a record was answered.
    pub(crate) fn note_replayed(&mut self, principal: Principal, is_refused: bool) {
        let refused = self.refused.entry(principal).or_default();
        *refused = if is_refused { *refused + 1 } else { 0 };
    }

    pub(crate) fn note_close(&mut self, how: Close) {
        self.closed = self.closed.max(Some(how));
    }
}

/// Whether an attempt failed because it got no place in time.
pub(crate) fn is_queued(error: &Error) -> bool {
    matches!(error, Error::Transport(error) if error.failure.kind() == FailureKind::Queued)
}
