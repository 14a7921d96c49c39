//! Places: how many attempts of a session may be under way at the same time, and which goes first. The default number
//! is [`PLACES`](super::PLACES).

use core::time::Duration;
use std::collections::BTreeSet;

use super::caller::Principal;
use super::slab::SlabKey;
use super::turns::Turns;
use crate::wire::Urgency;

/// The purpose of an attempt, which decides its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Priority {
    /// A cost on its way into the ledger.
    Settlement,
    /// An extension of a lease that lasts until this time.
    Lease(Duration),
    /// The creation or release of a reservation.
    Reservation,
    /// A plain call.
    Plain,
    /// What the ledger would decide about an action in shadow mode. Nobody waits for the answer.
    Check,
    /// Any call except an extension, made by the blocked caller itself: it takes no place.
    Own,
}

impl Priority {
    /// The priority of a reservation's call.
    pub(super) fn of(urgency: Urgency) -> Self {
        match urgency {
            Urgency::Settlement => Self::Settlement,
            Urgency::Lease(until) => Self::Lease(until),
            Urgency::Other => Self::Reservation,
            Urgency::Check => Self::Check,
        }
    }
}

/// The places, and the attempts that wait for one.
///
/// A quarter of the places (one, if there are only two or three) is reserved for leases, so that a burst of settlements
/// cannot cost a lease. While leases have less than their quarter, they get the first free place. The other places go,
/// in this order, to plain calls (as long as they have less than a quarter), settlements, leases (the one that ends
/// first goes first), reservations, and more plain calls. Plain calls always leave at least a quarter to the others, so
/// that a server that is slow to answer queries does not hold up costs and reservations. Checks of actions in shadow mode
/// come last, and have no more than a quarter.
///
/// If several principals wait, they take turns, each with its settlements first. So a reservation of one may go before
/// the settlements of another, which has its own turn next. Leases need no turns: whoever they belong to, the one that
/// ends first goes first.
#[derive(Debug)]
pub(super) struct Places {
    all: usize,
    taken: usize,
    /// How many of the taken places belong to leases; `plain` counts those of plain calls.
    leases: usize,
    plain: usize,
    checks: usize,
    /// Whether the last place that did not go to a lease went to a plain call.
    was_plain: bool,
    leases_wait: BTreeSet<(Duration, SlabKey)>,
    /// Settlements and reservations.
    others_wait: Turns,
    plain_wait: Turns,
    checks_wait: Turns,
}

impl Places {
    pub(super) fn new(all: usize) -> Self {
        Self {
            all: all.max(1),
            taken: 0,
            leases: 0,
            plain: 0,
            checks: 0,
            was_plain: false,
            leases_wait: BTreeSet::new(),
            others_wait: Turns::default(),
            plain_wait: Turns::default(),
            checks_wait: Turns::default(),
        }
    }

    pub(super) fn set_all(&mut self, all: usize) {
        self.all = all.max(1);
    }

    /// Takes a place at once, if one is free and nothing waits.
    pub(super) fn take(&mut self, priority: Priority) -> bool {
        if priority == Priority::Own {
            return true;
        }
        let somebody_waits =
            !(self.leases_wait.is_empty() && self.others_wait.is_empty() && self.plain_wait.is_empty());
        let checks_wait = priority == Priority::Check && !self.checks_wait.is_empty();
        let kept = match priority {
            Priority::Lease(_) => 0,
            Priority::Settlement
            | Priority::Reservation
            | Priority::Plain
            | Priority::Check
            | Priority::Own => self.kept_for_leases(),
        };
        let are_enough = (priority == Priority::Plain && self.plain >= self.most_plain())
            || (priority == Priority::Check && self.checks >= self.share());
        if somebody_waits || checks_wait || are_enough || self.taken + kept >= self.all {
            return false;
        }
        self.count(priority);
        true
    }

    /// Queues an attempt of a principal for a place. It may be the [next](Self::next) at once.
    pub(super) fn wait(&mut self, priority: Priority, principal: Principal, attempt: SlabKey) {
        match priority {
            Priority::Settlement => self.others_wait.push_settlement(principal, attempt),
            Priority::Lease(until) => drop(self.leases_wait.insert((until, attempt))),
            Priority::Reservation => self.others_wait.push(principal, attempt),
            Priority::Plain => self.plain_wait.push(principal, attempt),
            Priority::Check => self.checks_wait.push(principal, attempt),
            // It needs no place.
            Priority::Own => {}
        }
    }

    /// Gives a place to the next attempt, if one is free. If that attempt no longer waits, its place has to be
    /// [freed](Self::leave) again.
    pub(super) fn next(&mut self) -> Option<(Priority, SlabKey)> {
        let next = self.pop()?;
        self.count(next.0);
        Some(next)
    }

