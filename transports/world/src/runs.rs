//! Runs: the actions of their callers, and the check that a step counts as charged only once its cost is safe.

use std::collections::BTreeMap;

use cycles_proto::models::Amount;
use cycles_proto::record::JournalRecord;
use cycles_proto::run::{RunOptions, Step};
use cycles_proto::session::{EndedStep, ReservationKey, StepKey};
use cycles_proto::with_cycles_config::OnError;
use cycles_proto::{InvalidCommit, Now};
use cycles_sandbox::Operation;

use super::audit::{CheckResult, broken};
use super::job::{Job, JobId};
use super::machine::Machine;
use super::provider::{Due, Requests};
use super::{Rule, World};

/// The audit's notes about a run.
#[derive(Debug, Default)]
pub(super) struct RunNotes {
    /// The steps that are open.
    pub(super) open: BTreeMap<u64, OpenStep>,
    /// What all steps cost that have ended.
    pub(super) total: i64,
    /// What had cost something when the run ended with steps that were open.
    pub(super) before_end: Option<i64>,
    /// The part of the total which is estimates.
    pub(super) estimated: i64,
    /// The estimates of the steps that may have cost something that is not charged, if there are any.
    pub(super) unknown: Option<i64>,
    /// The estimates of the steps whose cost nobody knows, and whose requests were to be known even if the process dies.
    left_durable: i64,
    /// The part of that which the session said is on disk.
    left_marked: i64,
    on_error: OnError,
    /// The steps that do not count as charged yet, with the totals that have them.
    waiting: Vec<(EndedStep, i64)>,
    /// The largest total that has a step which counts as charged, and that the journal had stored.
    pub(super) charged: i64,
    is_finishing: bool,
}

/// A step that has begun.
#[derive(Debug)]
pub(super) struct OpenStep {
    pub(super) key: StepKey,
    pub(super) requests: Requests,
    estimate: i64,
    spent: i64,
}

impl OpenStep {
    /// What has to be done about it if it ends now, without a cost.
    fn due(&self) -> Due {
        self.requests.due(self.spent, self.estimate)
    }
}

impl RunNotes {
    /// What the run costs if it ends now.
    pub(super) fn cost_at_once(&self) -> i64 {
        let charges: i64 = self.open.values().map(|step| step.due().charge()).sum();
        self.total + charges
    }

    /// Notes that the run ends now, and with it its open steps.
    pub(super) fn end(&mut self) {
        self.before_end = Some(self.total)
            .filter(|_| !self.open.is_empty())
            .or(self.before_end);
        for step in core::mem::take(&mut self.open).into_values() {
            self.end_without_a_cost(&step);
        }
    }

    /// What the next total has to say about steps that were dispatched: the estimates of those whose costs nobody knows.
    pub(super) fn durably_dispatched(&self) -> i64 {
        let open = self.open.values().filter(|step| step.requests.is_durable());
        open.map(|step| step.estimate).sum::<i64>() + self.left_durable
    }

    /// What every stored total has to say at least, because the session has said that it does.
    pub(super) fn marked(&self) -> i64 {
        let open = self.open.values().filter(|step| step.requests.is_marked());
        open.map(|step| step.estimate).sum::<i64>() + self.left_marked
    }

    /// Notes that the marks of its steps need not be on disk any more.
    pub(super) fn give_up_marks(&mut self) {
        self.left_marked = 0;
    }

    /// Notes that nobody will ever know what a step cost.
    fn leave(&mut self, step: &OpenStep) {
        let estimate = |is_it: bool| if is_it { step.estimate } else { 0 };
        self.left_durable += estimate(step.requests.is_durable());
        self.left_marked += estimate(step.requests.is_marked());
    }

    fn end_without_a_cost(&mut self, step: &OpenStep) {
        let due = step.due();
        self.total += due.charge();
        if let Due::Report(_) = due {
            self.leave(step);
        }
        match due {
            Due::Estimate(estimate) => self.estimated += estimate,
            Due::Report(estimate) => *self.unknown.get_or_insert(0) += estimate,
            Due::Nothing | Due::Spent(_) => {}
        }
    }

    fn has_ended(&self) -> bool {
        self.is_finishing && self.open.is_empty()
    }
}

