//! The reservations of a session: how the world learns of those that are resumed from the journal, and how each ends.

use cycles_proto::Outcome;
use cycles_proto::models::{Amount, Unit};
use cycles_proto::record::{JournalRecord, RecordId};
use cycles_proto::session::{Principal, ReservationKey};
use cycles_proto::{Call, Now};
use cycles_sandbox::ReservationStatus;

use super::audit::{Watch, broken};
use super::life::{Life, LifeId};
use super::session::{Seat, Who};
use super::{Rule, World};

impl World {
    /// Finds the record that a session has resumed, from the first request of a reservation that the world does not
    /// know.
    pub(super) fn takes_up(
        &mut self,
        index: usize,
        now: Now,
        key_of: ReservationKey,
        call: &Call,
    ) -> Option<usize> {
        let (path, body) = (call.request.uri().path(), call.request.body());
        let text = String::from_utf8_lossy(body);
        let key = call.request.headers().get("x-cycles-api-key");
        let is_its_key =
            |who: &Who| key.is_some_and(|key| key.as_bytes() == who.config().api_key().expose().as_bytes());
        let is_body = |record: &JournalRecord| record.body().as_bytes() == &body[..];
        let is_named = |record: &JournalRecord| {
            let id = record.reservation_id().as_str();
            path.contains(id) || text.contains(id)
        };
        // If the request differs from the record, or has another key, the checks have to detect it.
        let found = self
            .record_of(index, |who, record| is_its_key(who) && is_body(record))
            .or_else(|| self.record_of(index, |_, record| is_body(record)))
            .or_else(|| self.record_of(index, |_, record| is_named(record)))?;
        self.resumes(index, now, key_of, found)
    }

    /// Does the same for a reservation that changes its record before it sends anything.
    pub(super) fn takes_up_record(
        &mut self,
        index: usize,
        now: Now,
        key: ReservationKey,
        principal: Principal,
        id: &RecordId,
    ) -> Option<usize> {
        let is_its = |who: &Who| who.caller.principal() == principal;
        let found = self
            .record_of(index, |who, record| is_its(who) && record.id() == id)
            .or_else(|| self.record_of(index, |_, record| record.id() == id))?;
        self.resumes(index, now, key, found)
    }

    fn record_of(
        &self,
        index: usize,
        is_it: impl Fn(&Who, &JournalRecord) -> bool,
    ) -> Option<(usize, RecordId)> {
        let mut callers = self.sessions[index].callers.iter().enumerate();
        callers.find_map(|(at, who)| {
            let mut records = who.scanned.values().map(|(record, _)| record);
            let record = records.find(|record| is_it(who, record))?;
            Some((at, record.id().clone()))
        })
    }

    fn resumes(
        &mut self,
        index: usize,
        now: Now,
        key: ReservationKey,
        (who, id): (usize, RecordId),
    ) -> Option<usize> {
        let caller = &self.sessions[index].callers[who];
        let has_journal = caller.config().journal_enabled;
        let (record, pause) = caller.scanned.get(&id).cloned()?;
        let tenant = caller.config().subject().tenant.clone();
        let principal = caller.caller.principal();
        let held = self.sessions[index].watch.resuming(now, principal);
        let id = self
            .life_of_record(&record)
            .unwrap_or_else(|| self.found(&record, tenant));
        self.check(Some(id), held);
        // The record was written, even if its writer got an error or the world did not see it.
        let life = &mut self.lives[id.0];
        life.book.was_durable = true;
        life.book.recorded_at.get_or_insert(record.recorded_at());
        life.cost = life.cost.take().or_else(|| cost(&record));
        let watch = Watch::resumed(&record, has_journal, pause);
        let at = self.sit(id, index, who, watch);
        self.seats[at].key = Some(key);
        self.sessions[index].seats.insert(key, at);
        self.note(|| format!("{id}: session {index} resumes its record as seat {at}"));
        Some(at)
    }

    /// The life with this cost. A reservation has several lives if a job was done twice.
    fn life_of_record(&self, record: &JournalRecord) -> Option<LifeId> {
        let key = record.id().key.as_str();
        let is_its = |life: &Life| {
            life.reservation_id.as_ref() == Some(record.reservation_id())
                && life.book.key.as_deref() == Some(key)
        };
        let known = self.lives.iter().position(is_its).map(LifeId);
        known.or_else(|| {
            let id = *self.by_reservation.get(record.reservation_id())?;
            self.lives[id.0].book.key.is_none().then_some(id)
        })
    }

    /// Adds the life of a record that the world did not know.
    fn found(&mut self, record: &JournalRecord, tenant: Option<String>) -> LifeId {
        let mut life = Life {
            reservation_id: Some(record.reservation_id().clone()),
            ..Life::default()
        };
        life.book.tenant = tenant;
        let id = LifeId(self.lives.len());
        self.lives.push(life);
        self.by_reservation.insert(record.reservation_id().clone(), id);
        id
    }

    pub(super) fn sit(&mut self, life: LifeId, session: usize, who: usize, watch: Watch) -> usize {
        let at = self.seats.len();
        self.seats.push(Seat {
            life,
            process: self.sessions[session].process,
            session,
            who,
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

    /// The reservation of a seat is over.
    pub(super) fn ends(&mut self, at: usize) {
        let seat = &mut self.seats[at];
        seat.is_done = true;
        seat.watch.gives_up_releasing();
        let id = seat.life;
        let life = &mut self.lives[id.0];
        let reservation = life.reservation_id.as_ref();
        let state = reservation.and_then(|reservation| self.ledger.reservation(reservation.as_str()));
        let is_released = state.is_some_and(|state| state.status == ReservationStatus::Released);
        let is_at_home = life.book.home == Some(at);
        let session = &self.sessions[seat.session];
        let seen = seat.key.and_then(|key| session.machine.outcome(key)).cloned();
        // The session has dropped the outcome of a forgotten reservation, but its receipt was reported as an event.
        let outcome = seen.or_else(|| Some(Outcome::Settled(seat.watch.told_receipt.clone()?)));
        let held = match outcome {
            None if seat.watch.is_resumed || seat.is_forgotten => Ok(()),
            None if seat.was_lost => {
                life.book.is_running = false;
                match seat.owes_panic {
                    true => broken(
                        Rule::PanicStaysAlone,
                        "it is lost in a panic, but no event reported that",
                    ),
                    false => Ok(()),
                }
            }
            None => broken(Rule::Ends, "it is done but has no outcome"),
            Some(_) if is_at_home && life.book.is_running => {
                broken(Rule::ActionGoesOn, "it ended before its caller ended the action")
            }
            Some(outcome) => {
                let held = seat.watch.ended(life, &outcome, is_released);
                life.outcomes.push(outcome);
                held
            }
        };
        self.note(|| format!("{id}, seat {at} is done"));
        self.check(Some(id), held);
    }
}

/// The cost in a record.
fn cost(record: &JournalRecord) -> Option<Amount> {
    let said: serde_json::Value = serde_json::from_str(record.body()).ok()?;
    let unit = said["actual"]["unit"].as_str()?;
    Some(Amount::new(Unit::from(unit), said["actual"]["amount"].as_i64()?))
}
