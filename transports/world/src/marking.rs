//! Requests that leave only once their marks are on disk: their callers wait for that, and go on or give up if it fails.

use cycles_proto::outcome::NotMarked;
use cycles_proto::session::{MarkedStep, StepKey};

use super::World;
use super::job::JobId;

/// A request that waits for its mark.
#[derive(Debug)]
pub(super) struct PendingMarking {
    job: JobId,
    /// The step that sends it, if the job is a run.
    step: Option<(u64, StepKey, MarkedStep)>,
    /// Its number among the requests of the action or the step.
    number: u64,
    true_cost: i64,
    /// Whether it leaves even if the mark fails.
    goes_on: bool,
}

impl World {
    /// A request of the action leaves once its mark is on disk; its provider charges `true_cost` for it. If the mark
    /// fails, it leaves all the same if its caller `goes_on`; otherwise, the caller takes it back.
    pub fn call_provider_durably(&mut self, job: JobId, true_cost: i64, goes_on: bool) {
        if !self.wake_if_running(job) {
            return;
        }
        self.log(|| format!("{job}: a request that costs {true_cost} is to leave, once it is marked"));
        let number = self.jobs[job.0].notes.provider.requests.note_durable();
        let marking = self.act(job, |machine, now, key| machine.dispatched_durably(now, key));
        let pending = PendingMarking {
            job,
            step: None,
            number,
            true_cost,
            goes_on,
        };
        match marking {
            Some(Ok(())) => self.markings.push(pending),
            Some(Err(why)) => self.decide_unmarked(&pending, &why),
            None => {}
        }
        self.send_marked_requests();
    }

    /// Like [`call_provider_durably`](Self::call_provider_durably), for a step of a run.
    pub fn call_provider_durably_in_step(&mut self, job: JobId, number: u64, true_cost: i64, goes_on: bool) {
        self.log(|| {
            format!("{job}: a request of step {number} that costs {true_cost} is to leave, once it is marked")
        });
        let marking = self.act_on_run(job, |machine, now, _, run| {
            let step = run.as_mut()?.open.get_mut(&number)?;
            let request = step.requests.note_durable();
            let marking = machine.step_dispatched_durably(now, step.key);
            Some((step.key, request, marking))
        });
        let Some(Some((key, request, marking))) = marking else {
            return;
        };
        let pending = |marked: Option<MarkedStep>| PendingMarking {
            job,
            step: marked.map(|marked| (number, key, marked)),
            number: request,
            true_cost,
            goes_on,
        };
        match marking {
            Ok(marked) => self.markings.push(pending(Some(marked))),
            Err(why) => self.decide_unmarked_step(number, &pending(None), &why),
        }
        self.send_marked_requests();
    }

    /// Sends the requests whose marks are on disk, and decides about those whose marks have failed.
    pub(super) fn send_marked_requests(&mut self) {
        for pending in core::mem::take(&mut self.markings) {
            let Some(at) = self.live_origin(pending.job) else {
                continue;
            };
            let reservation = &self.reservations[at];
            let is_asleep = self.processes[reservation.process.0].asleep_until > self.now;
            let machine = &self.sessions[reservation.session].machine;
            let marked = match (pending.step, reservation.key) {
                _ if is_asleep => None,
                (Some((.., marked)), _) => machine.step_marked(marked),
                (None, Some(key)) => machine.marked(key),
                (None, None) => continue,
            };
            match (marked, pending.step) {
                (None, _) => self.markings.push(pending),
                (Some(Ok(())), _) => self.send_marked(&pending),
                (Some(Err(why)), None) => self.decide_unmarked(&pending, &why),
                (Some(Err(why)), Some((step, ..))) => self.decide_unmarked_step(step, &pending, &why),
            }
        }
    }

    fn send_marked(&mut self, pending: &PendingMarking) {
        let job = &mut self.jobs[pending.job.0];
        let (number, cost) = (pending.number, pending.true_cost);
        let has_left = match (pending.step, &mut job.notes.run) {
            (Some((step, key, _)), Some(run)) => {
                let open = run.open.get_mut(&step).filter(|open| open.key == key);
                open.is_some_and(|open| open.requests.note_left(number, cost, true))
            }
            (Some(_), None) => false,
            (None, _) => job.notes.is_running && job.notes.provider.requests.note_left(number, cost, true),
        };
        if has_left {
            self.counts.marked += 1;
            let checked = job.check_marked();
            self.log(|| format!("{}: its marked request leaves", pending.job));
            self.keep_violation(Some(pending.job), checked);
        }
    }

    fn decide_unmarked(&mut self, pending: &PendingMarking, why: &NotMarked) {
        let (id, number) = (pending.job, pending.number);
        self.log(|| format!("{id}: its request is not marked: {why}"));
        self.counts.not_marked += 1;
        let notes = &mut self.jobs[id.0].notes;
        let requests = &mut notes.provider.requests;
        match (why, pending.goes_on) {
            (NotMarked::NotHeld, _) => _ = requests.cancel(number),
            (_, true) => _ = requests.note_left(number, pending.true_cost, false),
            (_, false) => {
                if notes.is_running && requests.cancel(number) {
                    self.act(id, |machine, _, key| machine.not_charged(key));
                }
            }
        }
    }

    fn decide_unmarked_step(&mut self, step: u64, pending: &PendingMarking, why: &NotMarked) {
        let id = pending.job;
        self.log(|| format!("{id}: the request of step {step} is not marked: {why}"));
        self.counts.not_marked += 1;
        let (number, goes_on, cost) = (pending.number, pending.goes_on, pending.true_cost);
        self.act_on_step(id, step, |machine, open| match (why, goes_on) {
            (NotMarked::NotHeld, _) => _ = open.requests.cancel(number),
            (_, true) => _ = open.requests.note_left(number, cost, false),
            (_, false) => {
                if open.requests.cancel(number) {
                    machine.step_not_charged(open.key);
                }
            }
        });
    }
}
