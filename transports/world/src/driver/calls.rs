//! The driver's steps for calls: it sends them, now or later, and withdraws them.

use std::time::Duration;

use cycles_proto::Reader;
use cycles_proto::session::Key;
use cycles_proto::{Call, Failure, FailureKind, Now, Ticket, Urgency};
use cycles_sandbox::Operation;

use crate::audit::{AttemptResult, broken, is_refused};
use crate::job::SentRequest;
use crate::network::{Answer, Delivery};
use crate::process::EPOCH;
use crate::schedule::{RequestArrival, ResultArrival, ScheduledEvent};
use crate::session::{CallOwner, Exchange};
use crate::{Rule, World};

impl World {
    /// Accepts a call that the session hands out, and sends it now or later.
    pub(crate) fn take_call(&mut self, index: usize, now: Now, call: Call) {
        let operation = Operation::of(call.request.method(), call.request.uri().path());
        let Some(owner) = self.owner_of(index, now, &call) else {
            return;
        };
        let ticket = call.ticket;
        self.tickets.push(ticket);
        let session = &mut self.sessions[index];
        session.tickets.insert(ticket);
        let exchange = Exchange {
            owner,
            reader: call.reader.clone(),
            is_sent: false,
            is_withdrawn: false,
        };
        session.exchanges.insert(ticket, exchange);
        let is_lease = matches!(call.urgency, Urgency::Lease(_));
        let takes_a_place = is_lease || !self.is_blocking(index, owner);
        let session = &mut self.sessions[index];
        let mut checked = session.watch.check_sending(now, ticket, is_lease, takes_a_place);
        checked = checked.and_then(|()| self.check_key(index, owner, &call));
        match owner {
            CallOwner::Call(id) => {
                if let Some(call) = self.sessions[index].calls.get_mut(&id) {
                    call.attempts.insert(ticket);
                }
                self.keep_violation(None, checked);
                self.log(|| format!("session {index} sends {} {ticket:?}", operation.name()));
            }
            CallOwner::Reservation(at) => {
                let reservation = &mut self.reservations[at];
                let id = reservation.job;
                let job = &mut self.jobs[id.0];
                checked = checked.and_then(|()| reservation.watch.check_sending(job, now, operation, &call));
                let header = call.request.headers().get("x-idempotency-key");
                let key = header.map(|key| String::from_utf8_lossy(key.as_bytes()).into_owned());
                job.requests.push(SentRequest {
                    at: self.now,
                    process: reservation.process,
                    operation,
                    key,
                    body: call.request.body().clone(),
                });
                self.sessions[index].busy.insert(at);
                self.keep_violation(Some(id), checked);
                self.log(|| format!("{id}, reservation {at} sends {} {ticket:?}", operation.name()));
            }
        }
        if self.dice.chance(self.driver.late_steps) {
            let at = self.now + Duration::from_millis(self.dice.below(3_000));
            self.schedule_event(at, ScheduledEvent::CallLeaves(index, Box::new(call)));
        } else {
            self.send_call(index, call);
        }
    }

    /// The owner of a call, according to the session.
    fn owner_of(&mut self, index: usize, now: Now, call: &Call) -> Option<CallOwner> {
        match self.sessions[index].machine.whose(call.ticket) {
            Some(Key::Reservation(key)) => {
                let known = self.reservation_of(index, key);
                let at = known.or_else(|| self.find_resumed_by_call(index, now, key, call));
                if at.is_none() {
                    let what = format!(
                        "session {index} sends {call:?}, which belongs to no record that it was given"
                    );
                    self.keep_violation(None, broken(Rule::KnownCost, what));
                }
                at.map(CallOwner::Reservation)
            }
            Some(Key::Call(id)) => Some(CallOwner::Call(id)),
            Some(Key::Flush(_) | Key::Stop(_) | Key::Close) | None => {
                self.keep_violation(None, broken(Rule::Ends, format!("{call:?} has no owner")));
                None
            }
        }
    }

    /// Whether the waiting caller makes the call itself, so that the call takes no place.
    fn is_blocking(&self, index: usize, owner: CallOwner) -> bool {
        match owner {
            CallOwner::Reservation(at) => self.reservations[at].is_blocking,
            CallOwner::Call(id) => {
                let call = self.sessions[index].calls.get(&id);
                call.is_some_and(|call| call.is_blocking)
            }
        }
    }

