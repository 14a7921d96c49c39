//! The schedule of events outside the sessions: requests arrive, answers return, changes to the journal are made.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use cycles_proto::Reader;
use cycles_proto::journal::JournalWrite;
use cycles_proto::models::ReservationId;
use cycles_proto::session::Principal;
use cycles_proto::{Call, Failure, FailureKind, Ticket, UnixMillis};
use cycles_sandbox::{Operation, ReservationStatus};
use http::{Request, Response};
use serde::Deserialize;

use super::audit::{self, AttemptResult};
use super::job::{Charge, Job, JobId};
use super::journal::{ChangeByHand, Remains};
use super::network::Answer;
use super::session::{CallOwner, CallerId};
use super::{ProcessId, World};

/// An event that will happen at a known time.
#[derive(Debug)]
pub(super) enum ScheduledEvent {
    /// A session's call leaves.
    CallLeaves(usize, Box<Call>),
    /// A session gets the report that a call began.
    BeginningReported(usize, Ticket),
    /// A request reaches the server.
    RequestArrives(Box<RequestArrival>),
    /// A session gets the result of an attempt.
    ResultArrives(Box<ResultArrival>),
    /// A change to the journal is made.
    JournalChanges {
        session: usize,
        caller_index: usize,
        ticket: Ticket,
        write: Box<JournalWrite>,
    },
    /// A journal is read.
    JournalIsRead(usize, Ticket, Principal),
    /// A person's change to a journal goes on.
    PersonGoesOn(CallerId, Box<ChangeByHand>),
}

#[derive(Debug)]
pub(super) struct RequestArrival {
    pub(super) session: usize,
    pub(super) owner: CallOwner,
    pub(super) ticket: Ticket,
    pub(super) reader: Reader,
    pub(super) request: Request<Bytes>,
    /// The client's answer, and how long it takes; `None` for a request that a proxy repeated.
    pub(super) answer: Option<(Answer, Duration)>,
}

#[derive(Debug)]
pub(super) struct ResultArrival {
    pub(super) session: usize,
    pub(super) ticket: Ticket,
    pub(super) reader: Reader,
    pub(super) result: AttemptResult,
    pub(super) is_first: bool,
}

impl World {
    pub(super) fn schedule_event(&mut self, at: Duration, event: ScheduledEvent) {
        self.events_scheduled += 1;
        self.schedule.insert((at, self.events_scheduled), event);
    }

    pub(super) fn handle_event(&mut self, event: ScheduledEvent) {
        let session = match &event {
            ScheduledEvent::RequestArrives(_) => None,
            ScheduledEvent::ResultArrives(arrival) => Some(arrival.session),
            ScheduledEvent::PersonGoesOn(caller, _) => Some(caller.session),
            ScheduledEvent::CallLeaves(session, _)
            | ScheduledEvent::BeginningReported(session, _)
            | ScheduledEvent::JournalIsRead(session, ..)
            | ScheduledEvent::JournalChanges { session, .. } => Some(*session),
        };
        if let Some(session) = session {
            let process = &self.processes[self.sessions[session].process.0];
            if !process.is_alive {
                return;
            }
            if process.asleep_until > self.now {
                let at = process.asleep_until;
                return self.schedule_event(at, event);
            }
        }
        match event {
            ScheduledEvent::RequestArrives(arrival) => self.deliver_request(*arrival),
            ScheduledEvent::ResultArrives(arrival) => self.deliver_result(*arrival),
            ScheduledEvent::CallLeaves(session, call) => {
                self.send_call(session, *call);
                self.drive(session);
            }
            ScheduledEvent::BeginningReported(session, ticket) => self.report_beginning(session, ticket),
            ScheduledEvent::JournalIsRead(session, ticket, principal) => {
                self.scan_journal(session, ticket, principal);
                self.drive(session);
            }
            ScheduledEvent::JournalChanges {
                session,
                caller_index,
                ticket,
                write,
            } => self.make_journal_change(session, caller_index, ticket, &write),
            ScheduledEvent::PersonGoesOn(caller, change) => self.go_on_by_hand(caller, *change),
        }
    }

