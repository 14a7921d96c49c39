//! Checks the invariants from the outside: from the steps that sessions hand out and the results that they get. The
//! audit judges answers independently of the core, so a misreading of the protocol would have to be made twice to go
//! unnoticed.

mod answers;
mod charges;
mod dispatched;
mod end;
mod lease;
mod marks;
mod outcome;
mod requests;
mod session;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use cycles_proto::Event;
use cycles_proto::journal::JournalWrite;
use cycles_proto::outcome::{Aside, StoreFailure};
use cycles_proto::record::{JournalRecord, Mode};
use cycles_proto::time::UnixMillis;
use cycles_proto::{Now, Receipt, Ticket};
use cycles_sandbox::Operation;

pub(super) use self::answers::{AttemptResult, is_refused};
pub(super) use self::charges::check_charged_once;
pub(super) use self::end::check_books;
use self::lease::LeaseWatch;
pub(super) use self::session::{SessionWatch, is_queued};
use super::job::Job;
use super::rule::Rule;

/// The result of a check; an error contains the broken rule and a description.
pub(super) type CheckResult = Result<(), (Rule, String)>;

pub(super) fn broken<T>(rule: Rule, what: impl Into<String>) -> Result<T, (Rule, String)> {
    Err((rule, what.into()))
}

/// The audit's state for one reservation of a session.
#[derive(Debug, Default)]
pub(super) struct ReservationWatch {
    /// Its unanswered attempts.
    pub(super) attempts: BTreeMap<Ticket, Attempt>,
    /// Its unanswered changes to the journal.
    pub(super) stores: BTreeMap<Ticket, Store>,
    /// Its lease.
    lease: LeaseWatch,
    /// The receipt that was reported as an event.
    pub(super) reported_receipt: Option<Receipt>,
    /// Whether it was resumed from a record.
    pub(super) is_resumed: bool,
    /// Whether it keeps records.
    pub(super) has_journal: bool,
    /// Whether the session got the report that its record is stored. The record may be stored even if an error was
    /// reported.
    has_stored: bool,
    /// Whether the cost was in the ledger at the last attempt to settle it, by any process.
    was_settled: bool,
    /// The mode and the body of its record, as of the journal's last answer.
    record: Option<(Mode, String)>,
    /// The last request to the journal about the record.
    cleared: Option<Cleared>,
    /// Whether the server's answers allow an event.
    may_charge_event: bool,
    /// The time before which no settlement may be sent.
    settle_floor: Option<Duration>,
    /// The pause that the record must contain before the next settlement.
    owed_pause: Option<UnixMillis>,
    beat_floor: Option<Duration>,
    /// The times at which its last beats left.
    beats: VecDeque<Duration>,
    release_floor: Option<Duration>,
    /// Whether it reported a cost that it could not accept.
    has_reported_untaken: bool,
    /// The partial charge that it reported: the actual and the charged amount.
    reported_shortfall: Option<(i64, i64)>,
    /// Whether a failed beat has not been reported yet.
    owes_beat_event: bool,
    /// Whether a failed change to the journal has not been reported yet.
    owes_store_event: bool,
    /// The largest cost that the journal has stored.
    pub(super) stored_total: i64,
    /// The largest cost that the journal could not store in time.
    pub(super) given_up_total: i64,
    /// Whether it was resumed from the total of a run that is older than the one in the ledger.
    pub(super) has_old_total: bool,
    /// Whether its state machine was lost in a panic.
    was_lost: bool,
}

/// A change to the journal that the session handed out.
#[derive(Debug)]
pub(super) struct Store {
    write: JournalWrite,
    asked: Duration,
    /// Whether the session no longer waits for the change.
    is_late: bool,
}

impl Store {
    /// Whether it only concerns a mark, so that no settlement waits for it.
    fn is_of_mark(&self) -> bool {
        matches!(
            self.write,
            JournalWrite::PutMark(_) | JournalWrite::RemoveMark(_) | JournalWrite::LeaveMark(_)
        )
    }
}

/// How a record is kept out of later replays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cleared {
    Removed,
    Aside(Aside),
}

/// The cost that a change stores.
fn total_of(write: &JournalWrite) -> Option<i64> {
    match write {
        JournalWrite::Put(record) | JournalWrite::PutRun(record) => Some(record.actual()?.amount),
        JournalWrite::Remove(_)
        | JournalWrite::SetAside(..)
        | JournalWrite::PutMark(_)
        | JournalWrite::RemoveMark(_)
        | JournalWrite::LeaveMark(_) => None,
    }
}

