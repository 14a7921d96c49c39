//! Runs: reservations that many steps draw from. A step makes no call; only its cost is stored.

use super::Session;
use super::entry::ReservationKey;
use crate::models::Amount;
use crate::outcome::{Error, InvalidCommit};
use crate::reservation::Reservation;
use crate::reservation::run::Ask;
use crate::run::{RunBudget, RunOptions, Step};
use crate::time::Now;

/// The key of a step that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepKey {
    pub(super) run: ReservationKey,
    pub(super) number: u64,
}

/// The key of a step that has ended, to wait until its cost is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndedStep {
    run: ReservationKey,
    version: u64,
}

/// The key of an amount that a run keeps for later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeepKey {
    run: ReservationKey,
    number: u64,
}

impl Session {
    /// Makes a [granted](Self::granted) reservation a run, which is charged what its steps cost. A run cannot be
    /// [committed](Self::commit) as a whole. [`release`](Self::release), [`abandon`](Self::abandon) and
    /// [`forget`](Self::forget) end it at once: open steps are charged what they have [spent](Self::step_spent).
    ///
    /// # Errors
    /// [`InvalidCommit::NotHeld`] if it is not held, [`InvalidCommit::AlreadyCommitted`] if it is a run already or its
    /// cost was handed over, [`InvalidCommit::Invalid`] if the commit's key breaks a limit, or if something was
    /// [spent](Self::spent) or [dispatched](Self::dispatched) that no step would be charged for.
    pub fn begin_run(
        &mut self,
        now: Now,
        key: ReservationKey,
        options: RunOptions,
    ) -> Result<(), InvalidCommit> {
        let now = self.at(now);
        let begun = self.act(key.0, |machine| machine.begin_run(now, options));
        self.schedule(key.0);
        begun.unwrap_or(Err(InvalidCommit::NotHeld))
    }

    /// Begins a step: sets its estimate aside. Nothing is sent. With `keep`, the step draws from that kept amount.
    ///
    /// # Errors
    /// [`Error::RunExhausted`] if less is left than the estimate, [`Error::RunOver`] if the run was finished, has lost
    /// its lease or has lasted too long, [`Error::Validation`] if the estimate is negative or in another unit.
    pub fn draw(
        &mut self,
        now: Now,
        key: ReservationKey,
        step: &Step,
        keep: Option<KeepKey>,
    ) -> Result<StepKey, Error> {
        let now = self.at(now);
        let ask = Ask {
            amount: step.estimate(),
            name: step.step_name(),
            keep: keep.map(|keep| keep.number),
            on_error: step.error_policy(),
            is_lost: self.lease_is_lost(now, key),
        };
        let drawn = self.act(key.0, |machine| machine.draw(now, ask));
        self.schedule(key.0);
        let number = drawn.unwrap_or(Err(InvalidCommit::NotHeld.into()))?;
        Ok(StepKey { run: key, number })
    }

    /// Keeps an amount for later: only steps that draw from it can have it.
    ///
    /// # Errors
    /// The same errors as [`draw`](Self::draw).
    pub fn keep(&mut self, now: Now, key: ReservationKey, amount: &Amount) -> Result<KeepKey, Error> {
        let now = self.at(now);
        let ask = Ask {
            amount,
            name: None,
            keep: None,
            on_error: None,
            is_lost: self.lease_is_lost(now, key),
        };
        let kept = self.act(key.0, |machine| machine.keep(now, ask));
        self.schedule(key.0);
        let number = kept.unwrap_or(Err(InvalidCommit::NotHeld.into()))?;
        Ok(KeepKey { run: key, number })
    }

    /// Gives back what is left of a kept amount.
    pub fn give_back(&mut self, keep: KeepKey) {
        self.act(keep.run.0, |machine| machine.give_back(keep.number));
    }

    /// Raises the reported spend of a step to at least this amount. If the step ends without a cost, because it fails
    /// or is dropped, this amount is charged.
    ///
    /// # Errors
    /// [`InvalidCommit`] if the amount could not be charged, or the step or its run has ended.
    pub fn step_spent(&mut self, step: StepKey, amount: &Amount) -> Result<(), InvalidCommit> {
        self.act(step.run.0, |machine| machine.step_spent(step.number, amount))
            .unwrap_or(Err(InvalidCommit::NotHeld))
    }

    /// Ends a step that cost `actual`, which may be more or less than its estimate. The cost is charged with the run,
    /// and is safe once it is [stored](Self::is_step_stored).
    ///
    /// # Errors
    /// [`InvalidCommit`] if the cost could not be charged, which an event reports too. The step has ended then, and is
    /// charged what it had [spent](Self::step_spent); if it had spent nothing, its estimate stays held.
    pub fn end_step(&mut self, now: Now, step: StepKey, actual: &Amount) -> Result<EndedStep, InvalidCommit> {
        let now = self.at(now);
        let ended = self.act(step.run.0, |machine| machine.end_step(now, step.number, actual));
        self.note_end_of_run(now, step.run);
        let version = ended.unwrap_or(Err(InvalidCommit::NotHeld))?;
        Ok(EndedStep {
            run: step.run,
            version,
        })
    }

    /// Ends a step that failed or was dropped: what it had [spent](Self::step_spent) is charged, and the rest of its
    /// estimate is given back. If it was [dispatched](Self::step_dispatched), its policy decides. Does nothing if it has
    /// ended.
    pub fn abandon_step(&mut self, now: Now, step: StepKey) -> EndedStep {
        let now = self.at(now);
        let version = self.act(step.run.0, |machine| machine.abandon_step(now, step.number));
        self.note_end_of_run(now, step.run);
        EndedStep {
            run: step.run,
            version: version.unwrap_or(0),
        }
    }

    /// Whether the cost of a step is stored. Also true if there is nothing to wait for: the step cost nothing, there is
    /// no journal, the journal failed or took longer than [five seconds](crate::journal::STORE_DEADLINE), which an
    /// event reports, or the run is settled.
    pub fn is_step_stored(&self, step: EndedStep) -> bool {
        let machine = self.machine(step.run);
        machine.is_none_or(|machine| machine.is_total_stored(step.version))
    }

    /// Finishes a run: it starts no more steps and, once no step is open, what they cost is committed, or the budget is
    /// given back if they cost nothing. Wait for [`settled`](Self::settled).
    pub fn finish_run(&mut self, now: Now, key: ReservationKey) {
        let now = self.at(now);
        self.act(key.0, |machine| machine.finish_run(now));
        self.note_end_of_run(now, key);
    }

    /// What the run has; `None` once it has ended.
    pub fn run_budget(&self, key: ReservationKey) -> Option<RunBudget> {
        self.machine(key)?.run_budget()
    }

    /// What is left of a kept amount; `None` once its run has ended.
    pub fn left_of_keep(&self, keep: KeepKey) -> Option<Amount> {
        self.machine(keep.run)?.left_of_keep(keep.number)
    }

    /// Schedules a run whose step has ended. If that was the end of the run, flushes wait for it.
    fn note_end_of_run(&mut self, now: Now, key: ReservationKey) {
        if self.machine(key).is_some_and(Reservation::is_ending_run) {
            self.note_ending(now, key.0);
        }
        self.schedule(key.0);
    }
}