    fn check_key(&self, index: usize, owner: CallOwner, call: &Call) -> crate::audit::CheckResult {
        let caller_index = match owner {
            CallOwner::Reservation(at) => self.reservations[at].caller_index,
            CallOwner::Call(id) => match self.sessions[index].calls.get(&id) {
                Some(call) => call.caller_index,
                None => return Ok(()),
            },
        };
        let key = self.sessions[index].callers[caller_index]
            .config()
            .api_key()
            .expose();
        let sent = call.request.headers().get("x-cycles-api-key");
        match sent.is_some_and(|sent| sent.as_bytes() == key.as_bytes()) {
            true => Ok(()),
            false => broken(
                Rule::PrincipalsApart,
                format!("{call:?} is not sent under its key"),
            ),
        }
    }

    /// Begins the call, unless it was withdrawn.
    pub(crate) fn send_call(&mut self, index: usize, call: Call) {
        let ticket = call.ticket;
        let now = self.time_of(index);
        let session = &mut self.sessions[index];
        let Some(exchange) = session.exchanges.get_mut(&ticket) else {
            return;
        };
        let (owner, is_withdrawn) = (exchange.owner, exchange.is_withdrawn);
        let is_reported = !self.dice.chance(self.driver.unreported_beginnings);
        let may_begin = match is_reported {
            true => session.machine.begun(now, ticket),
            // The beginning is reported later or never, but a withdrawn call is not sent.
            false => !is_withdrawn,
        };
        if may_begin && is_withdrawn {
            let what = format!("{ticket:?} may begin although it was withdrawn before");
            self.keep_violation(None, broken(Rule::WithdrawnNotSent, what));
        }
        if !may_begin {
            self.counts.not_begun += 1;
            let result = AttemptResult::Failure(Failure::new(FailureKind::NotMade));
            return self.report_result(index, ticket, &result);
        }
        if !is_reported && self.dice.chance(0.5) {
            let at = self.now + Duration::from_millis(self.dice.below(2_000));
            self.schedule_event(at, ScheduledEvent::BeginningReported(index, ticket));
        }
        if let Some(exchange) = self.sessions[index].exchanges.get_mut(&ticket) {
            exchange.is_sent = true;
        }
        if let CallOwner::Reservation(at) = owner {
            self.reservations[at].watch.note_beginning(now, ticket);
        }
        let operation = Operation::of(call.request.method(), call.request.uri().path());
        let fault = self.faults.strike(EPOCH.saturating_add(self.now), operation);
        if let Some(fault) = &fault {
            let fault = fault.to_string();
            self.log(|| format!("  {fault} strikes {ticket:?}"));
        }
        let delivery = if self.is_server_down {
            Delivery::refused(&mut self.dice)
        } else {
            Delivery::of(&call, fault.as_ref(), &mut self.dice)
        };
        self.dispatch(index, &call, owner, delivery);
    }

    /// Reports the beginning of a call late.
    pub(crate) fn report_beginning(&mut self, index: usize, ticket: Ticket) {
        let now = self.time_of(index);
        let session = &mut self.sessions[index];
        if let Some(exchange) = session.exchanges.get(&ticket) {
            if let CallOwner::Reservation(at) = exchange.owner {
                self.reservations[at].watch.note_beginning(now, ticket);
            }
            session.machine.begun(now, ticket);
        }
    }

    fn dispatch(&mut self, session: usize, call: &Call, owner: CallOwner, delivery: Delivery) {
        let ticket = call.ticket;
        let mut answer = Some((delivery.answer, delivery.way_back));
        let arrival = |result| ResultArrival {
            session,
            ticket,
            reader: call.reader.clone(),
            result,
            is_first: true,
        };
        // Often the driver also enforces the deadline of a call.
        if self.dice.chance(0.5) {
            let result = AttemptResult::Failure(Failure::new(FailureKind::Timeout));
            let deadline = self.now.saturating_add(call.timeout);
            self.schedule_event(deadline, ScheduledEvent::ResultArrives(Box::new(arrival(result))));
        }
        if let (true, Some((Answer::Fixed(result), way_back))) = (delivery.arrives.is_empty(), &answer) {
            let (result, at) = (result.clone(), self.now.saturating_add(*way_back));
            self.schedule_event(at, ScheduledEvent::ResultArrives(Box::new(arrival(result))));
        }
        for after in delivery.arrives {
            let arrival = RequestArrival {
                session,
                owner,
                ticket,
                reader: call.reader.clone(),
                request: call.request.clone(),
                answer: answer.take(),
            };
            let at = self.now.saturating_add(after);
            self.schedule_event(at, ScheduledEvent::RequestArrives(Box::new(arrival)));
        }
    }

