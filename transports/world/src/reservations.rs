//! The reservations of a session: how the world finds the resumed ones, and how each reservation ends.

use cycles_proto::Outcome;
use cycles_proto::models::{Amount, Unit};
use cycles_proto::record::{JournalRecord, RecordId};
use cycles_proto::session::{Principal, ReservationKey};
use cycles_proto::{Call, Now};
use cycles_sandbox::ReservationStatus;

use super::audit::{CheckResult, ReservationWatch, broken};
use super::job::{Job, JobId};
use super::session::{CallerId, CallerState, DrivenReservation};
use super::{Rule, World};

impl World {
    /// Finds the record that a session has resumed, by the first request of a reservation that the world does not know.
    pub(super) fn find_resumed_by_call(
        &mut self,
        index: usize,
        now: Now,
        key_of: ReservationKey,
        call: &Call,
    ) -> Option<usize> {
        let (path, body) = (call.request.uri().path(), call.request.body());
        let text = String::from_utf8_lossy(body);
        let key = call.request.headers().get("x-cycles-api-key");
        let is_its_key = |caller: &CallerState| {
            key.is_some_and(|key| key.as_bytes() == caller.config().api_key().expose().as_bytes())
        };
        let is_body = |record: &JournalRecord| record.body().as_bytes() == &body[..];
        let is_named = |record: &JournalRecord| {
            let id = record.reservation_id().as_str();
            path.contains(id) || text.contains(id)
        };
        // If the request differs from the record or has another key, the checks must detect that.
        let found = self
            .record_of(index, |caller, record| is_its_key(caller) && is_body(record))
            .or_else(|| self.record_of(index, |_, record| is_body(record)))
            .or_else(|| self.record_of(index, |_, record| is_named(record)))?;
        self.add_resumed_reservation(index, now, key_of, found)
    }

    /// Finds the record that a session has resumed, for a reservation that changes its record before it sends anything.
    pub(super) fn find_resumed_by_record(
        &mut self,
        index: usize,
        now: Now,
        key: ReservationKey,
        principal: Principal,
        id: &RecordId,
    ) -> Option<usize> {
        let is_its = |caller: &CallerState| caller.caller.principal() == principal;
        let found = self
            .record_of(index, |caller, record| is_its(caller) && record.id() == id)
            .or_else(|| self.record_of(index, |_, record| record.id() == id))?;
        self.add_resumed_reservation(index, now, key, found)
    }

    fn record_of(
        &self,
        index: usize,
        is_it: impl Fn(&CallerState, &JournalRecord) -> bool,
    ) -> Option<(usize, RecordId)> {
        let mut callers = self.sessions[index].callers.iter().enumerate();
        callers.find_map(|(at, caller)| {
            let mut records = caller.scanned.values().map(|(record, _)| record);
            let record = records.find(|record| is_it(caller, record))?;
            Some((at, record.id().clone()))
        })
    }

    /// Adds the reservation that settles what a person has charged.
    pub(super) fn add_reservation_by_hand(
        &mut self,
        now: Now,
        key: ReservationKey,
        caller: CallerId,
        id: RecordId,
    ) {
        let found = (caller.caller_index, id);
        if let Some(at) = self.add_reservation_of_record(caller.session, now, key, found) {
            self.reservations[at].is_forgotten = true;
        }
    }

    fn add_resumed_reservation(
        &mut self,
        index: usize,
        now: Now,
        key: ReservationKey,
        found: (usize, RecordId),
    ) -> Option<usize> {
        let principal = self.sessions[index].callers[found.0].caller.principal();
        let checked = self.sessions[index].watch.check_resuming(now, principal);
        self.keep_violation(None, checked);
        self.add_reservation_of_record(index, now, key, found)
    }

    fn add_reservation_of_record(
        &mut self,
        index: usize,
        now: Now,
        key: ReservationKey,
        (caller_index, id): (usize, RecordId),
    ) -> Option<usize> {
        let caller = &self.sessions[index].callers[caller_index];
        let has_journal = caller.config().journal_enabled;
        let (record, pause) = caller.scanned.get(&id).cloned()?;
        let tenant = caller.config().subject().tenant.clone();
        let id = self
            .job_of_record(&record)
            .unwrap_or_else(|| self.add_job_of_record(&record, tenant));
        let checked = self.check_handed_over(id, &record);
        self.keep_violation(Some(id), checked);
        // The record was written, even if its writer got an error or the world did not see it.
        let checked = self.jobs[id.0].check_total(&record);
        self.keep_violation(Some(id), checked);
        let job = &mut self.jobs[id.0];
        let has_old_total = job.note_total_found(&record) || job.note_charged_by_hand(&record);
        job.notes.was_durable = true;
        job.notes.recorded_at.get_or_insert(record.recorded_at());
        job.cost = job.cost.take().or_else(|| cost(&record));
        let _ = now;
        let mut watch = ReservationWatch::resumed(&record, has_journal, pause);
        watch.has_old_total = has_old_total;
        let at = self.add_reservation(id, index, caller_index, watch);
        self.reservations[at].key = Some(key);
        self.sessions[index].reservations.insert(key, at);
        self.log(|| format!("{id}: session {index} resumes its record as reservation {at}"));
        Some(at)
    }

    /// Checks that a record has a cost that was handed over, or that a person has charged.
    fn check_handed_over(&self, id: JobId, record: &JournalRecord) -> CheckResult {
        let job = &self.jobs[id.0];
        let is_mark = |job: &Job| {
            job.reservation_id.as_ref() == Some(record.reservation_id())
                && job.notes.marks.key.as_deref() == Some(record.id().key.as_str())
        };
        let may_be_charged = self
            .jobs
            .iter()
            .any(|job| is_mark(job) && job.notes.marks.may_be_charged);
        // The last total of a run that was found is its cost.
        let is_mark = self.jobs.iter().any(is_mark);
        match is_mark && !may_be_charged && job.cost.is_none() {
            true => broken(Rule::MarkByHand, "a mark is charged, but nobody said so"),
            false => Ok(()),
        }
    }

