//! The events outside the sessions: requests arrive, answers return, changes to the journal are made.

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

use super::audit::{self, Heard};
use super::journal::Remains;
use super::life::{Life, LifeId, Settled};
use super::network::Answer;
use super::session::Whose;
use super::{ProcessId, World};

/// A planned event.
#[derive(Debug)]
pub(super) enum Happening {
    /// A call of a session leaves.
    Leaves(usize, Box<Call>),
    /// A session gets the report that a call began.
    Begins(usize, Ticket),
    /// A request reaches the server.
    Arrives(Box<Arrival>),
    /// A session gets the result of an attempt.
    Hears(Box<Hearing>),
    /// A change to the journal is made.
    Stores {
        session: usize,
        who: usize,
        ticket: Ticket,
        write: Box<JournalWrite>,
    },
    /// A journal is read.
    Scans(usize, Ticket, Principal),
}

#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) session: usize,
    pub(super) whose: Whose,
    pub(super) ticket: Ticket,
    pub(super) reader: Reader,
    pub(super) request: Request<Bytes>,
    /// The client's answer, and how long it takes; `None` if a proxy repeated the request.
    pub(super) answer: Option<(Answer, Duration)>,
}

#[derive(Debug)]
pub(super) struct Hearing {
    pub(super) session: usize,
    pub(super) ticket: Ticket,
    pub(super) reader: Reader,
    pub(super) heard: Heard,
    pub(super) is_first: bool,
}

impl World {
    pub(super) fn plan(&mut self, at: Duration, happening: Happening) {
        self.happenings += 1;
        self.agenda.insert((at, self.happenings), happening);
    }

    pub(super) fn happens(&mut self, happening: Happening) {
        let session = match &happening {
            Happening::Arrives(_) => None,
            Happening::Hears(hearing) => Some(hearing.session),
            Happening::Leaves(session, _)
            | Happening::Begins(session, _)
            | Happening::Scans(session, ..)
            | Happening::Stores { session, .. } => Some(*session),
        };
        if let Some(session) = session {
            let process = &self.processes[self.sessions[session].process.0];
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
            Happening::Leaves(session, call) => {
                self.leaves(session, *call);
                self.drive(session);
            }
            Happening::Begins(session, ticket) => self.begins(session, ticket),
            Happening::Scans(session, ticket, principal) => {
                self.scans(session, ticket, principal);
                self.drive(session);
            }
            Happening::Stores {
                session,
                who,
                ticket,
                write,
            } => self.stores(session, who, ticket, &write),
        }
    }

    /// A request reaches the server.
    fn arrives(&mut self, arrival: Arrival) {
        let life = match arrival.whose {
            Whose::Seat(seat) => Some(self.seats[seat].life),
            Whose::Call(_) => None,
        };
        if self.is_server_down {
            self.note(|| "  lost at the server, which is down".to_owned());
            let lost = Heard::Failure(Failure::new(FailureKind::Lost));
            if arrival.answer.is_some() {
                let at = self.now;
                self.answer(at, arrival, lost);
            }
            return;
        }
        let operation = Operation::of(arrival.request.method(), arrival.request.uri().path());
        let time = self.server_time();
        let before = life.map(|life| self.taken(life));
        let mut response = self.ledger.handle(time, &arrival.request);
        (self.watch)(&arrival.request, &response);
        if self.dice.chance(self.unmeasured) {
            leave_out_remaining(&mut response);
        }
        self.note(|| {
            format!(
                "  the ledger answers {:?}, {} with {}",
                arrival.ticket,
                operation.name(),
                response.status()
            )
        });
        if let (Some(life), Some(before)) = (life, before) {
            self.note_taken(life, before, operation, time, &response);
        }
        if let Some((answer, way_back)) = &arrival.answer
            && let Some(heard) = answer.heard(response)
        {
            let at = self.now.saturating_add(*way_back);
            self.answer(at, arrival, heard);
        }
    }

