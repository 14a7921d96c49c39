//! The driver's steps for the journal (changes, scans, claims), and its delivery of events.

use std::time::Duration;

use cycles_proto::Event;
use cycles_proto::journal::JournalWrite;
use cycles_proto::session::{Key, ObserverId, Principal};
use cycles_proto::{Now, Ticket};

use crate::audit::{broken, is_queued, keeps_secret};
use crate::job::ReportedEvent;
use crate::schedule::ScheduledEvent;
use crate::{CallerId, Rule, World};

/// The duration of a change that hangs until the faults stop: longer than any world lasts.
const NEVER: Duration = Duration::from_secs(400 * 86_400);

impl World {
    /// Accepts a change to the journal that the session asks for.
    pub(crate) fn take_journal_change(
        &mut self,
        index: usize,
        now: Now,
        ticket: Ticket,
        principal: Principal,
        write: JournalWrite,
    ) {
        let Some(Key::Reservation(key)) = self.sessions[index].machine.whose(ticket) else {
            let checked = broken(
                Rule::Ends,
                format!("the change ({}) has no owner", described(&write)),
            );
            return self.keep_violation(None, checked);
        };
        let known = self.reservation_of(index, key);
        let Some(at) = known.or_else(|| self.find_resumed_by_record(index, now, key, principal, write.id()))
        else {
            let what = format!(
                "session {index} asks for a change ({}) of an unknown record",
                described(&write)
            );
            return self.keep_violation(None, broken(Rule::KnownCost, what));
        };
        self.tickets.push(ticket);
        let session = &mut self.sessions[index];
        session.tickets.insert(ticket);
        session.busy.insert(at);
        session.writes.insert(ticket, at);
        let is_late = session.watch.is_journal_late(principal);
        let reservation = &mut self.reservations[at];
        let id = reservation.job;
        let caller = &session.callers[reservation.caller_index];
        let mut checked = match caller.caller.principal() == principal {
            true => Ok(()),
            false => broken(
                Rule::PrincipalsApart,
                "a record goes to another principal's journal",
            ),
        };
        checked = checked.and_then(|()| {
            reservation
                .watch
                .check_storing(&mut self.jobs[id.0], now, ticket, &write, is_late)
        });
        if let JournalWrite::Put(record) | JournalWrite::PutRun(record) | JournalWrite::PutMark(record) =
            &write
        {
            let secret = caller.config().api_key().expose();
            checked = checked.and_then(|()| keeps_secret("a record", &record.to_json(), secret));
            self.by_reservation
                .entry(record.reservation_id().clone())
                .or_insert(id);
        }
        let caller_index = reservation.caller_index;
        self.keep_violation(Some(id), checked);
        self.log(|| format!("{id}, reservation {at} stores {} {ticket:?}", described(&write)));
        let time = self.time_of_a_change();
        let last = self.sessions[index]
            .last_writes
            .entry((caller_index, write.id().reservation.clone()))
            .or_default();
        let at = self.now.saturating_add(time).max(*last);
        *last = at;
        let write = Box::new(write);
        self.schedule_event(
            at,
            ScheduledEvent::JournalChanges {
                session: index,
                caller_index,
                ticket,
                write,
            },
        );
    }

    /// The duration of a change: mostly a few milliseconds, sometimes as long as on a hung disk.
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

    /// Makes a change to the journal.
    pub(crate) fn make_journal_change(
        &mut self,
        index: usize,
        caller_index: usize,
        ticket: Ticket,
        write: &JournalWrite,
    ) {
        let client = &mut self.sessions[index].callers[caller_index].journal;
        let stored = self.journal.apply(client, write);
        let directory = client.directory.clone();
        self.log(|| format!("  session {index}: stored {ticket:?} {stored:?}"));
        let now = self.time_of(index);
        let principal = self.principal_of(index, caller_index);
        let session = &mut self.sessions[index];
        if let Some(at) = session.writes.remove(&ticket) {
            let reservation = &mut self.reservations[at];
            let job = &mut self.jobs[reservation.job.0];
            if let (JournalWrite::Put(record), Ok(())) = (write, &stored) {
                let first = || (directory, record.clone());
                job.notes.first_record.get_or_insert_with(first);
            }
            reservation.watch.note_stored(self.now, job, ticket, &stored);
            if stored.is_ok() {
                session.watch.set_journal_late(principal, false);
            }
        }
        session.machine.handle_stored(now, ticket, stored);
        self.drive(index);
    }

    /// Accepts a scan of a journal that the session asks for.
    pub(crate) fn take_scan(&mut self, index: usize, ticket: Ticket, principal: Principal) {
        let checked = self.sessions[index].watch.check_scan(principal);
        self.keep_violation(None, checked);
        if self.dice.chance(self.driver.late_steps) {
            let at = self.now + Duration::from_millis(self.dice.below(3_000));
            self.schedule_event(at, ScheduledEvent::JournalIsRead(index, ticket, principal));
        } else {
            self.scan_journal(index, ticket, principal);
        }
    }

