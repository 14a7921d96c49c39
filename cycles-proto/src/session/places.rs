//! How many exchanges go on at once, and which goes first when not all can.

use core::time::Duration;
use std::collections::{BTreeSet, VecDeque};

use super::slab::SlabKey;
use crate::wire::Urgency;

/// What an exchange is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A cost on its way into the ledger.
    Settlement,
    /// An extension of a lease that lasts until this time.
    Lease(Duration),
    /// A reservation that is asked for or given back.
    Reservation,
    /// A call of its own.
    Plain,
    /// Any but a lease's, made by whoever waits for it: it takes no place.
    Own,
}

impl Kind {
    /// Of a call that a reservation asks for.
    pub(super) fn of(urgency: Urgency) -> Self {
        match urgency {
            Urgency::Settlement => Self::Settlement,
            Urgency::Lease(until) => Self::Lease(until),
            Urgency::Other => Self::Reservation,
        }
    }
}

/// The places, who has one and who waits.
///
/// A quarter of them, and one of two or three, is for leases alone, so that no burst of settlements costs one; a lease has
/// the first that is free as long as leases have less. Of the others settlements have the first that is free, but for
/// plain calls as long as these have less than a quarter; then leases, the one first that ends first, then reservations,
/// then more plain calls, but never so many that less than a quarter is left to the others: a server that is slow to
/// answer questions holds up no cost and no reservation.
#[derive(Debug)]
pub(super) struct Places {
    all: usize,
    taken: usize,
    /// How many of them have leases and plain calls.
    leases: usize,
    plain: usize,
    /// Whether a plain call had the last place that was not a lease's.
    was_plain: bool,
    settlements_wait: VecDeque<SlabKey>,
    leases_wait: BTreeSet<(Duration, SlabKey)>,
    reservations_wait: VecDeque<SlabKey>,
    plain_wait: VecDeque<SlabKey>,
}

impl Places {
    pub(super) fn new(all: usize) -> Self {
        Self {
            all: all.max(1),
            taken: 0,
            leases: 0,
            plain: 0,
            was_plain: false,
            settlements_wait: VecDeque::new(),
            leases_wait: BTreeSet::new(),
            reservations_wait: VecDeque::new(),
            plain_wait: VecDeque::new(),
        }
    }

    pub(super) fn set_all(&mut self, all: usize) {
        self.all = all.max(1);
    }

    /// A place at once, if there is one and nobody waits.
    pub(super) fn take(&mut self, kind: Kind) -> bool {
        if kind == Kind::Own {
            return true;
        }
        let somebody_waits = !(self.settlements_wait.is_empty()
            && self.leases_wait.is_empty()
            && self.reservations_wait.is_empty()
            && self.plain_wait.is_empty());
        let kept = match kind {
            Kind::Lease(_) => 0,
            Kind::Settlement | Kind::Reservation | Kind::Plain | Kind::Own => self.kept_for_leases(),
        };
        let are_enough = kind == Kind::Plain && self.plain >= self.most_plain();
        if somebody_waits || are_enough || self.taken + kept >= self.all {
            return false;
        }
        self.count(kind);
        true
    }

    /// Has the exchange wait for a place. Whoever [is next](Self::next) may be it at once.
    pub(super) fn wait(&mut self, kind: Kind, exchange: SlabKey) {
        match kind {
            Kind::Settlement => self.settlements_wait.push_back(exchange),
            Kind::Lease(until) => drop(self.leases_wait.insert((until, exchange))),
            Kind::Reservation => self.reservations_wait.push_back(exchange),
            Kind::Plain => self.plain_wait.push_back(exchange),
            // It has its place at once.
            Kind::Own => {}
        }
    }

    /// The next that may go on, if there is a place for it. One that does not wait any more has to
    /// [leave](Self::leave) again.
    pub(super) fn next(&mut self) -> Option<(Kind, SlabKey)> {
        let next = self.pop()?;
        self.count(next.0);
        Some(next)
    }

    fn count(&mut self, kind: Kind) {
        self.taken += usize::from(kind != Kind::Own);
        match kind {
            Kind::Lease(_) => self.leases += 1,
            Kind::Plain => {
                self.plain += 1;
                self.was_plain = true;
            }
            Kind::Settlement | Kind::Reservation => self.was_plain = false,
            Kind::Own => {}
        }
    }

    /// What leases, and plain calls, have before others.
    fn share(&self) -> usize {
        (self.all / 4).max(1)
    }