    /// The job with this cost. A reservation has several jobs if its request was delivered twice.
    fn job_of_record(&self, record: &JournalRecord) -> Option<JobId> {
        let key = record.id().key.as_str();
        let is_its = |job: &Job| {
            job.reservation_id.as_ref() == Some(record.reservation_id())
                && job.notes.key.as_deref() == Some(key)
        };
        let is_its_mark = |job: &Job| {
            job.reservation_id.as_ref() == Some(record.reservation_id())
                && job.notes.marks.key.as_deref() == Some(key)
        };
        if let Some(known) = self.jobs.iter().position(is_its) {
            return Some(JobId(known));
        }
        // The mark of a run's steps is a cost of its own.
        let of_mark = self.jobs.iter().position(is_its_mark);
        let of_mark = of_mark.map(|id| Some(JobId(id)).filter(|_| self.jobs[id].notes.run.is_none()));
        of_mark.unwrap_or_else(|| {
            let id = *self.by_reservation.get(record.reservation_id())?;
            self.jobs[id.0].notes.key.is_none().then_some(id)
        })
    }

    /// Adds the job of a record that the world did not know.
    fn add_job_of_record(&mut self, record: &JournalRecord, tenant: Option<String>) -> JobId {
        let mut job = Job {
            reservation_id: Some(record.reservation_id().clone()),
            ..Job::default()
        };
        job.notes.tenant = tenant;
        job.notes.key = Some(record.id().key.as_str().to_owned());
        let id = JobId(self.jobs.len());
        self.jobs.push(job);
        self.by_reservation.insert(record.reservation_id().clone(), id);
        id
    }

    pub(super) fn add_reservation(
        &mut self,
        job: JobId,
        session: usize,
        caller_index: usize,
        watch: ReservationWatch,
    ) -> usize {
        let at = self.reservations.len();
        self.reservations.push(DrivenReservation {
            job,
            process: self.sessions[session].process,
            session,
            caller_index,
            key: None,
            watch,
            is_blocking: false,
            is_done: false,
            is_forgotten: false,
            was_lost: false,
            owes_panic: false,
            seen: (false, false, false),
        });
        self.sessions[session].busy.insert(at);
        at
    }

    /// Ends a reservation, and checks how it ended.
    pub(super) fn end_reservation(&mut self, at: usize) {
        let reservation = &mut self.reservations[at];
        reservation.is_done = true;
        reservation.watch.forget_release_floor();
        let id = reservation.job;
        let job = &mut self.jobs[id.0];
        let state = job.reservation_id.as_ref();
        let state = state.and_then(|id| self.ledger.reservation(id.as_str()));
        let is_released = state.is_some_and(|state| state.status == ReservationStatus::Released);
        let is_origin = job.notes.origin == Some(at);
        let session = &self.sessions[reservation.session];
        let seen = reservation
            .key
            .and_then(|key| session.machine.outcome(key))
            .cloned();
        // The session has dropped the outcome of a forgotten reservation, but its receipt was reported as an event.
        let outcome = seen.or_else(|| Some(Outcome::Settled(reservation.watch.reported_receipt.clone()?)));
        let not_free = match is_origin && !reservation.was_lost {
            true => job.check_not_free(outcome.as_ref()),
            false => Ok(()),
        };
        let checked = match outcome {
            None if reservation.watch.is_resumed || reservation.is_forgotten => Ok(()),
            None if reservation.was_lost => {
                job.notes.is_running = false;
                match reservation.owes_panic {
                    true => broken(
                        Rule::PanicStaysAlone,
                        "it is lost in a panic, but no event reported that",
                    ),
                    false => Ok(()),
                }
            }
            None => broken(Rule::Ends, "it is done but has no outcome"),
            Some(_) if is_origin && job.notes.is_running => {
                broken(Rule::ActionGoesOn, "it ended before its caller ended the action")
            }
            Some(outcome) => {
                let checked = reservation.watch.check_outcome(job, &outcome, is_released);
                job.outcomes.push(outcome);
                checked
            }
        };
        self.log(|| format!("{id}, reservation {at} is done"));
        self.keep_violation(Some(id), not_free);
        self.keep_violation(Some(id), checked);
    }
}

impl Job {
    /// Notes that a person has made this record of the mark, if it is one. Returns whether the ledger may have another
    /// cost under its key, so that it refuses this one: the action's cost, which its process could not record before it
    /// ended.
    fn note_charged_by_hand(&mut self, record: &JournalRecord) -> bool {
        let is_its = self.notes.marks.key.as_deref() == Some(record.id().key.as_str());
        if !is_its || !self.notes.marks.may_be_charged || self.notes.run.is_some() {
            return false;
        }
        let estimate = record.actual();
        let is_another = self.cost.is_some() && self.cost != estimate;
        if is_another && self.charges.is_empty() {
            self.cost = estimate;
        }
        self.notes.recorded_at = Some(record.recorded_at());
        self.notes.marks.has_another_cost |= is_another;
        self.notes.marks.has_another_cost
    }
}

/// The cost in a record.
fn cost(record: &JournalRecord) -> Option<Amount> {
    let said: serde_json::Value = serde_json::from_str(record.body()).ok()?;
    let unit = said["actual"]["unit"].as_str()?;
    Some(Amount::new(Unit::from(unit), said["actual"]["amount"].as_i64()?))
}
