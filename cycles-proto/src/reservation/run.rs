//! A reservation that is a run: its steps, and when their total is stored and settled. The arithmetic is in `run/`.
//!
//! The total is stored after each step that raises it; a total that is being stored makes the next one wait, so one
//! store has all steps that ended meanwhile. A step counts as charged once such a store was answered, whatever the
//! answer: the result of the step must not be lost to a broken disk. At the end the total is settled like any other
//! cost, and its record takes the place of the stored total.

use core::time::Duration;

use super::common::Common;
use super::held::Held;
use super::mark::Mark;
use super::{Phase, Reservation};
use crate::dispatch::Unreported;
use crate::journal::JournalWrite;
use crate::journal::record::JournalRecord;
use crate::models::{Amount, CommitRequest, InvalidRequest};
use crate::outcome::{
    ActualSource, Error, Event, InvalidCommit, OperationKind, ReleaseReason, RunEnd, RunExhausted, RunOver,
    StoreFailure,
};
use crate::run::{Draws, RunBudget, RunOptions, SUMMARY, TooLittle};
use crate::step::Step;
use crate::ticket::Ticket;
use crate::time::Now;
use crate::with_cycles_config::OnError;

/// What is left to do with a run when all of its steps have ended.
pub(super) enum AtTheEnd {
    /// Its total is being settled.
    Settles,
    /// No cost is known, but there is one.
    SpentSomething,
    /// Nothing was spent, or it is no run.
    SpentNothing,
}

/// What a step, or a kept amount, asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) amount: &'a Amount,
    pub(crate) name: Option<&'a str>,
    /// The kept amount to draw from.
    pub(crate) keep: Option<u64>,
    /// What is charged if the step is dispatched and ends without a cost. Default: as the run says.
    pub(crate) on_error: Option<OnError>,
    /// Whether the lease is lost, as the session knows it.
    pub(crate) is_lost: bool,
}

impl Reservation {
    /// Makes the held reservation a run.
    pub(crate) fn begin_run(&mut self, now: Now, options: RunOptions) -> Result<(), InvalidCommit> {
        let now = self.at(now);
        let id = match self.shadow_mut() {
            Some((common, shadow)) => shadow.begin_run(common, now, options)?,
            None => {
                let (common, held) = self.held()?;
                held.begin_run(common, now, options)?;
                held.grant.reservation_id.clone()
            }
        };
        self.common.set_run(id);
        Ok(())
    }

    /// Begins a step, and returns its number. Sends nothing.
    pub(crate) fn draw(&mut self, now: Now, ask: Ask<'_>) -> Result<u64, Error> {
        let now = self.at(now);
        self.check_goes_on(now, ask)?;
        if let Some((common, shadow)) = self.shadow_mut() {
            return Ok(shadow.draw(common, now, ask)?);
        }
        let run = self.run_mut().ok_or(InvalidCommit::NotHeld)?;
        run.draw(ask.amount.amount, ask.name, ask.keep, ask.on_error)
            .map_err(|too_little| self.exhausted(ask, &too_little))
    }

    /// Keeps an amount for later, and returns its number.
    pub(crate) fn keep(&mut self, now: Now, ask: Ask<'_>) -> Result<u64, Error> {
        let now = self.at(now);
        self.check_goes_on(now, ask)?;
        if let Some((common, shadow)) = self.shadow_mut() {
            return Ok(shadow.keep(common, now, ask)?);
        }
        let run = self.run_mut().ok_or(InvalidCommit::NotHeld)?;
        run.keep(ask.amount.amount)
            .map_err(|too_little| self.exhausted(ask, &too_little))
    }

    /// Gives back what is left of a kept amount.
    pub(crate) fn give_back(&mut self, keep: u64) {
        if let Some(run) = self.run_mut() {
            run.give_back(keep);
        }
    }

    /// Raises the reported spend of a step to at least this amount.
    pub(crate) fn step_spent(&mut self, step: u64, amount: &Amount) -> Result<(), InvalidCommit> {
        if let Some((common, shadow)) = self.shadow_mut() {
            return shadow.step_spent(common, step, amount);
        }
        let (common, held) = self.held()?;
        common.check_amount("spent", amount)?;
        match &mut held.run {
            Some(run) if run.is_open(step) => run.spent(step, amount.amount),
            Some(_) | None => return Err(InvalidCommit::AlreadyCommitted),
        }
        Ok(())
    }