/// Whether there is nothing that a change could remove, so that its failure does not matter.
fn is_needless(write: &JournalWrite, has_stored: bool, job: &Job) -> bool {
    match write {
        JournalWrite::Remove(_) => !has_stored,
        JournalWrite::RemoveMark(_) => job.notes.marks.is_gone(),
        // A run that has ended without a cost needs no total.
        JournalWrite::PutRun(_) => !job.notes.is_running && job.cost.is_none(),
        JournalWrite::Put(_)
        | JournalWrite::PutMark(_)
        | JournalWrite::LeaveMark(_)
        | JournalWrite::SetAside(..) => false,
    }
}

/// How long a session waits for a change to the journal.
const STORE_DEADLINE: Duration = Duration::from_secs(5);

/// An attempt that the session handed out.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) operation: Operation,
    /// When the attempt began or, if that is not known, when it was handed out.
    sent: Duration,
    pub(super) deadline: Duration,
    is_beat: bool,
}

impl ReservationWatch {
    pub(super) fn fresh(has_journal: bool) -> Self {
        Self {
            has_journal,
            ..Self::default()
        }
    }

    /// A reservation that is resumed from a record, which contains this pause.
    pub(super) fn resumed(record: &JournalRecord, has_journal: bool, pause: Option<Duration>) -> Self {
        Self {
            is_resumed: true,
            has_journal,
            has_stored: true,
            record: Some((record.mode(), record.body().to_owned())),
            may_charge_event: record.mode() == Mode::Event,
            settle_floor: pause,
            ..Self::default()
        }
    }

    /// Checks a change to the journal that the session asks for.
    pub(super) fn check_storing(
        &mut self,
        job: &mut Job,
        now: Now,
        ticket: Ticket,
        write: &JournalWrite,
        is_journal_late: bool,
    ) -> CheckResult {
        match write {
            JournalWrite::Put(record) => {
                if let Err(problem) = JournalRecord::parse(record.to_json().as_bytes()) {
                    return broken(Rule::CostKept, format!("a record that cannot be read: {problem}"));
                }
                let key = record
                    .idempotency_key()
                    .map_or_else(String::new, |key| key.as_str().to_owned());
                let amount = requests::amount(record.body().as_bytes());
                let is_known = job.cost.is_some() && job.cost.as_ref().map(|cost| cost.amount) == amount;
                if !is_known && !self.has_old_total {
                    return broken(
                        Rule::KnownCost,
                        format!("a record of {amount:?}, which was not handed over"),
                    );
                }
                if !self.is_resumed {
                    job.check_mark(record.body().as_bytes())?;
                }
                if job.notes.key.get_or_insert_with(|| key.clone()) != &key {
                    return broken(Rule::OneKey, format!("a record under the key {key}"));
                }
                if let Some(pause) = self.owed_pause
                    && record.not_before(now.wall).is_some_and(|floor| floor >= pause)
                {
                    self.owed_pause = None;
                }
                if job.notes.run.is_some() {
                    // Its totals were recorded before.
                    job.notes.recorded_at = Some(record.recorded_at());
                }
                job.notes.recorded_at.get_or_insert(record.recorded_at());
            }
            JournalWrite::PutRun(total) => {
                if let Err(problem) = JournalRecord::parse(total.to_json().as_bytes()) {
                    return broken(Rule::CostKept, format!("a total that cannot be read: {problem}"));
                }
                let ended = job.notes.run.as_ref().map(|run| run.total);
                let before_end = job.notes.run.as_ref().and_then(|run| run.before_end);
                let amount = total.actual().map(|actual| actual.amount);
                // It may have been about to be stored when the session ended the run.
                let is_before_end = before_end.is_some() && amount == before_end;
                if amount.is_none() || (amount != ended && !is_before_end) {
                    return broken(
                        Rule::KnownCost,
                        format!("a total of {amount:?}, but the steps that have ended cost {ended:?}"),
                    );
                }
                if !is_before_end {
                    job.check_mark(total.body().as_bytes())?;
                }
                let key = total.id().key.as_str().to_owned();
                if job.notes.key.get_or_insert_with(|| key.clone()) != &key {
                    return broken(Rule::OneKey, format!("a total under the key {key}"));
                }
                job.notes.recorded_at = Some(total.recorded_at());
            }
            JournalWrite::PutMark(_) | JournalWrite::RemoveMark(_) | JournalWrite::LeaveMark(_) => {}
            JournalWrite::Remove(_) if job.charges.is_empty() => {
                return broken(
                    Rule::CostKept,
                    "the record is removed although its cost is not in the ledger",
                );
            }
            JournalWrite::Remove(_) => self.cleared = Some(Cleared::Removed),
            JournalWrite::SetAside(_, reason) => {
                self.cleared = Some(Cleared::Aside(*reason));
                job.notes.was_surfaced = true;
                job.notes.was_set_aside = true;
            }
        }
        if !self.is_resumed {
            job.check_mark_change(ticket, write)?;
        }
        let store = Store {
            write: write.clone(),
            asked: now.mono,
            is_late: false,
        };
        self.stores.insert(ticket, store);
        if is_journal_late {
            self.note_late_stores(Duration::MAX, job);
        }
        Ok(())
    }

