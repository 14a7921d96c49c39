//! How many exchanges of one client are under way at once, and which goes first when not all can.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cycles_proto::Urgency;

/// Lets a bounded number through at once, the most urgent first.
#[derive(Clone, Debug)]
pub(crate) struct Gate(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    free: usize,
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

    /// A place is free: whoever is next has it.
    fn leave(&self) {
        let mut state = self.lock();
        let next = state
            .waiting
            .iter_mut()
            .find(|(_, waiting)| matches!(waiting, Waiting::Here(_)));
        match next {
            Some((_, waiting)) => {
                let called = core::mem::replace(waiting, Waiting::Called);
                drop(state);
                if let Waiting::Here(waker) = called {
                    waker.wake();
                }
            }
            None => state.free += 1,
        }
    }
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
                drop(state);
                return Poll::Ready(Inside(gate));
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
        Poll::Ready(Inside(gate))
    }
}

impl Drop for Entering {
    fn drop(&mut self) {
        let Some(number) = self.place else { return };
        let left = self.gate.lock().waiting.remove(&(self.urgency, number));
        if let Some(Waiting::Called) = left {
            self.gate.leave();
        }
    }
}

/// A place inside; dropped it is free again.
#[derive(Debug)]
pub(crate) struct Inside(Gate);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.leave();
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

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
