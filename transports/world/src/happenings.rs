//! What happens beside the machines: requests arrive, answers come, changes of the journal are done.

use std::time::Duration;

use bytes::Bytes;
use cycles_proto::models::ReservationId;
use cycles_proto::step::JournalWrite;
use cycles_proto::{Failure, FailureKind, Ticket};
use cycles_sandbox::{Operation, ReservationStatus};
use http::{Request, Response};
use serde::Deserialize;

use super::audit::{self, Heard};
use super::journal::Remains;
use super::life::{Life, LifeId, Settled};
use super::network::Answer;
use super::{ProcessId, World};

/// Something that will happen.
#[derive(Debug)]
pub(super) enum Happening {
    /// A request reaches the server.
    Arrives(Box<Arrival>),
    /// A machine hears of an attempt.
    Hears(Box<Hearing>),
    /// A change of the journal is made.
    Stores {
        seat: usize,
        ticket: Ticket,
        write: Box<JournalWrite>,
    },
}

#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) seat: usize,
    pub(super) ticket: Ticket,
    pub(super) request: Request<Bytes>,
    /// What the client hears, and how long after; nothing if a proxy sent it once more.
    pub(super) answer: Option<(Answer, Duration)>,
    pub(super) sent: Duration,
    /// When the client stops waiting.
    pub(super) deadline: Duration,
}

#[derive(Debug)]
pub(super) struct Hearing {
    pub(super) seat: usize,
    pub(super) ticket: Ticket,
    /// When the attempt left, in the world's time.
    pub(super) sent: Duration,
    pub(super) heard: Heard,
    pub(super) is_first: bool,
}

impl World {
    pub(super) fn plan(&mut self, at: Duration, happening: Happening) {
        self.happenings += 1;
        self.agenda.insert((at, self.happenings), happening);
    }

    pub(super) fn happens(&mut self, happening: Happening) {
        let seat = match &happening {
            Happening::Arrives(_) => None,
            Happening::Hears(hearing) => Some(hearing.seat),
            Happening::Stores { seat, .. } => Some(*seat),
        };
        if let Some(seat) = seat {
            let process = &self.processes[self.seats[seat].process.0];
            if !process.is_alive {
                return;
            }
            if process.asleep_until > self.now {
                let at = process.asleep_until;
                return self.plan(at, happening);
            }
        }
        match happening {
            Happening::Arrives(arrival) => self.arrives(*arrival),
            Happening::Hears(hearing) => self.hears(*hearing),
            Happening::Stores { seat, ticket, write } => self.stores(seat, ticket, &write),
        }
    }

    /// The server gets a request.
    fn arrives(&mut self, arrival: Arrival) {
        let life = self.seats[arrival.seat].life;
        if self.is_server_down {
            self.note(|| format!("{life}: lost at the server, which is down"));
            let lost = Heard::Failure(Failure::new(FailureKind::Lost));
            if arrival.answer.is_some() {
                let at = self.now;
                self.answer(at, &arrival, lost);
            }
            return;
        }
        let operation = Operation::of(arrival.request.method(), arrival.request.uri().path());
        let time = self.server_time();
        let before = self.taken(life);
        let mut response = self.ledger.handle(time, &arrival.request);
        (self.watch)(&arrival.request, &response);
        if self.dice.chance(self.unmeasured) {
            leave_out_remaining(&mut response);
        }
        self.note(|| {
            format!(
                "{life}: the ledger answers {} with {}",
                operation.name(),
                response.status()
            )
        });
        let (events, is_committed) = self.taken(life);
        // A reservation is forgotten after a month: that it is no longer committed is no news.
        if events > before.0 || (is_committed && !before.1) {
            let held = audit::settled(&self.lives[life.0], operation, time);
            let charged = charged(&self.lives[life.0], &response);
            self.lives[life.0].settled.push(Settled {
                at: time,
                by: operation,
                charged,
            });
            self.check(Some(life), held);
        }
        if operation == Operation::CreateReservation {
            // The machine that gives a late grant back tells no event of it.
            let said: Said = serde_json::from_slice(response.body()).unwrap_or_default();
            if let Some(id) = said.reservation_id {
                self.by_reservation.insert(id.clone(), life);
                // A request that is delivered again after the ledger forgot its key makes another reservation. What is
                // known to be spent stays a cost of the first.
                let life = &mut self.lives[life.0];
                if life.cost.is_none() {
                    life.reservation_id = Some(id);
                }
            }
        }
        if let Some((answer, way_back)) = &arrival.answer
            && let Some(heard) = answer.heard(response)
        {
            let at = self.now.saturating_add(*way_back);
            self.answer(at, &arrival, heard);
        }
    }

    /// How often the ledger took a cost, and whether it took that of this life.
    fn taken(&self, life: LifeId) -> (u64, bool) {
        let reservation = self.lives[life.0].reservation_id.as_ref();
        let state = reservation.and_then(|id| self.ledger.reservation(id.as_str()));
        let is_committed = state.is_some_and(|state| state.status == ReservationStatus::Committed);
        (self.ledger.events_applied(), is_committed)
    }

