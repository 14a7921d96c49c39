//! What callers say about requests that they send to a provider: that one leaves, and that it is not charged.

use super::Session;
use super::entry::ReservationKey;
use super::runs::StepKey;
use crate::with_cycles_config::OnError;

/// None of these has an effect on a cost that was handed over, or once the reservation or the step has ended.
impl Session {
    /// Notes that the action sends a request that may have to be paid for. If the action then ends without a cost, it is
    /// charged by its [policy](Self::set_on_error): what it had [spent](Self::spent), or else the estimate. Reporting 0
    /// as spent changes nothing about that. Call it for each request, right before it leaves.
    ///
    /// Has no effect on a run, whose [steps](Self::step_dispatched) are charged.
    pub fn dispatched(&mut self, key: ReservationKey) {
        self.act(key.0, |machine| machine.dispatched());
    }

    /// Takes the latest [`dispatched`](Self::dispatched) back: the provider refused that request, and it costs nothing.
    /// Earlier requests that were not taken back may still have to be paid for, and what was reported as spent stays.
    pub fn not_charged(&mut self, key: ReservationKey) {
        self.act(key.0, |machine| machine.not_charged());
    }

    /// Sets what is charged if the action is [dispatched](Self::dispatched) and ends without a cost. Default:
    /// [`OnError::Estimate`].
    pub fn set_on_error(&mut self, key: ReservationKey, on_error: OnError) {
        self.act(key.0, |machine| machine.set_on_error(on_error));
    }

    /// Like [`dispatched`](Self::dispatched), for a step of a run. The policy is that of the
    /// [step](crate::run::Step::on_error) or of its [run](crate::run::RunOptions::on_error).
    pub fn step_dispatched(&mut self, step: StepKey) {
        self.act(step.run.0, |machine| machine.step_dispatched(step.number));
    }

    /// Like [`not_charged`](Self::not_charged), for a step of a run.
    pub fn step_not_charged(&mut self, step: StepKey) {
        self.act(step.run.0, |machine| machine.step_not_charged(step.number));
    }
}