    /// Reads a journal, and takes its claim if that is free.
    pub(crate) fn scan_journal(&mut self, index: usize, ticket: Ticket, principal: Principal) {
        let Some(caller_index) = self.sessions[index].caller_of(principal) else {
            return;
        };
        let now = self.time_of(index);
        let client = &mut self.sessions[index].callers[caller_index].journal;
        let directory = client.directory.clone();
        let has_claim = !self.has_claims || !self.claims.contains_key(&directory);
        self.counts.yielded += u64::from(!has_claim);
        let before = self.journal.quarantined().len();
        let mut scanned = self.journal.scan(client);
        scanned.quarantined = self.journal.quarantined().len() - before;
        scanned.has_claim = has_claim;
        let caller = CallerId {
            session: index,
            caller_index,
        };
        self.note_marks_to_tell(caller, &directory);
        self.log(|| {
            format!(
                "  session {index} reads {} records and {} marks, claim {has_claim}",
                scanned.records.len(),
                scanned.unknown.len()
            )
        });
        let session = &mut self.sessions[index];
        session.callers[caller_index].last_scan = self.now;
        session.callers[caller_index].note_scan(now, &scanned.records);
        session
            .watch
            .note_scan(now, principal, has_claim, scanned.records.is_empty());
        let is_kept = session.machine.handle_scanned(now, ticket, Some(scanned));
        if is_kept && has_claim && self.has_claims {
            self.claims.insert(directory, index);
        }
    }

    /// Gives a session's claim back.
    pub(crate) fn give_claim_back(&mut self, index: usize, principal: Principal) {
        if let Some(caller_index) = self.sessions[index].caller_of(principal) {
            let directory = &self.sessions[index].callers[caller_index].journal.directory;
            if self.claims.get(directory) == Some(&index) {
                self.claims.remove(directory);
            }
        }
    }

    /// Delivers an event that the session reports.
    pub(crate) fn deliver_event(&mut self, index: usize, now: Now, observer: ObserverId, event: Event) {
        self.counts.panicked += u64::from(matches!(event, Event::Panicked { .. }));
        self.counts.written_off += u64::from(matches!(event, Event::PlaceWrittenOff { .. }));
        if let Event::BeatFailed { error, .. } | Event::SettlementFailed { error, .. } = &event {
            self.counts.queued += u64::from(is_queued(error));
        }
        if let Event::BeatFailed { error, .. } = &event {
            let checked = self.sessions[index].watch.check_beat_failure(error);
            self.keep_violation(None, checked);
        }
        for caller_index in 0..self.sessions[index].callers.len() {
            let secret = self.sessions[index].callers[caller_index]
                .config()
                .api_key()
                .expose();
            let checked = keeps_secret("an event", &format!("{event:?}"), secret);
            self.keep_violation(None, checked);
        }
        self.check_told_mark(index, &event);
        let reservations = self.reservations_of_event(index, observer, &event);
        self.log(|| {
            format!(
                "session {index} at {:?} tells {reservations:?} {}",
                now.mono,
                brief(&event)
            )
        });
        for at in &reservations {
            let is_panic = matches!(event, Event::Panicked { .. });
            if is_panic && !self.reservations[*at].was_lost {
                let checked = broken(
                    Rule::PanicStaysAlone,
                    "it was lost in another reservation's panic",
                );
                self.keep_violation(Some(self.reservations[*at].job), checked);
            }
            let reservation = &mut self.reservations[*at];
            let job = &mut self.jobs[reservation.job.0];
            if let Event::Granted { response, .. } = &event
                && let Some(id) = &response.reservation_id
            {
                job.reservation_id = Some(id.clone());
                self.by_reservation.insert(id.clone(), reservation.job);
            }
            reservation.watch.note_event(job, &event);
            if is_panic {
                reservation.owes_panic = false;
                job.notes.was_surfaced = true;
            }
        }
        let job = match reservations.first() {
            Some(at) => Some(self.reservations[*at].job),
            None => event.reservation_id().and_then(|id| self.job_of(id)),
        };
        if let Some(id) = job {
            let (at, process) = (self.now, self.sessions[index].process);
            self.jobs[id.0].events.push(ReportedEvent { at, process, event });
        }
    }

    /// The reservations that an event may belong to. Each reservation of this world has its own observer, but resumed
    /// records have none. If a reservation has two records, the event belongs to the one with the event's cost, or may
    /// belong to either.
    fn reservations_of_event(&self, index: usize, observer: ObserverId, event: &Event) -> Vec<usize> {
        if let Some(at) = observer.0.checked_sub(1) {
            return usize::try_from(at).into_iter().collect();
        }
        let id = event.reservation_id();
        let cost = if let Event::ChargedLess { actual, .. } = event {
            Some(actual)
        } else {
            None
        };
        let is_its = |at: &usize| {
            let reservation = &self.reservations[*at];
            let job = &self.jobs[reservation.job.0];
            let is_same = cost.is_none() || cost == job.cost.as_ref();
            reservation.watch.is_resumed
                && !reservation.is_done
                && is_same
                && reservation.watch.may_have_reported(event)
                && id.is_some()
                && job.reservation_id.as_ref() == id
        };
        self.sessions[index].busy.iter().copied().filter(is_its).collect()
    }
}

fn described(write: &JournalWrite) -> String {
    match write {
        JournalWrite::Put(record) => format!("a record in {} mode", record.mode()),
        JournalWrite::PutRun(total) => format!("the total {:?}", total.actual()),
        JournalWrite::PutMark(_) => "the mark".to_owned(),
        JournalWrite::RemoveMark(_) => "the removal of the mark".to_owned(),
        JournalWrite::LeaveMark(_) => "the mark that it leaves".to_owned(),
        JournalWrite::Remove(_) => "the removal of the record".to_owned(),
        JournalWrite::SetAside(_, aside) => format!("the record as {aside:?}"),
    }
}

/// The first words of an event.
fn brief(event: &Event) -> String {
    let text = format!("{event:?}");
    text.chars().take(160).collect()
}
