//! Actions in shadow mode: how they begin, and how long a flush or a close waits for what the ledger would have decided.

use core::time::Duration;
use std::sync::Arc;

use super::caller::{Caller, Principal};
use super::entry::{Entry, ReservationKey};
use super::step::Step;
use super::{Key, Session};
use crate::idempotency::Seed;
use crate::models::ReservationCreateRequest;
use crate::outcome::{Error, Event};
use crate::reservation::Reservation;
use crate::ticket::Ticket;
use crate::time::{Now, UnixMillis};

/// How long a flush waits, once everything else is settled, for decisions about actions in shadow mode that have ended.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

impl Session {
    /// Begins a reservation in shadow mode, which is granted at once. The journal is left alone: it is for flushes and
    /// enforced actions to replay what earlier runs left.
    pub(super) fn shadow(
        &mut self,
        now: Now,
        caller: &Caller,
        request: ReservationCreateRequest,
        seed: Seed,
    ) -> ReservationKey {
        if let Some(state) = self.principals.get_mut(caller.principal)
            && !core::mem::replace(&mut state.has_shadowed, true)
        {
            let tenant = state.config.subject().tenant.clone();
            let started = Event::ShadowStarted { tenant };
            self.steps.push_back(Step::Notify(caller.observer, started));
        }
        let machine = Reservation::begin_shadow(Arc::clone(&caller.config), request, seed, now);
        let granted = machine.shadow_grant();
        let mut reservation = Entry::new(machine, caller.principal, caller.observer);
        reservation.results.grant(granted);
        let key = self.reservations.insert(reservation);
        self.schedule(key);
        ReservationKey(key)
    }

    /// Answers an extension of a reservation that only exists in shadow mode.
    pub(super) fn note_shadow_extended(
        &mut self,
        now: Now,
        key: ReservationKey,
        ticket: Ticket,
        by: Duration,
    ) {
        if let Some(reservation) = self.reservations.get_mut(key.0)
            && reservation.machine().is_some_and(Reservation::is_shadow)
        {
            let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
            let until = UnixMillis(now.wall.0.saturating_add(by));
            reservation.results.note_extended(ticket, until);
            self.changed.push_back(Key::Reservation(key));
        }
    }

    /// Whether an action of this principal in shadow mode has ended, and the ledger has not said what it would have
    /// decided.
    pub(super) fn awaits_checks_of(&self, principal: Principal) -> bool {
        let has_shadowed = self.principals.get(principal).is_some_and(|it| it.has_shadowed);
        has_shadowed
            && self
                .reservations
                .iter()
                .any(|(_, entry)| entry.principal == principal && awaits_only_its_check(entry))
    }

    /// Waits no longer for decisions about actions that have ended: they are reported as unknown.
    pub(super) fn give_up_checks(&mut self) {
        let ended: Vec<_> = self
            .reservations
            .iter()
            .filter(|(_, entry)| awaits_only_its_check(entry))
            .map(|(key, _)| key)
            .collect();
        for key in ended {
            self.act(key, |machine| machine.give_up_check(Error::Closed));
            self.schedule(key);
        }
    }
}

/// Whether it is in shadow mode and its action has ended.
pub(super) fn awaits_only_its_check(entry: &Entry) -> bool {
    entry.machine().is_some_and(Reservation::awaits_only_its_check)
}