impl Job {
    /// Checks the total of a run that a process found: it has every step that counts as charged, and no other cost.
    pub(super) fn check_total(&self, record: &JournalRecord) -> CheckResult {
        let amount = record.actual().map_or(0, |actual| actual.amount);
        match &self.notes.run {
            Some(run) if !(run.charged..=run.total).contains(&amount) => broken(
                Rule::StepStored,
                format!(
                    "a total of {amount} is found, but steps count as charged up to {}, and cost {}",
                    run.charged, run.total
                ),
            ),
            Some(_) | None => Ok(()),
        }
    }

    /// Notes that the total which a process left is its cost, unless the ledger has another one already. Returns whether
    /// it has, so that this total is too old.
    pub(super) fn note_total_found(&mut self, record: &JournalRecord) -> bool {
        let found = record.actual();
        if self.notes.run.is_none() {
            return false;
        }
        if let Some(charged) = self.charges.last().map(|last| last.amount) {
            // The ledger may have a later total, or the same amount with more steps in its metadata.
            let body = record.body().as_bytes();
            let mut sent = self.notes.bytes.iter().filter(|(of, _)| is_settlement(of.0));
            let is_another = Some(charged) != found.as_ref().map(|found| found.amount);
            return self.cost != found || is_another || sent.any(|(_, sent)| **sent != *body);
        }
        if self.cost != found {
            self.cost = found;
            self.notes.recorded_at = Some(record.recorded_at());
        }
        // What was sent before is lost with the process that sent it, so it never arrived, or was refused.
        self.notes
            .bytes
            .retain(|(operation, _), _| !is_settlement(*operation));
        false
    }
}

fn is_settlement(operation: Operation) -> bool {
    matches!(operation, Operation::CommitReservation | Operation::CreateEvent)
}

/// The actions of a run's caller. A method on a run whose process has crashed does nothing.
impl World {
    /// Makes a reservation a run.
    pub fn begin_run(&mut self, job: JobId, options: RunOptions) {
        let on_error = options.on_error;
        let due = self.due(job);
        let begun = self.act_on_run(job, |machine, now, key, run| {
            let begun = machine.begin_run(now, key, options);
            if begun.is_ok() {
                *run = Some(RunNotes {
                    on_error,
                    ..RunNotes::default()
                });
            }
            begun
        });
        self.log(|| format!("{job} becomes a run: {begun:?}"));
        if let (Some(Ok(())), Due::Spent(_) | Due::Estimate(_) | Due::Report(_)) = (begun, due) {
            let what =
                format!("{due:?} is due, but it becomes a run, which is charged only what its steps cost");
            self.keep_violation(Some(job), broken(Rule::DispatchedNotFree, what));
        }
    }

    /// Begins a step under this number, with the run's policy unless it has its own. Returns whether it was not refused.
    pub fn begin_step(&mut self, job: JobId, number: u64, estimate: i64, on_error: Option<OnError>) -> bool {
        let mut step = Step::new(Amount::tokens(estimate)).name(format!("tool {}", number % 3));
        if let Some(on_error) = on_error {
            step = step.on_error(on_error);
        }
        let drawn = self.act_on_run(job, |machine, now, key, run| {
            let drawn = machine.draw(now, key, &step);
            if let (Ok(step), Some(run)) = (&drawn, run) {
                let open = OpenStep {
                    key: *step,
                    requests: Requests::new(on_error.unwrap_or(run.on_error)),
                    estimate,
                    spent: 0,
                };
                run.open.insert(number, open);
            }
            drawn.is_ok()
        });
        self.log(|| format!("{job}: step {number} asks for {estimate}: {drawn:?}"));
        drawn.unwrap_or(false)
    }

    /// Reports that a step has spent at least this much.
    pub fn step_spent(&mut self, job: JobId, number: u64, amount: i64) {
        self.act_on_step(job, number, |machine, step| {
            if machine.step_spent(step.key, &Amount::tokens(amount)).is_ok() {
                step.spent = step.spent.max(amount);
            }
        });
    }

    /// Ends a step that cost `actual`.
    pub fn end_step(&mut self, job: JobId, number: u64, actual: &Amount) {
        self.log(|| format!("{job}: step {number} ends and cost {actual}"));
        let mut is_untaken = false;
        self.act_on_run(job, |machine, now, _, run| {
            let Some(run) = run else { return };
            let Some(step) = run.open.remove(&number) else {
                return;
            };
            let ended = machine.end_step(now, step.key, actual);
            match ended {
                Ok(ended) => {
                    run.total += actual.amount;
                    if actual.amount > 0 {
                        run.waiting.push((ended, run.total));
                    }
                }
                Err(InvalidCommit::WrongUnit { .. } | InvalidCommit::Invalid(_)) => {
                    is_untaken = true;
                    match step.due() {
                        // The cost that could not be accepted is reported instead.
                        Due::Report(_) | Due::Nothing => run.leave(&step),
                        Due::Spent(_) | Due::Estimate(_) => run.end_without_a_cost(&step),
                    }
                }
                Err(_) => {}
            }
        });
        self.jobs[job.0].notes.untaken |= is_untaken;
    }