    /// How many plain calls there may be at once.
    fn most_plain(&self) -> usize {
        self.all.saturating_sub(2 * self.share()).max(1)
    }

    /// How many places nobody but a lease may have, of those that are free.
    fn kept_for_leases(&self) -> usize {
        self.share().min(self.all - 1).saturating_sub(self.leases)
    }

    fn pop(&mut self) -> Option<(Kind, SlabKey)> {
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
        // Where that is all that others can have, they take turns.
        let is_their_turn = self.all > 2 * share || !self.was_plain;
        let share_of_plain = if self.plain < share && is_their_turn {
            self.plain_wait.pop_front()
        } else {
            None
        };
        let plain = |exchange| (Kind::Plain, exchange);
        share_of_plain
            .map(plain)
            .or_else(|| Some((Kind::Settlement, self.settlements_wait.pop_front()?)))
            .or_else(|| self.pop_lease())
            .or_else(|| Some((Kind::Reservation, self.reservations_wait.pop_front()?)))
            .or_else(|| {
                let is_room = self.plain < self.most_plain();
                is_room.then(|| self.plain_wait.pop_front()).flatten().map(plain)
            })
    }

    fn pop_lease(&mut self) -> Option<(Kind, SlabKey)> {
        let (until, exchange) = self.leases_wait.pop_first()?;
        Some((Kind::Lease(until), exchange))
    }

    /// A place is free that this had.
    pub(super) fn leave(&mut self, kind: Kind) {
        self.taken = self.taken.saturating_sub(usize::from(kind != Kind::Own));
        match kind {
            Kind::Lease(_) => self.leases = self.leases.saturating_sub(1),
            Kind::Plain => self.plain = self.plain.saturating_sub(1),
            Kind::Settlement | Kind::Reservation | Kind::Own => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::slab::Slab;
    use super::*;

    fn waiting(places: &mut Places, kinds: &[Kind]) {
        let mut slab = Slab::new();
        for kind in kinds {
            let key = slab.insert(());
            places.wait(*kind, key);
        }
    }

    fn admitted(places: &mut Places) -> Vec<Kind> {
        core::iter::from_fn(|| places.next().map(|(kind, _)| kind)).collect()
    }

    const LEASE: Kind = Kind::Lease(Duration::from_secs(9));

    #[test]
    fn settlements_leave_a_quarter_to_leases_however_many_they_are() {
        let mut places = Places::new(8);
        waiting(&mut places, &[Kind::Settlement; 20]);
        assert_eq!(admitted(&mut places), [Kind::Settlement; 6]);
        waiting(&mut places, &[LEASE; 3]);
        assert_eq!(admitted(&mut places), [LEASE; 2]);
        assert_eq!(places.taken, 8);
        // One that a lease has left is a lease's again.
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
        let [late, soon] = [9, 3].map(|end| Kind::Lease(Duration::from_secs(end)));
        waiting(&mut places, &[late, soon]);
        assert_eq!(admitted(&mut places), [soon]);
    }

    #[test]
    fn plain_calls_have_a_quarter_before_settlements_and_what_is_left_after_all_others() {
        let mut places = Places::new(8);
        waiting(&mut places, &[Kind::Plain; 20]);
        waiting(&mut places, &[Kind::Reservation, Kind::Settlement]);
        let all = admitted(&mut places);
        let expected = [
            Kind::Plain,
            Kind::Plain,
            Kind::Settlement,
            Kind::Reservation,
            Kind::Plain,
            Kind::Plain,
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn plain_calls_leave_a_quarter_to_others_however_many_they_are() {
        let mut places = Places::new(8);
        waiting(&mut places, &[Kind::Plain; 20]);
        assert_eq!(admitted(&mut places), [Kind::Plain; 4]);
        assert!(!places.take(Kind::Plain));
        waiting(&mut places, &[Kind::Reservation, Kind::Settlement, LEASE]);
        let others = [LEASE, Kind::Settlement, Kind::Reservation];
        assert_eq!(admitted(&mut places), others);
        places.leave(Kind::Plain);
        assert_eq!(
            admitted(&mut places),
            [Kind::Plain],
            "in place of the one that is over"
        );
    }

    #[test]
    fn one_place_serves_everybody_in_turn() {
        let mut places = Places::new(0);
        waiting(
            &mut places,
            &[Kind::Reservation, LEASE, Kind::Settlement, Kind::Plain],
        );
        for expected in [LEASE, Kind::Plain, Kind::Settlement, Kind::Reservation] {
            assert_eq!(admitted(&mut places), [expected]);
            places.leave(expected);
        }
    }
}