    /// Ends a step that cost `actual`. Returns the number of the total that has it.
    pub(crate) fn end_step(&mut self, now: Now, step: u64, actual: &Amount) -> Result<u64, InvalidCommit> {
        let now = self.at(now);
        let is_open = self.run_mut().is_some_and(|run| run.is_open(step));
        if !is_open {
            return Err(self.come_too_late(actual));
        }
        let ended = match self.shadow_mut() {
            Some((common, shadow)) => shadow.end_step(common, step, actual),
            None => {
                let (common, held) = self.held()?;
                held.end_step(common, step, actual)
            }
        };
        self.end_run_if_done(now);
        ended
    }

    /// Ends a step that failed or whose caller went away: what it has spent is charged, the rest is given back.
    pub(crate) fn abandon_step(&mut self, now: Now, step: u64) -> u64 {
        let now = self.at(now);
        let mut version = 0;
        if let Some((_, shadow)) = self.shadow_mut() {
            shadow.abandon_step(step);
        } else if let Ok((common, held)) = self.held() {
            version = held.abandon_step(common, step);
        }
        self.end_run_if_done(now);
        version
    }

    /// Ends the run as soon as no step is open.
    pub(crate) fn finish_run(&mut self, now: Now) {
        let now = self.at(now);
        if let Some(run) = self.run_mut() {
            run.finish();
        }
        self.end_run_if_done(now);
    }

    /// Whether it is a run, and not over.
    pub(crate) fn is_run(&self) -> bool {
        self.draws().is_some()
    }

    /// Whether the run's end has begun: its total is being settled, or its budget is given back.
    pub(crate) fn is_ending_run(&self) -> bool {
        let is_held = |held: &Held| held.settlement().is_none();
        self.common.run().is_some() && !self.phase.holding().is_some_and(is_held)
    }

    /// Whether nothing waits for this total any more: its store was answered, or there is nothing to wait for.
    pub(crate) fn is_total_stored(&self, version: u64) -> bool {
        let is_stored = |run: &Draws| run.is_stored(version);
        !self.common.config.journal_enabled || self.draws().is_none_or(is_stored)
    }

    /// What the run has.
    pub(crate) fn run_budget(&self) -> Option<RunBudget> {
        Some(self.draws()?.report())
    }

    /// What is left of a kept amount.
    pub(crate) fn left_of_keep(&self, keep: u64) -> Option<Amount> {
        let run = self.draws()?;
        Some(Amount::new(run.unit.clone(), run.left_of(keep)))
    }

    fn draws(&self) -> Option<&Draws> {
        match self.shadow() {
            Some(shadow) => shadow.run(),
            None => self.phase.holding()?.run.as_deref(),
        }
    }

    pub(super) fn run_mut(&mut self) -> Option<&mut Draws> {
        match &mut self.phase {
            Phase::Held(held) => held.run.as_deref_mut(),
            Phase::Shadow(shadow) => shadow.run_mut(),
            Phase::Reserving(_)
            | Phase::Verifying(_)
            | Phase::Resumed(_)
            | Phase::Releasing(_)
            | Phase::Ended(_) => None,
        }
    }

    fn end_run_if_done(&mut self, now: Now) {
        if self
            .run_mut()
            .is_some_and(|run| run.is_finishing() && !run.has_open())
        {
            self.release(now, ReleaseReason::from("nothing_spent"));
        }
    }

    /// Checks that the run may begin a step that asks for this, apart from what is left.
    fn check_goes_on(&mut self, now: Now, ask: Ask<'_>) -> Result<(), Error> {
        let Some(id) = self.common.run().cloned() else {
            return Err(InvalidCommit::NotHeld.into());
        };
        let is_lost = ask.is_lost || self.is_lost(now);
        let is_settling = self.phase.settlement().is_some();
        let is_shadow = self.is_shadow();
        let over = |why| {
            Error::RunOver(Box::new(RunOver {
                reservation_id: id.clone(),
                step: ask.name.map(Into::into),
                why,
            }))
        };
        match self.run_mut() {
            None => Err(over(RunEnd::Finished)),
            Some(run) if is_settling || run.is_finishing() => Err(over(RunEnd::Finished)),
            Some(run) if run.until <= now.mono && !is_shadow => {
                Err(over(RunEnd::MaxDuration(run.options.max_duration)))
            }
            Some(_) if is_lost => Err(over(RunEnd::LeaseLost)),
            Some(run) => check_estimate(ask.amount, run),
        }
    }

    fn exhausted(&self, ask: Ask<'_>, too_little: &TooLittle) -> Error {
        let (Some(id), Some(run)) = (self.common.run(), self.draws()) else {
            return InvalidCommit::NotHeld.into();
        };
        Error::RunExhausted(Box::new(RunExhausted::new(
            id.clone(),
            ask.name,
            ask.amount.clone(),
            too_little.left,
            run.kept(),
            run.total(),
            run.reserved,
        )))
    }