    fn count(&mut self, priority: Priority) {
        self.taken += usize::from(priority != Priority::Own);
        match priority {
            Priority::Lease(_) => self.leases += 1,
            Priority::Plain => {
                self.plain += 1;
                self.was_plain = true;
            }
            Priority::Settlement | Priority::Reservation => self.was_plain = false,
            Priority::Check => self.checks += 1,
            Priority::Own => {}
        }
    }

    /// A quarter of the places. Up to this number, leases have priority, and so do plain calls.
    fn share(&self) -> usize {
        (self.all / 4).max(1)
    }

    /// The maximum number of plain calls at the same time.
    fn most_plain(&self) -> usize {
        self.all.saturating_sub(2 * self.share()).max(1)
    }

    /// How many free places are reserved for leases.
    fn kept_for_leases(&self) -> usize {
        self.share().min(self.all - 1).saturating_sub(self.leases)
    }

    fn pop(&mut self) -> Option<(Priority, SlabKey)> {
        if self.taken >= self.all {
            return None;
        }
        let share = self.share();
        if self.leases < share
            && let Some(lease) = self.pop_lease()
        {
            return Some(lease);
        }
        if self.taken + self.kept_for_leases() >= self.all {
            return None;
        }
        // If all but the leases' share is no more than a quarter, plain calls and the others take turns.
        let is_their_turn = self.all > 2 * share || !self.was_plain;
        let share_of_plain = if self.plain < share && is_their_turn {
            self.plain_wait.pop()
        } else {
            None
        };
        let plain = |attempt| (Priority::Plain, attempt);
        let settlement = |places: &mut Self| {
            let is_next = places.others_wait.next_is_settlement();
            is_next.then(|| places.others_wait.pop()).flatten()
        };
        share_of_plain
            .map(plain)
            .or_else(|| Some((Priority::Settlement, settlement(self)?)))
            .or_else(|| self.pop_lease())
            .or_else(|| Some((Priority::Reservation, self.others_wait.pop()?)))
            .or_else(|| {
                let is_room = self.plain < self.most_plain();
                is_room.then(|| self.plain_wait.pop()).flatten().map(plain)
            })
            .or_else(|| {
                let is_room = self.checks < self.share();
                let check = is_room.then(|| self.checks_wait.pop()).flatten()?;
                Some((Priority::Check, check))
            })
    }

    fn pop_lease(&mut self) -> Option<(Priority, SlabKey)> {
        let (until, attempt) = self.leases_wait.pop_first()?;
        Some((Priority::Lease(until), attempt))
    }

