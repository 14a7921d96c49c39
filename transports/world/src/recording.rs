//! The driver executes the steps for the journal (changes, scans, claims), and delivers events.

use std::time::Duration;

use cycles_proto::Event;
use cycles_proto::journal::JournalWrite;
use cycles_proto::session::{Key, ObserverId, Principal, Scanned};
use cycles_proto::{Now, Ticket};

use super::audit::{broken, is_queued, keeps_secret};
use super::happenings::Happening;
use super::life::Told;
use super::{Rule, World};

/// The duration of a change that hangs until the faults stop: longer than any world lasts.
const NEVER: Duration = Duration::from_secs(400 * 86_400);

impl World {
    /// The session asks for a change to the journal.
    pub(super) fn begins_to_store(
        &mut self,
        index: usize,
        now: Now,
        ticket: Ticket,
        principal: Principal,
        write: JournalWrite,
    ) {
        let Some(Key::Reservation(key)) = self.sessions[index].machine.whose(ticket) else {
            let held = broken(
                Rule::Ends,
                format!("the change ({}) has no owner", described(&write)),
            );
            return self.check(None, held);
        };
        let known = self.seat_of(index, key);
        let Some(at) = known.or_else(|| self.takes_up_record(index, now, key, principal, write.id())) else {
            let what = format!(
                "session {index} asks for a change ({}) of an unknown record",
                described(&write)
            );
            return self.check(None, broken(Rule::KnownCost, what));
        };
        self.tickets.push(ticket);
        let session = &mut self.sessions[index];
        session.tickets.insert(ticket);
        session.busy.insert(at);
        session.writes.insert(ticket, at);
        let is_late = session.watch.is_journal_late(principal);
        let seat = &mut self.seats[at];
        let id = seat.life;
        let who = &session.callers[seat.who];
        let mut held = match who.caller.principal() == principal {
            true => Ok(()),
            false => broken(
                Rule::PrincipalsApart,
                "a record goes to another principal's journal",
            ),
        };
        held = held.and_then(|()| {
            seat.watch
                .storing(&mut self.lives[id.0], now, ticket, &write, is_late)
        });
        if let JournalWrite::Put(record) = &write {
            let secret = who.config().api_key().expose();
            held = held.and_then(|()| keeps_secret("a record", &record.to_json(), secret));
            self.by_reservation
                .entry(record.reservation_id().clone())
                .or_insert(id);
        }
        let who = seat.who;
        self.check(Some(id), held);
        self.note(|| format!("{id}, seat {at} stores {} {ticket:?}", described(&write)));
        let time = self.time_of_a_change();
        let last = self.sessions[index]
            .last_writes
            .entry((who, write.id().reservation.clone()))
            .or_default();
        let at = self.now.saturating_add(time).max(*last);
        *last = at;
        let write = Box::new(write);
        self.plan(
            at,
            Happening::Stores {
                session: index,
                who,
                ticket,
                write,
            },
        );
    }

    /// The duration of a change: mostly some milliseconds, sometimes as long as on a disk that hangs.
    fn time_of_a_change(&mut self) -> Duration {
        if self.dice.chance(self.driver.slow_stores) {
            return match self.dice.below(4) {
                0 => NEVER,
                _ => Duration::from_millis(self.dice.below(60_000)),
            };
        }
        let longest = if self.dice.chance(0.02) { 60_000 } else { 20 };
        Duration::from_millis(self.dice.below(longest))
    }

    /// A change to the journal is made.
    pub(super) fn stores(&mut self, index: usize, who: usize, ticket: Ticket, write: &JournalWrite) {
        let client = &mut self.sessions[index].callers[who].journal;
        let stored = self.journal.apply(client, write);
        let directory = client.directory.clone();
        self.note(|| format!("  session {index}: stored {ticket:?} {stored:?}"));
        let now = self.time_of(index);
        let principal = self.principal_of(index, who);
        let session = &mut self.sessions[index];
        if let Some(at) = session.writes.remove(&ticket) {
            let seat = &mut self.seats[at];
            let life = &mut self.lives[seat.life.0];
            if let (JournalWrite::Put(record), Ok(())) = (write, &stored) {
                let first = || (directory, record.clone());
                life.book.first_record.get_or_insert_with(first);
            }
            seat.watch.stored(life, ticket, &stored);
            if stored.is_ok() {
                session.watch.journal_is_late(principal, false);
            }
        }
        session.machine.handle_stored(now, ticket, stored);
        self.drive(index);
    }

    /// The session asks for a scan of a journal.
    pub(super) fn begins_to_scan(&mut self, index: usize, ticket: Ticket, principal: Principal) {
        let held = self.sessions[index].watch.scanning(principal);
        self.check(None, held);
        if self.dice.chance(self.driver.late_steps) {
            let at = self.now + Duration::from_millis(self.dice.below(3_000));
            self.plan(at, Happening::Scans(index, ticket, principal));
        } else {
            self.scans(index, ticket, principal);
        }
    }

