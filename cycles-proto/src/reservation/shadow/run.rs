//! A run in shadow mode: no step is refused, nothing is stored, and the total is only reported.

use super::Shadow;
use crate::dispatch::Unreported;
use crate::models::{Amount, CommitRequest, ReservationId};
use crate::outcome::{ActualSource, Event, InvalidCommit, NotMarked};
use crate::reservation::common::Common;
use crate::reservation::run::Ask;
use crate::run::{Draws, RunOptions};
use crate::time::Now;

impl Shadow {
    pub(in crate::reservation) fn begin_run(
        &mut self,
        common: &mut Common,
        now: Now,
        mut options: RunOptions,
    ) -> Result<ReservationId, InvalidCommit> {
        if self.ended.is_some() || self.run.is_some() {
            return Err(InvalidCommit::AlreadyCommitted);
        }
        if self.unreported() != Unreported::Nothing {
            return Err(InvalidCommit::before_a_run());
        }
        if let Some(key) = &options.commit_key {
            key.check().map_err(InvalidCommit::Invalid)?;
        }
        let estimate = common.estimate()?.clone();
        let mut commit = CommitRequest::builder().actual(estimate.clone()).build();
        commit.metadata = options.metadata.take();
        self.tell_trimmed(common, &mut commit);
        let Amount { unit, amount } = estimate;
        self.run = Some(Box::new(Draws::new(options, now.mono, unit, amount)));
        Ok(self.grant.reservation_id.clone())
    }

    /// Begins a step, whether or not enough is left for it and the run still goes on.
    pub(in crate::reservation) fn draw(
        &mut self,
        common: &mut Common,
        now: Now,
        ask: Ask<'_>,
    ) -> Result<u64, InvalidCommit> {
        let run = self.run_mut().ok_or(InvalidCommit::NotHeld)?;
        let (number, missing) = run.draw_what_is_left(ask.amount.amount, ask.name, ask.keep, ask.on_error);
        let is_late = run.until <= now.mono;
        self.tell_if_refused(common, ask, missing, is_late);
        Ok(number)
    }

    /// Keeps an amount, or what is left if that is less.
    pub(in crate::reservation) fn keep(
        &mut self,
        common: &mut Common,
        now: Now,
        ask: Ask<'_>,
    ) -> Result<u64, InvalidCommit> {
        let run = self.run_mut().ok_or(InvalidCommit::NotHeld)?;
        let (number, missing) = run.keep_what_is_left(ask.amount.amount);
        let is_late = run.until <= now.mono;
        self.tell_if_refused(common, ask, missing, is_late);
        Ok(number)
    }

    /// Reports a step that an enforced run would have refused.
    fn tell_if_refused(&mut self, common: &mut Common, ask: Ask<'_>, missing: i64, is_late: bool) {
        if missing > 0 || is_late {
            self.exhausted += 1;
            common.events.push(Event::ShadowExhausted {
                info: None,
                reservation_id: self.grant.reservation_id.clone(),
                step: ask.name.map(Into::into),
                asked: ask.amount.clone(),
                missing: Amount::new(ask.amount.unit.clone(), missing),
                is_late,
            });
        }
    }

    pub(in crate::reservation) fn step_spent(
        &mut self,
        common: &Common,
        step: u64,
        amount: &Amount,
    ) -> Result<(), InvalidCommit> {
        common.check_amount("spent", amount)?;
        match &mut self.run {
            Some(run) if run.is_open(step) => run.spent(step, amount.amount),
            Some(_) | None => return Err(InvalidCommit::AlreadyCommitted),
        }
        Ok(())
    }

    /// Notes that a request of a step leaves. Nothing has to be stored before it does.
    pub(in crate::reservation) fn step_dispatched(&mut self, step: u64) -> Result<u64, NotMarked> {
        let run = self.run_mut().filter(|run| run.is_open(step));
        run.ok_or(NotMarked::NotHeld)?.dispatched(step);
        Ok(0)
    }

    /// Ends a step that cost `actual`. If that cannot be added, what the step had reported is.
    pub(in crate::reservation) fn end_step(
        &mut self,
        common: &Common,
        step: u64,
        actual: &Amount,
    ) -> Result<u64, InvalidCommit> {
        let checked = common.check_amount("actual", actual);
        let run = self.run.as_mut().ok_or(InvalidCommit::NotHeld)?;
        let why = match checked {
            Err(why) => why,
            Ok(()) => match run.end(step, actual.amount) {
                Ok(_) => return Ok(0),
                Err(_) => InvalidCommit::NotCounted {
                    given: actual.clone(),
                    reserved: actual.unit.clone(),
                },
            },
        };
        self.has_untaken = true;
        if run.charge_without_a_cost(step) == 0 || run.abandon(step).is_err() {
            run.end_unknown(step);
        }
        Err(why)
    }

    pub(in crate::reservation) fn abandon_step(&mut self, step: u64) {
        if let Some(run) = &mut self.run
            && run.abandon(step).is_err()
        {
            run.end_unknown(step);
        }
    }

    pub(super) fn end_of_all_steps(&mut self, common: &Common, now: Now) {
        let steps = self.run.as_mut().map(|run| {
            run.finish();
            run.open_steps()
        });
        for step in steps.into_iter().flatten() {
            self.abandon_step(step);
        }
        let Some(run) = &self.run else { return };
        let total = Amount::new(run.unit.clone(), run.total());
        let source = run.source().unwrap_or(ActualSource::Action);
        let has_unknown_cost = self.has_untaken || run.has_unknown_cost();
        let actual = (total.amount > 0).then_some((total, source));
        self.end(common, now, actual, has_unknown_cost);
    }
}