    /// Lets a machine hear of an attempt at this time, unless nobody waits for it by then.
    fn answer(&mut self, at: Duration, arrival: &Arrival, heard: Heard) {
        if at > arrival.deadline && !self.dice.chance(self.driver.late_answers) {
            return;
        }
        let hearing = Hearing {
            seat: arrival.seat,
            ticket: arrival.ticket,
            sent: arrival.sent,
            heard,
            is_first: true,
        };
        self.plan(at, Happening::Hears(Box::new(hearing)));
    }

    /// A machine hears of an attempt.
    fn hears(&mut self, hearing: Hearing) {
        let seat = hearing.seat;
        // The driver stops its clock when an answer is there.
        let is_timeout =
            matches!(&hearing.heard, Heard::Failure(failure) if failure.kind() == FailureKind::Timeout);
        if is_timeout && !self.seats[seat].watch.attempts.contains_key(&hearing.ticket) {
            return;
        }
        self.tell(seat, hearing.ticket, hearing.sent, &hearing.heard);
        if self.dice.chance(self.driver.unknown_answers) {
            let other = self.dice.below(self.tickets.len() as u64);
            let other = usize::try_from(other)
                .ok()
                .and_then(|other| self.tickets.get(other).copied());
            if let Some(ticket) = other.filter(|ticket| !self.seats[seat].tickets.contains(ticket)) {
                self.tell(seat, ticket, hearing.sent, &hearing.heard);
            }
        }
        if hearing.is_first && self.dice.chance(self.driver.repeated_answers) {
            let at = self.now + Duration::from_millis(self.dice.below(20_000));
            let again = Hearing {
                is_first: false,
                ..hearing
            };
            self.plan(at, Happening::Hears(Box::new(again)));
        }
        self.drive(seat);
        self.replay(self.seats[seat].process);
    }

    fn tell(&mut self, index: usize, ticket: Ticket, sent: Duration, heard: &Heard) {
        let seat = &mut self.seats[index];
        let process = &self.processes[seat.process.0];
        let now = process.now(self.now);
        let sent = sent.saturating_sub(process.started);
        let life = &self.lives[seat.life.0];
        let is_held = seat.machine.grant().is_some();
        seat.watch.heard(now, ticket, heard, is_held, life);
        match heard {
            Heard::Response(response) => seat.machine.handle_response(now, ticket, sent, response),
            Heard::Failure(failure) => {
                let sent = failure.kind().may_have_been_sent().then_some(sent);
                seat.machine.handle_failure(now, ticket, sent, failure.clone());
            }
        }
        if matches!(heard, Heard::Response(_)) {
            let process = self.seats[index].process;
            self.processes[process.0].replayer.observe(now, None);
        }
        self.note(|| match heard {
            Heard::Response(response) => {
                format!("  machine {index} hears {:?}: {}", ticket, response.status())
            }
            Heard::Failure(failure) => format!("  machine {index} hears {ticket:?}: {failure}"),
        });
    }

    /// A change of the journal is made.
    fn stores(&mut self, index: usize, ticket: Ticket, write: &JournalWrite) {
        let process = self.seats[index].process;
        let stored = self.journal.apply(&mut self.processes[process.0].journal, write);
        self.note(|| format!("  machine {index}: stored {stored:?}"));
        let now = self.processes[process.0].now(self.now);
        let seat = &mut self.seats[index];
        let life = &mut self.lives[seat.life.0];
        if let (JournalWrite::Put(record), Ok(())) = (write, &stored) {
            let directory = &self.processes[process.0].journal.directory;
            let first = || (directory.clone(), record.clone());
            life.book.first_record.get_or_insert_with(first);
        }
        seat.watch.stored(life, ticket, &stored);
        seat.machine.handle_stored(now, ticket, stored);
        self.drive(index);
    }

    /// What is left of the changes of the journal that `process` had under way.
    pub(super) fn crash_stores(&mut self, process: ProcessId, remains: Remains) {
        let client = &self.processes[process.0].journal;
        for happening in self.agenda.values() {
            if let Happening::Stores { seat, write, .. } = happening
                && self.seats[*seat].process == process
            {
                let cut = self.dice.bits();
                self.journal.crash_during(client, write, remains, cut);
            }
        }
    }
}

/// Makes the answer one of a server that does not know how to tell the rest of a lease.
fn leave_out_remaining(response: &mut Response<Bytes>) {
    let body: Result<serde_json::Map<String, serde_json::Value>, _> = serde_json::from_slice(response.body());
    if let Ok(mut body) = body
        && body.remove("remaining_ttl_ms").is_some()
        && let Ok(bytes) = serde_json::to_vec(&body)
    {
        *response.body_mut() = Bytes::from(bytes);
    }
}

/// What matters of the ledger's answers.
#[derive(Default, Deserialize)]
struct Said {
    reservation_id: Option<ReservationId>,
    charged: Option<Charged>,
}

#[derive(Deserialize)]
struct Charged {
    amount: i64,
}

/// What the ledger says that it took: what was asked, unless it says less.
fn charged(life: &Life, response: &Response<Bytes>) -> i64 {
    let said: Said = serde_json::from_slice(response.body()).unwrap_or_default();
    let asked = life.cost.as_ref().map_or(0, |cost| cost.amount);
    said.charged.map_or(asked, |charged| charged.amount)
}