    /// A request reaches the server.
    fn deliver_request(&mut self, arrival: RequestArrival) {
        let job = match arrival.owner {
            CallOwner::Reservation(at) => Some(self.reservations[at].job),
            CallOwner::Call(_) => None,
        };
        if self.is_server_down {
            self.log(|| "  lost at the server, which is down".to_owned());
            let lost = AttemptResult::Failure(Failure::new(FailureKind::Lost));
            if arrival.answer.is_some() {
                let at = self.now;
                self.schedule_result(at, arrival, lost);
            }
            return;
        }
        let operation = Operation::of(arrival.request.method(), arrival.request.uri().path());
        let time = self.server_time();
        let before = job.map(|job| self.ledger_progress(job));
        let mut response = self.ledger.handle(time, &arrival.request);
        (self.watch)(&arrival.request, &response);
        if self.dice.chance(self.without_remaining_ttl) {
            leave_out_remaining(&mut response);
        }
        self.log(|| {
            format!(
                "  the ledger answers {:?}, {} with {}",
                arrival.ticket,
                operation.name(),
                response.status()
            )
        });
        if let (Some(job), Some(before)) = (job, before) {
            self.note_ledger_progress(job, before, operation, time, &response);
        }
        if let Some((answer, way_back)) = &arrival.answer
            && let Some(result) = answer.result(response)
        {
            let at = self.now.saturating_add(*way_back);
            self.schedule_result(at, arrival, result);
        }
    }

    /// Notes and checks the ledger's reaction to a request of this job.
    fn note_ledger_progress(
        &mut self,
        job: JobId,
        before: (u64, bool),
        operation: Operation,
        time: UnixMillis,
        response: &Response<Bytes>,
    ) {
        let (events, is_committed) = self.ledger_progress(job);
        // The ledger forgets a reservation after a month, so `is_committed` may become false again.
        if events > before.0 || (is_committed && !before.1) {
            let checked = audit::check_charged_once(&self.jobs[job.0], operation, time);
            let charged = charged(&self.jobs[job.0], response);
            self.jobs[job.0].charges.push(Charge {
                at: time,
                by: operation,
                amount: charged,
            });
            self.keep_violation(Some(job), checked);
        }
        if operation == Operation::CreateReservation {
            // A reservation that only gives a late grant back sends no event.
            let said: Said = serde_json::from_slice(response.body()).unwrap_or_default();
            if let Some(id) = said.reservation_id {
                self.by_reservation.insert(id.clone(), job);
                // A request that is delivered again after the ledger forgot its key creates another reservation. A
                // known cost stays with the first one.
                let job = &mut self.jobs[job.0];
                if job.cost.is_none() {
                    job.reservation_id = Some(id);
                }
            }
        }
    }

    /// How many events the ledger has applied, and whether this job's reservation is committed.
    fn ledger_progress(&self, job: JobId) -> (u64, bool) {
        let reservation = self.jobs[job.0].reservation_id.as_ref();
        let state = reservation.and_then(|id| self.ledger.reservation(id.as_str()));
        let is_committed = state.is_some_and(|state| state.status == ReservationStatus::Committed);
        (self.ledger.events_applied(), is_committed)
    }

    /// Schedules the result of an attempt for this time.
    fn schedule_result(&mut self, at: Duration, arrival: RequestArrival, result: AttemptResult) {
        let arrival = ResultArrival {
            session: arrival.session,
            ticket: arrival.ticket,
            reader: arrival.reader,
            result,
            is_first: true,
        };
        self.schedule_event(at, ScheduledEvent::ResultArrives(Box::new(arrival)));
    }