    /// Withdraws a call: a well-behaved driver closes its connection.
    pub(crate) fn withdraw_call(&mut self, index: usize, now: Now, ticket: Ticket) {
        self.log(|| format!("  session {index} withdraws {ticket:?}"));
        let session = &mut self.sessions[index];
        session.watch.note_withdrawn(now, ticket);
        let Some(exchange) = session.exchanges.get_mut(&ticket) else {
            return;
        };
        exchange.is_withdrawn = true;
        let (owner, is_sent) = (exchange.owner, exchange.is_sent);
        if let CallOwner::Reservation(at) = owner {
            let is_held = self.grant_of(at).is_some();
            let reservation = &mut self.reservations[at];
            let job = &self.jobs[reservation.job.0];
            reservation.watch.note_withdrawn(now, ticket, is_held, job);
        }
        // A call that has not been sent yet is handled when it would be sent.
        if is_sent && !self.dice.chance(self.driver.kept_places) {
            let result = AttemptResult::Failure(Failure::new(FailureKind::Lost));
            if self.dice.chance(self.driver.late_steps) {
                let (session, is_first) = (index, true);
                let Some(reader) = self.reader_of(index, ticket) else {
                    return;
                };
                let at = self.now + Duration::from_millis(self.dice.below(3_000));
                let arrival = ResultArrival {
                    session,
                    ticket,
                    reader,
                    result,
                    is_first,
                };
                self.schedule_event(at, ScheduledEvent::ResultArrives(Box::new(arrival)));
            } else {
                self.report_result(index, ticket, &result);
            }
        }
    }

    /// Reports the result of a call that was handed out.
    pub(crate) fn report_result(&mut self, index: usize, ticket: Ticket, result: &AttemptResult) {
        let now = self.time_of(index);
        let session = &mut self.sessions[index];
        let Some(exchange) = session.exchanges.remove(&ticket) else {
            return;
        };
        session.watch.note_result(ticket);
        match exchange.owner {
            CallOwner::Call(id) => {
                if let Some(call) = session.calls.get_mut(&id) {
                    call.attempts.remove(&ticket);
                }
            }
            CallOwner::Reservation(at) => {
                let is_held = self.grant_of(at).is_some();
                let reservation = &mut self.reservations[at];
                let is_settlement = reservation.watch.attempts.get(&ticket).is_some_and(|attempt| {
                    matches!(
                        attempt.operation,
                        Operation::CommitReservation | Operation::CreateEvent
                    )
                });
                reservation
                    .watch
                    .note_result(now, ticket, result, is_held, &self.jobs[reservation.job.0]);
                if reservation.watch.is_resumed && is_settlement {
                    let principal = self.principal_of(index, self.reservations[at].caller_index);
                    self.sessions[index]
                        .watch
                        .note_replayed(principal, is_refused(result));
                }
            }
        }
        self.hand_result_to_session(index, ticket, &exchange.reader, result);
    }

    /// Reports an answer to a session, whether or not the session waits for it.
    pub(crate) fn hand_result_to_session(
        &mut self,
        index: usize,
        ticket: Ticket,
        reader: &Reader,
        result: &AttemptResult,
    ) {
        let now = self.time_of(index);
        let machine = &mut self.sessions[index].machine;
        match result {
            AttemptResult::Response(response) => machine.handle(now, ticket, reader, Ok(response)),
            AttemptResult::Failure(failure) => machine.handle(now, ticket, reader, Err(failure.clone())),
        }
        self.log(|| match result {
            AttemptResult::Response(response) => {
                format!("  session {index} hears {ticket:?}: {}", response.status())
            }
            AttemptResult::Failure(failure) => format!("  session {index} hears {ticket:?}: {failure}"),
        });
    }

    fn reader_of(&self, index: usize, ticket: Ticket) -> Option<Reader> {
        let exchange = self.sessions[index].exchanges.get(&ticket)?;
        Some(exchange.reader.clone())
    }

    /// The time of a session's process.
    pub(crate) fn time_of(&self, index: usize) -> Now {
        self.processes[self.sessions[index].process.0].now(self.now)
    }
}
