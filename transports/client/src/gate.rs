//! How many exchanges of one client are under way at once, and which goes first when not all can.

use core::future::Future;
use core::ops::{RangeBounds, RangeInclusive};
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cycles_proto::Urgency;

/// Lets a bounded number through at once, the most urgent first; but a quarter of the places goes to leases that wait for
/// one, which many settlements would lose otherwise.
#[derive(Clone, Debug)]
pub(crate) struct Gate(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    free: usize,
    /// How many places go to leases before all others.
    leases: usize,
    /// How many leases are inside.
    leases_inside: usize,
    arrivals: u64,
    /// Who waits, the next one first: by urgency, then by arrival.
    waiting: BTreeMap<(Urgency, u64), Waiting>,
}

#[derive(Debug)]
enum Waiting {
    Here(Waker),
    /// Its turn has come, and a place is kept for it.
    Called,
}

impl Gate {
    pub(crate) fn new(places: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            free: places.max(1),
            leases: places / 4,
            leases_inside: 0,
            arrivals: 0,
            waiting: BTreeMap::new(),
        })))
    }

    /// Waits for a place.
    pub(crate) fn enter(&self, urgency: Urgency) -> Entering {
        Entering {
            gate: self.clone(),
            urgency,
            place: None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place is free that had this urgency: whoever is next has it.
    fn leave(&self, urgency: Urgency) {
        let mut state = self.lock();
        state.leases_inside -= usize::from(is_lease(urgency));
        let Some(key) = state.next() else {
            state.free += 1;
            return;
        };
        state.leases_inside += usize::from(is_lease(key.0));
        let called = state.waiting.insert(key, Waiting::Called);
        drop(state);
        if let Some(Waiting::Here(waker)) = called {
            waker.wake();
        }
    }
}

impl State {
    fn next(&self) -> Option<(Urgency, u64)> {
        let lease = (self.leases_inside < self.leases)
            .then(|| self.first(LEASES))
            .flatten();
        lease.or_else(|| self.first(..))
    }

    /// Who comes first of these, without those who have been called.
    fn first(&self, these: impl RangeBounds<(Urgency, u64)>) -> Option<(Urgency, u64)> {
        let mut waiting = self.waiting.range(these);
        waiting.find_map(|(key, waiting)| matches!(waiting, Waiting::Here(_)).then_some(*key))
    }
}

/// All leases: they are beside each other in the order of urgency.
const LEASES: RangeInclusive<(Urgency, u64)> =
    (Urgency::Lease(Duration::ZERO), 0)..=(Urgency::Lease(Duration::MAX), u64::MAX);

fn is_lease(urgency: Urgency) -> bool {
    matches!(urgency, Urgency::Lease(_))
}

/// Waits for a place; dropped it gives up its turn.
pub(crate) struct Entering {
    gate: Gate,
    urgency: Urgency,
    /// The number of arrival, while it waits.
    place: Option<u64>,
}

impl Future for Entering {
    type Output = Inside;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Inside> {
        let gate = self.gate.clone();
        let mut state = gate.lock();
        let Some(number) = self.place else {
            if state.free > 0 {
                state.free -= 1;
                state.leases_inside += usize::from(is_lease(self.urgency));
                drop(state);
                return Poll::Ready(Inside(gate, self.urgency));
            }
            state.arrivals += 1;
            let number = state.arrivals;
            state
                .waiting
                .insert((self.urgency, number), Waiting::Here(cx.waker().clone()));
            self.place = Some(number);
            return Poll::Pending;
        };
        let key = (self.urgency, number);
        if matches!(state.waiting.get(&key), Some(Waiting::Here(_))) {
            state.waiting.insert(key, Waiting::Here(cx.waker().clone()));
            return Poll::Pending;
        }
        state.waiting.remove(&key);
        drop(state);
        self.place = None;
        Poll::Ready(Inside(gate, self.urgency))
    }
}

impl Drop for Entering {
    fn drop(&mut self) {
        let Some(number) = self.place else { return };
        let left = self.gate.lock().waiting.remove(&(self.urgency, number));
        if let Some(Waiting::Called) = left {
            self.gate.leave(self.urgency);
        }
    }
}

/// A place inside; dropped it is free again.
#[derive(Debug)]
pub(crate) struct Inside(Gate, Urgency);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.leave(self.1);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn the_most_urgent_goes_first_and_then_the_first_come() {
        let gate = Gate::new(1);
        let inside = gate.enter(Urgency::Other).now_or_never().unwrap();
        let lease = |seconds| Urgency::Lease(Duration::from_secs(seconds));
        let mut waiting = [
            Urgency::Other,
            lease(9),
            lease(3),
            Urgency::Settlement,
            Urgency::Other,
        ]
        .map(|urgency| gate.enter(urgency));
        for entering in &mut waiting {
            assert!(entering.now_or_never().is_none());
        }
        drop(inside);
        let mut order = Vec::new();
        for _ in 0..waiting.len() {
            let next = (0..waiting.len())
                .find(|n| !order.contains(n) && (&mut waiting[*n]).now_or_never().is_some());
            order.push(next.unwrap());
        }
        assert_eq!(order, [3, 2, 1, 0, 4]);
    }

    #[test]
    fn a_quarter_of_the_places_is_for_leases_however_many_settlements_wait() {
        let gate = Gate::new(8);
        let enter = |urgency| gate.enter(urgency);
        let mut inside: Vec<_> = (0..8)
            .map(|_| enter(Urgency::Settlement).now_or_never().unwrap())
            .collect();
        let mut settlements: Vec<_> = (0..8).map(|_| enter(Urgency::Settlement)).collect();
        let mut leases: Vec<_> = (0..8)
            .map(|n| enter(Urgency::Lease(Duration::from_secs(n))))
            .collect();
        for entering in settlements.iter_mut().chain(&mut leases) {
            assert!(entering.now_or_never().is_none());
        }
        drop(inside.split_off(4));
        let entered = |waiting: &mut Vec<Entering>| -> Vec<Inside> {
            waiting
                .iter_mut()
                .filter_map(|entering| entering.now_or_never())
                .collect()
        };
        let (mut first, second) = (entered(&mut leases), entered(&mut settlements));
        assert_eq!((first.len(), second.len()), (2, 2));
        // When one of them leaves, the next takes its place.
        drop(first.pop());
        leases.drain(..2);
        assert_eq!(entered(&mut leases).len(), 1);
    }

    #[test]
    fn who_gives_up_takes_no_place_with_him() {
        let gate = Gate::new(1);
        let inside = gate.enter(Urgency::Other).now_or_never().unwrap();
        let mut first = gate.enter(Urgency::Other);
        let mut second = gate.enter(Urgency::Other);
        assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none());
        drop(inside);
        drop(first);
        assert!(
            second.now_or_never().is_some(),
            "the place that was kept for the first"
        );
        assert!(gate.enter(Urgency::Other).now_or_never().is_some());
    }
}