    /// Marks the changes to the journal that have exceeded their deadline. Returns whether there were any.
    fn note_late_stores(&mut self, now: Duration, job: &Job) -> bool {
        let mut is_any_late = false;
        let has_stored = self.has_stored;
        for store in self.stores.values_mut() {
            if store.is_late || store.asked.saturating_add(STORE_DEADLINE) > now {
                continue;
            }
            store.is_late = true;
            is_any_late = true;
            let is_needless = is_needless(&store.write, has_stored, job);
            self.owes_store_event |= !is_needless;
            if let JournalWrite::Put(record) = &store.write {
                self.record = Some((record.mode(), record.body().to_owned()));
            }
            if let Some(total) = total_of(&store.write) {
                self.given_up_total = self.given_up_total.max(total);
            }
        }
        is_any_late
    }

    /// Notes a poll: overdue work counts as answered. Returns whether a change to the journal became overdue.
    pub(super) fn note_poll(&mut self, now: Now, is_held: bool, job: &Job) -> bool {
        self.expire_attempts(now, is_held, job);
        self.note_late_stores(now.mono, job)
    }

    /// Notes the result of a change to the journal. Only the first result counts.
    pub(super) fn note_stored(
        &mut self,
        now: Duration,
        job: &mut Job,
        ticket: Ticket,
        stored: &Result<(), StoreFailure>,
    ) {
        let Some(Store { write, is_late, .. }) = self.stores.remove(&ticket) else {
            return;
        };
        if !self.is_resumed {
            job.notes.marks.note_answered(now, ticket, stored.is_ok());
        }
        // If nothing was stored, a failed removal need not be reported.
        let is_needless = is_needless(&write, self.has_stored, job);
        if !is_late {
            self.owes_store_event = stored.is_err() && !is_needless;
        }
        match (total_of(&write), stored) {
            (Some(total), Ok(())) => self.stored_total = self.stored_total.max(total),
            (Some(total), Err(_)) => self.given_up_total = self.given_up_total.max(total),
            (None, _) => {}
        }
        if let (JournalWrite::PutRun(_), Some(1..), Ok(())) = (&write, total_of(&write), stored) {
            job.notes.was_durable = true;
        }
        if let JournalWrite::Put(record) = write {
            self.has_stored |= stored.is_ok();
            job.notes.was_durable |= stored.is_ok();
            if !is_late {
                self.record = Some((record.mode(), record.body().to_owned()));
            }
        }
    }

    /// Whether the event may be about this reservation, if several records of one reservation are being settled: before
    /// a record's final event, the session has asked the journal for the matching change.
    pub(super) fn may_have_reported(&self, event: &Event) -> bool {
        let asked = if let Event::SettledLate { .. } = event {
            Cleared::Removed
        } else if let Event::SetAside { reason, .. } = event {
            Cleared::Aside(*reason)
        } else {
            return true;
        };
        self.cleared == Some(asked)
    }

