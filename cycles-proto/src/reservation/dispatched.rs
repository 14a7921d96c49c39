//! Notes which requests of an action may have to be paid for. What follows from that is decided in
//! [`Held::end_without_a_commit`] and, for a step, in `run/mod.rs`.

use super::common::Common;
use super::held::Held;
use super::{Phase, Reservation};
use crate::dispatch::Dispatches;
use crate::models::Amount;
use crate::outcome::Event;
use crate::run::Draws;
use crate::with_cycles_config::OnError;

impl Reservation {
    /// Notes that a request leaves that may have to be paid for.
    pub(crate) fn dispatched(&mut self) {
        self.change_held(|held| held.dispatches.note());
        self.change_shadow(Dispatches::note);
    }

    /// Notes that the latest request is not charged.
    pub(crate) fn not_charged(&mut self) {
        let mut is_any_open = true;
        self.change_held(|held| {
            held.dispatches.take_back();
            is_any_open = held.dispatches.is_any_open();
        });
        if !is_any_open {
            self.common.remove_mark();
        }
        self.change_shadow(Dispatches::take_back);
    }

    /// Sets what is charged if the action was dispatched and ends without a cost.
    pub(crate) fn set_on_error(&mut self, on_error: OnError) {
        self.change_held(|held| held.dispatches.on_error = on_error);
        self.change_shadow(|dispatches| dispatches.on_error = on_error);
    }

    /// Notes that a request of a step leaves.
    pub(crate) fn step_dispatched(&mut self, step: u64) {
        self.change_run(|run| run.dispatched(step));
    }

    /// Notes that the latest request of a step is not charged.
    pub(crate) fn step_not_charged(&mut self, step: u64) {
        self.change_run(|run| run.not_charged(step));
    }

    /// Changes the reservation, unless it is a run.
    fn change_held(&mut self, change: impl FnOnce(&mut Held)) {
        if let Phase::Held(held) = &mut self.phase
            && held.run.is_none()
        {
            change(held);
        }
    }

    fn change_run(&mut self, change: impl FnOnce(&mut Draws)) {
        if let Some(run) = self.run_mut() {
            change(run);
        }
    }
}

impl Held {
    /// Reports that something may have been spent, up to about `estimate`, that is not charged.
    pub(super) fn tell_unknown(&self, common: &mut Common, estimate: Amount, charged: Option<Amount>) {
        common.events.push(Event::CostUnknown {
            info: None,
            reservation_id: self.grant.reservation_id.clone(),
            estimate,
            charged,
        });
    }
}