    /// Frees a place.
    pub(super) fn leave(&mut self, priority: Priority) {
        self.taken = self.taken.saturating_sub(usize::from(priority != Priority::Own));
        match priority {
            Priority::Lease(_) => self.leases = self.leases.saturating_sub(1),
            Priority::Plain => self.plain = self.plain.saturating_sub(1),
            Priority::Check => self.checks = self.checks.saturating_sub(1),
            Priority::Settlement | Priority::Reservation | Priority::Own => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::slab::Slab;
    use super::*;

    fn waiting(places: &mut Places, priorities: &[Priority]) {
        waiting_of(places, Principal(0), priorities);
    }

    fn waiting_of(places: &mut Places, principal: Principal, priorities: &[Priority]) {
        let mut slab = Slab::new();
        for priority in priorities {
            let key = slab.insert(());
            places.wait(*priority, principal, key);
        }
    }

    fn admitted(places: &mut Places) -> Vec<Priority> {
        core::iter::from_fn(|| places.next().map(|(priority, _)| priority)).collect()
    }

    const LEASE: Priority = Priority::Lease(Duration::from_secs(9));

    #[test]
    fn settlements_leave_a_quarter_to_leases_however_many_they_are() {
        let mut places = Places::new(8);
        waiting(&mut places, &[Priority::Settlement; 20]);
        assert_eq!(admitted(&mut places), [Priority::Settlement; 6]);
        waiting(&mut places, &[LEASE; 3]);
        assert_eq!(admitted(&mut places), [LEASE; 2]);
        assert_eq!(places.taken, 8);
        // A place that a lease frees goes to a lease again.
        places.leave(LEASE);
        assert_eq!(admitted(&mut places), [LEASE]);
    }

    #[test]
    fn leases_have_more_than_their_quarter_where_nobody_else_wants_it() {
        let mut places = Places::new(8);
        waiting(&mut places, &[LEASE; 20]);
        assert_eq!(admitted(&mut places), [LEASE; 8]);
    }

    #[test]
    fn the_lease_that_ends_first_goes_first() {
        let mut places = Places::new(1);
        let [late, soon] = [9, 3].map(|end| Priority::Lease(Duration::from_secs(end)));
        waiting(&mut places, &[late, soon]);
        assert_eq!(admitted(&mut places), [soon]);
    }

    #[test]
    fn plain_calls_have_a_quarter_before_settlements_and_what_is_left_after_all_others() {
        let mut places = Places::new(8);
        waiting(&mut places, &[Priority::Plain; 20]);
        waiting(&mut places, &[Priority::Reservation, Priority::Settlement]);
        let all = admitted(&mut places);
        let expected = [
            Priority::Plain,
            Priority::Plain,
            Priority::Settlement,
            Priority::Reservation,
            Priority::Plain,
            Priority::Plain,
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn plain_calls_leave_a_quarter_to_others_however_many_they_are() {
        let mut places = Places::new(8);
        waiting(&mut places, &[Priority::Plain; 20]);
        assert_eq!(admitted(&mut places), [Priority::Plain; 4]);
        assert!(!places.take(Priority::Plain));
        waiting(&mut places, &[Priority::Reservation, Priority::Settlement, LEASE]);
        let others = [LEASE, Priority::Settlement, Priority::Reservation];
        assert_eq!(admitted(&mut places), others);
        places.leave(Priority::Plain);
        assert_eq!(
            admitted(&mut places),
            [Priority::Plain],
            "in place of the one that is over"
        );
    }

    #[test]
    fn with_three_places_plain_calls_have_theirs_whoever_had_one_last() {
        let mut places = Places::new(3);
        waiting(&mut places, &[Priority::Settlement, Priority::Plain]);
        assert_eq!(admitted(&mut places), [Priority::Plain, Priority::Settlement]);
        places.leave(Priority::Plain);
        places.leave(Priority::Settlement);
        waiting(&mut places, &[Priority::Plain]);
        assert_eq!(admitted(&mut places), [Priority::Plain]);
        places.leave(Priority::Plain);
        waiting(&mut places, &[Priority::Settlement, Priority::Plain]);
        assert_eq!(places.next().map(|(priority, _)| priority), Some(Priority::Plain));
    }

    #[test]
    fn one_place_serves_everybody_in_turn() {
        let mut places = Places::new(0);
        waiting(
            &mut places,
            &[
                Priority::Reservation,
                LEASE,
                Priority::Settlement,
                Priority::Plain,
            ],
        );
        for expected in [
            LEASE,
            Priority::Plain,
            Priority::Settlement,
            Priority::Reservation,
        ] {
            assert_eq!(admitted(&mut places), [expected]);
            places.leave(expected);
        }
    }

    #[test]
    fn checks_come_last_and_have_a_quarter() {
        let mut places = Places::new(8);
        waiting(&mut places, &[Priority::Check; 20]);
        waiting(&mut places, &[Priority::Plain, Priority::Reservation]);
        let all = admitted(&mut places);
        let expected = [
            Priority::Plain,
            Priority::Reservation,
            Priority::Check,
            Priority::Check,
        ];
        assert_eq!(all, expected);
        places.leave(Priority::Check);
        assert!(!places.take(Priority::Check), "others wait longer");
        assert!(places.take(Priority::Reservation), "nobody waits behind a check");
        assert_eq!(admitted(&mut places), [Priority::Check]);
    }

    /// The priorities in the order in which they get one place, one after another.
    fn in_order(places: &mut Places) -> Vec<Priority> {
        let one_by_one = core::iter::from_fn(|| {
            let (priority, _) = places.next()?;
            places.leave(priority);
            Some(priority)
        });
        one_by_one.collect()
    }

    #[test]
    fn principals_take_turns_each_with_its_settlements_first() {
        use Priority::{Reservation, Settlement};
        let mut places = Places::new(1);
        waiting_of(&mut places, Principal(0), &[Settlement; 3]);
        waiting_of(&mut places, Principal(1), &[Reservation, Settlement, Reservation]);
        let expected = [
            Settlement,
            Settlement,
            Settlement,
            Reservation,
            Settlement,
            Reservation,
        ];
        assert_eq!(in_order(&mut places), expected);
    }

    #[test]
    fn a_principal_with_a_thousand_calls_delays_another_by_one_of_each_kind() {
        for priority in [Priority::Settlement, Priority::Reservation, Priority::Plain] {
            let mut places = Places::new(8);
            waiting_of(&mut places, Principal(0), &[priority; 1_000]);
            let first = admitted(&mut places).len();
            let mut slab = Slab::new();
            let other = (0..2_000).map(|_| slab.insert(())).last().unwrap();
            places.wait(priority, Principal(1), other);
            let mut later = core::iter::from_fn(|| {
                places.leave(priority);
                Some(places.next()?.1)
            });
            assert!(later.by_ref().take(2).any(|key| key == other), "{priority:?}");
            assert_eq!(first + 2 + later.count(), 1_001, "the others get their turns too");
        }
    }
}