    /// Reports the cost of a step that ends after its run, which was abandoned meanwhile.
    fn come_too_late(&mut self, actual: &Amount) -> InvalidCommit {
        let why = InvalidCommit::AlreadyCommitted;
        if let (Some(id), 1.., false) = (self.common.run().cloned(), actual.amount, self.is_shadow()) {
            self.common.events.push(Event::CostNotTaken {
                info: None,
                reservation_id: id,
                why: Box::new(why.clone()),
                charged: None,
            });
        }
        why
    }
}

impl Held {
    fn begin_run(&mut self, common: &mut Common, now: Now, options: RunOptions) -> Result<(), InvalidCommit> {
        if self.settlement().is_some() || self.run.is_some() {
            return Err(InvalidCommit::AlreadyCommitted);
        }
        if self.unreported() != Unreported::Nothing {
            return Err(InvalidCommit::before_a_run());
        }
        let mut options = options;
        if let Some(key) = &options.commit_key {
            key.check().map_err(InvalidCommit::Invalid)?;
        }
        let estimate = common.estimate()?.clone();
        let mut commit = CommitRequest::builder().actual(estimate.clone()).build();
        commit.metadata = options.metadata.take();
        for problem in commit.trim() {
            common.events.push(Event::CommitTrimmed {
                info: None,
                reservation_id: self.grant.reservation_id.clone(),
                problem,
            });
        }
        options.metadata = commit.metadata;
        let granted = self.grant.reserved.as_ref();
        let reserved = granted.filter(|reserved| reserved.unit == estimate.unit);
        let reserved = reserved.unwrap_or(&estimate).amount;
        self.run = Some(Box::new(Draws::new(options, now.mono, estimate.unit, reserved)));
        Ok(())
    }

    /// Fails if the reservation is a run, whose cost is what its steps cost.
    pub(super) fn check_is_no_run(&self) -> Result<(), InvalidCommit> {
        match self.run {
            None => Ok(()),
            Some(_) => Err(InvalidCommit::of_a_run()),
        }
    }

    /// Stores a total that is not stored yet, and lets the lease run out once the run has lasted long enough.
    pub(super) fn poll_run(&mut self, common: &mut Common, now: Now) -> Option<Step> {
        if self.settlement().is_some() {
            return None;
        }
        let run = self.run.as_mut()?;
        if run.until <= now.mono {
            let (heartbeat, mut scene) = self.heartbeat(common, now);
            heartbeat.retire(&mut scene);
        }
        let run = self.run.as_mut()?;
        // The mark of a refused request may still be on its way out, and a cost has one file at a time.
        if !run.is_due() || !common.config.journal_enabled || common.is_marking() {
            return None;
        }
        let ticket = common.tickets.take();
        run.begin_storing(ticket);
        match self.total(common, now) {
            Ok(total) => Some(Step::Store(ticket, JournalWrite::PutRun(total))),
            Err(why) => {
                let failure = StoreFailure::new(format!("the total of the run cannot be recorded: {why}"));
                self.handle_total_stored(common, ticket, Err(failure));
                None
            }
        }
    }

    /// When the run has lasted long enough, if it does not end earlier.
    pub(super) fn end_of_run(&self, now: Now) -> Option<Duration> {
        let run = self.run.as_ref().filter(|_| self.settlement().is_none())?;
        Some(run.until).filter(|until| *until > now.mono)
    }

    /// The record of the total.
    fn total(&mut self, common: &mut Common, now: Now) -> Result<JournalRecord, InvalidCommit> {
        let Some(request) = self.commit_of_total() else {
            return Err(InvalidCommit::NotHeld);
        };
        let id = self.grant.reservation_id.clone();
        common.record(&id, request, now)
    }

    fn commit_of_total(&self) -> Option<CommitRequest> {
        let run = self.run.as_ref()?;
        let mut metadata = run.options.metadata.clone().unwrap_or_default();
        if let Some(source) = run.source() {
            metadata.insert(ActualSource::NAME, source.to_string());
        }
        let mut commit = CommitRequest::builder()
            .actual(Amount::new(run.unit.clone(), run.total()))
            .metadata(metadata.with(SUMMARY, run.summary()))
            .build();
        commit.idempotency_key.clone_from(&run.options.commit_key);
        Some(commit)
    }