    /// Notes and checks what the ledger did with a request of this life.
    fn note_taken(
        &mut self,
        life: LifeId,
        before: (u64, bool),
        operation: Operation,
        time: UnixMillis,
        response: &Response<Bytes>,
    ) {
        let (events, is_committed) = self.taken(life);
        // The ledger forgets a reservation after a month, so it may cease to be committed.
        if events > before.0 || (is_committed && !before.1) {
            let held = audit::settled(&self.lives[life.0], operation, time);
            let charged = charged(&self.lives[life.0], response);
            self.lives[life.0].settled.push(Settled {
                at: time,
                by: operation,
                charged,
            });
            self.check(Some(life), held);
        }
        if operation == Operation::CreateReservation {
            // A reservation that gives a late grant back sends no event.
            let said: Said = serde_json::from_slice(response.body()).unwrap_or_default();
            if let Some(id) = said.reservation_id {
                self.by_reservation.insert(id.clone(), life);
                // A request that is delivered again after the ledger forgot its key makes another reservation. A known
                // cost stays with the first one.
                let life = &mut self.lives[life.0];
                if life.cost.is_none() {
                    life.reservation_id = Some(id);
                }
            }
        }
    }

    /// How many events the ledger has applied, and whether this life's reservation is committed.
    fn taken(&self, life: LifeId) -> (u64, bool) {
        let reservation = self.lives[life.0].reservation_id.as_ref();
        let state = reservation.and_then(|id| self.ledger.reservation(id.as_str()));
        let is_committed = state.is_some_and(|state| state.status == ReservationStatus::Committed);
        (self.ledger.events_applied(), is_committed)
    }

    /// Plans the result of an attempt for this time.
    fn answer(&mut self, at: Duration, arrival: Arrival, heard: Heard) {
        let hearing = Hearing {
            session: arrival.session,
            ticket: arrival.ticket,
            reader: arrival.reader,
            heard,
            is_first: true,
        };
        self.plan(at, Happening::Hears(Box::new(hearing)));
    }

    /// A session gets the result of an attempt, unless it got one before.
    fn hears(&mut self, hearing: Hearing) {
        let (index, ticket) = (hearing.session, hearing.ticket);
        let is_open = self.sessions[index].exchanges.contains_key(&ticket);
        match (hearing.is_first, is_open) {
            (true, true) => self.tell(index, ticket, &hearing.heard),
            // The connection of a withdrawn call is closed: only a driver that misbehaves keeps reading.
            (true, false) if !self.dice.chance(self.driver.late_answers) => return,
            (true | false, _) => self.report(index, ticket, &hearing.reader, &hearing.heard),
        }
        if self.dice.chance(self.driver.unknown_answers) {
            let other = self.dice.below(self.tickets.len() as u64);
            let other = usize::try_from(other)
                .ok()
                .and_then(|other| self.tickets.get(other).copied());
            if let Some(ticket) = other.filter(|ticket| !self.sessions[index].tickets.contains(ticket)) {
                self.report(index, ticket, &hearing.reader, &hearing.heard);
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
        self.drive(index);
    }

    /// Applies what remains of the unfinished changes of `process` to the journal. Of the changes of one reservation
    /// only the first has begun.
    pub(super) fn crash_stores(&mut self, process: ProcessId, remains: Remains) {
        let mut begun = BTreeSet::new();
        for happening in self.agenda.values() {
            let Happening::Stores {
                session, who, write, ..
            } = happening
            else {
                continue;
            };
            if self.sessions[*session].process != process {
                continue;
            }
            let is_next = begun.insert((*session, *who, &write.id().reservation));
            if is_next || remains == Remains::All {
                let client = &self.sessions[*session].callers[*who].journal;
                let cut = self.dice.bits();
                self.journal.crash_during(client, write, remains, cut);
            }
        }
    }

    /// Plans the changes to the journal that hang: they are made now that the faults have stopped.
    pub(super) fn unhang_stores(&mut self) {
        let soon = self.now + Duration::from_secs(60);
        let hanging = self.agenda.split_off(&(soon, 0));
        for ((at, number), happening) in hanging {
            let is_store = matches!(happening, Happening::Stores { .. });
            self.agenda
                .insert((if is_store { soon } else { at }, number), happening);
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
fn charged(life: &Life, response: &Response<Bytes>) -> i64 {
    let said: Said = serde_json::from_slice(response.body()).unwrap_or_default();
    let asked = life.cost.as_ref().map_or(0, |cost| cost.amount);
    said.charged.map_or(asked, |charged| charged.amount)
}
