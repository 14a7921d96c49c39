//! What has to hold of a session as a whole: of its places, its claims, its end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cycles_proto::session::{Close, Principal};
use cycles_proto::{Error, FailureKind, Now, Ticket};

use super::{Held, broken};
use crate::rule::Rule;

/// What is known of one session.
#[derive(Debug)]
pub(crate) struct SessionWatch {
    places: usize,
    /// The calls that have a place.
    placed: BTreeMap<Ticket, Placed>,
    /// When it rested last.
    last_rest: Duration,
    /// How many places leases had then, and how many all had.
    leases_at_rest: usize,
    all_at_rest: usize,
    /// The principals whose journals were late the last time that somebody waited for them.
    late_journals: BTreeSet<Principal>,
    /// Since when the records of these principals are left to whoever has the claim.
    yields: BTreeMap<Principal, Duration>,
    /// How many records in a row were answered in this pass that the key is refused.
    refused: BTreeMap<Principal, u32>,
    closed: Option<Close>,
}

#[derive(Debug)]
struct Placed {
    is_lease: bool,
    withdrawn: Option<Duration>,
}

/// How long a place that is asked back is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long records are left to another that has the claim.
const YIELDS: Duration = Duration::from_secs(30);
/// How many records in a row whose key is refused end a pass.
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

    /// A call is handed out, which takes a place unless whoever waits for it makes it.
    pub(crate) fn sending(&mut self, now: Now, ticket: Ticket, is_lease: bool, takes_a_place: bool) -> Held {
        if self.closed == Some(Close::WritingOnly) {
            return broken(
                Rule::ClosedForGood,
                "something is sent, and the session was closed",
            );
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
                format!("{taken} exchanges have a place, and there are {places}"),
            );
        }
        let others = self.taken(now.mono, |placed| !placed.is_lease);
        if others > self.places - self.places / 4 {
            let what = format!(
                "{others} of {} places are taken, and a quarter is for leases",
                self.places
            );
            return broken(Rule::LeasesInTime, what);
        }
        Ok(())
    }

    /// A call is asked back.
    pub(crate) fn withdrawing(&mut self, now: Now, ticket: Ticket) {
        if let Some(placed) = self.placed.get_mut(&ticket) {
            placed.withdrawn.get_or_insert(now.mono);
        }
    }

    /// What came of a call was reported.
    pub(crate) fn resolved(&mut self, ticket: Ticket) {
        self.placed.remove(&ticket);
    }

    /// How many such calls have a place by now: those that were asked back have it for a second more.
    fn taken(&self, now: Duration, is_such: impl Fn(&Placed) -> bool) -> usize {
        let is_placed = |placed: &&Placed| {
            let over = placed.withdrawn.map(|since| since.saturating_add(PATIENCE));
            over.is_none_or(|over| over > now) && is_such(placed)
        };
        self.placed.values().filter(is_placed).count()
    }

    /// It rests.
    pub(crate) fn rests(&mut self, now: Now) {
        self.last_rest = now.mono;
        self.leases_at_rest = self.taken(now.mono, |placed| placed.is_lease);
        self.all_at_rest = self.taken(now.mono, |_| true);
    }

    /// Whether a lease may be waiting for a place.
    pub(crate) fn is_full(&self) -> bool {
        self.all_at_rest >= self.places && self.leases_at_rest >= self.places / 4
    }

    /// A beat failed.
    pub(crate) fn beat_failed(&self, error: &Error) -> Held {
        let share = self.places / 4;
        if is_queued(error) && self.leases_at_rest < share {
            let leases = self.leases_at_rest;
            return broken(
                Rule::LeasesInTime,
                format!("a beat had no place, and leases had {leases} of their {share}"),
            );
        }
        Ok(())
    }

    /// Whether changes of this principal's journal are not waited for.
    pub(crate) fn is_journal_late(&self, principal: Principal) -> bool {
        self.late_journals.contains(&principal)
    }

    /// A change of the journal took too long, or one was made.
    pub(crate) fn journal_is_late(&mut self, principal: Principal, is_late: bool) {
        match is_late {
            true => drop(self.late_journals.insert(principal)),
            false => drop(self.late_journals.remove(&principal)),
        }
    }

    /// A journal is to be read.
    pub(crate) fn scanning(&mut self, principal: Principal) -> Held {
        self.refused.remove(&principal);
        if self.closed.is_some() {
            return broken(
                Rule::ClosedForGood,
                "a journal is read, and the session was closed",
            );
        }
        Ok(())
    }

    /// A journal was read, with the claim to it or without.
    pub(crate) fn scanned(&mut self, now: Now, principal: Principal, has_claim: bool, is_empty: bool) {
        if has_claim || is_empty {
            self.yields.remove(&principal);
        } else {
            self.yields.entry(principal).or_insert(now.mono);
        }
    }

    /// A record that an earlier run left is sent for the first time.
    pub(crate) fn resuming(&self, now: Now, principal: Principal) -> Held {
        if let Some(since) = self.yields.get(&principal)
            && now.mono < since.saturating_add(YIELDS)
        {
            return broken(
                Rule::ClaimsKept,
                format!("a record is sent that another has the claim to since {since:?}"),
            );
        }
        match self.refused.get(&principal) {
            Some(refused) if *refused >= REFUSALS => broken(
                Rule::StopsAtRefusals,
                format!("one record more is sent after the key of {refused} in a row was refused"),
            ),
            Some(_) | None => Ok(()),
        }
    }

    /// A settlement of a record was answered.
    pub(crate) fn replayed(&mut self, principal: Principal, is_refused: bool) {
        let refused = self.refused.entry(principal).or_default();
        *refused = if is_refused { *refused + 1 } else { 0 };
    }

    pub(crate) fn close(&mut self, how: Close) {
        self.closed = self.closed.max(Some(how));
    }
}

/// Whether an attempt had no place in time.
pub(crate) fn is_queued(error: &Error) -> bool {
    matches!(error, Error::Transport(error) if error.failure.kind() == FailureKind::Queued)
}
