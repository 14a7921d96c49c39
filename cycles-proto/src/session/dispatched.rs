//! What callers say about requests that they send to a provider: that one leaves, and that it is not charged.

use super::Session;
use super::entry::ReservationKey;
use super::runs::StepKey;
use crate::outcome::NotMarked;
use crate::time::Now;
use crate::with_cycles_config::OnError;

/// The key of a step whose request leaves, to wait until that is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MarkedStep {
    run: ReservationKey,
    total: u64,
}

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

    /// Like [`dispatched`](Self::dispatched), and marks that on disk, so that it is known even if this process dies: later
    /// runs report the action with its estimate ([`Event::UnknownCostLeft`](crate::Event::UnknownCostLeft)), and never
    /// charge it by themselves. Let the request leave once it is [marked](Self::marked).
    ///
    /// The mark is gone once the action's cost is in its own record or in the ledger, or costs nothing. It stays if the
    /// policy is [`OnError::Hold`].
    ///
    /// # Errors
    /// [`NotMarked`], if it is known already that there will be no mark.
    pub fn dispatched_durably(&mut self, now: Now, key: ReservationKey) -> Result<(), NotMarked> {
        let now = self.at(now);
        let marking = self.act(key.0, |machine| machine.dispatched_durably(now));
        self.schedule(key.0);
        marking.unwrap_or(Err(NotMarked::NotHeld))
    }

    /// Whether the last [durable](Self::dispatched_durably) request of the action is marked on disk, or why not. `None`
    /// means to keep waiting, for at most [five seconds](crate::journal::STORE_DEADLINE).
    pub fn marked(&self, key: ReservationKey) -> Option<Result<(), NotMarked>> {
        let machine = self.machine(key);
        machine.map_or(Some(Err(NotMarked::NotHeld)), |machine| machine.marked())
    }

    /// Takes the latest [`dispatched`](Self::dispatched) back: the provider refused that request, and it costs nothing.
    /// Earlier requests that were not taken back may still have to be paid for, and what was reported as spent stays.
    pub fn not_charged(&mut self, key: ReservationKey) {
        self.act(key.0, |machine| machine.not_charged());
        self.schedule(key.0);
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

    /// Like [`dispatched_durably`](Self::dispatched_durably), for a step of a run: the file with the run's total says so.
    /// What a dead process leaves of it is reported once its total is being settled, and can be charged as an event.
    ///
    /// # Errors
    /// [`NotMarked`], if it is known already that there will be no mark.
    pub fn step_dispatched_durably(&mut self, now: Now, step: StepKey) -> Result<MarkedStep, NotMarked> {
        let now = self.at(now);
        let marking = self.act(step.run.0, |machine| {
            machine.step_dispatched_durably(now, step.number)
        });
        self.schedule(step.run.0);
        let total = marking.unwrap_or(Err(NotMarked::NotHeld))?;
        Ok(MarkedStep { run: step.run, total })
    }

    /// Like [`marked`](Self::marked), for a step of a run.
    pub fn step_marked(&self, step: MarkedStep) -> Option<Result<(), NotMarked>> {
        let machine = self.machine(step.run);
        machine.map_or(Some(Err(NotMarked::NotHeld)), |machine| {
            machine.step_marked(step.total)
        })
    }

    /// Like [`not_charged`](Self::not_charged), for a step of a run.
    pub fn step_not_charged(&mut self, step: StepKey) {
        self.act(step.run.0, |machine| machine.step_not_charged(step.number));
        self.schedule(step.run.0);
    }
}