    /// Ends a step that failed.
    pub fn fail_step(&mut self, job: JobId, number: u64) {
        self.log(|| format!("{job}: step {number} fails"));
        self.act_on_run(job, |machine, now, _, run| {
            let Some(run) = run else { return };
            let Some(step) = run.open.remove(&number) else {
                return;
            };
            let ended = machine.abandon_step(now, step.key);
            run.end_without_a_cost(&step);
            if step.due().charge() > 0 {
                run.waiting.push((ended, run.total));
            }
        });
    }

    /// Finishes a run.
    pub fn finish_run(&mut self, job: JobId) {
        self.log(|| format!("{job}: its caller finishes the run"));
        self.act_on_run(job, |machine, now, key, run| {
            machine.finish_run(now, key);
            if let Some(run) = run {
                run.is_finishing = true;
            }
        });
    }

    /// Notes that a session is about to finish this job, if it is a run: its open steps go on, and no step begins.
    pub(super) fn note_finishing(&mut self, job: JobId) {
        if self.live_origin(job).is_none() {
            return;
        }
        let Some(run) = &mut self.jobs[job.0].notes.run else {
            return;
        };
        run.is_finishing = true;
        if run.has_ended() {
            self.note_leaving(job);
        }
    }

    /// Acts on an open step.
    pub(super) fn act_on_step(
        &mut self,
        job: JobId,
        number: u64,
        act: impl FnOnce(&mut dyn Machine, &mut OpenStep),
    ) {
        self.act_on_run(job, |machine, _, _, run| {
            if let Some(step) = run.as_mut().and_then(|run| run.open.get_mut(&number)) {
                act(machine, step);
            }
        });
    }

    /// Acts on the run of a live reservation; notes the cost before the session goes on.
    pub(super) fn act_on_run<T>(
        &mut self,
        job: JobId,
        act: impl FnOnce(&mut dyn Machine, Now, ReservationKey, &mut Option<RunNotes>) -> T,
    ) -> Option<T> {
        let at = self.live_origin(job)?;
        let (index, key) = (self.reservations[at].session, self.reservations[at].key?);
        let now = self.wake_up(index)?;
        // What comes after the end of the run changes nothing.
        let is_running = !self.jobs[job.0].notes.was_left;
        let run = &mut self.jobs[job.0].notes.run;
        let before = run.as_ref().map_or((0, 0), |run| (run.total, run.waiting.len()));
        let done = act(self.sessions[index].machine.as_mut(), now, key, run);
        if let (Some(run), false) = (run, is_running) {
            run.total = before.0;
            run.waiting.truncate(before.1);
        }
        if self.jobs[job.0]
            .notes
            .run
            .as_ref()
            .is_some_and(RunNotes::has_ended)
        {
            self.note_leaving(job);
        }
        self.drive(index);
        Some(done)
    }

    /// Notes which steps count as charged by now, and checks that their costs are safe.
    pub(super) fn note_charged_steps(&mut self, at: usize) {
        let reservation = &self.reservations[at];
        let job = &mut self.jobs[reservation.job.0];
        let is_origin = job.notes.origin == Some(at);
        let Some(run) = job.notes.run.as_mut().filter(|_| is_origin) else {
            return;
        };
        let machine = &self.sessions[reservation.session].machine;
        let watch = &reservation.watch;
        let mut checked = Ok(());
        run.waiting.retain(|(step, total)| {
            if !machine.is_step_stored(*step) {
                return true;
            }
            if watch.stored_total >= *total {
                run.charged = run.charged.max(*total);
            } else if watch.given_up_total < *total && watch.has_journal && !reservation.was_lost {
                checked = broken(
                    Rule::StepStored,
                    format!("a step counts as charged, but no total of {total} is stored"),
                );
            }
            false
        });
        let id = reservation.job;
        self.keep_violation(Some(id), checked);
    }
}