    /// Notes an event that the session reports.
    pub(super) fn note_event(&mut self, job: &mut Job, event: &Event) {
        let tells_of_beat = matches!(event, Event::BeatFailed { .. } | Event::HeartbeatStopped { .. });
        self.owes_beat_event &= !tells_of_beat;
        self.owes_store_event &= !matches!(event, Event::JournalFailed { .. });
        self.has_reported_untaken |= matches!(event, Event::CostNotTaken { .. });
        if let Event::CostUnknown { estimate, .. } = event {
            *job.notes.provider.reported.get_or_insert(0) += estimate.amount;
        }
        if let Event::ChargedLess { actual, charged, .. } = event {
            self.reported_shortfall = Some((actual.amount, charged.amount));
        }
        if matches!(event, Event::Granted { .. }) {
            job.notes.is_running = true;
        }
        self.lease.note_event(event);
        if let Event::SettledLate { receipt, .. }
        | Event::SetAside { receipt, .. }
        | Event::CostUnrecorded { receipt, .. } = event
        {
            self.reported_receipt = Some(Receipt::clone(receipt));
        }
        if let Event::LeaseExtended { ticket, .. } = event {
            self.beat_floor = None;
            // A manual extension restarts the heartbeat's schedule.
            if ticket.is_some() {
                self.beats.clear();
            }
        }
    }

    /// Checks a wait of the session while the reservation has not ended. `is_full` is whether a beat may be waiting for
    /// a place.
    pub(super) fn check_wait(
        &self,
        job: &Job,
        now: Now,
        until: Option<Duration>,
        is_held: bool,
        is_full: bool,
    ) -> CheckResult {
        self.check_reported()?;
        if until.is_none() && self.attempts.is_empty() && self.stores.is_empty() && !job.notes.is_running {
            return broken(
                Rule::WaitsOnOutside,
                "the session waits forever, but nothing outside is in progress",
            );
        }
        self.check_wait_for_stores(until)?;
        let is_extending = |attempt: &Attempt| attempt.operation == Operation::ExtendReservation;
        if is_held && !is_full && !self.attempts.values().any(is_extending) {
            self.lease.check_wait(now, until, self.beat_floor)?;
        }
        Ok(())
    }

    /// Checks that the session does not wait too long for a change to the journal.
    fn check_wait_for_stores(&self, until: Option<Duration>) -> CheckResult {
        let waited_for = self.stores.values().filter(|store| !store.is_late);
        for store in waited_for {
            let end = store.asked.saturating_add(STORE_DEADLINE);
            if until.is_none_or(|until| until > end) {
                return broken(
                    Rule::HungStore,
                    format!(
                        "the session waits until {until:?} for a change to the journal whose time ends at {end:?}"
                    ),
                );
            }
        }
        Ok(())
    }

    /// Checks that a wait ends in the future.
    pub(super) fn check_wait_is_ahead(now: Now, until: Option<Duration>) -> CheckResult {
        match until {
            Some(at) if at <= now.mono => broken(
                Rule::WaitsAhead,
                format!("the session waits until {at:?}, but it is already {:?}", now.mono),
            ),
            Some(_) | None => Ok(()),
        }
    }

    /// Notes that the reservation has ended. If a grant arrives after that, another reservation releases it.
    pub(super) fn forget_release_floor(&mut self) {
        self.release_floor = None;
    }

    /// Notes that its state machine was lost in a panic: it reports nothing more.
    pub(super) fn mark_lost(&mut self) {
        self.was_lost = true;
    }

    /// Checks that every failure was reported.
    pub(super) fn check_reported(&self) -> CheckResult {
        if self.was_lost {
            return Ok(());
        }
        if self.owes_beat_event {
            return broken(
                Rule::BeatFailureReported,
                "a beat failed, but no event reported that",
            );
        }
        if self.owes_store_event {
            return broken(
                Rule::StoreFailureReported,
                "a change to the journal failed, but no event reported that",
            );
        }
        Ok(())
    }
}

/// Checks that `text` does not contain the secret.
pub(super) fn keeps_secret(what: &str, text: &str, secret: &str) -> CheckResult {
    if text.contains(secret) {
        return broken(Rule::SecretKept, format!("the API key is in {what}"));
    }
    Ok(())
}

/// Notes the first request of an operation and key, and checks that later ones have the same bytes.
fn same_bytes(job: &mut Job, operation: Operation, key: &str, body: &Bytes) -> CheckResult {
    let first = job
        .notes
        .bytes
        .entry((operation, key.to_owned()))
        .or_insert_with(|| body.clone());
    if first != body {
        return broken(
            Rule::SameBytes,
            format!("{} was repeated with different bytes", operation.name()),
        );
    }
    Ok(())
}