    /// A journal is read, with its claim if that is free.
    pub(super) fn scans(&mut self, index: usize, ticket: Ticket, principal: Principal) {
        let Some(who) = self.sessions[index].who_is(principal) else {
            return;
        };
        let now = self.time_of(index);
        let client = &mut self.sessions[index].callers[who].journal;
        let directory = client.directory.clone();
        let has_claim = !self.has_claims || !self.claims.contains_key(&directory);
        self.met.yielded += u64::from(!has_claim);
        let before = self.journal.quarantined().len();
        let records = self.journal.scan(client);
        let set_aside = self.journal.quarantined().len() - before;
        self.note(|| {
            format!(
                "  session {index} reads {} records, claim {has_claim}",
                records.len()
            )
        });
        let session = &mut self.sessions[index];
        session.callers[who].note_scan(now, &records);
        session
            .watch
            .scanned(now, principal, has_claim, records.is_empty());
        let mut scanned = Scanned::new(records, has_claim);
        scanned.set_aside = set_aside;
        let is_kept = session.machine.handle_scanned(now, ticket, Some(scanned));
        if is_kept && has_claim && self.has_claims {
            self.claims.insert(directory, index);
        }
    }

    /// The session gives a claim back.
    pub(super) fn unclaims(&mut self, index: usize, principal: Principal) {
        if let Some(who) = self.sessions[index].who_is(principal) {
            let directory = &self.sessions[index].callers[who].journal.directory;
            if self.claims.get(directory) == Some(&index) {
                self.claims.remove(directory);
            }
        }
    }

    /// The session reports an event.
    pub(super) fn tells(&mut self, index: usize, now: Now, observer: ObserverId, event: Event) {
        self.met.panicked += u64::from(matches!(event, Event::Panicked { .. }));
        self.met.written_off += u64::from(matches!(event, Event::PlaceWrittenOff { .. }));
        if let Event::BeatFailed { error, .. } | Event::SettlementFailed { error, .. } = &event {
            self.met.queued += u64::from(is_queued(error));
        }
        if let Event::BeatFailed { error, .. } = &event {
            let held = self.sessions[index].watch.beat_failed(error);
            self.check(None, held);
        }
        for who in 0..self.sessions[index].callers.len() {
            let secret = self.sessions[index].callers[who].config().api_key().expose();
            let held = keeps_secret("an event", &format!("{event:?}"), secret);
            self.check(None, held);
        }
        let seats = self.told_seats(index, observer, &event);
        self.note(|| {
            format!(
                "session {index} at {:?} tells {seats:?} {}",
                now.mono,
                brief(&event)
            )
        });
        for at in &seats {
            let is_panic = matches!(event, Event::Panicked { .. });
            if is_panic && !self.seats[*at].was_lost {
                let held = broken(
                    Rule::PanicStaysAlone,
                    "it was lost in another reservation's panic",
                );
                self.check(Some(self.seats[*at].life), held);
            }
            let seat = &mut self.seats[*at];
            let life = &mut self.lives[seat.life.0];
            if let Event::Granted { response, .. } = &event
                && let Some(reservation) = &response.reservation_id
            {
                life.reservation_id = Some(reservation.clone());
                self.by_reservation.insert(reservation.clone(), seat.life);
            }
            seat.watch.told(life, &event);
            if is_panic {
                seat.owes_panic = false;
                life.book.was_surfaced = true;
            }
        }
        let life = match seats.first() {
            Some(at) => Some(self.seats[*at].life),
            None => event.reservation_id().and_then(|id| self.life_of(id)),
        };
        if let Some(id) = life {
            let (at, process) = (self.now, self.sessions[index].process);
            self.lives[id.0].events.push(Told { at, process, event });
        }
    }

    /// The seats that an event may belong to. Each reservation of this world has its own observer, but resumed records
    /// have none. If a reservation has two records, the event belongs to the one with its cost, or may belong to
    /// either.
    fn told_seats(&self, index: usize, observer: ObserverId, event: &Event) -> Vec<usize> {
        if let Some(seat) = observer.0.checked_sub(1) {
            return usize::try_from(seat).into_iter().collect();
        }
        let reservation = event.reservation_id();
        let cost = if let Event::ChargedLess { actual, .. } = event {
            Some(actual)
        } else {
            None
        };
        let is_its = |at: &usize| {
            let seat = &self.seats[*at];
            let life = &self.lives[seat.life.0];
            let is_same = cost.is_none() || cost == life.cost.as_ref();
            seat.watch.is_resumed
                && !seat.is_done
                && is_same
                && seat.watch.may_tell(event)
                && reservation.is_some()
                && life.reservation_id.as_ref() == reservation
        };
        self.sessions[index].busy.iter().copied().filter(is_its).collect()
    }
}

fn described(write: &JournalWrite) -> String {
    match write {
        JournalWrite::Put(record) => format!("a record in {} mode", record.mode()),
        JournalWrite::Remove(_) => "the removal of the record".to_owned(),
        JournalWrite::SetAside(_, aside) => format!("the record as {aside:?}"),
    }
}

/// The first words of an event.
fn brief(event: &Event) -> String {
    let text = format!("{event:?}");
    text.chars().take(160).collect()
}