    /// Delivers the result of an attempt to its session, unless the session already got one.
    fn deliver_result(&mut self, arrival: ResultArrival) {
        let (index, ticket) = (arrival.session, arrival.ticket);
        let is_open = self.sessions[index].exchanges.contains_key(&ticket);
        match (arrival.is_first, is_open) {
            (true, true) => self.report_result(index, ticket, &arrival.result),
            // The connection of a withdrawn call is closed: only a misbehaving driver keeps reading.
            (true, false) if !self.dice.chance(self.driver.late_answers) => return,
            (true | false, _) => self.hand_result_to_session(index, ticket, &arrival.reader, &arrival.result),
        }
        if self.dice.chance(self.driver.unknown_answers) {
            let other = self.dice.below(self.tickets.len() as u64);
            let other = usize::try_from(other)
                .ok()
                .and_then(|other| self.tickets.get(other).copied());
            if let Some(ticket) = other.filter(|ticket| !self.sessions[index].tickets.contains(ticket)) {
                self.hand_result_to_session(index, ticket, &arrival.reader, &arrival.result);
            }
        }
        if arrival.is_first && self.dice.chance(self.driver.repeated_answers) {
            let at = self.now + Duration::from_millis(self.dice.below(20_000));
            let again = ResultArrival {
                is_first: false,
                ..arrival
            };
            self.schedule_event(at, ScheduledEvent::ResultArrives(Box::new(again)));
        }
        self.drive(index);
    }

    /// Applies the remains of unfinished changes by `process` to the journal. Of the changes to one reservation's
    /// records, only the first has begun.
    pub(super) fn crash_stores(&mut self, process: ProcessId, remains: Remains) {
        let mut begun = BTreeSet::new();
        for event in self.schedule.values() {
            let ScheduledEvent::JournalChanges {
                session,
                caller_index,
                write,
                ..
            } = event
            else {
                continue;
            };
            if self.sessions[*session].process != process {
                continue;
            }
            let is_next = begun.insert((*session, *caller_index, &write.id().reservation));
            if is_next || remains == Remains::All {
                let client = &self.sessions[*session].callers[*caller_index].journal;
                let cut = self.dice.bits();
                self.journal.crash_during(client, write, remains, cut);
            }
        }
    }

    /// Schedules the hung changes to the journal: they are made now that the faults have stopped.
    pub(super) fn unhang_stores(&mut self) {
        let soon = self.now + Duration::from_secs(60);
        let hanging = self.schedule.split_off(&(soon, 0));
        for ((at, number), event) in hanging {
            let is_store = matches!(event, ScheduledEvent::JournalChanges { .. });
            self.schedule
                .insert((if is_store { soon } else { at }, number), event);
        }
        for last in self
            .sessions
            .iter_mut()
            .flat_map(|session| session.last_writes.values_mut())
        {
            *last = soon.min(*last);
        }
    }
}

/// Removes `remaining_ttl_ms` from the answer, as if an older server had sent it.
fn leave_out_remaining(response: &mut Response<Bytes>) {
    let body: Result<serde_json::Map<String, serde_json::Value>, _> = serde_json::from_slice(response.body());
    if let Ok(mut body) = body
        && body.remove("remaining_ttl_ms").is_some()
        && let Ok(bytes) = serde_json::to_vec(&body)
    {
        *response.body_mut() = Bytes::from(bytes);
    }
}

/// The relevant members of the ledger's answers.
#[derive(Default, Deserialize)]
struct Said {
    reservation_id: Option<ReservationId>,
    charged: Option<Charged>,
}

#[derive(Deserialize)]
struct Charged {
    amount: i64,
}

/// The charged amount according to the ledger: the requested one, unless the answer has a smaller one.
fn charged(job: &Job, response: &Response<Bytes>) -> i64 {
    let said: Said = serde_json::from_slice(response.body()).unwrap_or_default();
    let asked = job.cost.as_ref().map_or(0, |cost| cost.amount);
    said.charged.map_or(asked, |charged| charged.amount)
}