    /// Notes that a total was stored, or could not be.
    pub(super) fn handle_total_stored(
        &mut self,
        common: &mut Common,
        ticket: Ticket,
        stored: Result<(), StoreFailure>,
    ) {
        let failure = stored.as_ref().err();
        let is_its = self
            .run
            .as_mut()
            .is_some_and(|run| run.end_storing(ticket, failure));
        if let (true, Err(failure)) = (is_its, stored) {
            let reservation_id = self.grant.reservation_id.clone();
            common.events.push(Event::JournalFailed {
                info: None,
                reservation_id,
                failure,
            });
        }
    }

    /// Notes that the record of the final total was stored, or could not be.
    pub(super) fn note_record_stored(&mut self) {
        if let Some(run) = &mut self.run {
            run.note_all_stored();
        }
    }

    fn end_step(&mut self, common: &mut Common, step: u64, actual: &Amount) -> Result<u64, InvalidCommit> {
        let why = match (common.check_amount("actual", actual), &mut self.run) {
            (_, None) => return Err(InvalidCommit::NotHeld),
            (Err(why), Some(_)) => why,
            (Ok(()), Some(run)) => match run.end(step, actual.amount) {
                Ok(version) => return Ok(version),
                Err(_) => uncountable(actual),
            },
        };
        let charged = self.charge_what_was_reported(step);
        self.tell_untaken(common, Box::new(why.clone()), charged);
        Err(why)
    }

    fn abandon_step(&mut self, common: &mut Common, step: u64) -> u64 {
        let Some(run) = &mut self.run else { return 0 };
        if let Ok(version) = run.abandon(step) {
            return version;
        }
        let spent = Amount::new(run.unit.clone(), run.charge_without_a_cost(step));
        let why = uncountable(&spent);
        let charged = self.charge_what_was_reported(step);
        self.tell_untaken(common, Box::new(why), charged);
        0
    }

    /// Ends a step whose cost cannot be charged. Returns what is charged instead, if the step reported spending or was
    /// dispatched.
    fn charge_what_was_reported(&mut self, step: u64) -> Option<Amount> {
        let run = self.run.as_mut()?;
        let spent = run.charge_without_a_cost(step);
        if spent > 0 && run.abandon(step).is_ok() {
            return Some(Amount::new(run.unit.clone(), spent));
        }
        run.end_unknown(step);
        None
    }

    /// Ends the run: its open steps as if their callers had gone away, and then its total is settled.
    pub(super) fn end_of_all_steps(&mut self, common: &mut Common, now: Now) -> AtTheEnd {
        let Some(run) = &mut self.run else {
            return AtTheEnd::SpentNothing;
        };
        run.finish();
        for step in run.open_steps() {
            self.abandon_step(common, step);
        }
        let Some(run) = &self.run else {
            return AtTheEnd::SpentNothing;
        };
        let (total, has_unknown_cost) = (run.total(), run.has_unknown_cost());
        let (may_be_stored, is_all_marked) = (run.may_be_stored(), run.is_all_marked());
        if let Some(held) = run.held() {
            let amount = |amount| Amount::new(run.unit.clone(), amount);
            self.tell_unknown(common, amount(held), Some(amount(total)).filter(|_| total > 0));
        }
        let commit = self.commit_of_total().filter(|_| total > 0);
        // The amount was checked with each step, and there is no settlement yet.
        if commit.is_some_and(|commit| self.settle(common, now, commit).is_ok()) {
            if !common.config.journal_enabled {
                self.note_record_stored();
            }
            return AtTheEnd::Settles;
        }
        if let Some(Ok(total)) = may_be_stored.then(|| self.total(common, now)) {
            common.set_mark(Some(Mark::of_run(total, is_all_marked)));
        }
        match total > 0 || has_unknown_cost {
            true => AtTheEnd::SpentSomething,
            false => AtTheEnd::SpentNothing,
        }
    }
}

/// Checks what a step asks for.
fn check_estimate(estimate: &Amount, run: &Draws) -> Result<(), Error> {
    let problem = match estimate.unit == run.unit {
        true => estimate.check("estimate"),
        false => Err(InvalidRequest::new(
            "estimate.unit",
            format!("is {}, but the run is in {}", estimate.unit, run.unit),
        )),
    };
    let operation = OperationKind::CreateReservation { dry_run: false };
    problem.map_err(|problem| Error::invalid(operation, problem))
}

/// A cost in the unit of the run that is too large to be added to the total.
fn uncountable(given: &Amount) -> InvalidCommit {
    InvalidCommit::NotCounted {
        given: given.clone(),
        reserved: given.unit.clone(),
    }
}
